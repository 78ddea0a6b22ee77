//! PostgreSQL's binary formats.
//!
//! Input is hostile: every read is checked and no length is believed. Start at [`decode`].

use num_bigint::{BigInt, Sign};
use num_traits::{ToPrimitive, Zero};

pub mod decimal;

use super::composite::{is_made, is_numbered_apart};
use super::hstore::Hstore;
use super::numeric::{Numeric, pow10};
use super::range::{self, Range};
use super::text::{char_byte, char_text, is_plain, push_padding, utf8};
use super::{Datum, Interval, Type, bits, datetime, element_of, json, network, oid, search};
use crate::error::{Error, Result, state};

/// jsonb's only binary version.
const JSONB_VERSION: u8 = 1;
const NUMERIC_NEGATIVE: u16 = 0x4000;
const NUMERIC_NAN: u16 = 0xc000;
const NUMERIC_INFINITY: u16 = 0xd000;
const NUMERIC_NEG_INFINITY: u16 = 0xf000;

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::client(state::INVALID_BINARY_REPRESENTATION, message)
}

/// A cursor over received bytes.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(count).ok_or_else(|| {
            Error::client(state::PROTOCOL_VIOLATION, "insufficient data left in message")
        })?;
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    fn i16(&mut self) -> Result<i16> {
        self.array().map(i16::from_be_bytes)
    }

    fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn i32(&mut self) -> Result<i32> {
        self.array().map(i32::from_be_bytes)
    }

    fn i64(&mut self) -> Result<i64> {
        self.array().map(i64::from_be_bytes)
    }

    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}

/// Reads a binary value; 22P03, 08P01, or the type's own error.
pub fn decode(ty: Type, bytes: &[u8]) -> Result<Datum> {
    let mut reader = Reader(bytes);
    let datum = scalar(ty, &mut reader)?;
    if reader.0.is_empty() { Ok(datum) } else { Err(invalid("incorrect binary data format")) }
}

fn scalar(ty: Type, reader: &mut Reader<'_>) -> Result<Datum> {
    Ok(match ty.oid {
        oid::BOOL => Datum::Bool(reader.array::<1>()?[0] != 0),
        oid::INT2 => Datum::Int(i64::from(reader.i16()?)),
        oid::INT4 => Datum::Int(i64::from(reader.i32()?)),
        oid::INT8 => Datum::Int(reader.i64()?),
        oid::OID
        | oid::XID
        | oid::CID
        | oid::REGCLASS
        | oid::REGTYPE
        | oid::REGPROC
        | oid::REGNAMESPACE => Datum::Int(i64::from(reader.i32()? as u32)),
        oid::FLOAT4 => Datum::Float4(f32::from_be_bytes(reader.array()?)),
        oid::FLOAT8 => Datum::Float8(f64::from_be_bytes(reader.array()?)),
        oid::NUMERIC => Datum::Numeric(numeric(reader)?),
        oid::BYTEA => Datum::Bytea(reader.rest().to_vec()),
        oid::DATE => date(reader.i32()?)?,
        oid::TIME => {
            let micros = reader.i64()?;
            if !(0..=datetime::MICROS_PER_DAY).contains(&micros) {
                return Err(Error::client(state::DATETIME_FIELD_OVERFLOW, "time out of range"));
            }
            Datum::Time(micros)
        }
        oid::TIMESTAMP => Datum::Timestamp(timestamp(reader.i64()?)?),
        oid::TIMESTAMPTZ => Datum::Timestamptz(timestamp(reader.i64()?)?),
        oid::INTERVAL => {
            let (micros, days, months) = (reader.i64()?, reader.i32()?, reader.i32()?);
            Datum::Interval(Interval { months, days, micros })
        }
        oid::UUID => Datum::Uuid(reader.array()?),
        oid::JSON => {
            let text = utf8(reader.rest())?;
            json::validate(text)?;
            Datum::Json(text.to_owned())
        }
        oid::JSONB => {
            let version = reader.array::<1>()?[0];
            if version != JSONB_VERSION {
                return Err(invalid(format!("unsupported jsonb version number {version}")));
            }
            Datum::Jsonb(json::canonical(utf8(reader.rest())?)?)
        }
        oid::CHAR => Datum::Text(char_text(reader.array::<1>()?[0])),
        oid::BPCHAR => Datum::Text(ty.without_fill(utf8(reader.rest())?).to_owned()),
        oid::TSVECTOR => Datum::Text(vector(reader)?.to_string()),
        oid::TIMETZ => {
            let (micros, west) = (reader.i64()?, reader.i32()?);
            Datum::Text(datetime::TimeTz::from_parts(micros, west)?.text())
        }
        oid::INET | oid::CIDR => {
            let cidr = ty.oid == oid::CIDR;
            Datum::Text(network::Network::from_binary(reader.rest(), cidr)?.text(cidr))
        }
        oid::MACADDR => Datum::Text(network::mac_text(&reader.array()?)),
        oid::BIT | oid::VARBIT => Datum::Text(bits::from_binary(reader.rest())?),
        oid::NAME => Datum::Text(utf8(reader.rest())?.to_owned()),
        oid::HSTORE => Datum::Text(Hstore::from_binary(reader.rest())?.to_string()),
        kind if super::is_range(kind) => ranges(kind, reader)?,
        row if super::is_composite(row) => record(reader, MOST_ROWS)?,
        other => match element_of(other) {
            Some(element) if super::is_composite(element) && !is_made(element) => {
                return Err(Error::unsupported("an array of rows in binary format"));
            }
            Some(element) => array(Type::with_typmod(element, ty.typmod), reader)?,
            None if is_plain(other) || super::is_enum(other) => {
                Datum::Text(utf8(reader.rest())?.to_owned())
            }
            None => return Err(super::text::unsupported_type(ty)),
        },
    })
}

