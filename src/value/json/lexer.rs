//! Tokens of JSON text, with PostgreSQL's details about what is wrong.

use crate::error::{Error, Result, state};

/// One token.
pub(in crate::value) enum Token {
    Null,
    Bool(bool),
    /// Decoded, or empty when only validating.
    String(String),
    Number(String),
    Punct(char),
    End,
}

pub(in crate::value) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    /// Start of the current token.
    start: usize,
    /// Whether escapes are decoded (jsonb) or only checked for form (json).
    pub(in crate::value) decode: bool,
}

/// 22P02 `invalid input syntax for type json` with a detail.
pub(in crate::value) fn invalid(detail: impl Into<String>) -> Error {
    Error::client(state::INVALID_TEXT_REPRESENTATION, "invalid input syntax for type json")
        .detail(detail)
}

fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_' || b >= 0x80
}

impl<'a> Lexer<'a> {
    pub(in crate::value) fn new(text: &'a str, decode: bool) -> Self {
        Self { text, at: 0, start: 0, decode }
    }

    fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    fn peek(&self) -> Option<u8> {
        self.bytes().get(self.at).copied()
    }

    /// The error for a token that the grammar does not allow here.
    pub(in crate::value) fn unexpected(&self, expected: &str, token: &Token) -> Error {
        if matches!(token, Token::End) {
            return invalid("The input string ended unexpectedly.");
        }
        invalid(format!("{expected}, but found \"{}\".", &self.text[self.start..self.at]))
    }

    pub(in crate::value) fn next(&mut self) -> Result<Token> {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        self.start = self.at;
        match self.peek() {
            None => Ok(Token::End),
            Some(b @ (b'{' | b'}' | b'[' | b']' | b',' | b':')) => {
                self.at += 1;
                Ok(Token::Punct(char::from(b)))
            }
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => self.word(),
        }
    }

    fn invalid_token(&self) -> Error {
        invalid(format!("Token \"{}\" is invalid.", &self.text[self.start..self.at]))
    }

    fn word(&mut self) -> Result<Token> {
        while self.peek().is_some_and(is_word) {
            self.at += 1;
        }
        match &self.text[self.start..self.at] {
            "null" => Ok(Token::Null),
            "true" => Ok(Token::Bool(true)),
            "false" => Ok(Token::Bool(false)),
            // Some other character stands alone.
            "" => {
                self.at += 1;
                Err(self.invalid_token())
            }
            _ => Err(self.invalid_token()),
        }
    }

    fn digits(&mut self) -> usize {
        let from = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        self.at - from
    }

    fn number(&mut self) -> Result<Token> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let mut good = if self.peek() == Some(b'0') {
            self.at += 1;
            true
        } else {
            self.digits() > 0
        };
        if good && self.peek() == Some(b'.') {
            self.at += 1;
            good = self.digits() > 0;
        }
        if good && matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            good = self.digits() > 0;
        }
        let end = self.at;
        while self.peek().is_some_and(is_word) {
            self.at += 1;
        }
        if !good || self.at != end {
            return Err(self.invalid_token());
        }
        Ok(Token::Number(self.text[self.start..end].to_owned()))
    }

    fn string(&mut self) -> Result<Token> {
        self.at += 1;
        let mut value = String::new();
        let mut high: Option<u32> = None;
        let lone = || invalid("Unicode low surrogate must follow a high surrogate.");
        loop {
            let from = self.at;
            while self.peek().is_some_and(|b| !matches!(b, b'"' | b'\\' | 0..=0x1f)) {
                self.at += 1;
            }
            if from != self.at {
                if high.is_some() {
                    return Err(lone());
                }
                if self.decode {
                    value.push_str(&self.text[from..self.at]);
                }
            }
            match self.peek() {
                None => return Err(self.invalid_token()),
                Some(b'"') => {
                    self.at += 1;
                    return if high.is_some() { Err(lone()) } else { Ok(Token::String(value)) };
                }
                Some(b'\\') => {
                    self.at += 1;
                    if self.peek() == Some(b'u') {
                        self.at += 1;
                        let unit = self.unicode()?;
                        if self.decode {
                            push_unit(unit, &mut high, &mut value)?;
                        }
                    } else {
                        if high.is_some() {
                            return Err(lone());
                        }
                        value.push(self.escape()?);
                    }
                }
                Some(b) => {
                    return Err(invalid(format!(
                        "Character with value 0x{b:02x} must be escaped."
                    )));
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char> {
        let Some(c) = self.text[self.at..].chars().next() else {
            return Err(self.invalid_token());
        };
        self.at += c.len_utf8();
        Ok(match c {
            '"' | '\\' | '/' => c,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            _ => return Err(invalid(format!("Escape sequence \"\\{c}\" is invalid."))),
        })
    }

    fn unicode(&mut self) -> Result<u32> {
        let mut unit = 0;
        for _ in 0..4 {
            let Some(b) = self.peek() else { return Err(self.invalid_token()) };
            let Some(digit) = char::from(b).to_digit(16) else {
                return Err(invalid("\"\\u\" must be followed by four hexadecimal digits."));
            };
            unit = unit * 16 + digit;
            self.at += 1;
        }
        Ok(unit)
    }
}

/// Adds a UTF-16 unit of a `\u` escape.
fn push_unit(unit: u32, high: &mut Option<u32>, value: &mut String) -> Result<()> {
    let code = match (unit, high.take()) {
        (0xd800..=0xdbff, Some(_)) => {
            return Err(invalid("Unicode high surrogate must not follow a high surrogate."));
        }
        (0xd800..=0xdbff, None) => {
            *high = Some(unit);
            return Ok(());
        }
        (0xdc00..=0xdfff, Some(first)) => 0x10000 + ((first & 0x3ff) << 10) + (unit & 0x3ff),
        (0xdc00..=0xdfff, None) | (_, Some(_)) => {
            return Err(invalid("Unicode low surrogate must follow a high surrogate."));
        }
        (0, None) => {
            return Err(Error::client(
                state::UNTRANSLATABLE_CHARACTER,
                "unsupported Unicode escape sequence",
            )
            .detail("\\u0000 cannot be converted to text."));
        }
        (other, None) => other,
    };
    // A surrogate pair or any other unit is a character.
    value.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
    Ok(())
}
