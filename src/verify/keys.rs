//! Comparing a few rows by key: the last look before a switch.
//!
//! Owns the lookups, by key and by chunks of an integer key. Start at [`keys`].

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::try_join_all;
use tokio_postgres::types::{ToSql, Type as PgType};

use super::cut::AtCut;
use super::diff::{self, Difference, Ours};
use super::pair;
use super::scan::Pair;
use crate::backend::postgres::apply::quoted;
use crate::backend::postgres::binary::{Binary, row_of};
use crate::backend::sqlite::blocking;
use crate::backfill::source::Source;
use crate::compare::Row;
use crate::error::{Error, Result, state};
use crate::value::{Cell, CellRef, Datum};

/// Lookups that are under way at once on PostgreSQL.
const PIPELINE: usize = 64;

/// What was seen of some rows.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The rows that differ, as far as they are shown.
    pub differences: Vec<Difference>,
    /// How many differ.
    pub differing: u64,
    /// The whole table was compared: some rows alone proved nothing.
    pub whole: bool,
}

impl Seen {
    fn of(differences: Vec<Difference>) -> Self {
        Self { differing: differences.len() as u64, differences, whole: false }
    }

    /// By keys that do not tell: PostgreSQL's row may be another one's.
    async fn whole(pair: &Pair<'_>) -> Result<Self> {
        let found = diff::table(pair).await?;
        let differing = found.differing.max(u64::from(found.at_least));
        Ok(Self { differences: found.differences, differing, whole: true })
    }
}

/// Compares the rows with the given keys, as stored (from journalled images); those that
/// differ. Only for tables with a key. Where a row seems to differ whose key others may share on
/// PostgreSQL, the whole table is compared.
///
/// # Errors
/// 55000 when the table has no key or is not on PostgreSQL; what either side said.
pub async fn keys(at: &AtCut, table: &str, keys: &[Vec<Cell>]) -> Result<Seen> {
    let pair = keyed(at, table).await?;
    if pair.projection.key.is_none() {
        return Seen::whole(&pair).await;
    }
    let mut source = blocking(|| Source::by_key(&at.sqlite, &pair.projection))?;
    let select = select(&pair);
    let prepared =
        at.postgres.client().prepare(&select).await.map_err(|e| at.postgres.error(&e))?;
    let prepared = Arc::new(prepared);
    let mut found = Vec::new();
    for chunk in keys.chunks(PIPELINE) {
        let mut lookups = Vec::with_capacity(chunk.len());
        let mut ours = Vec::with_capacity(chunk.len());
        for key in chunk {
            let row = blocking(|| -> Result<_> {
                source.seek(key)?;
                Ok(source.step()?.then(|| ours_of(&pair, &source)))
            })?;
            let values = match &row {
                Some(row) => key_of(&pair, row.values()),
                None => pair.projection.key_of(key),
            };
            let owns = values.as_ref().is_none_or(|values| pair.projection.owns(key, values));
            let sure = owns && row.as_ref().is_none_or(|row| !row.is_out());
            ours.push((row, sure));
            lookups.push(lookup(&pair, &prepared, values));
        }
        let theirs = try_join_all(lookups).await?;
        for ((ours, sure), theirs) in ours.into_iter().zip(theirs) {
            let differing = diff::of_key(&pair, ours.into_iter().collect(), theirs);
            if !sure && !differing.is_empty() {
                return Seen::whole(&pair).await;
            }
            found.extend(differing);
        }
    }
    Ok(Seen::of(found))
}

