//! PostgreSQL's advanced regular expressions in the syntax of the `regex` crate.
//!
//! Owns what a pattern means and which patterns are none: the crate takes some that PostgreSQL
//! refuses, so quantifiers, bounds and brackets are checked here. What the crate cannot do
//! (back references, look-around) is refused. Start at [`translate`].

use std::iter::Peekable;
use std::str::Chars;

use crate::error::{Error, Result, SqlState, state};

/// How a pattern is read.
#[derive(Clone, Copy, Default)]
pub(super) struct Flags {
    pub(super) fold: bool,
    pub(super) lines: bool,
    pub(super) extended: bool,
}

impl Flags {
    /// PostgreSQL's options, as they are written.
    pub(super) fn read(written: &str) -> Result<Self> {
        let mut flags = Self::default();
        for flag in written.chars() {
            if flag != 'g' && !flags.take(flag) {
                return Err(Error::client(
                    state::INVALID_PARAMETER_VALUE,
                    format!("invalid regular expression option: \"{flag}\""),
                ));
            }
        }
        Ok(flags)
    }

    fn take(&mut self, flag: char) -> bool {
        match flag {
            'i' => self.fold = true,
            'c' => self.fold = false,
            'n' | 'm' => self.lines = true,
            's' => self.lines = false,
            'x' => self.extended = true,
            _ => return false,
        }
        true
    }
}

/// 2201B
fn wrong(reason: &str) -> Error {
    Error::client(SqlState::from_code("2201B"), format!("invalid regular expression: {reason}"))
}

/// What the crate says of a pattern, in PostgreSQL's words where it has some.
pub(super) fn invalid(error: &regex::Error) -> Error {
    let regex::Error::CompiledTooBig(_) = error else {
        let line = error.to_string();
        let reason = line.lines().last().unwrap_or_default().trim_start_matches("error: ");
        return wrong(match reason {
            r if r.starts_with("invalid character class range") => "invalid character range",
            other => other,
        });
    };
    Error::client(state::PROGRAM_LIMIT_EXCEEDED, "regular expression is too complex")
}

/// What stands before a place in a pattern.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// The start of a branch, or a constraint: nothing to repeat.
    Nothing,
    Atom,
    Quantifier,
}

/// The most that a bound may say.
const REPEAT_MAX: u32 = 255;

/// A pattern in the crate's syntax, with the options it gives itself.
pub(super) fn translate(pattern: &str, mut flags: Flags) -> Result<(String, Flags)> {
    let mut rest = pattern;
    if let Some(literal) = rest.strip_prefix("***=") {
        return Ok((regex::escape(literal), flags));
    }
    rest = rest.strip_prefix("***:").unwrap_or(rest);
    // Embedded options apply to the whole expression.
    if let Some((options, after)) = rest.strip_prefix("(?").and_then(|r| r.split_once(')'))
        && !options.is_empty()
        && options.chars().all(|c| c.is_ascii_lowercase())
    {
        for option in options.chars() {
            if !matches!(option, 't' | 'e') && !flags.take(option) {
                return Err(Error::unsupported("this embedded regular expression option"));
            }
        }
        rest = after;
    }
    let mut reader = Reader {
        chars: rest.chars().peekable(),
        out: String::with_capacity(rest.len() + 8),
        before: Before::Nothing,
        depth: 0,
    };
    while let Some(c) = reader.chars.next() {
        reader.one(c)?;
    }
    match reader.depth {
        0 => Ok((reader.out, flags)),
        _ => Err(wrong("parentheses () not balanced")),
    }
}

struct Reader<'a> {
    chars: Peekable<Chars<'a>>,
    out: String,
    before: Before,
    depth: usize,
}

