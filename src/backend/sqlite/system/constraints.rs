//! pg_constraint and pg_index.
//!
//! A unique constraint has its index's OID: both catalogs number apart.

use std::sync::Arc;

use super::Core;
use super::classes::namespace_of;
use super::describe::{IndexRef, indexes};
use super::rows::{Maker, Row, flag, int, list, shape, text};
use super::types::facts;
use crate::schema::{Action, Check, Deferral, ForeignKey, Index, IndexKey, Relation, Unique};
use crate::value::{Cell, oid};

/// Attribute numbers of columns given by position.
fn numbers(relation: &Relation, columns: &[usize]) -> Vec<i16> {
    columns.iter().filter_map(|c| relation.columns.get(*c)).map(|c| c.attnum).collect()
}

/// The parent of a foreign key, with the positions of the referenced columns.
pub(crate) fn parent<'a>(
    core: &'a Core,
    key: &ForeignKey,
) -> Option<(&'a Arc<Relation>, Vec<usize>)> {
    let relation = core.catalog.relation(&key.table).or_else(|| core.temporary.get(&key.table))?;
    if key.referenced.is_empty() {
        return relation.primary_key.clone().map(|columns| (relation, columns));
    }
    let columns: Option<Vec<usize>> = key.referenced.iter().map(|n| relation.column(n)).collect();
    columns.map(|columns| (relation, columns))
}

fn letter(action: Action) -> &'static str {
    match action {
        Action::NoAction => "a",
        Action::Restrict => "r",
        Action::Cascade => "c",
        Action::SetNull => "n",
        Action::SetDefault => "d",
    }
}

const COLUMNS: [&str; 21] = [
    "oid",
    "conname",
    "connamespace",
    "contype",
    "condeferrable",
    "condeferred",
    "convalidated",
    "conrelid",
    "conindid",
    "confrelid",
    "confupdtype",
    "confdeltype",
    "confmatchtype",
    "conislocal",
    "connoinherit",
    "conkey",
    "confkey",
    "conbin",
    "contypid",
    "conparentid",
    "conexclop",
];

struct Constraint<'a> {
    oid: u32,
    name: &'a str,
    kind: &'static str,
    index: u32,
    deferrable: bool,
    deferred: bool,
    valid: bool,
    parent: u32,
    actions: [&'static str; 3],
    key: Cell,
    parent_key: Cell,
    expression: Cell,
    operators: Cell,
}

impl Constraint<'_> {
    fn row(self, core: &Core, maker: &Maker, relation: &Relation) -> Row {
        maker.row([
            int(self.oid),
            text(self.name),
            int(namespace_of(core, relation)),
            text(self.kind),
            flag(self.deferrable),
            flag(self.deferred),
            flag(self.valid),
            int(relation.oid),
            int(self.index),
            int(self.parent),
            text(self.actions[0]),
            text(self.actions[1]),
            text(self.actions[2]),
            flag(true),
            flag(self.kind != "c"),
            self.key,
            self.parent_key,
            self.expression,
            int(0),
            int(0),
            self.operators,
        ])
    }
}

fn of_unique<'a>(relation: &Relation, unique: &'a Unique) -> Constraint<'a> {
    Constraint {
        oid: unique.oid,
        name: &unique.name,
        kind: if unique.primary { "p" } else { "u" },
        index: unique.oid,
        deferrable: unique.deferral != Deferral::Never,
        deferred: unique.deferral == Deferral::Deferred,
        valid: true,
        parent: 0,
        actions: [" ", " ", " "],
        key: list(numbers(relation, &unique.columns)),
        parent_key: Cell::Null,
        expression: Cell::Null,
        operators: Cell::Null,
    }
}

fn of_foreign_key<'a>(
    core: &Core,
    relation: &Relation,
    key: &'a ForeignKey,
) -> Option<Constraint<'a>> {
    let (parent, columns) = parent(core, key)?;
    let index = parent.uniques.iter().find(|u| {
        u.columns.len() == columns.len() && u.columns.iter().all(|c| columns.contains(c))
    });
    Some(Constraint {
        oid: key.oid,
        name: &key.name,
        kind: "f",
        index: index.map_or(0, |u| u.oid),
        deferrable: key.deferrable,
        deferred: key.deferred,
        valid: !key.not_valid,
        parent: parent.oid,
        actions: [letter(key.on_update), letter(key.on_delete), "s"],
        key: list(numbers(relation, &key.columns)),
        parent_key: list(numbers(parent, &columns)),
        expression: Cell::Null,
        operators: Cell::Null,
    })
}

