//! CREATE TABLE and CREATE TABLE AS.

use super::column::{NewColumn, keep_sequence};
use super::{Editor, physical, postgres};
use crate::backend::sqlite::adopt::Namer;
use crate::error::{Error, Result, state};
use crate::schema::{Check, Column, OnCommit, Relation, RelationKind, Sequence};
use crate::sql::ast::{
    self, ConstraintKind, CreateTable, Like, Name, Select, SequenceOptions, Statement,
};
use crate::sql::plan::Plan;
use crate::value::oid;

/// Columns a table may have, as in PostgreSQL.
pub(super) const COLUMNS_MAX: usize = 1600;

/// Options of CREATE TABLE AS.
#[derive(Clone, Copy)]
pub(super) struct AsOptions {
    pub(super) temporary: bool,
    pub(super) if_not_exists: bool,
    pub(super) with_data: bool,
}

impl Editor<'_> {
    pub(super) fn create_table(&mut self, create: &CreateTable) -> Result<()> {
        self.tag = "CREATE TABLE".to_owned();
        let temporary = self.target_schema(&create.name, create.temporary)?;
        if !self.check_free(&create.name.name, temporary, create.if_not_exists)? {
            return Ok(());
        }
        let mut namer = self.namer();
        let mut relation = self.blank(&create.name.name, temporary, &mut namer)?;
        relation.on_commit = match create.on_commit {
            Some(what) if what.contains("DELETE") => OnCommit::Delete,
            Some(what) if what.contains("DROP") => OnCommit::Drop,
            _ => OnCommit::Preserve,
        };
        let mut sequences = Vec::new();
        let mut constraints = Vec::new();
        for like in &create.like {
            constraints.extend(self.copy_columns(
                like,
                &mut relation,
                &mut sequences,
                &mut namer,
            )?);
        }
        for def in &create.columns {
            if relation.column(&def.name).is_some() {
                let message = format!("column \"{}\" specified more than once", def.name);
                return Err(Error::client(state::DUPLICATE_COLUMN, message).at(def.pos));
            }
            let new = self.new_column(def, &relation, &mut namer)?;
            sequences.extend(new.sequence);
            constraints.extend(new.constraints);
            relation.columns.push(new.column);
        }
        check_width(&relation)?;
        constraints.extend(create.constraints.iter().cloned());
        // Keys first: foreign keys may refer to the table itself.
        let rank = |kind: &ConstraintKind| match kind {
            ConstraintKind::PrimaryKey(..) => 0,
            ConstraintKind::Unique(..) => 1,
            ConstraintKind::Check(..) => 2,
            _ => 3,
        };
        constraints.sort_by_key(|c| rank(&c.kind));
        for constraint in &constraints {
            self.add_constraint(constraint, &mut relation, &mut namer)?;
        }
        if is_numbered(&relation) {
            choose_rowid_alias(&mut relation);
        }
        self.settle_generated(&mut relation)?;
        for sequence in sequences {
            keep_sequence(self, sequence)?;
        }
        self.make_table(&relation)?;
        for text in postgres::create_table(&relation, &self.catalog) {
            self.ship(&relation, text);
        }
        let name = relation.name.clone();
        self.store(relation)?;
        self.check_exclusions(&name)
    }

    /// Whether an output is a column of a domain.
    fn of_domain(&self, (table, attnum): (u32, i16)) -> bool {
        let mut relations = self.temporary.values().chain(self.catalog.relations.values());
        let found = relations.find(|r| r.oid == table);
        found.is_some_and(|r| r.columns.iter().any(|c| c.attnum == attnum && c.domain.is_some()))
    }

    /// A relation without columns, its name taken.
    pub(super) fn blank(&self, name: &str, temporary: bool, namer: &mut Namer) -> Result<Relation> {
        let kind = if temporary { RelationKind::Temporary } else { RelationKind::Table };
        if !temporary {
            namer.exactly(name);
        }
        let mut relation = Relation::new(self.side.new_oid(), name, kind);
        relation.sqlite_name = self.free_in_file(name, relation.oid, temporary)?;
        if temporary {
            "pg_temp".clone_into(&mut relation.schema);
        }
        Ok(relation)
    }

    /// LIKE: names, types, NOT NULL, and what its INCLUDING options name; keys come back as
    /// constraints to add.
    fn copy_columns(
        &mut self,
        like: &Like,
        relation: &mut Relation,
        sequences: &mut Vec<Sequence>,
        namer: &mut Namer,
    ) -> Result<Vec<ast::Constraint>> {
        let source = self.existing(&like.table)?;
        for column in &source.columns {
            if relation.column(&column.name).is_some() {
                let message = format!("column \"{}\" specified more than once", column.name);
                return Err(Error::client(state::DUPLICATE_COLUMN, message));
            }
            let attnum = i16::try_from(relation.columns.len() + 1).unwrap_or(i16::MAX);
            let copy = Column {
                not_null: column.not_null,
                default: column
                    .default
                    .clone()
                    .filter(|_| like.defaults && column.identity.is_none()),
                generated: column.generated.clone().filter(|_| like.generated),
                domain: column.domain,
                ..Column::new(attnum, column.name.clone(), column.ty)
            };
            let mut new = NewColumn { column: copy, sequence: None, constraints: Vec::new() };
            if column.identity.is_some() && like.identity {
                let options = SequenceOptions::default();
                self.owned_sequence(&mut new, relation, &options, namer)?;
                new.column.identity = column.identity;
            }
            sequences.extend(new.sequence);
            relation.columns.push(new.column);
        }
        if like.constraints {
            for check in source.checks.iter().filter(|c| !c.sqlite) {
                relation.checks.push(Check { oid: self.side.new_oid(), ..check.clone() });
            }
        }
        if !like.indexes {
            return Ok(Vec::new());
        }
        if !source.indexes.is_empty() {
            return Err(Error::unsupported("LIKE INCLUDING INDEXES of expression indexes"));
        }
        let keys = source.uniques.iter().map(|u| {
            let names = u.columns.iter().map(|c| source.columns[*c].name.clone()).collect();
            let kind = if u.primary {
                ConstraintKind::PrimaryKey(names, None)
            } else {
                ConstraintKind::Unique(names, None, false)
            };
            let (name, deferrable, deferred, not_valid) = (None, false, false, false);
            ast::Constraint { name, kind, deferrable, deferred, not_valid }
        });
        Ok(keys.collect())
    }

    /// Makes the table and its unique indexes in the file.
    pub(super) fn make_table(&mut self, relation: &Relation) -> Result<()> {
        let temporary = relation.schema == "pg_temp";
        let stored = physical::table_of(relation, &|column| self.default_cell(column), &|key| {
            self.sqlite_parent(relation, key)
        })?;
        let sql = physical::table_sql(&stored, &relation.sqlite_name, temporary);
        self.writer.execute(&sql, &[])?;
        for unique in relation.uniques.iter().filter(|u| !u.primary) {
            self.make_unique_index(relation, unique)?;
        }
        Ok(())
    }

    pub(super) fn create_table_as(
        &mut self,
        name: &Name,
        columns: &[String],
        query: &Select,
        options: AsOptions,
    ) -> Result<()> {
        let temporary = self.target_schema(name, options.temporary)?;
        if !self.check_free(&name.name, temporary, options.if_not_exists)? {
            self.tag = "CREATE TABLE AS".to_owned();
            return Ok(());
        }
        let plan = self.plan(Statement::Select(Box::new(query.clone())))?;
        let mut namer = self.namer();
        let mut relation = self.blank(&name.name, temporary, &mut namer)?;
        self.output_columns(&plan, columns, &mut relation)?;
        self.make_table(&relation)?;
        let target =
            Name { schema: Some(relation.schema.clone()), name: relation.name.clone(), pos: 0 };
        self.ship_created_as(&relation);
        self.store(relation)?;
        let mut rows = 0;
        if options.with_data {
            let insert = ast::Insert {
                with: None,
                table: target,
                alias: None,
                columns: Vec::new(),
                column_positions: Vec::new(),
                source: Some(Box::new(query.clone())),
                overriding: None,
                on_conflict: None,
                or: ast::Conflict::Abort,
                returning: Vec::new(),
            };
            // Row images stay on: the rows travel as ordinary inserts behind the DDL.
            rows = self.execute(Statement::Insert(Box::new(insert)))?;
        }
        self.tag =
            if options.with_data { format!("SELECT {rows}") } else { "CREATE TABLE AS".to_owned() };
        Ok(())
    }

    /// The columns of a table that is made from a query.
    pub(super) fn output_columns(
        &self,
        plan: &Plan,
        columns: &[String],
        relation: &mut Relation,
    ) -> Result<()> {
        if columns.len() > plan.columns.len() {
            let message = "too many column names were specified";
            return Err(Error::client(state::SYNTAX_ERROR, message));
        }
        if plan.columns.iter().any(|output| self.of_domain(output.origin)) {
            // Its column would have to be of the domain too.
            return Err(Error::unsupported("CREATE TABLE AS over a column of a domain"));
        }
        for (position, output) in plan.columns.iter().enumerate() {
            let column = columns.get(position).unwrap_or(&output.name);
            if relation.column(column).is_some() {
                let message = format!("column \"{column}\" specified more than once");
                return Err(Error::client(state::DUPLICATE_COLUMN, message));
            }
            let mut ty = output.ty;
            if ty.oid == oid::UNKNOWN {
                ty.oid = oid::TEXT;
            }
            let attnum = i16::try_from(position + 1).unwrap_or(i16::MAX);
            let mut column = Column::new(attnum, column.clone(), ty);
            apart(&mut column, relation);
            relation.columns.push(column);
        }
        check_width(relation)
    }

    /// The shadow makes the table before the rows arrive, so the event comes first.
    fn ship_created_as(&mut self, relation: &Relation) {
        if relation.schema == "pg_temp" {
            return;
        }
        let texts = postgres::create_table(relation, &self.catalog);
        let event = crate::backend::sqlite::events::DdlEvent {
            tag: "CREATE TABLE AS".to_owned(),
            postgres: texts,
        };
        self.writer.note(&crate::backend::sqlite::events::Event::Ddl(event));
    }
}

