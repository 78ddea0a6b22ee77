//! Calls of functions that clients have created, in PL/pgSQL and in SQL.
//!
//! A call runs before the statement that has it, which then uses the value. It must never call a
//! function that may write where PostgreSQL would not, nor go deeper than the stack. Start at
//! [`Session::call_function`].

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;

use super::super::{Session, Step};
use super::gather::{self, Gathered};
use super::{Running, named};
use crate::backend::sqlite::ddl::callable::signature;
use crate::error::{Error, SqlState, state};
use crate::schema::Function;
use crate::sql::ast::{Expr, ExprKind, Literal};
use crate::sql::pg::plpgsql::{self, Gives};
use crate::sql::result_columns;
use crate::sql::types::{sql_name, sql_name_with_typmod};
use crate::value::{Cell, Format, Type, oid, wire};

/// Functions that may call each other at a time.
const DEPTH_MAX: u32 = 128;
/// Bytes of stack that there are for one function, as a statement has them, and of a new piece of
/// stack.
const ROOM: usize = 7 << 18;
const STACK: usize = 4 << 20;

impl Session {
    /// The value of a function for arguments as texts.
    pub(in crate::session) async fn call_function(
        &mut self,
        function: &Function,
        arguments: &[Option<String>],
    ) -> Step<Cell> {
        if function.strict && arguments.iter().any(Option::is_none) {
            return Ok(Cell::Null);
        }
        if self.calls >= DEPTH_MAX {
            let message = "stack depth limit exceeded";
            let hint = "While SQLite is primary, functions may call each other 128 deep.";
            return Err(Error::client(state::STATEMENT_TOO_COMPLEX, message).hint(hint).into());
        }
        self.calls += 1;
        let outcome = roomy(Box::pin(self.run_function(function, arguments))).await;
        self.calls -= 1;
        outcome
    }

    async fn run_function(
        &mut self,
        function: &Function,
        arguments: &[Option<String>],
    ) -> Step<Cell> {
        let catalog = self.catalog();
        let temporary = Arc::clone(self.temporary());
        let context = crate::sql::Context {
            catalog: &catalog,
            temporary: &temporary,
            search_path: &self.settings.derived().search_path,
            param_types: &[],
        };
        let columns = result_columns(function, &context);
        let in_sql = function.language == "sql";
        let is_void = function.result == oid::VOID;
        let gives = match &columns {
            _ if is_void => Gives::Nothing,
            _ if function.set => Gives::Rows,
            None => Gives::Row(1),
            Some(columns) => Gives::Row(columns.len()),
        };
        let script = match in_sql {
            true => plpgsql::statements(&function.body, &gives, &sql_name(function.result))?,
            false => plpgsql::script(&function.body).map_err(Error::without_position)?,
        };
        let is_row = columns.is_some();
        let single = vec![(function.name.clone(), Type::new(function.result))];
        let columns = columns.unwrap_or(single);
        let named_outs = function.outputs().count() > 0;
        let result = match gives {
            Gives::Row(_) if !in_sql && !named_outs && !is_row => {
                Some(plpgsql::type_name(&function.returns)?)
            }
            _ => None,
        };
        let context = match in_sql {
            true => format!("SQL function \"{}\"", function.name),
            false => format!("PL/pgSQL function {}", signature(function)),
        };
        let steady = function.volatility != 'v';
        let gathered = (gives == Gives::Rows).then(|| Gathered::of(&columns, in_sql));
        let row = (is_row && !in_sql && !named_outs && gathered.is_none()).then(|| columns.clone());
        let mut running = Running { context, result, steady, gathered, row, ..Running::default() };
        running.variables.enter();
        if !in_sql {
            running.variables.declare("found", named("bool"), Some("f".to_owned()));
        }
        if let (true, Gives::Row(_)) = (in_sql, gives) {
            for (position, (_, ty)) in columns.iter().enumerate() {
                let ty = plpgsql::type_name(&sql_name_with_typmod(*ty))?;
                running.variables.declare(&plpgsql::result_name(position), ty, None);
            }
        }
        declare_parameters(function, arguments, in_sql, &mut running)?;
        self.script(&script, &mut running).await?;
        if let Some(gathered) = running.gathered.take() {
            return gathered.done();
        }
        if is_void {
            return Ok(if in_sql { Cell::Null } else { Cell::Text(String::new()) });
        }
        if in_sql || named_outs {
            let names: Vec<String> = match in_sql {
                true => (0..columns.len()).map(plpgsql::result_name).collect(),
                false => {
                    function.outputs().enumerate().map(|(i, p)| out_name(i, &p.name)).collect()
                }
            };
            let values = names.iter().map(|name| running.variables.value_of(name));
            let values = values.collect::<Result<Vec<_>, Error>>()?;
            // A query that finds nothing gives NULL, not a row of NULLs.
            let nothing = in_sql && running.count == 0;
            if is_row {
                return Ok(match nothing {
                    true => Cell::Null,
                    false => gather::row(&values),
                });
            }
            running.returned = values.into_iter().next();
        }
        if let (Some(_), Some(row)) = (&running.row, running.returned_row.take()) {
            return Ok(row);
        }
        let Some(value) = running.returned else {
            let message = "control reached end of function without RETURN";
            let error = Error::client(SqlState::from_code("2F005"), message);
            return Err(error.context(running.context).into());
        };
        let Some(text) = value else { return Ok(Cell::Null) };
        let style = self.labelled(&self.settings.derived().style);
        let ty = Type::new(function.result);
        Ok(wire::read(ty, Format::Text, text.as_bytes(), &style)?)
    }

