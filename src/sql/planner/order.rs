//! In which order a statement's rows come, and whether a LIMIT picks a definite set.

use std::collections::{HashMap, HashSet};

use crate::sql::analyze::walk::each_query;
use crate::sql::ir::{Body, Expr, ExprKind, From, Query, Select, Statement};
use crate::sql::plan::RowOrder;

/// The order of the rows, and whether some LIMIT or OFFSET in the statement cuts rows
/// whose order is not total.
pub(super) fn of(statement: &Statement) -> (RowOrder, bool) {
    let mut cuts = false;
    each_query(statement, &mut |query| cuts |= cuts_ties(query));
    let order = match statement {
        Statement::Select(query) => order(query),
        _ => RowOrder::None,
    };
    (order, cuts)
}

fn order(query: &Query) -> RowOrder {
    if query.order_by.is_empty() {
        return RowOrder::None;
    }
    if is_total(query) {
        return RowOrder::Total;
    }
    let keys: Option<Vec<usize>> = query.order_by.iter().map(|s| output(query, &s.expr)).collect();
    keys.map_or(RowOrder::Hidden, RowOrder::Keys)
}

/// The output column that an ORDER BY item stands for.
fn output(query: &Query, expr: &Expr) -> Option<usize> {
    if let ExprKind::OutputColumn(n) = expr.kind {
        return Some(n as usize);
    }
    match &query.body {
        Body::Select(select) => select.targets.iter().position(|t| t == expr),
        _ => None,
    }
}

/// Whether ORDER BY leaves no two rows in an open order.
pub(super) fn is_total(query: &Query) -> bool {
    let outputs: HashSet<usize> =
        query.order_by.iter().filter_map(|s| output(query, &s.expr)).collect();
    match &query.body {
        Body::Select(select) => {
            if one_row(select) {
                return true;
            }
            let sorted: Vec<&Expr> = query
                .order_by
                .iter()
                .map(|s| match s.expr.kind {
                    ExprKind::OutputColumn(n) => select.targets.get(n as usize).unwrap_or(&s.expr),
                    _ => &s.expr,
                })
                .collect();
            if select.distinct.as_ref().is_some_and(Vec::is_empty) {
                return (0..select.targets.len()).all(|n| outputs.contains(&n));
            }
            if select.grouped {
                return !select.group_by.is_empty()
                    && select.group_by.iter().all(|g| sorted.contains(&g));
            }
            if let Some(on) = &select.distinct {
                return on.iter().all(|e| sorted.contains(&e));
            }
            keys_covered(select, &sorted)
        }
        Body::Set { all, .. } => !*all && (0..query.columns.len()).all(|n| outputs.contains(&n)),
        Body::Values(rows) => rows.len() <= 1,
    }
}

/// Whether the sort keys contain a unique key of every table in FROM.
pub(super) fn keys_covered(select: &Select, sorted: &[&Expr]) -> bool {
    let mut columns: HashMap<u32, HashSet<usize>> = HashMap::new();
    for expr in sorted {
        if let ExprKind::Column(rel, index) = expr.kind {
            columns.entry(rel).or_default().insert(index as usize);
        }
    }
    !select.from.is_empty() && select.from.iter().all(|f| from_covered(f, &columns))
}

fn from_covered(from: &From, columns: &HashMap<u32, HashSet<usize>>) -> bool {
    match from {
        From::Table { rel, table, .. } => {
            let Some(sorted) = columns.get(rel) else { return false };
            let table = &table.0;
            let covers = |key: &[usize]| key.iter().all(|c| sorted.contains(c));
            table.primary_key.as_deref().is_some_and(covers)
                || table.uniques.iter().any(|u| {
                    covers(&u.columns) && u.columns.iter().all(|c| table.columns[*c].not_null)
                })
        }
        From::Join { left, right, .. } => {
            from_covered(left, columns) && from_covered(right, columns)
        }
        _ => false,
    }
}

fn one_row(select: &Select) -> bool {
    (select.grouped && select.group_by.is_empty()) || select.from.is_empty()
}

/// Whether the query itself, without what is in it, keeps some of its rows in an open order.
fn cuts_ties(query: &Query) -> bool {
    let cut = query.limit.is_some() || query.offset.is_some();
    match &query.body {
        Body::Select(select) => {
            // DISTINCT ON picks a row by order as well.
            let picks = select.distinct.as_ref().is_some_and(|d| !d.is_empty());
            let open = cut && !one_row(select) && !all_alike(select) && !is_total(query);
            open || (picks && !is_pick_total(query, select))
        }
        _ => cut && !is_total(query),
    }
}

/// Whether every row says the same: it does not matter which ones come.
fn all_alike(select: &Select) -> bool {
    let fixed =
        |e: &Expr| matches!(e.kind, ExprKind::Const(_) | ExprKind::Param(_) | ExprKind::Frozen(_));
    select.group_by.is_empty() && select.targets.iter().all(fixed)
}

/// Whether ORDER BY decides which row DISTINCT ON keeps.
fn is_pick_total(query: &Query, select: &Select) -> bool {
    let sorted: Vec<&Expr> = query
        .order_by
        .iter()
        .map(|s| match s.expr.kind {
            ExprKind::OutputColumn(n) => select.targets.get(n as usize).unwrap_or(&s.expr),
            _ => &s.expr,
        })
        .collect();
    keys_covered(select, &sorted)
}
