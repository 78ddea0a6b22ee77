//! PostgreSQL's text forms, in and out.
//!
//! Errors carry PostgreSQL's own SQLSTATEs and words. The one place where input text is
//! judged: it must never guess a type. Start at [`parse`] and [`format`].

mod array;
pub mod float;
mod scalar;

pub use array::split as split_array;
pub use scalar::{
    char_byte, char_text, format_bytea, format_uuid, integer_range, integer_text, is_space,
    parse_bool, parse_bytea, parse_integer, parse_oid, parse_uuid, push_hex, push_integer,
};

use super::hstore::Hstore;
use super::numeric::Numeric;
use super::{Datum, Style, Type, bits, datetime, element_of, json, network, oid, search};
use crate::error::{Error, Result, state};

/// Longest name PostgreSQL keeps, in bytes.
const NAME_BYTES: usize = 63;

/// Reads a value's text form, with PostgreSQL's errors. The typmod is not applied, see
/// `value::coerce`; only blanks at the end of a bpchar are dropped.
pub fn parse(ty: Type, text: &str, style: &Style) -> Result<Datum> {
    if let Some(at) = text.bytes().position(|b| b == 0) {
        debug_assert!(at < text.len());
        return Err(invalid_byte(&[0]));
    }
    Ok(match ty.oid {
        oid::BOOL => Datum::Bool(parse_bool(text)?),
        oid::INT2 | oid::INT4 | oid::INT8 => Datum::Int(parse_integer(ty.oid, text)?),
        oid::OID | oid::XID | oid::CID => Datum::Int(parse_oid(text)?),
        oid::REGCLASS | oid::REGTYPE | oid::REGPROC | oid::REGNAMESPACE => match text {
            "-" => Datum::Int(0),
            _ if text.bytes().all(|b| b.is_ascii_digit()) => Datum::Int(parse_oid(text)?),
            _ => return Err(Error::unsupported("a name as the value of a reg* type here")),
        },
        oid::FLOAT4 => Datum::Float4(float::parse_f32(text)?),
        oid::FLOAT8 => Datum::Float8(float::parse_f64(text)?),
        oid::NUMERIC => Datum::Numeric(Numeric::parse(text)?),
        oid::BYTEA => Datum::Bytea(parse_bytea(text)?),
        oid::DATE => Datum::Date(datetime::parse_date(text, style)?),
        oid::TIME => Datum::Time(datetime::parse_time(text, style)?),
        oid::TIMESTAMP => Datum::Timestamp(datetime::parse_timestamp(text, style)?),
        oid::TIMESTAMPTZ => Datum::Timestamptz(datetime::parse_timestamptz(text, style)?),
        oid::INTERVAL => Datum::Interval(datetime::parse_interval(text, style)?),
        oid::UUID => Datum::Uuid(parse_uuid(text)?),
        oid::JSON => {
            json::validate(text)?;
            Datum::Json(text.to_owned())
        }
        oid::JSONB => Datum::Jsonb(json::canonical(text)?),
        oid::TSVECTOR => Datum::Text(search::Vector::parse(text)?.to_string()),
        oid::TSQUERY => {
            Datum::Text(search::Query::parse(text)?.map_or_else(String::new, |q| q.to_string()))
        }
        oid::BPCHAR => Datum::Text(ty.without_fill(text).to_owned()),
        oid::NAME => Datum::Text(cut(text, NAME_BYTES).to_owned()),
        oid::CHAR => Datum::Text(char_text(char_byte(text))),
        oid::INT2VECTOR | oid::OIDVECTOR => parse_vector(ty.oid, text)?,
        oid::TIMETZ => Datum::Text(datetime::parse_timetz(text, style)?.text()),
        oid::INET | oid::CIDR => {
            Datum::Text(network::parse(ty.oid, text)?.text(ty.oid == oid::CIDR))
        }
        oid::HSTORE => Datum::Text(Hstore::parse(text)?.to_string()),
        oid::MACADDR => Datum::Text(network::mac_text(&network::parse_mac(text)?)),
        oid::BIT | oid::VARBIT => Datum::Text(bits::parse(text)?),
        range if super::is_range(range) => super::range::parse(range, text, style)?,
        row if super::is_composite(row) => {
            let Some(ty) = style.enums.composite(row) else {
                let message = format!("input of type {}", super::type_name(row));
                return Err(Error::unsupported(message));
            };
            super::composite::parse(&ty.fields, text, style)?
        }
        label if super::is_enum(label) => {
            style.enums.check(label, text)?;
            Datum::Text(text.to_owned())
        }
        other => match element_of(other) {
            Some(element) => array::parse(Type::with_typmod(element, ty.typmod), text, style)?,
            None if is_plain(other) => Datum::Text(text.to_owned()),
            None => return Err(unsupported_type(ty)),
        },
    })
}

