//! The engine behind the control door: one pair of back ends, everything wired together.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::reload::Reload;
use super::waits::Waits;
use crate::backfill::schema::{Finding, Missing};
use crate::backfill::{Report, Rows, Told};
use crate::control::{
    BoxFuture, Coerced, Command, Engine, Gate, GateKind, Options, Outcome, Progress, SessionInfo,
    SettingInfo, StatementList, Status, TableDone, TableInfo, Totals, Translation, VerifiedInfo,
};
use crate::count::counted;
use crate::cutover::gate::GateState;
use crate::cutover::gates::{self, GateLimits, GateStatus, Kind};
use crate::cutover::phase::Phase;
use crate::cutover::switch::{COPY_ANEW, Ended, Order, Switch};
use crate::divergence::{Accept, Group, GroupState, Store, VerifyState};
use crate::mirror::State;
use crate::schema::RelationKind;
use crate::session::Shared;
use crate::telemetry::Live;
use crate::verify;

/// How long the applier may take to look at PostgreSQL's schema.
const SCHEMA_WAIT: Duration = Duration::from_secs(5);

/// What status says while an operator holds the gate.
pub(super) const HELD: &str = "paused by an operator: new statements wait until crossfade resume";

/// One pair.
pub(super) struct Pair {
    pub(super) reload: Arc<Reload>,
    pub(super) shared: Arc<Shared>,
    pub(super) switch: Arc<Switch>,
    pub(super) store: Arc<Store>,
    pub(super) live: Arc<Live>,
    pub(super) waits: Arc<Waits>,
    pub(super) stop: CancellationToken,
    /// Rows copied by the last backfill of this run, by table.
    pub(super) copied: parking_lot::Mutex<std::collections::BTreeMap<String, u64>>,
}

impl Pair {
    fn gate_statuses(&self) -> Vec<GateStatus> {
        self.live.ambiguous.store(self.shared.ambiguous.len() as u64, Ordering::Release);
        gates::evaluate(&self.switch, &self.live, &self.limits())
    }

    fn limits(&self) -> GateLimits {
        super::pair::gate_limits(&self.reload.latest())
    }

    fn table_names(&self) -> Vec<String> {
        let catalog = self.shared.sqlite.catalog();
        let tables = catalog.relations.values().filter(|r| r.kind == RelationKind::Table);
        tables.map(|r| r.name.clone()).collect()
    }

    fn health(&self, phase: Phase) -> (&'static str, Option<String>) {
        if let GateState::Paused(reason) = self.shared.gate.state() {
            return ("stalled", self.switch.trouble().or_else(|| Some(reason.to_owned())));
        }
        if self.shared.gate.is_held() {
            return ("stalled", Some(HELD.to_owned()));
        }
        if let Some(trouble) = self.switch.trouble() {
            return ("degraded", Some(trouble));
        }
        if let Some(why) = self.written_as_shadow(phase) {
            return ("degraded", Some(why));
        }
        let room = self.switch.mirror().journal().room();
        if room.is_full() {
            let (bytes, max) = (room.bytes(), room.max());
            let why = format!("the journal is full ({bytes} bytes of {max}): writers wait");
            return ("degraded", Some(why));
        }
        let follows = matches!(phase, Phase::CatchingUp | Phase::Mirroring);
        match self.switch.mirror().state() {
            State::Connecting(why) if follows => ("degraded", Some(why)),
            State::Locked if follows => {
                ("degraded", Some("another proxy serves this pair of back ends".to_owned()))
            }
            State::CopyAnew(why) if follows => ("degraded", Some(why)),
            State::CopyAnew(why) if phase == Phase::Copying => {
                ("degraded", Some(format!("{why}; {COPY_ANEW}")))
            }
            _ => match self.waits.now(self.switch.mirror()) {
                Some(wait) => ("degraded", Some(wait)),
                None => ("ok", None),
            },
        }
    }

    /// What another program has written to the file while PostgreSQL is primary: a rollback would
    /// serve it, and nobody has compared it.
    fn written_as_shadow(&self, phase: Phase) -> Option<String> {
        let commits = match phase {
            Phase::Promoted => self.switch.note_foreign_writes(),
            _ => 0,
        };
        (commits > 0).then(|| {
            format!(
                "{} to the SQLite file while PostgreSQL is primary: a rollback would bring them along",
                counted(commits, "foreign commit")
            )
        })
    }

