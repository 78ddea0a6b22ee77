//! RETURN in the body of a function, against what the function is declared to return.
//!
//! PostgreSQL refuses a wrong one when the function is created. Start at [`check_returns`].

use crate::error::{Error, Result, state};
use crate::schema::Function;
use crate::sql::ast::{Line, Order, Script};
use crate::value::oid;

/// Whether each RETURN of a body may stand in the function.
///
/// # Errors
/// 42804 as PostgreSQL says it.
pub(crate) fn check_returns(script: &Script, function: &Function) -> Result<()> {
    lines(&script.steps, function)?;
    script.handlers.iter().try_for_each(|(_, handler)| lines(handler, function))
}

fn lines(all: &[Line], function: &Function) -> Result<()> {
    for line in all {
        match &line.what {
            Order::Block(inner) => check_returns(inner, function)?,
            Order::If(branches, otherwise) => {
                branches.iter().try_for_each(|(_, inner)| lines(inner, function))?;
                lines(otherwise, function)?;
            }
            Order::While(_, inner)
            | Order::ForRows(_, _, inner)
            | Order::ForEach(_, _, inner)
            | Order::ForRange(_, inner) => lines(inner, function)?,
            Order::Return(value) => returned(value.is_some(), function)?,
            Order::ReturnNext(value) => next(value.is_some(), function)?,
            Order::ReturnQuery(_) if !function.set => {
                return Err(wrong("cannot use RETURN QUERY in a non-SETOF function"));
            }
            _ => {}
        }
    }
    Ok(())
}

fn returned(has_value: bool, function: &Function) -> Result<()> {
    let outs = function.outputs().count() > 0;
    let message = match has_value {
        true if function.set => {
            return Err(wrong("RETURN cannot have a parameter in function returning set")
                .hint("Use RETURN NEXT or RETURN QUERY."));
        }
        true if function.procedure && !outs => {
            let message = "RETURN cannot have a parameter in a procedure";
            return Err(Error::client(state::SYNTAX_ERROR, message));
        }
        true if function.result == oid::VOID => {
            "RETURN cannot have a parameter in function returning void"
        }
        true if outs => "RETURN cannot have a parameter in function with OUT parameters",
        false if !function.set && !outs && function.result != oid::VOID => {
            return Err(without_value());
        }
        _ => return Ok(()),
    };
    Err(wrong(message))
}

fn next(has_value: bool, function: &Function) -> Result<()> {
    let outs = function.outputs().count() > 0;
    match has_value {
        _ if !function.set => Err(wrong("cannot use RETURN NEXT in a non-SETOF function")),
        true if outs => {
            Err(wrong("RETURN NEXT cannot have a parameter in function with OUT parameters"))
        }
        false if !outs => Err(without_value()),
        _ => Ok(()),
    }
}

fn without_value() -> Error {
    Error::client(state::SYNTAX_ERROR, "missing expression at or near \";\"")
}

fn wrong(message: &'static str) -> Error {
    Error::client(state::DATATYPE_MISMATCH, message)
}
