//! How long each step of a switch may take, and what it may use.
//!
//! Owns the limits as the configuration gives them. It must never wait or measure anything. Start
//! at [`Limits`].

use std::time::Duration;

use crate::backfill::Workers;
use crate::config;

/// Limits of the steps, from `[cutover]`.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Until everything is ready for a switch.
    pub precheck: Duration,
    /// Until the lag is small.
    pub slow: Duration,
    /// Until open transactions have ended.
    pub drain: Duration,
    /// Whether those still open then are cancelled.
    pub drain_cancel: bool,
    /// Until the journal is applied.
    pub catch_up: Duration,
    /// For looking at the keys changed last.
    pub final_check: Duration,
    /// For the decision's answer.
    pub decide: Duration,
    /// Until the application's back ends on PostgreSQL have ended.
    pub fence: Duration,
    /// Until sessions have left PostgreSQL.
    pub route: Duration,
    /// Longest wait of a client that a rehearsal may show.
    pub pause_budget: Duration,
    /// How long no other program may have written the file when copying starts.
    pub quiet: Duration,
    /// How much of a copy is done at once.
    pub workers: Workers,
    /// How the way back learns what PostgreSQL commits.
    pub way_back: config::WayBack,
    /// What PostgreSQL may keep for the way back, at most.
    pub kept_bytes: u64,
    /// How many server sessions clients share on PostgreSQL; None: each has its own.
    pub shared_by: Option<usize>,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            precheck: seconds(30),
            slow: seconds(5),
            drain: seconds(5),
            drain_cancel: false,
            catch_up: seconds(5),
            final_check: seconds(3),
            decide: seconds(1),
            fence: seconds(3),
            route: seconds(3),
            pause_budget: seconds(2),
            quiet: Duration::ZERO,
            workers: Workers::of_machine(),
            way_back: config::WayBack::Auto,
            kept_bytes: 16 << 30,
            shared_by: None,
        }
    }
}
