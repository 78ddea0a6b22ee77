//! Codecs: what SQLite stores ↔ the logical value.
//!
//! Owns both directions of every `schema::Codec` and of the logical cell
//! (`Codec::Identity`). A stored value that does not fit its type is an error that never
//! repeats the value; nothing is guessed from a value's look. Start at [`decode`] and
//! [`encode`].

mod among;
mod coerced;
mod far;
mod loose;

pub use coerced::is_changed;
pub use far::printed as shown_moment;

use super::numeric::Numeric;
use super::text::{format_uuid, utf8};
use super::{
    Cell, CellRef, Codec, Datum, IntervalStyle, Style, Type, array, datetime, element_of, oid,
};
use super::{json, text, type_name};
use crate::error::{Culprit, Error, Result, state};

/// XX001 for a stored cell that its column's type cannot mean.
fn misfit(ty: Type, cell: CellRef<'_>) -> Error {
    Error::new(
        Culprit::Primary,
        state::DATA_CORRUPTED,
        format!("stored value of class {} does not fit type {}", cell.class(), type_name(ty.oid)),
    )
}

/// The logical value of a stored cell; XX001 when it has none, 22021 for invalid text.
pub fn decode(codec: Codec, ty: Type, cell: CellRef<'_>) -> Result<Datum> {
    if cell == CellRef::Null {
        return Ok(Datum::Null);
    }
    let datum = match codec {
        Codec::Among(among) => return decode(among.plain(), ty, cell),
        Codec::Identity | Codec::Caseless => identity(ty, cell)?,
        Codec::NumericNative | Codec::NumericText | Codec::NumericAny => numeric(ty, cell),
        Codec::NumericScaled => match cell {
            CellRef::Integer(i) => {
                let scale = ty.precision_scale().map_or(0, |(_, s)| s.max(0) as u32);
                Some(Datum::Numeric(Numeric::Finite(i.into(), scale)))
            }
            _ => numeric(ty, cell),
        },
        Codec::BoolLoose => loose::bool(cell),
        Codec::DateTimeLoose => loose::datetime(ty, cell),
        Codec::UnixSeconds => loose::unix(ty, cell, datetime::MICROS_PER_SECOND),
        Codec::UnixMillis => loose::unix(ty, cell, 1000),
        Codec::IntervalMicros => loose::interval(cell),
        Codec::IntervalEpoch => loose::interval_epoch(cell),
        Codec::UuidHex | Codec::UuidBlob | Codec::UuidLoose => loose::uuid(cell),
        Codec::JsonLoose => loose::jsonb(cell)?,
        Codec::BytesLoose => loose::bytes(cell)?,
        Codec::TextLoose => loose::text(ty, cell)?,
        Codec::Coerced => coerced::value(ty, cell)?,
        Codec::CoercedEmpty if coerced::is_empty(ty, cell) => Some(Datum::Null),
        Codec::CoercedEmpty => coerced::value(ty, cell)?,
    };
    datum.ok_or_else(|| misfit(ty, cell))
}

/// A numeric however it is stored, with the declared scale where there is one.
fn numeric(ty: Type, cell: CellRef<'_>) -> Option<Datum> {
    let value = match cell {
        CellRef::Integer(i) => Numeric::from(i),
        CellRef::Real(r) => of_real(ty, r),
        CellRef::Text(t) => Numeric::parse(std::str::from_utf8(t).ok()?).ok()?,
        _ => return None,
    };
    Some(Datum::Numeric(match ty.precision_scale() {
        Some((_, scale)) => value.round(scale),
        None => value,
    }))
}

/// The decimal that a stored REAL means: of a column of integers all of its digits.
fn of_real(ty: Type, real: f64) -> Numeric {
    match ty.precision_scale() {
        Some((_, scale)) if scale != 0 => Numeric::from_f64(real),
        _ => Numeric::from_whole_f64(real),
    }
}

