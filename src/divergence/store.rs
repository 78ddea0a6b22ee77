//! The store: in memory, backed by the state file.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use metrics::{counter, gauge};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::changed::{Changed, Scope, Taken};
use super::file::{Line, StateFile, io_error};
use super::foreign::{Foreign, Left};
use super::group::{Accept, Group, GroupState, Sample, Severity, class_severity};
use super::parts::Part;
use super::redact::KeepValues;
use super::rules::{self, Rule};
use super::shortened::bound;
use crate::error::Result;
use crate::telemetry::names;

/// Samples kept of a group; later occurrences are counted.
const SAMPLES_MAX: usize = 10;
/// Lines appended since the last compaction before the next one.
const LINES_BEFORE_COMPACTION: usize = 20_000;

/// What verify has proven of one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableVerified {
    /// Position of the cut.
    pub position: u64,
    /// As of when, RFC 3339: of what was read at several cuts, the oldest. Empty: now.
    pub at: String,
    /// Rows compared.
    pub rows: u64,
    /// Rows that differ or are missing on one side.
    pub differing: u64,
    /// Compared as a multiset: the table has no key.
    #[serde(default)]
    pub keyless: bool,
}

/// Whether the shadow is proven equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum VerifyState {
    /// No pass over every table yet.
    Never,
    /// Every table clean and young enough.
    Fresh,
    /// Clean once, too long ago or not for every table.
    Stale,
    /// A table differs.
    Differs,
}

pub(super) struct Inner {
    file: StateFile,
    appended: usize,
    next_id: u64,
    pub(super) groups: BTreeMap<u64, Group>,
    pub(super) by_key: HashMap<String, u64>,
    verified: BTreeMap<String, TableVerified>,
    /// Passes over large tables that are under way.
    pub(super) parts: BTreeMap<String, Part>,
    pub(super) changed: Changed,
    /// Keys may be written to the state file.
    keeps_keys: bool,
    /// SQLite follows PostgreSQL: after a crash it is not known what it has followed.
    pub(super) following: bool,
    pub(super) foreign: Foreign,
    pub(super) left: Left,
    witness: (u64, u64),
    switches: Vec<(String, u64, String)>,
    began: Option<Timestamp>,
    /// Severities of groups for which there was no room, since the start.
    pub(super) unnamed: BTreeMap<Severity, u64>,
    /// Key of the hashes of values, made once for an installation.
    salt: [u8; 16],
}

/// The divergence store. Cheap calls; one lock, never held across a wait.
pub struct Store {
    pub(super) inner: Mutex<Inner>,
    path: PathBuf,
    pub(super) keep: usize,
    pub(super) keep_values: KeepValues,
    rules: parking_lot::RwLock<Vec<Rule>>,
}

/// The state file of a SQLite file.
fn beside(sqlite_file: &Path) -> PathBuf {
    let mut name = sqlite_file.as_os_str().to_owned();
    name.push("-crossfade.jsonl");
    PathBuf::from(name)
}

impl Store {
    /// Opens or creates the state file beside the SQLite file.
    ///
    /// `keep`: groups kept; beyond that the oldest fixed ones go, and where none is fixed new
    /// ones are only counted, and count as open.
    pub fn open(sqlite_file: &Path, keep: usize, keep_values: KeepValues) -> Result<Self> {
        let path = beside(sqlite_file);
        let (file, lines) = StateFile::open(&path)?;
        let mut inner = Inner {
            file,
            appended: 0,
            next_id: 1,
            groups: BTreeMap::new(),
            by_key: HashMap::new(),
            verified: BTreeMap::new(),
            parts: BTreeMap::new(),
            changed: Changed::default(),
            keeps_keys: keep_values == KeepValues::Full,
            following: false,
            foreign: Foreign::default(),
            left: Left::default(),
            witness: (0, 0),
            switches: Vec::new(),
            began: None,
            unnamed: BTreeMap::new(),
            salt: rand::random(),
        };
        for line in lines {
            inner.replay(line);
        }
        inner.began.get_or_insert_with(Timestamp::now);
        if inner.following {
            inner.distrust();
        }
        let rules = parking_lot::RwLock::default();
        let store = Self { inner: Mutex::new(inner), path, keep, keep_values, rules };
        store.inner.lock().compact()?;
        store.publish();
        Ok(store)
    }

