//! `crossfade assess`: the real binary on odd files, sample files and files in use.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::common::{Pg, Proxy, sample};

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

/// `assess --json` of a file: exit code and report.
fn assess(file: &Path, more: &[&str]) -> (i32, Value) {
    let mut all = vec!["assess", file.to_str().unwrap(), "--json"];
    all.extend(more);
    let (code, stdout, stderr) = crossfade(&all);
    let body = serde_json::from_str(&stdout).unwrap_or_else(|e| panic!("{e}: {stdout}{stderr}"));
    (code, body)
}

fn sqlite3(file: &Path, sql: &str) {
    rusqlite::Connection::open(file).unwrap().execute_batch(sql).unwrap();
}

/// The findings of a rule about a table, a column or an object of it.
fn found<'a>(report: &'a Value, id: &str, table: &str, part: &str) -> Vec<&'a Value> {
    let says = |f: &&Value| {
        let is = |name: &str| f[name].as_str() == Some(part);
        f["id"] == id
            && (table.is_empty() || f["table"] == table)
            && (part.is_empty() || is("column") || is("object"))
    };
    report["findings"].as_array().unwrap().iter().filter(says).collect()
}

fn one<'a>(report: &'a Value, id: &str, table: &str, part: &str) -> &'a Value {
    let all = found(report, id, table, part);
    let told: Vec<String> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|f| f["table"] == table)
        .map(|f| format!("{} {} {}: {}", f["id"], f["column"], f["object"], f["message"]))
        .collect();
    assert!(!all.is_empty(), "{id} {table} {part} is not listed; there is\n{}", told.join("\n"));
    all[0]
}

/// Class and number of rows of a finding's classes.
fn classes(finding: &Value) -> Vec<(String, u64)> {
    let one = |c: &Value| (c["class"].as_str().unwrap().to_owned(), c["rows"].as_u64().unwrap());
    let mut all: Vec<_> = finding["classes"].as_array().unwrap().iter().map(one).collect();
    all.sort();
    all
}

fn type_of<'a>(report: &'a Value, table: &str, column: &str) -> &'a str {
    let columns = report["columns"].as_array().unwrap();
    let found = columns.iter().find(|c| c["table"] == table && c["column"] == column);
    found.unwrap_or_else(|| panic!("{table}.{column}"))["type"].as_str().unwrap()
}

fn anomalies(folder: &Path) -> Option<(PathBuf, PathBuf)> {
    let script = sample("make_anomalies.py")?;
    let (file, wide) = (folder.join("anomalies.db"), folder.join("utf16.db"));
    let made = Command::new("python3").arg(script).arg(&file).arg("--utf16").arg(&wide).output();
    let made = made.unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Some((file, wide))
}

