//! Tables as maps, to which images are applied.

use std::collections::BTreeMap;

use crate::backend::sqlite::{Connection, is_internal};
use crate::journal::{Event, Image, Op, Row};
use crate::value::CellRef;

/// A table's rows by key: the rowid, or the primary key of a WITHOUT ROWID table.
type Rows = BTreeMap<String, Row>;

/// A database's tables.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Model(pub(super) BTreeMap<String, Table>);

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Table {
    /// Key columns of a WITHOUT ROWID table.
    key: Option<Vec<usize>>,
    rows: Rows,
}

impl Model {
    /// Reads every table.
    pub(super) fn dump(conn: &Connection) -> Self {
        let mut model = Self::default();
        let mut tables = conn
            .prepare(
                "SELECT name, wr FROM pragma_table_list WHERE type = 'table' AND schema = 'public'",
            )
            .unwrap();
        while tables.step().unwrap() {
            let name = text(tables.column(0));
            if !is_internal(&name) {
                let without_rowid = tables.column(1) == CellRef::Integer(1);
                model.0.insert(name.clone(), Table::dump(conn, &name, without_rowid));
            }
        }
        model
    }

    /// Applies events; whatever does not fit the rows there is a fault.
    pub(super) fn apply(&mut self, events: &[Event]) -> Result<(), String> {
        for event in events {
            if let Event::Row(image) = event {
                let table = self.0.get_mut(&image.table).ok_or("unknown table")?;
                table.apply(image)?;
            }
        }
        Ok(())
    }
}

impl Table {
    fn dump(conn: &Connection, name: &str, without_rowid: bool) -> Self {
        let mut columns = Vec::new();
        let mut key = Vec::new();
        let mut info = conn
            .prepare(&format!("SELECT name, hidden, pk FROM pragma_table_xinfo('{name}')"))
            .unwrap();
        while info.step().unwrap() {
            if info.column(2) != CellRef::Integer(0) {
                key.push(columns.len());
            }
            columns.push((text(info.column(0)), info.column(1) == CellRef::Integer(2)));
        }
        let list: Vec<_> = columns.iter().map(|(c, _)| format!("\"{c}\"")).collect();
        let rowid = if without_rowid { "0" } else { "rowid" };
        let sql = format!("SELECT {rowid}, {} FROM \"{name}\"", list.join(", "));
        let mut table = Self { key: without_rowid.then_some(key), rows: Rows::new() };
        let mut rows = conn.prepare(&sql).unwrap();
        while rows.step().unwrap() {
            let CellRef::Integer(rowid) = rows.column(0) else { panic!("no rowid") };
            let cells = columns.iter().enumerate();
            let row = Row::from_cells(
                cells.map(|(i, (_, hidden))| (!hidden).then(|| rows.column(i + 1))),
            );
            table.rows.insert(table.key(&row, rowid), row);
        }
        table
    }

    fn key(&self, row: &Row, rowid: i64) -> String {
        match &self.key {
            None => rowid.to_string(),
            Some(columns) => {
                format!("{:?}", columns.iter().map(|c| row.get(*c)).collect::<Vec<_>>())
            }
        }
    }

    fn apply(&mut self, image: &Image) -> Result<(), String> {
        if image.op != Op::Insert {
            let key = self.key(&image.old, image.rowid.0);
            match self.rows.remove(&key) {
                Some(row) if row == image.old => {}
                other => return Err(format!("{image:?} finds {other:?}")),
            }
        }
        if image.op != Op::Delete {
            let key = self.key(&image.new, image.rowid.1);
            if let Some(row) = self.rows.insert(key, image.new.clone()) {
                return Err(format!("{image:?} overwrites {row:?}"));
            }
        }
        Ok(())
    }
}

fn text(cell: CellRef<'_>) -> String {
    match cell {
        CellRef::Text(t) => String::from_utf8(t.to_vec()).unwrap(),
        other => panic!("{other:?} is no text"),
    }
}

impl Table {
    /// Forgets all rows.
    pub(super) fn clear(&mut self) {
        self.rows.clear();
    }
}
