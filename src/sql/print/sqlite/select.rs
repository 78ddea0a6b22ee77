//! Queries: SELECT with DISTINCT, grouping, ordering and limits; VALUES.

use super::Value;
use super::codec::{Class, comparable, logical, suits};
use super::names::{Printer, as_columns, output_name};
use crate::error::{Error, Result};
use crate::schema::{Codec, RelationKind};
use crate::sql::ir::{Body, CallKind, CastKind, Expr, ExprKind, From, Output, Query, Select, Sort};
use crate::value::{Cell, Type, oid};

/// A printed SELECT before DISTINCT, ORDER BY and LIMIT are decided.
pub(super) struct Core {
    /// Output expressions.
    pub(super) targets: Vec<Value>,
    /// FROM … HAVING.
    tail: String,
}

impl Core {
    /// The text; `extra` is appended to the select list.
    pub(super) fn sql(&self, distinct: bool, extra: &str) -> String {
        let list: Vec<String> = self
            .targets
            .iter()
            .enumerate()
            .map(|(i, t)| format!("{} AS {}", t.sql, output_name(i)))
            .collect();
        let list = if list.is_empty() { "NULL AS \"c0\"".to_owned() } else { list.join(", ") };
        let distinct = if distinct { "DISTINCT " } else { "" };
        format!("SELECT {distinct}{list}{extra}{}", self.tail)
    }
}

impl Printer {
    /// The statement's own query: reg* values leave it as names.
    pub(super) fn top_query(&mut self, query: &Query) -> Result<(String, Vec<Value>)> {
        // A table of the system's keeps such arrays as names; what is computed has their numbers.
        let kept = |n: usize| match &query.body {
            Body::Select(select) => {
                select.targets.get(n).is_some_and(|t| matches!(t.kind, ExprKind::Column(..)))
            }
            _ => false,
        };
        let in_array = |oid| crate::sql::types::element(oid).is_some_and(shown_by_name);
        if query.columns.iter().enumerate().any(|(n, c)| in_array(c.ty.oid) && !kept(n)) {
            return Err(Error::unsupported("an array of names of objects as a result"));
        }
        if !query.columns.iter().any(|c| shown_by_name(c.ty.oid)) {
            return self.query(query, false);
        }
        let Body::Select(select) = &query.body else {
            return Err(Error::unsupported("a set operation over names of objects"));
        };
        if select.distinct.is_some() {
            return Err(Error::unsupported("DISTINCT over names of objects"));
        }
        let mut named = query.clone();
        let mut select = select.clone();
        for (n, column) in query.columns.iter().enumerate() {
            if !shown_by_name(column.ty.oid) {
                continue;
            }
            let Some(target) = select.targets.get_mut(n) else { continue };
            for sort in &mut named.order_by {
                if sort.expr.kind == ExprKind::OutputColumn(n as u32) {
                    sort.expr = target.clone();
                }
            }
            let text = Type::new(oid::TEXT);
            *target = Expr {
                kind: ExprKind::Cast(Box::new(target.clone()), CastKind::Explicit),
                ty: text,
                pos: target.pos,
            };
            named.columns[n].ty = text;
        }
        named.body = Body::Select(select);
        self.query(&named, false)
    }

    /// A query with output columns `c1` …; `plain` asks for logical cells throughout.
    /// The values returned name the output columns without qualifier.
    pub(super) fn query(&mut self, query: &Query, plain: bool) -> Result<(String, Vec<Value>)> {
        let outer = std::mem::take(&mut self.outputs);
        let with = self.with(query.recursive, &query.ctes)?;
        self.targets_draw = query.order_by.is_empty()
            && matches!(&query.body, Body::Select(s) if s.distinct.is_none());
        let result = match &query.body {
            Body::Select(select) => self.select(query, select, plain),
            _ if query.with_ties => Err(Error::unsupported("WITH TIES here")),
            Body::Values(rows) => self.values_query(query, rows),
            Body::Set { op, all, left, right } => {
                self.set_operation(query, *op, *all, left, right, plain)
            }
        };
        self.outputs = outer;
        let (sql, outputs) = result?;
        Ok((format!("{with}{sql}"), outputs))
    }

