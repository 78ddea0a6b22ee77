//! `crossfade.backfill`: which tables hold a copy, of which history and cut.
//!
//! Owns the table. Its row for a table is written in the transaction that copies the rows,
//! so it is never wrong after a crash. Start at [`load`].

use std::collections::BTreeMap;

use super::control::Control;
use crate::backend::Position;
use crate::error::Result;
use crate::schema::{Column, Relation};
use crate::value::canonical;

const TABLE: &str = "\
CREATE TABLE IF NOT EXISTS crossfade.backfill (
  table_name text PRIMARY KEY, made boolean NOT NULL,
  lineage bytea, position bigint NOT NULL DEFAULT 0, rows bigint NOT NULL DEFAULT 0,
  complete boolean NOT NULL DEFAULT false, refused text
);
ALTER TABLE crossfade.backfill ADD COLUMN IF NOT EXISTS shape text;";

/// What is known of one table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Crossfade made the table; otherwise the application did.
    pub made: bool,
    /// Lineage of the copy.
    pub lineage: Option<Vec<u8>>,
    /// Cut of the copy.
    pub position: Position,
    /// Rows copied.
    pub rows: u64,
    /// The copy is whole.
    pub complete: bool,
    /// Why the table cannot be on PostgreSQL; its changes are not applied.
    pub refused: Option<String>,
    /// What the columns were when it was copied: see [`shape`]. None where that is not known.
    pub shape: Option<String>,
}

/// Types of a table's columns and how they are stored, as one word: a copy is of these.
pub fn shape(relation: &Relation) -> String {
    let one = |c: &Column| format!("{}:{}:{}:{}", c.name, c.ty.oid, c.ty.typmod, c.codec.word());
    let all: Vec<String> = relation.columns.iter().map(one).collect();
    format!("{:032x}", canonical::digest(all.join(",").as_bytes()))
}

/// Makes the table where it is absent; schema `crossfade` must be there.
///
/// # Errors
/// What PostgreSQL said.
pub async fn ensure(control: &Control) -> Result<()> {
    control.batch(TABLE).await
}

/// Every table known, by name. The applier leaves out those that are refused.
///
/// # Errors
/// What PostgreSQL said.
pub async fn load(control: &Control) -> Result<BTreeMap<String, Copied>> {
    let there = control.rows("SELECT to_regclass('crossfade.backfill') IS NOT NULL").await?;
    if !there.first().is_some_and(|row| row.get::<_, bool>(0)) {
        return Ok(BTreeMap::new());
    }
    // The applier may meet a table that an older version made, without the last column.
    let sql = "SELECT table_name, made, lineage, position, rows, complete, refused, \
               to_jsonb(b) ->> 'shape' FROM crossfade.backfill b";
    let rows = control.rows(sql).await?;
    Ok(rows
        .iter()
        .map(|row| {
            let number = |i| u64::try_from(row.get::<_, i64>(i)).unwrap_or(0);
            let copied = Copied {
                made: row.get(1),
                lineage: row.get(2),
                position: Position(number(3)),
                rows: number(4),
                complete: row.get(5),
                refused: row.get(6),
                shape: row.get(7),
            };
            (row.get(0), copied)
        })
        .collect())
}

/// Writes what is known of a table, in the connection's transaction.
///
/// # Errors
/// What PostgreSQL said.
pub async fn save(control: &Control, table: &str, copied: &Copied) -> Result<()> {
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    control
        .client()
        .execute(
            "INSERT INTO crossfade.backfill AS b \
             (table_name, made, lineage, position, rows, complete, refused, shape) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (table_name) DO UPDATE SET \
             made = excluded.made, lineage = excluded.lineage, position = excluded.position, \
             rows = excluded.rows, complete = excluded.complete, refused = excluded.refused, \
             shape = excluded.shape",
            &[
                &table,
                &copied.made,
                &copied.lineage,
                &number(copied.position.0),
                &number(copied.rows),
                &copied.complete,
                &copied.refused,
                &copied.shape,
            ],
        )
        .await
        .map(drop)
        .map_err(|e| control.error(&e))
}
