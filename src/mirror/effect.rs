//! What statements do on the shadow, and what their images say they should have done.
//!
//! Runs the steps of records in one pipeline inside the open transaction, and reads the rows that
//! each has touched before the next one runs; the caller has set the savepoint and goes back to it.
//! Start at [`run`], then [`judge`].

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::poll_immediate;
use tokio::task::JoinHandle;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row as PgRow, Statement};

use super::answer::has_own_oid;
use super::batch::Batch;
use super::shadow::{Change, Table};
use super::slow;
use crate::backend::postgres::apply::{Apply, quoted};
use crate::backend::postgres::binary::{Binary, row_of};
use crate::backend::postgres::control::{Control, set_local};
use crate::backend::postgres::project::Projected;
use crate::compare::{self, Digest, Verdict};
use crate::divergence::Sample;
use crate::error::{Culprit, Error, Result};
use crate::journal::Note;
use crate::schema::Codec;
use crate::sql::plan::RowOrder;
use crate::value::{Datum, Type, oid, storage};

/// A record as the shadow does it in lane B: statements where they can be tested, images where
/// they cannot, in order.
#[derive(Clone, Copy)]
pub(super) enum Step<'a> {
    Statement(&'a Note),
    /// Into a table without a key, where nothing can be looked up: the statement is asked for its
    /// new rows.
    Insert(&'a Note, &'a [&'a Change<'a>]),
    Image(&'a Change<'a>),
}

impl<'a> Step<'a> {
    /// The statement.
    pub(super) fn note(&self) -> Option<&'a Note> {
        match self {
            Self::Statement(note) | Self::Insert(note, _) => Some(note),
            Self::Image(_) => None,
        }
    }

    /// What the statement is asked for besides.
    fn returning(&self) -> Option<String> {
        let Self::Insert(_, rows) = self else { return None };
        let projection = &rows.first()?.table.projection;
        let written = projection.written().into_iter();
        let names: Vec<String> = written.map(|i| quoted(&projection.columns[i].name)).collect();
        Some(format!(" RETURNING {}", names.join(", ")))
    }
}

/// A row after the transaction: by table, then by the key's text.
pub(super) type Expected = BTreeMap<(String, Vec<Option<String>>), Touched>;

pub(super) struct Touched {
    pub(super) table: Arc<Table>,
    /// Something else than a new row.
    pub(super) changed: bool,
    key: Vec<Datum>,
    row: Option<Vec<Datum>>,
}

/// What the shadow did.
pub(super) struct Found {
    answers: Vec<Answer>,
    rows: Vec<Option<Vec<Datum>>>,
}

/// What it said to a statement.
enum Answer {
    Count(u64),
    Rows(Vec<PgRow>, Statement),
}

/// A step that failed.
pub(super) struct NotRun {
    pub(super) error: Error,
    /// The statement among the record's; None when it was none of them.
    pub(super) at: Option<usize>,
}

impl From<Error> for NotRun {
    fn from(error: Error) -> Self {
        Self { error, at: None }
    }
}

/// What a comparison says.
pub(super) enum Judged {
    Equal,
    Differs(Box<Sample>),
    /// At this statement; None when it was something else that failed.
    Failed(Error, Option<usize>),
}

/// The net effect of images.
pub(super) fn expected<'a>(changes: impl IntoIterator<Item = &'a Change<'a>>) -> Expected {
    let mut expected = Expected::new();
    let keyed = changes.into_iter().filter(|c| c.table.projection.key.is_some());
    for change in keyed {
        let mut put = |side: &Projected, row: Option<Vec<Datum>>| {
            let key = change.table.key_of(side);
            let text = change.table.key_text(side).into_iter().map(|(_, text)| text).collect();
            let name = (change.table.name().to_owned(), text);
            let before = expected.get(&name).is_some_and(|b: &Touched| b.changed);
            let changed = before || change.old.is_some();
            let touched = Touched { table: Arc::clone(&change.table), changed, key, row };
            expected.insert(name, touched);
        };
        if let Some(old) = &change.old {
            put(&old.row, None);
        }
        // Without its key a row is not there, and cannot be asked for.
        if let Some(new) = change.new.as_ref().filter(|_| change.new_key_fits()) {
            let written = change.table.projection.written();
            let row = written.iter().map(|i| new.row.values[*i].clone()).collect();
            put(&new.row, (!new.row.left_out).then_some(row));
        }
    }
    expected
}

