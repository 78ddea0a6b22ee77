//! Trigger functions of the simple kind, run on SQLite.
//!
//! PostgreSQL gets a function and its trigger as they were written. SQLite gets, on each
//! connection that writes, temporary triggers that mean the same: they may use our functions,
//! and the file never holds them. Assignments to NEW become part of the plans of INSERT and
//! UPDATE (`analyze`). It must never run a part of a function and leave out another. Reading
//! order: `walk` (a body, path by path), then [`fire`](mod@fire); start at [`fired`].

mod action;
mod fire;
mod fold;
mod given;
mod names;
mod own;
mod queue;
pub(crate) mod rewrite;
mod unique;
pub(crate) mod walk;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, LazyLock};

use crate::error::{Error, Result};
use crate::schema::{Action, Catalog, Fired, Relation};
use crate::sql::Context;
pub(crate) use fire::looks;
pub(crate) use names::Names;
pub use own::distances;
pub(crate) use own::{check_before, effect, names_tables};
pub use queue::name as queue_name;
pub(crate) use unique::{conflicts, duplicates};
pub(crate) use walk::Event;

/// The temporary triggers for all of a catalog.
pub fn fired(catalog: &Catalog) -> Fired {
    let (mut texts, mut computed) = (Vec::new(), Vec::new());
    let any = catalog.relations.values().any(|r| !r.triggers.is_empty());
    for relation in catalog.relations.values() {
        if !relation.triggers.is_empty() {
            texts.extend(fire::texts(relation, catalog).0.into_iter().map(|made| made.text));
        }
        if any {
            texts.extend(action::texts(relation, catalog).0);
        }
        texts.extend(unique::texts(relation, catalog));
        texts.extend(given::texts(relation, catalog));
        computed.extend(fire::computed(relation, catalog));
    }
    texts.extend(computed.iter().cloned());
    if texts.is_empty() {
        return Fired::default();
    }
    let mut hasher = DefaultHasher::new();
    texts.hash(&mut hasher);
    let id = hasher.finish().clamp(1, u64::MAX - 1);
    let waits = catalog.relations.values().any(|r| own::mode(r, catalog) == own::Mode::Queue);
    Fired { id, texts: Arc::new(texts), waits, computed: Arc::new(computed) }
}

/// Checks that a table's triggers can be run.
///
/// # Errors
/// 0A000 when one cannot. A function that PostgreSQL would refuse only when it runs (a column
/// that does not exist) is no error here.
pub fn check(relation: &Arc<Relation>, catalog: &Catalog) -> Result<()> {
    unique::check(relation, catalog)?;
    let keys = relation.foreign_keys.iter().map(|k| &k.table).chain([&relation.name]);
    let parents = keys.filter_map(|name| catalog.relations.get(name));
    let refusals = parents.filter_map(|parent| action::texts(parent, catalog).1);
    let mut refusal = fire::texts(relation, catalog).1.into_iter().chain(refusals);
    let unsupported = |e: &Error| e.sqlstate() == crate::error::state::FEATURE_NOT_SUPPORTED;
    if let Some(error) = refusal.find(unsupported) {
        return Err(error);
    }
    if reaches_itself(relation, catalog) {
        return Err(Error::unsupported("triggers that fire each other in a circle"));
    }
    Ok(())
}

