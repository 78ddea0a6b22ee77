//! Dates, times, timestamps and intervals: arithmetic, parts, truncation, construction.

use super::args::{Args, boolean, logical};
use super::cast::{start_of, to_local, to_utc};
use super::{Def, session, strict, volatile};
use crate::error::{Error, Result, state};
use crate::value::{Cell, Datum, Interval, datetime, oid};

/// Microseconds of a day.
pub(super) const DAY: i64 = 86_400_000_000;
pub(super) const HOUR: i64 = 3_600_000_000;
pub(super) const MINUTE: i64 = 60_000_000;
pub(super) const SECOND: i64 = 1_000_000;
/// Days from 1970-01-01 to 2000-01-01.
pub(super) const EPOCH_DAYS: i64 = 10_957;

pub(super) const FUNCTIONS: &[Def] = &[
    volatile("pg_clock_timestamp", 0, |_| match session::current().clock.as_ref() {
        Some(watch) => logical(&Datum::Timestamptz(watch.0.postgres_micros()), oid::TIMESTAMPTZ),
        None => Err(Error::unsupported("clock_timestamp() here")),
    }),
    // The start of the session's transaction.
    strict("pg_now", 0, |_| match session::current().style.now {
        Some(micros) => timestamptz(micros),
        None => Err(Error::internal("no transaction is known to a function")),
    }),
    strict("pg_date_add", 2, |a| {
        let (d, n) = (a.date(0)?, a.int(1)?);
        date(add_days(d, n)?)
    }),
    strict("pg_date_sub", 2, |a| {
        let (d, n) = (a.date(0)?, a.int(1)?);
        date(add_days(d, -n)?)
    }),
    strict("pg_date_diff", 2, |a| {
        let (x, y) = (a.date(0)?, a.date(1)?);
        if infinite_date(x) || infinite_date(y) {
            return Err(out_of_range("cannot subtract infinite dates"));
        }
        Ok(Cell::Integer(i64::from(x) - i64::from(y)))
    }),
    strict("pg_date_time", 2, |a| {
        let (d, t) = (start_of(a.date(0)?)?, a.time(1)?);
        timestamp(if is_infinite(d) { d } else { d + t })
    }),
    strict("pg_date_interval_add", 2, |a| timestamp(plus(start_of(a.date(0)?)?, a.interval(1)?)?)),
    strict("pg_date_interval_sub", 2, |a| {
        timestamp(plus(start_of(a.date(0)?)?, negated(a.interval(1)?)?)?)
    }),
    strict("pg_timestamp_add", 2, |a| timestamp(plus(a.timestamp(0)?, a.interval(1)?)?)),
    strict("pg_timestamp_sub", 2, |a| timestamp(plus(a.timestamp(0)?, negated(a.interval(1)?)?)?)),
    strict("pg_timestamptz_add", 2, |a| timestamptz(plus_tz(a.timestamptz(0)?, a.interval(1)?)?)),
    strict("pg_timestamptz_sub", 2, |a| {
        timestamptz(plus_tz(a.timestamptz(0)?, negated(a.interval(1)?)?)?)
    }),
    strict("pg_timestamp_diff", 2, |a| difference(a.timestamp(0)?, a.timestamp(1)?)),
    strict("pg_timestamptz_diff", 2, |a| difference(a.timestamptz(0)?, a.timestamptz(1)?)),
    strict("pg_time_add", 2, |a| {
        time((a.time(0)? + a.interval(1)?.micros.rem_euclid(DAY)).rem_euclid(DAY))
    }),
    strict("pg_time_sub", 2, |a| {
        time((a.time(0)? - a.interval(1)?.micros.rem_euclid(DAY)).rem_euclid(DAY))
    }),
    strict("pg_time_diff", 2, |a| {
        interval(Interval { months: 0, days: 0, micros: a.time(0)? - a.time(1)? })
    }),
    strict("pg_interval_add", 2, |a| interval(sum(a.interval(0)?, a.interval(1)?)?)),
    strict("pg_interval_sub", 2, |a| interval(sum(a.interval(0)?, negated(a.interval(1)?)?)?)),
    strict("pg_interval_neg", 1, |a| interval(negated(a.interval(0)?)?)),
    strict("pg_interval_mul", 2, |a| {
        let by = a.real(1)?;
        interval(scaled(a.interval(0)?, |x| x * by)?)
    }),
    strict("pg_interval_div", 2, |a| {
        let by = a.real(1)?;
        if by == 0.0 {
            return Err(Error::client(state::DIVISION_BY_ZERO, "division by zero"));
        }
        interval(scaled(a.interval(0)?, |x| x / by)?)
    }),
    strict("pg_justify_hours", 1, |a| interval(justify(a.interval(0)?, true, false))),
    strict("pg_justify_days", 1, |a| interval(justify(a.interval(0)?, false, true))),
    strict("pg_justify_interval", 1, |a| interval(justify_all(a.interval(0)?))),
    strict("pg_age", 2, |a| interval(age(a.timestamp(0)?, a.timestamp(1)?)?)),
    strict("pg_age_tz", 2, |a| {
        let style = &session::current().style;
        interval(age(to_local(a.timestamptz(0)?, style)?, to_local(a.timestamptz(1)?, style)?)?)
    }),
    strict("pg_timezone_tz", 2, |a| {
        let (zone, t) = (zone(a.text(0)?)?, a.timestamptz(1)?);
        timestamp(if is_infinite(t) { t } else { datetime::utc_to_local(&zone, t)? })
    }),
    strict("pg_timezone", 2, |a| {
        let (zone, t) = (zone(a.text(0)?)?, a.timestamp(1)?);
        timestamptz(if is_infinite(t) { t } else { datetime::local_to_utc(&zone, t)? })
    }),
    strict("pg_make_date", 3, |a| date(make_date(a.int(0)?, a.int(1)?, a.int(2)?)?)),
    strict("pg_make_time", 3, |a| time(make_time(a.int(0)?, a.int(1)?, a.real(2)?)?)),
    strict("pg_make_timestamp", 6, |a| timestamp(make_timestamp(a)?)),
    strict("pg_make_timestamptz", 6, |a| {
        timestamptz(to_utc(make_timestamp(a)?, &session::current().style)?)
    }),
    strict("pg_make_interval", -1, make_interval),
    strict("pg_to_timestamp", 1, |a| {
        if a.real(0)?.is_infinite() {
            return timestamptz(if a.real(0)? > 0.0 { i64::MAX } else { i64::MIN });
        }
        let micros = ((a.real(0)? - EPOCH_DAYS as f64 * 86_400.0) * 1e6).round_ties_even();
        if !(-2.2e17..9.2e18).contains(&micros) {
            return Err(out_of_range("timestamp out of range"));
        }
        timestamptz(micros as i64)
    }),
    strict("pg_isfinite_date", 1, |a| boolean(!infinite_date(a.date(0)?))),
    strict("pg_isfinite_timestamp", 1, |a| boolean(!is_infinite(a.timestamp(0)?))),
];

