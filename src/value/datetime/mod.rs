//! Calendar, input, output and arithmetic of dates, times, timestamps and intervals.
//!
//! Owns the proleptic Gregorian calendar, time zones (a bundled database, so that nothing
//! is read from the machine), PostgreSQL's input rules and ISO output. It must never read a
//! clock: `now` in input means `Style::now`. Start at [`parse_timestamp`].

mod abbreviations;
mod arith;
mod decode;
mod fields;
mod interval;
mod interval_output;
mod output;
mod parts;
mod timetz;
mod words;
mod zone;

pub use arith::{
    add_interval, add_interval_tz, age, interval_add, interval_mul, interval_neg, justify_days,
    justify_hours, justify_interval, subtract,
};
pub use interval::parse_interval;
pub use interval_output::format_interval;
pub use output::{
    format_date, format_time, format_timestamp, format_timestamptz, parse_canonical, show_date,
    show_timestamp, show_timestamptz,
};
pub use timetz::{TimeTz, parse_timetz};
pub use zone::{local_to_utc, offset_at, utc_to_local, zone};

use crate::error::{Error, Result, state};
use crate::value::Style;
use decode::{Decoded, Zone, decode};
use parts::{Fail, out_of_range};
use zone::{abbreviation, named_zone};

/// Microseconds of a second.
pub const MICROS_PER_SECOND: i64 = 1_000_000;
/// Microseconds of a day.
pub const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;
/// Seconds from 1970-01-01 to 2000-01-01.
pub const UNIX_TO_EPOCH_SECONDS: i64 = 946_684_800;
/// Julian day number of 2000-01-01.
const JULIAN_OF_EPOCH: i64 = 2_451_545;
/// First timestamp PostgreSQL holds: 4713-11-24 BC.
const MIN_TIMESTAMP: i64 = -211_813_488_000_000_000;
/// First timestamp it does not hold: 294277-01-01.
const END_TIMESTAMP: i64 = 9_223_371_331_200_000_000;
/// First day that a date does not hold: 5874898-01-01.
const END_DATE: i64 = 2_145_031_949;

/// Days since 2000-01-01 of a proleptic Gregorian date. Year 0 is 1 BC; months beyond 1 to
/// 12 carry into the year, days beyond the month into the following ones.
pub fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let months = year * 12 + month - 1;
    let (year, month) = (months.div_euclid(12), months.rem_euclid(12) + 1);
    // Years begin in March, so that a leap day is a year's last.
    let year = year - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 730_425
}

/// Year, month and day of days since 2000-01-01.
pub fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let days = days + 730_425;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year + i64::from(month <= 2), month as u32, day as u32)
}

/// Days of a month.
pub fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Whether a timestamp lies within PostgreSQL's range.
pub fn in_range(micros: i64) -> bool {
    (MIN_TIMESTAMP..END_TIMESTAMP).contains(&micros)
}

/// Reads a date: days since 2000-01-01, `i32::MAX` and `MIN` for the infinities. A time
/// and a zone are read and dropped.
pub fn parse_date(text: &str, style: &Style) -> Result<i32> {
    match decode(text, style, false).map_err(|fail| fail.error("date", text))? {
        Decoded::Infinity => Ok(i32::MAX),
        Decoded::NegInfinity => Ok(i32::MIN),
        Decoded::Moment(day, ..) => {
            if !(-JULIAN_OF_EPOCH..END_DATE).contains(&day) {
                return out_of_range("date", text);
            }
            i32::try_from(day).or_else(|_| out_of_range("date", text))
        }
    }
}

/// Reads a time: microseconds since midnight, 24:00 included. A zone is read and dropped.
pub fn parse_time(text: &str, style: &Style) -> Result<i64> {
    match decode(text, style, true).map_err(|fail| fail.error("time", text))? {
        Decoded::Moment(_, micros, _) => Ok(micros),
        _ => Err(Fail::Format.error("time", text)),
    }
}

/// Reads a timestamp without zone: microseconds since 2000-01-01, `i64::MAX` and `MIN` for
/// the infinities. A zone is read and dropped, as PostgreSQL does.
pub fn parse_timestamp(text: &str, style: &Style) -> Result<i64> {
    match decode(text, style, false).map_err(|fail| fail.error("timestamp", text))? {
        Decoded::Infinity => Ok(i64::MAX),
        Decoded::NegInfinity => Ok(i64::MIN),
        Decoded::Moment(day, micros, _) => moment(day, micros, text),
    }
}

fn moment(day: i64, micros: i64, text: &str) -> Result<i64> {
    day.checked_mul(MICROS_PER_DAY)
        .and_then(|start| start.checked_add(micros))
        .filter(|value| in_range(*value))
        .map_or_else(|| out_of_range("timestamp", text), Ok)
}

/// Reads a timestamp with zone: microseconds since 2000-01-01 UTC, `i64::MAX` and `MIN` for
/// the infinities. Without a zone in the text the session's holds.
pub fn parse_timestamptz(text: &str, style: &Style) -> Result<i64> {
    const NAME: &str = "timestamp with time zone";
    match decode(text, style, false).map_err(|fail| fail.error(NAME, text))? {
        Decoded::Infinity => Ok(i64::MAX),
        Decoded::NegInfinity => Ok(i64::MIN),
        Decoded::Moment(day, micros, zone) => {
            let local = moment(day, micros, text)?;
            let instant = match zone {
                Zone::Offset(east) => Ok(local.saturating_sub(i64::from(east) * MICROS_PER_SECOND)),
                Zone::Session => local_to_utc(&style.timezone, local),
                Zone::Named(zone) => local_to_utc(&zone, local),
            };
            match instant {
                Ok(instant) if in_range(instant) => Ok(instant),
                _ => out_of_range("timestamp", text),
            }
        }
    }
}

/// 22008 `timestamp out of range`.
pub(crate) fn timestamp_out_of_range() -> Error {
    Error::client(state::DATETIME_FIELD_OVERFLOW, "timestamp out of range")
}

#[cfg(test)]
mod tests;
