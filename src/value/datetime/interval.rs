//! Input of intervals.

use super::fields::{self, Field, Kind};
use super::parts::{Fail, Step, clock};
use super::words::{self, IntervalWord, Unit};
use super::{MICROS_PER_DAY, MICROS_PER_SECOND};
use crate::error::Result;
use crate::value::{Interval, IntervalStyle, Style};

const MICROS_PER_HOUR: i64 = 3600 * MICROS_PER_SECOND;
const MICROS_PER_MINUTE: i64 = 60 * MICROS_PER_SECOND;

/// Sums of the parts, checked.
#[derive(Default)]
struct Sum {
    years: i64,
    months: i64,
    days: i64,
    micros: i64,
}

impl Sum {
    fn micros(&mut self, value: i64, fraction: f64, unit: i64) -> Step {
        let whole = value.checked_mul(unit).ok_or(Fail::Field)?;
        self.micros = self.micros.checked_add(whole).ok_or(Fail::Field)?;
        self.fraction_micros(fraction, unit)
    }

    fn fraction_micros(&mut self, fraction: f64, unit: i64) -> Step {
        let exact = fraction * unit as f64;
        let whole = exact.trunc();
        let rest = exact - whole;
        let round = if rest > 0.5 { 1 } else { -i64::from(rest < -0.5) };
        self.micros = self.micros.checked_add(whole as i64 + round).ok_or(Fail::Field)?;
        Ok(())
    }

    fn days(&mut self, value: i64, unit: i64) -> Step {
        let whole = value.checked_mul(unit).ok_or(Fail::Field)?;
        self.days = self.days.checked_add(whole).filter(fits).ok_or(Fail::Field)?;
        Ok(())
    }

    fn fraction_days(&mut self, fraction: f64, unit: i64) -> Step {
        let exact = fraction * unit as f64;
        self.days(exact.trunc() as i64, 1)?;
        self.fraction_micros(exact.fract(), MICROS_PER_DAY)
    }

    fn months(&mut self, value: i64, unit: i64) -> Step {
        let whole = value.checked_mul(unit).ok_or(Fail::Field)?;
        self.months = self.months.checked_add(whole).filter(fits).ok_or(Fail::Field)?;
        Ok(())
    }

    fn years(&mut self, value: i64, fraction: f64, years: i64) -> Step {
        let whole = value.checked_mul(years).ok_or(Fail::Field)?;
        self.years = self.years.checked_add(whole).filter(fits).ok_or(Fail::Field)?;
        self.months((fraction * (years * 12) as f64).round_ties_even() as i64, 1)
    }

    fn add(&mut self, unit: Unit, value: i64, fraction: f64) -> Step {
        match unit {
            Unit::Microsecond => self.micros(value, fraction, 1),
            Unit::Millisecond => self.micros(value, fraction, 1000),
            Unit::Second => self.micros(value, fraction, MICROS_PER_SECOND),
            Unit::Minute => self.micros(value, fraction, MICROS_PER_MINUTE),
            Unit::Hour => self.micros(value, fraction, MICROS_PER_HOUR),
            Unit::Day => {
                self.days(value, 1)?;
                self.fraction_micros(fraction, MICROS_PER_DAY)
            }
            Unit::Week => {
                self.days(value, 7)?;
                self.fraction_days(fraction, 7)
            }
            Unit::Month => {
                self.months(value, 1)?;
                self.fraction_days(fraction, 30)
            }
            Unit::Quarter => Err(Fail::Format),
            Unit::Year => self.years(value, fraction, 1),
            Unit::Decade => self.years(value, fraction, 10),
            Unit::Century => self.years(value, fraction, 100),
            Unit::Millennium => self.years(value, fraction, 1000),
        }
    }

    fn clock(&mut self, text: &str, negative: bool) -> Step {
        let (hour, below) = clock(text, 18)?;
        let size = hour
            .checked_mul(MICROS_PER_HOUR)
            .and_then(|h| h.checked_add(below))
            .ok_or(Fail::Field)?;
        // A clock replaces what fractions of larger units have left.
        self.micros = if negative { -size } else { size };
        Ok(())
    }

    fn finish(self, ago: bool) -> Step<Interval> {
        let sign = if ago { -1 } else { 1 };
        let narrow = |v: i64| i32::try_from(v * sign).map_err(|_| Fail::Field);
        let months = i32::try_from((self.years * 12 + self.months) * sign)
            .map_err(|_| Fail::Other(super::arith::interval_out_of_range()))?;
        Ok(Interval {
            months,
            days: narrow(self.days)?,
            micros: self.micros.checked_mul(sign).ok_or(Fail::Field)?,
        })
    }
}

