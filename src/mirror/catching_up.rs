//! Catching up beside clients: far behind, the applier leaves them time as long as the lag falls.
//!
//! Owns the share of its time that it leaves. It must never sleep itself, and never leave so much
//! that the lag no longer falls. Start at [`CatchingUp::share`].

use std::time::{Duration, Instant};

/// Lag from which it counts as catching up: below, there is little to leave.
const FAR: u64 = 2000;
/// Time between two looks at the lag.
const LOOK: Duration = Duration::from_secs(1);
/// What the lag must lose from look to look for the share to stay: two percent, so that a minute is
/// enough, whatever the rate.
const FALLS: f64 = 0.98;
/// And for more to be left.
const FALLS_FAST: f64 = 0.95;
/// How often the applier itself asks for a reader in one batch: what is more comes from clients.
const OWN: u64 = 4;
/// Rest for each unit of work, at least and at most.
const SHARE: (f64, f64) = (0.1, 1.0);

/// How much is left to clients.
pub(super) struct CatchingUp {
    share: f64,
    seen: Option<(Instant, u64)>,
    asked: u64,
}

impl Default for CatchingUp {
    fn default() -> Self {
        Self { share: SHARE.1, seen: None, asked: 0 }
    }
}

impl CatchingUp {
    /// How long to rest for each unit of work in the next batch, `lag` commits behind, when clients
    /// have asked so often; None when there is nothing to leave, or nobody to leave it to.
    pub(super) fn share(&mut self, lag: u64, asked: u64) -> Option<f64> {
        self.share_at(Instant::now(), lag, asked)
    }

    #[allow(clippy::cast_precision_loss)]
    fn share_at(&mut self, now: Instant, lag: u64, asked: u64) -> Option<f64> {
        let before = std::mem::replace(&mut self.asked, asked);
        let quiet = asked.saturating_sub(before) <= OWN;
        if lag <= FAR {
            *self = Self { asked, ..Self::default() };
            return None;
        }
        match self.seen {
            Some((at, before)) if now.duration_since(at) >= LOOK => {
                let kept = lag as f64 / before.max(1) as f64;
                let times = if kept > FALLS {
                    0.5
                } else if kept < FALLS_FAST {
                    1.5
                } else {
                    1.0
                };
                // From nothing it could not grow.
                self.share = (self.share * times).clamp(SHARE.0 / 2.0, SHARE.1);
                self.seen = Some((now, lag));
            }
            None => self.seen = Some((now, lag)),
            Some(_) => {}
        }
        let leaves = !quiet && self.share >= SHARE.0;
        leaves.then_some(self.share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORK: Duration = Duration::from_millis(20);

    /// Clients who commit so often, an applier that can so many a second: the lag after a minute.
    fn after_a_minute(clients: f64, applier: f64, busy: bool) -> (f64, f64) {
        let (mut lag, mut now, mut asked, mut left) = (100_000.0, Instant::now(), 0, 0.0);
        let mut catching_up = CatchingUp::default();
        let end = now + Duration::from_secs(60);
        while now < end {
            asked += if busy { 100 } else { OWN };
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let share = catching_up.share_at(now, lag as u64, asked).unwrap_or_default();
            let pause = WORK.mul_f64(share);
            let step = WORK + pause;
            lag = (lag + clients * step.as_secs_f64() - applier * WORK.as_secs_f64()).max(0.0);
            left += pause.as_secs_f64();
            now += step;
        }
        (lag, left / 60.0)
    }

    #[test]
    fn the_lag_falls_whatever_clients_do() {
        // Much to spare: half of the time is theirs until it has caught up.
        let (lag, left) = after_a_minute(1000.0, 10_000.0, true);
        assert!(lag < 5000.0 && left > 0.1, "{lag} {left}");
        // Hardly any: it takes what it needs.
        let (lag, left) = after_a_minute(8000.0, 10_000.0, true);
        assert!(lag < 60_000.0 && left < 0.2, "{lag} {left}");
        // Nobody there.
        let (lag, left) = after_a_minute(0.0, 10_000.0, false);
        assert!(lag < 1.0 && left == 0.0, "{lag} {left}");
    }

    #[test]
    fn close_behind_nothing_is_left() {
        let mut catching_up = CatchingUp::default();
        assert_eq!(catching_up.share(FAR, 100), None);
        assert_eq!(catching_up.share(FAR + 1, 200), Some(SHARE.1));
        assert_eq!(catching_up.share(FAR + 1, 200 + OWN), None);
    }
}
