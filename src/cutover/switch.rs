//! The driver: durable steps between two looks at recovery.
//!
//! Owns the gate's state and the phase. It runs as a task no client's cancel can stop. It must
//! never decide what a crash left behind by itself: it asks [`recovery::next_step`].
//! Start at [`Switch::recover`], then [`Switch::promote`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::{counter, gauge, histogram};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::gate::{Gate, GateState, Route};
use super::phase::Phase;
use super::recovery::{self, Attach, Pause, Step};
use super::state::{PostgresView, SqliteRole, SqliteState, System, Witness};
use super::{facts, observe};
use crate::backend::postgres::connect::Connector;
use crate::backend::postgres::replication::Lsn;
use crate::backend::sqlite::Sqlite;
use crate::backend::sqlite::sequences::Sequences;
use crate::clock::Clock;
use crate::divergence::Store;
use crate::error::{Error, Result, state};
use crate::failpoint;
use crate::journal::Journal;
use crate::mirror::Mirror;
use crate::mirror::way_back::WayBack;
use crate::telemetry::names;

/// Recovery steps in one go; each is idempotent, more than this is a fault.
const STEPS_MAX: usize = 20;
/// The longest pause before a client's next writing transaction while the shadow catches up.
const THROTTLE_MAX: Duration = Duration::from_millis(100);

/// Limits of the steps, from `[cutover]`.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Until the lag is small.
    pub slow: Duration,
    /// Until open transactions have ended.
    pub drain: Duration,
    /// Until the journal is applied.
    pub catch_up: Duration,
    /// For the decision's answer.
    pub decide: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { slow: seconds(5), drain: seconds(5), catch_up: seconds(5), decide: seconds(1) }
    }
}

/// Where a switch tells its steps: what, and facts.
pub type Report<'a> = &'a (dyn Fn(&str, String) + Send + Sync);

/// How a switch ended.
#[derive(Clone, Debug)]
pub enum Ended {
    /// Done; the longest wait of a client.
    Done(Duration),
    /// Undone: everything is as before; why.
    Undone(String),
}

/// The switch of one pair.
pub struct Switch {
    pub(super) sqlite: Sqlite,
    pub(super) journal: Journal,
    pub(super) sequences: Arc<Sequences>,
    pub(super) clock: Clock,
    pub(super) mirror: Mirror,
    pub(super) gate: Arc<Gate>,
    pub(super) store: Arc<Store>,
    pub(super) connector: Connector,
    /// The application's role, when control has one of its own.
    pub(super) app_role: Option<String>,
    pub(super) limits: Limits,
    pub(super) phase: watch::Sender<Phase>,
    pub(super) epoch: watch::Sender<u64>,
    /// Why nobody is served, or mirroring cannot go on.
    pub(super) trouble: Mutex<Option<String>>,
    /// One switch, recovery or copy at a time.
    pub(super) turn: tokio::sync::Mutex<()>,
    pub(super) way_back: super::back::WayBackSlot,
}

/// What a switch is made of.
pub struct Parts {
    /// The SQLite back end.
    pub sqlite: Sqlite,
    /// Its journal.
    pub journal: Journal,
    /// Sequences' counters.
    pub sequences: Arc<Sequences>,
    /// Time.
    pub clock: Clock,
    /// The mirror.
    pub mirror: Mirror,
    /// The sessions' gate.
    pub gate: Arc<Gate>,
    /// The state file.
    pub store: Arc<Store>,
    /// PostgreSQL for control.
    pub connector: Connector,
    /// The application's role, when control has one of its own.
    pub app_role: Option<String>,
    /// Limits.
    pub limits: Limits,
}

