//! What SQLite's dialect asks a connection for: the last row inserted and the rows changed.
//!
//! SQLite keeps these for each connection; a session's writes share one connection with those
//! of others, so the session keeps its own. Start at [`Counted::wrote`].

/// last_insert_rowid(), changes(), total_changes().
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counted {
    /// Row number of the last INSERT.
    pub(super) rowid: i64,
    /// Rows changed by the last statement that changes rows.
    pub(super) changes: i64,
    /// Rows changed since the session began.
    pub(super) total: i64,
}

impl Counted {
    /// A statement has changed rows; `rowid` when it has inserted some.
    pub(super) fn wrote(&mut self, changed: u64, rowid: Option<i64>) {
        self.changes = i64::try_from(changed).unwrap_or(i64::MAX);
        self.total = self.total.saturating_add(self.changes);
        self.rowid = rowid.unwrap_or(self.rowid);
    }
}
