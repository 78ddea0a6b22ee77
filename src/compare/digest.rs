//! A digest over result rows in canonical form: equal rows, equal digests, on both sides.

use std::hash::Hasher;

use sha2::{Digest as _, Sha256};

use crate::error::Result;
use crate::schema::Codec;
use crate::value::{CellRef, Datum, Type, canonical, storage};

/// SHA-256 over rows in the order they are fed.
#[derive(Clone, Default)]
pub struct Digest {
    sha: Sha256,
    rows: u64,
}

struct Feed<'a>(&'a mut Sha256);

impl Hasher for Feed<'_> {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

impl Digest {
    /// Begins a row.
    pub fn row(&mut self) {
        self.rows += 1;
        self.sha.update([0xff]);
    }

    /// Feeds one value of the row.
    pub fn value(&mut self, datum: &Datum, ty: Type) {
        self.sha.update([u8::from(!datum.is_null())]);
        canonical::hash(datum, ty, &mut Feed(&mut self.sha));
    }

    /// Feeds one value of the row as SQLite holds it.
    ///
    /// # Errors
    /// When the cell is not one of its codec.
    pub fn cell(&mut self, codec: Codec, ty: Type, cell: CellRef<'_>) -> Result<()> {
        let datum = storage::decode(codec, ty, cell)?;
        self.value(&datum, ty);
        Ok(())
    }

    /// Rows fed so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The digest.
    pub fn finish(self) -> [u8; 32] {
        self.sha.finalize().into()
    }
}
