//! Clients that share server sessions, a transaction at a time: each finds what it has made, and
//! nothing of another's.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::{Journey, Pg, Raw, eventually};

/// A proxy whose PostgreSQL is primary, with so many server sessions for all clients.
fn promoted(folder: &tempfile::TempDir, size: &str, tables: &str) -> Journey {
    let envs =
        [("CROSSFADE_POSTGRES_POOL_MODE", "transaction"), ("CROSSFADE_POSTGRES_POOL_SIZE", size)];
    let journey = Journey::start(&folder.path().join("app.db"), Pg::shared(), &envs);
    if !tables.is_empty() {
        journey.proxy.sql(tables);
    }
    journey.mirror();
    journey.promote();
    journey
}

/// Server sessions of clients.
fn servers(journey: &Journey) -> String {
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' \
         AND backend_type = 'client backend' AND application_name NOT LIKE 'crossfade%'",
        journey.database
    );
    Pg::shared().cluster.psql("postgres", &sql).unwrap()
}

/// The values of the rows that came.
fn values(answers: &[String]) -> Vec<&str> {
    answers.iter().filter_map(|a| a.strip_prefix("D ")).collect()
}

#[test]
fn one_server_session_serves_clients_with_statements_of_the_same_name() {
    let folder = tempfile::tempdir().unwrap();
    let journey = promoted(&folder, "1", "");
    let mut clients: Vec<Raw> = (0..3).map(|_| Raw::proxy(&journey.proxy)).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        let made = client.run(&format!("P s|SELECT {n}, $1::int|23\nP |SELECT 'unnamed', {n}\nS"));
        assert!(made.contains("\nZ I"), "{made}");
    }
    for round in 0..3 {
        for (n, client) in clients.iter_mut().enumerate() {
            let found = client.run(&format!("B |s|{round}\nE\nS"));
            assert!(found.contains(&format!("\nD {n} | {round}\n")), "{found}");
            let found = client.run("B |\nE\nS");
            assert!(found.contains(&format!("\nD unnamed | {n}\n")), "{found}");
        }
    }
    // What one closes is still there for the others, and what one has not made is not.
    assert!(clients[0].run("C Ss\nS").contains("\nZ I"));
    assert!(clients[1].run("B |s|7\nE\nS").contains("\nD 1 | 7\n"));
    assert!(clients[0].run("B |s|7\nE\nS").contains(" 26000 "));
    assert_eq!(servers(&journey), "1");
}

#[test]
fn a_transaction_keeps_its_server_session_and_others_wait_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let journey = promoted(&folder, "1", "CREATE TABLE t (id int PRIMARY KEY)");
    let (mut first, mut second) = (Raw::proxy(&journey.proxy), Raw::proxy(&journey.proxy));
    assert_eq!(first.query("BEGIN").last().unwrap(), "Z T");
    first.query("INSERT INTO t VALUES (1)");
    second.start("SELECT count(*) FROM t");
    assert!(second.soon().is_empty(), "it ran in the middle of another client's transaction");
    assert_eq!(first.query("COMMIT").last().unwrap(), "Z I");
    assert_eq!(values(&second.answers()), ["1"]);
    // A client that leaves in the middle leaves nothing behind.
    first.query("BEGIN; INSERT INTO t VALUES (2)");
    first.vanish();
    assert_eq!(values(&second.query("SELECT count(*) FROM t")), ["1"]);
    assert_eq!(second.query("SELECT 1 / 0").last().unwrap(), "Z I");
    assert_eq!(servers(&journey), "1");
}

#[test]
fn settings_are_the_clients_own() {
    let folder = tempfile::tempdir().unwrap();
    let journey = promoted(&folder, "1", "");
    let mut clients: Vec<Raw> = (0..3).map(|_| Raw::proxy(&journey.proxy)).collect();
    for (client, sets) in clients.iter_mut().zip([
        "SET work_mem = '7MB'; SET search_path = pg_catalog",
        "SELECT set_config('TimeZone', 'Asia/Tokyo', false)",
        "BEGIN; SET LOCAL work_mem = '9MB'; COMMIT",
    ]) {
        assert_eq!(client.query(sets).last().unwrap(), "Z I");
    }
    let shown = "SELECT current_setting('work_mem'), current_setting('timezone'), \
                 current_setting('search_path') = 'pg_catalog'";
    for _ in 0..3 {
        assert!(values(&clients[0].query(shown))[0].starts_with("7MB | "));
        assert!(values(&clients[0].query(shown))[0].ends_with(" | t"));
        assert_eq!(values(&clients[1].query(shown)), ["4MB | Asia/Tokyo | f"]);
        assert!(values(&clients[2].query(shown))[0].starts_with("4MB | "));
        assert!(!values(&clients[2].query(shown))[0].contains("Tokyo"));
    }
    clients[0].query("RESET ALL");
    assert!(values(&clients[0].query(shown))[0].starts_with("4MB | "));
    assert_eq!(servers(&journey), "1");
}

