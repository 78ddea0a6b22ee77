//! Cells of either back end hashed, or written for COPY, without a value made of them.
//!
//! Owns the short way for the forms that most columns have. It must never give other bytes than
//! `canonical::hash` and `binary::encode` do for the value that [`Projection::project`] gives: where
//! that is not certain the column, or the row, takes the long way. Start at [`Quick::of`].

use super::{Projection, Target, family};
use crate::schema::Codec;
use crate::value::canonical::{self, Feed};
use crate::value::datetime::{MICROS_PER_DAY, parse_canonical};
use crate::value::{CellRef, Datum, Type, binary, oid, text};

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

/// A value as it lies in the cell.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Plain<'a> {
    Null,
    Int(i64),
    Bool(bool),
    Float8(f64),
    Text(&'a [u8]),
    Date(i32),
    /// With or without zone, microseconds.
    Moment(bool, i64),
    /// `unscaled * 10^-scale`
    Decimal(i64, u32),
}

#[derive(Clone, Debug)]
struct Column {
    form: Form,
    /// NULL fits.
    null: bool,
    target: Target,
}

/// A table's columns, and how far their cells can be taken as they are.
#[derive(Clone, Debug)]
pub struct Quick {
    columns: Vec<Column>,
}

impl Quick {
    /// For a projection.
    pub fn of(projection: &Projection) -> Self {
        let column = |target: &Target| Column {
            form: form(target),
            null: !target.not_null || target.generated,
            target: target.clone(),
        };
        Self { columns: projection.columns.iter().map(column).collect() }
    }

    /// Feeds SQLite's cell of a column to a hash; false when the row must go the long way.
    pub fn feed(&self, column: usize, cell: CellRef<'_>, out: &mut Feed) -> bool {
        let Some(column) = self.columns.get(column) else { return false };
        if let Some(plain) = column.plain(cell) {
            plain.feed(out);
            return true;
        }
        let Some(value) = column.value(cell) else { return false };
        canonical::hash(&value, column.target.ty, out);
        true
    }

    /// Feeds what PostgreSQL sent for a column, in binary form, None for NULL, to a hash; false
    /// when the row must go the long way.
    pub fn feed_received(&self, column: usize, bytes: Option<&[u8]>, out: &mut Feed) -> bool {
        let Some(column) = self.columns.get(column) else { return false };
        let Some(bytes) = bytes else {
            canonical::null(out);
            return true;
        };
        if let Some(plain) = column.received(bytes) {
            plain.feed(out);
            return true;
        }
        let Ok(value) = binary::decode(column.target.ty, bytes) else { return false };
        canonical::hash(&value, column.target.ty, out);
        true
    }

    /// Writes SQLite's cell of a column as a field of COPY's binary form; false when the row must
    /// go the long way.
    pub fn write(&self, column: usize, cell: CellRef<'_>, out: &mut Vec<u8>) -> bool {
        let Some(column) = self.columns.get(column) else { return false };
        let at = out.len();
        out.extend_from_slice(&(-1i32).to_be_bytes());
        let written = match column.plain(cell) {
            Some(Plain::Null) => return true,
            Some(plain) => plain.write(column.target.ty, out),
            None => match column.value(cell) {
                Some(Datum::Null) => return true,
                Some(value) => binary::encode(&value, column.target.ty, out).is_ok(),
                None => false,
            },
        };
        let Ok(length) = i32::try_from(out.len() - at - 4) else { return false };
        out[at..at + 4].copy_from_slice(&length.to_be_bytes());
        written
    }
}

