//! Temporary triggers on a connection that writes.
//!
//! Owns that a connection has exactly the triggers of the catalog it writes under. They are
//! in SQLite's temporary schema: the file does not hold them, and a rollback takes their
//! making back. Start at [`bring`].

use std::sync::atomic::{AtomicU64, Ordering};

use super::Connection;
use super::catalog::{quoted, rows};
use crate::error::Result;
use crate::schema::Fired;
use crate::value::Cell;

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

fn remove(connection: &Connection) -> Result<()> {
    let sql = "SELECT name FROM temp.sqlite_schema WHERE type = 'trigger' \
               AND name LIKE '\\_crossfade\\_%' ESCAPE '\\'";
    for row in rows(connection, sql, &[])? {
        if let Some(Cell::Text(name)) = row.first() {
            connection.execute(&format!("DROP TRIGGER temp.{}", quoted(name)), &[])?;
        }
    }
    Ok(())
}
