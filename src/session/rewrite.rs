//! After promote: texts in SQLite's dialect become PostgreSQL's on their way through the relay.
//!
//! Owns the decision for a text that passes: nearly all go as they are, which is remembered by
//! their shape, so that texts that differ only in constants are decided once. A text that
//! neither dialect accepts here goes as it is: PostgreSQL knows better. Start at
//! [`Rewriter::rewritten`].

use std::collections::BTreeMap;
use std::hash::{Hash as _, Hasher as _};
use std::sync::{Arc, LazyLock};

use super::settings::Derived;
use super::{Session, Shared};
use crate::schema::{Catalog, Relation};
use crate::sql::ast::{Dialect, Parsed};
use crate::sql::lexer::{self, Kind};
use crate::sql::{self, Context, Mode};

static NOTHING: LazyLock<BTreeMap<String, Arc<Relation>>> = LazyLock::new(BTreeMap::new);

/// What a session's texts are read against.
pub(super) struct Rewriter {
    shared: Arc<Shared>,
    catalog: Arc<Catalog>,
    derived: Arc<Derived>,
}

/// A decision: the text as it is, or another one.
pub(crate) type Decision = Option<Arc<str>>;

impl Rewriter {
    /// The text PostgreSQL is to get instead; None when it goes as it is.
    pub(super) fn rewritten(&self, text: &str, types: &[u32]) -> Decision {
        let mode = self.derived.dialect;
        if mode == Mode::Postgres {
            return None;
        }
        let shape = shape(text, types, &self.derived.search_path);
        let key = (mode, self.catalog.version, shape);
        if self.shared.plans.passes(key) {
            return None;
        }
        if let Some(known) = self.shared.plans.rewritten(key.0, key.1, text) {
            return Some(known);
        }
        match self.decide(text, types, mode) {
            Some(other) => {
                let other: Arc<str> = other.into();
                self.shared.plans.keep_rewritten(key.0, key.1, text, Arc::clone(&other));
                Some(other)
            }
            None => {
                self.shared.plans.keep_passing(key);
                None
            }
        }
    }

    fn decide(&self, text: &str, types: &[u32], mode: Mode) -> Option<String> {
        let context = Context {
            catalog: &self.catalog,
            temporary: &NOTHING,
            search_path: &self.derived.search_path,
            param_types: types,
        };
        let parsed = sql::parse_in(text, mode).ok()?;
        let mut changed = false;
        let mut parts: Vec<String> = Vec::with_capacity(parsed.len());
        for statement in &parsed {
            match sql::live(statement, &context, mode) {
                Ok(Some(other)) => {
                    changed = true;
                    parts.push(other);
                }
                Ok(None) => parts.push(statement.text.clone()),
                // Part of it may concern what only PostgreSQL knows.
                Err(_) if statement.dialect == Dialect::Postgres => {
                    parts.push(statement.text.clone());
                }
                Err(_) => return None,
            }
        }
        changed.then(|| parts.join("; "))
    }
}

impl Session {
    /// What texts of this session are read against, on PostgreSQL.
    pub(super) fn rewriter(&self) -> Rewriter {
        Rewriter {
            shared: Arc::clone(&self.shared),
            catalog: self.catalog(),
            derived: Arc::clone(self.settings.derived()),
        }
    }

    /// A statement's text as PostgreSQL is to know it.
    pub(super) fn postgres_text(&self, parsed: &Parsed, types: &[u32]) -> String {
        match self.rewriter().rewritten(&parsed.text, types) {
            Some(other) => other.as_ref().to_owned(),
            None => parsed.text.clone(),
        }
    }
}

/// A hash of a text without its constants: strings and numbers count by their kind alone.
fn shape(text: &str, types: &[u32], path: &[String]) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    for token in lexer::tokens(text) {
        let of = text.get(token.start..token.end).unwrap_or_default();
        match token.kind {
            // What stands before the quote says which kind of string it is.
            Kind::Text => of.split('\'').next().hash(&mut hasher),
            Kind::Number => {}
            _ => of.hash(&mut hasher),
        }
        hasher.write_u8(token.kind as u8);
    }
    types.hash(&mut hasher);
    path.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::shape;

    #[test]
    fn constants_have_no_say_in_a_shape() {
        let of = |text: &str| shape(text, &[], &[]);
        assert_eq!(of("SELECT 1, 'a'"), of("SELECT 4711, 'it'"));
        assert_ne!(of("SELECT a1"), of("SELECT a2"));
        assert_ne!(of("SELECT 1"), of("SELECT '1'"));
        assert_ne!(of("SELECT $1"), of("SELECT $2"));
        // An apostrophe in a comment or behind a backslash begins no constant.
        assert_ne!(of("SELECT 1 -- don't\n, a"), of("SELECT 1 -- don't\n, b"));
        assert_ne!(of(r"SELECT E'it\'s', a, 'x'"), of(r"SELECT E'it\'s', b, 'x'"));
        assert_ne!(of("SELECT x'1f'"), of("SELECT '1f'"));
        assert_ne!(shape("SELECT $1", &[23], &[]), shape("SELECT $1", &[25], &[]));
    }
}
