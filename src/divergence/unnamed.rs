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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::divergence::{Accept, KeepValues, Sample};

    #[test]
    fn what_has_no_name_stays_open_over_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("app.db");
        let open = |keep| Store::open(&file, keep, KeepValues::Full).unwrap();
        let found = |store: &Store, table: &str| {
            let class = "value".to_owned();
            store.record(Sample { class, table: Some(table.to_owned()), ..Sample::default() })
        };
        let total = |store: &Store| store.open_counts().values().sum::<u64>();
        let store = open(2);
        for table in ["a", "b"] {
            let id = found(&store, table).unwrap();
            assert!(store.accept(&id, Accept::default()));
        }
        assert_eq!(total(&store), 0);
        assert_eq!(found(&store, "c"), None);
        assert_eq!(total(&store), 1);
        drop(store);
        let store = open(2);
        store.forget_unnamed();
        assert_eq!(total(&store), 1, "there is no room yet");
        drop(store);
        let store = open(3);
        assert_eq!(total(&store), 1);
        store.forget_unnamed();
        assert_eq!(total(&store), 0);
        drop(store);
        assert_eq!(total(&open(3)), 0);
    }
}
