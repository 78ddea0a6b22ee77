//! Casts: written ones, and those that resolution adds.
//!
//! Owns how an expression gets another type. Whether it may is `sql::types::coerce`. Start at
//! [`Analyzer::coerce_to`].

use super::literal::{apply_typmod, constant, fold};
use super::walk::location;
use super::{Analyzer, errors};
use crate::error::Result;
use crate::sql::ast;
use crate::sql::ir::{CastKind, Expr, ExprKind};
use crate::sql::types::coerce::{Context, Path, can_coerce, common_of, pathway, polymorphic};
use crate::sql::types::{self, tables};
use crate::value::{Cell, Type, oid};

impl Analyzer<'_> {
    /// CAST(x AS t), x::t
    pub(super) fn cast(
        &mut self,
        inner: &ast::Expr,
        name: &ast::TypeName,
        pos: u32,
    ) -> Result<Expr> {
        if let Some(domain) = super::domain::named(name, &self.context)? {
            let expr = self.expr(inner)?;
            let expr = self.told(expr, &domain)?;
            let value = self.explicit(expr, domain.base_type(), pos)?;
            return self.in_domain(value, &domain);
        }
        let target = self.type_name(name)?;
        if let (ast::ExprKind::Array(items), Some(item)) = (&inner.kind, types::element(target.oid))
        {
            return self.array(items, inner.pos, Some((target, item)));
        }
        if let ast::ExprKind::Row(items) = &inner.kind
            && let Some(row) = self.typed_row(items, target, Context::Explicit, pos)?
        {
            return Ok(row);
        }
        let expr = self.expr(inner)?;
        if let Some(row) = self.row_as(&expr, target, Context::Explicit, pos)? {
            return Ok(row);
        }
        self.explicit(expr, target, pos)
    }

    /// An explicit cast of an analysed expression.
    pub(super) fn explicit(&mut self, expr: Expr, target: Type, pos: u32) -> Result<Expr> {
        let from = expr.ty.oid;
        match self.coerce_to(expr, target, Context::Explicit)? {
            Some(done) => Ok(done),
            None => Err(errors::cannot_cast(from, target.oid, pos)),
        }
    }

    /// Gives an expression a type and modifier, if `context` allows the cast.
    pub(super) fn coerce_to(
        &mut self,
        expr: Expr,
        target: Type,
        context: Context,
    ) -> Result<Option<Expr>> {
        if !can_coerce(&[expr.ty.oid], &[target.oid], context) {
            return Ok(None);
        }
        let kind = match context {
            Context::Implicit => CastKind::Implicit,
            Context::Assignment => CastKind::Assignment,
            Context::Explicit => CastKind::Explicit,
        };
        let done = self.coerce(expr, target.oid, kind, target.typmod)?;
        Ok(Some(with_typmod(done, target.typmod, kind)))
    }

    /// Changes the type only, by a cast that is known to exist. `typmod` is what the target
    /// asks for; only reading an interval literal needs it.
    pub(super) fn coerce(
        &mut self,
        expr: Expr,
        target: u32,
        kind: CastKind,
        typmod: i32,
    ) -> Result<Expr> {
        let from = expr.ty.oid;
        if self.lite && from != target && from != oid::UNKNOWN {
            return self.lite_coerce(expr, target);
        }
        if from == target || target == oid::ANY || (polymorphic(target) && from != oid::UNKNOWN) {
            return Ok(expr);
        }
        if from == oid::UNKNOWN {
            return self.read_unknown(expr, target, typmod);
        }
        let context = match kind {
            CastKind::Explicit => Context::Explicit,
            CastKind::Assignment => Context::Assignment,
            CastKind::Implicit | CastKind::Relabel => Context::Implicit,
        };
        let path = pathway(from, target, context)
            .ok_or_else(|| errors::cannot_cast(from, target, expr.pos))?;
        let pos = expr.pos;
        if let ExprKind::Const(cell) = &expr.kind {
            if let (Cell::Integer(i), oid::INT4, oid::OID) = (cell, from, target) {
                // The bits of an int4 are taken as an unsigned number.
                let wrapped = Cell::Integer(i & 0xffff_ffff);
                return Ok(constant(wrapped, Type::new(target), pos));
            }
            if (from, target) == (oid::CIDR, oid::INET) {
                let kind = ExprKind::Cast(Box::new(expr), kind);
                return Ok(Expr { kind, ty: Type::new(target), pos });
            }
            if path == Path::Relabel {
                return Ok(constant(cell.clone(), Type::new(target), pos));
            }
            if let (Cell::Text(name), oid::REGCLASS) = (cell, target) {
                return self.read_literal(name, Type::new(target), pos);
            }
            if let Some(folded) = fold(cell, from, target) {
                return Ok(constant(folded, Type::new(target), pos));
            }
        }
        let kind = if path == Path::Relabel { CastKind::Relabel } else { kind };
        Ok(Expr { kind: ExprKind::Cast(Box::new(expr), kind), ty: Type::new(target), pos })
    }

    fn read_unknown(&mut self, expr: Expr, target: u32, typmod: i32) -> Result<Expr> {
        let pos = expr.pos;
        match expr.kind {
            ExprKind::Const(Cell::Text(s)) => {
                let typmod = if target == oid::INTERVAL { typmod } else { -1 };
                self.read_literal(&s, Type::with_typmod(target, typmod), pos)
            }
            ExprKind::Const(cell) => Ok(constant(cell, Type::new(target), pos)),
            ExprKind::Param(number) => self.params.resolve(number, target, pos),
            ExprKind::Collate(inner, name) => {
                let inner = self.coerce(*inner, target, CastKind::Implicit, -1)?;
                let kind = ExprKind::Collate(Box::new(inner), name);
                Ok(Expr { kind, ty: Type::new(target), pos })
            }
            kind => {
                let text = Expr { kind, ty: Type::new(oid::TEXT), pos };
                if target == oid::TEXT {
                    return Ok(text);
                }
                let kind = ExprKind::Cast(Box::new(text), CastKind::Explicit);
                Ok(Expr { kind, ty: Type::new(target), pos })
            }
        }
    }

    /// WHERE, ON, AND, CASE WHEN …: must be boolean.
    pub(super) fn boolean(&mut self, expr: Expr, construct: &str) -> Result<Expr> {
        if self.lite {
            return self.lite_truth(expr);
        }
        self.specific(expr, oid::BOOL, "boolean", construct)
    }

    /// LIMIT and the like: one type, assignment casts allowed.
    pub(super) fn specific(
        &mut self,
        expr: Expr,
        target: u32,
        wanted: &str,
        construct: &str,
    ) -> Result<Expr> {
        let (from, pos) = (expr.ty.oid, location(&expr));
        match self.coerce_to(expr, Type::new(target), Context::Assignment)? {
            Some(done) => Ok(done),
            None => Err(errors::wrong_argument(construct, wanted, from, pos)),
        }
    }

    /// The common type of several expressions (CASE, COALESCE, VALUES, UNION, IN).
    pub(super) fn common_type(&self, exprs: &[&Expr], construct: &str) -> Result<u32> {
        if self.lite {
            let mut common = Type::new(oid::UNKNOWN);
            for expr in exprs {
                common = self.lite_column_type(common, expr.ty)?;
            }
            return Ok(if common.oid == oid::UNKNOWN { oid::TEXT } else { common.oid });
        }
        let types: Vec<u32> = exprs.iter().map(|e| e.ty.oid).collect();
        if let Some(common) = common_of(&types) {
            return Ok(common);
        }
        // Find the first that does not fit, for the error's position.
        for end in 1..=types.len() {
            if common_of(&types[..end]).is_none() {
                let left = common_of(&types[..end - 1]).unwrap_or(oid::UNKNOWN);
                let culprit = exprs.get(end - 1).map_or(0, |e| location(e));
                return Err(errors::types_differ(construct, left, types[end - 1], culprit));
            }
        }
        Ok(oid::TEXT)
    }

    /// Casts an expression to the common type chosen for its construct.
    pub(super) fn cast_to_common(
        &mut self,
        expr: Expr,
        common: u32,
        construct: &str,
    ) -> Result<Expr> {
        let (from, pos) = (expr.ty.oid, location(&expr));
        if !self.lite && !can_coerce(&[from], &[common], Context::Implicit) {
            return Err(errors::cannot_convert(construct, from, common, pos));
        }
        self.coerce(expr, common, CastKind::Implicit, -1)
    }

    /// Casts all to their common type; the type keeps a modifier all agree on.
    pub(super) fn unify(&mut self, exprs: Vec<Expr>, construct: &str) -> Result<(Vec<Expr>, Type)> {
        let common = self.common_type(&exprs.iter().collect::<Vec<_>>(), construct)?;
        let done: Result<Vec<Expr>> =
            exprs.into_iter().map(|e| self.cast_to_common(e, common, construct)).collect();
        let done = done?;
        let ty = agreed_type(common, done.iter());
        Ok((done, ty))
    }
}

