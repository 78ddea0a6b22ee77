//! The way back: following PostgreSQL after promote, and the rollback itself.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::clients::Waited;
use super::facts;
use super::gate::{GateState, Route};
use super::observe;
use super::phase::Phase;
use super::promote::{THROTTLE_MAX, listed, said, sits, steps};
use super::recovery::{self, Step, WayBack as Proven};
use super::state::{SqliteRole, SqliteState};
use super::switch::{Ended, Report, Switch, failed, histories};
use crate::backend::postgres::always;
use crate::backend::postgres::control::Control;
use crate::backend::postgres::replication::Lsn;
use crate::backend::postgres::rights;
use crate::config;
use crate::count::counted;
use crate::error::{Error, Result, state};
use crate::failpoint;
use crate::mirror::State::Running;
use crate::mirror::way_back::{Handle, How, State, WayBack};
use crate::schema::RelationKind;

/// How long making the slot may take: it waits for transactions that are open.
const SLOT_MAX: Duration = Duration::from_secs(10);
/// Bytes of PostgreSQL's log that SQLite may be behind when the drain begins.
const SMALL_LAG_BYTES: u64 = 64 << 10;
/// How long SQLite may need for what is in the trigger journal when the drain begins.
const SMALL_LAG: Duration = Duration::from_millis(250);
/// How long SQLite is waited for before writers are slowed some more.
const LOOK_STEP: Duration = Duration::from_millis(20);
/// How soon a probe that failed is tried again.
const PROBE_AGAIN: Duration = Duration::from_secs(60);
/// How long the marker row of the probe may take.
const PROBE_MAX: Duration = Duration::from_secs(15);

/// The way back of this pair, when one is open.
#[derive(Default)]
pub(super) struct WayBackSlot {
    handle: tokio::sync::Mutex<Option<Handle>>,
    /// What the last probe or the following task said: holds, what, why not.
    told: Mutex<Option<(bool, String, String)>>,
    /// When it may be probed without being asked.
    next_probe: Mutex<Option<Instant>>,
}

impl WayBackSlot {
    /// The last probe passed.
    fn is_proven(&self) -> bool {
        matches!(&*self.told.lock(), Some((true, ..)))
    }
}

impl Switch {
    /// Whether the way back is open (or would be): holds, what was found, why not.
    pub fn way_back_status(&self) -> (bool, String, String) {
        if let Ok(handle) = self.way_back.handle.try_lock()
            && let Some(handle) = handle.as_ref()
        {
            return match handle.state() {
                State::Following => {
                    let view = handle.view();
                    let (reached, how, kept) = (view.reached, view.how.as_str(), view.kept);
                    let schema = match view.carries {
                        true => "schema changes are carried",
                        false => "a schema change closes it",
                    };
                    let found = format!(
                        "following, at {reached} by {how}, PostgreSQL keeps {kept} bytes for it, \
                         {schema}"
                    );
                    (true, found, String::new())
                }
                State::Connecting(why) => (false, "connecting".to_owned(), why),
                State::Stopped => (false, "stopped".to_owned(), "it is not followed".to_owned()),
                State::Closed(why) => (false, "closed".to_owned(), why),
            };
        }
        self.way_back.told.lock().clone().unwrap_or_else(|| {
            let reason = "the probe runs as soon as the shadow follows";
            (false, "not probed yet".to_owned(), reason.to_owned())
        })
    }

    /// Makes what following needs, proves the path with a marker row, and takes everything down
    /// again: a slot that nobody reads would keep PostgreSQL's log for ever. To be called while
    /// SQLite is primary.
    ///
    /// # Errors
    /// What does not work.
    pub async fn probe_way_back(&self) -> Result<Duration> {
        let _turn = self.turn.lock().await;
        self.probe_in_turn().await
    }

    async fn probe_in_turn(&self) -> Result<Duration> {
        if !matches!(self.gate.route(), Some(Route::Sqlite(_))) {
            return Err(failed("SQLite is not primary"));
        }
        let probed = self.probe_as(false).await;
        if let Err(error) = self.take_down_way_back().await {
            tracing::warn!(%error, "what the probe made on PostgreSQL is still there");
        }
        probed
    }

