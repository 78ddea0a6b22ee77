//! CREATE, DROP and ALTER SCHEMA, and SET SCHEMA: a schema is a part of the keys of its objects.
//!
//! The file knows no schemas: its tables keep their names there when they move. Views and other
//! texts of the catalog name objects with their schemas, so what a text names is not moved.
//! Start at [`Editor::create_schema`].

use std::collections::BTreeMap;
use std::sync::Arc;

use super::comment::class;
use super::materialized::word;
use super::{Editor, dependents};
use crate::backend::sqlite::adopt::nextval;
use crate::backend::sqlite::catalog::{
    forget_relation, save_composite, save_domain, save_schemas, save_type,
};
use crate::backend::sqlite::system::{qualified_ident, quote_ident, spelled};
use crate::error::{Error, Result, state};
use crate::name::{bare, is_reserved, key, schema};
use crate::schema::{Catalog, Relation, RelationKind, Sequence};
use crate::sql::ast::{Name, ObjectKind};
use crate::value::composite::CompositeType;
use crate::value::domain::Domain;
use crate::value::enums::{EnumType, publish_name};

/// 3F000
pub(super) fn no_schema(name: &str) -> Error {
    Error::client(state::INVALID_SCHEMA_NAME, format!("schema \"{name}\" does not exist"))
}

/// What is in a schema.
#[derive(Default)]
struct Contents {
    views: Vec<Arc<Relation>>,
    materialized: Vec<Arc<Relation>>,
    tables: Vec<Arc<Relation>>,
    sequences: Vec<Arc<Sequence>>,
    types: Vec<String>,
    domains: Vec<String>,
}

impl Contents {
    /// What each is called in messages.
    fn shown(&self) -> Vec<String> {
        let tables = self.tables.iter().map(|r| format!("table {}", spelled(&r.name)));
        let views = self.materialized.iter().chain(&self.views);
        let views = views.map(|r| format!("{} {}", word(r), spelled(&r.name)));
        // A sequence of a column goes with its table.
        let free = self.sequences.iter().filter(|s| s.owned_by.is_none());
        let sequences = free.map(|s| format!("sequence {}", spelled(&s.name)));
        let types = self.types.iter().chain(&self.domains);
        let types = types.map(|name| format!("type {}", spelled(name)));
        types.chain(sequences).chain(tables).chain(views).collect()
    }
}

