//! SQL text to plans: parse, resolve and type, classify, fingerprint, freeze, print for
//! both back ends.
//!
//! Pure: no I/O, no clock, no connection. It must never pass a construct through that it
//! cannot translate faithfully: that is 0A000. Reading order: [`ast`] (what was written) →
//! `analyze` → [`ir`] (typed) → `print` → [`plan`](mod@plan) (what the session runs).

pub mod analyze;
pub mod ast;
mod context;
pub mod fault;
pub mod fingerprint;
pub mod ir;
pub(crate) mod lexer;
pub mod lite;
pub mod outward;
pub mod pg;
pub mod plan;
mod planner;
pub mod print;
pub mod rewrite;
pub mod shape;
pub mod stored;
pub mod trigger;
pub mod types;

pub use analyze::Analysis;
pub(crate) use analyze::result_columns;
pub use context::Context;
pub use pg::parse;
pub use planner::{
    CALL, Change, MERGE, Mode, Rows, live, parse_in, plan, plan_in, plan_shape, rows_of, rules,
    undecided,
};
