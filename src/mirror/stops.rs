//! Where reads that wait for a reader must be answered: the applier stops there, too.
//!
//! Owns the positions of reads in the queue, and how long the applier may stand for them: a small
//! share of its time, so that comparing is never what keeps the shadow behind. Without it a shadow
//! that catches up would pass them all. Start at [`Stops::next`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::backend::Position;

/// The applier stands for one part of this many of its time.
const SHARE: u32 = 5;
/// What it may stand at once when it has not stood for a while.
const SAVED_MAX: Duration = Duration::from_millis(200);
/// How long it stands at one position.
const EACH_MAX: Duration = Duration::from_millis(50);

/// The positions, and the time.
pub(super) struct Stops {
    waiting: Mutex<BTreeMap<Position, usize>>,
    time: Mutex<Time>,
    changed: Notify,
}

struct Time {
    left: Duration,
    since: Instant,
    /// Stood at for long enough.
    passed: Option<Position>,
}

/// One read that waits.
pub(super) struct Stop {
    stops: Arc<Stops>,
    position: Position,
}

impl Drop for Stop {
    fn drop(&mut self) {
        let mut waiting = self.stops.waiting.lock();
        let left = waiting.get(&self.position).copied().unwrap_or(0).saturating_sub(1);
        match left {
            0 => waiting.remove(&self.position),
            left => waiting.insert(self.position, left),
        };
        drop(waiting);
        self.stops.changed.notify_waiters();
    }
}

impl Default for Stops {
    fn default() -> Self {
        let time = Time { left: SAVED_MAX, since: Instant::now(), passed: None };
        Self { waiting: Mutex::default(), time: Mutex::new(time), changed: Notify::new() }
    }
}

impl Time {
    fn refill(&mut self) {
        let now = Instant::now();
        let more = now.saturating_duration_since(self.since) / SHARE;
        self.left = (self.left + more).min(SAVED_MAX);
        self.since = now;
    }
}

impl Stops {
    /// A read must be answered at a position; until it is dropped.
    pub(super) fn note(stops: &Arc<Self>, position: Position) -> Stop {
        *stops.waiting.lock().entry(position).or_default() += 1;
        Stop { stops: Arc::clone(stops), position }
    }

    /// Where the applier, standing at `at`, should stop next; None when nothing waits there or it
    /// has stood long enough.
    pub(super) fn next(&self, at: Position) -> Option<Position> {
        let mut time = self.time.lock();
        time.refill();
        if time.left.is_zero() {
            return None;
        }
        let from = if time.passed == Some(at) { at.next() } else { at };
        drop(time);
        self.waiting.lock().range(from..).next().map(|(position, _)| *position)
    }

    /// Stands at a position until nothing waits there any more, for a short time at most.
    pub(super) async fn stand(&self, at: Position) {
        let began = Instant::now();
        let limit = self.time.lock().left.min(EACH_MAX);
        let gone = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if !self.waiting.lock().contains_key(&at) {
                    return;
                }
                changed.await;
            }
        };
        let all = tokio::time::timeout(limit, gone).await.is_ok();
        let mut time = self.time.lock();
        time.left = time.left.saturating_sub(began.elapsed());
        if !all {
            time.passed = Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_stands_where_reads_wait_and_not_for_long() {
        let stops = Arc::new(Stops::default());
        assert_eq!(stops.next(Position(3)), None);
        let (early, late) = (Stops::note(&stops, Position(2)), Stops::note(&stops, Position(5)));
        let again = Stops::note(&stops, Position(5));
        // What is past is past.
        assert_eq!(stops.next(Position(3)), Some(Position(5)));
        drop((early, late));
        assert_eq!(stops.next(Position(5)), Some(Position(5)));
        // Nobody answers it.
        stops.stand(Position(5)).await;
        assert_eq!(stops.next(Position(5)), None);
        drop(again);
        let next = Stops::note(&stops, Position(6));
        let standing = tokio::spawn({
            let stops = Arc::clone(&stops);
            async move { stops.stand(Position(6)).await }
        });
        drop(next);
        standing.await.unwrap();
        assert_eq!(stops.next(Position(6)), None);
        // All its time is used up: it goes on whatever waits.
        let _kept: Vec<Stop> = (10..20).map(|n| Stops::note(&stops, Position(n))).collect();
        for n in 10..20 {
            stops.stand(Position(n)).await;
        }
        assert!(stops.time.lock().left < EACH_MAX);
    }
}
