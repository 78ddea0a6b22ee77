//! SELECT and DML on SQLite: lane, parameters, stepping, rows to the client.
//!
//! Owns [`Running`], a statement being stepped with the connection it needs. A pooled
//! reader goes back as soon as its rows are out. Start at [`Session::query`].

use std::sync::{Arc, LazyLock};
use std::time::Instant;

use tokio::task::block_in_place;

use super::bounded::{at_work, is_bounded};
use super::observer::{Failure, Finished};
use super::reply::{self, Tag};
use super::spool::Spool;
use super::transaction::{Block, Isolation};
use super::watch::{self, Watch};
use super::{OUTPUT_BYTES, Session, Step, Stop, frozen, steps};
use crate::backend::Position;
use crate::backend::sqlite::draws::Draws;
use crate::backend::sqlite::errors;
use crate::backend::sqlite::events::Event;
use crate::backend::sqlite::functions::session::{Scope, next_turn};
use crate::backend::sqlite::{Connection, Reader, Statement, Writer};
use crate::error::{Error, Result, state};
use crate::journal;
use crate::schema::{Catalog, Deferral};
use crate::sql::MERGE;
use crate::sql::plan::{Frozen, FrozenSource, Plan, QueryKind, QueryPlan};
use crate::sql::trigger::distances;
use crate::value::{Cell, Format};

/// A statement being stepped. The statement goes before its connection does.
pub(super) struct Running {
    statement: Statement,
    reader: Option<Reader>,
    /// What is learnt on the way; boxed, as most statements have none.
    watch: Option<Box<Watch>>,
    /// What the journal needs of it.
    record: Option<Box<Record>>,
    /// The sequences it moves row by row.
    pub(super) draws: Option<Arc<Draws>>,
    began: Instant,
    /// Too short to hand the worker on for.
    bounded: bool,
    /// Its number among all statements.
    pub(super) turn: u64,
    /// What has been learnt when it was started, of a statement that writes.
    written: Option<Written>,
    /// Its one row is the number of rows that it has changed.
    tallies: bool,
    tally: Option<u64>,
}

/// How far a statement that writes has come when its triggers have fired: its first step
/// writes all of its rows.
struct Written {
    /// What the first step gave, until somebody asks.
    row: Option<bool>,
    /// Rows changed and the last one's rowid, if that step was the last.
    done: Option<(u64, i64)>,
}

/// A statement that is recorded: the frozen values that were bound.
struct Record {
    frozen: Vec<Cell>,
    /// More rows than these are not compared: a read after own writes is left out then.
    rows_max: u64,
}

/// What is known of a statement under way, should it fail.
#[derive(Default)]
pub(super) struct Attempt {
    /// The frozen values bound after the parameters.
    frozen: Vec<Cell>,
    /// Where PostgreSQL may be asked the same: the last commit its state holds, and whether its
    /// transaction has changed something before it.
    at: Option<(Position, bool)>,
}

/// One execution of a query.
#[derive(Clone)]
pub(super) struct Call {
    /// The plan; its action is a query.
    pub(super) plan: Arc<Plan>,
    /// The client's parameters, logical cells.
    pub(super) params: Arc<[Cell]>,
    /// Result formats: none, one for all, or one each.
    pub(super) formats: Arc<[Format]>,
}

/// How stepping ended.
pub(super) enum Ended {
    /// All rows are out: rows sent, and rows changed.
    Done(u64, u64),
    /// max_rows were sent and there may be more.
    Suspended(u64, Running),
}

impl Running {
    /// To the next row; false after the last.
    pub(super) fn step(&mut self) -> Result<bool> {
        let row = match self.written.as_mut().and_then(|w| w.row.take()) {
            Some(row) => row,
            None => self.statement.step()?,
        };
        if row && self.tallies {
            if let crate::value::CellRef::Integer(count) = self.statement.column(0) {
                self.tally = u64::try_from(count).ok();
            }
            return Ok(false);
        }
        Ok(row)
    }

    /// A column of the current row.
    pub(super) fn column(&self, index: usize) -> crate::value::CellRef<'_> {
        self.statement.column(index)
    }

    /// Puts the rest of the rows aside and gives the connection back.
    pub(super) fn spool(&mut self, into: &mut Spool) -> Result<()> {
        block_in_place(|| {
            let columns = self.statement.column_count();
            while self.step()? {
                let statement = &self.statement;
                into.push((0..columns).map(|i| statement.column(i)))?;
                if let Some(watch) = &mut self.watch {
                    watch.row(|i| statement.column(i))?;
                }
            }
            Ok(())
        })
    }
}

