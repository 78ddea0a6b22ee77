//! How far a look at the file is, in rows.
//!
//! Owns the reckoning: how many rows there may be, by row numbers, and how many were seen. It must
//! never go back. Start at [`Progress`].

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::Tell;
use crate::backend::sqlite::adopt::Bounds;
use crate::backend::sqlite::catalog::{quoted, rows};
use crate::backend::sqlite::{Connection, is_internal};
use crate::error::Result;
use crate::value::Cell;

/// One pass over every table.
pub(super) struct Progress {
    tell: Arc<Tell>,
    doing: &'static str,
    /// Rows of each table, about.
    tables: Arc<BTreeMap<String, u64>>,
    all: u64,
    at: Mutex<At>,
}

/// Where the pass is.
#[derive(Default)]
struct At {
    table: String,
    /// Rows of the tables before.
    before: u64,
    within: u64,
    /// What was told last.
    told: Option<u64>,
}

/// Parts of the whole at which it is told.
const PARTS: u64 = 200;

/// Rows of each table that will be looked at, about: by the row numbers, without a pass.
pub(super) fn tables(connection: &Connection, bounds: &Bounds) -> Result<BTreeMap<String, u64>> {
    let sql = "SELECT name FROM pragma_table_list WHERE schema = 'public' AND type = 'table'";
    let mut found = BTreeMap::new();
    for row in rows(connection, sql, &[])? {
        let Some(Cell::Text(name)) = row.first() else { continue };
        if is_internal(name) {
            continue;
        }
        let sql = format!("SELECT max(rowid) - min(rowid) + 1 FROM \"public\".{}", quoted(name));
        // A table without row numbers, or one that cannot be read, counts for nothing.
        let span = connection.query_integer(&sql, &[]).ok().flatten().unwrap_or_default();
        let span = u64::try_from(span).unwrap_or(bounds.rows);
        found.insert(name.clone(), span.min(bounds.rows));
    }
    Ok(found)
}

impl Progress {
    pub(super) fn new(
        tell: &Arc<Tell>,
        doing: &'static str,
        tables: &Arc<BTreeMap<String, u64>>,
    ) -> Arc<Self> {
        let all = tables.values().sum();
        let (tell, tables, at) = (Arc::clone(tell), Arc::clone(tables), Mutex::default());
        Arc::new(Self { tell, doing, tables, all, at })
    }

    /// At so many rows of a table.
    pub(super) fn at(&self, table: &str, rows: u64) {
        let of = |name: &str| self.tables.get(name).copied().unwrap_or_default();
        let done = {
            let mut at = self.at.lock();
            if at.table != table {
                at.before += of(&at.table);
                table.clone_into(&mut at.table);
                (at.within, at.told) = (0, None);
            }
            // A table may take more than one pass, and have fewer rows than its numbers say.
            at.within = at.within.max(rows.min(of(table)));
            let done = (at.before + at.within).min(self.all);
            if at.told.is_some_and(|told| done < told + self.all / PARTS + 1) {
                return;
            }
            at.told = Some(done);
            done
        };
        (self.tell)(&format!("{} {table}", self.doing), done, self.all);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_within_a_table_count() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&told);
        let tell: Arc<Tell> = Arc::new(move |_: &str, done, all| list.lock().push((done, all)));
        let tables = Arc::new(BTreeMap::from([("a".to_owned(), 100), ("b".to_owned(), 300)]));
        let progress = Progress::new(&tell, "looking at", &tables);
        for (table, rows) in [("a", 0), ("a", 50), ("a", 20), ("b", 0), ("b", 150), ("b", 900)] {
            progress.at(table, rows);
        }
        let done: Vec<u64> = told.lock().iter().map(|(done, _)| *done).collect();
        assert_eq!(done, [0, 50, 100, 250, 400]);
        assert!(told.lock().iter().all(|(_, all)| *all == 400));
    }
}