/// What one record does, and what it must leave.
#[derive(Clone, Copy)]
pub(super) struct Trial<'a> {
    pub(super) ops: &'a [Step<'a>],
    pub(super) expected: &'a Expected,
}

/// One step ready to be sent.
enum Ready {
    Statement(Statement, Vec<Binary>, bool),
    Image(Statement, Apply),
    /// Reads rows that were touched.
    Rows(Statement, Vec<Binary>),
    /// Triggers and foreign keys act for statements, and are off for images; the settings of
    /// the session for its statements.
    Set(String),
}

/// What came back for a step.
enum Came {
    Answer(Answer),
    Rows(Vec<PgRow>),
    Nothing,
}

/// What a step's answer is for.
enum For<'a> {
    /// A record's statement.
    Note(usize, &'a Note),
    /// A row that a record has touched: the record, and which of its rows.
    Row(usize, usize, Arc<Table>),
    /// Rows that are read when all records have run.
    Late(Arc<Table>, Vec<Late>),
    Nothing,
}

/// A row that only one of the records touches: its key's text, the record, which of its rows.
type Late = (Vec<Option<String>>, usize, usize);

/// What came of a step, and when.
type Outcome = (Result<Came>, Instant);

/// A step on its way.
enum Sent {
    Done(Box<Outcome>),
    Waits(JoinHandle<Outcome>),
}

/// Steps on their way, in order. Each is sent when it is added: PostgreSQL is at work while the
/// next ones are made ready.
struct Flight<'a> {
    control: Control,
    sent: Vec<(Sent, For<'a>)>,
}

impl<'a> Flight<'a> {
    /// Sends a step now, and has its answer read whoever waits for what: an answer that nobody
    /// reads holds up the connection for all that come behind it.
    async fn add(&mut self, step: Ready, what: For<'a>) {
        let mut one = Box::pin(perform(self.control.clone(), step));
        let sent = match poll_immediate(&mut one).await {
            Some(outcome) => Sent::Done(Box::new(outcome)),
            None => Sent::Waits(tokio::spawn(one)),
        };
        self.sent.push((sent, what));
    }

    /// What came of all, in order.
    async fn land(
        self,
        batch: &mut Batch,
        trials: &[Trial<'_>],
        began: Instant,
    ) -> std::result::Result<Vec<Found>, NotRun> {
        let room = |trial: &Trial<'_>| Found {
            answers: Vec::with_capacity(trial.ops.len()),
            rows: trial.expected.values().map(|_| None).collect(),
        };
        let mut found: Vec<Found> = trials.iter().map(room).collect();
        let (mut since, mut statements) = (None, 0);
        for (sent, what) in self.sent {
            let (came, done) = match sent {
                Sent::Done(outcome) => *outcome,
                Sent::Waits(task) => {
                    task.await.map_err(|_| Error::internal("a step of lane B has panicked"))?
                }
            };
            let note = matches!(what, For::Note(..));
            let came = came.map_err(|error| NotRun { error, at: note.then_some(statements) })?;
            match (came, what) {
                (Came::Answer(answer), For::Note(trial, note)) => {
                    found[trial].answers.push(answer);
                    statements += 1;
                    // What lies between two answers of the pipeline is the later one's time; the
                    // first one's has the way there and back in it.
                    let took = done.saturating_duration_since(since.unwrap_or(began));
                    let way = if since.is_none() { batch.round_trip } else { Duration::ZERO };
                    batch.shared.took(note.fingerprint, took.saturating_sub(way));
                    slow::noted(batch, note);
                }
                (Came::Rows(rows), For::Row(trial, at, table)) => {
                    let types = table.written_types();
                    found[trial].rows[at] = match rows.as_slice() {
                        [] => None,
                        [row] => Some(row_of(row, &types)?),
                        _ => {
                            return Err(
                                Error::internal("a key that names more than one row").into()
                            );
                        }
                    };
                }
                (Came::Rows(rows), For::Late(table, late)) => {
                    put(&mut found, &table, late, &rows)?;
                }
                _ => {}
            }
            since = Some(done);
        }
        Ok(found)
    }
}