fn query_of(plan: &Plan) -> Result<&QueryPlan> {
    match &plan.action {
        crate::sql::plan::Action::Query(query) | crate::sql::plan::Action::Explain(query, _) => {
            Ok(query)
        }
        _ => Err(Error::internal("not a query plan")),
    }
}

impl Session {
    /// Runs a query to its end and sends its rows; returns the tag.
    pub(super) async fn query(&mut self, call: &Call) -> Step<Tag> {
        match self.query_rows(call, 0).await? {
            Ended::Done(rows, changed) => Ok(tag(query_of(&call.plan)?, rows, changed)),
            Ended::Suspended(..) => Err(Error::internal("suspended without a limit").into()),
        }
    }

    /// Starts a query and sends up to `max_rows` rows (0: all).
    pub(super) async fn query_rows(&mut self, call: &Call, max_rows: u64) -> Step<Ended> {
        let began = self.shared.clock.instant();
        self.attempt = Attempt::default();
        let outcome = self.query_inner(call, max_rows).await;
        let now = self.shared.clock.instant();
        let took = now.duration_since(began);
        self.card.traffic.statements(1, now, took);
        let observer = Arc::clone(&self.shared.observer);
        match outcome {
            Ok(ended) => {
                let (Ended::Done(rows, _) | Ended::Suspended(rows, _)) = &ended;
                observer.finished(Finished { plan: &call.plan, rows: *rows, took, error: None });
                Ok(ended)
            }
            Err(Stop::Error(error)) => {
                let error = self.name_key(self.describe(error), &call.plan);
                let finished = Finished { plan: &call.plan, rows: 0, took, error: Some(&error) };
                observer.finished(finished);
                // While the transaction still holds the writer: nobody commits in between.
                let Attempt { frozen, at } = std::mem::take(&mut self.attempt);
                if let Some((position, own_writes)) = at {
                    observer.failed(Failure {
                        position,
                        own_writes,
                        frozen: frozen.clone(),
                        settings: Arc::clone(&self.settings.derived().for_shadow),
                        plan: Arc::clone(&call.plan),
                        params: call.params.to_vec(),
                        error: error.clone(),
                    });
                }
                Err(self.with_detail(error, call, &frozen).into())
            }
            Err(gone) => Err(gone),
        }
    }

    /// An error with what the catalog and the rows know about it.
    fn explained(&mut self, error: Error, call: &Call) -> Error {
        let error = self.name_key(self.describe(error), &call.plan);
        let frozen = std::mem::take(&mut self.attempt).frozen;
        self.with_detail(error, call, &frozen)
    }

    async fn query_inner(&mut self, call: &Call, max_rows: u64) -> Step<Ended> {
        let query = query_of(&call.plan)?;
        let mut running = self.start(call, query).await?;
        match self.continue_rows(call, query, &mut running, max_rows).await {
            Ok((rows, true)) => Ok(Ended::Done(rows, self.finish(call, query, running, rows)?)),
            Ok((rows, false)) => {
                self.settle_draws(running.draws.as_deref())?;
                Ok(Ended::Suspended(rows, running))
            }
            // What it did is undone with its transaction or savepoint.
            Err(stop) => Err(stop),
        }
    }

