//! The gate every statement passes: which back end answers now, and who has to wait.
//!
//! Owns the route. Passing an open gate costs one atomic read and one counter; a closed one
//! makes the session wait, in bounded number (there is one waiter for each session) and for a
//! bounded time. Only the switch opens and closes it; beside that an operator may hold everything
//! that begins, which no step of a switch ends. Start at [`Gate::pass`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::state::Epoch;
use crate::error::{Error, Result, state};

/// The back end that answers, and its reign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// SQLite.
    Sqlite(Epoch),
    /// PostgreSQL.
    Postgres(Epoch),
}

impl Route {
    /// Whether nobody else reigned between `then` and this route: a switch that was undone burns
    /// one number, one that was made and taken back two.
    fn continues(self, then: Self) -> bool {
        match (then, self) {
            (Self::Sqlite(then), Self::Sqlite(now)) => now == then || now == then + 1,
            _ => self == then,
        }
    }
}

/// Whether statements may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateState {
    /// Everything goes to this back end.
    Open(Route),
    /// Reads go on; transactions that have not written yet wait at their first write. On
    /// PostgreSQL everything that is not in a transaction waits.
    Draining(Route),
    /// SQLite is fenced: reads go on, and nobody writes, not even who was inside before.
    Fenced(Route),
    /// Nothing starts until the route is known.
    Closed,
    /// Nobody is served; the reason for clients (57P03).
    Paused(&'static str),
}

/// Tells of every change of a gate, an operator's holding included.
pub type Changes = watch::Receiver<GateState>;

/// What a statement wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Read outside a writing transaction.
    Read,
    /// Start writing.
    Write,
}

/// The gate.
#[derive(Debug)]
pub struct Gate {
    state: watch::Sender<GateState>,
    /// An operator holds what begins, whatever the state.
    held: AtomicBool,
    inside: Tally,
    seats: Tally,
    firm: Mutex<Held>,
    loosened: Notify,
    longest_wait_us: AtomicU64,
    waiting: AtomicUsize,
    /// When those that wait began to; the number tells equal times apart.
    since: Mutex<BTreeSet<(Instant, u64)>>,
    next: AtomicU64,
    throttle_us: AtomicU64,
}

/// How many of something there are, and a way to wait for the last one.
#[derive(Debug, Default)]
struct Tally {
    count: AtomicUsize,
    left: Notify,
}

impl Tally {
    fn enter(&self) {
        self.count.fetch_add(1, Ordering::SeqCst);
    }

    fn leave(&self) {
        if self.count.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.left.notify_waiters();
        }
    }

    fn now(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    async fn emptied(&self, limit: Duration) -> bool {
        let wait = async {
            loop {
                let left = self.left.notified();
                tokio::pin!(left);
                left.as_mut().enable();
                if self.now() == 0 {
                    return;
                }
                left.await;
            }
        };
        tokio::time::timeout(limit, wait).await.is_ok()
    }
}

/// Sessions that hold what cannot move, by the drain before which they began to.
#[derive(Debug, Default)]
struct Held {
    drains: u64,
    counts: BTreeMap<(u64, Hold), usize>,
}

impl Held {
    fn add(&mut self, of: (u64, Hold)) {
        *self.counts.entry(of).or_insert(0) += 1;
    }

    fn take(&mut self, of: (u64, Hold)) {
        if let Some(count) = self.counts.get_mut(&of) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&of);
            }
        }
    }
}

/// What becomes of what a session holds when the primary changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hold {
    /// It may be written, or would be lost: it has to end first.
    Ends,
    /// It is of the past, and the session may go on with it: a snapshot can still be read, a failed
    /// transaction can still be rolled back.
    Stays,
}

/// A session holds what cannot move, until this is dropped.
#[derive(Debug)]
pub struct Firm {
    gate: Arc<Gate>,
    of: (u64, Hold),
}

/// A session has a server session on PostgreSQL, until this is dropped.
#[derive(Debug)]
pub struct Seat(Arc<Gate>);

/// Leave to use a route; give it back (drop it) when no transaction is open any more.
#[derive(Debug)]
pub struct Pass {
    gate: Arc<Gate>,
    route: Route,
}

