//! Pins: a reader holds the applier at a position for the time of one look.
//!
//! Bounded: at most [`PINS_MAX`] at once, each for a time its reader names; an applier that finds a
//! pin older than that goes on without it. Start at [`Pins::pin`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, watch};

use crate::backend::Position;

/// Readers that may hold or await a pin at once.
const PINS_MAX: usize = 4;

/// The pins of one applier.
#[derive(Debug)]
pub struct Pins {
    wanted: Mutex<BTreeMap<u64, Entry>>,
    next: Mutex<u64>,
    changed: Notify,
    slots: Arc<Semaphore>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    position: Position,
    until: Instant,
}

impl Default for Pins {
    fn default() -> Self {
        Self {
            wanted: Mutex::default(),
            next: Mutex::default(),
            changed: Notify::new(),
            slots: Arc::new(Semaphore::new(PINS_MAX)),
        }
    }
}

/// The applier stands at a position until this is dropped (or its time is over).
#[derive(Debug)]
pub struct Pin {
    pins: Arc<Pins>,
    id: u64,
    position: Position,
    _slot: tokio::sync::OwnedSemaphorePermit,
}

impl Pin {
    /// Where the applier stands.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Whether the pin has not outlived its time: only then what was read belongs to it.
    pub fn holds(&self) -> bool {
        self.pins.wanted.lock().get(&self.id).is_some_and(|e| Instant::now() < e.until)
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.pins.wanted.lock().remove(&self.id);
        self.pins.changed.notify_waiters();
    }
}

impl Pins {
    /// Asks the applier to stop at `position` and waits until it stands there, for at most
    /// `limit`; the pin then holds for as long again, at most. None when it is past already, or
    /// too many readers ask, or it does not get there in time.
    pub async fn pin(
        pins: &Arc<Self>,
        position: Position,
        mut applied: watch::Receiver<Position>,
        limit: Duration,
    ) -> Option<Pin> {
        let slot = Arc::clone(&pins.slots).try_acquire_owned().ok()?;
        let id = {
            let mut next = pins.next.lock();
            *next += 1;
            *next
        };
        let entry = Entry { position, until: Instant::now() + limit * 2 };
        pins.wanted.lock().insert(id, entry);
        let pin = Pin { pins: Arc::clone(pins), id, position, _slot: slot };
        let there = tokio::time::timeout(limit, applied.wait_for(|at| *at >= position)).await;
        let stands = there.ok()?.ok().is_some_and(|at| *at == position);
        stands.then_some(pin)
    }

    /// The position the applier must not pass now, unless there is none.
    pub(super) fn floor(&self) -> Option<Position> {
        let now = Instant::now();
        let wanted = self.wanted.lock();
        wanted.values().filter(|e| now < e.until).map(|e| e.position).min()
    }

    /// Waits until the pins change, or a short time at most (a pin may have run out).
    pub(super) async fn changed(&self) {
        let waiting = self.changed.notified();
        let _ = tokio::time::timeout(Duration::from_millis(50), waiting).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_pin_holds_and_lets_go() {
        let pins = Arc::new(Pins::default());
        let applied = watch::Sender::new(Position(3));
        let limit = Duration::from_millis(200);
        assert!(Pins::pin(&pins, Position(2), applied.subscribe(), limit).await.is_none());
        let waiting = tokio::spawn({
            let (pins, applied) = (Arc::clone(&pins), applied.subscribe());
            async move { Pins::pin(&pins, Position(5), applied, limit).await }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(pins.floor(), Some(Position(5)));
        applied.send_replace(Position(5));
        let pin = waiting.await.unwrap().unwrap();
        assert!(pin.holds());
        drop(pin);
        assert_eq!(pins.floor(), None);
    }
}
