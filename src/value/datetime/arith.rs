//! Sums, differences and ages of timestamps and intervals.

use jiff::tz::TimeZone;

use super::{
    MICROS_PER_DAY, MICROS_PER_SECOND, civil_from_days, days_from_civil, days_in_month, in_range,
    local_to_utc, timestamp_out_of_range, utc_to_local,
};
use crate::error::{Error, Result, state};
use crate::value::Interval;

pub(super) fn interval_out_of_range() -> Error {
    Error::client(state::DATETIME_FIELD_OVERFLOW, "interval out of range")
}

fn is_infinite(micros: i64) -> bool {
    micros == i64::MAX || micros == i64::MIN
}

/// Adds months, the day cut to the month's length, and days.
fn add_months_days(local: i64, months: i32, days: i32) -> Result<i64> {
    let time = local.rem_euclid(MICROS_PER_DAY);
    let mut day = local.div_euclid(MICROS_PER_DAY);
    if months != 0 {
        let (year, month, of_month) = civil_from_days(day);
        let total = year * 12 + i64::from(month) - 1 + i64::from(months);
        let (year, month) = (total.div_euclid(12), total.rem_euclid(12) + 1);
        day = days_from_civil(year, month, i64::from(of_month).min(days_in_month(year, month)));
    }
    (day + i64::from(days))
        .checked_mul(MICROS_PER_DAY)
        .and_then(|start| start.checked_add(time))
        .filter(|sum| in_range(*sum))
        .ok_or_else(timestamp_out_of_range)
}

fn add_micros(timestamp: i64, micros: i64) -> Result<i64> {
    timestamp.checked_add(micros).filter(|sum| in_range(*sum)).ok_or_else(timestamp_out_of_range)
}

/// timestamp + interval: months (day cut to the month's length), then days, then
/// microseconds; 22008.
pub fn add_interval(local: i64, span: Interval) -> Result<i64> {
    if is_infinite(local) {
        return Ok(local);
    }
    add_micros(add_months_days(local, span.months, span.days)?, span.micros)
}

/// timestamptz + interval: months and days in the zone's local time; 22008.
pub fn add_interval_tz(instant: i64, span: Interval, zone: &TimeZone) -> Result<i64> {
    if is_infinite(instant) {
        return Ok(instant);
    }
    let mut sum = instant;
    // Two steps, as PostgreSQL does: each lands on a local time of its own.
    for (months, days) in [(span.months, 0), (0, span.days)] {
        if months != 0 || days != 0 {
            let local = utc_to_local(zone, sum)?;
            sum = local_to_utc(zone, add_months_days(local, months, days)?)?;
        }
    }
    add_micros(sum, span.micros)
}

/// timestamp - timestamp: days and a time; 22008 for infinities.
pub fn subtract(a: i64, b: i64) -> Result<Interval> {
    if is_infinite(a) || is_infinite(b) {
        return Err(Error::client(
            state::DATETIME_FIELD_OVERFLOW,
            "cannot subtract infinite timestamps",
        ));
    }
    let micros = a.checked_sub(b).ok_or_else(interval_out_of_range)?;
    justify_hours(Interval { months: 0, days: 0, micros })
}

/// age(a, b) of local times: years, months, days and a time as a person counts them.
pub fn age(a: i64, b: i64) -> Result<Interval> {
    if is_infinite(a) || is_infinite(b) {
        return Err(timestamp_out_of_range());
    }
    let split = |t: i64| {
        let (year, month, day) = civil_from_days(t.div_euclid(MICROS_PER_DAY));
        (year, i64::from(month), i64::from(day), t.rem_euclid(MICROS_PER_DAY))
    };
    let (later, earlier, sign) = if a < b { (b, a, -1) } else { (a, b, 1) };
    let (y1, m1, d1, t1) = split(later);
    let (y2, m2, d2, t2) = split(earlier);
    let (mut months, mut days, mut micros) = ((y1 - y2) * 12 + m1 - m2, d1 - d2, t1 - t2);
    if micros < 0 {
        micros += MICROS_PER_DAY;
        days -= 1;
    }
    while days < 0 {
        // The month that is borrowed from is the second argument's or, reversed, the first's:
        // in both cases the earlier time's.
        days += days_in_month(y2, m2);
        months -= 1;
    }
    Ok(Interval {
        months: i32::try_from(months * sign).map_err(|_| interval_out_of_range())?,
        days: (days * sign) as i32,
        micros: micros * sign,
    })
}

