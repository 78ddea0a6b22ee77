//! The verbs that order something: they start a task and follow it to its end.
//!
//! Owns the question before a switch and the exit code after it. It must never ask without a
//! terminal, and never order twice. Start at [`order`].

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{Client, Failure, Result};
use super::verbs::{client, report};
use super::{OrderArgs, exit, interrupt, out, render};
use crate::control::{Options, Status, Task, TaskState};
use crate::count::counted;

/// How often rows are told where there is no bar.
const EVERY: Duration = Duration::from_secs(30);
/// How often a task is asked for its steps.
const POLL: Duration = Duration::from_millis(100);

#[derive(Deserialize)]
struct Accepted {
    task: String,
}

fn usage(message: String, hint: String) -> Failure {
    Failure { code: exit::USAGE, message, hint: Some(hint), body: None }
}

fn confirm(verb: &str, args: &OrderArgs) -> Result<()> {
    let asks = matches!(verb, "promote" | "rollback" | "complete") && !args.dry_run && !args.yes;
    if !asks {
        return Ok(());
    }
    let hint = format!("crossfade {verb} --dry-run shows what it would do; --yes does it.");
    if !std::io::stdin().is_terminal() {
        return Err(usage(format!("{verb} without a terminal needs --yes"), hint));
    }
    out::talk(format_args!("{verb} now? Type {verb} to go on: "));
    let mut line = String::new();
    let read = std::io::stdin().read_line(&mut line).is_ok();
    if read && line.trim() == verb {
        return Ok(());
    }
    Err(usage(format!("{verb} not confirmed"), hint))
}

/// Asks before what works on a file; the exit code when it was not confirmed.
///
/// # Errors
/// That code; why is told.
pub fn confirmed(verb: &str, args: &OrderArgs) -> std::result::Result<(), u8> {
    confirm(verb, args).map_err(|failure| report(&failure, args.admin.json))
}

/// Runs the verb.
pub(super) fn order(verb: &str, args: &OrderArgs) -> Result<u8> {
    if args.rehearse && verb != "promote" {
        let hint = "crossfade promote --rehearse".to_owned();
        return Err(usage(format!("{verb} has no rehearsal"), hint));
    }
    confirm(verb, args)?;
    let client = client(&args.admin)?;
    let options = Options {
        dry_run: args.dry_run,
        overrides: args.overrides.clone(),
        tables: args.tables.clone(),
        divergence: args.divergence.clone(),
        rehearse: args.rehearse,
        resume: args.resume,
    };
    let accepted: Accepted = client.post(&format!("/api/v1/{verb}"), &options)?;
    let task = follow(&client, verb, args, &accepted.task)?;
    let next = match task.state {
        // Why each does not hold, and which can be passed.
        TaskState::Refused if verb == "promote" => vec!["crossfade gates".to_owned()],
        _ => next(&client),
    };
    if args.admin.json {
        let mut value = json!(task);
        value["next"] = json!(next);
        out::json(&value);
    } else {
        conclude(&task, &next);
    }
    Ok(code(&task))
}

/// Prints the steps as they come, until the end.
fn follow(client: &Client, verb: &str, args: &OrderArgs, id: &str) -> Result<Task> {
    interrupt::say(format!(
        "interrupted: {verb} goes on in the proxy as task {id}\nnext: crossfade status --watch\n"
    ));
    let all = all_tables(client, verb, args);
    let (mut shown, mut told) = (0, Instant::now());
    loop {
        let task: Task = client.get(&format!("/api/v1/tasks/{id}"))?;
        if !args.admin.json {
            out::no_bar();
            out::data(render::steps(&task, shown));
            shown = task.steps.len();
        }
        if task.state != TaskState::Running {
            return Ok(task);
        }
        if let Some(all) = all {
            bar(&task, all);
        } else if let Some(now) = task.now.as_ref().filter(|_| told.elapsed() >= EVERY)
            && !args.admin.json
        {
            told = Instant::now();
            out::talk(format_args!("{}: {} of {} rows\n", now.text, now.rows, now.of));
        }
        std::thread::park_timeout(POLL);
    }
}

/// Tables done, or how far it is inside the one that is under way.
fn bar(task: &Task, all: usize) {
    let ended = |text: &str| text.starts_with("copied ") || text.starts_with("verified ");
    let done = task.steps.iter().filter(|s| ended(&s.text)).count();
    let (tables, last) = (format!("table {} of {all}", (done + 1).min(all)), task.steps.last());
    match (&task.now, last) {
        (Some(now), _) => out::bar(&format!("rows   {}, {tables}", now.text), now.rows, now.of),
        (None, Some(last)) => {
            out::bar(&format!("tables   {} {}", last.text, last.detail), done as u64, all as u64);
        }
        (None, None) => {}
    }
}

/// How many tables a bar counts; none where there is no bar.
fn all_tables(client: &Client, verb: &str, args: &OrderArgs) -> Option<usize> {
    let counts = matches!(verb, "backfill" | "verify") && std::io::stderr().is_terminal();
    if !counts || !args.tables.is_empty() {
        return counts.then_some(args.tables.len());
    }
    let tables: Value = client.get("/api/v1/tables").ok()?;
    tables["tables"].as_array().map(Vec::len)
}

/// What makes sense now; nothing when the proxy is gone, which the task has told.
fn next(client: &Client) -> Vec<String> {
    client.get::<Status>("/api/v1/status").map(|s| s.next).unwrap_or_default()
}

fn conclude(task: &Task, next: &[String]) {
    if !task.tables.is_empty() {
        out::talk(super::closing::table(&task.tables));
    }
    if let Some(result) = &task.result {
        out::line(result);
    }
    if let Some(values) = task.quarantined {
        out::talk(format_args!(
            "not on PostgreSQL but in crossfade.quarantine: {}; see crossfade divergences\n",
            counted(values, "value")
        ));
    }
    if let Some(error) = &task.error {
        out::talk(format_args!("error: {}\n", error.message));
        if let Some(hint) = &error.hint {
            out::talk(format_args!("hint: {hint}\n"));
        }
    }
    if !next.is_empty() {
        out::talk(format_args!("next: {}\n", next.join(", or ")));
    }
}

fn code(task: &Task) -> u8 {
    match (task.state, task.error.as_ref().map(|e| e.code.as_str())) {
        (TaskState::Done, _) if task.quarantined.is_some() => exit::NO,
        (TaskState::Done, _) => exit::DONE,
        (TaskState::Refused, _) => exit::REFUSED,
        (_, Some("undone")) => exit::UNDONE,
        (_, Some("08006" | "57P03")) => exit::UNREACHABLE,
        _ => exit::NO,
    }
}
