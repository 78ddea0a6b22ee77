//! What has changed since it was verified: the keys that a switch must look at once more.
//!
//! Owns [`Changed`], a bounded set that coarsens: keys of a table, then chunks of its integer
//! key, then the whole table. It may name more than has changed, never less. A pass takes
//! what is there with [`Changed::begin`] before its cut and gives it back, or is done with it,
//! afterwards; what changes meanwhile is kept apart. Start at [`Changed::note`].

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::{Deserialize, Serialize};

use crate::value::{Cell, CellRef};

/// Keys kept of one table.
const KEYS_MAX: usize = 20_000;
/// Bytes of keys kept of one table.
const BYTES_MAX: usize = 2 << 20;
/// Chunks kept of one table.
const CHUNKS_MAX: usize = 20_000;
/// Bits of the key inside a chunk: at first, at each step, and at most.
const SHIFTS: (u32, u32, u32) = (8, 4, 16);

/// One value of a key, as stored.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// NULL, in a key that allows it.
    Null,
    /// INTEGER
    Int(i64),
    /// REAL, its bits.
    Real(u64),
    /// TEXT
    Text(String),
    /// BLOB
    Blob(Vec<u8>),
}

impl Part {
    /// A stored value as part of a key; None for text that is no UTF-8.
    pub fn of(cell: CellRef<'_>) -> Option<Self> {
        Some(match cell {
            CellRef::Null => Self::Null,
            CellRef::Integer(i) => Self::Int(i),
            CellRef::Real(r) => Self::Real(r.to_bits()),
            CellRef::Text(t) => Self::Text(std::str::from_utf8(t).ok()?.to_owned()),
            CellRef::Blob(b) => Self::Blob(b.to_vec()),
        })
    }

    /// The stored value.
    pub fn cell(&self) -> Cell {
        match self {
            Self::Null => Cell::Null,
            Self::Int(i) => Cell::Integer(*i),
            Self::Real(bits) => Cell::Real(f64::from_bits(*bits)),
            Self::Text(t) => Cell::Text(t.clone()),
            Self::Blob(b) => Cell::Blob(b.clone()),
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Text(t) => t.len(),
            Self::Blob(b) => b.len(),
            _ => 8,
        }
    }
}

/// A key as stored, in the order of the key's columns.
pub type Key = Vec<Part>;

/// What of a table has changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Rows with these keys.
    Keys(Vec<Key>),
    /// Rows whose integer key lies in these chunks: the bits inside a chunk, and the key
    /// without them.
    Chunks(u32, Vec<i64>),
    /// Any row.
    Whole,
}

/// One table's share of the set.
#[derive(Clone, Debug, Default)]
enum Layer {
    #[default]
    Nothing,
    Keys(HashSet<Key>, usize),
    Chunks(u32, BTreeSet<i64>),
    Whole,
}

impl Layer {
    /// How coarse it is.
    fn grain(&self) -> u32 {
        match self {
            Self::Nothing | Self::Keys(..) => 0,
            Self::Chunks(shift, _) => *shift,
            Self::Whole => u32::MAX,
        }
    }

    /// Adds a key; whether the set is another one now.
    fn add(&mut self, key: Key) -> bool {
        match self {
            Self::Whole => false,
            Self::Nothing => {
                let bytes = key.iter().map(Part::size).sum();
                *self = Self::Keys(HashSet::from([key]), bytes);
                true
            }
            Self::Keys(keys, bytes) => {
                let size: usize = key.iter().map(Part::size).sum();
                if !keys.insert(key) {
                    return false;
                }
                *bytes += size;
                if keys.len() > KEYS_MAX || *bytes > BYTES_MAX {
                    self.coarsen();
                }
                true
            }
            Self::Chunks(shift, chunks) => {
                let [Part::Int(key)] = key[..] else {
                    *self = Self::Whole;
                    return true;
                };
                let added = chunks.insert(key >> *shift);
                if chunks.len() > CHUNKS_MAX {
                    self.coarsen();
                }
                added
            }
        }
    }

    fn coarsen(&mut self) {
        let (shift, from, more): (u32, BTreeSet<i64>, u32) = match self {
            Self::Keys(keys, _) => {
                let single = |key: &Key| match key[..] {
                    [Part::Int(key)] => Some(key),
                    _ => None,
                };
                match keys.iter().map(single).collect() {
                    Some(keys) => (SHIFTS.0, keys, SHIFTS.0),
                    None => return *self = Self::Whole,
                }
            }
            Self::Chunks(shift, chunks) if *shift < SHIFTS.2 => {
                (*shift + SHIFTS.1, std::mem::take(chunks), SHIFTS.1)
            }
            _ => return *self = Self::Whole,
        };
        let chunks: BTreeSet<i64> = from.into_iter().map(|c| c >> more).collect();
        *self = Self::Chunks(shift, chunks);
        if matches!(self, Self::Chunks(_, chunks) if chunks.len() > CHUNKS_MAX) {
            self.coarsen();
        }
    }

