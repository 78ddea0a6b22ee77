//! Errors of registered functions on their way through SQLite, which carries only text.
//!
//! The text is `\u{1}SQLSTATE\u{1}message`, then `\u{1}detail` and `\u{1}hint` when there
//! are any. Start at [`decode`].

use std::fmt;

use crate::error::{Error, SqlState};

const MARK: char = '\u{1}';

/// An [`Error`] in the form in which SQLite carries it.
#[derive(Debug)]
pub(super) struct Carried(Error);

impl fmt::Display for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = self.0.fields();
        write!(f, "{MARK}{}{MARK}{}", fields.sqlstate, fields.message)?;
        if fields.detail.is_some() || fields.hint.is_some() {
            write!(f, "{MARK}{}", fields.detail.as_deref().unwrap_or_default())?;
        }
        fields.hint.iter().try_for_each(|hint| write!(f, "{MARK}{hint}"))
    }
}

impl std::error::Error for Carried {}

/// Wraps an error for rusqlite.
pub(super) fn carry(error: Error) -> rusqlite::Error {
    rusqlite::Error::UserFunctionError(Box::new(Carried(error)))
}

/// The error that a registered function raised, from SQLite's message; `None` when the
/// message is SQLite's own.
pub fn decode(message: &str) -> Option<Error> {
    let mut parts = message.strip_prefix(MARK)?.split(MARK);
    let state = parts.next().filter(|code| code.len() == 5).map(SqlState::from_code)?;
    let mut error = Error::client(state, parts.next()?.to_owned());
    if let Some(detail) = parts.next().filter(|d| !d.is_empty()) {
        error = error.detail(detail);
    }
    if let Some(hint) = parts.next() {
        error = error.hint(hint);
    }
    Some(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::state;

    #[test]
    fn carries_every_part() {
        let error = Error::client(state::DIVISION_BY_ZERO, "division by zero").hint("Don't.");
        let back = decode(&Carried(error).to_string()).unwrap();
        assert_eq!(back.sqlstate(), state::DIVISION_BY_ZERO);
        assert_eq!(back.message(), "division by zero");
        assert_eq!(back.fields().hint.as_deref(), Some("Don't."));
        assert_eq!(back.fields().detail, None);
        assert!(decode("no such table: t").is_none());
    }
}
