//! What is declared over a column, under the type that ALTER COLUMN TYPE gives it.
//!
//! Owns the look whether its default, checks, indexes and the foreign keys that lead to it can still
//! be typed. PostgreSQL types their kept trees anew, in which every constant has the type that it
//! was given first; so do we. What it would refuse is its error here, and nothing else is: a change
//! that PostgreSQL refuses would be left out there, and the table with it. Start at
//! [`Editor::refit`].

use super::Editor;
use super::constraint::comparable;
use crate::backend::sqlite::system::{columns_named, quote_ident};
use crate::error::{Error, Result, state};
use crate::schema::{IndexKey, Relation};
use crate::sql::types::coerce::{Context, pathway};
use crate::sql::{analyze, print, types};
use crate::value::oid;

impl Editor<'_> {
    /// Whether what is declared over a column fits the type that it has `after`.
    pub(super) fn refit(&self, before: &Relation, after: &Relation, position: usize) -> Result<()> {
        self.default_fits(before, after, position)?;
        let checks = before.checks.iter().filter(|c| !c.sqlite).map(|c| &c.expression);
        let keys =
            before.indexes.iter().flat_map(|index| &index.keys).filter_map(|key| match key {
                IndexKey::Expression(text, _) => Some(text),
                IndexKey::Column(..) => None,
            });
        let filters = before.indexes.iter().filter_map(|index| index.predicate.as_ref());
        for text in checks.chain(keys).chain(filters) {
            if columns_named(before, text).contains(&position) {
                self.typed_anew(text, before, after)?;
            }
        }
        self.referred_to(before, after, position)
    }

    fn default_fits(&self, before: &Relation, after: &Relation, position: usize) -> Result<()> {
        let (column, to) = (&before.columns[position], after.columns[position].ty);
        let Some(text) = column.default.as_deref() else { return Ok(()) };
        let Ok(expr) = analyze::expression(text, before, &self.context()) else { return Ok(()) };
        let from = if expr.ty.oid == oid::UNKNOWN { column.ty.oid } else { expr.ty.oid };
        if from == to.oid || pathway(from, to.oid, Context::Assignment).is_some() {
            return Ok(());
        }
        let message = format!(
            "default for column \"{}\" cannot be cast automatically to type {}",
            column.name,
            types::sql_name(to.oid)
        );
        Err(Error::client(state::DATATYPE_MISMATCH, message))
    }

    fn typed_anew(&self, text: &str, before: &Relation, after: &Relation) -> Result<()> {
        let names = before.columns.iter().map(|c| quote_ident(&c.name)).collect();
        let kept = analyze::expression(text, before, &self.context())
            .and_then(|expr| print::postgres::print_stored(&expr, &[], names, false));
        // One that has no such form is looked at as it was written.
        let kept = kept.unwrap_or_else(|_| text.to_owned());
        if analyze::expression(&kept, before, &self.context()).is_err() {
            return Ok(());
        }
        let typed = |error: &Error| {
            [state::UNDEFINED_FUNCTION, state::AMBIGUOUS_FUNCTION, state::DATATYPE_MISMATCH]
                .contains(&error.sqlstate())
        };
        match analyze::expression(&kept, after, &self.context()) {
            Err(error) if typed(&error) => {
                // Only our printer names the schema.
                let message = error.message().replace("pg_catalog.", "");
                let said = Error::client(error.sqlstate(), message);
                Err(match &error.fields().hint {
                    Some(hint) => said.hint(hint.clone()),
                    None => said,
                })
            }
            _ => Ok(()),
        }
    }

    /// Foreign keys of other tables that lead to the column, but for those of the file that are over
    /// columns stored differently as it is.
    fn referred_to(&self, before: &Relation, after: &Relation, position: usize) -> Result<()> {
        if after.schema == "pg_temp" {
            return Ok(());
        }
        for child in self.catalog.relations.values().filter(|r| r.name != after.name) {
            for key in child.foreign_keys.iter().filter(|k| k.table == after.name) {
                let referenced: Vec<usize> = match (key.referenced.as_slice(), &after.primary_key) {
                    ([], Some(own)) => own.clone(),
                    (names, _) => names.iter().filter_map(|name| after.column(name)).collect(),
                };
                for (own, parent) in key.columns.iter().zip(&referenced) {
                    let fitted = || comparable(child, *own, before, *parent, &key.name).is_ok();
                    if *parent == position && fitted() {
                        comparable(child, *own, after, *parent, &key.name)?;
                    }
                }
            }
        }
        Ok(())
    }
}
