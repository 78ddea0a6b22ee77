//! `crossfade check` and `crossfade translate`: the real binary, exit codes and answers.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::common::{Pg, Proxy};

/// Runs the binary without any inherited configuration; (exit code, stdout, stderr).
fn crossfade(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_crossfade"))
        .args(arguments)
        .env_remove("DATABASE_URL")
        .current_dir(std::env::temp_dir())
        .stdin(Stdio::null())
        .output()
        .expect("crossfade runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// The state of one check of `check --json`.
fn state(body: &Value, area: &str, check: &str) -> String {
    let all = body["checks"].as_array().unwrap();
    let found = all.iter().find(|c| c["area"] == area && c["check"] == check);
    found.unwrap_or_else(|| panic!("no {area}/{check} in {body}"))["state"].as_str().unwrap().into()
}

fn check(arguments: &[&str]) -> (i32, Value) {
    let mut all = vec!["check", "--json", "--auth", "trust"];
    all.extend(arguments);
    let (code, stdout, stderr) = crossfade(&all);
    let body = serde_json::from_str(&stdout).unwrap_or_else(|e| panic!("{e}: {stdout}{stderr}"));
    (code, body)
}

fn sqlite3(file: &Path, sql: &str) {
    rusqlite::Connection::open(file).unwrap().execute_batch(sql).unwrap();
}

#[test]
fn check_says_what_is_in_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let path = file.to_str().unwrap();

    let (code, body) = check(&["--sqlite", path]);
    assert_eq!((code, state(&body, "sqlite", "open").as_str()), (0, "ok"), "{body}");
    assert!(!file.exists(), "check makes no file");

    sqlite3(&file, "CREATE TABLE t (a)");
    let before = std::fs::read(&file).unwrap();
    let url = Pg::shared().database_url("check");
    let (code, body) = check(&["--sqlite", path, "--postgres", &url]);
    assert_eq!(code, 0, "{body}");
    for name in ["connect", "version", "wal_level", "create_schema", "replication", "constraints"] {
        assert_eq!(state(&body, "postgres", name), "ok", "{body}");
    }
    assert_eq!(state(&body, "sqlite", "journal_mode"), "warning");
    assert_eq!(std::fs::read(&file).unwrap(), before, "check changes nothing");

    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nobody = format!("postgres://postgres@127.0.0.1:{closed}/x");
    let (code, body) = check(&["--sqlite", path, "--postgres", &nobody]);
    assert_eq!((code, state(&body, "postgres", "connect").as_str()), (3, "unreachable"), "{body}");

    let (code, body) = check(&["--sqlite", path, "--set", "sqlite.durability=sometimes"]);
    assert_eq!((code, state(&body, "config", "read").as_str()), (2, "problem"), "{body}");

    std::fs::write(&file, vec![b'x'; 4096]).unwrap();
    let (code, body) = check(&["--sqlite", path]);
    assert_eq!((code, state(&body, "sqlite", "open").as_str()), (3, "unreachable"), "{body}");
    let (_, stdout, _) = crossfade(&["check", "--auth", "trust", "--sqlite", path]);
    assert!(stdout.starts_with("AREA"), "{stdout}");
}

#[test]
fn check_tells_missing_rights() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let pg = Pg::shared();
    let database = pg.database("check");
    pg.cluster
        .psql(
            &database,
            &format!(
                "DROP ROLE IF EXISTS weak_{database}; CREATE ROLE weak_{database} LOGIN; \
                 REVOKE CREATE ON SCHEMA public FROM PUBLIC"
            ),
        )
        .unwrap();
    let url = pg.cluster.url(&database).replace("postgres@", &format!("weak_{database}@"));
    let (code, body) = check(&["--sqlite", file.to_str().unwrap(), "--postgres", &url]);
    assert_eq!(code, 1, "{body}");
    assert_eq!(state(&body, "postgres", "create_schema"), "problem");
    assert_eq!(state(&body, "postgres", "create_table"), "problem");
    assert_eq!(state(&body, "postgres", "replication"), "warning");
    assert_eq!(state(&body, "postgres", "constraints"), "warning");
    assert_eq!(state(&body, "postgres", "schema_back"), "warning");
}