    /// Makes what following needs and sends a marker row along; what `lasts` is what a switch takes.
    async fn probe_as(&self, lasts: bool) -> Result<Duration> {
        let (mut how, mut instead, mut unnoted) = (How::Decoding, String::new(), None);
        let probed = async {
            let control = observe::connect(&self.connector).await?;
            if let Some(role) = &self.app_role {
                let rights = rights::load(control.client(), role).await;
                let rights = rights.map_err(|e| control.error(&e))?;
                if let Some(lacking) = rights.lacking() {
                    return Err(failed(lacking).hint("crossfade check says what is missing."));
                }
            }
            let wanted = self.limits().way_back;
            if wanted != config::WayBack::Triggers {
                match self.walk(&control, how, lasts).await {
                    // Another way helps against what stays as it is.
                    Err(error) if wanted == config::WayBack::Auto && !error.fields().retry => {
                        instead = format!(" ({})", error.message());
                    }
                    walked => return walked.map(|walked| noted(walked, &mut unnoted)),
                }
            }
            how = How::Triggers;
            self.walk(&control, how, lasts).await.map(|walked| noted(walked, &mut unnoted))
        }
        .await;
        let weak = if self.app_role.is_none() { ", weak fence (one role)" } else { "" };
        let told = match &probed {
            Ok(took) => {
                let (ms, how) = (took.as_millis(), how.as_str());
                let schema = unnoted.map_or_else(String::new, |why| {
                    format!(", a schema change after promote closes it ({why})")
                });
                let text = format!("probe passed in {ms} ms by {how}{instead}{weak}{schema}");
                (true, text, String::new())
            }
            Err(error) => (false, "probe failed".to_owned(), why(error)),
        };
        *self.way_back.told.lock() = Some(told);
        probed
    }

    /// Server sessions opened from now on must find at least what SQLite has followed.
    pub(super) fn note_followed(&self) {
        if let Ok(handle) = self.way_back.handle.try_lock()
            && let Some(handle) = handle.as_ref()
        {
            self.watch.followed(handle.view().reached);
        }
    }

    /// Probes when nobody knows whether the way back works: after a start, after a rollback, and
    /// again some time after a probe that failed.
    pub async fn probe_if_unknown(&self) {
        if self.phase() != Phase::Mirroring || self.mirror.state() != Running {
            return;
        }
        let due = {
            let mut next = self.way_back.next_probe.lock();
            let due = !self.way_back.is_proven() && next.is_none_or(|at| Instant::now() >= at);
            if due {
                *next = Some(Instant::now() + PROBE_AGAIN);
            }
            due
        };
        if !due {
            return;
        }
        let _turn = self.turn.lock().await;
        // Somebody else may have probed meanwhile.
        if !self.way_back.is_proven()
            && let Err(error) = self.probe_in_turn().await
        {
            tracing::warn!(%error, "the way back does not work");
        }
    }

    /// What of the way back can be seen without making anything.
    pub(super) async fn look_at_way_back(&self, control: &Control) -> Result<String> {
        let open = WayBack::look(control).await?;
        let (ok, actual, reason) = self.way_back_status();
        Ok(format!("{open}; {actual}{}", if ok { String::new() } else { format!(" ({reason})") }))
    }

    /// Makes what one kind of following needs, and sends a marker row along. How long that took, and
    /// why a schema change would not be carried.
    async fn walk(
        &self,
        control: &Control,
        how: How,
        lasts: bool,
    ) -> Result<(Duration, Option<String>)> {
        let catalog = self.sqlite.catalog();
        let tables: Vec<_> =
            catalog.relations.values().filter(|r| r.kind == RelationKind::Table).cloned().collect();
        let unnoted = match how {
            How::Decoding => {
                let with = (SLOT_MAX, lasts);
                WayBack::prepare(control, &self.connector, &tables, with).await?.unnoted
            }
            How::Triggers => WayBack::prepare_triggers(control, &tables, &self.clock).await?,
        };
        let probe =
            WayBack::probe(control, &self.connector, &self.sqlite, &self.clock, PROBE_MAX).await?;
        Ok((probe, unnoted))
    }

