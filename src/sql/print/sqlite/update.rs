//! UPDATE, with FROM and with rows assigned from subqueries.

use super::Value;
use super::codec::{encode, logical};
use super::guard::required;
use super::insert::writable;
use super::names::Printer;
use crate::error::{Error, Result};
use crate::schema::Relation;
use crate::sql::ir::{Query, Update};
use crate::sql::print::quoted;

impl Printer {
    /// An UPDATE statement.
    pub(super) fn update(&mut self, update: &Update) -> Result<(String, Vec<Value>)> {
        let table = &update.table.0;
        writable(table)?;
        let with = self.with(update.recursive, &update.ctes)?;
        self.refuse_with(&with)?;
        let (target, _) = self.target_names(update.rel, table, &update.alias)?;
        let from = self.tables_clause(&update.from)?;
        let mut sets = Vec::new();
        if !update.assignments.is_empty() {
            sets.push(self.assignments(update.rel, table, &update.assignments)?);
        }
        if !update.row_assignments.is_empty() && !self.checks.is_empty() {
            return Err(Error::unsupported("assigning a row under such a CHECK constraint"));
        }
        for (columns, query) in &update.row_assignments {
            sets.push(self.row_assignment(table, columns, query)?);
        }
        let filter = match &update.filter {
            Some(filter) => format!(" WHERE {}", self.logical(filter)?),
            None => String::new(),
        };
        let (returning, outputs) = self.returning_joined(
            update.rel,
            table,
            &update.from,
            &update.returning,
            &update.outputs,
        )?;
        let sql = format!("{with}UPDATE {target} SET {}{from}{filter}{returning}", sets.join(", "));
        Ok((sql, outputs))
    }

    /// `("a", "b") = (SELECT …)`; a second row is 21000, none sets NULLs.
    fn row_assignment(
        &mut self,
        table: &Relation,
        columns: &[u32],
        query: &Query,
    ) -> Result<String> {
        let (inner, outputs) = self.query(query, false)?;
        let alias = self.unique("s");
        let values = self.under(&alias, &outputs);
        let mut names = Vec::with_capacity(columns.len());
        let mut items = Vec::with_capacity(columns.len());
        for (index, value) in columns.iter().zip(&values) {
            let column = table
                .columns
                .get(*index as usize)
                .ok_or_else(|| Error::internal("column index out of range"))?;
            names.push(quoted(&column.sqlite_name));
            let cell = encode(&logical(value), column.codec, column.ty);
            let cell = required(table, *index as usize, cell, false);
            items.push(format!("pg_single({cell})"));
        }
        let select = format!("(SELECT {} FROM ({inner}) AS {alias})", items.join(", "));
        Ok(match names.as_slice() {
            [one] => format!("{one} = {select}"),
            _ => format!("({}) = {select}", names.join(", ")),
        })
    }
}