    fn next(&self, phase: Phase, gates: &[GateStatus]) -> Vec<String> {
        let failing = |name: &str| gates.iter().any(|g| g.name == name && !g.ok);
        let words: &[&str] = match phase {
            // A person has to look at both histories first.
            _ if self.switch.is_paused() => &["crossfade status --watch"],
            Phase::Direct | Phase::Copying => &["crossfade backfill"],
            // Nothing goes on before PostgreSQL answers.
            Phase::Mirroring if !self.switch.mirror().is_running() => &["crossfade status --watch"],
            Phase::Mirroring if failing("divergences") => &["crossfade divergences"],
            Phase::Mirroring if failing("verified") => &["crossfade verify"],
            Phase::Mirroring => &["crossfade promote --dry-run"],
            Phase::CatchingUp | Phase::Switching => &["crossfade status --watch"],
            Phase::Promoted if failing("way_back") => &["crossfade status --watch"],
            Phase::Promoted => &["crossfade rollback", "crossfade complete"],
            Phase::Complete => &["point the application at PostgreSQL"],
        };
        words.iter().map(|w| (*w).to_owned()).collect()
    }

    /// Whether `rollback` would go, once promoted.
    fn way_back(&self, phase: Phase) -> Option<String> {
        (phase == Phase::Promoted).then(|| match self.switch.rollback_possible() {
            (true, actual, _) => format!("open: {actual}"),
            (false, _, reason) => format!("closed: {reason}"),
        })
    }

    async fn status_now(&self) -> Status {
        let phase = self.switch.phase();
        let (health, reason) = self.health(phase);
        let gates = self.gate_statuses();
        let live = &self.live;
        live.position.store(self.shared.sqlite.position().0, Ordering::Release);
        live.sessions.store(self.shared.sessions.len() as u64, Ordering::Release);
        live.journal_bytes.store(self.switch.mirror().journal().bytes(), Ordering::Release);
        let promoted = matches!(phase, Phase::Promoted | Phase::Complete);
        let has_shadow = !matches!(phase, Phase::Direct | Phase::Complete);
        let follows = has_shadow && !promoted;
        let lag_ms = follows.then(|| live.lag_ms()).flatten();
        #[allow(clippy::cast_precision_loss)]
        live.publish(lag_ms.map(|ms| ms as f64 / 1000.0));
        let seconds = i64::from(self.limits().verified_hours) * 3600;
        let (verified, at) = self.store.verify_state(&self.table_names(), seconds);
        super::gauges::sessions(&self.shared);
        super::gauges::verified(at.as_deref(), verified != VerifyState::Differs);
        let coverage = self.shared.shapes.coverage();
        if let Some(coverage) = coverage {
            metrics::gauge!(crate::telemetry::names::COVERAGE_RATIO).set(coverage);
        }
        let (primary, shadow) =
            if promoted { ("postgres", "sqlite") } else { ("sqlite", "postgres") };
        Status {
            phase: phase.as_str().to_owned(),
            health: health.to_owned(),
            primary: primary.to_owned(),
            shadow: has_shadow.then(|| shadow.to_owned()),
            epoch: self.switch.epoch(),
            position: live.position.load(Ordering::Acquire),
            applied: (follows && live.applied_known.load(Ordering::Acquire))
                .then(|| live.applied.load(Ordering::Acquire)),
            lag_commits: follows.then(|| live.lag_commits()).flatten(),
            lag_ms,
            compared: live.compared.load(Ordering::Relaxed),
            diverged_open: self.store.open_counts().values().sum(),
            skipped: live.skipped.load(Ordering::Relaxed),
            coverage,
            verified: VerifiedInfo { state: word(verified).to_owned(), at },
            gates_ok: gates.iter().filter(|g| g.ok).count() as u64,
            gates: gates.len() as u64,
            sessions: live.sessions.load(Ordering::Acquire),
            journal_bytes: live.journal_bytes.load(Ordering::Relaxed),
            journal_bytes_max: Some(self.switch.mirror().journal().room().max()),
            foreign_writes: self.shared.sqlite.foreign_writes(),
            reason,
            immovable: self.switch.waited(),
            way_back: self.way_back(phase),
            next: self.next(phase, &gates),
        }
    }

