//! What Crossfade tells is true: statements that could cry wolf do not, failures are compared by
//! SQLSTATE, every shape is counted, and a planted difference is still found.

use std::time::Duration;

use serde_json::Value;
use tokio_postgres::{Client, NoTls};

use crate::common::{Journey, Pg, Relay, eventually};

const TABLES: &str = "
    CREATE TABLE n (id integer PRIMARY KEY, k integer, t text, f double precision, ts timestamp,
      tz timestamptz, d date, num numeric(10,2), b boolean, j jsonb, raw bytea);
    CREATE TABLE one (id integer PRIMARY KEY, name text NOT NULL UNIQUE,
      qty integer CHECK (qty >= 0), small smallint, short varchar(5));
    CREATE TABLE child (id integer PRIMARY KEY, one_id integer REFERENCES one (id));
    INSERT INTO n SELECT g, g % 4, 'row ' || (g * 7 % 40), g / 3.0, '2024-03-10 01:30:00',
      '2024-03-10 06:30:00+00', '2024-02-03', g / 4.0, g % 2 = 0, '{\"b\": 1, \"a\": [2]}', '\\x00ff'
      FROM generate_series(1, 40) g;
    INSERT INTO one VALUES (1, 'first', 1, 1, 'abc'), (2, 'second', 2, 2, 'def');
    INSERT INTO child VALUES (1, 1);";

/// Reads whose answer depends on order, time, chance or the session.
const READS: &[&str] = &[
    "SELECT array_agg(t) FROM n",
    "SELECT k, string_agg(t, ',') FROM n GROUP BY k ORDER BY k",
    "SELECT array_agg(t ORDER BY k) FROM n",
    "SELECT json_agg(t) FROM n",
    "SELECT id, row_number() OVER (ORDER BY k) FROM n ORDER BY id",
    "SELECT id, lag(t) OVER (ORDER BY k) FROM n",
    "SELECT id, sum(id) OVER (ORDER BY k ROWS UNBOUNDED PRECEDING) FROM n",
    "SELECT id, rank() OVER (ORDER BY k), count(*) OVER (PARTITION BY k) FROM n ORDER BY id",
    "SELECT sum(f), avg(f), stddev(f) FROM n",
    "SELECT * FROM n LIMIT 5",
    "SELECT * FROM n ORDER BY k DESC LIMIT 7",
    "SELECT t FROM n ORDER BY k OFFSET 3",
    "SELECT count(*) FROM (SELECT * FROM n ORDER BY k LIMIT 9) s WHERE f > 6",
    "SELECT a.id FROM (SELECT id, k FROM n LIMIT 9) a JOIN one ON one.id = a.k",
    "SELECT DISTINCT ON (k) id, k FROM n ORDER BY k",
    "SELECT ARRAY(SELECT t FROM n WHERE k = 1)",
    "SELECT t FROM n WHERE id = (SELECT id FROM n WHERE k = 1 LIMIT 1)",
    "SELECT tz::date, tz::text, ts::timestamptz, d::timestamptz FROM n ORDER BY id",
    "SELECT date_trunc('day', tz), extract(hour FROM tz) FROM n ORDER BY id",
    "SELECT '2024-01-02 03:04:05'::timestamptz, '02/03/2024'::date, 0.1::float8::text",
    "SELECT interval '1 day 2 hours'::text, raw::text FROM n ORDER BY id",
    "SELECT to_char(tz, 'YYYY-MM-DD HH24:MI') FROM n ORDER BY id",
    "SELECT now(), current_date, localtimestamp, clock_timestamp(), current_time",
    "SELECT 'now'::timestamptz, 'today'::date, 'tomorrow'::timestamp",
    "SELECT age(ts) FROM n ORDER BY id",
    "SELECT random(), gen_random_uuid()",
    "SELECT random() FROM n",
    "SELECT * FROM n ORDER BY random()",
    "SELECT current_user, session_user, current_database(), pg_backend_pid()",
    "SELECT num, num::text, num * 3, num / 3 FROM n ORDER BY id",
    "SELECT f::text, f * 1.1 FROM n ORDER BY id",
    "SELECT j, j->>'a', j::text FROM n ORDER BY id",
    "SELECT DISTINCT k, b FROM n",
    "SELECT k FROM n UNION SELECT id FROM one",
    "SELECT id FROM n WHERE t LIKE 'row 1%' ORDER BY t, id",
];