/// Every case of the collection's ANOMALIES.md that a report can name.
#[test]
fn every_anomaly_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    let Some((file, wide)) = anomalies(folder.path()) else { return };
    let before = std::fs::read(&file).unwrap();
    let (code, report) = assess(&file, &[]);
    assert_eq!(std::fs::read(&file).unwrap(), before, "assess changes nothing");
    assert_eq!((code, report["grade"].as_str()), (1, Some("C")));
    assert_eq!(report["looked"]["complete"], true);
    for (case, id, table, part) in CASES {
        let finding = one(&report, id, table, part);
        assert!(!finding["does"].as_str().unwrap().is_empty(), "{case}");
    }
    let number = one(&report, "CF0101", "a01_int", "n");
    assert_eq!(
        classes(number),
        [("blob", 1), ("empty text", 1), ("integer", 3), ("real", 2), ("text", 3)]
            .map(|(class, rows)| (class.to_owned(), rows))
    );
    let text = number["classes"].as_array().unwrap().iter().find(|c| c["class"] == "text").unwrap();
    assert_eq!(text["examples"], serde_json::json!(["id=2", "id=3", "id=11"]));
    assert_eq!(number["override"], "[tables.a01_int]\ncolumns = { n = \"bigint\" }");
    let when = classes(one(&report, "CF0201", "a02_when", "ts"));
    for class in [
        "ISO moment",
        "ISO moment with zone",
        "seconds since 1970",
        "Julian day",
        "milliseconds since 1970",
        "zero date",
        "impossible date",
        "word for a date",
    ] {
        assert!(when.iter().any(|(c, _)| c == class), "{class} in {when:?}");
    }
    let next = |table: &str| one(&report, "CF0305", table, "id")["message"].as_str().unwrap();
    assert!(next("a09_auto").contains("next value is 101"));
    assert!(next("a09_auto_empty").contains("next value is 1001"));
    assert!(found(&report, "CF0101", "a03_bool_clean", "").is_empty());
    assert_eq!(type_of(&report, "a03_bool_clean", "b"), "boolean");
    assert_eq!(type_of(&report, "a05_big", "i4"), "bigint");
    assert_eq!(type_of(&report, "a06_real", "f"), "text");
    assert_eq!(type_of(&report, "a21_types", "v"), "text");
    assert_eq!(one(&report, "CF0203", "a07_nul", "t")["rows"], 2);
    assert_eq!(one(&report, "CF0204", "a08_utf8", "t")["rows"], 6);
    assert_eq!(one(&report, "CF0205", "a20_json", "j")["rows"], 1);
    let ddl: Vec<&str> =
        report["ddl"].as_array().unwrap().iter().map(|d| d["sql"].as_str().unwrap()).collect();
    assert!(ddl.iter().any(|sql| sql.starts_with("CREATE TABLE \"public\".\"a01_int\"")));
    assert!(!ddl.iter().any(|sql| sql.contains("a27_fts_data") || sql.contains("sqlite_stat1")));
    let (_, report) = assess(&wide, &[]);
    one(&report, "CF0601", "", "");
    assert_eq!(one(&report, "CF0203", "a36_utf16", "t")["rows"], 1);
}

