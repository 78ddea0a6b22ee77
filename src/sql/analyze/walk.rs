//! Walking typed trees.
//!
//! Owns visiting every expression of a query in a fixed order, and comparing expressions
//! without regard to positions. Start at [`visit`].

use crate::sql::ir::{
    Body, Bound, Call, CallKind, CastKind, Expr, ExprKind, From, Insert, InsertSource, Op, Query,
    Select, Sort, Statement, Window,
};

/// Visits `expr` and everything in it, subqueries included, parents first. `f` returns
/// whether to descend.
pub(in crate::sql) fn visit(expr: &Expr, f: &mut dyn FnMut(&Expr) -> bool) {
    if !f(expr) {
        return;
    }
    match &expr.kind {
        ExprKind::Const(_)
        | ExprKind::Param(_)
        | ExprKind::Frozen(_)
        | ExprKind::Column(..)
        | ExprKind::OutputColumn(_)
        | ExprKind::Excluded(_) => {}
        ExprKind::Op(Op { left, right, .. }) => {
            if let Some(left) = left {
                visit(left, f);
            }
            visit(right, f);
        }
        ExprKind::Call(call) => visit_call(call, f),
        ExprKind::And(list)
        | ExprKind::Or(list)
        | ExprKind::Coalesce(list)
        | ExprKind::MinMax(_, list)
        | ExprKind::Array(list)
        | ExprKind::ArrayPart(_, list) => visit_all(list, f),
        ExprKind::Not(e)
        | ExprKind::IsNull(e, _)
        | ExprKind::IsBool(e, _, _)
        | ExprKind::Cast(e, _)
        | ExprKind::Collate(e, _) => visit(e, f),
        ExprKind::IsDistinct(a, b, _) | ExprKind::NullIf(a, b) | ExprKind::Subscript(a, b) => {
            visit(a, f);
            visit(b, f);
        }
        ExprKind::InList { expr, list, .. } => {
            visit(expr, f);
            visit_all(list, f);
        }
        ExprKind::AnyAll { expr, array, .. } => {
            visit(expr, f);
            visit(array, f);
        }
        ExprKind::Case { branches, otherwise } => {
            for (when, then) in branches {
                visit(when, f);
                visit(then, f);
            }
            if let Some(e) = otherwise {
                visit(e, f);
            }
        }
        ExprKind::Subquery(query) | ExprKind::Exists(query) | ExprKind::ArraySubquery(query) => {
            visit_query(query, f);
        }
        ExprKind::SubqueryCompare { row, query, .. } => {
            visit_all(row, f);
            visit_query(query, f);
        }
        ExprKind::RowCompare(left, _, right) => {
            visit_all(left, f);
            visit_all(right, f);
        }
        ExprKind::Record(fields, exists) => {
            fields.iter().for_each(|(_, e)| visit(e, f));
            exists.iter().for_each(|e| visit(e, f));
        }
    }
}

fn visit_all(list: &[Expr], f: &mut dyn FnMut(&Expr) -> bool) {
    for e in list {
        visit(e, f);
    }
}

fn visit_sorts(list: &[Sort], f: &mut dyn FnMut(&Expr) -> bool) {
    for sort in list {
        visit(&sort.expr, f);
    }
}

fn visit_call(call: &Call, f: &mut dyn FnMut(&Expr) -> bool) {
    visit_all(&call.args, f);
    visit_sorts(&call.order_by, f);
    if let Some(filter) = &call.filter {
        visit(filter, f);
    }
    if let Some(window) = &call.over {
        visit_window(window, f);
    }
}

fn visit_window(window: &Window, f: &mut dyn FnMut(&Expr) -> bool) {
    visit_all(&window.partition_by, f);
    visit_sorts(&window.order_by, f);
    if let Some(frame) = &window.frame {
        for bound in [&frame.start, &frame.end] {
            if let Bound::Preceding(e) | Bound::Following(e) = bound {
                visit(e, f);
            }
        }
    }
}

/// Visits every expression of a query.
pub(in crate::sql) fn visit_query(query: &Query, f: &mut dyn FnMut(&Expr) -> bool) {
    for cte in &query.ctes {
        visit_query(&cte.query, f);
    }
    match &query.body {
        Body::Select(select) => visit_select(select, f),
        Body::Values(rows) => rows.iter().for_each(|row| visit_all(row, f)),
        Body::Set { left, right, .. } => {
            visit_query(left, f);
            visit_query(right, f);
        }
    }
    visit_sorts(&query.order_by, f);
    for e in query.limit.iter().chain(&query.offset) {
        visit(e, f);
    }
}

