//! Statement shapes: what ran, how often it was compared, what was found, how long it took.
//!
//! Owns [`Statements`], a bounded registry that every session and the mirror write to. Coverage is
//! read from it: the share of calls, made while PostgreSQL follows, whose shape has been compared.
//! What does not fit any more is counted, and what was never compared of it stays uncovered. Texts
//! are shapes: literals are normalised away. Start at [`Statements::seen`].

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::pace::Pace;
use super::sketch::place;
use super::{PaceRule, Paced, Sketch};
use crate::sql::plan::Fingerprint;
use crate::telemetry::names::{SKIP_REASONS, VERDICTS};

/// Locks: sessions on different shapes rarely meet.
const SHARDS: usize = 16;
/// Shapes kept.
pub const SHAPES_MAX: usize = 5000;
/// Bytes kept of a shape's text.
const TEXT_MAX: usize = 2000;

/// What kind of statement a shape is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// SELECT, VALUES.
    Read,
    /// INSERT, UPDATE, DELETE.
    Write,
    /// CREATE, ALTER, DROP, TRUNCATE.
    Ddl,
    /// COPY
    Copy,
    /// Reads the system's tables or functions: not compared.
    System,
    /// Not planned: refused before its kind was known.
    Unknown,
}

/// One statement that ended.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Its shape.
    pub fingerprint: &'a Fingerprint,
    /// Its kind.
    pub kind: Kind,
    /// How long the primary took.
    pub took: Duration,
    /// SQLSTATE and message, when it failed.
    pub error: Option<(&'a str, &'a str)>,
    /// PostgreSQL follows: the call counts for coverage.
    pub following: bool,
}

/// One shape, as the surfaces show it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct StatementInfo {
    /// The shape's number, hexadecimal.
    pub fingerprint: String,
    /// Normalised text.
    pub statement: String,
    /// `read`, `write`, `ddl`, `copy`, `system`, `unknown`.
    pub kind: String,
    /// Calls, well or not.
    pub calls: u64,
    /// Of those, failed.
    pub errors: u64,
    /// Comparisons with a verdict that counts.
    pub compared: u64,
    /// Comparisons by verdict; those never given are left out.
    pub verdicts: BTreeMap<String, u64>,
    /// Reasons for not comparing, likewise.
    pub skipped: BTreeMap<String, u64>,
    /// Whether PostgreSQL's text could be printed.
    pub translatable: bool,
    /// Why it is refused here, when it is: SQLSTATE 0A000 and what is not supported.
    pub refused: Option<String>,
    /// Half of the calls took less, on the primary.
    pub primary_p50_ms: Option<f64>,
    /// 99 of 100 took less.
    pub primary_p99_ms: Option<f64>,
    /// The same on the shadow, where it was compared.
    pub shadow_p50_ms: Option<f64>,
    /// The same.
    pub shadow_p99_ms: Option<f64>,
}

/// What was dropped from the registry to keep it small.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// Shapes.
    pub shapes: u64,
    /// Their calls.
    pub calls: u64,
    /// Their calls that count for coverage.
    pub following: u64,
    /// Of those, calls of shapes that had been compared.
    pub covered: u64,
    /// Write shapes that had never been compared.
    pub uncovered_writes: u64,
    /// Shapes that are refused, or have no form for PostgreSQL.
    pub untranslatable: u64,
}

#[derive(Debug, Default)]
struct Shape {
    text: Box<str>,
    kind: Option<Kind>,
    calls: u64,
    errors: u64,
    following: u64,
    compared: u64,
    verdicts: [u32; VERDICTS.len()],
    skipped: [u32; SKIP_REASONS.len()],
    untranslatable: bool,
    refused: Option<Box<str>>,
    excused: bool,
    written: bool,
    primary: Sketch,
    shadow: Sketch,
    pace: Pace,
    touched: u64,
}

impl Shape {
    fn covered(&self) -> bool {
        self.compared > 0 || self.excused
    }

    fn uncovered_write(&self) -> bool {
        self.written && !self.covered()
    }

    fn no_form(&self) -> bool {
        self.untranslatable || self.refused.is_some()
    }
}

/// The registry.
#[derive(Debug)]
pub struct Statements {
    shards: [Mutex<HashMap<u64, Shape>>; SHARDS],
    per_shard: usize,
    tick: AtomicU64,
    dropped: Mutex<Dropped>,
}

impl Default for Statements {
    fn default() -> Self {
        Self::with_room(SHAPES_MAX)
    }
}

