//! SQLite as a back end.
//!
//! Owns the only doors to the SQLite file: [`Sqlite`] with its pool of readers and its
//! one writer. One proxy serves a file (OS lock), commits are counted, row images are
//! captured for the journal. It must never let SQLITE_BUSY reach a client because of our
//! own connections. Start at [`Sqlite::open`].

use std::collections::{HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};

use crate::backend::Position;
use crate::error::{Error, Result, state};
use crate::schema::Catalog;
use crate::value::CellRef;

pub mod adopt;
pub mod catalog;
pub mod codes;
mod connection;
pub mod ddl;
pub mod draws;
mod durable;
pub mod errors;
pub mod events;
mod foreign;
mod found;
pub mod functions;
mod hooks;
pub mod inspect;
pub mod large;
mod lock;
mod maintain;
mod own;
pub mod plain;
mod pool;
mod queue;
mod raw;
mod recorder;
pub mod sequences;
mod stream;
pub mod system;
mod triggers;
pub mod violation;
mod visible;
mod writer;

pub use connection::{Connection, Interrupter, Ticker, owned};
pub use found::Found;
pub use own::{is_internal, is_like_ours, is_ours, taken};
pub use pool::Reader;
pub use raw::{Failure, Statement};
pub use recorder::{PART, Recorder, Recording};
pub use visible::{Visible, moment};
pub use writer::{Committed, Mark, Writer};

use connection::Purpose;
use durable::{Durable, Point};
use hooks::VirtualTables;
use lock::FileLock;
use pool::Pool;
use queue::Queue;

/// Connections that read, unless a number is named.
pub const READERS: usize = 8;
/// How long the last readers may keep the log from being copied back at a stop.
const LEAVE_PATIENCE: Duration = Duration::from_secs(1);
/// Catalogs kept for reading old records by their own shape.
const CATALOGS_MAX: usize = 256;

/// When a commit may be told to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Durability {
    /// Every COMMIT syncs.
    Full,
    /// One sync for all commits that wait at that moment.
    #[default]
    Group,
    /// Not synced before it is told; a power cut may lose the last moments, never the
    /// file's consistency.
    Normal,
}

/// How the SQLite file is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// The database file; created when absent.
    pub path: PathBuf,
    /// Pooled readers.
    pub readers: usize,
    /// Durability of commits.
    pub durability: Durability,
    /// Whether foreign keys are enforced.
    pub foreign_keys: bool,
    /// Page cache of each connection, in bytes.
    pub cache_bytes: u64,
    /// Memory-mapped part of the file, in bytes; 0 is off.
    pub mmap_bytes: u64,
    /// Temporary tables and sorts in memory.
    pub temp_store_memory: bool,
    /// How long a foreign program's lock is waited for.
    pub busy_timeout: Duration,
}

impl Options {
    /// The defaults for a file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            readers: READERS,
            durability: Durability::default(),
            foreign_keys: true,
            cache_bytes: 16 << 20,
            mmap_bytes: 0,
            temp_store_memory: true,
            busy_timeout: Duration::from_secs(5),
        }
    }
}

/// Registers functions, collations and virtual tables on each new connection.
pub type Install = dyn Fn(&rusqlite::Connection) -> Result<()> + Send + Sync;

/// Turns SQLite's failures into errors.
pub type MapError = dyn Fn(Failure) -> Error + Send + Sync;

/// What opening the file changed, to be said to the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The file did not exist.
    pub created: bool,
    /// WAL mode was switched on.
    pub switched_to_wal: bool,
}

/// A SQLite file that is being served. Cheap to clone.
#[derive(Clone)]
pub struct Sqlite(Arc<Core>);

pub(super) struct Core {
    options: Options,
    path: PathBuf,
    opened: Opened,
    found: Option<Found>,
    /// Nothing is written any more.
    left: AtomicBool,
    install: Arc<Install>,
    map: Arc<RwLock<Arc<MapError>>>,
    catalog: RwLock<Arc<Catalog>>,
    /// Catalogs by the position that made them: the applier reads old rows by old shapes.
    catalogs: Mutex<VecDeque<Reign>>,
    recorder: RwLock<Option<Arc<dyn Recorder>>>,
    /// None after DDL: looked up again by the next recorded transaction.
    virtual_tables: Mutex<Option<VirtualTables>>,
    queue: Arc<Queue>,
    pool: Arc<Pool>,
    /// The shared writer connection while nobody writes.
    writer: Mutex<Option<Connection>>,
    /// Kept open for ever, as the last close deletes the WAL; used for checkpoints.
    keeper: Mutex<Connection>,
    durable: Arc<Durable>,
    foreign: foreign::Foreign,
    /// Readers and turns of the writer asked for.
    asked: AtomicU64,
    /// WAL size from which a writer cuts it before it begins.
    wal_due: AtomicU64,
    /// Bytes of the WAL that were left to be copied back, and when.
    wal_left: Mutex<Option<(Instant, u64)>>,
    /// The WAL's file is longer than what is in it, and made shorter.
    wal_shrinks: AtomicBool,
    retired_writers: AtomicU64,
    stop: AtomicBool,
    threads: Mutex<Vec<JoinHandle<()>>>,
    lock: Arc<FileLock>,
}

