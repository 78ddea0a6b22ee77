//! What sessions must know to prove that they are on the right PostgreSQL, and their way to
//! say that they are not.
//!
//! The switch writes it, sessions read it. It decides nothing: a doubt only makes the switch
//! look at both sides again. Start at [`Watch::expected`].

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::state::{Epoch, System};
use crate::backend::postgres::reign::Reign;
use crate::backend::postgres::replication::Lsn;

/// Shared between the switch and the sessions.
#[derive(Debug, Default)]
pub struct Watch {
    known: Mutex<(Option<System>, Lsn)>,
    alone: AtomicBool,
    doubt: Mutex<Option<String>>,
    doubted: Notify,
}

impl Watch {
    /// What a server session opened for this epoch must find; None when nothing is to be proven
    /// any more: the way back has ended for good.
    pub fn expected(&self, epoch: Epoch) -> Option<Reign> {
        if self.is_alone() {
            return None;
        }
        let (system, floor) = *self.known.lock();
        Some(Reign {
            epoch,
            system: system.map(|s| s.identifier),
            floor,
            timeline: system.map(|s| s.timeline),
        })
    }

    /// Whether the migration has ended: PostgreSQL is the application's own.
    pub fn is_alone(&self) -> bool {
        self.alone.load(Ordering::Acquire)
    }

    /// PostgreSQL is alone: there is nothing else it could be mistaken for.
    pub(super) fn alone(&self) {
        self.alone.store(true, Ordering::Release);
    }

    /// Notes which PostgreSQL reigns.
    pub(super) fn reigns(&self, system: System) {
        let mut known = self.known.lock();
        if known.0 != Some(system) {
            *known = (Some(system), Lsn::default());
        }
    }

    /// Notes how far SQLite has followed it.
    pub(super) fn followed(&self, place: Lsn) {
        let mut known = self.known.lock();
        known.1 = known.1.max(place);
    }

    /// A session found something else: the switch is to look again.
    pub fn doubt(&self, reason: String) {
        tracing::error!(reason, "a server session does not lead to the primary");
        *self.doubt.lock() = Some(reason);
        self.doubted.notify_one();
    }

    /// Waits for a doubt.
    pub async fn doubted(&self) {
        self.doubted.notified().await;
    }

    /// The last doubt, once.
    pub(super) fn take_doubt(&self) -> Option<String> {
        self.doubt.lock().take()
    }
}
