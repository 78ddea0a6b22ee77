//! The writer: one at a time, fair, free again at once.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn read_modify_write_of_many_tasks_loses_nothing() {
    let db = fixture(Durability::Normal, 4);
    setup(&db, "CREATE TABLE t (id INTEGER PRIMARY KEY, n); INSERT INTO t VALUES (1, 0)").await;
    let mut tasks = Vec::new();
    for task in 0..32 {
        let db = db.db.clone();
        tasks.push(tokio::spawn(async move {
            let mut longest = Duration::ZERO;
            for i in 0..50 {
                let start = Instant::now();
                let writer = db.writer(None).await.unwrap();
                longest = longest.max(start.elapsed());
                blocking(|| {
                    let n = writer.query_integer("SELECT n FROM t WHERE id = 1", &[]).unwrap();
                    let n = Cell::Integer(n.unwrap() + 1);
                    writer.execute("UPDATE t SET n = ?1 WHERE id = 1", &[n]).unwrap();
                    match (task + i) % 10 {
                        // A vanished client: the transaction never was.
                        0 => drop(writer),
                        _ => drop(writer.commit().unwrap()),
                    }
                });
            }
            longest
        }));
    }
    for task in tasks {
        let longest = task.await.unwrap();
        assert!(longest < Duration::from_secs(10), "waited {longest:?}");
    }
    assert_eq!(count(&db, "SELECT n FROM t").await, 32 * 45);
    assert_eq!(db.figures().writers_waiting, 0);
    assert_eq!(db.figures().retired, 0);
}

#[tokio::test]
async fn deadline_gives_55p03_and_a_dropped_writer_frees_the_turn() {
    let db = fixture(Durability::Normal, 1);
    setup(&db, "CREATE TABLE t (a)").await;
    let before = db.position();
    let writer = db.writer(None).await.unwrap();
    assert_eq!(writer.position(), before.next());
    writer.execute("INSERT INTO t VALUES (1)", &[]).unwrap();
    let error = db.writer(soon(20)).await.err().unwrap();
    assert_eq!(error.sqlstate(), state::LOCK_NOT_AVAILABLE);
    assert_eq!(db.figures().writers_waiting, 0);
    drop(writer);
    let writer = db.writer(soon(1000)).await.unwrap();
    assert_eq!(writer.position(), before.next(), "the position is free again");
    assert_eq!(writer.query_integer("SELECT count(*) FROM t", &[]).unwrap(), Some(0));
}

#[tokio::test]
async fn deferred_constraint_at_commit_rolls_back() {
    let db = fixture(Durability::Normal, 1);
    setup(
        &db,
        "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c \
         (p INTEGER REFERENCES p DEFERRABLE INITIALLY DEFERRED)",
    )
    .await;
    let writer = db.writer(None).await.unwrap();
    writer.execute("INSERT INTO c VALUES (1)", &[]).unwrap();
    let error = writer.commit().unwrap_err();
    assert_eq!(error.sqlstate(), state::FOREIGN_KEY_VIOLATION);
    assert_eq!(count(&db, "SELECT count(*) FROM c").await, 0);
    db.writer(soon(100)).await.unwrap();
}

#[tokio::test]
async fn writer_with_a_statement_still_open_does_not_harm_the_next() {
    let db = fixture(Durability::Normal, 1);
    setup(&db, "CREATE TABLE t (a); INSERT INTO t VALUES (1), (2)").await;
    for round in 1..4 {
        let writer = db.writer(None).await.unwrap();
        writer.execute("INSERT INTO t VALUES (3)", &[]).unwrap();
        let mut open = writer.prepare("SELECT a FROM t").unwrap();
        assert!(open.step().unwrap());
        writer.commit().unwrap();
        setup(&db, "INSERT INTO t VALUES (4)").await;
        assert_eq!(count(&db, "SELECT count(*) FROM t").await, 2 + 2 * round);
        assert!(open.step().is_err());
    }
    assert_eq!(db.figures().retired, 3);
}

