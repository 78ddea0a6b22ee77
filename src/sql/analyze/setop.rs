//! UNION, INTERSECT, EXCEPT and VALUES: common column types.
//!
//! Owns casts of whole outputs. Start at [`Analyzer::set_operation`].

use std::rc::Rc;

use super::cast::agreed_type;
use super::scope::{CteInfo, Place};
use super::select::Recursion;
use super::{Analyzer, errors};
use crate::error::{Error, Result, state};
use crate::sql::ast::{self, SetOp};
use crate::sql::ir::{Body, CastKind, Expr, ExprKind, From, Output, Query, Select};
use crate::sql::types::coerce::Context;
use crate::sql::types::{has_equality, sql_name_with_typmod};
use crate::value::{Type, oid};

impl Analyzer<'_> {
    pub(super) fn set_operation(
        &mut self,
        outer: &ast::Select,
        operation: (SetOp, bool),
        left: &ast::Select,
        right: &ast::Select,
        recursion: Option<&Recursion<'_>>,
    ) -> Result<Query> {
        let (op, all) = operation;
        let name = match op {
            SetOp::Union => "UNION",
            SetOp::Intersect => "INTERSECT",
            SetOp::Except => "EXCEPT",
        };
        // The term that may not use a recursive name gives its columns their types.
        let mut left = self.query(left, false)?;
        if let Some(recursion) = recursion {
            self.settle_outputs(&mut left)?;
            let columns = super::cte::named_columns(recursion, &left.columns)?;
            let info = CteInfo { id: recursion.id, name: recursion.name.to_owned(), columns };
            self.level().ctes.push(Rc::new(info));
            self.level().per_row = true;
        }
        let right = self.query(right, false)?;
        if recursion.is_some() {
            self.level().ctes.pop();
        }
        if left.columns.len() != right.columns.len() {
            let pos = output_pos(&right, 0);
            let message = format!("each {name} query must have the same number of columns");
            return Err(errors::syntax(pos, message));
        }
        let (mut types, mut columns) = (Vec::new(), Vec::new());
        for (i, (l, r)) in left.columns.iter().zip(&right.columns).enumerate() {
            let place = |query: &Query, ty: Type| Expr {
                kind: ExprKind::OutputColumn(0),
                ty,
                pos: output_pos(query, i),
            };
            let (a, b) = (place(&left, l.ty), place(&right, r.ty));
            let common = self.common_type(&[&a, &b], name)?;
            let ty = if l.ty == r.ty && l.ty.oid == common { l.ty } else { Type::new(common) };
            let distinguishes = op != SetOp::Union || !all;
            if distinguishes && !has_equality(common) {
                return Err(errors::no_equality(common, a.pos));
            }
            if let Some(recursion) = recursion
                && ty != l.ty
            {
                return Err(recursive_type(recursion.name, i, l.ty, ty, a.pos));
            }
            types.push(ty);
            columns.push(Output { name: l.name.clone(), ty, origin: (0, 0) });
        }
        let left = Box::new(self.cast_outputs(left, &types)?);
        let right = Box::new(self.cast_outputs(right, &types)?);
        let order_by = self.order_outputs(&outer.order_by, &columns)?;
        let (limit, offset) = self.limits(outer)?;
        if recursion.is_some() && (!order_by.is_empty() || limit.is_some() || offset.is_some()) {
            let what = if order_by.is_empty() { "LIMIT" } else { "ORDER BY" };
            let message = format!("{what} in a recursive query is not implemented");
            return Err(Error::client(state::FEATURE_NOT_SUPPORTED, message));
        }
        Ok(Query {
            recursive: false,
            ctes: Vec::new(),
            body: Body::Set { op, all, left, right },
            order_by,
            limit,
            offset,
            locks: false,
            with_ties: false,
            columns,
        })
    }

    /// VALUES as a query.
    pub(super) fn values(&mut self, outer: &ast::Select, rows: &[Vec<ast::Expr>]) -> Result<Query> {
        let width = rows.first().map_or(0, Vec::len);
        let mut analysed: Vec<Vec<Expr>> = Vec::with_capacity(rows.len());
        for row in rows {
            if row.len() != width {
                let pos = row.first().map_or(0, |e| e.pos);
                return Err(errors::syntax(pos, "VALUES lists must all be the same length"));
            }
            let exprs: Result<Vec<Expr>> =
                row.iter().map(|e| self.at_place(Place::Values, |a| a.expr(e))).collect();
            analysed.push(exprs?);
        }
        let mut columns = Vec::with_capacity(width);
        for i in 0..width {
            let exprs: Vec<&Expr> = analysed.iter().map(|row| &row[i]).collect();
            let common = self.common_type(&exprs, "VALUES")?;
            for row in &mut analysed {
                let expr = row[i].clone();
                row[i] = self.cast_to_common(expr, common, "VALUES")?;
            }
            let ty = agreed_type(common, analysed.iter().map(|row| &row[i]));
            columns.push(Output { name: format!("column{}", i + 1), ty, origin: (0, 0) });
        }
        let order_by = self.order_outputs(&outer.order_by, &columns)?;
        let (limit, offset) = self.limits(outer)?;
        Ok(Query {
            recursive: false,
            ctes: Vec::new(),
            body: Body::Values(analysed),
            order_by,
            limit,
            offset,
            locks: false,
            with_ties: false,
            columns,
        })
    }

    /// Output literals without a type become text.
    fn settle_outputs(&mut self, query: &mut Query) -> Result<()> {
        if let Body::Select(select) = &mut query.body {
            for (expr, column) in select.targets.iter_mut().zip(&mut query.columns) {
                if expr.ty.oid == oid::UNKNOWN {
                    *expr = self.settle(expr.clone())?;
                    column.ty = expr.ty;
                }
            }
        }
        Ok(())
    }

    /// Gives a query's outputs these types: in place where that is the same thing, else by a
    /// query around it.
    pub(super) fn cast_outputs(&mut self, mut query: Query, types: &[Type]) -> Result<Query> {
        if query.columns.iter().zip(types).all(|(c, t)| c.ty.oid == t.oid) {
            return Ok(query);
        }
        let plain = query.order_by.is_empty();
        if let Body::Select(select) = &mut query.body {
            let distinct = select.distinct.is_some();
            let mut wrap = false;
            for (i, ty) in types.iter().enumerate() {
                let expr = &select.targets[i];
                if expr.ty.oid == ty.oid {
                    continue;
                }
                if expr.ty.oid == oid::UNKNOWN || (plain && !distinct) {
                    let done = self.coerce(expr.clone(), ty.oid, CastKind::Implicit, -1)?;
                    select.targets[i] = done;
                    query.columns[i].ty = Type::new(ty.oid);
                    query.columns[i].origin = (0, 0);
                } else {
                    wrap = true;
                }
            }
            if !wrap {
                return Ok(query);
            }
        }
        if let (Body::Values(rows), true) = (&mut query.body, plain) {
            for (i, ty) in types.iter().enumerate() {
                for row in rows.iter_mut() {
                    row[i] = self.coerce(row[i].clone(), ty.oid, CastKind::Implicit, -1)?;
                }
                query.columns[i].ty = Type::new(ty.oid);
            }
            return Ok(query);
        }
        let plain: Vec<Type> = types.iter().map(|t| Type::new(t.oid)).collect();
        self.wrap_outputs(query, &plain, Context::Implicit)
    }

    /// Assigns a query's outputs to columns of these types (modifiers included).
    pub(super) fn assign_outputs(&mut self, query: Query, types: &[Type]) -> Result<Query> {
        if query.columns.iter().zip(types).all(|(c, t)| c.ty == *t) {
            return Ok(query);
        }
        self.wrap_outputs(query, types, Context::Assignment)
    }

    fn wrap_outputs(&mut self, query: Query, types: &[Type], context: Context) -> Result<Query> {
        let rel = self.new_rel();
        let mut targets = Vec::with_capacity(types.len());
        let mut columns = Vec::with_capacity(types.len());
        for (i, (column, ty)) in query.columns.iter().zip(types).enumerate() {
            let index = u32::try_from(i).unwrap_or(u32::MAX);
            let expr = Expr { kind: ExprKind::Column(rel, index), ty: column.ty, pos: 0 };
            let expr = match context {
                Context::Implicit => self.coerce(expr, ty.oid, CastKind::Implicit, -1)?,
                _ => self
                    .coerce_to(expr, *ty, context)?
                    .ok_or_else(|| errors::cannot_cast(column.ty.oid, ty.oid, 0))?,
            };
            columns.push(Output { name: column.name.clone(), ty: expr.ty, origin: (0, 0) });
            targets.push(expr);
        }
        let inner = From::Subquery {
            rel,
            alias: "cast".to_owned(),
            columns: query.columns.clone(),
            query: Box::new(query),
            lateral: false,
        };
        let select = Select { targets, from: vec![inner], ..Select::default() };
        Ok(Query::of(select, columns))
    }
}

/// Where an output of a query was written.
pub(super) fn output_pos(query: &Query, index: usize) -> u32 {
    match &query.body {
        Body::Select(select) => select.targets.get(index).map_or(0, |e| e.pos),
        Body::Values(rows) => rows.first().and_then(|r| r.get(index)).map_or(0, |e| e.pos),
        Body::Set { left, .. } => output_pos(left, index),
    }
}

fn recursive_type(name: &str, index: usize, first: Type, overall: Type, pos: u32) -> Error {
    let message = format!(
        "recursive query \"{name}\" column {} has type {} in non-recursive term but type {} overall",
        index + 1,
        sql_name_with_typmod(first),
        sql_name_with_typmod(overall)
    );
    errors::client(state::DATATYPE_MISMATCH, pos, message)
        .hint("Cast the output of the non-recursive term to the correct type.")
}
