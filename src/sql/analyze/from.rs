//! FROM: tables, subqueries, aliases, and what they make visible.
//!
//! Owns the namespace each item adds. Joins and table functions have files of their own.
//! Start at [`Analyzer::make_from`].

use std::sync::Arc;

use super::scope::{Column, CteInfo, Item};
use super::{Analyzer, errors};
use crate::error::{Result, state};
use crate::schema::{Relation, RelationKind};
use crate::sql::ast::{self, SelectBody, TableRef};
use crate::sql::ir::{Expr, ExprKind, From, Output, Table};
use crate::sql::lite;

/// A FROM item: its tree, and the namespace entries it makes. The last entry is the item
/// itself (the others are inside a join).
pub(super) struct Made {
    pub(super) from: From,
    pub(super) items: Vec<Item>,
}

impl Analyzer<'_> {
    /// The FROM clause of the current level.
    pub(super) fn make_from(&mut self, refs: &[TableRef]) -> Result<Vec<From>> {
        let mut done = Vec::with_capacity(refs.len());
        for item in refs {
            let made = self.table_ref(item)?;
            self.check_conflicts(&made.items)?;
            for mut item in made.items {
                item.lateral_only = true;
                item.lateral_ok = true;
                self.level().items.push(item);
            }
            done.push(made.from);
        }
        for item in &mut self.level().items {
            item.lateral_only = false;
            item.lateral_ok = true;
        }
        Ok(done)
    }

    /// 42712 for two visible items of one name (unless both have a schema and it differs).
    pub(super) fn check_conflicts(&mut self, new: &[Item]) -> Result<()> {
        for item in new.iter().filter(|i| i.rel_visible) {
            let Some(name) = &item.name else { continue };
            let clash = self.level().items.iter().any(|other| {
                other.rel_visible
                    && other.name.as_ref() == Some(name)
                    && !(other.schema.is_some()
                        && item.schema.is_some()
                        && other.schema != item.schema)
            });
            if clash {
                return Err(errors::duplicate_alias(name, 0));
            }
        }
        Ok(())
    }

    pub(super) fn table_ref(&mut self, item: &TableRef) -> Result<Made> {
        self.nested(|a| match item {
            TableRef::Table { name, alias } => a.table(name, alias.as_ref()),
            TableRef::Subquery { query, alias, lateral, pos } => {
                a.aliased_subquery(query, alias.as_ref(), *lateral, *pos)
            }
            TableRef::Function { call, alias, ordinality, columns, .. } => {
                a.table_function(call, alias.as_ref(), *ordinality, columns)
            }
            TableRef::Join { kind, left, right, condition, alias } => {
                a.join(*kind, (left, right), condition, alias.as_ref())
            }
        })
    }

    fn table(&mut self, name: &ast::Name, alias: Option<&ast::Alias>) -> Result<Made> {
        let spelled = self.lite.then(|| self.lite_table(name));
        let name = spelled.as_ref().unwrap_or(name);
        if name.schema.is_none()
            && let Some(cte) = self.find_cte(&name.name)
        {
            return self.cte_item(&cte, name, alias);
        }
        let Some(relation) = self.find_relation(name.schema.as_deref(), &name.name) else {
            if let Some(sequence) = self.find_sequence(name.schema.as_deref(), &name.name) {
                return self.sequence_item(&sequence, alias, name.pos);
            }
            if self.lite && lite::is_schema_table(&name.name) {
                return self.schema_item(lite::SCHEMA, &name.name, alias);
            }
            return Err(self.missing_relation(name));
        };
        let rel = self.new_rel();
        if relation.kind == RelationKind::View && relation.view_sql.is_some() {
            return self.view(&relation, rel, alias, name.pos);
        }
        self.note_read(&relation);
        self.locale |= super::locale::concerns(&relation);
        let mut item = relation_item(rel, &relation, alias);
        apply_column_aliases(&mut item, alias, name.pos)?;
        let shown = alias.map_or_else(|| relation.bare().to_owned(), |a| a.name.clone());
        Ok(Made {
            from: From::Table { rel, table: Table(relation), alias: shown },
            items: vec![item],
        })
    }

    /// 42P01, with the reason when a WITH query of that name is just not visible yet.
    pub(super) fn missing_relation(&self, name: &ast::Name) -> crate::error::Error {
        let shown = match &name.schema {
            Some(schema) => format!("{schema}.{}", name.name),
            None => name.name.clone(),
        };
        errors::undefined_table(&shown, name.pos)
    }

    /// Notes a table for the plan's reads.
    pub(super) fn note_read(&mut self, relation: &Relation) {
        match relation.kind {
            RelationKind::System => self.system = true,
            RelationKind::Table | RelationKind::View => {
                // PostgreSQL's may have been filled by a copy, later than this one.
                self.volatile |= relation.materialized.is_some();
                if !self.reads.contains(&relation.name) {
                    self.reads.push(relation.name.clone());
                }
            }
            RelationKind::Temporary => {}
        }
    }

    fn cte_item(
        &mut self,
        cte: &CteInfo,
        name: &ast::Name,
        alias: Option<&ast::Alias>,
    ) -> Result<Made> {
        if cte.columns.is_empty() && self.steps.iter().any(|s| s.cte == cte.id) {
            let message = format!("WITH query \"{}\" does not have a RETURNING clause", cte.name);
            return Err(errors::client(state::FEATURE_NOT_SUPPORTED, name.pos, message));
        }
        let rel = self.new_rel();
        let shown = alias.map_or_else(|| cte.name.clone(), |a| a.name.clone());
        let mut item = output_item(rel, shown.clone(), &cte.columns);
        apply_column_aliases(&mut item, alias, name.pos)?;
        let columns = renamed(&cte.columns, &item);
        let from = From::Cte { rel, cte: cte.id, alias: shown, columns };
        Ok(Made { from, items: vec![item] })
    }

    fn aliased_subquery(
        &mut self,
        query: &ast::Select,
        alias: Option<&ast::Alias>,
        lateral: bool,
        pos: u32,
    ) -> Result<Made> {
        let Some(alias) = alias else {
            let (what, example) = match query.body {
                SelectBody::Values(_) => ("VALUES in FROM", "VALUES ..."),
                _ => ("subquery in FROM", "SELECT ..."),
            };
            return Err(errors::syntax(pos, format!("{what} must have an alias"))
                .hint(format!("For example, FROM ({example}) [AS] foo.")));
        };
        let before = std::mem::replace(&mut self.level().lateral, lateral);
        let result = self.query(query, true);
        self.level().lateral = before;
        let query = result?;
        let rel = self.new_rel();
        self.subquery_item(rel, query, alias, lateral, pos)
    }

    pub(super) fn subquery_item(
        &mut self,
        rel: u32,
        query: crate::sql::ir::Query,
        alias: &ast::Alias,
        lateral: bool,
        pos: u32,
    ) -> Result<Made> {
        let mut item = output_item(rel, alias.name.clone(), &query.columns);
        apply_column_aliases(&mut item, Some(alias), pos)?;
        let columns = renamed(&query.columns, &item);
        let query = Box::new(query);
        let from = From::Subquery { rel, query, alias: alias.name.clone(), columns, lateral };
        Ok(Made { from, items: vec![item] })
    }

    /// Makes a relation's columns visible as relation 0, for stored expressions.
    pub(super) fn add_relation_item(&mut self, relation: &Relation) {
        let rel = self.new_rel();
        let relation = Arc::new(relation.clone());
        let item = relation_item(rel, &relation, None);
        self.level().items.push(item);
        self.level().per_row = true;
    }
}

