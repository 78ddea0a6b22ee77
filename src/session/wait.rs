//! Waiting: for the client's next message, and for anything else while the client may
//! cancel, vanish or run out of time.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::transaction::Block;
use super::{Doing, Session, Shared, Step, Stop, cancel};
use crate::cutover::gate::{GateState, Route};
use crate::error::{Error, Result, state};
use crate::wire::write;

/// A suspended portal keeps its reader this long while the client is silent.
const LIVE_PORTAL: Duration = Duration::from_millis(100);

pub(super) async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// What a session waited for.
pub(super) enum Awaited {
    /// A message is buffered.
    Message,
    /// The client is gone.
    Gone,
    /// The route has changed, and the session has a reason to follow at once.
    Route,
}

/// What happened instead of a message.
enum Event {
    Message(bool),
    Notification(std::sync::Arc<super::notify::Notification>),
    Idle,
    Route,
    Terminated,
    TimedOut,
}

impl Session {
    /// Waits until a message of the client is buffered. What is pending is sent before
    /// waiting. FATAL errors: timeouts of idle sessions, the server's end.
    pub(super) async fn wait_message(&mut self) -> Step<Awaited> {
        if self.io.has_buffered() {
            return Ok(Awaited::Message);
        }
        // Who listens must hear of notifications on PostgreSQL without asking.
        let listens = self.inbox.listening().next().is_some();
        let mut route = listens.then(|| self.shared.gate.changes());
        self.card.traffic.carried(self.io.carried());
        loop {
            let idle = matches!(self.transaction.block, Block::Idle);
            self.card.set(if idle { Doing::Idle } else { Doing::InTransaction });
            let limit = self.idle_limit();
            let deadline = limit.map(|limit| self.shared.clock.instant() + limit);
            let live = self.portals.has_live().then(|| self.shared.clock.instant() + LIVE_PORTAL);
            let stopping = idle.then(|| self.shared.stopping.clone());
            if idle && listens && self.leads_to_postgres() {
                return Ok(Awaited::Route);
            }
            let Self { io, cancel, inbox, .. } = self;
            let event = tokio::select! {
                biased;
                here = io.wait_message() => Event::Message(here),
                () = cancel.ended() => Event::Terminated,
                () = async {
                    match stopping {
                        Some(stopping) => stopping.cancelled_owned().await,
                        None => std::future::pending().await,
                    }
                } => Event::Terminated,
                notification = inbox.next(), if idle => Event::Notification(notification),
                () = async {
                    match &mut route {
                        // The gate lives as long as the proxy.
                        Some(route) => drop(route.changed().await),
                        None => std::future::pending().await,
                    }
                } => Event::Route,
                () = until(live) => Event::Idle,
                () = until(deadline) => Event::TimedOut,
            };
            match event {
                Event::Message(here) => {
                    self.card.set(Doing::Active);
                    return Ok(if here { Awaited::Message } else { Awaited::Gone });
                }
                Event::Notification(n) => {
                    write::notification(self.io.out(), n.pid, &n.channel, &n.payload);
                    self.flush().await?;
                }
                Event::Route => {}
                Event::Idle => self.set_aside_live()?,
                Event::Terminated => return Err(cancel::terminated().into()),
                Event::TimedOut => return Err(self.idle_error().into()),
            }
        }
    }

    fn leads_to_postgres(&self) -> bool {
        matches!(self.shared.gate.state(), GateState::Open(Route::Postgres(_)))
    }

    fn idle_limit(&self) -> Option<Duration> {
        let derived = self.settings.derived();
        match self.transaction.block {
            Block::Open | Block::Failed => derived.idle_timeout,
            Block::Idle => derived.session_timeout,
            Block::Implicit => None,
        }
    }

    fn idle_error(&self) -> Error {
        if matches!(self.transaction.block, Block::Idle) {
            let code = crate::error::SqlState::from_code("57P05");
            return Error::client(code, "terminating connection due to idle-session timeout")
                .fatal();
        }
        Error::client(
            state::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
            "terminating connection due to idle-in-transaction timeout",
        )
        .fatal()
    }

    /// Begins the clock of a message: statement_timestamp() and statement_timeout.
    pub(super) fn start_clock(&mut self) {
        self.cancel.begin();
        self.message_at = self.shared.clock.postgres_micros();
        self.start_deadline();
    }

    /// Begins the clock of a statement: statement_timeout.
    pub(super) fn start_deadline(&mut self) {
        let limit = self.settings.derived().statement_timeout;
        self.deadline = limit.map(|limit| self.shared.clock.instant() + limit);
    }

    /// Waits for `what`, unless the client cancels, vanishes or runs out of time.
    pub(super) async fn wait_for<T>(&mut self, what: impl Future<Output = Result<T>>) -> Step<T> {
        self.wait_limited(what, None).await
    }

    /// Like [`Session::wait_for`], with lock_timeout (55P03) as well.
    pub(super) async fn wait_for_lock<T>(
        &mut self,
        what: impl Future<Output = Result<T>>,
    ) -> Step<T> {
        let limit = self.settings.derived().lock_timeout;
        let deadline = limit.map(|limit| self.shared.clock.instant() + limit);
        self.wait_limited(what, deadline).await
    }

    /// Like [`Session::wait_for_lock`], for the writer: also ends when its holder's client
    /// has said nothing for too long. Two transactions of one thread would wait for each
    /// other for ever, where PostgreSQL lets both write.
    pub(super) async fn wait_for_writer<T>(
        &mut self,
        what: impl Future<Output = Result<T>>,
    ) -> Step<T> {
        let shared = Arc::clone(&self.shared);
        self.wait_for_lock(async move {
            tokio::select! {
                biased;
                done = what => done,
                error = holder_is_silent(&shared) => Err(error),
            }
        })
        .await
    }

    async fn wait_limited<T>(
        &mut self,
        what: impl Future<Output = Result<T>>,
        lock: Option<Instant>,
    ) -> Step<T> {
        let deadline = self.deadline;
        let card = Arc::clone(&self.card);
        card.set(Doing::Waiting);
        card.traffic.waits(self.shared.clock.instant());
        let outcome = tokio::select! {
            biased;
            done = what => done.map_err(Stop::from),
            error = self.cancel.requested() => Err(error.into()),
            () = self.io.closed() => Err(Stop::Gone),
            () = until(deadline) => Err(cancel::statement_timeout().into()),
            () = until(lock) => Err(Error::client(
                state::LOCK_NOT_AVAILABLE,
                "canceling statement due to lock timeout",
            )
            .retryable()
            .into()),
        };
        card.traffic.waited(self.shared.clock.instant());
        card.set(Doing::Active);
        outcome
    }
}

/// Ends when one transaction has held the writer, its client silent, for as long as others
/// are willing to wait.
async fn holder_is_silent(shared: &Shared) -> Error {
    let Some(patience) = shared.writer_patience else { return std::future::pending().await };
    let mut seen = None;
    loop {
        let holder = shared.locks.writer_of().and_then(|pid| {
            let silence = shared.sessions.get(&pid)?.silence()?;
            Some((pid, silence))
        });
        if holder.is_none() || holder != seen {
            seen = holder;
        } else if let Some((pid, _)) = holder {
            let message = "could not write: another transaction holds the only writer";
            return Error::client(state::LOCK_NOT_AVAILABLE, message)
                .detail(format!(
                    "Session {pid} has written and waits for its client for more than {} ms.",
                    patience.as_millis()
                ))
                .hint("SQLite has one writer: end the other transaction first.")
                .retryable();
        }
        shared.clock.sleep(patience).await;
    }
}