    /// What the state file beside a file has witnessed, as [`Self::witness`]; nothing where there is
    /// none. It is not made.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn witness_beside(sqlite_file: &Path) -> Result<(u64, u64)> {
        let mut seen =
            StateFile::read(&beside(sqlite_file))?.into_iter().filter_map(|line| match line {
                Line::Witness { attempted, served, .. } => Some((attempted, served)),
                _ => None,
            });
        Ok(seen.next_back().unwrap_or_default())
    }

    /// The same with rules that accept divergences as they are found.
    #[must_use]
    pub fn with_rules(self, rules: Vec<Rule>) -> Self {
        self.set_rules(rules);
        self
    }

    /// Replaces the rules; what earlier ones accepted stays so until it expires.
    pub fn set_rules(&self, rules: Vec<Rule>) {
        *self.rules.write() = rules;
    }

    /// Where the state file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Records an occurrence and returns its group's id; None when the store is full and the
    /// group is new (it is counted all the same).
    pub fn record(&self, mut sample: Sample) -> Option<String> {
        let severity = sample.severity.unwrap_or_else(|| class_severity(&sample.class));
        let class = names::CLASSES.iter().copied().find(|c| *c == sample.class).unwrap_or("value");
        counter!(names::DIVERGENCES, "class" => class, "severity" => severity.as_str())
            .increment(1);
        sample.at = now();
        let mut inner = self.inner.lock();
        let rule = self.rules.read().iter().find_map(|rule| rule.accepts(&sample)).cloned();
        bound(&mut sample);
        self.redact(&inner.salt, &mut sample);
        if sample.caused_by.is_none() {
            sample.caused_by = inner.cause(&sample);
        }
        let key = Group::key_of(&sample);
        let known = inner.by_key.get(&key).copied();
        let number = match known {
            Some(number) => number,
            None if inner.groups.len() >= self.keep && !inner.drop_oldest_fixed() => {
                // Nothing can be decided about it, and it must not be forgotten either.
                inner.unname(severity);
                return None;
            }
            None => inner.new_group(&sample, severity),
        };
        let group = inner.groups.get_mut(&number)?;
        let first = group.count == 0;
        // What it explains besides is new, or met at this very position.
        let explains = first || group.state == GroupState::Fixed || sample.class == "foreign_write";
        let kept = group.add(&sample);
        let id = group.id.clone();
        if first {
            tracing::warn!(
                id,
                class,
                severity = severity.as_str(),
                table = sample.table.as_deref(),
                fingerprint = sample.fingerprint,
                message = sample.message,
                "divergence"
            );
        }
        if kept {
            let line =
                Line::Divergence { v: Line::VERSION, id: id.clone(), sample: Box::new(sample) };
            inner.append(&line, false);
        }
        if explains {
            inner.explain(number);
        }
        let accepted = inner.groups.get(&number).is_some_and(|g| g.state == GroupState::Accepted);
        if let Some(accept) = rule.filter(|_| !accepted) {
            inner.set_state(&id, GroupState::Accepted, Some(accept));
        }
        drop(inner);
        self.publish();
        Some(id)
    }

    /// Whether this difference is one that a person has accepted, and still is.
    pub fn is_accepted(&self, sample: &Sample) -> bool {
        self.reopen_expired();
        let inner = self.inner.lock();
        let group = inner.by_key.get(&Group::key_of(sample)).and_then(|n| inner.groups.get(n));
        group.is_some_and(|g| g.state == GroupState::Accepted)
            || self.rules.read().iter().any(|rule| rule.accepts(sample).is_some())
    }

    /// Whether this sample would be kept with its evidence.
    pub fn keeps(&self, sample: &Sample) -> bool {
        let inner = self.inner.lock();
        match inner.by_key.get(&Group::key_of(sample)).and_then(|n| inner.groups.get(n)) {
            Some(group) => group.samples.len() < SAMPLES_MAX,
            None => inner.groups.len() < self.keep,
        }
    }

    /// Every group, oldest first.
    pub fn groups(&self) -> Vec<Group> {
        self.reopen_expired();
        self.inner.lock().groups.values().cloned().collect()
    }

    /// Groups whose number is larger than this one, oldest first.
    pub fn groups_after(&self, number: u64) -> Vec<(u64, Group)> {
        let inner = self.inner.lock();
        inner.groups.range(number.saturating_add(1)..).map(|(n, g)| (*n, g.clone())).collect()
    }

    /// The largest number of a group; 0 without one.
    pub fn last_number(&self) -> u64 {
        self.inner.lock().groups.last_key_value().map_or(0, |(n, _)| *n)
    }

    /// The groups of a class.
    pub fn of_class(&self, class: &str) -> Vec<Group> {
        self.reopen_expired();
        let inner = self.inner.lock();
        inner.groups.values().filter(|g| g.class == class).cloned().collect()
    }

    /// One group with its samples.
    pub fn group(&self, id: &str) -> Option<Group> {
        self.reopen_expired();
        let number: u64 = id.strip_prefix('d')?.parse().ok()?;
        self.inner.lock().groups.get(&number).cloned()
    }

    /// A script that shows the divergence with psql and sqlite3.
    pub fn replay(&self, id: &str) -> Option<String> {
        self.group(id).map(|g| super::replay::script(&g))
    }

    /// Accepts a group. False when there is none of that id.
    pub fn accept(&self, id: &str, accept: Accept) -> bool {
        self.set_state(id, GroupState::Accepted, Some(accept))
    }

    /// Marks a group as repaired. False when there is none of that id.
    pub fn fixed(&self, id: &str) -> bool {
        self.set_state(id, GroupState::Fixed, None)
    }

    /// Marks every open data group of a table as repaired; returns their ids.
    pub fn fixed_table(&self, table: &str) -> Vec<String> {
        let open: Vec<String> = self
            .groups()
            .into_iter()
            .filter(|g| g.state == GroupState::Open && g.severity == Severity::Data)
            .filter(|g| g.table.as_deref() == Some(table))
            .map(|g| g.id)
            .collect();
        open.into_iter().filter(|id| self.fixed(id)).collect()
    }

    /// Marks a group as repaired if it is open and `is_gone` says so of it.
    pub(super) fn fixed_if(&self, id: &str, is_gone: impl Fn(&Group) -> bool) -> bool {
        let number = id.strip_prefix('d').and_then(|n| n.parse::<u64>().ok());
        let mut inner = self.inner.lock();
        let group = number.and_then(|n| inner.groups.get(&n));
        let fixed = group.is_some_and(|g| g.state == GroupState::Open && is_gone(g))
            && inner.set_state(id, GroupState::Fixed, None);
        drop(inner);
        self.publish();
        fixed
    }

    /// Open groups by severity.
    pub fn open_counts(&self) -> BTreeMap<Severity, u64> {
        self.reopen_expired();
        let inner = self.inner.lock();
        let mut counts = inner.unnamed.clone();
        for group in inner.groups.values() {
            if group.state == GroupState::Open {
                *counts.entry(group.severity).or_default() += 1;
            }
        }
        counts
    }

    /// Since when there was no new occurrence of a group that is not accepted, and not only about
    /// how long something takes; the store's own beginning when there never was one.
    pub fn quiet_since(&self) -> Option<Timestamp> {
        let inner = self.inner.lock();
        let counting = inner
            .groups
            .values()
            .filter(|g| g.state != GroupState::Accepted && g.severity != Severity::Performance);
        counting.filter_map(|g| g.last_at.parse().ok()).max().or(inner.began)
    }

    /// Notes what verify has proven of a table. Durable. `taken` is what had changed in it
    /// before the cut: when the table is clean that needs no other look.
    pub fn verify_done(&self, table: &str, mut result: TableVerified, taken: &Taken) {
        if result.at.is_empty() {
            result.at = now();
        }
        let mut inner = self.inner.lock();
        let left = (result.differing == 0).then(|| inner.changed.done(taken)).flatten();
        let all = inner.changed.scope(table);
        let line = Line::Verified {
            v: Line::VERSION,
            table: table.to_owned(),
            result: result.clone(),
            changed: inner.kept(if left.is_some() { left.flatten() } else { all }),
        };
        inner.append(&line, true);
        inner.parts.remove(table);
        inner.verified.insert(table.to_owned(), result);
    }

    /// Forgets what was verified: the shadow is copied anew.
    ///
    /// # Errors
    /// 58030: after a restart it would count again.
    pub fn verify_reset(&self) -> Result<()> {
        let mut inner = self.inner.lock();
        inner.verified.clear();
        inner.parts.clear();
        inner.changed.clear();
        inner.try_append(&Line::VerifyReset { v: Line::VERSION }, true)
    }

    /// What verify has proven, by table.
    pub fn verified(&self) -> BTreeMap<String, TableVerified> {
        self.inner.lock().verified.clone()
    }

    /// The state over the given tables, and the time of the oldest proof.
    pub fn verify_state(&self, tables: &[String], age_max_s: i64) -> (VerifyState, Option<String>) {
        let inner = self.inner.lock();
        let results: Vec<_> = tables.iter().map(|t| inner.verified.get(t)).collect();
        if results.iter().all(Option::is_none) && !tables.is_empty() {
            return (VerifyState::Never, None);
        }
        let oldest = results.iter().flatten().map(|r| r.at.clone()).min();
        if results.iter().flatten().any(|r| r.differing > 0) {
            return (VerifyState::Differs, oldest);
        }
        let young = |at: &str| {
            at.parse::<Timestamp>()
                .is_ok_and(|at| Timestamp::now().duration_since(at).as_secs() <= age_max_s)
        };
        let fresh = results.iter().all(|r| r.is_some_and(|r| young(&r.at)));
        (if fresh { VerifyState::Fresh } else { VerifyState::Stale }, oldest)
    }

    /// The witness of the switch: (attempted, served).
    pub fn witness(&self) -> (u64, u64) {
        self.inner.lock().witness
    }

    /// Raises the witness durably. An error must stop the switch: without it a restored file
    /// could go unnoticed.
    pub fn set_witness(&self, attempted: u64, served: u64) -> Result<()> {
        let mut inner = self.inner.lock();
        let line = Line::Witness { v: Line::VERSION, attempted, served };
        inner.file.append(&line, true).map_err(io_error)?;
        inner.witness = (attempted, served);
        Ok(())
    }

    /// Notes a finished switch or rehearsal with its longest client wait.
    pub fn switch_done(&self, kind: &str, pause_ms: u64) {
        let mut inner = self.inner.lock();
        let (kind, at) = (kind.to_owned(), now());
        inner.switches.push((kind.clone(), pause_ms, at.clone()));
        inner.append(&Line::Switch { v: Line::VERSION, kind, pause_ms, at }, true);
    }

    /// Switches and rehearsals: kind, longest wait in milliseconds, time.
    pub fn switches(&self) -> Vec<(String, u64, String)> {
        self.inner.lock().switches.clone()
    }

    fn set_state(&self, id: &str, state: GroupState, accept: Option<Accept>) -> bool {
        let found = self.inner.lock().set_state(id, state, accept);
        if found {
            self.publish();
        }
        found
    }

    /// Accepted groups whose date has passed are open again.
    fn reopen_expired(&self) {
        let ids: Vec<String> = {
            let inner = self.inner.lock();
            let accepted =
                inner.groups.values().filter(|g| g.accept.as_ref().is_some_and(rules::has_expired));
            accepted.filter(|g| g.state == GroupState::Accepted).map(|g| g.id.clone()).collect()
        };
        for id in ids {
            self.set_state(&id, GroupState::Open, None);
        }
    }

    pub(super) fn publish(&self) {
        let counts = self.inner.lock();
        for severity in
            [Severity::Data, Severity::Semantic, Severity::Representation, Severity::Performance]
        {
            let open = counts
                .groups
                .values()
                .filter(|g| g.state == GroupState::Open && g.severity == severity)
                .count();
            let open = u32::try_from(open).unwrap_or(u32::MAX);
            gauge!(names::DIVERGENCES_OPEN, "severity" => severity.as_str()).set(f64::from(open));
        }
    }
}

