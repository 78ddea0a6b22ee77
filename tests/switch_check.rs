//! The last look before the decision: what changed since verify is looked at again, and a
//! difference undoes the switch.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::{Journey, Pg, Raw, eventually};

const TABLE: &str = "CREATE TABLE item (id integer PRIMARY KEY, name text, price integer); \
    INSERT INTO item SELECT g, 'item ' || g, g FROM generate_series(1, 2000) g";

fn start(file: &Path, envs: &[(&str, &str)]) -> Journey {
    let journey = Journey::start(file, Pg::shared(), envs);
    journey.proxy.sql(TABLE);
    journey.mirror();
    journey
}

/// In one transaction. A definition that the proxy changes at the same moment is an error of
/// PostgreSQL's, on which anybody tries again.
fn psql(journey: &Journey, sql: &str) -> String {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match Pg::shared().cluster.psql(&journey.database, sql) {
            Err(error)
                if error.to_string().contains("tuple concurrently updated")
                    && Instant::now() < deadline => {}
            outcome => return outcome.unwrap(),
        }
    }
}

fn error_of(task: &Value) -> &str {
    task["error"]["message"].as_str().unwrap_or_default()
}

fn step<'a>(task: &'a Value, text: &str) -> &'a str {
    let steps = task["steps"].as_array().unwrap();
    let step = steps.iter().find(|s| s["text"] == text);
    step.unwrap_or_else(|| panic!("no step {text:?} in {task}"))["detail"].as_str().unwrap_or("")
}

/// After an undone promote everything is as before.
fn assert_undone(journey: &Journey, code: i32, task: &Value, words: &[&str]) {
    assert_eq!(code, 5, "{task}\n{}", journey.proxy.log());
    let error = error_of(task);
    assert!(words.iter().all(|word| error.contains(word)), "{error}");
    assert_eq!(journey.status("primary"), "sqlite");
    assert_eq!(journey.status("phase"), "mirroring");
    journey.proxy.sql("UPDATE item SET price = price + 1 WHERE id = 77");
    journey.level();
    let slots = "SELECT count(*) FROM pg_replication_slots WHERE database = current_database()";
    assert_eq!(psql(journey, slots), "0", "a slot that nobody reads is left behind");
}

#[test]
fn a_row_changed_behind_its_back_undoes_the_promote() {
    let folder = tempfile::tempdir().unwrap();
    let journey = start(&folder.path().join("app.db"), &[]);
    journey.proxy.sql("UPDATE item SET price = 0 WHERE id IN (5, 6)");
    journey.level();
    psql(&journey, "UPDATE item SET name = 'forged' WHERE id = 5");
    let (code, task, _) = journey.try_promote();
    assert_undone(&journey, code, &task, &["\"item\"", "id = 5", "name"]);
    // It is a divergence like any other: the gate says so, and repair ends it.
    let (code, ..) = journey.promote_once();
    assert_eq!(code, 4, "promoted with an open divergence");
    journey.done(&["repair"]);
    assert_eq!(psql(&journey, "SELECT name FROM item WHERE id = 5"), "item 5");
    journey.promote();
    assert_eq!(journey.proxy.sql("SELECT count(*) FROM item"), "2000");
}

/// What changes only between the precheck and the fence is looked at behind the fence.
#[test]
fn a_difference_that_comes_last_is_found_behind_the_fence() {
    let folder = tempfile::tempdir().unwrap();
    let journey = start(&folder.path().join("app.db"), &[("CROSSFADE_CUTOVER_DRAIN_MS", "30000")]);
    let mut writer = Raw::proxy(&journey.proxy);
    writer.query("BEGIN");
    writer.query("UPDATE item SET price = -1 WHERE id = 9");
    let undone = std::thread::scope(|scope| {
        let promote = scope.spawn(|| journey.try_promote());
        let running = || -> Option<Value> {
            let tasks = journey.get("/api/v1/tasks");
            let found = tasks["tasks"]
                .as_array()?
                .iter()
                .find(|t| t["kind"] == "promote" && t["state"] == "running");
            found.cloned()
        };
        eventually("promote waits for the transaction", || {
            running().is_some_and(|task| {
                let steps = task["steps"].as_array().unwrap();
                steps.iter().any(|s| s["text"] == "slow writers until the lag is small")
            })
        });
        // It fires also for the applier: from now on every change is falsified.
        psql(
            &journey,
            "CREATE FUNCTION forge() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN NEW.name := 'forged'; RETURN NEW; END $$; \
             CREATE TRIGGER forge BEFORE UPDATE ON item FOR EACH ROW EXECUTE FUNCTION forge(); \
             ALTER TABLE item ENABLE ALWAYS TRIGGER forge",
        );
        assert_eq!(writer.query("COMMIT"), ["C COMMIT", "Z I"]);
        promote.join().unwrap()
    });
    let (code, task, _) = undone;
    assert!(step(&task, "fence SQLite").contains("final position"));
    psql(&journey, "DROP TRIGGER forge ON item");
    assert_undone(&journey, code, &task, &["\"item\"", "id = 9", "name"]);
    assert_eq!(journey.proxy.sql("SELECT price FROM item WHERE id = 9"), "-1");
}

