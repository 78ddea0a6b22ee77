//! Somebody holds a lock on PostgreSQL: status and orders say which one and who.

use std::thread;

use tokio_postgres::{Client, NoTls};

use crate::common::{Journey, Pg, eventually};

async fn other(journey: &Journey) -> Client {
    let url = Pg::shared().cluster.url(&journey.database);
    let (client, driver) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(driver);
    client.batch_execute("SET application_name = 'nightly job'").await.unwrap();
    client
}

/// The steps of the orders that are under way.
fn told(journey: &Journey) -> String {
    let tasks = journey.get("/api/v1/tasks");
    tasks.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_waited_for_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let journey = Journey::start(&folder.path().join("app.db"), Pg::shared(), &[]);
    journey
        .proxy
        .sql("CREATE TABLE t (id integer PRIMARY KEY, n integer); INSERT INTO t VALUES (1, 1)");
    journey.mirror();
    let other = other(&journey).await;
    let waits = |text: &str| {
        text.contains("a lock on table t")
            && text.contains("nightly job")
            && text.contains("in a transaction since")
    };
    // The applier waits, and verify for the applier.
    other.batch_execute("BEGIN; LOCK TABLE t").await.unwrap();
    journey.proxy.sql("UPDATE t SET n = 2");
    eventually("status says it", || waits(&journey.status("reason")));
    assert_eq!(journey.status("health"), "degraded");
    thread::scope(|scope| {
        let verify = scope.spawn(|| journey.done(&["verify"]));
        eventually("verify says it", || waits(&told(&journey)));
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(other.batch_execute("COMMIT")).unwrap();
        });
        let steps = verify.join().unwrap()["steps"].to_string();
        assert!(waits(&steps) && steps.contains("waiting on PostgreSQL"), "{steps}");
    });
    journey.level();
    assert_eq!((journey.status("health"), journey.status("reason")), ("ok".into(), "null".into()));
    // A reader is enough to hold up a copy.
    other.batch_execute("BEGIN; SELECT FROM t").await.unwrap();
    thread::scope(|scope| {
        let backfill = scope.spawn(|| journey.done(&["backfill"]));
        eventually("the copy says it", || waits(&journey.status("reason")));
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(other.batch_execute("COMMIT")).unwrap();
        });
        let steps = backfill.join().unwrap()["steps"].to_string();
        assert!(waits(&steps), "{steps}");
    });
    journey.await_status("phase", "mirroring");
    assert_eq!((journey.status("health"), journey.status("reason")), ("ok".into(), "null".into()));
}
