//! Lane B: the client's own statements on the shadow, at exactly the right prior state, behind a
//! savepoint; their net effect compared with the images, key by key.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::{join, join_all};
use tokio_postgres::Statement;
use tokio_postgres::types::ToSql;

use super::batch::Batch;
use super::shadow::{Change, Table};
use crate::backend::postgres::apply::{Apply, pg_type};
use crate::backend::postgres::binary::{Binary, row_of};
use crate::backend::postgres::project::Projected;
use crate::compare;
use crate::divergence::Sample;
use crate::error::{Error, Result};
use crate::journal::{Event, Events, Note, Record};
use crate::schema::Catalog;
use crate::telemetry::live::Lane;
use crate::value::{Datum, Type, storage};

/// What became of a record in lane B.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tested {
    /// Equal, and the shadow keeps this work.
    Kept,
    /// The images must be applied.
    NotKept,
}

/// A row after the transaction: by table, then by the key's text.
type Expected = BTreeMap<(String, Vec<Option<String>>), Touched>;

struct Touched {
    table: Arc<Table>,
    key: Vec<Datum>,
    row: Option<Vec<Datum>>,
}

/// Counts every statement of the record as not compared.
pub(super) fn skip_all(batch: &Batch, record: &Record, reason: &'static str) -> Tested {
    for note in notes(record) {
        skip(batch, note, reason);
    }
    Tested::NotKept
}

fn skip(batch: &Batch, note: &Note, reason: &'static str) {
    batch.shared.live.skipped(Lane::Write, reason);
    let mut coverage = batch.shared.coverage.lock();
    coverage.write(note.fingerprint, false);
    if note.text.is_none() {
        coverage.refused(note.fingerprint);
    }
    // A keyless table is verified as a multiset: its gate is `keys`, not `coverage`.
    if reason == "no_key" {
        coverage.excuse(note.fingerprint);
    }
}

fn notes(record: &Record) -> Vec<&Note> {
    let Events::Loaded(events) = &record.events else { return Vec::new() };
    events
        .iter()
        .filter_map(|e| match e {
            Event::Statement(note) => Some(note.as_ref()),
            _ => None,
        })
        .collect()
}

/// Why a record cannot be tested at all.
fn obstacle(batch: &Batch, record: &Record) -> Option<&'static str> {
    let Events::Loaded(events) = &record.events else { return Some("too_large") };
    let other = |e: &Event| !matches!(e, Event::Row(_) | Event::Statement(_));
    if events.iter().any(other) {
        return Some("unsupported");
    }
    let rows = events.iter().filter(|e| matches!(e, Event::Row(_))).count();
    (rows > batch.shared.settings.lane_b_keys_max).then_some("too_large")
}

/// Why one statement cannot be tested; its images are applied in its place.
fn note_obstacle(note: &Note, catalog: &Catalog) -> Option<&'static str> {
    if let Some(skip) = &note.skip {
        return Some(reason_word(skip));
    }
    // A parameter's type may have an OID there that is not known here.
    let mut types = note.params.iter().chain(&note.frozen).map(|(o, _)| Type::new(*o));
    if note.text.is_none() || types.any(|ty| pg_type(ty).is_none()) {
        return Some("unsupported");
    }
    let table = note.table.as_ref().and_then(|t| catalog.relations.get(t));
    table.is_some_and(|r| r.key().is_none()).then_some("no_key")
}

/// A record as the shadow does it in lane B: statements where they can be tested, images where
/// they cannot, in order.
enum Step<'a> {
    Statement(&'a Note),
    Image(&'a Change<'a>),
}

/// The record's rows as the shadow should take them; None when something of them is in
/// quarantine, so that statements cannot do the same there.
async fn changes<'a>(
    batch: &mut Batch,
    record: &'a Record,
    catalog: &Catalog,
) -> Result<Option<Vec<Change<'a>>>> {
    let control = batch.control();
    let refused = |note: &&Note| note.table.as_ref().is_some_and(|t| batch.shadow.is_refused(t));
    if notes(record).iter().any(refused) {
        return Ok(None);
    }
    let Events::Loaded(events) = &record.events else { return Ok(None) };
    let mut changes = Vec::new();
    for event in events {
        let Event::Row(image) = event else { continue };
        match batch.shadow.look(&control, image, catalog).await? {
            Some(change) if !change.was_held() => changes.push(change),
            _ => return Ok(None),
        }
    }
    Ok(Some(changes))
}

