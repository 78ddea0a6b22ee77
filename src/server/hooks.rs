//! Hooks: a command and a request, when a group of divergences is new or the phase has changed.
//!
//! Owns the look at both and the queue behind it. It must never hold anything up: what finds the
//! queue full is dropped and told, one hook runs at a time and no longer than its limit. A hook
//! sees nothing of the proxy's environment that could be a secret, and may look, not order: a
//! command gets the token for reading, a request none. Start at [`start`].

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Map, Value};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio_util::sync::CancellationToken;

use crate::cli::client::{address_of, tls};
use crate::config::Config;
use crate::control::Control;
use crate::divergence::{Group, Store};
use crate::error::{Culprit, Error, Result, state};

/// How often both are looked at.
const LOOK: Duration = Duration::from_millis(500);
/// Events that wait.
const WAITING: usize = 64;
/// Variables of the proxy that a command finds.
const KEPT: [&str; 5] = ["PATH", "HOME", "LANG", "LC_ALL", "TZ"];
/// Who hooks are in the audit log.
const WHO: &str = "hook";

/// Something to tell.
struct Event {
    /// `on_phase` or `on_divergence`.
    key: &'static str,
    command: Option<String>,
    /// Names without their prefix.
    fields: Vec<(&'static str, String)>,
}

/// What is called.
struct Hooks {
    on_divergence: Option<String>,
    on_phase: Option<String>,
    request: Option<(ureq::Agent, String)>,
    limit: Duration,
    config: Config,
    http: Option<SocketAddr>,
    control: Arc<Control>,
}

/// Starts the look, where there is something to call.
///
/// # Errors
/// F0000 when an https address has nothing to trust.
pub(super) fn start(
    config: &Config,
    control: &Arc<Control>,
    store: Option<&Arc<Store>>,
    http: Option<SocketAddr>,
    stop: &CancellationToken,
) -> Result<()> {
    let limit = Duration::from_millis(u64::from(config.hooks.timeout_ms.get()));
    let url = config.hooks.url.as_ref().map(|u| u.reveal().to_owned());
    let hooks = Arc::new(Hooks {
        on_divergence: config.hooks.on_divergence.as_ref().map(|c| c.reveal().to_owned()),
        on_phase: config.hooks.on_phase.as_ref().map(|c| c.reveal().to_owned()),
        request: url.map(|url| agent(&url, limit).map(|agent| (agent, url))).transpose()?,
        limit,
        config: config.clone(),
        http,
        control: Arc::clone(control),
    });
    let wanted = [&hooks.on_divergence, &hooks.on_phase].iter().any(|c| c.is_some());
    if !wanted && hooks.request.is_none() {
        return Ok(());
    }
    let (send, waiting) = channel(WAITING);
    let store = store.map(Arc::clone);
    tokio::spawn(until(stop.clone(), look(Arc::clone(&hooks), store, send)));
    tokio::spawn(until(stop.clone(), call(hooks, waiting)));
    Ok(())
}

/// Where the proxy answers, what to trust there, and the token with which one may look. The
/// token that orders is given to nobody.
fn way(config: &Config, address: SocketAddr) -> Vec<(&'static str, String)> {
    let mut way =
        vec![("ADMIN_URL", address_of(config, &address.ip().to_string(), address.port()))];
    if way[0].1.starts_with("https:")
        && let Some(path) = config.listen.tls_cert.value.as_deref()
    {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        way.push(("ADMIN_CA", path.display().to_string()));
    }
    let token = config.http.read_token_file.as_deref();
    if let Some(token) = token.and_then(|path| std::fs::read_to_string(path).ok()) {
        way.push(("TOKEN", token.trim().to_owned()));
    }
    way
}

async fn until(stop: CancellationToken, work: impl Future<Output = ()>) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = work => {}
    }
}

fn agent(url: &str, limit: Duration) -> Result<ureq::Agent> {
    let mut config = ureq::Agent::config_builder().timeout_global(Some(limit)).max_redirects(0);
    if url.starts_with("https://") {
        let trust = tls(None).map_err(|failure| {
            let message = format!("hooks.url cannot be called: {}", failure.message);
            Error::new(Culprit::Client, state::CONFIG_FILE_ERROR, message)
        })?;
        config = config.tls_config(trust);
    }
    Ok(config.build().into())
}

/// Looks for what is new, for ever.
async fn look(hooks: Arc<Hooks>, store: Option<Arc<Store>>, queue: Sender<Event>) {
    let mut phase = hooks.control.engine().phase();
    let mut last = store.as_ref().map_or(0, |s| s.last_number());
    let mut every = tokio::time::interval(LOOK);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        let now = hooks.control.engine().phase();
        if now != phase {
            hooks.offer(&queue, hooks.on_phase(phase, now));
            phase = now;
        }
        let new = store.as_ref().map(|s| s.groups_after(last)).unwrap_or_default();
        for (number, group) in new {
            hooks.offer(&queue, hooks.on_divergence(phase, &group));
            last = number;
        }
    }
}

/// Calls what waits, one after the other.
async fn call(hooks: Arc<Hooks>, mut waiting: Receiver<Event>) {
    while let Some(event) = waiting.recv().await {
        if let Some(command) = &event.command {
            hooks.tell(&event, run(&hooks, command, &event).await);
        }
        if let Some((agent, url)) = &hooks.request {
            let (agent, url, body) = (agent.clone(), url.clone(), body(&event));
            let sent = tokio::task::spawn_blocking(move || match agent.post(url).send_json(body) {
                Ok(_) => Ok(()),
                // The text of an error may hold the address, and the address a secret.
                Err(ureq::Error::StatusCode(code)) => Err(format!("hooks.url answered {code}")),
                Err(ureq::Error::Timeout(_)) => Err("hooks.url did not answer in time".to_owned()),
                Err(_) => Err("hooks.url cannot be reached".to_owned()),
            });
            let ended = sent.await.unwrap_or_else(|_| Err("the request ended early".to_owned()));
            hooks.tell(&event, ended);
        }
    }
}

