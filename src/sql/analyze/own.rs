//! Calls of functions that clients have created.
//!
//! Owns which of several functions a call means and where it may stand: what cannot be written
//! out in its place (`inline`) the session runs once, before the statement, so a volatile
//! function stands alone and no argument looks at a row. It must never let one be called more
//! or less often than PostgreSQL would. Start at [`Analyzer::own_call`].

use std::sync::Arc;

use super::freeze::frozen_arguments;
use super::from::{Made, output_item};
use super::{Analyzer, errors};
use crate::error::{Error, Result, state};
use crate::schema::Function;
use crate::sql::Context as Sight;
use crate::sql::ast;
use crate::sql::ir::{Expr, ExprKind, From, Output, Query, Select};
use crate::sql::plan::{FrozenArgument, FrozenSource};
use crate::sql::types::coerce::Context;
use crate::sql::types::resolve::{Found, among};
use crate::sql::types::{array_of, tables};
use crate::value::{Type, oid};

/// A function with the arguments of a call, in its order and of its types.
pub(super) struct Own {
    pub(super) function: Arc<Function>,
    pub(super) args: Vec<Expr>,
}

/// How a call's arguments map onto a function.
struct Fit {
    function: Arc<Function>,
    /// For each declared argument, which of the call's it is.
    order: Vec<Option<usize>>,
    declared: Vec<u32>,
}

/// Names and types of the columns of what a function returns, where that is a row.
pub(crate) fn result_columns(
    function: &Function,
    context: &Sight<'_>,
) -> Option<Vec<(String, Type)>> {
    if function.result == oid::RECORD {
        let outputs: Vec<_> = function.outputs().collect();
        let named = outputs.iter().enumerate().map(|(i, p)| match p.name.as_str() {
            "" => (format!("column{}", i + 1), Type::new(p.ty)),
            name => (name.to_owned(), Type::new(p.ty)),
        });
        return Some(named.collect());
    }
    let analyzer = Analyzer::new(*context, true);
    analyzer.fields_of(Type::new(function.result))
}

