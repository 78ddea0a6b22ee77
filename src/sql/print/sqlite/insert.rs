//! INSERT, ON CONFLICT, RETURNING.

use super::Value;
use super::codec::logical;
use super::cte::{is_volatile, is_volatile_expr, mentions_relation};
use super::guard::{never_null, once, required};
use super::names::{Printer, as_columns, output_name, output_names};
use super::select::named;
use crate::error::{Error, Result};
use crate::schema::{Codec, Column, Relation};
use crate::sql::fault;
use crate::sql::ir::{Expr, ExprKind, Insert, InsertSource, OnConflict, Output, folded};
use crate::sql::print::quoted;

impl Printer {
    /// An INSERT statement.
    pub(super) fn insert(&mut self, insert: &Insert) -> Result<(String, Vec<Value>)> {
        let table = &insert.table.0;
        writable(table)?;
        let with = self.with(insert.recursive, &insert.ctes)?;
        self.refuse_with(&with)?;
        let (target, _) = self.target_names(insert.rel, table, &insert.alias)?;
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
        let or = if insert.replace { "OR REPLACE " } else { "" };
        let mut sql = format!("{with}INSERT {or}INTO {target}");
        if targets.is_empty() {
            if !self.checks.is_empty() {
                return Err(Error::unsupported("DEFAULT VALUES on a table with such a CHECK"));
            }
            sql.push_str(" DEFAULT VALUES");
        } else {
            let names: Vec<String> = targets.iter().map(|c| quoted(&c.sqlite_name)).collect();
            sql.push_str(&format!(" ({})", names.join(", ")));
            sql.push_str(&self.rows(insert, &targets)?);
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

    /// ` VALUES …` or ` SELECT …`, guarded where the table or ON CONFLICT asks for it.
    pub(super) fn rows(&mut self, insert: &Insert, targets: &[&Column]) -> Result<String> {
        let keys = second_touch(insert);
        let mut volatile = false;
        let mut order = String::new();
        let (mut source, name) = match &insert.source {
            InsertSource::Values(rows) => {
                let mut lines = Vec::with_capacity(rows.len());
                for row in rows {
                    let mut items = Vec::with_capacity(row.len());
                    for ((expr, column), index) in row.iter().zip(targets).zip(&insert.columns) {
                        let item = self.encoded(expr, column.codec, column.ty)?;
                        let sure = never_null(expr);
                        items.push(required(&insert.table.0, *index as usize, item, sure));
                    }
                    lines.push(format!("({})", items.join(", ")));
                }
                if self.checks.is_empty() && keys.is_empty() {
                    return Ok(format!(" VALUES {}", lines.join(", ")));
                }
                (format!("VALUES {}", lines.join(", ")), "column")
            }
            InsertSource::Query { rel, query, exprs } => {
                let (inner, outputs) = self.query(query, false)?;
                let source = self.bind_outputs(*rel, "source", as_columns(&outputs));
                let mut items = Vec::with_capacity(exprs.len());
                volatile = is_volatile(query) || exprs.iter().any(is_volatile_expr);
                self.may_draw = true;
                for (i, (expr, column)) in exprs.iter().zip(targets).enumerate() {
                    let item = self.encoded(expr, column.codec, column.ty)?;
                    let index = insert.columns.get(i).map_or(usize::MAX, |c| *c as usize);
                    let item = required(&insert.table.0, index, item, never_null(expr));
                    items.push(format!("{item} AS {}", output_name(i)));
                }
                self.may_draw = false;
                let items = items.join(", ");
                // What is volatile is computed once for each row, after the rows' own ORDER BY.
                let select = if volatile {
                    format!(
                        "WITH {source}({}) AS MATERIALIZED ({inner}) SELECT {items} FROM {source}",
                        output_names(outputs.len())
                    )
                } else {
                    format!("SELECT {items} FROM ({inner}) AS {source}")
                };
                if self.checks.is_empty() && keys.is_empty() {
                    // WHERE TRUE keeps ON CONFLICT from being read as a join's ON.
                    return Ok(format!(" {select} WHERE TRUE"));
                }
                (select, "c")
            }
        };
        let table = &insert.table.0;
        let alias = self.unique("proposed");
        // Columns left out are NULL, unless SQLite fills them in by itself.
        let mut new: Vec<Option<Value>> = table
            .columns
            .iter()
            .enumerate()
            .map(|(i, c)| {
                let filled = table.rowid_alias == Some(i)
                    || c.sqlite_default.is_some()
                    || c.computed_by_file();
                (!filled).then(|| Value::logical("NULL", c.ty))
            })
            .collect();
        let mut items = Vec::with_capacity(targets.len());
        for (i, (index, column)) in insert.columns.iter().zip(targets).enumerate() {
            let sql = format!("{alias}.\"{name}{}\"", i + 1);
            if let Some(slot) = new.get_mut(*index as usize) {
                *slot = Some(Value {
                    sql: sql.clone(),
                    codec: column.codec,
                    ty: column.ty,
                    collated: column.collation.is_some(),
                    not_null: false,
                });
            }
            items.push(sql);
        }
        if let Some(first) = items.first_mut() {
            let keys: Option<Vec<Value>> =
                keys.iter().map(|k| new.get(*k as usize).cloned().flatten()).collect();
            let mut guarded = self.checked(table, first.clone(), &new)?;
            if let Some(keys) = keys.filter(|k| !k.is_empty()) {
                guarded = once(&guarded, &keys);
                // Looking for equal keys sorts the rows: they go in as they came.
                source = format!("SELECT *, row_number() OVER () AS \"row\" FROM ({source})");
                order = format!(" ORDER BY {alias}.\"row\"");
            }
            *first = guarded;
        }
        let items = items.join(", ");
        if volatile {
            let mut names = output_names(targets.len());
            if !order.is_empty() {
                names.push_str(", \"row\"");
            }
            return Ok(format!(
                " WITH {alias}({names}) AS MATERIALIZED ({source}) \
                 SELECT {items} FROM {alias} WHERE TRUE{order}"
            ));
        }
        Ok(format!(" SELECT {items} FROM ({source}) AS {alias} WHERE TRUE{order}"))
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
            let mut expressions = Vec::with_capacity(conflict.expressions.len());
            for key in &conflict.expressions {
                // As the index is written: see `Enforced::folds`.
                expressions.push(match folded(key.clone()) {
                    Some((upper, text)) => {
                        let name = if upper { "upper" } else { "lower" };
                        format!("{name}({})", p.logical(&text)?)
                    }
                    None => p.logical(key)?,
                });
            }
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
        let set = self.assignments(insert.rel, table, assignments)?;
        sql.push_str(&format!(" DO UPDATE SET {set}"));
        if let Some(filter) = filter
            && !fault::on("upsert_where")
        {
            sql.push_str(&format!(" WHERE {}", self.logical(filter)?));
        }
        Ok(sql)
    }

    /// `"a" = …, "b" = …`, encoded for the columns.
    pub(super) fn assignments(
        &mut self,
        rel: u32,
        table: &Relation,
        assignments: &[(u32, Expr)],
    ) -> Result<String> {
        let mut parts = Vec::with_capacity(assignments.len());
        if !self.checks.is_empty() && assignments.iter().any(|(_, e)| is_volatile_expr(e)) {
            return Err(Error::unsupported("a volatile value under such a CHECK constraint"));
        }
        self.may_draw = true;
        for (index, expr) in assignments {
            let column = table
                .columns
                .get(*index as usize)
                .ok_or_else(|| Error::internal("column index out of range"))?;
            let value = self.encoded(expr, column.codec, column.ty)?;
            let value = required(table, *index as usize, value, never_null(expr));
            parts.push((*index, quoted(&column.sqlite_name), value));
        }
        self.may_draw = false;
        if !self.checks.is_empty() {
            let mut new = Vec::with_capacity(table.columns.len());
            for (i, column) in table.columns.iter().enumerate() {
                let mut value = self.column(rel, i as u32)?;
                if let Some((.., sql)) = parts.iter().find(|p| p.0 as usize == i) {
                    value.sql.clone_from(sql);
                }
                new.push((!column.computed_by_file()).then_some(value));
            }
            if let Some((_, _, sql)) = parts.first_mut() {
                *sql = self.checked(table, sql.clone(), &new)?;
            }
        }
        let parts: Vec<String> =
            parts.into_iter().map(|(_, name, value)| format!("{name} = {value}")).collect();
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
        Ok(super::names::read(Value {
            sql: format!("excluded.{}", column.name),
            codec: column.codec,
            ty: column.ty,
            collated: column.collated,
            not_null: column.not_null,
        }))
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
                if p.tables.get(&rel).is_some_and(|t| super::cte::reads_table(expr, t.oid)) {
                    return Err(Error::unsupported(
                        "a subquery over the written table in RETURNING",
                    ));
                }
                let value = p.value(expr)?;
                let stored = value.ty == output.ty && !p.plain_returning;
                let keep = value.codec == Codec::Identity || stored;
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

/// The conflict columns whose repetition within the command PostgreSQL refuses.
fn second_touch(insert: &Insert) -> &[u32] {
    let several = match &insert.source {
        InsertSource::Values(rows) => rows.len() > 1,
        InsertSource::Query { .. } => true,
    };
    match &insert.on_conflict {
        // A row that the WHERE spares may be proposed again.
        Some(conflict) if several && matches!(conflict.update, Some((_, None))) => {
            &conflict.columns
        }
        _ => &[],
    }
}

/// Refuses tables that no plan may write.
pub(super) fn writable(table: &Relation) -> Result<()> {
    match table.kind {
        crate::schema::RelationKind::System => Err(Error::client(
            crate::error::state::INSUFFICIENT_PRIVILEGE,
            format!("permission denied: \"{}\" is a system catalog", table.name),
        )),
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
