//! Views: expanded as subqueries from their PostgreSQL text.
//!
//! Owns the scope a view's text is read in: the schema `public`, no outer names, no
//! temporary tables but for a view that is temporary itself. Start at [`Analyzer::view`].

use std::sync::Arc;

use super::Analyzer;
use super::from::{Made, apply_column_aliases, relation_item};
use super::scope::Level;
use crate::error::{Error, Result};
use crate::name;
use crate::schema::{Relation, Sequence};
use crate::sql::ir::{From, Query};
use crate::sql::{Context, ast, parse};

impl<'a> Analyzer<'a> {
    pub(super) fn view(
        &mut self,
        view: &Arc<Relation>,
        rel: u32,
        alias: Option<&ast::Alias>,
        pos: u32,
    ) -> Result<Made> {
        let query = self.view_query(view)?;
        let mut item = relation_item(rel, view, alias);
        // A view has no key of its own that grouping could depend on.
        item.relation = None;
        apply_column_aliases(&mut item, alias, pos)?;
        let mut columns = query.columns.clone();
        for ((output, column), own) in columns.iter_mut().zip(&mut item.columns).zip(&view.columns)
        {
            output.name.clone_from(&column.name);
            output.origin = (view.oid, own.attnum);
            column.expr.ty = output.ty;
        }
        let shown = alias.map_or_else(|| view.bare().to_owned(), |a| a.name.clone());
        let query = Box::new(query);
        let from = From::Subquery { rel, query, alias: shown, columns, lateral: false };
        Ok(Made { from, items: vec![item] })
    }

    fn view_query(&mut self, view: &Relation) -> Result<Query> {
        let text = view.view_sql.as_deref().unwrap_or_default();
        let query = match view.schema == "pg_temp" {
            true => {
                let temporary = self.context.temporary;
                self.stored_query_in(text, |context| Context { temporary, ..context })?
            }
            false => self.stored_query(text)?,
        };
        if query.columns.len() != view.columns.len() {
            return Err(Error::internal(format!("view {} has changed its columns", view.name)));
        }
        Ok(query)
    }

    /// `SELECT … FROM sequence`: what pg_sequences says about it.
    pub(super) fn sequence_item(
        &mut self,
        sequence: &Sequence,
        alias: Option<&ast::Alias>,
        pos: u32,
    ) -> Result<Made> {
        let literal = |text: &str| text.replace('\'', "''");
        let (schema, bare) = name::split(&sequence.name);
        let (schema, name) = (literal(schema), literal(bare));
        let query = self.stored_query(&format!(
            "SELECT coalesce(last_value, start_value) AS last_value, 0::bigint AS log_cnt, \
             last_value IS NOT NULL AS is_called FROM pg_catalog.pg_sequences \
             WHERE schemaname = '{schema}' AND sequencename = '{name}'"
        ))?;
        let rel = self.new_rel();
        let plain = ast::Alias { name: bare.to_owned(), columns: Vec::new() };
        let mut made = self.subquery_item(rel, query, alias.unwrap_or(&plain), false, pos)?;
        for item in &mut made.items {
            for (column, attnum) in item.columns.iter_mut().zip(1..) {
                column.origin = (sequence.oid, attnum);
            }
        }
        Ok(made)
    }

    /// A query over the catalogs that stands for a table of SQLite's own.
    pub(super) fn schema_item(
        &mut self,
        text: &str,
        name: &str,
        alias: Option<&ast::Alias>,
    ) -> Result<Made> {
        let query = self.stored_query(text)?;
        let rel = self.new_rel();
        let plain = ast::Alias { name: name.to_owned(), columns: Vec::new() };
        self.subquery_item(rel, query, alias.unwrap_or(&plain), false, 0)
    }

    fn stored_query(&mut self, text: &str) -> Result<Query> {
        self.stored_query_in(text, |context| context)
    }

    /// A query of the catalog's, in its context or one beside it.
    fn stored_query_in(
        &mut self,
        text: &str,
        beside: impl FnOnce(Context<'a>) -> Context<'a>,
    ) -> Result<Query> {
        let parsed = parse(text)?;
        let [ast::Parsed { statement: ast::Statement::Select(select), .. }] = parsed.as_slice()
        else {
            return Err(Error::internal("a view's text is not a query"));
        };
        self.levels.push(Level { sealed: true, ..Level::default() });
        let height = self.levels.len();
        let result = self.in_stored(|a| {
            a.context = beside(a.context);
            a.in_postgres(|a| a.query(select, true))
        });
        self.levels.truncate(height - 1);
        result
    }

    /// Reads what the catalog keeps: it names objects outside `public` with their schemas.
    pub(super) fn in_stored<R>(&mut self, read: impl FnOnce(&mut Self) -> R) -> R {
        let context = self.context;
        self.context = context.stored();
        let result = read(self);
        self.context = context;
        result
    }
}