impl Analyzer<'_> {
    /// The functions of clients that a name may mean; PostgreSQL's own come first.
    pub(super) fn own_functions(&self, name: &ast::Name) -> Vec<Arc<Function>> {
        let public = match name.schema.as_deref() {
            None => tables().procs(&name.name).is_empty(),
            Some(schema) => schema == "public",
        };
        if !public || self.lite {
            return Vec::new();
        }
        self.context.catalog.functions_named(&name.name).cloned().collect()
    }

    /// `alone`: the call is all that the statement does.
    pub(super) fn own_call(
        &mut self,
        call: &ast::Call,
        candidates: &[Arc<Function>],
        alone: bool,
        pos: u32,
    ) -> Result<Expr> {
        let own = self.own_resolved(call, candidates, alone, pos)?;
        let function = &own.function;
        if function.set {
            let what = format!("a call of function {} outside of FROM", function.name);
            return Err(Error::unsupported(what).at(pos));
        }
        if let Some(value) = self.inlined(&own, pos)? {
            return Ok(value);
        }
        let Some(columns) = result_columns(function, &self.context) else {
            return self.own_run(&own, Type::new(function.result), alone, pos);
        };
        let fields = self.own_row(&own, columns, alone, pos)?;
        let ty = match function.result {
            oid::RECORD => {
                self.record_type(fields.0.iter().map(|(n, e)| (n.clone(), e.ty)).collect())
            }
            named => Type::new(named),
        };
        Ok(Expr { kind: ExprKind::Record(fields.0, Some(Box::new(fields.1))), ty, pos })
    }

    /// A call in FROM.
    pub(super) fn own_item(
        &mut self,
        call: &ast::Call,
        candidates: &[Arc<Function>],
        alias: Option<&ast::Alias>,
        ordinality: bool,
        pos: u32,
    ) -> Result<Made> {
        let alone = std::mem::take(&mut self.alone);
        let own = self.own_resolved(call, candidates, alone, pos)?;
        let function = Arc::clone(&own.function);
        let columns = result_columns(&function, &self.context);
        let name = call.name.name.clone();
        let single = function.outputs().next().map(|p| p.name.clone()).filter(|n| !n.is_empty());
        let outputs: Vec<Output> = match &columns {
            Some(columns) => {
                let output = |(name, ty): &(String, Type)| Output {
                    name: name.clone(),
                    ty: *ty,
                    origin: (0, 0),
                };
                columns.iter().map(output).collect()
            }
            None => {
                let name = single.or_else(|| alias.map(|a| a.name.clone())).unwrap_or(name.clone());
                vec![Output { name, ty: Type::new(function.result), origin: (0, 0) }]
            }
        };
        let scalar = columns.is_none();
        let mut made = if let Some(query) = self.inlined_query(&own, &outputs, pos)? {
            if ordinality {
                return Err(Error::unsupported("WITH ORDINALITY of such a function").at(pos));
            }
            self.own_subquery(query, &name, alias, pos)?
        } else if function.set {
            let arrays = self.own_arrays(&own, &outputs, alone, pos)?;
            self.side_by_side(arrays, outputs, &name, alias, ordinality, pos)?
        } else {
            let targets = match columns {
                Some(columns) => {
                    let fields = self.own_row(&own, columns, alone, pos)?.0;
                    fields.into_iter().map(|(_, e)| e).collect()
                }
                None => match self.inlined(&own, pos)? {
                    Some(value) => vec![value],
                    None => vec![self.own_run(&own, Type::new(function.result), alone, pos)?],
                },
            };
            if ordinality {
                return Err(Error::unsupported("WITH ORDINALITY of such a function").at(pos));
            }
            self.own_subquery(query_of(targets, outputs), &name, alias, pos)?
        };
        if let Some(item) = made.items.last_mut() {
            item.scalar = scalar && item.columns.len() == 1;
        }
        Ok(made)
    }

    /// `SELECT f(…)` where f returns a set: the same rows as those of `f(…)` in FROM.
    pub(super) fn set_moved(&self, simple: &ast::SimpleSelect) -> Option<ast::SimpleSelect> {
        let [target] = simple.targets.as_slice() else { return None };
        let ast::ExprKind::Call(call) = &target.expr.kind else { return None };
        let plain = simple.from.is_empty()
            && simple.distinct.is_none()
            && simple.group_by.is_empty()
            && simple.having.is_none();
        let own = if plain { self.own_functions(&call.name) } else { Vec::new() };
        if own.is_empty() || !own.iter().all(|f| f.set) {
            return None;
        }
        let name = call.name.name.clone();
        // The row of a table has that table's type, which the item's row has not.
        let row = |f: &Arc<Function>| result_columns(f, &self.context).is_some();
        if own.iter().any(|f| row(f) && f.result != oid::RECORD) {
            return None;
        }
        let scalar = !own.iter().any(row);
        let columns = if scalar { vec![name.clone()] } else { Vec::new() };
        let item = ast::TableRef::Function {
            call: Box::new(target.expr.clone()),
            alias: Some(ast::Alias { name: name.clone(), columns }),
            lateral: false,
            ordinality: false,
            columns: Vec::new(),
        };
        let kind = ast::ExprKind::Column(vec![name.clone()]);
        let expr = ast::Expr { kind, pos: target.expr.pos };
        let alias = Some(target.alias.clone().unwrap_or(name));
        let targets = vec![ast::Target { expr, alias }];
        Some(ast::SimpleSelect { targets, from: vec![item], ..simple.clone() })
    }

    fn own_subquery(
        &mut self,
        query: Query,
        name: &str,
        alias: Option<&ast::Alias>,
        pos: u32,
    ) -> Result<Made> {
        let rel = self.new_rel();
        let plain = ast::Alias { name: name.to_owned(), columns: Vec::new() };
        self.subquery_item(rel, query, alias.unwrap_or(&plain), true, pos)
    }

    /// CALL: the procedure's run as a query of what it gives back; of no row where that is
    /// nothing.
    pub(super) fn procedure(&mut self, call: &ast::Call) -> Result<Query> {
        let pos = call.name.pos;
        self.push_level();
        let candidates = self.own_functions(&call.name);
        let own = self.own_resolved_as(call, &candidates, true, true, pos)?;
        let mut query = if own.function.result == oid::VOID {
            let ran = self.own_run(&own, Type::new(oid::TEXT), true, pos)?;
            let mut query = query_of(vec![ran], Vec::new());
            query.limit = Some(super::literal::constant(
                crate::value::Cell::Integer(0),
                Type::new(oid::INT8),
                pos,
            ));
            query
        } else {
            let columns = result_columns(&own.function, &self.context).unwrap_or_default();
            let outputs = columns
                .iter()
                .map(|(name, ty)| Output { name: name.clone(), ty: *ty, origin: (0, 0) })
                .collect();
            let fields = self.own_row(&own, columns, true, pos)?.0;
            query_of(fields.into_iter().map(|(_, e)| e).collect(), outputs)
        };
        self.levels.pop();
        if query.columns.is_empty() {
            // What is printed has a column all the same.
            let name = "call".to_owned();
            query.columns.push(Output { name, ty: Type::new(oid::TEXT), origin: (0, 0) });
        }
        Ok(query)
    }

    /// Whether a call has nothing that only an aggregate has.
    fn own_resolved(
        &mut self,
        call: &ast::Call,
        candidates: &[Arc<Function>],
        alone: bool,
        pos: u32,
    ) -> Result<Own> {
        self.own_resolved_as(call, candidates, false, alone, pos)
    }

    fn own_resolved_as(
        &mut self,
        call: &ast::Call,
        candidates: &[Arc<Function>],
        procedure: bool,
        alone: bool,
        pos: u32,
    ) -> Result<Own> {
        let plain = !call.star
            && !call.distinct
            && !call.variadic
            && call.order_by.is_empty()
            && call.filter.is_none()
            && call.over.is_none();
        if !plain {
            return Err(Error::unsupported("this call of a function of a client").at(pos));
        }
        let mut given = Vec::with_capacity(call.args.len());
        for (_, arg) in &call.args {
            self.alone = alone && matches!(arg.kind, ast::ExprKind::Call(_));
            let value = self.expr(arg);
            self.alone = false;
            given.push(Some(value?));
        }
        let inputs: Vec<u32> = given.iter().flatten().map(|v| v.ty.oid).collect();
        let names: Vec<&str> = call.args.iter().filter_map(|(n, _)| n.as_deref()).collect();
        let shown = || errors::signature(&written(&call.name), &names, &inputs);
        let fit = match chosen(candidates, &inputs, &names, procedure) {
            Found::One(fit) => fit,
            Found::Ambiguous if procedure => {
                let message = format!("procedure {} is not unique", shown());
                let hint = "Could not choose a best candidate procedure. You might need to add \
                            explicit type casts.";
                return Err(errors::client(state::AMBIGUOUS_FUNCTION, pos, message).hint(hint));
            }
            Found::Ambiguous => return Err(errors::ambiguous_function(&shown(), pos)),
            Found::None if procedure => {
                let message = format!("procedure {} does not exist", shown());
                let hint = "No procedure matches the given name and argument types. You might \
                            need to add explicit type casts.";
                return Err(errors::client(state::UNDEFINED_FUNCTION, pos, message).hint(hint));
            }
            Found::None => return Err(errors::undefined_function(&shown(), pos)),
        };
        let kind = |is: &str, hint: &str| {
            let message = format!("{} is {is}", shown());
            errors::client(state::WRONG_OBJECT_TYPE, pos, message).hint(hint.to_owned())
        };
        match fit.function.procedure {
            true if !procedure => {
                return Err(kind("a procedure", "To call a procedure, use CALL."));
            }
            false if procedure => {
                return Err(kind("not a procedure", "To call a function, use SELECT."));
            }
            _ => {}
        }
        if fit.function.result == 0 {
            let message = "trigger functions can only be called as triggers";
            return Err(errors::client(state::FEATURE_NOT_SUPPORTED, pos, message));
        }
        let args = self.own_arguments(&fit, given, pos)?;
        Ok(Own { function: fit.function, args })
    }

    /// The arguments in the function's order, as its types, with its defaults.
    fn own_arguments(
        &mut self,
        fit: &Fit,
        mut given: Vec<Option<Expr>>,
        pos: u32,
    ) -> Result<Vec<Expr>> {
        let function = &fit.function;
        let only_out = |i: usize| function.parameters.get(i).is_some_and(|p| p.mode == 'o');
        let by_parameter = fit.declared.len() != function.arguments.len();
        let mut done = Vec::with_capacity(function.arguments.len());
        let inputs = (0..fit.declared.len()).filter(|i| !(by_parameter && only_out(*i)));
        let first_default = function.arguments.len() - function.defaults.len();
        for (place, index) in inputs.enumerate() {
            let ty = Type::new(fit.declared[index]);
            let slot = fit.order[index].and_then(|i| given.get_mut(i)).and_then(Option::take);
            let (value, context) = match slot {
                Some(value) => (value, Context::Implicit),
                None => {
                    let text = place.checked_sub(first_default).map(|i| &function.defaults[i]);
                    let text = text.ok_or_else(|| Error::internal("no default"))?;
                    (self.own_default(text)?, Context::Assignment)
                }
            };
            let value = self.coerce_to(value, ty, context)?;
            done.push(value.ok_or_else(|| Error::unsupported("this argument").at(pos))?);
        }
        Ok(done)
    }

    /// A default: its names mean what they do by themselves.
    fn own_default(&mut self, text: &str) -> Result<Expr> {
        let tree = super::parse_expression(text)?;
        let per_row = self.levels.iter().any(|level| level.per_row);
        let level = super::scope::Level { sealed: true, per_row, ..Default::default() };
        self.levels.push(level);
        let height = self.levels.len();
        let value = self.nested(|a| a.expr(&tree));
        self.levels.truncate(height - 1);
        value.map_err(Error::without_position)
    }

    /// The value that the session computes by running the function.
    fn own_run(&mut self, own: &Own, ty: Type, alone: bool, pos: u32) -> Result<Expr> {
        let function = &own.function;
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
        let Some(arguments) = run_arguments(&own.args) else {
            return Err(what("for each row"));
        };
        self.system = true;
        self.volatile |= function.volatility == 'v';
        Ok(self.frozen(ty, FrozenSource::Function(function.oid, arguments), pos))
    }

    /// The fields of the row that a function returns, and what is NULL where the row is.
    fn own_row(
        &mut self,
        own: &Own,
        columns: Vec<(String, Type)>,
        alone: bool,
        pos: u32,
    ) -> Result<(Vec<(String, Expr)>, Expr)> {
        let whole = self.own_run(own, Type::new(oid::TEXT), alone, pos)?;
        let ExprKind::Frozen(of) = whole.kind else {
            return Err(Error::internal("a function that is not run"));
        };
        let mut fields = Vec::with_capacity(columns.len());
        for (position, (name, ty)) in columns.into_iter().enumerate() {
            let source = FrozenSource::Field { of, position };
            fields.push((name, self.frozen(ty, source, pos)));
        }
        Ok((fields, whole))
    }

    /// The columns of the rows that a function returns, each as an array.
    fn own_arrays(
        &mut self,
        own: &Own,
        outputs: &[Output],
        alone: bool,
        pos: u32,
    ) -> Result<Vec<Expr>> {
        let mut columns = Vec::with_capacity(outputs.len());
        for output in outputs {
            let array = array_of(output.ty.oid).ok_or_else(|| {
                let what = format!("a column of this type from function {}", own.function.name);
                Error::unsupported(what).at(pos)
            })?;
            columns.push((output.name.clone(), Type::new(array)));
        }
        let (arrays, _) = self.own_row(own, columns, alone, pos)?;
        Ok(arrays.into_iter().map(|(_, array)| array).collect())
    }
}