/// Case, rule, table, column or object.
const CASES: &[(&str, &str, &str, &str)] = &[
    ("A01", "CF0101", "a01_int", "n"),
    ("A01", "CF0206", "a01_int", "n"),
    ("A02", "CF0201", "a02_when", "d"),
    ("A02", "CF0201", "a02_when", "ts"),
    ("A02", "CF0201", "a02_when", "tz"),
    ("A02", "CF0101", "a02_when", "t"),
    ("A03", "CF0101", "a03_bool", "b"),
    ("A03", "CF0105", "a03_bool_clean", "tiny"),
    ("A04", "CF0101", "a04_blobtext", "t"),
    ("A04", "CF0101", "a04_blobtext", "b"),
    ("A05", "CF0102", "a05_big", "i"),
    ("A05", "CF0102", "a05_big", "s"),
    ("A05", "CF0102", "a05_big", "i4"),
    ("A06", "CF0101", "a06_real", "r"),
    ("A06", "CF0101", "a06_real", "f"),
    ("A06", "CF0106", "a06_real", "n"),
    ("A07", "CF0203", "a07_nul", "t"),
    ("A07", "CF0203", "a07_nul", "v"),
    ("A08", "CF0204", "a08_utf8", "t"),
    ("A09", "CF0305", "a09_auto", "id"),
    ("A09", "CF0305", "a09_auto_empty", "id"),
    ("A09", "CF0306", "a09_auto_end", "id"),
    ("A10", "CF0301", "a10_nullpk", ""),
    ("A10", "CF0301", "a10_intpk", ""),
    ("A10", "CF0101", "a10_intpk", "id"),
    ("A10", "CF0301", "a10_descpk", ""),
    ("A10", "CF0301", "a10_nullcomposite", ""),
    ("A11", "CF0307", "a11_worowid", ""),
    ("A12", "CF0505", "a12_gen", "label"),
    ("A13", "CF0302", "a13_child", "pid"),
    ("A13", "CF0302", "a13_child", "code"),
    ("A13", "CF0302", "a13_child", "x"),
    ("A13", "CF0302", "a13_child", "self"),
    ("A13", "CF0308", "a13_child", "x"),
    ("A13", "CF0303", "a13_missing", "g"),
    ("A13", "CF0304", "a13_typemix", "pid"),
    ("A14", "CF0501", "a14_idx", "a14_json"),
    ("A14", "CF0506", "a14_idx", "city"),
    ("A15", "CF0518", "a15_v", ""),
    ("A15", "CF0518", "a15_vv", ""),
    ("A15", "CF0502", "a15_loose", ""),
    ("A15", "CF0518", "a15_cols", ""),
    ("A15", "CF0507", "a15_dangling", ""),
    ("A16", "CF0519", "a16_t", "a16_ai"),
    ("A16", "CF0519", "a16_t", "a16_bu"),
    ("A16", "CF0519", "a16_t", "a16_bd"),
    ("A16", "CF0503", "a16_v", "a16_io"),
    ("A17", "CF0403", "A17_Mixed", "UserID"),
    ("A17", "CF0402", "a17_Ärger", ""),
    ("A17", "CF0402", "a17_ärger", ""),
    ("A17", "CF0401", "a17_long_name_that_is_the_same_for_the_first_sixty_three_bytes_xx_one", ""),
    ("A17", "CF0404", "a17_idx1", "same_name"),
    ("A17", "CF0404", "a17_idx1", "same_name2"),
    ("A18", "CF0405", "order", ""),
    ("A18", "CF0405", "order", "select"),
    ("A18", "CF0406", "order", "ctid"),
    ("A18", "CF0406", "order", "xmin"),
    ("A18", "CF0403", "a18 spaced.name", "c\"d"),
    ("A18", "CF0406", "a18 spaced.name", ""),
    ("A19", "CF0101", "a19_strict", "a"),
    ("A20", "CF0205", "a20_json", "j"),
    ("A20", "CF0206", "a20_json", "j"),
    ("A20", "CF0108", "a20_json", "jt"),
    ("A21", "CF0103", "a21_types", "v"),
    ("A21", "CF0104", "a21_types", "fp"),
    ("A21", "CF0104", "a21_types", "st"),
    ("A21", "CF0109", "a21_types", "en"),
    ("A21", "CF0101", "a21_types", "uu"),
    ("A21", "CF0101", "a21_types", "ub"),
    ("A22", "CF0110", "a22_num", "d"),
    ("A22", "CF0104", "a22_num", "zip"),
    ("A22", "CF0106", "a22_num", "n"),
    ("A24", "CF0508", "a24_chk", "a24_chk_f_check"),
    ("A25", "CF0509", "a25_conf", "id"),
    ("A25", "CF0509", "a25_conf", "u"),
    ("A25", "CF0509", "a25_conf", "n"),
    ("A26", "CF0506", "a26_coll", "nc"),
    ("A26", "CF0506", "a26_coll", "rt"),
    ("A27", "CF0510", "a27_fts", ""),
    ("A27", "CF0510", "a27_rtree", ""),
    ("A27", "CF0511", "", ""),
    ("A28", "CF0309", "a28_nopk", ""),
    ("A28", "CF0407", "a28_rowidcol", "rowid"),
    ("A28", "CF0407", "a28_rowidcol", "oid"),
    ("A29", "CF0207", "a29_size", "t"),
    ("A30", "CF0206", "a30_empty", "i"),
    ("A30", "CF0206", "a30_empty", "d"),
    ("A30", "CF0206", "a30_empty", "r"),
    ("A33", "CF0310", "a33_uniq", "k"),
    ("A38", "CF0311", "a38_broken", "c"),
    ("A38", "CF0312", "a38_broken", "nn"),
    ("A39", "CF0512", "a39_wide", ""),
    ("all", "CF0602", "", ""),
];

