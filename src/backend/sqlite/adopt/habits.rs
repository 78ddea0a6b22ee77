//! What the libraries that make SQLite files mean by their declarations.
//!
//! Owns the signs by which a library is known, and the types its own PostgreSQL side has for
//! what it stores here. A guess is taken only when the data bears it out, and `crossfade
//! assess` lists it. Start at [`of_file`] and [`guess`].

use super::types::Affinity;
use crate::schema::Codec;
use crate::sql::stored;
use crate::value::{Type, oid};

/// A library with its own way of storing values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// Django: uuid in char(32), durations in microseconds, moments in UTC without a zone.
    Django,
    /// SQLAlchemy: Uuid in CHAR(32), Interval as a moment from 1970 on.
    SqlAlchemy,
    /// Rails' Active Record.
    Rails,
    /// Prisma: moments as milliseconds.
    Prisma,
    /// Diesel.
    Diesel,
}

impl Habit {
    /// Its name, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Django => "Django",
            Self::SqlAlchemy => "SQLAlchemy",
            Self::Rails => "Rails",
            Self::Prisma => "Prisma",
            Self::Diesel => "Diesel",
        }
    }
}

/// The library that keeps its migrations in the file, or whose hand wrote a table of it;
/// `tables` gives names with CREATE TABLE texts.
pub fn of_file<'a>(tables: impl Iterator<Item = (&'a str, &'a str)>) -> Option<Habit> {
    let (mut kept, mut hand) = (None, None);
    for (table, sql) in tables {
        let habit = match table.to_ascii_lowercase().as_str() {
            "django_migrations" => Some(Habit::Django),
            "alembic_version" => Some(Habit::SqlAlchemy),
            "ar_internal_metadata" => Some(Habit::Rails),
            "_prisma_migrations" => Some(Habit::Prisma),
            "__diesel_schema_migrations" => Some(Habit::Diesel),
            _ => None,
        };
        kept = kept.or(habit);
        // Django's hand shows only in some of its tables; the others are no less its own.
        hand = hand.or_else(|| of_table(sql, None).filter(|h| *h == Habit::Django));
    }
    kept.or(hand)
}

/// The library that wrote a CREATE TABLE, by its hand or by the file's migrations.
pub(crate) fn of_table(sql: &str, file: Option<Habit>) -> Option<Habit> {
    // These quote every name: a table that somebody else made beside theirs is not read their way.
    if let Some(Habit::Django | Habit::Prisma) = file {
        return file.filter(|_| sql.starts_with("CREATE TABLE \""));
    }
    if file.is_some() {
        return file;
    }
    let django = sql.starts_with("CREATE TABLE \"")
        && (sql.contains("\" integer NOT NULL PRIMARY KEY AUTOINCREMENT")
            || sql.contains("\" char(32) NOT NULL PRIMARY KEY"));
    let sqlalchemy = sql.contains(" (\n\t") && sql.contains(", \n\t");
    match (django, sqlalchemy) {
        (true, _) => Some(Habit::Django),
        (_, true) => Some(Habit::SqlAlchemy),
        _ => None,
    }
}

/// Types that a declaration may stand for beside what it says.
#[derive(Clone, Debug, Default)]
pub(super) struct Guess {
    /// Best first.
    pub(super) candidates: Vec<(Type, Codec)>,
    /// The library leaves no other meaning: values need only be readable.
    pub(super) certain: bool,
    /// Values that must bear it out.
    pub(super) evidence: u64,
    /// Taken for a column without values.
    pub(super) when_empty: bool,
}

impl Guess {
    fn certain(candidates: Vec<(Type, Codec)>) -> Self {
        Self { candidates, certain: true, evidence: 0, when_empty: true }
    }
}

const fn with(type_oid: u32, codec: Codec) -> (Type, Codec) {
    (Type::new(type_oid), codec)
}

/// Values that must look like a UUID when nothing else says so.
const UUID_EVIDENCE: u64 = 4;
/// Moments near 1970 that make an interval when the name does not say so.
const INTERVAL_EVIDENCE: u64 = 8;

/// What a column may hold by the habits of its library, or by its shape.
pub(super) fn guess(habit: Option<Habit>, column: &stored::Column, affinity: Affinity) -> Guess {
    let found = match habit {
        Some(Habit::Django) => django(column),
        Some(Habit::SqlAlchemy) => sqlalchemy(column),
        Some(Habit::Prisma) => prisma(column),
        _ => None,
    };
    found.or_else(|| by_shape(column, affinity)).unwrap_or_default()
}

fn django(column: &stored::Column) -> Option<Guess> {
    let plain = |found| Some(Guess::certain(vec![found]));
    let args: Vec<&str> = column.type_args.iter().map(String::as_str).collect();
    match (column.type_name.as_str(), args.as_slice()) {
        ("CHAR", ["32"]) => plain(with(oid::UUID, Codec::UuidHex)),
        ("CHAR", ["39"]) => plain(with(oid::INET, Codec::Identity)),
        // Django's column on PostgreSQL always has a zone; with USE_TZ it stores UTC.
        ("DATETIME", []) => plain(with(oid::TIMESTAMPTZ, Codec::DateTimeLoose)),
        ("BIGINT UNSIGNED", []) => plain(with(oid::INT8, Codec::Identity)),
        ("TEXT", []) if holds_json(column) => plain(with(oid::JSONB, Codec::JsonLoose)),
        ("BIGINT", []) if column.references.is_empty() && column.primary_key.is_none() => {
            let words = words(&column.name);
            let says = |known: &[&str]| words.iter().any(|w| known.contains(&w.as_str()));
            says(&DURATIONS).then(|| Guess {
                candidates: vec![with(oid::INTERVAL, Codec::IntervalMicros)],
                certain: false,
                evidence: 1,
                when_empty: says(&["duration", "timedelta", "elapsed"]),
            })
        }
        _ => None,
    }
}

