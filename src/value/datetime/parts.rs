//! Pieces of date and time input: numbers, clocks, offsets, and what can be wrong.

use super::MICROS_PER_SECOND;
use crate::error::{Error, Result, state};

/// Why input was not understood.
pub(super) enum Fail {
    /// 22007
    Format,
    /// 22008
    Field,
    /// 22008 with a hint about DateStyle.
    MonthDay,
    /// 22015
    Interval,
    /// 22009
    Displacement,
    /// Anything else.
    Other(Error),
}

impl Fail {
    /// The client's error for this input of a type.
    pub(super) fn error(self, type_name: &str, text: &str) -> Error {
        let range = || {
            Error::client(
                state::DATETIME_FIELD_OVERFLOW,
                format!("date/time field value out of range: \"{text}\""),
            )
        };
        match self {
            Self::Format => Error::client(
                state::INVALID_DATETIME_FORMAT,
                format!("invalid input syntax for type {type_name}: \"{text}\""),
            ),
            Self::Field => range(),
            Self::MonthDay => range().hint("Perhaps you need a different \"datestyle\" setting."),
            Self::Interval => Error::client(
                state::INTERVAL_FIELD_OVERFLOW,
                format!("interval field value out of range: \"{text}\""),
            ),
            Self::Displacement => Error::client(
                state::INVALID_TIME_ZONE_DISPLACEMENT,
                format!("time zone displacement out of range: \"{text}\""),
            ),
            Self::Other(error) => error,
        }
    }
}

/// A result of reading input.
pub(super) type Step<T = ()> = std::result::Result<T, Fail>;

/// An integer at the start of text, and the rest.
pub(super) fn leading_int(text: &str) -> Step<(i64, &str)> {
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    if end == 0 {
        return Err(Fail::Format);
    }
    match text[..end].parse::<i32>() {
        Ok(value) => Ok((i64::from(value), &text[end..])),
        Err(_) => Err(Fail::Field),
    }
}

/// Microseconds of `.digits`.
pub(super) fn fraction(text: &str) -> Step<i64> {
    let digits = text.strip_prefix('.').ok_or(Fail::Format)?;
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Fail::Format);
    }
    if digits.is_empty() {
        return Ok(0);
    }
    let value: f64 = format!("0.{digits}").parse().map_err(|_| Fail::Format)?;
    Ok((value * 1e6).round_ties_even() as i64)
}

/// `hh:mm`, `hh:mm:ss`, `hh:mm:ss.f` or `mm:ss.f`: hours and microseconds below the hour.
pub(super) fn clock(text: &str, hour_digits: usize) -> Step<(i64, i64)> {
    let (first, rest) = text.split_once(':').ok_or(Fail::Format)?;
    if first.is_empty() || first.len() > hour_digits || !first.bytes().all(|b| b.is_ascii_digit()) {
        return Err(if first.len() > hour_digits { Fail::Field } else { Fail::Format });
    }
    let hour: i64 = first.parse().map_err(|_| Fail::Field)?;
    let (minute, rest) = leading_int(rest)?;
    let (hour, minute, second, micros) = match rest.as_bytes().first() {
        None => (hour, minute, 0, 0),
        Some(b'.') => (0, hour, minute, fraction(rest)?),
        Some(b':') => {
            let (second, rest) = leading_int(&rest[1..])?;
            let micros = if rest.is_empty() { 0 } else { fraction(rest)? };
            (hour, minute, second, micros)
        }
        _ => return Err(Fail::Format),
    };
    if minute > 59 || second > 60 || micros > MICROS_PER_SECOND {
        return Err(Fail::Field);
    }
    Ok((hour, (minute * 60 + second) * MICROS_PER_SECOND + micros))
}

/// `+hh`, `+hhmm`, `+hh:mm`, `+hh:mm:ss`: seconds east of UTC.
pub(super) fn displacement(text: &str) -> Step<i32> {
    let negative = text.starts_with('-');
    if !negative && !text.starts_with('+') {
        return Err(Fail::Format);
    }
    let overflow = |fail| if matches!(fail, Fail::Field) { Fail::Displacement } else { fail };
    let (mut hour, mut rest) = leading_int(&text[1..]).map_err(overflow)?;
    let (mut minute, mut second) = (0, 0);
    if let Some(tail) = rest.strip_prefix(':') {
        (minute, rest) = leading_int(tail).map_err(overflow)?;
        if let Some(tail) = rest.strip_prefix(':') {
            (second, rest) = leading_int(tail).map_err(overflow)?;
        }
    } else if rest.is_empty() && text.len() > 3 {
        (hour, minute) = (hour / 100, hour % 100);
    }
    if hour > 15 || minute > 59 || second > 59 {
        return Err(Fail::Displacement);
    }
    if !rest.is_empty() {
        return Err(Fail::Format);
    }
    let east = ((hour * 60 + minute) * 60 + second) as i32;
    Ok(if negative { -east } else { east })
}

/// 22008 for a value beyond a type's range.
pub(super) fn out_of_range<T>(what: &str, text: &str) -> Result<T> {
    Err(Error::client(state::DATETIME_FIELD_OVERFLOW, format!("{what} out of range: \"{text}\"")))
}
