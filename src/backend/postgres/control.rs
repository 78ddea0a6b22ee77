//! The control connection: what Crossfade keeps on PostgreSQL, and who may touch it.
//!
//! Owns schema `crossfade` there: the applied position, the epochs, the fence, the quarantine.
//! It must never use the application's session state, and never be shut out by our own fence.
//! Start at [`Control::connect`].

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio_postgres::{Client, Row};

use super::connect::Connector;
use crate::backend::Position;
use crate::clock::Clock;
use crate::error::{Error, Result, state};

/// Tables of schema `crossfade`. Every statement is idempotent, and waits for nobody who uses a
/// table that is there.
const SCHEMA: &str = "\
CREATE SCHEMA IF NOT EXISTS crossfade;
CREATE TABLE IF NOT EXISTS crossfade.state (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  lineage bytea, position bigint NOT NULL DEFAULT 0, hash bytea,
  fenced boolean NOT NULL DEFAULT false, owner text,
  complete boolean NOT NULL DEFAULT false, served bigint NOT NULL DEFAULT 0,
  disowned boolean NOT NULL DEFAULT false,
  updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
INSERT INTO crossfade.state DEFAULT VALUES ON CONFLICT DO NOTHING;
CREATE TABLE IF NOT EXISTS crossfade.epochs (
  epoch bigint PRIMARY KEY,
  record text NOT NULL CHECK (record IN ('decided', 'abandoned', 'returned')),
  position bigint, hash bytea, place pg_lsn, at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS crossfade.quarantine (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  table_name text NOT NULL, row_key text NOT NULL, column_name text NOT NULL,
  class text NOT NULL, bytes bytea, reason text NOT NULL, position bigint NOT NULL
);";

/// The settings of the mirror's connections that decide what values mean and how they read. A
/// client whose own differ is followed with [`set_local`].
pub const SETTINGS: &[(&str, &str)] = &[
    ("timezone", "UTC"),
    ("datestyle", "ISO, MDY"),
    ("intervalstyle", "postgres"),
    ("extra_float_digits", "1"),
    ("bytea_output", "hex"),
    ("default_text_search_config", "pg_catalog.english"),
];

/// What its connections have beside them, whatever PostgreSQL's role or database would give: no
/// statement reads another value by these.
const STEADY: &[(&str, &str)] = &[
    ("search_path", "public"),
    ("client_min_messages", "warning"),
    ("statement_timeout", "0"),
    ("lock_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_read_only", "off"),
    ("default_transaction_deferrable", "off"),
    ("standard_conforming_strings", "on"),
    ("backslash_quote", "safe_encoding"),
    ("array_nulls", "on"),
    ("transform_null_equals", "off"),
    ("quote_all_identifiers", "off"),
    ("xmlbinary", "base64"),
    ("xmloption", "content"),
];

/// [`SETTINGS`], and a client's own over them, for the rest of a transaction.
pub fn set_local(settings: &[(String, String)]) -> String {
    let own = settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    set("SET LOCAL", SETTINGS.iter().copied().chain(own))
}

fn set<'a>(how: &str, settings: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let each = settings.map(|(n, v)| format!("{how} {n} = '{}'", v.replace('\'', "''")));
    each.collect::<Vec<_>>().join("; ")
}

/// An advisory lock that one proxy of a pair holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// Whoever serves clients, through both reigns.
    Pair,
    /// Whoever writes to the shadow.
    Shadow,
}

impl Lock {
    const ALL: [Self; 2] = [Self::Pair, Self::Shadow];

    const fn key(self) -> i64 {
        match self {
            Self::Shadow => 0x63_726f_7373_6661,
            Self::Pair => 0x63_726f_7373_6662,
        }
    }

    /// Condition on pg_locks.
    fn is_granted(self) -> String {
        let key = self.key();
        format!(
            "l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 \
             AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
             AND l.classid = {} AND l.objid = {}",
            key >> 32,
            key & 0xffff_ffff
        )
    }
}

/// SQL: whether a connection of this process holds the lock.
pub fn held_by_us(lock: Lock) -> String {
    format!(
        "EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid) \
         WHERE {} AND a.application_name = '{}')",
        lock.is_granted(),
        application_name()
    )
}

/// Pause before the lock is tried again while a connection of this process still has it.
const LOCK_AGAIN: Duration = Duration::from_millis(10);

/// A holder whose host died, or whose client died in the middle of a long statement, must not
/// keep the lock: PostgreSQL asks for it (a server that cannot goes without).
const LIVENESS: &str = "\
SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3;
DO $crossfade$ BEGIN PERFORM set_config('client_connection_check_interval', '1s', false);
EXCEPTION WHEN OTHERS THEN NULL; END $crossfade$";

