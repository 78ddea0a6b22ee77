//! docs/cli-json.md is what the binary prints: each verb is run, and what it prints is held
//! against the tables, both ways.

use std::collections::{BTreeMap, BTreeSet};

use crossfade::control::{
    Coerced, Gate, GateKind, Now, Status, Step, TableDone, Task, TaskState, VerifiedInfo,
};
use crossfade::divergence::{Accept, Group, GroupState, Sample, Severity, Shortened};
use serde_json::{Value, json};

use crate::common::{Journey, Pg, Proxy, Raw};

/// A row of a table.
struct Field {
    path: String,
    kind: String,
    null: bool,
    left_out: bool,
}

/// Every shape of the document, and the fields that were seen.
struct Contract {
    shapes: BTreeMap<String, Vec<Field>>,
    seen: BTreeSet<(String, String)>,
}

impl Contract {
    fn read() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/cli-json.md");
        let text = std::fs::read_to_string(path).unwrap();
        let mut shapes = BTreeMap::new();
        for section in text.split("\n## ").skip(1) {
            let (heading, body) = section.split_once('\n').unwrap();
            let fields = body.lines().filter(|l| l.starts_with("| `")).map(field).collect();
            shapes.insert(heading.trim().to_owned(), fields);
        }
        Self { shapes, seen: BTreeSet::new() }
    }

    /// What is wrong with a value of this shape.
    fn check(&mut self, shape: &str, value: &Value) -> Vec<String> {
        let mut problems = Vec::new();
        self.object(shape, "", value, &mut problems);
        problems
    }

    fn object(&mut self, shape: &str, parent: &str, value: &Value, problems: &mut Vec<String>) {
        let Some(object) = value.as_object() else {
            problems.push(format!("{shape} {parent}: not an object: {value}"));
            return;
        };
        let fields =
            self.shapes.get(shape).unwrap_or_else(|| panic!("there is no section {shape}"));
        let children: Vec<(String, String, bool, bool, String)> = fields
            .iter()
            .filter_map(|f| {
                let name = f.path.strip_prefix(parent)?;
                let direct = !name.is_empty() && !name.contains(['.', '[']);
                direct
                    .then(|| (name.to_owned(), f.kind.clone(), f.null, f.left_out, f.path.clone()))
            })
            .collect();
        let mut at = 0;
        for (key, value) in object {
            let Some(found) = children.iter().position(|(name, ..)| name == key) else {
                problems.push(format!("{shape}: {parent}{key} is not in the document"));
                continue;
            };
            if found < at {
                problems.push(format!("{shape}: {parent}{key} is not in the document's order"));
            }
            at = found;
            let (_, kind, null, _, path) = &children[found];
            self.seen.insert((shape.to_owned(), path.clone()));
            if value.is_null() {
                if !null {
                    problems.push(format!("{shape}: {path} is null"));
                }
                continue;
            }
            self.value(shape, path, kind, value, problems);
        }
        for (name, _, _, left_out, path) in &children {
            if !left_out && !object.contains_key(name) {
                problems.push(format!("{shape}: {path} is missing"));
            }
        }
    }

    fn value(
        &mut self,
        shape: &str,
        path: &str,
        kind: &str,
        value: &Value,
        problems: &mut Vec<String>,
    ) {
        let text = |v: &Value| v.is_string();
        let all = |of: &dyn Fn(&Value) -> bool| value.as_array().is_some_and(|l| l.iter().all(of));
        let fits = match kind {
            "text" => text(value),
            "time" => value.as_str().is_some_and(|t| t.parse::<jiff::Timestamp>().is_ok()),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "list of text" => all(&text),
            "list of text or null" => all(&|v| v.is_string() || v.is_null()),
            "list of pairs" => all(&|v| v.as_array().is_some_and(|p| p.len() == 2)),
            "object" => {
                self.object(shape, &format!("{path}."), value, problems);
                true
            }
            "list" => {
                for item in value.as_array().unwrap_or(&Vec::new()) {
                    self.object(shape, &format!("{path}[]."), item, problems);
                }
                value.is_array()
            }
            other => {
                let shape =
                    other.strip_prefix("list of ").unwrap_or_else(|| panic!("type {other}"));
                for item in value.as_array().unwrap_or(&Vec::new()) {
                    problems.extend(self.check(shape, item));
                }
                value.is_array()
            }
        };
        if !fits {
            problems.push(format!("{shape}: {path} is not {kind}: {value}"));
        }
    }

    /// Runs a verb and holds what it prints against a shape; exit code and value.
    fn run(&mut self, proxy: &Proxy, shape: &str, arguments: &[&str]) -> (i32, Value) {
        let mut all = arguments.to_vec();
        all.push("--json");
        let (code, stdout, stderr) = proxy.cli(&all);
        let value: Value = serde_json::from_str(&stdout)
            .unwrap_or_else(|e| panic!("{arguments:?}: {e}: {stdout}{stderr}\n{}", proxy.log()));
        let problems = self.check(shape, &value);
        assert!(problems.is_empty(), "{arguments:?}: {problems:#?}\n{value:#}");
        (code, value)
    }
}

