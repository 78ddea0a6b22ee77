//! `to_date` and `to_timestamp` with a template, read as PostgreSQL reads it.
//!
//! It owns the template's words, how much of the text each of them takes, and what the fields
//! make together. It must never guess: words that are not served (weeks of ISO years, offsets,
//! Roman months) are 0A000. Start at [`read`].

use super::datetime::DAY;
use crate::error::{Error, Result, state};
use crate::value::datetime;

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const DAYS: [&str; 7] =
    ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
const HINT: &str = "If your source string is not fixed-width, try using the \"FM\" modifier.";

/// Words in the order in which PostgreSQL looks for them (longer ones before their starts),
/// without letter case, and whether digits stand for them.
const WORDS: &[(&str, bool)] = &[
    ("A.D.", false),
    ("A.M.", false),
    ("AD", false),
    ("AM", false),
    ("B.C.", false),
    ("BC", false),
    ("CC", true),
    ("DAY", false),
    ("DDD", true),
    ("DD", true),
    ("DY", false),
    ("D", true),
    ("FF1", true),
    ("FF2", true),
    ("FF3", true),
    ("FF4", true),
    ("FF5", true),
    ("FF6", true),
    ("FX", false),
    ("HH24", true),
    ("HH12", true),
    ("HH", true),
    ("IDDD", true),
    ("ID", true),
    ("IW", true),
    ("IYYY", true),
    ("IYY", true),
    ("IY", true),
    ("I", true),
    ("J", true),
    ("MI", true),
    ("MM", true),
    ("MONTH", false),
    ("MON", false),
    ("MS", true),
    ("OF", false),
    ("P.M.", false),
    ("PM", false),
    ("Q", true),
    ("RM", false),
    ("SSSSS", true),
    ("SSSS", true),
    ("SS", true),
    ("TZH", false),
    ("TZM", true),
    ("TZ", false),
    ("US", true),
    ("WW", true),
    ("W", true),
    ("Y,YYY", true),
    ("YYYY", true),
    ("YYY", true),
    ("YY", true),
    ("Y", true),
];

/// Words whose small letters are no words, or other ones: only written large or small as a whole.
const CASED: &[&str] =
    &["A.D.", "A.M.", "AD", "AM", "B.C.", "BC", "P.M.", "PM", "MONTH", "MON", "DAY", "DY", "RM"];

enum Node {
    Word { name: &'static str, shown: String, digits: bool, fill: bool, ordinal: bool },
    Space,
    Separator,
    Text(char),
}

fn nodes(template: &str) -> Result<Vec<Node>> {
    let mut out = Vec::new();
    let mut rest = template;
    while let Some(first) = rest.chars().next() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut chars = quoted.char_indices();
            rest = "";
            while let Some((at, c)) = chars.next() {
                match c {
                    '"' => {
                        rest = &quoted[at + 1..];
                        break;
                    }
                    '\\' => out.push(Node::Text(chars.next().map_or('\\', |(_, c)| c))),
                    other => out.push(Node::Text(other)),
                }
            }
            continue;
        }
        let (mut tail, mut fill) = (rest, true);
        let start = |t: &str, w: &str| t.get(..w.len()).is_some_and(|t| t.eq_ignore_ascii_case(w));
        if start(tail, "TM") {
            return Err(Error::unsupported("the template TM in input"));
        }
        if start(tail, "FM") {
            (tail, fill) = (&tail[2..], false);
        }
        let word = WORDS.iter().find(|(w, _)| start(tail, w)).filter(|(w, _)| {
            let written = &tail[..w.len()];
            let mixed =
                written.chars().any(char::is_lowercase) && written.chars().any(char::is_uppercase);
            let title = matches!(*w, "MONTH" | "MON" | "DAY" | "DY")
                && written.chars().skip(1).all(|c| !c.is_uppercase());
            !mixed || title || !CASED.contains(w)
        });
        if let Some((name, digits)) = word {
            let shown = tail[..name.len()].to_owned();
            tail = &tail[name.len()..];
            let ordinal = start(tail, "TH");
            rest = if ordinal || start(tail, "SP") { &tail[2..] } else { tail };
            out.push(Node::Word { name, shown, digits: *digits, fill, ordinal });
            continue;
        }
        if !fill {
            return Err(Error::unsupported("this use of the template FM"));
        }
        let mut one = first;
        if first == '\\' && rest[1..].starts_with('"') {
            (rest, one) = (&rest[1..], '"');
        }
        rest = &rest[one.len_utf8()..];
        out.push(if one.is_ascii_graphic() && !one.is_ascii_alphanumeric() {
            Node::Separator
        } else if one.is_ascii_whitespace() {
            Node::Space
        } else {
            Node::Text(one)
        });
    }
    Ok(out)
}

