//! Proving that PostgreSQL stands on our history.

use crate::backend::Position;
use crate::backend::postgres::control::Stored;
use crate::backend::sqlite::{Connection, blocking};
use crate::error::Result;
use crate::journal::{self, Event, EventStream, Events, Journal, Limits, Origin, Record};

/// What PostgreSQL's last applied record says about its history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Its last applied record is in the journal: go on after it.
    At(Position),
    /// It is not: why, in words that name both histories.
    Foreign(String),
}

/// Compares what PostgreSQL stores with the journal.
///
/// # Errors
/// When the journal cannot be read.
pub(crate) async fn standing(journal: &Journal, stored: Option<&Stored>) -> Result<Standing> {
    let Some(lineage) = journal.lineage() else {
        return Ok(Standing::Foreign("nothing is recorded for PostgreSQL yet".to_owned()));
    };
    let Some(stored) = stored.filter(|s| s.lineage.is_some()) else {
        return Ok(Standing::Foreign("PostgreSQL has not been copied to yet".to_owned()));
    };
    if stored.lineage != Some(lineage.0) {
        return Ok(Standing::Foreign(format!(
            "SQLite's history is {lineage}, PostgreSQL holds another one; one side was restored \
             from a backup or belongs to another pair"
        )));
    }
    let reader = journal.sqlite().reader(None).await?;
    let found = journal::find(&reader, stored.position)?;
    let head = journal::head(&reader)?;
    let head_text = head.map_or_else(|| "nothing".to_owned(), |h| h.position.to_string());
    match found {
        Some(hash) if Some(hash.0) == stored.hash => Ok(Standing::At(stored.position)),
        Some(_) => Ok(Standing::Foreign(format!(
            "PostgreSQL has applied another commit {} than SQLite's, which ends at {head_text}: \
             the SQLite file was restored from a backup and written since",
            stored.position
        ))),
        None if head.is_none_or(|h| h.position < stored.position) => {
            Ok(Standing::Foreign(format!(
                "PostgreSQL has applied commit {}, and SQLite ends at {head_text}: the SQLite file \
                 was restored from a backup or lost its end",
                stored.position
            )))
        }
        None => Ok(Standing::Foreign(format!(
            "PostgreSQL stands at commit {}, which it had left behind (SQLite ends at \
             {head_text}, and its journal starts later): PostgreSQL was restored from a backup",
            stored.position
        ))),
    }
}

/// Why PostgreSQL, which stands at a position, is not asked to apply what comes next: it has given
/// one of these commits to SQLite itself, while it was primary, and knows nothing of it any more.
pub(crate) fn given_back(next: &[Record], at: Position) -> Option<String> {
    let given = next.iter().find(|record| matches!(record.origin, Origin::Postgres(_)))?;
    Some(format!(
        "PostgreSQL stands at commit {at}, and commit {} came from it: PostgreSQL was restored \
         from a backup",
        given.position
    ))
}

/// Whether a schema change lies between two positions: after a restart the catalog of the time
/// before it is not known any more.
///
/// # Errors
/// When the journal cannot be read.
pub(crate) async fn schema_changed(
    journal: &Journal,
    after: Position,
    until: Position,
) -> Result<bool> {
    let reader = journal.sqlite().reader(None).await?;
    let mut next = after.next();
    while next <= until {
        let limits = Limits { records: 500, bytes: 8 << 20, until };
        let records = journal::read(&reader, next, limits)?;
        let Some(last) = records.last() else { return Ok(false) };
        next = last.position.next();
        for record in &records {
            let changes = match &record.events {
                Events::Loaded(events) => events.iter().any(|e| matches!(e, Event::Ddl(_))),
                Events::Large => blocking(|| large_has_ddl(&reader, record.position))?,
            };
            if changes {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Whether a record too large to load holds a schema change.
fn large_has_ddl(conn: &Connection, position: Position) -> Result<bool> {
    let mut events = EventStream::open(conn, position)?;
    while let Some(event) = events.next()? {
        if matches!(event, Event::Ddl(_)) {
            return Ok(true);
        }
    }
    Ok(false)
}
