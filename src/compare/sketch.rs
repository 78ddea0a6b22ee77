//! Quantiles of durations in bounded memory.
//!
//! Owns [`Sketch`]: counts in buckets that grow by a fifth, so a quantile is right to a tenth of
//! its value, from a microsecond to three minutes. Start at [`Sketch::record`].

use std::time::Duration;

/// Each bucket reaches this much further than the one before it.
const RATIO: f64 = 1.2;
/// Buckets: from 1 µs to about 170 s; what is longer is in the last one.
const BUCKETS: usize = 104;

/// Where a duration goes, in any sketch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place(usize);

/// Durations seen. Empty it takes no memory beyond itself.
#[derive(Clone, Debug, Default)]
pub struct Sketch {
    buckets: Vec<u32>,
    count: u64,
}

impl Sketch {
    /// Takes a duration in.
    pub fn record(&mut self, took: Duration) {
        self.record_at(place(took));
    }

    /// Takes in a duration whose place is known.
    pub(super) fn record_at(&mut self, place: Place) {
        if self.buckets.is_empty() {
            self.buckets = vec![0; BUCKETS];
        }
        let bucket = &mut self.buckets[place.0];
        *bucket = bucket.saturating_add(1);
        self.count += 1;
    }

    /// Durations taken in.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The duration that a share of all stays below, in milliseconds; None when there is none.
    #[allow(clippy::cast_precision_loss)]
    pub fn quantile_ms(&self, share: f64) -> Option<f64> {
        let wanted = (self.count as f64 * share).ceil().max(1.0);
        let mut seen = 0.0;
        let at = self.buckets.iter().position(|n| {
            seen += f64::from(*n);
            seen >= wanted
        })?;
        // The middle of the bucket, as ratios go.
        let us = RATIO.powf(at as f64 + 0.5);
        Some((us * 10.0).round() / 10_000.0)
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
pub(super) fn place(took: Duration) -> Place {
    let us = (took.as_nanos() as f64 / 1000.0).max(1.0);
    Place(((us.ln() / RATIO.ln()) as usize).min(BUCKETS - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_to_a_tenth() {
        let mut sketch = Sketch::default();
        assert_eq!(sketch.quantile_ms(0.5), None);
        for us in 1..=10_000 {
            sketch.record(Duration::from_micros(us));
        }
        for (share, ms) in [(0.5, 5.0), (0.99, 9.9), (0.01, 0.1)] {
            let found = sketch.quantile_ms(share).unwrap();
            assert!((found / ms - 1.0).abs() < 0.12, "{share}: {found} instead of {ms}");
        }
        sketch.record(Duration::from_secs(100_000));
        sketch.record(Duration::ZERO);
        assert_eq!(sketch.count(), 10_002);
    }
}
