//! Columns whose order a collation of a language decides: whatever depends on that order is
//! 0A000, for SQLite compares bytes. Equality is the same under both.
//!
//! Owns finding where order is asked for. Derived columns count as ordered by a language where
//! the statement reads any such column. It must never let one pass. Start at [`check`].

use std::collections::HashMap;

use crate::error::{Error, Result};
use crate::schema::Relation;
use crate::sql::ir::{
    Body, Call, Comparison, Expr, ExprKind, From, Insert, InsertSource, Query, Select, Sort,
    Statement,
};
use crate::sql::types;

/// Refuses a statement that orders by the language of a column.
///
/// # Errors
/// 0A000
pub(super) fn check(statement: &Statement) -> Result<()> {
    let mut look = Look::default();
    match statement {
        Statement::Select(query) => look.query(query),
        Statement::Insert(insert) => look.insert(insert),
        Statement::Update(update) => {
            look.table(update.rel, &update.table.0);
            update.ctes.iter().try_for_each(|c| look.query(&c.query))?;
            update.from.iter().try_for_each(|f| look.from(f))?;
            update.row_assignments.iter().try_for_each(|(_, q)| look.query(q))?;
            update.assignments.iter().try_for_each(|(_, e)| look.expr(e))?;
            update.filter.iter().chain(&update.returning).try_for_each(|e| look.expr(e))
        }
        Statement::Delete(delete) => {
            look.table(delete.rel, &delete.table.0);
            delete.ctes.iter().try_for_each(|c| look.query(&c.query))?;
            delete.using.iter().try_for_each(|f| look.from(f))?;
            delete.filter.iter().chain(&delete.returning).try_for_each(|e| look.expr(e))
        }
    }
}

/// The same for an expression over one relation, which is number 0.
pub(super) fn check_expression(expr: &Expr, relation: &Relation) -> Result<()> {
    let mut look = Look::default();
    look.table(0, relation);
    look.expr(expr)
}

/// Whether a relation has such a column.
pub(super) fn concerns(relation: &Relation) -> bool {
    relation.columns.iter().any(|c| c.locale.is_some())
}

#[derive(Default)]
struct Look {
    /// Which columns of the tables met have a language; other relations are derived.
    tables: HashMap<u32, Vec<bool>>,
    /// The same of the table that is written.
    written: Vec<bool>,
}

impl Look {
    fn table(&mut self, rel: u32, relation: &Relation) {
        let flags: Vec<bool> = relation.columns.iter().map(|c| c.locale.is_some()).collect();
        self.written.clone_from(&flags);
        self.tables.insert(rel, flags);
    }

    fn insert(&mut self, insert: &Insert) -> Result<()> {
        insert.ctes.iter().try_for_each(|c| self.query(&c.query))?;
        match &insert.source {
            InsertSource::Values(rows) => {
                rows.iter().flatten().try_for_each(|e| self.expr(e))?;
            }
            InsertSource::Query { query, exprs, .. } => {
                self.query(query)?;
                exprs.iter().try_for_each(|e| self.expr(e))?;
            }
        }
        self.table(insert.rel, &insert.table.0);
        if let Some(conflict) = &insert.on_conflict
            && let Some((assignments, filter)) = &conflict.update
        {
            assignments.iter().try_for_each(|(_, e)| self.expr(e))?;
            filter.iter().try_for_each(|e| self.expr(e))?;
        }
        insert.returning.iter().try_for_each(|e| self.expr(e))
    }

    fn query(&mut self, query: &Query) -> Result<()> {
        query.ctes.iter().try_for_each(|c| self.query(&c.query))?;
        match &query.body {
            Body::Select(select) => self.select(select)?,
            Body::Values(rows) => rows.iter().flatten().try_for_each(|e| self.expr(e))?,
            Body::Set { left, right, .. } => {
                self.query(left)?;
                self.query(right)?;
            }
        }
        for sort in &query.order_by {
            let shown = match (&sort.expr.kind, &query.body) {
                (ExprKind::OutputColumn(n), Body::Select(select)) => {
                    usize::try_from(*n).ok().and_then(|n| select.targets.get(n))
                }
                _ => None,
            };
            self.ordered(shown.unwrap_or(&sort.expr))?;
            self.expr(&sort.expr)?;
        }
        query.limit.iter().chain(&query.offset).try_for_each(|e| self.expr(e))
    }

