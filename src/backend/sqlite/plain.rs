//! A file that is served no more becomes one like any other.
//!
//! Owns [`make_plain`]: Crossfade's own tables go, and so does WAL mode. It must never touch a
//! file that a proxy serves, a row of the application's, or anything before the caller has read what
//! the file says of itself. Start at [`make_plain`].

use std::path::Path;
use std::time::Duration;

use rusqlite::OpenFlags;

use super::lock::FileLock;
use super::{Connection, codes, inspect, own, resolved};
use crate::error::{Error, Result, state};

/// How long other programs that have the file open are waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Every file that was served has it.
const STATE: &str = "SELECT 1 FROM sqlite_schema WHERE name = '_crossfade_state'";

/// Drops Crossfade's tables and leaves WAL mode where `allowed` finds nothing against it; how many
/// tables went. Journal mode first: that needs the file to be nobody else's.
///
/// # Errors
/// 55006 while a proxy serves the file or a program has it open; 55000 for a file without them; what `allowed` says; SQLite's own.
/// Nothing but the journal mode is changed then.
pub fn make_plain(path: &Path, allowed: impl FnOnce(&Connection) -> Result<()>) -> Result<u64> {
    let path = resolved(path)?;
    let _lock = FileLock::take(&path)?;
    let reader = inspect::guest(&path)?;
    if reader.query_row(STATE, &[])?.is_none() {
        let message = "the SQLite file has no tables of Crossfade's";
        return Err(Error::primary(state::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
    }
    allowed(&reader)?;
    drop(reader);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut file = rusqlite::Connection::open_with_flags(&path, flags).map_err(codes::opening)?;
    file.busy_timeout(PATIENCE).map_err(codes::opening)?;
    leave_wal(&file)?;
    drop_ours(&mut file).map_err(codes::opening)
}

fn leave_wal(file: &rusqlite::Connection) -> Result<()> {
    let mode = file.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get::<_, String>(0));
    match mode.map_err(codes::opening) {
        Ok(mode) if mode.eq_ignore_ascii_case("delete") => Ok(()),
        Err(error) if error.sqlstate() != state::LOCK_NOT_AVAILABLE => Err(error),
        _ => Err(Error::primary(state::OBJECT_IN_USE, "another program has the SQLite file open")
            .hint("End it first: WAL mode cannot be left while somebody reads the file.")),
    }
}

fn drop_ours(file: &mut rusqlite::Connection) -> rusqlite::Result<u64> {
    let change = file.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let names: Vec<String> = change
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut dropped = 0;
    for name in names.iter().filter(|name| own::is_ours(name)) {
        change.execute_batch(&format!("DROP TABLE \"{name}\""))?;
        dropped += 1;
    }
    change.commit()?;
    Ok(dropped)
}
