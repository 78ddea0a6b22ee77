//! Whether a snapshot of PostgreSQL shows a table as it was when the snapshot was taken.
//!
//! TRUNCATE and statements that write a table anew are not MVCC-safe: to an older snapshot the table
//! is empty afterwards, and its columns are always those of now. Owns that look, under a lock that
//! keeps the table as it is to the end of the transaction. It must never let a table be compared of
//! which the snapshot does not tell. Start at [`settled`].

use crate::backend::postgres::apply::table_name;
use crate::backend::postgres::control::Control;
use crate::error::{Culprit, Error, Result, state};
use crate::schema::Relation;

/// New cuts that are taken for one table before it counts as not compared. Each is used within
/// milliseconds, so only a table that is emptied all the time needs more than one.
pub(super) const TRIES: usize = 10;

/// Catalogs are read with the transaction's snapshot, functions and `regclass` know what is now.
/// A partition that came or went is none of the snapshot's, either.
const UNSETTLED: &str = r#"
WITH RECURSIVE seen AS (
  SELECT c.oid, c.relfilenode, true AS ours FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE concat('"', replace(n.nspname, '"', '""'), '"."', replace(c.relname, '"', '""'), '"') = $1
  UNION ALL
  SELECT c.oid, c.relfilenode, c.relispartition FROM seen s
    JOIN pg_inherits i ON i.inhparent = s.oid JOIN pg_class c ON c.oid = i.inhrelid
), there AS (
  SELECT to_regclass($1::text)::oid AS oid WHERE to_regclass($1::text) IS NOT NULL
  UNION
  SELECT relid::oid FROM pg_partition_tree(to_regclass($1::text))
)
SELECT EXISTS (SELECT FROM seen s FULL JOIN there t ON t.oid = s.oid
  WHERE s.oid IS NULL OR (t.oid IS NULL AND s.ours)
    OR s.relfilenode IS DISTINCT FROM coalesce(pg_relation_filenode(s.oid), 0))"#;

/// Locks the table for the rest of the transaction, and looks whether the snapshot shows it.
///
/// # Errors
/// One that [`is_unsettled`] knows when it does not: a new cut does. What PostgreSQL said.
pub(super) async fn settled(control: &Control, relation: &Relation) -> Result<()> {
    let table = table_name(relation);
    let client = control.client();
    let there = "SELECT to_regclass($1::text) IS NOT NULL";
    let there = client.query_one(there, &[&table]).await.map_err(|e| control.error(&e))?;
    if there.get(0) {
        // As any look at its rows does, partitions included.
        control.batch(&format!("SELECT FROM {table} LIMIT 0")).await?;
    }
    let row = client.query_one(UNSETTLED, &[&table]).await.map_err(|e| control.error(&e))?;
    match row.get(0) {
        false => Ok(()),
        true => Err(Error::shadow(
            state::SERIALIZATION_FAILURE,
            format!("table {:?} is emptied or written anew all the time", relation.name),
        )
        .retryable()),
    }
}

/// Whether an error says only that the table is another one than the snapshot shows.
pub(super) fn is_unsettled(error: &Error) -> bool {
    let changed = matches!(
        error.sqlstate(),
        state::SERIALIZATION_FAILURE | state::UNDEFINED_TABLE | state::UNDEFINED_COLUMN
    );
    changed && error.fields().culprit == Culprit::Shadow
}
