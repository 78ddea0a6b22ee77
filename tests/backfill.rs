//! Backfill: real files, odd values, crashes, tables that are there already.

use std::process::Command;

use crate::common::{Journey, Pair, Pg, Proxy, eventually, sample};
use crossfade::backfill::Summary;
use crossfade::verify;

/// A file with something of everything, for machines without the collection.
const SMALL: &str = "
    CREATE TABLE artist(id INTEGER PRIMARY KEY AUTOINCREMENT, name VARCHAR(120) NOT NULL UNIQUE);
    CREATE TABLE album(id INTEGER PRIMARY KEY, title TEXT DEFAULT 'none', price NUMERIC(10,2),
      at DATETIME, artist_id INTEGER NOT NULL REFERENCES artist(id) ON DELETE CASCADE, cover BLOB,
      CHECK (price >= 0));
    CREATE INDEX by_title ON album(title);
    CREATE TABLE tag(album INTEGER, word TEXT, PRIMARY KEY(album, word)) WITHOUT ROWID;
    CREATE TABLE log(line TEXT, n REAL);
    INSERT INTO artist VALUES (1, 'Ärger'), (2, 'b'), (900, 'gone');
    DELETE FROM artist WHERE id = 900;
    INSERT INTO album VALUES (1, 'one', 9.99, '2021-03-04 05:06:07', 1, x'00ff'),
      (2, NULL, NULL, NULL, 2, NULL);
    INSERT INTO tag VALUES (1, 'x'), (1, 'Y'), (2, 'x');
    INSERT INTO log VALUES ('same', 0.1), ('same', 0.1), (NULL, -1e300);
";

async fn file(name: &str) -> Pair {
    match sample(name) {
        Some(path) => Pair::of_copy(&path).await,
        None => Pair::of_sql(SMALL).await,
    }
}

fn assert_whole(summary: &Summary) {
    assert!(summary.complete, "{summary:#?}");
    for table in &summary.tables {
        assert_eq!(table.error, None, "{table:?}");
        assert_eq!(table.read, table.written + table.left_out, "{table:?}");
    }
}

async fn assert_clean(pair: &Pair) {
    let reports = verify::run(&pair.cuts(), &pair.store, &[], &|_| {}).await.unwrap();
    assert!(!reports.is_empty());
    for report in &reports {
        assert!(report.is_clean(), "{report:#?}");
    }
}

