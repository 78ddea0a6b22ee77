//! Who may do what: console users, tokens, TLS; what is noted of it, and what is told to nobody.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::Value;

use crate::common::{Pg, Proxy};

fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn set(key: &str, path: &Path) -> String {
    format!("{key}={}", path.display())
}

/// psql as a user on a database; (exit code, stdout, stderr).
fn psql(
    proxy: &Proxy,
    user: &str,
    password: &str,
    database: &str,
    sql: &str,
) -> (i32, String, String) {
    let output = Pg::shared()
        .tool("psql")
        .args(["-X", "-A", "-t", "-q", "-v", "VERBOSITY=verbose", "-d"])
        .arg(format!("postgres://{user}@127.0.0.1:{}/{database}", proxy.port))
        .args(["-c", sql])
        .env("PGPASSWORD", password)
        .stdin(Stdio::null())
        .output()
        .expect("psql runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// Status and body of a request with these headers.
fn request(method: &str, url: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let mut builder = ureq::http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut answer = agent.run(builder.body("").unwrap()).unwrap();
    (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
}

fn events(proxy: &Proxy, token: &str) -> Vec<(String, String)> {
    let url = format!("{}/api/v1/events", proxy.http());
    let bearer = format!("Bearer {token}");
    let (status, body) = request("GET", &url, &[("authorization", &bearer)]);
    assert_eq!(status, 200, "{body}");
    let body: Value = serde_json::from_str(&body).unwrap();
    let one = |e: &Value| (e["who"].as_str().unwrap().into(), e["what"].as_str().unwrap().into());
    body["events"].as_array().unwrap().iter().map(one).collect()
}

#[test]
fn a_monitoring_user_looks_and_does_not_order() {
    let folder = tempfile::tempdir().unwrap();
    let users = "[users]\nops = \"ops-s3cret\"\nmon = \"mon-s3cret\"\n";
    let users = set("auth.users_file", &file(&folder, "users.toml", users));
    let scram = ["--set", "auth.method=scram-sha-256", "--set", &users];
    let proxy = Proxy::on_new_file(&[&scram[..], &["--set", "auth.admin_users=ops"]].concat());
    let console =
        |user: &str, sql: &str| psql(&proxy, user, &format!("{user}-s3cret"), "crossfade", sql);
    for sql in ["SHOW STATUS", "SELECT count(*) FROM gates", "SHOW EVENTS"] {
        assert_eq!(console("mon", sql).0, 0, "{sql}");
    }
    let orders = [
        "PAUSE",
        "RESUME",
        "BACKFILL",
        "VERIFY",
        "REPAIR d1",
        "PROMOTE",
        "PROMOTE DRY RUN",
        "ROLLBACK TO SQLITE",
        "COMPLETE",
        "RELOAD",
        "SHUTDOWN",
    ];
    for order in orders {
        let (code, _, stderr) = console("mon", order);
        assert!(code != 0 && stderr.contains("42501"), "{order}: {stderr}");
    }
    let shown = psql(&proxy, "mon", "mon-s3cret", "app", "SELECT 1");
    assert_eq!(shown.1, "1", "nothing was paused or ended: {}", shown.2);
    assert_eq!(console("ops", "PAUSE").0, 0);
    assert_eq!(console("ops", "RESUME").0, 0);
    let events = console("ops", "SELECT who || '|' || what FROM events").1;
    for line in [
        "console:mon|refused: PROMOTE: not an admin user",
        "console:mon|refused: SHUTDOWN: not an admin user",
        "console:ops|pause: done, new statements wait",
    ] {
        assert!(events.contains(line), "{line} is not in\n{events}");
    }
    // Nobody is named: whoever logs in may order.
    let proxy = Proxy::on_new_file(&scram);
    assert_eq!(psql(&proxy, "ops", "ops-s3cret", "crossfade", "PAUSE").0, 0);
    assert_eq!(psql(&proxy, "ops", "ops-s3cret", "crossfade", "RESUME").0, 0);
}

fn tokens(folder: &tempfile::TempDir) -> [String; 2] {
    [
        set("http.token_file", &file(folder, "token", "acting-s3cret\n")),
        set("http.read_token_file", &file(folder, "read", "reading-s3cret\n")),
    ]
}

#[test]
fn a_token_for_reading_does_not_order() {
    let folder = tempfile::tempdir().unwrap();
    let [acting, reading] = tokens(&folder);
    let proxy = Proxy::on_new_file(&["--set", &acting, "--set", &reading]);
    let ask = |method: &str, path: &str, token: &str| {
        let bearer = format!("Bearer {token}");
        request(method, &format!("{}{path}", proxy.http()), &[("authorization", &bearer)]).0
    };
    for path in ["/api/v1/status", "/api/v1/config", "/metrics", "/api/v1/events"] {
        assert_eq!(ask("GET", path, "reading-s3cret"), 200, "{path}");
        assert_eq!(ask("GET", path, "guess"), 401, "{path}");
    }
    let orders = ["pause", "promote", "backfill", "complete", "divergences/d1/accept"];
    for order in orders {
        assert_eq!(ask("POST", &format!("/api/v1/{order}"), "reading-s3cret"), 403, "{order}");
    }
    assert_eq!(ask("POST", "/api/v1/pause", "acting-s3cret"), 202);
    assert_eq!(ask("POST", "/api/v1/resume", "acting-s3cret"), 202);
    let found = events(&proxy, "reading-s3cret");
    let refused = "refused: /api/v1/promote: the token may look, not order";
    assert!(
        found.iter().any(|(who, what)| who == "http:127.0.0.1" && what == refused),
        "{found:?}"
    );
    assert!(found.iter().any(|(_, what)| what == "pause: done, new statements wait"), "{found:?}");
    // The command line finds address and token where the proxy has them.
    let toml = format!(
        "[http]\naddr = \"127.0.0.1:{}\"\ntoken_file = \"{}\"\n",
        proxy.http_port.unwrap(),
        folder.path().join("token").display()
    );
    let toml = file(&folder, "proxy.toml", &toml);
    let status = |variables: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_crossfade"));
        command.arg("status").current_dir(folder.path()).envs(variables.iter().copied());
        command.output().unwrap().status.code()
    };
    assert_eq!(status(&[]), Some(0), "proxy.toml of the folder");
    assert_eq!(status(&[("CROSSFADE_CONFIG", toml.to_str().unwrap())]), Some(0));
    assert_eq!(status(&[("CROSSFADE_TOKEN", "guess")]), Some(2), "a token that is named wins");
}

#[test]
fn tokens_that_guard_nothing_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let [acting, reading] = tokens(&folder);
    let empty = set("http.token_file", &file(&folder, "empty", " \n"));
    let same = set("http.read_token_file", &folder.path().join("token"));
    let app = folder.path().join("app.db");
    for (settings, words) in [
        (vec![reading.as_str()], "needs http.token_file"),
        (vec![empty.as_str()], "is empty"),
        (vec![acting.as_str(), same.as_str()], "same token"),
        (vec!["http.addr=0.0.0.0:0"], "anybody could promote"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_crossfade"));
        command.args(["run", "--auth", "trust", "--listen", "127.0.0.1:0", "--sqlite"]).arg(&app);
        command.args(settings.iter().flat_map(|s| ["--set", *s]));
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn the_interface_speaks_tls_with_the_front_ends_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let certificate = file(&folder, "server.crt", &made.cert.pem());
    let key = file(&folder, "server.key", &made.signing_key.serialize_pem());
    let proxy = Proxy::on_new_file(&[
        "--set",
        &set("listen.tls_cert", &certificate),
        "--set",
        &set("listen.tls_key", &key),
    ]);
    let url = format!("https://127.0.0.1:{}", proxy.http_port.unwrap());
    let status = |variables: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_crossfade"));
        command.args(["status", "--admin-url", &url]).envs(variables.iter().copied());
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let trusted = certificate.to_str().unwrap();
    let (code, stderr) = status(&[("CROSSFADE_ADMIN_CA", trusted)]);
    assert_eq!(code, Some(0), "{stderr}\n{}", proxy.log());
    let other = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let other = file(&folder, "other.crt", &other.cert.pem());
    let (code, stderr) = status(&[("CROSSFADE_ADMIN_CA", other.to_str().unwrap())]);
    assert_eq!(code, Some(3), "a certificate nobody vouches for: {stderr}");
    assert_eq!(status(&[("CROSSFADE_ADMIN_CA", "/there/is/none")]).0, Some(2));
    assert_eq!(proxy.cli(&["status"]).0, 0, "on this machine plain text is answered, too");
    assert_eq!(proxy.sql("SELECT 1"), "1");
}

/// Guesses, each on a connection that stays.
fn guess(port: u16, count: u64) -> (u64, u64) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let request = format!(
        "GET /api/v1/status HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nauthorization: Bearer guess\r\n\
         content-length: 0\r\n\r\n"
    );
    let (mut refused, mut cut) = (0, 0);
    let mut buffer = Vec::new();
    for _ in 0..count {
        stream.write_all(request.as_bytes()).unwrap();
        buffer.clear();
        // An answer ends with its body, a JSON object of one line.
        while !buffer.ends_with(b"}}") {
            let mut part = [0; 4096];
            let read = stream.read(&mut part).unwrap();
            assert!(read > 0, "the connection stays");
            buffer.extend_from_slice(&part[..read]);
        }
        match buffer.get(9..12) {
            Some(b"401") => refused += 1,
            Some(b"429") => cut += 1,
            _ => panic!("{}", String::from_utf8_lossy(&buffer)),
        }
    }
    (refused, cut)
}

#[test]
fn ten_thousand_wrong_tokens_harm_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let [acting, _] = tokens(&folder);
    let proxy = Proxy::on_new_file(&["--set", &acting]);
    proxy.sql("CREATE TABLE t (id integer PRIMARY KEY)");
    let (over, written) = (AtomicBool::new(false), AtomicU64::new(0));
    let port = proxy.http_port.unwrap();
    std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (client, connection) =
                    tokio_postgres::connect(&proxy.url(), tokio_postgres::NoTls).await.unwrap();
                tokio::spawn(connection);
                while !over.load(Ordering::Relaxed) {
                    let id = written.fetch_add(1, Ordering::Relaxed);
                    let id = i32::try_from(id).unwrap();
                    client.execute("INSERT INTO t VALUES ($1)", &[&id]).await.unwrap();
                }
            });
        });
        let guesses: Vec<_> = (0..4).map(|_| scope.spawn(move || guess(port, 2500))).collect();
        // Meanwhile the right token is answered each time.
        let url = format!("{}/api/v1/version", proxy.http());
        while guesses.iter().any(|g| !g.is_finished()) {
            let right = [("authorization", "Bearer acting-s3cret")];
            assert_eq!(request("GET", &url, &right).0, 200);
        }
        let answers: Vec<_> = guesses.into_iter().map(|g| g.join().unwrap()).collect();
        let refused: u64 = answers.iter().map(|(refused, _)| refused).sum();
        let cut: u64 = answers.iter().map(|(_, cut)| cut).sum();
        assert_eq!(refused + cut, 10_000);
        assert!(refused <= 60, "{refused} were looked at: 20 a minute, over a few minutes at most");
        over.store(true, Ordering::Relaxed);
        client.join().expect("no statement failed");
    });
    let written = written.load(Ordering::Relaxed);
    assert_eq!(proxy.sql("SELECT count(*) FROM t"), written.to_string());
    let notes = events(&proxy, "acting-s3cret").len();
    assert!(notes < 10, "{notes} events: notes by the minute, not by the guess");
}

