//! A connection to the SQLite file: the only way to run SQL.
//!
//! Owns [`Connection`], its deadline and its interrupts. A connection is used by one
//! task at a time; its lease number makes an interrupt that comes late harmless to the
//! next user. It must never wait for another connection. Start at
//! [`Connection::prepare`].

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rusqlite::config::DbConfig;
use rusqlite::{InterruptHandle, OpenFlags};

use super::codes;
use super::hooks::Capture;
use super::lock::FileLock;
use super::raw::{Failure, Handle, Statement};
use super::triggers::{self, Installed};
use super::{Install, Options};
use crate::error::{Error, Result};
use crate::schema::Fired;
use crate::value::{Cell, CellRef};

/// Virtual-machine steps between two looks at the deadline.
const PROGRESS_STEPS: i32 = 1000;

/// What a connection is opened for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    /// A pooled reader: writes are refused.
    Reader,
    /// The shared writer: BEGIN never blocks in SQLite, the queue waits instead.
    Writer,
    /// A session's own connection, or the maintenance task's.
    Own,
    /// A look at a file that others serve: opened for reading only.
    Guest,
}

/// A connection to the SQLite file.
pub struct Connection {
    handle: Arc<Handle>,
    control: Arc<Control>,
    capture: Arc<OnceLock<Arc<Mutex<Capture>>>>,
    triggers: Arc<Installed>,
}

/// Told of a table and its rows so far.
pub type Ticker = dyn Fn(&str, u64) + Send + Sync;

/// Deadline and interrupts.
struct Control {
    interrupt: InterruptHandle,
    /// Rises when the connection changes hands; an interrupter of an older lease does
    /// nothing. Held while interrupting, so that the hand-over waits for it.
    lease: Mutex<u64>,
    /// Who is told how many rows of a table a long look has come to.
    ticker: Mutex<Option<Arc<Ticker>>>,
    /// Nanoseconds after `base`; 0 is none.
    deadline: AtomicU64,
    timed_out: AtomicBool,
    base: Instant,
    /// The file stays ours as long as any connection of ours is open; a guest has none.
    _lock: Option<Arc<FileLock>>,
}

impl Control {
    fn due(&self) -> bool {
        let deadline = self.deadline.load(Ordering::Relaxed);
        deadline != 0 && nanos(self.base.elapsed()) >= deadline
    }
}

fn nanos(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}

impl Connection {
    /// Opens and configures a connection. `map` turns SQLite's failures into errors.
    pub(super) fn open(
        path: &Path,
        options: &Options,
        purpose: Purpose,
        install: &Install,
        map: Arc<super::MapError>,
        lock: Option<Arc<FileLock>>,
    ) -> Result<Self> {
        let flags = match purpose {
            Purpose::Guest => OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI,
            _ => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
        } | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut conn =
            rusqlite::Connection::open_with_flags(path, flags).map_err(codes::opening)?;
        configure(&conn, options, purpose).map_err(codes::opening)?;
        let interrupt = conn.get_interrupt_handle();
        let control = Arc::new(Control {
            interrupt,
            lease: Mutex::new(0),
            ticker: Mutex::default(),
            deadline: AtomicU64::new(0),
            timed_out: AtomicBool::new(false),
            base: Instant::now(),
            _lock: lock,
        });
        let watched = Arc::downgrade(&control);
        conn.progress_handler(PROGRESS_STEPS, Some(move || expired(&watched)))
            .map_err(codes::opening)?;
        install(&conn)?;
        if matches!(purpose, Purpose::Reader | Purpose::Guest) {
            conn.pragma_update(None, "query_only", true).map_err(codes::opening)?;
        }
        let described = control.clone();
        let describe = move |failure: Failure| {
            let timed_out = described.timed_out.load(Ordering::Relaxed);
            codes::cancelled(&failure, timed_out).unwrap_or_else(|| map(failure))
        };
        let handle = Arc::new(Handle::new(conn, Box::new(describe))?);
        handle.name_main(c"public")?;
        Ok(Self { handle, control, capture: Arc::default(), triggers: Arc::default() })
    }

    /// A second handle on the same connection, for the writer that runs on it.
    pub(super) fn share(&self) -> Self {
        Self {
            handle: self.handle.clone(),
            control: self.control.clone(),
            capture: self.capture.clone(),
            triggers: self.triggers.clone(),
        }
    }

