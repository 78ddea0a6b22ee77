//! One client connection: statement loop, transactions, portals, settings, COPY, cancel.
//!
//! Owns everything between a message of the client and a statement of a back end. It must
//! never execute on Describe, never wait for the shadow, never leave the writer behind when
//! its client is gone. Reading order: [`serve`] → `simple`/`extended` (messages) →
//! `execute` (one statement) → `transaction` (where it runs) → `query` (rows).
//!
//! | file | owns |
//! |---|---|
//! | shared | what all sessions share |
//! | simple, extended | the two query protocols |
//! | execute | a plan's action → the code that does it |
//! | query | SELECT and DML: lane, frozen values, stepping, rows |
//! | transaction | virtual BEGIN, the writer, savepoints, isolation, commit |
//! | moving | the gate before each statement, what keeps a session from moving |
//! | relay | the session on PostgreSQL: there, passing frames, back |
//! | settings, commands, database | SET, SHOW …, and other statements the session does itself |
//! | prepared, portal, cursor, spool | statements and portals, SQL and wire; rows set aside |
//! | frozen, functions | values computed once per execution; functions of the session |
//! | copy, copy_in, copy_out | COPY |
//! | plans | the plan cache |
//! | large, live | large objects; what the system tables tell of sessions |
//! | detail | which row a constraint refused |
//! | cancel, wait | requests from outside, timeouts, a vanished client |
//! | notify, advisory | LISTEN/NOTIFY and advisory locks inside the proxy |
//! | script | DO, statement by statement |
//! | steps | data-modifying statements in WITH, run before the main one |
//! | observer, watch | what the engine learns from sessions; notes for the journal |

mod advisory;
mod ambiguous;
mod asked;
mod bounded;
mod cancel;
mod commands;
mod copy;
mod copy_in;
mod copy_out;
mod counted;
mod cursor;
mod database;
mod ddl;
mod detail;
mod execute;
mod explain;
mod extended;
mod frozen;
mod functions;
mod large;
mod live;
mod moving;
mod notify;
pub mod observer;
mod parameter;
pub mod plans;
mod pool;
mod portal;
mod prepared;
mod query;
mod relay;
mod reply;
mod rewrite;
mod script;
pub mod settings;
pub mod shapes;
mod shared;
mod sharing;
mod simple;
mod spool;
mod steps;
mod traffic;
mod transaction;
mod wait;
mod watch;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use parking_lot::Mutex;

use crate::backend::sqlite::Connection as SqliteConnection;
use crate::backend::sqlite::ddl::Temporary;
use crate::backend::sqlite::functions::session::{Alarm, Requests, Signals};
use crate::backend::sqlite::sequences::SessionValues;
use crate::backend::sqlite::system::Snapshot;
use crate::cutover::gate::{Firm, Pass};
use crate::error::{Error, state};
use crate::schema::Catalog;
use crate::value::enums::Enums;
use crate::wire::cancel::Signal;
use crate::wire::{Connection, Frontend, Startup, Status, write};

pub use moving::{holds_for_ever, stays};
pub use relay::Upstreams;
pub use shared::{Card, Doing, Shared};
pub use traffic::Totals;

use advisory::Held;
use cancel::Cancel;
use counted::Counted;
use notify::Inbox;
use portal::Portals;
use prepared::Statements;
use settings::Settings;
use transaction::{Block, Transaction};
use wait::Awaited;

/// Output beyond this is sent before more is made.
const OUTPUT_BYTES: usize = 64 << 10;

