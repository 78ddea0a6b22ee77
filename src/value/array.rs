//! Arrays as logical cells: JSON text ↔ the elements' logical cells.
//!
//! The JSON has no blanks and the least escapes, so equal arrays have equal texts, and
//! `json_each` yields each element's logical cell (a bytea as its `\x…` text). An element
//! must never be read as anything but its type's logical cell. More dimensions are arrays in
//! the array. Start at [`decode`] and [`decode_nested`].

use super::json::lexer::{Lexer, Token};
use super::text::{self, float};
use super::{Cell, CellRef, json, oid};
use crate::error::{Culprit, Error, Result, state};

fn corrupted() -> Error {
    Error::new(Culprit::Primary, state::DATA_CORRUPTED, "stored value is not an array's JSON text")
}

/// The elements of a JSON-array cell as logical cells of an element type.
pub fn decode(element: u32, text: &str) -> Result<Vec<Cell>> {
    let items = decode_nested(element, text)?;
    items
        .into_iter()
        .map(|item| match item {
            Item::Cell(cell) => Ok(cell),
            Item::List(_) => Err(Error::unsupported("an array of more than one dimension")),
        })
        .collect()
}

/// An element, or an array in the array.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// An element's logical cell.
    Cell(Cell),
    /// One step of a further dimension.
    List(Vec<Item>),
}

/// Dimensions of a JSON-array cell beyond which it is damaged.
const MOST_DIMENSIONS: usize = 6;

/// The elements of a JSON-array cell of any number of dimensions.
pub fn decode_nested(element: u32, text: &str) -> Result<Vec<Item>> {
    let mut lexer = Lexer::new(text, true);
    if !matches!(lexer.next()?, Token::Punct('[')) {
        return Err(corrupted());
    }
    let items = list(element, &mut lexer, MOST_DIMENSIONS)?;
    match lexer.next()? {
        Token::End => Ok(items),
        _ => Err(corrupted()),
    }
}

/// The n-th (0-based) element of a JSON array whose elements have types of their own, as a
/// logical cell of `element`; NULL beyond the last.
pub fn item(element: u32, text: &str, n: usize) -> Result<Cell> {
    let mut lexer = Lexer::new(text, true);
    if !matches!(lexer.next()?, Token::Punct('[')) {
        return Err(corrupted());
    }
    for _ in 0..n {
        if matches!(lexer.next()?, Token::Punct(']')) || !matches!(lexer.next()?, Token::Punct(','))
        {
            return Ok(Cell::Null);
        }
    }
    match lexer.next()? {
        Token::Punct(']') => Ok(Cell::Null),
        token => cell(element, token),
    }
}

/// The inner arrays of a JSON array of arrays, as written.
pub fn rows(text: &str) -> Result<Vec<&str>> {
    let rows: Vec<&serde_json::value::RawValue> =
        serde_json::from_str(text).map_err(|_| corrupted())?;
    Ok(rows.into_iter().map(serde_json::value::RawValue::get).collect())
}

/// The first `count` elements of a JSON array of scalars, as an array of their own.
pub fn leading(text: &str, count: usize) -> Result<String> {
    let items: Vec<&serde_json::value::RawValue> =
        serde_json::from_str(text).map_err(|_| corrupted())?;
    let kept: Vec<&str> =
        items.into_iter().take(count).map(serde_json::value::RawValue::get).collect();
    Ok(format!("[{}]", kept.join(",")))
}

/// What follows an opening bracket, up to its end.
fn list(element: u32, lexer: &mut Lexer<'_>, deeper: usize) -> Result<Vec<Item>> {
    let mut items = Vec::new();
    let mut token = lexer.next()?;
    if matches!(token, Token::Punct(']')) {
        return Ok(items);
    }
    loop {
        items.push(match token {
            Token::Punct('[') if deeper > 1 => Item::List(list(element, lexer, deeper - 1)?),
            token => Item::Cell(cell(element, token)?),
        });
        match lexer.next()? {
            Token::Punct(',') => token = lexer.next()?,
            Token::Punct(']') => return Ok(items),
            _ => return Err(corrupted()),
        }
    }
}

/// The length of each dimension, the outermost first; none for an empty array.
pub fn dimensions(items: &[Item]) -> Vec<usize> {
    match items.first() {
        None => Vec::new(),
        Some(Item::Cell(_)) => vec![items.len()],
        Some(Item::List(inner)) => {
            let mut found = vec![items.len()];
            found.extend(dimensions(inner));
            found
        }
    }
}

/// The elements of all dimensions in order.
pub fn flatten(items: Vec<Item>) -> Vec<Cell> {
    let mut cells = Vec::with_capacity(items.len());
    for item in items {
        match item {
            Item::Cell(cell) => cells.push(cell),
            Item::List(inner) => cells.extend(flatten(inner)),
        }
    }
    cells
}

