//! Views and triggers of the file itself: what PostgreSQL can have of them, and why not the rest.
//!
//! Owns [`Stored`], their texts. Pure. Start at [`view`] and [`triggers`].

use std::collections::BTreeMap;

use super::{Findings, Options, Plan, Translated};
use crate::error::Error;
use crate::schema::{Catalog, Relation};
use crate::sql::outward;

/// The CREATE texts of the file's own views and triggers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// By the view's name in small letters.
    views: BTreeMap<String, String>,
    triggers: Vec<String>,
}

impl Stored {
    /// Of entries of the file's schema: kind, name, text.
    pub fn of<'a>(entries: impl Iterator<Item = (&'a str, &'a str, &'a str)>) -> Self {
        let mut stored = Self::default();
        for (kind, name, sql) in entries {
            match kind {
                "view" => drop(stored.views.insert(name.to_ascii_lowercase(), sql.to_owned())),
                "trigger" => stored.triggers.push(sql.to_owned()),
                _ => {}
            }
        }
        stored
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
            Findings { table: &relation.name, list: &mut plan.findings }.add("view", &message);
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
                Findings { table: &table, list: &mut plan.findings }.add(&object, &message);
            }
        }
    }
}

fn why(error: &Error) -> &str {
    error.message()
}