/// What the catalog was, from a commit on.
struct Reign {
    from: Position,
    /// Behind each schema change of that commit: rows between two of them are of these shapes.
    steps: Vec<Arc<Catalog>>,
    catalog: Arc<Catalog>,
}

impl Sqlite {
    /// Opens the file for serving: takes the lock (55006 when another proxy has it),
    /// switches WAL mode on, syncs the WAL, starts syncer and upkeep.
    pub fn open(options: Options, install: Arc<Install>) -> Result<Self> {
        let path = resolved(&options.path)?;
        let lock = Arc::new(FileLock::take(&path)?);
        let found = Found::of(&path);
        let created = found.is_none();
        let switched_to_wal = enter_wal(&path, options.busy_timeout)?;
        let map: Arc<RwLock<Arc<MapError>>> = Arc::new(RwLock::new(Arc::new(codes::plain)));
        let keeper = connect(&path, &options, Purpose::Own, &install, &map, &lock)?;
        let writer = connect(&path, &options, Purpose::Writer, &install, &map, &lock)?;
        own::free(&writer)?;
        // Size the WAL is cut back to when it starts anew.
        let foreign = foreign::Foreign::new(&writer)?;
        let pool = {
            let (path, options, install) = (path.clone(), options.clone(), install.clone());
            let (map, lock) = (map.clone(), lock.clone());
            let size = options.readers;
            let open = move || connect(&path, &options, Purpose::Reader, &install, &map, &lock);
            Pool::new(size, Box::new(open))
        };
        let durable = Arc::new(Durable::new(&path, options.durability));
        // Whatever an earlier process committed without a sync becomes durable first.
        durable.sync_now();
        let core = Arc::new(Core {
            options,
            path,
            opened: Opened { created, switched_to_wal },
            found,
            left: AtomicBool::new(false),
            install,
            map,
            catalog: RwLock::default(),
            catalogs: Mutex::default(),
            recorder: RwLock::new(None),
            virtual_tables: Mutex::default(),
            queue: Arc::default(),
            pool,
            writer: Mutex::new(Some(writer)),
            keeper: Mutex::new(keeper),
            durable,
            foreign,
            asked: AtomicU64::new(0),
            wal_due: AtomicU64::new(maintain::WAL_FULL),
            wal_left: Mutex::new(None),
            wal_shrinks: AtomicBool::new(false),
            retired_writers: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            threads: Mutex::default(),
            lock,
        });
        let threads = vec![core.durable.start()?, maintain::start(&core)?];
        *core.threads.lock() = threads;
        Ok(Self(core))
    }

    /// What opening the file changed.
    pub fn opened(&self) -> Opened {
        self.0.opened
    }

    /// The file as it was before anything of this process touched it; None when it was made.
    pub fn found(&self) -> Option<Found> {
        self.0.found
    }

    /// Copies the log back and writes no more: every later turn is refused. The file as it is
    /// left, unless somebody who still reads keeps the log.
    pub async fn leave(&self) -> Result<Option<Found>> {
        let turn = self.turn(None).await?;
        self.0.look_for_foreign_writer()?;
        self.0.left.store(true, Ordering::Release);
        let cut = blocking(|| self.0.empty_wal(LEAVE_PATIENCE));
        drop(turn);
        cut?;
        Ok(Found::of(&self.0.path).filter(|found| found.wal_bytes == Some(0)))
    }

    /// How often a reader or the writer was asked for: it grows while clients are at work.
    pub fn asked(&self) -> u64 {
        self.0.asked.load(Ordering::Relaxed)
    }

    /// The file, without symbolic links.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// The options it was opened with.
    pub fn options(&self) -> &Options {
        &self.0.options
    }

