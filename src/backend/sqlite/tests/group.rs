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
        // A reader may see a commit before the writer has counted it.
        let early = tokio::spawn({
            let db = db.db.clone();
            async move { db.wait_synced(last.next()).await }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!early.is_finished());
        setup(&db, "INSERT INTO t VALUES (1)").await;
        early.await.unwrap().unwrap();
        assert_eq!(count(&db, "SELECT count(*) FROM t").await, 161);
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

/// Writes 400 kB a time; the WAL's largest size on the way.
async fn write_much(db: &Sqlite, commits: usize) -> u64 {
    let sql = "INSERT OR REPLACE INTO t VALUES (abs(random()) % 500, randomblob(20000))";
    let mut largest = 0;
    for _ in 0..commits {
        let writer = db.writer(None).await.unwrap();
        for _ in 0..20 {
            writer.execute(sql, &[]).unwrap();
        }
        writer.commit().unwrap();
        largest = largest.max(db.figures().wal_bytes);
    }
    largest
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_wal_is_cut_back_and_that_is_no_foreign_write() {
    let db = fixture(Durability::Normal, 4);
    setup(&db, "CREATE TABLE t (id INTEGER PRIMARY KEY, a)").await;
    // Readers all the time, one always inside: they must not keep the WAL from being cut.
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..3)
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
    let largest = write_much(&db, 600).await;
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
    // 240 MB were written. The writer itself sees to the bound, whatever the thread gets to do;
    // each time a reader was off the processor for long there is one step more.
    assert!(largest < 128 << 20, "{largest}");
    assert_eq!(db.check_foreign().await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_stays_lets_writers_go_on_and_the_wal_is_cut_after_it() {
    let db = fixture(Durability::Normal, 4);
    setup(&db, "CREATE TABLE t (id INTEGER PRIMARY KEY, a)").await;
    write_much(&db, 1).await;
    let reader = db.reader(None).await.unwrap();
    reader.execute("BEGIN", &[]).unwrap();
    let before = reader.query_integer("SELECT count(*) FROM t", &[]).unwrap();
    assert!(write_much(&db, 250).await > 64 << 20);
    assert_eq!(reader.query_integer("SELECT count(*) FROM t", &[]).unwrap(), before);
    reader.execute("COMMIT", &[]).unwrap();
    drop(reader);
    // The thread copies first what the snapshot kept back; a slow disk may take its time over it.
    let until = Instant::now() + Duration::from_secs(60);
    while db.figures().wal_bytes >= 64 << 20 && Instant::now() < until {
        write_much(&db, 1).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let now = db.figures().wal_bytes;
    assert!(now < 64 << 20, "{now}");
    assert_eq!(db.check_foreign().await.unwrap(), 0);
}

/// A WAL of hundreds of megabytes gets back to its size in steps, while another program writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_wal_is_begun_anew_and_its_file_made_shorter() {
    let db = fixture(Durability::Normal, 4);
    setup(&db, "CREATE TABLE t (id INTEGER PRIMARY KEY, a); CREATE TABLE other (n)").await;
    let reader = db.reader(None).await.unwrap();
    reader.execute("BEGIN", &[]).unwrap();
    reader.query_integer("SELECT count(*) FROM t", &[]).unwrap();
    assert!(write_much(&db, 800).await > 300 << 20);
    reader.execute("COMMIT", &[]).unwrap();
    drop(reader);
    let other = rusqlite::Connection::open(db.db.path()).unwrap();
    other.busy_timeout(Duration::from_secs(10)).unwrap();
    let until = Instant::now() + Duration::from_secs(120);
    let (mut sizes, mut written) = (Vec::new(), 0);
    while db.figures().wal_bytes >= 64 << 20 && Instant::now() < until {
        write_much(&db, 1).await;
        written += other.execute("INSERT INTO other VALUES (randomblob(3000))", []).unwrap();
        sizes.push(db.figures().wal_bytes >> 20);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    sizes.dedup();
    assert!(db.figures().wal_bytes < 64 << 20, "{sizes:?}");
    // Never much at once.
    assert!(sizes.windows(2).all(|pair| pair[1] + 17 >= pair[0]), "{sizes:?}");
    let kept: i64 = other.query_row("SELECT count(*) FROM other", [], |row| row.get(0)).unwrap();
    assert_eq!(usize::try_from(kept), Ok(written));
    let whole: String = other.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(whole, "ok");
}

/// What a burst of writes, or a snapshot that stayed, left of the WAL goes when nobody writes any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_wal_of_an_idle_file_is_given_back() {
    for (commits, snapshot) in [(30, false), (300, true)] {
        let db = fixture(Durability::Normal, 4);
        setup(&db, "CREATE TABLE t (id INTEGER PRIMARY KEY, a)").await;
        let reader = db.reader(None).await.unwrap();
        if snapshot {
            reader.execute("BEGIN", &[]).unwrap();
            reader.query_integer("SELECT count(*) FROM t", &[]).unwrap();
        }
        let largest = write_much(&db, commits).await;
        assert!(largest > if snapshot { 100 << 20 } else { 8 << 20 }, "{largest}");
        if snapshot {
            reader.execute("COMMIT", &[]).unwrap();
        }
        drop(reader);
        let until = Instant::now() + Duration::from_secs(60);
        while db.figures().wal_bytes > 0 && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(db.figures().wal_bytes, 0);
        assert_eq!(db.check_foreign().await.unwrap(), 0);
        write_much(&db, 1).await;
        let other = rusqlite::Connection::open(db.db.path()).unwrap();
        let sound: String =
            other.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(sound, "ok");
    }
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
