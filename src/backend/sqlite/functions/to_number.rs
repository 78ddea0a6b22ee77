//! to_number, which reads along its template as PostgreSQL does.
//!
//! It owns the template's words and what each of them takes from the text: a digit place that meets
//! something else skips it, and what is left over is not looked at. The locale is C's. It must never
//! read a text as a number where PostgreSQL reads another one. Start at [`read`].

use crate::error::{Error, Result, state};
use crate::value::numeric::Numeric;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Nine,
    Zero,
    Point,
    Comma,
    Group,
    Currency,
    Ordinal,
    Minus,
    Plus,
    Signed,
    /// A sign beside the number.
    Sign,
    Bracket,
    Multiply,
    Fill,
    Exponent,
    Roman,
    Blank,
    Nothing,
    /// A character that is no word: it stands for any one of the text.
    Other,
}

/// Words in the order in which PostgreSQL looks for them; large or small as a whole.
const WORDS: [(&str, Word); 20] = [
    (",", Word::Comma),
    (".", Word::Point),
    ("0", Word::Zero),
    ("9", Word::Nine),
    ("B", Word::Blank),
    ("D", Word::Point),
    ("EEEE", Word::Exponent),
    ("FM", Word::Fill),
    ("G", Word::Group),
    ("L", Word::Currency),
    ("MI", Word::Minus),
    ("PL", Word::Plus),
    ("PR", Word::Bracket),
    ("RN", Word::Roman),
    ("SG", Word::Signed),
    ("SP", Word::Nothing),
    ("S", Word::Sign),
    ("TH", Word::Ordinal),
    ("V", Word::Multiply),
    ("\"", Word::Other),
];

/// What the template says as a whole.
#[derive(Default)]
struct Shape {
    /// Digits before the point, behind it, and behind V.
    pre: u32,
    post: u32,
    multi: u32,
    point: bool,
    multiplied: bool,
    fill: bool,
    blank: bool,
    roman: bool,
    exponent: bool,
    minus: bool,
    plus: bool,
    bracket: bool,
    /// S
    sign: bool,
}

fn wrong(message: &'static str) -> Error {
    Error::client(state::SYNTAX_ERROR, message)
}

impl Shape {
    /// Takes up one more word; 42601 where it cannot stand.
    fn add(&mut self, word: Word) -> Result<()> {
        if self.exponent && word != Word::Exponent {
            return Err(wrong("\"EEEE\" must be the last pattern used"));
        }
        match word {
            Word::Nine | Word::Zero if self.bracket => {
                return Err(wrong(match word {
                    Word::Nine => "\"9\" must be ahead of \"PR\"",
                    _ => "\"0\" must be ahead of \"PR\"",
                }));
            }
            Word::Nine if self.multiplied => self.multi += 1,
            Word::Nine | Word::Zero if self.point => self.post += 1,
            Word::Nine | Word::Zero => self.pre += 1,
            Word::Blank => self.blank |= self.pre == 0 && self.post == 0,
            Word::Point if self.point => return Err(wrong("multiple decimal points")),
            Word::Point | Word::Multiply
                if (word == Word::Point && self.multiplied)
                    || (word == Word::Multiply && self.point) =>
            {
                return Err(wrong("cannot use \"V\" and decimal point together"));
            }
            Word::Point => self.point = true,
            Word::Multiply => self.multiplied = true,
            Word::Fill => self.fill = true,
            Word::Roman => self.roman = true,
            Word::Sign | Word::Minus | Word::Plus | Word::Signed | Word::Bracket => {
                return self.add_sign(word);
            }
            Word::Exponent => {
                if self.exponent {
                    return Err(wrong("cannot use \"EEEE\" twice"));
                }
                let beside = self.blank || self.fill || self.roman || self.multiplied;
                if beside || self.sign || self.bracket || self.minus || self.plus {
                    return Err(wrong("\"EEEE\" is incompatible with other formats").detail(
                        "\"EEEE\" may only be used together with digit and decimal point patterns.",
                    ));
                }
                self.exponent = true;
            }
            Word::Comma
            | Word::Group
            | Word::Currency
            | Word::Ordinal
            | Word::Nothing
            | Word::Other => {}
        }
        Ok(())
    }

    fn add_sign(&mut self, word: Word) -> Result<()> {
        let beside = self.plus || self.minus;
        match word {
            Word::Sign if self.sign => return Err(wrong("cannot use \"S\" twice")),
            Word::Sign if beside || self.bracket => {
                return Err(wrong("cannot use \"S\" and \"PL\"/\"MI\"/\"SG\"/\"PR\" together"));
            }
            Word::Sign => self.sign = true,
            Word::Bracket if self.sign || beside => {
                return Err(wrong("cannot use \"PR\" and \"S\"/\"PL\"/\"MI\"/\"SG\" together"));
            }
            Word::Bracket => self.bracket = true,
            _ if self.sign => {
                return Err(wrong(match word {
                    Word::Minus => "cannot use \"S\" and \"MI\" together",
                    Word::Plus => "cannot use \"S\" and \"PL\" together",
                    _ => "cannot use \"S\" and \"SG\" together",
                }));
            }
            _ => {
                self.minus |= word != Word::Plus;
                self.plus |= word != Word::Minus;
            }
        }
        Ok(())
    }
}