impl Column {
    /// The value of a cell of SQLite that is of the column's form.
    fn plain<'a>(&self, cell: CellRef<'a>) -> Option<Plain<'a>> {
        Some(match (self.form, cell) {
            (_, CellRef::Null) if self.null => Plain::Null,
            (Form::Int(low, high), CellRef::Integer(i)) if (low..=high).contains(&i) => {
                Plain::Int(i)
            }
            (Form::Bool, CellRef::Integer(i @ 0..=1)) => Plain::Bool(i == 1),
            (Form::Float8, CellRef::Real(r)) => Plain::Float8(r),
            #[allow(clippy::cast_precision_loss)]
            (Form::Float8, CellRef::Integer(i)) => Plain::Float8(i as f64),
            (Form::Text(most), CellRef::Text(t))
                if t.len() <= most && !t.contains(&0) && std::str::from_utf8(t).is_ok() =>
            {
                Plain::Text(t)
            }
            (Form::Date, CellRef::Text(t)) => {
                let days = parse_canonical(t)?.div_euclid(MICROS_PER_DAY);
                Plain::Date(i32::try_from(days).ok()?)
            }
            (Form::Moment(zoned), CellRef::Text(t)) => Plain::Moment(zoned, parse_canonical(t)?),
            (Form::Sized(digits, scale), CellRef::Integer(i)) => {
                if i.unsigned_abs() >= 10_u64.pow(digits - scale) {
                    return None;
                }
                Plain::Decimal(i * 10_i64.pow(scale), scale)
            }
            (Form::Sized(digits, scale), CellRef::Real(r)) => {
                let unscaled = unscaled(r, scale)?;
                if unscaled.unsigned_abs() >= 10_u64.pow(digits) {
                    return None;
                }
                Plain::Decimal(unscaled, scale)
            }
            (Form::Numeric, CellRef::Integer(i)) => Plain::Decimal(i, 0),
            (Form::Numeric, CellRef::Real(r)) => {
                let found = (0..=SCALES_TRIED).find_map(|s| Some((unscaled(r, s)?, s)));
                let (unscaled, scale) = found?;
                Plain::Decimal(unscaled, scale)
            }
            _ => return None,
        })
    }

    /// The value of a field of PostgreSQL that is of the column's form.
    fn received<'a>(&self, bytes: &'a [u8]) -> Option<Plain<'a>> {
        Some(match self.form {
            Form::Int(..) => Plain::Int(match self.target.ty.oid {
                oid::INT2 => i64::from(i16::from_be_bytes(bytes.try_into().ok()?)),
                oid::INT4 => i64::from(i32::from_be_bytes(bytes.try_into().ok()?)),
                oid::INT8 => i64::from_be_bytes(bytes.try_into().ok()?),
                _ => return None,
            }),
            Form::Bool => Plain::Bool(<[u8; 1]>::try_from(bytes).ok()?[0] != 0),
            Form::Float8 => Plain::Float8(f64::from_be_bytes(bytes.try_into().ok()?)),
            Form::Text(_) => Plain::Text(std::str::from_utf8(bytes).ok()?.as_bytes()),
            Form::Date => Plain::Date(i32::from_be_bytes(bytes.try_into().ok()?)),
            Form::Moment(zoned) => Plain::Moment(zoned, i64::from_be_bytes(bytes.try_into().ok()?)),
            Form::Sized(..) | Form::Numeric => {
                let (unscaled, scale) = binary::decimal::read(bytes)?;
                Plain::Decimal(unscaled, scale)
            }
            Form::Other => return None,
        })
    }

    /// The value of any cell that fits, unless it is to be told that it was changed.
    fn value(&self, cell: CellRef<'_>) -> Option<Datum> {
        if self.target.codec.coerces() {
            return None;
        }
        self.target.value(cell).ok()
    }
}

