//! Which group explains which, whichever was found first.
//!
//! Owns the look through the groups; [`super::rules::explains`] says what explains what. It must
//! never change a group's state: what is explained stays open. Start at [`Inner::cause`].

use super::file::Line;
use super::group::{Group, GroupState, Sample};
use super::rules::{self, Trace};
use super::store::Inner;

impl Inner {
    /// The open group that explains a new occurrence.
    pub(super) fn cause(&self, sample: &Sample) -> Option<String> {
        let trace = Trace {
            class: &sample.class,
            table: sample.table.as_deref(),
            tables: &sample.tables,
            columns: &sample.columns,
            keys: vec![&sample.key],
            position: sample.position_shadow,
        };
        let key = Group::key_of(sample);
        let mut groups = self.groups.values();
        groups.find(|g| rules::explains(g, &trace) && g.key() != key).map(|g| g.id.clone())
    }

    /// What this group explains although it was found before.
    pub(super) fn explain(&mut self, number: u64) {
        let Some(cause) = self.groups.get(&number).cloned() else { return };
        let mut explained = Vec::new();
        for group in self.groups.values_mut() {
            let unexplained = group.state == GroupState::Open && group.caused_by.is_none();
            if unexplained && group.id != cause.id && rules::explains(&cause, &Trace::of(group)) {
                group.caused_by = Some(cause.id.clone());
                explained.push(group.clone());
            }
        }
        for group in explained {
            self.append(&Line::Group { v: Line::VERSION, group: Box::new(group) }, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::divergence::store::tests::sample;
    use crate::divergence::{KeepValues, Store};

    #[test]
    fn reads_of_rows_known_to_differ_name_their_cause() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("a"), 9, KeepValues::Full).unwrap();
        let read = |table: &str| Sample { class: "value".to_owned(), ..sample(table) };
        let verify = Sample { class: "verify_value".to_owned(), ..sample("t") };
        assert_eq!(store.record(verify).as_deref(), Some("d1"));
        store.record(read("t"));
        store.record(read("u"));
        assert_eq!(store.group("d2").unwrap().caused_by.as_deref(), Some("d1"));
        assert_eq!(store.group("d3").unwrap().caused_by, None);
        store.fixed_table("t");
        let later = Sample { class: "row_count".to_owned(), ..sample("t") };
        store.record(later);
        assert_eq!(store.group("d4").unwrap().caused_by, None);
    }

    #[test]
    fn what_is_found_first_is_explained_by_what_is_found_later() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        let store = Store::open(&file, 9, KeepValues::Hashed).unwrap();
        let of = |class: &str, id: &str, line: &str| Sample {
            class: class.to_owned(),
            columns: vec![line.to_owned()],
            key: vec![("id".to_owned(), Some(id.to_owned()))],
            position_shadow: 3,
            ..sample("t")
        };
        store.record(of("effect_value", "7", "a"));
        store.record(of("effect_missing", "8", "a"));
        let cause = |id: &str| store.group(id).unwrap().caused_by;
        // Another row than the one that is known to differ.
        store.record(of("verify_value", "7", "a"));
        assert_eq!((cause("d1").as_deref(), cause("d2")), (Some("d3"), None));
        // Met at this very position.
        store.record(Sample { position_shadow: 2, ..of("foreign_write", "9", "") });
        assert_eq!(cause("d2"), None);
        store.record(of("foreign_write", "8", ""));
        assert_eq!(cause("d2").as_deref(), Some("d4"));
        // A schema explains what statements do, and no rows but those of its column.
        store.record(of("error_primary_only", "", "b"));
        store.record(of("verify_value", "5", "b"));
        store.record(of("schema_drift", "", "column b integer"));
        assert_eq!(cause("d6").as_deref(), Some("d7"));
        assert_eq!(cause("d3"), None);
        drop(store);
        let store = Store::open(&file, 9, KeepValues::Hashed).unwrap();
        assert_eq!(store.group("d2").unwrap().caused_by.as_deref(), Some("d4"));
        assert_eq!(store.open_counts().values().sum::<u64>(), 7);
    }
}
