//! Files as they come: every one ends in a copy that verifies clean, or in a clear word.

use std::path::Path;

use crate::common::{Journey, Pg, crossfade};

fn journey(file: &Path) -> Journey {
    Journey::start(file, Pg::shared(), &[])
}

fn shadow(journey: &Journey, sql: &str) -> String {
    Pg::shared().cluster.psql(&journey.database, sql).unwrap()
}

/// The ids of the findings of a file.
fn assessed(file: &Path) -> (i32, String) {
    let (code, out, err) = crossfade(&["assess", file.to_str().unwrap(), "--json"]);
    assert!(out.starts_with('{'), "{out}{err}");
    (code, out)
}

#[test]
fn what_only_sqlite_can_compute_does_not_keep_its_table_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    rusqlite::Connection::open(&file)
        .unwrap()
        .execute_batch(
            "CREATE TABLE g(a INTEGER, b INTEGER AS (a * 2), c TEXT AS (printf('%05d', a)) STORED,
               e TEXT AS (c || '-' || b), z TEXT);
             CREATE INDEX by_c ON g(c); CREATE UNIQUE INDEX by_cb ON g(c, b);
             CREATE TABLE j(id INTEGER PRIMARY KEY, j TEXT, k TEXT AS (json_extract(j, '$.k')) STORED);
             INSERT INTO g(a, z) VALUES (1, 'p'), (2, 'q'), (NULL, 'r');
             INSERT INTO j(id, j) VALUES (1, '{\"k\":\"v\"}'), (2, NULL);",
        )
        .unwrap();
    let (_, report) = assessed(&file);
    assert!(report.contains("CF0513"), "{report}");
    let journey = journey(&file);
    let (code, out, err) = journey.proxy.cli(&["backfill"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("SQLite computes it; PostgreSQL needs one by hand"), "{out}");
    journey.proxy.sql("INSERT INTO g(a, z) VALUES (7, 's')");
    journey.proxy.sql("UPDATE g SET z = 't', a = 8 WHERE c = '00002'");
    journey.proxy.sql("UPDATE j SET j = '{\"k\":\"w\"}' WHERE k = 'v'");
    journey.done(&["verify"]);
    assert_eq!(journey.proxy.sql("SELECT e FROM g ORDER BY a"), "00001-2\n00007-14\n00008-16");
    assert_eq!(shadow(&journey, "SELECT a, b, z FROM g ORDER BY a"), "1|2|p\n7|14|s\n8|16|t\n||r");
    assert_eq!(shadow(&journey, "SELECT j::text FROM j ORDER BY id"), "{\"k\":\"w\"}");
    // Made by hand, it is compared from then on.
    shadow(
        &journey,
        "ALTER TABLE g ADD COLUMN c text GENERATED ALWAYS AS (lpad(coalesce(a, 0)::text, 5, '0')) STORED",
    );
    let (code, out, _) = journey.proxy.cli(&["verify", "--tables", "g"]);
    assert_eq!(code, 0, "{out}");
}

#[test]
fn functions_and_collations_of_the_application() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let raw = rusqlite::Connection::open(&file).unwrap();
    raw.create_collation("german", |a, b| a.to_lowercase().cmp(&b.to_lowercase())).unwrap();
    let flags = rusqlite::functions::FunctionFlags::SQLITE_DETERMINISTIC
        | rusqlite::functions::FunctionFlags::SQLITE_UTF8;
    raw.create_scalar_function("mine", 1, flags, |context| context.get::<String>(0)).unwrap();
    raw.execute_batch(
        "CREATE TABLE ok(id INTEGER PRIMARY KEY, a); INSERT INTO ok VALUES (1, 2);
         CREATE TABLE word(w TEXT COLLATE german PRIMARY KEY, v TEXT) WITHOUT ROWID;
         INSERT INTO word VALUES ('x', 'y'), ('z', 'w');
         CREATE TABLE name(id INTEGER PRIMARY KEY, n TEXT COLLATE german);
         INSERT INTO name VALUES (1, 'a');
         CREATE TABLE made(a TEXT, b TEXT AS (mine(a)) VIRTUAL); INSERT INTO made VALUES ('q');
         CREATE VIEW seen AS SELECT mine(a) FROM ok;",
    )
    .unwrap();
    drop(raw);
    let (code, report) = assessed(&file);
    assert_eq!(code, 1, "{report}");
    for id in ["CF0514", "CF0516", "CF0507"] {
        assert!(report.contains(id), "{id}: {report}");
    }
    let journey = journey(&file);
    assert_eq!(journey.proxy.sql("SELECT a FROM ok"), "2");
    let (code, out, err) = journey.proxy.cli(&["backfill"]);
    // Rows that stay behind are named.
    assert_eq!(code, 1, "{out}{err}");
    assert_eq!(shadow(&journey, "SELECT count(*) FROM ok"), "1");
    assert_eq!(shadow(&journey, "SELECT count(*) FROM name"), "1");
    let left =
        shadow(&journey, "SELECT string_agg(table_name, ',' ORDER BY 1) FROM crossfade.quarantine");
    assert!(left.contains("word"), "{left}");
    journey.done(&["verify", "--tables", "ok"]);
}