fn date(days: i32) -> Result<Datum> {
    let infinite = days == i32::MAX || days == i32::MIN;
    // The first and the last day that PostgreSQL holds.
    if !infinite && !(-2_451_545..2_145_031_949).contains(&days) {
        return Err(Error::client(state::DATETIME_FIELD_OVERFLOW, "date out of range"));
    }
    Ok(Datum::Date(days))
}

fn timestamp(micros: i64) -> Result<i64> {
    if micros == i64::MAX || micros == i64::MIN || datetime::in_range(micros) {
        Ok(micros)
    } else {
        Err(datetime::timestamp_out_of_range())
    }
}

fn numeric(reader: &mut Reader<'_>) -> Result<Numeric> {
    let count = reader.u16()?;
    let weight = i64::from(reader.i16()?);
    let sign = reader.u16()?;
    let scale = reader.u16()?;
    match sign {
        0 | NUMERIC_NEGATIVE => {}
        NUMERIC_NAN | NUMERIC_INFINITY | NUMERIC_NEG_INFINITY => {
            reader.take(usize::from(count) * 2)?;
            return Ok(match sign {
                NUMERIC_NAN => Numeric::NaN,
                NUMERIC_INFINITY => Numeric::Infinity,
                _ => Numeric::NegInfinity,
            });
        }
        _ => return Err(invalid("invalid sign in external \"numeric\" value")),
    }
    if scale > 0x3fff {
        return Err(invalid("invalid scale in external \"numeric\" value"));
    }
    let mut digits = Vec::with_capacity(usize::from(count) * 4);
    for pair in reader.take(usize::from(count) * 2)?.chunks_exact(2) {
        let digit = u16::from_be_bytes([pair[0], pair[1]]);
        if digit > 9999 {
            return Err(invalid("invalid digit in external \"numeric\" value"));
        }
        digits.extend(
            [digit / 1000, digit / 100 % 10, digit / 10 % 10, digit % 10].map(|d| b'0' + d as u8),
        );
    }
    let value = BigInt::parse_bytes(&digits, 10).unwrap_or_else(BigInt::zero);
    // Digits beyond the declared scale are cut, as numeric_recv does.
    let exponent = (weight - i64::from(count) + 1) * 4 + i64::from(scale);
    let power = pow10(exponent.unsigned_abs() as u32);
    let unscaled = if exponent >= 0 { value * power } else { value / power };
    let unscaled = if sign == NUMERIC_NEGATIVE { -unscaled } else { unscaled };
    Numeric::finite(unscaled, u32::from(scale))
}