    async fn execute(&self, command: &Command, progress: &Progress) -> Outcome {
        match command {
            Command::Backfill(options) => {
                self.waits.telling(progress, self.backfill(options, progress)).await
            }
            Command::Verify(options) => {
                self.waits.telling(progress, self.verify(options, progress)).await
            }
            Command::Repair(options) => {
                self.waits.telling(progress, self.repair(options, progress)).await
            }
            Command::Promote(options) => self.promote(options, progress).await,
            Command::Rollback(options) => self.rollback(options, progress).await,
            Command::Complete(options) => self.complete(options, progress).await,
            Command::Pause => {
                self.shared.gate.hold(true);
                Outcome::Done("new statements wait".to_owned())
            }
            Command::Resume => {
                self.shared.gate.hold(false);
                match self.switch.look_again().await {
                    Ok(()) => Outcome::Done("statements go on".to_owned()),
                    Err(error) => Outcome::Failed(error),
                }
            }
            Command::Reload => self.reload.run(),
        }
    }

    fn report<'a>(progress: &'a Progress) -> impl Fn(&str, String) + Send + Sync + 'a {
        move |text, detail| progress.step(text, detail)
    }

    async fn backfill(&self, options: &Options, progress: &Progress) -> Outcome {
        if options.dry_run {
            return Outcome::Done("backfill would copy every table and start mirroring".to_owned());
        }
        let tell = teller(progress);
        match self.switch.copy(&options.tables, options.resume, &tell).await {
            Ok(summary) => {
                for finding in &summary.findings {
                    progress.step(
                        format!("note on {} {}", finding.table, finding.object),
                        finding.message.clone(),
                    );
                }
                let refused: Vec<&str> = summary
                    .tables
                    .iter()
                    .filter(|t| t.error.is_some())
                    .map(|t| t.table.as_str())
                    .collect();
                let written = summary.tables.iter().map(|t| (t.table.clone(), t.written));
                self.copied.lock().extend(written);
                progress
                    .tables(summary.tables.iter().map(|t| done(t, &summary.findings)).collect());
                let rows: u64 = summary.tables.iter().map(|t| t.written).sum();
                let coerced: u64 = summary.tables.iter().flat_map(|t| t.coerced.values()).sum();
                let left_out: u64 = summary.tables.iter().map(|t| t.left_out + t.nulled).sum();
                let mut text = format!(
                    "{}, {}, {left_out} in quarantine",
                    counted(summary.tables.len(), "table"),
                    counted(rows, "row")
                );
                if coerced > 0 {
                    text.push_str(&format!(", {coerced} coerced"));
                }
                let missing = summary.findings.iter().filter(|f| f.missing != Missing::Nothing);
                let missing = missing.count();
                if missing > 0 {
                    let objects = counted(missing, "object");
                    text.push_str(&format!(", {objects} of the file missing on PostgreSQL"));
                }
                text.push_str(&format!(", {:.1} s", summary.seconds));
                if summary.complete && refused.is_empty() && left_out > 0 {
                    Outcome::Partly(text, left_out)
                } else if summary.complete && refused.is_empty() {
                    Outcome::Done(text)
                } else {
                    Outcome::No(format!("{text}; not copied: {}", refused.join(", ")))
                }
            }
            Err(error) => Outcome::Failed(error),
        }
    }

    async fn verify(&self, options: &Options, progress: &Progress) -> Outcome {
        if let Some(refusal) = self.not_following() {
            return refusal;
        }
        if options.dry_run {
            return Outcome::Done("verify only reads: run it without --dry-run".to_owned());
        }
        let foreign = match self.switch.look_for_foreign_writer().await {
            Ok(_) => self.store.foreign_total(),
            Err(error) => return Outcome::Failed(error),
        };
        if self.shared.sqlite.foreign_schema() {
            let reason = "another program has changed the schema of the SQLite file: what is \
                          compared is not what is there";
            let hint = "Start the proxy again, which reads it, then run crossfade backfill.";
            return Outcome::Refused(reason.to_owned(), Some(hint.to_owned()));
        }
        let tell = teller(progress);
        let mirror = self.switch.mirror();
        let verified = verify::run(mirror, &self.store, &options.tables, &tell).await;
        // Rows prove nothing about what will be done to them.
        if mirror.look_at_schema(SCHEMA_WAIT).await {
            let drifted = self.store.of_class("schema_drift").into_iter();
            let open = drifted.filter(|g| g.state == GroupState::Open).count();
            progress.step("look at PostgreSQL's schema", counted(open, "difference"));
        }
        match verified {
            Ok(reports) => {
                let rows: u64 = reports.iter().map(|r| r.rows).sum();
                if reports.iter().all(verify::Report::is_clean) {
                    if options.tables.is_empty() {
                        self.store.cover_foreign(foreign);
                        self.store.forget_unnamed();
                        // Verify is when an operator gets ready: the path back is proven too.
                        let probed = self.switch.probe_way_back().await;
                        let text = match probed {
                            Ok(took) => format!("passed in {} ms", took.as_millis()),
                            Err(_) => self.switch.way_back_status().2,
                        };
                        progress.step("probe the way back", text);
                    }
                    let held: u64 = reports.iter().map(|r| r.accepted).sum();
                    let absent: Vec<&str> = reports
                        .iter()
                        .filter(|r| r.left_out.is_some())
                        .map(|r| r.table.as_str())
                        .collect();
                    let compared = reports.len() - absent.len();
                    let mut text =
                        format!("{}, {}: clean", counted(compared, "table"), counted(rows, "row"));
                    if !absent.is_empty() {
                        text.push_str(&format!(", not on PostgreSQL: {}", absent.join(", ")));
                    }
                    if held > 0 {
                        text.push_str(&format!(", but for {held} in quarantine"));
                    }
                    let would: u64 = reports.iter().map(|r| r.would_fit).sum();
                    if would > 0 {
                        let rows = counted(would, "row");
                        let now = format!(" (PostgreSQL would take {rows} now: crossfade repair)");
                        text.push_str(&now);
                    }
                    let coerced: u64 = reports.iter().map(|r| r.coerced).sum();
                    if coerced > 0 {
                        text.push_str(&format!(", {} as coerced", counted(coerced, "value")));
                    }
                    for report in reports.iter().filter(|r| r.gone_on) {
                        let part = format!(", {} in part as of {}", report.table, report.at);
                        text.push_str(&part);
                    }
                    Outcome::Done(text)
                } else {
                    Outcome::No(unclean(&reports))
                }
            }
            Err(error) => Outcome::Failed(error),
        }
    }

    async fn repair(&self, options: &Options, progress: &Progress) -> Outcome {
        if let Some(refusal) = self.not_following() {
            return refusal;
        }
        let tell = teller(progress);
        let what = verify::What {
            tables: options.tables.clone(),
            divergence: options.divergence.clone(),
            dry_run: options.dry_run,
        };
        match verify::repair(self.switch.mirror(), &self.store, &what, &tell).await {
            Ok(repaired) => {
                let sum = |f: fn(&verify::Repaired) -> u64| repaired.iter().map(f).sum::<u64>();
                let (inserted, updated, deleted) =
                    (sum(|r| r.inserted), sum(|r| r.updated), sum(|r| r.deleted));
                let would = if options.dry_run { "would write " } else { "" };
                let held = match sum(|r| r.held) {
                    0 => String::new(),
                    n => format!(", {} that PostgreSQL refuses in quarantine", counted(n, "row")),
                };
                let returned = match sum(|r| r.returned) {
                    0 => String::new(),
                    n => format!(", {} out of quarantine", counted(n, "row")),
                };
                let done = format!(
                    "{would}{inserted} missing, {updated} changed, {deleted} extra rows{held}\
                     {returned}"
                );
                match still_differing(&repaired) {
                    Some(left) if !options.dry_run => Outcome::No(format!("{done}; {left}")),
                    _ => Outcome::Done(done),
                }
            }
            Err(error) => Outcome::Failed(error),
        }
    }

    /// Verify and repair need a shadow that follows.
    fn not_following(&self) -> Option<Outcome> {
        let phase = self.switch.phase();
        let follows = matches!(phase, Phase::CatchingUp | Phase::Mirroring);
        let hint = match phase {
            Phase::Direct | Phase::Copying => Some("Run crossfade backfill first.".to_owned()),
            _ => None,
        };
        (!follows).then(|| {
            let phase = phase.as_str();
            Outcome::Refused(format!("the phase is {phase}: no PostgreSQL follows SQLite"), hint)
        })
    }

    /// The gates now, and those that refuse. A lag that is known but a moment too large passes:
    /// the door has waited for it, and the switch slows writers until it is small.
    fn promote_gates(&self, options: &Options) -> (Vec<Gate>, Vec<Gate>) {
        let gates: Vec<Gate> = self.gate_statuses().iter().map(shown).collect();
        let refusing = gates.iter().filter(|g| g.refuses(&options.overrides)).cloned().collect();
        (gates, refusing)
    }

    async fn promote(&self, options: &Options, progress: &Progress) -> Outcome {
        if options.dry_run && options.rehearse {
            let reason = "a rehearsal is a whole promote and rollback: nothing of it is dry";
            return Outcome::Refused(reason.to_owned(), None);
        }
        if let Err(error) = self.switch.look_at_sequences(true).await {
            let said = format!("PostgreSQL cannot be looked at: {}", error.message());
            return Outcome::Refused(said, error.fields().hint.clone());
        }
        let (gates, failing) = self.promote_gates(options);
        let failing: Vec<Gate> =
            failing.into_iter().filter(|g| options.dry_run || refuses_now(g)).collect();
        let would = if options.dry_run { "would " } else { "" };
        for gate in &gates {
            let state = match gate.ok {
                true => "holds",
                false if failing.iter().any(|g| g.name == gate.name) => "NOT MET",
                false => "does not hold, passed",
            };
            let text = format!("{would}check gate {}: {state}", gate.name);
            progress.step(text, format!("{} (needed: {})", gate.actual, gate.limit));
        }
        let dry = match options.dry_run {
            true => self.switch.promote_dry(&Self::report(progress)).await,
            false => Ok(()),
        };
        if !failing.is_empty() {
            let names: Vec<String> =
                failing.iter().map(|g| format!("{} ({})", g.name, g.reason)).collect();
            return Outcome::Refused(
                format!(
                    "{} of {} gates are not met: {}",
                    failing.len(),
                    gates.len(),
                    names.join("; ")
                ),
                Some(overrides(&failing)),
            );
        }
        if let Err(error) = dry {
            let hint = error.fields().hint.clone();
            return Outcome::Refused(format!("promote would be undone: {}", error.message()), hint);
        }
        if options.dry_run {
            return Outcome::Done("promote would go ahead".to_owned());
        }
        let allowed = || match self.promote_gates(options).1.iter().find(|g| refuses_now(g)) {
            Some(gate) => Err(format!("gate {} is not met any more: {}", gate.name, gate.reason)),
            None => Ok(()),
        };
        if options.rehearse {
            let outcome = self.switch.rehearse(&allowed, &Self::report(progress)).await;
            return rehearsed(outcome, self.limits().pause_budget_ms);
        }
        let one_way = options.overrides.iter().any(|name| name == "way_back");
        let order = Order { allowed: &allowed, one_way };
        ended(
            self.switch.promote(&order, &Self::report(progress)).await,
            "promoted: postgres is primary, sqlite is shadow",
        )
    }

    async fn rollback(&self, options: &Options, progress: &Progress) -> Outcome {
        if options.dry_run {
            let (ok, actual, reason) = self.switch.rollback_possible();
            progress.step("would check the way back", actual);
            progress.step("would drain transactions on PostgreSQL", self.switch.rollback_waits());
            if let Some(written) = self.written_as_shadow(self.switch.phase()) {
                progress.step("would look at SQLite", written);
            }
            return if ok {
                Outcome::Done("rollback would go ahead".to_owned())
            } else {
                Outcome::Refused(reason, None)
            };
        }
        let (ok, _, reason) = self.switch.rollback_possible();
        if !ok {
            return Outcome::Refused(reason, None);
        }
        ended(
            self.switch.rollback(&Self::report(progress)).await,
            "rolled back: sqlite is primary, postgres is shadow",
        )
    }

    async fn complete(&self, options: &Options, progress: &Progress) -> Outcome {
        if self.switch.phase() != Phase::Promoted {
            return Outcome::Refused(
                format!("the phase is {}, not promoted", self.switch.phase().as_str()),
                None,
            );
        }
        if options.dry_run {
            return Outcome::Done("complete would end the way back for good".to_owned());
        }
        match self.switch.complete(&Self::report(progress)).await {
            Ok(()) => Outcome::Done("complete: postgres alone".to_owned()),
            Err(error) => Outcome::Failed(error),
        }
    }
}