fn field(line: &str) -> Field {
    let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    assert_eq!(cells.len(), 4, "{line}");
    let (kind, left_out) = match cells[1].strip_suffix(", or left out") {
        Some(kind) => (kind, true),
        None => (cells[1], false),
    };
    let items = kind.starts_with("list of");
    let (kind, null) = match kind.strip_suffix(" or null") {
        Some(kind) if !items => (kind, true),
        _ => (kind, false),
    };
    let path = cells[0].trim_matches('`').to_owned();
    Field { path, kind: kind.to_owned(), null, left_out }
}

fn sample() -> Sample {
    let text = || Some("x".to_owned());
    Sample {
        class: "value".to_owned(),
        severity: Some(Severity::Data),
        fingerprint: "f".to_owned(),
        table: text(),
        tables: vec!["u".to_owned()],
        columns: vec!["c".to_owned()],
        key: vec![("id".to_owned(), text())],
        primary: vec![text()],
        shadow: vec![None],
        primary_sqlstate: text(),
        shadow_sqlstate: text(),
        sqlite_sql: text(),
        postgres_sql: text(),
        parameters: vec![None],
        position_primary: 1,
        position_shadow: 1,
        primary_plan: vec!["x".to_owned()],
        shadow_plan: vec!["x".to_owned()],
        message: "m".to_owned(),
        caused_by: text(),
        at: "2026-11-20T09:30:00Z".to_owned(),
        shortened: vec![Shortened {
            field: "primary".to_owned(),
            index: 0,
            bytes: 9,
            sha256: "00".to_owned(),
            differs_at: Some(1),
        }],
    }
}

