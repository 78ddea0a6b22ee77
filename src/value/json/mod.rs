//! JSON as PostgreSQL's `json` and `jsonb` see it.
//!
//! Owns validation with PostgreSQL's messages, the tree [`Json`], jsonb's canonical output
//! and order. `json` text is never changed. Start at [`canonical`].

pub(in crate::value) mod lexer;

use std::cmp::Ordering;

use super::numeric::Numeric;
use crate::error::{Error, Result, state};
use lexer::{Lexer, Token};

/// Nesting beyond which input is refused, so that hostile text cannot exhaust the stack.
const MAX_DEPTH: usize = 1000;

/// A jsonb value.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// null
    Null,
    /// true, false
    Bool(bool),
    /// A number; scale kept as written.
    Number(Numeric),
    /// A string.
    String(String),
    /// An array.
    Array(Vec<Json>),
    /// Members ordered by key length, then bytes; keys are unique.
    Object(Vec<(String, Json)>),
}

/// Checks text for type `json`; 22P02.
pub fn validate(text: &str) -> Result<()> {
    let mut parser = Parser { lexer: Lexer::new(text, false), depth: 0, once: false };
    parser.document().map(drop)
}

/// Reads text as jsonb does: last duplicate wins, `\u0000` and lone surrogates are refused.
pub fn parse(text: &str) -> Result<Json> {
    Parser { lexer: Lexer::new(text, true), depth: 0, once: false }.document()
}

/// Checks that the strings of a json document can be read; 22P05 for `\u0000`, 22P02 for half of a
/// surrogate pair. Type json takes both.
pub fn readable(text: &str) -> Result<()> {
    if text.contains("\\u") { parse(text).map(drop) } else { Ok(()) }
}

/// Checks that jsonb keeps every member of this text; 22P02 for an object with a key twice.
pub fn keeps_all(text: &str) -> Result<()> {
    Parser { lexer: Lexer::new(text, true), depth: 0, once: true }.document().map(drop)
}

/// The output jsonb gives for this input.
pub fn canonical(text: &str) -> Result<String> {
    let mut out = String::with_capacity(text.len() + 16);
    parse(text)?.write(&mut out);
    Ok(out)
}

fn twice() -> Error {
    let message = "an object has a key twice, of which jsonb keeps the last";
    Error::client(state::INVALID_TEXT_REPRESENTATION, message)
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    depth: usize,
    /// A key may be in an object only once.
    once: bool,
}

