//! When AFTER ROW triggers fire. PostgreSQL fires them when the statement has written all of
//! its rows, its foreign keys' actions come before them and fire theirs last; SQLite fires them
//! after each row. Where that could be seen, they wait in a queue.
//!
//! It judges by the words of the functions, theirs and those of the triggers they may fire: a
//! word too many lets triggers wait for nothing, a word too few cannot be. Start at [`mode`].

use std::collections::{BTreeSet, HashMap};

use super::walk::Event;
use crate::error::{Error, Result};
use crate::schema::{Action, Catalog, ForeignKey, Relation, RelationKind};
use crate::sql::ast::Step;
use crate::sql::lexer::{Kind, tokens};
use crate::sql::pg::plpgsql;

/// When a table's AFTER triggers run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// After each row: nobody can tell.
    Now,
    /// When the statement has written all of its rows.
    Queue,
    /// For the only row of a statement; a second one is refused.
    Once,
}

/// A queue holds both images of a row; SQLite's tables have at most 2000 columns.
const COLUMNS_MAX: usize = 900;

/// When the AFTER triggers of a table run.
pub(super) fn mode(relation: &Relation, catalog: &Catalog) -> Mode {
    let fires = |t: &&crate::schema::Trigger| !t.before && t.enabled;
    if !relation.triggers.iter().any(|t| fires(&t)) {
        return Mode::Now;
    }
    let all = Words::of(relation.triggers.iter().filter(fires), catalog);
    let looks = all.name(relation);
    let acts = relation.triggers.iter().filter(fires).any(|t| acts(t, catalog));
    if !looks && !acts && !is_changed_by_actions(relation, catalog) {
        return Mode::Now;
    }
    // PostgreSQL's actions for later rows come after the triggers of this one.
    let sees = |event: Event| {
        let own = relation.triggers.iter().filter(fires).filter(|t| event.fires(t));
        let words = Words::of(own, catalog);
        acted_on(&relation.name, event, catalog).into_iter().any(|child| words.name(child))
    };
    let between = sees(Event::Update) || sees(Event::Delete);
    match (looks, between || relation.columns.len() > COLUMNS_MAX) {
        (_, false) => Mode::Queue,
        (true, true) => Mode::Once,
        (false, true) => Mode::Now,
    }
}

/// The tables whose rows the actions of foreign keys change when rows of one are updated or
/// deleted, that one left out unless it refers to itself.
pub(super) fn acted_on<'a>(name: &str, event: Event, catalog: &'a Catalog) -> Vec<&'a Relation> {
    let mut found: Vec<&Relation> = Vec::new();
    let mut next: Vec<(String, Event)> = vec![(name.to_owned(), event)];
    while let Some((table, event)) = next.pop() {
        for child in catalog.relations.values() {
            let mut action = None;
            for key in child.foreign_keys.iter().filter(|k| k.table == table) {
                action = action.or_else(|| effect(key, event));
            }
            let Some(event) = action else { continue };
            if !found.iter().any(|r| r.oid == child.oid) {
                found.push(child);
                next.push((child.name.clone(), event));
            }
        }
    }
    found
}

/// What a foreign key's action does to the referring rows.
pub(crate) fn effect(key: &ForeignKey, event: Event) -> Option<Event> {
    let action = match event {
        Event::Insert => return None,
        Event::Update => key.on_update,
        Event::Delete => key.on_delete,
    };
    match action {
        Action::NoAction | Action::Restrict => None,
        Action::Cascade => Some(event),
        Action::SetNull | Action::SetDefault => Some(Event::Update),
    }
}

/// Refuses a statement that reads what its BEFORE triggers write: PostgreSQL's statement sees the
/// state before it, SQLite's what the triggers have done so far.
///
/// # Errors
/// 0A000
pub(crate) fn check_before(written: &str, reads: &[String], catalog: &Catalog) -> Result<()> {
    let Some(relation) = catalog.relations.get(written).filter(|r| !r.triggers.is_empty()) else {
        return Ok(());
    };
    let before = |t: &&crate::schema::Trigger| t.before && t.enabled && acts(t, catalog);
    let words = Words::of(relation.triggers.iter().filter(before), catalog);
    match reads.iter().any(|table| words.0.contains(table)) {
        true => Err(Error::unsupported("reading a table that a BEFORE trigger writes meanwhile")),
        false => Ok(()),
    }
}

