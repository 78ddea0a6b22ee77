//! pg_class and what hangs on it: attributes, defaults, sequences, dependencies, namespaces.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use super::describe::{IndexRef, indexes};
use super::rows::{Maker, Row, flag, int, shape, text};
use super::types::{Facts, facts};
use super::{Core, fixed};
use crate::backend::sqlite::adopt::nextval;
use crate::name;
use crate::schema::{Column, Identity, IndexKey, Relation, RelationKind, Sequence, system};
use crate::value::composite::CompositeType;
use crate::value::{Cell, oid};

const CLASS_COLUMNS: [&str; 21] = [
    "oid",
    "relname",
    "relnamespace",
    "reltype",
    "relowner",
    "relam",
    "relfilenode",
    "reltuples",
    "relhasindex",
    "relpersistence",
    "relkind",
    "relnatts",
    "relchecks",
    "relhasrules",
    "relhastriggers",
    "relispopulated",
    "relreplident",
    "relpages",
    "relisshared",
    "reloftype",
    "reloptions",
];

struct Class<'a> {
    oid: u32,
    name: &'a str,
    namespace: u32,
    kind: &'static str,
    columns: usize,
    indexed: bool,
    checks: usize,
    rules: bool,
    triggers: bool,
    temporary: bool,
    /// Access method of an index.
    method: i64,
    /// WITH of an index.
    options: &'a [String],
}

impl Class<'_> {
    fn row(&self, maker: &Maker) -> Row {
        let (method, stored) = match self.kind {
            "r" => (2, true),
            "i" => (self.method, true),
            _ => (0, self.kind == "S"),
        };
        let identity = match (self.kind, self.namespace) {
            ("r", fixed::PG_CATALOG | fixed::INFORMATION_SCHEMA) => "n",
            ("r", _) => "d",
            _ => "n",
        };
        maker.row([
            int(self.oid),
            text(self.name),
            int(self.namespace),
            int(if matches!(self.kind, "r" | "v" | "c") { self.oid } else { 0 }),
            int(fixed::OWNER),
            int(method),
            int(if stored { self.oid } else { 0 }),
            // Never analysed: PostgreSQL's own mark for "unknown".
            Cell::Real(if self.kind == "r" { -1.0 } else { 0.0 }),
            flag(self.indexed),
            text(if self.temporary { "t" } else { "p" }),
            text(self.kind),
            int(i64::try_from(self.columns).unwrap_or_default()),
            int(i64::try_from(self.checks).unwrap_or_default()),
            flag(self.rules),
            flag(self.triggers),
            flag(true),
            text(identity),
            int(0),
            flag(false),
            int(0),
            match self.options {
                [] => Cell::Null,
                // The logical cell of an array is JSON.
                options => serde_json::to_string(options).map_or(Cell::Null, Cell::Text),
            },
        ])
    }
}

pub(crate) fn namespace_of(core: &Core, relation: &Relation) -> u32 {
    match relation.schema.as_str() {
        "pg_catalog" => fixed::PG_CATALOG,
        "information_schema" => fixed::INFORMATION_SCHEMA,
        "pg_temp" => fixed::PG_TEMP,
        schema => schema_oid(core, schema),
    }
}

/// The OID of a schema that clients have made, else that of `public`.
pub(super) fn schema_oid(core: &Core, schema: &str) -> u32 {
    core.catalog.schemas.get(schema).copied().unwrap_or(fixed::PUBLIC)
}

/// The schema of a type that clients have made.
pub(super) fn namespace_of_type(core: &Core, key: &str, temporary: bool) -> u32 {
    if temporary { fixed::PG_TEMP } else { schema_oid(core, name::schema(key)) }
}

