//! NEW and OLD: statements of a trigger function, and what a BEFORE trigger makes of the row
//! a statement writes.
//!
//! Owns the two places where a trigger's body meets a statement. In a statement of the body,
//! NEW and OLD are relations 0 and 1. In a statement that fires a trigger, the columns of NEW
//! stand for the values about to be written, and assignments replace them: the plan then
//! writes what PostgreSQL's trigger would have made. Start at [`in_trigger`].

use std::collections::BTreeSet;
use std::sync::Arc;

use super::from::relation_item;
use super::scope::{Item, Level};
use super::{Analysis, Analyzer};
use crate::error::{Error, Result};
use crate::schema::{Catalog, Relation, Trigger};
use crate::sql::Context;
use crate::sql::ast::{self, Raise, Select};
use crate::sql::ir::{
    Body, Expr, ExprKind, Insert, InsertSource, OnConflict, Output, Query, Statement, Update,
};
use crate::sql::pg::plpgsql;
use crate::sql::trigger::looks;
use crate::sql::trigger::walk::{Event, Sink, walk};
use crate::value::{Cell, Type, oid};

/// The row variables of a trigger function.
#[derive(Clone, Copy, Debug)]
pub struct RowVariables<'a> {
    /// The trigger's table.
    pub relation: &'a Arc<Relation>,
    /// NEW has values.
    pub new: bool,
    /// OLD has values.
    pub old: bool,
}

/// Number of NEW as a relation.
pub const NEW: u32 = 0;
/// Number of OLD as a relation.
pub const OLD: u32 = 1;

/// Analyses a statement of a trigger function. Nothing is frozen.
///
/// # Errors
/// As [`super::analyze`].
pub fn in_trigger(
    statement: &ast::Statement,
    rows: RowVariables<'_>,
    context: &Context<'_>,
) -> Result<Analysis> {
    of_trigger(statement, rows, context, false)
}

/// [`in_trigger`], by SQLite's rules: a statement of a trigger of the file.
///
/// # Errors
/// As [`super::analyze`].
pub fn in_lite_trigger(
    statement: &ast::Statement,
    rows: RowVariables<'_>,
    context: &Context<'_>,
) -> Result<Analysis> {
    of_trigger(statement, rows, context, true)
}

fn of_trigger(
    statement: &ast::Statement,
    rows: RowVariables<'_>,
    context: &Context<'_>,
    lite: bool,
) -> Result<Analysis> {
    let mut analyzer = Analyzer::new(*context, false);
    analyzer.lite = lite;
    analyzer.push_level();
    for (name, present) in [("new", rows.new), ("old", rows.old)] {
        let rel = analyzer.new_rel();
        let mut item = row_item(rows.relation, name, |index, ty| match present {
            true => ExprKind::Column(rel, index),
            false => null(ty).kind,
        });
        // How the file stores a column says what SQLite's dialect makes of it.
        item.relation = lite.then(|| (rel, Arc::clone(rows.relation)));
        analyzer.level().items.push(item);
    }
    analyzer.level().per_row = true;
    let statement = analyzer.statement(statement)?;
    let (params, domains) = analyzer.parameters()?;
    Ok(Analysis {
        statement,
        params,
        domains,
        frozen: analyzer.frozen,
        reads: analyzer.reads,
        writes: analyzer.writes,
        volatile: analyzer.volatile,
        system: analyzer.system,
        locks: analyzer.locks,
        draws: analyzer.draws,
        merging: false,
        steps: analyzer.steps,
        lite,
        plain: None,
    })
}

/// A generated column's expression over the columns of NEW, with the column's own type.
///
/// # Errors
/// As [`super::analyze`].
pub fn generated(
    text: &str,
    index: usize,
    rows: RowVariables<'_>,
    context: &Context<'_>,
) -> Result<Expr> {
    let mut analyzer = Analyzer::new(*context, false);
    analyzer.push_level();
    let rel = analyzer.new_rel();
    let mut item = row_item(rows.relation, "new", |i, _| ExprKind::Column(rel, i));
    item.cols_visible = true;
    analyzer.level().items.push(item);
    analyzer.level().per_row = true;
    let expr = analyzer.expr(&plpgsql::expression(text)?)?;
    let column = rows.relation.columns.get(index);
    let column = column.ok_or_else(|| Error::internal("column index out of range"))?;
    analyzer.assign(expr, column)
}

