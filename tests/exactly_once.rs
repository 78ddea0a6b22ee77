//! Mirrored exactly once, in commit order: random transactions of many clients, a schema that
//! changes meanwhile, an answer to COMMIT that never comes, actions only PostgreSQL has.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_postgres::{Client, NoTls};

use crate::common::{Dice, Journey, Pg, Proxy, Relay, eventually};

async fn connect(url: &str) -> Client {
    let (client, driver) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(driver);
    client
}

const TABLES: &str = "
    CREATE TABLE cell (id integer PRIMARY KEY, n integer NOT NULL DEFAULT 0, note text,
      made timestamptz NOT NULL DEFAULT now());
    CREATE TABLE pair (a integer, b integer, v numeric(8,2), PRIMARY KEY (a, b));
    CREATE TABLE tag (name text UNIQUE NOT NULL, pos integer UNIQUE);
    CREATE TABLE parent (id integer PRIMARY KEY, name text);
    CREATE TABLE child (id serial PRIMARY KEY,
      parent_id integer REFERENCES parent (id) ON DELETE CASCADE ON UPDATE CASCADE, x integer);
    CREATE TABLE bag (what text, n integer);
    INSERT INTO cell (id) SELECT g FROM generate_series(1, 10) g;
    INSERT INTO tag SELECT 'tag ' || g, g FROM generate_series(1, 6) g;
    INSERT INTO parent SELECT g, 'parent ' || g FROM generate_series(1, 6) g;";

/// A statement at random; many clash, and some fail.
fn statement(dice: &mut Dice) -> String {
    let (a, b, n) = (dice.below(10) + 1, dice.below(6) + 1, dice.below(1000));
    match dice.below(18) {
        0 => format!("UPDATE cell SET n = n + 1 WHERE id = {a}"),
        1 => format!("UPDATE cell SET n = {n}, note = 'n {n}' WHERE id >= {a}"),
        2 => format!("INSERT INTO cell (id, n) VALUES ({}, {n})", 10 + a),
        3 => format!(
            "INSERT INTO cell (id, n) VALUES ({a}, {n}) ON CONFLICT (id) DO UPDATE SET n = cell.n + excluded.n"
        ),
        4 => format!("DELETE FROM cell WHERE id > 10 AND n < {n}"),
        5 => format!("INSERT INTO pair VALUES ({a}, {b}, {n}.25)"),
        6 => format!("UPDATE pair SET b = b + 1, v = v * 2 WHERE a = {a}"),
        7 => format!("DELETE FROM pair WHERE b = {b}"),
        // Two unique values are exchanged through a third.
        8 => format!("UPDATE tag SET pos = -1 WHERE pos = {b}"),
        9 => format!("UPDATE tag SET pos = {b} WHERE pos = -1"),
        10 => format!("UPDATE tag SET name = 'tag {n}' WHERE pos = {b}"),
        11 => format!("INSERT INTO child (parent_id, x) VALUES ({b}, {n})"),
        12 => format!("UPDATE parent SET id = {} WHERE id = {b}", 6 + a),
        13 => format!("DELETE FROM parent WHERE id = {a}"),
        14 => format!("INSERT INTO parent VALUES ({b}, 'again') ON CONFLICT DO NOTHING"),
        15 => format!("INSERT INTO bag VALUES ('b {b}', {n}), ('b {b}', {n})"),
        // Tables without a key are looked through for every row: this one stays small.
        16 => format!("DELETE FROM bag WHERE n > {n}"),
        _ => format!("UPDATE bag SET n = n + {a} WHERE what = 'b {b}'"),
    }
}

/// Transactions at random, until it is told to stop: statements, savepoints, failures, some rolled
/// back. How many.
async fn transactions(url: String, mut dice: Dice, stop: Arc<AtomicBool>) -> u64 {
    let client = connect(&url).await;
    let mut rounds = 0;
    while !stop.load(Ordering::SeqCst) || rounds < 30 {
        rounds += 1;
        client.batch_execute("BEGIN").await.unwrap();
        for n in 0..=dice.below(5) {
            let point = dice.below(3) == 0;
            if point || n > 0 {
                client.batch_execute("SAVEPOINT s").await.unwrap();
            }
            let failed = client.batch_execute(&statement(&mut dice)).await.is_err();
            if failed && n == 0 && !point {
                break;
            }
            if failed || (point && dice.below(3) == 0) {
                client.batch_execute("ROLLBACK TO s").await.unwrap();
            }
        }
        let end = if dice.below(8) == 0 { "ROLLBACK" } else { "COMMIT" };
        client.batch_execute(end).await.unwrap();
        // An application thinks now and then; the other side needs the processor, too.
        tokio::time::sleep(Duration::from_millis(if rounds < 30 { 0 } else { 40 })).await;
    }
    rounds
}

