//! The model of a database: tables, columns, keys, logical types, and how SQLite
//! stores them.
//!
//! Owns [`Catalog`]. Plain data: no I/O, no SQL text built here. A
//! catalog is an immutable snapshot; DDL makes a new one with a higher version.
//! Start at [`Catalog`].

mod catalog;
mod routine;
pub mod system;

/// How SQLite stores a column; defined beside the values it stores.
pub use crate::value::Codec;
pub use catalog::{
    Action, Catalog, Check, Column, Deferral, Described, ForeignKey, Generated, Identity, Index,
    IndexExtras, IndexKey, OnCommit, Relation, RelationKind, Sequence, Unique,
};
pub use routine::{Fired, Function, Parameter, Trigger, function_key};