    fn select(&mut self, select: &Select) -> Result<()> {
        select.from.iter().try_for_each(|f| self.from(f))?;
        select.targets.iter().try_for_each(|e| self.expr(e))?;
        select.distinct.iter().flatten().try_for_each(|e| self.expr(e))?;
        let rest = select.filter.iter().chain(&select.group_by).chain(&select.having);
        rest.into_iter().try_for_each(|e| self.expr(e))
    }

    fn from(&mut self, from: &From) -> Result<()> {
        match from {
            From::Table { rel, table, .. } => {
                let written = std::mem::take(&mut self.written);
                self.table(*rel, &table.0);
                self.written = written;
                Ok(())
            }
            From::Cte { .. } => Ok(()),
            From::Subquery { query, .. } => self.query(query),
            From::Function { call, .. } => self.call(call),
            From::Join { left, right, on, .. } => {
                self.from(left)?;
                self.from(right)?;
                on.iter().try_for_each(|e| self.expr(e))
            }
        }
    }

    fn call(&mut self, call: &Call) -> Result<()> {
        if matches!(call.name.as_str(), "min" | "max") {
            call.args.iter().try_for_each(|e| self.ordered(e))?;
        }
        let windows = call.over.iter().flat_map(|w| &w.order_by);
        call.order_by.iter().chain(windows).try_for_each(|s: &Sort| self.ordered(&s.expr))?;
        call.args.iter().chain(&call.filter).try_for_each(|e| self.expr(e))
    }

    fn expr(&mut self, expr: &Expr) -> Result<()> {
        match &expr.kind {
            ExprKind::Op(op) if is_order(&op.name) => {
                op.left.iter().try_for_each(|e| self.ordered(e))?;
                self.ordered(&op.right)?;
            }
            ExprKind::RowCompare(left, op, right) if orders(*op) => {
                left.iter().chain(right).try_for_each(|e| self.ordered(e))?;
            }
            ExprKind::AnyAll { expr, op, array, .. } if orders(*op) => {
                self.ordered(expr)?;
                self.ordered(array)?;
            }
            ExprKind::MinMax(_, list) => list.iter().try_for_each(|e| self.ordered(e))?,
            ExprKind::SubqueryCompare { row, op, query, .. } => {
                if orders(*op) {
                    row.iter().try_for_each(|e| self.ordered(e))?;
                }
                self.query(query)?;
            }
            ExprKind::Subquery(query)
            | ExprKind::Exists(query)
            | ExprKind::ArraySubquery(query) => self.query(query)?,
            ExprKind::Call(call) => return self.call(call),
            _ => {}
        }
        let mut outcome = Ok(());
        expr.children(&mut |e| {
            if outcome.is_ok() {
                outcome = self.expr(e);
            }
        });
        outcome
    }

    /// What is ordered must not be by a language.
    fn ordered(&self, expr: &Expr) -> Result<()> {
        if self.has_language(expr) {
            let what = "ordering by a column of another collation than \"C\"";
            return Err(Error::unsupported(what).at(expr.pos));
        }
        Ok(())
    }

    fn has_language(&self, expr: &Expr) -> bool {
        let element = types::element(expr.ty.oid).unwrap_or(expr.ty.oid);
        if types::category(element) != b'S' {
            return false;
        }
        let flag = |flags: &[bool], n: u32| {
            usize::try_from(n).ok().and_then(|n| flags.get(n)).copied().unwrap_or(true)
        };
        match &expr.kind {
            ExprKind::Collate(..) => false,
            ExprKind::Column(rel, n) => self.tables.get(rel).is_none_or(|flags| flag(flags, *n)),
            ExprKind::Excluded(n) => flag(&self.written, *n),
            ExprKind::OutputColumn(_) | ExprKind::Subquery(_) | ExprKind::ArraySubquery(_) => true,
            _ => {
                let mut found = false;
                expr.children(&mut |e| found |= self.has_language(e));
                found
            }
        }
    }
}

fn is_order(operator: &str) -> bool {
    matches!(operator, "<" | "<=" | ">" | ">=")
}

fn orders(op: Comparison) -> bool {
    matches!(op, Comparison::Lt | Comparison::Le | Comparison::Gt | Comparison::Ge)
}
