//! PostgreSQL schemas that the application's own migrations have made: assessed, copied column by
//! column, verified, repaired, promoted and followed back.

use std::path::Path;

use serde_json::Value;

use crate::common::{Journey, Pg, crossfade, eventually};

/// A file and a database with a schema of its own.
pub(crate) struct Own {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) database: String,
    pub(crate) url: String,
}

impl Own {
    pub(crate) fn new(file: &str, schema: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = rusqlite::Connection::open(folder.path().join("app.db")).unwrap();
        made.execute_batch(file).unwrap();
        let database = Pg::shared().database("own");
        Pg::shared().cluster.psql(&database, schema).unwrap();
        let url = Pg::shared().cluster.url(&database);
        Self { folder, database, url }
    }

    pub(crate) fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("app.db")
    }

    pub(crate) fn start(&self) -> Journey {
        let proxy = crate::common::Proxy::on_file(&self.file(), &["--postgres", &self.url]);
        Journey { proxy, url: self.url.clone(), database: self.database.clone() }
    }

    /// With a configuration file.
    pub(crate) fn start_with(&self, config: &str) -> Journey {
        let path = self.folder.path().join("proxy.toml");
        std::fs::write(&path, config).unwrap();
        let proxy = crate::common::Proxy::on_file(
            &self.file(),
            &["--postgres", &self.url, "--config", path.to_str().unwrap()],
        );
        Journey { proxy, url: self.url.clone(), database: self.database.clone() }
    }

    pub(crate) fn shadow(&self, sql: &str) -> String {
        Pg::shared().cluster.psql(&self.database, sql).unwrap()
    }

    pub(crate) fn stored(&self, sql: &str) -> String {
        let file = rusqlite::Connection::open(self.file()).unwrap();
        file.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    pub(crate) fn assess(&self) -> Value {
        let file = self.file();
        let all = ["assess", file.to_str().unwrap(), "--json", "--postgres", &self.url];
        let (_, out, err) = crossfade(&all);
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{err}"))
    }
}

/// The findings of a rule about a table and a column or object of it.
pub(crate) fn found<'a>(report: &'a Value, id: &str, table: &str, part: &str) -> Vec<&'a Value> {
    let says = |f: &&Value| {
        let is = |name: &str| f[name].as_str() == Some(part);
        f["id"] == id && f["table"] == table && (part.is_empty() || is("column") || is("object"))
    };
    report["findings"].as_array().unwrap().iter().filter(says).collect()
}

pub(crate) fn one<'a>(report: &'a Value, id: &str, table: &str, part: &str) -> &'a Value {
    let all = found(report, id, table, part);
    let list = |f: &Value| format!("{} {} {} {}\n", f["id"], f["table"], f["column"], f["object"]);
    let told: String = report["findings"].as_array().unwrap().iter().map(list).collect();
    assert!(!all.is_empty(), "{id} {table} {part} is not listed; there is\n{told}");
    all[0]
}

/// Columns, as SQLite's file and as the migrations have them; a value that fits, how PostgreSQL
/// shows it, and one that does not.
const KINDS: &[(&str, &str, &str, &str, &str, &str)] = &[
    ("doc", "TEXT", "jsonb", "'{\"b\":1, \"a\":[2]}'", "{\"a\": [2], \"b\": 1}", "'{bad'"),
    ("twice", "TEXT", "jsonb", "'{\"c\":1}'", "{\"c\": 1}", "'{\"a\":1, \"a\":2}'"),
    ("mail", "TEXT", "citext", "'A@b.c'", "A@b.c", "x'ff00'"),
    ("small", "INTEGER", "smallint", "7", "7", "100000"),
    ("wide", "INTEGER", "numeric(6,2)", "12", "12.00", "123456"),
    ("real4", "REAL", "real", "0.5", "0.5", "0.123456789"),
    ("whole", "REAL", "integer", "3.0", "3", "3.5"),
    (
        "key_of",
        "TEXT",
        "uuid",
        "'550e8400e29b41d4a716446655440000'",
        "550e8400-e29b-41d4-a716-446655440000",
        "'nope'",
    ),
    (
        "bytes_of",
        "BLOB",
        "uuid",
        "x'550e8400e29b41d4a716446655440000'",
        "550e8400-e29b-41d4-a716-446655440000",
        "x'00'",
    ),
    ("at", "TEXT", "timestamptz", "'2021-03-04T05:06:07Z'", "2021-03-04 05:06:07+00", "'soon'"),
    ("day", "TEXT", "date", "'2021-03-04'", "2021-03-04", "'2021-03-04 05:06:07'"),
    ("span", "TEXT", "interval", "'1 day 02:00:00'", "1 day 02:00:00", "'long'"),
    ("short", "TEXT", "varchar(5)", "'abc'", "abc", "'much too long'"),
    ("flag", "INTEGER", "boolean", "1", "t", "7"),
    ("digit", "BOOLEAN", "smallint", "1", "1", "NULL"),
    ("mood", "TEXT", "mood", "'ok'", "ok", "'glad'"),
    ("moods", "TEXT", "mood[]", "'[\"ok\", \"sad\"]'", "{ok,sad}", "'[\"glad\"]'"),
    ("words", "TEXT", "text[]", "'[\"a b\", null]'", "{\"a b\",NULL}", "'x'"),
    ("numbers", "JSON", "integer[]", "'[1, 2]'", "{1,2}", "'[\"x\"]'"),
    ("raw", "TEXT", "bytea", "'ab'", "\\x6162", "NULL"),
    ("net", "TEXT", "inet", "'10.0.0.1'", "10.0.0.1/32", "'ten'"),
    ("over", "INTEGER", "positive", "5", "5", "NULL"),
    ("odd", "TEXT", "point", "NULL", "", "'(1,2)'"),
];

