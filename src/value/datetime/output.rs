//! Output in ISO and in the other styles, and the fast reading of the canonical form.

use jiff::tz::TimeZone;

use super::{
    MICROS_PER_DAY, MICROS_PER_SECOND, abbreviation, civil_from_days, days_from_civil,
    days_in_month, offset_at,
};
use crate::value::text::push_integer;
use crate::value::{DateOutput, DateStyle, Style};

fn push_two(value: i64, out: &mut Vec<u8>) {
    out.push(b'0' + (value / 10 % 10) as u8);
    out.push(b'0' + (value % 10) as u8);
}

/// Appends seconds with as many digits of a fraction as there are.
pub(super) fn push_seconds(second: i64, micros: i64, pad: bool, out: &mut Vec<u8>) {
    if pad {
        push_two(second, out);
    } else {
        push_integer(second, out);
    }
    if micros == 0 {
        return;
    }
    out.push(b'.');
    let mut divisor = 100_000;
    let mut rest = micros;
    while rest > 0 {
        out.push(b'0' + (rest / divisor) as u8);
        rest %= divisor;
        divisor /= 10;
    }
}

fn push_civil(days: i64, out: &mut Vec<u8>) -> bool {
    let (year, month, day) = civil_from_days(days);
    push_year(year, out);
    out.push(b'-');
    push_two(i64::from(month), out);
    out.push(b'-');
    push_two(i64::from(day), out);
    year <= 0
}

/// Four digits at least; the year 0 is 1 BC.
fn push_year(year: i64, out: &mut Vec<u8>) {
    let shown = if year > 0 { year } else { 1 - year };
    let mut limit = 1000;
    while shown < limit && limit > 1 {
        out.push(b'0');
        limit /= 10;
    }
    push_integer(shown, out);
}

/// Appends a date.
pub fn format_date(days: i32, out: &mut Vec<u8>) {
    match days {
        i32::MAX => out.extend_from_slice(b"infinity"),
        i32::MIN => out.extend_from_slice(b"-infinity"),
        _ => {
            if push_civil(i64::from(days), out) {
                out.extend_from_slice(b" BC");
            }
        }
    }
}

/// Appends a time.
pub fn format_time(micros: i64, out: &mut Vec<u8>) {
    let seconds = micros / MICROS_PER_SECOND;
    push_two(seconds / 3600, out);
    out.push(b':');
    push_two(seconds / 60 % 60, out);
    out.push(b':');
    push_seconds(seconds % 60, micros % MICROS_PER_SECOND, true, out);
}

fn push_infinity(micros: i64, out: &mut Vec<u8>) -> bool {
    match micros {
        i64::MAX => out.extend_from_slice(b"infinity"),
        i64::MIN => out.extend_from_slice(b"-infinity"),
        _ => return false,
    }
    true
}

/// Appends a timestamp without zone.
pub fn format_timestamp(micros: i64, out: &mut Vec<u8>) {
    if push_infinity(micros, out) {
        return;
    }
    let bc = push_civil(micros.div_euclid(MICROS_PER_DAY), out);
    out.push(b' ');
    format_time(micros.rem_euclid(MICROS_PER_DAY), out);
    if bc {
        out.extend_from_slice(b" BC");
    }
}

/// Appends a timestamp with zone, in a zone's local time and with its offset.
pub fn format_timestamptz(instant: i64, zone: &TimeZone, out: &mut Vec<u8>) {
    if push_infinity(instant, out) {
        return;
    }
    let offset = offset_at(zone, instant);
    let local = instant.saturating_add(i64::from(offset) * MICROS_PER_SECOND);
    let bc = push_civil(local.div_euclid(MICROS_PER_DAY), out);
    out.push(b' ');
    format_time(local.rem_euclid(MICROS_PER_DAY), out);
    push_offset(offset, out);
    if bc {
        out.extend_from_slice(b" BC");
    }
}

/// Appends `+hh`, `+hh:mm` or `+hh:mm:ss`.
pub(super) fn push_offset(east: i32, out: &mut Vec<u8>) {
    out.push(if east < 0 { b'-' } else { b'+' });
    let size = i64::from(east.unsigned_abs());
    push_two(size / 3600, out);
    if size % 3600 != 0 {
        out.push(b':');
        push_two(size / 60 % 60, out);
    }
    if size % 60 != 0 {
        out.push(b':');
        push_two(size % 60, out);
    }
}

/// Appends a date in a session's style.
pub fn show_date(days: i32, style: &Style, out: &mut Vec<u8>) {
    if style.date_output == DateOutput::Iso || days == i32::MAX || days == i32::MIN {
        return format_date(days, out);
    }
    if push_styled(i64::from(days), style, out) {
        out.extend_from_slice(b" BC");
    }
}

/// Appends a timestamp without zone in a session's style.
pub fn show_timestamp(micros: i64, style: &Style, out: &mut Vec<u8>) {
    if style.date_output == DateOutput::Iso || push_infinity(micros, out) {
        if style.date_output == DateOutput::Iso {
            format_timestamp(micros, out);
        }
        return;
    }
    if push_moment(micros, style, out) {
        out.extend_from_slice(b" BC");
    }
}

