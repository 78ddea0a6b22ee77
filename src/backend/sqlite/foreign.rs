//! The look-out for foreign programs that write the SQLite file.
//!
//! Owns their number, when the last was noticed, and whether the schema that was found since is
//! still the one that is served. It must never take a commit of ours for a foreign one. Start at
//! [`Core::look_for_foreign_writer`].

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::{Connection, Core, Sqlite, is_internal, is_ours};
use crate::error::{Error, Result};
use crate::value::{CellRef, canonical};

/// What is known of foreign programs.
#[derive(Default)]
pub(super) struct Foreign {
    /// The shared writer's last `data_version`: changes of others show in it.
    data_version: AtomicI64,
    seen: AtomicU64,
    /// When one was noticed last.
    at: Mutex<Option<Instant>>,
    /// The file's objects when the catalog was published last; None before any was.
    schema: Mutex<Option<u128>>,
    schema_changed: AtomicBool,
}

impl Foreign {
    /// Nobody has been seen by this connection.
    pub(super) fn new(writer: &Connection) -> Result<Self> {
        Ok(Self { data_version: AtomicI64::new(data_version(writer)?), ..Self::default() })
    }

    /// Another connection writes from here on.
    pub(super) fn begin_anew(&self, writer: &Connection) -> Result<()> {
        self.data_version.store(data_version(writer)?, Ordering::Relaxed);
        Ok(())
    }
}

impl Sqlite {
    /// How often a write by a foreign program was noticed.
    pub fn foreign_writes(&self) -> u64 {
        self.0.foreign.seen.load(Ordering::Relaxed)
    }

    /// How long ago a write by a foreign program was noticed; None when none was.
    pub fn foreign_age(&self) -> Option<Duration> {
        self.0.foreign.at.lock().map(|at| at.elapsed())
    }

    /// Whether a foreign program has made, dropped or altered something: what is served is not what
    /// is there, until the file is opened anew.
    pub fn foreign_schema(&self) -> bool {
        self.0.foreign.schema_changed.load(Ordering::Relaxed)
    }

    /// Looks for a foreign writer now; the count so far.
    pub async fn check_foreign(&self) -> Result<u64> {
        let turn = self.turn(None).await?;
        let looked = self.0.look_for_foreign_writer();
        drop(turn);
        looked.map(|()| self.foreign_writes())
    }
}

impl Core {
    /// A commit of ours on another connection: not a foreign one. In the writer's turn.
    pub(super) fn own_commit(&self) {
        if let Some(conn) = &*self.writer.lock()
            && let Ok(version) = data_version(conn)
        {
            self.foreign.data_version.store(version, Ordering::Relaxed);
        }
    }

    /// The catalog that is published is that of the file now. In the writer's turn, or before
    /// anybody writes.
    pub(super) fn own_schema(&self) {
        match schema(&self.keeper.lock()) {
            Ok(found) => *self.foreign.schema.lock() = Some(found),
            // What was known stays: the next look finds another schema, which is safe.
            Err(error) => tracing::warn!(%error, "the schema of the SQLite file was not read"),
        }
    }

    /// Compares the shared writer's data_version with the last one known. In the writer's
    /// turn: all our own commits are accounted for then.
    pub(super) fn look_for_foreign_writer(&self) -> Result<()> {
        let slot = self.writer.lock();
        let Some(conn) = &*slot else { return Ok(()) };
        let version = data_version(conn)?;
        if self.foreign.data_version.swap(version, Ordering::Relaxed) == version {
            return Ok(());
        }
        self.foreign.seen.fetch_add(1, Ordering::Relaxed);
        *self.foreign.at.lock() = Some(Instant::now());
        self.forget_virtual_tables();
        tracing::warn!("a foreign program has written to the SQLite file");
        self.look_for_foreign_schema(conn)
    }

    /// Compares the file's objects with those that are served. In the writer's turn, before a change
    /// of ours.
    pub(super) fn look_for_foreign_schema(&self, conn: &Connection) -> Result<()> {
        let Some(known) = *self.foreign.schema.lock() else { return Ok(()) };
        if schema(conn)? != known && !self.foreign.schema_changed.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "a foreign program has changed the schema of the SQLite file, which is read when \
                 the proxy is started"
            );
        }
        Ok(())
    }
}

fn data_version(conn: &Connection) -> Result<i64> {
    conn.query_integer("PRAGMA data_version", &[])?
        .ok_or_else(|| Error::internal("PRAGMA data_version gave nothing"))
}

/// The definitions of the application's objects, as one digest.
fn schema(conn: &Connection) -> Result<u128> {
    let mut statement = conn
        .prepare("SELECT name, tbl_name, sql FROM \"public\".sqlite_schema ORDER BY type, name")?;
    let mut all = Vec::new();
    while statement.step()? {
        let text = |i: usize| match statement.column(i) {
            CellRef::Text(bytes) => bytes,
            _ => &[],
        };
        let name = |i: usize| String::from_utf8_lossy(text(i)).into_owned();
        if is_internal(&name(1)) || is_ours(&name(0)) {
            continue;
        }
        for i in 0..3 {
            all.extend_from_slice(text(i));
            all.push(0);
        }
    }
    Ok(canonical::digest(&all))
}
