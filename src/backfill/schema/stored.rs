//! Views and triggers of the file itself: what PostgreSQL can have of them, and why not the rest.
//!
//! Owns [`Stored`], the file's texts. Pure. Start at [`view`] and [`triggers`].

use std::collections::BTreeMap;

use super::{Findings, Options, Plan, Translated};
use crate::backend::sqlite::adopt::pg_name;
use crate::error::Error;
use crate::schema::{Catalog, Relation};
use crate::sql::outward;
use crate::sql::stored::{self as text, Object};

/// The CREATE texts of the file's own objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// By the view's name in small letters.
    views: BTreeMap<String, String>,
    triggers: Vec<String>,
    indexes: Vec<String>,
    /// By the table's name in small letters.
    tables: BTreeMap<String, String>,
}

impl Stored {
    /// Of entries of the file's schema: kind, name, text.
    pub fn of<'a>(entries: impl Iterator<Item = (&'a str, &'a str, &'a str)>) -> Self {
        let mut stored = Self::default();
        for (kind, name, sql) in entries {
            match kind {
                "view" => drop(stored.views.insert(name.to_ascii_lowercase(), sql.to_owned())),
                "trigger" => stored.triggers.push(sql.to_owned()),
                "index" => stored.indexes.push(sql.to_owned()),
                "table" => drop(stored.tables.insert(name.to_ascii_lowercase(), sql.to_owned())),
                _ => {}
            }
        }
        stored
    }

    /// What an index of a table says, by PostgreSQL's name of it.
    pub(super) fn index(&self, relation: &Relation, name: &str) -> Option<text::Index> {
        self.indexes.iter().find_map(|sql| match text::read(sql) {
            Ok(Object::Index(index))
                if index.table.eq_ignore_ascii_case(&relation.sqlite_name)
                    && pg_name(&index.name, sql) == name =>
            {
                Some(index)
            }
            _ => None,
        })
    }

    /// The columns of each plain unique index of a table, by SQLite's names.
    pub(super) fn unique_indexes(&self, relation: &Relation) -> Vec<Vec<String>> {
        let of = |sql: &String| match text::read(sql) {
            Ok(Object::Index(index))
                if index.unique
                    && index.filter.is_none()
                    && index.table.eq_ignore_ascii_case(&relation.sqlite_name) =>
            {
                let plain = |k: &text::Key| k.collation.as_deref().is_none_or(|c| c == "BINARY");
                index.keys.iter().map(|k| k.column.clone().filter(|_| plain(k))).collect()
            }
            _ => None,
        };
        self.indexes.iter().filter_map(of).collect()
    }

    /// What the file says of a table.
    pub(super) fn table(&self, relation: &Relation) -> Option<text::Table> {
        let sql = self.tables.get(&relation.sqlite_name.to_ascii_lowercase())?;
        match text::read(sql) {
            Ok(Object::Table(table)) => Some(table),
            _ => None,
        }
    }
}

/// A view of SQLite's.
pub(super) fn view(catalog: &Catalog, relation: &Relation, options: &Options, plan: &mut Plan) {
    let made = match options.stored.views.get(&relation.sqlite_name.to_ascii_lowercase()) {
        Some(sql) => outward::view(sql, relation, catalog),
        None => Err(Error::unsupported("a view whose text is not known")),
    };
    match made {
        Ok(outward) => plan.outward.push(Translated {
            table: relation.name.clone(),
            object: "view".to_owned(),
            outward,
        }),
        Err(error) => {
            let message =
                format!("the view is SQLite's own, PostgreSQL needs one by hand: {}", why(&error));
            Findings { table: &relation.name, list: &mut plan.findings }.lacks("view", &message);
        }
    }
}

/// Triggers of SQLite's.
pub(super) fn triggers(catalog: &Catalog, options: &Options, plan: &mut Plan) {
    let texts: Vec<&str> = options.stored.triggers.iter().map(String::as_str).collect();
    for made in outward::triggers(&texts, catalog) {
        let object = format!("trigger {:?}", made.name);
        let named = |r: &&std::sync::Arc<Relation>| r.sqlite_name.eq_ignore_ascii_case(&made.table);
        let table = catalog.relations.values().find(named).map_or(&made.table, |r| &r.name).clone();
        match made.outward {
            Ok(outward) => plan.outward.push(Translated { table, object, outward }),
            Err(error) => {
                let message = format!(
                    "it runs in SQLite only, and what it writes is mirrored; PostgreSQL needs one \
                     by hand: {}",
                    why(&error)
                );
                Findings { table: &table, list: &mut plan.findings }.weaker(&object, &message);
            }
        }
    }
}

pub(super) fn why(error: &Error) -> &str {
    error.message()
}
