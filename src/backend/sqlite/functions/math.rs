//! Arithmetic and mathematics of numeric.

use super::args::{Args, number};
use super::{Def, lenient, strict};
use crate::error::{Error, Result, SqlState, state};
use crate::value::numeric::Numeric;
use crate::value::{Cell, Datum, oid};

pub(super) const FUNCTIONS: &[Def] = &[
    strict("pg_numeric_add", 2, |a| number(&a.numeric(0)?.add(&a.numeric(1)?)?)),
    strict("pg_numeric_sub", 2, |a| number(&a.numeric(0)?.sub(&a.numeric(1)?)?)),
    strict("pg_numeric_mul", 2, |a| number(&a.numeric(0)?.mul(&a.numeric(1)?)?)),
    strict("pg_numeric_div", 2, |a| number(&a.numeric(0)?.div(&a.numeric(1)?)?)),
    strict("pg_numeric_idiv", 2, |a| number(&a.numeric(0)?.div_trunc(&a.numeric(1)?)?)),
    strict("pg_numeric_mod", 2, |a| number(&a.numeric(0)?.rem(&a.numeric(1)?)?)),
    strict("pg_numeric_neg", 1, |a| number(&a.numeric(0)?.neg())),
    strict("pg_numeric_abs", 1, |a| number(&a.numeric(0)?.abs())),
    strict("pg_numeric_sign", 1, |a| number(&a.numeric(0)?.sign())),
    strict("pg_numeric_round", 2, |a| number(&a.numeric(0)?.round(scale(a)?))),
    strict("pg_numeric_trunc", 2, |a| number(&a.numeric(0)?.trunc(scale(a)?))),
    strict("pg_numeric_ceil", 1, |a| number(&a.numeric(0)?.ceil())),
    strict("pg_numeric_floor", 1, |a| number(&a.numeric(0)?.floor())),
    strict("pg_numeric_sqrt", 1, |a| number(&a.numeric(0)?.sqrt()?)),
    strict("pg_numeric_power", 2, |a| number(&a.numeric(0)?.power(&a.numeric(1)?)?)),
    strict("pg_numeric_exp", 1, |a| number(&a.numeric(0)?.exp()?)),
    strict("pg_numeric_ln", 1, |a| number(&a.numeric(0)?.ln()?)),
    strict("pg_numeric_log", 2, |a| number(&a.numeric(1)?.log(&a.numeric(0)?)?)),
    strict("pg_numeric_scale", 1, |a| {
        Ok(a.numeric(0)?.scale().map_or(Cell::Null, |s| Cell::Integer(i64::from(s))))
    }),
    strict("pg_numeric_min_scale", 1, |a| {
        Ok(a.numeric(0)?.min_scale().map_or(Cell::Null, |s| Cell::Integer(i64::from(s))))
    }),
    strict("pg_numeric_trim_scale", 1, |a| number(&a.numeric(0)?.trim_scale())),
    strict("pg_numeric_gcd", 2, |a| gcd(a).and_then(|n| number(&n))),
    strict("pg_numeric_lcm", 2, |a| lcm(a).and_then(|n| number(&n))),
    strict("pg_factorial", 1, factorial),
    strict("pg_width_bucket", 4, width_bucket),
    lenient("pg_num_nulls", -1, |a| {
        super::args::count((0..a.len()).filter(|i| a.is_null(*i)).count())
    }),
    lenient("pg_num_nonnulls", -1, |a| {
        super::args::count((0..a.len()).filter(|i| !a.is_null(*i)).count())
    }),
    lenient("pg_greatest", -1, |a| extreme(a, true)),
    lenient("pg_least", -1, |a| extreme(a, false)),
];

fn scale(a: &Args<'_>) -> Result<i32> {
    Ok(a.int(1)?.clamp(-16_383, 16_383) as i32)
}

/// The numbers without their signs, and the larger of their scales; None for NaN and infinity.
fn two_plain(a: &Args<'_>) -> Result<Option<(Numeric, Numeric, i32)>> {
    let (x, y) = (a.numeric(0)?.abs(), a.numeric(1)?.abs());
    let (Some(i), Some(j)) = (x.scale(), y.scale()) else { return Ok(None) };
    Ok(Some((x, y, i32::try_from(i.max(j)).unwrap_or(i32::MAX))))
}

