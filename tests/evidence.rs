//! What a divergence tells can be relied on: its script shows it again, its values show no more
//! than they may, each kind is logged once and counted always; and what runs out of time says so.

use std::process::Command;
use std::time::Duration;

use crossfade::divergence::{KeepValues, Sample, Store};
use serde_json::Value;
use tokio_postgres::{Client, NoTls};

use crate::common::{Journey, Pg, eventually};

const TABLES: &str = "
    CREATE TABLE item (id integer PRIMARY KEY, name text NOT NULL, price numeric(10,2), at timestamptz);
    INSERT INTO item SELECT g, 'it''s \"' || g, g / 4.0, '2024-01-02 03:04:05+00'
      FROM generate_series(1, 9) g;
    CREATE TABLE big (id integer PRIMARY KEY, k integer, t text);
    CREATE INDEX big_k ON big (k);
    INSERT INTO big SELECT g, g, 'row ' || g FROM generate_series(1, 10000) g;";

fn start(more: &[(&str, &str)]) -> (Journey, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let envs: Vec<(&str, &str)> =
        [("CROSSFADE_COMPARE_READS", "all")].iter().chain(more).copied().collect();
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

/// Open groups of a class, with their samples.
fn groups(journey: &Journey, class: &str) -> Vec<Value> {
    let list = journey.get("/api/v1/divergences");
    let groups = list["divergences"].as_array().unwrap();
    let wanted = groups.iter().filter(|g| g["class"] == class && g["state"] == "open");
    let whole =
        |g: &Value| journey.get(&format!("/api/v1/divergences/{}", g["id"].as_str().unwrap()));
    wanted.map(whole).collect()
}

/// What the script prints: sqlite3's lines, then psql's.
fn replayed(journey: &Journey, group: &Value) -> (Vec<String>, Vec<String>) {
    let script = group["replay"].as_str().unwrap();
    let script =
        script.replace("psql \"$POSTGRES_URL\"", "echo ---; psql -X -A -t -q \"$POSTGRES_URL\"");
    let output = Command::new("sh")
        .args(["-e", "-c", &script])
        .env("SQLITE", &journey.proxy.file)
        .env("POSTGRES_URL", &journey.url)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{script}\n{stderr}");
    let (here, there) = text.split_once("---\n").unwrap_or_else(|| panic!("{script}\n{text}"));
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    (lines(here), lines(there))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_script_of_a_divergence_shows_it_with_sqlite3_and_psql() {
    let (journey, _folder) = start(&[]);
    let behind = |sql: &str| Pg::shared().cluster.psql(&journey.database, sql).unwrap();
    behind("UPDATE item SET name = 'another' WHERE id = 3; DELETE FROM item WHERE id = 5");
    let client = connect(&journey).await;
    let sql = "SELECT id, name FROM item WHERE id < $1 AND name <> $2 ORDER BY id";
    let ask = || client.query(sql, &[&5_i32, &"it's \"1"]);
    // A read may miss its cut.
    for _ in 0..50 {
        assert_eq!(ask().await.unwrap().len(), 3);
        tokio::time::sleep(Duration::from_millis(100)).await;
        if !groups(&journey, "value").is_empty() {
            break;
        }
    }
    let found = groups(&journey, "value");
    assert_eq!(found.len(), 1, "{found:?}");
    let (here, there) = replayed(&journey, &found[0]);
    assert_eq!(here, ["2|it's \"2", "3|it's \"3", "4|it's \"4"]);
    assert_eq!(there, ["2|it's \"2", "3|another", "4|it's \"4"]);
    let (code, ..) = journey.order(&["verify"]);
    assert_eq!(code, 1);
    let (here, there) = replayed(&journey, &groups(&journey, "verify_missing")[0]);
    assert!(here.iter().any(|l| l.starts_with("5|it's")), "{here:?}");
    assert!(there.is_empty(), "{there:?}");
    let (here, there) = replayed(&journey, &groups(&journey, "verify_value")[0]);
    assert!(here.iter().any(|l| l.starts_with("3|it's")), "{here:?}");
    assert!(there.iter().any(|l| l.starts_with("3|another")), "{there:?}");
    // A write: what it would do is shown by PostgreSQL, and undone.
    client
        .batch_execute("UPDATE item SET price = price + 1 WHERE name = 'it''s \"3'")
        .await
        .unwrap();
    journey.level();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_after_own_writes_is_compared_in_its_transaction() {
    let (journey, _folder) = start(&[]);
    let behind = |sql: &str| Pg::shared().cluster.psql(&journey.database, sql).unwrap();
    behind("UPDATE item SET price = 77 WHERE id = 2");
    let client = connect(&journey).await;
    for sql in [
        "BEGIN",
        "UPDATE item SET price = 5 WHERE id = 1",
        "SELECT sum(price) FROM item WHERE id < 3",
        "COMMIT",
    ] {
        client.batch_execute(sql).await.unwrap();
    }
    journey.level();
    let shapes = journey.get("/api/v1/statements");
    let shapes = shapes["statements"].as_array().unwrap();
    let read = |s: &&Value| s["statement"].as_str().unwrap().to_lowercase().contains("sum(");
    let read = shapes.iter().find(read).unwrap();
    assert_eq!(read["verdicts"]["diverged"], 1, "{read}");
    let classes = ["value", "row_count", "effect_value"];
    let found: Vec<Value> = classes.iter().flat_map(|class| groups(&journey, class)).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(behind("SELECT price FROM item WHERE id = 1"), "5.00", "the write is carried");
}

/// What takes too long there is no difference: it is said, nothing waits for it, and writes are
/// carried by their images.
#[tokio::test(flavor = "multi_thread")]
async fn what_runs_out_of_time_is_inconclusive_and_carried() {
    let (journey, _folder) = start(&[("CROSSFADE_COMPARE_TIMEOUT_MS", "400")]);
    let behind = |sql: &str| Pg::shared().cluster.psql(&journey.database, sql).unwrap();
    // Without the index all rows are looked through for each of three thousand.
    behind("DROP INDEX big_k");
    let sought = "(SELECT count(*) FROM big a WHERE id <= 3000 AND \
                  (SELECT max(b.t) FROM big b WHERE b.k = a.k) > '')";
    let client = connect(&journey).await;
    let update = format!("UPDATE item SET price = 9 WHERE id = {sought} - 2996");
    client.batch_execute(&update).await.unwrap();
    eventually("its image is carried", || behind("SELECT price FROM item WHERE id = 4") == "9.00");
    client.batch_execute(&format!("SELECT {sought}")).await.unwrap();
    eventually("the read is reported", || !groups(&journey, "timeout").is_empty());
    let found = groups(&journey, "timeout");
    assert_eq!(found[0]["severity"], "performance");
    assert!(found[0]["samples"][0]["message"].to_string().contains("400 ms"), "{}", found[0]);
    let shapes = journey.get("/api/v1/statements");
    let verdicts = |begins: &str| {
        let all = shapes["statements"].as_array().unwrap();
        let of = |s: &&Value| {
            let text = s["statement"].as_str().unwrap().to_lowercase();
            text.starts_with(begins) && text.contains("big")
        };
        all.iter().find(of).map(|s| s["verdicts"].clone())
    };
    for begins in ["update", "select"] {
        let found = verdicts(begins).unwrap_or_else(|| panic!("{begins}: {shapes}"));
        assert_eq!(found["inconclusive"], 1, "{begins}: {found}");
        assert!(found["diverged"].is_null(), "{begins}: {found}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_is_logged_once_and_counted_always() {
    let (journey, _folder) = start(&[]);
    let behind = |sql: &str| Pg::shared().cluster.psql(&journey.database, sql).unwrap();
    let client = connect(&journey).await;
    for n in 0..15 {
        behind("UPDATE item SET price = -1 WHERE id = 6");
        let sql = format!("UPDATE item SET price = price + {n} WHERE id = 6");
        client.batch_execute(&sql).await.unwrap();
        journey.level();
    }
    let found = groups(&journey, "effect_value");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["count"], 15);
    assert_eq!(found[0]["samples"].as_array().unwrap().len(), 10);
    let log = journey.proxy.log();
    let told = log.lines().filter(|l| l.contains("effect_value") && l.contains("divergence"));
    assert_eq!(told.count(), 1, "{log}");
}

/// Equal values are equal in one installation, and tell nothing in another.
#[test]
fn hashes_of_values_are_an_installations_own() {
    let hashed = || {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("a"), 9, KeepValues::Hashed).unwrap();
        let value = || vec![Some("1".to_owned())];
        let id = store.record(Sample {
            class: "value".to_owned(),
            columns: vec!["c".to_owned()],
            primary: value(),
            shadow: value(),
            ..Sample::default()
        });
        let sample = store.group(&id.unwrap()).unwrap().samples.remove(0);
        assert_eq!(sample.primary, sample.shadow);
        sample.primary
    };
    let (one, other) = (hashed(), hashed());
    assert_ne!(one, [Some("1".to_owned())]);
    assert_ne!(one, other);
}