    async fn take_down_way_back(&self) -> Result<()> {
        observe::within(async {
            WayBack::drop_slot(&observe::connect(&self.connector).await?).await
        })
        .await
    }

    /// After a switch that was undone, or back: nothing is left behind on PostgreSQL.
    pub(super) async fn release_way_back(&self, report: Report<'_>) {
        if !matches!(self.gate.route(), Some(Route::Sqlite(_))) {
            // Nobody knows yet who is primary. Should SQLite be, the next probe takes them down.
            self.forget_probe();
            return;
        }
        if let Err(error) = self.take_down_way_back().await {
            self.forget_probe();
            report("slot and publication are still on PostgreSQL", error.to_string());
        }
    }

    /// It is probed anew as soon as the shadow follows.
    fn forget_probe(&self) {
        *self.way_back.told.lock() = None;
        *self.way_back.next_probe.lock() = None;
    }

    /// Part of precheck: the slot is made before anything waits. `one_way`: the switch goes on
    /// without a way back, as its gate was overridden by name.
    pub(super) async fn prepare_way_back(&self, one_way: bool, report: Report<'_>) -> Result<()> {
        let ready = async {
            let took = self.probe_as(true).await?;
            let attached =
                async { WayBack::attach(&observe::connect(&self.connector).await?).await };
            if let Err(error) = attached.await {
                *self.way_back.told.lock() = Some((false, "not ready".to_owned(), why(&error)));
                return Err(error);
            }
            Ok(took)
        };
        match ready.await {
            Ok(took) => {
                let (_, found, _) = self.way_back_status();
                report(steps::PROBE, format!("{} ms; {found}", took.as_millis()));
                Ok(())
            }
            Err(error) => {
                report(steps::PROBE, format!("the way back is closed: {error}"));
                let closed = format!("the way back does not work now: {}", said(&error));
                let hint = "Promote again, or with --override way_back: then there is no rollback.";
                if one_way { Ok(()) } else { Err(failed(closed).hint(hint)) }
            }
        }
    }

    /// Starts following from the decision on.
    pub(super) async fn open_way_back(&self, proven: Proven) {
        let mut slot = self.way_back.handle.lock().await;
        if slot.is_some() {
            return;
        }
        if proven == Proven::Unproven {
            let why = "PostgreSQL failed over; SQLite must be copied anew";
            *self.way_back.told.lock() = Some((false, "closed".to_owned(), why.to_owned()));
            return;
        }
        let started = async {
            let from = match WayBack::stored(&self.sqlite).await? {
                Some(stored) => stored,
                // The decision was recorded by recovery: the slot's own beginning is before it,
                // and following it again from there ends in the same rows.
                None => WayBack::place(&observe::connect(&self.connector).await?).await?,
            };
            self.store.following(true)?;
            let with = (&self.clock, &self.store, &self.visible);
            let from = (from, self.limits().kept_bytes);
            WayBack::start(&self.sqlite, &self.journal, &self.connector, with, from).await
        };
        match started.await {
            Ok(handle) => *slot = Some(handle),
            Err(error) => {
                *self.way_back.told.lock() = Some((false, "closed".to_owned(), error.to_string()));
            }
        }
    }

    /// SQLite has ended to follow PostgreSQL, and what it has followed is noted.
    fn followed(&self) {
        if let Err(error) = self.store.following(false) {
            tracing::error!(%error, "after a restart every table is verified anew");
        }
    }

    /// Whether rollback may start: holds, what was found, why not.
    pub fn rollback_possible(&self) -> (bool, String, String) {
        if self.phase() != Phase::Promoted {
            let phase = self.phase().as_str();
            return (false, phase.to_owned(), format!("the phase is {phase}, not promoted"));
        }
        if let Some(trouble) = self.trouble() {
            return (false, "paused".to_owned(), trouble);
        }
        self.way_back_status()
    }

