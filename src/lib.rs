//! Crossfade moves a live application from SQLite to PostgreSQL.

pub mod backend;
pub mod error;
pub mod schema;
pub mod sql;
pub mod value;
