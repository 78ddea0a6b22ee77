//! What a switch must not go on over, and must not make anybody wait for.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::common::{Journey, Pg, Raw, eventually};

/// Half a second: these tests wait for the limit.
const SHORT: (&str, &str) = ("CROSSFADE_CUTOVER_DRAIN_MS", "500");

/// Passed by name: all that needs days of traffic, and not the way back.
const PROMOTE: [&str; 10] = [
    "promote",
    "--yes",
    "--override",
    "quiet",
    "--override",
    "coverage",
    "--override",
    "translatable",
    "--override",
    "keys",
];

fn start(pg: &Pg, folder: &tempfile::TempDir, envs: &[(&str, &str)]) -> Journey {
    let journey = Journey::start(&folder.path().join("app.db"), pg, envs);
    journey.proxy.sql("CREATE TABLE t (id integer PRIMARY KEY, n integer)");
    journey.proxy.sql("INSERT INTO t VALUES (1, 1), (2, 2)");
    journey.mirror();
    journey
}

fn promote(journey: &Journey, more: &[&str]) -> (i32, String) {
    let all: Vec<&str> = PROMOTE.iter().chain(more).copied().collect();
    let (code, task, stderr) = journey.order(&all);
    (code, format!("{task}{stderr}"))
}

/// The gate says what a probe found some time ago. What the switch finds itself counts: a slot that
/// cannot be made, because a transaction is open on PostgreSQL, is no way back.
#[test]
fn a_promote_does_not_go_on_without_a_way_back_unless_told() {
    let pg = Pg::start();
    let folder = tempfile::tempdir().unwrap();
    let journey = start(&pg, &folder, &[]);
    journey.await_gate("way_back");
    let mut open = Raw::connect(pg.cluster.port(), "postgres", "postgres", &[]);
    open.query("BEGIN");
    open.query("SELECT pg_current_xact_id()");
    let undone = |(code, said): (i32, String)| {
        assert_eq!(code, 5, "{said}");
        assert!(said.contains("the way back does not work now"), "{said}");
        assert_eq!(journey.status("phase"), "mirroring");
        assert_eq!(journey.status("primary"), "sqlite");
    };
    undone(promote(&journey, &[]));
    let (code, said) = promote(&journey, &["--rehearse"]);
    assert_eq!(code, 4, "the gate knows it now: {said}");
    open.query("ROLLBACK");
    journey.done(&["verify"]);
    journey.await_gate("way_back");
    open.query("BEGIN");
    open.query("SELECT pg_current_xact_id()");
    undone(promote(&journey, &["--rehearse"]));
    let (code, said) = promote(&journey, &["--override", "way_back"]);
    assert_eq!(code, 0, "{said}");
    open.query("ROLLBACK");
    assert_ne!(journey.order(&["rollback", "--yes"]).0, 0);
    assert_eq!(journey.proxy.sql("SELECT count(*) FROM t"), "2");
}

/// A session that sits in a transaction keeps PostgreSQL primary, and nobody else waits for it. A
/// rehearsal does not begin beside one.
#[test]
fn nobody_waits_for_a_rollback_that_an_idle_transaction_undoes() {
    let pg = Pg::shared();
    let folder = tempfile::tempdir().unwrap();
    let journey = start(pg, &folder, &[SHORT]);
    journey.await_gate("way_back");
    let mut idle = Raw::proxy(&journey.proxy);
    idle.query("SET application_name = 'sits'");
    idle.query("BEGIN");
    idle.query("SELECT count(*) FROM t");
    let (code, said) = promote(&journey, &["--rehearse"]);
    assert_eq!(code, 5, "{said}");
    assert!(said.contains("could not come back") && said.contains("sits"), "{said}");
    assert_eq!(journey.status("primary"), "sqlite");
    journey.promote();
    idle.query("SELECT count(*) FROM t");
    journey.await_way_back();
    let (code, task, stderr) = journey.order(&["rollback", "--dry-run"]);
    assert!(code == 0 && task.to_string().contains("sits"), "{stderr}{task}");
    let (stop, done) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut other = Raw::proxy(&journey.proxy);
            while !stop.load(Ordering::Relaxed) {
                other.query("UPDATE t SET n = n + 1 WHERE id = 1");
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
        eventually("somebody writes", || done.load(Ordering::Relaxed) > 0);
        let (code, task, stderr) = journey.order(&["rollback", "--yes"]);
        stop.store(true, Ordering::Relaxed);
        let said = format!("{task}{stderr}");
        assert_eq!(code, 5, "{said}");
        for word in ["transactions did not end in time", "sits", "cutover.drain_cancel"] {
            assert!(said.contains(word), "{word}: {said}");
        }
    });
    let tasks = journey.get("/api/v1/tasks");
    let rollback = tasks["tasks"].as_array().unwrap().iter().find(|t| t["kind"] == "rollback");
    let steps = rollback.unwrap()["steps"].to_string();
    assert!(!steps.contains("drain transactions on PostgreSQL"), "others were held: {steps}");
    assert_eq!(idle.query("COMMIT"), ["C COMMIT", "Z I"]);
    journey.rollback();
}