/// Name shown in pg_stat_activity. The fence spares back ends of exactly this name, so it is
/// one that no client has by chance or by habit: it is this process's own.
pub fn application_name() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| format!("crossfade control {:016x}", Clock::system().random_u64()))
}

/// A connection for Crossfade's own statements. Cheap to clone.
#[derive(Clone)]
pub struct Control {
    client: Arc<Client>,
    connector: Connector,
}

/// Who holds a lock of the pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Nobody.
    Nobody,
    /// A connection of this process.
    Us,
    /// Another proxy, alive or not noticed to be dead: the name its connection shows.
    Another(String),
}

/// What PostgreSQL durably knows, and who holds the lock while it says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Who holds the locks of this pair.
    pub holder: Holder,
    /// The installation that held the pair last.
    pub owner: Option<String>,
    /// `system_identifier`.
    pub system: u64,
    /// Timeline.
    pub timeline: u32,
    /// Lineage of the applied history; None before the first copy.
    pub lineage: Option<[u8; 16]>,
    /// Last applied position.
    pub position: Position,
    /// Its hash.
    pub hash: Option<[u8; 32]>,
    /// The application role is shut out.
    pub fenced: bool,
    /// The migration has ended here: nothing leads back.
    pub complete: bool,
    /// It was found to be older than what SQLite has followed: nobody may serve it.
    pub disowned: bool,
    /// The highest epoch under which PostgreSQL has been served; None where an earlier version made
    /// the schema.
    pub served: Option<u64>,
    /// The end of the write-ahead log, as far as it is on disk.
    pub end: u64,
    /// (epoch, record word), ascending.
    pub epochs: Vec<(u64, String)>,
}

