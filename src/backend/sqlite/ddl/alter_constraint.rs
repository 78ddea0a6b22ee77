//! ALTER TABLE's constraints: adding, validating, dropping keys, checks and foreign keys.

use super::constraint::has_constraint;
use super::rebuild::{Rebuild, schema_of};
use super::{Editor, create, dependents, physical, postgres};
use crate::backend::sqlite::adopt::Namer;
use crate::backend::sqlite::catalog::quoted;
use crate::backend::sqlite::system::quote_ident;
use crate::error::{Error, Result, SqlState, state};
use crate::schema::Relation;
use crate::sql::ast::{Constraint, ConstraintKind};
use crate::sql::{stored, trigger};
use crate::value::Cell;

impl Editor<'_> {
    pub(super) fn add_table_constraint(
        &mut self,
        mut relation: Relation,
        constraint: &Constraint,
    ) -> Result<()> {
        let mut renamed = constraint.clone();
        self.take_index_name(&mut relation, &mut renamed)?;
        let constraint = &renamed;
        let mut namer: Namer = self.namer();
        let before = relation.clone();
        self.add_constraint(constraint, &mut relation, &mut namer)?;
        let text = match &constraint.kind {
            ConstraintKind::PrimaryKey(..) | ConstraintKind::Unique(..) => {
                self.put_key(&before, &mut relation)?
            }
            ConstraintKind::Check(..) => self.put_check(&relation, constraint.not_valid)?,
            ConstraintKind::Exclusion(_) => self.put_exclusion(&relation)?,
            _ => self.put_foreign_key(&relation, constraint.not_valid)?,
        };
        let text = self.alter_text(&relation, &format!("ADD {text}"));
        self.ship(&relation, text);
        let name = relation.name.clone();
        self.store(relation)?;
        if matches!(constraint.kind, ConstraintKind::Exclusion(_)) {
            self.check_exclusions(&name)?;
        }
        self.check_actions(&name)
    }

    /// A new foreign key's actions must be possible beside the triggers that are there.
    pub(super) fn check_actions(&self, table: &str) -> Result<()> {
        match self.catalog.relations.get(table) {
            Some(relation) if !relation.triggers.is_empty() => {
                trigger::check(relation, &self.catalog)
            }
            _ => Ok(()),
        }
    }

    /// USING INDEX gives the index the constraint's name.
    fn take_index_name(
        &mut self,
        relation: &mut Relation,
        constraint: &mut Constraint,
    ) -> Result<()> {
        let (ConstraintKind::PrimaryKey(_, Some(index))
        | ConstraintKind::Unique(_, Some(index), _)) = &mut constraint.kind
        else {
            return Ok(());
        };
        let Some(name) = constraint.name.clone().filter(|name| name != index) else {
            return Ok(());
        };
        let Some(position) =
            relation.uniques.iter().position(|u| u.name == *index && !u.constraint)
        else {
            return Ok(());
        };
        let message = format!(
            "ALTER TABLE / ADD CONSTRAINT USING INDEX will rename index \"{index}\" to \"{name}\""
        );
        self.notice(SqlState(*b"00000"), message);
        self.rename_unique(relation, position, &name)?;
        let own = super::drop::beside_ident(relation, index);
        let text = format!("ALTER INDEX {own} RENAME TO {}", quote_ident(&name));
        self.ship(relation, text);
        name.clone_into(index);
        self.store(relation.clone())
    }

    pub(super) fn put_key(&mut self, before: &Relation, relation: &mut Relation) -> Result<String> {
        let known = |oid: u32| before.uniques.iter().any(|u| u.oid == oid);
        let new = relation.uniques.iter().find(|u| !known(u.oid)).cloned();
        // USING INDEX: the index is there.
        let unique = new.clone().or_else(|| {
            let changed = relation.uniques.iter().find(|u| {
                u.constraint && before.uniques.iter().any(|b| b.oid == u.oid && !b.constraint)
            });
            changed.cloned()
        });
        let Some(unique) = unique else { return Err(Error::internal("no key was added")) };
        if unique.primary {
            self.check_no_nulls(before, &unique.columns)?;
            let mut table = self.stored_table(relation)?;
            for position in &unique.columns {
                let name = &relation.columns[*position].sqlite_name;
                if let Some(stored) = table.columns.iter_mut().find(|c| c.name == *name) {
                    stored.not_null.get_or_insert_default();
                }
            }
            if new.is_some() {
                create::choose_rowid_alias(relation);
                put_primary_key(relation, &mut table, &unique);
            }
            self.rebuild(relation, &table, &Rebuild::default()).map_err(|error| {
                if error.sqlstate() == state::UNIQUE_VIOLATION {
                    let message = format!("could not create unique index \"{}\"", unique.name);
                    return Error::client(state::UNIQUE_VIOLATION, message)
                        .detail("Some keys are duplicated.");
                }
                error
            })?;
        } else if new.is_some() {
            self.make_unique_index(relation, &unique)?;
        }
        if new.is_none() {
            let name = quote_ident(&unique.name);
            let kind = if unique.primary { "PRIMARY KEY" } else { "UNIQUE" };
            return Ok(format!("CONSTRAINT {name} {kind} USING INDEX {name}"));
        }
        Ok(postgres::key(relation, &unique))
    }

    /// VALIDATE CONSTRAINT
    pub(super) fn validate(&mut self, mut relation: Relation, name: &str) -> Result<()> {
        if !has_constraint(&relation, name) {
            return Err(no_constraint(name, &relation.name));
        }
        if let Some(position) = relation.checks.iter().position(|c| c.name == name && c.not_valid) {
            self.check_rows(&relation, &relation.checks[position].clone())?;
            relation.checks[position].not_valid = false;
        } else if let Some(position) =
            relation.foreign_keys.iter().position(|k| k.name == name && k.not_valid)
        {
            self.check_parents(&relation, &relation.foreign_keys[position].clone())?;
            relation.foreign_keys[position].not_valid = false;
        } else {
            return Ok(());
        }
        let what = format!("VALIDATE CONSTRAINT {}", quote_ident(name));
        let text = self.alter_text(&relation, &what);
        self.ship(&relation, text);
        self.store(relation)
    }

    pub(super) fn check_rows(
        &self,
        relation: &Relation,
        check: &crate::schema::Check,
    ) -> Result<()> {
        let text = format!(
            "SELECT 1 FROM {}.{} WHERE NOT ({}) LIMIT 1",
            quote_ident(&relation.schema),
            quote_ident(relation.bare()),
            check.expression
        );
        if self.has_row(&text)? {
            let message = format!(
                "check constraint \"{}\" of relation \"{}\" is violated by some row",
                check.name, relation.name
            );
            return Err(Error::client(state::CHECK_VIOLATION, message));
        }
        Ok(())
    }

    pub(super) fn check_parents(
        &self,
        relation: &Relation,
        key: &crate::schema::ForeignKey,
    ) -> Result<()> {
        let sql = "SELECT 1 FROM pragma_foreign_key_check(?1, ?2) AS f \
                   JOIN pragma_foreign_key_list(?1, ?2) AS l ON l.id = f.fkid AND l.seq = 0 \
                   WHERE l.\"from\" = ?3 COLLATE NOCASE AND f.parent = ?4 COLLATE NOCASE LIMIT 1";
        let schema = if relation.schema == "pg_temp" { "temp" } else { "public" };
        let parent = self.sqlite_parent(relation, key).map(|(table, _)| table);
        let arguments = [
            Cell::Text(relation.sqlite_name.clone()),
            Cell::Text(schema.to_owned()),
            Cell::Text(relation.columns[key.columns[0]].sqlite_name.clone()),
            Cell::Text(parent.unwrap_or_default()),
        ];
        if self.writer.query_integer(sql, &arguments)?.is_some() {
            let message = format!(
                "insert or update on table \"{}\" violates foreign key constraint \"{}\"",
                relation.name, key.name
            );
            return Err(Error::client(state::FOREIGN_KEY_VIOLATION, message));
        }
        Ok(())
    }

    pub(super) fn put_check(&mut self, relation: &Relation, not_valid: bool) -> Result<String> {
        let Some(check) = relation.checks.last() else {
            return Err(Error::internal("no check was added"));
        };
        if !not_valid {
            self.check_rows(relation, check)?;
        }
        if let Some(stored) = physical::check_of(check, relation) {
            let mut table = self.stored_table(relation)?;
            table.constraints.push(stored);
            // Rows that were there may break a NOT VALID check: copying is not checked.
            let ignore = not_valid;
            self.with_checks_ignored(ignore, |editor| {
                editor.rebuild(relation, &table, &Rebuild::default())
            })?;
        }
        let name = quote_ident(&check.name);
        Ok(format!("CONSTRAINT {name} {}", crate::backend::sqlite::system::check_text(check)))
    }

    pub(super) fn with_checks_ignored(
        &mut self,
        ignore: bool,
        body: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        if !ignore {
            return body(self);
        }
        self.writer.execute("PRAGMA ignore_check_constraints = ON", &[])?;
        let result = body(self);
        self.writer.execute("PRAGMA ignore_check_constraints = OFF", &[])?;
        result
    }

    pub(super) fn put_foreign_key(
        &mut self,
        relation: &Relation,
        not_valid: bool,
    ) -> Result<String> {
        let Some(key) = relation.foreign_keys.last() else {
            return Err(Error::internal("no foreign key was added"));
        };
        let stored = physical::foreign_key_of(key, relation, &|k| self.sqlite_parent(relation, k))
            .ok_or_else(|| Error::internal("a foreign key without parent"))?;
        let mut table = self.stored_table(relation)?;
        table.constraints.push(stored);
        self.rebuild(relation, &table, &Rebuild::default())?;
        if !not_valid {
            self.check_parents(relation, key)?;
        }
        Ok(postgres::foreign_key(relation, key, &self.catalog))
    }

    pub(super) fn drop_constraint(
        &mut self,
        mut relation: Relation,
        name: &str,
        if_exists: bool,
        cascade: bool,
    ) -> Result<()> {
        if !has_constraint(&relation, name) {
            let error = no_constraint(name, &relation.name);
            if if_exists {
                self.notice(SqlState(*b"00000"), format!("{}, skipping", error.message()));
                return Ok(());
            }
            return Err(error);
        }
        let text = self.alter_text(
            &relation,
            &format!(
                "DROP CONSTRAINT {}{}",
                quote_ident(name),
                if cascade { " CASCADE" } else { "" }
            ),
        );
        if let Some(position) = relation.uniques.iter().position(|u| u.constraint && u.name == name)
        {
            self.drop_key(&mut relation, position, cascade)?;
        } else if relation.indexes.iter().any(|i| i.is_exclusion() && i.name == name) {
            relation.indexes.retain(|i| i.name != name);
        } else if relation.foreign_keys.iter().any(|k| k.name == name) {
            if relation.schema == "pg_temp" {
                return Err(Error::unsupported("dropping a foreign key of a temporary table"));
            }
            self.drop_foreign_key(&relation.name, name)?;
            self.ship(&relation, text);
            return Ok(());
        } else {
            let mut table = self.stored_table(&relation)?;
            relation.checks.retain(|c| c.name != name);
            if remove_stored_check(&mut table, name) {
                self.rebuild(&relation, &table, &Rebuild::default())?;
            }
        }
        self.ship(&relation, text);
        self.store(relation)
    }

    pub(super) fn drop_key(
        &mut self,
        relation: &mut Relation,
        position: usize,
        cascade: bool,
    ) -> Result<()> {
        let unique = relation.uniques[position].clone();
        let names: Vec<&String> =
            unique.columns.iter().map(|c| &relation.columns[*c].name).collect();
        let uses = |k: &crate::schema::ForeignKey| {
            k.table == relation.name
                && k.referenced.len() == names.len()
                && k.referenced.iter().all(|r| names.contains(&r))
        };
        let children: Vec<(String, String)> = self
            .catalog
            .relations
            .values()
            .flat_map(|r| {
                let keys = r.foreign_keys.iter().filter(|k| uses(k));
                keys.map(|k| (r.name.clone(), k.name.clone()))
            })
            .collect();
        if !cascade && !children.is_empty() {
            let what = format!("constraint {} on table {}", unique.name, relation.name);
            let details: Vec<String> = children
                .iter()
                .map(|(table, constraint)| {
                    format!(
                        "constraint {constraint} on table {table} depends on index {}",
                        unique.name
                    )
                })
                .collect();
            return Err(dependents(&what, &details));
        }
        let lines: Vec<String> =
            children.iter().map(|(t, c)| format!("constraint {c} on table {t}")).collect();
        self.cascades(&lines);
        for (table, constraint) in children {
            self.drop_foreign_key(&table, &constraint)?;
            if table == relation.name {
                relation.foreign_keys.retain(|k| k.name != constraint);
            }
        }
        relation.uniques.remove(position);
        if unique.primary {
            relation.primary_key = None;
            relation.rowid_alias = None;
        }
        if let Some(name) = self.index_name_in_file(relation, &unique.name, unique.oid)? {
            let sql = format!("DROP INDEX {}.{}", schema_of(relation), quoted(&name));
            return self.writer.execute(&sql, &[]).map(|_| ());
        }
        let mut table = self.stored_table(relation)?;
        let columns: Vec<String> =
            unique.columns.iter().map(|c| relation.columns[*c].sqlite_name.clone()).collect();
        remove_stored_key(&mut table, &columns, unique.primary);
        self.rebuild(relation, &table, &Rebuild::default())
    }
}

