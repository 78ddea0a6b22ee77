//! RELOAD and SIGHUP: the configuration is read again, and what may change while clients are
//! served changes.
//!
//! Owns the configuration in force and those who take its new values. It must never change a
//! part: where one value cannot be used, none is taken. Start at [`Reload::run`].

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use crate::config::{Config, Entry};
use crate::control::Outcome;
use crate::error::Result;

/// Reads the configuration again, from where it came from at the start.
pub type Reread = Box<dyn Fn() -> Result<Config> + Send + Sync>;

/// What is left to do once every new value has been found usable.
pub(super) type Change = Box<dyn FnOnce() + Send>;
type Taker = Box<dyn Fn(&Config) -> Result<Change> + Send + Sync>;

/// The configuration in force.
pub(super) struct Reload {
    started: Arc<Config>,
    latest: RwLock<Arc<Config>>,
    reread: Reread,
    takers: Mutex<Vec<Taker>>,
}

impl Reload {
    /// The configuration of the start.
    pub(super) fn new(started: &Arc<Config>, reread: Reread) -> Arc<Self> {
        let latest = RwLock::new(Arc::clone(started));
        Arc::new(Self { started: Arc::clone(started), latest, reread, takers: Mutex::default() })
    }

    /// What was read last; of it only the keys that can be reloaded are in force.
    pub(super) fn latest(&self) -> Arc<Config> {
        Arc::clone(&self.latest.read())
    }

    /// Adds one that prepares to take new values, files read again included.
    pub(super) fn on(&self, taker: impl Fn(&Config) -> Result<Change> + Send + Sync + 'static) {
        self.takers.lock().push(Box::new(taker));
    }

    /// Reads again and changes what can be changed.
    pub(super) fn run(&self) -> Outcome {
        match tokio::task::block_in_place(|| self.take()) {
            Ok(told) => Outcome::Done(told),
            Err(error) => Outcome::Failed(error),
        }
    }

    fn take(&self) -> Result<String> {
        // Locked first: of two that reload at once, the later one reads the later file.
        let takers = self.takers.lock();
        let found = Arc::new((self.reread)()?);
        let changes = takers.iter().map(|taker| taker(&found)).collect::<Result<Vec<_>>>()?;
        let before = self.entries();
        changes.into_iter().for_each(|change| change());
        *self.latest.write() = Arc::clone(&found);
        let waiting = self.waiting(&found);
        let mut told = changed(&before, &self.entries());
        if !waiting.is_empty() {
            told.push_str("; taken at the next start: ");
            told.push_str(&waiting.join(", "));
        }
        Ok(told)
    }

    /// What was changed and needs a restart.
    fn waiting(&self, found: &Config) -> Vec<String> {
        let pairs = self.started.entries().into_iter().zip(found.entries());
        let differs = pairs.filter(|(old, new)| !old.is_reloadable() && old.value != new.value);
        let mut names: Vec<String> = differs.map(|(old, _)| name(&old)).collect();
        if self.started.tables != found.tables {
            names.push("tables".to_owned());
        }
        names
    }

    /// Every key with the value in force.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let pairs = self.started.entries().into_iter().zip(self.latest.read().entries());
        pairs.map(|(old, new)| if old.is_reloadable() { new } else { old }).collect()
    }
}

fn name(entry: &Entry) -> String {
    format!("{}.{}", entry.section, entry.name)
}

fn changed(before: &[Entry], after: &[Entry]) -> String {
    let pairs = before.iter().zip(after).filter(|(old, new)| old.value != new.value);
    let names: Vec<String> = pairs.map(|(old, _)| name(old)).collect();
    match names.as_slice() {
        [] => "files read again; no key has changed".to_owned(),
        names => format!("changed: {}", names.join(", ")),
    }
}
