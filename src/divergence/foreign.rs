//! Foreign commits on the SQLite file: those that no verify has covered, also over a restart.
//!
//! Owns their number, and the mark by which a file is known again that nobody served meanwhile.
//! Unknown is not none, but what a proxy killed with -9 left behind can only be told where its
//! log is gone. Start at [`Store::arrive`] and [`Store::note_foreign`].

use serde::{Deserialize, Serialize};

use super::file::Line;
use super::store::Store;
use crate::backend::sqlite::Found;
use crate::error::Result;

/// A SQLite file that was left with everything in it: its log was empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    bytes: u64,
    modified_ns: i64,
}

impl Mark {
    fn of(found: &Found) -> Option<Self> {
        let Found { bytes, modified_ns, wal_bytes } = *found;
        (wal_bytes.unwrap_or(0) == 0).then_some(Self { bytes, modified_ns })
    }
}

/// How a proxy left the file before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Left {
    /// There was none, or it could not say.
    #[default]
    Unknown,
    /// It was killed, or crashed.
    Serving,
    /// In order.
    As(Mark),
}

impl Left {
    pub(super) fn replay(ended: bool, mark: Option<Mark>) -> Self {
        match (ended, mark) {
            (false, _) => Self::Serving,
            (true, None) => Self::Unknown,
            (true, Some(mark)) => Self::As(mark),
        }
    }

    pub(super) fn line(self) -> Line {
        let mark = match self {
            Self::Unknown | Self::Serving => None,
            Self::As(mark) => Some(mark),
        };
        Line::Left { v: Line::VERSION, ended: self != Self::Serving, mark }
    }

    /// Whether somebody else may have written the file since. A proxy keeps its log open to its
    /// end: who takes the log away was the last to close the file, after it.
    fn written_since(self, found: &Found) -> bool {
        match self {
            Self::Unknown => false,
            Self::Serving => found.wal_bytes.is_none(),
            Self::As(mark) => Mark::of(found) != Some(mark),
        }
    }
}

/// Foreign commits, as they are counted.
#[derive(Debug, Default)]
pub(super) struct Foreign {
    /// Of this process, as the SQLite back end counts them.
    seen: u64,
    /// All, with those open at start.
    total: u64,
    /// Those that a verify has covered.
    covered: u64,
    /// Those before the cut of every table that PostgreSQL has a copy of.
    copied: u64,
}

impl Foreign {
    pub(super) fn open(&self) -> u64 {
        self.total - self.covered
    }

    /// What an older version noted says nothing of a copy: none of them is in it.
    pub(super) fn replay(&mut self, open: u64, uncopied: Option<u64>) {
        let copied = open.saturating_sub(uncopied.unwrap_or(open));
        *self = Self { total: open, copied, ..Self::default() };
    }

    pub(super) fn line(&self) -> Line {
        let uncopied = Some(self.total - self.copied.max(self.covered));
        Line::Foreign { v: Line::VERSION, open: self.open(), uncopied }
    }
}

impl Store {
    /// Compares the file that was found at start with how it was left; whether it may have been
    /// written in between. From here on it counts as being served.
    ///
    /// # Errors
    /// 58030: an end of this process could not be told from the one before.
    pub fn arrive(&self, found: Option<Found>) -> Result<bool> {
        let mut inner = self.inner.lock();
        let written = found.is_some_and(|found| inner.left.written_since(&found));
        if written {
            inner.foreign.total += 1;
            let line = inner.foreign.line();
            inner.try_append(&line, false)?;
        }
        inner.left = Left::Serving;
        inner.try_append(&Left::Serving.line(), true)?;
        Ok(written)
    }

    /// This process leaves the file like this, and writes it no more; None: it cannot say.
    pub fn leave(&self, found: Option<&Found>) {
        let mut inner = self.inner.lock();
        inner.left = found.and_then(Mark::of).map_or(Left::Unknown, Left::As);
        let line = inner.left.line();
        inner.append(&line, true);
    }

    /// Notes the foreign commits that this process has seen so far; durable, before they are
    /// forgotten with it. How many no verify has covered.
    pub fn note_foreign(&self, seen: u64) -> u64 {
        let mut inner = self.inner.lock();
        let new = seen.saturating_sub(inner.foreign.seen);
        if new > 0 {
            inner.foreign.seen = seen;
            inner.foreign.total += new;
            let line = inner.foreign.line();
            inner.append(&line, true);
        }
        inner.foreign.open()
    }