    /// The statement has ended well: the rows it changed, its note, its sample.
    fn finish(
        &mut self,
        call: &Call,
        query: &QueryPlan,
        mut running: Running,
        rows: u64,
    ) -> Result<u64> {
        running.statement.reset();
        if query.system
            && let Some(reader) = &running.reader
        {
            self.show_again(reader)?;
        }
        let Running {
            statement, reader, watch, record, draws, began, bounded, written, tally, ..
        } = running;
        let mut changed = rows;
        if let (QueryKind::Write, Some(writer)) = (query.kind, self.transaction.writer()) {
            let known = written.and_then(|w| w.done);
            let last;
            (changed, last) =
                known.unwrap_or_else(|| (writer.changes(), writer.last_insert_rowid()));
            changed = tally.unwrap_or(changed);
            let inserts = query.tag.starts_with("INSERT") && changed > 0;
            let rowid = inserts.then_some(last);
            if let (Some(rowid), true) = (rowid, call.plan.dialect.is_sqlite()) {
                self.raise_sequence(query, writer, rowid)?;
            }
            self.counted.wrote(changed, rowid);
        }
        drop(statement);
        self.settle_draws(draws.as_deref())?;
        for (name, value, local) in self.requests.take() {
            let value = value.map(|v| vec![v]);
            self.settings.set(&name, value.as_deref(), local)?;
        }
        if let (Some(record), Some(writer)) = (record, self.transaction.writer()) {
            if rows > record.rows_max {
                self.shared.observer.unwatched(&call.plan, "too_large");
                return Ok(changed);
            }
            let digest = watch.filter(|_| !call.plan.columns.is_empty()).map(|w| w.digest());
            let settings = &self.settings.derived().for_shadow;
            let deferred = self.transaction.deferred;
            let mut note =
                watch::note(call, query, (settings, deferred), record.frozen, changed, digest);
            let temporary = self.temporary();
            if !temporary.is_empty() || self.types.any_temporary() {
                // The shadow has no tables of this session.
                note.skip.get_or_insert_with(|| "session_state".to_owned());
            }
            if !note.table.as_ref().is_some_and(|table| temporary.contains_key(table)) {
                writer.note(&Event::Statement(Box::new(note)));
            }
            return Ok(changed);
        }
        if let (Some(watch), Some(reader)) = (watch, &reader) {
            at_work(bounded, || reader.execute("COMMIT", &[]))?;
            let took = self.shared.clock.instant().duration_since(began);
            let settings = Arc::clone(&self.settings.derived().for_shadow);
            self.shared.observer.read(watch.sample(call, took, settings, self.scope()));
        }
        Ok(changed)
    }

    /// SQLite numbers the next row above every row it has: so does the sequence, after an
    /// INSERT of SQLite's dialect that gave a number itself.
    fn raise_sequence(&self, query: &QueryPlan, writer: &Writer, rowid: i64) -> Result<()> {
        let catalog = self.catalog();
        let table = query.writes.as_ref().and_then(|name| catalog.relation(name));
        let column = table.and_then(|t| t.rowid_alias.map(|i| &t.columns[i]));
        let sequence =
            column.and_then(|c| c.sequence.as_ref()).and_then(|name| catalog.sequences.get(name));
        if let Some(sequence) = sequence
            && self.shared.side.sequences.last_value(sequence.oid).unwrap_or(0) < rowid
        {
            let moved = self.shared.side.sequences.set(writer, sequence, rowid, true)?;
            frozen::note(writer, moved);
        }
        Ok(())
    }

