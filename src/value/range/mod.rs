//! Ranges and multiranges: PostgreSQL's six built-in kinds, their text and binary forms.
//!
//! A range is kept in its canonical form only (`[a,b)` where its values are counted), so equal
//! ranges have equal parts; a multirange is sorted, without empty and without touching members.
//! Nothing here may make one otherwise than through [`Range::new`] and [`union_all`]. What the
//! operators compute is in [`ops`]. Start at [`parse`].

pub mod ops;

use std::cmp::Ordering;

use super::{Datum, Style, Type, oid, text};
use crate::error::{Error, Result, state};

pub use ops::union_all;

/// A kind of ranges.
struct Kind {
    range: u32,
    name: &'static str,
    subtype: u32,
    multirange: u32,
    multirange_name: &'static str,
}

const KINDS: [Kind; 6] = [
    kind(3904, "int4range", oid::INT4, 4451, "int4multirange"),
    kind(3926, "int8range", oid::INT8, 4536, "int8multirange"),
    kind(3906, "numrange", oid::NUMERIC, 4532, "nummultirange"),
    kind(3908, "tsrange", oid::TIMESTAMP, 4533, "tsmultirange"),
    kind(3910, "tstzrange", oid::TIMESTAMPTZ, 4534, "tstzmultirange"),
    kind(3912, "daterange", oid::DATE, 4535, "datemultirange"),
];

const fn kind(
    range: u32,
    name: &'static str,
    subtype: u32,
    multirange: u32,
    multirange_name: &'static str,
) -> Kind {
    Kind { range, name, subtype, multirange, multirange_name }
}

/// The type of a range's bounds; None for other types.
pub fn subtype_of(range: u32) -> Option<u32> {
    KINDS.iter().find(|k| k.range == range).map(|k| k.subtype)
}

/// The range type under a multirange type.
pub fn range_of(multirange: u32) -> Option<u32> {
    KINDS.iter().find(|k| k.multirange == multirange).map(|k| k.range)
}

/// The multirange type over a range type.
pub fn multirange_of(range: u32) -> Option<u32> {
    KINDS.iter().find(|k| k.range == range).map(|k| k.multirange)
}

/// Whether values of the type are ranges or multiranges.
pub fn is_range(type_oid: u32) -> bool {
    KINDS.iter().any(|k| k.range == type_oid || k.multirange == type_oid)
}

/// Whether the bounds are dates or timestamps, so that settings decide how they are read.
pub fn is_moment(type_oid: u32) -> bool {
    let range = range_of(type_oid).unwrap_or(type_oid);
    matches!(subtype_of(range), Some(oid::DATE | oid::TIMESTAMP | oid::TIMESTAMPTZ))
}

/// Whether equal values of a range type may have different texts.
pub fn shows_scale(type_oid: u32) -> bool {
    KINDS
        .iter()
        .any(|k| k.subtype == oid::NUMERIC && (k.range == type_oid || k.multirange == type_oid))
}

/// The name of a range or multirange type.
pub fn name_of(type_oid: u32) -> Option<&'static str> {
    KINDS.iter().find_map(|k| match type_oid {
        t if t == k.range => Some(k.name),
        t if t == k.multirange => Some(k.multirange_name),
        _ => None,
    })
}

/// A range in canonical form.
#[derive(Clone, Debug, PartialEq)]
pub struct Range {
    /// Holds nothing; the other fields then mean nothing.
    pub empty: bool,
    /// The lower bound; None when there is none.
    pub lower: Option<Datum>,
    /// The upper bound; None when there is none.
    pub upper: Option<Datum>,
    /// The lower bound belongs to it.
    pub lower_in: bool,
    /// The upper bound belongs to it.
    pub upper_in: bool,
}

/// One end of a range.
#[derive(Clone, Copy, Debug)]
pub struct Bound<'a> {
    /// The value; None is infinitely far away.
    pub value: Option<&'a Datum>,
    /// It belongs to the range.
    pub inside: bool,
    /// It is the lower end.
    pub lower: bool,
}

impl Bound<'_> {
    /// Order of two ends, of one side or of different ones.
    pub fn compare(self, other: Self) -> Ordering {
        let far = |lower| if lower { Ordering::Less } else { Ordering::Greater };
        match (self.value, other.value) {
            (None, None) if self.lower == other.lower => Ordering::Equal,
            (None, _) => far(self.lower),
            (_, None) => far(other.lower).reverse(),
            (Some(a), Some(b)) => {
                compare_values(a, b).then_with(|| match (self.inside, other.inside) {
                    (true, true) => Ordering::Equal,
                    (false, false) if self.lower == other.lower => Ordering::Equal,
                    (false, _) => far(self.lower).reverse(),
                    (true, false) => far(other.lower),
                })
            }
        }
    }
}