/// Arguments as the session takes them: texts. A constant whose cell is another text than the
/// value's (an array's JSON, an instant in UTC) is computed, so that it is given as its type's.
fn run_arguments(args: &[Expr]) -> Option<Vec<FrozenArgument>> {
    let alike = |ty: u32| {
        matches!(
            ty,
            oid::BOOL
                | oid::INT2
                | oid::INT4
                | oid::INT8
                | oid::FLOAT8
                | oid::NUMERIC
                | oid::TEXT
                | oid::VARCHAR
                | oid::BPCHAR
        )
    };
    let mut done = frozen_arguments(args)?;
    for (argument, arg) in done.iter_mut().zip(args) {
        if matches!(argument, FrozenArgument::Const(Some(_))) && !alike(arg.ty.oid) {
            *argument = FrozenArgument::Computed(Box::new(arg.clone()));
        }
    }
    Some(done)
}

/// A query of one row without FROM.
pub(super) fn query_of(targets: Vec<Expr>, columns: Vec<Output>) -> Query {
    Query::of(Select { targets, ..Select::default() }, columns)
}

/// A query around another: its columns under the same names, and what may be made of them.
pub(super) fn query_over(
    analyzer: &mut Analyzer<'_>,
    query: Query,
    alias: &str,
    make: impl FnOnce(&mut Analyzer<'_>, Vec<Expr>) -> Result<(Vec<Expr>, Option<Expr>)>,
) -> Result<Query> {
    let rel = analyzer.new_rel();
    let columns = query.columns.clone();
    let item = output_item(rel, alias.to_owned(), &columns);
    let inner = item.columns.into_iter().map(|c| c.expr).collect();
    let (targets, filter) = make(analyzer, inner)?;
    let outputs = columns
        .iter()
        .zip(&targets)
        .map(|(c, e)| Output { name: c.name.clone(), ty: e.ty, origin: (0, 0) })
        .collect();
    let from = From::Subquery {
        rel,
        query: Box::new(query),
        alias: alias.to_owned(),
        columns,
        lateral: true,
    };
    Ok(Query::of(Select { targets, from: vec![from], filter, ..Select::default() }, outputs))
}

fn written(name: &ast::Name) -> String {
    match name.schema.as_deref() {
        Some(schema) => format!("{schema}.{}", name.name),
        None => name.name.clone(),
    }
}

/// The function that a call means.
fn chosen(
    candidates: &[Arc<Function>],
    inputs: &[u32],
    names: &[&str],
    procedure: bool,
) -> Found<Fit> {
    let mut fits: Vec<(Vec<u32>, Vec<Fit>)> = Vec::new();
    for function in candidates {
        let Some(fit) = fit(function, inputs.len(), names, procedure) else { continue };
        let mut types = vec![0; inputs.len()];
        for (declared, given) in fit.declared.iter().zip(&fit.order) {
            if let Some(slot) = given.and_then(|g| types.get_mut(g)) {
                *slot = *declared;
            }
        }
        // Of two that look alike to this call, the one with fewer defaults is meant.
        match fits.iter_mut().find(|(known, _)| *known == types) {
            Some((_, same)) => {
                let rank = |f: &Fit| f.declared.len();
                let least = same.first().map_or(0, rank);
                if rank(&fit) < least {
                    *same = vec![fit];
                } else if rank(&fit) == least {
                    same.push(fit);
                }
            }
            None => fits.push((types, vec![fit])),
        }
    }
    match among(inputs, fits) {
        Found::One(mut same) if same.len() == 1 => same.pop().map_or(Found::None, Found::One),
        Found::One(_) | Found::Ambiguous => Found::Ambiguous,
        Found::None => Found::None,
    }
}

/// How a call of `count` arguments maps onto a function, if it does. CALL gives OUT parameters
/// of a procedure, too.
fn fit(function: &Arc<Function>, count: usize, names: &[&str], procedure: bool) -> Option<Fit> {
    let by_parameter =
        procedure && function.procedure && function.parameters.iter().any(|p| p.mode == 'o');
    let (declared, own): (Vec<u32>, Vec<&str>) = match by_parameter {
        true => function.parameters.iter().map(|p| (p.ty, p.name.as_str())).unzip(),
        false => {
            let names = function.argument_names.iter().map(String::as_str);
            (function.arguments.clone(), names.collect())
        }
    };
    let positional = count.checked_sub(names.len())?;
    if count > declared.len() {
        return None;
    }
    let mut order: Vec<Option<usize>> =
        (0..declared.len()).map(|i| (i < positional).then_some(i)).collect();
    for (i, name) in names.iter().enumerate() {
        let place = own.iter().position(|n| n == name)?;
        let slot = order.get_mut(place)?;
        if slot.is_some() {
            return None;
        }
        *slot = Some(positional + i);
    }
    let first_default = declared.len().checked_sub(function.defaults.len())?;
    if order.iter().take(first_default).any(Option::is_none) {
        return None;
    }
    Some(Fit { function: Arc::clone(function), order, declared })
}
