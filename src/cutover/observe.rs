//! Looking at PostgreSQL's part of the switch, and writing it.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::{Duration, Instant};

use super::claim::Claim;
use super::phase::Phase;
use super::state::{
    Epoch, Point, PostgresState, PostgresView, Record, SqliteRole, SqliteState, System,
};
use crate::backend::postgres::apply::quoted;
use crate::backend::postgres::connect::Connector;
use crate::backend::postgres::control::{
    Control, Holder, Lock, Stored, application_name, held_by_us,
};
use crate::backend::postgres::handover::literal;
use crate::backend::postgres::replication::Lsn;
use crate::backend::postgres::rights;
use crate::backend::postgres::schemas;
use crate::count::counted;
use crate::error::{Error, Result, state};
use crate::journal::{self, Journal};
use crate::mirror::way_back::WayBack;
use crate::mirror::{Standing, standing};

/// How long one look may take.
pub(super) const LOOK_MAX: Duration = Duration::from_secs(5);

/// Connects, for at most [`LOOK_MAX`].
pub(super) async fn connect(connector: &Connector) -> Result<Control> {
    tokio::time::timeout(LOOK_MAX, Control::connect(connector)).await.unwrap_or_else(|_| {
        Err(Error::shadow(state::CONNECTION_FAILURE, "PostgreSQL does not answer").retryable())
    })
}

/// What recovery has to know about PostgreSQL, once the claim on the pair is held.
///
/// # Errors
/// Only the journal's own: an unreachable PostgreSQL is a view.
pub(super) async fn view(claim: &Claim, journal: &Journal, phase: Phase) -> Result<PostgresView> {
    let followed = WayBack::stored(journal.sqlite()).await?;
    let looked = async {
        match claim.look(false).await? {
            // After the end a person may have dropped it.
            None if phase == Phase::Complete => Ok(None),
            None => {
                claim.make_schema().await?;
                claim.look(false).await
            }
            stored => Ok(stored),
        }
    };
    let stored = match looked.await {
        Ok(Some(stored)) => stored,
        Ok(None) => return Ok(PostgresView::Unreachable),
        Err(error) => {
            tracing::warn!(%error, "PostgreSQL cannot be looked at");
            return Ok(PostgresView::Unreachable);
        }
    };
    seen(&stored, journal, followed).await
}

/// What PostgreSQL knows of a switch, for a file that has met none: nothing is claimed or made there.
/// Without a switch there is nothing that the file could have missed.
///
/// # Errors
/// Only the journal's own: an unreachable PostgreSQL is a view.
pub(super) async fn glance(connector: &Connector, journal: &Journal) -> Result<PostgresView> {
    let stored = async { within(connect(connector).await?.stored()).await };
    match stored.await {
        Ok(Some(stored)) if matches!(stored.holder, Holder::Another(_)) => Ok(PostgresView::Locked),
        Ok(Some(stored)) if stored.epochs.iter().any(|(_, record)| record == "decided") => {
            Ok(PostgresView::Reachable(state_of(&stored, journal, None).await?))
        }
        Ok(_) => Ok(PostgresView::Absent),
        Err(error) => {
            tracing::debug!(%error, "PostgreSQL does not say whether it was primary");
            Ok(PostgresView::Unreachable)
        }
    }
}

/// What PostgreSQL said, as recovery takes it.
///
/// # Errors
/// The journal's own.
pub(super) async fn seen(
    stored: &Stored,
    journal: &Journal,
    followed: Option<Lsn>,
) -> Result<PostgresView> {
    match &stored.holder {
        Holder::Another(name) => {
            tracing::debug!(name, "another proxy has the pair");
            Ok(PostgresView::Locked)
        }
        Holder::Nobody | Holder::Us => {
            Ok(PostgresView::Reachable(state_of(stored, journal, followed).await?))
        }
    }
}

/// An answer that does not come is no answer: whoever waits for it must go on.
pub(super) async fn within<T>(answer: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(LOOK_MAX, answer).await.unwrap_or_else(|_| {
        Err(Error::shadow(state::CONNECTION_FAILURE, "PostgreSQL does not answer").retryable())
    })
}