/// Whether a trigger may write: the rest of its statement would see that.
fn acts(trigger: &crate::schema::Trigger, catalog: &Catalog) -> bool {
    fn writes(steps: &[Step]) -> bool {
        steps.iter().any(|step| match step {
            Step::Run(_) => true,
            Step::If(branches, otherwise) => {
                branches.iter().any(|(_, steps)| writes(steps)) || writes(otherwise)
            }
            _ => false,
        })
    }
    let block = catalog.trigger_function(&trigger.function).map(|f| plpgsql::block(&f.body));
    !matches!(block, Some(Ok(block)) if !writes(&block.steps))
}

/// How many actions of foreign keys are between a table and those that a change of its rows
/// reaches: PostgreSQL's triggers fire in this order.
pub fn distances(name: &str, catalog: &Catalog) -> HashMap<u32, usize> {
    let mut found = HashMap::new();
    let Some(first) = catalog.relations.get(name) else { return found };
    found.insert(first.oid, 0);
    let mut level = vec![first.name.as_str()];
    for distance in 1.. {
        let mut next = Vec::new();
        for child in catalog.relations.values().filter(|r| is_changed_by_actions(r, catalog)) {
            let refers = child.foreign_keys.iter().any(|k| level.contains(&k.table.as_str()));
            if refers && !found.contains_key(&child.oid) {
                found.insert(child.oid, distance);
                next.push(child.name.as_str());
            }
        }
        if next.is_empty() {
            break;
        }
        level = next;
    }
    found
}

/// Whether functions of a table's triggers name any table: PostgreSQL looks for it on the
/// session's search path.
pub(crate) fn names_tables(relation: &Relation, catalog: &Catalog) -> bool {
    !Words::of(relation.triggers.iter(), catalog).0.is_empty()
}

fn is_changed_by_actions(relation: &Relation, catalog: &Catalog) -> bool {
    let acts = |k: &ForeignKey| {
        let passive = |a| matches!(a, Action::NoAction | Action::Restrict);
        catalog.relations.contains_key(&k.table) && !(passive(k.on_delete) && passive(k.on_update))
    };
    relation.foreign_keys.iter().any(acts)
}

/// The words of functions, of the triggers that these may fire, and of the views they name.
struct Words(BTreeSet<String>);

impl Words {
    fn of<'a>(
        triggers: impl Iterator<Item = &'a crate::schema::Trigger>,
        catalog: &'a Catalog,
    ) -> Self {
        let mut functions: Vec<&str> = triggers.map(|t| t.function.as_str()).collect();
        let (mut all, mut seen) = (BTreeSet::new(), BTreeSet::new());
        while let Some(name) = functions.pop() {
            if !seen.insert(name) {
                continue;
            }
            let Some(function) = catalog.trigger_function(name) else { continue };
            let mut next: Vec<String> = words(&function.body).into_iter().collect();
            while let Some(word) = next.pop() {
                // The word is a table of whichever schema.
                let named = catalog.relations.values().filter(|r| r.bare() == word);
                let named: Vec<_> = named.collect();
                if named.is_empty() || !all.insert(word) {
                    continue;
                }
                for found in named {
                    if found.kind == RelationKind::View {
                        next.extend(words(found.view_sql.as_deref().unwrap_or_default()));
                    }
                    functions.extend(found.triggers.iter().map(|t| t.function.as_str()));
                }
            }
        }
        Self(all)
    }

    fn name(&self, relation: &Relation) -> bool {
        self.0.contains(relation.bare())
    }
}

/// The words of a text, as names are folded.
fn words(text: &str) -> BTreeSet<String> {
    tokens(text)
        .filter_map(|token| {
            let word = &text[token.start..token.end];
            match token.kind {
                Kind::Word => Some(word.to_lowercase()),
                Kind::Quoted => Some(word.trim_matches('"').replace("\"\"", "\"")),
                _ => None,
            }
        })
        .collect()
}