impl Gate {
    /// A gate that starts in the given state.
    pub fn new(state: GateState) -> Arc<Self> {
        Arc::new(Self {
            state: watch::Sender::new(state),
            held: AtomicBool::new(false),
            inside: Tally::default(),
            seats: Tally::default(),
            firm: Mutex::default(),
            loosened: Notify::new(),
            longest_wait_us: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            since: Mutex::default(),
            next: AtomicU64::new(0),
            throttle_us: AtomicU64::new(0),
        })
    }

    /// The state now.
    pub fn state(&self) -> GateState {
        *self.state.borrow()
    }

    /// The route, unless nothing may start.
    pub fn route(&self) -> Option<Route> {
        match self.state() {
            GateState::Open(route) | GateState::Draining(route) | GateState::Fenced(route) => {
                Some(route)
            }
            GateState::Closed | GateState::Paused(_) => None,
        }
    }

    /// Waits until the wish may start, and returns the route it must take.
    ///
    /// # Errors
    /// 57P03 when nobody is served or the wait passes `limit`; the statement has not started.
    pub async fn pass(self: &Arc<Self>, wish: Wish, limit: Duration) -> Result<Pass> {
        let throttle = self.throttle_us.load(Ordering::Relaxed);
        if throttle > 0 && wish == Wish::Write {
            tokio::time::sleep(Duration::from_micros(throttle)).await;
        }
        if let Some(pass) = self.try_pass(wish) {
            return pass;
        }
        let started = Instant::now();
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let began = Began { gate: self, at: (started, self.next.fetch_add(1, Ordering::Relaxed)) };
        self.since.lock().insert(began.at);
        let mut changes = self.state.subscribe();
        let waited = tokio::time::timeout(limit, async {
            loop {
                if let Some(pass) = self.try_pass(wish) {
                    return pass;
                }
                if changes.changed().await.is_err() {
                    return Err(shutting_down());
                }
            }
        })
        .await;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        let us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.longest_wait_us.fetch_max(us, Ordering::Relaxed);
        drop(began);
        waited.unwrap_or_else(|_| {
            Err(Error::client(state::CANNOT_CONNECT_NOW, "the switch of back ends takes too long")
                .hint("The statement has not started; try it again.")
                .retryable())
        })
    }

    /// Passes at once when the wish may start now.
    fn try_pass(self: &Arc<Self>, wish: Wish) -> Option<Result<Pass>> {
        // Counted first, looked at second: whoever closes the gate and then sees nobody inside
        // knows that later comers see it closed.
        self.inside.enter();
        let admitted = match self.state() {
            GateState::Paused(reason) => {
                Some(Err(Error::client(state::CANNOT_CONNECT_NOW, reason)))
            }
            _ if self.is_held() => None,
            GateState::Open(route) => Some(Ok(route)),
            GateState::Draining(route @ Route::Sqlite(_)) | GateState::Fenced(route)
                if wish == Wish::Read =>
            {
                Some(Ok(route))
            }
            GateState::Draining(_) | GateState::Fenced(_) | GateState::Closed => None,
        };
        match admitted {
            Some(Ok(route)) => Some(Ok(Pass { gate: Arc::clone(self), route })),
            other => {
                self.inside.leave();
                other.map(|r| r.map(|_| unreachable!("invariant: routes are handled above")))
            }
        }
    }

    /// Whether the pass's route may still be used to start writing: checked again by a session
    /// that waited for the writer meanwhile.
    pub fn still_open(&self, pass: &Pass) -> bool {
        self.state() == GateState::Open(pass.route)
    }

    /// Whether somebody who was inside before may go on to write by this route: the writer
    /// must be held when this is asked, because the fence is set under it.
    pub fn may_write(&self, route: Route) -> bool {
        matches!(self.state(), GateState::Open(r) | GateState::Draining(r) if r.continues(route))
    }

    /// Whether the route still answers.
    pub fn serves(&self, route: Route) -> bool {
        self.route().is_some_and(|now| now.continues(route))
    }

    /// Notes that a session holds what cannot move.
    pub fn hold_fast(self: &Arc<Self>, hold: Hold) -> Firm {
        let mut held = self.firm.lock();
        let of = (held.drains, hold);
        held.add(of);
        Firm { gate: Arc::clone(self), of }
    }

    /// Lets nothing new begin that writes.
    pub fn drain(&self, route: Route) {
        self.firm.lock().drains += 1;
        self.set(GateState::Draining(route));
    }

