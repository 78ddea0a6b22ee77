//! Casts, by PostgreSQL's rules and messages.

use super::args::logical;
use super::datetime::{DAY, day_of, time_of};
use super::{Def, session, strict};
use crate::error::{Error, Result, state};
use crate::value::datetime::TimeTz;
use crate::value::numeric::Numeric;
use crate::value::{
    Cell, CellRef, DateOutput, Datum, Interval, Style, Type, coerce, datetime, element_of, network,
    oid, range, type_name,
};

pub(super) const FUNCTIONS: &[Def] = &[
    // pg_cast(value, from, to)
    strict("pg_cast", 3, |a| {
        let (from, to) = (a.oid(1)?, a.oid(2)?);
        let session = session::current();
        let datum = convert(a.datum(0, from)?, from, to, &session.style)?;
        logical(&datum, to)
    }),
    // pg_moment_text(value, type): the cell is the text already, unless the session prints
    // dates in another style.
    strict("pg_moment_text", 2, |a| {
        let session = session::current();
        let far = matches!(a.cell(0), CellRef::Text([b'.' | b':', ..]));
        if session.style.date_output == DateOutput::Iso && !far {
            return Ok(super::args::owned(a.cell(0)));
        }
        let from = a.oid(1)?;
        let datum = a.datum(0, from)?;
        super::args::text(text_of(&datum, from, &session.style)?)
    }),
    // pg_typmod(value, type, modifier, explicit)
    strict("pg_typmod", 4, |a| {
        let ty = a.ty(1)?;
        let datum = coerce(a.datum(0, ty.oid)?, ty, a.bool(3)?)?;
        logical(&datum, ty.oid)
    }),
    strict("pg_bpchar_pad", 2, |a| {
        let text = a.text(0)?;
        let width = Type::with_typmod(oid::BPCHAR, i32::try_from(a.int(1)?).unwrap_or(-1)).length();
        let missing = width.unwrap_or(0).saturating_sub(text.chars().count());
        Ok(Cell::Text(format!("{text}{}", " ".repeat(missing))))
    }),
];

fn beyond(name: &'static str) -> Error {
    super::integer::out_of_range(name)
}

fn refused(from: u32, to: u32) -> Error {
    Error::client(
        state::CANNOT_COERCE,
        format!("cannot cast type {} to {}", type_name(from), type_name(to)),
    )
}

/// A value of one type as a value of another, without the target's modifier.
pub(super) fn convert(datum: Datum, from: u32, to: u32, style: &Style) -> Result<Datum> {
    if datum.is_null() || from == to {
        return Ok(datum);
    }
    if let (Datum::Text(text), oid::CIDR, oid::INET) = (&datum, from, to) {
        let network = network::read(text).map(|n| n.text(false));
        return Ok(Datum::Text(network.unwrap_or_else(|| text.clone())));
    }
    if is_text(to) {
        let text = Datum::Text(text_of(&datum, from, style)?);
        // A name is cut to its length, which is no modifier.
        return if to == oid::NAME { coerce(text, Type::new(to), true) } else { Ok(text) };
    }
    if let Datum::Text(text) = &datum
        && (is_text(from) || from == oid::UNKNOWN)
    {
        return crate::value::text::parse(Type::new(to), text, style);
    }
    match to {
        oid::INT2 | oid::INT4 | oid::INT8 | oid::OID => integer(&datum, from, to),
        oid::FLOAT4 | oid::FLOAT8 => float(&datum, from, to),
        oid::NUMERIC => match (&datum, from) {
            (Datum::Jsonb(json), _) => json_number(json, to),
            _ => Ok(Datum::Numeric(super::math::to_numeric(&datum)?)),
        },
        oid::BOOL => match &datum {
            Datum::Int(n) => Ok(Datum::Bool(*n != 0)),
            Datum::Jsonb(json) => match json.as_str() {
                "true" => Ok(Datum::Bool(true)),
                "false" => Ok(Datum::Bool(false)),
                _ => Err(json_refused(json, to)),
            },
            _ => Err(refused(from, to)),
        },
        oid::TIMETZ => zoned_time(&datum, from, style),
        oid::TIME if from == oid::TIMETZ => match &datum {
            Datum::Text(text) => Ok(Datum::Time(TimeTz::read(text).map_or(0, |t| t.micros))),
            _ => Err(refused(from, to)),
        },
        oid::CIDR => match &datum {
            Datum::Text(text) if from == oid::INET => network::read(text)
                .map(|n| Datum::Text(n.network().text(true)))
                .ok_or_else(|| refused(from, to)),
            _ => Err(refused(from, to)),
        },
        oid::BIT | oid::VARBIT => match datum {
            Datum::Text(bits) if matches!(from, oid::BIT | oid::VARBIT) => Ok(Datum::Text(bits)),
            _ => Err(refused(from, to)),
        },
        oid::DATE | oid::TIME | oid::TIMESTAMP | oid::TIMESTAMPTZ | oid::INTERVAL => {
            moment(&datum, from, to, style)
        }
        oid::JSON => match datum {
            Datum::Jsonb(text) => Ok(Datum::Json(text)),
            _ => Err(refused(from, to)),
        },
        oid::JSONB => match &datum {
            Datum::Json(text) => crate::value::text::parse(Type::new(oid::JSONB), text, style),
            _ => Err(refused(from, to)),
        },
        oid::CHAR => match &datum {
            Datum::Int(n) => i8::try_from(*n)
                .map(|b| {
                    Datum::Text(if b == 0 {
                        String::new()
                    } else {
                        char::from(b as u8).to_string()
                    })
                })
                .map_err(|_| {
                    Error::client(state::NUMERIC_VALUE_OUT_OF_RANGE, "\"char\" out of range")
                }),
            _ => Err(refused(from, to)),
        },
        many if range::range_of(many).is_some() => match datum {
            Datum::Range(of, range) => Ok(Datum::Multirange(of, range::union_all(vec![*range])?)),
            _ => Err(refused(from, to)),
        },
        _ => match (element_of(from), element_of(to), datum) {
            (Some(a), Some(b), Datum::Array(_, items)) => {
                let each = |item| match item {
                    Datum::Array(..) => convert(item, from, to, style),
                    item => convert(item, a, b, style),
                };
                Ok(Datum::Array(b, items.into_iter().map(each).collect::<Result<Vec<_>>>()?))
            }
            (.., Datum::Int(n)) => Ok(Datum::Int(n)),
            _ => Err(refused(from, to)),
        },
    }
}

