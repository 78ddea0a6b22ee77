//! The arguments of a function call, read by the type the printer knows them to have.

use rusqlite::functions::Context;
use rusqlite::types::ValueRef;

use crate::error::{Error, Result, state};
use crate::schema::Codec;
use crate::value::numeric::Numeric;
use crate::value::{Cell, CellRef, Datum, Interval, Type, array, oid, storage};

/// The arguments of one call.
pub(super) struct Args<'a>(pub(super) &'a Context<'a>);

impl Args<'_> {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The raw cell; NULL beyond the last argument.
    pub(super) fn cell(&self, i: usize) -> CellRef<'_> {
        if i >= self.0.len() {
            return CellRef::Null;
        }
        match self.0.get_raw(i) {
            ValueRef::Null => CellRef::Null,
            ValueRef::Integer(n) => CellRef::Integer(n),
            ValueRef::Real(r) => CellRef::Real(r),
            ValueRef::Text(t) => CellRef::Text(t),
            ValueRef::Blob(b) => CellRef::Blob(b),
        }
    }

    pub(super) fn is_null(&self, i: usize) -> bool {
        matches!(self.cell(i), CellRef::Null)
    }

    pub(super) fn any_null(&self) -> bool {
        (0..self.len()).any(|i| self.is_null(i))
    }

    pub(super) fn text(&self, i: usize) -> Result<&str> {
        match self.cell(i) {
            CellRef::Text(t) => std::str::from_utf8(t).map_err(|_| {
                Error::client(
                    state::CHARACTER_NOT_IN_REPERTOIRE,
                    "invalid byte sequence for encoding \"UTF8\"",
                )
            }),
            other => Err(unexpected("text", other)),
        }
    }

    pub(super) fn int(&self, i: usize) -> Result<i64> {
        match self.cell(i) {
            CellRef::Integer(n) => Ok(n),
            other => Err(unexpected("an integer", other)),
        }
    }

    /// An integer that is an argument of the printer's own making, as an OID.
    pub(super) fn oid(&self, i: usize) -> Result<u32> {
        Ok(u32::try_from(self.int(i)?).unwrap_or(0))
    }

    /// A type from two arguments: OID and modifier.
    pub(super) fn ty(&self, i: usize) -> Result<Type> {
        Ok(Type::with_typmod(self.oid(i)?, i32::try_from(self.int(i + 1)?).unwrap_or(-1)))
    }

    pub(super) fn bool(&self, i: usize) -> Result<bool> {
        Ok(self.int(i)? != 0)
    }

    pub(super) fn real(&self, i: usize) -> Result<f64> {
        match self.cell(i) {
            CellRef::Real(r) => Ok(r),
            CellRef::Integer(n) => Ok(n as f64),
            CellRef::Text(b"NaN") => Ok(f64::NAN),
            other => Err(unexpected("a float", other)),
        }
    }

    pub(super) fn bytes(&self, i: usize) -> Result<&[u8]> {
        match self.cell(i) {
            CellRef::Blob(b) => Ok(b),
            other => Err(unexpected("bytea", other)),
        }
    }

    pub(super) fn numeric(&self, i: usize) -> Result<Numeric> {
        match self.cell(i) {
            CellRef::Integer(n) => Ok(Numeric::from(n)),
            CellRef::Text(t) => Numeric::parse(&String::from_utf8_lossy(t)),
            other => Err(unexpected("numeric", other)),
        }
    }

    /// The value of a logical cell of a type.
    pub(super) fn datum(&self, i: usize, type_oid: u32) -> Result<Datum> {
        storage::decode(Codec::Identity, Type::new(type_oid), self.cell(i))
    }

    pub(super) fn interval(&self, i: usize) -> Result<Interval> {
        match self.datum(i, oid::INTERVAL)? {
            Datum::Interval(span) => Ok(span),
            _ => Err(unexpected("an interval", self.cell(i))),
        }
    }

    /// A date, in days since 2000-01-01.
    pub(super) fn date(&self, i: usize) -> Result<i32> {
        match self.datum(i, oid::DATE)? {
            Datum::Date(days) => Ok(days),
            _ => Err(unexpected("a date", self.cell(i))),
        }
    }

    pub(super) fn time(&self, i: usize) -> Result<i64> {
        match self.datum(i, oid::TIME)? {
            Datum::Time(micros) => Ok(micros),
            _ => Err(unexpected("a time", self.cell(i))),
        }
    }

    pub(super) fn timestamp(&self, i: usize) -> Result<i64> {
        match self.datum(i, oid::TIMESTAMP)? {
            Datum::Timestamp(micros) => Ok(micros),
            _ => Err(unexpected("a timestamp", self.cell(i))),
        }
    }

    pub(super) fn timestamptz(&self, i: usize) -> Result<i64> {
        match self.datum(i, oid::TIMESTAMPTZ)? {
            Datum::Timestamptz(micros) => Ok(micros),
            _ => Err(unexpected("a timestamp with time zone", self.cell(i))),
        }
    }

    /// The elements of an array argument as logical cells.
    pub(super) fn array(&self, i: usize, element: u32) -> Result<Vec<Cell>> {
        crate::value::array::decode(element, self.text(i)?)
    }
}

impl Args<'_> {
    /// An array argument with its dimensions.
    pub(super) fn nested(&self, i: usize, element: u32) -> Result<Vec<array::Item>> {
        array::decode_nested(element, self.text(i)?)
    }

    /// The elements of an array argument of any number of dimensions.
    pub(super) fn flat(&self, i: usize, element: u32) -> Result<Vec<Cell>> {
        self.nested(i, element).map(array::flatten)
    }
}

/// An owned copy of a cell; text that is not UTF-8 is repaired for display only.
pub(super) fn owned(cell: CellRef<'_>) -> Cell {
    match cell {
        CellRef::Null => Cell::Null,
        CellRef::Integer(n) => Cell::Integer(n),
        CellRef::Real(r) => Cell::Real(r),
        CellRef::Text(t) => Cell::Text(String::from_utf8_lossy(t).into_owned()),
        CellRef::Blob(b) => Cell::Blob(b.to_vec()),
    }
}

/// The logical cell of a value.
pub(super) fn logical(datum: &Datum, type_oid: u32) -> Result<Cell> {
    storage::encode(Codec::Identity, Type::new(type_oid), datum)
}

/// A text result.
pub(super) fn text(value: impl Into<String>) -> Result<Cell> {
    Ok(Cell::Text(value.into()))
}

/// A boolean result.
pub(super) fn boolean(value: bool) -> Result<Cell> {
    Ok(Cell::Integer(i64::from(value)))
}

/// A numeric result.
pub(super) fn number(value: &Numeric) -> Result<Cell> {
    Ok(Cell::Text(value.to_string()))
}

/// A float8 result.
pub(super) fn real(value: f64) -> Result<Cell> {
    Ok(if value.is_nan() { Cell::Text("NaN".to_owned()) } else { Cell::Real(value) })
}

/// A length or position as an integer result.
pub(super) fn count(value: usize) -> Result<Cell> {
    Ok(Cell::Integer(i64::try_from(value).unwrap_or(i64::MAX)))
}

fn unexpected(wanted: &str, cell: CellRef<'_>) -> Error {
    Error::client(
        state::DATA_CORRUPTED,
        format!("stored value of class {} where {wanted} is expected", cell.class()),
    )
}