fn common(mut x: Numeric, mut y: Numeric) -> Result<Numeric> {
    while !y.is_zero() {
        let rest = x.rem(&y)?;
        x = std::mem::replace(&mut y, rest);
    }
    Ok(x)
}

fn gcd(a: &Args<'_>) -> Result<Numeric> {
    match two_plain(a)? {
        Some((x, y, scale)) => Ok(common(x, y)?.round(scale)),
        None => Numeric::parse("NaN"),
    }
}

fn lcm(a: &Args<'_>) -> Result<Numeric> {
    let Some((x, y, scale)) = two_plain(a)? else { return Numeric::parse("NaN") };
    if x.is_zero() || y.is_zero() {
        return Ok(Numeric::zero().round(scale));
    }
    let divisor = common(x.clone(), y.clone())?;
    Ok(x.div_trunc(&divisor)?.mul(&y)?.round(scale))
}

fn factorial(a: &Args<'_>) -> Result<Cell> {
    let n = a.int(0)?;
    if n < 0 {
        return Err(Error::client(
            state::NUMERIC_VALUE_OUT_OF_RANGE,
            "factorial of a negative number is undefined",
        ));
    }
    if n > 32_177 {
        return Err(Error::client(
            state::NUMERIC_VALUE_OUT_OF_RANGE,
            "value overflows numeric format",
        ));
    }
    let product = (2..=n).fold(num_bigint::BigInt::from(1), |p, i| p * i);
    Ok(Cell::Text(product.to_string()))
}

fn width_bucket(a: &Args<'_>) -> Result<Cell> {
    let (x, low, high) = (a.numeric(0)?, a.numeric(1)?, a.numeric(2)?);
    let count = a.int(3)?;
    let refuse = |m: &'static str| Err(Error::client(SqlState::from_code("2201G"), m));
    if count <= 0 {
        return refuse("count must be greater than zero");
    }
    if low == high {
        return refuse("lower bound cannot equal upper bound");
    }
    if x.is_nan() || low.is_nan() || high.is_nan() {
        return refuse("operand, lower bound, and upper bound cannot be NaN");
    }
    let (before, after) = if low < high { (x < low, x >= high) } else { (x > low, x <= high) };
    if before {
        return Ok(Cell::Integer(0));
    }
    if after {
        return Ok(Cell::Integer(count + 1));
    }
    let part = x.sub(&low)?.mul(&Numeric::from(count))?;
    let whole = part.div_trunc(&high.sub(&low)?)?.to_i64()?;
    Ok(Cell::Integer(whole + 1))
}

/// GREATEST and LEAST: NULLs do not count.
fn extreme(a: &Args<'_>, greatest: bool) -> Result<Cell> {
    let type_oid = a.oid(0)?;
    let mut best: Option<(Cell, usize)> = None;
    for i in 1..a.len() {
        if a.is_null(i) {
            continue;
        }
        let key = super::key::comparable(a.cell(i), type_oid)?;
        let better = best.as_ref().is_none_or(|(b, _)| {
            let order = super::key::compare(&key, b);
            if greatest { order.is_gt() } else { order.is_lt() }
        });
        if better {
            best = Some((key, i));
        }
    }
    Ok(best.map_or(Cell::Null, |(_, i)| super::args::owned(a.cell(i))))
}

/// A value's numeric, whatever number type it has.
pub(super) fn to_numeric(datum: &Datum) -> Result<Numeric> {
    match datum {
        Datum::Int(n) => Ok(Numeric::from(*n)),
        Datum::Numeric(n) => Ok(n.clone()),
        Datum::Float4(x) => Ok(Numeric::cast_f32(*x)),
        Datum::Float8(x) => Ok(Numeric::cast_f64(*x)),
        _ => Err(Error::internal(format!("not a number (type {})", oid::NUMERIC))),
    }
}
