//! One table's rows, from the cut to PostgreSQL.
//!
//! Owns the streaming. The fast way is one COPY; when PostgreSQL refuses a row of it, the
//! table is copied anew in batches behind savepoints, and the row it names goes to the
//! quarantine. It must never hold more than a batch. Start at [`table`].

use std::time::{Duration, Instant};

use metrics::counter;

use super::pace::{Pace, Way};
use super::source::Source;
use super::told::{Tally, step};
use super::{Env, Report, empty};
use crate::backend::postgres::apply::{quoted, table_name};
use crate::backend::postgres::copied::{self, Copied};
use crate::backend::postgres::copy::{self, CopyIn};
use crate::backend::postgres::project::{Projected, Projection, Quick, Target};
use crate::backend::postgres::quarantine::{self, Entry};
use crate::backend::sqlite::blocking;
use crate::backend::sqlite::events::Row;
use crate::config::{Table, is_named};
use crate::error::{Error, Result, state};
use crate::failpoint;
use crate::telemetry::names;
use crate::value::{Cell, CellRef};

/// Quarantine entries held before they are stored.
const PENDING_MAX: usize = 1000;
/// Bytes of them.
const PENDING_BYTES: usize = 1 << 20;
/// Rows of a batch on the careful way.
const BATCH_ROWS: usize = 500;
/// Bytes of a batch on the careful way.
const BATCH_BYTES: usize = 256 << 10;
/// Bytes sent at once beside clients: what they wait for is a fraction of a millisecond, not several.
const GENTLE: usize = 8 << 10;
/// Time between two lines of progress.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);

/// Copies one table in one transaction, its quarantine and its marker included.
///
/// # Errors
/// What either side said; nothing of the table is left then.
pub(super) async fn table(
    env: &Env<'_>,
    projection: &Projection,
    report: &mut Report,
) -> Result<()> {
    let began = Instant::now();
    tried(env, projection, report, None).await?;
    report.seconds = began.elapsed().as_secs_f64();
    failpoint!("backfill.table_copied");
    Ok(())
}

/// Copies the rows whose integer key lies in a range, in one transaction. Their marker is another's
/// business.
///
/// # Errors
/// What either side said; nothing of the range is left then.
pub(super) async fn stretch(
    env: &Env<'_>,
    projection: &Projection,
    range: (i64, i64),
    report: &mut Report,
) -> Result<()> {
    let began = Instant::now();
    claim(env, projection).await?;
    tried(env, projection, report, Some(range)).await?;
    report.seconds = began.elapsed().as_secs_f64();
    Ok(())
}

/// The first stretch of a table makes it ours.
async fn claim(env: &Env<'_>, projection: &Projection) -> Result<()> {
    let (control, relation) = (env.control, &projection.relation);
    if copied::load(control).await?.get(&relation.name).is_some_and(Copied::is_ours) {
        return Ok(());
    }
    control.batch("BEGIN").await?;
    let claimed = async {
        let table = table_name(relation);
        control.batch(&format!("LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE")).await?;
        // Another worker may have been first.
        let before = copied::load(control).await?.remove(&relation.name);
        if before.is_some_and(|mark| mark.is_ours()) {
            return control.batch("COMMIT").await;
        }
        let relid = empty::claim(env, relation).await?;
        let made = env.made(&relation.name);
        let mark = Copied { made, relid, ..Copied::default() };
        copied::save(control, &relation.name, &mark).await?;
        control.batch("COMMIT").await
    };
    let claimed = claimed.await;
    if claimed.is_err() && !control.is_closed() {
        control.batch("ROLLBACK").await?;
    }
    claimed
}

/// The fast way; the careful one when PostgreSQL refuses a row.
async fn tried(
    env: &Env<'_>,
    projection: &Projection,
    report: &mut Report,
    range: Option<(i64, i64)>,
) -> Result<()> {
    match attempt(env, projection, report, range, false).await {
        Err(error) if refuses_a_row(&error) => {
            tracing::debug!(table = report.table, error = error.message(), "copying row by row");
            *report = Report::new(&report.table);
            attempt(env, projection, report, range, true).await
        }
        other => other,
    }
}

/// Whether the error is about a row rather than about the server or the statement.
fn refuses_a_row(error: &Error) -> bool {
    matches!(error.sqlstate().class(), "22" | "23" | "54")
}