/// The record's steps and the statements left out, with their reasons.
fn steps<'a>(
    record: &'a Record,
    changes: &'a [Change<'a>],
    catalog: &Catalog,
) -> (Vec<Step<'a>>, Vec<(&'a Note, &'static str)>) {
    let (mut ops, mut left_out, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    let Events::Loaded(events) = &record.events else { return (ops, left_out) };
    let mut changes = changes.iter();
    for event in events {
        match event {
            Event::Row(_) => rows.extend(changes.next()),
            Event::Statement(note) => match note_obstacle(note, catalog) {
                Some(reason) => {
                    left_out.push((note.as_ref(), reason));
                    ops.extend(rows.drain(..).map(Step::Image));
                }
                None => {
                    ops.push(Step::Statement(note));
                    // A keyless table cannot be looked up by key: its rows come as images.
                    let keyless = |c: &&Change<'_>| c.table.projection.key.is_none();
                    ops.extend(rows.drain(..).filter(keyless).map(Step::Image));
                }
            },
            _ => {}
        }
    }
    ops.extend(rows.into_iter().map(Step::Image));
    (ops, left_out)
}

/// The contract's word for a noted reason.
fn reason_word(skip: &str) -> &'static str {
    crate::telemetry::names::SKIP_REASONS
        .iter()
        .copied()
        .find(|r| *r == skip)
        .unwrap_or("unsupported")
}

/// Tests one record inside the batch's transaction.
///
/// # Errors
/// Only when the connection or the transaction is lost: a difference is not an error.
pub(super) async fn test(batch: &mut Batch, record: &Record, catalog: &Catalog) -> Result<Tested> {
    if notes(record).is_empty() {
        return Ok(Tested::NotKept);
    }
    if let Some(reason) = obstacle(batch, record) {
        return Ok(skip_all(batch, record, reason));
    }
    let Some(changes) = changes(batch, record, catalog).await? else {
        return Ok(skip_all(batch, record, "unsupported"));
    };
    let (ops, left_out) = steps(record, &changes, catalog);
    if ops.iter().any(|op| matches!(op, Step::Image(change) if !change.is_plain())) {
        return Ok(skip_all(batch, record, "unsupported"));
    }
    let notes: Vec<&Note> = ops
        .iter()
        .filter_map(|op| match op {
            Step::Statement(note) => Some(*note),
            Step::Image(_) => None,
        })
        .collect();
    for (note, reason) in &left_out {
        skip(batch, note, reason);
    }
    if notes.is_empty() {
        return Ok(Tested::NotKept);
    }
    let expected = expected(&changes);
    // A value that does not fit needs its entry in the quarantine, which images bring.
    let mut keep = changes.iter().all(Change::is_plain);
    for touched in expected.values() {
        keep &= !guarded(batch, &touched.table).await?;
    }
    let control = batch.control();
    let role = |name: &str| format!("SET LOCAL session_replication_role = {name}");
    let release = batch.release.take().unwrap_or_default();
    let begin = if batch.replica {
        format!("{release}SAVEPOINT crossfade_test; {}", role("origin"))
    } else {
        format!("{release}SAVEPOINT crossfade_test")
    };
    control.batch(&begin).await?;
    let outcome = run(batch, &ops, &expected).await;
    let verdict = match outcome {
        Ok(found) => judge(&notes, &expected, &found),
        Err(error) if matches!(error.sqlstate().class(), "08" | "57" | "XX") => return Err(error),
        Err(error) => Judged::Failed(error),
    };
    let kept = keep && matches!(verdict, Judged::Equal);
    if kept {
        // Sent with whatever comes next: one round trip less for each transaction.
        let role = if batch.replica { role("replica") } else { String::new() };
        batch.release = Some(format!("RELEASE crossfade_test; {role}; "));
    } else {
        // Going back also puts the role back.
        control.batch("ROLLBACK TO crossfade_test; RELEASE crossfade_test").await?;
    }
    report(batch, record, &notes, verdict);
    Ok(if kept { Tested::Kept } else { Tested::NotKept })
}

/// What the shadow did.
struct Found {
    affected: Vec<u64>,
    rows: Vec<Option<Vec<Datum>>>,
}

enum Judged {
    Equal,
    Differs(Box<Sample>),
    Failed(Error),
}

