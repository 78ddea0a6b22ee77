//! How many more sessions PostgreSQL takes.
//!
//! Owns the question. Who is connected is seen without any right; what a superuser may have beyond
//! the limit is nobody's here. Start at [`room`].

use tokio_postgres::Client;

/// Sessions that PostgreSQL takes: the smallest of what the server, the database and the role allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// More than there are now; negative where a limit was lowered.
    pub free: i64,
    /// Whose limit it is.
    pub limit: &'static str,
    /// `max_connections`.
    pub max: i64,
}

const QUESTION: &str = "\
SELECT current_setting('max_connections')::bigint, \
 current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint \
   - coalesce(current_setting('reserved_connections', true)::bigint, 0) \
   - (SELECT coalesce(sum(numbackends), 0) FROM pg_stat_database)::bigint, \
 (SELECT nullif(datconnlimit, -1)::bigint - (SELECT count(*) FROM pg_stat_activity a \
    WHERE a.datid = d.oid AND a.usesysid IS NOT NULL) FROM pg_database d \
  WHERE datname = current_database() \
    AND NOT EXISTS (SELECT FROM pg_roles WHERE rolname = $1 AND rolsuper)), \
 (SELECT nullif(rolconnlimit, -1)::bigint - (SELECT count(*) FROM pg_stat_activity a \
    WHERE a.usesysid = r.oid) FROM pg_roles r WHERE rolname = $1 AND NOT rolsuper)";

/// How many more sessions of a role the connected database takes.
///
/// # Errors
/// PostgreSQL's.
pub async fn room(client: &Client, role: &str) -> Result<Room, tokio_postgres::Error> {
    let row = client.query_one(QUESTION, &[&role]).await?;
    let max = row.try_get(0)?;
    let (server, database, of_role) = (
        row.try_get::<_, i64>(1)?,
        row.try_get::<_, Option<i64>>(2)?,
        row.try_get::<_, Option<i64>>(3)?,
    );
    let all = [(Some(server), "max_connections"), (database, "the database's CONNECTION LIMIT")];
    let all = all.into_iter().chain([(of_role, "the role's CONNECTION LIMIT")]);
    let least = all.filter_map(|(free, limit)| free.map(|free| (free, limit))).min();
    let (free, limit) = least.unwrap_or((server, "max_connections"));
    Ok(Room { free, limit, max })
}
