//! Verify and repair: planted differences are found, shown and repaired.

use crate::common::Pair;
use crossfade::divergence::changed::Part;
use crossfade::divergence::{GroupState, KeepValues, Store};
use crossfade::value::Cell;
use crossfade::verify::{self, AtCut, BoxFuture, Cut, Kind, Still, What};
use crossfade::{backfill, divergence};
use std::sync::atomic::{AtomicUsize, Ordering};

const FILE: &str = "
    CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT UNIQUE, price NUMERIC(10,2), data JSON,
      loud TEXT GENERATED ALWAYS AS (name || '!') VIRTUAL);
    CREATE TABLE word(word TEXT PRIMARY KEY COLLATE NOCASE, n INTEGER) WITHOUT ROWID;
    CREATE TABLE log(line TEXT, n REAL);
    WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 3000)
      INSERT INTO item(id, name, price, data) SELECT i, 'item ' || i, i / 4.0, '{\"a\":1}' FROM c;
    INSERT INTO word VALUES ('a', 1), ('B', 2), ('ä', 3), ('_', 4);
    INSERT INTO log VALUES ('x', 1), ('x', 1), ('x', 1), ('y', NULL);
";

async fn copied() -> Pair {
    let pair = Pair::of_sql(FILE).await;
    assert!(pair.backfill().await.complete);
    pair
}

async fn verify(pair: &Pair) -> Vec<verify::Report> {
    verify::run(&pair.cuts(), &pair.store, &[], &|_| {}).await.unwrap()
}

fn of<'a>(reports: &'a [verify::Report], table: &str) -> &'a verify::Report {
    reports.iter().find(|r| r.table == table).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn planted_differences_are_found_and_repaired() {
    let pair = copied().await;
    assert!(verify(&pair).await.iter().all(verify::Report::is_clean));
    pair.psql(
        "UPDATE item SET price = 1.01 WHERE id = 2; DELETE FROM item WHERE id = 3; \
         INSERT INTO item(id, name) VALUES (9000, 'extra'); \
         UPDATE item SET data = '{\"a\": 2}' WHERE id = 4; \
         UPDATE word SET n = 9 WHERE word = 'ä'; \
         DELETE FROM log WHERE ctid = (SELECT ctid FROM log WHERE line = 'x' LIMIT 1); \
         INSERT INTO log VALUES ('z', 0)",
    );
    let reports = verify(&pair).await;
    let item = of(&reports, "item");
    assert_eq!((item.rows, item.differing, item.at_least), (3000, 4, false));
    let shown: Vec<(Kind, &str, &[String])> = item
        .differences
        .iter()
        .map(|d| (d.kind, d.key[0].1.as_deref().unwrap(), d.columns.as_slice()))
        .collect();
    assert_eq!(shown.len(), 4);
    assert!(shown.contains(&(Kind::Value, "2", &["price".to_owned()])), "{shown:?}");
    assert!(shown.contains(&(Kind::Value, "4", &["data".to_owned()])), "{shown:?}");
    assert!(shown.iter().any(|s| (s.0, s.1) == (Kind::Missing, "3")));
    assert!(shown.iter().any(|s| (s.0, s.1) == (Kind::Extra, "9000")));
    assert_eq!(of(&reports, "word").differing, 1);
    let log = of(&reports, "log");
    assert!(log.keyless);
    assert_eq!(log.differing, 2);
    let groups = pair.store.groups();
    let classes: Vec<(&str, &str)> =
        groups.iter().map(|g| (g.table.as_deref().unwrap(), g.class.as_str())).collect();
    assert!(classes.contains(&("item", "verify_value")), "{classes:?}");
    assert!(classes.contains(&("log", "verify_extra")), "{classes:?}");
    let sample = groups.iter().flat_map(|g| &g.samples).find(|s| s.columns == ["price"]).unwrap();
    assert_eq!(
        (&sample.primary[0], &sample.shadow[0]),
        (&Some("0.50".into()), &Some("1.01".into()))
    );
    repairs(&pair).await;
}