fn is_text(type_oid: u32) -> bool {
    matches!(
        type_oid,
        oid::TEXT | oid::VARCHAR | oid::BPCHAR | oid::NAME | oid::CITEXT | oid::UNKNOWN
    )
}

/// A value's text form.
pub(super) fn text_of(datum: &Datum, from: u32, style: &Style) -> Result<String> {
    // The casts from inet and boolean show more than the output functions do.
    if let (Datum::Text(text), oid::INET) = (datum, from)
        && let Some(network) = network::read(text)
    {
        return Ok(network.text(true));
    }
    if let Datum::Bool(b) = datum {
        return Ok((if *b { "true" } else { "false" }).to_owned());
    }
    let mut out = Vec::new();
    crate::value::text::format(datum, Type::new(from), style, &mut out);
    String::from_utf8(out).map_err(|_| Error::internal("text form is not UTF-8"))
}

fn integer(datum: &Datum, from: u32, to: u32) -> Result<Datum> {
    let (min, max, name) = match to {
        oid::INT2 => (i64::from(i16::MIN), i64::from(i16::MAX), "smallint"),
        oid::INT4 => (i64::from(i32::MIN), i64::from(i32::MAX), "integer"),
        oid::OID => (0, i64::from(u32::MAX), "OID"),
        _ => (i64::MIN, i64::MAX, "bigint"),
    };
    let n = match datum {
        Datum::Int(n) => *n,
        Datum::Bool(b) => i64::from(*b),
        Datum::Numeric(n) => match n.to_i64() {
            Err(e) if e.sqlstate() == state::NUMERIC_VALUE_OUT_OF_RANGE => {
                return Err(beyond(name));
            }
            Err(e) if e.sqlstate() == state::FEATURE_NOT_SUPPORTED => {
                let what = if n.is_nan() { "NaN" } else { "infinity" };
                return Err(Error::client(
                    state::FEATURE_NOT_SUPPORTED,
                    format!("cannot convert {what} to {name}"),
                ));
            }
            other => other?,
        },
        Datum::Float4(x) => whole(f64::from(*x), name)?,
        Datum::Float8(x) => whole(*x, name)?,
        Datum::Jsonb(json) => match json_number(json, to)? {
            Datum::Numeric(n) => n.to_i64().map_err(|_| beyond(name))?,
            other => return Ok(other),
        },
        Datum::Text(bits) if matches!(from, oid::BIT | oid::VARBIT) => {
            let width = if to == oid::INT4 { 32 } else { 64 };
            return bits_to_integer(bits, width, name);
        }
        Datum::Text(text) if from == oid::CHAR => {
            text.bytes().next().map_or(0, |b| i64::from(b as i8))
        }
        _ => return Err(refused(from, to)),
    };
    if (min..=max).contains(&n) { Ok(Datum::Int(n)) } else { Err(beyond(name)) }
}

/// The bits from the right, the first of a full width being the sign.
fn bits_to_integer(bits: &str, width: usize, name: &'static str) -> Result<Datum> {
    if bits.len() > width {
        return Err(beyond(name));
    }
    let number = bits.bytes().fold(0u64, |n, bit| n << 1 | u64::from(bit == b'1'));
    Ok(Datum::Int(if width == 32 { i64::from(number as u32 as i32) } else { number as i64 }))
}

/// A time or an instant with the session's offset.
fn zoned_time(datum: &Datum, from: u32, style: &Style) -> Result<Datum> {
    let at = |instant| datetime::offset_at(&style.timezone, instant);
    let time = match datum {
        Datum::Time(micros) => TimeTz { micros: *micros, east: at(style.now.unwrap_or_default()) },
        Datum::Timestamptz(t) if is_infinite(*t) => return Ok(Datum::Null),
        Datum::Timestamptz(t) => TimeTz { micros: time_of(to_local(*t, style)?), east: at(*t) },
        _ => return Err(refused(from, oid::TIMETZ)),
    };
    Ok(Datum::Text(time.text()))
}