/// NEW or OLD as names see it: its columns only qualified.
fn row_item(relation: &Arc<Relation>, name: &str, expr: impl Fn(u32, Type) -> ExprKind) -> Item {
    let alias = ast::Alias { name: name.to_owned(), columns: Vec::new() };
    let mut item = relation_item(u32::MAX, relation, Some(&alias));
    for (index, column) in item.columns.iter_mut().enumerate() {
        let ty = column.expr.ty;
        column.expr.kind = expr(number(index), ty);
        column.origin = (0, 0);
    }
    item.relation = None;
    item.cols_visible = false;
    item
}

fn null(ty: Type) -> Expr {
    Expr { kind: ExprKind::Const(Cell::Null), ty, pos: 0 }
}

fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// Triggers that assign to NEW, in the order in which they fire.
pub(crate) fn assigning<'a>(
    relation: &'a Relation,
    event: Event,
    catalog: &Catalog,
) -> Vec<&'a Trigger> {
    let writes = |t: &&Trigger| {
        let function = catalog.trigger_function(&t.function);
        let block = function.and_then(|f| plpgsql::block(&f.body).ok());
        block.is_some_and(|block| assigns(&block.steps))
    };
    let mut found: Vec<&Trigger> =
        relation.triggers.iter().filter(|t| t.before && event.fires(t)).filter(writes).collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

