//! `crossfade.schemas`: which schemas beside `public` hold mirrored objects.
//!
//! The database may have others, which are nobody's business here. Owns the table and the parts of
//! SQL by which others ask for objects by their keys. Start at [`keep`].

use super::control::Control;
use crate::error::Result;
use crate::schema::Catalog;

/// Makes the table when it is not there.
pub const TABLE: &str = "CREATE TABLE IF NOT EXISTS crossfade.schemas (name name PRIMARY KEY)";

/// The OIDs of the schemas that hold mirrored objects, in parentheses.
pub const OURS: &str = "(SELECT ours.oid FROM pg_catalog.pg_namespace ours WHERE ours.nspname = 'public' \
     OR ours.nspname IN (SELECT name FROM crossfade.schemas))";

/// The key of a name in the schema of this OID, as [`crate::name::key`] makes it.
pub fn key_of(namespace: &str, name: &str) -> String {
    format!(
        "(SELECT CASE ns.nspname WHEN 'public' THEN {name}::text \
         ELSE E'\\x1e' || ns.nspname || E'\\x1f' || {name} END \
         FROM pg_catalog.pg_namespace ns WHERE ns.oid = {namespace})"
    )
}

/// Notes the schemas of a catalog.
///
/// # Errors
/// What PostgreSQL said.
pub async fn keep(control: &Control, catalog: &Catalog) -> Result<()> {
    let names: Vec<&str> = catalog.schemas.keys().map(String::as_str).collect();
    control.batch(TABLE).await?;
    let sql = "WITH gone AS (DELETE FROM crossfade.schemas WHERE name <> ALL ($1::text[])) \
               INSERT INTO crossfade.schemas SELECT unnest($1::text[]) ON CONFLICT DO NOTHING";
    control.client().execute(sql, &[&names]).await.map(drop).map_err(|e| control.error(&e))
}
