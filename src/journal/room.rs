//! How large the journal is, and whether it may grow.
//!
//! Owns the bound (`[mirror] journal_bytes_max`). A transaction that has begun is never held or
//! failed by it: the next one waits. So the journal is never larger than the bound and the one
//! transaction that passed it. What follows when the wait takes too long is the mirror's
//! business; nobody waits in phase direct. Start at [`Room::wait`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

/// The journal's room. Cheap to clone; without a bound until [`Room::limit`].
#[derive(Clone, Debug)]
pub struct Room(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bytes: AtomicU64,
    max: AtomicU64,
    full: watch::Sender<bool>,
}

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Inner {
            bytes: AtomicU64::new(0),
            max: AtomicU64::new(u64::MAX),
            full: watch::Sender::new(false),
        }))
    }
}

impl Room {
    /// Bytes of all records.
    pub fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Acquire)
    }

    /// The bound.
    pub fn max(&self) -> u64 {
        self.0.max.load(Ordering::Acquire)
    }

    /// Sets the bound.
    pub fn limit(&self, max: u64) {
        self.0.max.store(max, Ordering::Release);
        self.settle(true);
    }

    /// Whether writers wait.
    pub fn is_full(&self) -> bool {
        *self.0.full.borrow()
    }

    /// Whether trimming must not wait for its usual pace any more.
    pub fn is_pressed(&self) -> bool {
        self.bytes() > self.max() / 2
    }

    /// Waits while the journal is full: for the applier, or for the end of mirroring.
    pub async fn wait(&self) {
        if self.is_full() {
            // An error means that the journal is gone, and its bound with it.
            let _ = self.0.full.subscribe().wait_for(|full| !full).await;
        }
    }

    /// Tells when it becomes full, and when no more.
    pub fn changes(&self) -> watch::Receiver<bool> {
        self.0.full.subscribe()
    }

    /// A record was committed. One that PostgreSQL made holds nobody: while it is primary the
    /// journal is only the chain of what SQLite has followed.
    pub(super) fn grown(&self, bytes: u64, by_client: bool) {
        let now = self.0.bytes.fetch_add(bytes, Ordering::AcqRel) + bytes;
        if by_client && now > self.max() {
            self.settle(true);
        }
    }

    /// Records were dropped.
    pub(super) fn shrunk(&self, bytes: u64) {
        let less = |b: u64| Some(b.saturating_sub(bytes));
        let _ = self.0.bytes.fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
        self.settle(false);
    }

    /// The journal was read, begun or ended.
    pub(super) fn reset(&self, bytes: u64) {
        self.0.bytes.store(bytes, Ordering::Release);
        self.settle(false);
    }

    /// Compares size and bound anew, under the lock: of two that change the size the later one
    /// sees both changes.
    fn settle(&self, may_fill: bool) {
        self.0.full.send_if_modified(|full| {
            let (bytes, max) = (self.bytes(), self.max());
            let before = *full;
            if bytes > max {
                *full |= may_fill;
            } else if bytes <= max - max / 8 {
                // Not at the first byte of room: writers would go on one by one.
                *full = false;
            }
            before != *full
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn writers_wait_from_the_bound_until_there_is_room_again() {
        let room = Room::default();
        room.grown(1000, true);
        assert!(!room.is_full() && !room.is_pressed());
        room.limit(800);
        assert!(room.is_full() && room.is_pressed());
        room.shrunk(250);
        // Just below the bound is not enough.
        assert!(room.is_full());
        let waiting = tokio::spawn({
            let room = room.clone();
            async move { room.wait().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        room.shrunk(100);
        waiting.await.unwrap();
        assert_eq!((room.bytes(), room.is_full()), (650, false));
        // What PostgreSQL wrote while it is primary holds nobody.
        room.grown(10_000, false);
        assert!(!room.is_full());
        room.grown(1, true);
        assert!(room.is_full());
        room.reset(0);
        assert!(!room.is_full());
    }
}
