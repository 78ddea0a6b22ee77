//! Cells to and from protocol fields: the hot path.
//!
//! Start at [`write`].

use bytes::BytesMut;

use super::{Cell, CellRef, Format, Style, Type};
use crate::error::{Error, Result};
use crate::schema::Codec;

/// Appends one DataRow field with its length word. On an error nothing is appended.
pub fn write(
    _cell: CellRef<'_>,
    _codec: Codec,
    _ty: Type,
    _format: Format,
    _style: &Style,
    _out: &mut BytesMut,
) -> Result<()> {
    Err(Error::unsupported("this conversion"))
}
/// Reads a Bind parameter that is not NULL into its logical cell.
pub fn read(_ty: Type, _format: Format, _bytes: &[u8], _style: &Style) -> Result<Cell> {
    Err(Error::unsupported("this conversion"))
}
