//! Looking at a SQLite file that is not being served by this process.
//!
//! Owns [`look`] (what `crossfade check` asks), [`guest`] (a connection that only reads) and
//! [`Copy`] (a private copy, for what needs to write). It must never change the file, nor be used on a file that this process serves:
//! closing it would drop SQLite's own locks. Start at [`look`].

use std::fs::{DirBuilder, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::{AccessFlags, access};
use rusqlite::backup::Backup;
use rusqlite::{OpenFlags, OptionalExtension};

use super::connection::Purpose;
use super::{Connection, Options, codes, is_internal, is_like_ours, lock, own};
use crate::error::{Error, Result, state};

/// Pages copied between two pauses.
const PAGES: i32 = 4096;

/// What a file is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// User tables.
    pub tables: u64,
    /// `wal`, `delete` …
    pub journal_mode: String,
    /// `UTF-8` …
    pub encoding: String,
    /// Bytes.
    pub size: u64,
    /// Process that serves it now (0 when it does not say).
    pub served_by: Option<u32>,
    /// Whether file and folder may be written.
    pub writable: bool,
    /// Tables of the application whose names begin as Crossfade's own do.
    pub like_ours: Vec<String>,
    /// A table of the application with the name of one of Crossfade's own.
    pub taken: Option<String>,
}

fn taken(connection: &rusqlite::Connection) -> rusqlite::Result<Option<String>> {
    own::taken_by(|name| connection.query_row(own::FIRST, [name], |row| row.get(0)).optional())
}

fn names(connection: &rusqlite::Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement =
        connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY rowid")?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// Opens the file for reading and looks; None when it does not exist.
///
/// # Errors
/// SQLite's own: not a database, unreadable.
pub fn look(path: &Path) -> Result<Option<Look>> {
    if !path.exists() {
        return Ok(None);
    }
    let connection = open(path)?;
    let text = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, String>(0));
    let tables: Vec<String> = names(&connection).map_err(codes::opening)?;
    Ok(Some(Look {
        tables: tables.iter().filter(|t| !is_internal(t)).count() as u64,
        taken: taken(&connection).map_err(codes::opening)?,
        like_ours: tables.into_iter().filter(|t| is_like_ours(t)).collect(),
        journal_mode: text("PRAGMA journal_mode").map_err(codes::opening)?,
        encoding: text("PRAGMA encoding").map_err(codes::opening)?,
        size: path.metadata().map_or(0, |m| m.len()),
        served_by: served_by(path),
        writable: access(path, AccessFlags::W_OK).is_ok() && may_create_beside(path),
    }))
}

/// Whether files can be made in the folder of `path`: the WAL, and the file itself.
pub fn may_create_beside(path: &Path) -> bool {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    access(folder, AccessFlags::W_OK | AccessFlags::X_OK).is_ok()
}

fn open(path: &Path) -> Result<rusqlite::Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = rusqlite::Connection::open_with_flags(path, flags).map_err(codes::opening)?;
    connection.busy_timeout(Duration::from_secs(5)).map_err(codes::opening)?;
    Ok(connection)
}

/// A connection for reading a file that others may have open. It neither writes nor holds a
/// lock between statements.
///
/// # Errors
/// SQLite's own: not a database, unreadable.
pub fn guest(path: &Path) -> Result<Connection> {
    let opened = open_guest(path, false);
    let wal = lock::beside(path, "-wal").exists();
    match opened {
        // A file in WAL mode in a folder that cannot be written. Without a WAL nobody has it
        // open, and it can be read as it is.
        Err(_) if !wal && !may_create_beside(path) => open_guest(path, true),
        other => other,
    }
}

fn open_guest(path: &Path, alone: bool) -> Result<Connection> {
    let path = path.canonicalize().map_err(|e| {
        Error::primary(state::IO_ERROR, "could not reach the SQLite file").detail(e.to_string())
    })?;
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                uri.push(char::from(*byte));
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri.push_str(if alone { "?immutable=1" } else { "?mode=ro" });
    let options = Options::new(&path);
    let map: Arc<super::MapError> = Arc::new(codes::plain);
    let connection = Connection::open(
        Path::new(&uri),
        &options,
        Purpose::Guest,
        &super::functions::install,
        map,
        None,
    )?;
    connection.query_integer("SELECT count(*) FROM \"public\".sqlite_schema", &[])?;
    Ok(connection)
}

