//! Kinds of SQLite values, and how a value of one kind becomes one of another.
//!
//! A column's PostgreSQL type is what the application declared; in SQLite's dialect its value
//! is what SQLite would see: the logical cell, which for dates, uuids and documents is text.
//! Start at [`Analyzer::raw`].

use super::super::literal::constant;
use super::{Analyzer, lite};
use crate::error::{Error, Result};
use crate::schema::Codec;
use crate::sql::ir::{CallKind, CastKind, Expr, ExprKind};
use crate::value::{Cell, Type, oid};

/// Marks a type that only expressions of SQLite's dialect have.
const MARK: i32 = -77;

/// A number, integer or real, as the data decide.
pub(crate) const NUM: Type = Type::with_typmod(oid::NUMERIC, MARK);
/// The same, where a whole number is always an integer.
pub(crate) const PURE: Type = Type::with_typmod(oid::NUMERIC, MARK - 1);
/// A number or a text, as the data decide.
pub(crate) const ANY: Type = Type::with_typmod(oid::JSONB, MARK);

/// What SQLite's typeof would say, as far as it is known beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// NULL, or a parameter of no known type.
    Null,
    /// A truth value: an integer 0 or 1.
    Bool,
    /// An integer.
    Int,
    /// A real.
    Real,
    /// An integer or a real.
    Num,
    /// A text.
    Text,
    /// A blob.
    Blob,
    /// A number or a text.
    Any,
}

impl Kind {
    /// The kind of values of a type.
    pub(crate) fn of_type(ty: Type) -> Self {
        match ty.oid {
            oid::UNKNOWN => Self::Null,
            oid::BOOL => Self::Bool,
            oid::INT2 | oid::INT4 | oid::INT8 | oid::OID => Self::Int,
            oid::FLOAT4 | oid::FLOAT8 => Self::Real,
            oid::NUMERIC => Self::Num,
            oid::BYTEA => Self::Blob,
            oid::JSONB if ty == ANY => Self::Any,
            _ => Self::Text,
        }
    }

    /// The kind of an expression's values.
    pub(crate) fn of(expr: &Expr) -> Self {
        Self::of_type(expr.ty)
    }

    /// The type that stands for a kind.
    pub(crate) fn ty(self) -> Type {
        match self {
            Self::Null | Self::Text => Type::new(oid::TEXT),
            Self::Bool => Type::new(oid::BOOL),
            Self::Int => Type::new(oid::INT8),
            Self::Real => Type::new(oid::FLOAT8),
            Self::Num => NUM,
            Self::Blob => Type::new(oid::BYTEA),
            Self::Any => ANY,
        }
    }

    /// Integers and reals.
    pub(crate) fn is_number(self) -> bool {
        matches!(self, Self::Bool | Self::Int | Self::Real | Self::Num)
    }
}

/// An integer constant.
pub(super) fn integer(n: i64) -> Expr {
    constant(Cell::Integer(n), Type::new(oid::INT8), 0)
}

/// The number a text begins with, as SQLite's arithmetic reads it.
pub(super) fn leading_number(text: &str) -> Cell {
    let text = text.trim_start();
    let digits = |s: &str| s.bytes().take_while(u8::is_ascii_digit).count();
    let sign = usize::from(text.starts_with(['+', '-']));
    let whole = digits(&text[sign..]);
    let mut end = sign + whole;
    let mut real = false;
    if text[end..].starts_with('.') {
        let fraction = digits(&text[end + 1..]);
        if whole + fraction > 0 {
            end += 1 + fraction;
            real = true;
        }
    }
    if end > sign && text[end..].starts_with(['e', 'E']) {
        let signed = usize::from(text[end + 1..].starts_with(['+', '-']));
        let exponent = digits(&text[end + 1 + signed..]);
        if exponent > 0 {
            end += 1 + signed + exponent;
            real = true;
        }
    }
    let number = &text[..end];
    match number.parse::<i64>() {
        Ok(i) if !real => Cell::Integer(i),
        _ => match number.parse::<f64>() {
            Ok(r) => Cell::Real(r),
            Err(_) => Cell::Integer(0),
        },
    }
}

