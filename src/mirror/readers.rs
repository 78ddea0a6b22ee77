//! The tasks that compare reads: many samples from one snapshot.
//!
//! A reader takes what waits, holds the applier where the oldest of it must be answered, opens one
//! snapshot and asks everything that has the same answer there, in one flight. What is equal is
//! done; what is not is looked at by itself, while the applier still stands. It must never compare
//! a sample with a snapshot in which something it reads has changed. Start at [`spawn`].

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join_all, join3};
use tokio::sync::{Mutex as AsyncMutex, mpsc};

use super::answer::{Answer, At, BEGIN, POSITION, Reader, Turn, position_of};
use super::lane_b::tables_of;
use super::pins::Pin;
use super::reads::{self, Queued, ReadSample};
use super::stops::Stop;
use super::{Pins, Shared, State, answer, slow};
use crate::backend::Position;
use crate::backend::sqlite::blocking;
use crate::compare::{Row, Verdict};
use crate::error::Result;
use crate::journal::{self, Event, Events, Limits};
use crate::sql::plan::{Action, QueryPlan};
use crate::telemetry::live::Lane;

/// Connections that compare.
const READERS: usize = 2;
/// Samples looked at from one snapshot.
const GROUP: usize = 32;
/// Times that the applier does not come to where a sample must be answered.
const TRIES: u8 = 3;
/// How long a reader waits at once for the applier to connect.
const PATIENCE: Duration = Duration::from_millis(500);
/// Commits that the applier may be behind and still be held, for one flight at a time.
pub(super) const LAG_HELD_MAX: u64 = 2000;
/// The same while something that differs is looked at, which takes longer.
const LAG_LOOKED_AT_MAX: u64 = 200;
/// Records looked through to show that a table has not changed.
const UNCHANGED_MAX: u64 = 2000;

/// Starts the readers; they end with the queue.
pub(super) fn spawn(shared: &Arc<Shared>, queue: mpsc::Receiver<Queued>) {
    let queue = Arc::new(AsyncMutex::new(queue));
    for _ in 0..READERS {
        tokio::spawn(read_on(Arc::clone(shared), Arc::clone(&queue)));
    }
}

/// A sample that can be compared.
struct Waiting {
    sample: ReadSample,
    position: Position,
    primary: Vec<Row>,
    tries: u8,
    _stop: Option<Stop>,
}

impl Waiting {
    fn query(&self) -> Option<&QueryPlan> {
        match &self.sample.plan.action {
            Action::Query(query) => Some(query),
            _ => None,
        }
    }

    fn fingerprint(&self) -> u64 {
        self.sample.plan.fingerprint.id
    }
}

async fn read_on(shared: Arc<Shared>, queue: Arc<AsyncMutex<mpsc::Receiver<Queued>>>) {
    let mut reader: Option<Reader> = None;
    let mut waiting: Vec<Waiting> = Vec::new();
    loop {
        let mut taken = Vec::new();
        if waiting.is_empty() {
            let mut queue = queue.lock().await;
            let Some(sample) = queue.recv().await else { return };
            taken.push(sample);
            while taken.len() < GROUP
                && let Ok(sample) = queue.try_recv()
            {
                taken.push(sample);
            }
        } else if let Ok(mut queue) = queue.try_lock() {
            // Else another reader has it, until something comes: what waits must not wait for that.
            while waiting.len() + taken.len() < GROUP
                && let Ok(sample) = queue.try_recv()
            {
                taken.push(sample);
            }
        }
        waiting.extend(taken.into_iter().filter_map(|sample| accept(&shared, sample)));
        if waiting.is_empty() || !runs(&shared, &mut waiting).await {
            continue;
        }
        if let Err(error) = group(&shared, &mut reader, &mut waiting).await {
            tracing::debug!(%error, "reads could not be compared");
            reader = None;
            waiting.retain_mut(|one| {
                one.tries += 1;
                if one.tries >= TRIES {
                    shared.verdict(Lane::Read, one.fingerprint(), "inconclusive");
                }
                one.tries < TRIES
            });
        }
    }
}

/// Whether the applier runs. While it tries to connect, what waits may yet be compared; when it
/// does not, PostgreSQL will never stand there.
async fn runs(shared: &Shared, waiting: &mut Vec<Waiting>) -> bool {
    let state = shared.state.borrow().clone();
    match state {
        State::Running => return true,
        State::Connecting(_) => {
            let mut states = shared.state.subscribe();
            let changed = states.wait_for(|now| !matches!(now, State::Connecting(_)));
            let _ = tokio::time::timeout(PATIENCE, changed).await;
        }
        _ => {
            for gone in waiting.drain(..) {
                shared.skipped(Lane::Read, gone.fingerprint(), "shadow_down");
            }
        }
    }
    false
}

