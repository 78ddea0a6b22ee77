//! The model of a database: tables, columns, keys, logical types, and how SQLite
//! stores them.
//!
//! Owns [`Catalog`] and [`Codec`]. Plain data: no I/O, no SQL text built here. A
//! catalog is an immutable snapshot; DDL makes a new one with a higher version.
//! Start at [`Catalog`].

mod catalog;
mod codec;
pub mod system;

pub use catalog::{
    Action, Catalog, Check, Column, ForeignKey, Generated, Identity, Index, IndexKey, OnCommit,
    Relation, RelationKind, Sequence, Unique,
};
pub use codec::Codec;
