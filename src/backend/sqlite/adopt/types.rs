//! PostgreSQL types for declared types: candidates in order of preference.
//!
//! A candidate is kept as long as every value fits it; the tail of the list holds types that
//! serve anything.

use super::habits::{self, Habit};
use super::scan::Scanned;
use super::{FindingKind, Findings};
use crate::config::Override;
use crate::schema::{Codec, Relation};
use crate::sql::stored;
use crate::value::{Type, oid};

/// SQLite's type affinity of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Affinity {
    Integer,
    Text,
    Blob,
    Real,
    Numeric,
}

/// The affinity of a declared type, by SQLite's rules.
pub fn affinity(declared: &str) -> Affinity {
    let upper = declared.to_ascii_uppercase();
    let has = |part: &str| upper.contains(part);
    if has("INT") {
        Affinity::Integer
    } else if has("CHAR") || has("CLOB") || has("TEXT") {
        Affinity::Text
    } else if upper.trim().is_empty() || has("BLOB") {
        Affinity::Blob
    } else if has("REAL") || has("FLOA") || has("DOUB") {
        Affinity::Real
    } else {
        Affinity::Numeric
    }
}

/// The affinity of a stored column; in a STRICT table ANY takes every value as it is.
pub(crate) fn declared_affinity(column: &stored::Column, strict: bool) -> Affinity {
    match column.declared.as_deref().unwrap_or_default() {
        any if strict && any.eq_ignore_ascii_case("ANY") => Affinity::Blob,
        declared => affinity(declared),
    }
}

/// Says of each column what its affinity adds to how values are stored in it.
pub(crate) fn settle(relation: &mut Relation, table: &stored::Table) {
    // The file's own triggers and generated columns would meet a BLOB where they expect text.
    let blobs = !relation.has_triggers && table.columns.iter().all(|c| c.generated.is_none());
    for column in &mut relation.columns {
        let own = |c: &&stored::Column| c.name.eq_ignore_ascii_case(&column.sqlite_name);
        let Some(stored) = table.columns.iter().find(own) else { continue };
        column.codec = match declared_affinity(stored, table.strict) {
            Affinity::Text | Affinity::Blob => column.codec.plain(),
            affinity => column.codec.among(column.ty, affinity == Affinity::Real, blobs),
        };
    }
}

/// The candidates of one column.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    /// Types and codecs, best first.
    pub(crate) candidates: Vec<(Type, Codec)>,
    /// The first so many are guesses: the declaration does not say them.
    pub(crate) guesses: usize,
    /// Of the first so many it matters only that the values can be read.
    pub(crate) certain: usize,
    /// Values that must bear a guess out.
    pub(crate) evidence: u64,
    /// What an empty column gets.
    pub(crate) empty: (Type, Codec),
    /// Affinity of the declaration.
    pub(crate) affinity: Affinity,
}

impl Choice {
    /// A choice that is made already.
    pub(crate) fn only(ty: Type, codec: Codec) -> Self {
        Self::among(vec![(ty, codec)], (ty, codec))
    }

    /// What the configuration says; the data decides only how it is stored.
    pub(crate) fn given(given: &Override) -> Self {
        let codecs = match &given.codec {
            Some(codec) => std::slice::from_ref(codec),
            None => Codec::forms(given.ty.oid),
        };
        let mut candidates: Vec<_> = codecs.iter().map(|codec| (given.ty, *codec)).collect();
        if given.codec.is_none() && given.ty.precision_scale().is_some() {
            // Digits beyond the given scale must not go in silence.
            let loose = Codec::forms(oid::NUMERIC).iter().map(|c| with(oid::NUMERIC, *c));
            candidates.truncate(1);
            candidates.extend(loose);
        }
        let first = candidates.first().copied().unwrap_or((given.ty, Codec::Identity));
        Self::among(candidates, first)
    }

    /// The same for a column of a key: what has several spellings stays the text it is, as the file's
    /// own index and foreign keys tell spellings apart.
    pub(crate) fn of_a_key(mut self) -> Self {
        for candidate in &mut self.candidates {
            if candidate.1 == Codec::UuidLoose {
                *candidate = plain(oid::TEXT);
            }
        }
        self
    }

