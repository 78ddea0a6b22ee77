//! Schema statements of SQLite's dialect as PostgreSQL's text.
//!
//! It must never put an expression into the text whose meaning differs: defaults and checks
//! that are not the same in both dialects are refused. Start at [`statement`].

use sqlite3_parser::ast::{AlterTableBody, CreateTableBody, QualifiedName, Stmt};

use super::declared::postgres_type;
use super::select::{name_of, schema};
use super::{Lower, refused};
use crate::error::{Error, Result};
use crate::schema::Action;
use crate::sql::print::quoted;
use crate::sql::stored::{self, Default, Object, unquote};

/// PostgreSQL's text for a schema statement.
pub(super) fn statement(lower: &mut Lower, statement: &Stmt<'_>, text: &str) -> Result<String> {
    let not = |flag: bool, words: &'static str| if flag { words } else { "" };
    Ok(match statement {
        Stmt::CreateTable { temporary, if_not_exists, tbl_name, body } => {
            let temporary = *temporary || is_temporary(tbl_name);
            let head = format!(
                "CREATE {}TABLE {}{}",
                not(temporary, "TEMPORARY "),
                not(*if_not_exists, "IF NOT EXISTS "),
                plain(tbl_name)
            );
            match body {
                CreateTableBody::AsSelect(select) => {
                    let _ = lower.select(select)?;
                    return Err(refused("CREATE TABLE … AS SELECT")
                        .hint("Create the table first, then INSERT INTO … SELECT."));
                }
                CreateTableBody::ColumnsAndConstraints { .. } => {
                    let Object::Table(table) = stored::read(text)? else {
                        return Err(Error::internal("not a table"));
                    };
                    format!("{head} ({})", columns(&table)?)
                }
            }
        }
        Stmt::CreateIndex { if_not_exists, .. } => {
            let Object::Index(index) = stored::read(text)? else {
                return Err(Error::internal("not an index"));
            };
            create_index(&index, *if_not_exists)?
        }
        Stmt::CreateView { .. } => {
            return Err(refused("CREATE VIEW with SQLite's own SQL")
                .hint("Write the view's query in PostgreSQL's dialect."));
        }
        Stmt::DropTable { if_exists, tbl_name } => drop("TABLE", *if_exists, tbl_name),
        Stmt::DropIndex { if_exists, idx_name } => drop("INDEX", *if_exists, idx_name),
        Stmt::DropView { if_exists, view_name } => drop("VIEW", *if_exists, view_name),
        Stmt::AlterTable(name, body) => alter(name, body, text)?,
        _ => return Err(refused("this statement")),
    })
}

fn is_temporary(name: &QualifiedName<'_>) -> bool {
    name.db_name.as_ref().and_then(|n| schema(n.0)).as_deref() == Some("pg_temp")
}

/// PostgreSQL keeps the names of new objects folded, as SQLite compares them.
fn folded(raw: &str) -> String {
    quoted(&raw.to_ascii_lowercase())
}

fn plain(name: &QualifiedName<'_>) -> String {
    folded(&unquote(name.name.0))
}

fn drop(kind: &str, if_exists: bool, name: &QualifiedName<'_>) -> String {
    let name = name_of(name);
    format!("DROP {kind} {}{}", if if_exists { "IF EXISTS " } else { "" }, folded(&name.name))
}

fn columns(table: &stored::Table) -> Result<String> {
    let mut parts = Vec::new();
    for column in &table.columns {
        parts.push(self::column(table, column)?);
    }
    for constraint in &table.constraints {
        let name = match &constraint.name {
            Some(name) => format!("CONSTRAINT {} ", folded(name)),
            None => String::new(),
        };
        parts.push(name + &table_constraint(&constraint.kind)?);
    }
    Ok(parts.join(", "))
}