/// Files of real applications: nothing in the way, and the same in every form.
#[test]
fn files_of_applications() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["chinook.sqlite", "chinook_snake.db", "jupyterhub.sqlite", "mlflow.sqlite"] {
        let Some(original) = sample(name) else { continue };
        let file = folder.path().join(name);
        std::fs::write(&file, std::fs::read(original).unwrap()).unwrap();
        let (code, report) = assess(&file, &[]);
        assert_eq!((code, report["blocking"].as_u64()), (0, Some(0)), "{name}: {report}");
        assert!(report["tables"].as_array().unwrap().len() > 5);
        let page = folder.path().join("report.html");
        let (code, stdout, _) =
            crossfade(&["assess", file.to_str().unwrap(), "--html", page.to_str().unwrap()]);
        assert_eq!(code, 0);
        let grade = format!("grade {}", report["grade"].as_str().unwrap());
        assert!(stdout.starts_with(&grade), "{stdout}");
        self_contained(&std::fs::read_to_string(&page).unwrap());
        let (code, stdout, stderr) = crossfade(&["assess", file.to_str().unwrap()]);
        assert_eq!(code, 0);
        assert!(stdout.contains(&grade) && stderr.contains("next: "), "{stdout}{stderr}");
        assert!(!stdout.contains('\x1b'), "colours only on a terminal");
        let (_, ddl, _) = crossfade(&["assess", file.to_str().unwrap(), "--ddl"]);
        let database = Pg::shared().database("assess");
        let made = Pg::shared().cluster.psql(&database, &format!("BEGIN; {ddl} ROLLBACK"));
        made.unwrap_or_else(|e| panic!("{name}: PostgreSQL refuses the DDL: {e}"));
    }
}

fn self_contained(page: &str) {
    for word in ["http://", "https://", "<script", "<img", "<link", "url(", "@import", "src="] {
        assert!(!page.contains(word), "the page has {word}");
    }
    assert!(page.contains("Content-Security-Policy"));
}

#[test]
fn names_and_keys_are_text_in_the_page() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("evil.db");
    sqlite3(
        &file,
        "CREATE TABLE \"<script>alert(1)</script>\"(k TEXT PRIMARY KEY, n INTEGER);
         INSERT INTO \"<script>alert(1)</script>\" VALUES ('<img src=x>', 'not a number')",
    );
    let page = folder.path().join("report.html");
    let (code, _, stderr) =
        crossfade(&["assess", file.to_str().unwrap(), "--html", page.to_str().unwrap()]);
    assert_eq!(code, 0, "{stderr}");
    let page = std::fs::read_to_string(&page).unwrap();
    assert!(!page.contains("<script") && !page.contains("<img"), "{page}");
    assert!(page.contains("&lt;script&gt;") && page.contains("CF0101"));
    assert!(!page.contains("not a number"), "no value of a row");
}

#[test]
fn a_file_in_use_is_read_and_never_changed() {
    let folder = tempfile::tempdir().unwrap();
    for mode in ["delete", "wal"] {
        let file = folder.path().join(format!("{mode}.db"));
        let writer = rusqlite::Connection::open(&file).unwrap();
        writer
            .execute_batch(&format!(
                "PRAGMA journal_mode = {mode}; CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER);
                 INSERT INTO t VALUES (1, 5), (2, 'x');
                 BEGIN IMMEDIATE; INSERT INTO t VALUES (3, 6)"
            ))
            .unwrap();
        let before = std::fs::read(&file).unwrap();
        let (code, report) = assess(&file, &[]);
        assert_eq!(code, 0, "{report}");
        assert_eq!(report["file"]["journal_mode"], mode);
        assert_eq!(report["tables"][0]["rows"], 2, "what is committed");
        assert_eq!(std::fs::read(&file).unwrap(), before);
        writer.execute_batch("COMMIT").unwrap();
    }
    let proxy = Proxy::direct();
    proxy.sql("create table t(id serial primary key, d numeric(12,3), u uuid, j jsonb)");
    proxy.sql("insert into t(d, u, j) values (1.5, gen_random_uuid(), '{}')");
    let (code, report) = assess(&proxy.file, &[]);
    assert_eq!(code, 0, "{report}");
    assert_eq!(report["file"]["served_by"], proxy.pid());
    // The types that were declared through the proxy, not what the file alone would say.
    assert_eq!(type_of(&report, "t", "d"), "numeric(12,3)");
    assert_eq!(type_of(&report, "t", "u"), "uuid");
    assert_eq!(type_of(&report, "t", "j"), "jsonb");
    assert_eq!(proxy.sql("select count(*) from t"), "1");
}

