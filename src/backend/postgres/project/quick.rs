//! Stored cells fed to a hash as they are, where that is what the projected values would feed.
//!
//! Owns the short way for the forms that most columns have. It must never feed other bytes than
//! `canonical::hash` does for the value that [`Projection::project`] gives: where that is not
//! certain the row takes the long way. Start at [`Quick::of`].

use super::{Projection, Target, family};
use crate::schema::Codec;
use crate::value::canonical::{self, Feed};
use crate::value::datetime::{MICROS_PER_DAY, parse_canonical};
use crate::value::{CellRef, Type, oid, text};

/// Powers of ten that a double holds exactly and a decimal of 15 digits needs.
const POW10: [f64; 16] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
/// Digits behind the point that are tried for a number without a scale.
const SCALES_TRIED: u32 = 6;

/// What a column's cells mostly are.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    /// Integers within a range.
    Int(i64, i64),
    Bool,
    Float8,
    /// Text of at most so many characters.
    Text(usize),
    Date,
    /// With or without zone.
    Moment(bool),
    /// Digits in all and behind the point.
    Sized(u32, u32),
    Numeric,
    /// Always the long way.
    Other,
}

/// A table's columns, as far as their cells can be fed at once.
#[derive(Clone, Debug)]
pub struct Quick {
    /// Form, and whether NULL fits.
    forms: Vec<(Form, bool)>,
}

impl Quick {
    /// For a projection.
    pub fn of(projection: &Projection) -> Self {
        let null = |target: &Target| !target.not_null || target.generated;
        let forms = projection.columns.iter().map(|t| (form(t), null(t))).collect();
        Self { forms }
    }

    /// Whether any row can go the short way.
    pub fn is_any(&self) -> bool {
        !self.forms.iter().any(|(form, _)| *form == Form::Other)
    }

    /// Feeds a column's cell; false when the row must go the long way.
    pub fn feed(&self, column: usize, cell: CellRef<'_>, out: &mut Feed) -> bool {
        let Some((form, null)) = self.forms.get(column) else { return false };
        match (form, cell) {
            (_, CellRef::Null) if *null => canonical::null(out),
            (Form::Int(low, high), CellRef::Integer(i)) if (*low..=*high).contains(&i) => {
                canonical::int(i, out);
            }
            (Form::Bool, CellRef::Integer(i @ 0..=1)) => canonical::bool(i == 1, out),
            (Form::Float8, CellRef::Real(r)) => canonical::float8(r, out),
            #[allow(clippy::cast_precision_loss)]
            (Form::Float8, CellRef::Integer(i)) => canonical::float8(i as f64, out),
            (Form::Text(most), CellRef::Text(t))
                if t.len() <= *most && !t.contains(&0) && std::str::from_utf8(t).is_ok() =>
            {
                canonical::text(t, out);
            }
            (Form::Date, CellRef::Text(t)) => {
                let days = parse_canonical(t).map(|micros| micros.div_euclid(MICROS_PER_DAY));
                let Some(days) = days.and_then(|d| i32::try_from(d).ok()) else { return false };
                canonical::date(days, out);
            }
            (Form::Moment(zoned), CellRef::Text(t)) => {
                let Some(micros) = parse_canonical(t) else { return false };
                canonical::moment(*zoned, micros, out);
            }
            (Form::Sized(digits, scale), CellRef::Integer(i)) => {
                let whole = 10_u64.pow(digits - scale);
                if i.unsigned_abs() >= whole {
                    return false;
                }
                canonical::decimal(i, 0, out);
            }
            (Form::Sized(digits, scale), CellRef::Real(r)) => {
                let Some(unscaled) = unscaled(r, *scale) else { return false };
                if unscaled.unsigned_abs() >= 10_u64.pow(*digits) {
                    return false;
                }
                canonical::decimal(unscaled, *scale, out);
            }
            (Form::Numeric, CellRef::Integer(i)) => canonical::decimal(i, 0, out),
            (Form::Numeric, CellRef::Real(r)) => {
                let found = (0..=SCALES_TRIED).find_map(|s| Some((unscaled(r, s)?, s)));
                let Some((unscaled, scale)) = found else { return false };
                canonical::decimal(unscaled, scale, out);
            }
            _ => return false,
        }
        true
    }
}

/// The decimal of at most 15 digits with this scale that reads as the number. There is only one
/// with so few digits, and it is the shortest.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::float_cmp)]
fn unscaled(real: f64, scale: u32) -> Option<i64> {
    let power = *POW10.get(scale as usize)?;
    let scaled = (real * power).round();
    // Not for NaN nor an infinity.
    if scaled.abs() < 1e15 && scaled / power == real { Some(scaled as i64) } else { None }
}

