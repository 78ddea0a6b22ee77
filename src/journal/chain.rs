//! Identity of history: lineage ids and the chain of hashes.
//!
//! Owns [`Lineage`], [`Hash`] and how a record's hash is made. Start at [`Hash::of`].

use std::fmt;

use sha2::{Digest, Sha256};

use crate::backend::Position;

/// Names one unbroken history of the SQLite file, from attaching PostgreSQL on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lineage(pub [u8; 16]);

/// SHA-256 of a record and, through its predecessor's hash, of all history before it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash(pub [u8; 32]);

/// The end of history: the last record, or where the lineage began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Position of the last record.
    pub position: Position,
    /// Its hash.
    pub hash: Hash,
}

impl Hash {
    /// The hash a lineage starts from.
    pub fn genesis(lineage: Lineage, start: Position) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(b"crossfade lineage\0");
        hasher.update(lineage.0);
        hasher.update(start.0.to_le_bytes());
        Self(hasher.finalize().into())
    }

    /// The hash of a record: its position, its header (which holds the predecessor's
    /// hash) and the digest of its event stream.
    pub fn of(position: Position, header: &[u8], stream: Sha256) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(b"crossfade record\0");
        hasher.update(position.0.to_le_bytes());
        hasher.update(header);
        hasher.update(stream.finalize());
        Self(hasher.finalize().into())
    }
}

fn hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|b| write!(f, "{b:02x}"))
}

impl fmt::Display for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0[..8], f)
    }
}