/// Halves go to the even neighbour, as C's rint does.
fn whole(x: f64, name: &'static str) -> Result<i64> {
    let x = x.round_ties_even();
    // 2^63 itself is the first float beyond.
    if x.is_nan() || !(-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&x) {
        return Err(beyond(name));
    }
    Ok(x as i64)
}

fn float(datum: &Datum, from: u32, to: u32) -> Result<Datum> {
    let x = match datum {
        Datum::Int(n) if to == oid::FLOAT4 => return Ok(Datum::Float4(*n as f32)),
        Datum::Int(n) => *n as f64,
        Datum::Float4(x) => f64::from(*x),
        Datum::Float8(x) => *x,
        Datum::Numeric(n) => return numeric_float(n, to),
        Datum::Jsonb(json) => match json_number(json, to)? {
            Datum::Numeric(n) => return numeric_float(&n, to),
            other => return Ok(other),
        },
        _ => return Err(refused(from, to)),
    };
    Ok(if to == oid::FLOAT4 { Datum::Float4(super::float::narrow(x)?) } else { Datum::Float8(x) })
}

/// Through the text form, so that the nearest float of the target's width is met.
fn numeric_float(n: &Numeric, to: u32) -> Result<Datum> {
    let style = Style::default();
    crate::value::text::parse(Type::new(to), &n.to_string(), &style)
}

fn json_number(json: &str, to: u32) -> Result<Datum> {
    match json.bytes().next() {
        Some(b'-' | b'0'..=b'9') => Ok(Datum::Numeric(Numeric::parse(json)?)),
        _ => Err(json_refused(json, to)),
    }
}

fn json_refused(json: &str, to: u32) -> Error {
    let kind = match json.bytes().next() {
        Some(b'{') => "object",
        Some(b'[') => "array",
        Some(b'"') => "string",
        Some(b't' | b'f') => "boolean",
        Some(b'n') => "null",
        _ => "numeric",
    };
    Error::client(
        state::INVALID_PARAMETER_VALUE,
        format!("cannot cast jsonb {kind} to type {}", type_name(to)),
    )
}

fn is_infinite(t: i64) -> bool {
    t == i64::MAX || t == i64::MIN
}

/// Between dates, times, timestamps and intervals.
fn moment(datum: &Datum, from: u32, to: u32, style: &Style) -> Result<Datum> {
    Ok(match (datum, to) {
        (Datum::Date(d), oid::TIMESTAMP) => Datum::Timestamp(start_of(*d)?),
        (Datum::Date(d), oid::TIMESTAMPTZ) => Datum::Timestamptz(to_utc(start_of(*d)?, style)?),
        (Datum::Timestamp(t), oid::DATE) => Datum::Date(day_of(*t)?),
        (Datum::Timestamp(t), oid::TIMESTAMPTZ) => Datum::Timestamptz(to_utc(*t, style)?),
        (Datum::Timestamp(t), oid::TIME) if is_infinite(*t) => Datum::Null,
        (Datum::Timestamp(t), oid::TIME) => Datum::Time(time_of(*t)),
        (Datum::Timestamptz(t), oid::TIMESTAMP) => Datum::Timestamp(to_local(*t, style)?),
        (Datum::Timestamptz(t), oid::DATE) => Datum::Date(day_of(to_local(*t, style)?)?),
        (Datum::Timestamptz(t), oid::TIME) if is_infinite(*t) => Datum::Null,
        (Datum::Timestamptz(t), oid::TIME) => Datum::Time(time_of(to_local(*t, style)?)),
        (Datum::Time(t), oid::INTERVAL) => {
            Datum::Interval(Interval { months: 0, days: 0, micros: *t })
        }
        (Datum::Interval(span), oid::TIME) => Datum::Time(span.micros.rem_euclid(DAY)),
        _ => return Err(refused(from, to)),
    })
}

/// Midnight of a date as a timestamp.
pub(super) fn start_of(days: i32) -> Result<i64> {
    match days {
        i32::MAX => Ok(i64::MAX),
        i32::MIN => Ok(i64::MIN),
        _ => i64::from(days).checked_mul(DAY).ok_or_else(|| {
            Error::client(state::DATETIME_FIELD_OVERFLOW, "date out of range for timestamp")
        }),
    }
}

/// A local timestamp in the session's zone as an instant.
pub(super) fn to_utc(local: i64, style: &Style) -> Result<i64> {
    if is_infinite(local) { Ok(local) } else { datetime::local_to_utc(&style.timezone, local) }
}

/// An instant as a local timestamp in the session's zone.
pub(super) fn to_local(instant: i64, style: &Style) -> Result<i64> {
    if is_infinite(instant) {
        Ok(instant)
    } else {
        datetime::utc_to_local(&style.timezone, instant)
    }
}
