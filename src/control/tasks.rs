//! Long-running commands: their steps, their end, and who waits for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::Command;
use crate::error::Error;

/// Tasks kept; the oldest finished one goes first.
const TASKS_MAX: usize = 200;
/// Time between two lines of the log about a table.
const LOGGED: Duration = Duration::from_secs(30);
/// Steps kept of a task.
const STEPS_MAX: usize = 2000;

/// State of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskState {
    /// Under way.
    Running,
    /// Did what was asked.
    Done,
    /// Ran, and the answer is no, or it was undone.
    Failed,
    /// A gate refused it; nothing was changed.
    Refused,
}

/// One step of a task.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Step {
    /// Number from 1.
    pub number: u64,
    /// What was done.
    pub text: String,
    /// How long it took, in milliseconds.
    pub ms: f64,
    /// Facts: counts, positions.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// Where a task is inside a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Now {
    /// What is done with which table.
    pub text: String,
    /// The table.
    pub table: String,
    /// Rows so far.
    pub rows: u64,
    /// Rows in all, as far as that is known; else 0.
    pub of: u64,
    /// Since when, in milliseconds.
    pub ms: f64,
}

/// A task as the surfaces show it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Task {
    /// `t1`, `t2` …
    pub id: String,
    /// Verb.
    pub kind: String,
    /// State.
    pub state: TaskState,
    /// Steps so far.
    pub steps: Vec<Step>,
    /// How far it is inside a table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<Now>,
    /// One-line result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// Values that are not on PostgreSQL but in its quarantine, when a copy left any there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantined: Option<u64>,
    /// How each table of a copy went.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<TableDone>,
    /// Why it failed or was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TaskError>,
    /// RFC 3339.
    pub started_at: String,
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
}

/// Values of a column that were changed to its type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coerced {
    /// The column.
    pub column: String,
    /// How many.
    pub values: u64,
}

/// How a table of a copy went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TableDone {
    /// The table.
    pub table: String,
    /// Rows on PostgreSQL.
    pub rows: u64,
    /// Bytes sent.
    pub bytes: u64,
    /// Rows and single values in quarantine.
    pub quarantined: u64,
    /// Values stored in another form and changed as the configuration says, by column.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub coerced: Vec<Coerced>,
    /// Constraints, defaults, indexes … of the file that PostgreSQL's table goes without.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// Seconds taken.
    pub seconds: f64,
    /// An earlier copy stands: nothing has changed since.
    pub kept: bool,
    /// Why it was not copied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Why a task failed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TaskError {
    /// Machine-readable: `refused`, `undone`, `differs`, or an SQLSTATE.
    pub code: String,
    /// One line.
    pub message: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// How a command ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Done, with a one-line result.
    Done(String),
    /// Done, and so many values are in quarantine: a one-line result.
    Partly(String, u64),
    /// Ran, and the answer is no (verify found differences): a one-line result.
    No(String),
    /// A gate refused it: the reason and a hint.
    Refused(String, Option<String>),
    /// A switch was attempted and undone: the reason.
    Undone(String),
    /// It failed.
    Failed(Error),
}

impl Outcome {
    /// One word or line for the audit log.
    pub fn word(&self) -> String {
        match self {
            Self::Done(text) | Self::Partly(text, _) => format!("done, {text}"),
            Self::No(text) => format!("no, {text}"),
            Self::Refused(reason, _) => format!("refused, {reason}"),
            Self::Undone(reason) => format!("undone, {reason}"),
            Self::Failed(error) => format!("failed, {error}"),
        }
    }
}

/// Where a running command reports its steps.
#[derive(Clone)]
pub struct Progress {
    entry: Arc<Entry>,
}

struct Entry {
    task: Mutex<Task>,
    last: Mutex<Instant>,
    /// When what `now` says began, and when it was logged last.
    began: Mutex<(Instant, Instant)>,
    ended: Notify,
}

impl Progress {
    /// A progress that nobody reads, for commands run without a task.
    pub fn unseen(kind: &str) -> Self {
        Self { entry: Arc::new(Entry::new("t0".to_owned(), kind)) }
    }

    /// Notes a finished step; its time runs from the end of the last one.
    pub fn step(&self, text: impl Into<String>, detail: impl Into<String>) {
        let mut last = self.entry.last.lock();
        let ms = last.elapsed().as_secs_f64() * 1000.0;
        *last = Instant::now();
        drop(last);
        let (text, detail) = (text.into(), detail.into());
        let mut task = self.entry.task.lock();
        task.now = None;
        tracing::info!(task = task.id, kind = task.kind, step = text, detail, ms, "step");
        if task.steps.len() < STEPS_MAX {
            let number = task.steps.len() as u64 + 1;
            task.steps.push(Step { number, text, ms, detail });
        }
    }

