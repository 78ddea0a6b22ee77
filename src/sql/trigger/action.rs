//! Foreign keys' actions on rows whose BEFORE UPDATE triggers assign to NEW.
//!
//! SQLite carries an action out by itself, without a plan that could assign. So a temporary
//! trigger of the referenced table does the same a moment earlier, by a statement that has a
//! plan, and SQLite's own action finds no row. It must never change a row that the action
//! would not. Start at [`texts`].

use std::sync::Arc;

use super::fire::{Fire, Moment, raise_where};
use super::walk::Event;
use crate::error::{Error, Result};
use crate::schema::{Action, Catalog, ForeignKey, Relation};
use crate::sql::analyze;
use crate::sql::ast::{Returned, Step};
use crate::sql::pg::plpgsql;
use crate::sql::print::quoted;

/// The temporary triggers of a referenced table; with them the first refusal, if there is one.
pub(super) fn texts(parent: &Arc<Relation>, catalog: &Catalog) -> (Vec<String>, Option<Error>) {
    let (mut texts, mut refusal) = (Vec::new(), None);
    let mut number = 2000;
    for child in catalog.relations.values().filter(|r| !r.triggers.is_empty()) {
        for key in child.foreign_keys.iter().filter(|k| k.table == parent.name) {
            for event in [Event::Delete, Event::Update] {
                if !assigned(child, key, event, catalog) {
                    continue;
                }
                let moment =
                    Moment { relation: parent, catalog, before: true, event, queued: false };
                let columns = referenced(key, parent);
                let text = statement(moment, child, key, &columns).unwrap_or_else(|error| {
                    let text = raise_where(&error, &changed(event, &columns, parent));
                    refusal.get_or_insert(error);
                    text
                });
                let of: Vec<&String> = match event {
                    Event::Update => columns.iter().collect(),
                    _ => Vec::new(),
                };
                texts.push(moment.text(&of, &[text], number));
                number += 1;
            }
        }
    }
    (texts, refusal)
}

/// Whether an event's action writes rows of the child whose triggers then assign to NEW.
fn assigned(child: &Relation, key: &ForeignKey, event: Event, catalog: &Catalog) -> bool {
    let writes = match event {
        Event::Delete => matches!(key.on_delete, Action::SetNull | Action::SetDefault),
        _ => !matches!(key.on_update, Action::NoAction | Action::Restrict),
    };
    let own = |name: &String| key.columns.iter().any(|c| child.columns[*c].name == *name);
    writes
        && analyze::assigning(child, Event::Update, catalog)
            .iter()
            .any(|t| t.columns.is_empty() || t.columns.iter().any(own))
}

/// Names of the referenced columns.
fn referenced(key: &ForeignKey, parent: &Relation) -> Vec<String> {
    if !key.referenced.is_empty() {
        return key.referenced.clone();
    }
    let own = parent.primary_key.iter().flatten();
    own.filter_map(|c| parent.columns.get(*c)).map(|c| c.name.clone()).collect()
}

/// When a row's action happens, in SQLite's terms.
fn changed(event: Event, columns: &[String], parent: &Relation) -> String {
    let differs = |name: &String| {
        let column = parent.columns.iter().find(|c| c.name == *name);
        let name = quoted(column.map_or(name.as_str(), |c| &c.sqlite_name));
        format!("OLD.{name} IS NOT NEW.{name}")
    };
    match event {
        Event::Update => columns.iter().map(differs).collect::<Vec<_>>().join(" OR "),
        _ => "TRUE".to_owned(),
    }
}

/// The UPDATE that PostgreSQL would run for the action.
fn statement(
    moment: Moment<'_>,
    child: &Relation,
    key: &ForeignKey,
    columns: &[String],
) -> Result<String> {
    let (parent, event) = (moment.relation, moment.event);
    if skips(parent, event, moment.catalog) {
        return Err(Error::unsupported(
            "a foreign key's action on a table whose triggers assign to NEW, beside a trigger \
             that leaves rows out",
        ));
    }
    let own = child.name == parent.name;
    if own && event == Event::Update {
        return Err(Error::unsupported(
            "ON UPDATE of a foreign key to its own table whose triggers assign to NEW",
        ));
    }
    let action = if event == Event::Delete { key.on_delete } else { key.on_update };
    let table = crate::name::quoted(&child.name);
    let (mut sets, mut filter, mut other) = (Vec::new(), Vec::new(), Vec::new());
    for (position, name) in key.columns.iter().zip(columns) {
        let column = quoted(&child.columns[*position].name);
        let name = quoted(name);
        let value = match action {
            Action::SetNull => "NULL".to_owned(),
            Action::SetDefault => "DEFAULT".to_owned(),
            _ => format!("NEW.{name}"),
        };
        sets.push(format!("{column} = {value}"));
        filter.push(format!("{table}.{column} = OLD.{name}"));
        other.push(match event {
            Event::Update => format!("OLD.{name} IS DISTINCT FROM NEW.{name}"),
            // The row that goes is not written once more.
            _ => format!("{table}.{name} IS DISTINCT FROM OLD.{name}"),
        });
    }
    if own || event == Event::Update {
        filter.push(format!("({})", other.join(" OR ")));
    }
    let text = format!("UPDATE {table} SET {} WHERE {}", sets.join(", "), filter.join(" AND "));
    let parsed = crate::sql::parse(&text)?;
    let one = parsed.first().ok_or_else(|| Error::internal("no statement"))?;
    let (printed, sequences) = Fire::new(moment).printed(&one.statement)?;
    match sequences.is_empty() {
        true => Ok(printed),
        false => Err(Error::unsupported("nextval() where a foreign key's action writes")),
    }
}

/// Whether a trigger may keep the row as it is: then no action follows.
fn skips(relation: &Relation, event: Event, catalog: &Catalog) -> bool {
    relation.triggers.iter().filter(|t| t.before && event.fires(t)).any(|trigger| {
        let function = catalog.trigger_function(&trigger.function);
        let block = function.and_then(|f| plpgsql::block(&f.body).ok());
        block.is_none_or(|block| returns_null(&block.steps, event))
    })
}

fn returns_null(steps: &[Step], event: Event) -> bool {
    steps.iter().any(|step| match step {
        Step::If(branches, otherwise) => {
            branches.iter().any(|(_, steps)| returns_null(steps, event))
                || returns_null(otherwise, event)
        }
        // NEW is NULL for a DELETE.
        Step::Return(Returned::New) => event == Event::Delete,
        Step::Return(what) => *what == Returned::Null,
        _ => false,
    })
}