/// The column that is the rowid's own name: `INTEGER PRIMARY KEY`, on it or in the table.
fn rowid_column(table: &stored::Table) -> Option<&str> {
    if table.without_rowid {
        return None;
    }
    let own = |c: &&stored::Column| {
        c.type_name == "INTEGER" && c.primary_key.as_ref().is_some_and(|k| !k.descending)
    };
    if let Some(column) = table.columns.iter().find(own) {
        return Some(&column.name);
    }
    table.constraints.iter().find_map(|c| match &c.kind {
        stored::ConstraintKind::PrimaryKey { keys, .. } => match keys.as_slice() {
            [key] => table
                .columns
                .iter()
                .find(|c| {
                    c.type_name == "INTEGER"
                        && key.column.as_ref().is_some_and(|k| k.eq_ignore_ascii_case(&c.name))
                })
                .map(|c| c.name.as_str()),
            _ => None,
        },
        _ => None,
    })
}

fn no_clause(conflict: Option<stored::Conflict>) -> Result<()> {
    match conflict {
        None | Some(stored::Conflict::Abort) => Ok(()),
        Some(_) => Err(refused("ON CONFLICT on a constraint")
            .hint("Say it in the statement instead: INSERT OR REPLACE, ON CONFLICT DO …")),
    }
}

fn column(table: &stored::Table, column: &stored::Column) -> Result<String> {
    let is_rowid = rowid_column(table) == Some(column.name.as_str());
    let mut out = if is_rowid {
        format!("{} bigint GENERATED BY DEFAULT AS IDENTITY", folded(&column.name))
    } else {
        let ty = postgres_type(&column.type_name, &column.type_args);
        format!("{} {ty}", folded(&column.name))
    };
    match column.collation.as_deref() {
        None | Some("BINARY") => {}
        Some(other) => {
            return Err(refused(format_args!("COLLATE {other} on a column"))
                .hint("Compare with lower(…), or name the collation in the query."));
        }
    }
    if let Some(not_null) = &column.not_null {
        no_clause(not_null.conflict)?;
        out.push_str(" NOT NULL");
    }
    if let Some(default) = &column.default {
        let ty = postgres_type(&column.type_name, &column.type_args);
        if let Some(text) = default_text(default, &ty)? {
            out.push_str(&format!(" DEFAULT {text}"));
        }
    }
    if let Some(key) = &column.primary_key {
        no_clause(key.conflict)?;
        out.push_str(&named(key.name.as_deref()));
        out.push_str(" PRIMARY KEY");
    }
    for unique in &column.unique {
        no_clause(unique.conflict)?;
        out.push_str(&named(unique.name.as_deref()));
        out.push_str(" UNIQUE");
    }
    for (name, expression) in &column.checks {
        out.push_str(&named(name.as_deref()));
        out.push_str(&format!(" CHECK ({})", same_in_both(expression)?));
    }
    for key in &column.references {
        out.push_str(&named(key.name.as_deref()));
        out.push_str(&references(key));
    }
    if let Some(generated) = &column.generated {
        let expression = same_in_both(&generated.expression)?;
        out.push_str(&format!(" GENERATED ALWAYS AS ({expression}) STORED"));
    }
    Ok(out)
}

fn named(name: Option<&str>) -> String {
    name.map_or_else(String::new, |n| format!(" CONSTRAINT {}", folded(n)))
}

