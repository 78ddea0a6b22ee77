//! LIKE, SIMILAR TO and regular expressions.
//!
//! Regular expressions run on the `regex` crate: PostgreSQL's escapes are rewritten, what
//! it cannot do (back references, look-around) is refused.

use std::cell::RefCell;
use std::collections::HashMap;

use regex_automata::util::syntax;

use super::are::{Flags, invalid, translate};
use super::args::{Args, boolean, text};
use super::greed::Matcher;
use super::{Def, strict};
use crate::error::{Error, Result, state};
use crate::value::{Cell, array};

pub(super) const FUNCTIONS: &[Def] = &[
    strict("pg_like", 2, |a| boolean(like(a.text(0)?, a.text(1)?, false)?)),
    strict("pg_ilike", 2, |a| boolean(like(a.text(0)?, a.text(1)?, true)?)),
    strict("pg_like_escape", 2, like_escape),
    strict("pg_like_low", 1, |a| text(literal_prefix(a.text(0)?))),
    strict("pg_like_high", 1, |a| Ok(after(&literal_prefix(a.text(0)?)))),
    strict("pg_regex", 2, |a| boolean(regex(a.text(1)?, "")?.is_match(a.text(0)?))),
    strict("pg_iregex", 2, |a| boolean(regex(a.text(1)?, "i")?.is_match(a.text(0)?))),
    strict("pg_regex_flags", 3, |a| {
        let flags = super::regexp::global(a.text(2)?, "regexp_like()")?;
        boolean(regex(a.text(1)?, flags)?.is_match(a.text(0)?))
    }),
    strict("pg_similar", 1, |a| text(similar(a.text(0)?, Some('\\'))?)),
    strict("pg_similar", 2, |a| text(similar(a.text(0)?, single(a.text(1)?)?)?)),
    strict("pg_regexp_replace", 3, |a| replace(a, "")),
    strict("pg_regexp_replace", 4, |a| replace(a, a.text(3)?)),
    strict("pg_regexp_substr", 2, |a| {
        let found = extracting(a.text(1)?, "", true)?.all(a.text(0)?, 0, 1)?;
        let Some(groups) = found.first() else { return Ok(Cell::Null) };
        // With a group, substring(… from pattern) is the first group.
        let piece = if groups.len() > 1 { groups.get(1) } else { groups.get(0) };
        piece.map_or(Ok(Cell::Null), |m| text(m.as_str()))
    }),
    strict("pg_regexp_match", 2, |a| matches(a, "")),
    strict("pg_regexp_match", 3, |a| matches(a, a.text(2)?)),
    strict("pg_regexp_matches", 2, |a| all_matches(a, "")),
    strict("pg_regexp_matches", 3, |a| all_matches(a, a.text(2)?)),
    strict("pg_regexp_count", 2, |a| {
        let found = extracting(a.text(1)?, "", false)?;
        super::args::count(found.all(a.text(0)?, 0, usize::MAX)?.len())
    }),
    strict("pg_regexp_split", 2, |a| split(a, "")),
    strict("pg_regexp_split", 3, |a| split(a, a.text(2)?)),
];

/// A compiled LIKE pattern.
enum Item {
    Char(char),
    One,
    Many,
}

fn bad_escape() -> Error {
    Error::client(state::INVALID_ESCAPE_SEQUENCE, "LIKE pattern must not end with escape character")
}

fn items(pattern: &str, fold: bool) -> Result<Vec<Item>> {
    let lower = |c| if fold { super::string::lower(c) } else { c };
    let mut out = Vec::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '%' => Item::Many,
            '_' => Item::One,
            '\\' => Item::Char(lower(chars.next().ok_or_else(bad_escape)?)),
            c => Item::Char(lower(c)),
        });
    }
    Ok(out)
}

/// LIKE with `\` as escape character.
pub(super) fn like(value: &str, pattern: &str, fold: bool) -> Result<bool> {
    // The common shapes without wildcards inside need no table.
    if !fold && !pattern.contains(['_', '\\']) {
        let inner = pattern.trim_matches('%');
        if !inner.contains('%') {
            return Ok(match (pattern.starts_with('%'), pattern.ends_with('%')) {
                (true, true) => value.contains(inner),
                (true, false) => value.ends_with(inner),
                (false, true) => value.starts_with(inner),
                (false, false) => value == pattern,
            });
        }
    }
    let items = items(pattern, fold)?;
    let value: Vec<char> = if fold {
        value.chars().map(super::string::lower).collect()
    } else {
        value.chars().collect()
    };
    // Greedy with one step back to the last `%`: linear in practice, bounded by n·m.
    let (mut v, mut p) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while v < value.len() {
        let step = match items.get(p) {
            Some(Item::Many) => {
                back = Some((p, v));
                p += 1;
                continue;
            }
            Some(Item::One) => true,
            Some(Item::Char(c)) => *c == value[v],
            None => false,
        };
        if step {
            v += 1;
            p += 1;
        } else if let Some((star, from)) = back {
            back = Some((star, from + 1));
            p = star + 1;
            v = from + 1;
        } else {
            return Ok(false);
        }
    }
    Ok(items[p..].iter().all(|i| matches!(i, Item::Many)))
}

