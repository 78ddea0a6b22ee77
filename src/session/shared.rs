//! What all sessions share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::advisory::Locks;
use super::ambiguous::Ambiguous;
use super::notify::Hub;
use super::observer::{Observer, Quiet};
use super::plans::Plans;
use super::relay::Upstreams;
use super::traffic::{Totals, Traffic};
use crate::backend::sqlite::catalog::Side;
use crate::backend::sqlite::{Sqlite, Visible, system};
use crate::clock::Clock;
use crate::compare::Statements as Shapes;
use crate::cutover::gate::{Gate, GateState, Route};
use crate::journal::Room;
use crate::value::text::cut;
use crate::wire::cancel::Registry;

/// Bytes of parsed texts and plans kept.
const PLAN_CACHE_BYTES: u64 = 64 << 20;

/// Bytes of a statement's text that pg_stat_activity shows.
const ASKED_BYTES: usize = 1023;

/// Bits of a card's state that say what the session is doing.
const DOING_BITS: u32 = 2;

/// What surfaces may know about one session.
#[derive(Debug)]
pub struct Card {
    /// Process number told to the client.
    pub pid: i32,
    /// Role.
    pub user: String,
    /// Database name.
    pub database: String,
    /// Address of the client.
    pub client: String,
    /// application_name
    pub application: Mutex<String>,
    /// What it is doing, and above [`DOING_BITS`] how often that has changed.
    state: AtomicU64,
    postgres: AtomicBool,
    immovable: Mutex<Option<&'static str>>,
    /// What its client asked last, cut: for sessions of the same role.
    asked: Mutex<String>,
    pub(super) traffic: Traffic,
}

/// What a session is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// Waits for its client outside a transaction.
    Idle,
    /// Runs a statement.
    Active,
    /// Waits for its client inside a transaction.
    InTransaction,
    /// Waits for a lock, the writer or the gate.
    Waiting,
}

impl Card {
    pub(super) fn new(pid: i32, startup: &crate::wire::Startup) -> Self {
        Self {
            pid,
            user: startup.user.clone(),
            database: startup.database.clone(),
            client: startup.peer.to_string(),
            application: Mutex::default(),
            state: AtomicU64::new(Doing::Active as u64),
            postgres: AtomicBool::new(false),
            immovable: Mutex::new(None),
            asked: Mutex::default(),
            traffic: Traffic::default(),
        }
    }

    /// Notes the text of a statement.
    pub(super) fn asks(&self, text: &str) {
        let mut asked = self.asked.lock();
        asked.clear();
        asked.push_str(cut(text, ASKED_BYTES));
    }

    /// The text of the last statement.
    pub(super) fn asked(&self) -> String {
        self.asked.lock().clone()
    }

    pub(super) fn set(&self, doing: Doing) {
        // Only the session itself writes this.
        let changes = (self.state.load(Ordering::Relaxed) >> DOING_BITS) + 1;
        self.state.store(changes << DOING_BITS | doing as u64, Ordering::Relaxed);
    }

    pub(super) fn on_postgres(&self, on: bool) {
        self.postgres.store(on, Ordering::Relaxed);
    }

    pub(super) fn set_immovable(&self, why: Option<&'static str>) {
        *self.immovable.lock() = why;
    }

    /// Whether its statements run on PostgreSQL.
    pub fn is_on_postgres(&self) -> bool {
        self.postgres.load(Ordering::Relaxed)
    }

    /// What keeps the session from moving to the other back end, if anything does.
    pub fn immovable(&self) -> Option<&'static str> {
        *self.immovable.lock()
    }

    /// How long it has been waiting for a lock, a reader, the writer or the gate, if it is.
    pub fn waiting(&self) -> Option<Duration> {
        self.traffic.now(Instant::now()).1
    }

    /// While the session waits for its client inside a transaction: a number that stays the
    /// same as long as it does.
    pub(super) fn silence(&self) -> Option<u64> {
        (self.doing() == Doing::InTransaction).then(|| self.mark())
    }

    /// A number that stays the same as long as the session does nothing else than now.
    pub fn mark(&self) -> u64 {
        self.state.load(Ordering::Relaxed)
    }

    /// What the session is doing.
    pub fn doing(&self) -> Doing {
        match self.state.load(Ordering::Relaxed) & ((1 << DOING_BITS) - 1) {
            0 => Doing::Idle,
            1 => Doing::Active,
            2 => Doing::InTransaction,
            _ => Doing::Waiting,
        }
    }
}

