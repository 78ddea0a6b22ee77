//! Operators of time with time zone.

use super::args::{Args, text};
use super::{Def, strict};
use crate::error::{Error, Result, state};
use crate::value::Cell;
use crate::value::datetime::{MICROS_PER_DAY, TimeTz};

pub(super) const FUNCTIONS: &[Def] =
    &[strict("pg_timetz_add", 2, |a| moved(a, 1)), strict("pg_timetz_sub", 2, |a| moved(a, -1))];

/// A time moved by the part of an interval below a day.
fn moved(a: &Args<'_>, sign: i64) -> Result<Cell> {
    let time = TimeTz::read(a.text(0)?).ok_or_else(|| {
        Error::client(state::DATA_CORRUPTED, "stored value does not fit type time with time zone")
    })?;
    let below = a.interval(1)?.micros % MICROS_PER_DAY;
    let micros = (time.micros + sign * below).rem_euclid(MICROS_PER_DAY);
    text(TimeTz { micros, ..time }.text())
}