#[derive(Default)]
struct Fields {
    hour: i64,
    minute: i64,
    second: i64,
    seconds_of_day: i64,
    millis: i64,
    micros: i64,
    year: i64,
    year_digits: u32,
    century: i64,
    month: i64,
    day: i64,
    day_of_year: i64,
    weekday: i64,
    week: i64,
    week_of_month: i64,
    julian: i64,
    half_day: bool,
    evening: i64,
    before_christ: i64,
}

/// A reader of one text.
struct Reader<'a> {
    rest: &'a str,
}

fn invalid(value: &str, word: &str) -> Error {
    let message = format!("invalid value \"{value}\" for \"{word}\"");
    Error::client(state::INVALID_DATETIME_FORMAT, message)
}

impl Reader<'_> {
    /// The blanks skipped.
    fn blanks(&mut self) -> i64 {
        let trimmed =
            self.rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\x0b');
        let skipped = self.rest.len() - trimmed.len();
        self.rest = trimmed;
        skipped as i64
    }

    fn skip(&mut self) {
        let width = self.rest.chars().next().map_or(0, char::len_utf8);
        self.rest = &self.rest[width..];
    }

    /// A number of `width` digits, or of as many as there are where no digit can follow. Also
    /// how much of the text it took.
    fn number(&mut self, width: usize, word: &str, open: bool) -> Result<(i64, usize)> {
        let before = self.rest.len();
        self.blanks();
        let cut = (0..=width.min(self.rest.len())).rev().find(|n| self.rest.is_char_boundary(*n));
        let piece = &self.rest[..cut.unwrap_or(0)];
        let (n, used);
        if open {
            (n, used) = leading(self.rest);
        } else {
            let hinted = |message: String, detail: String| {
                Error::client(state::INVALID_DATETIME_FORMAT, message).detail(detail).hint(HINT)
            };
            if self.rest.len() < width {
                return Err(hinted(
                    format!("source string too short for \"{word}\" formatting field"),
                    format!(
                        "Field requires {width} characters, but only {} remain.",
                        self.rest.len()
                    ),
                ));
            }
            (n, used) = leading(piece);
            if used > 0 && used < width {
                return Err(hinted(
                    format!("invalid value \"{piece}\" for \"{word}\""),
                    format!("Field requires {width} characters, but only {used} could be parsed."),
                ));
            }
        }
        if used == 0 {
            return Err(invalid(piece, word).detail("Value must be an integer."));
        }
        let Some(n) = n.filter(|n| i32::try_from(*n).is_ok()) else {
            let message = format!("value for \"{word}\" in source string is out of range");
            let detail = format!("Value must be in the range {} to {}.", i32::MIN, i32::MAX);
            return Err(Error::client(state::DATETIME_FIELD_OVERFLOW, message).detail(detail));
        };
        self.rest = &self.rest[used..];
        Ok((n, before - self.rest.len()))
    }

    /// The place of the first listed word that the text begins with.
    fn named(&mut self, list: &[&str], word: &str) -> Result<i64> {
        let begins = |w: &&str| self.rest.get(..w.len()).is_some_and(|t| t.eq_ignore_ascii_case(w));
        let Some(at) = list.iter().position(begins) else {
            let value = self.rest.split(|c: char| c.is_ascii_whitespace()).next();
            let detail = "The given value did not match any of the allowed values for this field.";
            return Err(invalid(value.unwrap_or_default(), word).detail(detail));
        };
        self.rest = &self.rest[list[at].len()..];
        Ok(at as i64)
    }
}

/// The number a text begins with (None: too large), and the bytes it takes; blanks before it
/// belong to it.
fn leading(text: &str) -> (Option<i64>, usize) {
    let trimmed = text.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\x0b');
    let sign = usize::from(trimmed.starts_with(['-', '+']));
    let digits = trimmed[sign..].bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return (Some(0), 0);
    }
    let number = &trimmed[..sign + digits];
    (number.trim_start_matches('+').parse().ok(), text.len() - trimmed.len() + number.len())
}

