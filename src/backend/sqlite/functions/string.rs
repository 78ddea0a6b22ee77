//! Text functions: characters are Unicode code points, as with a UTF-8 database.

use super::args::{Args, count, text};
use super::{Def, lenient, strict};
use crate::error::{Error, Result, state};
use crate::value::{Cell, CellRef};

pub(super) const FUNCTIONS: &[Def] = &[
    strict("pg_lower", 1, |a| text(a.text(0)?.chars().map(lower).collect::<String>())),
    strict("pg_upper", 1, |a| text(a.text(0)?.chars().map(upper).collect::<String>())),
    strict("pg_initcap", 1, initcap),
    strict("pg_length", 1, |a| count(a.text(0)?.chars().count())),
    strict("pg_octet_length", 1, |a| match a.cell(0) {
        CellRef::Blob(b) | CellRef::Text(b) => count(b.len()),
        _ => a.text(0).map(|_| Cell::Null),
    }),
    strict("pg_substr", 2, |a| substr(a, None)),
    strict("pg_substr", 3, |a| substr(a, Some(a.int(2)?))),
    strict("pg_bytea_substr", 2, |a| bytea_substr(a, None)),
    strict("pg_bytea_substr", 3, |a| bytea_substr(a, Some(a.int(2)?))),
    strict("pg_bytea_cat", 2, |a| Ok(Cell::Blob([a.bytes(0)?, a.bytes(1)?].concat()))),
    strict("pg_strpos", 2, |a| {
        let (hay, needle) = (a.text(0)?, a.text(1)?);
        count(hay.find(needle).map_or(0, |at| hay[..at].chars().count() + 1))
    }),
    strict("pg_btrim", 2, |a| text(a.text(0)?.trim_matches(among(a.text(1)?)))),
    strict("pg_ltrim", 2, |a| text(a.text(0)?.trim_start_matches(among(a.text(1)?)))),
    strict("pg_rtrim", 2, |a| text(a.text(0)?.trim_end_matches(among(a.text(1)?)))),
    strict("pg_replace", 3, |a| {
        let (from, to) = (a.text(1)?, a.text(2)?);
        text(if from.is_empty() { a.text(0)?.to_owned() } else { a.text(0)?.replace(from, to) })
    }),
    strict("pg_translate", 3, translate),
    strict("pg_lpad", 3, |a| pad(a, true)),
    strict("pg_rpad", 3, |a| pad(a, false)),
    strict("pg_left", 2, |a| {
        let (s, n) = (a.text(0)?, a.int(1)?);
        let length = s.chars().count() as i64;
        let keep = if n < 0 { (length + n).max(0) } else { n };
        text(s.chars().take(usize::try_from(keep).unwrap_or(0)).collect::<String>())
    }),
    strict("pg_right", 2, |a| {
        let (s, n) = (a.text(0)?, a.int(1)?);
        let length = s.chars().count() as i64;
        let skip = if n < 0 { n.saturating_neg() } else { (length - n).max(0) };
        text(s.chars().skip(usize::try_from(skip).unwrap_or(0)).collect::<String>())
    }),
    strict("pg_split_part", 3, split_part),
    strict("pg_repeat", 2, repeat),
    strict("pg_reverse", 1, |a| text(a.text(0)?.chars().rev().collect::<String>())),
    strict("pg_ascii", 1, |a| {
        Ok(Cell::Integer(a.text(0)?.chars().next().map_or(0, |c| i64::from(u32::from(c)))))
    }),
    strict("pg_chr", 1, chr),
    strict("pg_starts_with", 2, |a| super::args::boolean(a.text(0)?.starts_with(a.text(1)?))),
    strict("pg_overlay", 3, |a| overlay(a, None)),
    strict("pg_overlay", 4, |a| overlay(a, Some(a.int(3)?))),
    lenient("pg_concat", -1, |a| {
        let mut out = String::new();
        for i in 0..a.len() {
            if !a.is_null(i) {
                out.push_str(a.text(i)?);
            }
        }
        text(out)
    }),
    lenient("pg_concat_ws", -1, |a| {
        if a.is_null(0) {
            return Ok(Cell::Null);
        }
        let separator = a.text(0)?;
        let mut parts = Vec::new();
        for i in 1..a.len() {
            if !a.is_null(i) {
                parts.push(a.text(i)?);
            }
        }
        text(parts.join(separator))
    }),
];

