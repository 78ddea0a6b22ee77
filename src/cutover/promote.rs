//! Promote: step by step, each with its limit, each undone by the next look at both sides.
//!
//! Owns the order of the steps, for real and dry. Nothing is decided before the one decision,
//! and nothing is served after it before it is recorded. Start at [`Switch::promote`].

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::clients::{End, Waited};
use super::gate::{GateState, Hold, Route};
use super::phase::Phase;
use super::state::{Point, SqliteRole, SqliteState, System};
use super::switch::{Ended, Order, Report, SECOND, Switch, failed};
use super::{facts, observe};
use crate::backend::postgres::control::{Control, Holder};
use crate::backend::postgres::replication::Lsn;
use crate::backend::postgres::room;
use crate::backend::postgres::triggers::Quiet;
use crate::backend::sqlite::Writer;
use crate::count::counted;
use crate::error::{Error, Result, state};
use crate::failpoint;
use crate::mirror::way_back::WayBack;
use crate::schema::RelationKind;
use crate::verify::{self, Pass, Still};

/// The longest pause before a client's next writing transaction while the shadow catches up.
pub(super) const THROTTLE_MAX: Duration = Duration::from_millis(100);
/// Commits behind at which writers are not slowed any more.
const SMALL_LAG: u64 = 20;
/// How long those that were told to end may take.
const GRACE: Duration = Duration::from_secs(1);
/// How long those are waited for that may go on with what they hold: most end by themselves, and
/// their client meets no change of the primary.
const PAST: Duration = Duration::from_millis(500);
/// What looking at one key is believed to cost before it was measured.
const KEY_COST: Duration = Duration::from_micros(200);

/// Connections that the switch and the way back need beside the clients'.
const CONTROL: i64 = 2;
/// Why a switch was undone whose drain did not come to an end.
const OPEN: &str = "transactions did not end in time";

/// Names of the steps, as reports have them.
pub(super) mod steps {
    pub(in crate::cutover) const PROBE: &str = "probe the way back";
    pub(in crate::cutover) const ROOM: &str = "look whether PostgreSQL takes the clients";
    pub(in crate::cutover) const SINCE: &str = "verify what has changed since the last verify";
    pub(in crate::cutover) const SLOW: &str = "slow writers until the lag is small";
    pub(in crate::cutover) const DRAIN: &str = "drain writing transactions";
    pub(in crate::cutover) const FENCE: &str = "fence SQLite";
    pub(in crate::cutover) const CATCH_UP: &str = "apply the journal to its end";
    pub(in crate::cutover) const CHECK: &str = "check the keys changed last";
    pub(in crate::cutover) const SEQUENCES: &str = "set sequences";
    pub(in crate::cutover) const DECIDE: &str = "decide";
    pub(in crate::cutover) const RECORD: &str = "record the decision in SQLite";
    pub(in crate::cutover) const ROUTE: &str = "route sessions to PostgreSQL";
}

/// What looking again costs, as measured before the switch.
#[derive(Clone, Debug, Default)]
struct Costs {
    /// Of a key; None before any was looked at.
    key: Option<Duration>,
    /// Of a whole table.
    whole: BTreeMap<String, Duration>,
}

impl Costs {
    fn learn(&mut self, pass: &Pass) {
        if let Ok(keys) = u32::try_from(pass.keys)
            && keys > 0
        {
            self.key = Some(pass.took / keys);
        }
        self.whole.extend(pass.whole.clone());
    }
}

impl Switch {
    /// Makes PostgreSQL primary. Gates have been passed.
    ///
    /// # Errors
    /// SQLite's own; a trouble of PostgreSQL undoes the switch.
    pub async fn promote(&self, order: &Order<'_>, report: Report<'_>) -> Result<Ended> {
        let _turn = self.turn.lock().await;
        let ended = self.promote_once(order, report).await?;
        self.conclude("promote", &ended);
        Ok(ended)
    }

