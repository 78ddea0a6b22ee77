//! A pass over what has changed since the last verify: what makes "verified" true up to a switch.
//!
//! Owns the pass. What it proves equal is taken off the list, what differs is recorded like any
//! divergence. It must never count as seen what it did not see. Start at [`since`].

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::cut::{AtCut, Cut};
use super::diff::Difference;
use super::keys::{Seen, chunks, keys};
use super::settled::{TRIES, is_unsettled};
use super::{Kind, Report, one, sample, take};
use crate::count::counted;
use crate::divergence::Store;
use crate::divergence::changed::{Part, Scope, Taken};
use crate::error::Result;
use crate::schema::Relation;
use crate::value::oid;

/// What a pass has seen.
#[derive(Clone, Debug, Default)]
pub struct Pass {
    /// Position of the cut.
    pub position: u64,
    /// Keys looked at (of chunks: as many as they may hold).
    pub keys: u64,
    /// Tables compared as a whole, and how long each took.
    pub whole: BTreeMap<String, Duration>,
    /// Tables of which not everything was looked at.
    pub left_out: Vec<String>,
    /// The first difference, in words.
    pub first: Option<String>,
    /// Rows that differ.
    pub differing: u64,
    /// How long the keys took.
    pub took: Duration,
}

impl Pass {
    /// In one line.
    pub fn summary(&self) -> String {
        let whole = match self.whole.len() {
            0 => String::new(),
            n => format!(", {}", counted(n, "whole table")),
        };
        let left = match self.left_out.is_empty() {
            true => String::new(),
            false => format!(", not looked at: {}", self.left_out.join(", ")),
        };
        format!("{}{whole}{left}: {} differ", counted(self.keys, "key"), self.differing)
    }
}

/// Looks at everything that has changed since it was verified, at one cut. `whole` says whether
/// a table without key may be compared as a whole now. With `dry` nothing is noted, neither what
/// is equal nor what differs.
///
/// # Errors
/// What either side said; what concerns one table alone counts as not seen.
pub async fn since(
    cuts: &dyn Cut,
    store: &Store,
    whole: &(dyn Fn(&str) -> bool + Send + Sync),
    dry: bool,
) -> Result<Pass> {
    let mut pass = Pass::default();
    let taken = take(store, &store.changed_tables());
    if taken.is_empty() {
        return Ok(pass);
    }
    let mut at = cuts.cut(false).await?;
    for taken in taken.values() {
        let mut tries = 0;
        while let Err(error) = table(&at, store, taken, whole, dry, &mut pass).await {
            if !is_unsettled(&error) {
                return Err(error);
            }
            at.release().await;
            at = cuts.cut(false).await?;
            if tries == TRIES {
                cannot(&mut pass, &taken.table, error.message());
                break;
            }
            tries += 1;
        }
    }
    pass.position = at.position.0;
    Ok(pass)
}

/// Notes a table that could not be compared.
fn cannot(pass: &mut Pass, table: &str, why: &str) {
    pass.first.get_or_insert(format!("table {table:?} cannot be compared: {why}"));
    pass.differing += 1;
}

async fn table(
    at: &AtCut,
    store: &Store,
    taken: &Taken,
    whole: &(dyn Fn(&str) -> bool + Send + Sync),
    dry: bool,
    pass: &mut Pass,
) -> Result<()> {
    let Some(relation) = at.catalog.relation(&taken.table) else {
        store.forget_changed(&taken.table);
        return Ok(());
    };
    let began = Instant::now();
    let mut report = Report::of(at, &taken.table);
    match &taken.scope {
        Scope::Keys(list) if relation.key().is_some() => {
            let list: Vec<_> = list.iter().map(|k| k.iter().map(Part::cell).collect()).collect();
            put(&mut report, keys(at, &taken.table, &list).await?, began, pass);
            pass.keys += list.len() as u64;
            pass.took += began.elapsed();
        }
        Scope::Chunks(shift, list) if has_integer_key(relation) => {
            put(&mut report, chunks(at, &taken.table, *shift, list).await?, began, pass);
            pass.keys += (list.len() as u64) << shift;
            pass.took += began.elapsed();
        }
        Scope::Keys(_) | Scope::Chunks(..) | Scope::Whole => {
            if relation.key().is_none() && !whole(&taken.table) {
                pass.left_out.push(taken.table.clone());
                return Ok(());
            }
            report = one(at, &taken.table, &|_| {}).await?;
            if let Some(error) = &report.error {
                cannot(pass, &taken.table, error);
                return Ok(());
            }
            pass.whole.insert(taken.table.clone(), began.elapsed());
        }
    }
    pass.differing += report.differing;
    if report.differing == 0 {
        if !dry {
            store.checked(taken);
        }
        return Ok(());
    }
    for difference in report.differences.iter().filter(|_| !dry) {
        store.record(sample(&report, difference));
    }
    if let Some(first) = report.differences.first() {
        let shown = shown(&taken.table, first, store.shows_values());
        pass.first.get_or_insert(shown);
    }
    Ok(())
}

/// Notes what was seen of some rows.
fn put(report: &mut Report, seen: Seen, began: Instant, pass: &mut Pass) {
    if seen.whole {
        pass.whole.insert(report.table.clone(), began.elapsed());
    }
    (report.differences, report.differing) = (seen.differences, seen.differing);
}

/// Whether rows are told apart by one column of integers.
fn has_integer_key(relation: &Relation) -> bool {
    let integer =
        |i: &usize| matches!(relation.columns[*i].ty.oid, oid::INT2 | oid::INT4 | oid::INT8);
    relation.key().is_some_and(|key| key.len() == 1 && key.iter().all(integer))
}

/// A difference in words: table, key, what.
fn shown(table: &str, difference: &Difference, values: bool) -> String {
    let show = |value: &Option<String>| match value {
        None => "NULL".to_owned(),
        Some(value) if values => value.clone(),
        Some(_) => "…".to_owned(),
    };
    let key: Vec<String> =
        difference.key.iter().map(|(name, value)| format!("{name} = {}", show(value))).collect();
    let what = match difference.kind {
        Kind::Missing => "the row is missing on PostgreSQL".to_owned(),
        Kind::Extra => "SQLite has no such row".to_owned(),
        Kind::Value => format!("column {} differs", difference.columns.join(", ")),
    };
    format!("table {table:?}, key {}: {what}", key.join(", "))
}
