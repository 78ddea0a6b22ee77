//! Mirrored exactly once, in commit order: random transactions of many clients, a schema that
//! changes meanwhile, an answer to COMMIT that never comes, actions only PostgreSQL has.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio_postgres::{Client, NoTls};

use crate::common::{Journey, Pg, Proxy, eventually};

async fn connect(url: &str) -> Client {
    let (client, driver) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(driver);
    client
}

/// Reproducible numbers: xorshift64*.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n
    }
}

fn seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let given = std::env::var("CROSSFADE_TEST_SEED").ok().and_then(|s| s.parse().ok());
    let seed = given.unwrap_or_else(|| u64::from(now.subsec_nanos()) | 1);
    println!("CROSSFADE_TEST_SEED={seed}");
    seed
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
    match dice.below(17) {
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
        _ => format!("UPDATE bag SET n = n + {a} WHERE what = 'b {b}'"),
    }
}

/// Transactions at random: statements, savepoints, failures, some rolled back.
async fn transactions(url: String, mut dice: Dice, rounds: u64) {
    let client = connect(&url).await;
    for _ in 0..rounds {
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
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_clients_leave_both_sides_equal_image_for_image() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let envs = [("CROSSFADE_COMPARE_READS", "all")];
    let journey = Journey::start(&file, Pg::shared(), &envs);
    journey.proxy.sql(TABLES);
    journey.mirror();
    let mut dice = Dice(seed());
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let own = Dice(dice.below(u64::from(u32::MAX)) | 1);
            tokio::spawn(transactions(journey.proxy.url(), own, 30))
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
    while !clients.iter().all(tokio::task::JoinHandle::is_finished) {
        journey.done(&["verify"]);
    }
    for client in clients {
        client.await.unwrap();
    }
    journey.level();
    journey.done(&["verify"]);
    let found = journey.get("/api/v1/divergences");
    assert_eq!(found["divergences"].as_array().unwrap().len(), 0, "{found}");
}

/// Stands between the proxy and PostgreSQL.
struct Relay {
    port: u16,
    /// Answers to COMMIT still to be lost.
    armed: Arc<AtomicU64>,
}

impl Relay {
    fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = listener.local_addr().unwrap().port();
        let armed = Arc::new(AtomicU64::new(0));
        let arm = Arc::clone(&armed);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                let (c, s) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || pass(s, c, None));
                let arm = Arc::clone(&arm);
                std::thread::spawn(move || pass(client, server, Some(arm)));
            }
        });
        Self { port: own, armed }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, armed: Option<Arc<AtomicU64>>) {
    let mut buffer = [0; 16 << 10];
    while let Ok(n) = from.read(&mut buffer) {
        let commits = buffer[..n].windows(7).any(|w| w == b"COMMIT\0");
        let lose = n > 0
            && commits
            && armed.as_ref().is_some_and(|a| {
                a.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
                    .is_ok()
            });
        if lose {
            // PostgreSQL hears it; its answer finds nobody.
            let _ = from.shutdown(Shutdown::Both);
        }
        if n == 0 || to.write_all(&buffer[..n]).is_err() || lose {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Both);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_applied_once() {
    let pg = Pg::shared();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let database = pg.database("relay");
    let relay = Relay::to(pg.cluster.port());
    let url = format!("postgres://postgres@127.0.0.1:{}/{database}", relay.port);
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
            relay.armed.store(1, Ordering::SeqCst);
        }
        client.execute("INSERT INTO bag VALUES ($1)", &[&n]).await.unwrap();
        client.execute("UPDATE t SET n = n + 1 WHERE id = 1", &[]).await.unwrap();
        if n % 8 == 3 {
            eventually("an answer was lost", || relay.armed.load(Ordering::SeqCst) == 0);
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
    std::thread::sleep(std::time::Duration::from_millis(1100));
    journey.proxy.sql("DELETE FROM a WHERE id = 3");
    journey.proxy.sql("UPDATE a SET n = 0 WHERE id = 4");
    journey.level();
    let there = "SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b)";
    assert_eq!(pg.cluster.psql(&journey.database, there).unwrap(), "8|9");
    journey.done(&["verify"]);
}
