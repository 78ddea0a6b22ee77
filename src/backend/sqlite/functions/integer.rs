//! Checked integer arithmetic: what SQLite turns into a REAL is 22003 here.

use super::args::Args;
use super::{Def, strict};
use crate::error::{Error, Result, state};
use crate::value::{Cell, CellRef};

pub(super) const FUNCTIONS: &[Def] = &[
    strict("pg_int2", 1, |a| checked(a, i64::from(i16::MIN), i64::from(i16::MAX), "smallint")),
    strict("pg_int4", 1, |a| checked(a, i64::from(i32::MIN), i64::from(i32::MAX), "integer")),
    strict("pg_int8", 1, |a| checked(a, i64::MIN, i64::MAX, "bigint")),
    strict("pg_oid", 1, |a| checked(a, 0, i64::from(u32::MAX), "OID")),
    strict("pg_int_div", 2, |a| {
        let (x, y) = (a.int(0)?, nonzero(a.int(1)?)?);
        x.checked_div(y).map(Cell::Integer).ok_or_else(|| out_of_range("bigint"))
    }),
    strict("pg_int_mod", 2, |a| {
        let (x, y) = (a.int(0)?, nonzero(a.int(1)?)?);
        Ok(Cell::Integer(x.wrapping_rem(y)))
    }),
    strict("pg_int_xor", 2, |a| Ok(Cell::Integer(a.int(0)? ^ a.int(1)?))),
    strict("pg_int_abs", 1, |a| {
        a.int(0)?.checked_abs().map(Cell::Integer).ok_or_else(|| out_of_range("bigint"))
    }),
    // Shift counts wrap at the width, as PostgreSQL's C code does on common machines.
    strict("pg_int4_shl", 2, |a| {
        Ok(Cell::Integer(i64::from((a.int(0)? as i32).wrapping_shl(a.int(1)? as u32))))
    }),
    strict("pg_int4_shr", 2, |a| {
        Ok(Cell::Integer(i64::from((a.int(0)? as i32).wrapping_shr(a.int(1)? as u32))))
    }),
    strict("pg_int2_shl", 2, |a| {
        let wide = (a.int(0)? as i32).wrapping_shl(a.int(1)? as u32);
        Ok(Cell::Integer(i64::from(wide as i16)))
    }),
    strict("pg_int8_shl", 2, |a| Ok(Cell::Integer(a.int(0)?.wrapping_shl(a.int(1)? as u32)))),
    strict("pg_int8_shr", 2, |a| Ok(Cell::Integer(a.int(0)?.wrapping_shr(a.int(1)? as u32)))),
    strict("pg_gcd", 2, |a| {
        let gcd = num_integer::gcd(i128::from(a.int(0)?), i128::from(a.int(1)?));
        i64::try_from(gcd).map(Cell::Integer).map_err(|_| out_of_range("bigint"))
    }),
    strict("pg_lcm", 2, |a| {
        let lcm = num_integer::lcm(i128::from(a.int(0)?), i128::from(a.int(1)?));
        i64::try_from(lcm).map(Cell::Integer).map_err(|_| out_of_range("bigint"))
    }),
    strict("pg_limit", 1, |a| row_count(a, "2201W", "LIMIT")),
    strict("pg_offset", 1, |a| row_count(a, "2201X", "OFFSET")),
];

/// The error of a value outside an integer type.
pub(super) fn out_of_range(name: &'static str) -> Error {
    Error::client(state::NUMERIC_VALUE_OUT_OF_RANGE, format!("{name} out of range"))
}

fn nonzero(divisor: i64) -> Result<i64> {
    if divisor == 0 {
        Err(Error::client(state::DIVISION_BY_ZERO, "division by zero"))
    } else {
        Ok(divisor)
    }
}

fn checked(a: &Args<'_>, min: i64, max: i64, name: &'static str) -> Result<Cell> {
    match a.cell(0) {
        CellRef::Integer(n) if (min..=max).contains(&n) => Ok(Cell::Integer(n)),
        CellRef::Integer(_) | CellRef::Real(_) => Err(out_of_range(name)),
        _ => a.int(0).map(Cell::Integer),
    }
}

fn row_count(a: &Args<'_>, code: &'static str, what: &str) -> Result<Cell> {
    let n = a.int(0)?;
    if n < 0 {
        let state = crate::error::SqlState::from_code(code);
        return Err(Error::client(state, format!("{what} must not be negative")));
    }
    Ok(Cell::Integer(n))
}