pub(super) fn is_infinite(t: i64) -> bool {
    t == i64::MAX || t == i64::MIN
}

fn infinite_date(d: i32) -> bool {
    d == i32::MAX || d == i32::MIN
}

pub(super) fn out_of_range(message: &'static str) -> Error {
    Error::client(state::DATETIME_FIELD_OVERFLOW, message)
}

fn date(days: i32) -> Result<Cell> {
    logical(&Datum::Date(days), oid::DATE)
}

fn time(micros: i64) -> Result<Cell> {
    logical(&Datum::Time(micros), oid::TIME)
}

pub(super) fn timestamp(micros: i64) -> Result<Cell> {
    logical(&Datum::Timestamp(micros), oid::TIMESTAMP)
}

pub(super) fn timestamptz(micros: i64) -> Result<Cell> {
    logical(&Datum::Timestamptz(micros), oid::TIMESTAMPTZ)
}

pub(super) fn interval(span: Interval) -> Result<Cell> {
    logical(&Datum::Interval(span), oid::INTERVAL)
}

/// The date of a local timestamp.
pub(super) fn day_of(t: i64) -> Result<i32> {
    match t {
        i64::MAX => Ok(i32::MAX),
        i64::MIN => Ok(i32::MIN),
        _ => i32::try_from(t.div_euclid(DAY)).map_err(|_| out_of_range("date out of range")),
    }
}

/// The time of day of a local timestamp.
pub(super) fn time_of(t: i64) -> i64 {
    t.rem_euclid(DAY)
}

fn add_days(d: i32, n: i64) -> Result<i32> {
    if infinite_date(d) {
        return Ok(d);
    }
    i64::from(d)
        .checked_add(n)
        .and_then(|n| i32::try_from(n).ok())
        .filter(|n| !infinite_date(*n) && (-2_451_545..=2_145_031_948).contains(n))
        .ok_or_else(|| out_of_range("date out of range"))
}

