//! The names in the expressions of generated columns.
//!
//! Owns their reading. It must never take a string for a name. Start at [`references`].

use crate::schema::Relation;

/// Generated columns that an expression names.
pub(super) fn references(relation: &Relation, expression: &str) -> Vec<usize> {
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
pub(super) fn inlined(relation: &Relation, expression: &str, columns: &[String]) -> String {
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
