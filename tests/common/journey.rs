//! A proxy between a SQLite file and a PostgreSQL database, led through the phases by its verbs.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Pg, Proxy, Relay};

/// Gates that need days of traffic, or a workload made for them.
const BY_NAME: &[&str] = &["quiet", "coverage", "translatable", "keys", "way_back"];

/// The pair and its proxy.
pub struct Journey {
    pub proxy: Proxy,
    pub url: String,
    pub database: String,
}

impl Journey {
    /// A proxy on a file and a new database of this server, phase direct.
    pub fn start(file: &Path, pg: &Pg, envs: &[(&str, &str)]) -> Self {
        let database = pg.database("journey");
        let url = pg.cluster.url(&database);
        let proxy = Proxy::on_file_with(file, &["--postgres", &url], envs);
        Self { proxy, url, database }
    }

    /// The same, with PostgreSQL behind a relay.
    pub fn behind(relay: &Relay, file: &Path, pg: &Pg, envs: &[(&str, &str)]) -> Self {
        let database = pg.database("journey");
        let url = relay.url(&database);
        let proxy = Proxy::on_file_with(file, &["--postgres", &url], envs);
        Self { proxy, url, database }
    }

    /// GET of the HTTP interface.
    pub fn get(&self, path: &str) -> Value {
        self.try_get(path).unwrap_or_else(|e| panic!("GET {path}: {e}\n{}", self.proxy.log()))
    }

    /// GET of the HTTP interface, which may not be there.
    pub fn try_get(&self, path: &str) -> Result<Value, String> {
        let mut answer =
            ureq::get(format!("{}{path}", self.proxy.http())).call().map_err(|e| e.to_string())?;
        answer.body_mut().read_json().map_err(|e| e.to_string())
    }

    /// One field of the status, as text.
    pub fn status(&self, field: &str) -> String {
        match &self.get("/api/v1/status")[field] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }

    /// Waits for a status field to have a value.
    pub fn await_status(&self, field: &str, wanted: &str) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let found = self.status(field);
            if found == wanted {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{field} stays {found}, not {wanted}: {}\n{}",
                self.get("/api/v1/status"),
                self.proxy.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Runs a verb with `--json`; the exit code and the task (or what else it printed).
    pub fn order(&self, arguments: &[&str]) -> (i32, Value, String) {
        let mut all = arguments.to_vec();
        all.push("--json");
        let (code, stdout, stderr) = self.proxy.cli(&all);
        (code, serde_json::from_str(&stdout).unwrap_or(Value::Null), stderr)
    }

    /// Runs a verb that must succeed; the task.
    pub fn done(&self, arguments: &[&str]) -> Value {
        let (code, task, stderr) = self.order(arguments);
        assert_eq!(code, 0, "{arguments:?}: {stderr}{task}\n{}", self.proxy.log());
        task
    }

    /// Copies everything, whatever ends in quarantine.
    pub fn copy(&self) -> Value {
        let (code, task, stderr) = self.order(&["backfill"]);
        let left = task["quarantined"].is_u64();
        assert_eq!(code, i32::from(left), "{stderr}{task}\n{}", self.proxy.log());
        assert_eq!(task["state"], "done", "{task}");
        task
    }

    /// From direct to mirroring, verified.
    pub fn mirror(&self) {
        self.copy();
        self.await_status("phase", "mirroring");
        self.done(&["verify"]);
    }

    /// Tries to promote, once; exit code and task.
    pub fn promote_once(&self) -> (i32, Value, String) {
        self.promote_with(&[])
    }

    /// Tries to promote, once, with further arguments; exit code and task.
    pub fn promote_with(&self, more: &[&str]) -> (i32, Value, String) {
        let mut arguments = vec!["promote", "--yes"];
        for gate in BY_NAME {
            arguments.extend(["--override", gate]);
        }
        arguments.extend(more);
        self.order(&arguments)
    }

    /// A dry run that must find nothing in the way; the task.
    pub fn dry_run(&self) -> Value {
        let (code, task, stderr) = self.promote_with(&["--dry-run"]);
        assert_eq!(code, 0, "{stderr}{task}\n{}", self.proxy.log());
        task
    }

    /// Waits until a gate holds.
    pub fn await_gate(&self, name: &str) {
        super::eventually(name, || {
            let gates = self.get("/api/v1/gates");
            let gate = gates["gates"].as_array().unwrap().iter().find(|g| g["name"] == name);
            gate.unwrap()["ok"] == true
        });
    }

    /// Promotes as soon as the gates that a minute can open hold; exit code and task.
    pub fn try_promote(&self) -> (i32, Value, String) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let (code, task, stderr) = self.promote_once();
            let only_lag = code == 4 && stderr.contains("refused: lag not met");
            if !only_lag || Instant::now() > deadline {
                return (code, task, stderr);
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Promotes; the longest wait of a client.
    pub fn promote(&self) -> Duration {
        let (code, task, stderr) = self.try_promote();
        assert_eq!(code, 0, "promote: {stderr}{task}\n{}", self.proxy.log());
        longest_wait(&task)
    }

    /// Rolls back; the longest wait of a client.
    pub fn rollback(&self) -> Duration {
        self.await_way_back();
        longest_wait(&self.done(&["rollback", "--yes"]))
    }

    /// Waits until SQLite follows PostgreSQL: after a start it has to connect first.
    pub fn await_way_back(&self) {
        super::eventually("SQLite follows PostgreSQL", || {
            self.order(&["rollback", "--dry-run"]).0 == 0
        });
    }

    /// Waits until the mirror has carried everything.
    pub fn level(&self) {
        self.await_status("lag_commits", "0");
    }

    /// Starts again after a kill with other environment variables.
    pub fn restart_with(&mut self, envs: &[(&str, &str)]) {
        self.proxy.restart_with(envs);
    }
}

/// The wait in the one-line result of a switch.
fn longest_wait(task: &Value) -> Duration {
    let text = task["result"].as_str().unwrap_or_default();
    let words: Vec<&str> = text.split_whitespace().collect();
    let at = words.iter().position(|w| *w == "ms").unwrap_or_else(|| panic!("no wait in {task}"));
    Duration::from_millis(words[at - 1].parse().unwrap())
}
