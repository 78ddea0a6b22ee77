//! Operators of time with time zone.

use super::args::{Args, text};
use super::cast::start_of;
use super::datetime::{is_infinite, timestamptz};
use super::{Def, strict};
use crate::error::{Error, Result, state};
use crate::value::Cell;
use crate::value::datetime::{MICROS_PER_DAY, MICROS_PER_SECOND, TimeTz};

pub(super) const FUNCTIONS: &[Def] = &[
    strict("pg_timetz_add", 2, |a| moved(a, 1)),
    strict("pg_timetz_sub", 2, |a| moved(a, -1)),
    strict("pg_date_timetz", 2, |a| {
        let (day, time) = (start_of(a.date(0)?)?, read(a, 1)?);
        let east = i64::from(time.east) * MICROS_PER_SECOND;
        timestamptz(if is_infinite(day) { day } else { day + time.micros - east })
    }),
];

fn read(a: &Args<'_>, i: usize) -> Result<TimeTz> {
    TimeTz::read(a.text(i)?).ok_or_else(|| {
        Error::client(state::DATA_CORRUPTED, "stored value does not fit type time with time zone")
    })
}

/// A time moved by the part of an interval below a day.
fn moved(a: &Args<'_>, sign: i64) -> Result<Cell> {
    let time = read(a, 0)?;
    let below = a.interval(1)?.micros % MICROS_PER_DAY;
    let micros = (time.micros + sign * below).rem_euclid(MICROS_PER_DAY);
    text(TimeTz { micros, ..time }.text())
}
