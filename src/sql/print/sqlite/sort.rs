//! ORDER BY: keys that sort as PostgreSQL's types do, NULLs always placed by word.

use super::codec::{Class, comparable};
use super::names::Printer;
use crate::error::Result;
use crate::sql::fault;
use crate::sql::ir::{ExprKind, Sort};

impl Printer {
    /// The items of an ORDER BY, joined; empty when all are constants.
    pub(super) fn sorts(&mut self, items: &[Sort]) -> Result<String> {
        let mut parts = Vec::with_capacity(items.len());
        for item in items {
            // A bare integer would be an ordinal to SQLite; a constant orders nothing.
            if matches!(item.expr.kind, ExprKind::Const(_)) {
                continue;
            }
            let value = self.value(&item.expr)?;
            let key = comparable(&value, Class::Order);
            // So would a constant that an output column or an encoding has become.
            if constant(&key) {
                continue;
            }
            let direction = if item.descending { "DESC" } else { "ASC" };
            // An index cannot serve a NULL order that is not its own; where no NULL can come
            // the word is left out.
            if value.not_null {
                parts.push(format!("{key} {direction}"));
            } else {
                let first = item.nulls_first != fault::on("null_order");
                let place = if first { "FIRST" } else { "LAST" };
                parts.push(format!("{key} {direction} NULLS {place}"));
            }
        }
        Ok(parts.join(", "))
    }

    /// ` ORDER BY …`, or nothing.
    pub(super) fn order_by(&mut self, items: &[Sort]) -> Result<String> {
        let sorts = self.sorts(items)?;
        Ok(if sorts.is_empty() { sorts } else { format!(" ORDER BY {sorts}") })
    }
}

/// Whether a term names no column, calls nothing and has no parameter: SQLite folds such terms
/// (`1 IS NULL`) to integers, and would take them for the number of an output column.
fn constant(term: &str) -> bool {
    let mut inside = false;
    term.bytes().all(|b| {
        inside ^= b == b'\'';
        inside || !(matches!(b, b'"' | b'?') || b.is_ascii_lowercase())
    })
}
