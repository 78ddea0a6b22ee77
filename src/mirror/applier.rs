//! The applier's task: connect, prove where PostgreSQL stands, carry batch after batch.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use metrics::counter;
use tokio_util::sync::CancellationToken;

use super::batch::Batch;
use super::catching_up::CatchingUp;
use super::drift::Drift;
use super::gather::Gather;
use super::history::{self, Standing};
use super::noted::Noter;
use super::readers::LAG_HELD_MAX;
use super::{Shared, State, poison};
use crate::backend::Position;
use crate::backend::postgres::control::{Control, Lock, Stored};
use crate::backend::postgres::picture;
use crate::error::{Error, Result, state};
use crate::journal::{self, Event, Events, Limits, Record};
use crate::telemetry::live::Lane;
use crate::telemetry::names;

/// First and longest pause before trying again.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// Bytes of events loaded for one batch.
const BATCH_BYTES: u64 = 8 << 20;
/// How often flushed positions are asked for and the journal is trimmed.
const TRIM_EVERY: Duration = Duration::from_secs(1);
/// The same while the journal is more than half full.
const PRESSED: Duration = Duration::from_millis(20);
/// How often an idle applier looks at its connection.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Runs until stopped.
pub(super) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    if shared.journal.lineage().is_none() {
        // Its end was told with its reason.
        if !matches!(*shared.state.borrow(), State::CopyAnew(_)) {
            let reason = "nothing is recorded for PostgreSQL".to_owned();
            shared.state.send_replace(State::CopyAnew(reason));
        }
        return;
    }
    let mut pause = BACK_OFF.0;
    let mut stuck = Stuck::default();
    while !stop.is_cancelled() {
        let started = Instant::now();
        // A fault of ours must not leave a mirror behind that seems to run.
        let carried = AssertUnwindSafe(carry(&shared, &stop, stuck.tries >= poison::TRIES));
        let outcome = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            outcome = carried.catch_unwind() => outcome.unwrap_or_else(|_| Err(fault().into())),
        };
        shared.live.applied_known.store(false, Ordering::Release);
        if !matches!(outcome, Err(Ended::Failed(_))) {
            for failure in shared.failures.clear() {
                shared.skipped(Lane::Error, failure.plan.fingerprint.id, "shadow_down");
            }
        }
        match outcome {
            Ok(()) => return,
            Err(Ended::Foreign(reason)) => {
                tracing::warn!(reason, "mirroring stopped: PostgreSQL must be copied anew");
                shared.state.send_replace(State::CopyAnew(reason));
                return;
            }
            Err(Ended::Locked) => {
                shared.state.send_replace(State::Locked);
            }
            Err(Ended::Failed(error)) => {
                counter!(names::MIRROR_RETRIES).increment(1);
                stuck.failed(&error, *shared.applied.borrow());
                if pause < BACK_OFF.1 {
                    tracing::warn!(%error, "the shadow does not take the journal; trying again");
                }
                shared.state.send_replace(State::Connecting(error.to_string()));
            }
        }
        if started.elapsed() > BACK_OFF.1 {
            pause = BACK_OFF.0;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(BACK_OFF.1);
    }
}

/// How often PostgreSQL has refused what comes next, for good.
#[derive(Default)]
struct Stuck {
    at: Position,
    tries: u32,
}

impl Stuck {
    fn failed(&mut self, error: &Error, at: Position) {
        if at != self.at || !poison::is_final(error) {
            *self = Self { at, tries: 0 };
        }
        self.tries += u32::from(poison::is_final(error));
    }
}