/// Names a column apart in the file from one that differs by letter case only.
pub(super) fn apart(column: &mut Column, relation: &Relation) {
    let same = |c: &Column| c.sqlite_name.eq_ignore_ascii_case(&column.sqlite_name);
    if relation.columns.iter().any(same) {
        column.sqlite_name = format!("{}~{}", column.name, column.attnum);
    }
}

fn check_width(relation: &Relation) -> Result<()> {
    if relation.columns.is_empty() {
        // SQLite has no such tables.
        return Err(Error::unsupported("a table without columns"));
    }
    if relation.columns.len() > COLUMNS_MAX {
        let message = format!("tables can have at most {COLUMNS_MAX} columns");
        return Err(Error::client(state::TOO_MANY_COLUMNS, message));
    }
    Ok(())
}

/// Whether keys come from a sequence, so that rows come in their order. Where the application
/// gives keys of its own, a rowid beside them keeps rows in the order in which they came: reads
/// without ORDER BY then begin as PostgreSQL's do.
fn is_numbered(relation: &Relation) -> bool {
    let Some([only]) = relation.primary_key.as_deref() else { return false };
    let column = &relation.columns[*only];
    column.sequence.is_some() || column.identity.is_some() || column.default.is_some()
}

/// A primary key over one integer column becomes SQLite's rowid: one tree instead of two.
pub(super) fn choose_rowid_alias(relation: &mut Relation) {
    let Some([only]) = relation.primary_key.as_deref() else { return };
    let column = &relation.columns[*only];
    if matches!(column.ty.oid, oid::INT2 | oid::INT4 | oid::INT8) && column.generated.is_none() {
        relation.rowid_alias = Some(*only);
    }
}
