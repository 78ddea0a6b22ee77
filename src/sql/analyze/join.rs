//! Joins: ON, USING and NATURAL, and the columns a join shows.
//!
//! Owns the merged columns of USING (COALESCE for FULL). Start at [`Analyzer::join`].

use super::from::{Made, apply_column_aliases};
use super::scope::{Column, Item, Place};
use super::{Analyzer, errors};
use crate::error::{Result, state};
use crate::sql::ast::{self, JoinCondition, JoinKind, TableRef};
use crate::sql::ir::{Expr, ExprKind, From};
use crate::value::{Type, oid};

impl Analyzer<'_> {
    pub(super) fn join(
        &mut self,
        kind: JoinKind,
        sides: (&TableRef, &TableRef),
        condition: &JoinCondition,
        alias: Option<&ast::Alias>,
    ) -> Result<Made> {
        let left = self.table_ref(sides.0)?;
        // The right side may refer to the left one if it is LATERAL.
        let base = self.level().items.len();
        let lateral_ok = matches!(kind, JoinKind::Inner | JoinKind::Left | JoinKind::Cross);
        for item in &left.items {
            let mut item = item.clone();
            item.lateral_only = true;
            item.lateral_ok = lateral_ok;
            self.level().items.push(item);
        }
        let right = self.table_ref(sides.1);
        let right = right.and_then(|right| {
            let all = std::mem::take(&mut self.level().items);
            self.level().items = all[base..].to_vec();
            let clash = self.check_conflicts(&right.items);
            self.level().items = all;
            clash.map(|()| right)
        });
        self.level().items.truncate(base);
        let right = right?;

        let mut items = left.items;
        let left_top = items.pop().unwrap_or_else(|| Item::new(None, Vec::new()));
        let mut right_items = right.items;
        let right_top = right_items.pop().unwrap_or_else(|| Item::new(None, Vec::new()));

        let mut columns: Vec<Column> = Vec::new();
        let on = match condition {
            JoinCondition::None => {
                columns.extend(left_top.columns.iter().cloned());
                columns.extend(right_top.columns.iter().cloned());
                None
            }
            JoinCondition::On(e) => {
                columns.extend(left_top.columns.iter().cloned());
                columns.extend(right_top.columns.iter().cloned());
                let mut visible = items.clone();
                visible.push(left_top.clone());
                visible.extend(right_items.iter().cloned());
                visible.push(right_top.clone());
                Some(self.join_on(e, visible)?)
            }
            JoinCondition::Using(names) => {
                self.using(kind, names, (&left_top, &right_top), &mut columns)?
            }
            JoinCondition::Natural => {
                let names: Vec<String> = left_top
                    .columns
                    .iter()
                    .filter(|c| right_top.columns.iter().any(|r| r.name == c.name))
                    .map(|c| c.name.clone())
                    .collect();
                self.using(kind, &names, (&left_top, &right_top), &mut columns)?
            }
        };

        let from = From::Join { kind, left: Box::new(left.from), right: Box::new(right.from), on };
        let mut joined = Item::new(alias.map(|a| a.name.clone()), columns);
        joined.rel_visible = alias.is_some();
        apply_column_aliases(&mut joined, alias, 0)?;
        let mut all = Vec::new();
        items.push(left_top);
        items.append(&mut right_items);
        items.push(right_top);
        for mut item in items {
            item.cols_visible = false;
            item.rel_visible &= alias.is_none();
            all.push(item);
        }
        all.push(joined);
        Ok(Made { from, items: all })
    }

    /// ON sees both sides and outer queries, nothing else of this FROM.
    fn join_on(&mut self, e: &ast::Expr, mut visible: Vec<Item>) -> Result<Expr> {
        for item in &mut visible {
            item.lateral_only = false;
            item.lateral_ok = true;
        }
        let hidden = std::mem::replace(&mut self.level().items, visible);
        let per_row = std::mem::replace(&mut self.level().per_row, true);
        let result = self.at_place(Place::JoinOn, |a| a.condition(e, "JOIN/ON"));
        self.level().per_row = per_row;
        self.level().items = hidden;
        result
    }

    /// The condition of USING; fills in the join's columns: merged ones first.
    fn using(
        &mut self,
        kind: JoinKind,
        names: &[String],
        sides: (&Item, &Item),
        columns: &mut Vec<Column>,
    ) -> Result<Option<Expr>> {
        let (left, right) = sides;
        let mut tests: Vec<Expr> = Vec::new();
        for (i, name) in names.iter().enumerate() {
            if names[..i].contains(name) {
                let message =
                    format!("column name \"{name}\" appears more than once in USING clause");
                return Err(errors::client(state::DUPLICATE_COLUMN, 0, message));
            }
            let l = side_column(left, name, "left")?;
            let r = side_column(right, name, "right")?;
            tests.push(self.operator("=", Some(l.expr.clone()), r.expr.clone(), 0)?);
            columns.push(self.merged(kind, name, l, r)?);
        }
        if self.lite {
            // SQLite leaves the common columns where the left side has them.
            let merged = std::mem::take(columns);
            let own = |c: &Column| merged.iter().find(|m| m.name == c.name).unwrap_or(c).clone();
            columns.extend(left.columns.iter().map(own));
            columns.extend(right.columns.iter().filter(|c| !names.contains(&c.name)).cloned());
        } else {
            for item in [left, right] {
                columns.extend(item.columns.iter().filter(|c| !names.contains(&c.name)).cloned());
            }
        }
        Ok(match tests.len() {
            0 => None,
            1 => tests.pop(),
            _ => Some(Expr { kind: ExprKind::And(tests), ty: Type::new(oid::BOOL), pos: 0 }),
        })
    }

    /// The one column that stands for both.
    fn merged(&mut self, kind: JoinKind, name: &str, l: &Column, r: &Column) -> Result<Column> {
        let plain = |expr: &Expr, side: &Column| {
            if matches!(expr.kind, ExprKind::Column(..)) { side.origin } else { (0, 0) }
        };
        let common = self.common_type(&[&l.expr, &r.expr], "JOIN/USING")?;
        let left = self.cast_to_common(l.expr.clone(), common, "JOIN/USING")?;
        let right = self.cast_to_common(r.expr.clone(), common, "JOIN/USING")?;
        let same_column = |expr: &Expr| matches!(expr.kind, ExprKind::Column(..));
        let (expr, origin) = match kind {
            JoinKind::Left => {
                let origin = plain(&left, l);
                (left, origin)
            }
            JoinKind::Right => {
                let origin = plain(&right, r);
                (right, origin)
            }
            JoinKind::Full => {
                let ty = if left.ty == right.ty { left.ty } else { Type::new(common) };
                let kind = ExprKind::Coalesce(vec![left, right]);
                (Expr { kind, ty, pos: 0 }, (0, 0))
            }
            // The side that needs no cast stands for both.
            JoinKind::Inner | JoinKind::Cross => {
                if same_column(&left) || !same_column(&right) {
                    let origin = plain(&left, l);
                    (left, origin)
                } else {
                    let origin = plain(&right, r);
                    (right, origin)
                }
            }
        };
        Ok(Column { name: name.to_owned(), expr, origin })
    }
}

fn side_column<'i>(item: &'i Item, name: &str, side: &str) -> Result<&'i Column> {
    let mut hits = item.columns.iter().filter(|c| c.name == name);
    let Some(hit) = hits.next() else {
        let message =
            format!("column \"{name}\" specified in USING clause does not exist in {side} table");
        return Err(errors::client(state::UNDEFINED_COLUMN, 0, message));
    };
    if hits.next().is_some() {
        let message =
            format!("common column name \"{name}\" appears more than once in {side} table");
        return Err(errors::client(state::AMBIGUOUS_COLUMN, 0, message));
    }
    Ok(hit)
}
