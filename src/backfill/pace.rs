//! How fast rows are read, and how long the rest takes.
//!
//! Owns the arithmetic of limits and forecasts. It must never sleep itself. Start at [`Pace`].

use std::time::{Duration, Instant};

use crate::count::counted;
use crate::mirror::Limit;

/// The longest nap: the limit may change meanwhile.
const NAP: Duration = Duration::from_millis(250);

/// The longest pause in which clients are let first.
const WAY_MAX: Duration = Duration::from_millis(20);
/// Of ten parts of the time nine are clients' while there are any.
const WAY: u32 = 9;
/// What PostgreSQL does with a row behind our back, where it shares its machine with clients' work.
const ROW: Duration = Duration::from_micros(10);

/// How long after they have asked for something clients count as there.
const THERE: Duration = Duration::from_millis(100);

/// Letting clients first: as long as they ask for anything, most of the time is theirs.
pub(crate) struct Way {
    asked: u64,
    /// When somebody was last seen to have asked.
    seen: Option<Instant>,
    since: Instant,
    rows: u64,
}

impl Way {
    /// Nobody has been seen yet.
    pub(crate) fn new(asked: u64) -> Self {
        Self { asked, seen: None, since: Instant::now(), rows: 0 }
    }

    /// Work begins, after so many rows.
    pub(crate) fn begin(&mut self, rows: u64) {
        (self.since, self.rows) = (Instant::now(), rows);
    }

    /// How long to pause after the work; None when nobody has asked for anything lately.
    pub(crate) fn give(&mut self, asked: u64, rows: u64) -> Option<Duration> {
        if std::mem::replace(&mut self.asked, asked) != asked {
            self.seen = Some(Instant::now());
        }
        self.seen.filter(|seen| seen.elapsed() < THERE)?;
        let done = u32::try_from(rows.saturating_sub(self.rows)).unwrap_or(u32::MAX);
        let pause = (self.since.elapsed() * WAY).saturating_add(ROW.saturating_mul(done));
        Some(pause.min(WAY_MAX))
    }
}

/// Reading at a bounded rate.
pub(crate) struct Pace {
    limit: Limit,
    /// Rows that the limit knows of.
    counted: u64,
    began: Instant,
}

impl Pace {
    /// Begins now.
    pub(crate) fn new(limit: &Limit) -> Self {
        Self { limit: limit.clone(), counted: 0, began: Instant::now() }
    }

    /// How long to nap after so many rows before asking again; None when there is nothing to wait
    /// for.
    pub(crate) fn ahead(&mut self, rows: u64) -> Option<Duration> {
        let further = rows.saturating_sub(self.counted);
        self.counted = rows;
        self.limit.ahead(further).map(|ahead| ahead.min(NAP))
    }

    /// Rows, bytes, rate, and time left when the whole is known, in words.
    pub(crate) fn told(&self, rows: u64, bytes: u64, about: Option<u64>) -> String {
        told(self.began.elapsed(), rows, bytes, about)
    }
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn told(elapsed: Duration, rows: u64, bytes: u64, about: Option<u64>) -> String {
    let rate = rows as f64 / elapsed.as_secs_f64().max(0.001);
    let megabytes = bytes as f64 / f64::from(1 << 20);
    let mut text = format!("{}, {megabytes:.1} MB, {rate:.0} rows/s", counted(rows, "row"));
    if let Some(about) = about.filter(|about| *about >= rows && rate >= 1.0) {
        let left = ((about - rows) as f64 / rate).ceil() as u64;
        text.push_str(&format!(
            ", about {} % of {about}, {left} s left",
            rows * 100 / about.max(1)
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_let_first_when_there_are_any() {
        let mut way = Way::new(7);
        assert_eq!(way.give(7, 500), None);
        way.begin(500);
        way.since = Instant::now().checked_sub(WAY_MAX * 3).unwrap();
        assert_eq!(way.give(8, 500), Some(WAY_MAX));
        way.begin(500);
        assert!(way.give(9, 600).unwrap() >= ROW * 100);
        // Between two short pieces nobody may have asked: they are still there, and then not.
        assert!(way.give(9, 600).is_some());
        way.seen = Instant::now().checked_sub(THERE);
        assert_eq!(way.give(9, 600), None);
    }

    #[test]
    fn limits_and_forecasts() {
        let second = Duration::from_secs(1);
        let mut pace = Pace::new(&Limit::new(1));
        assert_eq!(pace.ahead(0), None);
        assert_eq!(pace.ahead(1000), Some(NAP));
        assert_eq!(Pace::new(&Limit::default()).ahead(1000), None);
        let text = told(second * 2, 200, 1 << 20, Some(1000));
        assert_eq!(text, "200 rows, 1.0 MB, 100 rows/s, about 20 % of 1000, 8 s left");
        assert_eq!(told(second, 5, 0, None), "5 rows, 0.0 MB, 5 rows/s");
        // More rows than there seemed to be: no forecast.
        assert_eq!(told(second, 5, 0, Some(4)), "5 rows, 0.0 MB, 5 rows/s");
    }
}
