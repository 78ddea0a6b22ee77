//! to_char for the common patterns, others are 0A000; to_date and to_timestamp (which `from_char`
//! reads), and to_number.

use super::args::{logical, number, text};
use super::cast::{to_local, to_utc};
use super::datetime::{DAY, time_of};
use super::from_char::read;
use super::parts::{iso_week, iso_weekday};
use super::{Def, session, strict};
use crate::error::{Error, Result};
use crate::value::numeric::Numeric;
use crate::value::{Cell, Datum, datetime, oid};

pub(super) const FUNCTIONS: &[Def] = &[
    strict("pg_to_char_timestamp", 2, |a| moment(a.timestamp(0)?, None, a.text(1)?)),
    strict("pg_to_char_timestamptz", 2, |a| {
        let t = a.timestamptz(0)?;
        moment(to_local(t, &session::current().style)?, Some(t), a.text(1)?)
    }),
    strict("pg_to_char_number", 2, |a| figures(&a.numeric(0)?, a.text(1)?, false)),
    strict("pg_to_char_float", 3, |a| {
        let (x, template) = (a.real(0)?, a.text(1)?);
        let digits = if a.oid(2)? == oid::FLOAT4 { 6 } else { 15 };
        figures(&rounded(x, template, digits)?, template, x.is_sign_negative())
    }),
    strict("pg_to_date", 2, |a| {
        let t = read(a.text(0)?, a.text(1)?)?;
        logical(&Datum::Date(super::datetime::day_of(t)?), oid::DATE)
    }),
    strict("pg_to_timestamp_format", 2, |a| {
        let t = to_utc(read(a.text(0)?, a.text(1)?)?, &session::current().style)?;
        logical(&Datum::Timestamptz(t), oid::TIMESTAMPTZ)
    }),
    strict("pg_to_number", 2, |a| {
        super::to_number::read(a.text(0)?, a.text(1)?)?.map_or(Ok(Cell::Null), |n| number(&n))
    }),
];

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// Template words, longest first among those with a common start.
const WORDS: &[&str] = &[
    "HH24", "HH12", "HH", "MI", "SSSSS", "SSSS", "SS", "MS", "US", "FF1", "FF2", "FF3", "FF4",
    "FF5", "FF6", "A.M.", "P.M.", "a.m.", "p.m.", "AM", "PM", "am", "pm", "Y,YYY", "YYYY", "YYY",
    "YY", "Y", "IYYY", "IYY", "IY", "MONTH", "Month", "month", "MON", "Mon", "mon", "MM", "DAY",
    "Day", "day", "DY", "Dy", "dy", "DDD", "DD", "D", "IDDD", "ID", "IW", "I", "WW", "W", "CC",
    "J", "Q", "TZH", "TZM", "TZ", "tz", "OF", "RM", "rm", "B.C.", "A.D.", "BC", "AD", "bc", "ad",
];

/// A piece of a template.
enum Piece<'a> {
    Word { name: &'static str, fill: bool, ordinal: Option<bool> },
    Text(&'a str),
}

/// Splits a date template; quoted text stands for itself.
fn pieces(template: &str) -> Result<Vec<Piece<'_>>> {
    let mut out = Vec::new();
    let mut rest = template;
    while let Some(first) = rest.chars().next() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (inside, after) = quoted.split_once('"').unwrap_or((quoted, ""));
            out.push(Piece::Text(inside));
            rest = after;
            continue;
        }
        let mut fill = true;
        let mut tail = rest;
        if let Some(after) = tail.strip_prefix("FM").or_else(|| tail.strip_prefix("fm")) {
            fill = false;
            tail = after;
        } else if tail.starts_with("TM") || tail.starts_with("FX") {
            return Err(Error::unsupported(format_args!("the template {}", &tail[..2])));
        }
        let folded = |w: &str| {
            // Numeric words are read in any letter case; named ones as written.
            let lettered = w.chars().any(char::is_lowercase)
                || matches!(
                    w,
                    "MONTH"
                        | "MON"
                        | "DAY"
                        | "DY"
                        | "AM"
                        | "PM"
                        | "TZ"
                        | "RM"
                        | "BC"
                        | "AD"
                        | "A.M."
                        | "P.M."
                        | "B.C."
                        | "A.D."
                );
            tail.get(..w.len())
                .is_some_and(|t| if lettered { t == w } else { t.eq_ignore_ascii_case(w) })
        };
        match WORDS.iter().find(|w| folded(w)) {
            Some(name) => {
                rest = &tail[name.len()..];
                let mut ordinal = None;
                if let Some(after) = rest.strip_prefix("TH") {
                    (ordinal, rest) = (Some(true), after);
                } else if let Some(after) = rest.strip_prefix("th") {
                    (ordinal, rest) = (Some(false), after);
                }
                out.push(Piece::Word { name, fill, ordinal });
            }
            None if !fill => return Err(Error::unsupported("this use of the template FM")),
            None => {
                out.push(Piece::Text(&rest[..first.len_utf8()]));
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    Ok(out)
}

fn moment(t: i64, instant: Option<i64>, template: &str) -> Result<Cell> {
    if t == i64::MAX || t == i64::MIN {
        return Ok(Cell::Null);
    }
    let mut out = String::new();
    for piece in pieces(template)? {
        match piece {
            Piece::Text(s) => out.push_str(s),
            Piece::Word { name, fill, ordinal } => {
                let field = field(name, t, instant, fill)?;
                out.push_str(&field);
                if let Some(upper) = ordinal {
                    let suffix = ordinal_suffix(&field);
                    out.push_str(&if upper { suffix.to_uppercase() } else { suffix.to_owned() });
                }
            }
        }
    }
    text(out)
}

/// A float with as many decimals as the template shows; more digits than the type is sure
/// of are refused.
fn rounded(x: f64, template: &str, sure: usize) -> Result<Numeric> {
    let (mut decimals, mut behind, mut quoted) = (0, false, false);
    for c in template.chars() {
        match c {
            '"' => quoted = !quoted,
            _ if quoted => {}
            '.' | 'D' | 'd' => behind = true,
            '9' | '0' if behind => decimals += 1,
            'V' | 'v' | 'E' | 'e' => {
                return Err(Error::unsupported(format_args!("the template {c} for a float")));
            }
            _ => {}
        }
    }
    let whole = format!("{:.0}", x.abs()).len();
    if !x.is_finite() || whole + decimals > sure {
        return Err(Error::unsupported("to_char of this float"));
    }
    Numeric::parse(&format!("{x:.decimals$}"))
}

fn ordinal_suffix(number: &str) -> &'static str {
    let digits: Vec<u8> = number.bytes().filter(u8::is_ascii_digit).collect();
    match digits.as_slice() {
        [.., b'1', _] => "th",
        [.., b'1'] => "st",
        [.., b'2'] => "nd",
        [.., b'3'] => "rd",
        _ => "th",
    }
}