    /// A warm reader. Waits while all are out; 57014 when the deadline passes.
    pub async fn reader(&self, deadline: Option<Instant>) -> Result<Reader> {
        self.0.asked.fetch_add(1, Ordering::Relaxed);
        self.0.pool.take(deadline).await
    }

    /// The writer, in a transaction of its own (BEGIN IMMEDIATE is done). Waits for the
    /// turn; 55P03 when the deadline passes.
    pub async fn writer(&self, deadline: Option<Instant>) -> Result<Writer> {
        self.0.asked.fetch_add(1, Ordering::Relaxed);
        let turn = self.turn(deadline).await?;
        self.0.keep_wal_small()?;
        let idle = self.0.writer.lock().take();
        let conn = match idle {
            Some(conn) => conn,
            None => self.0.reopen_writer()?,
        };
        Writer::begin(self.0.clone(), conn, true, turn, deadline).await
    }

    /// A writing transaction on a session's own connection (it holds a snapshot or
    /// temporary tables), in the same queue. A transaction already open there goes on;
    /// its first write gives 40001 when others have committed since.
    pub async fn writer_on(&self, conn: &Connection, deadline: Option<Instant>) -> Result<Writer> {
        let turn = self.turn(deadline).await?;
        self.0.look_for_foreign_writer()?;
        Writer::begin(self.0.clone(), conn.share(), false, turn, deadline).await
    }

    async fn turn(&self, deadline: Option<Instant>) -> Result<queue::Turn> {
        let turn = self.any_turn(deadline).await?;
        match self.0.left.load(Ordering::Acquire) {
            true => Err(Error::client(state::ADMIN_SHUTDOWN, "the proxy is stopping")),
            false => Ok(turn),
        }
    }

    async fn any_turn(&self, deadline: Option<Instant>) -> Result<queue::Turn> {
        if let Some(turn) = self.0.queue.try_acquire() {
            return Ok(turn);
        }
        let wait = self.0.queue.acquire();
        match deadline {
            None => wait.await,
            Some(at) => tokio::time::timeout_at(at.into(), wait).await.map_err(|_| {
                let message = "canceling statement due to lock timeout";
                Error::client(state::LOCK_NOT_AVAILABLE, message)
                    .detail("Another transaction is writing.")
                    .retryable()
            })?,
        }
    }

    /// A connection of the caller's own: for a snapshot or temporary tables.
    pub fn dedicated(&self) -> Result<Connection> {
        let core = &self.0;
        connect(&core.path, &core.options, Purpose::Own, &core.install, &core.map, &core.lock)
    }

    /// Position of the last commit.
    pub fn position(&self) -> Position {
        self.0.durable.committed().position
    }

    /// Position of the last commit that is on the disk. Only up to here may anything leave
    /// for the shadow.
    pub fn durable(&self) -> Position {
        self.0.durable.synced().position
    }

    /// Waits until a commit may be told to its client: on the disk in modes full and
    /// group, at once in mode normal.
    pub async fn wait_durable(&self, position: Position) -> Result<()> {
        self.0.durable.wait(Point { position, commit: 0 }).await
    }

    /// [`Sqlite::wait_durable`] for a commit that may have no position of its own.
    pub async fn wait_committed(&self, committed: Committed) -> Result<()> {
        self.0.durable.wait(committed.point).await
    }

    /// Waits until a position is on the disk, in every mode.
    pub async fn wait_synced(&self, position: Position) -> Result<()> {
        self.0.durable.wait_synced(Point { position, commit: 0 }).await
    }

    /// Calls back whenever the durable position rises: a receiver that has changed then.
    pub fn durable_changes(&self) -> DurableChanges {
        DurableChanges(self.0.durable.subscribe())
    }

    /// Syncs everything committed so far, on this thread, in every mode: for fence and
    /// promoted records. Use `blocking` around it in async code.
    pub fn sync(&self) -> Position {
        self.0.durable.sync_now().position
    }

