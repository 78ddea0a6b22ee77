//! Both back ends at one position.
//!
//! Owns [`Cut`], what verify and repair need from whoever drives the applier, and [`Still`],
//! its simplest form: nothing moves. It must never pair two positions. Start at [`Cut`].

use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use jiff::Timestamp;

use crate::backend::Position;
use crate::backend::postgres::connect::Connector;
use crate::backend::postgres::control::Control;
use crate::backend::postgres::copied;
use crate::backend::sqlite::{Connection, Sqlite, blocking};
use crate::error::{Error, Result, state};
use crate::journal;
use crate::mirror::Limit;
use crate::schema::Catalog;

/// Keys of a large table that are compared before that is noted.
pub const STRETCH: i64 = 1_000_000;

/// A boxed future, so that a cut can stand behind a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Gives cuts. Implemented by the mirror, and by [`Still`] where nothing moves.
pub trait Cut: Send + Sync {
    /// Both sides at one position. With `hold` the applier stays at that position until the
    /// answer is dropped, so that a repair may write; else it goes on as soon as both
    /// snapshots stand.
    fn cut(&self, hold: bool) -> BoxFuture<'_, Result<AtCut>>;
}

/// Both back ends at one position.
pub struct AtCut {
    /// The position.
    pub position: Position,
    /// When both snapshots were still to be taken: what they show is no older.
    pub at: Timestamp,
    /// The catalog at that position.
    pub catalog: Arc<Catalog>,
    /// A read transaction whose snapshot is that of the position.
    pub sqlite: Connection,
    /// A connection of its own in a read-only REPEATABLE READ transaction whose snapshot
    /// holds exactly the position.
    pub postgres: Control,
    /// Leads to PostgreSQL, for the connection a repair writes on.
    pub connector: Connector,
    /// Rows that are read in a second at most.
    pub limit: Limit,
    /// Keys of a large table that are compared before that is noted.
    pub stretch: i64,
    /// Whatever keeps journal and applier where they are.
    pub guard: Option<Box<dyn Any + Send + Sync>>,
}

impl AtCut {
    /// Gives PostgreSQL's snapshot and locks back, before another cut is taken: the applier may wait
    /// for a lock, and the cut for the applier.
    pub(super) async fn release(&self) {
        // What cannot be reached holds nothing.
        drop(self.postgres.batch("ROLLBACK").await);
    }
}

/// Opens PostgreSQL's side of a cut: the snapshot and the position it holds.
///
/// # Errors
/// 08006 when it does not answer; 55000 when nothing was ever copied.
pub async fn postgres_snapshot(connector: &Connector) -> Result<(Control, Position)> {
    let control = Control::connect(connector).await?;
    control.batch("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let rows =
        control.rows("SELECT position FROM crossfade.state WHERE lineage IS NOT NULL").await?;
    let Some(row) = rows.first() else {
        let error = Error::shadow(
            state::OBJECT_NOT_IN_PREREQUISITE_STATE,
            "PostgreSQL holds no copy whose position is known",
        );
        let waiting = copied::load(&control).await?.into_iter();
        let waiting: Vec<String> = waiting
            .filter(|(_, mark)| !mark.complete && mark.refused.is_none())
            .map(|(name, _)| name)
            .collect();
        return Err(match waiting.is_empty() {
            true => error.hint("Run backfill first."),
            false => error
                .detail(format!("Not copied to the end: {}.", waiting.join(", ")))
                .hint("Run backfill again: it goes on, and says what is in the way."),
        });
    };
    let position = u64::try_from(row.get::<_, i64>(0)).unwrap_or(0);
    Ok((control, Position(position)))
}

/// Opens SQLite's side of a cut at the last commit; the caller holds the writer's turn or
/// knows otherwise that nobody commits.
///
/// # Errors
/// SQLite's own.
pub fn sqlite_snapshot(sqlite: &Sqlite) -> Result<(Connection, Position)> {
    blocking(|| {
        let connection = sqlite.dedicated()?;
        connection.batch("BEGIN")?;
        // The first read fixes the snapshot.
        let position = journal::position(&connection)?;
        Ok((connection, position))
    })
}

/// Cuts where the shadow has applied everything and nobody applies more: after a backfill
/// before the applier runs, behind the fence, in tests.
pub struct Still {
    /// The file.
    pub sqlite: Sqlite,
    /// Leads to PostgreSQL.
    pub connector: Connector,
    /// See [`AtCut::stretch`].
    pub stretch: i64,
}

impl Cut for Still {
    fn cut(&self, hold: bool) -> BoxFuture<'_, Result<AtCut>> {
        Box::pin(async move {
            // While the writer is ours no commit can fall between the two snapshots.
            let writer = self.sqlite.writer(None).await?;
            let at = Timestamp::now();
            let catalog = self.sqlite.catalog();
            let (sqlite, position) = sqlite_snapshot(&self.sqlite)?;
            let (postgres, applied) = postgres_snapshot(&self.connector).await?;
            if applied != position {
                return Err(Error::shadow(
                    state::OBJECT_NOT_IN_PREREQUISITE_STATE,
                    format!("PostgreSQL is at position {applied}, SQLite at {position}"),
                )
                .retryable());
            }
            let guard = if hold {
                Some(Box::new(parking_lot::Mutex::new(writer)) as Box<dyn Any + Send + Sync>)
            } else {
                writer.rollback();
                None
            };
            let connector = self.connector.clone();
            let limit = Limit::default();
            let stretch = self.stretch;
            let cut =
                AtCut { position, at, catalog, sqlite, postgres, connector, limit, stretch, guard };
            Ok(cut)
        })
    }
}
