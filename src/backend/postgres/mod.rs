//! PostgreSQL as a back end.
//!
//! Owns connections to PostgreSQL: raw ones for the relay and for replication,
//! tokio-postgres ones for everything that runs statements of its own. It must never
//! decide which side is primary. Start at [`connect::Connector`].

pub mod always;
pub mod apply;
pub mod binary;
pub mod columns;
pub mod connect;
pub mod control;
pub mod copied;
pub mod copy;
pub mod decode;
pub mod emptying;
pub mod exchange;
pub mod existing;
pub mod handover;
pub mod outward;
pub mod picture;
pub mod project;
pub mod quarantine;
pub mod reign;
pub mod relay;
pub mod replication;
pub mod rewrite;
pub mod rights;
pub mod room;
pub mod schemas;
pub mod sequences;
pub mod server;
pub mod tally;
pub mod tls;
pub mod triggers;
pub mod waits;
mod words;
