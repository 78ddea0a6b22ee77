//! PostgreSQL's grammar (libpg_query) lowered into [`super::ast`], one file per family of
//! constructs.
//!
//! It owns splitting a query string, positions, and the refusal of syntax that is newer
//! than the server version reported to clients. It must never resolve a name or a type.
//! Start at [`parse`]; then `statement` → `select` → `expr`.

mod alter;
mod ddl;
pub mod deep;
mod deparse;
mod dml;
mod enums;
mod expr;
mod function;
mod merge;
mod newer;
pub mod plpgsql;
mod qualify;
mod raw;
mod relations;
mod routine;
mod select;
mod statement;
mod table;
mod tag;
#[cfg(test)]
mod tests;
mod types;
mod utility;

pub use qualify::{Named, qualify};
pub use relations::relations;
use std::ffi::CString;
pub use tag::commands;

use pg_query::protobuf;

use super::ast::{Dialect, Name, Parsed, Statement};
use crate::error::{Error, Result, SqlState, state};
use deep::MAX_DEPTH;

/// Splits a query string into statements.
///
/// An empty string, or one with nothing but comments and semicolons, is an empty list.
/// Positions inside the statements count from the start of each statement's own text;
/// add [`Parsed::offset`] for the position in the whole string. Errors carry the position
/// in the whole string.
///
/// # Errors
/// 42601 with PostgreSQL's message, 54001 when nested too deeply.
pub fn parse(text: &str) -> Result<Vec<Parsed>> {
    if text.bytes().all(|b| b.is_ascii_whitespace() || b == b';') {
        return Ok(Vec::new());
    }
    let input = CString::new(text).map_err(|_| {
        Error::client(
            state::CHARACTER_NOT_IN_REPERTOIRE,
            "invalid byte sequence for encoding \"UTF8\": 0x00",
        )
    })?;
    deep::with_stack(text, || {
        let tree = raw::parse(&input).map_err(|e| refusal(&e))?;
        tree.stmts.into_iter().map(|raw| parsed(text, raw)).collect()
    })
}

/// One statement of the tree.
fn parsed(text: &str, raw: protobuf::RawStmt) -> Result<Parsed> {
    let start = usize::try_from(raw.stmt_location).unwrap_or(0);
    let end = match usize::try_from(raw.stmt_len) {
        Ok(0) | Err(_) => text.len(),
        Ok(len) => start.saturating_add(len).min(text.len()),
    };
    let own = text.get(start..end).unwrap_or(text);
    let start = start + (own.len() - own.trim_start().len());
    let own = own.trim();
    let offset = characters(text.get(..start).unwrap_or_default());
    let mut lower = Lower::new(own, start);
    let statement = match lower.statement(raw.stmt.map(|node| *node)) {
        Ok(statement) => statement,
        Err(Stop::Unsupported(what)) => Statement::Unsupported(what),
        Err(Stop::Error(error)) => return Err(error.shifted(offset)),
    };
    Ok(Parsed { statement, text: own.to_owned(), offset, dialect: Dialect::Postgres })
}

