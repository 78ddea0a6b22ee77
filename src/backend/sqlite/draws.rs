//! Sequences moved by a running statement, row by row.
//!
//! A function of SQL may not run SQL of its own, so while a statement is stepped its
//! sequences move in memory ([`Draws`]); their marks are written to the file when the
//! statement pauses or ends, still inside its transaction. Start at [`Draws::open`].

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::Connection;
use super::sequences::{Moved, Sequences, SessionValues, Stored, read_all, write};
use crate::error::{Error, Result, state};
use crate::schema::{Catalog, Sequence};

/// The sequences one statement may move.
#[derive(Debug)]
pub struct Draws {
    counters: Arc<Sequences>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    sequences: HashMap<u32, Drawn>,
    /// What currval and lastval of the session give.
    values: SessionValues,
}

#[derive(Debug)]
struct Drawn {
    sequence: Arc<Sequence>,
    stored: Stored,
    /// The mark in the file is behind `stored`.
    dirty: bool,
}

impl Draws {
    /// Reads where every sequence of the catalog stands. `connection` is the one the
    /// statement runs on.
    pub fn open(
        connection: &Connection,
        counters: Arc<Sequences>,
        catalog: &Catalog,
        values: SessionValues,
    ) -> Result<Self> {
        let rows = read_all(connection)?;
        let sequences = catalog
            .sequences
            .values()
            .filter_map(|sequence| {
                let stored = *rows.get(&sequence.oid)?;
                let drawn = Drawn { sequence: Arc::clone(sequence), stored, dirty: false };
                Some((sequence.oid, drawn))
            })
            .collect();
        Ok(Self { counters, state: Mutex::new(State { sequences, values }) })
    }

    /// nextval
    pub fn next(&self, oid: i64) -> Result<i64> {
        let State { sequences, values } = &mut *self.state.lock();
        let drawn = drawn(sequences, oid)?;
        let (value, mark) = self.counters.advance(&drawn.sequence, &drawn.stored)?;
        if let Some(mark) = mark {
            (drawn.stored.mark, drawn.stored.called) = (mark, true);
            drawn.dirty = true;
        }
        values.gave(&drawn.sequence, value);
        Ok(value)
    }

    /// setval
    pub fn set(&self, oid: i64, value: i64, called: bool) -> Result<()> {
        let State { sequences, values } = &mut *self.state.lock();
        let drawn = drawn(sequences, oid)?;
        self.counters.place(&drawn.sequence, &mut drawn.stored, value, called)?;
        drawn.dirty = true;
        if called {
            values.was_set(&drawn.sequence, value);
        }
        Ok(())
    }

    /// currval
    pub fn current(&self, oid: i64) -> Result<i64> {
        let State { sequences, values } = &mut *self.state.lock();
        values.current(&drawn(sequences, oid)?.sequence)
    }

    /// lastval
    pub fn last(&self) -> Result<i64> {
        self.state.lock().values.last()
    }

    /// What the session remembers from now on: values are never taken back.
    pub fn values(&self) -> SessionValues {
        self.state.lock().values.clone()
    }

    /// Writes the marks that have moved; each is to be noted in the journal.
    pub fn settle(&self, connection: &Connection) -> Result<Vec<Moved>> {
        let mut moved = Vec::new();
        for drawn in self.state.lock().sequences.values_mut().filter(|d| d.dirty) {
            let Stored { mark, called, .. } = drawn.stored;
            write(connection, &drawn.sequence, mark, called)?;
            drawn.dirty = false;
            moved.push(Moved { name: drawn.sequence.name.clone(), value: mark, called });
        }
        Ok(moved)
    }
}

fn drawn(sequences: &mut HashMap<u32, Drawn>, oid: i64) -> Result<&mut Drawn> {
    u32::try_from(oid).ok().and_then(|oid| sequences.get_mut(&oid)).ok_or_else(|| {
        let message = format!("relation with OID {oid} is not a sequence");
        Error::client(state::WRONG_OBJECT_TYPE, message)
    })
}