/// Writes of the same kind.
const WRITES: &[&str] = &[
    "DELETE FROM n WHERE id IN (SELECT id FROM n WHERE k = 2 LIMIT 1)",
    "UPDATE n SET t = s.t FROM (VALUES (1, 'a'), (1, 'b')) s (k, t) WHERE n.k = s.k",
    "UPDATE n SET t = 'joined' FROM one WHERE one.id = n.k AND n.id < 9",
    "UPDATE n SET tz = '2024-05-05 10:00' WHERE id = 3",
    "UPDATE n SET d = '04/05/2024', ts = tz WHERE id = 4",
    "UPDATE n SET t = tz::text || f::text WHERE id < 6",
    "UPDATE n SET f = random() WHERE id < 5",
    "UPDATE n SET f = (SELECT sum(f) FROM n) WHERE id = 7",
    "UPDATE n SET t = (SELECT string_agg(t, ',') FROM n WHERE k = 3) WHERE id = 11",
    "UPDATE n SET t = (SELECT t FROM n WHERE k = 3 ORDER BY k LIMIT 1) WHERE id = 12",
    "INSERT INTO n (id, tz, ts, d) VALUES (1000, now(), 'now', 'tomorrow')",
    "INSERT INTO n (id, t) SELECT 2000 + row_number() OVER (ORDER BY k), t FROM n WHERE id < 20",
    "INSERT INTO n (id, t) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET t = excluded.t || n.t",
    "INSERT INTO one (id, name) SELECT k + 100, t FROM n ON CONFLICT DO NOTHING",
    "INSERT INTO one (id, name) VALUES (300, 'first') ON CONFLICT (name) DO UPDATE SET qty = 7 \
     RETURNING id, name, qty",
    "INSERT INTO one (id, name) VALUES (1, 'other'), (301, 'second'), (302, 'third') \
     ON CONFLICT DO NOTHING RETURNING id",
    "DELETE FROM n WHERE id >= 1000",
    "DELETE FROM one WHERE id >= 100",
];

const SETTINGS: &[&str] = &[
    "SELECT 1",
    "SET timezone = 'America/New_York'; SET datestyle = 'ISO, DMY'; \
     SET intervalstyle = 'iso_8601'; SET extra_float_digits = 0; SET bytea_output = 'escape'",
    "SET timezone = 'Asia/Kolkata'; SET extra_float_digits = -5",
];

fn start() -> (Journey, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let envs = [("CROSSFADE_COMPARE_READS", "all")];
    let journey = Journey::start(&folder.path().join("app.db"), Pg::shared(), &envs);
    journey.proxy.sql(TABLES);
    journey.mirror();
    (journey, folder)
}

async fn connect(journey: &Journey) -> Client {
    let (client, driver) = tokio_postgres::connect(&journey.proxy.url(), NoTls).await.unwrap();
    tokio::spawn(driver);
    client
}

/// Runs a statement; the SQLSTATE when it fails.
async fn run(client: &Client, sql: &str) -> Option<String> {
    let error = client.simple_query(sql).await.err()?;
    Some(error.code().map_or_else(|| error.to_string(), |c| c.code().to_owned()))
}

fn statements(journey: &Journey) -> Vec<Value> {
    let list = journey.get("/api/v1/statements");
    list["statements"].as_array().unwrap().clone()
}

/// The shape whose text begins so, letter case and blanks aside.
fn shape(journey: &Journey, begins: &str) -> Option<Value> {
    let bare = |text: &str| text.to_lowercase().split_whitespace().collect::<String>();
    let begins = bare(begins);
    let all = statements(journey).into_iter();
    all.into_iter().find(|s| bare(s["statement"].as_str().unwrap()).starts_with(&begins))
}

