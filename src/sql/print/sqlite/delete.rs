//! DELETE, with USING as a subquery over the row's identity.

use super::Value;
use super::from::is_chain;
use super::insert::writable;
use super::names::{Printer, table_name};
use crate::error::{Error, Result};
use crate::schema::Relation;
use crate::sql::ir::Delete;
use crate::sql::print::quoted;

impl Printer {
    /// A DELETE statement.
    pub(super) fn delete(&mut self, delete: &Delete) -> Result<(String, Vec<Value>)> {
        let table = &delete.table.0;
        if table.kind == crate::schema::RelationKind::System {
            writable(table)?;
        }
        let with = self.with(delete.recursive, &delete.ctes)?;
        let name = table_name(table);
        self.refuse_with(&with)?;
        let (target, alias) = self.target_names(delete.rel, table, &delete.alias)?;
        let filter = if delete.using.is_empty() {
            match &delete.filter {
                Some(filter) => format!(" WHERE {}", self.logical(filter)?),
                None => String::new(),
            }
        } else {
            // The join happens over a second look at the table, under a name of its own.
            let inner = self.bind_table(delete.rel, table, &delete.alias);
            let using = match self.tables(&delete.using)? {
                using if delete.using.first().is_some_and(|f| !is_chain(f)) => format!("({using})"),
                using => using,
            };
            let filter = match &delete.filter {
                Some(filter) => self.logical(filter)?,
                None => "TRUE".to_owned(),
            };
            let identity = identity(table)?;
            let under = |alias: &str| {
                let columns: Vec<String> =
                    identity.iter().map(|c| format!("{alias}.{c}")).collect();
                columns.join(", ")
            };
            format!(
                " WHERE ({}) IN (SELECT {} FROM {name} AS {inner} JOIN {using} WHERE {filter})",
                under(&alias),
                under(&inner)
            )
        };
        let (returning, outputs) = self.returning_joined(
            delete.rel,
            table,
            &delete.using,
            &delete.returning,
            &delete.outputs,
        )?;
        Ok((format!("{with}DELETE FROM {target}{filter}{returning}"), outputs))
    }
}

/// Columns by which SQLite knows a row.
fn identity(table: &Relation) -> Result<Vec<String>> {
    if !table.without_rowid {
        let free = ["rowid", "_rowid_", "oid"]
            .into_iter()
            .find(|n| !table.columns.iter().any(|c| c.sqlite_name.eq_ignore_ascii_case(n)));
        if let Some(name) = free {
            return Ok(vec![name.to_owned()]);
        }
    }
    let key = table.key().ok_or_else(|| Error::unsupported("DELETE USING on this table"))?;
    Ok(key.iter().map(|c| quoted(&table.columns[*c].sqlite_name)).collect())
}
