//! The conditions for promote, each with its number, its limit and its reason.

use std::sync::atomic::Ordering;

use super::phase::Phase;
use super::switch::Switch;
use crate::count::counted;
use crate::divergence::{Severity, VerifyState};
use crate::mirror::State;
use crate::schema::{Catalog, RelationKind};
use crate::telemetry::{Live, names};

/// Whether a gate can be passed although it does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Never.
    Required,
    /// By name.
    Override,
    /// It never refuses.
    Warning,
}

/// One gate as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateStatus {
    /// Name, one of `telemetry::names::GATES`.
    pub name: &'static str,
    /// Holds.
    pub ok: bool,
    /// What was found.
    pub actual: String,
    /// What is needed.
    pub limit: String,
    /// Kind.
    pub kind: Kind,
    /// Why it does not hold.
    pub reason: String,
}

/// Numbers of `[cutover]`.
#[derive(Clone, Copy, Debug)]
pub struct GateLimits {
    /// Age of the last clean verify, hours.
    pub verified_hours: u32,
    /// Largest lag, milliseconds.
    pub lag_ms: u64,
    /// Hours without a new divergence.
    pub quiet_hours: u32,
    /// Share of calls whose shape has been compared.
    pub coverage_ratio: f64,
    /// Age of the last rehearsal, days.
    pub rehearsal_days: u32,
    /// Longest wait of a client that it may have shown, milliseconds.
    pub pause_budget_ms: u64,
}

impl Default for GateLimits {
    fn default() -> Self {
        Self {
            verified_hours: 24,
            lag_ms: 1000,
            quiet_hours: 24,
            coverage_ratio: 0.99,
            rehearsal_days: 7,
            pause_budget_ms: 2000,
        }
    }
}

fn gate(
    name: &'static str,
    kind: Kind,
    ok: bool,
    actual: impl Into<String>,
    limit: impl Into<String>,
    reason: impl Into<String>,
) -> GateStatus {
    let reason = if ok { String::new() } else { reason.into() };
    GateStatus { name, ok, actual: actual.into(), limit: limit.into(), kind, reason }
}

/// Every gate, in the order of the contract; the metric is set too.
pub fn evaluate(switch: &Switch, live: &Live, limits: &GateLimits) -> Vec<GateStatus> {
    let catalog = switch.sqlite.catalog();
    let gates = vec![
        backfilled(switch),
        verified(switch, &catalog, limits),
        lag(switch, live, limits),
        divergences(switch),
        quiet(switch, limits),
        coverage(switch, limits),
        translatable(switch, live),
        keys(switch, &catalog),
        sequences(switch, &catalog),
        way_back(switch),
        foreign_writer(switch),
        rehearsal(switch, limits),
    ];
    for gate in &gates {
        metrics::gauge!(names::GATE, "gate" => gate.name).set(f64::from(u8::from(gate.ok)));
    }
    gates
}

fn tables(catalog: &Catalog) -> Vec<String> {
    let tables = catalog.relations.values().filter(|r| r.kind == RelationKind::Table);
    tables.map(|r| r.name.clone()).collect()
}

fn backfilled(switch: &Switch) -> GateStatus {
    let phase = switch.phase();
    let ok = matches!(phase, Phase::Mirroring | Phase::Switching);
    let reason = match phase {
        Phase::Promoted | Phase::Complete => "PostgreSQL is primary already",
        _ => "run crossfade backfill",
    };
    gate("backfilled", Kind::Required, ok, phase.as_str(), "mirroring", reason)
}

