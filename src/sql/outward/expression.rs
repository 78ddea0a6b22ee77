//! Checks, defaults, generated columns and keys of indexes in SQLite's dialect, as PostgreSQL has
//! them.
//!
//! What PostgreSQL stores must be sure beforehand: an expression over a column that holds values
//! of several classes is refused, and so is one that PostgreSQL does not take for immutable where
//! it has to be. Start at [`condition`].

use super::view::shown;
use crate::error::{Error, Result};
use crate::schema::{Catalog, Codec, Column, Relation};
use crate::sql::analyze::{Stored, stored};
use crate::sql::ir::{Expr, ExprKind};
use crate::sql::print::{postgres, quoted};
use crate::sql::trigger;
use crate::value::{Cell, oid};

/// Functions and types that the printers use and PostgreSQL does not take for immutable.
const CHANGING: &[&str] = &[
    "age",
    "clock_timestamp",
    "concat",
    "concat_ws",
    "convert_from",
    "convert_to",
    "format",
    "gen_random_uuid",
    "json",
    "jsonb",
    "now",
    "nextval",
    "random",
    "statement_timestamp",
    "to_char",
    "to_json",
    "to_jsonb",
];
/// Types whose reading from text depends on settings.
const READ_BY_SETTINGS: &[&str] = &["interval", "date", "time", "timestamptz", "json", "jsonb"];

/// How a table's columns are named in its expressions.
pub struct Names<'a> {
    /// The table.
    pub relation: &'a Relation,
    /// Everything else.
    pub catalog: &'a Catalog,
    /// PostgreSQL's text for each column; empty where there is none.
    pub columns: Vec<String>,
}

impl<'a> Names<'a> {
    /// Every column by its name.
    pub fn plain(relation: &'a Relation, catalog: &'a Catalog) -> Self {
        let columns = relation.columns.iter().map(|c| quoted(&c.name)).collect();
        Self { relation, catalog, columns }
    }

    fn analysed(&self, text: &str, truth: bool) -> Result<Stored> {
        let found = stored(text, self.relation, &trigger::context(self.catalog), truth)?;
        of_one_class(&found.expr, self.relation)?;
        Ok(found)
    }

    /// As PostgreSQL's text; `kept`: one that it takes for immutable.
    fn printed(&self, found: &Stored, kept: bool) -> Result<String> {
        let columns = self.columns.clone();
        let sql = postgres::print_stored(&found.expr, &found.frozen, columns, kept)?;
        if kept {
            immutable(&sql)?;
        }
        Ok(sql)
    }

    /// A condition: of a check, or of the rows of an index when it is `kept`.
    ///
    /// # Errors
    /// 0A000 when PostgreSQL cannot say the same, and what analysis says.
    pub fn condition(&self, text: &str, kept: bool) -> Result<String> {
        let found = self.analysed(text, true)?;
        steady(&found)?;
        self.printed(&found, kept)
    }

    /// A key of an index.
    ///
    /// # Errors
    /// As [`Self::condition`].
    pub fn key(&self, text: &str) -> Result<String> {
        let found = self.analysed(text, false)?;
        steady(&found)?;
        self.printed(&found, true)
    }

    /// What a generated column is computed by.
    ///
    /// # Errors
    /// As [`Self::condition`].
    pub fn generated(&self, text: &str, column: &Column) -> Result<String> {
        let found = self.analysed(text, false)?;
        steady(&found)?;
        shown(found.expr.ty, column.ty, &self.printed(&found, true)?)
            .ok_or_else(|| of_another_type(column))
    }

    /// A column's default.
    ///
    /// # Errors
    /// As [`Self::condition`].
    pub fn default(&self, text: &str, column: &Column) -> Result<String> {
        let found = self.analysed(text, false)?;
        if names_a_column(&found.expr) {
            return Err(Error::unsupported("a default that looks at its row"));
        }
        let sql = self.printed(&found, false)?;
        let of_moment = moment(&found.expr, &sql, column);
        of_moment
            .or_else(|| shown(found.expr.ty, column.ty, &sql))
            .ok_or_else(|| of_another_type(column))
    }
}