/// Which way the way back will go, and that it does where the log cannot be read.
#[test]
fn check_tells_how_the_way_back_goes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let found = |pg: &Pg, more: &[&str]| {
        let url = pg.database_url("check");
        let mut all = vec!["--sqlite", file.to_str().unwrap(), "--postgres", &url];
        all.extend(more);
        let (_, body) = check(&all);
        if !more.contains(&"postgres.way_back=decoding") {
            assert_eq!(state(&body, "postgres", "schema_back"), "ok", "{body}");
        }
        let all = body["checks"].as_array().unwrap().clone();
        let one = all.into_iter().find(|f| f["check"] == "way_back").unwrap();
        (one["state"].to_string(), one["detail"].to_string())
    };
    let (state, detail) = found(Pg::shared(), &[]);
    assert!(state.contains("ok") && detail.contains("by logical decoding"), "{detail}");
    let (state, detail) = found(Pg::without_decoding(), &[]);
    assert!(state.contains("ok") && detail.contains("by row triggers"), "{detail}");
    let (state, detail) = found(Pg::without_decoding(), &["--set", "postgres.way_back=decoding"]);
    assert!(state.contains("warning") && detail.contains("none after promote"), "{detail}");
    let (_, detail) = found(Pg::shared(), &["--set", "postgres.way_back=triggers"]);
    assert!(detail.contains("by row triggers"), "{detail}");
}

/// With a role for control: its rights over the application's role.
#[test]
fn check_tells_the_rights_of_the_fence() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let pg = Pg::shared();
    let database = pg.database("check");
    let (app, control) = (format!("app_{database}"), format!("ctl_{database}"));
    let sql = format!(
        "CREATE ROLE {app} LOGIN; CREATE ROLE {control} LOGIN REPLICATION; \
         GRANT CREATE ON DATABASE {database} TO {control}; \
         GRANT ALL ON SCHEMA public TO {control}"
    );
    pg.cluster.psql(&database, &sql).unwrap();
    let url = |role: &str| pg.cluster.url(&database).replace("postgres@", &format!("{role}@"));
    let look = || {
        let set = format!("postgres.control_url={}", url(&control));
        let path = file.to_str().unwrap();
        check(&["--sqlite", path, "--postgres", &url(&app), "--set", &set])
    };
    let (code, body) = look();
    assert_eq!((code, state(&body, "postgres", "fence").as_str()), (0, "warning"), "{body}");
    assert!(body.to_string().contains("may not shut the application's role out"), "{body}");
    assert_eq!(state(&body, "postgres", "hand_over"), "warning", "{body}");
    let sql = format!("ALTER ROLE {control} CREATEROLE; GRANT pg_signal_backend TO {control}");
    pg.cluster.psql(&database, &sql).unwrap();
    let (_, body) = look();
    assert_eq!(state(&body, "postgres", "fence"), "ok", "{body}");
    pg.cluster.psql(&database, &format!("GRANT {app} TO {control}")).unwrap();
    let (code, body) = look();
    assert_eq!((code, state(&body, "postgres", "hand_over").as_str()), (0, "ok"), "{body}");
}

#[test]
fn check_sees_a_running_proxy() {
    let proxy = Proxy::direct();
    let (code, body) = check(&["--sqlite", proxy.file.to_str().unwrap()]);
    assert_eq!((code, state(&body, "sqlite", "lock").as_str()), (0, "warning"), "{body}");
    assert_eq!(proxy.sql("SELECT 1"), "1");
}

#[test]
fn translate_prints_text_and_types() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    sqlite3(
        &file,
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, total numeric(10,2) NOT NULL, at timestamptz)",
    );
    let before = std::fs::read(&file).unwrap();
    let path = file.to_str().unwrap();
    let sql = "SELECT id, total FROM orders WHERE total > $1 AND at < now()";
    let (code, stdout, stderr) = crossfade(&["translate", "--sqlite", path, sql]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("-- parameters: $1 numeric"), "{stdout}");
    assert!(stdout.contains("-- columns: id "), "{stdout}");
    assert!(stdout.contains("= now()"), "{stdout}");

    let arguments = ["translate", "--json", "--to", "postgres", "--sqlite", path, sql];
    let (code, stdout, _) = crossfade(&arguments);
    assert_eq!(code, 0);
    let body: Value = serde_json::from_str(&stdout).unwrap();
    let one = &body["statements"][0];
    assert_eq!(one["columns"][1]["type"], "numeric(10,2)", "{body}");
    assert!(one["text"].as_str().unwrap().contains("$2"), "{body}");
    assert_eq!(std::fs::read(&file).unwrap(), before, "translate changes nothing");

    let (code, stdout, _) = crossfade(&["translate", "SELECT 1 + $1"]);
    assert_eq!(code, 0);
    assert!(stdout.contains("$1 integer"), "{stdout}");
}

