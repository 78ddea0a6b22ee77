//! Cells to and from protocol fields: the hot path.
//!
//! [`write()`] copies the common types straight from SQLite's memory into the answer; the
//! rest goes through `Datum`. It must never send bytes that are not valid UTF-8 as text.
//! Start at [`write()`].

use std::cell::RefCell;

use bytes::{BufMut, BytesMut};

use super::datetime::{self, MICROS_PER_DAY};
use super::text::{float, format_bytea, integer_range, integer_text, utf8};
use super::{
    Cell, CellRef, Codec, DateOutput, Datum, Format, Style, Type, binary, oid, storage, text,
};
use crate::error::{Error, Result, state};

thread_local! {
    /// Reused for text forms whose length is not known beforehand.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Largest scratch buffer kept between fields.
const SCRATCH_BYTES: usize = 64 * 1024;

fn put(bytes: &[u8], out: &mut BytesMut) -> Result<()> {
    let length = i32::try_from(bytes.len()).map_err(|_| {
        Error::client(state::PROGRAM_LIMIT_EXCEEDED, "a value is too long for the protocol")
    })?;
    out.reserve(bytes.len() + 4);
    out.put_i32(length);
    out.put_slice(bytes);
    Ok(())
}

/// Formats into the scratch buffer and appends the result as one field.
fn put_formatted(out: &mut BytesMut, print: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<()> {
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.clear();
        let result = print(scratch).and_then(|()| put(scratch, out));
        if scratch.capacity() > SCRATCH_BYTES {
            *scratch = Vec::new();
        }
        result
    })
}

/// Appends one DataRow field with its length word. On an error nothing is appended.
pub fn write(
    cell: CellRef<'_>,
    codec: Codec,
    ty: Type,
    format: Format,
    style: &Style,
    out: &mut BytesMut,
) -> Result<()> {
    if cell == CellRef::Null {
        out.put_i32(-1);
        return Ok(());
    }
    if codec == Codec::Identity {
        let done = match format {
            Format::Text => write_text(cell, ty, style, out)?,
            Format::Binary => write_binary(cell, ty, out)?,
        };
        if done {
            return Ok(());
        }
    }
    let datum = storage::decode(codec, ty, cell)?;
    write_datum(&datum, ty, format, style, out)
}

/// Appends a value as one DataRow field with its length word. On an error nothing is
/// appended.
pub fn write_datum(
    datum: &Datum,
    ty: Type,
    format: Format,
    style: &Style,
    out: &mut BytesMut,
) -> Result<()> {
    if datum.is_null() {
        out.put_i32(-1);
        return Ok(());
    }
    put_formatted(out, |scratch| match format {
        Format::Text => {
            text::format(datum, ty, style, scratch);
            Ok(())
        }
        Format::Binary => binary::encode(datum, ty, scratch),
    })
}

fn is_integer(type_oid: u32) -> bool {
    matches!(
        type_oid,
        oid::INT4
            | oid::INT8
            | oid::INT2
            | oid::OID
            | oid::XID
            | oid::CID
            | oid::REGCLASS
            | oid::REGTYPE
            | oid::REGPROC
            | oid::REGNAMESPACE
    )
}

