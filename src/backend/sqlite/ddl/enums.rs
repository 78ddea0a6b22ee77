//! CREATE TYPE … AS ENUM and what changes or drops such a type.
//!
//! Rows hold labels, so a label that is renamed is rewritten in them, unseen by the journal:
//! PostgreSQL renames by itself. Texts of the catalog name types and labels; what cannot be
//! renamed in them surely is refused. Start at [`Editor::create_enum`].

use std::sync::Arc;

use super::callable::signature;
use super::rebuild::schema_of;
use super::{Editor, dependents};
use crate::backend::sqlite::catalog::{forget_type, literal, quoted, save_type};
use crate::backend::sqlite::system::{qualified_ident, quote_ident, spelled};
use crate::error::{Error, Result, SqlState, state};
use crate::name::{bare, beside};
use crate::schema::{Catalog, Relation};
use crate::sql::ast::{EnumChange, Name};
use crate::sql::types::tables;
use crate::value::composite::element_numbered_apart;
use crate::value::enums::{EnumType, Enums, Label, enum_of_array, publish_name};

/// Longest label, in bytes.
const LABEL_BYTES: usize = 63;

impl Editor<'_> {
    pub(super) fn create_enum(&mut self, name: &Name, labels: &[String]) -> Result<()> {
        self.tag = "CREATE TYPE".to_owned();
        let temporary = self.target_schema(name, false)?;
        self.check_type_free(&name.name, temporary)?;
        let mut made: Vec<Label> = Vec::with_capacity(labels.len());
        for (label, order) in labels.iter().zip(1u16..) {
            check_label(label)?;
            if made.iter().any(|l| l.text == *label) {
                let index = "pg_enum_typid_label_index";
                let message = format!("duplicate key value violates unique constraint \"{index}\"");
                return Err(Error::client(state::UNIQUE_VIOLATION, message));
            }
            let oid = self.side.new_oid();
            made.push(Label { oid, text: label.clone(), order: f32::from(order), fresh: false });
        }
        let serial = self.side.new_oid();
        let oid = self.catalog.enums.new_oid(&name.name, serial);
        let ty = EnumType { oid, name: name.name.clone(), labels: made, fresh: true, temporary };
        let list: Vec<String> = labels.iter().map(|l| literal(l)).collect();
        let text = format!("CREATE TYPE {} AS ENUM ({})", printed(&name.name), list.join(", "));
        self.ship_type(temporary, text);
        self.keep_enum(ty)
    }

    pub(super) fn alter_enum(&mut self, name: &Name, change: &EnumChange) -> Result<()> {
        self.tag = "ALTER TYPE".to_owned();
        let found = self.existing_enum(name)?;
        let ty = EnumType::clone(&found);
        match change {
            EnumChange::Add { label, neighbour, after, if_not_exists } => {
                let place = neighbour.as_deref().map(|n| (n, *after));
                self.add_label(ty, label, place, *if_not_exists)
            }
            EnumChange::Rename { from, to } => self.rename_label(ty, from, to),
        }
    }

    fn add_label(
        &mut self,
        mut ty: EnumType,
        label: &str,
        place: Option<(&str, bool)>,
        if_not_exists: bool,
    ) -> Result<()> {
        check_label(label)?;
        if ty.position(label).is_some() {
            let message = format!("enum label \"{label}\" already exists");
            if !if_not_exists {
                return Err(Error::client(state::DUPLICATE_OBJECT, message));
            }
            self.notice(state::DUPLICATE_OBJECT, format!("{message}, skipping"));
            return Ok(());
        }
        let at = match place {
            None => ty.labels.len(),
            Some((neighbour, after)) => {
                let found = ty.position(neighbour).ok_or_else(|| no_label(neighbour))?;
                found + usize::from(after)
            }
        };
        if ty.temporary {
            return Err(Error::unsupported("changing a temporary type"));
        }
        let before = at.checked_sub(1).and_then(|i| ty.labels.get(i)).map(|l| l.order);
        let behind = ty.labels.get(at).map(|l| l.order);
        let order = match (before, behind) {
            (Some(a), Some(b)) => f32::midpoint(a, b),
            (Some(a), None) => a + 1.0,
            (None, Some(b)) => b - 1.0,
            (None, None) => 1.0,
        };
        let new = Label { oid: self.side.new_oid(), text: label.to_owned(), order, fresh: true };
        ty.labels.insert(at, new);
        if before == Some(order) || behind == Some(order) {
            // No number is left between the neighbours: all are numbered anew.
            for (slot, number) in ty.labels.iter_mut().zip(1u16..) {
                slot.order = f32::from(number);
            }
        }
        let mut text = format!("ALTER TYPE {} ADD VALUE {}", printed(&ty.name), literal(label));
        if let Some((neighbour, after)) = place {
            let word = if after { "AFTER" } else { "BEFORE" };
            text.push_str(&format!(" {word} {}", literal(neighbour)));
        }
        self.postgres.push(text);
        self.keep_enum(ty)
    }

    fn rename_label(&mut self, mut ty: EnumType, from: &str, to: &str) -> Result<()> {
        if ty.temporary {
            return Err(Error::unsupported("changing a temporary type"));
        }
        let at = ty.position(from).ok_or_else(|| no_label(from))?;
        check_label(to)?;
        if ty.position(to).is_some() {
            let message = format!("enum label \"{to}\" already exists");
            return Err(Error::client(state::DUPLICATE_OBJECT, message));
        }
        let users = self.users_of(ty.oid);
        if self.texts().any(|text| text.contains(&literal(from))) {
            return Err(Error::unsupported("renaming a label that a default, check or view names"));
        }
        for relation in &users {
            self.muted(|editor| editor.rewrite_label(relation, ty.oid, from, to))?;
        }
        to.clone_into(&mut ty.labels[at].text);
        let text = format!(
            "ALTER TYPE {} RENAME VALUE {} TO {}",
            printed(&ty.name),
            literal(from),
            literal(to)
        );
        self.postgres.push(text);
        self.keep_enum(ty)
    }

    fn rewrite_label(&self, relation: &Relation, ty: u32, from: &str, to: &str) -> Result<()> {
        let (from, to) = (literal(from), literal(to));
        for column in relation.columns.iter().filter(|c| c.generated.is_none()) {
            let name = quoted(&column.sqlite_name);
            let value = if column.ty.oid == ty {
                format!("CASE WHEN {name} = {from} THEN {to} ELSE {name} END")
            } else if enum_of_array(column.ty.oid) == Some(ty) {
                format!(
                    "(SELECT json_group_array(CASE WHEN value = {from} THEN {to} ELSE value END) \
                     FROM json_each({name}))"
                )
            } else {
                continue;
            };
            let sql = format!(
                "UPDATE {}.{} SET {name} = {value} WHERE {name} IS NOT NULL",
                schema_of(relation),
                quoted(&relation.sqlite_name)
            );
            self.writer.execute(&sql, &[])?;
        }
        Ok(())
    }

    pub(super) fn rename_enum(&mut self, name: &Name, to: &str) -> Result<()> {
        self.tag = "ALTER TYPE".to_owned();
        let found = self.existing_enum(name)?;
        let mut ty = EnumType::clone(&found);
        if ty.temporary {
            return Err(Error::unsupported("changing a temporary type"));
        }
        let to = &*beside(&ty.name, to);
        self.check_type_free(to, false)?;
        let (old, new) = (spelled(&ty.name), spelled(to));
        // A default ends in the type's name; anywhere else a name is not surely the type's.
        let ending = [format!("::{old}"), format!("::public.{old}")];
        let mut changed = Vec::new();
        for relation in self.users_of(ty.oid) {
            let mut relation = Relation::clone(&relation);
            for column in &mut relation.columns {
                let Some(text) = &mut column.default else { continue };
                if let Some(end) = ending.iter().find(|end| text.ends_with(end.as_str())) {
                    text.truncate(text.len() - end.len());
                    text.push_str(&format!("::{new}"));
                }
            }
            changed.push(relation);
        }
        for relation in changed {
            self.store(relation)?;
        }
        let word = format!("::{old}");
        if self.texts().any(|text| text.contains(&word) || text.contains(&ending[1])) {
            return Err(Error::unsupported("renaming a type that a default, check or view names"));
        }
        let bare = quote_ident(bare(to));
        self.postgres.push(format!("ALTER TYPE {} RENAME TO {bare}", printed(&ty.name)));
        to.clone_into(&mut ty.name);
        self.keep_enum(ty)
    }

    pub(super) fn drop_types(
        &mut self,
        names: &[Name],
        domains: bool,
        if_exists: bool,
        cascade: bool,
    ) -> Result<()> {
        for name in names {
            if name.schema.as_deref().is_none_or(|s| s == "pg_catalog")
                && tables().type_oid(&name.name).is_some()
            {
                let message = format!(
                    "cannot drop type {} because it is required by the database system",
                    name.name
                );
                return Err(Error::client(state::DEPENDENT_OBJECTS_STILL_EXIST, message));
            }
            if self.drop_domain(name, cascade)? {
                continue;
            }
            if domains {
                if self.catalog.enums.composite_named(&name.name).is_some()
                    || self.catalog.enums.named(&name.name).is_some()
                {
                    let message = format!("\"{}\" is not a domain", name.name);
                    return Err(Error::client(state::WRONG_OBJECT_TYPE, message));
                }
                self.missing(&name.name, "type", if_exists, state::UNDEFINED_OBJECT)?;
                continue;
            }
            if self.drop_composite(name, cascade)? {
                continue;
            }
            let Some(ty) = self.catalog.enums.named(&name.name).cloned() else {
                self.missing(&name.name, "type", if_exists, state::UNDEFINED_OBJECT)?;
                continue;
            };
            let mut details = self.dependents_of(ty.oid, &ty.name);
            let mut after = Catalog::clone(&self.catalog);
            Arc::make_mut(&mut after.enums).remove(ty.oid);
            for view in self.broken_views(&after) {
                details.push(format!(
                    "view {} depends on type {}",
                    self.told(&view.name),
                    self.told(&ty.name)
                ));
            }
            if !details.is_empty() && cascade {
                return Err(Error::unsupported("DROP TYPE … CASCADE of a type in use"));
            }
            if !details.is_empty() {
                return Err(dependents(&format!("type {}", self.told(&ty.name)), &details));
            }
            Arc::make_mut(&mut self.catalog.enums).remove(ty.oid);
            forget_type(self.writer, ty.oid)?;
            self.changed = true;
            self.ship_type(ty.temporary, format!("DROP TYPE {}", printed(&ty.name)));
        }
        Ok(())
    }

    /// The enum type a name means.
    fn existing_enum(&self, name: &Name) -> Result<Arc<EnumType>> {
        let found = match name.schema.as_deref() {
            None | Some("public") => self.catalog.enums.named(&name.name),
            Some(schema) if schema.starts_with("pg_temp") => {
                self.catalog.enums.named(&name.name).filter(|ty| ty.temporary)
            }
            Some(_) => None,
        };
        found.cloned().ok_or_else(|| {
            if tables().type_oid(&name.name).is_some() {
                let message = format!("{} is not an enum", name.name);
                return Error::client(state::WRONG_OBJECT_TYPE, message);
            }
            let message = format!("type \"{}\" does not exist", name.name);
            Error::client(state::UNDEFINED_OBJECT, message)
        })
    }

    /// The same change for PostgreSQL, which knows nothing of temporary types.
    pub(super) fn ship_type(&mut self, temporary: bool, text: String) {
        if !temporary {
            self.postgres.push(text);
        }
    }

    pub(super) fn check_type_free(&self, name: &str, temporary: bool) -> Result<()> {
        let enums = &self.catalog.enums;
        let taken = enums.named(name).is_some_and(|ty| ty.temporary == temporary)
            || enums.composite_named(name).is_some_and(|ty| ty.temporary == temporary)
            || enums.domain_named(name).is_some_and(|domain| domain.temporary == temporary)
            || (temporary && self.temporary.contains_key(name))
            || (!temporary && self.catalog.relations.contains_key(name))
            || (!temporary && self.catalog.sequences.contains_key(name));
        if taken {
            let message = format!("type \"{name}\" already exists");
            return Err(Error::client(state::DUPLICATE_OBJECT, message));
        }
        if tables().type_oid(name).is_some() {
            // PostgreSQL would keep both; an unqualified name means its own.
            return Err(Error::unsupported("a type named as one of PostgreSQL's own"));
        }
        Ok(())
    }

    fn keep_enum(&mut self, ty: EnumType) -> Result<()> {
        self.changed = true;
        if !ty.temporary {
            save_type(self.writer, &ty)?;
        }
        publish_name(ty.oid, &ty.name, &spelled(&ty.name));
        Arc::make_mut(&mut self.catalog.enums).insert(ty);
        Ok(())
    }

    /// Tables with a column of the type or of arrays of it.
    pub(super) fn users_of(&self, ty: u32) -> Vec<Arc<Relation>> {
        self.temporary
            .values()
            .chain(self.catalog.relations.values())
            .filter(|r| r.view_sql.is_none() && r.columns.iter().any(|c| uses(c.ty.oid, ty)))
            .cloned()
            .collect()
    }

    /// What DROP TYPE says of columns of the type, and of functions that take or return its values.
    pub(super) fn dependents_of(&self, ty: u32, name: &str) -> Vec<String> {
        let mut details = Vec::new();
        for relation in self.users_of(ty) {
            for column in relation.columns.iter().filter(|c| uses(c.ty.oid, ty)) {
                details.push(format!(
                    "column {} of table {} depends on type {}",
                    column.name,
                    self.told(&relation.name),
                    self.told(name)
                ));
            }
        }
        let all = self.catalog.functions.values();
        let own = all.filter(|f| {
            uses(f.result, ty)
                || f.arguments.iter().any(|argument| uses(*argument, ty))
                || f.parameters.iter().any(|parameter| uses(parameter.ty, ty))
        });
        let said =
            own.map(|f| format!("function {} depends on type {}", signature(f), self.told(name)));
        details.extend(said);
        details
    }

    /// Every expression and query the catalog keeps as text.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.catalog.relations.values().flat_map(|relation| {
            let columns = relation.columns.iter().flat_map(|c| {
                let generated = c.generated.as_ref().map(|g| g.expression.as_str());
                c.default.as_deref().into_iter().chain(generated)
            });
            let checks = relation.checks.iter().map(|c| c.expression.as_str());
            let indexes = relation.indexes.iter().map(|i| i.definition.as_str());
            columns.chain(checks).chain(indexes).chain(relation.view_sql.as_deref())
        })
    }
}

