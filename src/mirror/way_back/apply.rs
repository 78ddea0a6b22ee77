//! One table's changes as SQLite's statements.
//!
//! Owns the reading of PostgreSQL's values by the columns' codecs, and the statements. A
//! large value that PostgreSQL did not send is left as it is, and so is one that means what was
//! sent. It must never change a row that the change does not name, and never pass over a row
//! that should be there.

use std::collections::HashSet;
use std::sync::Arc;

use super::left_out::LeftOut;
use super::schema::Known;
use super::stored::Parent;
use crate::backend::postgres::decode::{Old, Table, TableColumn, Tuple, Value};
use crate::backend::postgres::project::back;
use crate::backend::sqlite::Connection;
use crate::divergence::changed::{Key, Part};
use crate::error::{Error, Result};
use crate::name;
use crate::schema::{Catalog, Column, Relation, RelationKind};
use crate::value::{Cell, Style, oid, storage};

/// Why a change cannot be followed.
#[derive(Debug)]
pub(super) enum Trouble {
    /// This table must be copied anew.
    Resync(String),
    /// SQLite failed; trying again may help.
    Failed(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

pub(super) type Step<T> = Result<T, Trouble>;

/// PostgreSQL numbers from here what was not there from the beginning.
const FIRST_MADE: u32 = 16384;

/// What the stream's table is here.
pub(super) enum Target {
    /// A table of the application.
    Table(Box<Shape>),
    /// Our own marker.
    Marker,
    /// Notes of schema changes.
    Notes,
    /// Something of ours that is not followed.
    Ignored,
    /// A table that SQLite has not, by name. The stream tells of partitions, too, whose rows it
    /// gives as those of their table: only a row of it is trouble.
    Absent(String),
}

/// A table of the stream beside SQLite's.
pub(super) struct Shape {
    pub(super) relation: Arc<Relation>,
    /// For each column of the stream: SQLite's column; None for one that SQLite computes, or has not.
    pub(super) columns: Vec<Option<usize>>,
    /// PostgreSQL's type of each column of the stream.
    pub(super) types: Vec<u32>,
    /// The stream's columns that tell a row from others.
    pub(super) identity: Vec<usize>,
    /// Several rows may be equal in them.
    pub(super) several: bool,
    /// Stored keys of rows that PostgreSQL does not have.
    pub(super) left_out: HashSet<Key>,
    /// The tables that its rows refer to.
    pub(super) parents: Vec<Parent>,
    pub(super) style: Style,
}

impl Target {
    /// Finds the stream's table in the catalog. `known` has its shape when the way back was
    /// prepared, and after changes that were carried, `left_out` the rows that PostgreSQL does not
    /// have.
    pub(super) fn find(
        table: &Table,
        catalog: &Catalog,
        known: &Known,
        left_out: &LeftOut,
    ) -> Step<Self> {
        if table.schema == "crossfade" {
            return Ok(match table.name.as_str() {
                "way_back_marker" => Self::Marker,
                "way_back_ddl" => Self::Notes,
                _ => Self::Ignored,
            });
        }
        if known.is_own_table(table.oid) {
            return Ok(Self::Ignored);
        }
        let resync = |why: &str| Trouble::Resync(format!("table {} {why}", table.name));
        let key = name::key(&table.schema, &table.name);
        let relation = catalog.relation(&key).filter(|r| r.kind == RelationKind::Table);
        let Some(relation) = relation else { return Ok(Self::Absent(key)) };
        if known.is_another(&key, table) {
            return Err(resync("was changed on PostgreSQL (DDL)"));
        }
        let mut shape = Shape::new(table, relation, catalog, known)?;
        shape.left_out = left_out.of_table(relation);
        Ok(Self::Table(Box::new(shape)))
    }
}

impl Shape {
    fn new(
        table: &Table,
        relation: &Arc<Relation>,
        catalog: &Catalog,
        known: &Known,
    ) -> Step<Self> {
        let resync = |why: &str| Trouble::Resync(format!("table {} {why}", table.name));
        let mut columns = Vec::with_capacity(table.columns.len());
        for column in &table.columns {
            let Some(index) = relation.column(&column.name) else {
                // A column of PostgreSQL's own from before the switch is nobody's business here.
                if known.is_own(&relation.name, column) {
                    columns.push(None);
                    continue;
                }
                return Err(resync("has a column on PostgreSQL that SQLite has not"));
            };
            let ours = &relation.columns[index];
            // What a change has made is the same on both sides, or was another change.
            if known.is_new(&relation.name, column) && !is_of_type(column, ours) {
                return Err(resync("has another type on PostgreSQL than in SQLite"));
            }
            columns.push(ours.generated.is_none().then_some(index));
        }
        let plain = relation.columns.iter().filter(|c| c.generated.is_none()).count();
        if columns.iter().flatten().count() != plain {
            return Err(resync("has a column in SQLite that PostgreSQL does not send"));
        }
        let at = |index: usize| columns.iter().position(|c| *c == Some(index));
        // The whole old row is sent: SQLite's own key is the better way to the row.
        let own: Option<Vec<usize>> = relation
            .key()
            .filter(|_| table.identity == b'f')
            .and_then(|key| key.iter().map(|index| at(*index)).collect());
        let sent = || -> Vec<usize> {
            (0..columns.len()).filter(|i| table.columns[*i].key && columns[*i].is_some()).collect()
        };
        let (identity, several) = match own {
            Some(key) => (key, false),
            None => (sent(), table.identity == b'f'),
        };
        Ok(Self {
            relation: Arc::clone(relation),
            left_out: HashSet::new(),
            parents: Parent::all(relation, catalog, &columns),
            columns,
            types: table.columns.iter().map(|c| c.type_oid).collect(),
            identity,
            several,
            // PostgreSQL has judged its labels already.
            style: Style { enums: Arc::new(catalog.enums.judged()), ..Style::default() },
        })
    }

    /// Name of the table.
    pub(super) fn name(&self) -> &str {
        &self.relation.name
    }

    pub(super) fn resync(&self, why: &str) -> Trouble {
        Trouble::Resync(format!("table {} {why}", self.relation.name))
    }

    pub(super) fn column(&self, at: usize) -> Option<&Column> {
        self.columns.get(at).copied().flatten().map(|index| &self.relation.columns[index])
    }

    /// A value as the column stores it; None when it was not sent.
    fn cell(&self, at: usize, value: &Value) -> Step<Option<Cell>> {
        let Some(column) = self.column(at) else { return Ok(None) };
        let bytes = match value {
            Value::Null => return Ok(Some(Cell::Null)),
            Value::Unchanged => return Ok(None),
            Value::Text(bytes) => bytes,
            Value::Binary(_) => return Err(self.resync("came in a form that was not asked for")),
        };
        let theirs = self.types.get(at).copied().unwrap_or(column.ty.oid);
        let read = self
            .shown(at, bytes)
            .and_then(|text| back(text, theirs, column.ty, &self.style))
            .and_then(|datum| storage::encode(column.codec, column.ty, &datum));
        // Without the value: it may be somebody's secret.
        read.map(Some).map_err(|error| {
            self.resync(&format!(
                "has a value in column {} that SQLite cannot hold ({})",
                column.name,
                error.sqlstate()
            ))
        })
    }

    /// What PostgreSQL shows of a value, without the blanks that fill a char(n): they are no part
    /// of it.
    pub(super) fn shown<'a>(&self, at: usize, bytes: &'a [u8]) -> Result<&'a str> {
        let shown = std::str::from_utf8(bytes)
            .map_err(|_| Error::internal("a value is not valid UTF-8"))?;
        let unfilled = self.column(at).is_some_and(|c| c.ty.is_unfilled());
        let filled = self.types.get(at) == Some(&oid::BPCHAR) && !unfilled;
        Ok(if filled { shown.trim_end_matches(' ') } else { shown })
    }

