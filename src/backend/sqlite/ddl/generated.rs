//! Generated columns: who computes them, and the rows that were there before.
//!
//! SQLite computes what it can say exactly with its own functions. Everything else is an
//! ordinary column of the file that the plans of writes fill.

use std::sync::Arc;

use super::{Editor, physical};
use crate::error::{Error, Result, SqlState};
use crate::schema::Relation;
use crate::sql::analyze::{self, RowVariables};
use crate::sql::ast::{Assignment, Expr, ExprKind, Name, Statement, Update};
use crate::sql::print::sqlite::print_stored;
use crate::sql::trigger;

/// 42P17
pub(super) const INVALID_OBJECT: SqlState = SqlState(*b"42P17");

impl Editor<'_> {
    /// Decides for each generated column who computes it.
    pub(super) fn settle_generated(&self, relation: &mut Relation) -> Result<()> {
        for index in 0..relation.columns.len() {
            let Some(generated) = relation.columns[index].generated.clone() else { continue };
            if generated.sqlite {
                continue;
            }
            let whole = Arc::new(relation.clone());
            let rows = RowVariables { relation: &whole, new: true, old: false };
            let context = trigger::context(&self.catalog);
            let expr = analyze::generated(&generated.expression, index, rows, &context)
                .map_err(Error::without_position)?;
            let mut of_generated = false;
            visit(&expr, &mut |column| {
                let found = relation.columns.get(column as usize);
                of_generated |= found.is_some_and(|c| c.generated.is_some());
            });
            if of_generated {
                let message = format!(
                    "cannot use generated column \"{}\" in column generation expression",
                    relation.columns[index].name
                );
                return Err(Error::client(INVALID_OBJECT, message)
                    .detail("A generated column cannot reference another generated column."));
            }
            if !analyze::immutable(&expr) {
                let message = "generation expression is not immutable";
                return Err(Error::client(INVALID_OBJECT, message));
            }
            if physical::computes(&relation.columns[index], relation) {
                continue;
            }
            if relation.schema == "pg_temp" {
                return Err(Error::unsupported("this generated column of a temporary table"));
            }
            print_stored(&expr, index, rows)?;
            if relation.without_rowid {
                return Err(Error::unsupported("this generated column"));
            }
            if let Some(own) = &mut relation.columns[index].generated {
                own.in_plan = true;
            }
        }
        Ok(())
    }

    /// Computes the generated columns of rows that are there: an UPDATE that changes nothing
    /// else.
    pub(super) fn compute_rows(&mut self, relation: &Relation) -> Result<()> {
        let mut plain = relation.clone();
        plain.triggers.clear();
        let settable = plain
            .columns
            .iter()
            .find(|c| c.generated.is_none() && c.identity != Some(crate::schema::Identity::Always));
        let Some(column) = settable.map(|c| c.name.clone()) else {
            return Err(Error::unsupported("this generated column"));
        };
        let own = Expr { kind: ExprKind::Column(vec![column.clone()]), pos: 0 };
        let update = Update {
            with: None,
            table: Name { schema: Some(plain.schema.clone()), name: plain.name.clone(), pos: 0 },
            alias: None,
            assignments: vec![Assignment {
                columns: vec![column],
                element: None,
                value: own,
                pos: 0,
            }],
            from: Vec::new(),
            filter: None,
            returning: Vec::new(),
        };
        self.with_relation(plain, |editor| {
            editor.muted(|e| e.execute(Statement::Update(Box::new(update))).map(|_| ()))
        })
    }

    /// Names of generated columns that need a column.
    pub(super) fn generated_from(&self, relation: &Relation, position: usize) -> Vec<String> {
        let needs = |c: &&crate::schema::Column| {
            c.generated.as_ref().is_some_and(|g| {
                crate::backend::sqlite::system::columns_named(relation, &g.expression)
                    .contains(&position)
            })
        };
        relation.columns.iter().filter(needs).map(|c| c.name.clone()).collect()
    }

    /// 2BP01 for a column that triggers name.
    pub(super) fn check_trigger_columns(&self, relation: &Relation, column: &str) -> Result<()> {
        let uses = |t: &&crate::schema::Trigger| t.columns.iter().any(|c| c == column);
        let of = format!("column {column} of table {}", relation.name);
        let details: Vec<String> = relation
            .triggers
            .iter()
            .filter(uses)
            .map(|t| format!("trigger {} on table {} depends on {of}", t.name, relation.name))
            .collect();
        match details.is_empty() {
            true => Ok(()),
            false => Err(super::dependents(&of, &details)),
        }
    }
}

/// Visits the columns of an expression without subqueries.
fn visit(expr: &crate::sql::ir::Expr, f: &mut dyn FnMut(u32)) {
    if let crate::sql::ir::ExprKind::Column(_, index) = expr.kind {
        f(index);
    }
    expr.children(&mut |e| visit(e, f));
}
