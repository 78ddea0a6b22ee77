//! PostgreSQL's settings as data: name, type, context, unit, range, labels, default.
//!
//! Owns `pg_settings.tsv` (one line per setting) and the checks of a new value against
//! its line. It holds no session's values. Start at [`find`] and [`Definition::check`].

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::error::{Error, Result, state};

/// Type of a setting's values (`pg_settings.vartype`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Kind {
    Bool,
    Integer,
    Real,
    String,
    Enum,
}

impl Kind {
    /// As `pg_settings.vartype` shows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Integer => "integer",
            Self::Real => "real",
            Self::String => "string",
            Self::Enum => "enum",
        }
    }
}

/// One setting.
#[derive(Debug)]
pub struct Definition {
    /// Name in PostgreSQL's own spelling (`TimeZone`, `DateStyle`).
    pub name: &'static str,
    /// Type.
    pub kind: Kind,
    /// `pg_settings.context`: only `user` and `superuser` ones change in a session.
    pub context: &'static str,
    /// Unit of an integer or real: `ms`, `s`, `min`, `kB`, `8kB`, `MB`, `B` or empty.
    pub unit: &'static str,
    /// Least value.
    pub min: f64,
    /// Greatest value.
    pub max: f64,
    /// Labels of an enum, comma separated.
    pub labels: &'static str,
    /// Default, in base units.
    pub default: &'static str,
    /// One sentence.
    pub description: &'static str,
}

/// All settings, sorted by folded name.
pub static TABLE: LazyLock<Vec<Definition>> =
    LazyLock::new(|| include_str!("pg_settings.tsv").lines().filter_map(line).collect());

static INDEX: LazyLock<HashMap<String, usize>> = LazyLock::new(|| {
    TABLE.iter().enumerate().map(|(i, d)| (d.name.to_ascii_lowercase(), i)).collect()
});

/// Looks a setting up, in any letter case.
pub fn find(name: &str) -> Option<&'static Definition> {
    INDEX.get(&name.to_ascii_lowercase()).map(|i| &TABLE[*i])
}

fn line(line: &'static str) -> Option<Definition> {
    let mut f = line.split('\t');
    let mut next = || f.next();
    Some(Definition {
        name: next()?,
        kind: match next()? {
            "bool" => Kind::Bool,
            "integer" => Kind::Integer,
            "real" => Kind::Real,
            "enum" => Kind::Enum,
            _ => Kind::String,
        },
        context: next()?,
        unit: next()?,
        min: next()?.parse().unwrap_or(f64::MIN),
        max: next()?.parse().unwrap_or(f64::MAX),
        labels: next()?,
        default: next()?,
        description: next()?,
    })
}

impl Definition {
    /// Whether a session may change it now; otherwise PostgreSQL's 55P02.
    pub fn may_change(&self) -> Result<()> {
        let why = match self.context {
            "user" | "superuser" => return Ok(()),
            "internal" => "cannot be changed",
            "postmaster" => "cannot be changed without restarting the server",
            "backend" | "superuser-backend" => "cannot be set after connection start",
            _ => "cannot be changed now",
        };
        let code = crate::error::SqlState::from_code("55P02");
        Err(Error::client(code, format!("parameter \"{}\" {why}", self.name)))
    }

    /// Checks a value as written and returns its canonical form (numbers in base units).
    pub fn check(&self, value: &str) -> Result<String> {
        match self.kind {
            Kind::Bool => {
                boolean(value).map(|b| if b { "on" } else { "off" }.into()).ok_or_else(|| {
                    Error::client(
                        state::INVALID_PARAMETER_VALUE,
                        format!("parameter \"{}\" requires a Boolean value", self.name),
                    )
                })
            }
            Kind::Enum => self.label(value),
            Kind::Integer | Kind::Real => self.number(value),
            Kind::String => Ok(value.to_owned()),
        }
    }

    fn label(&self, value: &str) -> Result<String> {
        let folded = value.to_ascii_lowercase();
        if self.labels.split(',').any(|l| l == folded) {
            return Ok(folded);
        }
        // Boolean words are accepted by the enums that have on and off among their labels.
        if self.labels.split(',').any(|l| l == "on")
            && let Some(b) = boolean(value)
        {
            return Ok(if b { "on" } else { "off" }.into());
        }
        Err(invalid(self.name, value)
            .hint(format!("Available values: {}.", self.labels.replace(',', ", "))))
    }

    fn number(&self, value: &str) -> Result<String> {
        let (digits, unit) = split_unit(value.trim());
        let raw: f64 = match digits.strip_prefix("0x") {
            Some(hex) => i64::from_str_radix(hex, 16).map(|i| i as f64).ok(),
            None => digits.parse().ok(),
        }
        .filter(|n: &f64| n.is_finite())
        .ok_or_else(|| invalid(self.name, value))?;
        let scaled = if unit.is_empty() {
            raw
        } else {
            let factor = factor(unit, self.unit).ok_or_else(|| {
                let error = invalid(self.name, value);
                match self.unit {
                    "ms" | "s" | "min" => error.hint(
                        "Valid units for this parameter are \"us\", \"ms\", \"s\", \"min\", \"h\", and \"d\".",
                    ),
                    "" => error,
                    _ => error.hint(
                        "Valid units for this parameter are \"B\", \"kB\", \"MB\", \"GB\", and \"TB\".",
                    ),
                }
            })?;
            raw * factor
        };
        let number = if self.kind == Kind::Integer { scaled.round() } else { scaled };
        if number < self.min || number > self.max {
            let unit = if self.unit.is_empty() { String::new() } else { format!(" {}", self.unit) };
            return Err(Error::client(
                state::INVALID_PARAMETER_VALUE,
                format!(
                    "{number}{unit} is outside the valid range for parameter \"{}\" ({} .. {})",
                    self.name, self.min, self.max
                ),
            ));
        }
        Ok(number.to_string())
    }

