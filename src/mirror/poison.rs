//! A schema change that PostgreSQL refuses again and again: it is left out, and what it is about is
//! not mirrored any more; everything else goes on.
//!
//! Tables whose columns it changes get the mark of a table that PostgreSQL could not make: their
//! rows are not carried and not compared, gates say so, and a backfill copies them anew. It must
//! never leave out what may yet succeed: the applier tries some times first. Start at
//! [`Batch::left_out`].

use super::batch::Batch;
use crate::backend::Position;
use crate::backend::postgres::apply::table_name;
use crate::backend::postgres::copied::{self, Copied};
use crate::backend::postgres::existing;
use crate::backend::postgres::quarantine::{self, Entry, ROW};
use crate::divergence::{SCHEMA_CHANGE, Sample};
use crate::error::{Error, Result};
use crate::schema::{Catalog, Relation, RelationKind};

/// Tries without any progress after which it is left out.
pub(super) const TRIES: u32 = 5;

/// Whether PostgreSQL refuses this statement, and will whenever it is asked. What it lacks the
/// right for, or the room, somebody else must give it.
pub(super) fn is_final(error: &Error) -> bool {
    let code = error.sqlstate();
    match code.as_str() {
        "42501" => false,
        // In use by this very transaction: rows of it that are still to be checked.
        "55000" | "55006" | "2BP01" => true,
        // What no transaction may do; that it may only read will pass.
        "25001" => true,
        _ => matches!(
            code.class(),
            "09" | "0A"
                | "0L"
                | "0P"
                | "21"
                | "22"
                | "23"
                | "2F"
                | "38"
                | "39"
                | "3F"
                | "42"
                | "44"
                | "54"
                | "P0"
        ),
    }
}

/// Tables that have other columns afterwards, or are new.
fn reshaped<'a>(catalog: &Catalog, after: &'a Catalog) -> Vec<&'a Relation> {
    let columns = |r: &Relation| -> Vec<_> {
        r.columns.iter().map(|c| (c.name.clone(), c.ty, c.generated.is_some())).collect()
    };
    let same = |r: &&Relation| {
        let before = catalog.relations.values().find(|b| b.oid == r.oid);
        before.is_some_and(|b| b.name == r.name && columns(b) == columns(r))
    };
    let tables = after.relations.values().filter(|r| r.kind == RelationKind::Table);
    tables.map(|r| &**r).filter(|r| !same(r)).collect()
}

/// What is told of a statement of a schema change that PostgreSQL refuses.
fn refused(sql: &str, error: &Error, position: Position) -> Sample {
    Sample {
        class: "untranslatable".to_owned(),
        columns: vec![SCHEMA_CHANGE.to_owned()],
        postgres_sql: Some(sql.to_owned()),
        shadow_sqlstate: Some(error.sqlstate().to_string()),
        position_primary: position.0,
        position_shadow: position.0,
        ..Sample::default()
    }
}

impl Batch {
    /// Leaves out a schema change that PostgreSQL refuses; the transaction stands before it.
    ///
    /// # Errors
    /// Only when the connection or the transaction is lost.
    pub(super) async fn left_out(
        &mut self,
        sql: &str,
        error: &Error,
        (catalog, after): (&Catalog, &Catalog),
    ) -> Result<()> {
        tracing::error!(%error, "a schema change is left out: PostgreSQL refuses it");
        let position = self.shared.applied.borrow().next();
        let mut stopped = Vec::new();
        for relation in reshaped(catalog, after) {
            if !self.shadow.is_refused(&relation.name) {
                let reason = format!("PostgreSQL refuses a schema change: {}", error.message());
                self.stop_table(relation, &reason).await?;
                stopped.push(relation.name.clone());
            }
        }
        let what = match stopped.as_slice() {
            [] => "it is left out there".to_owned(),
            tables => format!("{} not mirrored until it is copied anew", tables.join(", ")),
        };
        self.shared.store.record(Sample {
            // What waits for a decision in the quarantine has none.
            fingerprint: sql.to_owned(),
            table: stopped.first().cloned(),
            tables: stopped.iter().skip(1).cloned().collect(),
            message: format!(
                "PostgreSQL refuses a schema change ({}): {what}; put right what stands in its \
                 way, then crossfade backfill",
                error.message()
            ),
            ..refused(sql, error, position)
        });
        Ok(())
    }

    /// A view of the file's that PostgreSQL has not any more, because it cannot be over what a schema
    /// change left.
    pub(super) fn view_lost(&self, view: &str, sql: &str, error: &Error) {
        tracing::error!(%error, view, "a view is not on PostgreSQL any more");
        let position = self.shared.applied.borrow().next();
        self.shared.store.record(Sample {
            fingerprint: format!("view {view}: {sql}"),
            table: Some(view.to_owned()),
            message: format!(
                "PostgreSQL has view {view} no more: after a schema change it refuses it ({}); put \
                 right what stands in its way, then crossfade backfill",
                error.message()
            ),
            ..refused(sql, error, position)
        });
    }

    /// From here on PostgreSQL holds none of its rows.
    pub(super) async fn stop_table(&mut self, relation: &Relation, reason: &str) -> Result<()> {
        let control = self.control();
        let before = copied::load(&control).await?.remove(&relation.name).unwrap_or_default();
        let mark = Copied {
            made: before.made,
            relid: before.relid,
            refused: Some(reason.to_owned()),
            ..Copied::default()
        };
        copied::save(&control, &relation.name, &mark).await?;
        let entry = Entry {
            table: relation.name.clone(),
            key: "*".to_owned(),
            column: ROW.to_owned(),
            class: "table",
            bytes: None,
            reason: reason.to_owned(),
        };
        quarantine::clear(&control, &relation.name).await?;
        let position = self.shared.applied.borrow().next();
        quarantine::store(&control, position, &[entry]).await?;
        self.shadow.refuse(&relation.name);
        // What is left there would be of no moment. It may not be there at all, or under
        // another name; and rows of others that refer to it would go with it.
        let there = copied::oid(&control, relation).await?;
        let referrers = existing::referrers(control.client(), there.as_slice()).await;
        let alone = referrers.map_err(|e| control.error(&e))?.is_empty();
        if before.made && before.is_ours() && there.is_some() && alone {
            let sql = format!("DELETE FROM {}", table_name(relation));
            control.batch("SAVEPOINT crossfade_stop").await?;
            let end = match control.batch(&sql).await {
                Ok(()) => "RELEASE crossfade_stop",
                Err(error) => {
                    tracing::warn!(%error, "rows of a table that is not mirrored any more stay");
                    "ROLLBACK TO crossfade_stop; RELEASE crossfade_stop"
                }
            };
            control.batch(end).await?;
        }
        Ok(())
    }
}
