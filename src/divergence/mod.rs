//! Divergences: proven differences between the two back ends, grouped, with evidence.
//!
//! Owns the state file beside the SQLite file (`<file>-crossfade.jsonl`): divergence groups and
//! their samples, accept rules, what verify has proven and what has changed since, and the
//! witness of the switch. It must never write into the application's file, and never keep
//! values beyond the keep policy.
//! Start at [`Store`].

mod causes;
pub mod changed;
mod doubt;
mod file;
mod foreign;
mod group;
mod missing;
mod parts;
mod quarantined;
mod redact;
mod replay;
mod rules;
pub mod shortened;
mod since;
mod store;
mod unnamed;

pub use file::Line;
pub use group::{Accept, Group, GroupState, Sample, Severity, class_severity};
pub use missing::Missing;
pub use parts::Part;
pub use quarantined::{SCHEMA_CHANGE, Undecided};
pub use redact::KeepValues;
pub use rules::Rule;
pub use shortened::Shortened;
pub use store::{Store, TableVerified, VerifyState};
