//! After promote: texts in SQLite's dialect become PostgreSQL's on their way through the relay.
//!
//! Owns the decision for a text that passes: nearly all go as they are, which is remembered by
//! their shape, so that texts that differ only in constants are decided once. A text that
//! neither dialect accepts here goes as it is: PostgreSQL knows better. It must never change a text
//! that PostgreSQL accepts, whatever it is taken for here: PostgreSQL is asked first. Start at
//! [`Rewriter::rewritten`].

use std::collections::BTreeMap;
use std::hash::{Hash as _, Hasher as _};
use std::sync::{Arc, LazyLock};

use super::asked::Question;
use super::settings::Derived;
use super::{Session, Shared};
use crate::cutover::gate::Route;
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
    route: Route,
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
            Some(Some(other)) => {
                let other: Arc<str> = other.into();
                self.shared.plans.keep_rewritten(key.0, key.1, text, Arc::clone(&other));
                Some(other)
            }
            Some(None) => {
                self.shared.plans.keep_passing(key);
                None
            }
            None => None,
        }
    }

    /// What goes instead, if anything does; None when that could not be decided: the text goes as
    /// it is, this time.
    fn decide(&self, text: &str, types: &[u32], mode: Mode) -> Option<Option<String>> {
        let context = Context {
            catalog: &self.catalog,
            temporary: &NOTHING,
            search_path: &self.derived.search_path,
            param_types: types,
        };
        let Ok(parsed) = sql::parse_in(text, mode) else { return Some(None) };
        let mut changed = false;
        let mut parts: Vec<String> = Vec::with_capacity(parsed.len());
        for statement in &parsed {
            match sql::live(statement, &context, mode) {
                Ok(Some(other)) if self.is_refused(statement, &other, types, mode)? => {
                    changed = true;
                    parts.push(other);
                }
                Ok(_) => parts.push(statement.text.clone()),
                // Part of it may concern what only PostgreSQL knows.
                Err(_) if statement.dialect == Dialect::Postgres => {
                    parts.push(statement.text.clone());
                }
                Err(_) => return Some(None),
            }
        }
        Some(changed.then(|| parts.join("; ")))
    }

    /// Whether PostgreSQL refuses a statement that it would not get; None when it cannot be asked.
    fn is_refused(
        &self,
        statement: &Parsed,
        instead: &str,
        types: &[u32],
        mode: Mode,
    ) -> Option<bool> {
        if statement.dialect != Dialect::Postgres || mode == Mode::Sqlite {
            // Its grammar does not take the text, or the client has said whose it is.
            return Some(true);
        }
        let path = &self.derived.search_path;
        let key = (mode, self.catalog.version, shape(&statement.text, types, path));
        if self.shared.plans.is_refused(key) {
            return Some(true);
        }
        let question =
            Question { text: &statement.text, instead, types, search_path: path.as_slice() };
        let refused = self.shared.upstreams.as_ref()?.refuses(&question, self.route);
        match refused {
            Some(true) => self.shared.plans.keep_refused(key),
            Some(false) => {}
            None => tracing::info!("PostgreSQL could not be asked about a text: it goes as it is"),
        }
        refused
    }
}

impl Session {
    /// What texts of this session are read against, on PostgreSQL.
    pub(super) fn rewriter(&self, route: Route) -> Rewriter {
        Rewriter {
            shared: Arc::clone(&self.shared),
            catalog: self.catalog(),
            derived: Arc::clone(self.settings.derived()),
            route,
        }
    }

    /// A statement's text as PostgreSQL is to know it.
    pub(super) fn postgres_text(&self, parsed: &Parsed, types: &[u32], route: Route) -> String {
        match self.rewriter(route).rewritten(&parsed.text, types) {
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