fn of_another_type(column: &Column) -> Error {
    Error::unsupported(format_args!(
        "column {:?}, whose type is not that of the expression",
        column.name
    ))
}

/// A date function's text in a column of another type. SQLite's clock is UTC.
fn moment(expr: &Expr, sql: &str, column: &Column) -> Option<String> {
    let ExprKind::Call(call) = &expr.kind else { return None };
    let name = call.name.as_str();
    if !call.lite || !matches!(name, "date" | "time" | "datetime" | "strftime") {
        return None;
    }
    Some(match (name, column.ty.oid) {
        ("strftime", oid::INT2 | oid::INT4 | oid::INT8) => {
            let digits = matches!(call.args.first().map(|a| &a.kind),
                Some(ExprKind::Const(Cell::Text(format)))
                    if !format.is_empty() && format.split('%').skip(1).all(|part| {
                        matches!(part, "Y" | "m" | "d" | "H" | "M" | "S" | "s" | "j" | "w")
                    }) && format.starts_with('%'));
            digits.then(|| format!("CAST({sql} AS bigint)"))?
        }
        ("date", oid::DATE) => format!("CAST({sql} AS date)"),
        ("date" | "datetime", oid::TIMESTAMP) => format!("CAST({sql} AS timestamp)"),
        ("date" | "datetime", oid::TIMESTAMPTZ) => {
            format!("(CAST({sql} AS timestamp) AT TIME ZONE 'UTC')")
        }
        ("time", oid::TIME) => format!("CAST({sql} AS time)"),
        _ => return None,
    })
}

/// What is the same each time.
fn steady(found: &Stored) -> Result<()> {
    if found.volatile || !found.frozen.is_empty() {
        return Err(Error::unsupported("an expression that gives something else each time"));
    }
    Ok(())
}

/// Whether each column it looks at holds values of one class, as PostgreSQL's does: only whether
/// there is one may be asked of others.
fn of_one_class(expr: &Expr, relation: &Relation) -> Result<()> {
    let column = |expr: &Expr| match expr.kind {
        ExprKind::Column(0, index) => relation.columns.get(index as usize),
        _ => None,
    };
    if let ExprKind::IsNull(inner, _) = &expr.kind
        && column(inner).is_some_and(|c| c.codec.plain() != Codec::CoercedEmpty)
    {
        return Ok(());
    }
    if let Some(column) = column(expr)
        && (matches!(column.codec.plain(), Codec::BytesLoose | Codec::TextLoose)
            || column.codec.coerces())
    {
        return Err(Error::unsupported(format_args!(
            "an expression over column {:?}, which holds values of several classes",
            column.name
        )));
    }
    let mut found = Ok(());
    expr.children(&mut |child| {
        if found.is_ok() {
            found = of_one_class(child, relation);
        }
    });
    found
}

fn names_a_column(expr: &Expr) -> bool {
    let mut found = matches!(expr.kind, ExprKind::Column(..));
    expr.children(&mut |child| found |= names_a_column(child));
    found
}

/// Whether PostgreSQL takes a printed text for immutable.
fn immutable(sql: &str) -> Result<()> {
    let mut before = "";
    for (previous, word, next) in bare_words(sql) {
        let called = next == Some('(') && CHANGING.contains(&word);
        let cast = previous == Some(':') || before.eq_ignore_ascii_case("as");
        if called || (cast && READ_BY_SETTINGS.contains(&word)) {
            return Err(Error::unsupported(format_args!(
                "an expression with {word}, which PostgreSQL does not take for immutable"
            )));
        }
        before = word;
    }
    Ok(())
}

