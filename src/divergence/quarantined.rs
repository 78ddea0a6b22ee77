//! What is in quarantine needs a decision: one group for a table and its columns.
//!
//! The applier records what it puts there itself, under the same key; here is what stands
//! there. A decision that was taken is never asked for again, and a group is never closed for
//! entries that came after the look. Start at [`Store::note_quarantine`].

use super::group::{Group, GroupState, Sample};
use super::store::Store;
use crate::backend::postgres::control::Control;
use crate::backend::postgres::quarantine::{self, Held};
use crate::count::counted;
use crate::error::Result;

/// The class of a value that PostgreSQL cannot hold.
const CLASS: &str = "untranslatable";

/// Sets of columns that are looked at; those beyond keep what there is of them open.
const SETS_MAX: usize = 10_000;

/// Groups that wait for a decision, and how often each was met: taken before a look.
#[derive(Clone, Debug, Default)]
pub struct Undecided(Vec<(String, u64)>);

impl Undecided {
    /// Nothing waits for a decision.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

fn is_of_values(group: &Group) -> bool {
    // Statements without a form for PostgreSQL have a fingerprint.
    group.class == CLASS && group.fingerprint.is_empty() && group.table.is_some()
}

/// What stands for the columns of a schema change that PostgreSQL refuses.
pub const SCHEMA_CHANGE: &str = "schema change";

impl Store {
    /// Whether a group of this shape waits for a decision, or has one.
    pub(super) fn stands(&self, sample: &Sample) -> bool {
        let inner = self.inner.lock();
        let group = inner.by_key.get(&Group::key_of(sample)).and_then(|n| inner.groups.get(n));
        group.is_some_and(|g| g.state != GroupState::Fixed)
    }

    /// Everything is on PostgreSQL as it is on the primary now: schema changes that were left out
    /// there are made up for.
    pub fn copied_anew(&self) {
        for group in self.of_class(CLASS) {
            if group.state == GroupState::Open && group.columns == [SCHEMA_CHANGE] {
                self.fixed(&group.id);
            }
        }
    }

    /// Values in quarantine that no person has decided on.
    pub fn undecided(&self) -> Undecided {
        let open = self.groups().into_iter();
        let open = open.filter(|g| g.state == GroupState::Open && is_of_values(g));
        Undecided(open.map(|g| (g.id, g.count)).collect())
    }

    /// Reads the quarantine as it stands at `position` and opens a group for whatever nobody
    /// has decided on; closes those of `before` of which nothing is left. `before` must have
    /// been taken before `control` began to read.
    ///
    /// # Errors
    /// What PostgreSQL said.
    pub async fn note_quarantine(
        &self,
        control: &Control,
        before: &Undecided,
        position: u64,
    ) -> Result<()> {
        let held = quarantine::held(control, SETS_MAX).await?;
        self.take_in(&held, before, position, held.len() < SETS_MAX);
        Ok(())
    }

    fn take_in(&self, held: &[Held], before: &Undecided, position: u64, all: bool) {
        let samples: Vec<Sample> = held.iter().map(|held| sample(held, position)).collect();
        for sample in &samples {
            if !self.stands(sample) {
                self.record(sample.clone());
            }
        }
        let keys: std::collections::HashSet<String> = samples.iter().map(Group::key_of).collect();
        for (id, count) in before.0.iter().filter(|_| all) {
            self.fixed_if(id, |group| group.count == *count && !keys.contains(&group.key()));
        }
    }
}

fn sample(held: &Held, position: u64) -> Sample {
    let object = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&held.example);
    let key = object.unwrap_or_default().into_iter().map(|(name, value)| {
        let value = match value {
            serde_json::Value::Null => None,
            serde_json::Value::String(text) => Some(text),
            other => Some(other.to_string()),
        };
        (name, value)
    });
    let message = match held.columns.is_empty() {
        true => "PostgreSQL could not make the table: none of its rows are there".to_owned(),
        false => format!(
            "PostgreSQL cannot hold these values of {} (or the rows as a whole); they are in \
             crossfade.quarantine",
            counted(held.rows, "row")
        ),
    };
    Sample {
        class: CLASS.to_owned(),
        table: Some(held.table.clone()),
        columns: held.columns.clone(),
        key: key.collect(),
        position_primary: position,
        position_shadow: position,
        message,
        ..Sample::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::divergence::{Accept, KeepValues};

    fn held(columns: &[&str]) -> Held {
        Held {
            table: "t".to_owned(),
            columns: columns.iter().map(|c| (*c).to_owned()).collect(),
            rows: 2,
            example: r#"{"id":"3"}"#.to_owned(),
        }
    }

    #[test]
    fn what_is_held_needs_one_decision_and_what_left_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("a.db"), 10, KeepValues::Full).unwrap();
        let look = |held: &[Held]| store.take_in(held, &store.undecided(), 1, true);
        look(&[held(&["a"]), held(&["b"])]);
        look(&[held(&["a"]), held(&["b"])]);
        assert_eq!(store.undecided().0, [("d1".to_owned(), 1), ("d2".to_owned(), 1)]);
        assert!(store.accept("d1", Accept::default()));
        look(&[held(&["a"])]);
        assert!(store.undecided().is_empty());
        assert_eq!(store.group("d1").unwrap().state, GroupState::Accepted);
        assert_eq!(store.group("d2").unwrap().state, GroupState::Fixed);
        // It came back, and was met again after the next look had begun.
        look(&[held(&["b"])]);
        let before = store.undecided();
        assert_eq!(before.len(), 1);
        store.record(sample(&held(&["b"]), 2));
        store.take_in(&[], &before, 2, true);
        assert_eq!(store.undecided().len(), 1);
    }

    #[test]
    fn a_full_store_keeps_open_what_it_cannot_name() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("a.db"), 1, KeepValues::Full).unwrap();
        let look = |held: &[Held]| store.take_in(held, &store.undecided(), 1, true);
        look(&[held(&["a"])]);
        // A closed group makes room.
        look(&[held(&["b"])]);
        look(&[held(&["b"])]);
        let open = |store: &Store| store.open_counts().values().sum::<u64>();
        assert_eq!((store.groups().len(), open(&store)), (1, 2));
        assert!(store.accept("d2", Accept::default()));
        assert_eq!(open(&store), 1);
    }
}