fn class_of(relation: &Relation, namespace: u32, referenced: bool) -> Class<'_> {
    let view = relation.kind == RelationKind::View
        || (relation.kind == RelationKind::System && !system::is_table(relation));
    Class {
        oid: relation.oid,
        name: &relation.name,
        namespace,
        kind: match view {
            _ if relation.materialized.is_some() => "m",
            true => "v",
            false => "r",
        },
        columns: relation.columns.len(),
        indexed: indexes(relation).next().is_some(),
        checks: relation.checks.len(),
        rules: view,
        triggers: referenced
            || relation.has_triggers
            || !relation.triggers.is_empty()
            || !relation.foreign_keys.is_empty(),
        temporary: relation.kind == RelationKind::Temporary || relation.schema == "pg_temp",
        method: 0,
        options: &[],
    }
}

fn system_relations() -> impl Iterator<Item = &'static Arc<Relation>> {
    let (catalog, information) = system::relations();
    catalog.values().chain(information.values())
}

pub(super) fn pg_class(core: &Core) -> Vec<Row> {
    static BUILTIN: LazyLock<Vec<Row>> = LazyLock::new(|| {
        let shape = shape("pg_class");
        let maker = Maker::new(&shape, &CLASS_COLUMNS);
        let namespace = |r: &Relation| match r.schema.as_str() {
            "pg_catalog" => fixed::PG_CATALOG,
            _ => fixed::INFORMATION_SCHEMA,
        };
        system_relations().map(|r| class_of(r, namespace(r), false).row(&maker)).collect()
    });
    let shape = shape("pg_class");
    let maker = Maker::new(&shape, &CLASS_COLUMNS);
    let mut rows = BUILTIN.clone();
    for relation in core.user_relations() {
        let referenced = core
            .catalog
            .relations
            .values()
            .any(|r| r.foreign_keys.iter().any(|k| k.table == relation.name));
        let namespace = namespace_of(core, relation);
        rows.push(class_of(relation, namespace, referenced).row(&maker));
        let temporary = relation.kind == RelationKind::Temporary;
        rows.extend(indexes(relation).map(|index| {
            let columns = match index {
                IndexRef::Unique(u) => u.columns.len(),
                IndexRef::Plain(i) => i.keys.len() + i.extras.include.len(),
            };
            let method = match index {
                IndexRef::Unique(_) => 403,
                IndexRef::Plain(i) => super::constraints::method_of(i),
            };
            let options: &[String] = match index {
                IndexRef::Unique(_) => &[],
                IndexRef::Plain(i) => &i.extras.options,
            };
            let class = Class {
                method,
                options,
                oid: index.oid(),
                name: index.name(),
                namespace,
                kind: "i",
                columns,
                indexed: false,
                checks: 0,
                rules: false,
                triggers: false,
                temporary,
            };
            class.row(&maker)
        }));
    }
    rows.extend(
        core.catalog
            .sequences
            .values()
            .map(|s| sequence_class(s, schema_oid(core, name::schema(&s.name))).row(&maker)),
    );
    rows.extend(core.catalog.enums.composites().map(|ty| {
        let namespace = namespace_of_type(core, &ty.name, ty.temporary);
        composite_class(ty, namespace).row(&maker)
    }));
    rows
}

fn composite_class(ty: &CompositeType, namespace: u32) -> Class<'_> {
    Class {
        oid: ty.oid,
        name: &ty.name,
        namespace,
        kind: "c",
        columns: ty.fields.len(),
        indexed: false,
        checks: 0,
        rules: false,
        triggers: false,
        temporary: ty.temporary,
        method: 0,
        options: &[],
    }
}

fn sequence_class(sequence: &Sequence, namespace: u32) -> Class<'_> {
    Class {
        oid: sequence.oid,
        name: &sequence.name,
        namespace,
        kind: "S",
        columns: 3,
        indexed: false,
        checks: 0,
        rules: false,
        triggers: false,
        temporary: false,
        method: 0,
        options: &[],
    }
}

