//! Reads compared at a cut: the shadow answers a sampled read from a snapshot at the very
//! position the primary's snapshot saw, or at a later one when none of its tables changed in
//! between. A missed cut is counted, never guessed at.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{StreamExt, pin_mut};
use tokio::sync::{Mutex as AsyncMutex, mpsc};
use tokio_postgres::types::{ToSql, Type as PgType};

use super::lane_b::tables_of;
use super::{Pins, Shared, State};
use crate::backend::Position;
use crate::backend::postgres::apply::pg_type;
use crate::backend::postgres::binary::{Binary, row_of};
use crate::backend::postgres::control::Control;
use crate::backend::sqlite::blocking;
use crate::compare::{self, Row, Verdict};
use crate::divergence::Sample;
use crate::error::{Error, Result};
use crate::journal::{self, Event, Events, Limits};
use crate::sql::plan::{Action, Plan, QueryKind, QueryPlan};
use crate::sql::types::category;
use crate::telemetry::live::Lane;
use crate::value::enums::enum_of_array;
use crate::value::{Cell, Type, storage};

/// Samples waiting to be compared; further ones are counted as `queue_full`.
pub(super) const QUEUE_MAX: usize = 1000;
/// Connections that compare.
const READERS: usize = 2;
/// Records looked through to show that a table has not changed.
const UNCHANGED_MAX: u64 = 2000;

/// A read that ran on the primary.
#[derive(Clone, Debug)]
pub struct ReadSample {
    /// Commit its snapshot saw; None when that is not known (own writes).
    pub position: Option<Position>,
    /// The statement.
    pub plan: Arc<Plan>,
    /// Parameters as logical cells.
    pub params: Vec<Cell>,
    /// Frozen values as logical cells.
    pub frozen: Vec<Cell>,
    /// Number of rows of the answer.
    pub rows: u64,
    /// The rows as SQLite's cells, all of them unless there are more than the limit.
    pub kept: Vec<Vec<Cell>>,
}

/// Where samples go. Cheap to clone.
#[derive(Clone)]
pub struct Reads {
    queue: mpsc::Sender<ReadSample>,
    /// One in so many reads is sampled; 0 for none.
    every: u64,
    seen: Arc<AtomicU64>,
}

impl Reads {
    pub(super) fn new(queue: mpsc::Sender<ReadSample>, ratio: f64) -> Self {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let every = if ratio <= 0.0 { 0 } else { (1.0 / ratio.min(1.0)).round() as u64 };
        Self { queue, every, seen: Arc::default() }
    }

    /// Whether the next read of this plan is to be sampled.
    pub fn wants(&self, plan: &Plan) -> bool {
        let Action::Query(query) = &plan.action else { return false };
        query.kind == QueryKind::Read
            && !query.system
            && self.every > 0
            && self.seen.fetch_add(1, Ordering::Relaxed).is_multiple_of(self.every)
    }

    /// Hands a sample over; false when the queue is full.
    pub fn offer(&self, sample: ReadSample) -> bool {
        self.queue.try_send(sample).is_ok()
    }
}

/// Starts the readers; they end with the queue.
pub(super) fn spawn(shared: Arc<Shared>, queue: mpsc::Receiver<ReadSample>) {
    let queue = Arc::new(AsyncMutex::new(queue));
    for _ in 0..READERS {
        tokio::spawn(read_on(Arc::clone(&shared), Arc::clone(&queue)));
    }
}

async fn read_on(shared: Arc<Shared>, queue: Arc<AsyncMutex<mpsc::Receiver<ReadSample>>>) {
    let mut control: Option<Control> = None;
    loop {
        let next = queue.lock().await.recv().await;
        let Some(sample) = next else { return };
        if *shared.state.borrow() != State::Running {
            shared.live.skipped(Lane::Read, "shadow_down");
            continue;
        }
        if let Err(error) = compare_one(&shared, &mut control, &sample).await {
            tracing::debug!(%error, "a read could not be compared");
            shared.live.verdict(Lane::Read, "inconclusive");
            control = None;
        }
    }
}

async fn connected(shared: &Shared, control: &mut Option<Control>) -> Result<Control> {
    if let Some(open) = control.as_ref().filter(|c| !c.is_closed()) {
        return Ok(open.clone());
    }
    let fresh = Control::connect(&shared.connector).await?;
    let limit = shared.settings.timeout.as_millis();
    fresh.batch(&format!("SET statement_timeout = {limit}; SET lock_timeout = {limit}")).await?;
    *control = Some(fresh.clone());
    Ok(fresh)
}

/// Why this sample is not compared.
fn obstacle(sample: &ReadSample, query: &QueryPlan) -> Option<&'static str> {
    if query.volatile {
        return Some("volatile");
    }
    let unknown = sample.plan.params.iter().any(|ty| pg_type(*ty).is_none());
    if query.postgres.is_none() || unknown {
        return Some("unsupported");
    }
    if sample.position.is_none() {
        return Some("own_writes");
    }
    (sample.kept.len() as u64 != sample.rows).then_some("too_large")
}

