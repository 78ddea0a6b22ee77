//! Triggers of PostgreSQL's tables that would act once more on rows that are carried.
//!
//! Owns `crossfade.quiet`: the triggers that are switched off while PostgreSQL is the shadow, and
//! how each acted before. With the right to be a replica only those that act on replicas, too, are
//! switched off; without it every one. The decision of a promote switches them on again. It must
//! never forget one that it switched off. Start at [`Quiet::load`].

use std::collections::BTreeSet;

use super::apply::quoted;
use super::control::Control;
use super::schemas;
use crate::error::Result;
use crate::name;

/// Functions of schema `crossfade`: their triggers are ours, and nobody's concern.
pub const OWN_FUNCTIONS: &str = "(SELECT own.oid FROM pg_catalog.pg_proc own \
     WHERE own.pronamespace = pg_catalog.to_regnamespace('crossfade'))";

const TABLE: &str = "CREATE TABLE IF NOT EXISTS crossfade.quiet \
                     (trigger_oid oid PRIMARY KEY, enabled text NOT NULL)";

/// What is switched off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quiet {
    /// Tables with such triggers.
    pub tables: BTreeSet<String>,
    /// Statements that switch them on again, for a part of a transaction that is undone.
    pub loud: String,
}

/// A trigger that acts.
#[derive(Clone, Debug)]
pub struct Acting {
    oid: u32,
    table: String,
    name: String,
    enabled: String,
}

/// Triggers of these tables that would act on rows that are carried.
///
/// # Errors
/// What PostgreSQL said.
pub async fn acting(control: &Control, tables: &[&str], replica: bool) -> Result<Vec<Acting>> {
    // As pg_trigger names them: origin, always, replica.
    let how: &[&str] = if replica { &["A", "R"] } else { &["O", "A"] };
    let key = schemas::key_of("c.relnamespace", "c.relname");
    let rows = control
        .client()
        .query(
            &format!(
                "SELECT t.oid, k.key, t.tgname::text, t.tgenabled::text FROM pg_trigger t \
                 JOIN pg_class c ON c.oid = t.tgrelid CROSS JOIN LATERAL (SELECT {key} AS key) k \
                 WHERE NOT t.tgisinternal AND t.tgfoid NOT IN {OWN_FUNCTIONS} \
                 AND k.key = ANY ($1::text[]) \
                 AND t.tgenabled::text = ANY ($2::text[]) ORDER BY 1"
            ),
            &[&tables, &how],
        )
        .await
        .map_err(|e| control.error(&e))?;
    let acting = rows.iter().map(|row| Acting {
        oid: row.get(0),
        table: row.get(1),
        name: row.get(2),
        enabled: row.get(3),
    });
    Ok(acting.collect())
}

/// Switches these off, in the open transaction, and keeps how they acted.
///
/// # Errors
/// What PostgreSQL said; 42501 for tables that belong to somebody else.
pub async fn switch_off(control: &Control, acting: &[Acting]) -> Result<()> {
    if acting.is_empty() {
        return Ok(());
    }
    control.batch(TABLE).await?;
    let (oids, enabled): (Vec<u32>, Vec<&str>) =
        acting.iter().map(|a| (a.oid, a.enabled.as_str())).unzip();
    control
        .client()
        .execute(
            "INSERT INTO crossfade.quiet SELECT * FROM unnest($1::oid[], $2::text[]) \
             ON CONFLICT (trigger_oid) DO UPDATE SET enabled = excluded.enabled",
            &[&oids, &enabled],
        )
        .await
        .map_err(|e| control.error(&e))?;
    let each = acting.iter().map(|a| alter(&a.table, "DISABLE", &a.name));
    control.batch(&each.collect::<String>()).await
}

impl Quiet {
    /// What is switched off now.
    ///
    /// # Errors
    /// What PostgreSQL said.
    pub async fn load(control: &Control) -> Result<Self> {
        let there = control.rows("SELECT to_regclass('crossfade.quiet') IS NOT NULL").await?;
        if !there.first().is_some_and(|row| row.get(0)) {
            return Ok(Self::default());
        }
        let rows = control
            .rows(&format!(
                "SELECT {}, t.tgname::text, q.enabled FROM crossfade.quiet q \
                 JOIN pg_trigger t ON t.oid = q.trigger_oid AND t.tgenabled = 'D' \
                 JOIN pg_class c ON c.oid = t.tgrelid ORDER BY t.oid",
                schemas::key_of("c.relnamespace", "c.relname")
            ))
            .await?;
        let mut quiet = Self::default();
        for row in &rows {
            let (table, name): (String, String) = (row.get(0), row.get(1));
            let word = match row.get(2) {
                "A" => "ENABLE ALWAYS",
                "R" => "ENABLE REPLICA",
                _ => "ENABLE",
            };
            quiet.loud.push_str(&alter(&table, word, &name));
            quiet.tables.insert(table);
        }
        Ok(quiet)
    }

    /// Nothing is switched off.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// Statements that switch them on again for good; empty when nothing is off.
    pub fn end(&self) -> String {
        match self.is_empty() {
            true => String::new(),
            false => format!("{}DELETE FROM crossfade.quiet; ", self.loud),
        }
    }
}

fn alter(table: &str, word: &str, trigger: &str) -> String {
    format!("ALTER TABLE {} {word} TRIGGER {}; ", name::quoted(table), quoted(trigger))
}
