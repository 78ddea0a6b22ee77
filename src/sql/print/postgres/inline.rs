//! Expressions without a query in them, as PostgreSQL wants them in constraints, defaults,
//! generated columns and indexes.
//!
//! The printers of SQLite's functions name a value once, `(SELECT … v.x … FROM (SELECT value AS x)
//! AS v)`; here the value is put in its places. It must never change what a text says otherwise:
//! what is no such query is refused. Start at [`inline`].

use crate::error::{Error, Result};

/// A longer text is refused: values stand in it once for each place.
const LENGTH_MAX: usize = 20_000;

/// A piece of a text: a word, a string, a space, a sign, or what is between parentheses.
#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Text(String),
    Group(Vec<Piece>),
}

/// The text with every such query put in place; `steady` writes dates and times of fields that
/// PostgreSQL takes for immutable, as it does not take to_char().
///
/// # Errors
/// 0A000 when another query stays in it, or it becomes too long.
pub(super) fn inline(sql: &str, steady: bool) -> Result<String> {
    let mut words = words(sql).into_iter();
    let mut pieces = group(&mut words);
    let mut length = 0;
    settle(&mut pieces, &mut length)?;
    if steady {
        fields(&mut pieces);
    }
    let mut out = String::new();
    write(&pieces, &mut out);
    if has_query(&pieces) {
        return Err(Error::unsupported("a query in such an expression"));
    }
    Ok(out)
}

/// Words, strings and signs of a text.
fn words(sql: &str) -> Vec<&str> {
    let bytes = sql.as_bytes();
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b >= 0x80;
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        match bytes[at] {
            quote @ (b'\'' | b'"') => {
                at += 1;
                // A doubled quote is two strings side by side: nothing is lost by that.
                while at < bytes.len() && bytes[at] != quote {
                    at += 1;
                }
                at = (at + 1).min(bytes.len());
            }
            b if is_word(b) => {
                while at < bytes.len() && is_word(bytes[at]) {
                    at += 1;
                }
            }
            _ => at += 1,
        }
        found.push(&sql[start..at]);
    }
    found
}

/// Pieces until the parenthesis that closes.
fn group<'a>(words: &mut impl Iterator<Item = &'a str>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    while let Some(word) = words.next() {
        match word {
            "(" => pieces.push(Piece::Group(group(words))),
            ")" => break,
            word => pieces.push(Piece::Text(word.to_owned())),
        }
    }
    pieces
}

fn is(piece: Option<&Piece>, word: &str) -> bool {
    matches!(piece, Some(Piece::Text(text)) if text == word)
}

fn is_space(piece: &Piece) -> bool {
    matches!(piece, Piece::Text(text) if text == " ")
}

fn trimmed(mut pieces: &[Piece]) -> &[Piece] {
    while let [first, rest @ ..] = pieces
        && is_space(first)
    {
        pieces = rest;
    }
    while let [rest @ .., last] = pieces
        && is_space(last)
    {
        pieces = rest;
    }
    pieces
}

/// Puts the queries in place, the innermost first.
fn settle(pieces: &mut [Piece], length: &mut usize) -> Result<()> {
    for piece in pieces {
        let Piece::Group(inner) = piece else {
            *length += 1;
            continue;
        };
        settle(inner, length)?;
        if let Some(done) = placed(inner) {
            *length += size(&done);
            *inner = done;
        }
        if *length > LENGTH_MAX {
            return Err(Error::unsupported("an expression that becomes so long"));
        }
    }
    Ok(())
}

fn size(pieces: &[Piece]) -> usize {
    pieces
        .iter()
        .map(|piece| match piece {
            Piece::Text(_) => 1,
            Piece::Group(inner) => size(inner) + 2,
        })
        .sum()
}

/// `SELECT body FROM (SELECT value AS x, …) AS v`, with the values in their places.
fn placed(pieces: &[Piece]) -> Option<Vec<Piece>> {
    let dense: Vec<&Piece> = pieces.iter().filter(|p| !is_space(p)).collect();
    let [first, .., from, Piece::Group(values), word, alias] = dense.as_slice() else {
        return None;
    };
    let shaped = is(Some(first), "SELECT")
        && is(Some(from), "FROM")
        && is(Some(word), "AS")
        && is(Some(alias), "v");
    if !shaped {
        return None;
    }
    let from = pieces.iter().rposition(|p| is(Some(p), "FROM"))?;
    let start = pieces.iter().position(|p| is(Some(p), "SELECT"))?;
    let values = named(values)?;
    let body = trimmed(pieces.get(start + 1..from)?);
    let mut out = Vec::new();
    put(body, &values, &mut out)?;
    Some(out)
}

/// The values and their names: `SELECT a AS x, b AS y`.
fn named(pieces: &[Piece]) -> Option<Vec<(String, Vec<Piece>)>> {
    let start = pieces.iter().position(|p| !is_space(p))?;
    if !is(pieces.get(start), "SELECT") {
        return None;
    }
    let mut found = Vec::new();
    for part in pieces.get(start + 1..)?.split(|p| is(Some(p), ",")) {
        let at = part.iter().rposition(|p| is(Some(p), "AS"))?;
        let name = part.get(at + 1..)?.iter().find(|p| !is_space(p))?;
        let Piece::Text(name) = name else { return None };
        found.push((name.clone(), trimmed(part.get(..at)?).to_vec()));
    }
    Some(found)
}

