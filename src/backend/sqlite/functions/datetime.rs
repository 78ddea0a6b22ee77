//! Dates, times, timestamps and intervals: arithmetic, parts, truncation, construction.

use super::args::{Args, boolean, logical, number, real};
use super::cast::{start_of, to_local, to_utc};
use super::{Def, session, strict};
use crate::error::{Error, Result, state};
use crate::value::numeric::Numeric;
use crate::value::{Cell, Datum, Interval, datetime, oid};

/// Microseconds of a day.
pub(super) const DAY: i64 = 86_400_000_000;
const HOUR: i64 = 3_600_000_000;
const MINUTE: i64 = 60_000_000;
const SECOND: i64 = 1_000_000;
/// Days from 1970-01-01 to 2000-01-01.
const EPOCH_DAYS: i64 = 10_957;

pub(super) const FUNCTIONS: &[Def] = &[
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
    strict("pg_trunc_timestamp", 2, |a| timestamp(trunc(a.text(0)?, a.timestamp(1)?)?)),
    strict("pg_trunc_timestamptz", 2, |a| {
        let style = &session::current().style;
        let local = trunc(a.text(0)?, to_local(a.timestamptz(1)?, style)?)?;
        timestamptz(to_utc(local, style)?)
    }),
    strict("pg_trunc_timestamptz_zone", 3, |a| {
        let zone = zone(a.text(2)?)?;
        let t = a.timestamptz(1)?;
        if is_infinite(t) {
            return timestamptz(t);
        }
        let local = trunc(a.text(0)?, datetime::utc_to_local(&zone, t)?)?;
        timestamptz(datetime::local_to_utc(&zone, local)?)
    }),
    strict("pg_trunc_interval", 2, trunc_interval),
    // The last argument says numeric (extract) or float8 (date_part).
    strict("pg_part", 4, part),
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
        let micros = ((a.real(0)? - EPOCH_DAYS as f64 * 86_400.0) * 1e6).round_ties_even();
        if !(-2.2e17..9.2e18).contains(&micros) {
            return Err(out_of_range("timestamp out of range"));
        }
        timestamptz(micros as i64)
    }),
    strict("pg_isfinite_date", 1, |a| boolean(!infinite_date(a.date(0)?))),
    strict("pg_isfinite_timestamp", 1, |a| boolean(!is_infinite(a.timestamp(0)?))),
];