/// The type with the typmod that all expressions have, else without one.
pub(super) fn agreed_type<'e>(common: u32, mut exprs: impl Iterator<Item = &'e Expr>) -> Type {
    let plain = Type::new(common);
    let Some(first) = exprs.next() else { return plain };
    if first.ty.oid == common && exprs.all(|e| e.ty == first.ty) { first.ty } else { plain }
}

/// Applies a type modifier, or takes it away (-1), as CAST does.
fn with_typmod(expr: Expr, typmod: i32, kind: CastKind) -> Expr {
    if expr.ty.typmod == typmod {
        return expr;
    }
    let ty = Type::with_typmod(expr.ty.oid, typmod);
    let pos = expr.pos;
    if typmod < 0 || !has_length_function(ty.oid) {
        let kind = ExprKind::Cast(Box::new(expr), CastKind::Relabel);
        return Expr { kind, ty, pos };
    }
    match expr.kind {
        ExprKind::Const(cell) => {
            let explicit = kind == CastKind::Explicit;
            match apply_typmod(&cell, ty, explicit) {
                Some(cell) => constant(cell, ty, pos),
                None => {
                    let inner = constant(cell, expr.ty, pos);
                    Expr { kind: ExprKind::Cast(Box::new(inner), kind), ty, pos }
                }
            }
        }
        // One cast does both: the type and its modifier.
        ExprKind::Cast(inner, inner_kind) if expr.ty.typmod < 0 && inner_kind == kind => {
            Expr { kind: ExprKind::Cast(inner, kind), ty, pos }
        }
        other => {
            let inner = Expr { kind: other, ty: expr.ty, pos };
            Expr { kind: ExprKind::Cast(Box::new(inner), kind), ty, pos }
        }
    }
}

fn has_length_function(type_oid: u32) -> bool {
    let item = types::element(type_oid).unwrap_or(type_oid);
    tables().cast(item, item).is_some()
}
