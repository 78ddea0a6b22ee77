//! Schema changes inside the writer's transaction.
//!
//! Owns the SQLite form of PostgreSQL's DDL, its implicit names and its errors. Stored DDL is
//! plain: no function of ours, no schema name; what SQLite cannot keep exactly stands in the
//! side catalog only. It must never change rows beyond what the DDL says, and a failed change
//! leaves nothing behind. Start at [`apply`].

mod alter;
mod alter_constraint;
pub(crate) mod callable;
mod column;
pub(crate) mod comment;
pub(crate) mod composite;
mod constraint;
mod create;
pub(crate) mod domain;
mod drop;
pub mod enums;
pub(crate) mod exclusion;
pub(crate) mod extension;
mod generated;
mod index;
mod materialized;
mod named;
mod physical;
pub(crate) mod plain;
pub mod postgres;
mod rebuild;
mod refit;
mod rename;
mod retype;
pub mod routine;
mod run;
mod schema;
mod sequence;
#[cfg(test)]
pub(crate) mod tests;
mod truncate;
mod view;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Writer;
use super::adopt::Namer;
use super::catalog::{Side, forget_relation, save_relation};
use super::events::{DdlEvent, Event};
use super::system::qualified_ident;
use crate::error::{Error, Result, SqlState, state};
use crate::name::{bare, is_key, is_reserved, key, schema, shown};
use crate::schema::{Catalog, Relation, RelationKind};
use crate::sql::Context;
use crate::sql::ast::{Ddl, Name, TypeName};
use crate::sql::plan::Frozen;
use crate::value::Cell;

/// Temporary tables of a session, by name.
pub type Temporary = BTreeMap<String, Arc<Relation>>;

/// What a change is made in.
pub struct Environment<'a> {
    /// The side catalog.
    pub side: &'a Side,
    /// The transaction's catalog so far.
    pub catalog: &'a Arc<Catalog>,
    /// The session's temporary tables.
    pub temporary: &'a Arc<Temporary>,
    /// Schemas searched for unqualified names.
    pub search_path: &'a [String],
    /// check_function_bodies
    pub check_bodies: bool,
    /// Computes a frozen value, for statements that the change itself runs (CREATE TABLE AS,
    /// defaults of new columns).
    pub freeze: &'a dyn Fn(&Frozen) -> Result<Cell>,
}

/// What a change did.
pub struct Applied {
    /// The catalog after it: for this transaction now, for everybody after COMMIT.
    pub catalog: Arc<Catalog>,
    /// The session's temporary tables after it.
    pub temporary: Arc<Temporary>,
    /// Command tag.
    pub tag: String,
    /// Notices for the client.
    pub notices: Vec<Error>,
    /// What is said at level DEBUG1.
    pub details: Vec<Error>,
    /// The same change for PostgreSQL; also noted in the journal.
    pub postgres: Vec<String>,
}

/// Name of the savepoint around one change.
const SAVEPOINT: &str = "_crossfade_ddl";

/// Applies one schema change. On an error everything it did is undone.
///
/// # Errors
/// PostgreSQL's own codes; 0A000 for what SQLite cannot keep faithfully.
pub fn apply(writer: &Writer, ddl: &Ddl, environment: &Environment<'_>) -> Result<Applied> {
    writer.look_at_schema()?;
    let mark = writer.savepoint(SAVEPOINT)?;
    let mut editor = Editor::new(writer, environment);
    // What the change itself does to rows fires nothing; the catalog after it says what will.
    let fires = environment.catalog.fired.id != 0;
    let cleared = if fires { writer.clear_triggers() } else { Ok(()) };
    match cleared
        .and_then(|()| editor.named(ddl))
        .and_then(|ddl| editor.change(&ddl))
        .and_then(|()| editor.finish(fires))
    {
        Ok(applied) => {
            writer.release(SAVEPOINT)?;
            Ok(applied)
        }
        Err(error) => {
            if writer.in_transaction() {
                writer.rollback_to(SAVEPOINT, mark)?;
                writer.release(SAVEPOINT)?;
            }
            Err(error)
        }
    }
}