/// One character in lower case, as a C library's towlower gives it (never two characters).
pub(super) fn lower(c: char) -> char {
    let mut mapped = c.to_lowercase();
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

pub(super) fn upper(c: char) -> char {
    let mut mapped = c.to_uppercase();
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

fn initcap(a: &Args<'_>) -> Result<Cell> {
    let mut inside = false;
    let mut out = String::new();
    for c in a.text(0)?.chars() {
        out.push(if inside { lower(c) } else { upper(c) });
        inside = c.is_alphanumeric();
    }
    text(out)
}

fn among(set: &str) -> impl Fn(char) -> bool + Copy + '_ {
    move |c| set.contains(c)
}

/// Start and end (exclusive) of `substring(… from start for length)`, 0-based and clipped.
fn window(a: &Args<'_>, length: Option<i64>) -> Result<(usize, usize)> {
    let start = a.int(1)?;
    let end = match length {
        None => i64::MAX,
        Some(n) if n < 0 => {
            return Err(Error::client(
                state::SUBSTRING_ERROR,
                "negative substring length not allowed",
            ));
        }
        Some(n) => start.saturating_add(n),
    };
    let clip = |n: i64| usize::try_from(n - 1).unwrap_or(0);
    Ok((clip(start.max(1)), clip(end.max(1))))
}

fn substr(a: &Args<'_>, length: Option<i64>) -> Result<Cell> {
    let (start, end) = window(a, length)?;
    let s = a.text(0)?;
    text(s.chars().skip(start).take(end.saturating_sub(start)).collect::<String>())
}

fn bytea_substr(a: &Args<'_>, length: Option<i64>) -> Result<Cell> {
    let (start, end) = window(a, length)?;
    let bytes = a.bytes(0)?;
    let end = end.min(bytes.len());
    Ok(Cell::Blob(bytes.get(start.min(end)..end).unwrap_or_default().to_vec()))
}

fn translate(a: &Args<'_>) -> Result<Cell> {
    let (from, to): (Vec<char>, Vec<char>) =
        (a.text(1)?.chars().collect(), a.text(2)?.chars().collect());
    let mapped = a.text(0)?.chars().filter_map(|c| match from.iter().position(|f| *f == c) {
        Some(i) => to.get(i).copied(),
        None => Some(c),
    });
    text(mapped.collect::<String>())
}

const LONGEST: usize = 1 << 30;

fn too_long() -> Error {
    Error::client(state::PROGRAM_LIMIT_EXCEEDED, "requested length too large")
}

fn pad(a: &Args<'_>, left: bool) -> Result<Cell> {
    let (s, fill) = (a.text(0)?, a.text(2)?);
    let width = usize::try_from(a.int(1)?).unwrap_or(0);
    if width > LONGEST / 4 {
        return Err(too_long());
    }
    let length = s.chars().count();
    if length >= width || fill.is_empty() {
        return text(s.chars().take(width).collect::<String>());
    }
    let padding: String = fill.chars().cycle().take(width - length).collect();
    text(if left { padding + s } else { s.to_owned() + &padding })
}

fn split_part(a: &Args<'_>) -> Result<Cell> {
    let (s, separator, n) = (a.text(0)?, a.text(1)?, a.int(2)?);
    if n == 0 {
        return Err(Error::client(
            state::INVALID_PARAMETER_VALUE,
            "field position must not be zero",
        ));
    }
    if separator.is_empty() {
        return text(if n == 1 || n == -1 { s } else { "" });
    }
    let nth = usize::try_from(n.unsigned_abs() - 1).unwrap_or(usize::MAX);
    let part = if n > 0 {
        s.split(separator).nth(nth)
    } else {
        s.split(separator).collect::<Vec<_>>().into_iter().rev().nth(nth)
    };
    text(part.unwrap_or_default())
}

fn repeat(a: &Args<'_>) -> Result<Cell> {
    let (s, n) = (a.text(0)?, usize::try_from(a.int(1)?).unwrap_or(0));
    if s.len().checked_mul(n).is_none_or(|total| total > LONGEST) {
        return Err(too_long());
    }
    text(s.repeat(n))
}

fn chr(a: &Args<'_>) -> Result<Cell> {
    let n = a.int(0)?;
    if n == 0 {
        return Err(Error::client(state::PROGRAM_LIMIT_EXCEEDED, "null character not permitted"));
    }
    let c = u32::try_from(n).ok().and_then(char::from_u32).ok_or_else(|| {
        Error::client(
            state::PROGRAM_LIMIT_EXCEEDED,
            if n < 0 {
                "character number must be positive".to_owned()
            } else {
                format!("requested character too large for encoding: {n}")
            },
        )
    })?;
    text(c)
}

fn overlay(a: &Args<'_>, length: Option<i64>) -> Result<Cell> {
    let (s, new) = (a.text(0)?, a.text(1)?);
    let start = a.int(2)?;
    if start <= 0 {
        return Err(Error::client(state::SUBSTRING_ERROR, "negative substring length not allowed"));
    }
    let length = length.unwrap_or(new.chars().count() as i64);
    let end = start.saturating_add(length).saturating_sub(1).max(0);
    let before: String = s.chars().take(usize::try_from(start - 1).unwrap_or(0)).collect();
    let after: String = s.chars().skip(usize::try_from(end).unwrap_or(0)).collect();
    text(format!("{before}{new}{after}"))
}