fn ended(outcome: crate::error::Result<Ended>, done: &str) -> Outcome {
    match outcome {
        Ok(Ended::Done(wait)) => Outcome::Done(format!(
            "{done}. Clients waited {:.0} ms at most.",
            wait.as_secs_f64() * 1000.0
        )),
        Ok(Ended::Undone(reason)) => Outcome::Undone(reason),
        Err(error) => Outcome::Failed(error),
    }
}

fn rehearsed(outcome: crate::error::Result<Ended>, budget_ms: u64) -> Outcome {
    match outcome {
        Ok(Ended::Done(wait)) if wait.as_millis() > u128::from(budget_ms) => Outcome::No(format!(
            "rehearsed: clients waited {} ms at most, more than the budget of {budget_ms} ms",
            wait.as_millis()
        )),
        other => ended(other, "rehearsed: sqlite is primary, as before"),
    }
}

fn word(state: VerifyState) -> &'static str {
    match state {
        VerifyState::Never => "never",
        VerifyState::Fresh => "fresh",
        VerifyState::Stale => "stale",
        VerifyState::Differs => "differs",
    }
}

fn shown(gate: &GateStatus) -> Gate {
    Gate {
        name: gate.name.to_owned(),
        ok: gate.ok,
        actual: gate.actual.clone(),
        limit: gate.limit.clone(),
        kind: match gate.kind {
            Kind::Required => GateKind::Required,
            Kind::Override => GateKind::Override,
            Kind::Warning => GateKind::Warning,
        },
        reason: gate.reason.clone(),
    }
}

