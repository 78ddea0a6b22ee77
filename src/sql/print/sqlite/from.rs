//! FROM: tables, subqueries, functions, joins.

use super::Value;
use super::call::{expand, unsupported_function};
use super::codec;
use super::names::{
    Column, Printer, Rel, as_columns, logical_columns, output_name, output_names, table_name,
};
use super::registry::{Kind, lookup};
use crate::error::{Error, Result};
use crate::schema::Codec;
use crate::sql::ast::JoinKind;
use crate::sql::fault;
use crate::sql::ir::{Body, Call, Expr, ExprKind, From, Output, Query};
use crate::value::{Cell, Type};

impl Printer {
    /// The items of a FROM clause, cross-joined; empty when there are none.
    pub(super) fn tables(&mut self, items: &[From]) -> Result<String> {
        let mut sql = String::new();
        for (i, item) in items.iter().enumerate() {
            let text = self.table_item(item)?;
            // SQLite joins strictly left to right: a join right of a comma needs parentheses,
            // unless it is itself such a chain.
            if i > 0 && !is_chain(item) {
                sql.push_str(&format!(" JOIN ({text})"));
            } else if i > 0 {
                sql.push_str(&format!(" JOIN {text}"));
            } else {
                sql = text;
            }
        }
        Ok(sql)
    }

    /// ` FROM …`, or nothing.
    pub(super) fn tables_clause(&mut self, items: &[From]) -> Result<String> {
        let items = self.tables(items)?;
        Ok(if items.is_empty() { items } else { format!(" FROM {items}") })
    }

    fn table_item(&mut self, item: &From) -> Result<String> {
        match item {
            From::Table { rel, table, alias } => {
                let name = table_name(&table.0);
                let whole = if std::mem::take(&mut self.whole) { " NOT INDEXED" } else { "" };
                let alias = self.bind_table(*rel, &table.0, alias);
                Ok(format!("{name} AS {alias}{whole}"))
            }
            From::Cte { rel, cte, alias, columns } if self.steps.contains_key(cte) => {
                Ok(self.step_rows(*rel, *cte, alias, columns))
            }
            From::Cte { rel, cte, alias, .. } => {
                let bound = self
                    .ctes
                    .get(cte)
                    .cloned()
                    .ok_or_else(|| Error::internal("a CTE is used before it is defined"))?;
                let alias = self.bind_outputs(*rel, alias, bound.columns);
                Ok(format!("{} AS {alias}", bound.qualifier))
            }
            From::Subquery { rel, query, alias, lateral, .. } => {
                if *lateral && !super::cte::self_contained(query) {
                    if always_one_row(query) {
                        return self.lateral(*rel, query, alias);
                    }
                    return self.lateral_rows(*rel, query, alias);
                }
                let (sql, outputs) = self.query(query, false)?;
                // Flattened, a volatile value would be computed wherever it is used.
                let sql = if super::cte::is_volatile(query) {
                    let rows = self.unique("rows");
                    let names = output_names(outputs.len());
                    format!("WITH {rows}({names}) AS MATERIALIZED ({sql}) SELECT * FROM {rows}")
                } else {
                    sql
                };
                let alias = self.bind_outputs(*rel, alias, as_columns(&outputs));
                Ok(format!("({sql}) AS {alias}"))
            }
            From::Function { rel, call, alias, columns, ordinality, .. } => {
                self.function(*rel, call, alias, columns, *ordinality)
            }
            From::Join { kind, left, right, on } => self.join(*kind, left, right, on.as_ref()),
        }
    }

    fn join(
        &mut self,
        kind: JoinKind,
        left: &From,
        right: &From,
        on: Option<&Expr>,
    ) -> Result<String> {
        let a = self.table_item(left)?;
        let mut b = match right {
            // One row or none: NULLs where there is none, as LEFT JOIN wants them.
            From::Subquery { rel, query, alias, lateral: true, .. }
                if kind == JoinKind::Left
                    && on.is_none_or(is_true)
                    && query.offset.is_none()
                    && super::quantified::yields_one_row(query)
                    && !super::cte::self_contained(query) =>
            {
                self.lateral(*rel, query, alias)?
            }
            // Another condition decides whether the row counts.
            From::Subquery { rel, query, alias, lateral: true, .. }
                if kind == JoinKind::Left && !super::cte::self_contained(query) =>
            {
                self.lateral_rows(*rel, query, alias)?
            }
            _ => self.table_item(right)?,
        };
        if matches!(right, From::Join { .. }) {
            b = format!("({b})");
        }
        if matches!(kind, JoinKind::Left | JoinKind::Full) {
            self.mark_nullable(right);
        }
        if matches!(kind, JoinKind::Right | JoinKind::Full) {
            self.mark_nullable(left);
        }
        // CROSS JOIN would fix SQLite's join order.
        let word = match kind {
            JoinKind::Inner | JoinKind::Cross => "JOIN",
            JoinKind::Left if fault::on("left_join") => "JOIN",
            JoinKind::Left => "LEFT JOIN",
            JoinKind::Right => "RIGHT JOIN",
            JoinKind::Full => "FULL JOIN",
        };
        Ok(match on {
            Some(on) => format!("{a} {word} {b} ON {}", self.logical(on)?),
            None if matches!(kind, JoinKind::Inner | JoinKind::Cross) => format!("{a} {word} {b}"),
            None => format!("{a} {word} {b} ON TRUE"),
        })
    }