/// Backs a file up as it is at one moment, whoever writes to it meanwhile; false when the backup
/// is there already, or there is no file yet. A half-made one is never left under the name.
///
/// # Errors
/// 58030 when it cannot be written; SQLite's own when the file cannot be read.
pub fn backup(path: &Path, to: &Path) -> Result<bool> {
    if to.exists() || path.metadata().map_or(0, |m| m.len()) == 0 {
        return Ok(false);
    }
    let failed = |e: std::io::Error| {
        let message = format!("cannot write the backup {}", to.display());
        Error::primary(state::IO_ERROR, message).detail(e.to_string())
    };
    let part = lock::beside(to, ".part");
    // Made here, so that the application's rows are nobody else's to read.
    let made = File::options().write(true).create(true).truncate(true).mode(0o600).open(&part);
    drop(made.map_err(failed)?);
    let copied = (|| {
        let source = open(path)?;
        let mut target = rusqlite::Connection::open(&part).map_err(codes::opening)?;
        let backup = Backup::new(&source, &mut target).map_err(codes::opening)?;
        backup.run_to_completion(PAGES, Duration::ZERO, None).map_err(codes::opening)?;
        drop(backup);
        drop(target);
        File::open(&part).and_then(|f| f.sync_all()).map_err(failed)?;
        std::fs::rename(&part, to).map_err(failed)
    })();
    if copied.is_err() {
        // What is left of it is told by the error that follows.
        let _ = std::fs::remove_file(&part);
    }
    copied.map(|()| true)
}

/// The process that holds the lock on the side file.
fn served_by(path: &Path) -> Option<u32> {
    let path = path.canonicalize().ok()?;
    let file = File::open(lock::beside(&path, "-crossfade.lock")).ok()?;
    match Flock::lock(file, FlockArg::LockSharedNonblock) {
        Ok(_) => None,
        Err((mut file, _)) => {
            let mut text = String::new();
            // Who holds it is a help for people; that somebody does is certain.
            let _ = file.read_to_string(&mut text);
            Some(text.trim().parse().unwrap_or(0))
        }
    }
}

/// A private copy of a file; removed when dropped.
#[derive(Debug)]
pub struct Copy {
    folder: PathBuf,
}

impl Copy {
    /// Copies the file at one moment, whoever writes to it meanwhile.
    ///
    /// # Errors
    /// 58030 when it cannot be read or there is no room.
    pub fn of(path: &Path) -> Result<Self> {
        let failed = |e: std::io::Error| {
            Error::primary(state::IO_ERROR, "could not make a folder for a copy")
                .detail(e.to_string())
        };
        let copy = Self { folder: folder().map_err(failed)? };
        let source = open(path)?;
        let mut target = rusqlite::Connection::open(copy.path()).map_err(codes::opening)?;
        let backup = Backup::new(&source, &mut target).map_err(codes::opening)?;
        backup.run_to_completion(PAGES, Duration::ZERO, None).map_err(codes::opening)?;
        Ok(copy)
    }

    /// The copy.
    pub fn path(&self) -> PathBuf {
        self.folder.join("copy.db")
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            tracing::warn!(%error, folder = %self.folder.display(), "a copy was left behind");
        }
    }
}

/// A new folder that only this user can read: the copy holds the application's rows.
fn folder() -> std::io::Result<PathBuf> {
    let mut last = std::io::Error::from(std::io::ErrorKind::AlreadyExists);
    for n in 0..1000 {
        let name = format!("crossfade-{}-{n}", std::process::id());
        let path = std::env::temp_dir().join(name);
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_without_changing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        assert_eq!(look(&path).unwrap(), None);
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (1)").unwrap();
        let before = std::fs::read(&path).unwrap();
        let found = look(&path).unwrap().unwrap();
        assert_eq!((found.tables, found.journal_mode.as_str()), (1, "delete"));
        assert_eq!((found.served_by, found.writable), (None, true));
        let held = super::lock::FileLock::take(&path.canonicalize().unwrap()).unwrap();
        assert_eq!(look(&path).unwrap().unwrap().served_by, Some(std::process::id()));
        drop(held);
        let copy = Copy::of(&path).unwrap();
        let kept = copy.path();
        let copied = rusqlite::Connection::open(&kept).unwrap();
        let rows: i64 = copied.query_row("SELECT count(*) FROM t", [], |r| r.get(0)).unwrap();
        assert_eq!(rows, 1);
        drop((copied, copy));
        assert!(!kept.exists());
        let backed = folder.path().join("backup.db");
        assert!(super::backup(&path, &backed).unwrap());
        let rows = rusqlite::Connection::open(&backed).unwrap();
        assert_eq!(rows.query_row("SELECT count(*) FROM t", [], |r| r.get::<_, i64>(0)), Ok(1));
        assert!(!super::backup(&path, &backed).unwrap());
        assert!(super::backup(&path, Path::new("/no/such/folder/b.db")).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), before);
        std::fs::write(&path, b"this is not a database, and long enough to be told apart").unwrap();
        assert!(look(&path).is_err());
    }
}
