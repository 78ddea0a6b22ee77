//! Lane B: the client's own statements on the shadow, at exactly the right prior state, behind a
//! savepoint; their net effect compared with the images, key by key.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::{join, join_all};
use tokio_postgres::Statement;
use tokio_postgres::types::ToSql;

use super::batch::{Batch, relation_of};
use crate::backend::postgres::apply::{Apply, key_values, plain_columns, plain_values};
use crate::backend::postgres::binary::{Binary, row_of};
use crate::compare;
use crate::divergence::Sample;
use crate::error::{Error, Result};
use crate::journal::{Event, Events, Image, Note, Op, Record, Row};
use crate::schema::{Catalog, Relation};
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
    relation: Arc<Relation>,
    key: Vec<Datum>,
    row: Option<Vec<Datum>>,
}

/// Counts every statement of the record as not compared.
pub(super) fn skip_all(batch: &Batch, record: &Record, reason: &'static str) -> Tested {
    for note in notes(record) {
        batch.shared.live.skipped(Lane::Write, reason);
        let mut coverage = batch.shared.coverage.lock();
        coverage.write(note.fingerprint, false);
        if note.text.is_none() {
            coverage.refused(note.fingerprint);
        }
    }
    Tested::NotKept
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

/// Why a record cannot be tested.
fn obstacle(batch: &Batch, record: &Record, catalog: &Catalog) -> Option<&'static str> {
    let Events::Loaded(events) = &record.events else { return Some("too_large") };
    let mut rows = 0;
    for event in events {
        match event {
            Event::Row(image) => {
                rows += 1;
                let relation = relation_of(catalog, &image.table).ok()?;
                if relation.key().is_none() {
                    return Some("no_key");
                }
            }
            Event::Statement(note) => {
                if let Some(skip) = &note.skip {
                    return Some(reason_word(skip));
                }
                if note.text.is_none() {
                    return Some("unsupported");
                }
            }
            _ => return Some("unsupported"),
        }
    }
    (rows > batch.shared.settings.lane_b_keys_max).then_some("too_large")
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
    let notes = notes(record);
    if notes.is_empty() {
        return Ok(Tested::NotKept);
    }
    if let Some(reason) = obstacle(batch, record, catalog) {
        return Ok(skip_all(batch, record, reason));
    }
    let expected = expected(record, catalog)?;
    let mut keep = true;
    for touched in expected.values() {
        keep &= !guarded(batch, &touched.relation).await?;
    }
    let control = batch.control();
    let role = |name: &str| format!("SET LOCAL session_replication_role = {name}");
    let begin = if batch.replica {
        format!("SAVEPOINT crossfade_test; {}", role("origin"))
    } else {
        "SAVEPOINT crossfade_test".to_owned()
    };
    control.batch(&begin).await?;
    let outcome = run(batch, &notes, &expected).await;
    let verdict = match outcome {
        Ok(found) => judge(&notes, &expected, &found),
        Err(error) if matches!(error.sqlstate().class(), "08" | "57" | "XX") => return Err(error),
        Err(error) => Judged::Failed(error),
    };
    let kept = keep && matches!(verdict, Judged::Equal);
    let end = match (kept, batch.replica) {
        (true, true) => format!("RELEASE crossfade_test; {}", role("replica")),
        (true, false) => "RELEASE crossfade_test".to_owned(),
        // Going back also puts the role back.
        (false, _) => "ROLLBACK TO crossfade_test; RELEASE crossfade_test".to_owned(),
    };
    control.batch(&end).await?;
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
fn expected(record: &Record, catalog: &Catalog) -> Result<Expected> {
    let mut expected = Expected::new();
    let Events::Loaded(events) = &record.events else { return Ok(expected) };
    for event in events {
        let Event::Row(image) = event else { continue };
        let relation = relation_of(catalog, &image.table)?;
        if !image.old.is_empty() {
            let key = key_values(&relation, &image.old)?;
            put(&mut expected, &relation, key, None);
        }
        if !image.new.is_empty() {
            let key = key_values(&relation, &image.new)?;
            let row = plain_values(&relation, &image.new)?;
            put(&mut expected, &relation, key, Some(row));
        }
    }
    Ok(expected)
}

fn put(
    expected: &mut Expected,
    relation: &Arc<Relation>,
    key: Vec<Datum>,
    row: Option<Vec<Datum>>,
) {
    let text = key.iter().zip(key_types(relation)).map(|(d, t)| compare::text(d, t)).collect();
    let touched = Touched { relation: Arc::clone(relation), key, row };
    expected.insert((relation.name.clone(), text), touched);
}

fn key_types(relation: &Relation) -> Vec<Type> {
    relation.key().unwrap_or_default().iter().map(|i| relation.columns[*i].ty).collect()
}

/// Whether the shadow's table has triggers, rules or row security of its own.
async fn guarded(batch: &mut Batch, relation: &Relation) -> Result<bool> {
    if let Some(known) = batch.guarded.get(&relation.name) {
        return Ok(*known);
    }
    let control = batch.control();
    let name = crate::backend::postgres::apply::table_name(relation);
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
    batch.guarded.insert(relation.name.clone(), found);
    Ok(found)
}

/// Runs the statements and reads the touched keys, in one pipeline.
async fn run(batch: &mut Batch, notes: &[&Note], expected: &Expected) -> Result<Found> {
    let mut statements = Vec::with_capacity(notes.len());
    for note in notes {
        statements.push(prepare(batch, note).await?);
    }
    let mut selects: Vec<(Statement, Apply, Vec<Type>)> = Vec::with_capacity(expected.len());
    for touched in expected.values() {
        let apply = batch.shapes.select_by_key(&touched.relation, &touched.key)?;
        let statement = batch.prepared.get(&apply.sql, &apply.types).await?;
        let (_, types) = plain_columns(&touched.relation);
        selects.push((statement, apply, types));
    }
    let control = batch.control();
    let client = control.client();
    let executed = join_all(statements.iter().map(|(statement, params)| {
        let params: Vec<&(dyn ToSql + Sync)> =
            params.iter().map(|p| p as &(dyn ToSql + Sync)).collect();
        async move { client.execute(statement, &params).await }
    }));
    let selected = join_all(selects.iter().map(|(statement, apply, types)| {
        let control = &control;
        async move {
            let params: Vec<&(dyn ToSql + Sync)> =
                apply.params.iter().map(|p| p as &(dyn ToSql + Sync)).collect();
            let row = client.query_opt(statement, &params).await;
            let row = row.map_err(|e| control.error(&e))?;
            row.map(|row| row_of(&row, types)).transpose()
        }
    }));
    let (executed, selected) = join(executed, selected).await;
    let affected = executed.into_iter().collect::<Result<_, _>>().map_err(|e| control.error(&e))?;
    Ok(Found { affected, rows: selected.into_iter().collect::<Result<_>>()? })
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
    let (names, types) = plain_columns(&touched.relation);
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
    let key_names = touched.relation.key().unwrap_or_default();
    Some(Sample {
        class: class.to_owned(),
        table: Some(touched.relation.name.clone()),
        columns: columns.iter().map(|c| names[*c].clone()).collect(),
        key: key_names
            .iter()
            .zip(&touched.key)
            .map(|(i, d)| {
                let column = &touched.relation.columns[*i];
                (column.name.clone(), compare::text(d, column.ty))
            })
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

/// A row's key in text form, for evidence.
pub(super) fn key_text(relation: &Relation, row: &Row) -> Vec<(String, Option<String>)> {
    let Ok(values) = key_values(relation, row) else { return Vec::new() };
    relation
        .key()
        .unwrap_or_default()
        .iter()
        .zip(&values)
        .map(|(i, d)| {
            let column = &relation.columns[*i];
            (column.name.clone(), compare::text(d, column.ty))
        })
        .collect()
}

/// Kept for the journal's reader: which tables a record touches.
pub(super) fn tables_of(record: &Record) -> Vec<&str> {
    let Events::Loaded(events) = &record.events else { return Vec::new() };
    let mut tables: Vec<&str> = events
        .iter()
        .filter_map(|e| match e {
            Event::Row(Image { table, op: Op::Insert | Op::Update | Op::Delete, .. }) => {
                Some(table.as_str())
            }
            _ => None,
        })
        .collect();
    tables.sort_unstable();
    tables.dedup();
    tables
}