const TYPES: &str = "CREATE EXTENSION IF NOT EXISTS citext; CREATE TYPE mood AS ENUM ('sad', 'ok');
    CREATE DOMAIN small AS integer; CREATE DOMAIN positive AS small CHECK (VALUE > 0);";

fn kinds(bad: bool) -> Own {
    let list = |of: &dyn Fn(&(&str, &str, &str, &str, &str, &str)) -> String| {
        KINDS.iter().map(of).collect::<Vec<_>>().join(", ")
    };
    let mut file = format!(
        "CREATE TABLE kinds(id INTEGER PRIMARY KEY, {});
         CREATE TABLE beside(id INTEGER PRIMARY KEY, v TEXT); INSERT INTO beside VALUES (1, 'x');
         INSERT INTO kinds VALUES (1, {});",
        list(&|k| format!("{} {}", k.0, k.1)),
        list(&|k| k.3.to_owned())
    );
    if bad {
        file.push_str(&format!("INSERT INTO kinds VALUES (2, {});", list(&|k| k.5.to_owned())));
        // The domain refuses the row as a whole.
        file.push_str("INSERT INTO kinds(id, over) VALUES (3, -1);");
    }
    let schema = format!(
        "{TYPES} CREATE TABLE kinds(id bigint PRIMARY KEY, {})",
        list(&|k| format!("{} {}", k.0, k.2))
    );
    Own::new(&file, &schema)
}

#[test]
fn values_become_those_of_the_columns_that_are_there() {
    let own = kinds(true);
    let report = own.assess();
    for (name, _, theirs, _, _, bad) in KINDS.iter().filter(|k| k.0 != "odd") {
        if *bad != "NULL" && *name != "mail" {
            let told = one(&report, "CF0709", "kinds", name);
            assert_eq!((told["rows"].as_u64(), &told["examples"][0]), (Some(1), &"id=2".into()));
        }
        let told = found(&report, "CF0701", "kinds", name).len()
            + found(&report, "CF0708", "kinds", name).len();
        assert_eq!(told, 1, "{name} {theirs}");
    }
    one(&report, "CF0710", "kinds", "odd");
    one(&report, "CF0723", "beside", "");
    let journey = own.start();
    let (code, task, stderr) = journey.order(&["backfill"]);
    assert_eq!((code, task["state"].as_str()), (1, Some("done")), "{stderr}{task}");
    journey.await_status("phase", "mirroring");
    for (name, _, theirs, _, shown, bad) in KINDS {
        let of = |id: u32| {
            own.shadow(&format!(
                "SET timezone = 'UTC'; SELECT {name}::text FROM kinds WHERE id = {id}"
            ))
        };
        if *theirs == "boolean" {
            assert_eq!(of(1), "true");
        } else {
            assert_eq!(of(1), *shown, "{name}");
        }
        let held = own.shadow(&format!(
            "SELECT count(*) FROM crossfade.quarantine WHERE table_name = 'kinds' \
             AND column_name = '{name}' AND row_key LIKE '%2%'"
        ));
        assert_eq!(held, if *bad == "NULL" { "0" } else { "1" }, "{name}");
        assert_eq!(of(2), "", "{name}");
    }
    assert_eq!(own.shadow("SELECT string_agg(id::text, ' ' ORDER BY id) FROM kinds"), "1 2");
    assert_eq!(own.shadow("SELECT v FROM beside"), "x");
    journey.done(&["verify"]);
    // What is written while mirroring goes the same way.
    journey
        .proxy
        .sql("UPDATE kinds SET doc = '[1]', small = 9, mood = 'sad', flag = 0 WHERE id = 2");
    journey.proxy.sql("INSERT INTO kinds(id, words, mail) VALUES (4, '[]', 'x')");
    journey.level();
    assert_eq!(own.shadow("SELECT doc, small, mood, flag FROM kinds WHERE id = 2"), "[1]|9|sad|f");
    assert_eq!(own.shadow("SELECT words, mail FROM kinds WHERE id = 4"), "{}|x");
    journey.done(&["verify"]);
    // Repair writes them, too.
    own.shadow(
        "UPDATE kinds SET mood = 'sad', flag = false WHERE id = 1; DELETE FROM kinds WHERE id = 4",
    );
    journey.done(&["repair"]);
    assert_eq!(own.shadow("SELECT mood, flag FROM kinds WHERE id = 1"), "ok|t");
    journey.done(&["verify"]);
}

