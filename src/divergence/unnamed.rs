//! Divergences of new groups for which there was no room.
//!
//! Owns what becomes of them: nothing can be decided about one, so it keeps promote shut, over a
//! restart, too, until every table is proven equal and there is room for what comes again.

use super::file::Line;
use super::group::Severity;
use super::store::{Inner, Store};

impl Inner {
    /// Counts one.
    pub(super) fn unname(&mut self, severity: Severity) {
        if self.unnamed.insert(severity, 1).is_none() {
            self.append(&Line::Unnamed { v: Line::VERSION, severity }, true);
        }
    }
}

impl Store {
    /// What found no room counts no more, if there is room now: every table has just been proven equal,
    /// and what happens again has a name.
    pub fn forget_unnamed(&self) {
        let mut inner = self.inner.lock();
        if inner.groups.len() < self.keep && !inner.unnamed.is_empty() {
            inner.unnamed.clear();
            if let Err(error) = inner.compact() {
                tracing::error!(%error, "the state file cannot be written anew");
            }
        }
        drop(inner);
        self.publish();
    }
}
