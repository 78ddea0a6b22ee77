//! Lane B: the client's own statements on the shadow, at exactly the right prior state, behind a
//! savepoint; their net effect compared with the images, key by key.
//!
//! A difference is looked into statement by statement, each from the state that the images before
//! it leave, so one cause is one report. It must never keep work that it did not prove equal, and
//! nothing that is open, of the session, or known not to be on PostgreSQL is a divergence.
//! Start at [`test`].

use std::collections::HashSet;

use super::Settings;
use super::batch::Batch;
use super::effect::{self, Expected, Judged, NotRun, Step, Trial, expected};
use super::other_types;
use super::shadow::{Change, Side};
use crate::backend::postgres::apply::pg_type;
use crate::divergence::Sample;
use crate::error::{Error, Result};
use crate::journal::{Event, Events, Note, Op, Record};
use crate::schema::{Catalog, Relation};
use crate::sql::fingerprint::fingerprint;
use crate::telemetry::live::Lane;
use crate::value::Type;

/// What became of a record in lane B.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tested {
    /// Equal, and the shadow keeps this work.
    Kept,
    /// The images must be applied.
    NotKept,
}

/// Counts every statement of the record as not compared.
pub(super) fn skip_all(batch: &Batch, record: &Record, reason: &'static str) -> Tested {
    for note in notes(record) {
        skip(batch, note, reason);
    }
    Tested::NotKept
}

/// Counts a statement that is not compared.
pub(super) fn skip(batch: &Batch, note: &Note, reason: &'static str) {
    seen(batch, note);
    let reason = if note.tag == "COPY" { "copy" } else { reason };
    batch.shared.skipped(lane(note), note.fingerprint, reason);
}

fn seen(batch: &Batch, note: &Note) {
    let shapes = &batch.shared.shapes;
    if !note.is_read() {
        shapes.written(note.fingerprint, note.text.as_deref());
    }
    // The rows of COPY are no statement.
    if note.text.is_none() && note.tag != "COPY" {
        shapes.untranslatable(note.fingerprint);
    }
}

fn lane(note: &Note) -> Lane {
    if note.is_read() { Lane::Read } else { Lane::Write }
}

pub(super) fn notes(record: &Record) -> Vec<&Note> {
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
pub(super) fn obstacle(batch: &Batch, record: &Record) -> Option<&'static str> {
    let Events::Loaded(events) = &record.events else { return Some("too_large") };
    if !is_sampled(batch.shared.settings.write_ratio, record) {
        return Some("sampled_out");
    }
    // What a sequence must be set to is no part of any statement's effect.
    let other = |e: &Event| !matches!(e, Event::Row(_) | Event::Statement(_) | Event::Sequence(_));
    if events.iter().any(other) {
        return Some("unsupported");
    }
    let rows = events.iter().filter(|e| matches!(e, Event::Row(_))).count();
    (rows > batch.shared.settings.lane_b_keys_max).then_some("too_large")
}

/// One record in so many, the same each time it is looked at.
fn is_sampled(ratio: f64, record: &Record) -> bool {
    // The upper bits of a product with the golden ratio lie evenly whatever the positions are.
    let spread = record.position.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    #[allow(clippy::cast_precision_loss)]
    let share = spread as f64 / f64::from(u32::MAX);
    share <= ratio
}

/// Why one statement cannot be tested; its images are applied in its place.
pub(super) fn note_obstacle(
    settings: &Settings,
    note: &Note,
    catalog: &Catalog,
) -> Option<&'static str> {
    if settings.writes_skip.has(note) {
        return Some("sampled_out");
    }
    if let Some(skip) = &note.skip {
        return Some(reason_word(skip));
    }
    // A parameter's type may have an OID there that is not known here.
    let mut types = note.params.iter().chain(&note.frozen).map(|(o, _)| Type::new(*o));
    if note.text.is_none() || types.any(|ty| pg_type(ty).is_none()) {
        return Some("unsupported");
    }
    // New rows can be asked for where none can be looked up.
    let inserts = note.tag.starts_with("INSERT") && note.returning.is_none();
    (is_keyless(note, catalog) && !inserts).then_some("no_key")
}

