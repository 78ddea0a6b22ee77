//! Every metric: name, kind, meaning, and the label sets that start at 0.
//!
//! `docs/metrics.md` is checked against [`METRICS`].

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge};

/// Kind of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// One metric of the contract.
pub struct Metric {
    /// Name with prefix and unit.
    pub name: &'static str,
    /// Kind.
    pub kind: Kind,
    /// What it says, one sentence.
    pub help: &'static str,
    /// Labels with their values; the product of all values starts at 0. Empty values: the label
    /// is open (table names, limits) and its sets appear when first used.
    pub labels: &'static [(&'static str, &'static [&'static str])],
}

macro_rules! metric_names {
    ($($constant:ident = $name:literal;)*) => { $(
        #[doc = concat!("`", $name, "`")]
        pub const $constant: &str = $name;
    )* };
}

metric_names! {
    QUERIES = "crossfade_queries_total";
    QUERY_DURATION = "crossfade_query_duration_seconds";
    PLANS = "crossfade_plans_total";
    SESSIONS = "crossfade_sessions";
    SESSION_PANICS = "crossfade_session_panics_total";
    WRITER_WAIT = "crossfade_writer_wait_seconds";
    JOURNAL_POSITION = "crossfade_journal_position";
    APPLIED_POSITION = "crossfade_applied_position";
    JOURNAL_BYTES = "crossfade_journal_bytes";
    MIRROR_LAG_COMMITS = "crossfade_mirror_lag_commits";
    MIRROR_LAG_SECONDS = "crossfade_mirror_lag_seconds";
    MIRROR_APPLIED = "crossfade_mirror_applied_total";
    MIRROR_RETRIES = "crossfade_mirror_retries_total";
    COMPARISONS = "crossfade_comparisons_total";
    COMPARISON_SKIPPED = "crossfade_comparison_skipped_total";
    DIVERGENCES = "crossfade_divergences_total";
    DIVERGENCES_OPEN = "crossfade_divergences_open";
    COVERAGE_RATIO = "crossfade_coverage_ratio";
    REPAIRS = "crossfade_repairs_total";
    BACKFILL_ROWS = "crossfade_backfill_rows_total";
    VERIFY_AGE = "crossfade_verify_age_seconds";
    WAY_BACK_KEPT = "crossfade_way_back_kept_bytes";
    PHASE = "crossfade_phase";
    PRIMARY = "crossfade_primary";
    EPOCH = "crossfade_epoch";
    GATE = "crossfade_gate";
    CUTOVERS = "crossfade_cutovers_total";
    CUTOVER_PAUSE = "crossfade_cutover_pause_seconds";
    CONFIG_LIMIT = "crossfade_config_limit";
    BUILD_INFO = "crossfade_build_info";
}

/// Phases in their order.
pub const PHASES: &[&str] =
    &["direct", "copying", "catching-up", "mirroring", "switching", "promoted", "complete"];

/// Gates in the order they are shown.
pub const GATES: &[&str] = &[
    "backfilled",
    "verified",
    "lag",
    "divergences",
    "quiet",
    "coverage",
    "translatable",
    "keys",
    "sequences",
    "way_back",
    "foreign_writer",
    "rehearsal",
];

/// Verdicts of a comparison.
pub const VERDICTS: &[&str] = &[
    "match",
    "match_normalized",
    "accepted",
    "diverged",
    "volatile",
    "ambiguous",
    "skipped",
    "inconclusive",
];

/// Reasons for not comparing.
pub const SKIP_REASONS: &[&str] = &[
    "sampled_out",
    "shadow_down",
    "cut_missed",
    "volatile",
    "unordered_limit",
    "too_large",
    "unsupported",
    "queue_full",
    "session_state",
    "own_writes",
    "no_key",
    "copy",
    "system",
    "other_types",
];

/// Divergence classes.
pub const CLASSES: &[&str] = &[
    "row_missing",
    "row_extra",
    "value",
    "order",
    "row_count",
    "column_shape",
    "type_oid",
    "command_tag",
    "effect_missing",
    "effect_extra",
    "effect_value",
    "affected_count",
    "error_shadow_only",
    "error_primary_only",
    "sqlstate",
    "tx_state",
    "untranslatable",
    "timeout",
    "slow",
    "verify_missing",
    "verify_extra",
    "verify_value",
    "schema_drift",
    "foreign_write",
];

