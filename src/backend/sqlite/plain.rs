//! A file that is served no more becomes one like any other.
//!
//! Owns [`Plain`]: Crossfade's own tables go, and so does WAL mode. It must never touch a file that a
//! proxy serves, a row of the application's, or anything before the caller has read what the file says
//! of itself. Start at [`Plain::look`].

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::OpenFlags;

use super::lock::FileLock;
use super::{Connection, codes, inspect, large, own};
use crate::error::{Error, Result, state};

/// How long other programs that have the file open are waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Every file that was served has it.
const STATE: &str = "SELECT 1 FROM sqlite_schema WHERE name = '_crossfade_state'";

/// A file that may become a plain one. No proxy can serve it meanwhile.
pub struct Plain {
    path: PathBuf,
    _lock: FileLock,
}

impl Plain {
    /// Takes the file's lock and looks, without changing anything. `allowed` reads what the file says
    /// of itself.
    ///
    /// # Errors
    /// 55006 while a proxy serves the file; 55000 for a file without Crossfade's tables, or with what
    /// would be lost with them; what `allowed` says; SQLite's own.
    pub fn look(path: &Path, allowed: impl FnOnce(&Connection) -> Result<()>) -> Result<Self> {
        let unreachable = |e: std::io::Error| {
            Error::client(state::CONFIG_FILE_ERROR, format!("cannot reach {}: {e}", path.display()))
        };
        let path = path.canonicalize().map_err(unreachable)?;
        if inspect::guest(&path)?.query_row(STATE, &[])?.is_none() {
            return Err(refused("the SQLite file has no tables of Crossfade's"));
        }
        let lock = FileLock::take(&path)?;
        let reader = inspect::guest(&path)?;
        own::free(&reader)?;
        if large::any(&reader)? {
            return Err(refused("the SQLite file holds large objects, which would be lost"));
        }
        allowed(&reader)?;
        Ok(Self { path, _lock: lock })
    }

    /// The file, without symbolic links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves WAL mode, which needs the file to be nobody else's, and drops Crossfade's tables; how
    /// many those were.
    ///
    /// # Errors
    /// 55006 while a program has the file open; SQLite's own. Nothing but the journal mode is changed
    /// then.
    pub fn make(&self) -> Result<u64> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut file =
            rusqlite::Connection::open_with_flags(&self.path, flags).map_err(codes::opening)?;
        file.busy_timeout(PATIENCE).map_err(codes::opening)?;
        leave_wal(&file)?;
        drop_ours(&mut file).map_err(codes::opening)
    }
}

fn refused(message: &'static str) -> Error {
    Error::primary(state::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
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
