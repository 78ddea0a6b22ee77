//! SQLite's stored views and triggers as PostgreSQL has them.
//!
//! Owns the translation of what the file itself runs, and of what its tables are declared with,
//! into texts that do the same on PostgreSQL. It must never make one of which that is not known:
//! that is 0A000, with the reason, and the object is told as one that needs a person. Start at
//! [`view`], [`triggers`] and [`Names`].

mod circle;
mod expression;
mod generated;
mod raise;
mod spelled;
mod trigger;
mod view;

pub use expression::Names;
pub use generated::generated;
pub(crate) use generated::without_lacking;
pub use trigger::{Made, triggers};
pub use view::view;

/// What says that a view or function on PostgreSQL is one of these.
pub const MARK: &str = "translated from SQLite by Crossfade";

/// PostgreSQL's texts for an object, run one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outward {
    /// The texts.
    pub texts: Vec<String>,
    /// Tables that they read or write, PostgreSQL's names.
    pub tables: Vec<String>,
}
