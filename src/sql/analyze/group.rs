//! The grouping check: 42803 for columns that have no single value in a group.
//!
//! Owns PostgreSQL's rule, functional dependency on a grouped primary key included. Start at
//! [`Analyzer::check_grouping`].

use super::target::Entry;
use super::walk::{same, visit};
use super::{Analyzer, errors};
use crate::error::{Error, Result};
use crate::sql::ir::{CallKind, Expr, ExprKind, Sort};

impl Analyzer<'_> {
    /// Checks a grouped query's outputs, HAVING and ORDER BY.
    pub(super) fn check_grouping(
        &self,
        entries: &[Entry],
        having: Option<&Expr>,
        order_by: &[Sort],
        group_by: &[Expr],
        common: &[Expr],
    ) -> Result<()> {
        let dependent = self.dependent_relations(common);
        let outputs = entries.iter().map(|e| &e.expr);
        let sorts = order_by
            .iter()
            .map(|s| &s.expr)
            .filter(|e| !matches!(e.kind, ExprKind::OutputColumn(_)));
        for expr in outputs.chain(having).chain(sorts) {
            self.check_grouped(expr, group_by, &dependent)?;
        }
        Ok(())
    }

    /// Relations of this query whose whole primary key is grouped by.
    pub(super) fn dependent_relations(&self, group_by: &[Expr]) -> Vec<u32> {
        let Some(level) = self.levels.last() else { return Vec::new() };
        let grouped = |rel: u32, index: usize| {
            group_by.iter().any(
                |g| matches!(g.kind, ExprKind::Column(r, i) if r == rel && i as usize == index),
            )
        };
        level
            .items
            .iter()
            .filter_map(|item| item.relation.as_ref())
            .filter(|(rel, relation)| {
                relation
                    .primary_key
                    .as_ref()
                    .is_some_and(|key| !key.is_empty() && key.iter().all(|i| grouped(*rel, *i)))
            })
            .map(|(rel, _)| *rel)
            .collect()
    }

    fn check_grouped(&self, expr: &Expr, group_by: &[Expr], dependent: &[u32]) -> Result<()> {
        let here = self.levels.len();
        let mut problem: Option<Error> = None;
        // Depth of subqueries is told by which level made a relation: theirs are gone already.
        visit(expr, &mut |e| {
            if problem.is_some() || group_by.iter().any(|g| same(g, e)) {
                return false;
            }
            match &e.kind {
                ExprKind::Call(call) if call.kind == CallKind::Aggregate => false,
                ExprKind::Column(rel, index) => {
                    let own = self.rel_levels.get(rel).is_some_and(|l| *l == here)
                        && self.is_own_relation(*rel);
                    if own && !dependent.contains(rel) {
                        let (table, column) = self.column_name_of(*rel, *index);
                        problem = Some(errors::ungrouped(&table, &column, e.pos));
                    }
                    false
                }
                _ => true,
            }
        });
        match problem {
            Some(error) => Err(self.reword_outer(expr, error)),
            None => Ok(()),
        }
    }

    /// A column inside a subquery has its own text in PostgreSQL.
    fn reword_outer(&self, expr: &Expr, error: Error) -> Error {
        let pos = error.fields().position;
        let mut inside = false;
        visit(expr, &mut |e| {
            if let ExprKind::Subquery(q) | ExprKind::Exists(q) | ExprKind::ArraySubquery(q) =
                &e.kind
            {
                super::walk::visit_query(q, &mut |c| {
                    inside |= matches!(c.kind, ExprKind::Column(..)) && c.pos == pos;
                    true
                });
                return false;
            }
            true
        });
        let quoted = error.message().split('"').nth(1).unwrap_or("").to_owned();
        match quoted.split_once('.') {
            Some((table, column)) if inside => errors::ungrouped_outer(table, column, pos),
            _ => error,
        }
    }

    pub(super) fn is_own_relation(&self, rel: u32) -> bool {
        self.levels.last().is_some_and(|level| {
            level.items.iter().any(|item| {
                item.columns.iter().any(|c| {
                    let mut uses = false;
                    visit(&c.expr, &mut |e| {
                        uses |= matches!(e.kind, ExprKind::Column(r, _) if r == rel);
                        true
                    });
                    uses
                })
            })
        })
    }

    /// Table and column name of a column of this query, as written in errors.
    fn column_name_of(&self, rel: u32, index: u32) -> (String, String) {
        let items = self.levels.last().map_or(&[][..], |l| l.items.as_slice());
        for item in items.iter().filter(|i| i.name.is_some()) {
            for column in &item.columns {
                if matches!(column.expr.kind, ExprKind::Column(r, i) if r == rel && i == index) {
                    let table = item.name.clone().unwrap_or_default();
                    return (table, column.name.clone());
                }
            }
        }
        (String::new(), "?column?".to_owned())
    }
}