fn visit_select(select: &Select, f: &mut dyn FnMut(&Expr) -> bool) {
    if let Some(list) = &select.distinct {
        visit_all(list, f);
    }
    visit_all(&select.targets, f);
    for from in &select.from {
        visit_from(from, f);
    }
    for e in select.filter.iter().chain(&select.group_by).chain(&select.having) {
        visit(e, f);
    }
}

fn visit_from(from: &From, f: &mut dyn FnMut(&Expr) -> bool) {
    match from {
        From::Table { .. } | From::Cte { .. } => {}
        From::Subquery { query, .. } => visit_query(query, f),
        From::Function { call, .. } => visit_call(call, f),
        From::Join { left, right, on, .. } => {
            visit_from(left, f);
            visit_from(right, f);
            if let Some(on) = on {
                visit(on, f);
            }
        }
    }
}

/// Visits every expression of a statement.
pub(in crate::sql) fn visit_statement(statement: &Statement, f: &mut dyn FnMut(&Expr) -> bool) {
    match statement {
        Statement::Select(query) => visit_query(query, f),
        Statement::Insert(insert) => visit_insert(insert, f),
        Statement::Update(update) => {
            update.ctes.iter().for_each(|c| visit_query(&c.query, f));
            update.assignments.iter().for_each(|(_, e)| visit(e, f));
            update.row_assignments.iter().for_each(|(_, q)| visit_query(q, f));
            update.from.iter().for_each(|i| visit_from(i, f));
            update.filter.iter().chain(&update.returning).for_each(|e| visit(e, f));
        }
        Statement::Delete(delete) => {
            delete.ctes.iter().for_each(|c| visit_query(&c.query, f));
            delete.using.iter().for_each(|i| visit_from(i, f));
            delete.filter.iter().chain(&delete.returning).for_each(|e| visit(e, f));
        }
    }
}

fn visit_insert(insert: &Insert, f: &mut dyn FnMut(&Expr) -> bool) {
    insert.ctes.iter().for_each(|c| visit_query(&c.query, f));
    match &insert.source {
        InsertSource::Values(rows) => rows.iter().for_each(|row| visit_all(row, f)),
        InsertSource::Query { query, exprs, .. } => {
            visit_query(query, f);
            visit_all(exprs, f);
        }
    }
    if let Some(conflict) = &insert.on_conflict {
        visit_all(&conflict.expressions, f);
        conflict.index_filter.iter().for_each(|e| visit(e, f));
        if let Some((assignments, filter)) = &conflict.update {
            assignments.iter().for_each(|(_, e)| visit(e, f));
            filter.iter().for_each(|e| visit(e, f));
        }
    }
    visit_all(&insert.returning, f);
}

/// The expression below casts that resolution added.
pub(super) fn strip_implicit(expr: &Expr) -> &Expr {
    match &expr.kind {
        ExprKind::Cast(inner, CastKind::Implicit | CastKind::Relabel) => strip_implicit(inner),
        _ => expr,
    }
}

/// Where an expression begins in the text: PostgreSQL's errors about a whole expression
/// point at its leftmost part, not at its operator.
pub(super) fn location(expr: &Expr) -> u32 {
    let mut first = expr.pos;
    let mut take = |e: &Expr| {
        let pos = location(e);
        if pos > 0 && (first == 0 || pos < first) {
            first = pos;
        }
    };
    match &expr.kind {
        ExprKind::Op(op) => {
            op.left.iter().for_each(|e| take(e));
            take(&op.right);
        }
        ExprKind::Call(call) if call.kind == CallKind::Scalar => call.args.iter().for_each(take),
        ExprKind::And(list) | ExprKind::Or(list) => list.iter().for_each(take),
        ExprKind::Not(e)
        | ExprKind::IsNull(e, _)
        | ExprKind::IsBool(e, ..)
        | ExprKind::Cast(e, _)
        | ExprKind::Collate(e, _)
        | ExprKind::InList { expr: e, .. }
        | ExprKind::AnyAll { expr: e, .. } => take(e),
        ExprKind::IsDistinct(a, b, _) | ExprKind::NullIf(a, b) => {
            take(a);
            take(b);
        }
        ExprKind::SubqueryCompare { row, .. } => row.iter().for_each(take),
        _ => {}
    }
    first
}