impl Engine for Pair {
    fn phase(&self) -> &'static str {
        self.switch.phase().as_str()
    }

    fn status(&self) -> BoxFuture<'_, Status> {
        Box::pin(self.status_now())
    }

    fn gates(&self) -> BoxFuture<'_, Vec<Gate>> {
        Box::pin(async { self.gate_statuses().iter().map(shown).collect() })
    }

    fn divergences(&self) -> Vec<Group> {
        self.store.groups()
    }

    fn replay(&self, id: &str) -> Option<String> {
        self.store.replay(id)
    }

    fn accept(&self, id: &str, accept: Accept) -> bool {
        self.store.accept(id, accept)
    }

    fn tables(&self) -> BoxFuture<'_, Vec<TableInfo>> {
        Box::pin(async {
            let catalog = self.shared.sqlite.catalog();
            let verified = self.store.verified();
            let copied = self.copied.lock().clone();
            catalog
                .relations
                .values()
                .filter(|r| r.kind == RelationKind::Table)
                .map(|r| {
                    let proof = verified.get(&r.name);
                    TableInfo {
                        name: r.name.clone(),
                        keyed: r.key().is_some(),
                        copied: copied.get(&r.name).copied(),
                        verified_at: proof.map(|p| p.at.clone()),
                        verified_rows: proof.map(|p| p.rows),
                        differing: proof.map(|p| p.differing),
                    }
                })
                .collect()
        })
    }

    fn statements(&self) -> StatementList {
        StatementList::of(&self.shared.shapes)
    }

    fn translate(&self, text: &str) -> Translation {
        super::texts::translation(text, &self.shared.sqlite.catalog())
    }

    fn sessions(&self) -> Vec<SessionInfo> {
        super::sessions::list(&self.shared)
    }

    fn totals(&self) -> Totals {
        self.shared.totals()
    }

    fn config(&self) -> Vec<SettingInfo> {
        super::sessions::config(&self.reload.entries())
    }

    fn run<'a>(&'a self, command: &'a Command, progress: &'a Progress) -> BoxFuture<'a, Outcome> {
        Box::pin(self.execute(command, progress))
    }

    fn shutdown(&self) {
        self.stop.cancel();
    }
}

