//! Rows a second at most, for everything that reads tables; it may change while they are read.
//!
//! Owns the one limit and what was read under it: all who read share it. It must never sleep
//! itself. Start at [`Limit::ahead`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Time that is made up for.
const CREDIT: Duration = Duration::from_millis(20);

/// The limit.
#[derive(Clone, Debug, Default)]
pub struct Limit(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// 0 for none.
    per_second: AtomicU32,
    line: Mutex<Line>,
}

/// When the rows that were read are paid for.
#[derive(Debug, Default)]
struct Line {
    per_second: u32,
    paid: Option<Instant>,
}

impl Limit {
    /// So many rows a second; 0 for no limit.
    pub fn new(per_second: u32) -> Self {
        let limit = Self::default();
        limit.set(per_second);
        limit
    }

    /// Another limit from now on; what was read before is forgotten.
    pub fn set(&self, per_second: u32) {
        self.0.per_second.store(per_second, Ordering::Release);
    }

    /// How long to wait after so many further rows; None when there is nothing to wait for.
    pub fn ahead(&self, rows: u64) -> Option<Duration> {
        self.ahead_at(Instant::now(), rows)
    }

    #[allow(clippy::cast_precision_loss)]
    fn ahead_at(&self, now: Instant, rows: u64) -> Option<Duration> {
        let per_second = self.0.per_second.load(Ordering::Acquire);
        let mut line = self.0.line.lock();
        if line.per_second != per_second {
            *line = Line { per_second, paid: None };
        }
        if per_second == 0 {
            return None;
        }
        // Idle time is hardly any credit: who comes after a rest would take it all at once. What
        // sleeps take too long is.
        let credit = now.checked_sub(CREDIT).unwrap_or(now);
        let from = line.paid.map_or(now, |paid| paid.max(credit));
        let paid = from + Duration::from_secs_f64(rows as f64 / f64::from(per_second));
        line.paid = Some(paid);
        paid.checked_duration_since(now).filter(|ahead| !ahead.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_keep_to_one_limit_and_to_another_at_once() {
        let second = Duration::from_secs(1);
        let start = Instant::now();
        let limit = Limit::new(1000);
        let other = limit.clone();
        assert_eq!(limit.ahead_at(start, 500), Some(second / 2));
        assert_eq!(other.ahead_at(start, 500), Some(second));
        assert_eq!(limit.ahead_at(start + second / 2, 0), Some(second / 2));
        // A rest is no credit.
        assert_eq!(limit.ahead_at(start + second * 100, 0), None);
        assert_eq!(limit.ahead_at(start + second * 100, 2000), Some(second * 2 - CREDIT));
        // What is owed under the old limit is forgotten.
        other.set(100);
        assert_eq!(limit.ahead_at(start + second * 100, 0), None);
        assert_eq!(limit.ahead_at(start + second * 100, 10), Some(second / 10));
        other.set(0);
        assert_eq!(limit.ahead_at(start + second * 100, 10), None);
    }
}
