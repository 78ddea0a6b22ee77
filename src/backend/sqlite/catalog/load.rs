//! Reading the side catalog and SQLite's own schema.

use std::sync::Arc;

use super::super::Connection;
use super::super::is_ours;
use super::super::system::spelled;
use super::store::{Details, LOCALE, codec_name};
use crate::error::{Error, Result, state};
use crate::schema::{
    Catalog, Codec, Column, Function, Generated, Identity, Relation, RelationKind, Sequence,
};
use crate::value::composite::CompositeType;
use crate::value::domain::Domain;
use crate::value::enums::{EnumType, publish_name};
use crate::value::{Cell, Type};

/// A relation as recorded, with the schema text it was recorded for.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) relation: Relation,
    pub(super) stored: Option<String>,
}

/// An object of `sqlite_schema`.
#[derive(Clone, Debug)]
pub(super) struct SchemaObject {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) table: String,
    pub(super) sql: Option<String>,
}

/// All rows of a query as owned cells. TEXT that is not UTF-8 is read with replacement: names
/// and definitions of a damaged schema must not stop the start.
pub(crate) fn rows(connection: &Connection, sql: &str, params: &[Cell]) -> Result<Vec<Vec<Cell>>> {
    use crate::value::CellRef;
    let mut statement = connection.prepare(sql)?;
    for (position, cell) in params.iter().enumerate() {
        statement.bind(position + 1, cell.as_ref())?;
    }
    let mut found = Vec::new();
    while statement.step()? {
        let cells = (0..statement.column_count()).map(|i| match statement.column(i) {
            CellRef::Null => Cell::Null,
            CellRef::Integer(i) => Cell::Integer(i),
            CellRef::Real(r) => Cell::Real(r),
            CellRef::Text(t) => Cell::Text(String::from_utf8_lossy(t).into_owned()),
            CellRef::Blob(b) => Cell::Blob(b.to_vec()),
        });
        found.push(cells.collect());
    }
    Ok(found)
}

fn text(cell: &Cell) -> String {
    match cell {
        Cell::Text(t) => t.clone(),
        _ => String::new(),
    }
}

fn option(cell: &Cell) -> Option<String> {
    match cell {
        Cell::Text(t) => Some(t.clone()),
        _ => None,
    }
}

fn int(cell: &Cell) -> i64 {
    match cell {
        Cell::Integer(i) => *i,
        _ => 0,
    }
}

fn small<T: TryFrom<i64> + Default>(cell: &Cell) -> T {
    T::try_from(int(cell)).unwrap_or_default()
}

/// User objects of the file: no internal tables, none of ours, no virtual or shadow tables.
pub(super) fn schema_objects(connection: &Connection) -> Result<Vec<SchemaObject>> {
    let found = rows(
        connection,
        "SELECT type, name, tbl_name, sql FROM \"public\".sqlite_schema \
         WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
         AND tbl_name NOT IN (SELECT name FROM pragma_table_list \
             WHERE schema = 'public' AND type IN ('virtual', 'shadow')) \
         ORDER BY rowid",
        &[],
    )?;
    Ok(found
        .iter()
        .filter_map(|row| match row.as_slice() {
            [_, _, table, _] if is_ours(&text(table)) => None,
            [kind, name, table, sql] => Some(SchemaObject {
                kind: text(kind),
                name: text(name),
                table: text(table),
                sql: option(sql),
            }),
            _ => None,
        })
        .collect())
}

/// Names of the file's virtual tables.
pub(super) fn virtual_tables(connection: &Connection) -> Result<Vec<String>> {
    let sql = "SELECT name FROM pragma_table_list WHERE schema = 'public' AND type = 'virtual'";
    Ok(rows(connection, sql, &[])?.iter().filter_map(|r| r.first().map(text)).collect())
}

/// Everything `sqlite_schema` says about a table or view, as one text: a change of it means
/// that somebody else has changed the schema.
pub(super) fn stored_text(connection: &Connection, name: &str) -> Result<Option<String>> {
    let found = rows(
        connection,
        "SELECT group_concat(sql, char(10)) FROM (SELECT sql FROM \"public\".sqlite_schema \
         WHERE tbl_name = ?1 COLLATE NOCASE AND sql IS NOT NULL ORDER BY type, name)",
        &[Cell::Text(name.to_owned())],
    )?;
    Ok(found.first().and_then(|r| r.first()).and_then(option))
}