    /// Prepares one statement; cached for the connection, so the same text is cheap the
    /// next time. Parameters are `?1` …
    pub fn prepare(&self, sql: &str) -> Result<Statement> {
        match self.handle.prepare(sql)? {
            (Some(statement), rest) if rest.trim().is_empty() => Ok(statement),
            (Some(_), _) => Err(Error::internal("more than one statement in one text")),
            (None, _) => Err(Error::internal("empty statement")),
        }
    }

    /// Runs one statement to its end; the rows it changed (rows it returns are dropped).
    pub fn execute(&self, sql: &str, params: &[Cell]) -> Result<u64> {
        let mut statement = self.prepare(sql)?;
        for (i, cell) in params.iter().enumerate() {
            statement.bind(i + 1, cell.as_ref())?;
        }
        while statement.step()? {}
        Ok(if statement.readonly() { 0 } else { self.handle.changes() })
    }

    /// Runs every statement of a text in turn.
    pub fn batch(&self, sql: &str) -> Result<()> {
        let mut rest = sql;
        while !rest.is_empty() {
            let (statement, after) = self.handle.prepare(rest)?;
            if let Some(mut statement) = statement {
                while statement.step()? {}
            }
            rest = after;
        }
        Ok(())
    }

    /// The first row's columns; None when there is no row. TEXT must be UTF-8 (XX001).
    pub fn query_row(&self, sql: &str, params: &[Cell]) -> Result<Option<Vec<Cell>>> {
        let mut statement = self.prepare(sql)?;
        for (i, cell) in params.iter().enumerate() {
            statement.bind(i + 1, cell.as_ref())?;
        }
        if !statement.step()? {
            return Ok(None);
        }
        (0..statement.column_count())
            .map(|i| owned(statement.column(i)))
            .collect::<Result<_>>()
            .map(Some)
    }

    /// The first column of the first row as an integer; None for no row or another class.
    pub fn query_integer(&self, sql: &str, params: &[Cell]) -> Result<Option<i64>> {
        Ok(match self.query_row(sql, params)?.as_deref() {
            Some([Cell::Integer(i), ..]) => Some(*i),
            _ => None,
        })
    }

    /// Rows changed by the last statement, without triggers and cascades.
    pub fn changes(&self) -> u64 {
        self.handle.changes()
    }

    /// Rows changed since the connection was opened, triggers and cascades included.
    pub fn total_changes(&self) -> u64 {
        self.handle.total_changes()
    }

    /// Rowid of the last insert on this connection.
    pub fn last_insert_rowid(&self) -> i64 {
        self.handle.last_insert_rowid()
    }

    /// Whether a transaction is open. False in the middle of one means that SQLite has
    /// rolled it back (an interrupted write, ON CONFLICT ROLLBACK, a full disk).
    pub fn in_transaction(&self) -> bool {
        self.handle.in_transaction()
    }

    /// Whether rows break a foreign key that is to be checked later.
    pub fn has_broken_keys(&self) -> bool {
        self.handle.has_broken_keys()
    }

    /// A handle by which another task can stop what runs here now (57014). It works until
    /// the connection goes back to its pool.
    pub fn interrupter(&self) -> Interrupter {
        Interrupter { control: Arc::downgrade(&self.control), lease: *self.control.lease.lock() }
    }

    /// Statements that run past this moment end with 57014. A write inside a transaction
    /// that ends so takes the whole transaction with it: see
    /// [`Connection::in_transaction`].
    pub fn set_deadline(&self, deadline: Option<Instant>) {
        let control = &self.control;
        let nanos = deadline.map_or(0, |d| nanos(d.saturating_duration_since(control.base)).max(1));
        control.timed_out.store(false, Ordering::Relaxed);
        control.deadline.store(nanos, Ordering::Relaxed);
    }

    /// Who is told from now on how far a long look at a table is.
    pub fn set_ticker(&self, ticker: Option<Arc<Ticker>>) {
        *self.control.ticker.lock() = ticker;
    }

    /// Tells of a table's rows so far.
    pub(crate) fn tick(&self, table: &str, rows: u64) {
        let ticker = self.control.ticker.lock().clone();
        if let Some(ticker) = ticker {
            ticker(table, rows);
        }
    }

    /// Runs a closure with rusqlite's connection: to register functions, for backups.
    /// It must not leave a transaction or hook behind.
    pub fn with_rusqlite<R>(&self, f: impl FnOnce(&rusqlite::Connection) -> R) -> R {
        self.handle.with(f)
    }

    /// Forgets cached statements, after hooks or functions changed.
    pub fn flush_cache(&self) {
        self.handle.flush_cache();
    }

    /// Whether somebody still holds a statement that is on a row.
    pub(super) fn has_open_rows(&self) -> bool {
        self.handle.has_open_rows()
    }

