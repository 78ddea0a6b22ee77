//! What the names of a schema change mean, found once, before the change begins.
//!
//! Owns the way from a name and the search path to the key of an object. From here on a name
//! holds a key and says `public`, which is where keys are looked up; names of temporary objects
//! stay as they were written. It must never change anything. Start at [`Editor::named`].

use super::Editor;
use crate::error::{Error, Result, state};
use crate::name::{is_key, key, schema};
use crate::sql::ast::{
    AlterAction, ColumnDef, Constraint, ConstraintKind, Ddl, Name, ObjectKind, SequenceOptions,
};
use crate::sql::pg::{Named, qualify};
use crate::sql::types::tables;

/// How a name is found.
type Found = Result<Name>;

impl Editor<'_> {
    /// The change with keys in the place of names.
    pub(super) fn named(&self, ddl: &Ddl) -> Result<Ddl> {
        let mut ddl = ddl.clone();
        if self.catalog.schemas.is_empty() {
            return Ok(ddl);
        }
        match &mut ddl {
            Ddl::CreateTable(create) => {
                create.name = self.new_name(&create.name, create.temporary)?;
                for like in &mut create.like {
                    like.table = self.known(&like.table);
                }
                let own = create.name.clone();
                for column in &mut create.columns {
                    self.column_names(column, Some(&own));
                }
                self.constraint_names(&mut create.constraints, Some(&own));
            }
            Ddl::CreateTableAs { name, temporary, .. }
            | Ddl::CreateView { name, temporary, .. } => {
                *name = self.new_name(name, *temporary)?;
            }
            Ddl::CreateIndex(create) => create.table = self.known(&create.table),
            Ddl::CreateMaterialized { name, .. } => *name = self.new_name(name, false)?,
            Ddl::Refresh { name, .. } => *name = self.known(name),
            Ddl::CreateSequence { name, options, .. } => {
                *name = self.new_name(name, false)?;
                self.option_names(options);
            }
            Ddl::AlterSequence { name, options, .. } => {
                *name = self.known(name);
                self.option_names(options);
            }
            Ddl::CreateEnum { name, .. }
            | Ddl::CreateComposite { name, .. }
            | Ddl::CreateDomain { name, .. } => *name = self.new_name(name, false)?,
            Ddl::CreateFunction(create) => create.name = self.new_name(&create.name, false)?,
            Ddl::AlterEnum { name, .. } | Ddl::AlterComposite { name, .. } => {
                *name = self.known_type(name);
            }
            Ddl::Drop { kind, names, .. } => {
                for name in names {
                    *name = self.known_as(*kind, name);
                }
            }
            Ddl::Truncate { tables, .. } => {
                for table in tables {
                    *table = self.known(table);
                }
            }
            Ddl::AlterTable { name, actions, .. } => {
                *name = self.known(name);
                actions.iter_mut().for_each(|action| self.action_names(action));
            }
            Ddl::Rename { kind, name, .. } | Ddl::SetSchema { kind, name, .. } => {
                *name = self.known_as(*kind, name);
            }
            Ddl::Comment { kind, name, part, .. } => {
                *name = if part.is_some() { self.known(name) } else { self.known_as(*kind, name) };
            }
            Ddl::CreateTrigger(create) => create.table = self.known(&create.table),
            Ddl::DropRoutines { .. }
            | Ddl::CreateSchema { .. }
            | Ddl::CreateExtension { .. }
            | Ddl::Grant(_)
            | Ddl::NoEffect(_) => {}
        }
        Ok(ddl)
    }

    fn action_names(&self, action: &mut AlterAction) {
        match action {
            AlterAction::AddColumn(column, _) => self.column_names(column, None),
            AlterAction::AddConstraint(constraint) => {
                self.constraint_names(std::slice::from_mut(constraint), None);
            }
            _ => {}
        }
    }

    fn column_names(&self, column: &mut ColumnDef, own: Option<&Name>) {
        self.constraint_names(&mut column.constraints, own);
    }

    /// `own` is the table being made: a foreign key may name it.
    fn constraint_names(&self, constraints: &mut [Constraint], own: Option<&Name>) {
        for constraint in constraints {
            let ConstraintKind::ForeignKey { table, .. } = &mut constraint.kind else { continue };
            let found = self.known(table);
            *table = match own {
                Some(own) if self.means(table, own, &found) => own.clone(),
                _ => found,
            };
        }
    }

    /// Whether a name means the table that is being made; `found` is what it means without.
    fn means(&self, name: &Name, own: &Name, found: &Name) -> bool {
        let fleeting =
            |name: &Name| name.schema.as_deref().is_none_or(|s| s.starts_with("pg_temp"));
        if fleeting(own) {
            return fleeting(name) && name.name == own.name;
        }
        let Some("public") = own.schema.as_deref() else { return false };
        let place = |schema: &str| self.search_path.iter().position(|s| s == schema);
        match &name.schema {
            Some(written) => key(written, &name.name) == own.name,
            None if crate::name::bare(&own.name) != name.name => false,
            None => {
                let there = self.exists(&found.name);
                let (mine, other) = (place(schema(&own.name)), place(schema(&found.name)));
                mine.is_some() && (!there || mine <= other)
            }
        }
    }

    fn option_names(&self, options: &mut SequenceOptions) {
        if let Some(Some((table, _))) = &mut options.owned_by {
            let name = Name { name: table.clone(), ..Name::default() };
            *table = self.known(&name).name;
        }
    }

    fn known_as(&self, kind: ObjectKind, name: &Name) -> Name {
        match kind {
            ObjectKind::Type | ObjectKind::Domain => self.known_type(name),
            ObjectKind::Trigger => {
                let table = name.schema.clone().unwrap_or_default();
                let table = self.known(&Name { name: table, ..Name::default() });
                Name { schema: Some(table.name), ..name.clone() }
            }
            ObjectKind::Schema | ObjectKind::Extension | ObjectKind::Function => name.clone(),
            _ => self.known(name),
        }
    }

    /// A table, view, sequence or index that is there, or a name that nothing has.
    pub(super) fn known(&self, name: &Name) -> Name {
        let in_public =
            |key: String| Name { schema: Some("public".to_owned()), name: key, ..*name };
        match name.schema.as_deref() {
            Some(schema) if self.catalog.schemas.contains_key(schema) => {
                in_public(key(schema, &name.name))
            }
            Some(_) => name.clone(),
            None if is_key(&name.name) => in_public(name.name.clone()),
            None if self.temporary.contains_key(&name.name) => name.clone(),
            None => {
                let keys = self.context().keys(None, &name.name);
                let found = keys.into_iter().find(|key| self.exists(key));
                match found {
                    // A temporary index keeps its plain name.
                    None if self.temporary.values().any(|r| r.index_oid(&name.name).is_some()) => {
                        name.clone()
                    }
                    found => in_public(found.unwrap_or_else(|| key("", &name.name))),
                }
            }
        }
    }

    /// Whether a relation, sequence or index has this key.
    fn exists(&self, key: &str) -> bool {
        let (schema, name) = crate::name::split(key);
        self.catalog.relations.contains_key(key)
            || self.catalog.sequences.contains_key(key)
            || self.catalog.index_owner(schema, name).is_some()
    }

    fn known_type(&self, name: &Name) -> Name {
        let enums = &self.catalog.enums;
        let there = |key: &String| {
            enums.named(key).is_some()
                || enums.composite_named(key).is_some()
                || enums.domain_named(key).is_some()
        };
        match name.schema.as_deref() {
            Some(schema) if self.catalog.schemas.contains_key(schema) => {
                Name { schema: Some("public".to_owned()), name: key(schema, &name.name), ..*name }
            }
            Some(_) => name.clone(),
            None => match self.context().keys(None, &name.name).into_iter().find(there) {
                Some(found) => Name { name: found, ..name.clone() },
                None => name.clone(),
            },
        }
    }

    /// The key of what is being made.
    fn new_name(&self, name: &Name, temporary: bool) -> Found {
        let in_public =
            |key: String| Name { schema: Some("public".to_owned()), name: key, ..*name };
        match name.schema.as_deref() {
            Some(schema) if self.catalog.schemas.contains_key(schema) => {
                Ok(in_public(key(schema, &name.name)))
            }
            Some(_) => Ok(name.clone()),
            None if temporary => Ok(name.clone()),
            None => {
                let known = |s: &&String| {
                    s.starts_with("pg_temp")
                        || *s == "public"
                        || self.catalog.schemas.contains_key(*s)
                };
                match self.search_path.iter().find(known) {
                    Some(schema) if schema.starts_with("pg_temp") => Ok(name.clone()),
                    Some(schema) => Ok(in_public(key(schema, &name.name))),
                    None => {
                        let message = "no schema has been selected to create in";
                        Err(Error::client(state::INVALID_SCHEMA_NAME, message).at(name.pos))
                    }
                }
            }
        }
    }

    /// A text of the client as the catalog keeps it: what it names outside `public` with its
    /// schema.
    pub(super) fn in_public(&self, text: &str) -> Result<String> {
        if self.catalog.schemas.is_empty() {
            return Ok(text.to_owned());
        }
        let schema_of = |found: Option<String>| {
            found.filter(|key| is_key(key)).map(|key| schema(&key).to_owned())
        };
        qualify(text, &|kind, name| {
            let written = Name { name: name.to_owned(), ..Name::default() };
            match kind {
                Named::Type if tables().type_oid(name).is_some() => None,
                Named::Type => {
                    let element = name.strip_suffix("[]").unwrap_or(name);
                    let written = Name { name: element.to_owned(), ..written };
                    schema_of(Some(self.known_type(&written).name))
                }
                Named::Relation if self.catalog.system.contains_key(name) => None,
                Named::Relation => {
                    let found = self.known(&written).name;
                    schema_of(Some(found).filter(|key| self.exists(key)))
                }
            }
        })
    }
}
