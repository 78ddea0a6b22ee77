//! Functions in SQL of one SELECT, written out where they are called.
//!
//! Owns when that means the same as running them: the arguments may be computed more than
//! once, the body neither writes nor draws, and what it reads has not changed since the
//! statement began. It must never write out a function within itself. Start at
//! [`Analyzer::inlined`] and [`Analyzer::inlined_query`].

use std::sync::Arc;

use super::Analyzer;
use super::own::{Own, query_over, result_columns};
use super::scope::{Column, Item, Level};
use super::select::runs_once;
use super::walk::visit;
use crate::error::{Error, Result, state};
use crate::schema::Function;
use crate::sql::Context as Sight;
use crate::sql::ast;
use crate::sql::ir::{Body, Expr, ExprKind, Output, Query};
use crate::sql::plan::FrozenSource;
use crate::sql::trigger::{looks, rewrite};
use crate::sql::types::coerce::Context;
use crate::sql::types::{sql_name, tables};
use crate::value::{Cell, Type, oid};

/// Functions that may be written out within each other.
const DEPTH_MAX: usize = 8;

/// What a statement does besides reading, as far as functions that it calls could see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Standing {
    /// Any change.
    #[default]
    Unknown,
    /// Nothing.
    Reads,
    /// One table changes.
    Writes,
}

impl Standing {
    pub(super) fn of(statement: &ast::Statement) -> Self {
        let (with, writes) = match statement {
            ast::Statement::Select(select) => (&select.with, false),
            ast::Statement::Declare { query, .. } => (&query.with, false),
            ast::Statement::Insert(insert) => (&insert.with, true),
            ast::Statement::Update(update) => (&update.with, true),
            ast::Statement::Delete(delete) => (&delete.with, true),
            ast::Statement::Explain(inner, _) => return Self::of(inner),
            _ => return Self::Unknown,
        };
        match parts_read(with.as_ref()) {
            false => Self::Unknown,
            true if writes => Self::Writes,
            true => Self::Reads,
        }
    }
}

/// Whether the body of a function in SQL can be analysed and gives what is declared, as far as
/// its last statement is a SELECT.
pub(crate) fn check_function(function: &Function, context: &Sight<'_>) -> Result<()> {
    let Some(select) = last_select(&function.body) else { return Ok(()) };
    if function.result == oid::VOID {
        return Ok(());
    }
    let args = nulls(function);
    let mut analyzer = Analyzer::new(*context, true);
    analyzer.probing = true;
    let own = Own { function: Arc::new(function.clone()), args };
    let query = analyzer.body_query(&own, &select)?;
    let wanted = declared(function, context);
    analyzer.fitted(&own.function, query, &wanted).map(|_| ())
}

/// The columns that a function is declared to give.
fn declared(function: &Function, context: &Sight<'_>) -> Vec<Output> {
    let one = || vec![(function.name.clone(), Type::new(function.result))];
    let columns = result_columns(function, context).unwrap_or_else(one);
    columns.into_iter().map(|(name, ty)| Output { name, ty, origin: (0, 0) }).collect()
}

/// NULLs in the places of the arguments.
fn nulls(function: &Function) -> Vec<Expr> {
    let null = |ty: &u32| super::literal::constant(Cell::Null, Type::new(*ty), 0);
    function.arguments.iter().map(null).collect()
}