fn verdict(journey: &Journey, begins: &str, verdict: &str) -> u64 {
    shape(journey, begins).map_or(0, |s| s["verdicts"][verdict].as_u64().unwrap_or(0))
}

/// Everything that was offered has been looked at: the counts stand still.
fn settled(journey: &Journey) {
    journey.level();
    let counts = || (journey.status("compared"), journey.status("skipped"));
    let mut before = counts();
    loop {
        std::thread::sleep(Duration::from_millis(400));
        let now = counts();
        if now == before {
            return;
        }
        before = now;
    }
}

/// Every group with its samples.
fn groups(journey: &Journey) -> Vec<Value> {
    let list = journey.get("/api/v1/divergences");
    let groups = list["divergences"].as_array().unwrap();
    groups
        .iter()
        .map(|g| journey.get(&format!("/api/v1/divergences/{}", g["id"].as_str().unwrap())))
        .collect()
}

/// What statements found; the schema that a test changes is drift beside it.
fn divergences(journey: &Journey) -> Vec<Value> {
    groups(journey).into_iter().filter(|g| g["class"] != "schema_drift").collect()
}

fn none_reported(journey: &Journey) {
    settled(journey);
    let found = divergences(journey);
    assert!(found.is_empty(), "{}", serde_json::to_string_pretty(&found).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_open_or_of_the_session_is_never_a_divergence() {
    let (journey, _folder) = start();
    for settings in SETTINGS {
        let client = connect(&journey).await;
        client.batch_execute(settings).await.unwrap();
        for sql in READS.iter().chain(WRITES).chain(READS) {
            if let Some(code) = run(&client, sql).await {
                println!("{code}: {sql}");
                assert!(["0A000", "23505", "23502"].contains(&code.as_str()), "{sql}: {code}");
            }
        }
        none_reported(&journey);
    }
    for s in statements(&journey) {
        println!("{} {} {} {}", s["calls"], s["verdicts"], s["skipped"], s["statement"]);
    }
    journey.done(&["verify"]);
    // What is determined was compared all the same.
    assert!(verdict(&journey, "SELECT id, rank()", "match") >= 3);
    assert!(verdict(&journey, "SELECT tz::date", "match") >= 3);
    assert!(verdict(&journey, "UPDATE n SET tz", "match") >= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn temporary_tables_and_own_writes_are_left_out_and_counted() {
    let (journey, _folder) = start();
    let client = connect(&journey).await;
    for sql in [
        "CREATE TEMP TABLE mine (id integer, t text)",
        "INSERT INTO mine VALUES (1, 'x'), (2, 'y')",
        "INSERT INTO n (id, t) SELECT id + 500, t FROM mine",
        "SELECT n.t FROM mine JOIN n ON n.id = mine.id + 500 ORDER BY 1",
        "UPDATE n SET t = mine.t FROM mine WHERE mine.id = n.id",
        "DELETE FROM mine",
        // A temporary table hides the stored one of the same name.
        "CREATE TEMP TABLE one (id integer, name text)",
        "INSERT INTO one VALUES (7, 'hidden')",
        "SELECT name FROM one",
        "DROP TABLE one",
    ] {
        assert_eq!(run(&client, sql).await, None, "{sql}");
    }
    let client = connect(&journey).await;
    for sql in [
        "BEGIN",
        "UPDATE one SET qty = 10 WHERE id = 1",
        "SELECT qty FROM one WHERE id = 1",
        "COMMIT",
        "BEGIN ISOLATION LEVEL REPEATABLE READ",
        "SELECT count(*) FROM child",
        "COMMIT",
    ] {
        assert_eq!(run(&client, sql).await, None, "{sql}");
    }
    none_reported(&journey);
    journey.done(&["verify"]);
    let skipped =
        |begins: &str, reason: &str| shape(&journey, begins).unwrap()["skipped"][reason].clone();
    assert_eq!(skipped("INSERT INTO n (id, t) SELECT id + ", "session_state"), 1);
    // Compared in its transaction.
    assert_eq!(verdict(&journey, "SELECT qty FROM one", "match"), 1);
    assert_eq!(skipped("SELECT count(*) FROM child", "session_state"), 1);
}

/// Statements that fail on both sides, with the SQLSTATE a client gets.
const FAILURES: &[(&str, &str)] = &[
    ("INSERT INTO one VALUES (1, 'again')", "23505"),
    ("INSERT INTO one VALUES (9, 'first')", "23505"),
    ("INSERT INTO one VALUES (9, NULL)", "23502"),
    ("INSERT INTO one VALUES (70, 'x'), (70, 'y') ON CONFLICT (id) DO UPDATE SET qty = 2", "21000"),
    ("INSERT INTO one VALUES (9, 'ninth', -1)", "23514"),
    ("INSERT INTO child VALUES (9, 99)", "23503"),
    ("DELETE FROM one WHERE id = 1", "23503"),
    ("UPDATE one SET short = 'much too long' WHERE id = 1", "22001"),
    ("UPDATE one SET qty = qty / 0 WHERE id = 1", "22012"),
    ("UPDATE one SET small = 40000 WHERE id = 1", "22003"),
    ("UPDATE one SET qty = name::integer WHERE id = 1", "22P02"),
    ("SELECT 1 / (id - 1) FROM one", "22012"),
    ("SELECT name::integer FROM one", "22P02"),
    ("SELECT (SELECT id FROM one)", "21000"),
];

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_compared_by_sqlstate_at_their_position() {
    let (journey, _folder) = start();
    let client = connect(&journey).await;
    let other = connect(&journey).await;
    for (n, (sql, code)) in FAILURES.iter().enumerate() {
        assert_eq!(run(&client, sql).await.as_deref(), Some(*code), "{sql}");
        // Somebody else goes on meanwhile: the position passes.
        let next = format!("UPDATE n SET k = {n} WHERE id = 40");
        assert_eq!(run(&other, &next).await, None);
    }
    none_reported(&journey);
    for (sql, _) in FAILURES {
        let found = shape(&journey, &sql[..sql.find(['1', '9', '(']).unwrap_or(20).min(20)]);
        let found = found.unwrap_or_else(|| panic!("{sql} was not seen"));
        assert!(found["errors"].as_u64().unwrap() > 0, "{found}");
    }
    let failed = |begins: &str, verdict: &str| -> u64 {
        let begins = begins.to_lowercase();
        let all = statements(&journey);
        let these = all
            .iter()
            .filter(|s| s["statement"].as_str().unwrap().to_lowercase().starts_with(&begins));
        these.map(|s| s["verdicts"][verdict].as_u64().unwrap_or(0)).sum()
    };
    assert!(failed("insert into one", "match") >= 4, "{:?}", statements(&journey));
    assert!(failed("insert into child", "match") >= 1);
    assert!(failed("delete from one", "match") >= 1);
    assert!(failed("update one set", "match") >= 4);

    // After its transaction's own writes a failure has no position.
    for sql in ["BEGIN", "INSERT INTO one VALUES (50, 'fifty')"] {
        assert_eq!(run(&client, sql).await, None);
    }
    let again = "INSERT INTO one (name, id) VALUES ('fifty-one', 50)";
    assert_eq!(run(&client, again).await.as_deref(), Some("23505"));
    assert_eq!(run(&client, "ROLLBACK").await, None);
    none_reported(&journey);
    let found = shape(&journey, "INSERT INTO one (name").unwrap();
    assert_eq!(found["skipped"]["own_writes"], 1, "{found}");

    // A constraint that PostgreSQL lost is found by the statement that needs it.
    let pg = Pg::shared();
    pg.cluster.psql(&journey.database, "ALTER TABLE one DROP CONSTRAINT one_qty_check").unwrap();
    let negative = "INSERT INTO one (id, name, qty) VALUES (60, 'sixty', -60)";
    assert_eq!(run(&client, negative).await.as_deref(), Some("23514"));
    eventually("it is reported", || !divergences(&journey).is_empty());
    let found = divergences(&journey);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        (&found[0]["class"], &found[0]["table"]),
        (&"error_primary_only".into(), &"one".into())
    );
    let sample = &found[0]["samples"][0];
    assert_eq!(sample["primary_sqlstate"], "23514", "{sample}");
    // Nothing of it stays there.
    assert_eq!(
        pg.cluster.psql(&journey.database, "SELECT count(*) FROM one WHERE id = 60").unwrap(),
        "0"
    );
    // Another code.
    let sql = "ALTER TABLE one ADD CONSTRAINT odd CHECK (id <> 70 OR name::integer = 1)";
    pg.cluster.psql(&journey.database, sql).unwrap();
    assert_eq!(
        run(&client, "INSERT INTO one VALUES (70, 'x', -1)").await.as_deref(),
        Some("23514")
    );
    eventually("the code is reported", || divergences(&journey).len() == 2);
    let found = &divergences(&journey)[1];
    assert_eq!(found["class"], "sqlstate", "{found}");
    assert_eq!(found["samples"][0]["shadow_sqlstate"], "22P02", "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_shape_is_counted_and_shown() {
    let (journey, _folder) = start();
    let client = connect(&journey).await;
    for id in 1..=5 {
        assert_eq!(run(&client, &format!("SELECT name FROM one WHERE id = {id}")).await, None);
        assert_eq!(run(&client, &format!("UPDATE one SET qty = {id} WHERE id = 2")).await, None);
    }
    let refused = "SELECT * FROM one TABLESAMPLE SYSTEM (50)";
    assert_eq!(run(&client, refused).await.as_deref(), Some("0A000"));
    settled(&journey);
    // Every call is accounted for.
    let counted = || {
        let read = shape(&journey, "SELECT name FROM one WHERE id").unwrap();
        let skipped = read["skipped"].as_object().unwrap().values().map(|v| v.as_u64().unwrap());
        read["compared"].as_u64().unwrap() + skipped.sum::<u64>()
    };
    eventually("each call is compared or counted as not", || counted() == 5);
    let read = shape(&journey, "SELECT name FROM one WHERE id").unwrap();
    assert_eq!((&read["calls"], &read["kind"]), (&5.into(), &"read".into()), "{read}");
    let compared = read["compared"].as_u64().unwrap();
    assert!(read["primary_p50_ms"].as_f64().unwrap() <= read["primary_p99_ms"].as_f64().unwrap());
    if compared > 0 {
        assert!(read["shadow_p50_ms"].as_f64().is_some(), "{read}");
    }
    let write = shape(&journey, "UPDATE one SET qty").unwrap();
    assert_eq!((&write["calls"], &write["kind"]), (&5.into(), &"write".into()), "{write}");
    assert_eq!(write["verdicts"]["match"], 5, "{write}");
    assert!(write["shadow_p99_ms"].as_f64().is_some(), "{write}");
    let not = shape(&journey, "SELECT * FROM one TABLESAMPLE").unwrap();
    assert_eq!((&not["translatable"], &not["calls"]), (&false.into(), &1.into()), "{not}");
    // The gate says so, and the console shows the same.
    let gates = journey.get("/api/v1/gates");
    let gate = gates["gates"].as_array().unwrap().iter().find(|g| g["name"] == "translatable");
    assert_eq!(gate.unwrap()["ok"], false, "{gates}");
    let console = format!("postgres://app@127.0.0.1:{}/crossfade", journey.proxy.port);
    let (console, driver) = tokio_postgres::connect(&console, NoTls).await.unwrap();
    tokio::spawn(driver);
    let rows = console.query("SHOW STATEMENTS", &[]).await.unwrap();
    assert!(rows.len() >= 3);
    let sql = "SELECT statement, calls, compared, verdicts FROM statements \
               WHERE kind = 'write' AND calls = 5";
    let rows = console.query(sql, &[]).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].get::<_, i64>("compared"), 5);
    assert_eq!(rows[0].get::<_, &str>("verdicts"), "match 5");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planted_difference_is_found_by_a_read_with_its_evidence() {
    let (journey, _folder) = start();
    let pg = Pg::shared();
    let client = connect(&journey).await;
    pg.cluster.psql(&journey.database, "UPDATE n SET t = 'planted' WHERE id = 13").unwrap();
    // Ordered, cut by LIMIT in the open, and cut so that any choice would show it.
    for sql in [
        "SELECT id, t FROM n ORDER BY id",
        "SELECT id, k FROM n LIMIT 3",
        "SELECT t FROM n WHERE id > 12 AND id < 14 LIMIT 3",
    ] {
        eventually("it is compared", || {
            std::thread::sleep(Duration::from_millis(50));
            tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(async {
                    assert_eq!(run(&client, sql).await, None, "{sql}");
                });
            });
            settled(&journey);
            shape(&journey, &sql[..24]).is_some_and(|s| {
                let of = |v: &str| s["verdicts"][v].as_u64().unwrap_or(0);
                of("diverged") + of("ambiguous") + of("match") + of("match_normalized") > 0
            })
        });
    }
    assert_eq!(verdict(&journey, "SELECT id, k FROM n LIMIT", "diverged"), 0);
    let found = divergences(&journey);
    assert_eq!(found.len(), 2, "{found:?}");
    let ordered = &found[0];
    assert_eq!(
        (&ordered["class"], &ordered["columns"]),
        (&"value".into(), &serde_json::json!(["t"]))
    );
    let sample = &ordered["samples"][0];
    assert_eq!(sample["shadow"][0], "planted", "{sample}");
    assert!(sample["sqlite_sql"].is_string() && sample["postgres_sql"].is_string(), "{sample}");
    assert!(sample["primary_plan"][0].as_str().unwrap().contains("SCAN"), "{sample}");
    assert!(sample["shadow_plan"][0].as_str().unwrap().contains("cost="), "{sample}");
    assert_eq!(found[1]["class"], "row_missing", "no choice of LIMIT gives it: {}", found[1]);
    // Accepted by a person it is counted as such, until it expires.
    let id = ordered["id"].as_str().unwrap();
    let (code, _, stderr) = journey.proxy.cli(&[
        "divergences",
        "accept",
        id,
        "--owner",
        "ops",
        "--reason",
        "known",
        "--expires",
        "2999-01-01",
    ]);
    assert_eq!(code, 0, "{stderr}");
    eventually("it counts as accepted", || {
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                run(&client, "SELECT id, t FROM n ORDER BY id").await;
            });
        });
        settled(&journey);
        verdict(&journey, "SELECT id, t FROM n ORDER BY id", "accepted") > 0
    });
    assert_eq!(journey.get(&format!("/api/v1/divergences/{id}"))["state"], "accepted");
}

