//! The sequence on PostgreSQL that numbers a column, whatever it is called there.
//!
//! Owns that query. A sequence may be owned by its column, an identity, or only named in its
//! default; the default decides. Start at [`counterpart`].

use super::control::Control;
use crate::error::Result;

const COUNTERPART: &str = "\
SELECT coalesce( \
  (SELECT min(s.oid)::regclass::text FROM pg_attrdef f \
     JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum \
     JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid \
       AND d.refclassid = 'pg_class'::regclass \
     JOIN pg_class s ON s.oid = d.refobjid AND s.relkind = 'S' \
   WHERE f.adrelid = to_regclass($2) AND a.attname = $3), \
  CASE WHEN to_regclass($2) IS NOT NULL AND EXISTS (SELECT FROM pg_attribute \
     WHERE attrelid = to_regclass($2) AND attname = $3 AND NOT attisdropped) \
   THEN pg_get_serial_sequence($2, $3) END, \
  (SELECT oid::regclass::text FROM pg_class WHERE oid = to_regclass($1) AND relkind = 'S'))";

/// The sequence's name, ready for SQL: the one from which its column (table quoted, column plain)
/// takes its values, else the one of this quoted name. None when there is none.
///
/// # Errors
/// What PostgreSQL said.
pub async fn counterpart(
    control: &Control,
    own: &str,
    owner: Option<(&str, &str)>,
) -> Result<Option<String>> {
    let (table, column) = owner.unzip();
    let found = control.client().query_one(COUNTERPART, &[&own, &table, &column]).await;
    Ok(found.map_err(|e| control.error(&e))?.get(0))
}

/// Of these columns (table quoted, column plain) those that a function of somebody's numbers: no
/// sequence that could be set is behind their defaults.
///
/// # Errors
/// What PostgreSQL said.
pub async fn numbered_otherwise(
    control: &Control,
    columns: &[(String, &str)],
) -> Result<Vec<bool>> {
    let (tables, names): (Vec<&str>, Vec<&str>) =
        columns.iter().map(|(table, column)| (table.as_str(), *column)).unzip();
    let sql = "SELECT EXISTS (SELECT FROM pg_attrdef f JOIN pg_attribute a \
                 ON a.attrelid = f.adrelid AND a.attnum = f.adnum \
               WHERE f.adrelid = to_regclass(c.t) AND a.attname = c.n AND a.attgenerated = '' \
                 AND pg_get_expr(f.adbin, f.adrelid) LIKE '%(%') \
               FROM unnest($1::text[], $2::text[]) WITH ORDINALITY c(t, n, at) ORDER BY at";
    let rows = control.client().query(sql, &[&tables, &names]).await;
    Ok(rows.map_err(|e| control.error(&e))?.iter().map(|row| row.get(0)).collect())
}
