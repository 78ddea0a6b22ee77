//! `numeric`: arbitrary-precision decimals by PostgreSQL's rules.
//!
//! Owns [`Numeric`], its text form, order and conversions; arithmetic is in `arith`,
//! roots, powers and logarithms in `math`. A value must never go through a float unless
//! a float is what was asked for. Start at [`Numeric`].

mod arith;
mod math;
mod order;

use std::fmt;

use num_bigint::{BigInt, BigUint};
use num_integer::Integer;
use num_traits::{Signed, ToPrimitive, Zero};

use super::{oid, type_name};
use crate::error::{Error, Result, state};

/// Digits that PostgreSQL can hold before the decimal point.
const MAX_INTEGER_DIGITS: i64 = 131_072;
/// Digits that PostgreSQL can hold after the decimal point.
const MAX_SCALE: u32 = 16_383;

/// NaN, an infinity, or `unscaled * 10^-scale`.
#[derive(Clone, Debug)]
pub enum Numeric {
    /// Not a number; equal to itself and greater than everything.
    NaN,
    /// Positive infinity.
    Infinity,
    /// Negative infinity.
    NegInfinity,
    /// `unscaled * 10^-scale`
    Finite(BigInt, u32),
}

/// 10^n
pub(super) fn pow10(n: u32) -> BigInt {
    match 10u64.checked_pow(n) {
        Some(p) => BigInt::from(p),
        None => BigInt::from(10u32).pow(n),
    }
}

/// Decimal digits of a magnitude; 0 for zero.
fn digit_count(n: &BigUint) -> i64 {
    if n.is_zero() {
        return 0;
    }
    if let Some(small) = n.to_u128() {
        return i64::from(small.ilog10()) + 1;
    }
    // The estimate from the bit length is at most one off.
    let estimate = ((n.bits() - 1) as f64 * std::f64::consts::LOG10_2) as u32;
    let power = BigUint::from(10u32).pow(estimate);
    if *n < power {
        i64::from(estimate)
    } else if *n < power * 10u32 {
        i64::from(estimate) + 1
    } else {
        i64::from(estimate) + 2
    }
}