pub(super) fn plus(t: i64, span: Interval) -> Result<i64> {
    if is_infinite(t) { Ok(t) } else { datetime::add_interval(t, span) }
}

pub(super) fn plus_tz(t: i64, span: Interval) -> Result<i64> {
    if is_infinite(t) {
        return Ok(t);
    }
    datetime::add_interval_tz(t, span, &session::current().style.timezone)
}

fn interval_overflow() -> Error {
    out_of_range("interval out of range")
}

pub(super) fn negated(span: Interval) -> Result<Interval> {
    match (span.months.checked_neg(), span.days.checked_neg(), span.micros.checked_neg()) {
        (Some(months), Some(days), Some(micros)) => Ok(Interval { months, days, micros }),
        _ => Err(interval_overflow()),
    }
}

pub(super) fn sum(a: Interval, b: Interval) -> Result<Interval> {
    let parts = (
        a.months.checked_add(b.months),
        a.days.checked_add(b.days),
        a.micros.checked_add(b.micros),
    );
    match parts {
        (Some(months), Some(days), Some(micros)) => Ok(Interval { months, days, micros }),
        _ => Err(interval_overflow()),
    }
}

fn difference(a: i64, b: i64) -> Result<Cell> {
    if is_infinite(a) || is_infinite(b) {
        return Err(out_of_range("cannot subtract infinite timestamps"));
    }
    let micros = a.checked_sub(b).ok_or_else(interval_overflow)?;
    interval(justify(Interval { months: 0, days: 0, micros }, true, false))
}

/// Interval times (or divided by) a factor: fractions of months go to days, of days to microseconds, as
/// `interval_mul` of PostgreSQL does.
pub(super) fn scaled(span: Interval, by: impl Fn(f64) -> f64) -> Result<Interval> {
    // Steps of a microsecond keep 1.1 × 1 day free of noise.
    let round = |x: f64| (x * 1e6).round_ties_even() / 1e6;
    let months = by(f64::from(span.months));
    let days = by(f64::from(span.days));
    let fits = |x: f64| x.is_finite() && x.abs() <= f64::from(i32::MAX);
    if !fits(months) || !fits(days) {
        return Err(interval_overflow());
    }
    let month_days = round((months - months.trunc()) * 30.0);
    let mut seconds = round((days - days.trunc() + month_days - month_days.trunc()) * 86_400.0);
    let mut whole_days = days.trunc() as i64;
    // A whole day from the fractions is carried over.
    if seconds.abs() >= 86_400.0 {
        let carried = (seconds / 86_400.0).trunc();
        whole_days += carried as i64;
        seconds -= carried * 86_400.0;
    }
    whole_days += month_days.trunc() as i64;
    let micros = (by(span.micros as f64) + seconds * 1e6).round_ties_even();
    if !micros.is_finite() || micros.abs() > 9.2e18 {
        return Err(interval_overflow());
    }
    Ok(Interval {
        months: months.trunc() as i32,
        days: i32::try_from(whole_days).map_err(|_| interval_overflow())?,
        micros: micros as i64,
    })
}

fn justify(span: Interval, hours: bool, days: bool) -> Interval {
    let mut out = span;
    if hours {
        let whole = out.micros / DAY;
        out.micros -= whole * DAY;
        out.days = out.days.saturating_add(whole as i32);
        if out.days > 0 && out.micros < 0 {
            out.micros += DAY;
            out.days -= 1;
        } else if out.days < 0 && out.micros > 0 {
            out.micros -= DAY;
            out.days += 1;
        }
    }
    if days {
        let whole = out.days / 30;
        out.days -= whole * 30;
        out.months = out.months.saturating_add(whole);
        if out.months > 0 && out.days < 0 {
            out.days += 30;
            out.months -= 1;
        } else if out.months < 0 && out.days > 0 {
            out.days -= 30;
            out.months += 1;
        }
    }
    out
}

fn justify_all(span: Interval) -> Interval {
    let mut out = span;
    let whole = out.micros / DAY;
    out.micros -= whole * DAY;
    out.days = out.days.saturating_add(whole as i32);
    let whole = out.days / 30;
    out.days -= whole * 30;
    out.months = out.months.saturating_add(whole);
    let below = |o: &Interval| o.days < 0 || (o.days == 0 && o.micros < 0);
    let above = |o: &Interval| o.days > 0 || (o.days == 0 && o.micros > 0);
    if out.months > 0 && below(&out) {
        out.days += 30;
        out.months -= 1;
    } else if out.months < 0 && above(&out) {
        out.days -= 30;
        out.months += 1;
    }
    if out.days > 0 && out.micros < 0 {
        out.micros += DAY;
        out.days -= 1;
    } else if out.days < 0 && out.micros > 0 {
        out.micros -= DAY;
        out.days += 1;
    }
    out
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let (y, m) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    datetime::days_from_civil(y, m, 1) - datetime::days_from_civil(year, month, 1)
}