/// Marks nothing as new any more: what the transaction made is committed.
pub fn settle(catalog: &mut Arc<Catalog>) {
    if !catalog.enums.any_fresh() {
        return;
    }
    let catalog = Arc::make_mut(catalog);
    let settled = catalog.enums.iter().map(|ty| {
        let mut ty = EnumType::clone(ty);
        ty.fresh = false;
        ty.labels.iter_mut().for_each(|l| l.fresh = false);
        ty
    });
    let settled: Vec<EnumType> = settled.collect();
    let mut enums = Enums::clone(&catalog.enums);
    settled.into_iter().for_each(|ty| enums.insert(ty));
    catalog.enums = Arc::new(enums);
}

pub(super) fn uses(column: u32, ty: u32) -> bool {
    column == ty || element_numbered_apart(column) == Some(ty)
}

pub(super) fn printed(name: &str) -> String {
    qualified_ident(name)
}

fn no_label(label: &str) -> Error {
    let message = format!("\"{label}\" is not an existing enum label");
    Error::client(state::INVALID_PARAMETER_VALUE, message)
}

fn check_label(label: &str) -> Result<()> {
    if label.len() <= LABEL_BYTES {
        return Ok(());
    }
    let message = format!("invalid enum label \"{label}\"");
    let code: SqlState = state::INVALID_NAME;
    Err(Error::client(code, message).detail("Labels must be 63 bytes or less."))
}
