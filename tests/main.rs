//! Every integration test in one binary, so that it is linked once.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    unreachable_pub,
    missing_docs
)]

mod access;
mod assess;
mod backfill;
mod board;
mod check;
mod cli;
mod cli_json;
mod clients;
mod common;
mod compat;
mod console;
mod crash;
mod dashboard;
mod decided;
mod declared;
mod demo;
mod dialect;
mod divergence;
mod docs;
mod evidence;
mod exactly_once;
mod examples;
mod extension_types;
mod foreign;
mod front;
mod fuzz;
mod harness;
mod hooks;
mod hostile;
mod journal_full;
mod kept;
mod made_by_clients;
mod odd_files;
mod orm_files;
mod other_keys;
mod other_schemas;
mod outward;
mod own_orms;
mod own_rows;
mod own_schema;
mod own_switch;
mod plain_role;
mod poison;
mod pooled;
mod precision;
mod quarantine;
mod recall;
mod relay;
mod reload;
mod restored;
mod same_session;
mod second_proxy;
mod session;
mod sql;
mod stock;
mod switch;
mod switch_check;
mod switch_model;
mod switch_orders;
mod switch_refused;
mod switch_roles;
mod switch_sessions;
mod syscalls;
mod trigger_journal;
mod trust;
mod typing;
mod verify;
mod waits;
mod way_back;
mod way_back_schema;
mod wire;
