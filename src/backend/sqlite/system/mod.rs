//! `pg_catalog` and `information_schema` as read-only virtual tables over a catalog snapshot.
//!
//! Owns [`State`] (what all connections show), the row generators, and the SQL functions
//! over the catalog (`pg_get_constraintdef`, `format_type` …). Queries over these tables are
//! real SQL run by SQLite: no text is recognised, no answer is canned. It must never read
//! user data, nor show `_crossfade_*` tables. Start at [`install`].

mod classes;
mod constraints;
mod data;
mod describe;
mod domains;
mod functions;
mod information;
mod live;
mod named;
mod routines;
mod rows;
mod shown;
mod table;
#[cfg(test)]
mod tests;
mod types;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};

use crate::error::{Error, Result};
use crate::schema::{Catalog, Relation};

pub(crate) use classes::collation_oid;
pub(crate) use constraints::columns_named;
pub(crate) use describe::{action_text, is_call};
pub use describe::{
    check_text, deferral_text, exclusion_text, foreign_key_text, index_text, qualified_ident,
    quote_ident, spelled, unique_text,
};
pub use functions::{is_catalog_function, reg_value};
pub use live::Live;
pub(crate) use named::split_name;
pub use types::format_type;

use super::sequences::Sequences;
use rows::Table;

/// Name of the SQL function that selects what one connection shows; see [`State::stage`].
pub const SHOW_SQL: &str = "SELECT pg_crossfade_show(?1)";

/// OIDs of namespaces and of the owner of everything.
pub(crate) mod fixed {
    pub(crate) const PG_CATALOG: u32 = 11;
    pub(crate) const PG_TOAST: u32 = 99;
    pub(crate) const PUBLIC: u32 = 2200;
    pub(crate) const INFORMATION_SCHEMA: u32 = 13207;
    pub(crate) const PG_TEMP: u32 = 16383;
    pub(crate) const OWNER: u32 = 10;
    pub(crate) const POSTGRES: u32 = 5;
    pub(crate) const DATABASE: u32 = 16_382;
    pub(crate) const TABLESPACE: u32 = 1663;
}

/// Who a connection acts for: decides `table_catalog`, ownership and role names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// current_database()
    pub database: String,
    /// current_user
    pub user: String,
}

/// What every connection shows unless it has been told otherwise. One per server.
pub struct State {
    current: RwLock<Arc<Snapshot>>,
    sequences: OnceLock<Arc<Sequences>>,
    staged: Mutex<Staged>,
}

#[derive(Default)]
struct Staged {
    next: i64,
    waiting: HashMap<i64, Option<Arc<Snapshot>>>,
}

/// One catalog as the system tables show it to one identity.
pub struct Snapshot {
    core: Arc<Core>,
    identity: Identity,
    /// Tables that name the database or a role; all others are in the core.
    tables: Arc<Mutex<HashMap<String, Arc<Table>>>>,
    /// What sessions are doing, as long as one statement runs.
    live: Option<Arc<dyn Live>>,
}

/// What the system tables are made from. Rows are made on first use and kept.
pub struct Core {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) temporary: Arc<BTreeMap<String, Arc<Relation>>>,
    tables: Mutex<HashMap<String, Arc<Table>>>,
}

impl Snapshot {
    /// A view of `catalog` and a session's temporary tables for `identity`.
    pub fn new(
        catalog: Arc<Catalog>,
        temporary: Arc<BTreeMap<String, Arc<Relation>>>,
        identity: Identity,
    ) -> Arc<Self> {
        let core = Arc::new(Core { catalog, temporary, tables: Mutex::default() });
        Arc::new(Self { core, identity, tables: Arc::default(), live: None })
    }

    /// The same objects as another identity sees them; rows made already are shared.
    pub fn seen_by(&self, identity: Identity) -> Arc<Self> {
        Arc::new(Self {
            core: Arc::clone(&self.core),
            identity,
            tables: Arc::default(),
            live: None,
        })
    }

