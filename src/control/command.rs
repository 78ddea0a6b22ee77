//! What a surface can order.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An order to the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Copy every table (or some) and start mirroring.
    Backfill(Options),
    /// Prove that both sides hold the same rows.
    Verify(Options),
    /// Write the primary's rows where the shadow differs.
    Repair(Options),
    /// Hold new statements.
    Pause,
    /// Let them go on.
    Resume,
    /// Make PostgreSQL primary.
    Promote(Options),
    /// Make SQLite primary again.
    Rollback(Options),
    /// End the way back.
    Complete(Options),
    /// Read the reloadable configuration again.
    Reload,
}

/// Options of a command; all optional.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Do every read-only step, change nothing.
    pub dry_run: bool,
    /// Gates to pass by name although they do not hold.
    #[serde(rename = "override")]
    pub overrides: Vec<String>,
    /// Only these tables; empty for all.
    pub tables: Vec<String>,
    /// A divergence to repair.
    pub divergence: Option<String>,
    /// Promote and roll back at once (promote).
    pub rehearse: bool,
    /// Go on with a copy that is finished, too (backfill).
    pub resume: bool,
}

impl Command {
    /// The command of a POST path's last segment or a CLI verb.
    pub fn from_verb(verb: &str, options: Options) -> Option<Self> {
        Some(match verb {
            "backfill" => Self::Backfill(options),
            "verify" => Self::Verify(options),
            "repair" => Self::Repair(options),
            "pause" => Self::Pause,
            "resume" => Self::Resume,
            "promote" => Self::Promote(options),
            "rollback" => Self::Rollback(options),
            "complete" => Self::Complete(options),
            "reload" => Self::Reload,
            _ => return None,
        })
    }

    /// The verb.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Backfill(_) => "backfill",
            Self::Verify(_) => "verify",
            Self::Repair(_) => "repair",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Promote(_) => "promote",
            Self::Rollback(_) => "rollback",
            Self::Complete(_) => "complete",
            Self::Reload => "reload",
        }
    }

    /// The options, for the commands that have some.
    pub fn options(&self) -> Option<&Options> {
        match self {
            Self::Backfill(o)
            | Self::Verify(o)
            | Self::Repair(o)
            | Self::Promote(o)
            | Self::Rollback(o)
            | Self::Complete(o) => Some(o),
            Self::Pause | Self::Resume | Self::Reload => None,
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.verb())?;
        let Some(options) = self.options() else { return Ok(()) };
        if options.dry_run {
            f.write_str(" (dry run)")?;
        }
        if options.rehearse {
            f.write_str(" (rehearsal)")?;
        }
        if options.resume {
            f.write_str(" (resume)")?;
        }
        if !options.tables.is_empty() {
            write!(f, " tables {}", options.tables.join(","))?;
        }
        if !options.overrides.is_empty() {
            write!(f, " overriding {}", options.overrides.join(","))?;
        }
        options.divergence.iter().try_for_each(|d| write!(f, " divergence {d}"))
    }
}
