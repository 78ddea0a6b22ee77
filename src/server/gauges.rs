//! Gauges that are computed, not counted: set when somebody asks how it stands.

use jiff::Timestamp;
use metrics::gauge;

use crate::config::Config;
use crate::session::{Doing, Shared};
use crate::telemetry::names;

/// Sessions by state.
#[allow(clippy::cast_precision_loss)]
pub(super) fn sessions(shared: &Shared) {
    let mut counts = [("idle", 0_u32), ("active", 0), ("in_transaction", 0), ("waiting", 0)];
    for card in &shared.sessions {
        let at = match card.doing() {
            Doing::Idle => 0,
            Doing::Active => 1,
            Doing::InTransaction => 2,
            Doing::Waiting => 3,
        };
        counts[at].1 += 1;
    }
    for (state, count) in counts {
        gauge!(names::SESSIONS, "state" => state).set(f64::from(count));
    }
}

/// Age of the oldest proof over every table; NaN when there is none.
#[allow(clippy::cast_precision_loss)]
pub(super) fn verified(at: Option<&str>, proven: bool) {
    let age = at
        .filter(|_| proven)
        .and_then(|at| at.parse::<Timestamp>().ok())
        .map(|at| Timestamp::now().duration_since(at).as_secs() as f64);
    gauge!(names::VERIFY_AGE).set(age.unwrap_or(f64::NAN));
}

/// Bounds that something measured can reach.
#[allow(clippy::cast_precision_loss)]
pub(super) fn limits(config: &Config) {
    let limits = [
        ("listen.max_sessions", u64::from(config.listen.max_sessions.get())),
        ("mirror.journal_bytes_max", config.mirror.journal_bytes_max.get()),
        ("postgres.way_back_bytes_max", config.postgres.way_back_bytes_max.get()),
        ("divergence.keep", u64::from(config.divergence.keep.get())),
        ("cutover.lag_ms", u64::from(*config.cutover.lag_ms)),
        ("cutover.pause_budget_ms", u64::from(config.cutover.pause_budget_ms.get())),
        ("cutover.verified_hours", u64::from(config.cutover.verified_hours.get())),
    ];
    for (name, limit) in limits {
        gauge!(names::CONFIG_LIMIT, "name" => name).set(limit as f64);
    }
}
