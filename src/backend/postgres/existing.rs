//! A table that is on PostgreSQL already, as its catalog has it: columns, keys, checks, triggers.
//!
//! Owns the queries, for whoever compares it with the primary's. It must never judge. Start at
//! [`existing`].

use tokio_postgres::{Client, Error as PgError};

use super::apply::quoted;
use super::columns::{There, columns_of};
use super::schemas;

type Asked<T> = std::result::Result<T, PgError>;

/// A table of PostgreSQL.
#[derive(Clone, Debug, Default)]
pub struct Existing {
    /// Its key, as in the primary's catalog.
    pub name: String,
    /// `table`; else what it is: `view` …
    pub kind: String,
    /// Its OID.
    pub oid: u32,
    /// Crossfade made it, or filled it when it was empty.
    pub ours: bool,
    /// PARTITION BY
    pub partitioned: bool,
    /// Whether it has rows, as far as the control role may see.
    pub rows: bool,
    /// Row security hides rows from the control role, or keeps it from writing.
    pub row_security: bool,
    /// Tables that inherit from it.
    pub children: Vec<String>,
    /// Columns.
    pub columns: Vec<There>,
    /// Indexes.
    pub indexes: Vec<Key>,
    /// Foreign keys.
    pub foreign_keys: Vec<Foreign>,
    /// Foreign keys of other tables that lead to it.
    pub referrers: Vec<Referrer>,
    /// Checks: name and definition.
    pub checks: Vec<(String, String)>,
    /// Triggers of its own.
    pub triggers: Vec<String>,
    /// Rights that the control role has not.
    pub lacking: Vec<String>,
    /// Columns whose text is not compared byte by byte.
    pub sorted: Vec<String>,
}

/// An index.
#[derive(Clone, Debug, Default)]
pub struct Key {
    /// Name.
    pub name: String,
    /// UNIQUE
    pub unique: bool,
    /// Its columns, in their order.
    pub columns: Vec<String>,
    /// Over columns alone, and every row.
    pub plain: bool,
    /// As PostgreSQL writes it.
    pub definition: String,
}

/// A foreign key.
#[derive(Clone, Debug, Default)]
pub struct Foreign {
    /// Name.
    pub name: String,
    /// Its columns.
    pub columns: Vec<String>,
    /// Key of the table that it leads to.
    pub table: String,
    /// The columns that it leads to.
    pub referenced: Vec<String>,
}

/// A foreign key that leads to a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Referrer {
    /// OID of the table that is referred to.
    pub to: u32,
    /// OID of the table that refers.
    pub oid: u32,
    /// Its key, as in the primary's catalog.
    pub table: String,
    /// Its name as PostgreSQL writes it.
    pub shown: String,
    /// Name of the foreign key.
    pub name: String,
    /// The columns that refer, then those that are referred to.
    pub columns: [Vec<String>; 2],
}

impl Existing {
    /// A column by name.
    pub fn column(&self, name: &str) -> Option<&There> {
        self.columns.iter().find(|c| c.actual.name == name)
    }
}

const TABLE: &str = "\
SELECT CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'table' WHEN 'v' THEN 'view' \
    WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table' ELSE 'other relation' END, \
  ARRAY(SELECT r FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) r \
    WHERE NOT has_table_privilege(c.oid, r)), \
  ARRAY(SELECT a.attname::text FROM pg_attribute a JOIN pg_collation l ON l.oid = a.attcollation \
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
      AND CASE WHEN l.collname = 'default' THEN \
          (SELECT datcollate::text FROM pg_database WHERE datname = current_database()) \
        ELSE coalesce(l.collcollate::text, '') END NOT IN ('C', 'POSIX', 'C.UTF-8', 'C.utf8') \
    ORDER BY a.attnum), \
  ARRAY(SELECT t.tgname::text FROM pg_trigger t \
    WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgfoid NOT IN $own ORDER BY 1), \
  c.oid, row_security_active(c.oid), \
  ARRAY(SELECT h.inhrelid::regclass::text FROM pg_inherits h \
    WHERE h.inhparent = c.oid AND c.relkind <> 'p' ORDER BY 1), \
  c.relkind = 'p' \
FROM pg_class c WHERE c.oid = to_regclass($1::text)";

const INDEXES: &str = "\
SELECT c.relname::text, i.indisunique, \
  i.indpred IS NULL AND i.indexprs IS NULL, pg_get_indexdef(i.indexrelid), \
  ARRAY(SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, n) \
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum \
    WHERE n <= i.indnkeyatts ORDER BY n) \
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
WHERE i.indrelid = to_regclass($1::text) AND i.indisvalid ORDER BY 1";