#[test]
fn what_is_changed_there_after_the_switch_comes_back() {
    let own = kinds(false);
    let journey = own.start();
    journey.mirror();
    journey.promote();
    own.shadow(
        "UPDATE kinds SET doc = '[2]', flag = false, digit = 0, words = '{x}', raw = 'cd', \
         whole = 4, wide = 8, mood = 'sad', at = '2022-01-01 00:00:00+00', \
         bytes_of = '00000000-0000-0000-0000-000000000001', over = 6",
    );
    journey.rollback();
    assert_eq!(
        own.stored(
            "SELECT doc || ' ' || flag || ' ' || digit || ' ' || words || ' ' || raw || ' ' || \
             whole || ' ' || wide || ' ' || mood || ' ' || substr(at, 1, 10) || ' ' || \
             hex(bytes_of) || ' ' || over FROM kinds"
        ),
        "[2] 0 0 [\"x\"] cd 4.0 8 sad 2022-01-01 00000000000000000000000000000001 6"
    );
    journey.done(&["verify"]);
}

#[test]
fn a_table_that_cannot_be_mapped_is_named_and_the_others_are_copied() {
    let own = Own::new(
        "CREATE TABLE lacks(id INTEGER PRIMARY KEY, v TEXT, w TEXT);
         CREATE TABLE strict(id INTEGER PRIMARY KEY); CREATE TABLE seen(id INTEGER PRIMARY KEY);
         CREATE TABLE good(id INTEGER PRIMARY KEY, v TEXT, sum INTEGER);
         INSERT INTO lacks VALUES (1, 'a', 'b'); INSERT INTO strict VALUES (1);
         INSERT INTO seen VALUES (1); INSERT INTO good VALUES (1, 'a', 5);",
        "CREATE TABLE lacks(id bigint PRIMARY KEY, v text);
         CREATE TABLE strict(id bigint PRIMARY KEY, tenant int NOT NULL);
         CREATE VIEW seen AS SELECT 1::bigint AS id;
         CREATE TABLE good(id bigint PRIMARY KEY, v text, sum int)",
    );
    let report = own.assess();
    one(&report, "CF0703", "lacks", "w");
    one(&report, "CF0704", "strict", "tenant");
    one(&report, "CF0727", "seen", "");
    let journey = own.start();
    let (code, task, stderr) = journey.order(&["backfill"]);
    assert_eq!((code, task["error"]["code"].as_str()), (1, Some("differs")), "{stderr}{task}");
    let said = task["error"]["message"].as_str().unwrap();
    assert!(said.contains("not copied: lacks, seen, strict"), "{said}");
    journey.await_status("phase", "mirroring");
    assert_eq!(own.shadow("SELECT v FROM good"), "a");
    let refused = "SELECT string_agg(table_name, ' ' ORDER BY table_name) FROM crossfade.backfill \
                   WHERE refused IS NOT NULL";
    assert_eq!(own.shadow(refused), "lacks seen strict");
    let (code, task, stderr) = journey.order(&["verify"]);
    assert_eq!(code, 1, "{task}");
    for table in ["lacks", "seen", "strict"] {
        assert!(format!("{stderr}{task}").contains(table), "{stderr}{task}");
    }
    // The switch waits for a decision.
    assert_eq!(journey.promote_once().0, 4);
    // Mended there, the table is copied.
    own.shadow(
        "ALTER TABLE lacks ADD COLUMN w text; ALTER TABLE strict ALTER tenant SET DEFAULT 1",
    );
    own.shadow("DROP VIEW seen");
    journey.done(&["backfill"]);
    journey.await_status("phase", "mirroring");
    assert_eq!(own.shadow("SELECT w FROM lacks"), "b");
    assert_eq!(own.shadow("SELECT count(*) FROM seen"), "1");
    journey.done(&["verify"]);
}