/// Number of characters, as PostgreSQL counts positions.
fn characters(text: &str) -> u32 {
    let count = if text.is_ascii() { text.len() } else { text.chars().count() };
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The parser's refusal with the SQLSTATE that PostgreSQL gives it.
fn refusal(error: &raw::RawError) -> Error {
    let message = &error.message;
    let starts = |prefix: &str| message.starts_with(prefix);
    let code: SqlState = if starts("stack depth limit") || starts("parse tree") {
        return deep::too_deep();
    } else if starts("invalid byte sequence") {
        state::CHARACTER_NOT_IN_REPERTOIRE
    } else if starts("unsafe use of") {
        SqlState(*b"22P06")
    } else if starts("frame start") || starts("frame end") {
        state::WINDOWING_ERROR
    } else if starts("precision for type float") || starts("interval(") {
        state::INVALID_PARAMETER_VALUE
    } else if message.contains("not yet implemented")
        || message.contains("not supported")
        || message.contains("not implemented")
        || message.contains("cannot be marked")
    {
        if message.contains("LIMIT #,#") {
            state::SYNTAX_ERROR
        } else {
            state::FEATURE_NOT_SUPPORTED
        }
    } else if starts("invalid Unicode") && !message.contains("at or near") {
        state::INVALID_ESCAPE_SEQUENCE
    } else {
        state::SYNTAX_ERROR
    };
    Error::client(code, message.clone()).at(error.position)
}

/// Why lowering ends early.
#[derive(Debug)]
enum Stop {
    /// Known and not representable: the whole statement is refused by name.
    Unsupported(&'static str),
    /// PostgreSQL (of the version we report) refuses it.
    Error(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// Result of lowering a part of a statement.
type Lowered<T> = Result<T, Stop>;

/// The state of lowering one statement.
struct Lower<'a> {
    /// The statement's own text.
    text: &'a str,
    /// Byte offset of `text` in the whole query string; the tree's locations count from
    /// the string's start.
    start: usize,
    /// Bytes are characters.
    ascii: bool,
    /// Last location that was turned into a position: byte offset in `text`, characters
    /// before it. Locations mostly ascend, so counting goes on from there.
    last: (usize, u32),
    /// Current depth.
    depth: u32,
    /// The table whose expressions are kept as text: there its columns need no qualifier.
    owner: Option<String>,
}

impl<'a> Lower<'a> {
    fn new(text: &'a str, start: usize) -> Self {
        Self { text, start, ascii: text.is_ascii(), last: (0, 0), depth: 0, owner: None }
    }

    /// Byte offset in the statement's text of a location of the tree.
    fn byte(&self, location: i32) -> Option<usize> {
        let at = usize::try_from(location).ok()?.checked_sub(self.start)?;
        (at < self.text.len() && self.text.is_char_boundary(at)).then_some(at)
    }

    /// 1-based character position of a location of the tree; 0 when unknown.
    fn pos(&mut self, location: i32) -> u32 {
        self.byte(location).map_or(0, |at| self.position(at))
    }

    /// 1-based character position of a byte offset in the statement's text.
    fn position(&mut self, at: usize) -> u32 {
        if self.ascii {
            return u32::try_from(at + 1).unwrap_or(0);
        }
        let (from, count) = if at < self.last.0 { (0, 0) } else { self.last };
        let count = count + characters(self.text.get(from..at).unwrap_or_default());
        self.last = (at, count);
        count + 1
    }

    /// One level deeper, while `work` runs.
    fn nested<T>(&mut self, work: impl FnOnce(&mut Self) -> Lowered<T>) -> Lowered<T> {
        if self.depth >= MAX_DEPTH {
            return Err(Stop::Error(deep::too_deep()));
        }
        self.depth += 1;
        let result = work(self);
        self.depth -= 1;
        result
    }

    /// A relation's name; its alias is taken out.
    fn name(&mut self, range: &mut protobuf::RangeVar) -> Name {
        Name {
            schema: text_of(std::mem::take(&mut range.schemaname)),
            name: std::mem::take(&mut range.relname),
            pos: self.pos(range.location),
        }
    }

    /// A relation's name that the grammar always gives.
    fn relation(&mut self, range: Option<protobuf::RangeVar>) -> Lowered<Name> {
        let mut range = range.ok_or_else(missing)?;
        Ok(self.name(&mut range))
    }

    /// A list of relations' names.
    fn relations(&mut self, nodes: Vec<protobuf::Node>) -> Lowered<Vec<Name>> {
        nodes
            .into_iter()
            .map(|node| match node.node {
                Some(protobuf::node::Node::RangeVar(range)) => self.relation(Some(range)),
                _ => Err(missing()),
            })
            .collect()
    }
}

/// A part that the grammar always gives is not there.
fn missing() -> Stop {
    Stop::Error(Error::internal("the parser's tree lacks a part that the grammar demands"))
}

/// An optional text: protobuf has the empty string for none.
fn text_of(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// The strings of a list of string nodes.
fn strings(nodes: Vec<protobuf::Node>) -> Vec<String> {
    nodes.into_iter().filter_map(string).collect()
}

/// The string of a string node.
fn string(node: protobuf::Node) -> Option<String> {
    match node.node {
        Some(protobuf::node::Node::String(s)) => Some(s.sval),
        _ => None,
    }
}

/// A possibly qualified name from the last two strings of a list.
fn qualified(nodes: Vec<protobuf::Node>, pos: u32) -> Lowered<Name> {
    let mut parts = strings(nodes);
    let name = parts.pop().ok_or_else(missing)?;
    Ok(Name { schema: parts.pop(), name, pos })
}
