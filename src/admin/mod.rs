//! The console: virtual database `crossfade` over the PostgreSQL protocol.
//!
//! Owns the SHOW tables and the orders given over a client's connection. Every SHOW is a
//! table: queries are planned as PostgreSQL's and run on an in-memory SQLite that is filled
//! at query time. It must never reach the engine except through `control`, nor answer an
//! order before it has ended, nor take one from a user who may only look. Reading order: [`serve`] → `protocol` (messages) → `statement`
//! (what a text is) → `run` (what it does).
//!
//! | file | owns |
//! |---|---|
//! | protocol | simple and extended messages, statements and portals |
//! | statement, order | from text to what is to be done |
//! | run | doing it: queries, orders, settings, transaction words |
//! | tables, rows | the tables' shape; their rows |
//! | pooler | the tables of pgbouncer's names |
//! | store | the in-memory SQLite |
//! | frozen | times and functions about the session |

mod frozen;
mod order;
mod pooler;
mod protocol;
mod rows;
mod run;
mod statement;
mod store;
mod tables;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::RwLock;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::control::Control;
use crate::error::{Error, state};
use crate::session::settings::{Settings, Snapshot};
use crate::wire::cancel::{Registry, Signal};
use crate::wire::{Connection, Frontend, Startup, Status, write};

pub use pooler::Averages;
use protocol::Portal;
use statement::Prepared;
use store::Store;

/// The database name that reaches the console.
pub const DATABASE: &str = "crossfade";

/// What console sessions share.
pub struct Console {
    /// The door.
    pub control: Arc<Control>,
    /// Cancel keys.
    pub registry: Arc<Registry>,
    /// Time and randomness.
    pub clock: Clock,
    /// Database names that reach it beside its own.
    pub also: Vec<String>,
    /// PostgreSQL version that is reported.
    pub version: String,
    /// Users who may order; none named: everybody.
    pub admins: RwLock<Vec<String>>,
    /// Cancelled when the server stops.
    pub stopping: CancellationToken,
    /// Console sessions now.
    pub open: AtomicUsize,
    /// What SHOW STATS averages over.
    pub averages: Averages,
}

impl Console {
    fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed) as u64
    }

    /// Whether this user may order; who may not may look all the same.
    fn may_order(&self, user: &str) -> bool {
        let admins = self.admins.read();
        admins.is_empty() || admins.iter().any(|admin| admin == user)
    }
}

/// Why a message's handling ended early.
enum Stop {
    /// An error for the client.
    Error(Error),
    /// The client is gone.
    Gone,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

type Step<T> = Result<T, Stop>;

/// A transaction block. Nothing on the console is transactional but the settings; drivers
/// expect the words all the same.
enum Block {
    Idle,
    Open { settings: Snapshot, failed: bool, savepoints: Vec<String> },
}

/// One client of the console.
struct Session {
    io: Connection,
    console: Arc<Console>,
    user: String,
    pid: i32,
    settings: Settings,
    block: Block,
    statements: HashMap<String, Arc<Prepared>>,
    portals: HashMap<String, Portal>,
    /// Made with the first query.
    store: Option<Store>,
    cancelled: Arc<Notify>,
    terminated: CancellationToken,
    /// After an error in the extended protocol: skip to Sync.
    skipping: bool,
}

/// Counts a session while it lives, however it ends.
struct Open(Arc<Console>);

impl Open {
    fn new(console: &Arc<Console>) -> Self {
        console.open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(console))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Serves one authenticated client of the console until it leaves.
pub async fn serve(io: Connection, startup: Startup, console: Arc<Console>) {
    let _open = Open::new(&console);
    let settings = match Settings::new(&startup.user, &startup.parameters, &console.version) {
        Ok(settings) => settings,
        Err(error) => {
            io.fail(&error.fatal()).await;
            return;
        }
    };
    let cancelled = Arc::<Notify>::default();
    let terminated = console.stopping.child_token();
    let (cancel, terminate) = (Arc::clone(&cancelled), terminated.clone());
    let key = console.registry.register(
        startup.protocol,
        Arc::new(move |signal| {
            match signal {
                // Only who waits now is meant: nothing is kept for later.
                Signal::Cancel => cancel.notify_waiters(),
                Signal::Terminate => terminate.cancel(),
            }
            None
        }),
    );
    let mut session = Session {
        io,
        user: startup.user,
        pid: key.pid(),
        settings,
        block: Block::Idle,
        statements: HashMap::new(),
        portals: HashMap::new(),
        store: None,
        cancelled,
        terminated,
        skipping: false,
        console,
    };
    session.report_settings();
    write::backend_key(session.io.out(), &key);
    session.ready();
    let last = match session.flush().await {
        Ok(()) => session.run().await,
        Err(gone) => gone,
    };
    match last {
        Stop::Error(error) => session.io.fail(&error.fatal()).await,
        Stop::Gone => session.io.finish().await,
    }
}

fn terminated() -> Error {
    let message = "terminating connection due to administrator command";
    Error::client(state::ADMIN_SHUTDOWN, message).fatal()
}

impl Session {
    /// Handles messages until the session ends.
    async fn run(&mut self) -> Stop {
        loop {
            let message = tokio::select! {
                message = self.io.read() => message,
                () = self.terminated.cancelled() => return Stop::Error(terminated()),
            };
            let outcome = match message {
                Ok(None | Some(Frontend::Terminate)) => return Stop::Gone,
                Ok(Some(Frontend::Query(sql))) => self.simple(&sql).await,
                Ok(Some(Frontend::CopyData(_) | Frontend::CopyDone | Frontend::CopyFail(_))) => {
                    Ok(())
                }
                Ok(Some(other)) => self.extended(other).await,
                Err(error) => return Stop::Error(error),
            };
            if let Err(stop) = outcome {
                return stop;
            }
        }
    }

    async fn flush(&mut self) -> Step<()> {
        self.io.flush().await.map_err(|_| Stop::Gone)
    }

    fn report_settings(&mut self) {
        let out = self.io.out();
        self.settings.report(|name, value| write::parameter_status(out, name, value));
    }

    fn ready(&mut self) {
        self.report_settings();
        let status = match &self.block {
            Block::Idle => Status::Idle,
            Block::Open { failed: false, .. } => Status::InTransaction,
            Block::Open { failed: true, .. } => Status::Failed,
        };
        write::ready(self.io.out(), status);
    }

    /// A statement has failed: so has the block around it.
    fn fail(&mut self) {
        if let Block::Open { failed, .. } = &mut self.block {
            *failed = true;
        }
    }

    fn failed(&self) -> bool {
        matches!(self.block, Block::Open { failed: true, .. })
    }
}
