//! Formats that other programs than Crossfade chose for their columns.

use crate::error::{Error, Result};
use crate::value::datetime::{self, MICROS_PER_DAY, MICROS_PER_SECOND, UNIX_TO_EPOCH_SECONDS};
use crate::value::text::{self, utf8};
use crate::value::{Cell, CellRef, Datum, Interval, Style, Type, json, oid};

const UNIX_TO_EPOCH_MICROS: i64 = UNIX_TO_EPOCH_SECONDS * MICROS_PER_SECOND;

fn str_of(bytes: &[u8]) -> Option<&str> {
    utf8(bytes).ok()
}

/// 0 and 1 as numbers, or PostgreSQL's words for a bool.
pub(super) fn bool(cell: CellRef<'_>) -> Option<Datum> {
    match cell {
        CellRef::Integer(i @ 0..=1) => Some(Datum::Bool(i == 1)),
        CellRef::Real(0.0) => Some(Datum::Bool(false)),
        CellRef::Real(1.0) => Some(Datum::Bool(true)),
        CellRef::Text(t) => text::parse_bool(str_of(t)?).ok().map(Datum::Bool),
        _ => None,
    }
}

/// Dates and times as text in any form PostgreSQL reads; without a zone UTC holds.
pub(super) fn datetime(ty: Type, cell: CellRef<'_>) -> Option<Datum> {
    let CellRef::Text(bytes) = cell else { return None };
    let canonical = datetime::parse_canonical(bytes);
    match (ty.oid, canonical) {
        (oid::TIMESTAMP, Some(micros)) => return Some(Datum::Timestamp(micros)),
        (oid::TIMESTAMPTZ, Some(micros)) => return Some(Datum::Timestamptz(micros)),
        (oid::DATE, Some(micros)) => {
            return i32::try_from(micros.div_euclid(MICROS_PER_DAY)).ok().map(Datum::Date);
        }
        _ => {}
    }
    let text = &*super::far::printed(str_of(bytes)?);
    let style = Style::default();
    match ty.oid {
        oid::DATE => datetime::parse_date(text, &style).ok().map(Datum::Date),
        oid::TIME => datetime::parse_time(text, &style).ok().map(Datum::Time),
        oid::TIMESTAMP => datetime::parse_timestamp(text, &style).ok().map(Datum::Timestamp),
        oid::TIMESTAMPTZ => datetime::parse_timestamptz(text, &style).ok().map(Datum::Timestamptz),
        _ => None,
    }
}

/// Units since 1970 as a timestamp or, cut to the day, as a date.
pub(super) fn unix(ty: Type, cell: CellRef<'_>, micros_per_unit: i64) -> Option<Datum> {
    let since_1970 = match cell {
        CellRef::Integer(i) => i.checked_mul(micros_per_unit)?,
        CellRef::Real(r) if r.is_infinite() => {
            return infinite(ty, r > 0.0);
        }
        CellRef::Real(r) => {
            let micros = (r * micros_per_unit as f64).round();
            if micros.abs() >= 9.2e18 {
                return None;
            }
            micros as i64
        }
        _ => return None,
    };
    let micros = since_1970.checked_sub(UNIX_TO_EPOCH_MICROS)?;
    if !datetime::in_range(micros) {
        return None;
    }
    match ty.oid {
        oid::DATE => i32::try_from(micros.div_euclid(MICROS_PER_DAY)).ok().map(Datum::Date),
        oid::TIMESTAMP => Some(Datum::Timestamp(micros)),
        oid::TIMESTAMPTZ => Some(Datum::Timestamptz(micros)),
        _ => None,
    }
}

fn infinite(ty: Type, positive: bool) -> Option<Datum> {
    let micros = if positive { i64::MAX } else { i64::MIN };
    match ty.oid {
        oid::DATE => Some(Datum::Date(if positive { i32::MAX } else { i32::MIN })),
        oid::TIMESTAMP => Some(Datum::Timestamp(micros)),
        oid::TIMESTAMPTZ => Some(Datum::Timestamptz(micros)),
        _ => None,
    }
}

/// The number of units since 1970: INTEGER when whole, else REAL, which holds
/// microseconds exactly enough for some centuries around 1970; 0A000 beyond that.
pub(super) fn to_unix(datum: &Datum, micros_per_unit: i64) -> Result<Cell> {
    let micros = match datum {
        Datum::Date(i32::MAX) | Datum::Timestamp(i64::MAX) | Datum::Timestamptz(i64::MAX) => {
            return Ok(Cell::Real(f64::INFINITY));
        }
        Datum::Date(i32::MIN) | Datum::Timestamp(i64::MIN) | Datum::Timestamptz(i64::MIN) => {
            return Ok(Cell::Real(f64::NEG_INFINITY));
        }
        Datum::Date(days) => i64::from(*days).checked_mul(MICROS_PER_DAY),
        Datum::Timestamp(micros) | Datum::Timestamptz(micros) => Some(*micros),
        _ => return Err(Error::internal("a value that is no timestamp reached its codec")),
    };
    let since_1970 = micros
        .and_then(|m| m.checked_add(UNIX_TO_EPOCH_MICROS))
        .ok_or_else(|| Error::unsupported("a timestamp so far from 1970"))?;
    if since_1970 % micros_per_unit == 0 {
        return Ok(Cell::Integer(since_1970 / micros_per_unit));
    }
    let real = since_1970 as f64 / micros_per_unit as f64;
    if (real * micros_per_unit as f64).round() as i64 != since_1970 {
        return Err(Error::unsupported("a fraction of a second so far from 1970"));
    }
    Ok(Cell::Real(real))
}