/// The recorded relations.
pub(super) fn relations(connection: &Connection) -> Result<Vec<Recorded>> {
    let found = rows(
        connection,
        "SELECT oid, name, sqlite_name, kind, definition, stored, details \
         FROM \"_crossfade_relations\" ORDER BY oid",
        &[],
    )?;
    found.iter().map(|row| relation(connection, row)).collect()
}

fn damaged(what: &str) -> Error {
    Error::primary(state::DATA_CORRUPTED, format!("the side catalog is damaged: {what}"))
}

fn relation(connection: &Connection, row: &[Cell]) -> Result<Recorded> {
    let [oid, name, sqlite_name, kind, definition, stored, details] = row else {
        return Err(damaged("a relation's row"));
    };
    let details: Details =
        serde_json::from_str(&text(details)).map_err(|_| damaged("a relation's details"))?;
    let kind = if text(kind) == "view" { RelationKind::View } else { RelationKind::Table };
    let mut columns = columns(connection, int(oid))?;
    for column in &mut columns {
        column.domain = details.domains.get(&column.attnum).copied();
    }
    let primary = details.uniques.iter().find(|u| u.primary);
    let relation = Relation {
        sqlite_name: text(sqlite_name),
        primary_key: primary.map(|u| u.columns.clone()),
        columns,
        uniques: details.uniques,
        indexes: details.indexes,
        foreign_keys: details.foreign_keys,
        checks: details.checks,
        rowid_alias: details.rowid_alias,
        without_rowid: details.without_rowid,
        nulls_in_key: details.nulls_in_key,
        has_triggers: details.has_triggers,
        triggers: details.triggers,
        view_sql: option(definition),
        materialized: details.materialized,
        ..Relation::new(small(oid), text(name), kind)
    };
    let width = relation.columns.len();
    let mut positions = relation.uniques.iter().flat_map(|u| &u.columns);
    let mut keys = relation.foreign_keys.iter().flat_map(|k| &k.columns);
    if positions.any(|c| *c >= width) || keys.any(|c| *c >= width) {
        return Err(damaged("a constraint's columns"));
    }
    Ok(Recorded { relation, stored: option(stored) })
}

fn columns(connection: &Connection, relation: i64) -> Result<Vec<Column>> {
    let found = rows(
        connection,
        "SELECT attnum, name, sqlite_name, type, typmod, codec, not_null, default_expr, \
         sqlite_default, collation, identity, generated, sequence \
         FROM \"_crossfade_columns\" WHERE relation = ?1 ORDER BY position",
        &[Cell::Integer(relation)],
    )?;
    found.iter().map(|row| column(row)).collect()
}

fn column(row: &[Cell]) -> Result<Column> {
    let [
        attnum,
        name,
        sqlite_name,
        type_oid,
        typmod,
        codec,
        not_null,
        default,
        sqlite_default,
        rest @ ..,
    ] = row
    else {
        return Err(damaged("a column's row"));
    };
    let [collation, identity, generated, sequence] = rest else {
        return Err(damaged("a column's row"));
    };
    let ty = Type::with_typmod(small(type_oid), i32::try_from(int(typmod)).unwrap_or(-1));
    let codec = codec_by_name(&text(codec)).ok_or_else(|| damaged("an unknown codec"))?;
    let generated: Option<Generated> = match option(generated) {
        Some(json) => Some(serde_json::from_str(&json).map_err(|_| damaged("a generated column"))?),
        None => None,
    };
    Ok(Column {
        sqlite_name: text(sqlite_name),
        codec,
        not_null: int(not_null) == 1,
        default: option(default),
        sqlite_default: option(sqlite_default),
        locale: option(collation).and_then(|c| c.strip_prefix(LOCALE).map(str::to_owned)),
        collation: option(collation).filter(|c| !c.starts_with(LOCALE)),
        identity: match option(identity).as_deref() {
            Some("always") => Some(Identity::Always),
            Some(_) => Some(Identity::ByDefault),
            None => None,
        },
        generated,
        sequence: option(sequence),
        ..Column::new(small(attnum), text(name), ty)
    })
}

fn codec_by_name(name: &str) -> Option<Codec> {
    const ALL: [Codec; 20] = [
        Codec::Identity,
        Codec::NumericNative,
        Codec::NumericScaled,
        Codec::NumericText,
        Codec::NumericAny,
        Codec::BoolLoose,
        Codec::DateTimeLoose,
        Codec::UnixSeconds,
        Codec::UnixMillis,
        Codec::IntervalMicros,
        Codec::IntervalEpoch,
        Codec::UuidHex,
        Codec::UuidBlob,
        Codec::UuidLoose,
        Codec::BytesLoose,
        Codec::TextLoose,
        Codec::JsonLoose,
        Codec::Coerced,
        Codec::CoercedEmpty,
        Codec::Caseless,
    ];
    ALL.into_iter().find(|c| codec_name(*c) == name)
}