/// The value of a logical cell.
fn identity(ty: Type, cell: CellRef<'_>) -> Result<Option<Datum>> {
    Ok(match (ty.oid, cell) {
        (oid::BOOL, CellRef::Integer(i @ 0..=1)) => Some(Datum::Bool(i == 1)),
        (
            oid::INT2
            | oid::INT4
            | oid::INT8
            | oid::OID
            | oid::XID
            | oid::CID
            | oid::REGCLASS
            | oid::REGTYPE
            | oid::REGPROC
            | oid::REGNAMESPACE,
            _,
        ) => integer(ty, cell)?,
        (oid::FLOAT4, CellRef::Real(r)) => Some(Datum::Float4(r as f32)),
        (oid::FLOAT4, CellRef::Integer(i)) => Some(Datum::Float4(i as f32)),
        (oid::FLOAT8, CellRef::Real(r)) => Some(Datum::Float8(r)),
        (oid::FLOAT8, CellRef::Integer(i)) => Some(Datum::Float8(i as f64)),
        // SQLite has no NaN; the word sorts behind every number and equals itself, as it must.
        (oid::FLOAT4, CellRef::Text(b"NaN")) => Some(Datum::Float4(f32::NAN)),
        (oid::FLOAT8, CellRef::Text(b"NaN")) => Some(Datum::Float8(f64::NAN)),
        (oid::NUMERIC, _) => numeric(Type::new(oid::NUMERIC), cell),
        (oid::BYTEA, CellRef::Blob(b)) => Some(Datum::Bytea(b.to_vec())),
        (oid::UUID, CellRef::Text(t)) => text::parse_uuid(utf8(t)?).ok().map(Datum::Uuid),
        (oid::DATE | oid::TIME | oid::TIMESTAMP | oid::TIMESTAMPTZ, CellRef::Text(_)) => {
            loose::datetime(ty, cell)
        }
        // A file that another program wrote may hold any of their spellings.
        (oid::INET | oid::CIDR | oid::MACADDR, CellRef::Text(t)) => {
            text::parse(ty, utf8(t)?, &Style::default()).ok()
        }
        (oid::INTERVAL, CellRef::Text(t)) => {
            datetime::parse_interval(utf8(t)?, &Style::default()).ok().map(Datum::Interval)
        }
        (oid::JSON, CellRef::Text(t)) => Some(Datum::Json(utf8(t)?.to_owned())),
        (oid::JSONB, CellRef::Text(t)) => json::canonical(utf8(t)?).ok().map(Datum::Jsonb),
        (oid::BPCHAR, CellRef::Text(t)) => Some(Datum::Text(ty.without_fill(utf8(t)?).to_owned())),
        (range, CellRef::Text(t)) if super::is_range(range) => {
            super::range::parse(range, utf8(t)?, &Style::default()).ok()
        }
        (row, CellRef::Text(t)) if super::is_composite(row) => {
            Some(super::composite::datum(utf8(t)?)?)
        }
        (_, CellRef::Text(t)) => match element_of(ty.oid) {
            Some(element) => elements(element, utf8(t)?),
            None if is_text(ty.oid) => Some(Datum::Text(utf8(t)?.to_owned())),
            None => None,
        },
        _ => None,
    })
}

/// Types whose logical cell is their text as it is.
pub(super) fn is_text(type_oid: u32) -> bool {
    !matches!(
        type_oid,
        oid::BOOL
            | oid::INT2
            | oid::INT4
            | oid::INT8
            | oid::OID
            | oid::XID
            | oid::CID
            | oid::REGCLASS
            | oid::REGTYPE
            | oid::REGPROC
            | oid::REGNAMESPACE
            | oid::FLOAT4
            | oid::FLOAT8
            | oid::NUMERIC
            | oid::BYTEA
            | oid::DATE
            | oid::TIME
            | oid::TIMESTAMP
            | oid::TIMESTAMPTZ
            | oid::INTERVAL
            | oid::UUID
            | oid::JSONB
            | oid::INET
            | oid::CIDR
            | oid::MACADDR
    ) && element_of(type_oid).is_none()
        && !super::is_composite(type_oid)
        && !super::is_range(type_oid)
}

