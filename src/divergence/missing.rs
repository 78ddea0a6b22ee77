//! What the file holds rows to and PostgreSQL does not: one group for each constraint, default,
//! generated column or trigger that a copy could not make.
//!
//! Each needs a decision before PostgreSQL serves: write one there, or accept that there is none.
//! A decision that was taken is never asked for again. Start at [`Store::note_missing`].

use super::group::{Group, GroupState, Sample};
use super::store::Store;

/// The class of its groups.
const CLASS: &str = "schema_drift";
/// What stands before the object's name in place of a column.
const MARK: &str = "missing ";

/// One object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Table.
    pub table: String,
    /// `check "c"`, `foreign key (a, b)` …
    pub object: String,
    /// Why PostgreSQL has none.
    pub message: String,
}

impl Group {
    /// The object that PostgreSQL goes without, when that is what the group is about.
    pub fn missing(&self) -> Option<&str> {
        let first = self.columns.first().filter(|_| self.class == CLASS);
        first.and_then(|column| column.strip_prefix(MARK))
    }

    /// Whether a line of PostgreSQL's schema is the object that was missing, by its name.
    pub fn is_answered_by(&self, line: &str) -> bool {
        let Some(object) = self.missing() else { return false };
        let name = object.split_once('"').and_then(|(_, rest)| rest.rsplit_once('"'));
        let Some((name, _)) = name else { return false };
        if object.starts_with("default of ") && !line.contains(" DEFAULT ") {
            return false;
        }
        [name.to_owned(), format!("\"{name}\"")].iter().any(|name| {
            line.starts_with(&format!("constraint {name} "))
                || line.starts_with(&format!("column {name} "))
                || line.starts_with(&format!("trigger CREATE TRIGGER {name} "))
                || line.contains(&format!("INDEX {name} ON "))
        })
    }
}

impl Store {
    /// Opens a group for each object that nobody has decided on, and closes those of the copied
    /// tables that are there now.
    pub fn note_missing(&self, all: &[Missing], position: u64, copied: impl Fn(&str) -> bool) {
        let samples: Vec<Sample> = all.iter().map(|one| sample(one, position)).collect();
        for sample in &samples {
            if !self.stands(sample) {
                self.record(sample.clone());
            }
        }
        let keys: std::collections::HashSet<String> = samples.iter().map(Group::key_of).collect();
        for group in self.of_class(CLASS) {
            let ours = group.missing().is_some() && group.table.as_deref().is_some_and(&copied);
            if ours && group.state == GroupState::Open && !keys.contains(&group.key()) {
                self.fixed(&group.id);
            }
        }
    }
}

fn sample(missing: &Missing, position: u64) -> Sample {
    Sample {
        class: CLASS.to_owned(),
        table: Some(missing.table.clone()),
        columns: vec![format!("{MARK}{}", missing.object)],
        position_primary: position,
        position_shadow: position,
        message: format!("PostgreSQL has no {}: {}", missing.object, missing.message),
        ..Sample::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::divergence::{Accept, KeepValues};

    #[test]
    fn each_needs_one_decision_and_is_closed_when_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("a.db"), 10, KeepValues::Full).unwrap();
        let one = |table: &str, object: &str| Missing {
            table: table.to_owned(),
            object: object.to_owned(),
            message: "SQLite's own".to_owned(),
        };
        let all = [one("t", "check \"c\""), one("t", "unique (a)"), one("u", "check \"c\"")];
        store.note_missing(&all, 1, |_| true);
        store.note_missing(&all, 2, |_| true);
        assert_eq!(store.groups().len(), 3);
        assert!(store.accept("d1", Accept::default()));
        // Only what was copied can be known to be there now.
        store.note_missing(&[], 3, |table| table == "t");
        let states: Vec<GroupState> = store.groups().iter().map(|g| g.state).collect();
        assert_eq!(states, [GroupState::Accepted, GroupState::Fixed, GroupState::Open]);
        let group = store.group("d3").unwrap();
        assert_eq!(group.missing(), Some("check \"c\""));
        assert!(group.is_answered_by("constraint c CHECK ((a > 0))"));
        assert!(!group.is_answered_by("constraint cc CHECK ((a > 0))"));
        // A column that only has another type now still has no default.
        store.note_missing(&[one("t", "default of column \"v\"")], 4, |_| false);
        let default = store.group("d4").unwrap();
        assert!(default.is_answered_by("column v text DEFAULT 'x'::text"));
        assert!(!default.is_answered_by("column v character varying(200)"));
        assert!(!store.group("d2").unwrap().is_answered_by("constraint a UNIQUE (a)"));
    }
}