/// Why carrying ended.
enum Ended {
    Failed(Error),
    Foreign(String),
    Locked,
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// One connection's life.
async fn carry(
    shared: &Arc<Shared>,
    stop: &CancellationToken,
    gives_up: bool,
) -> Result<(), Ended> {
    let control = Control::connect(&shared.connector).await?;
    if !control.lock(Lock::Shadow, Duration::ZERO).await? {
        return Err(Ended::Locked);
    }
    let stored = control.stored().await?;
    let mut at = match history::standing(&shared.journal, stored.as_ref()).await? {
        Standing::At(position) => position,
        Standing::Foreign(reason) => return Err(Ended::Foreign(reason)),
    };
    let mut hash = stored.as_ref().and_then(|s: &Stored| s.hash).unwrap_or_default();
    if shared.sqlite.catalog_at(at).is_none() {
        if history::schema_changed(&shared.journal, at, shared.sqlite.position()).await? {
            let reason = "the schema changed while PostgreSQL was behind, and the proxy was \
                          restarted since";
            return Err(Ended::Foreign(reason.to_owned()));
        }
        shared.sqlite.first_catalog_holds_from(at);
    }
    let mut batch = Batch::new(Arc::clone(shared), control.clone()).await?;
    batch.gives_up = gives_up;
    let mut noter = Noter::new(&shared.sqlite, &shared.store);
    noter.note_again(&shared.journal, at).await?;
    publish(shared, at, None);
    shared.state.send_replace(State::Running);
    batch.pictured = match picture::ensure(&control).await {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(%error, "drift of the shadow's schema is not looked for");
            false
        }
    };
    batch.begin_quiet(&shared.sqlite.catalog()).await?;
    let mut trim = Trim::default();
    let mut drift = Drift::default();
    let mut catching_up = CatchingUp::default();
    let mut gather = Gather::default();
    let mut durable = shared.sqlite.durable_changes();
    loop {
        if stop.is_cancelled() {
            return Ok(());
        }
        if control.is_closed() {
            return Err(lost().into());
        }
        let floor = shared.pins.floor();
        let durable_to = shared.sqlite.durable();
        let lag = durable_to.0.saturating_sub(at.0);
        let stops = lag <= LAG_HELD_MAX && shared.compares();
        let stop_at = stops.then(|| shared.stops.next(at)).flatten();
        let until = [floor, stop_at].into_iter().flatten().fold(durable_to, Ord::min);
        drift.step(shared, &control, &batch.counters, batch.pictured).await?;
        if until <= at {
            if shared.failures.are_due(at) {
                batch.failures(at).await?;
            }
            trim.step(shared, &control, at).await?;
            match stop_at {
                // There is more to apply, and reads wait to be answered here.
                Some(_) if floor.is_none() && lag > 0 => shared.stops.stand(at).await,
                _ => wait(shared, stop, &mut durable, floor.is_some()).await,
            }
            continue;
        }
        let began = Instant::now();
        // Nobody waits for where it stands.
        let free = until == durable_to && floor.is_none() && !shared.hurries();
        let pause = gather.pause(began, lag, shared.settings.batch_commits_max);
        if let Some(pause) = pause.filter(|_| free) {
            tokio::time::sleep(pause).await;
            continue;
        }
        gather.begin(began);
        batch.rests = catching_up.share(lag, shared.sqlite.asked());
        let mut records = read(shared, at.next(), until).await?;
        if let Some(reason) = history::given_back(&records, at) {
            return Err(Ended::Foreign(reason));
        }
        end_at_new_label(&mut records);
        let Some(last) = records.last() else { continue };
        let (position, new_hash, committed) = (last.position, last.hash.0, last.committed_at_us);
        // Half full: what is applied must not wait for PostgreSQL's own flush to be trimmed.
        let pressed = shared.journal.room().is_pressed();
        batch.apply(&records, (at, hash), pressed).await?;
        batch.rest().await;
        batch.gives_up = false;
        counter!(names::MIRROR_APPLIED).increment(records.len() as u64);
        for record in &records {
            noter.note(record).await?;
        }
        at = position;
        hash = new_hash;
        publish(shared, at, Some(committed));
        if pressed {
            trim.flushed(shared, at).await?;
        } else {
            trim.step(shared, &control, at).await?;
        }
    }
}

/// PostgreSQL takes a new enum label only in a later transaction than the one that adds it.
fn end_at_new_label(records: &mut Vec<Record>) {
    let adds = |event: &Event| match event {
        Event::Ddl(ddl) => {
            ddl.postgres.iter().any(|t| t.starts_with("ALTER TYPE") && t.contains(" ADD VALUE "))
        }
        _ => false,
    };
    let found = records.iter().position(|record| match &record.events {
        Events::Loaded(events) => events.iter().any(adds),
        // Not looked into: it may add one.
        Events::Large => true,
    });
    if let Some(at) = found {
        records.truncate(at + 1);
    }
}

