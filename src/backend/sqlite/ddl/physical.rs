//! CREATE TABLE and CREATE INDEX texts for the file, from the plain model of stored DDL.

use super::plain::{self, cell_literal};
use crate::backend::sqlite::catalog::{literal, quoted};
use crate::backend::sqlite::errors::RANGE_CHECK;
use crate::error::{Error, Result};
use crate::schema::{Action, Check, Column, ForeignKey, Relation};
use crate::sql::analyze;
use crate::sql::stored::{self, Conflict, Constraint, ConstraintKind, Key};
use crate::value::{Cell, Type, oid};

/// The CREATE TABLE text of a stored table under a name.
pub(super) fn table_sql(table: &stored::Table, name: &str, temporary: bool) -> String {
    let mut parts: Vec<String> = table.columns.iter().map(column_sql).collect();
    parts.extend(table.constraints.iter().map(constraint_sql));
    let schema = if temporary { "temp." } else { "" };
    let mut options = Vec::new();
    if table.without_rowid {
        options.push("WITHOUT ROWID");
    }
    if table.strict {
        options.push("STRICT");
    }
    format!(
        "CREATE TABLE {schema}{} (\n  {}\n){}{}",
        quoted(name),
        parts.join(",\n  "),
        if options.is_empty() { "" } else { " " },
        options.join(", ")
    )
}

fn named(name: Option<&String>) -> String {
    name.map_or_else(String::new, |n| format!("CONSTRAINT {} ", quoted(n)))
}

fn conflict_sql(conflict: Option<Conflict>) -> &'static str {
    match conflict {
        None => "",
        Some(Conflict::Rollback) => " ON CONFLICT ROLLBACK",
        Some(Conflict::Abort) => " ON CONFLICT ABORT",
        Some(Conflict::Fail) => " ON CONFLICT FAIL",
        Some(Conflict::Ignore) => " ON CONFLICT IGNORE",
        Some(Conflict::Replace) => " ON CONFLICT REPLACE",
    }
}

/// One column's definition.
pub(super) fn column_sql(column: &stored::Column) -> String {
    let mut text = quoted(&column.name);
    if let Some(declared) = &column.declared {
        text.push(' ');
        text.push_str(declared);
    }
    if let Some(not_null) = &column.not_null {
        let name = named(not_null.name.as_ref());
        text.push_str(&format!(" {name}NOT NULL{}", conflict_sql(not_null.conflict)));
    }
    if let Some(key) = &column.primary_key {
        text.push_str(&format!(
            " {}PRIMARY KEY{}{}{}",
            named(key.name.as_ref()),
            if key.descending { " DESC" } else { "" },
            conflict_sql(key.conflict),
            if key.autoincrement { " AUTOINCREMENT" } else { "" }
        ));
    }
    for unique in &column.unique {
        let name = named(unique.name.as_ref());
        text.push_str(&format!(" {name}UNIQUE{}", conflict_sql(unique.conflict)));
    }
    if let Some(default) = &column.default {
        text.push_str(&format!(" DEFAULT {}", default_sql(default)));
    }
    if let Some(collation) = &column.collation {
        text.push_str(&format!(" COLLATE {}", quoted(collation)));
    }
    for (name, expression) in &column.checks {
        text.push_str(&format!(" {}CHECK ({expression})", named(name.as_ref())));
    }
    for key in &column.references {
        text.push_str(&format!(" {}{}", named(key.name.as_ref()), references_sql(key)));
    }
    if let Some(generated) = &column.generated {
        let kind = if generated.stored { "STORED" } else { "VIRTUAL" };
        text.push_str(&format!(" GENERATED ALWAYS AS ({}) {kind}", generated.expression));
    }
    text
}

fn default_sql(default: &stored::Default) -> String {
    use stored::Default as D;
    match default {
        D::Null => "NULL".to_owned(),
        D::Integer(i) => i.to_string(),
        D::Number(n) => n.clone(),
        D::Text(t) => literal(t),
        D::Blob(b) => cell_literal(&Cell::Blob(b.clone())).unwrap_or_else(|| "NULL".to_owned()),
        D::Bool(b) => (if *b { "TRUE" } else { "FALSE" }).to_owned(),
        D::CurrentDate => "CURRENT_DATE".to_owned(),
        D::CurrentTime => "CURRENT_TIME".to_owned(),
        D::CurrentTimestamp => "CURRENT_TIMESTAMP".to_owned(),
        D::Expression(e) => format!("({e})"),
    }
}

fn list(names: &[String]) -> String {
    names.iter().map(|n| quoted(n)).collect::<Vec<_>>().join(", ")
}

