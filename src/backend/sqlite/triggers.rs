//! Temporary triggers on a connection that writes.
//!
//! Owns that a connection has exactly the triggers of the catalog it writes under. They are
//! in SQLite's temporary schema: the file does not hold them, and a rollback takes their
//! making back. Start at [`bring`].

use std::sync::atomic::{AtomicU64, Ordering};

use super::Connection;
use super::catalog::{quoted, rows};
use super::functions::queue;
use crate::error::{Error, Result};
use crate::schema::Fired;
use crate::value::{Cell, CellRef};

/// What a connection has, by [`Fired::id`].
#[derive(Debug, Default)]
pub(super) struct Installed {
    id: AtomicU64,
    /// The connection follows PostgreSQL, where triggers have fired already: of them it has
    /// those only that compute generated columns.
    follows: std::sync::atomic::AtomicBool,
}

/// The transaction that made them may yet be rolled back.
const UNKNOWN: u64 = u64::MAX;

impl Installed {
    /// The connection follows PostgreSQL from now on.
    pub(super) fn follow(&self) {
        self.follows.store(true, Ordering::Relaxed);
        self.id.store(UNKNOWN, Ordering::Relaxed);
    }
}

/// Gives a connection the triggers of a catalog. To be called before a transaction writes;
/// inside of one that is open already they are looked at again by the next.
pub(super) fn bring(connection: &Connection, installed: &Installed, fired: &Fired) -> Result<()> {
    if installed.id.load(Ordering::Relaxed) == fired.id {
        return Ok(());
    }
    let settled = !connection.in_transaction();
    remove(connection)?;
    let follows = installed.follows.load(Ordering::Relaxed);
    let texts = if follows { &fired.computed } else { &fired.texts };
    for text in texts.iter() {
        connection.execute(text, &[])?;
    }
    installed.id.store(if settled { fired.id } else { UNKNOWN }, Ordering::Relaxed);
    Ok(())
}

/// Takes all of them away, in a transaction that changes the schema.
pub(super) fn clear(connection: &Connection, installed: &Installed) -> Result<()> {
    installed.id.store(UNKNOWN, Ordering::Relaxed);
    remove(connection)
}

/// Fires the triggers that a statement has queued, now that it has written all of its rows.
///
/// `distance` says how far a table is from the written one: what foreign keys' actions have
/// changed comes after what the statement has.
pub(super) fn run_queued(
    connection: &Connection,
    turn: u64,
    distance: &dyn Fn(u32) -> usize,
) -> Result<()> {
    loop {
        let tables = queue::take(turn);
        if let [table] = tables.as_slice() {
            connection.execute(&format!("DELETE FROM temp.{}", named(*table)?), &[])?;
            continue;
        }
        if tables.is_empty() {
            return Ok(());
        }
        let mut all: Vec<(usize, i64, i64)> = Vec::new();
        for table in tables {
            let near = u32::try_from(table).map_or(usize::MAX, distance);
            let mut places =
                connection.prepare(&format!("SELECT place FROM temp.{}", named(table)?))?;
            while places.step()? {
                if let CellRef::Integer(place) = places.column(0) {
                    all.push((near, place, table));
                }
            }
        }
        all.sort_unstable();
        for (_, place, table) in all {
            let text = format!("DELETE FROM temp.{} WHERE place = ?1", named(table)?);
            connection.execute(&text, &[Cell::Integer(place)])?;
        }
    }
}

/// The queue of a table.
fn named(table: i64) -> Result<String> {
    let name = u32::try_from(table).map(crate::sql::trigger::queue_name);
    name.map(|name| quoted(&name)).map_err(|_| Error::internal("not a table's number"))
}

fn remove(connection: &Connection) -> Result<()> {
    // Triggers first: with its table a queue's own would be gone already.
    let sql = "SELECT type, name FROM temp.sqlite_schema WHERE type IN ('trigger', 'table') \
               AND name LIKE '\\_crossfade\\_%' ESCAPE '\\' ORDER BY type DESC";
    for row in rows(connection, sql, &[])? {
        if let [Cell::Text(kind), Cell::Text(name)] = row.as_slice() {
            connection.execute(&format!("DROP {kind} temp.{}", quoted(name)), &[])?;
        }
    }
    Ok(())
}
