//! Expressions.

use super::Printer;
use super::lite;
use super::literal::{literal, type_text};
use crate::error::{Error, Result};
use crate::sql::ir::{
    ArrayPart, Bound, Call, CastKind, Comparison, Expr, ExprKind, Op, Query, Sort, Window,
};
use crate::sql::print::quoted;
use crate::sql::types::ordered_set;
use crate::value::composite::is_made;
use crate::value::extension::Extension;
use crate::value::{Type, oid};

/// The operator a comparison is written with.
fn symbol(op: Comparison) -> &'static str {
    match op {
        Comparison::Eq => "=",
        Comparison::Ne => "<>",
        Comparison::Lt => "<",
        Comparison::Le => "<=",
        Comparison::Gt => ">",
        Comparison::Ge => ">=",
        Comparison::Like => "~~",
        Comparison::NotLike => "!~~",
        Comparison::ILike => "~~*",
        Comparison::NotILike => "!~~*",
    }
}

fn not(flag: bool) -> &'static str {
    if flag { "NOT " } else { "" }
}

impl Printer<'_> {
    pub(super) fn expr(&mut self, expr: &Expr) -> Result<String> {
        Ok(match &expr.kind {
            ExprKind::Const(cell) => literal(cell, lite::plain_type(expr.ty))?,
            ExprKind::Param(n) => format!("${n}::{}", type_text(expr.ty)?),
            ExprKind::Frozen(n) if self.live => self.live(*n)?,
            ExprKind::Frozen(n) => {
                format!("${}::{}", self.params.len() + *n as usize + 1, type_text(expr.ty)?)
            }
            ExprKind::Column(rel, index) => self.column(*rel, *index)?,
            ExprKind::OutputColumn(n) => (n + 1).to_string(),
            ExprKind::Excluded(index) => {
                let column = self
                    .excluded
                    .get(*index as usize)
                    .ok_or_else(|| Error::internal("excluded outside of DO UPDATE"))?;
                format!("excluded.{column}")
            }
            ExprKind::Op(op) => self.operator(op)?,
            ExprKind::Call(call) if call.lite => self.lite_call(call, expr.ty)?,
            ExprKind::Call(call) => self.call(call)?,
            ExprKind::And(parts) => format!("({})", self.list(parts, " AND ")?),
            ExprKind::Or(parts) => format!("({})", self.list(parts, " OR ")?),
            ExprKind::Not(inner) => format!("(NOT {})", self.expr(inner)?),
            ExprKind::IsNull(inner, n) => format!("({} IS {}NULL)", self.expr(inner)?, not(*n)),
            ExprKind::IsBool(inner, value, n) => {
                let word = match value {
                    Some(true) => "TRUE",
                    Some(false) => "FALSE",
                    None => "UNKNOWN",
                };
                format!("({} IS {}{word})", self.expr(inner)?, not(*n))
            }
            ExprKind::IsDistinct(a, b, n) => {
                format!("({} IS {}DISTINCT FROM {})", self.expr(a)?, not(*n), self.expr(b)?)
            }
            ExprKind::InList { expr, list, not: n } => {
                format!("({} {}IN ({}))", self.expr(expr)?, not(*n), self.list(list, ", ")?)
            }
            ExprKind::AnyAll { expr, op, array, all } => {
                let word = if *all { "ALL" } else { "ANY" };
                format!("({} {} {word} ({}))", self.expr(expr)?, symbol(*op), self.expr(array)?)
            }
            ExprKind::Case { branches, otherwise } => self.case(branches, otherwise.as_deref())?,
            ExprKind::Coalesce(items) => format!("COALESCE({})", self.list(items, ", ")?),
            ExprKind::MinMax(greatest, items) => {
                let name = if *greatest { "GREATEST" } else { "LEAST" };
                format!("{name}({})", self.list(items, ", ")?)
            }
            ExprKind::NullIf(a, b) => format!("NULLIF({}, {})", self.expr(a)?, self.expr(b)?),
            ExprKind::Cast(inner, kind) => self.cast(inner, *kind, expr)?,
            ExprKind::Collate(inner, name) if self.lite && name == "NOCASE" => self.expr(inner)?,
            ExprKind::Collate(inner, name) => {
                format!("({} COLLATE {})", self.expr(inner)?, quoted(name))
            }
            ExprKind::Subquery(query) => format!("({})", self.query(query, false)?),
            ExprKind::Exists(query) => format!("EXISTS ({})", self.query(query, false)?),
            ExprKind::SubqueryCompare { row, op, query, all } => {
                self.subquery_compare(row, *op, query, *all)?
            }
            ExprKind::ArraySubquery(query) => format!("ARRAY({})", self.query(query, false)?),
            ExprKind::Array(items) => {
                format!("ARRAY[{}]::{}", self.list(items, ", ")?, type_text(expr.ty)?)
            }
            ExprKind::RowCompare(left, op, right) => format!(
                "(ROW({}) {} ROW({}))",
                self.list(left, ", ")?,
                symbol(*op),
                self.list(right, ", ")?
            ),
            ExprKind::Subscript(array, index) => {
                format!("({})[{}]", self.expr(array)?, self.expr(index)?)
            }
            ExprKind::ArrayPart(ArrayPart::Slice { lower, .. }, items) => {
                let items = items.iter().map(|i| self.expr(i)).collect::<Result<Vec<_>>>()?;
                match (items.as_slice(), lower) {
                    ([array], _) => format!("({array})[:]"),
                    ([array, low, high], _) => format!("({array})[{low}:{high}]"),
                    ([array, low], true) => format!("({array})[{low}:]"),
                    ([array, high], false) => format!("({array})[:{high}]"),
                    _ => return Err(Error::internal("a slice without an array")),
                }
            }
            ExprKind::ArrayPart(ArrayPart::At, items) => {
                let items = items.iter().map(|i| self.expr(i)).collect::<Result<Vec<_>>>()?;
                let [array, indexes @ ..] = items.as_slice() else {
                    return Err(Error::internal("a subscript without an array"));
                };
                format!("({array})[{}]", indexes.join("]["))
            }
            ExprKind::ArrayPart(ArrayPart::Field(_), _) => {
                return Err(Error::unsupported("a field of a row"));
            }
            ExprKind::ArrayPart(ArrayPart::Set | ArrayPart::SetSlice { .. }, _) => {
                return Err(Error::unsupported("assignment to an array element"));
            }
            ExprKind::Record(fields, exists) => self.record(fields, exists.as_deref(), expr.ty)?,
            // A session's own domains are unknown there; what passed here has passed.
            ExprKind::Domain(d) if d.temporary => self.expr(&d.value)?,
            ExprKind::Domain(d) => {
                format!("({})::{}", self.expr(&d.value)?, crate::name::quoted(&d.name))
            }
        })
    }

    pub(super) fn list(&mut self, items: &[Expr], between: &str) -> Result<String> {
        let items = items.iter().map(|i| self.expr(i)).collect::<Result<Vec<_>>>()?;
        Ok(items.join(between))
    }

    fn operator(&mut self, op: &Op) -> Result<String> {
        let right = self.expr(&op.right)?;
        Ok(match &op.left {
            Some(left) => format!("({} {} {right})", self.expr(left)?, op.name),
            None => format!("({} {right})", op.name),
        })
    }

    fn cast(&mut self, inner: &Expr, kind: CastKind, expr: &Expr) -> Result<String> {
        let text = self.expr(inner)?;
        // An assignment checks a length that an explicit cast would cut to: leave those to
        // the column.
        if kind == CastKind::Assignment && expr.ty.typmod != -1 {
            return Ok(if inner.ty.oid == expr.ty.oid {
                text
            } else {
                let bare = crate::value::Type::new(expr.ty.oid);
                format!("({text})::{}", type_text(bare)?)
            });
        }
        Ok(format!("({text})::{}", type_text(expr.ty)?))
    }

    fn case(&mut self, branches: &[(Expr, Expr)], otherwise: Option<&Expr>) -> Result<String> {
        let mut sql = "(CASE".to_owned();
        for (when, then) in branches {
            sql.push_str(&format!(" WHEN {} THEN {}", self.expr(when)?, self.expr(then)?));
        }
        if let Some(otherwise) = otherwise {
            sql.push_str(&format!(" ELSE {}", self.expr(otherwise)?));
        }
        Ok(sql + " END)")
    }

    /// A row of a type of its own, or one that keeps its fields' names as the row of a subquery.
    fn record(
        &mut self,
        fields: &[(String, Expr)],
        exists: Option<&Expr>,
        ty: Type,
    ) -> Result<String> {
        if is_made(ty.oid) && exists.is_none() {
            let values: Vec<String> =
                fields.iter().map(|(_, e)| self.expr(e)).collect::<Result<_>>()?;
            return Ok(format!("ROW({})::{}", values.join(", "), type_text(ty)?));
        }
        let mut list = Vec::with_capacity(fields.len());
        for (name, expr) in fields {
            list.push(format!("{} AS {}", self.expr(expr)?, quoted(name)));
        }
        let alias = self.unique("whole");
        let row = format!("(SELECT {alias} FROM (SELECT {}) AS {alias})", list.join(", "));
        Ok(match exists {
            Some(e) => format!("(CASE WHEN {} IS NOT NULL THEN {row} END)", self.expr(e)?),
            None => row,
        })
    }

    fn subquery_compare(
        &mut self,
        row: &[Expr],
        op: Comparison,
        query: &Query,
        all: bool,
    ) -> Result<String> {
        let left = match row {
            [one] => self.expr(one)?,
            _ => format!("ROW({})", self.list(row, ", ")?),
        };
        let word = if all { "ALL" } else { "ANY" };
        Ok(format!("({left} {} {word} ({}))", symbol(op), self.query(query, false)?))
    }

    pub(super) fn call(&mut self, call: &Call) -> Result<String> {
        // Only the bare name takes several arrays.
        if call.name == "grouping" && call.oid == 0 {
            return Ok(format!("GROUPING({})", self.list(&call.args, ", ")?));
        }
        let several = call.name == "unnest" && call.args.len() > 1;
        // An extension may live in any schema of the search path, as its types and operators.
        let bare = several || Extension::of(call.oid).is_some();
        let schema = if bare { "" } else { "pg_catalog." };
        let within = ordered_set(&call.name, call.oid);
        let mut sql = format!("{schema}{}(", quoted(&call.name));
        if call.star {
            sql.push('*');
        }
        if call.distinct {
            sql.push_str("DISTINCT ");
        }
        sql.push_str(&self.list(&call.args, ", ")?);
        if !call.order_by.is_empty() {
            let (before, after) = if within { (") WITHIN GROUP (", "") } else { ("", " ") };
            let sorts = self.sorts(&call.order_by)?;
            sql.push_str(&format!("{before}{after}ORDER BY {sorts}"));
        }
        sql.push(')');
        if let Some(filter) = &call.filter {
            sql.push_str(&format!(" FILTER (WHERE {})", self.expr(filter)?));
        }
        if let Some(over) = &call.over {
            sql.push_str(&self.over(over)?);
        }
        Ok(sql)
    }

    pub(super) fn sorts(&mut self, sorts: &[Sort]) -> Result<String> {
        let mut parts = Vec::with_capacity(sorts.len());
        for sort in sorts {
            let ordinal = matches!(sort.expr.kind, ExprKind::OutputColumn(_));
            if self.lite && sort.expr.ty.oid == oid::JSONB {
                return Err(Error::unsupported("a sort over values of different kinds"));
            }
            // A bare constant would be an ordinal.
            if self.lite && matches!(sort.expr.kind, ExprKind::Const(_)) {
                continue;
            }
            let mut key = self.expr(&sort.expr)?;
            if self.lite && !ordinal && lite::is_text(sort.expr.ty) {
                key = format!("({key}) COLLATE \"C\"");
            }
            parts.push(format!(
                "{} {} NULLS {}",
                key,
                if sort.descending { "DESC" } else { "ASC" },
                if sort.nulls_first { "FIRST" } else { "LAST" }
            ));
        }
        Ok(parts.join(", "))
    }

    pub(super) fn over(&mut self, window: &Window) -> Result<String> {
        let mut parts = Vec::new();
        if !window.partition_by.is_empty() {
            parts.push(format!("PARTITION BY {}", self.list(&window.partition_by, ", ")?));
        }
        if !window.order_by.is_empty() {
            parts.push(format!("ORDER BY {}", self.sorts(&window.order_by)?));
        }
        if let Some(frame) = &window.frame {
            let (start, end) = (self.bound(&frame.start)?, self.bound(&frame.end)?);
            let exclude = match frame.exclude {
                Some(what) if what.to_ascii_uppercase().starts_with("EXCLUDE") => {
                    format!(" {what}")
                }
                Some(what) => format!(" EXCLUDE {what}"),
                None => String::new(),
            };
            parts.push(format!("{} BETWEEN {start} AND {end}{exclude}", frame.mode));
        }
        Ok(format!(" OVER ({})", parts.join(" ")))
    }

    fn bound(&mut self, bound: &Bound) -> Result<String> {
        Ok(match bound {
            Bound::UnboundedPreceding => "UNBOUNDED PRECEDING".to_owned(),
            Bound::Preceding(n) => format!("{} PRECEDING", self.expr(n)?),
            Bound::CurrentRow => "CURRENT ROW".to_owned(),
            Bound::Following(n) => format!("{} FOLLOWING", self.expr(n)?),
            Bound::UnboundedFollowing => "UNBOUNDED FOLLOWING".to_owned(),
        })
    }
}
