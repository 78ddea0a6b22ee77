//! Bringing the side catalog and the file together, at start.
//!
//! The file is right about what exists, the side catalog about what it means: a table that
//! is not recorded, or whose schema text has changed since, is taken over anew (columns that
//! were known keep their types); a record without a table is dropped.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::load::{self, SchemaObject};
use super::{FIRST_OID, Side, literal, quoted, store};
use crate::backend::sqlite::Connection;
use crate::backend::sqlite::adopt::{
    self, Finding, FindingKind, Findings, Habit, Planning, Source, habits,
};
use crate::error::{Error, Result, state};
use crate::schema::{Catalog, Relation, RelationKind};
use crate::sql::stored::{self, Object};
use crate::value::Cell;

/// What [`prepare`] found.
pub struct Prepared {
    /// Handle for DDL and sequences.
    pub side: Arc<Side>,
    /// The catalog.
    pub catalog: Arc<Catalog>,
    /// What could not be carried over as declared, for tables taken over now.
    pub findings: Vec<Finding>,
}

/// Creates the side tables, takes over tables that are not recorded yet and loads
/// everything. To be called in a writer's transaction, which the caller commits.
///
/// # Errors
/// XX001 when the side catalog is damaged; SQLite's own errors.
pub fn prepare(connection: &Connection) -> Result<Prepared> {
    prepare_with(connection, &Planning::default())
}

/// As [`prepare`], under the overrides of the configuration.
///
/// # Errors
/// As [`prepare`].
pub fn prepare_with(connection: &Connection, planning: &Planning) -> Result<Prepared> {
    store::create(connection)?;
    let side_and_catalog = recorded(connection, true)?;
    let prepared = run(connection, planning, side_and_catalog, true)?;
    prepared.side.save_oids(connection)?;
    prepared.side.sequences.load(connection)?;
    Ok(prepared)
}

/// What [`prepare_with`] would make of the file, without a word written: every table is
/// looked at anew, and what a proxy has recorded keeps its types.
///
/// # Errors
/// As [`prepare`].
pub fn plan(connection: &Connection, planning: &Planning) -> Result<Prepared> {
    let sql = "SELECT 1 FROM \"public\".sqlite_schema WHERE name = '_crossfade_relations'";
    let there = connection.query_integer(sql, &[])?.is_some()
        && crate::backend::sqlite::taken(connection)?.is_none();
    run(connection, planning, recorded(connection, there)?, false)
}

/// What the side catalog holds; nothing when it is not there.
fn recorded(connection: &Connection, there: bool) -> Result<(Catalog, Vec<load::Recorded>)> {
    let mut catalog = Catalog { version: 1, ..Catalog::system_only() };
    if !there {
        return Ok((catalog, Vec::new()));
    }
    load::sequences(connection, &mut catalog)?;
    load::types(connection, &mut catalog)?;
    load::described(connection, &mut catalog)?;
    Ok((catalog, load::relations(connection)?))
}

fn run(
    connection: &Connection,
    planning: &Planning,
    (catalog, recorded): (Catalog, Vec<load::Recorded>),
    keep: bool,
) -> Result<Prepared> {
    let next = first_free_oid(connection, &recorded, &catalog, keep)?;
    let side = Side::new(next);
    let objects = load::schema_objects(connection)?;
    let tables = objects
        .iter()
        .filter(|o| o.kind == "table")
        .map(|o| (o.name.as_str(), o.sql.as_deref().unwrap_or_default()));
    let habit = habits::of_file(tables);
    let findings = Vec::new();
    let mut run = Run { connection, side: &side, catalog, findings, planning, habit, keep };
    let sources = run.keep_or_take(&objects, recorded)?;
    run.take(&objects, sources)?;
    run.drop_lost_sequences()?;
    if keep {
        run.align_counters()?;
    }
    for name in load::virtual_tables(connection)? {
        let message = "virtual tables are not served";
        Findings::new(&name, &mut run.findings).add(None, FindingKind::Skipped, message);
    }
    let Run { mut catalog, findings, .. } = run;
    catalog.fired = crate::sql::trigger::fired(&catalog);
    Ok(Prepared { catalog: Arc::new(catalog), findings, side: Arc::new(side) })
}

