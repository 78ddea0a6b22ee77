//! Capture of row images by SQLite's pre-update hook.
//!
//! Owns [`Capture`]: what a writing connection's transaction has changed so far. The hook
//! only appends to a buffer; it never runs SQL. Rows of `_crossfade_*` and `sqlite_*`
//! tables, of temporary tables and of virtual tables' shadow tables are not kept. It must
//! never lose an image in silence: whatever goes wrong poisons the transaction, and the
//! counts are checked against SQLite's own. Start at [`Capture::row`].

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::ffi;
use rusqlite::hooks::{Action, PreUpdateCase};
use rusqlite::types::ValueRef;

use super::events::{self, Op};
use super::stream::Stream;
use crate::error::{Error, Result};
use crate::value::CellRef;

/// What the current transaction of one connection has changed.
#[derive(Default)]
pub(super) struct Capture {
    /// A transaction is being recorded.
    enabled: bool,
    /// Row images are left out for the moment (rebuilds, TRUNCATE, CREATE TABLE AS).
    muted: bool,
    /// Encoded events.
    pub(super) stream: Stream,
    /// Hook calls so far.
    seen: Counts,
    /// `seen` and SQLite's total_changes at the last check.
    checked: (Counts, u64),
    /// Tables whose rows are not kept. While there are any, SQLite counts changes that the
    /// hook does not see.
    virtual_tables: VirtualTables,
    /// The first thing that went wrong; the transaction must not commit.
    poison: Option<Error>,
}

/// Names of virtual tables and of the shadow tables behind them.
pub(super) type VirtualTables = Arc<HashSet<String>>;

/// Hook calls by kind.
#[derive(Clone, Copy, Default)]
struct Counts {
    /// Inserts and updates.
    written: u64,
    /// Deletes, the victims of REPLACE included.
    deleted: u64,
}

/// Installs the hook on a connection. Statements compiled before must be forgotten.
pub(super) fn install(conn: &mut rusqlite::Connection) -> Result<Arc<Mutex<Capture>>> {
    let capture = Arc::new(Mutex::new(Capture::default()));
    let target = capture.clone();
    conn.preupdate_hook(Some(
        move |action: Action, database: &str, table: &str, case: &PreUpdateCase| {
            target.lock().row(action, database, table, case);
        },
    ))
    .map_err(super::codes::opening)?;
    Ok(capture)
}

impl Capture {
    /// Starts a transaction's record.
    pub(super) fn begin(&mut self, total_changes: u64, virtual_tables: VirtualTables) {
        self.virtual_tables = virtual_tables;
        self.enabled = true;
        self.muted = false;
        self.poison = None;
        self.stream.restart(0);
        self.rebase(total_changes);
    }

    /// Ends the record and forgets what is left of it.
    pub(super) fn end(&mut self) {
        self.enabled = false;
        self.muted = false;
        self.poison = None;
        self.stream.restart(0);
    }

    /// Switches images off or on; notes are kept either way.
    pub(super) fn mute(&mut self, muted: bool, total_changes: u64) {
        self.muted = muted;
        self.rebase(total_changes);
    }

    /// Appends an event.
    pub(super) fn push(&mut self, event: &events::Event) {
        event.encode(self.stream.memory());
        self.settle();
    }

    /// Remembers a fault: the transaction must not commit.
    pub(super) fn fail(&mut self, error: Error) {
        self.poison.get_or_insert(error);
    }

    /// The fault that forbids the commit.
    pub(super) fn fault(&self) -> Result<()> {
        self.poison.clone().map_or(Ok(()), Err)
    }

    /// Takes the counts as they are, after a failed statement or ROLLBACK TO.
    pub(super) fn rebase(&mut self, total_changes: u64) {
        self.checked = (self.seen, total_changes);
    }

