//! Emptying the tables that are copied anew.
//!
//! Owns how: TRUNCATE of tables that nothing outside of them refers to; DELETE of one that a table
//! beside them refers to, where foreign keys do not act, in the very transaction that copies it.
//! Where they act, tables of ours that refer to it are copied anew as well. It must never empty a
//! table that is not ours, nor take the parent from a row of one. Start at [`tables`].

use std::collections::{BTreeMap, BTreeSet};

use super::Env;
use super::orphans;
use super::schema::Plan;
use crate::backend::postgres::apply::table_name;
use crate::backend::postgres::copied;
use crate::backend::postgres::emptying;
use crate::backend::postgres::existing::{self, Foreign, Referrer, referrers};
use crate::error::{Error, Result, state};
use crate::failpoint;
use crate::schema::Relation;

/// Foreign keys of other tables that lead to a table which is emptied in the transaction of its
/// copy: those of tables that are not ours.
pub(super) type Within = BTreeMap<String, Vec<Referrer>>;

/// What is to be copied now.
#[derive(Debug, Default)]
pub(super) struct Emptied {
    /// Tables that are emptied by their own copy.
    pub(super) within: Within,
    /// Tables that may not be emptied, and why.
    pub(super) refused: BTreeMap<String, String>,
    /// Tables that had to be emptied with others.
    pub(super) more: Vec<String>,
}

/// Tables to be emptied, by OID.
type Set = BTreeMap<u32, String>;

/// Empties the tables that are copied anew, as far as they are ours. Our own foreign keys go first:
/// they come back when the rows are in.
///
/// # Errors
/// What PostgreSQL said.
pub(super) async fn tables(env: &Env<'_>, plan: &Plan, anew: &[String]) -> Result<Emptied> {
    let control = env.control;
    let set: Set = anew.iter().filter_map(|name| Some((ours(env, name)?, name.clone()))).collect();
    if set.is_empty() {
        return Ok(Emptied::default());
    }
    control.batch("BEGIN").await?;
    match emptied(env, plan, set).await {
        Ok(emptied) => {
            control.batch("COMMIT").await?;
            failpoint!("backfill.emptied");
            Ok(emptied)
        }
        Err(error) => {
            if !control.is_closed() {
                control.batch("ROLLBACK").await?;
            }
            Err(error)
        }
    }
}

/// The OID of a table that is ours.
fn ours(env: &Env<'_>, name: &str) -> Option<u32> {
    env.copied.get(name).filter(|c| c.is_ours()).and_then(|c| c.relid)
}

async fn emptied(env: &Env<'_>, plan: &Plan, set: Set) -> Result<Emptied> {
    let control = env.control;
    for sql in own_foreign_keys(env, plan, &set) {
        control.batch(&sql).await?;
    }
    let (set, together, mut emptied) = match env.replica {
        true => apart(env, set).await?,
        false => with_referrers(env, set).await?,
    };
    let truncated: Vec<u32> = set.keys().copied().filter(|oid| !together.contains(oid)).collect();
    if !truncated.is_empty() {
        let targets = emptying::targets(control, &truncated).await?;
        control.batch(&format!("TRUNCATE {}", targets.join(", "))).await?;
    }
    emptying::delete(control, &together).await?;
    let names: Vec<&String> = set.values().collect();
    let sql = "UPDATE crossfade.backfill SET complete = false WHERE table_name = ANY ($1)";
    control.client().execute(sql, &[&names]).await.map_err(|e| control.error(&e))?;
    emptied.more.retain(|name| set.values().any(|other| other == name));
    Ok(emptied)
}

/// Statements that drop the foreign keys that we made and that lead from or to these tables.
fn own_foreign_keys(env: &Env<'_>, plan: &Plan, set: &Set) -> Vec<String> {
    let concerned = |name: &str| set.values().any(|table| table == name);
    let mut list = Vec::new();
    for step in plan.foreign_keys.iter().filter(|s| env.made(&s.table)) {
        let leads =
            env.cut.catalog.relation(&step.table).is_some_and(|relation| {
                relation.foreign_keys.iter().any(|key| concerned(&key.table))
            });
        if (leads || concerned(&step.table))
            && let Some((table, rest)) = step.sql.split_once(" ADD CONSTRAINT ")
            && let Some((name, _)) = rest.split_once(" FOREIGN KEY (")
        {
            let table = table.replacen("ALTER TABLE", "ALTER TABLE IF EXISTS", 1);
            list.push(format!("{table} DROP CONSTRAINT IF EXISTS {name}"));
        }
    }
    list
}

