//! CREATE TYPE … AS (…), and what changes or drops such a type.
//!
//! A value in a column says the types of its fields itself, so a change of the type rewrites
//! them, unseen by the journal: PostgreSQL does the same by itself. Start at
//! [`Editor::create_composite`].

use std::sync::Arc;

use super::enums::{printed, uses};
use super::rebuild::schema_of;
use super::{Editor, dependents, no_column, no_relation};
use crate::backend::sqlite::catalog::{forget_type, quoted, rows, save_composite};
use crate::backend::sqlite::system::{format_type, quote_ident, spelled};
use crate::error::{Error, Result, state};
use crate::name::{bare, beside};
use crate::schema::{Catalog, Column, Relation};
use crate::sql::ast::{AttributeChange, Name, TypeName};
use crate::sql::{analyze, types};
use crate::value::composite::{
    CompositeType, Field, composite_of_array, element_numbered_apart, is_numbered_apart,
};
use crate::value::enums::publish_name;
use crate::value::{Cell, Datum, is_composite, storage};

/// Rows that are rewritten at a time.
const BATCH: usize = 500;

impl Editor<'_> {
    pub(super) fn create_composite(
        &mut self,
        name: &Name,
        fields: &[(String, TypeName)],
    ) -> Result<()> {
        self.tag = "CREATE TYPE".to_owned();
        let temporary = self.target_schema(name, false)?;
        self.check_type_free(&name.name, temporary)?;
        let mut made: Vec<Field> = Vec::with_capacity(fields.len());
        for (field, ty) in fields {
            if made.iter().any(|f| f.name == *field) {
                let message = format!("column \"{field}\" specified more than once");
                return Err(Error::client(state::DUPLICATE_COLUMN, message));
            }
            let ty = analyze::type_name(ty, &self.context())?;
            made.push(Field { name: field.clone(), ty: ty.oid, typmod: ty.typmod });
        }
        let serial = self.side.new_oid();
        let oid = self.catalog.enums.new_composite_oid(&name.name, serial);
        let ty = CompositeType { oid, name: name.name.clone(), fields: made, temporary };
        self.changed = true;
        if !temporary {
            save_composite(self.writer, &ty)?;
        }
        publish_name(oid, &ty.name, &spelled(&ty.name));
        self.ship_type(temporary, text(&ty));
        Arc::make_mut(&mut self.catalog.enums).insert_composite(ty);
        Ok(())
    }

    /// Drops a composite type of this name; false when there is none.
    pub(super) fn drop_composite(&mut self, name: &Name, cascade: bool) -> Result<bool> {
        let Some(ty) = self.catalog.enums.composite_named(&name.name).cloned() else {
            return Ok(false);
        };
        let mut details = self.dependents_of(ty.oid, &ty.name);
        for other in self.catalog.enums.composites() {
            for field in &other.fields {
                if field.ty == ty.oid || composite_of_array(field.ty) == Some(ty.oid) {
                    details.push(format!(
                        "column {} of composite type {} depends on type {}",
                        field.name, other.name, ty.name
                    ));
                }
            }
        }
        let mut after = Catalog::clone(&self.catalog);
        Arc::make_mut(&mut after.enums).remove_composite(ty.oid);
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
        Arc::make_mut(&mut self.catalog.enums).remove_composite(ty.oid);
        forget_type(self.writer, ty.oid)?;
        self.changed = true;
        self.ship_type(ty.temporary, format!("DROP TYPE {}", printed(&ty.name)));
        Ok(true)
    }

    /// ALTER TYPE … ADD, DROP, ALTER and RENAME ATTRIBUTE
    pub(super) fn alter_composite(
        &mut self,
        name: &Name,
        changes: &[AttributeChange],
    ) -> Result<()> {
        self.tag = "ALTER TYPE".to_owned();
        let found = self.catalog.enums.composite_named(&name.name).cloned();
        let found = found.ok_or_else(|| no_relation(&name.name))?;
        if found.temporary {
            return Err(Error::unsupported("changing a temporary type"));
        }
        let mut ty = CompositeType::clone(&found);
        // Where each field's value is found in a row as it was.
        let mut from: Vec<Option<usize>> = (0..ty.fields.len()).map(Some).collect();
        let mut texts = Vec::with_capacity(changes.len());
        for change in changes {
            texts.extend(self.change_attribute(&mut ty, &mut from, change)?);
        }
        let mut after = Catalog::clone(&self.catalog);
        Arc::make_mut(&mut after.enums).insert_composite(ty.clone());
        if !self.broken_views(&after).is_empty() {
            return Err(Error::unsupported("ALTER TYPE of a type whose fields a view uses"));
        }
        for relation in self.users_of(ty.oid) {
            storable(ty.oid, &after)?;
            self.muted(|editor| editor.rewrite_rows(&relation, &ty, &from))?;
        }
        let joined = texts.join(", ");
        if !joined.is_empty() {
            self.postgres.push(format!("ALTER TYPE {} {joined}", printed(&ty.name)));
        }
        self.keep_composite(ty)
    }

    /// Changes the fields; the same for PostgreSQL, None when nothing changes.
    fn change_attribute(
        &mut self,
        ty: &mut CompositeType,
        from: &mut Vec<Option<usize>>,
        change: &AttributeChange,
    ) -> Result<Option<String>> {
        let at = |ty: &CompositeType, name: &str| ty.fields.iter().position(|f| f.name == name);
        let free = |ty: &CompositeType, name: &str| match at(ty, name) {
            None => Ok(()),
            Some(_) => {
                let message =
                    format!("column \"{name}\" of relation \"{}\" already exists", bare(&ty.name));
                Err(Error::client(state::DUPLICATE_COLUMN, message))
            }
        };
        let known = |ty: &CompositeType, name: &str| {
            at(ty, name).ok_or_else(|| no_column(name, bare(&ty.name)))
        };
        Ok(Some(match change {
            AttributeChange::Add(name, written) => {
                free(ty, name)?;
                let of = analyze::type_name(written, &self.context())?;
                let field = Field { name: name.clone(), ty: of.oid, typmod: of.typmod };
                let text = format!("ADD ATTRIBUTE {}", declared(&field));
                ty.fields.push(field);
                from.push(None);
                text
            }
            AttributeChange::Drop(name, true) if at(ty, name).is_none() => {
                let error = no_column(name, bare(&ty.name));
                self.notice(state::SUCCESSFUL_COMPLETION, format!("{}, skipping", error.message()));
                return Ok(None);
            }
            AttributeChange::Drop(name, _) => {
                let position = known(ty, name)?;
                self.check_unnamed(name)?;
                ty.fields.remove(position);
                from.remove(position);
                format!("DROP ATTRIBUTE {}", quote_ident(name))
            }
            AttributeChange::Retype(name, written) => {
                let position = known(ty, name)?;
                if let Some(user) = self.users_of(ty.oid).first() {
                    let mut using = user.columns.iter().filter(|c| uses(c.ty.oid, ty.oid));
                    // PostgreSQL looks for arrays first.
                    let array = using.clone().find(|c| c.ty.oid != ty.oid);
                    let column = array.or_else(|| using.next());
                    let message = format!(
                        "cannot alter type \"{}\" because column \"{}.{}\" uses it",
                        bare(&ty.name),
                        bare(&user.name),
                        column.map_or("", |c| c.name.as_str())
                    );
                    return Err(Error::client(state::FEATURE_NOT_SUPPORTED, message));
                }
                let of = analyze::type_name(written, &self.context())?;
                let field = &mut ty.fields[position];
                (field.ty, field.typmod) = (of.oid, of.typmod);
                format!(
                    "ALTER ATTRIBUTE {} TYPE {}",
                    quote_ident(name),
                    format_type(of.oid, of.typmod)
                )
            }
            AttributeChange::Rename(name, to) => {
                let position = known(ty, name)?;
                free(ty, to)?;
                self.check_unnamed(name)?;
                to.clone_into(&mut ty.fields[position].name);
                format!("RENAME ATTRIBUTE {} TO {}", quote_ident(name), quote_ident(to))
            }
        }))
    }

    /// Refuses when a text of the catalog may name a field.
    fn check_unnamed(&self, field: &str) -> Result<()> {
        let word = format!(").{}", quote_ident(field));
        let mut bodies = self.catalog.functions.values().map(|f| f.body.as_str());
        if self.texts().any(|text| text.contains(&word)) || bodies.any(|b| b.contains(&word)) {
            let what = "changing a field that a default, check, view or function may name";
            return Err(Error::unsupported(what));
        }
        Ok(())
    }

    /// Gives the type's values in a table the fields that it has now.
    fn rewrite_rows(
        &self,
        relation: &Relation,
        ty: &CompositeType,
        from: &[Option<usize>],
    ) -> Result<()> {
        for column in relation.columns.iter().filter(|c| uses(c.ty.oid, ty.oid)) {
            if column.default.is_some() {
                return Err(Error::unsupported("ALTER TYPE of a type that a default is of"));
            }
            if relation.without_rowid || column.generated.is_some() {
                return Err(Error::unsupported("ALTER TYPE of a type in such a table"));
            }
            self.rewrite_column(relation, column, ty, from)?;
        }
        Ok(())
    }

    fn rewrite_column(
        &self,
        relation: &Relation,
        column: &Column,
        ty: &CompositeType,
        from: &[Option<usize>],
    ) -> Result<()> {
        let (schema, table) = (schema_of(relation), quoted(&relation.sqlite_name));
        let name = quoted(&column.sqlite_name);
        let read = format!(
            "SELECT rowid, {name} FROM {schema}.{table} WHERE rowid >= ?1 AND {name} IS NOT NULL \
             ORDER BY rowid LIMIT {BATCH}"
        );
        let write = format!("UPDATE {schema}.{table} SET {name} = ?1 WHERE rowid = ?2");
        let mut next = Some(i64::MIN);
        while let Some(first) = next {
            let batch = rows(self.writer, &read, &[Cell::Integer(first)])?;
            next = None;
            let full = batch.len() == BATCH;
            for row in batch {
                let Ok([key, value]) = <[Cell; 2]>::try_from(row) else { continue };
                if let (true, Cell::Integer(rowid)) = (full, &key) {
                    next = rowid.checked_add(1);
                }
                let value = storage::decode(column.codec, column.ty, value.as_ref())?;
                let value = reshaped(value, ty, from);
                let cell = storage::encode(column.codec, column.ty, &value)?;
                self.writer.execute(&write, &[cell, key])?;
            }
        }
        Ok(())
    }

    /// ALTER TYPE … RENAME TO
    pub(super) fn rename_composite(&mut self, found: &CompositeType, to: &str) -> Result<()> {
        self.tag = "ALTER TYPE".to_owned();
        if found.temporary {
            return Err(Error::unsupported("changing a temporary type"));
        }
        let to = beside(&found.name, to);
        self.check_type_free(&to, false)?;
        let old = spelled(&found.name);
        let words = [format!("::{old}"), format!("::public.{old}")];
        if self.texts().any(|text| words.iter().any(|word| text.contains(word))) {
            return Err(Error::unsupported("renaming a type that a default, check or view names"));
        }
        let text =
            format!("ALTER TYPE {} RENAME TO {}", printed(&found.name), quote_ident(bare(&to)));
        self.postgres.push(text);
        self.keep_composite(CompositeType { name: to, ..found.clone() })
    }

    fn keep_composite(&mut self, ty: CompositeType) -> Result<()> {
        self.changed = true;
        save_composite(self.writer, &ty)?;
        publish_name(ty.oid, &ty.name, &spelled(&ty.name));
        Arc::make_mut(&mut self.catalog.enums).insert_composite(ty);
        Ok(())
    }
}

