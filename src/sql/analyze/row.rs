//! Row values: comparisons of `(a, b)` with `(c, d)`.
//!
//! Owns their lowering to comparisons of the fields. A row as a value of its own is 0A000.
//! Start at [`Analyzer::row_comparison`].

use super::operator::comparison_of;
use super::scope::at;
use super::{Analyzer, errors};
use crate::error::{Error, Result, state};
use crate::sql::ast;
use crate::sql::ir::{Expr, ExprKind};
use crate::value::{Type, oid};

const BOOL: Type = Type::new(oid::BOOL);

impl Analyzer<'_> {
    /// (a, b) op (c, d)
    pub(super) fn row_comparison(
        &mut self,
        left: &[ast::Expr],
        name: &str,
        right: &[ast::Expr],
        pos: u32,
    ) -> Result<Expr> {
        let (left, right) = self.row_operands(left, name, right, pos)?;
        let op = comparison_of(name).filter(|_| !name.contains('~')).ok_or_else(|| {
            let message =
                format!("could not determine interpretation of row comparison operator {name}");
            errors::client(state::FEATURE_NOT_SUPPORTED, pos, message)
                .hint("Row comparison operators must be associated with btree operator families.")
        })?;
        Ok(Expr { kind: ExprKind::RowCompare(left, op, right), ty: BOOL, pos })
    }

    /// The fields of both rows, cast to each other's comparison types.
    fn row_operands(
        &mut self,
        left: &[ast::Expr],
        name: &str,
        right: &[ast::Expr],
        pos: u32,
    ) -> Result<(Vec<Expr>, Vec<Expr>)> {
        if left.len() != right.len() {
            return Err(errors::syntax(pos, "unequal number of entries in row expressions"));
        }
        if left.is_empty() {
            let message = "cannot compare rows of zero length";
            return Err(errors::client(state::FEATURE_NOT_SUPPORTED, pos, message));
        }
        let (mut lefts, mut rights) = (Vec::new(), Vec::new());
        for (l, r) in left.iter().zip(right) {
            let (l, r) = (self.expr(l)?, self.expr(r)?);
            let (l, r) = self.comparison(name, l, r, pos)?;
            lefts.push(l);
            rights.push(r);
        }
        Ok((lefts, rights))
    }

    /// (a, b) [NOT] IN ((c, d), …)
    pub(super) fn row_in_list(
        &mut self,
        left: &[ast::Expr],
        list: &[ast::Expr],
        not: bool,
        pos: u32,
    ) -> Result<Expr> {
        let name = if not { "<>" } else { "=" };
        let mut parts = Vec::new();
        for item in list {
            let ast::ExprKind::Row(right) = &item.kind else {
                return Err(Error::unsupported("comparing a row with a value").at(item.pos));
            };
            parts.push(self.row_comparison(left, name, right, pos)?);
        }
        if parts.len() == 1 {
            return Ok(parts.remove(0));
        }
        let kind = if not { ExprKind::And(parts) } else { ExprKind::Or(parts) };
        Ok(Expr { kind, ty: BOOL, pos })
    }

    /// (a, b) IS [NOT] DISTINCT FROM (c, d)
    pub(super) fn row_distinct(
        &mut self,
        left: &[ast::Expr],
        right: &[ast::Expr],
        not: bool,
        pos: u32,
    ) -> Result<Expr> {
        let (left, right) = self.row_operands(left, "=", right, pos)?;
        let parts: Vec<Expr> = left
            .into_iter()
            .zip(right)
            .map(|(l, r)| {
                let kind = ExprKind::IsDistinct(Box::new(l), Box::new(r), not);
                Expr { kind, ty: BOOL, pos }
            })
            .collect();
        Ok(match <[Expr; 1]>::try_from(parts) {
            Ok([only]) => only,
            Err(parts) => {
                let kind = if not { ExprKind::And(parts) } else { ExprKind::Or(parts) };
                Expr { kind, ty: BOOL, pos }
            }
        })
    }

    /// A row as an argument of a function: ROW(…), a table's name, `t.*`.
    pub(super) fn record(&mut self, arg: &ast::Expr) -> Result<Option<Expr>> {
        let pos = arg.pos;
        let ty = Type::new(oid::RECORD);
        let parts = match &arg.kind {
            ast::ExprKind::Row(items) => {
                let mut fields = Vec::with_capacity(items.len());
                for item in items {
                    let value = self.expr(item)?;
                    let name = format!("f{}", fields.len() + 1);
                    fields.push((name, self.settle(value)?));
                }
                return Ok(Some(Expr { kind: ExprKind::Record(fields, None), ty, pos }));
            }
            ast::ExprKind::Star(parts) => parts,
            ast::ExprKind::Column(parts) if self.column(parts, pos).is_err() => parts,
            _ => return Ok(None),
        };
        let (schema, table) = match parts.as_slice() {
            [table] => (None, table.as_str()),
            [schema, table] => (Some(schema.as_str()), table.as_str()),
            _ => return Ok(None),
        };
        let Some(item) = self.find_item(schema, table, pos)? else { return Ok(None) };
        let fields: Vec<(String, Expr)> =
            item.columns.iter().map(|c| (c.name.clone(), at(c.expr.clone(), pos))).collect();
        // An outer join's missing row is NULL itself, which a column that is never NULL tells.
        let certain = item.relation.as_ref().and_then(|(_, r)| {
            r.columns.iter().position(|c| c.not_null).and_then(|i| fields.get(i))
        });
        if certain.is_none() && !item.cols_visible {
            let message = format!("a whole-row reference to \"{table}\" inside a join");
            return Err(Error::unsupported(message).at(pos));
        }
        let exists = certain.map(|(_, e)| Box::new(e.clone())).filter(|_| !item.cols_visible);
        Ok(Some(Expr { kind: ExprKind::Record(fields, exists), ty, pos }))
    }

    /// (a, b) IS [NOT] NULL: all fields are (not) null.
    pub(super) fn row_is_null(&mut self, items: &[ast::Expr], not: bool, pos: u32) -> Result<Expr> {
        let mut parts = Vec::new();
        for item in items {
            let inner = self.expr(item)?;
            let kind = ExprKind::IsNull(Box::new(inner), not);
            parts.push(Expr { kind, ty: BOOL, pos });
        }
        Ok(match <[Expr; 1]>::try_from(parts) {
            Ok([only]) => only,
            Err(parts) => Expr { kind: ExprKind::And(parts), ty: BOOL, pos },
        })
    }
}
