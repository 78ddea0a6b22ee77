//! Sessions that hold what cannot move: a switch waits for them, ends them or gives up, and never
//! lets them write to the back end that is not primary any more.

use serde_json::Value;

use crate::common::{Journey, Pg, Raw, eventually};

/// Half a second: these tests wait for the limit.
const SHORT: (&str, &str) = ("CROSSFADE_CUTOVER_DRAIN_MS", "500");

fn start(folder: &tempfile::TempDir, envs: &[(&str, &str)]) -> Journey {
    let journey = Journey::start(&folder.path().join("app.db"), Pg::shared(), envs);
    journey.proxy.sql("CREATE TABLE t (id integer PRIMARY KEY, body text)");
    journey.mirror();
    journey
}

fn count(journey: &Journey) -> String {
    journey.proxy.sql("SELECT count(*) FROM t")
}

fn error_of(task: &Value) -> String {
    task["error"]["message"].as_str().unwrap_or_default().to_owned()
}

/// Whether the session has been told 57P01 and closed.
fn was_ended(session: &mut Raw) -> bool {
    session.start("SELECT 1");
    let mut told = false;
    while let Some((kind, body)) = session.receive() {
        told |= kind == b'E' && String::from_utf8_lossy(&body).contains("57P01");
    }
    told
}

/// What was acknowledged before, during and after a promote is all there, whatever sessions held.
#[test]
fn temporary_tables_and_advisory_locks_do_not_stay_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let journey = start(&folder, &[SHORT]);
    let mut temporary = Raw::proxy(&journey.proxy);
    temporary.query("CREATE TEMPORARY TABLE scratch (id integer)");
    temporary.query("INSERT INTO scratch VALUES (1)");
    assert_eq!(temporary.query("INSERT INTO t VALUES (1, 'temp')"), ["C INSERT 0 1", "Z I"]);
    let mut lock = Raw::proxy(&journey.proxy);
    lock.query("SELECT pg_advisory_lock(1)");
    assert_eq!(lock.query("INSERT INTO t VALUES (2, 'lock')"), ["C INSERT 0 1", "Z I"]);
    let immovable = journey.get("/api/v1/status")["immovable"].to_string();
    assert!(immovable.contains("temporary tables"), "{immovable}");
    assert!(immovable.contains("advisory locks"), "{immovable}");
    journey.promote();
    assert!(was_ended(&mut temporary));
    assert!(was_ended(&mut lock));
    assert_eq!(count(&journey), "2");
    // And on PostgreSQL, when it goes back.
    let mut temporary = Raw::proxy(&journey.proxy);
    temporary.query("CREATE TEMPORARY TABLE scratch (id integer)");
    assert_eq!(temporary.query("INSERT INTO t VALUES (3, 'temp')"), ["C INSERT 0 1", "Z I"]);
    let mut lock = Raw::proxy(&journey.proxy);
    lock.query("SELECT pg_advisory_lock(1)");
    let mut hold = Raw::proxy(&journey.proxy);
    hold.query("BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT generate_series(1, 3); COMMIT");
    journey.rollback();
    assert!(was_ended(&mut temporary));
    assert!(was_ended(&mut lock));
    assert!(was_ended(&mut hold));
    assert_eq!(count(&journey), "3");
    journey.level();
    journey.done(&["verify"]);
}

/// A transaction that has written is waited for; after the limit the switch is undone, it is not.
#[test]
fn an_open_transaction_undoes_the_switch_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let journey = start(&folder, &[SHORT]);
    // Somebody whose session would be ended, if the switch were not given up.
    let mut temporary = Raw::proxy(&journey.proxy);
    temporary.query("CREATE TEMPORARY TABLE scratch (id integer)");
    let mut writer = Raw::proxy(&journey.proxy);
    writer.query("BEGIN");
    writer.query("INSERT INTO t VALUES (1, 'open')");
    let (code, task, _) = journey.try_promote();
    assert_eq!(code, 5, "{task}");
    assert!(error_of(&task).contains("a transaction that has written"), "{task}");
    assert_eq!(writer.query("COMMIT"), ["C COMMIT", "Z I"]);
    assert_eq!(temporary.query("SELECT count(*) FROM scratch").len(), 4);
    drop(temporary);
    journey.promote();
    assert_eq!(count(&journey), "1");
    writer.query("BEGIN");
    writer.query("INSERT INTO t VALUES (2, 'open')");
    journey.await_way_back();
    let (code, task, _) = journey.order(&["rollback", "--yes"]);
    assert_eq!(code, 5, "{task}");
    assert_eq!(writer.query("COMMIT"), ["C COMMIT", "Z I"]);
    journey.rollback();
    assert_eq!(count(&journey), "2");
}

