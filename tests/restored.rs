//! Either side comes back from a backup: nothing is applied or promoted, and the reason says
//! which history is which.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{Journey, Pg, eventually};

const TABLE: &str = "CREATE TABLE note (id integer PRIMARY KEY, body text)";
const COUNT: &str = "SELECT count(*) FROM note";

fn write(journey: &Journey, from: u32, to: u32) {
    // One commit each.
    let rows: Vec<String> =
        (from..=to).map(|id| format!("INSERT INTO note VALUES ({id}, 'note {id}')")).collect();
    for row in rows {
        journey.proxy.sql(&row);
    }
}

/// The SQLite file as somebody would copy it while nobody serves it.
struct Backup(PathBuf);

impl Backup {
    fn of(file: &Path) -> Self {
        let to = file.with_extension("backup");
        let source = rusqlite::Connection::open(file).unwrap();
        source.execute("VACUUM INTO ?1", [to.to_str().unwrap()]).unwrap();
        Self(to)
    }

    fn restore(&self, file: &Path) {
        for end in ["-wal", "-shm"] {
            let mut name = file.as_os_str().to_owned();
            name.push(end);
            let _ = std::fs::remove_file(PathBuf::from(name));
        }
        std::fs::copy(&self.0, file).unwrap();
    }
}

/// Copies or puts back PostgreSQL's data folder; owner and modes stay.
fn copy_folder(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(done.success());
}

/// Mirroring between a file and a server of its own.
fn start(pg: &Pg) -> (Journey, tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let journey = Journey::start(&file, pg, &[]);
    journey.proxy.sql(TABLE);
    write(&journey, 1, 5);
    journey.mirror();
    (journey, folder, file)
}

fn assert_reason(journey: &Journey, health: &str, words: &[&str]) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let (found, reason) = (journey.status("health"), journey.status("reason"));
        if found == health && words.iter().all(|word| reason.contains(word)) {
            println!("{health}: {reason}");
            return;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "{found}, not {health} with {words:?}: {reason}\n{}",
            journey.proxy.log()
        );
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

/// Nobody is served, and clients read why.
fn assert_paused(journey: &Journey, words: &[&str]) {
    assert_reason(journey, "stalled", words);
    let (code, _, stderr) = journey.proxy.psql("INSERT INTO note VALUES (7777, 'nobody')");
    assert_ne!(code, 0, "a write was taken");
    assert!(words.iter().all(|w| stderr.contains(w)), "{stderr}");
    let (code, ..) = journey.promote_once();
    assert_eq!(code, 4);
    let (code, ..) = journey.order(&["rollback", "--yes"]);
    assert_ne!(code, 0);
}

#[test]
fn sqlite_restored_while_mirroring() {
    let pg = Pg::shared();
    let (mut journey, _folder, file) = start(pg);
    journey.proxy.terminate();
    let backup = Backup::of(&file);
    journey.restart_with(&[]);
    write(&journey, 6, 10);
    journey.level();
    let there = || pg.cluster.psql(&journey.database, COUNT).unwrap();
    assert_eq!(there(), "10");
    journey.proxy.kill();
    backup.restore(&file);
    let mut journey = journey;
    journey.restart_with(&[]);
    // SQLite is primary and serves; PostgreSQL has what SQLite has lost.
    assert_reason(&journey, "degraded", &["PostgreSQL has applied commit", "SQLite", "backup"]);
    assert_eq!(journey.status("phase"), "copying");
    assert_eq!(journey.proxy.sql(COUNT), "5");
    write(&journey, 100, 120);
    let (code, ..) = journey.promote_once();
    assert_eq!(code, 4, "promoted onto another history");
    assert_eq!(pg.cluster.psql(&journey.database, COUNT).unwrap(), "10", "something was applied");
    // A restart does not forget it, also when SQLite has overtaken PostgreSQL's position.
    journey.restart_with(&[]);
    assert_eq!(journey.status("phase"), "copying");
    assert_eq!(pg.cluster.psql(&journey.database, COUNT).unwrap(), "10");
    journey.mirror();
    assert_eq!(pg.cluster.psql(&journey.database, COUNT).unwrap(), "26");
}

