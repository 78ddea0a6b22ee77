//! Upkeep of the SQLite file: checkpoints and the look-out for foreign writers.
//!
//! Owns the maintenance thread. Sessions never checkpoint: it would cost one of them the
//! sync of the whole file. It must never hold the writer's turn for long. Start at
//! [`run`].

use std::pin::pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

use super::Core;
use crate::error::{Error, Result};

/// Time between two looks.
const TICK: Duration = Duration::from_millis(200);
/// Ticks between two looks for a foreign writer while the queue is busy.
const FOREIGN_TICKS: u32 = 10;
/// WAL size from which it is copied back into the database.
const WAL_PASSIVE: u64 = 4 << 20;
/// WAL size from which writers wait for the copy to be complete, so that it can start anew.
const WAL_RESTART: u64 = 32 << 20;

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
        core.checkpoint_passive()?;
    }
    let restart = bytes >= WAL_RESTART;
    let turn = match core.queue.try_acquire() {
        Some(turn) => turn,
        None if insist || restart => block_on(core.queue.acquire())?,
        None => return Ok(()),
    };
    core.look_for_foreign_writer()?;
    if restart {
        core.checkpoint_restart()?;
    }
    drop(turn);
    Ok(())
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