fn is_keyless(note: &Note, catalog: &Catalog) -> bool {
    let table = note.table.as_ref().and_then(|t| catalog.relations.get(t));
    table.is_some_and(|r| r.key().is_none())
}

/// How a statement is tested; None where its table has no key and its rows are not just new ones.
fn step<'a>(note: &'a Note, rows: &'a [&'a Change<'a>], catalog: &Catalog) -> Option<Step<'a>> {
    if !is_keyless(note, catalog) || rows.is_empty() {
        return Some(Step::Statement(note));
    }
    let new = |change: &&Change<'_>| {
        change.image.op == Op::Insert
            && change.is_plain()
            && note.table.as_deref() == Some(change.table.name())
    };
    rows.iter().all(new).then_some(Step::Insert(note, rows))
}

/// The record's rows as the shadow should take them; None when something of them is in
/// quarantine, so that statements cannot do the same there.
pub(super) async fn changes<'a>(
    batch: &mut Batch,
    record: &'a Record,
    catalog: &Catalog,
) -> Result<Option<Vec<Change<'a>>>> {
    let control = batch.control();
    let refused = |note: &&Note| {
        note.table.as_ref().is_some_and(|t| batch.shadow.is_refused(t))
            || note.text.as_ref().is_some_and(|t| batch.shadow.names_refused(t))
    };
    if notes(record).iter().any(refused) {
        return Ok(None);
    }
    let Events::Loaded(events) = &record.events else { return Ok(None) };
    let mut changes = Vec::new();
    for event in events {
        let Event::Row(image) = event else { continue };
        match batch.shadow.look(&control, image, catalog).await? {
            // A key that PostgreSQL does not hold unique tells no rows apart there.
            Some(change) if change.was_held() || change.lacks_its_key() => return Ok(None),
            Some(change) => changes.push(change),
            None => return Ok(None),
        }
    }
    Ok(Some(changes))
}

/// A statement with the images of its rows; None for rows without a statement.
pub(super) type Part<'a> = (Option<&'a Note>, Vec<&'a Change<'a>>);

/// The record's statements, each with its rows, in order.
pub(super) fn parts<'a>(record: &'a Record, changes: &'a [Change<'a>]) -> Vec<Part<'a>> {
    let Events::Loaded(events) = &record.events else { return Vec::new() };
    let mut changes = changes.iter();
    let (mut parts, mut rows) = (Vec::new(), Vec::new());
    for event in events {
        match event {
            Event::Row(_) => rows.extend(changes.next()),
            Event::Statement(note) => parts.push((Some(note.as_ref()), std::mem::take(&mut rows))),
            _ => {}
        }
    }
    if !rows.is_empty() {
        parts.push((None, rows));
    }
    parts
}

