//! ANY and ALL over arrays and subqueries, scalar subqueries, ARRAY(SELECT …).

use super::Value;
use super::codec::{Class, Rounding, bare, encode_for, listed, logical, same_form, suits};
use super::compare::{compare_values, keyed, of_one_time};
use super::names::{Printer, as_columns, output_name};
use crate::error::{Error, Result};
use crate::schema::Codec;
use crate::sql::ir::{Body, Comparison, Expr, ExprKind, Query};
use crate::value::{Cell, Type};

impl Printer {
    /// `expr op ANY|ALL (array)`
    pub(super) fn any_all(
        &mut self,
        expr: &Expr,
        op: Comparison,
        array: &Expr,
        all: bool,
    ) -> Result<String> {
        let element = crate::value::element_of(array.ty.oid)
            .ok_or_else(|| Error::unsupported("ANY over this type"))?;
        if let (ExprKind::Array(items), Comparison::Eq, false) = (&array.kind, op, all)
            && !items.is_empty()
            && items.iter().all(|i| crate::value::element_of(i.ty.oid).is_none())
        {
            return self.in_list(expr, items, false);
        }
        if let (ExprKind::Array(items), Comparison::Ne, true) = (&array.kind, op, all)
            && !items.is_empty()
            && items.iter().all(|i| crate::value::element_of(i.ty.oid).is_none())
        {
            return self.in_list(expr, items, true);
        }
        let value = self.value(expr)?;
        let array = self.logical(array)?;
        let rows = format!("json_each(pg_flat(coalesce({array}, '[null]'),{element}))");
        let name = self.unique("e");
        let element = Type::new(element);
        let item = Value::logical(listed(&format!("{name}.\"value\""), element), element);
        if matches!((op, all), (Comparison::Eq, false) | (Comparison::Ne, true)) {
            let not = if all { "NOT " } else { "" };
            let (left, right) = member(value, item)?;
            return Ok(format!("({left} {not}IN (SELECT {right} FROM {rows} AS {name}))"));
        }
        let result = self.quantified(op, value, item)?;
        Ok(fold(&format!("SELECT {result} AS \"r\" FROM {rows} AS {name}"), all))
    }

    fn quantified(&mut self, op: Comparison, value: Value, item: Value) -> Result<String> {
        let call = |name: &str| format!("{name}({}, {})", logical(&value), logical(&item));
        Ok(match op {
            Comparison::Like => call("pg_like"),
            Comparison::ILike => call("pg_ilike"),
            Comparison::NotLike => format!("(NOT {})", call("pg_like")),
            Comparison::NotILike => format!("(NOT {})", call("pg_ilike")),
            _ => compare_values(op, value, item)?,
        })
    }

    /// `row op ANY|ALL (subquery)`
    pub(super) fn subquery_compare(
        &mut self,
        row: &[Expr],
        op: Comparison,
        query: &Query,
        all: bool,
    ) -> Result<String> {
        let values = row.iter().map(|e| self.value(e)).collect::<Result<Vec<_>>>()?;
        let (sql, outputs) = self.query(query, false)?;
        if outputs.len() != values.len() {
            return Err(Error::internal("rows of unequal length"));
        }
        let name = self.unique("s");
        let items: Vec<Value> = as_columns(&outputs)
            .into_iter()
            .map(|c| Value {
                sql: format!("{name}.{}", c.name),
                codec: c.codec,
                ty: c.ty,
                collated: c.collated,
                not_null: c.not_null,
            })
            .collect();
        if matches!((op, all), (Comparison::Eq, false) | (Comparison::Ne, true)) {
            if all && values.len() > 1 {
                return Err(Error::unsupported("<> ALL over rows"));
            }
            let not = if all { "NOT " } else { "" };
            let pairs = values
                .iter()
                .zip(&items)
                .map(|(v, i)| member(v.clone(), i.clone()))
                .collect::<Result<Vec<_>>>()?;
            let left: Vec<String> = pairs.iter().map(|p| p.0.clone()).collect();
            let right: Vec<String> = pairs.iter().map(|p| p.1.clone()).collect();
            let left = match left.as_slice() {
                [one] => one.clone(),
                _ => format!("({})", left.join(", ")),
            };
            let unchanged = items.iter().zip(&right).all(|(i, r)| &i.sql == r);
            let inner = if unchanged {
                sql
            } else {
                format!("SELECT {} FROM ({sql}) AS {name}", right.join(", "))
            };
            return Ok(format!("({left} {not}IN ({inner}))"));
        }
        let ([value], [item]) = (values.as_slice(), items.as_slice()) else {
            return Err(Error::unsupported("this comparison of a row with a subquery"));
        };
        let result = self.quantified(op, value.clone(), item.clone())?;
        Ok(fold(&format!("SELECT {result} AS \"r\" FROM ({sql}) AS {name}"), all))
    }

    /// `(SELECT …)` as a value; more than one row is 21000.
    pub(super) fn scalar_subquery(&mut self, query: &Query) -> Result<String> {
        let (sql, _) = self.query(query, true)?;
        if yields_one_row(query) {
            return Ok(format!("({sql})"));
        }
        let name = self.unique("s");
        Ok(format!("(SELECT pg_single({name}.{}) FROM ({sql}) AS {name})", output_name(0)))
    }

    /// ARRAY(SELECT …)
    pub(super) fn array_subquery(&mut self, query: &Query) -> Result<String> {
        let (sql, outputs) = self.query(query, true)?;
        if outputs.first().is_some_and(|o| crate::value::element_of(o.ty.oid).is_some()) {
            return Err(Error::unsupported("an array of more than one dimension"));
        }
        let name = self.unique("s");
        Ok(format!(
            "(SELECT coalesce(pg_array_agg({name}.{}), '[]') FROM ({sql}) AS {name})",
            output_name(0)
        ))
    }
}

/// A value and an item of a set, both fit for `IN`.
fn member(value: Value, item: Value) -> Result<(String, String)> {
    let (value, item) = of_one_time(value, item)?;
    let fits = suits(value.codec, value.ty, Class::Equality);
    if fits && suits(item.codec, item.ty, Class::Equality) && same_form(&value, &item) {
        return Ok((bare(&value), bare(&item)));
    }
    if fits && value.codec != Codec::Identity {
        return Ok((bare(&value), encode_for(&value, &logical(&item), Rounding::Exact)));
    }
    Ok((keyed(&value), keyed(&item)))
}

/// Folds a set of three-valued results by SQL's rules for ANY and ALL.
fn fold(results: &str, all: bool) -> String {
    if all {
        format!(
            "(SELECT CASE WHEN min(\"r\") = 0 THEN 0 WHEN count(*) > count(\"r\") THEN NULL \
             ELSE 1 END FROM ({results}))"
        )
    } else {
        format!(
            "(SELECT CASE WHEN max(\"r\") = 1 THEN 1 WHEN count(*) > count(\"r\") THEN NULL \
             ELSE 0 END FROM ({results}))"
        )
    }
}

/// Whether a query cannot return a second row.
pub(super) fn yields_one_row(query: &Query) -> bool {
    if let Some(limit) = &query.limit
        && matches!(limit.kind, ExprKind::Const(Cell::Integer(0 | 1)))
    {
        return true;
    }
    match &query.body {
        Body::Select(select) => {
            (select.grouped && select.group_by.is_empty()) || select.from.is_empty()
        }
        Body::Values(rows) => rows.len() == 1,
        Body::Set { .. } => false,
    }
}