fn of_check<'a>(relation: &Relation, check: &'a Check) -> Constraint<'a> {
    let columns = columns_named(relation, &check.expression);
    Constraint {
        oid: check.oid,
        name: &check.name,
        kind: "c",
        index: 0,
        deferrable: false,
        deferred: false,
        valid: !check.not_valid,
        parent: 0,
        actions: [" ", " ", " "],
        key: if columns.is_empty() { Cell::Null } else { list(numbers(relation, &columns)) },
        parent_key: Cell::Null,
        expression: text(&check.expression),
        operators: Cell::Null,
    }
}

fn of_exclusion<'a>(relation: &Relation, index: &'a Index) -> Constraint<'a> {
    let numbers = index.keys.iter().map(|key| match key {
        IndexKey::Column(position, _) => i64::from(relation.columns[*position].attnum),
        IndexKey::Expression(..) => 0,
    });
    Constraint {
        oid: index.oid,
        name: &index.name,
        kind: "x",
        index: index.oid,
        deferrable: index.extras.deferral != Deferral::Never,
        deferred: index.extras.deferral == Deferral::Deferred,
        valid: true,
        parent: 0,
        actions: [" ", " ", " "],
        key: list(numbers),
        parent_key: Cell::Null,
        expression: Cell::Null,
        operators: list(crate::backend::sqlite::ddl::exclusion::operators(relation, index)),
    }
}

/// Positions of the columns that an expression's text names, in order of appearance.
pub(crate) fn columns_named(relation: &Relation, expression: &str) -> Vec<usize> {
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        let (word, after) = match first {
            '\'' => (None, skip_quoted(rest, '\'').1),
            '"' => {
                let (word, after) = skip_quoted(rest, '"');
                (Some(word), after)
            }
            c if c.is_alphabetic() || c == '_' => {
                let end = rest
                    .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'))
                    .unwrap_or(rest.len());
                (Some(rest[..end].to_lowercase()), &rest[end..])
            }
            c => (None, &rest[c.len_utf8()..]),
        };
        if let Some(position) = word.and_then(|w| relation.column(&w))
            && !found.contains(&position)
        {
            found.push(position);
        }
        rest = after;
    }
    found
}

/// The content of a quoted word at the start of `text`, and what follows it.
fn skip_quoted(text: &str, quote: char) -> (String, &str) {
    let mut content = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c != quote {
            content.push(c);
        } else if chars.peek().is_some_and(|(_, next)| *next == quote) {
            content.push(c);
            chars.next();
        } else {
            return (content, &text[at + 1..]);
        }
    }
    (content, "")
}

pub(super) fn pg_constraint(core: &Core) -> Vec<Row> {
    let shape = shape("pg_constraint");
    let maker = Maker::new(&shape, &COLUMNS);
    let mut rows = Vec::new();
    for relation in core.user_relations() {
        let uniques = relation.uniques.iter().filter(|u| u.constraint);
        rows.extend(uniques.map(|u| of_unique(relation, u).row(core, &maker, relation)));
        let exclusions = relation.indexes.iter().filter(|i| i.is_exclusion());
        rows.extend(exclusions.map(|i| of_exclusion(relation, i).row(core, &maker, relation)));
        let keys = relation.foreign_keys.iter();
        rows.extend(
            keys.filter_map(|k| of_foreign_key(core, relation, k))
                .map(|c| c.row(core, &maker, relation)),
        );
        rows.extend(
            relation.checks.iter().map(|c| of_check(relation, c).row(core, &maker, relation)),
        );
    }
    rows.extend(super::domains::constraints(core, &shape));
    rows
}

/// Bits of pg_index.indoption: DESC, and NULLS FIRST which is DESC's default.
const DESCENDING: i64 = 3;

pub(super) fn pg_index(core: &Core) -> Vec<Row> {
    let shape = shape("pg_index");
    let maker = Maker::new(
        &shape,
        &[
            "indexrelid",
            "indrelid",
            "indnatts",
            "indnkeyatts",
            "indisunique",
            "indisprimary",
            "indimmediate",
            "indisvalid",
            "indisready",
            "indislive",
            "indkey",
            "indcollation",
            "indclass",
            "indoption",
            "indexprs",
            "indpred",
            "indisexclusion",
        ],
    );
    let mut rows = Vec::new();
    for relation in core.user_relations() {
        for index in indexes(relation) {
            let (unique, primary) = match index {
                IndexRef::Unique(u) => (true, u.primary),
                IndexRef::Plain(i) => (i.unique, false),
            };
            let keys = keys(relation, index);
            let expressions = match index {
                IndexRef::Plain(index) => expressions(index),
                IndexRef::Unique(_) => Cell::Null,
            };
            let predicate = match index {
                IndexRef::Plain(Index { predicate: Some(p), .. }) => text(p),
                _ => Cell::Null,
            };
            let count = i64::try_from(keys.len()).unwrap_or_default();
            let included = included(relation, index);
            let all = count + i64::try_from(included.len()).unwrap_or_default();
            rows.push(maker.row([
                int(index.oid()),
                int(relation.oid),
                int(all),
                int(count),
                flag(unique),
                flag(primary),
                flag(true),
                flag(true),
                flag(true),
                flag(true),
                list(keys.iter().map(|k| k.0).chain(included)),
                list(keys.iter().map(|k| k.1)),
                list(keys.iter().map(|k| k.2)),
                list(keys.iter().map(|k| k.3)),
                expressions,
                predicate,
                flag(matches!(index, IndexRef::Plain(i) if i.is_exclusion())),
            ]));
        }
    }
    rows
}