async fn repairs(pair: &Pair) {
    let dry = What { dry_run: true, ..What::default() };
    let listed = verify::repair(&pair.cuts(), &pair.store, &dry, &|_| {}).await.unwrap();
    assert_eq!(listed.iter().map(|r| r.differences.len()).sum::<usize>(), 7);
    assert_eq!(pair.psql("SELECT price FROM item WHERE id = 2"), "1.01");
    let done = verify::repair(&pair.cuts(), &pair.store, &What::default(), &|_| {}).await.unwrap();
    let item = done.iter().find(|r| r.table == "item").unwrap();
    assert_eq!((item.inserted, item.updated, item.deleted), (1, 2, 1));
    assert!(done.iter().all(|r| r.after.is_clean()), "{done:#?}");
    assert!(pair.store.groups().iter().all(|g| g.state == GroupState::Fixed));
    assert_eq!(pair.psql("SELECT price FROM item WHERE id = 2"), "0.50");
    assert_eq!(pair.psql("SELECT count(*) FROM log WHERE line = 'x'"), "3");
    assert!(verify(pair).await.iter().all(verify::Report::is_clean));
}

#[tokio::test(flavor = "multi_thread")]
async fn exchanged_unique_values_are_repaired() {
    let pair = copied().await;
    pair.psql(
        "UPDATE item SET name = 't' WHERE id = 1; UPDATE item SET name = 'item 1' WHERE id = 2; \
         UPDATE item SET name = 'item 2' WHERE id = 1",
    );
    verify(&pair).await;
    let id = pair.store.groups()[0].id.clone();
    let what = What { divergence: Some(id.clone()), ..What::default() };
    let done = verify::repair(&pair.cuts(), &pair.store, &what, &|_| {}).await.unwrap();
    assert_eq!((done.len(), done[0].updated), (1, 2));
    assert!(done[0].after.is_clean());
    assert_eq!(pair.store.group(&id).unwrap().state, GroupState::Fixed);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_differs() {
    let pair = copied().await;
    pair.psql("UPDATE item SET price = price + 1");
    let reports = verify(&pair).await;
    let item = of(&reports, "item");
    assert_eq!(item.differing, 3000);
    let done = verify::repair(&pair.cuts(), &pair.store, &What::default(), &|_| {}).await.unwrap();
    let item = done.iter().find(|r| r.table == "item").unwrap();
    assert_eq!(item.updated, 3000);
    assert!(item.after.is_clean());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_few_keys() {
    let pair = copied().await;
    pair.psql("UPDATE item SET price = 0 WHERE id IN (5, 6); DELETE FROM item WHERE id = 7");
    let at = pair.cuts().cut(false).await.unwrap();
    let keys: Vec<Vec<Cell>> = (4..100).map(|i| vec![Cell::Integer(i)]).collect();
    let found = verify::keys(&at, "item", &keys).await.unwrap();
    let kinds: Vec<Kind> = found.differences.iter().map(|d| d.kind).collect();
    assert_eq!(kinds, [Kind::Value, Kind::Value, Kind::Missing]);
    assert!(verify::keys(&at, "log", &keys).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_position_is_never_compared() {
    let pair = copied().await;
    pair.write("DELETE FROM item WHERE id = 1").await;
    let error = verify::run(&pair.cuts(), &pair.store, &[], &|_| {}).await.unwrap_err();
    assert!(error.message().contains("position"), "{error}");
    assert!(pair.store.groups().is_empty());
}

/// PostgreSQL has become primary while rows were read for repair: they are not written over its.
#[tokio::test(flavor = "multi_thread")]
async fn repair_writes_nothing_once_postgresql_reigns() {
    let pair = copied().await;
    pair.psql("UPDATE item SET price = 1.01 WHERE id = 2");
    verify(&pair).await;
    pair.psql("INSERT INTO crossfade.epochs (epoch, record) VALUES (2, 'decided')");
    let what = What::default();
    let error = verify::repair(&pair.cuts(), &pair.store, &what, &|_| {}).await.unwrap_err();
    assert_eq!(error.sqlstate().as_str(), "55000", "{error}");
    assert_eq!(pair.psql("SELECT price FROM item WHERE id = 2"), "1.01");
    // After a rollback it may again.
    pair.psql("INSERT INTO crossfade.epochs (epoch, record) VALUES (3, 'returned')");
    verify::repair(&pair.cuts(), &pair.store, &what, &|_| {}).await.unwrap();
    assert_eq!(pair.psql("SELECT price FROM item WHERE id = 2"), "0.50");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_changed_byte_is_found_by_key_and_column() {
    let pair = Pair::of_sql(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b BLOB, c REAL);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000)
         INSERT INTO t SELECT i, 'text ' || i, randomblob(16), i * 0.1 FROM n;",
    )
    .await;
    pair.backfill().await;
    pair.psql("UPDATE t SET b = set_byte(b, 7, (get_byte(b, 7) + 1) % 256) WHERE id = 23456");
    let reports = verify(&pair).await;
    let report = of(&reports, "t");
    assert_eq!((report.rows, report.differing), (30000, 1), "{report:#?}");
    let found = &report.differences[0];
    assert_eq!(found.key, [("id".to_owned(), Some("23456".to_owned()))]);
    assert_eq!(found.columns, ["b"]);
}

/// A key that PostgreSQL has twice, one of its rows equal to ours, is no clean table.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_postgresql_has_twice_is_found() {
    let sql =
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'b');";
    let pair = Pair::of_sql(sql).await;
    pair.backfill().await;
    pair.psql("ALTER TABLE t DROP CONSTRAINT t_pkey; INSERT INTO t VALUES (1, 'other'), (2, 'b')");
    let reports = verify(&pair).await;
    let report = of(&reports, "t");
    assert_eq!((report.rows, report.differing), (2, 2), "{report:#?}");
    let keys: Vec<_> = report.differences.iter().map(|d| d.key[0].1.as_deref()).collect();
    assert_eq!(keys, [Some("1"), Some("2")], "{report:#?}");
}

/// A verify that is cut off inside a large table goes on there, and looks once more at what has
/// changed in what it had seen.
#[tokio::test(flavor = "multi_thread")]
async fn a_verify_that_is_cut_off_goes_on_inside_its_table() {
    let mut pair = Pair::of_sql(
        "CREATE TABLE big(id INTEGER PRIMARY KEY, t TEXT); WITH RECURSIVE c(i) AS (SELECT 1 \
         UNION ALL SELECT i + 1 FROM c WHERE i < 5000) INSERT INTO big SELECT i, 'row ' || i FROM c;",
    )
    .await;
    pair.stretch = 1000;
    assert!(pair.backfill().await.complete);
    let steps = std::sync::Arc::new(parking_lot::Mutex::new(Vec::new()));
    let stop = std::sync::Arc::new(tokio::sync::Notify::new());
    let (told, halt) = (steps.clone(), stop.clone());
    let tell = move |told_now: backfill::Told| {
        let backfill::Told::Step(text, _) = told_now else { return };
        let mut told = told.lock();
        told.push(text);
        if told.iter().filter(|t| t.starts_with("comparing")).count() == 3 {
            halt.notify_one();
        }
    };
    let cuts = pair.cuts();
    tokio::select! {
        biased;
        () = stop.notified() => {}
        _ = verify::run(&cuts, &pair.store, &[], &tell) => {}
    }
    let seen = steps.lock().clone();
    assert!(seen.iter().any(|t| t == "comparing big"), "{seen:?}");
    // As after a kill: only what is in the state file is known.
    let part = pair.store.part("big").expect("a part is noted");
    let upto = part.upto;
    assert!(upto >= 1000, "{upto}");
    let path = pair.path.clone();
    pair.store = std::sync::Arc::new(Store::open(&path, 1000, KeepValues::Full).unwrap());
    assert_eq!(pair.store.part("big").map(|p| p.upto), Some(upto));
    pair.store.note_changed([("big".to_owned(), Some(vec![Part::Int(5)]))]);
    pair.psql("UPDATE big SET t = 'other' WHERE id IN (5, 4999)");
    steps.lock().clear();
    let told = steps.clone();
    let tell = move |told_now: backfill::Told| {
        if let backfill::Told::Step(text, _) = told_now {
            told.lock().push(text);
        }
    };
    let reports = verify::run(&pair.cuts(), &pair.store, &[], &tell).await.unwrap();
    let seen = steps.lock().clone();
    assert!(!seen.contains(&"comparing big".to_owned()), "{seen:?}");
    assert!(seen.contains(&format!("comparing big from {} on", upto + 1)), "{seen:?}");
    let mut keys: Vec<&str> =
        reports[0].differences.iter().map(|d| d.key[0].1.as_deref().unwrap()).collect();
    keys.sort_unstable();
    assert_eq!((reports[0].rows, reports[0].differing, keys), (5000, 2, vec!["4999", "5"]));
    // What is called verified is as old as its oldest part.
    assert!(reports[0].gone_on);
    assert_eq!((&reports[0].at, &pair.store.verified()["big"].at), (&part.at, &part.at));
    pair.psql("UPDATE big SET t = 'row ' || id WHERE id IN (5, 4999)");
    let reports = verify(&pair).await;
    assert!(reports[0].is_clean() && reports[0].rows == 5000);
    assert_eq!(pair.store.part("big"), None);
}

/// What was read long ago, or by a version that noted no time, proves nothing of what somebody has
/// done to PostgreSQL since.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_part_of_a_table_is_compared_anew() {
    let mut pair = Pair::of_sql(
        "CREATE TABLE big(id INTEGER PRIMARY KEY, t TEXT); WITH RECURSIVE c(i) AS (SELECT 1 \
         UNION ALL SELECT i + 1 FROM c WHERE i < 3000) INSERT INTO big SELECT i, 'row' FROM c;",
    )
    .await;
    pair.stretch = 1000;
    assert!(pair.backfill().await.complete);
    pair.psql("UPDATE big SET t = 'other' WHERE id = 5; DELETE FROM big WHERE id = 7");
    let long_ago = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(2);
    for at in [long_ago.to_string(), String::new()] {
        let part = divergence::Part { upto: 1000, rows: 1000, accepted: 0, coerced: 0, at };
        pair.store.verify_part("big", part);
        let before = jiff::Timestamp::now();
        let reports = verify(&pair).await;
        assert_eq!((reports[0].rows, reports[0].differing), (3000, 2), "{:?}", reports[0]);
        let at: jiff::Timestamp = pair.store.verified()["big"].at.parse().unwrap();
        assert!(!reports[0].gone_on && at >= before);
    }
}

