//! Type modifiers: what an assignment or an explicit cast to `varchar(n)`,
//! `numeric(p, s)`, `timestamp(p)` … does to a value.
//!
//! The value must be of the type's family already; this is no cast between types.

use super::text::{cut, integer_range};
use super::{Datum, Interval, Type, bits, datetime, oid, type_name};
use crate::error::{Error, Result, state};

/// Longest name PostgreSQL keeps, in bytes.
const NAME_BYTES: usize = 63;

/// Applies a type's modifier and range. Explicit casts cut strings that are too long,
/// assignments answer 22001 (blanks beyond the end are always cut).
pub fn coerce(datum: Datum, ty: Type, explicit: bool) -> Result<Datum> {
    Ok(match datum {
        Datum::Int(value) => {
            let (low, high) = integer_range(ty.oid);
            let integer =
                matches!(ty.oid, oid::INT2 | oid::INT4 | oid::OID | oid::REGCLASS | oid::REGTYPE);
            if integer && !(low..=high).contains(&value) {
                return Err(Error::client(
                    state::NUMERIC_VALUE_OUT_OF_RANGE,
                    format!("{} out of range", type_name(ty.oid)),
                ));
            }
            datum
        }
        Datum::Text(text) => Datum::Text(match ty.oid {
            oid::BIT | oid::VARBIT => bits::fit(text, ty, explicit)?,
            oid::TIMETZ => match datetime::TimeTz::read(&text) {
                Some(time) => {
                    let micros = round(time.micros, precision(ty));
                    datetime::TimeTz { micros, ..time }.text()
                }
                None => text,
            },
            _ => string(text, ty, explicit)?,
        }),
        Datum::Numeric(value) => match ty.precision_scale() {
            Some((precision, scale)) => Datum::Numeric(value.with_typmod(precision, scale)?),
            None => Datum::Numeric(value),
        },
        Datum::Time(value) => Datum::Time(round(value, precision(ty))),
        Datum::Timestamp(value) => Datum::Timestamp(timestamp(value, ty)?),
        Datum::Timestamptz(value) => Datum::Timestamptz(timestamp(value, ty)?),
        Datum::Interval(value) if ty.oid == oid::INTERVAL => {
            Datum::Interval(interval(value, ty.typmod)?)
        }
        Datum::Array(element, elements) => {
            let inner = Type::with_typmod(element, ty.typmod);
            let elements = elements
                .into_iter()
                .map(|datum| coerce(datum, inner, explicit))
                .collect::<Result<_>>()?;
            Datum::Array(element, elements)
        }
        other => other,
    })
}

fn string(mut text: String, ty: Type, explicit: bool) -> Result<String> {
    if ty.oid == oid::NAME {
        text.truncate(cut(&text, NAME_BYTES).len());
        return Ok(text);
    }
    if let Some(length) = ty.length()
        && text.len() > length
        && let Some((end, _)) = text.char_indices().nth(length)
    {
        if !explicit && text[end..].bytes().any(|b| b != b' ') {
            return Err(Error::client(
                state::STRING_DATA_RIGHT_TRUNCATION,
                format!("value too long for type {}({length})", type_name(ty.oid)),
            ));
        }
        text.truncate(end);
    }
    text.truncate(ty.without_fill(&text).len());
    Ok(text)
}

/// Digits of a fraction of a second: 0 to 6.
fn precision(ty: Type) -> u32 {
    match ty.oid {
        oid::TIME | oid::TIMETZ | oid::TIMESTAMP | oid::TIMESTAMPTZ => {
            u32::try_from(ty.typmod).map_or(6, |p| p.min(6))
        }
        _ => 6,
    }
}

/// Rounds microseconds half away from zero to digits of a second.
fn round(micros: i64, digits: u32) -> i64 {
    let unit = 10i64.pow(6 - digits.min(6));
    if unit == 1 {
        return micros;
    }
    let (whole, rest) = (micros / unit, micros % unit);
    let up = if rest.abs() * 2 >= unit { rest.signum() } else { 0 };
    (whole + up) * unit
}

fn timestamp(micros: i64, ty: Type) -> Result<i64> {
    if micros == i64::MAX || micros == i64::MIN {
        return Ok(micros);
    }
    let rounded = round(micros, precision(ty));
    if datetime::in_range(rounded) { Ok(rounded) } else { Err(datetime::timestamp_out_of_range()) }
}