/// Fields that a test cannot bring about at will: the types themselves, with every field set. A
/// new field does not compile here before it is written down.
fn everything() -> Vec<(&'static str, Value)> {
    let text = || "2026-11-20T09:30:00Z".to_owned();
    let status = Status {
        phase: text(),
        health: text(),
        primary: text(),
        shadow: Some(text()),
        epoch: 1,
        position: 1,
        applied: Some(1),
        lag_commits: Some(0),
        lag_ms: Some(1),
        compared: 1,
        diverged_open: 1,
        skipped: 1,
        coverage: Some(0.5),
        verified: VerifiedInfo { state: text(), at: Some(text()) },
        gates_ok: 1,
        gates: 1,
        sessions: 1,
        journal_bytes: 1,
        journal_bytes_max: Some(1),
        foreign_writes: 0,
        reason: Some(text()),
        immovable: vec![text()],
        way_back: Some(text()),
        next: vec![text()],
    };
    let group = Group {
        id: "d1".to_owned(),
        class: "value".to_owned(),
        severity: Severity::Data,
        fingerprint: String::new(),
        table: Some(text()),
        columns: vec![text()],
        count: 1,
        first_at: text(),
        last_at: text(),
        state: GroupState::Accepted,
        caused_by: Some(text()),
        tables: vec![text()],
        position: 1,
        accept: Some(Accept { owner: text(), reason: text(), expires: Some(text()) }),
        samples: vec![sample()],
    };
    let mut group = json!(group);
    group["replay"] = json!("script");
    let error = json!({"code": "undone", "message": "m", "hint": "h"});
    let task = Task {
        id: "t1".to_owned(),
        kind: "promote".to_owned(),
        state: TaskState::Failed,
        steps: vec![Step { number: 1, text: text(), ms: 1.5, detail: text() }],
        now: Some(Now { text: text(), table: text(), rows: 1, of: 2, ms: 0.5 }),
        quarantined: Some(2),
        tables: vec![TableDone {
            table: text(),
            rows: 1,
            bytes: 2,
            quarantined: 3,
            coerced: vec![Coerced { column: text(), values: 4 }],
            missing: vec![text()],
            seconds: 0.5,
            kept: false,
            error: Some(text()),
        }],
        result: Some(text()),
        error: serde_json::from_value(error).unwrap(),
        started_at: text(),
        ended_at: Some(text()),
    };
    let mut task = json!(task);
    task["next"] = json!(["crossfade status"]);
    let gate = Gate {
        name: text(),
        ok: true,
        actual: text(),
        limit: text(),
        kind: GateKind::Warning,
        reason: text(),
    };
    vec![
        ("crossfade status", json!(status)),
        ("divergence", group),
        ("task", task),
        ("gate", json!(gate)),
    ]
}

/// Rows that assess has something to say about.
const FILE: &str = "
    CREATE TABLE customers(id INTEGER PRIMARY KEY, name TEXT NOT NULL, notes TEXT);
    INSERT INTO customers VALUES (1, 'Ada', 'as it was'), (2, 'Bob', 'as it was');
    CREATE INDEX by_name ON customers(name);";
const MESSY: &str = "
    CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER, d DATETIME);
    INSERT INTO t VALUES (1, 5, '2020-01-01 10:00:00'), (2, 'x', NULL);
    CREATE TABLE keyless(a, b);
    CREATE VIEW seen AS SELECT strftime('%Y', d) AS y FROM t;";

fn file(folder: &tempfile::TempDir, name: &str, sql: &str) -> std::path::PathBuf {
    let path = folder.path().join(name);
    rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    path
}

/// Verbs that need no running proxy.
fn alone(contract: &mut Contract, proxy: &Proxy, folder: &tempfile::TempDir) {
    let messy = file(folder, "messy.db", MESSY);
    let messy = messy.to_str().unwrap();
    contract.run(proxy, "crossfade assess", &["assess", messy]);
    let url = Pg::shared().database_url("assess");
    contract.run(proxy, "crossfade assess", &["assess", messy, "--postgres", &url]);
    let (code, _) = contract.run(proxy, "error", &["assess", "/there/is/no/such.db"]);
    assert_eq!(code, 3);
    let check = ["check", "--auth", "trust", "--sqlite", messy, "--postgres", &url];
    assert_eq!(contract.run(proxy, "crossfade check", &check).0, 0);
    let check = ["check", "--auth", "trust", "--sqlite", messy, "--set", "compare.reads=never"];
    assert_eq!(contract.run(proxy, "crossfade check", &check).0, 2);
    let sql = "SELECT now(), $1::int; SELECT ifnull(1, 2) AS x";
    contract.run(proxy, "crossfade translate", &["translate", sql]);
    contract.run(proxy, "crossfade translate", &["translate", "SHOW timezone"]);
    let sql = "SELECT strftime('%Y', 'now') || ifnull(NULL, 'x')";
    contract.run(proxy, "crossfade translate", &["translate", "--to", "postgres", sql]);
    let (code, value) = contract.run(proxy, "error", &["translate", "SELEKT 1"]);
    assert_eq!((code, &value["error"]["code"]), (1, &json!("42601")));
    let toml = folder.path().join("new.toml");
    let init = ["init", "--output", toml.to_str().unwrap(), "--sqlite", messy, "--postgres", &url];
    assert_eq!(contract.run(proxy, "crossfade init", &init).0, 0);
    assert_eq!(contract.run(proxy, "error", &init).0, 2, "a file that is there stays");
    contract.run(proxy, "crossfade version", &["version"]);
    contract.run(proxy, "crossfade env", &["env"]);
    contract.run(proxy, "crossfade status", &["status"]);
    contract.run(proxy, "crossfade gates", &["gates"]);
}