const ATTRIBUTE_COLUMNS: [&str; 18] = [
    "attrelid",
    "attname",
    "atttypid",
    "attstattarget",
    "attlen",
    "attnum",
    "attndims",
    "attcacheoff",
    "atttypmod",
    "attbyval",
    "attalign",
    "attstorage",
    "attnotnull",
    "atthasdef",
    "attidentity",
    "attgenerated",
    "attislocal",
    "attcollation",
];

fn attribute(maker: &Maker, relation: u32, number: i64, column: &Column) -> Row {
    static UNKNOWN: LazyLock<Facts> = LazyLock::new(|| Facts {
        name: String::new(),
        len: -1,
        by_value: false,
        align: "i".to_owned(),
        storage: "x".to_owned(),
        collation: 0,
        element: 0,
        is_array: false,
        btree: 0,
    });
    let facts = facts(column.ty.oid).unwrap_or(Cow::Borrowed(&UNKNOWN));
    let generated = column.generated.is_some();
    maker.row([
        int(relation),
        text(&column.name),
        int(column.declared().oid),
        int(-1),
        int(facts.len),
        int(number),
        int(i64::from(facts.is_array)),
        int(-1),
        int(column.declared().typmod),
        flag(facts.by_value),
        text(&facts.align),
        text(&facts.storage),
        flag(column.not_null),
        flag(has_default(column)),
        text(match column.identity {
            Some(Identity::Always) => "a",
            Some(Identity::ByDefault) => "d",
            None => "",
        }),
        text(if generated { "s" } else { "" }),
        flag(true),
        int(match column.locale.as_deref().and_then(collation_oid) {
            Some(own) => own,
            None => facts.collation,
        }),
    ])
}

/// The OID of one of PostgreSQL's collations.
pub(crate) fn collation_oid(name: &str) -> Option<i64> {
    let table = super::data::builtin("pg_collation")?;
    let row = table.find("collname", &Cell::Text(name.to_owned())).into_iter().next()?;
    match row.first() {
        Some(Cell::Integer(found)) => Some(*found),
        _ => None,
    }
}

/// Columns of system tables collate as "C".
fn system_attribute(maker: &Maker, relation: u32, column: &Column) -> Row {
    const DEFAULT: Cell = Cell::Integer(100);
    const C: Cell = Cell::Integer(950);
    let row = attribute(maker, relation, i64::from(column.attnum), column);
    let Some(at) = shape("pg_attribute").column("attcollation") else { return row };
    if row.get(at) != Some(&DEFAULT) {
        return row;
    }
    let mut cells = row.to_vec();
    cells[at] = C;
    cells.into()
}

fn has_default(column: &Column) -> bool {
    (column.default.is_some() && column.identity.is_none())
        || column.sqlite_default.is_some()
        || column.generated.is_some()
}

/// The columns of an index as attributes.
fn index_columns(relation: &Relation, index: IndexRef<'_>) -> Vec<Column> {
    let plain = |position: &usize| {
        relation.columns.get(*position).map(|c| Column {
            not_null: false,
            default: None,
            sqlite_default: None,
            identity: None,
            generated: None,
            ..c.clone()
        })
    };
    match index {
        IndexRef::Unique(unique) => unique.columns.iter().filter_map(plain).collect(),
        IndexRef::Plain(index) => index
            .keys
            .iter()
            .enumerate()
            .filter_map(|(at, key)| match key {
                IndexKey::Column(position, _) => plain(position),
                IndexKey::Expression(expression, _) => {
                    let call = expression.split('(').next().unwrap_or_default();
                    let named = super::describe::is_call(expression);
                    let name = if named { call.to_owned() } else { format!("expr{at}") };
                    Some(Column::new(0, name, crate::value::Type::new(oid::TEXT)))
                }
            })
            .chain(index.extras.include.iter().filter_map(|name| plain(&relation.column(name)?)))
            .collect(),
    }
}

