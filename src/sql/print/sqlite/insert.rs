//! INSERT, ON CONFLICT, RETURNING.

use super::Value;
use super::codec::logical;
use super::cte::mentions_relation;
use super::names::{Printer, as_columns, output_name, table_name};
use super::select::named;
use crate::error::{Error, Result};
use crate::schema::{Codec, Relation};
use crate::sql::ir::{Expr, ExprKind, Insert, InsertSource, OnConflict, Output};
use crate::sql::print::quoted;

impl Printer {
    /// An INSERT statement.
    pub(super) fn insert(&mut self, insert: &Insert) -> Result<(String, Vec<Value>)> {
        let table = &insert.table.0;
        writable(table)?;
        let with = self.with(insert.recursive, &insert.ctes)?;
        let alias = self.bind_table(insert.rel, table, &insert.alias);
        let targets = insert
            .columns
            .iter()
            .map(|c| {
                table
                    .columns
                    .get(*c as usize)
                    .ok_or_else(|| Error::internal("column index out of range"))
            })
            .collect::<Result<Vec<_>>>()?;
        let mut sql = format!("{with}INSERT INTO {} AS {alias}", table_name(table));
        if targets.is_empty() {
            sql.push_str(" DEFAULT VALUES");
        } else {
            let names: Vec<String> = targets.iter().map(|c| quoted(&c.sqlite_name)).collect();
            sql.push_str(&format!(" ({})", names.join(", ")));
            match &insert.source {
                InsertSource::Values(rows) => {
                    let mut lines = Vec::with_capacity(rows.len());
                    for row in rows {
                        let mut items = Vec::with_capacity(row.len());
                        for (expr, column) in row.iter().zip(&targets) {
                            items.push(self.encoded(expr, column.codec, column.ty)?);
                        }
                        lines.push(format!("({})", items.join(", ")));
                    }
                    sql.push_str(&format!(" VALUES {}", lines.join(", ")));
                }
                InsertSource::Query { rel, query, exprs } => {
                    let (inner, outputs) = self.query(query, false)?;
                    let source = self.bind_outputs(*rel, "source", as_columns(&outputs));
                    let mut items = Vec::with_capacity(exprs.len());
                    for (expr, column) in exprs.iter().zip(&targets) {
                        items.push(self.encoded(expr, column.codec, column.ty)?);
                    }
                    // WHERE TRUE keeps ON CONFLICT from being read as a join's ON.
                    sql.push_str(&format!(
                        " SELECT {} FROM ({inner}) AS {source} WHERE TRUE",
                        items.join(", ")
                    ));
                }
            }
        }
        if let Some(conflict) = &insert.on_conflict {
            self.target = Some(insert.rel);
            let clause = self.on_conflict(insert, conflict);
            self.target = None;
            sql.push_str(&clause?);
        }
        let (returning, outputs) =
            self.returning(insert.rel, &insert.returning, &insert.outputs)?;
        sql.push_str(&returning);
        Ok((sql, outputs))
    }

    fn on_conflict(&mut self, insert: &Insert, conflict: &OnConflict) -> Result<String> {
        let table = &insert.table.0;
        let mut sql = " ON CONFLICT".to_owned();
        let mut keys: Vec<String> = conflict
            .columns
            .iter()
            .filter_map(|c| table.columns.get(*c as usize))
            .map(|c| quoted(&c.sqlite_name))
            .collect();
        let (expressions, filter) = self.unqualified(insert.rel, |p| {
            let expressions = p.all_logical(&conflict.expressions)?;
            let filter = match &conflict.index_filter {
                Some(filter) => Some(p.logical(filter)?),
                None => None,
            };
            Ok((expressions, filter))
        })?;
        keys.extend(expressions);
        if !keys.is_empty() {
            sql.push_str(&format!(" ({})", keys.join(", ")));
            if let Some(filter) = filter {
                sql.push_str(&format!(" WHERE {filter}"));
            }
        }
        let Some((assignments, filter)) = &conflict.update else {
            return Ok(sql + " DO NOTHING");
        };
        let set = self.assignments(table, assignments)?;
        sql.push_str(&format!(" DO UPDATE SET {set}"));
        if let Some(filter) = filter {
            sql.push_str(&format!(" WHERE {}", self.logical(filter)?));
        }
        Ok(sql)
    }

    /// `"a" = …, "b" = …`, encoded for the columns.
    pub(super) fn assignments(
        &mut self,
        table: &Relation,
        assignments: &[(u32, Expr)],
    ) -> Result<String> {
        let mut parts = Vec::with_capacity(assignments.len());
        for (index, expr) in assignments {
            let column = table
                .columns
                .get(*index as usize)
                .ok_or_else(|| Error::internal("column index out of range"))?;
            let value = self.encoded(expr, column.codec, column.ty)?;
            parts.push(format!("{} = {value}", quoted(&column.sqlite_name)));
        }
        Ok(parts.join(", "))
    }

    /// `excluded.column` as it is stored.
    pub(super) fn excluded(&self, index: u32) -> Result<Value> {
        let rel = self
            .target
            .ok_or_else(|| Error::internal("excluded outside of ON CONFLICT DO UPDATE"))?;
        let column = self
            .rels
            .get(&rel)
            .and_then(|r| r.columns.get(index as usize))
            .ok_or_else(|| Error::internal("column index out of range"))?;
        Ok(Value {
            sql: format!("excluded.{}", column.name),
            codec: column.codec,
            ty: column.ty,
            collated: column.collated,
            not_null: column.not_null,
        })
    }

    /// ` RETURNING …`, or nothing. SQLite wants the columns without qualifier there.
    pub(super) fn returning(
        &mut self,
        rel: u32,
        exprs: &[Expr],
        outputs: &[Output],
    ) -> Result<(String, Vec<Value>)> {
        if exprs.is_empty() {
            return Ok((String::new(), Vec::new()));
        }
        let mut targets = Vec::with_capacity(exprs.len());
        self.unqualified(rel, |p| {
            for (expr, output) in exprs.iter().zip(outputs) {
                if subquery_over(expr, rel) {
                    return Err(Error::unsupported("a correlated subquery in RETURNING"));
                }
                let value = p.value(expr)?;
                let keep = value.codec == Codec::Identity || value.ty == output.ty;
                targets.push(if keep { value } else { Value::logical(logical(&value), output.ty) });
            }
            Ok(())
        })?;
        let list: Vec<String> = targets
            .iter()
            .enumerate()
            .map(|(i, t)| format!("{} AS {}", t.sql, output_name(i)))
            .collect();
        Ok((format!(" RETURNING {}", list.join(", ")), named(&targets)))
    }
}

/// Refuses tables that no plan may write.
pub(super) fn writable(table: &Relation) -> Result<()> {
    match table.kind {
        crate::schema::RelationKind::System => Err(Error::client(
            crate::error::state::INSUFFICIENT_PRIVILEGE,
            format!("permission denied: \"{}\" is a system catalog", table.name),
        )),
        _ if table.checks.iter().any(|c| c.in_plan) => {
            Err(Error::unsupported("writing to a table with such a CHECK constraint"))
        }
        _ => Ok(()),
    }
}

/// Whether a subquery inside an expression refers to a relation outside it.
fn subquery_over(expr: &Expr, rel: u32) -> bool {
    let mut found = matches!(
        expr.kind,
        ExprKind::Subquery(_)
            | ExprKind::Exists(_)
            | ExprKind::ArraySubquery(_)
            | ExprKind::SubqueryCompare { .. }
    ) && mentions_relation(expr, rel);
    expr.children(&mut |e| found |= subquery_over(e, rel));
    found
}