    /// In the turn. The gates are asked again: what waited for its turn may find another world.
    pub(super) async fn promote_once(
        &self,
        order: &Order<'_>,
        report: Report<'_>,
    ) -> Result<Ended> {
        if let Err(reason) = (order.allowed)() {
            return Ok(Ended::Undone(reason));
        }
        let (sqlite, phase) = self.facts().await?;
        if phase != Phase::Mirroring || sqlite.role != SqliteRole::Primary {
            return Ok(Ended::Undone(format!("the phase is {}", self.phase().as_str())));
        }
        if !matches!(self.gate.state(), GateState::Open(Route::Sqlite(_))) {
            return Ok(Ended::Undone("SQLite does not serve as primary".to_owned()));
        }
        let _history = self.mirror.keep_history().await;
        self.gate.take_longest_wait();
        self.unsettle();
        self.phase.send_replace(Phase::Switching);
        let outcome = self.promote_in_turn(&sqlite, order.one_way, report).await;
        self.gate.throttle(Duration::ZERO);
        self.mirror.hurry(false);
        // Whatever was reached: recovery looks at both sides and knows.
        self.recover_in_turn().await?;
        let there = matches!(self.gate.route(), Some(Route::Postgres(_)));
        if there {
            report(steps::ROUTE, counted(self.clients.count(), "session"));
            return Ok(Ended::Done(self.gate.take_longest_wait()));
        }
        self.release_way_back(report).await;
        Ok(Ended::Undone(match outcome {
            Ok(()) => "recovery did not settle it".to_owned(),
            Err(error) => said(&error),
        }))
    }

    async fn promote_in_turn(
        &self,
        sqlite: &SqliteState,
        one_way: bool,
        report: Report<'_>,
    ) -> Result<()> {
        let epoch = sqlite.epoch + 1;
        let control = observe::connect(&self.connector).await?;
        let stored = self.claim.look(false).await?;
        let stored = stored.ok_or_else(|| failed("PostgreSQL was not copied to"))?;
        if matches!(stored.holder, Holder::Another(_)) {
            return Err(failed(SECOND));
        }
        let system = System { identifier: stored.system, timeline: stored.timeline };
        let precheck = async {
            self.admit(&control).await?;
            self.prepare_way_back(one_way, report).await?;
            report(steps::ROOM, self.room_for_clients(&control).await?);
            self.verify_since(report).await
        };
        let costs = tokio::time::timeout(self.limits().precheck, precheck).await;
        let costs = costs.unwrap_or_else(|_| {
            Err(failed("not everything was ready for the switch within precheck_ms")
                .hint("Run crossfade verify, then promote again."))
        })?;
        self.slow(report).await?;
        let at = self.fence(sqlite, system, report).await?;
        if let Err(error) = self.prepare_decision(&control, at, &costs, report).await {
            // Nothing was sent: the number is burned on SQLite alone.
            self.mirror.stop().await;
            self.unfence(epoch).await?;
            return Err(error);
        }
        let from = self.decide(&control, epoch, at, report).await?;
        self.record_promoted(epoch, system, Some(from)).await?;
        report(steps::RECORD, format!("epoch {epoch}"));
        Ok(())
    }

    /// Everything between the fence and the decision.
    async fn prepare_decision(
        &self,
        control: &Control,
        at: Point,
        costs: &Costs,
        report: Report<'_>,
    ) -> Result<()> {
        self.catch_up(at, report).await?;
        self.final_check(costs, report).await?;
        let carry = async {
            self.admit(control).await?;
            if self.way_back_status().0
                && let Some(reason) = WayBack::unfollowed(control, false).await?
            {
                return Err(failed(format!("the schema changed during the switch: {reason}"))
                    .hint("Promote again."));
            }
            super::sequences::carry(&self.sqlite, &self.sequences, control).await
        };
        let count = tokio::time::timeout(self.limits().final_check, carry)
            .await
            .unwrap_or_else(|_| Err(failed("the sequences were not set in time")))?;
        report(steps::SEQUENCES, counted(count, "sequence"));
        Ok(())
    }

    /// Whether PostgreSQL takes a session for each client that is here, and control's own beside
    /// them.
    ///
    /// # Errors
    /// 53300 when it does not.
    async fn room_for_clients(&self, control: &Control) -> Result<String> {
        let user = self.connector.endpoint().user.clone();
        let role = self.app_role.clone().unwrap_or(user);
        let room = room::room(control.client(), &role).await.map_err(|e| control.error(&e))?;
        let clients = self.clients.count();
        let needed = self.limits().shared_by.map_or(clients, |shared| clients.min(shared));
        let found = format!(
            "{} more by {}, {} here",
            counted(u64::try_from(room.free).unwrap_or_default(), "session"),
            room.limit,
            counted(clients, "client")
        );
        if i64::try_from(needed).unwrap_or(i64::MAX) + CONTROL <= room.free {
            return Ok(found);
        }
        let message = format!("PostgreSQL does not take all clients: {found}");
        Err(Error::shadow(state::TOO_MANY_CONNECTIONS, message).hint(
            "Raise that limit, or let clients share server sessions: postgres.pool_mode = \
             \"transaction\".",
        ))
    }