#[test]
fn translate_refuses_with_the_sqlstate() {
    let refused = |sql: &str, sqlstate: &str| {
        let (code, stdout, stderr) = crossfade(&["translate", sql]);
        assert_eq!((code, stdout.as_str()), (1, ""), "{sql}: {stderr}");
        assert!(stderr.contains(sqlstate), "{sql}: {stderr}");
        stderr
    };
    let text = refused("SELECT *\nFORM t", "42601");
    assert!(text.contains("LINE 2: FORM t"), "{text}");
    refused("SELECT * FROM nowhere", "42P01");
    refused("CREATE TABLE t (a int)", "0A000");
    assert_eq!(crossfade(&["translate", "--to", "oracle", "SELECT 1"]).0, 2);
    assert_eq!(crossfade(&["translate", "--sqlite", "/nonexistent.db", "SELECT 1"]).0, 3);
}

#[test]
fn a_reader_that_leaves_early_is_no_fault() {
    let proxy = crate::common::Proxy::direct();
    for arguments in
        [&["status", "--json"][..], &["status"], &["version"], &["completions", "bash"]]
    {
        // The reading end is closed before anything is written.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_crossfade"))
            .args(arguments)
            .env("CROSSFADE_ADMIN_URL", proxy.http())
            .stdout(writer)
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {stderr}");
        assert!(!stderr.contains("panicked"), "{arguments:?}: {stderr}");
    }
}

/// pgbouncer in front of the shared server; None where it is not installed.
fn bouncer(folder: &Path, mode: &str) -> Option<(std::process::Child, String)> {
    let found = |dir: &Path| dir.join("pgbouncer").exists();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).collect::<Vec<_>>();
    places.push("/usr/sbin".into());
    let Some(place) = places.into_iter().find(|dir| found(dir)) else {
        println!("pgbouncer is not installed: poolers are not looked at");
        return None;
    };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let url = Pg::shared().database_url("pooled");
    let (server, database) = url.rsplit_once('/').unwrap();
    let (host, server_port) = server.rsplit('@').next().unwrap().split_once(':').unwrap();
    let config = folder.join(format!("{mode}.ini"));
    let text = format!(
        "[databases]\n* = host={host} port={server_port} user=postgres\n[pgbouncer]\n\
         listen_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = any\npool_mode = {mode}\n\
         unix_socket_dir =\nignore_startup_parameters = extra_float_digits,intervalstyle,bytea_output\n"
    );
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(place.join("pgbouncer"));
    if nix::unistd::geteuid().is_root() {
        command.args(["-u", "nobody"]);
    }
    let child = command.arg(&config).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    crate::common::eventually("pgbouncer listens", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    Some((child, format!("postgres://postgres@127.0.0.1:{port}/{database}")))
}

#[test]
fn check_notices_a_pooler() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let path = file.to_str().unwrap();
    let url = Pg::shared().database_url("unpooled");
    let (code, body) = check(&["--sqlite", path, "--postgres", &url]);
    assert_eq!((code, state(&body, "postgres", "pooler").as_str()), (0, "ok"), "{body}");
    assert_eq!(state(&body, "postgres", "replication_login"), "ok");
    let Some((mut child, url)) = bouncer(folder.path(), "transaction") else { return };
    let (code, body) = check(&["--sqlite", path, "--postgres", &url]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!((code, state(&body, "postgres", "pooler").as_str()), (1, "problem"), "{body}");
    assert_eq!(state(&body, "postgres", "replication_login"), "warning");
    let Some((mut child, url)) = bouncer(folder.path(), "session") else { return };
    let (code, body) = check(&["--sqlite", path, "--postgres", &url]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!((code, state(&body, "postgres", "pooler").as_str()), (0, "ok"), "{body}");
}

/// What PostgreSQL would give the application's sessions, and how many of them it takes.
#[test]
fn check_tells_of_settings_and_sessions() {
    let pg = Pg::shared();
    let database = pg.database("check");
    let url = pg.cluster.url(&database);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let look = || check(&["--sqlite", file.to_str().unwrap(), "--postgres", &url]);
    let (code, body) = look();
    assert_eq!((code, state(&body, "postgres", "settings").as_str()), (0, "ok"), "{body}");
    assert_eq!(state(&body, "postgres", "sessions"), "ok", "{body}");
    assert!(body.to_string().contains("max_connections 100"), "{body}");
    let sql = format!(
        "ALTER DATABASE {database} SET search_path = other; \
         ALTER DATABASE {database} SET statement_timeout = '30s'"
    );
    pg.cluster.psql(&database, &sql).unwrap();
    let (code, body) = look();
    assert_eq!((code, state(&body, "postgres", "settings").as_str()), (0, "warning"), "{body}");
    assert_eq!(state(&body, "postgres", "limits"), "warning", "{body}");
    for words in ["search_path = other", "statement_timeout = 30000"] {
        assert!(body.to_string().contains(words), "{words}: {body}");
    }
}