/// Why a message's handling ended early.
#[derive(Debug)]
enum Stop {
    /// An error for the client.
    Error(Error),
    /// The client is gone.
    Gone,
    /// PostgreSQL is primary: what was asked for has not begun and is to be done there.
    Move,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

type Step<T> = Result<T, Stop>;

/// One client's session.
struct Session {
    io: Connection,
    shared: Arc<Shared>,
    card: Arc<Card>,
    pid: i32,
    user: String,
    database: String,
    settings: Settings,
    transaction: Transaction,
    statements: Statements,
    portals: Portals,
    cancel: Arc<Cancel>,
    inbox: Inbox,
    held: Held,
    sequences: SessionValues,
    /// last_insert_rowid(), changes() and total_changes() of SQLite's dialect.
    counted: Counted,
    /// It has sent SQL that only SQLite has.
    sends_sqlite: AtomicBool,
    /// Temporary tables, by name, as of the last commit.
    temporary: Arc<Temporary>,
    /// Types of the temporary schema, as of the last commit.
    types: Arc<Enums>,
    /// The shared catalog with these types, and the one it was made from.
    overlaid: Mutex<Option<(Arc<Catalog>, Arc<Catalog>)>>,
    /// What set_config() of the running statement's rows asks for.
    requests: Arc<Requests>,
    signals: Signals,
    /// Functions of clients that call each other at this moment.
    calls: u32,
    /// Tells the functions of a statement that it has to end.
    alarm: Alarm,
    /// Functions of the temporary schema.
    functions: script::temporary::Temporaries,
    /// Own connection, while there are temporary tables.
    own: Option<SqliteConnection>,
    /// The system tables as this session sees them, and what they were made from.
    seen: Option<(Arc<Snapshot>, Arc<Snapshot>)>,
    /// RowDescription is to precede the first row.
    describe_next: bool,
    /// The running simple query has several statements.
    many: bool,
    /// The query under way, should it fail.
    attempt: query::Attempt,
    /// When the client's message arrived: statement_timestamp(), PostgreSQL microseconds.
    message_at: i64,
    /// statement_timeout of the running message.
    deadline: Option<Instant>,
    /// After an error in the extended protocol: skip to Sync.
    skipping: bool,
    /// Leave to run on PostgreSQL, until the session has moved there.
    moving: Option<Pass>,
    /// What keeps the session from moving, as its card tells.
    immovable: Option<&'static str>,
    /// A drain waits while this is held.
    firm: Option<Firm>,
    /// Large objects the transaction has open, by descriptor.
    large: Vec<Option<large::Descriptor>>,
    /// How a transaction's server session was lost, until the client has been told.
    lost: Option<Error>,
}

/// Serves one authenticated client until it leaves.
pub async fn serve(io: Connection, startup: Startup, shared: Arc<Shared>) {
    if let Some(only) = shared.database.as_ref().filter(|only| **only != startup.database) {
        let message = format!("database \"{}\" does not exist", startup.database);
        tracing::debug!(only, "connection to another database refused");
        io.fail(&Error::client(state::INVALID_CATALOG_NAME, message).fatal()).await;
        return;
    }
    let settings = match Settings::new(&startup.user, &startup.parameters, &shared.version) {
        Ok(settings) => settings,
        Err(error) => {
            io.fail(&error.fatal()).await;
            return;
        }
    };
    let names = startup.parameters.iter().rev();
    let asked = names.filter(|(name, _)| name.eq_ignore_ascii_case("application_name"));
    let asked = asked.map(|(_, value)| value.clone()).next().unwrap_or_default();
    let cancel = Arc::<Cancel>::default();
    let door = Arc::clone(&cancel);
    let key = shared.registry.register(
        startup.protocol,
        Arc::new(move |signal| match signal {
            Signal::Cancel => door.cancel(),
            Signal::Terminate => {
                door.terminate();
                None
            }
        }),
    );
    let pid = key.pid();
    let card = Arc::new(Card::new(pid, &startup));
    shared.sessions.insert(pid, Arc::clone(&card));
    let mut session = Session {
        card,
        inbox: Inbox::new(&shared.hub, pid),
        pid,
        user: startup.user,
        database: startup.database,
        settings,
        transaction: Transaction::default(),
        statements: Statements::default(),
        portals: Portals::default(),
        alarm: functions::alarm(&cancel),
        cancel,
        calls: 0,
        held: Held::default(),
        sequences: SessionValues::default(),
        counted: Counted::default(),
        sends_sqlite: AtomicBool::new(false),
        temporary: Arc::default(),
        types: Arc::default(),
        overlaid: Mutex::new(None),
        requests: Arc::new(Requests::new(settings::asked_by_row)),
        signals: functions::signals(&shared),
        functions: script::temporary::Temporaries::default(),
        own: None,
        seen: None,
        describe_next: false,
        many: false,
        attempt: query::Attempt::default(),
        message_at: 0,
        deadline: None,
        skipping: false,
        moving: None,
        immovable: None,
        firm: None,
        lost: None,
        large: Vec::new(),
        io,
        shared,
    };
    session.report_settings();
    session.notice_truncated(&asked);
    write::backend_key(session.io.out(), &key);
    session.ready();
    let last = match session.flush().await {
        Ok(()) => session.run().await,
        Err(gone) => gone,
    };
    session.leave();
    match last {
        Stop::Error(error) => session.io.fail(&error.fatal()).await,
        // Moving is done with where it is asked for.
        Stop::Gone | Stop::Move => session.io.finish().await,
    }
}

impl Session {
    /// Handles messages until the session ends.
    async fn run(&mut self) -> Stop {
        loop {
            match self.step().await {
                Ok(()) if self.cancel.terminated() => return Stop::Error(cancel::terminated()),
                Ok(()) => {}
                Err(stop) => return stop,
            }
            if self.io.out().len() >= OUTPUT_BYTES && self.flush().await.is_err() {
                return Stop::Gone;
            }
        }
    }

