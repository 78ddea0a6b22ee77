//! What is kept of long evidence: the beginning, the length, a hash, and where the sides differ.
//!
//! Owns the bounds of a sample. A shortened value says so itself, so that two that differ never
//! look equal; [`Shortened`] says the rest. It must never shorten what was shortened before: its
//! length and hash would be lost. Start at [`bound`].

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::group::Sample;

/// Bytes kept of the values of both sides and of the parameters together.
const VALUES_MAX: usize = 64 << 10;
/// Bytes kept of a key, and of one value of it: whatever else is in the sample, so that the same
/// key is the same text in all of them.
const KEY_MAX: (usize, usize) = (16 << 10, 1 << 10);
/// Bytes kept of one value at least, however many there are.
const VALUE_MIN: usize = 32;
/// Parameters kept.
const PARAMETERS_MAX: usize = 1000;
/// Bytes kept of one statement.
const STATEMENT_MAX: usize = 32 << 10;
/// Bytes kept of one plan, and of one line of it.
const PLAN_MAX: (usize, usize) = (16 << 10, 2 << 10);
/// Bytes kept of the sentence that says what was found.
const MESSAGE_MAX: usize = 4 << 10;
/// What the note behind a beginning takes: what is longer by no more than that stays whole.
const NOTE: usize = 64;

/// A text of which only the beginning is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortened {
    /// The field of the sample.
    pub field: String,
    /// Which of its texts, from 0.
    pub index: u64,
    /// Bytes of the whole.
    pub bytes: u64,
    /// SHA-256 of the whole.
    pub sha256: String,
    /// The first byte, from 0, in which the primary's and the shadow's text differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub differs_at: Option<u64>,
}

impl Sample {
    /// Whether everything of a field is kept.
    pub(super) fn has_whole(&self, field: &str) -> bool {
        self.shortened.iter().all(|one| one.field != field)
    }

    /// Whether a value of the key is kept as it is.
    pub(super) fn has_whole_key(&self, index: usize) -> bool {
        self.shortened.iter().all(|one| one.field != "key" || one.index != index as u64)
    }
}

/// Shortens whatever of a sample is too long to be kept.
pub(super) fn bound(sample: &mut Sample) {
    // What was bounded where it was found.
    if !sample.shortened.is_empty() {
        return;
    }
    let mut notes = key(&mut sample.key);
    let dropped = sample.parameters.len().saturating_sub(PARAMETERS_MAX);
    // One more says how many there were.
    if dropped > 1 {
        sample.parameters.truncate(PARAMETERS_MAX);
        notes.push(left_out("parameters", PARAMETERS_MAX));
        sample.parameters.push(Some(format!("… ({dropped} more)")));
    }
    notes.extend(values(&mut sample.primary, &mut sample.shadow, &mut sample.parameters));
    for (field, text) in
        [("sqlite_sql", &mut sample.sqlite_sql), ("postgres_sql", &mut sample.postgres_sql)]
    {
        let text = text.iter_mut();
        notes.extend(text.filter_map(|text| shorten(field, 0, text, STATEMENT_MAX)));
    }
    notes.extend(plan("primary_plan", &mut sample.primary_plan));
    notes.extend(plan("shadow_plan", &mut sample.shadow_plan));
    notes.extend(shorten("message", 0, &mut sample.message, MESSAGE_MAX));
    sample.shortened = notes;
}

/// Shortens long values of a key.
pub fn key(key: &mut [(String, Option<String>)]) -> Vec<Shortened> {
    let each = (KEY_MAX.0 / key.len().max(1)).clamp(VALUE_MIN, KEY_MAX.1);
    let texts = key.iter_mut().enumerate();
    texts.filter_map(|(n, (_, text))| shorten("key", n, text.as_mut()?, each)).collect()
}

/// Shortens long values, where all of them together are too long: each may take the same then.
pub fn values(
    primary: &mut [Option<String>],
    shadow: &mut [Option<String>],
    parameters: &mut [Option<String>],
) -> Vec<Shortened> {
    let size = |list: &[Option<String>]| list.iter().flatten().map(String::len).sum::<usize>();
    if size(primary) + size(shadow) + size(parameters) <= VALUES_MAX {
        return Vec::new();
    }
    let count = primary.len() + shadow.len() + parameters.len();
    let each = (VALUES_MAX / count.max(1)).max(VALUE_MIN);
    let apart: Vec<Option<u64>> = primary
        .iter()
        .zip(shadow.iter())
        .map(|(a, b)| first_apart(a.as_ref()?, b.as_ref()?))
        .collect();
    let mut notes = Vec::new();
    for (field, list) in [("primary", primary), ("shadow", shadow), ("parameters", parameters)] {
        for (n, text) in list.iter_mut().enumerate() {
            let Some(mut note) = text.as_mut().and_then(|text| shorten(field, n, text, each))
            else {
                continue;
            };
            if field != "parameters" {
                note.differs_at = apart.get(n).copied().flatten();
            }
            notes.push(note);
        }
    }
    notes
}

/// Where two texts begin to differ.
fn first_apart(ours: &str, theirs: &str) -> Option<u64> {
    let at = ours.bytes().zip(theirs.bytes()).position(|(a, b)| a != b);
    let end = ours.len().min(theirs.len());
    at.or_else(|| (ours.len() != theirs.len()).then_some(end)).map(|at| at as u64)
}

