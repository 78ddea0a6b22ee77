//! Row sets and effects to verdicts.
//!
//! Pure: two answers in, a [`Verdict`] out; no I/O, no retries, no tolerance. Values are
//! compared by type (`value::canonical`). It must never compare answers that belong to two
//! positions: its callers prove that they do not. [`Statements`] counts what was found, by
//! statement shape. Start at [`rows`].

mod digest;
mod pace;
mod rows;
mod sketch;
mod statements;

pub use digest::Digest;
pub use pace::{PaceRule, Paced};
pub use rows::{columns_apart, columns_that_differ, cut, outside, rows, text};
pub use sketch::Sketch;
pub use statements::{Dropped, Kind, SHAPES_MAX, Seen, StatementInfo, Statements};

use crate::value::Datum;

/// One row of an answer.
pub type Row = Vec<Datum>;

/// What a comparison found.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Equal, also in how values are written.
    Match,
    /// Equal by value; a numeric's scale, a json's spelling or the like differs.
    MatchNormalized,
    /// Proven different.
    Diverged(Box<Difference>),
    /// The statement does not determine its answer.
    Ambiguous,
}

impl Verdict {
    /// The label used in metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Match => "match",
            Self::MatchNormalized => "match_normalized",
            Self::Diverged(_) => "diverged",
            Self::Ambiguous => "ambiguous",
        }
    }
}

/// The first difference found, with its evidence.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Class, one of `telemetry::names::CLASSES`.
    pub class: &'static str,
    /// Indexes of the columns that differ; all of them for a missing or extra row.
    pub columns: Vec<usize>,
    /// The primary's row, unless it has none.
    pub primary: Option<Row>,
    /// The shadow's row, unless it has none.
    pub shadow: Option<Row>,
    /// What was found, without row values.
    pub message: String,
}