/// A statement that was prepared long ago makes something of the session whenever it runs.
#[test]
fn prepared_statements_that_make_something_are_seen_when_they_run() {
    let folder = tempfile::tempdir().unwrap();
    let journey = promoted(&folder, "2", "");
    let (mut one, mut two) = (Raw::proxy(&journey.proxy), Raw::proxy(&journey.proxy));
    let made = one.run(
        "P set|SET work_mem = '7MB'
         P lock|SELECT pg_advisory_lock(9)
         S",
    );
    assert!(made.contains("\nZ I"), "{made}");
    for _ in 0..2 {
        assert_eq!(values(&two.query("SHOW work_mem")), ["4MB"]);
        assert_eq!(values(&one.query("SHOW work_mem")), ["4MB"]);
    }
    assert!(one.run("B |set\nE\nS").contains("C SET"));
    for _ in 0..2 {
        assert_eq!(values(&two.query("SHOW work_mem")), ["4MB"]);
        assert_eq!(values(&one.query("SHOW work_mem")), ["7MB"]);
    }
    assert!(one.run("B |lock\nE\nS").contains("\nZ I"));
    assert_eq!(values(&two.query("SELECT pg_try_advisory_lock(9)")), ["f"]);
    assert_eq!(values(&one.query("SELECT pg_advisory_unlock(9)")), ["t"]);
    assert_eq!(values(&two.query("SELECT pg_try_advisory_lock(9)")), ["t"]);
}

/// PostgreSQL does not list an application's own settings: who has made one keeps its session.
#[test]
fn an_application_s_own_settings_are_the_clients_own() {
    let folder = tempfile::tempdir().unwrap();
    let journey = promoted(&folder, "3", "");
    let (mut one, mut two) = (Raw::proxy(&journey.proxy), Raw::proxy(&journey.proxy));
    one.query("SET app.tenant = 'one'");
    two.query("SELECT set_config('app.tenant', 'two', false)");
    let mut plain = Raw::proxy(&journey.proxy);
    let tenant = "SELECT coalesce(current_setting('app.tenant', true), 'nobody')";
    for _ in 0..3 {
        assert_eq!(values(&one.query(tenant)), ["one"]);
        assert_eq!(values(&two.query(tenant)), ["two"]);
        assert_eq!(values(&plain.query(tenant)), ["nobody"]);
    }
}

#[test]
fn what_others_must_not_see_keeps_its_server_session() {
    let folder = tempfile::tempdir().unwrap();
    let journey = promoted(&folder, "5", "");
    let pg = Pg::shared();
    let role = format!("role_{}", journey.database);
    pg.cluster.psql(&journey.database, &format!("CREATE ROLE {role}")).unwrap();
    let mut others: Vec<Raw> = (0..4).map(|_| Raw::proxy(&journey.proxy)).collect();
    for (client, makes) in others.iter_mut().zip([
        "CREATE TEMP TABLE mine AS SELECT 'mine' AS v",
        "SELECT pg_advisory_lock(7)",
        "PREPARE p AS SELECT 'prepared'",
        &format!("SET ROLE {role}"),
    ]) {
        assert_eq!(client.query(makes).last().unwrap(), "Z I");
    }
    let mut plain = Raw::proxy(&journey.proxy);
    for _ in 0..3 {
        assert_eq!(values(&plain.query("SELECT to_regclass('mine') IS NULL")), ["t"]);
        assert_eq!(values(&plain.query("SELECT pg_try_advisory_lock(7)")), ["f"]);
        assert!(plain.query("EXECUTE p")[0].contains(" 26000 "));
        assert_eq!(values(&plain.query("SELECT current_user = session_user")), ["t"]);
        assert_eq!(values(&others[0].query("SELECT v FROM mine")), ["mine"]);
        assert_eq!(values(&others[2].query("EXECUTE p")), ["prepared"]);
        assert_eq!(values(&others[3].query("SELECT current_user")), [role.as_str()]);
    }
    // Who listens hears between its transactions.
    let listener = &mut others[0];
    assert_eq!(listener.query("LISTEN news").last().unwrap(), "Z I");
    assert_eq!(plain.query("NOTIFY news, 'heard'"), ["C NOTIFY", "Z I"]);
    eventually("the notification arrives", || listener.soon().iter().any(|a| a.contains("heard")));
    assert_eq!(servers(&journey), "5");
    drop(others);
    eventually("a lock ends with its client", || {
        values(&plain.query("SELECT pg_try_advisory_lock(7)")) == ["t"]
    });
}

