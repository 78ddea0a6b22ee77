//! PRAGMA and SQLite's schema tables as queries over PostgreSQL's catalogs: the same text
//! serves before and after the switch.
//!
//! A PRAGMA that would change how SQLite works is refused; one that asks for something the
//! proxy decides is answered. Start at [`statement`].

use sqlite3_parser::ast::{Expr, Literal, PragmaBody, QualifiedName, UnaryOperator};

use super::refused;
use crate::error::Result;
use crate::sql::stored::unquote;

/// PRAGMAs about one table or index, with the columns of their answers.
const TABLE: &[(&str, &str)] = &[
    ("table_info", TABLE_INFO),
    ("table_xinfo", TABLE_XINFO),
    ("index_list", INDEX_LIST),
    ("index_info", INDEX_INFO),
    ("index_xinfo", INDEX_INFO),
    ("foreign_key_list", FOREIGN_KEY_LIST),
];

const TABLE_INFO: &str = "\
SELECT (row_number() OVER (ORDER BY a.attnum) - 1) AS cid, a.attname::text AS name, \
upper(pg_catalog.format_type(a.atttypid, a.atttypmod)) AS type, \
(CASE WHEN a.attnotnull THEN 1 ELSE 0 END)::bigint AS \"notnull\", \
(CASE WHEN a.attidentity <> '' OR a.attgenerated <> '' THEN NULL \
ELSE pg_catalog.pg_get_expr(d.adbin, d.adrelid) END) AS dflt_value, \
coalesce((SELECT k.n::bigint FROM pg_catalog.pg_index i, \
pg_catalog.generate_series(1, 32) AS k(n) \
WHERE i.indrelid = a.attrelid AND i.indisprimary AND i.indkey[k.n - 1] = a.attnum), 0::bigint) AS pk \
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
WHERE n.nspname = 'public' AND c.relkind IN ('r', 'v', 'p') AND lower(c.relname) = lower($name) \
ORDER BY a.attnum";

const TABLE_XINFO: &str = "\
SELECT t.cid, t.name, t.type, t.\"notnull\", t.dflt_value, t.pk, 0::bigint AS hidden FROM ($table_info) AS t";

const INDEX_LIST: &str = "\
SELECT (row_number() OVER (ORDER BY x.relname DESC) - 1) AS seq, x.relname::text AS name, \
(CASE WHEN i.indisunique THEN 1 ELSE 0 END)::bigint AS \"unique\", \
(CASE WHEN i.indisprimary THEN 'pk' WHEN EXISTS (SELECT 1 FROM pg_catalog.pg_constraint k \
WHERE k.conindid = i.indexrelid) THEN 'u' ELSE 'c' END) AS origin, \
(CASE WHEN i.indpred IS NULL THEN 0 ELSE 1 END)::bigint AS partial \
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indrelid \
JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid \
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
WHERE n.nspname = 'public' AND lower(c.relname) = lower($name) ORDER BY x.relname DESC";

const INDEX_INFO: &str = "\
SELECT (k.n - 1)::bigint AS seqno, (CASE WHEN i.indkey[k.n - 1] = 0 THEN -2 \
ELSE i.indkey[k.n - 1] - 1 END)::bigint AS cid, a.attname::text AS name \
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid \
JOIN pg_catalog.pg_namespace n ON n.oid = x.relnamespace \
JOIN pg_catalog.generate_series(1, 32) AS k(n) ON k.n <= i.indnkeyatts \
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k.n - 1] \
AND a.attnum > 0 WHERE n.nspname = 'public' AND lower(x.relname) = lower($name) ORDER BY k.n";

const FOREIGN_KEY_LIST: &str = "\
SELECT (dense_rank() OVER (ORDER BY k.oid DESC) - 1) AS id, (p.n - 1)::bigint AS seq, \
f.relname::text AS \"table\", a.attname::text AS \"from\", b.attname::text AS \"to\", \
(CASE k.confupdtype WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' WHEN 'd' THEN 'SET DEFAULT' \
WHEN 'r' THEN 'RESTRICT' ELSE 'NO ACTION' END) AS on_update, \
(CASE k.confdeltype WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' WHEN 'd' THEN 'SET DEFAULT' \
WHEN 'r' THEN 'RESTRICT' ELSE 'NO ACTION' END) AS on_delete, 'NONE' AS match \
FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid \
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
JOIN pg_catalog.pg_class f ON f.oid = k.confrelid \
JOIN pg_catalog.generate_series(1, 32) AS p(n) ON k.conkey[p.n] IS NOT NULL \
JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[p.n] \
JOIN pg_catalog.pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = k.confkey[p.n] \
WHERE k.contype = 'f' AND n.nspname = 'public' AND lower(c.relname) = lower($name) \
ORDER BY k.oid DESC, p.n";

