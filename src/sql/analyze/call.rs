//! Function calls: scalar functions, aggregates, window functions, casts written as calls.
//!
//! Owns what may stand where (42803, 42P20, 0A000), argument casts and the result type. Which
//! function is meant is `sql::types::resolve`. Start at [`Analyzer::call`].

use super::scope::Place;
use super::walk::{location, same, strip_implicit, visit};
use super::{Analyzer, EXCLUDED, errors};
use crate::error::{Error, Result, state};
use crate::sql::ast;
use crate::sql::ir::{Call, CallKind, CastKind, Expr, ExprKind, Sort};
use crate::sql::types::coerce::resolve_generics;
use crate::sql::types::resolve::{Chosen, Found, function, function_cast};
use crate::sql::types::{self, Proc, tables};
use crate::value::{Cell, Type, oid};

/// A call whose function is known and whose arguments have the declared types.
pub(super) struct Resolved {
    pub(super) proc: &'static Proc,
    pub(super) args: Vec<Expr>,
    pub(super) result: u32,
}

impl Resolved {
    /// Names and types of OUT and TABLE parameters, polymorphic ones as this call has them.
    pub(super) fn outputs(&self) -> Vec<(&'static str, u32)> {
        let generic =
            self.proc.arguments.iter().zip(&self.args).find_map(
                |(declared, arg)| match *declared {
                    oid::ANYARRAY => Some((types::element(arg.ty.oid)?, arg.ty.oid)),
                    oid::ANYELEMENT => Some((arg.ty.oid, types::array_of(arg.ty.oid).unwrap_or(0))),
                    _ => None,
                },
            );
        let real = |ty: u32| match (ty, generic) {
            (oid::ANYELEMENT, Some((element, _))) => element,
            (oid::ANYARRAY, Some((_, array))) => array,
            _ => ty,
        };
        self.proc.outputs().into_iter().map(|(name, ty)| (name, real(ty))).collect()
    }
}

