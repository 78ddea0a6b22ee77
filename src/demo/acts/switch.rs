//! Promote, the way back, rollback, promote again, complete.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::demo::journey::{Journey, Outcome};
use crate::demo::load::Interval;
use crate::demo::proxy::Task;
use crate::demo::report::{grouped, short};
use crate::demo::{Trouble, check, load as clients};

/// Gates that need days, or a workload of days: passed by name in a demo of a minute.
const NEED_DAYS: &[&str] = &["quiet", "coverage", "rehearsal"];

/// The pause budget: no client may wait longer for a statement.
const BUDGET_MS: f64 = 2_000.0;
/// How long the demo tries again while the shadow is too far behind: other work may have the machine.
const LAG_MAX: Duration = Duration::from_secs(60);

/// Gates that do not hold and would refuse: (name, overridable, why).
fn failing(journey: &Journey) -> Result<Vec<(String, bool, String)>, Trouble> {
    let answer = journey.proxy()?.get("/api/v1/gates")?;
    let text = |gate: &Value, field: &str| gate[field].as_str().unwrap_or("").to_owned();
    Ok(answer["gates"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|gate| gate["ok"] == false && gate["kind"] != "warning")
        .map(|gate| {
            let name = text(gate, "name");
            let by_name = gate["kind"] == "override" && NEED_DAYS.contains(&name.as_str());
            let why = format!("{name}: {} (limit {})", text(gate, "actual"), text(gate, "limit"));
            (name, by_name, why)
        })
        .collect())
}

/// Waits for every gate that a minute can open; the gates to pass by name.
fn open_gates(journey: &Journey) -> Result<Vec<String>, Trouble> {
    let verified = failing(journey)?.iter().all(|(name, ..)| name != "verified");
    if !verified {
        journey.proxy()?.order("verify", &json!({}), &journey.stop)?.done("verify")?;
    }
    let mut overrides = Vec::new();
    journey.stop.until("gates", LAG_MAX, || {
        let (by_name, closed): (Vec<_>, Vec<_>) =
            failing(journey)?.into_iter().partition(|(_, by_name, _)| *by_name);
        if !closed.is_empty() {
            let why: Vec<String> = closed.into_iter().map(|(_, _, why)| why).collect();
            return Err(Trouble::NotHeld(why.join("; ")));
        }
        overrides = by_name.into_iter().map(|(name, ..)| name).collect();
        Ok(true)
    })?;
    Ok(overrides)
}

/// What a switch showed.
struct Switched {
    interval: Interval,
    epoch: u64,
    /// Milliseconds of the task.
    task_ms: f64,
}

impl Switched {
    fn line(&self, calm: Option<&Interval>) -> String {
        let before = calm.map_or_else(String::new, |calm| {
            format!(" (without a switch {}, {})", short(calm.longest_ms()), short(calm.p99_ms()))
        });
        format!(
            "longest wait {}, p99 {}{before}; {} commits meanwhile, 0 failed, 0 reconnects; \
             task {}, epoch {}",
            short(self.interval.longest_ms()),
            short(self.interval.p99_ms()),
            grouped(self.interval.commits),
            short(self.task_ms),
            self.epoch
        )
    }
}

/// Orders it, and again while the lag alone refuses.
fn order(journey: &Journey, verb: &str, body: &Value) -> Result<Task, Trouble> {
    let until = Instant::now() + LAG_MAX;
    loop {
        let task = journey.proxy()?.order(verb, body, &journey.stop)?;
        let behind = task.state() == "refused" && task.error().contains("lag not met");
        if !behind || Instant::now() > until {
            return Ok(task);
        }
        journey.stop.pause(Duration::from_secs(1))?;
    }
}

