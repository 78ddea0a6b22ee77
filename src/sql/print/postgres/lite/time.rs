//! SQLite's date functions: a moment in UTC, moved by modifiers, formatted.
//!
//! Start at [`Printer::time_function`].

use super::{Held, Printer, cannot, constant_text, held, over, quote};
use crate::error::{Error, Result};
use crate::sql::ir::{Call, Expr, ExprKind};
use crate::value::oid;

/// Seconds since 1970 of a moment.
fn epoch(moment: &str) -> String {
    format!("extract(epoch from {moment})")
}

fn julian(moment: &str) -> String {
    format!("(({} / 86400.0) + 2440587.5)::float8", epoch(moment))
}

/// A moment from a text in one of SQLite's forms, over `v.x`; NULL when it is none. No text is read
/// as a type whose reading depends on settings: PostgreSQL takes this for immutable.
const FROM_TEXT: &str = "CASE \
    WHEN v.x ~ '^\\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\\d|3[01])([ T]+(([01]\\d|2[0-3]):[0-5]\\d(:[0-5]\\d(\\.\\d+)?)?|24:00(:00(\\.0+)?)?)\\s*(Z|z|[+-]\\d\\d:\\d\\d)?\\s*|[ T]*)$' \
    THEN make_timestamp(substr(v.x, 1, 4)::int4, substr(v.x, 6, 2)::int4, $day, \
    coalesce(substring(v.x from '[ T](\\d\\d):')::int4, 0), \
    coalesce(substring(v.x from '[ T]\\d\\d:(\\d\\d)')::int4, 0), \
    coalesce(substring(v.x from '[ T]\\d\\d:\\d\\d:(\\d\\d(?:\\.\\d+)?)')::float8, 0)) \
    $days- $zone \
    WHEN v.x ~ '^(([01]\\d|2[0-3]):[0-5]\\d(:[0-5]\\d(\\.\\d+)?)?|24:00(:00(\\.0+)?)?)\\s*(Z|z|[+-]\\d\\d:\\d\\d)?\\s*$' \
    THEN make_timestamp(2000, 1, 1, substr(v.x, 1, 2)::int4, substr(v.x, 4, 2)::int4, \
    coalesce(substring(v.x from '^\\d\\d:\\d\\d:(\\d\\d(?:\\.\\d+)?)')::float8, 0)) - $zone \
    WHEN v.x ~ '^\\s*\\d+(\\.\\d*)?\\s*$' \
    THEN (SELECT $julian FROM (SELECT v.x::float8 AS x) AS v) END";

/// How far a text's zone is ahead of UTC, over `v.x`.
const ZONE: &str = "coalesce(substring(v.x from ':\\d\\d(?:\\.\\d+)?\\s*([+-]\\d\\d):\\d\\d\\s*$')::int4, 0) \
    * interval '1 hour' \
    - coalesce(substring(v.x from ':\\d\\d(?:\\.\\d+)?\\s*([+-])\\d\\d:\\d\\d\\s*$') \
    || substring(v.x from '(\\d\\d)\\s*$'), '0')::int4 * interval '1 minute'";

/// [`FROM_TEXT`] with its parts put in. A day that its month does not have runs over into the next
/// one; an error where the month alone counts.
fn from_text(month_counts: bool) -> String {
    const DAY: &str = "substr(v.x, 9, 2)::int4";
    let days = format!("+ ({DAY} - 1) * interval '1 day' ");
    let (day, days) = if month_counts { (DAY, "") } else { ("1", days.as_str()) };
    let text = FROM_TEXT.replace("$julian", JULIAN).replace("$zone", ZONE);
    text.replace("$days", days).replace("$day", day)
}

/// What is left of a moment over `v.x`: NULL from the year 10000 on; an error before the year 1.
const IN_RANGE: &str = "CASE WHEN v.x >= timestamp '10000-01-01' THEN NULL \
    WHEN v.x < timestamp '0001-01-01' \
    THEN make_timestamp((extract(year from v.x) * 0)::int4, 1, 1, 0, 0, 0) ELSE v.x END";

/// A moment from a Julian day over `v.x`: NULL beyond the year 9999 and below zero; an error
/// before the year 1, which PostgreSQL writes another way.
const JULIAN: &str = "CASE WHEN v.x < 0 OR v.x >= 5373484.5 THEN NULL \
    WHEN v.x < 1721425.5 THEN make_timestamp((v.x * 0)::int4, 1, 1, 0, 0, 0) \
    ELSE timestamp '1970-01-01' + (v.x - 2440587.5) * interval '1 day' END";