/// What the log says more of.
pub(super) fn fault() -> Error {
    Error::internal(
        "a fault of the mirror's own, which goes on from what PostgreSQL has; see the log",
    )
}

pub(super) fn lost() -> Error {
    Error::shadow(state::CONNECTION_FAILURE, "the connection to PostgreSQL was closed").retryable()
}

async fn read(shared: &Shared, from: Position, until: Position) -> Result<Vec<Record>> {
    let reader = shared.sqlite.reader(None).await?;
    let limits = Limits { records: shared.settings.batch_commits_max, bytes: BATCH_BYTES, until };
    crate::backend::sqlite::blocking(|| journal::read(&reader, from, limits))
}

async fn wait(
    shared: &Shared,
    stop: &CancellationToken,
    durable: &mut crate::backend::sqlite::DurableChanges,
    pinned: bool,
) {
    if pinned {
        shared.pins.changed().await;
        return;
    }
    // Looks at the connection now and then, and more often while writers may wait for a trim.
    let pause = if shared.journal.room().is_pressed() { PRESSED } else { LOOK_EVERY };
    tokio::select! {
        () = stop.cancelled() => {}
        _ = durable.next() => {}
        () = shared.failures.arrived() => {}
        () = tokio::time::sleep(pause) => {}
    }
}

fn publish(shared: &Shared, at: Position, committed_at_us: Option<i64>) {
    let live = &shared.live;
    live.applied.store(at.0, Ordering::Release);
    if let Some(us) = committed_at_us {
        live.applied_commit_us.store(us, Ordering::Release);
    }
    live.applied_known.store(true, Ordering::Release);
    live.journal_bytes.store(shared.journal.bytes(), Ordering::Release);
    shared.sqlite.forget_steps(at);
    shared.applied.send_replace(at);
}

/// The journal is where it is known from what has changed: it is not trimmed before that is saved.
async fn trim(shared: &Shared, below: Position) -> Result<()> {
    if let Err(error) = shared.store.save_changed() {
        tracing::error!(%error, "the journal is not trimmed: what has changed is not saved");
        return Ok(());
    }
    shared.journal.trim(below).await?;
    shared.live.journal_bytes.store(shared.journal.bytes(), Ordering::Release);
    Ok(())
}

/// Trims the journal below what PostgreSQL has flushed: with synchronous_commit off a position
/// that was read back may still be lost when the server crashes.
#[derive(Default)]
struct Trim {
    last: Option<Instant>,
    waiting: Option<(Position, u64)>,
}

impl Trim {
    /// PostgreSQL has applied and flushed everything up to here.
    async fn flushed(&mut self, shared: &Shared, at: Position) -> Result<()> {
        self.waiting = None;
        if self.last.is_some_and(|last| last.elapsed() < PRESSED)
            && !shared.journal.room().is_full()
        {
            return Ok(());
        }
        self.last = Some(Instant::now());
        trim(shared, at.next()).await
    }

    async fn step(&mut self, shared: &Shared, control: &Control, at: Position) -> Result<()> {
        let pressed = shared.journal.room().is_pressed();
        let every = if pressed { PRESSED } else { TRIM_EVERY };
        if self.last.is_some_and(|last| last.elapsed() < every) {
            return Ok(());
        }
        self.last = Some(Instant::now());
        let rows = control
            .rows(
                "SELECT (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint, \
                 (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint",
            )
            .await?;
        let Some(row) = rows.first() else { return Ok(()) };
        let number = |i: usize| u64::try_from(row.get::<_, i64>(i)).unwrap_or(0);
        if let Some((position, lsn)) = self.waiting
            && number(0) >= lsn
        {
            // The last record stays, for whoever looks at it, unless its room is needed.
            let below = if pressed { position.next() } else { position };
            trim(shared, below).await?;
            self.waiting = None;
        }
        if self.waiting.is_none() {
            self.waiting = Some((at, number(1)));
        }
        Ok(())
    }
}
