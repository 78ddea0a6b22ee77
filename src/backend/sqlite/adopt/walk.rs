//! The rows of a table that are looked at: all of them, or stretches spread over it.
//!
//! Owns the reading and its bound. A table within the bound is read whole; of a larger one
//! the first rows and stretches between them and the last. It must never hold a lock for
//! long when others write (`Bounds::gentle`). Start at [`Walk::open`].

use std::collections::VecDeque;

use super::planning::Bounds;
use crate::backend::sqlite::catalog::quoted;
use crate::backend::sqlite::{Connection, Statement};
use crate::error::Result;
use crate::value::CellRef;

/// Stretches of a table that is larger than the bound.
const STRETCHES: u64 = 16;
/// Rows read by one statement while others write.
const CHUNK: u64 = 5_000;
/// Rows between two looks at the clock.
const CLOCK_ROWS: u64 = 256;

/// How much was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// Rows.
    pub rows: u64,
    /// There are more.
    pub partial: bool,
    /// About how many rows there are; exact unless `partial`.
    pub about: u64,
}

/// A run of rows by rowid: where it begins, and how many rows it may have.
struct Stretch {
    from: i64,
    left: u64,
    /// Read to the end of the table when it has that many rows.
    last: bool,
}

/// Rows of one table or view.
pub(crate) struct Walk<'c> {
    connection: &'c Connection,
    table: String,
    name: String,
    rowid: Option<&'static str>,
    statement: Statement,
    bounds: Bounds,
    /// Result column that holds the rowid.
    width: usize,
    stretches: VecDeque<Stretch>,
    /// Rows the running statement may still give.
    running: u64,
    started: bool,
    looked: Looked,
    last_rowid: i64,
    /// Rows and rowids covered, for the estimate.
    spans: (u64, u128),
    span_from: Option<i64>,
}

impl<'c> Walk<'c> {
    /// Opens a table by its columns; `rowid` is the name by which its rowid can be read.
    pub(crate) fn open(
        connection: &'c Connection,
        table: &str,
        columns: &[&str],
        rowid: Option<&'static str>,
        bounds: &Bounds,
    ) -> Result<Self> {
        let mut list: Vec<String> = columns.iter().map(|n| quoted(n)).collect();
        let mut tail = String::new();
        if let Some(rowid) = rowid {
            list.push(rowid.to_owned());
            tail = format!(" WHERE {rowid} >= ?1 ORDER BY {rowid} LIMIT ?2");
        }
        let sql = format!("SELECT {} FROM \"public\".{}{tail}", list.join(", "), quoted(table));
        let statement = connection.prepare(&sql)?;
        // Half of the bound goes to the head, so that there is some for the rest.
        let head = if rowid.is_some() { (bounds.rows / 2).max(1) } else { bounds.rows };
        let first = Stretch { from: i64::MIN, left: head, last: false };
        Ok(Self {
            connection,
            table: quoted(table),
            name: table.to_owned(),
            rowid,
            statement,
            bounds: *bounds,
            width: columns.len(),
            stretches: VecDeque::from([first]),
            running: 0,
            started: false,
            looked: Looked::default(),
            last_rowid: i64::MIN,
            spans: (0, 0),
            span_from: None,
        })
    }

    /// The next row; false at the end of what is looked at.
    pub(crate) fn step(&mut self) -> Result<bool> {
        if self.looked.rows.is_multiple_of(CLOCK_ROWS) {
            self.connection.tick(&self.name, self.looked.rows);
            if self.bounds.is_over() {
                self.looked.partial = true;
                return Ok(false);
            }
        }
        let more = if self.rowid.is_some() { self.step_by_rowid()? } else { self.step_plain()? };
        if more {
            self.looked.rows += 1;
        }
        Ok(more)
    }

    fn step_plain(&mut self) -> Result<bool> {
        let more = self.statement.step()?;
        if more && self.looked.rows >= self.bounds.rows {
            self.looked.partial = true;
            return Ok(false);
        }
        Ok(more)
    }

