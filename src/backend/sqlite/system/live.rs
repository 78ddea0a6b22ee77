//! Tables that show what sessions are doing: made for each statement, never kept.

use std::sync::Arc;

use super::data::builtin;
use super::rows::{Maker, Row, Table};
use crate::schema::Relation;
use crate::value::Cell;

/// The tables served here.
pub(super) const TABLES: &[&str] =
    &["pg_cursors", "pg_locks", "pg_prepared_statements", "pg_settings", "pg_stat_activity"];

/// What sessions are doing, as the one that asks may see it.
pub trait Live: Send + Sync {
    /// The rows of a table: values of the columns that have one.
    fn rows(&self, table: &str) -> Vec<Vec<(&'static str, Cell)>>;

    /// Values that replace those of `pg_settings`: name and value in base units.
    fn settings(&self) -> Vec<(String, String)>;
}

/// One table, as it is now.
pub(super) fn table(live: Option<&dyn Live>, shape: &Arc<Relation>) -> Arc<Table> {
    let rows = match (live, shape.name.as_str()) {
        (live, "pg_settings") => settings(live, shape),
        (Some(live), name) => {
            let blank = Maker::new(shape, &[]);
            let fill = |values: Vec<(&str, Cell)>| {
                let mut cells = blank.row([]).to_vec();
                for (column, value) in values {
                    if let Some(cell) = shape.column(column).and_then(|c| cells.get_mut(c)) {
                        *cell = value;
                    }
                }
                Row::from(cells)
            };
            live.rows(name).into_iter().map(fill).collect()
        }
        (None, _) => Vec::new(),
    };
    Arc::new(Table::new(Arc::clone(shape), rows))
}

fn settings(live: Option<&dyn Live>, shape: &Arc<Relation>) -> Vec<Row> {
    let mut rows = builtin("pg_settings").map_or_else(Vec::new, |t| t.rows.clone());
    let changed = live.map(Live::settings).unwrap_or_default();
    let at = |column: &str| shape.column(column);
    let (Some(name), Some(setting), Some(source)) = (at("name"), at("setting"), at("source"))
    else {
        return rows;
    };
    for (wanted, value) in changed {
        let found = rows.iter_mut().find(
            |row| matches!(row.get(name), Some(Cell::Text(n)) if n.eq_ignore_ascii_case(&wanted)),
        );
        let Some(row) = found else { continue };
        let mut cells = row.to_vec();
        for (column, text) in [(setting, value.as_str()), (source, "session")] {
            if let Some(cell) = cells.get_mut(column) {
                *cell = Cell::Text(text.to_owned());
            }
        }
        *row = cells.into();
    }
    rows
}