/// The record's steps and the statements left out, with their reasons.
pub(super) fn steps<'a>(
    settings: &Settings,
    parts: &'a [Part<'a>],
    catalog: &Catalog,
) -> (Vec<Step<'a>>, Vec<(&'a Note, &'static str)>) {
    let (mut ops, mut left_out) = (Vec::new(), Vec::new());
    for (note, rows) in parts {
        let reason = note.map(|note| note_obstacle(settings, note, catalog));
        let tested = note.filter(|_| reason == Some(None)).and_then(|n| step(n, rows, catalog));
        match tested {
            Some(Step::Statement(note)) => {
                ops.push(Step::Statement(note));
                // A keyless table cannot be looked up by key: its rows come as images.
                let keyless = rows.iter().filter(|c| c.table.projection.key.is_none());
                ops.extend(keyless.map(|c| Step::Image(c)));
            }
            Some(step) => ops.push(step),
            None => {
                let reason = reason.flatten().unwrap_or("no_key");
                left_out.extend(note.map(|note| (note, reason)));
                ops.extend(rows.iter().map(|c| Step::Image(c)));
            }
        }
    }
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
    let parts = parts(record, &changes);
    let (ops, left_out) = steps(&batch.shared.settings, &parts, catalog);
    if ops.iter().any(|op| matches!(op, Step::Image(change) if !change.is_plain())) {
        return Ok(skip_all(batch, record, "unsupported"));
    }
    let notes: Vec<&Note> = ops.iter().filter_map(Step::note).collect();
    for (note, reason) in &left_out {
        skip(batch, note, reason);
    }
    if notes.is_empty() {
        return Ok(Tested::NotKept);
    }
    let loud = loud(batch, &notes, changes.iter());
    if !loud.is_empty() && ops.iter().any(|op| matches!(op, Step::Image(_))) {
        notes.iter().for_each(|note| skip(batch, note, "unsupported"));
        return Ok(Tested::NotKept);
    }
    let expected = expected(&changes);
    // What was switched on for the test must be undone with it.
    let keep = loud.is_empty()
        && reaches_all(&ops, &changes)
        && may_keep(batch, &changes, &expected).await?
        && written_are_plain(batch, &notes, catalog).await?;
    let control = batch.control();
    let release = batch.release.take().unwrap_or_default();
    let limits = batch.limits();
    let begin = format!("{release}{limits}SAVEPOINT crossfade_test; {}", as_client(batch));
    batch.savepoint(&begin).await?;
    let verdict = match awake(batch, &loud).await? {
        None => judged(batch, &ops, &expected).await?,
        Some(failed) => failed,
    };
    if keep && matches!(verdict, Judged::Equal) {
        keep_work(batch, &notes);
        return Ok(Tested::Kept);
    }
    // Going back also puts the role back.
    control.batch("ROLLBACK TO crossfade_test; RELEASE crossfade_test").await?;
    report(batch, record, &parts, &notes, verdict, catalog).await?;
    Ok(Tested::NotKept)
}

/// The shadow keeps what these statements did behind the savepoint.
pub(super) fn keep_work(batch: &mut Batch, notes: &[&Note]) {
    // Sent with whatever comes next: one round trip less for each transaction.
    let role = if batch.replica { "SET LOCAL session_replication_role = replica; " } else { "" };
    batch.release = Some(format!("RELEASE crossfade_test; {role}"));
    for note in notes {
        tell(batch, note, "match");
    }
}

/// What switches the triggers on that are off for images, when the statements may meet them.
pub(super) fn loud<'a>(
    batch: &Batch,
    notes: &'a [&'a Note],
    changes: impl Iterator<Item = &'a Change<'a>>,
) -> String {
    let quiet = &batch.quiet;
    let tables = notes.iter().filter_map(|n| n.table.as_deref());
    let mut tables = tables.chain(changes.map(|c| c.table.name()));
    if tables.any(|t| quiet.tables.contains(t)) { quiet.loud.clone() } else { String::new() }
}

/// Switches triggers on, for what is undone; what came of it when that cannot be.
async fn awake(batch: &Batch, loud: &str) -> Result<Option<Judged>> {
    if loud.is_empty() {
        return Ok(None);
    }
    match batch.control().batch(loud).await {
        Ok(()) => Ok(None),
        Err(_) if batch.control().is_closed() => Err(super::applier::lost()),
        Err(error) => Ok(Some(Judged::Failed(error, None))),
    }
}

/// Statements act as a client's do.
pub(super) fn as_client(batch: &Batch) -> &'static str {
    if batch.replica { "SET LOCAL session_replication_role = origin" } else { "" }
}