    fn select(
        &mut self,
        query: &Query,
        select: &Select,
        plain: bool,
    ) -> Result<(String, Vec<Value>)> {
        let outermost = std::mem::take(&mut self.outermost) && query.ctes.is_empty();
        if let Some(rewritten) = series_in_targets(select) {
            return self.select(query, &rewritten, plain);
        }
        if query.with_ties || limited_by_columns(query) {
            return self.numbered(query, select, plain);
        }
        if let Some(sets) = &select.grouping_sets {
            return self.grouping_sets(query, select, sets);
        }
        match &select.distinct {
            Some(on) if !on.is_empty() => return self.distinct_on(query, select, on, plain),
            Some(_) => {
                let core = self.core(select, &query.columns, plain)?;
                let safe = |v: &Value| suits(v.codec, v.ty, Class::Equality) && !v.collated;
                if core.targets.iter().all(safe) {
                    return self.finish(query, &core.sql(true, ""), core.targets);
                }
                return self.distinct_by_key(query, &core);
            }
            None => {}
        }
        self.whole = outermost && reads_whole(query, select);
        let core = self.core(select, &query.columns, plain)?;
        self.finish(query, &core.sql(false, ""), core.targets)
    }

    /// Prints the parts of SELECT … FROM … WHERE … GROUP BY … HAVING.
    pub(super) fn core(
        &mut self,
        select: &Select,
        columns: &[Output],
        plain: bool,
    ) -> Result<Core> {
        let draw = std::mem::take(&mut self.targets_draw);
        let outside = std::mem::take(&mut self.may_draw);
        let from = self.tables_clause(&select.from)?;
        let filter = match &select.filter {
            Some(filter) => format!(" WHERE {}", self.logical(filter)?),
            None => String::new(),
        };
        let mut targets = Vec::with_capacity(select.targets.len());
        for (target, column) in select.targets.iter().zip(columns) {
            self.may_draw = draw;
            let value = self.value(target)?;
            self.may_draw = false;
            // A stored value keeps its column's own type, by which it is decoded later.
            let keep = value.codec == Codec::Identity || (value.ty == column.ty && !plain);
            targets.push(if keep { value } else { Value::logical(logical(&value), column.ty) });
        }
        // SQLite takes HAVING without GROUP BY only where the select list aggregates.
        if select.grouped && select.group_by.is_empty() && !select.targets.iter().any(aggregates) {
            let Some(first) = targets.first_mut() else {
                return Err(Error::unsupported("HAVING without a select list"));
            };
            first.sql = format!("(CASE WHEN count(*) >= 0 THEN {} END)", first.sql);
        }
        let group = self.group_by(select)?;
        self.may_draw = outside;
        Ok(Core { targets, tail: format!("{from}{filter}{group}") })
    }

    fn group_by(&mut self, select: &Select) -> Result<String> {
        let mut keys = Vec::with_capacity(select.group_by.len());
        for expr in &select.group_by {
            keys.push(match &expr.kind {
                // A bare integer would be an ordinal.
                ExprKind::Const(Cell::Integer(i)) => format!("CAST({i} AS INTEGER)"),
                _ => self.comparable(expr, Class::Equality)?,
            });
        }
        let mut sql =
            if keys.is_empty() { String::new() } else { format!(" GROUP BY {}", keys.join(", ")) };
        if let Some(having) = &select.having {
            let having = self.logical(having)?;
            sql.push_str(&format!(" HAVING {having}"));
        }
        Ok(sql)
    }