impl Printer<'_> {
    pub(super) fn time_function(&mut self, name: &str, args: &[Expr]) -> Result<String> {
        let (format, args) = match (name, args) {
            ("strftime", [format, rest @ ..]) => {
                let format = constant_text(format)
                    .ok_or_else(|| cannot("strftime() with a format that is no constant"))?;
                (Some(format), rest)
            }
            (_, args) => (None, args),
        };
        let [base, modifiers @ ..] = args else {
            return Err(Error::internal("a date function without a moment"));
        };
        let mut moment = self.moment(base, modifiers)?;
        // A text or a number by itself is in range, or no moment.
        let typed = matches!(&base.kind, ExprKind::Call(c) if c.lite && c.name == "text_of");
        if !modifiers.is_empty() || typed {
            moment = over(&moment, IN_RANGE);
        }
        let body = match (name, format) {
            ("date", _) => "to_char(v.x, 'YYYY-MM-DD')".to_owned(),
            ("time", _) => "to_char(v.x, 'HH24:MI:SS')".to_owned(),
            ("datetime", _) => "to_char(v.x, 'YYYY-MM-DD HH24:MI:SS')".to_owned(),
            ("julianday", _) => julian("v.x"),
            ("unixepoch", _) => format!("floor({})::int8", epoch("v.x")),
            (_, Some(format)) => formatted(format)?,
            _ => return Err(cannot(format_args!("function {name}"))),
        };
        Ok(over(&moment, &body))
    }

    /// The moment: a timestamp in UTC, or NULL.
    fn moment(&mut self, base: &Expr, modifiers: &[Expr]) -> Result<String> {
        let seconds = modifiers
            .first()
            .and_then(constant_text)
            .is_some_and(|m| m.trim().eq_ignore_ascii_case("unixepoch"));
        let modifiers = if seconds { &modifiers[1..] } else { modifiers };
        let start = match (&base.kind, held(base.ty)) {
            (ExprKind::Call(call), _) if call.lite && call.name == "text_of" => {
                self.direct(call)?
            }
            (_, Held::Int | Held::Real | Held::Num(_)) => {
                let number = self.expr(base)?;
                if seconds {
                    format!("(timestamp '1970-01-01' + ({number})::float8 * interval '1 second')")
                } else {
                    over(&format!("({number})::float8"), JULIAN)
                }
            }
            (_, Held::Text) if !seconds => {
                let text = self.expr(base)?;
                over(&text, &from_text(modifiers.first().is_some_and(counts_months)))
            }
            _ => return Err(cannot("a moment of this kind")),
        };
        let mut moment = start;
        for modifier in modifiers {
            moment = self.moved(&moment, modifier)?;
        }
        Ok(moment)
    }

    /// A date or timestamp that needs no reading.
    fn direct(&mut self, call: &Call) -> Result<String> {
        let Some(inner) = call.args.first() else {
            return Err(Error::internal("a text of nothing"));
        };
        let value = self.expr(inner)?;
        Ok(match inner.ty.oid {
            oid::TIMESTAMPTZ => format!("({value} AT TIME ZONE 'UTC')"),
            oid::DATE | oid::TIMESTAMP => format!("({value})::timestamp"),
            oid::TIME => format!("(timestamp '2000-01-01' + {value})"),
            _ => {
                let text = self.text_of(inner)?;
                over(&text, &from_text(false))
            }
        })
    }

    fn moved(&mut self, moment: &str, modifier: &Expr) -> Result<String> {
        let Some(text) = constant_text(modifier) else {
            let value = self.expr(modifier)?;
            // Days and shorter units are the same in both; months are not.
            let sure = over(
                &value,
                "(CASE WHEN v.x ~* '^\\s*[+-]?\\s*\\d+(\\.\\d+)?\\s*(day|hour|minute|second)s?\\s*$' \
                 THEN v.x ELSE v.x || ' cannot be translated' END)::interval",
            );
            return Ok(format!("({moment} + {sure})"));
        };
        let word = text.trim().to_ascii_lowercase();
        Ok(match word.as_str() {
            "start of day" => format!("date_trunc('day', {moment})"),
            "start of month" => format!("date_trunc('month', {moment})"),
            "start of year" => format!("date_trunc('year', {moment})"),
            "subsec" | "subsecond" => return Err(cannot("the modifier 'subsec'")),
            _ => match word.strip_prefix("weekday ").map(|n| n.trim().parse::<u8>()) {
                Some(Ok(day)) if day < 7 => over(
                    moment,
                    &format!(
                        "v.x + ((({day} - extract(dow from v.x)::int4) + 7) % 7) * interval '1 day'"
                    ),
                ),
                Some(_) => return Err(cannot(format_args!("the modifier '{text}'"))),
                None => shifted(moment, &word)
                    .ok_or_else(|| cannot(format_args!("the modifier '{text}'")))?,
            },
        })
    }
}