/// The number a text is as a whole, as SQLite's numeric affinity reads it.
pub(super) fn whole_number(text: &str) -> Option<Cell> {
    let trimmed = text.trim_matches(|c: char| c.is_ascii_whitespace());
    let plain =
        !trimmed.is_empty() && trimmed.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    let value: f64 = trimmed.parse().ok().filter(|_| plain)?;
    if let Ok(i) = trimmed.parse::<i64>() {
        return Some(Cell::Integer(i));
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
    if value.fract() == 0.0 && value.abs() < 9e15 {
        return Some(Cell::Integer(value as i64));
    }
    Some(Cell::Real(value))
}

/// How SQLite writes a real as text.
pub(super) fn real_text(r: f64) -> Option<String> {
    (r.fract() == 0.0 && r.abs() < 1e15).then(|| format!("{r:.1}"))
}

fn number(cell: Cell) -> Expr {
    let ty = if matches!(cell, Cell::Real(_)) { oid::FLOAT8 } else { oid::INT8 };
    constant(cell, Type::new(ty), 0)
}

impl Analyzer<'_> {
    /// An expression as a SQLite value.
    pub(super) fn raw(&mut self, expr: Expr) -> Result<Expr> {
        let text = Type::new(oid::TEXT);
        Ok(match expr.ty.oid {
            // One text type, so that results have it.
            oid::VARCHAR | oid::NAME | oid::BPCHAR | oid::CHAR => {
                let kind = ExprKind::Cast(Box::new(expr), CastKind::Relabel);
                Expr { kind, ty: text, pos: 0 }
            }
            oid::NUMERIC if expr.ty != NUM && expr.ty != PURE => lite("num", vec![expr], PURE),
            oid::FLOAT4 => lite("real", vec![expr], Type::new(oid::FLOAT8)),
            oid::UNKNOWN
            | oid::BOOL
            | oid::INT2
            | oid::INT4
            | oid::INT8
            | oid::OID
            | oid::FLOAT8
            | oid::TEXT
            | oid::BYTEA
            | oid::NUMERIC => expr,
            oid::JSONB if expr.ty == ANY => expr,
            oid::DATE
            | oid::TIME
            | oid::TIMESTAMP
            | oid::TIMESTAMPTZ
            | oid::UUID
            | oid::JSON
            | oid::JSONB
            | oid::INTERVAL
            | oid::INET
            | oid::REGCLASS => {
                let (name, ty) = match self.codec(&expr) {
                    Codec::UnixSeconds => ("unix_seconds", Type::new(oid::INT8)),
                    Codec::UnixMillis => ("unix_millis", Type::new(oid::INT8)),
                    Codec::IntervalMicros => ("interval_micros", Type::new(oid::INT8)),
                    Codec::IntervalEpoch => {
                        return Err(Error::unsupported(
                            "an interval stored as a moment, in SQLite's dialect",
                        ));
                    }
                    Codec::UuidHex => ("uuid_hex", text),
                    Codec::UuidBlob => ("uuid_blob", Type::new(oid::BYTEA)),
                    _ => ("text_of", text),
                };
                lite(name, vec![expr], ty)
            }
            other => {
                let name = crate::sql::types::sql_name(other);
                return Err(Error::unsupported(format_args!(
                    "a value of type {name} in SQLite's dialect"
                )));
            }
        })
    }

    /// How a base table's column is stored.
    fn codec(&self, expr: &Expr) -> Codec {
        self.base_column(expr).map_or(Codec::Identity, |c| c.codec)
    }

    /// The catalog's column behind an expression.
    pub(super) fn base_column(&self, expr: &Expr) -> Option<&crate::schema::Column> {
        let ExprKind::Column(rel, index) = expr.kind else { return None };
        self.levels.iter().flat_map(|l| &l.items).find_map(|item| {
            let (own, relation) = item.relation.as_ref()?;
            (*own == rel).then(|| relation.columns.get(index as usize)).flatten()
        })
    }

    /// A value made one of a kind.
    pub(super) fn made(&mut self, expr: Expr, kind: Kind) -> Result<Expr> {
        let from = Kind::of(&expr);
        let ty = kind.ty();
        if let (Kind::Null, ExprKind::Param(number)) = (from, &expr.kind) {
            let wanted = match kind {
                Kind::Null | Kind::Text | Kind::Any => oid::TEXT,
                Kind::Bool | Kind::Int => oid::INT8,
                Kind::Real | Kind::Num => oid::FLOAT8,
                Kind::Blob => oid::BYTEA,
            };
            let number = *number;
            let known = self.params.resolve(number, wanted, expr.pos)?;
            return if kind == Kind::Any { self.made(known, kind) } else { Ok(known) };
        }
        if let ExprKind::Const(cell) = &expr.kind
            && let Some(folded) = fold(cell, from, kind)
        {
            return Ok(folded);
        }
        if from == kind || (from == Kind::Null && expr.ty == ty) {
            return Ok(expr);
        }
        Ok(match (from, kind) {
            (Kind::Null, _) => lite("null", vec![expr], ty),
            (Kind::Bool | Kind::Real | Kind::Num | Kind::Text | Kind::Any, Kind::Int) => {
                lite("int", vec![expr], ty)
            }
            (Kind::Bool | Kind::Int | Kind::Num | Kind::Text | Kind::Any, Kind::Real) => {
                lite("real", vec![expr], ty)
            }
            (Kind::Bool | Kind::Int, Kind::Num) => lite("num", vec![expr], PURE),
            (Kind::Real, Kind::Num) => lite("num", vec![expr], NUM),
            (Kind::Text | Kind::Any, Kind::Num) => lite("number", vec![expr], NUM),
            (Kind::Int, Kind::Bool) => lite("<>", vec![expr, integer(0)], ty),
            (Kind::Blob, Kind::Int | Kind::Real | Kind::Num) => {
                return Err(Error::unsupported("a blob as a number"));
            }
            (Kind::Blob, Kind::Any) => {
                return Err(Error::unsupported("a blob beside values of other types"));
            }
            (_, Kind::Text) => lite("text", vec![expr], ty),
            (_, Kind::Any) => lite("any", vec![expr], ty),
            (Kind::Text, Kind::Blob) => lite("blob", vec![expr], ty),
            _ => return Err(Error::unsupported("this conversion in SQLite's dialect")),
        })
    }

    /// Values made of one kind, as CASE, coalesce and the like need them.
    pub(super) fn lite_unify(&mut self, exprs: Vec<Expr>) -> Result<(Vec<Expr>, Type)> {
        let exprs = exprs
            .into_iter()
            .map(|e| self.raw(super::without_collation(e)))
            .collect::<Result<Vec<_>>>()?;
        let mut common = Kind::Null;
        for expr in &exprs {
            let kind = Kind::of(expr);
            common = match (common, kind) {
                (Kind::Null, kind) => kind,
                (common, Kind::Null) => common,
                (a, b) if a == b => a,
                (Kind::Bool | Kind::Int, Kind::Bool | Kind::Int) => Kind::Int,
                (a, b) if a.is_number() && b.is_number() => Kind::Num,
                _ => Kind::Any,
            };
        }
        let done = exprs.into_iter().map(|e| self.made(e, common)).collect::<Result<Vec<_>>>()?;
        let ty = match common {
            Kind::Num if done.iter().all(|e| e.ty == PURE || is_null(e)) => PURE,
            common => common.ty(),
        };
        Ok((done, ty))
    }
}

