//! The session settings that text forms depend on.

use std::sync::Arc;

use jiff::tz::TimeZone;

use super::enums::Enums;
use super::search::Language;
use crate::error::{Error, Result, state};

/// Text or binary, as Bind and RowDescription number them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Format {
    /// Format code 0.
    #[default]
    Text,
    /// Format code 1.
    Binary,
}

impl Format {
    /// Reads a wire format code; anything but 0 and 1 is 22023.
    pub fn from_code(code: i16) -> Result<Self> {
        match code {
            0 => Ok(Self::Text),
            1 => Ok(Self::Binary),
            _ => Err(Error::client(
                state::INVALID_PARAMETER_VALUE,
                format!("unsupported format code: {code}"),
            )),
        }
    }

    /// The wire format code.
    pub fn code(self) -> i16 {
        i16::from(self == Self::Binary)
    }
}

/// Order of the fields of a date whose year does not come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DateStyle {
    /// Month, day, year.
    #[default]
    Mdy,
    /// Day, month, year.
    Dmy,
    /// Year, month, day.
    Ymd,
}

/// How dates and timestamps are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DateOutput {
    /// `2024-01-31 10:00:00+01`
    #[default]
    Iso,
    /// `01/31/2024 10:00:00 CET`
    Sql,
    /// `Wed Jan 31 10:00:00 2024 CET`
    Postgres,
    /// `31.01.2024 10:00:00 CET`
    German,
}

impl DateOutput {
    /// Reads a value of the setting `DateStyle` on top of the current one; unknown words and
    /// words that contradict each other are 22023.
    pub fn parse(setting: &str, current: (Self, DateStyle)) -> Result<(Self, DateStyle)> {
        let invalid = || {
            Error::client(
                state::INVALID_PARAMETER_VALUE,
                format!("invalid value for parameter \"DateStyle\": \"{setting}\""),
            )
        };
        let (mut output, mut order) = (None, None);
        for word in setting.split(',') {
            let word = word.trim().to_ascii_lowercase();
            let (new_output, new_order) = match word.as_str() {
                "iso" => (Some(Self::Iso), None),
                "sql" => (Some(Self::Sql), None),
                "german" => (Some(Self::German), None),
                "ymd" => (None, Some(DateStyle::Ymd)),
                "dmy" => (None, Some(DateStyle::Dmy)),
                "mdy" | "us" => (None, Some(DateStyle::Mdy)),
                // What is named beside it holds.
                "default" => {
                    output.get_or_insert(Self::Iso);
                    order.get_or_insert(DateStyle::Mdy);
                    continue;
                }
                word if word.starts_with("postgres") => (Some(Self::Postgres), None),
                word if word.starts_with("euro") => (None, Some(DateStyle::Dmy)),
                word if word.starts_with("noneuro") => (None, Some(DateStyle::Mdy)),
                _ => return Err(invalid()),
            };
            if new_output.is_some_and(|new| *output.get_or_insert(new) != new)
                || new_order.is_some_and(|new| *order.get_or_insert(new) != new)
            {
                return Err(invalid());
            }
        }
        let implied = match output {
            Some(Self::German) => DateStyle::Dmy,
            _ => current.1,
        };
        Ok((output.unwrap_or(current.0), order.unwrap_or(implied)))
    }

    /// The setting's value as SHOW prints it.
    pub fn setting(self, order: DateStyle) -> String {
        let output = match self {
            Self::Iso => "ISO",
            Self::Sql => "SQL",
            Self::Postgres => "Postgres",
            Self::German => "German",
        };
        let order = match order {
            DateStyle::Mdy => "MDY",
            DateStyle::Dmy => "DMY",
            DateStyle::Ymd => "YMD",
        };
        format!("{output}, {order}")
    }
}

/// How intervals are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum IntervalStyle {
    /// `1 year 2 mons 3 days 04:05:06`
    #[default]
    Postgres,
    /// `@ 1 year 2 mons 3 days 4 hours 5 mins 6 secs`
    PostgresVerbose,
    /// `+1-2 +3 +4:05:06`
    SqlStandard,
    /// `P1Y2M3DT4H5M6S`
    Iso8601,
}