    /// Adds ORDER BY and LIMIT to a printed core.
    fn finish(
        &mut self,
        query: &Query,
        core: &str,
        targets: Vec<Value>,
    ) -> Result<(String, Vec<Value>)> {
        self.outputs = targets;
        let order = self.order_by(&query.order_by)?;
        let targets = std::mem::take(&mut self.outputs);
        let limit = self.limit(query)?;
        Ok((format!("{core}{order}{limit}"), named(&targets)))
    }

    /// DISTINCT over values whose cells may differ though they are equal.
    fn distinct_by_key(&mut self, query: &Query, core: &Core) -> Result<(String, Vec<Value>)> {
        let name = self.unique("d");
        let columns: Vec<Value> = named(&core.targets)
            .into_iter()
            .map(|v| Value { sql: format!("{name}.{}", v.sql), ..v })
            .collect();
        let list: Vec<String> = columns
            .iter()
            .enumerate()
            .map(|(i, c)| format!("{} AS {}", c.sql, output_name(i)))
            .collect();
        let keys: Vec<String> = columns.iter().map(|c| comparable(c, Class::Equality)).collect();
        let sql = format!(
            "SELECT {} FROM ({}) AS {name} GROUP BY {}",
            list.join(", "),
            core.sql(false, ""),
            keys.join(", ")
        );
        let order = self.sort_outputs(query, columns)?;
        let limit = self.limit(query)?;
        Ok((format!("{sql}{order}{limit}"), named(&core.targets)))
    }

    /// ORDER BY over output columns only, which `columns` name.
    pub(super) fn sort_outputs(&mut self, query: &Query, columns: Vec<Value>) -> Result<String> {
        let mut sorts: Vec<Sort> = query.order_by.clone();
        if let Body::Select(select) = &query.body {
            for sort in &mut sorts {
                if let Some(n) = select.targets.iter().position(|t| *t == sort.expr) {
                    sort.expr.kind = ExprKind::OutputColumn(n as u32);
                }
            }
        }
        if !sorts
            .iter()
            .all(|s| matches!(s.expr.kind, ExprKind::OutputColumn(_) | ExprKind::Const(_)))
        {
            return Err(Error::unsupported("this ORDER BY together with DISTINCT"));
        }
        self.outputs = columns;
        let order = self.order_by(&sorts)?;
        self.outputs.clear();
        Ok(order)
    }

    /// DISTINCT ON: the first row of each group, by row_number.
    fn distinct_on(
        &mut self,
        query: &Query,
        select: &Select,
        on: &[Expr],
        plain: bool,
    ) -> Result<(String, Vec<Value>)> {
        // The sort keys and the row number ride along behind the output columns.
        let inner = Select { distinct: None, ..select.clone() };
        let core = self.core(&inner, &query.columns, plain)?;
        self.outputs = core.targets.clone();
        let mut extra = String::new();
        let mut outer_order = Vec::new();
        let name = self.unique("d");
        // PostgreSQL sorts by the keys, which is what it then shows where no order is asked for.
        let natural =
            |expr: &Expr| Sort { expr: expr.clone(), descending: false, nulls_first: false };
        let own: Vec<Sort> = on.iter().map(natural).collect();
        let sorts = if query.order_by.is_empty() { &own } else { &query.order_by };
        for (i, sort) in sorts.iter().enumerate() {
            if matches!(sort.expr.kind, ExprKind::Const(_)) {
                continue;
            }
            let key = self.comparable(&sort.expr, Class::Order)?;
            extra.push_str(&format!(", {key} AS \"k{i}\""));
            outer_order.push(format!(
                "{name}.\"k{i}\" {} NULLS {}",
                if sort.descending { "DESC" } else { "ASC" },
                if sort.nulls_first { "FIRST" } else { "LAST" }
            ));
        }
        let mut keys = Vec::with_capacity(on.len());
        for expr in on {
            keys.push(self.comparable(expr, Class::Equality)?);
        }
        let order = self.order_by(&query.order_by)?;
        self.outputs.clear();
        extra.push_str(&format!(
            ", row_number() OVER (PARTITION BY {}{order}) AS \"rn\"",
            keys.join(", ")
        ));
        let list: Vec<String> = (0..core.targets.len())
            .map(|i| format!("{name}.{} AS {}", output_name(i), output_name(i)))
            .collect();
        let order = if outer_order.is_empty() {
            String::new()
        } else {
            format!(" ORDER BY {}", outer_order.join(", "))
        };
        let limit = self.limit(query)?;
        let sql = format!(
            "SELECT {} FROM ({}) AS {name} WHERE {name}.\"rn\" = 1{order}{limit}",
            list.join(", "),
            core.sql(false, &extra)
        );
        Ok((sql, named(&core.targets)))
    }

