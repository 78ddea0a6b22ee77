//! SQLite's functions: scalar, aggregate, window.
//!
//! What they take and give is data (`sql::lite::functions`); here are those that need more.
//! Start at [`Analyzer::lite_call`].

use super::super::literal::constant;
use super::super::scope::Place;
use super::super::{errors, order};
use super::kind::{ANY, NUM, PURE, has_window};
use super::{Analyzer, BOOL, Kind, as_lite, boolean, lite};
use crate::error::{Error, Result, state};
use crate::sql::ast;
use crate::sql::ir::{Call, CallKind, Expr, ExprKind, Sort};
use crate::sql::lite::QUOTED;
use crate::sql::lite::functions::{AGGREGATE, Function, SCALAR, WINDOW, find};
use crate::sql::plan::FrozenSource;
use crate::value::{Cell, Type, oid};

const TEXT: Type = Type::new(oid::TEXT);

/// Functions of a point in time.
const TIMES: &[&str] = &["date", "time", "datetime", "julianday", "unixepoch", "strftime"];

fn unknown(name: &str) -> Error {
    Error::client(state::UNDEFINED_FUNCTION, format!("no such function: {name}"))
}

impl Analyzer<'_> {
    pub(super) fn lite_call(&mut self, call: &ast::Call) -> Result<Expr> {
        let (name, count) = (call.name.name.as_str(), call.args.len());
        if name == QUOTED {
            return self.quoted(call);
        }
        let aggregate = call.star || find(AGGREGATE, name, count).is_some();
        if call.over.is_some() || aggregate {
            return self.lite_aggregate(call);
        }
        if call.distinct || call.filter.is_some() || !call.order_by.is_empty() {
            let message = format!("{name}() is no aggregate function");
            return Err(Error::client(state::WRONG_OBJECT_TYPE, message));
        }
        if find(WINDOW, name, count).is_some() {
            let message = format!("misuse of window function {name}()");
            return Err(Error::client(state::WINDOWING_ERROR, message));
        }
        let mut args = Vec::with_capacity(count);
        for (_, arg) in &call.args {
            args.push(self.expr(arg)?);
        }
        if let Some(done) = self.special(name, &args)? {
            return Ok(done);
        }
        let function = find(SCALAR, name, count).ok_or_else(|| unknown(name))?;
        if TIMES.contains(&name) {
            args = self.moments(name, args)?;
        }
        self.scalar(function, args)
    }

    /// A double-quoted word: a column, or else a string.
    fn quoted(&mut self, call: &ast::Call) -> Result<Expr> {
        let Some((_, ast::Expr { kind: ast::ExprKind::Column(parts), .. })) = call.args.first()
        else {
            return Err(Error::internal("a quoted word without its name"));
        };
        match self.lite_column(parts) {
            Err(error) if error.sqlstate() == state::UNDEFINED_COLUMN => {
                Ok(constant(Cell::Text(parts.concat()), TEXT, 0))
            }
            other => other,
        }
    }

    /// Functions that are constructs of their own.
    fn special(&mut self, name: &str, args: &[Expr]) -> Result<Option<Expr>> {
        Ok(Some(match (name, args) {
            ("coalesce", [_, _, ..]) | ("ifnull", [_, _]) => {
                let (list, ty) = self.lite_unify(args.to_vec())?;
                Expr { kind: ExprKind::Coalesce(list), ty, pos: 0 }
            }
            ("nullif", [a, b]) => {
                let equal = self.lite_compare("=", a.clone(), b.clone())?;
                let value = self.raw(a.clone())?;
                let value = self.settle(value)?;
                let ty = value.ty;
                let null = constant(Cell::Null, ty, 0);
                let kind = ExprKind::Case {
                    branches: vec![(equal, null)],
                    otherwise: Some(Box::new(value)),
                };
                Expr { kind, ty, pos: 0 }
            }
            ("iif" | "if", [condition, values @ ..]) if matches!(values.len(), 1 | 2) => {
                let condition = self.lite_truth(condition.clone())?;
                let (mut values, ty) = self.lite_unify(values.to_vec())?;
                let otherwise = if values.len() > 1 { values.pop().map(Box::new) } else { None };
                let branches = values.pop().map(|v| (condition, v)).into_iter().collect();
                Expr { kind: ExprKind::Case { branches, otherwise }, ty, pos: 0 }
            }
            ("likely" | "unlikely", [arg]) | ("likelihood", [arg, _]) => arg.clone(),
            ("min" | "max", [_, _, ..]) => {
                let (list, ty) = self.lite_unify(args.to_vec())?;
                if ty == ANY {
                    let message = format!("{name}() over values of different types");
                    return Err(Error::unsupported(message));
                }
                lite(name, list, ty)
            }
            ("like" | "glob", [pattern, value, rest @ ..]) if rest.len() <= 1 => {
                let mut operands = vec![
                    self.as_pattern_operand(value.clone())?,
                    self.as_pattern_operand(pattern.clone())?,
                ];
                for escape in rest {
                    operands.push(self.as_pattern_operand(escape.clone())?);
                }
                lite(if name == "like" { "LIKE" } else { "GLOB" }, operands, BOOL)
            }
            ("typeof", [arg]) => self.type_of(arg.clone())?,
            ("last_insert_rowid" | "changes" | "total_changes", []) => {
                let source = FrozenSource::Session(name.to_owned(), Vec::new());
                self.system = true;
                self.frozen(Type::new(oid::INT8), source, 0)
            }
            ("sqlite_version", []) => {
                let source = FrozenSource::Session(name.to_owned(), Vec::new());
                self.system = true;
                self.frozen(TEXT, source, 0)
            }
            _ => return Ok(None),
        }))
    }

    /// typeof(), known beforehand but for NULL.
    fn type_of(&mut self, arg: Expr) -> Result<Expr> {
        let arg = self.raw(arg)?;
        let word = match Kind::of(&arg) {
            Kind::Bool | Kind::Int => "integer",
            Kind::Real => "real",
            Kind::Text => "text",
            Kind::Blob => "blob",
            Kind::Null if matches!(arg.kind, ExprKind::Const(_)) => "null",
            Kind::Null => {
                return Err(Error::unsupported("typeof() of a parameter").hint("Cast it."));
            }
            Kind::Num | Kind::Any => return Ok(lite("typeof", vec![arg], TEXT)),
        };
        let text = |s: &str| constant(Cell::Text(s.to_owned()), TEXT, 0);
        if let ExprKind::Const(_) = arg.kind {
            return Ok(text(word));
        }
        let null = boolean(ExprKind::IsNull(Box::new(arg), false));
        let kind = ExprKind::Case {
            branches: vec![(null, text("null"))],
            otherwise: Some(Box::new(text(word))),
        };
        Ok(Expr { kind, ty: TEXT, pos: 0 })
    }

    /// Arguments of a date function: `now` is one moment for the whole statement.
    fn moments(&mut self, name: &str, mut args: Vec<Expr>) -> Result<Vec<Expr>> {
        let at = usize::from(name == "strftime");
        let now = |a: &mut Self| {
            let ty = Type::new(oid::TIMESTAMPTZ);
            let frozen = a.frozen(ty, FrozenSource::StatementTime, 0);
            lite("text_of", vec![frozen], TEXT)
        };
        match args.get(at) {
            None => args.push(now(self)),
            Some(Expr { kind: ExprKind::Const(Cell::Text(text)), .. })
                if text.eq_ignore_ascii_case("now") =>
            {
                args[at] = now(self);
            }
            Some(_) => {}
        }
        for modifier in args.iter().skip(at + 1) {
            if let ExprKind::Const(Cell::Text(text)) = &modifier.kind
                && ["localtime", "utc", "auto"].iter().any(|m| m.eq_ignore_ascii_case(text.trim()))
            {
                return Err(Error::unsupported(format_args!("the modifier '{text}'"))
                    .hint("Times are kept in UTC; leave it out, or shift by hours."));
            }
        }
        Ok(args)
    }

    /// An argument as a function wants it.
    fn argument(&mut self, letter: u8, arg: Expr) -> Result<Expr> {
        let arg = self.raw(super::without_collation(arg))?;
        match letter {
            b't' => self.as_pattern_operand(arg),
            b'N' | b'R' if !Kind::of(&arg).is_number() && Kind::of(&arg) != Kind::Null => {
                Err(Error::unsupported("a text where a function wants a number")
                    .hint("Cast it to INTEGER or REAL."))
            }
            b'n' | b'N' => self.as_number(arg),
            b'r' | b'R' => self.made(arg, Kind::Real),
            b'i' => self.made(arg, Kind::Int),
            _ => match Kind::of(&arg) {
                Kind::Null => self.made(arg, Kind::Text),
                Kind::Bool => self.made(arg, Kind::Int),
                _ => Ok(arg),
            },
        }
    }

    fn scalar(&mut self, function: &Function, args: Vec<Expr>) -> Result<Expr> {
        let mut done = Vec::with_capacity(args.len());
        for (i, arg) in args.into_iter().enumerate() {
            let arg = self.argument(function.argument(i), arg)?;
            // abs() of a text is a real.
            let read = as_lite(&arg).is_some_and(|c| c.name == "number");
            done.push(if function.name == "abs" && read {
                self.made(arg, Kind::Real)?
            } else {
                arg
            });
        }
        if matches!(function.name, "random" | "randomblob") {
            self.volatile = true;
        }
        let ty = result(function, &done);
        Ok(lite(function.name, done, ty))
    }

    /// Aggregates, and everything with OVER.
    fn lite_aggregate(&mut self, call: &ast::Call) -> Result<Expr> {
        let (name, count) = (call.name.name.as_str(), call.args.len());
        let window = call.over.is_some();
        let function = if call.star {
            if name != "count" {
                return Err(unknown(&format!("{name}(*)")));
            }
            None
        } else {
            let found = find(AGGREGATE, name, count);
            let found = found.or_else(|| find(WINDOW, name, count).filter(|_| window));
            Some(found.ok_or_else(|| unknown(name))?)
        };
        let place = self.level().place;
        let nested = self.level().in_aggregate || self.level().in_window;
        let allowed = if window { place.allows_windows() } else { place.allows_aggregates() };
        if nested || !allowed {
            let message = format!("misuse of aggregate function {name}()");
            return Err(errors::client(state::GROUPING_ERROR, 0, message));
        }
        let flag = |a: &mut Self, value: bool| {
            let level = a.level();
            let inside = if window { &mut level.in_window } else { &mut level.in_aggregate };
            *inside = value;
        };
        flag(self, true);
        let parts = self.aggregate_arguments(call, function);
        flag(self, false);
        let (args, order_by, filter) = parts?;
        if !window && self.belongs_outside(args.iter()).is_some() {
            return Err(Error::unsupported("an aggregate of an outer query"));
        }
        let over = call.over.as_ref().map(|w| self.window(w, 0)).transpose()?;
        if window {
            self.level().windows_used = true;
        } else {
            self.level().aggregates = true;
        }
        if matches!(name, "group_concat" | "string_agg" | "json_group_array" | "json_group_object")
            && order_by.is_empty()
        {
            // In the order of the rows, which is nobody's promise.
            self.volatile = true;
        }
        let ty = match function {
            None => Type::new(oid::INT8),
            Some(function) if function.name == "sum" && args.iter().all(|a| a.ty == PURE) => NUM,
            Some(function) => result(function, &args),
        };
        let done = Call {
            name: name.to_owned(),
            kind: if window { CallKind::Window } else { CallKind::Aggregate },
            args,
            star: call.star,
            distinct: call.distinct,
            order_by,
            filter,
            over,
            lite: true,
            ..Call::default()
        };
        Ok(Expr { kind: ExprKind::Call(Box::new(done)), ty, pos: 0 })
    }

    fn aggregate_arguments(
        &mut self,
        call: &ast::Call,
        function: Option<&Function>,
    ) -> Result<(Vec<Expr>, Vec<Sort>, Option<Expr>)> {
        let mut args = Vec::with_capacity(call.args.len());
        for (i, (_, arg)) in call.args.iter().enumerate() {
            let arg = self.expr(arg)?;
            if self.is_nocase(&arg) && matches!(call.name.name.as_str(), "min" | "max") {
                return Err(Error::unsupported("min or max with COLLATE NOCASE"));
            }
            args.push(self.argument(function.map_or(b'*', |f| f.argument(i)), arg)?);
        }
        if args.iter().any(has_window) {
            return Err(Error::unsupported("a window function inside a function"));
        }
        let mut order_by = Vec::with_capacity(call.order_by.len());
        for item in &call.order_by {
            let expr = self.expr(&item.expr)?;
            let expr = self.settle(expr)?;
            let sort = order::sort(expr, item)?;
            order_by.push(self.lite_sort(sort)?);
        }
        let filter = match &call.filter {
            Some(filter) => {
                let (place, inside) = (self.level().place, self.level().in_aggregate);
                self.level().place = Place::Filter;
                let done = self.condition(filter, "FILTER");
                self.level().place = place;
                self.level().in_aggregate = inside;
                Some(done?)
            }
            None => None,
        };
        Ok((args, order_by, filter))
    }
}

/// The type of a function's result.
fn result(function: &Function, args: &[Expr]) -> Type {
    match function.result {
        b'i' => Type::new(oid::INT8),
        b'r' => Type::new(oid::FLOAT8),
        b'b' => Type::new(oid::BYTEA),
        b'j' => ANY,
        b'n' => match args.first().map(|a| a.ty) {
            Some(ty) if ty == PURE && !matches!(function.name, "min" | "max") => NUM,
            Some(ty) => ty,
            None => TEXT,
        },
        _ => TEXT,
    }
}