fn words(template: &str) -> Result<(Vec<Word>, Shape)> {
    let (mut out, mut shape) = (Vec::new(), Shape::default());
    let mut rest = template;
    while let Some(first) = rest.chars().next() {
        let begins = |w: &str| {
            let part = rest.get(..w.len());
            part.is_some_and(|part| part == w || part == w.to_ascii_lowercase())
        };
        let (name, word) = match WORDS.iter().find(|(w, _)| begins(w)) {
            Some(found) => *found,
            None => ("", Word::Other),
        };
        if name == "\"" {
            let mut quoted = rest[1..].chars();
            while let Some(c) = quoted.next().filter(|c| *c != '"') {
                let next = quoted.clone().next();
                if c == '\\' && next.is_some() {
                    quoted.next();
                }
                out.push(Word::Other);
            }
            rest = quoted.as_str();
            continue;
        }
        if word != Word::Other {
            shape.add(word)?;
        }
        let escaped = usize::from(name.is_empty() && rest.starts_with("\\\""));
        let width = if name.is_empty() { first.len_utf8() + escaped } else { name.len() };
        rest = &rest[width..];
        out.push(word);
    }
    Ok((out, shape))
}

/// A reader of one text, byte by byte.
struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    shape: &'a Shape,
    /// What was read: a sign or a blank, then digits and a point.
    sign: u8,
    digits: String,
    before: u32,
    behind: u32,
    point: bool,
}

impl Reader<'_> {
    fn byte(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn is_digit(&self, at: usize) -> bool {
        self.text.get(at).is_some_and(u8::is_ascii_digit)
    }

    /// Passes over one character.
    fn skip(&mut self) {
        self.at += match self.byte() {
            Some(0xf0..) => 4,
            Some(0xe0..) => 3,
            Some(0xc0..) => 2,
            _ => 1,
        };
    }

    /// Passes over characters that no number has.
    fn skip_others(&mut self, count: usize) {
        for _ in 0..count {
            match self.byte() {
                Some(b) if !b"0123456789.,+-".contains(&b) => self.skip(),
                _ => break,
            }
        }
    }

    /// A place for a digit or the point. It ends on the byte that it has taken.
    fn place(&mut self, word: Word) {
        if self.byte() == Some(b' ') {
            self.at += 1;
        }
        let Some(first) = self.byte() else { return };
        if self.sign == b' '
            && word != Word::Point
            && self.before + self.behind == 0
            && (matches!(first, b'-' | b'+') || (self.shape.bracket && first == b'<'))
        {
            self.sign = if first == b'+' { b'+' } else { b'-' };
            self.at += 1;
        }
        let Some(byte) = self.byte() else { return };
        let mut taken = false;
        if byte.is_ascii_digit() {
            if self.point && self.behind == self.shape.post {
                return;
            }
            self.digits.push(char::from(byte));
            let count = if self.point { &mut self.behind } else { &mut self.before };
            *count += 1;
            taken = true;
        } else if self.shape.point && !self.point && byte == b'.' {
            self.digits.push('.');
            self.point = true;
            taken = true;
        }
        if self.sign == b' ' && self.before + self.behind > 0 {
            self.sign_behind(taken);
        }
    }

    /// A sign behind the last digit.
    fn sign_behind(&mut self, taken: bool) {
        let shape = self.shape;
        if shape.sign {
            let next = self.text.get(self.at + 1).copied();
            if taken && !self.is_digit(self.at + 1) && matches!(next, Some(b'-' | b'+')) {
                self.at += 1;
                self.sign = next.unwrap_or(b' ');
            }
        } else if !taken
            && (shape.plus || shape.minus)
            && let Some(sign @ (b'-' | b'+')) = self.byte()
        {
            self.sign = sign;
        }
    }

    /// What one word takes. True: and one byte more.
    fn take(&mut self, word: Word) -> bool {
        let byte = self.byte();
        match word {
            Word::Nine | Word::Zero | Word::Point => self.place(word),
            Word::Comma | Word::Group => return !self.shape.fill && byte == Some(b','),
            Word::Minus | Word::Plus | Word::Signed => {
                let minus = word != Word::Plus && byte == Some(b'-');
                let plus = word != Word::Minus && byte == Some(b'+');
                if !minus && !plus {
                    self.skip_others(1);
                    return false;
                }
                self.sign = if minus { b'-' } else { b'+' };
            }
            Word::Currency => {
                self.skip_others(1);
                return false;
            }
            Word::Ordinal => {
                if !self.shape.roman && !self.shape.point {
                    self.skip_others(2);
                }
                return false;
            }
            Word::Other => {
                self.skip();
                return false;
            }
            _ => return false,
        }
        true
    }
}

/// The number that a text has by a template; None without a template.
pub(super) fn read(text: &str, template: &str) -> Result<Option<Numeric>> {
    if template.is_empty() {
        return Ok(None);
    }
    let (words, shape) = words(template)?;
    let unread = |message| Error::client(state::FEATURE_NOT_SUPPORTED, message);
    if shape.exponent {
        return Err(unread("\"EEEE\" not supported for input"));
    }
    if shape.roman {
        return Err(unread("\"RN\" not supported for input"));
    }
    let mut reader = Reader {
        text: text.as_bytes(),
        at: 0,
        shape: &shape,
        sign: b' ',
        digits: String::new(),
        before: 0,
        behind: 0,
        point: false,
    };
    for word in words {
        if reader.byte().is_none() {
            break;
        }
        if reader.take(word) {
            reader.at += 1;
        }
    }
    let digits = reader.digits.strip_suffix('.').unwrap_or(&reader.digits);
    let read = Numeric::parse(&format!("{}{digits}", char::from(reader.sign)))?;
    let scale = i32::try_from(reader.behind).unwrap_or(i32::MAX);
    let read = read.with_typmod(shape.pre + shape.multi + reader.behind, scale)?;
    if !shape.multiplied {
        return Ok(Some(read));
    }
    let tenth = Numeric::from(10_i64).power(&Numeric::from(-i64::from(shape.multi)))?;
    read.mul(&tenth).map(Some)
}
