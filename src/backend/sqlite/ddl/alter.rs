//! ALTER TABLE, action by action.
//!
//! In-place where SQLite can do it without touching a value, else by a rebuild.

use super::alter_constraint::{remove_stored_check, remove_stored_key};
use super::column::keep_sequence;
use super::drop::remove_stored_foreign_key;
use super::rebuild::{Rebuild, schema_of};
use super::{Editor, create, dependents, no_column, physical, postgres, sequence};
use crate::backend::sqlite::adopt::nextval;
use crate::backend::sqlite::catalog::quoted;
use crate::backend::sqlite::system::{columns_named, format_type, qualified_ident, quote_ident};
use crate::error::{Error, Result, SqlState, state};
use crate::schema::{Catalog, Column, Identity, IndexKey, Relation};
use crate::sql::ast::{AlterAction, ColumnDef, Name, SequenceOptions};
use crate::sql::stored;
use crate::value::{Cell, oid};

impl Editor<'_> {
    pub(super) fn alter_table(
        &mut self,
        name: &Name,
        actions: &[AlterAction],
        if_exists: bool,
    ) -> Result<()> {
        self.tag = "ALTER TABLE".to_owned();
        if self.find(name)?.is_none() {
            if self.catalog.sequences.contains_key(&name.name) {
                if actions.iter().all(|a| matches!(a, AlterAction::NoEffect(_))) {
                    return Ok(());
                }
                return Err(Error::unsupported("ALTER TABLE on a sequence"));
            }
            return self.missing(&name.name, "relation", if_exists, state::UNDEFINED_TABLE);
        }
        // PostgreSQL drops first, then changes types, adds columns, and adds constraints last.
        let mut ordered: Vec<&AlterAction> = actions.iter().collect();
        ordered.sort_by_key(|a| match a {
            AlterAction::DropColumn(..)
            | AlterAction::DropConstraint(..)
            | AlterAction::SetDefault(_, None) => 0,
            AlterAction::AlterType(..) => 1,
            AlterAction::AddColumn(..) => 2,
            AlterAction::AddConstraint(_) => 4,
            _ => 3,
        });
        for action in ordered {
            if matches!(action, AlterAction::NoEffect(_)) {
                continue;
            }
            let relation = Relation::clone(&*self.existing_table(name)?);
            self.alter_action(relation, action)?;
        }
        Ok(())
    }

    fn alter_action(&mut self, relation: Relation, action: &AlterAction) -> Result<()> {
        match action {
            AlterAction::AddColumn(def, if_not_exists) => {
                self.add_column(relation, def, *if_not_exists)
            }
            AlterAction::DropColumn(column, if_exists, cascade) => {
                self.drop_column(relation, column, *if_exists, *cascade)
            }
            AlterAction::AlterType(column, ty, collation, using) => {
                self.alter_type(relation, column, (ty, collation.as_ref()), using.as_ref())
            }
            AlterAction::SetDefault(column, default) => {
                let text = default.as_ref().map(|(_, text)| text.as_str());
                self.set_default(relation, column, text)
            }
            AlterAction::SetNotNull(column, on) => self.set_not_null(relation, column, *on),
            AlterAction::AddConstraint(constraint) => {
                self.add_table_constraint(relation, constraint)
            }
            AlterAction::DropConstraint(name, if_exists, cascade) => {
                self.drop_constraint(relation, name, *if_exists, *cascade)
            }
            AlterAction::ValidateConstraint(name) => self.validate(relation, name),
            AlterAction::AddIdentity(column, always, options) => {
                self.add_identity(relation, column, *always, options)
            }
            AlterAction::DropIdentity(column, if_exists) => {
                self.drop_identity(relation, column, *if_exists)
            }
            AlterAction::SetIdentity(column, always, options) => {
                self.set_identity(relation, column, *always, options)
            }
            AlterAction::EnableTrigger(name, on) => {
                self.enable_trigger(relation, name.as_deref(), *on)
            }
            AlterAction::NoEffect(_) => Ok(()),
            AlterAction::Unsupported(what) => Err(Error::unsupported(what)),
        }
    }

    pub(super) fn alter_text(&self, relation: &Relation, what: &str) -> String {
        format!("ALTER TABLE {} {what}", postgres::name(relation))
    }

    fn is_empty(&self, relation: &Relation) -> Result<bool> {
        let sql = format!(
            "SELECT 1 FROM {}.{} LIMIT 1",
            schema_of(relation),
            quoted(&relation.sqlite_name)
        );
        Ok(self.writer.query_integer(&sql, &[])?.is_none())
    }

    fn add_column(
        &mut self,
        mut relation: Relation,
        def: &ColumnDef,
        if_not_exists: bool,
    ) -> Result<()> {
        if relation.column(&def.name).is_some() {
            let message =
                format!("column \"{}\" of relation \"{}\" already exists", def.name, relation.name);
            if if_not_exists {
                self.notice(state::DUPLICATE_COLUMN, format!("{message}, skipping"));
                return Ok(());
            }
            return Err(Error::client(state::DUPLICATE_COLUMN, message));
        }
        if relation.columns.len() >= create::COLUMNS_MAX {
            let message = format!("tables can have at most {} columns", create::COLUMNS_MAX);
            return Err(Error::client(state::TOO_MANY_COLUMNS, message));
        }
        let mut namer = self.namer();
        let new = self.new_column(def, &relation, &mut namer)?;
        if let Some(sequence) = new.sequence {
            keep_sequence(self, sequence)?;
        }
        let position = relation.columns.len();
        let mut column = new.column;
        let default = self.default_cell(&column);
        let computed = column.default.is_some() && default.is_none();
        let empty = self.is_empty(&relation)?;
        let domain = column.domain.and_then(|d| self.catalog.enums.domain(d));
        if !empty && domain.is_some_and(|d| d.constrained()) {
            // Each row there is would have to pass.
            return Err(Error::unsupported("a new column of a domain in a table with rows"));
        }
        if column.not_null && column.default.is_none() && column.generated.is_none() && !empty {
            return Err(contains_nulls(&column.name, &relation.name));
        }
        let not_null = column.not_null;
        let filled_later = computed && !empty;
        if filled_later {
            column.not_null = false;
        }
        let text = postgres::column(
            &Column { default: column.default.clone().filter(|_| !filled_later), ..column.clone() },
            &self.catalog,
        );
        let name = column.name.clone();
        relation.columns.push(column);
        self.settle_generated(&mut relation)?;
        self.put_column(&relation, position, default)?;
        for text in self.sequence_texts(&relation, &name) {
            self.ship(&relation, text);
        }
        let text = self.alter_text(&relation, &format!("ADD COLUMN {text}"));
        self.ship(&relation, text);
        self.store(relation.clone())?;
        if !empty && relation.columns[position].generated.as_ref().is_some_and(|g| g.in_plan) {
            self.compute_rows(&relation)?;
        }
        if filled_later {
            self.fill_column(&relation, position)?;
            let default = relation.columns[position].default.clone().unwrap_or_default();
            let column = quote_ident(&name);
            if relation.columns[position].identity.is_none() {
                let what = format!("ALTER COLUMN {column} SET DEFAULT {default}");
                let text = self.alter_text(&relation, &what);
                self.ship(&relation, text);
            }
            if not_null {
                self.set_not_null(relation.clone(), &name, true)?;
            }
        }
        for constraint in &new.constraints {
            let current = Relation::clone(&*self.existing_table(&own_name(&relation))?);
            self.add_table_constraint(current, constraint)?;
        }
        Ok(())
    }

    /// CREATE SEQUENCE for a serial column that is being added.
    fn sequence_texts(&self, relation: &Relation, column: &str) -> Vec<String> {
        let Some(position) = relation.column(column) else { return Vec::new() };
        let column = &relation.columns[position];
        let sequence = column.sequence.as_ref().filter(|_| column.identity.is_none());
        let found = sequence.and_then(|s| self.catalog.sequences.get(s));
        found.map(|s| postgres::create_sequence(s)).into_iter().collect()
    }

    /// Adds the last column of `relation` to the file.
    fn put_column(
        &mut self,
        relation: &Relation,
        position: usize,
        default: Option<Cell>,
    ) -> Result<()> {
        let column = &relation.columns[position];
        let mut before = self.stored_table(relation)?;
        let constraints = before.constraints.len();
        let has_default = default.as_ref().is_some_and(|d| !d.is_null());
        let definition = physical::column_of(column, relation, default, &mut before)?;
        let simple = definition.generated.is_none()
            && before.constraints.len() == constraints
            && (!column.not_null || has_default);
        if simple {
            let sql = format!(
                "ALTER TABLE {}.{} ADD COLUMN {}",
                schema_of(relation),
                quoted(&relation.sqlite_name),
                physical::column_sql(&definition)
            );
            return self.writer.execute(&sql, &[]).map(|_| ());
        }
        before.columns.push(definition);
        self.rebuild(relation, &before, &Rebuild::default())
    }

    fn drop_column(
        &mut self,
        mut relation: Relation,
        column: &str,
        if_exists: bool,
        cascade: bool,
    ) -> Result<()> {
        let Some(position) = relation.column(column) else {
            let error = no_column(column, &relation.name);
            if if_exists {
                self.notice(SqlState(*b"00000"), format!("{}, skipping", error.message()));
                return Ok(());
            }
            return Err(error);
        };
        if relation.columns.len() == 1 {
            return Err(Error::unsupported("a table without columns"));
        }
        self.check_trigger_columns(&relation, column)?;
        self.drop_dependents(&relation, position, cascade)?;
        // What depended on it is gone now.
        relation = Relation::clone(&*self.existing_table(&own_name(&relation))?);
        let position = relation.column(column).unwrap_or(position);
        let mut table = self.stored_table(&relation)?;
        let dropped = without_column(&mut relation, &mut table, position);
        self.rebuild(&relation, &table, &Rebuild { dropped, ..Rebuild::default() })?;
        if let Some(sequence) = self.owned_by(&relation.name, column) {
            self.forget_sequence(&sequence)?;
        }
        let cascade = if cascade { " CASCADE" } else { "" };
        let text =
            self.alter_text(&relation, &format!("DROP COLUMN {}{cascade}", quote_ident(column)));
        self.ship(&relation, text);
        self.store(relation)
    }

    fn owned_by(&self, table: &str, column: &str) -> Option<String> {
        let owner = (table.to_owned(), column.to_owned());
        let mut sequences = self.catalog.sequences.values();
        sequences.find(|s| s.owned_by.as_ref() == Some(&owner)).map(|s| s.name.clone())
    }

    /// Views, generated columns and foreign keys that need a column.
    fn drop_dependents(
        &mut self,
        relation: &Relation,
        position: usize,
        cascade: bool,
    ) -> Result<()> {
        if relation.schema == "pg_temp" {
            return Ok(());
        }
        let column = relation.columns[position].name.clone();
        let mut after = Catalog::clone(&self.catalog);
        let mut changed = relation.clone();
        changed.columns.remove(position);
        changed.uniques.clear();
        changed.primary_key = None;
        after.relations.insert(changed.name.clone(), changed.into());
        let views = self.broken_views(&after);
        let key = |r: &Relation, k: &crate::schema::ForeignKey| {
            r.oid != relation.oid && k.table == relation.name && k.referenced.contains(&column)
        };
        let children: Vec<(String, String)> = self
            .catalog
            .relations
            .values()
            .flat_map(|r| {
                let keys = r.foreign_keys.iter().filter(|k| key(r, k));
                keys.map(|k| (r.name.clone(), k.name.clone()))
            })
            .collect();
        let generated = self.generated_from(relation, position);
        let unused = views.is_empty() && children.is_empty() && generated.is_empty();
        if !cascade && !unused {
            let of = format!("column {column} of table {}", relation.name);
            let mut details: Vec<String> =
                views.iter().map(|v| format!("view {} depends on {of}", v.name)).collect();
            details.extend(children.iter().map(|(table, constraint)| {
                format!("constraint {constraint} on table {table} depends on {of}")
            }));
            details.extend(
                generated
                    .iter()
                    .map(|c| format!("column {c} of table {} depends on {of}", relation.name)),
            );
            return Err(dependents(&of, &details));
        }
        let mut lines: Vec<String> = views.iter().map(|v| format!("view {}", v.name)).collect();
        lines.extend(children.iter().map(|(t, c)| format!("constraint {c} on table {t}")));
        lines.extend(generated.iter().map(|c| format!("column {c} of table {}", relation.name)));
        self.cascades(&lines);
        for column in generated {
            let current = Relation::clone(&*self.existing_table(&own_name(relation))?);
            let text = std::mem::take(&mut self.postgres);
            self.drop_column(current, &column, true, true)?;
            // PostgreSQL's CASCADE does it.
            self.postgres = text;
        }
        for view in views {
            self.forget(&view)?;
        }
        for (table, constraint) in children {
            self.drop_foreign_key(&table, &constraint)?;
        }
        Ok(())
    }

    fn set_default(
        &mut self,
        mut relation: Relation,
        column: &str,
        text: Option<&str>,
    ) -> Result<()> {
        let Some(position) = relation.column(column) else {
            return Err(no_column(column, &relation.name));
        };
        let changed = &relation.columns[position];
        if changed.identity.is_some() {
            let message = format!(
                "column \"{column}\" of relation \"{}\" is an identity column",
                relation.name
            );
            return Err(Error::client(state::SYNTAX_ERROR, message));
        }
        if changed.generated.is_some() {
            let message = format!(
                "column \"{column}\" of relation \"{}\" is a generated column",
                relation.name
            );
            return Err(Error::client(state::SYNTAX_ERROR, message));
        }
        let default = match text {
            Some(text) => self.checked_default(text, changed)?,
            None => None,
        };
        let own = changed.sequence.as_deref().map(nextval);
        let changed = &mut relation.columns[position];
        changed.default = default;
        changed.sqlite_default = None;
        if own != changed.default {
            changed.sequence = None;
        }
        let cell = self.default_cell(&relation.columns[position]);
        let mut table = self.stored_table(&relation)?;
        let mut probe = stored::Table::default();
        let wanted = Column { generated: None, ..relation.columns[position].clone() };
        let wanted = physical::column_of(&wanted, &relation, cell, &mut probe)?.default;
        let name = &relation.columns[position].sqlite_name;
        if let Some(stored) = table.columns.iter_mut().find(|c| c.name == *name)
            && stored.default != wanted
        {
            stored.default = wanted;
            self.rebuild(&relation, &table, &Rebuild::default())?;
        }
        let what = match &relation.columns[position].default {
            Some(default) => format!("SET DEFAULT {default}"),
            None => "DROP DEFAULT".to_owned(),
        };
        let text =
            self.alter_text(&relation, &format!("ALTER COLUMN {} {what}", quote_ident(column)));
        self.ship(&relation, text);
        self.store(relation)
    }

    pub(super) fn set_not_null(
        &mut self,
        mut relation: Relation,
        column: &str,
        on: bool,
    ) -> Result<()> {
        let Some(position) = relation.column(column) else {
            return Err(no_column(column, &relation.name));
        };
        let in_key = relation.primary_key.as_ref().is_some_and(|k| k.contains(&position));
        if !on && in_key {
            let message = format!("column \"{column}\" is in a primary key");
            return Err(Error::client(state::INVALID_TABLE_DEFINITION, message));
        }
        if !on && relation.columns[position].identity.is_some() {
            let message = format!(
                "column \"{column}\" of relation \"{}\" is an identity column",
                relation.name
            );
            return Err(Error::client(state::SYNTAX_ERROR, message));
        }
        if on {
            self.check_no_nulls(&relation, &[position])?;
        }
        let what = if on { "SET NOT NULL" } else { "DROP NOT NULL" };
        let text =
            self.alter_text(&relation, &format!("ALTER COLUMN {} {what}", quote_ident(column)));
        relation.columns[position].not_null = on;
        let name = relation.columns[position].sqlite_name.clone();
        let mut table = self.stored_table(&relation)?;
        if let Some(stored) = table.columns.iter_mut().find(|c| c.name == name)
            && stored.not_null.is_some() != on
        {
            stored.not_null = on.then(stored::NotNull::default);
            self.rebuild(&relation, &table, &Rebuild::default())?;
        }
        self.ship(&relation, text);
        self.store(relation)
    }

    pub(super) fn check_no_nulls(&self, relation: &Relation, columns: &[usize]) -> Result<()> {
        for position in columns {
            let column = &relation.columns[*position];
            let sql = format!(
                "SELECT 1 FROM {}.{} WHERE {} IS NULL LIMIT 1",
                schema_of(relation),
                quoted(&relation.sqlite_name),
                quoted(&column.sqlite_name)
            );
            if self.writer.query_integer(&sql, &[])?.is_some() {
                return Err(contains_nulls(&column.name, &relation.name));
            }
        }
        Ok(())
    }

    fn add_identity(
        &mut self,
        mut relation: Relation,
        column: &str,
        always: bool,
        options: &SequenceOptions,
    ) -> Result<()> {
        let Some(position) = relation.column(column) else {
            return Err(no_column(column, &relation.name));
        };
        let of =
            |what: &str| format!("column \"{column}\" of relation \"{}\" {what}", relation.name);
        let current = &relation.columns[position];
        if current.identity.is_some() {
            let message = of("is already an identity column");
            return Err(Error::client(state::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
        }
        if !current.not_null {
            let message = of("must be declared NOT NULL before identity can be added");
            return Err(Error::client(state::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
        }
        if current.default.is_some() {
            let message = of("already has a default value");
            return Err(Error::client(state::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
        }
        if !matches!(current.ty.oid, oid::INT2 | oid::INT4 | oid::INT8) {
            let message = "identity column type must be smallint, integer, or bigint";
            return Err(Error::client(state::INVALID_PARAMETER_VALUE, message));
        }
        let mut namer = self.namer();
        let mut new = super::column::NewColumn {
            column: current.clone(),
            sequence: None,
            constraints: Vec::new(),
        };
        self.owned_sequence(&mut new, &relation, options, &mut namer)?;
        if let Some(sequence) = new.sequence {
            keep_sequence(self, sequence)?;
        }
        let kind = if always { "ALWAYS" } else { "BY DEFAULT" };
        new.column.identity = Some(if always { Identity::Always } else { Identity::ByDefault });
        relation.columns[position] = new.column;
        let what = format!(
            "ALTER COLUMN {} ADD GENERATED {kind} AS IDENTITY (SEQUENCE NAME {}{})",
            quote_ident(column),
            qualified_ident(relation.columns[position].sequence.as_deref().unwrap_or_default()),
            sequence::clauses(options)
        );
        let text = self.alter_text(&relation, &what);
        self.ship(&relation, text);
        self.store(relation)
    }

    fn drop_identity(
        &mut self,
        mut relation: Relation,
        column: &str,
        if_exists: bool,
    ) -> Result<()> {
        let Some(position) = relation.column(column) else {
            return Err(no_column(column, &relation.name));
        };
        if relation.columns[position].identity.is_none() {
            let message = format!(
                "column \"{column}\" of relation \"{}\" is not an identity column",
                relation.name
            );
            if if_exists {
                self.notice(SqlState(*b"00000"), format!("{message}, skipping"));
                return Ok(());
            }
            return Err(Error::client(state::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
        }
        let changed = &mut relation.columns[position];
        changed.identity = None;
        changed.default = None;
        if let Some(sequence) = changed.sequence.take() {
            self.forget_sequence(&sequence)?;
        }
        let what = format!("ALTER COLUMN {} DROP IDENTITY", quote_ident(column));
        let text = self.alter_text(&relation, &what);
        self.ship(&relation, text);
        self.store(relation)
    }

    fn set_identity(
        &mut self,
        mut relation: Relation,
        column: &str,
        always: Option<bool>,
        options: &SequenceOptions,
    ) -> Result<()> {
        let Some(position) = relation.column(column) else {
            return Err(no_column(column, &relation.name));
        };
        let Some(sequence) =
            relation.columns[position].identity.and(relation.columns[position].sequence.clone())
        else {
            let message = format!(
                "column \"{column}\" of relation \"{}\" is not an identity column",
                relation.name
            );
            return Err(Error::client(state::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
        };
        if let Some(always) = always {
            relation.columns[position].identity =
                Some(if always { Identity::Always } else { Identity::ByDefault });
            let kind = if always { "ALWAYS" } else { "BY DEFAULT" };
            let what = format!("ALTER COLUMN {} SET GENERATED {kind}", quote_ident(column));
            let text = self.alter_text(&relation, &what);
            self.ship(&relation, text);
            self.store(relation)?;
        }
        if *options != SequenceOptions::default() {
            let name = Name { schema: None, name: sequence, pos: 0 };
            self.alter_sequence(&name, options, false)?;
            self.tag = "ALTER TABLE".to_owned();
        }
        Ok(())
    }
}

/// The relation's own qualified name.
pub(super) fn own_name(relation: &Relation) -> Name {
    Name { schema: Some(relation.schema.clone()), name: relation.name.clone(), pos: 0 }
}

pub(super) fn contains_nulls(column: &str, table: &str) -> Error {
    let message = format!("column \"{column}\" of relation \"{table}\" contains null values");
    Error::client(state::NOT_NULL_VIOLATION, message)
}

/// Takes a column and everything that needs it out of a relation and its stored
/// definition; the names of indexes that go.
fn without_column(
    relation: &mut Relation,
    table: &mut stored::Table,
    position: usize,
) -> Vec<(String, u32)> {
    let snapshot = relation.clone();
    let sqlite_name = snapshot.columns[position].sqlite_name.clone();
    let mut dropped = Vec::new();
    let uses = |text: &str| columns_named(&snapshot, text).contains(&position);
    relation.uniques.retain(|u| {
        let keep = !u.columns.contains(&position);
        if !keep {
            dropped.push((u.name.clone(), u.oid));
        }
        keep
    });
    relation.indexes.retain(|i| {
        let in_keys = i.keys.iter().any(|k| match k {
            IndexKey::Column(c, _) => *c == position,
            IndexKey::Expression(text, _) => uses(text),
        });
        let gone = in_keys || i.predicate.as_deref().is_some_and(uses);
        if gone {
            dropped.push((i.name.clone(), i.oid));
        }
        !gone
    });
    let lost_checks: Vec<String> =
        snapshot.checks.iter().filter(|c| uses(&c.expression)).map(|c| c.name.clone()).collect();
    relation.checks.retain(|c| !lost_checks.contains(&c.name));
    let lost_keys: Vec<crate::schema::ForeignKey> =
        snapshot.foreign_keys.iter().filter(|k| k.columns.contains(&position)).cloned().collect();
    relation.foreign_keys.retain(|k| !k.columns.contains(&position));
    for check in &lost_checks {
        remove_stored_check(table, check);
    }
    for key in &lost_keys {
        let columns: Vec<String> =
            key.columns.iter().map(|c| snapshot.columns[*c].sqlite_name.clone()).collect();
        remove_stored_foreign_key(table, &key.name, &columns, &key.table);
    }
    if snapshot.primary_key.as_ref().is_some_and(|k| k.contains(&position)) {
        relation.primary_key = None;
        remove_stored_key(table, &[], true);
    }
    table.constraints.retain(|c| match &c.kind {
        stored::ConstraintKind::Unique { keys, .. } => {
            !keys.iter().any(|k| k.column.as_deref() == Some(&sqlite_name))
        }
        stored::ConstraintKind::Check { .. } => {
            // The range check of a generated column goes with it.
            c.name.as_deref()
                != Some(&format!("{}{sqlite_name}", crate::backend::sqlite::errors::RANGE_CHECK))
        }
        _ => true,
    });
    table.columns.retain(|c| c.name != sqlite_name);
    relation.columns.remove(position);
    shift(relation, position);
    dropped
}

/// Moves column positions behind a removed one.
fn shift(relation: &mut Relation, removed: usize) {
    let fix = |position: &mut usize| {
        if *position > removed {
            *position -= 1;
        }
    };
    relation.uniques.iter_mut().for_each(|u| u.columns.iter_mut().for_each(fix));
    relation.foreign_keys.iter_mut().for_each(|k| k.columns.iter_mut().for_each(fix));
    relation.primary_key.iter_mut().flatten().for_each(fix);
    relation.rowid_alias = relation.rowid_alias.filter(|a| *a != removed);
    relation.rowid_alias.iter_mut().for_each(fix);
    for index in &mut relation.indexes {
        for key in &mut index.keys {
            if let IndexKey::Column(position, _) = key {
                fix(position);
            }
        }
    }
}

/// The type's name for messages and texts.
pub(super) fn type_text(column: &Column) -> String {
    format_type(column.declared().oid, column.declared().typmod)
}