#[test]
fn a_large_table_is_sampled_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("large.db");
    sqlite3(
        &file,
        "CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER);
         WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 50000)
         INSERT INTO t SELECT i, CASE WHEN i > 30000 THEN 'x' ELSE i END FROM c",
    );
    let (code, report) = assess(&file, &["--rows", "2000"]);
    assert_eq!(code, 0);
    assert_eq!(report["looked"]["complete"], false);
    assert!(report["looked"]["rows"].as_u64().unwrap() <= 2000);
    let about = report["tables"][0]["rows"].as_u64().unwrap();
    assert!(about.abs_diff(50_000) < 5_000, "{about}");
    assert_eq!(report["tables"][0]["rows_exact"], false);
    // What only the later rows show is seen.
    assert_eq!(one(&report, "CF0101", "t", "n")["sampled"], true);
    one(&report, "CF0604", "t", "");
}

#[test]
fn overrides_are_followed_and_their_price_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    sqlite3(
        &file,
        "CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER, created_at INTEGER, u TEXT);
         INSERT INTO t VALUES (1, 7, 1700000000, '550e8400-e29b-41d4-a716-446655440000'),
           (2, 'x', 1700000060, '550e8400-e29b-41d4-a716-446655440001')",
    );
    let (_, report) = assess(&file, &[]);
    assert_eq!(type_of(&report, "t", "n"), "text");
    let offer = one(&report, "CF0113", "t", "created_at")["override"].as_str().unwrap();
    let offered = one(&report, "CF0208", "t", "u")["override"].as_str().unwrap();
    assert!(offer.contains("timestamptz stored as unix-seconds") && offered.contains("uuid"));
    let config = folder.path().join("proxy.toml");
    let text = "[tables.t]\ncolumns = { n = \"bigint\", u = \"uuid\", nothing = \"int\", \
                created_at = \"timestamptz stored as unix-seconds\" }\n";
    std::fs::write(&config, text).unwrap();
    let (code, report) = assess(&file, &["--config", config.to_str().unwrap()]);
    assert_eq!(code, 0, "{report}");
    assert_eq!(type_of(&report, "t", "n"), "bigint");
    assert_eq!(type_of(&report, "t", "created_at"), "timestamp with time zone");
    assert_eq!(type_of(&report, "t", "u"), "uuid");
    assert_eq!(one(&report, "CF0115", "t", "n")["rows"], 1);
    one(&report, "CF0607", "t", "");
    // The proxy serves by the same plan.
    let proxy = Proxy::on_file(&file, &["--config", config.to_str().unwrap()]);
    assert_eq!(
        proxy.sql("select n, created_at at time zone 'utc', pg_typeof(u) from t where id = 1"),
        "7|2023-11-14 22:13:20|uuid"
    );
    proxy.sql("insert into t(n, created_at) values (8, '2023-11-14 22:13:25+00')");
    assert_eq!(
        proxy.sql("select id from t where created_at > '2023-11-14 22:13:21+00' order by 1"),
        "2\n3"
    );
    drop(proxy);
    let raw = rusqlite::Connection::open(&file).unwrap();
    let stored: i64 =
        raw.query_row("SELECT created_at FROM t WHERE id = 3", [], |r| r.get(0)).unwrap();
    assert_eq!(stored, 1_700_000_005, "stored as the application stores it");
    std::fs::write(&config, "[tables.t]\ncolumns = { n = \"nonsense\" }\n").unwrap();
    let (code, _, stderr) =
        crossfade(&["assess", file.to_str().unwrap(), "--config", config.to_str().unwrap()]);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("is not a type"), "{stderr}");
}

