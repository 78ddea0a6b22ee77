//! Rows that PostgreSQL cannot hold, changed while they are mirrored.

use std::path::Path;

use crate::common::{Journey, Pg, Proxy, eventually};

/// A running proxy that mirrors a file, and its database. The rows are written after the
/// columns' types were chosen, as a foreign program might.
fn mirrored(folder: &Path, tables: &str, rows: &str, prepare: &str) -> (Proxy, String) {
    let file = folder.join("app.db");
    let write = |sql| rusqlite::Connection::open(&file).unwrap().execute_batch(sql).unwrap();
    write(tables);
    assert_eq!(Proxy::on_file(&file, &[]).terminate(), Some(0));
    write(rows);
    let database = Pg::shared().database("held");
    if !prepare.is_empty() {
        Pg::shared().cluster.psql(&database, prepare).unwrap();
    }
    let proxy = Proxy::on_file(&file, &["--postgres", &Pg::shared().cluster.url(&database)]);
    let (_, out, err) = proxy.cli(&["backfill"]);
    assert!(!out.is_empty(), "{err}{}", proxy.log());
    (proxy, database)
}

fn status(proxy: &Proxy) -> serde_json::Value {
    let (code, out, err) = proxy.cli(&["status", "--json"]);
    assert_eq!(code, 0, "{out}{err}");
    serde_json::from_str(&out).unwrap()
}

/// Waits until everything is applied; the proxy must be well.
fn settled(proxy: &Proxy) {
    eventually("everything is applied", || {
        let now = status(proxy);
        now["applied"] == now["position"] && now["phase"] == "mirroring"
    });
    let now = status(proxy);
    assert_eq!(now["health"], "ok", "{now}\n{}", proxy.log());
}

fn shadow(database: &str, sql: &str) -> String {
    Pg::shared().cluster.psql(database, sql).unwrap()
}

fn divergences(proxy: &Proxy) -> String {
    let (_, out, _) = proxy.cli(&["divergences", "--json"]);
    out
}

fn verify(proxy: &Proxy) {
    let (code, out, err) = proxy.cli(&["verify"]);
    assert_eq!(code, 0, "{out}{err}\n{}", proxy.log());
}

const ENTRIES: &str = "SELECT row_key, column_name, encode(bytes, 'hex') \
                       FROM crossfade.quarantine ORDER BY row_key, column_name";

#[test]
fn a_value_with_nul_stays_in_quarantine_while_its_row_changes() {
    let folder = tempfile::tempdir().unwrap();
    let (proxy, database) = mirrored(
        folder.path(),
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b TEXT NOT NULL, n INTEGER);
         CREATE TABLE keyless(a TEXT, n INTEGER);",
        "INSERT INTO t VALUES (1, 'good', 'good', 0), (2, 'a' || char(0) || 'b', 'good', 0),
           (3, 'good', 'c' || char(0), 0);
         INSERT INTO keyless VALUES ('x', 0), ('y' || char(0), 0);",
        "",
    );
    settled(&proxy);
    // The row is there without the value; the row of id 3 is not there at all.
    let left_out = "{\"id\":\"3\"}||\n{\"id\":\"3\"}|a|676f6f64\n{\"id\":\"3\"}|b|6300\n\
                    {\"id\":\"3\"}|id|33\n{\"id\":\"3\"}|n|";
    // Nobody has decided yet that a, the whole row and the keyless a may be lacking.
    assert_eq!(status(&proxy)["diverged_open"], 3, "{}", divergences(&proxy));
    let value = "{\"id\":\"2\"}|a|610062";
    let keyless = "{\"rowid\":\"2\"}|a|7900";
    assert_eq!(shadow(&database, ENTRIES), format!("{value}\n{left_out}30\n{keyless}"));
    proxy.sql("UPDATE t SET n = n + 1");
    proxy.sql("UPDATE keyless SET n = n + 1");
    settled(&proxy);
    assert_eq!(shadow(&database, ENTRIES), format!("{value}\n{left_out}31\n{keyless}"));
    assert_eq!(shadow(&database, "SELECT id, a, n FROM t ORDER BY id"), "1|good|1\n2||1");
    assert_eq!(shadow(&database, "SELECT a, n FROM keyless ORDER BY a"), "x|1\n|1");
    verify(&proxy);
    // What comes to fit leaves the quarantine; what is deleted leaves it, too.
    proxy.sql("UPDATE t SET b = 'fits' WHERE id = 3");
    proxy.sql("DELETE FROM keyless WHERE n = 1");
    settled(&proxy);
    assert_eq!(shadow(&database, ENTRIES), value);
    assert_eq!(shadow(&database, "SELECT b, n FROM t WHERE id = 3"), "fits|1");
    proxy.sql("DELETE FROM t WHERE id = 2");
    settled(&proxy);
    assert_eq!(shadow(&database, ENTRIES), "");
    verify(&proxy);
    assert_eq!(status(&proxy)["diverged_open"], 0, "{}", divergences(&proxy));
}

