//! The proxy as a process of its own, and its HTTP interface, as any operator has them.
//!
//! Owns the child process: start, kill -9, start again on the same addresses, end. Everything
//! it learns it learns from the public contract: the lines on stdout and `/api/v1`. Start at
//! [`Proxy::start`].

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Stop, Trouble};

/// How long a start may take.
const START: Duration = Duration::from_secs(60);
/// How long an HTTP call may take.
const CALL: Duration = Duration::from_secs(20);
/// Lines of the proxy's log that are shown when something is wrong.
const LOG_LINES: usize = 15;

/// Where the proxy listens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    /// The PostgreSQL protocol.
    pub(super) listen: u16,
    /// The HTTP interface.
    pub(super) http: u16,
}

/// A running proxy.
pub(super) struct Proxy {
    child: Child,
    sqlite: PathBuf,
    postgres: String,
    log: PathBuf,
    ports: Ports,
    agent: ureq::Agent,
}

/// A finished task of the proxy.
pub(super) struct Task {
    body: Value,
}

impl Task {
    /// Milliseconds of all steps.
    pub(super) fn ms(&self) -> f64 {
        self.steps().map(|step| step["ms"].as_f64().unwrap_or(0.0)).sum()
    }

    /// The steps, as JSON.
    pub(super) fn steps(&self) -> impl Iterator<Item = &Value> {
        self.body["steps"].as_array().into_iter().flatten()
    }

    /// The one-line result.
    pub(super) fn result(&self) -> &str {
        self.body["result"].as_str().unwrap_or("")
    }

    /// `done`, `failed` or `refused`.
    pub(super) fn state(&self) -> &str {
        self.body["state"].as_str().unwrap_or("")
    }

    /// Code of the error, or nothing.
    pub(super) fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or("")
    }

    /// Why it did not do what was asked.
    pub(super) fn error(&self) -> String {
        sentence(&self.body["error"])
    }

    /// This task, if it was done.
    pub(super) fn done(self, verb: &str) -> Result<Self, Trouble> {
        match (self.state(), self.code()) {
            ("done", _) => Ok(self),
            (_, "0A000") => Err(Trouble::Skipped(format!("{verb}: {}", self.error()))),
            (state, _) => Err(Trouble::NotHeld(format!("{verb} {state}: {}", self.error()))),
        }
    }
}

impl Proxy {
    /// Starts a proxy on a SQLite file and a PostgreSQL database, on free ports.
    pub(super) fn start(sqlite: &Path, postgres: &str, stop: &Stop) -> Result<Self, Trouble> {
        let log = sqlite.with_extension("log");
        let ports = Ports { listen: 0, http: 0 };
        let (child, ports) = spawn(sqlite, postgres, &log, ports, stop)?;
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(CALL))
            .http_status_as_error(false)
            .build()
            .into();
        let (sqlite, postgres) = (sqlite.to_owned(), postgres.to_owned());
        Ok(Self { child, sqlite, postgres, log, ports, agent })
    }

    /// Where it listens.
    pub(super) fn ports(&self) -> Ports {
        self.ports
    }

    /// Process id.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// kill -9: no handler runs, nothing is written any more.
    pub(super) fn kill(&mut self) -> Result<(), Trouble> {
        let ended = self.child.kill().and_then(|()| self.child.wait());
        ended.map(drop).map_err(|error| Trouble::Broken(format!("kill -9: {error}")))
    }

    /// Starts it again on the same file and the same addresses.
    pub(super) fn restart(&mut self, stop: &Stop) -> Result<(), Trouble> {
        let (child, ports) = spawn(&self.sqlite, &self.postgres, &self.log, self.ports, stop)?;
        (self.child, self.ports) = (child, ports);
        Ok(())
    }

    /// The last lines of its log.
    pub(super) fn log_tail(&self) -> String {
        tail(&self.log)
    }

    /// GET of a path; the JSON body of a success.
    pub(super) fn get(&self, path: &str) -> Result<Value, Trouble> {
        let mut answer =
            self.agent.get(self.url(path)).call().map_err(|error| unreachable(path, &error))?;
        let body: Value =
            answer.body_mut().read_json().map_err(|error| unreachable(path, &error))?;
        if answer.status().is_success() {
            Ok(body)
        } else {
            let why = sentence(&body["error"]);
            Err(Trouble::NotHeld(format!("GET {path}: HTTP {}: {why}", answer.status().as_u16())))
        }
    }

    /// `/api/v1/status`.
    pub(super) fn status(&self) -> Result<Value, Trouble> {
        self.get("/api/v1/status")
    }

    /// POST of a verb; waits for its task.
    pub(super) fn order(&self, verb: &str, body: &Value, stop: &Stop) -> Result<Task, Trouble> {
        let path = format!("/api/v1/{verb}");
        let mut answer = self
            .agent
            .post(self.url(&path))
            .send_json(body)
            .map_err(|error| unreachable(&path, &error))?;
        let status = answer.status().as_u16();
        let accepted: Value =
            answer.body_mut().read_json().map_err(|error| unreachable(&path, &error))?;
        match status {
            202 => {}
            409 => return Ok(Task { body: refusal(&accepted) }),
            404 | 405 | 501 => {
                let why = sentence(&accepted["error"]);
                return Err(Trouble::Skipped(format!("{verb} is not available: {why}")));
            }
            _ => {
                let why = sentence(&accepted["error"]);
                return Err(Trouble::NotHeld(format!("POST {path}: HTTP {status}: {why}")));
            }
        }
        let Some(id) = accepted["task"].as_str() else {
            return Err(Trouble::NotHeld(format!("POST {path} named no task: {accepted}")));
        };
        let mut body = Value::Null;
        stop.until(&format!("{verb} ended"), Duration::from_secs(120), || {
            body = self.get(&format!("/api/v1/tasks/{id}"))?;
            Ok(body["state"].as_str().is_some_and(|state| state != "running"))
        })?;
        Ok(Task { body })
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.ports.http)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing left to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A refused order in the shape of a task.
fn refusal(body: &Value) -> Value {
    let error = serde_json::json!({"code": "refused", "message": sentence(&body["error"])});
    serde_json::json!({"state": "refused", "steps": [], "error": error})
}

