//! Which commits are on the disk.
//!
//! Owns the durable watermark and the syncer: one thread that syncs the WAL for every
//! commit waiting at that moment (group commit). A failed sync is fatal: what the disk
//! holds is unknown then, and a second try may report success for lost pages, so the
//! process ends. It must never open the main database file (closing it would drop
//! SQLite's locks). Start at [`Durable::wait`].

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use super::Durability;
use super::lock::beside;
use crate::backend::Position;
use crate::error::{Error, Result, state};
use crate::failpoint;

/// Commits nobody waits for are synced after this long, so that the watermark moves.
const IDLE_SYNC: Duration = Duration::from_millis(50);

/// How long the writer may take between SQLite's COMMIT and counting it.
const COUNTED_MAX: Duration = Duration::from_secs(5);

/// A point in the history of commits. `commit` counts them all; `position` only those
/// that have a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) position: Position,
    pub(super) commit: u64,
}

/// The watermark and what moves it.
pub(super) struct Durable {
    mode: Durability,
    wal: WalFile,
    state: Mutex<State>,
    wake: Condvar,
    synced: watch::Sender<Point>,
}

#[derive(Default)]
struct State {
    /// The last commit.
    committed: Point,
    /// The highest commit somebody waits for.
    wanted: u64,
    stop: bool,
}

impl Durable {
    pub(super) fn new(database: &Path, mode: Durability) -> Self {
        Self {
            mode,
            wal: WalFile { path: beside(database, "-wal"), file: Mutex::new(None) },
            state: Mutex::default(),
            wake: Condvar::new(),
            synced: watch::Sender::new(Point::default()),
        }
    }

    /// Starts the syncer.
    pub(super) fn start(self: &Arc<Self>) -> Result<JoinHandle<()>> {
        let durable = self.clone();
        let thread = std::thread::Builder::new().name("sqlite-sync".into());
        thread.spawn(move || durable.run()).map_err(|e| {
            Error::internal("could not start the syncer thread").detail(format!("{e}."))
        })
    }

    /// Asks the syncer to end after a last sync.
    pub(super) fn stop(&self) {
        self.state.lock().stop = true;
        self.wake.notify_all();
    }

    /// The last commit.
    pub(super) fn committed(&self) -> Point {
        self.state.lock().committed
    }

    /// The last commit known to be on the disk.
    pub(super) fn synced(&self) -> Point {
        *self.synced.borrow()
    }

    /// Changes of the watermark.
    pub(super) fn subscribe(&self) -> watch::Receiver<Point> {
        self.synced.subscribe()
    }

    /// Sets where history stands when the file is opened; everything so far is synced.
    pub(super) fn reset(&self, position: Position) {
        let mut state = self.state.lock();
        state.committed.position = position;
        let point = state.committed;
        drop(state);
        self.synced.send_replace(point);
    }

    /// The point that the next [`Durable::commit`] makes. Called in the writer's turn.
    pub(super) fn next(&self, position: Position) -> Point {
        Point { position, commit: self.state.lock().committed.commit + 1 }
    }

    /// Counts a commit that SQLite has made. Called in the writer's turn.
    pub(super) fn commit(&self, position: Position) {
        let point = {
            let mut state = self.state.lock();
            state.committed.position = position;
            state.committed.commit += 1;
            if self.mode == Durability::Group {
                // The sync starts before the session asks for it.
                state.wanted = state.committed.commit;
            }
            state.committed
        };
        match self.mode {
            // SQLite synced the WAL inside COMMIT.
            Durability::Full => self.publish(point),
            Durability::Group | Durability::Normal => {
                self.wake.notify_one();
            }
        }
    }

    /// Waits until what a client is told may be told: as the durability mode says.
    pub(super) async fn wait(&self, point: Point) -> Result<()> {
        match self.mode {
            Durability::Full | Durability::Normal => Ok(()),
            Durability::Group => self.wait_synced(point).await,
        }
    }

