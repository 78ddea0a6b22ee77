//! A value of one type as a value of another: of ours as of PostgreSQL's column, and back.
//!
//! Owns what passes between types when the application's own migrations made the column. What
//! would be lost, cut or could be meant in two ways does not pass: no number as a moment, no time
//! of day in a date, no digit beyond what the type keeps. Pure. Start at [`convert`].

use std::borrow::Cow;
use std::sync::Arc;

use super::{family, is_writable};
use crate::error::{Error, Result, state};
use crate::value::datetime::MICROS_PER_DAY;
use crate::value::enums::Enums;
use crate::value::json::{self, Json};
use crate::value::numeric::Numeric;
use crate::value::text::{self, utf8};
use crate::value::{
    CellRef, Codec, Datum, Style, Type, canonical, element_of, is_enum, oid, storage, type_name,
};

/// Characters of a uuid as PostgreSQL shows it.
const UUID_CHARS: usize = 36;

fn no(why: impl Into<Cow<'static, str>>) -> Error {
    Error::shadow(state::DATATYPE_MISMATCH, why)
}

/// Types that hold any text as it is.
fn is_textual(type_oid: u32) -> bool {
    family(type_oid) == oid::TEXT || is_enum(type_oid)
}

fn is_json(type_oid: u32) -> bool {
    matches!(type_oid, oid::JSON | oid::JSONB)
}

fn style() -> Style {
    Style { enums: Arc::new(Enums::trusting()), ..Style::default() }
}

/// The value as one of another type. Lengths and precisions are not its business.
///
/// # Errors
/// Why it does not pass, without the value.
pub(super) fn convert(datum: Datum, from: Type, to: Type) -> Result<Datum> {
    if family(from.oid) == family(to.oid) {
        return Ok(datum);
    }
    match &datum {
        Datum::Null => Ok(datum),
        Datum::Bool(b) => bool(*b, to),
        Datum::Int(i) => number(&Numeric::from(*i), &datum, from, to),
        Datum::Numeric(n) => number(n, &datum, from, to),
        Datum::Float8(f) => number(&Numeric::from_f64(*f), &datum, from, to),
        Datum::Float4(f) => number(&Numeric::from_f32(*f), &datum, from, to),
        Datum::Text(t) => from_text(t, to),
        Datum::Json(t) if to.oid == oid::JSONB => from_text(t, to),
        Datum::Json(t) | Datum::Jsonb(t) if is_textual(to.oid) => Ok(Datum::Text(t.clone())),
        Datum::Json(t) | Datum::Jsonb(t) if is_json(to.oid) => text::parse(to, t, &style()),
        Datum::Json(t) | Datum::Jsonb(t) => from_json(&json::parse(t)?, to),
        Datum::Bytea(bytes) => from_bytes(bytes, to),
        Datum::Uuid(uuid) if to.oid == oid::BYTEA => Ok(Datum::Bytea(uuid.to_vec())),
        // Where its usual form does not fit, the digits alone are meant.
        Datum::Uuid(uuid) if to.length().is_some_and(|n| n < UUID_CHARS) => {
            Ok(Datum::Text(uuid.iter().map(|byte| format!("{byte:02x}")).collect()))
        }
        Datum::Date(_) | Datum::Timestamp(_) | Datum::Timestamptz(_) => moment(datum, from, to),
        Datum::Array(..) if is_textual(to.oid) || is_json(to.oid) => {
            let mut written = String::new();
            to_json(&datum, from).write(&mut written);
            convert(Datum::Text(written), Type::new(oid::TEXT), to)
        }
        _ => through_text(&datum, from, to),
    }
}

/// Whether different values of one type are different ones of another, where they pass. Text is
/// read in many spellings.
pub(super) fn is_one_to_one(from: u32, to: u32) -> bool {
    match family(from) {
        same if same == family(to) => true,
        oid::TEXT => is_textual(to) || to == oid::BYTEA,
        oid::BOOL
        | oid::INT8
        | oid::FLOAT4
        | oid::FLOAT8
        | oid::NUMERIC
        | oid::UUID
        | oid::DATE
        | oid::TIMESTAMP
        | oid::TIMESTAMPTZ => true,
        other => is_enum(other) && is_textual(to),
    }
}

/// Whether a column of PostgreSQL's holds values of another kind than ours, which pass between
/// them by [`convert`].
pub fn is_apart(theirs: u32, ours: Type) -> bool {
    let known = is_writable(theirs) && is_writable(ours.oid) && !is_enum(ours.oid);
    known && family(theirs) != family(ours.oid)
}

