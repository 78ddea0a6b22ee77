//! `crossfade.backfill`: which tables are ours, and hold a copy of which history and cut.
//!
//! A table is *ours* when Crossfade made it, or found it empty and copied into it, and it is that
//! very table still (its OID says so, not its name): only then its rows may be emptied and the
//! table dropped. Owns the table of marks. A mark is written in the transaction that makes the
//! table or copies its first rows, so it is never wrong after a crash. Start at [`load`].

use std::collections::BTreeMap;

use tokio_postgres::{Client, Error as PgError};

use super::apply::table_name;
use super::control::Control;
use super::schemas;
use crate::backend::Position;
use crate::error::Result;
use crate::schema::{Catalog, Column, Relation, RelationKind};
use crate::value::canonical;

const TABLE: &str = "\
CREATE TABLE IF NOT EXISTS crossfade.backfill (
  table_name text PRIMARY KEY, made boolean NOT NULL,
  lineage bytea, position bigint NOT NULL DEFAULT 0, rows bigint NOT NULL DEFAULT 0,
  complete boolean NOT NULL DEFAULT false, refused text
);
ALTER TABLE crossfade.backfill ADD COLUMN IF NOT EXISTS shape text;
ALTER TABLE crossfade.backfill ADD COLUMN IF NOT EXISTS relid oid;";

/// What is known of one table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Crossfade made the table; otherwise the application did.
    pub made: bool,
    /// The table's OID; None where nothing of it is ours.
    pub relid: Option<u32>,
    /// The table of this OID has the name still. Read only.
    pub stands: bool,
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

impl Copied {
    /// Whether Crossfade may empty the table: it wrote every row that it ever had to keep.
    pub fn is_ours(&self) -> bool {
        self.relid.is_some() && self.stands
    }
}

/// The OID of a table now; None when there is none.
///
/// # Errors
/// What PostgreSQL said.
pub async fn oid(control: &Control, relation: &Relation) -> Result<Option<u32>> {
    let sql = "SELECT to_regclass($1)::oid";
    let row = control.client().query_one(sql, &[&table_name(relation)]).await;
    Ok(row.map_err(|e| control.error(&e))?.get(0))
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
    let sql = format!(
        "SELECT table_name, made, lineage, position, rows, complete, refused, \
         to_jsonb(b) ->> 'shape', c.relid, EXISTS (SELECT FROM pg_catalog.pg_class t \
         WHERE t.oid = c.relid AND {} = b.table_name) FROM crossfade.backfill b \
         CROSS JOIN LATERAL (SELECT (to_jsonb(b) ->> 'relid')::oid AS relid) c",
        schemas::key_of("t.relnamespace", "t.relname")
    );
    let rows = control.rows(&sql).await?;
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
                relid: row.get(8),
                stands: row.get(9),
            };
            (row.get(0), copied)
        })
        .collect())
}

/// OIDs of the tables that are ours, for whoever has no [`Control`].
///
/// # Errors
/// What PostgreSQL said.
pub async fn ours(client: &Client) -> std::result::Result<Vec<u32>, PgError> {
    let sql = "SELECT EXISTS (SELECT FROM pg_attribute WHERE attname = 'relid' \
               AND attrelid = to_regclass('crossfade.backfill'))";
    if !client.query_one(sql, &[]).await?.get::<_, bool>(0) {
        return Ok(Vec::new());
    }
    let sql = "SELECT relid FROM crossfade.backfill WHERE relid IS NOT NULL";
    Ok(client.query(sql, &[]).await?.iter().map(|row| row.get(0)).collect())
}

/// The copy of a table stands after all.
///
/// # Errors
/// What PostgreSQL said.
pub async fn keep(control: &Control, table: &str) -> Result<()> {
    let sql = "UPDATE crossfade.backfill SET complete = true WHERE table_name = $1";
    control.client().execute(sql, &[&table]).await.map(drop).map_err(|e| control.error(&e))
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
             (table_name, made, lineage, position, rows, complete, refused, shape, relid) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (table_name) DO UPDATE SET \
             made = excluded.made, lineage = excluded.lineage, position = excluded.position, \
             rows = excluded.rows, complete = excluded.complete, refused = excluded.refused, \
             shape = excluded.shape, relid = excluded.relid",
            &[
                &table,
                &copied.made,
                &copied.lineage,
                &number(copied.position.0),
                &number(copied.rows),
                &copied.complete,
                &copied.refused,
                &copied.shape,
                &copied.relid,
            ],
        )
        .await
        .map(drop)
        .map_err(|e| control.error(&e))
}

/// The schema changed: marks follow renamed tables, leave with dropped ones, and a table that the
/// change has made is ours. In the connection's transaction.
///
/// # Errors
/// What PostgreSQL said.
pub async fn follow(control: &Control, before: &Catalog, after: &Catalog) -> Result<()> {
    let tables = |catalog: &Catalog| -> BTreeMap<u32, String> {
        let tables = catalog.relations.values().filter(|r| r.kind == RelationKind::Table);
        tables.map(|r| (r.oid, r.name.clone())).collect()
    };
    let (before, now) = (tables(before), tables(after));
    if before == now {
        return Ok(());
    }
    // An older version may have made it, without the last columns.
    ensure(control).await?;
    let mut marks = load(control).await?;
    let gone: Vec<&String> =
        before.iter().filter(|(oid, name)| now.get(oid) != Some(*name)).map(|(_, n)| n).collect();
    let sql = "DELETE FROM crossfade.backfill WHERE table_name = ANY ($1)";
    control.client().execute(sql, &[&gone]).await.map_err(|e| control.error(&e))?;
    for (oid, name) in now.iter().filter(|(oid, name)| before.get(oid) != Some(*name)) {
        let mark = match before.get(oid) {
            Some(old) => marks.remove(old),
            None => match after.relation(name) {
                // What PostgreSQL refused to make has the mark that says so.
                Some(_) if marks.contains_key(name) && !gone.contains(&name) => None,
                Some(relation) => {
                    let relid = self::oid(control, relation).await?;
                    relid.map(|oid| Copied { made: true, relid: Some(oid), ..Copied::default() })
                }
                None => None,
            },
        };
        if let Some(mark) = mark {
            save(control, name, &mark).await?;
        }
    }
    Ok(())
}
