//! Cancel keys: which session a CancelRequest means.
//!
//! Owns the [`Registry`]. It must never compare a secret in variable time, never hold a
//! map guard across an await, and never tell a requester whether its key was right.
//! Start at [`Registry::register`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry as Slot;
use subtle::ConstantTimeEq;
use tokio::task::JoinHandle;

use crate::clock::Clock;

/// What a session is asked to do from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// End the running statement (57014).
    Cancel,
    /// End the session (57P01).
    Terminate,
}

/// Called when a signal for the session arrives; must not block. What it returns ends when the
/// signal has reached the back end that runs the statement; None when it has already.
pub type Handle = Arc<dyn Fn(Signal) -> Option<JoinHandle<()>> + Send + Sync>;

/// All sessions by process number.
pub struct Registry {
    clock: Clock,
    last: AtomicU32,
    entries: DashMap<i32, Entry>,
}

struct Entry {
    secret: Vec<u8>,
    handle: Handle,
}

/// A session's key, for BackendKeyData. Dropping it ends the registration.
pub struct Key {
    pid: i32,
    secret: Vec<u8>,
    registry: Arc<Registry>,
}

impl Key {
    /// The process number told to the client; positive.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// The secret told to the client: 4 bytes in protocol 3.0, 32 from 3.2 on.
    pub fn secret(&self) -> &[u8] {
        &self.secret
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.registry.entries.remove(&self.pid);
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({})", self.pid)
    }
}

impl Registry {
    /// An empty registry; `clock` gives the secrets.
    pub fn new(clock: Clock) -> Arc<Self> {
        Arc::new(Self { clock, last: AtomicU32::new(0), entries: DashMap::new() })
    }

    /// Registers a session that speaks the given protocol version.
    pub fn register(self: &Arc<Self>, protocol: (u16, u16), handle: Handle) -> Key {
        let mut secret = vec![0; if protocol >= (3, 2) { 32 } else { 4 }];
        self.clock.random_bytes(&mut secret);
        loop {
            // Numbers go round below 2^31: clients read them as a positive int4.
            let next = self.last.fetch_add(1, Ordering::Relaxed).wrapping_add(1) & 0x7fff_ffff;
            let Some(pid) = i32::try_from(next).ok().filter(|pid| *pid > 0) else { continue };
            if let Slot::Vacant(slot) = self.entries.entry(pid) {
                slot.insert(Entry { secret: secret.clone(), handle });
                return Key { pid, secret, registry: Arc::clone(self) };
            }
        }
    }

    /// Delivers a CancelRequest. Returns when it has reached the statement, and whether the key
    /// was right, for metrics only. Who asks is let go after that: a later statement of its own
    /// must not be hit.
    pub async fn cancel(&self, pid: i32, secret: &[u8]) -> bool {
        let handle = self
            .entries
            .get(&pid)
            .filter(|e| bool::from(e.secret.as_slice().ct_eq(secret)))
            .map(|e| Arc::clone(&e.handle));
        let Some(handle) = handle else { return false };
        if let Some(delivered) = handle(Signal::Cancel) {
            // A task of its own: it goes on when the requester leaves.
            let _ = delivered.await;
        }
        true
    }

    /// Delivers a signal by number alone (pg_cancel_backend, pg_terminate_backend, the
    /// console). Returns whether such a session exists.
    pub fn signal(&self, pid: i32, signal: Signal) -> bool {
        let handle = self.entries.get(&pid).map(|e| Arc::clone(&e.handle));
        handle.is_some_and(|handle| {
            handle(signal);
            true
        })
    }

    /// Sends a signal to every session.
    pub fn signal_all(&self, signal: Signal) {
        let handles: Vec<Handle> = self.entries.iter().map(|e| Arc::clone(&e.handle)).collect();
        for handle in handles {
            handle(signal);
        }
    }

    /// Number of registered sessions.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no session is registered.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[tokio::test]
    async fn only_the_right_key_cancels() {
        let registry = Registry::new(Clock::manual(0, 1));
        let hits = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&hits);
        let handle: Handle = Arc::new(move |signal| {
            assert_eq!(signal, Signal::Cancel);
            seen.fetch_add(1, Ordering::SeqCst);
            None
        });
        let key = registry.register((3, 0), Arc::clone(&handle));
        let newer = registry.register((3, 2), handle);
        assert_eq!((key.secret().len(), newer.secret().len()), (4, 32));
        assert!(!registry.cancel(key.pid(), b"xxxx").await);
        assert!(!registry.cancel(key.pid(), &key.secret()[..3]).await);
        assert!(!registry.cancel(key.pid() + 100, key.secret()).await);
        assert!(!registry.cancel(newer.pid(), key.secret()).await);
        assert!(registry.cancel(key.pid(), key.secret()).await);
        assert_eq!(hits.load(Ordering::SeqCst), 1);
        let (pid, secret) = (key.pid(), key.secret().to_vec());
        drop(key);
        assert!(!registry.cancel(pid, &secret).await);
        assert_eq!(registry.len(), 1);
    }

    #[tokio::test]
    async fn the_requester_is_let_go_when_the_signal_has_arrived() {
        let registry = Registry::new(Clock::manual(0, 1));
        let arrived = Arc::new(tokio::sync::Notify::new());
        let arrives = Arc::clone(&arrived);
        let handle: Handle = Arc::new(move |_| {
            let arrives = Arc::clone(&arrives);
            Some(tokio::spawn(async move { arrives.notified().await }))
        });
        let key = registry.register((3, 0), handle);
        let cancel = registry.cancel(key.pid(), key.secret());
        tokio::pin!(cancel);
        assert!(futures_util::poll!(cancel.as_mut()).is_pending());
        tokio::task::yield_now().await;
        assert!(futures_util::poll!(cancel.as_mut()).is_pending());
        arrived.notify_one();
        assert!(cancel.await);
    }
}
