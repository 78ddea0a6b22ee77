//! Comparisons by SQLite's affinity and collation rules.
//!
//! Affinities are applied here, as conversions in the tree, so that both printers compare
//! what SQLite would compare. Start at [`Analyzer::lite_compare`].

use super::super::literal::constant;
use super::kind::{ANY, NUM, whole_number};
use super::{Analyzer, BOOL, Kind, as_lite, boolean, lite, without_collation};
use crate::error::{Error, Result};
use crate::sql::ast;
use crate::sql::ir::{CastKind, Expr, ExprKind};
use crate::value::{Cell, Type, oid};

/// What SQLite does to the other operand of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Affinity {
    None,
    Text,
    Numeric,
}

fn affinity(expr: &Expr) -> Affinity {
    let by_kind = |expr: &Expr| match Kind::of(expr) {
        Kind::Text => Affinity::Text,
        Kind::Bool | Kind::Int | Kind::Real | Kind::Num => Affinity::Numeric,
        Kind::Null | Kind::Blob | Kind::Any => Affinity::None,
    };
    match &expr.kind {
        ExprKind::Column(..) | ExprKind::Excluded(_) => by_kind(expr),
        ExprKind::Collate(inner, _) | ExprKind::Cast(inner, CastKind::Relabel) => affinity(inner),
        ExprKind::Subquery(query) => match &query.body {
            crate::sql::ir::Body::Select(select) => {
                select.targets.first().map_or(Affinity::None, affinity)
            }
            _ => Affinity::None,
        },
        ExprKind::Call(call) if call.lite => match call.name.as_str() {
            "num" | "text_of" | "uuid_hex" | "unix_seconds" | "unix_millis" | "binary" => {
                call.args.first().map_or(Affinity::None, |a| match a.kind {
                    ExprKind::Column(..) | ExprKind::Excluded(_) => by_kind(expr),
                    _ => affinity(a),
                })
            }
            "int" | "real" | "text" | "number" | "whole" => by_kind(expr),
            _ => Affinity::None,
        },
        _ => Affinity::None,
    }
}

impl Analyzer<'_> {
    /// `a op b` for SQL's six comparisons, IS and IS NOT.
    pub(in super::super) fn lite_compare(&mut self, op: &str, a: Expr, b: Expr) -> Result<Expr> {
        // One that is written counts before a column's own, the left side's before the right's.
        let written = written_collation(&a).or_else(|| written_collation(&b));
        let nocase =
            written.or_else(|| self.collation(&a)).or_else(|| self.collation(&b)).unwrap_or(false);
        let (a, b) = (self.raw(without_collation(a))?, self.raw(without_collation(b))?);
        let (a, b) = self.typed(a, b)?;
        let (a, b) = self.with_affinity(a, b)?;
        if let (Kind::Blob, Kind::Any) | (Kind::Any, Kind::Blob) = (Kind::of(&a), Kind::of(&b)) {
            return Err(Error::unsupported("comparing a blob with a value of unknown type"));
        }
        let (a, b) = if nocase { (folded(a), folded(b)) } else { (a, b) };
        Ok(lite(op, vec![a, b], BOOL))
    }

    /// Parameters and NULLs take the other side's type.
    fn typed(&mut self, a: Expr, b: Expr) -> Result<(Expr, Expr)> {
        Ok(match (Kind::of(&a), Kind::of(&b)) {
            (Kind::Null, Kind::Null) => (self.made(a, Kind::Text)?, self.made(b, Kind::Text)?),
            (Kind::Null, other) => (self.made(a, settled(other))?, b),
            (other, Kind::Null) => (a, self.made(b, settled(other))?),
            _ => (a, b),
        })
    }

    fn with_affinity(&mut self, a: Expr, b: Expr) -> Result<(Expr, Expr)> {
        Ok(match (affinity(&a), affinity(&b)) {
            (Affinity::Numeric, Affinity::Text | Affinity::None) => {
                let b = affine(b);
                (a, b)
            }
            (Affinity::Text | Affinity::None, Affinity::Numeric) => (affine(a), b),
            (Affinity::Text, Affinity::None) if Kind::of(&b) != Kind::Blob => {
                let dated = is_dated(&a);
                (a, self.as_text(b, dated)?)
            }
            (Affinity::None, Affinity::Text) if Kind::of(&a) != Kind::Blob => {
                let dated = is_dated(&b);
                (self.as_text(a, dated)?, b)
            }
            _ => (a, b),
        })
    }

    /// Text affinity; a date's declaration has a numeric one, which a number would show.
    fn as_text(&mut self, expr: Expr, dated: bool) -> Result<Expr> {
        let number = match &expr.kind {
            ExprKind::Const(Cell::Text(text)) => whole_number(text).is_some(),
            _ => Kind::of(&expr) != Kind::Text,
        };
        if dated && number {
            let message = "comparing a date or document with a number";
            return Err(Error::unsupported(message).hint("Write the whole date."));
        }
        self.made(expr, Kind::Text)
    }

    /// Whether a comparison with this operand ignores the case of ASCII letters: an explicit
    /// COLLATE or the column's own; None when it has no say.
    fn collation(&self, expr: &Expr) -> Option<bool> {
        match &expr.kind {
            ExprKind::Column(..) => {
                let column = self.base_column(expr)?;
                Some(column.collation.as_deref() == Some("NOCASE"))
            }
            _ => written_collation(expr),
        }
    }

    /// Whether an expression sorts without regard to case.
    pub(in super::super) fn is_nocase(&self, expr: &Expr) -> bool {
        self.collation(expr) == Some(true)
    }

    /// [NOT] IN (list)
    pub(super) fn lite_in_list(
        &mut self,
        expr: &ast::Expr,
        list: &[ast::Expr],
        not: bool,
    ) -> Result<Expr> {
        let left = self.expr(expr)?;
        let mut tests = Vec::with_capacity(list.len());
        for item in list {
            let item = self.expr(item)?;
            // Only the left side's affinity counts.
            let item = self.raw(without_collation(item))?;
            let item = if affinity(&item) == Affinity::None { item } else { plus(item) };
            tests.push(self.lite_compare("=", left.clone(), item)?);
        }
        let done = match one_list(&tests) {
            Some(call) => call,
            None if tests.len() == 1 => tests.remove(0),
            None => boolean(ExprKind::Or(tests)),
        };
        Ok(if not { boolean(ExprKind::Not(Box::new(done))) } else { done })
    }

    /// LIKE, of text.
    pub(super) fn as_pattern_operand(&mut self, expr: Expr) -> Result<Expr> {
        let expr = self.raw(without_collation(expr))?;
        if Kind::of(&expr) == Kind::Blob {
            return Err(Error::unsupported("LIKE or GLOB over a blob"));
        }
        self.made(expr, Kind::Text)
    }
}

