//! Meaning of the fields of date and time input, by PostgreSQL's rules.
//!
//! The order of fields, two-digit years, run-together forms and zones are all decided
//! here. Words for "now" mean `Style::now` and are refused without it. Start at [`decode`].

use jiff::tz::TimeZone;

use super::fields::{self, Field, Kind};
use super::parts::{Fail, Step, clock, displacement, fraction, leading_int};
use super::words::{self, Word};
use super::{
    MICROS_PER_DAY, MICROS_PER_SECOND, abbreviations, civil_from_days, days_from_civil,
    days_in_month, named_zone, utc_to_local,
};
use crate::error::{Error, state};
use crate::value::{DateStyle, Style};

// Which parts have been seen; one bit each.
const YEAR: u32 = 1;
const MONTH: u32 = 1 << 1;
const DAY: u32 = 1 << 2;
const TIME: u32 = 1 << 3;
const ZONE: u32 = 1 << 4;
const MERIDIAN: u32 = 1 << 5;
const ERA: u32 = 1 << 6;
const WEEKDAY: u32 = 1 << 7;
const DAY_OF_YEAR: u32 = 1 << 8;
const DAYLIGHT: u32 = 1 << 9;
const RESERVED: u32 = 1 << 10;
const DATE: u32 = YEAR | MONTH | DAY;

/// Where the offset comes from.
#[derive(Clone, Debug)]
pub(super) enum Zone {
    /// Nothing said: the session's zone.
    Session,
    /// Seconds east of UTC.
    Offset(i32),
    /// A zone with rules.
    Named(TimeZone),
}

/// What input means.
pub(super) enum Decoded {
    /// A day (since 2000-01-01), microseconds of the day (24:00 included), a zone.
    Moment(i64, i64, Zone),
    Infinity,
    NegInfinity,
}

struct Decoder<'a> {
    style: &'a Style,
    /// Only a time is wanted: a date may be absent.
    time_only: bool,
    seen: u32,
    year: i64,
    month: i64,
    day: i64,
    year_day: i64,
    micros: i64,
    hour: i64,
    zone: Zone,
    bc: bool,
    meridian: Option<Word>,
    two_digits: bool,
    julian: bool,
    /// A part of a run-together time is too large.
    overflow: bool,
    text_month: bool,
    /// A word that says what the next field is: `J` or `T`.
    label: Option<Word>,
    /// `epoch` and the infinities end as themselves.
    special: Option<Word>,
}

/// Decodes date and time input. With `time_only` the day is 0 when none was given.
pub(super) fn decode(text: &str, style: &Style, time_only: bool) -> Step<Decoded> {
    let fields = fields::split(text).ok_or(Fail::Format)?;
    let mut decoder = Decoder {
        style,
        time_only,
        seen: 0,
        year: 0,
        month: 0,
        day: 0,
        year_day: 0,
        micros: 0,
        hour: 0,
        zone: Zone::Session,
        bc: false,
        meridian: None,
        two_digits: false,
        julian: false,
        overflow: false,
        text_month: false,
        label: None,
        special: None,
    };
    for (at, field) in fields.iter().enumerate() {
        let mask = decoder.field(field, at, &fields)?;
        if mask & decoder.seen != 0 {
            return Err(Fail::Format);
        }
        decoder.seen |= mask;
    }
    decoder.finish()
}

