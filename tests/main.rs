//! Every integration test in one binary, so that it is linked once.
#![allow(clippy::unwrap_used, clippy::print_stdout, unreachable_pub, missing_docs)]

mod check;
mod common;
mod demo;
mod docs;
mod console;
mod harness;
mod switch_model;
mod typing;
mod wire;