#[test]
fn json_is_what_the_document_says() {
    let mut contract = Contract::read();
    let folder = tempfile::tempdir().unwrap();
    alone(&mut contract, &Proxy::direct(), &folder);
    let app = file(&folder, "app.db", FILE);
    let mut journey = Journey::start(&app, Pg::shared(), &[]);
    let proxy = &journey.proxy;
    let (code, refused) = contract.run(proxy, "error", &["promote", "--yes"]);
    assert_eq!((code, &refused["error"]["code"]), (4, &json!("refused")));
    assert!(!refused["gates"].as_array().unwrap().is_empty());
    assert_eq!(contract.run(proxy, "task", &["backfill"]).0, 0);
    journey.await_status("phase", "mirroring");
    proxy.sql("INSERT INTO customers VALUES (3, 'Cy', 'new')");
    journey.level();
    Pg::shared()
        .cluster
        .psql(&journey.database, "UPDATE customers SET notes = 'other' WHERE id = 2")
        .unwrap();
    assert_eq!(contract.run(proxy, "task", &["verify"]).0, 1);
    assert_eq!(contract.run(proxy, "crossfade divergences", &["divergences"]).0, 1);
    contract.run(proxy, "divergence", &["divergences", "show", "d1"]);
    contract.run(proxy, "error", &["divergences", "show", "d99"]);
    contract.run(proxy, "crossfade divergences replay", &["divergences", "replay", "d1"]);
    let accept = ["divergences", "accept", "d1", "--reason", "known", "--expires", "2999-01-01"];
    contract.run(proxy, "crossfade divergences accept", &accept);
    contract.run(proxy, "divergence", &["divergences", "show", "d1"]);
    let (code, lines, _) = proxy.cli(&["divergences", "export"]);
    assert!(code == 0 && lines.lines().count() == 1);
    let exported = serde_json::from_str(&lines).unwrap();
    assert_eq!(contract.check("divergence", &exported), Vec::<String>::new());
    assert_eq!(contract.run(proxy, "task", &["repair", "--dry-run"]).0, 0);
    assert_eq!(contract.run(proxy, "task", &["repair"]).0, 0);
    assert_eq!(contract.run(proxy, "task", &["verify"]).0, 0);
    contract.run(proxy, "crossfade status", &["status"]);
    contract.run(proxy, "crossfade gates", &["gates"]);
    contract.run(proxy, "task", &["pause"]);
    contract.run(proxy, "crossfade status", &["status"]);
    contract.run(proxy, "task", &["resume"]);
    assert_eq!(contract.run(proxy, "task", &["rollback", "--yes"]).0, 4);
    journey.promote();
    contract.run(proxy, "crossfade status", &["status"]);
    journey.await_way_back();
    contract.run(proxy, "task", &["rollback", "--dry-run"]);
    assert_eq!(contract.run(proxy, "task", &["complete", "--yes"]).0, 0);
    contract.run(proxy, "crossfade status", &["status"]);
    journey.proxy.terminate();
    let clean = ["complete", "--clean", app.to_str().unwrap()];
    let shape = "crossfade complete --clean";
    for how in ["--dry-run", "--yes"] {
        let all = [&clean[..], &[how]].concat();
        assert_eq!(contract.run(&journey.proxy, shape, &all).0, 0);
    }
    let again = [&clean[..], &["--yes"]].concat();
    assert_eq!(contract.run(&journey.proxy, "error", &again).0, 4);
    for (shape, value) in everything() {
        let problems = contract.check(shape, &value);
        assert!(problems.is_empty(), "{shape}: {problems:#?}");
    }
    let documented = contract
        .shapes
        .iter()
        .flat_map(|(shape, fields)| fields.iter().map(move |f| (shape.clone(), f.path.clone())));
    let missing: Vec<_> = documented.filter(|f| !contract.seen.contains(f)).collect();
    assert!(missing.is_empty(), "documented, but never printed: {missing:?}");
}

