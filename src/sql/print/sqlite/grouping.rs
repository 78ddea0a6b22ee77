//! GROUPING SETS: one grouped query for each set, put together.
//!
//! SQLite groups by one set only. Each set is printed as a query of its own over the same
//! FROM, with what it does not group by as NULL; sort keys ride along. Start at
//! [`Printer::grouping_sets`].

use super::Value;
use super::codec::{Class, comparable};
use super::cte::is_volatile;
use super::names::{Printer, output_name};
use super::select::named;
use crate::error::{Error, Result};
use crate::sql::analyze::walk::same;
use crate::sql::ir::{CallKind, Expr, ExprKind, Query, Select};
use crate::sql::rewrite::{self, Part};
use crate::value::Cell;

impl Printer {
    /// SELECT … GROUP BY GROUPING SETS (…)
    pub(super) fn grouping_sets(
        &mut self,
        query: &Query,
        select: &Select,
        sets: &[Vec<usize>],
    ) -> Result<(String, Vec<Value>)> {
        if select.distinct.is_some() {
            return Err(Error::unsupported("DISTINCT beside grouping sets"));
        }
        if is_volatile(query) {
            return Err(Error::unsupported("a volatile value beside grouping sets"));
        }
        if select.targets.iter().any(windows) {
            return Err(Error::unsupported("a window function beside grouping sets"));
        }
        let name = self.unique("sets");
        let mut branches = Vec::with_capacity(sets.len());
        let mut outputs: Vec<Value> = Vec::new();
        for set in sets {
            let (sql, mut targets) = self.one_set(query, select, set)?;
            branches.push(sql);
            // A column that one set leaves NULL has its collation from another.
            for (target, other) in targets.iter_mut().zip(&outputs) {
                target.collated |= other.collated;
            }
            outputs = targets;
        }
        let columns: Vec<Value> = named(&outputs)
            .into_iter()
            .map(|v| Value { sql: format!("{name}.{}", v.sql), not_null: false, ..v })
            .collect();
        let mut order = Vec::new();
        for (i, sort) in query.order_by.iter().enumerate() {
            let key = match &sort.expr.kind {
                ExprKind::Const(_) => continue,
                ExprKind::OutputColumn(n) => {
                    let column = columns
                        .get(*n as usize)
                        .ok_or_else(|| Error::internal("output column out of range"))?;
                    comparable(column, Class::Order)
                }
                _ => format!("{name}.\"k{i}\""),
            };
            let direction = if sort.descending { "DESC" } else { "ASC" };
            let nulls = if sort.nulls_first { "FIRST" } else { "LAST" };
            order.push(format!("{key} {direction} NULLS {nulls}"));
        }
        let order = if order.is_empty() {
            String::new()
        } else {
            format!(" ORDER BY {}", order.join(", "))
        };
        let limit = self.limit(query)?;
        let list: Vec<String> = columns
            .iter()
            .enumerate()
            .map(|(i, c)| format!("{} AS {}", c.sql, output_name(i)))
            .collect();
        let sql = format!(
            "SELECT {} FROM ({}) AS {name}{order}{limit}",
            list.join(", "),
            branches.join(" UNION ALL ")
        );
        let outputs = named(&outputs).into_iter().map(|v| Value { not_null: false, ..v });
        Ok((sql, outputs.collect()))
    }

    fn one_set(
        &mut self,
        query: &Query,
        select: &Select,
        set: &[usize],
    ) -> Result<(String, Vec<Value>)> {
        let fix = |expr: &Expr| {
            let mut expr = expr.clone();
            settle(&mut expr, &select.group_by, set);
            expr
        };
        let one = Select {
            targets: select.targets.iter().map(fix).collect(),
            having: select.having.as_ref().map(fix),
            group_by: set.iter().filter_map(|n| select.group_by.get(*n)).cloned().collect(),
            grouping_sets: None,
            ..select.clone()
        };
        let core = self.core(&one, &query.columns, true)?;
        let mut extra = String::new();
        for (i, sort) in query.order_by.iter().enumerate() {
            if matches!(sort.expr.kind, ExprKind::Const(_) | ExprKind::OutputColumn(_)) {
                continue;
            }
            let key = self.comparable(&fix(&sort.expr), Class::Order)?;
            extra.push_str(&format!(", {key} AS \"k{i}\""));
        }
        Ok((core.sql(false, &extra), core.targets))
    }
}

/// What an expression is within one set: GROUPING() a number, what is not grouped by NULL.
fn settle(expr: &mut Expr, group_by: &[Expr], set: &[usize]) {
    if let ExprKind::Call(call) = &expr.kind
        && call.kind == CallKind::Aggregate
    {
        if call.name == "grouping" && call.oid == 0 {
            let bits = call.args.iter().fold(0_i64, |bits, arg| {
                let at = group_by.iter().position(|g| same(g, arg));
                bits << 1 | i64::from(!at.is_some_and(|at| set.contains(&at)))
            });
            expr.kind = ExprKind::Const(Cell::Integer(bits));
        }
        return;
    }
    if let Some(at) = group_by.iter().position(|g| same(g, expr)) {
        if !set.contains(&at) {
            expr.kind = ExprKind::Const(Cell::Null);
        }
        return;
    }
    rewrite::children(expr, &mut |part| settle_part(part, group_by, set));
}

fn settle_part(part: Part<'_>, group_by: &[Expr], set: &[usize]) {
    match part {
        Part::Expr(expr) => settle(expr, group_by, set),
        Part::Query(query) => {
            rewrite::parts(query, &mut |part| settle_part(part, group_by, set));
        }
    }
}

fn windows(expr: &Expr) -> bool {
    let mut found = matches!(&expr.kind, ExprKind::Call(c) if c.kind == CallKind::Window);
    expr.children(&mut |e| found |= windows(e));
    found
}
