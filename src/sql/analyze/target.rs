//! Select lists and RETURNING: stars, names, origins.
//!
//! Owns the expansion of `*` in PostgreSQL's column order. Start at [`Analyzer::targets`].

use super::names::column_name;
use super::scope::{Item, Place, at};
use super::{Analyzer, errors};
use crate::error::Result;
use crate::sql::ast::{self, ExprKind as A};
use crate::sql::ir::{Expr, ExprKind, Output};
use crate::value::oid;

/// One output column under construction.
pub(super) struct Entry {
    pub(super) expr: Expr,
    pub(super) name: String,
    pub(super) origin: (u32, i16),
}

impl Entry {
    pub(super) fn output(&self) -> Output {
        Output { name: self.name.clone(), ty: self.expr.ty, origin: self.origin }
    }

    /// Makes an output without a type text.
    pub(super) fn settle(&mut self, analyzer: &mut Analyzer<'_>) -> Result<()> {
        if self.expr.ty.oid == oid::UNKNOWN {
            self.expr = analyzer.settle(self.expr.clone())?;
        }
        Ok(())
    }
}

impl Analyzer<'_> {
    /// A select list.
    pub(super) fn targets(&mut self, targets: &[ast::Target]) -> Result<Vec<Entry>> {
        let mut entries = Vec::with_capacity(targets.len());
        for target in targets {
            match &target.expr.kind {
                A::Star(parts) => {
                    let first = entries.len();
                    self.star(parts, target.expr.pos, &mut entries)?;
                    if self.lite {
                        for entry in &mut entries[first..] {
                            entry.expr = self.lite_output(entry.expr.clone(), entry.origin)?;
                        }
                    }
                }
                A::Column(parts) if self.lite => {
                    let (expr, origin) = self.nested(|a| a.lite_target(parts))?;
                    let expr = self.lite_output(expr, origin)?;
                    let name = target
                        .alias
                        .clone()
                        .unwrap_or_else(|| self.spelled(parts).pop().unwrap_or_default());
                    entries.push(Entry { expr, name, origin });
                }
                _ if self.lite => {
                    let expr = self.expr(&target.expr)?;
                    let origin = self.origin(&expr);
                    let expr = self.lite_output(expr, origin)?;
                    let name = target.alias.clone().unwrap_or_else(|| column_name(&target.expr));
                    entries.push(Entry { expr, name, origin });
                }
                A::Column(parts) => {
                    let found = self.nested(|a| a.column_or_row(parts, target.expr.pos))?;
                    let name = target.alias.clone().unwrap_or_else(|| column_name(&target.expr));
                    entries.push(Entry { expr: found.expr, name, origin: found.origin });
                }
                _ => {
                    let alone = self.alone;
                    self.alone &= is_unconditional(&target.expr);
                    let expr = self.expr(&target.expr);
                    self.alone = alone;
                    let expr = expr?;
                    let name = target.alias.clone().unwrap_or_else(|| column_name(&target.expr));
                    // A cast that changes nothing leaves a plain column.
                    let origin = self.origin(&expr);
                    entries.push(Entry { expr, name, origin });
                }
            }
        }
        Ok(entries)
    }

    /// Table and column of an expression that is a plain column.
    fn origin(&self, expr: &Expr) -> (u32, i16) {
        let ExprKind::Column(rel, index) = expr.kind else { return (0, 0) };
        let columns = self.levels.iter().flat_map(|l| &l.items).flat_map(|i| &i.columns);
        let mut same = columns
            .filter(|c| matches!(c.expr.kind, ExprKind::Column(r, i) if r == rel && i == index));
        same.next().map_or((0, 0), |c| c.origin)
    }

    /// RETURNING; outputs without a type become text.
    pub(super) fn returning(
        &mut self,
        targets: &[ast::Target],
    ) -> Result<(Vec<Expr>, Vec<Output>)> {
        let mut entries = self.at_place(Place::Returning, |a| a.targets(targets))?;
        for entry in &mut entries {
            entry.settle(self)?;
        }
        let outputs = entries.iter().map(Entry::output).collect();
        Ok((entries.into_iter().map(|e| e.expr).collect(), outputs))
    }

    pub(super) fn star(
        &mut self,
        parts: &[String],
        pos: u32,
        entries: &mut Vec<Entry>,
    ) -> Result<()> {
        let add = |item: &Item, entries: &mut Vec<Entry>| {
            entries.extend(item.columns.iter().map(|c| Entry {
                expr: at(c.expr.clone(), pos),
                name: c.name.clone(),
                origin: c.origin,
            }));
        };
        match parts {
            [] => {
                let level = self.level();
                let visible: Vec<&Item> = level.items.iter().filter(|i| i.cols_visible).collect();
                if visible.is_empty() {
                    let message = "SELECT * with no tables specified is not valid";
                    return Err(errors::syntax(pos, message));
                }
                for item in visible {
                    add(item, entries);
                }
                Ok(())
            }
            [table] | [_, table] | [_, _, table] => {
                let schema = match parts {
                    [schema, _] | [_, schema, _] => Some(schema.as_str()),
                    _ => None,
                };
                match self.find_item(schema, table, pos)? {
                    Some(item) => add(item, entries),
                    None => return Err(self.missing_table(table, pos)),
                }
                Ok(())
            }
            _ => Err(errors::too_many_dots(parts, pos)),
        }
    }
}

/// Whether all parts of an expression are computed, whatever their values.
pub(super) fn is_unconditional(expr: &ast::Expr) -> bool {
    match &expr.kind {
        A::Cast(inner, _) => is_unconditional(inner),
        A::Op { left, right, .. } => {
            left.as_deref().is_none_or(is_unconditional) && is_unconditional(right)
        }
        // What is in its arguments is not alone any more.
        A::Call(_) | A::Literal(_) | A::Param(_) | A::Column(_) => true,
        _ => false,
    }
}
