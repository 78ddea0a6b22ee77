//! Comparing a few rows by key: the last look before a switch.
//!
//! Owns the lookups. Start at [`keys`].

use std::sync::Arc;

use futures_util::future::try_join_all;
use tokio_postgres::types::ToSql;

use super::cut::AtCut;
use super::diff::{self, Difference};
use super::pair;
use super::scan::Pair;
use crate::backend::postgres::apply::quoted;
use crate::backend::postgres::binary::{Binary, row_of};
use crate::backend::sqlite::blocking;
use crate::backfill::source::Source;
use crate::compare::Row;
use crate::error::{Error, Result, state};
use crate::value::{Cell, Datum, storage};

/// Lookups that are under way at once on PostgreSQL.
const PIPELINE: usize = 64;

/// Compares the rows with the given keys, as stored (from journalled images); those that
/// differ. Only for tables with a key.
///
/// # Errors
/// 55000 when the table has no key or is not on PostgreSQL; what either side said.
pub async fn keys(at: &AtCut, table: &str, keys: &[Vec<Cell>]) -> Result<Vec<Difference>> {
    let refused = |message: String| Error::shadow(state::OBJECT_NOT_IN_PREREQUISITE_STATE, message);
    let pair = pair(at, table).await?.map_err(refused)?;
    if pair.projection.key.is_none() {
        return Err(refused(format!("table {table:?} has no key")));
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
                if !source.step()? {
                    return Ok(None);
                }
                let projected = source.project();
                let standing = pair.standing(&source, &projected);
                let (name, entries) = (source.key(&projected), source.entries(&projected, None));
                Ok(Some((projected, entries, name, standing)))
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

fn select(pair: &Pair<'_>) -> String {
    let terms: Vec<String> = key_columns(pair)
        .iter()
        .enumerate()
        .map(|(n, i)| format!("{} = ${}", quoted(&pair.projection.columns[*i].name), n + 1))
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
) -> Result<Option<Row>> {
    let Some(key) = key else { return Ok(None) };
    let control = &pair.at.postgres;
    let types = key_columns(pair).iter().map(|i| pair.types[*i]);
    let params =
        key.iter().zip(types).map(|(d, t)| Binary::of(d, t)).collect::<Result<Vec<_>>>()?;
    let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(|p| p as _).collect();
    let row = control.client().query_opt(prepared, &params).await.map_err(|e| control.error(&e))?;
    row.map(|row| row_of(&row, &pair.types)).transpose()
}