    /// A verify of every table begins: what is to be covered when it ends well.
    pub fn foreign_total(&self) -> u64 {
        self.inner.lock().foreign.total
    }

    /// Whether some of the first `total` may be missing on PostgreSQL: they came after a copy, and
    /// no journal has what they wrote.
    pub fn is_uncopied(&self, total: u64) -> bool {
        let inner = self.inner.lock();
        total > inner.foreign.copied.max(inner.foreign.covered)
    }

    /// No copy of a table from before the first `total` of them is kept any more.
    pub fn copies_foreign(&self, total: u64) {
        let mut inner = self.inner.lock();
        if total > inner.foreign.copied {
            inner.foreign.copied = total;
            let line = inner.foreign.line();
            inner.append(&line, true);
        }
    }

    /// A verify of every table that began at this total has ended well.
    pub fn cover_foreign(&self, total: u64) {
        let mut inner = self.inner.lock();
        if total > inner.foreign.covered {
            inner.foreign.covered = total;
            let line = inner.foreign.line();
            inner.append(&line, true);
        }
    }
}

impl Drop for Store {
    /// An end in order that could not leave the file as it should: its log is closed with it.
    fn drop(&mut self) {
        let serving = self.inner.get_mut().left == Left::Serving;
        if serving {
            self.leave(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::redact::KeepValues;
    use super::*;

    fn found(modified_ns: i64, wal_bytes: Option<u64>) -> Found {
        Found { bytes: 4096, modified_ns, wal_bytes }
    }

    #[test]
    fn they_are_known_after_a_restart_until_a_verify_covers_them() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Store::open(&folder.path().join("app.db"), 9, KeepValues::Full).unwrap();
        let store = open();
        assert!(!store.arrive(Some(found(1, None))).unwrap(), "there was nobody before");
        assert_eq!(store.note_foreign(2), 2);
        drop(store);
        let store = open();
        assert_eq!(store.note_foreign(0), 2);
        let before = store.foreign_total();
        assert_eq!(store.note_foreign(1), 3);
        store.cover_foreign(before);
        assert_eq!(store.note_foreign(1), 1, "one came while verify looked");
        drop(store);
        let store = open();
        assert_eq!(store.note_foreign(0), 1);
        store.cover_foreign(store.foreign_total());
        drop(store);
        assert_eq!(open().note_foreign(0), 0);
    }

    #[test]
    fn a_copy_after_them_has_them() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Store::open(&folder.path().join("app.db"), 9, KeepValues::Full).unwrap();
        let store = open();
        store.note_foreign(2);
        assert!(store.is_uncopied(2));
        store.copies_foreign(2);
        assert!(!store.is_uncopied(2));
        store.note_foreign(3);
        drop(store);
        // Still open for the gate, and one of them not copied.
        let store = open();
        assert_eq!((store.foreign_total(), store.is_uncopied(2)), (3, false));
        assert!(store.is_uncopied(3));
        store.cover_foreign(3);
        assert!(!store.is_uncopied(3));
    }

    #[test]
    fn a_file_is_known_again() {
        let folder = tempfile::tempdir().unwrap();
        let arrive = |left: Option<Found>, now: Found| {
            let file = folder.path().join("app.db");
            let store = Store::open(&file, 9, KeepValues::Full).unwrap();
            store.arrive(None).unwrap();
            match left {
                Some(left) => store.leave(Some(&left)),
                // Killed.
                None => std::mem::forget(store),
            }
            Store::open(&file, 9, KeepValues::Full).unwrap().arrive(Some(now)).unwrap()
        };
        let left = || Some(found(7, Some(0)));
        assert!(!arrive(left(), found(7, None)), "somebody has read it");
        assert!(!arrive(left(), found(7, Some(0))));
        assert!(arrive(left(), found(8, None)), "somebody has written it");
        assert!(arrive(left(), found(7, Some(4152))), "somebody writes it");
        // Killed: its log is there, unless somebody else has opened the file since.
        assert!(!arrive(None, found(9, Some(4152))));
        // It ended in order, and somebody still read: its log may go.
        assert!(!arrive(Some(found(9, Some(4152))), found(9, None)));
        assert!(arrive(None, found(9, None)));
    }
}
