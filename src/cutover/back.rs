//! The way back: following PostgreSQL after promote, and the rollback itself.

use parking_lot::Mutex;

use super::recovery::WayBack as Proven;
use super::switch::{Report, Switch};
use crate::backend::postgres::control::Control;
use crate::error::Result;

/// The way back of this pair, when one is open.
#[derive(Default)]
pub(super) struct WayBackSlot {
    closed_because: Mutex<Option<String>>,
}

impl Switch {
    /// Whether the way back is open (or would be): holds, what was found, why not.
    pub(super) fn way_back_status(&self) -> (bool, String, String) {
        match self.way_back.closed_because.lock().clone() {
            None => (false, "not probed".to_owned(), "the probe has not run".to_owned()),
            Some(reason) => (false, "closed".to_owned(), reason),
        }
    }

    /// Whether rollback may start: holds, what was found, why not.
    pub fn rollback_possible(&self) -> (bool, String, String) {
        self.way_back_status()
    }

    /// Makes SQLite primary again.
    ///
    /// # Errors
    /// SQLite's own.
    pub async fn rollback(&self, _: Report<'_>) -> Result<super::switch::Ended> {
        Ok(super::switch::Ended::Undone("the way back is closed".to_owned()))
    }

    /// Ends the way back for good.
    ///
    /// # Errors
    /// What either side said.
    pub async fn complete(&self, _: Report<'_>) -> Result<()> {
        self.set_phase(super::phase::Phase::Complete).await
    }

    pub(super) async fn prepare_way_back(&self, _: &Control, _: Report<'_>) -> Result<()> {
        Ok(())
    }

    pub(super) async fn open_way_back(&self, _: Proven) {}
}