/// Cuts around which somebody does something to PostgreSQL: by how many there were before, and
/// whether this one is there already.
struct Meddled<F> {
    cuts: Still,
    meddle: F,
    taken: AtomicUsize,
}

impl<F: Fn(usize, bool) + Send + Sync> Meddled<F> {
    fn new(pair: &Pair, meddle: F) -> Self {
        Self { cuts: pair.cuts(), meddle, taken: AtomicUsize::new(0) }
    }

    fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }
}

impl<F: Fn(usize, bool) + Send + Sync> Cut for Meddled<F> {
    fn cut(&self, hold: bool) -> BoxFuture<'_, crossfade::error::Result<AtCut>> {
        Box::pin(async move {
            let number = self.taken.fetch_add(1, Ordering::SeqCst);
            (self.meddle)(number, false);
            let cut = self.cuts.cut(hold).await?;
            (self.meddle)(number, true);
            Ok(cut)
        })
    }
}

/// Empties the table and fills it again: to an older snapshot it stays empty.
const EMPTIED: &str = "BEGIN; CREATE TEMP TABLE held ON COMMIT DROP AS SELECT * FROM log; TRUNCATE log; \
                       INSERT INTO log SELECT * FROM held; COMMIT";

/// TRUNCATE, and whatever writes a table anew, empties it for snapshots that are older: that is no
/// divergence, and no proof either. The same for columns that have other names by now.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_snapshot_does_not_show_is_compared_at_a_new_one() {
    let pair = copied().await;
    let written_anew = "ALTER TABLE log ALTER COLUMN n TYPE float8 USING n + 0";
    let in_place_of = "BEGIN; CREATE TABLE new AS SELECT * FROM log; DROP TABLE log; \
                       ALTER TABLE new RENAME TO log; COMMIT";
    for meddled in [EMPTIED, written_anew, in_place_of] {
        // The second cut is the one at which tables are compared.
        let cuts = Meddled::new(&pair, |number, there| {
            if (number, there) == (1, true) {
                pair.psql(meddled);
            }
        });
        let reports = verify::run(&cuts, &pair.store, &[], &|_| {}).await.unwrap();
        assert!(reports.iter().all(verify::Report::is_clean), "{meddled}: {reports:#?}");
        assert_eq!((of(&reports, "log").rows, cuts.taken()), (4, 3), "{meddled}");
    }
    // Rows that are too much, where all that is there is unseen.
    pair.psql("INSERT INTO log VALUES ('z', 0)");
    let cuts = Meddled::new(&pair, |number, there| {
        if (number, there) == (1, true) {
            pair.psql(EMPTIED);
        }
    });
    let reports = verify::run(&cuts, &pair.store, &[], &|_| {}).await.unwrap();
    assert_eq!(of(&reports, "log").differing, 1);
    pair.psql("DELETE FROM log WHERE line = 'z'");
    let cuts = Meddled::new(&pair, |number, there| match (number, there) {
        (1, true) => drop(pair.psql("ALTER TABLE word RENAME COLUMN n TO m")),
        (2, false) => drop(pair.psql("ALTER TABLE word RENAME COLUMN m TO n")),
        _ => {}
    });
    let reports = verify::run(&cuts, &pair.store, &[], &|_| {}).await.unwrap();
    assert!(reports.iter().all(verify::Report::is_clean), "{reports:#?}");
}

