//! What the engine learns from sessions: reads to compare, failed statements, timings.
//!
//! Owns [`Observer`], implemented above by the glue to `mirror`, `compare` and telemetry. A
//! session must never wait for an observer, and an observer has no way to fail a statement.

use std::sync::Arc;
use std::time::Duration;

use crate::backend::Position;
use crate::backend::postgres::tally::Tally;
use crate::backend::sqlite::functions::session::Session as Scope;
use crate::error::Error;
use crate::sql::plan::Plan;
use crate::value::Cell;

/// How much of a sampled read is kept.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Rows kept for showing a difference; the digest covers all rows.
    pub rows: usize,
    /// Bytes kept.
    pub bytes: usize,
}

/// A read that ran on the primary.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Commit its snapshot saw; None when it ran after its transaction's own writes, or
    /// when commits came in between so that the position is not known.
    pub position: Option<Position>,
    /// The statement.
    pub plan: Arc<Plan>,
    /// The client's parameters as logical cells.
    pub params: Vec<Cell>,
    /// The frozen values bound after them.
    pub frozen: Vec<Cell>,
    /// Digest of the rows, values in canonical form; their order does not count.
    pub digest: [u8; 32],
    /// Number of rows.
    pub rows: u64,
    /// The first rows, as SQLite's cells (decode with the plan's codecs).
    pub kept: Vec<Vec<Cell>>,
    /// How long the primary took.
    pub took: Duration,
    /// Settings of the session that differ from the mirror's.
    pub settings: Arc<[(String, String)]>,
    /// What its functions saw of the session.
    pub scope: Arc<Scope>,
}

/// A statement that failed on the primary.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The last commit its state held.
    pub position: Position,
    /// Its transaction had changed something before it.
    pub own_writes: bool,
    /// The frozen values bound after the parameters.
    pub frozen: Vec<Cell>,
    /// Settings of the session that differ from the mirror's.
    pub settings: Arc<[(String, String)]>,
    /// The statement.
    pub plan: Arc<Plan>,
    /// The client's parameters as logical cells.
    pub params: Vec<Cell>,
    /// Its error.
    pub error: Error,
}

/// A statement that ended, well or not.
#[derive(Clone, Copy, Debug)]
pub struct Finished<'a> {
    /// The statement.
    pub plan: &'a Plan,
    /// Rows sent or changed.
    pub rows: u64,
    /// How long the primary took.
    pub took: Duration,
    /// Its error, when it failed.
    pub error: Option<&'a Error>,
}

/// Told what sessions do. Every method must return at once.
pub trait Observer: Send + Sync {
    /// Whether this read is to be sampled; asked before it runs.
    fn wants(&self, _plan: &Plan) -> Option<Limits> {
        None
    }

    /// A sampled read.
    fn read(&self, _sample: Sample) {}

    /// Whether failed statements are wanted.
    fn wants_failures(&self) -> bool {
        false
    }

    /// A failed statement.
    fn failed(&self, _failure: Failure) {}

    /// A statement ended.
    fn finished(&self, _finished: Finished<'_>) {}

    /// A read that has no common position, and why (one of the reasons of the contract).
    fn unwatched(&self, _plan: &Plan, _reason: &'static str) {}

    /// A statement was refused before it could be planned.
    fn refused(&self, _text: &str, _error: &Error) {}

    /// Statements that passed to PostgreSQL and back have ended, the last one after `took`.
    fn relayed(&self, _tally: &Tally, _took: Duration) {}

    /// A writer was waited for.
    fn waited(&self, _took: Duration) {}
}

/// Observes nothing: phase direct.
#[derive(Debug, Default)]
pub struct Quiet;

impl Observer for Quiet {}
