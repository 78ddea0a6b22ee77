//! The side catalog: what PostgreSQL knows about a table and SQLite's schema cannot say.
//!
//! Owns the `_crossfade_*` tables that hold types, codecs, names, OIDs and definitions, and
//! [`Side`], the handle through which DDL changes them. It must never change a user's table.
//! Start at [`prepare`].

mod load;
mod reconcile;
mod store;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

pub(crate) use load::rows;
pub use reconcile::{Prepared, plan, prepare, prepare_with};
pub(crate) use store::save_schemas;
pub(crate) use store::{
    forget_function, forget_relation, forget_type, save_comment, save_composite, save_domain,
    save_extensions, save_function, save_relation, save_sequence, save_type,
};

use super::Connection;
use super::sequences::Sequences;
use crate::error::Result;
use crate::value::Cell;

/// The first OID of user objects, as in PostgreSQL.
pub const FIRST_OID: u32 = 16384;

/// The side catalog of one file. One per server.
pub struct Side {
    next_oid: AtomicU32,
    /// Counters of the sequences.
    pub sequences: Arc<Sequences>,
}

impl Side {
    pub(crate) fn new(next_oid: u32) -> Self {
        Self { next_oid: AtomicU32::new(next_oid), sequences: Arc::default() }
    }

    /// A new OID. Never given twice, also when its transaction is rolled back.
    pub fn new_oid(&self) -> u32 {
        self.next_oid.fetch_add(1, Ordering::Relaxed)
    }

    /// Writes the OID counter; part of each change of the catalog.
    pub(crate) fn save_oids(&self, connection: &Connection) -> Result<()> {
        let next = self.next_oid.load(Ordering::Relaxed);
        connection
            .execute(
                "INSERT INTO \"_crossfade_meta\"(key, value) VALUES ('next_oid', ?1) \
                 ON CONFLICT(key) DO UPDATE SET value = excluded.value",
                &[Cell::Integer(i64::from(next))],
            )
            .map(|_| ())
    }
}

/// An SQL identifier for SQLite, always quoted.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// An SQL string literal.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
