//! The tables that Crossfade keeps in the file, by name.
//!
//! Owns the list. A table of the application whose name merely begins like theirs is the
//! application's: served, mirrored and copied like any other. It must never take one for the other
//! in silence. Start at [`is_internal`].

use super::Connection;
use crate::error::{Error, Result, state};
use crate::value::Cell;

/// Names that `CREATE TABLE` refuses begin so.
pub(super) const PREFIX: &str = "_crossfade_";

/// Our tables without the prefix, and the first column of each.
const OURS: [(&str, &str); 11] = [
    ("meta", "key"),
    ("relations", "oid"),
    ("columns", "relation"),
    ("sequences", "oid"),
    ("types", "oid"),
    ("functions", "oid"),
    ("comments", "class"),
    ("journal", "position"),
    ("state", "key"),
    ("large", "oid"),
    ("large_pages", "oid"),
];

/// Tables that are built anew are called so for a moment, with a number.
const REBUILT: &str = "rebuild_";

/// Tables that belong to SQLite or to Crossfade.
pub fn is_internal(table: &str) -> bool {
    starts(table, "sqlite_").is_some() || is_ours(table)
}

/// Tables that belong to Crossfade.
pub fn is_ours(table: &str) -> bool {
    starts(table, PREFIX).is_some_and(|rest| {
        let number = starts(rest, REBUILT);
        OURS.iter().any(|(name, _)| rest.eq_ignore_ascii_case(name))
            || number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    })
}

/// Whether a name that is not ours begins as ours do.
pub fn is_like_ours(table: &str) -> bool {
    starts(table, PREFIX).is_some() && !is_ours(table)
}

fn starts<'a>(name: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, rest) = (name.get(..prefix.len())?, name.get(prefix.len()..)?);
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// The first column of a table.
pub(super) const FIRST: &str = "SELECT name FROM pragma_table_info(?1) WHERE cid = 0";

/// A table of the file that has one of our names and is not ours; None when there is none.
/// `first` tells the first column of a table.
pub(super) fn taken_by<E>(
    mut first: impl FnMut(&str) -> std::result::Result<Option<String>, E>,
) -> std::result::Result<Option<String>, E> {
    for (name, ours) in OURS {
        let name = format!("{PREFIX}{name}");
        if first(&name)?.is_some_and(|found| found != ours) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// As [`taken_by`].
///
/// # Errors
/// SQLite's own.
pub fn taken(connection: &Connection) -> Result<Option<String>> {
    taken_by(|name| {
        let row = connection.query_row(FIRST, &[Cell::Text(name.to_owned())])?;
        Ok(match row.as_deref() {
            Some([Cell::Text(found)]) => Some(found.clone()),
            _ => None,
        })
    })
}

/// 55000 when one of our names is taken in the file.
///
/// # Errors
/// That, and SQLite's own.
pub(super) fn free(connection: &Connection) -> Result<()> {
    match taken(connection)? {
        None => Ok(()),
        Some(name) => {
            let message = format!("table \"{name}\" of the file is not Crossfade's");
            Err(Error::client(state::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
                .hint("Crossfade keeps a table of its own by that name: rename yours."))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_like_ours_is_not_ours() {
        for ours in ["_crossfade_journal", "_CROSSFADE_State", "_crossfade_rebuild_16384"] {
            assert!(is_ours(ours) && is_internal(ours) && !is_like_ours(ours), "{ours}");
        }
        for other in ["_crossfade_notes", "_crossfade_rebuild_", "_crossfade_rebuild_x"] {
            assert!(!is_internal(other) && is_like_ours(other), "{other}");
        }
        assert!(is_internal("sqlite_stat1") && !is_like_ours("orders"));
    }
}