/// The recorded sequences.
pub(super) fn sequences(connection: &Connection, catalog: &mut Catalog) -> Result<()> {
    let found = rows(
        connection,
        "SELECT oid, name, type, start, increment, min, max, cycle, owned_table, owned_column \
         FROM \"_crossfade_sequences\"",
        &[],
    )?;
    for row in &found {
        let [oid, name, ty, start, increment, min, max, cycle, table, column] = row.as_slice()
        else {
            return Err(damaged("a sequence's row"));
        };
        let sequence = Sequence {
            oid: small(oid),
            name: text(name),
            ty: Type::new(small(ty)),
            start: int(start),
            increment: int(increment),
            min: int(min),
            max: int(max),
            cycle: int(cycle) == 1,
            owned_by: option(table).zip(option(column)),
        };
        catalog.sequences.insert(sequence.name.clone(), Arc::new(sequence));
    }
    Ok(())
}

/// The recorded types.
pub(super) fn types(connection: &Connection, catalog: &mut Catalog) -> Result<()> {
    let sql = "SELECT definition FROM \"_crossfade_types\" WHERE kind = 'enum'";
    let enums = Arc::make_mut(&mut catalog.enums);
    for row in rows(connection, sql, &[])? {
        let definition = row.first().map(text).unwrap_or_default();
        let ty: EnumType =
            serde_json::from_str(&definition).map_err(|_| damaged("an enum type"))?;
        publish_name(ty.oid, &ty.name, &spelled(&ty.name));
        enums.insert(ty);
    }
    let sql = "SELECT definition FROM \"_crossfade_types\" WHERE kind = 'composite'";
    for row in rows(connection, sql, &[])? {
        let definition = row.first().map(text).unwrap_or_default();
        let ty: CompositeType =
            serde_json::from_str(&definition).map_err(|_| damaged("a composite type"))?;
        publish_name(ty.oid, &ty.name, &spelled(&ty.name));
        enums.insert_composite(ty);
    }
    let sql = "SELECT definition FROM \"_crossfade_types\" WHERE kind = 'domain'";
    for row in rows(connection, sql, &[])? {
        let definition = row.first().map(text).unwrap_or_default();
        let domain: Domain = serde_json::from_str(&definition).map_err(|_| damaged("a domain"))?;
        publish_name(domain.oid, &domain.name, &spelled(&domain.name));
        enums.insert_domain(domain);
    }
    Ok(())
}

/// The recorded functions and comments.
pub(super) fn described(connection: &Connection, catalog: &mut Catalog) -> Result<()> {
    for row in rows(connection, "SELECT details FROM \"_crossfade_functions\"", &[])? {
        let details = row.first().map(text).unwrap_or_default();
        let function: Function =
            serde_json::from_str(&details).map_err(|_| damaged("a function's details"))?;
        catalog.functions.insert(function.key(), Arc::new(function));
    }
    let sql = "SELECT class, object, part, text FROM \"_crossfade_comments\"";
    for row in rows(connection, sql, &[])? {
        let [class, object, part, comment] = row.as_slice() else {
            return Err(damaged("a comment's row"));
        };
        catalog.comments.insert((small(class), small(object), small(part)), text(comment));
    }
    catalog.extensions = listed(connection, "extensions")?;
    catalog.schemas = listed(connection, "schemas")?;
    Ok(())
}

/// Names with their OIDs.
fn listed(connection: &Connection, key: &str) -> Result<std::collections::BTreeMap<String, u32>> {
    let sql = "SELECT value FROM \"_crossfade_meta\" WHERE key = ?1";
    let found = rows(connection, sql, &[Cell::Text(key.to_owned())])?;
    let Some(row) = found.first() else { return Ok(Default::default()) };
    let json = row.first().map(text).unwrap_or_default();
    serde_json::from_str(&json).map_err(|_| damaged("a list of names"))
}

/// The next OID as recorded; None in a new file.
pub(super) fn next_oid(connection: &Connection) -> Result<Option<u32>> {
    let sql = "SELECT value FROM \"_crossfade_meta\" WHERE key = 'next_oid'";
    Ok(connection.query_integer(sql, &[])?.and_then(|o| u32::try_from(o).ok()))
}
