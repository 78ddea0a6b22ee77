//! Cuts while the applier runs: SQLite's snapshot first, then the applier is pinned there.

use std::time::Duration;

use jiff::Timestamp;

use super::cut::{AtCut, BoxFuture, Cut, postgres_snapshot, sqlite_snapshot};
use crate::error::{Error, Result, state};
use crate::mirror::Mirror;

/// Tries before giving up: each needs the applier to arrive at a fresh commit in time.
const TRIES: usize = 30;
/// How long one try waits for the applier, and half of how long a held pin may last.
const WAIT: Duration = Duration::from_secs(10);
const HELD: Duration = Duration::from_secs(300);

impl Cut for Mirror {
    fn cut(&self, hold: bool) -> BoxFuture<'_, Result<AtCut>> {
        Box::pin(async move {
            for _ in 0..TRIES {
                if let Some(cut) = attempt(self, hold).await? {
                    return Ok(cut);
                }
            }
            Err(Error::shadow(
                state::OBJECT_NOT_IN_PREREQUISITE_STATE,
                "the shadow did not arrive at a cut in time",
            )
            .hint("Wait until the lag is small, then verify again.")
            .retryable())
        })
    }
}

async fn attempt(mirror: &Mirror, hold: bool) -> Result<Option<AtCut>> {
    let began = Timestamp::now();
    let (sqlite, position) = sqlite_snapshot(mirror.sqlite())?;
    mirror.sqlite().wait_synced(position).await?;
    let kept = mirror.journal().hold(position);
    let limit = if hold { HELD } else { WAIT };
    let Some(pin) = mirror.pin(position, limit).await else { return Ok(None) };
    let (postgres, at) = postgres_snapshot(mirror.connector()).await?;
    if at != position || !pin.holds() {
        return Ok(None);
    }
    let catalog = mirror.sqlite().catalog_at(position).unwrap_or_else(|| mirror.sqlite().catalog());
    let guard: Option<Box<dyn std::any::Any + Send + Sync>> =
        if hold { Some(Box::new((pin, kept))) } else { Some(Box::new(kept)) };
    let connector = mirror.connector().clone();
    let limit = mirror.limit();
    let stretch = super::cut::STRETCH;
    Ok(Some(AtCut {
        position,
        at: began,
        catalog,
        sqlite,
        postgres,
        connector,
        limit,
        stretch,
        guard,
    }))
}
