//! Output of intervals in PostgreSQL's four styles.

use super::MICROS_PER_SECOND;
use super::output::push_seconds;
use crate::value::text::push_integer;
use crate::value::{Interval, IntervalStyle};

/// The parts that output shows.
struct Shown {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    micros: i64,
}

impl Shown {
    fn new(value: &Interval) -> Self {
        let seconds = value.micros / MICROS_PER_SECOND;
        Self {
            year: i64::from(value.months / 12),
            month: i64::from(value.months % 12),
            day: i64::from(value.days),
            hour: seconds / 3600,
            minute: seconds / 60 % 60,
            second: seconds % 60,
            micros: value.micros % MICROS_PER_SECOND,
        }
    }

    fn clock_is_zero(&self) -> bool {
        self.hour == 0 && self.minute == 0 && self.second == 0 && self.micros == 0
    }

    fn clock_is_negative(&self) -> bool {
        self.hour < 0 || self.minute < 0 || self.second < 0 || self.micros < 0
    }

    fn push_clock(&self, pad_hour: bool, out: &mut Vec<u8>) {
        let hour = self.hour.abs();
        if pad_hour && hour < 10 {
            out.push(b'0');
        }
        push_integer(hour, out);
        out.push(b':');
        let minute = self.minute.abs();
        out.extend([b'0' + (minute / 10) as u8, b'0' + (minute % 10) as u8, b':']);
        push_seconds(self.second.abs(), self.micros.abs(), true, out);
    }
}

/// Appends an interval in a style.
pub fn format_interval(value: &Interval, style: IntervalStyle, out: &mut Vec<u8>) {
    let shown = Shown::new(value);
    match style {
        IntervalStyle::Postgres => postgres(&shown, out),
        IntervalStyle::PostgresVerbose => verbose(&shown, out),
        IntervalStyle::SqlStandard => sql_standard(shown, out),
        IntervalStyle::Iso8601 => iso(&shown, out),
    }
}

fn postgres(shown: &Shown, out: &mut Vec<u8>) {
    let (mut first, mut before) = (true, false);
    for (value, unit) in [(shown.year, "year"), (shown.month, "mon"), (shown.day, "day")] {
        if value == 0 {
            continue;
        }
        if !first {
            out.push(b' ');
        }
        if before && value > 0 {
            out.push(b'+');
        }
        push_integer(value, out);
        out.push(b' ');
        out.extend_from_slice(unit.as_bytes());
        if value != 1 {
            out.push(b's');
        }
        (first, before) = (false, value < 0);
    }
    if first || !shown.clock_is_zero() {
        if !first {
            out.push(b' ');
        }
        if shown.clock_is_negative() {
            out.push(b'-');
        } else if before {
            out.push(b'+');
        }
        shown.push_clock(true, out);
    }
}

fn verbose(shown: &Shown, out: &mut Vec<u8>) {
    let (mut first, mut before) = (true, false);
    out.push(b'@');
    let parts = [
        (shown.year, "year"),
        (shown.month, "mon"),
        (shown.day, "day"),
        (shown.hour, "hour"),
        (shown.minute, "min"),
    ];
    for (value, unit) in parts {
        if value == 0 {
            continue;
        }
        if first {
            before = value < 0;
        }
        let value = if before { -value } else { value };
        first = false;
        out.push(b' ');
        push_integer(value, out);
        out.push(b' ');
        out.extend_from_slice(unit.as_bytes());
        if value != 1 {
            out.push(b's');
        }
    }
    if shown.second != 0 || shown.micros != 0 {
        out.push(b' ');
        if shown.second < 0 || shown.micros < 0 {
            if first {
                before = true;
            } else if !before {
                out.push(b'-');
            }
        } else if before {
            out.push(b'-');
        }
        push_seconds(shown.second.abs(), shown.micros.abs(), false, out);
        out.extend_from_slice(b" sec");
        if shown.second.abs() != 1 || shown.micros != 0 {
            out.push(b's');
        }
        first = false;
    }
    if first {
        out.extend_from_slice(b" 0");
    }
    if before {
        out.extend_from_slice(b" ago");
    }
}

fn sql_standard(mut shown: Shown, out: &mut Vec<u8>) {
    let parts =
        [shown.year, shown.month, shown.day, shown.hour, shown.minute, shown.second, shown.micros];
    let (negative, positive) = (parts.iter().any(|p| *p < 0), parts.iter().any(|p| *p > 0));
    let year_month = shown.year != 0 || shown.month != 0;
    let day_time = shown.day != 0 || !shown.clock_is_zero();
    let mixed = negative && positive;
    let standard = !(mixed || (year_month && day_time));
    if !negative && !positive {
        return out.push(b'0');
    }
    let sign = |minus: bool| if minus { b'-' } else { b'+' };
    if !standard {
        out.push(sign(shown.year < 0 || shown.month < 0));
        push_integer(shown.year.abs(), out);
        out.push(b'-');
        push_integer(shown.month.abs(), out);
        out.extend([b' ', sign(shown.day < 0)]);
        push_integer(shown.day.abs(), out);
        out.extend([b' ', sign(shown.clock_is_negative())]);
        return shown.push_clock(false, out);
    }
    if negative {
        out.push(b'-');
        (shown.year, shown.month, shown.day) = (-shown.year, -shown.month, -shown.day);
    }
    if year_month {
        push_integer(shown.year, out);
        out.push(b'-');
        push_integer(shown.month, out);
    } else {
        if shown.day != 0 {
            push_integer(shown.day, out);
            out.push(b' ');
        }
        shown.push_clock(false, out);
    }
}

fn iso(shown: &Shown, out: &mut Vec<u8>) {
    let date = [(shown.year, b'Y'), (shown.month, b'M'), (shown.day, b'D')];
    if shown.clock_is_zero() && date.iter().all(|(v, _)| *v == 0) {
        return out.extend_from_slice(b"PT0S");
    }
    let push = |value: i64, unit: u8, out: &mut Vec<u8>| {
        if value != 0 {
            push_integer(value, out);
            out.push(unit);
        }
    };
    out.push(b'P');
    for (value, unit) in date {
        push(value, unit, out);
    }
    if shown.clock_is_zero() {
        return;
    }
    out.push(b'T');
    push(shown.hour, b'H', out);
    push(shown.minute, b'M', out);
    if shown.second != 0 || shown.micros != 0 {
        if shown.second < 0 || shown.micros < 0 {
            out.push(b'-');
        }
        push_seconds(shown.second.abs(), shown.micros.abs(), false, out);
        out.push(b'S');
    }
}