/// Partitions are tables of their own.
#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_is_emptied_is_compared_at_a_new_cut() {
    let pair = copied().await;
    pair.psql(
        "ALTER TABLE log RENAME TO old; CREATE TABLE log(line text, n float8) PARTITION BY LIST (line); \
         CREATE TABLE x PARTITION OF log FOR VALUES IN ('x'); \
         CREATE TABLE rest PARTITION OF log DEFAULT; INSERT INTO log SELECT * FROM old; DROP TABLE old",
    );
    let emptied = EMPTIED.replace("log", "x");
    let detached = "ALTER TABLE log DETACH PARTITION x; \
                    ALTER TABLE log ATTACH PARTITION x FOR VALUES IN ('x')";
    let split = "BEGIN; ALTER TABLE log DETACH PARTITION x; CREATE TABLE y PARTITION OF log \
                 FOR VALUES IN ('x'); INSERT INTO log SELECT * FROM x; DROP TABLE x; COMMIT";
    for (meddled, taken) in [(emptied.as_str(), 3), (detached, 2), (split, 3)] {
        let cuts = Meddled::new(&pair, |number, there| {
            if (number, there) == (1, true) {
                pair.psql(meddled);
            }
        });
        let reports = verify::run(&cuts, &pair.store, &[], &|_| {}).await.unwrap();
        assert!(reports.iter().all(verify::Report::is_clean), "{meddled}: {reports:#?}");
        assert_eq!(cuts.taken(), taken, "{meddled}");
    }
}