    /// Notes how far it is inside a table, until the next step.
    pub fn rows(&self, text: String, table: String, rows: u64, of: u64) {
        let mut began = self.entry.began.lock();
        let mut task = self.entry.task.lock();
        if task.now.as_ref().is_none_or(|now| now.text != text) {
            *began = (Instant::now(), Instant::now());
        }
        if began.1.elapsed() >= LOGGED {
            began.1 = Instant::now();
            tracing::info!(task = task.id, kind = task.kind, doing = text, rows, of, "progress");
        }
        let ms = began.0.elapsed().as_secs_f64() * 1000.0;
        task.now = Some(Now { text, table, rows, of, ms });
    }

    /// Notes how each table of a copy went.
    pub fn tables(&self, tables: Vec<TableDone>) {
        self.entry.task.lock().tables = tables;
    }

    /// The task so far.
    pub fn snapshot(&self) -> Task {
        self.entry.task.lock().clone()
    }
}

impl Entry {
    fn new(id: String, kind: &str) -> Self {
        Self {
            task: Mutex::new(Task {
                id,
                kind: kind.to_owned(),
                state: TaskState::Running,
                steps: Vec::new(),
                now: None,
                result: None,
                quarantined: None,
                tables: Vec::new(),
                error: None,
                started_at: Timestamp::now().to_string(),
                ended_at: None,
            }),
            last: Mutex::new(Instant::now()),
            began: Mutex::new((Instant::now(), Instant::now())),
            ended: Notify::new(),
        }
    }
}

/// Every task of this process.
#[derive(Default)]
pub(super) struct Registry {
    tasks: Mutex<(u64, BTreeMap<u64, Arc<Entry>>)>,
}

impl Registry {
    pub(super) fn start(&self, command: &Command) -> (String, Progress) {
        let mut tasks = self.tasks.lock();
        tasks.0 += 1;
        let number = tasks.0;
        if tasks.1.len() >= TASKS_MAX {
            let oldest = tasks.1.iter().find(|(_, e)| e.task.lock().state != TaskState::Running);
            if let Some(oldest) = oldest.map(|(n, _)| *n) {
                tasks.1.remove(&oldest);
            }
        }
        let id = format!("t{number}");
        let entry = Arc::new(Entry::new(id.clone(), command.verb()));
        tasks.1.insert(number, Arc::clone(&entry));
        (id, Progress { entry })
    }

    pub(super) fn finish(&self, id: &str, outcome: Outcome) {
        let Some(entry) = self.entry(id) else { return };
        let mut task = entry.task.lock();
        let error = |code: &str, message: String, hint| {
            Some(TaskError { code: code.to_owned(), message, hint })
        };
        match outcome {
            Outcome::Done(text) => {
                task.state = TaskState::Done;
                task.result = Some(text);
            }
            Outcome::Partly(text, left) => {
                task.state = TaskState::Done;
                task.result = Some(text);
                task.quarantined = Some(left);
            }
            Outcome::No(text) => {
                task.state = TaskState::Failed;
                task.error = error("differs", text, None);
            }
            Outcome::Refused(reason, hint) => {
                task.state = TaskState::Refused;
                task.error = error("refused", reason, hint);
            }
            Outcome::Undone(reason) => {
                task.state = TaskState::Failed;
                task.error = error("undone", reason, None);
            }
            Outcome::Failed(cause) => {
                task.state = TaskState::Failed;
                let fields = cause.fields();
                let message = match &fields.detail {
                    Some(detail) => format!("{}: {detail}", fields.message),
                    None => fields.message.to_string(),
                };
                task.error = error(fields.sqlstate.as_str(), message, fields.hint.clone());
            }
        }
        task.now = None;
        task.ended_at = Some(Timestamp::now().to_string());
        drop(task);
        entry.ended.notify_waiters();
    }

    pub(super) async fn wait(&self, id: &str) -> Option<Task> {
        let entry = self.entry(id)?;
        loop {
            let ended = entry.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            let task = entry.task.lock().clone();
            if task.state != TaskState::Running {
                return Some(task);
            }
            ended.await;
        }
    }

    pub(super) fn get(&self, id: &str) -> Option<Task> {
        self.entry(id).map(|e| e.task.lock().clone())
    }

    pub(super) fn list(&self) -> Vec<Task> {
        self.tasks.lock().1.values().rev().map(|e| e.task.lock().clone()).collect()
    }

    fn entry(&self, id: &str) -> Option<Arc<Entry>> {
        let number: u64 = id.strip_prefix('t')?.parse().ok()?;
        self.tasks.lock().1.get(&number).cloned()
    }
}
