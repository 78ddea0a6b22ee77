//! Every integration test in one binary, so that it is linked once.
#![allow(clippy::unwrap_used, clippy::print_stdout, unreachable_pub, missing_docs)]

mod backfill;
mod check;
mod clients;
mod common;
mod console;
mod crash;
mod demo;
mod divergence;
mod docs;
mod harness;
mod journal_full;
mod quarantine;
mod restored;
mod session;
mod stock;
mod switch;
mod switch_model;
mod typing;
mod verify;
mod wire;
