//! Amounts and days as the demo's clients bind and read them.
//!
//! Owns two small types in PostgreSQL's binary form, as a driver would have them. They are
//! written from the protocol alone: a proxy that checks itself with its own codecs would not
//! see its own mistakes. Start at [`Money`].

use std::error::Error;
use std::fmt;

use bytes::{BufMut, BytesMut};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked};

type Fault = Box<dyn Error + Sync + Send>;

/// An amount in cents; a `numeric` with two digits after the point on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Money(pub(super) i64);

/// Base of the digits of a numeric on the wire.
const BASE: i64 = 10_000;

impl Money {
    /// Reads `-12.5`, `12`, `12.50`; None when there is more than cents, or no number.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let fraction = fraction.trim_end_matches('0');
        if whole.is_empty() || fraction.len() > 2 {
            return None;
        }
        let cents: i64 = format!("{fraction:0<2}").parse().ok()?;
        let whole: i64 = whole.parse().ok()?;
        let all = whole.checked_mul(100)?.checked_add(cents)?;
        Some(Self(if negative { -all } else { all }))
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let cents = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:02}", cents / 100, cents % 100)
    }
}

impl ToSql for Money {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Fault> {
        let cents = self.0.unsigned_abs();
        let mut whole = cents / 100;
        let mut digits = Vec::new();
        while whole > 0 {
            digits.push(i16::try_from(whole % BASE.unsigned_abs())?);
            whole /= BASE.unsigned_abs();
        }
        let weight = i16::try_from(digits.len())? - 1;
        digits.reverse();
        digits.push(i16::try_from(cents % 100)? * 100);
        out.put_i16(i16::try_from(digits.len())?);
        out.put_i16(weight);
        out.put_u16(if self.0 < 0 { 0x4000 } else { 0 });
        out.put_i16(2);
        digits.iter().for_each(|d| out.put_i16(*d));
        Ok(IsNull::No)
    }

    accepts!(NUMERIC);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for Money {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Fault> {
        let words: Vec<i16> =
            raw.chunks_exact(2).map(|pair| i16::from_be_bytes([pair[0], pair[1]])).collect();
        let [_, weight, sign, _, digits @ ..] = words.as_slice() else {
            return Err("a numeric is shorter than its head".into());
        };
        // Ten-thousandths, so that one digit after the point fits.
        let mut value: i64 = 0;
        for place in 0..=i64::from(*weight) + 1 {
            let digit = usize::try_from(place).ok().and_then(|p| digits.get(p)).copied();
            let next = value.checked_mul(BASE).ok_or("a numeric is out of range")?;
            value = next + i64::from(digit.unwrap_or(0));
        }
        let kept = usize::try_from(i64::from(*weight) + 2).unwrap_or(0);
        if value % 100 != 0 || digits.iter().skip(kept).any(|d| *d != 0) {
            return Err("an amount has more than two digits after the point".into());
        }
        match *sign {
            0 => Ok(Self(value / 100)),
            0x4000 => Ok(Self(-value / 100)),
            _ => Err("an amount is not a finite number".into()),
        }
    }

    accepts!(NUMERIC);
}

/// A day, counted from 2000-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Day(pub(super) i32);

impl ToSql for Day {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Fault> {
        out.put_i32(self.0);
        Ok(IsNull::No)
    }

    accepts!(DATE);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for Day {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Fault> {
        Ok(Self(i32::from_be_bytes(raw.try_into()?)))
    }

    accepts!(DATE);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_survive_the_wire() {
        for cents in [0, 1, 99, 100, 101, 12_345, 1_000_000, 123_456_789_012, -5, -1_000_001] {
            let mut out = BytesMut::new();
            Money(cents).to_sql(&Type::NUMERIC, &mut out).unwrap();
            assert_eq!(Money::from_sql(&Type::NUMERIC, &out).unwrap(), Money(cents), "{cents}");
            assert_eq!(Money::parse(&Money(cents).to_string()), Some(Money(cents)), "{cents}");
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in ["", "x", "1.234", "-"] {
            assert_eq!(Money::parse(text), None, "{text}");
        }
        assert_eq!(Money::parse("7"), Some(Money(700)));
        assert_eq!(Money::parse("7.500"), Some(Money(750)));
        // NaN, and 0.0001.
        assert!(Money::from_sql(&Type::NUMERIC, &[0, 0, 0, 0, 0xc0, 0, 0, 0]).is_err());
        assert!(Money::from_sql(&Type::NUMERIC, &[0, 1, 0xff, 0xff, 0, 0, 0, 4, 0, 1]).is_err());
    }
}
