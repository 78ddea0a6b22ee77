//! `/api/v1`, metrics and probes.

use std::collections::HashMap;
use std::net::SocketAddr;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Serialize;
use serde_json::{Value, json};

use super::App;
use super::guard::by;
use crate::control::{Command, Options};
use crate::divergence::{Accept, Group};

/// Entries in one page of `/api/v1/divergences` and `/api/v1/statements`.
const PAGE: usize = 200;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/v1/status", get(status))
        .route("/api/v1/gates", get(gates))
        .route("/api/v1/divergences", get(divergences))
        .route("/api/v1/divergences/{id}", get(divergence))
        .route("/api/v1/divergences/{id}/accept", post(accept))
        .route("/api/v1/statements", get(statements))
        .route("/api/v1/statements/{fingerprint}", get(statement))
        .route("/api/v1/tables", get(tables))
        .route("/api/v1/journal", get(journal))
        .route("/api/v1/sessions", get(sessions))
        .route("/api/v1/tasks", get(tasks))
        .route("/api/v1/tasks/{id}", get(task))
        .route("/api/v1/events", get(events))
        .route("/api/v1/config", get(config))
        .route("/api/v1/version", get(version))
        .route("/api/v1/{verb}", post(order))
}

/// An error in the shape of the contract.
pub(super) fn failure(
    status: StatusCode,
    code: &str,
    message: &str,
    hint: Option<&str>,
) -> Response {
    let body = json!({"error": {"code": code, "message": message, "hint": hint}});
    (status, answer(&body)).into_response()
}

pub(super) fn answer(body: &impl Serialize) -> Response {
    let text = serde_json::to_string(body).unwrap_or_default();
    let text = crate::name::shown_json(&text).into_owned();
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (headers, text).into_response()
}

pub(super) async fn not_found() -> Response {
    failure(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path", None)
}

async fn status(State(app): State<App>) -> Response {
    answer(&app.control.engine().status().await)
}

async fn gates(State(app): State<App>) -> Response {
    answer(&json!({"gates": app.control.engine().gates().await}))
}

/// A group without its samples.
fn summary(group: &Group) -> Value {
    let mut value = serde_json::to_value(group).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        fields.remove("samples");
    }
    value
}

async fn divergences(
    State(app): State<App>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let after: u64 = query.get("cursor").and_then(|c| c.parse().ok()).unwrap_or(0);
    let number = |g: &Group| g.id.trim_start_matches('d').parse::<u64>().unwrap_or(0);
    let wanted = |g: &Group| {
        query.get("state").is_none_or(|s| {
            serde_json::to_value(g.state).is_ok_and(|v| v.as_str() == Some(s.as_str()))
        })
    };
    let groups = app.control.engine().divergences();
    let rest: Vec<&Group> = groups.iter().filter(|g| number(g) > after && wanted(g)).collect();
    let page: Vec<Value> = rest.iter().take(PAGE).map(|g| summary(g)).collect();
    let mut body = json!({"divergences": page});
    if rest.len() > PAGE {
        body["next_cursor"] = json!(number(rest[PAGE - 1]).to_string());
    }
    answer(&body)
}

async fn divergence(State(app): State<App>, Path(id): Path<String>) -> Response {
    let group = app.control.engine().divergences().into_iter().find(|g| g.id == id);
    let Some(group) = group else {
        return failure(StatusCode::NOT_FOUND, "not_found", "no divergence of that id", None);
    };
    let mut body = serde_json::to_value(&group).unwrap_or_default();
    body["replay"] = json!(app.control.engine().replay(&id));
    answer(&body)
}

async fn accept(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(id): Path<String>,
    body: Bytes,
) -> Response {
    let accept: Accept = match serde_json::from_slice(&body) {
        Ok(accept) => accept,
        Err(error) => return bad_body(&error),
    };
    if let Some(problem) = accept.problem() {
        return failure(StatusCode::BAD_REQUEST, "bad_request", problem, None);
    }
    if app.control.accept(&id, accept, &by(&peer)) {
        answer(&json!({"id": id, "state": "accepted"}))
    } else {
        failure(StatusCode::NOT_FOUND, "not_found", "no divergence of that id", None)
    }
}

/// Statement shapes; the cursor counts those shown before.
async fn statements(
    State(app): State<App>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let from: usize = query.get("cursor").and_then(|c| c.parse().ok()).unwrap_or(0);
    let list = app.control.engine().statements();
    let page: Vec<_> = list.statements.iter().skip(from).take(PAGE).collect();
    let mut body = json!({"statements": page, "dropped": list.dropped});
    if list.statements.len() > from.saturating_add(PAGE) {
        body["next_cursor"] = json!((from + PAGE).to_string());
    }
    answer(&body)
}

