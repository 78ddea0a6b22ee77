//! Tests of the journal.

mod crash;
mod images;
mod model;
mod records;