fn is_null(expr: &Expr) -> bool {
    matches!(expr.kind, ExprKind::Const(Cell::Null))
}

/// A constant of another kind.
fn fold(cell: &Cell, from: Kind, kind: Kind) -> Option<Expr> {
    if let Cell::Null = cell {
        return Some(constant(Cell::Null, kind.ty(), 0));
    }
    match (cell, kind) {
        (Cell::Integer(i), Kind::Int) if from == Kind::Bool => Some(integer(*i)),
        #[allow(clippy::cast_precision_loss)]
        (Cell::Integer(i), Kind::Real) => Some(number(Cell::Real(*i as f64))),
        (Cell::Integer(i), Kind::Text) => {
            Some(constant(Cell::Text(i.to_string()), Type::new(oid::TEXT), 0))
        }
        (Cell::Real(r), Kind::Text) => {
            real_text(*r).map(|t| constant(Cell::Text(t), Type::new(oid::TEXT), 0))
        }
        (Cell::Text(t), Kind::Num) => Some(number(leading_number(t))),
        (Cell::Text(t), Kind::Real) => Some(number(match leading_number(t) {
            #[allow(clippy::cast_precision_loss)]
            Cell::Integer(i) => Cell::Real(i as f64),
            other => other,
        })),
        _ => None,
    }
}

/// Whether an expression holds a window function's call.
pub(super) fn has_window(expr: &Expr) -> bool {
    let mut found = false;
    super::super::walk::visit(expr, &mut |e| {
        found |= matches!(&e.kind, ExprKind::Call(c) if c.kind == CallKind::Window);
        !found
    });
    found
}

/// A written or implied cast of PostgreSQL's.
pub(super) fn cast(expr: Expr, ty: Type) -> Expr {
    Expr { kind: ExprKind::Cast(Box::new(expr), CastKind::Explicit), ty, pos: 0 }
}