/// The text cut to a number of bytes at a character's border.
pub fn cut(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Whether `lower()` changes a letter beyond ASCII.
pub fn folds_beyond_ascii(text: &str) -> bool {
    text.chars().any(|c| !c.is_ascii() && !c.to_lowercase().eq([c]))
}

/// Types that hold any text as it is given. Whatever is not listed here or read by its own
/// rules is 0A000: a value that PostgreSQL would refuse or rewrite must not pass.
pub(super) fn is_plain(type_oid: u32) -> bool {
    matches!(
        type_oid,
        oid::TEXT
            | oid::VARCHAR
            | oid::CITEXT
            | oid::UNKNOWN
            | oid::CSTRING
            | oid::REFCURSOR
            | oid::ACLITEM
            | oid::VOID
    )
}

/// 0A000 for a type that has no logical form here.
pub(super) fn unsupported_type(ty: Type) -> Error {
    Error::unsupported(format!("type {}", super::type_name(ty.oid)))
}

/// 22021 naming the bytes that are not valid text.
pub fn invalid_byte(bytes: &[u8]) -> Error {
    let list: Vec<String> = bytes.iter().map(|b| format!("0x{b:02x}")).collect();
    Error::client(
        state::CHARACTER_NOT_IN_REPERTOIRE,
        format!("invalid byte sequence for encoding \"UTF8\": {}", list.join(" ")),
    )
}

/// Bytes as text; 22021 for invalid UTF-8 and for NUL, which PostgreSQL cannot hold.
pub fn utf8(bytes: &[u8]) -> Result<&str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !bytes.contains(&0) => Ok(text),
        Ok(_) => Err(invalid_byte(&[0])),
        Err(error) => {
            // PostgreSQL names as many bytes as the first one promises.
            let bad = &bytes[error.valid_up_to()..];
            let promised = match bad[0] {
                0xf0..=0xff => 4,
                0xe0..=0xef => 3,
                0xc0..=0xdf => 2,
                _ => 1,
            };
            Err(invalid_byte(&bad[..promised.min(bad.len())]))
        }
    }
}

fn parse_vector(vector: u32, text: &str) -> Result<Datum> {
    let element = element_of(vector).unwrap_or(oid::OID);
    let elements = text
        .split(is_space)
        .filter(|word| !word.is_empty())
        .map(|word| match element {
            oid::INT2 => parse_integer(oid::INT2, word),
            _ => parse_oid(word),
        })
        .map(|value| value.map(Datum::Int))
        .collect::<Result<_>>()?;
    Ok(Datum::Array(element, elements))
}

/// Appends a value's text form; nothing for NULL.
pub fn format(datum: &Datum, ty: Type, style: &Style, out: &mut Vec<u8>) {
    match datum {
        Datum::Null => {}
        Datum::Bool(b) => out.push(if *b { b't' } else { b'f' }),
        Datum::Int(i) => push_integer(*i, out),
        Datum::Float4(f) => float::format_f32(*f, style.extra_float_digits, out),
        Datum::Float8(f) => float::format_f64(*f, style.extra_float_digits, out),
        Datum::Numeric(n) => out.extend_from_slice(n.to_string().as_bytes()),
        Datum::Text(t) => {
            out.extend_from_slice(t.as_bytes());
            push_padding(t, ty, out);
        }
        Datum::Json(t) | Datum::Jsonb(t) => out.extend_from_slice(t.as_bytes()),
        Datum::Bytea(b) => format_bytea(b, style.bytea_hex, out),
        Datum::Date(d) => datetime::show_date(*d, style, out),
        Datum::Time(t) => datetime::format_time(*t, out),
        Datum::Timestamp(t) => datetime::show_timestamp(*t, style, out),
        Datum::Timestamptz(t) => datetime::show_timestamptz(*t, style, out),
        Datum::Interval(i) => datetime::format_interval(i, style.interval_style, out),
        Datum::Uuid(u) => format_uuid(u, out),
        Datum::Array(element, elements) => format_array(*element, elements, ty, style, out),
        Datum::Record(fields) => super::composite::format(fields, style, out),
        Datum::Range(ty, range) => super::range::format(*ty, range, style, out),
        Datum::Multirange(ty, ranges) => super::range::format_many(*ty, ranges, style, out),
    }
}

/// Appends the blanks that fill a `char(n)`.
pub(super) fn push_padding(text: &str, ty: Type, out: &mut Vec<u8>) {
    if ty.oid == oid::BPCHAR
        && let Some(length) = ty.length()
    {
        let missing = length.saturating_sub(text.chars().count());
        out.extend(std::iter::repeat_n(b' ', missing));
    }
}

fn format_array(element: u32, elements: &[Datum], ty: Type, style: &Style, out: &mut Vec<u8>) {
    let element_type = Type::with_typmod(element, ty.typmod);
    let vector = matches!(ty.oid, oid::INT2VECTOR | oid::OIDVECTOR);
    if !vector {
        out.push(b'{');
    }
    let mut buffer = Vec::new();
    for (i, datum) in elements.iter().enumerate() {
        if i > 0 {
            out.push(if vector { b' ' } else { b',' });
        }
        if datum.is_null() {
            out.extend_from_slice(b"NULL");
            continue;
        }
        if let Datum::Array(element, inner) = datum {
            format_array(*element, inner, ty, style, out);
            continue;
        }
        buffer.clear();
        format(datum, element_type, style, &mut buffer);
        array::push_element(&buffer, out);
    }
    if !vector {
        out.push(b'}');
    }
}

#[cfg(test)]
mod tests;