impl Analyzer<'_> {
    /// Notes for lane B what a statement's triggers do besides refusing.
    pub(super) fn note_triggers(&mut self, relation: &Relation) -> Result<()> {
        let catalog = self.context.catalog;
        let acts = crate::sql::trigger::acts(relation, catalog);
        self.volatile |= acts;
        // Here a function's names are those of public.
        let first = self.context.keys(None, "").into_iter().next();
        let elsewhere = first.is_some_and(|key| crate::name::is_key(&key));
        if elsewhere && (acts || crate::sql::trigger::names_tables(relation, catalog)) {
            return Err(Error::unsupported(
                "a table whose triggers name tables, while the search path begins elsewhere than \
                 with public,",
            ));
        }
        Ok(())
    }

    /// What BEFORE INSERT and (ON CONFLICT DO UPDATE) BEFORE UPDATE triggers make of an
    /// INSERT.
    pub(super) fn insert_triggers(&mut self, insert: &mut Insert) -> Result<()> {
        let relation = Arc::clone(&insert.table.0);
        let by_trigger = relation.indexes.iter().any(crate::schema::Index::by_trigger)
            || relation.looked_for().next().is_some();
        if insert.replace && (by_trigger || !relation.triggers.is_empty()) {
            return Err(Error::unsupported("INSERT OR REPLACE into a table with triggers"));
        }
        self.note_triggers(&relation)?;
        let computed = relation.columns.iter().any(is_computed);
        let before = assigning(&relation, Event::Insert, self.context.catalog);
        if before.is_empty() && !computed {
            return self.conflict_triggers(insert, &relation);
        }
        self.plain = Some(Statement::Insert(Box::new(insert.clone())));
        let (rel, values) = self.proposed(insert, &relation)?;
        let mut row = Row::new(self, &relation, Event::Insert, values, None);
        row.run(&before)?;
        row.compute()?;
        let Row { new, changed, reads, .. } = row;
        let one = matches!(&insert.source, InsertSource::Values(rows) if rows.len() == 1);
        self.check_reads(reads && !one, &relation)?;
        if changed.iter().any(|changed| *changed) {
            take_row(insert, rel, &new, &changed)?;
        }
        self.conflict_triggers(insert, &relation)
    }

    /// The values an INSERT proposes, by column, as expressions over relation `rel`.
    fn proposed(&mut self, insert: &Insert, relation: &Relation) -> Result<(u32, Vec<Expr>)> {
        let rel = match &insert.source {
            InsertSource::Values(_) => self.new_rel(),
            InsertSource::Query { rel, .. } => *rel,
        };
        let mut values: Vec<Expr> = relation.columns.iter().map(|c| null(c.ty)).collect();
        for (position, index) in insert.columns.iter().enumerate() {
            let Some(slot) = values.get_mut(*index as usize) else { continue };
            match &insert.source {
                InsertSource::Values(_) => {
                    slot.kind = ExprKind::Column(rel, number(position));
                }
                InsertSource::Query { exprs, .. } => {
                    if let Some(expr) = exprs.get(position) {
                        *slot = expr.clone();
                    }
                }
            }
        }
        Ok((rel, values))
    }

    /// A trigger sees the rows its own statement has written before; a plan does not.
    fn check_reads(&self, reads: bool, relation: &Relation) -> Result<()> {
        match reads && self.reads.contains(&relation.name) {
            true => Err(Error::unsupported(
                "writing several rows of a table whose BEFORE trigger reads that table",
            )),
            false => Ok(()),
        }
    }

    fn conflict_triggers(&mut self, insert: &mut Insert, relation: &Arc<Relation>) -> Result<()> {
        let computed = relation.columns.iter().any(is_computed);
        let before = assigning(relation, Event::Update, self.context.catalog);
        let Some(OnConflict { update: Some((assignments, _)), .. }) = &mut insert.on_conflict
        else {
            return Ok(());
        };
        if before.is_empty() && !computed {
            return Ok(());
        }
        let changed = self.updated_row(relation, insert.rel, assignments, &before)?;
        *assignments = changed;
        Ok(())
    }

    /// What BEFORE UPDATE triggers make of an UPDATE.
    pub(super) fn update_triggers(&mut self, update: &mut Update) -> Result<()> {
        let relation = Arc::clone(&update.table.0);
        self.note_triggers(&relation)?;
        let computed = relation.columns.iter().any(is_computed);
        let before = assigning(&relation, Event::Update, self.context.catalog);
        if before.is_empty() && !computed {
            return Ok(());
        }
        if !update.row_assignments.is_empty() {
            return Err(Error::unsupported("assigning a row from a query to such a table"));
        }
        self.plain = Some(Statement::Update(Box::new(update.clone())));
        let plain = update.assignments.clone();
        let changed = self.updated_row(&relation, update.rel, &plain, &before)?;
        update.assignments = changed;
        Ok(())
    }

    fn updated_row(
        &mut self,
        relation: &Arc<Relation>,
        rel: u32,
        assignments: &[(u32, Expr)],
        before: &[&Trigger],
    ) -> Result<Vec<(u32, Expr)>> {
        let own: Vec<Expr> = relation
            .columns
            .iter()
            .enumerate()
            .map(|(i, c)| Expr { kind: ExprKind::Column(rel, number(i)), ty: c.ty, pos: 0 })
            .collect();
        let mut values = own.clone();
        for (index, value) in assignments {
            if let Some(slot) = values.get_mut(*index as usize) {
                *slot = value.clone();
            }
        }
        let named = |trigger: &&&Trigger| {
            trigger.columns.is_empty()
                || assignments.iter().any(|(index, _)| {
                    let column = relation.columns.get(*index as usize);
                    column.is_some_and(|c| trigger.columns.contains(&c.name))
                })
        };
        let before: Vec<&Trigger> = before.iter().filter(named).copied().collect();
        let mut row = Row::new(self, relation, Event::Update, values, Some(own));
        row.run(&before)?;
        row.compute()?;
        let Row { new, changed, reads, .. } = row;
        self.check_reads(reads, relation)?;
        let mut all = assignments.to_vec();
        for (index, (value, _)) in new.iter().zip(&changed).enumerate().filter(|(_, (_, c))| **c) {
            let index = number(index);
            match all.iter_mut().find(|(i, _)| *i == index) {
                Some(slot) => slot.1 = value.clone(),
                None => all.push((index, value.clone())),
            }
        }
        Ok(all)
    }
}

/// Whether the plan computes a generated column because SQLite cannot.
pub(super) fn is_computed(column: &crate::schema::Column) -> bool {
    column.generated.as_ref().is_some_and(|g| g.in_plan)
}