    /// The current catalog.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.0.catalog.read().clone()
    }

    /// Publishes a new catalog, after the DDL that made it has committed.
    pub fn set_catalog(&self, catalog: Arc<Catalog>) {
        self.set_catalog_after(catalog, Vec::new(), self.position());
    }

    /// The same, from the commit with a position on, with the catalogs behind each schema change
    /// of the transaction, in order.
    pub fn set_catalog_after(
        &self,
        catalog: Arc<Catalog>,
        steps: Vec<Arc<Catalog>>,
        from: Position,
    ) {
        let mut history = self.0.catalogs.lock();
        if history.len() >= CATALOGS_MAX {
            history.pop_front();
        }
        history.push_back(Reign { from, steps, catalog: Arc::clone(&catalog) });
        *self.0.catalog.write() = catalog;
        blocking(|| self.0.own_schema());
    }

    /// The catalog as it was after a position committed; None when that is too long ago, or
    /// before this process started and the schema may have changed since.
    pub fn catalog_at(&self, position: Position) -> Option<Arc<Catalog>> {
        let history = self.0.catalogs.lock();
        let found = history.iter().rev().find(|reign| reign.from <= position);
        found.map(|reign| Arc::clone(&reign.catalog))
    }

    /// The catalog behind the n-th schema change (from 1) of the commit with a position.
    pub fn catalog_within(&self, position: Position, n: usize) -> Option<Arc<Catalog>> {
        let history = self.0.catalogs.lock();
        let reign = history.iter().rev().find(|reign| reign.from <= position)?;
        let step = (reign.from == position).then(|| reign.steps.get(n.checked_sub(1)?)).flatten();
        Some(Arc::clone(step.unwrap_or(&reign.catalog)))
    }

    /// Lets go of the catalogs within commits up to a position: the mirror has passed them.
    pub fn forget_steps(&self, position: Position) {
        let mut history = self.0.catalogs.lock();
        let passed = history.iter_mut().rev().skip_while(|reign| reign.from > position);
        passed.for_each(|reign| reign.steps = Vec::new());
    }

    /// Declares that the schema did not change between a position before this process started
    /// and its first catalog.
    pub fn first_catalog_holds_from(&self, position: Position) {
        if let Some(first) = self.0.catalogs.lock().front_mut() {
            first.from = first.from.min(position);
        }
    }

    /// Replaces the mapping of SQLite's failures, for all connections.
    pub fn set_error_map(&self, map: Arc<MapError>) {
        *self.0.map.write() = map;
    }

    /// Sets or removes the recorder. To be called in a writer's `commit_with`, or before
    /// anything writes.
    pub fn set_recorder(&self, recorder: Option<Arc<dyn Recorder>>) {
        *self.0.recorder.write() = recorder;
    }

    /// Whether transactions are recorded.
    pub fn has_recorder(&self) -> bool {
        self.0.recorder.read().is_some()
    }

    /// Sets the position at start, from the journal; before anything writes.
    pub fn set_position(&self, position: Position) {
        self.0.durable.reset(position);
    }

    /// Figures for the surfaces.
    pub fn figures(&self) -> Figures {
        let core = &self.0;
        Figures {
            readers: core.options.readers,
            readers_in_use: core.pool.in_use(core.options.readers.max(1)),
            retired: core.pool.retired() + core.retired_writers.load(Ordering::Relaxed),
            writers_waiting: core.queue.waiting(),
            wal_bytes: core.durable.wal_bytes(),
        }
    }
}

/// Figures of the back end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Readers allowed.
    pub readers: usize,
    /// Readers out now.
    pub readers_in_use: usize,
    /// Connections thrown away because a statement on a row was kept.
    pub retired: u64,
    /// Transactions waiting for the writer.
    pub writers_waiting: usize,
    /// Bytes of the WAL file.
    pub wal_bytes: u64,
}

/// Tells when the durable position has risen.
pub struct DurableChanges(tokio::sync::watch::Receiver<Point>);

impl DurableChanges {
    /// Waits for a rise since the last call; the durable position. None when the file is
    /// closed.
    pub async fn next(&mut self) -> Option<Position> {
        self.0.changed().await.ok()?;
        Some(self.0.borrow_and_update().position)
    }
}