    /// Makes SQLite primary again.
    ///
    /// # Errors
    /// SQLite's own; a trouble of PostgreSQL undoes the switch.
    pub async fn rollback(&self, report: Report<'_>) -> Result<Ended> {
        let _turn = self.turn.lock().await;
        let ended = self.rollback_once(report).await?;
        self.conclude("rollback", &ended);
        Ok(ended)
    }

    pub(super) async fn rollback_once(&self, report: Report<'_>) -> Result<Ended> {
        let (sqlite, _) = self.facts().await?;
        if !matches!(self.gate.state(), GateState::Open(Route::Postgres(_)))
            || !matches!(sqlite.role, SqliteRole::Shadow { .. })
        {
            return Ok(Ended::Undone("PostgreSQL does not serve as primary".to_owned()));
        }
        self.gate.take_longest_wait();
        self.unsettle();
        self.phase.send_replace(Phase::Switching);
        let outcome = self.rollback_in_turn(&sqlite, report).await;
        self.gate.throttle(Duration::ZERO);
        self.recover_in_turn().await?;
        let back = matches!(self.gate.route(), Some(Route::Sqlite(_)));
        if back {
            let waited = self.gate.take_longest_wait();
            report("route sessions to SQLite", counted(self.clients.count(), "session"));
            self.release_way_back(report).await;
            // What the last probe found was before all this.
            self.forget_probe();
            return Ok(Ended::Done(waited));
        }
        Ok(Ended::Undone(match outcome {
            Err(error) => said(&error),
            Ok(()) => "recovery did not settle it".to_owned(),
        }))
    }

    /// Throttles writers until SQLite is only a little behind PostgreSQL's log.
    async fn slow_postgres(&self, control: &Control, report: Report<'_>) -> Result<()> {
        let deadline = Instant::now() + self.limits().slow;
        let mut pause = Duration::from_micros(200);
        loop {
            let end = control.flushed_lsn().await?;
            let slot = self.way_back.handle.lock().await;
            let handle = slot.as_ref().ok_or_else(|| failed("the way back is closed"))?;
            let (near, step) = match handle.view().how {
                How::Decoding => (Lsn(end.saturating_sub(SMALL_LAG_BYTES)), LOOK_STEP),
                // The log may be that of other databases: only time says how much is left.
                How::Triggers => (Lsn(end), SMALL_LAG),
            };
            // Asks PostgreSQL how far it has sent: without commits it tells only now and then.
            if handle.caught_up_to(near, step).await? {
                let behind = end.saturating_sub(handle.view().reached.0);
                report("slow writers until the lag is small", format!("{behind} bytes behind"));
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(failed("SQLite does not catch up with the writers"));
            }
            self.gate.throttle(pause);
            pause = (pause * 2).min(THROTTLE_MAX);
        }
    }

    /// Waits, before anybody is held, for those who do nothing in a transaction or run one long
    /// statement: none of them would end because others are made to wait. With `drain_cancel`
    /// nobody is waited for: they are ended.
    ///
    /// # Errors
    /// When they have not gone on after the limit for draining.
    pub(super) async fn outlast(&self, report: Report<'_>) -> Result<()> {
        let limits = self.limits();
        let began = Instant::now();
        let mut sit = self.clients.sitting();
        while !sit.is_empty() && !limits.drain_cancel {
            let now = self.clients.sitting();
            let still = |w: &Waited| now.iter().any(|n| (n.pid, n.mark) == (w.pid, w.mark));
            sit.retain(still);
            if began.elapsed() >= limits.drain {
                let open: Vec<String> = sit.iter().map(Waited::shown).collect();
                return if open.is_empty() { Ok(()) } else { Err(sits(&open)) };
            }
            tokio::time::sleep(LOOK_STEP).await;
        }
        let waited = began.elapsed();
        if waited > LOOK_STEP * 5 {
            report("wait for long transactions", format!("{} ms", waited.as_millis()));
        }
        Ok(())
    }