/// Order of two bounds of one type.
fn compare_values(a: &Datum, b: &Datum) -> Ordering {
    match (a, b) {
        (Datum::Int(a), Datum::Int(b)) => a.cmp(b),
        (Datum::Numeric(a), Datum::Numeric(b)) => a.cmp(b),
        (Datum::Date(a), Datum::Date(b)) => a.cmp(b),
        (Datum::Timestamp(a), Datum::Timestamp(b))
        | (Datum::Timestamptz(a), Datum::Timestamptz(b)) => a.cmp(b),
        _ => Ordering::Equal,
    }
}

impl Range {
    /// The range that holds nothing.
    pub fn nothing() -> Self {
        Self { empty: true, lower: None, upper: None, lower_in: false, upper_in: false }
    }

    /// A range of its bounds, NULL being no bound.
    ///
    /// # Errors
    /// 22000 for bounds in the wrong order; 22003 and 22008 where the canonical form has none.
    pub fn new(
        lower: Option<Datum>,
        upper: Option<Datum>,
        lower_in: bool,
        upper_in: bool,
    ) -> Result<Self> {
        let bound = |value: Option<Datum>| value.filter(|v| !v.is_null());
        let (lower, upper) = (bound(lower), bound(upper));
        let mut made = Self {
            lower_in: lower_in && lower.is_some(),
            upper_in: upper_in && upper.is_some(),
            empty: false,
            lower,
            upper,
        };
        if made.check()? {
            return Ok(Self::nothing());
        }
        let next = made.lower.as_ref().filter(|_| !made.lower_in).map(successor).transpose()?;
        if let Some(next) = next.flatten() {
            (made.lower, made.lower_in) = (Some(next), true);
        }
        let next = made.upper.as_ref().filter(|_| made.upper_in).map(successor).transpose()?;
        if let Some(next) = next.flatten() {
            (made.upper, made.upper_in) = (Some(next), false);
        }
        if made.check()? { Ok(Self::nothing()) } else { Ok(made) }
    }

    /// Whether nothing lies between the bounds; 22000 when they are in the wrong order.
    fn check(&self) -> Result<bool> {
        let (Some(lower), Some(upper)) = (&self.lower, &self.upper) else { return Ok(false) };
        match compare_values(lower, upper) {
            Ordering::Less => Ok(false),
            Ordering::Equal => Ok(!(self.lower_in && self.upper_in)),
            Ordering::Greater => {
                let message = "range lower bound must be less than or equal to range upper bound";
                Err(Error::client(state::DATA_EXCEPTION, message))
            }
        }
    }

    /// The lower end.
    pub fn low(&self) -> Bound<'_> {
        Bound { value: self.lower.as_ref(), inside: self.lower_in, lower: true }
    }

    /// The upper end.
    pub fn high(&self) -> Bound<'_> {
        Bound { value: self.upper.as_ref(), inside: self.upper_in, lower: false }
    }

    /// Order of two ranges; one that is empty comes first.
    pub fn compare(&self, other: &Self) -> Ordering {
        match (self.empty, other.empty) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => {
                self.low().compare(other.low()).then_with(|| self.high().compare(other.high()))
            }
        }
    }
}

/// The next value of a type whose values are counted; None for other types and for the
/// infinities.
fn successor(value: &Datum) -> Result<Option<Datum>> {
    let out_of_range = |what| Error::client(state::NUMERIC_VALUE_OUT_OF_RANGE, what);
    Ok(match value {
        // Bounds of int4range have been read as such; only the sum may leave their type.
        Datum::Int(i64::MAX) => return Err(out_of_range("bigint out of range")),
        Datum::Int(i) => Some(Datum::Int(i + 1)),
        Datum::Date(i32::MAX | i32::MIN) => None,
        // The last day that PostgreSQL holds.
        Datum::Date(2_145_031_948) => {
            return Err(Error::client(state::DATETIME_FIELD_OVERFLOW, "date out of range"));
        }
        Datum::Date(d) => Some(Datum::Date(d + 1)),
        _ => None,
    })
}

/// A range of a type from its bounds; see [`Range::new`].
pub fn make(range: u32, lower: Datum, upper: Datum, ins: (bool, bool)) -> Result<Range> {
    let made = Range::new(Some(lower), Some(upper), ins.0, ins.1)?;
    let beyond =
        |value: &Option<Datum>| matches!(value, Some(Datum::Int(i)) if *i > i64::from(i32::MAX));
    if subtype_of(range) == Some(oid::INT4) && (beyond(&made.lower) || beyond(&made.upper)) {
        return Err(Error::client(state::NUMERIC_VALUE_OUT_OF_RANGE, "integer out of range"));
    }
    Ok(made)
}

