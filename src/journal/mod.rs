//! The journal: the durable, ordered record of committed writes.
//!
//! Owns `_crossfade_journal` and `_crossfade_state` in the SQLite file. A record is
//! written in the transaction it describes: committed together with the data or not at
//! all. Records are chained by hash under a lineage id, so that a side restored from a
//! backup is noticed. Nothing is written per commit while no lineage is attached (phase
//! direct). It must never trim what a reader still needs. Start at [`Journal`].
//!
//! One record is one or more rows `(position, part, body)`. Part 0 closes the record: it
//! carries the header and the end of the event stream; parts 1 and up carry the stream's
//! front when it is long. A position without part 0 does not exist.

mod chain;
mod lineage;
mod read;
mod record;
mod room;
mod state;
mod store;
mod trim;

#[cfg(test)]
mod tests;

pub use crate::backend::Position;
pub use crate::backend::sqlite::events::{
    DdlEvent, Event, Image, Note, Op, Row, SequenceEvent, TruncateEvent,
};
pub use chain::{Hash, Head, Lineage};
pub use lineage::Journal;
pub use read::{EventStream, Limits, find, head, position, read, verify};
pub use record::{Events, Origin, Record};
pub use room::Room;
pub use state::{get_state, set_state};
pub use trim::Hold;