/// A sample that can be compared; the reason is counted where it cannot.
fn accept(shared: &Shared, queued: Queued) -> Option<Waiting> {
    let Queued { sample, stop } = queued;
    let Action::Query(query) = &sample.plan.action else { return None };
    let fingerprint = sample.plan.fingerprint.id;
    if query.postgres.is_none() {
        shared.shapes.untranslatable(fingerprint);
    }
    if let Some(reason) = reads::obstacle(&sample, query) {
        shared.skipped(Lane::Read, fingerprint, reason);
        return None;
    }
    let position = sample.position?;
    match reads::decode(&sample, query) {
        Ok(primary) => Some(Waiting { sample, position, primary, tries: 0, _stop: stop }),
        Err(error) => {
            tracing::debug!(%error, "a read could not be compared");
            shared.verdict(Lane::Read, fingerprint, "inconclusive");
            None
        }
    }
}

/// Looks at these from one snapshot; those whose position is not there yet go on waiting.
async fn group(
    shared: &Shared,
    reader: &mut Option<Reader>,
    waiting: &mut Vec<Waiting>,
) -> Result<()> {
    let open = reads::connected(shared, reader).await?;
    let oldest = waiting.iter().map(|w| w.position).min().unwrap_or(Position(0));
    let pin = hold(shared, oldest).await;
    let late = pin.is_none() && *shared.applied.borrow() < oldest;
    let expected = (*shared.applied.borrow()).max(oldest);
    let window = Window::over(shared, waiting, expected).await?;
    let (seen, answers) = ask(shared, open, waiting, &window, expected).await?;
    let window = match seen == expected {
        true => window,
        false => Window::over(shared, waiting, seen).await?,
    };
    let (mut again, mut later) = (Vec::new(), Vec::new());
    let mut paced = Vec::new();
    for (mut one, answer) in waiting.drain(..).zip(answers) {
        if !window.same(shared, &one, seen) {
            one.tries += u8::from(late);
            if one.position > seen && one.tries < TRIES {
                later.push(one);
            } else {
                shared.skipped(Lane::Read, one.fingerprint(), "cut_missed");
            }
            continue;
        }
        match answer.and_then(|rows| equal(shared, &one, &rows)) {
            Some(verdict) => {
                shared.verdict(Lane::Read, one.fingerprint(), verdict);
                if let Some(news) = shared.shapes.paced(one.fingerprint()) {
                    paced.push((one, news));
                }
            }
            None => again.push(one),
        }
    }
    *waiting = later;
    // The applier stands no longer than something is to be looked at.
    let pin = pin.filter(|_| !again.is_empty() && lag(shared) <= LAG_LOOKED_AT_MAX);
    open.control().batch("ROLLBACK").await?;
    for (one, news) in paced {
        if let Some(query) = one.query() {
            let control = open.control();
            let (sample, position) = (&one.sample, one.position);
            slow::read(&At { shared, control, sample, query, position }, news).await;
        }
    }
    for one in again {
        by_itself(shared, reader, &one).await;
    }
    drop(pin);
    Ok(())
}

/// Has the applier stand where the oldest sample must be answered, unless it has passed that, or
/// does not get there soon. Waits for it without holding it while it is far behind: comparing must
/// not be what keeps it there.
async fn hold(shared: &Shared, oldest: Position) -> Option<Pin> {
    let applied = *shared.applied.borrow();
    if applied > oldest {
        return None;
    }
    let limit = shared.settings.timeout.min(Duration::from_secs(1));
    let mut changes = shared.applied.subscribe();
    if lag(shared) > LAG_HELD_MAX {
        let _ = tokio::time::timeout(limit, changes.wait_for(|at| *at >= oldest)).await;
        return None;
    }
    Pins::pin(&shared.pins, oldest, changes, limit).await
}

/// Commits that PostgreSQL is behind.
fn lag(shared: &Shared) -> u64 {
    shared.sqlite.position().0.saturating_sub(shared.applied.borrow().0)
}

