//! A table's rows on SQLite, as PostgreSQL should hold them.
//!
//! Owns the reading query. Backfill and verify read through it, so that they see the same
//! rows. It must never order or filter: whole tables only, or rows by their stored key.
//! Start at [`Source::open`].

use crate::backend::postgres::apply::quoted;
use crate::backend::postgres::project::{Projected, Projection};
use crate::backend::postgres::quarantine::{self, Entry};
use crate::backend::sqlite::{Connection, Statement};
use crate::error::Result;
use crate::value::{Cell, CellRef, Datum, Type};

/// Rows of a table in a snapshot.
pub(crate) struct Source {
    statement: Statement,
    pub(crate) projection: Projection,
    /// Result column of each column of the projection; None for those not read.
    slots: Vec<Option<usize>>,
    written: Vec<usize>,
    /// Column of the projection of each result column.
    read: Vec<usize>,
    rowid: Option<usize>,
}

impl Source {
    /// Every row of the table; generated columns only where they are asked for.
    pub(crate) fn open(
        connection: &Connection,
        projection: &Projection,
        generated: bool,
    ) -> Result<Self> {
        Self::prepare(connection, projection, generated, "")
    }

    /// Rows by key: bind it with [`Source::seek`].
    pub(crate) fn by_key(connection: &Connection, projection: &Projection) -> Result<Self> {
        let key = projection.key.as_deref().unwrap_or_default();
        let terms: Vec<String> = key
            .iter()
            .enumerate()
            .map(|(n, i)| {
                let column = &projection.relation.columns[projection.columns[*i].index];
                format!("{} IS ?{} COLLATE BINARY", quoted(&column.sqlite_name), n + 1)
            })
            .collect();
        let filter = format!(" WHERE {}", terms.join(" AND "));
        Self::prepare(connection, projection, true, &filter)
    }

    /// Rows by their place: bind it with [`Source::seek`].
    pub(crate) fn by_place(connection: &Connection, projection: &Projection) -> Result<Self> {
        let relation = &projection.relation;
        let terms: Vec<String> = match relation.rowid_name() {
            Some(name) => vec![format!("{name} = ?1")],
            None => {
                let key = projection.named_by.iter().flatten().enumerate();
                key.map(|(n, i)| {
                    let column = &relation.columns[projection.columns[*i].index];
                    format!("{} IS ?{} COLLATE BINARY", quoted(&column.sqlite_name), n + 1)
                })
                .collect()
            }
        };
        let filter = format!(" WHERE {}", terms.join(" AND "));
        Self::prepare(connection, projection, true, &filter)
    }

    /// Rows whose key, one column of integers, lies in a range: bind it with [`Source::seek`].
    pub(crate) fn between(
        connection: &Connection,
        projection: &Projection,
        generated: bool,
    ) -> Result<Self> {
        let key = projection.key.iter().flatten().next().copied().unwrap_or_default();
        let column = &projection.relation.columns[projection.columns[key].index];
        let filter = format!(" WHERE {} BETWEEN ?1 AND ?2", quoted(&column.sqlite_name));
        Self::prepare(connection, projection, generated, &filter)
    }

    fn prepare(
        connection: &Connection,
        projection: &Projection,
        generated: bool,
        filter: &str,
    ) -> Result<Self> {
        let relation = &projection.relation;
        let written = projection.written();
        let read: Vec<usize> = match generated {
            true => (0..projection.columns.len()).collect(),
            false => written.clone(),
        };
        let mut names: Vec<String> = read
            .iter()
            .map(|i| quoted(&relation.columns[projection.columns[*i].index].sqlite_name))
            .collect();
        let rowid = relation.rowid_name().map(|name| {
            names.push(name.to_owned());
            names.len() - 1
        });
        let slots =
            (0..projection.columns.len()).map(|i| read.iter().position(|r| *r == i)).collect();
        let sql = format!(
            "SELECT {} FROM \"public\".{}{filter}",
            names.join(", "),
            quoted(&relation.sqlite_name)
        );
        let statement = connection.prepare(&sql)?;
        Ok(Self { statement, projection: projection.clone(), slots, written, read, rowid })
    }

    /// Goes to the rows with a stored key, or between two.
    pub(crate) fn seek(&mut self, key: &[Cell]) -> Result<()> {
        self.statement.reset();
        for (i, cell) in key.iter().enumerate() {
            self.statement.bind(i + 1, cell.as_ref())?;
        }
        Ok(())
    }

    /// The next row; false at the end.
    pub(crate) fn step(&mut self) -> Result<bool> {
        self.statement.step()
    }

    /// The stored cell of a column of the projection.
    pub(crate) fn cell(&self, column: usize) -> CellRef<'_> {
        self.slots[column].map_or(CellRef::Null, |slot| self.statement.column(slot))
    }

    /// The stored cells of the columns that are read, in the projection's order, until `each` says
    /// no: whether it never did.
    pub(crate) fn cells(&self, mut each: impl FnMut(usize, CellRef<'_>) -> bool) -> bool {
        self.statement.columns(|i, cell| self.read.get(i).is_none_or(|column| each(*column, cell)))
    }

    /// The row as PostgreSQL should hold it.
    pub(crate) fn project(&self) -> Projected {
        self.projection.project(|i| self.cell(i))
    }

    /// What finds the row in the file again: its number, or its key as it is stored. None where it
    /// has neither.
    pub(crate) fn place(&self) -> Option<Vec<Cell>> {
        if let Some(rowid) = self.rowid() {
            return Some(vec![Cell::Integer(rowid)]);
        }
        let key = self.projection.named_by.as_deref()?;
        Some(key.iter().map(|i| self.cell(*i).to_cell()).collect())
    }

    fn rowid(&self) -> Option<i64> {
        match self.statement.column(self.rowid?) {
            CellRef::Integer(i) => Some(i),
            _ => None,
        }
    }

    /// The row's name in the quarantine.
    pub(crate) fn key(&self, projected: &Projected) -> String {
        quarantine::row_key(&self.projection, |i| self.cell(i), projected, self.rowid())
    }

    /// The row's entries for the quarantine.
    pub(crate) fn entries(&self, projected: &Projected, refused: Option<&str>) -> Vec<Entry> {
        let key = self.key(projected);
        quarantine::entries(&self.projection, |i| self.cell(i), projected, &key, refused)
    }

    /// How many columns are read.
    pub(crate) fn width(&self) -> usize {
        self.read.len()
    }

    /// The values that are written.
    pub(crate) fn values<'a>(
        &'a self,
        projected: &'a Projected,
    ) -> impl ExactSizeIterator<Item = (&'a Datum, Type)> {
        let of = |i: &usize| (&projected.values[*i], self.projection.columns[*i].ty);
        self.written.iter().map(of)
    }
}