    /// FETCH FIRST … WITH TIES: rows are numbered, and ranked by the sort keys. So are those
    /// of which another item of FROM says how many there may be: SQLite's LIMIT sees nothing
    /// outside of its query.
    fn numbered(
        &mut self,
        query: &Query,
        select: &Select,
        plain: bool,
    ) -> Result<(String, Vec<Value>)> {
        if select.distinct.is_some() || select.grouping_sets.is_some() {
            let what = if query.with_ties { "WITH TIES here" } else { "LIMIT by a column here" };
            return Err(Error::unsupported(what));
        }
        let core = self.core(select, &query.columns, plain)?;
        self.outputs.clone_from(&core.targets);
        let order = self.order_by(&query.order_by)?;
        self.outputs.clear();
        let extra = format!(
            ", row_number() OVER ({0}) AS \"rn\", rank() OVER ({0}) AS \"rk\"",
            order.trim_start()
        );
        let count = |p: &mut Self, e: &Option<Expr>, name: &str| match e {
            Some(e) => Ok::<_, Error>(format!("{name}({})", p.logical(e)?)),
            None => Ok("0".to_owned()),
        };
        let (limit, offset) =
            (count(self, &query.limit, "pg_limit")?, count(self, &query.offset, "pg_offset")?);
        let name = self.unique("ties");
        let list: Vec<String> = (0..core.targets.len())
            .map(|i| format!("{name}.{} AS {}", output_name(i), output_name(i)))
            .collect();
        let counted = if query.with_ties { "rk" } else { "rn" };
        let none = match query.limit {
            None => "1 OR ".to_owned(),
            Some(_) => format!("{limit} IS NULL OR "),
        };
        let offset = format!("coalesce({offset}, 0)");
        // pg_limit gives -1 for no limit.
        let sql = format!(
            "SELECT {} FROM ({}) AS {name} WHERE {name}.\"rn\" > {offset} AND ({none}{limit} < 0 \
             OR {name}.\"{counted}\" <= {offset} + {limit}) ORDER BY {name}.\"rn\"",
            list.join(", "),
            core.sql(false, &extra)
        );
        Ok((sql, named(&core.targets)))
    }

    /// VALUES as a query.
    fn values_query(&mut self, query: &Query, rows: &[Vec<Expr>]) -> Result<(String, Vec<Value>)> {
        let mut lines = Vec::with_capacity(rows.len());
        for row in rows {
            lines.push(format!("({})", self.all_logical(row)?.join(", ")));
        }
        let name = self.unique("v");
        let columns: Vec<Value> = query
            .columns
            .iter()
            .enumerate()
            .map(|(i, c)| Value::logical(format!("{name}.\"column{}\"", i + 1), c.ty))
            .collect();
        let list: Vec<String> = columns
            .iter()
            .enumerate()
            .map(|(i, c)| format!("{} AS {}", c.sql, output_name(i)))
            .collect();
        let sql =
            format!("SELECT {} FROM (VALUES {}) AS {name}", list.join(", "), lines.join(", "));
        let order = self.sort_outputs(query, columns.clone())?;
        let limit = self.limit(query)?;
        Ok((format!("{sql}{order}{limit}"), named(&columns)))
    }