    /// Waits until nobody is left who held what cannot move before the drain began, or nobody but
    /// those who may go on with it; false when `limit` passes first. Who begins to hold something
    /// later can only read.
    pub async fn loosened(&self, but_for: Option<Hold>, limit: Duration) -> bool {
        let wait = async {
            loop {
                let loosened = self.loosened.notified();
                tokio::pin!(loosened);
                loosened.as_mut().enable();
                if self.firm_but_for(but_for) == 0 {
                    return;
                }
                loosened.await;
            }
        };
        tokio::time::timeout(limit, wait).await.is_ok()
    }

    /// Sessions that have held such a thing since before the last drain began.
    pub fn firm(&self, hold: Hold) -> usize {
        self.firm_where(|of| of == hold)
    }

    fn firm_but_for(&self, but_for: Option<Hold>) -> usize {
        self.firm_where(|of| Some(of) != but_for)
    }

    /// Counted at one moment: a session may turn from one kind to the other meanwhile.
    fn firm_where(&self, counts: impl Fn(Hold) -> bool) -> usize {
        let held = self.firm.lock();
        let before = held.counts.range(..(held.drains, Hold::Ends));
        before.filter(|((_, of), _)| counts(*of)).map(|(_, n)| n).sum()
    }

    /// Notes that a session has a server session on PostgreSQL.
    pub fn take_seat(self: &Arc<Self>) -> Seat {
        self.seats.enter();
        Seat(Arc::clone(self))
    }

    /// Waits until no session is on PostgreSQL; false when `limit` passes first.
    pub async fn vacated(&self, limit: Duration) -> bool {
        self.seats.emptied(limit).await
    }

    /// Delays every new writing transaction by this; zero ends it.
    pub fn throttle(&self, pause: Duration) {
        let us = u64::try_from(pause.as_micros()).unwrap_or(u64::MAX);
        self.throttle_us.store(us, Ordering::Relaxed);
    }

    /// Holds everything that begins, for an operator, or lets it go on.
    pub fn hold(&self, on: bool) {
        self.held.store(on, Ordering::SeqCst);
        // Wakes those that wait.
        self.state.send_modify(|_| {});
    }

    /// Whether an operator holds what begins.
    pub fn is_held(&self) -> bool {
        self.held.load(Ordering::SeqCst)
    }

    /// Opens, drains, closes or pauses. Only the switch does this.
    pub fn set(&self, state: GateState) {
        self.state.send_replace(state);
    }

    /// Passes in use.
    pub fn inside(&self) -> usize {
        self.inside.now()
    }

    /// Sessions waiting now.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Waits until no pass is in use; false when `limit` passes first.
    pub async fn emptied(&self, limit: Duration) -> bool {
        self.inside.emptied(limit).await
    }

    /// The longest wait since the last call, and starts over.
    pub fn take_longest_wait(&self) -> Duration {
        // Those that have been released but have not run since count as well.
        let now = self.since.lock().first().map(|(at, _)| at.elapsed()).unwrap_or_default();
        now.max(Duration::from_micros(self.longest_wait_us.swap(0, Ordering::Relaxed)))
    }

    /// Resolves at the next change of state.
    pub fn changes(&self) -> Changes {
        self.state.subscribe()
    }
}

impl Pass {
    /// The back end to use.
    pub fn route(&self) -> Route {
        self.route
    }
}

/// A wait that is under way, also when it is given up.
struct Began<'a> {
    gate: &'a Gate,
    at: (Instant, u64),
}

impl Drop for Began<'_> {
    fn drop(&mut self) {
        self.gate.since.lock().remove(&self.at);
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.gate.inside.leave();
    }
}

impl Firm {
    /// The session holds something else now, and has held fast all the time.
    pub fn turn(&mut self, hold: Hold) {
        if self.of.1 == hold {
            return;
        }
        let mut held = self.gate.firm.lock();
        held.take(self.of);
        self.of.1 = hold;
        held.add(self.of);
        drop(held);
        self.gate.loosened.notify_waiters();
    }
}

impl Drop for Firm {
    fn drop(&mut self) {
        self.gate.firm.lock().take(self.of);
        self.gate.loosened.notify_waiters();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.seats.leave();
    }
}

