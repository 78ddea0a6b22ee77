//! Parse analysis: from what was written ([`super::ast`]) to what it means ([`super::ir`]).
//!
//! Owns name resolution, typing, implicit casts, output names, parameter types, defaults of
//! INSERT and the freezing of volatile calls; behaves like PostgreSQL's parse analysis, error
//! texts and positions included. It must never run anything, read a clock, or look at a row.
//! One file per construct. Start at [`analyze`].

use super::plan::Frozen;
use super::{Context, ast, ir};
use crate::error::{Error, Result};
use crate::schema::Relation;
use crate::value::Type;

/// An analysed statement.
#[derive(Clone, Debug)]
pub struct Analysis {
    /// The statement.
    pub statement: ir::Statement,
    /// Types of $1 …
    pub params: Vec<Type>,
    /// Values the session computes once per execution, bound after the parameters.
    pub frozen: Vec<Frozen>,
    /// User tables read (names), without duplicates; views are expanded.
    pub reads: Vec<String>,
    /// User table written.
    pub writes: Option<String>,
    /// A volatile call that is evaluated per row remains.
    pub volatile: bool,
    /// Reads pg_catalog or information_schema, or calls system functions.
    pub system: bool,
}

/// Analyses SELECT, INSERT, UPDATE and DELETE (also inside EXPLAIN and DECLARE).
///
/// # Errors
/// PostgreSQL's own error for what PostgreSQL refuses; 0A000 for what Crossfade cannot
/// translate; XX000 for statements that have no analysis (DDL, session commands).
pub fn analyze(_statement: &ast::Statement, _context: &Context<'_>) -> Result<Analysis> {
    Err(Error::unsupported("this statement"))
}

/// Analyses an expression kept as text in the catalog (default, check, generated column,
/// index key or predicate) over one relation, whose columns are `ExprKind::Column(0, index)`.
///
/// # Errors
/// As [`analyze`].
pub fn expression(_text: &str, _relation: &Relation, _context: &Context<'_>) -> Result<ir::Expr> {
    Err(Error::unsupported("this expression"))
}