impl Inner {
    /// Changes a group's state, durably; false when there is none of that id.
    fn set_state(&mut self, id: &str, state: GroupState, accept: Option<Accept>) -> bool {
        let number = id.strip_prefix('d').and_then(|n| n.parse::<u64>().ok());
        let Some(group) = number.and_then(|n| self.groups.get_mut(&n)) else { return false };
        group.state = state;
        group.accept.clone_from(&accept);
        self.append(&Line::State { v: Line::VERSION, id: id.to_owned(), state, accept }, true);
        true
    }

    fn replay(&mut self, line: Line) {
        match line {
            Line::Divergence { id, mut sample, .. } => {
                bound(&mut sample);
                let severity = sample.severity.unwrap_or_else(|| class_severity(&sample.class));
                let Some(number) = id.strip_prefix('d').and_then(|n| n.parse().ok()) else {
                    return;
                };
                self.next_id = self.next_id.max(number);
                if !self.groups.contains_key(&number) {
                    self.new_group(&sample, severity);
                }
                if let Some(group) = self.groups.get_mut(&number) {
                    group.add(&sample);
                }
            }
            Line::Group { mut group, .. } => {
                group.samples.iter_mut().for_each(bound);
                let Some(number) = group.id.strip_prefix('d').and_then(|n| n.parse().ok()) else {
                    return;
                };
                self.next_id = self.next_id.max(number + 1);
                self.by_key.insert(group.key(), number);
                self.groups.insert(number, *group);
            }
            Line::State { id, state, accept, .. } => {
                let number = id.strip_prefix('d').and_then(|n| n.parse::<u64>().ok());
                if let Some(group) = number.and_then(|n| self.groups.get_mut(&n)) {
                    group.state = state;
                    group.accept = accept;
                }
            }
            Line::Verified { table, result, changed, .. } => {
                self.changed.replay_done(&table, changed);
                self.parts.remove(&table);
                self.verified.insert(table, result);
            }
            Line::VerifiedPart { table, part, .. } => drop(self.parts.insert(table, part)),
            Line::Changed { table, scope, .. } => self.changed.replay(&table, scope),
            Line::Checked { table, changed, .. } => self.changed.replay_done(&table, changed),
            Line::Following { ended, .. } => self.following = !ended,
            Line::VerifyReset { .. } => {
                self.verified.clear();
                self.parts.clear();
                self.changed.clear();
            }
            Line::Foreign { open, uncopied, .. } => self.foreign.replay(open, uncopied),
            Line::Left { ended, mark, .. } => self.left = Left::replay(ended, mark),
            Line::Witness { attempted, served, .. } => self.witness = (attempted, served),
            Line::Switch { kind, pause_ms, at, .. } => self.switches.push((kind, pause_ms, at)),
            Line::Began { at, .. } => self.began = at.parse().ok(),
            Line::Salt { salt, .. } => self.salt = salt,
            Line::Unnamed { severity, .. } => {
                self.unnamed.insert(severity, 1);
            }
        }
    }

