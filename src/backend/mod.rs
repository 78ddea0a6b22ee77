//! The two back ends.
//!
//! Owns [`Position`] and the adapters to SQLite (`sqlite`) and PostgreSQL (`postgres`).
//! Only `backend::sqlite` opens SQLite. It must never decide who is primary; `cutover`
//! does. Start at [`sqlite::Sqlite`].

use std::fmt;

pub mod postgres;
pub mod sqlite;

/// Number of a commit on the primary, dense and increasing; 0 is "before the first".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

impl Position {
    /// The position of the next commit.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
