//! The driver: durable steps between two looks at recovery.
//!
//! Owns the gate's state and the phase. It runs as a task no client's cancel can stop. It must
//! never decide what a crash left behind by itself: it asks [`recovery::next_step`].
//! Start at [`Switch::recover`]; `promote` and `back` are the two directions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use metrics::{counter, gauge, histogram};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use super::claim::Claim;
use super::clients::{Clients, Waited};
use super::gate::{Gate, GateState, Route};
use super::limits::Limits;
use super::phase::Phase;
use super::recovery::{self, Attach, Pause, Step};
use super::reign::Watch;
use super::state::{Epoch, PostgresView, Record, SqliteRole, SqliteState, System, Witness};
use super::{facts, observe};
use crate::backend::postgres::connect::Connector;
use crate::backend::postgres::replication::Lsn;
use crate::backend::sqlite::sequences::Sequences;
use crate::backend::sqlite::{Sqlite, Visible};
use crate::clock::Clock;
use crate::config::Table;
use crate::divergence::Store;
use crate::error::{Error, Result, state};
use crate::failpoint;
use crate::journal::Journal;
use crate::mirror::Mirror;
use crate::mirror::way_back::WayBack;
use crate::telemetry::names;

/// What is to be done where PostgreSQL does not follow any more.
pub const COPY_ANEW: &str = "run backfill to copy it anew";

pub(super) const SECOND: &str = "another proxy serves this pair of back ends";
/// Recovery steps in one go; each is idempotent, more than this is a fault.
const STEPS_MAX: usize = 20;
/// How often PostgreSQL is looked at while it is primary.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long a proxy that has just ended may still hold its locks, or come back for them.
const PREDECESSOR_MAX: Duration = Duration::from_secs(3);
/// How soon it is asked for again.
const PREDECESSOR_LOOK: Duration = Duration::from_millis(50);
/// Where a switch tells its steps: what, and facts.
pub type Report<'a> = &'a (dyn Fn(&str, String) + Send + Sync);

/// What has the last word before a switch begins: the reason why it must not.
pub type Allowed<'a> = &'a (dyn Fn() -> std::result::Result<(), String> + Send + Sync);

/// How a promote was ordered.
#[derive(Clone, Copy)]
pub struct Order<'a> {
    /// The gates.
    pub allowed: Allowed<'a>,
    /// The gate of the way back is passed by name: without one it goes on all the same.
    pub one_way: bool,
}

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
    pub(super) visible: Arc<Visible>,
    pub(super) connector: Connector,
    /// The application's role, when control has one of its own.
    pub(super) app_role: Option<String>,
    limits: RwLock<Limits>,
    /// `[tables.NAME]`.
    pub(super) decided: Arc<BTreeMap<String, Table>>,
    pub(super) foreign_keys_off: bool,
    pub(super) phase: watch::Sender<Phase>,
    pub(super) epoch: watch::Sender<u64>,
    /// Why nobody is served, or mirroring cannot go on.
    pub(super) trouble: Mutex<Option<String>>,
    /// Why PostgreSQL has to be copied anew, until it is.
    pub(super) anew: Mutex<Option<String>>,
    /// One switch, recovery or copy at a time.
    pub(super) turn: tokio::sync::Mutex<()>,
    pub(super) way_back: super::back::WayBackSlot,
    pub(super) clients: Arc<dyn Clients>,
    pub(super) watch: Arc<Watch>,
    /// Nothing is left to find out: who is primary, and what the other side is.
    settled: AtomicBool,
    /// Of all proxies of this PostgreSQL one serves.
    pub(super) claim: Claim,
    looked: Mutex<Option<Instant>>,
    /// Columns that PostgreSQL numbers in a way that cannot be carried, and when that was looked at.
    pub(super) unmapped: Mutex<(Vec<String>, Option<Instant>)>,
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
    /// How a catalog becomes everybody's.
    pub visible: Arc<Visible>,
    /// PostgreSQL for control.
    pub connector: Connector,
    /// The application's role, when control has one of its own.
    pub app_role: Option<String>,
    /// Limits.
    pub limits: Limits,
    /// `[tables.NAME]`.
    pub decided: Arc<BTreeMap<String, Table>>,
    /// SQLite does not hold rows to foreign keys.
    pub foreign_keys_off: bool,
    /// The sessions.
    pub clients: Arc<dyn Clients>,
    /// What sessions on PostgreSQL must know.
    pub watch: Arc<Watch>,
}

