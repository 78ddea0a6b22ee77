//! What a stored value looks like, in the words of the report.
//!
//! Owns [`Shape`]. It describes; it never decides a type. Start at [`shape`].

use crate::schema::Codec;
use crate::value::{CellRef, Datum, Type, oid, storage};

/// The looks of a stored value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub(super) enum Shape {
    Integer,
    Real,
    Infinity,
    Text,
    EmptyText,
    Nul,
    InvalidUtf8,
    Blob,
    IsoDate,
    IsoMoment,
    IsoZoned,
    IsoTime,
    ZeroDate,
    ImpossibleDate,
    DateWord,
    UnixSeconds,
    UnixMillis,
    JulianDay,
    TruthWord,
    Json,
    NotJson,
    Uuid,
    HexUuid,
    BlobUuid,
}

impl Shape {
    /// Its name in the report; part of the contract of its JSON form.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Real => "real",
            Self::Infinity => "infinity",
            Self::Text => "text",
            Self::EmptyText => "empty text",
            Self::Nul => "text with NUL",
            Self::InvalidUtf8 => "invalid UTF-8",
            Self::Blob => "blob",
            Self::IsoDate => "ISO date",
            Self::IsoMoment => "ISO moment",
            Self::IsoZoned => "ISO moment with zone",
            Self::IsoTime => "ISO time",
            Self::ZeroDate => "zero date",
            Self::ImpossibleDate => "impossible date",
            Self::DateWord => "word for a date",
            Self::UnixSeconds => "seconds since 1970",
            Self::UnixMillis => "milliseconds since 1970",
            Self::JulianDay => "Julian day",
            Self::TruthWord => "word for true or false",
            Self::Json => "JSON",
            Self::NotJson => "not JSON",
            Self::Uuid => "uuid",
            Self::HexUuid => "32 digits of a uuid",
            Self::BlobUuid => "16 bytes of a uuid",
        }
    }
}

/// What a column is about, by its declaration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Topic {
    Moment,
    Truth,
    Json,
    Uuid,
    Text,
    Other,
}

impl Topic {
    pub(super) fn of(ty: Type) -> Self {
        match ty.oid {
            oid::DATE | oid::TIME | oid::TIMESTAMP | oid::TIMESTAMPTZ => Self::Moment,
            oid::BOOL => Self::Truth,
            oid::JSON | oid::JSONB => Self::Json,
            oid::UUID => Self::Uuid,
            oid::TEXT | oid::VARCHAR => Self::Text,
            _ => Self::Other,
        }
    }
}

/// The looks of a value in a column about something.
pub(super) fn shape(topic: Topic, cell: CellRef<'_>) -> Option<Shape> {
    Some(match (topic, cell) {
        (_, CellRef::Null) => return None,
        (Topic::Moment, CellRef::Integer(i)) => number(i),
        (Topic::Moment, CellRef::Real(r)) if (1_721_425.0..5_373_485.0).contains(&r) => {
            Shape::JulianDay
        }
        (_, CellRef::Integer(_)) => Shape::Integer,
        (_, CellRef::Real(r)) if r.is_infinite() => Shape::Infinity,
        (_, CellRef::Real(_)) => Shape::Real,
        (Topic::Uuid, CellRef::Blob(b)) if b.len() == 16 => Shape::BlobUuid,
        (_, CellRef::Blob(_)) => Shape::Blob,
        (_, CellRef::Text([])) => Shape::EmptyText,
        (topic, CellRef::Text(bytes)) => match std::str::from_utf8(bytes) {
            Err(_) => Shape::InvalidUtf8,
            Ok(text) if text.contains('\0') => Shape::Nul,
            Ok(text) => text_shape(topic, text),
        },
    })
}

fn number(value: i64) -> Shape {
    match value.unsigned_abs() {
        10_000_000..100_000_000_000 => Shape::UnixSeconds,
        100_000_000_000..100_000_000_000_000 => Shape::UnixMillis,
        _ => Shape::Integer,
    }
}

fn text_shape(topic: Topic, text: &str) -> Shape {
    match topic {
        Topic::Moment => moment(text),
        Topic::Truth => {
            let cell = CellRef::Text(text.as_bytes());
            let read = storage::decode(Codec::BoolLoose, Type::new(oid::BOOL), cell);
            if read.is_ok() { Shape::TruthWord } else { Shape::Text }
        }
        Topic::Json => {
            let read = crate::value::json::validate(text);
            if read.is_ok() { Shape::Json } else { Shape::NotJson }
        }
        Topic::Uuid => {
            let read = crate::value::text::parse_uuid(text);
            match (read, text.len()) {
                (Ok(_), 32) => Shape::HexUuid,
                (Ok(_), _) => Shape::Uuid,
                (Err(_), _) => Shape::Text,
            }
        }
        Topic::Text | Topic::Other => Shape::Text,
    }
}