impl Analyzer<'_> {
    /// f(…) in an expression.
    pub(super) fn call(&mut self, call: &ast::Call, pos: u32) -> Result<Expr> {
        // Whatever stands in its arguments is not alone any more.
        let alone = std::mem::take(&mut self.alone);
        let done = self.call_of(call, alone, pos);
        self.alone = alone;
        done
    }

    fn call_of(&mut self, call: &ast::Call, alone: bool, pos: u32) -> Result<Expr> {
        let own = self.own_functions(&call.name);
        if !own.is_empty() {
            return self.own_call(call, &own, alone, pos);
        }
        let name = call.name.name.as_str();
        if self.is_aggregate(name) && call.over.is_none() {
            return self.aggregate(call, pos);
        }
        if call.over.is_some() {
            return self.window_call(call, pos);
        }
        self.plain_call(call, pos)
    }

    fn is_aggregate(&self, name: &str) -> bool {
        tables().procs(name).iter().any(|p| p.kind == b'a')
    }

    /// Scalar and set-returning functions.
    fn plain_call(&mut self, call: &ast::Call, pos: u32) -> Result<Expr> {
        let name = &call.name.name;
        let args = self.arguments(call)?;
        if name == "pg_typeof"
            && let [arg] = args.as_slice()
        {
            let cell = Cell::Integer(i64::from(arg.ty.oid));
            let ty = Type::new(oid::REGTYPE);
            // One without a type gets none here: 42P18 when the statement has been read.
            return Ok(Expr { kind: ExprKind::Const(cell), ty, pos });
        }
        if let [arg] = args.as_slice()
            && !call.star
            && let Some(done) = self.call_as_cast(call, arg, pos)?
        {
            return Ok(done);
        }
        let resolved = self.resolve_call(call, args, pos)?;
        let proc = resolved.proc;
        self.check_plain(call, proc, pos)?;
        if proc.kind == b'w' {
            let message = format!("window function {name} requires an OVER clause");
            return Err(errors::client(state::WRONG_OBJECT_TYPE, pos, message));
        }
        if proc.returns_set {
            return self.set_call(resolved, pos);
        }
        self.finish_scalar(resolved, pos)
    }

    /// `text(x)`, `date(x)`: a cast in the manner of a function, when no function fits exactly.
    fn call_as_cast(&mut self, call: &ast::Call, arg: &Expr, pos: u32) -> Result<Option<Expr>> {
        let plain = !call.distinct && call.filter.is_none() && call.order_by.is_empty();
        if !plain || !matches!(call.name.schema.as_deref(), None | Some("pg_catalog")) {
            return Ok(None);
        }
        let name = &call.name.name;
        let exact = tables().procs(name).iter().any(|p| *p.arguments == [arg.ty.oid]);
        match function_cast(name, arg.ty.oid) {
            Some(target) if !exact => self.explicit(arg.clone(), Type::new(target), pos).map(Some),
            _ => Ok(None),
        }
    }

    fn arguments(&mut self, call: &ast::Call) -> Result<Vec<Expr>> {
        let mut args = Vec::with_capacity(call.args.len());
        for (_, arg) in &call.args {
            let arg = match self.record(arg)? {
                Some(row) => row,
                None => self.expr(arg)?,
            };
            if arg.ty.oid == oid::VOID && matches!(arg.kind, ExprKind::Param(_)) {
                // What stands for a result in JDBC's {? = call f()}.
                continue;
            }
            args.push(if types::makes_json(&call.name.name) { self.unfolded(arg)? } else { arg });
        }
        Ok(args)
    }

    /// 42809 for aggregate-only clauses on another function.
    fn check_plain(&self, call: &ast::Call, proc: &Proc, pos: u32) -> Result<()> {
        if matches!(proc.kind, b'a') {
            return Ok(());
        }
        let name = &call.name.name;
        let clause = if call.star {
            Some(format!("{name}(*) specified, but {name} is not an aggregate function"))
        } else if call.distinct {
            Some(format!("DISTINCT specified, but {name} is not an aggregate function"))
        } else if call.within_group {
            Some(format!("WITHIN GROUP specified, but {name} is not an aggregate function"))
        } else if !call.order_by.is_empty() {
            Some(format!("ORDER BY specified, but {name} is not an aggregate function"))
        } else if call.filter.is_some() && proc.kind != b'w' {
            Some(format!("FILTER specified, but {name} is not an aggregate function"))
        } else {
            None
        };
        match clause {
            Some(message) => Err(errors::client(state::WRONG_OBJECT_TYPE, pos, message)),
            None => Ok(()),
        }
    }

    /// Finds the function and casts the arguments to its declared types.
    pub(super) fn resolve_call(
        &mut self,
        call: &ast::Call,
        args: Vec<Expr>,
        pos: u32,
    ) -> Result<Resolved> {
        let written = &call.name;
        let names: Vec<&str> = call.args.iter().filter_map(|(n, _)| n.as_deref()).collect();
        let inputs: Vec<u32> = args.iter().map(|a| a.ty.oid).collect();
        let shown = || {
            let name = match written.schema.as_deref() {
                Some(schema) => format!("{schema}.{}", written.name),
                None => written.name.clone(),
            };
            errors::signature(&name, &names, &inputs)
        };
        let missing = || errors::undefined_function(&shown(), pos);
        let information = match written.schema.as_deref() {
            None | Some("pg_catalog") => false,
            Some("information_schema") => true,
            Some("public" | "pg_temp") => return Err(missing()),
            Some(schema) if self.context.catalog.schemas.contains_key(schema) => {
                return Err(missing());
            }
            Some(schema) => {
                let message = format!("schema \"{schema}\" does not exist");
                return Err(errors::client(state::INVALID_SCHEMA_NAME, pos, message));
            }
        };
        // What the extension uuid-ossp would add.
        let name = match written.name.as_str() {
            "uuid_generate_v4" => "gen_random_uuid",
            name => name,
        };
        let extensions = self.context.extensions();
        let chosen = match function(name, information, &inputs, &names, call.variadic, extensions) {
            Found::One(chosen) => chosen,
            Found::None => return Err(missing()),
            Found::Ambiguous => return Err(errors::ambiguous_function(&shown(), pos)),
        };
        if call.variadic {
            return Err(Error::unsupported("VARIADIC").at(pos));
        }
        self.cast_arguments(chosen, args, pos)
    }

    fn cast_arguments(&mut self, chosen: Chosen, args: Vec<Expr>, pos: u32) -> Result<Resolved> {
        let Chosen { proc, mut declared, order, .. } = chosen;
        let mut given: Vec<Option<Expr>> = args.into_iter().map(Some).collect();
        // Arguments in the function's own order; defaults at the end are left to the function.
        let last = order.iter().rposition(Option::is_some).map_or(0, |i| i + 1);
        declared.truncate(last);
        let mut ordered = Vec::with_capacity(last);
        for (slot, ty) in order.iter().take(last).zip(&declared) {
            match slot.and_then(|i| given.get_mut(i)).and_then(Option::take) {
                Some(arg) => ordered.push(arg),
                None => ordered.push(default_argument(proc, *ty, pos)?),
            }
        }
        let inputs: Vec<u32> = ordered.iter().map(|a| a.ty.oid).collect();
        let result =
            resolve_generics(&inputs, &mut declared, proc.result).map_err(|e| e.at(pos))?;
        let mut done = Vec::with_capacity(last);
        for (arg, ty) in ordered.into_iter().zip(declared) {
            let arg = self.coerce(arg, ty, CastKind::Implicit, -1)?;
            // A literal passed as "any" stays unknown in PostgreSQL; it is text to everyone.
            let literal = matches!(arg.kind, ExprKind::Const(_));
            done.push(if literal { self.settle(arg)? } else { arg });
        }
        Ok(Resolved { proc, args: done, result })
    }

    fn set_call(&mut self, resolved: Resolved, pos: u32) -> Result<Expr> {
        let place = self.level().place;
        if !place.allows_sets() {
            let message = format!("set-returning functions are not allowed in {}", place.name());
            return Err(errors::client(state::FEATURE_NOT_SUPPORTED, pos, message));
        }
        let outputs = resolved.outputs();
        let ty = match outputs.len() {
            0 | 1 if resolved.result == oid::RECORD => {
                return Err(Error::unsupported("a set of rows in the select list").at(pos));
            }
            0 | 1 => Type::new(resolved.result),
            _ => self.record_type(
                outputs.into_iter().map(|(n, ty)| (n.to_owned(), Type::new(ty))).collect(),
            ),
        };
        self.level().sets += 1;
        let call = Call {
            name: resolved.proc.name.to_owned(),
            oid: resolved.proc.oid,
            kind: CallKind::SetReturning,
            args: resolved.args,
            ..Call::default()
        };
        Ok(Expr { kind: ExprKind::Call(Box::new(call)), ty, pos })
    }

    /// A scalar call: frozen when it can be, else a call.
    pub(super) fn finish_scalar(&mut self, resolved: Resolved, pos: u32) -> Result<Expr> {
        let Resolved { proc, args, result } = resolved;
        if let Some(done) = self.freeze_call(proc, &args, result, pos)? {
            return Ok(done);
        }
        if super::freeze::is_system(proc) {
            self.system = true;
        }
        if proc.volatility == b'v' {
            self.volatile = true;
        }
        self.locks |= matches!(proc.name, "nextval" | "setval");
        self.draws |= matches!(proc.name, "nextval" | "setval" | "currval" | "lastval");
        if result == oid::RECORD {
            return Err(Error::unsupported(format!("function {} as a value", proc.name)).at(pos));
        }
        let call = Call {
            name: proc.name.to_owned(),
            oid: proc.oid,
            kind: CallKind::Scalar,
            args,
            ..Call::default()
        };
        Ok(Expr { kind: ExprKind::Call(Box::new(call)), ty: Type::new(result), pos })
    }

    /// An aggregate without OVER.
    fn aggregate(&mut self, call: &ast::Call, pos: u32) -> Result<Expr> {
        let place = self.level().place;
        let nested = self.level().in_aggregate;
        if nested {
            let message = "aggregate function calls cannot be nested";
            return Err(errors::client(state::GROUPING_ERROR, pos, message));
        }
        self.level().in_aggregate = true;
        let parts = self.aggregate_parts(call, pos);
        self.level().in_aggregate = false;
        let (resolved, order_by, filter) = parts?;
        // Only now: a call that cannot be resolved is 42883 wherever it stands.
        let sorted = order_by.iter().map(|s: &Sort| &s.expr);
        let outer = self.belongs_outside(resolved.args.iter().chain(sorted).chain(&filter));
        let place = outer.and_then(|l| self.levels.get(l - 1)).map_or(place, |l| l.place);
        if !place.allows_aggregates() {
            let message = format!("aggregate functions are not allowed in {}", place.name());
            return Err(errors::client(state::GROUPING_ERROR, pos, message));
        }
        if outer.is_some() {
            return Err(Error::unsupported("an aggregate of an outer query").at(pos));
        }
        self.level().aggregates = true;
        let aggregate = Call {
            name: resolved.proc.name.to_owned(),
            oid: resolved.proc.oid,
            kind: CallKind::Aggregate,
            args: resolved.args,
            star: call.star,
            distinct: call.distinct,
            order_by,
            filter,
            over: None,
            lite: false,
        };
        let ty = Type::new(resolved.result);
        Ok(Expr { kind: ExprKind::Call(Box::new(aggregate)), ty, pos })
    }

    /// Arguments, inner ORDER BY and FILTER of an aggregate.
    pub(super) fn aggregate_parts(
        &mut self,
        call: &ast::Call,
        pos: u32,
    ) -> Result<(Resolved, Vec<Sort>, Option<Expr>)> {
        let name = &call.name.name;
        let mut args = match self.counted_row(call, pos)? {
            Some(column) => vec![column],
            None => self.arguments(call)?,
        };
        if args.is_empty() && !call.star && !call.within_group && call.over.is_none() {
            let message =
                format!("{name}(*) must be used to call a parameterless aggregate function");
            return Err(errors::client(state::WRONG_OBJECT_TYPE, pos, message));
        }
        let direct = args.len();
        if call.within_group {
            for item in &call.order_by {
                args.push(self.expr(&item.expr)?);
            }
        }
        // Before the call itself is looked up, as in PostgreSQL.
        let filter = match &call.filter {
            Some(filter) => {
                let (before, was) = (self.level().place, self.level().in_aggregate);
                self.level().place = Place::Filter;
                self.level().in_aggregate = false;
                let done = self.condition(filter, "FILTER");
                self.level().place = before;
                self.level().in_aggregate = was;
                Some(done?)
            }
            None => None,
        };
        let mut resolved = self.resolve_call(call, args, pos)?;
        self.check_kind(call, resolved.proc, pos)?;
        let mut order_by = Vec::new();
        if call.within_group {
            let sorted = resolved.args.split_off(direct.min(resolved.args.len()));
            for (expr, item) in sorted.into_iter().zip(&call.order_by) {
                order_by.push(super::order::sort(self.settle(expr)?, item)?);
            }
        } else {
            for item in &call.order_by {
                let expr = self.expr(&item.expr)?;
                order_by.push(super::order::sort(self.settle(expr)?, item)?);
            }
        }
        if call.distinct {
            for arg in &resolved.args {
                if !types::has_equality(arg.ty.oid) {
                    return Err(errors::no_equality(arg.ty.oid, arg.pos));
                }
            }
            for sort in &mut order_by {
                let listed = |a: &&Expr| {
                    same(a, &sort.expr) || same(strip_implicit(a), strip_implicit(&sort.expr))
                };
                match resolved.args.iter().find(listed) {
                    Some(arg) => sort.expr = arg.clone(),
                    None => {
                        let message = "in an aggregate with DISTINCT, ORDER BY expressions must \
                                       appear in argument list";
                        let at = location(&sort.expr);
                        return Err(errors::client(state::INVALID_COLUMN_REFERENCE, at, message));
                    }
                }
            }
        }
        Ok((resolved, order_by, filter))
    }

    /// `count(t)`, `count(t.*)`: counts the rows that exist, which any NOT NULL column tells.
    fn counted_row(&mut self, call: &ast::Call, pos: u32) -> Result<Option<Expr>> {
        if call.name.name != "count" || call.distinct {
            return Ok(None);
        }
        let parts = match call.args.as_slice() {
            [(None, ast::Expr { kind: ast::ExprKind::Star(parts), .. })] => parts,
            [(None, ast::Expr { kind: ast::ExprKind::Column(parts), .. })] => parts,
            _ => return Ok(None),
        };
        let [table] = parts.as_slice() else { return Ok(None) };
        if matches!(call.args[0].1.kind, ast::ExprKind::Column(_))
            && self.column(parts, pos).is_ok()
        {
            return Ok(None);
        }
        let Ok(Some(item)) = self.find_item(None, table, pos) else { return Ok(None) };
        let Some((_, relation)) = &item.relation else { return Ok(None) };
        let certain = relation.columns.iter().position(|c| c.not_null);
        Ok(certain.and_then(|i| item.columns.get(i)).map(|c| super::scope::at(c.expr.clone(), pos)))
    }

    fn check_kind(&self, call: &ast::Call, proc: &Proc, pos: u32) -> Result<()> {
        let name = &call.name.name;
        self.check_plain(call, proc, pos)?;
        let ordered = matches!(proc.aggregate, b'o' | b'h');
        if ordered && !call.within_group {
            let message = format!("WITHIN GROUP is required for ordered-set aggregate {name}");
            return Err(errors::client(state::WRONG_OBJECT_TYPE, pos, message));
        }
        if call.within_group && !ordered {
            let message =
                format!("{name} is not an ordered-set aggregate, so it cannot have WITHIN GROUP");
            return Err(errors::client(state::WRONG_OBJECT_TYPE, pos, message));
        }
        Ok(())
    }

    /// The level whose aggregate this is, where its arguments, its order and filter included,
    /// only use columns of outer queries.
    pub(super) fn belongs_outside<'e>(
        &self,
        args: impl Iterator<Item = &'e Expr>,
    ) -> Option<usize> {
        let here = self.levels.len();
        let mut nearest = None;
        for arg in args {
            visit(arg, &mut |e| {
                let level = match &e.kind {
                    ExprKind::Column(rel, _) => self.rel_levels.get(rel).copied().unwrap_or(here),
                    ExprKind::Excluded(_) => {
                        self.rel_levels.get(&EXCLUDED).copied().unwrap_or(here)
                    }
                    _ => return true,
                };
                // A relation of a subquery within the call does not count.
                if level <= here {
                    nearest = nearest.max(Some(level));
                }
                true
            });
        }
        nearest.filter(|level| *level > 0 && *level < here)
    }
}

/// The default of an argument that stands before given ones (named notation).
fn default_argument(proc: &Proc, ty: u32, pos: u32) -> Result<Expr> {
    let cell = match ty {
        oid::INT4 | oid::INT8 => Cell::Integer(0),
        oid::FLOAT8 => Cell::Real(0.0),
        _ => {
            let what = format!("leaving out an argument of {} before others", proc.name);
            return Err(Error::unsupported(what).at(pos));
        }
    };
    Ok(Expr { kind: ExprKind::Const(cell), ty: Type::new(ty), pos })
}
