//! Durability and upkeep.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn durable_follows_every_commit_in_every_mode() {
    for durability in [Durability::Full, Durability::Group, Durability::Normal] {
        let db = fixture(durability, 2);
        setup(&db, "CREATE TABLE t (a)").await;
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let db = db.db.clone();
                tokio::spawn(async move {
                    for _ in 0..20 {
                        let writer = db.writer(None).await.unwrap();
                        writer.execute("INSERT INTO t VALUES (1)", &[]).unwrap();
                        let committed = writer.commit().unwrap();
                        db.wait_committed(committed).await.unwrap();
                        if durability != Durability::Normal {
                            assert!(db.durable() >= committed.position);
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let last = db.position();
        db.wait_durable(last).await.unwrap();
        db.wait_synced(last).await.unwrap();
        assert_eq!(db.durable(), last);
        assert!(db.wait_synced(last.next()).await.is_err());
        assert_eq!(count(&db, "SELECT count(*) FROM t").await, 160);
    }
}

#[tokio::test]
async fn watermark_moves_without_anyone_waiting() {
    let db = fixture(Durability::Normal, 1);
    let mut changes = db.durable_changes();
    setup(&db, "CREATE TABLE t (a)").await;
    let position = tokio::time::timeout(Duration::from_secs(10), changes.next()).await.unwrap();
    assert_eq!(position, Some(db.position()));
    drop(db);
    assert_eq!(changes.next().await, None);
}

#[ignore = "needs an otherwise idle machine: maintenance must get its turn"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_wal_is_cut_back_and_that_is_no_foreign_write() {
    let db = fixture(Durability::Normal, 4);
    setup(&db, "CREATE TABLE t (id INTEGER PRIMARY KEY, a)").await;
    // Readers all the time: they must not keep the WAL from starting anew.
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (db, stop) = (db.db.clone(), stop.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    count(&db, "SELECT count(*) FROM t WHERE id < 100").await;
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let start = Instant::now();
    let mut largest = 0;
    loop {
        let writer = db.writer(None).await.unwrap();
        let sql = "INSERT OR REPLACE INTO t VALUES (abs(random()) % 500, randomblob(20000))";
        for _ in 0..20 {
            writer.execute(sql, &[]).unwrap();
        }
        writer.commit().unwrap();
        let bytes = db.figures().wal_bytes;
        largest = largest.max(bytes);
        // Started anew: the file no longer grows although far more was written.
        if start.elapsed() > Duration::from_secs(4) || db.position().0 > 600 {
            break;
        }
    }
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
    let written = db.position().0 * 20 * 20_000;
    assert!(written < (128 << 20) || largest < (160 << 20), "{largest} of {written}");
    assert_eq!(db.check_foreign().await.unwrap(), 0);
}

#[tokio::test]
async fn readers_see_the_latest_commit_and_snapshots_stand_still() {
    let db = fixture(Durability::Group, 2);
    setup(&db, "CREATE TABLE t (a)").await;
    let reader = db.reader(None).await.unwrap();
    reader.execute("BEGIN", &[]).unwrap();
    let sql = "SELECT count(*) FROM t";
    assert_eq!(reader.query_integer(sql, &[]).unwrap(), Some(0));
    setup(&db, "INSERT INTO t VALUES (1)").await;
    assert_eq!(reader.query_integer(sql, &[]).unwrap(), Some(0));
    assert_eq!(count(&db, sql).await, 1);
    reader.execute("COMMIT", &[]).unwrap();
    assert_eq!(reader.query_integer(sql, &[]).unwrap(), Some(1));
}
