//! Points of the page's charts, from the text of `/metrics`.
//!
//! Owns [`Readings`], what two moments are told apart by, and [`Point`]. What is not known is
//! null, never zero. Start at [`Readings::point`].

use jiff::Timestamp;
use serde::Serialize;

use crate::control::Status;
use crate::telemetry::names;

/// One moment of the charts.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Point {
    /// Milliseconds since 1970.
    at: i64,
    lag_ms: Option<u64>,
    lag_commits: Option<u64>,
    journal_bytes: u64,
    sessions: u64,
    /// Comparisons that matched, that diverged, and that were not made, each second.
    matched: Option<f64>,
    diverged: Option<f64>,
    skipped: Option<f64>,
    sqlite: Side,
    postgres: Side,
}

/// What a back end answered since the point before.
#[derive(Clone, Debug, Default, Serialize)]
struct Side {
    per_second: Option<f64>,
    errors_per_second: Option<f64>,
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
}

/// Totals at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Readings {
    at_ms: i64,
    matched: f64,
    diverged: f64,
    skipped: f64,
    sqlite: Totals,
    postgres: Totals,
}

#[derive(Clone, Debug, Default)]
struct Totals {
    queries: f64,
    errors: f64,
    /// Upper bound and count of each bucket, bounds rising.
    buckets: Vec<(f64, f64)>,
}

/// The value of a label in `a="b",c="d"`.
fn label<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    labels.split(',').find_map(|pair| {
        let value = pair.strip_prefix(name)?.strip_prefix("=\"")?;
        value.strip_suffix('"')
    })
}

impl Readings {
    /// What a text of `/metrics` says.
    pub(super) fn of(text: &str) -> Self {
        let mut out = Self { at_ms: Timestamp::now().as_millisecond(), ..Self::default() };
        for line in text.lines().filter(|l| !l.starts_with('#')) {
            let Some((name, rest)) = line.split_once('{') else { continue };
            let Some((labels, value)) = rest.rsplit_once("} ") else { continue };
            let Ok(value) = value.parse::<f64>() else { continue };
            out.take(name, labels, value);
        }
        out
    }

    fn take(&mut self, name: &str, labels: &str, value: f64) {
        if name == names::COMPARISONS {
            match label(labels, "verdict") {
                Some("match" | "match_normalized" | "accepted") => self.matched += value,
                Some("diverged") => self.diverged += value,
                _ => self.skipped += value,
            }
            return;
        }
        let side = match label(labels, "backend") {
            Some("sqlite") => &mut self.sqlite,
            Some("postgres") => &mut self.postgres,
            _ => return,
        };
        if name == names::QUERIES {
            side.queries += value;
            if label(labels, "outcome") == Some("error") {
                side.errors += value;
            }
        } else if name.strip_suffix("_bucket") == Some(names::QUERY_DURATION) {
            let bound = match label(labels, "le") {
                Some("+Inf") => f64::INFINITY,
                Some(text) => text.parse().unwrap_or(f64::INFINITY),
                None => return,
            };
            match side.buckets.iter_mut().find(|(b, _)| b.total_cmp(&bound).is_eq()) {
                Some((_, count)) => *count += value,
                None => side.buckets.push((bound, value)),
            }
            side.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
    }

    /// The point between two moments.
    pub(super) fn point(&self, before: Option<&Self>, status: &Status) -> Point {
        let seconds = before.and_then(|b| {
            let ms = u32::try_from(self.at_ms - b.at_ms).ok().filter(|ms| *ms > 0)?;
            Some((b, f64::from(ms) / 1000.0))
        });
        let rate = |of: fn(&Self) -> f64| seconds.map(|(b, s)| (of(self) - of(b)).max(0.0) / s);
        let side = |of: fn(&Self) -> &Totals| match seconds {
            None => Side::default(),
            Some((b, s)) => of(self).since(of(b), s),
        };
        Point {
            at: self.at_ms,
            lag_ms: status.lag_ms,
            lag_commits: status.lag_commits,
            journal_bytes: status.journal_bytes,
            sessions: status.sessions,
            matched: rate(|r| r.matched),
            diverged: rate(|r| r.diverged),
            skipped: rate(|r| r.skipped),
            sqlite: side(|r| &r.sqlite),
            postgres: side(|r| &r.postgres),
        }
    }
}

impl Totals {
    fn since(&self, before: &Self, seconds: f64) -> Side {
        let count_before = |bound: f64| {
            let found = before.buckets.iter().find(|(b, _)| b.total_cmp(&bound).is_eq());
            found.map_or(0.0, |(_, count)| *count)
        };
        let counts: Vec<(f64, f64)> =
            self.buckets.iter().map(|(b, count)| (*b, count - count_before(*b))).collect();
        Side {
            per_second: Some((self.queries - before.queries).max(0.0) / seconds),
            errors_per_second: Some((self.errors - before.errors).max(0.0) / seconds),
            p50_ms: quantile(&counts, 0.5),
            p99_ms: quantile(&counts, 0.99),
        }
    }
}

/// A quantile in milliseconds, straight between the bounds of its bucket, as Prometheus does.
fn quantile(counts: &[(f64, f64)], share: f64) -> Option<f64> {
    let total = counts.last().map(|(_, count)| *count).filter(|total| *total > 0.0)?;
    let rank = total * share;
    let (mut low, mut below) = (0.0, 0.0);
    for (bound, count) in counts {
        if *count >= rank {
            if bound.is_infinite() {
                return Some(low * 1000.0);
            }
            let inside = (count - below).max(f64::MIN_POSITIVE);
            return Some((low + (bound - low) * (rank - below) / inside) * 1000.0);
        }
        (low, below) = (*bound, *count);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(count: u64) -> String {
        let double = 2 * count;
        format!(
            "# TYPE crossfade_queries_total counter\n\
             crossfade_queries_total{{backend=\"sqlite\",kind=\"read\",outcome=\"ok\"}} {double}\n\
             crossfade_comparisons_total{{lane=\"read\",verdict=\"diverged\"}} {count}\n\
             crossfade_query_duration_seconds_bucket{{backend=\"sqlite\",kind=\"read\",le=\"0.001\"}} {count}\n\
             crossfade_query_duration_seconds_bucket{{backend=\"sqlite\",kind=\"read\",le=\"0.002\"}} {double}\n\
             crossfade_query_duration_seconds_bucket{{backend=\"sqlite\",kind=\"read\",le=\"+Inf\"}} {double}\n"
        )
    }

    #[test]
    fn a_point_is_what_changed_each_second() {
        let mut before = Readings::of(&text(0));
        let now = Readings::of(&text(100));
        before.at_ms = now.at_ms - 2000;
        let point = now.point(Some(&before), &Status::default());
        assert_eq!(point.sqlite.per_second, Some(100.0));
        assert_eq!(point.diverged, Some(50.0));
        assert_eq!(point.sqlite.p50_ms.map(f64::round), Some(1.0));
        assert_eq!(point.sqlite.p99_ms.map(|v| (v * 100.0).round()), Some(198.0));
        assert_eq!(point.postgres.p50_ms, None, "nothing was answered there");
        assert_eq!(now.point(None, &Status::default()).sqlite.per_second, None);
    }
}
