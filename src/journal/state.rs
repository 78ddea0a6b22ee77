//! `_crossfade_state`: small durable facts by key.
//!
//! Owns the table's access. Start at [`get_state`].

use crate::backend::Position;
use crate::backend::sqlite::Connection;
use crate::error::{Error, Result, state};
use crate::value::Cell;

pub(super) const LINEAGE: &str = "lineage";
pub(super) const EPOCH: &str = "epoch";
pub(super) const CAPTURE: &str = "capture";
pub(super) const TRIM_POSITION: &str = "trim_position";
pub(super) const TRIM_HASH: &str = "trim_hash";

/// A fact's value; None when it was never set.
pub fn get_state(conn: &Connection, key: &str) -> Result<Option<Cell>> {
    let key = Cell::Text(key.to_owned());
    let row = conn.query_row("SELECT value FROM \"_crossfade_state\" WHERE key = ?1", &[key])?;
    Ok(row.and_then(|row| row.into_iter().next()))
}

/// Sets a fact, in the connection's transaction.
pub fn set_state(conn: &Connection, key: &str, value: Cell) -> Result<()> {
    let sql = "INSERT INTO \"_crossfade_state\" (key, value) VALUES (?1, ?2) \
               ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    conn.execute(sql, &[Cell::Text(key.to_owned()), value]).map(|_| ())
}

/// A position as SQLite stores it.
pub(super) fn cell(position: Position) -> Cell {
    Cell::Integer(i64::try_from(position.0).unwrap_or(i64::MAX))
}

/// A position from SQLite.
pub(super) fn position(value: i64) -> Result<Position> {
    u64::try_from(value)
        .map(Position)
        .map_err(|_| Error::primary(state::DATA_CORRUPTED, "a stored journal position is negative"))
}

/// A fact of fixed length.
pub(super) fn blob<const N: usize>(conn: &Connection, key: &str) -> Result<Option<[u8; N]>> {
    match get_state(conn, key)? {
        None | Some(Cell::Null) => Ok(None),
        Some(Cell::Blob(bytes)) => bytes.try_into().map(Some).map_err(|_| wrong(key)),
        Some(_) => Err(wrong(key)),
    }
}

/// A number.
pub(super) fn integer(conn: &Connection, key: &str) -> Result<Option<i64>> {
    match get_state(conn, key)? {
        None | Some(Cell::Null) => Ok(None),
        Some(Cell::Integer(i)) => Ok(Some(i)),
        Some(_) => Err(wrong(key)),
    }
}

fn wrong(key: &str) -> Error {
    Error::primary(state::DATA_CORRUPTED, format!("stored state {key} is damaged"))
}
