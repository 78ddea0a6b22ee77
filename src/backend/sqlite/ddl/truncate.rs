//! TRUNCATE.

use std::sync::Arc;

use rusqlite::config::DbConfig;

use super::Editor;
use super::rebuild::schema_of;
use crate::backend::sqlite::catalog::quoted;
use crate::backend::sqlite::events::{Event, TruncateEvent};
use crate::error::{Error, Result, SqlState, state};
use crate::schema::Relation;
use crate::sql::ast::Name;
use crate::value::Cell;

impl Editor<'_> {
    pub(super) fn truncate(
        &mut self,
        names: &[Name],
        restart_identity: bool,
        cascade: bool,
    ) -> Result<()> {
        self.tag = "TRUNCATE TABLE".to_owned();
        let mut tables: Vec<Arc<Relation>> = Vec::new();
        for name in names {
            let relation = self.existing_table(name)?;
            if !tables.iter().any(|t| t.oid == relation.oid) {
                tables.push(relation);
            }
        }
        self.add_children(&mut tables, cascade)?;
        let settings = [
            (DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, false),
            // Row triggers do not fire, as in PostgreSQL.
            (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        ];
        self.with_config(&settings, |editor| {
            editor.muted(|editor| tables.iter().try_for_each(|t| editor.empty(t)))
        })?;
        if restart_identity {
            for table in &tables {
                self.restart_of(table)?;
            }
        }
        let permanent = tables.iter().filter(|t| t.schema != "pg_temp");
        let emptied: Vec<String> = permanent.map(|t| t.sqlite_name.clone()).collect();
        if !emptied.is_empty() {
            self.event = Some(Event::Truncate(TruncateEvent { tables: emptied, restart_identity }));
        }
        Ok(())
    }

    /// Tables that refer to those being emptied: added with CASCADE, else refused.
    fn add_children(&mut self, tables: &mut Vec<Arc<Relation>>, cascade: bool) -> Result<()> {
        loop {
            // Those of one round in the order in which they were made.
            let refers = |r: &&Arc<Relation>| {
                let to = |k: &crate::schema::ForeignKey| {
                    tables.iter().any(|t| t.name == k.table && t.schema != "pg_temp")
                };
                r.foreign_keys.iter().any(to) && !tables.iter().any(|t| t.oid == r.oid)
            };
            let mut children: Vec<Arc<Relation>> =
                self.catalog.relations.values().filter(refers).cloned().collect();
            children.sort_by_key(|r| r.oid);
            let Some(child) = children.first() else { return Ok(()) };
            if !cascade {
                let parent = child
                    .foreign_keys
                    .iter()
                    .find(|k| tables.iter().any(|t| t.name == k.table))
                    .map_or("", |k| k.table.as_str());
                let message = "cannot truncate a table referenced in a foreign key constraint";
                return Err(Error::client(state::FEATURE_NOT_SUPPORTED, message)
                    .detail(format!("Table \"{}\" references \"{parent}\".", child.name))
                    .hint(format!(
                        "Truncate table \"{}\" at the same time, or use TRUNCATE ... CASCADE.",
                        child.name
                    )));
            }
            for child in children {
                let message = format!("truncate cascades to table \"{}\"", child.name);
                self.notice(SqlState(*b"00000"), message);
                tables.push(child);
            }
        }
    }

    fn empty(&self, table: &Relation) -> Result<()> {
        let sql = format!("DELETE FROM {}.{}", schema_of(table), quoted(&table.sqlite_name));
        self.writer.execute(&sql, &[]).map(|_| ())
    }

    fn restart_of(&mut self, table: &Relation) -> Result<()> {
        let names: Vec<String> = table.columns.iter().filter_map(|c| c.sequence.clone()).collect();
        for name in names {
            if let Some(sequence) = self.catalog.sequences.get(&name).cloned() {
                self.restart_sequence(&sequence, None)?;
            }
        }
        let schema = schema_of(table);
        let exists = format!("SELECT 1 FROM {schema}.sqlite_schema WHERE name = 'sqlite_sequence'");
        if self.writer.query_integer(&exists, &[])?.is_some() {
            let sql = format!("DELETE FROM {schema}.sqlite_sequence WHERE name = ?1");
            self.writer.execute(&sql, &[Cell::Text(table.sqlite_name.clone())])?;
        }
        Ok(())
    }
}
