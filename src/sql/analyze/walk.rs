//! Walking typed trees.
//!
//! Owns visiting every expression of a query in a fixed order, and comparing expressions
//! without regard to positions. Start at [`visit`].

use crate::sql::ir::{
    Body, Bound, Call, CallKind, CastKind, Expr, ExprKind, From, Insert, InsertSource, Op, Query,
    Select, Sort, Statement, Window,
};

/// Who looks at a tree.
trait Look {
    /// An expression; whether to descend.
    fn expr(&mut self, expr: &Expr) -> bool;
    /// A query, before what is in it.
    fn query(&mut self, _query: &Query) {}
}

struct Exprs<'a>(&'a mut dyn FnMut(&Expr) -> bool);

impl Look for Exprs<'_> {
    fn expr(&mut self, expr: &Expr) -> bool {
        (self.0)(expr)
    }
}

struct Queries<'a>(&'a mut dyn FnMut(&Query));

impl Look for Queries<'_> {
    fn expr(&mut self, _: &Expr) -> bool {
        true
    }

    fn query(&mut self, query: &Query) {
        (self.0)(query);
    }
}

/// Visits `expr` and everything in it, subqueries included, parents first. `f` returns
/// whether to descend.
pub(in crate::sql) fn visit(expr: &Expr, f: &mut dyn FnMut(&Expr) -> bool) {
    look(expr, &mut Exprs(f));
}

/// Visits every expression of a query.
pub(in crate::sql) fn visit_query(query: &Query, f: &mut dyn FnMut(&Expr) -> bool) {
    look_query(query, &mut Exprs(f));
}

/// Visits every expression of a statement.
pub(in crate::sql) fn visit_statement(statement: &Statement, f: &mut dyn FnMut(&Expr) -> bool) {
    look_statement(statement, &mut Exprs(f));
}

/// Visits every query of a statement, at any depth.
pub(in crate::sql) fn each_query(statement: &Statement, f: &mut dyn FnMut(&Query)) {
    look_statement(statement, &mut Queries(f));
}

fn look(expr: &Expr, f: &mut dyn Look) {
    if !f.expr(expr) {
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
                look(left, f);
            }
            look(right, f);
        }
        ExprKind::Call(call) => look_call(call, f),
        ExprKind::And(list)
        | ExprKind::Or(list)
        | ExprKind::Coalesce(list)
        | ExprKind::MinMax(_, list)
        | ExprKind::Array(list)
        | ExprKind::ArrayPart(_, list) => look_all(list, f),
        ExprKind::Not(e)
        | ExprKind::IsNull(e, _)
        | ExprKind::IsBool(e, _, _)
        | ExprKind::Cast(e, _)
        | ExprKind::Collate(e, _) => look(e, f),
        ExprKind::IsDistinct(a, b, _) | ExprKind::NullIf(a, b) | ExprKind::Subscript(a, b) => {
            look(a, f);
            look(b, f);
        }
        ExprKind::InList { expr, list, .. } => {
            look(expr, f);
            look_all(list, f);
        }
        ExprKind::AnyAll { expr, array, .. } => {
            look(expr, f);
            look(array, f);
        }
        ExprKind::Case { branches, otherwise } => {
            for (when, then) in branches {
                look(when, f);
                look(then, f);
            }
            if let Some(e) = otherwise {
                look(e, f);
            }
        }
        ExprKind::Subquery(query) | ExprKind::Exists(query) | ExprKind::ArraySubquery(query) => {
            look_query(query, f);
        }
        ExprKind::SubqueryCompare { row, query, .. } => {
            look_all(row, f);
            look_query(query, f);
        }
        ExprKind::RowCompare(left, _, right) => {
            look_all(left, f);
            look_all(right, f);
        }
        ExprKind::Record(fields, exists) => {
            fields.iter().for_each(|(_, e)| look(e, f));
            exists.iter().for_each(|e| look(e, f));
        }
        ExprKind::Domain(d) => {
            look(&d.value, f);
            d.conditions.iter().for_each(|(_, e)| look(e, f));
        }
    }
}

fn look_all(list: &[Expr], f: &mut dyn Look) {
    for e in list {
        look(e, f);
    }
}

