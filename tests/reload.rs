//! The configuration read again while clients are served, and sockets handed from one process to
//! the next.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::{Pg, Proxy, eventually};

/// psql as a user with a password; its exit code.
fn logs_in(proxy: &Proxy, user: &str, password: &str) -> bool {
    let status = Pg::shared()
        .tool("psql")
        .args(["-X", "-q", "-d"])
        .arg(format!("postgres://{user}@127.0.0.1:{}/app", proxy.port))
        .args(["-c", "SELECT 1"])
        .env("PGPASSWORD", password)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.unwrap().success()
}

/// POST /api/v1/reload, and the task it has become when it has ended.
fn reload(proxy: &Proxy) -> serde_json::Value {
    let agent = ureq::Agent::new_with_defaults();
    let json = |text: String| serde_json::from_str::<serde_json::Value>(&text).unwrap();
    let url = format!("{}/api/v1/reload", proxy.http());
    let started = agent.post(&url).send_empty().unwrap().body_mut().read_to_string().unwrap();
    let id = json(started)["task"].as_str().unwrap().to_owned();
    let url = format!("{}/api/v1/tasks/{id}", proxy.http());
    loop {
        let body = agent.get(&url).call().unwrap().body_mut().read_to_string().unwrap();
        let task = json(body);
        if task["state"] != "running" {
            return task;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

fn shown(proxy: &Proxy, key: &str) -> String {
    let agent = ureq::Agent::new_with_defaults();
    let url = format!("{}/api/v1/config", proxy.http());
    let body = agent.get(&url).call().unwrap().body_mut().read_to_string().unwrap();
    let all: serde_json::Value = serde_json::from_str(&body).unwrap();
    let entry = all["config"].as_array().unwrap().iter().find(|e| e["name"] == key);
    entry.unwrap_or_else(|| panic!("no {key} in {body}"))["value"].as_str().unwrap().to_owned()
}

fn start(folder: &Path, configuration: &str) -> Proxy {
    std::fs::write(folder.join("proxy.toml"), configuration).unwrap();
    let config = folder.join("proxy.toml");
    let file = folder.join("app.db");
    let method = "auth.method=scram-sha-256";
    let arguments = ["--config", config.to_str().unwrap(), "--set", method];
    Proxy::on_file(&file, &arguments)
}

#[test]
fn a_reload_takes_all_or_nothing_and_says_what_waits() {
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users.toml");
    std::fs::write(&users, "[users]\nada = \"first\"\n").unwrap();
    let text = |lag: &str, readers: u32| {
        let users = users.display();
        format!(
            "[auth]\nusers_file = \"{users}\"\n[sqlite]\nreaders = {readers}\n[cutover]\nlag_ms = {lag}\n"
        )
    };
    let proxy = start(folder.path(), &text("1000", 2));
    assert!(logs_in(&proxy, "ada", "first"));

    // A value that cannot be used: nothing changes, not even what could.
    std::fs::write(&users, "[users]\nada = \"second\"\n").unwrap();
    std::fs::write(folder.path().join("proxy.toml"), text("\"soon\"", 2)).unwrap();
    let failed = reload(&proxy);
    assert_eq!(failed["state"], "failed", "{failed}");
    assert!(failed["error"].to_string().contains("cutover.lag_ms"), "{failed}");
    assert!(logs_in(&proxy, "ada", "first") && !logs_in(&proxy, "ada", "second"));

    // A users file that cannot be read holds the rest back, too.
    std::fs::write(&users, "[users\n").unwrap();
    std::fs::write(folder.path().join("proxy.toml"), text("250", 2)).unwrap();
    assert_eq!(reload(&proxy)["state"], "failed");
    assert_eq!(shown(&proxy, "cutover.lag_ms"), "1000");

    // All of it is usable: what can be taken is, what cannot waits and is shown as it is in force.
    std::fs::write(&users, "[users]\nada = \"second\"\n").unwrap();
    std::fs::write(folder.path().join("proxy.toml"), text("250", 4)).unwrap();
    let done = reload(&proxy);
    assert_eq!(done["state"], "done", "{done}");
    let told = done.to_string();
    assert!(
        told.contains("changed: cutover.lag_ms; taken at the next start: sqlite.readers"),
        "{told}"
    );
    assert_eq!(shown(&proxy, "cutover.lag_ms"), "250");
    assert_eq!(shown(&proxy, "sqlite.readers"), "2");
    assert!(logs_in(&proxy, "ada", "second") && !logs_in(&proxy, "ada", "first"));

    // Clients log in by the users file until a restart: it cannot go.
    std::fs::write(folder.path().join("proxy.toml"), "[auth]\nmethod = \"trust\"\n").unwrap();
    let failed = reload(&proxy);
    assert_eq!(failed["state"], "failed", "{failed}");
    assert!(logs_in(&proxy, "ada", "second"));
    std::fs::write(folder.path().join("proxy.toml"), text("250", 4)).unwrap();

    // The signal does the same, and the log tells.
    std::fs::write(&users, "[users]\nada = \"third\"\n").unwrap();
    kill(Pid::from_raw(i32::try_from(proxy.pid()).unwrap()), Signal::SIGHUP).unwrap();
    eventually("SIGHUP reloads", || logs_in(&proxy, "ada", "third"));
    assert!(proxy.log().contains("SIGHUP"), "{}", proxy.log());
}

#[test]
fn the_limit_of_a_copy_changes_while_it_copies() {
    let pg = Pg::shared();
    let database = pg.database_url("limited");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let rows = "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT); CREATE TABLE u(id INTEGER PRIMARY KEY);
        WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 30000)
        INSERT INTO t SELECT i, 'some text that is not too short' FROM c; INSERT INTO u VALUES (1);";
    rusqlite::Connection::open(&file).unwrap().execute_batch(rows).unwrap();
    let text = |per_second: u32| {
        format!(
            "[auth]\nmethod = \"trust\"\n[postgres]\nurl = \"{database}\"\n\
             [mirror]\nquiet_ms = 0\nrows_per_second = {per_second}\n"
        )
    };
    let config = folder.path().join("proxy.toml");
    std::fs::write(&config, text(1)).unwrap();
    let proxy = Proxy::on_file(&file, &["--config", config.to_str().unwrap()]);
    let agent = ureq::Agent::new_with_defaults();
    let json = |text: String| serde_json::from_str::<serde_json::Value>(&text).unwrap();
    let url = format!("{}/api/v1/backfill", proxy.http());
    let started = agent.post(&url).send_empty().unwrap().body_mut().read_to_string().unwrap();
    let url = format!("{}/api/v1/tasks/{}", proxy.http(), json(started)["task"].as_str().unwrap());
    let task = || json(agent.get(&url).call().unwrap().body_mut().read_to_string().unwrap());
    // At one row a second it would take eight hours.
    eventually("it copies", || task()["now"]["table"] == "t");
    assert_eq!(task()["state"], "running");
    std::fs::write(&config, text(0)).unwrap();
    let told = reload(&proxy).to_string();
    assert!(told.contains("changed: mirror.rows_per_second"), "{told}");
    eventually("the copy is done", || task()["state"] == "done");
    assert_eq!(shown(&proxy, "mirror.rows_per_second"), "0");
}

#[test]
fn rules_that_accept_divergences_come_with_a_reload() {
    let pg = Pg::shared();
    let database = pg.database_url("reloaded");
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users.toml");
    std::fs::write(&users, "[users]\napp = \"pw\"\n").unwrap();
    let text = |rest: &str| {
        format!(
            "[auth]\nusers_file = \"{}\"\n[postgres]\nurl = \"{database}\"\n{rest}",
            users.display()
        )
    };
    let proxy = start(folder.path(), &text(""));
    let rule = "[[divergence.accept]]\ntable = \"t\"\n";
    std::fs::write(folder.path().join("proxy.toml"), text(rule)).unwrap();
    let failed = reload(&proxy);
    assert_eq!(failed["state"], "failed", "a rule without a reason: {failed}");
    let rule = "[[divergence.accept]]\ntable = \"t\"\nreason = \"known\"\n";
    std::fs::write(folder.path().join("proxy.toml"), text(rule)).unwrap();
    assert_eq!(reload(&proxy)["state"], "done");
}

/// Holds two listening sockets, starts the proxy on them, and on each line of its input ends it and
/// starts it again: what a service manager does.
const MANAGER: &str = r#"
import os, signal, socket, sys
def listening():
    s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(64); return s
clients, http = listening(), listening()
print(clients.getsockname()[1], http.getsockname()[1], flush=True)
def start():
    pid = os.fork()
    if pid == 0:
        a, b = os.dup(clients.fileno()), os.dup(http.fileno())
        a, b = os.dup2(a, 13), os.dup2(b, 14)
        os.dup2(13, 3); os.dup2(14, 4)
        null = os.open("/dev/null", os.O_RDWR)
        os.dup2(null, 0); os.dup2(null, 1)
        os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="2", LISTEN_FDNAMES="app:http")
        os.execv(sys.argv[1], sys.argv[1:])
    return pid
pid = start()
for line in sys.stdin:
    if line.strip() == "end":
        os.kill(pid, signal.SIGTERM); os.waitpid(pid, 0); print("ended", flush=True)
    else:
        pid = start(); print("started", flush=True)
os.kill(pid, signal.SIGTERM); os.waitpid(pid, 0)
"#;

#[test]
fn a_socket_outlives_the_process_and_refuses_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let mut manager = Command::new("python3")
        .args(["-c", MANAGER, env!("CARGO_BIN_EXE_crossfade"), "run", "--auth", "trust"])
        .args(["--sqlite", file.to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 runs");
    let mut orders = manager.stdin.take().unwrap();
    let mut told = BufReader::new(manager.stdout.take().unwrap()).lines();
    let ports = told.next().unwrap().unwrap();
    let (port, http) = ports.split_once(' ').unwrap();
    let psql = |sql: &str| {
        let url = format!("postgres://app@127.0.0.1:{port}/app");
        let mut psql = Pg::shared().tool("psql");
        psql.args(["-X", "-A", "-t", "-q", "-d", &url, "-c", sql]).stdin(Stdio::null());
        psql
    };
    // It waits in the socket's queue until the proxy is up.
    let made = psql("CREATE TABLE t (id int); INSERT INTO t VALUES (7)").status().unwrap();
    assert!(made.success());
    let url = format!("http://127.0.0.1:{http}/livez");
    let live = ureq::get(&url).call().unwrap().body_mut().read_to_string().unwrap();
    assert_eq!(live, "ok\n");

    writeln!(orders, "end").unwrap();
    assert_eq!(told.next().unwrap().unwrap(), "ended");
    // Nobody serves, and nobody is refused.
    assert!(TcpStream::connect(("127.0.0.1", port.parse::<u16>().unwrap())).is_ok());
    let waiting = psql("SELECT id FROM t").stdout(Stdio::piped()).spawn().unwrap();
    writeln!(orders, "start").unwrap();
    assert_eq!(told.next().unwrap().unwrap(), "started");
    let answer = waiting.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&answer.stdout), "7\n");
    drop(orders);
    assert!(manager.wait().unwrap().success());
}
