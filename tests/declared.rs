//! What the file's tables are declared with, on PostgreSQL: the same, or told.

use crate::common::{Journey, Pair, Pg, crossfade, eventually};
use crossfade::backfill::schema::Missing;
use crossfade::verify;

/// Declarations that only SQLite's dialect can say.
const FILE: &str = "
    CREATE TABLE line(id INTEGER PRIMARY KEY, qty INTEGER, price REAL, cost NUMERIC(10,2), name TEXT,
      total REAL GENERATED ALWAYS AS (price * qty) STORED,
      half INTEGER AS (qty / 2), rest INTEGER AS (qty % 3), size INTEGER AS (abs(qty)),
      low TEXT AS (lower(name)), head TEXT AS (substr(name, 1, 3)), loud TEXT AS (upper(name) || '..'),
      louder TEXT AS (loud || '!'), kind TEXT AS (CASE WHEN qty > 5 THEN 'many' ELSE 'few' END),
      slug TEXT AS (lower(replace(trim(name), 'B', '-'))), likes INTEGER AS (name LIKE 'Z%'), stocked INTEGER AS (qty > 0),
      cents INTEGER AS (CAST(price * 100 AS INTEGER)), shown TEXT AS (ifnull(name, '?') || ' x' || qty));
    INSERT INTO line(id, qty, price, cost, name) VALUES
      (1, 7, 1.25, 9.5, 'Ärger'), (2, -3, 0.1, 0.07, 'bOb'), (3, NULL, NULL, NULL, NULL), (4, 2, 1e10, 5, '');

    CREATE TABLE dated(id INTEGER PRIMARY KEY, stamp TEXT, at DATETIME, epoch INTEGER, day TEXT AS (date(stamp)),
      minute TEXT AS (strftime('%Y-%m-%d %H:%M', stamp)), clock TEXT AS (time(stamp)), year TEXT AS (strftime('%Y', at)),
      moment TEXT AS (datetime(epoch, 'unixepoch')), month TEXT AS (date(at, 'start of month', '+1 month')));
    CREATE INDEX dated_day ON dated(date(at), strftime('%j', stamp));
    INSERT INTO dated(id, stamp, at, epoch) VALUES (1, '2024-02-29 23:59:59.75', '2024-02-29 10:00:00', 1700000000),
      (2, '2024-02-29T23:30+01:30', '2023-12-31 23:59:59', 0), (3, '2024-01-01 00:10:00-00:30', NULL, -1),
      (4, '10:11', '0999-01-02 00:00:00', NULL), (5, 'no date', NULL, 1e9), (6, '2024-02-31', NULL, NULL), (7, NULL, NULL, NULL),
      (8, '2460000.5', NULL, NULL), (9, '2024-05-06Z', NULL, NULL), (10, ' 2024-05-06 07:08:09', NULL, NULL),
      (11, '10:11:12.5 -02:30', NULL, NULL), (12, '2024-05-06T', NULL, NULL), (13, '2024-05-06 07:08:09Z ', NULL, NULL);

    CREATE TABLE made(id INTEGER PRIMARY KEY, sum INTEGER DEFAULT (1+1), at TEXT DEFAULT (datetime('now')),
      stamp TEXT DEFAULT CURRENT_TIMESTAMP, day TEXT DEFAULT (date('now')), hour TEXT DEFAULT CURRENT_TIME,
      year TEXT DEFAULT (strftime('%Y', 'now')), epoch INTEGER DEFAULT (strftime('%s', 'now')),
      bytes BLOB DEFAULT x'abff', big REAL DEFAULT 1e3, quoted TEXT DEFAULT 'it''s', word TEXT DEFAULT \"dq\",
      dice INTEGER DEFAULT (abs(random()) % 10), doc TEXT DEFAULT (json('{ }')),
      token TEXT DEFAULT (lower(hex(randomblob(20)))), less INTEGER DEFAULT -1, yes BOOLEAN DEFAULT TRUE,
      later TEXT DEFAULT (datetime('now', '+1 day')), moment DATETIME DEFAULT (datetime('now')));
    INSERT INTO made(id) VALUES (1);

    CREATE TABLE held(id INTEGER PRIMARY KEY, a CHECK (typeof(a) = 'integer'), b TEXT CHECK (length(b) < 5),
      c TEXT CHECK (c GLOB '[0-9]*'), d TEXT CHECK (d IN (\"x\", \"y\")), e INTEGER CHECK (e BETWEEN 1 AND 9 AND e <> 5),
      f TEXT CHECK (f LIKE 'a%'), g TEXT CHECK (lower(g) = g), h INTEGER CHECK (h % 2 = 0));
    INSERT INTO held VALUES (1, 1, 'abcd', '12', 'x', 4, 'Abc', 'low', 2);

    CREATE TABLE sought(id INTEGER PRIMARY KEY, email TEXT, city TEXT COLLATE NOCASE, gone INTEGER, n INTEGER);
    CREATE UNIQUE INDEX by_lower ON sought(lower(email)) WHERE gone = 0;
    CREATE INDEX by_city ON sought(city DESC, email COLLATE NOCASE);
    CREATE INDEX by_part ON sought(email) WHERE email IS NOT NULL AND gone IS NOT 1;
    CREATE UNIQUE INDEX by_head ON sought(substr(email, 1, 3), n);
    CREATE INDEX by_size ON sought(length(email), n / 2 DESC);
    INSERT INTO sought VALUES (1, 'Ada@x', 'Oslo', 0, 1), (2, 'ada@X', 'Rome', 1, 2), (3, NULL, NULL, NULL, NULL);

    CREATE TABLE word(w TEXT COLLATE NOCASE PRIMARY KEY, n INTEGER);
    INSERT INTO word VALUES ('Abc', 1), ('def', 2);
";

async fn clean(pair: &Pair) {
    for report in verify::run(&pair.cuts(), &pair.store, &[], &|_| {}).await.unwrap() {
        assert!(report.is_clean(), "{report:#?}");
    }
}

/// Whether SQLite takes a statement, and whether PostgreSQL does; nothing of it stays.
fn taken(pair: &Pair, sql: &str) -> (bool, bool) {
    let file = rusqlite::Connection::open(&pair.path).unwrap();
    let ours = file.execute_batch(&format!("BEGIN; {sql}; ROLLBACK"));
    let theirs = Pg::shared().cluster.psql(&pair.database, &format!("BEGIN; {sql}; ROLLBACK"));
    if let Err(error) = &theirs {
        assert!(error.to_string().contains("constraint"), "{sql}: {error}");
    }
    (ours.is_ok(), theirs.is_ok())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn declarations_do_the_same_on_postgresql() {
    let pair = Pair::of_sql(FILE).await;
    let summary = pair.backfill().await;
    let missing: Vec<_> =
        summary.findings.iter().filter(|f| f.missing != Missing::Nothing).collect();
    assert!(summary.complete && missing.is_empty(), "{missing:#?}");
    clean(&pair).await;
    // Rows that PostgreSQL computes itself.
    let rows = "INSERT INTO line(id, qty, price, cost, name) VALUES
        (11, 9, 2.5, 1, 'Zoë'), (12, -8, 0.3, 2, 'LOW'), (13, 1, -1.5, 3, NULL)";
    pair.psql(rows);
    let shown = "SELECT id, total, half, rest, size, low, head, loud, louder, kind, cents, shown, slug, \
                 stocked, likes \
                 FROM line WHERE id > 10 ORDER BY id";
    let theirs = pair.psql(shown);
    pair.psql("DELETE FROM line WHERE id > 10");
    pair.write(rows).await;
    let file = rusqlite::Connection::open(&pair.path).unwrap();
    let mut ours = Vec::new();
    let mut statement = file.prepare(shown).unwrap();
    let mut found = statement.query([]).unwrap();
    while let Some(row) = found.next().unwrap() {
        let cell = |i: usize| match row.get_ref(i).unwrap() {
            rusqlite::types::ValueRef::Null => String::new(),
            rusqlite::types::ValueRef::Integer(n) => n.to_string(),
            rusqlite::types::ValueRef::Real(r) => r.to_string(),
            rusqlite::types::ValueRef::Text(t) => String::from_utf8_lossy(t).into_owned(),
            rusqlite::types::ValueRef::Blob(_) => "blob".to_owned(),
        };
        ours.push((0..15).map(cell).collect::<Vec<_>>().join("|"));
    }
    assert_eq!(theirs, ours.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn defaults_checks_and_unique_indexes_hold_alike() {
    let pair = Pair::of_sql(FILE).await;
    pair.backfill().await;
    pair.psql("INSERT INTO made(id) VALUES (2)");
    let file = rusqlite::Connection::open(&pair.path).unwrap();
    let fixed = "sum, big, quoted, word, doc, less";
    let sql = format!("SELECT concat_ws('|', {fixed}) FROM made WHERE id = 2");
    let ours: String = file
        .query_row(
            "SELECT sum || '|' || CAST(big AS INTEGER) || '|' || quoted || '|' || word || '|' || doc \
             || '|' || less FROM made",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(pair.psql(&sql), ours);
    assert_eq!(pair.psql("SELECT bytes, yes FROM made WHERE id = 2"), "\\xabff|t");
    // The forms of times, and that what is random differs.
    let shape = "SELECT at ~ '^\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d$' AND stamp = at AND \
                 day = left(at, 10) AND hour = right(at, 8) AND year = left(at, 4) AND \
                 epoch = extract(epoch FROM at::timestamp) AND \
                 abs(extract(epoch FROM moment - at::timestamp)) < 2 AND \
                 later::timestamp - at::timestamp = interval '1 day' AND \
                 abs(extract(epoch FROM timezone('utc', now()) - moment)) < 600 AND \
                 dice BETWEEN 0 AND 9 AND token ~ '^[0-9a-f]{40}$' FROM made WHERE id = 2";
    assert_eq!(pair.psql(shape), "t");
    pair.psql("INSERT INTO made(id) SELECT generate_series(10, 60)");
    let random = "SELECT count(DISTINCT token) > 50 AND count(DISTINCT dice) > 4 FROM made \
                  WHERE id > 1";
    assert_eq!(pair.psql(random), "t");
    let values = |column: &str, value: &str| {
        format!("INSERT INTO held(id, a, {column}) VALUES (50, 1, {value})")
    };
    for (sql, allowed) in [
        ("INSERT INTO held(id, a) VALUES (50, NULL)".to_owned(), false),
        ("INSERT INTO held(id, a) VALUES (50, 7)".to_owned(), true),
        (values("b", "'éééé'"), true),
        (values("b", "'12345'"), false),
        (values("c", "'1x'"), true),
        (values("c", "'x1'"), false),
        (values("c", "''"), false),
        (values("d", "'y'"), true),
        (values("d", "'z'"), false),
        (values("e", "5"), false),
        (values("e", "9"), true),
        (values("f", "'AXE'"), true),
        (values("f", "'b'"), false),
        (values("g", "'É'"), true),
        (values("g", "'E'"), false),
        (values("h", "-2"), true),
        (values("h", "-3"), false),
        ("INSERT INTO sought(id, email, gone) VALUES (9, 'ADA@X', 0)".to_owned(), false),
        ("INSERT INTO sought(id, email, gone) VALUES (9, 'ADA@X', 1)".to_owned(), true),
        ("INSERT INTO sought(id, email, n) VALUES (9, 'Ada!', 1)".to_owned(), false),
        ("INSERT INTO sought(id, email, n) VALUES (9, 'ada!', 1)".to_owned(), true),
        ("INSERT INTO word VALUES ('aBC', 3)".to_owned(), false),
        ("INSERT INTO word VALUES ('abcd', 3)".to_owned(), true),
    ] {
        assert_eq!(taken(&pair, &sql), (allowed, allowed), "{sql}");
    }
    assert_eq!(pair.psql("SELECT count(*) FROM pg_indexes WHERE tablename = 'sought'"), "6");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_column_that_postgresql_refuses_does_not_take_its_table() {
    // PostgreSQL compares constants before it knows by which collation.
    let pair = Pair::of_sql(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER, odd TEXT AS (CASE WHEN 'a' < 'b' THEN n || '' END),
           twice INTEGER AS (n * 2), CHECK (n > 0));
         CREATE INDEX t_odd ON t(odd);
         INSERT INTO t(id, n) VALUES (1, 5), (2, NULL);",
    )
    .await;
    let summary = pair.backfill().await;
    let mut missing: Vec<&str> = summary
        .findings
        .iter()
        .filter(|f| f.missing != Missing::Nothing)
        .map(|f| f.object.as_str())
        .collect();
    missing.sort_unstable();
    assert_eq!(missing, ["column \"odd\"", "index \"t_odd\""]);
    assert!(summary.complete && summary.tables.iter().all(|t| t.error.is_none()), "{summary:#?}");
    clean(&pair).await;
    // A copy again finds the table as it was made.
    assert!(pair.backfill().await.complete);
    clean(&pair).await;
    assert_eq!(pair.psql("SELECT string_agg(twice::text, ',') FROM t"), "10");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn triggers_pass_generated_columns_and_defaults() {
    let pair = Pair::of_sql(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER, twice INTEGER AS (n * 2), day TEXT AS (strftime('%f', n, 'unixepoch')));
         CREATE TABLE log(id INTEGER PRIMARY KEY, what TEXT, at TEXT DEFAULT (datetime('now')));
         CREATE TRIGGER final BEFORE DELETE ON t BEGIN SELECT RAISE(ABORT, 'rows are final'); END;
         CREATE TRIGGER positive BEFORE INSERT ON t WHEN NEW.n < 0 BEGIN SELECT RAISE(ABORT, 'negative'); END;
         CREATE TRIGGER made AFTER INSERT ON t BEGIN INSERT INTO log(what) VALUES ('made ' || NEW.twice); END;
         CREATE TRIGGER lost AFTER INSERT ON t BEGIN INSERT INTO log(what) VALUES (NEW.day); END;
         CREATE TRIGGER early BEFORE INSERT ON t WHEN NEW.twice > 99 BEGIN SELECT RAISE(ABORT, 'large'); END;
         CREATE VIEW days AS SELECT id, day FROM t;
         INSERT INTO t(id, n) VALUES (1, 5);",
    )
    .await;
    let summary = pair.backfill().await;
    let mut missing: Vec<&str> = summary
        .findings
        .iter()
        .filter(|f| f.missing != Missing::Nothing)
        .map(|f| f.object.as_str())
        .collect();
    missing.sort_unstable();
    let wanted = ["column \"day\"", "trigger \"early\"", "trigger \"lost\"", "view"];
    assert_eq!(missing, wanted, "{summary:#?}");
    let refused =
        |sql: &str| Pg::shared().cluster.psql(&pair.database, sql).unwrap_err().to_string();
    assert!(refused("INSERT INTO t(id, n) VALUES (2, -1)").contains("negative"));
    assert!(refused("DELETE FROM t").contains("rows are final"));
    pair.psql("INSERT INTO t(id, n) VALUES (2, 4)");
    assert_eq!(
        pair.psql("SELECT what, at IS NOT NULL FROM log ORDER BY id DESC LIMIT 1"),
        "made 8|t"
    );
}

/// What PostgreSQL cannot have.
const WEAKER: &str = "PRAGMA foreign_keys = OFF;
    CREATE TABLE a(id INTEGER PRIMARY KEY, x TEXT CHECK (x REGEXP '^a' OR 1), at TEXT DEFAULT (datetime('now', 'localtime')),
      doc TEXT, k AS (json_extract(doc, '$.k')), big TEXT, mixed UNIQUE, gone INTEGER REFERENCES nowhere(id));
    CREATE UNIQUE INDEX a_doc ON a(json_extract(doc, '$.u'));
    CREATE INDEX a_fast ON a(json_extract(doc, '$.f'));
    CREATE UNIQUE INDEX a_big ON a(big);
    CREATE TRIGGER a_io AFTER INSERT ON a BEGIN SELECT count(*) FROM a; END;
    CREATE TABLE m(k PRIMARY KEY, v TEXT);
    INSERT INTO m VALUES (1, 'number'), ('1', 'text');";

fn missing_file() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection
        .create_scalar_function(
            "regexp",
            2,
            rusqlite::functions::FunctionFlags::SQLITE_DETERMINISTIC,
            |_| Ok(true),
        )
        .unwrap();
    connection.execute_batch(WEAKER).unwrap();
    // Of no pattern that compresses.
    let mut long = String::new();
    let mut state = 1_u64;
    while long.len() < 9000 {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        long.push(char::from(b'!' + u8::try_from(state >> 58).unwrap()));
    }
    connection
        .execute("INSERT INTO a(id, big, mixed) VALUES (1, ?1, 1), (2, 'b', '1')", [&long])
        .unwrap();
    (folder, file)
}

const LOST: [&str; 9] = [
    "check \"a_x_check\"",
    "default of column \"at\"",
    "column \"k\"",
    "index \"a_doc\"",
    "unique index \"a_big\"",
    "unique (mixed)",
    "foreign key (gone)",
    "trigger \"a_io\"",
    "unique (k)",
];

#[test]
fn what_makes_postgresql_weaker_holds_a_gate_until_it_is_accepted() {
    let (_folder, file) = missing_file();
    let (_, stdout, _) = crossfade(&["assess", file.to_str().unwrap(), "--json"]);
    let report: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    for (id, object) in [
        ("CF0508", "a_x_check"),
        ("CF0504", ""),
        ("CF0513", ""),
        ("CF0501", "a_doc"),
        ("CF0501", "a_fast"),
        ("CF0316", "a_big"),
        ("CF0310", ""),
        ("CF0303", ""),
        ("CF0503", "a_io"),
    ] {
        let there =
            report["findings"].as_array().unwrap().iter().any(|f| {
                f["id"] == id && (object.is_empty() || f["object"].as_str() == Some(object))
            });
        assert!(there, "{id} {object}: {report:#}");
    }
    let journey = Journey::start(&file, Pg::shared(), &[]);
    let copy = journey.copy();
    let tables = copy["tables"].as_array().unwrap();
    let of = |name: &str| {
        let table = tables.iter().find(|t| t["table"] == name).unwrap();
        table["missing"].as_array().map_or(0, Vec::len)
    };
    assert_eq!((of("a"), of("m")), (9, 1), "{copy:#}");
    assert!(copy["result"].to_string().contains("10 objects of the file missing"), "{copy}");
    journey.await_status("phase", "mirroring");
    journey.done(&["verify"]);
    let open = journey.get("/api/v1/divergences");
    let groups = open["divergences"].as_array().unwrap().clone();
    assert_eq!(groups.len(), LOST.len(), "{open:#}");
    for object in LOST {
        let text = format!("missing {object}");
        let group = groups.iter().find(|g| g["columns"][0] == text.as_str());
        assert!(group.is_some_and(|g| g["class"] == "schema_drift"), "{object}: {open:#}");
    }
    let (code, _, stderr) = journey.promote_once();
    assert!(code == 4 && stderr.contains("divergences"), "{code}: {stderr}");
    // One is written by hand, the others are accepted.
    let sql = "ALTER TABLE a ADD CONSTRAINT a_x_check CHECK (x ~ '^a' OR true)";
    Pg::shared().cluster.psql(&journey.database, sql).unwrap();
    let state = |object: &str| {
        let open = journey.get("/api/v1/divergences");
        let text = format!("missing {object}");
        let groups = open["divergences"].as_array().unwrap();
        let group = groups.iter().find(|g| g["columns"][0] == text.as_str()).unwrap();
        group["state"].as_str().unwrap().to_owned()
    };
    eventually("the check is seen", || state(LOST[0]) == "fixed");
    for group in groups.iter().filter(|g| g["columns"][0] != "missing check \"a_x_check\"") {
        let id = group["id"].as_str().unwrap();
        let (code, _, stderr) =
            journey.order(&["divergences", "accept", id, "--reason", "the application does it"]);
        assert_eq!(code, 0, "{stderr}");
    }
    journey.await_gate("divergences");
    // A decision is not asked for twice, nor is what was written by hand a change of the schema.
    journey.copy();
    journey.await_status("phase", "mirroring");
    journey.done(&["verify"]);
    let open = journey.get("/api/v1/divergences");
    let undecided = open["divergences"].as_array().unwrap().iter().filter(|g| g["state"] == "open");
    assert!(undecided.clone().count() <= 1, "{open:#}");
    assert_eq!(state(LOST[1]), "accepted");
}

/// A schema with something of everything.
const WHOLE: &str = "PRAGMA foreign_keys = OFF;
    CREATE TABLE event(id INTEGER PRIMARY KEY AUTOINCREMENT, at DATETIME NOT NULL, what TEXT DEFAULT (lower('X')),
      day TEXT AS (upper(what)), note TEXT CHECK (length(note) < 50));
    CREATE INDEX event_at ON event(at DESC) WHERE note IS NOT NULL;
    INSERT INTO event(at, note) VALUES ('2024-01-05 10:00:00', 'a'), ('2024-03-07 11:00:00', NULL);
    CREATE TABLE owner(code TEXT PRIMARY KEY, parent TEXT REFERENCES owner(code), made TEXT DEFAULT CURRENT_TIMESTAMP);
    CREATE TABLE pet(id INTEGER PRIMARY KEY, owner TEXT NOT NULL REFERENCES owner ON DELETE CASCADE, name TEXT UNIQUE);
    CREATE TABLE log(line TEXT);
    INSERT INTO owner(code) VALUES ('o'); INSERT INTO pet VALUES (1, 'o', 'Rex'), (2, 'gone', 'Tom');
    CREATE VIEW [a view] AS SELECT shown, n FROM base;
    CREATE VIEW base AS SELECT name || '!' AS shown, length(name) AS n FROM pet;
    CREATE TRIGGER pet_made AFTER INSERT ON pet BEGIN INSERT INTO log VALUES ('new ' || NEW.name); END;";

#[test]
fn the_printed_ddl_makes_the_schema_of_the_copy() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    rusqlite::Connection::open(&file).unwrap().execute_batch(WHOLE).unwrap();
    let toml = folder.path().join("proxy.toml");
    std::fs::write(&toml, "[tables.event]\npartition_by = \"RANGE (at) EVERY month\"\n").unwrap();
    let url = Pg::shared().database_url("printed");
    let (file_text, toml_text) = (file.to_str().unwrap(), toml.to_str().unwrap());
    let (code, ddl, stderr) =
        crossfade(&["assess", file_text, "--config", toml_text, "--postgres", &url, "--ddl"]);
    assert_eq!(code, 0, "{stderr}");
    let script = folder.path().join("schema.sql");
    std::fs::write(&script, &ddl).unwrap();
    let mut psql = Pg::shared().tool("psql");
    psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", &url, "-f"]).arg(&script);
    let ran = psql.output().unwrap();
    assert!(ran.status.success(), "{}\n{ddl}", String::from_utf8_lossy(&ran.stderr));
    let journey = Journey::start(&file, Pg::shared(), &[("CROSSFADE_CONFIG", toml_text)]);
    journey.copy();
    journey.await_status("phase", "mirroring");
    let dump = |url: &str| {
        let mut dump = Pg::shared().tool("pg_dump");
        dump.args(["--schema-only", "--no-owner", "--schema=public", "-d", url]);
        let text = String::from_utf8(dump.output().unwrap().stdout).unwrap();
        let kept =
            |line: &&str| !line.starts_with("--") && !line.starts_with('\\') && !line.is_empty();
        text.lines().filter(kept).collect::<Vec<_>>().join("\n")
    };
    // A foreign key that rows break stays NOT VALID there; an empty database has no such rows.
    let theirs = dump(&Pg::shared().cluster.url(&journey.database)).replace(" NOT VALID", "");
    assert_eq!(dump(&url), theirs);
    for part in
        ["PARTITION OF", "CREATE VIEW", "CREATE TRIGGER", "GENERATED ALWAYS AS (CAST(upper("]
    {
        assert!(ddl.contains(part), "{part}: {ddl}");
    }
    assert!(theirs.contains("event_p202403") && theirs.contains("\"a view\""), "{theirs}");
}

#[test]
fn foreign_keys_that_sqlite_does_not_enforce_are_not_imposed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let sql = "PRAGMA foreign_keys = OFF; CREATE TABLE p(id INTEGER PRIMARY KEY);
        CREATE TABLE c(id INTEGER PRIMARY KEY, p INTEGER REFERENCES p(id), gone INTEGER REFERENCES nowhere(id));
        INSERT INTO c VALUES (1, 7, 8);";
    rusqlite::Connection::open(&file).unwrap().execute_batch(sql).unwrap();
    let toml = folder.path().join("proxy.toml");
    std::fs::write(&toml, "[sqlite]\nforeign_keys = false\n").unwrap();
    let (file_text, toml_text) = (file.to_str().unwrap(), toml.to_str().unwrap());
    let (_, stdout, _) = crossfade(&["assess", file_text, "--config", toml_text, "--json"]);
    let report: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let ids: Vec<&str> =
        report["findings"].as_array().unwrap().iter().map(|f| f["id"].as_str().unwrap()).collect();
    assert!(ids.contains(&"CF0319") && !ids.contains(&"CF0302"), "{ids:?}");
    assert!(!ids.contains(&"CF0303"), "{ids:?}");
    let journey = Journey::start(&file, Pg::shared(), &[("CROSSFADE_CONFIG", toml_text)]);
    let copy = journey.copy();
    assert!(copy.to_string().contains("as [sqlite] foreign_keys says"), "{copy}");
    journey.await_status("phase", "mirroring");
    let count = "SELECT count(*) FROM pg_constraint WHERE contype = 'f'";
    assert_eq!(Pg::shared().cluster.psql(&journey.database, count).unwrap(), "0");
    let open = journey.get("/api/v1/divergences");
    assert_eq!(open["divergences"].as_array().map(Vec::len), Some(0), "{open}");
}