fn look_sorts(list: &[Sort], f: &mut dyn Look) {
    for sort in list {
        look(&sort.expr, f);
    }
}

fn look_call(call: &Call, f: &mut dyn Look) {
    look_all(&call.args, f);
    look_sorts(&call.order_by, f);
    if let Some(filter) = &call.filter {
        look(filter, f);
    }
    if let Some(window) = &call.over {
        look_window(window, f);
    }
}

fn look_window(window: &Window, f: &mut dyn Look) {
    look_all(&window.partition_by, f);
    look_sorts(&window.order_by, f);
    if let Some(frame) = &window.frame {
        for bound in [&frame.start, &frame.end] {
            if let Bound::Preceding(e) | Bound::Following(e) = bound {
                look(e, f);
            }
        }
    }
}

fn look_query(query: &Query, f: &mut dyn Look) {
    f.query(query);
    for cte in &query.ctes {
        look_query(&cte.query, f);
    }
    match &query.body {
        Body::Select(select) => look_select(select, f),
        Body::Values(rows) => rows.iter().for_each(|row| look_all(row, f)),
        Body::Set { left, right, .. } => {
            look_query(left, f);
            look_query(right, f);
        }
    }
    look_sorts(&query.order_by, f);
    for e in query.limit.iter().chain(&query.offset) {
        look(e, f);
    }
}

fn look_select(select: &Select, f: &mut dyn Look) {
    if let Some(list) = &select.distinct {
        look_all(list, f);
    }
    look_all(&select.targets, f);
    for from in &select.from {
        look_from(from, f);
    }
    for e in select.filter.iter().chain(&select.group_by).chain(&select.having) {
        look(e, f);
    }
}

fn look_from(from: &From, f: &mut dyn Look) {
    match from {
        From::Table { .. } | From::Cte { .. } => {}
        From::Subquery { query, .. } => look_query(query, f),
        From::Function { call, .. } => look_call(call, f),
        From::Join { left, right, on, .. } => {
            look_from(left, f);
            look_from(right, f);
            if let Some(on) = on {
                look(on, f);
            }
        }
    }
}

fn look_statement(statement: &Statement, f: &mut dyn Look) {
    match statement {
        Statement::Select(query) => look_query(query, f),
        Statement::Insert(insert) => look_insert(insert, f),
        Statement::Update(update) => {
            update.ctes.iter().for_each(|c| look_query(&c.query, f));
            update.assignments.iter().for_each(|(_, e)| look(e, f));
            update.row_assignments.iter().for_each(|(_, q)| look_query(q, f));
            update.from.iter().for_each(|i| look_from(i, f));
            update.filter.iter().chain(&update.returning).for_each(|e| look(e, f));
        }
        Statement::Delete(delete) => {
            delete.ctes.iter().for_each(|c| look_query(&c.query, f));
            delete.using.iter().for_each(|i| look_from(i, f));
            delete.filter.iter().chain(&delete.returning).for_each(|e| look(e, f));
        }
    }
}

fn look_insert(insert: &Insert, f: &mut dyn Look) {
    insert.ctes.iter().for_each(|c| look_query(&c.query, f));
    match &insert.source {
        InsertSource::Values(rows) => rows.iter().for_each(|row| look_all(row, f)),
        InsertSource::Query { query, exprs, .. } => {
            look_query(query, f);
            look_all(exprs, f);
        }
    }
    if let Some(conflict) = &insert.on_conflict {
        look_all(&conflict.expressions, f);
        conflict.index_filter.iter().for_each(|e| look(e, f));
        if let Some((assignments, filter)) = &conflict.update {
            assignments.iter().for_each(|(_, e)| look(e, f));
            filter.iter().for_each(|e| look(e, f));
        }
    }
    look_all(&insert.returning, f);
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
        (ExprKind::Domain(x), ExprKind::Domain(y)) => x.name == y.name && same(&x.value, &y.value),
        (ExprKind::RowCompare(a, o, b), ExprKind::RowCompare(c, p, d)) => {
            o == p && all(a, c) && all(b, d)
        }
        (x, y) => x == y,
    }
}