/// An explicit COLLATE: whether it ignores case.
fn written_collation(expr: &Expr) -> Option<bool> {
    match &expr.kind {
        ExprKind::Collate(_, name) => Some(name == "NOCASE"),
        _ => as_lite(expr).filter(|c| c.name == "binary").map(|_| false),
    }
}

fn settled(kind: Kind) -> Kind {
    match kind {
        Kind::Num => Kind::Real,
        Kind::Any => Kind::Text,
        other => other,
    }
}

/// A column whose value is text though its declaration is not.
fn is_dated(expr: &Expr) -> bool {
    as_lite(expr).is_some_and(|c| matches!(c.name.as_str(), "text_of" | "uuid_hex"))
}

/// A value without affinity of its own.
fn plus(expr: Expr) -> Expr {
    let ty = expr.ty;
    lite("plus", vec![expr], ty)
}

fn folded(expr: Expr) -> Expr {
    if Kind::of(&expr) == Kind::Text {
        lite("nocase", vec![expr], Type::new(oid::TEXT))
    } else {
        expr
    }
}

/// Numeric affinity: a text that is a number becomes one.
fn affine(expr: Expr) -> Expr {
    match (&expr.kind, Kind::of(&expr)) {
        (ExprKind::Const(Cell::Text(text)), _) => match whole_number(text) {
            Some(cell) => {
                let ty = if matches!(cell, Cell::Real(_)) { oid::FLOAT8 } else { oid::INT8 };
                constant(cell, Type::new(ty), 0)
            }
            None => expr,
        },
        (_, Kind::Text | Kind::Any) => lite("affine", vec![expr], ANY),
        _ => expr,
    }
}

/// Equality tests of one operand with operands of its own class as one IN.
fn one_list(tests: &[Expr]) -> Option<Expr> {
    let mut args: Vec<Expr> = Vec::with_capacity(tests.len() + 1);
    for test in tests {
        let call = as_lite(test)?;
        let [left, right] = call.args.as_slice() else { return None };
        let class = |e: &Expr| match Kind::of(e) {
            Kind::Text => Some(1),
            k if k.is_number() => Some(0),
            _ => None,
        };
        if class(left)? != class(right)? || left.ty == NUM && right.ty != left.ty {
            return None;
        }
        match args.first() {
            None => args.push(left.clone()),
            Some(first) if first == left => {}
            Some(_) => return None,
        }
        args.push(right.clone());
    }
    (args.len() > 2).then(|| lite("IN", args, BOOL))
}
