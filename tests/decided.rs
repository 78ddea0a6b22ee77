//! What `[tables.NAME]` decides, from the file to PostgreSQL and back: partitions, indexes, names,
//! and what stops a copy.

use std::path::Path;

use crate::common::{Journey, Pg, crossfade, eventually};

/// A proxy on a file with a configuration; (its folder is kept as long as it).
fn served(sql: &str, config: &str) -> (tempfile::TempDir, Journey) {
    served_with(sql, config, "auto")
}

/// The same, with a way back of one kind.
fn served_with(sql: &str, config: &str, way_back: &str) -> (tempfile::TempDir, Journey) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    rusqlite::Connection::open(&file).unwrap().execute_batch(sql).unwrap();
    let path = folder.path().join("proxy.toml");
    std::fs::write(&path, config).unwrap();
    let envs = [("CROSSFADE_CONFIG", text(&path)), ("CROSSFADE_POSTGRES_WAY_BACK", way_back)];
    let journey = Journey::start(&file, Pg::shared(), &envs);
    (folder, journey)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn shadow(journey: &Journey, sql: &str) -> String {
    Pg::shared().cluster.psql(&journey.database, sql).unwrap()
}

#[test]
fn a_table_partitioned_by_time_goes_there_and_back() {
    partitioned_by_time("decoding");
}

/// Rows that triggers of partitions write are those of their table.
#[test]
fn a_table_partitioned_by_time_comes_back_by_triggers() {
    partitioned_by_time("triggers");
}

fn partitioned_by_time(way_back: &str) {
    let (_folder, journey) = served_with(
        "CREATE TABLE flight(id INTEGER PRIMARY KEY, seen DATETIME NOT NULL, alt INTEGER);
         CREATE TABLE raw(at INTEGER, line TEXT);
         INSERT INTO flight VALUES (1, '2024-01-31 23:59:59', 10), (2, '2024-02-01 00:00:00', 20),
           (3, '2024-04-15 12:00:00', 30);
         INSERT INTO raw VALUES (5, 'same'), (15, 'same'), (NULL, 'same'), (NULL, 'same');",
        "[tables.flight]\npartition_by = \"RANGE (seen) EVERY month\"\n\
         indexes = [\"USING brin (seen)\"]\n\
         [tables.raw]\npartition_by = \"RANGE (at) EVERY 10\"\n",
        way_back,
    );
    journey.mirror();
    let of = |table: &str| {
        shadow(
            &journey,
            &format!(
                "SELECT tableoid::regclass::text, count(*) FROM {table} GROUP BY 1 ORDER BY 1"
            ),
        )
    };
    assert_eq!(of("flight"), "flight_p202401|1\nflight_p202402|1\nflight_p202404|1");
    assert_eq!(of("raw"), "raw_p0|1\nraw_p10|1\nraw_rest|2");
    let index = "SELECT count(*) FROM pg_indexes WHERE tablename = 'flight' AND indexdef ~ 'brin'";
    assert_eq!(shadow(&journey, index), "1");
    // Mirrored, from one partition to the next, beyond the last, and one of equal rows.
    journey.proxy.sql("INSERT INTO flight VALUES (4, '2024-03-01 00:00:00', 40)");
    journey.proxy.sql("UPDATE flight SET seen = '2024-03-02 00:00:00', alt = 11 WHERE id = 1");
    journey.proxy.sql("UPDATE flight SET seen = '2031-01-01 00:00:00' WHERE id = 2");
    journey.proxy.sql("DELETE FROM raw WHERE at = 5");
    journey.proxy.sql("INSERT INTO raw VALUES (15, 'same'), (16, 'x')");
    journey.done(&["verify"]);
    assert_eq!(of("flight"), "flight_p202403|2\nflight_p202404|1\nflight_rest|1");
    journey.promote();
    journey.proxy.sql("INSERT INTO flight VALUES (5, '2024-05-01 00:00:00', 50)");
    journey.proxy.sql("UPDATE flight SET seen = '2024-06-01 00:00:00' WHERE id = 5");
    journey.proxy.sql("DELETE FROM flight WHERE id = 3");
    journey.proxy.sql("UPDATE raw SET line = 'y' WHERE at = 16");
    // A new partition is nothing to SQLite; its rows are those of the table.
    journey.proxy.sql(
        "CREATE TABLE flight_next PARTITION OF flight FOR VALUES FROM ('2040-01-01') TO ('2041-01-01');
         INSERT INTO flight VALUES (6, '2040-02-01 00:00:00', 60), (7, '2040-03-01 00:00:00', 70);
         UPDATE flight SET alt = 61 WHERE id = 6; DELETE FROM flight WHERE id = 7",
    );
    journey.rollback();
    assert_eq!(
        journey.proxy.sql("SELECT id, seen FROM flight ORDER BY id"),
        "1|2024-03-02 00:00:00\n2|2031-01-01 00:00:00\n4|2024-03-01 00:00:00\n\
         5|2024-06-01 00:00:00\n6|2040-02-01 00:00:00"
    );
    assert_eq!(journey.proxy.sql("SELECT line FROM raw WHERE at = 16"), "y");
    journey.done(&["verify"]);
}

