//! The typed tree as PostgreSQL text.
