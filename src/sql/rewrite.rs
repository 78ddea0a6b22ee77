//! Changing typed trees in place.
//!
//! Owns the walk over everything an expression, a query or a statement is made of, with
//! permission to replace it. What is replaced by what is for the callers to know. Start at
//! [`children`] and [`parts`].

use super::ir::{Body, Bound, Call, Expr, ExprKind, From, InsertSource, Query, Sort, Statement};

/// A part of a query: what [`parts`] hands out.
#[derive(Debug)]
pub enum Part<'a> {
    /// An expression.
    Expr(&'a mut Expr),
    /// A query of WITH, a side of a set operation, a subquery of FROM.
    Query(&'a mut Query),
}

/// Calls `f` for each direct operand of an expression; its subqueries are handed out whole.
pub fn children(expr: &mut Expr, f: &mut dyn FnMut(Part<'_>)) {
    let mut all = |items: &mut Vec<Expr>| items.iter_mut().for_each(|e| f(Part::Expr(e)));
    match &mut expr.kind {
        ExprKind::Const(_)
        | ExprKind::Param(_)
        | ExprKind::Frozen(_)
        | ExprKind::Column(..)
        | ExprKind::OutputColumn(_)
        | ExprKind::Excluded(_) => {}
        ExprKind::Subquery(query) | ExprKind::Exists(query) | ExprKind::ArraySubquery(query) => {
            f(Part::Query(query));
        }
        ExprKind::SubqueryCompare { row, query, .. } => {
            all(row);
            f(Part::Query(query));
        }
        ExprKind::Op(op) => {
            op.left.iter_mut().for_each(|e| f(Part::Expr(e)));
            f(Part::Expr(&mut op.right));
        }
        ExprKind::Call(call) => in_call(call, f),
        ExprKind::And(items)
        | ExprKind::Or(items)
        | ExprKind::Coalesce(items)
        | ExprKind::MinMax(_, items)
        | ExprKind::ArrayPart(_, items)
        | ExprKind::Array(items) => all(items),
        ExprKind::Not(e)
        | ExprKind::IsNull(e, _)
        | ExprKind::IsBool(e, ..)
        | ExprKind::Cast(e, _)
        | ExprKind::Collate(e, _) => f(Part::Expr(e)),
        ExprKind::IsDistinct(a, b, _) | ExprKind::NullIf(a, b) | ExprKind::Subscript(a, b) => {
            f(Part::Expr(a));
            f(Part::Expr(b));
        }
        ExprKind::InList { expr, list, .. } => {
            f(Part::Expr(expr));
            list.iter_mut().for_each(|e| f(Part::Expr(e)));
        }
        ExprKind::AnyAll { expr, array, .. } => {
            f(Part::Expr(expr));
            f(Part::Expr(array));
        }
        ExprKind::Case { branches, otherwise } => {
            for (when, then) in branches {
                f(Part::Expr(when));
                f(Part::Expr(then));
            }
            otherwise.iter_mut().for_each(|e| f(Part::Expr(e)));
        }
        ExprKind::RowCompare(left, _, right) => {
            all(left);
            right.iter_mut().for_each(|e| f(Part::Expr(e)));
        }
        ExprKind::Record(fields, exists) => {
            fields.iter_mut().for_each(|(_, e)| f(Part::Expr(e)));
            exists.iter_mut().for_each(|e| f(Part::Expr(e)));
        }
        ExprKind::Domain(d) => {
            f(Part::Expr(&mut d.value));
            d.conditions.iter_mut().for_each(|(_, e)| f(Part::Expr(e)));
        }
    }
}

fn in_call(call: &mut Call, f: &mut dyn FnMut(Part<'_>)) {
    call.args.iter_mut().for_each(|e| f(Part::Expr(e)));
    sorts(&mut call.order_by, f);
    call.filter.iter_mut().for_each(|e| f(Part::Expr(e)));
    let Some(over) = &mut call.over else { return };
    over.partition_by.iter_mut().for_each(|e| f(Part::Expr(e)));
    sorts(&mut over.order_by, f);
    if let Some(frame) = &mut over.frame {
        for bound in [&mut frame.start, &mut frame.end] {
            if let Bound::Preceding(e) | Bound::Following(e) = bound {
                f(Part::Expr(e));
            }
        }
    }
}

fn sorts(items: &mut [Sort], f: &mut dyn FnMut(Part<'_>)) {
    items.iter_mut().for_each(|s| f(Part::Expr(&mut s.expr)));
}

/// Calls `f` for each expression and each query a query is directly made of.
pub fn parts(query: &mut Query, f: &mut dyn FnMut(Part<'_>)) {
    query.ctes.iter_mut().for_each(|c| f(Part::Query(&mut c.query)));
    match &mut query.body {
        Body::Select(select) => {
            select.from.iter_mut().for_each(|item| from(item, f));
            let lists = [&mut select.targets, &mut select.group_by];
            lists.into_iter().flatten().for_each(|e| f(Part::Expr(e)));
            select.distinct.iter_mut().flatten().for_each(|e| f(Part::Expr(e)));
            select.filter.iter_mut().for_each(|e| f(Part::Expr(e)));
            select.having.iter_mut().for_each(|e| f(Part::Expr(e)));
        }
        Body::Values(rows) => rows.iter_mut().flatten().for_each(|e| f(Part::Expr(e))),
        Body::Set { left, right, .. } => {
            f(Part::Query(left));
            f(Part::Query(right));
        }
    }
    sorts(&mut query.order_by, f);
    query.limit.iter_mut().chain(&mut query.offset).for_each(|e| f(Part::Expr(e)));
}

/// The same for an item of FROM.
pub fn from(item: &mut From, f: &mut dyn FnMut(Part<'_>)) {
    match item {
        From::Table { .. } | From::Cte { .. } => {}
        From::Subquery { query, .. } => f(Part::Query(query)),
        From::Function { call, .. } => in_call(call, f),
        From::Join { left, right, on, .. } => {
            from(left, f);
            from(right, f);
            on.iter_mut().for_each(|e| f(Part::Expr(e)));
        }
    }
}

/// The same for a whole statement; a SELECT is one query.
pub fn statement(statement: &mut Statement, f: &mut dyn FnMut(Part<'_>)) {
    let mut each = |items: &mut Vec<Expr>| items.iter_mut().for_each(|e| f(Part::Expr(e)));
    match statement {
        Statement::Select(query) => f(Part::Query(query)),
        Statement::Insert(insert) => {
            each(&mut insert.returning);
            insert.ctes.iter_mut().for_each(|c| f(Part::Query(&mut c.query)));
            match &mut insert.source {
                InsertSource::Values(rows) => {
                    rows.iter_mut().flatten().for_each(|e| f(Part::Expr(e)));
                }
                InsertSource::Query { query, exprs, .. } => {
                    f(Part::Query(query));
                    exprs.iter_mut().for_each(|e| f(Part::Expr(e)));
                }
            }
            let Some(conflict) = &mut insert.on_conflict else { return };
            conflict.expressions.iter_mut().for_each(|e| f(Part::Expr(e)));
            conflict.index_filter.iter_mut().for_each(|e| f(Part::Expr(e)));
            if let Some((set, filter)) = &mut conflict.update {
                set.iter_mut().for_each(|(_, e)| f(Part::Expr(e)));
                filter.iter_mut().for_each(|e| f(Part::Expr(e)));
            }
        }
        Statement::Update(update) => {
            each(&mut update.returning);
            update.ctes.iter_mut().for_each(|c| f(Part::Query(&mut c.query)));
            update.from.iter_mut().for_each(|item| from(item, f));
            update.assignments.iter_mut().for_each(|(_, e)| f(Part::Expr(e)));
            update.row_assignments.iter_mut().for_each(|(_, q)| f(Part::Query(q)));
            update.filter.iter_mut().for_each(|e| f(Part::Expr(e)));
        }
        Statement::Delete(delete) => {
            each(&mut delete.returning);
            delete.ctes.iter_mut().for_each(|c| f(Part::Query(&mut c.query)));
            delete.using.iter_mut().for_each(|item| from(item, f));
            delete.filter.iter_mut().for_each(|e| f(Part::Expr(e)));
        }
    }
}