/// Passes on to a task what copying and verifying tell.
fn teller(progress: &Progress) -> impl Fn(Told) + Send + Sync + 'static {
    let progress = progress.clone();
    move |told| match told {
        Told::Step(text, detail) => progress.step(text, detail),
        Told::Rows(Rows { doing, table, rows, of }) => {
            progress.rows(format!("{doing} {table}"), table, rows, of);
        }
    }
}

fn coerced((column, values): (&String, &u64)) -> Coerced {
    Coerced { column: column.clone(), values: *values }
}

/// How a table of a copy went, for whoever asked for it.
fn done(report: &Report, findings: &[Finding]) -> TableDone {
    let missing =
        findings.iter().filter(|f| f.missing != Missing::Nothing && f.table == report.table);
    TableDone {
        missing: missing.map(|f| f.object.clone()).collect(),
        table: report.table.clone(),
        rows: report.written,
        bytes: report.bytes,
        quarantined: report.left_out + report.nulled,
        coerced: report.coerced.iter().map(coerced).collect(),
        seconds: report.seconds,
        kept: report.kept,
        error: report.error.clone(),
    }
}

/// How the gates that refuse can be passed, if at all.
fn overrides(failing: &[Gate]) -> String {
    let (may, must): (Vec<&Gate>, Vec<&Gate>) =
        failing.iter().partition(|g| g.kind == GateKind::Override);
    let list = |gates: &[&Gate], before: &str, between: &str| {
        gates.iter().map(|g| format!("{before}{}", g.name)).collect::<Vec<_>>().join(between)
    };
    let lost = match may.iter().any(|g| g.name == "way_back") {
        true => " Without way_back there is no rollback.",
        false => "",
    };
    match (may.is_empty(), must.is_empty()) {
        (_, true) => {
            format!(
                "Whoever answers for it can pass them: {}.{lost}",
                list(&may, "--override ", " ")
            )
        }
        (true, _) => format!("Nobody can pass {}.", list(&must, "", ", ")),
        _ => format!(
            "Nobody can pass {}; whoever answers for it can pass the rest: {}.{lost}",
            list(&must, "", ", "),
            list(&may, "--override ", " ")
        ),
    }
}

