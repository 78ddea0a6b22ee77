//! Statement shapes: a statement with its literals normalised away.
//!
//! Works on tokens, so it takes any text, also one that no grammar accepts, and costs a
//! microsecond instead of two more parses. Equal ids mean equal normalised texts. The rules
//! are part of the divergence log's format: changing one changes every id. Start at
//! [`fingerprint`].

use super::lexer::{self, Kind};
use super::plan::Fingerprint;

/// The shape of a statement: literals and parameters become `$1`, `$2` … in order, lists of
/// them collapse to one (IN, ARRAY, rows of VALUES), letter case, comments and white space
/// do not matter. Never fails.
pub fn fingerprint(text: &str) -> Fingerprint {
    let mut items = items(text);
    while items.last().is_some_and(|item| item.kind == Kind::Semicolon) {
        items.pop();
    }
    let text = render(&collapse(&items));
    Fingerprint { id: hash(text.as_bytes()), text }
}

/// One token as it counts for the shape.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    kind: Kind,
    /// Canonical text; empty for a placeholder.
    text: String,
}

impl Item {
    fn placeholder(&self) -> bool {
        self.kind == Kind::Param
    }

    fn is(&self, kind: Kind, text: &str) -> bool {
        self.kind == kind && self.text == text
    }
}

fn items(text: &str) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    let mut schema_change = false;
    for token in lexer::tokens(text) {
        let raw = &text[token.start..token.end];
        let item = match token.kind {
            Kind::Text | Kind::Number | Kind::Param => {
                drop_sign(&mut items);
                Item { kind: Kind::Param, text: String::new() }
            }
            Kind::Word => {
                let word = raw.to_ascii_lowercase();
                if items.is_empty() {
                    schema_change = matches!(word.as_str(), "create" | "alter");
                }
                if !schema_change && constant_word(&word, items.last()) {
                    Item { kind: Kind::Param, text: String::new() }
                } else {
                    Item { kind: Kind::Word, text: word }
                }
            }
            Kind::Quoted => Item { kind: Kind::Quoted, text: unquoted(raw) },
            kind => Item { kind, text: raw.to_owned() },
        };
        items.push(item);
    }
    items
}

/// `"name"` counts as `name` when PostgreSQL reads both alike.
fn unquoted(raw: &str) -> String {
    let inner = raw.strip_prefix('"').and_then(|s| s.strip_suffix('"')).unwrap_or(raw);
    let plain = inner.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        && inner.bytes().next().is_some_and(|b| !b.is_ascii_digit());
    if plain { inner.to_owned() } else { raw.to_owned() }
}

/// NULL, TRUE and FALSE where a value stands (not in IS NULL, SET NULL …).
fn constant_word(word: &str, before: Option<&Item>) -> bool {
    if !matches!(word, "null" | "true" | "false") {
        return false;
    }
    before.is_some_and(|item| match item.kind {
        Kind::Open | Kind::Comma | Kind::Operator => true,
        Kind::Word => value_follows(&item.text),
        _ => false,
    })
}

/// Keywords after which an expression begins.
fn value_follows(word: &str) -> bool {
    matches!(
        word,
        "select"
            | "then"
            | "else"
            | "and"
            | "or"
            | "when"
            | "between"
            | "limit"
            | "offset"
            | "like"
            | "ilike"
            | "where"
            | "in"
            | "on"
            | "by"
            | "case"
            | "returning"
            | "having"
            | "values"
    )
}

/// A sign in front of a number belongs to the literal unless it is an operation.
fn drop_sign(items: &mut Vec<Item>) {
    let [.., before, sign] = items.as_slice() else { return };
    if !(sign.is(Kind::Operator, "-") || sign.is(Kind::Operator, "+")) {
        return;
    }
    let unary = match before.kind {
        Kind::Open | Kind::Comma | Kind::Operator => true,
        Kind::Word => value_follows(&before.text),
        _ => false,
    };
    if unary {
        items.pop();
    }
}

/// Lists of placeholders become one placeholder, equal rows one row.
fn collapse(items: &[Item]) -> Vec<Item> {
    let mut out: Vec<Item> = Vec::with_capacity(items.len());
    let mut at = 0;
    while let Some(item) = items.get(at) {
        let opens = items.get(at + 1).is_some_and(|next| next.kind == Kind::Open);
        let list = item.is(Kind::Word, "in") || item.is(Kind::Word, "array");
        out.push(item.clone());
        at += 1;
        if opens && list {
            if let Some(end) = pure_list(items, at) {
                out.extend([items[at].clone(), items[at + 1].clone(), items[end].clone()]);
                at = end + 1;
            }
        } else if opens && item.is(Kind::Word, "values") {
            at = rows(items, at, &mut out);
        }
    }
    out
}

