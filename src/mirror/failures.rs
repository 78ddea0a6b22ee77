//! Statements that failed on the primary, asked of the shadow at exactly that position.
//!
//! They leave no record in the journal. A bounded queue brings them to the applier, which runs
//! each one where it stands at the position the statement saw, behind a savepoint that is always
//! rolled back, under time limits, and compares SQLSTATEs. A statement that failed on the writer
//! was offered before its transaction gave the writer up, so no later commit can have passed it;
//! what the applier has passed all the same is counted `cut_missed`. Start at [`at`].

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_postgres::types::{ToSql, Type as PgType};

use super::batch::Batch;
use super::reads::parameters;
use crate::backend::Position;
use crate::backend::postgres::apply::pg_type;
use crate::backend::postgres::binary::Binary;
use crate::backend::postgres::control::set_local;
use crate::divergence::Sample;
use crate::error::{Error, Result};
use crate::sql::plan::{Action, Plan, QueryPlan};
use crate::telemetry::live::Lane;
use crate::value::{Cell, Type};

/// Failures waiting; further ones are counted as `queue_full`.
const QUEUE_MAX: usize = 256;
/// Failures run at one position; further ones are counted as `sampled_out`.
const AT_ONCE: usize = 16;

/// A statement that failed on the primary.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The last commit its state held.
    pub position: Position,
    /// Its transaction had changed something before it.
    pub own_writes: bool,
    /// The statement.
    pub plan: Arc<Plan>,
    /// Parameters as logical cells.
    pub params: Vec<Cell>,
    /// Frozen values as logical cells.
    pub frozen: Vec<Cell>,
    /// Settings of the session that differ from the mirror's.
    pub settings: Vec<(String, String)>,
    /// Its error.
    pub error: Error,
}

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Failures {
    queue: Mutex<VecDeque<Failure>>,
    len: AtomicUsize,
    arrived: Notify,
}

impl Failures {
    /// Hands one over; false when the queue is full.
    pub(super) fn offer(&self, failure: Failure) -> bool {
        let mut queue = self.queue.lock();
        if queue.len() >= QUEUE_MAX {
            return false;
        }
        queue.push_back(failure);
        self.len.store(queue.len(), Ordering::Release);
        drop(queue);
        self.arrived.notify_one();
        true
    }

    /// Has the applier look around, though none has arrived.
    pub(super) fn wake(&self) {
        self.arrived.notify_one();
    }

    /// Resolves when one arrives.
    pub(super) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Whether one waits for this position, or for one before it.
    pub(super) fn are_due(&self, at: Position) -> bool {
        self.len.load(Ordering::Acquire) > 0 && self.queue.lock().iter().any(|f| f.position <= at)
    }

    /// The first position that one waits for.
    pub(super) fn first(&self) -> Option<Position> {
        if self.len.load(Ordering::Acquire) == 0 {
            return None;
        }
        self.queue.lock().iter().map(|f| f.position).min()
    }

    /// Those of this position, and those whose position has passed.
    fn take(&self, at: Position) -> (Vec<Failure>, Vec<Failure>) {
        if self.len.load(Ordering::Acquire) == 0 {
            return (Vec::new(), Vec::new());
        }
        let mut queue = self.queue.lock();
        let (due, rest): (Vec<_>, Vec<_>) = queue.drain(..).partition(|f| f.position <= at);
        queue.extend(rest);
        self.len.store(queue.len(), Ordering::Release);
        due.into_iter().partition(|f| f.position == at)
    }

    /// Everything, when no shadow will ever stand there.
    pub(super) fn clear(&self) -> Vec<Failure> {
        let mut queue = self.queue.lock();
        self.len.store(0, Ordering::Release);
        queue.drain(..).collect()
    }
}

/// Runs what failed at the position where the applier's open transaction stands.
///
/// # Errors
/// Only when the connection or the transaction is lost.
pub(super) async fn at(batch: &mut Batch, position: Position) -> Result<()> {
    let (due, passed) = batch.shared.failures.take(position);
    for failure in &passed {
        skip(batch, failure, "cut_missed");
    }
    for (n, failure) in due.iter().enumerate() {
        let Action::Query(query) = &failure.plan.action else { continue };
        match obstacle(batch, failure, query) {
            Some(reason) => skip(batch, failure, reason),
            None if n >= AT_ONCE => skip(batch, failure, "sampled_out"),
            None => one(batch, failure, query).await?,
        }
    }
    Ok(())
}

fn skip(batch: &Batch, failure: &Failure, reason: &'static str) {
    batch.shared.skipped(Lane::Error, failure.plan.fingerprint.id, reason);
}

fn obstacle(batch: &Batch, failure: &Failure, query: &QueryPlan) -> Option<&'static str> {
    if query.volatile {
        return Some("volatile");
    }
    if query.temporary {
        return Some("session_state");
    }
    if failure.own_writes {
        return Some("own_writes");
    }
    let refused = query.reads.iter().chain(&query.writes).any(|t| batch.shadow.is_refused(t));
    (query.postgres.is_none() || refused).then_some("unsupported")
}

/// How the shadow answered.
enum Answer {
    Done,
    Failed(Error),
    /// It proves nothing: a time limit, a lock, a lack of something.
    Nothing,
}