#[tokio::test]
async fn a_session_writes_on_its_own_connection_in_turn() {
    let db = fixture(Durability::Normal, 2);
    setup(&db, "CREATE TABLE t (a)").await;
    let own = db.dedicated().unwrap();
    own.batch("CREATE TEMP TABLE scratch (a); INSERT INTO scratch VALUES (5)").unwrap();
    let writer = db.writer_on(&own, None).await.unwrap();
    assert!(db.writer(soon(10)).await.is_err());
    writer.execute("INSERT INTO t SELECT a FROM scratch", &[]).unwrap();
    writer.commit().unwrap();
    // A snapshot that others have overtaken cannot write.
    own.execute("BEGIN", &[]).unwrap();
    assert_eq!(own.query_integer("SELECT count(*) FROM t", &[]).unwrap(), Some(1));
    setup(&db, "INSERT INTO t VALUES (6)").await;
    let writer = db.writer_on(&own, None).await.unwrap();
    let error = writer.execute("INSERT INTO t VALUES (7)", &[]).unwrap_err();
    assert_eq!(error.sqlstate(), state::SERIALIZATION_FAILURE);
    drop(writer);
    assert!(!own.in_transaction());
    assert_eq!(count(&db, "SELECT count(*) FROM t").await, 2);
    // None of this was foreign.
    assert_eq!(db.check_foreign().await.unwrap(), 0);
}

#[tokio::test]
async fn foreign_writers_are_waited_for_and_counted() {
    let db = fixture(Durability::Normal, 1);
    setup(&db, "CREATE TABLE t (a)").await;
    assert_eq!(db.check_foreign().await.unwrap(), 0);
    let foreign = rusqlite::Connection::open(db.path()).unwrap();
    foreign.execute_batch("BEGIN IMMEDIATE; INSERT INTO t VALUES (1)").unwrap();
    let error = db.writer(soon(50)).await.err().unwrap();
    assert_eq!(error.sqlstate(), state::LOCK_NOT_AVAILABLE);
    let waiting = tokio::spawn({
        let db = db.db.clone();
        async move { db.writer(None).await.map(|w| w.query_integer("SELECT count(*) FROM t", &[])) }
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    foreign.execute_batch("COMMIT").unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().unwrap(), Some(1));
    assert_eq!(db.check_foreign().await.unwrap(), 1);
    assert_eq!(db.check_foreign().await.unwrap(), 1);
}

#[tokio::test]
async fn a_second_proxy_is_refused_under_any_name() {
    let db = fixture(Durability::Normal, 1);
    let link = db.dir.path().join("link.db");
    std::os::unix::fs::symlink(db.path(), &link).unwrap();
    for path in [db.path().to_owned(), link] {
        let error = Sqlite::open(Options::new(path), Arc::new(|_| Ok(()))).err().unwrap();
        assert_eq!(error.sqlstate(), state::OBJECT_IN_USE);
    }
    let Fixture { db, dir } = db;
    let path = db.path().to_owned();
    assert_eq!(db.opened(), Opened { created: true, switched_to_wal: true });
    drop(db);
    let again = Sqlite::open(Options::new(path), Arc::new(|_| Ok(()))).unwrap();
    assert_eq!(again.opened(), Opened { created: false, switched_to_wal: false });
    drop((again, dir));
}

#[test]
fn a_file_held_by_others_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("held.db");
    let foreign = rusqlite::Connection::open(&path).unwrap();
    foreign.execute_batch("CREATE TABLE t (a); BEGIN EXCLUSIVE").unwrap();
    let mut options = Options::new(&path);
    options.busy_timeout = Duration::from_millis(120);
    let error = Sqlite::open(options, Arc::new(|_| Ok(()))).err().unwrap();
    assert_eq!(error.sqlstate(), state::OBJECT_IN_USE);
    foreign.execute_batch("COMMIT").unwrap();
}
