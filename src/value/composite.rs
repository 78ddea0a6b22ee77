//! Rows as values: composite types, row types of tables, and records without a type's name.
//!
//! A row's cell says the type of each field itself (`[[23,25],1,"a"]`), so that what cannot be
//! told from the row's type, the fields of ROW(…), needs no catalog. Start at [`encode`],
//! [`decode`] and [`parse`].

use serde::{Deserialize, Serialize};

use super::enums::{enum_of_array, is_enum};
use super::extension::{extended_of_array, is_extended};
use super::json::lexer::{Lexer, Token};
use super::{Cell, Codec, Datum, Style, Type, array, oid, storage, text};
use crate::error::{Culprit, Error, Result, state};

/// OIDs of types made by CREATE TYPE … AS and, odd ones, of their arrays.
const OIDS: std::ops::Range<u32> = 0x5000_0000..0x6000_0000;

/// OIDs of tables, which are those of their row types.
const ROW_TYPES: std::ops::Range<u32> = 16_384..0x4000_0000;

/// Whether values of the type are rows.
pub fn is_composite(type_oid: u32) -> bool {
    type_oid == oid::RECORD || ROW_TYPES.contains(&type_oid) || is_made(type_oid)
}

/// Whether the type was made by CREATE TYPE … AS.
pub fn is_made(type_oid: u32) -> bool {
    OIDS.contains(&type_oid) && type_oid.is_multiple_of(2)
}

/// The composite type under an array of one.
pub fn composite_of_array(type_oid: u32) -> Option<u32> {
    (OIDS.contains(&type_oid) && !type_oid.is_multiple_of(2)).then(|| type_oid - 1)
}

/// Whether each server numbers the type by itself: clients made it, or an extension did.
pub fn is_numbered_apart(type_oid: u32) -> bool {
    is_enum(type_oid) || is_extended(type_oid) || is_made(type_oid)
}

/// The element type of an array whose elements each server numbers by itself.
pub fn element_numbered_apart(type_oid: u32) -> Option<u32> {
    enum_of_array(type_oid)
        .or_else(|| extended_of_array(type_oid))
        .or_else(|| composite_of_array(type_oid))
}

/// The array type over a composite type.
pub fn array_of_composite(type_oid: u32) -> Option<u32> {
    is_made(type_oid).then_some(type_oid + 1)
}

/// The OID of the n-th try for a new type of a name.
pub fn candidate(hash: u32, step: u32) -> u32 {
    let span = (OIDS.end - OIDS.start) / 2;
    OIDS.start + (hash.wrapping_add(step) % span) * 2
}

/// A field of a composite type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Name.
    pub name: String,
    /// OID of its type.
    pub ty: u32,
    /// Modifier of its type.
    pub typmod: i32,
}

impl Field {
    /// Its type.
    pub fn full_type(&self) -> Type {
        Type::with_typmod(self.ty, self.typmod)
    }
}

/// A type made by CREATE TYPE … AS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompositeType {
    /// OID in pg_type, and of its entry in pg_class.
    pub oid: u32,
    /// Name.
    pub name: String,
    /// Fields in order.
    pub fields: Vec<Field>,
    /// Of the session's temporary schema: only that session knows it.
    #[serde(skip)]
    pub temporary: bool,
}

fn corrupted() -> Error {
    Error::new(Culprit::Primary, state::DATA_CORRUPTED, "stored value is not a row's JSON text")
}

/// A row's cell text.
pub fn encode(fields: &[(u32, Cell)]) -> Result<String> {
    let types: Vec<String> = fields.iter().map(|(ty, _)| ty.to_string()).collect();
    let mut out = format!("[[{}]", types.join(","));
    for (_, cell) in fields {
        out.push(',');
        array::push(cell.as_ref(), &mut out)?;
    }
    out.push(']');
    Ok(out)
}

/// The fields of a row's cell text: types and logical cells.
pub fn decode(text: &str) -> Result<Vec<(u32, Cell)>> {
    let mut lexer = Lexer::new(text, true);
    let mut expect = |wanted: char| match lexer.next()? {
        Token::Punct(found) if found == wanted => Ok(()),
        _ => Err(corrupted()),
    };
    expect('[')?;
    expect('[')?;
    let mut fields = Vec::new();
    loop {
        match lexer.next()? {
            Token::Punct(']') => break,
            Token::Punct(',') => {}
            Token::Number(n) => {
                fields.push((n.parse().map_err(|_| corrupted())?, Cell::Null));
            }
            _ => return Err(corrupted()),
        }
    }
    for (ty, cell) in &mut fields {
        if !matches!(lexer.next()?, Token::Punct(',')) {
            return Err(corrupted());
        }
        let token = lexer.next()?;
        *cell = array::cell(*ty, token)?;
    }
    if !matches!(lexer.next()?, Token::Punct(']')) || !matches!(lexer.next()?, Token::End) {
        return Err(corrupted());
    }
    Ok(fields)
}

/// The value of a row's cell text.
pub fn datum(text: &str) -> Result<Datum> {
    let fields = decode(text)?.into_iter().map(|(ty, cell)| {
        let value = match (ty, &cell) {
            // Filled with blanks already.
            (oid::BPCHAR, Cell::Text(text)) => Datum::Text(text.clone()),
            _ => storage::decode(Codec::Identity, Type::new(ty), cell.as_ref())?,
        };
        Ok((ty, value))
    });
    fields.collect::<Result<_>>().map(Datum::Record)
}