    /// Ends the current lease: late interrupts do nothing any more, no deadline is left.
    pub(super) fn end_lease(&self) {
        *self.control.lease.lock() += 1;
        self.handle.end_lease();
        self.set_deadline(None);
    }

    /// The connection follows PostgreSQL: clients' triggers do not fire on it.
    pub fn follow(&self) {
        self.triggers.follow();
    }

    /// Gives the connection the triggers of a catalog.
    pub(super) fn bring_triggers(&self, fired: &Fired) -> Result<()> {
        triggers::bring(self, &self.triggers, fired)
    }

    /// Fires the triggers that a statement has queued. To be called when it has written all of
    /// its rows, in its session's scope.
    ///
    /// # Errors
    /// Those of the triggers.
    pub fn run_queued(&self, turn: u64, distance: &dyn Fn(u32) -> usize) -> Result<()> {
        triggers::run_queued(self, turn, distance)
    }

    /// Takes all clients' triggers away until the next transaction begins.
    pub(super) fn clear_triggers(&self) -> Result<()> {
        triggers::clear(self, &self.triggers)
    }

    /// The capture of row images, installed on first use.
    pub(super) fn capture(&self) -> Result<&Arc<Mutex<Capture>>> {
        if self.capture.get().is_none() {
            let capture = self.handle.with_mut(super::hooks::install)?;
            // Statements compiled without the hook use shortcuts that bypass it.
            self.handle.flush_cache();
            let _ = self.capture.set(capture);
        }
        self.capture.get().ok_or_else(|| Error::internal("capture was not installed"))
    }
}

fn expired(control: &Weak<Control>) -> bool {
    let Some(control) = control.upgrade() else { return false };
    let due = control.due();
    if due {
        control.timed_out.store(true, Ordering::Relaxed);
    }
    due
}

/// Settings of a new connection.
fn configure(
    conn: &rusqlite::Connection,
    options: &Options,
    purpose: Purpose,
) -> rusqlite::Result<()> {
    let busy = if purpose == Purpose::Writer { Duration::ZERO } else { options.busy_timeout };
    conn.busy_timeout(busy)?;
    conn.set_prepared_statement_cache_capacity(0);
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, options.foreign_keys)?;
    let synchronous = match options.durability {
        super::Durability::Full => "FULL",
        super::Durability::Group | super::Durability::Normal => "NORMAL",
    };
    conn.pragma_update(None, "synchronous", synchronous)?;
    // Checkpoints are the maintenance task's: in a session they would cost it the sync.
    conn.query_row("PRAGMA wal_autocheckpoint = 0", [], |_| Ok(()))?;
    let kib = i64::try_from(options.cache_bytes >> 10).unwrap_or(i64::MAX).max(64);
    conn.pragma_update(None, "cache_size", -kib)?;
    let mmap = i64::try_from(options.mmap_bytes).unwrap_or(i64::MAX);
    conn.query_row(&format!("PRAGMA mmap_size = {mmap}"), [], |_| Ok(())).or_else(no_rows)?;
    if options.temp_store_memory {
        conn.pragma_update(None, "temp_store", "MEMORY")?;
    }
    Ok(())
}

fn no_rows(error: rusqlite::Error) -> rusqlite::Result<()> {
    match error {
        rusqlite::Error::QueryReturnedNoRows => Ok(()),
        other => Err(other),
    }
}

/// An owned copy of a cell. TEXT that is not UTF-8 is XX001.
pub fn owned(cell: CellRef<'_>) -> Result<Cell> {
    Ok(match cell {
        CellRef::Null => Cell::Null,
        CellRef::Integer(i) => Cell::Integer(i),
        CellRef::Real(r) => Cell::Real(r),
        CellRef::Text(t) => Cell::Text(String::from_utf8(t.to_vec()).map_err(|_| {
            Error::primary(crate::error::state::DATA_CORRUPTED, "stored text is not valid UTF-8")
        })?),
        CellRef::Blob(b) => Cell::Blob(b.to_vec()),
    })
}

/// Stops what runs on a connection, from another task.
#[derive(Clone)]
pub struct Interrupter {
    control: Weak<Control>,
    lease: u64,
}

impl Interrupter {
    /// Stops the statement that runs now, if the connection is still in the same hands.
    /// A statement that starts later is not hit.
    pub fn interrupt(&self) {
        let Some(control) = self.control.upgrade() else { return };
        let lease = control.lease.lock();
        if *lease == self.lease {
            control.interrupt.interrupt();
        }
    }
}