    /// A canonical value as SHOW prints it: numbers in the largest unit that divides them.
    pub fn show(&self, value: &str) -> String {
        let Ok(number) = value.parse::<i64>() else { return value.to_owned() };
        if self.kind != Kind::Integer || self.unit.is_empty() || number <= 0 {
            return value.to_owned();
        }
        let (base, steps): (i64, &[(&str, i64)]) = match self.unit {
            "ms" => {
                (1, &[("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000), ("ms", 1)])
            }
            "s" => (1, &[("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)]),
            "min" => (1, &[("d", 1440), ("h", 60), ("min", 1)]),
            "B" => {
                (1, &[("TB", 1 << 40), ("GB", 1 << 30), ("MB", 1 << 20), ("kB", 1024), ("B", 1)])
            }
            "kB" => (1, &[("TB", 1 << 30), ("GB", 1 << 20), ("MB", 1024), ("kB", 1)]),
            "8kB" => (8, &[("TB", 1 << 30), ("GB", 1 << 20), ("MB", 1024), ("kB", 1)]),
            "MB" => (1, &[("TB", 1 << 20), ("GB", 1024), ("MB", 1)]),
            _ => return value.to_owned(),
        };
        let total = number.saturating_mul(base);
        steps
            .iter()
            .find(|(_, size)| total % size == 0)
            .map_or_else(|| value.to_owned(), |(unit, size)| format!("{}{unit}", total / size))
    }
}

/// 22023 with PostgreSQL's words.
pub fn invalid(name: &str, value: &str) -> Error {
    Error::client(
        state::INVALID_PARAMETER_VALUE,
        format!("invalid value for parameter \"{name}\": \"{value}\""),
    )
}

/// PostgreSQL's Boolean words: any unambiguous prefix of true, false, yes, no, on, off; 1, 0.
pub fn boolean(value: &str) -> Option<bool> {
    let v = value.trim().to_ascii_lowercase();
    let prefix = |word: &str, least: usize| v.len() >= least && word.starts_with(&v);
    if v == "1" || prefix("true", 1) || prefix("yes", 1) || prefix("on", 2) {
        Some(true)
    } else if v == "0" || prefix("false", 1) || prefix("no", 1) || prefix("off", 2) {
        Some(false)
    } else {
        None
    }
}

fn split_unit(value: &str) -> (&str, &str) {
    if value.starts_with("0x") {
        return (value, "");
    }
    let end = value
        .char_indices()
        .find(|(i, c)| {
            let exponent = matches!(c, 'e' | 'E')
                && value[i + 1..].starts_with(|d: char| d.is_ascii_digit() || d == '-');
            c.is_ascii_alphabetic() && !exponent
        })
        .map_or(value.len(), |(i, _)| i);
    (value[..end].trim_end(), value[end..].trim())
}

/// How many of `to` one `from` is.
fn factor(from: &str, to: &str) -> Option<f64> {
    let time = |u: &str| {
        Some(match u {
            "us" => 0.001,
            "ms" => 1.0,
            "s" => 1000.0,
            "min" => 60_000.0,
            "h" => 3_600_000.0,
            "d" => 86_400_000.0,
            _ => return None,
        })
    };
    let memory = |u: &str| {
        Some(match u {
            "B" => 1.0,
            "kB" => 1024.0,
            "8kB" => 8192.0,
            "MB" => 1_048_576.0,
            "GB" => 1_073_741_824.0,
            "TB" => 1_099_511_627_776.0,
            _ => return None,
        })
    };
    match (time(from), time(to), memory(from), memory(to)) {
        (Some(a), Some(b), ..) | (.., Some(a), Some(b)) => Some(a / b),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, value: &str) -> String {
        let d = find(name).expect(name);
        d.check(value).map_or_else(|e| e.message().to_owned(), |v| d.show(&v))
    }

    #[test]
    fn values_are_checked_and_shown_as_postgresql_does() {
        for (name, value, expected) in [
            ("work_mem", "64MB", "64MB"),
            ("work_mem", "100000kB", "100000kB"),
            (
                "work_mem",
                "4",
                "4 kB is outside the valid range for parameter \"work_mem\" (64 .. 2147483647)",
            ),
            ("statement_timeout", "1.5s", "1500ms"),
            ("lock_timeout", "1h", "1h"),
            ("statement_timeout", "0", "0"),
            (
                "statement_timeout",
                "abc",
                "invalid value for parameter \"statement_timeout\": \"abc\"",
            ),
            ("enable_seqscan", "F", "off"),
            ("enable_seqscan", "maybe", "parameter \"enable_seqscan\" requires a Boolean value"),
            ("synchronous_commit", "true", "on"),
            ("synchronous_commit", "Local", "local"),
            ("bytea_output", "foo", "invalid value for parameter \"bytea_output\": \"foo\""),
        ] {
            assert_eq!(check(name, value), expected, "{name} = {value}");
        }
        assert!(find("timezone").is_some_and(|d| d.name == "TimeZone"));
        assert!(TABLE.len() > 350);
    }
}