/// An error object of the contract in one line.
fn sentence(error: &Value) -> String {
    let message = error["message"].as_str().unwrap_or("no reason was given");
    match error["hint"].as_str() {
        Some(hint) => format!("{message} ({hint})"),
        None => message.to_owned(),
    }
}

fn unreachable(path: &str, error: &ureq::Error) -> Trouble {
    Trouble::NotHeld(format!("no answer to {path}: {error}"))
}

/// Starts the binary that is running now as `crossfade run …`, in a process group of its own:
/// Ctrl-C on the terminal reaches the demo alone, which then ends the proxy.
fn spawn(
    sqlite: &Path,
    postgres: &str,
    log: &Path,
    ports: Ports,
    stop: &Stop,
) -> Result<(Child, Ports), Trouble> {
    let broken = |error: io::Error| Trouble::Broken(format!("cannot start the proxy: {error}"));
    let stderr = OpenOptions::new().create(true).append(true).open(log).map_err(broken)?;
    let mut command = Command::new(std::env::current_exe().map_err(broken)?);
    command
        .arg("run")
        .arg("--sqlite")
        .arg(sqlite)
        .args(["--postgres", postgres, "--auth", "trust"])
        .args(["--listen", &format!("127.0.0.1:{}", ports.listen)])
        .args(["--http", &format!("127.0.0.1:{}", ports.http)])
        .args(["--set", "compare.reads=all"])
        .current_dir(log.parent().unwrap_or(Path::new(".")))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(stderr)
        .process_group(0);
    // What the user's environment says about databases is not meant for the demo.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["CROSSFADE_", "PG", "POSTGRES", "DATABASE_URL"].iter().any(|p| text.starts_with(p)) {
            command.env_remove(&name);
        }
    }
    let mut child = command.spawn().map_err(broken)?;
    let found = match child.stdout.take() {
        Some(stdout) => addresses(stdout, stop),
        None => Err(Trouble::Broken("the proxy has no stdout".into())),
    };
    match found {
        Ok(ports) => Ok((child, ports)),
        Err(trouble) => {
            let _ = child.kill();
            let _ = child.wait();
            Err(trouble.with(&tail(log)))
        }
    }
}

/// Waits for the lines `listening on HOST:PORT`, the one for HTTP included.
fn addresses(stdout: ChildStdout, stop: &Stop) -> Result<Ports, Trouble> {
    let (send, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // Nobody may listen any more; reading goes on so that the proxy never blocks.
            let _ = send.send(line);
        }
    });
    let (mut listen, mut http) = (None, None);
    let deadline = Instant::now() + START;
    while Instant::now() < deadline {
        stop.check()?;
        let line = match lines.recv_timeout(Duration::from_millis(100)) {
            Ok(line) => line,
            Err(mpsc::RecvTimeoutError::Timeout) => continue,
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                return Err(Trouble::Broken("the proxy ended at its start".into()));
            }
        };
        if let Some(port) = port_of(&line) {
            let slot =
                if line.to_ascii_lowercase().contains("http") { &mut http } else { &mut listen };
            *slot = Some(port);
        }
        if let (Some(listen), Some(http)) = (listen, http) {
            return Ok(Ports { listen, http });
        }
    }
    Err(Trouble::Broken(format!("the proxy was not ready after {} s", START.as_secs())))
}

fn port_of(line: &str) -> Option<u16> {
    let (_, address) = line.split_once("listening on ")?;
    let (_, port) = address.trim_end_matches('/').rsplit_once(':')?;
    port.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()
}

fn tail(log: &Path) -> String {
    let Ok(file) = File::open(log) else { return String::new() };
    let lines: Vec<String> = BufReader::new(file).lines().map_while(Result::ok).collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_from_the_lines() {
        assert_eq!(port_of("listening on 127.0.0.1:6433"), Some(6433));
        assert_eq!(port_of("http listening on http://[::1]:9433/"), Some(9433));
        assert_eq!(port_of("switched on write-ahead logging"), None);
    }
}
