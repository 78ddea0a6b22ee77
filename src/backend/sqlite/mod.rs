//! SQLite as a back end.

pub mod functions;