/// A restart forgets nothing that has to be looked at.
#[test]
fn what_has_changed_survives_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let mut journey = start(&folder.path().join("app.db"), &[]);
    journey.proxy.sql("UPDATE item SET price = 0 WHERE id = 11");
    journey.level();
    // Until the journal has forgotten it: it is trimmed every second.
    for id in 100..104 {
        std::thread::sleep(Duration::from_millis(700));
        journey.proxy.sql(&format!("UPDATE item SET price = 0 WHERE id = {id}"));
    }
    journey.level();
    journey.proxy.kill();
    psql(&journey, "DELETE FROM item WHERE id = 11");
    journey.restart_with(&[]);
    journey.await_status("phase", "mirroring");
    journey.level();
    let (code, task, _) = journey.try_promote();
    assert_undone(&journey, code, &task, &["\"item\"", "id = 11", "missing"]);
}

/// So many keys that they are kept as chunks.
#[test]
fn a_coarse_set_is_looked_at_too() {
    let folder = tempfile::tempdir().unwrap();
    let journey = start(&folder.path().join("app.db"), &[]);
    journey
        .proxy
        .sql("INSERT INTO item SELECT g, 'more ' || g, g FROM generate_series(10001, 35000) g");
    journey.level();
    psql(&journey, "UPDATE item SET price = 0 WHERE id = 20000; DELETE FROM item WHERE id = 20001");
    let (code, task, _) = journey.try_promote();
    assert_undone(&journey, code, &task, &["\"item\"", "2000"]);
    psql(
        &journey,
        "UPDATE item SET price = id WHERE id = 20000; \
         INSERT INTO item VALUES (20001, 'more 20001', 20001)",
    );
    journey.done(&["verify"]);
    journey.promote();
}

/// Writers go on all the time, and the check behind the fence still ends within its limit.
#[test]
fn passes_go_on_until_the_rest_fits() {
    let folder = tempfile::tempdir().unwrap();
    let journey = start(&folder.path().join("app.db"), &[]);
    journey.proxy.sql("CREATE TABLE log (line text)");
    journey.done(&["verify"]);
    journey.proxy.sql("UPDATE item SET price = price + 1; INSERT INTO log VALUES ('a'), ('a')");
    let (code, task, stderr) = journey.try_promote();
    assert_eq!(code, 0, "{stderr}{task}\n{}", journey.proxy.log());
    let seen = step(&task, "verify what has changed since the last verify");
    let keys: u64 = seen.split(' ').next().unwrap().parse().unwrap();
    assert!(keys >= 2000, "{seen}");
    assert!(seen.contains("1 whole table,"), "{seen}");
    assert!(step(&task, "check the keys changed last").ends_with("0 differ"));
}

/// The same list, with `would`; nothing is changed on either side.
#[test]
fn a_dry_run_names_the_same_steps_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let journey = start(&folder.path().join("app.db"), &[]);
    journey.proxy.sql("UPDATE item SET price = 3 WHERE id = 3");
    journey.level();
    let state = || {
        let left = "SELECT (SELECT count(*) FROM pg_replication_slots \
                    WHERE database = current_database()), (SELECT count(*) FROM pg_publication), \
                    (SELECT count(*) FROM crossfade.epochs)";
        (psql(&journey, left), journey.status("epoch"), journey.status("position"))
    };
    // The probe at start makes and takes down what it needs.
    journey.await_gate("way_back");
    eventually("the probe is taken down", || state().0.starts_with("0|0|"));
    let before = state();
    let dry = journey.dry_run();
    assert_eq!(state(), before);
    assert_eq!(journey.status("phase"), "mirroring");
    let (code, real, stderr) = journey.try_promote();
    assert_eq!(code, 0, "{stderr}{real}");
    let texts = |task: &Value| -> Vec<String> {
        let steps = task["steps"].as_array().unwrap();
        steps.iter().map(|s| s["text"].as_str().unwrap().to_owned()).collect()
    };
    let would: Vec<String> = texts(&real).iter().map(|t| format!("would {t}")).collect();
    assert_eq!(texts(&dry), would);
}

/// Promote and rollback on live traffic, and the gate knows of it.
#[test]
fn a_rehearsal_promotes_and_rolls_back() {
    let folder = tempfile::tempdir().unwrap();
    let journey = start(&folder.path().join("app.db"), &[]);
    let port = journey.proxy.port;
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let client = std::thread::spawn({
        let stop = std::sync::Arc::clone(&stop);
        move || {
            let mut client = Raw::connect(port, "app", "app", &[]);
            let mut done = 0;
            while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                let answer = client.query("UPDATE item SET price = price + 1 WHERE id = 1");
                assert_eq!(answer, ["C UPDATE 1", "Z I"]);
                done += 1;
            }
            done
        }
    });
    let (code, task, stderr) = journey.promote_with(&["--rehearse"]);
    stop.store(true, std::sync::atomic::Ordering::SeqCst);
    let done = client.join().unwrap();
    assert_eq!(code, 0, "{stderr}{task}\n{}", journey.proxy.log());
    assert_eq!(journey.status("primary"), "sqlite");
    assert_eq!(journey.proxy.sql("SELECT price FROM item WHERE id = 1"), (done + 1).to_string());
    let gates = journey.get("/api/v1/gates");
    let gate = gates["gates"].as_array().unwrap().iter().find(|g| g["name"] == "rehearsal");
    assert_eq!(gate.unwrap()["ok"], true, "{gates}");
    // Afterwards the real one.
    let began = Instant::now();
    journey.level();
    journey.promote();
    println!("promoted again after {} ms", began.elapsed().as_millis());
}
