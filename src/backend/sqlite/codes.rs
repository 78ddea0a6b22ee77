//! SQLite's result codes as SQLSTATEs, without knowledge of the catalog.
//!
//! Owns the plain mapping; `errors` refines constraint violations with names. It must
//! never put a path into a message. Start at [`plain`].

use rusqlite::ffi;

use super::raw::Failure;
use crate::error::{Error, state};

/// The mark around a SQLSTATE in the message of one of our SQL functions.
const MARK: char = '\u{1}';

/// An interrupted statement: 57014, told apart by what stopped it.
pub(super) fn cancelled(failure: &Failure, timed_out: bool) -> Option<Error> {
    (failure.code == ffi::SQLITE_INTERRUPT).then(|| {
        let cause = if timed_out { "statement timeout" } else { "user request" };
        Error::client(state::QUERY_CANCELED, format!("canceling statement due to {cause}"))
    })
}

/// An error that one of our SQL functions raised as `\u{1}SQLSTATE\u{1}message`.
pub fn raised(message: &str) -> Option<Error> {
    super::functions::error::decode(message.get(message.find(MARK)?..)?)
}

/// The mapping that needs no catalog.
pub fn plain(failure: Failure) -> Error {
    if let Some(error) = raised(&failure.message) {
        return error;
    }
    let position = u32::try_from(failure.offset).map_or(0, |o| o + 1);
    let code = match failure.extended {
        ffi::SQLITE_CONSTRAINT_UNIQUE
        | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
        | ffi::SQLITE_CONSTRAINT_ROWID => state::UNIQUE_VIOLATION,
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => state::FOREIGN_KEY_VIOLATION,
        ffi::SQLITE_CONSTRAINT_NOTNULL => state::NOT_NULL_VIOLATION,
        ffi::SQLITE_CONSTRAINT_CHECK => state::CHECK_VIOLATION,
        ffi::SQLITE_CONSTRAINT_DATATYPE => state::DATATYPE_MISMATCH,
        ffi::SQLITE_CONSTRAINT_TRIGGER => state::RAISE_EXCEPTION,
        ffi::SQLITE_BUSY_SNAPSHOT => {
            let message = "could not serialize access due to concurrent update";
            return Error::primary(state::SERIALIZATION_FAILURE, message).retryable();
        }
        _ => match failure.code {
            ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED => {
                let message = "another program holds the SQLite file's write lock";
                return Error::primary(state::LOCK_NOT_AVAILABLE, message).retryable();
            }
            ffi::SQLITE_INTERRUPT => state::QUERY_CANCELED,
            ffi::SQLITE_FULL => state::DISK_FULL,
            ffi::SQLITE_NOMEM => state::OUT_OF_MEMORY,
            ffi::SQLITE_TOOBIG => state::PROGRAM_LIMIT_EXCEEDED,
            ffi::SQLITE_READONLY => state::READ_ONLY_SQL_TRANSACTION,
            ffi::SQLITE_IOERR | ffi::SQLITE_CANTOPEN => state::IO_ERROR,
            ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB => state::DATA_CORRUPTED,
            ffi::SQLITE_MISMATCH => state::DATATYPE_MISMATCH,
            ffi::SQLITE_CONSTRAINT => state::CHECK_VIOLATION,
            _ => state::INTERNAL_ERROR,
        },
    };
    Error::primary(code, failure.message).at(position)
}

/// A failure while a connection is opened, from rusqlite.
pub(super) fn opening(error: rusqlite::Error) -> Error {
    match error {
        rusqlite::Error::SqliteFailure(code, message) => plain(Failure {
            code: code.extended_code & 0xff,
            extended: code.extended_code,
            message: message.unwrap_or_else(|| code.to_string()),
            offset: -1,
        }),
        other => Error::internal(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlstate_of_a_function_survives() {
        let error = raised("\u{1}22012\u{1}division by zero").unwrap();
        assert_eq!(error.sqlstate(), state::DIVISION_BY_ZERO);
        assert_eq!(error.message(), "division by zero");
        assert!(raised("no mark").is_none());
        assert!(raised("\u{1}2201").is_none());
    }
}
