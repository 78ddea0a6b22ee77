//! Whether a statement's answer depends on an order of rows that it does not name.
//!
//! Such an answer is right in more than one form: aggregates that keep the order of their rows,
//! window functions over ties, sums of floats, ARRAY(SELECT …), UPDATE … FROM where several rows
//! match. When in doubt it is undetermined: a difference then is ambiguous, never a divergence.
//! (LIMIT and DISTINCT ON are `order`'s.) Start at [`of`].

use super::order::{is_total, keys_covered};
use crate::sql::ir::{
    Body, Call, CallKind, Expr, ExprKind, From, InsertSource, OnConflict, Query, Select, Statement,
    Update,
};
use crate::value::oid;

/// Aggregates whose value keeps the order of the rows.
const ORDERED: &[&str] = &[
    "array_agg",
    "string_agg",
    "json_agg",
    "jsonb_agg",
    "json_object_agg",
    "jsonb_object_agg",
    "xmlagg",
];
/// Window functions that tell rows with equal sort keys apart.
const APART: &[&str] =
    &["row_number", "lag", "lead", "first_value", "last_value", "nth_value", "ntile"];

/// See the module.
pub(super) fn of(statement: &Statement) -> bool {
    let loose = |e: &Expr| expr(e, None);
    let queries = |ctes: &[crate::sql::ir::Cte]| ctes.iter().any(|c| query(&c.query));
    match statement {
        Statement::Select(q) => query(q),
        Statement::Insert(insert) => {
            let source = match &insert.source {
                InsertSource::Values(rows) => rows.iter().flatten().any(loose),
                InsertSource::Query { query: q, exprs, .. } => {
                    // Of rows that conflict with each other the first one wins.
                    let races = insert.on_conflict.is_some() && !is_total(q);
                    races || query(q) || exprs.iter().any(loose)
                }
            };
            let conflict = insert.on_conflict.iter().any(|c: &OnConflict| {
                c.update.iter().any(|(set, filter)| {
                    set.iter().any(|(_, e)| loose(e)) || filter.iter().any(loose)
                })
            });
            queries(&insert.ctes) || source || conflict || insert.returning.iter().any(loose)
        }
        Statement::Update(update) => {
            queries(&update.ctes)
                || matches_many(update)
                || update.assignments.iter().any(|(_, e)| loose(e))
                || update.row_assignments.iter().any(|(_, q)| query(q))
                || update.filter.iter().chain(&update.returning).any(loose)
                || update.from.iter().any(from)
        }
        Statement::Delete(delete) => {
            queries(&delete.ctes)
                || delete.filter.iter().chain(&delete.returning).any(loose)
                || delete.using.iter().any(from)
        }
    }
}

fn query(q: &Query) -> bool {
    let body = match &q.body {
        Body::Select(select) => {
            let mut exprs = select
                .targets
                .iter()
                .chain(&select.filter)
                .chain(&select.having)
                .chain(&select.group_by)
                .chain(q.order_by.iter().map(|s| &s.expr));
            exprs.any(|e| expr(e, Some(select))) || select.from.iter().any(from)
        }
        Body::Values(rows) => rows.iter().flatten().any(|e| expr(e, None)),
        Body::Set { left, right, .. } => query(left) || query(right),
    };
    body || q.ctes.iter().any(|c| query(&c.query))
}

fn from(item: &From) -> bool {
    match item {
        From::Subquery { query: q, .. } => query(q),
        From::Join { left, right, on, .. } => {
            from(left) || from(right) || on.iter().any(|e| expr(e, None))
        }
        From::Function { call, .. } => call.args.iter().any(|e| expr(e, None)),
        From::Table { .. } | From::Cte { .. } => false,
    }
}

fn expr(e: &Expr, select: Option<&Select>) -> bool {
    let here = match &e.kind {
        ExprKind::Call(call) => open(call, select),
        ExprKind::ArraySubquery(q) => !is_total(q) || query(q),
        ExprKind::Subquery(q) | ExprKind::Exists(q) => query(q),
        ExprKind::SubqueryCompare { query: q, .. } => query(q),
        _ => false,
    };
    let mut inside = here;
    e.children(&mut |child| inside = inside || expr(child, select));
    inside
}

