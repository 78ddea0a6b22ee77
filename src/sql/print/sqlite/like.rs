//! LIKE with a range beside it, so that an index on the column serves.

use super::codec::{is_constant, logical};
use super::names::Printer;
use crate::error::Result;
use crate::schema::{Codec, IndexKey, Relation};
use crate::sql::ir::{Expr, ExprKind};
use crate::value::oid;

impl Printer {
    /// `text LIKE constant` over an indexed column; None when the plain form will do.
    pub(super) fn like(&mut self, op: &str, left: &Expr, right: &Expr) -> Result<Option<String>> {
        if op != "~~" || !is_constant(right) {
            return Ok(None);
        }
        let ExprKind::Column(rel, index) = stripped(left).kind else { return Ok(None) };
        let indexed = self.tables.get(&rel).is_some_and(|t| leads_an_index(t, index as usize));
        let value = self.value(left)?;
        let text = matches!(value.ty.oid, oid::TEXT | oid::VARCHAR | oid::NAME);
        if !indexed || value.codec != Codec::Identity || !text || value.collated {
            return Ok(None);
        }
        let (column, pattern) = (logical(&value), self.logical(right)?);
        Ok(Some(format!(
            "({column} >= pg_like_low({pattern}) AND {column} < pg_like_high({pattern}) \
             AND pg_like({column}, {pattern}))"
        )))
    }
}

fn stripped(expr: &Expr) -> &Expr {
    match &expr.kind {
        ExprKind::Cast(inner, crate::sql::ir::CastKind::Relabel) => stripped(inner),
        _ => expr,
    }
}

/// Whether a column is the first key of some index.
fn leads_an_index(table: &Relation, column: usize) -> bool {
    table.uniques.iter().any(|u| u.columns.first() == Some(&column))
        || table
            .indexes
            .iter()
            .any(|i| matches!(i.keys.first(), Some(IndexKey::Column(c, _)) if *c == column))
}
