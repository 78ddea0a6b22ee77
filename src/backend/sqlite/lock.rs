//! One proxy for each SQLite file.
//!
//! Owns the OS lock on the side file `<file>-crossfade.lock`. The lock ends with the
//! process, however it ends; the side file stays (removing it would race with the next
//! proxy). It must never open the database file itself: closing that would drop SQLite's
//! own locks. Start at [`FileLock::take`].

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::error::{Error, Result, state};

/// Held while this process serves the file.
#[derive(Debug)]
pub(super) struct FileLock {
    _lock: Flock<File>,
}

impl FileLock {
    /// Takes the lock or says who has it (55006).
    pub(super) fn take(database: &Path) -> Result<Self> {
        let path = beside(database, "-crossfade.lock");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|e| {
                Error::primary(
                    state::IO_ERROR,
                    "could not open the lock file beside the SQLite file",
                )
                .detail(format!("{e}."))
            })?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut lock) => {
                // The number is a help for people; a failure to write it changes nothing.
                let _ = lock.set_len(0);
                let _ = lock.seek(SeekFrom::Start(0));
                let _ = writeln!(lock, "{}", std::process::id());
                Ok(Self { _lock: lock })
            }
            Err((mut file, Errno::EWOULDBLOCK)) => {
                let mut text = String::new();
                let _ = file.read_to_string(&mut text);
                let error = Error::primary(
                    state::OBJECT_IN_USE,
                    "another crossfade proxy serves this SQLite file",
                )
                .hint("Stop the other proxy first; two proxies on one file would lose writes.");
                Err(match text.trim().parse::<u32>() {
                    Ok(pid) => error.detail(format!("It runs as process {pid}.")),
                    Err(_) => error,
                })
            }
            Err((_, e)) => Err(Error::primary(
                state::IO_ERROR,
                "could not lock the side file of the SQLite file",
            )
            .detail(format!("{e}."))),
        }
    }
}

/// A path beside the database: its whole name with a suffix.
pub(super) fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_lock_is_refused_until_the_first_ends() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let first = FileLock::take(&path).unwrap();
        let error = FileLock::take(&path).unwrap_err();
        assert_eq!(error.sqlstate(), state::OBJECT_IN_USE);
        let detail = error.fields().detail.clone().unwrap();
        assert!(detail.contains(&std::process::id().to_string()), "{detail}");
        drop(first);
        FileLock::take(&path).unwrap();
    }
}
