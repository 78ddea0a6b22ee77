//! INSERT, UPDATE, DELETE.

use super::Printer;
use super::from::{column_names, table_name};
use super::output_name;
use crate::error::{Error, Result};
use crate::schema::{Identity, Relation};
use crate::sql::ir::{Delete, Expr, Insert, InsertSource, OnConflict, Output, Update};
use crate::sql::print::quoted;

fn name(table: &Relation, index: u32) -> Result<String> {
    table
        .columns
        .get(index as usize)
        .map(|c| quoted(&c.name))
        .ok_or_else(|| Error::internal("column index out of range"))
}

impl Printer<'_> {
    pub(super) fn insert(&mut self, insert: &Insert) -> Result<String> {
        if insert.replace {
            return self.replace(insert);
        }
        let table = &insert.table.0;
        let with = self.with(insert.recursive, &insert.ctes)?;
        let alias = self.bind(insert.rel, &insert.alias, column_names(table));
        let mut sql = format!("{with}INSERT INTO {} AS {alias}", table_name(table));
        if insert.columns.is_empty() {
            sql.push_str(" DEFAULT VALUES");
        } else {
            let names =
                insert.columns.iter().map(|c| name(table, *c)).collect::<Result<Vec<_>>>()?;
            sql.push_str(&format!(" ({})", names.join(", ")));
            let always = insert.columns.iter().any(|c| {
                table.columns.get(*c as usize).is_some_and(|c| c.identity == Some(Identity::Always))
            });
            if always {
                sql.push_str(" OVERRIDING SYSTEM VALUE");
            }
            sql.push_str(&self.insert_source(&insert.source)?);
        }
        if let Some(conflict) = &insert.on_conflict {
            sql.push_str(&self.on_conflict(table, conflict)?);
        }
        sql.push_str(&self.returning(&insert.returning, &insert.outputs)?);
        Ok(sql)
    }

    /// SQLite's INSERT OR REPLACE: the rows that a new one meets on any unique key go first.
    fn replace(&mut self, insert: &Insert) -> Result<String> {
        let table = &insert.table.0;
        if table.indexes.iter().any(|i| i.unique) {
            let what = "INSERT OR REPLACE into a table with a unique index over expressions";
            return Err(Error::unsupported(what));
        }
        let with = self.with(insert.recursive, &insert.ctes)?;
        let names = insert.columns.iter().map(|c| name(table, *c)).collect::<Result<Vec<_>>>()?;
        let source = self.insert_source(&insert.source)?;
        let (new, gone, old, one) =
            (self.unique("new"), self.unique("gone"), self.unique("old"), self.unique("one"));
        let mut met = Vec::new();
        for unique in &table.uniques {
            let keys = unique.columns.iter().map(|c| u32::try_from(*c).unwrap_or(u32::MAX));
            let keys: Vec<u32> = keys.collect();
            // A key that is not given a value is numbered anew, or NULL, and meets nothing.
            if !keys.iter().all(|k| insert.columns.contains(k)) {
                continue;
            }
            let tests = keys
                .iter()
                .map(|k| name(table, *k).map(|n| format!("{old}.{n} = {one}.{n}")))
                .collect::<Result<Vec<_>>>()?;
            met.push(format!("({})", tests.join(" AND ")));
        }
        let met = if met.is_empty() { "FALSE".to_owned() } else { met.join(" OR ") };
        let head = match with.trim_end() {
            "" => "WITH ".to_owned(),
            with => format!("{with}, "),
        };
        let columns = names.join(", ");
        let values: Vec<String> = names.iter().map(|n| format!("{one}.{n}")).collect();
        let alias = self.bind(insert.rel, &insert.alias, column_names(table));
        let mut sql = format!(
            "{head}{new}({columns}) AS ({}), {gone} AS (DELETE FROM {t} AS {old} USING {new} AS \
             {one} WHERE {met} RETURNING 1) INSERT INTO {t} AS {alias} ({columns}) SELECT {} FROM \
             {new} AS {one}, (SELECT count(*) FROM {gone}) AS {}",
            source.trim_start(),
            values.join(", "),
            self.unique("first"),
            t = table_name(table),
        );
        sql.push_str(&self.returning(&insert.returning, &insert.outputs)?);
        Ok(sql)
    }

    fn insert_source(&mut self, source: &InsertSource) -> Result<String> {
        match source {
            InsertSource::Values(rows) => {
                let rows = rows
                    .iter()
                    .map(|r| Ok(format!("({})", self.list(r, ", ")?)))
                    .collect::<Result<Vec<_>>>()?;
                Ok(format!(" VALUES {}", rows.join(", ")))
            }
            InsertSource::Query { rel, query, exprs } => {
                let inner = self.query(query, false)?;
                let names = (0..query.columns.len()).map(output_name).collect();
                let alias = self.bind(*rel, "source", names);
                Ok(format!(" SELECT {} FROM ({inner}) AS {alias}", self.list(exprs, ", ")?))
            }
        }
    }

    fn on_conflict(&mut self, table: &Relation, conflict: &OnConflict) -> Result<String> {
        let mut sql = " ON CONFLICT".to_owned();
        let mut keys =
            conflict.columns.iter().map(|c| name(table, *c)).collect::<Result<Vec<_>>>()?;
        for expr in &conflict.expressions {
            keys.push(format!("({})", self.expr(expr)?));
        }
        if !keys.is_empty() {
            sql.push_str(&format!(" ({})", keys.join(", ")));
            if let Some(filter) = &conflict.index_filter {
                sql.push_str(&format!(" WHERE {}", self.expr(filter)?));
            }
        }
        let Some((assignments, filter)) = &conflict.update else {
            return Ok(sql + " DO NOTHING");
        };
        self.excluded = column_names(table);
        let set = assignments
            .iter()
            .map(|(c, e)| Ok(format!("{} = {}", name(table, *c)?, self.expr(e)?)))
            .collect::<Result<Vec<_>>>()?;
        sql.push_str(&format!(" DO UPDATE SET {}", set.join(", ")));
        if let Some(filter) = filter {
            sql.push_str(&format!(" WHERE {}", self.expr(filter)?));
        }
        Ok(sql)
    }

    fn returning(&mut self, exprs: &[Expr], outputs: &[Output]) -> Result<String> {
        if exprs.is_empty() {
            return Ok(String::new());
        }
        let mut list = Vec::with_capacity(exprs.len());
        for (expr, output) in exprs.iter().zip(outputs) {
            list.push(format!("{} AS {}", self.expr(expr)?, quoted(&output.name)));
        }
        Ok(format!(" RETURNING {}", list.join(", ")))
    }

    pub(super) fn update(&mut self, update: &Update) -> Result<String> {
        let table = &update.table.0;
        let with = self.with(update.recursive, &update.ctes)?;
        let alias = self.bind(update.rel, &update.alias, column_names(table));
        let from = self.tables_clause("FROM", &update.from)?;
        let mut sets = update
            .assignments
            .iter()
            .map(|(c, e)| Ok(format!("{} = {}", name(table, *c)?, self.expr(e)?)))
            .collect::<Result<Vec<_>>>()?;
        for (columns, query) in &update.row_assignments {
            let names = columns.iter().map(|c| name(table, *c)).collect::<Result<Vec<_>>>()?;
            sets.push(format!("({}) = ({})", names.join(", "), self.query(query, false)?));
        }
        let mut sql =
            format!("{with}UPDATE {} AS {alias} SET {}{from}", table_name(table), sets.join(", "));
        if let Some(filter) = &update.filter {
            sql.push_str(&format!(" WHERE {}", self.expr(filter)?));
        }
        sql.push_str(&self.returning(&update.returning, &update.outputs)?);
        Ok(sql)
    }

    pub(super) fn delete(&mut self, delete: &Delete) -> Result<String> {
        let table = &delete.table.0;
        let with = self.with(delete.recursive, &delete.ctes)?;
        let alias = self.bind(delete.rel, &delete.alias, column_names(table));
        let using = self.tables_clause("USING", &delete.using)?;
        let mut sql = format!("{with}DELETE FROM {} AS {alias}{using}", table_name(table));
        if let Some(filter) = &delete.filter {
            sql.push_str(&format!(" WHERE {}", self.expr(filter)?));
        }
        sql.push_str(&self.returning(&delete.returning, &delete.outputs)?);
        Ok(sql)
    }
}