impl Switch {
    /// A switch that has not looked at anything yet; the gate should be closed.
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self {
            claim: Claim::new(parts.connector.clone(), parts.sqlite.path()),
            sqlite: parts.sqlite,
            journal: parts.journal,
            sequences: parts.sequences,
            clock: parts.clock,
            mirror: parts.mirror,
            gate: parts.gate,
            store: parts.store,
            visible: parts.visible,
            connector: parts.connector,
            app_role: parts.app_role,
            limits: RwLock::new(parts.limits),
            decided: parts.decided,
            foreign_keys_off: parts.foreign_keys_off,
            phase: watch::Sender::new(Phase::Direct),
            epoch: watch::Sender::new(1),
            trouble: Mutex::default(),
            anew: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            unmapped: Mutex::default(),
            way_back: super::back::WayBackSlot::default(),
            clients: parts.clients,
            watch: parts.watch,
            settled: AtomicBool::new(false),
            looked: Mutex::default(),
        })
    }

    /// Limits of the steps; one that runs keeps its own.
    pub(super) fn limits(&self) -> Limits {
        *self.limits.read()
    }

    /// New limits, from the next step on.
    pub fn set_limits(&self, limits: Limits) {
        *self.limits.write() = limits;
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

    /// Sessions that hold what cannot move, in words.
    pub fn waited(&self) -> Vec<String> {
        self.clients.waited().iter().map(Waited::shown).collect()
    }

    /// The mirror.
    pub fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    pub(super) async fn facts(&self) -> Result<(SqliteState, Phase)> {
        let reader = self.sqlite.reader(None).await?;
        facts::load(&reader)
    }

    pub(super) fn witness(&self) -> Witness {
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
    ///
    /// # Errors
    /// SQLite's own, and the state file's.
    pub async fn recover(&self) -> Result<()> {
        let _turn = self.turn.lock().await;
        self.recover_in_turn().await
    }

    /// Looks again if somebody has to: at start, after a switch that ended in an error or in the
    /// middle, after a session's doubt, and while PostgreSQL is primary now and then.
    ///
    /// # Errors
    /// SQLite's own, and the state file's.
    pub async fn look_again(&self) -> Result<()> {
        if let Some(name) = self.claim.keep().await.filter(|_| !self.is_paused()) {
            // Even in the middle of a switch: two must not serve.
            tracing::error!(name, "another proxy has taken this pair of back ends");
            self.unsettle();
            self.gate.set(GateState::Paused(SECOND));
        }
        if self.settled.load(Ordering::Acquire) && !self.is_paused() {
            return self.look_at_primary().await;
        }
        // Who waits for a person takes the claim only now and then.
        let recently = self.looked.lock().is_some_and(|at| at.elapsed() < LOOK_EVERY);
        if self.is_paused() && recently {
            return Ok(());
        }
        let _turn = self.turn.lock().await;
        if self.settled.load(Ordering::Acquire) && !self.is_paused() {
            return Ok(());
        }
        self.recover_in_turn().await
    }

    /// Waits until somebody doubts that PostgreSQL is what it was.
    pub async fn doubted(&self) {
        self.watch.doubted().await;
    }

    /// While PostgreSQL is primary: whether it still is the one of the switch, and the claim is
    /// held. No answer changes nothing: clients meet the same silence.
    async fn look_at_primary(&self) -> Result<()> {
        let doubt = self.watch.take_doubt();
        let recently = self.looked.lock().is_some_and(|at| at.elapsed() < LOOK_EVERY);
        if recently && doubt.is_none() {
            return Ok(());
        }
        *self.looked.lock() = Some(Instant::now());
        let reigns = matches!(self.gate.state(), GateState::Open(Route::Postgres(_)));
        if !reigns || self.phase() != Phase::Promoted {
            return Ok(());
        }
        self.note_followed();
        // A switch that runs looks for itself.
        let Ok(_turn) = self.turn.try_lock() else { return Ok(()) };
        let followed = WayBack::stored(&self.sqlite).await?;
        let Ok(stored) = self.claim.look(doubt.is_some()).await else { return Ok(()) };
        let (sqlite, _) = self.facts().await?;
        let step = match &stored {
            Some(stored) => {
                let view = observe::seen(stored, &self.journal, followed).await?;
                recovery::next_step(&sqlite, &view, self.witness())
            }
            None => Step::Pause(Pause::PostgresRestored),
        };
        if matches!(step, Step::ServePostgres(_)) && doubt.is_none() {
            // Lost in a failover, perhaps.
            let served = stored.and_then(|stored| stored.served);
            if served.is_some_and(|epoch| epoch < sqlite.epoch) {
                self.tell_served(sqlite.epoch).await;
            }
            return Ok(());
        }
        tracing::error!(?step, doubt, "PostgreSQL is not what it was; looking at both sides");
        self.recover_in_turn().await
    }

    pub(super) async fn recover_in_turn(&self) -> Result<()> {
        self.unsettle();
        let settled = self.recover_step_by_step().await?;
        self.settled.store(settled, Ordering::Release);
        Ok(())
    }

    /// Nothing is left to be looked at.
    pub(super) fn settle(&self) {
        self.settled.store(true, Ordering::Release);
    }

    /// From here on, whatever happens, somebody has to look at both sides again.
    pub(super) fn unsettle(&self) {
        self.settled.store(false, Ordering::Release);
    }

    async fn recover_step_by_step(&self) -> Result<bool> {
        for _ in 0..STEPS_MAX {
            let (sqlite, phase) = self.facts().await?;
            let view = match phase {
                Phase::Direct => observe::glance(&self.connector, &self.journal).await?,
                _ => self.view(phase).await?,
            };
            let step = recovery::next_step(&sqlite, &view, self.witness());
            let step = match phase {
                Phase::Complete => recovery::after_the_end(&sqlite, step),
                _ => step,
            };
            tracing::debug!(?step, "recovery");
            match self.take(step, &sqlite, &view, phase).await {
                // A file that has met no switch is served, and closed as soon as PostgreSQL says
                // that there was one.
                Ok(Some(settled)) => return Ok(settled && view != PostgresView::Unreachable),
                Ok(None) => {}
                Err(error) if error.fields().culprit == crate::error::Culprit::Shadow => {
                    self.pause(Pause::PostgresUnreachable, &sqlite, &view, phase);
                    tracing::warn!(%error, "a step of recovery failed on PostgreSQL");
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        Err(Error::internal("recovery does not come to an end"))
    }

    /// What is seen of PostgreSQL. A lock that is held at first may be that of a proxy that has
    /// just ended. For a proxy that was turned away, no answer is no proof that the other is gone.
    pub(super) async fn view(&self, phase: Phase) -> Result<PostgresView> {
        let turned_away = self.claim.is_turned_away();
        let until = Instant::now() + PREDECESSOR_MAX;
        loop {
            let view = observe::view(&self.claim, &self.journal, phase).await?;
            match view {
                PostgresView::Unreachable if turned_away => return Ok(PostgresView::Locked),
                PostgresView::Locked if !turned_away && Instant::now() < until => {}
                view => return Ok(view),
            }
            tokio::time::sleep(PREDECESSOR_LOOK).await;
        }
    }

    /// Does one step. Some(settled) ends the loop.
    async fn take(
        &self,
        step: Step,
        sqlite: &SqliteState,
        view: &PostgresView,
        phase: Phase,
    ) -> Result<Option<bool>> {
        match step {
            Step::ServeSqlite(attach) => self.serve_sqlite(attach, sqlite, phase).await.map(Some),
            Step::ServePostgres(way_back) => {
                let phase = if phase == Phase::Complete { phase } else { Phase::Promoted };
                if phase == Phase::Complete {
                    self.watch.alone();
                }
                *self.trouble.lock() = None;
                if let SqliteRole::Shadow { system } = sqlite.role {
                    self.watch.reigns(system);
                }
                self.serve(sqlite, phase, Route::Postgres(sqlite.epoch)).await?;
                failpoint!("cutover.routed");
                if phase == Phase::Complete {
                    // Nothing is left that two could disagree about.
                    self.claim.leave().await;
                }
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
                self.pause(pause, sqlite, view, phase);
                match pause {
                    // It must not take the lock when the other one loses it for a moment.
                    Pause::SecondProxy => {
                        self.mirror.stop().await;
                        self.claim.turn_away().await;
                    }
                    Pause::PostgresUnreachable => {}
                    Pause::PostgresRestored => {
                        self.disown_postgres(sqlite).await;
                        self.claim.leave().await;
                        *self.looked.lock() = Some(Instant::now());
                    }
                    // The right file may be started meanwhile, and needs it.
                    Pause::OtherSystem | Pause::SqliteRestored => {
                        self.claim.leave().await;
                        *self.looked.lock() = Some(Instant::now());
                    }
                }
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
            let anew = self.anew.lock().clone().filter(|_| phase == Phase::Copying);
            *self.trouble.lock() = anew.map(|why| format!("{why}; {COPY_ANEW}"));
        }
        if attach == Attach::CopyAnew {
            self.disown_postgres(sqlite).await;
        }
        if attach == Attach::CopyAnew && phase == Phase::Copying {
            // A restart does not forget it.
            let why = self.why_anew().await;
            *self.trouble.lock() = why.map(|why| format!("{why}; {COPY_ANEW}"));
        }
        self.serve(sqlite, phase, Route::Sqlite(sqlite.epoch)).await?;
        if matches!(phase, Phase::Mirroring | Phase::CatchingUp) {
            if attach == Attach::CopyAnew {
                let why = self.why_anew().await;
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

    /// Notes what foreign programs have written so far: a restart must not forget it. How many of
    /// their commits no verify has covered.
    pub fn note_foreign_writes(&self) -> u64 {
        self.store.note_foreign(self.sqlite.foreign_writes())
    }

    /// Looks for a foreign writer now; how many commits no verify has covered.
    ///
    /// # Errors
    /// SQLite's own.
    pub async fn look_for_foreign_writer(&self) -> Result<u64> {
        let seen = self.sqlite.check_foreign().await?;
        Ok(self.store.note_foreign(seen))
    }

    /// Witnessed first, served second.
    async fn serve(&self, sqlite: &SqliteState, phase: Phase, route: Route) -> Result<()> {
        if let Err(error) = self.claim.own().await {
            tracing::warn!(%error, "PostgreSQL does not store who serves this pair");
        }
        let mut witness = self.witness();
        let before = witness;
        witness.serve(sqlite.epoch);
        if witness != before {
            self.store.set_witness(witness.attempted, witness.served)?;
        }
        if let Route::Postgres(epoch) = route {
            self.tell_served(epoch).await;
        }
        self.show(sqlite, phase);
        self.gate.set(GateState::Open(route));
        Ok(())
    }

    /// Lets fronts open: the decision is recorded on both sides now. Told again when they ask.
    async fn tell_served(&self, epoch: Epoch) {
        if let Err(error) = self.claim.serves(epoch).await {
            tracing::warn!(%error, "PostgreSQL does not store that it is served");
        }
    }

    fn pause(&self, pause: Pause, sqlite: &SqliteState, view: &PostgresView, phase: Phase) {
        let text = match pause {
            Pause::PostgresUnreachable => {
                "PostgreSQL does not answer, and only it knows which back end is primary"
            }
            Pause::SecondProxy => SECOND,
            Pause::OtherSystem => "the PostgreSQL that answers is not the one of the switch",
            Pause::SqliteRestored => {
                "the SQLite file is older than the last switch: it was restored from a backup, or is \
                 another one"
            }
            Pause::PostgresRestored => {
                "PostgreSQL lacks the last switch: it was restored from a backup"
            }
        };
        *self.trouble.lock() = Some(format!("{text} ({})", histories(sqlite, view)));
        self.show(sqlite, phase);
        self.gate.set(GateState::Paused(text));
    }

    pub(super) async fn unfence(&self, epoch: u64) -> Result<()> {
        let writer = self.sqlite.writer(None).await?;
        let to = SqliteState { epoch, role: SqliteRole::Primary };
        facts::store(&self.journal, writer, &to, Phase::Mirroring)?;
        failpoint!("cutover.unfenced");
        Ok(())
    }

    pub(super) async fn record_promoted(
        &self,
        epoch: u64,
        system: System,
        from: Option<Lsn>,
    ) -> Result<()> {
        let writer = self.sqlite.writer(None).await?;
        if let Some(from) = from {
            WayBack::begin(&writer, from)?;
        }
        let to = SqliteState { epoch, role: SqliteRole::Shadow { system } };
        facts::store(&self.journal, writer, &to, Phase::Promoted)?;
        failpoint!("cutover.recorded");
        Ok(())
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
}

/// Both histories in words, so that a person can tell which is which.
pub(super) fn histories(sqlite: &SqliteState, view: &PostgresView) -> String {
    let of = |system: System| format!("system {} timeline {}", system.identifier, system.timeline);
    let ours = match sqlite.role {
        SqliteRole::Primary => format!("is primary of epoch {}", sqlite.epoch),
        SqliteRole::Returned(at) => {
            format!("is primary again from commit {} on, epoch {}", at.position, sqlite.epoch)
        }
        SqliteRole::Fenced { at, system } => format!(
            "ends at commit {} and was about to hand epoch {} over to {}",
            at.position,
            sqlite.epoch + 1,
            of(system)
        ),
        SqliteRole::Shadow { system } => {
            format!("has handed over to {} with epoch {}", of(system), sqlite.epoch)
        }
    };
    let theirs = match view {
        PostgresView::Reachable(state) => {
            let record = match state.records.last_key_value() {
                None => "no switch".to_owned(),
                Some((epoch, Record::Decided)) => format!("epoch {epoch} decided for it"),
                Some((epoch, Record::Abandoned)) => format!("epoch {epoch} given up"),
                Some((epoch, Record::Returned)) => format!("epoch {epoch} given back"),
            };
            let short = match (state.place_is_known, state.disowned) {
                (false, _) => ", and its log ends before what SQLite has followed",
                (true, true) => ", and lacked what SQLite has followed when it came back",
                (true, false) => "",
            };
            let fenced = if state.fenced { ", and is fenced" } else { "" };
            format!("PostgreSQL is {} and knows of {record}{fenced}{short}", of(state.system))
        }
        PostgresView::Locked => {
            "in PostgreSQL's pg_stat_activity the holder of the advisory locks \
             is named crossfade control"
                .to_owned()
        }
        PostgresView::Absent | PostgresView::Unreachable => "PostgreSQL says nothing".to_owned(),
    };
    format!("the SQLite file {ours}; {theirs}")
}

/// A reason to undo the switch.
pub(super) fn failed(text: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::shadow(state::OBJECT_NOT_IN_PREREQUISITE_STATE, text)
}
