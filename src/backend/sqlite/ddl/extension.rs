//! CREATE and DROP EXTENSION: known ones are recorded and made on PostgreSQL.
//!
//! An extension's functions and types work here as far as Crossfade has them itself; whatever
//! else uses them is refused where it is used.

use super::Editor;
use crate::backend::sqlite::catalog::save_extensions;
use crate::backend::sqlite::system::quote_ident;
use crate::error::{Error, Result, state};
use crate::schema::RelationKind;
use crate::sql::ast::Name;
use crate::value::extension::Extension;

/// Extensions that migrations create, with the version PostgreSQL 15 has of each.
pub(crate) const KNOWN: [(&str, &str); 17] = [
    ("bloom", "1.0"),
    ("btree_gin", "1.3"),
    ("btree_gist", "1.7"),
    ("citext", "1.6"),
    ("cube", "1.5"),
    ("earthdistance", "1.1"),
    ("fuzzystrmatch", "1.1"),
    ("hstore", "1.8"),
    ("intarray", "1.5"),
    ("ltree", "1.2"),
    ("pg_stat_statements", "1.10"),
    ("pg_trgm", "1.6"),
    ("pgcrypto", "1.3"),
    ("tablefunc", "1.0"),
    ("tsm_system_rows", "1.0"),
    ("unaccent", "1.1"),
    ("uuid-ossp", "1.1"),
];

/// The version of a known extension.
pub(crate) fn version(name: &str) -> Option<&'static str> {
    KNOWN.iter().find(|(known, _)| *known == name).map(|(_, version)| *version)
}

impl Editor<'_> {
    pub(super) fn create_extension(&mut self, name: &str, if_not_exists: bool) -> Result<()> {
        self.tag = "CREATE EXTENSION".to_owned();
        if name == "plpgsql" || self.catalog.extensions.contains_key(name) {
            let message = format!("extension \"{name}\" already exists");
            if !if_not_exists {
                return Err(Error::client(state::DUPLICATE_OBJECT, message));
            }
            self.notice(state::DUPLICATE_OBJECT, format!("{message}, skipping"));
            return Ok(());
        }
        if version(name).is_none() {
            return Err(Error::unsupported(format!("extension \"{name}\"")));
        }
        self.changed = true;
        self.catalog.extensions.insert(name.to_owned(), self.side.new_oid());
        save_extensions(self.writer, &self.catalog.extensions)?;
        // PostgreSQL may have it already.
        self.postgres.push(format!("CREATE EXTENSION IF NOT EXISTS {}", quote_ident(name)));
        Ok(())
    }

    pub(super) fn drop_extensions(
        &mut self,
        names: &[Name],
        if_exists: bool,
        cascade: bool,
    ) -> Result<()> {
        self.tag = "DROP EXTENSION".to_owned();
        for name in names {
            if !self.catalog.extensions.contains_key(&name.name) {
                self.missing(&name.name, "extension", if_exists, state::UNDEFINED_OBJECT)?;
                continue;
            }
            self.check_unneeded(&name.name, cascade)?;
            self.catalog.extensions.remove(&name.name);
            self.changed = true;
            save_extensions(self.writer, &self.catalog.extensions)?;
            let cascade = if cascade { " CASCADE" } else { "" };
            let text = format!("DROP EXTENSION IF EXISTS {}{cascade}", quote_ident(&name.name));
            self.postgres.push(text);
        }
        Ok(())
    }

    /// 2BP01 while a column or domain is of one of the extension's types.
    fn check_unneeded(&self, name: &str, cascade: bool) -> Result<()> {
        let of = |ty: u32| Extension::of(ty).is_some_and(|e| e.name() == name);
        let mut needed = Vec::new();
        let tables = self.catalog.relations.values().filter(|r| r.kind == RelationKind::Table);
        for relation in tables.rev() {
            for column in relation.columns.iter().rev().filter(|c| of(c.ty.oid)) {
                let ty = crate::sql::types::sql_name(column.ty.oid);
                needed.push(format!(
                    "column {} of table {} depends on type {ty}",
                    column.name, relation.name
                ));
            }
        }
        for domain in self.catalog.enums.domains().filter(|d| of(d.base)) {
            let ty = crate::sql::types::sql_name(domain.base);
            needed.push(format!("type {} depends on type {ty}", domain.name));
        }
        if needed.is_empty() {
            return Ok(());
        }
        if cascade {
            return Err(Error::unsupported("dropping an extension with what depends on it"));
        }
        Err(super::dependents(&format!("extension {name}"), &needed))
    }
}
