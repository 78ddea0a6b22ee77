//! Upkeep of the SQLite file: checkpoints, and regular looks for foreign writers.
//!
//! Owns the maintenance thread and the WAL's size. Copying the WAL back goes on beside writers
//! and readers; starting it anew needs the writer's turn, and that every reader has left it: a
//! reader that comes while the turn is held and the copy is complete reads the database alone,
//! so it takes as long as the longest read under way. The thread does this from [`WAL_CUT`] on;
//! from [`WAL_FULL`] on the next writer does it before it begins, as a thread that gets no
//! processor must not let the WAL grow. Only a snapshot that stays open can (a copy's, a verify's, a
//! long report's): much of the WAL is then left to be copied, nobody waits for it, and writers go on
//! and look again every [`WAL_STEP`]. When the snapshot has gone the thread copies first, so that no
//! writer does. A WAL that has grown large meanwhile is begun anew in its file, which is given back
//! step by step: to free gigabytes takes seconds. When nobody has written for [`IDLE_FROM`] the WAL is
//! given back whatever its size, and looked at once a second. It must never hold the writer's turn for
//! long. Start at [`run`] and [`Core::keep_wal_small`].

use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

use super::{Core, Statement, blocking};
use crate::error::{Error, Result};
use crate::value::CellRef;

/// Time between two looks.
const TICK: Duration = Duration::from_millis(200);
/// How long nobody has written when the WAL is given back whatever its size, and the time between
/// two looks from then on.
const IDLE_FROM: Duration = Duration::from_secs(2);
const IDLE_TICK: Duration = Duration::from_secs(1);
/// Ticks between two looks for a foreign writer while the queue is busy.
const FOREIGN_TICKS: u32 = 10;
/// WAL size from which it is copied back into the database.
const WAL_PASSIVE: u64 = 4 << 20;
/// WAL size from which the thread takes the writer's turn and cuts it.
const WAL_CUT: u64 = 32 << 20;
/// WAL size from which the next writer cuts it.
pub(super) const WAL_FULL: u64 = 64 << 20;
/// Growth after which it is tried again when a snapshot stood in the way.
const WAL_STEP: u64 = 16 << 20;
/// WAL size from which its file is given back in steps, and such a step.
const WAL_LARGE: u64 = WAL_FULL + WAL_STEP;
const WAL_SHORTER: u64 = 16 << 20;
/// The header of a WAL file, and of each frame in it.
const WAL_HEADER: u64 = 32;
const FRAME_HEADER: u64 = 24;
/// How often the WAL is copied at once before it is cut: the last time little is left.
const COPIES: u32 = 4;
/// How old a look at what is left to be copied may be.
const LEFT_AGE: Duration = Duration::from_secs(5);
/// How long readers may keep a writer that cuts the WAL.
const PATIENCE: Duration = Duration::from_millis(100);
/// Pause between two looks whether they have left.
const LOOK: Duration = Duration::from_millis(1);

/// Starts the thread; it ends with the core.
pub(super) fn start(core: &Arc<Core>) -> Result<JoinHandle<()>> {
    let core = Arc::downgrade(core);
    std::thread::Builder::new()
        .name("sqlite-upkeep".into())
        .spawn(move || run(&core))
        .map_err(|e| Error::internal("could not start the upkeep thread").detail(format!("{e}.")))
}

fn run(core: &Weak<Core>) {
    let (mut ticks, mut pause) = (0u32, TICK);
    let mut idle = Idle::default();
    loop {
        std::thread::park_timeout(pause);
        let Some(core) = core.upgrade() else { return };
        if core.stopping() {
            return;
        }
        ticks = ticks.wrapping_add(1);
        let is_idle = idle.look(&core);
        if let Err(error) = tick(&core, ticks.is_multiple_of(FOREIGN_TICKS), is_idle) {
            tracing::warn!(%error, "upkeep of the SQLite file failed; it is tried again");
        }
        let shrinks = core.wal_shrinks.load(Ordering::Relaxed);
        pause = if is_idle && !shrinks { IDLE_TICK } else { TICK };
    }
}

/// Since when nobody has written.
#[derive(Default)]
struct Idle {
    /// Commits, and the WAL's bytes.
    seen: (u64, u64),
    since: Option<Instant>,
}

