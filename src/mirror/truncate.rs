//! TRUNCATE on the shadow.
//!
//! PostgreSQL truncates no table that one outside of the list refers to, which may be PostgreSQL's
//! own, nor one with checks to come that do not hold yet: then the rows are deleted, as those of a DELETE are. Where foreign keys act on that, rows of
//! others would go with them or stand in the way: the table is not mirrored any more instead. Start
//! at [`Batch::truncate`].

use super::batch::{Batch, relation_of};
use crate::backend::postgres::existing::{Referrer, in_use, referrers};
use crate::backend::postgres::{copied, emptying};
use crate::backend::sqlite::events::TruncateEvent;
use crate::divergence::Sample;
use crate::error::Result;
use crate::schema::{Catalog, Relation};

impl Batch {
    /// Empties the tables of the event that are mirrored.
    ///
    /// # Errors
    /// What PostgreSQL said.
    pub(super) async fn truncate(
        &mut self,
        event: &TruncateEvent,
        catalog: &Catalog,
    ) -> Result<()> {
        let control = self.control();
        let (mut tables, mut oids) = (Vec::new(), Vec::new());
        for table in &event.tables {
            let relation = relation_of(catalog, table)?;
            if self.shadow.is_refused(&relation.name) {
                continue;
            }
            self.shadow.emptied(&control, &relation.name).await?;
            if let Some(oid) = copied::oid(&control, &relation).await? {
                oids.push(oid);
                tables.push(relation);
            }
        }
        if tables.is_empty() {
            return Ok(());
        }
        self.counters.forget();
        let leading = referrers(control.client(), &oids).await.map_err(|e| control.error(&e))?;
        let leading: Vec<Referrer> =
            leading.into_iter().filter(|r| !oids.contains(&r.oid)).collect();
        let checked = super::schema::check_now(&control).await?;
        control.batch("SET CONSTRAINTS ALL DEFERRED").await?;
        if leading.is_empty() && checked {
            let restart = if event.restart_identity { " RESTART IDENTITY" } else { "" };
            let targets = emptying::targets(&control, &oids).await?;
            return control.batch(&format!("TRUNCATE {}{restart}", targets.join(", "))).await;
        }
        if !self.replica
            && let Some(referrer) = self.in_use(&leading).await?
        {
            for relation in &tables {
                self.stays(relation, &referrer).await?;
            }
            return Ok(());
        }
        emptying::delete(&control, &oids).await?;
        match event.restart_identity {
            true => emptying::restart(&control, &oids).await,
            false => Ok(()),
        }
    }

    /// A table with rows that refer to those that are to go.
    async fn in_use(&self, leading: &[Referrer]) -> Result<Option<Referrer>> {
        let control = self.control();
        for referrer in leading {
            let used = in_use(control.client(), referrer).await;
            // Rows that nobody may look at may be there.
            if used.map_err(|e| control.error(&e))? != Some(false) {
                return Ok(Some(referrer.clone()));
            }
        }
        Ok(None)
    }

    /// The rows of a table stay on PostgreSQL, and it is not mirrored until it is copied anew.
    async fn stays(&mut self, relation: &Relation, referrer: &Referrer) -> Result<()> {
        let reason = format!(
            "rows of table {} on PostgreSQL, which Crossfade did not write, keep it from being \
             truncated; empty that table, then crossfade backfill",
            referrer.shown
        );
        self.stop_table(relation, &reason).await?;
        let position = self.shared.applied.borrow().next();
        self.shared.store.record(Sample {
            class: "untranslatable".to_owned(),
            fingerprint: format!("TRUNCATE {}", relation.bare()),
            table: Some(relation.name.clone()),
            position_primary: position.0,
            position_shadow: position.0,
            message: reason,
            ..Sample::default()
        });
        Ok(())
    }
}
