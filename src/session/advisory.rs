//! Advisory locks, held in the proxy, and the deadlocks they can build with the writer.
//!
//! Owns who holds and who waits for which lock. The one writer counts as a lock here, so
//! that a cycle through it is found (40P01). Start at [`Locks::acquire`].

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::error::{Error, Result, state};

/// Which lock: one bigint, or two ints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// pg_advisory_lock(bigint)
    One(i64),
    /// pg_advisory_lock(int, int)
    Two(i32, i32),
}

#[derive(Debug, Default)]
struct Lock {
    /// Session → how often it holds the lock (exclusive, shared).
    holders: HashMap<i32, (u32, u32)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    Lock(Key, bool),
    Writer,
}

#[derive(Debug, Default)]
struct State {
    locks: HashMap<Key, Lock>,
    waiting: HashMap<i32, Wait>,
    writer: Option<i32>,
}

/// All advisory locks.
#[derive(Default)]
pub(crate) struct Locks {
    state: Mutex<State>,
    changed: Notify,
}

impl State {
    fn blockers(&self, session: i32, wait: Wait) -> Vec<i32> {
        match wait {
            Wait::Writer => self.writer.filter(|w| *w != session).into_iter().collect(),
            Wait::Lock(key, shared) => self
                .locks
                .get(&key)
                .map(|lock| {
                    lock.holders
                        .iter()
                        .filter(|(s, (exclusive, _))| **s != session && (!shared || *exclusive > 0))
                        .map(|(s, _)| *s)
                        .collect()
                })
                .unwrap_or_default(),
        }
    }

    /// Whether `session` would wait, in the end, for itself.
    fn deadlocks(&self, session: i32, wait: Wait) -> bool {
        let mut seen = HashSet::new();
        let mut next = self.blockers(session, wait);
        while let Some(blocker) = next.pop() {
            if blocker == session {
                return true;
            }
            if seen.insert(blocker)
                && let Some(wait) = self.waiting.get(&blocker)
            {
                next.extend(self.blockers(blocker, *wait));
            }
        }
        false
    }
}

/// Takes a session's entry in the list of the waiting off again.
struct Waiting<'a>(&'a Locks, i32);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.state.lock().waiting.remove(&self.1);
    }
}

impl Locks {
    /// Takes the lock if that needs no waiting.
    pub(crate) fn try_acquire(&self, session: i32, key: Key, shared: bool) -> bool {
        let mut state = self.state.lock();
        if !state.blockers(session, Wait::Lock(key, shared)).is_empty() {
            return false;
        }
        let holder = state.locks.entry(key).or_default().holders.entry(session).or_default();
        if shared {
            holder.1 += 1;
        } else {
            holder.0 += 1;
        }
        true
    }

    /// Waits for the lock. Safe to cancel. 40P01 when the wait would never end.
    pub(crate) async fn acquire(&self, session: i32, key: Key, shared: bool) -> Result<()> {
        loop {
            let changed = self.changed.notified();
            if self.try_acquire(session, key, shared) {
                return Ok(());
            }
            let _waiting = self.wait(session, Wait::Lock(key, shared))?;
            changed.await;
        }
    }

