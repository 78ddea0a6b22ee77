//! Comparing: nothing is reported where nothing differs, and what differs is found, named with
//! both values, and repaired.

use serde_json::Value;
use tokio_postgres::{Client, NoTls};

use crate::common::{Journey, Pg, eventually};

const TABLES: &str = "
    CREATE TABLE item (id integer PRIMARY KEY, name text NOT NULL UNIQUE, qty integer NOT NULL,
      price numeric(10,2), at timestamp, data jsonb);
    CREATE TABLE place (room text, shelf integer, item_id integer, PRIMARY KEY (room, shelf));
    INSERT INTO item SELECT g, 'item ' || g, g % 7, g / 4.0, '2024-05-06 07:08:09', '{\"a\": [1]}'
      FROM generate_series(1, 200) g;
    INSERT INTO place SELECT 'room ' || (g % 5), g, g FROM generate_series(1, 100) g;";

const READS: &[&str] = &[
    "SELECT * FROM item WHERE id = $1",
    "SELECT name, price FROM item WHERE qty = $1 % 7 ORDER BY id",
    "SELECT count(*), sum(price), min(at), max(name) FROM item WHERE id > $1",
    "SELECT qty, count(*) FROM item WHERE id <> $1 GROUP BY qty ORDER BY qty",
    "SELECT data, upper(name) FROM item WHERE id BETWEEN $1 AND $1 + 5",
    "SELECT room, shelf FROM place WHERE item_id < $1 ORDER BY room DESC, shelf LIMIT 5",
];

fn start() -> (Journey, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let journey = Journey::start(&file, Pg::shared(), &[("CROSSFADE_COMPARE_READS", "all")]);
    journey.proxy.sql(TABLES);
    journey.mirror();
    (journey, folder)
}

async fn connect(journey: &Journey) -> Client {
    let (client, driver) = tokio_postgres::connect(&journey.proxy.url(), NoTls).await.unwrap();
    tokio::spawn(driver);
    client
}