/// A default in PostgreSQL's dialect; None for NULL.
fn default_text(default: &Default, ty: &str) -> Result<Option<String>> {
    const UTC_NOW: &str = "date_trunc('second', (now() AT TIME ZONE 'UTC'))";
    let text = |word: &str| match (ty, word) {
        ("text", "date") => Ok(format!("to_char({UTC_NOW}, 'YYYY-MM-DD')")),
        ("text", "time") => Ok(format!("to_char({UTC_NOW}, 'HH24:MI:SS')")),
        ("text", _) => Ok(format!("to_char({UTC_NOW}, 'YYYY-MM-DD HH24:MI:SS')")),
        ("date", "date" | "datetime") => Ok(format!("({UTC_NOW})::date")),
        ("timestamp without time zone", "datetime") => Ok(UTC_NOW.to_owned()),
        ("timestamp with time zone", "datetime") => Ok("date_trunc('second', now())".to_owned()),
        ("time without time zone", "time") => Ok(format!("({UTC_NOW})::time")),
        _ => Err(refused(format_args!("the current {word} as default of a column of type {ty}"))),
    };
    let string = |s: &str| format!("'{}'", s.replace('\'', "''"));
    Ok(Some(match default {
        Default::Null => return Ok(None),
        Default::Integer(i) if ty == "boolean" => (*i != 0).to_string(),
        Default::Integer(i) if ty == "text" => string(&i.to_string()),
        Default::Integer(i) => i.to_string(),
        Default::Number(n) if ty == "text" => string(n),
        Default::Number(n) => n.clone(),
        Default::Text(s) => string(s),
        Default::Blob(bytes) => {
            let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
            format!("'\\x{hex}'::bytea")
        }
        Default::Bool(b) if ty == "boolean" => b.to_string(),
        Default::Bool(b) => i32::from(*b).to_string(),
        Default::CurrentDate => text("date")?,
        Default::CurrentTime => text("time")?,
        Default::CurrentTimestamp => text("datetime")?,
        Default::Expression(expression) => {
            let squeezed: String = expression
                .chars()
                .filter(|c| !c.is_whitespace())
                .collect::<String>()
                .to_ascii_lowercase();
            match squeezed.as_str() {
                "datetime('now')" | "datetime()" | "current_timestamp" => text("datetime")?,
                "date('now')" | "date()" | "current_date" => text("date")?,
                "time('now')" | "time()" | "current_time" => text("time")?,
                _ => {
                    return Err(refused(format_args!("the default ({expression})")));
                }
            }
        }
    }))
}

/// What may mean something else in the other dialect.
const OTHER: &[&str] =
    &["like", "glob", "\"", "`", "[", "/", "%", "round", "substr", "date", "time", "random"];

/// An expression that means the same in both dialects, as PostgreSQL reads it.
fn same_in_both(expression: &str) -> Result<String> {
    let refuse = || {
        refused(format_args!("the expression ({expression}) in a table's definition"))
            .hint("Write the statement in PostgreSQL's dialect.")
    };
    let parsed = crate::sql::pg::parse(&format!("SELECT ({expression})")).map_err(|_| refuse())?;
    let known = |text: &str| {
        let lower = text.to_ascii_lowercase();
        !OTHER.iter().any(|word| lower.contains(word))
    };
    if parsed.len() == 1 && known(expression) { Ok(expression.to_owned()) } else { Err(refuse()) }
}

fn action(word: &str, action: Action) -> String {
    match action {
        Action::NoAction => String::new(),
        Action::Restrict => format!(" ON {word} RESTRICT"),
        Action::Cascade => format!(" ON {word} CASCADE"),
        Action::SetNull => format!(" ON {word} SET NULL"),
        Action::SetDefault => format!(" ON {word} SET DEFAULT"),
    }
}

fn references(key: &stored::ForeignKey) -> String {
    let mut out = format!(" REFERENCES {}", folded(&key.table));
    if !key.referenced.is_empty() {
        out.push_str(&format!(" ({})", list(&key.referenced)));
    }
    out.push_str(&action("DELETE", key.on_delete));
    out.push_str(&action("UPDATE", key.on_update));
    if key.deferrable {
        out.push_str(" DEFERRABLE");
    }
    if key.deferred {
        out.push_str(" INITIALLY DEFERRED");
    }
    out
}

fn list(names: &[String]) -> String {
    names.iter().map(|n| folded(n)).collect::<Vec<_>>().join(", ")
}

fn key_list(keys: &[stored::Key]) -> Result<String> {
    let mut names = Vec::with_capacity(keys.len());
    for key in keys {
        match (&key.column, key.collation.as_deref()) {
            (Some(column), None | Some("BINARY")) => names.push(column.clone()),
            _ => return Err(refused("a key that is no plain column")),
        }
    }
    Ok(list(&names))
}