    /// RETURN
    pub(super) async fn give(&mut self, value: Option<&Expr>, running: &mut Running) -> Step<()> {
        if let (Some(value), Some(columns)) = (value, running.row.clone()) {
            running.returned_row = Some(match &value.kind {
                ExprKind::Literal(Literal::Null) => Cell::Null,
                _ => gather::row(&self.row_of(value, &columns, running).await?),
            });
            return Ok(());
        }
        match (value, running.result.clone()) {
            (None, None) => {}
            (Some(value), Some(ty)) => {
                running.returned = Some(self.value(value, Some(&ty), running).await?);
            }
            (Some(_), None) => {
                let message = "RETURN cannot have a parameter in function returning void";
                return Err(Error::client(state::DATATYPE_MISMATCH, message).into());
            }
            (None, Some(_)) => {
                let message = "missing expression at or near \";\"";
                return Err(Error::client(state::SYNTAX_ERROR, message).into());
            }
        }
        Ok(())
    }
}

/// The variable of an OUT parameter.
fn out_name(position: usize, name: &str) -> String {
    if name.is_empty() { format!("$out{position}") } else { name.to_owned() }
}

/// The arguments as variables, by name and by number, and those that are OUT.
fn declare_parameters(
    function: &Function,
    arguments: &[Option<String>],
    in_sql: bool,
    running: &mut Running,
) -> Step<()> {
    let mut given = arguments.iter();
    let mut names = function.argument_names.iter();
    if in_sql || function.parameters.is_empty() {
        for (number, (ty, value)) in (1..).zip(function.arguments.iter().zip(given)) {
            let ty = plpgsql::type_name(&sql_name_with_typmod(Type::new(*ty)))?;
            if let Some(name) = names.next().filter(|name| !name.is_empty()) {
                running.variables.declare(name, ty.clone(), value.clone());
            }
            running.variables.declare(&format!("${number}"), ty, value.clone());
        }
        return Ok(());
    }
    let mut outputs = 0;
    for (number, parameter) in (1..).zip(&function.parameters) {
        let ty = plpgsql::type_name(&sql_name_with_typmod(Type::new(parameter.ty)))?;
        let value = match parameter.mode {
            'o' | 't' => None,
            _ => given.next().cloned().flatten(),
        };
        if parameter.is_output() {
            running.variables.declare(
                &out_name(outputs, &parameter.name),
                ty.clone(),
                value.clone(),
            );
            outputs += 1;
        } else if !parameter.name.is_empty() {
            running.variables.declare(&parameter.name, ty.clone(), value.clone());
        }
        running.variables.declare(&format!("${number}"), ty, value);
    }
    Ok(())
}

/// Polls where the stack has room, on a new piece of it when need be: a function that calls
/// itself, or blocks within blocks, must not end the process.
pub(super) async fn roomy<T>(mut call: Pin<Box<impl Future<Output = T>>>) -> T {
    poll_fn(|context| stacker::maybe_grow(ROOM, STACK, || call.as_mut().poll(context))).await
}