/// Makes an INSERT write the row that triggers have made.
fn take_row(insert: &mut Insert, rel: u32, new: &[Expr], changed: &[bool]) -> Result<()> {
    let taken = std::mem::replace(&mut insert.source, InsertSource::Values(Vec::new()));
    let (query, mut exprs) = match taken {
        InsertSource::Query { query, exprs, .. } => (query, exprs),
        InsertSource::Values(rows) => {
            let columns: Vec<Output> = insert
                .columns
                .iter()
                .filter_map(|c| insert.table.0.columns.get(*c as usize))
                .map(|c| Output { name: c.name.clone(), ty: c.ty, origin: (0, 0) })
                .collect();
            let exprs = columns
                .iter()
                .enumerate()
                .map(|(i, c)| Expr { kind: ExprKind::Column(rel, number(i)), ty: c.ty, pos: 0 })
                .collect();
            if columns.is_empty() {
                return Err(Error::unsupported("DEFAULT VALUES on a table with such triggers"));
            }
            let query = Query {
                recursive: false,
                ctes: Vec::new(),
                body: Body::Values(rows),
                order_by: Vec::new(),
                limit: None,
                with_ties: false,
                offset: None,
                locks: false,
                columns,
            };
            (Box::new(query), exprs)
        }
    };
    for (index, (value, _)) in new.iter().zip(changed).enumerate().filter(|(_, (_, c))| **c) {
        let index = number(index);
        match insert.columns.iter().position(|c| *c == index) {
            Some(position) => {
                if let Some(slot) = exprs.get_mut(position) {
                    *slot = value.clone();
                }
            }
            None => {
                insert.columns.push(index);
                exprs.push(value.clone());
            }
        }
    }
    insert.source = InsertSource::Query { rel, query, exprs };
    Ok(())
}

/// A row on its way into a table.
struct Row<'a, 'b> {
    analyzer: &'a mut Analyzer<'b>,
    relation: &'a Arc<Relation>,
    event: Event,
    /// NEW, by column.
    new: Vec<Expr>,
    /// OLD, by column.
    old: Option<Vec<Expr>>,
    /// Columns that are not as the statement says.
    changed: Vec<bool>,
    /// Columns of NEW that variables look at.
    held: BTreeSet<String>,
    /// What is assigned depends on rows of tables.
    reads: bool,
}

impl<'a, 'b> Row<'a, 'b> {
    fn new(
        analyzer: &'a mut Analyzer<'b>,
        relation: &'a Arc<Relation>,
        event: Event,
        new: Vec<Expr>,
        old: Option<Vec<Expr>>,
    ) -> Self {
        let changed = vec![false; new.len()];
        Self { analyzer, relation, event, new, old, changed, held: BTreeSet::new(), reads: false }
    }

    fn run(&mut self, triggers: &[&Trigger]) -> Result<()> {
        let catalog = self.analyzer.context.catalog;
        let (relation, event) = (Arc::clone(self.relation), self.event);
        for trigger in triggers {
            let Some(function) = catalog.trigger_function(&trigger.function) else { continue };
            let block = plpgsql::block(&function.body)?;
            // Without assignments there is nothing to do here.
            if assigns(&block.steps) {
                walk(&block, trigger, &relation, event, self).map_err(Error::without_position)?;
            }
        }
        Ok(())
    }

    /// Generated columns that SQLite cannot compute.
    fn compute(&mut self) -> Result<()> {
        for index in 0..self.new.len() {
            let column = &self.relation.columns[index];
            if !is_computed(column) {
                continue;
            }
            let Some(generated) = &column.generated else { continue };
            let parsed = plpgsql::expression(&generated.expression)?;
            let value = self.with_row(true, |analyzer| analyzer.expr(&parsed))?;
            let value = self.analyzer.assign(value, &self.relation.columns[index])?;
            self.new[index] = value;
            self.changed[index] = true;
        }
        Ok(())
    }

