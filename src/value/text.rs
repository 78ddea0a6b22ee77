//! PostgreSQL's text forms, in and out.
//!
//! Start at [`parse`].

use super::{Datum, Style, Type};
use crate::error::{Error, Result};

/// Reads a value's text form, with PostgreSQL's errors. The typmod is not applied: see `coerce`.
pub fn parse(_ty: Type, _text: &str, _style: &Style) -> Result<Datum> {
    Err(Error::unsupported("this conversion"))
}
/// Appends a value's text form; nothing for NULL.
pub fn format(_datum: &Datum, _ty: Type, _style: &Style, _out: &mut Vec<u8>) {}