impl Hooks {
    fn offer(&self, queue: &Sender<Event>, event: Event) {
        if event.command.is_none() && self.request.is_none() {
            return;
        }
        let key = event.key;
        if queue.try_send(event).is_err() {
            let what = format!("{key}: dropped, {WAITING} wait already");
            self.control.note_once(WHO, what);
        }
    }

    fn tell(&self, event: &Event, ended: std::result::Result<(), String>) {
        match ended {
            Ok(()) => tracing::debug!(hook = event.key, "called"),
            Err(why) => self.control.note_once(WHO, format!("{}: {why}", event.key)),
        }
    }

    /// What a command needs to ask the proxy back, names without their prefix. The token may
    /// have changed since the last time.
    fn way(&self) -> Vec<(&'static str, String)> {
        self.http.map(|address| way(&self.config, address)).unwrap_or_default()
    }

    fn event(&self, name: &str, phase: &str) -> Vec<(&'static str, String)> {
        let mut fields = vec![
            ("EVENT", name.to_owned()),
            ("AT", Timestamp::now().to_string()),
            ("PHASE", phase.to_owned()),
        ];
        fields.extend(self.way().into_iter().next());
        fields
    }

    fn on_phase(&self, before: &str, now: &str) -> Event {
        let mut fields = self.event("phase", now);
        fields.push(("PHASE_BEFORE", before.to_owned()));
        Event { key: "on_phase", command: self.on_phase.clone(), fields }
    }

    fn on_divergence(&self, phase: &str, group: &Group) -> Event {
        let mut fields = self.event("divergence", phase);
        fields.extend([
            ("DIVERGENCE", group.id.clone()),
            ("CLASS", group.class.clone()),
            ("SEVERITY", group.severity.as_str().to_owned()),
            ("TABLE", group.table.clone().unwrap_or_default()),
            ("STATEMENT", group.fingerprint.clone()),
        ]);
        Event { key: "on_divergence", command: self.on_divergence.clone(), fields }
    }
}

/// What a request carries.
fn body(event: &Event) -> Value {
    let field =
        |(name, value): &(&str, String)| (name.to_ascii_lowercase(), Value::String(value.clone()));
    Value::Object(event.fields.iter().map(field).collect::<Map<_, _>>())
}

/// Runs a command to its end, or to the end of its time.
async fn run(hooks: &Hooks, text: &str, event: &Event) -> std::result::Result<(), String> {
    let mut command = tokio::process::Command::new("/bin/sh");
    command.arg("-c").arg(text).env_clear();
    command.envs(KEPT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    for (name, value) in event.fields.iter().chain(&hooks.way()) {
        // A variable ends at a zero byte: the system would refuse all of it.
        command.env(format!("CROSSFADE_{name}"), value.replace('\0', ""));
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // A group of its own, so that all it started ends with it.
    command.process_group(0).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| format!("cannot be run: {error}"))?;
    let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
    match tokio::time::timeout(hooks.limit, child.wait()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("the command ended with {status}")),
        Ok(Err(error)) => Err(format!("the command was lost: {error}")),
        Err(_) => {
            if let Some(group) = group {
                // Gone already is as good.
                let _ = killpg(group, Signal::SIGKILL);
            }
            let _ = child.wait().await;
            Err(format!("the command took longer than {} ms: killed", hooks.limit.as_millis()))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::Inputs;

    fn way_of(variables: &[(&str, &str)], address: &str) -> Vec<(&'static str, String)> {
        let environment: BTreeMap<String, String> =
            variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let inputs = Inputs { file: None, environment: &environment, flags: &[] };
        way(&Config::load(&inputs).unwrap(), address.parse().unwrap())
    }

    #[test]
    fn a_command_is_told_how_to_ask_back_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, format!("{name}-s3cret\n")).unwrap();
            path.display().to_string()
        };
        let (acting, reading) = (file("acting"), file("reading"));
        let url = |text: &str| ("ADMIN_URL", text.to_owned());
        assert_eq!(way_of(&[], "127.0.0.1:9433"), [url("http://127.0.0.1:9433")]);
        let off = [
            ("CROSSFADE_HTTP_ADDR", "192.0.2.1:9433"),
            ("CROSSFADE_HTTP_TOKEN_FILE", acting.as_str()),
            ("CROSSFADE_LISTEN_TLS_CERT", "/etc/crossfade/server.crt"),
            ("CROSSFADE_LISTEN_TLS_KEY", "/etc/crossfade/server.key"),
            ("CROSSFADE_HTTP_READ_TOKEN_FILE", reading.as_str()),
        ];
        let https = url("https://192.0.2.1:9433");
        let certificate = ("ADMIN_CA", "/etc/crossfade/server.crt".to_owned());
        let token = ("TOKEN", "reading-s3cret".to_owned());
        assert_eq!(way_of(&off[..4], "192.0.2.1:9433"), [https.clone(), certificate.clone()]);
        assert_eq!(way_of(&off, "192.0.2.1:9433"), [https, certificate, token]);
        let everywhere = [("CROSSFADE_HTTP_ADDR", "0.0.0.0:9433"), off[1], off[2], off[3]];
        let plain = url("http://127.0.0.1:9433");
        assert_eq!(way_of(&everywhere, "0.0.0.0:9433")[0], plain, "answered on loopback");
    }
}
