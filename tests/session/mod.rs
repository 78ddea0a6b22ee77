//! Sessions through the real binary, most of them as scripts that PostgreSQL answers, too.

mod clients;
mod composites;
mod copy;
mod ddl;
mod dump;
mod errors;
mod exclude;
mod extensions;
mod fired;
mod functions;
mod inline;
mod large;
mod live;
mod merge;
mod pgbench;
mod routines;
mod rows;
mod schemas;
mod settings;
mod shapes;
mod statements;
mod text_search;
mod transactions;
mod triggers;
mod values;
mod wire_session;
