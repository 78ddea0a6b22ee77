//! Where in the file a row is that PostgreSQL names, and what of it the file has already.
//!
//! A key that PostgreSQL sends is written in PostgreSQL's way: the file may hold it in another
//! spelling, and a row in quarantine may have the very spelling that is sent. So a row is the one
//! that means what was sent and is not left out. Owns finding it, and what is equal in meaning: that
//! stays as the application stored it. It must never take one of two rows. Start at
//! [`Shape::locate`].

use super::apply::{Shape, Step, quoted};
use crate::backend::postgres::decode::{Tuple, Value};
use crate::backend::postgres::project::{back, is_apart, is_same};
use crate::backend::sqlite::{Connection, owned};
use crate::divergence::changed::{Key, Part};
use crate::error::Result;
use crate::schema::{Catalog, Column, Relation};
use crate::value::{Cell, CellRef, Style, canonical, storage};

use std::sync::Arc;

/// Whether a stored cell means what PostgreSQL shows of a column of its own type.
fn means(column: &Column, cell: CellRef<'_>, shown: &str, theirs: u32, style: &Style) -> bool {
    if is_apart(theirs, column.ty) {
        return is_same(cell, column.codec, column.ty, shown, theirs);
    }
    let stored = storage::decode(column.codec, column.ty, cell);
    let sent = back(shown, theirs, column.ty, style);
    matches!((stored, sent), (Ok(a), Ok(b)) if canonical::equal(&a, &b, column.ty))
}

/// A table that a column refers to by values which have several spellings.
pub(super) struct Parent {
    /// Places in the stream.
    columns: Vec<usize>,
    relation: Arc<Relation>,
    /// Its columns, in the same order.
    referenced: Vec<usize>,
}

impl Parent {
    /// Those of a table, as far as every column is sent.
    pub(super) fn all(relation: &Relation, catalog: &Catalog, sent: &[Option<usize>]) -> Vec<Self> {
        let of = |key: &crate::schema::ForeignKey| {
            let parent = Arc::clone(catalog.relation(&key.table)?);
            let at = |index: &usize| sent.iter().position(|c| *c == Some(*index));
            let columns: Vec<usize> = key.columns.iter().map(at).collect::<Option<_>>()?;
            let referenced: Vec<usize> = match key.referenced.is_empty() {
                true => parent.primary_key.clone()?,
                false => {
                    key.referenced.iter().map(|name| parent.column(name)).collect::<Option<_>>()?
                }
            };
            let same = columns.len() == referenced.len();
            same.then_some(Self { columns, relation: parent, referenced })
        };
        relation.foreign_keys.iter().filter_map(of).collect()
    }
}

impl Shape {
    /// Whether a value of a column is stored in one way only.
    pub(super) fn has_one_form(&self, at: usize) -> bool {
        let plain = |c: &Column| c.codec.has_one_form(c.ty) && c.collation.is_none();
        !self.is_apart(at) && self.column(at).is_some_and(plain)
    }

    /// Whether PostgreSQL's column is of another kind than ours.
    fn is_apart(&self, at: usize) -> bool {
        let ours = self.column(at).map(|column| column.ty);
        ours.is_some_and(|ours| self.types.get(at).is_some_and(|ty| is_apart(*ty, ours)))
    }

    /// Whether a stored cell means what PostgreSQL sent.
    fn means(&self, at: usize, cell: CellRef<'_>, sent: Option<&Value>) -> bool {
        let (Some(column), Some(theirs)) = (self.column(at), self.types.get(at)) else {
            return false;
        };
        match sent {
            Some(Value::Null) => cell == CellRef::Null,
            Some(Value::Text(bytes)) => self
                .shown(at, bytes)
                .is_ok_and(|shown| means(column, cell, shown, *theirs, &self.style)),
            _ => false,
        }
    }

    /// The identity of the one row that a change names, as the file stores it; None where there is
    /// none.
    pub(super) fn locate(&self, conn: &Connection, tuple: &Tuple) -> Step<Option<Vec<Cell>>> {
        let sent = self.identity(tuple)?;
        if self.left_out.is_empty() && self.identity.iter().all(|at| self.has_one_form(*at)) {
            return Ok(Some(sent));
        }
        let width = self.identity.len();
        let own = self.relation.key().unwrap_or_default();
        let own = own.iter().map(|i| quoted(&self.relation.columns[*i].sqlite_name));
        let names: Vec<String> =
            self.identity.iter().map(|at| self.quoted(*at)).chain(own).collect();
        let all = format!("SELECT {} FROM {}", names.join(", "), self.table());
        let direct = format!("{all} WHERE {}", self.condition(1));
        if let Some(mut cells) = conn.query_row(&direct, &sent)?
            && !self.is_left_out(&cells[width..])
        {
            cells.truncate(width);
            return Ok(Some(cells));
        }
        let mut found: Option<Vec<Cell>> = None;
        let mut statement = conn.prepare(&all)?;
        while statement.step()? {
            let mut identity = self.identity.iter().enumerate();
            if !identity.all(|(n, at)| self.means(*at, statement.column(n), tuple.0.get(*at))) {
                continue;
            }
            let cells = (0..names.len()).map(|i| owned(statement.column(i)));
            let mut cells: Vec<Cell> = cells.collect::<Result<_>>()?;
            if self.is_left_out(&cells[width..]) {
                continue;
            }
            cells.truncate(width);
            if self.several {
                return Ok(Some(cells));
            }
            if found.replace(cells).is_some() {
                return Err(self.resync("has several rows where PostgreSQL has one"));
            }
        }
        Ok(found)
    }

