//! ON CONFLICT: which unique index arbitrates, and DO UPDATE.
//!
//! Owns the inference against the catalog (42P10, 42704). Start at
//! [`Analyzer::on_conflict`].

use super::scope::{Column, Item, Place};
use super::walk::same;
use super::{Analyzer, EXCLUDED, errors};
use crate::error::{Error, Result, state};
use crate::schema::{IndexKey, Relation, Unique};
use crate::sql::ast;
use crate::sql::ir::{Expr, ExprKind, OnConflict};

/// SQLite does not know of such an index when a row meets it.
const BY_TRIGGER: &str = "ON CONFLICT beside a unique index over an expression that SQLite lacks";

/// What DO UPDATE sets, and its WHERE.
type Setting = (Vec<(u32, Expr)>, Option<Expr>);

impl Analyzer<'_> {
    /// Analyses the clause; the target is visible as relation `rel` on this level.
    pub(super) fn on_conflict(
        &mut self,
        clause: &ast::OnConflict,
        rel: u32,
        relation: &Relation,
    ) -> Result<OnConflict> {
        let mut done = OnConflict {
            columns: Vec::new(),
            expressions: Vec::new(),
            index_filter: None,
            update: None,
        };
        if let Some(name) = &clause.constraint {
            done.columns = constraint_columns(relation, name)?;
        } else if !clause.keys.is_empty() {
            self.infer(clause, rel, relation, &mut done)?;
        } else if clause.update.is_some() {
            let message =
                "ON CONFLICT DO UPDATE requires inference specification or constraint name";
            return Err(errors::syntax(0, message).hint("For example, ON CONFLICT (column_name)."));
        } else if relation.indexes.iter().any(crate::schema::Index::by_trigger)
            || relation.looked_for().next().is_some()
        {
            return Err(Error::unsupported(BY_TRIGGER));
        }
        let named = |c: &usize| done.columns.iter().any(|d| *d as usize == *c);
        let same =
            |u: &Unique| u.columns.len() == done.columns.len() && u.columns.iter().all(named);
        if !done.columns.is_empty() && relation.looked_for().any(same) {
            return Err(Error::unsupported(BY_TRIGGER));
        }
        if let Some((assignments, filter)) = &clause.update {
            let target = self.level().items.clone();
            let mut excluded = excluded_item(relation);
            // SQLite: a bare name is the row's that is there.
            excluded.cols_visible = !self.lite;
            self.level().items.push(excluded);
            self.rel_levels.insert(EXCLUDED, self.levels.len());
            let result = self.do_update(assignments, filter.as_ref(), relation);
            self.level().items = target;
            done.update = Some(result?);
        }
        Ok(done)
    }

    fn do_update(
        &mut self,
        assignments: &[ast::Assignment],
        filter: Option<&ast::Expr>,
        relation: &Relation,
    ) -> Result<Setting> {
        let (assignments, rows) = self.assignments(assignments, relation)?;
        if !rows.is_empty() {
            return Err(Error::unsupported("assigning a row subquery in ON CONFLICT DO UPDATE"));
        }
        let filter = match filter {
            Some(e) => Some(self.at_place(Place::Where, |a| a.condition(e, "WHERE"))?),
            None => None,
        };
        Ok((assignments, filter))
    }

    /// Finds the unique index that the written keys and predicate mean.
    fn infer(
        &mut self,
        clause: &ast::OnConflict,
        rel: u32,
        relation: &Relation,
        done: &mut OnConflict,
    ) -> Result<()> {
        let mut columns: Vec<usize> = Vec::new();
        let mut expressions: Vec<Expr> = Vec::new();
        for key in &clause.keys {
            let expr = self.expr(key)?;
            match expr.kind {
                ExprKind::Column(r, index) if r == rel => {
                    if !columns.contains(&(index as usize)) {
                        columns.push(index as usize);
                    }
                }
                _ => expressions.push(expr),
            }
        }
        let filter = match &clause.filter {
            Some(e) => Some(self.at_place(Place::Where, |a| a.condition(e, "WHERE"))?),
            None => None,
        };
        let set_equal = |other: &[usize]| {
            other.len() == columns.len() && other.iter().all(|c| columns.contains(c))
        };
        done.columns = columns.iter().map(|c| u32::try_from(*c).unwrap_or(u32::MAX)).collect();
        // A full index serves whatever the predicate says.
        if expressions.is_empty() && relation.uniques.iter().any(|u| set_equal(&u.columns)) {
            return Ok(());
        }
        for index in relation.indexes.iter().filter(|i| i.unique && !i.sqlite) {
            let mut own_columns: Vec<usize> = Vec::new();
            let mut own_expressions: Vec<Expr> = Vec::new();
            for key in &index.keys {
                match key {
                    IndexKey::Column(column, _) => own_columns.push(*column),
                    IndexKey::Expression(text, _) => {
                        own_expressions.push(self.stored(text, rel, relation)?);
                    }
                }
            }
            let covered = set_equal(&own_columns)
                && own_expressions.len() == expressions.len()
                && own_expressions.iter().all(|e| expressions.iter().any(|x| same(e, x)));
            if !covered {
                continue;
            }
            let predicate = match &index.predicate {
                Some(text) => Some(self.stored(text, rel, relation)?),
                None => None,
            };
            let implied = match (&predicate, &filter) {
                (None, _) => true,
                (Some(wanted), Some(given)) => implies(given, wanted),
                (Some(_), None) => false,
            };
            if implied && index.absent {
                return Err(Error::unsupported(BY_TRIGGER));
            }
            if implied {
                done.expressions = expressions;
                done.index_filter = predicate;
                return Ok(());
            }
        }
        let message =
            "there is no unique or exclusion constraint matching the ON CONFLICT specification";
        Err(Error::client(state::INVALID_COLUMN_REFERENCE, message))
    }

    /// A stored expression over the target, with the target's relation number.
    fn stored(&mut self, text: &str, rel: u32, relation: &Relation) -> Result<Expr> {
        let tree = super::parse_expression(text)?;
        let _ = relation;
        let hidden: Vec<Item> = self.level().items.clone();
        self.level().items.retain(|i| i.relation.as_ref().is_some_and(|(r, _)| *r == rel));
        let result = self.in_postgres(|a| a.expr(&tree));
        self.level().items = hidden;
        let expr = result?;
        self.settle(expr)
    }
}

