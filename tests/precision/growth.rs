//! What must not grow while it runs: the journal, SQLite's WAL, what PostgreSQL must keep for the
//! oldest snapshot.
//!
//! Owns the largest of each that was seen. Start at [`Growth::look`].

use crate::common::{Journey, Pg};

/// What the journal may hold; beyond it mirroring would end, and the test with it.
pub const JOURNAL_MAX: &str = "64MB";
/// The WAL, while readers come and go.
const WAL_MAX: u64 = 64 << 20;
/// The journal when PostgreSQL is level: what one look at PostgreSQL's flushed position leaves.
const LEVEL_MAX: u64 = 1 << 20;
/// Seconds that a snapshot is held; told by a soak, which has the machine for itself.
const HELD_MAX: f64 = 60.0;

#[derive(Debug, Default)]
pub struct Growth {
    journal: u64,
    wal: u64,
    /// Transactions of PostgreSQL since the oldest snapshot.
    xids: u64,
    /// Seconds since the oldest transaction began.
    held: f64,
    looks: u64,
}

impl Growth {
    /// Looks; PostgreSQL must be up.
    pub fn look(&mut self, journey: &Journey, pg: &Pg) {
        self.looks += 1;
        self.journal = self.journal.max(journal(journey));
        let mut wal = journey.proxy.file.clone().into_os_string();
        wal.push("-wal");
        self.wal = self.wal.max(std::fs::metadata(wal).map_or(0, |m| m.len()));
        let sql = format!(
            "SELECT coalesce(max(age(backend_xmin)), 0), \
             coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0) \
             FROM pg_stat_activity WHERE datname = '{}' AND pid <> pg_backend_pid()",
            journey.database
        );
        let Ok(answer) = pg.cluster.psql("postgres", &sql) else { return };
        let mut found = answer.split('|');
        let mut next = || found.next().unwrap_or_default().parse().unwrap_or(0.0);
        let (xids, held): (f64, f64) = (next(), next());
        self.xids = self.xids.max(xids as u64);
        self.held = self.held.max(held);
    }

    /// Holds what was seen against what was promised; PostgreSQL is level now.
    pub fn judge(&self, journey: &Journey, soak: bool) {
        println!(
            "in {} looks at most: journal {} kB, WAL {} kB, oldest snapshot {} transactions, {:.1} s",
            self.looks,
            self.journal >> 10,
            self.wal >> 10,
            self.xids,
            self.held
        );
        assert!(self.wal <= WAL_MAX, "the WAL grew to {} bytes", self.wal);
        assert!(!soak || self.held <= HELD_MAX, "a snapshot was held for {} s", self.held);
        crate::common::eventually("the journal is trimmed", || journal(journey) <= LEVEL_MAX);
    }
}

fn journal(journey: &Journey) -> u64 {
    journey.status("journal_bytes").parse().unwrap_or_default()
}