/// Whether a column of this type has a sequence of its own.
pub fn is_serial(ty: &TypeName) -> bool {
    column::serial(ty).is_some()
}

/// One change being made.
struct Editor<'a> {
    writer: &'a Writer,
    side: &'a Side,
    catalog: Catalog,
    temporary: Temporary,
    search_path: &'a [String],
    check_bodies: bool,
    freeze: &'a dyn Fn(&Frozen) -> Result<Cell>,
    tag: String,
    notices: Vec<Error>,
    details: Vec<Error>,
    postgres: Vec<String>,
    /// TRUNCATE is an event of its own in the journal.
    event: Option<Event>,
    changed: bool,
}

impl<'a> Editor<'a> {
    fn new(writer: &'a Writer, environment: &Environment<'a>) -> Self {
        Self {
            writer,
            side: environment.side,
            catalog: Catalog::clone(environment.catalog),
            temporary: Temporary::clone(environment.temporary),
            search_path: environment.search_path,
            check_bodies: environment.check_bodies,
            freeze: environment.freeze,
            tag: String::new(),
            notices: Vec::new(),
            details: Vec::new(),
            postgres: Vec::new(),
            event: None,
            changed: false,
        }
    }

    fn change(&mut self, ddl: &Ddl) -> Result<()> {
        match ddl {
            Ddl::CreateTable(create) => self.create_table(create),
            Ddl::CreateTableAs { name, columns, query, temporary, if_not_exists, with_data } => {
                self.tag = "SELECT".to_owned();
                let options = create::AsOptions {
                    temporary: *temporary,
                    if_not_exists: *if_not_exists,
                    with_data: *with_data,
                };
                self.create_table_as(name, columns, query, options)
            }
            Ddl::CreateIndex(create) => self.create_index(create),
            Ddl::CreateView { name, columns, query, text, replace, temporary } => {
                let view = view::Definition { columns, query, text };
                self.create_view(name, &view, *replace, *temporary)
            }
            Ddl::CreateMaterialized { name, columns, query, text, if_not_exists, with_data } => {
                let (if_not_exists, with_data) = (*if_not_exists, *with_data);
                let wanted =
                    materialized::Wanted { columns, query, text, if_not_exists, with_data };
                self.create_materialized(name, &wanted)
            }
            Ddl::Refresh { name, concurrently, with_data } => {
                self.refresh(name, *concurrently, *with_data)
            }
            Ddl::CreateSequence { name, options, if_not_exists } => {
                self.create_sequence(name, options, *if_not_exists)
            }
            Ddl::AlterSequence { name, options, if_exists } => {
                self.alter_sequence(name, options, *if_exists)
            }
            Ddl::CreateSchema { name, if_not_exists } => self.create_schema(name, *if_not_exists),
            Ddl::SetSchema { kind, name, schema, if_exists } => {
                self.set_schema(*kind, name, schema, *if_exists)
            }
            Ddl::CreateExtension { name, if_not_exists } => {
                self.create_extension(name, *if_not_exists)
            }
            Ddl::CreateEnum { name, labels } => self.create_enum(name, labels),
            Ddl::CreateComposite { name, fields } => self.create_composite(name, fields),
            Ddl::AlterComposite { name, changes } => self.alter_composite(name, changes),
            Ddl::CreateDomain { name, ty, constraints } => {
                self.create_domain(name, ty, constraints)
            }
            Ddl::AlterEnum { name, change } => self.alter_enum(name, change),
            Ddl::Drop { kind, names, if_exists, cascade } => {
                self.drop_objects(*kind, names, *if_exists, *cascade)
            }
            Ddl::Truncate { tables, restart_identity, cascade } => {
                self.truncate(tables, *restart_identity, *cascade)
            }
            Ddl::AlterTable { name, actions, if_exists } => {
                self.alter_table(name, actions, *if_exists)
            }
            Ddl::Rename { kind, name, what, to, if_exists } => {
                self.rename(*kind, name, what, to, *if_exists)
            }
            Ddl::NoEffect(tag) => self.done(tag),
            Ddl::Comment { kind, name, part, text } => {
                self.comment(*kind, name, part.as_deref(), text.as_deref())
            }
            Ddl::CreateFunction(create) => self.create_function(create),
            Ddl::DropRoutines { kind, routines, if_exists, cascade } => {
                self.drop_routines(*kind, routines, *if_exists, *cascade)
            }
            Ddl::CreateTrigger(create) => self.create_trigger(create),
            Ddl::Grant(true) => self.done("GRANT"),
            Ddl::Grant(false) => self.done("REVOKE"),
        }
    }

