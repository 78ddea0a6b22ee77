//! Looking at PostgreSQL's part of the switch, and writing it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::state::{Epoch, Point, PostgresState, PostgresView, Record, System};
use crate::backend::postgres::connect::Connector;
use crate::backend::postgres::control::{Control, Stored};
use crate::backend::postgres::replication::Lsn;
use crate::error::{Error, Result, state};
use crate::journal::{self, Journal};
use crate::mirror::{Standing, standing};

/// How long one look may take.
pub(super) const LOOK_MAX: Duration = Duration::from_secs(5);

/// Connects, for at most [`LOOK_MAX`].
pub(super) async fn connect(connector: &Connector) -> Result<Control> {
    tokio::time::timeout(LOOK_MAX, Control::connect(connector)).await.unwrap_or_else(|_| {
        Err(Error::shadow(state::CONNECTION_FAILURE, "PostgreSQL does not answer").retryable())
    })
}

/// What recovery has to know about PostgreSQL.
///
/// # Errors
/// Only the journal's own: an unreachable PostgreSQL is a view.
pub(super) async fn view(connector: &Connector, journal: &Journal) -> Result<PostgresView> {
    let looked = async {
        let control = connect(connector).await?;
        control.ensure_schema().await?;
        control.stored().await
    };
    let stored = match looked.await {
        Ok(Some(stored)) => stored,
        Ok(None) => return Ok(PostgresView::Unreachable),
        Err(error) => {
            tracing::warn!(%error, "PostgreSQL cannot be looked at");
            return Ok(PostgresView::Unreachable);
        }
    };
    Ok(PostgresView::Reachable(state_of(&stored, journal).await?))
}

async fn state_of(stored: &Stored, journal: &Journal) -> Result<PostgresState> {
    let lineage_is_ours = journal.lineage().is_some_and(|l| stored.lineage == Some(l.0));
    let found = if lineage_is_ours {
        let reader = journal.sqlite().reader(None).await?;
        journal::find(&reader, stored.position)?
    } else {
        None
    };
    let mut records = BTreeMap::new();
    for (epoch, word) in &stored.epochs {
        let record = match word.as_str() {
            "decided" => Record::Decided,
            "abandoned" => Record::Abandoned,
            _ => Record::Returned,
        };
        records.insert(*epoch, record);
    }
    Ok(PostgresState {
        system: System { identifier: stored.system, timeline: stored.timeline },
        records,
        applied: Point { position: stored.position.0, hash: stored.hash.unwrap_or_default() },
        applied_is_known: found.is_some_and(|hash| Some(hash.0) == stored.hash),
        fenced: stored.fenced,
    })
}