#[test]
fn a_schema_changed_behind_the_mirrors_back_is_drift() {
    let (journey, _folder) = start();
    let pg = Pg::shared();
    let behind = |sql: &str| pg.cluster.psql(&journey.database, sql).unwrap();
    journey.proxy.sql("CREATE INDEX n_k ON n (k)");
    journey.level();
    behind(
        "DROP INDEX n_k; ALTER TABLE one DROP CONSTRAINT one_name_key; \
         ALTER TABLE n ALTER COLUMN t TYPE text COLLATE \"C\"; \
         ALTER TABLE child DISABLE TRIGGER ALL; CREATE INDEX faster ON n (f); \
         CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; \
         CREATE TRIGGER act BEFORE INSERT ON one FOR EACH ROW EXECUTE FUNCTION act()",
    );
    let lines = |state: &str| -> Vec<String> {
        let found = groups(&journey);
        let drift = found.iter().filter(|g| g["class"] == "schema_drift" && g["state"] == state);
        drift.map(|g| format!("{}: {}", g["table"], g["columns"][0])).collect()
    };
    let wanted =
        ["n_k", "one_name_key", "column t text", "switched off: constraint child", "trigger"];
    let found = |state: &str| {
        let lines = lines(state);
        wanted.iter().all(|w| lines.iter().any(|l| l.contains(w)))
    };
    eventually("every change is reported", || found("open"));
    assert!(!lines("open").iter().any(|l| l.contains("faster")), "{:?}", lines("open"));
    let counted = lines("open").len();
    // A change that the journal brings is none, and hides none.
    journey.proxy.sql("ALTER TABLE n ADD COLUMN later integer");
    journey.level();
    assert_eq!(lines("open").len(), counted, "{:?}", lines("open"));
    behind(
        "CREATE INDEX n_k ON n (k); ALTER TABLE one ADD CONSTRAINT one_name_key UNIQUE (name); \
         ALTER TABLE n ALTER COLUMN t TYPE text; ALTER TABLE child ENABLE TRIGGER ALL; \
         DROP TRIGGER act ON one",
    );
    eventually("what is right again is closed", || lines("open").is_empty());
}