/// sqlite_schema: the objects of `public`. The texts of their definitions are SQLite's own
/// affair and are not shown.
pub(crate) const SCHEMA: &str = "\
SELECT s.type, s.name, s.tbl_name, s.rootpage FROM (\
SELECT (CASE c.relkind WHEN 'v' THEN 'view' ELSE 'table' END) AS type, c.relname::text AS name, \
c.relname::text AS tbl_name, 0::bigint AS rootpage, c.oid AS o FROM pg_catalog.pg_class c \
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
WHERE n.nspname = 'public' AND c.relkind IN ('r', 'v', 'p') \
UNION ALL SELECT 'index', x.relname::text, c.relname::text, 0::bigint, x.oid \
FROM pg_catalog.pg_index i \
JOIN pg_catalog.pg_class c ON c.oid = i.indrelid \
JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid \
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public') AS s \
ORDER BY s.o";

/// The names of sqlite_schema.
pub(crate) fn is_schema_table(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    matches!(
        lower.as_str(),
        "sqlite_master" | "sqlite_schema" | "sqlite_temp_master" | "sqlite_temp_schema"
    )
}

/// The query behind `pragma_NAME('argument')`.
pub(crate) fn table_function(name: &str, argument: &str) -> Option<String> {
    let lower = name.to_ascii_lowercase();
    about(lower.strip_prefix("pragma_")?, argument)
}

fn about(name: &str, argument: &str) -> Option<String> {
    let (_, text) = TABLE.iter().find(|(known, _)| *known == name)?;
    let literal = format!("'{}'", argument.replace('\'', "''"));
    Some(text.replace("$table_info", TABLE_INFO).replace("$name", &literal))
}

/// PostgreSQL's text for a PRAGMA.
pub(super) fn statement(name: &QualifiedName<'_>, body: Option<&PragmaBody<'_>>) -> Result<String> {
    let name = unquote(name.name.0).to_ascii_lowercase();
    let (value, assigned) = match body {
        None => (None, false),
        Some(PragmaBody::Equals(value)) => (word(value), true),
        Some(PragmaBody::Call(value)) => (word(value), false),
    };
    if let Some(value) = &value
        && let Some(text) = about(&name, value)
    {
        return Ok(text);
    }
    let fixed = |value: &str| Ok(format!("SELECT {value} AS \"{name}\""));
    let setting = value.as_deref().map(str::to_ascii_lowercase);
    match (name.as_str(), setting.as_deref()) {
        ("foreign_keys", None) => fixed("1::bigint"),
        ("foreign_keys", Some("1" | "on" | "true" | "yes")) => Ok(nothing()),
        ("journal_mode", None | Some("wal")) => fixed("'wal'"),
        ("encoding", None) => fixed("'UTF-8'"),
        ("user_version" | "application_id", None) => Err(refused(format_args!("PRAGMA {name}"))),
        ("database_list", None) => {
            Ok("SELECT 0::bigint AS seq, 'main' AS name, '' AS file".to_owned())
        }
        ("table_list", None) => Ok("SELECT 'main' AS schema, c.relname::text AS name, \
             (CASE c.relkind WHEN 'v' THEN 'view' ELSE 'table' END) AS type, \
             c.relnatts::bigint AS ncol, 0::bigint AS wr, 0::bigint AS strict \
             FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = 'public' AND c.relkind IN ('r', 'v', 'p') ORDER BY c.oid"
            .to_owned()),
        // How fast and how much memory: the proxy's configuration decides.
        (
            "busy_timeout" | "cache_size" | "cache_spill" | "synchronous" | "temp_store"
            | "mmap_size" | "journal_size_limit" | "wal_autocheckpoint" | "threads"
            | "automatic_index" | "auto_vacuum" | "page_size" | "locking_mode" | "optimize"
            | "secure_delete" | "analysis_limit",
            _,
        ) if assigned || name == "optimize" => Ok(nothing()),
        _ => Err(refused(format_args!("PRAGMA {name}"))),
    }
}

/// A statement that does nothing and returns no rows.
fn nothing() -> String {
    "SELECT 1 WHERE false".to_owned()
}

/// A PRAGMA's value as a word.
fn word(value: &Expr<'_>) -> Option<String> {
    Some(match value {
        Expr::Id(id) => unquote(id.0),
        Expr::Name(name) => unquote(name.0),
        Expr::Literal(Literal::String(text) | Literal::Keyword(text)) => unquote(text),
        Expr::Literal(Literal::Numeric(digits)) => (*digits).to_owned(),
        Expr::Unary(UnaryOperator::Negative, inner) => format!("-{}", word(inner)?),
        _ => return None,
    })
}