#[test]
fn what_cannot_be_partitioned_is_said() {
    let (_folder, journey) = served(
        "CREATE TABLE a(id INTEGER PRIMARY KEY, t TEXT); CREATE TABLE b(id INTEGER PRIMARY KEY, n INTEGER);
         INSERT INTO a VALUES (1, 'x'); INSERT INTO b VALUES (1, 2);",
        "[tables.a]\npartition_by = \"RANGE (t)\"\n[tables.b]\npartition_by = \"RANGE (n)\"\n",
    );
    let (code, out, err) = journey.proxy.cli(&["backfill"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("neither dates, moments nor integers"), "{out}");
    assert!(out.contains("needs EVERY with a number"), "{out}");
    assert_eq!(shadow(&journey, "SELECT count(*) FROM pg_class WHERE relkind = 'p'"), "0");
}

#[test]
fn spans_beyond_the_type_go_to_the_rest() {
    let (_folder, journey) = served(
        "CREATE TABLE a(id INTEGER PRIMARY KEY, n INT4); CREATE TABLE b(id INTEGER PRIMARY KEY, n SMALLINT);
         INSERT INTO a VALUES (1, 2147483600), (2, -2147483600), (3, 7);
         INSERT INTO b VALUES (1, 32000), (2, 100);",
        "[tables.a]\npartition_by = \"RANGE (n) EVERY 200000000\"\ncolumns = { n = \"integer\" }\n\
         [tables.b]\npartition_by = \"RANGE (n) EVERY 5000\"\ncolumns = { n = \"smallint\" }\n",
    );
    journey.mirror();
    let parts = "SELECT tableoid::regclass::text FROM a UNION ALL \
                 SELECT tableoid::regclass::text FROM b ORDER BY 1";
    assert_eq!(shadow(&journey, parts), "a_p0\na_rest\na_rest\nb_p0\nb_rest");
}

#[test]
fn names_are_given_when_the_file_is_taken_over() {
    let (_folder, journey) = served(
        "CREATE TABLE \"Meine Daten\"(id INTEGER PRIMARY KEY, \"Größe (cm)\" INTEGER);
         CREATE TABLE child(p INTEGER REFERENCES \"Meine Daten\"(id));
         INSERT INTO \"Meine Daten\" VALUES (1, 180); INSERT INTO child VALUES (1);",
        "[tables.\"Meine Daten\"]\nname = \"person\"\ncolumn_names = { \"Größe (cm)\" = \"height\" }\n",
    );
    assert_eq!(journey.proxy.sql("SELECT height FROM person"), "180");
    journey.mirror();
    journey.proxy.sql("INSERT INTO person(height) VALUES (190)");
    journey.done(&["verify"]);
    assert_eq!(
        shadow(&journey, "SELECT string_agg(height::text, ',' ORDER BY id) FROM person"),
        "180,190"
    );
    let keys = "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND convalidated";
    assert_eq!(shadow(&journey, keys), "1");
}

#[test]
fn a_value_that_does_not_fit_ends_the_copy_where_a_person_says_so() {
    let (_folder, journey) = served(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER, m INTEGER);
         CREATE TABLE other(id INTEGER PRIMARY KEY);
         INSERT INTO t VALUES (1, 5, 'y'), (2, 'x', 6); INSERT INTO other VALUES (1);",
        "[tables.t]\ncolumns = { n = \"bigint\", m = \"bigint\" }\nrefuse = [\"n\"]\n",
    );
    let (code, out, err) = journey.proxy.cli(&["backfill"]);
    assert_eq!(code, 1, "{out}{err}");
    let told = format!("{out}{err}");
    assert!(told.contains("column \"n\" of row {\"id\":\"2\"} does not fit"), "{told}");
    assert_eq!(
        shadow(&journey, "SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM other)"),
        "0|1"
    );
    // Mended, it goes on; what is not named goes to the quarantine as ever.
    journey.proxy.sql("DELETE FROM t WHERE id = 2");
    let (code, out, err) = journey.proxy.cli(&["backfill", "--resume"]);
    assert_eq!(code, 1, "a copy that is not whole says so: {out}{err}");
    assert!(out.contains("1 in quarantine") && err.contains("crossfade divergences"), "{out}{err}");
}

#[test]
fn copying_waits_until_nobody_else_writes_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let setup = "CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER)";
    rusqlite::Connection::open(&file).unwrap().execute_batch(setup).unwrap();
    let envs = [("CROSSFADE_MIRROR_QUIET_MS", "1000")];
    let journey = Journey::start(&file, Pg::shared(), &envs);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let foreign = rusqlite::Connection::open(&file).unwrap();
            foreign.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
            let mut rows = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                foreign.execute("INSERT INTO t(n) VALUES (1)", []).unwrap();
                rows += 1;
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            rows
        });
        eventually("it is counted", || journey.status("foreign_writes") != "0");
        let (code, out, err) = journey.proxy.cli(&["backfill"]);
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        let rows = writer.join().unwrap();
        assert_eq!(code, 1, "{out}{err}");
        assert!(format!("{out}{err}").contains("still write to the SQLite file"), "{out}{err}");
        assert_eq!(journey.status("phase"), "direct");
        journey.mirror();
        assert_eq!(shadow(&journey, "SELECT count(*) FROM t"), rows.to_string());
    });
}