async fn copies_cleanly(name: &str) {
    let pair = file(name).await;
    let summary = pair.backfill().await;
    assert_whole(&summary);
    let left_out: u64 = summary.tables.iter().map(|t| t.left_out + t.nulled).sum();
    assert_eq!(left_out, 0, "{summary:#?}");
    let blocking: Vec<_> = summary.findings.iter().filter(|f| f.blocking).collect();
    assert!(blocking.is_empty(), "{blocking:#?}");
    assert_clean(&pair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chinook() {
    copies_cleanly("chinook.sqlite").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chinook_snake() {
    copies_cleanly("chinook_snake.db").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jupyterhub() {
    copies_cleanly("jupyterhub.sqlite").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mlflow() {
    copies_cleanly("mlflow.sqlite").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_small_file_in_detail() {
    let pair = Pair::of_sql(SMALL).await;
    let summary = pair.backfill().await;
    assert_whole(&summary);
    assert_clean(&pair).await;
    // The highest value ever issued, not the highest there is.
    assert_eq!(pair.psql("INSERT INTO artist(name) VALUES ('new') RETURNING id"), "901");
    assert_eq!(pair.psql("INSERT INTO album(artist_id) VALUES (1) RETURNING id, title"), "3|none");
    let constraints = pair.psql(
        "SELECT contype::text || ':' || convalidated FROM pg_constraint \
         WHERE conrelid = 'album'::regclass ORDER BY 1",
    );
    assert_eq!(constraints, "c:true\nf:true\np:true");
    assert_eq!(pair.psql("SELECT count(*) FROM pg_indexes WHERE indexname = 'by_title'"), "1");
    assert_eq!(pair.psql("SELECT length(cover) FROM album WHERE id = 1"), "2");
    let state = pair.psql("SELECT position, length(lineage), length(hash) FROM crossfade.state");
    assert_eq!(state, format!("{}|16|32", summary.head.position));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_in_quarantine() {
    let pair = Pair::of_sql(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b TEXT NOT NULL);
         CREATE TABLE keyless(a TEXT);",
    )
    .await;
    // Written after the types were chosen, as a foreign program might.
    pair.write("INSERT INTO t VALUES (1, 'good', 'good')").await;
    pair.write("INSERT INTO t VALUES (2, 'a' || char(0) || 'b', 'good')").await;
    pair.write("INSERT INTO t VALUES (3, 'good', CAST(x'ff' AS TEXT))").await;
    pair.write("INSERT INTO keyless VALUES ('x'), ('x'), (CAST(x'c3' AS TEXT))").await;
    let summary = pair.backfill().await;
    assert_whole(&summary);
    let of = |name: &str| summary.tables.iter().find(|t| t.table == name).unwrap().clone();
    assert_eq!((of("t").written, of("t").nulled, of("t").left_out), (2, 1, 1));
    assert_eq!((of("keyless").written, of("keyless").nulled), (3, 1));
    assert_eq!(pair.psql("SELECT id, a IS NULL FROM t ORDER BY id"), "1|f\n2|t");
    assert_eq!(
        pair.psql(
            "SELECT row_key, column_name, class, encode(bytes, 'hex') FROM crossfade.quarantine \
             WHERE table_name = 't' ORDER BY row_key, column_name"
        ),
        "{\"id\":\"2\"}|a|text|610062\n{\"id\":\"3\"}||row|\n\
         {\"id\":\"3\"}|a|text|676f6f64\n{\"id\":\"3\"}|b|text|ff\n{\"id\":\"3\"}|id|integer|33"
    );
    let reports = verify::run(&pair.cuts(), &pair.store, &[], &|_| {}).await.unwrap();
    for report in &reports {
        assert!(report.is_clean() && report.accepted > 0, "{report:#?}");
    }
    // Not named any more, it differs.
    pair.psql("DELETE FROM crossfade.quarantine");
    let reports = verify::run(&pair.cuts(), &pair.store, &[], &|_| {}).await.unwrap();
    let differing: u64 = reports.iter().map(|r| r.differing).sum();
    assert_eq!(differing, 4, "{reports:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_postgresql_refuses_does_not_take_others_along() {
    let pair = Pair::of_sql(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER);
         WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 2000)
         INSERT INTO t SELECT i, i FROM c;",
    )
    .await;
    pair.psql("CREATE TABLE t(id bigint PRIMARY KEY, n bigint CHECK (n % 500 <> 7))");
    let summary = pair.backfill().await;
    assert_whole(&summary);
    assert_eq!((summary.tables[0].written, summary.tables[0].left_out), (1996, 4));
    assert_eq!(pair.psql("SELECT count(*), count(*) FILTER (WHERE n % 500 = 7) FROM t"), "1996|0");
    let named = pair.psql(
        "SELECT string_agg(row_key, ',' ORDER BY id) FROM crossfade.quarantine \
         WHERE column_name = ''",
    );
    assert_eq!(named, "{\"id\":\"7\"},{\"id\":\"507\"},{\"id\":\"1007\"},{\"id\":\"1507\"}");
    assert_clean(&pair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_the_application() {
    let sql = "CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER, at TEXT);
               INSERT INTO t VALUES (1, 7, 'x')";
    // Rows of others are never touched.
    let pair = Pair::of_sql(sql).await;
    pair.psql(
        "CREATE TABLE t(id int PRIMARY KEY, n int, at text); INSERT INTO t VALUES (5, 5, '')",
    );
    let error = pair.try_backfill(&[]).await.unwrap_err();
    assert_eq!(error.sqlstate().as_str(), "55000");
    assert_eq!(pair.psql("SELECT id FROM t"), "5");
    // A column is missing.
    let pair = Pair::of_sql(sql).await;
    pair.psql("CREATE TABLE t(id int PRIMARY KEY, n int)");
    let summary = pair.try_backfill(&[]).await.unwrap();
    let said = summary.tables[0].error.as_deref().unwrap_or_default();
    assert!(said.contains("column \"at\" is in the way"), "{summary:?}");
    // A type that takes other values: the one that does not fit goes to the quarantine.
    let pair = Pair::of_sql(sql).await;
    pair.psql("CREATE TABLE t(id int PRIMARY KEY, n int, at timestamptz)");
    let summary = pair.try_backfill(&[]).await.unwrap();
    assert_whole(&summary);
    assert_eq!((summary.tables[0].written, summary.tables[0].nulled), (1, 1));
    assert_clean(&pair).await;
    // Narrower types, other order, a column of its own: accepted.
    let pair = Pair::of_sql(sql).await;
    pair.psql(
        "CREATE TABLE t(at varchar(10), id int GENERATED ALWAYS AS IDENTITY, n smallint, \
         own int DEFAULT 3)",
    );
    let summary = pair.backfill().await;
    assert_whole(&summary);
    assert_eq!(pair.psql("SELECT * FROM t"), "x|1|7|3");
    assert_eq!(pair.psql("INSERT INTO t(n) VALUES (1) RETURNING id"), "2");
    assert_eq!(pair.psql("DELETE FROM t WHERE id = 2 RETURNING id"), "2");
    assert_clean(&pair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_keeps_what_has_not_changed() {
    let pair = Pair::of_sql(SMALL).await;
    let some = ["artist".to_owned(), "log".to_owned()];
    let first = pair.try_backfill(&some).await.unwrap();
    assert!(!first.complete);
    assert_eq!(pair.psql("SELECT lineage IS NULL FROM crossfade.state"), "t");
    pair.write("INSERT INTO log VALUES ('later', 1)").await;
    let second = pair.backfill().await;
    assert!(second.complete, "{second:#?}");
    let kept: Vec<(&str, bool)> =
        second.tables.iter().map(|t| (t.table.as_str(), t.kept)).collect();
    for (table, kept) in kept {
        assert_eq!(kept, table == "artist", "{table}");
    }
    assert_clean(&pair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgresql_that_was_primary_is_not_overwritten() {
    let pair = Pair::of_sql(SMALL).await;
    pair.backfill().await;
    pair.psql("INSERT INTO crossfade.epochs(epoch, record) VALUES (2, 'decided')");
    let error = pair.try_backfill(&[]).await.unwrap_err();
    assert!(error.message().contains("made primary"), "{error}");
    pair.psql("INSERT INTO crossfade.epochs(epoch, record) VALUES (3, 'returned')");
    assert!(pair.backfill().await.complete);
}

/// Every row is on the other side or named in the quarantine, whatever is stored.
#[tokio::test(flavor = "multi_thread")]
async fn anomalies() {
    let Some(script) = sample("make_anomalies.py") else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("anomalies.db");
    let made = Command::new("python3").arg(script).arg(&path).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let pair = Pair::of_copy(&path).await;
    let summary = pair.backfill().await;
    let refused: Vec<&str> =
        summary.tables.iter().filter(|t| t.error.is_some()).map(|t| t.table.as_str()).collect();
    assert_eq!(refused, ["a39_wide"], "{summary:#?}");
    assert!(summary.complete, "{summary:#?}");
    for table in &summary.tables {
        assert_eq!(table.read, table.written + table.left_out, "{table:?}");
        let named = pair.psql(&format!(
            "SELECT count(*) FROM crossfade.quarantine WHERE table_name = '{}' \
             AND column_name = ''",
            table.table.replace('\'', "''")
        ));
        if table.error.is_none() {
            assert_eq!(named, table.left_out.to_string(), "{table:?}");
        }
    }
    // What of the declarations is not there is named, and nothing else is left off.
    let mut missing: Vec<String> = summary
        .findings
        .iter()
        .filter(|f| f.missing != crossfade::backfill::schema::Missing::Nothing)
        .map(|f| format!("{} {}", f.table, f.object))
        .collect();
    missing.sort_unstable();
    let wanted = [
        "a13_missing foreign key (g)",
        "a13_typemix foreign key (pid)",
        "a14_idx index \"a14_json\"",
        "a15_dangling view",
        "a15_loose view",
        "a16_v trigger \"a16_io\"",
        "a20_json check \"a20_json_jt_check\"",
        "a24_chk check \"a24_chk_f_check\"",
        "a27_fts virtual table",
        "a27_rtree virtual table",
        "a33_uniq unique (k)",
        "a38_broken NOT NULL of column \"nn\"",
    ];
    assert_eq!(missing, wanted);
    // What SQLite keeps in a REAL because it is no INTEGER any more, digit by digit.
    let exact = "SELECT i, u FROM a05_big WHERE id = 4";
    assert_eq!(pair.psql(exact), "9223372036854775808|18446744073709551616");
    assert_eq!(pair.psql("SELECT up FROM a12_gen WHERE id = 1"), "2X3");
    let reports = verify::run(&pair.cuts(), &pair.store, &[], &|_| {}).await.unwrap();
    for report in &reports {
        let refused = report.table == "a39_wide";
        assert_eq!(report.error.is_some(), refused, "{report:#?}");
        assert_eq!(report.differing, 0, "{report:#?}");
    }
}

/// Tables and stretches side by side are the same copy.
#[tokio::test(flavor = "multi_thread")]
async fn several_workers_copy_the_same() {
    let mut pair = Pair::of_sql(
        "CREATE TABLE big(id INTEGER PRIMARY KEY, n INTEGER, t TEXT);
         WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 5000)
         INSERT INTO big SELECT i * 3 - 700, i, 'x' || i FROM c;
         CREATE TABLE keyless(n INTEGER, t TEXT);
         INSERT INTO keyless SELECT n % 5, 'same' FROM big;
         CREATE TABLE empty(id INTEGER PRIMARY KEY);
         CREATE TABLE far(id INTEGER PRIMARY KEY); INSERT INTO far VALUES (-9223372036854775808), (9223372036854775807);
         CREATE TABLE child(id INTEGER PRIMARY KEY, p INTEGER REFERENCES big(id));
         INSERT INTO child SELECT n, id FROM big;",
    )
    .await;
    pair.workers = crossfade::backfill::Workers { count: 3, stretch: 700 };
    // What does not fit is named, in whichever stretch it is.
    pair.write("UPDATE big SET t = 'a' || char(0) WHERE n IN (3, 4999)").await;
    let summary = pair.backfill().await;
    assert_whole(&summary);
    let big = summary.tables.iter().find(|t| t.table == "big").unwrap();
    assert_eq!((big.read, big.written, big.nulled), (5000, 5000, 2));
    assert_eq!(pair.psql("SELECT count(*) FROM crossfade.quarantine"), "2");
    assert_eq!(
        pair.psql("SELECT rows, complete FROM crossfade.backfill WHERE table_name = 'big'"),
        "5000|t"
    );
    assert_clean(&pair).await;
    // Unchanged since, all of it is kept by a run that goes on, and nothing by another.
    let again = pair.backfill().await;
    assert!(again.tables.iter().all(|t| t.kept), "{again:#?}");
    pair.resume = false;
    let anew = pair.backfill().await;
    assert_whole(&anew);
    assert!(anew.tables.iter().all(|t| !t.kept), "{anew:#?}");
    assert_clean(&pair).await;
}

/// A row that PostgreSQL refuses in one stretch takes neither its own nor the others along.
#[tokio::test(flavor = "multi_thread")]
async fn a_stretch_with_a_refused_row() {
    let mut pair = Pair::of_sql(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER);
         WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 2000)
         INSERT INTO t SELECT i, i FROM c;",
    )
    .await;
    pair.workers = crossfade::backfill::Workers { count: 2, stretch: 500 };
    pair.psql("CREATE TABLE t(id bigint PRIMARY KEY, n bigint CHECK (n <> 777))");
    let summary = pair.backfill().await;
    assert_whole(&summary);
    assert_eq!((summary.tables[0].written, summary.tables[0].left_out), (1999, 1));
    assert_clean(&pair).await;
}

/// Killed again and again, at no moment in particular, copy and verify go on and end clean.
#[test]
fn killed_twenty_times() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let sql =
        "CREATE TABLE small(id INTEGER PRIMARY KEY, t TEXT); INSERT INTO small VALUES (1, 'x');
        CREATE TABLE big(id INTEGER PRIMARY KEY, n INTEGER, t TEXT);
        WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 20000)
        INSERT INTO big SELECT i, i % 7, hex(randomblob(20)) FROM c;
        CREATE TABLE keyless(n INTEGER, t TEXT);
        INSERT INTO keyless SELECT n, 'same' FROM big LIMIT 3000;";
    rusqlite::Connection::open(&file).unwrap().execute_batch(sql).unwrap();
    let database = Pg::shared().database("killed_often");
    let url = Pg::shared().cluster.url(&database);
    let mut proxy = Proxy::on_file(&file, &["--postgres", &url]);
    let mut written = 0;
    // Twenty of each where somebody has the time for it.
    let rounds = std::env::var("KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(10_u64);
    for round in 0..2 * rounds {
        let verb = if round < rounds { "backfill" } else { "verify" };
        if round == rounds {
            let (code, out, err) = proxy.cli(&["backfill"]);
            assert_eq!(code, 0, "{out}{err}\n{}", proxy.log());
        }
        std::thread::scope(|scope| {
            let order = scope.spawn(|| proxy.cli(&[verb]));
            proxy.sql("INSERT INTO keyless VALUES (1, 'more')");
            written += 1;
            // Each time a little later, so that every part of the work is met.
            std::thread::sleep(std::time::Duration::from_millis(25 * (round % 10)));
            proxy.signal_kill();
            drop(order.join().unwrap());
        });
        eventually("the proxy was killed", || !proxy.is_running());
        proxy.restart();
    }
    let (code, out, err) = proxy.cli(&["backfill"]);
    assert_eq!(code, 0, "{out}{err}\n{}", proxy.log());
    let (code, out, err) = proxy.cli(&["verify"]);
    assert_eq!(code, 0, "{out}{err}\n{}", proxy.log());
    let there = Pg::shared()
        .cluster
        .psql(&database, "SELECT (SELECT count(*) FROM big), (SELECT count(*) FROM keyless)");
    assert_eq!(there.unwrap(), format!("20000|{}", 3000 + written));
}

/// Killed at any step of a backfill under writes, a restart and a second run end whole.
#[test]
fn killed_at_every_step() {
    for failpoint in crossfade::failpoint::ALL.iter().filter(|f| f.starts_with("backfill.")) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("app.db");
        rusqlite::Connection::open(&file).unwrap().execute_batch(SMALL).unwrap();
        let database = Pg::shared().database("killed");
        let url = Pg::shared().cluster.url(&database);
        let arguments = ["--postgres", &url];
        let envs = [("CROSSFADE_FAILPOINT", *failpoint)];
        let mut proxy = Proxy::on_file_with(&file, &arguments, &envs);
        let (code, _, _) = proxy.cli(&["backfill"]);
        assert_ne!(code, 0, "{failpoint}");
        eventually("the proxy was killed", || !proxy.is_running());
        proxy.restart();
        proxy.sql("INSERT INTO log VALUES ('after the crash', 2)");
        let (code, out, err) = proxy.cli(&["backfill"]);
        assert_eq!(code, 0, "{failpoint}: {out}{err}\n{}", proxy.log());
        proxy.sql("INSERT INTO artist(name) VALUES ('after the copy')");
        let (code, out, err) = proxy.cli(&["verify"]);
        assert_eq!(code, 0, "{failpoint}: {out}{err}\n{}", proxy.log());
        let there = Pg::shared()
            .cluster
            .psql(&database, "SELECT (SELECT count(*) FROM log), (SELECT count(*) FROM artist)");
        assert_eq!(there.unwrap(), "4|3", "{failpoint}");
    }
}

/// Tables that a backfill has kept.
fn kept(task: &serde_json::Value) -> Vec<String> {
    let tables = task["tables"].as_array().unwrap().iter();
    let kept = tables.filter(|t| t["kept"] == true);
    kept.map(|t| t["table"].as_str().unwrap().to_owned()).collect()
}

const TWO: &str = "
    CREATE TABLE a(id INTEGER PRIMARY KEY, v TEXT); INSERT INTO a VALUES (1, 'a'), (2, 'b');
    CREATE TABLE b(id INTEGER PRIMARY KEY, v TEXT); INSERT INTO b VALUES (1, 'c'), (2, 'd');";

fn two(envs: &[(&str, &str)]) -> (tempfile::TempDir, Journey) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    rusqlite::Connection::open(&file).unwrap().execute_batch(TWO).unwrap();
    let journey = Journey::start(&file, Pg::shared(), envs);
    (folder, journey)
}

/// A copy that is finished is made anew; `--resume` keeps what nothing speaks against.
#[test]
fn ordered_again_it_copies_anew_what_may_be_wrong() {
    let (folder, journey) = two(&[("CROSSFADE_MIRROR_QUIET_MS", "100")]);
    let there = |sql: &str| Pg::shared().cluster.psql(&journey.database, sql).unwrap();
    let whole = || there("SELECT string_agg(v, '' ORDER BY id) FROM (TABLE a UNION ALL TABLE b) t");
    journey.mirror();
    // Behind the mirror's back, and nobody has looked yet.
    there("DELETE FROM a WHERE id = 1; TRUNCATE b");
    assert_eq!(kept(&journey.done(&["backfill"])), Vec::<String>::new());
    assert_eq!(whole().len(), 4);
    journey.await_status("phase", "mirroring");
    journey.done(&["verify"]);
    assert_eq!(kept(&journey.done(&["backfill", "--resume"])), ["a", "b"]);
    journey.await_status("phase", "mirroring");
    // An open divergence is a reason, for its table.
    there("UPDATE b SET v = 'evil' WHERE id = 1");
    assert_eq!(journey.order(&["verify"]).0, 1);
    let task = journey.done(&["backfill", "--resume"]);
    assert_eq!(kept(&task), ["a"]);
    assert!(format!("{task}").contains("is open"), "{task}");
    journey.await_status("phase", "mirroring");
    journey.done(&["verify"]);
    // What another program wrote is in no journal.
    let foreign = rusqlite::Connection::open(folder.path().join("app.db")).unwrap();
    foreign.execute("UPDATE a SET v = 'x' WHERE id = 2", []).unwrap();
    let task = journey.done(&["backfill", "--resume"]);
    assert_eq!(kept(&task), Vec::<String>::new());
    assert!(format!("{task}").contains("another program"), "{task}");
    assert_eq!(there("SELECT v FROM a WHERE id = 2"), "x");
    journey.await_status("phase", "mirroring");
    // The copy has it now.
    assert_eq!(kept(&journey.done(&["backfill", "--resume"])), ["a", "b"]);
    journey.await_status("phase", "mirroring");
    // Only the one that is named.
    there("TRUNCATE b; DELETE FROM a");
    assert_eq!(kept(&journey.done(&["backfill", "--tables", "b"])), Vec::<String>::new());
    assert_eq!(there("SELECT count(*) FROM a") + &there("SELECT count(*) FROM b"), "02");
}

/// A copy anew that ends in the middle is gone on with, and keeps nothing from before it.
#[test]
fn a_copy_anew_that_is_killed_goes_on() {
    let (_folder, mut journey) = two(&[]);
    journey.mirror();
    let database = journey.database.clone();
    let there = |sql: &str| Pg::shared().cluster.psql(&database, sql).unwrap();
    there("DELETE FROM a; DELETE FROM b");
    journey.proxy.terminate();
    journey.proxy.restart_with(&[
        ("CROSSFADE_FAILPOINT", "backfill.table_copied"),
        ("CROSSFADE_MIRROR_COPY_WORKERS", "1"),
    ]);
    journey.await_status("phase", "mirroring");
    assert_ne!(journey.order(&["backfill"]).0, 0);
    eventually("the proxy was killed", || !journey.proxy.is_running());
    journey.proxy.restart();
    let task = journey.done(&["backfill"]);
    assert_eq!(kept(&task), ["a"], "{task}");
    assert_eq!(there("SELECT count(*) FROM a") + &there("SELECT count(*) FROM b"), "22");
    journey.await_status("phase", "mirroring");
    journey.done(&["verify"]);
}

/// A table that somebody has renamed on PostgreSQL is found by its number, and named.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_was_renamed_there_is_named() {
    let pair = Pair::of_sql(
        "CREATE TABLE a(id INTEGER PRIMARY KEY, v TEXT); INSERT INTO a VALUES (1, 'x')",
    )
    .await;
    assert_whole(&pair.backfill().await);
    pair.psql("ALTER TABLE a RENAME TO a_old");
    let summary = pair.backfill().await;
    let error = summary.tables[0].error.as_deref().unwrap();
    assert!(error.contains("made there is a_old now: give it its name back"), "{error}");
    pair.psql("ALTER TABLE a_old RENAME TO a");
    assert_whole(&pair.backfill().await);
    assert_clean(&pair).await;
}
