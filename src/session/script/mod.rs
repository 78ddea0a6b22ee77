//! Bodies of PL/pgSQL, of DO and of functions, run statement by statement in the client's
//! transaction.
//!
//! Owns the flow of control: branches, loops, blocks with their EXCEPTION. Each statement is
//! planned when it is reached, as the one before it may have changed the schema, and travels to
//! PostgreSQL as if the client had sent it alone. It must never go on after an error that no
//! handler has taken. Start at [`Session::inline`].

mod call;
mod gather;
mod run;
pub(super) mod temporary;
mod variables;

use std::future::Future;
use std::pin::Pin;
use std::time::Instant;

use super::cancel::statement_timeout;
use super::reply::Tag;
use super::{Session, Step, Stop};
use crate::error::{Error, SqlState, state};
use crate::sql::ast::{Declared, Expr, Line, Order, Range, Script, TypeName};
use crate::sql::pg::plpgsql;
use crate::sql::types::{sql_name_with_typmod, tables};
use crate::value::{Cell, Type};
use crate::wire::Severity;
use call::roomy;
use gather::Gathered;
pub(super) use gather::field;
use variables::Variables;

/// How a list of statements ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    /// At its end.
    Next,
    /// EXIT
    Exit,
    /// CONTINUE
    Continue,
    /// RETURN
    Return,
}

/// What a running body knows.
#[derive(Default)]
struct Running {
    /// What runs, as the context of its errors says.
    context: String,
    /// Type of what a function returns; None for DO, void, rows and OUT parameters.
    result: Option<TypeName>,
    /// What RETURN gave.
    returned: Option<Option<String>>,
    /// Where RETURN NEXT and RETURN QUERY put rows.
    gathered: Option<Gathered>,
    /// The columns of the one row that a function returns, and the row as RETURN gave it.
    row: Option<Vec<(String, Type)>>,
    returned_row: Option<Cell>,
    /// Of a function that says that it changes nothing.
    steady: bool,
    variables: Variables,
    /// Rows that the last statement returned or changed.
    count: u64,
    /// The errors whose handlers run, the innermost last.
    handled: Vec<Error>,
}

/// What a declaration means in the catalog of the moment.
enum Typing {
    Record,
    Value(TypeName),
    Row(Vec<(String, TypeName)>),
}

type Flowing<'a> = Pin<Box<dyn Future<Output = Step<Flow>> + Send + 'a>>;

fn named(name: &str) -> TypeName {
    TypeName { name: name.to_owned(), ..TypeName::default() }
}

impl Session {
    /// DO
    pub(in crate::session) async fn inline(&mut self, body: &str) -> Step<Tag> {
        let script = plpgsql::script(body).map_err(Error::without_position)?;
        let context = "PL/pgSQL function inline_code_block".to_owned();
        let mut running = Running { context, ..Running::default() };
        running.variables.enter();
        running.variables.declare("found", named("bool"), Some("f".to_owned()));
        self.script(&script, &mut running).await?;
        Ok("DO".into())
    }