pub(super) fn pg_attribute(core: &Core) -> Vec<Row> {
    static BUILTIN: LazyLock<Vec<Row>> = LazyLock::new(|| {
        let shape = shape("pg_attribute");
        let maker = Maker::new(&shape, &ATTRIBUTE_COLUMNS);
        let columns = system_relations().flat_map(|r| r.columns.iter().map(|c| (r.oid, c)));
        columns.map(|(r, c)| system_attribute(&maker, r, c)).collect()
    });
    let shape = shape("pg_attribute");
    let maker = Maker::new(&shape, &ATTRIBUTE_COLUMNS);
    let mut rows = BUILTIN.clone();
    for relation in core.user_relations() {
        for column in &relation.columns {
            rows.push(attribute(&maker, relation.oid, i64::from(column.attnum), column));
        }
        for index in indexes(relation) {
            let columns = index_columns(relation, index);
            let numbered = (1_i64..).zip(&columns);
            rows.extend(numbered.map(|(n, c)| attribute(&maker, index.oid(), n, c)));
        }
    }
    let of = |name: &str, ty: u32| Column {
        not_null: true,
        ..Column::new(0, name, crate::value::Type::new(ty))
    };
    let columns =
        [of("last_value", oid::INT8), of("log_cnt", oid::INT8), of("is_called", oid::BOOL)];
    for sequence in core.catalog.sequences.values() {
        let numbered = (1_i64..).zip(&columns);
        rows.extend(numbered.map(|(n, c)| attribute(&maker, sequence.oid, n, c)));
    }
    for ty in core.catalog.enums.composites() {
        for (number, field) in (1_i16..).zip(&ty.fields) {
            let column = Column::new(number, field.name.clone(), field.full_type());
            rows.push(attribute(&maker, ty.oid, i64::from(number), &column));
        }
    }
    rows
}

/// The OID of a column's entry in pg_attrdef: derived, so that it needs no storage.
fn default_oid(relation: u32, attnum: i16) -> i64 {
    // 1600 is PostgreSQL's limit of columns; the catalog numbers apart from all others.
    (i64::from(relation) * 1600 + i64::from(attnum)) & 0xffff_ffff
}

pub(super) fn pg_attrdef(core: &Core) -> Vec<Row> {
    let shape = shape("pg_attrdef");
    let maker = Maker::new(&shape, &["oid", "adrelid", "adnum", "adbin"]);
    let mut rows = Vec::new();
    for relation in core.user_relations() {
        for column in relation.columns.iter().filter(|c| has_default(c)) {
            let generated = column.generated.as_ref().map(|g| g.expression.as_str());
            let text_of =
                generated.or(column.default.as_deref()).or(column.sqlite_default.as_deref());
            rows.push(maker.row([
                int(default_oid(relation.oid, column.attnum)),
                int(relation.oid),
                int(column.attnum),
                text(text_of.unwrap_or_default()),
            ]));
        }
    }
    rows
}

pub(super) fn pg_sequence(core: &Core) -> Vec<Row> {
    let shape = shape("pg_sequence");
    let maker = Maker::new(
        &shape,
        &[
            "seqrelid",
            "seqtypid",
            "seqstart",
            "seqincrement",
            "seqmax",
            "seqmin",
            "seqcache",
            "seqcycle",
        ],
    );
    let sequences = core.catalog.sequences.values();
    sequences
        .map(|s| {
            maker.row([
                int(s.oid),
                int(s.ty.oid),
                int(s.start),
                int(s.increment),
                int(s.max),
                int(s.min),
                int(1),
                flag(s.cycle),
            ])
        })
        .collect()
}