impl Editor<'_> {
    pub(super) fn create_schema(&mut self, name: &str, if_not_exists: bool) -> Result<()> {
        self.tag = "CREATE SCHEMA".to_owned();
        self.new_schema(name)?;
        if self.catalog.has_schema(name) {
            let message = format!("schema \"{name}\" already exists");
            if if_not_exists {
                self.notice(state::DUPLICATE_SCHEMA, format!("{message}, skipping"));
                return Ok(());
            }
            return Err(Error::client(state::DUPLICATE_SCHEMA, message));
        }
        self.catalog.schemas.insert(name.to_owned(), self.side.new_oid());
        // PostgreSQL may have it already.
        self.postgres.push(format!("CREATE SCHEMA IF NOT EXISTS {}", quote_ident(name)));
        self.keep_schemas()
    }

    /// Refuses names that no schema of a client may have.
    fn new_schema(&self, name: &str) -> Result<()> {
        if name.starts_with("pg_") && !self.catalog.has_schema(name) {
            let message = format!("unacceptable schema name \"{name}\"");
            return Err(Error::client(state::RESERVED_NAME, message)
                .detail("The prefix \"pg_\" is reserved for system schemas."));
        }
        if name == "crossfade" || is_reserved(name) {
            return Err(Error::unsupported(format!("a schema named {name:?}")));
        }
        Ok(())
    }

    fn keep_schemas(&mut self) -> Result<()> {
        self.changed = true;
        save_schemas(self.writer, &self.catalog.schemas)
    }

    fn contents(&self, name: &str) -> Contents {
        let mut found = Contents::default();
        for relation in self.catalog.relations.values().filter(|r| r.schema == name) {
            let list = match relation.kind {
                _ if relation.materialized.is_some() => &mut found.materialized,
                RelationKind::View => &mut found.views,
                _ => &mut found.tables,
            };
            list.push(Arc::clone(relation));
        }
        let sequences = self.catalog.sequences.values();
        found.sequences = sequences.filter(|s| schema(&s.name) == name).cloned().collect();
        let enums = &self.catalog.enums;
        let of = |key: &str, temporary: bool| !temporary && schema(key) == name;
        let made = enums.iter().filter(|ty| of(&ty.name, ty.temporary));
        found.types = made.map(|ty| ty.name.clone()).collect();
        let made = enums.composites().filter(|ty| of(&ty.name, ty.temporary));
        found.types.extend(made.map(|ty| ty.name.clone()));
        let made = enums.domains().filter(|d| of(&d.name, d.temporary));
        found.domains = made.map(|d| d.name.clone()).collect();
        found
    }

    pub(super) fn drop_schemas(
        &mut self,
        names: &[Name],
        if_exists: bool,
        cascade: bool,
    ) -> Result<()> {
        self.tag = "DROP SCHEMA".to_owned();
        if let Some(missing) = names.iter().find(|n| !self.catalog.has_schema(&n.name))
            && !if_exists
        {
            return Err(no_schema(&missing.name));
        }
        for name in names {
            self.drop_schema(&name.name, if_exists, cascade)?;
        }
        Ok(())
    }

    fn drop_schema(&mut self, name: &str, if_exists: bool, cascade: bool) -> Result<()> {
        let Some(oid) = self.catalog.schemas.get(name).copied() else {
            if name == "public" {
                return Err(Error::unsupported("DROP SCHEMA public"));
            }
            if self.catalog.has_schema(name) {
                let message = format!(
                    "cannot drop schema {name} because it is required by the database system"
                );
                return Err(Error::client(state::DEPENDENT_OBJECTS_STILL_EXIST, message));
            }
            return self.missing(name, "schema", if_exists, state::INVALID_SCHEMA_NAME);
        };
        let found = self.contents(name);
        let lines = found.shown();
        if !lines.is_empty() {
            let of = format!("schema {name}");
            if !cascade {
                let details: Vec<String> =
                    lines.iter().map(|line| format!("{line} depends on {of}")).collect();
                return Err(dependents(&of, &details));
            }
            self.empty_schema(&found)?;
            self.cascades(&lines);
        }
        self.tag = "DROP SCHEMA".to_owned();
        self.forget_comments(class::SCHEMA, oid)?;
        self.catalog.schemas.remove(name);
        let cascade = if cascade { " CASCADE" } else { "" };
        self.postgres.push(format!("DROP SCHEMA IF EXISTS {}{cascade}", quote_ident(name)));
        self.keep_schemas()
    }

    /// Drops everything in a schema, and what depends on it.
    fn empty_schema(&mut self, found: &Contents) -> Result<()> {
        let told = self.notices.len();
        if !found.views.is_empty() {
            self.drop_relations("VIEW", &found.views, true)?;
        }
        // What depends on what was dropped is gone already.
        let left = |list: &[Arc<Relation>], editor: &Self| {
            let there = |r: &&Arc<Relation>| editor.catalog.relations.contains_key(&r.name);
            list.iter().filter(there).cloned().collect::<Vec<_>>()
        };
        for (verb, list) in [("MATERIALIZED VIEW", &found.materialized), ("TABLE", &found.tables)] {
            let list = left(list, self);
            if !list.is_empty() {
                self.drop_relations(verb, &list, true)?;
            }
        }
        for sequence in &found.sequences {
            // Those of columns went with their tables.
            if self.catalog.sequences.contains_key(&sequence.name) {
                let kind = ObjectKind::Sequence;
                self.drop_objects(kind, &[in_public(&sequence.name)], false, true)?;
            }
        }
        let domains: Vec<Name> = found.domains.iter().map(|name| in_public(name)).collect();
        self.drop_types(&domains, true, false, true)?;
        let types: Vec<Name> = found.types.iter().map(|name| in_public(name)).collect();
        self.drop_types(&types, false, false, true)?;
        // The whole is told of once.
        self.notices.truncate(told);
        Ok(())
    }

    pub(super) fn rename_schema(&mut self, name: &str, to: &str) -> Result<()> {
        self.tag = "ALTER SCHEMA".to_owned();
        let Some(oid) = self.catalog.schemas.get(name).copied() else {
            if self.catalog.has_schema(name) {
                return Err(Error::unsupported(format!("renaming schema {name}")));
            }
            return Err(no_schema(name));
        };
        self.new_schema(to)?;
        if self.catalog.has_schema(to) {
            let message = format!("schema \"{to}\" already exists");
            return Err(Error::client(state::DUPLICATE_SCHEMA, message));
        }
        let found = self.contents(name);
        let relations = found.tables.iter().chain(&found.views).chain(&found.materialized);
        let relations = relations.map(|r| &r.name);
        let sequences = found.sequences.iter().map(|s| &s.name);
        let types = found.types.iter().chain(&found.domains);
        let all = relations.chain(sequences).chain(types);
        let moved = all.map(|old| (old.clone(), key(to, bare(old)))).collect();
        self.catalog.schemas.remove(name);
        self.catalog.schemas.insert(to.to_owned(), oid);
        self.move_to(&moved)?;
        let (old, new) = (quote_ident(name), quote_ident(to));
        self.postgres.push(format!("ALTER SCHEMA {old} RENAME TO {new}"));
        self.keep_schemas()
    }

    /// ALTER TABLE, VIEW, SEQUENCE, TYPE … SET SCHEMA
    pub(super) fn set_schema(
        &mut self,
        kind: ObjectKind,
        name: &Name,
        to: &str,
        if_exists: bool,
    ) -> Result<()> {
        let verb = match kind {
            ObjectKind::Table => "TABLE",
            ObjectKind::View => "VIEW",
            ObjectKind::Sequence => "SEQUENCE",
            ObjectKind::Type => "TYPE",
            ObjectKind::Domain => "DOMAIN",
            _ => return Err(Error::unsupported("this form of SET SCHEMA")),
        };
        self.tag = format!("ALTER {verb}");
        let mut all = vec![name.name.clone()];
        if matches!(kind, ObjectKind::Type | ObjectKind::Domain) {
            self.known_to_move(&name.name)?;
        } else if let Some(relation) = self.find(name)? {
            let moves = relation.schema != "pg_temp" && relation.kind != RelationKind::System;
            if !moves || relation.materialized.is_some() {
                return Err(Error::unsupported("SET SCHEMA of this relation"));
            }
            if !self.functions_over(&[&relation]).is_empty() {
                return Err(Error::unsupported("moving a table whose rows a function returns"));
            }
            let sequences = self.catalog.sequences.values();
            let own = |s: &&Arc<Sequence>| {
                s.owned_by.as_ref().is_some_and(|(table, _)| *table == relation.name)
            };
            all.extend(sequences.filter(own).map(|s| s.name.clone()));
        } else if let Some(sequence) = self.catalog.sequences.get(&name.name) {
            if let Some((table, _)) = &sequence.owned_by {
                let message = "cannot move an owned sequence into another schema";
                let of = format!(
                    "Sequence \"{}\" is linked to table \"{table}\".",
                    bare(&sequence.name)
                );
                return Err(Error::client(state::FEATURE_NOT_SUPPORTED, message).detail(of));
            }
        } else {
            return self.missing(&name.name, "relation", if_exists, state::UNDEFINED_TABLE);
        }
        if !self.catalog.has_schema(to) {
            return Err(no_schema(to));
        }
        if to != "public" && !self.catalog.schemas.contains_key(to) {
            return Err(Error::unsupported("moving objects into a system schema"));
        }
        if schema(&name.name) == to {
            return Ok(());
        }
        let moved: BTreeMap<String, String> =
            all.into_iter().map(|old| (old.clone(), key(to, bare(&old)))).collect();
        for new in moved.values() {
            if self.is_taken(new, false) {
                let message =
                    format!("relation \"{}\" already exists in schema \"{to}\"", bare(new));
                return Err(Error::client(state::DUPLICATE_TABLE, message));
            }
        }
        self.indexes_fit(&name.name, to)?;
        let own = qualified_ident(&name.name);
        self.move_to(&moved)?;
        self.postgres.push(format!("ALTER {verb} {own} SET SCHEMA {}", quote_ident(to)));
        Ok(())
    }

    fn known_to_move(&self, name: &str) -> Result<()> {
        let enums = &self.catalog.enums;
        let there = enums.named(name).is_some()
            || enums.composite_named(name).is_some()
            || enums.domain_named(name).is_some();
        if there {
            return Ok(());
        }
        let message = format!("type \"{}\" does not exist", bare(name));
        Err(Error::client(state::UNDEFINED_OBJECT, message))
    }

    /// A table's indexes go with it.
    fn indexes_fit(&self, table: &str, to: &str) -> Result<()> {
        let Some(relation) = self.catalog.relations.get(table) else { return Ok(()) };
        let uniques = relation.uniques.iter().map(|u| &u.name);
        let indexes = relation.indexes.iter().map(|i| &i.name);
        for index in uniques.chain(indexes) {
            if self.is_taken(&key(to, index), false) {
                let message = format!("relation \"{index}\" already exists in schema \"{to}\"");
                return Err(Error::client(state::DUPLICATE_TABLE, message));
            }
        }
        Ok(())
    }

    /// Gives objects other keys, everywhere in the catalog.
    fn move_to(&mut self, moved: &BTreeMap<String, String>) -> Result<()> {
        let before = self.catalog.clone();
        self.changed = true;
        self.move_types(moved)?;
        let relations: Vec<Arc<Relation>> = self.catalog.relations.values().cloned().collect();
        for found in relations {
            let mut relation = Relation::clone(&found);
            if rekey(&mut relation, moved) {
                if relation.name != found.name {
                    self.catalog.relations.remove(&found.name);
                    forget_relation(self.writer, found.oid)?;
                }
                self.store(relation)?;
            }
        }
        let sequences: Vec<Arc<Sequence>> = self.catalog.sequences.values().cloned().collect();
        for found in sequences {
            let mut sequence = Sequence::clone(&found);
            put(&mut sequence.name, moved);
            if let Some((table, _)) = &mut sequence.owned_by {
                put(table, moved);
            }
            if sequence != *found {
                self.catalog.sequences.remove(&found.name);
                self.keep(sequence)?;
            }
        }
        self.texts_hold(&before)
    }

    fn move_types(&mut self, moved: &BTreeMap<String, String>) -> Result<()> {
        let enums = Arc::clone(&self.catalog.enums);
        let own = Arc::make_mut(&mut self.catalog.enums);
        for ty in enums.iter().filter(|ty| !ty.temporary && moved.contains_key(&ty.name)) {
            let mut ty = EnumType::clone(ty);
            put(&mut ty.name, moved);
            save_type(self.writer, &ty)?;
            publish_name(ty.oid, &ty.name, &spelled(&ty.name));
            own.insert(ty);
        }
        for ty in enums.composites().filter(|ty| !ty.temporary && moved.contains_key(&ty.name)) {
            let mut ty = CompositeType::clone(ty);
            put(&mut ty.name, moved);
            save_composite(self.writer, &ty)?;
            publish_name(ty.oid, &ty.name, &spelled(&ty.name));
            own.insert_composite(ty);
        }
        for domain in enums.domains().filter(|d| !d.temporary && moved.contains_key(&d.name)) {
            let mut domain = Domain::clone(domain);
            put(&mut domain.name, moved);
            save_domain(self.writer, &domain)?;
            publish_name(domain.oid, &domain.name, &spelled(&domain.name));
            own.insert_domain(domain);
        }
        Ok(())
    }

    /// Texts of the catalog must read as before.
    fn texts_hold(&self, before: &Catalog) -> Result<()> {
        let now = Catalog::clone(&self.catalog);
        let refused = || Error::unsupported("moving what a view, default or check names");
        if !self.views_hold(before, &now) {
            return Err(refused());
        }
        for relation in self.catalog.relations.values() {
            let checks = relation.checks.iter().filter(|c| !c.sqlite).map(|c| &c.expression);
            let defaults = relation
                .columns
                .iter()
                .filter(|c| c.sequence.is_none())
                .filter_map(|c| c.default.as_ref());
            let generated = relation.columns.iter().filter_map(|c| c.generated.as_ref());
            let generated = generated.filter(|g| !g.sqlite).map(|g| &g.expression);
            for text in checks.chain(defaults).chain(generated) {
                let reads = |catalog: &Catalog| {
                    let context = crate::sql::Context { catalog, ..self.context() };
                    crate::sql::analyze::expression(text, relation, &context.stored()).is_ok()
                };
                if !reads(&now) && reads(before) {
                    return Err(refused());
                }
            }
        }
        Ok(())
    }
}

fn in_public(key: &str) -> Name {
    Name { schema: Some("public".to_owned()), name: key.to_owned(), pos: 0 }
}

/// Puts the new key of a name in its place; whether it has one.
fn put(name: &mut String, moved: &BTreeMap<String, String>) -> bool {
    let Some(new) = moved.get(name) else { return false };
    new.clone_into(name);
    true
}

/// Puts new keys into a relation; whether any was in it.
fn rekey(relation: &mut Relation, moved: &BTreeMap<String, String>) -> bool {
    let mut changed = false;
    changed |= put(&mut relation.name, moved);
    for key in &mut relation.foreign_keys {
        changed |= put(&mut key.table, moved);
    }
    for column in &mut relation.columns {
        if let Some(sequence) = &mut column.sequence {
            changed |= put(sequence, moved);
        }
        let drawn = moved.iter().find(|(old, _)| column.default.as_ref() == Some(&nextval(old)));
        if let Some((_, new)) = drawn {
            column.default = Some(nextval(new));
            changed = true;
        }
    }
    schema(&relation.name).clone_into(&mut relation.schema);
    super::rename::redefine_indexes(relation);
    changed
}
