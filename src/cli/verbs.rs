//! The verbs that ask a running proxy, or nobody; and how a failure of any is told.
//!
//! Owns the dispatch. It must never print data to stderr nor talk to stdout, but for the error
//! object of `--json`. Start at [`execute`].

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{Client, Failure, Result};
use super::divergences::divergences;
use super::order::order;
use super::{AdminArgs, Cli, StatusArgs, Verb, exit, init, interrupt, out, render, shell, top};
use crate::control::{Gate, Status};

/// How often `status --watch` looks.
const EVERY: Duration = Duration::from_secs(1);

/// Runs the verb; the exit code.
pub(super) fn execute(verb: &Verb) -> u8 {
    let result = match verb {
        Verb::Init(args) => init::init(args),
        Verb::Status(args) => status(args),
        Verb::Top(args) => top::top(args),
        Verb::Gates(args) => gates(args),
        Verb::Divergences(args) => divergences(args),
        Verb::Backfill(args) => order("backfill", args),
        Verb::Verify(args) => order("verify", args),
        Verb::Repair(args) => order("repair", args),
        Verb::Promote(args) => order("promote", args),
        Verb::Rollback(args) => order("rollback", args),
        Verb::Pause(args) => order("pause", args),
        Verb::Resume(args) => order("resume", args),
        Verb::Complete(args) => order("complete", &args.order),
        Verb::Shell(args) => shell::shell(args),
        Verb::Env(args) => shell::env(args),
        Verb::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut command(), "crossfade", &mut script);
            out::data(String::from_utf8_lossy(&script));
            Ok(exit::DONE)
        }
        Verb::Man { folder } => man(folder.as_deref()),
        Verb::Version { json } => {
            let version = env!("CARGO_PKG_VERSION");
            match json {
                true => out::json(&json!({"version": version})),
                false => out::line(format_args!("crossfade {version}")),
            };
            Ok(exit::DONE)
        }
        // The assembly runs these; it does not send them here.
        Verb::Run(_) | Verb::Check(_) | Verb::Assess(_) | Verb::Translate(_) | Verb::Demo(_) => {
            Ok(exit::BUG)
        }
    };
    result.unwrap_or_else(|failure| report(&failure, wants_json(verb)))
}

fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

fn wants_json(verb: &Verb) -> bool {
    match verb {
        Verb::Init(args) => args.json,
        Verb::Status(StatusArgs { admin, .. }) | Verb::Gates(admin) => admin.json,
        Verb::Divergences(args) => args.admin.json,
        Verb::Backfill(args)
        | Verb::Verify(args)
        | Verb::Repair(args)
        | Verb::Promote(args)
        | Verb::Rollback(args)
        | Verb::Pause(args)
        | Verb::Resume(args) => args.admin.json,
        Verb::Complete(args) => args.order.admin.json,
        Verb::Env(args) => args.admin.json,
        _ => false,
    }
}

pub(super) fn report(failure: &Failure, json: bool) -> u8 {
    let gates = failure.body.as_ref().and_then(|b| b.get("gates"));
    if json {
        let told = failure.body.as_ref().and_then(|b| b["error"]["code"].as_str());
        let code = told.unwrap_or(match failure.code {
            exit::USAGE => "usage",
            exit::UNREACHABLE => "unreachable",
            exit::REFUSED => "refused",
            _ => "internal",
        });
        let mut value = out::error(code, &failure.message, failure.hint.as_deref());
        if let Some(gates) = gates {
            value["gates"] = gates.clone();
        }
        out::json(&value);
    }
    out::talk(format_args!("error: {}\n", failure.message));
    if let Some(gates) = gates {
        let gates: Vec<Gate> = serde_json::from_value(gates.clone()).unwrap_or_default();
        out::talk(render::gates(&gates, false));
    }
    if let Some(hint) = &failure.hint {
        out::talk(format_args!("hint: {hint}\n"));
    }
    failure.code
}

/// The proxy these flags name.
pub(super) fn client(admin: &AdminArgs) -> Result<Client> {
    Client::new(admin.admin_url.as_deref())
}

fn status(args: &StatusArgs) -> Result<u8> {
    let client = client(&args.admin)?;
    if args.watch {
        interrupt::say(String::new());
    }
    let mut answered = false;
    loop {
        let read = match client.get("/api/v1/status") {
            Ok(value) => {
                answered = true;
                show_status(args, &value)
            }
            // A proxy that starts again is watched on.
            Err(failure) if args.watch && answered && failure.code == exit::UNREACHABLE => {
                out::talk(format_args!("{}\n", failure.message));
                true
            }
            Err(failure) => return Err(failure),
        };
        if !args.watch || !read {
            return Ok(exit::DONE);
        }
        // The watcher's own pace; nothing waits for it.
        std::thread::park_timeout(EVERY);
    }
}

fn show_status(args: &StatusArgs, value: &Value) -> bool {
    match (args.admin.json, args.watch) {
        // One line for each look, so that a program can read them as they come.
        (true, true) => out::line(value),
        (true, false) => out::json(value),
        (false, watch) => {
            let status: Status = Status::deserialize(value).unwrap_or_default();
            if watch && std::io::stdout().is_terminal() {
                out::data("\x1b[2J\x1b[H");
            }
            out::data(render::status(&status, out::colours()))
        }
    }
}

fn gates(admin: &AdminArgs) -> Result<u8> {
    #[derive(Deserialize)]
    struct Gates {
        gates: Vec<Gate>,
    }
    let value: Value = client(admin)?.get("/api/v1/gates")?;
    let list = Gates::deserialize(&value).map(|g| g.gates).unwrap_or_default();
    if admin.json {
        out::json(&value);
    } else if list.is_empty() {
        out::talk("no gates: no PostgreSQL is attached\n");
    } else {
        out::data(render::gates(&list, out::colours()));
        out::talk("next: crossfade promote --dry-run\n");
    }
    let closed = list.iter().any(|g| g.refuses(&[]));
    Ok(if closed { exit::NO } else { exit::DONE })
}

/// Manual pages, made from the flags' own texts.
fn man(folder: Option<&Path>) -> Result<u8> {
    let failed = |error: std::io::Error| Failure {
        code: exit::USAGE,
        message: format!("cannot write the manual pages: {error}"),
        hint: None,
        body: None,
    };
    match folder {
        Some(folder) => {
            std::fs::create_dir_all(folder).map_err(failed)?;
            clap_mangen::generate_to(command(), folder).map_err(failed)?;
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command()).render(&mut page).map_err(failed)?;
            out::data(String::from_utf8_lossy(&page));
        }
    }
    Ok(exit::DONE)
}