fn fits(value: &i64) -> bool {
    i32::try_from(*value).is_ok()
}

/// One bit per unit, to refuse a unit given twice.
fn mask(unit: Unit, fraction: f64) -> u32 {
    const SECONDS: u32 =
        1 << Unit::Microsecond as u32 | 1 << Unit::Millisecond as u32 | 1 << Unit::Second as u32;
    if unit == Unit::Second && fraction != 0.0 { SECONDS } else { 1 << unit as u32 }
}

const CLOCK_MASK: u32 = mask_of(Unit::Hour)
    | mask_of(Unit::Minute)
    | mask_of(Unit::Second)
    | mask_of(Unit::Millisecond)
    | mask_of(Unit::Microsecond);

const fn mask_of(unit: Unit) -> u32 {
    1 << unit as u32
}

/// Reads an interval in PostgreSQL's, the SQL standard's or ISO 8601's forms; 22007, 22015.
pub fn parse_interval(text: &str, style: &Style) -> Result<Interval> {
    let parsed = match decode(text, style.interval_style) {
        Err(Fail::Format) => decode_iso(text),
        other => other,
    };
    parsed.map_err(|fail| {
        let fail = if matches!(fail, Fail::Field) { Fail::Interval } else { fail };
        fail.error("interval", text)
    })
}

fn decode(text: &str, style: IntervalStyle) -> Step<Interval> {
    let fields = fields::split(text).ok_or(Fail::Format)?;
    let signed = |f: &Field| f.text.starts_with(['-', '+']);
    // The standard lets one leading minus stand for all parts.
    let all_negative = style == IntervalStyle::SqlStandard
        && fields.first().is_some_and(|f| f.text.starts_with('-'))
        && !fields.iter().skip(1).any(signed);
    let mut sum = Sum::default();
    let (mut seen, mut ago) = (0u32, false);
    // Units follow their numbers, so the fields are read from the end.
    let mut unit = Following::Nothing;
    for field in fields.iter().rev() {
        let text = field.text.as_str();
        let more = match field.kind {
            Kind::Time => {
                sum.clock(text, all_negative)?;
                unit = Following::Unit(Unit::Day);
                CLOCK_MASK
            }
            Kind::Signed
                if text.contains(':') && sum.clock(&text[1..], text.starts_with('-')).is_ok() =>
            {
                unit = Following::Unit(Unit::Day);
                CLOCK_MASK
            }
            Kind::Signed | Kind::Date | Kind::Number => {
                number(text, &mut unit, all_negative, &mut sum)?
            }
            Kind::Word | Kind::SignedWord => {
                match words::find_unit(text) {
                    Some(IntervalWord::Unit(named)) => unit = Following::Unit(named),
                    Some(IntervalWord::Ago) => {
                        ago = true;
                        unit = Following::Ago;
                    }
                    Some(IntervalWord::Ignore) => {}
                    None => return Err(Fail::Format),
                }
                0
            }
        };
        if more & seen != 0 {
            return Err(Fail::Format);
        }
        seen |= more;
    }
    if seen == 0 {
        return Err(Fail::Format);
    }
    sum.finish(ago)
}

/// What stands behind a number.
enum Following {
    Nothing,
    Unit(Unit),
    Ago,
}

/// A number with the unit that follows it, or a `years-months` pair.
fn number(text: &str, unit: &mut Following, negate: bool, sum: &mut Sum) -> Step<u32> {
    let negative = text.starts_with('-');
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    let end = body.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = body.split_at(end);
    let mut value: i64 =
        if digits.is_empty() { 0 } else { digits.parse().map_err(|_| Fail::Field)? };
    let mut fraction = 0.0;
    let mut current = match unit {
        Following::Nothing => Some(Unit::Second),
        Following::Unit(unit) => Some(*unit),
        Following::Ago => None,
    };
    if let Some(months) = rest.strip_prefix('-') {
        let end = months.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, junk) = months.split_at(end);
        let months: i64 =
            if digits.is_empty() { 0 } else { digits.parse().map_err(|_| Fail::Field)? };
        if months > 11 {
            return Err(Fail::Field);
        }
        if !junk.is_empty() || digits.is_empty() {
            return Err(Fail::Format);
        }
        current = Some(Unit::Month);
        value = value.checked_mul(12).and_then(|v| v.checked_add(months)).ok_or(Fail::Field)?;
    } else if let Some(decimals) = rest.strip_prefix('.') {
        if !decimals.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Fail::Format);
        }
        fraction = format!("0.{decimals}0").parse().map_err(|_| Fail::Format)?;
    } else if !rest.is_empty() || digits.is_empty() {
        return Err(Fail::Format);
    }
    if negative || negate {
        (value, fraction) = (-value, -fraction);
    }
    let current = current.ok_or(Fail::Format)?;
    // Days stand before hours without a unit of their own.
    *unit = Following::Unit(if current == Unit::Hour { Unit::Day } else { current });
    sum.add(current, value, fraction)?;
    Ok(mask(current, fraction))
}

