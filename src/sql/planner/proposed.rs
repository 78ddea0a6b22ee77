//! The rows that a write would make, asked for after a constraint has refused one.

use std::sync::Arc;

use super::super::Context;
use super::super::analyze::analyze_as;
use super::super::ast::Parsed;
use super::super::ir::Statement;
use super::super::pg::deep::with_stack;
use super::super::print::sqlite::{Inputs, Proposed, print_proposed};
use crate::error::{Error, Result};
use crate::schema::Relation;

/// What a statement does to its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Change {
    Insert,
    Update,
    Delete,
}

/// The rows of a write.
#[derive(Clone, Debug)]
pub struct Rows {
    /// The query; its parameters are those of the statement's own plan.
    pub query: Proposed,
    /// The table.
    pub relation: Arc<Relation>,
    /// What happens to its rows.
    pub change: Change,
    /// Number of frozen values, which must be those of the plan.
    pub frozen: usize,
}

/// The query for the rows of a write. Refuses what would not come out the same again.
///
/// # Errors
/// 0A000 where that cannot be said.
pub fn rows_of(parsed: &Parsed, context: &Context<'_>) -> Result<Rows> {
    with_stack(&parsed.text, || {
        let analysis = analyze_as(&parsed.statement, context, parsed.dialect.is_sqlite())?;
        if analysis.volatile || analysis.draws || !analysis.steps.is_empty() {
            return Err(Error::unsupported("a volatile statement"));
        }
        let (table, change) = match &analysis.statement {
            Statement::Insert(insert) => (&insert.table, Change::Insert),
            Statement::Update(update) => (&update.table, Change::Update),
            Statement::Delete(delete) => (&delete.table, Change::Delete),
            Statement::Select(_) => return Err(Error::internal("not a write")),
        };
        let inputs = Inputs {
            params: analysis.params.len(),
            frozen: analysis.frozen.len(),
            ..Inputs::default()
        };
        let query = print_proposed(&analysis.statement, &inputs)?;
        let relation = Arc::clone(&table.0);
        Ok(Rows { query, relation, change, frozen: analysis.frozen.len() })
    })
}