/// A date or time as text.
pub(super) fn moment(text: &str) -> Shape {
    const WORDS: [&str; 8] =
        ["now", "today", "tomorrow", "yesterday", "epoch", "infinity", "-infinity", "allballs"];
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let after = text.as_bytes().get(digits).copied();
    if WORDS.iter().any(|w| text.eq_ignore_ascii_case(w)) {
        return Shape::DateWord;
    }
    if digits <= 2 && digits > 0 && after == Some(b':') && !text.contains(char::is_alphabetic) {
        return if read(oid::TIME, text).is_some() {
            Shape::IsoTime
        } else {
            Shape::ImpossibleDate
        };
    }
    if digits != 4 || !matches!(after, Some(b'-' | b'/')) {
        return Shape::Text;
    }
    if text.starts_with("0000-00-00") {
        return Shape::ZeroDate;
    }
    let time = text.find(':').and_then(|at| text.get(at..)).unwrap_or_default();
    let zoned = time.contains(|c: char| c.is_ascii_alphabetic() || c == '+' || c == '-');
    match (read(oid::TIMESTAMPTZ, text), zoned, time.is_empty()) {
        (None, ..) => Shape::ImpossibleDate,
        (Some(_), true, _) => Shape::IsoZoned,
        (Some(Datum::Timestamptz(micros)), _, true) if micros % 86_400_000_000 == 0 => {
            Shape::IsoDate
        }
        _ => Shape::IsoMoment,
    }
}

/// The form in which a text writes a date, or a date and a time; None when it is none.
pub(super) fn date_form(bytes: &[u8]) -> Option<&'static str> {
    if !(6..=40).contains(&bytes.len()) || !bytes[0].is_ascii_digit() {
        return None;
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let rest = &text[digits..];
    let mut parts = rest.chars();
    let mark = parts.next()?;
    match (digits, mark) {
        (4, '-' | '/') => {
            let spelled = text.as_bytes().get(10) == Some(&b'T');
            Some(match (moment(text), mark) {
                (Shape::IsoDate, '-') => Shape::IsoDate.word(),
                (Shape::IsoMoment, '-') if spelled => "ISO moment with T",
                (Shape::IsoMoment, '-') => Shape::IsoMoment.word(),
                (Shape::IsoZoned, '-') => Shape::IsoZoned.word(),
                (Shape::IsoDate | Shape::IsoMoment, _) => "year first, with slashes",
                _ => return None,
            })
        }
        (1 | 2, '/' | '.' | '-') => {
            let mut numbers = text.splitn(3, mark);
            let (_, second, third) = (numbers.next(), numbers.next()?, numbers.next()?);
            let short = |n: &str| n.len() <= 2 && n.bytes().all(|b| b.is_ascii_digit());
            let year = third.bytes().take_while(u8::is_ascii_digit).count();
            if !short(second) || second.is_empty() || !matches!(year, 2 | 4) {
                return None;
            }
            Some(match mark {
                '/' => "day and month, with slashes",
                '.' => "day and month, with points",
                _ => "day and month, with dashes",
            })
        }
        (1 | 2, ' ') => {
            let mut words = rest.split_whitespace();
            let (month, year) = (words.next()?, words.next()?);
            let named = month.len() >= 3 && month.bytes().all(|b| b.is_ascii_alphabetic());
            let dated = year.len() == 4 && year.bytes().all(|b| b.is_ascii_digit());
            (named && dated).then_some("with a month's name")
        }
        _ => None,
    }
}

/// Whether a time has a fraction finer than a microsecond.
pub(super) fn is_finer(bytes: &[u8]) -> bool {
    let Some(point) = bytes.iter().rposition(|b| *b == b'.') else { return false };
    let digits = bytes[point + 1..].iter().take_while(|b| b.is_ascii_digit());
    bytes[..point].contains(&b':') && digits.skip(6).any(|b| *b != b'0')
}

fn read(type_oid: u32, text: &str) -> Option<Datum> {
    let cell = CellRef::Text(text.as_bytes());
    storage::decode(Codec::DateTimeLoose, Type::new(type_oid), cell).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        for (text, shape) in [
            ("2021-03-04", Shape::IsoDate),
            ("2021-03-04 05:06:07", Shape::IsoMoment),
            ("2021-03-04T05:06:07.123Z", Shape::IsoZoned),
            ("2021-03-04 05:06:07+02:00", Shape::IsoZoned),
            ("05:06", Shape::IsoTime),
            ("25:00:00", Shape::ImpossibleDate),
            ("0000-00-00 00:00:00", Shape::ZeroDate),
            ("2021-02-30", Shape::ImpossibleDate),
            ("04/03/2021", Shape::Text),
            ("NOW", Shape::DateWord),
        ] {
            assert_eq!(moment(text), shape, "{text}");
        }
        assert_eq!(shape(Topic::Moment, CellRef::Integer(1_614_834_367)), Some(Shape::UnixSeconds));
        let millis = CellRef::Integer(1_614_834_367_123);
        assert_eq!(shape(Topic::Moment, millis), Some(Shape::UnixMillis));
        assert_eq!(shape(Topic::Moment, CellRef::Real(2_459_277.5)), Some(Shape::JulianDay));
        assert_eq!(shape(Topic::Text, CellRef::Text(b"a\0")), Some(Shape::Nul));
        assert_eq!(shape(Topic::Text, CellRef::Text(b"\xff")), Some(Shape::InvalidUtf8));
        assert_eq!(shape(Topic::Other, CellRef::Null), None);
        for (text, form) in [
            ("2021-03-04", Some("ISO date")),
            ("2021-03-04T05:06:07", Some("ISO moment with T")),
            ("2021/03/04", Some("year first, with slashes")),
            ("4/3/2021", Some("day and month, with slashes")),
            ("04.03.21", Some("day and month, with points")),
            ("4 Mar 2021 05:06", Some("with a month's name")),
            ("1.2.3.4", None),
            ("12 monkeys", None),
            ("2021-99-04", None),
        ] {
            assert_eq!(date_form(text.as_bytes()), form, "{text}");
        }
        assert!(is_finer(b"05:06:07.1234567"));
        assert!(!is_finer(b"05:06:07.1230000000") && !is_finer(b"1.123456789"));
    }
}