/// Foreign keys that lead to these tables from others.
async fn leading_to(env: &Env<'_>, set: &Set) -> Result<Vec<Referrer>> {
    let oids: Vec<u32> = set.keys().copied().collect();
    let found = referrers(env.control.client(), &oids).await;
    let found = found.map_err(|e| env.control.error(&e))?;
    Ok(found.into_iter().filter(|r| !set.contains_key(&r.oid)).collect())
}

/// Where foreign keys do not act: what others refer to is emptied by its own copy.
async fn apart(env: &Env<'_>, mut set: Set) -> Result<(Set, Vec<u32>, Emptied)> {
    let mut emptied = Emptied::default();
    loop {
        let leading = leading_to(env, &set).await?;
        if leading.is_empty() {
            return Ok((set, Vec::new(), emptied));
        }
        for referrer in leading {
            let Some(name) = set.get(&referrer.to).or_else(|| {
                // Taken out by another foreign key a moment ago.
                emptied.within.keys().find(|name| ours(env, name) == Some(referrer.to))
            }) else {
                continue;
            };
            let name = name.clone();
            if !emptied.refused.contains_key(&name) {
                let others = emptied.within.entry(name.clone()).or_default();
                if ours(env, &referrer.table) != Some(referrer.oid) {
                    if let Some(why) = unseen(env, &referrer).await? {
                        emptied.within.remove(&name);
                        emptied.refused.insert(name, why);
                    } else {
                        others.push(referrer.clone());
                    }
                }
            }
            set.remove(&referrer.to);
        }
    }
}

/// Where foreign keys act: tables of ours that refer to what is emptied are emptied, too. Those
/// that TRUNCATE does not take are told apart.
async fn with_referrers(env: &Env<'_>, mut set: Set) -> Result<(Set, Vec<u32>, Emptied)> {
    let mut emptied = Emptied::default();
    let mut harmless: BTreeSet<u32> = BTreeSet::new();
    loop {
        let leading = leading_to(env, &set).await?;
        let Some(referrer) = leading.into_iter().find(|r| !harmless.contains(&r.oid)) else {
            break;
        };
        let known = ours(env, &referrer.table) == Some(referrer.oid);
        let usable = env.copied.get(&referrer.table).is_some_and(|c| c.refused.is_none());
        if known && usable && !emptied.refused.contains_key(&referrer.table) {
            emptied.more.push(referrer.table.clone());
            set.insert(referrer.oid, referrer.table.clone());
            continue;
        }
        match in_use(env, &referrer).await? {
            None => drop(harmless.insert(referrer.oid)),
            Some(why) => {
                if let Some(name) = set.remove(&referrer.to) {
                    emptied.refused.insert(name, why);
                }
            }
        }
    }
    let mut truncated = set.clone();
    loop {
        let leading = leading_to(env, &truncated).await?;
        if leading.is_empty() {
            break;
        }
        for referrer in leading {
            truncated.remove(&referrer.to);
        }
    }
    let together = set.keys().copied().filter(|oid| !truncated.contains_key(oid)).collect();
    Ok((set, together, emptied))
}

/// Why rows of a table that refers to one of ours cannot be looked at.
async fn unseen(env: &Env<'_>, referrer: &Referrer) -> Result<Option<String>> {
    let sql = "SELECT has_table_privilege($1::oid, 'SELECT') AND NOT row_security_active($1::oid), \
               has_table_privilege($1::oid, 'UPDATE, DELETE, TRUNCATE')";
    let row = env.control.client().query_one(sql, &[&referrer.oid]).await;
    let row = row.map_err(|e| env.control.error(&e))?;
    let (seen, locked): (bool, bool) = (row.get(0), row.get(1));
    Ok((!seen || !(locked || env.replica)).then(|| {
        format!(
            "table {} on PostgreSQL refers to it, and the control role may not see or not lock its \
             rows; grant it SELECT and UPDATE there, then copy again",
            referrer.shown
        )
    }))
}