impl Analyzer<'_> {
    /// The value of a call as an expression.
    pub(super) fn inlined(&mut self, own: &Own, pos: u32) -> Result<Option<Expr>> {
        let function = &own.function;
        if function.language != "sql" || !self.freeze || function.result == oid::VOID {
            return Ok(None);
        }
        if result_columns(function, &self.context).is_some() {
            return Ok(None);
        }
        let Some(body) = expression_of(&function.body) else {
            let outputs = declared(function, &self.context);
            let Some(mut query) = self.written_out(own, &outputs, pos)? else { return Ok(None) };
            if query.limit.is_none() && !gives_one_row(&query) {
                let one = Cell::Integer(1);
                query.limit = Some(super::literal::constant(one, Type::new(oid::INT8), pos));
            }
            let ty = Type::new(function.result);
            return Ok(Some(Expr { kind: ExprKind::Subquery(Box::new(query)), ty, pos }));
        };
        if !own.args.iter().all(is_steady) || !self.may_nest(function) {
            return Ok(None);
        }
        let value = self.within(own, |a| {
            let value = a.expr(&with_numbers(body))?;
            a.explicit(value, Type::new(function.result), pos)
        });
        let value = value.map_err(|error| error.without_position().at(pos))?;
        Ok(Some(if function.strict { unless_null(&own.args, value) } else { value }))
    }

    /// The rows of a call in FROM as a query.
    pub(super) fn inlined_query(
        &mut self,
        own: &Own,
        outputs: &[Output],
        pos: u32,
    ) -> Result<Option<Query>> {
        let function = &own.function;
        if function.language != "sql" || !self.freeze || function.result == oid::VOID {
            return Ok(None);
        }
        if !function.set && expression_of(&function.body).is_some() {
            return Ok(None);
        }
        let Some(query) = self.written_out(own, outputs, pos)? else { return Ok(None) };
        // One row whatever the body finds, unless it returns a set.
        let fits = function.set || !function.strict && gives_one_row(&query);
        Ok(fits.then_some(query))
    }

    /// The body of one SELECT with the arguments in it, its columns as declared.
    fn written_out(&mut self, own: &Own, outputs: &[Output], pos: u32) -> Result<Option<Query>> {
        let function = &own.function;
        let Some(select) = only_select(&function.body) else { return Ok(None) };
        if !own.args.iter().all(is_steady) || !self.may_nest(function) {
            return Ok(None);
        }
        if !self.probing && !self.probe(function, &select)? {
            return Ok(None);
        }
        let place = |error: Error| error.without_position().at(pos);
        let query = self.body_query(own, &select).map_err(place)?;
        let mut query = self.fitted(function, query, outputs).map_err(place)?;
        if function.strict && !own.args.is_empty() {
            let args = own.args.clone();
            query = query_over(self, query, &function.name, |_, columns| {
                Ok((columns, Some(none_null(&args))))
            })?;
        }
        Ok(Some(query))
    }

    /// Whether a body means the same in the statement's place: not where it has values of its
    /// own for each run, nor where it would see what the statement changes.
    fn probe(&self, function: &Arc<Function>, select: &ast::Select) -> Result<bool> {
        let context = Sight { param_types: &[], ..self.context };
        let mut analyzer = Analyzer::new(context, true);
        analyzer.probing = true;
        analyzer.inlining.clone_from(&self.inlining);
        let own = Own { function: Arc::clone(function), args: nulls(function) };
        analyzer.body_query(&own, select).map_err(Error::without_position)?;
        let fixed = |source: &FrozenSource| {
            matches!(source, FrozenSource::TransactionTime | FrozenSource::StatementTime)
        };
        let frozen = analyzer.frozen.iter().any(|f| !fixed(&f.source));
        if frozen || analyzer.volatile || analyzer.locks || analyzer.draws {
            return Ok(false);
        }
        Ok(match self.standing {
            _ if function.volatility != 'v' => true,
            Standing::Reads => true,
            Standing::Writes => !self.changes_any(&analyzer.reads),
            Standing::Unknown => false,
        })
    }

    /// Whether the statement may change one of these tables, also by foreign keys and triggers.
    fn changes_any(&self, tables: &[String]) -> bool {
        let Some(written) = &self.writes else { return true };
        let catalog = self.context.catalog;
        let Some(relation) = catalog.relation(written) else { return true };
        let refers =
            |r: &crate::schema::Relation| r.foreign_keys.iter().any(|key| key.table == *written);
        relation.has_triggers
            || !relation.triggers.is_empty()
            || tables.iter().any(|t| t == written)
            || catalog.relations.values().any(|r| refers(r))
    }

    fn body_query(&mut self, own: &Own, select: &ast::Select) -> Result<Query> {
        let mut select = select.clone();
        rewrite::select(&mut select, &mut as_number);
        self.within(own, |a| a.query(&select, true))
    }

    /// Runs an analysis in which only the arguments are visible, by number and by name.
    fn within<T>(&mut self, own: &Own, inner: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let function = &own.function;
        let column =
            |name: String, expr: &Expr| Column { name, expr: expr.clone(), origin: (0, 0) };
        let mut columns = Vec::with_capacity(own.args.len() * 2);
        for (position, arg) in own.args.iter().enumerate() {
            columns.push(column(format!("${}", position + 1), arg));
            if let Some(name) = function.argument_names.get(position).filter(|n| !n.is_empty()) {
                columns.push(column(name.clone(), arg));
            }
        }
        let item = Item::new(Some(function.name.clone()), columns);
        let per_row = self.levels.iter().any(|level| level.per_row);
        self.levels.push(Level { sealed: true, per_row, ..Level::default() });
        let height = self.levels.len();
        self.level().items.push(item);
        self.inlining.push(function.key());
        let value = self.nested(inner);
        self.inlining.pop();
        self.levels.truncate(height - 1);
        value
    }

    /// A function within itself has no end.
    fn may_nest(&self, function: &Function) -> bool {
        self.inlining.len() < DEPTH_MAX && !self.inlining.contains(&function.key())
    }

    /// A body's columns with the names and types that are declared.
    fn fitted(&mut self, function: &Function, query: Query, wanted: &[Output]) -> Result<Query> {
        let table = self.context.catalog.relations.values().find(|r| r.oid == function.result);
        let shown = match (function.result, table) {
            (oid::RECORD, _) => "record".to_owned(),
            (_, Some(table)) => table.bare().to_owned(),
            (ty, None) => sql_name(ty),
        };
        let wrong = |detail: String| {
            let message = format!("return type mismatch in function declared to return {shown}");
            Error::client(state::INVALID_FUNCTION_DEFINITION, message).detail(detail)
        };
        let row = result_columns(function, &self.context).is_some();
        if query.columns.len() != wanted.len() {
            return Err(wrong(match query.columns.len() > wanted.len() {
                _ if !row => "Final statement must return exactly one column.".to_owned(),
                true => "Final statement returns too many columns.".to_owned(),
                false => "Final statement returns too few columns.".to_owned(),
            }));
        }
        let same = |(own, wanted): (&Output, &Output)| own.ty == wanted.ty;
        let mut query = query;
        let equal = query.columns.iter().zip(wanted).all(same);
        for (own, wanted) in query.columns.iter_mut().zip(wanted) {
            own.name.clone_from(&wanted.name);
            own.origin = (0, 0);
        }
        if equal {
            return Ok(query);
        }
        query_over(self, query, &function.name, |analyzer, columns| {
            let mut done = Vec::with_capacity(columns.len());
            for (number, (column, wanted)) in (1..).zip(columns.into_iter().zip(wanted)) {
                let from = column.ty.oid;
                let value = analyzer.coerce_to(column, wanted.ty, Context::Assignment)?;
                done.push(value.ok_or_else(|| {
                    let from = sql_name(from);
                    wrong(match row {
                        false => format!("Actual return type is {from}."),
                        true => format!(
                            "Final statement returns {from} instead of {} at column {number}.",
                            sql_name(wanted.ty.oid)
                        ),
                    })
                })?);
            }
            Ok((done, None))
        })
    }
}

