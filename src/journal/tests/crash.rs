//! Crashes: copies of file and WAL at random points, and SIGKILL at every failpoint.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use super::model::Model;
use crate::backend::sqlite::tests::{Fixture, fixture};
use crate::backend::sqlite::{Durability, Options, Sqlite};
use crate::clock::Clock;
use crate::journal::{Events, Journal, Limits, Position, head, read, verify};
use crate::value::Cell;

/// Savepoints, large rows, failed statements: everything that makes parts.
async fn transaction(db: &Sqlite, i: i64) -> Position {
    let writer = db.writer(None).await.unwrap();
    let put = |size: i64| {
        let mark = writer.mark().unwrap();
        let sql = "INSERT INTO t (n, a) VALUES (?1, randomblob(?2))";
        writer.execute(sql, &[Cell::Integer(i), Cell::Integer(size)]).unwrap();
        mark
    };
    put(10 + i % 7);
    if i % 5 == 0 {
        let mark = writer.savepoint("s").unwrap();
        put(if i % 20 == 0 { 300_000 } else { 50 });
        if i % 10 == 0 {
            writer.rollback_to("s", mark).unwrap();
        }
        writer.release("s").unwrap();
    }
    if i % 4 == 3 {
        writer.execute("DELETE FROM t WHERE n = ?1", &[Cell::Integer(i - 2)]).unwrap();
    }
    let committed = writer.commit().unwrap();
    db.wait_committed(committed).await.unwrap();
    committed.position
}

const TABLE: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, n, a)";

async fn serve(path: &Path) -> (Sqlite, Journal) {
    let db = Sqlite::open(Options::new(path), Arc::new(|_| Ok(()))).unwrap();
    let journal = Journal::open(&db, Clock::system()).await.unwrap();
    (db, journal)
}

/// Whether the stock program finds the file sound; None when it is not installed.
fn stock_check(path: &Path) -> Option<String> {
    let sql = "PRAGMA integrity_check; SELECT count(*) >= 0 FROM t;";
    let output = Command::new("sqlite3").arg(path).arg(sql).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[tokio::test]
async fn any_prefix_of_the_wal_ends_in_a_whole_record() {
    let Fixture { db, dir } = fixture(Durability::Normal, 1);
    let journal = Journal::open(&db, Clock::system()).await.unwrap();
    let writer = db.writer(None).await.unwrap();
    writer.batch(TABLE).unwrap();
    writer.commit().unwrap();
    let start = journal.attach(1).await.unwrap();
    let base = std::fs::read(db.path()).unwrap();
    for i in 0..60 {
        transaction(&db, i).await;
        assert_eq!(std::fs::metadata(db.path()).unwrap().len(), base.len() as u64);
    }
    // Short enough that no checkpoint ran: every prefix of the WAL is a crash that may
    // happen, a cut inside a frame included.
    let wal = std::fs::read(db.path().with_extension("db-wal")).unwrap();
    let mut reached = std::collections::BTreeSet::new();
    let mut seed = 7usize;
    for round in 0..40 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let cut = if round == 0 { wal.len() } else { (seed >> 20) % wal.len() };
        let copy = dir.path().join(format!("copy{round}.db"));
        std::fs::write(&copy, &base).unwrap();
        std::fs::write(copy.with_extension("db-wal"), &wal[..cut]).unwrap();
        let (db, journal) = serve(&copy).await;
        let reader = db.reader(None).await.unwrap();
        let Some(head) = head(&reader).unwrap() else { continue };
        let Some(attached) = journal.head() else { continue };
        assert_eq!(head, attached);
        assert_eq!(verify(&reader, start.position.next()).unwrap().unwrap_or(start), head);
        // The data is exactly what the journal says.
        let mut model = Model::dump(&reader);
        model.0.values_mut().for_each(super::model::Table::clear);
        let limits = Limits { records: 1000, bytes: 1 << 30, until: head.position };
        for record in read(&reader, start.position.next(), limits).unwrap() {
            let Events::Loaded(events) = record.events else { panic!("not loaded") };
            model.apply(&events).unwrap();
        }
        assert_eq!(model, Model::dump(&reader));
        reached.insert(head.position);
        // And history goes on from there.
        drop(reader);
        assert_eq!(transaction(&db, 1).await, head.position.next());
    }
    assert!(reached.len() > 10, "{reached:?}");
}

#[tokio::test]
async fn the_stock_program_opens_our_files() {
    let Fixture { db, dir } = fixture(Durability::Group, 1);
    let journal = Journal::open(&db, Clock::system()).await.unwrap();
    let writer = db.writer(None).await.unwrap();
    writer.batch(TABLE).unwrap();
    writer.commit().unwrap();
    journal.attach(1).await.unwrap();
    for i in 0..30 {
        transaction(&db, i).await;
    }
    if let Some(said) = stock_check(db.path()) {
        assert_eq!(said, "ok\n1\n");
    }
    let path = db.path().to_owned();
    drop((journal, db));
    if let Some(said) = stock_check(&path) {
        assert_eq!(said, "ok\n1\n");
    }
    drop(dir);
}

/// The process that is killed; run by the test below only.
#[test]
#[ignore = "a child process of killed_at_every_failpoint"]
fn child() {
    let Some(path) = std::env::var_os("CROSSFADE_TEST_DB") else { return };
    let path = Path::new(&path);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let (db, journal) = serve(path).await;
        let writer = db.writer(None).await.unwrap();
        writer.batch(TABLE).unwrap();
        writer.commit().unwrap();
        journal.attach(1).await.unwrap();
        let mut told = std::fs::File::create(path.with_extension("told")).unwrap();
        for i in 0..40 {
            let position = transaction(&db, i).await;
            writeln!(told, "{position}").unwrap();
            if i % 15 == 14 {
                journal.trim(Position(position.0 - 5)).await.unwrap();
            }
        }
    });
}

#[test]
fn killed_at_every_failpoint() {
    let points = crate::failpoint::ALL.iter().filter(|name| {
        ["writer.", "durable.", "journal."].iter().any(|prefix| name.starts_with(prefix))
    });
    for (name, hit) in points.flat_map(|name| [(name, 1), (name, 2)]) {
        // Attaching happens once.
        if *name == "journal.attached" && hit > 1 {
            continue;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("app.db");
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "journal::tests::crash::child", "--include-ignored", "--nocapture"])
            .env("CROSSFADE_TEST_DB", &path)
            .env("CROSSFADE_FAILPOINT", format!("{name}:{hit}"))
            .stdout(std::process::Stdio::null())
            .status()
            .unwrap();
        assert_eq!(status.signal(), Some(9), "{name} was never hit");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (db, journal) = serve(&path).await;
            let reader = db.reader(None).await.unwrap();
            let told = std::fs::read_to_string(path.with_extension("told")).unwrap_or_default();
            let told = told.lines().filter_map(|l| l.parse().ok()).max().unwrap_or(0);
            let last = journal.head().map_or(Position(0), |head| head.position);
            assert!(last >= Position(told), "{name}: {told} was told, {last} is there");
            if let Some(mark) = crate::journal::read::trim_mark(&reader).unwrap() {
                let verified = verify(&reader, mark.position.next()).unwrap().unwrap_or(mark);
                assert_eq!(Some(verified), journal.head(), "{name}");
            }
        });
        if let Some(said) = stock_check(&path).filter(|_| path.with_extension("told").exists()) {
            assert_eq!(said, "ok\n1\n", "{name}");
        }
    }
}
