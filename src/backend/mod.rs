//! The two back ends behind their executors.
//!
//! Only `backend::sqlite` opens SQLite.

pub mod sqlite;