/// Told so, the switch cancels what is open.
#[test]
fn drain_cancel_ends_open_transactions() {
    let folder = tempfile::tempdir().unwrap();
    let journey = start(&folder, &[SHORT, ("CROSSFADE_CUTOVER_DRAIN_CANCEL", "true")]);
    let mut writer = Raw::proxy(&journey.proxy);
    writer.query("BEGIN");
    writer.query("INSERT INTO t VALUES (1, 'open')");
    journey.promote();
    assert!(was_ended(&mut writer));
    assert_eq!(count(&journey), "0");
}

/// A snapshot reads on after the switch, and must not write.
#[test]
fn a_snapshot_that_outlives_the_fence_cannot_write() {
    let folder = tempfile::tempdir().unwrap();
    let journey = start(&folder, &[("CROSSFADE_CUTOVER_DRAIN_MS", "30000")]);
    journey.proxy.sql("INSERT INTO t VALUES (1, 'before')");
    let mut writer = Raw::proxy(&journey.proxy);
    writer.query("BEGIN");
    writer.query("INSERT INTO t VALUES (2, 'open')");
    let mut reader = Raw::proxy(&journey.proxy);
    std::thread::scope(|scope| {
        let promote = scope.spawn(|| journey.try_promote());
        crate::common::eventually("the drain has begun", || {
            let tasks = journey.get("/api/v1/tasks").to_string();
            tasks.contains("slow writers until the lag is small")
        });
        // Reads go on while the drain waits: this one begins its snapshot now.
        reader.query("BEGIN ISOLATION LEVEL REPEATABLE READ");
        assert!(reader.query("SELECT count(*) FROM t").contains(&"D 1".to_owned()));
        assert_eq!(writer.query("COMMIT"), ["C COMMIT", "Z I"]);
        let (code, task, stderr) = promote.join().unwrap();
        assert_eq!(code, 0, "{stderr}{task}\n{}", journey.proxy.log());
    });
    assert!(reader.query("SELECT count(*) FROM t").contains(&"D 1".to_owned()), "its own past");
    let refused = reader.query("INSERT INTO t VALUES (3, 'lost')");
    assert!(refused[0].contains("40001"), "{refused:?}");
    reader.query("ROLLBACK");
    assert_eq!(reader.query("INSERT INTO t VALUES (4, 'here')"), ["C INSERT 0 1", "Z I"]);
    assert_eq!(count(&journey), "3");
}

/// A prepared transaction outlives the fence: it must be ended by its owner.
#[test]
fn prepared_transactions_refuse_a_rollback() {
    let pg = Pg {
        cluster: crossfade::demo::cluster::Cluster::start_with("max_prepared_transactions = 5\n")
            .unwrap(),
    };
    let folder = tempfile::tempdir().unwrap();
    let journey = Journey::start(&folder.path().join("app.db"), &pg, &[SHORT]);
    journey.proxy.sql("CREATE TABLE t (id integer PRIMARY KEY, body text)");
    journey.mirror();
    journey.promote();
    let mut client = Raw::proxy(&journey.proxy);
    client.query("BEGIN");
    client.query("INSERT INTO t VALUES (1, 'two phases')");
    assert_eq!(client.query("PREPARE TRANSACTION 'later'"), ["C PREPARE TRANSACTION", "Z I"]);
    journey.await_way_back();
    let (code, task, _) = journey.order(&["rollback", "--yes"]);
    assert_eq!(code, 5, "{task}");
    assert!(error_of(&task).contains("later"), "{task}");
    assert_eq!(client.query("COMMIT PREPARED 'later'"), ["C COMMIT PREPARED", "Z I"]);
    journey.rollback();
    assert_eq!(count(&journey), "1");
}