#[test]
fn overrides_are_followed_after_a_copy_that_failed() {
    let own = Own::new(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v INTEGER); INSERT INTO t VALUES (1, 7);
         CREATE TABLE seeded(id INTEGER PRIMARY KEY); INSERT INTO seeded VALUES (1);
         CREATE TABLE late(id INTEGER PRIMARY KEY, v INTEGER); INSERT INTO late VALUES (1, 8);",
        "CREATE TABLE seeded(id bigint PRIMARY KEY); INSERT INTO seeded VALUES (5);
         CREATE TYPE late AS ENUM ('x')",
    );
    let mut journey = own.start();
    let (code, task, stderr) = journey.order(&["backfill"]);
    assert_ne!(code, 0);
    let told = format!("{stderr}{task}");
    assert!(told.contains("TRUNCATE") && told.contains("seeded"), "{told}");
    assert_eq!(journey.proxy.terminate(), Some(0));
    own.shadow("TRUNCATE seeded");
    let mut journey = own.start_with("[tables.t]\ncolumns = { v = \"integer\" }\n");
    let (_, task, stderr) = journey.order(&["backfill"]);
    assert!(
        task["error"]["message"].as_str().unwrap().ends_with("not copied: late"),
        "{stderr}{task}"
    );
    journey.await_status("phase", "mirroring");
    let ty = |table: &str| {
        own.shadow(&format!(
            "SELECT format_type(atttypid, -1) FROM pg_attribute \
             WHERE attrelid = '{table}'::regclass AND attname = 'v'"
        ))
    };
    assert_eq!(ty("t"), "integer");
    // A table that was left out holds no copy: what is said of it is followed, too.
    assert_eq!(journey.proxy.terminate(), Some(0));
    own.shadow("DROP TYPE late");
    let journey = own.start_with(
        "[tables.t]\ncolumns = { v = \"bigint\" }\n[tables.late]\ncolumns = { v = \"smallint\" }\n",
    );
    assert_eq!(journey.proxy.sql("SELECT pg_typeof(v) FROM late"), "smallint");
    // The other one's waits: PostgreSQL holds a copy of it.
    assert_eq!(journey.proxy.sql("SELECT pg_typeof(v) FROM t"), "integer");
    journey.done(&["backfill", "late"]);
    assert_eq!(ty("late"), "smallint");
    journey.await_status("phase", "mirroring");
    journey.done(&["verify"]);
}

#[test]
fn keys_take_other_integer_types_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (file, config) = (folder.path().join("app.db"), folder.path().join("proxy.toml"));
    rusqlite::Connection::open(&file)
        .unwrap()
        .execute_batch(
            "CREATE TABLE a(id INTEGER PRIMARY KEY, v TEXT); INSERT INTO a VALUES (1, 'x');
             CREATE TABLE b(id INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO b VALUES (3);
             CREATE TABLE c(id INTEGER PRIMARY KEY, v TEXT); INSERT INTO c VALUES (4, 'y');
             CREATE TABLE d(id INTEGER PRIMARY KEY); INSERT INTO d VALUES (5), (3000000000);
             CREATE TABLE e(k TEXT PRIMARY KEY); INSERT INTO e VALUES ('7');",
        )
        .unwrap();
    let text = "[tables.a]\ncolumns = { id = \"integer\" }\n[tables.b]\ncolumns = { id = \"smallint\" }\n\
         [tables.c]\ncolumns = { id = \"text\" }\n[tables.d]\ncolumns = { id = \"integer\" }\n\
         [tables.e]\ncolumns = { k = \"numeric\" }\n";
    std::fs::write(&config, text).unwrap();
    let (_, out, _) = crossfade(&[
        "assess",
        file.to_str().unwrap(),
        "--json",
        "--config",
        config.to_str().unwrap(),
    ]);
    let report: Value = serde_json::from_str(&out).unwrap();
    one(&report, "CF0119", "c", "id");
    assert_eq!(one(&report, "CF0115", "d", "id")["rows"], 1);
    let database = Pg::shared().database("keys");
    let url = Pg::shared().cluster.url(&database);
    let proxy = crate::common::Proxy::on_file(
        &file,
        &["--postgres", &url, "--config", config.to_str().unwrap()],
    );
    let journey = Journey { proxy, url, database };
    let (_, task, stderr) = journey.order(&["backfill"]);
    assert_eq!(task["state"], "done", "{stderr}{task}");
    assert!(format!("{stderr}{task}").contains("override text is not followed"), "{stderr}{task}");
    journey.await_status("phase", "mirroring");
    let shadow = |sql: &str| Pg::shared().cluster.psql(&journey.database, sql).unwrap();
    let types = "SELECT string_agg(format_type(atttypid, -1), ' ' ORDER BY c.relname) \
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND attnum = 1 \
        WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace";
    assert_eq!(shadow(types), "integer smallint bigint integer numeric");
    journey.done(&["verify"]);
    // Numbers go on, here and there.
    for table in ["a", "b", "c"] {
        journey.proxy.sql(&format!("INSERT INTO {table} DEFAULT VALUES"));
    }
    journey.level();
    assert_eq!(
        shadow("SELECT (SELECT max(id) FROM a), (SELECT max(id) FROM b), (SELECT max(id) FROM c)"),
        "2|4|5"
    );
    assert_eq!(shadow("SELECT id FROM d"), "5");
    journey.done(&["verify"]);
}