impl Plain<'_> {
    fn feed(self, out: &mut Feed) {
        match self {
            Self::Null => canonical::null(out),
            Self::Int(i) => canonical::int(i, out),
            Self::Bool(b) => canonical::bool(b, out),
            Self::Float8(f) => canonical::float8(f, out),
            Self::Text(t) => canonical::text(t, out),
            Self::Date(days) => canonical::date(days, out),
            Self::Moment(zoned, micros) => canonical::moment(zoned, micros, out),
            Self::Decimal(unscaled, scale) => canonical::decimal(unscaled, scale, out),
        }
    }

    /// The binary form; false where it has none.
    fn write(self, ty: Type, out: &mut Vec<u8>) -> bool {
        match self {
            Self::Null => return false,
            Self::Int(i) => return binary::integer(i, ty, out).is_ok(),
            Self::Bool(b) => out.push(u8::from(b)),
            Self::Float8(f) => out.extend_from_slice(&f.to_be_bytes()),
            Self::Text(t) => out.extend_from_slice(t),
            Self::Date(days) => out.extend_from_slice(&days.to_be_bytes()),
            Self::Moment(_, micros) => out.extend_from_slice(&micros.to_be_bytes()),
            Self::Decimal(unscaled, scale) => return binary::decimal::write(unscaled, scale, out),
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
        oid::TEXT | oid::VARCHAR if plain || target.codec.plain() == Codec::TextLoose => {
            match ty.oid {
                // Bytes are never fewer than characters.
                oid::TEXT | oid::VARCHAR => Form::Text(ty.length().unwrap_or(usize::MAX)),
                _ => Form::Other,
            }
        }
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
    use crate::schema::{self, Relation, RelationKind};

    fn projection(codec: Codec, ty: Type) -> Projection {
        let mut relation = Relation::new(1, "t", RelationKind::Table);
        relation.columns = vec![schema::Column { codec, ..schema::Column::new(1, "c", ty) }];
        Projection::new(&Arc::new(relation))
    }

    /// Whether a cell goes the short way; it must give what the long way does: hashed, written, and
    /// hashed as PostgreSQL sends it back.
    fn is_short(codec: Codec, ty: Type, cell: CellRef<'_>) -> bool {
        let projection = projection(codec, ty);
        let quick = Quick::of(&projection);
        let short = quick.columns[0].plain(cell).is_some();
        let mut fed = Feed::default();
        let mut written = Vec::new();
        let fits = quick.feed(0, cell, &mut fed);
        let wrote = quick.write(0, cell, &mut written);
        let projected = projection.project(|_| cell);
        let value = &projected.values[0];
        assert_eq!(fits, projected.misfits.is_empty(), "{cell:?} as {ty:?}");
        if !fits {
            return false;
        }
        let mut long = Feed::default();
        canonical::hash(value, ty, &mut long);
        assert_eq!(fed.bytes(), long.bytes(), "{cell:?} as {ty:?}");
        let mut bytes = Vec::new();
        let held = !value.is_null();
        assert_eq!(wrote, !held || binary::encode(value, ty, &mut bytes).is_ok());
        let length = if held { i32::try_from(bytes.len()).unwrap() } else { -1 };
        assert_eq!(written, [&length.to_be_bytes()[..], &bytes].concat(), "{cell:?} as {ty:?}");
        let mut back = Feed::default();
        assert!(quick.feed_received(0, held.then_some(&bytes[..]), &mut back));
        assert_eq!(back.bytes(), long.bytes(), "{cell:?} as {ty:?}, sent back");
        short
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
            (Codec::NumericNative, sized(15, 7)),
            (Codec::NumericText, sized(30, 4)),
            (Codec::UuidHex, Type::new(oid::UUID)),
            (Codec::BoolLoose, Type::new(oid::BOOL)),
            (Codec::Identity, Type::new(oid::JSONB)),
            (Codec::BytesLoose, Type::new(oid::BYTEA)),
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
                short += u32::from(is_short(codec, ty, cell));
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
        assert!(is_short(Codec::NumericNative, money, CellRef::Real(370.0 / 100.0)));
        let at = Type::new(oid::TIMESTAMP);
        assert!(is_short(Codec::Identity, at, CellRef::Text(b"2020-01-01 00:00:01")));
    }
}