    /// Makes room for a new group; false when nothing is over.
    fn drop_oldest_fixed(&mut self) -> bool {
        let oldest = self.groups.values().filter(|g| g.state == GroupState::Fixed);
        let oldest = oldest.min_by(|a, b| a.last_at.cmp(&b.last_at));
        let Some((number, key)) =
            oldest.and_then(|g| Some((g.id.strip_prefix('d')?.parse().ok()?, g.key())))
        else {
            return false;
        };
        self.by_key.remove(&key);
        self.groups.remove::<u64>(&number).is_some()
    }

    /// What the state file may have of changed keys: they are values too.
    pub(super) fn kept(&self, scope: Option<Scope>) -> Option<Scope> {
        scope.map(|scope| if self.keeps_keys { scope } else { Scope::Whole })
    }

    /// A proxy has ended without leave while SQLite followed PostgreSQL.
    fn distrust(&mut self) {
        let tables: Vec<String> = self.verified.keys().cloned().collect();
        for table in tables {
            self.changed.note_whole(&table);
        }
    }

    fn new_group(&mut self, sample: &Sample, severity: Severity) -> u64 {
        let number = self.next_id;
        self.next_id += 1;
        let group = Group {
            id: format!("d{number}"),
            class: sample.class.clone(),
            severity,
            fingerprint: sample.fingerprint.clone(),
            table: sample.table.clone(),
            columns: sample.columns.clone(),
            count: 0,
            first_at: sample.at.clone(),
            last_at: sample.at.clone(),
            state: GroupState::Open,
            caused_by: sample.caused_by.clone(),
            tables: sample.tables.clone(),
            position: sample.position_shadow,
            accept: None,
            samples: Vec::new(),
        };
        self.by_key.insert(group.key(), number);
        self.groups.insert(number, group);
        number
    }