    /// Picks the lane, computes frozen values, prepares and binds.
    pub(super) async fn start(&mut self, call: &Call, query: &QueryPlan) -> Step<Running> {
        self.check_read_only(query)?;
        self.set_aside_live()?;
        let own_writes = self.transaction.writer().is_some_and(Writer::has_recorded);
        let frozen = if query.frozen.is_empty() {
            Vec::new()
        } else {
            self.freeze(&query.frozen, &call.params, &call.plan.params).await?
        };
        let reader = self.lane(query.kind).await?;
        let rows_max = match (query.kind, &reader) {
            (QueryKind::Write, _) => Some(u64::MAX),
            (QueryKind::Read, None) if !query.system => self.rows_noted(call, own_writes),
            _ => None,
        };
        if query.system {
            self.show_to(reader.as_ref())?;
        }
        let connection = match &reader {
            Some(reader) => reader,
            None => self.connection().ok_or_else(|| Error::internal("no connection"))?,
        };
        self.cancel.running(connection.interrupter());
        connection.set_deadline(self.deadline);
        let began = self.shared.clock.instant();
        let turn = next_turn();
        let wanted = match (&reader, query.kind) {
            (Some(_), QueryKind::Read) if !query.system && !self.types.any_temporary() => {
                self.shared.observer.wants(&call.plan)
            }
            _ => None,
        };
        let writer = self.transaction.writer().filter(|w| w.recording());
        let mut drawn = None;
        let mut seen = None;
        let bounded = is_bounded(query, connection);
        let waits =
            Some(self.catalog()).filter(|c| c.fired.waits && query.kind == QueryKind::Write);
        let prepared = at_work(bounded, || {
            let record = match writer.zip(rows_max) {
                None => None,
                Some((writer, rows_max)) => {
                    writer.mark()?;
                    Some(Box::new(Record { frozen: frozen.clone(), rows_max }))
                }
            };
            let watch = match (wanted, &reader) {
                (Some(limits), Some(reader)) => {
                    // One snapshot for the position and the rows.
                    reader.execute("BEGIN", &[])?;
                    let position = journal::position(reader)?;
                    seen = Some(position);
                    Some(Box::new(Watch::read(call, query, frozen.clone(), limits, position)))
                }
                _ if record.is_some() => Some(Box::new(Watch::returning(call, query))),
                _ => None,
            };
            let draws = if query.draws { Some(self.draws(connection)?) } else { None };
            let _scope = Scope::enter(self.scope_drawing(draws.as_ref(), turn));
            let inputs: Vec<&Cell> = call.params.iter().chain(&frozen).collect();
            let begun = begin(connection, query, &inputs, turn, waits.as_deref());
            if let (Err(_), Some(draws)) = (&begun, &draws) {
                drawn = Some(draws.values());
            }
            let (statement, written) = begun?;
            Ok((statement, written, watch, record, draws))
        });
        self.transaction.queried = true;
        if let Some(values) = drawn {
            self.sequences = values;
        }
        self.attempt = Attempt { frozen, at: self.attempted_at(query, own_writes, seen) };
        match prepared {
            Ok((statement, written, watch, record, draws)) => Ok(Running {
                statement,
                reader,
                watch,
                record,
                draws,
                began,
                bounded,
                turn,
                written,
                tallies: query.tag == MERGE,
                tally: None,
            }),
            Err(error) => {
                self.cancel.stopped();
                Err(Error::into(error))
            }
        }
    }

    /// A read on the transaction's own connection: after own writes it has no position, and is
    /// noted in the journal to be compared in its transaction. How many rows it may give.
    fn rows_noted(&self, call: &Call, own_writes: bool) -> Option<u64> {
        let observer = &self.shared.observer;
        let recording = self.transaction.writer().is_some_and(Writer::recording);
        if !recording || !own_writes {
            let snapshot = self.transaction.writer().is_none();
            let reason = if snapshot { "session_state" } else { "own_writes" };
            observer.unwatched(&call.plan, reason);
            return None;
        }
        let limits = observer.wants(&call.plan);
        if limits.is_none() {
            observer.unwatched(&call.plan, "sampled_out");
        }
        limits.map(|l| l.rows as u64)
    }

    /// Where a failure of this statement may be asked of PostgreSQL: at the snapshot of a watched
    /// read; on the writer, at the last commit as long as the transaction has changed nothing.
    fn attempted_at(
        &self,
        query: &QueryPlan,
        own_writes: bool,
        seen: Option<Position>,
    ) -> Option<(Position, bool)> {
        if query.system || !self.shared.observer.wants_failures() {
            return None;
        }
        let writer = self.transaction.writer().filter(|w| w.recording());
        let last = writer.map(|w| (Position(w.position().0.saturating_sub(1)), own_writes));
        seen.map(|position| (position, false)).or(last)
    }

    /// Where the statement runs: `Some` pooled reader, or `None` for the connection of the
    /// transaction (writer or snapshot).
    pub(super) async fn lane(&mut self, kind: QueryKind) -> Step<Option<Reader>> {
        if kind != QueryKind::Read {
            if self.transaction.isolation != Isolation::ReadCommitted {
                // The writer must find the state of the snapshot.
                self.take_snapshot().await?;
            }
            self.take_writer().await?;
            return Ok(None);
        }
        if self.transaction.connection().is_some() {
            return Ok(None);
        }
        if self.own.is_some() && self.transaction.isolation == Isolation::ReadCommitted {
            return Ok(None);
        }
        if self.transaction.isolation != Isolation::ReadCommitted {
            self.take_snapshot().await?;
            return Ok(None);
        }
        let sqlite = self.shared.sqlite.clone();
        let deadline = self.deadline;
        Ok(Some(self.wait_for(async move { sqlite.reader(deadline).await }).await?))
    }

    fn connection_of<'a>(&'a self, running: &'a Running) -> Result<&'a Connection> {
        match &running.reader {
            Some(reader) => Ok(reader),
            None => self.connection().ok_or_else(|| Error::internal("no connection")),
        }
    }