fn number(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The decision: position and hash are the final ones, and this epoch has no record yet.
/// The place in the write-ahead log from which the way back begins: after everything the
/// mirror wrote, before everything a client writes there.
///
/// # Errors
/// Anything but a sure "no" leaves the outcome unknown: ask recovery.
pub(super) async fn decide(control: &Control, epoch: Epoch, at: Point, open: &str) -> Result<Lsn> {
    let client = control.client();
    control.batch("BEGIN; SET LOCAL synchronous_commit = on").await?;
    let outcome = async {
        let held = client
            .execute(
                "UPDATE crossfade.state SET fenced = false, updated_at = now() \
                 WHERE position = $1 AND hash = $2",
                &[&number(at.position), &at.hash.as_slice()],
            )
            .await
            .map_err(|e| control.error(&e))?;
        if held != 1 {
            return Err(Error::shadow(
                state::OBJECT_NOT_IN_PREREQUISITE_STATE,
                "PostgreSQL does not stand at the final position",
            ));
        }
        let place = insert(control, epoch, at).await?;
        if !open.is_empty() {
            control.batch(open).await?;
        }
        control.batch("COMMIT").await?;
        Ok(place)
    }
    .await;
    if outcome.is_err() && !control.is_closed() {
        // Best effort: a lost connection rolls back by itself.
        let _ = control.batch("ROLLBACK").await;
    }
    outcome
}

async fn insert(control: &Control, epoch: Epoch, at: Point) -> Result<Lsn> {
    let row = control
        .client()
        .query_one(
            "INSERT INTO crossfade.epochs (epoch, record, position, hash, place) \
             VALUES ($1, 'decided', $2, $3, pg_current_wal_insert_lsn()) RETURNING place::text",
            &[&number(epoch), &number(at.position), &at.hash.as_slice()],
        )
        .await
        .map_err(|e| control.error(&e))?;
    Lsn::parse(row.get(0)).ok_or_else(|| Error::internal("PostgreSQL names no place in its log"))
}

/// The place stored with a decision: what was decided before a crash must not be followed
/// from anywhere else.
pub(super) async fn decided_place(connector: &Connector, epoch: Epoch) -> Result<Option<Lsn>> {
    let control = connect(connector).await?;
    let row = control
        .client()
        .query_opt(
            "SELECT place::text FROM crossfade.epochs WHERE epoch = $1 AND place IS NOT NULL",
            &[&number(epoch)],
        )
        .await
        .map_err(|e| control.error(&e))?;
    Ok(row.and_then(|row| Lsn::parse(row.get(0))))
}

/// Why PostgreSQL does not stand on SQLite's history; None when it does, or cannot be asked.
pub(super) async fn foreign_history(connector: &Connector, journal: &Journal) -> Option<String> {
    let stored = async { connect(connector).await?.stored().await }.await.ok()?;
    match standing(journal, stored.as_ref()).await {
        Ok(Standing::Foreign(reason)) => Some(reason),
        _ => None,
    }
}

/// Burns an epoch, unless it has a record already: then that one counts.
pub(super) async fn abandon(connector: &Connector, epoch: Epoch) -> Result<()> {
    let control = connect(connector).await?;
    control
        .client()
        .execute(
            "INSERT INTO crossfade.epochs (epoch, record) VALUES ($1, 'abandoned') \
             ON CONFLICT DO NOTHING",
            &[&number(epoch)],
        )
        .await
        .map(drop)
        .map_err(|e| control.error(&e))
}

/// Stores that SQLite is primary again and what PostgreSQL has of its history; only while the
/// application is shut out.
pub(super) async fn store_return(
    connector: &Connector,
    journal: &Journal,
    epoch: Epoch,
    at: Point,
) -> Result<()> {
    let control = connect(connector).await?;
    let lineage = journal.lineage().map(|l| l.0.to_vec());
    let changed = control
        .client()
        .query(
            "WITH held AS (UPDATE crossfade.state SET position = $2, hash = $3, lineage = $4, \
             updated_at = now() WHERE fenced RETURNING 1) \
             INSERT INTO crossfade.epochs (epoch, record, position, hash) \
             SELECT $1, 'returned', $2, $3 FROM held ON CONFLICT DO NOTHING RETURNING 1",
            &[&number(epoch), &number(at.position), &at.hash.as_slice(), &lineage],
        )
        .await
        .map_err(|e| control.error(&e))?;
    if changed.is_empty() {
        return Err(Error::shadow(
            state::OBJECT_NOT_IN_PREREQUISITE_STATE,
            "PostgreSQL is not shut out, or knows another switch already",
        ));
    }
    Ok(())
}

/// A copy made anew ends whatever reign is open on PostgreSQL.
pub(super) async fn close_old_reigns(control: &Control, epoch: Epoch) -> Result<()> {
    control
        .client()
        .execute(
            "INSERT INTO crossfade.epochs (epoch, record) SELECT $1, 'returned' \
             WHERE EXISTS (SELECT 1 FROM crossfade.epochs WHERE record = 'decided' AND epoch < $1) \
             ON CONFLICT DO NOTHING",
            &[&number(epoch)],
        )
        .await
        .map(drop)
        .map_err(|e| control.error(&e))
}

/// Shuts the application out: no new log-ins where it has a role of its own, no back end left.
/// Returns the number of rounds it took.
pub(super) async fn fence(control: &Control, app_role: Option<&str>) -> Result<u32> {
    control.batch("UPDATE crossfade.state SET fenced = true").await?;
    if let Some(role) = app_role {
        let role = crate::backend::postgres::apply::quoted(role);
        control.batch(&format!("ALTER ROLE {role} NOLOGIN")).await?;
    }
    for round in 1..=100 {
        let rows = control
            .rows(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                 WHERE datname = current_database() AND pid <> pg_backend_pid() \
                 AND backend_type = 'client backend' AND application_name NOT LIKE 'crossfade %'",
            )
            .await?;
        if rows.first().is_some_and(|row| row.get::<_, i64>(0) == 0) {
            return Ok(round);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err(Error::shadow(state::OBJECT_IN_USE, "PostgreSQL's back ends do not end"))
}

/// Lets the application in again after a rollback that was not decided.
pub(super) async fn unfence(connector: &Connector, app_role: Option<&str>) -> Result<()> {
    let control = connect(connector).await?;
    if let Some(role) = app_role {
        let role = crate::backend::postgres::apply::quoted(role);
        control.batch(&format!("ALTER ROLE {role} LOGIN")).await?;
    }
    control.batch("UPDATE crossfade.state SET fenced = false").await
}
