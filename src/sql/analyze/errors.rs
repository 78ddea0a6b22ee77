//! PostgreSQL's error texts of parse analysis.
//!
//! Owns the wording; it must never decide whether something is an error. Start anywhere.

use crate::error::{Error, SqlState, state};
use crate::sql::types::sql_name;

pub(super) fn client(code: SqlState, pos: u32, message: impl Into<String>) -> Error {
    Error::client(code, message.into()).at(pos)
}

pub(super) fn too_deep() -> Error {
    Error::client(state::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded")
        .hint("The statement is nested too deeply.")
}

pub(super) fn undefined_column(name: &str, pos: u32) -> Error {
    client(state::UNDEFINED_COLUMN, pos, format!("column \"{name}\" does not exist"))
}

const WHOLE_ROW: &str = "a whole-row reference to";

/// A table's name where only a column would do.
pub(super) fn whole_row(name: &str, pos: u32) -> Error {
    Error::unsupported(format_args!("{WHOLE_ROW} \"{name}\"")).at(pos)
}

pub(super) fn is_whole_row(error: &Error) -> bool {
    error.sqlstate() == state::FEATURE_NOT_SUPPORTED && error.message().starts_with(WHOLE_ROW)
}

pub(super) fn undefined_qualified_column(table: &str, name: &str, pos: u32) -> Error {
    client(state::UNDEFINED_COLUMN, pos, format!("column {table}.{name} does not exist"))
}

pub(super) fn undefined_column_of(column: &str, relation: &str, pos: u32) -> Error {
    let message = format!("column \"{column}\" of relation \"{relation}\" does not exist");
    client(state::UNDEFINED_COLUMN, pos, message)
}

pub(super) fn ambiguous_column(name: &str, pos: u32) -> Error {
    client(state::AMBIGUOUS_COLUMN, pos, format!("column reference \"{name}\" is ambiguous"))
}

pub(super) fn undefined_table(name: &str, pos: u32) -> Error {
    client(state::UNDEFINED_TABLE, pos, format!("relation \"{name}\" does not exist"))
}

pub(super) fn duplicate_column(name: &str, pos: u32) -> Error {
    let message = format!("column \"{name}\" specified more than once");
    client(state::DUPLICATE_COLUMN, pos, message)
}

pub(super) fn duplicate_alias(name: &str, pos: u32) -> Error {
    let message = format!("table name \"{name}\" specified more than once");
    client(state::DUPLICATE_ALIAS, pos, message)
}

fn operands(op: &str, left: Option<u32>, right: u32) -> String {
    match left {
        Some(left) => format!("{} {op} {}", sql_name(left), sql_name(right)),
        None => format!("{op} {}", sql_name(right)),
    }
}

pub(super) fn undefined_operator(op: &str, left: Option<u32>, right: u32, pos: u32) -> Error {
    let what = operands(op, left, right);
    let hint = if left.is_some() {
        "No operator matches the given name and argument types. \
         You might need to add explicit type casts."
    } else {
        "No operator matches the given name and argument type. \
         You might need to add an explicit type cast."
    };
    client(state::UNDEFINED_FUNCTION, pos, format!("operator does not exist: {what}")).hint(hint)
}

pub(super) fn ambiguous_operator(op: &str, left: Option<u32>, right: u32, pos: u32) -> Error {
    let what = operands(op, left, right);
    client(state::AMBIGUOUS_FUNCTION, pos, format!("operator is not unique: {what}")).hint(
        "Could not choose a best candidate operator. You might need to add explicit type casts.",
    )
}

/// `f(integer, unknown)`, named arguments with their names.
pub(super) fn signature(name: &str, names: &[&str], inputs: &[u32]) -> String {
    let positional = inputs.len() - names.len().min(inputs.len());
    let items: Vec<String> = inputs
        .iter()
        .enumerate()
        .map(|(i, ty)| match i.checked_sub(positional).and_then(|n| names.get(n)) {
            Some(name) => format!("{name} => {}", sql_name(*ty)),
            None => sql_name(*ty),
        })
        .collect();
    format!("{name}({})", items.join(", "))
}

pub(super) fn undefined_function(signature: &str, pos: u32) -> Error {
    let message = format!("function {signature} does not exist");
    client(state::UNDEFINED_FUNCTION, pos, message).hint(
        "No function matches the given name and argument types. \
         You might need to add explicit type casts.",
    )
}

pub(super) fn ambiguous_function(signature: &str, pos: u32) -> Error {
    let message = format!("function {signature} is not unique");
    client(state::AMBIGUOUS_FUNCTION, pos, message).hint(
        "Could not choose a best candidate function. You might need to add explicit type casts.",
    )
}

pub(super) fn cannot_cast(from: u32, to: u32, pos: u32) -> Error {
    let message = format!("cannot cast type {} to {}", sql_name(from), sql_name(to));
    client(state::CANNOT_COERCE, pos, message)
}

pub(super) fn types_differ(construct: &str, left: u32, right: u32, pos: u32) -> Error {
    let (left, right) = (sql_name(left), sql_name(right));
    let message = format!("{construct} types {left} and {right} cannot be matched");
    client(state::DATATYPE_MISMATCH, pos, message)
}

pub(super) fn cannot_convert(construct: &str, from: u32, to: u32, pos: u32) -> Error {
    let (from, to) = (sql_name(from), sql_name(to));
    client(state::CANNOT_COERCE, pos, format!("{construct} could not convert type {from} to {to}"))
}

pub(super) fn wrong_argument(construct: &str, wanted: &str, found: u32, pos: u32) -> Error {
    let found = sql_name(found);
    let message = format!("argument of {construct} must be type {wanted}, not type {found}");
    client(state::DATATYPE_MISMATCH, pos, message)
}

pub(super) fn ungrouped(table: &str, column: &str, pos: u32) -> Error {
    let message = format!(
        "column \"{table}.{column}\" must appear in the GROUP BY clause or be used in an \
         aggregate function"
    );
    client(state::GROUPING_ERROR, pos, message)
}

pub(super) fn ungrouped_outer(table: &str, column: &str, pos: u32) -> Error {
    let message = format!("subquery uses ungrouped column \"{table}.{column}\" from outer query");
    client(state::GROUPING_ERROR, pos, message)
}

pub(super) fn no_equality(ty: u32, pos: u32) -> Error {
    let message = format!("could not identify an equality operator for type {}", sql_name(ty));
    client(state::UNDEFINED_FUNCTION, pos, message)
}

pub(super) fn no_order(ty: u32, pos: u32) -> Error {
    let message = format!("could not identify an ordering operator for type {}", sql_name(ty));
    client(state::UNDEFINED_FUNCTION, pos, message)
        .hint("Use an explicit ordering operator or modify the query.")
}

pub(super) fn too_many_dots(parts: &[String], pos: u32) -> Error {
    let name = parts.join(".");
    syntax(pos, format!("improper qualified name (too many dotted names): {name}"))
}

pub(super) fn syntax(pos: u32, message: impl Into<String>) -> Error {
    client(state::SYNTAX_ERROR, pos, message)
}