fn shutting_down() -> Error {
    Error::client(state::ADMIN_SHUTDOWN, "terminating connection due to administrator command")
        .fatal()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn draining_lets_reads_through_and_holds_writes() {
        let gate = Gate::new(GateState::Open(Route::Sqlite(1)));
        let held = gate.pass(Wish::Write, LIMIT).await.unwrap();
        gate.set(GateState::Draining(Route::Sqlite(1)));
        assert!(!gate.still_open(&held));
        assert_eq!(gate.pass(Wish::Read, LIMIT).await.unwrap().route(), Route::Sqlite(1));
        let waiting = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.pass(Wish::Write, LIMIT).await.map(|p| p.route()) }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!gate.emptied(Duration::from_millis(20)).await);
        drop(held);
        assert!(gate.emptied(LIMIT).await);
        gate.set(GateState::Open(Route::Postgres(2)));
        assert_eq!(waiting.await.unwrap().unwrap(), Route::Postgres(2));
        assert!(gate.take_longest_wait() >= Duration::from_millis(20));
    }

    #[tokio::test]
    async fn a_fence_stops_who_was_inside_from_writing() {
        let route = Route::Sqlite(1);
        let gate = Gate::new(GateState::Open(route));
        let mut before = gate.hold_fast(Hold::Ends);
        assert!(gate.may_write(route));
        gate.drain(route);
        // Who was inside before the drain ends what it began.
        assert!(gate.may_write(route) && gate.firm(Hold::Ends) == 1);
        let later = gate.hold_fast(Hold::Ends);
        let short = Duration::from_millis(10);
        assert!(!gate.loosened(Some(Hold::Stays), short).await);
        before.turn(Hold::Stays);
        assert!(gate.loosened(Some(Hold::Stays), LIMIT).await, "it may stay");
        assert!(!gate.loosened(None, short).await);
        before.turn(Hold::Ends);
        assert!(!gate.loosened(Some(Hold::Stays), short).await, "it holds since before the drain");
        drop(before);
        assert!(gate.loosened(None, LIMIT).await, "who came later is not waited for");
        gate.set(GateState::Fenced(route));
        assert!(!gate.may_write(route) && gate.serves(route));
        assert_eq!(gate.pass(Wish::Read, LIMIT).await.unwrap().route(), route);
        assert!(gate.pass(Wish::Write, Duration::from_millis(10)).await.is_err());
        gate.set(GateState::Closed);
        assert!(!gate.serves(route));
        // A switch that was undone burns a number: who stayed goes on.
        gate.set(GateState::Open(Route::Sqlite(2)));
        assert!(gate.serves(route) && gate.may_write(route));
        gate.set(GateState::Open(Route::Postgres(2)));
        assert!(!gate.serves(route) && !gate.may_write(route));
        // PostgreSQL reigned in between.
        gate.set(GateState::Open(Route::Sqlite(3)));
        assert!(!gate.serves(route) && !gate.may_write(route));
        drop(later);
        let seat = gate.take_seat();
        assert!(!gate.vacated(Duration::from_millis(10)).await);
        drop(seat);
        assert!(gate.vacated(LIMIT).await);
    }

    #[tokio::test]
    async fn what_an_operator_holds_no_switch_lets_go() {
        let route = Route::Sqlite(1);
        let gate = Gate::new(GateState::Open(route));
        let inside = gate.pass(Wish::Write, LIMIT).await.unwrap();
        gate.hold(true);
        assert!(gate.still_open(&inside), "who is inside ends what it began");
        gate.set(GateState::Open(route));
        assert!(gate.pass(Wish::Read, Duration::from_millis(10)).await.is_err());
        assert!(gate.pass(Wish::Write, Duration::from_millis(10)).await.is_err());
        let waiting = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.pass(Wish::Read, LIMIT).await.map(|p| p.route()) }
        });
        while gate.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        gate.set(GateState::Open(Route::Postgres(2)));
        gate.hold(false);
        assert_eq!(waiting.await.unwrap().unwrap(), Route::Postgres(2));
    }

    #[tokio::test]
    async fn a_wait_is_bounded_and_says_why() {
        let gate = Gate::new(GateState::Closed);
        let error = gate.pass(Wish::Read, Duration::from_millis(10)).await.unwrap_err();
        assert_eq!(error.sqlstate(), state::CANNOT_CONNECT_NOW);
        gate.set(GateState::Paused("a back end was restored from a backup"));
        let error = gate.pass(Wish::Read, LIMIT).await.unwrap_err();
        assert_eq!(error.message(), "a back end was restored from a backup");
        assert_eq!(gate.inside(), 0);
    }
}