#[test]
fn sqlite_restored_and_written_elsewhere() {
    let pg = Pg::shared();
    let (mut journey, _folder, file) = start(pg);
    journey.proxy.terminate();
    let backup = Backup::of(&file);
    journey.restart_with(&[]);
    write(&journey, 6, 10);
    journey.level();
    journey.proxy.kill();
    backup.restore(&file);
    // A proxy without PostgreSQL writes the restored file past PostgreSQL's position.
    let alone = crate::common::Proxy::on_file(&file, &[]);
    for id in 200..230 {
        alone.sql(&format!("INSERT INTO note VALUES ({id}, 'other')"));
    }
    drop(alone);
    journey.restart_with(&[]);
    assert_reason(&journey, "degraded", &["SQLite", "restored from a backup"]);
    assert_eq!(pg.cluster.psql(&journey.database, COUNT).unwrap(), "10", "something was applied");
    let (code, ..) = journey.promote_once();
    assert_eq!(code, 4);
}

#[test]
fn sqlite_restored_after_promote() {
    let pg = Pg::shared();
    let (mut journey, _folder, file) = start(pg);
    journey.proxy.terminate();
    let backup = Backup::of(&file);
    journey.restart_with(&[]);
    journey.promote();
    write(&journey, 6, 8);
    journey.proxy.kill();
    backup.restore(&file);
    journey.restart_with(&[]);
    assert_paused(&journey, &["SQLite file is older than the last switch", "backup"]);
    assert_eq!(pg.cluster.psql(&journey.database, COUNT).unwrap(), "8");
}

#[test]
fn postgres_restored_while_mirroring() {
    let mut pg = Pg::start();
    let (mut journey, folder, _) = start(&pg);
    let old = folder.path().join("data.old");
    pg.cluster.stop(false).unwrap();
    copy_folder(&pg.cluster.data(), &old);
    pg.cluster.resume().unwrap();
    write(&journey, 6, 10);
    journey.level();
    // Until the journal has forgotten where the copy stands: it is trimmed every second.
    let position: i64 = journey.status("position").parse().unwrap();
    let oldest = "SELECT min(position) FROM _crossfade_journal";
    let conn = rusqlite::Connection::open_with_flags(
        &journey.proxy.file,
        rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY,
    )
    .unwrap();
    eventually("the journal is trimmed", || {
        let first: Option<i64> = conn.query_row(oldest, [], |row| row.get(0)).unwrap();
        first.is_none_or(|first| first >= position - 1)
    });
    drop(conn);
    pg.cluster.stop(true).unwrap();
    copy_folder(&old, &pg.cluster.data());
    pg.cluster.resume().unwrap();
    let words = &["PostgreSQL stands at commit", "PostgreSQL was restored from a backup"];
    assert_reason(&journey, "degraded", words);
    write(&journey, 11, 12);
    let (code, ..) = journey.promote_once();
    assert_eq!(code, 4, "promoted an old copy");
    let there = |journey: &Journey| pg.cluster.psql(&journey.database, COUNT).unwrap();
    assert_eq!(there(&journey), "5", "something was applied");
    journey.restart_with(&[]);
    assert_reason(&journey, "degraded", words);
    assert_eq!(there(&journey), "5", "something was applied");
    journey.mirror();
    assert_eq!(there(&journey), "12");
}

#[test]
fn postgres_restored_after_promote() {
    let mut pg = Pg::start();
    let (mut journey, folder, _) = start(&pg);
    let old = folder.path().join("data.old");
    pg.cluster.stop(false).unwrap();
    copy_folder(&pg.cluster.data(), &old);
    pg.cluster.resume().unwrap();
    journey.promote();
    write(&journey, 6, 8);
    journey.proxy.kill();
    pg.cluster.stop(true).unwrap();
    copy_folder(&old, &pg.cluster.data());
    pg.cluster.resume().unwrap();
    journey.restart_with(&[]);
    assert_paused(&journey, &["PostgreSQL lacks the last switch", "backup"]);
    assert_eq!(pg.cluster.psql(&journey.database, COUNT).unwrap(), "5");
}

/// The proxy runs on while PostgreSQL is put back: nobody is served what is older than what was
/// acknowledged.
#[test]
fn postgres_restored_under_a_running_proxy() {
    restored_under_a_running_proxy(Pg::start());
}

/// The same, where triggers carry the way back: the journal is older than what SQLite has of it.
#[test]
fn a_trigger_journal_restored_under_a_running_proxy() {
    restored_under_a_running_proxy(Pg::start_without_decoding());
}

