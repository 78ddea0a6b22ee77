//! The acts, in three groups: getting under way, proving, switching.
//!
//! Each act does one thing an operator does, and checks it as a user would.

pub(super) mod begin;
pub(super) mod prove;
pub(super) mod switch;
