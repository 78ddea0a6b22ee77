//! CREATE TYPE … AS (…), and dropping such a type.
//!
//! Columns of such types are 0A000: a row of rows has no form in the file yet. Start at
//! [`Editor::create_composite`].

use std::sync::Arc;

use super::enums::printed;
use super::{Editor, dependents};
use crate::backend::sqlite::catalog::{forget_type, save_composite};
use crate::backend::sqlite::system::{format_type, quote_ident, spelled};
use crate::error::{Error, Result, state};
use crate::schema::Catalog;
use crate::sql::analyze;
use crate::sql::ast::{Name, TypeName};
use crate::value::composite::{CompositeType, Field, composite_of_array};
use crate::value::enums::publish_name;

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
        let mut details = Vec::new();
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
}

/// CREATE TYPE, for PostgreSQL.
pub(crate) fn text(ty: &CompositeType) -> String {
    let fields: Vec<String> = ty
        .fields
        .iter()
        .map(|f| format!("{} {}", quote_ident(&f.name), format_type(f.ty, f.typmod)))
        .collect();
    format!("CREATE TYPE {} AS ({})", printed(&ty.name), fields.join(", "))
}