fn first_free_oid(
    connection: &Connection,
    recorded: &[load::Recorded],
    catalog: &Catalog,
    there: bool,
) -> Result<u32> {
    let used = recorded.iter().flat_map(|r| {
        let r = &r.relation;
        let uniques = r.uniques.iter().map(|u| u.oid);
        let indexes = r.indexes.iter().map(|i| i.oid);
        let keys = r.foreign_keys.iter().map(|k| k.oid);
        let checks = r.checks.iter().map(|c| c.oid);
        let triggers = r.triggers.iter().map(|t| t.oid);
        let parts = uniques.chain(indexes).chain(keys).chain(checks).chain(triggers);
        std::iter::once(r.oid).chain(parts)
    });
    let sequences = catalog.sequences.values().map(|s| s.oid);
    let functions = catalog.functions.values().map(|f| f.oid);
    let extensions = catalog.extensions.values().chain(catalog.schemas.values()).copied();
    let highest = used
        .chain(sequences)
        .chain(functions)
        .chain(extensions)
        .max()
        .map_or(FIRST_OID, |o| o.saturating_add(1));
    let next = if there { load::next_oid(connection)? } else { None };
    Ok(next.unwrap_or(FIRST_OID).max(highest))
}

/// A recorded relation with what its columns' affinities add, which is not recorded.
fn settled(mut relation: Relation, object: &SchemaObject) -> Relation {
    if let Some(Ok(Object::Table(table))) = object.sql.as_deref().map(stored::read) {
        adopt::settle(&mut relation, &table);
    }
    relation
}

/// A table or view to take over: its object and what was recorded about it.
struct Pending {
    object: SchemaObject,
    former: Option<Relation>,
}

struct Run<'a> {
    connection: &'a Connection,
    side: &'a Side,
    catalog: Catalog,
    findings: Vec<Finding>,
    planning: &'a Planning,
    /// The library that made the file.
    habit: Option<Habit>,
    /// Everything is recorded in the side catalog.
    keep: bool,
}

impl<'r> Run<'r> {
    fn save(&self, relation: &Relation) -> Result<()> {
        if self.keep { store::save_relation(self.connection, relation) } else { Ok(()) }
    }

    fn forget(&self, oid: u32) -> Result<()> {
        if self.keep { store::forget_relation(self.connection, oid) } else { Ok(()) }
    }

    /// Keeps every record that still fits; returns what is to be taken over.
    fn keep_or_take(
        &mut self,
        objects: &[SchemaObject],
        recorded: Vec<load::Recorded>,
    ) -> Result<Vec<Pending>> {
        let mut by_name = BTreeMap::new();
        for entry in recorded {
            if entry.relation.view_sql.is_some() {
                // Our own views are not in the file.
                self.insert(entry.relation);
            } else {
                by_name.insert(entry.relation.sqlite_name.to_ascii_lowercase(), entry);
            }
        }
        let mut pending = Vec::new();
        for object in objects.iter().filter(|o| matches!(o.kind.as_str(), "table" | "view")) {
            let known = by_name.remove(&object.name.to_ascii_lowercase());
            let stored = load::stored_text(self.connection, &object.name)?;
            match known {
                Some(known)
                    if self.keep
                        && known.stored == stored
                        && !self.planning.contradicts(&known.relation) =>
                {
                    self.insert(settled(known.relation, object));
                }
                known => pending
                    .push(Pending { object: object.clone(), former: known.map(|k| k.relation) }),
            }
        }
        for lost in by_name.into_values() {
            self.forget(lost.relation.oid)?;
        }
        Ok(pending)
    }

