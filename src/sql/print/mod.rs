//! The typed tree as SQL text, once for each back end.
//!
//! Owns the two printers. They must never print a construct whose meaning would differ on
//! the back end: that is 0A000. Everything is quoted, qualified, parenthesised and aliased.
