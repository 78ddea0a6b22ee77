//! The rows of the console's tables, asked of the engine at query time.
//!
//! Each function fills one table of `tables`, column by column in that order. It must never
//! show a password: settings come redacted. Start at [`rows`].

use std::collections::BTreeMap;

use super::Console;
use super::pooler;
use super::tables::{ORDERS, all};
use crate::compare::StatementInfo;
use crate::control::{Event, Gate, SessionInfo, SettingInfo, Status, TableInfo, Task};
use crate::divergence::Group;
use crate::value::{Cell, Codec, Style, Type, oid, storage, text};

/// One row of cells in logical form.
pub(super) type Row = Vec<Cell>;

/// The rows of a table now.
pub(super) async fn rows(table: &str, console: &Console) -> Vec<Row> {
    let control = &console.control;
    let engine = control.engine();
    match table {
        "status" => vec![status(&engine.status().await)],
        "phase" => vec![phase(&engine.status().await)],
        "journal" => vec![journal(&engine.status().await)],
        "gates" => engine.gates().await.iter().map(gate).collect(),
        "divergences" => engine.divergences().iter().map(divergence).collect(),
        "statements" => engine.statements().statements.iter().map(statement).collect(),
        "tables" => engine.tables().await.iter().map(table_row).collect(),
        "sessions" => engine.sessions().iter().map(session).collect(),
        "tasks" => control.tasks().iter().map(task).collect(),
        "events" => control.events().iter().map(event).collect(),
        "config" => engine.config().iter().map(setting).collect(),
        "version" => vec![vec![word(concat!("Crossfade ", env!("CARGO_PKG_VERSION")))]],
        "help" => help(),
        _ => pooler::rows(table, console).await,
    }
}

pub(super) fn word(text: &str) -> Cell {
    Cell::Text(crate::name::shown(text).into_owned())
}

pub(super) fn words(text: Option<&str>) -> Cell {
    text.map_or(Cell::Null, word)
}

pub(super) fn count(number: u64) -> Cell {
    Cell::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

fn counts(number: Option<u64>) -> Cell {
    number.map_or(Cell::Null, count)
}

pub(super) fn flag(value: bool) -> Cell {
    Cell::Integer(i64::from(value))
}

/// An RFC 3339 time as a timestamptz.
fn moment(time: Option<&str>) -> Cell {
    let ty = Type::new(oid::TIMESTAMPTZ);
    let cell = |time: &str| {
        let datum = text::parse(ty, time, &Style::default()).ok()?;
        storage::encode(Codec::Identity, ty, &datum).ok()
    };
    time.and_then(cell).unwrap_or(Cell::Null)
}

/// The word by which JSON names an enum's value.
fn name_of(value: impl serde::Serialize) -> Cell {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(word)).unwrap_or(Cell::Null)
}

fn status(s: &Status) -> Row {
    vec![
        word(&s.phase),
        word(&s.health),
        words(s.reason.as_deref()),
        word(&s.primary),
        words(s.shadow.as_deref()),
        count(s.epoch),
        count(s.position),
        counts(s.applied),
        counts(s.lag_commits),
        counts(s.lag_ms),
        count(s.compared),
        count(s.diverged_open),
        count(s.skipped),
        s.coverage.map_or(Cell::Null, Cell::Real),
        word(&s.verified.state),
        moment(s.verified.at.as_deref()),
        count(s.gates_ok),
        count(s.gates),
        count(s.sessions),
        count(s.journal_bytes),
        word(&s.next.join("; ")),
    ]
}

fn phase(s: &Status) -> Row {
    vec![word(&s.phase), count(s.epoch), word(&s.primary), words(s.shadow.as_deref())]
}

fn journal(s: &Status) -> Row {
    vec![
        count(s.position),
        counts(s.applied),
        counts(s.lag_commits),
        counts(s.lag_ms),
        count(s.journal_bytes),
    ]
}

fn gate(g: &Gate) -> Row {
    vec![
        word(&g.name),
        flag(g.ok),
        word(&g.actual),
        word(&g.limit),
        name_of(g.kind),
        word(&g.reason),
    ]
}

fn divergence(g: &Group) -> Row {
    vec![
        word(&g.id),
        word(&g.class),
        name_of(g.severity),
        name_of(g.state),
        count(g.count),
        words(g.table.as_deref()),
        word(&g.columns.join(", ")),
        word(&g.fingerprint),
        moment(Some(&g.first_at)),
        moment(Some(&g.last_at)),
        words(g.caused_by.as_deref()),
        words(g.samples.first().map(|s| s.message.as_str())),
    ]
}

fn statement(s: &StatementInfo) -> Row {
    let list = |counts: &BTreeMap<String, u64>| {
        let words: Vec<String> = counts.iter().map(|(name, n)| format!("{name} {n}")).collect();
        word(&words.join(", "))
    };
    let ms = |value: Option<f64>| value.map_or(Cell::Null, Cell::Real);
    vec![
        word(&s.fingerprint),
        word(&s.statement),
        word(&s.kind),
        count(s.calls),
        count(s.compared),
        count(s.verdicts.get("diverged").copied().unwrap_or(0)),
        count(s.errors),
        list(&s.verdicts),
        list(&s.skipped),
        flag(s.translatable),
        words(s.refused.as_deref()),
        ms(s.primary_p50_ms),
        ms(s.primary_p99_ms),
        ms(s.shadow_p50_ms),
        ms(s.shadow_p99_ms),
    ]
}

fn table_row(t: &TableInfo) -> Row {
    vec![
        word(&t.name),
        flag(t.keyed),
        counts(t.copied),
        moment(t.verified_at.as_deref()),
        counts(t.verified_rows),
        counts(t.differing),
    ]
}

fn session(s: &SessionInfo) -> Row {
    vec![
        Cell::Integer(i64::from(s.pid)),
        word(&s.user),
        word(&s.database),
        word(&s.application),
        word(&s.client),
        word(&s.state),
        word(&s.backend),
        counts(s.waiting_ms),
        words(s.immovable.as_deref()),
    ]
}

fn task(t: &Task) -> Row {
    vec![
        word(&t.id),
        word(&t.kind),
        name_of(t.state),
        count(t.steps.len() as u64),
        words(t.steps.last().map(|s| s.text.as_str())),
        words(t.result.as_deref()),
        words(t.error.as_ref().map(|e| e.message.as_str())),
        moment(Some(&t.started_at)),
        moment(t.ended_at.as_deref()),
    ]
}

fn setting(s: &SettingInfo) -> Row {
    let changeable = if s.reloadable { "yes" } else { "no" };
    vec![word(&s.name), word(&s.value), word(&s.source), word(changeable)]
}

fn event(e: &Event) -> Row {
    vec![moment(Some(&e.at)), word(&e.who), word(&e.what)]
}

fn help() -> Vec<Row> {
    let shows =
        all().map(|t| vec![word(&format!("SHOW {}", t.name.to_ascii_uppercase())), word(t.about)]);
    let select = vec![
        word("SELECT … FROM status"),
        word("every SHOW is a table: filter, join, group; quote \"primary\", \"table\", \"limit\""),
    ];
    let orders = ORDERS.iter().map(|(command, about)| vec![word(command), word(about)]);
    shows.chain(std::iter::once(select)).chain(orders).collect()
}
