//! Calls of functions that clients have created.
//!
//! Owns where such a call may stand: the session runs it once, before the statement, so a
//! volatile function stands alone and no argument looks at a row. It must never let one be
//! called more or less often than PostgreSQL would. Start at [`Analyzer::own_call`].

use std::sync::Arc;

use super::freeze::frozen_arguments;
use super::scope::{Column, Item, Level};
use super::select::runs_once;
use super::walk::visit;
use super::{Analyzer, errors};
use crate::error::{Error, Result, state};
use crate::schema::Function;
use crate::sql::ast;
use crate::sql::ir::{Expr, ExprKind};
use crate::sql::plan::FrozenSource;
use crate::sql::trigger::{looks, rewrite};
use crate::sql::types::coerce::Context;
use crate::sql::types::tables;
use crate::value::Type;

impl Analyzer<'_> {
    /// The function of a client that a name means; PostgreSQL's own come first.
    pub(super) fn own_function(&self, name: &ast::Name) -> Option<Arc<Function>> {
        let public = match name.schema.as_deref() {
            None => tables().procs(&name.name).is_empty(),
            Some(schema) => schema == "public",
        };
        let found = self.context.catalog.functions.get(&name.name).filter(|_| public)?;
        Some(Arc::clone(found)).filter(|_| !self.lite)
    }

    /// `alone`: the call is all that the statement does.
    pub(super) fn own_call(
        &mut self,
        call: &ast::Call,
        function: &Function,
        alone: bool,
        pos: u32,
    ) -> Result<Expr> {
        if function.result == 0 {
            let message = "trigger functions can only be called as triggers";
            return Err(errors::client(state::FEATURE_NOT_SUPPORTED, pos, message));
        }
        let plain = !call.star
            && !call.distinct
            && !call.variadic
            && call.order_by.is_empty()
            && call.filter.is_none()
            && call.over.is_none();
        if !plain {
            return Err(Error::unsupported("this call of a function of a client").at(pos));
        }
        let args = self.own_arguments(call, function, alone, pos)?;
        if let Some(value) = self.inlined(function, &args, pos)? {
            return Ok(value);
        }
        let what = |how: &str| {
            Error::unsupported(format!("a call of function {} {how}", function.name)).at(pos)
        };
        if !self.freeze {
            return Err(what("in a stored expression"));
        }
        if function.volatility == 'v' && !(alone && self.once()) {
            let error = what("beside other work of a statement");
            return Err(error.hint("Call it by itself: SELECT function(…)."));
        }
        let Some(arguments) = frozen_arguments(&args) else {
            return Err(what("for each row"));
        };
        self.system = true;
        self.volatile |= function.volatility == 'v';
        let source = FrozenSource::Session(function.name.clone(), arguments);
        Ok(self.frozen(Type::new(function.result), source, pos))
    }

    /// The arguments in the function's order, as its types.
    fn own_arguments(
        &mut self,
        call: &ast::Call,
        function: &Function,
        alone: bool,
        pos: u32,
    ) -> Result<Vec<Expr>> {
        let mut given: Vec<Option<Expr>> = vec![None; function.arguments.len()];
        let mut inputs = Vec::with_capacity(call.args.len());
        let mut fits = call.args.len() == given.len();
        for (position, (name, arg)) in call.args.iter().enumerate() {
            self.alone = alone && matches!(arg.kind, ast::ExprKind::Call(_));
            let value = self.expr(arg);
            self.alone = false;
            let value = value?;
            inputs.push(value.ty.oid);
            let place = match name {
                Some(name) => function.argument_names.iter().position(|n| n == name),
                None => Some(position),
            };
            match place.and_then(|place| given.get_mut(place)) {
                Some(slot @ None) => *slot = Some(value),
                _ => fits = false,
            }
        }
        let names: Vec<&str> = call.args.iter().filter_map(|(n, _)| n.as_deref()).collect();
        let missing =
            || errors::undefined_function(&errors::signature(&function.name, &names, &inputs), pos);
        let mut done = Vec::with_capacity(given.len());
        for (slot, ty) in given.into_iter().zip(&function.arguments) {
            let value = slot.filter(|_| fits).ok_or_else(missing)?;
            let value = self.coerce_to(value, Type::new(*ty), Context::Implicit)?;
            done.push(value.ok_or_else(missing)?);
        }
        Ok(done)
    }

    /// A function in SQL whose body is one expression of its arguments: the expression, with the
    /// arguments in it.
    fn inlined(&mut self, function: &Function, args: &[Expr], pos: u32) -> Result<Option<Expr>> {
        if function.language != "sql" || function.strict || !self.freeze {
            return Ok(None);
        }
        let Some(mut body) = expression_of(&function.body) else { return Ok(None) };
        if !args.iter().all(is_steady) {
            return Ok(None);
        }
        rewrite::expression(&mut body, &mut |e| match e.kind {
            ast::ExprKind::Param(number) => {
                let kind = ast::ExprKind::Column(vec![format!("${number}")]);
                Some(ast::Expr { kind, pos: 0 })
            }
            _ => None,
        });
        let column =
            |name: String, expr: &Expr| Column { name, expr: expr.clone(), origin: (0, 0) };
        let mut columns = Vec::with_capacity(args.len() * 2);
        for (position, arg) in args.iter().enumerate() {
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
        let value = self.nested(|a| {
            let value = a.expr(&body)?;
            a.explicit(value, Type::new(function.result), pos)
        });
        self.levels.truncate(height - 1);
        value.map(Some).map_err(|error| error.without_position().at(pos))
    }
}

/// The one expression of a body.
fn expression_of(body: &str) -> Option<ast::Expr> {
    let mut parsed = crate::sql::pg::parse(body).ok()?;
    let (Some(one), true) = (parsed.pop(), parsed.is_empty()) else { return None };
    let ast::Statement::Select(select) = one.statement else { return None };
    let ast::SelectBody::Simple(simple) = select.body.clone() else { return None };
    let plain = runs_once(&select, &simple) && simple.from.is_empty();
    let [target] = simple.targets.as_slice() else { return None };
    (plain && !looks(&target.expr).1).then(|| target.expr.clone())
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