#[test]
fn the_file_is_backed_up_before_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let backup = folder.path().join("before.db");
    let setup = "CREATE TABLE t(id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)";
    rusqlite::Connection::open(&file).unwrap().execute_batch(setup).unwrap();
    let mut proxy = crate::common::Proxy::on_file(&file, &["--backup", text(&backup)]);
    proxy.sql("INSERT INTO t VALUES (2)");
    proxy.restart();
    assert_eq!(proxy.sql("SELECT count(*) FROM t"), "2");
    let kept = rusqlite::Connection::open(&backup).unwrap();
    let rows = kept.query_row("SELECT count(*) FROM t", [], |r| r.get::<_, i64>(0)).unwrap();
    let tables = "SELECT count(*) FROM sqlite_schema WHERE name LIKE '\\_crossfade%' ESCAPE '\\'";
    let ours = kept.query_row(tables, [], |r| r.get::<_, i64>(0)).unwrap();
    assert_eq!((rows, ours), (1, 0));
}

const MIXED: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER, d DATE, b BOOLEAN, s TEXT,
      m INTEGER NOT NULL);
    INSERT INTO t VALUES (1, 42, '2024-01-05', 1, 'a', 1), (2, 'x', 'now', 2, x'37', 1),
      (3, '', ' 2024-1-6', 'true', 'c', ''), (4, 3.5, '2024-01-07 10:00', 'f', 'd', 4);
    CREATE TABLE u(id INTEGER PRIMARY KEY, n);
    INSERT INTO u VALUES (1, ' 42 '), (2, 7), (3, '+8.0'), (4, 'none');";