/// Whether a JSON-array cell has more than one dimension.
pub fn is_nested(text: &str) -> bool {
    let inside = text.trim_start().strip_prefix('[').unwrap_or_default();
    inside.trim_start().starts_with('[')
}

pub(super) fn cell(element: u32, token: Token) -> Result<Cell> {
    Ok(match (token, element) {
        (Token::Null, _) => Cell::Null,
        (Token::Bool(b), oid::BOOL) => Cell::Integer(i64::from(b)),
        (Token::Number(n), oid::FLOAT4 | oid::FLOAT8) => {
            // A number too large for a double is how infinities are written.
            Cell::Real(n.parse().map_err(|_| corrupted())?)
        }
        (
            Token::Number(n),
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
            | oid::REGNAMESPACE,
        ) => Cell::Integer(n.parse().map_err(|_| corrupted())?),
        (Token::Number(n), _) => Cell::Text(n),
        (Token::String(s), oid::BYTEA) => Cell::Blob(text::parse_bytea(&s)?),
        (Token::String(s), _) => Cell::Text(s),
        (Token::Bool(_) | Token::Punct(_) | Token::End, _) => return Err(corrupted()),
    })
}

/// The JSON-array cell of elements' logical cells; 22021 for invalid text.
pub fn encode<'a>(elements: impl IntoIterator<Item = CellRef<'a>>) -> Result<String> {
    let mut out = String::from("[");
    for (i, element) in elements.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        push(element, &mut out)?;
    }
    out.push(']');
    Ok(out)
}

/// Appends one element.
pub fn push(element: CellRef<'_>, out: &mut String) -> Result<()> {
    match element {
        CellRef::Null => out.push_str("null"),
        CellRef::Integer(i) => out.push_str(&i.to_string()),
        CellRef::Real(r) if r.is_infinite() => {
            out.push_str(if r > 0.0 { "9e999" } else { "-9e999" });
        }
        CellRef::Real(r) => {
            let mut digits = Vec::new();
            float::format_f64(r, 1, &mut digits);
            let start = out.len();
            out.push_str(std::str::from_utf8(&digits).unwrap_or("null"));
            if !out[start..].contains(['.', 'e']) {
                out.push_str(".0");
            }
        }
        CellRef::Text(t) => json::push_string(text::utf8(t)?, out),
        CellRef::Blob(b) => {
            let mut hex = Vec::with_capacity(b.len() * 2 + 2);
            text::format_bytea(b, true, &mut hex);
            json::push_string(std::str::from_utf8(&hex).unwrap_or_default(), out);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let cells = [
            Cell::Null,
            Cell::Text("a\"b\\\n,é".into()),
            Cell::Text(String::new()),
            Cell::Text("null".into()),
        ];
        let text = encode(cells.iter().map(Cell::as_ref)).unwrap();
        assert_eq!(text, r#"[null,"a\"b\\\n,é","","null"]"#);
        assert_eq!(decode(oid::TEXT, &text).unwrap(), cells);
        let reals = [1.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, 1e300, 0.1].map(Cell::Real);
        let text = encode(reals.iter().map(Cell::as_ref)).unwrap();
        assert_eq!(text, "[1.0,-0.0,9e999,-9e999,1e+300,0.1]");
        assert_eq!(decode(oid::FLOAT8, &text).unwrap(), reals);
        let blobs = [Cell::Blob(vec![0, 255])];
        let text = encode(blobs.iter().map(Cell::as_ref)).unwrap();
        assert_eq!(decode(oid::BYTEA, &text).unwrap(), blobs);
        assert_eq!(decode(oid::INT4, " [ ] ").unwrap(), []);
        let row = r#"[1,"x",null,1.5,"\\x00"]"#;
        assert_eq!(item(oid::INT4, row, 0).unwrap(), Cell::Integer(1));
        assert_eq!(item(oid::TEXT, row, 1).unwrap(), Cell::Text("x".into()));
        assert_eq!(item(oid::INT4, row, 2).unwrap(), Cell::Null);
        assert_eq!(item(oid::FLOAT8, row, 3).unwrap(), Cell::Real(1.5));
        assert_eq!(item(oid::BYTEA, row, 4).unwrap(), Cell::Blob(vec![0]));
        assert_eq!(item(oid::TEXT, row, 5).unwrap(), Cell::Null);
        assert_eq!(item(oid::TEXT, "[]", 0).unwrap(), Cell::Null);
        let nested = decode_nested(oid::INT4, "[[1,2],[3,null]]").unwrap();
        assert_eq!(dimensions(&nested), [2, 2]);
        assert_eq!(flatten(nested).len(), 4);
        assert!(is_nested("[[1]]") && !is_nested("[\"[\"]"));
        assert!(decode(oid::INT4, "[[1]]").is_err());
    }

    #[test]
    fn refuses() {
        for text in ["", "1", "[1", "[1,]", "[1]x", "{\"a\":1}", "[1.5]", "[true]"] {
            assert!(decode(oid::INT4, text).is_err(), "{text}");
        }
    }
}
