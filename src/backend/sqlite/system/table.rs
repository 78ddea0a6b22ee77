//! The virtual table module behind every system table.
//!
//! Reads only. Equality on any column is pushed down to an index made on first use; every
//! other condition is left to SQLite, which also checks the pushed-down one again.

use std::borrow::Cow;
use std::ffi::{CStr, CString, c_int};
use std::sync::Arc;

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::vtab::{
    Context, CreateVTab, Filters, IndexConstraintOp, IndexInfo, Module, VTab, VTabConfig,
    VTabConnection, VTabCursor, VTabKind, sqlite3_vtab, sqlite3_vtab_cursor,
};
use rusqlite::{Connection, Result};

use super::rows::{Key, Table, rows_of};
use super::{Slot, data};
use crate::schema::{Relation, system};
use crate::value::{Cell, oid};

const MODULE: &CStr = c"crossfade_system";

/// Attaches both schemas and declares all their tables.
pub(super) fn register(connection: &Connection, slot: &Arc<Slot>) -> Result<()> {
    const VTAB: &Module<'static, SystemTab> = &Module::read_only_module();
    connection.create_module(MODULE, VTAB, Some(Arc::clone(slot)))?;
    connection.execute_batch(
        "ATTACH ':memory:' AS pg_catalog; ATTACH ':memory:' AS information_schema; BEGIN",
    )?;
    let (catalog, information) = system::relations();
    for relation in catalog.values().chain(information.values()) {
        connection.execute_batch(&format!(
            "CREATE VIRTUAL TABLE \"{}\".\"{}\" USING crossfade_system",
            relation.schema, relation.name
        ))?;
    }
    connection.execute_batch("COMMIT")
}

/// One system table of one connection.
#[repr(C)]
struct SystemTab {
    /// Must be first.
    base: sqlite3_vtab,
    slot: Arc<Slot>,
    shape: Arc<Relation>,
}

/// The affinity of a column's logical cells, so that SQLite compares them as they are.
fn affinity(type_oid: u32) -> &'static str {
    match type_oid {
        oid::FLOAT4 | oid::FLOAT8 => "REAL",
        oid::BYTEA => "BLOB",
        number if data::is_number(number) => "INTEGER",
        _ => "TEXT",
    }
}

fn failed(message: String) -> rusqlite::Error {
    rusqlite::Error::ModuleError(message)
}

// SAFETY: the struct is repr(C) and begins with sqlite3_vtab, as the trait demands.
#[allow(unsafe_code)]
unsafe impl VTab<'_> for SystemTab {
    type Aux = Arc<Slot>;
    type Cursor = SystemCursor;

    fn connect(
        db: &mut VTabConnection,
        aux: Option<&Arc<Slot>>,
        _module: &[u8],
        database: &[u8],
        table: &[u8],
        _args: &[&[u8]],
    ) -> Result<(Cow<'static, CStr>, Self)> {
        let (catalog, information) = system::relations();
        let schema = if database == b"pg_catalog" { catalog } else { information };
        let name = String::from_utf8_lossy(table);
        let shape = schema.get(name.as_ref()).ok_or_else(|| failed(format!("no {name}")))?;
        let slot = aux.ok_or_else(|| failed("no state".to_owned()))?;
        db.config(VTabConfig::Innocuous)?;
        let columns: Vec<String> = shape
            .columns
            .iter()
            .map(|c| format!("\"{}\" {}", c.name, affinity(c.ty.oid)))
            .collect();
        // `tableoid` is there for those who ask by name, as every table's is in PostgreSQL.
        let sql = format!("CREATE TABLE x({}, tableoid INTEGER HIDDEN)", columns.join(", "));
        let sql = CString::new(sql).map_err(|e| failed(e.to_string()))?;
        let slot = Arc::clone(slot);
        let shape = Arc::clone(shape);
        Ok((Cow::Owned(sql), Self { base: sqlite3_vtab::default(), slot, shape }))
    }

    fn best_index(&self, info: &mut IndexInfo) -> Result<bool> {
        let mut best: Option<(usize, usize)> = None;
        for (position, constraint) in info.constraints().enumerate() {
            let column = usize::try_from(constraint.column()).ok();
            let Some(column) = column.filter(|c| *c < self.shape.columns.len()) else { continue };
            let equality = matches!(
                constraint.operator(),
                IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_EQ
                    | IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_IS
            );
            if !equality || !constraint.is_usable() || info.collation(position)? != "BINARY" {
                continue;
            }
            if best.is_none_or(|(_, b)| self.rank(column) < self.rank(b)) {
                best = Some((position, column));
            }
        }
        match best {
            Some((position, column)) => {
                info.constraint_usage(position).set_argv_index(1);
                info.set_idx_num(c_int::try_from(column).unwrap_or(-1));
                let rows = [1_i64, 10, 100][self.rank(column)];
                info.set_estimated_rows(rows);
                #[allow(clippy::cast_precision_loss)]
                info.set_estimated_cost(rows as f64);
            }
            None => {
                info.set_idx_num(-1);
                info.set_estimated_rows(3000);
                info.set_estimated_cost(30_000.0);
            }
        }
        Ok(true)
    }

    fn open(&mut self) -> Result<SystemCursor> {
        Ok(SystemCursor {
            base: sqlite3_vtab_cursor::default(),
            slot: Arc::clone(&self.slot),
            shape: Arc::clone(&self.shape),
            table: None,
            chosen: None,
            position: 0,
        })
    }
}

