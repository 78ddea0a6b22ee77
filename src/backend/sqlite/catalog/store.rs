//! Writing the side catalog.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::Connection;
use crate::error::{Error, Result};
use crate::schema::{
    Check, Codec, Described, ForeignKey, Function, Identity, Index, Relation, RelationKind,
    Sequence, Trigger, Unique,
};
use crate::value::Cell;
use crate::value::composite::CompositeType;
use crate::value::domain::Domain;
use crate::value::enums::EnumType;

/// The side tables. `IF NOT EXISTS`: they may be there from an earlier run.
const TABLES: &str = r#"
CREATE TABLE IF NOT EXISTS "_crossfade_meta"(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS "_crossfade_relations"(
  oid INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, sqlite_name TEXT NOT NULL,
  kind TEXT NOT NULL, definition TEXT, stored TEXT, details TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS "_crossfade_columns"(
  relation INTEGER NOT NULL, position INTEGER NOT NULL, attnum INTEGER NOT NULL,
  name TEXT NOT NULL, sqlite_name TEXT NOT NULL, type INTEGER NOT NULL, typmod INTEGER NOT NULL,
  codec TEXT NOT NULL, not_null INTEGER NOT NULL, default_expr TEXT, sqlite_default TEXT,
  collation TEXT, identity TEXT, generated TEXT, sequence TEXT,
  PRIMARY KEY(relation, position)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS "_crossfade_sequences"(
  oid INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, type INTEGER NOT NULL,
  start INTEGER NOT NULL, increment INTEGER NOT NULL, min INTEGER NOT NULL, max INTEGER NOT NULL,
  cycle INTEGER NOT NULL, owned_table TEXT, owned_column TEXT,
  last_value INTEGER NOT NULL, is_called INTEGER NOT NULL, generation INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS "_crossfade_types"(
  oid INTEGER PRIMARY KEY, name TEXT NOT NULL, kind TEXT NOT NULL, definition TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS "_crossfade_functions"(
  oid INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, details TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS "_crossfade_comments"(
  class INTEGER NOT NULL, object INTEGER NOT NULL, part INTEGER NOT NULL, text TEXT NOT NULL,
  PRIMARY KEY(class, object, part)) WITHOUT ROWID;
"#;

/// Creates the side tables.
pub(super) fn create(connection: &Connection) -> Result<()> {
    connection.batch(TABLES)
}

/// What stands before the name of a collation of PostgreSQL's.
pub(super) const LOCALE: &str = "postgres:";

/// The parts of a relation that are not columns, as one JSON value.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Details {
    pub(super) uniques: Vec<Unique>,
    pub(super) indexes: Vec<Index>,
    pub(super) foreign_keys: Vec<ForeignKey>,
    pub(super) checks: Vec<Check>,
    pub(super) rowid_alias: Option<usize>,
    pub(super) without_rowid: bool,
    pub(super) nulls_in_key: bool,
    pub(super) has_triggers: bool,
    pub(super) triggers: Vec<Trigger>,
    /// A materialized view's query.
    pub(super) materialized: Option<String>,
    /// Domains of columns, by attribute number.
    pub(super) domains: BTreeMap<i16, u32>,
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|e| Error::internal(format!("the catalog cannot be written: {e}")))
}

/// Writes an enum type, replacing what was recorded under its OID.
pub(crate) fn save_type(connection: &Connection, ty: &EnumType) -> Result<()> {
    connection
        .execute(
            "INSERT OR REPLACE INTO \"_crossfade_types\"(oid, name, kind, definition) \
             VALUES (?1, ?2, 'enum', ?3)",
            &[Cell::Integer(i64::from(ty.oid)), Cell::Text(ty.name.clone()), Cell::Text(json(ty)?)],
        )
        .map(|_| ())
}

/// Writes a composite type.
pub(crate) fn save_composite(connection: &Connection, ty: &CompositeType) -> Result<()> {
    connection
        .execute(
            "INSERT OR REPLACE INTO \"_crossfade_types\"(oid, name, kind, definition) \
             VALUES (?1, ?2, 'composite', ?3)",
            &[Cell::Integer(i64::from(ty.oid)), Cell::Text(ty.name.clone()), Cell::Text(json(ty)?)],
        )
        .map(|_| ())
}

/// Writes a domain.
pub(crate) fn save_domain(connection: &Connection, domain: &Domain) -> Result<()> {
    connection
        .execute(
            "INSERT OR REPLACE INTO \"_crossfade_types\"(oid, name, kind, definition) \
             VALUES (?1, ?2, 'domain', ?3)",
            &[
                Cell::Integer(i64::from(domain.oid)),
                Cell::Text(domain.name.clone()),
                Cell::Text(json(domain)?),
            ],
        )
        .map(|_| ())
}

/// Removes a type's record.
pub(crate) fn forget_type(connection: &Connection, oid: u32) -> Result<()> {
    let sql = "DELETE FROM \"_crossfade_types\" WHERE oid = ?1";
    connection.execute(sql, &[Cell::Integer(i64::from(oid))]).map(|_| ())
}

/// The name of a codec in the side catalog; what the column's affinity adds is found anew.
pub(super) fn codec_name(codec: Codec) -> String {
    format!("{:?}", codec.plain())
}

fn maybe(text: Option<&str>) -> Cell {
    text.map_or(Cell::Null, |t| Cell::Text(t.to_owned()))
}

/// Writes a relation of schema `public`, replacing what was recorded under its OID.
pub(crate) fn save_relation(connection: &Connection, relation: &Relation) -> Result<()> {
    if relation.kind == RelationKind::Temporary {
        return Ok(());
    }
    forget_relation(connection, relation.oid)?;
    let details = Details {
        uniques: relation.uniques.clone(),
        indexes: relation.indexes.clone(),
        foreign_keys: relation.foreign_keys.clone(),
        checks: relation.checks.clone(),
        rowid_alias: relation.rowid_alias,
        without_rowid: relation.without_rowid,
        nulls_in_key: relation.nulls_in_key,
        has_triggers: relation.has_triggers,
        triggers: relation.triggers.clone(),
        materialized: relation.materialized.clone(),
        domains: relation.columns.iter().filter_map(|c| Some((c.attnum, c.domain?))).collect(),
    };
    let stored = super::load::stored_text(connection, &relation.sqlite_name)?;
    let kind = if relation.kind == RelationKind::View { "view" } else { "table" };
    connection.execute(
        "INSERT INTO \"_crossfade_relations\"\
         (oid, name, sqlite_name, kind, definition, stored, details) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        &[
            Cell::Integer(i64::from(relation.oid)),
            Cell::Text(relation.name.clone()),
            Cell::Text(relation.sqlite_name.clone()),
            Cell::Text(kind.to_owned()),
            maybe(relation.view_sql.as_deref()),
            maybe(stored.as_deref()),
            Cell::Text(json(&details)?),
        ],
    )?;
    for (position, column) in (0_i64..).zip(&relation.columns) {
        let generated = column.generated.as_ref().map(json).transpose()?;
        let locale = column.locale.as_ref().map(|l| format!("{LOCALE}{l}"));
        let collation = locale.or_else(|| column.collation.clone());
        let identity = column.identity.map(|i| match i {
            Identity::Always => "always",
            Identity::ByDefault => "by_default",
        });
        connection.execute(
            "INSERT INTO \"_crossfade_columns\"(relation, position, attnum, name, sqlite_name, \
             type, typmod, codec, not_null, default_expr, sqlite_default, collation, identity, \
             generated, sequence) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
            &[
                Cell::Integer(i64::from(relation.oid)),
                Cell::Integer(position),
                Cell::Integer(i64::from(column.attnum)),
                Cell::Text(column.name.clone()),
                Cell::Text(column.sqlite_name.clone()),
                Cell::Integer(i64::from(column.ty.oid)),
                Cell::Integer(i64::from(column.ty.typmod)),
                Cell::Text(codec_name(column.codec)),
                Cell::Integer(i64::from(column.not_null)),
                maybe(column.default.as_deref()),
                maybe(column.sqlite_default.as_deref()),
                maybe(collation.as_deref()),
                maybe(identity),
                maybe(generated.as_deref()),
                maybe(column.sequence.as_deref()),
            ],
        )?;
    }
    Ok(())
}

/// Removes what is recorded about a relation.
pub(crate) fn forget_relation(connection: &Connection, oid: u32) -> Result<()> {
    let key = [Cell::Integer(i64::from(oid))];
    connection.execute("DELETE FROM \"_crossfade_columns\" WHERE relation = ?1", &key)?;
    connection.execute("DELETE FROM \"_crossfade_relations\" WHERE oid = ?1", &key)?;
    Ok(())
}

/// Writes a sequence's definition. Its counter is left alone when it is known already,
/// else it begins at START under `generation`.
pub(crate) fn save_sequence(
    connection: &Connection,
    sequence: &Sequence,
    generation: u32,
) -> Result<()> {
    let (table, column) = match &sequence.owned_by {
        Some((table, column)) => (Some(table.as_str()), Some(column.as_str())),
        None => (None, None),
    };
    connection
        .execute(
            "INSERT INTO \"_crossfade_sequences\"(oid, name, type, start, increment, min, max, \
             cycle, owned_table, owned_column, last_value, is_called, generation) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?4, 0, ?11) \
             ON CONFLICT(oid) DO UPDATE SET name = excluded.name, type = excluded.type, \
             start = excluded.start, increment = excluded.increment, min = excluded.min, \
             max = excluded.max, cycle = excluded.cycle, owned_table = excluded.owned_table, \
             owned_column = excluded.owned_column",
            &[
                Cell::Integer(i64::from(sequence.oid)),
                Cell::Text(sequence.name.clone()),
                Cell::Integer(i64::from(sequence.ty.oid)),
                Cell::Integer(sequence.start),
                Cell::Integer(sequence.increment),
                Cell::Integer(sequence.min),
                Cell::Integer(sequence.max),
                Cell::Integer(i64::from(sequence.cycle)),
                maybe(table),
                maybe(column),
                Cell::Integer(i64::from(generation)),
            ],
        )
        .map(|_| ())
}

/// Writes a function.
pub(crate) fn save_function(connection: &Connection, function: &Function) -> Result<()> {
    connection
        .execute(
            "INSERT OR REPLACE INTO \"_crossfade_functions\"(oid, name, details) VALUES (?1, ?2, ?3)",
            &[
                Cell::Integer(i64::from(function.oid)),
                // Several may have one name.
                Cell::Text(function.key()),
                Cell::Text(json(function)?),
            ],
        )
        .map(|_| ())
}

/// Removes a function.
pub(crate) fn forget_function(connection: &Connection, oid: u32) -> Result<()> {
    let key = [Cell::Integer(i64::from(oid))];
    connection.execute("DELETE FROM \"_crossfade_functions\" WHERE oid = ?1", &key).map(|_| ())
}

/// Writes which extensions there are.
pub(crate) fn save_extensions(
    connection: &Connection,
    extensions: &BTreeMap<String, u32>,
) -> Result<()> {
    save_list(connection, "extensions", extensions)
}

/// Writes which schemas there are.
pub(crate) fn save_schemas(connection: &Connection, schemas: &BTreeMap<String, u32>) -> Result<()> {
    save_list(connection, "schemas", schemas)
}

fn save_list(connection: &Connection, key: &str, list: &BTreeMap<String, u32>) -> Result<()> {
    connection
        .execute(
            "INSERT INTO \"_crossfade_meta\"(key, value) VALUES (?1, ?2) \
             ON CONFLICT(key) DO UPDATE SET value = excluded.value",
            &[Cell::Text(key.to_owned()), Cell::Text(json(list)?)],
        )
        .map(|_| ())
}

/// Writes a comment, or removes it.
pub(crate) fn save_comment(
    connection: &Connection,
    what: Described,
    text: Option<&str>,
) -> Result<()> {
    let (class, object, part) = what;
    let mut params = vec![
        Cell::Integer(i64::from(class)),
        Cell::Integer(i64::from(object)),
        Cell::Integer(i64::from(part)),
    ];
    let sql = match text {
        Some(text) => {
            params.push(Cell::Text(text.to_owned()));
            "INSERT OR REPLACE INTO \"_crossfade_comments\"(class, object, part, text) \
             VALUES (?1, ?2, ?3, ?4)"
        }
        None => {
            "DELETE FROM \"_crossfade_comments\" WHERE class = ?1 AND object = ?2 AND part = ?3"
        }
    };
    connection.execute(sql, &params).map(|_| ())
}