    /// Waits for one message and handles it, on the back end that is primary then.
    async fn step(&mut self) -> Step<()> {
        match self.wait_message().await? {
            Awaited::Gone => return Err(Stop::Gone),
            Awaited::Route if self.transaction.block != Block::Idle => return Ok(()),
            Awaited::Message if !self.is_at_border() => {}
            Awaited::Route | Awaited::Message => {
                // A request that came while nothing ran must not end the wait at the gate.
                self.cancel.begin();
                match self.pass_gate().await {
                    Ok(()) => {}
                    Err(Stop::Move) => return self.move_between().await,
                    Err(Stop::Error(error)) => return self.refuse(error).await,
                    Err(Stop::Gone) => return Err(Stop::Gone),
                }
            }
        }
        let Some(message) = self.io.read_buffered()? else { return Ok(()) };
        if let Some((error, commits)) = self.why_lost(&message) {
            if commits {
                self.rollback_block(false).await?;
            }
            return self.refuse_taken(&message, &error).await;
        }
        match message {
            Frontend::Terminate => Err(Stop::Gone),
            Frontend::Query(sql) => self.simple_query(&sql).await,
            // COPY has ended already: PostgreSQL ignores the rest of its messages.
            Frontend::CopyData(_) | Frontend::CopyDone | Frontend::CopyFail(_) => Ok(()),
            other => self.extended(other).await,
        }
    }

    /// Ends everything the session holds: runs also when the client vanished.
    fn leave(&mut self) {
        self.portals.clear();
        self.roll_back();
        self.shared.locks.release_all(self.pid);
        self.inbox.unlisten(None);
        self.card.traffic.settled();
        self.card.traffic.carried(self.io.carried());
        self.shared.ended(self.pid);
    }

    /// Sends what is pending.
    async fn flush(&mut self) -> Step<()> {
        self.io.flush().await.map_err(|_| Stop::Gone)
    }

    /// Appends ParameterStatus for settings that changed.
    fn report_settings(&mut self) {
        let (out, card) = (self.io.out(), &self.card);
        self.settings.report(|name, value| {
            if name == "application_name" {
                value.clone_into(&mut card.application.lock());
            }
            write::parameter_status(out, name, value);
        });
    }

    /// Appends ReadyForQuery, and what precedes it.
    fn ready(&mut self) {
        if self.transaction.block == Block::Idle {
            while let Some(n) = self.inbox.try_next() {
                write::notification(self.io.out(), n.pid, &n.channel, &n.payload);
            }
        }
        self.report_settings();
        if self.transaction.block == Block::Idle {
            self.card.traffic.settled();
        }
        let status = match self.transaction.block {
            Block::Idle | Block::Implicit => Status::Idle,
            Block::Open => Status::InTransaction,
            Block::Failed => Status::Failed,
        };
        write::ready(self.io.out(), status);
    }

    /// Appends a notice, if the client wants such.
    fn notice(&mut self, severity: write::Severity, error: &Error) {
        let derived = self.settings.derived();
        let wanted = match severity {
            write::Severity::Warning => derived.warnings,
            write::Severity::Info => true,
            write::Severity::Debug => derived.debug,
            _ => derived.notices,
        };
        if wanted {
            write::notice(self.io.out(), severity, error);
        }
    }

    /// The notice for a name that is longer than PostgreSQL keeps.
    pub(super) fn notice_truncated(&mut self, name: &str) {
        let Some(kept) = settings::truncated(name) else { return };
        let message = format!("identifier \"{name}\" will be truncated to \"{kept}\"");
        let notice = Error::client(state::NAME_TOO_LONG, message);
        self.notice(write::Severity::Notice, &notice);
    }

    fn warning(&mut self, sqlstate: crate::error::SqlState, message: &'static str) {
        self.notice(write::Severity::Warning, &Error::client(sqlstate, message));
    }
}