/// More connections than there are seats, and not a word on any of them.
#[test]
fn connections_that_say_nothing_shut_nobody_out() {
    let proxy = Proxy::direct();
    let port = proxy.http_port.unwrap();
    let version = format!("{}/api/v1/version", proxy.http());
    let silent: Vec<TcpStream> =
        (0..540).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    for _ in 0..20 {
        assert_eq!(request("GET", &version, &[]).0, 200);
    }
    assert_eq!(proxy.sql("SELECT 1"), "1");
    // Those that were there first have lost their seats.
    let mut first = &silent[0];
    first.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
    assert_eq!(first.read(&mut [0]).unwrap(), 0, "it is closed");
}

#[test]
fn another_host_or_origin_is_refused() {
    let proxy = Proxy::direct();
    let pause = format!("{}/api/v1/pause", proxy.http());
    let own = format!("http://127.0.0.1:{}", proxy.http_port.unwrap());
    for (headers, wanted) in [
        (vec![("host", "evil.test")], 403),
        (vec![("host", "127.0.0.1.evil.test:80")], 403),
        (vec![("host", "")], 403),
        (vec![("origin", "http://evil.test")], 403),
        (vec![("origin", "null")], 403),
        (vec![("origin", "http://127.0.0.1:1")], 403),
        (vec![("sec-fetch-site", "cross-site")], 403),
        (vec![("sec-fetch-site", "same-site"), ("origin", "http://localhost:1")], 403),
        (vec![("origin", own.as_str()), ("sec-fetch-site", "same-origin")], 202),
        (vec![], 202),
    ] {
        assert_eq!(request("POST", &pause, &headers).0, wanted, "{headers:?}");
    }
    // Reading is refused to a page that reached us by a name of its own.
    let status = format!("{}/api/v1/status", proxy.http());
    assert_eq!(request("GET", &status, &[("host", "evil.test")]).0, 403);
    assert_eq!(request("GET", &status, &[("host", "localhost:80")]).0, 200);
}