    /// Steps on and sends rows; whether that was the end.
    pub(super) async fn continue_rows(
        &mut self,
        call: &Call,
        query: &QueryPlan,
        running: &mut Running,
        max_rows: u64,
    ) -> Step<(u64, bool)> {
        let mut sent = 0;
        loop {
            let derived = Arc::clone(self.settings.derived());
            let scope = self.scope_of(running);
            let mut describe = std::mem::take(&mut self.describe_next);
            let out = self.io.out();
            let filled = at_work(running.bounded, || -> Result<Filled> {
                let _scope = Scope::enter(scope);
                loop {
                    if max_rows > 0 && sent >= max_rows {
                        return Ok(Filled::Limit);
                    }
                    if out.len() >= OUTPUT_BYTES {
                        return Ok(Filled::Buffer);
                    }
                    let row = running.step()?;
                    if std::mem::take(&mut describe) {
                        reply::describe_columns(out, &call.plan.columns, &call.formats);
                    }
                    if !row {
                        return Ok(Filled::End);
                    }
                    // DML without RETURNING has no columns, hence no rows.
                    let statement = &running.statement;
                    reply::data_row(
                        out,
                        &call.plan.columns,
                        &query.codecs,
                        &call.formats,
                        &derived.style,
                        |i| statement.column(i),
                    )?;
                    if let Some(watch) = &mut running.watch {
                        watch.row(|i| statement.column(i))?;
                    }
                    sent += 1;
                }
            });
            match filled {
                Ok(Filled::Buffer) => {
                    // Cancelled while the client was slow to read.
                    if let Some(error) = self.cancel.error() {
                        self.stopped(running);
                        return Err(error.into());
                    }
                    self.flush().await?;
                }
                Ok(end) => {
                    self.stopped(running);
                    return Ok((sent, matches!(end, Filled::End)));
                }
                Err(error) => {
                    self.stopped(running);
                    return Err(error.into());
                }
            }
        }
    }

    fn stopped(&mut self, running: &Running) {
        self.cancel.stopped();
        if let Some(draws) = &running.draws {
            self.sequences = draws.values();
        }
        if let Ok(connection) = self.connection_of(running) {
            connection.set_deadline(None);
        }
    }

    /// SELECT and DML into a spool: cursors.
    /// Returns the rows changed.
    pub(super) async fn query_into(&mut self, call: &Call, spool: &mut Spool) -> Step<u64> {
        match self.query_into_inner(call, spool).await {
            Err(Stop::Error(error)) => Err(self.explained(error, call).into()),
            other => other,
        }
    }

    async fn query_into_inner(&mut self, call: &Call, spool: &mut Spool) -> Step<u64> {
        let query = query_of(&call.plan)?;
        let mut running = self.start(call, query).await?;
        let scope = self.scope_of(&running);
        let outcome = {
            let _scope = Scope::enter(scope);
            running.spool(spool)
        };
        self.stopped(&running);
        outcome.map_err(|e| self.describe(e))?;
        Ok(self.finish(call, query, running, spool.len())?)
    }

    /// Puts the deadline of a new Execute on a statement that is resumed.
    pub(super) fn resume_clock(&self, running: &Running) -> Result<()> {
        let connection = self.connection_of(running)?;
        connection.set_deadline(self.deadline);
        self.cancel.running(connection.interrupter());
        Ok(())
    }

    /// Names the foreign key a statement has violated, when only one can be meant.
    fn name_key(&self, error: Error, plan: &Plan) -> Error {
        match query_of(plan) {
            Ok(QueryPlan { writes: Some(table), tag, .. })
                if error.sqlstate() == state::FOREIGN_KEY_VIOLATION =>
            {
                errors::name_foreign_key(error, &self.catalog(), table, *tag == "DELETE")
            }
            Ok(QueryPlan { writes: Some(table), tag, .. })
                if matches!(error.sqlstate().as_str(), "23505" | "23P01") =>
            {
                let own = self.transaction.block != Block::Open && !self.many;
                self.judge_early(error, table, *tag == "INSERT 0", own)
            }
            Ok(QueryPlan { writes: Some(table), .. }) => {
                errors::name_null_key(error, &self.catalog(), table)
            }
            _ => error,
        }
    }

