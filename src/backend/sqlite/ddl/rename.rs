//! ALTER … RENAME.

use rusqlite::config::DbConfig;

use super::rebuild::{Rebuild, schema_of};
use super::{Editor, index, no_column};
use crate::backend::sqlite::catalog::quoted;
use crate::backend::sqlite::system::{columns_named, qualified_ident, quote_ident};
use crate::error::{Error, Result, state};
use crate::name::{bare, beside, shown};
use crate::schema::{Catalog, IndexKey, Relation, RelationKind, Sequence};
use crate::sql::ast::{Name, ObjectKind, RenameWhat};
use crate::sql::stored::ConstraintKind;

impl Editor<'_> {
    pub(super) fn rename(
        &mut self,
        kind: ObjectKind,
        name: &Name,
        what: &RenameWhat,
        to: &str,
        if_exists: bool,
    ) -> Result<()> {
        let word = match kind {
            ObjectKind::View => "VIEW",
            ObjectKind::Index => "INDEX",
            ObjectKind::Sequence => "SEQUENCE",
            ObjectKind::Table => "TABLE",
            ObjectKind::Type if *what == RenameWhat::Object => {
                return match self.catalog.enums.composite_named(&name.name).cloned() {
                    Some(ty) => self.rename_composite(&ty, to),
                    None => self.rename_enum(name, to),
                };
            }
            ObjectKind::Schema => return self.rename_schema(&name.name, to),
            _ => return Err(Error::unsupported("this RENAME")),
        };
        self.tag = format!("ALTER {word}");
        if kind == ObjectKind::Index {
            return self.rename_index(name, to, if_exists);
        }
        if self.find(name)?.is_none() {
            if self.catalog.sequences.contains_key(&name.name) && *what == RenameWhat::Object {
                return self.rename_sequence(&name.name, &beside(&name.name, to));
            }
            if self.is_taken(&name.name, false) && *what == RenameWhat::Object {
                return self.rename_index(name, to, if_exists);
            }
            return self.missing(&name.name, "relation", if_exists, state::UNDEFINED_TABLE);
        }
        let relation = self.existing(name)?;
        if relation.kind == RelationKind::System {
            return Err(super::system_catalog(&relation.name));
        }
        let relation = Relation::clone(&relation);
        match what {
            RenameWhat::Object => {
                let to = beside(&relation.name, to);
                self.rename_relation(relation, &to)
            }
            RenameWhat::Column(column) => self.rename_column(relation, column, to),
            RenameWhat::Constraint(constraint) => self.rename_constraint(relation, constraint, to),
        }
    }

    /// Views keep their text, so a name they use cannot change under them.
    fn check_views(&self, after: &Catalog) -> Result<()> {
        if self.broken_views(after).is_empty() {
            return Ok(());
        }
        Err(Error::unsupported("renaming what a view uses"))
    }

    /// `to` is the key of the new name.
    fn rename_relation(&mut self, mut relation: Relation, to: &str) -> Result<()> {
        let temporary = relation.schema == "pg_temp";
        self.check_free(to, temporary, false)?;
        let mut after = Catalog::clone(&self.catalog);
        if !temporary {
            after.relations.remove(&relation.name);
            self.check_views(&after)?;
            let table = std::sync::Arc::new(relation.clone());
            if !self.functions_over(&[&table]).is_empty() {
                return Err(Error::unsupported("renaming a table whose rows a function returns"));
            }
        }
        let former = relation.name.clone();
        let in_file = relation.kind != RelationKind::View;
        if relation.kind == RelationKind::View && relation.view_sql.is_none() {
            return Err(Error::unsupported("renaming a view of the SQLite file"));
        }
        let mut new_name = to.to_owned();
        if in_file {
            new_name = shown(to).into_owned();
            if !new_name.eq_ignore_ascii_case(&relation.sqlite_name) {
                new_name = self.free_in_file(to, relation.oid, temporary)?;
            }
            self.native_rename(&format!(
                "ALTER TABLE {}.{} RENAME TO {}",
                schema_of(&relation),
                quoted(&relation.sqlite_name),
                quoted(&new_name)
            ))?;
        }
        self.forget(&relation)?;
        let word = if in_file { "TABLE" } else { "VIEW" };
        let (old, new) = (qualified_ident(&former), quote_ident(bare(to)));
        self.ship(&relation, format!("ALTER {word} {old} RENAME TO {new}"));
        to.clone_into(&mut relation.name);
        relation.sqlite_name = new_name;
        for key in relation.foreign_keys.iter_mut().filter(|k| k.table == former) {
            to.clone_into(&mut key.table);
        }
        redefine_indexes(&mut relation);
        self.store(relation)?;
        if temporary {
            return Ok(());
        }
        let children: Vec<Relation> = self
            .catalog
            .relations
            .values()
            .filter(|r| r.foreign_keys.iter().any(|k| k.table == former))
            .map(|r| Relation::clone(r))
            .collect();
        for mut child in children {
            for key in child.foreign_keys.iter_mut().filter(|k| k.table == former) {
                to.clone_into(&mut key.table);
            }
            self.store(child)?;
        }
        let owned: Vec<Sequence> = self
            .catalog
            .sequences
            .values()
            .filter(|s| s.owned_by.as_ref().is_some_and(|(t, _)| *t == former))
            .map(|s| Sequence::clone(s))
            .collect();
        for mut sequence in owned {
            if let Some((table, _)) = &mut sequence.owned_by {
                to.clone_into(table);
            }
            self.keep(sequence)?;
        }
        Ok(())
    }

    /// Runs SQLite's own RENAME. A view in the file that is broken already makes SQLite
    /// refuse; then the rename is done without looking at views and triggers.
    fn native_rename(&mut self, sql: &str) -> Result<()> {
        if self.writer.execute(sql, &[]).is_ok() {
            return Ok(());
        }
        let settings = [(DbConfig::SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, true)];
        self.with_config(&settings, |editor| editor.writer.execute(sql, &[]).map(|_| ()))
    }

    fn rename_column(&mut self, mut relation: Relation, column: &str, to: &str) -> Result<()> {
        let Some(position) = relation.column(column) else {
            return Err(no_column(column, &relation.name));
        };
        if relation.column(to).is_some() {
            let message =
                format!("column \"{to}\" of relation \"{}\" already exists", relation.name);
            return Err(Error::client(state::DUPLICATE_COLUMN, message));
        }
        if relation.kind == RelationKind::View {
            if relation.view_sql.is_none() {
                return Err(Error::unsupported("renaming a column of a view of the SQLite file"));
            }
            to.clone_into(&mut relation.columns[position].name);
            return self.renamed_column(relation, column, to, "VIEW");
        }
        if relation.schema != "pg_temp" {
            let mut after = Catalog::clone(&self.catalog);
            let mut changed = relation.clone();
            to.clone_into(&mut changed.columns[position].name);
            after.relations.insert(changed.name.clone(), changed.into());
            self.check_views(&after)?;
        }
        let folded = relation
            .columns
            .iter()
            .enumerate()
            .any(|(p, c)| p != position && c.sqlite_name.eq_ignore_ascii_case(to));
        let in_file = match folded {
            true => format!("{to}~{}", relation.columns[position].attnum),
            false => to.to_owned(),
        };
        self.native_rename(&format!(
            "ALTER TABLE {}.{} RENAME COLUMN {} TO {}",
            schema_of(&relation),
            quoted(&relation.sqlite_name),
            quoted(&relation.columns[position].sqlite_name),
            quoted(&in_file)
        ))?;
        rename_in_texts(&mut relation, column, to);
        to.clone_into(&mut relation.columns[position].name);
        relation.columns[position].sqlite_name = in_file;
        redefine_indexes(&mut relation);
        self.renamed_column(relation, column, to, "TABLE")
    }

    fn renamed_column(
        &mut self,
        relation: Relation,
        column: &str,
        to: &str,
        word: &str,
    ) -> Result<()> {
        let text = format!(
            "ALTER {word} {} RENAME COLUMN {} TO {}",
            qualified_ident(&relation.name),
            quote_ident(column),
            quote_ident(to)
        );
        self.ship(&relation, text);
        let table = relation.name.clone();
        self.store(relation)?;
        // Foreign keys and sequences name the column.
        let children: Vec<Relation> = self
            .catalog
            .relations
            .values()
            .filter(|r| {
                let refers = |k: &crate::schema::ForeignKey| {
                    k.table == table && k.referenced.iter().any(|c| c == column)
                };
                r.foreign_keys.iter().any(refers)
            })
            .map(|r| Relation::clone(r))
            .collect();
        for mut child in children {
            for key in child.foreign_keys.iter_mut().filter(|k| k.table == table) {
                for name in key.referenced.iter_mut().filter(|n| *n == column) {
                    to.clone_into(name);
                }
            }
            self.store(child)?;
        }
        let owned: Vec<Sequence> = self
            .catalog
            .sequences
            .values()
            .filter(|s| s.owned_by.as_ref().is_some_and(|(t, c)| *t == table && c == column))
            .map(|s| Sequence::clone(s))
            .collect();
        for mut sequence in owned {
            sequence.owned_by = Some((table.clone(), to.to_owned()));
            self.keep(sequence)?;
        }
        Ok(())
    }

    fn rename_constraint(
        &mut self,
        mut relation: Relation,
        constraint: &str,
        to: &str,
    ) -> Result<()> {
        if super::constraint::has_constraint(&relation, to) {
            let message =
                format!("constraint \"{to}\" for relation \"{}\" already exists", relation.name);
            return Err(Error::client(state::DUPLICATE_OBJECT, message));
        }
        let text = format!(
            "ALTER TABLE {} RENAME CONSTRAINT {} TO {}",
            qualified_ident(&relation.name),
            quote_ident(constraint),
            quote_ident(to)
        );
        let unique = relation.uniques.iter().position(|u| u.constraint && u.name == constraint);
        if let Some(position) = unique {
            self.rename_unique(&mut relation, position, to)?;
            self.ship(&relation, text);
            return self.store(relation);
        }
        let exclusion =
            relation.indexes.iter().position(|i| i.is_exclusion() && i.name == constraint);
        if let Some(position) = exclusion {
            self.check_free(&beside(&relation.name, to), false, false)?;
            to.clone_into(&mut relation.indexes[position].name);
            redefine_indexes(&mut relation);
            self.ship(&relation, text);
            return self.store(relation);
        }
        let key = relation.foreign_keys.iter_mut().find(|k| k.name == constraint);
        let check = relation.checks.iter_mut().find(|c| c.name == constraint);
        match (key, check) {
            (Some(key), _) => to.clone_into(&mut key.name),
            (None, Some(check)) => to.clone_into(&mut check.name),
            (None, None) => {
                let message = format!(
                    "constraint \"{constraint}\" for table \"{}\" does not exist",
                    relation.name
                );
                return Err(Error::client(state::UNDEFINED_OBJECT, message));
            }
        }
        let mut stored = self.stored_table(&relation)?;
        let mut in_file = false;
        for own in stored.constraints.iter_mut().filter(|c| c.name.as_deref() == Some(constraint)) {
            if matches!(own.kind, ConstraintKind::ForeignKey(_) | ConstraintKind::Check { .. }) {
                own.name = Some(to.to_owned());
                in_file = true;
            }
        }
        for column in &mut stored.columns {
            for (name, _) in &mut column.checks {
                if name.as_deref() == Some(constraint) {
                    *name = Some(to.to_owned());
                    in_file = true;
                }
            }
        }
        if in_file {
            self.rebuild(&relation, &stored, &Rebuild::default())?;
        }
        self.ship(&relation, text);
        self.store(relation)
    }

    /// Renames a unique key, and its index when the file has it under that name.
    pub(super) fn rename_unique(
        &mut self,
        relation: &mut Relation,
        position: usize,
        to: &str,
    ) -> Result<()> {
        if self.is_taken(&beside(&relation.name, to), relation.schema == "pg_temp") {
            let message = format!("relation \"{to}\" already exists");
            return Err(Error::client(state::DUPLICATE_TABLE, message));
        }
        let former = &relation.uniques[position];
        let in_file = self.index_name_in_file(relation, &former.name, former.oid)?;
        to.clone_into(&mut relation.uniques[position].name);
        if let Some(in_file) = in_file {
            let schema = schema_of(relation);
            self.writer.execute(&format!("DROP INDEX {schema}.{}", quoted(&in_file)), &[])?;
            self.make_unique_index(relation, &relation.uniques[position])?;
        }
        Ok(())
    }

    fn rename_index(&mut self, name: &Name, to: &str, if_exists: bool) -> Result<()> {
        let Some(owner) = self.index_owner(name).filter(|r| r.schema != "pg_temp") else {
            return self.missing(&name.name, "relation", if_exists, state::UNDEFINED_TABLE);
        };
        let name = Name { name: bare(&name.name).to_owned(), ..name.clone() };
        let mut relation = Relation::clone(&owner);
        if let Some(position) = relation.uniques.iter().position(|u| u.name == name.name) {
            self.rename_unique(&mut relation, position, to)?;
        } else if let Some(position) = relation.indexes.iter().position(|i| i.name == name.name) {
            self.check_free(&beside(&relation.name, to), false, false)?;
            let oid = relation.indexes[position].oid;
            let in_file = self.index_name_in_file(&relation, &name.name, oid)?;
            to.clone_into(&mut relation.indexes[position].name);
            redefine_indexes(&mut relation);
            let found = &relation.indexes[position];
            if let Some(in_file) = in_file {
                self.writer.execute(&format!("DROP INDEX \"public\".{}", quoted(&in_file)), &[])?;
                let new_name = self.free_in_file(to, oid, false)?;
                let sql = index::index_sql(&relation, found, &new_name)
                    .ok_or_else(|| Error::unsupported("renaming this index"))?;
                self.writer.execute(&sql, &[])?;
            }
        }
        let own = super::drop::beside_ident(&relation, &name.name);
        let text = format!("ALTER INDEX {own} RENAME TO {}", quote_ident(to));
        self.ship(&relation, text);
        self.store(relation)
    }

    /// `to` is the key of the new name.
    fn rename_sequence(&mut self, name: &str, to: &str) -> Result<()> {
        self.check_free(to, false, false)?;
        let Some(found) = self.catalog.sequences.get(name).cloned() else {
            return Err(super::no_relation(name));
        };
        let mut sequence = Sequence::clone(&found);
        to.clone_into(&mut sequence.name);
        self.catalog.sequences.remove(name);
        self.keep(sequence)?;
        let (old, new) = (
            crate::backend::sqlite::adopt::nextval(name),
            crate::backend::sqlite::adopt::nextval(to),
        );
        let users: Vec<Relation> = self
            .catalog
            .relations
            .values()
            .filter(|r| {
                r.columns.iter().any(|c| {
                    c.sequence.as_deref() == Some(name) || c.default.as_deref() == Some(&old)
                })
            })
            .map(|r| Relation::clone(r))
            .collect();
        for mut relation in users {
            for column in &mut relation.columns {
                if column.sequence.as_deref() == Some(name) {
                    column.sequence = Some(to.to_owned());
                }
                if column.default.as_deref() == Some(&old) {
                    column.default = Some(new.clone());
                }
            }
            self.store(relation)?;
        }
        let (old, new) = (qualified_ident(name), quote_ident(bare(to)));
        let text = format!("ALTER SEQUENCE {old} RENAME TO {new}");
        self.postgres.push(text);
        Ok(())
    }
}

