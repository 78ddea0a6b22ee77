//! Primary keys in which the file itself takes NULL: a row without one is refused by a temporary
//! trigger.
//!
//! Owns nothing else of NOT NULL, which SQLite keeps where it is declared. Start at [`texts`].

use std::sync::Arc;

use super::fire::{Moment, text_literal};
use super::walk::Event;
use crate::schema::{Catalog, Relation};
use crate::sql::print::quoted;

/// The temporary triggers of a table.
pub(super) fn texts(relation: &Arc<Relation>, catalog: &Catalog) -> Vec<String> {
    let keys = relation.primary_key.iter().flatten().filter(|_| relation.nulls_in_key);
    let columns: Vec<_> = keys.filter_map(|c| relation.columns.get(*c)).collect();
    if columns.is_empty() {
        return Vec::new();
    }
    let raise: Vec<String> = columns
        .iter()
        .map(|column| {
            format!(
                "SELECT pg_null_key({}, {}) WHERE NEW.{} IS NULL",
                text_literal(&relation.name),
                text_literal(&column.name),
                quoted(&column.sqlite_name)
            )
        })
        .collect();
    let names: Vec<&String> = columns.iter().map(|column| &column.name).collect();
    [Event::Insert, Event::Update]
        .into_iter()
        .map(|event| {
            let moment = Moment { relation, catalog, before: false, event, queued: false };
            let of = if event == Event::Update { names.as_slice() } else { &[] };
            moment.text(of, &raise, 2900)
        })
        .collect()
}