/// The text every match of a LIKE pattern starts with.
fn literal_prefix(pattern: &str) -> String {
    let mut out = String::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '%' | '_' => break,
            '\\' => match chars.next() {
                Some(c) => out.push(c),
                None => break,
            },
            c => out.push(c),
        }
    }
    out
}

/// A cell above every text with a prefix: the prefix with its last character raised, or a
/// BLOB, which SQLite sorts after all text.
fn after(prefix: &str) -> Cell {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        let next = match u32::from(last) + 1 {
            0xD800..=0xDFFF => 0xE000,
            n => n,
        };
        if let Some(c) = char::from_u32(next) {
            chars.push(c);
            return Cell::Text(chars.into_iter().collect());
        }
    }
    Cell::Blob(Vec::new())
}

fn single(escape: &str) -> Result<Option<char>> {
    let mut chars = escape.chars();
    match (chars.next(), chars.next()) {
        (first, None) => Ok(first),
        _ => Err(Error::client(state::INVALID_ESCAPE_SEQUENCE, "invalid escape string")
            .hint("Escape string must be empty or one character.")),
    }
}

/// A pattern with its own escape character as one with `\`.
fn like_escape(a: &Args<'_>) -> Result<Cell> {
    let escape = single(a.text(1)?)?;
    let mut out = String::new();
    let mut chars = a.text(0)?.chars();
    while let Some(c) = chars.next() {
        if Some(c) == escape {
            let next = chars.next().ok_or_else(bad_escape)?;
            out.push('\\');
            out.push(next);
        } else if c == '\\' {
            out.push_str("\\\\");
        } else {
            out.push(c);
        }
    }
    text(out)
}

/// A SIMILAR TO pattern as a regular expression.
pub(super) fn similar(pattern: &str, escape: Option<char>) -> Result<String> {
    let mut out = "^(?:".to_owned();
    let mut chars = pattern.chars();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        if Some(c) == escape {
            let next = chars.next().ok_or_else(bad_escape)?;
            if next == '"' {
                return Err(Error::unsupported("the escape-double-quote separator"));
            }
            out.push('\\');
            out.push(next);
            continue;
        }
        match c {
            '[' => in_class = true,
            ']' => in_class = false,
            _ => {}
        }
        match c {
            '%' if !in_class => out.push_str(".*"),
            '_' if !in_class => out.push('.'),
            '(' if !in_class => out.push_str("(?:"),
            '\\' | '.' | '^' | '$' if !in_class => {
                out.push('\\');
                out.push(c);
            }
            '\\' => out.push_str("\\\\"),
            c => out.push(c),
        }
    }
    out.push_str(")$");
    Ok(out)
}

thread_local! {
    /// Compiled patterns of this thread; emptied when it grows large.
    static COMPILED: RefCell<HashMap<(String, String), regex::Regex>> =
        RefCell::new(HashMap::new());
    /// Those whose match decides a result, and whether its groups do; emptied likewise.
    static MATCHERS: RefCell<HashMap<(String, String, bool), Matcher>> =
        RefCell::new(HashMap::new());
}

/// A compiled regular expression with PostgreSQL's flags.
pub(super) fn regex(pattern: &str, flags: &str) -> Result<regex::Regex> {
    let key = (pattern.to_owned(), flags.to_owned());
    if let Some(found) = COMPILED.with_borrow(|c| c.get(&key).cloned()) {
        return Ok(found);
    }
    let (translated, flags) = translate(pattern, Flags::read(flags)?)?;
    let built = regex::RegexBuilder::new(&translated)
        .case_insensitive(flags.fold)
        .multi_line(flags.lines)
        .dot_matches_new_line(!flags.lines)
        .ignore_whitespace(flags.extended)
        .size_limit(1 << 22)
        .build()
        .map_err(|e| invalid(&e))?;
    COMPILED.with_borrow_mut(|c| {
        if c.len() >= 256 {
            c.clear();
        }
        c.insert(key, built.clone());
    });
    Ok(built)
}

