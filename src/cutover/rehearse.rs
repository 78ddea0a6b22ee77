//! The rehearsal: a whole promote and the rollback of it, on live traffic.
//!
//! Owns nothing of its own: both directions are the real ones. It must never promote without a
//! way back that was just proven, nor beside transactions that it could not bring back. Start at
//! [`Switch::rehearse`].

use std::time::{Duration, Instant};

use super::switch::{Allowed, Ended, Order, Report, Switch};
use crate::error::Result;

/// How long SQLite may take to follow before it is called back.
const FOLLOW_MAX: Duration = Duration::from_secs(20);

impl Switch {
    /// Promotes and rolls back; the longest wait of a client in either.
    ///
    /// # Errors
    /// SQLite's own.
    pub async fn rehearse(&self, allowed: Allowed<'_>, report: Report<'_>) -> Result<Ended> {
        let _turn = self.turn.lock().await;
        if let Err(error) = self.outlast(report).await {
            let said = super::promote::said(&error);
            return Ok(Ended::Undone(format!("a rehearsal could not come back: {said}")));
        }
        let order = Order { allowed, one_way: false };
        let there = match self.promote_once(&order, report).await? {
            Ended::Done(wait) => wait,
            undone @ Ended::Undone(_) => {
                self.conclude("promote", &undone);
                return Ok(undone);
            }
        };
        self.conclude("promote", &Ended::Done(there));
        let deadline = Instant::now() + FOLLOW_MAX;
        while !self.way_back_status().0 && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let back = self.rollback_once(report).await?;
        self.conclude("rollback", &back);
        match back {
            Ended::Done(wait) => {
                let longest = there.max(wait);
                let ms = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
                self.store.switch_done("rehearsal", ms);
                report(
                    "rehearsed",
                    format!("{} ms there, {} ms back", there.as_millis(), wait.as_millis()),
                );
                Ok(Ended::Done(longest))
            }
            Ended::Undone(reason) => Ok(Ended::Undone(format!(
                "PostgreSQL is primary: it could not be rolled back: {reason}"
            ))),
        }
    }
}
