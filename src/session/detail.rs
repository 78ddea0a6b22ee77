//! What a refused write's rows tell: the DETAIL of a constraint violation.
//!
//! Owns finding the row, on the writer, before the transaction ends. Values of rows go to
//! the client alone, as PostgreSQL sends them: never into a log, nor to the observer. It is
//! run on failure only, and looks at a bounded number of rows. Start at
//! [`Session::with_detail`].

use std::collections::HashSet;

use tokio::task::block_in_place;

use super::query::Call;
use super::{Session, commands};
use crate::backend::sqlite::Connection;
use crate::error::{Error, Object, Result, state};
use crate::schema::{Action, Catalog, ForeignKey, Relation};
use crate::sql::{self, Change, Context};
use crate::value::{Cell, CellRef, Style};

/// Rows looked at in search of the refused one.
const ROWS_MAX: usize = 10_000;
/// A value longer than this is cut in "Failing row contains".
const VALUE_MAX: usize = 64;

/// One row of the statement, as stored.
struct Row {
    /// Before; empty for INSERT.
    old: Vec<Cell>,
    /// After; empty for DELETE.
    new: Vec<Cell>,
}

/// Where to look.
struct Search<'a> {
    connection: &'a Connection,
    catalog: &'a Catalog,
    relation: &'a Relation,
    change: Change,
    rows: Vec<Row>,
    style: Style,
}

impl Session {
    /// The error with the detail that PostgreSQL would give, where the row can be found.
    pub(super) fn with_detail(&self, error: Error, call: &Call, frozen: &[Cell]) -> Error {
        let wanted = [
            state::UNIQUE_VIOLATION,
            state::NOT_NULL_VIOLATION,
            state::CHECK_VIOLATION,
            state::FOREIGN_KEY_VIOLATION,
        ];
        if !wanted.contains(&error.sqlstate()) || error.fields().detail.is_some() {
            return error;
        }
        // Nothing that fails here is worth telling: the error stands without its detail.
        match block_in_place(|| self.find_row(&error, call, frozen)) {
            Ok(Some(detailed)) => detailed,
            Ok(None) | Err(_) => error,
        }
    }

    fn find_row(&self, error: &Error, call: &Call, frozen: &[Cell]) -> Result<Option<Error>> {
        let Some(writer) = self.transaction.writer() else { return Ok(None) };
        if call.plan.dialect.is_sqlite() {
            return Ok(None);
        }
        let catalog = self.catalog();
        let types: Vec<u32> = call.plan.params.iter().map(|t| t.oid).collect();
        let context = Context {
            catalog: &catalog,
            temporary: self.temporary(),
            search_path: &self.settings.derived().search_path,
            param_types: &types,
        };
        let mut parsed = sql::parse(&call.plan.text)?;
        let (Some(parsed), true) = (parsed.pop(), parsed.is_empty()) else { return Ok(None) };
        let rows = sql::rows_of(&parsed, &context)?;
        if rows.frozen != frozen.len() || error.fields().object.table.is_none() {
            let named = error.sqlstate() == state::FOREIGN_KEY_VIOLATION;
            if rows.frozen != frozen.len() || !named {
                return Ok(None);
            }
        }
        let connection: &Connection = writer;
        let width = rows.relation.columns.len();
        let old = if rows.change == Change::Insert { 0 } else { width };
        let mut statement = connection.prepare(&rows.query.text)?;
        let count = statement.parameter_count();
        for (i, cell) in call.params.iter().chain(frozen).enumerate().take(count) {
            statement.bind(i + 1, cell.as_ref())?;
        }
        let scope = self.scope();
        let _scope = crate::backend::sqlite::functions::session::Scope::enter(scope);
        let mut found = Vec::new();
        while found.len() < ROWS_MAX && statement.step()? {
            let cells = |range: std::ops::Range<usize>| -> Vec<Cell> {
                range.map(|i| owned(statement.column(i))).collect()
            };
            let before = cells(0..old);
            let mut after = match rows.change {
                Change::Insert => vec![Cell::Null; width],
                Change::Update => before.clone(),
                Change::Delete => Vec::new(),
            };
            for (column, cell) in
                rows.query.written.iter().zip(cells(old..statement.column_count()))
            {
                if let Some(slot) = after.get_mut(*column) {
                    *slot = cell;
                }
            }
            found.push(Row { old: before, new: after });
        }
        drop(statement);
        let search = Search {
            connection,
            catalog: &catalog,
            relation: &rows.relation,
            change: rows.change,
            rows: found,
            style: self.settings.derived().style.clone(),
        };
        search.explain(error)
    }
}

