//! float4 and float8: overflow, underflow and division by zero are errors; NaN, which SQLite
//! cannot hold as a number, is the text `NaN`.

use super::args::{Args, boolean, real};
use super::{Def, strict};
use crate::error::{Error, Result, SqlState, state};
use crate::value::Cell;

pub(super) const FUNCTIONS: &[Def] = &[
    strict("pg_float8_add", 2, |a| finite(a, |x, y| x + y)),
    strict("pg_float8_sub", 2, |a| finite(a, |x, y| x - y)),
    strict("pg_float8_mul", 2, mul8),
    strict("pg_float8_div", 2, div8),
    strict("pg_float4_add", 2, |a| finite4(a, |x, y| x + y)),
    strict("pg_float4_sub", 2, |a| finite4(a, |x, y| x - y)),
    strict("pg_float4_mul", 2, |a| finite4(a, |x, y| x * y)),
    strict("pg_float4_div", 2, |a| {
        nonzero(a.real(0)?, a.real(1)?)?;
        finite4(a, |x, y| x / y)
    }),
    strict("pg_float4", 1, |a| real(f64::from(narrow(a.real(0)?)?))),
    strict("pg_float8_neg", 1, |a| real(-a.real(0)?)),
    strict("pg_float8_round", 1, |a| real(a.real(0)?.round_ties_even())),
    strict("pg_float8_trunc", 1, |a| real(a.real(0)?.trunc())),
    strict("pg_float8_ceil", 1, |a| real(a.real(0)?.ceil())),
    strict("pg_float8_floor", 1, |a| real(a.real(0)?.floor())),
    strict("pg_float8_abs", 1, |a| real(a.real(0)?.abs())),
    strict("pg_float8_sign", 1, |a| {
        let x = a.real(0)?;
        // NaN is neither, and becomes 0.
        real(if x > 0.0 {
            1.0
        } else if x < 0.0 {
            -1.0
        } else {
            0.0
        })
    }),
    strict("pg_float8_sqrt", 1, |a| {
        let x = a.real(0)?;
        if x < 0.0 {
            return Err(argument("2201F", "cannot take square root of a negative number"));
        }
        real(x.sqrt())
    }),
    strict("pg_float8_cbrt", 1, |a| real(a.real(0)?.cbrt())),
    strict("pg_float8_exp", 1, |a| unary(a, f64::exp)),
    strict("pg_float8_ln", 1, |a| logarithm(a, f64::ln)),
    strict("pg_float8_log10", 1, |a| logarithm(a, f64::log10)),
    strict("pg_float8_power", 2, power),
    strict("pg_float8_sin", 1, |a| unary(a, f64::sin)),
    strict("pg_float8_cos", 1, |a| unary(a, f64::cos)),
    // The poles of tan and cot are infinite, not errors.
    strict("pg_float8_tan", 1, |a| periodic(a, f64::tan)),
    strict("pg_float8_cot", 1, |a| periodic(a, |x| 1.0 / x.tan())),
    strict("pg_float8_asin", 1, |a| unary(a, f64::asin)),
    strict("pg_float8_acos", 1, |a| unary(a, f64::acos)),
    strict("pg_float8_atan", 1, |a| unary(a, f64::atan)),
    strict("pg_float8_atan2", 2, |a| real(a.real(0)?.atan2(a.real(1)?))),
    strict("pg_float8_degrees", 1, |a| unary(a, |x| x / RADIANS_PER_DEGREE)),
    strict("pg_float8_radians", 1, |a| unary(a, |x| x * RADIANS_PER_DEGREE)),
    strict("pg_isinf", 1, |a| boolean(a.real(0)?.is_infinite())),
];

/// One division or multiplication, as in PostgreSQL: the last digit is the same.
const RADIANS_PER_DEGREE: f64 = 0.017_453_292_519_943_295;

fn argument(code: &str, message: &'static str) -> Error {
    Error::client(SqlState::from_code(code), message)
}