async fn attempt(
    env: &Env<'_>,
    projection: &Projection,
    report: &mut Report,
    range: Option<(i64, i64)>,
    careful: bool,
) -> Result<()> {
    let control = env.control;
    control.batch("BEGIN").await?;
    let copied = async {
        env.quiet().await?;
        if careful {
            // Each batch must say itself what is wrong with it.
            checked(env).await?;
        }
        let connection = &env.cut.connection;
        let relid = match range {
            None => empty::claim(env, &projection.relation).await?,
            Some(_) => None,
        };
        let before = empty::within(env, &projection.relation).await?;
        let mut source = match range {
            None => {
                quarantine::clear(control, &projection.relation.name).await?;
                Source::open(connection, projection, false)?
            }
            Some((first, last)) => {
                let mut source = Source::between(connection, projection, false)?;
                source.seek(&[Cell::Integer(first), Cell::Integer(last)])?;
                source
            }
        };
        let refuse = refused_columns(env, projection);
        let about = match range {
            None => blocking(|| about(env, projection)),
            Some((first, last)) => u64::try_from(last.saturating_sub(first)).ok(),
        };
        let pace = Pace::new(env.limit);
        let doing = if range.is_some() { "copying a stretch of" } else { "copying" };
        let tally = Tally::new(Some(env.progress), doing, &report.table, about.unwrap_or(0));
        let quick = Quick::of(projection);
        let way = Way::new(env.journal.sqlite().asked());
        let (last, piece) = (Instant::now(), GENTLE);
        let mut run = Run { env, report, last, refuse, pace, tally, quick, way, piece, about };
        if careful {
            run.careful(&mut source).await?;
        } else {
            run.fast(&mut source).await?;
        }
        checked(env).await?;
        if range.is_some() {
            return control.batch("COMMIT").await;
        }
        empty::nobody_lost(env, &projection.relation, &before).await?;
        let made = env.made(&projection.relation.name);
        let copied = Copied {
            made,
            relid,
            stands: true,
            lineage: Some(env.cut.lineage.0.to_vec()),
            position: env.cut.head.position,
            rows: report.written,
            complete: true,
            refused: None,
            shape: Some(copied::shape(&projection.relation)),
        };
        copied::save(control, &projection.relation.name, &copied).await?;
        control.batch("COMMIT").await
    };
    let result = copied.await;
    if result.is_err() && !control.is_closed() {
        control.batch("ROLLBACK").await?;
    }
    result
}

/// What deferred foreign keys have against the rows is said here, not by COMMIT.
async fn checked(env: &Env<'_>) -> Result<()> {
    match env.replica {
        true => Ok(()),
        false => env.control.batch("SET CONSTRAINTS ALL IMMEDIATE").await,
    }
}

struct Run<'a, 'e> {
    env: &'a Env<'e>,
    report: &'a mut Report,
    last: Instant,
    /// Columns of which a value that does not fit ends the copy.
    refuse: Vec<usize>,
    pace: Pace,
    tally: Tally<'a>,
    quick: Quick,
    way: Way,
    /// Bytes sent at once.
    piece: usize,
    /// Rows of the table, if they can be told without counting them.
    about: Option<u64>,
}

/// As many rows as the highest rowid says: a forecast, not a count.
fn about(env: &Env<'_>, projection: &Projection) -> Option<u64> {
    let relation = &projection.relation;
    let rowid = relation.rowid_name()?;
    let sql = format!("SELECT max({rowid}) FROM \"public\".{}", quoted(&relation.sqlite_name));
    let highest = env.cut.connection.query_integer(&sql, &[]).ok().flatten()?;
    u64::try_from(highest).ok()
}

fn refused_columns(env: &Env<'_>, projection: &Projection) -> Vec<usize> {
    let relation = &projection.relation;
    let names = [relation.name.as_str(), relation.sqlite_name.as_str()];
    let list = Table::of(env.decided, names).map_or(&[][..], |t| &t.refuse);
    let wanted = |target: &Target| {
        let column = &relation.columns[target.index];
        list.iter().any(|given| is_named(given, [&column.name, &column.sqlite_name]))
    };
    (0..projection.columns.len()).filter(|i| wanted(&projection.columns[*i])).collect()
}

/// Entries that wait for the end of a COPY.
#[derive(Default)]
struct Pending {
    entries: Vec<Entry>,
    bytes: usize,
}

impl Pending {
    fn extend(&mut self, entries: Vec<Entry>) {
        self.bytes += entries.iter().filter_map(|e| e.bytes.as_ref()).map(Vec::len).sum::<usize>();
        self.entries.extend(entries);
    }

    fn is_full(&self) -> bool {
        self.entries.len() >= PENDING_MAX || self.bytes >= PENDING_BYTES
    }
}