    /// Whom a rollback would wait for now, in words.
    pub fn rollback_waits(&self) -> String {
        listed(self.clients.sitting().iter())
    }

    /// Nobody is on PostgreSQL any more: transactions end, what cannot move ends after the limit,
    /// and every session takes along what its server session has become.
    async fn drain_postgres(&self, epoch: u64, report: Report<'_>) -> Result<()> {
        self.gate.drain(Route::Postgres(epoch));
        let mut told = String::new();
        if !self.gate.emptied(self.limits().drain).await {
            told = self.end_waited(self.limits().drain_cancel)?;
            if !self.gate.emptied(self.limits().route).await {
                let left = self.gate.inside();
                return Err(failed("transactions on PostgreSQL did not end in time")
                    .detail(format!("{left} sessions are in a transaction. {told}")));
            }
        }
        self.gate.set(GateState::Closed);
        // What does not leave by itself is ended by the fence.
        let left =
            if self.gate.vacated(self.limits().route).await { "" } else { "; some did not leave" };
        report("drain transactions on PostgreSQL", format!("{told}{left}"));
        Ok(())
    }

    /// A server session that has been left ends a moment later.
    async fn connect_after_clients(&self) -> Result<Control> {
        let until = Instant::now() + self.limits().route;
        loop {
            match observe::connect(&self.connector).await {
                Err(error)
                    if error.sqlstate() == state::TOO_MANY_CONNECTIONS
                        && Instant::now() < until =>
                {
                    tokio::time::sleep(LOOK_STEP).await;
                }
                control => return control,
            }
        }
    }

    async fn rollback_in_turn(&self, sqlite: &SqliteState, report: Report<'_>) -> Result<()> {
        let epoch = sqlite.epoch + 1;
        // It may have been replaced since somebody looked last.
        let view = self.view(Phase::Promoted).await?;
        let step = recovery::next_step(sqlite, &view, self.witness());
        if step != Step::ServePostgres(Proven::Open) {
            let found = histories(sqlite, &view);
            return Err(failed(format!(
                "PostgreSQL is not what it was when it was promoted: {found} ({step:?})"
            )));
        }
        self.outlast(report).await?;
        let control = match observe::connect(&self.connector).await {
            // Clients have taken the last one: they leave before anything else is done.
            Err(error) if error.sqlstate() == state::TOO_MANY_CONNECTIONS => {
                self.drain_postgres(sqlite.epoch, report).await?;
                let control = self.connect_after_clients().await?;
                nothing_prepared(&control).await?;
                control
            }
            control => {
                let control = control?;
                nothing_prepared(&control).await?;
                self.slow_postgres(&control, report).await?;
                self.drain_postgres(sqlite.epoch, report).await?;
                control
            }
        };
        let rounds =
            observe::fence(&control, self.app_role.as_deref(), self.limits().fence).await?;
        failpoint!("cutover.postgres_fenced");
        let weak = if self.app_role.is_none() { ", weak fence (one role)" } else { "" };
        report("fence PostgreSQL", format!("{rounds} rounds{weak}"));
        // A transaction may have ended with PREPARE while it was waited for.
        nothing_prepared(&control).await?;
        // Behind the fence nothing changes any more: what the stream does not tell is looked for.
        if let Some(reason) = WayBack::unfollowed(&control, true).await? {
            return Err(failed(format!("the way back is closed: {reason}")));
        }
        let place = WayBack::place(&control).await?;
        let began = Instant::now();
        let mut slot = self.way_back.handle.lock().await;
        let handle = slot.as_ref().ok_or_else(|| failed("the way back is closed"))?;
        if !handle.caught_up_to(place, self.limits().catch_up).await? {
            return Err(failed("SQLite did not reach PostgreSQL's last commit in time"));
        }
        if let Some(handle) = slot.take() {
            handle.stop().await;
        }
        drop(slot);
        self.followed();
        if let Some(reason) = WayBack::settle_schema(&control, &self.sqlite).await? {
            // No later rollback would find it otherwise: nothing must say that it is open.
            let reason = format!("a schema change came back as another: {reason}");
            WayBack::close(&self.sqlite, &reason).await?;
            return Err(failed(reason));
        }
        report("SQLite has caught up", format!("{} in {} ms", place, began.elapsed().as_millis()));
        let sequences = super::sequences::read(&self.sqlite, &control).await?;
        let (attempted, served) = self.store.witness();
        let writer = self.sqlite.writer(Some(Instant::now() + self.limits().drain)).await?;
        let at = facts::point_of(self.journal.head());
        let to = SqliteState { epoch, role: SqliteRole::Returned(at) };
        self.store.set_witness(attempted.max(epoch), served)?;
        super::sequences::bring_back(&self.sequences, &writer, &sequences)?;
        facts::store(&self.journal, writer, &to, Phase::Switching)?;
        failpoint!("cutover.returned");
        report("set sequences", counted(sequences.len(), "sequence"));
        report("decide", format!("epoch {epoch} belongs to SQLite"));
        Ok(())
    }