impl Core {
    fn recorder(&self) -> Option<Arc<dyn Recorder>> {
        self.recorder.read().clone()
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Virtual and shadow tables, as a writing connection sees them.
    fn virtual_tables(&self, conn: &Connection) -> Result<VirtualTables> {
        let mut known = self.virtual_tables.lock();
        if let Some(known) = &*known {
            return Ok(known.clone());
        }
        let mut statement = conn.prepare(
            "SELECT name FROM pragma_table_list \
             WHERE schema IN ('public', 'main') AND type IN ('virtual', 'shadow')",
        )?;
        let mut names = HashSet::new();
        while statement.step()? {
            if let CellRef::Text(name) = statement.column(0) {
                names.insert(String::from_utf8_lossy(name).into_owned());
            }
        }
        Ok(known.insert(Arc::new(names)).clone())
    }

    fn forget_virtual_tables(&self) {
        *self.virtual_tables.lock() = None;
    }

    /// Puts the shared writer connection back; one that is not clean is replaced.
    fn give_back(&self, conn: Connection) {
        conn.end_lease();
        if conn.in_transaction() || conn.has_open_rows() {
            self.retired_writers.fetch_add(1, Ordering::Relaxed);
            return;
        }
        *self.writer.lock() = Some(conn);
    }

    fn reopen_writer(&self) -> Result<Connection> {
        let conn = connect(
            &self.path,
            &self.options,
            Purpose::Writer,
            &self.install,
            &self.map,
            &self.lock,
        )?;
        self.forget_virtual_tables();
        self.foreign.begin_anew(&conn)?;
        Ok(conn)
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.durable.stop();
        self.pool.close();
        let current = std::thread::current().id();
        for thread in self.threads.get_mut().drain(..) {
            thread.thread().unpark();
            // The upkeep thread itself may hold the last reference.
            if thread.thread().id() != current && thread.join().is_err() {
                tracing::error!("a thread of the SQLite back end has panicked");
            }
        }
    }
}

fn connect(
    path: &Path,
    options: &Options,
    purpose: Purpose,
    install: &Arc<Install>,
    map: &Arc<RwLock<Arc<MapError>>>,
    lock: &Arc<FileLock>,
) -> Result<Connection> {
    let map = map.clone();
    let mapped: Arc<MapError> = Arc::new(move |failure| {
        let map = map.read().clone();
        map(failure)
    });
    Connection::open(path, options, purpose, install.as_ref(), mapped, Some(lock.clone()))
}

/// The path without symbolic links, so that the lock is the same under every name.
fn resolved(path: &Path) -> Result<PathBuf> {
    let unreachable = |e: std::io::Error| {
        Error::primary(state::IO_ERROR, "could not reach the folder of the SQLite file")
            .detail(format!("{e}."))
    };
    if path.exists() {
        return path.canonicalize().map_err(unreachable);
    }
    let name = path.file_name().ok_or_else(|| {
        Error::client(state::CONFIG_FILE_ERROR, "the SQLite path does not name a file")
    })?;
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new(".")).canonicalize().map_err(unreachable)?;
    Ok(parent.join(name))
}

/// Switches WAL mode on; whether that changed the file. 55006 when others keep the file
/// from it for the whole busy timeout.
fn enter_wal(path: &Path, busy_timeout: Duration) -> Result<bool> {
    let conn = rusqlite::Connection::open(path).map_err(codes::opening)?;
    conn.busy_timeout(busy_timeout).map_err(codes::opening)?;
    let held = |error: Error| {
        if error.sqlstate() == state::LOCK_NOT_AVAILABLE {
            Error::primary(state::OBJECT_IN_USE, "another program holds the SQLite file")
                .detail("WAL mode could not be switched on while it is open elsewhere.")
                .hint("Close the other programs, or raise busy_timeout_ms.")
        } else {
            error
        }
    };
    let text = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, String>(0));
    let before = text("PRAGMA journal_mode").map_err(|e| held(codes::opening(e)))?;
    if before.eq_ignore_ascii_case("wal") {
        return Ok(false);
    }
    let until = Instant::now() + busy_timeout;
    loop {
        match text("PRAGMA journal_mode = WAL").map_err(codes::opening) {
            Ok(mode) if mode.eq_ignore_ascii_case("wal") => return Ok(true),
            Ok(mode) => {
                return Err(Error::primary(
                    state::OBJECT_NOT_IN_PREREQUISITE_STATE,
                    format!("the SQLite file stays in journal mode {mode}"),
                ));
            }
            // SQLite does not call the busy handler for this lock.
            Err(e) if e.sqlstate() == state::LOCK_NOT_AVAILABLE && Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(50));
            }
            Err(e) => return Err(held(e)),
        }
    }
}

/// SQLite's version.
pub fn version() -> &'static str {
    rusqlite::version()
}

/// Runs something that may block: in place when the runtime can move other tasks away.
pub fn blocking<R>(f: impl FnOnce() -> R) -> R {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current() {
        Ok(handle) if handle.runtime_flavor() == RuntimeFlavor::MultiThread => {
            tokio::task::block_in_place(f)
        }
        _ => f(),
    }
}

#[cfg(test)]
pub(crate) mod tests;
