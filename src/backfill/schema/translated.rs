//! What the tables of the file are declared with, in PostgreSQL's dialect.
//!
//! Owns the texts of generated columns, defaults, checks and indexes that only SQLite can read:
//! `sql::outward` writes them anew, or says why not. It must never hand on a text of SQLite's.
//! Start at [`Translated::of`].

use super::stored::Stored;
use crate::backend::sqlite::adopt;
use crate::error::{Error, Result};
use crate::schema::{Catalog, Column, Index, IndexKey, Relation};
use crate::sql::outward::{self, Names};

/// The texts of one table.
pub(super) struct Translated<'a> {
    names: Names<'a>,
    /// Of each generated column.
    generated: Vec<Option<Result<String>>>,
}

impl<'a> Translated<'a> {
    /// Of a table.
    pub(super) fn of(catalog: &'a Catalog, relation: &'a Relation) -> Self {
        let known = outward::generated(relation, catalog);
        let mut names = Names::plain(relation, catalog);
        let is_key = |index: &usize| relation.key().is_some_and(|key| key.contains(index));
        for (index, text) in known.iter().enumerate() {
            if matches!(text, Some(Err(_))) && !is_key(&index) {
                names.columns[index].clear();
            }
        }
        Self { names, generated: known }
    }

    /// The expression of a generated column; without one it is a column of SQLite's alone. One
    /// that is part of the key stays as it is: without it rows could not be found.
    pub(super) fn generated(&self, index: usize) -> Option<Result<&str, &Error>> {
        let made = self.generated.get(index)?.as_ref()?;
        let own = self.names.relation.columns.get(index)?.generated.as_ref();
        Some(match (made, own) {
            (Err(_), Some(own)) if !self.names.columns[index].is_empty() => Ok(&own.expression),
            (made, _) => made.as_ref().map(String::as_str),
        })
    }

    /// Generated columns that PostgreSQL cannot compute.
    pub(super) fn lacking(&self) -> Vec<usize> {
        let all = 0..self.generated.len();
        all.filter(|index| matches!(self.generated(*index), Some(Err(_)))).collect()
    }

    /// A default of SQLite's.
    pub(super) fn default(&self, text: &str, column: &Column) -> Result<String> {
        self.names.default(text, column)
    }

    /// A check of SQLite's.
    pub(super) fn check(&self, text: &str) -> Result<String> {
        self.names.condition(text, false)
    }

    /// An index of SQLite's, read from its own text.
    pub(super) fn index(&self, index: &Index, stored: &Stored) -> Result<Index> {
        let relation = self.names.relation;
        let text = stored
            .index(relation, &index.name)
            .ok_or_else(|| Error::unsupported("an index whose text is not known"))?;
        let mut keys = Vec::with_capacity(text.keys.len());
        for key in &text.keys {
            if let Some(plain) = adopt::collated_key(relation, key) {
                if let IndexKey::Column(position, _) = plain
                    && self.names.columns[position].is_empty()
                {
                    return Err(Error::unsupported(
                        "an index over a column that PostgreSQL cannot compute",
                    ));
                }
                keys.push(plain);
                continue;
            }
            let sql = self.names.key(&key.expression)?;
            let sql = match key.collation.as_deref() {
                None | Some("BINARY") => sql,
                Some("NOCASE") => format!("lower(({sql}) COLLATE \"C\")"),
                Some("RTRIM") => format!("rtrim({sql}, ' ')"),
                Some(other) => {
                    return Err(Error::unsupported(format_args!("collation {other}")));
                }
            };
            keys.push(IndexKey::Expression(sql, key.descending));
        }
        let filter = text.filter.as_deref();
        let predicate = filter.map(|f| self.names.condition(f, true)).transpose()?;
        Ok(Index { keys, predicate, sqlite: false, ..index.clone() })
    }
}
