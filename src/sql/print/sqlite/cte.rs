//! WITH, recursive or not; and which relations a query defines itself.

use std::collections::HashSet;

use super::Value;
use super::names::{Printer, Rel, as_columns, logical_columns, output_name};
use crate::error::{Error, Result};
use crate::sql::ast::SetOp;
use crate::sql::ir::{Body, Cte, Expr, ExprKind, From, Query};
use crate::sql::types::tables;

impl Printer {
    /// `WITH … `, or nothing.
    pub(super) fn with(&mut self, recursive: bool, ctes: &[Cte]) -> Result<String> {
        if ctes.is_empty() {
            return Ok(String::new());
        }
        let mut parts = Vec::with_capacity(ctes.len());
        for cte in ctes {
            let name = self.unique(&cte.name);
            let refers = recursive && mentions_cte(&cte.query, cte.id);
            let sql = if refers {
                // The recursive term reads what the first one wrote: logical cells for both.
                let columns = logical_columns(&cte.query.columns);
                self.ctes.insert(cte.id, Rel { qualifier: name.clone(), columns });
                self.recursive_query(&cte.query)?
            } else {
                let (sql, outputs) = self.query(&cte.query, false)?;
                let columns = as_columns(&outputs);
                self.ctes.insert(cte.id, Rel { qualifier: name.clone(), columns });
                sql
            };
            let count = cte.query.columns.len();
            let columns: Vec<String> = (0..count).map(output_name).collect();
            let columns =
                if count == 0 { String::new() } else { format!("({})", columns.join(", ")) };
            let materialized = match cte.materialized {
                // Read twice, a volatile value must be one value.
                _ if is_volatile(&cte.query) => "MATERIALIZED ",
                Some(true) => "MATERIALIZED ",
                Some(false) => "NOT MATERIALIZED ",
                None => "",
            };
            parts.push(format!("{name}{columns} AS {materialized}({sql})"));
        }
        let word = if recursive { "WITH RECURSIVE" } else { "WITH" };
        Ok(format!("{word} {} ", parts.join(", ")))
    }

    /// `first UNION [ALL] recursive`: SQLite wants the recursive term unwrapped.
    fn recursive_query(&mut self, query: &Query) -> Result<String> {
        let Body::Set { op: SetOp::Union, all, left, right } = &query.body else {
            return Err(Error::unsupported("this recursive query"));
        };
        let plain_end =
            query.order_by.is_empty() && query.limit.is_none() && query.offset.is_none();
        if !plain_end {
            return Err(Error::unsupported("ORDER BY or LIMIT in a recursive query"));
        }
        let (first, outputs) = self.query(left, true)?;
        let Body::Select(select) = &right.body else {
            return Err(Error::unsupported("this recursive term"));
        };
        let simple = right.ctes.is_empty()
            && right.order_by.is_empty()
            && right.limit.is_none()
            && right.offset.is_none()
            && select.distinct.is_none()
            && !select.grouped;
        if !simple {
            return Err(Error::unsupported("this recursive term"));
        }
        if !*all && !outputs.iter().all(super::set::whole) {
            return Err(Error::unsupported("UNION over these types in a recursive query"));
        }
        let core = self.core(select, &right.columns, true)?;
        let word = if *all { "UNION ALL" } else { "UNION" };
        Ok(format!("SELECT * FROM ({first}) {word} {}", core.sql(false, "")))
    }

    /// The columns of a query's output under an alias of its own.
    pub(super) fn under(&mut self, alias: &str, outputs: &[Value]) -> Vec<Value> {
        as_columns(outputs)
            .into_iter()
            .map(|c| Value {
                sql: format!("{alias}.{}", c.name),
                codec: c.codec,
                ty: c.ty,
                collated: c.collated,
                not_null: c.not_null,
            })
            .collect()
    }
}

/// Whether a query reads a CTE anywhere.
fn mentions_cte(query: &Query, id: u32) -> bool {
    let mut seen = Walk::default();
    seen.query(query);
    seen.ctes.contains(&id)
}