/// Opens a snapshot and asks, in the same flight, what has the same answer there as at the
/// expected position; where the snapshot stands, and the rows by sample.
async fn ask(
    shared: &Shared,
    reader: &mut Reader,
    waiting: &[Waiting],
    window: &Window,
    expected: Position,
) -> Result<(Position, Vec<Option<Vec<Row>>>)> {
    let control = reader.control().clone();
    let mut ready = Vec::with_capacity(waiting.len());
    for one in waiting {
        let query = one.query().filter(|_| window.same(shared, one, expected));
        let at = query.map(|query| At {
            shared,
            control: &control,
            sample: &one.sample,
            query,
            position: one.position,
        });
        let prepared = match &at {
            Some(at) => at.ready(reader).await,
            None => None,
        };
        ready.push(at.zip(prepared));
    }
    let position = reader.get(POSITION, &[]).await?;
    let turn = Turn::default();
    let turn = &turn;
    let told = async {
        let rows = control.client().query(&position, &[]).await;
        turn.over();
        rows.map_err(|e| control.error(&e))
    };
    let asked = join_all(ready.iter().map(|one| async move {
        match one {
            Some((at, (statement, params))) => at.answered(statement, params, turn).await.ok(),
            None => None,
        }
    }));
    let (begun, told, asked) = join3(control.batch(BEGIN), told, asked).await;
    begun?;
    let rows = |answer: Option<Answer>| match answer {
        Some(Answer::Rows(rows)) => Some(rows),
        _ => None,
    };
    let seen = position_of(&told?);
    Ok((seen, asked.into_iter().map(rows).collect()))
}

/// The verdict's word when nothing is wrong; None for what must be looked at.
fn equal(shared: &Shared, one: &Waiting, rows: &[Row]) -> Option<&'static str> {
    match answer::compared(shared, &one.sample, one.query()?, &one.primary, rows) {
        verdict @ (Verdict::Match | Verdict::MatchNormalized) => Some(verdict.label()),
        _ => None,
    }
}

async fn by_itself(shared: &Shared, reader: &mut Option<Reader>, one: &Waiting) {
    if let Err(error) = reads::compare_one(shared, reader, &one.sample, &one.primary).await {
        tracing::debug!(%error, "a read could not be compared");
        answer::too_late(shared, &one.sample, &error);
        shared.verdict(Lane::Read, one.fingerprint(), "inconclusive");
        *reader = None;
    }
}

/// What a record changes.
enum Touched {
    /// Anything: a schema change, or one too large to look into.
    Everything,
    /// Tables, by SQLite's names.
    Tables(Vec<String>),
}

/// Which tables changed at which positions.
struct Window {
    from: Position,
    to: Position,
    touched: Vec<(Position, Touched)>,
}

impl Window {
    /// Over the positions of these samples and of a snapshot; one that tells nothing where the
    /// journal does not reach, or they are too far apart.
    async fn over(shared: &Shared, waiting: &[Waiting], snapshot: Position) -> Result<Self> {
        let positions = || waiting.iter().map(|w| w.position).chain([snapshot]);
        let from = positions().min().unwrap_or(snapshot);
        let to = positions().max().unwrap_or(snapshot);
        let nothing = Self { from: to, to, touched: Vec::new() };
        if from == to || to.0 - from.0 > UNCHANGED_MAX {
            return Ok(nothing);
        }
        let reader = shared.sqlite.reader(None).await?;
        let limits = Limits { records: usize::MAX, bytes: 8 << 20, until: to };
        let Ok(records) = blocking(|| journal::read(&reader, from.next(), limits)) else {
            return Ok(nothing);
        };
        if records.last().is_none_or(|r| r.position != to) {
            return Ok(nothing);
        }
        let touched = records.iter().map(|record| {
            let everything = match &record.events {
                Events::Large => true,
                Events::Loaded(events) => {
                    events.iter().any(|e| matches!(e, Event::Ddl(_) | Event::Truncate(_)))
                }
            };
            let touched = match everything {
                true => Touched::Everything,
                false => {
                    Touched::Tables(tables_of(record).into_iter().map(str::to_owned).collect())
                }
            };
            (record.position, touched)
        });
        Ok(Self { from, to, touched: touched.collect() })
    }

    /// Whether a sample has the same answer at a snapshot.
    fn same(&self, shared: &Shared, one: &Waiting, snapshot: Position) -> bool {
        let (low, high) = (one.position.min(snapshot), one.position.max(snapshot));
        if low == high {
            return true;
        }
        let Some(query) = one.query().filter(|_| self.from <= low && high <= self.to) else {
            return false;
        };
        let catalog = shared.sqlite.catalog();
        let name = |table: &String| Some(catalog.relations.get(table)?.sqlite_name.clone());
        let names: Option<Vec<String>> = query.reads.iter().map(name).collect();
        let Some(names) = names else { return false };
        let within = self.touched.iter().filter(|(at, _)| low < *at && *at <= high);
        !within.into_iter().any(|(_, touched)| match touched {
            Touched::Everything => true,
            Touched::Tables(tables) => tables.iter().any(|table| names.contains(table)),
        })
    }
}
