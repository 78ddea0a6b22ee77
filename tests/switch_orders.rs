//! Orders that meet: what waited for its turn finds another world, and looks at it.

use std::thread::sleep;
use std::time::Duration;

use crate::common::{Journey, Pg, Raw, eventually};

fn start(pg: &Pg, folder: &tempfile::TempDir) -> Journey {
    let journey = Journey::start(&folder.path().join("app.db"), pg, &[]);
    journey.proxy.sql("CREATE TABLE t (id integer PRIMARY KEY, n integer)");
    journey.proxy.sql("INSERT INTO t VALUES (1, 1), (2, 2)");
    journey.mirror();
    journey
}

/// Waits until an order of this kind runs, and has come to where it waits.
fn runs(journey: &Journey, kind: &str) {
    eventually(kind, || {
        let tasks = journey.get("/api/v1/tasks");
        let tasks = tasks["tasks"].as_array().unwrap();
        tasks.iter().any(|t| t["kind"] == kind && t["state"] == "running")
    });
    sleep(Duration::from_millis(200));
}

/// Rollback was ordered first: complete must not end the way back of a pair that SQLite reigns.
#[test]
fn a_complete_that_waited_behind_a_rollback_is_refused() {
    let pg = Pg::shared();
    let folder = tempfile::tempdir().unwrap();
    let journey = start(pg, &folder);
    journey.promote();
    journey.await_way_back();
    // The proxy's look at its primary has the turn, and PostgreSQL does not answer it.
    let mut lock = Raw::connect(pg.cluster.port(), "postgres", &journey.database, &[]);
    lock.query("BEGIN");
    assert_eq!(lock.query("LOCK TABLE crossfade.state")[0], "C LOCK TABLE");
    let waiting = format!(
        "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND database = \
         (SELECT oid FROM pg_database WHERE datname = '{}')",
        journey.database
    );
    eventually("the look waits", || pg.cluster.psql("postgres", &waiting).unwrap() == "t");
    std::thread::scope(|scope| {
        let rollback = scope.spawn(|| journey.order(&["rollback", "--yes"]));
        runs(&journey, "rollback");
        let complete = scope.spawn(|| journey.order(&["complete", "--yes"]));
        runs(&journey, "complete");
        lock.query("ROLLBACK");
        let (code, task, stderr) = rollback.join().unwrap();
        assert_eq!(code, 0, "{stderr}{task}");
        let (code, task, stderr) = complete.join().unwrap();
        assert_ne!(code, 0, "complete after the rollback: {stderr}{task}");
        assert!(task.to_string().contains("not the primary any more"), "{task}");
    });
    journey.await_status("phase", "mirroring");
    assert_eq!(journey.status("primary"), "sqlite");
    journey.proxy.sql("INSERT INTO t VALUES (3, 3)");
    journey.promote();
    assert_eq!(journey.proxy.sql("SELECT count(*) FROM t"), "3");
}

/// The gates held when promote was ordered, and do not when its turn comes.
#[test]
fn a_promote_that_waited_looks_at_its_gates_again() {
    let pg = Pg::start();
    let folder = tempfile::tempdir().unwrap();
    let journey = start(&pg, &folder);
    // A probe of the way back waits for a transaction that is open there, and has the turn.
    let mut open = Raw::connect(pg.cluster.port(), "postgres", "postgres", &[]);
    open.query("BEGIN");
    open.query("SELECT pg_current_xact_id()");
    let slots = "SELECT count(*) FROM pg_replication_slots";
    let behind = |sql: &str| pg.cluster.psql(&journey.database, sql).unwrap();
    eventually("no probe runs", || behind(slots) == "0");
    std::thread::scope(|scope| {
        let verify = scope.spawn(|| journey.order(&["verify"]));
        eventually("the probe waits", || behind(slots) == "1");
        let promote = scope.spawn(|| journey.promote_once());
        runs(&journey, "promote");
        behind("UPDATE t SET n = 50 WHERE id = 1");
        journey.proxy.sql("UPDATE t SET n = n + 1 WHERE id = 1");
        eventually("a divergence is open", || journey.status("diverged_open") == "1");
        open.query("ROLLBACK");
        let (code, task, stderr) = promote.join().unwrap();
        assert_eq!(code, 5, "{stderr}{task}");
        let words = "gate divergences is not met any more";
        assert!(task.to_string().contains(words), "{task}");
        verify.join().unwrap();
    });
    assert_eq!(journey.status("primary"), "sqlite");
}

/// A copy while mirroring takes the lock over from the applier, however soon it is ordered.
#[test]
fn a_copy_takes_the_pair_over_from_its_own_applier() {
    let folder = tempfile::tempdir().unwrap();
    let journey = start(Pg::shared(), &folder);
    for n in 0..5 {
        journey.proxy.sql(&format!("INSERT INTO t VALUES ({}, 0)", 10 + n));
        journey.done(&["backfill"]);
    }
    journey.await_status("phase", "mirroring");
    journey.done(&["verify"]);
}
