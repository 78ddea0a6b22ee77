//! Which lock a connection of ours waits for on PostgreSQL, and who is before it.
//!
//! Owns the question. It must never wait for a lock itself. Start at [`look`].

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use super::connect::Connector;
use super::control::{Control, application_name};
use crate::error::{Error, Result, state};

/// How long a connection waits before it is worth a word.
pub const LONG: Duration = Duration::from_secs(3);
/// How long the question may take.
const LOOK_MAX: Duration = Duration::from_secs(5);

/// The one that has waited longest. Locks are looked at for connections of ours alone.
const SQL: &str = "\
SELECT coalesce(k.what, 'another transaction'), to_char(a.query_start AT TIME ZONE 'UTC', 'HH24:MI:SS'),
  b.pid, coalesce(b.application_name, ''), coalesce(b.usename::text, ''),
  to_char(b.xact_start AT TIME ZONE 'UTC', 'HH24:MI:SS')
FROM pg_stat_activity a
LEFT JOIN LATERAL (SELECT 'a lock on table ' || l.relation::regclass AS what FROM pg_locks l
  WHERE l.pid = a.pid AND NOT l.granted AND l.locktype = 'relation' LIMIT 1) k ON true
LEFT JOIN LATERAL (SELECT s.* FROM unnest(pg_blocking_pids(a.pid)) AS ahead(pid)
  JOIN pg_stat_activity s ON s.pid = ahead.pid ORDER BY s.xact_start LIMIT 1) b ON true
WHERE a.application_name = $1 AND a.datname = current_database() AND a.wait_event_type = 'Lock'
  AND a.query_start < clock_timestamp() - make_interval(secs => $2)
ORDER BY a.query_start LIMIT 1";

/// A wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// For what: `a lock on table t`.
    pub what: String,
    /// Since when, by PostgreSQL's clock in UTC.
    pub since: String,
    /// Who is before it; None where PostgreSQL does not tell.
    pub ahead: Option<Ahead>,
}

/// Who is before a connection that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ahead {
    /// Its process.
    pub pid: i32,
    /// What it calls itself; None where it is one of ours.
    pub name: Option<String>,
    /// Its role.
    pub role: String,
    /// Since when its transaction is open, where PostgreSQL tells us.
    pub open_since: Option<String>,
}

impl Display for Wait {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "{}, since {} UTC", self.what, self.since)?;
        let Some(ahead) = &self.ahead else { return Ok(()) };
        match &ahead.name {
            None => write!(out, ": Crossfade itself is before it (process {}", ahead.pid)?,
            Some(name) => write!(
                out,
                ": process {} is before it (application {name:?}, role {:?}",
                ahead.pid, ahead.role
            )?,
        }
        match &ahead.open_since {
            None => out.write_str(")"),
            Some(since) => write!(out, ", in a transaction since {since} UTC)"),
        }
    }
}

/// What a connection of this process has waited for, for longer than [`LONG`]. The connection that is
/// asked is kept for the next time.
///
/// # Errors
/// What PostgreSQL said; 08006 when it does not answer in time.
pub async fn look(kept: &mut Option<Control>, connector: &Connector) -> Result<Option<Wait>> {
    let looked = async {
        let control = match kept.take().filter(|control| !control.is_closed()) {
            Some(control) => control,
            None => Control::connect(connector).await?,
        };
        let long = LONG.as_secs_f64();
        let row = control.client().query_opt(SQL, &[&application_name(), &long]).await;
        let row = row.map_err(|e| control.error(&e))?;
        *kept = Some(control);
        Ok(row.map(|row| {
            let named = |name: String| (name != application_name()).then_some(name);
            let ahead = row.get::<_, Option<i32>>(2).map(|pid| Ahead {
                pid,
                name: named(row.get(3)),
                role: row.get(4),
                open_since: row.get(5),
            });
            Wait { what: row.get(0), since: row.get(1), ahead }
        }))
    };
    tokio::time::timeout(LOOK_MAX, looked).await.unwrap_or_else(|_| {
        Err(Error::shadow(state::CONNECTION_FAILURE, "PostgreSQL does not answer").retryable())
    })
}
