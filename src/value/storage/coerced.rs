//! Values in another form than their column's type has, changed to it because a person said so
//! (`[tables.NAME] coerce`).
//!
//! Owns what is changed, and how. Nothing that could be meant in two ways is: no word such as
//! `now`, no number as a moment, no number cut to fit, no text cut to a length. What is left over
//! does not fit, as without it. Start at [`value`].

use super::{identity, logical, loose, numeric};
use crate::error::Result;
use crate::value::datetime::MICROS_PER_DAY;
use crate::value::numeric::Numeric;
use crate::value::text::{self, utf8};
use crate::value::{CellRef, Datum, Style, Type, oid};

/// What NUL becomes in text.
const NUL_SHOWN: &str = "\u{2400}";

/// The value of a type that a stored cell is changed to; None when there is none.
pub(super) fn value(ty: Type, cell: CellRef<'_>) -> Result<Option<Datum>> {
    Ok(match ty.oid {
        oid::TEXT | oid::VARCHAR | oid::BPCHAR => match cell {
            CellRef::Text(bytes) | CellRef::Blob(bytes) if bytes.contains(&0) => {
                let text = std::str::from_utf8(bytes).ok();
                text.map(|text| Datum::Text(text.replace('\0', NUL_SHOWN)))
            }
            cell => loose::text(ty, cell)?,
        },
        oid::JSON => loose::text(ty, cell)?,
        oid::BYTEA => loose::bytes(cell)?,
        oid::BOOL => loose::bool(trimmed(cell)),
        oid::UUID => loose::uuid(trimmed(cell)),
        oid::JSONB => loose::jsonb(cell)?,
        oid::INT2 | oid::INT4 | oid::INT8 | oid::OID => integer(ty, trimmed(cell))?,
        oid::FLOAT4 | oid::FLOAT8 => match trimmed(cell) {
            CellRef::Text(t) => text::parse(ty, utf8(t)?, &Style::default()).ok(),
            other => identity(ty, other)?,
        },
        oid::NUMERIC => decimal(ty, trimmed(cell)),
        oid::DATE | oid::TIME | oid::TIMESTAMP | oid::TIMESTAMPTZ => moment(ty, trimmed(cell))?,
        _ => identity(ty, trimmed(cell))?,
    })
}

/// Whether it is empty text; for other types than text, blanks are empty, too.
pub(super) fn is_empty(ty: Type, cell: CellRef<'_>) -> bool {
    let text = matches!(ty.oid, oid::TEXT | oid::VARCHAR | oid::BPCHAR);
    let cell = if text { cell } else { trimmed(cell) };
    matches!(cell, CellRef::Text(b"") | CellRef::Blob(b""))
        && (ty.oid != oid::BYTEA || matches!(cell, CellRef::Text(_)))
}

/// Whether a value of a column that coerces is stored in another form than its type has.
pub fn is_changed(ty: Type, cell: CellRef<'_>, datum: &Datum) -> bool {
    match (ty.oid, cell) {
        (_, CellRef::Null) => false,
        _ if datum.is_null() => true,
        (oid::TEXT | oid::VARCHAR | oid::BPCHAR, CellRef::Text(t)) => t.contains(&0),
        (oid::NUMERIC, CellRef::Integer(_) | CellRef::Real(_)) => false,
        (oid::NUMERIC, _) => true,
        (oid::JSON | oid::JSONB, CellRef::Text(_)) => false,
        _ if !matches!(identity(ty, cell), Ok(Some(_))) => true,
        (_, CellRef::Text(_)) => logical(datum).is_ok_and(|own| own.as_ref() != cell),
        _ => false,
    }
}