const CONSTRAINTS: &str = "\
SELECT k.conname::text, k.contype::text, pg_get_constraintdef(k.oid), \
  CASE WHEN k.contype = 'f' THEN $key END, \
  ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY u(attnum, n) \
    JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.attnum ORDER BY n), \
  ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY u(attnum, n) \
    JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.attnum ORDER BY n) \
FROM pg_constraint k LEFT JOIN pg_class p ON p.oid = k.confrelid \
WHERE k.conrelid = to_regclass($1::text) AND k.contype IN ('c', 'f') ORDER BY 1";

const REFERRERS: &str = "\
SELECT k.confrelid, k.conrelid, $key, k.conrelid::regclass::text, k.conname::text, \
  ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY u(attnum, n) \
    JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.attnum ORDER BY n), \
  ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY u(attnum, n) \
    JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.attnum ORDER BY n) \
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid \
WHERE k.confrelid = ANY ($1::oid[]) AND k.contype = 'f' AND k.conparentid = 0 \
  AND k.conrelid <> k.confrelid ORDER BY 4, 5";

/// Foreign keys of other tables that lead to these.
///
/// # Errors
/// What PostgreSQL said.
pub async fn referrers(client: &Client, tables: &[u32]) -> Asked<Vec<Referrer>> {
    let sql = REFERRERS.replace("$key", &schemas::key_of("c.relnamespace", "c.relname"));
    let rows = client.query(&sql, &[&tables]).await?;
    let referrer = |row: &tokio_postgres::Row| Referrer {
        to: row.get(0),
        oid: row.get(1),
        table: row.get(2),
        shown: row.get(3),
        name: row.get(4),
        columns: [row.get(5), row.get(6)],
    };
    Ok(rows.iter().map(referrer).collect())
}

/// Whether rows refer to the table that it leads to; None where the control role may not see them.
///
/// # Errors
/// What PostgreSQL said.
pub async fn in_use(client: &Client, referrer: &Referrer) -> Asked<Option<bool>> {
    let sql = "SELECT has_table_privilege($1::oid, 'SELECT') AND NOT row_security_active($1::oid)";
    if !client.query_one(sql, &[&referrer.oid]).await?.get::<_, bool>(0) {
        return Ok(None);
    }
    let each = referrer.columns[0].iter().map(|c| format!("r.{} IS NOT NULL", quoted(c)));
    let refers = each.collect::<Vec<_>>().join(" AND ");
    let sql = format!("SELECT EXISTS (SELECT FROM {} r WHERE {refers})", referrer.shown);
    client.query_one(&sql, &[]).await.map(|row| row.get(0))
}

/// A table by its name, quoted where it has to be; None when there is none.
///
/// # Errors
/// What PostgreSQL said.
pub async fn existing(client: &Client, table: &str, key: &str) -> Asked<Option<Existing>> {
    let sql = TABLE.replace("$own", super::triggers::OWN_FUNCTIONS);
    let Some(row) = client.query_opt(&sql, &[&table]).await? else { return Ok(None) };
    let mut found = Existing {
        name: key.to_owned(),
        kind: row.get(0),
        lacking: row.get(1),
        sorted: row.get(2),
        triggers: row.get(3),
        oid: row.get(4),
        row_security: row.get(5),
        children: row.get(6),
        partitioned: row.get(7),
        columns: columns_of(client, table).await?,
        ..Existing::default()
    };
    if !found.row_security && !found.lacking.iter().any(|right| right == "SELECT") {
        let sql = format!("SELECT EXISTS (SELECT 1 FROM {table})");
        found.rows = client.query_one(&sql, &[]).await?.get(0);
    }
    found.referrers = referrers(client, &[found.oid]).await?;
    for row in client.query(INDEXES, &[&table]).await? {
        found.indexes.push(Key {
            name: row.get(0),
            unique: row.get(1),
            plain: row.get(2),
            definition: row.get(3),
            columns: row.get(4),
        });
    }
    let sql = CONSTRAINTS.replace("$key", &schemas::key_of("p.relnamespace", "p.relname"));
    for row in client.query(&sql, &[&table]).await? {
        let name: String = row.get(0);
        match row.get::<_, &str>(1) {
            "c" => found.checks.push((name, row.get(2))),
            _ => found.foreign_keys.push(Foreign {
                name,
                table: row.get::<_, Option<String>>(3).unwrap_or_default(),
                columns: row.get(4),
                referenced: row.get(5),
            }),
        }
    }
    Ok(Some(found))
}