/// A row of a batch.
struct Held {
    row: Row,
    projected: Projected,
    key: String,
}

impl Run<'_, '_> {
    /// One COPY, interrupted only to store what went to the quarantine.
    async fn fast(&mut self, source: &mut Source) -> Result<()> {
        let sql = copy::statement(&source.projection, &table_name(&source.projection.relation));
        loop {
            let mut pending = Pending::default();
            let mut copy = CopyIn::begin(self.env.control, &sql).await?;
            let done = loop {
                self.way.begin(self.report.read);
                let filled = blocking(|| self.fill(source, &mut copy, &mut pending))?;
                copy.send().await?;
                self.env.goes_on()?;
                self.tell(copy.sent());
                self.rest().await;
                if filled || pending.is_full() {
                    break filled;
                }
            };
            self.ended(copy.finish().await?);
            quarantine::store(self.env.control, self.env.cut.head.position, &pending.entries)
                .await?;
            if done {
                return Ok(());
            }
        }
    }

    /// Steps until the buffer is full; true at the end of the table.
    fn fill(
        &mut self,
        source: &mut Source,
        copy: &mut CopyIn,
        pending: &mut Pending,
    ) -> Result<bool> {
        while copy.collected() < self.piece && !pending.is_full() {
            if !source.step()? {
                return Ok(true);
            }
            self.report.read += 1;
            let quick = &self.quick;
            let short = copy.filled(source.width(), |out| {
                source.cells(|column, cell| quick.write(column, cell, out))
            });
            if short {
                continue;
            }
            let projected = source.project();
            self.allow(source, &projected)?;
            let refused =
                if projected.left_out { None } else { copy.row(source.values(&projected)).err() };
            self.quarantined(&projected, refused.is_some());
            if !projected.left_out && refused.is_none() {
                self.report.coerced(&source.projection, &projected);
            }
            if !projected.misfits.is_empty() || refused.is_some() {
                let reason = refused.as_ref().map(Error::message);
                pending.extend(source.entries(&projected, reason));
            }
        }
        Ok(false)
    }

    /// Stops at a value that a person wants no copy without.
    fn allow(&self, source: &Source, projected: &Projected) -> Result<()> {
        let Some(misfit) = projected.misfits.iter().find(|m| self.refuse.contains(&m.column))
        else {
            return Ok(());
        };
        let column = &source.projection.columns[misfit.column].name;
        let key = source.key(projected);
        let message = format!("column {column:?} of row {key} does not fit: {}", misfit.reason);
        Err(Error::shadow(state::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
            .hint("[tables.NAME] refuse names the column."))
    }

    fn quarantined(&mut self, projected: &Projected, refused: bool) {
        if projected.left_out || refused {
            self.report.left_out += 1;
        } else {
            self.report.nulled += projected.misfits.len() as u64;
        }
    }

    fn ended(&mut self, (rows, bytes): (u64, u64)) {
        self.report.written += rows;
        self.report.bytes += bytes;
        counter!(names::BACKFILL_ROWS, "table" => self.report.table.clone()).increment(rows);
    }

    /// So far, with what the running COPY has sent.
    fn tell(&mut self, sending: u64) {
        self.tally.at(self.report.read);
        if self.last.elapsed() >= PROGRESS_EVERY {
            self.last = Instant::now();
            let text = format!("copying {}", self.report.table);
            let bytes = self.report.bytes + sending;
            step(self.env.progress, text, self.pace.told(self.report.read, bytes, self.about));
            self.tally.again(self.report.read);
        }
    }

    /// Lets clients first, where there are any, and keeps to the limit, in naps: the order may be
    /// given up meanwhile. Both are served by the same pause.
    async fn rest(&mut self) {
        let journal = self.env.journal;
        let pause = self.way.give(journal.sqlite().asked(), self.report.read);
        // A copy that the journal does not last for serves nobody.
        let pause = pause.filter(|_| !journal.room().is_pressed());
        self.piece = if pause.is_some() { GENTLE } else { copy::BUFFER };
        let began = Instant::now();
        while let Some(ahead) = self.pace.ahead(self.report.read) {
            tokio::time::sleep(ahead).await;
            self.tell(0);
        }
        if let Some(pause) = pause {
            tokio::time::sleep(pause.saturating_sub(began.elapsed())).await;
        }
    }

    /// Batches behind savepoints; what PostgreSQL refuses is left out row by row.
    async fn careful(&mut self, source: &mut Source) -> Result<()> {
        loop {
            self.way.begin(self.report.read);
            let mut pending = Pending::default();
            let (batch, done) = blocking(|| self.collect(source, &mut pending))?;
            self.batch(source, batch, &mut pending).await?;
            quarantine::store(self.env.control, self.env.cut.head.position, &pending.entries)
                .await?;
            self.tell(0);
            self.rest().await;
            if done {
                return Ok(());
            }
        }
    }

    fn collect(&mut self, source: &mut Source, pending: &mut Pending) -> Result<(Vec<Held>, bool)> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < BATCH_ROWS && bytes < BATCH_BYTES && !pending.is_full() {
            if !source.step()? {
                return Ok((batch, true));
            }
            self.report.read += 1;
            let projected = source.project();
            self.allow(source, &projected)?;
            self.quarantined(&projected, false);
            if projected.left_out {
                pending.extend(source.entries(&projected, None));
                continue;
            }
            self.report.coerced(&source.projection, &projected);
            let cells = (0..source.projection.columns.len()).map(|i| Some(source.cell(i)));
            let row = Row::from_cells(cells);
            bytes += row.iter().flatten().map(|c| size(c)).sum::<usize>();
            batch.push(Held { key: source.key(&projected), row, projected });
        }
        Ok((batch, false))
    }

