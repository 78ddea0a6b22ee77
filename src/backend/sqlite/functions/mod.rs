//! PostgreSQL's functions, registered in SQLite under names of their own (`pg_*`).
//!
//! Owns what they compute and how they fail. They must never override a built-in of SQLite,
//! and never reach another connection, the network or a clock. Start at [`install`].

use crate::error::Result;

pub mod session;

/// Registers every function on a new connection.
pub fn install(_connection: &rusqlite::Connection) -> Result<()> {
    Ok(())
}
