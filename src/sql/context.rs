//! What names resolve against.
//!
//! Owns [`Context`], borrowed for the time of one analysis. It must never hold anything
//! that changes between two runs of the same plan.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use crate::error::{Error, Result, state};
use crate::name::{PUBLIC, key};
use crate::schema::{Catalog, Relation};
use crate::sql::ast::Name;
use crate::value::extension::Extensions;

/// Everything the analysis of one statement may look at.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The database's objects.
    pub catalog: &'a Catalog,
    /// The session's temporary tables, by name.
    pub temporary: &'a BTreeMap<String, Arc<Relation>>,
    /// Schemas searched for unqualified names, in order.
    pub search_path: &'a [String],
    /// Types the client named for $1 …; 0 leaves one to inference.
    pub param_types: &'a [u32],
}

static STORED: LazyLock<Vec<String>> = LazyLock::new(|| vec![PUBLIC.to_owned()]);
static NOTHING: LazyLock<BTreeMap<String, Arc<Relation>>> = LazyLock::new(BTreeMap::new);

impl<'a> Context<'a> {
    /// The same for what the catalog keeps: its texts name objects outside `public` with their
    /// schemas, and nothing of a session.
    pub fn stored(self) -> Context<'a> {
        // Nor has it parameters: what the client says of its own is about other expressions.
        Context { search_path: &STORED, temporary: &NOTHING, param_types: &[], ..self }
    }

    /// The extensions whose types, functions and operators are there.
    pub fn extensions(&self) -> Extensions {
        Extensions::named(self.catalog.extensions.keys())
    }

    /// A table or view of clients.
    ///
    /// # Errors
    /// 42P01
    pub fn user_relation(&self, name: &Name) -> Result<Arc<Relation>> {
        let own = || self.temporary.get(&name.name);
        let keys = |schema| self.keys(schema, &name.name);
        let lasting = |keys: Vec<String>| keys.iter().find_map(|k| self.catalog.relations.get(k));
        let found = match name.schema.as_deref() {
            None => own().or_else(|| lasting(keys(None))),
            Some(schema) if schema.starts_with("pg_temp") => own(),
            schema => lasting(keys(schema)),
        };
        let known = |s: &str| self.catalog.has_schema(s) || s.starts_with("pg_temp");
        if let Some(schema) = name.schema.as_deref().filter(|s| !known(s)) {
            let message = format!("schema \"{schema}\" does not exist");
            return Err(Error::client(state::INVALID_SCHEMA_NAME, message));
        }
        found.cloned().ok_or_else(|| {
            let full = match &name.schema {
                Some(schema) => format!("{schema}.{}", name.name),
                None => name.name.clone(),
            };
            Error::client(state::UNDEFINED_TABLE, format!("relation \"{full}\" does not exist"))
        })
    }

    /// The keys that a name may have, in the order in which they are tried.
    pub fn keys(&self, schema: Option<&str>, name: &str) -> Vec<String> {
        match schema {
            Some(schema) => vec![key(schema, name)],
            None => {
                let known = |s: &&String| *s == PUBLIC || self.catalog.schemas.contains_key(*s);
                self.search_path.iter().filter(known).map(|s| key(s, name)).collect()
            }
        }
    }
}
