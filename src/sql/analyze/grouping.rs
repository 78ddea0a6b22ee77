//! GROUPING SETS, ROLLUP, CUBE and GROUPING().
//!
//! Owns the expansion into plain sets. Start at [`Analyzer::grouping_item`].

use super::target::Entry;
use super::walk::{same, visit};
use super::{Analyzer, errors};
use crate::error::{Result, state};
use crate::sql::ast::{self, ExprKind as A, GroupingSet};
use crate::sql::ir::{Call, CallKind, Expr, ExprKind, Sort};
use crate::value::{Type, oid};

/// More sets than PostgreSQL allows.
pub(super) const MOST_SETS: usize = 4096;

/// Columns of one CUBE.
const MOST_CUBED: usize = 12;

/// Whether an item of GROUP BY stands for several sets.
pub(super) fn is_set(item: &ast::Expr) -> bool {
    matches!(item.kind, A::GroupingSet(..))
}

/// Every set of one list with every set of another.
pub(super) fn crossed(left: &[Vec<usize>], right: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut out = Vec::with_capacity(left.len() * right.len());
    for a in left {
        for b in right {
            let mut set = a.clone();
            set.extend(b.iter().filter(|n| !a.contains(n)));
            out.push(set);
        }
    }
    out
}

impl Analyzer<'_> {
    /// The sets one item of GROUP BY stands for; `done` gathers the expressions.
    pub(super) fn grouping_item(
        &mut self,
        item: &ast::Expr,
        entries: &mut [Entry],
        done: &mut Vec<Expr>,
    ) -> Result<Vec<Vec<usize>>> {
        let A::GroupingSet(kind, parts) = &item.kind else {
            return Ok(vec![self.group_plain(std::slice::from_ref(item), entries, done)?]);
        };
        if *kind == GroupingSet::Sets {
            let mut sets = Vec::new();
            for part in parts {
                sets.extend(self.nested(|a| a.grouping_item(part, entries, done))?);
            }
            return Ok(sets);
        }
        let mut units = Vec::with_capacity(parts.len());
        for part in parts {
            units.push(self.group_plain(std::slice::from_ref(part), entries, done)?);
        }
        let join = |chosen: &[Vec<usize>]| {
            chosen
                .iter()
                .fold(vec![Vec::new()], |sets, unit| crossed(&sets, std::slice::from_ref(unit)))
        };
        Ok(match kind {
            GroupingSet::Rollup => {
                (0..=units.len()).rev().flat_map(|n| join(&units[..n])).collect()
            }
            GroupingSet::Cube => {
                if units.len() > MOST_CUBED {
                    let message = "CUBE is limited to 12 elements";
                    return Err(errors::client(state::STATEMENT_TOO_COMPLEX, item.pos, message));
                }
                (0..1_usize << units.len())
                    .rev()
                    .flat_map(|mask| {
                        let chosen: Vec<Vec<usize>> = units
                            .iter()
                            .enumerate()
                            .filter(|(i, _)| mask >> (units.len() - 1 - i) & 1 == 1)
                            .map(|(_, unit)| unit.clone())
                            .collect();
                        join(&chosen)
                    })
                    .collect()
            }
            GroupingSet::Empty | GroupingSet::Sets => vec![Vec::new()],
        })
    }

    /// GROUPING(…): known when the sets are; until then an aggregate of its own kind.
    pub(super) fn grouping(&mut self, args: &[ast::Expr], pos: u32) -> Result<Expr> {
        let place = self.level().place;
        if !place.allows_aggregates() {
            let message = format!("grouping operations are not allowed in {}", place.name());
            return Err(errors::client(state::GROUPING_ERROR, pos, message));
        }
        if args.len() > 31 {
            let message = "GROUPING must have fewer than 32 arguments";
            return Err(errors::client(state::STATEMENT_TOO_COMPLEX, pos, message));
        }
        let args = args
            .iter()
            .map(|e| {
                let arg = self.expr(e)?;
                self.settle(arg)
            })
            .collect::<Result<Vec<_>>>()?;
        self.level().aggregates = true;
        let call = Call {
            name: "grouping".to_owned(),
            kind: CallKind::Aggregate,
            args,
            ..Call::default()
        };
        Ok(Expr { kind: ExprKind::Call(Box::new(call)), ty: Type::new(oid::INT4), pos })
    }

    /// 42803 for GROUPING over what is not grouped by; says whether there is any GROUPING.
    pub(super) fn check_groupings(
        &self,
        entries: &[Entry],
        having: Option<&Expr>,
        order_by: &[Sort],
        group_by: &[Expr],
    ) -> Result<bool> {
        let mut seen = false;
        let mut stray: Option<u32> = None;
        let outputs = entries.iter().map(|e| &e.expr);
        for expr in outputs.chain(having).chain(order_by.iter().map(|s| &s.expr)) {
            visit(expr, &mut |e| {
                let ExprKind::Call(call) = &e.kind else { return true };
                if call.kind == CallKind::Aggregate && call.name == "grouping" && call.oid == 0 {
                    seen = true;
                    let missing = call.args.iter().find(|a| !group_by.iter().any(|g| same(g, a)));
                    stray = stray.or(missing.map(|a| a.pos));
                }
                true
            });
        }
        match stray {
            Some(pos) => {
                let message = "arguments to GROUPING must be grouping expressions of the \
                               associated query level";
                Err(errors::client(state::GROUPING_ERROR, pos, message))
            }
            None => Ok(seen),
        }
    }
}