/// A table that no snapshot shows is not compared, and says why: verify, repair and the last look
/// take it for nothing else, and write nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_emptied_all_the_time_is_not_compared() {
    let pair = copied().await;
    assert!(verify(&pair).await.iter().all(verify::Report::is_clean));
    let cuts = Meddled::new(&pair, |_, there| {
        if there {
            pair.psql(EMPTIED);
        }
    });
    let tables = ["log".to_owned()];
    let why = "emptied or written anew";
    let reports = verify::run(&cuts, &pair.store, &tables, &|_| {}).await.unwrap();
    assert!(of(&reports, "log").error.as_ref().is_some_and(|e| e.contains(why)), "{reports:#?}");
    let what = What { tables: tables.to_vec(), ..What::default() };
    let repaired = verify::repair(&cuts, &pair.store, &what, &|_| {}).await.unwrap();
    assert_eq!((repaired[0].inserted, repaired[0].deleted), (0, 0));
    assert!(repaired[0].after.error.as_ref().is_some_and(|e| e.contains(why)), "{repaired:#?}");
    pair.store.note_changed([("log".to_owned(), None)]);
    let pass = verify::since(&cuts, &pair.store, &|_| true, false).await.unwrap();
    assert!(
        pass.differing == 1 && pass.first.as_ref().is_some_and(|e| e.contains(why)),
        "{pass:?}"
    );
    assert!(pair.store.groups().is_empty(), "{:?}", pair.store.groups());
    // As soon as it is left alone, all of them are content; what was changed is still to be seen.
    let pass = verify::since(&pair.cuts(), &pair.store, &|_| true, false).await.unwrap();
    assert_eq!((pass.differing, pass.whole.len()), (0, 1), "{pass:?}");
}
