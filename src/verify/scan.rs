//! Reading both sides of one table, and hashing rows so that order does not matter.
//!
//! Owns the streams and the hashes. Memory is bounded by the number of buckets, never by
//! the number of rows. It must never call two values different that PostgreSQL calls equal.
//! Start at [`Pair`].

use futures_util::TryStreamExt;
use futures_util::future::try_join;

use super::cut::AtCut;
use crate::backend::postgres::apply::{quoted, table_name};
use crate::backend::postgres::binary::row_of;
use crate::backend::postgres::project::{Projected, Projection};
use crate::backend::postgres::quarantine::{Known, ROW};
use crate::backend::sqlite::blocking;
use crate::backfill::Tell;
use crate::backfill::pace::Pace;
use crate::backfill::source::Source;
use crate::backfill::told::Tally;
use crate::compare::Row;
use crate::error::Result;
use crate::value::{Type, canonical};

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
    /// In quarantine as a whole: not expected on PostgreSQL.
    LeftOut,
    /// A value does not fit, and is not in quarantine either.
    Unnamed,
}

impl Pair<'_> {
    /// Runs over both sides' rows: PostgreSQL prepares its own while SQLite's are hashed. SQLite's
    /// rows, counted.
    pub(super) async fn both(
        &self,
        ours: impl FnMut(&Source, Projected, Mark, Standing),
        theirs: impl FnMut(Row, Mark),
    ) -> Result<u64> {
        let (rows, _) = try_join(self.sqlite(ours), self.postgres(theirs)).await?;
        Ok(rows)
    }

    /// Runs over SQLite's rows.
    pub(super) async fn sqlite(
        &self,
        mut each: impl FnMut(&Source, Projected, Mark, Standing),
    ) -> Result<u64> {
        let mut source = Source::open(&self.at.sqlite, &self.projection, true)?;
        let (mut rows, pace) = (0, Pace::new(self.at.rows_per_second));
        while blocking(|| self.step(&mut source, &mut rows, &mut each))? {
            match pace.ahead(rows) {
                Some(ahead) => tokio::time::sleep(ahead).await,
                None => tokio::task::yield_now().await,
            }
        }
        Ok(rows)
    }

    /// Some rows; false at the end.
    fn step(
        &self,
        source: &mut Source,
        rows: &mut u64,
        each: &mut impl FnMut(&Source, Projected, Mark, Standing),
    ) -> Result<bool> {
        for _ in 0..STEP_ROWS {
            if !source.step()? {
                return Ok(false);
            }
            *rows += 1;
            let projected = source.project();
            let standing = self.standing(source, &projected);
            let mut mark = self.mark(&projected.values);
            if standing == Standing::Unnamed {
                // Never equal to anything on the other side.
                mark.row = !mark.row;
                if self.projection.key.is_none() {
                    mark.key = !mark.key;
                }
            }
            each(source, projected, mark, standing);
        }
        Ok(true)
    }

    /// Runs over PostgreSQL's rows.
    pub(super) async fn postgres(&self, mut each: impl FnMut(Row, Mark)) -> Result<u64> {
        // Both sides are read at once; this one is the slower.
        let doing = "reading both sides' rows of";
        let mut tally = Tally::new(self.tell, doing, &self.projection.relation.name, self.of);
        let control = &self.at.postgres;
        let sql = self.select();
        let none: [&(dyn tokio_postgres::types::ToSql + Sync); 0] = [];
        let stream = control.client().query_raw(&sql, none).await.map_err(|e| control.error(&e))?;
        let mut stream = std::pin::pin!(stream);
        let mut rows: u64 = 0;
        while let Some(row) = stream.try_next().await.map_err(|e| control.error(&e))? {
            let values = row_of(&row, &self.types)?;
            let mark = self.mark(&values);
            rows += 1;
            each(values, mark);
            if rows.is_multiple_of(STEP_ROWS as u64) {
                tally.at(rows);
            }
        }
        Ok(rows)
    }

    /// Reads every column of the table.
    pub(super) fn select(&self) -> String {
        let names: Vec<String> = self.projection.columns.iter().map(|c| quoted(&c.name)).collect();
        format!("SELECT {} FROM {}", names.join(", "), table_name(&self.projection.relation))
    }

    pub(super) fn standing(&self, source: &Source, projected: &Projected) -> Standing {
        if projected.misfits.is_empty() && !self.known.has_rows() {
            return Standing::Compared(0);
        }
        let key = source.key(projected);
        if self.known.has(&key, ROW) {
            return Standing::LeftOut;
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

    pub(super) fn mark(&self, values: &Row) -> Mark {
        let row = canonical::wide(values.iter().zip(&self.types));
        let key = match &self.projection.key {
            Some(key) => canonical::wide(key.iter().map(|i| (&values[*i], &self.types[*i]))),
            None => row,
        };
        // Any 64 of the bits do for telling rows apart inside a table.
        Mark { key: (key >> 64) as u64 ^ key as u64, row }
    }
}
