//! Sequences: nextval, setval and their counters.
//!
//! As in PostgreSQL, values are never given twice and never rolled back: the counter lives in
//! memory, and `_crossfade_sequences` holds a mark up to 32 values ahead, written in the
//! writer's own transaction. The mark is read back on every call, so a transaction that is
//! rolled back takes its mark with it and the next call writes it again. A `generation`
//! changes with RESTART and DROP, which are transactional: a counter of another generation
//! is taken up from the row. Start at [`Sequences`].

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::schema::Sequence;

/// How many values are marked as used at once.
pub const AHEAD: i64 = 32;

/// The counters of all sequences.
#[derive(Default)]
pub struct Sequences {
    counters: Mutex<HashMap<u32, Counter>>,
}

/// One sequence's state in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counter {
    generation: i64,
    last: i64,
    called: bool,
}

impl Sequences {
    /// The last value given, for `pg_sequences`; None before the first use.
    pub fn last_value(&self, oid: u32) -> Option<i64> {
        self.counters.lock().get(&oid).filter(|c| c.called).map(|c| c.last)
    }
}

/// Where a sequence of this shape begins.
pub fn first(sequence: &Sequence) -> i64 {
    sequence.start
}