fn is_infinite(t: i64) -> bool {
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

fn timestamp(micros: i64) -> Result<Cell> {
    logical(&Datum::Timestamp(micros), oid::TIMESTAMP)
}

fn timestamptz(micros: i64) -> Result<Cell> {
    logical(&Datum::Timestamptz(micros), oid::TIMESTAMPTZ)
}

fn interval(span: Interval) -> Result<Cell> {
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

fn plus(t: i64, span: Interval) -> Result<i64> {
    if is_infinite(t) { Ok(t) } else { datetime::add_interval(t, span) }
}

fn plus_tz(t: i64, span: Interval) -> Result<i64> {
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
fn age(a: i64, b: i64) -> Result<Interval> {
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

fn unknown_unit(unit: &str, ty: &str) -> Error {
    Error::client(
        state::INVALID_PARAMETER_VALUE,
        format!("unit \"{unit}\" not recognized for type {ty}"),
    )
}

/// The unit's own name for any of its spellings.
fn unit(name: &str) -> Option<&'static str> {
    Some(match name.to_ascii_lowercase().as_str() {
        "microsecond" | "microseconds" | "usec" | "us" | "usecs" | "useconds" | "usecond" => {
            "microseconds"
        }
        "millisecond" | "milliseconds" | "msec" | "ms" | "msecs" | "mseconds" | "msecond" => {
            "milliseconds"
        }
        "second" | "seconds" | "sec" | "s" | "secs" => "second",
        "minute" | "minutes" | "min" | "m" | "mins" => "minute",
        "hour" | "hours" | "h" | "hr" | "hrs" => "hour",
        "day" | "days" | "d" => "day",
        "week" | "weeks" | "w" => "week",
        "month" | "months" | "mon" | "mons" => "month",
        "quarter" | "qtr" => "quarter",
        "year" | "years" | "y" | "yr" | "yrs" => "year",
        "decade" | "decades" | "dec" | "decs" => "decade",
        "century" | "centuries" | "cent" | "c" => "century",
        "millennium" | "millennia" | "mil" | "mils" => "millennium",
        "dow" => "dow",
        "isodow" => "isodow",
        "doy" => "doy",
        "isoyear" => "isoyear",
        "epoch" => "epoch",
        "julian" | "j" | "jd" => "julian",
        "timezone" => "timezone",
        "timezone_hour" => "timezone_hour",
        "timezone_minute" => "timezone_minute",
        _ => return None,
    })
}

/// Monday of the ISO week that holds a day.
fn week_start(days: i64) -> i64 {
    days - iso_weekday(days) + 1
}

/// 1 (Monday) to 7; 2000-01-01 was a Saturday.
pub(super) fn iso_weekday(days: i64) -> i64 {
    (days + 5).rem_euclid(7) + 1
}

/// ISO week and its year.
pub(super) fn iso_week(days: i64) -> (i64, i64) {
    // The week belongs to the year of its Thursday.
    let thursday = week_start(days) + 3;
    let (year, ..) = datetime::civil_from_days(thursday);
    let first = datetime::days_from_civil(year, 1, 1);
    ((thursday - first) / 7 + 1, year)
}

fn trunc(name: &str, t: i64) -> Result<i64> {
    let unit = unit(name);
    let known = matches!(
        unit,
        Some(
            "microseconds"
                | "milliseconds"
                | "second"
                | "minute"
                | "hour"
                | "day"
                | "week"
                | "month"
                | "quarter"
                | "year"
                | "decade"
                | "century"
                | "millennium"
        )
    );
    if !known {
        return Err(unknown_unit(&name.to_ascii_lowercase(), "timestamp without time zone"));
    }
    if is_infinite(t) {
        return Ok(t);
    }
    let days = t.div_euclid(DAY);
    let (year, month, _) = datetime::civil_from_days(days);
    let month = i64::from(month);
    let start = |y: i64, m: i64| datetime::days_from_civil(y, m, 1) * DAY;
    Ok(match unit.unwrap_or("microseconds") {
        "milliseconds" => t.div_euclid(1000) * 1000,
        "second" => t.div_euclid(SECOND) * SECOND,
        "minute" => t.div_euclid(MINUTE) * MINUTE,
        "hour" => t.div_euclid(HOUR) * HOUR,
        "day" => days * DAY,
        "week" => week_start(days) * DAY,
        "month" => start(year, month),
        "quarter" => start(year, (month - 1) / 3 * 3 + 1),
        "year" => start(year, 1),
        "decade" => start(year.div_euclid(10) * 10, 1),
        // Centuries and millennia begin with year 1.
        "century" => start((year - 1).div_euclid(100) * 100 + 1, 1),
        "millennium" => start((year - 1).div_euclid(1000) * 1000 + 1, 1),
        _ => t,
    })
}

fn trunc_interval(a: &Args<'_>) -> Result<Cell> {
    let (name, mut span) = (a.text(0)?, a.interval(1)?);
    let months = |span: Interval, unit: i32| Interval {
        months: span.months / unit * unit,
        days: 0,
        micros: 0,
    };
    let micros = |span: Interval, unit: i64| Interval { micros: span.micros / unit * unit, ..span };
    span = match unit(name) {
        Some("millennium") => months(span, 12_000),
        Some("century") => months(span, 1_200),
        Some("decade") => months(span, 120),
        Some("year") => months(span, 12),
        Some("quarter") => months(span, 3),
        Some("month") => months(span, 1),
        Some("day") => Interval { micros: 0, ..span },
        Some("hour") => micros(span, HOUR),
        Some("minute") => micros(span, MINUTE),
        Some("second") => micros(span, SECOND),
        Some("milliseconds") => micros(span, 1000),
        Some("microseconds") => span,
        _ => return Err(unknown_unit(&name.to_ascii_lowercase(), "interval")),
    };
    interval(span)
}

/// `pg_part(unit, value, type, as_numeric)`
fn part(a: &Args<'_>) -> Result<Cell> {
    let name = a.text(0)?;
    let type_oid = a.oid(2)?;
    let value = match type_oid {
        oid::DATE => {
            let d = a.date(1)?;
            let dateless = matches!(
                unit(name),
                Some(
                    "microseconds"
                        | "milliseconds"
                        | "second"
                        | "minute"
                        | "hour"
                        | "timezone"
                        | "timezone_hour"
                        | "timezone_minute"
                )
            );
            if dateless && a.bool(3)? {
                return Err(unsupported_unit(name, "date"));
            }
            timestamp_part(name, start_of(d)?, None, "date")?
        }
        oid::TIMESTAMP => {
            timestamp_part(name, a.timestamp(1)?, None, "timestamp without time zone")?
        }
        oid::TIMESTAMPTZ => {
            let t = a.timestamptz(1)?;
            timestamp_part(
                name,
                to_local(t, &session::current().style)?,
                Some(t),
                "timestamp with time zone",
            )?
        }
        oid::TIME => Some(time_part(name, a.time(1)?, "time without time zone")?),
        _ => Some(interval_part(name, a.interval(1)?)?),
    };
    let Some(value) = value else { return Ok(Cell::Null) };
    if a.bool(3)? { number(&value) } else { real(value.to_f64()?) }
}

fn unsupported_unit(name: &str, ty: &str) -> Error {
    Error::client(
        state::FEATURE_NOT_SUPPORTED,
        format!("unit \"{}\" not supported for type {ty}", name.to_ascii_lowercase()),
    )
}

/// `n` units of `10^-scale`.
fn decimal(n: i64, scale: i32) -> Result<Numeric> {
    let unit = Numeric::parse(&format!("1e{}", -scale))?;
    let product = Numeric::from(n).mul(&unit)?;
    Ok(product.round(scale))
}

fn time_fields(name: &str, t: i64) -> Result<Option<Numeric>> {
    Ok(Some(match unit(name) {
        Some("microseconds") => Numeric::from(t % MINUTE),
        Some("milliseconds") => decimal(t % MINUTE, 3)?,
        Some("second") => decimal(t % MINUTE, 6)?,
        Some("minute") => Numeric::from(t / MINUTE % 60),
        Some("hour") => Numeric::from(t / HOUR),
        _ => return Ok(None),
    }))
}

fn time_part(name: &str, t: i64, ty: &str) -> Result<Numeric> {
    if let Some(value) = time_fields(name, t)? {
        return Ok(value);
    }
    match unit(name) {
        Some("epoch") => decimal(t, 6),
        Some(_) => Err(unsupported_unit(name, ty)),
        None => Err(unknown_unit(&name.to_ascii_lowercase(), ty)),
    }
}

fn interval_part(name: &str, span: Interval) -> Result<Numeric> {
    if let Some(value) = time_fields(name, span.micros)? {
        return Ok(value);
    }
    let months = i64::from(span.months);
    let years = months / 12;
    Ok(Numeric::from(match unit(name) {
        Some("day") => i64::from(span.days),
        Some("month") => months % 12,
        Some("quarter") => months % 12 / 3 + 1,
        Some("year") => years,
        Some("decade") => years / 10,
        Some("century") => years / 100,
        Some("millennium") => years / 1000,
        Some("epoch") => {
            // A year counts 365.25 days, a further month 30.
            let seconds =
                years * 31_557_600 + months % 12 * 2_592_000 + i64::from(span.days) * 86_400;
            let whole = Numeric::from(seconds).add(&decimal(span.micros, 6)?)?;
            return Ok(whole.round(6));
        }
        Some(_) => return Err(unsupported_unit(name, "interval")),
        None => return Err(unknown_unit(&name.to_ascii_lowercase(), "interval")),
    }))
}

/// A field of a local timestamp; `instant` when it has a zone. NULL for fields that an
/// infinite timestamp lacks.
fn timestamp_part(name: &str, t: i64, instant: Option<i64>, ty: &str) -> Result<Option<Numeric>> {
    let Some(found) = unit(name) else {
        return Err(unknown_unit(&name.to_ascii_lowercase(), ty));
    };
    if is_infinite(t) {
        let grows = matches!(
            found,
            "year" | "decade" | "century" | "millennium" | "epoch" | "isoyear" | "julian"
        );
        let word = if t == i64::MAX { "Infinity" } else { "-Infinity" };
        return if grows { Numeric::parse(word).map(Some) } else { Ok(None) };
    }
    if let Some(value) = time_fields(found, time_of(t))? {
        return Ok(Some(value));
    }
    let days = t.div_euclid(DAY);
    let (year, month, day) = datetime::civil_from_days(days);
    let month = i64::from(month);
    // Year 0 of the calendar is 1 BC, which PostgreSQL counts as -1.
    let shown = |y: i64| if y > 0 { y } else { y - 1 };
    Ok(Some(Numeric::from(match found {
        "day" => i64::from(day),
        "month" => month,
        "quarter" => (month - 1) / 3 + 1,
        "week" => iso_week(days).0,
        "year" => shown(year),
        "isoyear" => shown(iso_week(days).1),
        "decade" => year.div_euclid(10),
        "century" => {
            if year > 0 {
                (year + 99) / 100
            } else {
                -((100 - year) / 100)
            }
        }
        "millennium" => {
            if year > 0 {
                (year + 999) / 1000
            } else {
                -((999 - (year - 1)) / 1000)
            }
        }
        "dow" => iso_weekday(days) % 7,
        "isodow" => iso_weekday(days),
        "doy" => days - datetime::days_from_civil(year, 1, 1) + 1,
        "julian" => {
            let whole = Numeric::from(days + 2_451_545);
            if ty == "date" || time_of(t) == 0 {
                return Ok(Some(whole));
            }
            let part = decimal(time_of(t), 6)?.div(&Numeric::from(86_400_i64))?;
            return whole.add(&part).map(Some);
        }
        "epoch" => {
            let micros =
                i128::from(instant.unwrap_or(t)) + i128::from(EPOCH_DAYS) * i128::from(DAY);
            if ty == "date" {
                return Ok(Some(Numeric::from((micros / 1_000_000) as i64)));
            }
            let micros =
                i64::try_from(micros).map_err(|_| out_of_range("timestamp out of range"))?;
            return decimal(micros, 6).map(Some);
        }
        "timezone" | "timezone_hour" | "timezone_minute" => {
            let Some(instant) = instant else { return Err(unsupported_unit(name, ty)) };
            let offset =
                i64::from(datetime::offset_at(&session::current().style.timezone, instant));
            match found {
                "timezone" => offset,
                "timezone_hour" => offset / 3600,
                _ => offset / 60 % 60,
            }
        }
        _ => return Err(unsupported_unit(name, ty)),
    })))
}

fn zone(name: &str) -> Result<jiff::tz::TimeZone> {
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
    let whole = hour * HOUR + minute * MINUTE + (second * 1e6).round_ties_even() as i64;
    let fits = (0..=24).contains(&hour)
        && (0..60).contains(&minute)
        && (0.0..=60.0).contains(&second)
        && whole <= DAY;
    if fits {
        return Ok(whole);
    }
    Err(Error::client(
        state::DATETIME_FIELD_OVERFLOW,
        format!("time field value out of range: {hour}:{minute:02}:{second:02}"),
    ))
}

fn make_timestamp(a: &Args<'_>) -> Result<i64> {
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
