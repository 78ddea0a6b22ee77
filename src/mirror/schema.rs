//! What a record holds beside rows: schema changes and sequences; TRUNCATE is `truncate`'s.
//!
//! A schema change finds the shadow's triggers as a client would, and leaves those switched off
//! that would act on images. The picture of the schema follows it, and nothing else. Start at
//! [`Batch::other`].

use super::batch::Batch;
use super::{drift, poison};
use crate::backend::postgres::control::Control;
use crate::backend::postgres::picture::Lines;
use crate::backend::postgres::triggers::{self, Quiet};
use crate::backend::postgres::{copied, outward, picture, schemas};
use crate::error::{Error, Result};
use crate::journal::Event;
use crate::name;
use crate::schema::{Catalog, RelationKind};

/// Switches off, in the open transaction, what would act on images of these tables' rows; what is
/// off then, and whether that is news.
///
/// # Errors
/// What PostgreSQL said.
pub(super) async fn silence(
    control: &Control,
    catalog: &Catalog,
    replica: bool,
) -> Result<(Quiet, bool)> {
    let tables = catalog.relations.values().filter(|r| r.kind == RelationKind::Table);
    let tables: Vec<&str> = tables.map(|r| r.name.as_str()).collect();
    let acting = triggers::acting(control, &tables, replica).await?;
    triggers::switch_off(control, &acting).await?;
    Ok((Quiet::load(control).await?, !acting.is_empty()))
}

/// Has deferred constraints checked, from here on at once: a table of which checks are still to come
/// can be neither altered nor truncated. False where they do not hold yet.
///
/// # Errors
/// What PostgreSQL said of the transaction itself.
pub(super) async fn check_now(control: &Control) -> Result<bool> {
    control.batch("SAVEPOINT crossfade_checks").await?;
    let checked = control.batch("SET CONSTRAINTS ALL IMMEDIATE").await;
    let end = match &checked {
        Ok(()) => "RELEASE crossfade_checks",
        Err(_) if control.is_closed() => return checked.map(|()| false),
        Err(_) => "ROLLBACK TO crossfade_checks; RELEASE crossfade_checks",
    };
    control.batch(end).await.map(|()| checked.is_ok())
}

impl Batch {
    /// Switches off what would act on images, when the applier begins.
    pub(super) async fn begin_quiet(&mut self, catalog: &Catalog) -> Result<()> {
        let control = self.control();
        control.batch("BEGIN").await?;
        schemas::keep(&control, catalog).await?;
        let before = match self.pictured {
            true => Some(picture::now(&control).await?),
            false => None,
        };
        let (quiet, news) = silence(&control, catalog, self.replica).await?;
        if let Some(before) = before.filter(|_| news) {
            picture::follow(&control, &before).await?;
        }
        control.batch("COMMIT").await?;
        if news {
            let tables: Vec<&String> = quiet.tables.iter().collect();
            tracing::info!(?tables, "triggers are switched off until PostgreSQL is primary");
        }
        self.quiet = quiet;
        Ok(())
    }

    /// What is no row: under the catalog before it and, for a schema change, the one behind it.
    pub(super) async fn other(
        &mut self,
        event: &Event,
        (catalog, after): (&Catalog, Option<&Catalog>),
    ) -> Result<()> {
        let control = self.control();
        match event {
            Event::Row(_) | Event::Statement(_) => Ok(()),
            Event::Ddl(ddl) => {
                self.schema(&ddl.postgres, (catalog, after.unwrap_or(catalog))).await
            }
            Event::Truncate(event) => self.truncate(event, catalog).await,
            Event::Sequence(sequence) => {
                self.counters.set(sequence);
                let name = name::quoted(&sequence.name);
                control
                    .client()
                    .execute(
                        "SELECT setval(c.oid, $2, $3) FROM pg_class c \
                         WHERE c.oid = to_regclass($1) AND c.relkind = 'S'",
                        &[&name, &sequence.value, &sequence.called],
                    )
                    .await
                    .map(drop)
                    .map_err(|e| control.error(&e))
            }
        }
    }

    async fn schema(
        &mut self,
        statements: &[String],
        (catalog, after): (&Catalog, &Catalog),
    ) -> Result<()> {
        let control = self.control();
        let before = match self.pictured {
            true => Some(self.picture(&control).await?),
            false => None,
        };
        if self.replica {
            control.batch("SET LOCAL session_replication_role = origin").await?;
        }
        // Where they do not hold yet the change is refused, if it concerns them.
        check_now(&control).await?;
        let end = self.quiet.end();
        control.batch(&format!("{end}SET CONSTRAINTS ALL DEFERRED")).await?;
        for sql in statements {
            self.change_schema(sql, (catalog, after)).await?;
        }
        if catalog.schemas != after.schemas {
            schemas::keep(&control, after).await?;
        }
        self.quiet = silence(&control, after, self.replica).await?.0;
        if self.replica {
            control.batch("SET LOCAL session_replication_role = replica").await?;
        }
        self.prepared.clear();
        self.guarded.clear();
        self.counters.forget();
        self.shadow.schema_changed(&control, catalog, after).await?;
        copied::follow(&control, catalog, after).await?;
        match &before {
            Some(before) => self.follower.follow(&control, before).await,
            None => Ok(()),
        }
    }

    /// How the tables look before a schema change. What somebody else has done must not pass for it.
    async fn picture(&mut self, control: &Control) -> Result<Lines> {
        match self.follower.unchanged(control).await? {
            Some(lines) => Ok(lines),
            None => drift::look(&self.shared, control).await,
        }
    }

    /// Runs one schema change; one of a table that is refused may fail, and any when it was tried
    /// often enough.
    async fn change_schema(&mut self, sql: &str, catalogs: (&Catalog, &Catalog)) -> Result<()> {
        let control = self.control();
        let said = |e: Error| e.detail(format!("Running {sql}"));
        // Of the file's own views PostgreSQL has only those that could be translated.
        let quiet = sql.strip_prefix("DROP VIEW ").map(|v| format!("DROP VIEW IF EXISTS {v}"));
        let sql = quiet.as_deref().unwrap_or(sql);
        let of_refused = self.shadow.names_refused(sql);
        control.batch("SAVEPOINT crossfade_schema").await?;
        let mut tried = control.batch(sql).await;
        if let Err(error) = &tried
            && outward::is_in_the_way(error)
        {
            control.batch("ROLLBACK TO crossfade_schema").await?;
            tried = self.without_views(sql, catalogs.1).await;
        }
        match tried {
            Ok(()) => control.batch("RELEASE crossfade_schema").await,
            Err(error) if of_refused && error.sqlstate().class() == "42" => {
                tracing::warn!(%error, sql, "left out: the table is not on PostgreSQL");
                control.batch("ROLLBACK TO crossfade_schema; RELEASE crossfade_schema").await
            }
            Err(error) if self.gives_up && poison::is_final(&error) => {
                control.batch("ROLLBACK TO crossfade_schema; RELEASE crossfade_schema").await?;
                self.left_out(sql, &said(error), catalogs).await
            }
            Err(error) => Err(said(error)),
        }
    }

    /// Runs it while the views that were translated from the file's are away.
    async fn without_views(&mut self, sql: &str, after: &Catalog) -> Result<()> {
        let control = self.control();
        let views = outward::Lifted::lift(&control).await?;
        control.batch(sql).await?;
        let lost = views.back(&control, |view| after.relation(view).is_some()).await?;
        for (view, error) in &lost {
            self.view_lost(view, sql, error);
        }
        Ok(())
    }
}