impl Idle {
    /// Whether nobody has written for some time.
    fn look(&mut self, core: &Core) -> bool {
        let now = (core.durable.committed().commit, core.durable.wal_bytes());
        if now != self.seen || self.since.is_none() {
            *self = Self { seen: now, since: Some(Instant::now()) };
        }
        self.since.is_some_and(|since| since.elapsed() >= IDLE_FROM)
    }
}

fn tick(core: &Arc<Core>, insist: bool, idle: bool) -> Result<()> {
    let bytes = core.durable.wal_bytes();
    if bytes >= WAL_CUT {
        core.copy_wal_nearly()?;
    } else if bytes >= WAL_PASSIVE {
        core.copy_wal_back()?;
    }
    let due = core.wal_due.load(Ordering::Relaxed);
    // After a snapshot stood in the way: at the next step, or looked for without waiting.
    let ready = core.wal_can_be_cut();
    let cut = ready && bytes >= if due == WAL_FULL { WAL_CUT } else { due };
    let look = ready && ((insist && bytes >= WAL_CUT) || (idle && bytes >= WAL_PASSIVE));
    let turn = match core.queue.try_acquire() {
        Some(turn) => turn,
        None if insist || cut => block_on(core.queue.acquire())?,
        None => return Ok(()),
    };
    core.look_for_foreign_writer()?;
    if core.wal_shrinks.load(Ordering::Relaxed) {
        core.shrink_wal(bytes, idle)?;
    } else if cut || look {
        core.cut_wal(if cut { PATIENCE } else { Duration::ZERO })?;
    }
    drop(turn);
    Ok(())
}

/// Bytes in the WAL: the file may be longer.
#[derive(Clone, Copy)]
struct InWal {
    all: u64,
    /// Not copied back yet.
    left: u64,
}

impl Core {
    /// Cuts the WAL when it is full. In the writer's turn, before a transaction begins.
    pub(super) fn keep_wal_small(&self) -> Result<()> {
        let bytes = self.durable.wal_bytes();
        if bytes < self.wal_due.load(Ordering::Relaxed) {
            return Ok(());
        }
        if !self.wal_can_be_cut() {
            self.wal_due.store(bytes + WAL_STEP, Ordering::Relaxed);
            return Ok(());
        }
        blocking(|| self.cut_wal(PATIENCE)).map(drop)
    }

    /// Copies the WAL back as far as readers allow, and notes how much is left. None while another
    /// program does.
    fn copy_wal_back(&self) -> Result<Option<InWal>> {
        let keeper = self.keeper.lock();
        let page = keeper.query_integer("PRAGMA page_size", &[])?.unwrap_or_default();
        let frame = u64::try_from(page).unwrap_or_default() + FRAME_HEADER;
        let mut statement = keeper.prepare("PRAGMA wal_checkpoint(PASSIVE)")?;
        if !statement.step()? {
            return Ok(None);
        }
        let (CellRef::Integer(frames), CellRef::Integer(copied)) =
            (statement.column(1), statement.column(2))
        else {
            return Ok(None);
        };
        // Minus one each where nothing is known.
        let (Ok(frames), Ok(copied)) = (u64::try_from(frames), u64::try_from(copied)) else {
            return Ok(None);
        };
        let left = frames.saturating_sub(copied).saturating_mul(frame);
        *self.wal_left.lock() = Some((Instant::now(), left));
        Ok(Some(InWal { all: frames.saturating_mul(frame).saturating_add(WAL_HEADER), left }))
    }

    /// Copies it, and again what was written meanwhile: what is left is copied in a writer's turn.
    fn copy_wal_nearly(&self) -> Result<()> {
        let mut before = u64::MAX;
        for _ in 0..COPIES {
            let Some(InWal { left, .. }) = self.copy_wal_back()? else { break };
            if left < WAL_PASSIVE || left >= before {
                break;
            }
            before = left;
        }
        Ok(())
    }

