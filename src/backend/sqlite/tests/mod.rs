//! Tests of the SQLite back end.

mod group;
mod statement;
mod turns;

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::value::Cell;

/// A served file in a folder of its own.
pub(crate) struct Fixture {
    pub(crate) db: Sqlite,
    pub(crate) dir: tempfile::TempDir,
}

impl std::ops::Deref for Fixture {
    type Target = Sqlite;

    fn deref(&self) -> &Sqlite {
        &self.db
    }
}

/// Opens a new file.
pub(crate) fn fixture(durability: Durability, readers: usize) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let mut options = Options::new(dir.path().join("app.db"));
    options.durability = durability;
    options.readers = readers;
    options.busy_timeout = Duration::from_millis(200);
    Fixture { db: Sqlite::open(options, Arc::new(|_| Ok(()))).unwrap(), dir }
}

async fn setup(db: &Sqlite, sql: &str) {
    let writer = db.writer(None).await.unwrap();
    writer.batch(sql).unwrap();
    writer.commit().unwrap();
}

async fn count(db: &Sqlite, sql: &str) -> i64 {
    db.reader(None).await.unwrap().query_integer(sql, &[]).unwrap().unwrap()
}

fn soon(millis: u64) -> Option<Instant> {
    Some(Instant::now() + Duration::from_millis(millis))
}

/// Runs SQL on a file as a foreign program does.
pub(crate) fn foreign(path: &Path, sql: &str) {
    rusqlite::Connection::open(path).unwrap().execute_batch(sql).unwrap();
}