    fn done(&mut self, tag: &str) -> Result<()> {
        tag.clone_into(&mut self.tag);
        Ok(())
    }

    fn finish(&mut self, fired: bool) -> Result<Applied> {
        if self.changed {
            self.catalog.fired = crate::sql::trigger::fired(&self.catalog);
        }
        if fired || self.catalog.fired.id != 0 {
            self.writer.clear_triggers()?;
            self.writer.bring_triggers(&self.catalog.fired)?;
        }
        if self.changed {
            self.catalog.version += 1;
            self.side.save_oids(self.writer)?;
        }
        let event = self.event.take().or_else(|| {
            (!self.postgres.is_empty()).then(|| {
                Event::Ddl(DdlEvent { tag: self.tag.clone(), postgres: self.postgres.clone() })
            })
        });
        if let Some(event) = event {
            self.writer.note(&event);
        }
        Ok(Applied {
            catalog: Arc::new(std::mem::take(&mut self.catalog)),
            temporary: Arc::new(std::mem::take(&mut self.temporary)),
            tag: std::mem::take(&mut self.tag),
            notices: std::mem::take(&mut self.notices),
            details: std::mem::take(&mut self.details),
            postgres: std::mem::take(&mut self.postgres),
        })
    }

    /// The notice of a CASCADE: what goes with what is dropped.
    fn cascades(&mut self, what: &[String]) {
        let none = SqlState(*b"00000");
        match what {
            [] => {}
            [one] => self.notice(none, format!("drop cascades to {one}")),
            _ => {
                let message = format!("drop cascades to {} other objects", what.len());
                let lines: Vec<String> =
                    what.iter().map(|w| format!("drop cascades to {w}")).collect();
                self.notices.push(Error::client(none, message).detail(lines.join("\n")));
            }
        }
    }

    fn notice(&mut self, state: SqlState, message: impl Into<String>) {
        self.notices.push(Error::client(state, message.into()));
    }

    /// An object as messages about dependencies call it: with its schema where the search path
    /// does not find it.
    fn told(&self, key: &str) -> String {
        match is_key(key) && !self.search_path.iter().any(|s| s == schema(key)) {
            true => qualified_ident(key),
            false => bare(key).to_owned(),
        }
    }

    /// What PostgreSQL tells at level DEBUG1.
    fn detail(&mut self, message: impl Into<String>) {
        self.details.push(Error::client(SqlState(*b"00000"), message.into()));
    }