    /// Whether a row with this key of SQLite's is not on PostgreSQL.
    fn is_left_out(&self, key: &[Cell]) -> bool {
        if self.left_out.is_empty() {
            return false;
        }
        let key: Option<Key> = key.iter().map(|cell| Part::of(cell.as_ref())).collect();
        key.is_some_and(|key| self.left_out.contains(&key))
    }

    /// The columns that need not be written: what the file has means what was sent.
    pub(super) fn kept(
        &self,
        conn: &Connection,
        identity: &[Cell],
        new: &Tuple,
    ) -> Step<Vec<usize>> {
        let same = |(at, cell): (&usize, &Cell)| {
            self.means(*at, cell.as_ref(), new.0.get(*at)).then_some(*at)
        };
        let mut kept: Vec<usize> = self.identity.iter().zip(identity).filter_map(same).collect();
        let loose = |at: &usize| {
            let column = self.column(*at).is_some();
            column && !self.identity.contains(at) && !self.has_one_form(*at)
        };
        let loose: Vec<usize> = (0..self.columns.len()).filter(loose).collect();
        if loose.is_empty() {
            return Ok(kept);
        }
        let names: Vec<String> = loose.iter().map(|at| self.quoted(*at)).collect();
        let condition = self.condition(1);
        let sql = format!("SELECT {} FROM {} WHERE {condition}", names.join(", "), self.table());
        let Some(cells) = conn.query_row(&sql, identity)? else { return Ok(kept) };
        kept.extend(loose.iter().zip(&cells).filter_map(same));
        Ok(kept)
    }

    /// Writes references as the rows that they refer to spell their keys: SQLite compares what is
    /// stored.
    pub(super) fn as_parents(
        &self,
        conn: &Connection,
        row: &mut [(usize, Cell)],
        new: &Tuple,
    ) -> Step<()> {
        for parent in &self.parents {
            if parent.columns.iter().all(|at| self.has_one_form(*at)) {
                continue;
            }
            let place = |at: &usize| row.iter().position(|(sent, _)| sent == at);
            let Some(places) = parent.columns.iter().map(place).collect::<Option<Vec<_>>>() else {
                continue;
            };
            let sent: Vec<Cell> = places.iter().map(|place| row[*place].1.clone()).collect();
            if sent.contains(&Cell::Null) {
                continue;
            }
            if let Some(stored) = self.spelled(conn, parent, &sent, new)? {
                for (place, cell) in places.into_iter().zip(stored) {
                    row[place].1 = cell;
                }
            }
        }
        Ok(())
    }

    /// How the row that is referred to spells its key; None where there is no such row.
    fn spelled(
        &self,
        conn: &Connection,
        parent: &Parent,
        sent: &[Cell],
        new: &Tuple,
    ) -> Step<Option<Vec<Cell>>> {
        let columns: Vec<&Column> =
            parent.referenced.iter().map(|i| &parent.relation.columns[*i]).collect();
        let names: Vec<String> = columns.iter().map(|c| quoted(&c.sqlite_name)).collect();
        let table = quoted(&parent.relation.sqlite_name);
        let all = format!("SELECT {} FROM \"public\".{table}", names.join(", "));
        let terms = names.iter().enumerate();
        let terms: Vec<String> = terms.map(|(n, name)| format!("{name} = ?{}", n + 1)).collect();
        let direct = format!("{all} WHERE {}", terms.join(" AND "));
        if let Some(cells) = conn.query_row(&direct, sent)? {
            return Ok(Some(cells));
        }
        let mut statement = conn.prepare(&all)?;
        while statement.step()? {
            let same = columns.iter().zip(&parent.columns).enumerate().all(|(n, (column, at))| {
                let Some(Value::Text(bytes)) = new.0.get(*at) else { return false };
                let shown = self.shown(*at, bytes);
                let theirs = self.types[*at];
                shown.is_ok_and(|shown| {
                    means(column, statement.column(n), shown, theirs, &self.style)
                })
            });
            if same {
                let cells = (0..columns.len()).map(|i| owned(statement.column(i)));
                return Ok(Some(cells.collect::<Result<_>>()?));
            }
        }
        Ok(None)
    }
}