pub(super) fn no_constraint(name: &str, table: &str) -> Error {
    let message = format!("constraint \"{name}\" of relation \"{table}\" does not exist");
    Error::client(state::UNDEFINED_OBJECT, message)
}

/// The primary key in a stored definition: on the column when it becomes the rowid.
pub(super) fn put_primary_key(
    relation: &Relation,
    table: &mut stored::Table,
    unique: &crate::schema::Unique,
) {
    if let Some(alias) = relation.rowid_alias {
        let column = &relation.columns[alias];
        let stored = table.columns.iter_mut().find(|c| c.name == column.sqlite_name);
        if let Some(stored) = stored.filter(|_| !table.without_rowid) {
            stored.declared = Some("INTEGER".to_owned());
            stored.primary_key = Some(stored::ColumnKey {
                name: Some(unique.name.clone()),
                autoincrement: column.sequence.is_some(),
                ..stored::ColumnKey::default()
            });
            return;
        }
    }
    let keys = unique.columns.iter().map(|c| physical::key_of(&relation.columns[*c])).collect();
    let kind = stored::ConstraintKind::PrimaryKey { keys, autoincrement: false, conflict: None };
    table.constraints.push(stored::Constraint { name: Some(unique.name.clone()), kind });
}

/// Removes a check by name; false when the file does not have it.
pub(super) fn remove_stored_check(table: &mut stored::Table, name: &str) -> bool {
    let before = table.constraints.len();
    table.constraints.retain(|c| {
        !(c.name.as_deref() == Some(name) && matches!(c.kind, stored::ConstraintKind::Check { .. }))
    });
    let mut removed = table.constraints.len() < before;
    for column in &mut table.columns {
        let before = column.checks.len();
        column.checks.retain(|(n, _)| n.as_deref() != Some(name));
        removed |= column.checks.len() < before;
    }
    removed
}

pub(super) fn same_columns(keys: &[stored::Key], columns: &[String]) -> bool {
    keys.len() == columns.len()
        && keys.iter().zip(columns).all(|(key, column)| {
            key.column.as_deref().is_some_and(|c| c.eq_ignore_ascii_case(column))
        })
}

/// Removes a primary key or an inline unique constraint over these columns.
pub(super) fn remove_stored_key(table: &mut stored::Table, columns: &[String], primary: bool) {
    table.constraints.retain(|c| match &c.kind {
        stored::ConstraintKind::PrimaryKey { .. } => !primary,
        stored::ConstraintKind::Unique { keys, .. } => primary || !same_columns(keys, columns),
        _ => true,
    });
    for column in &mut table.columns {
        if primary {
            column.primary_key = None;
        } else if columns.len() == 1 && column.name.eq_ignore_ascii_case(&columns[0]) {
            column.unique.clear();
        }
    }
}