async fn compare_one(
    shared: &Shared,
    control: &mut Option<Control>,
    sample: &ReadSample,
) -> Result<()> {
    let Action::Query(query) = &sample.plan.action else { return Ok(()) };
    if let Some(reason) = obstacle(sample, query) {
        shared.live.skipped(Lane::Read, reason);
        return Ok(());
    }
    let Some(position) = sample.position else { return Ok(()) };
    let primary = decode(sample, query)?;
    let control = connected(shared, control).await?;
    let answer = at_cut(shared, &control, sample, query, position).await;
    // Whatever happened, the snapshot ends here.
    control.batch("ROLLBACK").await?;
    match answer? {
        None => shared.live.skipped(Lane::Read, "cut_missed"),
        Some(answer) => judge(shared, sample, query, position, &primary, answer),
    }
    Ok(())
}

fn decode(sample: &ReadSample, query: &QueryPlan) -> Result<Vec<Row>> {
    let columns = || sample.plan.columns.iter().zip(&query.codecs);
    sample
        .kept
        .iter()
        .map(|row| {
            row.iter()
                .zip(columns())
                .map(|(cell, (column, codec))| storage::decode(*codec, column.ty, cell.as_ref()))
                .collect()
        })
        .collect()
}

/// What the shadow answered.
enum Answer {
    Rows(Vec<Row>),
    Shape(String),
    TooMany,
    Failed(Error),
}