impl Statements {
    /// A registry for about so many shapes.
    pub fn with_room(shapes: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            per_shard: (shapes / SHARDS).max(2),
            tick: AtomicU64::new(0),
            dropped: Mutex::default(),
        }
    }

    /// A statement that ended on the primary.
    pub fn seen(&self, seen: Seen<'_>) {
        // Before the lock.
        let took = place(seen.took);
        self.with(seen.fingerprint.id, Some(&seen.fingerprint.text), |shape| {
            shape.kind = Some(seen.kind);
            shape.calls += 1;
            shape.primary.record_at(took);
            if seen.following && seen.error.is_none() {
                shape.pace.called(took);
            }
            // Writes count when their transaction has committed: the mirror tells.
            shape.following +=
                u64::from(seen.following && seen.kind == Kind::Read && seen.error.is_none());
            if let Some((state, message)) = seen.error {
                shape.errors += 1;
                if state == "0A000" {
                    shape.refused.get_or_insert_with(|| cut(message));
                }
            }
        });
    }

    /// A statement that is to be compared: what is found may be told before it has ended.
    pub fn offered(&self, fingerprint: &Fingerprint) {
        self.with(fingerprint.id, Some(&fingerprint.text), |_| {});
    }

    /// A statement that was refused before it could be planned.
    pub fn refused(&self, fingerprint: &Fingerprint, message: &str) {
        self.with(fingerprint.id, Some(&fingerprint.text), |shape| {
            shape.kind.get_or_insert(Kind::Unknown);
            shape.calls += 1;
            shape.errors += 1;
            shape.refused.get_or_insert_with(|| cut(message));
        });
    }

    /// A write that has been committed, and reaches the mirror.
    pub fn written(&self, fingerprint: u64, text: Option<&str>) {
        self.with(fingerprint, text, |shape| {
            shape.kind.get_or_insert(Kind::Write);
            shape.written = true;
            shape.following += 1;
        });
    }

    /// A comparison's verdict, one of [`VERDICTS`].
    pub fn verdict(&self, fingerprint: u64, verdict: &str) {
        let Some(index) = VERDICTS.iter().position(|v| *v == verdict) else { return };
        let counts = matches!(verdict, "match" | "match_normalized" | "accepted" | "diverged");
        self.with(fingerprint, None, |shape| {
            shape.verdicts[index] = shape.verdicts[index].saturating_add(1);
            shape.compared += u64::from(counts);
        });
    }

    /// A reason for not comparing, one of [`SKIP_REASONS`].
    pub fn skipped(&self, fingerprint: u64, reason: &str) {
        let Some(index) = SKIP_REASONS.iter().position(|r| *r == reason) else { return };
        self.with(fingerprint, None, |shape| {
            shape.skipped[index] = shape.skipped[index].saturating_add(1);
            // Proven by verify: a table without key as a multiset (its gate is `keys`), the rows
            // of COPY as they arrived (no statement of the client's has made them).
            shape.excused |= matches!(reason, "no_key" | "copy");
        });
    }

    /// How long the shadow took; with a rule, where nothing is in it that it has waited for.
    pub fn shadow_took(&self, fingerprint: u64, took: Duration, rule: Option<&PaceRule>) {
        self.with(fingerprint, None, |shape| {
            shape.shadow.record(took);
            if let Some(rule) = rule {
                shape.pace.took(took, rule);
            }
        });
    }

    /// What has come to be known of how long it takes there, told once.
    pub fn paced(&self, fingerprint: u64) -> Option<Paced> {
        self.with(fingerprint, None, |shape| shape.pace.news())
    }

    /// The statement has no form for PostgreSQL.
    pub fn untranslatable(&self, fingerprint: u64) {
        self.with(fingerprint, None, |shape| shape.untranslatable = true);
    }

    /// Share of calls whose shape has been compared at least once; None before any call.
    #[allow(clippy::cast_precision_loss)]
    pub fn coverage(&self) -> Option<f64> {
        let dropped = self.dropped();
        let (mut calls, mut covered) = (dropped.following, dropped.covered);
        self.each(|_, shape| {
            calls += shape.following;
            covered += if shape.covered() { shape.following } else { 0 };
        });
        (calls > 0).then(|| covered as f64 / calls as f64)
    }

    /// Write shapes that were never compared.
    pub fn uncovered_writes(&self) -> u64 {
        let mut found = self.dropped().uncovered_writes;
        self.each(|_, shape| found += u64::from(shape.uncovered_write()));
        found
    }

    /// Shapes that are refused, or have no form for PostgreSQL.
    pub fn without_form(&self) -> u64 {
        let mut found = self.dropped().untranslatable;
        self.each(|_, shape| found += u64::from(shape.no_form()));
        found
    }

    /// What was dropped.
    pub fn dropped(&self) -> Dropped {
        *self.dropped.lock()
    }

    /// Every shape, those with most calls first.
    pub fn list(&self) -> Vec<StatementInfo> {
        let mut all = Vec::new();
        self.each(|id, shape| all.push(info(id, shape)));
        all.sort_by(|a, b| b.calls.cmp(&a.calls).then_with(|| a.fingerprint.cmp(&b.fingerprint)));
        all
    }

    fn each(&self, mut f: impl FnMut(u64, &Shape)) {
        for shard in &self.shards {
            shard.lock().iter().for_each(|(id, shape)| f(*id, shape));
        }
    }

    fn with<T>(&self, id: u64, text: Option<&str>, f: impl FnOnce(&mut Shape) -> T) -> T {
        let touched = self.tick.fetch_add(1, Ordering::Relaxed);
        let mut shard = self.shards[usize::try_from(id % SHARDS as u64).unwrap_or(0)].lock();
        if shard.len() >= self.per_shard && !shard.contains_key(&id) {
            self.evict(&mut shard);
        }
        let shape = shard.entry(id).or_default();
        if shape.text.is_empty()
            && let Some(text) = text
        {
            shape.text = cut(text);
        }
        shape.touched = touched;
        f(shape)
    }

    /// Drops an eighth of a shard: the least called, of equals the longest unused.
    fn evict(&self, shard: &mut HashMap<u64, Shape>) {
        let mut order: Vec<(u64, u64, u64)> =
            shard.iter().map(|(id, s)| (s.calls, s.touched, *id)).collect();
        order.sort_unstable();
        let mut dropped = self.dropped.lock();
        for (.., id) in order.into_iter().take(self.per_shard.div_ceil(8)) {
            let Some(shape) = shard.remove(&id) else { continue };
            dropped.shapes += 1;
            dropped.calls += shape.calls;
            dropped.following += shape.following;
            dropped.covered += if shape.covered() { shape.following } else { 0 };
            dropped.uncovered_writes += u64::from(shape.uncovered_write());
            dropped.untranslatable += u64::from(shape.no_form());
        }
    }
}