#[test]
fn promote_waits_for_a_decision_on_what_is_in_quarantine() {
    let folder = tempfile::tempdir().unwrap();
    let (proxy, database) = mirrored(
        folder.path(),
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b TEXT NOT NULL, n INTEGER);",
        "INSERT INTO t VALUES (1, 'good', 'good', 0), (2, 'a' || char(0) || 'b', 'good', 0),
           (3, 'good', 'c' || char(0), 0);",
        "",
    );
    let journey = Journey { proxy, url: Pg::shared().cluster.url(&database), database };
    settled(&journey.proxy);
    verify(&journey.proxy);
    let open = || -> Vec<(String, String)> {
        let all = journey.get("/api/v1/divergences");
        let all = all["divergences"].as_array().unwrap().iter();
        let open = all.filter(|d| d["state"] == "open");
        let text = |v: &serde_json::Value| v.as_str().unwrap().to_owned();
        open.map(|d| (text(&d["id"]), text(&d["class"]))).collect()
    };
    let class = "untranslatable".to_owned();
    let ids: Vec<String> = open().into_iter().map(|(id, _)| id).collect();
    assert_eq!(open(), [(ids[0].clone(), class.clone()), (ids[1].clone(), class)]);
    let refused = |task: &str| {
        assert!(task.contains("divergences") && task.contains("verified"), "{task}");
    };
    let (code, _, stderr) = journey.promote_once();
    assert_eq!(code, 4, "{stderr}");
    refused(&stderr);
    // One decision does for its own columns only.
    let accept = |id: &str| {
        let (code, out, err) =
            journey.proxy.cli(&["divergences", "accept", id, "--reason", "known"]);
        assert_eq!(code, 0, "{out}{err}");
    };
    accept(&ids[0]);
    let (code, _, stderr) = journey.promote_once();
    assert_eq!(code, 4, "{stderr}");
    refused(&stderr);
    accept(&ids[1]);
    // What is decided is not asked again.
    verify(&journey.proxy);
    journey.promote();
    assert_eq!(journey.proxy.sql("SELECT id FROM t ORDER BY id"), "1\n2");
    journey.proxy.sql("UPDATE t SET n = 9 WHERE id = 1");
    journey.rollback();
    let file = rusqlite::Connection::open(folder.path().join("app.db")).unwrap();
    let hex =
        "SELECT group_concat(id || hex(a) || hex(b) || n, ' ') FROM (SELECT * FROM t ORDER BY id)";
    let found: String = file.query_row(hex, [], |row| row.get(0)).unwrap();
    assert_eq!(found, "1676F6F64676F6F649 2610062676F6F640 3676F6F6463000");
    settled(&journey.proxy);
    verify(&journey.proxy);
    assert_eq!(open(), []);
}

#[test]
fn a_row_that_postgresql_refuses_is_held_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let (proxy, database) = mirrored(
        folder.path(),
        "CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER, word TEXT);",
        "INSERT INTO t VALUES (1, 1, 'a'), (2, 100, 'b');",
        "CREATE TABLE t(id bigint PRIMARY KEY, n bigint CHECK (n < 50), word varchar(5))",
    );
    settled(&proxy);
    let marked = "SELECT row_key, column_name FROM crossfade.quarantine \
                  WHERE column_name IN ('', 'word') ORDER BY row_key, column_name";
    assert_eq!(shadow(&database, marked), "{\"id\":\"2\"}|\n{\"id\":\"2\"}|word");
    proxy.sql("UPDATE t SET word = 'c' WHERE id = 2");
    settled(&proxy);
    assert_eq!(status(&proxy)["diverged_open"], 1, "{}", divergences(&proxy));
    // A row there becomes one that is refused, a new one has a value that does not fit.
    proxy.sql("UPDATE t SET n = 70 WHERE id = 1; INSERT INTO t VALUES (3, 3, 'too long')");
    settled(&proxy);
    assert_eq!(shadow(&database, "SELECT id, n, word FROM t"), "3|3|");
    verify(&proxy);
    proxy.sql("UPDATE t SET n = 7, word = 'fits'");
    settled(&proxy);
    assert_eq!(shadow(&database, "SELECT count(*) FROM t WHERE n = 7 AND word = 'fits'"), "3");
    assert_eq!(shadow(&database, "SELECT count(*) FROM crossfade.quarantine"), "0");
    verify(&proxy);
    assert_eq!(status(&proxy)["diverged_open"], 0, "{}", divergences(&proxy));
    assert!(!divergences(&proxy).contains("foreign_write"), "{}", divergences(&proxy));
}

