//! `[tables.NAME]`: what a person decides about one table.
//!
//! Owns [`Table`] and the reading of a column's type. Start at [`Override::parse`].

use std::collections::BTreeMap;

use crate::schema::{Catalog, Codec, Relation, RelationKind};
use crate::sql::{Context, analyze};
use crate::value::{Type, oid};

/// Words between a type and how it is stored.
const STORED_AS: &str = " stored as ";

/// Overrides for one table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Type and storage by column, for tables that exist in the file already.
    pub columns: BTreeMap<String, Override>,
    /// Partitioning on PostgreSQL, as in `RANGE (created_at) EVERY month`.
    pub partition_by: Option<Partitions>,
    /// Indexes that only PostgreSQL has: what follows `CREATE INDEX name ON table`.
    pub indexes: Vec<String>,
    /// PostgreSQL's name of the table.
    pub name: Option<String>,
    /// PostgreSQL's names of columns, by the file's.
    pub column_names: BTreeMap<String, String>,
    /// Columns of which a value that does not fit stops the copy of the table; values of all
    /// others go to the quarantine.
    pub refuse: Vec<String>,
    /// Columns of which a value in another form than the type's is changed to it.
    pub coerce: Vec<String>,
    /// Columns of which empty text, too, is changed: to NULL.
    pub empty_is_null: Vec<String>,
}

impl Table {
    /// What is decided about a table, by PostgreSQL's name or the file's.
    pub fn of<'a>(tables: &'a BTreeMap<String, Self>, names: [&str; 2]) -> Option<&'a Self> {
        tables.iter().find(|(name, _)| is(name, names)).map(|(_, table)| table)
    }
}

impl Table {
    /// How a column is stored whose values are changed to its type.
    pub fn coerced(&self, names: [&str; 2]) -> Option<Codec> {
        let named = |list: &[String]| list.iter().any(|given| is(given, names));
        match (named(&self.empty_is_null), named(&self.coerce)) {
            (true, _) => Some(Codec::CoercedEmpty),
            (false, true) => Some(Codec::Coerced),
            (false, false) => None,
        }
    }

    /// A column that is said to be stored in one form, and to be changed from others.
    pub fn contradiction(&self) -> Option<(&str, &'static str)> {
        self.columns.iter().find_map(|(name, over)| {
            let form = over.codec.filter(|codec| !codec.coerces())?;
            self.coerced([name, name]).map(|_| (name.as_str(), form.word()))
        })
    }
}

/// Whether a name of the configuration stands for what PostgreSQL and the file call so.
pub fn is(given: &str, [postgres, file]: [&str; 2]) -> bool {
    given == postgres || given.eq_ignore_ascii_case(file)
}

/// Range partitioning of a table on PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partitions {
    /// Column.
    pub column: String,
    /// What one partition spans; None: a month.
    pub every: Option<Every>,
}

/// What one partition spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Every {
    /// A day.
    Day,
    /// A week, from Monday on.
    Week,
    /// A month.
    Month,
    /// A year.
    Year,
    /// So many integers.
    Number(u32),
}

impl Partitions {
    /// Reads `RANGE (column) EVERY month`.
    ///
    /// # Errors
    /// What is expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::read(text).ok_or_else(|| {
            "partition_by expects RANGE (column) EVERY day, week, month, year or a number"
                .to_owned()
        })
    }

    fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        let rest = text.get(5..).filter(|_| text[..5].eq_ignore_ascii_case("range"))?;
        let (column, rest) = rest.trim_start().strip_prefix('(')?.rsplit_once(')')?;
        let column = column.trim();
        let column = match column.strip_prefix('"').and_then(|c| c.strip_suffix('"')) {
            Some(quoted) => quoted.replace("\"\"", "\""),
            None => column.to_owned(),
        };
        let every = match rest.trim().split_once(char::is_whitespace) {
            None if rest.trim().is_empty() => None,
            Some((word, unit)) if word.eq_ignore_ascii_case("every") => {
                Some(match unit.trim().to_ascii_lowercase().as_str() {
                    "day" => Every::Day,
                    "week" => Every::Week,
                    "month" => Every::Month,
                    "year" => Every::Year,
                    number => Every::Number(number.parse().ok().filter(|n| *n > 0)?),
                })
            }
            _ => return None,
        };
        (!column.is_empty()).then_some(Self { column, every })
    }
}

/// Reads what follows `CREATE INDEX name ON table`: `(a, lower(b))`, `USING brin (at)`.
///
/// # Errors
/// What is expected.
pub(super) fn index(text: &str) -> Result<String, String> {
    let text = text.trim();
    let using = text.get(..6).is_some_and(|word| word.eq_ignore_ascii_case("using "));
    // One statement, whatever it says: PostgreSQL judges the rest.
    if (text.starts_with('(') || using) && !text.contains(';') {
        return Ok(text.to_owned());
    }
    Err("an index is written as \"(column, …)\" or \"USING method (column, …)\"".to_owned())
}

