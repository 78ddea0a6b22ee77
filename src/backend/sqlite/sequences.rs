//! Sequences: nextval, setval and their counters.
//!
//! As in PostgreSQL, values are never given twice and never rolled back: the counter lives in
//! memory, and `_crossfade_sequences` holds a mark up to 32 values ahead, written in the
//! writer's own transaction. The mark is read back on every call, so a transaction that is
//! rolled back takes its mark with it and the next call writes it again. A `generation`
//! changes with RESTART, which is transactional: a counter of another generation is taken up
//! from the row. Start at [`Sequences::next`].

use std::collections::HashMap;

use parking_lot::Mutex;

use super::Connection;
use crate::error::{Error, Result, SqlState, state};
use crate::schema::Sequence;
use crate::value::{Cell, oid};

/// How many values are marked as used at once.
const AHEAD: i64 = 32;

/// SQLSTATE of a sequence that has come to its end.
const SEQUENCE_LIMIT: SqlState = SqlState(*b"2200H");

/// The counters of all sequences.
#[derive(Debug, Default)]
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

/// The row of a sequence.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stored {
    /// Every value up to here may have been given.
    pub(super) mark: i64,
    pub(super) called: bool,
    generation: i64,
}

/// A value as it is told to the journal: the highest that may have been given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Sequence.
    pub name: String,
    /// Mark.
    pub value: i64,
    /// Whether `value` counts as given.
    pub called: bool,
}

impl Sequences {
    /// The last value given, for `pg_sequences`; None before the first use.
    pub fn last_value(&self, oid: u32) -> Option<i64> {
        self.counters.lock().get(&oid).filter(|c| c.called).map(|c| c.last)
    }

    /// Takes up the counters as the file has them, at start.
    pub(crate) fn load(&self, connection: &Connection) -> Result<()> {
        let mut counters = self.counters.lock();
        for (oid, Stored { mark, called, generation }) in read_all(connection)? {
            counters.insert(oid, Counter { generation, last: mark, called });
        }
        Ok(())
    }

    /// nextval. To be called in a writer's transaction; the second value is to be noted in
    /// the journal when there is one.
    ///
    /// # Errors
    /// 2200H at the end of a sequence without CYCLE, 42P01 when it is gone.
    pub fn next(
        &self,
        connection: &Connection,
        sequence: &Sequence,
    ) -> Result<(i64, Option<Moved>)> {
        let stored = read(connection, sequence)?;
        let (value, mark) = self.advance(sequence, &stored)?;
        let Some(mark) = mark else { return Ok((value, None)) };
        write(connection, sequence, mark, true)?;
        Ok((value, Some(Moved { name: sequence.name.clone(), value: mark, called: true })))
    }

    /// The next value, in memory; and the mark to write when it goes beyond the row's.
    pub(super) fn advance(
        &self,
        sequence: &Sequence,
        stored: &Stored,
    ) -> Result<(i64, Option<i64>)> {
        let mut counters = self.counters.lock();
        let counter = current(&mut counters, sequence, stored);
        let value = following(sequence, counter)?;
        let wrapped = counter.called && (value > counter.last) != (sequence.increment > 0);
        *counter = Counter { last: value, called: true, ..*counter };
        let beyond = !stored.called || is_beyond(sequence, value, stored.mark) || wrapped;
        Ok((value, beyond.then(|| ahead(sequence, value))))
    }

    /// Moves the counter, in memory.
    ///
    /// # Errors
    /// 22003 when the value is out of the sequence's bounds.
    pub(super) fn place(
        &self,
        sequence: &Sequence,
        stored: &mut Stored,
        value: i64,
        called: bool,
    ) -> Result<()> {
        if value < sequence.min || value > sequence.max {
            let message = format!(
                "setval: value {value} is out of bounds for sequence \"{}\" ({}..{})",
                sequence.name, sequence.min, sequence.max
            );
            return Err(Error::client(state::NUMERIC_VALUE_OUT_OF_RANGE, message));
        }
        (stored.mark, stored.called) = (value, called);
        let counter = Counter { generation: stored.generation, last: value, called };
        self.counters.lock().insert(sequence.oid, counter);
        Ok(())
    }