/// Everything that is shown anywhere, with secrets in every place that takes one.
#[test]
fn secrets_are_told_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let users = "[users]\napp = \"s3cret-user\"\n";
    let users = set("auth.users_file", &file(&folder, "users.toml", users));
    let [acting, reading] = tokens(&folder);
    let app = folder.path().join("app.db");
    // Nothing listens there: errors about it are told, too.
    let envs = [
        ("CROSSFADE_POSTGRES_URL", "postgres://app:s3cret-url@127.0.0.1:9/app"),
        ("CROSSFADE_POSTGRES_CONTROL_URL", "postgres://ctl:s3cret-control@127.0.0.1:9/app"),
        ("PGPASSWORD", "s3cret-libpq"),
        ("CROSSFADE_HOOKS_ON_PHASE", "curl -H 'Authorization: s3cret-hook' https://pager.test"),
        ("CROSSFADE_HOOKS_ON_DIVERGENCE", "TOKEN=s3cret-hook page"),
    ];
    let arguments = [
        "--set",
        &users,
        "--set",
        &acting,
        "--set",
        &reading,
        "--set",
        "auth.method=scram-sha-256",
        "--set",
        "auth.admin_users=app",
        "--log-level",
        "debug",
    ];
    let proxy = Proxy::on_file_with(&app, &arguments, &envs);
    let mut told = String::new();
    for path in ["config", "status", "gates", "events", "sessions", "tasks", "version", "stream"] {
        if path != "stream" {
            let url = format!("{}/api/v1/{path}", proxy.http());
            told += &request("GET", &url, &[("authorization", "Bearer reading-s3cret")]).1;
            told += &request("GET", &url, &[("authorization", "Bearer s3cret-guess")]).1;
        }
    }
    assert!(told.contains("127.0.0.1:9"), "the configuration is there: {told}");
    for sql in ["SHOW CONFIG", "SHOW STATUS", "PROMOTE DRY RUN", "BACKFILL"] {
        let (_, stdout, stderr) = psql(&proxy, "app", "s3cret-user", "crossfade", sql);
        told += &format!("{stdout}{stderr}");
    }
    let (_, stdout, stderr) = psql(&proxy, "app", "s3cret-wrong", "app", "SELECT 1");
    told += &format!("{stdout}{stderr}");
    for (verb, more) in
        [("check", vec!["--json"]), ("check", vec![]), ("run", vec!["--http", "1.2.3.4:x"])]
    {
        let output = Command::new(env!("CARGO_BIN_EXE_crossfade"))
            .arg(verb)
            .args(["--auth", "trust", "--sqlite"])
            .arg(&app)
            .args(&more)
            .args(["--set", &acting, "--set", &users])
            .envs(envs)
            .output()
            .unwrap();
        told += &String::from_utf8_lossy(&output.stdout);
        told += &String::from_utf8_lossy(&output.stderr);
    }
    let arguments = std::fs::read(format!("/proc/{}/cmdline", proxy.pid())).unwrap_or_default();
    told += &String::from_utf8_lossy(&arguments);
    told += &proxy.log();
    for secret in [
        "s3cret-user",
        "s3cret-url",
        "s3cret-control",
        "s3cret-libpq",
        "s3cret-hook",
        "s3cret-wrong",
        "s3cret-guess",
        "acting-s3cret",
        "reading-s3cret",
    ] {
        let at = told.find(secret).map(|at| &told[at.saturating_sub(200)..]);
        assert!(
            at.is_none(),
            "{secret} is told: {}",
            at.unwrap_or("").chars().take(400).collect::<String>()
        );
    }
}