#[test]
fn a_damaged_table_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let raw = rusqlite::Connection::open(&file).unwrap();
    raw.execute_batch(
        "CREATE TABLE good(id INTEGER PRIMARY KEY); INSERT INTO good VALUES (1), (2);
         CREATE TABLE bad(id INTEGER PRIMARY KEY, t TEXT);
         WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 5000)
         INSERT INTO bad SELECT i, hex(randomblob(50)) FROM c;",
    )
    .unwrap();
    let page =
        "SELECT pageno FROM dbstat WHERE name = 'bad' AND pagetype = 'leaf' LIMIT 1 OFFSET 9";
    let page: i64 = raw.query_row(page, [], |row| row.get(0)).unwrap_or(20);
    drop(raw);
    let mut bytes = std::fs::read(&file).unwrap();
    let at = usize::try_from(page - 1).unwrap() * 4096;
    bytes[at..at + 4096].fill(0x5a);
    std::fs::write(&file, &bytes).unwrap();
    let (code, report) = assessed(&file);
    assert!(code == 1 && report.contains("CF0516"), "{report}");
    // Written to, SQLite gives the whole transaction up: the file is not served as it is.
    let path = file.to_str().unwrap();
    let (code, _, err) = crossfade(&["run", "--auth", "trust", "--sqlite", path]);
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("malformed") && err.contains("crossfade assess"), "{err}");
}

#[test]
fn files_that_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let refused = |bytes: &[u8]| {
        std::fs::write(&file, bytes).unwrap();
        let path = file.to_str().unwrap();
        for verb in [&["assess", path][..], &["run", "--auth", "trust", "--sqlite", path]] {
            let (code, _, err) = crossfade(verb);
            assert_eq!(code, 3, "{verb:?}: {err}");
            assert!(err.contains("not a database") || err.contains("malformed"), "{err}");
        }
    };
    refused(&b"this is a text file, and no database. ".repeat(100));
    refused(
        &(0..8192_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect::<Vec<_>>(),
    );
}

/// Declarations with the literals of their rows: each row is found by what is shown of it, and no
/// other one, whatever an application wrote there.
const SPELLINGS: &[(&str, &[&str])] = &[
    ("UUID", &["'550e8400-e29b-41d4-a716-446655440000'", "'550e8400-e29b-41d4-a716-446655440001'"]),
    ("UUID", &["'550E8400-E29B-41D4-A716-446655440000'"]),
    ("UUID", &["'550e8400e29b41d4a716446655440000'"]),
    ("UUID", &["x'550e8400e29b41d4a716446655440000'", "x'550e8400e29b41d4a716446655440001'"]),
    ("UUID", &["'550e8400-e29b-41d4-a716-446655440000'", "x'550e8400e29b41d4a716446655440001'"]),
    ("GUID", &["'550e8400-e29b-41d4-a716-446655440000'", "'550E8400-E29B-41D4-A716-446655440001'"]),
    ("UNIQUEIDENTIFIER", &["'{550e8400-e29b-41d4-a716-446655440000}'"]),
    ("CHAR(36)", &["'550E8400-E29B-41D4-A716-446655440000'"]),
    ("DATE", &["'2024-01-05'", "'2024-01-06T00:00:00'"]),
    ("TIMESTAMP", &["'2024-01-05T01:02:03'", "'2024-01-05 01:02'"]),
    ("DATETIME", &["1704412923", "1704412924"]),
    ("DATETIME", &["1704412923000", "1704412923001"]),
    ("BOOLEAN", &["'true'", "0"]),
    ("BOOLEAN", &["1", "'f'"]),
    ("DECIMAL(10,2)", &["'1.50'", "2", "1.25"]),
    ("DECIMAL(10,2)", &["1.555", "2", "1.5"]),
    ("NUMERIC(10)", &["1.5", "2", "1.25"]),
    ("NUMERIC", &["1.2", "1.5", "2", "0.1", "9007199254740993", "1e300", "-0.5"]),
    ("MONEY", &["1.5", "1.25"]),
    ("INTEGER", &["1.5", "2", "1"]),
    ("TIME", &["'10:00'", "'10:00:00.5'"]),
    ("INTERVAL", &["'1 day'", "'25 hours'"]),
    ("BLOB", &["x'00ff'", "'abc'"]),
    ("CHAR(5)", &["'ab'", "'abc'"]),
    ("BIGINT", &["'12'", "9223372036854775807"]),
    ("FLOAT", &["1", "0.1", "1e300"]),
    ("REAL", &["1e-320", "-0.5"]),
];