    fn wait(&self, session: i32, wait: Wait) -> Result<Waiting<'_>> {
        let mut state = self.state.lock();
        if state.deadlocks(session, wait) {
            return Err(Error::client(state::DEADLOCK_DETECTED, "deadlock detected")
                .detail("The lock waited for is held by a session that waits for this one.")
                .retryable());
        }
        state.waiting.insert(session, wait);
        Ok(Waiting(self, session))
    }

    /// Announces that the session is going to wait for the writer. 40P01 when that wait
    /// would never end. The entry lasts until the guard is dropped.
    pub(crate) fn wait_for_writer(&self, session: i32) -> Result<impl Drop + '_> {
        self.wait(session, Wait::Writer)
    }

    /// Every hold: session, lock, shared.
    pub(crate) fn held(&self) -> Vec<(i32, Key, bool)> {
        let state = self.state.lock();
        let mut all = Vec::new();
        for (key, lock) in &state.locks {
            for (session, (exclusive, shared)) in &lock.holders {
                if *exclusive > 0 {
                    all.push((*session, *key, false));
                }
                if *shared > 0 {
                    all.push((*session, *key, true));
                }
            }
        }
        all
    }

    /// The session that holds the writer.
    pub(crate) fn writer_of(&self) -> Option<i32> {
        self.state.lock().writer
    }

    /// Whether a session holds the writer.
    pub(crate) fn has_writer(&self) -> bool {
        self.state.lock().writer.is_some()
    }

    /// The session holds the writer, or no longer does.
    pub(crate) fn writer(&self, session: i32, holds: bool) {
        let mut state = self.state.lock();
        if holds {
            state.writer = Some(session);
        } else if state.writer == Some(session) {
            state.writer = None;
        }
    }

    /// Gives back one hold; false when the session did not have it.
    pub(crate) fn release(&self, session: i32, key: Key, shared: bool) -> bool {
        let mut state = self.state.lock();
        let Some(lock) = state.locks.get_mut(&key) else { return false };
        let Some(holder) = lock.holders.get_mut(&session) else { return false };
        let count = if shared { &mut holder.1 } else { &mut holder.0 };
        if *count == 0 {
            return false;
        }
        *count -= 1;
        if *holder == (0, 0) {
            lock.holders.remove(&session);
            if lock.holders.is_empty() {
                state.locks.remove(&key);
            }
        }
        drop(state);
        self.changed.notify_waiters();
        true
    }

    /// Gives back everything the session holds (pg_advisory_unlock_all, end of session).
    pub(crate) fn release_all(&self, session: i32) {
        let mut state = self.state.lock();
        state.locks.retain(|_, lock| {
            lock.holders.remove(&session);
            !lock.holders.is_empty()
        });
        drop(state);
        self.changed.notify_waiters();
    }
}

/// What one session holds: for the transaction's end and for the switch.
#[derive(Debug, Default)]
pub(crate) struct Held {
    session: Vec<(Key, bool)>,
    transaction: Vec<(Key, bool)>,
}

impl Held {
    /// Remembers a hold.
    pub(crate) fn add(&mut self, key: Key, shared: bool, transaction: bool) {
        if transaction {
            self.transaction.push((key, shared));
        } else {
            self.session.push((key, shared));
        }
    }

    /// Forgets a session-level hold; false when there is none.
    pub(crate) fn remove(&mut self, key: Key, shared: bool) -> bool {
        let at = self.session.iter().rposition(|h| *h == (key, shared));
        at.map(|at| self.session.swap_remove(at)).is_some()
    }

    /// Ends the transaction-level holds.
    pub(crate) fn end_transaction(&mut self, locks: &Arc<Locks>, session: i32) {
        for (key, shared) in self.transaction.drain(..) {
            locks.release(session, key, shared);
        }
    }

    /// Ends the session-level holds.
    pub(crate) fn release_session(&mut self, locks: &Arc<Locks>, session: i32) {
        for (key, shared) in self.session.drain(..) {
            locks.release(session, key, shared);
        }
    }

    /// Whether anything is held.
    pub(crate) fn is_empty(&self) -> bool {
        self.session.is_empty() && self.transaction.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn locks_queue_share_and_find_deadlocks() {
        let locks = Arc::new(Locks::default());
        let (a, b) = (Key::One(1), Key::Two(1, 2));
        assert!(locks.try_acquire(1, a, true) && locks.try_acquire(2, a, true));
        assert!(!locks.try_acquire(1, a, false), "another shares it");
        assert!(locks.release(2, a, true) && locks.try_acquire(1, a, false));
        locks.acquire(2, b, false).await.expect("free");
        let waiting = tokio::spawn({
            let locks = locks.clone();
            async move { locks.acquire(2, a, true).await }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        let error = locks.acquire(1, b, false).await.expect_err("a cycle");
        assert_eq!(error.sqlstate(), state::DEADLOCK_DETECTED);
        locks.release_all(1);
        waiting.await.expect("task").expect("released");
        locks.writer(2, true);
        locks.acquire(1, Key::One(5), false).await.expect("free");
        let waiting = tokio::spawn({
            let locks = locks.clone();
            async move { locks.acquire(2, Key::One(5), false).await }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(locks.wait_for_writer(1).is_err(), "a cycle through the writer");
        locks.release_all(1);
        waiting.await.expect("task").expect("released");
    }
}
