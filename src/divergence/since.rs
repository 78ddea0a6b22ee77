//! The store's part in what has changed since verify: noting, taking, saving.
//!
//! Owns the calls, and the order on disk: what is known from the journal is saved before the
//! journal forgets it. Start at [`Store::note_changed`].

use super::changed::{Key, Taken};
use super::file::Line;
use super::redact::KeepValues;
use super::store::Store;
use crate::error::Result;

impl Store {
    /// What had changed in a table was looked at again and is equal. Durable.
    pub fn checked(&self, taken: &Taken) {
        let mut inner = self.inner.lock();
        let Some(changed) = inner.changed.done(taken) else { return };
        let changed = inner.kept(changed);
        let line = Line::Checked { v: Line::VERSION, table: taken.table.clone(), changed };
        inner.append(&line, true);
    }

    /// Rows changed on both sides since they were last verified, as far as anybody knows.
    pub fn note_changed(&self, keys: impl IntoIterator<Item = (String, Option<Key>)>) {
        let mut inner = self.inner.lock();
        for (table, key) in keys {
            match key {
                Some(key) => inner.changed.note(&table, key),
                None => inner.changed.note_whole(&table),
            }
        }
    }

    /// A table is gone on both sides.
    pub fn forget_changed(&self, table: &str) {
        let mut inner = self.inner.lock();
        inner.parts.remove(table);
        inner.changed.forget(table);
    }

    /// Takes what has changed in a table, before a cut at which it is looked at.
    pub fn take_changed(&self, table: &str) -> Taken {
        self.inner.lock().changed.begin(table)
    }

    /// Tables of which something has changed.
    pub fn changed_tables(&self) -> Vec<String> {
        self.inner.lock().changed.tables()
    }

    /// How many keys of a table have changed, and whether any of it may have.
    pub fn changed_size(&self, table: &str) -> (u64, bool) {
        self.inner.lock().changed.size(table)
    }

    /// Writes what has changed into the state file. Durable: what it is known from may be
    /// dropped afterwards.
    ///
    /// # Errors
    /// 58030: it may not be dropped.
    pub fn save_changed(&self) -> Result<()> {
        let mut inner = self.inner.lock();
        let unsaved = inner.changed.unsaved();
        let names: Vec<String> = unsaved.iter().map(|(table, _)| table.clone()).collect();
        for (n, (table, scope)) in unsaved.into_iter().enumerate() {
            let Some(scope) = inner.kept(Some(scope)) else { continue };
            let line = Line::Changed { v: Line::VERSION, table, scope };
            if let Err(error) = inner.try_append(&line, n + 1 == names.len()) {
                names.iter().for_each(|table| inner.changed.not_saved(table));
                return Err(error);
            }
        }
        Ok(())
    }

    /// SQLite begins to follow PostgreSQL, or has ended to: in between, a crash leaves it unknown
    /// what has changed.
    ///
    /// # Errors
    /// 58030: nothing may be followed; or, when it has ended, every table counts as changed after
    /// the next start.
    pub fn following(&self, now: bool) -> Result<()> {
        if !now {
            self.save_changed()?;
        }
        let mut inner = self.inner.lock();
        if inner.following != now {
            inner.try_append(&Line::Following { v: Line::VERSION, ended: !now }, true)?;
            inner.following = now;
        }
        Ok(())
    }

    /// Whether values may be shown and kept.
    pub fn shows_values(&self) -> bool {
        self.keep_values == KeepValues::Full
    }
}

#[cfg(test)]
mod tests {
    use super::super::changed::{Part, Scope};
    use super::super::store::TableVerified;
    use super::*;

    fn note(store: &Store, table: &str, key: i64) {
        store.note_changed([(table.to_owned(), Some(vec![Part::Int(key)]))]);
    }

    fn clean() -> TableVerified {
        TableVerified { position: 1, at: String::new(), rows: 1, differing: 0, keyless: false }
    }

    #[test]
    fn it_survives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("app.db");
        let store = Store::open(&file, 100, KeepValues::Full).unwrap();
        note(&store, "t", 1);
        note(&store, "u", 1);
        store.save_changed().unwrap();
        let taken = store.take_changed("t");
        note(&store, "t", 2);
        store.verify_done("t", clean(), &taken);
        drop(store);
        let store = Store::open(&file, 100, KeepValues::Full).unwrap();
        assert_eq!(store.take_changed("t").scope, Scope::Keys(vec![vec![Part::Int(2)]]));
        assert_eq!(store.changed_size("u"), (1, false));
        store.checked(&store.take_changed("u"));
        assert_eq!(store.changed_tables(), ["t"]);
        store.following(true).unwrap();
        drop(store);
        // It ended without leave: nobody knows what was followed.
        let store = Store::open(&file, 100, KeepValues::Full).unwrap();
        assert_eq!(store.take_changed("t").scope, Scope::Whole);
    }

    #[test]
    fn keys_are_not_written_where_values_must_not_be() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("app.db");
        let store = Store::open(&file, 100, KeepValues::None).unwrap();
        store.note_changed([("t".to_owned(), Some(vec![Part::Text("secret".to_owned())]))]);
        store.save_changed().unwrap();
        assert!(!std::fs::read_to_string(store.path()).unwrap().contains("secret"));
        drop(store);
        let store = Store::open(&file, 100, KeepValues::None).unwrap();
        assert_eq!(store.take_changed("t").scope, Scope::Whole);
    }
}