/// Orders a switch under load and watches the clients.
fn switch(
    journey: &Journey,
    verb: &str,
    body: &Value,
    primary: &str,
    phase: &str,
) -> Result<Switched, Trouble> {
    let (proxy, load) = (journey.proxy()?, journey.load()?);
    load.resume();
    journey.stop.pause(Duration::from_millis(300))?;
    let epoch = proxy.status()?["epoch"].as_u64().unwrap_or(0);
    load.interval();
    let task = order(journey, verb, body)?.done(verb)?;
    journey.stop.pause(journey.pace.watch)?;
    let interval = load.interval();
    let status = proxy.status()?;
    if status["primary"] != primary || status["phase"] != phase {
        return Err(Trouble::NotHeld(format!(
            "after {verb} the primary is {}, the phase {}",
            status["primary"], status["phase"]
        )));
    }
    let now = status["epoch"].as_u64().unwrap_or(0);
    if now <= epoch {
        return Err(Trouble::NotHeld(format!("the epoch went from {epoch} to {now}")));
    }
    Journey::undisturbed(&interval)?;
    if interval.longest_ms() > BUDGET_MS {
        return Err(Trouble::NotHeld(format!(
            "a client waited {}, the pause budget is {}",
            short(interval.longest_ms()),
            short(BUDGET_MS)
        )));
    }
    Ok(Switched { interval, epoch: now, task_ms: task.ms() })
}

/// PostgreSQL becomes primary under load.
pub(in crate::demo) fn promote(journey: &mut Journey) -> Outcome {
    journey.need_phase("mirroring")?;
    let overrides = open_gates(journey)?;
    if !overrides.is_empty() {
        let task = journey.proxy()?.order("promote", &json!({}), &journey.stop)?;
        if task.state() != "refused" {
            return Err(Trouble::NotHeld(format!(
                "promote was not refused although {} do not hold",
                overrides.join(", ")
            )));
        }
    }
    let rehearsal = json!({"dry_run": true, "override": overrides});
    journey.proxy()?.order("promote", &rehearsal, &journey.stop)?.done("promote --dry-run")?;
    journey.need_phase("mirroring")?;
    let switched = go(journey, &overrides)?;
    let passed = if overrides.is_empty() { "none".into() } else { overrides.join(", ") };
    Ok(format!("{}; overridden: {passed}", switched.line(journey.calm.as_ref())))
}

/// Promotes, then looks for every earlier acknowledged commit on PostgreSQL itself.
fn go(journey: &Journey, overrides: &[String]) -> Result<Switched, Trouble> {
    let told = journey.load()?.snapshot();
    let body = json!({"override": overrides});
    let switched = switch(journey, "promote", &body, "postgres", "promoted")?;
    let config = journey.direct()?;
    let found = journey.run(async {
        let client = clients::connect(&config).await?;
        check::ledger(&client).await
    })?;
    let missing = told.difference(&found).count();
    if missing > 0 {
        return Err(Trouble::NotHeld(format!(
            "{missing} commits acknowledged before promote are not on PostgreSQL"
        )));
    }
    if found.len() <= told.len() {
        return Err(Trouble::NotHeld("nothing was written on PostgreSQL after promote".into()));
    }
    Ok(switched)
}

/// SQLite follows the promoted PostgreSQL: with the clients at rest the file holds it all.
pub(in crate::demo) fn way_back(journey: &mut Journey) -> Outcome {
    journey.need_phase("promoted")?;
    let (orders, took) = follow(journey)?;
    Ok(format!(
        "the SQLite file caught up {} after the last commit: {orders} orders, sums and ledger right",
        short(took.as_secs_f64() * 1000.0)
    ))
}

fn follow(journey: &Journey) -> Result<(String, Duration), Trouble> {
    journey.hold()?;
    let direct = journey.direct()?;
    let there = journey.check_side("PostgreSQL", &direct, true)?;
    let file = journey.file()?;
    let took = journey.stop.until("the SQLite file follows", Duration::from_secs(30), || {
        let here = check::file(&file)?;
        if here == there {
            return Ok(true);
        }
        Err(Trouble::NotHeld(format!("PostgreSQL has {there:?}, the file {here:?}")))
    })?;
    journey.check_file(true)?;
    journey.load()?.resume();
    Ok((grouped(u64::try_from(there.orders).unwrap_or(0)), took))
}