// Bits of an interval's range in its typmod.
const YEAR: i32 = 1 << 2;
const MONTH: i32 = 1 << 1;
const DAY: i32 = 1 << 3;
const HOUR: i32 = 1 << 10;
const MINUTE: i32 = 1 << 11;
const SECOND: i32 = 1 << 12;

/// `interval [fields] [(p)]`: drops what lies below the last field, rounds seconds.
fn interval(mut value: Interval, typmod: i32) -> Result<Interval> {
    if typmod < 0 {
        return Ok(value);
    }
    let (range, digits) = (typmod >> 16 & 0x7fff, typmod & 0xffff);
    if range != 0x7fff {
        let last = [SECOND, MINUTE, HOUR, DAY, MONTH, YEAR].into_iter().find(|f| range & f != 0);
        match last {
            Some(YEAR) => {
                value = Interval { months: value.months / 12 * 12, days: 0, micros: 0 };
            }
            Some(MONTH) => value = Interval { months: value.months, days: 0, micros: 0 },
            Some(DAY) => value.micros = 0,
            Some(HOUR) => value.micros -= value.micros % (3600 * datetime::MICROS_PER_SECOND),
            Some(MINUTE) => value.micros -= value.micros % (60 * datetime::MICROS_PER_SECOND),
            _ => {}
        }
    }
    if (0..6).contains(&digits) {
        if value.micros.abs() > i64::MAX - datetime::MICROS_PER_SECOND {
            return Err(Error::client(state::DATETIME_FIELD_OVERFLOW, "interval out of range"));
        }
        value.micros = round(value.micros, digits as u32);
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::numeric::Numeric;

    fn text(s: &str, ty: u32, length: i32, explicit: bool) -> Result<Datum> {
        coerce(Datum::Text(s.into()), Type::with_typmod(ty, length + 4), explicit)
    }

    #[test]
    fn strings() {
        let error = text("abcd", oid::VARCHAR, 3, false).unwrap_err();
        assert_eq!(error.message(), "value too long for type character varying(3)");
        let error = text("abcd", oid::BPCHAR, 3, false).unwrap_err();
        assert_eq!(error.message(), "value too long for type character(3)");
        assert_eq!(text("ééé", oid::VARCHAR, 3, false).unwrap(), Datum::Text("ééé".into()));
        assert_eq!(text("abc  ", oid::VARCHAR, 4, false).unwrap(), Datum::Text("abc ".into()));
        assert_eq!(text("abcd", oid::VARCHAR, 3, true).unwrap(), Datum::Text("abc".into()));
        assert_eq!(text("ab ", oid::BPCHAR, 3, false).unwrap(), Datum::Text("ab".into()));
        let name = coerce(Datum::Text("é".repeat(40)), Type::new(oid::NAME), false).unwrap();
        assert_eq!(name, Datum::Text("é".repeat(31)));
    }

    #[test]
    fn numbers_and_times() {
        let ty = Type::with_typmod(oid::NUMERIC, Type::numeric_typmod(5, 2));
        let value = coerce(Datum::Numeric(Numeric::parse("1.005").unwrap()), ty, false).unwrap();
        assert_eq!(value, Datum::Numeric(Numeric::parse("1.01").unwrap()));
        let error = coerce(Datum::Int(40_000), Type::new(oid::INT2), false).unwrap_err();
        assert_eq!(error.message(), "smallint out of range");
        let at = |p| Type::with_typmod(oid::TIMESTAMP, p);
        assert_eq!(
            coerce(Datum::Timestamp(1_500_000), at(0), false).unwrap(),
            Datum::Timestamp(2_000_000)
        );
        assert_eq!(
            coerce(Datum::Timestamp(-1_500_000), at(0), false).unwrap(),
            Datum::Timestamp(-2_000_000)
        );
        assert_eq!(
            coerce(Datum::Timestamp(1_234_567), at(3), false).unwrap(),
            Datum::Timestamp(1_235_000)
        );
        assert_eq!(
            coerce(Datum::Timestamp(i64::MAX), at(3), false).unwrap(),
            Datum::Timestamp(i64::MAX)
        );
        let span = Interval { months: 14, days: 3, micros: 3_723_456_789 };
        let day_only = Type::with_typmod(oid::INTERVAL, DAY << 16 | 0xffff);
        let cut = coerce(Datum::Interval(span), day_only, false).unwrap();
        assert_eq!(cut, Datum::Interval(Interval { months: 14, days: 3, micros: 0 }));
    }
}