#[test]
fn a_row_is_found_by_what_is_shown_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let db = rusqlite::Connection::open(&file).unwrap();
    for (n, (declared, values)) in SPELLINGS.iter().enumerate() {
        db.execute_batch(&format!(
            "CREATE TABLE t{n} (id INTEGER PRIMARY KEY, c {declared}); CREATE INDEX by{n} ON t{n} (c);"
        ))
        .unwrap();
        for value in *values {
            db.execute_batch(&format!("INSERT INTO t{n} (c) VALUES ({value})")).unwrap();
        }
    }
    drop(db);
    let journey = journey(&file);
    journey.done(&["backfill"]);
    for (n, (declared, values)) in SPELLINGS.iter().enumerate() {
        let shown = journey.proxy.sql(&format!("SELECT c FROM t{n} ORDER BY id"));
        for (at, text) in shown.lines().enumerate() {
            let (id, of) = (at + 1, format!("{declared} {}, shown as {text}", values[at]));
            for found in [
                format!("SELECT id FROM t{n} WHERE c = '{text}'"),
                format!("SELECT id FROM t{n} WHERE c IN ('{text}')"),
                format!("SELECT id FROM t{n} WHERE c BETWEEN '{text}' AND '{text}'"),
                format!("SELECT a.id FROM t{n} a JOIN t{n} b ON a.c = b.c WHERE b.id = {id}"),
            ] {
                assert_eq!(journey.proxy.sql(&found), id.to_string(), "{of}: {found}");
            }
            for comparison in ["<", "<=", ">", ">=", "<>"] {
                let sql = format!("SELECT id FROM t{n} WHERE c {comparison} '{text}' ORDER BY id");
                assert_eq!(journey.proxy.sql(&sql), shadow(&journey, &sql), "{of}: {sql}");
            }
        }
    }
    // Between what is stored.
    let numeric = SPELLINGS.iter().position(|(declared, _)| *declared == "NUMERIC").unwrap();
    for constant in ["1.4", "1.5000000000000000001", "0.09999999999999999999", "-1", "1e301"] {
        for comparison in ["=", "<", "<=", ">", ">=", "<>"] {
            let sql =
                format!("SELECT id FROM t{numeric} WHERE c {comparison} {constant} ORDER BY id");
            assert_eq!(journey.proxy.sql(&sql), shadow(&journey, &sql), "{sql}");
        }
    }
    journey.proxy.sql(&format!("DELETE FROM t{numeric} WHERE c <> 0.1"));
    assert_eq!(journey.proxy.sql(&format!("SELECT c FROM t{numeric}")), "0.1");
    journey.done(&["verify"]);
}