/// A row's text form read as a type of the given fields.
///
/// # Errors
/// 22P02 for a malformed row, and what the fields' types say.
pub fn parse(fields: &[Field], written: &str, style: &Style) -> Result<Datum> {
    let malformed = |detail: &'static str| {
        let message = format!("malformed record literal: \"{written}\"");
        Error::client(state::INVALID_TEXT_REPRESENTATION, message).detail(detail)
    };
    let mut chars = written.chars().peekable();
    while chars.next_if(char::is_ascii_whitespace).is_some() {}
    if chars.next() != Some('(') {
        return Err(malformed("Missing left parenthesis."));
    }
    let mut values = Vec::with_capacity(fields.len());
    for (position, field) in fields.iter().enumerate() {
        if position > 0 && chars.next_if_eq(&',').is_none() {
            return Err(malformed("Too few columns."));
        }
        let value = match chars.peek() {
            Some(',' | ')') => Datum::Null,
            _ => {
                let text = item(&mut chars).ok_or_else(|| malformed("Unexpected end of input."))?;
                let ty = field.full_type();
                match super::coerce(text::parse(ty, &text, style)?, ty, false)? {
                    Datum::Text(short) if ty.oid == oid::BPCHAR => Datum::Text(filled(short, ty)),
                    value => value,
                }
            }
        };
        values.push((field.ty, value));
    }
    if chars.next() != Some(')') {
        return Err(malformed("Too many columns."));
    }
    if chars.any(|c| !c.is_ascii_whitespace()) {
        return Err(malformed("Junk after right parenthesis."));
    }
    Ok(Datum::Record(values))
}

/// A `char(n)` with the blanks at its end, which a row keeps.
fn filled(short: String, ty: Type) -> String {
    let mut out = short.into_bytes();
    let text = String::from_utf8_lossy(&out).into_owned();
    text::push_padding(&text, ty, &mut out);
    String::from_utf8(out).unwrap_or(text)
}

/// One field's text, up to the comma or bracket behind it.
fn item(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<String> {
    let mut out = String::new();
    let mut quoted = false;
    loop {
        if !quoted && matches!(chars.peek(), Some(',' | ')')) {
            return Some(out);
        }
        match chars.next()? {
            '\\' => out.push(chars.next()?),
            '"' if quoted && chars.next_if_eq(&'"').is_some() => out.push('"'),
            '"' => quoted = !quoted,
            c => out.push(c),
        }
    }
}

/// Appends a row's text form.
pub fn format(fields: &[(u32, Datum)], style: &Style, out: &mut Vec<u8>) {
    let mut buffer = Vec::new();
    out.push(b'(');
    for (position, (ty, value)) in fields.iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        if value.is_null() {
            continue;
        }
        buffer.clear();
        text::format(value, Type::new(*ty), style, &mut buffer);
        let special =
            |b: &u8| matches!(b, b'"' | b'\\' | b'(' | b')' | b',' | b' ' | b'\t'..=b'\r');
        if !buffer.is_empty() && !buffer.iter().any(special) {
            out.extend_from_slice(&buffer);
            continue;
        }
        out.push(b'"');
        for byte in &buffer {
            if matches!(byte, b'"' | b'\\') {
                out.push(*byte);
            }
            out.push(*byte);
        }
        out.push(b'"');
    }
    out.push(b')');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, ty: u32) -> Field {
        Field { name: name.to_owned(), ty, typmod: -1 }
    }

    #[test]
    fn cells_hold_their_types() {
        let fields = [
            (oid::INT4, Cell::Integer(1)),
            (oid::TEXT, Cell::Text("a \"b\"".into())),
            (oid::FLOAT8, Cell::Real(1.5)),
            (oid::TEXT, Cell::Null),
        ];
        let text = encode(&fields).unwrap();
        assert_eq!(text, r#"[[23,25,701,25],1,"a \"b\"",1.5,null]"#);
        assert_eq!(decode(&text).unwrap(), fields);
        assert_eq!(decode("[[]]").unwrap(), []);
        for damaged in ["", "[]", "[[23]]", "[[23],1,2]", "[[23],1]x", "[[\"a\"],1]"] {
            assert!(decode(damaged).is_err(), "{damaged}");
        }
    }

    #[test]
    fn texts_are_read_and_written() {
        let fields = [field("a", oid::INT4), field("b", oid::TEXT), field("c", oid::TEXT)];
        let style = Style::default();
        for written in ["(1,x,)", "(,\"\",\"a,b\")", "(-5,\"a\"\"b\\\\\",\"(1)\")"] {
            let value = parse(&fields, written, &style).unwrap();
            let mut out = Vec::new();
            text::format(&value, Type::new(oid::RECORD), &style, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), written);
        }
        for (written, detail) in [
            ("1", "Missing left parenthesis."),
            ("(1,2)", "Too few columns."),
            ("(1,2,3,4)", "Too many columns."),
            ("(1,2,3", "Unexpected end of input."),
            ("(1,2,3)x", "Junk after right parenthesis."),
        ] {
            let error = parse(&fields, written, &style).unwrap_err();
            assert_eq!(error.fields().detail.as_deref(), Some(detail), "{written}");
        }
        assert!(is_composite(oid::RECORD) && is_composite(16_500) && !is_composite(oid::TEXT));
        assert_eq!(composite_of_array(0x5000_0001), Some(0x5000_0000));
    }
}
