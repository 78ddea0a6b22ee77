//! PostgreSQL's functions, registered in SQLite under names of their own (`pg_*`).
//!
//! Owns what they compute and how they fail. They take and return logical cells (see
//! `value`). They must never override a built-in of SQLite, and never reach a connection,
//! the network or a clock but the session's. Which PostgreSQL function each one stands for is data:
//! `sql::print::sqlite::registry`. Start at [`install`].

mod aggregate;
mod are;
mod args;
mod array;
mod array_more;
mod bits;
mod bytes;
mod cast;
mod codec;
mod collect;
mod datetime;
mod enums;
pub mod error;
mod extension;
mod float;
mod format;
mod from_char;
mod greed;
mod guard;
mod hstore;
mod integer;
mod json;
mod json_build;
mod json_more;
mod key;
mod keywords;
mod math;
mod network;
mod ordered;
mod parts;
mod pattern;
mod periods;
pub mod queue;
mod ranges;
mod record;
mod regexp;
mod search;
mod sequence;
pub mod session;
mod statistics;
mod string;
#[cfg(test)]
mod tests;
mod timetz;
mod to_char;
mod to_number;
mod trigonometry;
mod unicode;

use rusqlite::functions::FunctionFlags;
use rusqlite::types::Value;

use crate::error::{Error, Result};
use crate::value::Cell;

use args::Args;

/// A scalar function.
struct Def {
    /// Name in SQLite.
    name: &'static str,
    /// Number of arguments; -1 for any.
    arity: i32,
    /// NULL in, NULL out.
    strict: bool,
    /// Another value or an effect at each call.
    volatile: bool,
    /// What it computes.
    run: fn(&Args<'_>) -> Result<Cell>,
}

/// A strict function.
const fn strict(name: &'static str, arity: i32, run: fn(&Args<'_>) -> Result<Cell>) -> Def {
    Def { name, arity, strict: true, volatile: false, run }
}

/// A function that sees NULLs.
const fn lenient(name: &'static str, arity: i32, run: fn(&Args<'_>) -> Result<Cell>) -> Def {
    Def { name, arity, strict: false, volatile: false, run }
}

/// A function that sees NULLs and is called for each row, constant arguments or not.
const fn volatile(name: &'static str, arity: i32, run: fn(&Args<'_>) -> Result<Cell>) -> Def {
    Def { name, arity, strict: false, volatile: true, run }
}

/// Every scalar function.
fn scalars() -> impl Iterator<Item = &'static Def> {
    [
        integer::FUNCTIONS,
        float::FUNCTIONS,
        math::FUNCTIONS,
        string::FUNCTIONS,
        format::FUNCTIONS,
        pattern::FUNCTIONS,
        datetime::FUNCTIONS,
        parts::FUNCTIONS,
        to_char::FUNCTIONS,
        json::FUNCTIONS,
        keywords::FUNCTIONS,
        json_build::FUNCTIONS,
        array::FUNCTIONS,
        cast::FUNCTIONS,
        guard::FUNCTIONS,
        codec::FUNCTIONS,
        key::FUNCTIONS,
        record::FUNCTIONS,
        enums::FUNCTIONS,
        network::FUNCTIONS,
        bits::FUNCTIONS,
        sequence::FUNCTIONS,
        array_more::FUNCTIONS,
        bytes::FUNCTIONS,
        json_more::FUNCTIONS,
        periods::FUNCTIONS,
        queue::FUNCTIONS,
        regexp::FUNCTIONS,
        search::FUNCTIONS,
        trigonometry::FUNCTIONS,
        unicode::FUNCTIONS,
        ranges::FUNCTIONS,
        timetz::FUNCTIONS,
        hstore::FUNCTIONS,
        extension::FUNCTIONS,
    ]
    .into_iter()
    .flatten()
}

/// Registers every function on a new connection. All but the volatile ones are deterministic
/// for the time of one statement: what the session may change is fixed while a statement runs.
pub fn install(connection: &rusqlite::Connection) -> Result<()> {
    let plain = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_INNOCUOUS;
    let steady = plain | FunctionFlags::SQLITE_DETERMINISTIC;
    for def in scalars() {
        let run = def.run;
        let strict = def.strict;
        let flags = if def.volatile { plain } else { steady };
        connection
            .create_scalar_function(def.name, def.arity, flags, move |context| {
                let args = Args(context);
                if strict && args.any_null() {
                    return Ok(Value::Null);
                }
                run(&args).map(value).map_err(error::carry)
            })
            .map_err(|e| registration(def.name, &e))?;
    }
    for def in aggregate::all() {
        connection
            .create_window_function(def.name, def.arity, steady, aggregate::Window(def.make))
            .map_err(|e| registration(def.name, &e))?;
    }
    Ok(())
}

fn registration(name: &str, error: &rusqlite::Error) -> Error {
    Error::internal(format!("cannot register function {name}: {error}"))
}

fn value(cell: Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Integer(i) => Value::Integer(i),
        Cell::Real(r) => Value::Real(r),
        Cell::Text(t) => Value::Text(t),
        Cell::Blob(b) => Value::Blob(b),
    }
}
