//! What the clients count, and what an act reads of it.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Waits kept for one interval; more are counted but not kept.
const WAITS_MAX: usize = 4_000_000;
/// Error texts kept for one interval.
const TEXTS_MAX: usize = 5;

/// What the clients saw in a stretch of time.
#[derive(Clone, Debug)]
pub(in crate::demo) struct Interval {
    /// When it began.
    began: Instant,
    /// How long it lasted.
    pub(in crate::demo) took: Duration,
    /// Acknowledged commits.
    pub(in crate::demo) commits: u64,
    /// Transactions the application itself gave up: no stock, no money.
    pub(in crate::demo) declined: u64,
    /// Statements answered.
    pub(in crate::demo) statements: u64,
    /// Errors that an application would see.
    pub(in crate::demo) errors: u64,
    /// Attempts to connect anew.
    pub(in crate::demo) reconnects: u64,
    /// Answers that contradict themselves.
    pub(in crate::demo) wrong: u64,
    /// The first errors, in words.
    pub(in crate::demo) texts: Vec<String>,
    /// Waits for single statements, in microseconds.
    waits: Vec<u32>,
}

impl Default for Interval {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            took: Duration::ZERO,
            commits: 0,
            declined: 0,
            statements: 0,
            errors: 0,
            reconnects: 0,
            wrong: 0,
            texts: Vec::new(),
            waits: Vec::new(),
        }
    }
}

impl Interval {
    /// Acknowledged commits a second.
    #[allow(clippy::cast_precision_loss)]
    pub(in crate::demo) fn rate(&self) -> f64 {
        self.commits as f64 / self.took.as_secs_f64().max(0.001)
    }

    /// The longest wait for a statement, in milliseconds.
    pub(in crate::demo) fn longest_ms(&self) -> f64 {
        self.waits.iter().max().map_or(0.0, |us| f64::from(*us) / 1000.0)
    }

    /// The wait that 99 of 100 statements stay below, in milliseconds.
    pub(in crate::demo) fn p99_ms(&self) -> f64 {
        let mut waits = self.waits.clone();
        let at = waits.len() * 99 / 100;
        if at >= waits.len() {
            return 0.0;
        }
        f64::from(*waits.select_nth_unstable(at).1) / 1000.0
    }

    /// `0 failed, 0 reconnects`, or what happened.
    pub(in crate::demo) fn trouble(&self) -> Option<String> {
        if self.errors == 0 && self.reconnects == 0 && self.wrong == 0 {
            return None;
        }
        let texts = self.texts.join("; ");
        let (errors, reconnects, wrong) = (self.errors, self.reconnects, self.wrong);
        Some(format!("{errors} failed, {reconnects} reconnects, {wrong} wrong answers ({texts})"))
    }
}

/// Shared by the clients.
#[derive(Default)]
pub(super) struct Meter {
    now: Mutex<Interval>,
}

impl Meter {
    pub(super) fn take(&self) -> Interval {
        let mut taken = std::mem::take(&mut *self.now.lock());
        taken.took = taken.began.elapsed();
        taken
    }

    pub(super) fn first_error(&self) -> Option<String> {
        self.now.lock().texts.first().cloned()
    }

    pub(super) fn statement(&self, took: Duration) {
        let mut now = self.now.lock();
        now.statements += 1;
        if now.waits.len() < WAITS_MAX {
            now.waits.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
        }
    }

    pub(super) fn committed(&self) {
        self.now.lock().commits += 1;
    }

    pub(super) fn declined(&self) {
        self.now.lock().declined += 1;
    }

    pub(super) fn reconnect(&self) {
        self.now.lock().reconnects += 1;
    }

    pub(super) fn failed(&self, text: String) {
        let mut now = self.now.lock();
        now.errors += 1;
        note(&mut now, text);
    }

    pub(super) fn wrong(&self, text: String) {
        let mut now = self.now.lock();
        now.wrong += 1;
        note(&mut now, text);
    }
}

fn note(now: &mut Interval, text: String) {
    if now.texts.len() < TEXTS_MAX && !now.texts.contains(&text) {
        now.texts.push(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_read_once() {
        let meter = Meter::default();
        for ms in 1..=100 {
            meter.statement(Duration::from_millis(ms));
        }
        meter.committed();
        meter.failed("57P01 gone".into());
        meter.failed("57P01 gone".into());
        let interval = meter.take();
        assert_eq!((interval.statements, interval.commits, interval.errors), (100, 1, 2));
        assert!((interval.longest_ms() - 100.0).abs() < 0.01);
        assert!((interval.p99_ms() - 100.0).abs() < 0.01);
        assert!(interval.trouble().is_some_and(|t| t.contains("57P01 gone)")));
        assert_eq!(meter.take().trouble(), None);
    }
}