#[test]
fn differences_of_the_schemas_are_listed() {
    let own = Own::new(
        "CREATE TABLE parent(id INTEGER PRIMARY KEY, name TEXT UNIQUE, k INTEGER, state TEXT DEFAULT 'new');
         CREATE TABLE child(id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parent(id), n INTEGER CHECK (n > 0),
           note TEXT, other INTEGER, mail TEXT);
         CREATE INDEX by_note ON child(note);
         INSERT INTO parent VALUES (1, 'a', 1, 'x'), (2, 'b', 2, 'y');
         INSERT INTO child VALUES (1, 1, 1, NULL, 1, 'A@b'), (2, 2, 1, 'y', 77, 'a@B'), (3, 2, 5, 'z', 1, 'c');",
        "CREATE EXTENSION IF NOT EXISTS citext;
         CREATE TABLE parent(id bigint PRIMARY KEY, k bigint UNIQUE, name text, state text, extra int DEFAULT 1);
         CREATE TABLE child(id bigint, parent bigint, n bigint, note text NOT NULL, other bigint REFERENCES parent(id),
           mail citext UNIQUE, CHECK (other < 100));
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
         CREATE TRIGGER own BEFORE INSERT ON child FOR EACH ROW EXECUTE FUNCTION f();",
    );
    let report = own.assess();
    one(&report, "CF0713", "parent", "parent_name_key");
    one(&report, "CF0717", "parent", "parent_k_key");
    one(&report, "CF0720", "parent", "state");
    one(&report, "CF0721", "parent", "id");
    one(&report, "CF0724", "parent", "");
    one(&report, "CF0729", "parent", "extra");
    one(&report, "CF0712", "child", "child_pkey");
    one(&report, "CF0714", "child", "by_note");
    one(&report, "CF0715", "child", "child_parent_fkey");
    one(&report, "CF0716", "child", "child_n_check");
    one(&report, "CF0719", "child", "child_other_check");
    one(&report, "CF0722", "child", "own");
    let nulls = one(&report, "CF0711", "child", "note");
    assert_eq!((nulls["rows"].as_u64(), &nulls["examples"][0]), (Some(1), &"id=1".into()));
    let twice = one(&report, "CF0717", "child", "child_mail_key");
    assert_eq!(twice["rows"], 2, "{twice}");
    let orphans = one(&report, "CF0718", "child", "child_other_fkey");
    assert_eq!((orphans["rows"].as_u64(), &orphans["examples"][0]), (Some(1), &"id=2".into()));
    // Of tables that are there only what rows are told apart by is made.
    let ddl = report["ddl"].as_array().unwrap().iter().map(|d| d["sql"].as_str().unwrap());
    let ddl: Vec<&str> = ddl.filter(|sql| !sql.contains("crossfade")).collect();
    assert_eq!(
        ddl,
        ["ALTER TABLE \"public\".\"child\" ADD CONSTRAINT \"child_pkey\" PRIMARY KEY (\"id\")"]
    );
    // The copy follows what is promised, and tells it.
    let journey = own.start();
    let (_, task, stderr) = journey.order(&["backfill"]);
    assert_eq!(task["state"], "done", "{stderr}{task}");
    let told = format!("{stderr}{task}");
    assert!(told.contains("rows without a parent: 1;"), "{told}");
    assert!(told.contains("nothing keeps name unique"), "{told}");
    journey.await_status("phase", "mirroring");
    // The key by which rows are told apart was made.
    let made =
        "SELECT count(*) FROM pg_constraint WHERE conrelid = 'child'::regclass AND contype = 'p'";
    assert_eq!(own.shadow(made), "1");
    assert_eq!(own.shadow("SELECT string_agg(id::text, ' ' ORDER BY id) FROM child"), "2 3");
    journey.done(&["verify"]);
}

/// Repair needs no unique index of PostgreSQL's, and cures a key that it has twice.
#[test]
fn repair_works_without_the_key() {
    let own = Own::new(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c');
         CREATE TABLE p(id INTEGER PRIMARY KEY, at DATE NOT NULL, v TEXT);
         INSERT INTO p VALUES (1, '2021-01-01', 'a'), (2, '2021-02-01', 'b'), (3, '2021-03-01', 'c');",
        "SELECT 1",
    );
    let journey = own.start_with("[tables.p]\npartition_by = \"RANGE (at) EVERY month\"\n");
    journey.mirror();
    own.shadow(
        "ALTER TABLE t DROP CONSTRAINT t_pkey; INSERT INTO t VALUES (1, 'a'), (2, 'other');
         UPDATE t SET v = 'wrong' WHERE id = 3",
    );
    // Rows of one key, in two partitions; and one that lies in another.
    own.shadow("INSERT INTO p VALUES (1, '2021-02-05', 'twice')");
    own.shadow("UPDATE p SET at = '2021-05-01' WHERE id = 2; DELETE FROM p WHERE id = 3");
    let (code, task, _) = journey.order(&["verify"]);
    assert_eq!(code, 1, "{task}");
    journey.done(&["repair"]);
    assert_eq!(own.shadow("SELECT string_agg(id || v, ' ' ORDER BY id) FROM t"), "1a 2b 3c");
    assert_eq!(
        own.shadow("SELECT string_agg(id || v || at, ' ' ORDER BY id) FROM p"),
        "1a2021-01-01 2b2021-02-01 3c2021-03-01"
    );
    journey.done(&["verify"]);
}

