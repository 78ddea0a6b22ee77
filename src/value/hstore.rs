//! hstore: keys with texts or NULL, ordered by the length of the key and then by its bytes.
//!
//! A value's cell is its text as PostgreSQL writes it, so that equal values are equal texts.
//! Start at [`Hstore::parse`].

use std::fmt;

use crate::error::{Error, Result, state};

/// Most pairs that PostgreSQL reads in binary form.
const PAIRS_MAX: usize = 0x0fff_ffff;

/// A set of pairs, each key once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hstore(Vec<(String, Option<String>)>);

impl Hstore {
    /// Of pairs in any order; of equal keys the first one stays.
    pub fn new(mut pairs: Vec<(String, Option<String>)>) -> Self {
        pairs.sort_by(|(a, _), (b, _)| order(a, b));
        pairs.dedup_by(|(a, _), (b, _)| a == b);
        Self(pairs)
    }

    /// Reads a text with PostgreSQL's errors.
    ///
    /// # Errors
    /// XX000, as hstore of PostgreSQL 15 says it.
    pub fn parse(text: &str) -> Result<Self> {
        let mut reader = Reader { text, at: 0 };
        let mut pairs = Vec::new();
        while let Some((key, _)) = reader.word(false)? {
            reader.arrow()?;
            let Some((value, quoted)) = reader.word(true)? else { return Err(ended()) };
            let null = !quoted && value.eq_ignore_ascii_case("null");
            pairs.push((key, (!null).then_some(value)));
            if !reader.comma()? {
                break;
            }
        }
        Ok(Self::new(pairs))
    }

    /// The pairs in order.
    pub fn pairs(&self) -> &[(String, Option<String>)] {
        &self.0
    }

    /// The value of a key: None without the key, Some(None) for NULL.
    pub fn get(&self, key: &str) -> Option<&Option<String>> {
        let found = self.0.binary_search_by(|(k, _)| order(k, key)).ok()?;
        self.0.get(found).map(|(_, value)| value)
    }

    /// Both; of equal keys the other's value stays.
    #[must_use]
    pub fn concat(self, other: Self) -> Self {
        let mut pairs = other.0;
        pairs.extend(self.0);
        Self::new(pairs)
    }

    /// The pairs that are to be kept.
    #[must_use]
    pub fn retain(mut self, keep: impl Fn(&str, &Option<String>) -> bool) -> Self {
        self.0.retain(|(key, value)| keep(key, value));
        self
    }

    /// Whether each pair of the other is here.
    pub fn contains(&self, other: &Self) -> bool {
        other.0.iter().all(|(key, value)| self.get(key) == Some(value))
    }

    /// Bytes that sort as PostgreSQL sorts the values: keys and values one behind the other, then
    /// how many there are, then where each ends and whether it is NULL.
    pub fn sort_key(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut ends = Vec::new();
        let mut end = 0_u32;
        let words = self.0.iter().flat_map(|(key, value)| [Some(key), value.as_ref()]);
        for word in words {
            for byte in word.map_or("", String::as_str).bytes() {
                end += 1;
                out.push(byte);
            }
            ends.extend_from_slice(&end.to_be_bytes());
            ends.push(u8::from(word.is_none()));
        }
        // No text holds a zero byte.
        out.push(0);
        out.extend_from_slice(&(self.0.len() as u32).to_be_bytes());
        out.extend_from_slice(&ends);
        out
    }

    /// Reads the binary form.
    ///
    /// # Errors
    /// 22P03 and kin.
    pub fn from_binary(bytes: &[u8]) -> Result<Self> {
        let mut rest = Bytes(bytes);
        let count = rest.number()?;
        let count = usize::try_from(count).ok().filter(|n| *n <= PAIRS_MAX).ok_or_else(|| {
            let message = format!("number of pairs ({count}) exceeds the maximum allowed");
            Error::client(state::PROGRAM_LIMIT_EXCEEDED, message)
        })?;
        let mut pairs = Vec::new();
        for _ in 0..count {
            let Some(key) = rest.word()? else {
                let message = "null value not allowed for hstore key";
                return Err(Error::client(state::NULL_VALUE_NOT_ALLOWED, message));
            };
            pairs.push((key, rest.word()?));
        }
        if !rest.0.is_empty() {
            let message = "incorrect binary data format";
            return Err(Error::client(state::INVALID_BINARY_REPRESENTATION, message));
        }
        Ok(Self::new(pairs))
    }

    /// Appends the binary form.
    pub fn push_binary(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.0.len() as u32).to_be_bytes());
        for (key, value) in &self.0 {
            out.extend_from_slice(&(key.len() as u32).to_be_bytes());
            out.extend_from_slice(key.as_bytes());
            match value {
                Some(value) => {
                    out.extend_from_slice(&(value.len() as u32).to_be_bytes());
                    out.extend_from_slice(value.as_bytes());
                }
                None => out.extend_from_slice(&(-1_i32).to_be_bytes()),
            }
        }
    }
}

/// The shorter key first, equally long ones by their bytes.
fn order(a: &str, b: &str) -> std::cmp::Ordering {
    a.len().cmp(&b.len()).then_with(|| a.as_bytes().cmp(b.as_bytes()))
}

impl fmt::Display for Hstore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (key, value)) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(", ")?;
            }
            quoted(key, f)?;
            f.write_str("=>")?;
            match value {
                Some(value) => quoted(value, f)?,
                None => f.write_str("NULL")?,
            }
        }
        Ok(())
    }
}

