//! Codecs: what SQLite stores ↔ the logical value.
//!
//! Start at [`decode`].

use super::{Cell, CellRef, Datum, Type};
use crate::error::{Error, Result};
use crate::schema::Codec;

/// The logical value of a stored cell.
pub fn decode(_codec: Codec, _ty: Type, _cell: CellRef<'_>) -> Result<Datum> {
    Err(Error::unsupported("this conversion"))
}
/// The cell to store for a logical value; `Identity` gives the logical cell.
pub fn encode(_codec: Codec, _ty: Type, _datum: &Datum) -> Result<Cell> {
    Err(Error::unsupported("this conversion"))
}
