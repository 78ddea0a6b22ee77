//! Values on their way into columns.
//!
//! A column takes what its PostgreSQL type takes: what SQLite would keep as something else is
//! an error, never another value. Start at [`Analyzer::lite_assign`].

use super::super::literal::constant;
use super::super::{Analyzer, errors};
use super::kind::cast;
use super::{Kind, lite};
use crate::error::{Result, state};
use crate::schema::Column;
use crate::sql::ir::{Expr, ExprKind};
use crate::sql::types::coerce::Context;
use crate::sql::types::sql_name;
use crate::value::{Cell, Type, oid};

impl Analyzer<'_> {
    /// A value as a column stores it.
    pub(in super::super) fn lite_assign(&mut self, expr: Expr, column: &Column) -> Result<Expr> {
        let expr = super::without_collation(expr);
        let target = column.ty;
        // A column's own type, and what the client gives as a parameter or string.
        let plain = match &expr.kind {
            _ if expr.ty.oid == target.oid && expr.ty.typmod >= -1 => true,
            ExprKind::Const(Cell::Null) => true,
            ExprKind::Param(_) => true,
            _ => false,
        };
        if plain {
            let expr = match &expr.kind {
                ExprKind::Const(Cell::Null) => constant(Cell::Null, Type::new(oid::UNKNOWN), 0),
                _ => expr,
            };
            return self.assigned_plainly(expr, column);
        }
        if let ExprKind::Const(Cell::Text(text)) = &expr.kind {
            let unknown = constant(Cell::Text(text.clone()), Type::new(oid::UNKNOWN), 0);
            return self.assigned_plainly(unknown, column);
        }
        let expr = self.raw(expr)?;
        let kind = Kind::of(&expr);
        let value = match (target.oid, kind) {
            (oid::BOOL, Kind::Bool | Kind::Int) => self.made(expr, Kind::Bool)?,
            (oid::INT2 | oid::INT4 | oid::INT8, Kind::Bool | Kind::Int) => {
                self.made(expr, Kind::Int)?
            }
            (oid::INT2 | oid::INT4 | oid::INT8, Kind::Real | Kind::Num) => {
                lite("integral", vec![expr], Type::new(oid::INT8))
            }
            (oid::FLOAT4 | oid::FLOAT8 | oid::NUMERIC, k) if k.is_number() => {
                let whole = matches!(k, Kind::Bool | Kind::Int);
                self.made(expr, if whole { Kind::Int } else { Kind::Real })?
            }
            (oid::TEXT | oid::VARCHAR | oid::BPCHAR, k) if k != Kind::Blob => {
                self.made(expr, Kind::Text)?
            }
            (oid::BYTEA, Kind::Blob) => expr,
            (oid::BYTEA, Kind::Text) => self.made(expr, Kind::Blob)?,
            (other, Kind::Text | Kind::Any) if other != oid::BYTEA => {
                let text = self.made(expr, Kind::Text)?;
                return self.assigned_plainly(cast(text, Type::new(target.oid)), column);
            }
            _ => return Err(misfit(column, expr.ty)),
        };
        self.assigned_plainly(value, column)
    }

    fn assigned_plainly(&mut self, expr: Expr, column: &Column) -> Result<Expr> {
        let from = expr.ty;
        let done = self.in_postgres(|a| a.coerce_to(expr, column.ty, Context::Assignment))?;
        done.ok_or_else(|| misfit(column, from))
    }
}

fn misfit(column: &Column, from: Type) -> crate::error::Error {
    let message = format!(
        "column \"{}\" is of type {} but expression is of type {}",
        column.name,
        sql_name(column.ty.oid),
        sql_name(from.oid)
    );
    errors::client(state::DATATYPE_MISMATCH, 0, message)
        .hint("You will need to rewrite or cast the expression.")
}
