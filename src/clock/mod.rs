//! Time and randomness behind a handle, so that tests can set both.
//!
//! Owns [`Clock`]. Code outside this module never asks the system for the time or for
//! random bytes by itself. It must never be used by the pure layer (error, value,
//! schema, sql, config): those are given values. Start at [`Clock`].

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use tokio::sync::Notify;

/// Microseconds between 1970-01-01 and 2000-01-01, PostgreSQL's epoch.
pub const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;

/// A source of time and randomness; cheap to clone, clones share one source.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System,
    Manual(Arc<Manual>),
}

struct Manual {
    base: Instant,
    state: Mutex<ManualState>,
    moved: Notify,
}

struct ManualState {
    unix_micros: i64,
    elapsed: Duration,
    random: StdRng,
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Source::System => "Clock(system)",
            Source::Manual(_) => "Clock(manual)",
        })
    }
}

impl Clock {
    /// The machine's clock and the operating system's random numbers.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still until [`Clock::advance`], with random numbers from a seed.
    pub fn manual(unix_micros: i64, seed: u64) -> Self {
        Self(Source::Manual(Arc::new(Manual {
            base: Instant::now(),
            state: Mutex::new(ManualState {
                unix_micros,
                elapsed: Duration::ZERO,
                random: StdRng::seed_from_u64(seed),
            }),
            moved: Notify::new(),
        })))
    }

    /// Wall-clock time in microseconds since 1970-01-01 UTC.
    pub fn unix_micros(&self) -> i64 {
        match &self.0 {
            Source::System => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .ok()
                .and_then(|d| i64::try_from(d.as_micros()).ok())
                .unwrap_or(0),
            Source::Manual(m) => m.state.lock().unix_micros,
        }
    }

    /// Wall-clock time in microseconds since 2000-01-01 UTC, as PostgreSQL counts.
    pub fn postgres_micros(&self) -> i64 {
        self.unix_micros() - POSTGRES_EPOCH_MICROS
    }

    /// Monotonic time, for durations and deadlines.
    pub fn instant(&self) -> Instant {
        match &self.0 {
            Source::System => Instant::now(),
            Source::Manual(m) => m.base + m.state.lock().elapsed,
        }
    }

    /// Waits for `duration` of this clock's monotonic time.
    pub async fn sleep(&self, duration: Duration) {
        match &self.0 {
            Source::System => tokio::time::sleep(duration).await,
            Source::Manual(m) => {
                let end = self.instant() + duration;
                loop {
                    let moved = m.moved.notified();
                    if self.instant() >= end {
                        return;
                    }
                    moved.await;
                }
            }
        }
    }

    /// Fills `bytes` with random bytes fit for keys (except on a manual clock).
    pub fn random_bytes(&self, bytes: &mut [u8]) {
        match &self.0 {
            Source::System => rand::rng().fill_bytes(bytes),
            Source::Manual(m) => m.state.lock().random.fill_bytes(bytes),
        }
    }

    /// A random 64-bit number.
    pub fn random_u64(&self) -> u64 {
        match &self.0 {
            Source::System => rand::rng().next_u64(),
            Source::Manual(m) => m.state.lock().random.next_u64(),
        }
    }

    /// A random number in `0.0..1.0`.
    pub fn random_unit(&self) -> f64 {
        match &self.0 {
            Source::System => rand::rng().random(),
            Source::Manual(m) => m.state.lock().random.random(),
        }
    }

    /// Moves a manual clock forward and wakes its sleepers; the system clock ignores it.
    pub fn advance(&self, duration: Duration) {
        if let Source::Manual(m) = &self.0 {
            let mut state = m.state.lock();
            state.elapsed += duration;
            let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
            state.unix_micros = state.unix_micros.saturating_add(micros);
            drop(state);
            m.moved.notify_waiters();
        }
    }

    /// Sets a manual clock's wall time; monotonic time is untouched.
    pub fn set_unix_micros(&self, unix_micros: i64) {
        if let Source::Manual(m) = &self.0 {
            m.state.lock().unix_micros = unix_micros;
        }
    }
}

/// A count that begins anew with each minute.
#[derive(Debug)]
pub struct PerMinute {
    clock: Clock,
    minute: AtomicI64,
    count: AtomicU64,
}

impl PerMinute {
    /// Nothing counted yet.
    pub fn new(clock: &Clock) -> Self {
        let (minute, count) = (AtomicI64::new(0), AtomicU64::new(0));
        Self { clock: clock.clone(), minute, count }
    }

    /// Counts one; how many there were in this minute.
    pub fn count(&self) -> u64 {
        let minute = self.clock.unix_micros() / 60_000_000;
        if self.minute.swap(minute, Ordering::Relaxed) != minute {
            self.count.store(0, Ordering::Relaxed);
        }
        self.count.fetch_add(1, Ordering::Relaxed) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_manual_clock_moves_only_when_told() {
        let clock = Clock::manual(1_000_000, 7);
        let start = clock.instant();
        assert_eq!(clock.unix_micros(), 1_000_000);
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep(Duration::from_secs(5)).await }
        });
        tokio::task::yield_now().await;
        clock.advance(Duration::from_secs(4));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance(Duration::from_secs(1));
        sleeper.await.unwrap();
        assert_eq!(clock.unix_micros(), 6_000_000);
        assert_eq!(clock.instant() - start, Duration::from_secs(5));
    }

    #[test]
    fn equal_seeds_give_equal_numbers() {
        let (a, b) = (Clock::manual(0, 3), Clock::manual(0, 3));
        assert_eq!(a.random_u64(), b.random_u64());
        let unit = a.random_unit();
        assert!((0.0..1.0).contains(&unit));
    }

    #[test]
    fn a_count_begins_anew_with_each_minute() {
        let clock = Clock::manual(0, 1);
        let count = PerMinute::new(&clock);
        assert_eq!((count.count(), count.count()), (1, 2));
        clock.advance(Duration::from_secs(60));
        assert_eq!(count.count(), 1);
    }
}