/// SQLite becomes primary again under load, and PostgreSQL follows again.
pub(in crate::demo) fn rollback(journey: &mut Journey) -> Outcome {
    journey.need_phase("promoted")?;
    let switched = switch(journey, "rollback", &json!({}), "sqlite", "mirroring")?;
    let rows = journey.check_level()?;
    let line = switched.line(None);
    Ok(format!("{line}; then {} rows the same on both sides", grouped(rows)))
}

/// And forward again.
pub(in crate::demo) fn promote_again(journey: &mut Journey) -> Outcome {
    journey.need_phase("mirroring")?;
    let status = journey.proxy()?.status()?;
    if status["epoch"].as_u64().unwrap_or(0) < 3 {
        return Err(Trouble::Skipped("there was no promote and rollback before".into()));
    }
    journey.load()?.resume();
    let overrides = open_gates(journey)?;
    let switched = go(journey, &overrides)?;
    let (orders, _) = follow(journey)?;
    Ok(format!("{}; the file follows ({orders} orders)", switched.line(None)))
}

/// The way back ends; the clients go on.
pub(in crate::demo) fn complete(journey: &mut Journey) -> Outcome {
    journey.need_phase("promoted")?;
    let (proxy, load) = (journey.proxy()?, journey.load()?);
    load.resume();
    load.interval();
    let task = proxy.order("complete", &json!({}), &journey.stop)?.done("complete")?;
    let status = journey.await_phase("complete", Duration::from_secs(10))?;
    if !status["shadow"].is_null() || status["primary"] != "postgres" {
        return Err(Trouble::NotHeld(format!(
            "after complete the primary is {}, the shadow {}",
            status["primary"], status["shadow"]
        )));
    }
    journey.stop.pause(journey.pace.watch)?;
    let interval = load.interval();
    Journey::undisturbed(&interval)?;
    Ok(format!(
        "PostgreSQL alone after {}; {:.0} commits/s go on, 0 failed",
        short(task.ms()),
        interval.rate()
    ))
}

/// At the end everything adds up, on both sides.
pub(in crate::demo) fn both_sides(journey: &mut Journey) -> Outcome {
    let phase = journey.proxy()?.status()?["phase"].as_str().unwrap_or("").to_owned();
    journey.hold()?;
    let through = journey.through_proxy()?;
    let there = journey.check_side("through the proxy", &through, true)?;
    let direct = journey.direct()?;
    if matches!(phase.as_str(), "promoted" | "complete") {
        journey.check_side("PostgreSQL", &direct, true)?;
    } else {
        journey.check_level()?;
    }
    // After complete the file stays at a commit of its own: whole, if older.
    let here = journey.check_file(phase == "mirroring")?;
    let file = journey.file()?;
    let integrity = check::integrity(&file)?;
    if integrity != "ok" {
        return Err(Trouble::NotHeld(format!("integrity_check of the file: {integrity}")));
    }
    let keys = journey.run(async {
        let client = clients::connect(&direct).await?;
        check::ledger(&client).await
    })?;
    let file_keys: BTreeSet<(i64, i64)> = check::file_ledger(&file)?;
    let strange = file_keys.difference(&keys).count();
    if strange > 0 {
        return Err(Trouble::NotHeld(format!(
            "{strange} commits of the file are not on PostgreSQL"
        )));
    }
    let acknowledged = grouped(journey.load()?.acknowledged());
    Ok(format!(
        "{acknowledged} acknowledged commits there; money {}, stock and {} orders add up; \
         the file is whole with {} orders (integrity_check ok)",
        there.money, there.orders, here.orders
    ))
}
