//! The columns of a table as PostgreSQL's own catalog has them.
//!
//! Owns that query. It must never answer from what the primary's catalog says. Start at
//! [`actual_columns`].

use super::apply::table_name;
use super::control::Control;
use super::project::Actual;
use crate::error::Result;
use crate::schema::Relation;
use crate::value::Type;

/// A column as PostgreSQL's catalog has it.
pub struct There {
    /// Name, type, NOT NULL.
    pub actual: Actual,
    /// GENERATED ALWAYS AS (expression).
    pub generated: bool,
    /// GENERATED ALWAYS AS IDENTITY.
    pub always: bool,
    /// Has a default or is an identity.
    pub filled: bool,
}

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
    let rows = control
        .client()
        .query(
            "SELECT attname::text, CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END, \
             CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE atttypmod END, attnotnull, \
             attgenerated <> '', attidentity = 'a', attidentity <> '' OR atthasdef, \
             CASE WHEN b.typtype = 'e' OR b.typname IN ('citext', 'hstore') THEN b.oid \
                  WHEN e.typtype = 'e' OR e.typname IN ('citext', 'hstore') THEN e.oid END, \
             EXISTS (SELECT FROM pg_partitioned_table p WHERE p.partrelid = attrelid \
                     AND attnum = ANY (p.partattrs::int2[])) \
             FROM pg_attribute JOIN pg_type t ON t.oid = atttypid \
             JOIN pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END \
             LEFT JOIN pg_type e ON e.oid = b.typelem WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped \
             ORDER BY attnum",
            &[&table_name(relation)],
        )
        .await
        .map_err(|e| control.error(&e))?;
    Ok(rows
        .iter()
        .map(|row| There {
            actual: Actual {
                name: row.get(0),
                ty: Type::with_typmod(row.get(1), row.get(2)),
                not_null: row.get(3),
                enumerated: row.get(7),
                partitions: row.get(8),
            },
            generated: row.get(4),
            always: row.get(5),
            filled: row.get(6),
        })
        .collect())
}