/// Without blanks around its text.
fn trimmed(cell: CellRef<'_>) -> CellRef<'_> {
    match cell {
        CellRef::Text(t) => CellRef::Text(t.trim_ascii()),
        other => other,
    }
}

fn integer(ty: Type, cell: CellRef<'_>) -> Result<Option<Datum>> {
    let CellRef::Text(text) = cell else { return identity(ty, cell) };
    // Whole numbers only, however they are written: 42, +42, 42.0, 4.2e1.
    let number = std::str::from_utf8(text).ok().and_then(|t| Numeric::parse(t).ok());
    match number.and_then(|n| n.to_scaled(0)) {
        Some(whole) => identity(ty, CellRef::Integer(whole)),
        None => Ok(None),
    }
}

/// A number whose digits the type keeps.
fn decimal(ty: Type, cell: CellRef<'_>) -> Option<Datum> {
    let bare = numeric(Type::new(oid::NUMERIC), cell)?;
    let Some(Datum::Numeric(kept)) = numeric(ty, cell) else { return None };
    let Datum::Numeric(number) = &bare else { return None };
    (kept == *number).then_some(Datum::Numeric(kept))
}

/// A date or time that begins as ISO has it: other spellings can be read in two ways. A zone that
/// the type has not, and a time of day in a date, would be lost.
fn moment(ty: Type, cell: CellRef<'_>) -> Result<Option<Datum>> {
    let CellRef::Text(bytes) = cell else { return Ok(None) };
    let text = utf8(bytes)?;
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let iso = match (ty.oid, text.as_bytes().get(digits)) {
        (oid::TIME, after) => digits <= 2 && after == Some(&b':'),
        (_, after) => digits == 4 && matches!(after, Some(b'-' | b'/')),
    };
    let zone = zone_of(text);
    if !iso || (zone && ty.oid != oid::TIMESTAMPTZ) {
        return Ok(None);
    }
    if ty.oid != oid::DATE {
        return Ok(loose::datetime(ty, cell));
    }
    Ok(match loose::datetime(Type::new(oid::TIMESTAMP), cell) {
        Some(Datum::Timestamp(micros)) if micros % MICROS_PER_DAY == 0 => {
            i32::try_from(micros / MICROS_PER_DAY).ok().map(Datum::Date)
        }
        _ => None,
    })
}

/// Whether a zone follows the time of day.
fn zone_of(text: &str) -> bool {
    text.split_once(':').is_some_and(|(_, rest)| {
        rest.contains(['+', '-']) || rest.contains(|c: char| c.is_ascii_alphabetic())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Codec;
    use crate::value::storage::{decode, encode};

    fn of(type_oid: u32, text: &'static str) -> Option<String> {
        let ty = Type::new(type_oid);
        let datum = decode(Codec::Coerced, ty, CellRef::Text(text.as_bytes())).ok()?;
        let back = encode(Codec::Coerced, ty, &datum).ok()?;
        // What is written back reads as the same.
        assert_eq!(decode(Codec::Coerced, ty, back.as_ref()).ok(), Some(datum.clone()));
        let mut out = Vec::new();
        text::format(&datum, ty, &Style::default(), &mut out);
        String::from_utf8(out).ok()
    }

    fn is(type_oid: u32, text: &'static str, wanted: &str) {
        assert_eq!(of(type_oid, text).as_deref(), Some(wanted), "{text:?} as {type_oid}");
    }

    #[test]
    fn other_forms_are_read() {
        is(oid::INT8, "42", "42");
        is(oid::INT4, " 42.0 ", "42");
        is(oid::FLOAT8, " 1.5", "1.5");
        is(oid::NUMERIC, " 12.50", "12.50");
        is(oid::BOOL, " Yes ", "t");
        is(oid::BOOL, "FALSE", "f");
        is(oid::DATE, " 2024-1-5", "2024-01-05");
        is(oid::DATE, "2024-01-05T00:00:00", "2024-01-05");
        is(oid::TIMESTAMP, "2024/01/05 10:00", "2024-01-05 10:00:00");
        is(oid::TIMESTAMPTZ, "2024-01-05T10:00:00+02:00", "2024-01-05 08:00:00+00");
        is(oid::TIME, " 24:00:00", "24:00:00");
        is(
            oid::UUID,
            " 550E8400-E29B-41D4-A716-446655440000 ",
            "550e8400-e29b-41d4-a716-446655440000",
        );
        is(oid::TEXT, "a\0b", "a\u{2400}b");
    }

    #[test]
    fn what_can_be_meant_in_two_ways_is_not() {
        for (type_oid, text) in [
            (oid::INT8, "3.7"),
            (oid::INT2, "40000"),
            (oid::INT8, ""),
            (oid::INT8, "4 2"),
            (oid::BOOL, "2"),
            (oid::DATE, "now"),
            (oid::DATE, "5.1.2024"),
            (oid::DATE, "2024-01-05 10:00"),
            (oid::DATE, "2024-02-30"),
            (oid::TIMESTAMP, "2024-01-05 10:00:00Z"),
            (oid::TIMESTAMP, "20240105"),
        ] {
            assert_eq!(of(type_oid, text), None, "{text:?} as {type_oid}");
        }
        let real = decode(Codec::Coerced, Type::new(oid::INT8), CellRef::Real(3.7));
        let number = decode(Codec::Coerced, Type::new(oid::DATE), CellRef::Integer(20_240_105));
        assert!(real.is_err() && number.is_err());
        let scaled = Type::with_typmod(oid::NUMERIC, Type::numeric_typmod(10, 2));
        assert!(decode(Codec::Coerced, scaled, CellRef::Text(b"1.234")).is_err());
        assert!(decode(Codec::Coerced, scaled, CellRef::Text(b"1.230")).is_ok());
    }

    #[test]
    fn empty_text_is_null_only_where_that_is_said() {
        let read = |codec, type_oid, text: &'static [u8]| {
            decode(codec, Type::new(type_oid), CellRef::Text(text)).ok()
        };
        assert_eq!(read(Codec::CoercedEmpty, oid::INT8, b" "), Some(Datum::Null));
        assert_eq!(read(Codec::CoercedEmpty, oid::TEXT, b""), Some(Datum::Null));
        assert_eq!(read(Codec::CoercedEmpty, oid::TEXT, b" "), Some(Datum::Text(" ".into())));
        assert_eq!(read(Codec::Coerced, oid::INT8, b""), None);
    }

    #[test]
    fn only_other_forms_count_as_changed() {
        let changed = |type_oid, cell: CellRef<'_>| {
            let ty = Type::new(type_oid);
            is_changed(ty, cell, &decode(Codec::CoercedEmpty, ty, cell).unwrap())
        };
        assert!(!changed(oid::INT8, CellRef::Integer(1)));
        assert!(changed(oid::INT8, CellRef::Text(b"1")));
        assert!(changed(oid::INT8, CellRef::Text(b"")));
        assert!(!changed(oid::BOOL, CellRef::Integer(1)));
        assert!(changed(oid::BOOL, CellRef::Text(b"true")));
        assert!(!changed(oid::DATE, CellRef::Text(b"2024-01-05")));
        assert!(changed(oid::DATE, CellRef::Text(b" 2024-1-5")));
        assert!(!changed(oid::TEXT, CellRef::Text(b"x")));
        assert!(changed(oid::TEXT, CellRef::Integer(1)));
        assert!(changed(oid::TEXT, CellRef::Text(b"x\0")));
        assert!(!changed(oid::NUMERIC, CellRef::Real(0.5)));
        assert!(changed(oid::NUMERIC, CellRef::Text(b"0.5")));
    }
}
