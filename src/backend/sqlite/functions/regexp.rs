//! The regexp_ functions with a start, an occurrence and a group: count, instr, substr,
//! replace, like; and SUBSTRING … SIMILAR.

use super::args::{Args, count, text};
use super::greed::Matcher;
use super::pattern::{extracting, replaced};
use super::{Def, strict};
use crate::error::{Error, Result, state};
use crate::value::Cell;

pub(super) const FUNCTIONS: &[Def] = &[
    // string, pattern, start, flags
    strict("pg_regexp_count", 4, |a| {
        let (s, from) = begin(a, 2)?;
        let found = compiled(a, 1, 3, false, "regexp_count()")?;
        count(found.all(s, from, usize::MAX)?.len())
    }),
    // string, pattern, start, N, endoption, flags, subexpr
    strict("pg_regexp_instr", 7, |a| {
        let (s, from) = begin(a, 2)?;
        let nth = positive(a, 3, "n")?;
        let after = match a.int(4)? {
            0 => false,
            1 => true,
            other => return Err(wrong("endoption", other)),
        };
        let group = group(a, 6)?;
        let found = compiled(a, 1, 5, group > 0, "regexp_instr()")?;
        if group >= found.groups() {
            return Ok(Cell::Integer(0));
        }
        let all = found.all(s, from, nth)?;
        let place = all
            .get(nth - 1)
            .and_then(|c| c.get(group))
            .map(|m| if after { m.end() } else { m.start() });
        count(place.map_or(0, |at| s[..at].chars().count() + 1))
    }),
    // string, pattern, start, N, flags, subexpr
    strict("pg_regexp_substr_nth", 6, |a| {
        let (s, from) = begin(a, 2)?;
        let nth = positive(a, 3, "n")?;
        let group = group(a, 5)?;
        let found = compiled(a, 1, 4, group > 0, "regexp_substr()")?;
        if group >= found.groups() {
            return Ok(Cell::Null);
        }
        let all = found.all(s, from, nth)?;
        let piece = all.get(nth - 1).and_then(|c| c.get(group));
        piece.map_or(Ok(Cell::Null), |m| text(m.as_str()))
    }),
    // string, pattern, replacement, start, N (0: all), flags
    strict("pg_regexp_replace_nth", 6, |a| {
        let (s, from) = begin(a, 3)?;
        let nth = a.int(4)?;
        if nth < 0 {
            return Err(wrong("n", nth));
        }
        let nth = usize::try_from(nth).unwrap_or(0);
        text(replaced(s, a.text(1)?, a.text(5)?, a.text(2)?, (from, nth), usize::MAX)?)
    }),
    strict("pg_substring_similar", 3, similar),
];

fn wrong(name: &str, value: i64) -> Error {
    let message = format!("invalid value for parameter \"{name}\": {value}");
    Error::client(state::INVALID_PARAMETER_VALUE, message)
}

fn positive(a: &Args<'_>, i: usize, name: &str) -> Result<usize> {
    let n = a.int(i)?;
    usize::try_from(n).ok().filter(|n| *n > 0).ok_or_else(|| wrong(name, n))
}

fn group(a: &Args<'_>, i: usize) -> Result<usize> {
    let n = a.int(i)?;
    usize::try_from(n).map_err(|_| wrong("subexpr", n))
}

/// The text, and the byte at which its start-th character begins: behind the end's own place
/// nothing is found, not even an empty match.
fn begin<'a>(a: &'a Args<'_>, i: usize) -> Result<(&'a str, usize)> {
    let s = a.text(0)?;
    let start = positive(a, i, "start")?;
    let mut places = s.char_indices().map(|(at, _)| at).chain([s.len()]);
    let from = places.nth(start - 1).unwrap_or(s.len() + 1);
    Ok((s, from))
}

/// Flags without `g`, which these functions do not take.
pub(super) fn global<'f>(flags: &'f str, name: &str) -> Result<&'f str> {
    if flags.contains('g') {
        let message = format!("{name} does not support the \"global\" option");
        return Err(Error::client(state::INVALID_PARAMETER_VALUE, message));
    }
    Ok(flags)
}

fn compiled(
    a: &Args<'_>,
    pattern: usize,
    flags: usize,
    groups: bool,
    name: &str,
) -> Result<Matcher> {
    extracting(a.text(pattern)?, global(a.text(flags)?, name)?, groups)
}

/// substring(string SIMILAR pattern ESCAPE escape): the part between two escaped quotes.
fn similar(a: &Args<'_>) -> Result<Cell> {
    let (s, pattern, escape) = (a.text(0)?, a.text(1)?, a.text(2)?);
    let quote = format!("{escape}\"");
    let parts: Vec<&str> = pattern.split(&quote).collect();
    let [before, wanted, after] = parts.as_slice() else {
        if parts.len() > 3 {
            let message = "SQL regular expression may not contain more than two \
                           escape-double-quote separators";
            return Err(Error::client(crate::error::SqlState::from_code("2200C"), message));
        }
        return Err(Error::unsupported("this pattern in SUBSTRING … SIMILAR"));
    };
    // Each part is matched as short, long and short as it can be: only parts with nothing
    // to choose are sure to fall as in PostgreSQL.
    if [before, wanted, after].iter().filter(|p| p.contains(['%', '*', '+', '?', '|', '{'])).count()
        > 2
        || [before, after].iter().all(|p| p.contains(['*', '+', '?', '|', '{']))
    {
        return Err(Error::unsupported("this pattern in SUBSTRING … SIMILAR"));
    }
    let escape = escape.chars().next();
    let piece = |p: &str| super::pattern::similar(p, escape);
    let inner = |p: &str| piece(p).map(|r| r[1..r.len() - 1].to_owned());
    let shortest = |p: String| p.replace(".*", ".*?");
    let whole = format!("^{}({}){}$", shortest(inner(before)?), inner(wanted)?, inner(after)?);
    let found = super::pattern::regex(&whole, "")?;
    let captured = found.captures(s).and_then(|c| c.get(1).map(|m| m.as_str().to_owned()));
    captured.map_or(Ok(Cell::Null), text)
}
