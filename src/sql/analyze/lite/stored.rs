//! Expressions of the file's own schema: checks, defaults, generated columns, keys of indexes.
//!
//! Owns their analysis over the one row they see. Start at [`stored`].

use super::super::scope::Place;
use super::super::{Analyzer, locale};
use super::BOOL;
use crate::error::{Error, Result, state};
use crate::schema::Relation;
use crate::sql::ast;
use crate::sql::context::Context;
use crate::sql::ir::Expr;
use crate::sql::lite;
use crate::sql::plan::Frozen;

/// An expression of the file's schema.
#[derive(Debug)]
pub struct Stored {
    /// What it computes; columns are `ExprKind::Column(0, index)`.
    pub expr: Expr,
    /// What it asks of the moment.
    pub frozen: Vec<Frozen>,
    /// It gives something else each time.
    pub volatile: bool,
}

/// Analyses an expression of the file's schema over the table it belongs to; `truth` makes it a
/// condition.
///
/// # Errors
/// 42601 when it cannot be read, 0A000 for what has no counterpart, and names that are not there.
pub fn stored(
    text: &str,
    relation: &Relation,
    context: &Context<'_>,
    truth: bool,
) -> Result<Stored> {
    let tree = tree(text)?;
    let mut analyzer = Analyzer::new(*context, true);
    analyzer.lite = true;
    analyzer.push_level();
    analyzer.add_relation_item(relation);
    let expr = analyzer.at_place(Place::Stored, |a| {
        let expr = a.expr(&tree)?;
        if truth { a.lite_truth(expr) } else { a.lite_output(expr, (0, 0)) }
    })?;
    let expr = analyzer.settle(expr)?;
    if truth && expr.ty != BOOL {
        return Err(Error::internal("a condition that is none"));
    }
    if locale::concerns(relation) {
        locale::check_expression(&expr, relation)?;
    }
    if analyzer.system || !analyzer.parameters()?.0.is_empty() {
        return Err(Error::unsupported("an expression that asks SQLite itself"));
    }
    Ok(Stored { expr, frozen: analyzer.frozen, volatile: analyzer.volatile })
}

fn tree(text: &str) -> Result<ast::Expr> {
    let parsed = lite::parse(&format!("SELECT ({text})"), true)?;
    if let ast::Statement::Select(select) = &parsed.statement
        && let ast::SelectBody::Simple(simple) = &select.body
        && let [target] = simple.targets.as_slice()
        && simple.from.is_empty()
    {
        return Ok(target.expr.clone());
    }
    Err(Error::client(state::SYNTAX_ERROR, "a stored expression that is none"))
}
