//! Tests of the SQLite back end.