/// Microseconds, read as days and the time below a day.
pub(super) fn interval(cell: CellRef<'_>) -> Option<Datum> {
    let CellRef::Integer(micros) = cell else { return None };
    let days = i32::try_from(micros / MICROS_PER_DAY).ok()?;
    Some(Datum::Interval(Interval { months: 0, days, micros: micros % MICROS_PER_DAY }))
}

/// An interval as microseconds; 0A000 with months, whose length is open.
pub(super) fn from_interval(value: &Interval) -> Result<Cell> {
    if value.months != 0 {
        return Err(Error::unsupported("an interval with months in a column of microseconds"));
    }
    i64::from(value.days)
        .checked_mul(MICROS_PER_DAY)
        .and_then(|days| days.checked_add(value.micros))
        .map(Cell::Integer)
        .ok_or_else(|| Error::unsupported("an interval so long in a column of microseconds"))
}

/// A moment's distance from 1970, read as days and the time below a day.
pub(super) fn interval_epoch(cell: CellRef<'_>) -> Option<Datum> {
    let Some(Datum::Timestamp(moment)) = datetime(Type::new(oid::TIMESTAMP), cell) else {
        return None;
    };
    let micros = moment.checked_add(UNIX_TO_EPOCH_MICROS)?;
    interval(CellRef::Integer(micros))
}

/// An interval as a moment; 0A000 with months, whose length is open.
pub(super) fn from_interval_epoch(value: &Interval) -> Result<Cell> {
    let Cell::Integer(micros) = from_interval(value)? else {
        return Err(Error::internal("an interval without a length"));
    };
    let moment = micros
        .checked_sub(UNIX_TO_EPOCH_MICROS)
        .ok_or_else(|| Error::unsupported("an interval so long in a column of moments"))?;
    super::logical(&Datum::Timestamp(moment))
}

/// JSON text, its bytes, or a number that SQLite made of it, as jsonb.
pub(super) fn jsonb(cell: CellRef<'_>) -> Result<Option<Datum>> {
    let document = match cell {
        CellRef::Text(t) | CellRef::Blob(t) => json::canonical(utf8(t)?),
        CellRef::Integer(i) => json::canonical(&i.to_string()),
        CellRef::Real(r) if r.is_finite() => json::canonical(&sqlite_real(r)?),
        _ => return Ok(None),
    };
    Ok(document.ok().map(Datum::Jsonb))
}

/// Bytes; a text's, or those of a number's text: every stored value has some.
pub(super) fn bytes(cell: CellRef<'_>) -> Result<Option<Datum>> {
    Ok(match cell {
        CellRef::Text(b) | CellRef::Blob(b) => Some(Datum::Bytea(b.to_vec())),
        number => match text(Type::new(oid::TEXT), number)? {
            Some(Datum::Text(t)) => Some(Datum::Bytea(t.into_bytes())),
            other => other,
        },
    })
}

/// A uuid as text in any of its forms or as 16 bytes.
pub(super) fn uuid(cell: CellRef<'_>) -> Option<Datum> {
    match cell {
        CellRef::Text(t) => text::parse_uuid(str_of(t)?).ok().map(Datum::Uuid),
        CellRef::Blob(b) => b.try_into().ok().map(Datum::Uuid),
        _ => None,
    }
}

/// Text, or SQLite's text form of a number; a BLOB only when it is valid text.
pub(super) fn text(ty: Type, cell: CellRef<'_>) -> Result<Option<Datum>> {
    let text = match cell {
        CellRef::Text(t) => utf8(t)?.to_owned(),
        CellRef::Integer(i) => i.to_string(),
        CellRef::Real(r) => sqlite_real(r)?,
        CellRef::Blob(b) => match utf8(b) {
            Ok(text) => text.to_owned(),
            Err(_) => return Ok(None),
        },
        CellRef::Null => return Ok(Some(Datum::Null)),
    };
    let text = ty.without_fill(&text).to_owned();
    Ok(Some(if ty.oid == oid::JSON { Datum::Json(text) } else { Datum::Text(text) }))
}

/// SQLite's text form of a REAL: 15 digits when they read back as the same number, else
/// 17, always with a point. (SQLite's own 17th digit is sometimes one off.)
fn sqlite_real(value: f64) -> Result<String> {
    if value.is_infinite() {
        return Ok(if value > 0.0 { "Inf" } else { "-Inf" }.to_owned());
    }
    if value == 0.0 {
        return Ok("0.0".to_owned());
    }
    let print = |digits| {
        let mut out = Vec::new();
        text::float::format_general(value, digits, 17, &mut out);
        String::from_utf8(out).map_err(|_| Error::internal("a number's text is not UTF-8"))
    };
    let mut text = print(15)?;
    if text.parse() != Ok(value) {
        text = print(17)?;
    }
    if let Some(at) = text.find('e') {
        if !text[..at].contains('.') {
            text.insert_str(at, ".0");
        }
    } else if !text.contains('.') {
        text.push_str(".0");
    }
    Ok(text)
}