fn malformed(what: &str, written: &str, detail: &'static str) -> Error {
    let message = format!("malformed {what} literal: \"{written}\"");
    Error::client(state::INVALID_TEXT_REPRESENTATION, message).detail(detail)
}

/// Reads the text of a range or multirange.
///
/// # Errors
/// 22P02 for malformed texts, and what the bounds' type and order say.
pub fn parse(type_oid: u32, written: &str, style: &Style) -> Result<Datum> {
    match range_of(type_oid) {
        Some(range) => Ok(Datum::Multirange(range, union_all(multirange(range, written, style)?)?)),
        None => Ok(Datum::Range(type_oid, Box::new(one(type_oid, written, style)?))),
    }
}

/// Characters with a look ahead.
type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn skip_blanks(chars: &mut Chars<'_>) {
    while chars.next_if(|c| is_blank(*c)).is_some() {}
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t'..='\r')
}

/// `empty` in any case at the start of a text: what follows it.
fn after_empty(text: &str) -> Option<&str> {
    let (word, rest) = text.split_at_checked(5)?;
    word.eq_ignore_ascii_case("empty").then_some(rest)
}

fn one(range: u32, written: &str, style: &Style) -> Result<Range> {
    let wrong = |detail| malformed("range", written, detail);
    if let Some(rest) = after_empty(written.trim_start_matches(is_blank)) {
        if rest.chars().all(is_blank) {
            return Ok(Range::nothing());
        }
        return Err(wrong("Junk after \"empty\" key word."));
    }
    let mut chars = written.chars().peekable();
    skip_blanks(&mut chars);
    let lower_in = match chars.next() {
        Some('[') => true,
        Some('(') => false,
        _ => return Err(wrong("Missing left parenthesis or bracket.")),
    };
    let lower = bound(&mut chars).map_err(|()| wrong("Unexpected end of input."))?;
    if chars.next() != Some(',') {
        return Err(wrong("Missing comma after lower bound."));
    }
    let upper = bound(&mut chars).map_err(|()| wrong("Unexpected end of input."))?;
    let upper_in = match chars.next() {
        Some(']') => true,
        Some(')') => false,
        _ => return Err(wrong("Too many commas.")),
    };
    skip_blanks(&mut chars);
    if chars.next().is_some() {
        return Err(wrong("Junk after right parenthesis or bracket."));
    }
    let subtype = Type::new(subtype_of(range).unwrap_or(oid::TEXT));
    let read = |text: Option<String>| match text {
        Some(text) => text::parse(subtype, &text, style),
        None => Ok(Datum::Null),
    };
    make(range, read(lower)?, read(upper)?, (lower_in, upper_in))
}

/// A bound's text up to the comma or bracket behind it; None when it is left out.
fn bound(chars: &mut Chars<'_>) -> std::result::Result<Option<String>, ()> {
    if matches!(chars.peek(), Some(',' | ')' | ']')) {
        return Ok(None);
    }
    let mut out = String::new();
    let mut quoted = false;
    while quoted || !matches!(chars.peek(), Some(',' | ')' | ']')) {
        match chars.next().ok_or(())? {
            '\\' => out.push(chars.next().ok_or(())?),
            '"' if !quoted => quoted = true,
            '"' if chars.next_if_eq(&'"').is_some() => out.push('"'),
            '"' => quoted = false,
            c => out.push(c),
        }
    }
    Ok(Some(out))
}

/// The end of a range that begins a text: the index behind its bracket.
fn end_of_range(text: &str) -> Option<usize> {
    let mut quoted = false;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => {
                chars.next()?;
            }
            // A doubled quote closes and opens again.
            '"' => quoted = !quoted,
            ')' | ']' if !quoted => return Some(at + 1),
            _ => {}
        }
    }
    None
}

