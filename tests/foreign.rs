//! Foreign programs that write the SQLite file: a promote waits for a verify, also when the proxy
//! was started again since, or did not run.

use std::path::Path;

use crate::common::{Journey, Pg, eventually};

const TABLE: &str = "CREATE TABLE note (id integer PRIMARY KEY, body text)";

fn mirrored(file: &Path) -> Journey {
    let journey = Journey::start(file, Pg::shared(), &[]);
    journey.proxy.sql(TABLE);
    journey.proxy.sql("INSERT INTO note VALUES (1, 'a'), (2, 'b')");
    journey.mirror();
    journey
}

/// Runs SQL as a foreign program does.
fn foreign(file: &Path, sql: &str) {
    rusqlite::Connection::open(file).unwrap().execute_batch(sql).unwrap();
}

fn holds(journey: &Journey) -> bool {
    let gates = journey.get("/api/v1/gates");
    let mut gates = gates["gates"].as_array().unwrap().iter();
    gates.find(|g| g["name"] == "foreign_writer").unwrap()["ok"] == true
}

fn assert_refused(journey: &Journey) {
    let (code, _, stderr) = journey.promote_once();
    assert!(code == 4 && stderr.contains("foreign_writer"), "{code} {stderr}");
}

#[test]
fn a_restart_does_not_forget_a_foreign_write() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let mut journey = mirrored(&file);
    assert!(holds(&journey));
    foreign(&file, "UPDATE note SET body = 'foreign' WHERE id = 1");
    eventually("it is noticed", || !holds(&journey));
    journey.restart_with(&[]);
    assert!(!holds(&journey), "forgotten by a crash");
    assert_eq!(journey.proxy.terminate(), Some(0));
    journey.restart_with(&[]);
    journey.level();
    assert_refused(&journey);
    // A verify that finds it does not make it good, one that finds nothing does.
    let (code, ..) = journey.order(&["verify"]);
    assert_eq!(code, 1);
    assert_refused(&journey);
    journey.done(&["repair"]);
    journey.done(&["verify"]);
    journey.restart_with(&[]);
    journey.level();
    assert!(holds(&journey), "{}", journey.proxy.log());
    journey.promote();
    assert_eq!(journey.proxy.sql("SELECT body FROM note WHERE id = 1"), "foreign");
}

#[test]
fn a_write_while_the_proxy_was_stopped_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let mut journey = mirrored(&file);
    assert_eq!(journey.proxy.terminate(), Some(0));
    foreign(&file, "SELECT count(*) FROM note");
    journey.restart_with(&[]);
    journey.level();
    assert!(holds(&journey), "whoever only reads is no writer");
    journey.proxy.sql("INSERT INTO note VALUES (3, 'c')");
    // Killed and started again by nobody else: nothing to say.
    journey.restart_with(&[]);
    journey.level();
    assert!(holds(&journey), "{}", journey.proxy.log());
    assert_eq!(journey.proxy.terminate(), Some(0));
    foreign(&file, "UPDATE note SET body = 'foreign' WHERE id = 1");
    journey.restart_with(&[]);
    journey.level();
    assert!(!holds(&journey));
    assert_refused(&journey);
    journey.done(&["repair"]);
    journey.done(&["verify"]);
    assert!(holds(&journey));
    // Between a crash and the next start.
    journey.proxy.kill();
    foreign(&file, "UPDATE note SET body = 'once more' WHERE id = 1");
    journey.restart_with(&[]);
    journey.level();
    assert!(!holds(&journey));
    assert_refused(&journey);
}

/// While PostgreSQL is primary nobody may write the file: what is written there comes back with a
/// rollback, and is said before.
#[test]
fn a_foreign_write_while_postgresql_is_primary_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let journey = mirrored(&file);
    journey.promote();
    journey.proxy.sql("INSERT INTO note VALUES (3, 'c')");
    journey.await_way_back();
    assert_eq!(journey.status("health"), "ok", "{}", journey.status("reason"));
    foreign(&file, "UPDATE note SET body = 'foreign' WHERE id = 1");
    eventually("it is said", || journey.status("reason").contains("a rollback would bring them"));
    assert_eq!(journey.status("health"), "degraded");
    let (code, task, stderr) = journey.order(&["rollback", "--dry-run"]);
    assert!(code == 0 && task.to_string().contains("foreign commit"), "{stderr}{task}");
    journey.rollback();
    assert!(!holds(&journey), "no verify has covered it");
    let (code, task, _) = journey.order(&["verify"]);
    assert_eq!(code, 1, "the difference is found: {task}");
}

/// A foreign program alters the schema: what is served is not what is there any more, and no verify
/// may say that it is equal.
#[test]
fn a_foreign_change_of_the_schema_is_not_covered_by_a_verify() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let mut journey = mirrored(&file);
    // Ours is none.
    journey.proxy.sql("CREATE TABLE other (id integer PRIMARY KEY, body text)");
    journey.proxy.sql("CREATE INDEX by_body ON note (body)");
    foreign(&file, "UPDATE note SET body = body; VACUUM; ANALYZE");
    eventually("it is noticed", || !holds(&journey));
    journey.level();
    journey.done(&["verify"]);
    eventually("it is covered", || holds(&journey));
    foreign(
        &file,
        "ALTER TABLE note ADD COLUMN more text DEFAULT 'q'; UPDATE note SET more = 'precious';
         CREATE TABLE new (id integer PRIMARY KEY, v text); INSERT INTO new VALUES (1, 'n');",
    );
    // A change of ours right behind it takes nothing of it for its own.
    journey.proxy.sql("CREATE TABLE ours (id integer PRIMARY KEY)");
    // A start with a schema change that is still on its way would copy anew for that alone.
    journey.level();
    eventually("it is noticed", || !holds(&journey));
    let (code, task, stderr) = journey.order(&["verify"]);
    assert_eq!(code, 4, "{task}{stderr}");
    assert!(format!("{task}{stderr}").contains("changed the schema"), "{task}{stderr}");
    assert_refused(&journey);
    journey.restart_with(&[]);
    journey.level();
    assert_refused(&journey);
    // Now it is seen, and not clean before it was copied.
    let (code, task, _) = journey.order(&["verify"]);
    assert_eq!(code, 1, "{task}");
    assert_refused(&journey);
    journey.mirror();
    journey.promote();
    assert_eq!(journey.proxy.sql("SELECT more FROM note WHERE id = 2"), "precious");
    assert_eq!(journey.proxy.sql("SELECT v FROM new"), "n");
}