/// Every row of the tables, as either side tells it.
const ALL: &[&str] = &[
    "SELECT id, n, note, extract(epoch FROM made) FROM cell ORDER BY id",
    "SELECT a, b, v::text FROM pair ORDER BY a, b",
    "SELECT name, pos FROM tag ORDER BY name",
    "SELECT id, name FROM parent ORDER BY id",
    "SELECT id, parent_id, x FROM child ORDER BY id",
    "SELECT what, n, late FROM bag ORDER BY what, n, late",
    "SELECT id, t FROM afterwards ORDER BY id",
];

#[tokio::test(flavor = "multi_thread")]
async fn eight_clients_leave_both_sides_equal_image_for_image() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let envs = [("CROSSFADE_COMPARE_READS", "all")];
    let journey = Journey::start(&file, Pg::shared(), &envs);
    journey.proxy.sql(TABLES);
    journey.mirror();
    let mut dice = Dice::new();
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let stop = Arc::clone(&stop);
            tokio::spawn(transactions(journey.proxy.url(), dice.split(), stop))
        })
        .collect();
    // The schema changes under way, and both sides are compared at cuts of their own choice.
    let changes = [
        "ALTER TABLE bag ADD COLUMN late integer DEFAULT 7",
        "CREATE INDEX cell_n ON cell (n)",
        "CREATE TABLE later (id integer PRIMARY KEY, t text); INSERT INTO later VALUES (1, 'x')",
        "ALTER TABLE later RENAME TO afterwards",
        "TRUNCATE afterwards",
    ];
    for change in changes {
        journey.proxy.sql(change);
        journey.done(&["verify"]);
    }
    // Each verify stands at a position of its own, wherever the clients are by then.
    for _ in changes.len()..20 {
        dice.sleep(0, 60);
        journey.done(&["verify", "--tables", "cell,pair,tag,parent,child,bag"]);
    }
    stop.store(true, Ordering::SeqCst);
    let mut rounds = 0;
    for client in clients {
        rounds += client.await.unwrap();
    }
    journey.level();
    journey.done(&["verify"]);
    println!("{rounds} transactions, both sides compared at 20 positions on the way");
    for sql in ALL {
        let there = Pg::shared().cluster.psql(&journey.database, sql).unwrap();
        assert_eq!(journey.proxy.sql(sql), there, "{sql}");
    }
    let found = journey.get("/api/v1/divergences");
    assert_eq!(found["divergences"].as_array().unwrap().len(), 0, "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_applied_once() {
    let pg = Pg::shared();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let database = pg.database("relay");
    let relay = Relay::to(pg.cluster.port());
    let url = relay.url(&database);
    let proxy = Proxy::on_file_with(&file, &["--postgres", &url], &[]);
    let journey = Journey { proxy, url, database };
    journey
        .proxy
        .sql("CREATE TABLE bag (n integer); CREATE TABLE t (id integer PRIMARY KEY, n integer)");
    journey.proxy.sql("INSERT INTO t VALUES (1, 0)");
    journey.mirror();
    let client = connect(&journey.proxy.url()).await;
    for n in 0..40 {
        if n % 8 == 3 {
            relay.lose_an_answer();
        }
        client.execute("INSERT INTO bag VALUES ($1)", &[&n]).await.unwrap();
        client.execute("UPDATE t SET n = n + 1 WHERE id = 1", &[]).await.unwrap();
        if n % 8 == 3 {
            eventually("an answer was lost", || relay.is_idle());
        }
    }
    journey.level();
    // A table without a key would hold a row twice, and nothing would object.
    let there = "SELECT count(*), count(DISTINCT n), (SELECT n FROM t) FROM bag";
    assert_eq!(pg.cluster.psql(&journey.database, there).unwrap(), "40|40|40");
    journey.done(&["verify"]);
    assert_eq!(journey.status("diverged_open"), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_postgresql_does_is_never_kept() {
    let pg = Pg::shared();
    let folder = tempfile::tempdir().unwrap();
    let journey = Journey::start(&folder.path().join("app.db"), pg, &[]);
    journey.proxy.sql(
        "CREATE TABLE a (id integer PRIMARY KEY, n integer);
         CREATE TABLE b (id integer PRIMARY KEY, a_id integer);
         INSERT INTO a SELECT g, g FROM generate_series(1, 9) g;
         INSERT INTO b SELECT g, g FROM generate_series(1, 9) g;",
    );
    journey.mirror();
    // Rows of b would go with rows of a there, and the statement's own effect is the same.
    let cascade = "ALTER TABLE b ADD FOREIGN KEY (a_id) REFERENCES a (id) ON DELETE CASCADE";
    pg.cluster.psql(&journey.database, cascade).unwrap();
    // Beyond the time for which the last look at its triggers and keys is believed.
    std::thread::sleep(Duration::from_millis(1100));
    journey.proxy.sql("DELETE FROM a WHERE id = 3");
    journey.proxy.sql("UPDATE a SET n = 0 WHERE id = 4");
    journey.level();
    let there = "SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b)";
    assert_eq!(pg.cluster.psql(&journey.database, there).unwrap(), "8|9");
    journey.done(&["verify"]);
}

/// PostgreSQL fails at each statement of a transaction, in turn, when the statement is tested and
/// when its image is applied: nothing of it is there until
/// all of it is, and then once.
#[tokio::test(flavor = "multi_thread")]
async fn an_error_at_any_statement_leaves_no_part_of_a_transaction() {
    let pg = Pg::shared();
    let folder = tempfile::tempdir().unwrap();
    let journey = Journey::start(&folder.path().join("app.db"), pg, &[]);
    journey.proxy.sql(
        "CREATE TABLE step (run integer, n integer, PRIMARY KEY (run, n));
         CREATE TABLE bag (run integer)",
    );
    journey.mirror();
    let shadow = |sql: &str| pg.cluster.psql(&journey.database, sql).unwrap();
    // A sequence is not rolled back: the constraint fails twice, and never again.
    shadow(
        "CREATE SEQUENCE met MINVALUE 0; CREATE FUNCTION once(run integer, n integer) RETURNS boolean \
         LANGUAGE plpgsql AS $$ BEGIN \
         IF run = n AND (SELECT last_value FROM met) < 2 * n THEN \
         PERFORM setval('met', (SELECT last_value + 1 FROM met)); RAISE serialization_failure; END IF; RETURN true; END $$; \
         ALTER TABLE step ADD CONSTRAINT once CHECK (once(run, n)); SELECT setval('met', 0)",
    );
    let client = connect(&journey.proxy.url()).await;
    let half = "SELECT (SELECT count(*) FROM step) % 5, (SELECT count(*) FROM step) / 5 \
                - (SELECT count(*) FROM bag)";
    for run in 1..=5 {
        client.batch_execute("BEGIN").await.unwrap();
        for n in 1..=5 {
            client.execute("INSERT INTO step VALUES ($1, $2)", &[&run, &n]).await.unwrap();
        }
        client.execute("INSERT INTO bag VALUES ($1)", &[&run]).await.unwrap();
        client.batch_execute("COMMIT").await.unwrap();
        eventually("it has failed there twice, and is there", || {
            assert_eq!(shadow(half), "0|0", "a part of a transaction is there");
            shadow("SELECT count(*) FROM bag") == run.to_string()
        });
        assert_eq!(shadow("SELECT last_value FROM met"), (2 * run).to_string());
    }
    shadow("ALTER TABLE step DROP CONSTRAINT once; DROP FUNCTION once; DROP SEQUENCE met");
    journey.done(&["verify"]);
}

/// Testing statements on PostgreSQL leaves nothing there: no number drawn from a sequence, no lock,
/// no dead transaction.
#[tokio::test(flavor = "multi_thread")]
async fn testing_statements_leaves_nothing_on_postgresql() {
    let pg = Pg::shared();
    let folder = tempfile::tempdir().unwrap();
    let journey = Journey::start(&folder.path().join("app.db"), pg, &[]);
    journey.proxy.sql(
        "CREATE TABLE t (id serial PRIMARY KEY, n integer UNIQUE CHECK (n > 0));
         CREATE SEQUENCE s; INSERT INTO t (n) VALUES (1)",
    );
    journey.mirror();
    let client = connect(&journey.proxy.url()).await;
    for n in 2..40 {
        let sql = format!("INSERT INTO t (n) VALUES ({n})");
        client.batch_execute(&sql).await.unwrap();
        // They fail, and draw from the sequence on the primary.
        assert!(client.batch_execute(&sql).await.is_err());
        assert!(client.batch_execute("INSERT INTO t (n) VALUES (-1)").await.is_err());
        client.batch_execute("INSERT INTO t (n) SELECT 1000 + nextval('s')").await.unwrap();
    }
    journey.level();
    let compared = || journey.status("compared").parse::<u64>().unwrap();
    eventually("most of it is compared", || compared() >= 38 * 2);
    for sequence in ["t_id_seq", "s"] {
        let sql = format!("SELECT last_value FROM {sequence}");
        let drawn = |text: String| text.parse::<i64>().unwrap();
        let there = drawn(pg.cluster.psql(&journey.database, &sql).unwrap());
        let here = drawn(journey.proxy.sql(&sql));
        // Values are marked as used some at a time; each test would have drawn one more.
        assert!(there - here < 32, "{sequence}: {there} there, {here} here");
    }
    let left = "SELECT count(*) FROM pg_stat_activity a WHERE datname = current_database() \
                AND pid <> pg_backend_pid() AND (state LIKE 'idle in transaction%' OR EXISTS \
                (SELECT 1 FROM pg_locks l WHERE l.pid = a.pid AND l.relation = 't'::regclass))";
    eventually("nothing is held", || pg.cluster.psql(&journey.database, left).unwrap() == "0");
    journey.done(&["verify"]);
    assert_eq!(journey.status("diverged_open"), "0");
}