    /// setval. As in PostgreSQL the counter moves at once and for good.
    ///
    /// # Errors
    /// 22003 when the value is out of the sequence's bounds.
    pub fn set(
        &self,
        connection: &Connection,
        sequence: &Sequence,
        value: i64,
        called: bool,
    ) -> Result<Moved> {
        let mut stored = read(connection, sequence)?;
        self.place(sequence, &mut stored, value, called)?;
        write(connection, sequence, value, called)?;
        Ok(Moved { name: sequence.name.clone(), value, called })
    }

    /// The last value given and whether it was, without moving: what
    /// `SELECT last_value, is_called FROM sequence` shows.
    pub fn peek(&self, connection: &Connection, sequence: &Sequence) -> Result<(i64, bool)> {
        let stored = read(connection, sequence)?;
        let counters = self.counters.lock();
        Ok(match counters.get(&sequence.oid) {
            Some(c) if c.generation == stored.generation => (c.last, c.called),
            _ => (stored.mark, stored.called),
        })
    }

    /// Writes the exact counters of all sequences, at a clean stop: no gap is left then.
    pub fn settle(&self, connection: &Connection) -> Result<()> {
        let counters = self.counters.lock().clone();
        for (oid, counter) in counters {
            connection.execute(
                "UPDATE \"_crossfade_sequences\" SET last_value = ?2, is_called = ?3 \
                 WHERE oid = ?1 AND generation = ?4",
                &[
                    Cell::Integer(i64::from(oid)),
                    Cell::Integer(counter.last),
                    Cell::Integer(i64::from(counter.called)),
                    Cell::Integer(counter.generation),
                ],
            )?;
        }
        Ok(())
    }
}

/// RESTART: transactional, under a new generation.
pub(crate) fn restart(
    connection: &Connection,
    sequence: &Sequence,
    value: i64,
    generation: u32,
) -> Result<()> {
    connection
        .execute(
            "UPDATE \"_crossfade_sequences\" SET last_value = ?2, is_called = 0, generation = ?3 \
             WHERE oid = ?1",
            &[
                Cell::Integer(i64::from(sequence.oid)),
                Cell::Integer(value),
                Cell::Integer(i64::from(generation)),
            ],
        )
        .map(|_| ())
}

fn read(connection: &Connection, sequence: &Sequence) -> Result<Stored> {
    let row = connection.query_row(
        "SELECT last_value, is_called, generation FROM \"_crossfade_sequences\" WHERE oid = ?1",
        &[Cell::Integer(i64::from(sequence.oid))],
    )?;
    match row.as_deref() {
        Some([Cell::Integer(mark), Cell::Integer(called), Cell::Integer(generation)]) => {
            Ok(Stored { mark: *mark, called: *called == 1, generation: *generation })
        }
        _ => {
            let message = format!("relation \"{}\" does not exist", sequence.name);
            Err(Error::client(state::UNDEFINED_TABLE, message))
        }
    }
}

/// The rows of all sequences, by OID.
pub(super) fn read_all(connection: &Connection) -> Result<HashMap<u32, Stored>> {
    let sql = "SELECT oid, last_value, is_called, generation FROM \"_crossfade_sequences\"";
    let mut all = HashMap::new();
    for row in super::catalog::rows(connection, sql, &[])? {
        if let [
            Cell::Integer(oid),
            Cell::Integer(mark),
            Cell::Integer(called),
            Cell::Integer(generation),
        ] = row.as_slice()
            && let Ok(oid) = u32::try_from(*oid)
        {
            let stored = Stored { mark: *mark, called: *called == 1, generation: *generation };
            all.insert(oid, stored);
        }
    }
    Ok(all)
}

pub(super) fn write(
    connection: &Connection,
    sequence: &Sequence,
    mark: i64,
    called: bool,
) -> Result<()> {
    connection
        .execute(
            "UPDATE \"_crossfade_sequences\" SET last_value = ?2, is_called = ?3 WHERE oid = ?1",
            &[
                Cell::Integer(i64::from(sequence.oid)),
                Cell::Integer(mark),
                Cell::Integer(i64::from(called)),
            ],
        )
        .map(|_| ())
}

fn current<'a>(
    counters: &'a mut HashMap<u32, Counter>,
    sequence: &Sequence,
    stored: &Stored,
) -> &'a mut Counter {
    let from_row =
        Counter { generation: stored.generation, last: stored.mark, called: stored.called };
    let counter = counters.entry(sequence.oid).or_insert(from_row);
    if counter.generation != stored.generation {
        *counter = from_row;
    }
    counter
}