    fn add_scope(&mut self, scope: Scope) {
        match scope {
            Scope::Whole => *self = Self::Whole,
            Scope::Keys(keys) => keys.into_iter().for_each(|key| {
                self.add(key);
            }),
            Scope::Chunks(shift, more) => self.add_chunks(shift, more),
        }
    }

    fn add_chunks(&mut self, shift: u32, more: Vec<i64>) {
        match self {
            Self::Whole => return,
            Self::Nothing => *self = Self::Chunks(shift, BTreeSet::new()),
            Self::Keys(..) => self.coarsen(),
            Self::Chunks(..) => {}
        }
        // Keys may have become chunks of another size, or the whole.
        while matches!(self, Self::Chunks(own, _) if *own < shift) {
            self.coarsen();
        }
        if let Self::Chunks(own, chunks) = self {
            let by = *own - shift;
            chunks.extend(more.into_iter().map(|c| c >> by));
            if chunks.len() > CHUNKS_MAX {
                self.coarsen();
            }
        }
    }

    fn scope(&self) -> Option<Scope> {
        Some(match self {
            Self::Nothing => return None,
            Self::Keys(keys, _) => Scope::Keys(keys.iter().cloned().collect()),
            Self::Chunks(shift, chunks) => Scope::Chunks(*shift, chunks.iter().copied().collect()),
            Self::Whole => Scope::Whole,
        })
    }
}

/// What is known of one table.
#[derive(Debug, Default)]
struct Table {
    /// Taken by a pass that is not done.
    older: Layer,
    newer: Layer,
    /// Number of the last pass that took `older`.
    pass: u64,
    /// Keys that are not in the state file yet.
    unsaved: Vec<Key>,
    /// Everything is to be saved: the set has become coarser.
    unsaved_all: bool,
}

impl Table {
    fn scope(&self) -> Option<Scope> {
        let mut all = self.older.clone();
        if let Some(scope) = self.newer.scope() {
            all.add_scope(scope);
        }
        all.scope()
    }

    fn take_unsaved(&mut self) -> Option<Scope> {
        let keys = std::mem::take(&mut self.unsaved);
        if std::mem::take(&mut self.unsaved_all) {
            return self.scope();
        }
        if keys.is_empty() {
            return None;
        }
        let Layer::Chunks(shift, _) = self.newer else { return Some(Scope::Keys(keys)) };
        let chunks: BTreeSet<i64> = keys
            .iter()
            .filter_map(|key| match key[..] {
                [Part::Int(key)] => Some(key >> shift),
                _ => None,
            })
            .collect();
        Some(Scope::Chunks(shift, chunks.into_iter().collect()))
    }
}

/// Everything changed since it was verified, by table.
#[derive(Debug, Default)]
pub struct Changed {
    tables: BTreeMap<String, Table>,
    passes: u64,
}

/// What a pass has taken of one table.
#[derive(Debug)]
pub struct Taken {
    /// Table.
    pub table: String,
    /// What is to be looked at.
    pub scope: Scope,
    pass: u64,
}

impl Changed {
    fn table(&mut self, name: &str) -> &mut Table {
        if !self.tables.contains_key(name) {
            self.tables.insert(name.to_owned(), Table::default());
        }
        self.tables.entry(name.to_owned()).or_default()
    }

    /// A row with this key changed.
    pub fn note(&mut self, table: &str, key: Key) {
        let table = self.table(table);
        let (before, saved) = (table.newer.grain(), key.clone());
        if !table.newer.add(key) {
            return;
        }
        if table.newer.grain() == before {
            table.unsaved.push(saved);
        } else {
            table.unsaved.clear();
            table.unsaved_all = true;
        }
    }

    /// Any row may have changed.
    pub fn note_whole(&mut self, table: &str) {
        let table = self.table(table);
        if !matches!(table.newer, Layer::Whole) {
            table.newer = Layer::Whole;
            table.unsaved_all = true;
        }
    }

    /// The table is gone.
    pub fn forget(&mut self, table: &str) {
        self.tables.remove(table);
    }

    /// Nothing is known any more, or everything was copied anew.
    pub fn clear(&mut self) {
        self.tables.clear();
    }

    /// Takes what has changed in a table. To be called before the cut at which it is looked at:
    /// what is noted from now on is for the next pass.
    pub fn begin(&mut self, name: &str) -> Taken {
        self.passes += 1;
        let pass = self.passes;
        let table = self.table(name);
        table.pass = pass;
        let newer = std::mem::take(&mut table.newer);
        if let Some(scope) = newer.scope() {
            table.older.add_scope(scope);
        }
        let scope = table.older.scope().unwrap_or(Scope::Keys(Vec::new()));
        Taken { table: name.to_owned(), scope, pass }
    }

    /// Every table of which something has changed.
    pub fn tables(&self) -> Vec<String> {
        let any = |t: &&String| self.scope(t).is_some();
        self.tables.keys().filter(any).cloned().collect()
    }