/// `$n` as the column that the argument is.
fn as_number(expr: &ast::Expr) -> Option<ast::Expr> {
    match expr.kind {
        ast::ExprKind::Param(number) => {
            let kind = ast::ExprKind::Column(vec![format!("${number}")]);
            Some(ast::Expr { kind, pos: 0 })
        }
        _ => None,
    }
}

fn with_numbers(mut body: ast::Expr) -> ast::Expr {
    rewrite::expression(&mut body, &mut as_number);
    body
}

/// The SELECT that a body ends with.
fn last_select(body: &str) -> Option<ast::Select> {
    let parsed = crate::sql::pg::parse(body).ok()?.pop()?;
    match parsed.statement {
        ast::Statement::Select(select) => Some(*select),
        _ => None,
    }
}

/// The SELECT that is all of a body, unless it writes or locks.
fn only_select(body: &str) -> Option<ast::Select> {
    let parsed = crate::sql::pg::parse(body).ok()?;
    let [one] = parsed.as_slice() else { return None };
    let ast::Statement::Select(select) = &one.statement else { return None };
    let reads = select.locking.is_empty() && parts_read(select.with.as_ref());
    reads.then(|| ast::Select::clone(select))
}

/// Whether no part of WITH writes.
pub(super) fn parts_read(with: Option<&ast::With>) -> bool {
    let ctes = with.iter().flat_map(|with| &with.ctes);
    ctes.into_iter().all(|cte| matches!(&*cte.query, ast::Statement::Select(_)))
}

/// The one expression of a body.
fn expression_of(body: &str) -> Option<ast::Expr> {
    let select = only_select(body)?;
    let ast::SelectBody::Simple(simple) = select.body.clone() else { return None };
    let plain = runs_once(&select, &simple) && simple.from.is_empty();
    let [target] = simple.targets.as_slice() else { return None };
    (plain && !looks(&target.expr).1).then(|| target.expr.clone())
}

/// Whether a query gives one row, whatever its tables have.
fn gives_one_row(query: &Query) -> bool {
    let Body::Select(select) = &query.body else { return false };
    let whole = query.limit.is_none() && query.offset.is_none() && select.having.is_none();
    let aggregated = select.grouped && select.group_by.is_empty();
    let bare = select.from.is_empty() && select.filter.is_none() && !select.grouped;
    whole && select.distinct.is_none() && (aggregated || bare)
}

/// Whether an argument may be computed more than once.
fn is_steady(arg: &Expr) -> bool {
    let mut steady = true;
    visit(arg, &mut |e| {
        if let ExprKind::Call(call) = &e.kind {
            let proc = tables().proc_by_oid(call.oid);
            steady &= proc.is_some_and(|proc| proc.volatility != b'v');
        }
        steady
    });
    steady
}

fn boolean(kind: ExprKind) -> Expr {
    Expr { kind, ty: Type::new(oid::BOOL), pos: 0 }
}

/// Whether no argument is NULL.
fn none_null(args: &[Expr]) -> Expr {
    let mut parts: Vec<Expr> =
        args.iter().map(|a| boolean(ExprKind::IsNull(Box::new(a.clone()), true))).collect();
    match parts.len() {
        1 => parts.remove(0),
        _ => boolean(ExprKind::And(parts)),
    }
}

/// STRICT: NULL where an argument is.
fn unless_null(args: &[Expr], value: Expr) -> Expr {
    if args.is_empty() {
        return value;
    }
    let (ty, pos) = (value.ty, value.pos);
    let branches = vec![(none_null(args), value)];
    Expr { kind: ExprKind::Case { branches, otherwise: None }, ty, pos }
}
