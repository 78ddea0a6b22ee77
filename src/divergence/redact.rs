//! What is kept of the values of rows, as the configuration allows.
//!
//! Owns [`KeepValues`] and its work on a sample. It must never let through a value, nor a hash that
//! can be guessed at, where it is told not to. Start at [`Store::redact`].

use sha2::{Digest, Sha256};

use super::group::Sample;
use super::store::Store;

/// What may be kept of row values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum KeepValues {
    /// As they are.
    #[default]
    Full,
    /// A hash keyed by this installation: equal values are equal, nothing else shows.
    Hashed,
    /// Nothing.
    None,
}

impl Store {
    pub(super) fn redact(&self, salt: &[u8], sample: &mut Sample) {
        let apply = |value: &mut Option<String>| match self.keep_values {
            KeepValues::Full => {}
            KeepValues::None => *value = value.take().map(|_| "…".to_owned()),
            KeepValues::Hashed => {
                *value = value.take().map(|v| {
                    let hash = Sha256::new().chain_update(salt).chain_update(v).finalize();
                    hash[..8].iter().map(|b| format!("{b:02x}")).collect()
                });
            }
        };
        sample.primary.iter_mut().chain(&mut sample.shadow).for_each(apply);
        sample.parameters.iter_mut().for_each(apply);
        sample.key.iter_mut().map(|(_, v)| v).for_each(apply);
        if self.keep_values != KeepValues::Full {
            // Literals in the texts are values too.
            sample.sqlite_sql = None;
            sample.postgres_sql = None;
            sample.primary_plan.clear();
            sample.shadow_plan.clear();
            // A hash without a key can be guessed at.
            sample.shortened.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::divergence::store::tests::sample;

    #[test]
    fn hashed_values_do_not_show() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("a"), 9, KeepValues::Hashed).unwrap();
        store.record(sample("t"));
        let group = store.group("d1").unwrap();
        assert_ne!(group.samples[0].primary, [Some("1".to_owned())]);
        let text = std::fs::read_to_string(store.path()).unwrap();
        assert!(!text.contains(r#"["1"]"#) && !text.contains(r#"["id","7"]"#));
    }

    #[test]
    fn hashes_of_values_are_the_same_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Store::open(&folder.path().join("a"), 9, KeepValues::Hashed).unwrap();
        let store = open();
        store.record(sample("t"));
        drop(store);
        let store = open();
        store.record(sample("t"));
        let group = store.group("d1").unwrap();
        assert_eq!(group.samples[0].primary, group.samples[1].primary);
    }
}
