//! MERGE as written.

use super::{Assignment, Expr, Name, Overriding, TableRef, With};

/// MERGE INTO
#[derive(Clone, Debug, PartialEq)]
pub struct Merge {
    /// WITH
    pub with: Option<With>,
    /// Target.
    pub table: Name,
    /// AS alias
    pub alias: Option<String>,
    /// USING
    pub source: TableRef,
    /// ON
    pub on: Expr,
    /// WHEN, in the order written.
    pub clauses: Vec<When>,
}

/// WHEN [NOT] MATCHED [AND condition] THEN
#[derive(Clone, Debug, PartialEq)]
pub struct When {
    /// MATCHED
    pub matched: bool,
    /// AND
    pub condition: Option<Expr>,
    /// THEN
    pub action: MergeAction,
}

/// What a clause does.
#[derive(Clone, Debug, PartialEq)]
pub enum MergeAction {
    /// DO NOTHING
    Nothing,
    /// UPDATE SET
    Update(Vec<Assignment>),
    /// DELETE
    Delete,
    /// INSERT; no values are DEFAULT VALUES.
    Insert {
        /// Columns, when written, with their positions.
        columns: Vec<(String, u32)>,
        /// OVERRIDING
        overriding: Option<Overriding>,
        /// VALUES
        values: Vec<Expr>,
    },
}
