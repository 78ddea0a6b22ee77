//! The store's part in a verify that can be cut off: how far it has come in a large table.
//!
//! Owns [`Part`]. It must never say more than was proven. Start at [`Store::verify_part`].

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::file::Line;
use super::store::Store;

/// Older than this a part proves too little: whatever somebody has done to PostgreSQL since would
/// be called clean. Long enough to put right what broke a pass off.
const AGE_MAX: Duration = Duration::from_secs(3600);

/// How far a pass over a large table has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Every key up to this one.
    pub upto: i64,
    /// Rows so far.
    pub rows: u64,
    /// Values in quarantine so far.
    pub accepted: u64,
    /// Values changed to their column's type so far.
    #[serde(default)]
    pub coerced: u64,
    /// As of when the oldest of it was read, RFC 3339. Empty where an earlier version noted it.
    #[serde(default)]
    pub at: String,
}

impl Part {
    /// Whether it is young enough to be gone on with. A time that is yet to come is not known.
    fn is_young(&self, now: Timestamp) -> bool {
        let Ok(at) = self.at.parse::<Timestamp>() else { return false };
        Duration::try_from(now.duration_since(at)).is_ok_and(|age| age <= AGE_MAX)
    }
}

impl Store {
    /// Notes how far a pass over a large table has come, all of it equal. Durable: a pass that is
    /// cut off goes on from there, and looks once more at what has changed since.
    pub fn verify_part(&self, table: &str, part: Part) {
        let mut inner = self.inner.lock();
        let line =
            Line::VerifiedPart { v: Line::VERSION, table: table.to_owned(), part: part.clone() };
        inner.append(&line, true);
        inner.parts.insert(table.to_owned(), part);
    }

    /// How far a pass that was cut off had come, not long ago.
    pub fn part(&self, table: &str) -> Option<Part> {
        let part = self.inner.lock().parts.get(table).cloned();
        part.filter(|part| part.is_young(Timestamp::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_gone_on_with_for_an_hour() {
        let now = Timestamp::now();
        let part = |at: String| Part { upto: 1, rows: 1, accepted: 0, coerced: 0, at };
        let ago = |seconds: i64| part((now - jiff::SignedDuration::from_secs(seconds)).to_string());
        assert!(ago(0).is_young(now) && ago(3599).is_young(now));
        assert!(!ago(3601).is_young(now) && !ago(-60).is_young(now));
        let old: Part = serde_json::from_str(r#"{"upto":1,"rows":1,"accepted":0}"#).unwrap();
        assert!(!old.is_young(now));
    }
}