/// Questions to columns of several forms and collations, each answered as PostgreSQL answers it.
#[test]
fn sets_and_groups_of_columns_of_several_forms() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    rusqlite::Connection::open(&file)
        .unwrap()
        .execute_batch(
            "CREATE TABLE d(id INTEGER PRIMARY KEY, c DATE);
             INSERT INTO d VALUES (1, '2024-01-05'), (2, '2024-01-06'), (3, NULL);
             CREATE TABLE s(id INTEGER PRIMARY KEY, c TIMESTAMP);
             INSERT INTO s VALUES (1, '2024-01-05 00:00:00'), (2, '2024-01-06 10:00:00');
             CREATE TABLE nc(id INTEGER PRIMARY KEY, c TEXT COLLATE NOCASE);
             INSERT INTO nc VALUES (1, 'Abc'), (2, 'abc'), (3, 'b');
             CREATE TABLE rt(id INTEGER PRIMARY KEY, c TEXT COLLATE RTRIM);
             INSERT INTO rt VALUES (1, 'a'), (2, 'a '), (3, 'b');
             CREATE VIEW seen AS SELECT id, c FROM nc WHERE id < 10;
             CREATE VIEW trimmed AS SELECT id, c FROM rt;
             CREATE TABLE mx(id INTEGER PRIMARY KEY, c STRING);
             INSERT INTO mx VALUES (1, '007'), (2, 'abc'), (3, 12);
             CREATE TABLE f4(id INTEGER PRIMARY KEY, c FLOAT);
             INSERT INTO f4 VALUES (1, 'x'), (2, 1.5), (3, 2);
             CREATE TABLE n2(id INTEGER PRIMARY KEY, c DECIMAL(10,2));
             INSERT INTO n2 VALUES (1, '1.50'), (2, '2'), (3, 'abc');
             CREATE TABLE w(id INTEGER PRIMARY KEY, c DECIMAL(38,18));
             INSERT INTO w VALUES (1, 0.5), (2, 1.5), (3, 2.25), (4, 1e10);
             CREATE TABLE inf(id INTEGER PRIMARY KEY, c NUMERIC);
             INSERT INTO inf VALUES (1, 9e999), (2, 1.5), (3, -9e999);
             CREATE TABLE y(id INTEGER PRIMARY KEY, c BLOB);
             INSERT INTO y VALUES (1, x'61'), (2, x'00ff');",
        )
        .unwrap();
    let journey = journey(&file);
    journey.done(&["backfill"]);
    for sql in [
        "SELECT id FROM s WHERE c IN (SELECT c FROM d) ORDER BY 1",
        "SELECT id FROM d WHERE c IN (SELECT c FROM s) ORDER BY 1",
        "SELECT id FROM s WHERE c NOT IN (SELECT c FROM d WHERE c IS NOT NULL) ORDER BY 1",
        "SELECT id FROM s WHERE c = ANY (ARRAY(SELECT c FROM d)) ORDER BY 1",
        "SELECT id FROM s WHERE c = ANY ('{2024-01-05}'::date[]) ORDER BY 1",
        "SELECT id FROM s WHERE c <> ALL ('{2024-01-05}'::date[]) ORDER BY 1",
        "SELECT id FROM s WHERE (c, id) IN (SELECT c, id FROM d) ORDER BY 1",
        "SELECT id FROM s WHERE c::timestamptz IN (SELECT c FROM d) ORDER BY 1",
        "SELECT id FROM nc WHERE c IN (SELECT c FROM mx) ORDER BY 1",
        "SELECT id FROM nc WHERE c NOT IN (SELECT c FROM mx) ORDER BY 1",
        "SELECT id FROM mx WHERE c IN (SELECT c FROM nc) ORDER BY 1",
        "SELECT n.id FROM nc n WHERE n.c IN ('abc', (SELECT max(c) FROM mx)) ORDER BY 1",
        "SELECT c, count(*) FROM nc GROUP BY ROLLUP (c) ORDER BY c",
        "SELECT * FROM (SELECT c, count(*) FROM nc GROUP BY ROLLUP (c)) x WHERE c = 'abc'",
        "SELECT c, rank() OVER (ORDER BY c) FROM (SELECT c FROM nc GROUP BY ROLLUP (c)) x ORDER BY 2, 1",
        "SELECT * FROM (SELECT 'ABC' AS c UNION ALL SELECT c FROM nc) x WHERE c = 'abc'",
        "SELECT id FROM seen WHERE c = 'abc' ORDER BY 1",
        "SELECT c, count(*) FROM seen GROUP BY c ORDER BY 1",
        "SELECT count(DISTINCT c) FROM seen",
        "SELECT id FROM seen WHERE c > 'a' ORDER BY 1",
        "SELECT id FROM seen ORDER BY c",
        "SELECT s.id, n.id FROM seen s JOIN nc n ON s.c = n.c ORDER BY 1, 2",
        "SELECT id FROM trimmed WHERE c = 'a' ORDER BY 1",
        "SELECT c FROM f4 UNION SELECT c FROM n2 ORDER BY 1",
        "SELECT c FROM n2 UNION ALL SELECT c FROM f4 ORDER BY 1",
        "SELECT c FROM f4 INTERSECT SELECT c FROM n2 ORDER BY 1",
        "SELECT id FROM w WHERE c < 1.123456789012345678 ORDER BY 1",
        "SELECT id FROM w WHERE c >= 1.123456789012345678 ORDER BY 1",
        "SELECT id FROM w WHERE c BETWEEN 0.400000000000000001 AND 1.600000000000000001 ORDER BY 1",
        "SELECT id FROM inf WHERE c = 'NaN' ORDER BY 1",
        "SELECT id FROM inf WHERE c < 'NaN' ORDER BY 1",
        "SELECT id FROM inf WHERE c = 'Infinity' OR c = '-Infinity' ORDER BY 1",
        "SELECT id FROM inf WHERE c = 0.1000000000000000055 ORDER BY 1",
        "SELECT id FROM inf WHERE c <> 1.50000000000000000001 ORDER BY 1",
        "SELECT id, c FROM inf ORDER BY c",
        "SELECT id FROM y WHERE c = ANY ('{\"\\\\x61\"}') ORDER BY 1",
    ] {
        assert_eq!(journey.proxy.sql(sql), shadow(&journey, sql), "{sql}");
    }
    journey.proxy.sql("DELETE FROM w WHERE c < 0.300000000000000001");
    assert_eq!(journey.proxy.sql("SELECT count(*) FROM w"), "4");
    journey.done(&["verify"]);
}

