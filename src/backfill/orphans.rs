//! Rows that break a foreign key of the application's own table on PostgreSQL.
//!
//! Owns that look. Foreign keys do not act on rows that are copied, and PostgreSQL calls them valid
//! all the same: who breaks one must be told. Start at [`look`].

use super::Env;
use super::schema::{Finding, Missing};
use crate::backend::postgres::apply::{quoted, table_name};
use crate::backend::postgres::existing::{Foreign, existing};
use crate::error::Result;
use crate::name;

/// Rows that are counted at most.
const ROWS_MAX: i64 = 1000;

/// What is to be told of a table.
///
/// # Errors
/// Only when the connection is lost.
pub(super) async fn look(env: &Env<'_>, table: &str) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    let Some(relation) = env.cut.catalog.relation(table) else { return Ok(found) };
    if env.made(table) || !env.replica {
        return Ok(found);
    }
    let control = env.control;
    let there = existing(control.client(), &table_name(relation), table).await;
    let there = there.map_err(|e| control.error(&e))?.unwrap_or_default();
    for key in &there.foreign_keys {
        let orphans = match control.rows(&counting(&table_name(relation), key)).await {
            Ok(rows) => rows.first().map_or(0, |row| row.get::<_, i64>(0)),
            Err(error) if control.is_closed() => return Err(error),
            // Without the right to read the parent nobody can say.
            Err(_) => continue,
        };
        if orphans > 0 {
            let more = if orphans == ROWS_MAX { " or more" } else { "" };
            found.push(Finding {
                table: table.to_owned(),
                object: format!("foreign key {:?}", key.name),
                message: format!(
                    "rows without a parent: {orphans}{more}; PostgreSQL holds new rows to it, and \
                     restoring a dump fails"
                ),
                blocking: false,
                missing: Missing::default(),
            });
        }
    }
    Ok(found)
}

/// Counts the rows without a parent, up to a bound.
pub(super) fn counting(table: &str, key: &Foreign) -> String {
    let known: Vec<String> =
        key.columns.iter().map(|c| format!("c.{} IS NOT NULL", quoted(c))).collect();
    let joined: Vec<String> = key
        .columns
        .iter()
        .zip(&key.referenced)
        .map(|(c, p)| format!("p.{} = c.{}", quoted(p), quoted(c)))
        .collect();
    format!(
        "SELECT count(*) FROM (SELECT 1 FROM {table} c WHERE {} AND NOT EXISTS \
         (SELECT 1 FROM {} p WHERE {}) LIMIT {ROWS_MAX}) o",
        known.join(" AND "),
        name::quoted(&key.table),
        joined.join(" AND ")
    )
}
