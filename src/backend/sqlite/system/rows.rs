//! Rows of system tables and how one table finds its generator.
//!
//! A row is one cell for each column of the shape, in order. [`Maker`] fills the columns a
//! generator does not name: the type's zero where PostgreSQL says NOT NULL, else NULL.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::data::{builtin, is_number};
use super::{Core, Slot, classes, constraints, information, live, named, routines, types};
use crate::name::bared;
use crate::schema::{Relation, system};
use crate::value::Cell;

/// One row. Shared: built-in rows appear in many snapshots.
pub(crate) type Row = Arc<[Cell]>;

/// A key of an equality index.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Integer(i64),
    Text(String),
}

/// Positions of the rows that have each key.
pub(crate) type EqualityIndex = HashMap<Key, Vec<u32>>;

/// The rows of one system table, with equality indexes made on first use.
pub(crate) struct Table {
    pub(crate) shape: Arc<Relation>,
    pub(crate) rows: Vec<Row>,
    indexes: Mutex<HashMap<usize, Arc<EqualityIndex>>>,
}

impl Table {
    pub(crate) fn new(shape: Arc<Relation>, rows: Vec<Row>) -> Self {
        Self { shape, rows, indexes: Mutex::default() }
    }

    /// The equality index of one column.
    pub(crate) fn index(&self, column: usize) -> Arc<EqualityIndex> {
        let mut indexes = self.indexes.lock();
        Arc::clone(indexes.entry(column).or_insert_with(|| {
            let mut index = EqualityIndex::new();
            for (position, row) in self.rows.iter().enumerate() {
                if let Some(key) = row.get(column).and_then(key) {
                    index.entry(key).or_default().push(u32::try_from(position).unwrap_or(u32::MAX));
                }
            }
            Arc::new(index)
        }))
    }

    /// Rows whose `column` equals `value`.
    pub(crate) fn find(&self, column: &str, value: &Cell) -> Vec<Row> {
        let (Some(column), Some(key)) = (self.shape.column(column), key(value)) else {
            return Vec::new();
        };
        let positions = self.index(column).get(&key).cloned().unwrap_or_default();
        positions.iter().filter_map(|p| self.rows.get(*p as usize).cloned()).collect()
    }

    /// A cell of a row by column name; NULL when there is no such column.
    pub(crate) fn get<'a>(&self, row: &'a Row, column: &str) -> &'a Cell {
        const NULL: &Cell = &Cell::Null;
        self.shape.column(column).and_then(|c| row.get(c)).unwrap_or(NULL)
    }
}

fn key(cell: &Cell) -> Option<Key> {
    match cell {
        Cell::Integer(i) => Some(Key::Integer(*i)),
        Cell::Text(t) => Some(Key::Text(t.clone())),
        _ => None,
    }
}

/// Makes rows of one shape from values of named columns.
pub(crate) struct Maker {
    blank: Vec<Cell>,
    positions: Vec<usize>,
}

impl Maker {
    /// `columns` are those for which every row gives a value, in that order. Unknown names
    /// are a fault of the generator and leave their value out.
    pub(crate) fn new(shape: &Relation, columns: &[&str]) -> Self {
        let blank = shape
            .columns
            .iter()
            .map(|c| match (c.not_null, c.ty.oid) {
                (false, _) => Cell::Null,
                (true, number) if is_number(number) => Cell::Integer(0),
                (true, _) => Cell::Text(String::new()),
            })
            .collect();
        let positions = columns
            .iter()
            .map(|name| {
                let found = shape.column(name);
                debug_assert!(found.is_some(), "{}.{name} exists", shape.name);
                found.unwrap_or(usize::MAX)
            })
            .collect();
        Self { blank, positions }
    }

    pub(crate) fn row<const N: usize>(&self, values: [Cell; N]) -> Row {
        debug_assert_eq!(N, self.positions.len(), "one value for each named column");
        let mut cells = self.blank.clone();
        for (position, value) in self.positions.iter().zip(values) {
            if let Some(cell) = cells.get_mut(*position) {
                *cell = value;
            }
        }
        cells.into()
    }
}

