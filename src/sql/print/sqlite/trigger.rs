//! Statements inside of SQLite's triggers: NEW and OLD are there, the written table has
//! neither schema nor alias, WITH and RETURNING are not possible.
//!
//! Start at [`print_in_trigger`].

use super::names::{Column, Printer, Rel};
use super::{Inputs, Value};
use crate::error::{Error, Result};
use crate::schema::Relation;
use crate::sql::analyze::{NEW, OLD, RowVariables};
use crate::sql::ir::{Call, Expr, ExprKind, Statement};
use crate::sql::print::quoted;
use crate::value::{Cell, Type};

/// Prints a statement of a trigger's body; with it the OIDs of the sequences it draws from,
/// which a statement before it is to move. With `queued` the rows are not the trigger's own
/// but the images that a row of the queue holds.
///
/// # Errors
/// 0A000 for what SQLite does not allow there.
pub fn print_in_trigger(
    statement: &Statement,
    rows: RowVariables<'_>,
    queued: bool,
) -> Result<(String, Vec<i64>)> {
    let mut printer = with_rows(rows, queued);
    let (text, _) = match statement {
        Statement::Select(query) => printer.top_query(query)?,
        Statement::Insert(insert) => printer.insert(insert)?,
        Statement::Update(update) => printer.update(update)?,
        Statement::Delete(delete) => printer.delete(delete)?,
    };
    Ok((text, printer.sequences))
}

/// Prints an expression over NEW as a column of the row stores it.
///
/// # Errors
/// 0A000 for what SQLite cannot compute faithfully.
pub fn print_stored(expr: &Expr, index: usize, rows: RowVariables<'_>) -> Result<String> {
    let mut printer = with_rows(rows, false);
    let column = rows.relation.columns.get(index);
    let column = column.ok_or_else(|| Error::internal("column index out of range"))?;
    printer.encoded(expr, column.codec, column.ty)
}

/// The column of a queue that holds a column of NEW or OLD.
#[must_use]
pub fn queued_column(new: bool, index: usize) -> String {
    format!("{}{index}", if new { "n" } else { "o" })
}

fn with_rows(rows: RowVariables<'_>, queued: bool) -> Printer {
    let mut printer = Printer::new(&Inputs::default());
    printer.in_trigger = true;
    for (rel, name) in [(NEW, "NEW"), (OLD, "OLD")] {
        printer.unique(name);
        let mut row = row(name, rows.relation);
        if queued {
            "OLD".clone_into(&mut row.qualifier);
            for (index, column) in row.columns.iter_mut().enumerate() {
                column.name = queued_column(rel == NEW, index);
            }
        }
        printer.rels.insert(rel, row);
    }
    printer
}

fn row(name: &str, relation: &Relation) -> Rel {
    let columns = relation.columns.iter().map(|c| Column {
        name: quoted(&c.sqlite_name),
        codec: c.codec,
        ty: c.ty,
        collated: c.collation.is_some(),
        not_null: false,
    });
    Rel { qualifier: name.to_owned(), columns: columns.collect() }
}

impl Printer {
    /// How the written table is named, and the name its columns get: `"public"."t" AS "a"`.
    /// Inside of a trigger it is the table's bare name.
    pub(super) fn target_names(
        &mut self,
        rel: u32,
        table: &std::sync::Arc<Relation>,
        alias: &str,
    ) -> Result<(String, String)> {
        if !self.in_trigger {
            let alias = self.bind_table(rel, table, alias);
            let name = super::names::table_name(table);
            return Ok((format!("{name} AS {alias}"), alias));
        }
        let own = quoted(&table.sqlite_name);
        let alias = self.bind_table(rel, table, &table.sqlite_name);
        match alias == own {
            true => Ok((own, alias)),
            false => Err(Error::unsupported("this table in a trigger")),
        }
    }

    /// nextval() in a trigger: the value to which the sequence has been moved just before.
    pub(super) fn drawn(&mut self, call: &Call, ty: Type) -> Option<Value> {
        let [Expr { kind: ExprKind::Const(Cell::Integer(oid)), .. }] = call.args.as_slice() else {
            return None;
        };
        if !self.in_trigger || call.name != "nextval" {
            return None;
        }
        self.sequences.push(*oid);
        let sql = format!(
            "(SELECT last_value FROM \"public\".\"_crossfade_sequences\" WHERE oid = {oid})"
        );
        Some(Value::logical(sql, ty))
    }

    /// WITH before a command, which SQLite does not allow in triggers.
    pub(super) fn refuse_with(&self, with: &str) -> Result<()> {
        match self.in_trigger && !with.is_empty() {
            true => Err(Error::unsupported("WITH before a command of a trigger function")),
            false => Ok(()),
        }
    }
}
