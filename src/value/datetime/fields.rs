//! Cuts date, time and interval input into fields.

/// What a field looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Digits, perhaps with one point.
    Number,
    /// Letters.
    Word,
    /// Parts joined by `-`, `/` or `.`, or a zone's full name.
    Date,
    /// Digits with colons.
    Time,
    /// A sign and digits: an offset, or a signed number of an interval.
    Signed,
    /// A sign and letters: `-infinity`.
    SignedWord,
}

/// One field, in lower case.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) kind: Kind,
    pub(super) text: String,
}

/// Most fields that input may have.
const MAX_FIELDS: usize = 25;
/// Longest input.
const MAX_BYTES: usize = 153;

struct Cutter<'a> {
    rest: &'a [u8],
    field: String,
}

impl Cutter<'_> {
    fn peek(&self) -> u8 {
        self.rest.first().copied().unwrap_or(0)
    }

    fn take(&mut self) {
        if let Some((first, rest)) = self.rest.split_first() {
            self.field.push(char::from(first.to_ascii_lowercase()));
            self.rest = rest;
        }
    }

    fn take_while(&mut self, accept: impl Fn(u8) -> bool) {
        while !self.rest.is_empty() && accept(self.peek()) {
            self.take();
        }
    }

    fn digits(&mut self) {
        self.take_while(|b| b.is_ascii_digit());
    }

    fn digit_field(&mut self) -> Kind {
        self.digits();
        match self.peek() {
            b':' => {
                self.take();
                self.take_while(|b| b.is_ascii_digit() || matches!(b, b':' | b'.'));
                Kind::Time
            }
            mark @ (b'-' | b'/' | b'.') => {
                self.take();
                if self.peek().is_ascii_digit() {
                    self.digits();
                    if self.peek() == mark {
                        self.take();
                        self.take_while(|b| b.is_ascii_digit() || b == mark);
                        return Kind::Date;
                    }
                    return if mark == b'.' { Kind::Number } else { Kind::Date };
                }
                self.take_while(|b| b.is_ascii_alphanumeric() || b == mark);
                Kind::Date
            }
            _ => Kind::Number,
        }
    }

    fn letter_field(&mut self) -> Kind {
        self.take_while(|b| b.is_ascii_alphabetic());
        let joined = match self.peek() {
            b'-' | b'/' | b'.' => true,
            b'+' | b'0'..=b'9' => super::words::find(&self.field).is_none(),
            _ => false,
        };
        if !joined {
            return Kind::Word;
        }
        self.take_while(|b| {
            b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'/' | b'_' | b'.' | b':')
        });
        Kind::Date
    }

    fn sign_field(&mut self) -> Option<Kind> {
        self.take();
        while is_space(self.peek()) {
            self.rest = &self.rest[1..];
        }
        if self.peek().is_ascii_digit() {
            self.take_while(|b| b.is_ascii_digit() || matches!(b, b':' | b'.' | b'-'));
            Some(Kind::Signed)
        } else if self.peek().is_ascii_alphabetic() {
            self.take_while(|b| b.is_ascii_alphabetic());
            Some(Kind::SignedWord)
        } else {
            None
        }
    }
}

fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 0xb | 0xc)
}

/// The fields of input text; `None` when it holds what no form allows.
pub(super) fn split(text: &str) -> Option<Vec<Field>> {
    if text.len() > MAX_BYTES {
        return None;
    }
    let mut cutter = Cutter { rest: text.as_bytes(), field: String::new() };
    let mut fields = Vec::new();
    while !cutter.rest.is_empty() {
        let kind = match cutter.peek() {
            b if is_space(b) => {
                cutter.rest = &cutter.rest[1..];
                continue;
            }
            b'0'..=b'9' => cutter.digit_field(),
            b'.' => {
                cutter.take();
                cutter.digits();
                Kind::Number
            }
            b if b.is_ascii_alphabetic() => cutter.letter_field(),
            b'+' | b'-' => cutter.sign_field()?,
            b if b.is_ascii_punctuation() => {
                cutter.rest = &cutter.rest[1..];
                continue;
            }
            _ => return None,
        };
        if fields.len() == MAX_FIELDS {
            return None;
        }
        fields.push(Field { kind, text: std::mem::take(&mut cutter.field) });
    }
    Some(fields)
}
