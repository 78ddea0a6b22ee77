//! What statements do on the shadow, and what their images say they should have done.
//!
//! Runs the steps of records in one pipeline inside the open transaction, and reads the rows that
//! each has touched before the next one runs; the caller has set the savepoint and goes back to it.
//! Start at [`run`], then [`judge`].

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row as PgRow, Statement};

use super::answer::has_own_oid;
use super::batch::Batch;
use super::shadow::{Change, Table};
use crate::backend::postgres::apply::{Apply, quoted};
use crate::backend::postgres::binary::{Binary, row_of};
use crate::backend::postgres::control::set_local;
use crate::backend::postgres::project::Projected;
use crate::compare::{self, Digest, Verdict};
use crate::divergence::Sample;
use crate::error::{Culprit, Error, Result};
use crate::journal::Note;
use crate::sql::plan::RowOrder;
use crate::value::{Datum, Type, oid};

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
    /// Reads a row that was touched.
    Row(Statement, Apply, Vec<Type>),
    /// Triggers and foreign keys act for statements, and are off for images; the settings of
    /// the session for its statements.
    Set(String),
}

/// What came back for a step.
enum Came {
    Answer(Answer),
    Row(Option<Vec<Datum>>),
    Nothing,
}

/// Runs the steps and reads the touched keys, in one pipeline for all records.
pub(super) async fn run(
    batch: &mut Batch,
    trials: &[Trial<'_>],
) -> std::result::Result<Vec<Found>, NotRun> {
    let ready = ready(batch, trials).await?;
    let control = &batch.control();
    let client = control.client();
    let mut since = Instant::now();
    let sent = join_all(ready.iter().map(|step| async move {
        let came = match step {
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
            Ready::Row(statement, apply, types) => {
                match client.query_opt(statement, &borrowed(&apply.params)).await {
                    Ok(row) => {
                        return (
                            row.map(|row| row_of(&row, types)).transpose().map(Came::Row),
                            None,
                        );
                    }
                    Err(error) => Err(error),
                }
            }
            Ready::Set(sql) => client.batch_execute(sql).await.map(|()| Came::Nothing),
        };
        (came.map_err(|e| control.error(&e)), Some(Instant::now()))
    }))
    .await;
    let mut sent = sent.into_iter().zip(&ready);
    let mut found = Vec::with_capacity(trials.len());
    let mut statements = 0;
    for trial in trials {
        let (mut answers, mut rows) = (Vec::new(), Vec::with_capacity(trial.expected.len()));
        let mut notes = trial.ops.iter().filter_map(Step::note).map(|note| note.fingerprint);
        // The settings are put back after the last record.
        while rows.len() < trial.expected.len() || answers.len() < trial.statements() {
            let Some(((came, done), step)) = sent.next() else { break };
            let note = matches!(step, Ready::Statement(..)).then(|| notes.next()).flatten();
            match came.map_err(|error| NotRun { error, at: note.map(|_| statements) })? {
                Came::Answer(answer) => answers.push(answer),
                Came::Row(row) => rows.push(row),
                Came::Nothing => {}
            }
            if let (Some(fingerprint), Some(done)) = (note, done) {
                // What lies between two answers of the pipeline is the later one's time.
                batch.shared.shapes.shadow_took(fingerprint, done.saturating_duration_since(since));
            }
            statements += usize::from(note.is_some());
            since = done.unwrap_or(since);
        }
        found.push(Found { answers, rows });
    }
    // Images that nothing was asked after.
    for ((came, _), _) in sent {
        came.map_err(NotRun::from)?;
    }
    Ok(found)
}

impl Trial<'_> {
    fn statements(&self) -> usize {
        self.ops.iter().filter_map(Step::note).count()
    }
}

fn borrowed(params: &[Binary]) -> Vec<&(dyn ToSql + Sync)> {
    params.iter().map(|p| p as &(dyn ToSql + Sync)).collect()
}

async fn ready(batch: &mut Batch, trials: &[Trial<'_>]) -> std::result::Result<Vec<Ready>, NotRun> {
    let mut ready = Vec::with_capacity(trials.iter().map(|t| t.ops.len() * 2).sum());
    let mut as_replica = false;
    let mut settings: &[(String, String)] = &[];
    let mut statements = 0;
    for trial in trials {
        for op in trial.ops {
            let wants_replica = batch.replica && matches!(op, Step::Image(_));
            if wants_replica != as_replica {
                let role = if wants_replica { "replica" } else { "origin" };
                ready.push(Ready::Set(format!("SET LOCAL session_replication_role = {role}")));
                as_replica = wants_replica;
            }
            match op {
                Step::Statement(note) | Step::Insert(note, _) => {
                    if note.settings != settings {
                        settings = &note.settings;
                        // Literals are read when a statement is prepared.
                        batch.control().batch(&set_local(settings)).await?;
                        ready.push(Ready::Set(set_local(settings)));
                    }
                    let returning = op.returning();
                    let prepared = prepare(batch, note, returning.as_deref()).await;
                    let (statement, params) = prepared.map_err(|error| {
                        // What we cannot send is no fault of the statement.
                        let theirs = error.fields().culprit == Culprit::Shadow;
                        NotRun { error, at: theirs.then_some(statements) }
                    })?;
                    let rows = note.returning.is_some() || returning.is_some();
                    ready.push(Ready::Statement(statement, params, rows));
                    statements += 1;
                }
                Step::Image(change) => {
                    let apply = change.statement(change.image.op)?;
                    let statement = batch.prepared.get(&apply.sql, &apply.types).await?;
                    ready.push(Ready::Image(statement, apply));
                }
            }
        }
        for touched in trial.expected.values() {
            let apply = touched.table.shape.select_by_key(&touched.key)?;
            let statement = batch.prepared.get(&apply.sql, &apply.types).await?;
            ready.push(Ready::Row(statement, apply, touched.table.written_types()));
        }
    }
    if !settings.is_empty() {
        ready.push(Ready::Set(set_local(&[])));
    }
    Ok(ready)
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