/// What PostgreSQL stores, beside what SQLite knows of it. `followed` was read before PostgreSQL
/// was asked: SQLite goes on meanwhile, and must not seem to be ahead of its log.
///
/// # Errors
/// The journal's own.
async fn state_of(
    stored: &Stored,
    journal: &Journal,
    followed: Option<Lsn>,
) -> Result<PostgresState> {
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
    let place_is_known = followed.is_none_or(|place| place.0 <= stored.end);
    if let Some(followed) = followed.filter(|_| !place_is_known) {
        let end = Lsn(stored.end);
        tracing::warn!(%followed, %end, "PostgreSQL's log ends before what SQLite has followed");
    }
    Ok(PostgresState {
        system: System { identifier: stored.system, timeline: stored.timeline },
        records,
        applied: Point { position: stored.position.0, hash: stored.hash.unwrap_or_default() },
        applied_is_known: found.is_some_and(|hash| Some(hash.0) == stored.hash),
        fenced: stored.fenced,
        disowned: stored.disowned,
        place_is_known,
    })
}

fn number(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The decision: position and hash are the final ones, the claim is held, and this epoch has no
/// record yet.
/// The place in the write-ahead log from which the way back begins: after everything the
/// mirror wrote, before everything a client writes there.
///
/// # Errors
/// Anything but a sure "no" leaves the outcome unknown: ask recovery.
/// Nothing in it waits for a lock longer than `lock`: everybody waits for it.
pub(super) async fn decide(
    control: &Control,
    epoch: Epoch,
    at: Point,
    open: &str,
    lock: Duration,
) -> Result<Lsn> {
    let client = control.client();
    let begin = format!(
        "BEGIN; SET LOCAL synchronous_commit = on; SET LOCAL lock_timeout = {}",
        lock.as_millis().max(1)
    );
    control.batch(&begin).await?;
    let here = format!(
        "UPDATE crossfade.state SET fenced = false, disowned = false, updated_at = now() \
         WHERE position = $1 AND hash = $2 AND {}",
        held_by_us(Lock::Pair)
    );
    let outcome = async {
        let held = client
            .execute(&here, &[&number(at.position), &at.hash.as_slice()])
            .await
            .map_err(|e| control.error(&e))?;
        if held != 1 {
            return Err(Error::shadow(
                state::OBJECT_NOT_IN_PREREQUISITE_STATE,
                "PostgreSQL does not stand at the final position, or another proxy has the pair",
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
    let row = within(async {
        control
            .client()
            .query_opt(
                "SELECT place::text FROM crossfade.epochs WHERE epoch = $1 AND place IS NOT NULL",
                &[&number(epoch)],
            )
            .await
            .map_err(|e| control.error(&e))
    })
    .await?;
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
    within(async {
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
    })
    .await
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
    let changed = within(async {
        control
            .client()
            .query(
                "WITH held AS (UPDATE crossfade.state SET position = $2, hash = $3, lineage = $4, \
                 updated_at = now() WHERE fenced RETURNING 1) \
                 INSERT INTO crossfade.epochs (epoch, record, position, hash) \
                 SELECT $1, 'returned', $2, $3 FROM held ON CONFLICT DO NOTHING RETURNING 1",
                &[&number(epoch), &number(at.position), &at.hash.as_slice(), &lineage],
            )
            .await
            .map_err(|e| control.error(&e))
    })
    .await?;
    if changed.is_empty() {
        return Err(Error::shadow(
            state::OBJECT_NOT_IN_PREREQUISITE_STATE,
            "PostgreSQL is not shut out, or knows another switch already",
        ));
    }
    Ok(())
}

/// A copy made anew ends whatever older reign of this pair is open on PostgreSQL. One of
/// another pair's history is not ours to end, whatever its number.
pub(super) async fn close_old_reigns(
    control: &Control,
    journal: &Journal,
    epoch: Epoch,
) -> Result<()> {
    let Some(lineage) = journal.lineage() else { return Ok(()) };
    control
        .client()
        .execute(
            "INSERT INTO crossfade.epochs (epoch, record) SELECT $1, 'returned' \
             WHERE EXISTS (SELECT 1 FROM crossfade.epochs WHERE record = 'decided' AND epoch < $1) \
             AND EXISTS (SELECT 1 FROM crossfade.state WHERE lineage = $2) \
             ON CONFLICT DO NOTHING",
            &[&number(epoch), &lineage.0.as_slice()],
        )
        .await
        .map(drop)
        .map_err(|e| control.error(&e))
}

/// Marks a PostgreSQL of this pair as one that nobody may take for primary, unless it has a
/// decision above this epoch: then this file is the one from a backup. Where SQLite is primary, its
/// reigns below have ended; else it is the past of a reign, which its log will soon not show any
/// more: that mark stays until a person takes it away.
///
/// # Errors
/// What PostgreSQL said, or that it does not answer.
pub(super) async fn disown(
    connector: &Connector,
    journal: &Journal,
    sqlite: &SqliteState,
) -> Result<()> {
    let Some(lineage) = journal.lineage() else { return Ok(()) };
    within(async {
        let control = connect(connector).await?;
        if !control.has_schema().await? {
            return Ok(());
        }
        let primary = sqlite.role == SqliteRole::Primary;
        let above = if primary { sqlite.epoch } else { sqlite.epoch + 1 };
        let mark = if primary { "fenced" } else { "disowned" };
        let sql = format!(
            "UPDATE crossfade.state SET {mark} = true WHERE lineage = $1 AND NOT {mark} \
             AND NOT EXISTS (SELECT FROM crossfade.epochs WHERE record = 'decided' AND epoch >= $2)"
        );
        control
            .client()
            .execute(&sql, &[&lineage.0.as_slice(), &number(above)])
            .await
            .map_err(|e| control.error(&e))?;
        match primary {
            true => close_old_reigns(&control, journal, sqlite.epoch).await,
            false => Ok(()),
        }
    })
    .await
}

/// Shuts the application out: no new log-ins where it has a role of its own, no back end left.
/// Returns the number of rounds it took, of which there are more until `limit`.
///
/// # Errors
/// 42501 when a back end may not be ended, 55006 when one does not end.
pub(super) async fn fence(
    control: &Control,
    app_role: Option<&str>,
    limit: Duration,
) -> Result<u32> {
    let until = Instant::now() + limit;
    control.batch("UPDATE crossfade.state SET fenced = true").await?;
    if let Some(role) = app_role {
        control.batch(&format!("ALTER ROLE {} NOLOGIN", quoted(role))).await?;
    }
    let others = format!(
        "datname = current_database() AND pid <> pg_backend_pid() \
         AND backend_type = 'client backend' AND application_name <> {}",
        literal(application_name())
    );
    let end =
        format!("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {others}");
    let (mut empty, mut round) = (0, 0);
    while round < 2 || Instant::now() < until {
        round += 1;
        let rows = control.rows(&end).await?;
        empty =
            if rows.first().is_some_and(|row| row.get::<_, i64>(0) == 0) { empty + 1 } else { 0 };
        // Twice: a back end that was just logging in shows a moment later.
        if empty == 2 {
            return Ok(round);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let list = format!(
        "SELECT coalesce(string_agg(format('%s as %s (%s)', pid, usename, application_name), ', '), \
         '') FROM pg_stat_activity WHERE {others}"
    );
    let rows = control.rows(&list).await?;
    let who: String = rows.first().map(|row| row.get(0)).unwrap_or_default();
    Err(Error::shadow(state::OBJECT_IN_USE, "PostgreSQL's back ends do not end").detail(who))
}

/// Transactions that clients have prepared on PostgreSQL and not ended: they outlive a fence.
///
/// # Errors
/// PostgreSQL's.
pub(super) async fn prepared(control: &Control) -> Result<Vec<String>> {
    let sql = "SELECT gid FROM pg_prepared_xacts WHERE database = current_database() ORDER BY 1";
    Ok(control.rows(sql).await?.iter().map(|row| row.get(0)).collect())
}

/// Tells whoever fronts this PostgreSQL that the migration is complete.
///
/// # Errors
/// PostgreSQL's.
pub(super) async fn tell_complete(control: &Control) -> Result<()> {
    control.batch("UPDATE crossfade.state SET complete = true").await
}

/// Takes down what Crossfade keeps on PostgreSQL, but for the record of the switch: a file that is
/// restored from a backup, or a copy of it, must never believe that it is primary. Values in
/// quarantine are nowhere else there and stay, too. Says what is left.
///
/// # Errors
/// PostgreSQL's, where something of the application's hangs on it.
pub(super) async fn take_down(control: &Control) -> Result<String> {
    let held: i64 = match control.rows("SELECT count(*) FROM crossfade.quarantine").await?.first() {
        Some(row) => row.get(0),
        None => 0,
    };
    let kept = if held > 0 { "'state', 'epochs', 'quarantine'" } else { "'state', 'epochs'" };
    let names = format!(
        "SELECT string_agg(format('crossfade.%I', relname), ', ') FROM pg_class \
         WHERE relnamespace = 'crossfade'::regnamespace AND relkind IN ('r', 'p') \
         AND relname NOT IN ({kept})"
    );
    let rows = control.rows(&names).await?;
    let tables: Option<String> = rows.first().and_then(|row| row.get(0));
    if let Some(tables) = tables {
        let sql = format!("BEGIN; SET LOCAL lock_timeout = '2s'; DROP TABLE {tables}; COMMIT");
        control.batch(&sql).await?;
    }
    Ok(match held {
        0 => "the record of the switch stays".to_owned(),
        n => format!("the record of the switch and {} in quarantine stay", counted(n, "value")),
    })
}

/// Lets the application in again after a rollback that was not decided.
pub(super) async fn unfence(connector: &Connector, app_role: Option<&str>) -> Result<()> {
    within(async {
        let control = connect(connector).await?;
        if let Some(role) = app_role {
            control.batch(&format!("ALTER ROLE {} LOGIN", quoted(role))).await?;
        }
        control.batch("UPDATE crossfade.state SET fenced = false").await
    })
    .await
}

/// Gives the application's role what it needs as primary: its tables, and a look at the switch.
/// Where the control role may not give tables away it grants every right on them instead.
///
/// # Errors
/// 42501 when neither is allowed.
pub(super) async fn admit(control: &Control, app_role: &str) -> Result<&'static str> {
    let role = quoted(app_role);
    control
        .batch(&format!(
            "GRANT USAGE ON SCHEMA crossfade TO {role}; \
             GRANT SELECT ON crossfade.state, crossfade.epochs TO {role}"
        ))
        .await?;
    control.batch(schemas::TABLE).await?;
    let rights = rights::load(control.client(), app_role).await.map_err(|e| control.error(&e))?;
    if rights.give {
        let give = GIVE.replace("$role", &literal(app_role)).replace("$ours", schemas::OURS);
        control.batch(&give).await?;
        return Ok("owns its tables");
    }
    let rows =
        control.rows("SELECT 'public'::name UNION SELECT name FROM crossfade.schemas").await?;
    for row in &rows {
        let schema = quoted(row.get(0));
        control
            .batch(&format!(
                "GRANT USAGE ON SCHEMA {schema} TO {role}; \
                 GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO {role}; \
                 GRANT ALL ON ALL SEQUENCES IN SCHEMA {schema} TO {role}"
            ))
            .await?;
    }
    Ok("may use its tables, and not change their definition")
}

/// Every table, view and free sequence of the mirrored schemas that the control role owns. The
/// schemas themselves stay the control role's: dropping one is not the application's.
const GIVE: &str = "\
DO $crossfade$ DECLARE one record; BEGIN \
  FOR one IN SELECT n.nspname FROM pg_namespace n WHERE n.oid IN $ours \
    AND NOT (has_schema_privilege($role, n.oid, 'CREATE') \
    AND has_schema_privilege($role, n.oid, 'USAGE')) LOOP \
    EXECUTE format('GRANT CREATE, USAGE ON SCHEMA %I TO %I', one.nspname, $role); END LOOP; \
  FOR one IN SELECT n.nspname, c.relname, c.relkind FROM pg_class c \
    JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relnamespace IN $ours AND c.relkind IN ('r', 'p', 'v', 'm', 'S') \
      AND c.relowner <> (SELECT oid FROM pg_roles WHERE rolname = $role) \
      AND pg_has_role(current_user, c.relowner, 'USAGE') \
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid \
        AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i', 'e')) \
  LOOP EXECUTE format('ALTER %s %I.%I OWNER TO %I', CASE one.relkind WHEN 'v' THEN 'VIEW' \
    WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, \
    one.nspname, one.relname, $role); END LOOP; END $crossfade$";