/// Writes a body with `v.x` replaced.
fn put(body: &[Piece], values: &[(String, Vec<Piece>)], out: &mut Vec<Piece>) -> Option<()> {
    let mut at = 0;
    while let Some(piece) = body.get(at) {
        if is(Some(piece), "v") && is(body.get(at + 1), ".") {
            let Some(Piece::Text(name)) = body.get(at + 2) else { return None };
            let (_, value) = values.iter().find(|(known, _)| known == name)?;
            out.push(match value.as_slice() {
                [whole @ Piece::Group(_)] => whole.clone(),
                value => Piece::Group(value.to_vec()),
            });
            at += 3;
            continue;
        }
        match piece {
            Piece::Group(inner) => {
                let mut done = Vec::new();
                put(inner, values, &mut done)?;
                out.push(Piece::Group(done));
            }
            text @ Piece::Text(_) => out.push(text.clone()),
        }
        at += 1;
    }
    Some(())
}

/// Fields of a pattern of to_char(): its letters, what extract() calls it, digits.
const FIELDS: [(&str, &str, u8); 7] = [
    ("YYYY", "year", 4),
    ("HH24", "hour", 2),
    ("DDD", "doy", 3),
    ("MM", "month", 2),
    ("DD", "day", 2),
    ("MI", "minute", 2),
    ("SS", "second", 2),
];

/// Writes to_char() of plain fields by extract().
fn fields(pieces: &mut Vec<Piece>) {
    let mut at = 0;
    while at < pieces.len() {
        if let Some(Piece::Group(inner)) = pieces.get_mut(at) {
            fields(inner);
        }
        let called = at > 0 && is(pieces.get(at - 1), "to_char");
        let made = match pieces.get(at) {
            Some(Piece::Group(inner)) if called => extracted(inner),
            _ => None,
        };
        if let Some(made) = made {
            pieces.splice(at - 1..=at, [made]);
            continue;
        }
        at += 1;
    }
}

fn extracted(arguments: &[Piece]) -> Option<Piece> {
    let comma = arguments.iter().rposition(|p| is(Some(p), ","))?;
    let moment = trimmed(arguments.get(..comma)?);
    let [Piece::Text(pattern)] = trimmed(arguments.get(comma + 1..)?) else { return None };
    let mut rest = pattern.strip_prefix('\'')?.strip_suffix('\'')?;
    let text = |text: &str| Piece::Text(text.to_owned());
    let mut parts: Vec<Piece> = Vec::new();
    while !rest.is_empty() {
        if !parts.is_empty() {
            parts.push(text(" || "));
        }
        if let Some((letters, name, digits)) = FIELDS.iter().find(|f| rest.starts_with(f.0)) {
            let mut inner = vec![text(name), text(" from ")];
            inner.push(Piece::Group(moment.to_vec()));
            let number = vec![text("extract"), Piece::Group(inner)];
            let whole = vec![text("floor"), Piece::Group(number)];
            let mut padded = whole;
            padded.push(text(&format!("::int4::text, {digits}, '0'")));
            parts.extend([text("lpad"), Piece::Group(padded)]);
            rest = &rest[letters.len()..];
        } else {
            let mark = rest.chars().next().filter(|c| matches!(c, '-' | ':' | ' '))?;
            parts.push(text(&format!("'{mark}'")));
            rest = &rest[mark.len_utf8()..];
        }
    }
    Some(Piece::Group(parts))
}

fn has_query(pieces: &[Piece]) -> bool {
    pieces.iter().any(|piece| match piece {
        Piece::Text(text) => text == "SELECT",
        Piece::Group(inner) => has_query(inner),
    })
}

fn write(pieces: &[Piece], out: &mut String) {
    for piece in pieces {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Group(inner) => {
                out.push('(');
                write(inner, out);
                out.push(')');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_in_their_places() {
        for (sql, wanted) in [
            ("(a + 1)", "(a + 1)"),
            (
                "(SELECT CASE WHEN v.x = 'v.x (' THEN v.x END FROM (SELECT \"v\" AS x) AS v)",
                "(CASE WHEN (\"v\") = 'v.x (' THEN (\"v\") END)",
            ),
            (
                "f((SELECT v.x / v.y FROM (SELECT (SELECT -v.x FROM (SELECT a AS x) AS v) AS x, \
                 CAST(b AS int8) AS y) AS v))",
                "f(((-(a)) / (CAST(b AS int8))))",
            ),
            ("it('''s', E'a\\\\')", "it('''s', E'a\\\\')"),
        ] {
            assert_eq!(inline(sql, false).unwrap(), wanted, "{sql}");
        }
        assert_eq!(
            inline("a || to_char(f(b, c), 'YYYY-MM') || to_char(d, 'IYYY')", true).unwrap(),
            "a || (lpad(floor(extract(year from (f(b, c))))::int4::text, 4, '0') || '-' || \
             lpad(floor(extract(month from (f(b, c))))::int4::text, 2, '0')) || to_char(d, 'IYYY')"
        );
        assert!(inline("(SELECT max(a) FROM t)", false).is_err());
        let mut nested = "a".to_owned();
        for _ in 0..20 {
            nested = format!("(SELECT v.x || v.x FROM (SELECT {nested} AS x) AS v)");
        }
        assert!(inline(&nested, false).is_err());
    }
}
