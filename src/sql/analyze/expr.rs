//! Expressions, kind by kind.
//!
//! Owns the dispatch, and the constructs too small for a file of their own: CASE, COALESCE,
//! GREATEST, boolean tests, arrays, COLLATE. Start at [`Analyzer::expr`].

use super::cast::agreed_type;
use super::literal::misplaced_default;
use super::{Analyzer, errors};
use crate::error::{Error, Result, state};
use crate::sql::ast::{self, ExprKind as A};
use crate::sql::ir::{ArrayPart, CastKind, Expr, ExprKind};
use crate::sql::types;
use crate::sql::types::coerce::Context;
use crate::value::{Cell, Type, is_composite, oid};

const BOOL: Type = Type::new(oid::BOOL);

impl Analyzer<'_> {
    /// Analyses an expression. Literals and parameters may come back as `unknown`.
    pub(super) fn expr(&mut self, expr: &ast::Expr) -> Result<Expr> {
        self.nested(|a| a.expr_kind(expr))
    }

    /// Analyses an expression at a place that wants a boolean.
    pub(super) fn condition(&mut self, expr: &ast::Expr, construct: &str) -> Result<Expr> {
        let expr = self.expr(expr)?;
        self.boolean(expr, construct)
    }

    fn expr_kind(&mut self, expr: &ast::Expr) -> Result<Expr> {
        if self.lite {
            return self.lite_expr(expr);
        }
        let pos = expr.pos;
        match &expr.kind {
            A::Literal(literal) => self.literal(literal, pos),
            A::Param(number) => self.parameter(*number, pos),
            A::Column(parts) => self.column_or_row(parts, pos).map(|r| r.expr),
            A::Star(parts) if !parts.is_empty() => match self.record(expr)? {
                Some(row) => Ok(row),
                None => Err(self.missing_table(parts.last().map_or("", String::as_str), pos)),
            },
            A::Star(_) => Err(errors::syntax(pos, "row expansion via \"*\" is not supported here")),
            A::Default => Err(misplaced_default(pos)),
            A::Op { op, left, right } => self.written_operator(op, left.as_deref(), right, pos),
            A::And(list) => self.logical(list, true, pos),
            A::Or(list) => self.logical(list, false, pos),
            A::Not(inner) => {
                let inner = self.condition(inner, "NOT")?;
                Ok(Expr { kind: ExprKind::Not(Box::new(inner)), ty: BOOL, pos })
            }
            A::IsNull(inner, not) => {
                if let A::Row(items) = &inner.kind {
                    return self.row_is_null(items, *not, pos);
                }
                let inner = self.expr(inner)?;
                if is_composite(inner.ty.oid) {
                    return self.value_is_null(inner, *not, pos);
                }
                Ok(Expr { kind: ExprKind::IsNull(Box::new(inner), *not), ty: BOOL, pos })
            }
            A::IsBool(inner, value, not) => {
                let inner = self.condition(inner, is_bool_name(*value, *not))?;
                let kind = ExprKind::IsBool(Box::new(inner), *value, *not);
                Ok(Expr { kind, ty: BOOL, pos })
            }
            A::IsDistinct(left, right, not) => self.is_distinct(left, right, *not, pos),
            A::Between { expr, low, high, not, symmetric } => {
                self.between(expr, (low, high), *not, *symmetric, pos)
            }
            A::InList { expr, list, not } => self.in_list(expr, list, *not, pos),
            A::AnyAll { expr, op, array, all } => self.any_all(expr, op, array, *all, pos),
            A::Case { operand, branches, otherwise } => {
                self.case(operand.as_deref(), branches, otherwise.as_deref(), pos)
            }
            A::Cast(inner, name) => self.cast(inner, name, pos),
            A::Collate(inner, name) => self.collate(inner, name, pos),
            A::Coalesce(list) => {
                let (list, ty) = self.unified(list, "COALESCE")?;
                Ok(Expr { kind: ExprKind::Coalesce(list), ty, pos })
            }
            A::MinMax(greatest, list) => {
                let name = if *greatest { "GREATEST" } else { "LEAST" };
                let (list, ty) = self.unified(list, name)?;
                Ok(Expr { kind: ExprKind::MinMax(*greatest, list), ty, pos })
            }
            A::NullIf(left, right) => self.null_if(left, right, pos),
            A::ValueFunction(name, precision) => self.value_function(name, *precision, pos),
            A::Call(call) => self.call(call, pos),
            A::Subquery(query) => self.scalar_subquery(query, pos),
            A::Exists(query) => self.exists(query, pos),
            A::SubqueryCompare { expr, op, query, all } => {
                self.subquery_compare(expr, op, query, *all, pos)
            }
            A::ArraySubquery(query) => self.array_subquery(query, pos),
            A::Array(items) => self.array(items, pos, None),
            A::Row(_) => {
                self.record(expr)?.ok_or_else(|| Error::unsupported("a row as a value").at(pos))
            }
            A::Subscript { expr, lower, upper, slice } => {
                if matches!(expr.kind, A::Subscript { .. }) && self.is_array_part(expr)? {
                    return self.deep_subscript(expr, lower.as_deref(), *slice, pos);
                }
                if *slice {
                    return self.slice(expr, lower.as_deref(), upper.as_deref(), pos);
                }
                let index = lower.as_deref().or(upper.as_deref());
                self.subscript(expr, index, pos)
            }
            A::Field(inner, name) => self.field(inner, name, pos),
            A::Grouping(args) => self.grouping(args, pos),
            A::GroupingSet(..) => Err(errors::syntax(pos, "grouping sets are not allowed here")),
            A::Unsupported(what) => Err(Error::unsupported(what).at(pos)),
        }
    }

    fn logical(&mut self, list: &[ast::Expr], and: bool, pos: u32) -> Result<Expr> {
        let name = if and { "AND" } else { "OR" };
        let parts: Result<Vec<Expr>> = list.iter().map(|e| self.condition(e, name)).collect();
        let kind = if and { ExprKind::And(parts?) } else { ExprKind::Or(parts?) };
        Ok(Expr { kind, ty: BOOL, pos })
    }

    fn unified(&mut self, list: &[ast::Expr], construct: &str) -> Result<(Vec<Expr>, Type)> {
        let exprs: Result<Vec<Expr>> = list.iter().map(|e| self.expr(e)).collect();
        self.unify(exprs?, construct)
    }

    fn case(
        &mut self,
        operand: Option<&ast::Expr>,
        branches: &[(ast::Expr, ast::Expr)],
        otherwise: Option<&ast::Expr>,
        pos: u32,
    ) -> Result<Expr> {
        let operand = match operand {
            Some(e) => {
                let e = self.expr(e)?;
                Some(self.settle(e)?)
            }
            None => None,
        };
        let (mut whens, mut results) = (Vec::new(), Vec::new());
        for (when, then) in branches {
            let condition = match &operand {
                Some(operand) => {
                    let right = self.expr(when)?;
                    let test = self.operator("=", Some(operand.clone()), right, when.pos)?;
                    self.boolean(test, "CASE/WHEN")?
                }
                None => self.condition(when, "CASE/WHEN")?,
            };
            whens.push(condition);
            results.push(self.expr(then)?);
        }
        let written = otherwise.is_some();
        let otherwise = match otherwise {
            Some(e) => self.expr(e)?,
            None => Expr { kind: ExprKind::Const(Cell::Null), ty: Type::new(oid::UNKNOWN), pos },
        };
        // The ELSE result counts first in choosing the common type.
        results.insert(0, otherwise);
        let (mut results, mut ty) = self.unify(results, "CASE")?;
        let default = results.remove(0);
        if !written {
            ty = Type::new(ty.oid);
        }
        let branches = whens.into_iter().zip(results).collect();
        let otherwise = written.then(|| Box::new(default));
        Ok(Expr { kind: ExprKind::Case { branches, otherwise }, ty, pos })
    }

    fn collate(&mut self, inner: &ast::Expr, name: &ast::Name, pos: u32) -> Result<Expr> {
        let inner = self.expr(inner)?;
        let string = |ty: u32| {
            types::category(ty) == b'S'
                || types::element(ty).is_some_and(|e| types::category(e) == b'S')
        };
        if inner.ty.oid != oid::UNKNOWN && !string(inner.ty.oid) {
            let found = types::sql_name(inner.ty.oid);
            let message = format!("collations are not supported by type {found}");
            return Err(errors::client(state::DATATYPE_MISMATCH, pos, message));
        }
        let known = matches!(
            name.name.as_str(),
            "C" | "POSIX" | "default" | "ucs_basic" | "C.UTF-8" | "C.utf8"
        ) || name.name.contains('_')
            || name.name.ends_with("-x-icu");
        if !known {
            let message =
                format!("collation \"{}\" for encoding \"UTF8\" does not exist", name.name);
            return Err(errors::client(state::UNDEFINED_OBJECT, pos, message));
        }
        let ty = inner.ty;
        Ok(Expr { kind: ExprKind::Collate(Box::new(inner), name.name.clone()), ty, pos })
    }

    /// ARRAY[…]; `target` is the array type (with modifier) and element type of a cast around.
    pub(super) fn array(
        &mut self,
        items: &[ast::Expr],
        pos: u32,
        target: Option<(Type, u32)>,
    ) -> Result<Expr> {
        let nested = items.iter().any(|i| matches!(i.kind, A::Array(_)));
        let exprs: Result<Vec<Expr>> = items
            .iter()
            .map(|e| match &e.kind {
                A::Array(inner) => self.array(inner, e.pos, target),
                _ => self.expr(e),
            })
            .collect();
        let exprs = exprs?;
        // Items that are arrays themselves make one of more dimensions.
        let is_array = |ty: u32| {
            types::element(ty).is_some() && !matches!(ty, oid::INT2VECTOR | oid::OIDVECTOR)
        };
        let nested = nested || exprs.iter().any(|e| is_array(e.ty.oid));
        if let Some((array, item)) = target {
            let item = if nested { array } else { Type::with_typmod(item, array.typmod) };
            let done: Result<Vec<Expr>> =
                exprs.into_iter().map(|e| self.explicit(e, item, pos)).collect();
            return Ok(Expr { kind: ExprKind::Array(done?), ty: array, pos });
        }
        if exprs.is_empty() {
            let message = "cannot determine type of empty array";
            return Err(errors::client(state::INDETERMINATE_DATATYPE, pos, message)
                .hint("Explicitly cast to the desired type, for example ARRAY[]::integer[]."));
        }
        let (exprs, item) = self.unify(exprs, "ARRAY")?;
        if types::element(item.oid).is_some() {
            // An array of arrays is one of more dimensions.
            return Ok(Expr { kind: ExprKind::Array(exprs), ty: item, pos });
        }
        let array = types::array_of(item.oid).ok_or_else(|| {
            let name = types::sql_name(item.oid);
            let message = format!("could not find array type for data type {name}");
            errors::client(state::UNDEFINED_OBJECT, pos, message)
        })?;
        let ty = Type::with_typmod(array, agreed_type(item.oid, exprs.iter()).typmod);
        Ok(Expr { kind: ExprKind::Array(exprs), ty, pos })
    }

    fn subscript(&mut self, base: &ast::Expr, index: Option<&ast::Expr>, pos: u32) -> Result<Expr> {
        let base = self.expr(base)?;
        let Some(index) = index else {
            return Err(errors::syntax(pos, "array subscript must have type integer"));
        };
        let index_expr = self.expr(index)?;
        if base.ty.oid == oid::JSONB {
            let target = if index_expr.ty.oid == oid::INT4 { oid::INT4 } else { oid::TEXT };
            let index_expr = self.coerce(index_expr, target, CastKind::Implicit, -1)?;
            return self.operator("->", Some(base), index_expr, pos);
        }
        if base.ty.oid == oid::HSTORE {
            let key = self.coerce(index_expr, oid::TEXT, CastKind::Implicit, -1)?;
            return self.operator("->", Some(base), key, pos);
        }
        if base.ty.oid == oid::NAME {
            return self.name_letter(base, index, pos);
        }
        let Some(item) = types::element(base.ty.oid) else {
            let name = types::sql_name(base.ty.oid);
            let message =
                format!("cannot subscript type {name} because it does not support subscripting");
            return Err(errors::client(state::DATATYPE_MISMATCH, pos, message));
        };
        let int4 = Type::new(oid::INT4);
        let Some(index_expr) = self.coerce_to(index_expr, int4, Context::Assignment)? else {
            let message = "array subscript must have type integer";
            return Err(errors::client(state::DATATYPE_MISMATCH, index.pos, message));
        };
        let ty = Type::with_typmod(item, base.ty.typmod);
        let kind = ExprKind::Subscript(Box::new(base), Box::new(index_expr));
        Ok(Expr { kind, ty, pos })
    }

    /// Whether a subscripted expression is itself a part of an array, so that another
    /// subscript means another dimension.
    fn is_array_part(&mut self, expr: &ast::Expr) -> Result<bool> {
        let mut base = expr;
        while let A::Subscript { expr, .. } = &base.kind {
            base = expr;
        }
        let frozen = self.frozen.len();
        let ty = self.expr(base)?.ty.oid;
        self.frozen.truncate(frozen);
        Ok(types::element(ty).is_some())
    }

    /// `a[i][j]`: one subscript for each dimension.
    fn deep_subscript(
        &mut self,
        inner: &ast::Expr,
        index: Option<&ast::Expr>,
        slice: bool,
        pos: u32,
    ) -> Result<Expr> {
        let slices = || Error::unsupported("a slice of more than one dimension").at(pos);
        let mut indexes = vec![index.filter(|_| !slice).ok_or_else(slices)?];
        let mut base = inner;
        while let A::Subscript { expr, lower, upper: None, slice: false } = &base.kind {
            indexes.push(lower.as_deref().ok_or_else(slices)?);
            base = expr;
        }
        if matches!(base.kind, A::Subscript { .. }) {
            return Err(slices());
        }
        let array = self.expr(base)?;
        let item = types::element(array.ty.oid).ok_or_else(slices)?;
        let ty = Type::with_typmod(item, array.ty.typmod);
        let mut items = vec![array];
        for index in indexes.into_iter().rev() {
            items.push(self.array_index(index)?);
        }
        Ok(Expr { kind: ExprKind::ArrayPart(ArrayPart::At, items), ty, pos })
    }

    /// `a[lower:upper]`
    fn slice(
        &mut self,
        base: &ast::Expr,
        lower: Option<&ast::Expr>,
        upper: Option<&ast::Expr>,
        pos: u32,
    ) -> Result<Expr> {
        let base = self.expr(base)?;
        if types::element(base.ty.oid).is_none() {
            return Err(Error::unsupported("a slice of this type").at(pos));
        }
        let (ty, part) =
            (base.ty, ArrayPart::Slice { lower: lower.is_some(), upper: upper.is_some() });
        let mut items = vec![base];
        for bound in [lower, upper].into_iter().flatten() {
            items.push(self.array_index(bound)?);
        }
        Ok(Expr { kind: ExprKind::ArrayPart(part, items), ty, pos })
    }

    /// A subscript of an array: an integer.
    pub(super) fn array_index(&mut self, index: &ast::Expr) -> Result<Expr> {
        let expr = self.expr(index)?;
        let int4 = Type::new(oid::INT4);
        self.coerce_to(expr, int4, Context::Assignment)?.ok_or_else(|| {
            let message = "array subscript must have type integer";
            errors::client(state::DATATYPE_MISMATCH, index.pos, message)
        })
    }

    /// `name[i]`: the letter at i, counted from 0.
    fn name_letter(&mut self, base: Expr, index: &ast::Expr, pos: u32) -> Result<Expr> {
        let A::Literal(ast::Literal::Integer(i)) = index.kind else {
            return Err(Error::unsupported("a computed subscript of a name").at(pos));
        };
        let start = self.literal(&ast::Literal::Integer(i.saturating_add(1)), pos)?;
        let one = self.literal(&ast::Literal::Integer(1), pos)?;
        let base = self.coerce(base, oid::TEXT, CastKind::Implicit, -1)?;
        let call = ast::Call {
            name: ast::Name { schema: None, name: "substr".to_owned(), pos },
            ..ast::Call::default()
        };
        let resolved = self.resolve_call(&call, vec![base, start, one], pos)?;
        let letter = self.finish_scalar(resolved, pos)?;
        self.explicit(letter, Type::new(oid::CHAR), pos)
    }

    fn field(&mut self, inner: &ast::Expr, name: &str, pos: u32) -> Result<Expr> {
        if let A::Column(parts) = &inner.kind {
            // (t).a is t.a when t is a table in scope.
            let mut longer = parts.clone();
            longer.push(name.to_owned());
            if parts.len() < 3
                && let Ok(found) = self.column(&longer, pos)
            {
                return Ok(found.expr);
            }
        }
        let inner = self.expr(inner)?;
        self.row_field(inner, name, pos)
    }
}

fn is_bool_name(value: Option<bool>, not: bool) -> &'static str {
    match (value, not) {
        (Some(true), false) => "IS TRUE",
        (Some(true), true) => "IS NOT TRUE",
        (Some(false), false) => "IS FALSE",
        (Some(false), true) => "IS NOT FALSE",
        (None, false) => "IS UNKNOWN",
        (None, true) => "IS NOT UNKNOWN",
    }
}