/// A signed decimal at the start of ISO text: whole part, fraction, digits, rest.
fn iso_number(text: &str) -> Step<(i64, f64, usize, &str)> {
    let negative = text.starts_with('-');
    let body = text.strip_prefix('-').unwrap_or(text);
    let end = body.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
    let (number, rest) = body.split_at(end);
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && decimals.is_empty()) || decimals.contains('.') {
        return Err(Fail::Format);
    }
    let value: i64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| Fail::Field)? };
    let fraction: f64 = format!("0.{decimals}0").parse().map_err(|_| Fail::Format)?;
    let sign = if negative { -1 } else { 1 };
    Ok((value * sign, fraction * sign as f64, whole.len(), rest))
}

/// `P1Y2M3DT4H5M6.7S`, `P0001-02-03T04:05:06`, `P00010203T040506`.
fn decode_iso(text: &str) -> Step<Interval> {
    let mut rest = text.strip_prefix('P').filter(|r| !r.is_empty()).ok_or(Fail::Format)?;
    let mut sum = Sum::default();
    let mut date = true;
    let mut have_field = false;
    while !rest.is_empty() {
        if let Some(tail) = rest.strip_prefix('T') {
            (date, have_field, rest) = (false, false, tail);
            continue;
        }
        let (value, fraction, width, tail) = iso_number(rest)?;
        let designator = tail.chars().next();
        let unit = match (date, designator) {
            (true, Some('Y')) => Unit::Year,
            (true, Some('M')) => Unit::Month,
            (true, Some('W')) => Unit::Week,
            (true, Some('D')) => Unit::Day,
            (false, Some('H')) => Unit::Hour,
            (false, Some('M')) => Unit::Minute,
            (false, Some('S')) => Unit::Second,
            (true, None | Some('T')) if width == 8 && !have_field => {
                sum.years(value / 10_000, 0.0, 1)?;
                sum.months(value / 100 % 100, 1)?;
                sum.add(Unit::Day, value % 100, fraction)?;
                rest = tail;
                continue;
            }
            (false, None) if width == 6 && !have_field => {
                sum.micros(value / 10_000, 0.0, MICROS_PER_HOUR)?;
                sum.micros(value / 100 % 100, 0.0, MICROS_PER_MINUTE)?;
                sum.micros(value % 100, fraction, MICROS_PER_SECOND)?;
                rest = tail;
                continue;
            }
            (_, None | Some('-' | ':' | 'T')) if !have_field => {
                rest = iso_alternative(rest, date, &mut sum)?;
                if !rest.is_empty() && !rest.starts_with('T') {
                    return Err(Fail::Format);
                }
                continue;
            }
            _ => return Err(Fail::Format),
        };
        sum.add(unit, value, fraction)?;
        have_field = true;
        rest = &tail[1..];
    }
    sum.finish(false)
}

/// Up to three numbers joined by `-` (date part) or `:` (time part); returns the rest.
fn iso_alternative<'a>(text: &'a str, date: bool, sum: &mut Sum) -> Step<&'a str> {
    let (units, mark) = if date {
        ([Unit::Year, Unit::Month, Unit::Day], '-')
    } else {
        ([Unit::Hour, Unit::Minute, Unit::Second], ':')
    };
    let mut rest = text;
    for (i, unit) in units.into_iter().enumerate() {
        let (value, fraction, _, tail) = iso_number(rest)?;
        sum.add(unit, value, fraction)?;
        rest = tail;
        match tail.strip_prefix(mark) {
            Some(next) if i < 2 => rest = next,
            _ => break,
        }
    }
    Ok(rest)
}