fn array(element: Type, reader: &mut Reader<'_>) -> Result<Datum> {
    let dimensions = reader.i32()?;
    let flags = reader.i32()?;
    let sent = reader.i32()? as u32;
    if !(0..=6).contains(&dimensions) {
        return Err(invalid(format!("invalid number of dimensions: {dimensions}")));
    }
    if !(0..=1).contains(&flags) {
        return Err(invalid("invalid array flags"));
    }
    // A type that clients made, or one of an extension, has another OID on PostgreSQL.
    if sent != element.oid && !is_numbered_apart(element.oid) {
        return Err(Error::client(state::DATATYPE_MISMATCH, "wrong element type"));
    }
    let mut counts = Vec::new();
    for _ in 0..dimensions {
        let (count, lower) = (reader.i32()?, reader.i32()?);
        // Vectors of the catalog begin at 0.
        if !(0..=1).contains(&lower) || (lower == 0 && dimensions > 1) {
            return Err(Error::unsupported("an array whose lower bound is not 1"));
        }
        counts.push(usize::try_from(count).map_err(|_| invalid("invalid array dimensions"))?);
    }
    let product = counts.iter().try_fold(1usize, |n, c| n.checked_mul(*c)).unwrap_or(usize::MAX);
    let total = if counts.is_empty() { 0 } else { product };
    let mut elements = Vec::new();
    for _ in 0..total {
        // Each element takes four bytes at least, so the loop ends with the input.
        let length = reader.i32()?;
        elements.push(match usize::try_from(length) {
            Ok(length) => decode(element, reader.take(length)?)?,
            Err(_) if length == -1 => Datum::Null,
            Err(_) => return Err(invalid("incorrect binary data format")),
        });
    }
    // From the innermost dimension outwards.
    for count in counts.iter().skip(1).rev().filter(|_| total > 0) {
        let lists = elements.chunks(*count).map(|list| Datum::Array(element.oid, list.to_vec()));
        elements = lists.collect();
    }
    Ok(Datum::Array(element.oid, elements))
}

/// Appends a value's binary form (no length); 0A000 for types without one here. NULL has
/// none and is an internal error.
pub fn encode(datum: &Datum, ty: Type, out: &mut Vec<u8>) -> Result<()> {
    match datum {
        Datum::Null => return Err(Error::internal("NULL has no binary form")),
        Datum::Bool(b) => out.push(u8::from(*b)),
        Datum::Int(i) => integer(*i, ty, out)?,
        Datum::Float4(f) => out.extend_from_slice(&f.to_be_bytes()),
        Datum::Float8(f) => out.extend_from_slice(&f.to_be_bytes()),
        Datum::Numeric(n) => push_numeric(n, out),
        // A reg* value as a name has text form only.
        Datum::Text(_)
            if matches!(
                ty.oid,
                oid::TSQUERY
                    | oid::TID
                    | oid::REGCLASS
                    | oid::REGTYPE
                    | oid::REGPROC
                    | oid::REGNAMESPACE
            ) =>
        {
            return Err(super::text::unsupported_type(ty));
        }
        Datum::Text(t) if ty.oid == oid::TSVECTOR => push_vector(t, out)?,
        Datum::Text(t) if ty.oid == oid::HSTORE => Hstore::parse(t)?.push_binary(out),
        Datum::Text(t) if ty.oid == oid::CHAR => {
            out.push(char_byte(t));
        }
        Datum::Text(t)
            if matches!(
                ty.oid,
                oid::INET | oid::CIDR | oid::MACADDR | oid::TIMETZ | oid::BIT | oid::VARBIT
            ) =>
        {
            out.extend_from_slice(&canonical_text(t, ty)?);
        }
        Datum::Text(t) => {
            out.extend_from_slice(t.as_bytes());
            push_padding(t, ty, out);
        }
        Datum::Bytea(b) => out.extend_from_slice(b),
        Datum::Date(d) => out.extend_from_slice(&d.to_be_bytes()),
        Datum::Time(t) | Datum::Timestamp(t) | Datum::Timestamptz(t) => {
            out.extend_from_slice(&t.to_be_bytes());
        }
        Datum::Interval(i) => {
            out.extend_from_slice(&i.micros.to_be_bytes());
            out.extend_from_slice(&i.days.to_be_bytes());
            out.extend_from_slice(&i.months.to_be_bytes());
        }
        Datum::Uuid(u) => out.extend_from_slice(u),
        Datum::Json(t) => out.extend_from_slice(t.as_bytes()),
        Datum::Jsonb(t) => {
            out.push(JSONB_VERSION);
            out.extend_from_slice(t.as_bytes());
        }
        Datum::Array(element, elements) => push_array(*element, elements, ty, out)?,
        Datum::Record(fields) => push_record(fields, out)?,
        Datum::Range(ty, range) => push_range(*ty, range, out)?,
        Datum::Multirange(ty, ranges) => {
            out.extend_from_slice(&(ranges.len() as u32).to_be_bytes());
            for range in ranges {
                with_length(out, |out| push_range(*ty, range, out))?;
            }
        }
    }
    Ok(())
}