fn integer(ty: Type, cell: CellRef<'_>) -> Result<Option<Datum>> {
    let reg = matches!(ty.oid, oid::REGCLASS | oid::REGTYPE | oid::REGPROC | oid::REGNAMESPACE);
    let value = match cell {
        CellRef::Integer(i) => i,
        // An expression that SQLite computed as REAL but that is whole.
        CellRef::Real(r) if r.trunc() == r && r.abs() < 9.007_199_254_740_992e15 => r as i64,
        // A reg* value may travel as the name it prints as.
        CellRef::Text(t) if reg => return Ok(Some(Datum::Text(utf8(t)?.to_owned()))),
        _ => return Ok(None),
    };
    let (low, high) = text::integer_range(ty.oid);
    if !(low..=high).contains(&value) {
        return Err(Error::client(
            state::NUMERIC_VALUE_OUT_OF_RANGE,
            format!("{} out of range", type_name(ty.oid)),
        ));
    }
    Ok(Some(Datum::Int(value)))
}

fn elements(element: u32, text: &str) -> Option<Datum> {
    Some(Datum::Array(element, data(element, &array::decode_nested(element, text).ok()?)?))
}

/// The values of a list; those of further dimensions are arrays themselves.
fn data(element: u32, items: &[array::Item]) -> Option<Vec<Datum>> {
    let ty = Type::new(element);
    items
        .iter()
        .map(|item| match item {
            array::Item::Cell(cell) => decode(Codec::Identity, ty, cell.as_ref()).ok(),
            array::Item::List(inner) => Some(Datum::Array(element, data(element, inner)?)),
        })
        .collect()
}

/// The cell to store for a logical value of a type; `Identity` gives the logical cell.
/// 0A000 for values a foreign format cannot hold.
pub fn encode(codec: Codec, ty: Type, datum: &Datum) -> Result<Cell> {
    match (codec, datum) {
        (_, Datum::Null) => Ok(Cell::Null),
        (Codec::Among(form), _) => among::encode(form, ty, datum),
        (Codec::Identity, _) => logical(datum),
        (Codec::Caseless, Datum::Text(text)) if text::folds_beyond_ascii(text) => {
            Err(Error::unsupported("a capital letter beyond ASCII in a column of type citext"))
        }
        (Codec::Caseless, _) => logical(datum),
        (
            Codec::NumericNative | Codec::NumericScaled | Codec::NumericText | Codec::NumericAny,
            Datum::Numeric(value),
        ) => encode_numeric(codec, ty, value),
        (Codec::BoolLoose, Datum::Bool(b)) => Ok(Cell::Integer(i64::from(*b))),
        (Codec::DateTimeLoose, _) => logical(datum),
        (Codec::UnixSeconds, _) => loose::to_unix(datum, datetime::MICROS_PER_SECOND),
        (Codec::UnixMillis, _) => loose::to_unix(datum, 1000),
        (Codec::IntervalMicros, Datum::Interval(value)) => loose::from_interval(value),
        (Codec::IntervalEpoch, Datum::Interval(value)) => loose::from_interval_epoch(value),
        (Codec::JsonLoose, Datum::Jsonb(_)) => logical(datum),
        (Codec::UuidHex, Datum::Uuid(bytes)) => {
            let mut hex = Vec::with_capacity(32);
            text::push_hex(bytes, &mut hex);
            into_text(hex)
        }
        (Codec::UuidBlob, Datum::Uuid(bytes)) => Ok(Cell::Blob(bytes.to_vec())),
        (Codec::UuidLoose, Datum::Uuid(_))
        | (Codec::BytesLoose, Datum::Bytea(_))
        | (Codec::TextLoose, _) => logical(datum),
        // Of numbers, the form that a column of any affinity keeps.
        (Codec::Coerced | Codec::CoercedEmpty, Datum::Numeric(value)) => {
            encode_numeric(Codec::NumericNative, ty, value)
                .or_else(|_| encode_numeric(Codec::NumericAny, ty, value))
        }
        (Codec::Coerced | Codec::CoercedEmpty, _) => logical(datum),
        _ => Err(Error::internal("a value of another type than the column's reached its codec")),
    }
}