/// Whether a call's value depends on the order of its rows, and that order is open.
fn open(call: &Call, select: Option<&Select>) -> bool {
    let covered = |sorted: &[&Expr]| select.is_some_and(|s| keys_covered(s, sorted));
    // Floats do not add up to the same sum in every order.
    let float = call.args.first().is_some_and(|a| matches!(a.ty.oid, oid::FLOAT4 | oid::FLOAT8))
        && !matches!(call.name.as_str(), "count" | "min" | "max");
    let ordered = ORDERED.contains(&call.name.as_str());
    if let Some(over) = &call.over {
        let by_rows = over.frame.as_ref().is_some_and(|f| f.mode.eq_ignore_ascii_case("rows"));
        let apart = APART.contains(&call.name.as_str());
        let sensitive = by_rows || apart || ordered || float;
        let sorted: Vec<&Expr> =
            over.partition_by.iter().chain(over.order_by.iter().map(|s| &s.expr)).collect();
        return sensitive && !covered(&sorted);
    }
    if call.kind != CallKind::Aggregate || !(ordered || float) || call.distinct {
        return false;
    }
    let sorted: Vec<&Expr> = call.order_by.iter().map(|s| &s.expr).collect();
    // Rows that sort alike are alike when every argument is sorted by.
    let alike = !sorted.is_empty()
        && call.args.iter().all(|a| matches!(a.kind, ExprKind::Const(_)) || sorted.contains(&a));
    !alike && !covered(&sorted)
}

/// UPDATE … FROM takes any of the rows that match; only where a unique key of each table is
/// compared with something else there is one at most.
fn matches_many(update: &Update) -> bool {
    let mut conditions = Vec::new();
    update.filter.iter().for_each(|f| flatten(f, &mut conditions));
    update.from.iter().for_each(|f| conditions_of(f, &mut conditions));
    !update.from.iter().all(|item| at_most_one(item, &conditions))
}

fn conditions_of<'a>(item: &'a From, into: &mut Vec<&'a Expr>) {
    if let From::Join { left, right, on, .. } = item {
        on.iter().for_each(|e| flatten(e, into));
        conditions_of(left, into);
        conditions_of(right, into);
    }
}

fn flatten<'a>(e: &'a Expr, into: &mut Vec<&'a Expr>) {
    match &e.kind {
        ExprKind::And(items) => items.iter().for_each(|item| flatten(item, into)),
        _ => into.push(e),
    }
}

fn at_most_one(item: &From, conditions: &[&Expr]) -> bool {
    match item {
        From::Table { rel, table, .. } => {
            let pinned = |column: &usize| conditions.iter().any(|c| pins(c, *rel, *column));
            let table = &table.0;
            table.primary_key.as_deref().is_some_and(|key| key.iter().all(pinned))
                || table.uniques.iter().any(|u| u.columns.iter().all(pinned))
        }
        From::Join { left, right, .. } => {
            at_most_one(left, conditions) && at_most_one(right, conditions)
        }
        From::Subquery { query: q, .. } => matches!(&q.body, Body::Select(s)
            if s.grouped && s.group_by.is_empty()),
        From::Cte { .. } | From::Function { .. } => false,
    }
}

/// `column = something that is not of the same relation`
fn pins(condition: &Expr, rel: u32, column: usize) -> bool {
    let ExprKind::Op(op) = &condition.kind else { return false };
    let Some(left) = op.left.as_deref().filter(|_| op.name == "=") else { return false };
    let is = |e: &Expr| {
        matches!(bare(e).kind, ExprKind::Column(r, c)
        if r == rel && c as usize == column)
    };
    (is(left) && !mentions(&op.right, rel)) || (is(&op.right) && !mentions(left, rel))
}

fn bare(e: &Expr) -> &Expr {
    match &e.kind {
        ExprKind::Cast(inner, crate::sql::ir::CastKind::Relabel) => bare(inner),
        _ => e,
    }
}

fn mentions(e: &Expr, rel: u32) -> bool {
    let mut found = match &e.kind {
        ExprKind::Column(r, _) => *r == rel,
        // Not looked into: it may.
        ExprKind::Subquery(_)
        | ExprKind::Exists(_)
        | ExprKind::ArraySubquery(_)
        | ExprKind::SubqueryCompare { .. } => true,
        _ => false,
    };
    e.children(&mut |child| found = found || mentions(child, rel));
    found
}