impl Control {
    /// Connects; the driver runs in a task of its own until the connection ends.
    ///
    /// # Errors
    /// 08006, retryable, when no host answers; else what PostgreSQL said.
    pub async fn connect(connector: &Connector) -> Result<Self> {
        let (client, driver) = connector.client(application_name()).await?;
        tokio::spawn(async move {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "a control connection ended");
            }
        });
        let control = Self { client: Arc::new(client), connector: connector.clone() };
        control.batch(&set("SET", STEADY.iter().chain(SETTINGS).copied())).await?;
        Ok(control)
    }

    /// Another connection to the same place.
    ///
    /// # Errors
    /// As [`Control::connect`].
    pub async fn another(&self) -> Result<Self> {
        Self::connect(&self.connector).await
    }

    /// The tokio-postgres client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Where it leads.
    pub fn connector(&self) -> &Connector {
        &self.connector
    }

    /// Whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Our form of a tokio-postgres error.
    pub fn error(&self, error: &tokio_postgres::Error) -> Error {
        self.connector.error_of(error)
    }

    /// Runs statements without parameters.
    ///
    /// # Errors
    /// What PostgreSQL said.
    pub async fn batch(&self, sql: &str) -> Result<()> {
        self.client.batch_execute(sql).await.map_err(|e| self.error(&e))
    }

    /// Runs one query without parameters and returns its rows.
    ///
    /// # Errors
    /// What PostgreSQL said.
    pub async fn rows(&self, sql: &str) -> Result<Vec<Row>> {
        self.client.query(sql, &[]).await.map_err(|e| self.error(&e))
    }

    /// Whether schema `crossfade` is there.
    ///
    /// # Errors
    /// What PostgreSQL said.
    pub async fn has_schema(&self) -> Result<bool> {
        let there = self.rows("SELECT to_regclass('crossfade.state') IS NOT NULL").await?;
        Ok(there.first().is_some_and(|row| row.get(0)))
    }

    /// Makes schema `crossfade` where it, or a part of it, is absent.
    ///
    /// # Errors
    /// 42501 when the role may not create it.
    pub async fn ensure_schema(&self) -> Result<()> {
        self.batch(SCHEMA).await
    }

    /// Takes a lock of this pair for the connection's life; false when somebody has it until
    /// `patience` has passed: a connection of this process may need a moment to end.
    ///
    /// # Errors
    /// What PostgreSQL said.
    pub async fn lock(&self, lock: Lock, patience: Duration) -> Result<bool> {
        self.batch(LIVENESS).await?;
        let key = lock.key();
        let until = Instant::now() + patience;
        loop {
            let tried = self.client.query_one("SELECT pg_try_advisory_lock($1)", &[&key]).await;
            if tried.map_err(|e| self.error(&e))?.get(0) {
                return Ok(true);
            }
            if Instant::now() >= until {
                return Ok(false);
            }
            tokio::time::sleep(LOCK_AGAIN).await;
        }
    }

    /// Gives its locks back.
    ///
    /// # Errors
    /// What PostgreSQL said.
    pub async fn unlock(&self) -> Result<()> {
        self.batch("SELECT pg_advisory_unlock_all()").await
    }

    /// Stores which installation holds the pair.
    ///
    /// # Errors
    /// What PostgreSQL said.
    pub async fn own(&self, installation: &str) -> Result<()> {
        let sql = "UPDATE crossfade.state SET owner = $1 WHERE owner IS DISTINCT FROM $1";
        self.client.execute(sql, &[&installation]).await.map(drop).map_err(|e| self.error(&e))
    }

    /// Stores that PostgreSQL is served in this epoch, which is recorded on the other side, too:
    /// whatever was found wanting before, it is not now.
    ///
    /// # Errors
    /// What PostgreSQL said; 42703 where an earlier version made the schema.
    pub async fn serves(&self, epoch: u64) -> Result<()> {
        let sql = "UPDATE crossfade.state SET served = greatest(served, $1), disowned = false \
                   WHERE served < $1 OR disowned";
        let epoch = i64::try_from(epoch).unwrap_or(i64::MAX);
        self.client.execute(sql, &[&epoch]).await.map(drop).map_err(|e| self.error(&e))
    }

    /// Reads what PostgreSQL durably knows; None when schema `crossfade` is not there.
    ///
    /// # Errors
    /// What PostgreSQL said; XX001 when a stored value has no meaning.
    pub async fn stored(&self) -> Result<Option<Stored>> {
        if !self.has_schema().await? {
            return Ok(None);
        }
        let locked = Lock::ALL.map(|lock| format!("({})", lock.is_granted())).join(" OR ");
        let sql = format!(
            "SELECT s.lineage, s.position, s.hash, s.fenced, \
             (SELECT system_identifier FROM pg_control_system()), \
             (SELECT timeline_id FROM pg_control_checkpoint()), \
             coalesce((CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() \
              ELSE pg_current_wal_flush_lsn() END - '0/0'::pg_lsn)::bigint, 0), \
             (SELECT array_agg(a.application_name) \
              FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE {locked}), \
             to_jsonb(s) ->> 'owner', coalesce((to_jsonb(s) ->> 'complete')::boolean, false), \
             (to_jsonb(s) ->> 'served')::bigint, \
             coalesce((to_jsonb(s) ->> 'disowned')::boolean, false) \
             FROM crossfade.state s"
        );
        let (state, epochs) = tokio::try_join!(
            self.rows(&sql),
            self.rows("SELECT epoch, record FROM crossfade.epochs ORDER BY epoch"),
        )?;
        let row = state.first().ok_or_else(|| damaged("crossfade.state is empty"))?;
        let lineage: Option<Vec<u8>> = row.get(0);
        let hash: Option<Vec<u8>> = row.get(2);
        let fixed =
            |bytes: Vec<u8>| bytes.try_into().map_err(|_| damaged("a stored hash is damaged"));
        let fixed_id =
            |bytes: Vec<u8>| bytes.try_into().map_err(|_| damaged("the stored lineage is damaged"));
        Ok(Some(Stored {
            holder: match row.get::<_, Option<Vec<String>>>(7) {
                None => Holder::Nobody,
                Some(names) => match names.into_iter().find(|name| name != application_name()) {
                    None => Holder::Us,
                    Some(another) => Holder::Another(another),
                },
            },
            owner: row.get(8),
            // The identifier is a 64-bit pattern shown as a signed number.
            system: row.get::<_, i64>(4) as u64,
            timeline: u32::try_from(row.get::<_, i32>(5)).unwrap_or(0),
            lineage: lineage.map(fixed_id).transpose()?,
            position: unsigned(row.get(1))?.into(),
            hash: hash.map(fixed).transpose()?,
            fenced: row.get(3),
            complete: row.get(9),
            disowned: row.get(11),
            served: row.get::<_, Option<i64>>(10).map(unsigned).transpose()?,
            end: unsigned(row.get(6))?,
            epochs: epochs
                .iter()
                .map(|row| Ok((unsigned(row.get(0))?, row.get(1))))
                .collect::<Result<_>>()?,
        }))
    }

    /// The write-ahead log's flushed end, as a number.
    ///
    /// # Errors
    /// What PostgreSQL said.
    pub async fn flushed_lsn(&self) -> Result<u64> {
        let rows = self.rows("SELECT (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint").await?;
        let row = rows.first().ok_or_else(|| damaged("no answer about the write-ahead log"))?;
        unsigned(row.get(0))
    }
}

impl From<u64> for Position {
    fn from(number: u64) -> Self {
        Self(number)
    }
}

fn unsigned(number: i64) -> Result<u64> {
    u64::try_from(number).map_err(|_| damaged("a stored number is negative"))
}

fn damaged(text: &'static str) -> Error {
    Error::shadow(state::DATA_CORRUPTED, text)
}