impl SystemTab {
    /// How selective equality on a column is: 0 one row, 1 a few, 2 many.
    fn rank(&self, column: usize) -> usize {
        let name = self.shape.columns[column].name.as_str();
        match name {
            "oid" | "indexrelid" | "seqrelid" => 0,
            _ if name.ends_with("relid") || name.ends_with("name") || name == "objoid" => 1,
            _ => 2,
        }
    }
}

impl CreateVTab<'_> for SystemTab {
    const KIND: VTabKind = VTabKind::Default;
}

/// A scan of one system table.
#[repr(C)]
struct SystemCursor {
    /// Must be first.
    base: sqlite3_vtab_cursor,
    slot: Arc<Slot>,
    shape: Arc<Relation>,
    table: Option<Arc<Table>>,
    /// Positions found by an equality index; None scans all rows.
    chosen: Option<Vec<u32>>,
    position: usize,
}

impl SystemCursor {
    fn row(&self) -> Option<&super::rows::Row> {
        let table = self.table.as_ref()?;
        match &self.chosen {
            Some(chosen) => table.rows.get(*chosen.get(self.position)? as usize),
            None => table.rows.get(self.position),
        }
    }
}

// SAFETY: the struct is repr(C) and begins with sqlite3_vtab_cursor, as the trait demands.
#[allow(unsafe_code)]
unsafe impl VTabCursor for SystemCursor {
    fn filter(&mut self, column: c_int, _name: Option<&str>, args: &Filters<'_>) -> Result<()> {
        let table = rows_of(&self.slot, &self.shape);
        self.position = 0;
        self.chosen = None;
        if let (Ok(column), false) = (usize::try_from(column), args.is_empty()) {
            let number = data::is_number(self.shape.columns[column].ty.oid);
            // A value of another storage class is left to SQLite's own comparison.
            let key = match (args.get::<Value>(0)?, number) {
                (Value::Null, _) => {
                    self.chosen = Some(Vec::new());
                    None
                }
                (Value::Integer(i), true) => Some(Key::Integer(i)),
                (Value::Text(t), false) => Some(Key::Text(t)),
                _ => None,
            };
            if let Some(key) = key {
                self.chosen = Some(table.index(column).get(&key).cloned().unwrap_or_default());
            }
        }
        self.table = Some(table);
        Ok(())
    }

    fn next(&mut self) -> Result<()> {
        self.position += 1;
        Ok(())
    }

    fn eof(&self) -> bool {
        self.row().is_none()
    }

    fn column(&self, context: &mut Context, column: c_int) -> Result<()> {
        let column = usize::try_from(column).unwrap_or(usize::MAX);
        if column == self.shape.columns.len() {
            return context.set_result(i64::from(self.shape.oid));
        }
        let value = match self.row().and_then(|row| row.get(column)) {
            None | Some(Cell::Null) => ValueRef::Null,
            Some(Cell::Integer(i)) => ValueRef::Integer(*i),
            Some(Cell::Real(r)) => ValueRef::Real(*r),
            Some(Cell::Text(t)) => ValueRef::Text(t.as_bytes()),
            Some(Cell::Blob(b)) => ValueRef::Blob(b),
        };
        context.set_result(ToSqlOutput::Borrowed(value))
    }

    fn rowid(&self) -> Result<i64> {
        Ok(i64::try_from(self.position).unwrap_or(i64::MAX))
    }
}