fn quoted(word: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("\"")?;
    for c in word.chars() {
        if matches!(c, '"' | '\\') {
            f.write_str("\\")?;
        }
        write!(f, "{c}")?;
    }
    f.write_str("\"")
}

fn ended() -> Error {
    Error::client(state::INTERNAL_ERROR, "Unexpected end of string")
}

/// Reads a binary form from left to right.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let Some((first, rest)) = self.0.split_at_checked(length) else {
            let message = "insufficient data left in message";
            return Err(Error::client(state::PROTOCOL_VIOLATION, message));
        };
        self.0 = rest;
        Ok(first)
    }

    fn number(&mut self) -> Result<i32> {
        let bytes = self.take(4)?;
        Ok(bytes.iter().fold(0, |n, b| n << 8 | i32::from(*b)))
    }

    /// A text with its length in front; None for NULL.
    fn word(&mut self) -> Result<Option<String>> {
        let Ok(length) = usize::try_from(self.number()?) else { return Ok(None) };
        super::text::utf8(self.take(length)?).map(|word| Some(word.to_owned()))
    }
}

/// Reads a text from left to right.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.text.get(self.at..)?.chars().next()
    }

    fn step(&mut self, c: char) {
        self.at += c.len_utf8();
    }

    fn misplaced(&self, c: char) -> Error {
        let message = format!("Syntax error near \"{c}\" at position {}", self.at);
        Error::client(state::INTERNAL_ERROR, message)
    }

    /// The next key or value and whether it was quoted; None at the end. A value goes on to
    /// the next comma, a key to the next equals sign.
    fn word(&mut self, value: bool) -> Result<Option<(String, bool)>> {
        loop {
            match self.peek() {
                None => return Ok(None),
                Some(c) if is_space(c) => self.step(c),
                Some('"') => {
                    self.at += 1;
                    return self.quoted().map(|word| Some((word, true)));
                }
                Some('=') if !value => return Err(self.misplaced('=')),
                Some(_) => return self.bare(value).map(|word| Some((word, false))),
            }
        }
    }

    fn quoted(&mut self) -> Result<String> {
        let mut word = String::new();
        loop {
            let c = self.peek().ok_or_else(ended)?;
            self.step(c);
            match c {
                '"' => return Ok(word),
                '\\' => {
                    let next = self.peek().ok_or_else(ended)?;
                    self.step(next);
                    word.push(next);
                }
                other => word.push(other),
            }
        }
    }

    fn bare(&mut self, value: bool) -> Result<String> {
        let mut word = String::new();
        loop {
            match self.peek() {
                Some('\\') => {
                    self.at += 1;
                    let next = self.peek().ok_or_else(ended)?;
                    self.step(next);
                    word.push(next);
                }
                Some('=') if !value && !word.is_empty() => return Ok(word),
                Some(',') if value && !word.is_empty() => return Ok(word),
                Some(c) if !is_space(c) => {
                    self.step(c);
                    word.push(c);
                }
                _ => return Ok(word),
            }
        }
    }

    /// `=>`, the `>` at once behind the `=`.
    fn arrow(&mut self) -> Result<()> {
        loop {
            match self.peek() {
                None => return Err(ended()),
                Some('=') => break,
                Some(c) if is_space(c) => self.step(c),
                Some(c) => return Err(self.misplaced(c)),
            }
        }
        self.at += 1;
        match self.peek() {
            Some('>') => {
                self.at += 1;
                Ok(())
            }
            None => Err(ended()),
            Some(c) => Err(self.misplaced(c)),
        }
    }

    /// Whether a comma follows rather than the end.
    fn comma(&mut self) -> Result<bool> {
        loop {
            match self.peek() {
                None => return Ok(false),
                Some(',') => {
                    self.at += 1;
                    return Ok(true);
                }
                Some(c) if is_space(c) => self.step(c),
                Some(c) => return Err(self.misplaced(c)),
            }
        }
    }
}

/// What C calls a space.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        match Hstore::parse(text) {
            Ok(value) => value.to_string(),
            Err(error) => error.message().to_owned(),
        }
    }

    #[test]
    fn texts_are_read_and_written_as_postgresql_does() {
        assert_eq!(read(""), "");
        assert_eq!(read("a=>1,b=>2"), r#""a"=>"1", "b"=>"2""#);
        assert_eq!(read("bb=>1, a=>NULL, c=>\"NULL\""), r#""a"=>NULL, "c"=>"NULL", "bb"=>"1""#);
        assert_eq!(read(r#"  "a b"  =>  "x\"y\\" , "#), r#""a b"=>"x\"y\\""#);
        assert_eq!(read("a=>1, a=>2"), r#""a"=>"1""#);
        assert_eq!(read("a"), "Unexpected end of string");
        assert_eq!(read("a=1"), "Syntax error near \"1\" at position 2");
        assert_eq!(read("a=>"), "Unexpected end of string");
        assert_eq!(read("=>1"), "Syntax error near \"=\" at position 0");
    }

    #[test]
    fn binary_forms_go_both_ways() {
        let value = Hstore::parse("a=>1, bb=>NULL").unwrap();
        let mut bytes = Vec::new();
        value.push_binary(&mut bytes);
        assert_eq!(Hstore::from_binary(&bytes).unwrap(), value);
        assert!(Hstore::from_binary(&bytes[..bytes.len() - 1]).is_err());
        assert!(Hstore::from_binary(&[255; 4]).is_err());
    }
}