/// The shape of a table of `pg_catalog`.
pub(crate) fn shape(name: &str) -> Arc<Relation> {
    Arc::clone(&system::relations().0[name])
}

/// A text cell; the key of a name is the name.
pub(crate) fn text(value: impl Into<String>) -> Cell {
    let value = value.into();
    match bared(&value) {
        Cow::Borrowed(_) => Cell::Text(value),
        Cow::Owned(bare) => Cell::Text(bare),
    }
}

/// An integer cell.
pub(crate) fn int(value: impl Into<i64>) -> Cell {
    Cell::Integer(value.into())
}

/// A bool cell.
pub(crate) fn flag(value: bool) -> Cell {
    Cell::Integer(i64::from(value))
}

/// A text cell or NULL.
pub(crate) fn maybe(value: Option<impl Into<String>>) -> Cell {
    value.map_or(Cell::Null, text)
}

/// An array cell of integers (the logical cell of arrays is JSON).
pub(crate) fn list<T: Into<i64>>(values: impl IntoIterator<Item = T>) -> Cell {
    let items: Vec<String> = values.into_iter().map(|v| v.into().to_string()).collect();
    Cell::Text(format!("[{}]", items.join(",")))
}

/// The rows of one system table as `slot` shows it.
pub(crate) fn rows_of(slot: &Slot, shape: &Arc<Relation>) -> Arc<Table> {
    let snapshot = slot.snapshot();
    if shape.schema != "pg_catalog" {
        return kept(&snapshot.tables, shape, || information::rows(&snapshot, shape));
    }
    match shape.name.as_str() {
        // Changes without any DDL: never kept.
        "pg_sequences" => {
            let rows = named::pg_sequences(&snapshot, slot.sequences());
            Arc::new(Table::new(Arc::clone(shape), rows))
        }
        name if live::TABLES.contains(&name) => live::table(snapshot.live.as_deref(), shape),
        name if named::TABLES.contains(&name) => {
            kept(&snapshot.tables, shape, || named::rows(&snapshot, name))
        }
        _ => snapshot.table(shape),
    }
}

fn kept(
    tables: &Mutex<HashMap<String, Arc<Table>>>,
    shape: &Arc<Relation>,
    make: impl FnOnce() -> Vec<Row>,
) -> Arc<Table> {
    if let Some(table) = tables.lock().get(&shape.name) {
        return Arc::clone(table);
    }
    // Made outside the lock: generators ask for other tables.
    let table = Arc::new(Table::new(Arc::clone(shape), make()));
    tables.lock().insert(shape.name.clone(), Arc::clone(&table));
    table
}

impl Core {
    /// The rows of one table of `pg_catalog` that names neither database nor role.
    pub(crate) fn table(&self, shape: &Arc<Relation>) -> Arc<Table> {
        let own = match shape.name.as_str() {
            "pg_type" => true,
            "pg_description" => !self.catalog.comments.is_empty(),
            "pg_proc" => !self.catalog.functions.is_empty(),
            _ => false,
        };
        if !own && let Some(builtin) = builtin(&shape.name) {
            return builtin;
        }
        kept(&self.tables, shape, || catalog_rows(self, &shape.name))
    }
}

fn catalog_rows(core: &Core, name: &str) -> Vec<Row> {
    match name {
        "pg_class" => classes::pg_class(core),
        "pg_attribute" => classes::pg_attribute(core),
        "pg_attrdef" => classes::pg_attrdef(core),
        "pg_sequence" => classes::pg_sequence(core),
        "pg_depend" => classes::pg_depend(core),
        "pg_rewrite" => classes::pg_rewrite(core),
        "pg_namespace" => classes::pg_namespace(core),
        "pg_type" => types::pg_type(core),
        "pg_enum" => types::pg_enum(core),
        "pg_constraint" => constraints::pg_constraint(core),
        "pg_index" => constraints::pg_index(core),
        "pg_description" => routines::pg_description(core),
        "pg_trigger" => routines::pg_trigger(core),
        "pg_proc" => routines::pg_proc(core),
        // Tables of things that cannot exist here are empty.
        _ => Vec::new(),
    }
}