    /// Ends the way back for good: slot, publication and journal are taken down.
    ///
    /// # Errors
    /// What either side said.
    pub async fn complete(&self, report: Report<'_>) -> Result<()> {
        let _turn = self.turn.lock().await;
        // Another order may have come first.
        let (sqlite, phase) = self.facts().await?;
        if phase != Phase::Promoted || !matches!(sqlite.role, SqliteRole::Shadow { .. }) {
            return Err(failed("PostgreSQL is not the primary any more"));
        }
        // Asked first: an order that fails leaves the way back as it is.
        let control = observe::connect(&self.connector).await?;
        if let Some(handle) = self.way_back.handle.lock().await.take() {
            handle.stop().await;
        }
        // Should the rest fail, it is opened again.
        self.unsettle();
        observe::within(WayBack::drop_slot(&control)).await?;
        report("take down slot and publication", String::new());
        if let Err(error) = always::restore(&control).await {
            let said = format!("columns that were GENERATED ALWAYS stay BY DEFAULT: {error}");
            report("give back what the application's schema was", said);
        }
        self.followed();
        self.watch.alone();
        self.set_phase(Phase::Complete).await?;
        self.settle();
        self.claim.leave().await;
        report("take down what the way back needed", take_down(&control).await);
        report("complete", "PostgreSQL alone".to_owned());
        let file = self.sqlite.path().display();
        let offer = format!(
            "and WAL mode, until the proxy has ended for good: then crossfade complete --clean {file}"
        );
        report("the SQLite file keeps the tables of Crossfade", offer);
        Ok(())
    }
}

/// Says on PostgreSQL that nothing leads back, and removes what is of no use any more. What cannot be
/// removed is said: it is in nobody's way.
async fn take_down(control: &Control) -> String {
    let removed = async {
        observe::tell_complete(control).await?;
        observe::take_down(control).await
    };
    match removed.await {
        Ok(left) => left,
        Err(error) => {
            // A failed statement leaves its transaction open.
            let _ = control.batch("ROLLBACK").await;
            format!("left in place: {}", error.message())
        }
    }
}

/// Prepared transactions outlive the fence: none may be open.
async fn nothing_prepared(control: &Control) -> Result<()> {
    let prepared = observe::prepared(control).await?;
    if prepared.is_empty() {
        return Ok(());
    }
    Err(failed("prepared transactions are open on PostgreSQL")
        .detail(prepared.join(", "))
        .hint("COMMIT PREPARED or ROLLBACK PREPARED them first."))
}

/// How long a probe took; why it would not carry a schema change is kept.
fn noted((took, why): (Duration, Option<String>), unnoted: &mut Option<String>) -> Duration {
    *unnoted = why;
    took
}

/// Why a probe failed, and what helps where it is known.
fn why(error: &Error) -> String {
    let hint = error.fields().hint.as_deref().unwrap_or(match error.sqlstate() {
        state::INSUFFICIENT_PRIVILEGE => {
            "the control role needs REPLICATION: ALTER ROLE … REPLICATION"
        }
        _ => return error.to_string(),
    });
    format!("{error}; {hint}")
}
