//! Queries.

use super::{Printer, output_name};
use crate::error::Result;
use crate::sql::ast::SetOp;
use crate::sql::ir::{Body, Cte, Expr, Query, Select};
use crate::sql::print::quoted;

impl Printer<'_> {
    /// A query; at the top its columns keep their names, elsewhere they are `c1` ….
    pub(super) fn query(&mut self, query: &Query, top: bool) -> Result<String> {
        let mut sql = self.with(query.recursive, &query.ctes)?;
        sql.push_str(&match &query.body {
            Body::Select(select) => self.select(query, select, top)?,
            Body::Values(rows) => {
                let rows = rows
                    .iter()
                    .map(|r| Ok(format!("({})", self.list(r, ", ")?)))
                    .collect::<Result<Vec<_>>>()?;
                let alias = self.unique("v");
                let inner: Vec<String> = (0..query.columns.len()).map(output_name).collect();
                let list: Vec<String> = inner
                    .iter()
                    .zip(&query.columns)
                    .map(|(n, c)| {
                        format!("{n} AS {}", if top { quoted(&c.name) } else { n.clone() })
                    })
                    .collect();
                format!(
                    "SELECT {} FROM (VALUES {}) AS {alias}({})",
                    list.join(", "),
                    rows.join(", "),
                    inner.join(", ")
                )
            }
            Body::Set { op, all, left, right } => {
                let word = match op {
                    SetOp::Union => "UNION",
                    SetOp::Intersect => "INTERSECT",
                    SetOp::Except => "EXCEPT",
                };
                let all = if *all { " ALL" } else { "" };
                format!("({}) {word}{all} ({})", self.query(left, top)?, self.query(right, top)?)
            }
        });
        if !query.order_by.is_empty() {
            let sorts = self.sorts(&query.order_by)?;
            if !sorts.is_empty() {
                sql.push_str(&format!(" ORDER BY {sorts}"));
            }
        }
        if let Some(limit) = &query.limit {
            let limit = self.expr(limit)?;
            sql.push_str(&if query.with_ties {
                format!(" FETCH FIRST ({limit}) ROWS WITH TIES")
            } else {
                format!(" LIMIT {limit}")
            });
        }
        if let Some(offset) = &query.offset {
            sql.push_str(&format!(" OFFSET {}", self.expr(offset)?));
        }
        if query.locks {
            sql.push_str(" FOR UPDATE");
        }
        Ok(sql)
    }

    pub(super) fn with(&mut self, recursive: bool, ctes: &[Cte]) -> Result<String> {
        if ctes.is_empty() {
            return Ok(String::new());
        }
        let mut parts = Vec::with_capacity(ctes.len());
        for cte in ctes {
            let name = self.unique(&cte.name);
            self.ctes.insert(cte.id, name.clone());
            let columns: Vec<String> = (0..cte.query.columns.len()).map(output_name).collect();
            let materialized = match cte.materialized {
                Some(true) => "MATERIALIZED ",
                Some(false) => "NOT MATERIALIZED ",
                None => "",
            };
            let sql = self.query(&cte.query, false)?;
            parts.push(format!("{name}({}) AS {materialized}({sql})", columns.join(", ")));
        }
        let word = if recursive { "WITH RECURSIVE" } else { "WITH" };
        Ok(format!("{word} {} ", parts.join(", ")))
    }

    fn select(&mut self, query: &Query, select: &Select, top: bool) -> Result<String> {
        let from = self.tables_clause("FROM", &select.from)?;
        let distinct = match &select.distinct {
            None => String::new(),
            Some(on) if on.is_empty() => "DISTINCT ".to_owned(),
            Some(on) => format!("DISTINCT ON ({}) ", self.list(on, ", ")?),
        };
        let mut list = Vec::with_capacity(select.targets.len());
        for (i, (target, column)) in select.targets.iter().zip(&query.columns).enumerate() {
            let name = if top { quoted(&column.name) } else { output_name(i) };
            let mut target_sql = self.expr(target)?;
            if self.lite && super::lite::is_text(target.ty) {
                target_sql = format!("({target_sql}) COLLATE \"C\"");
            }
            list.push(format!("{target_sql} AS {name}"));
        }
        let mut sql = format!("SELECT {distinct}{}{from}", list.join(", "));
        if let Some(filter) = &select.filter {
            sql.push_str(&format!(" WHERE {}", self.expr(filter)?));
        }
        if let Some(sets) = &select.grouping_sets {
            let mut parts = Vec::with_capacity(sets.len());
            for set in sets {
                let keys: Vec<Expr> =
                    set.iter().filter_map(|n| select.group_by.get(*n)).cloned().collect();
                parts.push(format!("({})", self.list(&keys, ", ")?));
            }
            sql.push_str(&format!(" GROUP BY GROUPING SETS ({})", parts.join(", ")));
        } else if !select.group_by.is_empty() {
            sql.push_str(&format!(" GROUP BY {}", self.list(&select.group_by, ", ")?));
        }
        if let Some(having) = &select.having {
            sql.push_str(&format!(" HAVING {}", self.expr(having)?));
        }
        Ok(sql)
    }
}