fn restored_under_a_running_proxy(mut pg: Pg) {
    let (journey, folder, _) = start(&pg);
    let old = folder.path().join("data.old");
    pg.cluster.stop(false).unwrap();
    copy_folder(&pg.cluster.data(), &old);
    pg.cluster.resume().unwrap();
    journey.level();
    journey.promote();
    write(&journey, 6, 8);
    let later = folder.path().join("data.later");
    pg.cluster.stop(false).unwrap();
    copy_folder(&pg.cluster.data(), &later);
    pg.cluster.resume().unwrap();
    eventually("PostgreSQL is back", || journey.proxy.psql("SELECT 1").0 == 0);
    write(&journey, 9, 12);
    let followed = "SELECT max(id) FROM note";
    eventually("SQLite has followed", || {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let conn = rusqlite::Connection::open_with_flags(&journey.proxy.file, flags).unwrap();
        conn.query_row(followed, [], |row| row.get::<_, i64>(0)).unwrap() == 12
    });
    // After the decision, and before commits that clients were told of.
    pg.cluster.stop(true).unwrap();
    let newest = folder.path().join("data.newest");
    copy_folder(&pg.cluster.data(), &newest);
    copy_folder(&later, &pg.cluster.data());
    pg.cluster.resume().unwrap();
    assert_paused(&journey, &["PostgreSQL lacks the last switch", "backup"]);
    assert_reason(&journey, "stalled", &["epoch 2", "ends before what SQLite has followed"]);
    // Before the decision.
    pg.cluster.stop(true).unwrap();
    copy_folder(&old, &pg.cluster.data());
    pg.cluster.resume().unwrap();
    assert_paused(&journey, &["PostgreSQL lacks the last switch", "backup"]);
    assert_reason(&journey, "stalled", &["epoch 2", "knows of no switch"]);
    // The right one again: everything goes on by itself.
    pg.cluster.stop(true).unwrap();
    copy_folder(&newest, &pg.cluster.data());
    pg.cluster.resume().unwrap();
    eventually("clients are served again", || journey.proxy.psql("SELECT 1").0 == 0);
    assert_eq!(journey.proxy.sql(COUNT), "12");
    journey.rollback();
    assert_eq!(journey.proxy.sql(COUNT), "12");
}

/// A proxy of an older epoch is refused by what the database says.
#[test]
fn a_later_epoch_on_postgres_refuses_this_proxy() {
    let pg = Pg::shared();
    let (journey, _folder, _) = start(pg);
    journey.promote();
    write(&journey, 6, 6);
    // As another proxy would have left it.
    let later = "INSERT INTO crossfade.epochs (epoch, record) VALUES (3, 'returned'), \
                 (4, 'decided')";
    pg.cluster.psql(&journey.database, later).unwrap();
    let (code, _, stderr) = journey.proxy.psql("INSERT INTO note VALUES (99, 'too old')");
    assert_ne!(code, 0, "a proxy of epoch 2 wrote under epoch 4");
    println!("{stderr}");
    assert_paused(&journey, &["SQLite file is older than the last switch"]);
    assert_reason(&journey, "stalled", &["epoch 2", "epoch 4"]);
    assert_eq!(pg.cluster.psql(&journey.database, COUNT).unwrap(), "6");
}

/// The copy knows the switch, but not all that SQLite had followed since: the slot is past it.
#[test]
fn sqlite_restored_within_a_reign() {
    restored_within_a_reign(Pg::shared(), |database, end| {
        format!(
            "SELECT confirmed_flush_lsn >= '{end}' FROM pg_replication_slots \
             WHERE database = '{database}'"
        )
    });
}

/// The same, where triggers carry the way back: rows of the journal are gone.
#[test]
fn sqlite_restored_within_a_reign_of_triggers() {
    restored_within_a_reign(Pg::without_decoding(), |_, _| {
        "SELECT count(*) = 0 FROM crossfade.way_back_journal".to_owned()
    });
}