/// Keys of a constraint or index.
pub(super) fn keys_sql(keys: &[Key]) -> String {
    let parts: Vec<String> = keys
        .iter()
        .map(|key| {
            let what = match &key.column {
                Some(column) => quoted(column),
                None => format!("({})", key.expression),
            };
            let collation = key
                .collation
                .as_ref()
                .map_or_else(String::new, |c| format!(" COLLATE {}", quoted(c)));
            format!("{what}{collation}{}", if key.descending { " DESC" } else { "" })
        })
        .collect();
    parts.join(", ")
}

fn references_sql(key: &stored::ForeignKey) -> String {
    let mut text = format!("REFERENCES {}", quoted(&key.table));
    if !key.referenced.is_empty() {
        text.push_str(&format!("({})", list(&key.referenced)));
    }
    for (event, action) in [("DELETE", key.on_delete), ("UPDATE", key.on_update)] {
        if action != Action::NoAction {
            let words = crate::backend::sqlite::system::action_text(action);
            text.push_str(&format!(" ON {event} {words}"));
        }
    }
    if let Some(name) = &key.match_name {
        text.push_str(&format!(" MATCH {name}"));
    }
    if key.deferrable {
        let initially = if key.deferred { "DEFERRED" } else { "IMMEDIATE" };
        text.push_str(&format!(" DEFERRABLE INITIALLY {initially}"));
    }
    text
}

fn constraint_sql(constraint: &Constraint) -> String {
    let name = named(constraint.name.as_ref());
    let body = match &constraint.kind {
        ConstraintKind::PrimaryKey { keys, autoincrement, conflict } => format!(
            "PRIMARY KEY ({}{}){}",
            keys_sql(keys),
            if *autoincrement { " AUTOINCREMENT" } else { "" },
            conflict_sql(*conflict)
        ),
        ConstraintKind::Unique { keys, conflict } => {
            format!("UNIQUE ({}){}", keys_sql(keys), conflict_sql(*conflict))
        }
        ConstraintKind::Check { expression, conflict } => {
            format!("CHECK ({expression}){}", conflict_sql(*conflict))
        }
        ConstraintKind::ForeignKey(key) => {
            format!("FOREIGN KEY ({}) {}", list(&key.columns), references_sql(key))
        }
    };
    format!("{name}{body}")
}

/// The stored form of a new table; `default` gives each column's literal default.
pub(super) fn table_of(
    relation: &Relation,
    default: &dyn Fn(&Column) -> Option<Cell>,
    parents: &dyn Fn(&ForeignKey) -> Option<(String, Vec<String>)>,
) -> Result<stored::Table> {
    let mut table = stored::Table { name: relation.sqlite_name.clone(), ..Default::default() };
    for (position, column) in relation.columns.iter().enumerate() {
        let mut stored = column_of(column, relation, default(column), &mut table)?;
        if relation.rowid_alias == Some(position) {
            let name = relation.uniques.iter().find(|u| u.primary).map(|u| u.name.clone());
            stored.primary_key = Some(stored::ColumnKey {
                name,
                descending: false,
                autoincrement: column.sequence.is_some(),
                conflict: None,
            });
        }
        table.columns.push(stored);
    }
    if relation.rowid_alias.is_none()
        && let Some(key) = relation.uniques.iter().find(|u| u.primary)
    {
        if let [only] = key.columns.as_slice()
            && let Some(stored) = table.columns.get_mut(*only)
        {
            keep_apart(stored);
        }
        let keys = key.columns.iter().map(|c| key_of(&relation.columns[*c])).collect();
        let kind = ConstraintKind::PrimaryKey { keys, autoincrement: false, conflict: None };
        table.constraints.push(Constraint { name: Some(key.name.clone()), kind });
    }
    for check in relation.checks.iter().filter(|c| !c.in_plan) {
        table.constraints.extend(check_of(check, relation));
    }
    for key in &relation.foreign_keys {
        table.constraints.extend(foreign_key_of(key, relation, parents));
    }
    Ok(table)
}

/// Declares a key so that it is not the rowid by another name: SQLite makes no other difference.
pub(super) fn keep_apart(stored: &mut stored::Column) {
    if stored.declared.as_deref() == Some("INTEGER") {
        stored.declared = Some("INT".to_owned());
    }
}

/// A plain key over a column.
pub(super) fn key_of(column: &Column) -> Key {
    Key {
        column: Some(column.sqlite_name.clone()),
        expression: quoted(&column.sqlite_name),
        collation: None,
        descending: false,
    }
}