    /// Waits until a commit is on the disk, in every mode.
    pub(super) async fn wait_synced(&self, point: Point) -> Result<()> {
        let reached = |now: &Point| now.commit >= point.commit && now.position >= point.position;
        if reached(&self.synced.borrow()) {
            return Ok(());
        }
        let mut changes = self.synced.subscribe();
        self.counted(point).await?;
        {
            let mut state = self.state.lock();
            // By position alone the exact commit is not known: all so far will do.
            let commit = if point.commit == 0 { state.committed.commit } else { point.commit };
            state.wanted = state.wanted.max(commit);
        }
        self.wake.notify_one();
        changes
            .wait_for(reached)
            .await
            .map(|_| ())
            .map_err(|_| Error::primary(state::ADMIN_SHUTDOWN, "the SQLite file is being closed"))
    }

    /// Waits until the writer has counted a commit: a reader's snapshot sees it a moment earlier.
    async fn counted(&self, point: Point) -> Result<()> {
        let begun = tokio::time::Instant::now();
        loop {
            let now = self.committed();
            if now.commit >= point.commit && now.position >= point.position {
                return Ok(());
            }
            if begun.elapsed() > COUNTED_MAX {
                return Err(Error::internal("waiting for a commit that was not made"));
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Syncs now, on the caller's thread; everything committed before is durable after.
    pub(super) fn sync_now(&self) -> Point {
        let target = self.committed();
        failpoint!("durable.before_sync");
        if let Err(error) = self.wal.sync() {
            fatal("the WAL of the SQLite file could not be synced", &error);
        }
        failpoint!("durable.after_sync");
        self.publish(target);
        target
    }

    /// Bytes of the WAL file.
    pub(super) fn wal_bytes(&self) -> u64 {
        std::fs::metadata(&self.wal.path).map_or(0, |m| m.len())
    }

    /// Gives back the end of the WAL file, from `bytes` on. In the writer's turn, and behind the last
    /// frame: what is cut must be of a WAL that was begun anew.
    pub(super) fn shorten_wal(&self, bytes: u64) -> io::Result<()> {
        File::options().write(true).open(&self.wal.path)?.set_len(bytes)
    }

    fn publish(&self, point: Point) {
        self.synced.send_if_modified(|now| {
            // Two syncs may overlap; the watermark only rises.
            let rises = point.commit > now.commit || point.position > now.position;
            if rises {
                now.commit = now.commit.max(point.commit);
                now.position = now.position.max(point.position);
            }
            rises
        });
    }

    fn run(&self) {
        loop {
            let stop = {
                let mut state = self.state.lock();
                let synced = self.synced().commit;
                if !state.stop && state.committed.commit <= synced {
                    self.wake.wait(&mut state);
                    continue;
                }
                if !state.stop && state.wanted <= synced {
                    self.wake.wait_for(&mut state, IDLE_SYNC);
                }
                state.stop
            };
            if self.committed().commit > self.synced().commit {
                self.sync_now();
            }
            if stop {
                return;
            }
        }
    }
}

/// The WAL, opened a second time only to sync it.
struct WalFile {
    path: PathBuf,
    file: Mutex<Option<(File, u64, u64)>>,
}

impl WalFile {
    fn sync(&self) -> io::Result<()> {
        let meta = match std::fs::metadata(&self.path) {
            Ok(meta) => meta,
            // No WAL: everything was checkpointed, and synced by that.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(e),
        };
        let mut held = self.file.lock();
        let same =
            matches!(&*held, Some((_, dev, ino)) if *dev == meta.dev() && *ino == meta.ino());
        if !same {
            let file = File::open(&self.path)?;
            let meta = file.metadata()?;
            // A new file's name must be durable too.
            if let Some(dir) = self.path.parent() {
                let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
                File::open(dir)?.sync_all()?;
            }
            *held = Some((file, meta.dev(), meta.ino()));
        }
        match &*held {
            Some((file, _, _)) => file.sync_data(),
            None => Ok(()),
        }
    }
}

/// Ends the process after a failed sync.
pub(super) fn fatal(what: &str, error: &dyn std::fmt::Display) -> ! {
    tracing::error!(%error, "{what}; the process ends, since what the disk holds is unknown");
    std::process::abort();
}