fn encode_numeric(codec: Codec, ty: Type, value: &Numeric) -> Result<Cell> {
    let value = match ty.precision_scale() {
        Some((precision, scale)) => value.with_typmod(precision, scale)?,
        None => value.clone(),
    };
    let Numeric::Finite(unscaled, _) = &value else {
        return Ok(match (codec, &value) {
            (Codec::NumericNative, Numeric::Infinity) => Cell::Real(f64::INFINITY),
            (Codec::NumericNative, Numeric::NegInfinity) => Cell::Real(f64::NEG_INFINITY),
            // A word keeps its class even in a column of numeric affinity, and sorts last.
            _ => Cell::Text(value.to_string()),
        });
    };
    match codec {
        Codec::NumericNative => {
            if let Some(whole) = value.to_scaled(0) {
                return Ok(Cell::Integer(whole));
            }
            let real = value.to_f64()?;
            if of_real(ty, real) != value {
                return Err(Error::client(
                    state::NUMERIC_VALUE_OUT_OF_RANGE,
                    "numeric value has more digits than its column can hold exactly",
                ));
            }
            Ok(Cell::Real(real))
        }
        Codec::NumericScaled => i64::try_from(unscaled).map(Cell::Integer).map_err(|_| {
            Error::client(state::NUMERIC_VALUE_OUT_OF_RANGE, "numeric field overflow")
        }),
        _ => Ok(Cell::Text(value.to_string())),
    }
}

fn into_text(bytes: Vec<u8>) -> Result<Cell> {
    String::from_utf8(bytes)
        .map(Cell::Text)
        .map_err(|_| Error::internal("a text form that is not UTF-8"))
}

fn printed(print: impl FnOnce(&mut Vec<u8>)) -> Result<Cell> {
    let mut out = Vec::with_capacity(32);
    print(&mut out);
    into_text(out)
}

/// A moment's text, so that texts sort as the moments do.
fn moment(print: impl FnOnce(&mut Vec<u8>)) -> Result<Cell> {
    Ok(match printed(print)? {
        Cell::Text(text) => Cell::Text(far::sortable(text)),
        other => other,
    })
}

/// The cell of an array whose elements are arrays.
fn nested(elements: &[Datum]) -> Result<Cell> {
    let mut lists = Vec::with_capacity(elements.len());
    for element in elements {
        match logical(element)? {
            Cell::Text(list) if matches!(element, Datum::Array(..)) => lists.push(list),
            _ => return Err(Error::internal("an array of uneven depth")),
        }
    }
    Ok(Cell::Text(format!("[{}]", lists.join(","))))
}

/// The logical cell of a value.
fn logical(datum: &Datum) -> Result<Cell> {
    let real = |value: f64| {
        if value.is_nan() { Ok(Cell::Text("NaN".to_owned())) } else { Ok(Cell::Real(value)) }
    };
    match datum {
        Datum::Null => Ok(Cell::Null),
        Datum::Bool(b) => Ok(Cell::Integer(i64::from(*b))),
        Datum::Int(i) => Ok(Cell::Integer(*i)),
        Datum::Float4(f) => real(f64::from(*f)),
        Datum::Float8(f) => real(*f),
        Datum::Numeric(n) => Ok(Cell::Text(n.to_string())),
        Datum::Text(t) | Datum::Json(t) | Datum::Jsonb(t) => Ok(Cell::Text(t.clone())),
        Datum::Bytea(b) => Ok(Cell::Blob(b.clone())),
        Datum::Date(d) => moment(|out| datetime::format_date(*d, out)),
        Datum::Time(t) => printed(|out| datetime::format_time(*t, out)),
        Datum::Timestamp(t) | Datum::Timestamptz(t) => {
            moment(|out| datetime::format_timestamp(*t, out))
        }
        Datum::Interval(i) => {
            printed(|out| datetime::format_interval(i, IntervalStyle::Postgres, out))
        }
        Datum::Uuid(u) => printed(|out| format_uuid(u, out)),
        Datum::Array(_, elements) => {
            if elements.iter().any(|e| matches!(e, Datum::Array(..))) {
                return nested(elements);
            }
            let cells = elements.iter().map(logical).collect::<Result<Vec<_>>>()?;
            array::encode(cells.iter().map(Cell::as_ref)).map(Cell::Text)
        }
        Datum::Record(fields) => {
            let cells = fields.iter().map(|(ty, value)| Ok((*ty, logical(value)?)));
            super::composite::encode(&cells.collect::<Result<Vec<_>>>()?).map(Cell::Text)
        }
        Datum::Range(..) | Datum::Multirange(..) => {
            printed(|out| text::format(datum, Type::new(oid::UNKNOWN), &Style::default(), out))
        }
    }
}

#[cfg(test)]
mod tests;