/// Flags of a range's binary form.
mod flag {
    pub(super) const EMPTY: u8 = 1;
    pub(super) const LOWER_IN: u8 = 2;
    pub(super) const UPPER_IN: u8 = 4;
    pub(super) const NO_LOWER: u8 = 8;
    pub(super) const NO_UPPER: u8 = 16;
}

/// A range or multirange.
fn ranges(kind: u32, reader: &mut Reader<'_>) -> Result<Datum> {
    let Some(range) = range::range_of(kind) else {
        return Ok(Datum::Range(kind, Box::new(one_range(kind, reader)?)));
    };
    let count = reader.i32()?;
    let mut found = Vec::new();
    for _ in 0..count.max(0) {
        let length =
            usize::try_from(reader.i32()?).map_err(|_| invalid("incorrect binary data format"))?;
        let mut inner = Reader(reader.take(length)?);
        found.push(one_range(range, &mut inner)?);
        if !inner.0.is_empty() {
            return Err(invalid("incorrect binary data format"));
        }
    }
    Ok(Datum::Multirange(range, range::union_all(found)?))
}

fn one_range(kind: u32, reader: &mut Reader<'_>) -> Result<Range> {
    let flags = reader.array::<1>()?[0];
    let subtype = Type::new(range::subtype_of(kind).unwrap_or(oid::TEXT));
    let mut bound = |absent: u8| {
        if flags & (flag::EMPTY | absent) != 0 {
            return Ok(Datum::Null);
        }
        let length =
            usize::try_from(reader.i32()?).map_err(|_| invalid("incorrect binary data format"))?;
        decode(subtype, reader.take(length)?)
    };
    let (lower, upper) = (bound(flag::NO_LOWER)?, bound(flag::NO_UPPER)?);
    if flags & flag::EMPTY != 0 {
        return Ok(Range::nothing());
    }
    range::make(kind, lower, upper, (flags & flag::LOWER_IN != 0, flags & flag::UPPER_IN != 0))
}

fn push_range(kind: u32, range: &Range, out: &mut Vec<u8>) -> Result<()> {
    if range.empty {
        out.push(flag::EMPTY);
        return Ok(());
    }
    let bit = |set: bool, bit: u8| if set { bit } else { 0 };
    out.push(
        bit(range.lower_in, flag::LOWER_IN)
            | bit(range.upper_in, flag::UPPER_IN)
            | bit(range.lower.is_none(), flag::NO_LOWER)
            | bit(range.upper.is_none(), flag::NO_UPPER),
    );
    let subtype = Type::new(range::subtype_of(kind).unwrap_or(oid::TEXT));
    for bound in [&range.lower, &range.upper].into_iter().flatten() {
        with_length(out, |out| encode(bound, subtype, out))?;
    }
    Ok(())
}