/// Words outside of quotes, each with the characters beside it.
fn bare_words(sql: &str) -> Vec<(Option<char>, &str, Option<char>)> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    let mut quote = None;
    let mut start = None;
    let mut previous = None;
    for (at, c) in sql.char_indices() {
        match (quote, start) {
            (Some(open), _) => {
                if c == open {
                    quote = None;
                }
                previous = Some(c);
            }
            (None, None) if is_word(c) => start = Some((at, previous)),
            (None, Some(_)) if is_word(c) => {}
            (None, begun) => {
                if let Some((from, beside)) = begun {
                    found.push((beside, &sql[from..at], Some(c)));
                }
                start = None;
                quote = matches!(c, '\'' | '"').then_some(c);
                previous = Some(c);
            }
        }
    }
    if let Some((from, beside)) = start {
        found.push((beside, &sql[from..], None));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Column, RelationKind};
    use crate::value::Type;

    fn table() -> Relation {
        let column = |n, name: &str, ty| Column::new(n, name, Type::new(ty));
        let mut relation = Relation::new(1, "t", RelationKind::Table);
        relation.columns = vec![
            column(1, "id", oid::INT8),
            column(2, "n", oid::INT8),
            column(3, "r", oid::FLOAT8),
            column(4, "s", oid::TEXT),
            column(5, "at", oid::TIMESTAMP),
            column(6, "mixed", oid::TEXT),
        ];
        relation.columns[5].codec = Codec::TextLoose;
        relation
    }

    #[test]
    fn what_is_the_same_is_written_and_nothing_else() {
        let (relation, catalog) = (table(), Catalog::system_only());
        let names = Names::plain(&relation, &catalog);
        let check = |text: &str| names.condition(text, false).map_err(|e| e.message().to_owned());
        for text in [
            "typeof(n) = 'integer'",
            "length(s) < 5",
            "s GLOB '[0-9]*'",
            "s IN (\"x\", 'y')",
            "n BETWEEN 1 AND 9 AND n <> 5",
            "s LIKE 'a%'",
            "mixed IS NOT NULL",
            "at > '2020-01-01'",
            "n",
        ] {
            let sql = check(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert!(!sql.contains("SELECT"), "{text}: {sql}");
        }
        for text in ["s REGEXP '^a' OR 1", "mixed > 0", "n > random()", "at < datetime('now')"] {
            assert!(check(text).is_err(), "{text}");
        }
        assert_eq!(names.key("lower(s)").unwrap(), "lower((\"s\") COLLATE \"C\")");
        assert!(names.condition("n IS NOT 1", true).unwrap().contains("IS DISTINCT FROM"));
        for text in ["date(at)", "strftime('%Y-%m', s)", "datetime(n, 'unixepoch')", "time(s)"] {
            let sql = names.key(text).unwrap_or_else(|e| panic!("{text}: {}", e.message()));
            assert!(!sql.contains("to_char"), "{text}: {sql}");
        }
        assert!(names.key("strftime('%f', at)").unwrap_err().message().contains("immutable"));
        let of = |text: &str, column: usize| names.generated(text, &relation.columns[column]);
        for (text, column) in [("n * 2", 1), ("n / 2", 1), ("r * n", 2), ("upper(s) || '..'", 3)] {
            assert!(of(text, column).is_ok(), "{text}");
        }
        assert!(of("s", 1).is_err(), "a text in a column of numbers");
        assert!(of("strftime('%Y', 'now')", 3).is_err());
        let of = |text: &str, column: usize| names.default(text, &relation.columns[column]);
        for (text, column) in [
            ("datetime('now')", 3),
            ("CURRENT_TIMESTAMP", 3),
            ("strftime('%s','now')", 1),
            ("abs(random()) % 10", 1),
            ("lower(hex(randomblob(20)))", 3),
            ("date('now')", 4),
        ] {
            let sql = of(text, column).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert!(!sql.contains("SELECT"), "{text}: {sql}");
        }
        assert!(of("n + 1", 1).is_err());
        assert!(of("datetime('now', 'localtime')", 3).is_err());
    }
}
