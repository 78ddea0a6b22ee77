//! Whether a statement is much slower on the shadow, from how long it takes on both sides.
//!
//! Owns the rule and one shape's window. A window is so many comparisons, judged by its medians
//! when it is full: a pause of PostgreSQL, or of the machine, is in fewer than half of them. It
//! must never take in time that a statement has waited for its turn, for its position or for the
//! network; its callers leave that out. Start at [`Pace::took`].

use std::time::Duration;

use super::Sketch;
use super::sketch::Place;

/// Windows in a row that must say the same before it is believed.
const IN_A_ROW: i8 = 2;

/// What counts as much slower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaceRule {
    /// So many times the primary's median at least; 0: nothing is slow.
    pub ratio: u32,
    /// And so much more than it at least.
    pub floor: Duration,
    /// Comparisons in a window.
    pub window: u32,
}

impl Default for PaceRule {
    fn default() -> Self {
        Self { ratio: 4, floor: Duration::from_millis(25), window: 50 }
    }
}

/// What has come to be known of a shape.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Paced {
    /// It is much slower on the shadow: half of the calls and 99 % of them took less, in ms, on
    /// the primary and on the shadow.
    Slow {
        /// The primary's two.
        primary: (f64, f64),
        /// The shadow's two.
        shadow: (f64, f64),
    },
    /// It is not, or not any more.
    Fine,
}

/// How a shape runs on both sides lately.
#[derive(Debug, Default)]
pub(super) struct Pace {
    primary: Sketch,
    shadow: Sketch,
    /// Windows in a row: that were slow, or (negative) fine.
    streak: i8,
    /// What was told last.
    told: Option<bool>,
    news: Option<Paced>,
}

impl Pace {
    /// A call took so long on the primary.
    pub(super) fn called(&mut self, took: Place) {
        self.primary.record_at(took);
    }

    /// A comparison took so long on the shadow.
    pub(super) fn took(&mut self, took: Duration, rule: &PaceRule) {
        if rule.ratio == 0 {
            return;
        }
        self.shadow.record(took);
        // Calls that are compared late were counted in the window before.
        if self.shadow.count() >= u64::from(rule.window) && self.primary.count() > 0 {
            self.judge(rule);
            self.primary = Sketch::default();
            self.shadow = Sketch::default();
        }
    }

    /// What has come to be known since this was asked last.
    pub(super) fn news(&mut self) -> Option<Paced> {
        self.news.take()
    }

    fn judge(&mut self, rule: &PaceRule) {
        let both = |sketch: &Sketch| Some((sketch.quantile_ms(0.5)?, sketch.quantile_ms(0.99)?));
        let (Some(primary), Some(shadow)) = (both(&self.primary), both(&self.shadow)) else {
            return;
        };
        let floor = rule.floor.as_secs_f64() * 1000.0;
        let ratio = f64::from(rule.ratio);
        let beyond = |share: f64| {
            shadow.0 >= primary.0 * ratio * share && shadow.0 >= primary.0 + floor * share
        };
        self.streak = if beyond(1.0) {
            (self.streak.max(0) + 1).min(IN_A_ROW)
        } else if beyond(0.5) {
            // Neither: what was told stays.
            0
        } else {
            (self.streak.min(0) - 1).max(-IN_A_ROW)
        };
        let now = match self.streak {
            IN_A_ROW => true,
            s if s == -IN_A_ROW => false,
            _ => return,
        };
        // As long as it goes on it is told once in a window.
        if now {
            self.news = Some(Paced::Slow { primary, shadow });
        } else if self.told != Some(false) {
            self.news = Some(Paced::Fine);
        }
        self.told = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::sketch::place;

    const RULE: PaceRule = PaceRule { ratio: 4, floor: Duration::from_millis(25), window: 10 };

    /// A window of calls that take so many milliseconds on each side; what is new after it.
    fn window(pace: &mut Pace, primary: u64, shadow: &[u64]) -> Option<Paced> {
        for n in 0..10 {
            pace.called(place(Duration::from_millis(primary)));
            pace.took(Duration::from_millis(shadow[n % shadow.len()]), &RULE);
        }
        pace.news()
    }

    #[test]
    fn slow_is_what_stays_slow() {
        let mut pace = Pace::default();
        assert_eq!(window(&mut pace, 2, &[60]), None, "one window says nothing yet");
        let Some(Paced::Slow { primary, shadow }) = window(&mut pace, 2, &[60]) else { panic!() };
        assert!((1.7..2.4).contains(&primary.0) && (50.0..70.0).contains(&shadow.1));
        assert!(matches!(window(&mut pace, 2, &[60]), Some(Paced::Slow { .. })));
        // Between half of the limits and all of them nothing changes.
        assert_eq!(window(&mut pace, 2, &[20]), None);
        assert_eq!(window(&mut pace, 2, &[2]), None);
        assert_eq!(window(&mut pace, 2, &[2]), Some(Paced::Fine));
        assert_eq!(window(&mut pace, 2, &[2]), None, "it is told once");
    }

    #[test]
    fn pauses_small_times_and_slow_primaries_are_nothing() {
        for (primary, shadow) in
            [(2, [900, 900, 900, 900, 2, 2, 2, 2, 2, 2].as_slice()), (1, &[20]), (100, &[390])]
        {
            let mut pace = Pace::default();
            for _ in 0..6 {
                assert!(!matches!(window(&mut pace, primary, shadow), Some(Paced::Slow { .. })));
            }
        }
        let mut pace = Pace::default();
        for _ in 0..100 {
            pace.called(place(Duration::ZERO));
            pace.took(Duration::from_secs(9), &PaceRule { ratio: 0, ..RULE });
        }
        assert_eq!(pace.news(), None);
    }

    #[test]
    fn one_slow_window_among_others_is_nothing() {
        let mut pace = Pace::default();
        for n in 0..20 {
            let shadow = if n % 2 == 0 { 60 } else { 3 };
            assert!(!matches!(window(&mut pace, 2, &[shadow]), Some(Paced::Slow { .. })));
        }
    }
}