    /// SQLite checks at once what PostgreSQL would look at later: what may still come right
    /// is not called a violation.
    fn judge_early(&self, error: Error, table: &str, inserts: bool, own: bool) -> Error {
        let catalog = self.catalog();
        let name = error.fields().object.constraint.as_deref();
        let deferral = catalog.relation(table).and_then(|relation| {
            let mut uniques = relation.uniques.iter();
            let unique = uniques.find(|u| Some(u.name.as_str()) == name).map(|u| u.deferral);
            let mut indexes = relation.indexes.iter().filter(|i| i.is_exclusion());
            let index = indexes.find(|i| Some(i.name.as_str()) == name);
            unique.or(index.map(|i| i.extras.deferral))
        });
        let final_now = match deferral.unwrap_or_default() {
            Deferral::Never => true,
            Deferral::Immediate => inserts && !self.transaction.deferred,
            Deferral::Deferred => inserts && own,
        };
        if final_now {
            return error;
        }
        let name = name.unwrap_or_default();
        let what = format!("a duplicate key that constraint \"{name}\" allows for a while");
        Error::unsupported(what).hint("SQLite checks unique constraints at once.")
    }

    fn check_read_only(&self, query: &QueryPlan) -> Result<()> {
        if !self.transaction.read_only {
            return Ok(());
        }
        let what = match query.kind {
            QueryKind::Read => return Ok(()),
            // What draws says so itself, and knows whose sequence it is.
            QueryKind::LockingRead if query.frozen.iter().any(is_draw) => return Ok(()),
            QueryKind::LockingRead if query.draws => "nextval()",
            QueryKind::LockingRead => "SELECT FOR UPDATE",
            // Temporary tables may be written.
            QueryKind::Write if query.writes.is_none() && query.steps.is_empty() => return Ok(()),
            QueryKind::Write => query.tag.split(' ').next().unwrap_or(query.tag),
        };
        Err(read_only(what))
    }
}

/// Whether a frozen value moves a sequence.
fn is_draw(value: &Frozen) -> bool {
    matches!(value.source, FrozenSource::NextValue(_))
}

/// 25006
pub(super) fn read_only(what: &str) -> Error {
    Error::client(
        state::READ_ONLY_SQL_TRANSACTION,
        format!("cannot execute {what} in a read-only transaction"),
    )
}

/// Why filling the output buffer stopped.
enum Filled {
    End,
    Limit,
    Buffer,
}

/// A statement with its parameters bound.
pub(super) fn prepare(connection: &Connection, sql: &str, inputs: &[&Cell]) -> Result<Statement> {
    let mut statement = connection.prepare(sql)?;
    // Trailing parameters the printed text does not use do not exist for SQLite.
    let wanted = statement.parameter_count();
    for (i, cell) in inputs.iter().enumerate().take(wanted) {
        statement.bind(i + 1, cell.as_ref())?;
    }
    Ok(statement)
}

/// Runs a statement's steps and prepares it. One whose triggers may wait for its end writes all of
/// its rows and fires them.
fn begin(
    connection: &Connection,
    query: &QueryPlan,
    inputs: &[&Cell],
    turn: u64,
    waits: Option<&Catalog>,
) -> Result<(Statement, Option<Written>)> {
    let rows = steps::run(connection, &query.steps, inputs)?;
    let inputs: Vec<&Cell> = inputs.iter().copied().chain(&rows).collect();
    let mut statement = prepare(connection, &query.sqlite, &inputs)?;
    let Some(catalog) = waits else { return Ok((statement, None)) };
    let row = statement.step()?;
    let done = (!row).then(|| (connection.changes(), connection.last_insert_rowid()));
    // Asked only where several tables have something to fire.
    let near = LazyLock::new(|| distances(query.writes.as_deref().unwrap_or_default(), catalog));
    connection.run_queued(turn, &|oid| near.get(&oid).copied().unwrap_or(usize::MAX))?;
    Ok((statement, Some(Written { row: Some(row), done })))
}

/// The command tag: rows sent for SELECT, rows changed for DML.
pub(super) fn tag(query: &QueryPlan, rows: u64, changed: u64) -> Tag {
    let count =
        if query.kind == QueryKind::Write && query.tag != "SELECT" { changed } else { rows };
    reply::counted(query.tag, count)
}