    fn among(candidates: Vec<(Type, Codec)>, empty: (Type, Codec)) -> Self {
        let certain = candidates.len();
        Self { candidates, guesses: 0, certain, evidence: 0, empty, affinity: Affinity::Blob }
    }

    /// What the declaration alone says.
    pub(crate) fn declared(&self) -> (Type, Codec) {
        self.candidates.get(self.guesses).copied().unwrap_or(self.empty)
    }
}

const fn plain(type_oid: u32) -> (Type, Codec) {
    (Type::new(type_oid), Codec::Identity)
}

const fn with(type_oid: u32, codec: Codec) -> (Type, Codec) {
    (Type::new(type_oid), codec)
}

/// Longest length of varchar(n).
const LENGTH_MAX: i32 = 10_485_760;
/// Largest precision and scale of numeric(p, s).
const PRECISION_MAX: u32 = 1000;

/// The candidates for a column's declaration, under the habits of its library.
pub(crate) fn choice(column: &stored::Column, habit: Option<Habit>) -> Choice {
    let affinity = declared_affinity(column, false);
    let args: Vec<i64> = column.type_args.iter().filter_map(|a| a.trim().parse().ok()).collect();
    let guess = habits::guess(habit, column, affinity);
    let guesses = guess.candidates.len();
    let certain = if guess.certain { guesses } else { 0 };
    let mut candidates = guess.candidates;
    candidates.extend(named(&column.type_name, &args, affinity));
    let first = if guess.when_empty { 0 } else { guesses };
    let empty = match candidates.get(first) {
        Some(first) => *first,
        None => match affinity {
            Affinity::Integer => plain(oid::INT8),
            Affinity::Real => plain(oid::FLOAT8),
            Affinity::Numeric => with(oid::NUMERIC, Codec::NumericNative),
            Affinity::Text => plain(oid::TEXT),
            Affinity::Blob => with(oid::TEXT, Codec::TextLoose),
        },
    };
    for tail in tail(affinity) {
        if !candidates.contains(&tail) {
            candidates.push(tail);
        }
    }
    Choice { candidates, guesses, certain, evidence: guess.evidence, empty, affinity }
}

/// Whether the declared type's name is one that is known, with or without arguments.
pub(super) fn is_known(column: &stored::Column) -> bool {
    !named(&column.type_name, &[], declared_affinity(column, false)).is_empty()
}

/// Types that serve ever more values.
fn tail(affinity: Affinity) -> Vec<(Type, Codec)> {
    let mut tail = vec![plain(oid::INT8)];
    // REAL affinity keeps a float8 a REAL; elsewhere 3.0 would come back as the integer 3.
    if matches!(affinity, Affinity::Real | Affinity::Blob) {
        tail.push(plain(oid::FLOAT8));
    }
    tail.push(with(oid::NUMERIC, Codec::NumericNative));
    if matches!(affinity, Affinity::Text | Affinity::Blob) {
        tail.push(plain(oid::TEXT));
    }
    tail.push(with(oid::TEXT, Codec::TextLoose));
    tail.push(plain(oid::BYTEA));
    tail.push(with(oid::BYTEA, Codec::BytesLoose));
    tail
}

