//! Functions and operators of bit strings.

use super::args::{Args, count, text};
use super::{Def, strict};
use crate::error::{Error, Result, state};
use crate::value::Cell;

pub(super) const FUNCTIONS: &[Def] = &[
    strict("pg_bits_and", 2, |a| pair(a, "AND", |x, y| x && y)),
    strict("pg_bits_or", 2, |a| pair(a, "OR", |x, y| x || y)),
    strict("pg_bits_xor", 2, |a| pair(a, "XOR", |x, y| x != y)),
    strict("pg_bits_not", 1, |a| {
        text(a.text(0)?.bytes().map(|b| if b == b'1' { '0' } else { '1' }).collect::<String>())
    }),
    strict("pg_bits_shl", 2, |a| text(shifted(a.text(0)?, a.int(1)?))),
    strict("pg_bits_shr", 2, |a| text(shifted(a.text(0)?, -a.int(1)?))),
    strict("pg_bits_octets", 1, |a| count(a.text(0)?.len().div_ceil(8))),
    strict("pg_bits_count", 1, |a| count(a.text(0)?.bytes().filter(|b| *b == b'1').count())),
    strict("pg_bits_get", 2, |a| {
        let bits = a.text(0)?;
        let at = place(bits, a.int(1)?)?;
        Ok(Cell::Integer(i64::from(bits.as_bytes()[at] == b'1')))
    }),
    strict("pg_bits_set", 3, |a| {
        let (bits, new) = (a.text(0)?, a.int(2)?);
        let at = place(bits, a.int(1)?)?;
        if !matches!(new, 0 | 1) {
            let message = "new bit must be 0 or 1";
            return Err(Error::client(state::INVALID_PARAMETER_VALUE, message));
        }
        text(format!("{}{new}{}", &bits[..at], &bits[at + 1..]))
    }),
    // pg_bits_from_int(value, from width, length)
    strict("pg_bits_from_int", 3, |a| {
        let (value, width, length) = (a.int(0)?, a.int(1)?, a.int(2)?);
        let length = usize::try_from(length).unwrap_or(1).max(1);
        let bit = |i: usize| {
            let at = length - 1 - i;
            // Beyond the width the sign goes on.
            let at = at.min(usize::try_from(width).unwrap_or(64) - 1);
            if value >> at & 1 == 1 { '1' } else { '0' }
        };
        text((0..length).map(bit).collect::<String>())
    }),
];

fn pair(a: &Args<'_>, name: &str, combine: fn(bool, bool) -> bool) -> Result<Cell> {
    let (x, y) = (a.text(0)?, a.text(1)?);
    if x.len() != y.len() {
        let message = format!("cannot {name} bit strings of different sizes");
        return Err(Error::client(state::STRING_DATA_LENGTH_MISMATCH, message));
    }
    let bits = x.bytes().zip(y.bytes()).map(|(x, y)| combine(x == b'1', y == b'1'));
    text(bits.map(|bit| if bit { '1' } else { '0' }).collect::<String>())
}

/// Moved to the left (or right), zeros coming in; the length stays.
fn shifted(bits: &str, by: i64) -> String {
    let size = usize::try_from(by.unsigned_abs()).unwrap_or(usize::MAX).min(bits.len());
    let zeros = "0".repeat(size);
    if by >= 0 {
        format!("{}{zeros}", &bits[size..])
    } else {
        format!("{zeros}{}", &bits[..bits.len() - size])
    }
}

fn place(bits: &str, at: i64) -> Result<usize> {
    usize::try_from(at).ok().filter(|at| *at < bits.len()).ok_or_else(|| {
        let last = bits.len() as i64 - 1;
        let message = format!("bit index {at} out of valid range (0..{last})");
        Error::client(state::ARRAY_SUBSCRIPT_ERROR, message)
    })
}
