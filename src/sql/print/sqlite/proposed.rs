//! The rows a write would make, as a query: run after a constraint has refused one, to say
//! which.

use std::sync::Arc;

use super::insert::writable;
use super::names::{Printer, table_name};
use crate::error::{Error, Result};
use crate::schema::{Column, Relation};
use crate::sql::ir::{Delete, Insert, Statement, Table, Update};

/// A query for the rows a write would make.
#[derive(Clone, Debug)]
pub struct Proposed {
    /// SQLite's text: the row as it is (UPDATE, DELETE), then the values that are written,
    /// all as they are stored.
    pub text: String,
    /// Columns of the table that are written, in the query's order.
    pub written: Vec<usize>,
}

impl Printer {
    /// The query for a statement's rows.
    pub(super) fn proposed(&mut self, statement: &Statement) -> Result<Proposed> {
        match statement {
            Statement::Insert(insert) => self.inserted(insert),
            Statement::Update(update) => self.updated(update),
            Statement::Delete(delete) => self.deleted(delete),
            Statement::Select(_) => Err(Error::internal("not a write")),
        }
    }

    fn inserted(&mut self, insert: &Insert) -> Result<Proposed> {
        let table = &insert.table.0;
        writable(table)?;
        let with = self.with(insert.recursive, &insert.ctes)?;
        self.bind_table(insert.rel, table, &insert.alias);
        let written: Vec<usize> = insert.columns.iter().map(|c| *c as usize).collect();
        let targets: Vec<&Column> = written.iter().filter_map(|c| table.columns.get(*c)).collect();
        if targets.is_empty() || targets.len() != written.len() {
            return Err(Error::unsupported("DEFAULT VALUES"));
        }
        // The rows as they were meant: a NULL key is what is looked for.
        let unguarded = Arc::new(Relation { rowid_alias: None, ..Relation::clone(table) });
        let plain = Insert { on_conflict: None, table: Table(unguarded), ..insert.clone() };
        let rows = self.rows(&plain, &targets)?;
        let alias = self.unique("proposed");
        Ok(Proposed { text: format!("{with}SELECT * FROM ({rows}) AS {alias}"), written })
    }

    fn updated(&mut self, update: &Update) -> Result<Proposed> {
        let table = &update.table.0;
        if !update.from.is_empty() || !update.row_assignments.is_empty() {
            return Err(Error::unsupported("this UPDATE"));
        }
        let with = self.with(update.recursive, &update.ctes)?;
        let alias = self.bind_table(update.rel, table, &update.alias);
        let mut items = self.stored_columns(update.rel, table.columns.len())?;
        let mut written = Vec::with_capacity(update.assignments.len());
        for (index, expr) in &update.assignments {
            let column = table
                .columns
                .get(*index as usize)
                .ok_or_else(|| Error::internal("column index out of range"))?;
            items.push(self.encoded(expr, column.codec, column.ty)?);
            written.push(*index as usize);
        }
        let filter = self.filter_of(update.filter.as_ref())?;
        let name = table_name(table);
        let text = format!("{with}SELECT {} FROM {name} AS {alias}{filter}", items.join(", "));
        Ok(Proposed { text, written })
    }

    fn deleted(&mut self, delete: &Delete) -> Result<Proposed> {
        let table = &delete.table.0;
        if !delete.using.is_empty() {
            return Err(Error::unsupported("this DELETE"));
        }
        let with = self.with(delete.recursive, &delete.ctes)?;
        let alias = self.bind_table(delete.rel, table, &delete.alias);
        let items = self.stored_columns(delete.rel, table.columns.len())?;
        let filter = self.filter_of(delete.filter.as_ref())?;
        let name = table_name(table);
        let text = format!("{with}SELECT {} FROM {name} AS {alias}{filter}", items.join(", "));
        Ok(Proposed { text, written: Vec::new() })
    }

    fn stored_columns(&mut self, rel: u32, count: usize) -> Result<Vec<String>> {
        (0..count).map(|i| Ok(self.column(rel, i as u32)?.sql)).collect()
    }

    fn filter_of(&mut self, filter: Option<&crate::sql::ir::Expr>) -> Result<String> {
        Ok(match filter {
            Some(filter) => format!(" WHERE {}", self.logical(filter)?),
            None => String::new(),
        })
    }
}