impl Parser<'_> {
    fn document(&mut self) -> Result<Json> {
        let first = self.lexer.next()?;
        let value = self.value(first)?;
        match self.lexer.next()? {
            Token::End => Ok(value),
            other => Err(self.lexer.unexpected("Expected end of input", &other)),
        }
    }

    fn value(&mut self, token: Token) -> Result<Json> {
        match token {
            Token::Null => Ok(Json::Null),
            Token::Bool(b) => Ok(Json::Bool(b)),
            Token::String(s) => Ok(Json::String(s)),
            Token::Number(text) => Ok(Json::Number(if self.lexer.decode {
                Numeric::parse(&text)?
            } else {
                Numeric::zero()
            })),
            Token::Punct('[') => self.nested(Self::array),
            Token::Punct('{') => self.nested(Self::object),
            other => Err(self.lexer.unexpected("Expected JSON value", &other)),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Json>) -> Result<Json> {
        if self.depth == MAX_DEPTH {
            return Err(Error::client(state::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded"));
        }
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn array(&mut self) -> Result<Json> {
        let mut items = Vec::new();
        let mut token = self.lexer.next()?;
        if matches!(token, Token::Punct(']')) {
            return Ok(Json::Array(items));
        }
        loop {
            let item = self.value(token)?;
            if self.lexer.decode {
                items.push(item);
            }
            match self.lexer.next()? {
                Token::Punct(',') => {}
                Token::Punct(']') => return Ok(Json::Array(items)),
                other => return Err(self.lexer.unexpected("Expected \",\" or \"]\"", &other)),
            }
            token = self.lexer.next()?;
        }
    }

    fn object(&mut self) -> Result<Json> {
        let mut members = Vec::new();
        let mut token = self.lexer.next()?;
        if matches!(token, Token::Punct('}')) {
            return Ok(Json::Object(members));
        }
        let mut expected = "Expected string or \"}\"";
        loop {
            let key = match token {
                Token::String(key) => key,
                other => return Err(self.lexer.unexpected(expected, &other)),
            };
            match self.lexer.next()? {
                Token::Punct(':') => {}
                other => return Err(self.lexer.unexpected("Expected \":\"", &other)),
            }
            let first = self.lexer.next()?;
            let value = self.value(first)?;
            if self.lexer.decode {
                members.push((key, value));
            }
            match self.lexer.next()? {
                Token::Punct(',') => {}
                Token::Punct('}') => {
                    let read = members.len();
                    let object = Json::object(members);
                    return match &object {
                        Json::Object(kept) if self.once && kept.len() < read => Err(twice()),
                        _ => Ok(object),
                    };
                }
                other => return Err(self.lexer.unexpected("Expected \",\" or \"}\"", &other)),
            }
            token = self.lexer.next()?;
            expected = "Expected string";
        }
    }
}

/// jsonb's order of keys: shorter first, then by bytes.
pub fn compare_keys(a: &str, b: &str) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.as_bytes().cmp(b.as_bytes()))
}

impl Json {
    /// An object from members in input order: sorted, the last of equal keys kept.
    pub fn object(mut members: Vec<(String, Json)>) -> Self {
        members.reverse();
        members.sort_by(|a, b| compare_keys(&a.0, &b.0));
        members.dedup_by(|later, kept| later.0 == kept.0);
        Self::Object(members)
    }

    /// A member's value.
    pub fn get(&self, key: &str) -> Option<&Json> {
        let Self::Object(members) = self else { return None };
        let at = members.binary_search_by(|(k, _)| compare_keys(k, key)).ok()?;
        Some(&members[at].1)
    }

    /// Appends jsonb's canonical output.
    pub fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
            Self::Number(n) => out.push_str(&n.to_string()),
            Self::String(s) => push_string(s, out),
            Self::Array(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push_str(", ");
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (i, (key, value)) in members.iter().enumerate() {
                    if i > 0 {
                        out.push_str(", ");
                    }
                    push_string(key, out);
                    out.push_str(": ");
                    value.write(out);
                }
                out.push('}');
            }
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::String(_) => 1,
            Self::Number(_) => 2,
            Self::Bool(_) => 3,
            Self::Array(_) => 4,
            Self::Object(_) => 5,
        }
    }

    /// jsonb's btree order, with strings compared by bytes.
    pub fn compare(&self, other: &Self) -> Ordering {
        self.sort_key().cmp(&other.sort_key())
    }

    /// Bytes that memcmp orders as jsonb's btree does (strings by bytes); equal exactly for
    /// equal values.
    pub fn sort_key(&self) -> Vec<u8> {
        let mut key = Vec::new();
        // PostgreSQL's quirk: an empty array at the top sorts below everything.
        match self {
            Self::Array(items) if items.is_empty() => key.push(0),
            _ => {
                key.push(1);
                self.push_key(&mut key);
            }
        }
        key
    }

    fn push_key(&self, key: &mut Vec<u8>) {
        key.push(self.rank());
        match self {
            Self::Null => {}
            Self::Bool(b) => key.push(u8::from(*b)),
            Self::Number(n) => key.extend(n.sort_key()),
            Self::String(s) => push_string_key(s, key),
            Self::Array(items) => {
                key.extend_from_slice(&(items.len() as u32).to_be_bytes());
                items.iter().for_each(|item| item.push_key(key));
            }
            Self::Object(members) => {
                key.extend_from_slice(&(members.len() as u32).to_be_bytes());
                for (name, value) in members {
                    push_string_key(name, key);
                    value.push_key(key);
                }
            }
        }
    }
}

/// jsonb strings never hold NUL, so NUL ends them.
fn push_string_key(s: &str, key: &mut Vec<u8>) {
    key.extend_from_slice(s.as_bytes());
    key.push(0);
}

/// Appends a JSON string literal, escaped as PostgreSQL does.
pub fn push_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests;