/// Exit codes that the table in docs/cli.md names.
fn documented_codes() -> BTreeSet<i32> {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/cli.md")).unwrap();
    let table = text.split("| exit code |").nth(1).unwrap().split("\n\n").next().unwrap();
    table.lines().filter_map(|l| l.split('|').nth(1)?.trim().parse().ok()).collect()
}

#[test]
fn every_exit_code_is_met() {
    let mut met = BTreeSet::new();
    let mut expect = |code: i32, found: (i32, String, String)| {
        assert_eq!(found.0, code, "{}{}", found.1, found.2);
        met.insert(code);
    };
    let folder = tempfile::tempdir().unwrap();
    let app = file(&folder, "app.db", FILE);
    let journey = Journey::start(&app, Pg::shared(), &[("CROSSFADE_CUTOVER_DRAIN_MS", "300")]);
    let proxy = &journey.proxy;
    expect(0, proxy.cli(&["status"]));
    expect(2, proxy.cli(&["status", "--no-such-flag"]));
    expect(2, proxy.cli(&["promote"]));
    expect(2, proxy.cli(&["verify", "--rehearse"]));
    expect(2, proxy.cli(&["top"]));
    expect(3, proxy.cli(&["status", "--admin-url", "http://127.0.0.1:9"]));
    expect(4, proxy.cli(&["promote", "--yes"]));
    journey.mirror();
    expect(1, proxy.cli(&["gates"]));
    let planted = "DELETE FROM customers WHERE id = 2";
    Pg::shared().cluster.psql(&journey.database, planted).unwrap();
    expect(1, proxy.cli(&["verify"]));
    expect(1, proxy.cli(&["divergences"]));
    journey.done(&["repair"]);
    journey.done(&["verify"]);
    let mut writer = Raw::proxy(proxy);
    writer.query("BEGIN");
    writer.query("INSERT INTO customers VALUES (9, 'open', NULL)");
    let (code, task, stderr) = journey.try_promote();
    expect(5, (code, task.to_string(), stderr));
    expect(70, garbage());
    expect(130, interrupted(proxy));
    assert_eq!(met, documented_codes());
}

/// A verb that asks something which is no proxy.
fn garbage() -> (i32, String, String) {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]);
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
        stream.write_all(answer.as_bytes()).unwrap();
    });
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_crossfade"))
        .args(["status", "--admin-url", &url])
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

fn interrupted(proxy: &Proxy) -> (i32, String, String) {
    use std::io::{BufRead as _, BufReader};
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_crossfade"))
        .args(["status", "--watch", "--json"])
        .env("CROSSFADE_ADMIN_URL", proxy.http())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    // Read from until the end: a reader that leaves ends the verb.
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    reader.read_line(&mut line).unwrap();
    assert!(serde_json::from_str::<Value>(&line).unwrap()["phase"].is_string(), "{line}");
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    let code = child.wait().unwrap().code().unwrap_or(-1);
    drop(reader);
    (code, line, String::new())
}