/// SQLite does not fire a trigger again while it runs; PostgreSQL does. The way back to a table may
/// lead over what foreign keys do.
fn reaches_itself(relation: &Arc<Relation>, catalog: &Catalog) -> bool {
    type Node = (String, Event);
    let mut edges: Vec<(Node, Node)> = Vec::new();
    for relation in catalog.relations.values().filter(|r| !r.triggers.is_empty()) {
        for made in fire::texts(relation, catalog).0 {
            let from = (relation.name.clone(), made.event);
            edges.extend(made.writes.into_iter().map(|to| (from.clone(), to)));
        }
    }
    let mut actions: Vec<(Node, Node)> = Vec::new();
    for child in catalog.relations.values() {
        for key in &child.foreign_keys {
            for event in [Event::Update, Event::Delete] {
                let made = own::effect(key, event).map(|made| (child.name.clone(), made));
                actions.extend(made.map(|to| ((key.table.clone(), event), to)));
            }
        }
    }
    let reached = |edges: &[(Node, Node)], node: &Node| -> Vec<Node> {
        edges.iter().filter(|e| e.0 == *node).map(|e| e.1.clone()).collect()
    };
    [Event::Insert, Event::Update, Event::Delete].into_iter().any(|event| {
        let start = (relation.name.clone(), event);
        let mut seen: Vec<Node> = Vec::new();
        // A function begins it: what foreign keys alone do to one table is no circle.
        let mut next = reached(&edges, &start);
        while let Some(node) = next.pop() {
            if node == start {
                return true;
            }
            if !seen.contains(&node) {
                next.extend(reached(&edges, &node));
                next.extend(reached(&actions, &node));
                seen.push(node);
            }
        }
        false
    })
}

/// What a function's statements see: schema public, no session.
pub(crate) fn context(catalog: &Catalog) -> Context<'_> {
    static TEMPORARY: LazyLock<BTreeMap<String, Arc<Relation>>> = LazyLock::new(BTreeMap::new);
    static PATH: LazyLock<Vec<String>> = LazyLock::new(|| vec!["public".to_owned()]);
    Context { catalog, temporary: &TEMPORARY, search_path: &PATH, param_types: &[] }
}

/// Whether writing a table runs triggers that do more than refuse rows, also those of tables
/// that foreign keys' actions reach.
pub(crate) fn acts(relation: &Relation, catalog: &Catalog) -> bool {
    if catalog.relations.values().all(|r| r.triggers.is_empty()) {
        return false;
    }
    let mut next = vec![relation.name.as_str()];
    let mut seen: Vec<&str> = Vec::new();
    while let Some(name) = next.pop() {
        let Some(table) = catalog.relations.get(name).filter(|_| !seen.contains(&name)) else {
            continue;
        };
        if !table.triggers.is_empty() && !only_guards(table, catalog) {
            return true;
        }
        seen.push(name);
        let acting = |k: &crate::schema::ForeignKey| {
            let passive = |a| matches!(a, Action::NoAction | Action::Restrict);
            k.table == name && !(passive(k.on_delete) && passive(k.on_update))
        };
        let children = catalog.relations.values().filter(|r| r.foreign_keys.iter().any(acting));
        next.extend(children.map(|r| r.name.as_str()));
    }
    false
}

/// Whether a table's triggers only refuse rows: then a statement has the same effect on both
/// back ends, whoever runs the triggers.
fn only_guards(relation: &Relation, catalog: &Catalog) -> bool {
    // BEFORE DELETE lets a row go that it returns as NEW: nobody writes that as a guard.
    let harmless = |event: Event| {
        relation.triggers.iter().filter(|t| event.fires(t)).all(|trigger| {
            let function = catalog.trigger_function(&trigger.function);
            let block = function.and_then(|f| crate::sql::pg::plpgsql::block(&f.body).ok());
            block.is_some_and(|block| guards(&block.steps, trigger.before))
        })
    };
    [Event::Insert, Event::Update, Event::Delete].into_iter().all(harmless)
}

fn guards(steps: &[crate::sql::ast::Step], before: bool) -> bool {
    use crate::sql::ast::{Returned, Step};
    steps.iter().all(|step| match step {
        Step::If(branches, otherwise) => {
            branches.iter().all(|(_, steps)| guards(steps, before)) && guards(otherwise, before)
        }
        Step::Raise(_) | Step::Set(..) | Step::Perform(_) => true,
        Step::Into(targets, _) => !targets.iter().any(|t| t.starts_with("new.")),
        Step::Return(what) => !before || *what != Returned::Null,
        Step::SetColumn(..) | Step::Run(_) => false,
    })
}