fn cut(text: &str) -> Box<str> {
    text.get(..text.floor_char_boundary(TEXT_MAX)).unwrap_or_default().into()
}

fn info(id: u64, shape: &Shape) -> StatementInfo {
    let named = |names: &[&'static str], counts: &[u32]| {
        let counted = names.iter().zip(counts).filter(|(_, n)| **n > 0);
        counted.map(|(name, n)| ((*name).to_owned(), u64::from(*n))).collect()
    };
    let kind = shape.kind.unwrap_or(Kind::Unknown);
    let word = serde_json::to_value(kind).ok().and_then(|v| v.as_str().map(str::to_owned));
    StatementInfo {
        fingerprint: format!("{id:016x}"),
        statement: shape.text.to_string(),
        kind: word.unwrap_or_default(),
        calls: shape.calls,
        errors: shape.errors,
        compared: shape.compared,
        verdicts: named(VERDICTS, &shape.verdicts),
        skipped: named(SKIP_REASONS, &shape.skipped),
        translatable: !shape.no_form(),
        refused: shape.refused.as_deref().map(str::to_owned),
        primary_p50_ms: shape.primary.quantile_ms(0.5),
        primary_p99_ms: shape.primary.quantile_ms(0.99),
        shadow_p50_ms: shape.shadow.quantile_ms(0.5),
        shadow_p99_ms: shape.shadow.quantile_ms(0.99),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(id: u64) -> Fingerprint {
        Fingerprint { id, text: format!("SELECT {id}") }
    }

    fn read(statements: &Statements, id: u64) {
        let fingerprint = shape(id);
        statements.seen(Seen {
            fingerprint: &fingerprint,
            kind: Kind::Read,
            took: Duration::from_millis(2),
            error: None,
            following: true,
        });
    }

    #[test]
    fn coverage_is_weighted_by_calls() {
        let statements = Statements::default();
        assert_eq!(statements.coverage(), None);
        for _ in 0..3 {
            read(&statements, 1);
        }
        statements.written(2, Some("INSERT INTO t VALUES ($1)"));
        statements.skipped(2, "sampled_out");
        assert_eq!(statements.coverage(), Some(0.0));
        statements.verdict(1, "match");
        assert_eq!(statements.coverage(), Some(0.75));
        assert_eq!((statements.uncovered_writes(), statements.without_form()), (1, 0));
        statements.skipped(2, "no_key");
        assert_eq!(statements.uncovered_writes(), 0);
        statements.written(3, None);
        assert_eq!(statements.uncovered_writes(), 1);
        statements.skipped(3, "copy");
        assert_eq!((statements.uncovered_writes(), statements.without_form()), (0, 0));
        statements.refused(&shape(9), "LISTEN in a view is not supported");
        assert_eq!(statements.without_form(), 1);
        let all = statements.list();
        assert_eq!((all[0].calls, all[0].compared, all[0].verdicts["match"]), (3, 1, 1));
        assert!(all[0].primary_p50_ms.is_some_and(|ms| (1.7..2.4).contains(&ms)));
        assert_eq!(all[0].shadow_p50_ms, None);
        let write = all.iter().find(|s| s.kind == "write").unwrap();
        assert_eq!((write.skipped["sampled_out"], write.skipped["no_key"]), (1, 1));
        assert!(all.iter().any(|s| !s.translatable && s.refused.is_some() && s.kind == "unknown"));
    }

    #[test]
    fn the_registry_is_bounded_and_counts_what_it_drops() {
        let statements = Statements::with_room(64);
        for _ in 0..5 {
            read(&statements, 7);
        }
        statements.verdict(7, "match");
        for id in 100..1100 {
            read(&statements, id);
        }
        let (kept, dropped) = (statements.list(), statements.dropped());
        assert!(kept.len() <= 64, "{}", kept.len());
        assert_eq!(kept.len() as u64 + dropped.shapes, 1001);
        assert_eq!(kept[0].calls, 5, "the most used was dropped");
        // Nothing of the calls is forgotten.
        assert_eq!(statements.coverage(), Some(5.0 / 1005.0));
    }
}