async fn work(client: &mut Client, n: i32) {
    let id = n % 150 + 1;
    let update = "UPDATE item SET qty = qty + 1, price = price * 1.01 WHERE id = $1";
    client.execute(update, &[&id]).await.unwrap();
    let insert = "INSERT INTO item (id, name, qty) VALUES ($1, $2, 0)";
    client.execute(insert, &[&(1000 + n), &format!("new {n}")]).await.unwrap();
    let transaction = client.transaction().await.unwrap();
    let moved = "UPDATE place SET item_id = $2 WHERE room = $1";
    transaction.execute(moved, &[&format!("room {}", n % 5), &id]).await.unwrap();
    let delete = "DELETE FROM item WHERE id = $1";
    transaction.execute(delete, &[&(1000 + n - 3)]).await.unwrap();
    let upsert = "INSERT INTO place VALUES ('cellar', $1, $2) \
                  ON CONFLICT (room, shelf) DO UPDATE SET item_id = excluded.item_id";
    transaction.execute(upsert, &[&(n % 10), &id]).await.unwrap();
    transaction.commit().await.unwrap();
    for sql in READS {
        client.query(*sql, &[&id]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identical_workload_has_no_divergence() {
    let (journey, _folder) = start();
    let mut client = connect(&journey).await;
    let mut n = 0;
    let figure = |field: &str| journey.status(field).parse::<u64>().unwrap();
    while figure("compared") < 1000 {
        for _ in 0..20 {
            n += 1;
            work(&mut client, n).await;
        }
        assert!(n < 2000, "{n} rounds and {} comparisons", figure("compared"));
    }
    journey.level();
    println!(
        "{n} rounds: {} comparisons, {} skipped, {} diverged, coverage {}",
        figure("compared"),
        figure("skipped"),
        figure("diverged_open"),
        journey.status("coverage")
    );
    let found = journey.get("/api/v1/divergences");
    assert_eq!(found["divergences"].as_array().unwrap().len(), 0, "{found}");
    journey.done(&["verify"]);
}

/// Open groups of a class, with their samples.
fn groups(journey: &Journey, class: &str) -> Vec<Value> {
    let list = journey.get("/api/v1/divergences");
    let groups = list["divergences"].as_array().unwrap();
    let wanted = groups.iter().filter(|g| g["class"] == class && g["state"] == "open");
    wanted
        .map(|g| journey.get(&format!("/api/v1/divergences/{}", g["id"].as_str().unwrap())))
        .collect()
}

/// The values a sample gives for a column: the primary's and the shadow's.
fn values<'a>(sample: &'a Value, column: &str) -> Option<(&'a Value, &'a Value)> {
    let at = sample["columns"].as_array()?.iter().position(|c| c == column)?;
    Some((&sample["primary"][at], &sample["shadow"][at]))
}

#[test]
fn a_row_changed_behind_its_back_is_found_and_repaired() {
    let (journey, _folder) = start();
    let pg = Pg::shared();
    let behind = |sql: &str| pg.cluster.psql(&journey.database, sql).unwrap();
    behind("UPDATE item SET price = 99.95 WHERE id = 42");
    let (code, task, stderr) = journey.order(&["verify"]);
    assert_eq!(code, 1, "{stderr}{task}");
    let found = groups(&journey, "verify_value");
    assert_eq!(found.len(), 1, "{found:?}");
    let (group, sample) = (&found[0], &found[0]["samples"][0]);
    assert_eq!(group["table"], "item");
    assert_eq!(group["severity"], "data");
    assert_eq!(sample["key"][0], serde_json::json!(["id", "42"]));
    assert_eq!(values(sample, "price"), Some((&"10.50".into(), &"99.95".into())), "{sample}");
    assert!(group["replay"].as_str().is_some_and(|r| r.contains("item")), "{group}");
    let (code, ..) = journey.promote_once();
    assert_eq!(code, 4, "promoted with an open divergence");
    journey.done(&["repair"]);
    assert_eq!(behind("SELECT price FROM item WHERE id = 42"), "10.50");
    journey.done(&["verify"]);
    let id = group["id"].as_str().unwrap();
    assert_eq!(journey.get(&format!("/api/v1/divergences/{id}"))["state"], "fixed");
    assert_eq!(journey.status("diverged_open"), "0");
}

/// A value of megabytes is compared whole and kept by its beginning: everything that shows
/// divergences goes on, and the state file stays small.
#[test]
fn a_divergence_of_a_large_value_is_shown_like_any_other() {
    let (journey, folder) = start();
    let pg = Pg::shared();
    journey.proxy.sql(
        "CREATE TABLE big (id integer PRIMARY KEY, data bytea);
         INSERT INTO big SELECT 1, decode(repeat('00ff', 2000000), 'hex')",
    );
    journey.await_status("lag_commits", "0");
    let changed = "UPDATE big SET data = set_byte(data, 3000000, 7)";
    pg.cluster.psql(&journey.database, changed).unwrap();
    let (code, task, stderr) = journey.order(&["verify"]);
    assert_eq!(code, 1, "{stderr}{task}");
    let found = groups(&journey, "verify_value");
    let (group, sample) = (&found[0], &found[0]["samples"][0]);
    let (ours, theirs) = values(sample, "data").unwrap();
    let (ours, theirs) = (ours.as_str().unwrap(), theirs.as_str().unwrap());
    assert!(ours.starts_with("\\x00ff00ff") && ours.contains("(8000002 bytes, sha256 "), "{ours}");
    assert!(ours != theirs && ours.len() < 64 << 10, "{}", ours.len());
    // Two digits for a byte, behind two characters that say so.
    assert_eq!(sample["shortened"][0]["differs_at"], 6_000_003, "{}", sample["shortened"]);
    let id = group["id"].as_str().unwrap();
    for (arguments, wanted) in [
        (vec!["divergences", "--json"], 1),
        (vec!["divergences", "show", id, "--json"], 0),
        (vec!["divergences", "replay", id, "--json"], 0),
        (vec!["divergences", "export"], 0),
    ] {
        let (code, out, err) = journey.proxy.cli(&arguments);
        assert!(code == wanted && out.contains(id) && out.len() < 200 << 10, "{code} {err}");
    }
    let state = folder.path().join("app.db-crossfade.jsonl");
    let bytes = std::fs::metadata(state).unwrap().len();
    assert!(bytes < 1 << 20, "{bytes}");
}

#[test]
fn a_statement_with_another_effect_is_found_where_it_ran() {
    let (journey, _folder) = start();
    let pg = Pg::shared();
    let behind = |sql: &str| pg.cluster.psql(&journey.database, sql).unwrap();
    journey.proxy.sql("UPDATE item SET qty = 1 WHERE id = 7");
    journey.level();
    // The row is another one there.
    behind("UPDATE item SET qty = 50 WHERE id = 7");
    journey.proxy.sql("UPDATE item SET qty = qty + 1 WHERE id = 7");
    eventually("lane B finds the other value", || !groups(&journey, "effect_value").is_empty());
    let found = groups(&journey, "effect_value");
    let sample = &found[0]["samples"][0];
    assert_eq!(found[0]["table"], "item");
    assert_eq!(sample["key"][0], serde_json::json!(["id", "7"]));
    assert_eq!(values(sample, "qty"), Some((&"2".into(), &"51".into())), "{sample}");
    assert!(sample["postgres_sql"].as_str().is_some_and(|s| s.contains("UPDATE")), "{sample}");
    // The image decides what the shadow holds.
    assert_eq!(behind("SELECT qty FROM item WHERE id = 7"), "2");
    // A trigger that only PostgreSQL has.
    behind(
        "CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN NEW.name := NEW.name || '!'; RETURN NEW; END $$; \
         CREATE TRIGGER meddle BEFORE INSERT ON item FOR EACH ROW EXECUTE FUNCTION meddle()",
    );
    journey.proxy.sql("INSERT INTO item (id, name, qty) VALUES (900, 'plain', 1)");
    let named = |group: &Value| {
        let samples = group["samples"].as_array().unwrap();
        samples.iter().any(|s| values(s, "name") == Some((&"plain".into(), &"plain!".into())))
    };
    eventually("the trigger's effect is found", || {
        groups(&journey, "effect_value").iter().any(named)
    });
    assert_eq!(behind("SELECT name FROM item WHERE id = 900"), "plain");
    let (code, task, stderr) = journey.order(&["verify"]);
    assert_eq!(code, 0, "the rows are the same: {stderr}{task}");
}

/// PostgreSQL's foreign keys act where SQLite's are off: rows that no image names stay.
#[test]
fn a_cascade_that_only_postgresql_has_reaches_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let off = [("CROSSFADE_SQLITE_FOREIGN_KEYS", "false")];
    let journey = Journey::start(&file, Pg::shared(), &off);
    journey.proxy.sql(
        "CREATE TABLE parent (id int PRIMARY KEY); \
         CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE CASCADE); \
         INSERT INTO parent VALUES (1), (2); INSERT INTO child VALUES (1, 1), (2, 1), (3, 2);",
    );
    journey.mirror();
    journey.proxy.sql("DELETE FROM parent WHERE id = 1");
    journey.level();
    let count = "SELECT count(*) FROM child";
    assert_eq!(journey.proxy.sql(count), "3");
    assert_eq!(Pg::shared().cluster.psql(&journey.database, count).unwrap(), "3");
    journey.done(&["verify"]);
}

/// The classic way to change a table on SQLite, and rows between the steps, in one transaction.
#[test]
fn rows_between_the_schema_changes_of_a_transaction_arrive() {
    let (journey, _folder) = start();
    let mut client = crate::common::Raw::proxy(&journey.proxy);
    for sql in [
        "BEGIN",
        "CREATE TABLE item_new (id integer PRIMARY KEY, name text NOT NULL, qty bigint, note text)",
        "INSERT INTO item_new (id, name, qty) SELECT id, name, qty FROM item",
        "SAVEPOINT s",
        "ALTER TABLE item_new ADD COLUMN gone int",
        "UPDATE item_new SET gone = 1",
        "ROLLBACK TO s",
        "DROP TABLE item",
        "ALTER TABLE item_new RENAME TO item",
        "INSERT INTO item (id, name) VALUES (5000, 'between')",
        "ALTER TABLE item ADD COLUMN a int",
        "UPDATE item SET a = id, note = 'x' WHERE id % 2 = 0",
        "ALTER TABLE item ADD COLUMN b text",
        "INSERT INTO item (id, name, a, b) VALUES (5001, 'last', 1, 'b')",
        "CREATE TABLE brief (id int PRIMARY KEY)",
        "INSERT INTO brief VALUES (1)",
        "DROP TABLE brief",
        "COMMIT",
    ] {
        let told = client.query(sql);
        assert!(told.iter().all(|t| !t.starts_with("E ")), "{sql}: {told:?}");
    }
    journey.level();
    let all =
        "SELECT string_agg(concat_ws(',', id, name, qty, note, a, b), ';' ORDER BY id) FROM item";
    let there = Pg::shared().cluster.psql(&journey.database, all).unwrap();
    assert_eq!(journey.proxy.sql(all), there);
    assert!(there.contains("5001"));
    journey.done(&["verify"]);
    assert_eq!(journey.status("diverged_open"), "0");
}

/// The applier stands until all of this work is in the journal.
fn while_held(journey: &Journey, work: impl FnOnce()) {
    let pg = Pg::shared();
    let behind = |sql: &str| pg.cluster.psql(&journey.database, sql).unwrap();
    let mut holder = pg
        .tool("psql")
        .args(["-X", "-q", "-d", &pg.cluster.url(&journey.database)])
        .args(["-c", "BEGIN; LOCK TABLE crossfade.state IN EXCLUSIVE MODE; SELECT pg_sleep(600)"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let held = "SELECT count(*) FROM pg_locks WHERE mode = 'ExclusiveLock' AND granted \
                AND relation = 'crossfade.state'::regclass";
    eventually("the applier is held", || behind(held) == "1");
    work();
    behind(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()",
    );
    let _ = holder.wait();
    journey.level();
}

/// Verdicts of the shape that was called so often and names this.
fn verdicts(journey: &Journey, calls: u64, names: &str) -> Value {
    let list = journey.get("/api/v1/statements");
    let shapes = list["statements"].as_array().unwrap();
    let text = |s: &Value| s["statement"].as_str().unwrap().to_lowercase();
    let shape = shapes.iter().find(|s| s["calls"] == calls && text(s).contains(names));
    shape.unwrap_or_else(|| panic!("{list}"))["verdicts"].clone()
}

/// Many transactions are tested together; the one that differs is the one that is named.
#[test]
fn of_many_transactions_at_once_the_one_that_differs_is_named() {
    let (journey, _folder) = start();
    let pg = Pg::shared();
    let behind = |sql: &str| pg.cluster.psql(&journey.database, sql).unwrap();
    while_held(&journey, || {
        behind("UPDATE item SET qty = 50 WHERE id = 77");
        for id in 60..100 {
            journey.proxy.sql(&format!("UPDATE item SET qty = qty + 1 WHERE id = {id}"));
        }
    });
    let found = groups(&journey, "effect_value");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["count"], 1, "{found:?}");
    assert_eq!(found[0]["samples"][0]["key"][0], serde_json::json!(["id", "77"]));
    let verdicts = verdicts(&journey, 40, "qty + ");
    assert_eq!((&verdicts["match"], &verdicts["diverged"]), (&39.into(), &1.into()), "{verdicts}");
    assert_eq!(behind("SELECT qty FROM item WHERE id = 77"), "1");
    journey.done(&["verify"]);
}

/// A row that PostgreSQL refuses goes in by itself; transactions beside it are tested all the same,
/// each once.
#[test]
fn a_row_that_is_refused_hides_nothing_beside_it() {
    let (journey, _folder) = start();
    let pg = Pg::shared();
    let behind = |sql: &str| pg.cluster.psql(&journey.database, sql).unwrap();
    behind("ALTER TABLE place ADD CONSTRAINT few CHECK (shelf < 1000)");
    while_held(&journey, || {
        behind("UPDATE item SET qty = 50 WHERE id IN (62, 77, 98)");
        for id in 60..100 {
            let sql = match id {
                80 => "UPDATE place SET shelf = 5000 WHERE shelf = 80".to_owned(),
                _ => format!("UPDATE item SET qty = qty + 1 WHERE id = {id}"),
            };
            journey.proxy.sql(&sql);
        }
    });
    let found = groups(&journey, "effect_value");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["count"], 3, "{found:?}");
    let keys: Vec<&Value> =
        found[0]["samples"].as_array().unwrap().iter().map(|s| &s["key"][0][1]).collect();
    assert_eq!(keys, ["62", "77", "98"]);
    let verdicts = verdicts(&journey, 39, "qty + ");
    assert_eq!((&verdicts["match"], &verdicts["diverged"]), (&36.into(), &3.into()), "{verdicts}");
    assert_eq!(groups(&journey, "untranslatable").len(), 1, "it is in quarantine");
    assert_eq!(behind("SELECT count(*) FROM item WHERE qty = 51"), "0");
    assert_eq!(behind("SELECT count(*) FROM place WHERE shelf IN (80, 5000)"), "0");
}

/// What is switched off by name is carried, counted, and not compared.
#[test]
fn writes_are_left_out_by_table_by_shape_and_by_share() {
    let folder = tempfile::tempdir().unwrap();
    let envs = [("CROSSFADE_COMPARE_WRITES_SKIP", "place")];
    let mut journey = Journey::start(&folder.path().join("app.db"), Pg::shared(), &envs);
    journey.proxy.sql(TABLES);
    journey.mirror();
    let round = |journey: &Journey| {
        journey.proxy.sql("UPDATE place SET item_id = item_id + 1 WHERE shelf = 7");
        journey.proxy.sql("UPDATE item SET qty = qty + 1 WHERE id = 7");
        journey.level();
    };
    let shape = |journey: &Journey, word: &str| -> Value {
        let list = journey.get("/api/v1/statements");
        let shapes = list["statements"].as_array().unwrap().iter();
        let text = |s: &Value| s["statement"].as_str().unwrap().to_lowercase();
        let mut wanted = shapes.filter(|s| text(s).starts_with("update") && text(s).contains(word));
        wanted.next().unwrap_or_else(|| panic!("no {word} in {list}")).clone()
    };
    round(&journey);
    assert_eq!(shape(&journey, "item_id")["skipped"]["sampled_out"], 1);
    let item = shape(&journey, "qty");
    assert_eq!(item["verdicts"]["match"], 1, "{item}");
    let fingerprint = item["fingerprint"].as_str().unwrap().to_owned();
    journey.restart_with(&[("CROSSFADE_COMPARE_WRITES_SKIP", &fingerprint)]);
    journey.level();
    round(&journey);
    let (place, item) = (shape(&journey, "item_id"), shape(&journey, "qty"));
    assert_eq!(place["verdicts"]["match"], 1, "{place}");
    assert_eq!(item["skipped"]["sampled_out"], 1, "{item}");
    journey.restart_with(&[("CROSSFADE_COMPARE_WRITES_RATIO", "0")]);
    journey.level();
    round(&journey);
    let place = shape(&journey, "item_id");
    assert!(place["verdicts"]["match"].as_u64().unwrap_or(0) <= 1, "{place}");
    assert!(place["skipped"]["sampled_out"].as_u64().unwrap() >= 1, "{place}");
    journey.done(&["verify"]);
}

/// As many rows as on SQLite, and the looked-at ones equal, but another row was reached there: that
/// work is not kept, because no image would put it right.
#[test]
fn a_statement_that_reaches_another_row_there_is_not_kept() {
    let (journey, _folder) = start();
    let behind = |sql: &str| Pg::shared().cluster.psql(&journey.database, sql).unwrap();
    journey.proxy.sql("UPDATE item SET qty = 0 WHERE id = 1");
    journey.level();
    // The cheapest is another one there.
    behind("UPDATE item SET price = -1 WHERE id = 2");
    let there = "SELECT qty FROM item WHERE id = 2";
    assert_eq!(behind(there), "2");
    let cheapest = "(SELECT id FROM item ORDER BY price, id LIMIT 1)";
    // On SQLite the row is what it was.
    journey.proxy.sql(&format!("UPDATE item SET qty = 0 WHERE id = {cheapest}"));
    journey.level();
    assert_eq!(behind(there), "2");
    // And where a second statement makes the first one's row equal.
    journey.proxy.sql(&format!(
        "BEGIN; UPDATE item SET qty = 5 WHERE id = {cheapest}; \
         UPDATE item SET qty = 5 WHERE id = 1; COMMIT"
    ));
    journey.level();
    assert_eq!(behind(there), "2");
    assert_eq!(behind("SELECT qty FROM item WHERE id = 1"), "5");
    journey.done(&["repair"]);
    journey.done(&["verify"]);
}

/// A setting that changes within a transaction is in force for what comes after it only.
#[test]
fn statements_are_tested_under_their_own_settings() {
    let (journey, _folder) = start();
    journey.proxy.sql(
        "CREATE TABLE s (id int PRIMARY KEY, ts timestamptz);
         CREATE TABLE day1 (id int PRIMARY KEY, d date); CREATE TABLE day2 (id int PRIMARY KEY, d date);
         INSERT INTO s SELECT g, '2026-01-01 23:00:00+00' FROM generate_series(1, 5) g",
    );
    let mut client = crate::common::Raw::proxy(&journey.proxy);
    for sql in [
        "BEGIN",
        "INSERT INTO day1 SELECT id, ts::date FROM s",
        "SET LOCAL TimeZone = 'Asia/Tokyo'",
        "INSERT INTO day2 SELECT id, ts::date FROM s",
        "COMMIT",
    ] {
        let told = client.query(sql);
        assert!(told.iter().all(|t| !t.starts_with("E ")), "{sql}: {told:?}");
    }
    journey.level();
    let days = "SELECT (SELECT max(d) FROM day1), (SELECT max(d) FROM day2)";
    assert_eq!(journey.proxy.sql(days), "2026-01-01|2026-01-02");
    let found = journey.get("/api/v1/divergences");
    assert_eq!(found["divergences"].as_array().unwrap().len(), 0, "{found}");
    let shapes = journey.get("/api/v1/statements");
    for table in ["day1", "day2"] {
        let shapes = shapes["statements"].as_array().unwrap();
        let of =
            |s: &&Value| s["statement"].as_str().unwrap().contains(table) && s["kind"] == "write";
        let shape = shapes.iter().find(of).unwrap();
        assert_eq!(shape["verdicts"]["match"], 1, "{shape}");
    }
}

/// Literals of a text are values: kept nowhere when none are to be, and no group of their own.
#[test]
fn literals_are_not_kept_where_values_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let envs = [("CROSSFADE_DIVERGENCE_KEEP_VALUES", "none")];
    let journey = Journey::start(&file, Pg::shared(), &envs);
    journey.proxy.sql("CREATE TABLE t (id int PRIMARY KEY, secret text, n int); INSERT INTO t SELECT g, '', 0 FROM generate_series(1, 9) g");
    journey.mirror();
    Pg::shared().cluster.psql(&journey.database, "UPDATE t SET n = 50").unwrap();
    let mut client = crate::common::Raw::proxy(&journey.proxy);
    for id in 1..=3 {
        let script = format!(
            "P |UPDATE t SET secret = 'pass-word-{id}', n = n + 1 WHERE id = $1|23\nB ||{id}\nE\nS"
        );
        assert!(client.run(&script).contains("UPDATE 1"));
    }
    journey.level();
    eventually("lane B finds it", || !groups(&journey, "effect_value").is_empty());
    let found = groups(&journey, "effect_value");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["count"], 3, "{found:?}");
    for path in ["/api/v1/divergences", "/api/v1/statements", "/api/v1/events"] {
        let told = journey.get(path).to_string();
        assert!(!told.contains("pass-word"), "{path}: {told}");
    }
    let divergence = found[0].to_string();
    assert!(!divergence.contains("pass-word"), "{divergence}");
    assert!(!journey.proxy.log().contains("pass-word"), "{}", journey.proxy.log());
}

