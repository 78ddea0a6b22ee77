//! PostgreSQL's binary formats.
//!
//! Input is hostile: every read is checked. Start at [`decode`].

use super::{Datum, Type};
use crate::error::{Error, Result};

/// Reads a binary value; 22P03, 08P01 or the type's own error.
pub fn decode(_ty: Type, _bytes: &[u8]) -> Result<Datum> {
    Err(Error::unsupported("this conversion"))
}
/// Appends a value's binary form (no length). NULL has none: an internal error.
pub fn encode(_datum: &Datum, _ty: Type, _out: &mut Vec<u8>) -> Result<()> {
    Err(Error::unsupported("this conversion"))
}
