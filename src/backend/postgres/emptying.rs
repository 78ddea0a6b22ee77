//! Emptying tables, and nothing beside them.
//!
//! Owns the statements: tables that inherit from one keep their rows. It must never CASCADE. Start
//! at [`targets`].

use super::control::Control;
use crate::error::Result;

/// The tables as TRUNCATE and DELETE name them: with all partitions, without children.
///
/// # Errors
/// What PostgreSQL said.
pub async fn targets(control: &Control, tables: &[u32]) -> Result<Vec<String>> {
    let sql = "SELECT CASE relkind WHEN 'p' THEN '' ELSE 'ONLY ' END || oid::regclass \
               FROM pg_class WHERE oid = ANY ($1::oid[]) ORDER BY oid";
    let rows = control.client().query(sql, &[&tables]).await.map_err(|e| control.error(&e))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Deletes every row of these tables, in one statement: foreign keys between them are looked at
/// when all are empty.
///
/// # Errors
/// What PostgreSQL said.
pub async fn delete(control: &Control, tables: &[u32]) -> Result<()> {
    let targets = targets(control, tables).await?;
    let each = targets.iter().enumerate();
    let each: Vec<String> = each.map(|(n, one)| format!("e{n} AS (DELETE FROM {one})")).collect();
    match each.is_empty() {
        true => Ok(()),
        false => control.batch(&format!("WITH {} SELECT 1", each.join(", "))).await,
    }
}

/// Lets the sequences that belong to these tables begin anew, as TRUNCATE … RESTART IDENTITY does.
///
/// # Errors
/// What PostgreSQL said.
pub async fn restart(control: &Control, tables: &[u32]) -> Result<()> {
    let sql = "SELECT s.oid::regclass::text FROM pg_depend d JOIN pg_class s ON s.oid = d.objid \
               WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass \
                 AND d.refobjid = ANY ($1::oid[]) AND d.refobjsubid > 0 \
                 AND d.deptype IN ('a', 'i') AND s.relkind = 'S'";
    let rows = control.client().query(sql, &[&tables]).await.map_err(|e| control.error(&e))?;
    let each = rows.iter().map(|row| format!("ALTER SEQUENCE {} RESTART; ", row.get::<_, &str>(0)));
    control.batch(&each.collect::<String>()).await
}
