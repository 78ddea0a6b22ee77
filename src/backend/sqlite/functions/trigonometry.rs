//! Trigonometry in degrees and hyperbolic functions, over float8.

use super::args::{Args, real};
use super::{Def, strict};
use crate::error::{Error, Result, state};
use crate::value::Cell;

pub(super) const FUNCTIONS: &[Def] = &[
    strict("pg_sinh", 1, |a| real(a.real(0)?.sinh())),
    strict("pg_cosh", 1, |a| real(a.real(0)?.cosh())),
    strict("pg_tanh", 1, |a| real(a.real(0)?.tanh())),
    strict("pg_sind", 1, |a| real(sine(finite(a)?))),
    strict("pg_cosd", 1, |a| real(cosine(finite(a)?))),
    strict("pg_width_bucket_float", 4, |a| {
        let (x, low, high, n) = (a.real(0)?, a.real(1)?, a.real(2)?, a.int(3)?);
        if n <= 0 {
            return Err(bucket("count must be greater than zero"));
        }
        if !low.is_finite() || !high.is_finite() {
            return Err(bucket("lower and upper bounds must be finite"));
        }
        let n_real = n as f64;
        let at = if low < high {
            match x {
                x if x < low => 0,
                x if x >= high => n + 1,
                x => within(((x - low) / (high - low) * n_real) as i64, n),
            }
        } else if low > high {
            match x {
                x if x > low => 0,
                x if x <= high => n + 1,
                x => within(((low - x) / (low - high) * n_real) as i64, n),
            }
        } else {
            return Err(bucket("lower bound cannot equal upper bound"));
        };
        Ok(Cell::Integer(at))
    }),
];

fn within(at: i64, n: i64) -> i64 {
    at.min(n - 1) + 1
}

fn bucket(message: &'static str) -> Error {
    Error::client(crate::error::SqlState::from_code("2201G"), message)
}

fn finite(a: &Args<'_>) -> Result<f64> {
    let x = a.real(0)?;
    if x.is_finite() {
        return Ok(x);
    }
    Err(Error::client(state::NUMERIC_VALUE_OUT_OF_RANGE, "input is out of range"))
}

/// Exact at multiples of 30 degrees: each branch is scaled by its own value at the end.
fn up_to_30(x: f64) -> f64 {
    x.to_radians().sin() / 30_f64.to_radians().sin() / 2.0
}

fn up_to_60(x: f64) -> f64 {
    let gap = |x: f64| 1.0 - x.to_radians().cos();
    1.0 - gap(x) / gap(60.0) / 2.0
}

fn quadrant_sine(x: f64) -> f64 {
    if x <= 30.0 { up_to_30(x) } else { up_to_60(90.0 - x) }
}

fn sine(x: f64) -> f64 {
    let mut x = x % 360.0;
    let mut sign = 1.0;
    if x < 0.0 {
        (x, sign) = (-x, -sign);
    }
    if x > 180.0 {
        (x, sign) = (360.0 - x, -sign);
    }
    if x > 90.0 {
        x = 180.0 - x;
    }
    sign * quadrant_sine(x)
}

fn cosine(x: f64) -> f64 {
    let mut x = (x % 360.0).abs();
    let mut sign = 1.0;
    if x > 180.0 {
        x = 360.0 - x;
    }
    if x > 90.0 {
        (x, sign) = (180.0 - x, -sign);
    }
    sign * if x <= 60.0 { up_to_60(x) } else { up_to_30(90.0 - x) }
}