fn overflow() -> Error {
    Error::client(state::NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format")
}

impl Numeric {
    /// Zero with scale 0.
    pub fn zero() -> Self {
        Self::Finite(BigInt::zero(), 0)
    }

    /// A decimal from its parts; 22003 beyond PostgreSQL's limits.
    pub fn finite(unscaled: BigInt, scale: u32) -> Result<Self> {
        // 10^131072 has 435 412 bits: below that no digit need be counted.
        let over = scale > MAX_SCALE
            || (unscaled.bits() > 435_000
                && digit_count(unscaled.magnitude()) - i64::from(scale) > MAX_INTEGER_DIGITS);
        if over { Err(overflow()) } else { Ok(Self::Finite(unscaled, scale)) }
    }

    /// Reads numeric input text; 22P02 for bad syntax, 22003 beyond the limits.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = || {
            Error::client(
                state::INVALID_TEXT_REPRESENTATION,
                format!("invalid input syntax for type numeric: \"{text}\""),
            )
        };
        let body = text.trim_matches(super::text::is_space);
        let lower = body.to_ascii_lowercase();
        match lower.as_str() {
            "nan" => return Ok(Self::NaN),
            "infinity" | "inf" | "+infinity" | "+inf" => return Ok(Self::Infinity),
            "-infinity" | "-inf" => return Ok(Self::NegInfinity),
            _ => {}
        }
        let (negative, body) = match body.as_bytes().first() {
            Some(b'-') => (true, &body[1..]),
            Some(b'+') => (false, &body[1..]),
            _ => (false, body),
        };
        let (mantissa, exponent) = match body.find(['e', 'E']) {
            Some(at) => (&body[..at], parse_exponent(&body[at + 1..]).ok_or_else(bad)?),
            None => (body, Some(0)),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction)
        {
            return Err(bad());
        }
        let exponent = exponent.ok_or_else(overflow)?;
        Self::from_digits(negative, whole, fraction, exponent)
    }

    fn from_digits(negative: bool, whole: &str, fraction: &str, exponent: i64) -> Result<Self> {
        let scale = (fraction.len() as i64 - exponent).max(0);
        let lead = whole.trim_start_matches('0');
        let zero = lead.is_empty() && fraction.bytes().all(|b| b == b'0');
        let integer_digits = if lead.is_empty() {
            let zeros = fraction.len() - fraction.trim_start_matches('0').len();
            exponent - zeros as i64
        } else {
            lead.len() as i64 + exponent
        };
        if scale > i64::from(MAX_SCALE) || (!zero && integer_digits > MAX_INTEGER_DIGITS) {
            return Err(overflow());
        }
        let scale = scale as u32;
        if zero {
            return Ok(Self::Finite(BigInt::zero(), scale));
        }
        let mut unscaled = if lead.len() + fraction.len() <= 18 {
            let digits = lead.bytes().chain(fraction.bytes());
            BigInt::from(digits.fold(0u64, |n, d| n * 10 + u64::from(d - b'0')))
        } else {
            let mut digits = Vec::with_capacity(lead.len() + fraction.len());
            digits.extend_from_slice(lead.as_bytes());
            digits.extend_from_slice(fraction.as_bytes());
            BigInt::parse_bytes(&digits, 10).ok_or_else(overflow)?
        };
        let shift = exponent - fraction.len() as i64;
        if shift > 0 {
            unscaled *= pow10(shift as u32);
        }
        Ok(Self::Finite(if negative { -unscaled } else { unscaled }, scale))
    }

    /// The shortest decimal that reads back as the same float; what a stored REAL means.
    pub fn from_f64(value: f64) -> Self {
        Self::from_float_text(value, &format!("{value:e}"))
    }

    /// The same, but an integer beyond 53 and within 64 bits digit by digit: what is kept in a REAL
    /// because it did not fit an INTEGER.
    pub fn from_whole_f64(value: f64) -> Self {
        const EXACT: f64 = 9_007_199_254_740_992.0;
        const WIDEST: f64 = 18_446_744_073_709_551_616.0;
        match value.fract() == 0.0 && (EXACT..=WIDEST).contains(&value.abs()) {
            true => Self::from_float_text(value, &format!("{value:.0}")),
            false => Self::from_f64(value),
        }
    }

    /// The shortest decimal that reads back as the same float4.
    pub fn from_f32(value: f32) -> Self {
        Self::from_float_text(f64::from(value), &format!("{value:e}"))
    }

    /// The cast float8 → numeric: 15 significant digits.
    pub fn cast_f64(value: f64) -> Self {
        Self::from_float_text(value, &format!("{value:.14e}"))
    }

    /// The cast float4 → numeric: 6 significant digits.
    pub fn cast_f32(value: f32) -> Self {
        Self::from_float_text(f64::from(value), &format!("{value:.5e}"))
    }

    fn from_float_text(value: f64, text: &str) -> Self {
        if value.is_nan() {
            Self::NaN
        } else if value.is_infinite() {
            if value > 0.0 { Self::Infinity } else { Self::NegInfinity }
        } else {
            // A finite double has fewer digits than any limit.
            Self::parse(text).unwrap_or(Self::NaN).trim_scale()
        }
    }

    /// The nearest float8; 22003 when out of range.
    pub fn to_f64(&self) -> Result<f64> {
        match self {
            Self::NaN => Ok(f64::NAN),
            Self::Infinity => Ok(f64::INFINITY),
            Self::NegInfinity => Ok(f64::NEG_INFINITY),
            Self::Finite(..) => super::text::float::parse_f64(&self.to_string()),
        }
    }

    /// The nearest float4; 22003 when out of range.
    pub fn to_f32(&self) -> Result<f32> {
        match self {
            Self::NaN => Ok(f32::NAN),
            Self::Infinity => Ok(f32::INFINITY),
            Self::NegInfinity => Ok(f32::NEG_INFINITY),
            Self::Finite(..) => super::text::float::parse_f32(&self.to_string()),
        }
    }

    /// Rounded half away from zero to bigint; 22003, or 0A000 for NaN and the infinities.
    pub fn to_i64(&self) -> Result<i64> {
        self.to_integer(oid::INT8)
    }

    /// Rounded half away from zero to int2, int4 or int8 (by OID), with their messages.
    pub fn to_integer(&self, integer: u32) -> Result<i64> {
        let name = type_name(integer);
        let special = |what: &str| {
            Error::client(state::FEATURE_NOT_SUPPORTED, format!("cannot convert {what} to {name}"))
        };
        let rounded = match self {
            Self::NaN => return Err(special("NaN")),
            Self::Infinity | Self::NegInfinity => return Err(special("infinity")),
            Self::Finite(n, 0) => n.to_i64(),
            Self::Finite(n, s) => arith::divide_rounded(n, &pow10(*s)).to_i64(),
        };
        let fits = |v: &i64| match integer {
            oid::INT2 => i16::try_from(*v).is_ok(),
            oid::INT4 => i32::try_from(*v).is_ok(),
            _ => true,
        };
        rounded.filter(fits).ok_or_else(|| {
            Error::client(state::NUMERIC_VALUE_OUT_OF_RANGE, format!("{name} out of range"))
        })
    }

    /// The exact value times 10^scale when that is an i64; `None` otherwise.
    pub fn to_scaled(&self, scale: u32) -> Option<i64> {
        let Self::Finite(n, s) = self else { return None };
        if *s <= scale {
            return (n * pow10(scale - s)).to_i64();
        }
        let (quotient, rest) = n.div_rem(&pow10(s - scale));
        if rest.is_zero() { quotient.to_i64() } else { None }
    }

    /// The number as `unscaled * 10^-scale` without a zero at its end behind the point; `None`
    /// when that does not fit, and for what is no number.
    pub fn to_reduced(&self) -> Option<(i64, u32)> {
        let Self::Finite(n, scale) = self else { return None };
        let (mut scale, ten) = (*scale, 10);
        if let Some(mut small) = n.to_i64() {
            while scale > 0 && small % ten == 0 {
                small /= ten;
                scale = if small == 0 { 0 } else { scale - 1 };
            }
            return Some((small, scale));
        }
        let (mut n, ten) = (n.clone(), BigInt::from(ten));
        while scale > 0 {
            let (quotient, rest) = n.div_rem(&ten);
            if !rest.is_zero() {
                break;
            }
            (n, scale) = (quotient, scale - 1);
        }
        Some((n.to_i64()?, scale))
    }

    /// Display scale; `None` for NaN and the infinities.
    pub fn scale(&self) -> Option<u32> {
        match self {
            Self::Finite(_, s) => Some(*s),
            _ => None,
        }
    }

    /// Least scale that holds the value; `None` for NaN and the infinities.
    pub fn min_scale(&self) -> Option<u32> {
        self.trim_scale().scale()
    }

    /// Without trailing zeros of the fraction.
    #[must_use]
    pub fn trim_scale(&self) -> Self {
        let Self::Finite(n, s) = self else { return self.clone() };
        if n.is_zero() {
            return Self::zero();
        }
        let (mut n, mut s) = (n.clone(), *s);
        let ten = BigInt::from(10u32);
        while s > 0 {
            let (quotient, rest) = n.div_rem(&ten);
            if !rest.is_zero() {
                break;
            }
            n = quotient;
            s -= 1;
        }
        Self::Finite(n, s)
    }

    /// Rounds to `numeric(p, s)`; 22003 `numeric field overflow`.
    pub fn with_typmod(&self, precision: u32, scale: i32) -> Result<Self> {
        let error = |rest: String| {
            Error::client(state::NUMERIC_VALUE_OUT_OF_RANGE, "numeric field overflow")
                .detail(format!("A field with precision {precision}, scale {scale} {rest}"))
        };
        match self {
            Self::NaN => Ok(Self::NaN),
            Self::Infinity | Self::NegInfinity => {
                Err(error("cannot hold an infinite value.".into()))
            }
            Self::Finite(..) => {
                let rounded = self.round(scale);
                let Self::Finite(n, s) = &rounded else { return Ok(rounded) };
                let whole = i64::from(precision) - i64::from(scale);
                if !n.is_zero() && digit_count(n.magnitude()) - i64::from(*s) > whole {
                    let bound = if whole == 0 { "1".to_owned() } else { format!("10^{whole}") };
                    return Err(error(format!(
                        "must round to an absolute value less than {bound}."
                    )));
                }
                Ok(rounded)
            }
        }
    }

    /// Whether this is NaN.
    pub fn is_nan(&self) -> bool {
        matches!(self, Self::NaN)
    }

    /// Whether this is zero.
    pub fn is_zero(&self) -> bool {
        matches!(self, Self::Finite(n, _) if n.is_zero())
    }

    /// Whether this is below zero, the negative infinity included.
    pub fn is_negative(&self) -> bool {
        match self {
            Self::Finite(n, _) => n.is_negative(),
            Self::NegInfinity => true,
            _ => false,
        }
    }
}