    /// The columns of a row that were sent: place in the stream, cell.
    fn row(&self, tuple: &Tuple) -> Step<Vec<(usize, Cell)>> {
        if tuple.0.len() != self.columns.len() {
            return Err(self.resync("came with another number of columns"));
        }
        let mut row = Vec::with_capacity(tuple.0.len());
        for (at, value) in tuple.0.iter().enumerate() {
            if let Some(cell) = self.cell(at, value)? {
                row.push((at, cell));
            }
        }
        Ok(row)
    }

    /// The row's key as stored; None where there is none, or it was not sent.
    pub(super) fn key(&self, tuple: &Tuple) -> Option<Key> {
        let of = |index: &usize| {
            let at = self.columns.iter().position(|c| *c == Some(*index))?;
            let cell = self.cell(at, tuple.0.get(at)?).ok()??;
            Part::of(cell.as_ref())
        };
        self.relation.key()?.iter().map(of).collect()
    }

    /// Reads a row as [`Shape::insert`] would and drops it: for the probe.
    pub(super) fn check(&self, tuple: &Tuple) -> Step<()> {
        self.row(tuple).map(drop)
    }

    /// A new row. One that is there already under the same key is trouble, and never overwritten:
    /// PostgreSQL may hold several rows where SQLite's key, of another collation or of fewer columns,
    /// holds one.
    pub(super) fn insert(&self, conn: &Connection, new: &Tuple) -> Step<()> {
        let mut row = self.row(new)?;
        self.as_parents(conn, &mut row, new)?;
        let names: Vec<String> = row.iter().map(|(at, _)| self.quoted(*at)).collect();
        let sql = format!(
            "INSERT INTO {} ({}) VALUES ({})",
            self.table(),
            names.join(", "),
            numbered(row.len())
        );
        let cells: Vec<Cell> = row.into_iter().map(|(_, cell)| cell).collect();
        self.run(conn, &sql, &cells).map(drop)
    }

