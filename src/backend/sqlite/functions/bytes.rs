//! bytea: searching, trimming, single bytes and bits.

use super::args::{Args, boolean, count};
use super::{Def, strict};
use crate::error::{Error, Result, SqlState, state};
use crate::value::Cell;

pub(super) const FUNCTIONS: &[Def] = &[
    strict("pg_bytea_position", 2, |a| {
        let (needle, hay) = (a.bytes(1)?, a.bytes(0)?);
        if needle.is_empty() {
            return Ok(Cell::Integer(1));
        }
        count(hay.windows(needle.len()).position(|w| w == needle).map_or(0, |i| i + 1))
    }),
    strict("pg_bytea_trim", 3, |a| {
        let (mut bytes, set) = (a.bytes(0)?, a.bytes(1)?);
        // 1: from the left, 2: from the right, 3: from both ends.
        let sides = a.int(2)?;
        while sides & 1 != 0
            && let [first, rest @ ..] = bytes
            && set.contains(first)
        {
            bytes = rest;
        }
        while sides & 2 != 0
            && let [rest @ .., last] = bytes
            && set.contains(last)
        {
            bytes = rest;
        }
        Ok(Cell::Blob(bytes.to_vec()))
    }),
    strict("pg_bytea_overlay", 3, |a| overlay(a, a.bytes(1)?.len() as i64)),
    strict("pg_bytea_overlay", 4, |a| overlay(a, a.int(3)?)),
    strict("pg_bytea_reverse", 1, |a| Ok(Cell::Blob(a.bytes(0)?.iter().rev().copied().collect()))),
    strict("pg_bytea_bit_count", 1, |a| {
        Ok(Cell::Integer(a.bytes(0)?.iter().map(|b| i64::from(b.count_ones())).sum()))
    }),
    strict("pg_get_byte", 2, |a| {
        let (bytes, at) = place(a, 1)?;
        Ok(Cell::Integer(i64::from(bytes[at])))
    }),
    strict("pg_set_byte", 3, |a| {
        let (bytes, at) = place(a, 1)?;
        let mut bytes = bytes.to_vec();
        bytes[at] = (a.int(2)? & 0xff) as u8;
        Ok(Cell::Blob(bytes))
    }),
    strict("pg_get_bit", 2, |a| {
        let (bytes, at) = place(a, 8)?;
        Ok(Cell::Integer(i64::from(bytes[at / 8] >> (at % 8) & 1)))
    }),
    strict("pg_set_bit", 3, |a| {
        let (bytes, at) = place(a, 8)?;
        let mut bytes = bytes.to_vec();
        let bit = 1 << (at % 8);
        match a.int(2)? {
            0 => bytes[at / 8] &= !bit,
            1 => bytes[at / 8] |= bit,
            _ => {
                let message = "new bit must be 0 or 1";
                return Err(Error::client(state::INVALID_PARAMETER_VALUE, message));
            }
        }
        Ok(Cell::Blob(bytes))
    }),
    strict("pg_bytea_length_in", 2, |a| {
        super::format::utf8_only(a.text(1)?)?;
        count(utf8(a.bytes(0)?)?.chars().count())
    }),
    strict("pg_bytea_like", 2, |a| boolean(like(a.bytes(0)?, a.bytes(1)?)?)),
];

/// A 0-based place among the bytes (or bits) of the first argument.
fn place<'a>(a: &'a Args<'_>, per_byte: usize) -> Result<(&'a [u8], usize)> {
    let bytes = a.bytes(0)?;
    let n = a.int(1)?;
    let size = bytes.len() * per_byte;
    match usize::try_from(n).ok().filter(|n| *n < size) {
        Some(n) => Ok((bytes, n)),
        None => {
            let most = size as i64 - 1;
            let message = format!("index {n} out of valid range, 0..{most}");
            Err(Error::client(SqlState(*b"2202E"), message))
        }
    }
}

fn overlay(a: &Args<'_>, length: i64) -> Result<Cell> {
    let (bytes, new, start) = (a.bytes(0)?, a.bytes(1)?, a.int(2)?);
    if start <= 0 {
        let message = "negative substring length not allowed";
        return Err(Error::client(state::SUBSTRING_ERROR, message));
    }
    let clip = |n: i64| usize::try_from(n).unwrap_or(0).min(bytes.len());
    let (head, tail) = (clip(start - 1), clip(start.saturating_add(length).saturating_sub(1)));
    let mut out = bytes[..head].to_vec();
    out.extend_from_slice(new);
    out.extend_from_slice(&bytes[tail..]);
    Ok(Cell::Blob(out))
}

fn utf8(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|e| {
        let rest: Vec<String> = bytes[e.valid_up_to()..]
            .iter()
            .take(e.error_len().unwrap_or(1))
            .map(|b| format!("0x{b:02x}"))
            .collect();
        let message = format!("invalid byte sequence for encoding \"UTF8\": {}", rest.join(" "));
        Error::client(state::CHARACTER_NOT_IN_REPERTOIRE, message)
    })
}

/// A piece of a LIKE pattern over bytes.
enum Item {
    Byte(u8),
    One,
    Many,
}

/// LIKE over bytes, `\` escaping; greedy with one step back to the last `%`.
fn like(value: &[u8], pattern: &[u8]) -> Result<bool> {
    let mut items = Vec::with_capacity(pattern.len());
    let mut bytes = pattern.iter();
    while let Some(byte) = bytes.next() {
        items.push(match byte {
            b'%' => Item::Many,
            b'_' => Item::One,
            b'\\' => match bytes.next() {
                Some(byte) => Item::Byte(*byte),
                None => {
                    let message = "LIKE pattern must not end with escape character";
                    return Err(Error::client(state::INVALID_ESCAPE_SEQUENCE, message));
                }
            },
            byte => Item::Byte(*byte),
        });
    }
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
            Some(Item::Byte(byte)) => *byte == value[v],
            None => false,
        };
        if step {
            (v, p) = (v + 1, p + 1);
        } else if let Some((star, from)) = back {
            back = Some((star, from + 1));
            (p, v) = (star + 1, from + 1);
        } else {
            return Ok(false);
        }
    }
    Ok(items[p..].iter().all(|i| matches!(i, Item::Many)))
}
