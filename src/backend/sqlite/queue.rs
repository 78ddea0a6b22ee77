//! The writer's turn.
//!
//! Owns [`Queue`]: one turn, waiters in order of arrival. A waiter is woken, not handed
//! the turn, so that a running task may take it first and no time is lost to thread
//! wakes; after [`BARGES`] such bursts, or [`PATIENCE`] since it was woken, the first
//! waiter is handed the turn. A dropped waiter leaves the queue; a dropped turn is free
//! at once. It must never hold its lock while waking or waiting. Start at
//! [`Queue::acquire`].

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::error::{Error, Result, state};

/// Turns that may pass the first waiter.
const BARGES: u32 = 16;
/// How long they may pass it, from its first wake.
const PATIENCE: Duration = Duration::from_millis(1);
/// Waiters at most; more are refused (53300).
const WAITERS: usize = 65_536;

/// A fair queue for one turn.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    busy: bool,
    next: u64,
    waiting: BTreeMap<u64, Entry>,
    /// Turns that have passed the present first waiter.
    barges: u32,
}

struct Entry {
    waker: Waker,
    /// The turn is this waiter's already.
    granted: bool,
    /// It has been woken at this moment and has not looked yet, or found the turn taken.
    woken: Option<Instant>,
    /// It has been woken and has not been polled since.
    pending_wake: bool,
}

impl State {
    /// Whether the first waiter must not be passed any more.
    fn overdue(&self) -> bool {
        self.waiting.first_key_value().is_some_and(|(_, first)| {
            first.granted
                || self.barges >= BARGES
                || first.woken.is_some_and(|at| at.elapsed() >= PATIENCE)
        })
    }

    /// Ends a turn; the waker to call once the lock is free.
    fn release(&mut self) -> Option<Waker> {
        let overdue = self.overdue();
        let Some(mut first) = self.waiting.first_entry() else {
            self.busy = false;
            return None;
        };
        let first = first.get_mut();
        if overdue {
            first.granted = true;
            self.barges = 0;
            return Some(first.waker.clone());
        }
        self.busy = false;
        first.woken.get_or_insert_with(Instant::now);
        (!std::mem::replace(&mut first.pending_wake, true)).then(|| first.waker.clone())
    }
}

impl Queue {
    /// Waits for the turn. The future may be dropped at any time.
    pub(super) fn acquire(self: &Arc<Self>) -> Acquire {
        Acquire { queue: self.clone(), id: None }
    }

    /// Takes the turn if it is free and nobody waits.
    pub(super) fn try_acquire(self: &Arc<Self>) -> Option<Turn> {
        let mut state = self.state.lock();
        if state.busy || !state.waiting.is_empty() {
            return None;
        }
        state.busy = true;
        Some(Turn(self.clone()))
    }

    /// Tasks waiting now.
    pub(super) fn waiting(&self) -> usize {
        self.state.lock().waiting.len()
    }

    fn release(&self) {
        let waker = self.state.lock().release();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The right to write; free again on drop.
pub(super) struct Turn(Arc<Queue>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.release();
    }
}

/// The wait for a [`Turn`].
pub(super) struct Acquire {
    queue: Arc<Queue>,
    id: Option<u64>,
}

impl Future for Acquire {
    type Output = Result<Turn>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let queue = self.queue.clone();
        let mut state = queue.state.lock();
        let state = &mut *state;
        let Some(id) = self.id else {
            if !state.busy && !state.overdue() {
                state.busy = true;
                state.barges += u32::from(!state.waiting.is_empty());
                return Poll::Ready(Ok(Turn(queue.clone())));
            }
            if state.waiting.len() >= WAITERS {
                let message = "too many transactions wait to write";
                return Poll::Ready(Err(Error::primary(state::TOO_MANY_CONNECTIONS, message)));
            }
            let id = state.next;
            state.next += 1;
            let waker = cx.waker().clone();
            state
                .waiting
                .insert(id, Entry { waker, granted: false, woken: None, pending_wake: false });
            self.id = Some(id);
            return Poll::Pending;
        };
        let is_first = state.waiting.first_key_value().is_some_and(|(first, _)| *first == id);
        let free = !state.busy && is_first;
        let Some(entry) = state.waiting.get_mut(&id) else {
            return Poll::Ready(Err(Error::internal("writer queue lost a waiter")));
        };
        if entry.granted || free {
            state.waiting.remove(&id);
            state.busy = true;
            state.barges = 0;
            self.id = None;
            return Poll::Ready(Ok(Turn(queue.clone())));
        }
        entry.pending_wake = false;
        entry.waker.clone_from(cx.waker());
        Poll::Pending
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        let Some(id) = self.id else { return };
        let waker = {
            let mut state = self.queue.state.lock();
            let entry = state.waiting.remove(&id);
            match entry {
                // The turn was ours and nobody will use it: pass it on.
                Some(entry) if entry.granted => state.release(),
                // Our wake went unused: the next in line must look.
                Some(entry) if entry.pending_wake && !state.busy => state.release(),
                _ => None,
            }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn never_two_turns_and_nobody_starves() {
        let queue = Arc::new(Queue::default());
        let inside = Arc::new(AtomicU64::new(0));
        let mut tasks = Vec::new();
        for _ in 0..64 {
            let (queue, inside) = (queue.clone(), inside.clone());
            tasks.push(tokio::spawn(async move {
                let mut longest = Duration::ZERO;
                for i in 0..200 {
                    let start = Instant::now();
                    let turn = queue.acquire().await.unwrap();
                    longest = longest.max(start.elapsed());
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    if i % 16 == 0 {
                        tokio::task::yield_now().await;
                    }
                    assert_eq!(inside.fetch_sub(1, Ordering::SeqCst), 1);
                    drop(turn);
                }
                longest
            }));
        }
        for task in tasks {
            assert!(task.await.unwrap() < Duration::from_secs(5));
        }
        assert_eq!(queue.waiting(), 0);
        assert!(queue.try_acquire().is_some());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn dropped_waiters_leave_the_queue() {
        let queue = Arc::new(Queue::default());
        for round in 0..200u64 {
            let turn = queue.acquire().await.unwrap();
            let waiters: Vec<_> = (0..8)
                .map(|i| {
                    let queue = queue.clone();
                    tokio::spawn(async move {
                        let wait = Duration::from_micros((round * 7 + i * 13) % 300);
                        tokio::time::timeout(wait, queue.acquire()).await.is_ok()
                    })
                })
                .collect();
            tokio::time::sleep(Duration::from_micros(round % 200)).await;
            drop(turn);
            for waiter in waiters {
                waiter.await.unwrap();
            }
            assert_eq!(queue.waiting(), 0);
            drop(queue.try_acquire().expect("the turn is free"));
        }
    }

    #[tokio::test]
    async fn arrivals_pass_the_first_waiter_only_so_often() {
        let queue = Arc::new(Queue::default());
        let turn = queue.acquire().await.unwrap();
        let mut first = Box::pin(queue.acquire());
        assert!(futures_util::poll!(&mut first).is_pending());
        drop(turn);
        let mut passed = 0;
        while let Poll::Ready(turn) = futures_util::poll!(Box::pin(queue.acquire())) {
            drop(turn.unwrap());
            passed += 1;
            assert!(passed <= BARGES, "the first waiter is starved");
        }
        assert!(futures_util::poll!(&mut first).is_ready());
    }
}