fn named(name: &str, args: &[i64], affinity: Affinity) -> Vec<(Type, Codec)> {
    let unsigned = name.contains("UNSIGNED");
    let bare = name.replace("UNSIGNED", "");
    let words: Vec<&str> = bare.split_whitespace().collect();
    let bare = words.join(" ");
    match bare.as_str() {
        "BIGINT" | "BIG INT" | "INT8" if unsigned => {
            let ty = Type::with_typmod(oid::NUMERIC, Type::numeric_typmod(20, 0));
            vec![(ty, Codec::NumericNative), with(oid::NUMERIC, Codec::NumericNative)]
        }
        "INTEGER" | "INT" | "BIGINT" | "BIG INT" | "INT8" | "BIGSERIAL" | "SERIAL" => {
            vec![plain(oid::INT8)]
        }
        "SMALLINT" | "INT2" | "TINYINT" => vec![plain(oid::INT2), plain(oid::INT8)],
        "INT4" | "MEDIUMINT" => vec![plain(oid::INT4), plain(oid::INT8)],
        "BOOLEAN" | "BOOL" => vec![plain(oid::BOOL), with(oid::BOOL, Codec::BoolLoose)],
        "VARCHAR"
        | "NVARCHAR"
        | "VARCHAR2"
        | "NVARCHAR2"
        | "CHARACTER VARYING"
        | "VARYING CHARACTER"
        | "NATIONAL VARCHAR"
        | "NATIONAL CHARACTER VARYING"
        | "CHAR"
        | "NCHAR"
        | "CHARACTER"
        | "NATIVE CHARACTER"
        | "NATIONAL CHARACTER" => varchar(args, affinity),
        "TEXT" | "CLOB" | "TINYTEXT" | "MEDIUMTEXT" | "LONGTEXT" | "NTEXT" | "CITEXT" => {
            vec![plain(oid::TEXT)]
        }
        "REAL" | "FLOAT" | "DOUBLE" | "DOUBLE PRECISION" | "FLOAT4" | "FLOAT8"
            if affinity == Affinity::Real =>
        {
            vec![plain(oid::FLOAT8)]
        }
        "FLOATING POINT" => vec![with(oid::NUMERIC, Codec::NumericNative)],
        "NUMERIC" | "DECIMAL" | "DEC" | "NUMBER" | "MONEY" if affinity == Affinity::Numeric => {
            numeric(args)
        }
        "DATE" => vec![
            plain(oid::DATE),
            with(oid::DATE, Codec::DateTimeLoose),
            plain(oid::TIMESTAMP),
            with(oid::TIMESTAMP, Codec::DateTimeLoose),
        ],
        "DATETIME"
        | "TIMESTAMP"
        | "TIMESTAMP WITHOUT TIME ZONE"
        | "SMALLDATETIME"
        | "DATETIME2" => vec![
            plain(oid::TIMESTAMP),
            with(oid::TIMESTAMP, Codec::DateTimeLoose),
            with(oid::TIMESTAMPTZ, Codec::DateTimeLoose),
            // Numbers count from 1970 in UTC.
            with(oid::TIMESTAMPTZ, Codec::UnixSeconds),
            with(oid::TIMESTAMPTZ, Codec::UnixMillis),
        ],
        "TIMESTAMPTZ" | "TIMESTAMP WITH TIME ZONE" | "DATETIMETZ" | "DATETIMEOFFSET" => {
            vec![
                plain(oid::TIMESTAMPTZ),
                with(oid::TIMESTAMPTZ, Codec::DateTimeLoose),
                with(oid::TIMESTAMPTZ, Codec::UnixSeconds),
                with(oid::TIMESTAMPTZ, Codec::UnixMillis),
            ]
        }
        "TIME" | "TIME WITHOUT TIME ZONE" => {
            vec![plain(oid::TIME), with(oid::TIME, Codec::DateTimeLoose)]
        }
        "BLOB" | "BYTEA" | "BINARY" | "VARBINARY" | "LONGBLOB" | "MEDIUMBLOB" | "TINYBLOB"
        | "IMAGE" => vec![plain(oid::BYTEA), with(oid::BYTEA, Codec::BytesLoose)],
        "UUID" | "GUID" | "UNIQUEIDENTIFIER" => {
            let mut found = vec![plain(oid::UUID)];
            // Digits alone would become a number under any other affinity.
            if affinity == Affinity::Text {
                found.push(with(oid::UUID, Codec::UuidHex));
            }
            found.push(with(oid::UUID, Codec::UuidBlob));
            // Capitals, braces, several spellings: none is equal to another byte by byte.
            found.push(with(oid::UUID, Codec::UuidLoose));
            found
        }
        // JSON has numeric affinity: SQLite makes a number of a document that is one.
        "JSON" | "JSONB" if affinity == Affinity::Numeric => {
            vec![with(oid::JSON, Codec::TextLoose)]
        }
        "JSON" => vec![plain(oid::JSON)],
        "JSONB" => vec![plain(oid::JSONB), plain(oid::JSON)],
        _ => Vec::new(),
    }
}

