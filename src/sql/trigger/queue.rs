//! AFTER ROW triggers that wait for the end of their statement.
//!
//! A temporary trigger of the table puts both images of the row into a temporary table, the
//! queue, in the order in which PostgreSQL fires: row by row, a row's triggers by name. When
//! the statement has written all of its rows its queue is emptied, and a temporary trigger of
//! the queue runs the function for each row that leaves it. A command inside of a trigger
//! function empties the part of a queue that it has filled itself. It must never let a row
//! leave a queue twice. Start at [`texts`].

use std::sync::Arc;

use super::fire::{Made, Moment};
use super::own::{Mode, acted_on, mode};
use super::walk::Event;
use crate::error::Error;
use crate::schema::{Catalog, Relation, Trigger};
use crate::sql::print::{quoted, sqlite};

/// Name of a table's queue.
pub fn name(oid: u32) -> String {
    format!("_crossfade_fired_{oid}")
}

/// The queue of a table with what fills and what empties it; the first refusal.
pub(super) fn texts(relation: &Arc<Relation>, catalog: &Catalog) -> (Vec<Made>, Option<Error>) {
    let (mut made, mut refusal) = (Vec::new(), None);
    let mut triggers: Vec<&Trigger> = relation.triggers.iter().filter(|t| !t.before).collect();
    triggers.sort_by(|a, b| a.name.cmp(&b.name));
    for event in [Event::Insert, Event::Update, Event::Delete] {
        for (number, trigger) in triggers.iter().enumerate().filter(|(_, t)| event.fires(t)) {
            let moment = Moment { relation, catalog, before: false, event, queued: true };
            let fire = match moment.body(&[trigger]) {
                Ok(fire) if fire.statements.is_empty() => continue,
                Ok(fire) => fire,
                Err(error) => {
                    made.push(moment.failing(&error, number));
                    refusal.get_or_insert(error);
                    continue;
                }
            };
            let columns: Vec<&String> = match event {
                Event::Update => trigger.columns.iter().collect(),
                _ => Vec::new(),
            };
            let text = moment.text(&columns, &[fill(moment, number)], number);
            made.push(Made { text, event, writes: Vec::new() });
            let text = empty(moment, number, &fire.statements);
            made.push(Made { text, event, writes: fire.writes });
        }
    }
    if !made.is_empty() {
        let text = table(relation);
        made.insert(0, Made { text, event: Event::Insert, writes: Vec::new() });
    }
    (made, refusal)
}

fn table(relation: &Relation) -> String {
    let columns = (0..relation.columns.len()).flat_map(|index| {
        [sqlite::queued_column(false, index), sqlite::queued_column(true, index)]
    });
    format!(
        "CREATE TEMP TABLE IF NOT EXISTS {} (place INTEGER PRIMARY KEY, event, number, {})",
        quoted(&name(relation.oid)),
        columns.collect::<Vec<_>>().join(", ")
    )
}

/// Puts the row into the queue.
fn fill(moment: Moment<'_>, number: usize) -> String {
    let relation = moment.relation;
    let (oid, event) = (relation.oid, moment.event as u8);
    let mut values = Vec::new();
    for column in &relation.columns {
        let image = |row: &str, missing: Event| match moment.event == missing {
            true => "NULL".to_owned(),
            false => format!("{row}.{}", quoted(&column.sqlite_name)),
        };
        values.push(image("OLD", Event::Insert));
        values.push(image("NEW", Event::Delete));
    }
    format!(
        "INSERT INTO {} VALUES (pg_queued({oid}, {event}, {number}), {event}, {number}, {})",
        quoted(&name(oid)),
        values.join(", ")
    )
}

/// Runs a trigger's statements for a row that leaves the queue.
fn empty(moment: Moment<'_>, number: usize, statements: &[String]) -> String {
    let (oid, event) = (moment.relation.oid, moment.event);
    let trigger = format!("_crossfade_{oid}_QUEUED_{}_{number}", event.name());
    format!(
        "CREATE TEMP TRIGGER {} AFTER DELETE ON temp.{} FOR EACH ROW \
         WHEN OLD.event = {} AND OLD.number = {number} BEGIN {}; END",
        quoted(&trigger),
        quoted(&name(oid)),
        event as u8,
        statements.join("; ")
    )
}

/// The queues that a command on a table may fill.
pub(super) fn filled(table: &str, catalog: &Catalog) -> Vec<u32> {
    let Some(own) = catalog.relations.get(table) else { return Vec::new() };
    let mut tables: Vec<&Relation> = vec![own];
    for event in [Event::Update, Event::Delete] {
        tables.extend(acted_on(table, event, catalog));
    }
    let mut queues = Vec::new();
    for table in tables {
        if mode(table, catalog) == Mode::Queue && !queues.contains(&table.oid) {
            queues.push(table.oid);
        }
    }
    queues
}

/// Before a command of a trigger function: what it queues is its own.
pub(super) fn enter() -> String {
    "SELECT pg_queue_enter()".to_owned()
}

/// After the command: its triggers fire.
pub(super) fn leave(queues: &[u32]) -> Vec<String> {
    let empty =
        |oid: &u32| format!("DELETE FROM {} WHERE place > pg_queue_mark()", quoted(&name(*oid)));
    let end = "SELECT pg_queue_leave()".to_owned();
    queues.iter().map(empty).chain([end]).collect()
}
