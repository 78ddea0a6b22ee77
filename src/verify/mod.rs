//! Verify and repair: both sides read at one cut and compared row by row.
//!
//! It must never compare two positions. Start at [`Cut`].

mod cut;
mod mirrored;

pub use cut::{AtCut, BoxFuture, Cut, Still, postgres_snapshot, sqlite_snapshot};
