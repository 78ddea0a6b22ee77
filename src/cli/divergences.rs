//! `crossfade divergences`: list, show, accept, export, replay.
//!
//! Owns the pages of the list. It must never show more of a row than the proxy kept. Start at
//! [`divergences`].

use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{Client, Result};
use super::verbs::client;
use super::{DivergenceAction, DivergenceArgs, exit, out, render};
use crate::divergence::{Group, GroupState};

#[derive(Deserialize)]
struct Page {
    divergences: Vec<Listed>,
    next_cursor: Option<String>,
}

/// A group of a list: samples are left out there.
#[derive(Deserialize)]
struct Listed {
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

/// Runs the verb.
pub(super) fn divergences(args: &DivergenceArgs) -> Result<u8> {
    let client = client(&args.admin)?;
    let json = args.admin.json;
    match args.action.clone().unwrap_or(DivergenceAction::List) {
        DivergenceAction::List => list(&client, json),
        DivergenceAction::Show { id } => {
            let value: Value = client.get(&format!("/api/v1/divergences/{id}"))?;
            match serde_json::from_value::<Group>(value.clone()) {
                Ok(group) if !json => {
                    out::data(render::divergence(&group, out::colours()));
                    if group.state == GroupState::Open {
                        out::talk(format_args!(
                            "next: crossfade divergences replay {id}, crossfade repair {id}, or \
                             crossfade divergences accept {id} --reason …\n"
                        ));
                    }
                }
                _ => {
                    out::json(&value);
                }
            }
            Ok(exit::DONE)
        }
        DivergenceAction::Accept { id, reason, owner, expires } => {
            let owner = owner
                .or_else(|| std::env::var("USER").ok())
                .unwrap_or_else(|| "unknown".to_owned());
            let body = json!({"owner": owner, "reason": reason, "expires": expires});
            let value: Value = client.post(&format!("/api/v1/divergences/{id}/accept"), &body)?;
            if json {
                out::json(&value);
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
            if json {
                out::json(&json!({"id": id, "replay": value["replay"]}));
            } else {
                out::data(value["replay"].as_str().unwrap_or(""));
            }
            Ok(exit::DONE)
        }
    }
}

fn list(client: &Client, json: bool) -> Result<u8> {
    let groups = all_groups(client)?;
    let parsed: Vec<Group> =
        groups.iter().filter_map(|g| serde_json::from_value(g.clone()).ok()).collect();
    if json {
        out::json(&json!({"divergences": groups}));
    } else if parsed.is_empty() {
        out::talk("no divergences\n");
    } else {
        out::data(render::divergences(&parsed, out::colours()));
        out::talk(format_args!("next: crossfade divergences show {}\n", parsed[0].id));
    }
    let open = parsed.iter().any(|g| g.state == GroupState::Open);
    Ok(if open { exit::NO } else { exit::DONE })
}