/// Severities, worst first.
pub const SEVERITIES: &[&str] = &["data", "semantic", "representation", "performance"];

const BACKENDS: &[&str] = &["sqlite", "postgres"];
/// What failed on PostgreSQL is `unknown`: its text is not read.
const KINDS: &[&str] = &["read", "write", "ddl", "transaction", "session", "copy", "unknown"];

/// Upper bounds of the histograms' buckets, in seconds.
pub const BUCKETS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0,
];

/// Every metric of the contract.
pub const METRICS: &[Metric] = &[
    Metric {
        name: QUERIES,
        kind: Kind::Counter,
        help: "Statements answered, by the back end that answered.",
        labels: &[("backend", BACKENDS), ("kind", KINDS), ("outcome", &["ok", "error"])],
    },
    Metric {
        name: QUERY_DURATION,
        kind: Kind::Histogram,
        help: "Time from a statement's message to its answer being written.",
        labels: &[("backend", BACKENDS), ("kind", KINDS)],
    },
    Metric {
        name: PLANS,
        kind: Kind::Counter,
        help: "Statements planned, by the dialect whose meaning they have.",
        labels: &[("dialect", &["postgres", "sqlite"])],
    },
    Metric {
        name: SESSIONS,
        kind: Kind::Gauge,
        help: "Client sessions by state.",
        labels: &[("state", &["idle", "active", "in_transaction", "waiting"])],
    },
    Metric {
        name: SESSION_PANICS,
        kind: Kind::Counter,
        help: "Sessions ended by a fault of Crossfade.",
        labels: &[],
    },
    Metric {
        name: WRITER_WAIT,
        kind: Kind::Histogram,
        help: "Time a transaction waited for SQLite's one writer.",
        labels: &[],
    },
    Metric {
        name: JOURNAL_POSITION,
        kind: Kind::Gauge,
        help: "Position of the last commit on the primary.",
        labels: &[],
    },
    Metric {
        name: APPLIED_POSITION,
        kind: Kind::Gauge,
        help: "Position up to which the shadow has applied.",
        labels: &[],
    },
    Metric {
        name: JOURNAL_BYTES,
        kind: Kind::Gauge,
        help: "Bytes of the journal that are not trimmed yet.",
        labels: &[],
    },
    Metric {
        name: MIRROR_LAG_COMMITS,
        kind: Kind::Gauge,
        help: "Commits the shadow is behind; NaN when unknown.",
        labels: &[],
    },
    Metric {
        name: MIRROR_LAG_SECONDS,
        kind: Kind::Gauge,
        help: "Age of the oldest commit the shadow has not applied; NaN when unknown.",
        labels: &[],
    },
    Metric {
        name: MIRROR_APPLIED,
        kind: Kind::Counter,
        help: "Commits applied to the shadow.",
        labels: &[],
    },
    Metric {
        name: MIRROR_RETRIES,
        kind: Kind::Counter,
        help: "Batches sent again after an error of the shadow.",
        labels: &[],
    },
    Metric {
        name: COMPARISONS,
        kind: Kind::Counter,
        help: "Comparisons by lane (write effects, reads at a cut, failed statements) and verdict.",
        labels: &[("lane", &["write", "read", "error"]), ("verdict", VERDICTS)],
    },
    Metric {
        name: COMPARISON_SKIPPED,
        kind: Kind::Counter,
        help: "Statements that were not compared, by reason.",
        labels: &[("reason", SKIP_REASONS)],
    },
    Metric {
        name: DIVERGENCES,
        kind: Kind::Counter,
        help: "Divergences found, by class and severity.",
        labels: &[("class", CLASSES), ("severity", SEVERITIES)],
    },
    Metric {
        name: DIVERGENCES_OPEN,
        kind: Kind::Gauge,
        help: "Open divergence groups by severity.",
        labels: &[("severity", SEVERITIES)],
    },
    Metric {
        name: COVERAGE_RATIO,
        kind: Kind::Gauge,
        help: "Share of calls whose statement shape has been compared.",
        labels: &[],
    },
    Metric {
        name: REPAIRS,
        kind: Kind::Counter,
        help: "Rows written to the shadow from the primary by repair.",
        labels: &[],
    },
    Metric {
        name: BACKFILL_ROWS,
        kind: Kind::Counter,
        help: "Rows copied by backfill, by table.",
        labels: &[("table", &[])],
    },
    Metric {
        name: VERIFY_AGE,
        kind: Kind::Gauge,
        help: "Seconds since every table was last verified clean; NaN when never.",
        labels: &[],
    },
    Metric {
        name: WAY_BACK_KEPT,
        kind: Kind::Gauge,
        help: "Bytes of log or of written rows that PostgreSQL keeps for the way back.",
        labels: &[],
    },
    Metric {
        name: PHASE,
        kind: Kind::Gauge,
        help: "1 for the current phase.",
        labels: &[("phase", PHASES)],
    },
    Metric {
        name: PRIMARY,
        kind: Kind::Gauge,
        help: "1 for the back end that answers.",
        labels: &[("backend", BACKENDS)],
    },
    Metric {
        name: EPOCH,
        kind: Kind::Gauge,
        help: "Number of the current primary's reign.",
        labels: &[],
    },
    Metric {
        name: GATE,
        kind: Kind::Gauge,
        help: "1 when the gate holds.",
        labels: &[("gate", GATES)],
    },
    Metric {
        name: CUTOVERS,
        kind: Kind::Counter,
        help: "Switches attempted, by direction and result.",
        labels: &[("direction", &["promote", "rollback"]), ("result", &["done", "undone"])],
    },
    Metric {
        name: CUTOVER_PAUSE,
        kind: Kind::Histogram,
        help: "Longest time a client waited in a switch.",
        labels: &[],
    },
    Metric {
        name: CONFIG_LIMIT,
        kind: Kind::Gauge,
        help: "A configured bound, by key.",
        labels: &[("name", &[])],
    },
    Metric {
        name: BUILD_INFO,
        kind: Kind::Gauge,
        help: "1, with the version as label.",
        labels: &[("version", &[env!("CARGO_PKG_VERSION")])],
    },
];