/// One shape, with what it becomes on either back end.
async fn statement(State(app): State<App>, Path(fingerprint): Path<String>) -> Response {
    let engine = app.control.engine();
    let shapes = engine.statements().statements;
    let Some(shape) = shapes.into_iter().find(|s| s.fingerprint == fingerprint) else {
        return failure(StatusCode::NOT_FOUND, "not_found", "no statement of that shape", None);
    };
    let mut body = serde_json::to_value(&shape).unwrap_or_default();
    body["translation"] = json!(engine.translate(&shape.statement));
    answer(&body)
}

async fn journal(State(app): State<App>) -> Response {
    let s = app.control.engine().status().await;
    answer(&json!({
        "position": s.position, "applied": s.applied, "lag_commits": s.lag_commits,
        "lag_ms": s.lag_ms, "journal_bytes": s.journal_bytes,
        "journal_bytes_max": s.journal_bytes_max,
    }))
}

async fn tables(State(app): State<App>) -> Response {
    answer(&json!({"tables": app.control.engine().tables().await}))
}

async fn sessions(State(app): State<App>) -> Response {
    answer(&json!({"sessions": app.control.engine().sessions()}))
}

async fn tasks(State(app): State<App>) -> Response {
    answer(&json!({"tasks": app.control.tasks()}))
}

async fn task(State(app): State<App>, Path(id): Path<String>) -> Response {
    match app.control.task(&id) {
        Some(task) => answer(&task),
        None => failure(StatusCode::NOT_FOUND, "not_found", "no task of that id", None),
    }
}

async fn events(State(app): State<App>) -> Response {
    answer(&json!({"events": app.control.events()}))
}

async fn config(State(app): State<App>) -> Response {
    answer(&json!({"config": app.control.engine().config()}))
}

async fn version(State(app): State<App>) -> Response {
    let version = env!("CARGO_PKG_VERSION");
    answer(&json!({"version": version, "listening": app.control.listening()}))
}

fn bad_body(error: &serde_json::Error) -> Response {
    let message = format!("the body is not what this path takes: {error}");
    failure(StatusCode::BAD_REQUEST, "bad_request", &message, None)
}

async fn order(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(verb): Path<String>,
    body: Bytes,
) -> Response {
    let options: Options = if body.iter().all(u8::is_ascii_whitespace) {
        Options::default()
    } else {
        match serde_json::from_slice(&body) {
            Ok(options) => options,
            Err(error) => return bad_body(&error),
        }
    };
    let Some(command) = Command::from_verb(&verb, options) else { return not_found().await };
    if let Command::Promote(options) = &command
        && !options.dry_run
        && let Some((names, refusal)) = refused(&app, options).await
    {
        app.control.note(&by(&peer), format!("{command}: refused, {names} not met"));
        return refusal;
    }
    let id = app.control.submit(command, &by(&peer));
    (StatusCode::ACCEPTED, answer(&json!({"task": id}))).into_response()
}

/// 409 when a gate refuses already now, with the gates that do.
async fn refused(app: &App, options: &Options) -> Option<(String, Response)> {
    let failing = app.control.refusing_gates(options).await;
    if failing.is_empty() {
        return None;
    }
    let names = failing.iter().map(|g| g.name.as_str()).collect::<Vec<_>>().join(", ");
    let message = format!("promote refused: {names} not met");
    let hint =
        "crossfade gates (GET /api/v1/gates) says why; some gates can be overridden by name.";
    let body =
        json!({"error": {"code": "refused", "message": message, "hint": hint}, "gates": failing});
    Some((names, (StatusCode::CONFLICT, answer(&body)).into_response()))
}

pub(super) async fn metrics(State(app): State<App>) -> Response {
    // Gauges that are computed, not counted, are set by asking for the status.
    let _ = app.control.engine().status().await;
    let headers = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (headers, crate::name::shown(&app.metrics.render()).into_owned()).into_response()
}

pub(super) async fn readyz(State(app): State<App>) -> Response {
    let status = app.control.engine().status().await;
    if status.health == "stalled" {
        let reason = status.reason.unwrap_or_else(|| "statements are not served".to_owned());
        return (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response();
    }
    "ok\n".into_response()
}

pub(super) async fn healthz(
    State(app): State<App>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let status = app.control.engine().status().await;
    let limit = match query.get("max_lag_ms").map(|v| v.parse::<u64>()) {
        Some(Err(_)) => {
            let message = "max_lag_ms must be a number of milliseconds";
            return failure(StatusCode::BAD_REQUEST, "bad_request", message, None);
        }
        Some(Ok(limit)) => Some(limit),
        None => None,
    };
    let unavailable =
        |reason: String| (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response();
    if status.health != "ok" {
        return unavailable(status.reason.unwrap_or(status.health));
    }
    match (limit, status.shadow, status.lag_ms) {
        (Some(_), Some(_), None) => unavailable("lag unknown".to_owned()),
        (Some(limit), Some(_), Some(lag)) if lag > limit => unavailable(format!("lag {lag} ms")),
        _ => "ok\n".into_response(),
    }
}