    /// Appends; a state file that cannot be written is logged, never an error of the caller.
    pub(super) fn append(&mut self, line: &Line, durable: bool) {
        if let Err(error) = self.try_append(line, durable) {
            tracing::error!(%error, "the state file cannot be written");
        }
    }

    /// Appends what somebody depends on.
    pub(super) fn try_append(&mut self, line: &Line, durable: bool) -> Result<()> {
        self.appended += 1;
        self.file.append(line, durable).map_err(io_error)?;
        if self.appended > LINES_BEFORE_COMPACTION
            && let Err(error) = self.compact()
        {
            // The longer file says the same.
            tracing::error!(%error, "the state file cannot be written anew");
        }
        Ok(())
    }

    pub(super) fn compact(&mut self) -> Result<()> {
        let v = Line::VERSION;
        let groups = self.groups.values().cloned().map(Box::new);
        let mut lines: Vec<Line> = groups.map(|group| Line::Group { v, group }).collect();
        let part = |(table, part): (&String, &Part)| Line::VerifiedPart {
            v,
            table: table.clone(),
            part: part.clone(),
        };
        let parts: Vec<Line> = self.parts.iter().map(part).collect();
        lines.extend(self.verified.iter().map(|(table, result)| Line::Verified {
            v,
            table: table.clone(),
            result: result.clone(),
            changed: None,
        }));
        lines.extend(self.changed.tables().into_iter().filter_map(|table| {
            let scope = self.kept(self.changed.scope(&table))?;
            Some(Line::Changed { v, table, scope })
        }));
        if self.following {
            lines.push(Line::Following { v, ended: false });
        }
        if let Some(began) = self.began {
            lines.push(Line::Began { v, at: began.to_string() });
        }
        lines.extend(parts);
        lines.push(Line::Salt { v, salt: self.salt });
        lines.extend(self.unnamed.keys().map(|severity| Line::Unnamed { v, severity: *severity }));
        if self.foreign.open() > 0 {
            lines.push(self.foreign.line());
        }
        lines.push(self.left.line());
        let (attempted, served) = self.witness;
        lines.push(Line::Witness { v, attempted, served });
        let keep_from = self.switches.len().saturating_sub(100);
        lines.extend(self.switches[keep_from..].iter().map(|(kind, pause_ms, at)| Line::Switch {
            v,
            kind: kind.clone(),
            pause_ms: *pause_ms,
            at: at.clone(),
        }));
        self.appended = 0;
        self.file.rewrite(&lines).map_err(io_error)
    }
}

