//! The typed tree as SQL text, once for each back end.
//!
//! Owns the two printers. They must never print a construct whose meaning would differ on
//! the back end: that is 0A000. Everything is quoted, qualified, parenthesised and aliased.
//! Start at [`sqlite::print`].

pub mod postgres;
pub mod sqlite;

/// A name between double quotes.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
