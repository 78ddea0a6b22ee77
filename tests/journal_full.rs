//! The journal's bound: what happens when PostgreSQL does not take it, or not fast enough.
//!
//! `backpressure`: writers wait, each for its own limits, and go on when there is room; nothing is
//! lost. `degrade`, and a wait that took too long: mirroring ends, says so, and a new copy is
//! needed. No client ever gets an error from it that it did not ask for.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::{Client, NoTls};

use crate::common::{Journey, Pg, eventually};

const MAX: u64 = 1 << 20;
const ROW: usize = 50_000;

fn start(pg: &Pg, envs: &[(&str, &str)]) -> (Journey, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut all = vec![("CROSSFADE_MIRROR_JOURNAL_BYTES_MAX", "1MB")];
    all.extend(envs);
    let journey = Journey::start(&folder.path().join("app.db"), pg, &all);
    journey.proxy.sql("CREATE TABLE t (id integer PRIMARY KEY, body text)");
    journey.mirror();
    (journey, folder)
}

async fn connect(journey: &Journey) -> Client {
    let (client, driver) = tokio_postgres::connect(&journey.proxy.url(), NoTls).await.unwrap();
    tokio::spawn(driver);
    client
}

async fn insert(client: &Client, id: i32) -> Result<u64, String> {
    let body = "x".repeat(ROW);
    let done = client.execute("INSERT INTO t VALUES ($1, $2)", &[&id, &body]).await;
    done.map_err(|e| e.code().map_or_else(|| e.to_string(), |c| c.code().to_owned()))
}

fn journal_bytes(journey: &Journey) -> u64 {
    journey.status("journal_bytes").parse().unwrap()
}

fn count(pg: &Pg, journey: &Journey) -> String {
    pg.cluster.psql(&journey.database, "SELECT count(*) FROM t").unwrap()
}