impl IntervalStyle {
    /// Reads a value of the setting `IntervalStyle`; unknown words are 22023.
    pub fn parse(setting: &str) -> Result<Self> {
        match setting.to_ascii_lowercase().as_str() {
            "postgres" => Ok(Self::Postgres),
            "postgres_verbose" => Ok(Self::PostgresVerbose),
            "sql_standard" => Ok(Self::SqlStandard),
            "iso_8601" => Ok(Self::Iso8601),
            _ => Err(Error::client(
                state::INVALID_PARAMETER_VALUE,
                format!("invalid value for parameter \"IntervalStyle\": \"{setting}\""),
            )
            .hint("Available values: postgres, postgres_verbose, sql_standard, iso_8601.")),
        }
    }

    /// The setting's value as SHOW prints it.
    pub fn setting(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::PostgresVerbose => "postgres_verbose",
            Self::SqlStandard => "sql_standard",
            Self::Iso8601 => "iso_8601",
        }
    }
}

/// Everything of a session that decides how text is read and written.
#[derive(Clone, Debug)]
pub struct Style {
    /// TimeZone
    pub timezone: TimeZone,
    /// DateStyle: order of input fields (and of some outputs).
    pub date_style: DateStyle,
    /// DateStyle: how dates are printed.
    pub date_output: DateOutput,
    /// IntervalStyle
    pub interval_style: IntervalStyle,
    /// extra_float_digits, -15 to 3; 1 and more is the shortest exact form.
    pub extra_float_digits: i32,
    /// bytea_output = hex (otherwise escape).
    pub bytea_hex: bool,
    /// default_text_search_config, when it is one served here.
    pub language: Option<Language>,
    /// What `now`, `today` … in input text mean: the transaction's start in microseconds
    /// since 2000-01-01 UTC. Without it such words are refused, as they must be in stored
    /// data.
    pub now: Option<i64>,
    /// The labels of the database's enum types.
    pub enums: Arc<Enums>,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            timezone: TimeZone::UTC,
            date_style: DateStyle::Mdy,
            date_output: DateOutput::Iso,
            interval_style: IntervalStyle::Postgres,
            extra_float_digits: 1,
            bytea_hex: true,
            language: Some(Language::English),
            now: None,
            enums: Arc::default(),
        }
    }
}

/// `+3`, `-5`, `3.5`, `+02:00`: hours east of UTC, in seconds.
pub fn numeric_offset(text: &str) -> Option<i32> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if !rest.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let seconds = match rest.split_once(':') {
        Some((hours, tail)) => {
            let (minutes, secs) = tail.split_once(':').unwrap_or((tail, "0"));
            hours.parse::<i32>().ok()? * 3600
                + minutes.parse::<i32>().ok()? * 60
                + secs.parse::<i32>().ok()?
        }
        None => (rest.parse::<f64>().ok()? * 3600.0).round() as i32,
    };
    (seconds < 24 * 3600).then_some(sign * seconds)
}

/// The zone that a canonical name stands for.
///
/// # Errors
/// 22023 when there is none of that name.
pub fn zone(name: &str) -> Result<TimeZone> {
    // Our own form of a fixed offset; POSIX counts west of UTC.
    let west = match name.strip_prefix('<').and_then(|n| n.split_once('>')) {
        Some((_, west)) => Some(west),
        None => Some(name).filter(|n| n.contains(':')),
    };
    let fixed = west.and_then(|west| {
        let seconds = numeric_offset(west)?;
        jiff::tz::Offset::from_seconds(-seconds).ok().map(TimeZone::fixed)
    });
    fixed.or_else(|| TimeZone::get(name).ok()).or_else(|| TimeZone::posix(name).ok()).ok_or_else(
        || {
            let message = format!("invalid value for parameter \"TimeZone\": \"{name}\"");
            Error::client(state::INVALID_PARAMETER_VALUE, message)
        },
    )
}
