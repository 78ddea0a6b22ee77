//! Crossfade moves a live application from SQLite to PostgreSQL. This file is the map.
//!
//! A module may use only modules above it (`tests/tidy.rs` holds that). From the ground up:
//!
//! L0, pure: no async, no clock, no I/O
//! - [`name`]: names of objects in schemas, as one word
//! - [`count`]: numbers with the words they count, in messages
//! - [`error`]: what went wrong, who caused it, SQLSTATE, text safe for the client
//! - [`value`]: SQL values, PostgreSQL's text and binary codecs, SQLite's cells
//! - [`schema`]: tables, columns, keys, logical types and how SQLite stores them
//! - [`sql`]: parse, type, classify, freeze, print for both back ends
//! - [`config`]: text and environment into validated settings, each with its source
//!
//! L0b, base
//! - [`failpoint`]: named crash points inside durable steps
//! - [`clock`]: time and randomness behind a handle
//! - [`telemetry`]: metric names, the log, the live numbers
//!
//! L1, adapters
//! - [`wire`]: listener, TLS, authentication, framing; renders errors to the client
//! - [`backend`]: SQLite's executor; connections to PostgreSQL
//! - [`journal`]: the durable record of committed writes, chained and trimmed
//!
//! L2, engine
//! - [`compare`]: row sets and effects to verdicts
//! - [`mirror`]: the applier, lanes A and B, reads at a cut
//! - [`divergence`]: the store of proven differences, in a state file of its own
//! - [`backfill`]: schema and rows to PostgreSQL at one cut
//! - [`assess`]: what stands between a file and PostgreSQL; rules as data
//! - [`verify`]: both sides compared at one cut; repair
//! - [`cutover`]: the phase machine; recovery as a pure function
//! - [`session`]: one client connection: statement loop, transactions, portals, COPY, cancel
//!
//! L3, surfaces
//! - [`control`]: the one door through which anything changes
//! - [`admin`]: the console: virtual database `crossfade` over the PostgreSQL protocol
//! - [`http`]: JSON API, metrics, probes, the page
//! - [`cli`]: one file per verb, rendering
//!
//! L4, assembly
//! - [`server`]: builds everything from the configuration, owns start and stop
//! - [`demo`]: a sample application, its load, a throw-away PostgreSQL

pub mod admin;
pub mod assess;
pub mod backend;
pub mod backfill;
pub mod cli;
pub mod clock;
pub mod compare;
pub mod config;
pub mod control;
pub mod count;
pub mod cutover;
pub mod demo;
pub mod divergence;
pub mod error;
pub mod failpoint;
pub mod http;
pub mod journal;
pub mod mirror;
pub mod name;
pub mod schema;
pub mod server;
pub mod session;
pub mod sql;
pub mod telemetry;
pub mod value;
pub mod verify;
pub mod wire;