    async fn batch(
        &mut self,
        source: &Source,
        batch: Vec<Held>,
        pending: &mut Pending,
    ) -> Result<()> {
        // Ranges still to be copied; a refused one is cut at the row that is named, or halved.
        let mut left = vec![batch];
        while let Some(mut rows) = left.pop() {
            if rows.is_empty() {
                continue;
            }
            let Err((error, at)) = self.try_rows(source, &rows).await? else {
                for held in rows.iter().filter(|h| !h.projected.misfits.is_empty()) {
                    pending.extend(held_entries(source, held, None));
                }
                continue;
            };
            match at.filter(|at| *at < rows.len()) {
                Some(at) => {
                    let after = rows.split_off(at + 1);
                    let bad = rows.pop();
                    left.push(after);
                    left.push(rows);
                    if let Some(bad) = bad {
                        self.refuse(source, &bad, &error, pending);
                    }
                }
                None if rows.len() > 1 => {
                    let half = rows.split_off(rows.len() / 2);
                    left.push(half);
                    left.push(rows);
                }
                None => self.refuse(source, &rows[0], &error, pending),
            }
        }
        Ok(())
    }

    fn refuse(&mut self, source: &Source, bad: &Held, error: &Error, pending: &mut Pending) {
        self.report.left_out += 1;
        self.report.nulled = self.report.nulled.saturating_sub(bad.projected.misfits.len() as u64);
        let reason = format!("PostgreSQL refuses the row: {}", error.message());
        pending.extend(held_entries(source, bad, Some(&reason)));
    }

    /// One COPY behind a savepoint. The inner error is about a row, with its number if told.
    async fn try_rows(
        &mut self,
        source: &Source,
        rows: &[Held],
    ) -> Result<std::result::Result<(), (Error, Option<usize>)>> {
        let control = self.env.control;
        control.batch("SAVEPOINT crossfade_batch").await?;
        let sql = copy::statement(&source.projection, &table_name(&source.projection.relation));
        let mut copy = CopyIn::begin(control, &sql).await?;
        let mut refused = None;
        for (i, held) in rows.iter().enumerate() {
            if let Err(error) = copy.row(source.values(&held.projected)) {
                refused = Some((error, Some(i)));
                break;
            }
            if copy.collected() >= copy::BUFFER {
                copy.send().await?;
            }
        }
        let refused = match refused {
            Some(refused) => {
                // Dropped unfinished, the COPY is undone.
                drop(copy);
                refused
            }
            None => match copy.finish().await {
                Ok(counts) => {
                    self.ended(counts);
                    control.batch("RELEASE crossfade_batch").await?;
                    return Ok(Ok(()));
                }
                Err(error) if refuses_a_row(&error) => {
                    let at = copy::failed_row(&error);
                    (error, at)
                }
                Err(error) => return Err(error),
            },
        };
        control.batch("ROLLBACK TO crossfade_batch; RELEASE crossfade_batch").await?;
        Ok(Err(refused))
    }
}

fn held_entries(source: &Source, held: &Held, refused: Option<&str>) -> Vec<Entry> {
    let cell = |i: usize| held.row.get(i).unwrap_or(CellRef::Null);
    quarantine::entries(&source.projection, cell, &held.projected, &held.key, refused)
}

fn size(cell: CellRef<'_>) -> usize {
    match cell {
        CellRef::Text(b) | CellRef::Blob(b) => b.len() + 8,
        _ => 8,
    }
}