/// Keys of a file: what PostgreSQL refuses in them is refused, and what the file tells apart stays so.
#[test]
fn keys_that_a_file_keeps_in_its_own_way() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    rusqlite::Connection::open(&file)
        .unwrap()
        .execute_batch(
            "CREATE TABLE tk(k TEXT PRIMARY KEY, v INT); INSERT INTO tk VALUES ('a', 1);
             CREATE TABLE ck(a TEXT, b TEXT NOT NULL, v INT, PRIMARY KEY (a, b));
             INSERT INTO ck VALUES ('a', 'b', 1);
             CREATE TABLE gk(k GUID PRIMARY KEY, v INT);
             INSERT INTO gk VALUES ('550E8400-E29B-41D4-A716-446655440000', 1);
             CREATE TABLE gc(id INTEGER PRIMARY KEY, k GUID REFERENCES gk(k), other GUID);
             INSERT INTO gc VALUES (1, '550E8400-E29B-41D4-A716-446655440000',
               '550E8400-E29B-41D4-A716-446655440000');",
        )
        .unwrap();
    let journey = journey(&file);
    journey.done(&["backfill"]);
    let state = |sql: &str| {
        let (code, _, stderr) = journey.proxy.psql(sql);
        assert_ne!(code, 0, "{sql}");
        stderr
    };
    for sql in [
        "INSERT INTO tk(v) VALUES (5)",
        "INSERT INTO tk VALUES ('b', 1), (NULL, 2)",
        "UPDATE tk SET k = NULL",
        "INSERT INTO ck VALUES (NULL, 'x', 1)",
    ] {
        let said = state(sql);
        assert!(said.contains("violates not-null constraint"), "{sql}: {said}");
    }
    journey.proxy.sql("UPDATE tk SET v = 2; UPDATE ck SET a = 'c'");
    let key = "550E8400-E29B-41D4-A716-446655440000";
    assert!(state(&format!("INSERT INTO gk VALUES ('{key}', 9)")).contains("duplicate key value"));
    journey.proxy.sql(&format!("INSERT INTO gk VALUES ('{key}', 9) ON CONFLICT DO NOTHING"));
    journey.proxy.sql(&format!("INSERT INTO gc(k) VALUES ('{key}')"));
    assert_eq!(journey.proxy.sql("SELECT count(*), count(other) FROM gc JOIN gk USING (k)"), "2|1");
    let other =
        journey.proxy.sql("SELECT id FROM gc WHERE other = '550e8400e29b41d4a716446655440000'");
    assert_eq!(other, "1");
    journey.done(&["verify"]);
}

/// A client that names types for its parameters, or none (0), writes a table whose keys are
/// expressions: they have no part in those.
#[test]
fn keys_that_are_expressions_beside_a_clients_types() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    rusqlite::Connection::open(&file)
        .unwrap()
        .execute_batch(
            "CREATE TABLE nc(k TEXT COLLATE NOCASE PRIMARY KEY, v INTEGER);
             CREATE TABLE e(id INTEGER PRIMARY KEY, n INTEGER, s TEXT);
             CREATE UNIQUE INDEX e_n ON e(n || 'x'); CREATE UNIQUE INDEX e_s ON e(s COLLATE NOCASE);",
        )
        .unwrap();
    let proxy = crate::common::Proxy::on_file(&file, &[]);
    let mut client = crate::common::Raw::proxy(&proxy);
    for (sql, types) in [
        ("INSERT INTO nc VALUES ($1, $2)", "0,21"),
        ("INSERT INTO nc VALUES ($1::text, $2) ON CONFLICT DO NOTHING", "0,21"),
        ("UPDATE nc SET v = $2 WHERE k = $1", "0,21"),
        ("INSERT INTO e VALUES ($2, $2, $1)", "0,21"),
    ] {
        let answer = client.run(&format!("P |{sql}|{types}\nB ||a,1|0,0\nE\nS"));
        assert!(answer.contains("\nC "), "{sql}: {answer}");
    }
    assert_eq!(proxy.sql("SELECT k, v FROM nc"), "a|1");
}