/// What somebody else changes between two schema changes of the journal is none of either.
#[test]
fn drift_between_two_schema_changes_is_no_part_of_them() {
    let (journey, _folder) = start();
    let pg = Pg::shared();
    let behind = |sql: &str| pg.cluster.psql(&journey.database, sql).unwrap();
    journey.proxy.sql("CREATE INDEX n_k ON n (k)");
    let setting = format!("ALTER DATABASE {} SET work_mem = '5MB'", journey.database);
    let changes = [
        ("DROP INDEX n_k", "n_k"),
        ("ALTER TABLE one DROP CONSTRAINT one_name_key", "one_name_key"),
        ("ALTER TABLE one ALTER COLUMN small SET DEFAULT 5", "column small"),
        ("ALTER TABLE child DISABLE TRIGGER ALL", "switched off: constraint child"),
        ("ALTER TABLE one ENABLE ROW LEVEL SECURITY", "row security"),
        (setting.as_str(), "setting"),
    ];
    for (n, (sql, _)) in changes.iter().enumerate() {
        journey.proxy.sql(&format!("CREATE TABLE before_{n} (id integer); TRUNCATE before_{n}"));
        journey.level();
        behind(sql);
        journey.proxy.sql(&format!("CREATE TABLE after_{n} (id integer)"));
        journey.level();
    }
    journey.order(&["verify"]);
    let found = groups(&journey);
    let drift = found.iter().filter(|g| g["class"] == "schema_drift" && g["state"] == "open");
    let lines: Vec<String> = drift.map(|g| g["columns"][0].to_string()).collect();
    for (sql, line) in changes {
        assert!(lines.iter().any(|l| l.contains(line)), "{sql}: {lines:?}");
    }
    assert_eq!(lines.len(), changes.len(), "{lines:?}");
}

