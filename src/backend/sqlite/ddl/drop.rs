//! DROP TABLE, VIEW, INDEX, SEQUENCE.

use std::sync::Arc;

use rusqlite::config::DbConfig;

use super::callable::signature;
use super::comment::class;
use super::materialized::word;
use super::rebuild::{Rebuild, schema_of};
use super::{Editor, dependents};
use crate::backend::sqlite::catalog::quoted;
use crate::backend::sqlite::system::qualified_ident;
use crate::error::{Error, Result, SqlState, state};
use crate::name::{bare, beside};
use crate::schema::{Catalog, Relation, RelationKind};
use crate::sql::ast::{Name, ObjectKind};
use crate::sql::stored::ConstraintKind;

impl Editor<'_> {
    pub(super) fn drop_objects(
        &mut self,
        kind: ObjectKind,
        names: &[Name],
        if_exists: bool,
        cascade: bool,
    ) -> Result<()> {
        let verb = match kind {
            ObjectKind::Table => "TABLE",
            ObjectKind::View => "VIEW",
            ObjectKind::Index => "INDEX",
            ObjectKind::Sequence => "SEQUENCE",
            ObjectKind::Schema => return self.drop_schemas(names, if_exists, cascade),
            ObjectKind::Extension => return self.drop_extensions(names, if_exists, cascade),
            ObjectKind::Type => "TYPE",
            ObjectKind::Domain => "DOMAIN",
            ObjectKind::Trigger => "TRIGGER",
            ObjectKind::MaterializedView => "MATERIALIZED VIEW",
            ObjectKind::Function | ObjectKind::Constraint | ObjectKind::Other => {
                return Err(Error::unsupported("this DROP"));
            }
        };
        self.tag = format!("DROP {verb}");
        if matches!(kind, ObjectKind::Type | ObjectKind::Domain) {
            let domains = kind == ObjectKind::Domain;
            return self.drop_types(names, domains, if_exists, cascade);
        }
        let mut found = Vec::new();
        for name in names {
            match kind {
                ObjectKind::Table | ObjectKind::View | ObjectKind::MaterializedView => {
                    if let Some(relation) = self.to_drop(kind, name, if_exists)? {
                        found.push(relation);
                    }
                }
                ObjectKind::Index => self.drop_index(name, if_exists, cascade)?,
                ObjectKind::Sequence => self.drop_sequence(name, if_exists, cascade)?,
                ObjectKind::Trigger => self.drop_trigger(name, if_exists)?,
                _ => {
                    let what = verb.to_lowercase();
                    self.missing(&name.name, &what, if_exists, state::UNDEFINED_OBJECT)?;
                }
            }
        }
        if !found.is_empty() {
            self.drop_relations(verb, &found, cascade)?;
        }
        Ok(())
    }

    /// The relation a DROP names, of the right kind.
    fn to_drop(
        &mut self,
        kind: ObjectKind,
        name: &Name,
        if_exists: bool,
    ) -> Result<Option<Arc<Relation>>> {
        let what = match kind {
            ObjectKind::Table => "table",
            ObjectKind::MaterializedView => "materialized view",
            _ => "view",
        };
        let found = match self.find(name) {
            Ok(found) => found,
            Err(error) if if_exists && error.sqlstate() == state::INVALID_SCHEMA_NAME => {
                let message = format!("{}, skipping", error.message());
                self.notice(SqlState(*b"00000"), message);
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let Some(relation) = found else {
            if self.catalog.sequences.contains_key(&name.name) {
                return Err(wrong_kind(&name.name, what, "sequence"));
            }
            self.missing(&name.name, what, if_exists, state::UNDEFINED_TABLE)?;
            return Ok(None);
        };
        match relation.kind {
            RelationKind::System => Err(super::system_catalog(&relation.name)),
            _ if word(&relation) != what => Err(wrong_kind(&name.name, what, word(&relation))),
            _ => Ok(Some(relation)),
        }
    }

    pub(super) fn drop_relations(
        &mut self,
        verb: &str,
        relations: &[Arc<Relation>],
        cascade: bool,
    ) -> Result<()> {
        let dropped: Vec<&str> = relations.iter().map(|r| r.name.as_str()).collect();
        let permanent: Vec<&Arc<Relation>> =
            relations.iter().filter(|r| r.schema != "pg_temp").collect();
        let mut after = Catalog::clone(&self.catalog);
        permanent.iter().for_each(|r| {
            after.relations.remove(&r.name);
        });
        let views = if permanent.is_empty() { Vec::new() } else { self.broken_views(&after) };
        let keys: Vec<(Arc<Relation>, String)> = self
            .catalog
            .relations
            .values()
            .filter(|r| !dropped.contains(&r.name.as_str()))
            .flat_map(|r| {
                let keys = r.foreign_keys.iter();
                keys.filter(|k| permanent.iter().any(|p| p.name == k.table))
                    .map(|k| (Arc::clone(r), k.name.clone()))
            })
            .collect();
        let kind = verb.to_lowercase();
        let functions = self.functions_over(&permanent);
        if !cascade && (!views.is_empty() || !keys.is_empty() || !functions.is_empty()) {
            let mut details: Vec<String> = Vec::new();
            for (child, constraint) in &keys {
                let key = child.foreign_keys.iter().find(|k| k.name == *constraint);
                let parent = key.map_or("", |k| k.table.as_str());
                details.push(format!(
                    "constraint {constraint} on table {} depends on table {}",
                    self.told(&child.name),
                    self.told(parent)
                ));
            }
            let first = permanent.first().map_or_else(String::new, |r| self.told(&r.name));
            details.extend(
                views.iter().map(|v| {
                    format!("{} {} depends on {kind} {first}", word(v), self.told(&v.name))
                }),
            );
            for function in &functions {
                let table = relations.iter().find(|r| r.oid == function.result);
                let table = table.map_or_else(String::new, |r| self.told(&r.name));
                let own = signature(function);
                details.push(format!("function {own} depends on type {table}"));
            }
            let what = match dropped.as_slice() {
                [one] => format!("{kind} {}", self.told(one)),
                _ => "desired object(s)".to_owned(),
            };
            return Err(dependents(&what, &details));
        }
        let mut lines: Vec<String> = keys
            .iter()
            .map(|(r, c)| format!("constraint {c} on table {}", self.told(&r.name)))
            .collect();
        lines.extend(views.iter().map(|v| format!("{} {}", word(v), self.told(&v.name))));
        lines.extend(functions.iter().map(|f| format!("function {}", signature(f))));
        self.cascades(&lines);
        for view in &views {
            self.drop_relation(view)?;
        }
        for function in &functions {
            self.drop_routine(function, true)?;
        }
        for (child, constraint) in &keys {
            self.drop_foreign_key(&child.name, constraint)?;
        }
        let names: Vec<String> = permanent.iter().map(|r| qualified_ident(&r.name)).collect();
        for relation in relations {
            self.drop_relation(relation)?;
        }
        if !names.is_empty() {
            let cascade = if cascade { " CASCADE" } else { "" };
            self.postgres.push(format!("DROP {verb} {}{cascade}", names.join(", ")));
        }
        Ok(())
    }

    fn drop_relation(&mut self, relation: &Relation) -> Result<()> {
        self.forget_comments(class::RELATION, relation.oid)?;
        let schema = schema_of(relation);
        if relation.kind == RelationKind::View && relation.materialized.is_none() {
            if relation.view_sql.is_none() {
                let sql = format!("DROP VIEW {schema}.{}", quoted(&relation.sqlite_name));
                self.writer.execute(&sql, &[])?;
            }
            return self.forget(relation);
        }
        let settings = [(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, false)];
        self.with_config(&settings, |editor| {
            editor.muted(|editor| {
                let sql = format!("DROP TABLE {schema}.{}", quoted(&relation.sqlite_name));
                editor.writer.execute(&sql, &[]).map(|_| ())
            })
        })?;
        for column in &relation.columns {
            if let Some(sequence) = &column.sequence {
                self.forget_sequence(sequence)?;
            }
        }
        let owned: Vec<String> = self
            .catalog
            .sequences
            .values()
            .filter(|s| s.owned_by.as_ref().is_some_and(|(t, _)| *t == relation.name))
            .map(|s| s.name.clone())
            .collect();
        for sequence in owned.iter().filter(|_| relation.schema != "pg_temp") {
            self.forget_sequence(sequence)?;
        }
        self.forget(relation)
    }

    /// Takes a foreign key off a table; PostgreSQL does that by the parent's CASCADE.
    pub(super) fn drop_foreign_key(&mut self, table: &str, constraint: &str) -> Result<()> {
        let Some(found) = self.catalog.relations.get(table).cloned() else { return Ok(()) };
        let mut relation = Relation::clone(&found);
        let Some(position) = relation.foreign_keys.iter().position(|k| k.name == constraint) else {
            return Ok(());
        };
        let key = relation.foreign_keys.remove(position);
        let columns: Vec<String> =
            key.columns.iter().map(|c| found.columns[*c].sqlite_name.clone()).collect();
        let parent =
            self.sqlite_parent(&found, &key).map_or_else(|| key.table.clone(), |(table, _)| table);
        let mut stored = self.stored_table(&relation)?;
        remove_stored_foreign_key(&mut stored, constraint, &columns, &parent);
        self.rebuild(&relation, &stored, &Rebuild::default())?;
        self.store(relation)
    }

    /// The table of the index that a name means.
    pub(super) fn index_owner(&self, name: &Name) -> Option<Arc<Relation>> {
        let index = bare(&name.name);
        let temporary = self.temporary.values().find(|r| r.index_oid(index).is_some());
        let temporary = temporary.filter(|_| name.schema.is_none());
        let schema = crate::name::schema(&name.name);
        temporary.or_else(|| self.catalog.index_owner(schema, index)).cloned()
    }

    fn drop_index(&mut self, name: &Name, if_exists: bool, _cascade: bool) -> Result<()> {
        let Some(owner) = self.index_owner(name) else {
            if self.find(name)?.is_some() {
                return Err(wrong_kind(&name.name, "index", "table"));
            }
            return self.missing(&name.name, "index", if_exists, state::UNDEFINED_OBJECT);
        };
        let name = Name { name: bare(&name.name).to_owned(), ..name.clone() };
        let mut relation = Relation::clone(&owner);
        let exclusion = relation.indexes.iter().any(|i| i.is_exclusion() && i.name == name.name);
        if exclusion || relation.uniques.iter().any(|u| u.constraint && u.name == name.name) {
            let (index, table) = (&name.name, &relation.name);
            let message = format!(
                "cannot drop index {index} because constraint {index} on table {table} requires it"
            );
            return Err(Error::client(state::DEPENDENT_OBJECTS_STILL_EXIST, message)
                .hint(format!("You can drop constraint {index} on table {table} instead.")));
        }
        let unique = relation.uniques.iter().find(|u| u.name == name.name).map(|u| u.oid);
        let plain = relation.indexes.iter().find(|i| i.name == name.name).map(|i| i.oid);
        let oid = unique.or(plain).unwrap_or_default();
        let in_file = self.index_name_in_file(&relation, &name.name, oid)?;
        relation.uniques.retain(|u| u.name != name.name);
        relation.indexes.retain(|i| i.name != name.name);
        if let Some(in_file) = in_file {
            let sql = format!("DROP INDEX {}.{}", schema_of(&relation), quoted(&in_file));
            self.writer.execute(&sql, &[])?;
        }
        self.forget_comments(class::RELATION, oid)?;
        let text = format!("DROP INDEX {}", beside_ident(&relation, &name.name));
        self.ship(&relation, text);
        self.store(relation)
    }

    fn drop_sequence(&mut self, name: &Name, if_exists: bool, cascade: bool) -> Result<()> {
        if !self.catalog.sequences.contains_key(&name.name) {
            if self.find(name)?.is_some() {
                return Err(wrong_kind(&name.name, "sequence", "table"));
            }
            return self.missing(&name.name, "sequence", if_exists, state::UNDEFINED_TABLE);
        }
        let users: Vec<(Arc<Relation>, usize)> = self
            .catalog
            .relations
            .values()
            .flat_map(|r| (0..r.columns.len()).map(move |c| (Arc::clone(r), c)))
            .filter(|(r, c)| uses_sequence(&r.columns[*c], &name.name))
            .collect();
        if let Some((table, column)) = users.iter().find(|(r, c)| r.columns[*c].identity.is_some())
        {
            let column = &table.columns[*column].name;
            let message = format!(
                "cannot drop sequence {} because column {column} of table {} requires it",
                name.name, table.name
            );
            return Err(Error::client(state::DEPENDENT_OBJECTS_STILL_EXIST, message)
                .hint(format!("You can drop column {column} of table {} instead.", table.name)));
        }
        if !cascade && !users.is_empty() {
            let details: Vec<String> = users
                .iter()
                .map(|(r, c)| {
                    format!(
                        "default value for column {} of table {} depends on sequence {}",
                        r.columns[*c].name,
                        self.told(&r.name),
                        self.told(&name.name)
                    )
                })
                .collect();
            return Err(dependents(&format!("sequence {}", self.told(&name.name)), &details));
        }
        for (relation, column) in users {
            let mut relation = Relation::clone(&relation);
            let column = &mut relation.columns[column];
            column.default = None;
            column.sequence = None;
            let message = format!(
                "drop cascades to default value for column {} of table {}",
                column.name, relation.name
            );
            self.notice(SqlState(*b"00000"), message);
            self.store(relation)?;
        }
        self.forget_sequence(&name.name)?;
        let cascade = if cascade { " CASCADE" } else { "" };
        self.postgres.push(format!("DROP SEQUENCE {}{cascade}", qualified_ident(&name.name)));
        Ok(())
    }
}

fn uses_sequence(column: &crate::schema::Column, sequence: &str) -> bool {
    let call = crate::backend::sqlite::adopt::nextval(sequence);
    column.sequence.as_deref() == Some(sequence) || column.default.as_deref() == Some(&call)
}

/// The qualified name of an index of a relation.
pub(super) fn beside_ident(relation: &Relation, index: &str) -> String {
    qualified_ident(&beside(&relation.name, index))
}

fn wrong_kind(name: &str, wanted: &str, is: &str) -> Error {
    let article = if wanted == "index" { "an" } else { "a" };
    let message = format!("\"{name}\" is not {article} {wanted}");
    let error = Error::client(state::WRONG_OBJECT_TYPE, message);
    error.hint(format!("Use DROP {} to remove a {is}.", is.to_uppercase()))
}

/// Removes a foreign key from a stored definition, by its name, else by columns and parent.
pub(super) fn remove_stored_foreign_key(
    table: &mut crate::sql::stored::Table,
    name: &str,
    columns: &[String],
    parent: &str,
) {
    let same = |key: &crate::sql::stored::ForeignKey| {
        key.table.eq_ignore_ascii_case(parent)
            && key.columns.len() == columns.len()
            && key.columns.iter().zip(columns).all(|(a, b)| a.eq_ignore_ascii_case(b))
    };
    let by_name = table.constraints.iter().position(|c| {
        c.name.as_deref() == Some(name) && matches!(c.kind, ConstraintKind::ForeignKey(_))
    });
    let by_columns = || {
        table
            .constraints
            .iter()
            .position(|c| matches!(&c.kind, ConstraintKind::ForeignKey(k) if same(k)))
    };
    if let Some(position) = by_name.or_else(by_columns) {
        table.constraints.remove(position);
        return;
    }
    for column in &mut table.columns {
        column.references.retain(|k| k.name.as_deref() != Some(name) && !same(k));
    }
}