/// Puts rows that were read together where they belong.
fn put(found: &mut [Found], table: &Table, late: Vec<Late>, rows: &[PgRow]) -> Result<()> {
    let (types, key) = (table.written_types(), table.key_in_written());
    let mut read = HashMap::with_capacity(rows.len());
    for row in rows {
        let row = row_of(row, &types)?;
        let text: Vec<_> = key.iter().map(|i| compare::text(&row[*i], types[*i])).collect();
        // Two rows of one key are none that can be compared.
        read.entry(text).and_modify(|known| *known = None).or_insert(Some(row));
    }
    for (text, trial, at) in late {
        found[trial].rows[at] = read.remove(&text).flatten();
    }
    Ok(())
}

async fn perform(control: Control, step: Ready) -> (Result<Came>, Instant) {
    let client = control.client();
    let came = match &step {
        Ready::Statement(statement, params, true) => {
            let rows = client.query(statement, &borrowed(params)).await;
            rows.map(|rows| Came::Answer(Answer::Rows(rows, statement.clone())))
        }
        Ready::Statement(statement, params, false) => {
            let count = client.execute(statement, &borrowed(params)).await;
            count.map(|n| Came::Answer(Answer::Count(n)))
        }
        Ready::Image(statement, apply) => {
            client.query(statement, &borrowed(&apply.params)).await.map(|_| Came::Nothing)
        }
        Ready::Rows(statement, params) => {
            client.query(statement, &borrowed(params)).await.map(Came::Rows)
        }
        Ready::Set(sql) => client.batch_execute(sql).await.map(|()| Came::Nothing),
    };
    (came.map_err(|e| control.error(&e)), Instant::now())
}