/// interval + interval; 22008.
pub fn interval_add(a: Interval, b: Interval) -> Result<Interval> {
    let sum = || {
        Some(Interval {
            months: a.months.checked_add(b.months)?,
            days: a.days.checked_add(b.days)?,
            micros: a.micros.checked_add(b.micros)?,
        })
    };
    sum().ok_or_else(interval_out_of_range)
}

/// -interval; 22008.
pub fn interval_neg(a: Interval) -> Result<Interval> {
    let negated = || {
        Some(Interval {
            months: a.months.checked_neg()?,
            days: a.days.checked_neg()?,
            micros: a.micros.checked_neg()?,
        })
    };
    negated().ok_or_else(interval_out_of_range)
}

/// interval * factor (division is `1.0 / x` only in PostgreSQL's documentation: pass
/// `divide` to divide); fractions of months go to days, of days to time; 22008, 22012.
pub fn interval_mul(a: Interval, factor: f64, divide: bool) -> Result<Interval> {
    if divide && factor == 0.0 {
        return Err(Error::client(state::DIVISION_BY_ZERO, "division by zero"));
    }
    let scale = |value: f64| if divide { value / factor } else { value * factor };
    let round6 = |value: f64| (value * 1e6).round_ties_even() / 1e6;
    let narrow = |value: f64| {
        if value.is_nan() || value < f64::from(i32::MIN) || value > f64::from(i32::MAX) {
            Err(interval_out_of_range())
        } else {
            Ok(value as i32)
        }
    };
    let (exact_months, exact_days) = (scale(f64::from(a.months)), scale(f64::from(a.days)));
    let (months, days) = (narrow(exact_months)?, narrow(exact_days)?);
    let month_days = round6((exact_months - f64::from(months)) * 30.0);
    let mut seconds =
        round6((exact_days - f64::from(days) + month_days - month_days.trunc()) * 86_400.0);
    let mut total_days = i64::from(days);
    if seconds.abs() >= 86_400.0 {
        let whole = (seconds / 86_400.0) as i64;
        total_days += whole;
        seconds -= whole as f64 * 86_400.0;
    }
    total_days += month_days as i64;
    let micros = (scale(a.micros as f64) + seconds * MICROS_PER_SECOND as f64).round_ties_even();
    if micros.is_nan() || micros < i64::MIN as f64 || micros >= i64::MAX as f64 {
        return Err(interval_out_of_range());
    }
    Ok(Interval {
        months,
        days: i32::try_from(total_days).map_err(|_| interval_out_of_range())?,
        micros: micros as i64,
    })
}

/// Makes the signs of days and time agree.
fn align_time(days: i64, micros: i64) -> (i64, i64) {
    if days > 0 && micros < 0 {
        (days - 1, micros + MICROS_PER_DAY)
    } else if days < 0 && micros > 0 {
        (days + 1, micros - MICROS_PER_DAY)
    } else {
        (days, micros)
    }
}

/// Turns each 24 hours into a day; 22008.
pub fn justify_hours(a: Interval) -> Result<Interval> {
    let days = i64::from(a.days) + a.micros / MICROS_PER_DAY;
    let (days, micros) = align_time(days, a.micros % MICROS_PER_DAY);
    let days = i32::try_from(days).map_err(|_| interval_out_of_range())?;
    Ok(Interval { months: a.months, days, micros })
}

/// Turns each 30 days into a month; 22008.
pub fn justify_days(a: Interval) -> Result<Interval> {
    let mut months = i64::from(a.months) + i64::from(a.days / 30);
    let mut days = a.days % 30;
    if months > 0 && days < 0 {
        (months, days) = (months - 1, days + 30);
    } else if months < 0 && days > 0 {
        (months, days) = (months + 1, days - 30);
    }
    let months = i32::try_from(months).map_err(|_| interval_out_of_range())?;
    Ok(Interval { months, days, micros: a.micros })
}

/// Both, with one sign for all parts; 22008.
pub fn justify_interval(a: Interval) -> Result<Interval> {
    let mut days = i64::from(a.days) + a.micros / MICROS_PER_DAY;
    let micros = a.micros % MICROS_PER_DAY;
    let mut months = i64::from(a.months) + days / 30;
    days %= 30;
    if months > 0 && (days < 0 || (days == 0 && micros < 0)) {
        (months, days) = (months - 1, days + 30);
    } else if months < 0 && (days > 0 || (days == 0 && micros > 0)) {
        (months, days) = (months + 1, days - 30);
    }
    let (days, micros) = align_time(days, micros);
    let months = i32::try_from(months).map_err(|_| interval_out_of_range())?;
    Ok(Interval { months, days: days as i32, micros })
}