    /// The same, with what sessions are doing now.
    pub fn at_work(&self, live: Arc<dyn Live>) -> Arc<Self> {
        Arc::new(Self {
            core: Arc::clone(&self.core),
            identity: self.identity.clone(),
            tables: Arc::clone(&self.tables),
            live: Some(live),
        })
    }

    /// Who is looking.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }
}

impl std::ops::Deref for Snapshot {
    type Target = Core;

    fn deref(&self) -> &Core {
        &self.core
    }
}

impl Core {
    /// User relations, temporary ones first.
    pub(crate) fn user_relations(&self) -> impl Iterator<Item = &Arc<Relation>> {
        self.temporary.values().chain(self.catalog.relations.values())
    }

    /// Whether the session has a temporary schema.
    pub(crate) fn has_temporary(&self) -> bool {
        !self.temporary.is_empty() || self.catalog.enums.any_temporary()
    }

    /// A user relation by OID.
    pub(crate) fn relation_by_oid(&self, oid: i64) -> Option<&Arc<Relation>> {
        self.user_relations().find(|r| i64::from(r.oid) == oid)
    }
}

impl State {
    /// A state that shows `catalog` to connections which were told nothing else.
    pub fn new(
        catalog: Arc<Catalog>,
        identity: Identity,
        sequences: Option<Arc<Sequences>>,
    ) -> Arc<Self> {
        let current = RwLock::new(Snapshot::new(catalog, Arc::default(), identity));
        let counters = OnceLock::new();
        if let Some(sequences) = sequences {
            let _ = counters.set(sequences);
        }
        Arc::new(Self { current, sequences: counters, staged: Mutex::default() })
    }

    /// Gives the counters whose values pg_sequences shows, when they were not known at first.
    pub fn share_sequences(&self, sequences: Arc<Sequences>) {
        let _ = self.sequences.set(sequences);
    }

    /// Replaces the shared catalog, after a commit of DDL.
    pub fn set_catalog(&self, catalog: Arc<Catalog>) {
        let mut current = self.current.write();
        let identity = current.identity.clone();
        *current = Snapshot::new(catalog, Arc::default(), identity);
    }

    /// What connections show by default.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.current.read())
    }

    /// Prepares a switch of one connection: binding the returned number to [`SHOW_SQL`] on it
    /// makes it show `snapshot`, or the shared one again with None. Used for uncommitted DDL,
    /// temporary tables and a session's own database name.
    pub fn stage(&self, snapshot: Option<Arc<Snapshot>>) -> i64 {
        let mut staged = self.staged.lock();
        staged.next += 1;
        let ticket = staged.next;
        staged.waiting.insert(ticket, snapshot);
        ticket
    }
}

/// One connection's own choice; shared by its virtual tables and functions.
pub(crate) struct Slot {
    state: Arc<State>,
    own: Mutex<Option<Arc<Snapshot>>>,
}

impl Slot {
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        match &*self.own.lock() {
            Some(own) => Arc::clone(own),
            None => self.state.snapshot(),
        }
    }

    pub(crate) fn sequences(&self) -> Option<&Sequences> {
        self.state.sequences.get().map(|s| &**s)
    }

    fn show(&self, ticket: i64) {
        if let Some(snapshot) = self.state.staged.lock().waiting.remove(&ticket) {
            *self.own.lock() = snapshot;
        }
    }
}

/// Attaches `pg_catalog` and `information_schema` to a new connection and registers the
/// functions over them. Must run outside a transaction, before the connection is made
/// read-only.
///
/// # Errors
/// 58030 when SQLite refuses; that is fatal for the connection.
pub fn install(connection: &rusqlite::Connection, state: &Arc<State>) -> Result<()> {
    let slot = Arc::new(Slot { state: Arc::clone(state), own: Mutex::new(None) });
    table::register(connection, &slot)
        .and_then(|()| functions::register(connection, &slot))
        .map_err(|e| Error::internal(format!("the system catalogs cannot be attached: {e}")))
}