/// Appends a timestamp with zone in a session's style and zone.
pub fn show_timestamptz(instant: i64, style: &Style, out: &mut Vec<u8>) {
    if style.date_output == DateOutput::Iso {
        return format_timestamptz(instant, &style.timezone, out);
    }
    if push_infinity(instant, out) {
        return;
    }
    let offset = offset_at(&style.timezone, instant);
    let local = instant.saturating_add(i64::from(offset) * MICROS_PER_SECOND);
    let bc = push_moment(local, style, out);
    out.push(b' ');
    match abbreviation(&style.timezone, instant) {
        Some(name) => out.extend_from_slice(name.as_bytes()),
        None => push_offset(offset, out),
    }
    if bc {
        out.extend_from_slice(b" BC");
    }
}

/// A date and time in a style other than ISO; whether it is before Christ.
fn push_moment(local: i64, style: &Style, out: &mut Vec<u8>) -> bool {
    const DAYS: [&[u8]; 7] = [b"Sat", b"Sun", b"Mon", b"Tue", b"Wed", b"Thu", b"Fri"];
    const MONTHS: [&[u8]; 12] = [
        b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov",
        b"Dec",
    ];
    let (days, below) = (local.div_euclid(MICROS_PER_DAY), local.rem_euclid(MICROS_PER_DAY));
    if style.date_output != DateOutput::Postgres {
        let bc = push_styled(days, style, out);
        out.push(b' ');
        format_time(below, out);
        return bc;
    }
    let (year, month, day) = civil_from_days(days);
    let name = MONTHS.get(month as usize - 1).copied().unwrap_or(b"");
    // 2000-01-01 was a Saturday.
    out.extend_from_slice(DAYS[days.rem_euclid(7) as usize]);
    out.push(b' ');
    if style.date_style == DateStyle::Dmy {
        push_two(i64::from(day), out);
        out.push(b' ');
        out.extend_from_slice(name);
    } else {
        out.extend_from_slice(name);
        out.push(b' ');
        push_two(i64::from(day), out);
    }
    out.push(b' ');
    format_time(below, out);
    out.push(b' ');
    push_year(year, out);
    year <= 0
}

/// A date in a style other than ISO; whether it is before Christ.
fn push_styled(days: i64, style: &Style, out: &mut Vec<u8>) -> bool {
    let (year, month, day) = civil_from_days(days);
    let separator = match style.date_output {
        DateOutput::Sql => b'/',
        DateOutput::German => b'.',
        _ => b'-',
    };
    let day_first = style.date_output == DateOutput::German || style.date_style == DateStyle::Dmy;
    let (first, second) = if day_first { (day, month) } else { (month, day) };
    push_two(i64::from(first), out);
    out.push(separator);
    push_two(i64::from(second), out);
    out.push(separator);
    push_year(year, out);
    year <= 0
}

/// Reads exactly the canonical form `YYYY-MM-DD[ HH:MM:SS[.f…]]` of years 1 to 9999:
/// microseconds since 2000-01-01. `None` for everything else, valid or not.
pub fn parse_canonical(text: &[u8]) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    if date[4] != b'-' || date[7] != b'-' {
        return None;
    }
    let number = |digits: &[u8]| {
        digits
            .iter()
            .try_fold(0i64, |n, d| d.is_ascii_digit().then(|| n * 10 + i64::from(d - b'0')))
    };
    let (year, month, day) = (number(&date[..4])?, number(&date[5..7])?, number(&date[8..])?);
    let real =
        year > 0 && (1..=12).contains(&month) && (1..=days_in_month(year, month)).contains(&day);
    if !real {
        return None;
    }
    let start = days_from_civil(year, month, day) * MICROS_PER_DAY;
    if rest.is_empty() {
        return Some(start);
    }
    Some(start + canonical_time(rest.strip_prefix(b" ")?)?)
}

/// Reads exactly `HH:MM:SS[.f…]` below 24:00.
pub(crate) fn canonical_time(text: &[u8]) -> Option<i64> {
    let (clock, rest) = text.split_at_checked(8)?;
    if clock[2] != b':' || clock[5] != b':' {
        return None;
    }
    let two = |at: usize| {
        let (a, b) = (clock[at], clock[at + 1]);
        (a.is_ascii_digit() && b.is_ascii_digit())
            .then(|| i64::from(a - b'0') * 10 + i64::from(b - b'0'))
    };
    let (hour, minute, second) = (two(0)?, two(3)?, two(6)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut micros = 0;
    if !rest.is_empty() {
        let digits = rest.strip_prefix(b".")?;
        if digits.is_empty() || digits.len() > 6 || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        micros = digits.iter().fold(0, |n, d| n * 10 + i64::from(d - b'0'));
        micros *= 10i64.pow(6 - digits.len() as u32);
    }
    Some(((hour * 60 + minute) * 60 + second) * MICROS_PER_SECOND + micros)
}