fn restored_within_a_reign(pg: &Pg, forgotten: impl Fn(&str, &str) -> String) {
    let (mut journey, _folder, file) = start(pg);
    journey.promote();
    write(&journey, 6, 8);
    followed(&file, 8);
    journey.proxy.terminate();
    let backup = Backup::of(&file);
    journey.restart_with(&[]);
    write(&journey, 9, 12);
    let log_end = pg.cluster.psql("postgres", "SELECT pg_current_wal_flush_lsn()").unwrap();
    followed(&file, 12);
    let forgotten = forgotten(&journey.database, &log_end);
    let there = |sql: &str| pg.cluster.psql(&journey.database, sql).unwrap();
    eventually("PostgreSQL may forget", || there(&forgotten) == "t");
    journey.proxy.terminate();
    backup.restore(&file);
    journey.restart_with(&[]);
    assert_eq!(journey.proxy.sql(COUNT), "12", "PostgreSQL is primary and serves");
    eventually("the way back is closed", || {
        let (code, task, stderr) = journey.order(&["rollback", "--dry-run"]);
        code == 4 && format!("{stderr}{task}").contains("restored from a backup")
    });
    let (code, ..) = journey.order(&["rollback", "--yes"]);
    assert_eq!(code, 4, "rolled back over a hole");
}

/// Waits until the file holds the row.
fn followed(file: &Path, id: u32) {
    eventually("SQLite has followed", || {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let conn = rusqlite::Connection::open_with_flags(file, flags).unwrap();
        let found: Option<u32> =
            conn.query_row("SELECT max(id) FROM note", [], |row| row.get(0)).unwrap();
        found == Some(id)
    });
}

/// What answers to a front while PostgreSQL is an older copy of itself.
fn assert_shut(front: &crate::common::Proxy) {
    eventually("the front serves nobody", || {
        let (code, _, stderr) =
            front.psql_with(&["-v", "VERBOSITY=verbose"], "INSERT INTO note VALUES (8888, 'no')");
        code != 0 && (stderr.contains("57P03") || stderr.contains("57P01"))
    });
}

/// A proxy without a file must not serve the past that came back, whether it has seen the present or
/// is started later: SQLite may be primary, or what was acknowledged is missing.
#[test]
fn postgres_restored_behind_a_front() {
    let mut pg = Pg::start();
    let (journey, folder, _) = start(&pg);
    journey.promote();
    let front = crate::common::Proxy::front(folder.path(), &journey.url, &[]);
    eventually("the front serves", || front.psql("SELECT 1").0 == 0);
    let old = folder.path().join("data.old");
    pg.cluster.stop(false).unwrap();
    copy_folder(&pg.cluster.data(), &old);
    pg.cluster.resume().unwrap();
    eventually("PostgreSQL is back", || front.psql("SELECT 1").0 == 0);
    // A later moment of the same reign is lost.
    write(&journey, 6, 8);
    followed(&journey.proxy.file, 8);
    eventually("the front has seen it", || front.sql(COUNT) == "8");
    std::thread::sleep(std::time::Duration::from_secs(2));
    let newest = folder.path().join("data.newest");
    pg.cluster.stop(false).unwrap();
    copy_folder(&pg.cluster.data(), &newest);
    copy_folder(&old, &pg.cluster.data());
    pg.cluster.resume().unwrap();
    assert_paused(&journey, &["PostgreSQL lacks the last switch", "backup"]);
    assert_shut(&front);
    // Who is started later has no memory: the mark that the proxy with the file leaves shuts it out.
    let marked = |mark: &str| {
        let sql = format!("SELECT {mark} FROM crossfade.state");
        pg.cluster.psql(&journey.database, &sql).is_ok_and(|found| found == "t")
    };
    eventually("the past is marked", || marked("disowned"));
    let later = crate::common::Proxy::front(folder.path(), &journey.url, &[]);
    assert_shut(&later);
    drop(later);
    // The right one again, and back to SQLite.
    pg.cluster.stop(true).unwrap();
    copy_folder(&newest, &pg.cluster.data());
    pg.cluster.resume().unwrap();
    eventually("clients are served again", || front.psql("SELECT 1").0 == 0);
    eventually("by both", || journey.proxy.psql("SELECT 1").0 == 0);
    journey.await_way_back();
    journey.rollback();
    eventually("the front has seen the return", || {
        front.psql("SELECT 1").2.contains("SQLite is primary")
    });
    // The whole return is lost: PostgreSQL believes in its reign.
    pg.cluster.stop(true).unwrap();
    copy_folder(&newest, &pg.cluster.data());
    pg.cluster.resume().unwrap();
    assert_reason(&journey, "degraded", &["backup"]);
    assert_shut(&front);
    eventually("the reign is ended", || {
        let sql = "SELECT fenced FROM crossfade.state";
        pg.cluster.psql(&journey.database, sql).is_ok_and(|found| found == "t")
    });
    let later = crate::common::Proxy::front(folder.path(), &journey.url, &[]);
    assert_shut(&later);
    assert_eq!(journey.proxy.sql(COUNT), "8");
    write(&journey, 9, 9);
    assert_eq!(pg.cluster.psql(&journey.database, COUNT).unwrap(), "8");
    journey.mirror();
    journey.promote();
    eventually("the front serves the new reign", || later.psql("SELECT 1").0 == 0);
    eventually("so does the older front", || front.psql(COUNT).1 == "9");
}