    /// Compares the images since the last check with the rows SQLite says it changed. It
    /// does not count the victims of REPLACE, so there may be more deletes than it says;
    /// and it counts a statement only when it is done, so a check in the middle of one
    /// waits for the next (unless it is the `last`).
    pub(super) fn check(&mut self, total_changes: u64, last: bool) {
        let (before, total) = self.checked;
        let changed = total_changes.saturating_sub(total);
        let written = self.seen.written - before.written;
        let deleted = self.seen.deleted - before.deleted;
        let early = written > changed;
        if early && !last {
            return;
        }
        if early || (changed > written + deleted && self.virtual_tables.is_empty()) {
            self.fail(Error::internal("captured row images do not match the rows changed").detail(
                format!(
                    "SQLite changed {changed} rows; captured were {written} inserts and updates \
                     and {deleted} deletes."
                ),
            ));
        }
        self.rebase(total_changes);
    }

    /// The hook: counts the change and appends its images.
    fn row(&mut self, action: Action, database: &str, table: &str, case: &PreUpdateCase) {
        match action {
            Action::SQLITE_DELETE => self.seen.deleted += 1,
            _ => self.seen.written += 1,
        }
        if !self.enabled || self.muted || self.poison.is_some() || !self.kept(database, table) {
            return;
        }
        if let Err(error) = self.append(table, case) {
            self.fail(error);
        }
        self.settle();
    }

    fn kept(&self, database: &str, table: &str) -> bool {
        let main = database == "public" || database == "main";
        main && !super::is_internal(table)
            && (self.virtual_tables.is_empty() || !self.virtual_tables.contains(table))
    }

    fn append(&mut self, table: &str, case: &PreUpdateCase) -> Result<()> {
        let out = self.stream.memory();
        let start = match case {
            PreUpdateCase::Insert(new) => {
                let rowid = new.get_new_row_id();
                let depth = depth(new.get_query_depth());
                let start = events::begin_row(out, table, Op::Insert, depth, (rowid, rowid));
                events::put_number(out, 0);
                cells(out, new.get_column_count(), |i| new.get_new_column_value(i))?;
                start
            }
            PreUpdateCase::Delete(old) => {
                let rowid = old.get_old_row_id();
                let depth = depth(old.get_query_depth());
                let start = events::begin_row(out, table, Op::Delete, depth, (rowid, rowid));
                cells(out, old.get_column_count(), |i| old.get_old_column_value(i))?;
                events::put_number(out, 0);
                start
            }
            PreUpdateCase::Update { old_value_accessor: old, new_value_accessor: new } => {
                let rowid = (old.get_old_row_id(), new.get_new_row_id());
                let depth = depth(old.get_query_depth());
                let start = events::begin_row(out, table, Op::Update, depth, rowid);
                cells(out, old.get_column_count(), |i| old.get_old_column_value(i))?;
                cells(out, new.get_column_count(), |i| new.get_new_column_value(i))?;
                start
            }
            PreUpdateCase::Unknown => {
                return Err(Error::internal("sqlite reported an unknown kind of row change"));
            }
        };
        events::end(out, start);
        Ok(())
    }

    fn settle(&mut self) {
        if let Err(error) = self.stream.settle() {
            self.fail(error);
        }
    }
}

fn depth(depth: i32) -> u16 {
    u16::try_from(depth).unwrap_or(u16::MAX)
}

fn cells<'a>(
    out: &mut Vec<u8>,
    count: i32,
    value: impl Fn(i32) -> rusqlite::Result<ValueRef<'a>>,
) -> Result<()> {
    events::put_number(out, u64::try_from(count).unwrap_or(0));
    for i in 0..count {
        let cell = match value(i) {
            Ok(ValueRef::Null) => Some(CellRef::Null),
            Ok(ValueRef::Integer(v)) => Some(CellRef::Integer(v)),
            Ok(ValueRef::Real(v)) => Some(CellRef::Real(v)),
            Ok(ValueRef::Text(t)) => Some(CellRef::Text(t)),
            Ok(ValueRef::Blob(b)) => Some(CellRef::Blob(b)),
            // A virtual generated column is not stored: out of the record's range.
            Err(rusqlite::Error::SqliteFailure(e, _)) if e.extended_code == ffi::SQLITE_RANGE => {
                None
            }
            Err(e) => return Err(super::codes::opening(e)),
        };
        events::put_cell(out, cell);
    }
    Ok(())
}
