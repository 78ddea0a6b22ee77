//! The verbs that ask or order a running proxy.

use std::io::IsTerminal;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{Client, Failure, Result};
use super::{AdminArgs, DivergenceAction, DivergenceArgs, OrderArgs, StatusArgs, Verb};
use super::{exit, out, render};
use crate::control::{Gate, Options, Status, Task, TaskState};
use crate::divergence::Group;

/// How often a task is asked for its steps.
const POLL: Duration = Duration::from_millis(100);

/// Runs the verb; the exit code.
pub(super) fn execute(verb: &Verb) -> u8 {
    let result = match verb {
        Verb::Status(args) => status(args),
        Verb::Divergences(args) => divergences(args),
        Verb::Backfill(args) => order("backfill", args),
        Verb::Verify(args) => order("verify", args),
        Verb::Repair(args) => order("repair", args),
        Verb::Promote(args) => order("promote", args),
        Verb::Rollback(args) => order("rollback", args),
        Verb::Pause(args) => order("pause", args),
        Verb::Resume(args) => order("resume", args),
        Verb::Complete(args) => order("complete", args),
        Verb::Completions { shell } => {
            let mut command = <super::Cli as clap::CommandFactory>::command();
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut command, "crossfade", &mut script);
            out::data(String::from_utf8_lossy(&script));
            Ok(exit::DONE)
        }
        Verb::Version => {
            out::line(concat!("crossfade ", env!("CARGO_PKG_VERSION")));
            Ok(exit::DONE)
        }
        // The assembly runs these; it does not send them here.
        Verb::Run(_) | Verb::Check(_) | Verb::Assess(_) | Verb::Translate(_) | Verb::Demo(_) => {
            Ok(exit::BUG)
        }
    };
    result.unwrap_or_else(|failure| report(&failure))
}

fn report(failure: &Failure) -> u8 {
    out::talk(format_args!("error: {}\n", failure.message));
    if let Some(gates) = failure.body.as_ref().and_then(|b| b.get("gates")) {
        let gates: Vec<Gate> = serde_json::from_value(gates.clone()).unwrap_or_default();
        out::talk(render::gates(&gates));
    }
    if let Some(hint) = &failure.hint {
        out::talk(format_args!("hint: {hint}\n"));
    }
    failure.code
}

fn print_json(value: &impl serde::Serialize) -> bool {
    out::line(serde_json::to_string_pretty(value).unwrap_or_default())
}

fn client(admin: &AdminArgs) -> Client {
    Client::new(admin.admin_url.as_deref())
}

fn status(args: &StatusArgs) -> Result<u8> {
    let client = client(&args.admin);
    loop {
        let value: Value = client.get("/api/v1/status")?;
        let read = if args.admin.json {
            print_json(&value)
        } else {
            let status: Status = serde_json::from_value(value).unwrap_or_default();
            if args.watch && std::io::stdout().is_terminal() {
                out::data("\x1b[2J\x1b[H");
            }
            out::data(render::status(&status))
        };
        if !args.watch || !read {
            return Ok(exit::DONE);
        }
        // The watcher's own pace; nothing waits for it.
        std::thread::park_timeout(Duration::from_secs(1));
    }
}

#[derive(Deserialize)]
struct Page {
    divergences: Vec<Group0>,
    next_cursor: Option<String>,
}

/// A group of a list: samples are left out there.
#[derive(Deserialize)]
struct Group0 {
    id: String,
}

fn all_groups(client: &Client) -> Result<Vec<Value>> {
    let mut groups = Vec::new();
    let mut cursor = String::from("0");
    loop {
        let page: Page = client.get(&format!("/api/v1/divergences?cursor={cursor}"))?;
        for group in page.divergences {
            groups.push(client.get(&format!("/api/v1/divergences/{}", group.id))?);
        }
        match page.next_cursor {
            Some(next) => cursor = next,
            None => return Ok(groups),
        }
    }
}

