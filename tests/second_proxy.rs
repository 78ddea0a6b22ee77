//! More than one proxy at one PostgreSQL: never two primaries, and no copy over another pair's.

use std::path::{Path, PathBuf};

use crate::common::{Journey, Pg, Proxy, eventually};

const TABLE: &str = "CREATE TABLE note (id integer PRIMARY KEY, body text)";
const COUNT: &str = "SELECT count(*) FROM note";

fn mirrored(pg: &Pg, file: &Path) -> Journey {
    let journey = Journey::start(file, pg, &[]);
    journey.proxy.sql(TABLE);
    journey.proxy.sql("INSERT INTO note VALUES (1, 'a'), (2, 'b')");
    journey.mirror();
    journey
}

/// The file as it would be on a copy of the machine.
fn copied(file: &Path, name: &str) -> PathBuf {
    let to = file.with_file_name(name);
    let source = rusqlite::Connection::open(file).unwrap();
    source.execute("VACUUM INTO ?1", [to.to_str().unwrap()]).unwrap();
    to
}

/// Another proxy of the same PostgreSQL.
fn beside(first: &Journey, file: &Path) -> Journey {
    let proxy = Proxy::on_file(file, &["--postgres", &first.url]);
    Journey { proxy, url: first.url.clone(), database: first.database.clone() }
}

fn assert_paused(journey: &Journey, words: &str) {
    eventually(words, || journey.status("reason").contains(words));
    assert_eq!(journey.status("health"), "stalled");
    let (code, _, stderr) = journey.proxy.psql("INSERT INTO note VALUES (7777, 'nobody')");
    assert!(code != 0 && stderr.contains(words), "{code} {stderr}");
}

/// Waits until so many locks of the pair are held.
fn held(pg: &Pg, journey: &Journey, locks: &str, words: &str) {
    let holders = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted";
    eventually(words, || pg.cluster.psql(&journey.database, holders).unwrap() == locks);
}

const SECOND: &str = "another proxy serves this pair";

#[test]
fn a_proxy_on_a_copy_of_the_file_serves_nobody() {
    let mut pg = Pg::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let mut first = mirrored(&pg, &file);
    let second = beside(&first, &copied(&file, "copy.db"));
    assert_paused(&second, SECOND);
    let (code, ..) = second.order(&["backfill"]);
    assert_ne!(code, 0, "it copied over the other one's shadow");
    // The pair's, and the shadow's. A connection that is lost lets nobody in.
    held(&pg, &first, "2", "both locks are held");
    let lost = "SELECT count(pg_terminate_backend(pid)) FROM pg_locks \
                WHERE locktype = 'advisory' AND granted";
    pg.cluster.psql(&first.database, lost).unwrap();
    held(&pg, &first, "2", "both locks are held again");
    assert_paused(&second, SECOND);
    assert_eq!(first.status("health"), "ok");
    // PostgreSQL is away for a moment, and with it the locks: that does not let it in.
    pg.cluster.stop(true).unwrap();
    first.proxy.sql("INSERT INTO note VALUES (3, 'c')");
    assert_paused(&second, SECOND);
    pg.cluster.resume().unwrap();
    first.level();
    assert_paused(&second, SECOND);
    assert_eq!(first.status("health"), "ok");
    // Nor does a switch.
    first.promote();
    first.proxy.sql("INSERT INTO note VALUES (4, 'd')");
    held(&pg, &first, "1", "the pair's lock is held while PostgreSQL is primary");
    assert_paused(&second, SECOND);
    first.rollback();
    first.level();
    assert_paused(&second, SECOND);
    // A kill leaves no lock behind that would keep the right one out.
    first.restart_with(&[]);
    assert_eq!(first.proxy.sql(COUNT), "4");
    assert_paused(&second, SECOND);
    // When the first one has gone for good, the copy is what it is: an old one.
    first.proxy.terminate();
    assert_paused(&second, "older than the last switch");
}

#[test]
fn a_copy_over_another_pairs_primary_is_refused() {
    let pg = Pg::shared();
    let folder = tempfile::tempdir().unwrap();
    let mut first = mirrored(pg, &folder.path().join("first.db"));
    first.promote();
    first.proxy.sql("INSERT INTO note VALUES (3, 'only on PostgreSQL')");
    let database = first.database.clone();
    let there = || pg.cluster.psql(&database, COUNT).unwrap();
    // Another pair, with a higher epoch, whose configuration names this database by mistake.
    let other = folder.path().join("other.db");
    let mut second = mirrored(pg, &other);
    second.promote();
    second.rollback();
    second.proxy.terminate();
    let mistaken = beside(&first, &other);
    assert_paused(&mistaken, SECOND);
    let (code, ..) = mistaken.order(&["backfill"]);
    assert_ne!(code, 0);
    first.proxy.terminate();
    eventually("the other one is gone", || mistaken.status("health") == "degraded");
    let (code, task, stderr) = mistaken.order(&["backfill"]);
    assert_eq!(code, 1, "{stderr}{task}");
    assert!(format!("{task}{stderr}").contains("never given back"), "{stderr}{task}");
    assert_eq!(there(), "3", "another pair's rows are gone");
    drop(mistaken);
    first.restart_with(&[]);
    eventually("served", || first.proxy.psql("INSERT INTO note VALUES (4, 'd')").0 == 0);
    assert_eq!(there(), "4");
}
