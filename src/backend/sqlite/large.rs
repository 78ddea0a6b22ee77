//! Large objects, kept in the file beside the application's tables.
//!
//! Owns `_crossfade_large` (one row an object) and `_crossfade_large_pages` (its bytes, a
//! missing page is zeros). They are not mirrored: callers refuse to write them while a
//! shadow is attached. Start at [`create`].

use super::Connection;
use crate::error::{Error, Object, Result, state};
use crate::value::Cell;

/// Bytes of a page.
const PAGE: i64 = 8192;
/// As PostgreSQL: 4 TiB.
const SIZE_MAX: i64 = 4 << 40;

/// Bytes read at once: as PostgreSQL, what one value holds.
const READ_MAX: i64 = (1 << 30) - 1;

const TABLES: &str = "CREATE TABLE IF NOT EXISTS \"_crossfade_large\"(\
    oid INTEGER PRIMARY KEY, size INTEGER NOT NULL);\
CREATE TABLE IF NOT EXISTS \"_crossfade_large_pages\"(\
    oid INTEGER NOT NULL, page INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY(oid, page)\
) WITHOUT ROWID;";

/// Whether the file holds any.
///
/// # Errors
/// SQLite's own.
pub fn any(connection: &Connection) -> Result<bool> {
    if !prepared(connection)? {
        return Ok(false);
    }
    Ok(connection.query_integer("SELECT 1 FROM \"_crossfade_large\" LIMIT 1", &[])?.is_some())
}

fn prepared(connection: &Connection) -> Result<bool> {
    let text = "SELECT 1 FROM \"public\".sqlite_schema WHERE name = '_crossfade_large_pages'";
    Ok(connection.query_integer(text, &[])?.is_some())
}

/// Makes an empty object, with this OID or the next free one.
///
/// # Errors
/// 23505 when the OID is taken.
pub fn create(connection: &Connection, wanted: u32) -> Result<u32> {
    if !prepared(connection)? {
        connection.batch(TABLES)?;
    }
    let oid = match wanted {
        0 => {
            let text = "SELECT max(16384, coalesce(max(oid), 0) + 1) FROM \"_crossfade_large\"";
            connection.query_integer(text, &[])?.unwrap_or(16384)
        }
        oid if size(connection, oid)?.is_some() => {
            let name = "pg_largeobject_metadata_oid_index";
            let message = format!("duplicate key value violates unique constraint \"{name}\"");
            let object = Object {
                schema: Some("pg_catalog".to_owned()),
                table: Some("pg_largeobject_metadata".to_owned()),
                constraint: Some(name.to_owned()),
                ..Object::default()
            };
            return Err(Error::client(state::UNIQUE_VIOLATION, message)
                .detail(format!("Key (oid)=({oid}) already exists."))
                .object(object));
        }
        oid => i64::from(oid),
    };
    connection.execute("INSERT INTO \"_crossfade_large\" VALUES (?1, 0)", &[Cell::Integer(oid)])?;
    u32::try_from(oid).map_err(|_| Error::client(state::PROGRAM_LIMIT_EXCEEDED, "no OID is free"))
}

/// Bytes of an object; None when it does not exist.
///
/// # Errors
/// SQLite's own.
pub fn size(connection: &Connection, oid: u32) -> Result<Option<i64>> {
    if !prepared(connection)? {
        return Ok(None);
    }
    let text = "SELECT size FROM \"_crossfade_large\" WHERE oid = ?1";
    connection.query_integer(text, &[number(oid)])
}

/// Removes an object; whether it existed.
///
/// # Errors
/// SQLite's own.
pub fn unlink(connection: &Connection, oid: u32) -> Result<bool> {
    if size(connection, oid)?.is_none() {
        return Ok(false);
    }
    let key = [number(oid)];
    connection.execute("DELETE FROM \"_crossfade_large_pages\" WHERE oid = ?1", &key)?;
    connection.execute("DELETE FROM \"_crossfade_large\" WHERE oid = ?1", &key)?;
    Ok(true)
}