    /// Gives back some of the file of a WAL that was begun anew. In the writer's turn.
    fn shrink_wal(&self, file: u64, idle: bool) -> Result<()> {
        let much = self.copy_wal_back()?.is_some_and(|wal| wal.all >= WAL_CUT);
        if much && self.wal_can_be_cut() {
            // The next write begins it anew: where none comes it is ours.
            return match self.cut_wal(Duration::ZERO)? && idle {
                true => self.begin_wal_anew(),
                false => Ok(()),
            };
        }
        let slot = self.writer.lock();
        let Some(conn) = &*slot else { return Ok(()) };
        // With SQLite's own lock no other program writes frames either; while one does, not now.
        if conn.execute("BEGIN IMMEDIATE", &[]).is_err() {
            return Ok(());
        }
        let shorter = self.shorten_wal(file);
        conn.execute("ROLLBACK", &[])?;
        shorter
    }

    /// A commit that changes nothing. On the writer's own connection, in its turn: by another it would
    /// look like a foreign write.
    fn begin_wal_anew(&self) -> Result<()> {
        let slot = self.writer.lock();
        let Some(conn) = &*slot else { return Ok(()) };
        let id = conn.query_integer("PRAGMA application_id", &[])?.unwrap_or_default();
        // While another program writes, it begins the WAL itself.
        let _ = conn.execute(&format!("PRAGMA application_id = {id}"), &[]);
        Ok(())
    }

    /// Cuts a step off the end of the WAL's file, if the WAL does not reach there. While nobody can
    /// write to it.
    fn shorten_wal(&self, file: u64) -> Result<()> {
        let Some(used) = self.copy_wal_back()? else { return Ok(()) };
        let bytes = file.saturating_sub(WAL_SHORTER).max(used.all);
        if bytes < file {
            self.durable.shorten_wal(bytes).map_err(|e| {
                Error::internal("could not shorten the WAL file").detail(format!("{e}."))
            })?;
        }
        if bytes < WAL_CUT {
            self.wal_shrinks.store(false, Ordering::Relaxed);
            self.wal_due.store(WAL_FULL, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Whether little is left to be copied: a snapshot that stays open would be waited for in vain,
    /// and what it kept back is copied by the thread, not in a writer's turn.
    fn wal_can_be_cut(&self) -> bool {
        let seen = *self.wal_left.lock();
        !seen.is_some_and(|(at, left)| left > WAL_CUT && at.elapsed() < LEFT_AGE)
    }

    /// Completes the copy of the WAL and cuts it, so that the next write starts it anew. In the
    /// writer's turn, on the writer's own connection: the same by another connection would look
    /// like a foreign write. The file of a large one stays, and is made shorter from then on. False
    /// where a reader was in the way.
    fn cut_wal(&self, patience: Duration) -> Result<bool> {
        let bytes = self.durable.wal_bytes();
        let large = bytes >= WAL_LARGE || self.wal_shrinks.load(Ordering::Relaxed);
        let how = if large { "RESTART" } else { "TRUNCATE" };
        let done = self.checkpoint(how, patience)?;
        if done {
            self.wal_shrinks.store(large, Ordering::Relaxed);
            let due = if large { bytes + WAL_STEP } else { WAL_FULL };
            self.wal_due.store(due, Ordering::Relaxed);
        } else if !patience.is_zero() {
            self.wal_due.store(bytes.max(WAL_FULL) + WAL_STEP, Ordering::Relaxed);
            tracing::warn!(bytes, "a snapshot that stays open keeps the WAL from being cut");
        }
        Ok(done)
    }

    /// Cuts the WAL to nothing, whatever its size. In the writer's turn.
    pub(super) fn empty_wal(&self, patience: Duration) -> Result<()> {
        self.checkpoint("TRUNCATE", patience).map(|_| ())
    }

    /// Whether a checkpoint was complete before patience ended.
    fn checkpoint(&self, how: &str, patience: Duration) -> Result<bool> {
        let slot = self.writer.lock();
        let Some(conn) = &*slot else { return Ok(true) };
        let until = Instant::now() + patience;
        loop {
            let mut statement = conn.prepare(&format!("PRAGMA wal_checkpoint({how})"))?;
            if is_done(&mut statement)? {
                return Ok(true);
            }
            drop(statement);
            if Instant::now() >= until {
                return Ok(false);
            }
            std::thread::sleep(LOOK);
        }
    }
}

/// Whether a checkpoint was complete: its first column says that somebody was in the way.
fn is_done(statement: &mut Statement) -> Result<bool> {
    let done = statement.step()? && statement.column(0) == CellRef::Integer(0);
    statement.reset();
    Ok(done)
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future on this thread.
pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}