/// The namespace entry of a table.
pub(super) fn relation_item(
    rel: u32,
    relation: &Arc<Relation>,
    alias: Option<&ast::Alias>,
) -> Item {
    let columns = relation
        .columns
        .iter()
        .enumerate()
        .map(|(i, column)| Column {
            name: column.name.clone(),
            expr: Expr {
                kind: ExprKind::Column(rel, u32::try_from(i).unwrap_or(u32::MAX)),
                ty: column.ty,
                pos: 0,
            },
            origin: (relation.oid, column.attnum),
        })
        .collect();
    let name = alias.map_or_else(|| relation.bare().to_owned(), |a| a.name.clone());
    let mut item = Item::new(Some(name), columns);
    item.schema = alias.is_none().then(|| relation.schema.clone());
    item.relation = Some((rel, Arc::clone(relation)));
    item
}

/// The namespace entry of something with output columns.
pub(super) fn output_item(rel: u32, name: String, outputs: &[Output]) -> Item {
    let columns = outputs
        .iter()
        .enumerate()
        .map(|(i, output)| Column {
            name: output.name.clone(),
            expr: Expr {
                kind: ExprKind::Column(rel, u32::try_from(i).unwrap_or(u32::MAX)),
                ty: output.ty,
                pos: 0,
            },
            origin: output.origin,
        })
        .collect();
    Item::new(Some(name), columns)
}

/// AS t(a, b): renames the first columns.
pub(super) fn apply_column_aliases(
    item: &mut Item,
    alias: Option<&ast::Alias>,
    pos: u32,
) -> Result<()> {
    let Some(alias) = alias else { return Ok(()) };
    if alias.columns.len() > item.columns.len() {
        let message = format!(
            "table \"{}\" has {} columns available but {} columns specified",
            alias.name,
            item.columns.len(),
            alias.columns.len()
        );
        return Err(errors::client(state::INVALID_COLUMN_REFERENCE, pos, message));
    }
    for (column, name) in item.columns.iter_mut().zip(&alias.columns) {
        column.name.clone_from(name);
    }
    Ok(())
}

/// Outputs under the names by which they are visible.
fn renamed(outputs: &[Output], item: &Item) -> Vec<Output> {
    outputs
        .iter()
        .zip(&item.columns)
        .map(|(output, column)| Output { name: column.name.clone(), ..output.clone() })
        .collect()
}
