//! The journal of one SQLite file: opening it, attaching and ending a lineage.
//!
//! Owns [`Journal`]. It must never continue a chain whose end it has not read from the
//! file. Start at [`Journal::open`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use super::chain::{Hash, Head, Lineage};
use super::record::{Origin, damaged};
use super::room::Room;
use super::store::{Chain, ChainRecorder};
use super::{read, state};
use crate::backend::Position;
use crate::backend::sqlite::{Connection, Sqlite, Writer};
use crate::clock::Clock;
use crate::error::Result;
use crate::failpoint;
use crate::value::Cell;

const TABLES: &str = "\
CREATE TABLE IF NOT EXISTS \"_crossfade_journal\" (\
  position INTEGER NOT NULL, part INTEGER NOT NULL, body BLOB NOT NULL, \
  PRIMARY KEY (position, part)) WITHOUT ROWID; \
CREATE TABLE IF NOT EXISTS \"_crossfade_state\" (key TEXT PRIMARY KEY, value);";

/// The journal of the SQLite file. Cheap to clone.
#[derive(Clone)]
pub struct Journal(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) db: Sqlite,
    clock: Clock,
    chain: RwLock<Option<Arc<Chain>>>,
    pub(super) room: Room,
    /// Positions that must not be trimmed, with the number of holds on each.
    pub(super) holds: Mutex<BTreeMap<Position, usize>>,
}

impl Journal {
    /// Opens the journal of a file, makes its tables when they are absent, and goes on
    /// recording where the file left off. Before anything else writes.
    pub async fn open(db: &Sqlite, clock: Clock) -> Result<Self> {
        let writer = db.writer(None).await?;
        writer.batch(TABLES)?;
        let lineage = state::blob(&writer, state::LINEAGE)?.map(Lineage);
        let capture = state::integer(&writer, state::CAPTURE)? == Some(1);
        let epoch = state::integer(&writer, state::EPOCH)?.unwrap_or(0);
        let head = read::head(&writer)?;
        let last = read::position(&writer)?;
        let sum = "SELECT coalesce(sum(length(body)), 0) FROM \"_crossfade_journal\"";
        let bytes = writer.query_integer(sum, &[])?.unwrap_or(0);
        writer.commit()?;
        let room = Room::default();
        room.reset(u64::try_from(bytes).unwrap_or(0));
        let journal = Self(Arc::new(Inner {
            db: db.clone(),
            clock,
            chain: RwLock::new(None),
            room,
            holds: Mutex::default(),
        }));
        db.sync();
        db.set_position(last);
        if let (true, Some(lineage)) = (capture, lineage) {
            let head = head.ok_or_else(damaged)?;
            journal.record(lineage, u64::try_from(epoch).unwrap_or(0), head);
        }
        Ok(journal)
    }

    fn record(&self, lineage: Lineage, epoch: u64, head: Head) {
        let chain = Arc::new(Chain {
            lineage,
            epoch: AtomicU64::new(epoch),
            head: Mutex::new(head),
            origin: Mutex::new(None),
            room: self.0.room.clone(),
            clock: self.0.clock.clone(),
        });
        *self.0.chain.write() = Some(chain.clone());
        self.0.db.set_recorder(Some(Arc::new(ChainRecorder(chain))));
    }

    /// Starts a new lineage: every commit from now on is recorded. Records of an earlier
    /// lineage are dropped. The head it starts from is what the shadow must hold.
    pub async fn attach(&self, epoch: u64) -> Result<Head> {
        let mut id = [0; 16];
        self.0.clock.random_bytes(&mut id);
        let lineage = Lineage(id);
        let writer = self.0.db.writer(None).await?;
        // In phase direct this transaction takes a number itself; while recording it
        // leaves no record and takes none.
        let start = match writer.recording() {
            true => Position(writer.position().0.saturating_sub(1)),
            false => writer.position(),
        };
        let head = Head { position: start, hash: Hash::genesis(lineage, start) };
        writer.execute("DELETE FROM \"_crossfade_journal\"", &[])?;
        state::set_state(&writer, state::LINEAGE, Cell::Blob(id.to_vec()))?;
        set_mark(&writer, head)?;
        set_epoch(&writer, epoch)?;
        state::set_state(&writer, state::CAPTURE, Cell::Integer(1))?;
        let committed = writer.commit_with(|_| {
            self.0.room.reset(0);
            self.record(lineage, epoch, head);
        })?;
        failpoint!("journal.attached");
        self.0.db.wait_committed(committed).await?;
        Ok(head)
    }

    /// Ends the lineage: nothing is recorded any more, and its records are dropped.
    pub async fn detach(&self) -> Result<()> {
        let writer = self.0.db.writer(None).await?;
        writer.execute("DELETE FROM \"_crossfade_journal\"", &[])?;
        state::set_state(&writer, state::CAPTURE, Cell::Integer(0))?;
        state::set_state(&writer, state::LINEAGE, Cell::Null)?;
        // Positions go on rising.
        let last = Position(writer.position().0.saturating_sub(1));
        state::set_state(&writer, state::TRIM_POSITION, state::cell(last))?;
        state::set_state(&writer, state::TRIM_HASH, Cell::Null)?;
        let committed = writer.commit_with(|_| {
            *self.0.chain.write() = None;
            self.0.db.set_recorder(None);
            self.0.room.reset(0);
        })?;
        self.0.db.wait_committed(committed).await
    }

    /// The lineage being recorded; None in phase direct.
    pub fn lineage(&self) -> Option<Lineage> {
        self.0.chain.read().as_ref().map(|chain| chain.lineage)
    }

    /// The last committed record; None in phase direct.
    pub fn head(&self) -> Option<Head> {
        self.0.chain.read().as_ref().map(|chain| *chain.head.lock())
    }

    /// The epoch records are written under; 0 in phase direct.
    pub fn epoch(&self) -> u64 {
        self.0.chain.read().as_ref().map_or(0, |chain| chain.epoch.load(Ordering::Acquire))
    }

    /// Changes the epoch in the writer's transaction. Call `then` in its `commit_with`, so
    /// that records carry it from the next transaction on.
    pub fn set_epoch(&self, writer: &Writer, epoch: u64) -> Result<impl FnOnce() + use<>> {
        set_epoch(writer, epoch)?;
        let chain = self.0.chain.read().clone();
        Ok(move || {
            if let Some(chain) = chain {
                chain.epoch.store(epoch, Ordering::Release);
            }
        })
    }

    /// Names the origin of the writer's transaction; it gets a record even if no event is
    /// captured.
    pub fn set_origin(&self, writer: &Writer, origin: Origin) {
        if let Some(chain) = &*self.0.chain.read() {
            *chain.origin.lock() = Some((writer.position(), origin));
        }
    }

    /// Bytes of all records.
    pub fn bytes(&self) -> u64 {
        self.0.room.bytes()
    }

    /// Its bound, and whether writers wait for it.
    pub fn room(&self) -> &Room {
        &self.0.room
    }

    /// The file this is the journal of.
    pub fn sqlite(&self) -> &Sqlite {
        &self.0.db
    }
}

fn set_epoch(conn: &Connection, epoch: u64) -> Result<()> {
    let epoch = i64::try_from(epoch).unwrap_or(i64::MAX);
    state::set_state(conn, state::EPOCH, Cell::Integer(epoch))
}

/// Sets the trim mark.
pub(super) fn set_mark(conn: &Connection, mark: Head) -> Result<()> {
    state::set_state(conn, state::TRIM_POSITION, state::cell(mark.position))?;
    state::set_state(conn, state::TRIM_HASH, Cell::Blob(mark.hash.0.to_vec()))
}