/// Runs the statements on one connection, and waits until PostgreSQL has them.
fn carried(journey: &Journey, statements: &[&str]) {
    let mut client = crate::common::Raw::proxy(&journey.proxy);
    for sql in statements {
        let told = client.query(sql);
        assert!(told.iter().all(|t| !t.starts_with("E ")), "{sql}: {told:?}");
    }
    journey.level();
    journey.done(&["verify"]);
    assert_eq!(journey.status("diverged_open"), "0");
}

/// What is told of the writing statements that name the table.
fn writes_of(journey: &Journey, table: &str) -> Vec<Value> {
    let shapes = journey.get("/api/v1/statements");
    let shapes = shapes["statements"].as_array().unwrap();
    let of = |s: &&Value| {
        s["kind"] == "write" && s["statement"].as_str().is_some_and(|text| text.contains(table))
    };
    shapes.iter().filter(of).cloned().collect()
}

/// An answer that comes in many parts holds up neither the statements behind it nor the applier.
#[test]
fn a_large_answer_holds_up_nothing() {
    let (journey, _folder) = start();
    journey.proxy.sql("CREATE TABLE big (id int PRIMARY KEY, pad text, n int)");
    let statements = [
        "BEGIN",
        "INSERT INTO big SELECT g, repeat('x', 20000), 0 FROM generate_series(1, 30) g RETURNING *",
        "UPDATE big SET n = n + 1 WHERE id < 25 RETURNING id, pad, n",
        "DELETE FROM big WHERE id > 28",
        "COMMIT",
    ];
    carried(&journey, &statements);
    let shapes = writes_of(&journey, "big");
    let compared = shapes.iter().filter(|s| s["verdicts"]["match"] == 1);
    assert_eq!(compared.count(), 3, "{shapes:?}");
}

/// A transaction that does not fit into memory is carried, and its statements are counted as not
/// compared: nothing that was written is missing from the count.
#[test]
fn what_a_huge_transaction_did_is_counted_as_skipped() {
    let (journey, _folder) = start();
    journey.proxy.sql("CREATE TABLE huge (id int PRIMARY KEY, pad text)");
    let statements = [
        "BEGIN",
        "INSERT INTO huge SELECT g, repeat('x', 20000) FROM generate_series(1, 1200) g",
        "UPDATE huge SET pad = 'y' WHERE id = 7",
        "COMMIT",
    ];
    carried(&journey, &statements);
    let shapes = writes_of(&journey, "huge");
    assert_eq!(shapes.len(), 2, "{shapes:?}");
    for shape in shapes {
        assert_eq!(shape["skipped"]["too_large"], 1, "{shape}");
    }
}