fn field(name: &'static str, t: i64, instant: Option<i64>, fill: bool) -> Result<String> {
    let days = t.div_euclid(DAY);
    let micros = time_of(t);
    let (year, month, day) = datetime::civil_from_days(days);
    let (month_index, shown) = (month as usize - 1, if year > 0 { year } else { 1 - year });
    let hour = micros / 3_600_000_000;
    let padded = |n: i64, width: usize| {
        if fill { format!("{n:0width$}") } else { n.to_string() }
    };
    let named = |word: &str, width: usize| {
        if fill { format!("{word:width$}") } else { word.to_owned() }
    };
    let month_name = MONTHS[month_index.min(11)];
    let weekday = WEEKDAYS[(iso_weekday(days) - 1) as usize % 7];
    let doy = days - datetime::days_from_civil(year, 1, 1) + 1;
    let (week, iso_year) = iso_week(days);
    let offset =
        instant.map(|i| i64::from(datetime::offset_at(&session::current().style.timezone, i)));
    Ok(match name {
        "HH24" => padded(hour, 2),
        "HH12" | "HH" => padded(if hour % 12 == 0 { 12 } else { hour % 12 }, 2),
        "MI" => padded(micros / 60_000_000 % 60, 2),
        "SS" => padded(micros / 1_000_000 % 60, 2),
        "SSSSS" | "SSSS" => (micros / 1_000_000).to_string(),
        "MS" | "FF3" => padded(micros % 1_000_000 / 1000, 3),
        "US" | "FF6" => padded(micros % 1_000_000, 6),
        "FF1" => (micros % 1_000_000 / 100_000).to_string(),
        "FF2" => padded(micros % 1_000_000 / 10_000, 2),
        "FF4" => padded(micros % 1_000_000 / 100, 4),
        "FF5" => padded(micros % 1_000_000 / 10, 5),
        "AM" | "PM" => (if hour < 12 { "AM" } else { "PM" }).to_owned(),
        "am" | "pm" => (if hour < 12 { "am" } else { "pm" }).to_owned(),
        "A.M." | "P.M." => (if hour < 12 { "A.M." } else { "P.M." }).to_owned(),
        "a.m." | "p.m." => (if hour < 12 { "a.m." } else { "p.m." }).to_owned(),
        "YYYY" => padded(shown, 4),
        "YYY" => padded(shown % 1000, 3),
        "YY" => padded(shown % 100, 2),
        "Y" => (shown % 10).to_string(),
        "Y,YYY" => format!("{},{:03}", shown / 1000, shown % 1000),
        "IYYY" => padded(iso_year, 4),
        "IYY" => padded(iso_year % 1000, 3),
        "IY" => padded(iso_year % 100, 2),
        "I" => (iso_year % 10).to_string(),
        "MONTH" => named(&month_name.to_uppercase(), 9),
        "Month" => named(month_name, 9),
        "month" => named(&month_name.to_lowercase(), 9),
        "MON" => month_name[..3].to_uppercase(),
        "Mon" => month_name[..3].to_owned(),
        "mon" => month_name[..3].to_lowercase(),
        "MM" => padded(i64::from(month), 2),
        "DAY" => named(&weekday.to_uppercase(), 9),
        "Day" => named(weekday, 9),
        "day" => named(&weekday.to_lowercase(), 9),
        "DY" => weekday[..3].to_uppercase(),
        "Dy" => weekday[..3].to_owned(),
        "dy" => weekday[..3].to_lowercase(),
        "DDD" => padded(doy, 3),
        "DD" => padded(i64::from(day), 2),
        "D" => (iso_weekday(days) % 7 + 1).to_string(),
        "ID" => iso_weekday(days).to_string(),
        "WW" => padded((doy - 1) / 7 + 1, 2),
        "W" => ((i64::from(day) - 1) / 7 + 1).to_string(),
        "IW" => padded(week, 2),
        "CC" => padded(if year > 0 { (year + 99) / 100 } else { year / 100 - 1 }, 2),
        "J" => (days + 2_451_545).to_string(),
        "Q" => ((i64::from(month) - 1) / 3 + 1).to_string(),
        "BC" | "AD" => (if year > 0 { "AD" } else { "BC" }).to_owned(),
        "bc" | "ad" => (if year > 0 { "ad" } else { "bc" }).to_owned(),
        "B.C." | "A.D." => (if year > 0 { "A.D." } else { "B.C." }).to_owned(),
        "OF" | "TZH" | "TZM" => {
            let offset = offset.unwrap_or(0);
            let (sign, minutes) = (if offset < 0 { '-' } else { '+' }, offset.abs() / 60);
            match name {
                "TZH" => format!("{sign}{:02}", minutes / 60),
                "TZM" => format!("{:02}", minutes % 60),
                _ if minutes % 60 == 0 => format!("{sign}{:02}", minutes / 60),
                _ => format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60),
            }
        }
        _ => return Err(Error::unsupported(format_args!("the template {name}"))),
    })
}