/// After the end PostgreSQL is the application's own: whatever becomes of our records there.
#[test]
fn after_complete_a_restart_asks_for_nothing() {
    let pg = Pg::shared();
    let (mut journey, _folder, _) = start(pg);
    journey.promote();
    journey.await_way_back();
    journey.done(&["complete", "--yes"]);
    pg.cluster.psql(&journey.database, "DROP SCHEMA crossfade CASCADE").unwrap();
    journey.restart_with(&[]);
    assert_eq!(journey.status("phase"), "complete");
    assert_eq!(journey.proxy.sql(COUNT), "5");
    write(&journey, 6, 6);
    assert_eq!(pg.cluster.psql(&journey.database, COUNT).unwrap(), "6");
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname = 'crossfade'";
    assert_eq!(pg.cluster.psql(&journey.database, schemas).unwrap(), "0", "it was made anew");
}

/// Removes a file with all that lies beside it.
fn lose(file: &Path) {
    for end in ["", "-wal", "-shm", "-crossfade.jsonl"] {
        let mut name = file.as_os_str().to_owned();
        name.push(end);
        let _ = std::fs::remove_file(PathBuf::from(name));
    }
}

/// The volume is gone, or the path another one: a new file knows of no switch, and must not serve
/// beside the PostgreSQL that is primary. The same of a file from before Crossfade, and after the end.
#[test]
fn a_file_that_knows_of_no_switch_does_not_serve_beside_postgresql() {
    let pg = Pg::shared();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    rusqlite::Connection::open(&file).unwrap().execute_batch(TABLE).unwrap();
    let before = Backup::of(&file);
    let mut journey = Journey::start(&file, pg, &[]);
    write(&journey, 1, 5);
    journey.mirror();
    // Another file cannot serve beside a pair that is served, either.
    let other = folder.path().join("other.db");
    let second = crate::common::Proxy::on_file(&other, &["--postgres", &journey.url]);
    let refused = || second.psql("CREATE TABLE mine (id integer)");
    assert!(refused().2.contains("another proxy serves this pair"), "{:?}", refused());
    drop(second);
    journey.promote();
    write(&journey, 6, 8);
    journey.proxy.terminate();
    lose(&file);
    journey.restart_with(&[]);
    let words = &["SQLite file is older than the last switch", "is another one"];
    assert_paused(&journey, words);
    assert_eq!(journey.status("next"), "[\"crossfade status --watch\"]");
    journey.proxy.terminate();
    lose(&file);
    before.restore(&file);
    journey.restart_with(&[]);
    assert_paused(&journey, words);
    assert_eq!(pg.cluster.psql(&journey.database, COUNT).unwrap(), "8");
    // A PostgreSQL of which nobody knows more than that it was made primary is not asked to be empty.
    pg.cluster.psql(&journey.database, "DROP SCHEMA crossfade CASCADE").unwrap();
    eventually("a person has decided", || {
        journey.status("phase") == "direct" && journey.status("health") == "ok"
    });
}

/// PostgreSQL does not answer while a new file is served, and says then that it is primary.
#[test]
fn a_file_that_knows_of_no_switch_is_closed_as_soon_as_postgresql_answers() {
    let mut pg = Pg::start();
    let (mut journey, _folder, file) = start(&pg);
    journey.promote();
    journey.proxy.terminate();
    lose(&file);
    pg.cluster.stop(true).unwrap();
    journey.restart_with(&[]);
    assert_eq!(journey.status("phase"), "direct");
    pg.cluster.resume().unwrap();
    assert_paused(&journey, &["SQLite file is older than the last switch"]);
}