/// Describes every metric and starts every bounded label set at 0, so that rates and alerts
/// work from the first scrape.
pub fn describe_and_zero() {
    for metric in METRICS {
        match metric.kind {
            Kind::Counter => describe_counter!(metric.name, Unit::Count, metric.help),
            Kind::Gauge => describe_gauge!(metric.name, metric.help),
            Kind::Histogram => describe_histogram!(metric.name, Unit::Seconds, metric.help),
        }
        for labels in label_sets(metric.labels) {
            match metric.kind {
                Kind::Counter => counter!(metric.name, labels).increment(0),
                Kind::Gauge => gauge!(metric.name, labels).set(0.0),
                Kind::Histogram => {}
            }
        }
    }
    gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

/// Every combination of the labels' values; none when a label is open.
fn label_sets(labels: &[(&'static str, &'static [&'static str])]) -> Vec<Vec<metrics::Label>> {
    labels.iter().fold(vec![Vec::new()], |sets, (name, values)| {
        sets.iter()
            .flat_map(|set| {
                values.iter().map(move |value| {
                    let mut longer = set.clone();
                    longer.push(metrics::Label::from_static_parts(name, value));
                    longer
                })
            })
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_prometheus_conventions() {
        for metric in METRICS {
            assert!(metric.name.starts_with("crossfade_"), "{}", metric.name);
            assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter);
            assert!(metric.help.ends_with('.'), "{}", metric.name);
        }
    }

    #[test]
    fn label_sets_are_the_product() {
        assert_eq!(label_sets(&[("a", &["1", "2"]), ("b", &["x", "y", "z"])]).len(), 6);
        assert_eq!(label_sets(&[("a", &[])]).len(), 0);
        assert_eq!(label_sets(&[]).len(), 1);
    }
}