/// Whether every relation that a query's expressions name is defined inside it.
pub(super) fn self_contained(query: &Query) -> bool {
    let mut seen = Walk::default();
    seen.query(query);
    seen.used.is_subset(&seen.defined)
}

/// Whether a query computes something anew for each row.
pub(super) fn is_volatile(query: &Query) -> bool {
    let mut seen = Walk::default();
    seen.query(query);
    seen.volatile
}

/// Whether an expression computes something anew at each evaluation.
pub(super) fn is_volatile_expr(expr: &Expr) -> bool {
    let mut seen = Walk::default();
    seen.expr(expr);
    seen.volatile
}

/// Whether an expression names a relation, in subqueries too.
pub(super) fn mentions_relation(expr: &Expr, rel: u32) -> bool {
    let mut seen = Walk::default();
    seen.expr(expr);
    seen.used.contains(&rel)
}

/// Whether an expression names a relation that is neither `rel` nor its own.
pub(super) fn mentions_other(expr: &Expr, rel: u32) -> bool {
    let mut seen = Walk::default();
    seen.expr(expr);
    seen.used.iter().any(|u| *u != rel && !seen.defined.contains(u))
}

/// Whether a subquery of an expression reads a table.
pub(super) fn reads_table(expr: &Expr, table_oid: u32) -> bool {
    let mut seen = Walk::default();
    seen.expr(expr);
    seen.tables.contains(&table_oid)
}

/// What occurs in a tree.
#[derive(Default)]
struct Walk {
    tables: HashSet<u32>,
    used: HashSet<u32>,
    defined: HashSet<u32>,
    ctes: HashSet<u32>,
    volatile: bool,
}

impl Walk {
    fn query(&mut self, query: &Query) {
        query.ctes.iter().for_each(|c| self.query(&c.query));
        match &query.body {
            Body::Select(select) => {
                select.from.iter().for_each(|f| self.from(f));
                select.targets.iter().for_each(|e| self.expr(e));
                select.distinct.iter().flatten().for_each(|e| self.expr(e));
                select.filter.iter().for_each(|e| self.expr(e));
                select.group_by.iter().for_each(|e| self.expr(e));
                select.having.iter().for_each(|e| self.expr(e));
            }
            Body::Values(rows) => rows.iter().flatten().for_each(|e| self.expr(e)),
            Body::Set { left, right, .. } => {
                self.query(left);
                self.query(right);
            }
        }
        query.order_by.iter().for_each(|s| self.expr(&s.expr));
        query.limit.iter().chain(&query.offset).for_each(|e| self.expr(e));
    }

    fn from(&mut self, from: &From) {
        match from {
            From::Table { rel, table, .. } => {
                self.tables.insert(table.0.oid);
                self.defined.insert(*rel);
            }
            From::Cte { rel, cte, .. } => {
                self.defined.insert(*rel);
                self.ctes.insert(*cte);
            }
            From::Subquery { rel, query, .. } => {
                self.defined.insert(*rel);
                self.query(query);
            }
            From::Function { rel, call, .. } => {
                self.defined.insert(*rel);
                call.args.iter().for_each(|e| self.expr(e));
            }
            From::Join { left, right, on, .. } => {
                self.from(left);
                self.from(right);
                on.iter().for_each(|e| self.expr(e));
            }
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Column(rel, _) => {
                self.used.insert(*rel);
            }
            ExprKind::Subquery(q) | ExprKind::Exists(q) | ExprKind::ArraySubquery(q) => {
                self.query(q);
            }
            ExprKind::Call(call) => {
                self.volatile |=
                    tables().proc_by_oid(call.oid).is_some_and(|p| p.volatility == b'v');
                expr.children(&mut |e| self.expr(e));
            }
            ExprKind::SubqueryCompare { row, query, .. } => {
                row.iter().for_each(|e| self.expr(e));
                self.query(query);
            }
            _ => expr.children(&mut |e| self.expr(e)),
        }
    }
}