#[test]
fn a_refused_table_does_not_stop_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let (proxy, database) = mirrored(
        folder.path(),
        "CREATE TABLE taken(id INTEGER PRIMARY KEY, n INTEGER);
         CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER);",
        "INSERT INTO taken VALUES (1, 1)",
        // The name cannot be a table's any more.
        "CREATE TYPE taken AS ENUM ('x')",
    );
    let marked = "SELECT table_name, row_key FROM crossfade.quarantine";
    assert_eq!(shadow(&database, marked), "taken|*");
    settled(&proxy);
    assert_eq!(status(&proxy)["diverged_open"], 1, "{}", divergences(&proxy));
    proxy.sql("INSERT INTO taken VALUES (2, 2); INSERT INTO t VALUES (1, 1)");
    proxy.sql("UPDATE taken SET n = 1");
    settled(&proxy);
    assert_eq!(shadow(&database, "SELECT n FROM t"), "1");
    proxy.sql("ALTER TABLE taken RENAME COLUMN n TO m");
    proxy.sql("DROP TABLE taken");
    settled(&proxy);
    assert_eq!(shadow(&database, "SELECT count(*) FROM crossfade.quarantine"), "0");
    verify(&proxy);
    assert_eq!(status(&proxy)["diverged_open"], 0, "{}", divergences(&proxy));
}

/// jsonb keeps one of the members that have the same key: such a value is named before the copy and
/// by it, and stays in quarantine while its row changes.
#[test]
fn json_with_a_key_twice_is_not_changed_in_silence() {
    let folder = tempfile::tempdir().unwrap();
    let (proxy, database) = mirrored(
        folder.path(),
        r#"CREATE TABLE "django_migrations" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT,
             "app" varchar(255) NOT NULL, "name" varchar(255) NOT NULL, "applied" datetime NOT NULL);
           CREATE TABLE "doc" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT,
             "data" text NULL CHECK ((JSON_VALID("data") OR "data" IS NULL)), "k" text NOT NULL);"#,
        r#"INSERT INTO django_migrations VALUES (1, 'app', '0001', '2020-01-01 00:00:00');
           INSERT INTO doc VALUES (1, '{"a":1,"a":2}', 'x'), (2, '{"b" : 1,"a":2}', 'x');"#,
        "",
    );
    let there = "SELECT id, data, k FROM doc ORDER BY id";
    assert_eq!(shadow(&database, there), "1||x\n2|{\"a\": 2, \"b\": 1}|x");
    let held = shadow(&database, ENTRIES);
    assert_eq!(held, "{\"id\":\"1\"}|data|7b2261223a312c2261223a327d");
    settled(&proxy);
    verify(&proxy);
    proxy.sql("UPDATE doc SET k = 'y'; INSERT INTO doc VALUES (3, '{\"c\":1,\"c\":2}', 'z')");
    settled(&proxy);
    assert_eq!(
        shadow(&database, there),
        "1||y\n2|{\"a\": 2, \"b\": 1}|y\n3|{\"c\": 2}|z",
        "PostgreSQL itself drops a member of what a client sends as jsonb"
    );
    assert_eq!(shadow(&database, ENTRIES), held);
    verify(&proxy);
    drop(proxy);
    let file = folder.path().join("app.db");
    let (_, out, err) = crate::common::crossfade(&["assess", file.to_str().unwrap(), "--json"]);
    let report: serde_json::Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{err}"));
    let found = report["findings"].as_array().unwrap().iter().find(|f| f["id"] == "CF0118");
    let found = found.unwrap_or_else(|| panic!("{report}"));
    assert_eq!(
        (&found["table"], &found["column"], &found["rows"]),
        (&"doc".into(), &"data".into(), &1.into())
    );
}