/// A value of the type, or an array of it, with the fields of now.
fn reshaped(value: Datum, ty: &CompositeType, from: &[Option<usize>]) -> Datum {
    match value {
        Datum::Record(was) => {
            let field = |(field, at): (&Field, &Option<usize>)| {
                let kept = at.and_then(|at| was.get(at));
                (field.ty, kept.map_or(Datum::Null, |(_, value)| value.clone()))
            };
            Datum::Record(ty.fields.iter().zip(from).map(field).collect())
        }
        Datum::Array(element, items) => {
            let items = items.into_iter().map(|item| reshaped(item, ty, from));
            Datum::Array(element, items.collect())
        }
        other => other,
    }
}

/// Refuses a type whose values cannot be columns' values.
pub(super) fn storable(type_oid: u32, catalog: &Catalog) -> Result<()> {
    let Some(ty) = catalog.enums.composite(type_oid) else {
        return Err(Error::unsupported("a column of this composite type"));
    };
    for field in &ty.fields {
        // PostgreSQL's binary form of a row names the types of its fields by its own numbers.
        let apart = is_numbered_apart(field.ty)
            || element_numbered_apart(field.ty).is_some()
            || is_composite(field.ty);
        if apart || !types::has_equality(field.ty) {
            let what = format!(
                "a column of a composite type with a field of type {}",
                format_type(field.ty, field.typmod)
            );
            return Err(Error::unsupported(what));
        }
    }
    Ok(())
}

fn declared(field: &Field) -> String {
    format!("{} {}", quote_ident(&field.name), format_type(field.ty, field.typmod))
}

/// CREATE TYPE, for PostgreSQL.
pub(crate) fn text(ty: &CompositeType) -> String {
    let fields: Vec<String> = ty.fields.iter().map(declared).collect();
    format!("CREATE TYPE {} AS ({})", printed(&ty.name), fields.join(", "))
}
