//! Warm readers.
//!
//! Owns [`Pool`] and [`Reader`]. The reader given back last goes out first: its page cache
//! is the warmest. No more than `readers` are out at once; the rest wait, in order. It
//! must never give out a connection with a statement or a transaction of its last user
//! still open. Start at [`Pool::take`].

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connection::Connection;
use crate::error::{Error, Result, state};

/// Opens a new connection.
type Open = Box<dyn Fn() -> Result<Connection> + Send + Sync>;

/// A bounded pool of readers.
pub(super) struct Pool {
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
    open: Open,
    retired: AtomicU64,
}

impl Pool {
    pub(super) fn new(size: usize, open: Open) -> Arc<Self> {
        Arc::new(Self {
            idle: Mutex::new(Vec::with_capacity(size)),
            permits: Arc::new(Semaphore::new(size.max(1))),
            open,
            retired: AtomicU64::new(0),
        })
    }

    /// Waits for a reader; 57014 when the deadline passes.
    pub(super) async fn take(self: &Arc<Self>, deadline: Option<Instant>) -> Result<Reader> {
        let permit = match self.permits.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let wait = self.permits.clone().acquire_owned();
                let got = match deadline {
                    None => wait.await,
                    Some(at) => tokio::time::timeout_at(at.into(), wait).await.map_err(|_| {
                        let message = "canceling statement due to statement timeout";
                        Error::client(state::QUERY_CANCELED, message)
                            .detail("No SQLite reader became free in time.")
                    })?,
                };
                got.map_err(|_| Error::primary(state::ADMIN_SHUTDOWN, "the pool is closed"))?
            }
        };
        let idle = self.idle.lock().pop();
        let conn = match idle {
            Some(conn) => conn,
            None => (self.open)()?,
        };
        Ok(Reader { conn: Some(conn), pool: self.clone(), _permit: permit })
    }

    /// Readers out now.
    pub(super) fn in_use(&self, size: usize) -> usize {
        size.saturating_sub(self.permits.available_permits())
    }

    /// Readers thrown away because their user kept a statement.
    pub(super) fn retired(&self) -> u64 {
        self.retired.load(Ordering::Relaxed)
    }

    /// Closes idle readers, and lets nobody wait any more.
    pub(super) fn close(&self) {
        self.permits.close();
        self.idle.lock().clear();
    }

    fn give_back(&self, conn: Connection) {
        conn.set_deadline(None);
        let stuck = conn.in_transaction() && conn.batch("ROLLBACK").is_err();
        conn.end_lease();
        if stuck {
            self.retired.fetch_add(1, Ordering::Relaxed);
            return;
        }
        // A statement still on a row would hold its snapshot: the next user would read the
        // past. It keeps its connection; the pool opens another.
        if conn.has_open_rows() || self.permits.is_closed() {
            self.retired.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.idle.lock().push(conn);
    }
}

/// A reader on loan; back to the pool on drop.
pub struct Reader {
    /// Always there until drop.
    conn: Option<Connection>,
    pool: Arc<Pool>,
    /// Released after `conn` is back, as fields drop in order after `drop`.
    _permit: OwnedSemaphorePermit,
}

impl Deref for Reader {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.conn.as_ref().expect("invariant: a reader has its connection until drop")
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(conn) = self.conn.take() {
            self.pool.give_back(conn);
        }
    }
}
