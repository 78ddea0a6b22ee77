//! SQLite's dialect in, as clients send it: texts into the same trees that PostgreSQL's
//! grammar is lowered into, and schema statements into PostgreSQL's text.
//!
//! It owns splitting a text by SQLite's rules and the lowering of sqlite3-parser's tree. It
//! must never resolve a name or a type: what the tree means is `analyze`'s affair, which is
//! told the dialect. Start at [`parse`].

mod ddl;
mod declared;
mod dml;
mod expr;
pub(crate) mod functions;
mod pragma;
mod select;
mod statement;
#[cfg(test)]
mod tests;
mod text;

use sqlite3_parser::lexer::sql::Parser;
use sqlite3_parser::{Bump, FallibleIterator as _};

use super::ast::{Dialect, Parsed};
use super::pg::deep;
use crate::error::{Error, Result, state};

pub use declared::is_foreign_type;
pub(crate) use dml::ROW;
pub(crate) use expr::QUOTED;
pub(crate) use pragma::{SCHEMA, is_schema_table, table_function};
pub(crate) use text::calls_foreign;
pub use text::split;

/// Qualifies what stands for RAISE(…) in a trigger's statement: no table has this name.
pub(crate) const RAISE: &str = "\0raise";

/// Reads one statement of SQLite's dialect. `strings` lets a double-quoted word that names
/// nothing be a string, as SQLite does.
///
/// # Errors
/// 42601 when SQLite's grammar does not accept the text, 0A000 for what has no counterpart.
pub fn parse(text: &str, strings: bool) -> Result<Parsed> {
    parse_as(text, strings, false)
}

/// Reads one statement of a trigger of the file: RAISE is a column of [`RAISE`] there, and
/// double-quoted words may be strings.
///
/// # Errors
/// As [`parse`].
pub(crate) fn parse_in_trigger(text: &str) -> Result<Parsed> {
    parse_as(text, true, true)
}

fn parse_as(text: &str, strings: bool, raises: bool) -> Result<Parsed> {
    let text = text.trim();
    let readable = text::offset_last(text);
    let sql = readable.as_ref();
    deep::with_stack(text, || {
        let arena = Bump::new();
        let mut parser = Parser::new(&arena, sql.as_bytes());
        let command = match parser.next() {
            Ok(Some(command)) => command,
            Ok(None) => return Err(Error::client(state::SYNTAX_ERROR, "no statement")),
            Err(error) => return Err(Error::client(state::SYNTAX_ERROR, error.to_string())),
        };
        if !matches!(parser.next(), Ok(None)) {
            return Err(Error::client(state::SYNTAX_ERROR, "more than one statement"));
        }
        let mut lower = Lower { strings, raises, names: Vec::new(), highest: 0 };
        let (statement, postgres) = lower.command(&command, text)?;
        let (text, dialect) = match postgres {
            Some(text) => (text, Dialect::Rewritten),
            None => (text.to_owned(), Dialect::Sqlite),
        };
        Ok(Parsed { statement, text, offset: 0, dialect })
    })
}

/// The state of lowering one statement.
struct Lower {
    /// A double-quoted word may be a string.
    strings: bool,
    /// The statement is a trigger's.
    raises: bool,
    /// Named parameters in the order of their first use, with their numbers.
    names: Vec<(String, u32)>,
    /// Highest parameter number in use.
    highest: u32,
}

/// A construct that Crossfade does not carry from SQLite's dialect.
fn refused(what: impl std::fmt::Display) -> Error {
    Error::unsupported(format_args!("{what} (SQLite's dialect)"))
}