/// The value after the counter's.
fn following(sequence: &Sequence, counter: &Counter) -> Result<i64> {
    if !counter.called {
        return Ok(counter.last);
    }
    let (up, limit, restart) = if sequence.increment > 0 {
        (true, sequence.max, sequence.min)
    } else {
        (false, sequence.min, sequence.max)
    };
    let next = counter.last.checked_add(sequence.increment);
    match next.filter(|n| if up { *n <= limit } else { *n >= limit }) {
        Some(next) => Ok(next),
        None if sequence.cycle => Ok(restart),
        None => {
            let bound = if up { "maximum" } else { "minimum" };
            let name = &sequence.name;
            let message =
                format!("nextval: reached {bound} value of sequence \"{name}\" ({limit})");
            Err(Error::client(SEQUENCE_LIMIT, message))
        }
    }
}

fn is_beyond(sequence: &Sequence, value: i64, mark: i64) -> bool {
    if sequence.increment > 0 { value > mark } else { value < mark }
}

/// The mark for a value: 32 values further, within bounds.
fn ahead(sequence: &Sequence, value: i64) -> i64 {
    let far = sequence.increment.saturating_mul(AHEAD - 1);
    let mark = value.saturating_add(far);
    if sequence.increment > 0 { mark.min(sequence.max) } else { mark.max(sequence.min) }
}

/// Bounds of a sequence's type, for its defaults and checks.
pub(crate) fn bounds(type_oid: u32) -> (i64, i64) {
    match type_oid {
        oid::INT2 => (i64::from(i16::MIN), i64::from(i16::MAX)),
        oid::INT4 => (i64::from(i32::MIN), i64::from(i32::MAX)),
        _ => (i64::MIN, i64::MAX),
    }
}

/// What currval and lastval know: one per session.
#[derive(Clone, Debug, Default)]
pub struct SessionValues {
    values: HashMap<u32, i64>,
    last: Option<u32>,
}

impl SessionValues {
    /// Remembers what nextval gave this session.
    pub fn gave(&mut self, sequence: &Sequence, value: i64) {
        self.values.insert(sequence.oid, value);
        self.last = Some(sequence.oid);
    }

    /// Remembers setval with `is_called`: it defines currval, but not lastval's sequence.
    pub fn was_set(&mut self, sequence: &Sequence, value: i64) {
        self.values.insert(sequence.oid, value);
    }

    /// currval.
    ///
    /// # Errors
    /// 55000 before the session's first nextval.
    pub fn current(&self, sequence: &Sequence) -> Result<i64> {
        self.values.get(&sequence.oid).copied().ok_or_else(|| {
            let message = format!(
                "currval of sequence \"{}\" is not yet defined in this session",
                sequence.name
            );
            Error::client(state::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
        })
    }

    /// lastval.
    ///
    /// # Errors
    /// 55000 before the session's first nextval.
    pub fn last(&self) -> Result<i64> {
        let value = self.last.and_then(|oid| self.values.get(&oid).copied());
        value.ok_or_else(|| {
            let message = "lastval is not yet defined in this session";
            Error::client(state::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
        })
    }

    /// DISCARD SEQUENCES.
    pub fn discard(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Type;

    fn sequence(increment: i64, min: i64, max: i64, cycle: bool) -> Sequence {
        Sequence {
            oid: 1,
            name: "s".into(),
            ty: Type::new(oid::INT8),
            start: if increment > 0 { min } else { max },
            increment,
            min,
            max,
            cycle,
            owned_by: None,
        }
    }

    #[test]
    fn values_follow_and_end_as_in_postgresql() {
        let up = sequence(2, 1, 5, false);
        let counter = |last, called| Counter { generation: 0, last, called };
        assert_eq!(following(&up, &counter(1, false)).unwrap(), 1);
        assert_eq!(following(&up, &counter(3, true)).unwrap(), 5);
        let end = following(&up, &counter(5, true)).unwrap_err();
        assert_eq!(end.sqlstate().as_str(), "2200H");
        assert_eq!(end.message(), "nextval: reached maximum value of sequence \"s\" (5)");
        let around = sequence(2, 1, 5, true);
        assert_eq!(following(&around, &counter(5, true)).unwrap(), 1);
        let down = sequence(-1, -3, -1, true);
        assert_eq!(following(&down, &counter(-3, true)).unwrap(), -1);
        assert_eq!(ahead(&up, 1), 5);
        assert_eq!(ahead(&down, -1), -3);
    }
}
