//! PostgreSQL's types for the types that SQLite's CREATE TABLE declares.
//!
//! A declaration of a new table decides by itself: there is no data yet. SQLite does not
//! enforce a length, so none is taken over. Start at [`postgres_type`].

/// Names of types that PostgreSQL does not have and SQLite's users write: a CREATE TABLE with
/// one of them is read as SQLite's.
const FOREIGN: &[&str] = &[
    "datetime",
    "smalldatetime",
    "datetime2",
    "tinyint",
    "mediumint",
    "int1",
    "int3",
    "blob",
    "clob",
    "longblob",
    "mediumblob",
    "tinyblob",
    "tinytext",
    "mediumtext",
    "longtext",
    "ntext",
    "nvarchar",
    "nvarchar2",
    "varchar2",
    "nchar",
    "number",
    "double",
    "string",
    "varbinary",
    "binary",
    "guid",
    "uniqueidentifier",
    "any",
    "unsigned",
    "long",
    "boolint",
];

/// Whether a type's name says that the statement was written for SQLite.
pub fn is_foreign_type(name: &str) -> bool {
    FOREIGN.contains(&name)
}

/// PostgreSQL's type for a declared one (upper case, without arguments), with its arguments.
pub(super) fn postgres_type(name: &str, args: &[String]) -> String {
    let bare = name.replace("UNSIGNED", "");
    let bare = bare.split_whitespace().collect::<Vec<_>>().join(" ");
    let numeric = || match args {
        [p] => format!("numeric({p})"),
        [p, s] => format!("numeric({p}, {s})"),
        _ => "numeric".to_owned(),
    };
    match bare.as_str() {
        "BOOLEAN" | "BOOL" => "boolean".to_owned(),
        "DATE" => "date".to_owned(),
        "DATETIME"
        | "TIMESTAMP"
        | "SMALLDATETIME"
        | "DATETIME2"
        | "TIMESTAMP WITHOUT TIME ZONE" => "timestamp without time zone".to_owned(),
        "TIMESTAMPTZ" | "TIMESTAMP WITH TIME ZONE" | "DATETIMEOFFSET" => {
            "timestamp with time zone".to_owned()
        }
        "TIME" | "TIME WITHOUT TIME ZONE" => "time without time zone".to_owned(),
        "NUMERIC" | "DECIMAL" | "DEC" | "NUMBER" | "MONEY" => numeric(),
        "UUID" | "GUID" | "UNIQUEIDENTIFIER" => "uuid".to_owned(),
        "JSON" => "json".to_owned(),
        "JSONB" => "jsonb".to_owned(),
        "BINARY" | "VARBINARY" | "BYTEA" | "IMAGE" => "bytea".to_owned(),
        _ => by_affinity(&bare).to_owned(),
    }
}

/// SQLite's own rule for the affinity of a declaration.
fn by_affinity(name: &str) -> &'static str {
    let has = |part: &str| name.contains(part);
    if has("INT") {
        "bigint"
    } else if has("CHAR") || has("CLOB") || has("TEXT") {
        "text"
    } else if has("BLOB") {
        "bytea"
    } else if has("REAL") || has("FLOA") || has("DOUB") {
        "double precision"
    } else if name.is_empty() || name == "ANY" || name == "STRING" {
        // Whatever is put there; text holds most of it, the rest is refused.
        "text"
    } else {
        "numeric"
    }
}
