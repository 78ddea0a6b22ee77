//! SQLite's meaning: analysis of statements that came in SQLite's dialect.
//!
//! Owns what an expression means by SQLite's rules: values have a kind rather than a type,
//! comparisons follow affinities, truth is a number, names are compared without case. Scopes,
//! joins, subqueries and the shape of statements are the same as in PostgreSQL's dialect and
//! are analysed by the same code, which asks here where the dialects differ. It must never
//! let a difference pass that neither printer would show: that is 0A000.
//! Start at [`Analyzer::lite_expr`].

mod assign;
mod call;
mod compare;
mod group;
mod json;
mod kind;
mod names;
mod operator;
mod rules;
mod stored;

use super::literal::constant;
use super::{Analyzer, errors};
use crate::error::{Error, Result, state};
use crate::sql::ast::{self, ExprKind as A, Literal};
use crate::sql::ir::{Call, CallKind, Comparison, Expr, ExprKind, Sort};
use crate::value::{Cell, Type, oid};

use kind::Kind;
pub(super) use rules::rules;
pub use stored::{Stored, stored};

const BOOL: Type = Type::new(oid::BOOL);

/// A call of one of SQLite's own functions or operators.
fn lite(name: &str, args: Vec<Expr>, ty: Type) -> Expr {
    let call =
        Call { name: name.to_owned(), kind: CallKind::Scalar, args, lite: true, ..Call::default() };
    Expr { kind: ExprKind::Call(Box::new(call)), ty, pos: 0 }
}

fn boolean(kind: ExprKind) -> Expr {
    Expr { kind, ty: BOOL, pos: 0 }
}

/// The name and arguments of a call of SQLite's.
fn as_lite(expr: &Expr) -> Option<&Call> {
    match &expr.kind {
        ExprKind::Call(call) if call.lite => Some(call),
        _ => None,
    }
}

