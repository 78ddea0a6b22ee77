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
    _hold: Hold,
}

impl Snapshot {
    /// Takes the snapshot while the writer's turn is ours, so that no commit falls between
    /// its parts. A lineage must be attached.
    pub(super) async fn take(journal: &Journal) -> Result<Self> {
        let sqlite = journal.sqlite();
        let writer = sqlite.writer(None).await?;
        let catalog = sqlite.catalog();
        let (connection, position) = blocking(|| -> Result<_> {
            let connection = sqlite.dedicated()?;
            connection.batch("BEGIN")?;
            let position = journal::position(&connection)?;
            Ok((connection, position))
        })?;
        // Held before anybody may trim again.
        let hold = journal.hold(position);
        writer.rollback();
        let lineage = journal.lineage().ok_or_else(detached)?;
        let hash = blocking(|| journal::find(&connection, position))?.ok_or_else(detached)?;
        let head = Head { position, hash };
        Ok(Self { connection, lineage, head, catalog, _hold: hold })
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