impl Decoder<'_> {
    fn field(&mut self, field: &Field, at: usize, all: &[Field]) -> Step<u32> {
        let text = field.text.as_str();
        match field.kind {
            Kind::Date => self.date_field(text, at, all),
            Kind::Time => {
                if self.label.take().is_some_and(|label| label != Word::IsoTime) {
                    return Err(Fail::Format);
                }
                self.time(text)?;
                Ok(TIME)
            }
            Kind::Signed => {
                self.zone = Zone::Offset(displacement(text)?);
                Ok(ZONE)
            }
            Kind::Number => self.number_field(text, at, all),
            Kind::Word | Kind::SignedWord => self.word(text, at, all),
        }
    }

    fn time(&mut self, text: &str) -> Step {
        let (hour, below) = clock(text, 9)?;
        if hour > 24 || hour * 3600 * MICROS_PER_SECOND + below > MICROS_PER_DAY {
            return Err(Fail::Field);
        }
        (self.hour, self.micros) = (hour, below);
        Ok(())
    }

    /// A field with date punctuation: a date, a zone's name, or `hhmmss-zz`.
    fn date_field(&mut self, text: &str, at: usize, all: &[Field]) -> Step<u32> {
        if self.label == Some(Word::Label) {
            return Err(Fail::Format);
        }
        if self.label == Some(Word::Julian) {
            // `J2451545-08`: a Julian day with an offset.
            self.label = None;
            let (day, rest) = leading_int(text)?;
            self.set_julian(day);
            self.zone = Zone::Offset(displacement(rest)?);
            return Ok(DATE | TIME | ZONE);
        }
        let labelled = self.label.is_some();
        let have_date = self.seen & (MONTH | DAY) == MONTH | DAY;
        let time_only_zone = self.time_only && !self.date_expected(at, all);
        if !labelled && !have_date && !time_only_zone {
            return self.date(text);
        }
        if text.starts_with(|c: char| c.is_ascii_digit()) || labelled {
            self.label = None;
            if self.seen & TIME != 0 {
                return Err(Fail::Format);
            }
            let cut = text.find('-').ok_or(Fail::Format)?;
            self.zone = Zone::Offset(displacement(&text[cut..])?);
            return Ok(self.run_together(&text[..cut], self.seen | DATE)? | ZONE);
        }
        match named_zone(text) {
            Some(zone) => {
                self.zone = Zone::Named(zone);
                Ok(ZONE)
            }
            None => Err(Fail::Other(Error::client(
                state::INVALID_PARAMETER_VALUE,
                format!("time zone \"{text}\" not recognized"),
            ))),
        }
    }

    /// Time input may begin with a date when a time follows, or end with one.
    fn date_expected(&self, at: usize, all: &[Field]) -> bool {
        at == 0
            && all.len() >= 2
            && (all[all.len() - 1].kind == Kind::Date || all[1].kind == Kind::Time)
    }

    fn number_field(&mut self, text: &str, at: usize, all: &[Field]) -> Step<u32> {
        match self.label.take() {
            Some(Word::Julian) => {
                let (day, rest) = leading_int(text)?;
                self.set_julian(day);
                if rest.is_empty() {
                    return Ok(DATE);
                }
                let part: f64 = format!("0{rest}").parse().map_err(|_| Fail::Format)?;
                self.micros = (part * MICROS_PER_DAY as f64) as i64;
                return Ok(DATE | TIME);
            }
            Some(Word::Label) => return Err(Fail::Format),
            Some(_) => {
                let mask = self.run_together(text, self.seen | DATE)?;
                return if mask == TIME { Ok(mask) } else { Err(Fail::Format) };
            }
            None => {}
        }
        let point = text.find('.');
        if self.time_only {
            return match point {
                _ if self.date_expected(at, all) && point.is_some() => self.date(text),
                Some(point) if point > 2 => self.run_together(text, self.seen | DATE),
                None if text.len() > 4 => self.run_together(text, self.seen | DATE),
                _ => self.number(text, self.seen | DATE),
            };
        }
        let missing = self.seen & DATE == 0 || self.seen & TIME == 0;
        match point {
            Some(_) if self.seen & DATE == 0 => self.date(text),
            Some(point) if point > 2 => self.run_together(text, self.seen),
            _ if text.len() >= 6 && missing => self.run_together(text, self.seen),
            _ => self.number(text, self.seen),
        }
    }

    fn set_julian(&mut self, day: i64) {
        let (year, month, day) = civil_from_days(day - super::JULIAN_OF_EPOCH);
        (self.year, self.month, self.day) = (year, i64::from(month), i64::from(day));
        self.julian = true;
    }

    /// A date of two or three parts, one of them perhaps a month's name.
    fn date(&mut self, text: &str) -> Step<u32> {
        let mut parts: Vec<&str> = Vec::new();
        let mut rest = text;
        loop {
            rest = rest.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
            let Some(first) = rest.bytes().next() else { return Err(Fail::Format) };
            let alike = |b: &u8| {
                if first.is_ascii_digit() { b.is_ascii_digit() } else { b.is_ascii_alphabetic() }
            };
            let end = rest.bytes().take_while(alike).count();
            parts.push(&rest[..end]);
            // One separator goes with the part; letters directly after digits start a part.
            rest = &rest[end..];
            if rest.is_empty() {
                break;
            }
            rest = &rest[1..];
            if rest.is_empty() {
                break;
            }
        }
        let mut mask = 0;
        for part in parts.iter().filter(|p| p.starts_with(|c: char| c.is_ascii_alphabetic())) {
            match words::find(part) {
                Some(Word::Ignore) => {}
                Some(Word::Month(month)) if (self.seen | mask) & MONTH == 0 => {
                    self.month = i64::from(month);
                    self.text_month = true;
                    mask |= MONTH;
                }
                _ => return Err(Fail::Format),
            }
        }
        for part in parts.iter().filter(|p| p.starts_with(|c: char| c.is_ascii_digit())) {
            let more = self.number(part, self.seen | mask)?;
            if more & (self.seen | mask) != 0 {
                return Err(Fail::Format);
            }
            mask |= more;
        }
        if (self.seen | mask) & !(DAY_OF_YEAR | ZONE) != DATE {
            return Err(Fail::Format);
        }
        Ok(mask)
    }

    /// One number whose meaning follows from what has been seen.
    fn number(&mut self, text: &str, seen: u32) -> Step<u32> {
        let (value, rest) = leading_int(text)?;
        let length = text.len();
        if rest.starts_with('.') {
            if length - rest.len() > 2 {
                return self.run_together(text, seen | DATE);
            }
            // The fraction of a second after a lone number is checked and has no place.
            fraction(rest)?;
        } else if !rest.is_empty() {
            return Err(Fail::Format);
        }
        if length == 3 && seen & DATE == YEAR && (1..=366).contains(&value) {
            self.year_day = value;
            return Ok(DAY_OF_YEAR | MONTH | DAY);
        }
        let order = self.style.date_style;
        let mask = match seen & DATE {
            0 if length >= 3 || order == DateStyle::Ymd => YEAR,
            0 if order == DateStyle::Dmy => DAY,
            0 | YEAR | DAY => MONTH,
            MONTH if self.text_month && (length >= 3 || order == DateStyle::Ymd) => YEAR,
            MONTH => DAY,
            m if m == YEAR | MONTH => {
                if self.text_month && length >= 3 && self.two_digits {
                    // What was taken for the year was the day.
                    self.day = self.year;
                    self.year = value;
                    self.two_digits = false;
                } else {
                    self.day = value;
                }
                return Ok(DAY);
            }
            m if m == MONTH | DAY => YEAR,
            DATE => return self.run_together(text, seen),
            _ => return Err(Fail::Format),
        };
        match mask {
            YEAR => {
                self.year = value;
                self.two_digits = length <= 2;
            }
            MONTH => self.month = value,
            _ => self.day = value,
        }
        Ok(mask)
    }

    /// `yyyymmdd`, `yymmdd`, `hhmmss`, `hhmm`, with a fraction in the last two.
    fn run_together(&mut self, text: &str, seen: u32) -> Step<u32> {
        let (digits, micros) = match text.find('.') {
            Some(at) => (&text[..at], fraction(&text[at..])?),
            None => (text, 0),
        };
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Fail::Format);
        }
        let length = digits.len();
        let part = |range: &str| range.parse::<i64>().map_err(|_| Fail::Field);
        if length == text.len() && seen & DATE != DATE && length >= 6 {
            self.day = part(&digits[length - 2..])?;
            self.month = part(&digits[length - 4..length - 2])?;
            self.year = i64::from(digits[..length - 4].parse::<i32>().map_err(|_| Fail::Field)?);
            self.two_digits = length == 6;
            return Ok(DATE);
        }
        if seen & TIME != 0 || !matches!(length, 4 | 6) {
            return Err(Fail::Format);
        }
        self.hour = part(&digits[..2])?;
        let second = if length == 6 { part(&digits[4..6])? } else { 0 };
        self.micros = (part(&digits[2..4])? * 60 + second) * MICROS_PER_SECOND + micros;
        // PostgreSQL lets a run-together time that follows a date run over.
        self.overflow = part(&digits[2..4])? > 59 || second > 60 || self.hour > 24;
        Ok(TIME)
    }

    fn word(&mut self, text: &str, at: usize, all: &[Field]) -> Step<u32> {
        let Some(word) = abbreviations::find(text).or_else(|| words::find(text)) else {
            // Before giving up: a zone's name without punctuation.
            self.zone = Zone::Named(named_zone(text).ok_or(Fail::Format)?);
            return Ok(ZONE);
        };
        match word {
            Word::Ignore => Ok(0),
            Word::Now | Word::Today | Word::Tomorrow | Word::Yesterday => self.relative(word, text),
            Word::Zulu => {
                (self.hour, self.micros, self.zone) = (0, 0, Zone::Offset(0));
                self.special = None;
                Ok(TIME | ZONE)
            }
            Word::Epoch | Word::Infinity | Word::NegInfinity => {
                if self.time_only {
                    return Err(Fail::Format);
                }
                self.special = Some(word);
                Ok(RESERVED)
            }
            Word::Month(month) => {
                let swap = self.seen & (MONTH | DAY) == MONTH
                    && !self.text_month
                    && (1..=31).contains(&self.month);
                let mask = if swap {
                    // The number before a month's name was the day.
                    self.day = self.month;
                    DAY
                } else {
                    MONTH
                };
                self.text_month = true;
                self.month = i64::from(month);
                Ok(mask)
            }
            Word::DaylightSaving => {
                let base = if let Zone::Offset(east) = self.zone { east } else { 0 };
                self.zone = Zone::Offset(base + 3600);
                Ok(DAYLIGHT)
            }
            Word::Zone(east) => {
                self.zone = Zone::Offset(east);
                Ok(ZONE)
            }
            Word::NamedZone(name) => {
                self.zone = Zone::Named(named_zone(name).ok_or(Fail::Format)?);
                Ok(ZONE)
            }
            Word::Am | Word::Pm => {
                self.meridian = Some(word);
                Ok(MERIDIAN)
            }
            Word::Bc | Word::Ad => {
                self.bc = word == Word::Bc;
                Ok(ERA)
            }
            Word::Weekday => Ok(WEEKDAY),
            Word::Julian | Word::Label if self.label.is_none() => {
                self.label = Some(word);
                Ok(0)
            }
            Word::IsoTime => {
                let next = all.get(at + 1).map(|f| f.kind);
                let follows = matches!(next, Some(Kind::Number | Kind::Time | Kind::Date));
                if !follows || (!self.time_only && self.seen & DATE != DATE) {
                    return Err(Fail::Format);
                }
                self.label = Some(word);
                Ok(0)
            }
            Word::Julian | Word::Label => Err(Fail::Format),
        }
    }

    /// `now`, `today`, `tomorrow`, `yesterday`.
    fn relative(&mut self, word: Word, text: &str) -> Step<u32> {
        if self.time_only && word != Word::Now {
            return Err(Fail::Format);
        }
        let Some(now) = self.style.now else {
            return Err(Fail::Other(Error::unsupported(format!(
                "the date/time word \"{text}\" in a stored value"
            ))));
        };
        let local = utc_to_local(&self.style.timezone, now).map_err(Fail::Other)?;
        let step = match word {
            Word::Tomorrow => 1,
            Word::Yesterday => -1,
            _ => 0,
        };
        let (year, month, day) = civil_from_days(local.div_euclid(MICROS_PER_DAY) + step);
        (self.year, self.month, self.day) = (year, i64::from(month), i64::from(day));
        // The year is a proleptic one already.
        self.julian = true;
        if word != Word::Now {
            return Ok(DATE);
        }
        let micros = local.rem_euclid(MICROS_PER_DAY);
        (self.hour, self.micros) = (0, micros);
        let offset = (local - now) / MICROS_PER_SECOND;
        self.zone = Zone::Offset(offset as i32);
        Ok(DATE | TIME | ZONE)
    }

    fn finish(mut self) -> Step<Decoded> {
        match self.special {
            Some(Word::Infinity) => return Ok(Decoded::Infinity),
            Some(Word::NegInfinity) => return Ok(Decoded::NegInfinity),
            Some(_) => {
                let day = days_from_civil(1970, 1, 1);
                return Ok(Decoded::Moment(day, 0, Zone::Offset(0)));
            }
            None => {}
        }
        if self.seen & DATE == DATE || !self.time_only {
            self.check_date()?;
        }
        match self.meridian {
            Some(_) if self.hour > 12 => return Err(Fail::Field),
            Some(Word::Am) if self.hour == 12 => self.hour = 0,
            Some(Word::Pm) if self.hour != 12 => self.hour += 12,
            _ => {}
        }
        let micros = self.hour * 3600 * MICROS_PER_SECOND + self.micros;
        if self.time_only {
            if self.overflow || micros > MICROS_PER_DAY {
                return Err(Fail::Field);
            }
            if self.seen & TIME == 0 {
                return Err(Fail::Format);
            }
            // Rules of a zone need a date to say the offset.
            if matches!(self.zone, Zone::Named(_)) && self.seen & DATE != DATE {
                return Err(Fail::Format);
            }
        } else if self.seen & DATE != DATE {
            return Err(Fail::Format);
        }
        // "DST" needs a zone with an offset of its own before it.
        let fixed = self.seen & ZONE != 0 && matches!(self.zone, Zone::Offset(_));
        if self.seen & DAYLIGHT != 0 && !fixed {
            return Err(Fail::Format);
        }
        let day = if self.seen & DATE == DATE {
            days_from_civil(self.year, self.month, self.day)
        } else {
            0
        };
        Ok(Decoded::Moment(day, micros, self.zone))
    }

    fn check_date(&mut self) -> Step {
        if self.seen & YEAR != 0 && !self.julian {
            if self.bc {
                if self.year <= 0 {
                    return Err(Fail::Field);
                }
                self.year = 1 - self.year;
            } else if self.two_digits {
                self.year += if self.year < 70 { 2000 } else { 1900 };
            } else if self.year <= 0 {
                return Err(Fail::Field);
            }
        }
        if self.seen & DAY_OF_YEAR != 0 {
            let start = days_from_civil(self.year, 1, 1);
            let (year, month, day) = civil_from_days(start + self.year_day - 1);
            (self.year, self.month, self.day) = (year, i64::from(month), i64::from(day));
        }
        if self.seen & MONTH != 0 && !(1..=12).contains(&self.month) {
            return Err(Fail::MonthDay);
        }
        if self.seen & DAY != 0 && !(1..=31).contains(&self.day) {
            return Err(Fail::MonthDay);
        }
        if self.seen & DATE == DATE && self.day > days_in_month(self.year, self.month) {
            return Err(Fail::Field);
        }
        Ok(())
    }
}