    fn step_by_rowid(&mut self) -> Result<bool> {
        loop {
            if self.started && self.running > 0 && self.statement.step()? {
                self.running -= 1;
                if let CellRef::Integer(rowid) = self.statement.column(self.width) {
                    self.last_rowid = rowid;
                    self.span_from.get_or_insert(rowid);
                }
                self.spans.0 += 1;
                return Ok(true);
            }
            // The statement gave less than it might have: the table ends here.
            let ended = self.started && self.running > 0;
            if !self.next_statement(ended)? {
                return Ok(false);
            }
        }
    }

    /// Goes to the next rows of the stretch, or to the next stretch; false after the last.
    fn next_statement(&mut self, ended: bool) -> Result<bool> {
        if ended {
            self.close_span();
            self.stretches.clear();
            return Ok(false);
        }
        let after = self.last_rowid.checked_add(1);
        let done = self.stretches.front().is_some_and(|s| s.left == 0);
        if done {
            let whole = self.stretches.pop_front().is_some_and(|s| s.last);
            self.close_span();
            let head = self.stretches.is_empty() && !self.looked.partial && !whole;
            if head && !self.spread(after)? {
                return Ok(false);
            }
        }
        let Some(stretch) = self.stretches.front_mut() else {
            self.looked.partial |= self.has_more()?;
            return Ok(false);
        };
        let from = match after {
            Some(after) if self.started => stretch.from.max(after),
            None => return Ok(false),
            Some(_) => stretch.from,
        };
        let chunk = if self.bounds.gentle { CHUNK.min(stretch.left) } else { stretch.left };
        stretch.left -= chunk;
        self.running = chunk;
        self.started = true;
        self.statement.reset();
        self.statement.bind(1, CellRef::Integer(from))?;
        self.statement.bind(2, CellRef::Integer(i64::try_from(chunk).unwrap_or(i64::MAX)))?;
        Ok(true)
    }

    /// The stretches behind the head; false when nothing is left.
    fn spread(&mut self, after: Option<i64>) -> Result<bool> {
        let (Some(after), true) = (after, self.has_more()?) else { return Ok(false) };
        let end = self.highest()?;
        let rest = self.bounds.rows.saturating_sub(self.looked.rows);
        if rest == 0 {
            self.looked.partial = true;
            return Ok(false);
        }
        let span = end.abs_diff(after);
        if span < rest {
            self.stretches.push_back(Stretch { from: after, left: rest, last: true });
            return Ok(true);
        }
        self.looked.partial = true;
        let each = (rest / STRETCHES).max(1);
        for n in 0..STRETCHES {
            let offset = i64::try_from(span / STRETCHES * n).unwrap_or(i64::MAX);
            let from = after.saturating_add(offset);
            self.stretches.push_back(Stretch { from, left: each, last: false });
        }
        Ok(true)
    }

    fn close_span(&mut self) {
        if let Some(from) = self.span_from.take() {
            self.spans.1 += u128::from(self.last_rowid.abs_diff(from)) + 1;
        }
    }

    fn has_more(&self) -> Result<bool> {
        let (Some(rowid), Some(after)) = (self.rowid, self.last_rowid.checked_add(1)) else {
            return Ok(false);
        };
        let sql =
            format!("SELECT 1 FROM \"public\".{} WHERE {rowid} >= {after} LIMIT 1", self.table);
        Ok(self.connection.query_integer(&sql, &[])?.is_some())
    }

    fn highest(&self) -> Result<i64> {
        let rowid = self.rowid.unwrap_or("rowid");
        let sql = format!("SELECT max({rowid}) FROM \"public\".{}", self.table);
        Ok(self.connection.query_integer(&sql, &[])?.unwrap_or(self.last_rowid))
    }