/// Whether two expressions say the same, wherever they were written.
pub(in crate::sql) fn same(a: &Expr, b: &Expr) -> bool {
    if a.ty != b.ty {
        return false;
    }
    let all =
        |a: &[Expr], b: &[Expr]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b));
    let maybe = |a: &Option<Box<Expr>>, b: &Option<Box<Expr>>| match (a, b) {
        (Some(a), Some(b)) => same(a, b),
        (None, None) => true,
        _ => false,
    };
    match (&a.kind, &b.kind) {
        (ExprKind::Op(x), ExprKind::Op(y)) => {
            x.name == y.name && maybe(&x.left, &y.left) && same(&x.right, &y.right)
        }
        (ExprKind::Call(x), ExprKind::Call(y)) => {
            let sorts = |a: &[Sort], b: &[Sort]| {
                a.len() == b.len()
                    && a.iter().zip(b).all(|(a, b)| {
                        same(&a.expr, &b.expr)
                            && a.descending == b.descending
                            && a.nulls_first == b.nulls_first
                    })
            };
            let filters = match (&x.filter, &y.filter) {
                (Some(a), Some(b)) => same(a, b),
                (None, None) => true,
                _ => false,
            };
            let windows = match (&x.over, &y.over) {
                (None, None) => true,
                (Some(a), Some(b)) => {
                    all(&a.partition_by, &b.partition_by)
                        && sorts(&a.order_by, &b.order_by)
                        && a.frame == b.frame
                }
                _ => false,
            };
            x.oid == y.oid
                && x.name == y.name
                && x.star == y.star
                && x.distinct == y.distinct
                && all(&x.args, &y.args)
                && sorts(&x.order_by, &y.order_by)
                && filters
                && windows
        }
        (ExprKind::And(x), ExprKind::And(y))
        | (ExprKind::Or(x), ExprKind::Or(y))
        | (ExprKind::Coalesce(x), ExprKind::Coalesce(y))
        | (ExprKind::Array(x), ExprKind::Array(y)) => all(x, y),
        (ExprKind::MinMax(g, x), ExprKind::MinMax(h, y)) => g == h && all(x, y),
        (ExprKind::ArrayPart(p, x), ExprKind::ArrayPart(q, y)) => p == q && all(x, y),
        (ExprKind::Not(x), ExprKind::Not(y)) => same(x, y),
        (ExprKind::IsNull(x, n), ExprKind::IsNull(y, m)) => n == m && same(x, y),
        (ExprKind::IsBool(x, v, n), ExprKind::IsBool(y, w, m)) => v == w && n == m && same(x, y),
        (ExprKind::Cast(x, k), ExprKind::Cast(y, l)) => k == l && same(x, y),
        (ExprKind::Collate(x, c), ExprKind::Collate(y, d)) => c == d && same(x, y),
        (ExprKind::IsDistinct(a, b, n), ExprKind::IsDistinct(c, d, m)) => {
            n == m && same(a, c) && same(b, d)
        }
        (ExprKind::NullIf(a, b), ExprKind::NullIf(c, d))
        | (ExprKind::Subscript(a, b), ExprKind::Subscript(c, d)) => same(a, c) && same(b, d),
        (
            ExprKind::InList { expr: e, list: l, not: n },
            ExprKind::InList { expr: f, list: m, not: o },
        ) => n == o && same(e, f) && all(l, m),
        (
            ExprKind::AnyAll { expr: e, op: p, array: a, all: n },
            ExprKind::AnyAll { expr: f, op: q, array: b, all: m },
        ) => p == q && n == m && same(e, f) && same(a, b),
        (
            ExprKind::Case { branches: x, otherwise: e },
            ExprKind::Case { branches: y, otherwise: f },
        ) => {
            x.len() == y.len()
                && x.iter().zip(y).all(|((a, b), (c, d))| same(a, c) && same(b, d))
                && maybe(e, f)
        }
        (ExprKind::Record(x, _), ExprKind::Record(y, _)) => {
            x.len() == y.len() && x.iter().zip(y).all(|((m, a), (n, b))| m == n && same(a, b))
        }
        (ExprKind::RowCompare(a, o, b), ExprKind::RowCompare(c, p, d)) => {
            o == p && all(a, c) && all(b, d)
        }
        (x, y) => x == y,
    }
}