pub(super) fn pg_depend(core: &Core) -> Vec<Row> {
    const CLASS: i64 = 1259;
    const ATTRDEF: i64 = 2604;
    const CONSTRAINT: i64 = 2606;
    const REWRITE: i64 = 2618;
    let shape = shape("pg_depend");
    let maker = Maker::new(
        &shape,
        &["classid", "objid", "objsubid", "refclassid", "refobjid", "refobjsubid", "deptype"],
    );
    let mut rows = Vec::new();
    let mut add = |of: (i64, i64), on: (i64, i64, i64), kind: &str| {
        rows.push(maker.row([
            int(of.0),
            int(of.1),
            int(0),
            int(on.0),
            int(on.1),
            int(on.2),
            text(kind),
        ]));
    };
    for sequence in core.catalog.sequences.values() {
        let Some((table, column)) = &sequence.owned_by else { continue };
        let Some(relation) = core.catalog.relation(table) else { continue };
        let Some(column) = relation.column(column).map(|c| &relation.columns[c]) else { continue };
        let kind = if column.identity.is_some() { "i" } else { "a" };
        let on = (CLASS, i64::from(relation.oid), i64::from(column.attnum));
        add((CLASS, i64::from(sequence.oid)), on, kind);
    }
    for relation in core.user_relations() {
        let table = i64::from(relation.oid);
        for column in relation.columns.iter().filter(|c| has_default(c)) {
            let default = default_oid(relation.oid, column.attnum);
            add((ATTRDEF, default), (CLASS, table, i64::from(column.attnum)), "a");
            let drawn = |s: &&Arc<crate::schema::Sequence>| {
                column.default.as_ref().is_some_and(|d| *d == nextval(&s.name))
            };
            if let Some(sequence) = core.catalog.sequences.values().find(drawn) {
                add((ATTRDEF, default), (CLASS, i64::from(sequence.oid), 0), "n");
            }
        }
        for unique in &relation.uniques {
            let on_constraint = (CONSTRAINT, i64::from(unique.oid), 0);
            for column in unique.columns.iter().filter_map(|c| relation.columns.get(*c)) {
                let on = (CLASS, table, i64::from(column.attnum));
                let of = if unique.constraint { CONSTRAINT } else { CLASS };
                add((of, i64::from(unique.oid)), on, "a");
            }
            if unique.constraint {
                add((CLASS, i64::from(unique.oid)), on_constraint, "i");
            }
        }
        if relation.kind == RelationKind::View {
            add((REWRITE, table), (CLASS, table, 0), "i");
            let query = relation.view_sql.as_deref().or(relation.materialized.as_deref());
            let query = query.unwrap_or_default();
            let used = crate::sql::pg::relations(query).unwrap_or_default();
            let used: std::collections::BTreeSet<u32> =
                used.iter().filter_map(|n| Some(core.catalog.relation(n)?.oid)).collect();
            for oid in used {
                add((REWRITE, table), (CLASS, i64::from(oid), 0), "n");
            }
        }
    }
    rows
}

pub(super) fn pg_rewrite(core: &Core) -> Vec<Row> {
    let shape = shape("pg_rewrite");
    let maker = Maker::new(
        &shape,
        &["oid", "rulename", "ev_class", "ev_type", "ev_enabled", "is_instead", "ev_action"],
    );
    let views = core.user_relations().filter(|r| r.kind == RelationKind::View);
    views
        .map(|r| {
            maker.row([
                int(r.oid),
                text("_RETURN"),
                int(r.oid),
                text("1"),
                text("O"),
                flag(true),
                text(r.view_sql.clone().or(r.materialized.clone()).unwrap_or_default()),
            ])
        })
        .collect()
}

pub(super) fn pg_namespace(core: &Core) -> Vec<Row> {
    let shape = shape("pg_namespace");
    let maker = Maker::new(&shape, &["oid", "nspname", "nspowner"]);
    let mut names = vec![
        (fixed::PG_TOAST, "pg_toast"),
        (fixed::PG_CATALOG, "pg_catalog"),
        (fixed::PUBLIC, "public"),
        (fixed::INFORMATION_SCHEMA, "information_schema"),
    ];
    if core.has_temporary() {
        names.push((fixed::PG_TEMP, "pg_temp_1"));
    }
    names.extend(core.catalog.schemas.iter().map(|(name, oid)| (*oid, name.as_str())));
    let owner = fixed::OWNER;
    names.into_iter().map(|(o, name)| maker.row([int(o), text(name), int(owner)])).collect()
}
