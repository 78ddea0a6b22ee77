//! Rows that travel as JSON: those of a LATERAL subquery, and those of an earlier step.
//!
//! Each row is an array of logical cells; `pg_row_get` takes one out by its type.

use super::Value;
use super::codec::logical;
use super::names::{Column, Printer, Rel};
use crate::error::{Error, Result};
use crate::schema::{Codec, Relation};
use crate::sql::ir::{Expr, From, Output, Query};

impl Printer {
    /// A correlated subquery of several rows: SQLite has no LATERAL, but the argument of a
    /// table function may refer to the tables left of it.
    pub(super) fn lateral_rows(&mut self, rel: u32, query: &Query, alias: &str) -> Result<String> {
        let (sql, outputs) = self.query(query, true)?;
        let inner = self.unique("each");
        let cells: Vec<String> = outputs.iter().map(|o| format!("{inner}.{}", o.sql)).collect();
        let rows = format!(
            "(SELECT pg_array_agg(pg_array({})) FROM ({sql}) AS {inner})",
            cells.join(", ")
        );
        Ok(self.json_rows(rel, &rows, alias, &query.columns))
    }

    /// The rows an earlier step has left in a parameter.
    pub(super) fn step_rows(
        &mut self,
        rel: u32,
        cte: u32,
        alias: &str,
        columns: &[Output],
    ) -> String {
        let number = self.steps.get(&cte).copied().unwrap_or(0);
        self.json_rows(rel, &format!("?{number}"), alias, columns)
    }

    /// RETURNING of a statement that joins: what comes from the rows of the step that joined
    /// is looked up there by the written row's key.
    pub(super) fn returning_joined(
        &mut self,
        rel: u32,
        table: &Relation,
        joined: &[From],
        exprs: &[Expr],
        outputs: &[Output],
    ) -> Result<(String, Vec<Value>)> {
        if !exprs.iter().any(|e| super::cte::mentions_other(e, rel)) {
            return self.returning(rel, exprs, outputs);
        }
        let refuse = || Error::unsupported("RETURNING columns of a joined table");
        let [From::Cte { rel: rows, cte, columns, .. }] = joined else { return Err(refuse()) };
        let number = *self.steps.get(cte).ok_or_else(refuse)?;
        let key = table.key().ok_or_else(refuse)?;
        let keys = self.unqualified(rel, |p| {
            key.iter().map(|k| Ok(logical(&p.column(rel, *k as u32)?))).collect::<Result<Vec<_>>>()
        })?;
        let row = format!("pg_row_of(?{number}, {})", keys.join(", "));
        let columns = columns
            .iter()
            .enumerate()
            .map(|(i, column)| Column {
                name: format!("pg_row_get({row}, {}, {})", i + 1, column.ty.oid),
                codec: Codec::Identity,
                ty: column.ty,
                collated: false,
                not_null: false,
            })
            .collect();
        self.rels.insert(*rows, Rel { qualifier: String::new(), columns });
        self.returning(rel, exprs, outputs)
    }

    /// json_to_record and its kin: the defined columns, each a field of the object.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn json_record(
        &mut self,
        rel: u32,
        json: &Value,
        name: &str,
        set: bool,
        alias: &str,
        columns: &[Output],
        ordinality: bool,
    ) -> Result<String> {
        let alias = self.unique(alias);
        let fields = columns.len() - usize::from(ordinality);
        let mut bound = Vec::with_capacity(columns.len());
        for (i, column) in columns.iter().enumerate() {
            let cell = if i < fields {
                format!(
                    "pg_json_field({alias}.\"value\", '{}', {}, {})",
                    column.name.replace('\'', "''"),
                    column.ty.oid,
                    column.ty.typmod
                )
            } else {
                format!("({alias}.\"key\" + 1)")
            };
            bound.push(Column {
                name: cell,
                codec: Codec::Identity,
                ty: column.ty,
                collated: false,
                not_null: false,
            });
        }
        self.rels.insert(rel, Rel { qualifier: String::new(), columns: bound });
        let json = logical(json);
        Ok(if set {
            format!("json_each(pg_json_records({json}, '{name}')) AS {alias}")
        } else {
            format!("json_each(pg_array({json})) AS {alias}")
        })
    }

    /// A JSON array of rows as an item of FROM.
    fn json_rows(&mut self, rel: u32, rows: &str, alias: &str, columns: &[Output]) -> String {
        let alias = self.unique(alias);
        let columns = columns
            .iter()
            .enumerate()
            .map(|(i, column)| Column {
                name: format!("pg_row_get({alias}.\"value\", {}, {})", i + 1, column.ty.oid),
                codec: Codec::Identity,
                ty: column.ty,
                collated: false,
                not_null: false,
            })
            .collect();
        self.rels.insert(rel, Rel { qualifier: String::new(), columns });
        format!("json_each({rows}) AS {alias}")
    }
}
