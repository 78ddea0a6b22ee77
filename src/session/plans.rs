//! The plan cache: query texts parsed once, statements planned once per catalog version,
//! search_path and parameter types.
//!
//! Owns the sharing of parsed texts and plans between sessions, within a bound. It must
//! never give a plan made for another catalog. Start at [`Plans::text`].

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::shapes::Shapes;
use crate::error::Result;
use crate::schema::{Catalog, Relation};
use crate::sql::plan::Plan;
use crate::sql::{self, Context, Mode, ast};
use crate::telemetry::names;

/// Plans kept for one statement (search_path and parameter types vary).
const PLANS_MAX: usize = 4;
/// Shapes of texts remembered as PostgreSQL's own.
const PASSING_MAX: usize = 16 << 10;
/// Longer texts (bulk inserts with literals) are not cached.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// A query string, parsed.
#[derive(Debug)]
pub struct Text {
    /// Its statements; empty when there is none.
    pub statements: Vec<Entry>,
}

/// One statement of a text, with its plans.
#[derive(Debug)]
pub struct Entry {
    /// The statement.
    pub parsed: ast::Parsed,
    plans: Mutex<Vec<(Key, Arc<Plan>)>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    version: u64,
    path: Vec<String>,
    types: Vec<u32>,
    mode: Mode,
}

/// What a plan is made for.
#[derive(Clone, Copy)]
pub struct For<'a> {
    /// The catalog the session sees.
    pub catalog: &'a Catalog,
    /// Its temporary tables.
    pub temporary: &'a BTreeMap<String, Arc<Relation>>,
    /// Its search_path.
    pub search_path: &'a [String],
    /// Parameter types the client named.
    pub types: &'a [u32],
    /// Its `crossfade.dialect`.
    pub mode: Mode,
}

impl Entry {
    /// A statement that is not shared.
    pub fn new(parsed: ast::Parsed) -> Self {
        Self { parsed, plans: Mutex::default() }
    }

    /// The plan, from the cache when there is one.
    pub fn plan(&self, wanted: For<'_>) -> Result<Arc<Plan>> {
        let shared = wanted.temporary.is_empty();
        if shared {
            let plans = self.plans.lock();
            let found = plans.iter().find(|(k, _)| {
                k.version == wanted.catalog.version
                    && k.types == wanted.types
                    && k.mode == wanted.mode
                    && k.path == wanted.search_path
            });
            if let Some((_, plan)) = found {
                return Ok(Arc::clone(plan));
            }
        }
        let context = Context {
            catalog: wanted.catalog,
            temporary: wanted.temporary,
            search_path: wanted.search_path,
            param_types: wanted.types,
        };
        let plan = Arc::new(sql::plan_in(&self.parsed, &context, wanted.mode)?);
        metrics::counter!(names::PLANS, "dialect" => plan.dialect.name()).increment(1);
        if shared {
            let key = Key {
                version: wanted.catalog.version,
                path: wanted.search_path.to_vec(),
                types: wanted.types.to_vec(),
                mode: wanted.mode,
            };
            let mut plans = self.plans.lock();
            plans.retain(|(k, _)| k.version == key.version);
            if plans.len() >= PLANS_MAX {
                plans.remove(0);
            }
            plans.push((key, Arc::clone(&plan)));
        }
        Ok(plan)
    }
}

#[derive(Clone)]
struct Weight;

impl Weighter<(Mode, u64, Box<str>), Arc<str>> for Weight {
    fn weight(&self, key: &(Mode, u64, Box<str>), text: &Arc<str>) -> u64 {
        (key.2.len() + text.len() + 128) as u64
    }
}

impl Weighter<(Mode, Box<str>), Arc<Text>> for Weight {
    fn weight(&self, key: &(Mode, Box<str>), text: &Arc<Text>) -> u64 {
        self.weight(&key.1, text)
    }
}

impl Weighter<Box<str>, Arc<Text>> for Weight {
    fn weight(&self, key: &Box<str>, text: &Arc<Text>) -> u64 {
        // Trees and plans take some ten times the text, and a constant part.
        (key.len() * 12 + 4096 * (1 + text.statements.len())) as u64
    }
}