/// No write changes what PostgreSQL computes: it is not said to be repaired.
#[test]
fn what_postgresql_computes_otherwise_is_not_said_to_be_repaired() {
    let own = Own::new(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, b INTEGER AS (a + 1) STORED);
         INSERT INTO t(id, a) VALUES (1, 1), (2, 2), (3, 3);",
        "SELECT 1",
    );
    let journey = own.start();
    journey.mirror();
    own.shadow(
        "ALTER TABLE t DROP COLUMN b; ALTER TABLE t ADD COLUMN b bigint GENERATED ALWAYS AS (a + 2) \
         STORED; UPDATE t SET a = 7 WHERE id = 3",
    );
    let (code, task, stderr) = journey.order(&["repair"]);
    let said = format!("{task}{stderr}");
    assert_eq!(code, 1, "{said}");
    let wanted = "0 missing, 1 changed, 0 extra rows; still, 3 of 3 rows differ in t (PostgreSQL \
                  computes t.b otherwise: its definition there is another one)";
    assert!(said.contains(wanted), "{said}");
    assert_eq!(own.shadow("SELECT string_agg(a::text, ' ' ORDER BY id) FROM t"), "1 2 3");
    let (_, task, stderr) = journey.order(&["repair", "--dry-run"]);
    assert!(format!("{task}{stderr}").contains("would write 0 missing, 0 changed"), "{task}");
    own.shadow(
        "ALTER TABLE t DROP COLUMN b; \
         ALTER TABLE t ADD COLUMN b bigint GENERATED ALWAYS AS (a + 1) STORED",
    );
    journey.done(&["repair"]);
    journey.done(&["verify"]);
}

/// While the way back is probed a table can lose its key, and be updated all the same.
#[test]
fn a_probe_of_the_way_back_keeps_nobody_from_updating() {
    let own = Own::new(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'a')",
        "SELECT 1",
    );
    let journey = own.start();
    journey.mirror();
    std::thread::scope(|scope| {
        // The probe's slot waits for it.
        scope.spawn(|| {
            own.shadow("BEGIN; SELECT pg_current_xact_id(); SELECT pg_sleep(8); COMMIT");
        });
        let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                    AND query LIKE '%pg_sleep(8)%' AND pid <> pg_backend_pid() \
                    AND backend_xid IS NOT NULL";
        eventually("a transaction is open", || own.shadow(open) != "0");
        scope.spawn(|| journey.done(&["verify"]));
        let published = "SELECT count(*) FROM pg_publication";
        eventually("the probe has published", || own.shadow(published) == "1");
        own.shadow("ALTER TABLE t DROP CONSTRAINT t_pkey; UPDATE t SET v = 'b'");
    });
    journey.done(&["repair"]);
    assert_eq!(own.shadow("SELECT v FROM t"), "a");
    journey.done(&["verify"]);
}

/// Values that a type in proxy.toml does not hold.
#[test]
fn overrides_are_checked_against_the_data() {
    let folder = tempfile::tempdir().unwrap();
    let report = |columns: &str, overrides: &str, rows: &str| {
        let (file, config) = (folder.path().join("app.db"), folder.path().join("proxy.toml"));
        drop(std::fs::remove_file(&file));
        let made = format!(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, {columns}); INSERT INTO t VALUES {rows}"
        );
        rusqlite::Connection::open(&file).unwrap().execute_batch(&made).unwrap();
        std::fs::write(&config, format!("[tables.t]\ncolumns = {{ {overrides} }}\n")).unwrap();
        assess(&file, &config)
    };
    for (columns, overrides, rows, id) in [
        ("v TEXT", "v = \"varchar(5)\"", "(1, 'abc'), (2, 'abcdef')", "CF0118"),
        ("v REAL", "v = \"numeric(5,2)\"", "(1, 1.25), (2, 1.255)", "CF0119"),
        ("v REAL", "v = \"numeric(5,2) stored as number\"", "(1, 1.25), (2, 12345.5)", "CF0118"),
        ("v INTEGER", "v = \"smallint\"", "(1, 5), (2, 100000)", "CF0115"),
        ("v TEXT", "v = \"date\"", "(1, '2020-01-01'), (2, '2020-01-01 10:00:00')", "CF0120"),
        ("v TEXT", "v = \"date\"", "(1, '2020-01-01'), (2, 'soon')", "CF0115"),
        (
            "v TEXT",
            "v = \"jsonb\"",
            "(1, '{\"b\": 1,\"a\":2}'), (2, '{\"a\":1,\"a\":2}')",
            "CF0118",
        ),
        ("v TEXT", "v = \"char(3)\"", "(1, 'abc'), (2, 'abcd')", "CF0118"),
    ] {
        let report = report(columns, overrides, rows);
        let told = one(&report, id, "t", "v");
        assert_eq!(
            (told["rows"].as_u64(), &told["examples"][0]),
            (Some(1), &"id=2".into()),
            "{overrides}"
        );
        assert_ne!(report["grade"], "A", "{overrides}");
    }
}