/// Runs the steps and reads the touched keys, in one pipeline for all records.
pub(super) async fn run(
    batch: &mut Batch,
    trials: &[Trial<'_>],
) -> std::result::Result<Vec<Found>, NotRun> {
    let began = Instant::now();
    let mut flight = Flight { control: batch.control(), sent: Vec::new() };
    let refused = send(batch, trials, &mut flight).await.err();
    // What was sent before has failed first: then nothing later could be made ready.
    let found = flight.land(batch, trials, began).await?;
    refused.map_or(Ok(found), Err)
}

fn borrowed(params: &[Binary]) -> Vec<&(dyn ToSql + Sync)> {
    params.iter().map(|p| p as &(dyn ToSql + Sync)).collect()
}

async fn send<'a>(
    batch: &mut Batch,
    trials: &[Trial<'a>],
    flight: &mut Flight<'a>,
) -> std::result::Result<(), NotRun> {
    let mut as_replica = false;
    let mut settings: &[(String, String)] = &[];
    let mut statements = 0;
    let alone = touched_once(trials);
    let mut late: BTreeMap<&str, (Arc<Table>, Vec<Datum>, Vec<Late>)> = BTreeMap::new();
    for (number, trial) in trials.iter().enumerate() {
        for op in trial.ops {
            let wants_replica = batch.replica && matches!(op, Step::Image(_));
            if wants_replica != as_replica {
                let role = if wants_replica { "replica" } else { "origin" };
                let sql = format!("SET LOCAL session_replication_role = {role}");
                flight.add(Ready::Set(sql), For::Nothing).await;
                as_replica = wants_replica;
            }
            match op {
                Step::Statement(note) | Step::Insert(note, _) => {
                    if note.settings != settings {
                        settings = &note.settings;
                        // Literals are read when a statement is prepared: after this was run.
                        batch.control().batch(&set_local(settings)).await?;
                    }
                    let returning = op.returning();
                    let prepared = prepare(batch, note, returning.as_deref()).await;
                    let (statement, params) = prepared.map_err(|error| {
                        // What we cannot send is no fault of the statement.
                        let theirs = error.fields().culprit == Culprit::Shadow;
                        NotRun { error, at: theirs.then_some(statements) }
                    })?;
                    let rows = note.returning.is_some() || returning.is_some();
                    let ready = Ready::Statement(statement, params, rows);
                    flight.add(ready, For::Note(number, note)).await;
                    statements += 1;
                }
                Step::Image(change) => {
                    let apply = change.statement(change.image.op)?;
                    let statement = batch.prepared.get(&apply.sql, &apply.types).await?;
                    flight.add(Ready::Image(statement, apply), For::Nothing).await;
                }
            }
        }
        for (at, (name, touched)) in trial.expected.iter().enumerate() {
            if alone.contains(name) && touched.table.shape.reads_many() {
                let of = late.entry(&name.0);
                let of = of.or_insert_with(|| (Arc::clone(&touched.table), vec![], vec![]));
                of.1.extend(touched.key.first().cloned());
                of.2.push((name.1.clone(), number, at));
                continue;
            }
            let apply = touched.table.shape.select_by_key(&touched.key)?;
            let statement = batch.prepared.get(&apply.sql, &apply.types).await?;
            let what = For::Row(number, at, Arc::clone(&touched.table));
            flight.add(Ready::Rows(statement, apply.params), what).await;
        }
    }
    for (table, keys, late) in late.into_values() {
        let apply = table.shape.select_by_keys(keys)?;
        let statement = batch.prepared.get(&apply.sql, &apply.types).await?;
        flight.add(Ready::Rows(statement, apply.params), For::Late(table, late)).await;
    }
    if !settings.is_empty() {
        flight.add(Ready::Set(set_local(&[])), For::Nothing).await;
    }
    Ok(())
}

/// Rows that one record of several touches, and no other: they are as it left them when all have
/// run, or one of the others has done what it should not. The way to look at one by one is open
/// where there is only one record.
fn touched_once<'a>(trials: &[Trial<'a>]) -> HashSet<&'a (String, Vec<Option<String>>)> {
    let mut once = HashSet::new();
    if trials.len() < 2 {
        return once;
    }
    let mut more = HashSet::new();
    for name in trials.iter().flat_map(|trial| trial.expected.keys()) {
        if !once.insert(name) {
            more.insert(name);
        }
    }
    once.retain(|name| !more.contains(name));
    once
}

async fn prepare(
    batch: &mut Batch,
    note: &Note,
    returning: Option<&str>,
) -> Result<(Statement, Vec<Binary>)> {
    let values: Vec<(Type, &crate::value::Cell)> =
        note.params.iter().chain(&note.frozen).map(|(o, cell)| (Type::new(*o), cell)).collect();
    let types: Vec<Type> = values.iter().map(|(ty, _)| *ty).collect();
    let text = note.text.as_deref().unwrap_or_default();
    let text = returning.map_or(Cow::Borrowed(text), |more| Cow::Owned(format!("{text}{more}")));
    let statement = if note.settings.is_empty() {
        batch.prepared.get(&text, &types).await?
    } else {
        // Not the same statement as under other settings: its literals were read by them.
        let set = set_local(&note.settings).replace("*/", "* /").replace("/*", "/ *");
        batch.prepared.get(&format!("{text} /* {set} */"), &types).await?
    };
    let params = values.iter().map(|(ty, cell)| Binary::logical(cell, *ty));
    Ok((statement, params.collect::<Result<_>>()?))
}