/// Up to `length` bytes from `at`.
///
/// # Errors
/// 22023 for a place before the beginning, 54000 for more than one value holds; SQLite's own.
pub fn read(connection: &Connection, oid: u32, at: i64, length: i64) -> Result<Vec<u8>> {
    if at < 0 {
        return Err(Error::client(
            state::INVALID_PARAMETER_VALUE,
            format!("invalid large-object seek target: {at}"),
        ));
    }
    let end = size(connection, oid)?.unwrap_or(0);
    let length = length.min(end.saturating_sub(at)).max(0);
    if length > READ_MAX {
        return Err(Error::client(
            state::PROGRAM_LIMIT_EXCEEDED,
            "large object read request is too large",
        ));
    }
    let mut out = vec![0; usize::try_from(length).unwrap_or(0)];
    let mut done = 0;
    while done < length {
        let (page, skip) = ((at + done) / PAGE, (at + done) % PAGE);
        let take = (PAGE - skip).min(length - done);
        let data = page_of(connection, oid, page)?;
        let from = usize::try_from(skip).unwrap_or(0);
        let to = usize::try_from(done).unwrap_or(0);
        let count = usize::try_from(take).unwrap_or(0).min(data.len().saturating_sub(from));
        if let (Some(source), Some(target)) =
            (data.get(from..from + count), out.get_mut(to..to + count))
        {
            target.copy_from_slice(source);
        }
        done += take;
    }
    Ok(out)
}

/// Writes bytes at `at`; what lies between the old end and there becomes zeros.
///
/// # Errors
/// 54000 beyond the largest size.
pub fn write(connection: &Connection, oid: u32, at: i64, bytes: &[u8]) -> Result<()> {
    let length = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
    let end = at.saturating_add(length);
    check_size(end)?;
    let mut done = 0;
    while done < length {
        let (page, skip) = ((at + done) / PAGE, (at + done) % PAGE);
        let take = (PAGE - skip).min(length - done);
        let mut data = page_of(connection, oid, page)?;
        let (from, upto) =
            (usize::try_from(skip).unwrap_or(0), usize::try_from(skip + take).unwrap_or(0));
        if data.len() < upto {
            data.resize(upto, 0);
        }
        let source = usize::try_from(done).unwrap_or(0);
        if let (Some(target), Some(source)) =
            (data.get_mut(from..upto), bytes.get(source..source + (upto - from)))
        {
            target.copy_from_slice(source);
        }
        put_page(connection, oid, page, data)?;
        done += take;
    }
    let text = "UPDATE \"_crossfade_large\" SET size = max(size, ?2) WHERE oid = ?1";
    connection.execute(text, &[number(oid), Cell::Integer(end)])?;
    Ok(())
}

/// Cuts an object, or makes it longer with zeros.
///
/// # Errors
/// 54000 beyond the largest size.
pub fn truncate(connection: &Connection, oid: u32, length: i64) -> Result<()> {
    check_size(length)?;
    let (page, keep) = (length / PAGE, length % PAGE);
    let later = [number(oid), Cell::Integer(page)];
    connection
        .execute("DELETE FROM \"_crossfade_large_pages\" WHERE oid = ?1 AND page > ?2", &later)?;
    let mut data = page_of(connection, oid, page)?;
    data.truncate(usize::try_from(keep).unwrap_or(0));
    put_page(connection, oid, page, data)?;
    let text = "UPDATE \"_crossfade_large\" SET size = ?2 WHERE oid = ?1";
    connection.execute(text, &[number(oid), Cell::Integer(length)])?;
    Ok(())
}

fn check_size(size: i64) -> Result<()> {
    if (0..=SIZE_MAX).contains(&size) {
        return Ok(());
    }
    let message = format!("invalid large object size: {size}");
    Err(Error::client(state::INVALID_PARAMETER_VALUE, message))
}

fn page_of(connection: &Connection, oid: u32, page: i64) -> Result<Vec<u8>> {
    let text = "SELECT data FROM \"_crossfade_large_pages\" WHERE oid = ?1 AND page = ?2";
    let row = connection.query_row(text, &[number(oid), Cell::Integer(page)])?;
    Ok(match row.and_then(|mut row| row.pop()) {
        Some(Cell::Blob(data)) => data,
        _ => Vec::new(),
    })
}

fn put_page(connection: &Connection, oid: u32, page: i64, data: Vec<u8>) -> Result<()> {
    let text = "INSERT OR REPLACE INTO \"_crossfade_large_pages\" VALUES (?1, ?2, ?3)";
    connection.execute(text, &[number(oid), Cell::Integer(page), Cell::Blob(data)])?;
    Ok(())
}

fn number(oid: u32) -> Cell {
    Cell::Integer(i64::from(oid))
}
