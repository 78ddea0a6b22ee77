//! Groups of divergences and the samples that prove them.

use serde::{Deserialize, Serialize};

use super::shortened::Shortened;

/// How much a divergence matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Rows differ.
    Data,
    /// Behaviour differs: errors, tags, counts, types.
    Semantic,
    /// The same value, written differently.
    Representation,
    /// Slower or timed out.
    Performance,
}

impl Severity {
    /// The word used in labels and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Semantic => "semantic",
            Self::Representation => "representation",
            Self::Performance => "performance",
        }
    }
}

/// The severity of a class unless the finder knows better.
pub fn class_severity(class: &str) -> Severity {
    match class {
        "row_missing" | "row_extra" | "value" | "row_count" | "effect_missing" | "effect_extra"
        | "effect_value" | "affected_count" | "verify_missing" | "verify_extra"
        | "verify_value" | "foreign_write" => Severity::Data,
        "timeout" | "slow" => Severity::Performance,
        _ => Severity::Semantic,
    }
}

/// One occurrence with its evidence.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Class, one of `telemetry::names::CLASSES`.
    pub class: String,
    /// Severity; None takes the class's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// The statement's shape; empty for verify.
    pub fingerprint: String,
    /// Table, when one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// Further tables that a read reads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<String>,
    /// Columns that differ.
    #[serde(default)]
    pub columns: Vec<String>,
    /// Key of the row: column names and values in text form.
    #[serde(default)]
    pub key: Vec<(String, Option<String>)>,
    /// The primary's values of `columns`, text form; None is NULL.
    #[serde(default)]
    pub primary: Vec<Option<String>>,
    /// The shadow's values of `columns`.
    #[serde(default)]
    pub shadow: Vec<Option<String>>,
    /// The primary's SQLSTATE, when it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary_sqlstate: Option<String>,
    /// The shadow's SQLSTATE, when it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow_sqlstate: Option<String>,
    /// The statement as SQLite ran it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sqlite_sql: Option<String>,
    /// The statement as PostgreSQL ran it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgres_sql: Option<String>,
    /// Parameters in text form; None is NULL.
    #[serde(default)]
    pub parameters: Vec<Option<String>>,
    /// Position at which the primary was read or written.
    pub position_primary: u64,
    /// Position at which the shadow was read or written.
    pub position_shadow: u64,
    /// How SQLite runs it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub primary_plan: Vec<String>,
    /// How PostgreSQL runs it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shadow_plan: Vec<String>,
    /// What was found, in one sentence without row values.
    #[serde(default)]
    pub message: String,
    /// Group that explains this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caused_by: Option<String>,
    /// When, RFC 3339 in UTC. Set by the store.
    #[serde(default)]
    pub at: String,
    /// What of it is longer than is kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shortened: Vec<Shortened>,
}

/// State of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupState {
    /// Needs a decision or a repair.
    Open,
    /// A person accepted it, with a reason.
    Accepted,
    /// Repaired and shown equal.
    Fixed,
}

/// Why a divergence is accepted, by whom and until when.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accept {
    /// Who.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// RFC 3339 date or time after which it opens again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// Divergences of one shape: same fingerprint, class, table and columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// `d1`, `d2` …
    pub id: String,
    /// Class.
    pub class: String,
    /// Severity.
    pub severity: Severity,
    /// The statement's shape.
    pub fingerprint: String,
    /// Table.
    pub table: Option<String>,
    /// Columns.
    pub columns: Vec<String>,
    /// Occurrences.
    pub count: u64,
    /// First occurrence, RFC 3339.
    pub first_at: String,
    /// Last occurrence, RFC 3339.
    pub last_at: String,
    /// State.
    pub state: GroupState,
    /// Group that explains this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caused_by: Option<String>,
    /// Further tables that a read reads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<String>,
    /// Position of the last occurrence.
    #[serde(default)]
    pub position: u64,
    /// The acceptance in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept: Option<Accept>,
    /// The first samples.
    #[serde(default)]
    pub samples: Vec<Sample>,
}

impl Group {
    /// What makes two samples one group.
    pub(super) fn key_of(sample: &Sample) -> String {
        let table = sample.table.as_deref().unwrap_or("");
        let parts = [&sample.class, &sample.fingerprint, table, &sample.columns.join(",")];
        parts.map(|p| p.replace('\u{1f}', " ")).join("\u{1f}")
    }

    /// The same key, from the group's own fields.
    pub(super) fn key(&self) -> String {
        let table = self.table.as_deref().unwrap_or("");
        let parts = [&self.class, &self.fingerprint, table, &self.columns.join(",")];
        parts.map(|p| p.replace('\u{1f}', " ")).join("\u{1f}")
    }
}
