//! Generated columns: which PostgreSQL can compute, and how their expressions are written there.
//!
//! Owns the reading of names in expressions. It must never take a string for a name. Start at
//! [`generated`].

use std::sync::Arc;

use super::Names;
use crate::error::{Error, Result};
use crate::schema::{Catalog, Relation};
use crate::sql::print::quoted;

/// Generated columns that are looked into, one inside the other.
const DEPTH_MAX: usize = 16;

/// PostgreSQL's expression of each generated column, or why there is none.
pub fn generated(relation: &Relation, catalog: &Catalog) -> Vec<Option<Result<String>>> {
    let mut known = vec![None; relation.columns.len()];
    for index in 0..relation.columns.len() {
        computed(catalog, relation, index, &mut known, 0);
    }
    known
}

/// The catalog without the columns that PostgreSQL cannot compute: they have names there that
/// nobody writes.
pub(crate) fn without_lacking(catalog: &Catalog) -> Catalog {
    let mut seen = catalog.clone();
    for relation in seen.relations.values_mut() {
        if relation.columns.iter().all(|c| c.generated.is_none()) {
            continue;
        }
        let made = generated(relation, catalog);
        let lacking = made.iter().enumerate().filter(|(_, m)| matches!(m, Some(Err(_))));
        let lacking: Vec<usize> = lacking.map(|(index, _)| index).collect();
        for index in lacking {
            Arc::make_mut(relation).columns[index].name = format!("\u{1}{index}");
        }
    }
    seen
}

/// PostgreSQL lets a generated column name no other generated column: its expression is written
/// in its place.
fn computed(
    catalog: &Catalog,
    relation: &Relation,
    index: usize,
    known: &mut Vec<Option<Result<String>>>,
    depth: usize,
) -> Option<Result<String>> {
    let column = &relation.columns[index];
    let generated = column.generated.as_ref()?;
    if let Some(done) = &known[index] {
        return Some(done.clone());
    }
    // A cycle cannot be declared; the depth is for damaged catalogs.
    if depth >= DEPTH_MAX {
        return Some(Err(Error::unsupported("generated columns that deep")));
    }
    let mut columns: Vec<String> = relation.columns.iter().map(|c| quoted(&c.name)).collect();
    let mut missing = None;
    for other in references(relation, &generated.expression) {
        match computed(catalog, relation, other, known, depth + 1) {
            None => {}
            Some(Ok(text)) => columns[other] = format!("({text})"),
            Some(Err(error)) => {
                columns[other].clear();
                missing = Some(error);
            }
        }
    }
    let made = match (missing, generated.sqlite) {
        (Some(error), _) => Err(error),
        (None, false) => Ok(inlined(relation, &generated.expression, &columns)),
        (None, true) => {
            let names = Names { relation, catalog, columns };
            names.generated(&generated.expression, column)
        }
    };
    known[index] = Some(made.clone());
    Some(made)
}

/// Generated columns that an expression names.
fn references(relation: &Relation, expression: &str) -> Vec<usize> {
    let mut found = Vec::new();
    for (token, is_name) in tokens(expression) {
        let named = position(relation, token).filter(|_| is_name);
        if let Some(index) = named.filter(|i| relation.columns[*i].generated.is_some())
            && !found.contains(&index)
        {
            found.push(index);
        }
    }
    found
}

fn position(relation: &Relation, token: &str) -> Option<usize> {
    let name = name_of(token);
    let exact = relation.columns.iter().position(|c| c.name == name);
    exact.or_else(|| {
        let spelled = token.trim_matches('"');
        relation.columns.iter().position(|c| c.sqlite_name.eq_ignore_ascii_case(spelled))
    })
}

/// The name that a token stands for.
fn name_of(token: &str) -> String {
    match token.strip_prefix('"').and_then(|t| t.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => token.to_ascii_lowercase(),
    }
}

/// An expression with the generated columns that it names written in place: `columns` are their
/// texts.
fn inlined(relation: &Relation, expression: &str, columns: &[String]) -> String {
    let mut out = String::with_capacity(expression.len());
    for (token, is_name) in tokens(expression) {
        let name = name_of(token);
        let mut all = relation.columns.iter().zip(columns);
        let generated = all.find(|(c, _)| is_name && c.name == name && c.generated.is_some());
        out.push_str(generated.map_or(token, |(_, text)| text));
    }
    out
}

/// Splits an expression into names (quoted or not), strings and everything else.
fn tokens(text: &str) -> Vec<(&str, bool)> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        let is_name = match bytes[at] {
            quote @ (b'"' | b'\'') => {
                at += 1;
                while at < bytes.len() {
                    if bytes[at] == quote {
                        if bytes.get(at + 1) == Some(&quote) {
                            at += 1;
                        } else {
                            break;
                        }
                    }
                    at += 1;
                }
                at = (at + 1).min(bytes.len());
                quote == b'"'
            }
            b if b.is_ascii_alphabetic() || b == b'_' || b >= 0x80 => {
                while at < bytes.len()
                    && (bytes[at].is_ascii_alphanumeric()
                        || matches!(bytes[at], b'_' | b'$')
                        || bytes[at] >= 0x80)
                {
                    at += 1;
                }
                !matches!(bytes.get(at), Some(b'(' | b'.'))
            }
            b if b.is_ascii_digit() => {
                while at < bytes.len() && (bytes[at].is_ascii_alphanumeric() || bytes[at] == b'.') {
                    at += 1;
                }
                false
            }
            _ => {
                at += 1;
                false
            }
        };
        found.push((&text[start..at], is_name));
    }
    found
}