fn put(field: &mut i64, value: i64, word: &str) -> Result<()> {
    if *field != 0 && *field != value {
        let message = format!("conflicting values for \"{word}\" field in formatting string");
        return Err(Error::client(state::INVALID_DATETIME_FORMAT, message)
            .detail("This value contradicts a previous setting for the same field type."));
    }
    *field = value;
    Ok(())
}

/// Reads a text by a template: microseconds since 2000, local.
pub(super) fn read(value: &str, template: &str) -> Result<i64> {
    let list = nodes(template)?;
    let mut reader = Reader { rest: value };
    let mut fields = Fields::default();
    let (mut exact, mut extra) = (false, 0_i64);
    for (i, node) in list.iter().enumerate() {
        if reader.rest.is_empty() {
            break;
        }
        if !exact && (i == 0 || matches!(node, Node::Word { .. })) {
            extra += reader.blanks();
        }
        let (name, shown, fill, ordinal) = match node {
            Node::Word { name, shown, fill, ordinal, .. } => (*name, shown, *fill, *ordinal),
            Node::Space | Node::Separator if !exact => {
                extra -= 1;
                let next = reader.rest.chars().next().unwrap_or('0');
                if next.is_ascii_whitespace()
                    || (next.is_ascii_graphic() && !next.is_ascii_alphanumeric())
                {
                    reader.skip();
                    extra += 1;
                }
                continue;
            }
            Node::Text(_) if !exact && extra > 0 => {
                extra -= 1;
                continue;
            }
            _ => {
                reader.skip();
                continue;
            }
        };
        if name == "FX" {
            exact = true;
        } else {
            let open = !fill
                || ordinal
                || match list.get(i + 1) {
                    Some(Node::Word { digits, .. }) => !digits,
                    Some(Node::Text(c)) => !c.is_ascii_digit(),
                    _ => true,
                };
            fields.take(&mut reader, name, shown, open)?;
            if ordinal {
                reader.skip();
                reader.skip();
            }
        }
        if !exact {
            extra = reader.blanks();
        }
    }
    fields.moment(value)
}

impl Fields {
    /// Reads the field of one word.
    fn take(&mut self, from: &mut Reader<'_>, name: &str, word: &str, open: bool) -> Result<()> {
        let width = match name {
            "FF1" | "FF2" | "FF3" | "FF4" | "FF5" | "FF6" => usize::from(name.as_bytes()[2] - b'0'),
            "US" => 6,
            "MS" => 3,
            "HH24" | "HH12" | "HH" => 2,
            other => other.len(),
        };
        let field = match name {
            "MONTH" => return put(&mut self.month, from.named(&MONTHS, word)? + 1, word),
            "MON" => {
                return put(&mut self.month, from.named(&MONTHS.map(|m| &m[..3]), word)? + 1, word);
            }
            "DAY" => return put(&mut self.weekday, from.named(&DAYS, word)? + 1, word),
            "DY" => {
                return put(&mut self.weekday, from.named(&DAYS.map(|d| &d[..3]), word)? + 1, word);
            }
            "AM" | "PM" | "A.M." | "P.M." => {
                let list = if name.len() == 2 { ["am", "pm"] } else { ["a.m.", "p.m."] };
                self.half_day = true;
                return put(&mut self.evening, from.named(&list, word)?, word);
            }
            "AD" | "BC" | "A.D." | "B.C." => {
                let list = if name.len() == 2 { ["ad", "bc"] } else { ["a.d.", "b.c."] };
                return put(&mut self.before_christ, from.named(&list, word)?, word);
            }
            "MS" | "US" | "FF1" | "FF2" | "FF3" | "FF4" | "FF5" | "FF6" => {
                let (n, used) = from.number(width, word, open)?;
                // 25 is 0.25 as well as 250 is; 025 is 0.025.
                let most = if name == "MS" { 3 } else { 6 };
                let scale = 10_i64.pow(most - u32::try_from(used).unwrap_or(most).min(most));
                let field = if name == "MS" { &mut self.millis } else { &mut self.micros };
                put(field, n, word)?;
                *field *= scale;
                return Ok(());
            }
            "YYY" | "YY" | "Y" | "YYYY" => {
                let (n, used) = from.number(width, word, open)?;
                let year = if width < 4 && used < 4 { near_2020(n) } else { n };
                self.year_digits = width as u32;
                return put(&mut self.year, year, word);
            }
            "Q" => return from.number(width, word, open).map(drop),
            "HH12" | "HH" => {
                self.half_day = true;
                &mut self.hour
            }
            "HH24" => &mut self.hour,
            "MI" => &mut self.minute,
            "SS" => &mut self.second,
            "SSSS" | "SSSSS" => &mut self.seconds_of_day,
            "MM" => &mut self.month,
            "DDD" => &mut self.day_of_year,
            "DD" => &mut self.day,
            "D" => &mut self.weekday,
            "WW" => &mut self.week,
            "W" => &mut self.week_of_month,
            "CC" => &mut self.century,
            "J" => &mut self.julian,
            "TZ" | "OF" => {
                let message = format!("formatting field \"{word}\" is only supported in to_char");
                return Err(Error::client(state::FEATURE_NOT_SUPPORTED, message));
            }
            _ => return Err(Error::unsupported(format_args!("the template {word} in input"))),
        };
        put(field, from.number(width, word, open)?.0, word)
    }

