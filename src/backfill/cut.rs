//! The cut: one snapshot of the file, and what changed since an earlier one.
//!
//! Owns [`Snapshot`]. Its position, hash and catalog belong together: nobody could commit
//! while it was taken. Start at [`Snapshot::take`].

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::backend::Position;
use crate::backend::sqlite::{Connection, blocking};
use crate::error::{Error, Result};
use crate::journal::{self, Event, EventStream, Events, Head, Hold, Journal, Limits, Lineage};
use crate::schema::Catalog;

/// Records looked at together when changes are listed.
const RECORDS: usize = 256;
/// Bytes of them.
const BYTES: u64 = 1 << 20;

/// A read transaction on the file, and where in history it stands.
pub(super) struct Snapshot {
    pub(super) connection: Connection,
    pub(super) lineage: Lineage,
    pub(super) head: Head,
    pub(super) catalog: Arc<Catalog>,
    /// Nothing from the cut on is trimmed.
    _hold: Arc<Hold>,
}

impl Snapshot {
    /// Takes the snapshot while the writer's turn is ours, so that no commit falls between
    /// its parts, and as many more of the same moment for workers. A lineage must be attached.
    pub(super) async fn take(journal: &Journal, workers: usize) -> Result<(Self, Vec<Self>)> {
        let sqlite = journal.sqlite();
        let writer = sqlite.writer(None).await?;
        let catalog = sqlite.catalog();
        let open = || -> Result<(Connection, Position)> {
            let connection = sqlite.dedicated()?;
            connection.batch("BEGIN")?;
            // The first read fixes the snapshot.
            let position = journal::position(&connection)?;
            Ok((connection, position))
        };
        let ((connection, position), more) = blocking(|| -> Result<_> {
            let first = open()?;
            let more = (0..workers).map(|_| Ok(open()?.0)).collect::<Result<Vec<_>>>()?;
            Ok((first, more))
        })?;
        // Held before anybody may trim again.
        let hold = Arc::new(journal.hold(position));
        writer.rollback();
        let lineage = journal.lineage().ok_or_else(detached)?;
        let hash = blocking(|| journal::find(&connection, position))?.ok_or_else(detached)?;
        let head = Head { position, hash };
        let of = |connection| Self {
            connection,
            lineage,
            head,
            catalog: Arc::clone(&catalog),
            _hold: Arc::clone(&hold),
        };
        Ok((of(connection), more.into_iter().map(of).collect()))
    }

    /// Tables (SQLite's names) changed after `since`, up to the snapshot. None when that
    /// cannot be told: the journal was trimmed, or the schema changed.
    pub(super) fn changed_since(&self, since: Position) -> Option<BTreeSet<String>> {
        blocking(|| self.changes(since)).unwrap_or_default()
    }

    fn changes(&self, since: Position) -> Result<Option<BTreeSet<String>>> {
        let mut tables = BTreeSet::new();
        let mut next = since.next();
        while next <= self.head.position {
            let limits = Limits { records: RECORDS, bytes: BYTES, until: self.head.position };
            let records = journal::read(&self.connection, next, limits)?;
            let Some(last) = records.last() else { return Ok(None) };
            next = last.position.next();
            for record in records {
                let mut known = true;
                match record.events {
                    Events::Loaded(events) => {
                        known &= events.iter().all(|e| note(&mut tables, e));
                    }
                    Events::Large => {
                        let mut stream = EventStream::open(&self.connection, record.position)?;
                        while let Some(event) = stream.next()? {
                            known &= note(&mut tables, &event);
                        }
                    }
                }
                if !known {
                    return Ok(None);
                }
            }
        }
        Ok(Some(tables))
    }
}

/// False when the event may concern any table.
fn note(tables: &mut BTreeSet<String>, event: &Event) -> bool {
    match event {
        Event::Row(image) => {
            tables.insert(image.table.to_ascii_lowercase());
        }
        Event::Truncate(event) => {
            tables.extend(event.tables.iter().map(|t| t.to_ascii_lowercase()));
        }
        Event::Ddl(_) => return false,
        Event::Statement(_) | Event::Sequence(_) => {}
    }
    true
}

fn detached() -> Error {
    Error::internal("the journal has no lineage to copy under")
}
