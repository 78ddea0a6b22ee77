//! The mirror: the applier carries the journal to PostgreSQL, exactly once, in commit order.
//!
//! Lane A applies row images and alone decides what the shadow holds; lane B tests the client's
//! own statement behind a savepoint first. It must never apply to a PostgreSQL whose last
//! applied record is not in the journal, and no error of the shadow leaves this module except
//! as a state. Start at [`Mirror`], then `applier`.

mod answer;
mod applier;
mod batch;
mod catching_up;
mod counters;
mod drift;
mod effect;
mod failures;
mod gather;
mod guard;
mod history;
mod lane_b;
mod limit;
mod noted;
mod other_types;
mod pins;
mod poison;
mod readers;
mod reads;
mod schema;
mod shadow;
mod slow;
mod stops;
mod together;
mod truncate;
pub mod way_back;
mod worker;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::backend::Position;
use crate::backend::postgres::connect::Connector;
use crate::backend::sqlite::Sqlite;
use crate::compare::{PaceRule, Statements};
use crate::divergence::Store;
use crate::journal::{Journal, Note};
use crate::telemetry::Live;
use crate::telemetry::live::Lane;

pub use failures::Failure;
pub(crate) use history::{Standing, standing};
pub use limit::Limit;
pub use pins::{Pin, Pins};
pub use reads::{ReadSample, Reads};
use worker::Worker;

/// How the mirror stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Not started, or stopped on purpose.
    Stopped,
    /// PostgreSQL does not answer, or refuses: why.
    Connecting(String),
    /// Another proxy serves this pair.
    Locked,
    /// Carrying.
    Running,
    /// PostgreSQL holds another history: nothing is applied until it is copied anew.
    CopyAnew(String),
}

/// What happens when the journal is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// Mirroring ends; PostgreSQL is copied anew later.
    Degrade,
    /// Writers wait, at most so long (None: as long as it takes); then as `Degrade`.
    Backpressure(Option<Duration>),
}

/// Tables and statement shapes whose writes are carried and not compared.
#[derive(Clone, Debug, Default)]
pub struct WritesSkip {
    tables: HashSet<String>,
    shapes: HashSet<u64>,
}

impl WritesSkip {
    /// From names of tables and fingerprints as SHOW STATEMENTS tells them.
    pub fn of(names: &[String]) -> Self {
        let shapes = names.iter().filter(|n| n.len() == 16);
        let shapes = shapes.filter_map(|n| u64::from_str_radix(n, 16).ok()).collect();
        Self { tables: names.iter().cloned().collect(), shapes }
    }

    fn has(&self, note: &Note) -> bool {
        self.shapes.contains(&note.fingerprint)
            || note.table.as_ref().is_some_and(|table| self.tables.contains(table))
    }
}

/// Bounds and choices, from `[mirror]` and `[compare]`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Source transactions in one transaction of the shadow.
    pub batch_commits_max: usize,
    /// Whether effects of writes are compared (lane B).
    pub compare_writes: bool,
    /// Share of the records lane B looks at: 0 to 1.
    pub write_ratio: f64,
    /// What lane B leaves out.
    pub writes_skip: WritesSkip,
    /// Lag in commits above which lane B is left out.
    pub lane_b_lag_max: u64,
    /// Largest number of touched keys lane B compares in one transaction.
    pub lane_b_keys_max: usize,
    /// Size of the journal beyond which nothing new is written.
    pub journal_bytes_max: u64,
    /// What happens then.
    pub when_full: WhenFull,
    /// Share of reads compared: 0 to 1.
    pub read_ratio: f64,
    /// Largest number of rows compared.
    pub row_limit: usize,
    /// Time limit of a comparison on the shadow.
    pub timeout: Duration,
    /// Floats may be so many representable values apart.
    pub float_ulps: u32,
    /// When a statement is much slower on the shadow.
    pub pace: PaceRule,
    /// Rows that copying and verifying read in a second at most.
    pub limit: Limit,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            batch_commits_max: 256,
            compare_writes: true,
            write_ratio: 1.0,
            writes_skip: WritesSkip::default(),
            // Twice a batch: comparing must not be what keeps the shadow behind.
            lane_b_lag_max: 500,
            lane_b_keys_max: 500,
            journal_bytes_max: 1 << 30,
            when_full: WhenFull::Degrade,
            read_ratio: 0.1,
            row_limit: 10_000,
            timeout: Duration::from_secs(5),
            float_ulps: 0,
            pace: PaceRule::default(),
            limit: Limit::default(),
        }
    }
}