/// Every client gets a session of its own on PostgreSQL: where it takes fewer, the switch is not
/// made; and where clients have come since and taken the last one, they leave before it is undone.
#[test]
fn postgresql_has_to_take_all_clients() {
    let settings =
        "max_connections = 14\nmax_wal_senders = 5\nsuperuser_reserved_connections = 0\n";
    let pg = Pg { cluster: crossfade::demo::cluster::Cluster::start_with(settings).unwrap() };
    let folder = tempfile::tempdir().unwrap();
    let journey = start(&pg, &folder, &[]);
    let mut clients: Vec<Raw> = (0..20).map(|_| Raw::proxy(&journey.proxy)).collect();
    let (code, task, _) = journey.promote_with(&["--dry-run"]);
    assert!(code == 4 && task.to_string().contains("does not take all clients"), "{task}");
    let (code, task, _) = journey.try_promote();
    let said = task.to_string();
    assert!(code == 5 && said.contains("does not take all clients"), "{code} {said}");
    assert!(said.contains("max_connections") && said.contains("pool_mode"), "{said}");
    assert_eq!(journey.status("primary"), "sqlite");
    clients.truncate(2);
    eventually("they have left", || journey.status("sessions") == "2");
    journey.promote();
    journey.await_way_back();
    let mut late: Vec<Raw> = (0..20).map(|_| Raw::proxy(&journey.proxy)).collect();
    let served = late
        .iter_mut()
        .filter_map(|c| c.query("SELECT 1").contains(&"D 1".to_owned()).then_some(()));
    assert!(served.count() < 20, "PostgreSQL took them all");
    journey.rollback();
    let counted = late[19].query("SELECT count(*) FROM t");
    assert!(counted.contains(&"D 2".to_owned()), "{counted:?}");
}

/// An order that cannot be done now is not done later, and changes nothing.
#[test]
fn a_complete_without_postgresql_fails_and_leaves_the_way_back() {
    let mut pg = Pg::start();
    let folder = tempfile::tempdir().unwrap();
    let journey = start(&pg, &folder, &[]);
    journey.promote();
    journey.await_way_back();
    pg.cluster.stop(true).unwrap();
    let (code, task, stderr) = journey.order(&["complete", "--yes"]);
    assert_ne!(code, 0, "{stderr}{task}");
    pg.cluster.resume().unwrap();
    journey.await_status("phase", "promoted");
    journey.await_way_back();
    journey.proxy.sql("INSERT INTO t VALUES (3, 3)");
    journey.rollback();
    assert_eq!(journey.proxy.sql("SELECT count(*) FROM t"), "3");
}

/// What the stream leaves out nobody carries: the way back closes.
#[test]
fn a_publication_that_was_changed_closes_the_way_back() {
    let pg = Pg::shared();
    let folder = tempfile::tempdir().unwrap();
    let journey = start(pg, &folder, &[]);
    journey.promote();
    journey.await_way_back();
    let sql = "ALTER PUBLICATION crossfade_way_back SET (publish = 'insert')";
    pg.cluster.psql(&journey.database, sql).unwrap();
    journey.proxy.sql("UPDATE t SET n = 99 WHERE id = 1");
    let (code, task, stderr) = journey.order(&["rollback", "--yes"]);
    assert_ne!(code, 0, "{stderr}{task}");
    eventually("it is closed", || {
        journey.status("way_back").contains("publication crossfade_way_back was changed")
    });
    assert_eq!(journey.proxy.sql("SELECT n FROM t WHERE id = 1"), "99");
}