/// Parsed texts, shared by all sessions.
pub struct Plans {
    texts: Cache<Box<str>, Arc<Text>, Weight>,
    /// Plans of texts that differ only in literals.
    pub shapes: Shapes,
    /// Texts of sessions that have named their dialect.
    named: Cache<(Mode, Box<str>), Arc<Text>, Weight>,
    /// Shapes of texts that go to PostgreSQL as they are, for a catalog version.
    passing: Cache<(Mode, u64, u64), ()>,
    /// Shapes of statements that PostgreSQL was asked about and refuses as they are.
    refused: Cache<(Mode, u64, u64), ()>,
    /// Texts that do not, with what goes instead.
    rewritten: Cache<(Mode, u64, Box<str>), Arc<str>, Weight>,
}

impl Plans {
    /// A cache of about `bytes`.
    pub fn new(bytes: u64) -> Self {
        let bytes = bytes / 2;
        let items = usize::try_from(bytes / 8192).unwrap_or(1024);
        Self {
            texts: Cache::with_weighter(items, bytes, Weight),
            shapes: Shapes::new(bytes),
            named: Cache::with_weighter(items / 4, bytes / 4, Weight),
            passing: Cache::new(PASSING_MAX),
            refused: Cache::new(PASSING_MAX),
            rewritten: Cache::with_weighter(items / 4, bytes / 4, Weight),
        }
    }

    /// Whether texts of this shape go to PostgreSQL as they are.
    pub(crate) fn passes(&self, key: (Mode, u64, u64)) -> bool {
        self.passing.get(&key).is_some()
    }

    /// Notes that they do.
    pub(crate) fn keep_passing(&self, key: (Mode, u64, u64)) {
        self.passing.insert(key, ());
    }

    /// Whether PostgreSQL is known to refuse statements of this shape.
    pub(crate) fn is_refused(&self, key: (Mode, u64, u64)) -> bool {
        self.refused.get(&key).is_some()
    }

    /// Notes that it does.
    pub(crate) fn keep_refused(&self, key: (Mode, u64, u64)) {
        self.refused.insert(key, ());
    }

    /// What goes to PostgreSQL instead of a text.
    pub(crate) fn rewritten(&self, mode: Mode, version: u64, text: &str) -> Option<Arc<str>> {
        self.rewritten.get(&(mode, version, Box::from(text)))
    }

    /// Notes it, unless it is long.
    pub(crate) fn keep_rewritten(&self, mode: Mode, version: u64, text: &str, other: Arc<str>) {
        if text.len() <= TEXT_BYTES_MAX {
            self.rewritten.insert((mode, version, text.into()), other);
        }
    }

    /// Parses a query string, or finds it parsed.
    ///
    /// # Errors
    /// PostgreSQL's own 42601 with its position.
    pub fn text(&self, sql: &str, mode: Mode) -> Result<Arc<Text>> {
        if mode == Mode::Auto {
            if let Some(text) = self.found(sql) {
                return Ok(text);
            }
            let text = Self::parsed(sql)?;
            self.keep(sql, &text);
            return Ok(text);
        }
        if let Some(text) = self.named.get(&(mode, Box::from(sql))) {
            return Ok(text);
        }
        let statements = sql::parse_in(sql, mode)?.into_iter().map(Entry::new).collect();
        let text = Arc::new(Text { statements });
        if sql.len() <= TEXT_BYTES_MAX {
            self.named.insert((mode, sql.into()), Arc::clone(&text));
        }
        Ok(text)
    }

    /// A query string that is kept parsed, for sessions that have not named their dialect.
    pub fn found(&self, sql: &str) -> Option<Arc<Text>> {
        self.texts.get(sql)
    }

    /// Parses a query string without keeping it.
    ///
    /// # Errors
    /// PostgreSQL's own 42601 with its position.
    pub fn parsed(sql: &str) -> Result<Arc<Text>> {
        let statements = sql::parse_in(sql, Mode::Auto)?.into_iter().map(Entry::new).collect();
        Ok(Arc::new(Text { statements }))
    }

    /// Keeps a parsed query string, unless it is long.
    pub fn keep(&self, sql: &str, text: &Arc<Text>) {
        if sql.len() <= TEXT_BYTES_MAX {
            self.texts.insert(sql.into(), Arc::clone(text));
        }
    }
}