    /// What of the taken has been proven equal needs no other look. What of the table remains is
    /// returned, to be saved; None when another pass has taken it since.
    pub fn done(&mut self, taken: &Taken) -> Option<Option<Scope>> {
        let table = self.table(&taken.table);
        if table.pass != taken.pass {
            return None;
        }
        table.older = Layer::Nothing;
        (table.unsaved, table.unsaved_all) = (Vec::new(), false);
        Some(table.newer.scope())
    }

    /// All that has changed in a table.
    pub fn scope(&self, table: &str) -> Option<Scope> {
        self.tables.get(table)?.scope()
    }

    /// How many keys (or chunks) a table has, and whether it counts as a whole.
    pub fn size(&self, table: &str) -> (u64, bool) {
        match self.scope(table) {
            None => (0, false),
            Some(Scope::Keys(keys)) => (keys.len() as u64, false),
            // As many rows as a chunk may hold.
            Some(Scope::Chunks(shift, chunks)) => ((chunks.len() as u64) << shift, false),
            Some(Scope::Whole) => (0, true),
        }
    }

    /// What the state file does not have yet, by table.
    pub fn unsaved(&mut self) -> Vec<(String, Scope)> {
        let unsaved =
            |(name, table): (&String, &mut Table)| Some((name.clone(), table.take_unsaved()?));
        self.tables.iter_mut().filter_map(unsaved).collect()
    }

    /// What was to be saved of a table was not.
    pub fn not_saved(&mut self, table: &str) {
        self.table(table).unsaved_all = true;
    }

    /// Reads back what the state file has.
    pub fn replay(&mut self, table: &str, scope: Scope) {
        self.table(table).newer.add_scope(scope);
    }

    /// Reads back that a table was verified, and what had changed since.
    pub fn replay_done(&mut self, table: &str, left: Option<Scope>) {
        self.forget(table);
        if let Some(scope) = left {
            self.replay(table, scope);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: i64) -> Key {
        vec![Part::Int(n)]
    }

    #[test]
    fn what_changes_during_a_pass_is_kept() {
        let mut changed = Changed::default();
        changed.note("t", key(1));
        let taken = changed.begin("t");
        assert_eq!(taken.scope, Scope::Keys(vec![key(1)]));
        changed.note("t", key(2));
        assert_eq!(changed.done(&taken), Some(Some(Scope::Keys(vec![key(2)]))));
        assert_eq!(changed.scope("t"), Some(Scope::Keys(vec![key(2)])));
        // A pass that failed gives it back, and a later one owns it.
        let first = changed.begin("t");
        let second = changed.begin("t");
        assert_eq!(second.scope, Scope::Keys(vec![key(2)]));
        assert_eq!(changed.done(&first), None);
        assert_eq!(changed.done(&second), Some(None));
        assert!(changed.tables().is_empty());
    }

    #[test]
    fn the_set_is_bounded_and_never_names_less() {
        let mut changed = Changed::default();
        let wanted: Vec<i64> = (0..100_000).map(|i| i * 1000 - 7).collect();
        for n in &wanted {
            changed.note("t", key(*n));
        }
        let Some(Scope::Chunks(shift, chunks)) = changed.scope("t") else { panic!("chunks") };
        assert!(chunks.len() <= CHUNKS_MAX);
        assert!(wanted.iter().all(|n| chunks.binary_search(&(n >> shift)).is_ok()));
        for n in 0..100_000 {
            changed.note("wide", key(n << 20));
            changed.note("text", vec![Part::Text(format!("key {n}"))]);
        }
        assert_eq!(changed.size("wide"), (0, true));
        assert_eq!(changed.scope("text"), Some(Scope::Whole));
        // Chunks of different sizes are put together.
        let taken = changed.begin("t");
        changed.note("t", key(5));
        let again = changed.begin("t");
        let (Scope::Chunks(a, before), Scope::Chunks(b, after)) = (taken.scope, again.scope) else {
            panic!("chunks")
        };
        assert_eq!(a, b);
        assert!(before.iter().all(|c| after.contains(c)) && after.contains(&(5 >> b)));
    }

    #[test]
    fn only_news_is_saved() {
        let mut changed = Changed::default();
        changed.note("t", key(1));
        assert_eq!(changed.unsaved(), [("t".to_owned(), Scope::Keys(vec![key(1)]))]);
        changed.note("t", key(1));
        assert!(changed.unsaved().is_empty());
        changed.not_saved("t");
        assert_eq!(changed.unsaved(), [("t".to_owned(), Scope::Keys(vec![key(1)]))]);
        changed.note("t", key(2));
        assert_eq!(changed.unsaved(), [("t".to_owned(), Scope::Keys(vec![key(2)]))]);
        changed.note_whole("t");
        assert_eq!(changed.unsaved(), [("t".to_owned(), Scope::Whole)]);
        let mut read = Changed::default();
        read.replay("t", Scope::Keys(vec![key(1)]));
        read.replay_done("t", Some(Scope::Keys(vec![key(9)])));
        assert_eq!(read.scope("t"), Some(Scope::Keys(vec![key(9)])));
    }
}