/// A row that PostgreSQL refused waits for its place: once that is free verify says so, and repair
/// puts it there. The applier knows of it.
#[test]
fn a_row_whose_place_is_free_again_comes_out_by_repair() {
    let folder = tempfile::tempdir().unwrap();
    let (proxy, database) = mirrored(
        folder.path(),
        "CREATE TABLE n(id INTEGER PRIMARY KEY, t TEXT);
         CREATE TABLE spelled(k TEXT PRIMARY KEY, v TEXT);
         CREATE TABLE keyless(a TEXT, n INTEGER);",
        "INSERT INTO n VALUES (5, 'dup'), (6, 'dup'), (7, 'dup'), (8, 'long' || char(0)), (9, 'x');
         INSERT INTO spelled VALUES ('1', 'a'), ('1.0', 'b'), ('1.00', 'c');
         INSERT INTO keyless VALUES ('a', 1), ('b', 70), ('b', 70);",
        "CREATE TABLE n(id bigint PRIMARY KEY, t varchar(5) UNIQUE);
         CREATE TABLE spelled(k numeric PRIMARY KEY, v text);
         CREATE TABLE keyless(a text, n bigint CONSTRAINT small CHECK (n < 50))",
    );
    let held = "SELECT table_name, row_key FROM crossfade.quarantine \
                WHERE column_name = '' ORDER BY 1, 2";
    let before = shadow(&database, held);
    assert_eq!(before.lines().count(), 6, "{before}");
    // Nothing has changed: nothing is tried in vain for ever, and nothing is promised.
    let (code, out, err) = proxy.cli(&["repair", "--yes"]);
    assert_eq!((code, out.contains("out of quarantine")), (0, false), "{out}{err}");
    let (code, out, err) = proxy.cli(&["verify"]);
    assert_eq!(
        (code, out.contains("would take") || err.contains("would take")),
        (0, false),
        "{out}{err}"
    );
    proxy.sql("DELETE FROM n WHERE id = 5; DELETE FROM spelled WHERE k = '1'");
    settled(&proxy);
    shadow(&database, "ALTER TABLE keyless DROP CONSTRAINT small");
    let (code, out, err) = proxy.cli(&["verify"]);
    assert_eq!(code, 0, "{out}{err}");
    let promised = "but for 7 in quarantine (PostgreSQL would take 4 rows now: crossfade repair)";
    assert!(out.contains(promised), "{out}{err}");
    let (code, out, err) = proxy.cli(&["repair", "--dry-run"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("would write 0 missing") && out.contains("4 rows out of"), "{out}{err}");
    assert_eq!(shadow(&database, held), before, "a trial has left something");
    let (code, out, err) = proxy.cli(&["repair", "--yes"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("0 changed, 0 extra rows, 4 rows out of quarantine"), "{out}{err}");
    let there = "SELECT string_agg(id || coalesce(t, ''), ' ' ORDER BY id) FROM n";
    assert_eq!(shadow(&database, there), "6dup 8 9x");
    assert_eq!(shadow(&database, "SELECT k, v FROM spelled"), "1.0|b");
    assert_eq!(shadow(&database, "SELECT count(*) FROM keyless"), "3");
    let waits = shadow(&database, held);
    assert_eq!(waits.lines().count(), 2, "{waits}");
    // The applier knows that they are there now, though entries that came later stay.
    proxy.sql("DELETE FROM n WHERE id = 6; DELETE FROM keyless WHERE n = 70");
    proxy.sql("UPDATE spelled SET v = 'd' WHERE k = '1.0'");
    settled(&proxy);
    assert_eq!(shadow(&database, there), "8 9x");
    assert_eq!(shadow(&database, "SELECT k, v FROM spelled"), "1.0|d");
    let (code, out, err) = proxy.cli(&["verify"]);
    assert_eq!((code, out.contains("would take 1 row now")), (0, true), "{out}{err}");
    let (code, out, err) = proxy.cli(&["repair", "--yes", "--tables", "n"]);
    assert_eq!((code, out.contains("1 row out of quarantine")), (0, true), "{out}{err}");
    assert_eq!(shadow(&database, there), "7dup 8 9x");
    proxy.sql("DELETE FROM spelled WHERE k = '1.00'; UPDATE n SET t = 'fits' WHERE id = 8");
    settled(&proxy);
    shadow(&database, "ALTER TABLE keyless ADD CONSTRAINT small CHECK (n < 50)");
    assert_eq!(shadow(&database, "SELECT count(*) FROM crossfade.quarantine"), "0");
    verify(&proxy);
    assert_eq!(status(&proxy)["diverged_open"], 0, "{}", divergences(&proxy));
    assert!(!divergences(&proxy).contains("foreign_write"), "{}", divergences(&proxy));
}