impl Analyzer<'_> {
    /// Runs `inner` by PostgreSQL's rules: stored texts are in its dialect.
    pub(super) fn in_postgres<T>(&mut self, inner: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.lite, false);
        let result = inner(self);
        self.lite = before;
        result
    }

    /// An expression by SQLite's rules.
    pub(super) fn lite_expr(&mut self, expr: &ast::Expr) -> Result<Expr> {
        match &expr.kind {
            A::Literal(literal) => lite_literal(literal),
            A::Param(number) => self.parameter(*number, 0),
            A::Column(parts) => self.lite_column(parts),
            A::Star(_) => Err(errors::syntax(0, "a star is no value")),
            A::Op { op, left, right } => match left {
                Some(left) => self.lite_binary(op, left, right),
                None => self.lite_unary(op, right),
            },
            A::And(list) | A::Or(list) => {
                let parts =
                    list.iter().map(|e| self.condition(e, "AND")).collect::<Result<Vec<_>>>()?;
                let and = matches!(expr.kind, A::And(_));
                Ok(boolean(if and { ExprKind::And(parts) } else { ExprKind::Or(parts) }))
            }
            A::Not(inner) => {
                let inner = self.condition(inner, "NOT")?;
                Ok(boolean(ExprKind::Not(Box::new(inner))))
            }
            A::IsNull(inner, not) => {
                let inner = self.expr(inner)?;
                let inner = self.settle(inner)?;
                Ok(boolean(ExprKind::IsNull(Box::new(inner), *not)))
            }
            A::IsBool(inner, value, not) => {
                let inner = self.condition(inner, "IS")?;
                Ok(boolean(ExprKind::IsBool(Box::new(inner), *value, *not)))
            }
            A::IsDistinct(left, right, not) => {
                let (left, right) = (self.expr(left)?, self.expr(right)?);
                self.lite_compare(if *not { "IS" } else { "IS NOT" }, left, right)
            }
            A::Between { expr, low, high, not, .. } => {
                let (low, high) = (self.expr(low)?, self.expr(high)?);
                let left = self.expr(expr)?;
                let parts = vec![
                    self.lite_compare(">=", left.clone(), low)?,
                    self.lite_compare("<=", left, high)?,
                ];
                let inside = boolean(ExprKind::And(parts));
                Ok(if *not { boolean(ExprKind::Not(Box::new(inside))) } else { inside })
            }
            A::InList { expr, list, not } => self.lite_in_list(expr, list, *not),
            A::SubqueryCompare { expr, query, .. } => self.lite_in_query(expr, query),
            A::Case { operand, branches, otherwise } => {
                self.lite_case(operand.as_deref(), branches, otherwise.as_deref())
            }
            A::Cast(inner, ty) => self.lite_cast(inner, &ty.name),
            A::Collate(inner, name) => self.lite_collate(inner, &name.name),
            A::Call(call) => self.lite_call(call),
            A::Subquery(query) => {
                let mut found = self.scalar_subquery(query, 0)?;
                // SQLite takes the first row.
                if let ExprKind::Subquery(query) = &mut found.kind
                    && query.limit.is_none()
                {
                    query.limit = Some(constant(Cell::Integer(1), Type::new(oid::INT8), 0));
                }
                Ok(found)
            }
            A::Exists(query) => self.exists(query, 0),
            A::Row(_) => Err(Error::unsupported("a row as a value")),
            A::Unsupported(what) => Err(Error::unsupported(what)),
            _ => Err(Error::unsupported("this expression in SQLite's dialect")),
        }
    }

    /// A value where a truth is wanted.
    pub(super) fn lite_truth(&mut self, expr: Expr) -> Result<Expr> {
        let expr = self.raw(expr)?;
        match Kind::of(&expr) {
            Kind::Bool => Ok(expr),
            Kind::Null => match &expr.kind {
                ExprKind::Const(_) => Ok(constant(Cell::Null, BOOL, 0)),
                _ => {
                    let number = self.made(expr, Kind::Int)?;
                    Ok(lite("<>", vec![number, kind::integer(0)], BOOL))
                }
            },
            Kind::Int | Kind::Real | Kind::Num => {
                Ok(lite("<>", vec![expr, kind::integer(0)], BOOL))
            }
            Kind::Text | Kind::Any => {
                let number = self.made(expr, Kind::Num)?;
                Ok(lite("<>", vec![number, kind::integer(0)], BOOL))
            }
            Kind::Blob => Err(Error::unsupported("a blob as a condition")),
        }
    }

    fn lite_case(
        &mut self,
        operand: Option<&ast::Expr>,
        branches: &[(ast::Expr, ast::Expr)],
        otherwise: Option<&ast::Expr>,
    ) -> Result<Expr> {
        let operand = operand.map(|e| self.expr(e)).transpose()?;
        let (mut whens, mut results) = (Vec::new(), Vec::new());
        for (when, then) in branches {
            whens.push(match &operand {
                Some(operand) => {
                    let right = self.expr(when)?;
                    self.lite_compare("=", operand.clone(), right)?
                }
                None => self.condition(when, "CASE")?,
            });
            results.push(self.expr(then)?);
        }
        if let Some(otherwise) = otherwise {
            results.push(self.expr(otherwise)?);
        }
        let (mut results, ty) = self.lite_unify(results)?;
        let otherwise = if otherwise.is_some() { results.pop().map(Box::new) } else { None };
        let branches = whens.into_iter().zip(results).collect();
        Ok(Expr { kind: ExprKind::Case { branches, otherwise }, ty, pos: 0 })
    }

    fn lite_cast(&mut self, inner: &ast::Expr, name: &str) -> Result<Expr> {
        let expr = self.expr(inner)?;
        let expr = self.raw(expr)?;
        let upper = name.to_ascii_uppercase();
        let has = |part: &str| upper.contains(part);
        let kind = if has("INT") {
            Kind::Int
        } else if has("CHAR") || has("CLOB") || has("TEXT") {
            Kind::Text
        } else if upper.is_empty() || has("BLOB") {
            Kind::Blob
        } else if has("REAL") || has("FLOA") || has("DOUB") {
            Kind::Real
        } else {
            Kind::Num
        };
        // A cast that changes nothing still has its type's affinity.
        match (Kind::of(&expr), kind) {
            (Kind::Null, _) => self.made(expr, kind),
            (Kind::Int | Kind::Bool, Kind::Int | Kind::Num) => {
                Ok(lite("int", vec![expr], Type::new(oid::INT8)))
            }
            // A real stays one, whole or not.
            (Kind::Real, Kind::Real | Kind::Num) => {
                Ok(lite("real", vec![expr], Type::new(oid::FLOAT8)))
            }
            (Kind::Num, Kind::Num) => {
                let ty = expr.ty;
                Ok(lite("num", vec![expr], ty))
            }
            (Kind::Text, Kind::Num) => Ok(lite("whole", vec![expr], kind::PURE)),
            (Kind::Any, Kind::Num) => Ok(lite("whole", vec![expr], kind::NUM)),
            (Kind::Text, Kind::Text) => Ok(lite("text", vec![expr], Type::new(oid::TEXT))),
            (Kind::Text, Kind::Blob) => Ok(lite("blob", vec![expr], Type::new(oid::BYTEA))),
            (Kind::Blob, Kind::Blob) => Ok(expr),
            _ => self.made(expr, kind),
        }
    }

    fn lite_collate(&mut self, inner: &ast::Expr, name: &str) -> Result<Expr> {
        let expr = self.expr(inner)?;
        let expr = self.raw(expr)?;
        if !matches!(Kind::of(&expr), Kind::Text) {
            return Ok(expr);
        }
        let ty = expr.ty;
        match name {
            "BINARY" => Ok(lite("binary", vec![expr], ty)),
            "NOCASE" => {
                let kind = ExprKind::Collate(Box::new(expr), "NOCASE".to_owned());
                Ok(Expr { kind, ty, pos: 0 })
            }
            "RTRIM" => Err(Error::unsupported("COLLATE RTRIM")),
            other => {
                let message = format!("no such collation sequence: {other}");
                Err(Error::client(state::UNDEFINED_OBJECT, message))
            }
        }
    }

    /// LIMIT and OFFSET: a negative one means none.
    pub(super) fn lite_limit(&mut self, expr: &ast::Expr, offset: bool) -> Result<Expr> {
        let expr = self.expr(expr)?;
        let expr = self.raw(expr)?;
        let expr = self.made(expr, Kind::Int)?;
        if let ExprKind::Const(Cell::Integer(n)) = expr.kind
            && (n >= 0 || offset)
        {
            return Ok(kind::integer(n.max(0)));
        }
        let ty = Type::new(oid::INT8);
        let negative = lite("<", vec![expr.clone(), kind::integer(0)], BOOL);
        let none = if offset { kind::integer(0) } else { constant(Cell::Null, ty, 0) };
        let kind =
            ExprKind::Case { branches: vec![(negative, none)], otherwise: Some(Box::new(expr)) };
        Ok(Expr { kind, ty, pos: 0 })
    }

    /// What an output column is shown as: `top` for the statement's own.
    pub(super) fn lite_output(&mut self, expr: Expr, origin: (u32, i16)) -> Result<Expr> {
        if self.levels.len() > 1 {
            return Ok(without_collation(expr));
        }
        let expr = without_collation(expr);
        Ok(match expr.ty {
            ty if ty == BOOL && origin == (0, 0) => self.made(expr, Kind::Int)?,
            ty if ty == kind::NUM || ty == kind::PURE => self.made(expr, Kind::Real)?,
            ty if ty == kind::ANY => self.made(expr, Kind::Text)?,
            _ => expr,
        })
    }

    /// The type of a column of UNION and kin, or of VALUES.
    pub(super) fn lite_column_type(&self, left: Type, right: Type) -> Result<Type> {
        let top = self.levels.len() <= 1;
        let shown = |ty: Type| match ty {
            ty if ty == kind::NUM || ty == kind::PURE => Type::new(oid::FLOAT8),
            ty if ty == kind::ANY => Type::new(oid::TEXT),
            ty => ty,
        };
        if left == right {
            return Ok(if top { shown(left) } else { left });
        }
        let number = |k: Kind| matches!(k, Kind::Bool | Kind::Int | Kind::Real | Kind::Num);
        let (a, b) = (Kind::of_type(left), Kind::of_type(right));
        Ok(match (a, b) {
            (Kind::Null, _) => right,
            (_, Kind::Null) => left,
            (Kind::Bool | Kind::Int, Kind::Bool | Kind::Int) => Type::new(oid::INT8),
            (a, b) if number(a) && number(b) => Type::new(oid::FLOAT8),
            (Kind::Text, Kind::Text) => Type::new(oid::TEXT),
            _ => {
                let message = "columns of UNION, EXCEPT, INTERSECT or VALUES that hold values of \
                               different types";
                return Err(Error::unsupported(message).hint("Add a CAST to one side."));
            }
        })
    }

    /// A sort key by SQLite's order.
    pub(super) fn lite_sort(&mut self, mut sort: Sort) -> Result<Sort> {
        if let ExprKind::OutputColumn(_) = sort.expr.kind {
            return match sort.expr.ty.oid {
                oid::JSON | oid::JSONB | oid::INTERVAL if sort.expr.ty.typmod == -1 => {
                    Err(Error::unsupported("ORDER BY over a column of this type"))
                }
                _ => Ok(sort),
            };
        }
        let nocase = self.is_nocase(&sort.expr);
        let expr = self.raw(sort.expr)?;
        let expr = without_collation(expr);
        sort.expr = if nocase { lite("nocase", vec![expr], Type::new(oid::TEXT)) } else { expr };
        Ok(sort)
    }

    /// Left IN (query)
    fn lite_in_query(&mut self, left: &ast::Expr, query: &ast::Select) -> Result<Expr> {
        let lefts: Vec<&ast::Expr> = match &left.kind {
            A::Row(items) => items.iter().collect(),
            _ => vec![left],
        };
        let mut row = Vec::with_capacity(lefts.len());
        for left in lefts {
            let left = self.expr(left)?;
            if self.is_nocase(&left) {
                return Err(Error::unsupported("IN over a query with COLLATE NOCASE"));
            }
            row.push(self.raw(left)?);
        }
        let query = self.nested(|a| a.query(query, true))?;
        if query.columns.len() != row.len() {
            let message = format!(
                "sub-select returns {} columns - expected {}",
                query.columns.len(),
                row.len()
            );
            return Err(Error::client(state::SYNTAX_ERROR, message));
        }
        let mut types = Vec::with_capacity(row.len());
        let mut done = Vec::with_capacity(row.len());
        for (left, column) in row.into_iter().zip(&query.columns) {
            let (a, b) = (Kind::of(&left), Kind::of_type(column.ty));
            let common = match (a, b) {
                (Kind::Null, b) => b,
                (a, b) if a == b => a,
                (Kind::Bool | Kind::Int, Kind::Bool | Kind::Int) => Kind::Int,
                (a, b) if a.is_number() && b.is_number() => Kind::Real,
                _ => return Err(Error::unsupported("IN over a query of another type")),
            };
            if matches!(common, Kind::Any | Kind::Null) {
                return Err(Error::unsupported("IN over a query whose type is not known"));
            }
            let common = if matches!(common, Kind::Bool) { Kind::Int } else { common };
            let common = if common == Kind::Num { Kind::Real } else { common };
            done.push(self.made(left, common)?);
            types.push(common.ty());
        }
        let query = Box::new(self.cast_outputs(query, &types)?);
        let kind = ExprKind::SubqueryCompare { row: done, op: Comparison::Eq, query, all: false };
        Ok(boolean(kind))
    }

    /// Gives an expression a type that set operations or joins have chosen.
    pub(super) fn lite_coerce(&mut self, expr: Expr, target: u32) -> Result<Expr> {
        let expr = self.raw(expr)?;
        match target {
            oid::BOOL => self.lite_truth(expr),
            oid::INT2 | oid::INT4 | oid::INT8 => self.made(expr, Kind::Int),
            oid::FLOAT4 | oid::FLOAT8 => self.made(expr, Kind::Real),
            oid::NUMERIC => self.made(expr, Kind::Num),
            oid::JSONB => self.made(expr, Kind::Any),
            oid::BYTEA => self.made(expr, Kind::Blob),
            _ => self.made(expr, Kind::Text),
        }
    }
}