/// A statement that PostgreSQL takes much longer for is `slow`, with both plans, blocks nothing,
/// and is closed by itself when it is fast again. A slow network is none of its business.
#[tokio::test(flavor = "multi_thread")]
async fn a_statement_much_slower_on_postgresql_is_told_until_it_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let pg = Pg::shared();
    let relay = Relay::to(pg.cluster.port());
    let envs = [
        ("CROSSFADE_COMPARE_READS", "all"),
        ("CROSSFADE_COMPARE_SLOW_RATIO", "2"),
        ("CROSSFADE_COMPARE_SLOW_FLOOR_MS", "10"),
        ("CROSSFADE_COMPARE_SLOW_WINDOW", "8"),
    ];
    let journey = Journey::behind(&relay, &folder.path().join("app.db"), pg, &envs);
    journey.proxy.sql(TABLES);
    journey.proxy.sql(
        "CREATE TABLE big (id integer PRIMARY KEY, k integer, t text); CREATE INDEX big_k ON big (k);
         INSERT INTO big SELECT g, g, 'row ' || g FROM generate_series(1, 20000) g",
    );
    journey.mirror();
    let client = connect(&journey).await;
    // Without the index each of forty rows is looked for in all of them.
    let sought = "(SELECT count(*) FROM big a WHERE id <= 40 AND \
                  (SELECT max(b.t) FROM big b WHERE b.k = a.k) > '')";
    let rounds = |count: usize| {
        tokio::task::block_in_place(|| {
            for n in 0..count {
                tokio::runtime::Handle::current().block_on(async {
                    for sql in [
                        format!("SELECT {sought}"),
                        "SELECT name FROM one WHERE id = 1".to_owned(),
                        format!("UPDATE n SET k = {n} WHERE id = {sought}"),
                        format!("UPDATE one SET small = {n} WHERE id = 2"),
                    ] {
                        assert_eq!(run(&client, &sql).await, None, "{sql}");
                    }
                });
                // One by one: what is too far behind is not compared.
                journey.level();
            }
            settled(&journey);
        });
    };
    let slow = || -> Vec<Value> {
        groups(&journey).into_iter().filter(|g| g["class"] == "slow").collect()
    };
    let behind = |sql: &str| pg.cluster.psql(&journey.database, sql).unwrap();
    relay.slow(Duration::from_millis(4));
    rounds(20);
    relay.slow(Duration::ZERO);
    assert!(slow().is_empty(), "the way there is slow, not a statement: {:?}", slow());
    behind("DROP INDEX big_k");
    rounds(32);
    let drift = || groups(&journey).into_iter().find(|g| g["class"] == "schema_drift");
    eventually("the index is missed", || drift().is_some());
    let drift = drift().unwrap();
    let found = slow();
    assert_eq!(found.len(), 2, "{found:#?} {:#?}", statements(&journey));
    for group in &found {
        let sample = &group["samples"][0];
        assert!(group["fingerprint"].as_str().unwrap().contains("big"), "{group}");
        assert_eq!((&group["severity"], &group["state"]), (&"performance".into(), &"open".into()));
        assert!(sample["message"].as_str().unwrap().contains("half of the calls"), "{sample}");
        assert!(sample["shadow_plan"].to_string().contains("Seq Scan on big"), "{sample}");
    }
    let reads = found.iter().find(|g| g["samples"][0]["primary_plan"].is_array()).unwrap();
    assert_eq!(reads["caused_by"], drift["id"], "{reads}");
    // The index blocks; that something is slow does not.
    let gates = journey.get("/api/v1/gates");
    let gate = gates["gates"].as_array().unwrap().iter().find(|g| g["name"] == "divergences");
    assert_eq!(gate.unwrap()["actual"], "0 data, 1 semantic", "{gates}");
    behind("CREATE INDEX big_k ON big (k)");
    rounds(32);
    let states: Vec<Value> = slow().iter().map(|g| g["state"].clone()).collect();
    assert_eq!(states, ["fixed", "fixed"]);
}