/// Whether work that proves equal may stay: nothing happened that was not looked at.
pub(super) async fn may_keep(
    batch: &mut Batch,
    changes: &[Change<'_>],
    expected: &Expected,
) -> Result<bool> {
    // A value that does not fit needs its entry in the quarantine, which images bring.
    let mut keep = changes.iter().all(Change::is_plain);
    for touched in expected.values() {
        let (acts, cascades) = guarded(batch, &touched.table.projection.relation).await?;
        keep &= !(acts || (cascades && touched.changed));
    }
    Ok(keep)
}

/// Whether statements that change as many rows as they did on the primary have changed these rows,
/// each just once and really, and so no others: a row that was not looked at there is unchanged.
pub(super) fn reaches_all(ops: &[Step<'_>], changes: &[Change<'_>]) -> bool {
    let affected = |op: &Step<'_>| match op {
        Step::Statement(note) if note.is_read() => 0,
        Step::Statement(note) | Step::Insert(note, _) => note.affected,
        Step::Image(_) => 1,
    };
    changed_once(changes) && ops.iter().map(affected).sum::<u64>() == changes.len() as u64
}

/// Whether every row that is changed is changed once, to something else.
fn changed_once(changes: &[Change<'_>]) -> bool {
    let mut seen = HashSet::new();
    changes.iter().all(|change| {
        let (old, new) = (change.old.as_ref(), change.new.as_ref());
        if old.zip(new).is_some_and(|(old, new)| old.row.values == new.row.values) {
            return false;
        }
        let key = |side: &Side| (change.table.name().to_owned(), change.table.key_text(&side.row));
        let keys: HashSet<_> = old.into_iter().chain(new).map(key).collect();
        change.table.projection.key.is_none() || keys.into_iter().all(|key| seen.insert(key))
    })
}

/// Whether nothing acts by itself on the tables that statements name: it may do so for a statement
/// that changes no row, which no image tells.
pub(super) async fn written_are_plain(
    batch: &mut Batch,
    notes: &[&Note],
    catalog: &Catalog,
) -> Result<bool> {
    for note in notes {
        if let Some(table) = note.table.as_ref().and_then(|name| catalog.relations.get(name))
            && guarded(batch, table).await?.0
        {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn judged(batch: &mut Batch, ops: &[Step<'_>], expected: &Expected) -> Result<Judged> {
    let ulps = batch.shared.settings.float_ulps;
    match effect::run(batch, &[Trial { ops, expected }]).await {
        Ok(found) => match found.first() {
            Some(found) => effect::judge(ops, expected, found, ulps),
            None => Ok(Judged::Equal),
        },
        Err(_) if batch.control().is_closed() => Err(super::applier::lost()),
        Err(NotRun { error, .. }) if ends_session(&error) => Err(error),
        Err(NotRun { error, at }) => Ok(Judged::Failed(error, at)),
    }
}

/// Whether the shadow's table has triggers, rules or row security of its own, and whether
/// changing or deleting its rows reaches others through a foreign key.
async fn guarded(batch: &mut Batch, table: &Relation) -> Result<(bool, bool)> {
    if let Some(known) = batch.guarded.get(&table.name) {
        return Ok(*known);
    }
    let control = batch.control();
    let name = crate::backend::postgres::apply::table_name(table);
    let row = control
        .client()
        .query_opt(
            "SELECT c.relrowsecurity OR EXISTS (SELECT 1 FROM pg_trigger t \
             WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgname !~ '^!?crossfade_way_back') \
             OR EXISTS (SELECT 1 FROM pg_rewrite r WHERE r.ev_class = c.oid), \
             EXISTS (SELECT 1 FROM pg_constraint f WHERE f.confrelid = c.oid AND f.contype = 'f' \
             AND (f.confdeltype IN ('c', 'n', 'd') OR f.confupdtype IN ('c', 'n', 'd'))) \
             FROM pg_class c WHERE c.oid = to_regclass($1)",
            &[&name],
        )
        .await
        .map_err(|e| control.error(&e))?;
    let found = row.map_or((true, true), |row| (row.get(0), row.get(1)));
    batch.guarded.insert(table.name.clone(), found);
    Ok(found)
}

/// Whether a statement fires triggers of SQLite's own that PostgreSQL's table has, too: rows that
/// they write get their numbers from each side by itself, so that a difference proves nothing.
async fn fires_own(batch: &mut Batch, notes: &[&Note], catalog: &Catalog) -> Result<bool> {
    for note in notes {
        let Some(table) = note.table.as_deref().and_then(|t| catalog.relation(t)) else { continue };
        if table.has_triggers && guarded(batch, table).await?.0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The verdict's word: what proves nothing, or is one of several right ones, is no divergence.
fn word(notes: &[&Note], verdict: &Judged) -> &'static str {
    match verdict {
        Judged::Equal => "match",
        Judged::Failed(error, at) if at.is_none() || proves_nothing(error) => "inconclusive",
        _ if notes.iter().any(|n| n.undetermined) => "ambiguous",
        Judged::Differs(_) | Judged::Failed(..) => "diverged",
    }
}

pub(super) fn tell(batch: &Batch, note: &Note, verdict: &'static str) {
    seen(batch, note);
    batch.shared.verdict(lane(note), note.fingerprint, verdict);
}

async fn report(
    batch: &mut Batch,
    record: &Record,
    parts: &[Part<'_>],
    notes: &[&Note],
    verdict: Judged,
    catalog: &Catalog,
) -> Result<()> {
    let label = word(notes, &verdict);
    if label != "diverged" {
        notes.iter().for_each(|note| tell(batch, note, label));
        return Ok(());
    }
    if of_other_types(batch, notes, &verdict, catalog).await? {
        notes.iter().for_each(|note| skip(batch, note, other_types::REASON));
        return Ok(());
    }
    let own = fires_own(batch, notes, catalog).await?;
    if own || batch.shadow.holds_named(&batch.control(), notes).await? {
        notes.iter().for_each(|note| skip(batch, note, "unsupported"));
        return Ok(());
    }
    let found = if notes.len() > 1 { each(batch, parts, catalog).await? } else { None };
    // Together they did something that none of them does alone: the first report has to do.
    let found = match found {
        Some(found) if found.iter().any(|(_, j)| !matches!(j, Judged::Equal)) => found,
        _ => {
            let blamed = blamed(notes, &verdict);
            let rest = notes.iter().filter(|n| !blamed.is_some_and(|b| std::ptr::eq(b, **n)));
            rest.for_each(|note| tell(batch, note, "inconclusive"));
            blamed.map(|note| (note, verdict)).into_iter().collect()
        }
    };
    for (note, judged) in found {
        if of_other_types(batch, &[note], &judged, catalog).await? {
            skip(batch, note, other_types::REASON);
            continue;
        }
        let label = word(&[note], &judged);
        let evidence = (label == "diverged").then(|| evidence(record, note, judged)).flatten();
        let Some(evidence) = evidence else {
            tell(batch, note, label);
            continue;
        };
        let accepted = batch.shared.store.is_accepted(&evidence);
        tell(batch, note, if accepted { "accepted" } else { "diverged" });
        batch.shared.store.record(evidence);
    }
    Ok(())
}

/// Whether other types of PostgreSQL's columns explain that a statement failed.
async fn of_other_types(
    batch: &Batch,
    notes: &[&Note],
    verdict: &Judged,
    catalog: &Catalog,
) -> Result<bool> {
    let Judged::Failed(error, _) = verdict else { return Ok(false) };
    let tables = notes.iter().filter_map(|note| note.table.as_deref());
    other_types::explain(&batch.control(), catalog, error, tables).await
}

/// Each statement by itself, from the state that the images before it leave. None when the images
/// cannot be applied one statement after the other.
async fn each<'a>(
    batch: &mut Batch,
    parts: &[Part<'a>],
    catalog: &Catalog,
) -> Result<Option<Vec<(&'a Note, Judged)>>> {
    let control = batch.control();
    let limits = batch.limits();
    let begin = format!("{limits}SAVEPOINT crossfade_each; {}", as_client(batch));
    control.batch(&begin).await?;
    let mut found = Some(Vec::new());
    for (note, rows) in parts {
        let settings = &batch.shared.settings;
        let testable = note.filter(|n| note_obstacle(settings, n, catalog).is_none());
        let testable = testable.and_then(|note| Some((note, step(note, rows, catalog)?)));
        if let (Some((note, step)), Some(found)) = (testable, &mut found) {
            let expected = expected(rows.iter().copied());
            control.batch("SAVEPOINT crossfade_one").await?;
            let loud = loud(batch, &[note], rows.iter().copied());
            let judged = match awake(batch, &loud).await? {
                None => judged(batch, &[step], &expected).await?,
                Some(failed) => failed,
            };
            control.batch("ROLLBACK TO crossfade_one; RELEASE crossfade_one").await?;
            found.push((note, judged));
        }
        let images: Vec<Step<'_>> = rows.iter().map(|c| Step::Image(c)).collect();
        match judged_images(batch, &images).await? {
            true => {}
            false => {
                found = None;
                break;
            }
        }
    }
    control.batch("ROLLBACK TO crossfade_each; RELEASE crossfade_each").await?;
    Ok(found)
}

/// Applies images; false when they do not go in one by one.
async fn judged_images(batch: &mut Batch, images: &[Step<'_>]) -> Result<bool> {
    let done = judged(batch, images, &Expected::new()).await?;
    if matches!(done, Judged::Equal) && batch.replica && !images.is_empty() {
        batch.control().batch("SET LOCAL session_replication_role = origin").await?;
    }
    Ok(matches!(done, Judged::Equal))
}

/// The statement that a difference of several is laid to.
fn blamed<'a>(notes: &[&'a Note], verdict: &Judged) -> Option<&'a Note> {
    let by_table = |sample: &Sample| notes.iter().find(|n| n.table == sample.table);
    let found = match verdict {
        Judged::Equal => None,
        Judged::Differs(sample) => by_table(sample),
        Judged::Failed(_, at) => at.and_then(|at| notes.get(at)),
    };
    found.or(notes.first()).copied()
}

/// What proves that a statement had another effect.
fn evidence(record: &Record, note: &Note, verdict: Judged) -> Option<Sample> {
    let mut sample = match verdict {
        Judged::Equal => return None,
        Judged::Differs(sample) => *sample,
        Judged::Failed(error, _) => Sample {
            class: "error_shadow_only".to_owned(),
            table: note.table.clone(),
            shadow_sqlstate: Some(error.sqlstate().to_string()),
            message: format!("the statement failed on PostgreSQL: {}", error.message()),
            ..Sample::default()
        },
    };
    // Whatever literals the text has are values: they make no group of their own.
    sample.fingerprint =
        note.text.as_deref().map(|text| fingerprint(text).text).unwrap_or_default();
    sample.postgres_sql = note.text.clone();
    sample.parameters = effect::parameters(note);
    sample.position_primary = record.position.0;
    sample.position_shadow = record.position.0;
    Some(sample)
}

/// Whether the server ended the session with this error; a broken statement is a finding.
pub(super) fn ends_session(error: &Error) -> bool {
    let code = error.sqlstate();
    code.class() == "08" || matches!(code.as_str(), "57P01" | "57P02" | "57P03" | "57P05")
}

/// Serialisation failures, deadlocks, lock and statement time-outs, a lack of something, a
/// catalog changed meanwhile ("tuple concurrently updated").
fn proves_nothing(error: &Error) -> bool {
    matches!(error.sqlstate().class(), "40" | "53" | "54" | "55" | "57" | "58" | "XX")
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
