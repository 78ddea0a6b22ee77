//! Dates and times: bins, overlaps, ages from today, zones given as intervals.

use super::args::{Args, boolean};
use super::cast::{start_of, to_local, to_utc};
use super::datetime::{
    DAY, age, interval, is_infinite, make_timestamp, out_of_range, timestamp, timestamptz, zone,
};
use super::{Def, lenient, session, strict};
use crate::error::{Error, Result, state};
use crate::value::{Cell, CellRef, datetime, oid};

pub(super) const FUNCTIONS: &[Def] = &[
    strict("pg_date_bin", 3, |a| timestamp(bin(a, a.timestamp(1)?, a.timestamp(2)?)?)),
    strict("pg_date_bin_tz", 3, |a| timestamptz(bin(a, a.timestamptz(1)?, a.timestamptz(2)?)?)),
    strict("pg_age_today", 1, |a| interval(age(today()?, a.timestamp(0)?)?)),
    strict("pg_age_today_tz", 1, |a| {
        let style = &session::current().style;
        interval(age(today()?, to_local(a.timestamptz(0)?, style)?)?)
    }),
    strict("pg_timezone_interval", 2, |a| {
        let (east, t) = (displacement(a)?, a.timestamp(1)?);
        timestamptz(if is_infinite(t) { t } else { t - east })
    }),
    strict("pg_timezone_interval_tz", 2, |a| {
        let (east, t) = (displacement(a)?, a.timestamptz(1)?);
        timestamp(if is_infinite(t) { t } else { t + east })
    }),
    strict("pg_make_timestamptz_zone", 7, |a| {
        let zone = zone(a.text(6)?)?;
        timestamptz(datetime::local_to_utc(&zone, make_timestamp(a)?)?)
    }),
    // Type of the moments, then start and end of both periods.
    lenient("pg_overlaps", 5, overlaps),
    strict("pg_date_time_tz", 2, |a| {
        let (d, t) = (start_of(a.date(0)?)?, a.time(1)?);
        let local = if is_infinite(d) { d } else { d + t };
        timestamptz(to_utc(local, &session::current().style)?)
    }),
];

/// Midnight of the transaction's day, in the session's zone.
fn today() -> Result<i64> {
    let style = &session::current().style;
    let now = style.now.ok_or_else(|| Error::unsupported("the present day here"))?;
    let local = to_local(now, style)?;
    Ok(local - local.rem_euclid(DAY))
}

fn bin(a: &Args<'_>, source: i64, origin: i64) -> Result<i64> {
    let stride = a.interval(0)?;
    if is_infinite(source) {
        return Ok(source);
    }
    if is_infinite(origin) {
        return Err(out_of_range("origin out of range"));
    }
    if stride.months != 0 {
        let message = "timestamps cannot be binned into intervals containing months or years";
        return Err(Error::client(state::FEATURE_NOT_SUPPORTED, message));
    }
    let stride = i64::from(stride.days)
        .checked_mul(DAY)
        .and_then(|d| d.checked_add(stride.micros))
        .ok_or_else(|| out_of_range("interval out of range"))?;
    if stride <= 0 {
        return Err(out_of_range("stride must be greater than zero"));
    }
    let since = source.checked_sub(origin).ok_or_else(|| out_of_range("interval out of range"))?;
    origin
        .checked_add(since.div_euclid(stride).saturating_mul(stride))
        .ok_or_else(|| out_of_range("timestamp out of range"))
}

/// An interval as the displacement of a zone, east of Greenwich.
fn displacement(a: &Args<'_>) -> Result<i64> {
    let span = a.interval(0)?;
    if span.months != 0 || span.days != 0 {
        let mut shown = Vec::new();
        datetime::format_interval(&span, session::current().style.interval_style, &mut shown);
        let message = format!(
            "interval time zone \"{}\" must not include months or days",
            String::from_utf8_lossy(&shown)
        );
        return Err(Error::client(state::INVALID_PARAMETER_VALUE, message));
    }
    // Whole seconds, as zones have.
    Ok(span.micros / 1_000_000 * 1_000_000)
}

fn overlaps(a: &Args<'_>) -> Result<Cell> {
    let kind = a.oid(0)?;
    let read = |i: usize| -> Result<Option<i64>> {
        if matches!(a.cell(i), CellRef::Null) {
            return Ok(None);
        }
        Ok(Some(match kind {
            oid::TIME => a.time(i)?,
            oid::TIMESTAMPTZ => a.timestamptz(i)?,
            _ => a.timestamp(i)?,
        }))
    };
    // A period with one end is that moment; with two, the earlier is the start.
    let period = |from: usize| -> Result<Option<(i64, Option<i64>)>> {
        Ok(match (read(from)?, read(from + 1)?) {
            (None, None) => None,
            (Some(one), None) | (None, Some(one)) => Some((one, None)),
            (Some(x), Some(y)) => Some((x.min(y), Some(x.max(y)))),
        })
    };
    let (Some((s1, e1)), Some((s2, e2))) = (period(1)?, period(3)?) else {
        return Ok(Cell::Null);
    };
    let unknown = Ok(Cell::Null);
    match s1.cmp(&s2) {
        std::cmp::Ordering::Greater => match e2 {
            None => unknown,
            Some(e2) if s1 < e2 => boolean(true),
            Some(_) if e1.is_none() => unknown,
            Some(_) => boolean(false),
        },
        std::cmp::Ordering::Less => match e1 {
            None => unknown,
            Some(e1) if s2 < e1 => boolean(true),
            Some(_) if e2.is_none() => unknown,
            Some(_) => boolean(false),
        },
        std::cmp::Ordering::Equal if e1.is_none() || e2.is_none() => unknown,
        std::cmp::Ordering::Equal => boolean(true),
    }
}
