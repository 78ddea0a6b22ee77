//! Statements so short that handing the worker on would cost more than they do.
//!
//! A read runs on the worker itself when SQLite finds each of its rows by a whole key: its work is
//! bounded by its text, whatever its parameters and the tables' sizes. Everything else must run
//! where it may block, or one client's long query would stop the others. Start at [`at_work`].

use tokio::task::block_in_place;

use crate::backend::sqlite::Connection;
use crate::error::Result;
use crate::sql::plan::{QueryKind, QueryPlan};
use crate::value::{Cell, CellRef};

/// Runs something here when it is bounded, else where it may block.
pub(super) fn at_work<R>(bounded: bool, f: impl FnOnce() -> R) -> R {
    if bounded { f() } else { block_in_place(f) }
}

/// Whether the plan's work is bounded. SQLite is asked when a plan runs for the second time: what
/// runs once is not worth the question.
pub(super) fn is_bounded(query: &QueryPlan, connection: &Connection) -> bool {
    let simple = query.kind == QueryKind::Read
        && query.steps.is_empty()
        && !query.draws
        && !query.system
        && !query.reads.is_empty();
    simple
        && query.bounded.ask(|| {
            // What cannot be explained is not known to be short.
            block_in_place(|| searches_keys(connection, &query.sqlite)).unwrap_or(false)
        })
}

/// Whether every step of SQLite's plan looks for one row by a whole key.
fn searches_keys(connection: &Connection, sql: &str) -> Result<bool> {
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
    let mut details = Vec::new();
    while statement.step()? {
        let CellRef::Text(detail) = statement.column(3) else { return Ok(false) };
        details.push(String::from_utf8_lossy(detail).into_owned());
    }
    drop(statement);
    for detail in &details {
        if !is_key_search(connection, detail)? {
            return Ok(false);
        }
    }
    Ok(!details.is_empty())
}

fn is_key_search(connection: &Connection, detail: &str) -> Result<bool> {
    let detail = detail.strip_suffix(" LEFT-JOIN").unwrap_or(detail);
    if !detail.starts_with("SEARCH ") {
        return Ok(false);
    }
    if detail.ends_with(" USING INTEGER PRIMARY KEY (rowid=?)") {
        return Ok(true);
    }
    // The index of a UNIQUE or PRIMARY KEY constraint, each of its columns given.
    let used = [" USING INDEX ", " USING COVERING INDEX "].into_iter().find_map(|words| {
        let (_, rest) = detail.split_once(words)?;
        let (name, terms) = rest.rsplit_once(" (")?;
        Some((name, terms.strip_suffix(')')?))
    });
    let Some((name, terms)) = used.filter(|(name, _)| name.starts_with("sqlite_autoindex_")) else {
        return Ok(false);
    };
    let terms: Vec<&str> = terms.split(" AND ").collect();
    if !terms.iter().all(|term| term.ends_with("=?")) {
        return Ok(false);
    }
    let mut columns = connection.prepare("SELECT count(*) FROM pragma_index_info(?1)")?;
    columns.bind(1, Cell::Text(name.to_owned()).as_ref())?;
    let found = columns.step()?;
    let count = i64::try_from(terms.len()).unwrap_or(i64::MAX);
    Ok(found && matches!(columns.column(0), CellRef::Integer(n) if n == count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::sqlite::Durability;
    use crate::backend::sqlite::tests::{fixture, foreign};

    #[tokio::test]
    async fn only_whole_keys_bound_a_read() {
        let fixture = fixture(Durability::Group, 1);
        let tables = "CREATE TABLE p (id INTEGER PRIMARY KEY, a TEXT, b TEXT, UNIQUE (a, b));
                      CREATE TABLE c (u TEXT PRIMARY KEY, p INTEGER, n INT);
                      CREATE INDEX cn ON c (n);";
        foreign(&fixture.dir.path().join("app.db"), tables);
        let connection = fixture.db.reader(None).await.unwrap();
        let bounded = [
            "SELECT * FROM p WHERE id = ?1",
            "SELECT b FROM p WHERE a = ?1 AND b = ?2",
            "SELECT * FROM c JOIN p ON p.id = c.p WHERE u = ?1",
            "SELECT * FROM c LEFT JOIN p ON p.id = c.p WHERE u = ?1",
            "SELECT * FROM p WHERE id IN (1, 2, ?1)",
        ];
        for sql in bounded {
            assert!(searches_keys(&connection, sql).unwrap(), "{sql}");
        }
        let not = [
            "SELECT * FROM p",
            "SELECT * FROM p WHERE id > ?1",
            "SELECT * FROM p WHERE a = ?1",
            "SELECT * FROM p WHERE a = ?1 AND b > ?2",
            "SELECT * FROM c WHERE n = ?1",
            "SELECT * FROM p WHERE id IN (SELECT p FROM c)",
            "SELECT (SELECT count(*) FROM c) FROM p WHERE id = ?1",
            "SELECT * FROM p WHERE id = ?1 UNION ALL SELECT * FROM p",
            "WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r) SELECT * FROM r",
            "SELECT 1",
        ];
        for sql in not {
            assert!(!searches_keys(&connection, sql).unwrap(), "{sql}");
        }
    }
}
