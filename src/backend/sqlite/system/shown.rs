//! Names of clients' objects as a session shows them: bare while its search path finds them, else
//! with the schema (`pg_dump` empties the path and restores by what it is shown).
//!
//! It must never change what is stored: texts of the catalog have bare names for `public` and say
//! every other schema. Start at [`name`].

use std::sync::Arc;

use super::{Core, qualified_ident, quote_ident};
use crate::backend::sqlite::functions::session;
use crate::name::{self, PUBLIC, key};
use crate::sql::lexer::{Kind, tokens};
use crate::value::enums;

/// The running session's search path; None where no session runs: `public` is searched.
pub(super) fn path() -> Option<Arc<Vec<String>>> {
    Some(session::current().path.clone().unwrap_or_else(|| Arc::new(vec![PUBLIC.to_owned()])))
}

/// Where the schema stands in the search path.
fn place(schema: &str) -> Option<usize> {
    match &session::current().path {
        Some(path) => path.iter().position(|s| s == schema),
        None => (schema == PUBLIC).then_some(0),
    }
}

/// The keys that an unqualified name may have.
pub(super) fn keys(name: &str) -> Vec<String> {
    let path = path();
    path.iter().flat_map(|p| p.iter()).map(|schema| key(schema, name)).collect()
}

/// Whether the search path finds an object by its bare name.
pub(super) fn visible(core: &Core, own: &str) -> bool {
    let (schema, bare) = name::split(own);
    let Some(place) = place(schema) else { return false };
    let catalog = &core.catalog;
    let taken = |key: &String| {
        catalog.relations.contains_key(key)
            || catalog.sequences.contains_key(key)
            || catalog.index_owner(name::schema(key), bare).is_some()
    };
    !core.temporary.contains_key(bare) && !keys(bare).iter().take(place).any(taken)
}

/// Whether the search path names the schema of a type.
pub(super) fn finds(key: &str) -> bool {
    place(name::schema(key)).is_some()
}

/// A quoted name.
pub(super) fn name(core: &Core, key: &str) -> String {
    match name::is_key(key) || !core.catalog.schemas.is_empty() {
        true if visible(core, key) => quote_ident(name::bare(key)),
        true => qualified_ident(key),
        false if place(PUBLIC).is_some() => quote_ident(key),
        false => qualified_ident(key),
    }
}

/// A type's name as `format_type` prints it.
pub(super) fn type_name(type_oid: u32, printed: String) -> String {
    let Some(key) = enums::key_of(type_oid) else { return printed };
    let array = if printed.ends_with("[]") { "[]" } else { "" };
    match place(name::schema(&key)) {
        Some(_) => format!("{}{array}", quote_ident(name::bare(&key))),
        None => format!("{}{array}", qualified_ident(&key)),
    }
}

/// An index definition without the schema of its table.
pub(super) fn without_schema(definition: &str) -> String {
    let Some((before, after)) = definition.split_once(" ON ") else {
        return definition.to_owned();
    };
    let words: Vec<_> = tokens(after).take(2).collect();
    match words.as_slice() {
        [_, dot] if &after[dot.start..dot.end] == "." => {
            format!("{before} ON {}", &after[dot.end..])
        }
        _ => definition.to_owned(),
    }
}

/// An expression's text: types behind `::`, and what `::regclass` names.
pub(super) fn expression(core: &Core, text: &str) -> String {
    if place(PUBLIC).is_some() && core.catalog.schemas.is_empty() {
        return text.to_owned();
    }
    let all: Vec<_> = tokens(text).collect();
    let word = |at: usize| all.get(at).map_or("", |t| &text[t.start..t.end]);
    let mut out = text.to_owned();
    for (at, token) in all.iter().enumerate().rev() {
        let named = matches!(token.kind, Kind::Word | Kind::Quoted);
        if !named || at == 0 || word(at - 1) != "::" {
            continue;
        }
        if word(at) == "regclass" {
            let Some(literal) = at.checked_sub(2).and_then(|at| all.get(at)) else { continue };
            let inner = text[literal.start..literal.end].trim_matches('\'').replace("''", "'");
            let Some(parts) = super::named::split_name(&inner) else { continue };
            let key = match parts.as_slice() {
                [name] => name.clone(),
                [schema, name] => key(schema, name),
                _ => continue,
            };
            let there = core.catalog.sequences.contains_key(&key)
                || core.catalog.relations.contains_key(&key);
            if there && literal.kind == Kind::Text {
                let shown = self::name(core, &key).replace('\'', "''");
                out.replace_range(literal.start + 1..literal.end - 1, &shown);
            }
            continue;
        }
        let part = |at: usize| super::named::split_name(word(at)).and_then(|mut parts| parts.pop());
        let (key, end) = match (part(at), word(at + 1) == ".") {
            (Some(schema), true) => match part(at + 2) {
                Some(name) => (key(&schema, &name), all[at + 2].end),
                None => continue,
            },
            (Some(name), false) => (name, token.end),
            (None, _) => continue,
        };
        if let Some(found) = super::types::type_of_key(core, &key, false) {
            out.replace_range(token.start..end, &type_name(found, String::new()));
        }
    }
    out
}
