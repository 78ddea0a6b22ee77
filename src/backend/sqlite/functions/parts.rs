//! Parts of dates and times: date_trunc, extract, date_part.

use super::args::{Args, number, real};
use super::cast::{start_of, to_local, to_utc};
use super::datetime::{
    DAY, EPOCH_DAYS, HOUR, MINUTE, SECOND, interval, is_infinite, out_of_range, time_of, timestamp,
    timestamptz, zone,
};
use super::{Def, session, strict};
use crate::error::{Error, Result, state};
use crate::value::numeric::Numeric;
use crate::value::{Cell, Interval, datetime, oid};

pub(super) const FUNCTIONS: &[Def] = &[
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
];

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
        Some(known) => {
            let message = format!("unit \"{known}\" not supported for type interval");
            let error = Error::client(state::FEATURE_NOT_SUPPORTED, message);
            let weeks = "Months usually have fractional weeks.";
            return Err(if known == "week" { error.detail(weeks) } else { error });
        }
        None => return Err(unknown_unit(&name.to_ascii_lowercase(), "interval")),
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
            if ty == "date" {
                return Ok(Some(whole));
            }
            let part = Numeric::from(time_of(t)).div(&Numeric::from(DAY))?;
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