#[test]
fn postgresql_is_looked_at_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    sqlite3(
        &file,
        "CREATE TABLE t(id INTEGER PRIMARY KEY, at INTEGER); INSERT INTO t VALUES (1, 1700000000)",
    );
    let database = Pg::shared().database("assess");
    let url = Pg::shared().cluster.url(&database);
    let psql = |sql: &str| Pg::shared().cluster.psql(&database, sql).unwrap();
    psql("CREATE TABLE t(id bigint PRIMARY KEY, at timestamptz)");
    let (code, report) = assess(&file, &["--postgres", &url]);
    assert_eq!(code, 0, "{report}");
    assert_eq!(report["postgres_asked"], true);
    let needs = report["needs"].as_array().unwrap();
    let need = |name: &str| needs.iter().find(|n| n["name"] == name).unwrap();
    assert_eq!(need("version")["ok"], true);
    assert_eq!(need("wal_level")["found"], "logical");
    let other = one(&report, "CF0701", "t", "at");
    assert!(other["override"].as_str().unwrap().contains("timestamp with time zone"));
    // Taken as override, both sides have the same type.
    let config = folder.path().join("proxy.toml");
    std::fs::write(&config, other["override"].as_str().unwrap()).unwrap();
    let (_, report) = assess(&file, &["--postgres", &url, "--config", config.to_str().unwrap()]);
    assert!(found(&report, "CF0701", "t", "at").is_empty(), "{report}");
    psql("INSERT INTO t VALUES (9, now())");
    let (code, report) = assess(&file, &["--postgres", &url]);
    assert_eq!(code, 1);
    one(&report, "CF0702", "t", "");
    assert_eq!(psql("SELECT count(*) FROM t"), "1", "assess changes nothing");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nobody = format!("postgres://postgres@127.0.0.1:{closed}/x");
    let (code, _, _) = crossfade(&["assess", file.to_str().unwrap(), "--postgres", &nobody]);
    assert_eq!(code, 3);
    let (code, _, stderr) = crossfade(&["assess", "/nowhere/app.db"]);
    assert_eq!(code, 3, "{stderr}");
}

#[test]
fn statements_are_planned_against_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    sqlite3(&file, "CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER)");
    let statements = folder.path().join("app.sql");
    std::fs::write(
        &statements,
        "SELECT n FROM t WHERE id = $1;\nINSERT OR REPLACE INTO t VALUES (1, 2);\n\
         CREATE PUBLICATION p FOR ALL TABLES;\nSELEC nonsense;\n",
    )
    .unwrap();
    let (_, report) = assess(&file, &["--statements", statements.to_str().unwrap()]);
    assert_eq!(found(&report, "CF0802", "", "").len(), 1, "{report}");
    assert_eq!(found(&report, "CF0803", "", "").len(), 1, "{report}");
    let refused = one(&report, "CF0801", "", "CREATE PUBLICATION p FOR ALL TABLES");
    assert!(refused["message"].as_str().unwrap().contains("0A000"), "{refused}");
}

#[test]
fn values_that_come_back_otherwise_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    sqlite3(
        &file,
        "CREATE TABLE t(id INTEGER PRIMARY KEY, at DATETIME, tm TIME, u UUID, yes BOOLEAN, told TEXT,
           plain DATETIME, note TEXT);
         INSERT INTO t VALUES
          (1, '2024-01-05 10:00:00.123456789', '24:00:00', '550E8400-E29B-41D4-A716-446655440000', 't',
           '2024-01-05', '2024-01-05 10:00:00', '2024-01-05'),
          (2, '2024-01-05T10:00:00', '05:06:07.1200000', '550e8400-e29b-41d4-a716-446655440001', 'f',
           '05/01/2024', '2024-01-05 10:00:00.5', 'as of 05/01/2024'),
          (3, '2024-01-05 10:00:00', '05:06', NULL, 'true', '5 Jan 2024 10:00', NULL, 'later');",
    );
    let (_, report) = assess(&file, &[]);
    let finer = one(&report, "CF0211", "t", "at");
    assert_eq!((finer["rows"].as_u64(), finer["examples"][0].as_str()), (Some(1), Some("id=1")));
    assert!(finer["override"].as_str().unwrap().contains("at = \"text\""), "{finer}");
    assert_eq!(one(&report, "CF0210", "t", "at")["rows"], 1);
    assert_eq!(one(&report, "CF0210", "t", "tm")["rows"], 2);
    assert_eq!(one(&report, "CF0210", "t", "u")["examples"][0], "id=1");
    assert_eq!(one(&report, "CF0210", "t", "yes")["rows"], 3);
    assert_eq!(classes(one(&report, "CF0209", "t", "told")).len(), 3);
    for column in ["plain", "note"] {
        for id in ["CF0209", "CF0210", "CF0211"] {
            assert!(found(&report, id, "t", column).is_empty(), "{id} {column}");
        }
    }
}