/// What PostgreSQL shows of a column of its own type, as a value of ours.
///
/// # Errors
/// When our type cannot hold it.
pub fn back(shown: &str, theirs: u32, ours: Type, style: &Style) -> Result<Datum> {
    if !is_apart(theirs, ours) {
        return text::parse(ours, shown, style);
    }
    let theirs = Type::new(theirs);
    convert(text::parse(theirs, shown, style)?, theirs, ours)
}

/// Whether what a cell of ours stores is what PostgreSQL shows, in whatever form it is stored.
pub fn is_same(cell: CellRef<'_>, codec: Codec, ours: Type, shown: &str, theirs: u32) -> bool {
    let theirs = Type::new(theirs);
    let stored = storage::decode(codec, ours, cell).and_then(|datum| convert(datum, ours, theirs));
    let there = text::parse(theirs, shown, &style());
    matches!((stored, there), (Ok(a), Ok(b)) if canonical::equal(&a, &b, theirs))
}

fn through_text(datum: &Datum, from: Type, to: Type) -> Result<Datum> {
    text::parse(Type::new(to.oid), &shown(datum, from), &style())
}

fn shown(datum: &Datum, ty: Type) -> String {
    let mut out = Vec::new();
    text::format(datum, ty, &style(), &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

fn bool(value: bool, to: Type) -> Result<Datum> {
    let word = if value { "true" } else { "false" };
    match to.oid {
        textual if is_textual(textual) => Ok(Datum::Text(word.to_owned())),
        json if is_json(json) => text::parse(Type::new(json), word, &style()),
        oid::INT2 | oid::INT4 | oid::INT8 | oid::NUMERIC | oid::FLOAT4 | oid::FLOAT8 => {
            let int = Datum::Int(i64::from(value));
            convert(int, Type::new(oid::INT8), to)
        }
        _ => Err(no(format!("a bool is no {}", type_name(to.oid)))),
    }
}

fn number(value: &Numeric, datum: &Datum, from: Type, to: Type) -> Result<Datum> {
    const DIGITS: &str = "more digits than the type keeps";
    match to.oid {
        oid::INT2 | oid::INT4 | oid::INT8 | oid::OID => match value.min_scale() {
            Some(0) => value.to_i64().map(Datum::Int),
            _ => Err(no("digits behind the point")),
        },
        oid::NUMERIC => Ok(Datum::Numeric(value.clone())),
        oid::FLOAT8 => {
            let float = value.to_f64()?;
            let kept = Numeric::from_f64(float) == *value;
            if kept { Ok(Datum::Float8(float)) } else { Err(no(DIGITS)) }
        }
        oid::FLOAT4 => {
            let float = value.to_f32()?;
            let kept = Numeric::from_f32(float) == *value;
            if kept { Ok(Datum::Float4(float)) } else { Err(no(DIGITS)) }
        }
        oid::BOOL if *value == Numeric::from(0_i64) => Ok(Datum::Bool(false)),
        oid::BOOL if *value == Numeric::from(1_i64) => Ok(Datum::Bool(true)),
        oid::BOOL => Err(no("neither 0 nor 1")),
        textual if is_textual(textual) => Ok(Datum::Text(shown(datum, from))),
        json if is_json(json) => through_text(datum, from, to),
        _ => Err(no(format!("a number is no {}: its unit is not known", type_name(to.oid)))),
    }
}

fn from_text(value: &str, to: Type) -> Result<Datum> {
    let bare = Type::new(to.oid);
    let read =
        |ty: u32| storage::decode(Codec::Coerced, Type::new(ty), CellRef::Text(value.as_bytes()));
    match to.oid {
        oid::TIMESTAMP => read(oid::TIMESTAMP).or_else(|error| match read(oid::TIMESTAMPTZ) {
            Ok(Datum::Timestamptz(micros)) => Ok(Datum::Timestamp(micros)),
            _ => Err(error),
        }),
        oid::BOOL
        | oid::UUID
        | oid::INT2
        | oid::INT4
        | oid::INT8
        | oid::OID
        | oid::FLOAT4
        | oid::FLOAT8
        | oid::NUMERIC
        | oid::DATE
        | oid::TIME
        | oid::TIMESTAMPTZ => read(to.oid),
        oid::BYTEA => Ok(Datum::Bytea(value.as_bytes().to_vec())),
        oid::JSONB => {
            json::keeps_all(value)?;
            text::parse(bare, value, &style())
        }
        textual if is_textual(textual) => Ok(Datum::Text(value.to_owned())),
        other if element_of(other).is_some() && value.trim_start().starts_with('[') => {
            from_json(&json::parse(value)?, to)
        }
        _ => text::parse(bare, value, &style()),
    }
}

fn from_bytes(bytes: &[u8], to: Type) -> Result<Datum> {
    match <[u8; 16]>::try_from(bytes) {
        Ok(uuid) if to.oid == oid::UUID => Ok(Datum::Uuid(uuid)),
        _ => from_text(utf8(bytes)?, to),
    }
}

fn moment(datum: Datum, from: Type, to: Type) -> Result<Datum> {
    match (&datum, to.oid) {
        (Datum::Timestamp(micros) | Datum::Timestamptz(micros), oid::DATE)
            if !matches!(*micros, i64::MIN | i64::MAX) && micros % MICROS_PER_DAY != 0 =>
        {
            Err(no("a time of day in a column of dates"))
        }
        (_, oid::TIME | oid::TIMETZ) => Err(no("a date in a column of times")),
        // Without a zone UTC holds, as everywhere.
        (Datum::Timestamp(micros), oid::TIMESTAMPTZ) => Ok(Datum::Timestamptz(*micros)),
        (Datum::Timestamptz(micros), oid::TIMESTAMP) => Ok(Datum::Timestamp(*micros)),
        _ => through_text(&datum, from, to),
    }
}

/// JSON as a value of a type other than text and JSON.
fn from_json(value: &Json, to: Type) -> Result<Datum> {
    match (value, element_of(to.oid)) {
        (Json::Null, _) => Ok(Datum::Null),
        (Json::Array(items), Some(element)) => list(items, element),
        (Json::String(t), _) => from_text(t, to),
        (Json::Number(n), _) => number(n, &Datum::Numeric(n.clone()), Type::new(oid::NUMERIC), to),
        (Json::Bool(b), _) => bool(*b, to),
        _ => Err(no(format!("this JSON is no {}", type_name(to.oid)))),
    }
}

fn list(items: &[Json], element: u32) -> Result<Datum> {
    let ty = Type::new(element);
    let nested = items.iter().filter(|i| matches!(i, Json::Array(_))).count();
    if nested > 0 && !is_json(element) {
        return nested_list(items, element);
    }
    let one = |item: &Json| match item {
        Json::Null => Ok(Datum::Null),
        item if is_json(element) => {
            let mut written = String::new();
            item.write(&mut written);
            text::parse(ty, &written, &style())
        }
        item => from_json(item, ty),
    };
    Ok(Datum::Array(element, items.iter().map(one).collect::<Result<_>>()?))
}

/// An array of further dimensions, which must be alike.
fn nested_list(items: &[Json], element: u32) -> Result<Datum> {
    let mut lists = Vec::with_capacity(items.len());
    for item in items {
        let Json::Array(inner) = item else { return Err(no("lists beside values in an array")) };
        lists.push(list(inner, element)?);
    }
    let first = lists.first().map(sizes);
    match first {
        Some(first) if !first.contains(&0) && lists.iter().all(|l| sizes(l) == first) => {
            Ok(Datum::Array(element, lists))
        }
        _ => Err(no("lists of different lengths in an array")),
    }
}

/// How many elements each dimension has.
fn sizes(datum: &Datum) -> Vec<usize> {
    let Datum::Array(_, items) = datum else { return Vec::new() };
    let mut found = vec![items.len()];
    found.extend(items.first().map(sizes).unwrap_or_default());
    found
}

fn to_json(datum: &Datum, ty: Type) -> Json {
    match datum {
        Datum::Null => Json::Null,
        Datum::Bool(b) => Json::Bool(*b),
        Datum::Int(i) => Json::Number(Numeric::from(*i)),
        Datum::Numeric(n) if n.scale().is_some() => Json::Number(n.clone()),
        Datum::Float8(f) if f.is_finite() => Json::Number(Numeric::from_f64(*f)),
        Datum::Float4(f) if f.is_finite() => Json::Number(Numeric::from_f32(*f)),
        Datum::Array(element, items) => {
            let element = Type::new(*element);
            Json::Array(items.iter().map(|item| to_json(item, element)).collect())
        }
        Datum::Json(t) | Datum::Jsonb(t) => {
            json::parse(t).unwrap_or_else(|_| Json::String(t.clone()))
        }
        other => Json::String(shown(other, ty)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &str, from: u32, to: u32) -> Option<String> {
        let datum = text::parse(Type::new(from), value, &style()).unwrap();
        let made = convert(datum, Type::new(from), Type::new(to)).ok()?;
        Some(if made.is_null() { "NULL".to_owned() } else { shown(&made, Type::new(to)) })
    }

    #[test]
    fn what_keeps_its_meaning_passes() {
        for (value, from, to, wanted) in [
            ("1", oid::INT8, oid::BOOL, Some("t")),
            ("2", oid::INT8, oid::BOOL, None),
            ("t", oid::BOOL, oid::INT4, Some("1")),
            ("t", oid::BOOL, oid::TEXT, Some("true")),
            ("5.00", oid::NUMERIC, oid::INT4, Some("5")),
            ("5.5", oid::NUMERIC, oid::INT4, None),
            ("9007199254740993", oid::INT8, oid::FLOAT8, None),
            ("0.1", oid::FLOAT8, oid::FLOAT4, Some("0.1")),
            ("0.123456789", oid::FLOAT8, oid::FLOAT4, None),
            ("0.1", oid::FLOAT8, oid::NUMERIC, Some("0.1")),
            ("1614834367", oid::INT8, oid::TIMESTAMPTZ, None),
            ("5", oid::INT8, oid::INTERVAL, None),
            ("2021-03-04 00:00:00", oid::TIMESTAMP, oid::DATE, Some("2021-03-04")),
            ("2021-03-04 05:00:00", oid::TIMESTAMP, oid::DATE, None),
            ("2021-03-04 05:00:00", oid::TEXT, oid::DATE, None),
            ("now", oid::TEXT, oid::TIMESTAMPTZ, None),
            ("{\"b\":1, \"a\":{}}", oid::TEXT, oid::JSONB, Some("{\"a\": {}, \"b\": 1}")),
            ("[{\"a\":1, \"a\":2}]", oid::TEXT, oid::JSONB, None),
            ("{\"a\":1, \"a\":2}", oid::JSON, oid::JSONB, None),
            ("2021-03-04T05:06:07+02:00", oid::TEXT, oid::TIMESTAMP, Some("2021-03-04 03:06:07")),
            ("a\\b", oid::TEXT, oid::BYTEA, Some("\\x615c62")),
            ("\\x6162", oid::BYTEA, oid::TEXT, Some("ab")),
            ("\\xff", oid::BYTEA, oid::TEXT, None),
            ("{ \"a\":1}", oid::TEXT, oid::JSONB, Some("{\"a\": 1}")),
            ("{", oid::TEXT, oid::JSONB, None),
            ("[\"a\", null, \"b c\"]", oid::TEXT, oid::TEXT_ARRAY, Some("{a,NULL,\"b c\"}")),
            ("[1, 2]", oid::JSON, oid::INT4_ARRAY, Some("{1,2}")),
            ("[[1, 2], [3, 4]]", oid::JSONB, oid::INT4_ARRAY, Some("{{1,2},{3,4}}")),
            ("[[1], [3, 4]]", oid::JSONB, oid::INT4_ARRAY, None),
            ("{a,b}", oid::TEXT, oid::TEXT_ARRAY, Some("{a,b}")),
            ("null", oid::JSON, oid::TEXT_ARRAY, Some("NULL")),
            ("{a,NULL}", oid::TEXT_ARRAY, oid::TEXT, Some("[\"a\", null]")),
            ("", oid::TEXT, oid::UUID, None),
        ] {
            assert_eq!(of(value, from, to).as_deref(), wanted, "{value} {from} {to}");
        }
    }

    #[test]
    fn what_postgresql_shows_comes_back() {
        for (shown, theirs, ours, wanted) in [
            ("t", oid::BOOL, oid::INT8, Datum::Int(1)),
            ("{1,2}", oid::INT4_ARRAY, oid::TEXT, Datum::Text("[1, 2]".into())),
            ("\\x6162", oid::BYTEA, oid::TEXT, Datum::Text("ab".into())),
            ("5.00", oid::NUMERIC, oid::INT8, Datum::Int(5)),
            ("x", 16_999, oid::TEXT, Datum::Text("x".into())),
        ] {
            assert_eq!(back(shown, theirs, Type::new(ours), &style()).unwrap(), wanted, "{shown}");
        }
    }
}
