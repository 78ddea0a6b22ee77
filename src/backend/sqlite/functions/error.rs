//! Errors of registered functions on their way through SQLite, which carries only text.
//!
//! The text is `\u{1}SQLSTATE\u{1}message`, then `\u{1}`detail, hint, table, constraint,
//! column, context and data type as far as there are any. Start at [`decode`].

use std::fmt;

use crate::error::{Error, Object, SqlState};

const MARK: char = '\u{1}';

/// An [`Error`] in the form in which SQLite carries it.
#[derive(Debug)]
pub(super) struct Carried(Error);

impl fmt::Display for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = self.0.fields();
        write!(f, "{MARK}{}{MARK}{}", fields.sqlstate, fields.message)?;
        let object = &fields.object;
        let further = [
            &fields.detail,
            &fields.hint,
            &object.table,
            &object.constraint,
            &object.column,
            &fields.context,
            &object.data_type,
        ];
        let last = further.iter().rposition(|f| f.is_some()).map_or(0, |at| at + 1);
        further[..last]
            .iter()
            .try_for_each(|part| write!(f, "{MARK}{}", part.as_deref().unwrap_or_default()))
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
    let mut further = || parts.next().filter(|p| !p.is_empty()).map(str::to_owned);
    if let Some(detail) = further() {
        error = error.detail(detail);
    }
    if let Some(hint) = further() {
        error = error.hint(hint);
    }
    let (table, constraint, column) = (further(), further(), further());
    if let Some(context) = further() {
        error = error.context(context);
    }
    let data_type = further();
    if table.is_some() || constraint.is_some() || data_type.is_some() {
        let schema = (table.is_some() || data_type.is_some()).then(|| "public".to_owned());
        let object = Object { schema, table, constraint, column, data_type };
        error = error.object(object);
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