/// The closing token of a list that opens at `open` and holds placeholders only.
fn pure_list(items: &[Item], open: usize) -> Option<usize> {
    let mut at = open + 1;
    loop {
        items.get(at).filter(|item| item.placeholder())?;
        match items.get(at + 1)?.kind {
            Kind::Comma => at += 2,
            Kind::Close => return Some(at + 1),
            _ => return None,
        }
    }
}

/// Copies the first row of VALUES and every later one that differs from it; returns the
/// index after the rows.
fn rows(items: &[Item], open: usize, out: &mut Vec<Item>) -> usize {
    let Some(first_end) = group_end(items, open) else { return open };
    let first = &items[open..=first_end];
    out.extend_from_slice(first);
    let mut at = first_end + 1;
    while items.get(at).is_some_and(|item| item.kind == Kind::Comma)
        && items.get(at + 1).is_some_and(|item| item.is(Kind::Open, "("))
    {
        let Some(end) = group_end(items, at + 1) else { break };
        if items[at + 1..=end] != *first {
            out.extend_from_slice(&items[at..=end]);
        }
        at = end + 1;
    }
    at
}

/// The closing token of the group that opens at `open`.
fn group_end(items: &[Item], open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, item) in items.iter().enumerate().skip(open) {
        match item.kind {
            Kind::Open => depth += 1,
            Kind::Close => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

fn render(items: &[Item]) -> String {
    let mut text = String::new();
    let mut number = 0_u32;
    for (at, item) in items.iter().enumerate() {
        if at > 0 && spaced(&items[at - 1], item) {
            text.push(' ');
        }
        if item.placeholder() {
            number += 1;
            text.push('$');
            text.push_str(&number.to_string());
        } else {
            text.push_str(&item.text);
        }
    }
    text
}

/// Whether a space stands between two tokens.
fn spaced(left: &Item, right: &Item) -> bool {
    let tight_right =
        matches!(right.kind, Kind::Comma | Kind::Close | Kind::Other | Kind::Semicolon);
    let tight_left = matches!(left.kind, Kind::Open | Kind::Other);
    let call = right.kind == Kind::Open
        && (left.kind == Kind::Quoted || left.kind == Kind::Word && !takes_space(&left.text));
    !(tight_right || tight_left || call)
}

/// Keywords that keep a space before a parenthesis.
fn takes_space(word: &str) -> bool {
    value_follows(word)
        || matches!(
            word,
            "from" | "as" | "into" | "exists" | "using" | "over" | "not" | "set" | "any" | "all"
        )
}

/// FNV-1a, then mixed so that short texts spread over all bits.
fn hash(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::fingerprint;

    fn shape(text: &str) -> String {
        fingerprint(text).text
    }

    #[test]
    fn literals_and_parameters_are_alike() {
        let expected = "select a from t where b = $1 and c = $2";
        for text in [
            "SELECT a FROM t WHERE b = 5 AND c = 'x';",
            "select a\n  from t -- why\n where b = -5 and c = $1",
            "select \"a\" from t where b=E'5' and c=null",
        ] {
            assert_eq!(shape(text), expected);
        }
        assert_eq!(fingerprint("select 1").id, fingerprint("SELECT  'a'").id);
        assert_ne!(fingerprint("select 1").id, fingerprint("select 1, 2").id);
    }

    #[test]
    fn operations_and_tests_keep_their_words() {
        assert_eq!(shape("select a -1, b - 2"), "select a - $1, b - $2");
        assert_eq!(shape("select 1 where a is not null"), "select $1 where a is not null");
        assert_eq!(
            shape("create table t (a int default NULL, b bool default true)"),
            "create table t(a int default null, b bool default true)"
        );
        assert_eq!(shape("select \"A\", \"select\" from \"T\""), "select \"A\", select from \"T\"");
    }

    #[test]
    fn lists_collapse() {
        assert_eq!(shape("select 1 where a in (1, -2, 'c')"), "select $1 where a in ($2)");
        assert_eq!(shape("select ARRAY[1,2]"), "select array[$1]");
        assert_eq!(shape("select f(1, 2)"), "select f($1, $2)");
        assert_eq!(
            shape("insert into t(a, b) values (1, now()), (2, now()) returning a"),
            "insert into t(a, b) values ($1, now()) returning a"
        );
        assert_eq!(
            shape("insert into t values (1), (default), (3)"),
            "insert into t values ($1), (default)"
        );
    }

    #[test]
    fn any_text_has_a_shape() {
        for text in ["", ";", "'", "values (", "in (", "select ((", "values ((1)"] {
            let _ = fingerprint(text);
        }
        assert_eq!(shape(""), "");
    }
}
