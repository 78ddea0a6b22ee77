//! A record and the bytes of its closing part.
//!
//! Owns [`Record`] and the header's layout. It must never accept a header it does not
//! know whole. Start at [`Header`].

use super::chain::{Hash, Lineage};
use crate::backend::Position;
use crate::backend::sqlite::events::Event;
use crate::error::{Error, Result, state};

/// A committed transaction as the journal holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its number.
    pub position: Position,
    /// History it belongs to.
    pub lineage: Lineage,
    /// Reign of the primary it was committed under.
    pub epoch: u64,
    /// Hash of the record before it.
    pub previous: Hash,
    /// Its own hash.
    pub hash: Hash,
    /// Wall-clock time of the commit, microseconds since 1970.
    pub committed_at_us: i64,
    /// Where the change was made.
    pub origin: Origin,
    /// Bytes of the event stream.
    pub bytes: u64,
    /// What happened.
    pub events: Events,
}

/// Where a change was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Origin {
    /// Here, by a client.
    #[default]
    Sqlite,
    /// On PostgreSQL; followed back from its WAL up to this LSN.
    Postgres(u64),
}

/// A record's events.
#[derive(Clone, Debug, PartialEq)]
pub enum Events {
    /// All of them, in order.
    Loaded(Vec<Event>),
    /// Too many to load at once: read them with `EventStream`.
    Large,
}

const VERSION: u8 = 1;
/// Bytes of a header without its hash.
const BARE: usize = 1 + 16 + 8 + 32 + 8 + 1 + 8 + 4 + 8;
/// Bytes of a header; the rest of part 0 is the end of the event stream.
pub(super) const HEADER: usize = BARE + 32;

/// The head of part 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) lineage: Lineage,
    pub(super) epoch: u64,
    pub(super) previous: Hash,
    pub(super) committed_at_us: i64,
    pub(super) origin: Origin,
    /// Parts before this one, numbered from 1.
    pub(super) parts: u32,
    /// Bytes of the whole event stream.
    pub(super) bytes: u64,
}

impl Header {
    /// The header's bytes without the hash: what is hashed.
    pub(super) fn bare(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER);
        out.push(VERSION);
        out.extend_from_slice(&self.lineage.0);
        out.extend_from_slice(&self.epoch.to_le_bytes());
        out.extend_from_slice(&self.previous.0);
        out.extend_from_slice(&self.committed_at_us.to_le_bytes());
        let (origin, lsn) = match self.origin {
            Origin::Sqlite => (0, 0),
            Origin::Postgres(lsn) => (1, lsn),
        };
        out.push(origin);
        out.extend_from_slice(&lsn.to_le_bytes());
        out.extend_from_slice(&self.parts.to_le_bytes());
        out.extend_from_slice(&self.bytes.to_le_bytes());
        out
    }

    /// Reads part 0: the header, its hash, the end of the event stream.
    pub(super) fn read(body: &[u8]) -> Result<(Self, Hash, &[u8])> {
        let (head, rest) = body.split_at_checked(HEADER).ok_or_else(damaged)?;
        let mut at = 0;
        let mut take = |n: usize| {
            at += n;
            &head[at - n..at]
        };
        if take(1) != [VERSION] {
            return Err(Error::primary(
                state::DATA_CORRUPTED,
                "journal record was written by another version of crossfade",
            ));
        }
        let lineage = Lineage(array(take(16))?);
        let epoch = u64::from_le_bytes(array(take(8))?);
        let previous = Hash(array(take(32))?);
        let committed_at_us = i64::from_le_bytes(array(take(8))?);
        let origin = take(1)[0];
        let lsn = u64::from_le_bytes(array(take(8))?);
        let origin = match origin {
            0 => Origin::Sqlite,
            1 => Origin::Postgres(lsn),
            _ => return Err(damaged()),
        };
        let parts = u32::from_le_bytes(array(take(4))?);
        let bytes = u64::from_le_bytes(array(take(8))?);
        let hash = Hash(array(take(32))?);
        let header = Self { lineage, epoch, previous, committed_at_us, origin, parts, bytes };
        Ok((header, hash, rest))
    }

    pub(super) fn record(&self, position: Position, hash: Hash, events: Events) -> Record {
        Record {
            position,
            lineage: self.lineage,
            epoch: self.epoch,
            previous: self.previous,
            hash,
            committed_at_us: self.committed_at_us,
            origin: self.origin,
            bytes: self.bytes,
            events,
        }
    }
}

fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| damaged())
}

/// A record does not read as it was written.
pub(super) fn damaged() -> Error {
    Error::primary(state::DATA_CORRUPTED, "journal record is damaged")
}