/// Everything is there, once, on both sides.
fn equal(pg: &Pg, journey: &Journey, rows: i32) {
    journey.level();
    assert_eq!(count(pg, journey), rows.to_string());
    journey.done(&["verify"]);
    assert_eq!(journey.status("diverged_open"), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn backpressure_holds_writers_until_postgresql_takes_the_journal() {
    let mut pg = Pg::start();
    let envs =
        [("CROSSFADE_MIRROR_WHEN_FULL", "backpressure"), ("CROSSFADE_MIRROR_FULL_WAIT_MS", "0")];
    let (journey, _folder) = start(&pg, &envs);
    let client = connect(&journey).await;
    pg.cluster.stop(true).unwrap();
    client.batch_execute("SET statement_timeout = '3s'").await.unwrap();
    let mut rows = 0;
    let refused = loop {
        match insert(&client, rows).await {
            Ok(_) => rows += 1,
            Err(code) => break code,
        }
        assert!(rows < 100, "{} bytes of journal", journal_bytes(&journey));
    };
    assert_eq!(refused, "57014", "statement_timeout while waiting");
    let bytes = journal_bytes(&journey);
    assert!((MAX..MAX + 2 * ROW as u64).contains(&bytes), "{bytes}");
    assert_eq!(journey.status("health"), "degraded");
    assert!(journey.status("reason").contains("journal is full"), "{}", journey.status("reason"));
    let now = journey.get("/api/v1/status");
    assert_eq!(now["next"][0], "crossfade status --watch", "{now}");
    // Reads go on, and every limit of the client's own works.
    let read = client.query_one("SELECT count(*) FROM t", &[]).await.unwrap();
    assert_eq!(read.get::<_, i64>(0), i64::from(rows));
    client.batch_execute("SET statement_timeout = 0; SET lock_timeout = '200ms'").await.unwrap();
    assert_eq!(insert(&client, rows).await.unwrap_err(), "55P03", "lock_timeout while waiting");
    client.batch_execute("SET lock_timeout = 0").await.unwrap();
    let cancel = client.cancel_token();
    let client = Arc::new(client);
    let waiting = tokio::spawn({
        let client = Arc::clone(&client);
        async move { insert(&client, rows).await }
    });
    eventually("the session waits", || {
        journey.get("/api/v1/sessions").to_string().contains("waiting")
    });
    cancel.cancel_query(NoTls).await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap_err(), "57014", "a cancel while waiting");
    // All are served in the end; one that goes away has sent its statement, which runs as it does
    // on PostgreSQL.
    let mut waiting = Vec::new();
    for n in 0..5 {
        let client = connect(&journey).await;
        let task = tokio::spawn(async move { insert(&client, rows + n).await });
        waiting.push(task);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    waiting.pop().unwrap().abort();
    assert!(waiting.iter().all(|w| !w.is_finished()), "a writer did not wait");
    assert!(journal_bytes(&journey) < MAX + 2 * ROW as u64);
    pg.cluster.resume().unwrap();
    for task in waiting {
        task.await.unwrap().unwrap();
    }
    eventually("the last one is there", || {
        journey.proxy.sql("SELECT count(*) FROM t") == (rows + 5).to_string()
    });
    equal(&pg, &journey, rows + 5);
    assert_eq!(
        (journey.status("phase"), journey.status("health")),
        ("mirroring".into(), "ok".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_that_follows_keeps_the_journal_small() {
    let pg = Pg::start();
    let (journey, _folder) = start(&pg, &[("CROSSFADE_MIRROR_WHEN_FULL", "backpressure")]);
    let writers: Vec<_> = (0..4)
        .map(|n| {
            let url = journey.proxy.url();
            tokio::spawn(async move {
                let (client, driver) = tokio_postgres::connect(&url, NoTls).await.unwrap();
                tokio::spawn(driver);
                for i in 0..60 {
                    insert(&client, n * 1000 + i).await.unwrap();
                }
            })
        })
        .collect();
    let mut largest = 0;
    while !writers.iter().all(tokio::task::JoinHandle::is_finished) {
        largest = largest.max(journal_bytes(&journey));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(largest < MAX + 2 * ROW as u64, "{largest}");
    // One transaction larger than the bound passes; the next one waits until it is taken.
    let client = connect(&journey).await;
    let large = "INSERT INTO t SELECT g, repeat('y', 3000) FROM generate_series(10000, 10999) g";
    client.execute(large, &[]).await.unwrap();
    insert(&client, 20_000).await.unwrap();
    assert_eq!(journey.status("phase"), "mirroring");
    equal(&pg, &journey, 240 + 1000 + 1);
}

/// After the end of mirroring: it is said, SQLite goes on alone, and a copy makes all well.
async fn ends_and_is_copied_anew(pg: &mut Pg, journey: &Journey, client: &Client, rows: i32) {
    journey.await_status("phase", "copying");
    assert_eq!(journey.status("health"), "degraded");
    let reason = journey.status("reason");
    assert!(reason.contains("journal reached") && reason.contains("backfill"), "{reason}");
    assert_eq!(journal_bytes(journey), 0);
    insert(client, rows).await.unwrap();
    assert_eq!(journal_bytes(journey), 0, "nothing is recorded for nobody");
    let (code, ..) = journey.promote_once();
    assert_eq!(code, 4, "promoted without a shadow");
    if !pg.cluster.psql("postgres", "SELECT 1").is_ok_and(|one| one == "1") {
        pg.cluster.resume().unwrap();
    }
    eventually("it can be copied again", || journey.order(&["backfill"]).0 == 0);
    journey.await_status("phase", "mirroring");
    insert(client, rows + 1).await.unwrap();
    equal(pg, journey, rows + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn backpressure_ends_mirroring_when_postgresql_is_away_too_long() {
    let mut pg = Pg::start();
    let envs =
        [("CROSSFADE_MIRROR_WHEN_FULL", "backpressure"), ("CROSSFADE_MIRROR_FULL_WAIT_MS", "500")];
    let (journey, _folder) = start(&pg, &envs);
    let client = connect(&journey).await;
    pg.cluster.stop(true).unwrap();
    for id in 0..40 {
        insert(&client, id).await.unwrap();
    }
    ends_and_is_copied_anew(&mut pg, &journey, &client, 40).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn degrade_ends_mirroring_and_no_client_feels_it() {
    let mut pg = Pg::start();
    let (journey, _folder) = start(&pg, &[("CROSSFADE_MIRROR_WHEN_FULL", "degrade")]);
    let client = connect(&journey).await;
    pg.cluster.stop(true).unwrap();
    for id in 0..40 {
        insert(&client, id).await.unwrap();
    }
    ends_and_is_copied_anew(&mut pg, &journey, &client, 40).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bound_holds_while_postgresql_answers_but_does_not_take_it() {
    let mut pg = Pg::start();
    let (journey, _folder) = start(&pg, &[]);
    let url = pg.cluster.url(&journey.database);
    let (mut other, driver) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(driver);
    let lock = other.transaction().await.unwrap();
    lock.batch_execute("LOCK TABLE t").await.unwrap();
    let client = connect(&journey).await;
    for id in 0..40 {
        insert(&client, id).await.unwrap();
        assert!(journal_bytes(&journey) < MAX + 2 * ROW as u64);
    }
    journey.await_status("phase", "copying");
    lock.rollback().await.unwrap();
    ends_and_is_copied_anew(&mut pg, &journey, &client, 40).await;
}

/// A copy that the journal did not last for ends there, not after its indexes, and status says why.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_outlasts_the_journal_ends_and_says_so() {
    let mut pg = Pg::start();
    let folder = tempfile::tempdir().unwrap();
    let envs = [
        ("CROSSFADE_MIRROR_JOURNAL_BYTES_MAX", "1MB"),
        ("CROSSFADE_MIRROR_ROWS_PER_SECOND", "2000"),
    ];
    let journey = Journey::start(&folder.path().join("app.db"), &pg, &envs);
    journey.proxy.sql(
        "CREATE TABLE t (id integer PRIMARY KEY, body text);
         CREATE TABLE a_first (id integer PRIMARY KEY, n integer);
         CREATE TABLE slow (id integer PRIMARY KEY, n integer);
         CREATE INDEX slow_n ON slow (n);
         INSERT INTO a_first SELECT g, g FROM generate_series(1, 100) g;
         INSERT INTO slow SELECT g, g FROM generate_series(1, 30000) g",
    );
    let client = connect(&journey).await;
    let journey = Arc::new(journey);
    let copy = tokio::task::spawn_blocking({
        let journey = Arc::clone(&journey);
        move || journey.order(&["backfill"])
    });
    eventually("rows are copied", || {
        let tasks = journey.get("/api/v1/tasks").to_string();
        tasks.contains("copied a_first") && tasks.contains("copying slow")
    });
    for id in 0..40 {
        insert(&client, id).await.unwrap();
    }
    let (code, task, err) = copy.await.unwrap();
    assert_eq!(code, 1, "{err}{task}");
    assert!(task["error"]["message"].to_string().contains("journal became too large"), "{task}");
    assert!(!task["steps"].to_string().contains("building"), "{task}");
    journey.await_status("health", "degraded");
    let journey = Arc::into_inner(journey).unwrap();
    ends_and_is_copied_anew(&mut pg, &journey, &client, 40).await;
}

/// Also when it ended before anybody had asked PostgreSQL where it stands.
#[tokio::test(flavor = "multi_thread")]
async fn why_mirroring_ended_at_a_start_is_said() {
    let mut pg = Pg::start();
    let (mut journey, _folder) = start(&pg, &[("CROSSFADE_MIRROR_JOURNAL_BYTES_MAX", "100MB")]);
    let client = connect(&journey).await;
    pg.cluster.stop(true).unwrap();
    for id in 0..40 {
        insert(&client, id).await.unwrap();
    }
    journey.restart_with(&[("CROSSFADE_MIRROR_JOURNAL_BYTES_MAX", "1MB")]);
    eventually("mirroring has ended", || journal_bytes(&journey) <= MAX);
    pg.cluster.resume().unwrap();
    journey.await_status("phase", "copying");
    let reason = || journey.status("reason");
    let says = || reason().contains("journal reached");
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !says() {
        let now = std::time::Instant::now();
        assert!(now < until, "{}: {}\n{}", journey.status("health"), reason(), journey.proxy.log());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    journey.done(&["backfill"]);
    journey.await_status("phase", "mirroring");
    equal(&pg, &journey, 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_with_a_full_journal_holds_the_bound_too() {
    let mut pg = Pg::start();
    let (mut journey, _folder) = start(&pg, &[("CROSSFADE_MIRROR_JOURNAL_BYTES_MAX", "100MB")]);
    let client = connect(&journey).await;
    pg.cluster.stop(true).unwrap();
    for id in 0..40 {
        insert(&client, id).await.unwrap();
    }
    assert!(journal_bytes(&journey) > MAX);
    journey.restart_with(&[("CROSSFADE_MIRROR_JOURNAL_BYTES_MAX", "1MB")]);
    // Whether PostgreSQL answers decides who is primary: until then nobody is served.
    pg.cluster.resume().unwrap();
    eventually("the proxy serves", || journey.proxy.psql("SELECT 1").0 == 0);
    let client = connect(&journey).await;
    insert(&client, 40).await.unwrap();
    // Taken in time, or ended: never larger than it may be, and in the end the same.
    eventually("it is small again", || journal_bytes(&journey) <= MAX);
    let copying = || journey.status("phase") == "copying";
    eventually("taken, or ended", || copying() || journey.status("lag_commits") == "0");
    if copying() {
        assert!(
            journey.status("reason").contains("journal reached"),
            "{}",
            journey.status("reason")
        );
        journey.done(&["backfill"]);
    }
    journey.await_status("phase", "mirroring");
    equal(&pg, &journey, 41);
}