impl Switch {
    /// A switch that has not looked at anything yet; the gate should be closed.
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self {
            sqlite: parts.sqlite,
            journal: parts.journal,
            sequences: parts.sequences,
            clock: parts.clock,
            mirror: parts.mirror,
            gate: parts.gate,
            store: parts.store,
            connector: parts.connector,
            app_role: parts.app_role,
            limits: parts.limits,
            phase: watch::Sender::new(Phase::Direct),
            epoch: watch::Sender::new(1),
            trouble: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            way_back: super::back::WayBackSlot::default(),
        })
    }

    /// The phase now.
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// The epoch now.
    pub fn epoch(&self) -> u64 {
        *self.epoch.borrow()
    }

    /// Why nobody is served, or mirroring cannot go on.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// Whether nobody is served until both sides have been looked at again.
    pub fn is_paused(&self) -> bool {
        matches!(self.gate.state(), GateState::Paused(_))
    }

    /// The mirror.
    pub fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    pub(super) async fn facts(&self) -> Result<(SqliteState, Phase)> {
        let reader = self.sqlite.reader(None).await?;
        facts::load(&reader)
    }

    fn witness(&self) -> Witness {
        let (attempted, served) = self.store.witness();
        Witness { attempted, served }
    }

    pub(super) fn show(&self, state: &SqliteState, phase: Phase) {
        self.epoch.send_replace(state.epoch);
        self.phase.send_replace(phase);
        #[allow(clippy::cast_precision_loss)]
        gauge!(names::EPOCH).set(state.epoch as f64);
        for name in names::PHASES {
            gauge!(names::PHASE, "phase" => *name)
                .set(f64::from(u8::from(*name == phase.as_str())));
        }
        let postgres = matches!(state.role, SqliteRole::Shadow { .. });
        gauge!(names::PRIMARY, "backend" => "sqlite").set(f64::from(u8::from(!postgres)));
        gauge!(names::PRIMARY, "backend" => "postgres").set(f64::from(u8::from(postgres)));
    }

    /// Looks at both sides and does what recovery says until somebody is served or must wait.
    /// True when nothing is left to find out.
    ///
    /// # Errors
    /// SQLite's own, and the state file's.
    pub async fn recover(&self) -> Result<bool> {
        let _turn = self.turn.lock().await;
        self.recover_in_turn().await
    }

    pub(super) async fn recover_in_turn(&self) -> Result<bool> {
        for _ in 0..STEPS_MAX {
            let (sqlite, phase) = self.facts().await?;
            let view = if phase == Phase::Direct {
                PostgresView::Absent
            } else {
                observe::view(&self.connector, &self.journal).await?
            };
            let step = recovery::next_step(&sqlite, &view, self.witness());
            tracing::debug!(?step, "recovery");
            match self.take(step, &sqlite, phase).await {
                Ok(Some(settled)) => return Ok(settled),
                Ok(None) => {}
                Err(error) if error.fields().culprit == crate::error::Culprit::Shadow => {
                    self.pause(Pause::PostgresUnreachable, &sqlite, phase);
                    tracing::warn!(%error, "a step of recovery failed on PostgreSQL");
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        Err(Error::internal("recovery does not come to an end"))
    }

    /// Does one step. Some(settled) ends the loop.
    async fn take(&self, step: Step, sqlite: &SqliteState, phase: Phase) -> Result<Option<bool>> {
        match step {
            Step::ServeSqlite(attach) => self.serve_sqlite(attach, sqlite, phase).await.map(Some),
            Step::ServePostgres(way_back) => {
                let phase = if phase == Phase::Complete { phase } else { Phase::Promoted };
                *self.trouble.lock() = None;
                self.serve(sqlite, phase, Route::Postgres(sqlite.epoch))?;
                failpoint!("cutover.routed");
                if phase == Phase::Promoted {
                    self.open_way_back(way_back).await;
                }
                Ok(Some(true))
            }
            Step::InsertAbandoned(epoch) => {
                observe::abandon(&self.connector, epoch).await?;
                Ok(None)
            }
            Step::UnfenceSqlite(epoch) => {
                self.unfence(epoch).await?;
                Ok(None)
            }
            Step::RecordPromoted(epoch, system) => {
                let from = observe::decided_place(&self.connector, epoch).await?;
                self.record_promoted(epoch, system, from).await?;
                Ok(None)
            }
            Step::StoreReturn(epoch, at) => {
                observe::store_return(&self.connector, &self.journal, epoch, at).await?;
                failpoint!("cutover.return_stored");
                Ok(None)
            }
            Step::UnfencePostgres => {
                observe::unfence(&self.connector, self.app_role.as_deref()).await?;
                Ok(None)
            }
            Step::Pause(pause) => {
                self.pause(pause, sqlite, phase);
                Ok(Some(false))
            }
        }
    }

    async fn serve_sqlite(
        &self,
        attach: Attach,
        sqlite: &SqliteState,
        phase: Phase,
    ) -> Result<bool> {
        let phase = match phase {
            Phase::Switching | Phase::Promoted | Phase::Complete => Phase::Mirroring,
            other => other,
        };
        // Why PostgreSQL has to be copied anew stays said until it is.
        if phase != Phase::Copying || self.is_paused() {
            *self.trouble.lock() = None;
        }
        self.serve(sqlite, phase, Route::Sqlite(sqlite.epoch))?;
        if matches!(phase, Phase::Mirroring | Phase::CatchingUp) {
            if attach == Attach::CopyAnew {
                let why = observe::foreign_history(&self.connector, &self.journal).await;
                let why = why.as_deref().unwrap_or(
                    "PostgreSQL still believes in a switch that SQLite has undone since: \
                     PostgreSQL was restored from a backup",
                );
                self.copy_anew(why).await?;
            } else {
                self.mirror.start();
            }
        }
        Ok(attach != Attach::Later || phase == Phase::Direct)
    }

    /// Mirroring has ended by itself (a full journal, another history): the phase says so.
    ///
    /// # Errors
    /// SQLite's own.
    pub async fn follow_mirror(&self) -> Result<()> {
        let ended = || match self.mirror.state() {
            crate::mirror::State::CopyAnew(why) => Some(why),
            _ => None,
        };
        if ended().is_none() {
            return Ok(());
        }
        let _turn = self.turn.lock().await;
        match ended().filter(|_| matches!(self.phase(), Phase::CatchingUp | Phase::Mirroring)) {
            Some(why) => self.copy_anew(&why).await,
            None => Ok(()),
        }
    }

    /// Stops mirroring: PostgreSQL must be copied anew.
    ///
    /// # Errors
    /// SQLite's own.
    pub(super) async fn copy_anew(&self, why: &str) -> Result<()> {
        self.mirror.stop().await;
        *self.trouble.lock() = Some(format!("{why}; run backfill to copy it anew"));
        self.store.verify_reset();
        facts::store_phase(&self.journal, Phase::Copying).await?;
        let (sqlite, phase) = self.facts().await?;
        self.show(&sqlite, phase);
        Ok(())
    }

    /// Witnessed first, served second.
    fn serve(&self, sqlite: &SqliteState, phase: Phase, route: Route) -> Result<()> {
        let mut witness = self.witness();
        let before = witness;
        witness.serve(sqlite.epoch);
        if witness != before {
            self.store.set_witness(witness.attempted, witness.served)?;
        }
        self.show(sqlite, phase);
        self.gate.set(GateState::Open(route));
        Ok(())
    }

    fn pause(&self, pause: Pause, sqlite: &SqliteState, phase: Phase) {
        let text = match pause {
            Pause::PostgresUnreachable => {
                "PostgreSQL does not answer, and only it knows which back end is primary"
            }
            Pause::SecondProxy => "another proxy serves this pair of back ends",
            Pause::OtherSystem => "the PostgreSQL that answers is not the one of the switch",
            Pause::SqliteRestored => {
                "the SQLite file is older than the last switch: it was restored from a backup"
            }
            Pause::PostgresRestored => {
                "PostgreSQL lacks the last switch: it was restored from a backup"
            }
        };
        *self.trouble.lock() = Some(text.to_owned());
        self.show(sqlite, phase);
        self.gate.set(GateState::Paused(text));
    }

    async fn unfence(&self, epoch: u64) -> Result<()> {
        let writer = self.sqlite.writer(None).await?;
        let to = SqliteState { epoch, role: SqliteRole::Primary };
        facts::store(&self.journal, writer, &to, Phase::Mirroring)?;
        failpoint!("cutover.unfenced");
        Ok(())
    }

    async fn record_promoted(&self, epoch: u64, system: System, from: Option<Lsn>) -> Result<()> {
        let writer = self.sqlite.writer(None).await?;
        if let Some(from) = from {
            WayBack::begin(&writer, from)?;
        }
        let to = SqliteState { epoch, role: SqliteRole::Shadow { system } };
        facts::store(&self.journal, writer, &to, Phase::Promoted)?;
        failpoint!("cutover.recorded");
        Ok(())
    }

    /// Makes PostgreSQL primary. Gates have been passed.
    ///
    /// # Errors
    /// SQLite's own; a trouble of PostgreSQL undoes the switch.
    pub async fn promote(&self, report: Report<'_>) -> Result<Ended> {
        let _turn = self.turn.lock().await;
        let (sqlite, phase) = self.facts().await?;
        if phase != Phase::Mirroring || sqlite.role != SqliteRole::Primary {
            return Ok(Ended::Undone(format!("the phase is {}", self.phase().as_str())));
        }
        let _history = self.mirror.keep_history().await;
        self.gate.take_longest_wait();
        self.phase.send_replace(Phase::Switching);
        let outcome = self.promote_in_turn(&sqlite, report).await;
        self.gate.throttle(Duration::ZERO);
        self.mirror.hurry(false);
        let ended = match outcome {
            Ok(()) => {
                self.recover_in_turn().await?;
                Ended::Done(self.gate.take_longest_wait())
            }
            Err(error) => {
                // Whatever was reached: recovery looks at both sides and knows.
                self.recover_in_turn().await?;
                if matches!(self.gate.route(), Some(Route::Postgres(_))) {
                    Ended::Done(self.gate.take_longest_wait())
                } else {
                    Ended::Undone(error.message().to_owned())
                }
            }
        };
        self.conclude("promote", &ended);
        Ok(ended)
    }

    pub(super) fn conclude(&self, direction: &'static str, ended: &Ended) {
        let result = match ended {
            Ended::Done(wait) => {
                histogram!(names::CUTOVER_PAUSE).record(wait.as_secs_f64());
                let ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                self.store.switch_done(direction, ms);
                "done"
            }
            Ended::Undone(_) => "undone",
        };
        counter!(names::CUTOVERS, "direction" => direction, "result" => result).increment(1);
    }

    async fn promote_in_turn(&self, sqlite: &SqliteState, report: Report<'_>) -> Result<()> {
        let control = observe::connect(&self.connector).await?;
        let stored =
            control.stored().await?.ok_or_else(|| failed("PostgreSQL was not copied to"))?;
        let system = System { identifier: stored.system, timeline: stored.timeline };
        self.prepare_way_back(report).await?;
        self.slow(report).await?;
        let at = self.fence(sqlite, system, report).await?;
        self.catch_up(sqlite.epoch, at, report).await?;
        let from = self.decide(&control, sqlite.epoch + 1, at, report).await?;
        self.record_promoted(sqlite.epoch + 1, system, Some(from)).await?;
        report("record the decision in SQLite", format!("epoch {}", sqlite.epoch + 1));
        Ok(())
    }

    /// Throttles writers until the shadow is only a few commits behind.
    async fn slow(&self, report: Report<'_>) -> Result<()> {
        const SMALL: u64 = 20;
        let deadline = Instant::now() + self.limits.slow;
        let mut pause = Duration::from_micros(200);
        self.mirror.hurry(true);
        loop {
            let lag = self.sqlite.position().0.saturating_sub(self.mirror.applied().0);
            if lag <= SMALL {
                report("slow writers until the lag is small", format!("{lag} commits behind"));
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

    /// The last transaction of this reign: it waits for those that write, then fences.
    async fn fence(
        &self,
        sqlite: &SqliteState,
        system: System,
        report: Report<'_>,
    ) -> Result<super::state::Point> {
        let route = Route::Sqlite(sqlite.epoch);
        self.gate.set(GateState::Draining(route));
        let deadline = Instant::now() + self.limits.drain;
        let writer = self
            .sqlite
            .writer(Some(deadline))
            .await
            .map_err(|_| failed("transactions that write did not end in time"))?;
        report("drain: writing transactions have ended", String::new());
        let at = facts::point_of(self.journal.head());
        let to = SqliteState { epoch: sqlite.epoch, role: SqliteRole::Fenced { at, system } };
        facts::store(&self.journal, writer, &to, Phase::Switching)?;
        failpoint!("cutover.fenced");
        let mut witness = self.witness();
        witness.attempted = witness.attempted.max(sqlite.epoch + 1);
        self.store.set_witness(witness.attempted, witness.served)?;
        failpoint!("cutover.witnessed");
        report("fence SQLite", format!("final position {}", at.position));
        Ok(at)
    }

    async fn catch_up(
        &self,
        epoch: u64,
        at: super::state::Point,
        report: Report<'_>,
    ) -> Result<()> {
        let reached = self.mirror.wait_applied(at.position.into(), self.limits.catch_up).await;
        self.mirror.stop().await;
        failpoint!("cutover.caught_up");
        if !reached {
            // Nothing was sent: the number is burned on SQLite alone.
            self.unfence(epoch + 1).await?;
            return Err(failed("PostgreSQL did not reach the final position in time"));
        }
        report("apply the journal to its end", format!("position {}", at.position));
        Ok(())
    }

    /// The one decision; the place in the write-ahead log after it.
    async fn decide(
        &self,
        control: &crate::backend::postgres::control::Control,
        epoch: u64,
        at: super::state::Point,
        report: Report<'_>,
    ) -> Result<Lsn> {
        let moved = super::sequences::carry(&self.sqlite, &self.sequences, control).await;
        match moved {
            Ok(count) => report("set sequences", format!("{count} sequences")),
            Err(error) => {
                self.unfence(epoch).await?;
                return Err(error);
            }
        }
        // From here on reads wait too: PostgreSQL may be primary any moment.
        self.gate.set(GateState::Closed);
        let open = self.app_role.as_deref().map_or_else(String::new, |role| {
            format!("ALTER ROLE {} LOGIN", crate::backend::postgres::apply::quoted(role))
        });
        failpoint!("cutover.before_decide");
        let decided = observe::decide(control, epoch, at, &open);
        let place = tokio::time::timeout(self.limits.decide, decided)
            .await
            .unwrap_or_else(|_| Err(failed("the decision was not answered in time")))?;
        failpoint!("cutover.decided");
        report("decide", format!("epoch {epoch} belongs to PostgreSQL"));
        Ok(place)
    }
}

/// A reason to undo the switch.
pub(super) fn failed(text: &'static str) -> Error {
    Error::shadow(state::OBJECT_NOT_IN_PREREQUISITE_STATE, text)
}