fn assess(file: &Path, config: &Path) -> Value {
    let (_, out, err) = crossfade(&[
        "assess",
        file.to_str().unwrap(),
        "--json",
        "--config",
        config.to_str().unwrap(),
    ]);
    serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{err}"))
}

/// Foreign keys to keys that SQLite compares without letter case.
#[test]
fn parents_by_a_collation() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    rusqlite::Connection::open(&file)
        .unwrap()
        .execute_batch(
            "PRAGMA foreign_keys = OFF; CREATE TABLE p(code TEXT COLLATE NOCASE PRIMARY KEY);
             CREATE TABLE c(id INTEGER PRIMARY KEY, code TEXT REFERENCES p(code));
             CREATE TABLE q(id INTEGER PRIMARY KEY, mail TEXT COLLATE NOCASE UNIQUE);
             CREATE TABLE d(id INTEGER PRIMARY KEY, mail TEXT REFERENCES q(mail), b TEXT REFERENCES q(b));
             INSERT INTO p VALUES ('AbC'), ('x'); INSERT INTO q VALUES (1, 'A@b');
             INSERT INTO c VALUES (1, 'abc'), (2, 'x'), (3, 'none'); INSERT INTO d VALUES (1, 'a@B', NULL), (2, 'zz', NULL);",
        )
        .unwrap();
    let none = folder.path().join("none.toml");
    std::fs::write(&none, "").unwrap();
    let report = assess(&file, &none);
    let orphan = one(&report, "CF0302", "c", "code");
    assert_eq!(orphan["examples"], serde_json::json!(["id=3"]));
    let spelled = one(&report, "CF0317", "c", "code");
    assert_eq!(spelled["examples"], serde_json::json!(["id=1"]));
    assert!(one(&report, "CF0318", "d", "mail")["message"].as_str().unwrap().contains("\"q\""));
    assert!(found(&report, "CF0303", "d", "mail").is_empty());
    one(&report, "CF0303", "d", "b");
}

/// Keys that differ on SQLite and are one on PostgreSQL: no row is written over another.
#[test]
fn a_coarser_key_writes_no_row_over_another() {
    let own = Own::new(
        "CREATE TABLE t(k TEXT PRIMARY KEY, v TEXT); INSERT INTO t VALUES ('a', 'one'), ('b', 'two');",
        "CREATE EXTENSION IF NOT EXISTS citext; CREATE TABLE t(k citext PRIMARY KEY, v text)",
    );
    let journey = own.start();
    journey.mirror();
    journey.proxy.sql("INSERT INTO t VALUES ('A', 'other')");
    journey.proxy.sql("INSERT INTO t VALUES ('c', 'three')");
    journey.level();
    let all = "SELECT string_agg(k || v, ' ' ORDER BY k) FROM t";
    assert_eq!(own.shadow(all), "aone btwo cthree");
    let held =
        "SELECT count(*) FROM crossfade.quarantine WHERE column_name = '' AND row_key LIKE '%A%'";
    assert_eq!(own.shadow(held), "1");
    journey.done(&["verify"]);
    // When the other one goes, it comes.
    journey.proxy.sql("DELETE FROM t WHERE k = 'a'");
    journey.proxy.sql("UPDATE t SET v = 'now' WHERE k = 'A'");
    journey.level();
    assert_eq!(own.shadow(all), "Anow btwo cthree");
    journey.done(&["verify"]);
}

/// A table that is not served at all is named by verify, until that is accepted.
#[test]
fn verify_names_a_table_that_was_not_copied() {
    let columns: Vec<String> = (0..1700).map(|n| format!("c{n}")).collect();
    let wide =
        format!("CREATE TABLE wide({}); INSERT INTO wide(c1) VALUES (1);", columns.join(", "));
    let own = Own::new(
        &format!("{wide} CREATE TABLE t(id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1);"),
        "SELECT 1",
    );
    let journey = own.start();
    let (code, task, _) = journey.order(&["backfill"]);
    assert_eq!(code, 1, "{task}");
    journey.await_status("phase", "mirroring");
    let (code, task, stderr) = journey.order(&["verify"]);
    assert_eq!(code, 1, "{task}");
    assert!(format!("{stderr}{task}").contains("not compared: wide"), "{stderr}{task}");
    let all = journey.get("/api/v1/divergences");
    for one in all["divergences"].as_array().unwrap() {
        let id = one["id"].as_str().unwrap();
        let (code, out, err) =
            journey.proxy.cli(&["divergences", "accept", id, "--reason", "stays in the file"]);
        assert_eq!(code, 0, "{out}{err}");
    }
    let task = journey.done(&["verify"]);
    assert!(task["result"].as_str().unwrap().contains("not on PostgreSQL: wide"), "{task}");
}

