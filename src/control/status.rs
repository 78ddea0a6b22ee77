//! Answers to the read-only questions, in the shapes of the public contract.

use serde::{Deserialize, Serialize};

use crate::compare::{Dropped, StatementInfo, Statements};

/// `/api/v1/status`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Status {
    /// Phase word.
    pub phase: String,
    /// `ok`, `degraded` or `stalled`.
    pub health: String,
    /// `sqlite` or `postgres`.
    pub primary: String,
    /// The other one, or null in phase direct and complete.
    pub shadow: Option<String>,
    /// Epoch.
    pub epoch: u64,
    /// Last commit on the primary.
    pub position: u64,
    /// Last position applied on the shadow; null without a shadow.
    pub applied: Option<u64>,
    /// Null when unknown.
    pub lag_commits: Option<u64>,
    /// Null when unknown.
    pub lag_ms: Option<u64>,
    /// Comparisons that count.
    pub compared: u64,
    /// Open divergence groups.
    pub diverged_open: u64,
    /// Statements not compared.
    pub skipped: u64,
    /// Share of calls whose statement shape has been compared; null before any call.
    pub coverage: Option<f64>,
    /// What verify has proven.
    pub verified: VerifiedInfo,
    /// Gates that hold.
    pub gates_ok: u64,
    /// Gates in all.
    pub gates: u64,
    /// Client sessions.
    pub sessions: u64,
    /// Journal bytes not trimmed.
    pub journal_bytes: u64,
    /// Bound of the journal; null without a shadow.
    #[serde(default)]
    pub journal_bytes_max: Option<u64>,
    /// Commits by other programs that were noticed since the start.
    #[serde(default)]
    pub foreign_writes: u64,
    /// Why health is not `ok`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Sessions that could not move in a switch, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub immovable: Vec<String>,
    /// Once promoted: `open` or `closed`, and where or why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub way_back: Option<String>,
    /// Commands that make sense now.
    pub next: Vec<String>,
}

/// What verify has proven over all tables.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct VerifiedInfo {
    /// `never`, `fresh`, `stale` or `differs`.
    pub state: String,
    /// Time of the oldest proof, RFC 3339.
    pub at: Option<String>,
}

/// Kind of a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GateKind {
    /// Cannot be overridden.
    Required,
    /// Can be overridden by name.
    Override,
    /// Never refuses.
    Warning,
}

/// A condition for promote.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Gate {
    /// Name, one of `telemetry::names::GATES`.
    pub name: String,
    /// Holds.
    pub ok: bool,
    /// The number found.
    pub actual: String,
    /// The limit.
    pub limit: String,
    /// Kind.
    pub kind: GateKind,
    /// Why it does not hold, or a remark.
    pub reason: String,
}

/// One table.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct TableInfo {
    /// Name.
    pub name: String,
    /// Has a key by which rows are told apart.
    pub keyed: bool,
    /// Rows copied by backfill.
    pub copied: Option<u64>,
    /// Time of the last verify, RFC 3339.
    pub verified_at: Option<String>,
    /// Rows compared then.
    pub verified_rows: Option<u64>,
    /// Rows that differed then.
    pub differing: Option<u64>,
}

/// One client session.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SessionInfo {
    /// Process id shown to the client.
    pub pid: i32,
    /// User.
    pub user: String,
    /// Database name it asked for.
    #[serde(default)]
    pub database: String,
    /// application_name.
    pub application: String,
    /// Peer address.
    pub client: String,
    /// `idle`, `active`, `in_transaction`, `waiting`.
    pub state: String,
    /// Back end that answers it.
    pub backend: String,
    /// How long it has been waiting for a lock, a reader, the writer or the gate, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_ms: Option<u64>,
    /// Why it could not move in a switch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub immovable: Option<String>,
}

/// One configuration key.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SettingInfo {
    /// `section.key`.
    pub name: String,
    /// Value in force, without secrets.
    pub value: String,
    /// Where it comes from.
    pub source: String,
    /// RELOAD takes a new value.
    #[serde(default)]
    pub reloadable: bool,
}

/// `/api/v1/statements`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct StatementList {
    /// Shapes, those with most calls first.
    pub statements: Vec<StatementInfo>,
    /// What was dropped to keep the list bounded.
    pub dropped: Dropped,
}

/// What a statement becomes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Translation {
    /// Text that SQLite runs; null when the session answers by itself.
    pub sqlite: Option<String>,
    /// Text that PostgreSQL runs.
    pub postgres: Option<String>,
    /// Why there is none.
    pub error: Option<String>,
}

impl StatementList {
    /// What a registry holds now.
    pub fn of(shapes: &Statements) -> Self {
        Self { statements: shapes.list(), dropped: shapes.dropped() }
    }
}

impl Gate {
    /// Whether this gate refuses a promote that overrides the given gates by name.
    pub fn refuses(&self, overrides: &[String]) -> bool {
        match self.kind {
            _ if self.ok => false,
            GateKind::Required => true,
            GateKind::Override => !overrides.contains(&self.name),
            GateKind::Warning => false,
        }
    }
}