/// The net effect of a record's images.
fn expected(changes: &[Change<'_>]) -> Expected {
    let mut expected = Expected::new();
    for change in changes.iter().filter(|c| c.table.projection.key.is_some()) {
        let mut put = |side: &Projected, row: Option<Vec<Datum>>| {
            let key = change.table.key_of(side);
            let text = change.table.key_text(side).into_iter().map(|(_, text)| text).collect();
            let touched = Touched { table: Arc::clone(&change.table), key, row };
            expected.insert((change.table.name().to_owned(), text), touched);
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

/// Whether the shadow's table has triggers, rules or row security of its own.
async fn guarded(batch: &mut Batch, table: &Table) -> Result<bool> {
    if let Some(known) = batch.guarded.get(table.name()) {
        return Ok(*known);
    }
    let control = batch.control();
    let name = crate::backend::postgres::apply::table_name(&table.projection.relation);
    let row = control
        .client()
        .query_opt(
            "SELECT c.relrowsecurity OR EXISTS (SELECT 1 FROM pg_trigger t \
             WHERE t.tgrelid = c.oid AND NOT t.tgisinternal) \
             OR EXISTS (SELECT 1 FROM pg_rewrite r WHERE r.ev_class = c.oid) \
             FROM pg_class c WHERE c.oid = to_regclass($1)",
            &[&name],
        )
        .await
        .map_err(|e| control.error(&e))?;
    let found = row.is_none_or(|row| row.get(0));
    batch.guarded.insert(table.name().to_owned(), found);
    Ok(found)
}

/// One step ready to be sent.
enum Ready {
    Statement(Statement, Vec<Binary>),
    Image(Statement, Apply),
    /// Triggers and foreign keys act for statements, and are off for images.
    Role(&'static str),
}

/// Runs the steps and reads the touched keys, in one pipeline.
async fn run(batch: &mut Batch, ops: &[Step<'_>], expected: &Expected) -> Result<Found> {
    let ready = ready(batch, ops).await?;
    let mut selects: Vec<(Statement, Apply, Vec<Type>)> = Vec::with_capacity(expected.len());
    for touched in expected.values() {
        let apply = touched.table.shape.select_by_key(&touched.key)?;
        let statement = batch.prepared.get(&apply.sql, &apply.types).await?;
        selects.push((statement, apply, touched.table.written_types()));
    }
    let control = batch.control();
    let client = control.client();
    let executed = join_all(ready.iter().map(|step| async move {
        match step {
            Ready::Statement(statement, params) => {
                client.execute(statement, &borrowed(params)).await.map(Some)
            }
            Ready::Image(statement, apply) => {
                client.query(statement, &borrowed(&apply.params)).await.map(|_| None)
            }
            Ready::Role(sql) => client.batch_execute(sql).await.map(|()| None),
        }
    }));
    let selected = join_all(selects.iter().map(|(statement, apply, types)| {
        let control = &control;
        async move {
            let row = client.query_opt(statement, &borrowed(&apply.params)).await;
            let row = row.map_err(|e| control.error(&e))?;
            row.map(|row| row_of(&row, types)).transpose()
        }
    }));
    let (executed, selected) = join(executed, selected).await;
    let mut affected = Vec::new();
    for outcome in executed {
        affected.extend(outcome.map_err(|e| control.error(&e))?);
    }
    Ok(Found { affected, rows: selected.into_iter().collect::<Result<_>>()? })
}

fn borrowed(params: &[Binary]) -> Vec<&(dyn ToSql + Sync)> {
    params.iter().map(|p| p as &(dyn ToSql + Sync)).collect()
}

async fn ready(batch: &mut Batch, ops: &[Step<'_>]) -> Result<Vec<Ready>> {
    let mut ready = Vec::with_capacity(ops.len());
    let mut as_replica = false;
    for op in ops {
        let wants_replica = batch.replica && matches!(op, Step::Image(_));
        if wants_replica != as_replica {
            ready.push(Ready::Role(if wants_replica {
                "SET LOCAL session_replication_role = replica"
            } else {
                "SET LOCAL session_replication_role = origin"
            }));
            as_replica = wants_replica;
        }
        match op {
            Step::Statement(note) => {
                let (statement, params) = prepare(batch, note).await?;
                ready.push(Ready::Statement(statement, params));
            }
            Step::Image(change) => {
                let apply = change.statement(change.image.op)?;
                let statement = batch.prepared.get(&apply.sql, &apply.types).await?;
                ready.push(Ready::Image(statement, apply));
            }
        }
    }
    Ok(ready)
}

async fn prepare(batch: &mut Batch, note: &Note) -> Result<(Statement, Vec<Binary>)> {
    let values: Vec<(Type, &crate::value::Cell)> =
        note.params.iter().chain(&note.frozen).map(|(o, cell)| (Type::new(*o), cell)).collect();
    let types: Vec<Type> = values.iter().map(|(ty, _)| *ty).collect();
    let text = note.text.as_deref().unwrap_or_default();
    let statement = batch.prepared.get(text, &types).await?;
    let params = values.iter().map(|(ty, cell)| Binary::logical(cell, *ty));
    Ok((statement, params.collect::<Result<_>>()?))
}

fn judge(notes: &[&Note], expected: &Expected, found: &Found) -> Judged {
    for (touched, row) in expected.values().zip(&found.rows) {
        if let Some(sample) = difference(touched, row.as_ref()) {
            return Judged::Differs(Box::new(sample));
        }
    }
    for (note, affected) in notes.iter().zip(&found.affected) {
        if !note.tag.starts_with("SELECT") && note.affected != *affected {
            return Judged::Differs(Box::new(Sample {
                class: "affected_count".to_owned(),
                table: note.table.clone(),
                columns: vec!["(row count)".to_owned()],
                primary: vec![Some(note.affected.to_string())],
                shadow: vec![Some(affected.to_string())],
                message: "the statement changed another number of rows".to_owned(),
                ..Sample::default()
            }));
        }
    }
    Judged::Equal
}

fn difference(touched: &Touched, found: Option<&Vec<Datum>>) -> Option<Sample> {
    let (table, types) = (&touched.table.projection, touched.table.written_types());
    let names: Vec<&str> =
        table.written().iter().map(|i| table.columns[*i].name.as_str()).collect();
    let all: Vec<usize> = (0..names.len()).collect();
    let (class, columns, message) = match (&touched.row, found) {
        (None, None) => return None,
        (Some(expected), Some(found)) => {
            let columns = compare::columns_that_differ(&types, expected, found);
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

fn report(batch: &Batch, record: &Record, notes: &[&Note], verdict: Judged) {
    let live = &batch.shared.live;
    let label = match &verdict {
        Judged::Equal => "match",
        Judged::Differs(_) => "diverged",
        Judged::Failed(error) if is_passing(error) => "inconclusive",
        Judged::Failed(_) => "diverged",
    };
    for note in notes {
        live.verdict(Lane::Write, label);
        batch.shared.coverage.lock().write(note.fingerprint, label != "inconclusive");
    }
    let mut sample = match verdict {
        Judged::Equal => return,
        Judged::Failed(error) if is_passing(&error) => return,
        Judged::Differs(sample) => *sample,
        Judged::Failed(error) => Sample {
            class: "error_shadow_only".to_owned(),
            table: notes.first().and_then(|n| n.table.clone()),
            shadow_sqlstate: Some(error.sqlstate().to_string()),
            message: format!("the statement failed on PostgreSQL: {}", error.message()),
            ..Sample::default()
        },
    };
    let wrote_it = notes.iter().find(|n| n.table == sample.table).or(notes.first());
    if let Some(note) = wrote_it {
        sample.fingerprint = note.text.clone().unwrap_or_default();
        sample.postgres_sql = note.text.clone();
        sample.parameters = note
            .params
            .iter()
            .chain(&note.frozen)
            .map(|(o, cell)| {
                let ty = Type::new(*o);
                let datum =
                    storage::decode(crate::schema::Codec::Identity, ty, cell.as_ref()).ok()?;
                compare::text(&datum, ty)
            })
            .collect();
    }
    sample.position_primary = record.position.0;
    sample.position_shadow = record.position.0;
    batch.shared.store.record(sample);
}

/// Serialisation failures, deadlocks, lock and statement time-outs prove nothing.
fn is_passing(error: &Error) -> bool {
    matches!(error.sqlstate().as_str(), "40001" | "40P01" | "55P03" | "57014")
}

/// Kept for the journal's reader: which tables a record touches.
pub(super) fn tables_of(record: &Record) -> Vec<&str> {
    let Events::Loaded(events) = &record.events else { return Vec::new() };
    let mut tables: Vec<&str> = events
        .iter()
        .filter_map(|e| match e {
            Event::Row(image) => Some(image.table.as_str()),
            _ => None,
        })
        .collect();
    tables.sort_unstable();
    tables.dedup();
    tables
}
