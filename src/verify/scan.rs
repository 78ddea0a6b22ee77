//! Reading both sides of one table, and hashing rows so that order does not matter.
//!
//! Owns the streams and the hashes. Memory is bounded by the number of buckets, never by
//! the number of rows. It must never call two values different that PostgreSQL calls equal.
//! Start at [`Pair`].

use futures_util::TryStreamExt;
use futures_util::future::try_join;

use super::cut::AtCut;
use crate::backend::postgres::apply::{quoted, table_name};
use crate::backend::postgres::binary::{Received, row_of};
use crate::backend::postgres::project::{Projected, Projection, Quick, Target};
use crate::backend::postgres::quarantine::{Known, ROW};
use crate::backend::sqlite::blocking;
use crate::backfill::Tell;
use crate::backfill::pace::Pace;
use crate::backfill::source::Source;
use crate::backfill::told::Tally;
use crate::compare::Row;
use crate::error::Result;
use crate::value::canonical::{self, Feed};
use crate::value::{Cell, Type};

/// What is told while a table is compared.
pub(super) const READING: &str = "reading both sides' rows of";

/// Rows read from SQLite before the thread is given back.
const STEP_ROWS: usize = 1000;

/// One table on both sides of a cut.
pub(super) struct Pair<'a> {
    pub(super) at: &'a AtCut,
    pub(super) projection: Projection,
    pub(super) types: Vec<Type>,
    pub(super) known: Known,
    /// Who is told how far it is; nobody where only a few rows are read.
    pub(super) tell: Option<&'a Tell>,
    /// Rows of SQLite's side, for who is told.
    pub(super) of: u64,
    /// Only rows whose key, one column of integers, lies in this range.
    pub(super) range: Option<(i64, i64)>,
}

/// A row's identity and content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// Hash of the key; of the whole row where there is none.
    pub(super) key: u64,
    /// Hash of the row.
    pub(super) row: u128,
}

/// What the quarantine says of a row of SQLite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Compared; so many of its values are in quarantine.
    Compared(u64),
    /// In quarantine as a whole, by a value that does not fit: not expected on PostgreSQL.
    LeftOut,
    /// In quarantine as a whole, though every value fits: PostgreSQL refused it then.
    Refused,
    /// A value does not fit, and is not in quarantine either.
    Unnamed,
}

impl Standing {
    /// PostgreSQL does not have the row, and that is known.
    pub(super) fn is_out(self) -> bool {
        matches!(self, Self::LeftOut | Self::Refused)
    }
}

/// Rows as bytes to hash.
struct Marks {
    row: Feed,
    key: Feed,
    /// Where each column's bytes end.
    ends: Vec<usize>,
    columns: Option<Vec<usize>>,
}

impl Marks {
    fn new(projection: &Projection) -> Self {
        Self {
            row: Feed::default(),
            key: Feed::default(),
            ends: Vec::with_capacity(projection.columns.len()),
            columns: projection.key.clone(),
        }
    }

    fn clear(&mut self) {
        self.row.clear();
        self.ends.clear();
    }

    /// The mark of the row that was fed.
    fn mark(&mut self) -> Mark {
        let row = canonical::digest(self.row.bytes());
        let bytes = self.row.bytes();
        let of = |column: usize| {
            let from = column.checked_sub(1).and_then(|c| self.ends.get(c)).copied().unwrap_or(0);
            let to = self.ends.get(column).copied().unwrap_or(bytes.len());
            bytes.get(from..to).unwrap_or_default()
        };
        let key = match self.columns.as_deref() {
            None => row,
            Some([one]) => canonical::digest(of(*one)),
            Some(several) => {
                self.key.clear();
                for column in several {
                    std::hash::Hasher::write(&mut self.key, of(*column));
                }
                canonical::digest(self.key.bytes())
            }
        };
        // Any 64 of the bits do for telling rows apart inside a table.
        Mark { key: (key >> 64) as u64 ^ key as u64, row }
    }

