//! The SQLite file as its folder shows it, to know again whether somebody else has written it.
//!
//! It must never open the file: that may change what it looks at. Start at [`Found::of`].

use std::ffi::OsString;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Size and time of the file, and its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Bytes of the file.
    pub bytes: u64,
    /// Last change, nanoseconds since 1970.
    pub modified_ns: i64,
    /// Bytes of its write-ahead log; None when there is no such file.
    pub wal_bytes: Option<u64>,
}

impl Found {
    /// Looks at a file; None when it is not there.
    pub fn of(path: &Path) -> Option<Self> {
        let file = std::fs::metadata(path).ok()?;
        let mut wal = OsString::from(path);
        wal.push("-wal");
        Some(Self {
            bytes: file.len(),
            modified_ns: modified_ns(&file),
            wal_bytes: std::fs::metadata(PathBuf::from(wal)).ok().map(|wal| wal.len()),
        })
    }
}

fn modified_ns(file: &Metadata) -> i64 {
    file.mtime().saturating_mul(1_000_000_000).saturating_add(file.mtime_nsec())
}
