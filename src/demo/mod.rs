//! The journey on one machine: a sample application, its load, and a throw-away PostgreSQL.
//!
//! Owns nothing that production code needs. Start at [`cluster`].

pub mod cluster;