/// PostgreSQL describes an object as it is at that moment: one that somebody drops meanwhile is
/// described by nothing, and the mirror goes on.
#[test]
fn what_is_dropped_while_it_is_described_stops_nothing() {
    let pg = Pg::start();
    let folder = tempfile::tempdir().unwrap();
    let journey = Journey::start(&folder.path().join("app.db"), &pg, &[]);
    journey.proxy.sql("CREATE TABLE t (id integer PRIMARY KEY, n integer)");
    journey.mirror();
    let there = |sql: &str| pg.cluster.psql(&journey.database, sql);
    there("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'")
        .unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    // Also when the mirror stands still: a failure must not wait for the thread below.
    struct Stop<'a>(&'a std::sync::atomic::AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    }
    std::thread::scope(|scope| {
        let _stop = Stop(&stop);
        scope.spawn(|| {
            let one = "CREATE TRIGGER g AFTER UPDATE ON crossfade_other FOR EACH ROW EXECUTE FUNCTION f()";
            there("CREATE TABLE crossfade_other (id integer)").unwrap();
            let churn = format!(
                "DO $$ BEGIN FOR i IN 1..40 LOOP {one}; COMMIT; DROP TRIGGER g ON crossfade_other; \
                 COMMIT; END LOOP; END $$"
            );
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                there(&churn).unwrap();
            }
        });
        for i in 0..25 {
            journey.proxy.sql(&format!("CREATE TABLE made_{i} (id integer PRIMARY KEY)"));
            journey.level();
        }
    });
    let log = journey.proxy.log();
    assert!(!log.contains("panicked"), "{log}");
}