/// Whether a modifier goes by the month that is written, before a day beyond it runs over.
fn counts_months(modifier: &Expr) -> bool {
    constant_text(modifier).is_some_and(|text| {
        let word = text.trim().to_ascii_lowercase();
        ["month", "months", "year", "years"].iter().any(|unit| word.ends_with(unit))
    })
}

/// A moment moved by `+3 days`, `-1 month`, `+02:30`.
fn shifted(moment: &str, word: &str) -> Option<String> {
    let (number, unit) = match word.find(|c: char| c.is_ascii_alphabetic()) {
        Some(at) => (word[..at].trim(), word[at..].trim_end_matches('s')),
        None => {
            let plain = word.trim_start_matches(['+', '-']);
            let shaped = plain.bytes().all(|b| b.is_ascii_digit() || b == b':' || b == b'.')
                && plain.contains(':');
            return shaped.then(|| format!("({moment} + {}::interval)", quote(word)));
        }
    };
    let number = number.strip_prefix('+').unwrap_or(number).replace(' ', "");
    let valid = !number.is_empty() && number.parse::<f64>().is_ok_and(f64::is_finite);
    if !valid || number.contains(['e', 'E']) {
        return None;
    }
    match unit {
        "day" | "hour" | "minute" | "second" => {
            Some(format!("({moment} + ({number}) * interval '1 {unit}')"))
        }
        "month" | "year" => {
            let count: i64 = number.parse().ok()?;
            let months = if unit == "year" { count.checked_mul(12)? } else { count };
            // A day that the month does not have runs over into the next one.
            Some(over(
                moment,
                &format!(
                    "date_trunc('month', v.x) + ({months}) * interval '1 month' \
                     + (v.x - date_trunc('month', v.x))"
                ),
            ))
        }
        _ => None,
    }
}

/// strftime()'s format over `v.x`.
fn formatted(format: &str) -> Result<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut plain = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            plain.push(c);
            continue;
        }
        let letter = chars.next().unwrap_or(' ');
        let shape = |f: &str| format!("to_char(v.x, '{f}')");
        let padded = |e: &str, n: u8| format!("lpad(({e})::int4::text, {n}, '0')");
        let part = match letter {
            '%' => {
                plain.push('%');
                continue;
            }
            'd' => shape("DD"),
            'e' => format!("lpad({}, 2, ' ')", shape("FMDD")),
            'f' => shape("SS.MS"),
            'F' => shape("YYYY-MM-DD"),
            'H' => shape("HH24"),
            'k' => format!("lpad({}, 2, ' ')", shape("FMHH24")),
            'I' => shape("HH12"),
            'l' => format!("lpad({}, 2, ' ')", shape("FMHH12")),
            'j' => shape("DDD"),
            'J' => return Err(cannot("strftime() with %J").hint("Use julianday().")),
            'm' => shape("MM"),
            'M' => shape("MI"),
            'p' => shape("AM"),
            'P' => shape("am"),
            'R' => shape("HH24:MI"),
            's' => format!("floor({})::int8::text", epoch("v.x")),
            'S' => shape("SS"),
            'T' => shape("HH24:MI:SS"),
            'u' => "extract(isodow from v.x)::int4::text".to_owned(),
            'w' => "extract(dow from v.x)::int4::text".to_owned(),
            'G' => shape("IYYY"),
            'g' => shape("IY"),
            'V' => shape("IW"),
            'U' => padded("div(extract(doy from v.x) + 6 - extract(dow from v.x), 7)", 2),
            'W' => {
                padded("div(extract(doy from v.x) + 6 - mod(extract(dow from v.x) + 6, 7), 7)", 2)
            }
            'Y' => shape("YYYY"),
            _ => return Err(cannot(format_args!("strftime() with %{letter}"))),
        };
        if !plain.is_empty() {
            parts.push(quote(&std::mem::take(&mut plain)));
        }
        parts.push(part);
    }
    if !plain.is_empty() || parts.is_empty() {
        parts.push(quote(&plain));
    }
    // A text without a field is NULL all the same when there is no moment.
    Ok(format!("CASE WHEN v.x IS NOT NULL THEN {} END", parts.join(" || ")))
}