/// Attribute number (0 for an expression), collation, operator class and option of each key.
fn keys(relation: &Relation, index: IndexRef<'_>) -> Vec<(i64, i64, i64, i64)> {
    let column = |position: &usize, descending: bool| {
        let column = relation.columns.get(*position);
        let facts = column.and_then(|c| facts(c.ty.oid));
        (
            column.map_or(0, |c| i64::from(c.attnum)),
            facts.as_ref().map_or(0, |f| f.collation),
            facts.as_ref().map_or(0, |f| f.btree),
            if descending { DESCENDING } else { 0 },
        )
    };
    match index {
        IndexRef::Unique(unique) => unique.columns.iter().map(|c| column(c, false)).collect(),
        IndexRef::Plain(index) => index
            .keys
            .iter()
            .enumerate()
            .map(|(at, key)| {
                let (number, collation, own, mut option) = match key {
                    IndexKey::Column(position, descending) => column(position, *descending),
                    IndexKey::Expression(_, descending) => {
                        let text = facts(oid::TEXT);
                        let option = if *descending { DESCENDING } else { 0 };
                        let collation = text.as_ref().map_or(0, |f| f.collation);
                        (0, collation, text.as_ref().map_or(0, |f| f.btree), option)
                    }
                };
                if let Some(first) = index.extras.nulls_first.get(at).copied().flatten() {
                    option = option & 1 | if first { 2 } else { 0 };
                }
                let named = index.extras.opclasses.get(at).filter(|name| !name.is_empty());
                let default = || match key {
                    IndexKey::Column(position, _) => {
                        default_class(relation.columns.get(*position)?.ty.oid, index)
                    }
                    IndexKey::Expression(..) => None,
                };
                let class = named.and_then(|name| class_by_name(name, index)).or_else(default);
                let class = class.unwrap_or(own);
                (number, collation, class, option)
            })
            .collect(),
    }
}

/// Attribute numbers of INCLUDE columns.
fn included(relation: &Relation, index: IndexRef<'_>) -> Vec<i64> {
    let IndexRef::Plain(index) = index else { return Vec::new() };
    let columns = index.extras.include.iter().filter_map(|name| relation.column(name));
    columns.map(|at| i64::from(relation.columns[at].attnum)).collect()
}

/// The type that operator classes of ranges are for.
const ANYRANGE: i64 = 3831;

/// OID of an index's access method.
pub(super) fn method_of(index: &Index) -> i64 {
    match index.extras.method.as_str() {
        "hash" => 405,
        "gist" => 783,
        "gin" => 2742,
        "spgist" => 4000,
        "brin" => 3580,
        _ => 403,
    }
}

/// OID of an operator class by name.
fn class_by_name(name: &str, index: &Index) -> Option<i64> {
    let classes = super::data::builtin("pg_opclass")?;
    let bare = name.rsplit('.').next().unwrap_or(name);
    let rows = classes.find("opcname", &Cell::Text(bare.to_owned()));
    let method = Cell::Integer(method_of(index));
    let row = rows.into_iter().find(|row| *classes.get(row, "opcmethod") == method)?;
    match classes.get(&row, "oid") {
        Cell::Integer(found) => Some(*found),
        _ => None,
    }
}

/// OID of the default operator class of a type, for another access method than btree.
fn default_class(ty: u32, index: &Index) -> Option<i64> {
    if method_of(index) == 403 {
        return None;
    }
    let classes = super::data::builtin("pg_opclass")?;
    let any = match crate::value::range::subtype_of(ty) {
        Some(_) => ANYRANGE,
        None => i64::from(ty),
    };
    let method = Cell::Integer(method_of(index));
    let rows = classes.find("opcintype", &Cell::Integer(any));
    let fits = |row: &&Row| {
        *classes.get(row, "opcmethod") == method
            && *classes.get(row, "opcdefault") == Cell::Integer(1)
    };
    match classes.get(rows.iter().find(fits)?, "oid") {
        Cell::Integer(found) => Some(*found),
        _ => None,
    }
}

fn expressions(index: &Index) -> Cell {
    let found: Vec<&str> = index
        .keys
        .iter()
        .filter_map(|k| match k {
            IndexKey::Expression(e, _) => Some(e.as_str()),
            IndexKey::Column(..) => None,
        })
        .collect();
    if found.is_empty() { Cell::Null } else { text(found.join(", ")) }
}