fn verified(switch: &Switch, catalog: &Catalog, limits: &GateLimits) -> GateStatus {
    let seconds = i64::from(limits.verified_hours) * 3600;
    let (state, at) = switch.store.verify_state(&tables(catalog), seconds);
    let word = match state {
        VerifyState::Never => "never",
        VerifyState::Fresh => "fresh",
        VerifyState::Stale => "stale",
        VerifyState::Differs => "differs",
    };
    let mut actual = at.map_or_else(|| word.to_owned(), |at| format!("{word} since {at}"));
    let limit = format!("clean within {} h", limits.verified_hours);
    let undecided = switch.store.undecided().len();
    let mut reason = "run crossfade verify";
    if undecided > 0 {
        actual.push_str(&format!(
            "; {} of columns in quarantine without a decision",
            counted(undecided, "set")
        ));
        reason = "repair what PostgreSQL cannot hold, or accept it: see crossfade divergences";
    }
    let ok = state == VerifyState::Fresh && undecided == 0;
    gate("verified", Kind::Required, ok, actual, limit, reason)
}

fn lag(switch: &Switch, live: &Live, limits: &GateLimits) -> GateStatus {
    let limit = format!("0 commits or below {} ms", limits.lag_ms);
    let running = switch.mirror.state() == State::Running;
    let (Some(commits), true) = (live.lag_commits(), running) else {
        let reason = "the shadow's position is not known";
        return gate("lag", Kind::Required, false, "unknown", limit, reason);
    };
    let ms = live.lag_ms().unwrap_or(u64::MAX);
    let ok = commits == 0 || ms < limits.lag_ms;
    let actual = format!("{}, {ms} ms", counted(commits, "commit"));
    gate("lag", Kind::Required, ok, actual, limit, "the shadow is behind")
}

fn divergences(switch: &Switch) -> GateStatus {
    let counts = switch.store.open_counts();
    let of = |s: Severity| counts.get(&s).copied().unwrap_or(0);
    let (data, semantic) = (of(Severity::Data), of(Severity::Semantic));
    let actual = format!("{data} data, {semantic} semantic");
    let reason = "see crossfade divergences";
    gate("divergences", Kind::Required, data + semantic == 0, actual, "0 open", reason)
}

fn quiet(switch: &Switch, limits: &GateLimits) -> GateStatus {
    let since = switch.store.quiet_since();
    let limit = format!("{} h without a new divergence", limits.quiet_hours);
    let hours = since.map(|at| jiff::Timestamp::now().duration_since(at).as_hours());
    let ok = hours.is_some_and(|h| h >= i64::from(limits.quiet_hours));
    let actual = hours.map_or_else(|| "unknown".to_owned(), |h| format!("{h} h"));
    gate("quiet", Kind::Override, ok, actual, limit, "not long enough")
}

fn coverage(switch: &Switch, limits: &GateLimits) -> GateStatus {
    let ratio = switch.mirror.shapes().coverage();
    let writes = switch.mirror.shapes().uncovered_writes();
    let ok = ratio.is_some_and(|r| r >= limits.coverage_ratio) && writes == 0;
    let percent = ratio.map_or_else(|| "unknown".to_owned(), |r| format!("{:.1} %", r * 100.0));
    let actual = format!("{percent} of calls, {writes} write shapes not compared");
    let limit = format!("{:.0} % of calls, every write shape", limits.coverage_ratio * 100.0);
    gate("coverage", Kind::Override, ok, actual, limit, "statements were not compared yet")
}

fn translatable(switch: &Switch, live: &Live) -> GateStatus {
    let refused = switch.mirror.shapes().without_form();
    let ambiguous = live.ambiguous.load(Ordering::Acquire);
    let mut actual = counted(refused, "statement shape");
    if ambiguous > 0 {
        actual.push_str(&format!(
            "; {ambiguous} read as PostgreSQL's dialect mean something else in SQLite's (name one \
             with crossfade.dialect)"
        ));
    }
    let reason = "live statements are refused, or have no form for PostgreSQL: see SHOW STATEMENTS";
    gate("translatable", Kind::Override, refused == 0, actual, "0", reason)
}

