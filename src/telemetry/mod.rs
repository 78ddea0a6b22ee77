//! Metric and label names as constants, the log, and the live numbers every surface shows.
//!
//! Owns every name that appears in `/metrics`. Labels are bounded: never a table's row, never
//! SQL text. It must never log a row value or a password. Start at [`names`].

pub mod live;
pub mod log;
pub mod names;

pub use live::Live;
