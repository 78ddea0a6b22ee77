//! The live numbers: written by the engine, read by every surface. No locks on hot paths.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use super::names;
use metrics::{counter, gauge};

/// Numbers that change all the time. One instance for the whole proxy.
#[derive(Debug, Default)]
pub struct Live {
    /// Last commit's position on the primary.
    pub position: AtomicU64,
    /// Position the shadow has applied.
    pub applied: AtomicU64,
    /// Whether `applied` is known (a shadow is attached and has answered).
    pub applied_known: AtomicBool,
    /// Commit time of the newest applied record, microseconds since 1970.
    pub applied_commit_us: AtomicI64,
    /// Comparisons with a verdict that counts (match, match_normalized, accepted, diverged).
    pub compared: AtomicU64,
    /// Of those, diverged.
    pub diverged: AtomicU64,
    /// Statements that were not compared.
    pub skipped: AtomicU64,
    /// Client sessions now.
    pub sessions: AtomicU64,
    /// Bytes of journal not trimmed yet.
    pub journal_bytes: AtomicU64,
    /// Statement shapes that both dialects accept with another meaning, from sessions that
    /// also send SQL only SQLite has.
    pub ambiguous: AtomicU64,
    /// Commits seen that somebody else made to the SQLite file.
    pub foreign_commits: AtomicU64,
}

/// Lane of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// The effect of a write, compared by the applier.
    Write,
    /// A read at a cut.
    Read,
    /// A statement that failed on the primary.
    Error,
}

impl Live {
    /// Counts a comparison under its verdict (one of [`names::VERDICTS`]).
    pub fn verdict(&self, lane: Lane, verdict: &'static str) {
        let lane = match lane {
            Lane::Write => "write",
            Lane::Read => "read",
            Lane::Error => "error",
        };
        counter!(names::COMPARISONS, "lane" => lane, "verdict" => verdict).increment(1);
        if matches!(verdict, "match" | "match_normalized" | "accepted" | "diverged") {
            self.compared.fetch_add(1, Ordering::Relaxed);
        }
        if verdict == "diverged" {
            self.diverged.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a statement that was not compared, by reason (one of [`names::SKIP_REASONS`]).
    pub fn skipped(&self, lane: Lane, reason: &'static str) {
        self.skipped.fetch_add(1, Ordering::Relaxed);
        self.verdict(lane, "skipped");
        counter!(names::COMPARISON_SKIPPED, "reason" => reason).increment(1);
    }

    /// Commits the shadow is behind; None when unknown, never 0 for unknown.
    pub fn lag_commits(&self) -> Option<u64> {
        self.applied_known.load(Ordering::Acquire).then(|| {
            let applied = self.applied.load(Ordering::Acquire);
            self.position.load(Ordering::Acquire).saturating_sub(applied)
        })
    }

    /// Age of what the shadow lacks: 0 when it lacks nothing, None when unknown. Exact to the
    /// commit times in the journal; while nothing is applied it grows.
    pub fn lag_ms(&self) -> Option<u64> {
        match self.lag_commits()? {
            0 => Some(0),
            _ => {
                let newest = self.applied_commit_us.load(Ordering::Acquire);
                let now = jiff::Timestamp::now().as_microsecond();
                // Before the first batch of this run there is nothing to measure from.
                (newest > 0).then(|| u64::try_from((now - newest) / 1000).unwrap_or(0))
            }
        }
    }

    /// Publishes the numbers that are gauges.
    pub fn publish(&self, lag_seconds: Option<f64>) {
        gauge!(names::JOURNAL_POSITION).set(as_f64(self.position.load(Ordering::Relaxed)));
        gauge!(names::APPLIED_POSITION).set(as_f64(self.applied.load(Ordering::Relaxed)));
        gauge!(names::JOURNAL_BYTES).set(as_f64(self.journal_bytes.load(Ordering::Relaxed)));
        gauge!(names::MIRROR_LAG_COMMITS).set(self.lag_commits().map_or(f64::NAN, as_f64));
        gauge!(names::MIRROR_LAG_SECONDS).set(lag_seconds.unwrap_or(f64::NAN));
    }
}

/// Positions stay far below 2^53.
#[allow(clippy::cast_precision_loss)]
fn as_f64(value: u64) -> f64 {
    value as f64
}