fn sqlalchemy(column: &stored::Column) -> Option<Guess> {
    let args: Vec<&str> = column.type_args.iter().map(String::as_str).collect();
    match (column.type_name.as_str(), args.as_slice()) {
        ("CHAR", ["32"]) => Some(Guess {
            candidates: vec![with(oid::UUID, Codec::UuidHex)],
            certain: false,
            evidence: 1,
            when_empty: true,
        }),
        ("DATETIME", []) => {
            let named = words(&column.name).iter().any(|w| DURATIONS.contains(&w.as_str()));
            Some(Guess {
                candidates: vec![with(oid::INTERVAL, Codec::IntervalEpoch)],
                certain: false,
                evidence: if named { 1 } else { INTERVAL_EVIDENCE },
                when_empty: false,
            })
        }
        _ => None,
    }
}

fn prisma(column: &stored::Column) -> Option<Guess> {
    let found = with(oid::TIMESTAMP, Codec::UnixMillis);
    (column.type_name == "DATETIME")
        .then(|| Guess { when_empty: true, ..Guess::certain(vec![found]) })
}

fn by_shape(column: &stored::Column, affinity: Affinity) -> Option<Guess> {
    let sized = column.type_args.iter().map(String::as_str).eq(["32"]);
    let character =
        matches!(column.type_name.as_str(), "CHAR" | "CHARACTER" | "NCHAR" | "NATIVE CHARACTER");
    (character && sized && affinity == Affinity::Text).then(|| {
        let named = words(&column.name).iter().any(|w| matches!(w.as_str(), "uuid" | "guid"));
        Guess {
            candidates: vec![with(oid::UUID, Codec::UuidHex)],
            certain: false,
            evidence: if named { 1 } else { UUID_EVIDENCE },
            when_empty: named,
        }
    })
}

/// Words of a name that stand for a length of time.
const DURATIONS: [&str; 10] = [
    "duration",
    "elapsed",
    "timedelta",
    "delta",
    "interval",
    "timeout",
    "delay",
    "ttl",
    "took",
    "lasted",
];

/// The words of a name in snake or camel case, in lower case.
fn words(name: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut lower = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || (lower && c.is_uppercase()) {
            found.push(String::new());
        }
        lower = c.is_lowercase();
        if c.is_alphanumeric()
            && let Some(word) = found.last_mut()
        {
            word.extend(c.to_lowercase());
        }
    }
    found.retain(|word| !word.is_empty());
    found
}

/// Whether a check says that every value is JSON, and nothing else.
pub(crate) fn holds_json(column: &stored::Column) -> bool {
    let name = bare(&column.name);
    says_only(
        column,
        &[
            format!("json_valid{name}"),
            format!("json_valid{name}or{name}isnull"),
            format!("{name}isnullorjson_valid{name}"),
        ],
    )
}

/// Whether a check says that every value is 0 or 1, and nothing else.
pub(super) fn holds_truth(column: &stored::Column) -> bool {
    says_only(column, &[format!("{}in0,1", bare(&column.name))])
}

fn says_only(column: &stored::Column, wanted: &[String]) -> bool {
    let check = |(_, check): &(Option<String>, String)| {
        wanted.iter().any(|w| bare(check).eq_ignore_ascii_case(w))
    };
    column.checks.iter().any(check)
}

/// An expression without blanks, quotes and parentheses.
fn bare(text: &str) -> String {
    let kept = |c: &char| !c.is_whitespace() && !matches!(c, '"' | '(' | ')' | '[' | ']' | '`');
    text.chars().filter(kept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_names() {
        assert_eq!(words("time_spent"), ["time", "spent"]);
        assert_eq!(words("callDuration2"), ["call", "duration2"]);
        assert_eq!(words("TTL"), ["ttl"]);
    }

    #[test]
    fn libraries_are_known_by_their_tables() {
        let of = |tables: &[(&str, &str)]| of_file(tables.iter().copied());
        assert_eq!(of(&[("a", ""), ("django_migrations", "")]), Some(Habit::Django));
        assert_eq!(of(&[("a", "")]), None);
        let django = "CREATE TABLE \"x\" (\"id\" integer NOT NULL PRIMARY KEY AUTOINCREMENT)";
        assert_eq!(of_table(django, None), Some(Habit::Django));
        assert_eq!(of(&[("y", "CREATE TABLE y (a)"), ("x", django)]), Some(Habit::Django));
        let alchemy = "CREATE TABLE x (\n\tid INTEGER NOT NULL, \n\tPRIMARY KEY (id)\n)";
        assert_eq!(of_table(alchemy, None), Some(Habit::SqlAlchemy));
        assert_eq!(of_table("CREATE TABLE x (id)", None), None);
    }

    #[test]
    fn checks_that_say_the_type() {
        let with = |check: &str| stored::Column {
            name: "a b".to_owned(),
            checks: vec![(None, check.to_owned())],
            ..stored::Column::default()
        };
        assert!(holds_json(&with("(JSON_VALID(\"a b\") OR \"a b\" IS NULL)")));
        assert!(!holds_json(&with("json_valid(\"a b\") AND length(\"a b\") < 9")));
        assert!(holds_truth(&with("\"a b\" IN (0, 1)")));
        assert!(!holds_truth(&with("\"a b\" IN (0, 1, 2)")));
    }
}
