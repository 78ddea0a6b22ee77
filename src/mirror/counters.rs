//! Whether somebody sets PostgreSQL's sequences back behind the mirror's back.
//!
//! Owns what the applier has set since it began. A sequence that stands further than that is none
//! of its business: gaps are normal. It must never set one. Start at [`Counters::look`].

use std::collections::HashMap;

use super::Shared;
use super::drift::CLASS;
use crate::backend::postgres::control::Control;
use crate::divergence::{Group, GroupState, Sample};
use crate::error::Result;
use crate::journal::SequenceEvent;

/// How its reports begin.
const LINE: &str = "counter ";

/// Where sequences must stand at least, by name.
#[derive(Debug, Default)]
pub(super) struct Counters(HashMap<String, i64>);

impl Counters {
    /// Where they stand when the applier begins.
    ///
    /// # Errors
    /// What PostgreSQL said.
    pub(super) async fn load(control: &Control) -> Result<Self> {
        let found = standing(control).await?.into_iter();
        Ok(Self(found.filter_map(|(name, last, _)| Some((name, last?))).collect()))
    }

    /// The applier sets one.
    pub(super) fn set(&mut self, event: &SequenceEvent) {
        match event.called {
            true => self.0.insert(event.name.clone(), event.value),
            // Not drawn from yet: PostgreSQL does not tell where it stands.
            false => self.0.remove(&event.name),
        };
    }

    /// The applier does what may set them back, or make others of them.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    /// Whether a group of drift is one of these.
    pub(super) fn reports(group: &Group) -> bool {
        group.columns.first().is_some_and(|line| line.starts_with(LINE))
    }

    /// Compares, between two transactions of the applier.
    ///
    /// # Errors
    /// What PostgreSQL said.
    pub(super) async fn look(&self, shared: &Shared, control: &Control) -> Result<()> {
        let known = shared.store.of_class(CLASS);
        let known = known.iter().filter(|g| Self::reports(g) && g.state != GroupState::Fixed);
        let known: Vec<&Group> = known.collect();
        if self.0.is_empty() && known.is_empty() {
            return Ok(());
        }
        let behind = self.behind(control).await?;
        let position = shared.applied.borrow().0;
        for name in &behind {
            if known.iter().any(|g| g.table.as_ref() == Some(name)) {
                continue;
            }
            shared.store.record(Sample {
                class: CLASS.to_owned(),
                table: Some(name.clone()),
                columns: vec![format!("{LINE}set back")],
                position_primary: position,
                position_shadow: position,
                message: format!("PostgreSQL's sequence {name} is behind what was set there"),
                ..Sample::default()
            });
        }
        for group in known.iter().filter(|g| g.state == GroupState::Open) {
            // What this applier has not set it cannot judge.
            let name = group.table.as_deref().unwrap_or_default();
            if self.0.contains_key(name) && !behind.iter().any(|b| b == name) {
                shared.store.fixed(&group.id);
            }
        }
        Ok(())
    }

    async fn behind(&self, control: &Control) -> Result<Vec<String>> {
        let mut behind = Vec::new();
        for (name, last, step) in standing(control).await? {
            let Some(set) = self.0.get(&name) else { continue };
            let before = |last: i64| if step > 0 { last < *set } else { last > *set };
            if last.is_none_or(before) {
                behind.push(name);
            }
        }
        Ok(behind)
    }
}

/// Each sequence's name, the last value that was drawn, and its step.
async fn standing(control: &Control) -> Result<Vec<(String, Option<i64>, i64)>> {
    let rows = control
        .rows(
            "SELECT CASE schemaname WHEN 'public' THEN sequencename::text ELSE \
             E'\\x1e' || schemaname || E'\\x1f' || sequencename END, last_value, increment_by \
             FROM pg_sequences WHERE schemaname <> 'crossfade' \
             AND has_schema_privilege(schemaname, 'USAGE') \
             AND has_sequence_privilege(format('%I.%I', schemaname, sequencename), \
             'SELECT, USAGE')",
        )
        .await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect())
}