/// Compares the rows whose integer key lies in the given chunks of `1 << shift` numbers each;
/// those that differ. Memory is bounded by one chunk. Where PostgreSQL's key is of a type that
/// does not count the same way, the whole table is compared.
///
/// # Errors
/// 55000 when the table has no such key or is not on PostgreSQL; what either side said.
pub async fn chunks(at: &AtCut, table: &str, shift: u32, chunks: &[i64]) -> Result<Seen> {
    let pair = keyed(at, table).await?;
    let [key] = key_columns(&pair) else { return Seen::whole(&pair).await };
    if !pair.projection.counts_by_key() {
        return Seen::whole(&pair).await;
    }
    let mut source = blocking(|| Source::between(&at.sqlite, &pair.projection, true))?;
    let column = quoted(&pair.projection.columns[*key].name);
    // Integers of all sizes share their indexes, and so does numeric.
    let sql = format!("{} WHERE {column} BETWEEN $1 AND $2", pair.select());
    let control = &at.postgres;
    let prepared = control
        .client()
        .prepare_typed(&sql, &[PgType::INT8, PgType::INT8])
        .await
        .map_err(|e| control.error(&e))?;
    let mut found = Vec::new();
    for chunk in chunks {
        let first = chunk << shift;
        let last = first | ((1 << shift) - 1);
        let mut ours = BTreeMap::new();
        blocking(|| -> Result<()> {
            source.seek(&[Cell::Integer(first), Cell::Integer(last)])?;
            while source.step()? {
                let CellRef::Integer(key) = source.cell(*key) else { continue };
                ours.insert(key, ours_of(&pair, &source));
            }
            Ok(())
        })?;
        let rows = control.client().query(&prepared, &[&first, &last]).await;
        for row in rows.map_err(|e| control.error(&e))? {
            let row = row_of(&row, &pair.types)?;
            let ours = row.get(*key).and_then(number).and_then(|number| ours.remove(&number));
            found.extend(diff::of_key(&pair, ours.into_iter().collect(), vec![row]));
        }
        let missing = ours.into_values();
        found.extend(missing.flat_map(|ours| diff::of_key(&pair, vec![ours], Vec::new())));
    }
    Ok(Seen::of(found))
}

/// An integer key's number; None for one with digits behind the point, which no row of SQLite has.
fn number(key: &Datum) -> Option<i64> {
    match key {
        Datum::Int(number) => Some(*number),
        Datum::Numeric(number) if number.min_scale() == Some(0) => number.to_i64().ok(),
        _ => None,
    }
}

fn refused(message: String) -> Error {
    Error::shadow(state::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
}

async fn keyed<'a>(at: &'a AtCut, table: &str) -> Result<Pair<'a>> {
    let pair = pair(at, table).await?.map_err(refused)?;
    match pair.projection.named_by {
        Some(_) => Ok(pair),
        None => Err(refused(format!("table {table:?} has no key"))),
    }
}

/// The row the source stands on.
fn ours_of(pair: &Pair<'_>, source: &Source) -> Ours {
    let projected = source.project();
    let standing = pair.standing(source, &projected);
    Ours::new(source, projected, standing)
}

fn select(pair: &Pair<'_>) -> String {
    let terms: Vec<String> = key_columns(pair)
        .iter()
        .enumerate()
        .map(|(n, i)| pair.projection.columns[*i].key_term(n + 1))
        .collect();
    format!("{} WHERE {}", pair.select(), terms.join(" AND "))
}

fn key_columns<'a>(pair: &'a Pair<'_>) -> &'a [usize] {
    pair.projection.key.as_deref().unwrap_or_default()
}

fn key_of(pair: &Pair<'_>, values: &Row) -> Option<Vec<Datum>> {
    let key: Vec<Datum> = key_columns(pair).iter().map(|i| values[*i].clone()).collect();
    // A key that does not fit is not on the other side.
    (!key.iter().any(Datum::is_null)).then_some(key)
}

async fn lookup(
    pair: &Pair<'_>,
    prepared: &tokio_postgres::Statement,
    key: Option<Vec<Datum>>,
) -> Result<Vec<Row>> {
    let Some(key) = key else { return Ok(Vec::new()) };
    let control = &pair.at.postgres;
    let types = key_columns(pair).iter().map(|i| pair.types[*i]);
    let params =
        key.iter().zip(types).map(|(d, t)| Binary::of(d, t)).collect::<Result<Vec<_>>>()?;
    let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(|p| p as _).collect();
    // More than one where PostgreSQL lacks the key.
    let rows = control.client().query(prepared, &params).await.map_err(|e| control.error(&e))?;
    rows.iter().take(2).map(|row| row_of(row, &pair.types)).collect()
}