/// A decimal exponent: outer `None` for bad syntax, inner for one beyond any limit.
#[allow(clippy::option_option)]
fn parse_exponent(text: &str) -> Option<Option<i64>> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(text.parse::<i64>().ok().filter(|e| e.abs() < i64::from(i32::MAX / 2)))
}

impl fmt::Display for Numeric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (n, scale) = match self {
            Self::NaN => return f.write_str("NaN"),
            Self::Infinity => return f.write_str("Infinity"),
            Self::NegInfinity => return f.write_str("-Infinity"),
            Self::Finite(n, 0) => return write!(f, "{n}"),
            Self::Finite(n, s) => (n, *s as usize),
        };
        if n.is_negative() {
            f.write_str("-")?;
        }
        let digits = n.magnitude().to_string();
        if digits.len() > scale {
            let (whole, fraction) = digits.split_at(digits.len() - scale);
            write!(f, "{whole}.{fraction}")
        } else {
            write!(f, "0.{digits:0>scale$}")
        }
    }
}

impl From<i64> for Numeric {
    fn from(value: i64) -> Self {
        Self::Finite(value.into(), 0)
    }
}

impl From<i128> for Numeric {
    fn from(value: i128) -> Self {
        Self::Finite(value.into(), 0)
    }
}

impl std::str::FromStr for Numeric {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self> {
        Self::parse(s)
    }
}

#[cfg(test)]
mod tests;