/// Appends something with its length before it.
fn with_length(out: &mut Vec<u8>, push: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<()> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    push(out)?;
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// A row: the number of fields, then type, length and bytes of each.
fn push_record(fields: &[(u32, Datum)], out: &mut Vec<u8>) -> Result<()> {
    out.extend_from_slice(&(fields.len() as u32).to_be_bytes());
    for (ty, value) in fields {
        out.extend_from_slice(&ty.to_be_bytes());
        let start = out.len();
        out.extend_from_slice(&(-1i32).to_be_bytes());
        if !value.is_null() {
            encode(value, Type::new(*ty), out)?;
            let length = (out.len() - start - 4) as i32;
            out[start..start + 4].copy_from_slice(&length.to_be_bytes());
        }
    }
    Ok(())
}

/// Rows within rows, at most.
const MOST_ROWS: usize = 20;

/// A row's fields by the types that it names itself.
fn record(reader: &mut Reader<'_>, deeper: usize) -> Result<Datum> {
    if deeper == 0 {
        return Err(Error::unsupported("rows nested so deeply"));
    }
    let count = reader.i32()?;
    let mut fields = Vec::new();
    for _ in 0..count.max(0) {
        let ty = reader.i32()? as u32;
        let value = match usize::try_from(reader.i32()?) {
            Err(_) => Datum::Null,
            Ok(length) if super::is_composite(ty) => {
                record(&mut Reader(reader.take(length)?), deeper - 1)?
            }
            Ok(length) => decode(Type::new(ty), reader.take(length)?)?,
        };
        fields.push((ty, value));
    }
    Ok(Datum::Record(fields))
}

/// The binary form of a type whose value is its canonical text.
fn canonical_text(text: &str, ty: Type) -> Result<Vec<u8>> {
    let damaged =
        || invalid(format!("stored value does not fit type {}", super::type_name(ty.oid)));
    match ty.oid {
        oid::INET | oid::CIDR => {
            let network = network::read(text).ok_or_else(damaged)?;
            Ok(network.to_binary(ty.oid == oid::CIDR))
        }
        oid::MACADDR => network::parse_mac(text).map(|mac| mac.to_vec()),
        oid::TIMETZ => {
            let time = datetime::TimeTz::read(text).ok_or_else(damaged)?;
            let mut out = time.micros.to_be_bytes().to_vec();
            out.extend_from_slice(&(-time.east).to_be_bytes());
            Ok(out)
        }
        _ => bits::to_binary(text),
    }
}

/// tsvector: lexemes ended by NUL, each with its places in 16 bits.
fn push_vector(text: &str, out: &mut Vec<u8>) -> Result<()> {
    let vector = search::Vector::parse(text)?;
    out.extend_from_slice(&(vector.lexemes.len() as u32).to_be_bytes());
    for (word, places) in &vector.lexemes {
        out.extend_from_slice(word.as_bytes());
        out.push(0);
        out.extend_from_slice(&(places.len() as u16).to_be_bytes());
        for place in places {
            let packed = u16::from(place.weight) << 14 | place.position & 0x3fff;
            out.extend_from_slice(&packed.to_be_bytes());
        }
    }
    Ok(())
}

fn vector(reader: &mut Reader<'_>) -> Result<search::Vector> {
    let count = reader.i32()?;
    let mut words = Vec::new();
    for _ in 0..count {
        let mut word = Vec::new();
        loop {
            match reader.array::<1>()?[0] {
                0 => break,
                byte => word.push(byte),
            }
        }
        let places = u16::from_be_bytes(reader.array()?);
        let places = (0..places)
            .map(|_| {
                let packed = u16::from_be_bytes(reader.array()?);
                let weight = (packed >> 14) as u8;
                Ok(search::Place { position: packed & 0x3fff, weight })
            })
            .collect::<Result<Vec<_>>>()?;
        words.push((utf8(&word)?.to_owned(), places));
    }
    Ok(search::Vector::collect(words))
}

pub(crate) fn integer(value: i64, ty: Type, out: &mut Vec<u8>) -> Result<()> {
    let range = || {
        Error::client(
            state::NUMERIC_VALUE_OUT_OF_RANGE,
            format!("{} out of range", super::type_name(ty.oid)),
        )
    };
    match ty.oid {
        oid::INT2 => {
            out.extend_from_slice(&i16::try_from(value).map_err(|_| range())?.to_be_bytes());
        }
        oid::INT4 => {
            out.extend_from_slice(&i32::try_from(value).map_err(|_| range())?.to_be_bytes());
        }
        oid::INT8 => out.extend_from_slice(&value.to_be_bytes()),
        _ => out.extend_from_slice(&u32::try_from(value).map_err(|_| range())?.to_be_bytes()),
    }
    Ok(())
}

fn push_numeric(value: &Numeric, out: &mut Vec<u8>) {
    let special = |sign: u16, out: &mut Vec<u8>| {
        // PostgreSQL sends a scale of 32 with its infinities.
        let scale = if sign == NUMERIC_NAN { 0 } else { 0x20 };
        for word in [0, 0, sign, scale] {
            out.extend_from_slice(&word.to_be_bytes());
        }
    };
    let (n, scale) = match value {
        Numeric::NaN => return special(NUMERIC_NAN, out),
        Numeric::Infinity => return special(NUMERIC_INFINITY, out),
        Numeric::NegInfinity => return special(NUMERIC_NEG_INFINITY, out),
        Numeric::Finite(n, s) => (n, *s),
    };
    if !n.to_i64().is_some_and(|small| decimal::write(small, scale, out)) {
        push_digits(n, scale, out);
    }
}

/// A decimal of any length.
fn push_digits(n: &BigInt, scale: u32, out: &mut Vec<u8>) {
    // Zeros on both sides line the decimal point up with a border of four digits.
    let right = (4 - scale as usize % 4) % 4;
    let digits = n.magnitude().to_string();
    let left = (4 - (digits.len() + right) % 4) % 4;
    let padded: Vec<u8> = std::iter::repeat_n(b'0', left)
        .chain(digits.bytes())
        .chain(std::iter::repeat_n(b'0', right))
        .collect();
    let groups: Vec<u16> = padded
        .chunks(4)
        .map(|group| group.iter().fold(0, |sum, d| sum * 10 + u16::from(d - b'0')))
        .collect();
    let weight = groups.len() as i64 - (i64::from(scale) + right as i64) / 4 - 1;
    let first = groups.iter().take_while(|g| **g == 0).count();
    let kept = &groups[first..];
    let last = kept.iter().rposition(|g| *g != 0).map_or(0, |at| at + 1);
    let kept = &kept[..last];
    let weight = if kept.is_empty() { 0 } else { weight - first as i64 };
    let sign = if n.sign() == Sign::Minus { NUMERIC_NEGATIVE } else { 0 };
    for word in [kept.len() as u16, weight as i16 as u16, sign, scale as u16] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    for group in kept {
        out.extend_from_slice(&group.to_be_bytes());
    }
}

/// The elements of all dimensions in order.
fn collect<'a>(elements: &'a [Datum], out: &mut Vec<&'a Datum>) {
    for element in elements {
        match element {
            Datum::Array(_, inner) => collect(inner, out),
            leaf => out.push(leaf),
        }
    }
}

