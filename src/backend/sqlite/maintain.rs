//! Upkeep of the SQLite file: checkpoints and the look-out for foreign writers.
//!
//! Owns the maintenance thread and the WAL's size. Copying the WAL back goes on beside writers
//! and readers; starting it anew needs the writer's turn, and that every reader has left it: a
//! reader that comes while the turn is held and the copy is complete reads the database alone,
//! so it takes as long as the longest read under way. The thread does this from [`WAL_CUT`] on;
//! from [`WAL_FULL`] on the next writer does it before it begins, as a thread that gets no
//! processor must not let the WAL grow. Only a snapshot that stays open can (a copy's, a verify's, a
//! long report's): much of the WAL is then left to be copied, nobody waits for it, and writers go on
//! and look again every [`WAL_STEP`]. When the snapshot has gone the thread copies first, so that no
//! writer does. It must never hold the writer's turn for long. Start at [`run`] and
//! [`Core::keep_wal_small`].

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
    let mut ticks = 0u32;
    loop {
        std::thread::park_timeout(TICK);
        let Some(core) = core.upgrade() else { return };
        if core.stopping() {
            return;
        }
        ticks = ticks.wrapping_add(1);
        if let Err(error) = tick(&core, ticks.is_multiple_of(FOREIGN_TICKS)) {
            tracing::warn!(%error, "upkeep of the SQLite file failed; it is tried again");
        }
    }
}

fn tick(core: &Arc<Core>, insist: bool) -> Result<()> {
    let bytes = core.durable.wal_bytes();
    if bytes >= WAL_PASSIVE {
        core.copy_wal_back()?;
    }
    let due = core.wal_due.load(Ordering::Relaxed);
    // After a snapshot stood in the way: at the next step, or looked for without waiting.
    let ready = core.wal_can_be_cut();
    let cut = ready && bytes >= if due == WAL_FULL { WAL_CUT } else { due };
    let look = ready && insist && bytes >= WAL_CUT;
    let turn = match core.queue.try_acquire() {
        Some(turn) => turn,
        None if insist || cut => block_on(core.queue.acquire())?,
        None => return Ok(()),
    };
    core.look_for_foreign_writer()?;
    if cut || look {
        core.cut_wal(if cut { PATIENCE } else { Duration::ZERO })?;
    }
    drop(turn);
    Ok(())
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
        blocking(|| self.cut_wal(PATIENCE))
    }

    /// Copies the WAL back as far as readers allow, and notes how much is left.
    fn copy_wal_back(&self) -> Result<()> {
        let keeper = self.keeper.lock();
        let page = keeper.query_integer("PRAGMA page_size", &[])?.unwrap_or_default();
        let page = u64::try_from(page).unwrap_or_default();
        let mut statement = keeper.prepare("PRAGMA wal_checkpoint(PASSIVE)")?;
        if !statement.step()? {
            return Ok(());
        }
        if let (CellRef::Integer(frames), CellRef::Integer(copied)) =
            (statement.column(1), statement.column(2))
        {
            let left = u64::try_from(frames.saturating_sub(copied)).unwrap_or_default();
            *self.wal_left.lock() = Some((Instant::now(), left.saturating_mul(page)));
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
    /// like a foreign write.
    pub(super) fn cut_wal(&self, patience: Duration) -> Result<()> {
        let slot = self.writer.lock();
        let Some(conn) = &*slot else { return Ok(()) };
        let until = Instant::now() + patience;
        loop {
            let mut statement = conn.prepare("PRAGMA wal_checkpoint(TRUNCATE)")?;
            if is_done(&mut statement)? {
                self.wal_due.store(WAL_FULL, Ordering::Relaxed);
                return Ok(());
            }
            drop(statement);
            if Instant::now() >= until {
                let bytes = self.durable.wal_bytes();
                if patience.is_zero() {
                    return Ok(());
                }
                self.wal_due.store(bytes.max(WAL_FULL) + WAL_STEP, Ordering::Relaxed);
                tracing::warn!(bytes, "a snapshot that stays open keeps the WAL from being cut");
                return Ok(());
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