/// A primary key of the migrations' own over other columns; and one that cannot be made.
#[test]
fn keys_beside_those_that_are_there() {
    let own = Own::new(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'b');
         CREATE TABLE p(id INTEGER PRIMARY KEY, at TEXT NOT NULL); INSERT INTO p VALUES (1, '2021-01-01');",
        "CREATE TABLE t(tenant int NOT NULL DEFAULT 1, id bigint, v text, PRIMARY KEY (tenant, id));
         CREATE TABLE p(id bigint NOT NULL, at date NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
         CREATE TABLE p1 PARTITION OF p DEFAULT",
    );
    let journey = own.start();
    let (_, task, stderr) = journey.order(&["backfill"]);
    assert_eq!(task["state"], "done", "{stderr}{task}");
    journey.await_status("phase", "mirroring");
    journey.proxy.sql("INSERT INTO t VALUES (3, 'c')");
    journey.proxy.sql("UPDATE t SET id = 4 WHERE id = 2");
    journey.proxy.sql("INSERT INTO p VALUES (2, '2022-01-01')");
    journey.proxy.sql("UPDATE p SET at = '2023-01-01' WHERE id = 1");
    journey.level();
    assert_eq!(own.shadow("SELECT string_agg(id || v, ' ' ORDER BY id) FROM t"), "1a 3c 4b");
    assert_eq!(
        own.shadow("SELECT string_agg(id || '@' || at, ' ' ORDER BY id) FROM p"),
        "1@2023-01-01 2@2022-01-01"
    );
    own.shadow("UPDATE t SET v = 'x'; DELETE FROM p WHERE id = 2");
    assert_eq!(journey.order(&["verify"]).0, 1);
    journey.done(&["repair"]);
    journey.done(&["verify"]);
    assert_eq!(journey.status("health"), "ok");
}

/// A control role that may write the tables and is no superuser: foreign keys act on the rows.
#[test]
fn a_plain_role_and_rights_that_lack() {
    let role = format!("plain{}", std::process::id());
    let own = Own::new(
        "PRAGMA foreign_keys = OFF;
         CREATE TABLE a(id INTEGER PRIMARY KEY, v TEXT); CREATE TABLE b(id INTEGER PRIMARY KEY, a INTEGER REFERENCES a(id));
         CREATE TABLE locked(id INTEGER PRIMARY KEY);
         INSERT INTO a VALUES (1, 'x'); INSERT INTO b VALUES (1, 1); INSERT INTO locked VALUES (1);",
        &format!(
            "CREATE ROLE {role} LOGIN; CREATE TABLE locked(id bigint PRIMARY KEY);
             SET ROLE {role}; RESET ROLE;
             CREATE TABLE a(id bigint PRIMARY KEY, v text); CREATE TABLE b(id bigint PRIMARY KEY, a bigint REFERENCES a(id));
             ALTER TABLE a OWNER TO {role}; ALTER TABLE b OWNER TO {role};
             GRANT CREATE ON SCHEMA public TO {role}; GRANT SELECT ON locked TO {role};"
        ),
    );
    let base = own.shadow("SELECT current_database()");
    own.shadow(&format!("GRANT CREATE ON DATABASE \"{base}\" TO {role}"));
    let url = own.url.replacen("postgres@", &format!("{role}@"), 1);
    assert_ne!(url, own.url);
    let file = own.file();
    let (_, out, err) =
        crossfade(&["assess", file.to_str().unwrap(), "--json", "--postgres", &url]);
    let report: Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{err}"));
    assert!(one(&report, "CF0726", "locked", "")["message"].as_str().unwrap().contains("INSERT"));
    let proxy = crate::common::Proxy::on_file(&file, &["--postgres", &url]);
    let journey = Journey { proxy, url, database: own.database.clone() };
    let (_, task, stderr) = journey.order(&["backfill"]);
    assert!(
        task["error"]["message"].as_str().unwrap_or_default().contains("not copied: locked"),
        "{stderr}{task}"
    );
    assert_eq!(own.shadow("SELECT (SELECT v FROM a) || (SELECT a FROM b)"), "x1");
    assert_eq!(own.shadow("SELECT count(*) FROM locked"), "0");
}
