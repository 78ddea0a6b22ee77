//! The order of rows in the queues of AFTER triggers, and what a command of a trigger
//! function has queued itself.
//!
//! There is one writer, so one statement that fires triggers: what is known of the one before
//! is forgotten. Start at [`take`].

use parking_lot::Mutex;

use super::session::current;
use super::{Def, volatile};
use crate::error::{Error, Result, state};
use crate::value::Cell;

/// Triggers of one table that may fire for one row.
const TRIGGERS: i64 = 1 << 16;

/// Rows that one statement may keep waiting: they are in memory.
const ROWS_MAX: i64 = 1_000_000;

struct State {
    turn: u64,
    /// Rows so far.
    row: i64,
    /// Table and event of the row, and the triggers it has been queued for.
    at: (i64, i64),
    seen: Vec<i64>,
    /// The last places before the commands of trigger functions that run.
    marks: Vec<i64>,
    /// Tables with rows in their queue, in the order of the first one.
    tables: Vec<i64>,
}

static STATE: Mutex<State> = Mutex::new(State {
    turn: 0,
    row: 0,
    at: (0, 0),
    seen: Vec::new(),
    marks: Vec::new(),
    tables: Vec::new(),
});

/// What the running statement knows.
fn with<T>(run: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
    let turn = current().turn;
    if turn == 0 {
        return Err(Error::unsupported("firing these triggers outside of a statement"));
    }
    let mut state = STATE.lock();
    if state.turn != turn {
        state.turn = turn;
        state.row = 0;
        state.at = (0, 0);
        state.seen.clear();
        state.marks.clear();
        state.tables.clear();
    }
    run(&mut state)
}

/// The tables whose queues the statement has filled since it was last asked.
pub fn take(turn: u64) -> Vec<i64> {
    let mut state = STATE.lock();
    match state.turn == turn {
        true => std::mem::take(&mut state.tables),
        false => Vec::new(),
    }
}

impl State {
    fn next_row(&mut self, at: (i64, i64)) {
        self.row += 1;
        self.at = at;
        self.seen.clear();
    }
}

pub(super) const FUNCTIONS: &[Def] = &[
    // pg_queued(table, event, number of the trigger): the row's place in the queue.
    volatile("pg_queued", 3, |a| {
        let (table, event, number) = (a.int(0)?, a.int(1)?, a.int(2)?);
        with(|known| {
            // A row fires each trigger once.
            if known.at != (table, event) || known.seen.contains(&number) {
                known.next_row((table, event));
            }
            if known.row > ROWS_MAX {
                let message = "too many rows of one statement wait for their AFTER triggers";
                let hint = "Change fewer rows at a time.";
                return Err(Error::client(state::PROGRAM_LIMIT_EXCEEDED, message).hint(hint));
            }
            known.seen.push(number);
            if !known.tables.contains(&table) {
                known.tables.push(table);
            }
            Ok(Cell::Integer(known.row * TRIGGERS + number))
        })
    }),
    volatile("pg_queue_enter", 0, |_| {
        with(|state| {
            state.next_row((0, 0));
            let mark = state.row * TRIGGERS;
            state.marks.push(mark);
            Ok(Cell::Null)
        })
    }),
    volatile("pg_queue_mark", 0, |_| {
        with(|state| {
            let mark = state.marks.last().copied();
            mark.map(Cell::Integer).ok_or_else(|| Error::internal("no mark in a queue"))
        })
    }),
    volatile("pg_queue_leave", 0, |_| {
        with(|state| {
            state.marks.pop();
            state.next_row((0, 0));
            Ok(Cell::Null)
        })
    }),
];
