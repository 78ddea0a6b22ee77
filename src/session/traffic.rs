//! What a session has carried: transactions, statements, bytes, times.
//!
//! Owns [`Totals`] and [`Traffic`]. A session writes its own counts, so that nothing is shared
//! between cores on the way of a statement; they are added up when somebody asks.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::wire::Carried;

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Transactions that ended, single statements included.
    pub transactions: u64,
    /// Statements that ended.
    pub statements: u64,
    /// Bytes read from clients.
    pub received: u64,
    /// Bytes written to clients.
    pub sent: u64,
    /// Microseconds in transactions, waits for the client included.
    pub transaction_us: u64,
    /// Microseconds of statements.
    pub statement_us: u64,
    /// Microseconds of waiting for a lock, a reader, the writer or the gate.
    pub wait_us: u64,
}

impl Totals {
    /// Adds another's counts.
    pub fn add(&mut self, other: &Self) {
        self.transactions += other.transactions;
        self.statements += other.statements;
        self.received += other.received;
        self.sent += other.sent;
        self.transaction_us += other.transaction_us;
        self.statement_us += other.statement_us;
        self.wait_us += other.wait_us;
    }

    /// What has come since an earlier count.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            transactions: self.transactions.saturating_sub(earlier.transactions),
            statements: self.statements.saturating_sub(earlier.statements),
            received: self.received.saturating_sub(earlier.received),
            sent: self.sent.saturating_sub(earlier.sent),
            transaction_us: self.transaction_us.saturating_sub(earlier.transaction_us),
            statement_us: self.statement_us.saturating_sub(earlier.statement_us),
            wait_us: self.wait_us.saturating_sub(earlier.wait_us),
        }
    }
}

/// The counts of one session.
#[derive(Debug, Default)]
pub(super) struct Traffic(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    totals: Totals,
    /// Begin of the first statement and end of the last one of the transaction that is open.
    open: Option<(Instant, Instant)>,
    /// Since when it waits.
    waits: Option<Instant>,
}

fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}

impl Traffic {
    /// Statements ended now, which took so long together.
    pub(super) fn statements(&self, count: u64, now: Instant, took: Duration) {
        let mut state = self.0.lock();
        state.totals.statements += count;
        state.totals.statement_us += micros(took);
        let began = now.checked_sub(took).unwrap_or(now);
        let first = state.open.map_or(began, |(first, _)| first);
        state.open = Some((first, now));
    }

    /// No transaction is open any more.
    pub(super) fn settled(&self) {
        let mut state = self.0.lock();
        if let Some((first, last)) = state.open.take() {
            state.totals.transactions += 1;
            state.totals.transaction_us += micros(last.saturating_duration_since(first));
        }
    }

    /// What the connection has carried.
    pub(super) fn carried(&self, carried: Carried) {
        let totals = &mut self.0.lock().totals;
        (totals.received, totals.sent) = (carried.received, carried.sent);
    }

    /// A wait begins.
    pub(super) fn waits(&self, now: Instant) {
        self.0.lock().waits = Some(now);
    }

    /// The wait has ended.
    pub(super) fn waited(&self, now: Instant) {
        let mut state = self.0.lock();
        if let Some(since) = state.waits.take() {
            state.totals.wait_us += micros(now.saturating_duration_since(since));
        }
    }

    /// The counts, and how long it has been waiting now.
    pub(super) fn now(&self, now: Instant) -> (Totals, Option<Duration>) {
        let state = self.0.lock();
        (state.totals, state.waits.map(|since| now.saturating_duration_since(since)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_ends_once_and_lasts_from_its_first_statement() {
        let traffic = Traffic::default();
        let begin = Instant::now();
        let at = |ms| begin + Duration::from_millis(ms);
        traffic.statements(1, at(10), Duration::from_millis(10));
        traffic.statements(1, at(40), Duration::from_millis(5));
        traffic.settled();
        traffic.settled();
        traffic.waits(at(50));
        assert_eq!(traffic.now(at(53)).1, Some(Duration::from_millis(3)));
        traffic.waited(at(57));
        let (totals, waiting) = traffic.now(at(60));
        assert_eq!((totals.transactions, totals.statements), (1, 2));
        assert_eq!((totals.transaction_us, totals.statement_us), (40_000, 15_000));
        assert_eq!((totals.wait_us, waiting), (7_000, None));
        let mut sum = totals;
        sum.add(&totals);
        assert_eq!(sum.since(&totals), totals);
    }
}
