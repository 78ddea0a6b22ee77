//! Writing records, inside the transactions they describe.
//!
//! Owns [`Chain`], the state a lineage has in memory, and the recorder the writer calls.
//! It must never move the head before COMMIT has succeeded. Start at [`Entry`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use super::chain::{Hash, Head, Lineage};
use super::record::{Header, Origin};
use super::room::Room;
use super::state;
use crate::backend::Position;
use crate::backend::sqlite::{Connection, Recorder, Recording};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::value::Cell;

const INSERT: &str =
    "INSERT INTO \"_crossfade_journal\" (position, part, body) VALUES (?1, ?2, ?3)";
const COUNT: &str = "SELECT count(*) FROM \"_crossfade_journal\" WHERE position = ?1";

/// A lineage as it stands.
pub(super) struct Chain {
    pub(super) lineage: Lineage,
    pub(super) epoch: AtomicU64,
    pub(super) head: Mutex<Head>,
    /// Origin of the transaction with this position, when it is not a client's.
    pub(super) origin: Mutex<Option<(Position, Origin)>>,
    /// Size of all records.
    pub(super) room: Room,
    pub(super) clock: Clock,
}

/// Gives each writing transaction its entry.
pub(super) struct ChainRecorder(pub(super) Arc<Chain>);

impl Recorder for ChainRecorder {
    fn begin(&self, position: Position) -> Box<dyn Recording> {
        // A transaction that was rolled back may have named its own.
        *self.0.origin.lock() = None;
        Box::new(Entry {
            chain: self.0.clone(),
            position,
            digests: Vec::new(),
            written: Vec::new(),
            closed: None,
        })
    }
}

/// One record in the making.
struct Entry {
    chain: Arc<Chain>,
    position: Position,
    /// State of the stream's digest after each part, to go back to on ROLLBACK TO.
    digests: Vec<Sha256>,
    /// Bytes of each part.
    written: Vec<u64>,
    closed: Option<(Hash, u64)>,
}

impl Entry {
    fn digest(&self) -> Sha256 {
        self.digests.last().cloned().unwrap_or_default()
    }

    fn insert(&self, conn: &Connection, part: u32, body: &[u8]) -> Result<()> {
        let mut statement = conn.prepare(INSERT)?;
        statement.bind(1, state::cell(self.position).as_ref())?;
        statement.bind(2, Cell::Integer(i64::from(part)).as_ref())?;
        statement.bind(3, crate::value::CellRef::Blob(body))?;
        while statement.step()? {}
        Ok(())
    }
}

impl Recording for Entry {
    fn part(&mut self, conn: &Connection, bytes: &[u8]) -> Result<()> {
        self.insert(conn, self.parts() + 1, bytes)?;
        let mut digest = self.digest();
        digest.update(bytes);
        self.digests.push(digest);
        self.written.push(bytes.len() as u64);
        Ok(())
    }

    fn parts(&self) -> u32 {
        u32::try_from(self.digests.len()).unwrap_or(u32::MAX)
    }

    fn rewind(&mut self, parts: u32) {
        self.digests.truncate(parts as usize);
        self.written.truncate(parts as usize);
    }

    fn required(&self) -> bool {
        self.chain.origin.lock().is_some_and(|(position, _)| position == self.position)
    }

    fn close(&mut self, conn: &Connection, rest: &[u8]) -> Result<()> {
        let head = *self.chain.head.lock();
        if self.position != head.position.next() {
            return Err(Error::internal("journal position does not follow the last one"));
        }
        if self.parts() > 0 {
            // Parts that a savepoint took with it unnoticed would leave a hole for ever.
            let there = conn.query_integer(COUNT, &[state::cell(self.position)])?;
            if there != Some(i64::from(self.parts())) {
                return Err(Error::internal("journal parts are missing at commit"));
            }
        }
        let mut digest = self.digest();
        digest.update(rest);
        let origin = self.chain.origin.lock().filter(|(at, _)| *at == self.position);
        let header = Header {
            lineage: self.chain.lineage,
            epoch: self.chain.epoch.load(Ordering::Acquire),
            previous: head.hash,
            committed_at_us: self.chain.clock.unix_micros(),
            origin: origin.map_or(Origin::Sqlite, |(_, origin)| origin),
            parts: self.parts(),
            bytes: self.written.iter().sum::<u64>() + rest.len() as u64,
        };
        let mut body = header.bare();
        let hash = Hash::of(self.position, &body, digest);
        body.extend_from_slice(&hash.0);
        body.extend_from_slice(rest);
        self.insert(conn, 0, &body)?;
        let bytes = self.written.iter().sum::<u64>() + body.len() as u64;
        self.closed = Some((hash, bytes));
        Ok(())
    }

    fn committed(self: Box<Self>) {
        let mut origin = self.chain.origin.lock();
        if let Some((hash, bytes)) = self.closed {
            *self.chain.head.lock() = Head { position: self.position, hash };
            let followed = origin
                .is_some_and(|(at, o)| at == self.position && matches!(o, Origin::Postgres(_)));
            self.chain.room.grown(bytes, !followed);
        }
        if origin.is_some_and(|(position, _)| position <= self.position) {
            *origin = None;
        }
    }
}