    /// The application's role gets what it needs as primary; nothing with one role only.
    async fn admit(&self, control: &Control) -> Result<()> {
        match &self.app_role {
            Some(role) => observe::admit(control, role).await.map(drop),
            None => Ok(()),
        }
    }

    /// Passes over what has changed since the last verify, until looking at the rest fits the
    /// limit of the final check.
    async fn verify_since(&self, report: Report<'_>) -> Result<Costs> {
        let mut costs = Costs::default();
        let (mut keys, mut passes) = (0, 0);
        loop {
            let once = |table: &str| !costs.whole.contains_key(table);
            let pass = verify::since(&self.mirror, &self.store, &once, false).await?;
            if let Some(first) = &pass.first {
                return Err(differs(first, pass.differing));
            }
            costs.learn(&pass);
            (keys, passes) = (keys + pass.keys, passes + 1);
            if self.cost(&costs) <= self.limits().final_check / 2 {
                let whole = costs.whole.len();
                let text = format!(
                    "{}, {}, {}",
                    counted(keys, "key"),
                    counted(whole, "whole table"),
                    counted(passes, "pass")
                );
                report(steps::SINCE, text);
                return Ok(costs);
            }
            tokio::task::yield_now().await;
        }
    }

    /// What looking at everything that has changed would cost now.
    fn cost(&self, costs: &Costs) -> Duration {
        let catalog = self.sqlite.catalog();
        let key = costs.key.unwrap_or(KEY_COST);
        let of = |table: String| {
            let (keys, whole) = self.store.changed_size(&table);
            let known = costs.whole.get(&table).copied();
            match catalog.relation(&table) {
                None => Duration::ZERO,
                Some(_) if !whole => key.saturating_mul(u32::try_from(keys).unwrap_or(u32::MAX)),
                // Without a key nothing less than the table can be looked at: only if cheap.
                Some(r) if r.key().is_none() => {
                    known.filter(|c| self.cheap(*c)).unwrap_or_default()
                }
                Some(_) => known.unwrap_or(self.limits().final_check),
            }
        };
        self.store.changed_tables().into_iter().map(of).sum()
    }

    fn cheap(&self, cost: Duration) -> bool {
        cost <= self.limits().final_check / 4
    }

    /// Behind the fence both sides stand still at one position: what has changed since it was
    /// verified is looked at once more.
    async fn final_check(&self, costs: &Costs, report: Report<'_>) -> Result<()> {
        // Nobody but a foreign program can have written since, and no key would show it.
        if self.look_for_foreign_writer().await? > 0 {
            return Err(failed("somebody else has written the SQLite file")
                .hint("Run crossfade verify, then promote again."));
        }
        let still = Still {
            sqlite: self.sqlite.clone(),
            connector: self.connector.clone(),
            stretch: crate::verify::STRETCH,
        };
        let cheap = |table: &str| costs.whole.get(table).is_some_and(|cost| self.cheap(*cost));
        let pass = verify::since(&still, &self.store, &cheap, false);
        let pass = tokio::time::timeout(self.limits().final_check, pass).await;
        let pass = pass.unwrap_or_else(|_| {
            Err(failed("the keys changed last could not be checked within final_check_ms"))
        })?;
        match &pass.first {
            Some(first) => Err(differs(first, pass.differing)),
            None => {
                report(steps::CHECK, pass.summary());
                Ok(())
            }
        }
    }