/// A regular expression whose match, or whose groups, decide a result.
pub(super) fn extracting(pattern: &str, flags: &str, groups: bool) -> Result<Matcher> {
    let key = (pattern.to_owned(), flags.to_owned(), groups);
    if let Some(found) = MATCHERS.with_borrow(|m| m.get(&key).cloned()) {
        return Ok(found);
    }
    let (translated, options) = translate(pattern, Flags::read(flags)?)?;
    let options = syntax::Config::new()
        .case_insensitive(options.fold)
        .multi_line(options.lines)
        .dot_matches_new_line(!options.lines)
        .ignore_whitespace(options.extended);
    let built = Matcher::new(regex(pattern, flags)?, pattern, &translated, options, groups)?;
    MATCHERS.with_borrow_mut(|m| {
        if m.len() >= 256 {
            m.clear();
        }
        m.insert(key, built.clone());
    });
    Ok(built)
}

fn replace(a: &Args<'_>, flags: &str) -> Result<Cell> {
    let limit = if flags.contains('g') { usize::MAX } else { 1 };
    text(replaced(a.text(0)?, a.text(1)?, flags, a.text(2)?, (0, 0), limit)?)
}

/// Text with matches replaced: from a byte on, the nth (0: each up to `limit`).
pub(super) fn replaced(
    s: &str,
    pattern: &str,
    flags: &str,
    written: &str,
    (from, nth): (usize, usize),
    limit: usize,
) -> Result<String> {
    let with = replacement(written);
    let found = extracting(pattern, flags, with.contains("${") && with != "${0}")?;
    let mut out = String::with_capacity(s.len());
    let mut last = 0;
    for (i, captures) in found.all(s, from, limit)?.into_iter().enumerate() {
        let Some(whole) = captures.get(0).filter(|_| nth == 0 || i + 1 == nth) else { continue };
        out.push_str(&s[last..whole.start()]);
        captures.expand(&with, &mut out);
        last = whole.end();
    }
    out.push_str(&s[last..]);
    Ok(out)
}

/// PostgreSQL's replacement text in the `regex` crate's syntax.
pub(super) fn replacement(written: &str) -> String {
    let mut with = String::new();
    let mut chars = written.chars();
    while let Some(c) = chars.next() {
        match c {
            '$' => with.push_str("$$"),
            '\\' => match chars.next() {
                Some('&') => with.push_str("${0}"),
                Some(d @ '1'..='9') => with.push_str(&format!("${{{d}}}")),
                Some('\\') | None => with.push('\\'),
                Some(other) => {
                    with.push('\\');
                    with.push(other);
                }
            },
            c => with.push(c),
        }
    }
    with
}

fn groups(captures: &regex::Captures<'_>) -> Result<Cell> {
    let cell =
        |m: Option<regex::Match<'_>>| m.map_or(Cell::Null, |m| Cell::Text(m.as_str().to_owned()));
    let items: Vec<Cell> = if captures.len() == 1 {
        vec![cell(captures.get(0))]
    } else {
        captures.iter().skip(1).map(cell).collect()
    };
    Ok(Cell::Text(array::encode(items.iter().map(Cell::as_ref))?))
}

fn matches(a: &Args<'_>, flags: &str) -> Result<Cell> {
    if flags.contains('g') {
        return Err(Error::client(
            state::INVALID_PARAMETER_VALUE,
            "regexp_match() does not support the \"global\" option",
        )
        .hint("Use the regexp_matches function instead."));
    }
    let found = extracting(a.text(1)?, flags, true)?.all(a.text(0)?, 0, 1)?;
    found.first().map_or(Ok(Cell::Null), groups)
}

/// The rows of regexp_matches(), as a JSON array of arrays.
fn all_matches(a: &Args<'_>, flags: &str) -> Result<Cell> {
    let found = extracting(a.text(1)?, flags, true)?;
    let limit = if flags.contains('g') { usize::MAX } else { 1 };
    let rows =
        found.all(a.text(0)?, 0, limit)?.iter().map(groups).collect::<Result<Vec<Cell>>>()?;
    Ok(Cell::Text(array::encode(rows.iter().map(Cell::as_ref))?))
}

fn split(a: &Args<'_>, flags: &str) -> Result<Cell> {
    let s = a.text(0)?;
    if flags.contains('g') {
        let message = "regexp_split_to_array() does not support the \"global\" option";
        return Err(Error::client(state::INVALID_PARAMETER_VALUE, message));
    }
    let found = extracting(a.text(1)?, flags, false)?;
    let mut parts = Vec::new();
    let (mut from, mut former) = (0, 0);
    for captures in found.all(s, 0, usize::MAX)? {
        let Some(m) = captures.get(0) else { continue };
        // An empty match at the start, the end or right after a match splits nothing.
        if m.start() < s.len() && m.end() > former {
            parts.push(Cell::Text(s[from..m.start()].to_owned()));
            from = m.end();
        }
        former = m.end();
    }
    parts.push(Cell::Text(s[from..].to_owned()));
    Ok(Cell::Text(array::encode(parts.iter().map(Cell::as_ref))?))
}