fn table_constraint(kind: &stored::ConstraintKind) -> Result<String> {
    Ok(match kind {
        stored::ConstraintKind::PrimaryKey { keys, conflict, .. } => {
            no_clause(*conflict)?;
            format!("PRIMARY KEY ({})", key_list(keys)?)
        }
        stored::ConstraintKind::Unique { keys, conflict } => {
            no_clause(*conflict)?;
            format!("UNIQUE ({})", key_list(keys)?)
        }
        stored::ConstraintKind::Check { expression, conflict } => {
            no_clause(*conflict)?;
            format!("CHECK ({})", same_in_both(expression)?)
        }
        stored::ConstraintKind::ForeignKey(key) => {
            format!("FOREIGN KEY ({}){}", list(&key.columns), references(key))
        }
    })
}

fn create_index(index: &stored::Index, if_not_exists: bool) -> Result<String> {
    let mut keys = Vec::with_capacity(index.keys.len());
    for key in &index.keys {
        let direction = if key.descending { " DESC NULLS LAST" } else { " NULLS FIRST" };
        let text = match (&key.column, key.collation.as_deref()) {
            (Some(column), None | Some("BINARY")) => folded(column),
            (Some(column), Some("NOCASE")) if !index.unique => format!("lower({})", folded(column)),
            (None, None) => format!("({})", same_in_both(&key.expression)?),
            _ => return Err(refused("this key of an index")),
        };
        keys.push(if index.unique { text } else { text + direction });
    }
    let filter = match &index.filter {
        Some(filter) => format!(" WHERE {}", same_in_both(filter)?),
        None => String::new(),
    };
    Ok(format!(
        "CREATE {}INDEX {}{} ON {} ({}){filter}",
        if index.unique { "UNIQUE " } else { "" },
        if if_not_exists { "IF NOT EXISTS " } else { "" },
        folded(&index.name),
        folded(&index.table),
        keys.join(", ")
    ))
}

fn alter(name: &QualifiedName<'_>, body: &AlterTableBody<'_>, text: &str) -> Result<String> {
    let table = plain(name);
    let column = |raw: &str| folded(&unquote(raw));
    Ok(match body {
        AlterTableBody::RenameTo(to) => format!("ALTER TABLE {table} RENAME TO {}", column(to.0)),
        AlterTableBody::RenameColumn { old, new } => {
            format!("ALTER TABLE {table} RENAME COLUMN {} TO {}", column(old.0), column(new.0))
        }
        AlterTableBody::DropColumn(old) => {
            format!("ALTER TABLE {table} DROP COLUMN {}", column(old.0))
        }
        AlterTableBody::AddColumn(_) => {
            let definition = added(text).ok_or_else(|| refused("this ALTER TABLE"))?;
            let made = format!("CREATE TABLE t ({definition})");
            let Object::Table(read) = stored::read(&made)? else {
                return Err(Error::internal("not a table"));
            };
            format!("ALTER TABLE {table} ADD COLUMN {}", columns(&read)?)
        }
        AlterTableBody::DropColumnNotNull(old) => {
            format!("ALTER TABLE {table} ALTER COLUMN {} DROP NOT NULL", column(old.0))
        }
        AlterTableBody::SetColumnNotNull(old, _) => {
            format!("ALTER TABLE {table} ALTER COLUMN {} SET NOT NULL", column(old.0))
        }
        AlterTableBody::DropConstraint(name) => {
            format!("ALTER TABLE {table} DROP CONSTRAINT {}", column(name.0))
        }
        AlterTableBody::AddConstraint(_) => return Err(refused("ADD CONSTRAINT")),
    })
}

/// The column's definition in `ALTER TABLE t ADD [COLUMN] definition`.
fn added(text: &str) -> Option<&str> {
    let lower = text.to_ascii_lowercase();
    let at = super::text::word_after_table(&lower)?;
    let rest = text.get(at..)?.trim_start();
    let rest = rest.get("add".len()..)?.trim_start();
    let is_column = rest.get(..6).is_some_and(|w| w.eq_ignore_ascii_case("column"))
        && rest.as_bytes().get(6).is_some_and(u8::is_ascii_whitespace);
    Some(if is_column { rest.get(6..)?.trim_start() } else { rest })
}
