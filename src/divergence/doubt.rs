//! What speaks against rows that PostgreSQL has a copy of.
//!
//! Owns the question, not what follows from it. What a person has accepted is no doubt. Start at
//! [`Store::open_since`].

use super::group::{Group, GroupState, Severity};
use super::store::Store;

impl Store {
    /// The first open divergence of a table's rows that was met at or after a position.
    pub fn open_since(&self, table: &str, position: u64) -> Option<String> {
        let of = |g: &Group| g.state == GroupState::Open && g.severity == Severity::Data;
        let met = |g: &Group| g.table.as_deref() == Some(table) && g.position >= position;
        self.groups().into_iter().find(|g| of(g) && met(g)).map(|g| g.id)
    }
}
