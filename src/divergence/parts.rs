//! The store's part in a verify that can be cut off: how far it has come in a large table.
//!
//! Owns [`Part`]. It must never say more than was proven. Start at [`Store::verify_part`].

use serde::{Deserialize, Serialize};

use super::file::Line;
use super::store::Store;

/// How far a pass over a large table has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Every key up to this one.
    pub upto: i64,
    /// Rows so far.
    pub rows: u64,
    /// Values in quarantine so far.
    pub accepted: u64,
    /// Values changed to their column's type so far.
    #[serde(default)]
    pub coerced: u64,
}

impl Store {
    /// Notes how far a pass over a large table has come, all of it equal. Durable: a pass that is
    /// cut off goes on from there, and looks once more at what has changed since.
    pub fn verify_part(&self, table: &str, part: Part) {
        let mut inner = self.inner.lock();
        let line =
            Line::VerifiedPart { v: Line::VERSION, table: table.to_owned(), part: part.clone() };
        inner.append(&line, true);
        inner.parts.insert(table.to_owned(), part);
    }

    /// How far a pass that was cut off had come.
    pub fn part(&self, table: &str) -> Option<Part> {
        self.inner.lock().parts.get(table).cloned()
    }
}