/// Writes the text form of a logical cell without a `Datum`; `false` when it cannot.
fn write_text(cell: CellRef<'_>, ty: Type, style: &Style, out: &mut BytesMut) -> Result<bool> {
    match (cell, ty.oid) {
        (CellRef::Integer(value), type_oid) if is_integer(type_oid) => {
            let (low, high) = integer_range(type_oid);
            if !(low..=high).contains(&value) {
                return Ok(false);
            }
            put(integer_text(value, &mut [0; 20]), out)?;
        }
        (CellRef::Integer(value @ 0..=1), oid::BOOL) => {
            put(if value == 1 { b"t" } else { b"f" }, out)?;
        }
        (CellRef::Real(value), oid::FLOAT8) => put_formatted(out, |scratch| {
            float::format_f64(value, style.extra_float_digits, scratch);
            Ok(())
        })?,
        // Other styles go the long way.
        (CellRef::Text(_), oid::TIMESTAMP | oid::DATE | oid::TIMESTAMPTZ)
            if style.date_output != DateOutput::Iso =>
        {
            return Ok(false);
        }
        (CellRef::Text(bytes), oid::TIMESTAMP | oid::DATE) => {
            let date_only = bytes.len() == 10;
            let canonical = !bytes.ends_with(b"0") || date_only || !bytes.contains(&b'.');
            let fits = canonical
                && date_only == (ty.oid == oid::DATE)
                && datetime::parse_canonical(bytes).is_some();
            if !fits {
                return Ok(false);
            }
            put(bytes, out)?;
        }
        (CellRef::Text(bytes), oid::TIMESTAMPTZ) => {
            let Some(micros) = datetime::parse_canonical(bytes) else { return Ok(false) };
            put_formatted(out, |scratch| {
                datetime::format_timestamptz(micros, &style.timezone, scratch);
                Ok(())
            })?;
        }
        (CellRef::Text(bytes), oid::NUMERIC) => {
            // PostgreSQL's own output: digits, a point, a sign; words go the long way.
            let plain = bytes.iter().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-'))
                && bytes.first().is_some_and(|b| *b != b'.')
                && bytes.last().is_some_and(u8::is_ascii_digit);
            if !plain {
                return Ok(false);
            }
            put(bytes, out)?;
        }
        (CellRef::Text(bytes), type_oid) if copies(type_oid) => put(utf8(bytes)?.as_bytes(), out)?,
        (CellRef::Blob(bytes), oid::BYTEA) => put_formatted(out, |scratch| {
            format_bytea(bytes, style.bytea_hex, scratch);
            Ok(())
        })?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// Types whose logical text cell is their text form as it is.
fn copies(type_oid: u32) -> bool {
    matches!(type_oid, oid::TEXT | oid::VARCHAR | oid::NAME | oid::JSON | oid::UNKNOWN)
        || (storage::is_text(type_oid) && !matches!(type_oid, oid::BPCHAR | oid::CHAR | oid::TID))
}

/// Writes the binary form of a logical cell without a `Datum`; `false` when it cannot.
fn write_binary(cell: CellRef<'_>, ty: Type, out: &mut BytesMut) -> Result<bool> {
    match (cell, ty.oid) {
        (CellRef::Integer(value), oid::INT8) => put(&value.to_be_bytes(), out)?,
        (CellRef::Integer(value), oid::INT4) => match i32::try_from(value) {
            Ok(value) => put(&value.to_be_bytes(), out)?,
            Err(_) => return Ok(false),
        },
        (CellRef::Integer(value), oid::INT2) => match i16::try_from(value) {
            Ok(value) => put(&value.to_be_bytes(), out)?,
            Err(_) => return Ok(false),
        },
        (CellRef::Integer(value @ 0..=1), oid::BOOL) => put(&[value as u8], out)?,
        (CellRef::Real(value), oid::FLOAT8) => put(&value.to_be_bytes(), out)?,
        (CellRef::Blob(bytes), oid::BYTEA) => put(bytes, out)?,
        (CellRef::Text(bytes), oid::TIMESTAMP | oid::TIMESTAMPTZ) => {
            let Some(micros) = datetime::parse_canonical(bytes) else { return Ok(false) };
            put(&micros.to_be_bytes(), out)?;
        }
        (CellRef::Text(bytes), oid::DATE) => {
            let Some(micros) = datetime::parse_canonical(bytes) else { return Ok(false) };
            // Years 1 to 9999 fit.
            put(&(micros.div_euclid(MICROS_PER_DAY) as i32).to_be_bytes(), out)?;
        }
        (CellRef::Text(bytes), type_oid) if copies(type_oid) && !packed(type_oid) => {
            put(utf8(bytes)?.as_bytes(), out)?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Types whose binary form is not their text.
fn packed(type_oid: u32) -> bool {
    matches!(
        type_oid,
        oid::INET
            | oid::CIDR
            | oid::MACADDR
            | oid::TIMETZ
            | oid::BIT
            | oid::VARBIT
            | oid::HSTORE
            | oid::TSVECTOR
            | oid::TSQUERY
    )
}

/// Reads a Bind parameter that is not NULL into its logical cell.
pub fn read(ty: Type, format: Format, bytes: &[u8], style: &Style) -> Result<Cell> {
    match (ty.oid, format) {
        (oid::INT2 | oid::INT4 | oid::INT8, Format::Text) => {
            return text::parse_integer(ty.oid, utf8(bytes)?).map(Cell::Integer);
        }
        (oid::TEXT | oid::VARCHAR | oid::UNKNOWN, _) => {
            return Ok(Cell::Text(utf8(bytes)?.to_owned()));
        }
        (oid::BYTEA, Format::Binary) => return Ok(Cell::Blob(bytes.to_vec())),
        _ => {}
    }
    let datum = read_datum(ty, format, bytes, style)?;
    storage::encode(Codec::Identity, ty, &datum)
}

/// Reads a protocol field that is not NULL into a value.
pub fn read_datum(ty: Type, format: Format, bytes: &[u8], style: &Style) -> Result<Datum> {
    match format {
        Format::Text => text::parse(ty, utf8(bytes)?, style),
        Format::Binary => {
            let datum = binary::decode(ty, bytes)?;
            style.enums.check_value(ty.oid, &datum)?;
            Ok(datum)
        }
    }
}

#[cfg(test)]
mod tests;
