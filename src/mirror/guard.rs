//! What happens when the journal is full, at any time: writers wait, then mirroring ends.
//!
//! Owns the wait's limit. `degrade` lets writers wait only for a shadow that is following at this
//! moment, and briefly; `backpressure` as long as the operator said. Then SQLite goes on without
//! a shadow, the phase returns to copying, and PostgreSQL is copied anew. Start at [`run`].

use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::{Shared, State, Task, WhenFull};

/// How long writers wait under `degrade` for a shadow that may still take the journal.
const GRACE: Duration = Duration::from_secs(1);
/// Pause before the journal is ended once more, after a failure of SQLite.
const AGAIN: Duration = Duration::from_secs(1);

/// Runs as long as the mirror and its journal are there.
pub(super) async fn run(shared: Weak<Shared>, task: Weak<Task>, mut full: watch::Receiver<bool>) {
    while full.wait_for(|full| *full).await.is_ok() {
        let since = Instant::now();
        let Some(limit) = shared.upgrade().map(|s| told(&s)) else { return };
        let room = full.wait_for(|full| !full);
        let freed = match limit {
            None => room.await.map(drop).is_ok(),
            Some(limit) => tokio::time::timeout(limit, room).await.is_ok_and(|r| r.is_ok()),
        };
        let (Some(shared), Some(task)) = (shared.upgrade(), task.upgrade()) else { return };
        if freed {
            let ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
            tracing::info!(waited_ms = ms, "the journal has room again: writers go on");
        } else if !end(&shared, &task).await {
            tokio::time::sleep(AGAIN).await;
        }
    }
}

/// Says that the journal is full; how long writers wait now. None: as long as it takes.
fn told(shared: &Shared) -> Option<Duration> {
    let room = shared.journal.room();
    tracing::warn!(
        bytes = room.bytes(),
        max = room.max(),
        "the journal is full: transactions that want to write wait for PostgreSQL"
    );
    match shared.settings.when_full {
        // At start nobody knows yet whether PostgreSQL takes it.
        WhenFull::Degrade if matches!(*shared.state.borrow(), State::Running | State::Stopped) => {
            Some(GRACE)
        }
        WhenFull::Degrade => Some(Duration::ZERO),
        WhenFull::Backpressure(limit) => limit,
    }
}

/// Ends the lineage: SQLite goes on without a shadow. False when SQLite refused.
async fn end(shared: &Shared, task: &Task) -> bool {
    let _history = shared.history.lock().await;
    if !shared.journal.room().is_full() {
        return true;
    }
    let running = {
        let mut task = task.lock();
        // Whoever looks at both sides meanwhile would start another, which would say otherwise.
        shared.ending.store(true, Ordering::Relaxed);
        task.take()
    };
    if let Some((stop, handle)) = running {
        stop.cancel();
        // A panic of the task is logged by the runtime; stopped is stopped.
        let _ = handle.await;
    }
    let ended = detach(shared).await;
    shared.ending.store(false, Ordering::Relaxed);
    ended
}

async fn detach(shared: &Shared) -> bool {
    let room = shared.journal.room();
    let reason = format!(
        "the journal reached {} bytes of {} and PostgreSQL did not take it in time",
        room.bytes(),
        room.max()
    );
    if let Err(error) = shared.journal.detach().await {
        tracing::error!(%error, "the journal is full and cannot be ended; trying again");
        return false;
    }
    shared.live.applied_known.store(false, Ordering::Release);
    tracing::error!(reason, "mirroring stopped");
    shared.state.send_replace(State::CopyAnew(reason));
    true
}
