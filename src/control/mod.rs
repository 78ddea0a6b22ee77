//! The one door through which a surface reaches the engine.
//!
//! Owns the words of the control plane: [`Command`], [`Status`], [`Gate`], the task registry and
//! the audit log. CLI, console, HTTP and dashboard all come through [`Control`]; none of them
//! touches the engine. It must never change a role itself. Start at [`Control::submit`].

mod command;
mod status;
mod tasks;

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;
use serde::Serialize;

pub use command::{Command, Options};
pub use status::{
    Gate, GateKind, SessionInfo, SettingInfo, StatementList, Status, TableInfo, Translation,
    VerifiedInfo,
};
pub use tasks::{Coerced, Now, Outcome, Progress, Step, TableDone, Task, TaskState};

use crate::divergence::{Accept, Group};
pub use crate::session::Totals;
use tasks::Registry;

/// How long a promote waits for a lag that is known but too large.
const LAG_PATIENCE: Duration = Duration::from_secs(10);
/// Events kept for `/api/v1/events` and SHOW EVENTS.
const EVENTS_MAX: usize = 1000;

/// A boxed future, so that the engine can stand behind a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What the surfaces can ask of the engine. Implemented by the assembly.
pub trait Engine: Send + Sync + 'static {
    /// The one-page answer to "how does it stand?".
    fn status(&self) -> BoxFuture<'_, Status>;
    /// The phase's word, now.
    fn phase(&self) -> &'static str;
    /// Every gate with its number, limit and reason.
    fn gates(&self) -> BoxFuture<'_, Vec<Gate>>;
    /// Divergence groups, oldest first.
    fn divergences(&self) -> Vec<Group>;
    /// A script that shows one divergence.
    fn replay(&self, id: &str) -> Option<String>;
    /// Accepts a group; false when there is none of that id.
    fn accept(&self, id: &str, accept: Accept) -> bool;
    /// Tables with rows, backfill and verify state.
    fn tables(&self) -> BoxFuture<'_, Vec<TableInfo>>;
    /// Statement shapes, those with most calls first.
    fn statements(&self) -> StatementList;
    /// What a statement becomes on either back end.
    fn translate(&self, text: &str) -> Translation;
    /// Client sessions now.
    fn sessions(&self) -> Vec<SessionInfo>;
    /// What client sessions have carried since the start.
    fn totals(&self) -> Totals;
    /// The effective configuration, secrets redacted.
    fn config(&self) -> Vec<SettingInfo>;
    /// Runs a command to its end, reporting steps as it goes.
    fn run<'a>(&'a self, command: &'a Command, progress: &'a Progress) -> BoxFuture<'a, Outcome>;
    /// Ends the proxy after the current statements.
    fn shutdown(&self);
}

/// Something a person or the engine did.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// RFC 3339.
    pub at: String,
    /// Who: `http`, `console:user`, `engine`.
    pub who: String,
    /// What, one line.
    pub what: String,
}

/// The door.
pub struct Control {
    engine: Arc<dyn Engine>,
    tasks: Arc<Registry>,
    events: Mutex<VecDeque<Event>>,
    listening: OnceLock<Vec<String>>,
}

impl Control {
    /// A door to this engine.
    pub fn new(engine: Arc<dyn Engine>) -> Arc<Self> {
        Arc::new(Self {
            engine,
            tasks: Arc::new(Registry::default()),
            events: Mutex::new(VecDeque::new()),
            listening: OnceLock::new(),
        })
    }

    /// Says where applications connect, once the listeners are bound.
    pub fn listens_on(&self, addresses: Vec<String>) {
        // Addresses do not change while the proxy runs.
        let _ = self.listening.set(addresses);
    }

    /// Where applications connect.
    pub fn listening(&self) -> &[String] {
        self.listening.get().map_or(&[], Vec::as_slice)
    }

    /// Read-only questions.
    pub fn engine(&self) -> &dyn Engine {
        self.engine.as_ref()
    }

    /// Starts a command as a task that no caller's disappearance can stop, and returns its id.
    pub fn submit(self: &Arc<Self>, command: Command, who: &str) -> String {
        self.note(who, format!("{command}"));
        let (id, progress) = self.tasks.start(&command);
        let control = Arc::clone(self);
        let task = id.clone();
        let who = who.to_owned();
        tokio::spawn(async move {
            let outcome = control.engine.run(&command, &progress).await;
            control.note(&who, format!("{command}: {}", outcome.word()));
            control.tasks.finish(&task, outcome);
        });
        id
    }

    /// Runs a command and waits for its end.
    pub async fn execute(self: &Arc<Self>, command: Command, who: &str) -> Option<Task> {
        let id = self.submit(command, who);
        self.tasks.wait(&id).await
    }

    /// Waits for a task's end; None when there is none of that id.
    pub async fn wait(&self, id: &str) -> Option<Task> {
        self.tasks.wait(id).await
    }

    /// Ends the proxy after the current statements.
    pub fn shutdown(&self, who: &str) {
        self.note(who, "shutdown".to_owned());
        self.engine.shutdown();
    }

    /// Gates that refuse a promote with these options. A lag that is known but a moment too
    /// large is waited for: under load it comes and goes, and the switch slows writers anyway.
    pub async fn refusing_gates(&self, options: &Options) -> Vec<Gate> {
        let began = Instant::now();
        loop {
            let gates = self.engine.gates().await;
            let refusing: Vec<Gate> =
                gates.into_iter().filter(|g| g.refuses(&options.overrides)).collect();
            let passing = refusing.iter().all(|g| g.name == "lag" && g.actual != "unknown");
            if refusing.is_empty() || !passing || began.elapsed() > LAG_PATIENCE {
                return refusing;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// A task by id.
    pub fn task(&self, id: &str) -> Option<Task> {
        self.tasks.get(id)
    }

    /// Every task kept, newest first.
    pub fn tasks(&self) -> Vec<Task> {
        self.tasks.list()
    }

    /// Accepts a divergence, in somebody's name.
    pub fn accept(&self, id: &str, accept: Accept, who: &str) -> bool {
        let what = format!("accept {id}: {}", accept.reason);
        let accepted = self.engine.accept(id, accept);
        let end = if accepted { "done" } else { "refused, no divergence of that id" };
        self.note(who, format!("{what}: {end}"));
        accepted
    }

    /// Writes the audit log, unless the newest entry says just that: a flood of refusals must
    /// not push out what was done.
    pub fn note_once(&self, who: &str, what: String) {
        let newest = self.events.lock().back().is_some_and(|e| e.who == who && e.what == what);
        if !newest {
            self.note(who, what);
        }
    }

    /// Writes the audit log.
    pub fn note(&self, who: &str, what: String) {
        tracing::info!(who, what, "event");
        let mut events = self.events.lock();
        if events.len() >= EVENTS_MAX {
            events.pop_front();
        }
        let at = Timestamp::now().to_string();
        events.push_back(Event { at, who: who.to_owned(), what });
    }

    /// The audit log, newest first.
    pub fn events(&self) -> Vec<Event> {
        self.events.lock().iter().rev().cloned().collect()
    }
}
