//! The columns of a table as PostgreSQL's own catalog has them.
//!
//! Owns that query. It must never answer from what the primary's catalog says. Start at
//! [`actual_columns`].

use std::sync::Arc;

use tokio_postgres::{Client, Error as PgError};

use super::apply::table_name;
use super::control::Control;
use super::project::{Actual, Apart};
use crate::error::Result;
use crate::schema::Relation;
use crate::value::{Type, oid};

/// A column as PostgreSQL's catalog has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct There {
    /// Name, type, NOT NULL.
    pub actual: Actual,
    /// The type as PostgreSQL writes it.
    pub type_name: String,
    /// GENERATED ALWAYS AS (expression).
    pub generated: bool,
    /// GENERATED ALWAYS AS IDENTITY.
    pub always: bool,
    /// Has a default or is an identity.
    pub filled: bool,
    /// Values can be sent to it at all: its type has a binary form.
    pub received: bool,
    /// Its default or identity takes the next value of a sequence.
    pub counted: bool,
}

/// Domains stand for the type they are over.
const COLUMNS: &str = "\
WITH RECURSIVE base(attnum, type_oid, typmod) AS (
  SELECT attnum, atttypid, atttypmod FROM pg_attribute
    WHERE attrelid = to_regclass($1::text) AND attnum > 0 AND NOT attisdropped
  UNION ALL
  SELECT b.attnum, t.typbasetype, t.typtypmod FROM base b
    JOIN pg_type t ON t.oid = b.type_oid AND t.typtype = 'd'
)
SELECT a.attname::text, t.oid, b.typmod, a.attnotnull,
  a.attgenerated <> '', a.attidentity = 'a', a.attidentity <> '' OR a.atthasdef,
  EXISTS (SELECT FROM pg_partitioned_table p
    WHERE p.partrelid = a.attrelid AND a.attnum = ANY (p.partattrs::int2[])),
  format_type(a.atttypid, a.atttypmod),
  a.attidentity <> '' OR coalesce(pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%', false),
  t.typtype IN ('e', 'c') OR t.typname IN ('citext', 'hstore'),
  x.oid, x.typname::text, x.typtype IN ('e', 'c'),
  ARRAY(SELECT enumlabel::text FROM pg_enum l WHERE l.enumtypid = x.oid ORDER BY enumsortorder),
  ARRAY(SELECT concat(i.indexrelid, ' ', i.indnkeyatts) FROM pg_index i
    WHERE i.indrelid = a.attrelid AND i.indisunique AND i.indisvalid AND i.indimmediate
      AND i.indpred IS NULL AND i.indexprs IS NULL
      AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])),
  x.typtype = 'c',
  EXISTS (SELECT FROM pg_collation n WHERE NOT n.collisdeterministic
    AND (n.oid = a.attcollation OR n.oid IN (SELECT unnest(i.indcollation::oid[]) FROM pg_index i
      WHERE i.indrelid = a.attrelid AND i.indisunique AND a.attnum = ANY (i.indkey::int2[])))),
  t.typreceive <> 0
FROM pg_attribute a
JOIN base b ON b.attnum = a.attnum
JOIN pg_type t ON t.oid = b.type_oid AND t.typtype <> 'd'
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
LEFT JOIN pg_type x ON x.oid IN (t.oid, e.oid)
  AND (x.typtype IN ('e', 'c') OR x.typname IN ('citext', 'hstore'))
WHERE a.attrelid = to_regclass($1::text) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum";

/// The columns of a table as PostgreSQL has them; empty when there is no such table.
///
/// # Errors
/// What PostgreSQL said.
pub async fn actual_columns(control: &Control, relation: &Relation) -> Result<Vec<Actual>> {
    Ok(columns(control, relation).await?.into_iter().map(|c| c.actual).collect())
}

/// The columns with how they are filled; empty when there is no such table.
///
/// # Errors
/// What PostgreSQL said.
pub async fn columns(control: &Control, relation: &Relation) -> Result<Vec<There>> {
    let found = columns_of(control.client(), &table_name(relation)).await;
    found.map_err(|e| control.error(&e))
}

/// The same for a table by its name, quoted where it has to be.
///
/// # Errors
/// What PostgreSQL said.
pub async fn columns_of(client: &Client, table: &str) -> std::result::Result<Vec<There>, PgError> {
    let rows = client.query(COLUMNS, &[&table]).await?;
    Ok(rows.iter().map(there).collect())
}

/// A unique index and how many columns it has.
fn unique(text: &str) -> Option<(u32, usize)> {
    let (index, columns) = text.split_once(' ')?;
    Some((index.parse().ok()?, columns.parse().ok()?))
}

fn there(row: &tokio_postgres::Row) -> There {
    let apart = row.get::<_, Option<u32>>(11).map(|found| Apart {
        oid: found,
        array: !row.get::<_, bool>(10),
        extension: match row.get::<_, &str>(12) {
            _ if row.get(13) => None,
            "hstore" => Some(oid::HSTORE),
            _ => Some(oid::CITEXT),
        },
        composite: row.get(16),
        labels: Arc::from(row.get::<_, Vec<String>>(14)),
    });
    There {
        actual: Actual {
            name: row.get(0),
            ty: Type::with_typmod(row.get(1), row.get(2)),
            not_null: row.get(3),
            apart,
            partitions: row.get(7),
            uniques: row.get::<_, Vec<String>>(15).iter().filter_map(|i| unique(i)).collect(),
            collated: row.get(17),
        },
        type_name: row.get(8),
        generated: row.get(4),
        always: row.get(5),
        filled: row.get(6),
        counted: row.get(9),
        received: row.get(18),
    }
}