/// What is done is noted with who, what and how it ended, also when it is refused.
#[test]
fn every_action_is_noted_with_its_end() {
    let proxy = Proxy::direct();
    assert_eq!(proxy.cli(&["pause"]).0, 0);
    assert_eq!(proxy.cli(&["resume"]).0, 0);
    proxy.cli(&["promote", "--yes"]);
    proxy.cli(&["verify"]);
    proxy.cli(&["divergences", "accept", "d1", "--reason", "known"]);
    let (_, _, stderr) = psql(&proxy, "anna", "", "crossfade", "COMPLETE");
    assert!(stderr.contains("55000"), "{stderr}");
    let found = events(&proxy, "none");
    for (by, words) in [
        ("http:127.0.0.1", "pause"),
        ("http:127.0.0.1", "pause: done"),
        ("http:127.0.0.1", "resume: done"),
        ("http:127.0.0.1", "verify: "),
        ("http:127.0.0.1", "accept d1: known"),
        ("console:anna", "complete"),
        ("console:anna", "complete: "),
    ] {
        let noted = found.iter().any(|(who, what)| who == by && what.starts_with(words));
        assert!(noted, "{by} {words}: {found:?}");
    }
    let log = proxy.log();
    assert!(log.contains("event") && log.contains("pause: done"), "the log has them, too: {log}");
}