    fn script<'a>(&'a mut self, script: &'a Script, running: &'a mut Running) -> Flowing<'a> {
        Box::pin(async move {
            running.variables.enter();
            let outcome = self.block(script, running).await;
            running.variables.leave();
            outcome
        })
    }

    async fn block(&mut self, script: &Script, running: &mut Running) -> Step<Flow> {
        for (name, declared, first) in &script.variables {
            let ty = match self.declared(declared, running)? {
                Typing::Record => {
                    running.variables.declare_record(name);
                    continue;
                }
                Typing::Row(columns) if first.is_none() => {
                    running.variables.declare_record(name);
                    let empty = columns.into_iter().map(|(column, ty)| (column, (ty, None)));
                    running.variables.set_record(name, empty.collect())?;
                    continue;
                }
                Typing::Row(_) => {
                    return Err(Error::unsupported("a row as a value in PL/pgSQL").into());
                }
                Typing::Value(ty) => ty,
            };
            let value = match first {
                Some(first) => self.value(first, Some(&ty), running).await?,
                None => None,
            };
            running.variables.declare(name, ty, value);
        }
        if script.handlers.is_empty() {
            return self.lines(&script.steps, running).await;
        }
        // No client's savepoint has an empty name.
        let depth = self.push_savepoint("")?;
        let error = match self.lines(&script.steps, running).await {
            Ok(flow) => {
                self.drop_savepoint(depth)?;
                return Ok(flow);
            }
            Err(Stop::Error(error)) => self.describe(error),
            Err(other) => {
                // The block begins anew where the session moves to.
                drop(self.drop_savepoint(depth));
                return Err(other);
            }
        };
        drop(self.requests.take());
        let taken = script
            .handlers
            .iter()
            .find(|(codes, _)| codes.iter().any(|code| takes(code.as_deref(), error.sqlstate())));
        let Some((_, lines)) = taken.filter(|_| self.can_undo()) else {
            return Err(error.into());
        };
        self.undo_to_savepoint(depth)?;
        self.drop_savepoint(depth)?;
        running.variables.enter();
        let code = error.sqlstate().as_str().to_owned();
        running.variables.declare("sqlstate", named("text"), Some(code));
        running.variables.declare("sqlerrm", named("text"), Some(error.message().to_owned()));
        running.handled.push(error);
        let outcome = self.lines(lines, running).await;
        running.handled.pop();
        running.variables.leave();
        outcome
    }

    fn declared(&self, declared: &Declared, running: &Running) -> Step<Typing> {
        let catalog = self.catalog();
        let table = |parts: &[String]| {
            let name = match parts {
                [name] => (None, name.as_str()),
                [schema, name] => (Some(schema.as_str()), name.as_str()),
                _ => (None, ""),
            };
            let public = matches!(name.0, None | Some("public"));
            let found = catalog.relation(name.1).filter(|_| public).cloned();
            found.ok_or_else(|| {
                let message = format!("relation \"{}\" does not exist", parts.join("."));
                Error::client(state::UNDEFINED_TABLE, message)
            })
        };
        Ok(match declared {
            Declared::Record => Typing::Record,
            Declared::Type(ty) if tables().type_oid(&ty.name).is_none() => {
                match temporary::row_type(ty, &catalog)? {
                    Some(columns) => Typing::Row(columns),
                    None => Typing::Value(ty.clone()),
                }
            }
            Declared::Type(ty) => Typing::Value(ty.clone()),
            Declared::Like(parts) => match parts.as_slice() {
                [variable] => Typing::Value(running.variables.type_of(variable)?),
                [owner @ .., column] => {
                    let relation = table(owner)?;
                    let found = relation.column(column).ok_or_else(|| {
                        let message = format!(
                            "column \"{column}\" of relation \"{}\" does not exist",
                            relation.bare()
                        );
                        Error::client(state::UNDEFINED_COLUMN, message)
                    })?;
                    let ty = sql_name_with_typmod(relation.columns[found].ty);
                    Typing::Value(plpgsql::type_name(&ty)?)
                }
                [] => return Err(Error::internal("%TYPE of nothing").into()),
            },
            Declared::Row(parts) => {
                let relation = table(parts)?;
                let ty = TypeName { name: relation.name.clone(), ..TypeName::default() };
                Typing::Row(temporary::row_type(&ty, &catalog)?.unwrap_or_default())
            }
        })
    }

    fn lines<'a>(&'a mut self, lines: &'a [Line], running: &'a mut Running) -> Flowing<'a> {
        Box::pin(roomy(Box::pin(async move {
            for line in lines {
                self.tick().await?;
                let flow = self.order(&line.what, running).await;
                let flow = flow.map_err(|stop| placed(stop, line, &running.context))?;
                if flow != Flow::Next {
                    return Ok(flow);
                }
            }
            Ok(Flow::Next)
        })))
    }

    /// Between two lines and in every round of a loop: a body may run for long without a
    /// statement that could be ended.
    async fn tick(&self) -> Step<()> {
        if let Some(error) = self.cancel.error() {
            return Err(error.into());
        }
        if self.deadline.is_some_and(|at| Instant::now() >= at) {
            return Err(statement_timeout().into());
        }
        tokio::task::yield_now().await;
        Ok(())
    }

    async fn order(&mut self, order: &Order, running: &mut Running) -> Step<Flow> {
        match order {
            Order::Block(script) => return self.script(script, running).await,
            Order::Set(name, value) => {
                let ty = running.variables.type_of(name)?;
                let value = self.value(value, Some(&ty), running).await?;
                running.variables.set(name, value)?;
            }
            Order::If(branches, otherwise) => {
                for (condition, lines) in branches {
                    if self.holds(condition, running).await? {
                        return self.lines(lines, running).await;
                    }
                }
                return self.lines(otherwise, running).await;
            }
            Order::While(condition, lines) => {
                while self.holds(condition, running).await? {
                    if let Some(ended) = looped(self.lines(lines, running).await?) {
                        return Ok(ended);
                    }
                    self.tick().await?;
                }
            }
            Order::ForRange(range, lines) => {
                return self.count_through(range, lines, running).await;
            }
            Order::ForEach(variable, array, lines) => {
                return self.each_element(variable, array, lines, running).await;
            }
            Order::Assert(condition, message) => {
                if !self.holds(condition, running).await? {
                    let said = match message {
                        Some(m) => self.value(m, Some(&named("text")), running).await?,
                        None => None,
                    };
                    let message = said.unwrap_or_else(|| "assertion failed".to_owned());
                    return Err(Error::client(SqlState::from_code("P0004"), message).into());
                }
            }
            Order::ForRows(targets, source, lines) => {
                return self.each_row(targets, source, lines, running).await;
            }
            Order::Exit(when) => {
                if self.holds_or_none(when.as_ref(), running).await? {
                    return Ok(Flow::Exit);
                }
            }
            Order::Continue(when) => {
                if self.holds_or_none(when.as_ref(), running).await? {
                    return Ok(Flow::Continue);
                }
            }
            Order::Return(value) => {
                self.give(value.as_ref(), running).await?;
                return Ok(Flow::Return);
            }
            Order::ReturnNext(value) => self.gather_value(value.as_ref(), running).await?,
            Order::ReturnQuery(source) => self.gather_rows(source, running).await?,
            Order::Raise(level, raise) => self.raise(level, raise, running).await?,
            Order::Again => {
                let error = running.handled.last().cloned().ok_or_else(|| {
                    let message = "RAISE without parameters cannot be used outside an exception \
                                   handler";
                    Error::client(SqlState::from_code("0Z002"), message)
                })?;
                return Err(error.into());
            }
            Order::Run(source, into) => self.run_source(source, into, running).await?,
            Order::Perform(query) => self.perform(query, running).await?,
            Order::Diagnostics(items) => {
                for (name, item) in items {
                    let value = diagnostic(item, running)?;
                    running.variables.set(name, Some(value))?;
                }
            }
        }
        Ok(Flow::Next)
    }

    async fn count_through(
        &mut self,
        range: &Range,
        lines: &[Line],
        running: &mut Running,
    ) -> Step<Flow> {
        let int = named("int4");
        let (from, to) = (&range.from, &range.to);
        let from = number(self.value(from, Some(&int), running).await?)?;
        let to = number(self.value(to, Some(&int), running).await?)?;
        let by = match &range.by {
            Some(by) => number(self.value(by, Some(&int), running).await?)?,
            None => 1,
        };
        if by <= 0 {
            let message = "BY value of FOR loop must be greater than zero";
            return Err(Error::client(state::INVALID_PARAMETER_VALUE, message).into());
        }
        let by = if range.reverse { -by } else { by };
        let (mut at, mut met) = (from, false);
        while if range.reverse { at >= to } else { at <= to } {
            met = true;
            self.tick().await?;
            running.variables.enter();
            running.variables.declare(&range.variable, int.clone(), Some(at.to_string()));
            let flow = self.lines(lines, running).await;
            running.variables.leave();
            if let Some(ended) = looped(flow?) {
                running.variables.found(true);
                return Ok(ended);
            }
            at += by;
        }
        running.variables.found(met);
        Ok(Flow::Next)
    }

    async fn holds_or_none(&mut self, when: Option<&Expr>, running: &Running) -> Step<bool> {
        match when {
            Some(when) => self.holds(when, running).await,
            None => Ok(true),
        }
    }

    /// Whether a condition is true.
    async fn holds(&mut self, condition: &Expr, running: &Running) -> Step<bool> {
        let value = self.value(condition, Some(&named("bool")), running).await?;
        Ok(matches!(value.as_deref(), Some("t" | "true")))
    }

    async fn raise(
        &mut self,
        level: &str,
        raise: &crate::sql::ast::Raise,
        running: &Running,
    ) -> Step<()> {
        let mut parts: Vec<Option<String>> = Vec::new();
        for part in [&raise.message, &raise.detail, &raise.hint] {
            parts.push(match part {
                Some(part) => self.value(part, Some(&named("text")), running).await?,
                None => None,
            });
        }
        let severity = match level {
            "exception" => None,
            "warning" => Some(Severity::Warning),
            "info" => Some(Severity::Info),
            "notice" => Some(Severity::Notice),
            "log" => Some(Severity::Log),
            _ => Some(Severity::Debug),
        };
        let code = match (severity, raise.state.as_str()) {
            (Some(Severity::Warning), "P0001") => "01000",
            (Some(_), "P0001") => "00000",
            (_, code) => code,
        };
        let mut parts = parts.into_iter();
        let message = parts.next().flatten().unwrap_or_else(|| "<NULL>".to_owned());
        let mut error = Error::client(SqlState::from_code(code), message);
        if let Some(detail) = parts.next().flatten() {
            error = error.detail(detail);
        }
        if let Some(hint) = parts.next().flatten() {
            error = error.hint(hint);
        }
        match severity {
            None => Err(error.into()),
            Some(severity) => {
                let line = format!("{} line {} at RAISE", running.context, raise.line);
                self.notice(severity, &error.context(line));
                Ok(())
            }
        }
    }
}

