//! Parameters as clients send them: values by their codec, names of reg* types by the catalog.

use std::sync::Arc;

use super::Session;
use crate::error::Result;
use crate::value::composite::composite_of_array;
use crate::value::enums::enum_of_array;
use crate::value::{Cell, Format, Style, Type, is_composite, is_enum, wire as codec};

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
            None if has_labels(ty) => codec::read(ty, format, bytes, &self.labelled(style)),
            None => codec::read(ty, format, bytes, style),
        }
    }

    /// A style that knows the labels of this session's enum types.
    pub(super) fn labelled(&self, style: &Style) -> Style {
        Style { enums: Arc::clone(&self.catalog().enums), ..style.clone() }
    }
}

fn has_labels(ty: Type) -> bool {
    is_enum(ty.oid)
        || enum_of_array(ty.oid).is_some()
        || is_composite(ty.oid)
        || composite_of_array(ty.oid).is_some()
}