    /// A cell of the row.
    pub(crate) fn cell(&self, column: usize) -> CellRef<'_> {
        self.statement.column(column)
    }

    /// The row's rowid, where it has one.
    pub(crate) fn rowid(&self) -> Option<i64> {
        self.rowid.map(|_| self.last_rowid)
    }

    /// How much was looked at.
    pub(crate) fn looked(&mut self) -> Result<Looked> {
        self.close_span();
        let mut looked = self.looked;
        looked.about = looked.rows;
        if looked.partial && self.rowid.is_some() && self.spans.1 > 0 {
            let beyond = self.highest()?.abs_diff(self.last_rowid);
            let whole = u128::from(self.covered().saturating_add(beyond));
            let about = u128::from(self.spans.0) * whole / self.spans.1;
            looked.about = u64::try_from(about).unwrap_or(u64::MAX).max(looked.rows);
        }
        Ok(looked)
    }

    /// Rowids from the first to the last that was read.
    fn covered(&self) -> u64 {
        let first = self.first_rowid().unwrap_or(self.last_rowid);
        self.last_rowid.abs_diff(first).saturating_add(1)
    }

    fn first_rowid(&self) -> Option<i64> {
        let rowid = self.rowid?;
        let sql = format!("SELECT min({rowid}) FROM \"public\".{}", self.table);
        self.connection.query_integer(&sql, &[]).ok().flatten()
    }
}

/// The name by which a table's rowid can be read; None where it has none or hides it.
pub(crate) fn rowid_name(table: &crate::sql::stored::Table) -> Option<&'static str> {
    let hidden = |name: &&str| !table.columns.iter().any(|c| c.name.eq_ignore_ascii_case(name));
    ["rowid", "_rowid_", "oid"].into_iter().find(hidden).filter(|_| !table.without_rowid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::sqlite::ddl::tests::Bench;

    async fn walked(sql: &str, rows: u64, gentle: bool) -> (Looked, Vec<i64>) {
        let bench = Bench::new().await;
        let connection = bench.sqlite.dedicated().unwrap();
        connection.batch(sql).unwrap();
        let bounds = Bounds { rows, gentle, until: None };
        let mut walk = Walk::open(&connection, "t", &["a"], Some("rowid"), &bounds).unwrap();
        let mut seen = Vec::new();
        while walk.step().unwrap() {
            seen.push(walk.rowid().unwrap());
        }
        (walk.looked().unwrap(), seen)
    }

    const MANY: &str = "CREATE TABLE t(a); WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL \
        SELECT i + 1 FROM c WHERE i < 20000) INSERT INTO t SELECT i FROM c;";

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn small_tables_are_read_whole() {
        for gentle in [false, true] {
            let (looked, seen) = walked(MANY, 30_000, gentle).await;
            assert_eq!(looked, Looked { rows: 20_000, partial: false, about: 20_000 });
            assert_eq!(seen, (1..=20_000).collect::<Vec<i64>>());
            // As many as the bound allows.
            let (looked, _) = walked(MANY, 20_000, gentle).await;
            assert_eq!((looked.rows, looked.partial), (20_000, false));
        }
        let ends = "CREATE TABLE t(a); INSERT INTO t(rowid, a) VALUES \
                    (-9223372036854775808, 1), (0, 2), (9223372036854775807, 3);";
        let (looked, seen) = walked(ends, 100, true).await;
        assert_eq!((looked.rows, looked.partial), (3, false));
        assert_eq!(seen, [i64::MIN, 0, i64::MAX]);
        let (looked, _) = walked("CREATE TABLE t(a)", 100, true).await;
        assert_eq!(looked, Looked::default());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn large_tables_are_sampled_from_all_parts() {
        let (looked, seen) = walked(MANY, 1_600, true).await;
        assert!(looked.partial && looked.rows <= 1_600, "{looked:?}");
        assert!(looked.about.abs_diff(20_000) < 1_000, "{looked:?}");
        assert!(seen.windows(2).all(|w| w[0] < w[1]), "no row twice");
        for part in 0..10_i64 {
            let (from, to) = (part * 2000, (part + 1) * 2000);
            assert!(seen.iter().any(|r| (from..to).contains(r)), "rows from {from}");
        }
    }
}