impl Search<'_> {
    fn explain(&self, error: &Error) -> Result<Option<Error>> {
        let object = &error.fields().object;
        let own = object.table.as_deref() == Some(self.relation.name.as_str());
        Ok(match error.sqlstate() {
            state::UNIQUE_VIOLATION if own => {
                match object.constraint.as_deref().and_then(|c| self.unique_columns(c)) {
                    Some(_) => self.first_duplicate(error)?,
                    None => None,
                }
            }
            state::NOT_NULL_VIOLATION if own => {
                let column = object.column.as_deref().and_then(|c| self.relation.column(c));
                let null = |row: &&Row| {
                    column.and_then(|c| row.new.get(c)).is_some_and(|cell| *cell == Cell::Null)
                };
                match self.rows.iter().find(null) {
                    Some(row) => Some(error.clone().detail(self.failing(row)?)),
                    None => None,
                }
            }
            state::CHECK_VIOLATION if own => match self.rows.as_slice() {
                [row] => Some(error.clone().detail(self.failing(row)?)),
                _ => None,
            },
            state::FOREIGN_KEY_VIOLATION => match self.orphan()? {
                Some(found) => Some(found),
                None => self.still_referenced()?,
            },
            _ => None,
        })
    }

    fn unique_columns(&self, constraint: &str) -> Option<Vec<usize>> {
        self.relation.uniques.iter().find(|u| u.name == constraint).map(|u| u.columns.clone())
    }

    /// The key that PostgreSQL finds taken first: of the first row, by the first constraint. SQLite
    /// looks at them in another order.
    fn first_duplicate(&self, error: &Error) -> Result<Option<Error>> {
        let (primary, others): (Vec<_>, Vec<_>) =
            self.relation.uniques.iter().partition(|u| u.primary);
        let mut first: Option<(usize, &str, String)> = None;
        for unique in primary.into_iter().chain(others) {
            if let Some((row, detail)) = self.duplicate(&unique.columns)?
                && first.as_ref().is_none_or(|(known, ..)| row < *known)
            {
                first = Some((row, &unique.name, detail));
            }
        }
        Ok(first.map(|(_, name, detail)| {
            let message = format!("duplicate key value violates unique constraint \"{name}\"");
            let mut object = error.fields().object.clone();
            object.constraint = Some(name.to_owned());
            Error::client(state::UNIQUE_VIOLATION, message).object(object).detail(detail)
        }))
    }

    fn duplicate(&self, columns: &[usize]) -> Result<Option<(usize, String)>> {
        let mut seen = HashSet::new();
        for (place, row) in self.rows.iter().enumerate() {
            let key = self.key(&row.new, columns);
            if key.contains(&Cell::Null) || key == self.key(&row.old, columns) {
                continue;
            }
            let fresh = seen.insert(format!("{key:?}"));
            if !fresh || self.exists(&self.relation.sqlite_name, self.relation, columns, &key)? {
                let shown = self.shown(self.relation, columns, &key)?;
                return Ok(Some((place, format!("Key {shown} already exists."))));
            }
        }
        Ok(None)
    }

    /// A row that refers to nothing.
    fn orphan(&self) -> Result<Option<Error>> {
        if self.change == Change::Delete {
            return Ok(None);
        }
        for row in &self.rows {
            for key in &self.relation.foreign_keys {
                let values = self.key(&row.new, &key.columns);
                if values.contains(&Cell::Null) || values == self.key(&row.old, &key.columns) {
                    continue;
                }
                let Some((parent, columns)) = self.referenced(key) else { continue };
                let own = parent.oid == self.relation.oid
                    && self.rows.iter().any(|r| self.key(&r.new, &columns) == values);
                if own || self.exists(&parent.sqlite_name, parent, &columns, &values)? {
                    continue;
                }
                let shown = self.shown(self.relation, &key.columns, &values)?;
                let (table, name) = (&self.relation.name, &key.name);
                let message = format!(
                    "insert or update on table \"{table}\" violates foreign key constraint \"{name}\""
                );
                let detail = format!("Key {shown} is not present in table \"{}\".", parent.name);
                return Ok(Some(violation(message, detail, table, name)));
            }
        }
        Ok(None)
    }

    /// A row that others refer to.
    fn still_referenced(&self) -> Result<Option<Error>> {
        if self.change == Change::Insert {
            return Ok(None);
        }
        for row in &self.rows {
            for child in self.catalog.relations.values() {
                for key in &child.foreign_keys {
                    if key.table != self.relation.name || child.oid == self.relation.oid {
                        continue;
                    }
                    let action = match self.change {
                        Change::Delete => key.on_delete,
                        _ => key.on_update,
                    };
                    let Some((_, columns)) = self.referenced(key) else { continue };
                    let values = self.key(&row.old, &columns);
                    if !matches!(action, Action::NoAction | Action::Restrict)
                        || values.contains(&Cell::Null)
                        || values == self.key(&row.new, &columns)
                        || !self.exists(&child.sqlite_name, child, &key.columns, &values)?
                    {
                        continue;
                    }
                    let shown = self.shown(self.relation, &columns, &values)?;
                    let message = format!(
                        "update or delete on table \"{}\" violates foreign key constraint \"{}\" \
                         on table \"{}\"",
                        self.relation.name, key.name, child.name
                    );
                    let detail =
                        format!("Key {shown} is still referenced from table \"{}\".", child.name);
                    return Ok(Some(violation(message, detail, &child.name, &key.name)));
                }
            }
        }
        Ok(None)
    }

    /// The table and columns a foreign key refers to.
    fn referenced(&self, key: &ForeignKey) -> Option<(&Relation, Vec<usize>)> {
        let parent = self.catalog.relation(&key.table)?;
        let columns = if key.referenced.is_empty() {
            parent.uniques.iter().find(|u| u.primary)?.columns.clone()
        } else {
            key.referenced.iter().map(|c| parent.column(c)).collect::<Option<_>>()?
        };
        Some((parent, columns))
    }

    fn key(&self, row: &[Cell], columns: &[usize]) -> Vec<Cell> {
        columns.iter().filter_map(|c| row.get(*c).cloned()).collect()
    }

    fn exists(
        &self,
        table: &str,
        relation: &Relation,
        columns: &[usize],
        key: &[Cell],
    ) -> Result<bool> {
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let conditions: Vec<String> = columns
            .iter()
            .enumerate()
            .filter_map(|(i, c)| {
                let column = relation.columns.get(*c)?;
                Some(format!("{} = ?{}", quoted(&column.sqlite_name), i + 1))
            })
            .collect();
        let schema = if relation.schema == "pg_temp" { "" } else { "\"public\"." };
        let text = format!(
            "SELECT 1 FROM {schema}{} WHERE {} LIMIT 1",
            quoted(table),
            conditions.join(" AND ")
        );
        Ok(self.connection.query_row(&text, key)?.is_some())
    }

    /// `(a, b)=(1, 2)`
    fn shown(&self, relation: &Relation, columns: &[usize], key: &[Cell]) -> Result<String> {
        let mut names = Vec::new();
        let mut values = Vec::new();
        for (column, cell) in columns.iter().zip(key) {
            let Some(column) = relation.columns.get(*column) else { continue };
            names.push(column.name.as_str());
            let text = self.text(column, cell)?;
            values.push(text.unwrap_or_else(|| "null".to_owned()));
        }
        Ok(format!("({})=({})", names.join(", "), values.join(", ")))
    }

    /// `Failing row contains (1, null, x).`
    fn failing(&self, row: &Row) -> Result<String> {
        let mut values = Vec::new();
        for (column, cell) in self.relation.columns.iter().zip(&row.new) {
            values.push(match self.text(column, cell)? {
                None => "null".to_owned(),
                Some(text) if text.len() > VALUE_MAX => {
                    let end = (0..=VALUE_MAX).rev().find(|i| text.is_char_boundary(*i));
                    format!("{}...", text.get(..end.unwrap_or(0)).unwrap_or_default())
                }
                Some(text) => text,
            });
        }
        Ok(format!("Failing row contains ({}).", values.join(", ")))
    }

    fn text(&self, column: &crate::schema::Column, cell: &Cell) -> Result<Option<String>> {
        commands::cell_text(Some(cell.as_ref()), Some(column.codec), column.ty, &self.style)
    }
}

fn owned(cell: CellRef<'_>) -> Cell {
    match cell {
        CellRef::Null => Cell::Null,
        CellRef::Integer(i) => Cell::Integer(i),
        CellRef::Real(r) => Cell::Real(r),
        CellRef::Text(t) => Cell::Text(String::from_utf8_lossy(t).into_owned()),
        CellRef::Blob(b) => Cell::Blob(b.to_vec()),
    }
}

fn violation(message: String, detail: String, table: &str, constraint: &str) -> Error {
    let object = Object {
        schema: Some("public".to_owned()),
        table: Some(table.to_owned()),
        constraint: Some(constraint.to_owned()),
        ..Object::default()
    };
    Error::client(state::FOREIGN_KEY_VIOLATION, message).detail(detail).object(object)
}
