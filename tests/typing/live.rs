//! Scripts over types, run through the proxy and on PostgreSQL: each statement must give the
//! same columns, rows, command tag or SQLSTATE on both.
//!
//! A script has one statement a line. `~` before one lets Crossfade refuse it (0A000); it
//! must never answer another thing than PostgreSQL.

use std::fmt::Write;

use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
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
async fn ranges() {
    same(include_str!("scripts/ranges.sql")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn moments_far_away() {
    same(include_str!("scripts/far.sql")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn domains() {
    same(include_str!("scripts/domains.sql")).await;
}

/// An int4 sent as whatever type the server asks for.
#[derive(Debug)]
struct Age(i32);

impl ToSql for Age {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut bytes::BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        self.0.to_sql(&Type::INT4, out)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// What a client is told of a parameter and a column of a domain, and a value that it refuses.
#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_of_a_domain_has_its_type() {
    let proxy = Proxy::direct();
    let pg = Pg::shared();
    for url in [proxy.url(), pg.cluster.url(&pg.database("domain"))] {
        let client = connect(&url).await;
        let sql = "CREATE DOMAIN age AS int CHECK (VALUE >= 0); CREATE TABLE cat (a age)";
        client.batch_execute(sql).await.unwrap();
        let put = client.prepare("INSERT INTO cat VALUES ($1) RETURNING a").await.unwrap();
        assert_eq!(put.params()[0].name(), "age");
        assert_eq!(put.columns()[0].type_().name(), "int4");
        assert_eq!(client.query_one(&put, &[&Age(7)]).await.unwrap().get::<_, i32>(0), 7);
        let error = client.query_one(&put, &[&Age(-7)]).await.unwrap_err();
        let error = error.as_db_error().unwrap();
        assert_eq!(error.code().code(), "23514");
        assert_eq!(error.constraint(), Some("age_check"));
        assert_eq!(error.datatype(), Some("age"));
        // As drivers do that name no type.
        let untyped = [Type::UNKNOWN];
        let put = client.prepare_typed("INSERT INTO cat VALUES ($1)", &untyped).await.unwrap();
        assert_eq!(put.params()[0].name(), "age");
        let cast = client.prepare("SELECT $1::age + 1").await.unwrap();
        assert_eq!(cast.params()[0].name(), "age");
    }
}

/// A temporary table made after a write of its transaction, and the fields of its errors.
#[tokio::test(flavor = "multi_thread")]
async fn a_temporary_table_comes_after_a_write() {
    let proxy = Proxy::direct();
    let pg = Pg::shared();
    for url in [proxy.url(), pg.cluster.url(&pg.database("fleeting"))] {
        let client = connect(&url).await;
        let sql = "CREATE TABLE lasting (a int PRIMARY KEY);
            BEGIN; INSERT INTO lasting VALUES (1); CREATE TEMP TABLE fleeting (a int PRIMARY KEY, b int CHECK (b > 0));
            INSERT INTO fleeting SELECT a FROM lasting; COMMIT;
            BEGIN; INSERT INTO lasting VALUES (2); INSERT INTO fleeting VALUES (2, 2); COMMIT;
            BEGIN; INSERT INTO lasting VALUES (3); CREATE TEMP TABLE gone (a int); ROLLBACK;
            INSERT INTO lasting VALUES (4)";
        client.batch_execute(sql).await.unwrap();
        let count = |table: &'static str| {
            let client = &client;
            async move { client.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await }
        };
        assert_eq!(count("fleeting").await.unwrap().get::<_, i64>(0), 2);
        assert_eq!(count("lasting").await.unwrap().get::<_, i64>(0), 3);
        assert!(count("gone").await.is_err());
        let other = connect(&url).await;
        assert!(other.query_one("SELECT count(*) FROM fleeting", &[]).await.is_err());
        other.batch_execute("INSERT INTO lasting VALUES (5)").await.unwrap();
        for (sql, code, constraint, detail) in [
            (
                "INSERT INTO fleeting VALUES (1)",
                "23505",
                "fleeting_pkey",
                "Key (a)=(1) already exists.",
            ),
            (
                "INSERT INTO fleeting VALUES (7, 0)",
                "23514",
                "fleeting_b_check",
                "Failing row contains (7, 0).",
            ),
        ] {
            let error = client.batch_execute(sql).await.unwrap_err();
            let error = error.as_db_error().unwrap();
            assert_eq!(error.code().code(), code, "{sql}");
            assert!(error.schema().is_some_and(|s| s.starts_with("pg_temp_")), "{error:?}");
            assert_eq!((error.table(), error.constraint()), (Some("fleeting"), Some(constraint)));
            assert_eq!(error.detail(), Some(detail));
        }
        // Each row's own call, as tools send it; nobody else is meant here.
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = -1";
        assert!(client.query(sql, &[]).await.unwrap().is_empty());
        let sql = "SELECT name FROM pg_prepared_statements WHERE prepare_time > now()";
        assert!(client.query(sql, &[]).await.unwrap().is_empty());
    }
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
async fn ranges_travel() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let journey = Journey::start(&file, Pg::shared(), &[("CROSSFADE_COMPARE_READS", "all")]);
    journey.proxy.sql("CREATE DOMAIN guests AS int DEFAULT 1 CHECK (VALUE BETWEEN 1 AND 9)");
    journey.proxy.sql(
        "CREATE TABLE stay(id int PRIMARY KEY, d daterange NOT NULL, n numrange, t tstzrange,
                           m int4multirange, l int8range[], g guests);
         INSERT INTO stay VALUES (1, '[2024-01-01,2024-01-05]', '[1.0,2)', '[2024-01-01 10:00+02,)',
                                  '{[1,2),[5,7)}', '{\"[1,2]\",empty}', 2);",
    );
    journey.mirror();
    journey.proxy.sql(
        "CREATE DOMAIN word AS text NOT NULL;
         CREATE TABLE said (id int PRIMARY KEY, w word, g guests);
         INSERT INTO said VALUES (1, 'a', DEFAULT), (2, 'b', 3);
         UPDATE said SET g = g + 1 WHERE w = 'a'",
    );
    journey.proxy.sql(
        "INSERT INTO stay VALUES (2, 'empty', '(,)', NULL, '{}', NULL);
         UPDATE stay SET d = d + daterange('2024-01-06', '2024-01-09'), m = m * '{[2,6)}' WHERE id = 1;
         CREATE INDEX stay_d ON stay USING gist (d);
         DELETE FROM stay WHERE d @> date '2030-01-01'",
    );
    journey
        .proxy
        .sql("SELECT * FROM stay WHERE d && '[2024-01-02,2024-01-03)' OR isempty(d) ORDER BY d");
    journey.proxy.sql(
        "PREPARE p(int, daterange, int4multirange) AS INSERT INTO stay(id, d, m) VALUES ($1, $2, $3);
         EXECUTE p(3, '(2024-02-01,2024-02-05)', '{[3,4),[4,5)}')",
    );
    journey.level();
    let sql = "SELECT * FROM stay ORDER BY n, id";
    let url = journey.url.clone();
    let theirs = outcome(&connect(&url).await, sql).await;
    let ours = outcome(&connect(&journey.proxy.url()).await, sql).await;
    assert_eq!(ours, theirs);
    let found = journey.get("/api/v1/divergences");
    assert_eq!(found["divergences"].as_array().unwrap().len(), 0, "{found}");
    journey.done(&["verify"]);
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