/// The value behind an output whose kind the data decide and that is shown as text.
pub(super) fn shown_as_text(expr: &Expr) -> Option<&Expr> {
    let call = as_lite(expr).filter(|c| c.name == "text")?;
    call.args.first().filter(|a| a.ty == kind::ANY)
}

/// COLLATE has no say in what a value is.
fn without_collation(expr: Expr) -> Expr {
    match expr.kind {
        ExprKind::Collate(inner, name) if name == "NOCASE" => *inner,
        kind => Expr { kind, ..expr },
    }
}

/// A constant by SQLite's rules.
fn lite_literal(literal: &Literal) -> Result<Expr> {
    let (cell, ty) = match literal {
        Literal::Null => (Cell::Null, oid::UNKNOWN),
        Literal::Bool(b) => (Cell::Integer(i64::from(*b)), oid::BOOL),
        Literal::Integer(i) => (Cell::Integer(i64::from(*i)), oid::INT8),
        Literal::Number(n) => match n.parse::<i64>() {
            Ok(i) => (Cell::Integer(i), oid::INT8),
            Err(_) => match n.parse::<f64>() {
                Ok(r) => (Cell::Real(r), oid::FLOAT8),
                Err(_) => return Err(errors::syntax(0, format!("malformed number {n}"))),
            },
        },
        Literal::String(s) => (Cell::Text(s.clone()), oid::TEXT),
        Literal::Bits(bits) => {
            let hex = bits.get(1..).unwrap_or("");
            let bytes: Option<Vec<u8>> = hex
                .as_bytes()
                .chunks(2)
                .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
                .collect();
            let bytes = bytes.ok_or_else(|| errors::syntax(0, "malformed blob literal"))?;
            (Cell::Blob(bytes), oid::BYTEA)
        }
    };
    Ok(constant(cell, Type::new(ty), 0))
}