#[test]
fn values_are_coerced_where_a_person_says_so() {
    let (_folder, journey) = served(
        MIXED,
        "[tables.t]\ncolumns = { s = \"text\" }\ncoerce = [\"n\", \"d\", \"b\", \"s\"]\n\
         empty_is_null = [\"m\"]\n[tables.u]\ncolumns = { n = \"integer\" }\ncoerce = [\"n\"]\n",
    );
    // What the proxy answers from the file is what PostgreSQL will.
    let read = "SELECT id, n FROM u WHERE id < 4 ORDER BY id";
    assert_eq!(journey.proxy.sql(read), "1|42\n2|7\n3|8");
    assert_eq!(journey.proxy.sql("SELECT id FROM u WHERE id < 4 AND n = 42"), "1");
    assert_eq!(journey.proxy.sql("SELECT count(*), count(m) FROM t WHERE m IS NULL"), "1|0");
    assert_eq!(
        journey.proxy.sql("SELECT id, d, b FROM t WHERE id IN (1, 3) ORDER BY id, d"),
        "1|2024-01-05|t\n3|2024-01-06|t"
    );
    let (code, out, err) = journey.proxy.cli(&["backfill"]);
    // The exit code says that some are in quarantine.
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.contains("in quarantine, 7 coerced"), "{out}{err}");
    assert!(err.contains("u.n: 2 coerced"), "{out}{err}");
    assert!(err.contains("t.m: 1 coerced"), "{out}{err}");
    assert_eq!(shadow(&journey, "SELECT id, n FROM u ORDER BY id"), "1|42\n2|7\n3|8\n4|");
    assert_eq!(
        shadow(&journey, "SELECT id, n, d, b, s, m FROM t ORDER BY id"),
        "1|42|2024-01-05|t|a|1\n2||||7|1\n3||2024-01-06|t|c|\n4|||f|d|4"
    );
    let held = "SELECT table_name, row_key, column_name FROM crossfade.quarantine ORDER BY id";
    let wanted = "t|{\"id\":\"2\"}|n\nt|{\"id\":\"2\"}|d\nt|{\"id\":\"2\"}|b\nt|{\"id\":\"3\"}|n\n\
                  t|{\"id\":\"4\"}|n\nt|{\"id\":\"4\"}|d\nu|{\"id\":\"4\"}|n";
    assert_eq!(shadow(&journey, held), wanted);
    let tasks = journey.get("/api/v1/tasks").to_string();
    assert!(tasks.contains("\"coerced\":[{\"column\":\"n\",\"values\":2}]"), "{tasks}");
    // The applier goes by the same rule, and verify counts them.
    journey.proxy.sql("UPDATE u SET id = id + 10 WHERE id IN (1, 4)");
    journey.proxy.sql("UPDATE t SET s = s || '!' WHERE id = 3");
    let (code, out, err) = journey.proxy.cli(&["verify"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("7 values as coerced"), "{out}{err}");
    assert_eq!(shadow(&journey, "SELECT id, n FROM u ORDER BY id"), "2|7\n3|8\n11|42\n14|");
}

#[test]
fn a_column_is_coerced_or_stored_in_a_form() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy.toml");
    let text = "[sqlite]\npath = \"x.db\"\n[tables.t]\ncoerce = [\"at\"]\n\
                columns = { at = \"timestamptz stored as unix-seconds\" }\n";
    std::fs::write(&path, text).unwrap();
    let (code, out, err) = crossfade(&["check", "--config", path.to_str().unwrap()]);
    assert_eq!(code, 2, "{out}{err}");
    assert!(out.contains("coerced and stored as unix-seconds"), "{out}{err}");
}

#[test]
fn a_table_with_a_name_like_ours_is_the_applications() {
    let (_folder, journey) = served(
        "CREATE TABLE _crossfade_notes(id INTEGER PRIMARY KEY, t TEXT);
         INSERT INTO _crossfade_notes VALUES (1, 'kept');",
        "",
    );
    assert_eq!(journey.proxy.sql("SELECT t FROM _crossfade_notes"), "kept");
    journey.mirror();
    journey.proxy.sql("INSERT INTO _crossfade_notes VALUES (2, 'too')");
    journey.done(&["verify"]);
    assert_eq!(shadow(&journey, "SELECT count(*) FROM public._crossfade_notes"), "2");
}

#[test]
fn a_table_with_one_of_our_names_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let sql = "CREATE TABLE _crossfade_state(mine TEXT); CREATE TABLE _crossfade_notes(t TEXT);";
    rusqlite::Connection::open(&file).unwrap().execute_batch(sql).unwrap();
    let file = text(&file);
    let (_, out, err) = crossfade(&["check", "--sqlite", file, "--auth", "trust"]);
    assert!(out.contains("table _crossfade_state is not Crossfade's"), "{out}{err}");
    assert!(out.contains("_crossfade_notes: served and copied"), "{out}{err}");
    let (_, out, err) = crossfade(&["assess", file, "--json"]);
    assert!(out.contains("CF0408") && out.contains("CF0409"), "{out}{err}");
    let (code, out, err) = crossfade(&["run", "--sqlite", file, "--auth", "trust"]);
    assert_ne!(code, 0, "{out}{err}");
    assert!(err.contains("is not Crossfade's"), "{out}{err}");
}