/// Waits until a switch waits for the transactions that are open.
fn drains(journey: &Journey) {
    crate::common::eventually("the drain has begun", || {
        let tasks = journey.get("/api/v1/tasks").to_string();
        tasks.contains("slow writers until the lag is small")
    });
    std::thread::sleep(std::time::Duration::from_millis(200));
}

/// A transaction that was waited for ends with PREPARE: it would outlive the fence, too.
#[test]
fn a_transaction_prepared_during_the_drain_undoes_the_rollback() {
    let settings = "max_prepared_transactions = 5\n";
    let pg = Pg { cluster: crossfade::demo::cluster::Cluster::start_with(settings).unwrap() };
    let folder = tempfile::tempdir().unwrap();
    let patient = [("CROSSFADE_CUTOVER_DRAIN_MS", "20000")];
    let journey = Journey::start(&folder.path().join("app.db"), &pg, &patient);
    journey.proxy.sql("CREATE TABLE t (id integer PRIMARY KEY, body text)");
    journey.mirror();
    journey.promote();
    let mut client = Raw::proxy(&journey.proxy);
    client.query("BEGIN");
    client.query("INSERT INTO t VALUES (1, 'two phases')");
    journey.await_way_back();
    std::thread::scope(|scope| {
        let rollback = scope.spawn(|| journey.order(&["rollback", "--yes"]));
        drains(&journey);
        assert_eq!(client.query("PREPARE TRANSACTION 'late'"), ["C PREPARE TRANSACTION", "Z I"]);
        let (code, task, _) = rollback.join().unwrap();
        assert_eq!(code, 5, "{task}");
        assert!(error_of(&task).contains("late"), "{task}");
    });
    assert_eq!(journey.status("primary"), "postgres");
    assert_eq!(client.query("COMMIT PREPARED 'late'"), ["C COMMIT PREPARED", "Z I"]);
    journey.rollback();
    assert_eq!(count(&journey), "1");
}

/// What has begun may need a long message to end, and is let through while nothing new begins.
#[test]
fn a_long_statement_of_an_open_transaction_passes_during_the_drain() {
    let folder = tempfile::tempdir().unwrap();
    let journey = start(&folder, &[("CROSSFADE_CUTOVER_DRAIN_MS", "20000")]);
    journey.promote();
    let mut client = Raw::proxy(&journey.proxy);
    client.query("BEGIN");
    client.query("INSERT INTO t VALUES (1, 'short')");
    journey.await_way_back();
    std::thread::scope(|scope| {
        let rollback = scope.spawn(|| journey.order(&["rollback", "--yes"]));
        drains(&journey);
        let long = "x".repeat(1_000_000);
        let told = client.run(&format!("P |INSERT INTO t VALUES (2, '{long}')\nB |\nE\nS"));
        assert!(told.contains("\nC INSERT 0 1"), "{}", &told[told.len().saturating_sub(300)..]);
        assert_eq!(client.query("COMMIT"), ["C COMMIT", "Z I"]);
        let (code, task, stderr) = rollback.join().unwrap();
        assert_eq!(code, 0, "{stderr}{task}");
    });
    assert_eq!(journey.proxy.sql("SELECT max(length(body)) FROM t"), "1000000");
}

