//! Guards that stand around a value on its way into a table: CHECK constraints that the
//! stored schema cannot carry, and rows that one INSERT would touch twice.

use std::time::{Duration, Instant};

use super::args::{boolean, owned, text};
use super::{Def, lenient, session, strict, volatile};
use crate::backend::sqlite::errors::not_null_violation;
use crate::error::{Error, Object, Result, SqlState, state};
use crate::value::Cell;

/// Whether PostgreSQL's lower() or upper() changes more than letters of ASCII.
fn folds_otherwise(text: &str, upper: bool) -> bool {
    let fold = if upper { super::string::upper } else { super::string::lower };
    text.chars().any(|c| !c.is_ascii() && fold(c) != c)
}

/// What an error about a domain names.
fn of_domain(domain: &str, constraint: Option<&str>) -> Object {
    Object {
        schema: Some("public".to_owned()),
        data_type: Some(domain.to_owned()),
        constraint: constraint.map(str::to_owned),
        ..Object::default()
    }
}

pub(super) const FUNCTIONS: &[Def] = &[
    // pg_checked(value, condition, table, constraint): NULL passes, as in PostgreSQL.
    lenient("pg_checked", 4, |a| {
        if !a.is_null(1) && !a.bool(1)? {
            let (table, constraint) = (a.text(2)?, a.text(3)?);
            let message = format!(
                "new row for relation \"{table}\" violates check constraint \"{constraint}\""
            );
            return Err(Error::client(state::CHECK_VIOLATION, message).object(Object {
                schema: Some("public".to_owned()),
                table: Some(table.to_owned()),
                constraint: Some(constraint.to_owned()),
                ..Object::default()
            }));
        }
        Ok(owned(a.cell(0)))
    }),
    // pg_folds(value, text, upper, index): refused where SQLite's own lower() or upper(), over
    // which the index is, gives another text than PostgreSQL's.
    lenient("pg_folds", 4, |a| {
        if !a.is_null(1) && folds_otherwise(a.text(1)?, a.bool(2)?) {
            let index = a.text(3)?;
            let what = format!("a letter beyond ASCII under unique index \"{index}\"");
            return Err(Error::unsupported(what));
        }
        Ok(owned(a.cell(0)))
    }),
    strict("pg_folds_otherwise", 2, |a| {
        Ok(Cell::Integer(i64::from(folds_otherwise(a.text(0)?, a.bool(1)?))))
    }),
    // pg_required(value, table, column): SQLite would give a NULL key a number of its own.
    lenient("pg_required", 3, |a| {
        if a.is_null(0) {
            return Err(not_null_violation(a.text(1)?, a.text(2)?));
        }
        Ok(owned(a.cell(0)))
    }),
    // pg_again(table, event, group of triggers): whether this statement has fired it before, or
    // another event of that table.
    volatile("pg_again", 3, |a| {
        let seen = (a.int(0)?, a.int(1)?, a.int(2)?);
        Ok(Cell::Integer(i64::from(session::again(seen))))
    }),
    // pg_raise(state, message, detail, hint, table, constraint, context): RAISE EXCEPTION.
    volatile("pg_raise", 7, |a| {
        let part = |i: usize| if a.is_null(i) { Ok(None) } else { a.text(i).map(Some) };
        let message = part(1)?.unwrap_or("<NULL>").to_owned();
        let mut error = Error::client(SqlState::from_code(a.text(0)?), message);
        if let Some(detail) = part(2)? {
            error = error.detail(detail);
        }
        if let Some(hint) = part(3)? {
            error = error.hint(hint);
        }
        let (table, constraint) = (part(4)?, part(5)?);
        if table.is_some() || constraint.is_some() {
            error = error.object(Object {
                schema: table.map(|_| "public".to_owned()),
                table: table.map(str::to_owned),
                constraint: constraint.map(str::to_owned),
                ..Object::default()
            });
        }
        if let Some(context) = part(6)? {
            error = error.context(context);
        }
        Err(error)
    }),
    // pg_null_key(table, column)
    volatile("pg_null_key", 2, |a| {
        Err(crate::backend::sqlite::errors::not_null_violation(a.text(0)?, a.text(1)?))
    }),
    // pg_in_domain(value, condition, domain, constraint): NULL passes, as in PostgreSQL.
    lenient("pg_in_domain", 4, |a| {
        if !a.is_null(1) && !a.bool(1)? {
            let (domain, constraint) = (a.text(2)?, a.text(3)?);
            let message = format!(
                "value for domain {} violates check constraint \"{constraint}\"",
                session::told(domain)
            );
            return Err(Error::client(state::CHECK_VIOLATION, message)
                .object(of_domain(domain, Some(constraint))));
        }
        Ok(owned(a.cell(0)))
    }),
    lenient("pg_domain_required", 2, |a| {
        if a.is_null(0) {
            let domain = a.text(1)?;
            let message = format!("domain {} does not allow null values", session::told(domain));
            return Err(
                Error::client(state::NOT_NULL_VIOLATION, message).object(of_domain(domain, None))
            );
        }
        Ok(owned(a.cell(0)))
    }),
    // pg_cancel_backend() and pg_terminate_backend() of each row.
    volatile("pg_signal", 2, |a| {
        if a.any_null() {
            return Ok(Cell::Null);
        }
        let pid = i32::try_from(a.int(0)?).unwrap_or(0);
        match session::current().signals.as_ref() {
            Some(signals) => boolean((signals.0)(pid, a.bool(1)?)),
            None => Err(Error::unsupported("a signal to another session here")),
        }
    }),
    // pg_sleep() of each row.
    volatile("pg_nap", 1, |a| match a.any_null() {
        true => Ok(Cell::Null),
        false => nap(a.real(0)?),
    }),
    // set_config() of each row.
    volatile("pg_set_config", 3, |a| {
        if a.is_null(0) || a.is_null(2) {
            let message = "SET requires parameter name";
            return Err(Error::client(state::NULL_VALUE_NOT_ALLOWED, message));
        }
        let value = if a.is_null(1) { None } else { Some(a.text(1)?) };
        let session = super::session::current();
        let Some(requests) = &session.requests else {
            return Err(Error::unsupported("set_config() here"));
        };
        requests.ask(a.text(0)?, value, a.bool(2)?).map(Cell::Text)
    }),
    // pg_once(value, rows with the same key, key…): a key with a NULL conflicts with nothing.
    lenient("pg_once", -1, |a| {
        let keyed = (2..a.len()).all(|i| !a.is_null(i));
        if keyed && a.int(1)? > 1 {
            let message = "ON CONFLICT DO UPDATE command cannot affect row a second time";
            return Err(Error::client(state::CARDINALITY_VIOLATION, message).hint(
                "Ensure that no rows proposed for insertion within the same command have \
                 duplicate constrained values.",
            ));
        }
        Ok(owned(a.cell(0)))
    }),
];

/// Between two looks at whether a nap has to end.
const NOD: Duration = Duration::from_millis(10);

/// Waits on the thread that steps the statement; as PostgreSQL's, it holds what the statement
/// holds.
fn nap(seconds: f64) -> Result<Cell> {
    let session = session::current();
    let Some(alarm) = session.alarm.as_ref() else {
        return Err(Error::unsupported("pg_sleep() here"));
    };
    let end = Duration::try_from_secs_f64(seconds.max(0.0))
        .ok()
        .and_then(|nap| Instant::now().checked_add(nap));
    loop {
        if let Some(error) = (alarm.0)() {
            return Err(error);
        }
        let now = Instant::now();
        if session.deadline.is_some_and(|at| now >= at) {
            let message = "canceling statement due to statement timeout";
            return Err(Error::client(state::QUERY_CANCELED, message));
        }
        match end.map(|end| end.saturating_duration_since(now)) {
            Some(Duration::ZERO) => return text(""),
            left => std::thread::sleep(left.map_or(NOD, |left| left.min(NOD))),
        }
    }
}
