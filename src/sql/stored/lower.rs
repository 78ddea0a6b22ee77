//! sqlite3-parser's tree into the plain model.
use super::Object;
use crate::error::{Error, Result};
pub(super) fn read(_sql: &str) -> Result<Object> {
    Err(Error::unsupported("stored schema"))
}
/// A name or string without its quotes.
pub fn unquote(s: &str) -> String {
    s.to_owned()
}