/// 22003 for a finite computation that left the finite numbers.
pub(super) fn overflow() -> Error {
    Error::client(state::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: overflow")
}

fn underflow() -> Error {
    Error::client(state::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: underflow")
}

fn nonzero(x: f64, divisor: f64) -> Result<()> {
    if divisor == 0.0 && !x.is_nan() {
        Err(Error::client(state::DIVISION_BY_ZERO, "division by zero"))
    } else {
        Ok(())
    }
}

fn finite(a: &Args<'_>, f: impl Fn(f64, f64) -> f64) -> Result<Cell> {
    let (x, y) = (a.real(0)?, a.real(1)?);
    let z = f(x, y);
    if z.is_infinite() && !x.is_infinite() && !y.is_infinite() {
        return Err(overflow());
    }
    real(z)
}

fn mul8(a: &Args<'_>) -> Result<Cell> {
    let (x, y) = (a.real(0)?, a.real(1)?);
    if x * y == 0.0 && x != 0.0 && y != 0.0 {
        return Err(underflow());
    }
    finite(a, |x, y| x * y)
}

fn div8(a: &Args<'_>) -> Result<Cell> {
    let (x, y) = (a.real(0)?, a.real(1)?);
    nonzero(x, y)?;
    if x / y == 0.0 && x != 0.0 && !y.is_infinite() {
        return Err(underflow());
    }
    finite(a, |x, y| x / y)
}

/// A float8 rounded to float4; 22003 when it does not fit.
pub(super) fn narrow(x: f64) -> Result<f32> {
    let y = x as f32;
    if y.is_infinite() && !x.is_infinite() {
        return Err(overflow());
    }
    if y == 0.0 && x != 0.0 {
        return Err(underflow());
    }
    Ok(y)
}

fn finite4(a: &Args<'_>, f: impl Fn(f32, f32) -> f32) -> Result<Cell> {
    let (x, y) = (a.real(0)? as f32, a.real(1)? as f32);
    let z = f(x, y);
    if z.is_infinite() && !x.is_infinite() && !y.is_infinite() {
        return Err(overflow());
    }
    real(f64::from(z))
}

fn logarithm(a: &Args<'_>, f: impl Fn(f64) -> f64) -> Result<Cell> {
    let x = a.real(0)?;
    if x == 0.0 {
        return Err(argument("2201E", "cannot take logarithm of zero"));
    }
    if x < 0.0 {
        return Err(argument("2201E", "cannot take logarithm of a negative number"));
    }
    real(f(x))
}

fn out_of_domain() -> Error {
    Error::client(state::NUMERIC_VALUE_OUT_OF_RANGE, "input is out of range")
}

fn periodic(a: &Args<'_>, f: impl Fn(f64) -> f64) -> Result<Cell> {
    let x = a.real(0)?;
    if x.is_infinite() { Err(out_of_domain()) } else { real(f(x)) }
}

fn unary(a: &Args<'_>, f: impl Fn(f64) -> f64) -> Result<Cell> {
    let x = a.real(0)?;
    let y = f(x);
    if y.is_nan() && !x.is_nan() {
        return Err(out_of_domain());
    }
    if y.is_infinite() && !x.is_infinite() {
        return Err(overflow());
    }
    real(y)
}

fn power(a: &Args<'_>) -> Result<Cell> {
    let (x, y) = (a.real(0)?, a.real(1)?);
    if x.is_nan() || y.is_nan() {
        return real(x.powf(y));
    }
    if x == 0.0 && y < 0.0 {
        return Err(argument("2201F", "zero raised to a negative power is undefined"));
    }
    if x < 0.0 && y.fract() != 0.0 {
        return Err(argument(
            "2201F",
            "a negative number raised to a non-integer power yields a complex result",
        ));
    }
    let z = x.powf(y);
    if z.is_infinite() && !x.is_infinite() && !y.is_infinite() {
        return Err(overflow());
    }
    if z == 0.0 && x != 0.0 && !x.is_infinite() && !y.is_infinite() {
        return Err(underflow());
    }
    real(z)
}