/// Prints the definitions of plain indexes anew.
pub(super) fn redefine_indexes(relation: &mut Relation) {
    let snapshot = relation.clone();
    for index in &mut relation.indexes {
        index.definition = crate::backend::sqlite::adopt::index_definition(&snapshot, index);
    }
}

/// Replaces a column's name in the texts kept about its own table.
fn rename_in_texts(relation: &mut Relation, column: &str, to: &str) {
    let snapshot = relation.clone();
    let position = snapshot.column(column);
    let rename = |text: &mut String| {
        let uses = columns_named(&snapshot, text);
        if position.is_some_and(|p| uses.contains(&p)) {
            *text = replace_word(text, column, &quote_ident(to));
        }
    };
    relation.checks.iter_mut().filter(|c| !c.sqlite).for_each(|c| rename(&mut c.expression));
    for index in relation.indexes.iter_mut().filter(|i| !i.sqlite) {
        if let Some(predicate) = &mut index.predicate {
            rename(predicate);
        }
        for key in &mut index.keys {
            if let IndexKey::Expression(text, _) = key {
                rename(text);
            }
        }
        for name in index.extras.include.iter_mut().filter(|n| *n == column) {
            to.clone_into(name);
        }
    }
    for trigger in &mut relation.triggers {
        for name in trigger.columns.iter_mut().filter(|n| *n == column) {
            to.clone_into(name);
        }
    }
    for column in &mut relation.columns {
        if let Some(generated) = &mut column.generated {
            rename(&mut generated.expression);
        }
    }
}

/// Replaces an identifier, quoted or not, outside of string literals.
fn replace_word(text: &str, word: &str, by: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '\'' | '"' => rest[1..].find(first).map_or(rest.len(), |at| at + 2),
            c if c.is_alphabetic() || c == '_' => rest
                .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'))
                .unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        let token = &rest[..end];
        let named = match first {
            '"' => token.trim_matches('"') == word,
            '\'' => false,
            _ => token.to_lowercase() == word,
        };
        out.push_str(if named { by } else { token });
        rest = &rest[end..];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::replace_word;

    #[test]
    fn only_identifiers_are_replaced() {
        let text = "(a > 0 AND b <> 'a' AND \"a\" < aa)";
        assert_eq!(replace_word(text, "a", "n"), "(n > 0 AND b <> 'a' AND n < aa)");
    }
}