    /// A correlated subquery of one row: SQLite has no LATERAL, so each of its columns
    /// becomes a scalar subquery where it is used.
    fn lateral(&mut self, rel: u32, query: &Query, alias: &str) -> Result<String> {
        let (sql, outputs) = self.query(query, true)?;
        let alias = self.unique(alias);
        let inner = self.unique("one");
        let columns = outputs
            .iter()
            .zip(&query.columns)
            .map(|(output, column)| Column {
                name: format!("(SELECT {inner}.{} FROM ({sql}) AS {inner})", output.sql),
                codec: Codec::Identity,
                ty: column.ty,
                collated: false,
                not_null: false,
            })
            .collect();
        self.rels.insert(rel, Rel { qualifier: String::new(), columns });
        Ok(format!("(SELECT 1) AS {alias}"))
    }

    /// Columns of an outer join's inner side may be NULL whatever their tables say.
    fn mark_nullable(&mut self, item: &From) {
        match item {
            From::Join { left, right, .. } => {
                self.mark_nullable(left);
                self.mark_nullable(right);
            }
            From::Table { rel, .. }
            | From::Cte { rel, .. }
            | From::Subquery { rel, .. }
            | From::Function { rel, .. } => {
                if let Some(bound) = self.rels.get_mut(rel) {
                    bound.columns.iter_mut().for_each(|c| c.not_null = false);
                }
            }
        }
    }

    /// A function in FROM: a set-returning one from the registry, or a scalar one as one row.
    fn function(
        &mut self,
        rel: u32,
        call: &Call,
        alias: &str,
        columns: &[Output],
        ordinality: bool,
    ) -> Result<String> {
        if call.lite {
            return self.lite_function(rel, call, alias, columns);
        }
        let mut args = Vec::with_capacity(call.args.len());
        for arg in &call.args {
            args.push(self.value(arg)?);
        }
        if let [json] = args.as_slice()
            && let Some(set) = defined_by_caller(&call.name)
        {
            return self.json_record(rel, json, &call.name, set, alias, columns, ordinality);
        }
        let types: Vec<u32> = args.iter().map(|v: &Value| v.ty.oid).collect();
        let result = columns.first().map_or(Type::new(0), |c| c.ty);
        // Several arrays at once are zipped, short ones end in NULLs.
        let zipped = (call.name == "unnest" && args.len() > 1).then(|| {
            let columns: Vec<String> =
                (1..=args.len()).map(|i| format!("pg_row_get(%.\"value\",{i},@e{i})")).collect();
            format!("json_each(pg_zip($*)) {}", columns.join(" "))
        });
        let listed = lookup(Kind::Table, &call.name, &types);
        if let Some(template) = zipped.as_deref().or(listed) {
            let values = columns.len() - usize::from(ordinality);
            // No blank inside a table's call: what follows the first are its columns.
            let mut words = template.split(' ');
            let table = expand(words.next().unwrap_or_default(), &args, result)?;
            let mut specs: Vec<&str> = words.collect();
            if specs.is_empty() {
                specs.push("%.\"value\"");
            }
            if values != specs.len() {
                return Err(unsupported_function(&call.name, &types));
            }
            let alias = self.unique(alias);
            let mut names = specs
                .into_iter()
                .map(|s| Ok(expand(s, &args, result)?.replace('%', &alias)))
                .collect::<Result<Vec<_>>>()?;
            if ordinality {
                names.push(format!("({alias}.\"key\" + 1)"));
            }
            let bound = names
                .into_iter()
                .zip(columns)
                .map(|(name, c)| Column {
                    name: if call.name == "unnest" && zipped.is_none() {
                        codec::listed(&name, c.ty)
                    } else {
                        name
                    },
                    codec: Codec::Identity,
                    ty: c.ty,
                    collated: false,
                    not_null: false,
                })
                .collect();
            self.rels.insert(rel, Rel { qualifier: String::new(), columns: bound });
            return Ok(format!("{table} AS {alias}"));
        }
        if ordinality || columns.len() != 1 || call.kind != crate::sql::ir::CallKind::Scalar {
            return Err(unsupported_function(&call.name, &types));
        }
        let value = self.scalar_call(call, result)?;
        let alias = self.bind_outputs(rel, alias, logical_columns(columns));
        Ok(format!("(SELECT {} AS {}) AS {alias}", value.sql, output_name(0)))
    }
}

/// Whether an item is joins from left to right, in which an earlier item may stand first.
pub(super) fn is_chain(item: &From) -> bool {
    match item {
        From::Join { kind, left, .. } => {
            matches!(kind, JoinKind::Inner | JoinKind::Cross | JoinKind::Left) && is_chain(left)
        }
        _ => true,
    }
}

/// Functions whose rows are objects taken apart by the columns the caller defines: whether
/// there may be several.
fn defined_by_caller(name: &str) -> Option<bool> {
    match name {
        "json_to_record" | "jsonb_to_record" => Some(false),
        "json_to_recordset" | "jsonb_to_recordset" => Some(true),
        _ => None,
    }
}

/// Whether a condition is the constant TRUE.
fn is_true(expr: &Expr) -> bool {
    matches!(expr.kind, ExprKind::Const(Cell::Integer(1)))
}

/// Whether a query returns exactly one row.
fn always_one_row(query: &Query) -> bool {
    let Body::Select(select) = &query.body else { return false };
    let whole = query.limit.is_none() && query.offset.is_none() && select.having.is_none();
    let aggregated = select.grouped && select.group_by.is_empty();
    let bare = select.from.is_empty() && select.filter.is_none() && !select.grouped;
    whole && select.distinct.is_none() && (aggregated || bare)
}
