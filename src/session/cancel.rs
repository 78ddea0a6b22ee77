//! Requests from outside to the session's running statement, and its timeouts.
//!
//! Owns the flag a CancelRequest or an administrator sets, and the handle that interrupts
//! SQLite. It must never let a request that came between two statements hurt the next one.
//! Start at [`Cancel`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::backend::postgres::connect::Canceller;
use crate::backend::sqlite::Interrupter;
use crate::error::{Error, state};

const CANCEL: u8 = 1;
const TERMINATE: u8 = 2;

/// One session's door for requests from outside.
#[derive(Default)]
pub(crate) struct Cancel {
    flags: AtomicU8,
    wake: Notify,
    running: Mutex<Option<Interrupter>>,
    /// The session's statements run on PostgreSQL.
    relayed: Mutex<Option<Canceller>>,
    /// Requests on their way to PostgreSQL.
    under_way: Arc<UnderWay>,
}

/// Counts requests, and tells when the last one has arrived.
#[derive(Default)]
struct UnderWay {
    count: AtomicUsize,
    arrived: Notify,
}

/// One request, until it is dropped.
struct Request(Arc<UnderWay>);

impl Drop for Request {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.arrived.notify_waiters();
        }
    }
}

impl Cancel {
    /// Ends the running statement, if any (57014). What is returned ends when PostgreSQL, where
    /// the statement runs there, has the request.
    pub(crate) fn cancel(&self) -> Option<JoinHandle<()>> {
        self.raise(CANCEL);
        // Counted under the lock: whoever takes the canceller away afterwards sees it.
        let relayed = self.relayed.lock();
        let canceller = relayed.clone()?;
        self.under_way.count.fetch_add(1, Ordering::SeqCst);
        let request = Request(Arc::clone(&self.under_way));
        drop(relayed);
        Some(tokio::spawn(async move {
            let _request = request;
            if let Err(error) = canceller.cancel().await {
                tracing::warn!(%error, "a cancel request did not reach PostgreSQL");
            }
        }))
    }

    /// Ends the session (57P01): at once when it is idle or waits, else with its statement.
    pub(crate) fn terminate(&self) {
        self.raise(TERMINATE);
    }

    fn raise(&self, flag: u8) {
        self.flags.fetch_or(flag, Ordering::SeqCst);
        if let Some(running) = self.running.lock().as_ref() {
            running.interrupt();
        }
        self.wake.notify_waiters();
    }

    /// A statement begins: forget a cancel that came when nothing ran.
    pub(crate) fn begin(&self) {
        self.flags.fetch_and(!CANCEL, Ordering::SeqCst);
    }

    /// SQLite runs the statement from here on; `stop` ends it.
    pub(crate) fn running(&self, interrupter: Interrupter) {
        *self.running.lock() = Some(interrupter);
    }

    /// SQLite no longer runs this session's statement.
    pub(crate) fn stopped(&self) {
        *self.running.lock() = None;
    }

    /// From here on statements run on PostgreSQL, or (None) no longer.
    pub(crate) fn relayed(&self, canceller: Option<Canceller>) {
        *self.relayed.lock() = canceller;
    }

    /// Waits until no request is on its way to the server session, which another client is to
    /// have: it would end a statement of that one.
    pub(crate) async fn arrived(&self) {
        loop {
            let arrived = self.under_way.arrived.notified();
            tokio::pin!(arrived);
            arrived.as_mut().enable();
            if self.under_way.count.load(Ordering::SeqCst) == 0 {
                return;
            }
            arrived.await;
        }
    }

    /// Whether the session has been told to end.
    pub(crate) fn terminated(&self) -> bool {
        self.flags.load(Ordering::SeqCst) & TERMINATE != 0
    }

    /// The error of the request made since [`Cancel::begin`], if there was one.
    pub(crate) fn error(&self) -> Option<Error> {
        match self.flags.load(Ordering::SeqCst) {
            0 => None,
            CANCEL => Some(Error::client(
                state::QUERY_CANCELED,
                "canceling statement due to user request",
            )),
            _ => Some(terminated()),
        }
    }

    /// Waits for a request that ends the running statement, and returns its error.
    pub(crate) async fn requested(&self) -> Error {
        loop {
            let wake = self.wake.notified();
            if let Some(error) = self.error() {
                return error;
            }
            wake.await;
        }
    }

    /// Waits until the session is told to end.
    pub(crate) async fn ended(&self) {
        loop {
            let wake = self.wake.notified();
            if self.terminated() {
                return;
            }
            wake.await;
        }
    }
}

/// 57P01, FATAL.
pub(crate) fn terminated() -> Error {
    Error::client(state::ADMIN_SHUTDOWN, "terminating connection due to administrator command")
        .fatal()
}

/// 57014 of statement_timeout.
pub(crate) fn statement_timeout() -> Error {
    Error::client(state::QUERY_CANCELED, "canceling statement due to statement timeout")
}

/// Replaces a bare "interrupted" of SQLite by the reason for it.
pub(crate) fn reason(
    cancel: &Cancel,
    deadline: Option<Instant>,
    now: Instant,
    error: Error,
) -> Error {
    if error.sqlstate() != state::QUERY_CANCELED {
        return error;
    }
    if let Some(requested) = cancel.error() {
        return requested;
    }
    if deadline.is_some_and(|d| now >= d) { statement_timeout() } else { error }
}