impl Reader<'_> {
    fn one(&mut self, c: char) -> Result<()> {
        let mut before = Before::Atom;
        match c {
            '\\' => before = self.escape()?,
            '[' => self.class()?,
            '(' => {
                self.open()?;
                before = Before::Nothing;
            }
            ')' => {
                let depth = self.depth.checked_sub(1);
                self.depth = depth.ok_or_else(|| wrong("parentheses () not balanced"))?;
                self.out.push(')');
            }
            '|' | '^' | '$' => {
                self.out.push(c);
                before = Before::Nothing;
            }
            '*' | '+' | '?' => {
                self.quantifier(&c.to_string())?;
                before = Before::Quantifier;
            }
            '{' if self.chars.peek().is_some_and(char::is_ascii_digit) => {
                let bound = self.bound()?;
                self.quantifier(&bound)?;
                before = Before::Quantifier;
            }
            '{' | '}' => {
                self.out.push('\\');
                self.out.push(c);
            }
            c => self.out.push(c),
        }
        self.before = before;
        Ok(())
    }

    fn quantifier(&mut self, text: &str) -> Result<()> {
        if self.before != Before::Atom {
            return Err(wrong("quantifier operand invalid"));
        }
        self.out.push_str(text);
        if self.chars.next_if_eq(&'?').is_some() {
            self.out.push('?');
        }
        Ok(())
    }

    /// `{m}`, `{m,}` or `{m,n}` behind its brace.
    fn bound(&mut self) -> Result<String> {
        let counts = || wrong("invalid repetition count(s)");
        let first = self.count()?.ok_or_else(counts)?;
        let mut text = format!("{{{first}");
        if self.chars.next_if_eq(&',').is_some() {
            text.push(',');
            if let Some(last) = self.count()? {
                if last < first {
                    return Err(counts());
                }
                text.push_str(&last.to_string());
            }
        }
        match self.chars.next() {
            Some('}') => {
                text.push('}');
                Ok(text)
            }
            Some(_) => Err(counts()),
            None => Err(wrong("braces {} not balanced")),
        }
    }

    fn count(&mut self) -> Result<Option<u32>> {
        let mut found = None;
        while let Some(digit) = self.chars.peek().and_then(|c| c.to_digit(10)) {
            self.chars.next();
            let value = found.unwrap_or(0) * 10 + digit;
            if value > REPEAT_MAX {
                return Err(wrong("invalid repetition count(s)"));
            }
            found = Some(value);
        }
        Ok(found)
    }

    fn open(&mut self) -> Result<()> {
        self.depth += 1;
        self.out.push('(');
        if self.chars.next_if_eq(&'?').is_some() {
            if self.chars.next_if_eq(&':').is_none() {
                return Err(Error::unsupported("look-around in a regular expression"));
            }
            self.out.push_str("?:");
        }
        Ok(())
    }

    fn escape(&mut self) -> Result<Before> {
        let bad = || wrong("invalid escape \\ sequence");
        let next = self.chars.next().ok_or_else(bad)?;
        let constraint = match next {
            'y' => "\\b",
            'Y' => "\\B",
            'm' => "\\b{start}",
            'M' => "\\b{end}",
            'A' => "\\A",
            'Z' => "\\z",
            _ => "",
        };
        if !constraint.is_empty() {
            self.out.push_str(constraint);
            return Ok(Before::Nothing);
        }
        self.escaped(next)?;
        Ok(Before::Atom)
    }

    /// An escape that stands for a character or a class.
    fn escaped(&mut self, next: char) -> Result<()> {
        match next {
            '1'..='9' => return Err(Error::unsupported("a back reference")),
            'B' => self.out.push_str("\\\\"),
            'e' => self.out.push_str("\\x1B"),
            // Letters PostgreSQL gives a meaning that `regex` shares.
            'd' | 'D' | 's' | 'S' | 'w' | 'W' | 'a' | 'f' | 'n' | 'r' | 't' | 'v' | 'x' | 'u'
            | 'U' => {
                self.out.push('\\');
                self.out.push(next);
            }
            'c' | 'b' => return Err(Error::unsupported("this regular expression escape")),
            next if next.is_ascii_alphanumeric() => {
                return Err(wrong("invalid escape \\ sequence"));
            }
            next => self.out.push_str(&regex::escape(&next.to_string())),
        }
        Ok(())
    }

    /// A bracket expression behind its `[`.
    fn class(&mut self) -> Result<()> {
        self.out.push('[');
        if self.chars.next_if_eq(&'^').is_some() {
            self.out.push('^');
        }
        if self.chars.next_if_eq(&']').is_some() {
            self.out.push_str("\\]");
        }
        loop {
            let c = self.chars.next().ok_or_else(|| wrong("brackets [] not balanced"))?;
            match c {
                ']' => {
                    self.out.push(']');
                    return Ok(());
                }
                '\\' => {
                    let next =
                        self.chars.next().ok_or_else(|| wrong("invalid escape \\ sequence"))?;
                    self.escaped(next)?;
                }
                '[' if self.chars.peek() == Some(&':') => {
                    // A class such as [:alpha:].
                    self.out.push('[');
                    for c in self.chars.by_ref() {
                        self.out.push(c);
                        if c == ']' {
                            break;
                        }
                    }
                }
                '[' if matches!(self.chars.peek(), Some('.' | '=')) => {
                    return Err(Error::unsupported("collating elements in a regular expression"));
                }
                // Set operators of `regex` that PostgreSQL does not know.
                '[' | '&' | '~' => {
                    self.out.push('\\');
                    self.out.push(c);
                }
                c => self.out.push(c),
            }
        }
    }
}
