//! Which triggers fire which: SQLite fires none again while it runs, PostgreSQL does.

use std::collections::BTreeSet;

use crate::schema::Catalog;
use crate::sql::trigger::Event;
use crate::sql::trigger::effect;

/// What is done to a table, and to which columns when they are named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Write {
    /// PostgreSQL's name.
    pub(super) table: String,
    pub(super) event: Event,
    /// Columns of an UPDATE; None: any.
    pub(super) columns: Option<Vec<String>>,
}

/// A trigger, as far as it matters here.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// What fires it.
    pub(super) on: Write,
    /// What it writes; None when that is not known.
    pub(super) writes: Option<Vec<Write>>,
}

/// How a trigger can come back to itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Circle {
    /// It cannot.
    None,
    /// Only by what it writes itself, and nothing else of the file fires it.
    Own,
    /// Otherwise.
    Through,
}

fn meets(write: &Write, on: &Write) -> bool {
    let columns = match (&write.columns, &on.columns) {
        (Some(written), Some(wanted)) => {
            written.iter().any(|w| wanted.iter().any(|c| c.eq_ignore_ascii_case(w)))
        }
        _ => true,
    };
    write.table == on.table && write.event == on.event && columns
}

/// What foreign keys do to other tables when rows of a table change.
fn actions(write: &Write, catalog: &Catalog) -> Vec<Write> {
    let mut found = Vec::new();
    for child in catalog.relations.values() {
        for key in child.foreign_keys.iter().filter(|k| k.table == write.table) {
            if let Some(event) = effect(key, write.event) {
                found.push(Write { table: child.name.clone(), event, columns: None });
            }
        }
    }
    found
}

/// A write and all that foreign keys make of it.
fn with_actions(write: &Write, catalog: &Catalog) -> Vec<Write> {
    let mut all = vec![write.clone()];
    let mut next = 0;
    while let Some(write) = all.get(next) {
        let more = actions(write, catalog);
        for one in more {
            if !all.contains(&one) {
                all.push(one);
            }
        }
        next += 1;
    }
    all
}

/// How the trigger `of` can come back to itself.
pub(super) fn of(nodes: &[Node], of: usize, catalog: &Catalog) -> Circle {
    let fired = |n: usize| -> Vec<usize> {
        let Some(writes) = &nodes[n].writes else { return (0..nodes.len()).collect() };
        let all: Vec<Write> = writes.iter().flat_map(|w| with_actions(w, catalog)).collect();
        (0..nodes.len()).filter(|m| all.iter().any(|w| meets(w, &nodes[*m].on))).collect()
    };
    let mut seen = BTreeSet::new();
    let mut left = fired(of);
    while let Some(n) = left.pop() {
        if seen.insert(n) {
            left.extend(fired(n));
        }
    }
    if !seen.contains(&of) {
        return Circle::None;
    }
    let others = (0..nodes.len()).any(|n| n != of && fired(n).contains(&of));
    let keys = catalog.relations.values().any(|child| {
        child.name == nodes[of].on.table
            && child.foreign_keys.iter().any(|key| {
                [Event::Update, Event::Delete]
                    .into_iter()
                    .any(|event| effect(key, event) == Some(nodes[of].on.event))
            })
    });
    if others || keys { Circle::Through } else { Circle::Own }
}