    /// A changed row. What the application stored in a form of its own stays while its value does.
    pub(super) fn update(&self, conn: &Connection, old: Option<&Old>, new: &Tuple) -> Step<()> {
        let mut row = self.row(new)?;
        let identity = self.there(conn, old.map_or(new, |old| &old.tuple))?;
        let kept = self.kept(conn, &identity, new)?;
        row.retain(|(at, _)| !kept.contains(at));
        if row.is_empty() {
            return Ok(());
        }
        self.as_parents(conn, &mut row, new)?;
        let sets: Vec<String> = row
            .iter()
            .enumerate()
            .map(|(n, (at, _))| format!("{} = ?{}", self.quoted(*at), n + 1))
            .collect();
        let head = format!("UPDATE {} SET {}", self.table(), sets.join(", "));
        let values: Vec<Cell> = row.into_iter().map(|(_, cell)| cell).collect();
        self.change_one(conn, &head, values, identity)
    }

    /// A deleted row.
    pub(super) fn delete(&self, conn: &Connection, old: &Old) -> Step<()> {
        let identity = self.there(conn, &old.tuple)?;
        self.change_one(conn, &format!("DELETE FROM {}", self.table()), Vec::new(), identity)
    }

    /// The identity of the row that a change names, as stored.
    fn there(&self, conn: &Connection, tuple: &Tuple) -> Step<Vec<Cell>> {
        let lacks = || self.resync("lacks a row that PostgreSQL changed");
        self.locate(conn, tuple)?.ok_or_else(lacks)
    }

    /// TRUNCATE
    pub(super) fn truncate(&self, conn: &Connection) -> Step<()> {
        self.run(conn, &format!("DELETE FROM {}", self.table()), &[]).map(drop)
    }

    pub(super) fn identity(&self, tuple: &Tuple) -> Step<Vec<Cell>> {
        if self.identity.is_empty() {
            return Err(self.resync("has no replica identity on PostgreSQL"));
        }
        let missing = || self.resync("came without the key of a changed row");
        self.identity
            .iter()
            .map(|at| self.cell(*at, tuple.0.get(*at).ok_or_else(missing)?)?.ok_or_else(missing))
            .collect()
    }

    fn change_one(
        &self,
        conn: &Connection,
        head: &str,
        mut params: Vec<Cell>,
        identity: Vec<Cell>,
    ) -> Step<()> {
        let sql = format!("{head} WHERE {}", self.condition(params.len() + 1));
        params.extend(identity);
        match self.run(conn, &sql, &params)? {
            1 => Ok(()),
            0 => Err(self.resync("lacks a row that PostgreSQL changed")),
            _ => Err(self.resync("has several rows where PostgreSQL has one")),
        }
    }

    /// Finds exactly one row by its identity; parameters from `first` on.
    pub(super) fn condition(&self, first: usize) -> String {
        let terms: Vec<String> = self
            .identity
            .iter()
            .enumerate()
            .map(|(n, at)| {
                let (name, parameter) = (self.quoted(*at), first + n);
                let collated = self.column(*at).is_some_and(|c| c.collation.is_some());
                let operator = if self.several { "IS" } else { "=" };
                if collated {
                    // The first term may use an index, the second decides.
                    format!(
                        "{name} {operator} ?{parameter} AND \
                         {name} {operator} ?{parameter} COLLATE BINARY"
                    )
                } else {
                    format!("{name} {operator} ?{parameter}")
                }
            })
            .collect();
        let terms = terms.join(" AND ");
        if !self.several {
            return terms;
        }
        // A keyless table may hold equal rows: one of them is meant, no matter which.
        format!("rowid = (SELECT rowid FROM {} WHERE {terms} LIMIT 1)", self.table())
    }

    /// Runs a change; the file's constraints cannot be met by another order or a retry.
    fn run(&self, conn: &Connection, sql: &str, params: &[Cell]) -> Step<u64> {
        conn.execute(sql, params).map_err(|error| match error.sqlstate().class() {
            "22" | "23" => self.resync(&format!(
                "does not take a change made on PostgreSQL ({} {})",
                error.sqlstate(),
                error.message()
            )),
            _ => Trouble::Failed(error),
        })
    }

    pub(super) fn table(&self) -> String {
        format!("\"public\".{}", quoted(&self.relation.sqlite_name))
    }

    pub(super) fn quoted(&self, at: usize) -> String {
        self.column(at).map_or_else(String::new, |c| quoted(&c.sqlite_name))
    }
}

/// Whether a column of PostgreSQL's is of our column's type. Those of made types have numbers of
/// their own on either side.
fn is_of_type(theirs: &TableColumn, ours: &Column) -> bool {
    let declared = ours.declared();
    theirs.type_oid >= FIRST_MADE
        || (theirs.type_oid == declared.oid && theirs.typmod == declared.typmod)
}

pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn numbered(count: usize) -> String {
    (1..=count).map(|n| format!("?{n}")).collect::<Vec<_>>().join(", ")
}