/// Why rows of another table keep one of ours from being emptied where foreign keys act; None when
/// none refers to it. Nobody adds one before the transaction ends.
async fn in_use(env: &Env<'_>, referrer: &Referrer) -> Result<Option<String>> {
    if let Some(why) = unseen(env, referrer).await? {
        return Ok(Some(why));
    }
    let control = env.control;
    control.batch(&format!("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE", referrer.shown)).await?;
    let used = existing::in_use(control.client(), referrer).await;
    Ok((used.map_err(|e| control.error(&e))? != Some(false)).then(|| {
        format!(
            "rows of table {} on PostgreSQL, which Crossfade did not write, refer to it, so it \
             cannot be emptied; empty that table, or let the control role set \
             session_replication_role, then copy again",
            referrer.shown
        )
    }))
}

/// The table is ours from this transaction on: it was, or nobody has a row in it. Its OID.
///
/// # Errors
/// 55000 when somebody has put rows, or another table, there.
pub(super) async fn claim(env: &Env<'_>, relation: &Relation) -> Result<Option<u32>> {
    let control = env.control;
    let table = table_name(relation);
    if let Some(known) = ours(env, &relation.name) {
        if copied::oid(control, relation).await? == Some(known) {
            return Ok(Some(known));
        }
        let message = format!("table {table} on PostgreSQL was replaced meanwhile");
        return Err(Error::shadow(state::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
            .hint("Copy again: it is looked at anew."));
    }
    control.batch(&format!("LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE")).await?;
    let rows = control.rows(&format!("SELECT EXISTS (SELECT FROM {table})")).await?;
    match rows.first().is_some_and(|row| row.get(0)) {
        true => Err(super::have_rows(&[table])),
        false => copied::oid(control, relation).await,
    }
}

/// Rows without a parent in each table that refers to one that is emptied by its own copy.
pub(super) struct Before(Vec<i64>);

/// Empties a table in the transaction that copies it, where that is how.
///
/// # Errors
/// What PostgreSQL said.
pub(super) async fn within(env: &Env<'_>, relation: &Relation) -> Result<Before> {
    let Some(referrers) = env.within.get(&relation.name) else { return Ok(Before(Vec::new())) };
    let before = orphaned(env, relation, referrers).await?;
    let table = ours(env, &relation.name);
    emptying::delete(env.control, table.as_slice()).await?;
    Ok(Before(before))
}

/// No row of another's table has lost its parent by the copy.
///
/// # Errors
/// 55000 when one has: the copy must be undone.
pub(super) async fn nobody_lost(env: &Env<'_>, relation: &Relation, before: &Before) -> Result<()> {
    let referrers = env.within.get(&relation.name).map_or(&[][..], Vec::as_slice);
    let after = orphaned(env, relation, referrers).await?;
    for ((referrer, before), after) in referrers.iter().zip(&before.0).zip(after) {
        if after > *before {
            let message = format!(
                "rows of table {} on PostgreSQL, which Crossfade did not write, refer to rows of \
                 {} that SQLite has not any more",
                referrer.shown,
                relation.bare()
            );
            return Err(Error::shadow(state::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
                .hint("Put those rows right or empty that table, then copy again."));
        }
    }
    Ok(())
}

async fn orphaned(env: &Env<'_>, relation: &Relation, of: &[Referrer]) -> Result<Vec<i64>> {
    let mut found = Vec::with_capacity(of.len());
    for referrer in of {
        let [columns, referenced] = referrer.columns.clone();
        let table = relation.name.clone();
        let key = Foreign { name: referrer.name.clone(), columns, table, referenced };
        let rows = env.control.rows(&orphans::counting(&referrer.shown, &key)).await?;
        found.push(rows.first().map_or(0, |row| row.get(0)));
    }
    Ok(found)
}
