//! AFTER ROW triggers that look at the table they fire for. PostgreSQL fires them when the
//! statement has written all of its rows, SQLite after each row: with several rows the two see
//! another table.
//!
//! It judges by the words of the functions, theirs and those of the triggers they may fire: a
//! word too many refuses a statement, a word too few cannot be. Start at [`looks_at_own`].

use std::collections::BTreeSet;

use super::walk::Event;
use crate::schema::{Catalog, Relation, RelationKind};
use crate::sql::lexer::{Kind, tokens};

/// Whether an AFTER trigger of an event may look at its own table.
pub(crate) fn looks_at_own(relation: &Relation, event: Event, catalog: &Catalog) -> bool {
    let mut functions: Vec<&str> = relation
        .triggers
        .iter()
        .filter(|t| !t.before && event.fires(t))
        .map(|t| t.function.as_str())
        .collect();
    let mut seen = BTreeSet::new();
    while let Some(name) = functions.pop() {
        if !seen.insert(name) {
            continue;
        }
        let Some(function) = catalog.functions.get(name) else { continue };
        for word in words(&function.body) {
            let Some(found) = catalog.relations.get(&word) else { continue };
            let viewed = || {
                let text = found.view_sql.as_deref().unwrap_or_default();
                words(text).contains(&relation.name)
            };
            if word == relation.name || (found.kind == RelationKind::View && viewed()) {
                return true;
            }
            functions.extend(found.triggers.iter().map(|t| t.function.as_str()));
        }
    }
    false
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
