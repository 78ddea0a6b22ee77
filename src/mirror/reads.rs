//! Reads compared at a cut: the shadow answers a sampled read from a snapshot at the very
//! position the primary's snapshot saw, or at a later one when none of its tables changed in
//! between. A missed cut is counted, never guessed at.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, mpsc};

use super::answer::{At, Found};
use super::lane_b::tables_of;
use super::{Pins, Shared, State};
use crate::backend::Position;
use crate::backend::postgres::apply::pg_type;
use crate::backend::postgres::control::Control;
use crate::backend::sqlite::blocking;
use crate::backend::sqlite::functions::session::Session as Scope;
use crate::compare::{self, Row};
use crate::error::Result;
use crate::journal::{self, Event, Events, Limits};
use crate::sql::plan::{Action, Plan, QueryKind, QueryPlan};
use crate::telemetry::live::Lane;
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
    /// Settings of the session that differ from the mirror's.
    pub settings: Arc<[(String, String)]>,
    /// What its functions saw of the session.
    pub scope: Arc<Scope>,
}

/// Where samples go. Cheap to clone.
#[derive(Clone)]
pub struct Reads {
    queue: mpsc::Sender<ReadSample>,
    /// One in so many reads is sampled; 0 for none.
    every: Arc<AtomicU64>,
    seen: Arc<AtomicU64>,
}

impl Reads {
    pub(super) fn new(queue: mpsc::Sender<ReadSample>, ratio: f64) -> Self {
        let reads = Self { queue, every: Arc::default(), seen: Arc::default() };
        reads.sample(ratio);
        reads
    }

    /// From now on this share of the reads is compared: 0 to 1.
    pub fn sample(&self, ratio: f64) {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let every = if ratio <= 0.0 { 0 } else { (1.0 / ratio.min(1.0)).round() as u64 };
        self.every.store(every, Ordering::Relaxed);
    }

    /// Whether the next read of this plan is to be sampled.
    pub fn wants(&self, plan: &Plan) -> bool {
        let Action::Query(query) = &plan.action else { return false };
        let every = self.every.load(Ordering::Relaxed);
        query.kind == QueryKind::Read
            && !query.system
            && every > 0
            && self.seen.fetch_add(1, Ordering::Relaxed).is_multiple_of(every)
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
            shared.skipped(Lane::Read, sample.plan.fingerprint.id, "shadow_down");
            continue;
        }
        if let Err(error) = compare_one(&shared, &mut control, &sample).await {
            tracing::debug!(%error, "a read could not be compared");
            shared.verdict(Lane::Read, sample.plan.fingerprint.id, "inconclusive");
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
    if query.temporary {
        return Some("session_state");
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
    let fingerprint = sample.plan.fingerprint.id;
    if query.postgres.is_none() {
        shared.shapes.untranslatable(fingerprint);
    }
    if let Some(reason) = obstacle(sample, query) {
        shared.skipped(Lane::Read, fingerprint, reason);
        return Ok(());
    }
    let Some(position) = sample.position else { return Ok(()) };
    let primary = decode(sample, query)?;
    let control = connected(shared, control).await?;
    let at = At { shared, control: &control, sample, query, position };
    let found = async {
        if !at.cut().await? {
            return Ok(Found::Skipped("cut_missed"));
        }
        at.found(&primary).await
    }
    .await;
    // Whatever happened, the snapshot ends here.
    control.batch("ROLLBACK").await?;
    match found? {
        Found::Skipped(reason) => shared.skipped(Lane::Read, fingerprint, reason),
        Found::Verdict(verdict) => shared.verdict(Lane::Read, fingerprint, verdict),
        Found::Diverged(evidence) => {
            let accepted = shared.store.is_accepted(&evidence);
            let verdict = if accepted { "accepted" } else { "diverged" };
            shared.verdict(Lane::Read, fingerprint, verdict);
            shared.store.record(*evidence);
        }
    }
    Ok(())
}

pub(super) fn decode(sample: &ReadSample, query: &QueryPlan) -> Result<Vec<Row>> {
    rows_of(sample, query, &sample.kept)
}

/// SQLite's cells as values.
pub(super) fn rows_of(
    sample: &ReadSample,
    query: &QueryPlan,
    kept: &[Vec<Cell>],
) -> Result<Vec<Row>> {
    let columns = || sample.plan.columns.iter().zip(&query.codecs);
    kept.iter()
        .map(|row| {
            row.iter()
                .zip(columns())
                .map(|(cell, (column, codec))| storage::decode(*codec, column.ty, cell.as_ref()))
                .collect()
        })
        .collect()
}

impl At<'_> {
    /// Opens a snapshot at the cut; false when the cut is missed.
    async fn cut(&self) -> Result<bool> {
        let Self { shared, control, position, .. } = *self;
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
        Ok(seen == position
            || (seen > position && unchanged(shared, &self.query.reads, position, seen).await?))
    }
}

/// Whether no record in (from, to] touches one of the tables.
pub(super) async fn unchanged(
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

/// Parameters in text form, for evidence.
pub(super) fn parameters(cells: &[Cell], types: &[Type]) -> Vec<Option<String>> {
    let decode = |(cell, ty): (&Cell, &Type)| {
        let datum = storage::decode(crate::schema::Codec::Identity, *ty, cell.as_ref()).ok()?;
        compare::text(&datum, *ty)
    };
    cells.iter().zip(types).map(decode).collect()
}
