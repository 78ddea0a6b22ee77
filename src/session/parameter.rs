//! Parameters as clients send them: values by their codec, names of reg* types by the catalog.

use super::Session;
use crate::error::Result;
use crate::value::{Cell, Format, Style, Type, wire as codec};

impl Session {
    /// A parameter's logical cell.
    ///
    /// # Errors
    /// What PostgreSQL's input function says; 42P01 and kin for a name that is not there.
    pub(super) fn parameter(
        &self,
        ty: Type,
        format: Format,
        bytes: &[u8],
        style: &Style,
    ) -> Result<Cell> {
        match self.named_object(ty, format, bytes) {
            Some(found) => found,
            None => codec::read(ty, format, bytes, style),
        }
    }
}
