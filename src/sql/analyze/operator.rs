//! Operators, and the constructs PostgreSQL defines by one: IN, BETWEEN, ANY, IS DISTINCT.
//!
//! Owns casts of operands to the operator's declared types. Which operator is meant is
//! `sql::types::resolve`. Start at [`Analyzer::operator`].

use super::{Analyzer, errors};
use crate::error::{Error, Result, state};
use crate::sql::ast;
use crate::sql::ir::{CastKind, Comparison, Expr, ExprKind, Op};
use crate::sql::types::coerce::{Context, can_coerce, common_of, resolve_generics};
use crate::sql::types::resolve::{Found, operator};
use crate::sql::types::{array_of, element};
use crate::value::{Type, oid};

/// An operator chosen for operands: input types (polymorphic ones resolved) and result.
struct Chosen {
    left: Option<u32>,
    right: u32,
    result: u32,
}

impl Analyzer<'_> {
    fn choose(&self, name: &str, left: Option<u32>, right: u32, pos: u32) -> Result<Chosen> {
        let found = match operator(name, left, right, self.context.extensions()) {
            Found::One(found) => found,
            Found::None => return Err(errors::undefined_operator(name, left, right, pos)),
            Found::Ambiguous => return Err(errors::ambiguous_operator(name, left, right, pos)),
        };
        let mut declared = vec![found.right];
        let mut inputs = vec![right];
        if let Some(left) = left {
            declared.insert(0, found.left);
            inputs.insert(0, left);
        }
        let result =
            resolve_generics(&inputs, &mut declared, found.result).map_err(|e| e.at(pos))?;
        let right = declared.pop().unwrap_or(found.right);
        Ok(Chosen { left: declared.pop(), right, result })
    }

    /// An operator over analysed operands.
    pub(super) fn operator(
        &mut self,
        name: &str,
        left: Option<Expr>,
        right: Expr,
        pos: u32,
    ) -> Result<Expr> {
        if let (true, Some(left)) = (self.lite, &left) {
            return self.lite_compare(name, left.clone(), right);
        }
        let chosen = self.choose(name, left.as_ref().map(|e| e.ty.oid), right.ty.oid, pos)?;
        let left = match (left, chosen.left) {
            (Some(left), Some(ty)) => {
                Some(Box::new(self.coerce(left, ty, CastKind::Implicit, -1)?))
            }
            _ => None,
        };
        let right = Box::new(self.coerce(right, chosen.right, CastKind::Implicit, -1)?);
        let op = Op { name: name.to_owned(), left, right };
        Ok(Expr { kind: ExprKind::Op(op), ty: Type::new(chosen.result), pos })
    }

    /// A binary operator that must yield boolean; gives back its operands.
    pub(super) fn comparison(
        &mut self,
        name: &str,
        left: Expr,
        right: Expr,
        pos: u32,
    ) -> Result<(Expr, Expr)> {
        let done = self.operator(name, Some(left), right, pos)?;
        let ty = done.ty.oid;
        match done.kind {
            ExprKind::Op(Op { left: Some(left), right, .. }) if ty == oid::BOOL => {
                Ok((*left, *right))
            }
            _ => Err(errors::client(
                state::DATATYPE_MISMATCH,
                pos,
                format!(
                    "row comparison operator must yield type boolean, not type {}",
                    crate::sql::types::sql_name(ty)
                ),
            )),
        }
    }

    /// An operator as written.
    pub(super) fn written_operator(
        &mut self,
        name: &str,
        left: Option<&ast::Expr>,
        right: &ast::Expr,
        pos: u32,
    ) -> Result<Expr> {
        if let Some(left) = left
            && let ast::ExprKind::Row(items) = &left.kind
        {
            match &right.kind {
                ast::ExprKind::Row(others) => return self.row_comparison(items, name, others, pos),
                ast::ExprKind::Subquery(query) => {
                    return self.row_with_query(items, name, query, pos);
                }
                _ => {}
            }
        }
        let left = left.map(|e| self.expr(e)).transpose()?;
        let right = self.expr(right)?;
        self.operator(name, left, right, pos)
    }

    /// x [NOT] IN (list)
    pub(super) fn in_list(
        &mut self,
        expr: &ast::Expr,
        list: &[ast::Expr],
        not: bool,
        pos: u32,
    ) -> Result<Expr> {
        let name = if not { "<>" } else { "=" };
        if let ast::ExprKind::Row(items) = &expr.kind {
            return self.row_in_list(items, list, not, pos);
        }
        let left = self.expr(expr)?;
        let items: Result<Vec<Expr>> = list.iter().map(|e| self.expr(e)).collect();
        let (mut plain, mut others) = (Vec::new(), Vec::new());
        for item in items? {
            if contains_column(&item) { others.push(item) } else { plain.push(item) }
        }
        let mut parts: Vec<Expr> = Vec::new();
        if plain.len() > 1 {
            let mut types = vec![left.ty.oid];
            types.extend(plain.iter().map(|e| e.ty.oid));
            let common = common_of(&types).filter(|t| {
                array_of(*t).is_some()
                    && types.iter().all(|from| can_coerce(&[*from], &[*t], Context::Implicit))
            });
            if let Some(common) = common {
                parts.push(self.in_common(left.clone(), plain, common, not, pos)?);
                plain = Vec::new();
            }
        }
        plain.append(&mut others);
        for item in plain {
            let left = left.clone();
            parts.push(self.operator(name, Some(left), item, pos)?);
        }
        Ok(match <[Expr; 1]>::try_from(parts) {
            Ok([only]) => only,
            Err(parts) => {
                let kind = if not { ExprKind::And(parts) } else { ExprKind::Or(parts) };
                Expr { kind, ty: Type::new(oid::BOOL), pos }
            }
        })
    }

    /// The items of IN that are compared as an array of one type.
    fn in_common(
        &mut self,
        left: Expr,
        items: Vec<Expr>,
        common: u32,
        not: bool,
        pos: u32,
    ) -> Result<Expr> {
        let name = if not { "<>" } else { "=" };
        let chosen = self.choose(name, Some(left.ty.oid), common, pos)?;
        if chosen.result != oid::BOOL {
            let message = "op ANY/ALL (array) requires operator to yield boolean";
            return Err(errors::client(state::WRONG_OBJECT_TYPE, pos, message));
        }
        let target = chosen.left.unwrap_or(common);
        let expr = Box::new(self.coerce(left, target, CastKind::Implicit, -1)?);
        let mut list = Vec::with_capacity(items.len());
        for item in items {
            let item = self.cast_to_common(item, common, "IN")?;
            list.push(self.coerce(item, chosen.right, CastKind::Implicit, -1)?);
        }
        let kind = ExprKind::InList { expr, list, not };
        Ok(Expr { kind, ty: Type::new(oid::BOOL), pos })
    }

    /// x op ANY|ALL (array)
    pub(super) fn any_all(
        &mut self,
        expr: &ast::Expr,
        name: &str,
        array: &ast::Expr,
        all: bool,
        pos: u32,
    ) -> Result<Expr> {
        let left = self.expr(expr)?;
        let right = self.expr(array)?;
        let item = if right.ty.oid == oid::UNKNOWN {
            oid::UNKNOWN
        } else {
            element(right.ty.oid).ok_or_else(|| {
                let message = "op ANY/ALL (array) requires array on right side";
                errors::client(state::WRONG_OBJECT_TYPE, pos, message)
            })?
        };
        let chosen = self.choose(name, Some(left.ty.oid), item, pos)?;
        if chosen.result != oid::BOOL {
            let message = "op ANY/ALL (array) requires operator to yield boolean";
            return Err(errors::client(state::WRONG_OBJECT_TYPE, pos, message));
        }
        let op = comparison_of(name)
            .ok_or_else(|| Error::unsupported(format!("operator {name} ANY or ALL")).at(pos))?;
        let target = array_of(chosen.right).ok_or_else(|| {
            let name = crate::sql::types::sql_name(chosen.right);
            let message = format!("could not find array type for data type {name}");
            errors::client(state::UNDEFINED_OBJECT, pos, message)
        })?;
        let left_type = chosen.left.unwrap_or(chosen.right);
        let expr = Box::new(self.coerce(left, left_type, CastKind::Implicit, -1)?);
        let array = Box::new(self.coerce(right, target, CastKind::Implicit, -1)?);
        let kind = ExprKind::AnyAll { expr, op, array, all };
        Ok(Expr { kind, ty: Type::new(oid::BOOL), pos })
    }

    /// [NOT] BETWEEN [SYMMETRIC]: PostgreSQL's own lowering; the operand is analysed anew for
    /// each comparison.
    pub(super) fn between(
        &mut self,
        expr: &ast::Expr,
        bounds: (&ast::Expr, &ast::Expr),
        not: bool,
        symmetric: bool,
        pos: u32,
    ) -> Result<Expr> {
        let (low, high) = bounds;
        let bool_type = Type::new(oid::BOOL);
        let range = |a: &mut Self, low: &ast::Expr, high: &ast::Expr| -> Result<Expr> {
            let (first, second) = if not { ("<", ">") } else { (">=", "<=") };
            let parts = vec![
                a.written_operator(first, Some(expr), low, pos)?,
                a.written_operator(second, Some(expr), high, pos)?,
            ];
            let kind = if not { ExprKind::Or(parts) } else { ExprKind::And(parts) };
            Ok(Expr { kind, ty: bool_type, pos })
        };
        let straight = range(self, low, high)?;
        if !symmetric {
            return Ok(straight);
        }
        let parts = vec![straight, range(self, high, low)?];
        let kind = if not { ExprKind::And(parts) } else { ExprKind::Or(parts) };
        Ok(Expr { kind, ty: bool_type, pos })
    }

    /// IS [NOT] DISTINCT FROM
    pub(super) fn is_distinct(
        &mut self,
        left: &ast::Expr,
        right: &ast::Expr,
        not: bool,
        pos: u32,
    ) -> Result<Expr> {
        let ty = Type::new(oid::BOOL);
        if let (ast::ExprKind::Row(a), ast::ExprKind::Row(b)) = (&left.kind, &right.kind) {
            return self.row_distinct(a, b, not, pos);
        }
        let left = self.expr(left)?;
        let right = self.expr(right)?;
        let (left, right) = self.comparison("=", left, right, pos)?;
        let kind = ExprKind::IsDistinct(Box::new(left), Box::new(right), not);
        Ok(Expr { kind, ty, pos })
    }

    /// NULLIF
    pub(super) fn null_if(
        &mut self,
        left: &ast::Expr,
        right: &ast::Expr,
        pos: u32,
    ) -> Result<Expr> {
        let left = self.expr(left)?;
        let right = self.expr(right)?;
        let done = self.operator("=", Some(left), right, pos)?;
        match done.kind {
            ExprKind::Op(Op { left: Some(left), right, .. }) if done.ty.oid == oid::BOOL => {
                let ty = left.ty;
                Ok(Expr { kind: ExprKind::NullIf(left, right), ty, pos })
            }
            _ => Err(errors::client(
                state::DATATYPE_MISMATCH,
                pos,
                "NULLIF requires = operator to yield boolean",
            )),
        }
    }
}

/// The comparison an operator's name stands for.
pub(super) fn comparison_of(name: &str) -> Option<Comparison> {
    Some(match name {
        "=" => Comparison::Eq,
        "<>" | "!=" => Comparison::Ne,
        "<" => Comparison::Lt,
        "<=" => Comparison::Le,
        ">" => Comparison::Gt,
        ">=" => Comparison::Ge,
        "~~" => Comparison::Like,
        "!~~" => Comparison::NotLike,
        "~~*" => Comparison::ILike,
        "!~~*" => Comparison::NotILike,
        _ => return None,
    })
}

fn contains_column(expr: &Expr) -> bool {
    let mut found = false;
    super::walk::visit(expr, &mut |e| {
        found |= matches!(e.kind, ExprKind::Column(..) | ExprKind::Excluded(_));
        !found
    });
    found
}