    /// Throttles writers until the shadow is only a few commits behind.
    async fn slow(&self, report: Report<'_>) -> Result<()> {
        let deadline = Instant::now() + self.limits().slow;
        let mut pause = Duration::from_micros(200);
        self.mirror.hurry(true);
        loop {
            let lag = self.lag();
            if lag <= SMALL_LAG {
                report(steps::SLOW, format!("{} behind", counted(lag, "commit")));
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(failed("the shadow does not catch up with the writers"));
            }
            self.gate.throttle(pause);
            pause = (pause * 2).min(THROTTLE_MAX);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn lag(&self) -> u64 {
        self.sqlite.position().0.saturating_sub(self.mirror.applied().0)
    }

    /// Waits for those that have written or hold what cannot move, and takes the writer: nobody
    /// writes after this.
    async fn drain(&self, route: Route, report: Report<'_>) -> Result<Writer> {
        self.gate.drain(route);
        let limit = self.limits().drain;
        let deadline = Instant::now() + limit;
        let mut told = String::new();
        let (gate, past) = (&self.gate, PAST.min(limit));
        let stay = Some(Hold::Stays);
        if !gate.loosened(None, past).await && !gate.loosened(stay, limit - past).await {
            told = self.end_waited(self.limits().drain_cancel)?;
            if !gate.loosened(stay, GRACE).await {
                return Err(failed(OPEN).detail(told));
            }
        }
        let stay = gate.firm(Hold::Stays);
        if stay > 0 {
            let more = if told.is_empty() { "" } else { "; " };
            told.push_str(more);
            told.push_str(&format!("{} left with what is past", counted(stay, "session")));
        }
        let deadline = deadline.max(Instant::now() + GRACE);
        let writer = self.sqlite.writer(Some(deadline)).await;
        let writer = writer.map_err(|_| failed("transactions that write did not end in time"))?;
        report(steps::DRAIN, told);
        Ok(writer)
    }

    /// Ends the sessions that hold for ever what cannot move; with `cancel` open transactions
    /// too. What was ended, in words.
    ///
    /// # Errors
    /// When a transaction is open that must not be ended: nobody is ended then.
    pub(super) fn end_waited(&self, cancel: bool) -> Result<String> {
        let waited: Vec<Waited> = self.clients.waited().into_iter().filter(|w| !w.stays).collect();
        let open: Vec<String> =
            waited.iter().filter(|w| !w.for_ever && !cancel).map(Waited::shown).collect();
        if !open.is_empty() {
            return Err(sits(&open));
        }
        for session in &waited {
            let statement = !session.for_ever && session.active;
            self.clients.end(session.pid, if statement { End::Statement } else { End::Session });
        }
        let ended: Vec<String> = waited.iter().map(Waited::shown).collect();
        Ok(format!("ended: {}", ended.join("; ")))
    }

    /// The last transaction of this reign.
    async fn fence(
        &self,
        sqlite: &SqliteState,
        system: System,
        report: Report<'_>,
    ) -> Result<Point> {
        let route = Route::Sqlite(sqlite.epoch);
        let writer = self.drain(route, report).await?;
        // While the writer is held: who gets it next sees the fence.
        self.gate.set(GateState::Fenced(route));
        let at = facts::point_of(self.journal.head());
        let to = SqliteState { epoch: sqlite.epoch, role: SqliteRole::Fenced { at, system } };
        facts::store(&self.journal, writer, &to, Phase::Switching)?;
        failpoint!("cutover.fenced");
        let mut witness = self.witness();
        witness.attempted = witness.attempted.max(sqlite.epoch + 1);
        self.store.set_witness(witness.attempted, witness.served)?;
        failpoint!("cutover.witnessed");
        report(steps::FENCE, format!("final position {}", at.position));
        Ok(at)
    }

    async fn catch_up(&self, at: Point, report: Report<'_>) -> Result<()> {
        let reached = self.mirror.wait_applied(at.position.into(), self.limits().catch_up).await;
        self.mirror.stop().await;
        failpoint!("cutover.caught_up");
        if !reached {
            return Err(failed("PostgreSQL did not reach the final position in time"));
        }
        report(steps::CATCH_UP, format!("position {}", at.position));
        Ok(())
    }

    /// The one decision; the place in the write-ahead log after it.
    async fn decide(
        &self,
        control: &Control,
        epoch: u64,
        at: Point,
        report: Report<'_>,
    ) -> Result<Lsn> {
        // From here on reads wait too: PostgreSQL may be primary any moment.
        self.gate.set(GateState::Closed);
        let login = self.app_role.as_deref().map_or_else(String::new, |role| {
            format!("ALTER ROLE {} LOGIN", crate::backend::postgres::apply::quoted(role))
        });
        // Triggers that were off for images act for whoever writes there from now on.
        let followed = WayBack::opening(control).await?;
        let open = Quiet::load(control).await?.end() + &followed + &login;
        failpoint!("cutover.before_decide");
        // A table that somebody works on (VACUUM, CREATE INDEX) is told in time to go back.
        let longest = self.limits().decide;
        let decided = observe::decide(control, epoch, at, &open, longest / 2);
        let place = tokio::time::timeout(longest, decided)
            .await
            .unwrap_or_else(|_| Err(failed("the decision was not answered in time")))?;
        failpoint!("cutover.decided");
        report(steps::DECIDE, format!("epoch {epoch} belongs to PostgreSQL"));
        Ok(place)
    }

    /// Every step of a promote that only reads, against the live state; the others are named.
    /// Nothing is changed on either side.
    ///
    /// # Errors
    /// What would stop the promote.
    pub async fn promote_dry(&self, report: Report<'_>) -> Result<()> {
        let would = |step: &str, detail: String| report(&format!("would {step}"), detail);
        let (sqlite, phase) = self.facts().await?;
        if phase != Phase::Mirroring || sqlite.role != SqliteRole::Primary {
            return Err(failed(format!("the phase is {}", self.phase().as_str())));
        }
        let control = observe::connect(&self.connector).await?;
        would(steps::PROBE, self.look_at_way_back(&control).await?);
        would(steps::ROOM, self.room_for_clients(&control).await?);
        let (keys, tables) = self.changed_now();
        let pass = verify::since(&self.mirror, &self.store, &|_| true, true);
        let pass = tokio::time::timeout(self.limits().precheck, pass).await;
        let pass = pass.unwrap_or_else(|_| {
            Err(failed("what has changed could not be verified within precheck_ms"))
        })?;
        let found = pass.summary();
        would(steps::SINCE, format!("{}; looked at {found}", changed(keys, tables)));
        if let Some(first) = &pass.first {
            return Err(differs(first, pass.differing));
        }
        would(steps::SLOW, format!("{} behind", counted(self.lag(), "commit")));
        let waited = self.clients.waited();
        would(steps::DRAIN, listed(waited.iter().filter(|waited| !waited.stays)));
        let at = facts::point_of(self.journal.head());
        would(steps::FENCE, format!("position {} now", at.position));
        would(steps::CATCH_UP, format!("position {} is applied", self.mirror.applied()));
        let (keys, tables) = self.changed_now();
        would(steps::CHECK, format!("{} now", changed(keys, tables)));
        let there = super::sequences::read(&self.sqlite, &control).await?.len();
        let all = self.sqlite.catalog().sequences.len();
        would(steps::SEQUENCES, format!("{there} of {all} are on PostgreSQL"));
        let epoch = sqlite.epoch + 1;
        would(steps::DECIDE, format!("epoch {epoch} would belong to PostgreSQL"));
        would(steps::RECORD, format!("epoch {epoch}"));
        would(steps::ROUTE, counted(self.clients.count(), "session"));
        Ok(())
    }

    /// Keys that have changed since the last verify, and in how many tables.
    fn changed_now(&self) -> (u64, usize) {
        let tables = self.store.changed_tables();
        let catalog = self.sqlite.catalog();
        let is_table =
            |t: &&String| catalog.relation(t).is_some_and(|r| r.kind == RelationKind::Table);
        let keys = tables.iter().filter(is_table).map(|t| self.store.changed_size(t).0).sum();
        (keys, tables.len())
    }
}

/// So many keys in so many tables.
fn changed(keys: u64, tables: usize) -> String {
    format!("{} in {}", counted(keys, "key"), counted(tables, "table"))
}

/// Both sides are not equal: the switch is undone.
fn differs(first: &str, rows: u64) -> Error {
    let more = match rows {
        0 | 1 => String::new(),
        n => format!(" (and {})", counted(n - 1, "more row")),
    };
    failed(format!("PostgreSQL differs from SQLite: {first}{more}"))
        .hint("See crossfade divergences; crossfade repair writes SQLite's rows.")
}

/// Transactions are open that must not be ended.
pub(super) fn sits(open: &[String]) -> Error {
    failed(OPEN).detail(open.join("; ")).hint("Set cutover.drain_cancel to cancel them.")
}

/// Sessions in words.
pub(super) fn listed<'a>(waited: impl Iterator<Item = &'a Waited>) -> String {
    let all: Vec<String> = waited.map(Waited::shown).collect();
    if all.is_empty() { "nobody to wait for".to_owned() } else { all.join("; ") }
}

/// Why a switch was undone, with its details and what helps.
pub(super) fn said(error: &Error) -> String {
    let (detail, hint) = (&error.fields().detail, &error.fields().hint);
    let mut text = error.message().to_owned();
    if let Some(detail) = detail.as_ref().filter(|detail| !detail.is_empty()) {
        text.push_str(&format!(": {detail}"));
    }
    if let Some(hint) = hint {
        text.push_str(&format!(". {}", hint.trim_end_matches('.')));
    }
    text
}