fn keys(switch: &Switch, catalog: &Catalog) -> GateStatus {
    let verified = switch.store.verified();
    let keyless: Vec<&str> = catalog
        .relations
        .values()
        .filter(|r| r.kind == RelationKind::Table && r.key().is_none())
        .map(|r| r.name.as_str())
        .collect();
    let open = keyless.iter().filter(|t| verified.get(**t).is_none_or(|v| v.differing > 0)).count();
    let actual = format!("{} without key, {open} not verified", counted(keyless.len(), "table"));
    let reason = format!("not verified as multisets: {}", keyless.join(", "));
    gate("keys", Kind::Override, open == 0, actual, "all verified as multisets", reason)
}

fn sequences(switch: &Switch, catalog: &Catalog) -> GateStatus {
    let columns = catalog.relations.values().flat_map(|r| r.columns.iter().map(move |c| (r, c)));
    let mut unmapped: Vec<String> = columns
        .filter_map(|(r, c)| c.sequence.as_ref().map(|s| (r, c, s)))
        .filter(|(_, _, s)| !catalog.sequences.contains_key(*s))
        .map(|(r, c, _)| format!("{}.{}", r.name, c.name))
        .collect();
    let all = catalog.sequences.len() + unmapped.len();
    // What PostgreSQL's own schema takes numbers from, when last looked.
    let there = switch.unmapped();
    unmapped.extend(there.into_iter().filter(|name| !unmapped.contains(name)).collect::<Vec<_>>());
    let actual = format!("{} of {all}", all.saturating_sub(unmapped.len()));
    let reason = format!(
        "not mapped: {}; on PostgreSQL no sequence that could be set numbers it: ALTER TABLE … \
         ALTER … SET DEFAULT nextval('…')",
        unmapped.join(", ")
    );
    gate("sequences", Kind::Required, unmapped.is_empty(), actual, "every one mapped", reason)
}

fn way_back(switch: &Switch) -> GateStatus {
    let (ok, actual, reason) = switch.way_back_status();
    gate("way_back", Kind::Override, ok, actual, "probe passed", reason)
}

fn foreign_writer(switch: &Switch) -> GateStatus {
    let since = switch.note_foreign_writes();
    let altered = switch.sqlite.foreign_schema();
    let actual = format!("{} since the last verify", counted(since, "foreign commit"));
    let reason = match altered {
        true => {
            "another program has changed the schema of the SQLite file; start the proxy again, \
             which reads it, then run crossfade backfill"
        }
        false => {
            "somebody else writes the SQLite file, or may have while the proxy was stopped; \
             run crossfade verify"
        }
    };
    gate("foreign_writer", Kind::Required, since == 0 && !altered, actual, "0", reason)
}

fn rehearsal(switch: &Switch, limits: &GateLimits) -> GateStatus {
    let last = switch.store.switches().iter().rev().find(|(k, ..)| k == "rehearsal").cloned();
    let age = last.as_ref().and_then(|(_, _, at)| at.parse::<jiff::Timestamp>().ok());
    let days = age.map(|at| jiff::Timestamp::now().duration_since(at).as_hours() / 24);
    let pause = last.as_ref().map(|(_, pause, _)| *pause);
    let recent = days.is_some_and(|d| d <= i64::from(limits.rehearsal_days));
    let short = pause.is_some_and(|ms| ms <= limits.pause_budget_ms);
    let actual = match (days, pause) {
        (Some(days), Some(ms)) => format!("{} ago, {ms} ms", counted(days, "day")),
        _ => "never".to_owned(),
    };
    let limit = format!(
        "within {}, at most {} ms",
        counted(limits.rehearsal_days, "day"),
        limits.pause_budget_ms
    );
    let reason = match pause {
        None => "run crossfade promote --rehearse",
        Some(_) if !recent => "the last rehearsal is too old",
        Some(_) => "clients waited longer than the pause budget",
    };
    gate("rehearsal", Kind::Warning, recent && short, actual, limit, reason)
}