/// Without its PostgreSQL nobody can tell who is primary: the file says that it is not.
#[test]
fn a_file_that_has_handed_over_does_not_serve_alone() {
    let pg = Pg::shared();
    let (mut journey, _folder, file) = start(pg);
    journey.promote();
    journey.proxy.terminate();
    let alone = || {
        let file = file.to_str().unwrap();
        let all = ["run", "--auth", "trust", "--sqlite", file, "--listen", "127.0.0.1:0"];
        crate::common::crossfade(&all)
    };
    let (code, _, stderr) = alone();
    assert!(code != 0 && stderr.contains("has handed over to PostgreSQL"), "{code} {stderr}");
    assert!(stderr.contains("--postgres"), "{stderr}");
    journey.restart_with(&[]);
    journey.rollback();
    journey.proxy.terminate();
    let proxy = crate::common::Proxy::on_file(&file, &[]);
    assert_eq!(proxy.sql(COUNT), "5", "it is primary again");
}

/// Nor when it was put back beside a state file that knows of the switch: the volume of the file came
/// from a backup, and the proxy was started the old way.
#[test]
fn a_file_older_than_a_switch_does_not_serve_alone() {
    let pg = Pg::shared();
    let (mut journey, _folder, file) = start(pg);
    let before = Backup::of(&file);
    journey.promote();
    journey.proxy.terminate();
    before.restore(&file);
    let path = file.to_str().unwrap();
    let alone = ["run", "--auth", "trust", "--sqlite", path, "--listen", "127.0.0.1:0"];
    let (code, _, stderr) = crate::common::crossfade(&alone);
    assert!(code != 0 && stderr.contains("is older than the last switch"), "{code} {stderr}");
}

/// `complete` offers it: with the proxy gone the file is one like any other, and the state file beside
/// it still keeps it from being served as it is.
#[test]
fn the_file_of_a_move_that_is_over_becomes_a_plain_one() {
    let pg = Pg::shared();
    let (mut journey, _folder, file) = start(pg);
    let path = file.to_str().unwrap().to_owned();
    let clean = || crate::common::crossfade(&["complete", "--yes", "--clean", &path]);
    journey.promote();
    journey.await_way_back();
    let (code, _, stderr) = clean();
    assert!(code == 3 && stderr.contains("another crossfade proxy serves"), "{code} {stderr}");
    journey.proxy.terminate();
    let (code, _, stderr) = clean();
    assert!(code == 4 && stderr.contains("is promoted, not complete"), "{code} {stderr}");
    journey.restart_with(&[]);
    journey.await_way_back();
    let told = journey.done(&["complete", "--yes"]).to_string();
    assert!(told.contains("crossfade complete --clean"), "{told}");
    journey.proxy.terminate();
    let reader = rusqlite::Connection::open(&file).unwrap();
    // Somebody reads it: nothing is changed.
    reader.execute_batch("BEGIN; SELECT * FROM note").unwrap();
    let (code, _, stderr) = clean();
    assert!(code == 3 && stderr.contains("another program has the SQLite file open"), "{stderr}");
    reader.execute_batch("COMMIT").unwrap();
    drop(reader);
    let dry = crate::common::crossfade(&["complete", "--dry-run", "--json", "--clean", &path]);
    assert!(dry.0 == 0 && dry.1.contains("\"tables_dropped\": null"), "{dry:?}");
    let (code, stdout, stderr) = clean();
    assert!(code == 0 && stdout.contains("plain SQLite file"), "{code} {stdout} {stderr}");
    let reader = rusqlite::Connection::open(&file).unwrap();
    let text = |sql: &str| reader.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
    let tables = "SELECT group_concat(name) FROM sqlite_schema WHERE type = 'table'";
    assert_eq!(text(tables), "note");
    assert_eq!(text("PRAGMA journal_mode"), "delete");
    assert_eq!(text("PRAGMA integrity_check"), "ok");
    assert_eq!(text("SELECT count(*) || '' FROM note"), "5");
    drop(reader);
    let (code, _, stderr) = clean();
    assert!(code == 4 && stderr.contains("has no tables of Crossfade's"), "{code} {stderr}");
    let none = crate::common::crossfade(&["complete", "--yes", "--clean", "no/such.db"]);
    assert!(none.0 == 2 && none.2.contains("no/such.db"), "{none:?}");
    journey.restart_with(&[]);
    assert_paused(&journey, &["SQLite file is older than the last switch"]);
}