/// How PostgreSQL would run a statement.
pub(super) async fn explained(batch: &mut Batch, note: &Note) -> Result<Vec<String>> {
    let plain = Note { text: note.text.as_ref().map(|t| format!("EXPLAIN {t}")), ..note.clone() };
    let (statement, params) = prepare(batch, &plain, None).await?;
    let control = batch.control();
    let rows = control.client().query(&statement, &borrowed(&params)).await;
    Ok(rows.map_err(|e| control.error(&e))?.iter().map(|row| row.get(0)).collect())
}

/// A statement's parameters in text form, for evidence.
pub(super) fn parameters(note: &Note) -> Vec<Option<String>> {
    let values = note.params.iter().chain(&note.frozen);
    values
        .map(|(o, cell)| {
            let ty = Type::new(*o);
            let datum = storage::decode(Codec::Identity, ty, cell.as_ref()).ok()?;
            compare::text(&datum, ty)
        })
        .collect()
}

/// Compares what was found with what the images say.
///
/// # Errors
/// When PostgreSQL's rows cannot be read.
pub(super) fn judge(
    ops: &[Step<'_>],
    expected: &Expected,
    found: &Found,
    ulps: u32,
) -> Result<Judged> {
    for (touched, row) in expected.values().zip(&found.rows) {
        if let Some(sample) = difference(touched, row.as_ref(), ulps) {
            return Ok(Judged::Differs(Box::new(sample)));
        }
    }
    let statements = ops.iter().filter_map(|op| Some((op, op.note()?)));
    for ((op, note), answer) in statements.zip(&found.answers) {
        let differs = match (answered(note, answer, ulps)?, op) {
            (None, Step::Insert(_, rows)) => inserted(rows, answer, ulps)?,
            (differs, _) => differs,
        };
        if let Some(sample) = differs {
            return Ok(Judged::Differs(Box::new(sample)));
        }
    }
    Ok(Judged::Equal)
}

/// What differs in the new rows of a table without a key.
fn inserted(rows: &[&Change<'_>], answer: &Answer, ulps: u32) -> Result<Option<Sample>> {
    let (Some(first), Answer::Rows(theirs, _)) = (rows.first(), answer) else { return Ok(None) };
    let (table, types) = (&first.table.projection, first.table.written_types());
    let written = table.written();
    let theirs: Vec<compare::Row> =
        theirs.iter().map(|row| row_of(row, &types)).collect::<Result<_>>()?;
    let new = rows.iter().filter_map(|change| change.new.as_ref());
    let ours: Vec<compare::Row> =
        new.map(|side| written.iter().map(|i| side.row.values[*i].clone()).collect()).collect();
    let verdict = compare::rows(&RowOrder::None, false, &types, &ours, &theirs, ulps);
    let Verdict::Diverged(found) = verdict else { return Ok(None) };
    let class = match found.class {
        "row_missing" => "effect_missing",
        "row_extra" => "effect_extra",
        _ => "effect_value",
    };
    let side = |row: &Option<compare::Row>| -> Vec<Option<String>> {
        let text = |row: &compare::Row, c: usize| compare::text(&row[c], types[c]);
        row.as_ref()
            .map(|row| found.columns.iter().map(|c| text(row, *c)).collect())
            .unwrap_or_default()
    };
    let name = |c: &usize| table.columns[written[*c]].name.clone();
    Ok(Some(Sample {
        class: class.to_owned(),
        table: Some(first.table.name().to_owned()),
        columns: found.columns.iter().map(name).collect(),
        primary: side(&found.primary),
        shadow: side(&found.shadow),
        message: "the statement left another new row".to_owned(),
        ..Sample::default()
    }))
}

/// What differs in the answer to one statement.
fn answered(note: &Note, answer: &Answer, ulps: u32) -> Result<Option<Sample>> {
    let sample = |class: &str, column: &str, ours: String, theirs: String, message: &str| Sample {
        class: class.to_owned(),
        table: note.table.clone(),
        columns: vec![column.to_owned()],
        primary: vec![Some(ours)],
        shadow: vec![Some(theirs)],
        message: message.to_owned(),
        ..Sample::default()
    };
    let count = match answer {
        Answer::Count(n) => *n,
        Answer::Rows(rows, _) => rows.len() as u64,
    };
    if note.affected != count {
        let class = if note.is_read() { "row_count" } else { "affected_count" };
        let (ours, theirs) = (note.affected.to_string(), count.to_string());
        let message = "the statement gave or changed another number of rows";
        return Ok(Some(sample(class, "(row count)", ours, theirs, message)));
    }
    let (Answer::Rows(rows, statement), Some(ours)) = (answer, &note.returning) else {
        return Ok(None);
    };
    let theirs: Vec<u32> = statement.columns().iter().map(|c| c.type_().oid()).collect();
    let same = |(ours, theirs): (&u32, &u32)| ours == theirs || has_own_oid(Type::new(*ours));
    if theirs.len() != note.columns.len() || !note.columns.iter().zip(&theirs).all(same) {
        let message = "the answer has other types";
        let (ours, theirs) = (format!("{:?}", note.columns), format!("{theirs:?}"));
        return Ok(Some(sample("type_oid", "(types)", ours, theirs, message)));
    }
    // A digest knows no nearness.
    if ulps > 0 && note.columns.iter().any(|o| matches!(*o, oid::FLOAT4 | oid::FLOAT8)) {
        return Ok(None);
    }
    let types: Vec<Type> = note.columns.iter().map(|o| Type::new(*o)).collect();
    let mut digest = Digest::default();
    for row in rows {
        digest.row();
        for (datum, ty) in row_of(row, &types)?.iter().zip(&types) {
            digest.value(datum, *ty);
        }
    }
    if digest.finish().as_slice() == ours.as_slice() {
        return Ok(None);
    }
    let message = "the statement gave other rows; they were not kept";
    let rows = count.to_string();
    Ok(Some(sample("value", "(rows)", rows.clone(), rows, message)))
}

fn difference(touched: &Touched, found: Option<&Vec<Datum>>, ulps: u32) -> Option<Sample> {
    let (table, types) = (&touched.table.projection, touched.table.written_types());
    let names: Vec<&str> =
        table.written().iter().map(|i| table.columns[*i].name.as_str()).collect();
    let all: Vec<usize> = (0..names.len()).collect();
    let (class, columns, message) = match (&touched.row, found) {
        (None, None) => return None,
        (Some(expected), Some(found)) => {
            let columns = compare::columns_apart(&types, expected, found, ulps);
            if columns.is_empty() {
                return None;
            }
            ("effect_value", columns, "the statement left other values in a row")
        }
        (Some(_), None) => ("effect_missing", all, "the statement left no row where one must be"),
        (None, Some(_)) => ("effect_extra", all, "the statement left a row where none must be"),
    };
    let side = |row: Option<&Vec<Datum>>| -> Vec<Option<String>> {
        row.map(|r| columns.iter().map(|c| compare::text(&r[*c], types[*c])).collect())
            .unwrap_or_default()
    };
    Some(Sample {
        class: class.to_owned(),
        table: Some(touched.table.name().to_owned()),
        columns: columns.iter().map(|c| names[*c].to_owned()).collect(),
        key: table
            .key
            .iter()
            .flatten()
            .zip(&touched.key)
            .map(|(i, d)| (table.columns[*i].name.clone(), compare::text(d, table.columns[*i].ty)))
            .collect(),
        primary: side(touched.row.as_ref()),
        shadow: side(found),
        message: message.to_owned(),
        ..Sample::default()
    })
}