    fn context(&self) -> Context<'_> {
        Context {
            catalog: &self.catalog,
            temporary: &self.temporary,
            search_path: self.search_path,
            param_types: &[],
        }
    }

    /// Names in use.
    fn namer(&self) -> Namer {
        Namer::of(&self.catalog, None)
    }

    /// A relation by the name a client wrote; None when there is none.
    fn find(&self, name: &Name) -> Result<Option<Arc<Relation>>> {
        let in_public = || self.catalog.relations.get(&name.name);
        let in_temporary = || self.temporary.get(&name.name);
        let found = match name.schema.as_deref() {
            None => in_temporary().or_else(in_public),
            Some("public") => in_public(),
            Some(schema) if schema.starts_with("pg_temp") => in_temporary(),
            Some("pg_catalog") => self.catalog.system.get(&name.name),
            Some("information_schema") => self.catalog.information.get(&name.name),
            Some(schema) if self.catalog.schemas.contains_key(schema) => {
                self.catalog.relations.get(&key(schema, &name.name))
            }
            Some(schema) => {
                let message = format!("schema \"{schema}\" does not exist");
                return Err(Error::client(state::INVALID_SCHEMA_NAME, message).at(name.pos));
            }
        };
        Ok(found.cloned())
    }

    /// A relation that must exist.
    fn existing(&self, name: &Name) -> Result<Arc<Relation>> {
        self.find(name)?.ok_or_else(|| no_relation(&name.name))
    }

    /// A table that must exist and may be changed.
    fn existing_table(&self, name: &Name) -> Result<Arc<Relation>> {
        let relation = self.existing(name)?;
        match relation.kind {
            RelationKind::Table | RelationKind::Temporary => Ok(relation),
            RelationKind::View => {
                let message = format!("\"{}\" is not a table", name.name);
                Err(Error::client(state::WRONG_OBJECT_TYPE, message))
            }
            RelationKind::System => Err(system_catalog(&name.name)),
        }
    }

    /// Where a new object goes: true for the temporary schema.
    fn target_schema(&self, name: &Name, temporary: bool) -> Result<bool> {
        match name.schema.as_deref() {
            None if temporary => Ok(true),
            None => {
                match self.search_path.iter().find(|s| *s != "pg_catalog").map(String::as_str) {
                    Some("public" | "\"$user\"") => Ok(false),
                    Some(schema) if schema.starts_with("pg_temp") => Ok(true),
                    Some(_) if self.search_path.iter().any(|s| s == "public") => Ok(false),
                    _ => {
                        let message = "no schema has been selected to create in";
                        Err(Error::client(state::INVALID_SCHEMA_NAME, message))
                    }
                }
            }
            Some("public") if temporary => {
                let message = "cannot create temporary relation in non-temporary schema";
                Err(Error::client(state::INVALID_TABLE_DEFINITION, message))
            }
            Some("public") => Ok(false),
            Some(schema) if schema.starts_with("pg_temp") => Ok(true),
            Some("pg_catalog" | "information_schema") => Err(system_catalog(&name.name)),
            Some(schema) => {
                let message = format!("schema \"{schema}\" does not exist");
                Err(Error::client(state::INVALID_SCHEMA_NAME, message).at(name.pos))
            }
        }
    }

    /// Whether a name is taken in its schema, by any kind of object.
    fn is_taken(&self, name: &str, temporary: bool) -> bool {
        if temporary {
            let of = |r: &Arc<Relation>| {
                r.name == name
                    || r.uniques.iter().any(|u| u.name == name)
                    || r.indexes.iter().any(|i| i.name == name)
            };
            return self.temporary.values().any(of);
        }
        self.namer().is_taken(name)
    }

    /// Checks that a new object's name is free: false when it is taken and IF NOT EXISTS.
    fn check_free(&mut self, name: &str, temporary: bool, if_not_exists: bool) -> Result<bool> {
        let lower = name.to_ascii_lowercase();
        if lower.starts_with("_crossfade_") || lower.starts_with("sqlite_") {
            let message = format!("unacceptable name \"{name}\"");
            let hint = "Names that begin with _crossfade_ or sqlite_ are reserved.";
            return Err(Error::client(state::RESERVED_NAME, message).hint(hint));
        }
        if is_reserved(bare(name)) {
            let message = "a name with control characters";
            return Err(Error::unsupported(message));
        }
        let enums = &self.catalog.enums;
        if !temporary && (enums.named(name).is_some() || enums.domain_named(name).is_some()) {
            let message = format!("type \"{name}\" already exists");
            return Err(Error::client(state::DUPLICATE_OBJECT, message).hint(
                "A relation has an associated type of the same name, so you must use a name \
                 that doesn't conflict with any existing type.",
            ));
        }
        if self.is_taken(name, temporary) {
            let message = format!("relation \"{name}\" already exists");
            if !if_not_exists {
                return Err(Error::client(state::DUPLICATE_TABLE, message));
            }
            self.notice(state::DUPLICATE_TABLE, format!("{message}, skipping"));
            return Ok(false);
        }
        Ok(true)
    }

    /// The name of a new object in the file: SQLite's names do not differ by letter case only.
    fn free_in_file(&self, name: &str, oid: u32, temporary: bool) -> Result<String> {
        let schema = if temporary { "temp" } else { "\"public\"" };
        let name = &*shown(name);
        let sql =
            format!("SELECT 1 FROM {schema}.sqlite_schema WHERE name = ?1 COLLATE NOCASE LIMIT 1");
        let taken = self.writer.query_integer(&sql, &[Cell::Text(name.to_owned())])?.is_some();
        Ok(if taken { format!("{name}~{oid}") } else { name.to_owned() })
    }

    /// The name an index of a relation has in the file; None when the file has none for it.
    fn index_name_in_file(
        &self,
        relation: &Relation,
        name: &str,
        oid: u32,
    ) -> Result<Option<String>> {
        let sql = format!(
            "SELECT name FROM {}.sqlite_schema WHERE type = 'index' AND sql IS NOT NULL \
             AND tbl_name = ?1 COLLATE NOCASE AND name IN (?2, ?3) ORDER BY name = ?2 LIMIT 1",
            rebuild::schema_of(relation)
        );
        let params = [
            Cell::Text(relation.sqlite_name.clone()),
            Cell::Text(name.to_owned()),
            Cell::Text(format!("{name}~{oid}")),
        ];
        Ok(match self.writer.query_row(&sql, &params)?.as_deref() {
            Some([Cell::Text(found), ..]) => Some(found.clone()),
            _ => None,
        })
    }

    /// Records a relation as it is now.
    fn store(&mut self, relation: Relation) -> Result<()> {
        self.changed = true;
        if relation.kind == RelationKind::Temporary || relation.schema == "pg_temp" {
            self.temporary.insert(relation.name.clone(), Arc::new(relation));
            return Ok(());
        }
        save_relation(self.writer, &relation)?;
        self.catalog.relations.insert(relation.name.clone(), Arc::new(relation));
        Ok(())
    }

    /// Removes a relation's record.
    fn forget(&mut self, relation: &Relation) -> Result<()> {
        self.changed = true;
        if relation.schema == "pg_temp" {
            self.temporary.remove(&relation.name);
            return Ok(());
        }
        self.catalog.relations.remove(&relation.name);
        forget_relation(self.writer, relation.oid)
    }

    /// Changes are sent to PostgreSQL unless they are about a temporary object.
    fn ship(&mut self, relation: &Relation, text: impl Into<String>) {
        if relation.schema != "pg_temp" {
            self.postgres.push(text.into());
        }
    }
}

/// 42P01 for a relation.
fn no_relation(name: &str) -> Error {
    Error::client(state::UNDEFINED_TABLE, format!("relation \"{name}\" does not exist"))
}

fn system_catalog(name: &str) -> Error {
    let message = format!("permission denied: \"{name}\" is a system catalog");
    Error::client(state::INSUFFICIENT_PRIVILEGE, message)
}

fn no_column(column: &str, table: &str) -> Error {
    let message = format!("column \"{column}\" of relation \"{table}\" does not exist");
    Error::client(state::UNDEFINED_COLUMN, message)
}

/// 2BP01 with its hint.
fn dependents(what: &str, details: &[String]) -> Error {
    let message = format!("cannot drop {what} because other objects depend on it");
    Error::client(state::DEPENDENT_OBJECTS_STILL_EXIST, message)
        .detail(details.join("\n"))
        .hint("Use DROP ... CASCADE to drop the dependent objects too.")
}
