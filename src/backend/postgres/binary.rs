//! Values for tokio-postgres, encoded by our own codecs.
//!
//! Start at [`Binary`].

use std::error::Error as StdError;

use bytes::BytesMut;
use tokio_postgres::types::{Format, FromSql, IsNull, ToSql, Type as PgType, to_sql_checked};

use crate::error::Result;
use crate::schema::Codec;
use crate::value::{Cell, CellRef, Datum, Type, binary, storage};

/// A parameter in PostgreSQL's binary form; None is NULL. Fits a parameter of any type: the
/// caller has prepared the statement with the type it encoded for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binary(pub Option<Vec<u8>>);

impl Binary {
    /// Encodes a logical value.
    ///
    /// # Errors
    /// 22P03 and kin when PostgreSQL's type cannot hold it.
    pub fn of(datum: &Datum, ty: Type) -> Result<Self> {
        if datum.is_null() {
            return Ok(Self(None));
        }
        let mut bytes = Vec::with_capacity(16);
        binary::encode(datum, ty, &mut bytes)?;
        Ok(Self(Some(bytes)))
    }

    /// Encodes what SQLite stores.
    ///
    /// # Errors
    /// When the cell does not decode, or PostgreSQL's type cannot hold the value.
    pub fn stored(cell: CellRef<'_>, codec: Codec, ty: Type) -> Result<Self> {
        Self::of(&storage::decode(codec, ty, cell)?, ty)
    }

    /// Encodes a logical cell (a journalled parameter).
    ///
    /// # Errors
    /// As [`Binary::stored`].
    pub fn logical(cell: &Cell, ty: Type) -> Result<Self> {
        Self::stored(cell.as_ref(), Codec::Identity, ty)
    }
}

impl ToSql for Binary {
    fn to_sql(
        &self,
        _: &PgType,
        out: &mut BytesMut,
    ) -> std::result::Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match &self.0 {
            None => Ok(IsNull::Yes),
            Some(bytes) => {
                out.extend_from_slice(bytes);
                Ok(IsNull::No)
            }
        }
    }

    fn accepts(_: &PgType) -> bool {
        true
    }

    fn encode_format(&self, _: &PgType) -> Format {
        Format::Binary
    }

    to_sql_checked!();
}

/// A result value's bytes in binary form.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a>(pub &'a [u8]);

impl<'a> FromSql<'a> for Received<'a> {
    fn from_sql(
        _: &PgType,
        raw: &'a [u8],
    ) -> std::result::Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(_: &PgType) -> bool {
        true
    }
}

/// A row's columns as logical values of the given types.
///
/// # Errors
/// 22P03 when a value does not decode.
pub fn row_of(row: &tokio_postgres::Row, types: &[Type]) -> Result<Vec<Datum>> {
    types
        .iter()
        .enumerate()
        .map(|(i, ty)| match row.try_get::<_, Option<Received<'_>>>(i) {
            Ok(Some(received)) => binary::decode(*ty, received.0),
            _ => Ok(Datum::Null),
        })
        .collect()
}