/// What the mirror's parts share.
pub(crate) struct Shared {
    pub(crate) sqlite: Sqlite,
    pub(crate) journal: Journal,
    pub(crate) connector: Connector,
    pub(crate) live: Arc<Live>,
    pub(crate) store: Arc<Store>,
    pub(crate) settings: Settings,
    pub(crate) state: watch::Sender<State>,
    pub(crate) applied: watch::Sender<Position>,
    pub(crate) pins: Arc<Pins>,
    stops: Arc<stops::Stops>,
    pub(crate) shapes: Arc<Statements>,
    failures: failures::Failures,
    looks: drift::Looks,
    /// A switch waits for the end of the journal: nothing is compared meanwhile.
    hurry: AtomicBool,
    /// Nothing is compared: what was copied is caught up with.
    carries_only: AtomicBool,
    /// The guard ends the lineage: no applier starts, and the last word on why is the guard's.
    ending: AtomicBool,
    /// Held by whoever needs the lineage to go on (a switch), or ends it (the guard).
    pub(crate) history: Arc<tokio::sync::Mutex<()>>,
}

impl Shared {
    /// Whether anything is compared now.
    fn compares(&self) -> bool {
        !self.hurry.load(Ordering::Relaxed) && !self.carries_only.load(Ordering::Relaxed)
    }

    /// Counts a verdict, in all and for the statement's shape.
    fn verdict(&self, lane: Lane, fingerprint: u64, verdict: &'static str) {
        self.live.verdict(lane, verdict);
        self.shapes.verdict(fingerprint, verdict);
    }

    /// Counts a statement that was not compared, likewise.
    fn skipped(&self, lane: Lane, fingerprint: u64, reason: &'static str) {
        self.live.skipped(lane, reason);
        self.shapes.skipped(fingerprint, reason);
    }

    /// Whether somebody waits for the lag to be small: no time is left to clients.
    fn hurries(&self) -> bool {
        self.hurry.load(Ordering::Relaxed) || self.journal.room().is_pressed()
    }

    /// How long a statement has run on the shadow.
    fn took(&self, fingerprint: u64, took: Duration) {
        self.shapes.shadow_took(fingerprint, took, Some(&self.settings.pace));
    }
}

/// The applier, while it runs.
pub(crate) type Task = Mutex<Option<(CancellationToken, tokio::task::JoinHandle<()>)>>;

/// The mirror of one pair. Cheap to clone.
#[derive(Clone)]
pub struct Mirror {
    shared: Arc<Shared>,
    task: Arc<Task>,
    reads: Reads,
    worker: Arc<Worker>,
}

impl Mirror {
    /// A mirror that is not running yet.
    pub fn new(
        sqlite: Sqlite,
        journal: Journal,
        connector: Connector,
        live: Arc<Live>,
        store: Arc<Store>,
        shapes: Arc<Statements>,
        settings: Settings,
    ) -> Self {
        let shared = Arc::new(Shared {
            sqlite,
            journal,
            connector,
            live,
            store,
            settings,
            state: watch::Sender::new(State::Stopped),
            applied: watch::Sender::new(Position(0)),
            pins: Arc::new(Pins::default()),
            stops: Arc::default(),
            shapes,
            failures: failures::Failures::default(),
            looks: drift::Looks::default(),
            hurry: AtomicBool::new(false),
            carries_only: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            history: Arc::default(),
        });
        let (send, receive) = mpsc::channel(reads::QUEUE_MAX);
        let stops = Arc::clone(&shared.stops);
        let reads = Reads::new(send, stops, shared.settings.read_ratio);
        let worker = Arc::new(Worker::start());
        readers::spawn(&shared, receive);
        let task = Arc::<Task>::default();
        let room = shared.journal.room();
        room.limit(shared.settings.journal_bytes_max);
        let full = room.changes();
        tokio::spawn(guard::run(Arc::downgrade(&shared), Arc::downgrade(&task), full));
        Self { shared, task, reads, worker }
    }

    /// Starts the applier unless it runs, or its journal is being ended.
    pub fn start(&self) {
        let mut task = self.task.lock();
        if self.shared.ending.load(Ordering::Relaxed) {
            return;
        }
        if task.as_ref().is_some_and(|(_, handle)| !handle.is_finished()) {
            return;
        }
        let stop = CancellationToken::new();
        let run = applier::run(Arc::clone(&self.shared), stop.clone());
        *task = Some((stop, self.worker.spawn(run)));
    }

