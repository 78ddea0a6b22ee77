//! Reads compared at a cut: the shadow answers a sampled read from a snapshot at the very
//! position the primary's snapshot saw, or at a later one when none of its tables changed in
//! between. A missed cut is counted, never guessed at.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

use super::answer::{Asked, At, Found, Reader};
use super::lane_b::tables_of;
use super::stops::{Stop, Stops};
use super::{Pins, Shared};
use crate::backend::Position;
use crate::backend::postgres::apply::{Prepared, pg_type};
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

/// A sample in the queue; the applier stops for it where it must be answered.
pub(super) struct Queued {
    pub(super) sample: ReadSample,
    pub(super) stop: Option<Stop>,
}

/// Where samples go. Cheap to clone.
#[derive(Clone)]
pub struct Reads {
    queue: mpsc::Sender<Queued>,
    stops: Arc<Stops>,
    /// One in so many reads is sampled; 0 for none.
    every: Arc<AtomicU64>,
    seen: Arc<AtomicU64>,
}

impl Reads {
    pub(super) fn new(queue: mpsc::Sender<Queued>, stops: Arc<Stops>, ratio: f64) -> Self {
        let reads = Self { queue, stops, every: Arc::default(), seen: Arc::default() };
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
        let Ok(place) = self.queue.try_reserve() else { return false };
        let stop = sample.position.map(|position| Stops::note(&self.stops, position));
        place.send(Queued { sample, stop });
        true
    }
}

/// The reader's connection, made anew where it is lost.
pub(super) async fn connected<'a>(
    shared: &Shared,
    reader: &'a mut Option<Reader>,
) -> Result<&'a mut Reader> {
    let open = reader.take().filter(|r| !r.control().is_closed());
    let open = match open {
        Some(open) => open,
        None => {
            let control = Control::connect(&shared.connector).await?;
            let limit = shared.settings.timeout.as_millis();
            let sql = format!("SET statement_timeout = {limit}; SET lock_timeout = {limit}");
            control.batch(&sql).await?;
            Prepared::new(control)
        }
    };
    Ok(reader.insert(open))
}

/// Why this sample is not compared.
pub(super) fn obstacle(sample: &ReadSample, query: &QueryPlan) -> Option<&'static str> {
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

/// Compares one sample at a cut of its own.
///
/// # Errors
/// Of the moment or the connection: they prove nothing.
pub(super) async fn compare_one(
    shared: &Shared,
    reader: &mut Option<Reader>,
    sample: &ReadSample,
    primary: &[Row],
) -> Result<()> {
    let Action::Query(query) = &sample.plan.action else { return Ok(()) };
    let fingerprint = sample.plan.fingerprint.id;
    let Some(position) = sample.position else { return Ok(()) };
    let reader = connected(shared, reader).await?;
    let control = reader.control().clone();
    let at = At { shared, control: &control, sample, query, position };
    let found = async {
        let first = match at.cut(Some(&mut *reader)).await? {
            None => return Ok(Found::Skipped("cut_missed")),
            Some(Asked::Answer(rows)) => Some(rows),
            Some(Asked::No) => None,
            // A statement that was prepared before a schema change fails for that alone.
            Some(Asked::Failed) => {
                reader.clear();
                control.batch("ROLLBACK").await?;
                if at.cut(None).await?.is_none() {
                    return Ok(Found::Skipped("cut_missed"));
                }
                None
            }
        };
        at.found(primary, first).await
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
    /// Opens a snapshot at the cut, and asks at once where the statement is prepared; None when
    /// the cut is missed.
    async fn cut(&self, reader: Option<&mut Reader>) -> Result<Option<Asked>> {
        let Self { shared, control, position, .. } = *self;
        let applied = *shared.applied.borrow();
        let limit = shared.settings.timeout.min(Duration::from_secs(1));
        // What is not there yet need not be waited for where nothing of it is read.
        let early = applied < position && self.same(applied, position).await?;
        let pin = if applied <= position && !early {
            Pins::pin(&shared.pins, position, shared.applied.subscribe(), limit).await
        } else {
            None
        };
        let (seen, asked) = self.open(reader).await?;
        drop(pin);
        let there = seen == position
            || (seen > position && self.same(position, seen).await?)
            || (seen < position && self.same(seen, position).await?);
        if !there && control.is_closed() {
            return Err(super::applier::lost());
        }
        Ok(there.then_some(asked))
    }

    async fn same(&self, from: Position, to: Position) -> Result<bool> {
        unchanged(self.shared, &self.query.reads, from, to).await
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
