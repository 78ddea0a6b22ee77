//! Looking at SQL as text: names, statements of a text, the object a definition is about.
//!
//! Enough for bookkeeping beside a replay, never for meaning. Start at [`words`].

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

/// A piece of SQL: where it starts and ends, and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    Word,
    Quoted,
    Literal,
    Space,
    Other,
}

/// Splits a text into pieces; quotes, dollar quotes and comments are each one piece.
pub fn pieces(sql: &str) -> Vec<(Piece, &str)> {
    static TOKEN: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(
            r#"(?s)(?P<s>\s+|--[^\n]*|/\*.*?\*/)|(?P<q>"(?:[^"]|"")*")|(?P<l>[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|\$[A-Za-z_]*\$)|(?P<w>[A-Za-z_\x80-\u{10ffff}][\w$]*)|(?P<o>.)"#,
        )
        .unwrap()
    });
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(m) = TOKEN.captures_at(sql, at) {
        let whole = m.get(0).unwrap();
        let mut end = whole.end();
        let piece = if m.name("s").is_some() {
            Piece::Space
        } else if m.name("q").is_some() {
            Piece::Quoted
        } else if m.name("l").is_some() {
            if whole.as_str().starts_with('$') {
                end = sql[end..].find(whole.as_str()).map_or(sql.len(), |i| end + i + whole.len());
            }
            Piece::Literal
        } else if m.name("w").is_some() {
            Piece::Word
        } else {
            Piece::Other
        };
        found.push((piece, &sql[at..end]));
        at = end;
    }
    found
}

/// Every name and word of a text, folded.
pub fn words(sql: &str) -> BTreeSet<String> {
    pieces(sql)
        .into_iter()
        .filter_map(|(piece, text)| match piece {
            Piece::Word => Some(text.to_ascii_lowercase()),
            Piece::Quoted => Some(unquoted(text)),
            _ => None,
        })
        .collect()
}

fn unquoted(name: &str) -> String {
    match name.strip_prefix('"').and_then(|n| n.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => name.to_ascii_lowercase(),
    }
}

/// The statements of a text.
pub fn statements(sql: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut at = 0;
    let mut meaning = false;
    for (piece, text) in pieces(sql) {
        at += text.len();
        if piece == Piece::Other && text == ";" {
            if meaning {
                found.push(sql[start..at - 1].trim());
            }
            start = at;
            meaning = false;
        } else if piece != Piece::Space {
            meaning = true;
        }
    }
    if meaning {
        found.push(sql[start..].trim());
    }
    found
}

/// Whether rows come in an order the text asks for: ORDER BY outside all parentheses.
pub fn ordered(sql: &str) -> bool {
    at_top(sql, &["order"])
}

/// Whether the text cuts its rows off outside all parentheses.
pub fn limited(sql: &str) -> bool {
    at_top(sql, &["limit", "fetch", "offset"])
}

fn at_top(sql: &str, wanted: &[&str]) -> bool {
    let mut depth = 0;
    for (piece, text) in pieces(sql) {
        match (piece, text) {
            (Piece::Other, "(") => depth += 1,
            (Piece::Other, ")") => depth -= 1,
            (Piece::Word, word) if depth == 0 && wanted.contains(&&*word.to_ascii_lowercase()) => {
                return true;
            }
            _ => {}
        }
    }
    false
}

const NAME: &str = r#"((?:"(?:[^"]|"")+"|\w+)(?:\s*\.\s*(?:"(?:[^"]|"")+"|\w+))*)"#;

fn last_part(name: &str) -> String {
    let part = pieces(name)
        .into_iter()
        .rfind(|(p, _)| matches!(p, Piece::Word | Piece::Quoted))
        .map_or(name, |(_, t)| t);
    unquoted(part)
}

/// The table that an INSERT, UPDATE or DELETE writes, as written.
pub fn written(sql: &str) -> Option<&str> {
    static TARGET: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(&format!(
            r"(?is)^\s*(?:insert\s+into|update(?:\s+only)?|delete\s+from(?:\s+only)?)\s+{NAME}"
        ))
        .unwrap()
    });
    TARGET.captures(sql).map(|c| c.get(1).unwrap().as_str())
}

/// The name a CREATE TABLE makes.
pub fn created_table(sql: &str) -> Option<String> {
    static CREATE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(&format!(
            r"(?is)^(?:\s|--[^\n]*\n|/\*.*?\*/)*create\s+(?:(?:global|local)\s+)?(?:temp(?:orary)?\s+|unlogged\s+)?table\s+(?:if\s+not\s+exists\s+)?{NAME}"
        ))
        .unwrap()
    });
    CREATE.captures(sql).map(|c| last_part(&c[1]))
}

/// Names whose state is unknown once this definition ran on one side only.
pub fn defined(sql: &str) -> Vec<String> {
    static OBJECT: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(&format!(
            r"(?is)^\s*(?:create|alter|drop)\s+(?:or\s+replace\s+)?(?:global\s+|local\s+)?(?:temp(?:orary)?\s+|unlogged\s+|unique\s+|materialized\s+|foreign\s+|constraint\s+)*(table|view|index|type|domain|sequence|schema|function|procedure|trigger|extension|server|collation|aggregate|rule|policy)\s+(?:concurrently\s+)?(?:if\s+(?:not\s+)?exists\s+)?(?:only\s+)?{NAME}"
        ))
        .unwrap()
    });
    static ON: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(&format!(r"(?is)\son\s+(?:only\s+)?{NAME}")).unwrap());
    static INTO: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(&format!(r"(?is)^\s*select\s.*?\sinto\s+(?:temp(?:orary)?\s+|table\s+)*{NAME}"))
            .unwrap()
    });
    static RENAME: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(&format!(r"(?is)\srename\s+.*?\bto\s+{NAME}")).unwrap());
    let Some(object) = OBJECT.captures(sql) else {
        return INTO.captures(sql).map(|c| last_part(&c[1])).into_iter().collect();
    };
    let mut names = vec![last_part(&object[2])];
    let kind = object[1].to_ascii_lowercase();
    let unique = sql.to_ascii_lowercase().contains("unique");
    if kind == "trigger" || kind == "rule" || kind == "policy" || (kind == "index" && unique) {
        names.extend(ON.captures(sql).map(|c| last_part(&c[1])));
    }
    names.extend(RENAME.captures(sql).map(|c| last_part(&c[1])));
    names
}

/// A message with names, numbers and literals replaced, so that like reasons meet.
pub fn normalised(message: &str) -> String {
    static NAMES: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r#""(?:[^"]|"")*"|'(?:[^']|'')*'|\b\d+(?:\.\d+)?\b"#).unwrap());
    NAMES.replace_all(message, "…").into_owned()
}

#[test]
fn texts_are_taken_apart() {
    assert_eq!(statements("a; b ';' ; $x$ ; $x$ -- ;\n;"), ["a", "b ';'", "$x$ ; $x$ -- ;"]);
    assert!(ordered("SELECT 1 ORDER BY 1") && !ordered("SELECT (SELECT 1 ORDER BY 1)"));
    assert_eq!(written("insert into \"A b\" values (1)"), Some("\"A b\""));
    assert_eq!(created_table("create table if not exists public.x (a int)").unwrap(), "x");
    assert_eq!(defined("CREATE UNIQUE INDEX i ON public.\"T\" (a)"), ["i", "T"]);
    assert_eq!(normalised("relation \"x\" has 3"), "relation … has …");
}
