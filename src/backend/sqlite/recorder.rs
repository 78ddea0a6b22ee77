//! How a writing transaction is recorded, seen from the writer.
//!
//! Owns the traits by which the journal, a layer above, takes part in a commit. Start at
//! [`Recorder`].

use super::Connection;
use crate::backend::Position;
use crate::error::Result;

/// Records transactions; None is set in phase direct.
pub trait Recorder: Send + Sync {
    /// A transaction with this position has begun.
    fn begin(&self, position: Position) -> Box<dyn Recording>;
}

/// The record of one transaction in the making. All writes go through the connection of
/// that transaction.
pub trait Recording: Send {
    /// Writes the next part of the event stream.
    fn part(&mut self, conn: &Connection, bytes: &[u8]) -> Result<()>;
    /// Parts written so far.
    fn parts(&self) -> u32;
    /// SQLite has dropped the parts after the first `parts` (ROLLBACK TO).
    fn rewind(&mut self, parts: u32);
    /// Whether there must be a record even if the event stream is empty.
    fn required(&self) -> bool;
    /// Writes the closing part with the rest of the stream, just before COMMIT.
    fn close(&mut self, conn: &Connection, rest: &[u8]) -> Result<()>;
    /// COMMIT has succeeded, and the record was closed before.
    fn committed(self: Box<Self>);
}

/// Bytes of a part at most.
pub const PART: usize = 1 << 20;