impl Group {
    /// Counts an occurrence; whether it was kept as a sample. A fixed group opens again.
    fn add(&mut self, sample: &Sample) -> bool {
        self.count += 1;
        self.last_at.clone_from(&sample.at);
        self.position = sample.position_shadow;
        let again = self.state == GroupState::Fixed;
        if again {
            self.state = GroupState::Open;
            self.samples.clear();
        }
        // Once something is not explained, the group is not.
        if again || sample.caused_by.is_none() {
            self.caused_by.clone_from(&sample.caused_by);
        }
        let keep = self.samples.len() < SAMPLES_MAX;
        if keep {
            self.samples.push(sample.clone());
        }
        keep
    }
}

fn now() -> String {
    Timestamp::now().to_string()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::divergence) fn sample(table: &str) -> Sample {
        Sample {
            class: "effect_value".to_owned(),
            fingerprint: "UPDATE t SET a = $1".to_owned(),
            table: Some(table.to_owned()),
            columns: vec!["a".to_owned()],
            key: vec![("id".to_owned(), Some("7".to_owned()))],
            primary: vec![Some("1".to_owned())],
            shadow: vec![None],
            ..Sample::default()
        }
    }

    #[test]
    fn survives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("app.db");
        let store = Store::open(&file, 100, KeepValues::Full).unwrap();
        for _ in 0..12 {
            assert_eq!(store.record(sample("t")).as_deref(), Some("d1"));
        }
        assert_eq!(store.record(sample("u")).as_deref(), Some("d2"));
        store.set_witness(3, 2).unwrap();
        assert!(store.fixed("d2"));
        drop(store);
        let store = Store::open(&file, 100, KeepValues::Full).unwrap();
        let group = store.group("d1").unwrap();
        assert_eq!((group.samples.len(), group.state), (10, GroupState::Open));
        assert_eq!(group.samples[0].primary, [Some("1".to_owned())]);
        assert_eq!(store.group("d2").unwrap().state, GroupState::Fixed);
        assert_eq!(store.witness(), (3, 2));
        assert_eq!(store.open_counts()[&Severity::Data], 1);
        assert_eq!(store.record(sample("v")).as_deref(), Some("d3"));
    }

    #[test]
    fn an_accepted_group_opens_again_when_it_expires() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("a"), 9, KeepValues::Full).unwrap();
        store.record(sample("t"));
        let accept = |expires: &str| Accept {
            owner: "ops".to_owned(),
            reason: "known".to_owned(),
            expires: Some(expires.to_owned()),
        };
        assert!(store.accept("d1", accept("2999-01-01")));
        assert_eq!(store.group("d1").unwrap().state, GroupState::Accepted);
        assert!(store.accept("d1", accept("2001-01-01")));
        assert_eq!(store.group("d1").unwrap().state, GroupState::Open);
    }

    #[test]
    fn rules_accept_what_they_name_until_they_expire() {
        let folder = tempfile::tempdir().unwrap();
        let rule = |expires: &str, column: &str| Rule {
            class: Some("effect_value".to_owned()),
            column: Some(column.to_owned()),
            accept: Accept {
                owner: "ops".to_owned(),
                reason: "known".to_owned(),
                expires: Some(expires.to_owned()),
            },
            ..Rule::default()
        };
        let open = |rules| {
            let store = Store::open(&folder.path().join("a"), 9, KeepValues::Full).unwrap();
            store.with_rules(rules)
        };
        let store = open(vec![rule("2999-01-01", "b"), rule("2001-01-01", "a")]);
        assert!(!store.is_accepted(&sample("t")));
        store.record(sample("t"));
        assert_eq!(store.group("d1").unwrap().state, GroupState::Open);
        drop(store);
        let store = open(vec![rule("2999-01-01", "a")]);
        assert!(store.is_accepted(&sample("t")));
        store.record(sample("t"));
        let group = store.group("d1").unwrap();
        assert_eq!((group.state, group.count), (GroupState::Accepted, 2));
        assert_eq!(group.accept.unwrap().owner, "ops");
    }
}