fn varchar(args: &[i64], affinity: Affinity) -> Vec<(Type, Codec)> {
    let length = args.first().and_then(|n| i32::try_from(*n).ok());
    let sized = length
        .filter(|n| (1..=LENGTH_MAX).contains(n))
        .map(|n| (Type::with_typmod(oid::VARCHAR, n + 4), Codec::Identity));
    let mut found: Vec<_> = sized.into_iter().collect();
    if args.is_empty() {
        found.push(plain(oid::VARCHAR));
    }
    if affinity == Affinity::Text {
        found.push(plain(oid::TEXT));
    }
    found
}

fn numeric(args: &[i64]) -> Vec<(Type, Codec)> {
    let precision = args.first().and_then(|p| u32::try_from(*p).ok());
    let scale = args.get(1).map_or(Some(0), |s| i32::try_from(*s).ok());
    let sized = precision.zip(scale).filter(|(p, s)| {
        (1..=PRECISION_MAX).contains(p) && (0..=i32::try_from(*p).unwrap_or(0)).contains(s)
    });
    let mut found = Vec::new();
    if let Some((p, s)) = sized {
        let ty = Type::with_typmod(oid::NUMERIC, Type::numeric_typmod(p, s));
        found.push((ty, Codec::NumericNative));
    }
    found.push(with(oid::NUMERIC, Codec::NumericNative));
    found
}

/// Says when the data decided against the declaration.
pub(super) fn report(
    column: &stored::Column,
    choice: &Choice,
    scanned: &Scanned,
    findings: &mut Findings<'_>,
) {
    let (ty, codec) = scanned.chosen;
    let declared = column.declared.as_deref().unwrap_or("no type");
    // A guess that was borne out breaks nothing.
    let guessed = choice.candidates.iter().take(choice.guesses).any(|c| *c == (ty, codec));
    let wanted = if guessed { (ty, codec) } else { choice.declared() };
    let sized_away = wanted.0.oid != ty.oid;
    let loose = codec != wanted.1
        && matches!(codec, Codec::TextLoose | Codec::BytesLoose)
        && scanned.values > 0;
    if !column.type_name.is_empty() && (sized_away || wanted.0.typmod != ty.typmod || loose) {
        let name = crate::backend::sqlite::system::format_type(ty.oid, ty.typmod);
        let message = format!("declared {declared}, served as {name}: {}", scanned.classes());
        findings.add(Some(&column.name), FindingKind::Type, message);
    }
    let texts = matches!(ty.oid, oid::TEXT | oid::VARCHAR);
    let numbers = !matches!(choice.affinity, Affinity::Text | Affinity::Blob);
    if texts && numbers {
        let message = format!("SQLite turns number-like text into numbers under {declared}");
        findings.add(Some(&column.name), FindingKind::Affinity, message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(declared: &str, args: &[&str]) -> (Type, Codec) {
        let column = stored::Column {
            declared: Some(format!("{declared}({})", args.join(","))),
            type_name: declared.to_owned(),
            type_args: args.iter().map(|a| (*a).to_owned()).collect(),
            ..stored::Column::default()
        };
        choice(&column, None).declared()
    }

    #[test]
    fn declarations_have_their_types() {
        assert_eq!(first("INTEGER", &[]), plain(oid::INT8));
        assert_eq!(first("VARCHAR", &["30"]).0, Type::with_typmod(oid::VARCHAR, 34));
        assert_eq!(first("DECIMAL", &["10", "2"]).0.precision_scale(), Some((10, 2)));
        assert_eq!(first("BIGINT UNSIGNED", &[]).0.precision_scale(), Some((20, 0)));
        assert_eq!(first("DATETIME", &[]), plain(oid::TIMESTAMP));
        // A typo that SQLite takes for INTEGER affinity.
        assert_eq!(affinity("POINT"), Affinity::Integer);
        assert_eq!(affinity("STRING"), Affinity::Numeric);
    }
}
