//! Arrays as logical cells: JSON text ↔ the elements' logical cells.
//!
//! Never looks into an element. Start at [`decode`].

use super::{Cell, CellRef};
use crate::error::{Error, Result};

/// The elements of a JSON-array cell as logical cells of an element type.
pub fn decode(_element: u32, _text: &str) -> Result<Vec<Cell>> {
    Err(Error::unsupported("this conversion"))
}
/// The JSON-array cell of elements' logical cells: no blanks, least escapes, so that equal
/// arrays have equal texts. A BLOB becomes a string `\x…`.
pub fn encode<'a>(_elements: impl IntoIterator<Item = CellRef<'a>>) -> String {
    String::new()
}