/// Handles to everything a session uses; made once by the server.
pub struct Shared {
    /// The SQLite back end.
    pub sqlite: Sqlite,
    /// What the system tables show.
    pub system: Arc<system::State>,
    /// The side catalog: OIDs and sequences.
    pub side: Arc<Side>,
    /// Time and randomness.
    pub clock: Clock,
    /// Parsed texts and plans.
    pub(super) plans: Plans,
    /// Texts that both dialects accept with another meaning.
    pub ambiguous: Ambiguous,
    /// How a catalog becomes everybody's.
    pub visible: Arc<Visible>,
    xids: AtomicU64,
    /// All sessions.
    pub sessions: DashMap<i32, Arc<Card>>,
    /// What sessions that have ended carried.
    past: Mutex<Totals>,
    /// Cancel keys.
    pub registry: Arc<Registry>,
    /// Where statements go, and whether they may.
    pub gate: Arc<Gate>,
    /// PostgreSQL, when one is attached: where statements go after promote.
    pub upstreams: Option<Arc<Upstreams>>,
    /// There is no SQLite file: a session lives as long as its server session.
    pub is_front: bool,
    /// Room in the journal: who wants to write waits for it.
    pub room: Room,
    /// Statement shapes seen.
    pub shapes: Arc<Shapes>,
    /// Who compares and counts.
    pub observer: Arc<dyn Observer>,
    /// LISTEN and NOTIFY.
    pub(super) hub: Arc<Hub>,
    /// Advisory locks.
    pub(super) locks: Arc<Locks>,
    /// When the server started, PostgreSQL microseconds.
    pub started: i64,
    /// PostgreSQL version that is reported, for example `15.18`.
    pub version: String,
    /// The only database name accepted, when one is configured.
    pub database: Option<String>,
    /// How long a write waits for a transaction whose client is silent; None for ever.
    pub writer_patience: Option<Duration>,
    /// Cancelled when the server stops: idle sessions end, others after their transaction.
    pub stopping: CancellationToken,
}

impl Shared {
    /// A session has ended.
    pub(super) fn ended(&self, pid: i32) {
        // Whoever adds up holds the same lock: the session is counted once.
        let mut past = self.past.lock();
        if let Some((_, card)) = self.sessions.remove(&pid) {
            past.add(&card.traffic.now(Instant::now()).0);
        }
    }

    /// What all sessions have carried since the start.
    pub fn totals(&self) -> Totals {
        let past = self.past.lock();
        let mut totals = *past;
        let now = Instant::now();
        for card in &self.sessions {
            totals.add(&card.traffic.now(now).0);
        }
        totals
    }

    /// Whether some transaction is writing or waits to.
    pub fn writer_is_busy(&self) -> bool {
        self.locks.has_writer() || self.sqlite.figures().writers_waiting > 0
    }

    /// A number no transaction has had, nor had before a restart: they count from the
    /// milliseconds at which the server started.
    pub(super) fn new_xid(&self) -> u64 {
        self.xids.fetch_add(1, Ordering::Relaxed)
    }

    /// Handles for phase direct, to be refined by the server.
    pub fn new(sqlite: Sqlite, system: Arc<system::State>, side: Arc<Side>, clock: Clock) -> Self {
        let visible = Visible::new(sqlite.clone(), Arc::clone(&system), Arc::clone(&side));
        Self {
            sqlite,
            system,
            side,
            visible: Arc::new(visible),
            xids: AtomicU64::new((clock.postgres_micros() / 1000).max(1).unsigned_abs()),
            sessions: DashMap::new(),
            past: Mutex::default(),
            plans: Plans::new(PLAN_CACHE_BYTES),
            ambiguous: Ambiguous::default(),
            registry: Registry::new(clock.clone()),
            started: clock.postgres_micros(),
            clock,
            gate: Gate::new(GateState::Open(Route::Sqlite(1))),
            upstreams: None,
            is_front: false,
            room: Room::default(),
            shapes: Arc::default(),
            observer: Arc::new(Quiet),
            hub: Arc::default(),
            locks: Arc::default(),
            version: "15.18".into(),
            database: None,
            writer_patience: None,
            stopping: CancellationToken::new(),
        }
    }
}