fn form(target: &Target) -> Form {
    let (stored, ty) = (target.stored, target.ty);
    if family(stored.oid) != family(ty.oid) {
        return Form::Other;
    }
    let plain = target.codec == Codec::Identity;
    let loose = plain || target.codec == Codec::DateTimeLoose;
    match stored.oid {
        oid::INT2 | oid::INT4 | oid::INT8 if plain && ty.oid != oid::OID => {
            let (a, b) = (text::integer_range(stored.oid), text::integer_range(ty.oid));
            Form::Int(a.0.max(b.0), a.1.min(b.1))
        }
        oid::BOOL if plain => Form::Bool,
        oid::FLOAT8 if plain => Form::Float8,
        oid::TEXT | oid::VARCHAR if plain || target.codec == Codec::TextLoose => match ty.oid {
            // Bytes are never fewer than characters.
            oid::TEXT | oid::VARCHAR => Form::Text(ty.length().unwrap_or(usize::MAX)),
            _ => Form::Other,
        },
        oid::DATE if loose => Form::Date,
        oid::TIMESTAMP | oid::TIMESTAMPTZ if loose && ty.typmod < 0 && stored.typmod < 0 => {
            Form::Moment(stored.oid == oid::TIMESTAMPTZ)
        }
        oid::NUMERIC if target.codec == Codec::NumericNative && stored == ty => numeric(ty),
        _ => Form::Other,
    }
}

fn numeric(ty: Type) -> Form {
    match ty.precision_scale() {
        None => Form::Numeric,
        Some((digits, scale)) => match u32::try_from(scale) {
            Ok(scale) if digits <= 15 && scale <= digits => Form::Sized(digits, scale),
            _ => Form::Other,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::schema::{Column, Relation, RelationKind};

    /// The short way and the long way of one cell.
    fn both(codec: Codec, ty: Type, cell: CellRef<'_>) -> Option<(Vec<u8>, Vec<u8>)> {
        let mut relation = Relation::new(1, "t", RelationKind::Table);
        relation.columns = vec![Column { codec, ..Column::new(1, "c", ty) }];
        let projection = Projection::new(&Arc::new(relation));
        let mut short = Feed::default();
        if !Quick::of(&projection).feed(0, cell, &mut short) {
            return None;
        }
        let projected = projection.project(|_| cell);
        assert!(projected.misfits.is_empty(), "{cell:?} does not fit {ty:?}");
        let mut long = Feed::default();
        canonical::hash(&projected.values[0], ty, &mut long);
        Some((short.bytes().to_vec(), long.bytes().to_vec()))
    }

    #[test]
    fn the_short_way_feeds_what_the_long_way_does() {
        let sized = |p, s| Type::with_typmod(oid::NUMERIC, Type::numeric_typmod(p, s));
        let varchar = Type::with_typmod(oid::VARCHAR, 3 + 4);
        let types = [
            (Codec::Identity, Type::new(oid::INT8)),
            (Codec::Identity, Type::new(oid::INT2)),
            (Codec::Identity, Type::new(oid::BOOL)),
            (Codec::Identity, Type::new(oid::FLOAT8)),
            (Codec::Identity, Type::new(oid::TEXT)),
            (Codec::TextLoose, Type::new(oid::TEXT)),
            (Codec::Identity, varchar),
            (Codec::Identity, Type::new(oid::DATE)),
            (Codec::DateTimeLoose, Type::new(oid::TIMESTAMP)),
            (Codec::Identity, Type::new(oid::TIMESTAMPTZ)),
            (Codec::NumericNative, Type::new(oid::NUMERIC)),
            (Codec::NumericNative, sized(12, 2)),
            (Codec::NumericNative, sized(3, 3)),
        ];
        let texts: [&[u8]; 12] = [
            b"",
            b"abc",
            b"abcd",
            "\u{e4}\u{f6}\u{fc}".as_bytes(),
            b"a\0b",
            b"\xff",
            b"2024-01-05",
            b"2024-01-05 10:20:30",
            b"2024-01-05 10:20:30.25",
            b"2024-01-05T10:20:30Z",
            b"2024-02-30",
            b"now",
        ];
        let reals = [
            0.0,
            -0.0,
            0.1,
            0.1 + 0.2,
            9.99,
            1234567890.12,
            -4.5,
            1e15,
            1e22,
            0.001,
            1.005,
            1e-9,
            f64::INFINITY,
            123.456,
            99_999_999.99,
            4_503_599_627_370_497.5,
        ];
        let mut short = 0;
        for (codec, ty) in types {
            let integers = [0, 1, -1, 7, 100, 32_768, 10_000_000_000, i64::MAX, i64::MIN];
            let cells = integers.map(CellRef::Integer).into_iter();
            let cells = cells.chain(reals.map(CellRef::Real)).chain(texts.map(CellRef::Text));
            for cell in cells.chain([CellRef::Null, CellRef::Blob(b"x")]) {
                if let Some((a, b)) = both(codec, ty, cell) {
                    assert_eq!(a, b, "{cell:?} as {ty:?}");
                    short += 1;
                }
            }
        }
        assert!(short > 90, "only {short}");
    }

    #[test]
    fn what_rows_mostly_hold_goes_the_short_way() {
        let money = Type::with_typmod(oid::NUMERIC, Type::numeric_typmod(12, 2));
        for n in 0..100_000_i64 {
            #[allow(clippy::cast_precision_loss)]
            let real = n as f64 / 100.0;
            assert_eq!(unscaled(real, 2), Some(n));
        }
        assert!(both(Codec::NumericNative, money, CellRef::Real(370.0 / 100.0)).is_some());
        let at = Type::new(oid::TIMESTAMP);
        assert!(both(Codec::Identity, at, CellRef::Text(b"2020-01-01 00:00:01")).is_some());
    }
}
