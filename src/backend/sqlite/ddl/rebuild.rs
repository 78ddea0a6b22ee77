//! Rebuilding a table: new table, copy of the stored cells, drop, rename.
//!
//! Runs inside the writer's transaction with foreign key enforcement off (dropping the old
//! table must not cascade) and row images muted. Cells are copied as they are stored.

use rusqlite::config::DbConfig;

use super::{Editor, physical};
use crate::backend::sqlite::catalog::{quoted, rows};
use crate::error::{Error, Result};
use crate::schema::Relation;
use crate::sql::stored::{self, Object};
use crate::value::Cell;

/// How a rebuilt table gets its rows.
#[derive(Default)]
pub(super) struct Rebuild {
    /// Columns that are not copied under their own name: SQLite name, SQLite expression.
    pub(super) sources: Vec<(String, String)>,
    /// Indexes that are not made again: names and OIDs.
    pub(super) dropped: Vec<(String, u32)>,
}

impl Editor<'_> {
    /// The stored definition of a table.
    pub(super) fn stored_table(&self, relation: &Relation) -> Result<stored::Table> {
        let schema = schema_of(relation);
        let sql = format!(
            "SELECT sql FROM {schema}.sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE"
        );
        let found = self.writer.query_row(&sql, &[Cell::Text(relation.sqlite_name.clone())])?;
        match found.as_deref() {
            Some([Cell::Text(sql)]) => match stored::read(sql)? {
                Object::Table(table) => Ok(table),
                _ => Err(Error::internal("a table's definition is not a table's")),
            },
            _ => Err(super::no_relation(&relation.name)),
        }
    }

    /// Runs with a connection setting changed, and puts it back whatever happens.
    pub(super) fn with_config<R>(
        &mut self,
        settings: &[(DbConfig, bool)],
        body: impl FnOnce(&mut Self) -> Result<R>,
    ) -> Result<R> {
        let mut former = Vec::new();
        for (setting, value) in settings {
            let was =
                self.writer.with_rusqlite(|c| c.db_config(*setting)).map_err(config_failed)?;
            self.set_config(*setting, *value)?;
            former.push((*setting, was));
        }
        let result = body(self);
        for (setting, was) in former {
            self.set_config(setting, was)?;
        }
        result
    }

    fn set_config(&self, setting: DbConfig, value: bool) -> Result<()> {
        let set = self.writer.with_rusqlite(|c| c.set_db_config(setting, value));
        set.map(|_| ()).map_err(config_failed)
    }

    /// Replaces the table in the file by one of definition `table`.
    pub(super) fn rebuild(
        &mut self,
        relation: &Relation,
        table: &stored::Table,
        how: &Rebuild,
    ) -> Result<()> {
        let settings = [
            (DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, false),
            (DbConfig::SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, true),
        ];
        self.with_config(&settings, |editor| {
            editor.muted(|editor| editor.swap(relation, table, how))
        })
    }

    fn swap(&mut self, relation: &Relation, table: &stored::Table, how: &Rebuild) -> Result<()> {
        let schema = schema_of(relation);
        let temporary = relation.schema == "pg_temp";
        let name = &relation.sqlite_name;
        let attached = self.attached(relation, how)?;
        let counter = self.autoincrement(relation, schema)?;
        let fresh = format!("_crossfade_rebuild_{}", relation.oid);
        self.writer.execute(&physical::table_sql(table, &fresh, temporary), &[])?;
        let (targets, sources) = self.columns_to_copy(relation, table, how)?;
        self.writer.execute(
            &format!(
                "INSERT INTO {schema}.{} ({}) SELECT {} FROM {schema}.{}",
                quoted(&fresh),
                targets.join(", "),
                sources.join(", "),
                quoted(name)
            ),
            &[],
        )?;
        self.writer.execute(&format!("DROP TABLE {schema}.{}", quoted(name)), &[])?;
        self.writer.execute(
            &format!("ALTER TABLE {schema}.{} RENAME TO {}", quoted(&fresh), quoted(name)),
            &[],
        )?;
        if let Some(counter) = counter {
            self.writer.execute(
                &format!("UPDATE {schema}.sqlite_sequence SET seq = max(seq, ?2) WHERE name = ?1"),
                &[Cell::Text(name.clone()), Cell::Integer(counter)],
            )?;
        }
        for sql in attached {
            self.writer.execute(&sql, &[])?;
        }
        Ok(())
    }

    /// Texts of the table's indexes and triggers that are to be made again.
    fn attached(&self, relation: &Relation, how: &Rebuild) -> Result<Vec<String>> {
        let sql = format!(
            "SELECT name, sql FROM {}.sqlite_schema WHERE tbl_name = ?1 COLLATE NOCASE \
             AND type IN ('index', 'trigger') AND sql IS NOT NULL ORDER BY rowid",
            schema_of(relation)
        );
        let found = rows(self.writer, &sql, &[Cell::Text(relation.sqlite_name.clone())])?;
        let texts = found.into_iter().filter_map(|row| match row.as_slice() {
            [Cell::Text(name), Cell::Text(sql)] => {
                let dropped = how.dropped.iter().any(|(d, oid)| {
                    d == name || name.strip_prefix(d.as_str()) == Some(format!("~{oid}").as_str())
                });
                (!dropped).then(|| in_schema(sql, relation))
            }
            _ => None,
        });
        Ok(texts.collect())
    }

    /// The AUTOINCREMENT counter of a table.
    fn autoincrement(&self, relation: &Relation, schema: &str) -> Result<Option<i64>> {
        let exists = format!("SELECT 1 FROM {schema}.sqlite_schema WHERE name = 'sqlite_sequence'");
        if self.writer.query_integer(&exists, &[])?.is_none() {
            return Ok(None);
        }
        let sql = format!("SELECT seq FROM {schema}.sqlite_sequence WHERE name = ?1");
        self.writer.query_integer(&sql, &[Cell::Text(relation.sqlite_name.clone())])
    }

    fn columns_to_copy(
        &self,
        relation: &Relation,
        table: &stored::Table,
        how: &Rebuild,
    ) -> Result<(Vec<String>, Vec<String>)> {
        let before = self.stored_table(relation)?;
        let (mut targets, mut sources) = (Vec::new(), Vec::new());
        if let Some(rowid) = hidden_rowid(&before, table) {
            targets.push(rowid.to_owned());
            sources.push(rowid.to_owned());
        }
        for column in table.columns.iter().filter(|c| c.generated.is_none()) {
            let given = how.sources.iter().find(|(name, _)| *name == column.name);
            let known = before.columns.iter().any(|c| c.name == column.name);
            let source = match given {
                Some((_, expression)) => expression.clone(),
                None if known => quoted(&column.name),
                // A column that is new gets its default.
                None => continue,
            };
            targets.push(quoted(&column.name));
            sources.push(source);
        }
        Ok((targets, sources))
    }
}