    /// ` LIMIT … OFFSET …`, or nothing.
    pub(super) fn limit(&mut self, query: &Query) -> Result<String> {
        if limited_by_columns(query) {
            return Err(Error::unsupported("LIMIT by a column here"));
        }
        let count = |p: &mut Self, e: &Expr, name: &str| -> Result<String> {
            Ok(match &e.kind {
                ExprKind::Const(Cell::Integer(n)) if *n >= 0 => n.to_string(),
                _ => format!("{name}({})", p.logical(e)?),
            })
        };
        let limit = match &query.limit {
            Some(e) => Some(count(self, e, "pg_limit")?),
            None => None,
        };
        let offset = match &query.offset {
            Some(e) => Some(count(self, e, "pg_offset")?),
            None => None,
        };
        Ok(match (limit, offset) {
            (None, None) => String::new(),
            (Some(limit), None) => format!(" LIMIT {limit}"),
            (None, Some(offset)) => format!(" LIMIT -1 OFFSET {offset}"),
            (Some(limit), Some(offset)) => format!(" LIMIT {limit} OFFSET {offset}"),
        })
    }
}

/// Whether LIMIT or OFFSET depends on columns outside of the query.
fn limited_by_columns(query: &Query) -> bool {
    fn looks_outside(expr: &Expr) -> bool {
        let mut found = matches!(expr.kind, ExprKind::Column(..));
        expr.children(&mut |e| found |= looks_outside(e));
        found
    }
    query.limit.iter().chain(&query.offset).any(looks_outside)
}

/// The output columns by their names.
pub(super) fn named(targets: &[Value]) -> Vec<Value> {
    as_columns(targets)
        .into_iter()
        .map(|c| Value {
            sql: c.name,
            codec: c.codec,
            ty: c.ty,
            collated: c.collated,
            not_null: c.not_null,
        })
        .collect()
}

/// Types whose values leave as the names of what their OIDs stand for.
fn shown_by_name(type_oid: u32) -> bool {
    matches!(type_oid, oid::REGCLASS | oid::REGTYPE | oid::REGPROC | oid::REGNAMESPACE)
}

/// Whether an expression aggregates the rows of its own query.
fn aggregates(expr: &Expr) -> bool {
    let mut found = matches!(&expr.kind, ExprKind::Call(c) if c.kind == CallKind::Aggregate);
    expr.children(&mut |e| found |= aggregates(e));
    found
}

/// One set-returning call as a target of an ungrouped SELECT becomes an item of FROM.
fn series_in_targets(select: &Select) -> Option<Select> {
    let is_set =
        |e: &Expr| matches!(&e.kind, ExprKind::Call(c) if c.kind == CallKind::SetReturning);
    let at = select.targets.iter().position(is_set)?;
    let single = select.targets.iter().filter(|t| is_set(t)).count() == 1;
    if !single || select.grouped || select.distinct.is_some() {
        return None;
    }
    let mut select = select.clone();
    let target = &mut select.targets[at];
    let ExprKind::Call(call) = &target.kind else { return None };
    // Numbers of analysed relations are small; this one cannot collide.
    let rel = u32::MAX - at as u32;
    let output = Output { name: call.name.clone(), ty: target.ty, origin: (0, 0) };
    select.from.push(From::Function {
        rel,
        call: (**call).clone(),
        alias: call.name.clone(),
        columns: vec![output],
        ordinality: false,
        lateral: true,
    });
    target.kind = ExprKind::Column(rel, 0);
    Some(select)
}

/// Whether a SELECT asks for nothing but the rows of one table. They come in the table's order, as
/// from PostgreSQL, not in that of an index that has all the columns.
fn reads_whole(query: &Query, select: &Select) -> bool {
    let table = |item: &From| match item {
        From::Table { table, .. } => {
            matches!(table.0.kind, RelationKind::Table | RelationKind::Temporary)
        }
        _ => false,
    };
    matches!(select.from.as_slice(), [one] if table(one))
        && query.order_by.is_empty()
        && select.filter.is_none()
        && select.having.is_none()
        && !select.grouped
}