/// What GET DIAGNOSTICS tells.
fn diagnostic(item: &str, running: &Running) -> Step<String> {
    if item == "row_count" {
        return Ok(running.count.to_string());
    }
    let error = running.handled.last().ok_or_else(|| {
        let message = "GET STACKED DIAGNOSTICS cannot be used outside an exception handler";
        Error::client(SqlState::from_code("0Z002"), message)
    })?;
    let fields = error.fields();
    let found = match item {
        "returned_sqlstate" => Some(error.sqlstate().as_str().to_owned()),
        "message_text" => Some(error.message().to_owned()),
        "pg_exception_detail" => fields.detail.clone(),
        "pg_exception_hint" => fields.hint.clone(),
        "constraint_name" => fields.object.constraint.clone(),
        "table_name" => fields.object.table.clone(),
        _ => fields.object.column.clone(),
    };
    Ok(found.unwrap_or_default())
}

/// Whether a handler takes an error: OTHERS takes all but a cancelled query.
fn takes(code: Option<&str>, thrown: SqlState) -> bool {
    let thrown = thrown.as_str();
    match code {
        None => !matches!(thrown, "57014" | "P0004"),
        Some(class) if class.ends_with("000") => thrown.starts_with(&class[..2]),
        Some(code) => thrown == code,
    }
}