fn divergences(args: &DivergenceArgs) -> Result<u8> {
    let client = client(&args.admin);
    match args.action.clone().unwrap_or(DivergenceAction::List) {
        DivergenceAction::List => {
            let groups = all_groups(&client)?;
            let parsed: Vec<Group> =
                groups.iter().filter_map(|g| serde_json::from_value(g.clone()).ok()).collect();
            if args.admin.json {
                print_json(&json!({"divergences": groups}));
            } else if parsed.is_empty() {
                out::talk("no divergences\n");
            } else {
                out::data(render::divergences(&parsed));
                out::talk(format_args!("hint: crossfade divergences show {}\n", parsed[0].id));
            }
            let open = parsed.iter().any(|g| g.state == crate::divergence::GroupState::Open);
            Ok(if open { exit::NO } else { exit::DONE })
        }
        DivergenceAction::Show { id } => {
            let value: Value = client.get(&format!("/api/v1/divergences/{id}"))?;
            match serde_json::from_value::<Group>(value.clone()) {
                Ok(group) if !args.admin.json => out::data(render::divergence(&group)),
                _ => print_json(&value),
            };
            Ok(exit::DONE)
        }
        DivergenceAction::Accept { id, reason, owner, expires } => {
            let owner = owner
                .or_else(|| std::env::var("USER").ok())
                .unwrap_or_else(|| "unknown".to_owned());
            let body = json!({"owner": owner, "reason": reason, "expires": expires});
            let value: Value = client.post(&format!("/api/v1/divergences/{id}/accept"), &body)?;
            if args.admin.json {
                print_json(&value);
            } else {
                out::line(format_args!("{id} accepted"));
            }
            Ok(exit::DONE)
        }
        DivergenceAction::Export => {
            for group in all_groups(&client)? {
                out::line(group);
            }
            Ok(exit::DONE)
        }
        DivergenceAction::Replay { id } => {
            let value: Value = client.get(&format!("/api/v1/divergences/{id}"))?;
            out::data(value["replay"].as_str().unwrap_or(""));
            Ok(exit::DONE)
        }
    }
}

#[derive(Deserialize)]
struct Accepted {
    task: String,
}

fn confirm(verb: &str, args: &OrderArgs) -> Result<()> {
    let asks = matches!(verb, "promote" | "rollback" | "complete") && !args.dry_run && !args.yes;
    if !asks {
        return Ok(());
    }
    let refuse = |message: String| Failure {
        code: exit::USAGE,
        message,
        hint: Some(format!("crossfade {verb} --dry-run shows what it would do; --yes does it.")),
        body: None,
    };
    if !std::io::stdin().is_terminal() {
        return Err(refuse(format!("{verb} without a terminal needs --yes")));
    }
    out::talk(format_args!("{verb} now? Type {verb} to go on: "));
    let mut line = String::new();
    let read = std::io::stdin().read_line(&mut line).is_ok();
    if read && line.trim() == verb { Ok(()) } else { Err(refuse(format!("{verb} not confirmed"))) }
}

fn order(verb: &str, args: &OrderArgs) -> Result<u8> {
    confirm(verb, args)?;
    let client = client(&args.admin);
    let options = Options {
        dry_run: args.dry_run,
        overrides: args.overrides.clone(),
        tables: args.tables.clone(),
        divergence: args.divergence.clone(),
        rehearse: args.rehearse,
    };
    if args.rehearse && verb != "promote" {
        return Err(Failure {
            code: exit::USAGE,
            message: format!("{verb} has no rehearsal"),
            hint: Some("crossfade promote --rehearse".to_owned()),
            body: None,
        });
    }
    let accepted: Accepted = client.post(&format!("/api/v1/{verb}"), &options)?;
    let mut shown = 0;
    loop {
        let task: Task = client.get(&format!("/api/v1/tasks/{}", accepted.task))?;
        if !args.admin.json {
            out::data(render::steps(&task, shown));
            shown = task.steps.len();
        }
        if task.state != TaskState::Running {
            if args.admin.json {
                print_json(&task);
            }
            return Ok(conclude(&task, args.admin.json));
        }
        std::thread::park_timeout(POLL);
    }
}

fn conclude(task: &Task, json: bool) -> u8 {
    if let (Some(result), false) = (&task.result, json) {
        out::line(result);
    }
    if let Some(error) = &task.error {
        out::talk(format_args!("error: {}\n", error.message));
        if let Some(hint) = &error.hint {
            out::talk(format_args!("hint: {hint}\n"));
        }
    }
    match (task.state, task.error.as_ref().map(|e| e.code.as_str())) {
        (TaskState::Done, _) => exit::DONE,
        (TaskState::Refused, _) => exit::REFUSED,
        (_, Some("undone")) => exit::UNDONE,
        (_, Some("08006" | "57P03")) => exit::UNREACHABLE,
        _ => exit::NO,
    }
}