    fn insert(&mut self, relation: Relation) {
        self.catalog.relations.insert(relation.name.clone(), Arc::new(relation));
    }

    fn take(&mut self, objects: &[SchemaObject], pending: Vec<Pending>) -> Result<()> {
        let mut parsed = Vec::new();
        let (tables, views): (Vec<_>, Vec<_>) =
            pending.into_iter().partition(|p| p.object.kind == "table");
        for entry in tables {
            let sql = entry.object.sql.clone().unwrap_or_default();
            match stored::read(&sql) {
                Ok(Object::Table(table)) if table.columns.len() <= COLUMNS_MAX => {
                    parsed.push((entry, sql, table));
                }
                Ok(Object::Table(table)) => {
                    let message = format!(
                        "{} columns are more than PostgreSQL's {COLUMNS_MAX}",
                        table.columns.len()
                    );
                    self.skip(&entry, message)?;
                }
                _ => self.skip(&entry, "its definition cannot be read".to_owned())?,
            }
        }
        // Foreign keys need all parents, so tables come first.
        let mut taken = Vec::new();
        for (entry, sql, table) in &parsed {
            let indexes = texts(objects, &entry.object.name, "index");
            let mut source = self.source(entry, sql, table, &indexes, objects);
            source.bounds = source.bounds.share(parsed.len() * 2 + views.len() - taken.len());
            let adopted = adopt::table(
                self.connection,
                self.side,
                &source,
                &mut self.catalog,
                &mut self.findings,
            );
            let mut relation = match adopted {
                Ok(relation) => relation,
                // One table that SQLite cannot read does not take the others along.
                Err(error) if concerns_table(&error) => {
                    taken.push(None);
                    self.skip(entry, format!("SQLite cannot read it: {}", error.message()))?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            if let Some(former) = &entry.former {
                relation.triggers.clone_from(&former.triggers);
            }
            taken.push(Some(relation.name.clone()));
            self.insert(relation);
        }
        for (done, ((entry, sql, table), name)) in parsed.iter().zip(&taken).enumerate() {
            let indexes = texts(objects, &entry.object.name, "index");
            let mut source = self.source(entry, sql, table, &indexes, objects);
            source.bounds = source.bounds.share(parsed.len() + views.len() - done);
            let relation = name.as_ref().and_then(|name| self.catalog.relations.get(name));
            let Some(relation) = relation else { continue };
            let mut relation = Relation::clone(relation);
            adopt::foreign_keys(
                self.connection,
                self.side,
                &source,
                &mut relation,
                &self.catalog,
                &mut self.findings,
            )?;
            self.save(&relation)?;
            self.insert(relation);
        }
        for (done, entry) in views.iter().enumerate() {
            self.take_view(entry, views.len() - done)?;
        }
        for sequence in self.catalog.sequences.values().filter(|_| self.keep) {
            store::save_sequence(self.connection, sequence, sequence.oid)?;
        }
        Ok(())
    }

    /// What a table is taken over from.
    fn source<'a>(
        &self,
        entry: &'a Pending,
        sql: &'a str,
        table: &'a stored::Table,
        indexes: &'a [String],
        objects: &[SchemaObject],
    ) -> Source<'a>
    where
        'r: 'a,
    {
        let triggers = objects
            .iter()
            .any(|o| o.kind == "trigger" && o.table.eq_ignore_ascii_case(&entry.object.name));
        let former = entry.former.as_ref().filter(|f| f.kind == RelationKind::Table);
        let habit = habits::of_table(sql, self.habit);
        let (planning, bounds) = (self.planning, self.planning.bounds);
        Source { sql, table, indexes, triggers, former, habit, planning, bounds }
    }

    fn take_view(&mut self, entry: &Pending, left: usize) -> Result<()> {
        let object = &entry.object;
        let bounds = self.planning.bounds.share(left);
        let view = adopt::View {
            name: &object.name,
            sql: object.sql.as_deref().unwrap_or_default(),
            former: entry.former.as_ref(),
            bounds,
        };
        // A view may read whole tables for its first row.
        self.connection.set_deadline(bounds.until);
        let relation =
            adopt::view(self.connection, self.side, &view, &self.catalog, &mut self.findings);
        self.connection.set_deadline(None);
        match (relation?, &entry.former) {
            (Some(relation), _) => {
                self.save(&relation)?;
                self.insert(relation);
            }
            (None, Some(former)) => self.forget(former.oid)?,
            (None, None) => {}
        }
        Ok(())
    }

    fn skip(&mut self, entry: &Pending, message: String) -> Result<()> {
        let mut findings = Findings::new(&entry.object.name, &mut self.findings);
        findings.add(None, FindingKind::Skipped, message);
        match &entry.former {
            Some(former) => self.forget(former.oid),
            None => Ok(()),
        }
    }

    /// Sequences of tables that are gone.
    fn drop_lost_sequences(&mut self) -> Result<()> {
        let relations = &self.catalog.relations;
        let lost: Vec<String> = self
            .catalog
            .sequences
            .values()
            .filter(|s| s.owned_by.as_ref().is_some_and(|(t, _)| !relations.contains_key(t)))
            .map(|s| s.name.clone())
            .collect();
        for name in lost {
            self.catalog.sequences.remove(&name);
            if !self.keep {
                continue;
            }
            self.connection.execute(
                "DELETE FROM \"_crossfade_sequences\" WHERE name = ?1",
                &[Cell::Text(name)],
            )?;
        }
        Ok(())
    }

    /// Rowid aliases are also counted up by programs that write to the file directly: their
    /// sequences begin behind whatever SQLite has given out.
    fn align_counters(&mut self) -> Result<()> {
        let has_sqlite_sequence = self
            .connection
            .query_integer(
                "SELECT 1 FROM \"public\".sqlite_schema WHERE name = 'sqlite_sequence'",
                &[],
            )?
            .is_some();
        for relation in self.catalog.relations.values() {
            let Some(position) = relation.rowid_alias else { continue };
            let column = &relation.columns[position];
            let Some(sequence) = &column.sequence else { continue };
            let given = if has_sqlite_sequence {
                format!(
                    "(SELECT max(seq) FROM \"public\".sqlite_sequence WHERE name = {} COLLATE NOCASE)",
                    literal(&relation.sqlite_name)
                )
            } else {
                "NULL".to_owned()
            };
            let highest = format!(
                "max(coalesce({given}, 0), coalesce((SELECT max({}) FROM \"public\".{}), 0), 0)",
                quoted(&column.sqlite_name),
                quoted(&relation.sqlite_name)
            );
            self.connection.execute(
                &format!(
                    "UPDATE \"_crossfade_sequences\" SET last_value = {highest}, is_called = 1 \
                     WHERE name = ?1 AND {highest} > 0 AND increment > 0 \
                     AND (last_value < {highest} OR (last_value = {highest} AND NOT is_called))"
                ),
                &[Cell::Text(sequence.clone())],
            )?;
        }
        Ok(())
    }
}

/// Whether an error is about the table that was read, not about the file or the machine: a
/// function or collation that only the application has, a page that is damaged.
fn concerns_table(error: &Error) -> bool {
    let state = error.sqlstate();
    state == state::DATA_CORRUPTED || matches!(state.class(), "22" | "42" | "XX")
}

/// Columns a table may have, as in PostgreSQL.
const COLUMNS_MAX: usize = 1600;

fn texts(objects: &[SchemaObject], table: &str, kind: &str) -> Vec<String> {
    objects
        .iter()
        .filter(|o| o.kind == kind && o.table.eq_ignore_ascii_case(table))
        .filter_map(|o| o.sql.clone())
        .collect()
}