    /// Runs with NEW and OLD in scope and nothing else; `bare` makes the columns of NEW
    /// visible without a qualifier.
    fn with_row<T>(
        &mut self,
        bare: bool,
        inner: impl FnOnce(&mut Analyzer<'b>) -> Result<T>,
    ) -> Result<T> {
        let new = self.new.clone();
        let mut item = row_item(self.relation, "new", |i, ty| {
            new.get(i as usize).map_or_else(|| null(ty).kind, |e| e.kind.clone())
        });
        item.cols_visible = bare;
        let old = self.old.clone();
        let other = row_item(self.relation, "old", |i, ty| {
            let known = old.as_ref().and_then(|o| o.get(i as usize));
            known.map_or_else(|| null(ty).kind, |e| e.kind.clone())
        });
        let level = Level { sealed: true, per_row: true, ..Level::default() };
        self.analyzer.levels.push(level);
        let height = self.analyzer.levels.len();
        self.analyzer.level().items = vec![item, other];
        let result = inner(self.analyzer);
        self.analyzer.levels.truncate(height - 1);
        result
    }

    fn boolean(&mut self, expr: &ast::Expr) -> Result<Expr> {
        self.with_row(false, |analyzer| analyzer.condition(expr, "IF"))
    }
}

fn assigns(steps: &[ast::Step]) -> bool {
    steps.iter().any(|step| match step {
        ast::Step::SetColumn(..) => true,
        ast::Step::Into(targets, _) => targets.iter().any(|t| t.starts_with("new.")),
        ast::Step::If(branches, otherwise) => {
            branches.iter().any(|(_, steps)| assigns(steps)) || assigns(otherwise)
        }
        _ => false,
    })
}

fn boolean(kind: ExprKind) -> Expr {
    Expr { kind, ty: Type::new(oid::BOOL), pos: 0 }
}

fn conjunction(all: &[Expr]) -> Expr {
    match all {
        [] => boolean(ExprKind::Const(Cell::Integer(1))),
        [one] => one.clone(),
        _ => boolean(ExprKind::And(all.to_vec())),
    }
}

impl Sink for Row<'_, '_> {
    type Condition = Expr;

    fn condition(&mut self, expr: &ast::Expr) -> Result<Expr> {
        self.reads |= looks(expr).1;
        self.boolean(expr)
    }

    fn tree(&self, _path: &[Expr]) -> Result<ast::Expr> {
        Err(Error::unsupported("a variable assigned inside of IF beside an assignment to NEW"))
    }

    fn refuted(&mut self, all: &[Expr]) -> Result<Expr> {
        Ok(boolean(ExprKind::IsBool(Box::new(conjunction(all)), Some(true), true)))
    }

    fn either(&mut self, one: Expr, all: &[Expr]) -> Result<Expr> {
        Ok(boolean(ExprKind::Or(vec![one, conjunction(all)])))
    }

    fn set_column(&mut self, path: &[Expr], column: &str, value: &ast::Expr) -> Result<()> {
        let Some(index) = self.relation.column(column) else {
            let message = format!("record \"new\" has no field \"{column}\"");
            return Err(Error::client(crate::error::state::UNDEFINED_COLUMN, message));
        };
        if self.held.contains(column) || self.held.contains("*") {
            return Err(Error::unsupported("a variable that depends on a column assigned later"));
        }
        self.reads |= looks(value).1;
        let of = self.relation.columns[index].clone();
        if of.generated.is_some() {
            return Err(Error::unsupported("assigning to a generated column of NEW"));
        }
        let value = self.with_row(false, |analyzer| analyzer.expr(value))?;
        let value = self.analyzer.assign(value, &of)?;
        self.new[index] = match path {
            [] => value,
            _ => {
                let branches = vec![(conjunction(path), value)];
                let otherwise = Some(Box::new(self.new[index].clone()));
                Expr { kind: ExprKind::Case { branches, otherwise }, ty: of.ty, pos: 0 }
            }
        };
        self.changed[index] = true;
        Ok(())
    }

    fn raise(&mut self, _path: &[Expr], _raise: &Raise) -> Result<()> {
        Ok(())
    }

    fn skip_row(&mut self, _path: &[Expr]) -> Result<()> {
        Ok(())
    }

    fn run(&mut self, _path: &[Expr], _statement: &ast::Statement) -> Result<()> {
        Ok(())
    }

    fn perform(&mut self, _query: &Select) -> Result<()> {
        Ok(())
    }

    fn hold(&mut self, value: &ast::Expr) -> Result<()> {
        let (columns, reads) = looks(value);
        self.held.extend(columns);
        self.reads |= reads;
        Ok(())
    }
}