/// The stored form of a new column. A generated column's range check goes to `table`.
pub(super) fn column_of(
    column: &Column,
    relation: &Relation,
    default: Option<Cell>,
    table: &mut stored::Table,
) -> Result<stored::Column> {
    let mut stored = stored::Column {
        name: column.sqlite_name.clone(),
        declared: Some(column.codec.sqlite_declaration(column.ty).to_owned()),
        type_name: column.codec.sqlite_declaration(column.ty).to_owned(),
        not_null: column.not_null.then(stored::NotNull::default),
        default: default.and_then(default_of),
        collation: column.codec.collation().map(str::to_owned),
        ..Default::default()
    };
    if let Some(generated) = column.generated.as_ref().filter(|g| !g.in_plan) {
        let (text, ranged) = generated_sql(&generated.expression, column, relation)?;
        stored.generated = Some(stored::Generated { expression: text, stored: true });
        if let (true, Some((low, high))) = (ranged, range(column.ty)) {
            let name = quoted(&column.sqlite_name);
            let expression = format!("{name} BETWEEN {low} AND {high}");
            let kind = ConstraintKind::Check { expression, conflict: None };
            let name = Some(format!("{RANGE_CHECK}{}", column.sqlite_name));
            table.constraints.push(Constraint { name, kind });
        }
    }
    Ok(stored)
}

fn range(ty: Type) -> Option<(i64, i64)> {
    match ty.oid {
        oid::INT2 => Some((i64::from(i16::MIN), i64::from(i16::MAX))),
        oid::INT4 => Some((i64::from(i32::MIN), i64::from(i32::MAX))),
        _ => None,
    }
}

/// Whether SQLite computes a generated column as PostgreSQL does.
pub(super) fn computes(column: &Column, relation: &Relation) -> bool {
    let text = column.generated.as_ref().map_or("", |g| g.expression.as_str());
    generated_sql(text, column, relation).is_ok()
}

/// A generated column's expression on stored values, and whether its result is a small
/// integer whose range has to be checked.
fn generated_sql(text: &str, column: &Column, relation: &Relation) -> Result<(String, bool)> {
    let expr = analyze::expression(text, relation, &plain::bare_context())?;
    let ranged = range(column.ty).is_some();
    let integers = if ranged { plain::Integers::Ranged } else { plain::Integers::Compared };
    let plain_codec = column.codec == crate::schema::Codec::Identity;
    // The expression must have the column's own type: no cast on the way in.
    let small = |oid: u32| matches!(oid, oid::INT2 | oid::INT4 | oid::INT8);
    let text_like = |oid: u32| matches!(oid, oid::TEXT | oid::VARCHAR);
    let same = expr.ty.oid == column.ty.oid
        || (small(expr.ty.oid) && small(column.ty.oid))
        || (text_like(expr.ty.oid) && text_like(column.ty.oid) && column.ty.typmod == -1);
    let printed = if plain_codec && same { plain::value(&expr, relation, integers) } else { None };
    printed.map(|p| (p, ranged)).ok_or_else(|| Error::unsupported("this generated column"))
}

fn default_of(cell: Cell) -> Option<stored::Default> {
    Some(match cell {
        Cell::Null => return None,
        Cell::Integer(i) => stored::Default::Integer(i),
        Cell::Real(r) if r.is_finite() => stored::Default::Number(format!("{r:?}")),
        Cell::Real(_) => return None,
        Cell::Text(t) if t.contains('\0') => return None,
        Cell::Text(t) => stored::Default::Text(t),
        Cell::Blob(b) => stored::Default::Blob(b),
    })
}

/// The stored form of a check that SQLite can keep exactly; None otherwise.
pub(super) fn check_of(check: &Check, relation: &Relation) -> Option<Constraint> {
    let expression = check_sql(&check.expression, relation)?;
    let kind = ConstraintKind::Check { expression, conflict: None };
    Some(Constraint { name: Some(check.name.clone()), kind })
}

/// A check's SQLite text, when that means exactly the same.
pub(super) fn check_sql(text: &str, relation: &Relation) -> Option<String> {
    let expr = analyze::expression(text, relation, &plain::bare_context()).ok()?;
    plain::condition(&expr, relation)
}

/// The stored form of a foreign key; `parents` gives SQLite's names of the parent.
pub(super) fn foreign_key_of(
    key: &ForeignKey,
    relation: &Relation,
    parents: &dyn Fn(&ForeignKey) -> Option<(String, Vec<String>)>,
) -> Option<Constraint> {
    let (table, referenced) = parents(key)?;
    let columns = key.columns.iter().map(|c| relation.columns[*c].sqlite_name.clone()).collect();
    let kind = ConstraintKind::ForeignKey(stored::ForeignKey {
        name: None,
        columns,
        table,
        referenced,
        on_delete: key.on_delete,
        on_update: key.on_update,
        match_name: None,
        deferrable: key.deferrable,
        deferred: key.deferred,
    });
    Some(Constraint { name: Some(key.name.clone()), kind })
}