fn config_failed(error: rusqlite::Error) -> Error {
    Error::internal(format!("a connection setting cannot be changed: {error}"))
}

/// The schema of a relation in SQLite's terms.
pub(super) fn schema_of(relation: &Relation) -> &'static str {
    if relation.schema == "pg_temp" { "temp" } else { "\"public\"" }
}

/// Stored texts name no schema; those of temporary objects need theirs again.
fn in_schema(sql: &str, relation: &Relation) -> String {
    if relation.schema != "pg_temp" {
        return sql.to_owned();
    }
    for kind in ["CREATE UNIQUE INDEX ", "CREATE INDEX ", "CREATE TRIGGER "] {
        if let Some(rest) = sql.strip_prefix(kind) {
            return format!("{kind}temp.{rest}");
        }
    }
    sql.to_owned()
}

/// A name by which the hidden rowid can be copied, when both tables have one: rows keep
/// their place and their identity.
fn hidden_rowid(before: &stored::Table, after: &stored::Table) -> Option<&'static str> {
    if before.without_rowid || after.without_rowid {
        return None;
    }
    let alias = |t: &stored::Table| {
        let integer = |c: &stored::Column| {
            c.declared.as_deref().is_some_and(|d| d.eq_ignore_ascii_case("INTEGER"))
        };
        let on_column = t.columns.iter().any(|c| c.primary_key.is_some() && integer(c));
        let on_table = t.constraints.iter().any(|k| match &k.kind {
            stored::ConstraintKind::PrimaryKey { keys, .. } if keys.len() == 1 => {
                t.columns.iter().any(|c| keys[0].column.as_deref() == Some(&c.name) && integer(c))
            }
            _ => false,
        });
        on_column || on_table
    };
    if alias(before) || alias(after) {
        return None;
    }
    ["rowid", "_rowid_", "oid"].into_iter().find(|name| {
        let free = |t: &stored::Table| !t.columns.iter().any(|c| c.name.eq_ignore_ascii_case(name));
        free(before) && free(after)
    })
}
