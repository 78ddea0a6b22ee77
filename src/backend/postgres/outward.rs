//! Views and triggers that were translated from SQLite's own, on PostgreSQL.
//!
//! Owns their mark, a comment, and their going and coming back when a table that they need
//! changes. It must never touch a view or function without the mark. Start at [`drop_all`].

use super::apply::quoted;
use super::control::Control;
use crate::error::{Error, Result, state};

/// The comment of a view or function that is one of ours.
pub const MARK: &str = crate::sql::outward::MARK;

/// Drops every one: a copy makes them anew.
///
/// # Errors
/// When the connection is lost; one that something else needs stays.
pub async fn drop_all(control: &Control) -> Result<()> {
    let mut texts = Vec::new();
    let views: Vec<String> = marked(control).await?.iter().map(|v| qualified(&v.0)).collect();
    if !views.is_empty() {
        texts.push(format!("DROP VIEW {}", views.join(", ")));
    }
    let rows = control
        .client()
        .query(
            "SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_namespace n \
             ON n.oid = p.pronamespace WHERE n.nspname = 'public' AND \
             p.prorettype = 'trigger'::regtype AND obj_description(p.oid, 'pg_proc') = $1",
            &[&MARK],
        )
        .await
        .map_err(|e| control.error(&e))?;
    texts.extend(rows.iter().map(|r| format!("DROP FUNCTION {} CASCADE", r.get::<_, &str>(0))));
    for text in texts {
        if let Err(error) = control.batch(&text).await {
            if control.is_closed() {
                return Err(error);
            }
            tracing::warn!(%error, text, "left as it is");
        }
    }
    Ok(())
}

fn qualified(view: &str) -> String {
    format!("\"public\".{}", quoted(view))
}

/// The name and the query of each view.
async fn marked(control: &Control) -> Result<Vec<(String, String)>> {
    let rows = control
        .client()
        .query(
            "SELECT c.relname::text, pg_get_viewdef(c.oid) FROM pg_class c WHERE c.relkind = 'v' \
             AND c.relnamespace = 'public'::regnamespace \
             AND obj_description(c.oid, 'pg_class') = $1 ORDER BY c.oid",
            &[&MARK],
        )
        .await
        .map_err(|e| control.error(&e))?;
    let view = |row: &tokio_postgres::Row| (row.get::<_, String>(0), row.get::<_, String>(1));
    Ok(rows.iter().map(view).collect())
}

/// Whether PostgreSQL refuses a change because a view reads what is changed.
pub fn is_in_the_way(error: &Error) -> bool {
    [state::FEATURE_NOT_SUPPORTED, state::DEPENDENT_OBJECTS_STILL_EXIST].contains(&error.sqlstate())
}

/// Views that were taken away, in the order in which they were made.
#[derive(Debug, Default)]
pub struct Lifted(Vec<(String, String)>);

impl Lifted {
    /// Takes every one away, in the open transaction: a table they read may be changed then.
    ///
    /// # Errors
    /// What PostgreSQL said.
    pub async fn lift(control: &Control) -> Result<Self> {
        let views = marked(control).await?;
        let names: Vec<String> = views.iter().map(|v| qualified(&v.0)).collect();
        if names.is_empty() {
            return Ok(Self::default());
        }
        control.batch("SAVEPOINT crossfade_views").await?;
        match control.batch(&format!("DROP VIEW {}", names.join(", "))).await {
            Ok(()) => control.batch("RELEASE crossfade_views").await.map(|()| Self(views)),
            // Somebody's own view needs one: then they stay, and may be in the way.
            Err(error) if control.is_closed() => Err(error),
            Err(_) => {
                let back = "ROLLBACK TO crossfade_views; RELEASE crossfade_views";
                control.batch(back).await.map(|()| Self::default())
            }
        }
    }

    /// Whether none was there, or none could go.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Brings those back that are there still; those that cannot be any more, and why.
    ///
    /// # Errors
    /// What PostgreSQL said of the transaction itself.
    pub async fn back(
        self,
        control: &Control,
        there: impl Fn(&str) -> bool,
    ) -> Result<Vec<(String, Error)>> {
        let mut lost = Vec::new();
        for (view, query) in self.0.into_iter().filter(|(view, _)| there(view)) {
            let name = qualified(&view);
            control.batch("SAVEPOINT crossfade_views").await?;
            let sql = format!(
                "CREATE VIEW {name} AS {}; COMMENT ON VIEW {name} IS '{MARK}'",
                query.trim_end().trim_end_matches(';')
            );
            match control.batch(&sql).await {
                Ok(()) => control.batch("RELEASE crossfade_views").await?,
                Err(error) if control.is_closed() => return Err(error),
                Err(error) => {
                    let back = "ROLLBACK TO crossfade_views; RELEASE crossfade_views";
                    control.batch(back).await?;
                    lost.push((view, error));
                }
            }
        }
        Ok(lost)
    }
}