async fn one(batch: &mut Batch, failure: &Failure, query: &QueryPlan) -> Result<()> {
    batch.settle().await?;
    let control = batch.control();
    let limit = batch.shared.settings.timeout.as_millis();
    let replica = if batch.replica { "SET LOCAL session_replication_role = origin; " } else { "" };
    let begin = format!(
        "SAVEPOINT crossfade_failure; {replica}SET LOCAL lock_timeout = {limit}; \
         SET LOCAL statement_timeout = {limit}; {}{}",
        if query.writes.is_some() { batch.quiet.loud.as_str() } else { "" },
        set_local(&failure.settings)
    );
    let answer = match control.batch(&begin).await {
        Ok(()) => ask(batch, failure, query).await,
        Err(_) => Answer::Nothing,
    };
    // What it did is undone, and the settings with it.
    control.batch("ROLLBACK TO crossfade_failure; RELEASE crossfade_failure").await?;
    let quarantined = match &answer {
        Answer::Nothing => false,
        _ => batch.shadow.holds_any(&control, query.reads.iter().chain(&query.writes)).await?,
    };
    if quarantined {
        skip(batch, failure, "unsupported");
    } else {
        judge(batch, failure, query, answer);
    }
    Ok(())
}

async fn ask(batch: &Batch, failure: &Failure, query: &QueryPlan) -> Answer {
    let control = batch.control();
    let types: Vec<Type> =
        failure.plan.params.iter().copied().chain(query.frozen.iter().map(|f| f.ty)).collect();
    let pg_types: Option<Vec<PgType>> = types.iter().map(|t| pg_type(*t)).collect();
    let cells = failure.params.iter().chain(&failure.frozen);
    let params: Result<Vec<Binary>> =
        cells.zip(&types).map(|(cell, ty)| Binary::logical(cell, *ty)).collect();
    let (Some(pg_types), Ok(params)) = (pg_types, params) else { return Answer::Nothing };
    let params: Vec<&(dyn ToSql + Sync)> =
        params.iter().map(|p| p as &(dyn ToSql + Sync)).collect();
    let text = query.postgres.as_deref().unwrap_or_default();
    let outcome = async {
        let statement = control.client().prepare_typed(text, &pg_types).await?;
        control.client().execute(&statement, &params).await
    };
    match outcome.await.map_err(|e| control.error(&e)) {
        Ok(_) => Answer::Done,
        Err(error) if proves_nothing(&error) => Answer::Nothing,
        Err(error) => Answer::Failed(error),
    }
}

/// Errors of the moment, of the connection, of resources, of the transaction's state.
pub(super) fn proves_nothing(error: &Error) -> bool {
    matches!(
        error.sqlstate().class(),
        "08" | "0A" | "25" | "40" | "53" | "54" | "55" | "57" | "58" | "XX"
    )
}

/// Whether it goes through rows in an order of its own: UPDATE and DELETE do, through those that
/// they change.
fn meets_rows(query: &QueryPlan) -> bool {
    !query.reads.is_empty() || matches!(query.tag, "UPDATE" | "DELETE" | "MERGE")
}

fn judge(batch: &Batch, failure: &Failure, query: &QueryPlan, answer: Answer) {
    let fingerprint = failure.plan.fingerprint.id;
    let verdict = |label| batch.shared.verdict(Lane::Error, fingerprint, label);
    let ours = failure.error.sqlstate();
    let (class, theirs, message) = match answer {
        Answer::Nothing => return verdict("inconclusive"),
        Answer::Failed(theirs) if theirs.sqlstate() == ours => return verdict("match"),
        Answer::Failed(theirs) if theirs.sqlstate().class() == ours.class() => {
            return verdict("match_normalized");
        }
        // Which of a statement's errors comes first may depend on the order of its rows; that
        // PostgreSQL cannot read or type it does not.
        Answer::Failed(theirs) if meets_rows(query) && theirs.sqlstate().class() != "42" => {
            return verdict("ambiguous");
        }
        Answer::Failed(theirs) => {
            let message = format!("it failed on both sides, on PostgreSQL: {}", theirs.message());
            ("sqlstate", Some(theirs.sqlstate().to_string()), message)
        }
        Answer::Done if query.unordered_limit => return verdict("ambiguous"),
        Answer::Done => {
            let message = "it failed on SQLite and not on PostgreSQL".to_owned();
            ("error_primary_only", None, message)
        }
    };
    let evidence = Sample {
        class: class.to_owned(),
        fingerprint: failure.plan.fingerprint.text.clone(),
        table: query.writes.clone().or_else(|| query.reads.first().cloned()),
        tables: query.reads.to_vec(),
        primary_sqlstate: Some(ours.to_string()),
        shadow_sqlstate: theirs,
        sqlite_sql: Some(query.sqlite.clone()),
        postgres_sql: query.postgres.clone(),
        parameters: parameters(&failure.params, &failure.plan.params),
        position_primary: failure.position.0,
        position_shadow: failure.position.0,
        message,
        ..Sample::default()
    };
    let accepted = batch.shared.store.is_accepted(&evidence);
    verdict(if accepted { "accepted" } else { "diverged" });
    batch.shared.store.record(evidence);
}
