//! Texts of SQLite's dialect before they are parsed: where statements end, and the form of
//! LIMIT whose order the parser's tree does not tell.
//!
//! It must never change anything within quotes or comments. Start at [`split`].

use std::borrow::Cow;

use super::functions::{AGGREGATE, Function, SCALAR};
use crate::sql::types::tables;

/// Byte ranges of a text's statements, without the semicolons; empty ones are left out.
pub fn split(text: &str) -> Vec<(usize, usize)> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut push = |start: usize, end: usize| {
        let own = &text[start..end];
        let lead = own.len() - own.trim_start().len();
        let trimmed = own.trim();
        if tokens(trimmed).next().is_some() {
            parts.push((start + lead, start + lead + trimmed.len()));
        }
    };
    for token in tokens(text) {
        if token.text == ";" {
            push(start, token.at);
            start = token.at + 1;
        }
    }
    push(start, text.len());
    parts
}

/// One token: a word, a number, a quoted thing or a single character.
#[derive(Clone, Copy, Debug)]
struct Token<'a> {
    at: usize,
    text: &'a str,
}

fn tokens(text: &str) -> Tokens<'_> {
    Tokens { text, at: 0 }
}

struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let bytes = self.text.as_bytes();
        loop {
            let byte = *bytes.get(self.at)?;
            let rest = &bytes[self.at..];
            if byte.is_ascii_whitespace() {
                self.at += 1;
            } else if rest.starts_with(b"--") {
                self.at += rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
            } else if rest.starts_with(b"/*") {
                let end = rest[2..].windows(2).position(|w| w == b"*/");
                self.at += end.map_or(rest.len(), |e| e + 4);
            } else {
                break;
            }
        }
        let at = self.at;
        let byte = bytes[at];
        self.at = match byte {
            b'\'' | b'"' | b'`' => quoted(bytes, at, byte),
            b'[' => quoted(bytes, at, b']'),
            _ if word(byte) => {
                bytes[at..].iter().position(|b| !word(*b)).map_or(bytes.len(), |n| at + n)
            }
            _ => at + 1,
        };
        Some(Token { at, text: self.text.get(at..self.at).unwrap_or("") })
    }
}

fn word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || !byte.is_ascii()
}

/// The end of a quoted thing that begins at `at`; a doubled quote does not end it.
fn quoted(bytes: &[u8], at: usize, close: u8) -> usize {
    let mut i = at + 1;
    while let Some(byte) = bytes.get(i) {
        if *byte == close {
            if close != b']' && bytes.get(i + 1) == Some(&close) {
                i += 2;
                continue;
            }
            return i + 1;
        }
        i += 1;
    }
    bytes.len()
}

/// `LIMIT offset, count` as `LIMIT (count) OFFSET (offset)`.
pub(super) fn offset_last(text: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text);
    // The innermost (last) one first, so that an outer one meets rewritten text.
    let mut before = usize::MAX;
    loop {
        let list: Vec<Token<'_>> = tokens(&text).collect();
        let limit = |t: &&Token<'_>| t.text.eq_ignore_ascii_case("limit") && t.at < before;
        let Some(index) = list.iter().rposition(|t| limit(&t)) else { return text };
        before = list[index].at;
        if let Some(done) = rewritten(&text, &list[index..]) {
            text = Cow::Owned(done);
        }
    }
}

/// The text with this LIMIT turned round, when it has a comma.
fn rewritten(text: &str, list: &[Token<'_>]) -> Option<String> {
    let start = list.first()?.at + "limit".len();
    let (mut depth, mut comma, mut end) = (0_usize, None, text.len());
    for token in &list[1..] {
        match token.text {
            "(" => depth += 1,
            ")" if depth == 0 => {
                end = token.at;
                break;
            }
            ")" => depth -= 1,
            ";" => {
                end = token.at;
                break;
            }
            "," if depth == 0 && comma.is_none() => comma = Some(token.at),
            "," if depth == 0 => return None,
            word if depth == 0 && word.eq_ignore_ascii_case("offset") => return None,
            word if depth == 0 && word.eq_ignore_ascii_case("returning") => {
                end = token.at;
                break;
            }
            _ => {}
        }
    }
    let comma = comma?;
    let (offset, count) = (&text[start..comma], &text[comma + 1..end]);
    Some(format!("{} ({count}\n) OFFSET ({offset}\n) {}", &text[..start], &text[end..]))
}

/// Whether a text calls a function that SQLite has and PostgreSQL does not: whatever else
/// PostgreSQL finds wrong with it, its typing cannot accept it.
pub(crate) fn calls_foreign(text: &str) -> bool {
    const MORE: &[&str] = &[
        "ifnull",
        "iif",
        "likely",
        "unlikely",
        "likelihood",
        "glob",
        "last_insert_rowid",
        "changes",
        "total_changes",
        "sqlite_version",
    ];
    let mut before = "";
    for token in tokens(text) {
        if token.text == "(" && !before.is_empty() {
            let name = before.to_ascii_lowercase();
            let ours = |list: &[Function]| list.iter().any(|f| f.name == name);
            if (MORE.contains(&name.as_str()) || ours(SCALAR) || ours(AGGREGATE))
                && tables().procs(&name).is_empty()
            {
                return true;
            }
        }
        before = token.text;
    }
    false
}

/// Where ADD stands in a text `ALTER TABLE [schema .] name ADD …`.
pub(super) fn word_after_table(text: &str) -> Option<usize> {
    let mut list = tokens(text).skip(2);
    list.next()?;
    let mut next = list.next()?;
    if next.text == "." {
        list.next()?;
        next = list.next()?;
    }
    next.text.eq_ignore_ascii_case("add").then_some(next.at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_at_semicolons_outside_quotes() {
        let text = "a ';' ; /* ; */ b -- ;\n; [c;] `;` ; ; -- nothing";
        let parts: Vec<&str> = split(text).into_iter().map(|(a, b)| &text[a..b]).collect();
        assert_eq!(parts, ["a ';'", "/* ; */ b -- ;", "[c;] `;`"]);
    }

    #[test]
    fn limit_with_a_comma_is_turned_round() {
        let squeeze = |s: &str| s.split_whitespace().collect::<Vec<_>>().join(" ");
        let turned = |s: &str| squeeze(&offset_last(s).replace('(', " ( ").replace(')', " ) "));
        assert_eq!(turned("SELECT 1 LIMIT 5, 10"), "SELECT 1 LIMIT ( 10 ) OFFSET ( 5 )");
        assert_eq!(turned("SELECT 1 LIMIT 5"), "SELECT 1 LIMIT 5");
        assert_eq!(
            turned("SELECT max(1, 2) LIMIT 5 OFFSET 2"),
            "SELECT max ( 1, 2 ) LIMIT 5 OFFSET 2"
        );
        assert_eq!(
            turned("SELECT (SELECT a FROM t LIMIT 1,2), 'LIMIT 3,4' FROM u LIMIT max(1,2), 3"),
            "SELECT ( SELECT a FROM t LIMIT ( 2 ) OFFSET ( 1 ) ) , 'LIMIT 3,4' FROM u LIMIT ( 3 ) \
             OFFSET ( max ( 1,2 ) )"
        );
    }
}
