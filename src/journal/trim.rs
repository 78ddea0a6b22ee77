//! Trimming: records nobody needs any more are dropped.
//!
//! Owns the rule and the holds. It must never drop a record at or above the caller's bound
//! (what PostgreSQL has applied and flushed) or any hold, nor one that is not durable.
//! Start at [`Journal::trim`].

use std::sync::Arc;

use super::chain::Head;
use super::lineage::{Inner, Journal, set_mark};
use super::record::damaged;
use super::{read, state};
use crate::backend::Position;
use crate::backend::sqlite::Connection;
use crate::error::Result;
use crate::failpoint;

/// Positions dropped in one transaction: the writer is not held for long.
const BATCH: u64 = 512;

/// Keeps records from a position on while it lives: a read, backfill or verify runs at
/// that cut.
pub struct Hold {
    inner: Arc<Inner>,
    position: Position,
}

impl Hold {
    /// The position held.
    pub fn position(&self) -> Position {
        self.position
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut holds = self.inner.holds.lock();
        if let Some(count) = holds.get_mut(&self.position) {
            *count -= 1;
            if *count == 0 {
                holds.remove(&self.position);
            }
        }
    }
}

impl Journal {
    /// Keeps records from `position` on until the hold is dropped.
    pub fn hold(&self, position: Position) -> Hold {
        *self.0.holds.lock().entry(position).or_insert(0) += 1;
        Hold { inner: self.0.clone(), position }
    }

    /// The first position that was not trimmed.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn first(&self, conn: &Connection) -> Result<Position> {
        Ok(read::trim_mark(conn)?.map_or(Position(0), |mark| mark.position).next())
    }

    /// Drops records below `below`: the position PostgreSQL has applied and flushed. The
    /// last dropped one stays as the trim mark. Records dropped.
    pub async fn trim(&self, below: Position) -> Result<u64> {
        let mut dropped = 0;
        while self.trim_some(below, &mut dropped).await? {}
        Ok(dropped)
    }

    /// One transaction of [`Journal::trim`]; false when nothing is left to drop.
    async fn trim_some(&self, below: Position, dropped: &mut u64) -> Result<bool> {
        let db = &self.0.db;
        let writer = db.writer(None).await?;
        let held = self.0.holds.lock().keys().next().copied();
        // The last durable record may go, too: the mark then is the head.
        let bound = below.min(db.durable().next()).min(held.unwrap_or(below));
        let Some(mark) = read::trim_mark(&writer)? else { return Ok(false) };
        let last = Position(bound.0.saturating_sub(1).min(mark.position.0 + BATCH));
        if last <= mark.position {
            return Ok(false);
        }
        let hash = read::find(&writer, last)?.ok_or_else(damaged)?;
        let range = "SELECT coalesce(sum(length(body)), 0) FROM \"_crossfade_journal\" \
                     WHERE position <= ?1";
        let bytes = writer.query_integer(range, &[state::cell(last)])?.unwrap_or(0);
        failpoint!("journal.before_trim");
        let delete = "DELETE FROM \"_crossfade_journal\" WHERE position <= ?1";
        writer.execute(delete, &[state::cell(last)])?;
        set_mark(&writer, Head { position: last, hash })?;
        writer.commit()?;
        failpoint!("journal.after_trim");
        *dropped += last.0 - mark.position.0;
        self.0.room.shrunk(u64::try_from(bytes).unwrap_or(0));
        Ok(true)
    }
}