    fn of(&mut self, values: &Row, types: &[Type]) -> Mark {
        self.clear();
        for (value, ty) in values.iter().zip(types) {
            canonical::hash(value, *ty, &mut self.row);
            self.ends.push(self.row.len());
        }
        self.mark()
    }
}

impl Pair<'_> {
    /// Runs over both sides' rows: PostgreSQL prepares its own while SQLite's are hashed. SQLite's
    /// rows, counted.
    pub(super) async fn both(
        &self,
        ours: impl FnMut(Mark, Standing, u64),
        theirs: impl FnMut(Mark),
    ) -> Result<u64> {
        let (rows, _) = try_join(self.marks(ours), self.received(theirs)).await?;
        Ok(rows)
    }

    /// Runs over SQLite's rows.
    pub(super) async fn sqlite(
        &self,
        mut each: impl FnMut(&Source, Projected, Mark, Standing),
    ) -> Result<u64> {
        let mut source = self.source()?;
        let mut marks = Marks::new(&self.projection);
        let (mut rows, mut pace) = (0, Pace::new(&self.at.limit));
        while blocking(|| self.step(&mut source, &mut marks, &mut rows, &mut each))? {
            tokio::task::yield_now().await;
            while let Some(ahead) = pace.ahead(rows) {
                tokio::time::sleep(ahead).await;
            }
        }
        Ok(rows)
    }

    /// Runs over SQLite's rows of which only the marks are wanted, and how many values are changed
    /// to their column's type: most of them are hashed as they are stored.
    async fn marks(&self, mut each: impl FnMut(Mark, Standing, u64)) -> Result<u64> {
        let quick = Quick::of(&self.projection);
        // Whether a row is left out says only its name.
        if self.known.has_rows() {
            return self
                .sqlite(|_, projected, mark, standing| {
                    each(mark, standing, projected.coerced.len() as u64);
                })
                .await;
        }
        let mut source = self.source()?;
        let mut marks = Marks::new(&self.projection);
        let (mut rows, mut pace) = (0, Pace::new(&self.at.limit));
        loop {
            let more = blocking(|| -> Result<bool> {
                for _ in 0..STEP_ROWS {
                    if !source.step()? {
                        return Ok(false);
                    }
                    rows += 1;
                    self.short(&source, &quick, &mut marks, &mut each);
                }
                Ok(true)
            })?;
            if !more {
                return Ok(rows);
            }
            tokio::task::yield_now().await;
            while let Some(ahead) = pace.ahead(rows) {
                tokio::time::sleep(ahead).await;
            }
        }
    }

    /// One row, the short way if it can be.
    fn short(
        &self,
        source: &Source,
        quick: &Quick,
        marks: &mut Marks,
        each: &mut impl FnMut(Mark, Standing, u64),
    ) {
        marks.clear();
        let (row, ends) = (&mut marks.row, &mut marks.ends);
        let fed = source.cells(|column, cell| {
            let fed = quick.feed(column, cell, row);
            ends.push(row.len());
            fed
        });
        if fed {
            return each(marks.mark(), Standing::Compared(0), 0);
        }
        let (projected, mark, standing) = self.long(source, marks);
        each(mark, standing, projected.coerced.len() as u64);
    }

    fn source(&self) -> Result<Source> {
        match self.range {
            None => Source::open(&self.at.sqlite, &self.projection, true),
            Some((first, last)) => {
                let mut source = Source::between(&self.at.sqlite, &self.projection, true)?;
                source.seek(&[Cell::Integer(first), Cell::Integer(last)])?;
                Ok(source)
            }
        }
    }

    /// One row, by its values.
    fn long(&self, source: &Source, marks: &mut Marks) -> (Projected, Mark, Standing) {
        let projected = source.project();
        let standing = self.standing(source, &projected);
        let mut mark = marks.of(&projected.values, &self.types);
        if standing == Standing::Unnamed {
            // Never equal to anything on the other side.
            mark.row = !mark.row;
            if self.projection.key.is_none() {
                mark.key = !mark.key;
            }
        }
        (projected, mark, standing)
    }

    /// Some rows; false at the end.
    fn step(
        &self,
        source: &mut Source,
        marks: &mut Marks,
        rows: &mut u64,
        each: &mut impl FnMut(&Source, Projected, Mark, Standing),
    ) -> Result<bool> {
        for _ in 0..STEP_ROWS {
            if !source.step()? {
                return Ok(false);
            }
            *rows += 1;
            let (projected, mark, standing) = self.long(source, marks);
            each(source, projected, mark, standing);
        }
        Ok(true)
    }

    /// Runs over PostgreSQL's rows.
    pub(super) async fn postgres(&self, mut each: impl FnMut(Row, Mark)) -> Result<u64> {
        let mut marks = Marks::new(&self.projection);
        self.rows(|row| {
            let values = row_of(row, &self.types)?;
            let mark = marks.of(&values, &self.types);
            each(values, mark);
            Ok(())
        })
        .await
    }

    /// Runs over PostgreSQL's rows of which only the marks are wanted: most of them are hashed as
    /// they are sent.
    async fn received(&self, mut each: impl FnMut(Mark)) -> Result<u64> {
        let quick = Quick::of(&self.projection);
        let mut marks = Marks::new(&self.projection);
        self.rows(|row| {
            marks.clear();
            let fed = (0..self.types.len()).all(|column| {
                let field = row.try_get::<_, Option<Received<'_>>>(column).ok().flatten();
                let fed = quick.feed_received(column, field.map(|f| f.0), &mut marks.row);
                marks.ends.push(marks.row.len());
                fed
            });
            let mark = match fed {
                true => marks.mark(),
                false => marks.of(&row_of(row, &self.types)?, &self.types),
            };
            each(mark);
            Ok(())
        })
        .await
    }

    async fn rows(&self, mut each: impl FnMut(&tokio_postgres::Row) -> Result<()>) -> Result<u64> {
        // Both sides are read at once; this one is the slower.
        let mut tally = Tally::new(self.tell, READING, &self.projection.relation.name, self.of);
        let control = &self.at.postgres;
        let mut sql = self.select();
        if let Some((first, last)) = self.range {
            let key = self.projection.key.iter().flatten().next().copied().unwrap_or_default();
            let column = quoted(&self.projection.columns[key].name);
            sql.push_str(&format!(" WHERE {column} BETWEEN '{first}'::int8 AND '{last}'::int8"));
        }
        let none: [&(dyn tokio_postgres::types::ToSql + Sync); 0] = [];
        let stream = control.client().query_raw(&sql, none).await.map_err(|e| control.error(&e))?;
        let mut stream = std::pin::pin!(stream);
        let mut rows: u64 = 0;
        while let Some(row) = stream.try_next().await.map_err(|e| control.error(&e))? {
            each(&row)?;
            rows += 1;
            if rows.is_multiple_of(STEP_ROWS as u64) {
                tally.at(rows);
            }
        }
        Ok(rows)
    }

    /// Reads every column of the table.
    pub(super) fn select(&self) -> String {
        let names: Vec<String> = self.projection.columns.iter().map(Target::selected).collect();
        format!("SELECT {} FROM {}", names.join(", "), table_name(&self.projection.relation))
    }

    pub(super) fn standing(&self, source: &Source, projected: &Projected) -> Standing {
        if projected.misfits.is_empty() && !self.known.has_rows() {
            return Standing::Compared(0);
        }
        let key = source.key(projected);
        if self.known.has(&key, ROW) {
            return match projected.left_out {
                true => Standing::LeftOut,
                false => Standing::Refused,
            };
        }
        let named = |column: usize| {
            // A generated value that does not fit is computed on the other side.
            let column = &self.projection.columns[column];
            column.generated || self.known.has(&key, &column.name)
        };
        if projected.left_out || !projected.misfits.iter().all(|m| named(m.column)) {
            return Standing::Unnamed;
        }
        Standing::Compared(projected.misfits.len() as u64)
    }
}