/// An undone switch burns a number, and nothing else: who took something that cannot move while it
/// drained keeps it.
#[test]
fn who_stayed_during_an_undone_switch_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let journey = start(&folder, &[("CROSSFADE_CUTOVER_DRAIN_MS", "20000")]);
    journey.proxy.sql("INSERT INTO t VALUES (1, 'before')");
    // The switch changes the table's entries at the same time, which PostgreSQL does not queue up.
    let behind = |sql: &str| {
        eventually(sql, || Pg::shared().cluster.psql(&journey.database, sql).is_ok());
    };
    let mut writer = Raw::proxy(&journey.proxy);
    writer.query("BEGIN");
    writer.query("INSERT INTO t VALUES (2, 'open')");
    let (mut lock, mut snapshot) = (Raw::proxy(&journey.proxy), Raw::proxy(&journey.proxy));
    let epoch = || journey.status("epoch").parse::<u64>().unwrap();
    let before = epoch();
    std::thread::scope(|scope| {
        let promote = scope.spawn(|| journey.try_promote());
        drains(&journey);
        assert_eq!(lock.query("SELECT pg_try_advisory_lock(1)")[1], "D t");
        snapshot.query("BEGIN ISOLATION LEVEL REPEATABLE READ");
        assert!(snapshot.query("SELECT count(*) FROM t").contains(&"D 1".to_owned()));
        // What comes last is falsified there, which is found behind the fence.
        behind(
            "CREATE FUNCTION forge() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN NEW.body := 'forged'; RETURN NEW; END $$; \
             CREATE TRIGGER forge BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION forge(); \
             ALTER TABLE t ENABLE ALWAYS TRIGGER forge",
        );
        assert_eq!(writer.query("COMMIT"), ["C COMMIT", "Z I"]);
        let (code, task, _) = promote.join().unwrap();
        assert_eq!(code, 5, "{task}");
        assert!(task.to_string().contains("fence SQLite"), "undone before the fence: {task}");
    });
    behind("DROP TRIGGER forge ON t");
    assert_eq!(epoch(), before + 1);
    // What the snapshot has read was changed since: it could not write on a primary that stayed.
    assert_eq!(snapshot.query("COMMIT"), ["C COMMIT", "Z I"]);
    assert_eq!(lock.query("SELECT pg_advisory_unlock(1)")[1], "D t");
    assert_eq!(lock.query("INSERT INTO t VALUES (3, 'mine')"), ["C INSERT 0 1", "Z I"]);
    assert_eq!(count(&journey), "3");
}

/// A client's settings go where it goes; what the other side cannot give it ends its session.
#[test]
fn settings_move_both_ways_or_end_the_session() {
    let folder = tempfile::tempdir().unwrap();
    let journey = start(&folder, &[]);
    let mut stays = Raw::proxy(&journey.proxy);
    stays.query("SET app.tenant = '5'");
    stays.query("SET work_mem = '7MB'");
    journey.promote();
    assert!(stays.query("SHOW app.tenant").contains(&"D 5".to_owned()));
    // Transactions' own settings, and texts that are too long to be looked into.
    let local = "BEGIN; SELECT set_config('app.tenant', '6', true); SET LOCAL app.x = '1'; COMMIT";
    assert!(stays.query(local).contains(&"C COMMIT".to_owned()));
    let long = format!("INSERT INTO t VALUES (1, '{}')", "set ".repeat(30_000));
    assert_eq!(stays.query(&long), ["C INSERT 0 1", "Z I"]);
    stays.query("SET TimeZone = 'Asia/Tokyo'");
    let ends = [
        "SET app.tenant = '5'",
        "SELECT set_config('app.' || 'tenant', '5', false)",
        "SET ROLE pg_monitor",
        "SET standard_conforming_strings = off",
    ];
    let mut ended: Vec<Raw> = ends
        .iter()
        .map(|sql| {
            let mut session = Raw::proxy(&journey.proxy);
            let told = session.query(sql);
            assert!(told.iter().all(|m| !m.starts_with("E ")), "{sql}: {told:?}");
            session
        })
        .collect();
    journey.await_way_back();
    journey.rollback();
    for (session, sql) in ended.iter_mut().zip(ends) {
        assert!(was_ended(session), "{sql}");
    }
    for (name, value) in [("app.tenant", "5"), ("work_mem", "7MB"), ("TimeZone", "Asia/Tokyo")] {
        let told = stays.query(&format!("SHOW {name}"));
        assert!(told.contains(&format!("D {value}")), "{name}: {told:?}");
    }
}