/// A lag that is known is waited for by the switch itself.
fn refuses_now(gate: &Gate) -> bool {
    gate.name != "lag" || gate.actual == "unknown"
}

/// What a verify that is not clean found: rows that differ, and tables that it could not compare.
fn unclean(reports: &[verify::Report]) -> String {
    let names = |list: &[&verify::Report]| {
        let name = |r: &&verify::Report| match &r.error {
            Some(reason) => format!("{} ({reason})", r.table),
            None => r.table.clone(),
        };
        list.iter().map(name).collect::<Vec<_>>().join(", ")
    };
    let (failed, compared): (Vec<_>, Vec<_>) = reports.iter().partition(|r| r.error.is_some());
    let bad: Vec<_> = compared.iter().copied().filter(|r| r.differing > 0).collect();
    let (rows, differing) =
        compared.iter().fold((0, 0), |(r, d), one| (r + one.rows, d + one.differing));
    let mut parts = Vec::new();
    if !bad.is_empty() {
        parts.push(format!("{differing} of {rows} rows differ in {}", names(&bad)));
    }
    if !failed.is_empty() {
        parts.push(format!("not compared: {}", names(&failed)));
    }
    parts.join("; ")
}

/// What a repair could not mend, and why where that is known.
fn still_differing(repaired: &[verify::Repaired]) -> Option<String> {
    let left: Vec<_> = repaired.iter().filter(|r| r.after.differing > 0).collect();
    if left.is_empty() {
        return None;
    }
    let reports: Vec<_> = left.iter().map(|r| r.after.clone()).collect();
    let computed: Vec<String> = left
        .iter()
        .flat_map(|r| r.computed.iter().map(|column| format!("{}.{column}", r.table)))
        .collect();
    let why = match computed.is_empty() {
        true => String::new(),
        false => format!(
            " (PostgreSQL computes {} otherwise: its definition there is another one)",
            computed.join(", ")
        ),
    };
    Some(format!("still, {}{why}", unclean(&reports)))
}
