//! SQLite's operators: arithmetic, bits, `||`, `->`, and comparisons of rows.

use super::kind::{NUM, PURE};
use super::{Analyzer, Kind, boolean, lite};
use crate::error::{Error, Result, state};
use crate::sql::ast::{self, ExprKind as A};
use crate::sql::ir::{Expr, ExprKind};
use crate::value::{Cell, Type, oid};

impl Analyzer<'_> {
    pub(super) fn lite_binary(
        &mut self,
        op: &str,
        left: &ast::Expr,
        right: &ast::Expr,
    ) -> Result<Expr> {
        if let (A::Row(a), A::Row(b)) = (&left.kind, &right.kind) {
            return self.lite_rows(op, a, b);
        }
        let (a, b) = (self.expr(left)?, self.expr(right)?);
        match op {
            "=" | "<>" | "<" | "<=" | ">" | ">=" => self.lite_compare(op, a, b),
            "+" | "-" | "*" | "/" | "%" => self.arithmetic(op, a, b),
            "&" | "|" | "<<" | ">>" => {
                let (a, b) = (self.raw(a)?, self.raw(b)?);
                let (a, b) = (self.made(a, Kind::Int)?, self.made(b, Kind::Int)?);
                Ok(lite(op, vec![a, b], Type::new(oid::INT8)))
            }
            "||" => {
                let (a, b) = (self.as_pattern_operand(a)?, self.as_pattern_operand(b)?);
                Ok(lite(op, vec![a, b], Type::new(oid::TEXT)))
            }
            "->" | "->>" => self.arrow(op, a, b),
            _ => Err(Error::unsupported(format_args!("operator {op} in SQLite's dialect"))),
        }
    }

    pub(super) fn lite_unary(&mut self, op: &str, inner: &ast::Expr) -> Result<Expr> {
        let inner = self.expr(inner)?;
        let inner = self.raw(super::without_collation(inner))?;
        match op {
            "+" => {
                let inner = self.settle(inner)?;
                let ty = inner.ty;
                Ok(lite("plus", vec![inner], ty))
            }
            "~" => {
                let inner = self.made(inner, Kind::Int)?;
                Ok(lite("~", vec![inner], Type::new(oid::INT8)))
            }
            _ => {
                let inner = self.as_number(inner)?;
                let ty = if inner.ty == PURE { NUM } else { inner.ty };
                Ok(lite("-", vec![inner], ty))
            }
        }
    }

    /// An operand of arithmetic: an integer, a real, or either.
    pub(super) fn as_number(&mut self, expr: Expr) -> Result<Expr> {
        let expr = self.raw(super::without_collation(expr))?;
        match Kind::of(&expr) {
            Kind::Null | Kind::Bool => self.made(expr, Kind::Int),
            Kind::Int | Kind::Real | Kind::Num => Ok(expr),
            _ => self.made(expr, Kind::Num),
        }
    }

    fn arithmetic(&mut self, op: &str, a: Expr, b: Expr) -> Result<Expr> {
        let (a, b) = (self.raw(a)?, self.raw(b)?);
        // A parameter takes the other side's kind.
        let (a, b) = match (Kind::of(&a), Kind::of(&b)) {
            (Kind::Null, Kind::Real | Kind::Num) => (self.made(a, Kind::Real)?, b),
            (Kind::Real | Kind::Num, Kind::Null) => (a, self.made(b, Kind::Real)?),
            _ => (a, b),
        };
        let (a, b) = (self.as_number(a)?, self.as_number(b)?);
        let ty = match (Kind::of(&a), Kind::of(&b)) {
            (Kind::Int, Kind::Int) => Type::new(oid::INT8),
            (Kind::Real, _) | (_, Kind::Real) => Type::new(oid::FLOAT8),
            _ => NUM,
        };
        Ok(lite(op, vec![a, b], ty))
    }

    /// `document -> path` and `->>`.
    fn arrow(&mut self, op: &str, document: Expr, path: Expr) -> Result<Expr> {
        let document = self.as_pattern_operand(document)?;
        let path = match &path.kind {
            ExprKind::Const(Cell::Integer(_)) => path,
            _ => self.as_pattern_operand(path)?,
        };
        let ty = if op == "->" { Type::new(oid::TEXT) } else { super::kind::ANY };
        Ok(lite(op, vec![document, path], ty))
    }

    /// `(a, b) op (c, d)`
    fn lite_rows(&mut self, op: &str, left: &[ast::Expr], right: &[ast::Expr]) -> Result<Expr> {
        if left.len() != right.len() || left.is_empty() {
            return Err(Error::client(state::SYNTAX_ERROR, "row value misused"));
        }
        let pair = |a: &mut Self, op: &str, i: usize| {
            let (l, r) = (a.expr(&left[i])?, a.expr(&right[i])?);
            a.lite_compare(op, l, r)
        };
        if matches!(op, "=" | "<>") {
            let parts = (0..left.len()).map(|i| pair(self, op, i)).collect::<Result<Vec<_>>>()?;
            return Ok(boolean(if op == "=" { ExprKind::And(parts) } else { ExprKind::Or(parts) }));
        }
        let strict = if op.starts_with('<') { "<" } else { ">" };
        let last = left.len() - 1;
        let mut done = pair(self, op, last)?;
        for i in (0..last).rev() {
            let (before, equal) = (pair(self, strict, i)?, pair(self, "=", i)?);
            let tail = boolean(ExprKind::And(vec![equal, done]));
            done = boolean(ExprKind::Or(vec![before, tail]));
        }
        Ok(done)
    }
}