/// Symbolic difference in years, months, days and time.
pub(super) fn age(a: i64, b: i64) -> Result<Interval> {
    if is_infinite(a) || is_infinite(b) {
        return Err(out_of_range("interval out of range"));
    }
    let (high, low, sign) = if a >= b { (a, b, 1) } else { (b, a, -1) };
    let (hy, hm, hd) = datetime::civil_from_days(high.div_euclid(DAY));
    let (ly, lm, ld) = datetime::civil_from_days(low.div_euclid(DAY));
    let mut micros = time_of(high) - time_of(low);
    let mut days = i64::from(hd) - i64::from(ld);
    let mut months = (hy * 12 + i64::from(hm)) - (ly * 12 + i64::from(lm));
    if micros < 0 {
        micros += DAY;
        days -= 1;
    }
    if days < 0 {
        // Days are borrowed from the month of the earlier of the two, as PostgreSQL does.
        days += days_in_month(ly, i64::from(lm));
        months -= 1;
    }
    let span = Interval {
        months: i32::try_from(months).map_err(|_| interval_overflow())?,
        days: i32::try_from(days).map_err(|_| interval_overflow())?,
        micros,
    };
    if sign > 0 { Ok(span) } else { negated(span) }
}

pub(super) fn zone(name: &str) -> Result<jiff::tz::TimeZone> {
    datetime::zone(name).ok_or_else(|| {
        Error::client(
            state::INVALID_PARAMETER_VALUE,
            format!("time zone \"{name}\" not recognized"),
        )
    })
}

fn make_date(year: i64, month: i64, day: i64) -> Result<i32> {
    let bad = || {
        Error::client(
            state::DATETIME_FIELD_OVERFLOW,
            format!("date field value out of range: {year}-{month:02}-{day:02}"),
        )
    };
    let calendar = match year {
        0 => return Err(bad()),
        y if y < 0 => y + 1,
        y => y,
    };
    if !(-4713..=5_874_897).contains(&calendar)
        || !(1..=12).contains(&month)
        || !(1..=days_in_month(calendar, month)).contains(&day)
    {
        return Err(bad());
    }
    let days = datetime::days_from_civil(calendar, month, day);
    i32::try_from(days).map_err(|_| bad())
}

fn make_time(hour: i64, minute: i64, second: f64) -> Result<i64> {
    let fits =
        (0..=24).contains(&hour) && (0..60).contains(&minute) && (0.0..=60.0).contains(&second);
    if fits {
        let whole = hour * HOUR + minute * MINUTE + (second * 1e6).round_ties_even() as i64;
        if whole <= DAY {
            return Ok(whole);
        }
    }
    Err(Error::client(
        state::DATETIME_FIELD_OVERFLOW,
        format!("time field value out of range: {hour}:{minute:02}:{second:02}"),
    ))
}

pub(super) fn make_timestamp(a: &Args<'_>) -> Result<i64> {
    let days = make_date(a.int(0)?, a.int(1)?, a.int(2)?)?;
    Ok(start_of(days)? + make_time(a.int(3)?, a.int(4)?, a.real(5)?)?)
}

/// Up to seven arguments; those left out at the end are 0.
fn make_interval(a: &Args<'_>) -> Result<Cell> {
    let part = |i: usize| if i < a.len() { a.int(i) } else { Ok(0) };
    let small = |n: i64| i32::try_from(n).map_err(|_| interval_overflow());
    let months = part(0)? * 12 + part(1)?;
    let days = part(2)? * 7 + part(3)?;
    let seconds = if a.len() > 6 { (a.real(6)? * 1e6).round_ties_even() } else { 0.0 };
    if !seconds.is_finite() || seconds.abs() > 9e18 {
        return Err(interval_overflow());
    }
    let minutes = part(5)?.checked_mul(MINUTE).ok_or_else(interval_overflow)?;
    let micros = part(4)?
        .checked_mul(HOUR)
        .and_then(|h| h.checked_add(minutes))
        .and_then(|m| m.checked_add(seconds as i64))
        .ok_or_else(interval_overflow)?;
    interval(Interval { months: small(months)?, days: small(days)?, micros })
}
