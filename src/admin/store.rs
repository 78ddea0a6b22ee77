//! An in-memory SQLite that holds the console's tables for the time of one query.
//!
//! Queries come planned, so they are PostgreSQL's in types and meaning; they see what was
//! filled in a moment before, and `pg_catalog` over the console's own tables. It must never
//! open a file, nor run a text that the planner did not print. Start at [`Store::query`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::limits::Limit;
use rusqlite::types::{ToSqlOutput, ValueRef};

use super::rows::Row;
use super::tables::{Table, all, catalog};
use crate::backend::sqlite::functions::session::{Scope, Session};
use crate::backend::sqlite::{codes, functions, system};
use crate::error::{Error, Result, state};
use crate::schema::Codec;
use crate::sql::print::quoted;
use crate::value::{Cell, Style, Type};

/// Rows a query may answer.
const ROWS_MAX: usize = 100_000;
/// Bytes of one value.
const VALUE_BYTES_MAX: i32 = 16 << 20;
/// How long a query may run: the console shares its process with the application's traffic.
const LIMIT: Duration = Duration::from_secs(10);
/// Virtual-machine steps between two looks at the clock.
const PROGRESS_STEPS: i32 = 10_000;

/// SQLite's version.
pub(super) fn sqlite_version() -> &'static str {
    rusqlite::version()
}

/// The tables of one console session.
pub(super) struct Store {
    connection: rusqlite::Connection,
}

fn failure(error: rusqlite::Error) -> Error {
    match error {
        rusqlite::Error::SqliteFailure(code, message) => {
            let message = message.unwrap_or_else(|| code.to_string());
            if let Some(raised) = codes::raised(&message) {
                return raised;
            }
            match code.code {
                rusqlite::ErrorCode::OperationInterrupted => {
                    let text = "canceling statement due to statement timeout";
                    Error::client(state::QUERY_CANCELED, text)
                }
                rusqlite::ErrorCode::TooBig => {
                    Error::client(state::PROGRAM_LIMIT_EXCEEDED, "a value is too long")
                }
                _ => Error::internal(message),
            }
        }
        other => Error::internal(other.to_string()),
    }
}

impl Store {
    /// Empty tables, the functions, and `pg_catalog` over them.
    pub(super) fn open(identity: system::Identity) -> Result<Self> {
        let connection = rusqlite::Connection::open_in_memory().map_err(failure)?;
        let mut schema = String::from("ATTACH ':memory:' AS \"public\";");
        for table in all() {
            let columns = table.columns.iter().map(|(name, ty)| {
                let declared = Codec::Identity.sqlite_declaration(Type::new(*ty));
                format!("{} {declared}", quoted(name))
            });
            let columns = columns.collect::<Vec<_>>().join(", ");
            schema += &format!("CREATE TABLE \"public\".{} ({columns});", quoted(table.name));
        }
        connection.execute_batch(&schema).map_err(failure)?;
        connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX).map_err(failure)?;
        functions::install(&connection)?;
        system::install(&connection, &system::State::new(Arc::clone(catalog()), identity, None))?;
        Ok(Self { connection })
    }

    /// Replaces the rows of one table.
    pub(super) fn fill(&self, table: &Table, rows: &[Row]) -> Result<()> {
        let name = quoted(table.name);
        let places: Vec<String> = (1..=table.columns.len()).map(|n| format!("?{n}")).collect();
        let fill = || {
            self.connection.execute(&format!("DELETE FROM \"public\".{name}"), [])?;
            let text = format!("INSERT INTO \"public\".{name} VALUES ({})", places.join(","));
            let mut insert = self.connection.prepare_cached(&text)?;
            for row in rows {
                insert.execute(rusqlite::params_from_iter(row.iter().map(bound)))?;
            }
            Ok(())
        };
        fill().map_err(failure)
    }

    /// Runs a printed query; `params` are the client's, then the frozen values.
    pub(super) fn query(&mut self, sql: &str, params: &[Cell], style: Style) -> Result<Vec<Row>> {
        let _scope = Scope::enter(Arc::new(Session { style, ..Session::default() }));
        let deadline = Instant::now() + LIMIT;
        let due = move || Instant::now() >= deadline;
        self.connection.progress_handler(PROGRESS_STEPS, Some(due)).map_err(failure)?;
        let mut statement = self.connection.prepare_cached(sql).map_err(failure)?;
        for (i, cell) in params.iter().take(statement.parameter_count()).enumerate() {
            statement.raw_bind_parameter(i + 1, bound(cell)).map_err(failure)?;
        }
        let width = statement.column_count();
        let mut found = Vec::new();
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().map_err(failure)? {
            if found.len() >= ROWS_MAX {
                let message = format!("a query of the console returns at most {ROWS_MAX} rows");
                return Err(Error::client(state::PROGRAM_LIMIT_EXCEEDED, message));
            }
            let cells = (0..width).map(|i| row.get_ref(i).map(cell).map_err(failure));
            found.push(cells.collect::<Result<Row>>()?);
        }
        Ok(found)
    }
}

fn bound(cell: &Cell) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(match cell {
        Cell::Null => ValueRef::Null,
        Cell::Integer(i) => ValueRef::Integer(*i),
        Cell::Real(r) => ValueRef::Real(*r),
        Cell::Text(t) => ValueRef::Text(t.as_bytes()),
        Cell::Blob(b) => ValueRef::Blob(b),
    })
}

fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(i) => Cell::Integer(i),
        ValueRef::Real(r) => Cell::Real(r),
        ValueRef::Text(t) => Cell::Text(String::from_utf8_lossy(t).into_owned()),
        ValueRef::Blob(b) => Cell::Blob(b.to_vec()),
    }
}
