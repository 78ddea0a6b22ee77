//! Between the back ends: the gate before each statement, and what keeps a session from moving.
//!
//! Owns when a session's pass is kept and given back. It must never let a statement run on a
//! back end that is not primary any more, except on a snapshot of its own past. Start at
//! [`Session::pass_gate`].

use std::sync::Arc;

use super::settings::{Settings, Snapshot};
use super::transaction::{Block, Transaction};
use super::{Session, Step, Stop};
use crate::backend::postgres::handover;
use crate::cutover::gate::{GateState, Hold, Route, Wish};
use crate::error::{Error, state};

/// How long the switch may hold a statement up.
pub(super) const GATE_WAIT: std::time::Duration = std::time::Duration::from_secs(30);

/// What a session, not only its transaction, may hold that cannot move.
const TEMPORARY: &str = handover::TEMPORARY;
const ADVISORY: &str = handover::ADVISORY;

/// What a transaction may hold while the primary changes.
const SNAPSHOT: &str = "a snapshot";
const FAILED: &str = "a failed transaction";

/// Whether a session may go on with what it holds after the primary has changed: it is of the past.
pub fn stays(what: &str) -> bool {
    matches!(what, SNAPSHOT | FAILED)
}

/// Whether what keeps a session from moving outlives its transaction.
pub fn holds_for_ever(what: &str) -> bool {
    matches!(what, TEMPORARY | ADVISORY | handover::CURSOR)
}

/// What a session holds exists on SQLite alone, and SQLite is not primary any more. What
/// belongs to a transaction ends with it; what belongs to the session takes it along (57P01).
pub(super) fn left_behind(what: &'static str) -> Error {
    if matches!(what, TEMPORARY | ADVISORY) {
        let message = "terminating connection because its session cannot move";
        return Error::client(state::ADMIN_SHUTDOWN, message)
            .detail(format!("It holds {what} while the primary changes."))
            .fatal();
    }
    let message = "could not serialize access because the primary has changed";
    Error::primary(state::SERIALIZATION_FAILURE, message)
        .detail(format!("The transaction holds {what}."))
        .retryable()
}

impl Session {
    /// Leave to run one statement. A transaction that has written holds its own.
    pub(super) async fn pass_gate(&mut self) -> Step<()> {
        if self.transaction.held.is_some() {
            return Ok(());
        }
        if let Some(pass) = &self.transaction.pass {
            if self.shared.gate.serves(pass.route()) || self.transaction.snapshot.is_some() {
                return Ok(());
            }
            // The primary has changed while the pass was kept.
            if let Some(what) = self.holds_fast() {
                return Err(left_behind(what).into());
            }
            self.transaction.pass = None;
        }
        let gate = Arc::clone(&self.shared.gate);
        let pass = match gate.state() {
            // The usual case waits for nothing.
            GateState::Open(_) if !gate.is_held() => gate.pass(Wish::Read, GATE_WAIT).await?,
            _ => self.wait_for(async move { gate.pass(Wish::Read, GATE_WAIT).await }).await?,
        };
        if let Route::Postgres(_) = pass.route() {
            self.moving = Some(pass);
            return Err(Stop::Move);
        }
        self.transaction.pass = Some(pass);
        Ok(())
    }

    /// Whether the next message must pass the gate before it is taken: nothing of the client
    /// is under way on SQLite.
    pub(super) fn is_at_border(&self) -> bool {
        let t = &self.transaction;
        t.pass.is_none()
            && t.held.is_none()
            && t.block != Block::Failed
            && !self.skipping
            && matches!(self.io.next_kind(), Some(b'Q' | b'P' | b'B' | b'D' | b'E' | b'F'))
    }

    /// What the session holds on SQLite that cannot move to PostgreSQL, beside writes.
    pub(super) fn holds_fast(&self) -> Option<&'static str> {
        let t = &self.transaction;
        if t.snapshot.is_some() {
            Some(SNAPSHOT)
        } else if self.portals.has_rows_left() {
            Some("an open cursor")
        } else if !self.temporary().is_empty() || self.own.is_some() || self.types.any_temporary() {
            Some(TEMPORARY)
        } else if !self.held.is_empty() {
            Some(ADVISORY)
        } else if !t.notifications.is_empty() || !t.listens.is_empty() {
            Some("a pending NOTIFY or LISTEN")
        } else {
            None
        }
    }

    pub(super) fn set_immovable(&mut self, why: Option<&'static str>) {
        if self.immovable != why {
            self.immovable = why;
            self.card.set_immovable(why);
        }
        let hold = why.map(|what| if stays(what) { Hold::Stays } else { Hold::Ends });
        match (hold, &mut self.firm) {
            (None, firm) => *firm = None,
            (Some(hold), Some(firm)) => firm.turn(hold),
            (Some(hold), firm) => *firm = Some(self.shared.gate.hold_fast(hold)),
        }
    }

    /// The session is on PostgreSQL now: nothing is left of its transaction here.
    pub(super) fn moved_away(&mut self) {
        self.transaction = Transaction::default();
        self.settings.end_local();
        self.set_immovable(None);
        self.skipping = false;
        self.lost = None;
        self.deadline = None;
    }

    /// How the transaction without writes that is open here is made anew: the settings it
    /// began with, and its statements in order. Nothing when none is open.
    pub(super) fn replay(&self) -> (Snapshot, Vec<String>) {
        let now = self.settings.snapshot();
        let t = &self.transaction;
        let (Block::Open, Some(begin)) = (t.block, &t.begin) else { return (now, Vec::new()) };
        let mut all = vec![format!(
            "BEGIN ISOLATION LEVEL {}, {}{}",
            t.isolation_name.to_ascii_uppercase(),
            if t.read_only { "READ ONLY" } else { "READ WRITE" },
            if t.deferrable { ", DEFERRABLE" } else { "" }
        )];
        let settle = |from: &Snapshot, to: &Snapshot, all: &mut Vec<String>| {
            for (name, value, local) in Settings::changes(from, to) {
                all.push(match value {
                    Some(value) => handover::set_config(&name, &value, local),
                    None => format!("RESET {}", handover::quoted(&name)),
                });
            }
        };
        let mut at = begin;
        for savepoint in &t.savepoints {
            settle(at, &savepoint.settings, &mut all);
            all.push(format!("SAVEPOINT {}", handover::quoted(&savepoint.name)));
            at = &savepoint.settings;
        }
        settle(at, &now, &mut all);
        all.extend(t.constraints.iter().map(|(names, deferred)| {
            let names: Vec<String> = names.iter().map(|name| handover::quoted(name)).collect();
            let names = if names.is_empty() { "ALL".to_owned() } else { names.join(", ") };
            format!("SET CONSTRAINTS {names} {}", if *deferred { "DEFERRED" } else { "IMMEDIATE" })
        }));
        (begin.clone(), all)
    }

    /// A statement has ended: a transaction without writes may move before its next one,
    /// unless it holds something that cannot.
    pub(super) fn leave_gate(&mut self) {
        let t = &self.transaction;
        let why = match self.holds_fast() {
            None if t.held.is_some() => Some("a transaction that has written"),
            None if t.block == Block::Failed => Some(FAILED),
            None if !self.portals.are_done() => Some("an open portal"),
            why => why,
        };
        self.set_immovable(why);
        if why.is_none() {
            self.transaction.pass = None;
        }
    }
}
