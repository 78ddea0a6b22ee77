//! Scripts over types, run through the proxy and on PostgreSQL: each statement must give the
//! same columns, rows, command tag or SQLSTATE on both.
//!
//! A script has one statement a line. `~` before one lets Crossfade refuse it (0A000); it
//! must never answer another thing than PostgreSQL.

use std::fmt::Write;

use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::common::{Journey, Pg, Proxy};

/// What one statement gave: its columns' types, and its rows and tag or a code.
type Outcome = (Vec<String>, Result<Vec<String>, String>);

async fn connect(url: &str) -> Client {
    let (client, driver) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(driver);
    client
}

async fn outcome(client: &Client, sql: &str) -> Outcome {
    // Only what returns rows is described: a schema change would not repeat.
    let first = sql.split_whitespace().next().unwrap_or_default().to_lowercase();
    let mut types = Vec::new();
    if matches!(first.as_str(), "select" | "with" | "values" | "table")
        && let Ok(statement) = client.prepare(sql).await
    {
        types = statement.columns().iter().map(|c| c.type_().name().to_owned()).collect();
    }
    let answer = match client.simple_query(sql).await {
        Err(error) => Err(error.code().map_or_else(|| error.to_string(), |c| c.code().to_owned())),
        Ok(messages) => Ok(messages
            .iter()
            .filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => {
                    let cells = (0..row.len()).map(|i| row.get(i).unwrap_or("∅"));
                    Some(cells.collect::<Vec<_>>().join("|"))
                }
                SimpleQueryMessage::CommandComplete(rows) => Some(format!("{rows} rows")),
                _ => None,
            })
            .collect()),
    };
    // When an error is told, at Parse or later, depends on what is computed beforehand.
    if answer.is_err() {
        types.clear();
    }
    (types, answer)
}

/// Runs a script on both and fails with every difference.
async fn same(script: &str) {
    let proxy = Proxy::direct();
    let pg = Pg::shared();
    let database = pg.database("live");
    let ours = connect(&proxy.url()).await;
    let theirs = connect(&pg.cluster.url(&database)).await;
    let (mut wrong, mut count, mut refused) = (String::new(), 0, 0);
    for line in script.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with("--")) {
        let (may_refuse, sql) = match line.strip_prefix('~') {
            Some(sql) => (true, sql.trim()),
            None => (false, line),
        };
        count += 1;
        let (a, b) = (outcome(&ours, sql).await, outcome(&theirs, sql).await);
        if may_refuse && a.1.as_ref().is_err_and(|code| code == "0A000") {
            refused += 1;
        } else if a != b {
            let _ = write!(wrong, "\n{sql}\n  got      {a:?}\n  expected {b:?}");
        }
    }
    println!("{count} statements, {refused} refused");
    assert!(wrong.is_empty(), "{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
async fn networks_bits_and_zoned_times() {
    same(include_str!("scripts/network.sql")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn enum_types() {
    same(include_str!("scripts/enums.sql")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn arrays() {
    same(include_str!("scripts/arrays.sql")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn output_styles() {
    same(include_str!("scripts/styles.sql")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_do_not_fit() {
    same(include_str!("scripts/strict.sql")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enum_keeps_its_oid_and_travels() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let mut journey = Journey::start(&file, Pg::shared(), &[("CROSSFADE_COMPARE_READS", "all")]);
    journey.proxy.sql(
        "CREATE TYPE mood AS ENUM ('sad', 'ok');
         CREATE TABLE person(id int PRIMARY KEY, m mood NOT NULL DEFAULT 'ok', ms mood[], i inet);
         INSERT INTO person VALUES (1, 'sad', '{ok,sad}', '10.0.0.1/8'), (2, 'ok', NULL, NULL);",
    );
    journey.mirror();
    journey.proxy.sql("ALTER TYPE mood ADD VALUE 'happy'");
    journey.proxy.sql(
        "INSERT INTO person VALUES (3, 'happy', '{happy,NULL}', '::1');
         ALTER TYPE mood RENAME VALUE 'sad' TO 'blue';
         UPDATE person SET m = 'happy' WHERE m = 'blue'",
    );
    journey.proxy.sql("CREATE TYPE size AS ENUM ('s', 'l')");
    // Rows before and behind a schema change of one transaction.
    journey.proxy.sql(
        "UPDATE person SET m = 'ok' WHERE id = 1;
         ALTER TABLE person ADD COLUMN size size;
         UPDATE person SET size = 'l' WHERE m > 'ok'",
    );
    journey.proxy.sql("SELECT id, m, ms, size, i FROM person ORDER BY m, id");
    journey.proxy.sql(
        "PREPARE p(int, mood, mood[]) AS INSERT INTO person VALUES ($1, $2, $3);
         EXECUTE p(4, 'blue', '{blue,happy}')",
    );
    journey.level();
    let sql = "SELECT id, m, ms, size, i FROM person ORDER BY m, id";
    let url = journey.url.clone();
    let theirs = outcome(&connect(&url).await, sql).await;
    let ours = outcome(&connect(&journey.proxy.url()).await, sql).await;
    assert_eq!(ours, theirs);
    let found = journey.get("/api/v1/divergences");
    assert_eq!(found["divergences"].as_array().unwrap().len(), 0, "{found}");
    journey.done(&["verify"]);
    let oid = "SELECT oid, typarray FROM pg_type WHERE typname = 'mood'";
    let before = outcome(&connect(&journey.proxy.url()).await, oid).await;
    journey.proxy.restart();
    assert_eq!(outcome(&connect(&journey.proxy.url()).await, oid).await, before);
}