/// Runs the read in a snapshot at the cut; None when the cut is missed.
async fn at_cut(
    shared: &Shared,
    control: &Control,
    sample: &ReadSample,
    query: &QueryPlan,
    position: Position,
) -> Result<Option<Answer>> {
    let applied = *shared.applied.borrow();
    let limit = shared.settings.timeout.min(Duration::from_secs(1));
    let pin = if applied <= position {
        Pins::pin(&shared.pins, position, shared.applied.subscribe(), limit).await
    } else {
        None
    };
    control.batch("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let rows = control.rows("SELECT position FROM crossfade.state").await?;
    let seen = rows.first().map_or(0, |row| row.get::<_, i64>(0));
    let seen = Position(u64::try_from(seen).unwrap_or(0));
    drop(pin);
    let exact = seen == position
        || (seen > position && unchanged(shared, &query.reads, position, seen).await?);
    if !exact {
        return Ok(None);
    }
    ask(shared, control, sample, query).await.map(Some)
}

/// Whether no record in (from, to] touches one of the tables.
async fn unchanged(
    shared: &Shared,
    tables: &[String],
    from: Position,
    to: Position,
) -> Result<bool> {
    if to.0 - from.0 > UNCHANGED_MAX {
        return Ok(false);
    }
    let catalog = shared.sqlite.catalog();
    let names: Vec<&str> = tables
        .iter()
        .filter_map(|t| catalog.relations.get(t).map(|r| r.sqlite_name.as_str()))
        .collect();
    if names.len() != tables.len() {
        return Ok(false);
    }
    let reader = shared.sqlite.reader(None).await?;
    let limits = Limits { records: usize::MAX, bytes: 8 << 20, until: to };
    // Trimmed meanwhile: not known.
    let Ok(records) = blocking(|| journal::read(&reader, from.next(), limits)) else {
        return Ok(false);
    };
    let complete = records.last().is_some_and(|r| r.position == to);
    let touches = records.iter().any(|record| match &record.events {
        Events::Large => true,
        Events::Loaded(events) => {
            tables_of(record).iter().any(|t| names.contains(t))
                || events.iter().any(|e| matches!(e, Event::Ddl(_) | Event::Truncate(_)))
        }
    });
    Ok(complete && !touches)
}

async fn ask(
    shared: &Shared,
    control: &Control,
    sample: &ReadSample,
    query: &QueryPlan,
) -> Result<Answer> {
    let text = query.postgres.as_deref().unwrap_or_default();
    let types: Vec<Type> =
        sample.plan.params.iter().copied().chain(query.frozen.iter().map(|f| f.ty)).collect();
    let Some(pg_types) = types.iter().map(|t| pg_type(*t)).collect::<Option<Vec<PgType>>>() else {
        return Ok(Answer::Failed(Error::unsupported("a parameter's type")));
    };
    let client = control.client();
    let statement = match client.prepare_typed(text, &pg_types).await {
        Ok(statement) => statement,
        Err(error) => return failed(control.error(&error)),
    };
    if let Some(difference) = shape(&sample.plan, &statement) {
        return Ok(Answer::Shape(difference));
    }
    let values = sample.params.iter().chain(&sample.frozen);
    let params: Vec<Binary> =
        values.zip(&types).map(|(cell, ty)| Binary::logical(cell, *ty)).collect::<Result<_>>()?;
    let params: Vec<&(dyn ToSql + Sync)> =
        params.iter().map(|p| p as &(dyn ToSql + Sync)).collect();
    let rows = match client.query_raw(&statement, params).await {
        Ok(rows) => rows,
        Err(error) => return failed(control.error(&error)),
    };
    pin_mut!(rows);
    let columns: Vec<Type> = sample.plan.columns.iter().map(|c| c.ty).collect();
    let mut answer = Vec::new();
    while let Some(row) = rows.next().await {
        match row {
            Ok(row) if answer.len() <= shared.settings.row_limit => {
                answer.push(row_of(&row, &columns)?);
            }
            Ok(_) => return Ok(Answer::TooMany),
            Err(error) => return failed(control.error(&error)),
        }
    }
    Ok(Answer::Rows(answer))
}

/// An error of the statement is an answer; an error of the connection is not.
fn failed(error: Error) -> Result<Answer> {
    if matches!(error.sqlstate().class(), "08" | "53" | "57" | "XX" | "40" | "55") {
        return Err(error);
    }
    Ok(Answer::Failed(error))
}

/// What differs in the columns' number, names or types.
fn shape(plan: &Plan, statement: &tokio_postgres::Statement) -> Option<String> {
    let theirs = statement.columns();
    if theirs.len() != plan.columns.len() {
        return Some(format!("{} columns instead of {}", theirs.len(), plan.columns.len()));
    }
    plan.columns.iter().zip(theirs).find_map(|(ours, theirs)| {
        let oid = theirs.type_().oid();
        // Enum types have OIDs of their own on each side.
        let own = category(ours.ty.oid) == b'E' || enum_of_array(ours.ty.oid).is_some();
        (ours.ty.oid != oid && !own)
            .then(|| format!("column {} is of type {oid} instead of {}", ours.name, ours.ty.oid))
    })
}

fn judge(
    shared: &Shared,
    sample: &ReadSample,
    query: &QueryPlan,
    position: Position,
    primary: &[Row],
    answer: Answer,
) {
    let live = &shared.live;
    let evidence = |class: &str, message: String| Sample {
        class: class.to_owned(),
        fingerprint: sample.plan.fingerprint.text.clone(),
        table: query.reads.first().cloned(),
        sqlite_sql: Some(query.sqlite.clone()),
        postgres_sql: query.postgres.clone(),
        parameters: parameters(sample),
        position_primary: position.0,
        position_shadow: position.0,
        message,
        ..Sample::default()
    };
    let found = match answer {
        Answer::TooMany => {
            live.skipped(Lane::Read, "too_large");
            return;
        }
        Answer::Failed(error) => {
            let mut found = evidence("error_shadow_only", error.message().to_owned());
            found.shadow_sqlstate = Some(error.sqlstate().to_string());
            Some(found)
        }
        Answer::Shape(what) => Some(evidence("type_oid", what)),
        Answer::Rows(shadow) => {
            let types: Vec<Type> = sample.plan.columns.iter().map(|c| c.ty).collect();
            let order = &query.order;
            match compare::rows(order, query.unordered_limit, &types, primary, &shadow) {
                Verdict::Diverged(difference) => {
                    let mut found = evidence(difference.class, difference.message.clone());
                    let side = |row: &Option<Row>| -> Vec<Option<String>> {
                        let text = |c: &usize, r: &Row| compare::text(&r[*c], types[*c]);
                        row.as_ref().map_or_else(Vec::new, |r| {
                            difference.columns.iter().map(|c| text(c, r)).collect()
                        })
                    };
                    found.primary = side(&difference.primary);
                    found.shadow = side(&difference.shadow);
                    let name = |c: &usize| sample.plan.columns[*c].name.clone();
                    found.columns = difference.columns.iter().map(name).collect();
                    Some(found)
                }
                verdict => {
                    live.verdict(Lane::Read, verdict.label());
                    if verdict != Verdict::Ambiguous {
                        let id = sample.plan.fingerprint.id;
                        shared.coverage.lock().read_compared(id);
                    }
                    None
                }
            }
        }
    };
    if let Some(found) = found {
        live.verdict(Lane::Read, "diverged");
        shared.coverage.lock().read_compared(sample.plan.fingerprint.id);
        shared.store.record(found);
    }
}

fn parameters(sample: &ReadSample) -> Vec<Option<String>> {
    let decode = |(cell, ty): (&Cell, &Type)| {
        let datum = storage::decode(crate::schema::Codec::Identity, *ty, cell.as_ref()).ok()?;
        compare::text(&datum, *ty)
    };
    sample.params.iter().zip(&sample.plan.params).map(decode).collect()
}