fn push_array(element: u32, elements: &[Datum], ty: Type, out: &mut Vec<u8>) -> Result<()> {
    let inner = Type::with_typmod(element, ty.typmod);
    let vector = matches!(ty.oid, oid::INT2VECTOR | oid::OIDVECTOR);
    // What the shadow calls such a type: see the projection of its columns.
    let named = match u32::try_from(ty.typmod) {
        Ok(there) if is_numbered_apart(element) && there > 0 => there,
        _ => element,
    };
    let (mut counts, mut level) = (Vec::new(), elements);
    if !elements.is_empty() || vector {
        counts.push(elements.len());
    }
    while let Some(Datum::Array(_, inner)) = level.first() {
        counts.push(inner.len());
        level = inner;
    }
    let mut leaves = Vec::with_capacity(elements.len());
    collect(elements, &mut leaves);
    let has_null = leaves.iter().any(|datum| datum.is_null());
    let dimensions = counts.len() as i32;
    out.extend_from_slice(&dimensions.to_be_bytes());
    out.extend_from_slice(&i32::from(has_null).to_be_bytes());
    out.extend_from_slice(&named.to_be_bytes());
    if dimensions == 0 {
        return Ok(());
    }
    for count in counts {
        let count = i32::try_from(count).map_err(|_| {
            Error::client(state::PROGRAM_LIMIT_EXCEEDED, "array size exceeds the maximum allowed")
        })?;
        out.extend_from_slice(&count.to_be_bytes());
        out.extend_from_slice(&i32::from(!vector).to_be_bytes());
    }
    for datum in leaves {
        let start = out.len();
        out.extend_from_slice(&(-1i32).to_be_bytes());
        if !datum.is_null() {
            encode(datum, inner, out)?;
            let length = (out.len() - start - 4) as i32;
            out[start..start + 4].copy_from_slice(&length.to_be_bytes());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