fn multirange(range: u32, written: &str, style: &Style) -> Result<Vec<Range>> {
    let wrong = |detail| malformed("multirange", written, detail);
    let trim = |text: &'_ str| text.len() - text.trim_start_matches(is_blank).len();
    let mut rest = &written[trim(written)..];
    rest = rest.strip_prefix('{').ok_or_else(|| wrong("Missing left brace."))?;
    let mut found = Vec::new();
    let mut first = true;
    loop {
        rest = &rest[trim(rest)..];
        if rest.is_empty() {
            return Err(wrong("Unexpected end of input."));
        }
        if first && let Some(behind) = rest.strip_prefix('}') {
            rest = behind;
            break;
        }
        first = false;
        if rest.starts_with(['[', '(']) {
            let end = end_of_range(rest).ok_or_else(|| wrong("Unexpected end of input."))?;
            found.push(one(range, &rest[..end], style)?);
            rest = &rest[end..];
        } else if let Some(behind) = after_empty(rest) {
            rest = behind;
        } else {
            return Err(wrong("Expected range start."));
        }
        rest = &rest[trim(rest)..];
        match rest.chars().next() {
            None => return Err(wrong("Unexpected end of input.")),
            Some(',') => rest = &rest[1..],
            Some('}') => {
                rest = &rest[1..];
                break;
            }
            Some(_) => return Err(wrong("Expected comma or end of multirange.")),
        }
    }
    if rest.chars().all(is_blank) {
        return Ok(found);
    }
    Err(wrong("Junk after closing right brace."))
}

/// Appends a range's text.
pub fn format(type_oid: u32, range: &Range, style: &Style, out: &mut Vec<u8>) {
    if range.empty {
        out.extend_from_slice(b"empty");
        return;
    }
    let subtype = Type::new(subtype_of(type_oid).unwrap_or(oid::TEXT));
    out.push(if range.lower_in { b'[' } else { b'(' });
    push_bound(range.lower.as_ref(), subtype, style, out);
    out.push(b',');
    push_bound(range.upper.as_ref(), subtype, style, out);
    out.push(if range.upper_in { b']' } else { b')' });
}

/// Appends a multirange's text.
pub fn format_many(type_oid: u32, ranges: &[Range], style: &Style, out: &mut Vec<u8>) {
    out.push(b'{');
    for (position, range) in ranges.iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        format(type_oid, range, style, out);
    }
    out.push(b'}');
}

fn push_bound(value: Option<&Datum>, subtype: Type, style: &Style, out: &mut Vec<u8>) {
    let Some(value) = value else { return };
    let mut plain = Vec::new();
    text::format(value, subtype, style, &mut plain);
    let special = |b: &u8| {
        matches!(b, b'"' | b'\\' | b'(' | b')' | b'[' | b']' | b',' | b' ' | b'\t'..=b'\r')
    };
    if !plain.is_empty() && !plain.iter().any(special) {
        out.extend_from_slice(&plain);
        return;
    }
    out.push(b'"');
    for byte in plain {
        if matches!(byte, b'"' | b'\\') {
            out.push(byte);
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(type_oid: u32, written: &str) -> String {
        let style = Style::default();
        match parse(type_oid, written, &style) {
            Ok(datum) => {
                let mut out = Vec::new();
                text::format(&datum, Type::new(type_oid), &style, &mut out);
                String::from_utf8(out).unwrap()
            }
            Err(error) => error.fields().detail.clone().unwrap_or(error.message().to_owned()),
        }
    }

    #[test]
    fn texts_become_canonical() {
        for (ty, written, wanted) in [
            (3904, " (1, 5] ", "[2,6)"),
            (3904, "(1,2)", "empty"),
            (3904, "[,3]", "(,4)"),
            (3904, "Empty ", "empty"),
            (3904, "[1,2147483647]", "integer out of range"),
            (3926, "[1,2147483647]", "[1,2147483648)"),
            (3906, "[1.50,2)", "[1.50,2)"),
            (3908, "[2020-01-01,]", "[\"2020-01-01 00:00:00\",)"),
            (3912, "[2020-01-01,2020-01-31]", "[2020-01-01,2020-02-01)"),
            (3904, "[5,1]", "range lower bound must be less than or equal to range upper bound"),
            (3904, "1,2", "Missing left parenthesis or bracket."),
            (3904, "[1", "Unexpected end of input."),
            (3904, "[1)", "Missing comma after lower bound."),
            (3904, "[1,2,3)", "Too many commas."),
            (3904, "[1,2)x", "Junk after right parenthesis or bracket."),
            (3904, "empty x", "Junk after \"empty\" key word."),
            (4451, "{[5,7), [1,3),empty,[3,4]}", "{[1,7)}"),
            (4451, "{}", "{}"),
            (4451, "{[1,2),}", "Expected range start."),
            (4451, "[1,2)", "Missing left brace."),
            (4451, "{[1,2)", "Unexpected end of input."),
            (4451, "{[1,2)} x", "Junk after closing right brace."),
        ] {
            assert_eq!(shown(ty, written), wanted, "{written}");
        }
    }
}
