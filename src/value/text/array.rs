//! Text form of arrays: `{a,"b c",NULL}`, one dimension.

use crate::error::{Error, Result, state};
use crate::value::{Datum, Style, Type};

use super::is_space;

fn malformed(text: &str, detail: impl Into<String>) -> Error {
    Error::client(
        state::INVALID_TEXT_REPRESENTATION,
        format!("malformed array literal: \"{text}\""),
    )
    .detail(detail)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(is_space) {
            self.at += 1;
        }
    }

    fn ended(&self) -> Error {
        malformed(self.text, "Unexpected end of input.")
    }

    fn unexpected(&self, c: char) -> Error {
        malformed(self.text, format!("Unexpected \"{c}\" character."))
    }

    /// Skips `[1:n]=`; other lower bounds and more dimensions are 0A000.
    fn bounds(&mut self) -> Result<Option<(i64, i64)>> {
        if self.peek() != Some('[') {
            return Ok(None);
        }
        let rest = &self.text[self.at..];
        let missing =
            || malformed(self.text, "\"[\" must introduce explicitly-specified array dimensions.");
        let (range, after) = rest[1..].split_once(']').ok_or_else(missing)?;
        let (low, high) = range.split_once(':').unwrap_or(("1", range));
        let low: i64 = low.trim().parse().map_err(|_| missing())?;
        let high: i64 = high.trim().parse().map_err(|_| missing())?;
        let trimmed = after.trim_start_matches(is_space);
        if trimmed.starts_with('[') {
            return Err(Error::unsupported("an array of more than one dimension"));
        }
        let Some(tail) = trimmed.strip_prefix('=') else {
            return Err(malformed(self.text, "Missing \"=\" after array dimensions."));
        };
        if low != 1 {
            return Err(Error::unsupported("an array whose lower bound is not 1"));
        }
        self.at = self.text.len() - tail.len();
        self.blanks();
        Ok(Some((low, high)))
    }

    /// One element: its text, or `None` for NULL. Stops before `,` or `}`.
    fn element(&mut self) -> Result<Option<String>> {
        self.blanks();
        if self.peek() == Some('"') {
            return self.quoted().map(Some);
        }
        let mut value = String::new();
        // Length up to the last character that is not a bare blank.
        let mut keep = 0;
        let mut escaped = false;
        loop {
            match self.peek() {
                None => return Err(self.ended()),
                Some(',' | '}') => break,
                Some('{') if value.is_empty() => {
                    return Err(Error::unsupported("an array of more than one dimension"));
                }
                Some(c @ '{') => return Err(self.unexpected(c)),
                Some('"') => {
                    return Err(malformed(self.text, "Incorrectly quoted array element."));
                }
                Some('\\') => {
                    self.at += 1;
                    value.push(self.next().ok_or_else(|| self.ended())?);
                    (keep, escaped) = (value.len(), true);
                }
                Some(c) => {
                    self.at += c.len_utf8();
                    value.push(c);
                    if !is_space(c) {
                        keep = value.len();
                    }
                }
            }
        }
        value.truncate(keep);
        if value.is_empty() {
            let next = self.peek().unwrap_or('}');
            return Err(self.unexpected(next));
        }
        Ok(if !escaped && value.eq_ignore_ascii_case("null") { None } else { Some(value) })
    }

    fn quoted(&mut self) -> Result<String> {
        self.at += 1;
        let mut value = String::new();
        loop {
            match self.next().ok_or_else(|| self.ended())? {
                '"' => break,
                '\\' => value.push(self.next().ok_or_else(|| self.ended())?),
                c => value.push(c),
            }
        }
        self.blanks();
        match self.peek() {
            Some(',' | '}') => Ok(value),
            None => Err(self.ended()),
            Some(_) => Err(malformed(self.text, "Incorrectly quoted array element.")),
        }
    }
}

/// The element texts of an array literal; `None` is NULL.
pub fn split(text: &str) -> Result<Vec<Option<String>>> {
    let mut reader = Reader { text, at: 0 };
    reader.blanks();
    let bounds = reader.bounds()?;
    if reader.next() != Some('{') {
        let detail = if bounds.is_some() {
            "Array contents must start with \"{\"."
        } else {
            "Array value must start with \"{\" or dimension information."
        };
        return Err(malformed(text, detail));
    }
    let mut elements = Vec::new();
    reader.blanks();
    if reader.peek() == Some('}') {
        reader.at += 1;
    } else {
        loop {
            elements.push(reader.element()?);
            match reader.next() {
                Some(',') => {}
                Some(_) => break,
                None => return Err(reader.ended()),
            }
        }
    }
    reader.blanks();
    if reader.peek().is_some() {
        return Err(malformed(text, "Junk after closing right brace."));
    }
    if bounds.is_some_and(|(low, high)| high - low + 1 != elements.len() as i64) {
        return Err(malformed(text, "Specified array dimensions do not match array contents."));
    }
    Ok(elements)
}

/// Reads an array literal of an element type.
pub(super) fn parse(element: Type, text: &str, style: &Style) -> Result<Datum> {
    let elements = split(text)?
        .into_iter()
        .map(|e| e.map_or(Ok(Datum::Null), |e| super::parse(element, &e, style)))
        .collect::<Result<_>>()?;
    Ok(Datum::Array(element.oid, elements))
}

/// Appends one element with the quotes it needs.
pub(super) fn push_element(element: &[u8], out: &mut Vec<u8>) {
    let special =
        |b: &u8| matches!(b, b'"' | b'\\' | b'{' | b'}' | b',') || is_space(char::from(*b));
    let quote =
        element.is_empty() || element.eq_ignore_ascii_case(b"null") || element.iter().any(special);
    if !quote {
        return out.extend_from_slice(element);
    }
    out.push(b'"');
    for byte in element {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out.push(b'"');
}
