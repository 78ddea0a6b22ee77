//! Columns that a group has no single value of: SQLite takes them from one row.
//!
//! With one min() or max() that row is the one with the extreme; otherwise any row, and the
//! answer is not compared. Start at [`Analyzer::lite_bare`].

use super::super::target::Entry;
use super::super::walk::{same, visit};
use super::{Analyzer, as_lite};
use crate::error::Result;
use crate::sql::ir::{Call, CallKind, Expr, ExprKind, Sort};

impl Analyzer<'_> {
    /// Marks the bare columns of a grouped query's outputs, HAVING and ORDER BY.
    pub(in super::super) fn lite_bare(
        &mut self,
        entries: &mut [Entry],
        having: Option<&mut Expr>,
        order_by: &mut [Sort],
        group_by: &[Expr],
    ) -> Result<()> {
        let dependent = self.dependent_relations(group_by);
        let mut all: Vec<&mut Expr> = entries.iter_mut().map(|e| &mut e.expr).collect();
        all.extend(having);
        all.extend(
            order_by
                .iter_mut()
                .map(|s| &mut s.expr)
                .filter(|e| !matches!(e.kind, ExprKind::OutputColumn(_))),
        );
        let key = extreme(all.iter().map(|e| &**e));
        let mut bare = false;
        for expr in all {
            bare |= self.mark(expr, group_by, &dependent, key.as_ref());
        }
        if bare && key.is_none() {
            self.volatile = true;
        }
        Ok(())
    }

    /// Wraps the bare columns in an expression; whether there were any.
    fn mark(
        &self,
        expr: &mut Expr,
        group_by: &[Expr],
        dependent: &[u32],
        key: Option<&Sort>,
    ) -> bool {
        if group_by.iter().any(|g| same(g, expr)) {
            return false;
        }
        match &expr.kind {
            ExprKind::Call(call) if call.kind == CallKind::Aggregate => return false,
            ExprKind::Column(rel, _) => {
                let own = self.rel_levels.get(rel).is_some_and(|l| *l == self.levels.len())
                    && self.is_own_relation(*rel);
                if !own || dependent.contains(rel) {
                    return false;
                }
                let (ty, pos) = (expr.ty, expr.pos);
                let column =
                    std::mem::replace(expr, Expr { kind: ExprKind::OutputColumn(0), ty, pos });
                let call = Call {
                    name: "bare".to_owned(),
                    kind: CallKind::Aggregate,
                    args: vec![column],
                    order_by: key.cloned().into_iter().collect(),
                    lite: true,
                    ..Call::default()
                };
                expr.kind = ExprKind::Call(Box::new(call));
                return true;
            }
            _ => {}
        }
        let mut found = false;
        expr.children_mut(&mut |e| found |= self.mark(e, group_by, dependent, key));
        found
    }
}

/// The order whose first row SQLite takes bare columns from: that of the only aggregate, when
/// it is min or max.
fn extreme<'e>(exprs: impl Iterator<Item = &'e Expr>) -> Option<Sort> {
    let mut calls: Vec<Call> = Vec::new();
    for expr in exprs {
        visit(expr, &mut |e| {
            if let ExprKind::Call(call) = &e.kind
                && call.kind == CallKind::Aggregate
            {
                calls.extend(as_lite(e).cloned());
                return false;
            }
            true
        });
    }
    calls.dedup();
    let [call] = calls.as_slice() else { return None };
    let [argument] = call.args.as_slice() else { return None };
    let descending = match call.name.as_str() {
        "max" => true,
        "min" => false,
        _ => return None,
    };
    (!call.distinct && call.filter.is_none()).then(|| Sort {
        expr: argument.clone(),
        descending,
        nulls_first: false,
    })
}
