//! Calls of functions that clients have created, in PL/pgSQL and in SQL.
//!
//! A call runs before the statement that has it, which then uses the value. It must never call a
//! function that may write where PostgreSQL would not, nor go deeper than the stack. Start at
//! [`Session::call_function`].

use std::future::{Future, poll_fn};
use std::pin::Pin;

use super::super::{Session, Step};
use super::{Running, named};
use crate::backend::sqlite::ddl::routine::signature;
use crate::error::{Error, SqlState, state};
use crate::schema::Function;
use crate::sql::ast::Expr;
use crate::sql::pg::plpgsql;
use crate::sql::types::sql_name_with_typmod;
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
        let is_void = function.result == oid::VOID;
        let returns = (!is_void).then_some(function.returns.as_str());
        let in_sql = function.language == "sql";
        let script = match in_sql {
            true => plpgsql::statements(&function.body, returns)?,
            false => plpgsql::script(&function.body).map_err(Error::without_position)?,
        };
        let result = returns.map(plpgsql::type_name).transpose()?;
        let context = match in_sql {
            true => format!("SQL function \"{}\"", function.name),
            false => format!("PL/pgSQL function {}", signature(function)),
        };
        let steady = function.volatility != 'v';
        let mut running = Running { context, result, steady, ..Running::default() };
        running.variables.enter();
        match (in_sql, running.result.clone()) {
            (true, Some(ty)) => running.variables.declare(plpgsql::RESULT, ty, None),
            (true, None) => {}
            (false, _) => {
                running.variables.declare("found", named("bool"), Some("f".to_owned()));
            }
        }
        for (position, (ty, value)) in function.arguments.iter().zip(arguments).enumerate() {
            let ty = plpgsql::type_name(&sql_name_with_typmod(Type::new(*ty)))?;
            let name = function.argument_names.get(position).filter(|name| !name.is_empty());
            if let Some(name) = name {
                running.variables.declare(name, ty.clone(), value.clone());
            }
            running.variables.declare(&format!("${}", position + 1), ty, value.clone());
        }
        self.script(&script, &mut running).await?;
        let value = match (running.result, running.returned) {
            (None, _) if in_sql => return Ok(Cell::Null),
            (None, _) => return Ok(Cell::Text(String::new())),
            (Some(_), Some(value)) => value,
            (Some(_), None) => {
                let message = "control reached end of function without RETURN";
                let error = Error::client(SqlState::from_code("2F005"), message);
                return Err(error.context(running.context).into());
            }
        };
        let Some(text) = value else { return Ok(Cell::Null) };
        let style = self.labelled(&self.settings.derived().style);
        let ty = Type::new(function.result);
        Ok(wire::read(ty, Format::Text, text.as_bytes(), &style)?)
    }

    /// RETURN
    pub(super) async fn give(&mut self, value: Option<&Expr>, running: &mut Running) -> Step<()> {
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

/// Polls where the stack has room, on a new piece of it when need be: a function that calls
/// itself, or blocks within blocks, must not end the process.
pub(super) async fn roomy<T>(mut call: Pin<Box<impl Future<Output = T>>>) -> T {
    poll_fn(|context| stacker::maybe_grow(ROOM, STACK, || call.as_mut().poll(context))).await
}