/// A column's type, and how the file stores it when that is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// As written: `timestamptz stored as unix-seconds`.
    pub text: String,
    /// PostgreSQL's type.
    pub ty: Type,
    /// How SQLite stores it; None: found from the data.
    pub codec: Option<Codec>,
}

impl Override {
    /// Reads `TYPE` or `TYPE stored as FORM`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, form) = match text.split_once(STORED_AS) {
            Some((name, form)) => (name.trim(), Some(form.trim())),
            None => (text.trim(), None),
        };
        let ty = type_of(name).ok_or_else(|| format!("{name:?} is not a type"))?;
        let codec = match form {
            None => None,
            Some(form) => Some(
                Codec::from_word(form)
                    .filter(|codec| codec.stores(ty))
                    .ok_or_else(|| format!("{name} is stored as {}", forms(ty)))?,
            ),
        };
        Ok(Self { text: text.to_owned(), ty, codec })
    }

    /// Type and storage as they are written in the configuration.
    pub fn write(type_name: &str, codec: Codec) -> String {
        match codec {
            Codec::Identity => type_name.to_owned(),
            codec => format!("{type_name}{STORED_AS}{}", codec.word()),
        }
    }
}

/// The forms a type can be stored in, for a message.
fn forms(ty: Type) -> String {
    let words: Vec<&str> =
        Codec::forms(ty.oid).iter().filter(|c| c.stores(ty)).map(|c| c.word()).collect();
    words.join(" or ")
}

/// PostgreSQL's type of a name with its modifier.
fn type_of(name: &str) -> Option<Type> {
    let plain = |c: char| c.is_alphanumeric() || " _(),\"[]".contains(c);
    if name.is_empty() || !name.chars().all(plain) {
        return None;
    }
    let catalog = Catalog::system_only();
    let path = ["public".to_owned()];
    let context = Context {
        catalog: &catalog,
        temporary: &BTreeMap::new(),
        search_path: &path,
        param_types: &[],
    };
    let relation = Relation::new(0, "t", RelationKind::Table);
    let expression = analyze::expression(&format!("NULL::{name}"), &relation, &context).ok()?;
    (expression.ty.oid != oid::UNKNOWN).then_some(expression.ty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_forms() {
        let read = |text: &str| Override::parse(text).map(|o| (o.ty.oid, o.codec));
        assert_eq!(read("numeric(12,2)"), Ok((oid::NUMERIC, None)));
        assert_eq!(read("double precision"), Ok((oid::FLOAT8, None)));
        assert_eq!(
            read("timestamptz stored as unix-seconds"),
            Ok((oid::TIMESTAMPTZ, Some(Codec::UnixSeconds)))
        );
        assert_eq!(Override::parse("numeric(12,2)").unwrap().ty.precision_scale(), Some((12, 2)));
        assert_eq!(read("uuid stored as hex"), Ok((oid::UUID, Some(Codec::UuidHex))));
        assert!(read("nonsense").is_err());
        assert!(read("int) + (1").is_err());
        assert_eq!(
            read("uuid stored as unix-seconds"),
            Err("uuid is stored as plain or bytes or hex or any-uuid".to_owned())
        );
    }

    #[test]
    fn partitions_are_read() {
        let read = |text: &str| Partitions::parse(text).map(|p| (p.column, p.every));
        assert_eq!(read("RANGE (at)"), Ok(("at".to_owned(), None)));
        assert_eq!(read("range(at) every DAY"), Ok(("at".to_owned(), Some(Every::Day))));
        assert_eq!(
            read("RANGE (\"A \"\"b)\") EVERY 86400"),
            Ok(("A \"b)".to_owned(), Some(Every::Number(86400))))
        );
        for bad in
            ["", "HASH (at)", "RANGE at", "RANGE ()", "RANGE (at) EVERY", "RANGE (at) EVERY 0"]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(index(" (a) WHERE b > 0").is_ok() && index("USING brin (a)").is_ok());
        assert!(index("a").is_err() && index("(a); DROP TABLE b").is_err());
    }

    #[test]
    fn every_form_has_a_word_of_its_own() {
        for oid in [oid::BOOL, oid::NUMERIC, oid::TEXT, oid::TIMESTAMPTZ, oid::INTERVAL, oid::UUID]
        {
            for codec in Codec::forms(oid) {
                assert_eq!(Codec::from_word(codec.word()), Some(*codec));
            }
        }
    }
}
