//! Texts that both dialects accept with another meaning, from sessions that also send SQL
//! only SQLite has.
//!
//! Such a text has PostgreSQL's meaning; the application may have meant SQLite's. Owns the
//! bounded list that a person looks through. Start at [`Ambiguous::note`].

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::sql::plan::Fingerprint;

/// Shapes kept.
const SHAPES_MAX: usize = 200;

/// Words whose meaning differs between the dialects.
const WORDS: &[&str] =
    &[" like ", "random(", "round(", "substr(", "substring(", "integer primary key"];

/// The shapes seen.
#[derive(Debug, Default)]
pub struct Ambiguous(Mutex<BTreeMap<u64, String>>);

impl Ambiguous {
    /// Notes a statement that PostgreSQL's dialect took, if it says something else in SQLite's.
    pub(super) fn note(&self, fingerprint: &Fingerprint) {
        let text = fingerprint.text.to_ascii_lowercase();
        if !WORDS.iter().any(|word| text.contains(word)) {
            return;
        }
        let mut shapes = self.0.lock();
        if shapes.len() < SHAPES_MAX && !shapes.contains_key(&fingerprint.id) {
            tracing::warn!(
                statement = fingerprint.text,
                "a session that sends SQLite's SQL sent a text that both dialects accept with \
                 another meaning; it was read as PostgreSQL's (crossfade.dialect names one)"
            );
            shapes.insert(fingerprint.id, fingerprint.text.clone());
        }
    }

    /// How many shapes there are.
    pub fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The shapes' texts.
    pub fn texts(&self) -> Vec<String> {
        self.0.lock().values().cloned().collect()
    }
}
