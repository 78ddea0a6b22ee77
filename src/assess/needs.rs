//! What PostgreSQL must be set to, and what it is.
//!
//! Owns [`Server`], filled in by whoever may connect, and the list of [`Need`]s. It must
//! never connect itself. Start at [`needs`].

use serde::Serialize;

use super::estimate;
use super::facts::Facts;
use crate::backend::postgres::existing::Existing;

/// A PostgreSQL server as it was found.
#[derive(Clone, Debug, Default)]
pub struct Server {
    /// server_version
    pub version: String,
    /// server_version_num
    pub version_num: i32,
    /// server_encoding
    pub encoding: String,
    /// datcollate
    pub collate: String,
    /// wal_level
    pub wal_level: String,
    /// Replication slots: used, allowed.
    pub slots: (i32, i32),
    /// max_wal_senders
    pub senders: i32,
    /// max_connections
    pub connections: i32,
    /// May create schemas in the database and tables in `public`.
    pub may_create: bool,
    /// May replicate.
    pub may_replicate: bool,
    /// May switch triggers off for a transaction.
    pub may_be_replica: bool,
    /// Tables, and what else has a name that one could have, of schema `public`.
    pub tables: Vec<Existing>,
}

impl Server {
    /// The table of a name of ours.
    pub(super) fn table(&self, name: &str) -> Option<&Existing> {
        self.tables.iter().find(|t| t.name == name)
    }

    /// Whether text is compared byte by byte, as SQLite does.
    pub(super) fn compares_bytes(&self) -> bool {
        matches!(self.collate.as_str(), "C" | "POSIX" | "C.UTF-8")
    }
}

/// One thing that PostgreSQL needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Need {
    /// Setting or right.
    pub name: &'static str,
    /// What it should be.
    pub wanted: String,
    /// What it is; None when PostgreSQL was not asked.
    pub found: Option<String>,
    /// Whether it suffices; None when PostgreSQL was not asked.
    pub ok: Option<bool>,
    /// Whether nothing works without it.
    pub required: bool,
    /// Why.
    pub why: &'static str,
}

/// Sessions that the proxy needs for itself.
const OWN_CONNECTIONS: i32 = 8;

/// The list, with what was found when a server was asked.
pub(super) fn needs(facts: &Facts) -> Vec<Need> {
    let server = facts.server.as_ref();
    let mut list = Vec::new();
    let mut add = |name, wanted: &str, required, why, found: Option<(String, bool)>| {
        let (found, ok) = found.unzip();
        list.push(Need { name, wanted: wanted.to_owned(), found, ok, required, why });
    };
    let of = |f: &dyn Fn(&Server) -> (String, bool)| server.map(f);
    add(
        "version",
        "13 or newer",
        true,
        "what Crossfade is tested with",
        of(&|s| (s.version.clone(), s.version_num >= 130_000)),
    );
    add(
        "encoding",
        "UTF8",
        true,
        "SQLite's text is Unicode",
        of(&|s| (s.encoding.clone(), s.encoding == "UTF8")),
    );
    add(
        "rights",
        "CREATE on the database and on schema public",
        true,
        "tables, and a schema crossfade for positions and the quarantine",
        of(&|s| (yes(s.may_create), s.may_create)),
    );
    add(
        "collation",
        "C (LC_COLLATE of the database)",
        false,
        "SQLite sorts text by bytes; elsewhere each text column gets COLLATE \"C\"",
        of(&|s| (s.collate.clone(), true)),
    );
    add(
        "wal_level",
        "logical",
        false,
        "the way back after promote follows PostgreSQL's log; without it row triggers carry it",
        of(&|s| (s.wal_level.clone(), s.wal_level == "logical")),
    );
    add(
        "max_replication_slots",
        "one more than are used",
        false,
        "one slot for the way back",
        of(&|s| (format!("{} of {} used", s.slots.0, s.slots.1), s.slots.0 < s.slots.1)),
    );
    add(
        "max_wal_senders",
        "at least 1",
        false,
        "the way back reads the log through one",
        of(&|s| (s.senders.to_string(), s.senders > 0)),
    );
    add(
        "replication",
        "a role with REPLICATION",
        false,
        "the way back reads the log",
        of(&|s| (yes(s.may_replicate), s.may_replicate)),
    );
    add(
        "session_replication_role",
        "may be set by the control role",
        false,
        "rows are applied without firing triggers a second time",
        of(&|s| (yes(s.may_be_replica), s.may_be_replica)),
    );
    let connections = format!("the application's sessions and {OWN_CONNECTIONS} more");
    add(
        "max_connections",
        &connections,
        false,
        "after promote each session has a connection of its own, or shares pool_size of them",
        of(&|s| (s.connections.to_string(), s.connections > 2 * OWN_CONNECTIONS)),
    );
    add(
        "disk",
        &format!("about {}", estimate::size(estimate::disk(facts))),
        false,
        "rows, indexes and the log of the copy",
        None,
    );
    list
}

fn yes(holds: bool) -> String {
    if holds { "yes" } else { "no" }.to_owned()
}
