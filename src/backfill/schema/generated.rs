//! Generated columns: which PostgreSQL can compute, and how their expressions are written there.
//!
//! Owns the reading of names in expressions. It must never take a string for a name. Start at
//! [`lacking`].

use crate::schema::Relation;

/// Generated columns that PostgreSQL cannot compute: SQLite's own, and those over them. One that
/// is part of the key is not among them: without it rows could not be found.
pub fn lacking(relation: &Relation) -> Vec<usize> {
    let is_key = |index: &usize| relation.key().is_some_and(|key| key.contains(index));
    (0..relation.columns.len())
        .filter(|index| !is_key(index) && is_lacking(relation, *index, 0))
        .collect()
}

fn is_lacking(relation: &Relation, index: usize, depth: usize) -> bool {
    let Some(generated) = &relation.columns[index].generated else { return false };
    generated.sqlite
        || tokens(&generated.expression).into_iter().any(|(token, is_name)| {
            let name = name_of(token);
            let other = relation.columns.iter().position(|c| is_name && c.name == name);
            // A cycle cannot be declared; the depth is for damaged catalogs.
            other.is_some_and(|other| depth < 16 && is_lacking(relation, other, depth + 1))
        })
}

/// The name that a token stands for.
fn name_of(token: &str) -> String {
    match token.strip_prefix('"').and_then(|t| t.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => token.to_ascii_lowercase(),
    }
}

/// PostgreSQL lets a generated column name no other generated column: its expression is
/// written in its place.
pub(super) fn inlined(relation: &Relation, expression: &str, depth: usize) -> String {
    let mut out = String::with_capacity(expression.len());
    for (token, is_name) in tokens(expression) {
        let name = name_of(token);
        let other = relation
            .columns
            .iter()
            .find(|c| is_name && c.name == name)
            .and_then(|c| c.generated.as_ref());
        match other {
            // A cycle cannot be declared; the depth is for damaged catalogs.
            Some(generated) if depth < 16 => {
                out.push('(');
                out.push_str(&inlined(relation, &generated.expression, depth + 1));
                out.push(')');
            }
            _ => out.push_str(token),
        }
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