/// Keeps the first lines of a plan.
fn plan(field: &str, lines: &mut Vec<String>) -> Vec<Shortened> {
    let texts = lines.iter_mut().enumerate();
    let long = texts.filter_map(|(n, line)| shorten(field, n, line, PLAN_MAX.1));
    let mut notes: Vec<Shortened> = long.collect();
    let mut held = 0;
    let room = |line: &&String| {
        held += line.len();
        held <= PLAN_MAX.0
    };
    let kept = lines.iter().take_while(room).count();
    if kept < lines.len() {
        let more = lines.len() - kept;
        lines.truncate(kept);
        lines.push(format!("… ({more} more lines)"));
        notes.retain(|note| note.index < kept as u64);
        notes.push(left_out(field, kept));
    }
    notes
}

/// The rest of a list.
fn left_out(field: &str, from: usize) -> Shortened {
    Shortened { field: field.to_owned(), index: from as u64, ..Shortened::default() }
}

/// Keeps the beginning of a text that is longer than `most` bytes, and says so behind it.
fn shorten(field: &str, index: usize, text: &mut String, most: usize) -> Option<Shortened> {
    if text.len() <= most + NOTE {
        return None;
    }
    let hash = Sha256::digest(text.as_bytes());
    let sha256: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let bytes = text.len() as u64;
    let end = text.floor_char_boundary(most);
    let beginning = &text[..end];
    // A text of its own: what is cut off would stay in memory.
    *text = format!("{beginning}… ({bytes} bytes, sha256 {}…)", &sha256[..16]);
    let field = field.to_owned();
    Some(Shortened { field, index: index as u64, bytes, sha256, differs_at: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::divergence::store::tests::sample;
    use crate::divergence::{KeepValues, Store};

    fn size(sample: &Sample) -> usize {
        serde_json::to_string(sample).unwrap().len()
    }

    fn long(at: usize) -> String {
        let mut text = "ä".repeat(300_000);
        text.replace_range(at..at + 2, "ö");
        text
    }

    fn large() -> Sample {
        let statement = format!("INSERT INTO t VALUES ('{}')", "z".repeat(1 << 20));
        Sample {
            key: vec![("id".to_owned(), Some(long(0)))],
            primary: vec![Some(long(2000))],
            shadow: vec![Some(long(400_000))],
            parameters: (0..70_000).map(|n| Some(n.to_string())).collect(),
            sqlite_sql: Some(statement.clone()),
            postgres_sql: Some(statement.clone()),
            shadow_plan: vec![statement; 9],
            ..sample("t")
        }
    }

    #[test]
    fn a_long_value_is_kept_by_its_beginning_length_hash_and_place() {
        let mut found = large();
        bound(&mut found);
        assert!(size(&found) < 300 << 10, "{}", size(&found));
        let (ours, theirs) =
            (found.primary[0].as_ref().unwrap(), found.shadow[0].as_ref().unwrap());
        assert!(ours.starts_with("ää") && ours.contains(&format!("({} bytes, sha256 ", 600_000)));
        assert_ne!(ours, theirs);
        let of = |field: &str| found.shortened.iter().find(|s| s.field == field).unwrap();
        assert_eq!((of("primary").bytes, of("primary").differs_at), (600_000, Some(2001)));
        assert_eq!(of("shadow").differs_at, Some(2001));
        let hash = Sha256::digest(long(400_000).as_bytes());
        let hash: String = hash.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(of("shadow").sha256, hash);
        assert_eq!(found.parameters.last().unwrap().as_deref(), Some("… (69000 more)"));
        // Nothing of it changes when it is read again.
        let again = found.clone();
        bound(&mut found);
        assert_eq!(found, again);
        // The same key is the same text beside other values.
        let mut other = Sample { key: large().key, ..sample("t") };
        bound(&mut other);
        assert_eq!(other.key, found.key);
        // A script does not run what is not whole.
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("a"), 9, KeepValues::Full).unwrap();
        store.record(large());
        let script = store.replay("d1").unwrap();
        assert!(script.lines().all(|line| line.starts_with('#')), "{}", &script[..2000]);
    }

    #[test]
    fn what_is_short_stays_as_it_is() {
        let value = Some("x".repeat(20 << 10));
        let mut found = Sample { primary: vec![value.clone()], shadow: vec![value], ..sample("t") };
        let before = found.clone();
        bound(&mut found);
        assert_eq!(found, before);
    }

    #[test]
    fn old_large_entries_are_cut_when_the_file_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        let open = || Store::open(&file, 9, KeepValues::Full).unwrap();
        let store = open();
        store.record(sample("t"));
        store.record(sample("u"));
        let path = store.path().to_owned();
        drop(store);
        // As a version without bounds wrote them: a line of its own, and one of a whole group.
        let mut group = open().group("d2").unwrap();
        group.samples = vec![large()];
        let line = |value: serde_json::Value| format!("{value}\n");
        let mut one = serde_json::to_value(large()).unwrap();
        (one["type"], one["v"], one["id"]) = ("divergence".into(), 1.into(), "d1".into());
        let mut all = serde_json::to_value(group).unwrap();
        (all["type"], all["v"]) = ("group".into(), 1.into());
        let text = std::fs::read_to_string(&path).unwrap() + &line(one) + &line(all);
        std::fs::write(&path, &text).unwrap();
        assert!(text.len() > 20 << 20);
        let store = open();
        let kept = store.group("d1").unwrap().samples;
        assert_eq!(kept.len(), 2);
        for sample in [&kept[1], &store.group("d2").unwrap().samples[0]] {
            assert!(size(sample) < 300 << 10 && !sample.shortened.is_empty());
        }
        let bytes = std::fs::metadata(&path).unwrap().len();
        assert!(bytes < 1 << 20, "{bytes}");
    }

    #[test]
    fn no_hash_of_a_value_is_kept_where_values_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("a"), 9, KeepValues::Hashed).unwrap();
        let mut found = large();
        bound(&mut found);
        store.record(found);
        assert!(store.group("d1").unwrap().samples[0].shortened.is_empty());
    }
}
