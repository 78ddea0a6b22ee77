//! A digest over result rows in canonical form: equal rows, equal digests, on both sides.
//!
//! The rows' order does not count: which order a statement promises is known to its plan alone.

use std::hash::Hasher;

use sha2::{Digest as _, Sha256};

use crate::error::Result;
use crate::schema::Codec;
use crate::value::{CellRef, Datum, Type, canonical, storage};

/// The sum of the rows' SHA-256, and their number.
#[derive(Clone, Default)]
pub struct Digest {
    sum: [u128; 2],
    rows: u64,
    row: Option<Sha256>,
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
        self.add();
        self.row = Some(Sha256::new());
    }

    /// Adds the row that was begun.
    fn add(&mut self) {
        let Some(row) = self.row.take() else { return };
        let hash: [u8; 32] = row.finalize().into();
        for (sum, half) in self.sum.iter_mut().zip(hash.chunks_exact(16)) {
            let half = half.iter().fold(0u128, |n, byte| (n << 8) | u128::from(*byte));
            *sum = sum.wrapping_add(half);
        }
    }

    /// Feeds one value of the row.
    pub fn value(&mut self, datum: &Datum, ty: Type) {
        let row = self.row.get_or_insert_with(Sha256::new);
        row.update([u8::from(!datum.is_null())]);
        canonical::hash(datum, ty, &mut Feed(row));
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
    pub fn finish(mut self) -> [u8; 32] {
        self.add();
        let whole = Sha256::new().chain_update(self.rows.to_le_bytes());
        let whole = self.sum.iter().fold(whole, |sha, half| sha.chain_update(half.to_le_bytes()));
        whole.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::oid;

    #[test]
    fn rows_count_their_order_does_not() {
        let of = |rows: &[&[i64]]| {
            let mut digest = Digest::default();
            for row in rows {
                digest.row();
                row.iter().for_each(|v| digest.value(&Datum::Int(*v), Type::new(oid::INT4)));
            }
            assert_eq!(digest.rows(), rows.len() as u64);
            digest.finish()
        };
        assert_eq!(of(&[&[1, 2], &[3, 4]]), of(&[&[3, 4], &[1, 2]]));
        assert_ne!(of(&[&[1, 2], &[3, 4]]), of(&[&[1, 4], &[3, 2]]));
        assert_ne!(of(&[&[1, 2]]), of(&[&[1, 2], &[1, 2]]));
        assert_ne!(of(&[]), of(&[&[]]));
    }
}