#[test]
fn a_lost_server_session_is_replaced_between_transactions() {
    let folder = tempfile::tempdir().unwrap();
    let journey = promoted(&folder, "2", "");
    let mut client = Raw::proxy(&journey.proxy);
    assert!(client.run("P s|SELECT 'still there'\nS").contains("\nZ I"));
    let end = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{}' \
         AND application_name NOT LIKE 'crossfade%' AND backend_type = 'client backend'",
        journey.database
    );
    for _ in 0..3 {
        assert_ne!(Pg::shared().cluster.psql("postgres", &end).unwrap(), "0");
        eventually("it has ended", || servers(&journey) == "0");
        let found = client.run("B |s\nE\nS");
        assert!(found.contains("\nD still there\n"), "{found}");
    }
}

/// More clients than server sessions, prepared statements of the same names, and the primary
/// changes twice underneath.
#[test]
fn clients_that_share_move_both_ways_under_load() {
    let folder = tempfile::tempdir().unwrap();
    let journey = promoted(
        &folder,
        "2",
        "CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL); INSERT INTO t VALUES (1, 0)",
    );
    let stop = AtomicBool::new(false);
    let done: u64 = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = Raw::proxy(&journey.proxy);
                    client.run("P add|UPDATE t SET n = n + 1 WHERE id = $1|23\nS");
                    let mut done = 0;
                    while !stop.load(Ordering::Relaxed) {
                        let found = client.run("Q BEGIN\nB |add|1\nE\nS\nQ COMMIT");
                        assert!(found.contains("C UPDATE 1\n"), "{found}");
                        assert!(found.ends_with("C COMMIT\nZ I\n"), "{found}");
                        done += 1;
                    }
                    done
                })
            })
            .collect();
        journey.rollback();
        journey.promote();
        std::thread::sleep(std::time::Duration::from_millis(300));
        stop.store(true, Ordering::Relaxed);
        clients.into_iter().map(|c| c.join().unwrap()).sum()
    });
    assert_eq!(journey.proxy.sql("SELECT n FROM t"), done.to_string());
    assert!(done > 20, "only {done} transactions");
    assert!(servers(&journey).parse::<u32>().unwrap() <= 2);
}

/// The first byte of a message is no message: it takes nobody's place.
#[test]
fn a_message_that_does_not_come_takes_no_place() {
    let folder = tempfile::tempdir().unwrap();
    let journey = promoted(&folder, "1", "CREATE TABLE t (id int PRIMARY KEY)");
    let mut slow = Raw::proxy(&journey.proxy);
    slow.query("SELECT 1");
    slow.send(b"Q");
    let mut other = Raw::proxy(&journey.proxy);
    assert!(other.query("SELECT 'served'").contains(&"D served".to_owned()));
    // Nor does it keep the primary from changing.
    journey.await_way_back();
    journey.rollback();
    slow.send(b"\0\0\0\x0dSELECT 2\0");
    assert!(slow.answers().contains(&"D 2".to_owned()));
}

/// A setting whose name begins like a word that is local to a transaction is a setting.
#[test]
fn settings_with_odd_names_do_not_reach_other_clients() {
    let folder = tempfile::tempdir().unwrap();
    let journey = promoted(&folder, "2", "");
    let mut one = Raw::proxy(&journey.proxy);
    let mut other = Raw::proxy(&journey.proxy);
    for (name, value) in [("locale.lang", "de"), ("local.x", "1"), ("transaction.kind", "a")] {
        one.query(&format!("SET {name} = '{value}'"));
        let found = other.query(&format!("SELECT current_setting('{name}', true) IS NULL"));
        assert!(found.contains(&"D t".to_owned()), "{name}: {found:?}");
        assert!(one.query(&format!("SHOW {name}")).contains(&format!("D {value}")), "{name}");
    }
}
