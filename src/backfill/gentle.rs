//! What PostgreSQL is asked for so that clients feel less of a copy.
//!
//! Owns settings of the copy's own sessions; a server that refuses one copies without it. They must
//! never change what is written. Start at [`writes`].

use crate::backend::postgres::control::Control;
use crate::error::Result;

/// What is written goes to disk as it comes: a flood held back would be waited for by the next
/// commit, also by that of another program on the same disk.
pub(super) async fn writes(control: &Control) -> Result<()> {
    asked(control, "SET backend_flush_after = '256kB'").await
}

/// Indexes are built by one process each: with several, nothing is left for clients.
pub(super) async fn builds(control: &Control) -> Result<()> {
    asked(control, "SET max_parallel_maintenance_workers = 0").await
}

async fn asked(control: &Control, sql: &str) -> Result<()> {
    match control.batch(sql).await {
        Err(error) if control.is_closed() => Err(error),
        _ => Ok(()),
    }
}
