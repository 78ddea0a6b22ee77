//! Comparing a few rows by key: the last look before a switch.
//!
//! Owns the lookups, by key and by chunks of an integer key. Start at [`keys`].

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::try_join_all;
use tokio_postgres::types::{ToSql, Type as PgType};

use super::cut::AtCut;
use super::diff::{self, Difference};
use super::pair;
use super::scan::{Pair, Standing};
use crate::backend::postgres::apply::quoted;
use crate::backend::postgres::binary::{Binary, row_of};
use crate::backend::postgres::project::Projected;
use crate::backend::postgres::quarantine::Entry;
use crate::backend::sqlite::blocking;
use crate::backfill::source::Source;
use crate::compare::Row;
use crate::error::{Error, Result, state};
use crate::value::{Cell, CellRef, Datum, storage};

/// Lookups that are under way at once on PostgreSQL.
const PIPELINE: usize = 64;

/// Compares the rows with the given keys, as stored (from journalled images); those that
/// differ. Only for tables with a key.
///
/// # Errors
/// 55000 when the table has no key or is not on PostgreSQL; what either side said.
pub async fn keys(at: &AtCut, table: &str, keys: &[Vec<Cell>]) -> Result<Vec<Difference>> {
    let pair = keyed(at, table).await?;
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
                Some((projected, ..)) => key_of(&pair, &projected.values),
                None => decoded(&pair, key),
            };
            ours.push(row);
            lookups.push(lookup(&pair, &prepared, values));
        }
        let theirs = try_join_all(lookups).await?;
        found.extend(ours.into_iter().zip(theirs).filter_map(|(o, t)| diff::one(&pair, o, t)));
    }
    Ok(found)
}

/// Compares the rows whose integer key lies in the given chunks of `1 << shift` numbers each;
/// those that differ. Memory is bounded by one chunk.
///
/// # Errors
/// 55000 when the table has no such key or is not on PostgreSQL; what either side said.
pub async fn chunks(
    at: &AtCut,
    table: &str,
    shift: u32,
    chunks: &[i64],
) -> Result<Vec<Difference>> {
    let pair = keyed(at, table).await?;
    let [key] = key_columns(&pair) else {
        return Err(refused(format!("the key of table {table:?} is not one column")));
    };
    let mut source = blocking(|| Source::between(&at.sqlite, &pair.projection, true))?;
    let column = quoted(&pair.projection.columns[*key].name);
    // Integers of all sizes share their indexes.
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
            let Some(Datum::Int(number)) = row.get(*key) else { continue };
            let ours = ours.remove(number);
            found.extend(diff::one(&pair, ours, vec![row]));
        }
        found
            .extend(ours.into_values().filter_map(|ours| diff::one(&pair, Some(ours), Vec::new())));
    }
    Ok(found)
}

fn refused(message: String) -> Error {
    Error::shadow(state::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
}

async fn keyed<'a>(at: &'a AtCut, table: &str) -> Result<Pair<'a>> {
    let pair = pair(at, table).await?.map_err(refused)?;
    match pair.projection.key {
        Some(_) => Ok(pair),
        None => Err(refused(format!("table {table:?} has no key"))),
    }
}

/// The row the source stands on.
fn ours_of(pair: &Pair<'_>, source: &Source) -> (Projected, Vec<Entry>, String, Standing) {
    let projected = source.project();
    let standing = pair.standing(source, &projected);
    let (name, entries) = (source.key(&projected), source.entries(&projected, None));
    (projected, entries, name, standing)
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

/// A key of which SQLite has no row any more.
fn decoded(pair: &Pair<'_>, key: &[Cell]) -> Option<Vec<Datum>> {
    let relation = &pair.projection.relation;
    let values = key_columns(pair).iter().zip(key).map(|(i, cell)| {
        let column = &relation.columns[pair.projection.columns[*i].index];
        storage::decode(column.codec, column.ty, cell.as_ref()).ok().filter(|d| !d.is_null())
    });
    values.collect()
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