/// Whether a predicate contains all that another one demands.
fn implies(given: &Expr, wanted: &Expr) -> bool {
    if same(given, wanted) {
        return true;
    }
    match (&given.kind, &wanted.kind) {
        (_, ExprKind::And(parts)) => parts.iter().all(|p| implies(given, p)),
        (ExprKind::And(parts), _) => parts.iter().any(|p| same(p, wanted)),
        _ => false,
    }
}

fn constraint_columns(relation: &Relation, name: &str) -> Result<Vec<u32>> {
    let found = relation.uniques.iter().find(|u| u.constraint && u.name == name);
    match found {
        Some(unique) => {
            Ok(unique.columns.iter().map(|c| u32::try_from(*c).unwrap_or(u32::MAX)).collect())
        }
        None if relation.indexes.iter().any(|i| i.is_exclusion() && i.name == name) => {
            Err(Error::unsupported(BY_TRIGGER))
        }
        None => {
            let message =
                format!("constraint \"{name}\" for table \"{}\" does not exist", relation.name);
            Err(Error::client(state::UNDEFINED_OBJECT, message))
        }
    }
}

/// The row proposed for insertion.
fn excluded_item(relation: &Relation) -> Item {
    let columns = relation
        .columns
        .iter()
        .enumerate()
        .map(|(i, column)| Column {
            name: column.name.clone(),
            expr: Expr {
                kind: ExprKind::Excluded(u32::try_from(i).unwrap_or(u32::MAX)),
                ty: column.ty,
                pos: 0,
            },
            origin: (0, 0),
        })
        .collect();
    Item::new(Some("excluded".to_owned()), columns)
}