    /// The moment that the fields name.
    fn moment(mut self, text: &str) -> Result<i64> {
        let overflow = || {
            let message = format!("date/time field value out of range: \"{text}\"");
            Error::client(state::DATETIME_FIELD_OVERFLOW, message)
        };
        if self.seconds_of_day != 0 {
            let n = self.seconds_of_day;
            (self.hour, self.minute, self.second) = (n / 3600, n % 3600 / 60, n % 60);
        }
        if self.half_day {
            if !(1..=12).contains(&self.hour) {
                let message = format!("hour \"{}\" is invalid for the 12-hour clock", self.hour);
                return Err(Error::client(state::INVALID_DATETIME_FORMAT, message)
                    .hint("Use the 24-hour clock, or give an hour between 1 and 12."));
            }
            self.hour = self.hour % 12 + if self.evening != 0 { 12 } else { 0 };
        }
        if self.julian != 0 || self.century != 0 {
            return Err(Error::unsupported("the templates J and CC in input"));
        }
        let dated = self.year != 0;
        let mut year = self.year;
        if dated && self.before_christ != 0 {
            year = -year;
        }
        if year < 0 {
            year += 1;
        }
        if self.week != 0 {
            self.day_of_year = (self.week - 1) * 7 + 1;
        }
        if self.week_of_month != 0 {
            self.day = (self.week_of_month - 1) * 7 + 1;
        }
        let (mut month, mut day) = (1, 1);
        let (mut monthly, mut daily) = (false, false);
        if self.day != 0 {
            (day, daily) = (self.day, true);
        }
        if self.month != 0 {
            (month, monthly) = (self.month, true);
        }
        if self.day_of_year != 0 && (month <= 1 || day <= 1) {
            if year == 0 && self.before_christ == 0 {
                let message = "cannot calculate day of year without year information";
                return Err(Error::client(state::INVALID_DATETIME_FORMAT, message));
            }
            let first = datetime::days_from_civil(year, 1, 1);
            let (_, m, d) = datetime::civil_from_days(first + self.day_of_year - 1);
            let leap = datetime::days_from_civil(year + 1, 1, 1) - first;
            if !(1..=leap).contains(&self.day_of_year) {
                return Err(overflow());
            }
            if month <= 1 {
                (month, monthly) = (i64::from(m), true);
            }
            if day <= 1 {
                (day, daily) = (i64::from(d), true);
            }
        }
        if (monthly && !(1..=12).contains(&month)) || (daily && !(1..=31).contains(&day)) {
            return Err(overflow());
        }
        let days = datetime::days_from_civil(year, month, day);
        if dated && monthly && daily && i64::from(datetime::civil_from_days(days).2) != day {
            return Err(overflow());
        }
        let clock = [(self.hour, 24), (self.minute, 60), (self.second, 60)];
        if clock.iter().any(|(n, limit)| !(0..*limit).contains(n)) {
            return Err(overflow());
        }
        let micros = self.millis * 1000 + self.micros;
        let seconds = (self.hour * 60 + self.minute) * 60 + self.second;
        days.checked_mul(DAY)
            .and_then(|d| d.checked_add(seconds * 1_000_000 + micros))
            .ok_or_else(overflow)
    }
}

/// A year of fewer than four digits, taken near 2020.
fn near_2020(year: i64) -> i64 {
    match year {
        ..70 => year + 2000,
        70..100 => year + 1900,
        100..520 => year + 2000,
        520..1000 => year + 1000,
        _ => year,
    }
}