/// What ends a loop: EXIT ends only it.
fn looped(flow: Flow) -> Option<Flow> {
    match flow {
        Flow::Next | Flow::Continue => None,
        Flow::Exit => Some(Flow::Next),
        Flow::Return => Some(Flow::Return),
    }
}

fn number(value: Option<String>) -> Step<i64> {
    let Some(value) = value else {
        let message = "bounds of FOR loop cannot be null";
        return Err(Error::client(state::NULL_VALUE_NOT_ALLOWED, message).into());
    };
    Ok(value.parse().map_err(|_| Error::internal("not a number"))?)
}

/// An error with the place of the statement that made it.
fn placed(stop: Stop, line: &Line, running: &str) -> Stop {
    let Stop::Error(error) = stop else { return stop };
    let error = error.without_position();
    let inner = error.fields().context.clone();
    if inner.as_ref().is_some_and(|inner| inner.contains(running)) {
        return error.into();
    }
    if running.starts_with("SQL") {
        let place = format!("{running} statement {}", line.number);
        return error.context(inner.map_or(place.clone(), |i| format!("{i}\n{place}"))).into();
    }
    let what = match &line.what {
        Order::Set(..) => "assignment",
        Order::If(..) => "IF",
        Order::While(..) => "WHILE",
        Order::ForRows(..) => "FOR over SELECT rows",
        Order::ForEach(..) => "FOREACH over array",
        Order::Assert(..) => "ASSERT",
        Order::ForRange(..) => "FOR with integer loop variable",
        Order::Raise(..) | Order::Again => "RAISE",
        Order::Perform(_) => "PERFORM",
        Order::Return(_) => "RETURN",
        Order::ReturnNext(_) => "RETURN NEXT",
        Order::ReturnQuery(_) => "RETURN QUERY",
        Order::Run(crate::sql::ast::Source::Dynamic(..), _) => "EXECUTE",
        _ => "SQL statement",
    };
    let place = format!("{running} line {} at {what}", line.number);
    error.context(inner.map_or(place.clone(), |inner| format!("{inner}\n{place}"))).into()
}
