//! What a long order tells while it goes on: steps, and where it is inside a table.
//!
//! Owns the words between copying, verifying and whoever shows them. It must never tell of rows
//! more often than [`EVERY`]: who listens may be slow. Start at [`Told`].

use std::time::{Duration, Instant};

/// Time between two looks at the rows.
const EVERY: Duration = Duration::from_millis(250);

/// One message.
#[derive(Clone, Debug)]
pub enum Told {
    /// Something is done, or begun; and facts about it.
    Step(String, String),
    /// How far it is inside a table.
    Rows(Rows),
}

/// Inside a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// What is done, without the table's name: `copying`, `reading SQLite's rows of`.
    pub doing: &'static str,
    /// The table.
    pub table: String,
    /// Rows so far.
    pub rows: u64,
    /// Rows in all, on SQLite, as far as that is known; else 0.
    pub of: u64,
}

/// Who is told.
pub type Tell = dyn Fn(Told) + Send + Sync;

/// Tells of a step.
pub(crate) fn step(tell: &Tell, text: impl Into<String>, detail: impl Into<String>) {
    tell(Told::Step(text.into(), detail.into()));
}

/// Tells of a table's rows, now and then.
pub(crate) struct Tally<'a> {
    tell: Option<&'a Tell>,
    rows: Rows,
    last: Instant,
}

impl<'a> Tally<'a> {
    /// At the first row.
    pub(crate) fn new(tell: Option<&'a Tell>, doing: &'static str, table: &str, of: u64) -> Self {
        let rows = Rows { doing, table: table.to_owned(), rows: 0, of };
        if let Some(tell) = tell {
            tell(Told::Rows(rows.clone()));
        }
        Self { tell, rows, last: Instant::now() }
    }

    /// After a step, which ends what was told of rows.
    pub(crate) fn again(&mut self, rows: u64) {
        if let Some(tell) = self.tell {
            tell(Told::Rows(Rows { rows, ..self.rows.clone() }));
        }
    }

    /// After so many rows.
    pub(crate) fn at(&mut self, rows: u64) {
        let Some(tell) = self.tell else { return };
        if self.last.elapsed() >= EVERY {
            self.last = Instant::now();
            tell(Told::Rows(Rows { rows, ..self.rows.clone() }));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn many_rows_are_told_now_and_then() {
        let told = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&told);
        let tell = move |message| {
            assert!(matches!(message, Told::Rows(rows) if rows.table == "t" && rows.of == 10));
            count.fetch_add(1, Ordering::Relaxed);
        };
        let mut tally = Tally::new(Some(&tell), "copying", "t", 10);
        (0..1000).for_each(|rows| tally.at(rows));
        assert!(told.load(Ordering::Relaxed) < 1000);
        tally.last = Instant::now().checked_sub(EVERY).unwrap();
        let before = told.load(Ordering::Relaxed);
        tally.at(10);
        assert_eq!(told.load(Ordering::Relaxed), before + 1);
    }
}