/// `to_char(number, template)` for 9, 0, comma, point, D, G, FM, S and a leading $.
///
/// A float that rounds to zero keeps its sign: `minus`.
fn figures(value: &Numeric, template: &str, minus: bool) -> Result<Cell> {
    let upper = template.to_ascii_uppercase();
    let (fill, body) = match upper.strip_prefix("FM") {
        Some(body) => (false, body),
        None => (true, upper.as_str()),
    };
    let known = body.chars().all(|c| matches!(c, '9' | '0' | ',' | '.' | 'D' | 'G'));
    if !known || body.matches(['.', 'D']).count() > 1 {
        return Err(Error::unsupported("this number template"));
    }
    let body = body.replace('D', ".").replace('G', ",");
    let (whole, fraction) = body.split_once('.').unwrap_or((&body, ""));
    if fraction.contains(',') {
        return Err(Error::unsupported("this number template"));
    }
    let rounded = value.round(fraction.len() as i32);
    let printed = rounded.to_string();
    let negative = minus || printed.starts_with('-');
    let (digits, decimals) = match printed.trim_start_matches('-').split_once('.') {
        Some((d, f)) => (d.to_owned(), f.to_owned()),
        None => (printed.trim_start_matches('-').to_owned(), String::new()),
    };
    if rounded.scale().is_none() {
        return Err(Error::unsupported("to_char of NaN or infinity"));
    }
    let places = whole.chars().filter(|c| *c != ',').count();
    // Before a point a lone zero is shown only where the template has a 0.
    let digits = if digits == "0" && !fraction.is_empty() { String::new() } else { digits };
    if digits.len() > places {
        let hashes: String =
            body.chars().map(|c| if matches!(c, '9' | '0') { '#' } else { c }).collect();
        return text(match (negative, fill) {
            (true, _) => format!("-{hashes}"),
            (false, true) => format!(" {hashes}"),
            (false, false) => hashes,
        });
    }
    let mut source = format!("{digits:>places$}").into_bytes().into_iter();
    let first_zero = whole.find('0');
    let mut number = String::new();
    for (i, c) in whole.char_indices() {
        if c == ',' {
            number.push(if number.trim().is_empty() { ' ' } else { ',' });
            continue;
        }
        let digit = source.next().unwrap_or(b' ');
        let forced = first_zero.is_some_and(|z| i >= z);
        number.push(if digit == b' ' && forced { '0' } else { char::from(digit) });
    }
    if !fraction.is_empty() {
        number.push('.');
        number.push_str(&decimals);
    }
    let shown = number.trim_start();
    let signed = format!("{}{shown}", if negative { "-" } else { "" });
    if !fill {
        let last_zero = fraction.rfind('0').map_or(0, |z| z + 1);
        return text(trim_fraction(&signed, last_zero));
    }
    text(format!("{signed:>width$}", width = number.chars().count() + 1))
}

/// FM drops zeros of the fraction beyond the template's last 0.
fn trim_fraction(shown: &str, keep: usize) -> String {
    let Some((whole, fraction)) = shown.split_once('.') else { return shown.to_owned() };
    let mut fraction = fraction.to_owned();
    while fraction.len() > keep && fraction.ends_with('0') {
        fraction.pop();
    }
    // '0' with FM9.9 is '0.'
    let zero = if fraction.is_empty() && !whole.ends_with(|c: char| c.is_ascii_digit()) {
        "0"
    } else {
        ""
    };
    format!("{whole}{zero}.{fraction}")
}