    /// Stops the applier and waits until nothing of it is under way.
    pub async fn stop(&self) {
        let running = self.task.lock().take();
        if let Some((stop, handle)) = running {
            stop.cancel();
            // A panic of the task is logged by the runtime; stopped is stopped.
            let _ = handle.await;
        }
        self.shared.state.send_replace(State::Stopped);
    }

    /// The state now.
    pub fn state(&self) -> State {
        self.shared.state.borrow().clone()
    }

    /// Changes of the state.
    pub fn states(&self) -> watch::Receiver<State> {
        self.shared.state.subscribe()
    }

    /// The position PostgreSQL has applied.
    pub fn applied(&self) -> Position {
        *self.shared.applied.borrow()
    }

    /// Waits until PostgreSQL has applied `position`; false when `limit` passes first.
    pub async fn wait_applied(&self, position: Position, limit: Duration) -> bool {
        let mut applied = self.shared.applied.subscribe();
        let reached = applied.wait_for(|at| *at >= position);
        matches!(tokio::time::timeout(limit, reached).await, Ok(Ok(_)))
    }

    /// Leaves comparing out, and no time to clients, while a switch waits for the lag to be small.
    pub fn hurry(&self, on: bool) {
        self.shared.hurry.store(on, Ordering::Relaxed);
    }

    /// Leaves comparing out while what was copied is caught up with.
    pub fn carry_only(&self, on: bool) {
        self.shared.carries_only.store(on, Ordering::Relaxed);
    }

    /// While this is held a full journal does not end mirroring: a switch is under way.
    pub async fn keep_history(&self) -> tokio::sync::OwnedMutexGuard<()> {
        Arc::clone(&self.shared.history).lock_owned().await
    }

    /// Holds the applier at a position: see [`Pins::pin`]. None when the cut is missed.
    pub async fn pin(&self, position: Position, limit: Duration) -> Option<Pin> {
        let applied = self.shared.applied.subscribe();
        Pins::pin(&self.shared.pins, position, applied, limit).await
    }

    /// The primary's file.
    pub fn sqlite(&self) -> &Sqlite {
        &self.shared.sqlite
    }

    /// Its journal.
    pub fn journal(&self) -> &Journal {
        &self.shared.journal
    }

    /// Leads to the shadow.
    pub fn connector(&self) -> &Connector {
        &self.shared.connector
    }

    /// Rows that copying and verifying read in a second at most.
    pub fn limit(&self) -> Limit {
        self.shared.settings.limit.clone()
    }

    /// Where sampled reads go.
    pub fn reads(&self) -> &Reads {
        &self.reads
    }

    /// Whether the shadow follows now.
    pub fn is_running(&self) -> bool {
        *self.shared.state.borrow() == State::Running
    }

    /// Has PostgreSQL's schema looked at now; false when the applier did not come to it.
    pub async fn look_at_schema(&self, limit: Duration) -> bool {
        if !self.is_running() {
            return false;
        }
        let done = self.shared.looks.ask();
        self.shared.failures.wake();
        tokio::time::timeout(limit, done).await.is_ok()
    }

    /// Hands a sampled read over.
    pub fn offer_read(&self, sample: ReadSample) {
        let fingerprint = sample.plan.fingerprint.id;
        self.shared.shapes.offered(&sample.plan.fingerprint);
        if !self.reads.offer(sample) {
            let reason = if self.is_running() { "queue_full" } else { "shadow_down" };
            self.shared.skipped(Lane::Read, fingerprint, reason);
        }
    }

    /// Hands over a statement that failed on the primary.
    pub fn offer_failure(&self, failure: Failure) {
        if failures::proves_nothing(&failure.error) {
            return;
        }
        let fingerprint = failure.plan.fingerprint.id;
        self.shared.shapes.offered(&failure.plan.fingerprint);
        if !self.shared.settings.compare_writes {
            self.shared.skipped(Lane::Error, fingerprint, "sampled_out");
        } else if !self.shared.failures.offer(failure) {
            let reason = if self.is_running() { "queue_full" } else { "shadow_down" };
            self.shared.skipped(Lane::Error, fingerprint, reason);
        }
    }

    /// Counts a statement that is not compared.
    pub fn skipped(&self, lane: Lane, fingerprint: u64, reason: &'static str) {
        self.shared.skipped(lane, fingerprint, reason);
    }

    /// Statement shapes, with what was found of them.
    pub fn shapes(&self) -> &Statements {
        &self.shared.shapes
    }
}
