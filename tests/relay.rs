//! The promoted proxy against PostgreSQL itself: the same script must have the same answers,
//! message by message; and what a session takes along when the primary changes.

use std::time::Duration;

use crate::common::raw::assert_same;
use crate::common::{Journey, Pg, Raw, eventually};

/// A proxy whose PostgreSQL is primary, on a file with these tables.
fn promoted(folder: &tempfile::TempDir, tables: &str) -> Journey {
    let journey = Journey::start(&folder.path().join("app.db"), Pg::shared(), &[]);
    if !tables.is_empty() {
        journey.proxy.sql(tables);
    }
    journey.mirror();
    journey.promote();
    journey
}

/// Runs a script on PostgreSQL and through the promoted proxy.
fn same(script: &str) {
    let folder = tempfile::tempdir().unwrap();
    let journey = promoted(&folder, "");
    let expected = Raw::postgres(&Pg::shared().database("relay")).run(script);
    let found = Raw::proxy(&journey.proxy).run(script);
    assert!(!expected.contains("\nEND\n"), "the script ends its own session:\n{expected}");
    assert_same(&expected, &found, &journey.proxy);
}

#[test]
fn answers_errors_and_notices_are_postgresqls() {
    same(
        "Q CREATE TABLE t (id int PRIMARY KEY, body text, n numeric(10,2) CHECK (n >= 0))
         Q INSERT INTO t VALUES (1, 'one', 1.5), (2, NULL, 2) RETURNING *
         Q SELECT id, body, n, now() IS NOT NULL FROM t ORDER BY id
         Q SELECT 1; SELECT 2; SELECT 1/0; SELECT 3
         Q
         Q SELEC 1
         Q SELECT nothing FROM t
         Q INSERT INTO t VALUES (1, 'again')
         Q INSERT INTO t VALUES (3, 'three', -1)
         Q DO $$ BEGIN RAISE NOTICE 'hello'; RAISE WARNING 'careful'; END $$
         Q BEGIN; INSERT INTO t VALUES (4, 'four', 4); SELECT 1/0
         Q SELECT 1
         Q ROLLBACK
         Q BEGIN
         Q SAVEPOINT a
         Q INSERT INTO t VALUES (1, 'one')
         Q ROLLBACK TO a
         Q INSERT INTO t VALUES (5, 'five', 5)
         Q COMMIT
         Q SELECT count(*), sum(n) FROM t
         Q LISTEN news
         Q NOTIFY other, 'unheard'
         Q SET search_path = nowhere
         Q SELECT * FROM t
         Q RESET search_path
         Q SHOW datestyle
         Q SELECT repeat('wide ', 200000)
         Q SELECT sum(length(x)) FROM (SELECT repeat('x', 1000) FROM generate_series(1, 500)) t(x)
         Q SELECT g FROM generate_series(1, 50) g
         # The unnamed statement and an error in a batch.
         P |SELECT $1::int + $2|23,23
         D S
         B ||20,22
         D P
         E
         S
         P |SELECT 1/$1::int
         B ||0
         E
         P never|SELECT 1
         S
         B |never
         E
         S",
    );
}

#[test]
fn batches_portals_and_prepared_statements_are_postgresqls() {
    same(
        "Q CREATE TABLE t (id int PRIMARY KEY, body text)
         P ins|INSERT INTO t VALUES ($1, $2)|23,25
         S
         B |ins|1,one
         E
         B |ins|2,two
         E
         B |ins|3,NULL
         E
         S
         # An error in the middle takes the whole run up to Sync with it.
         B |ins|4,four
         E
         B |ins|1,again
         E
         B |ins|5,five
         E
         S
         Q SELECT * FROM t ORDER BY id
         Q BEGIN
         P sel|SELECT g, repeat('y', 50) FROM generate_series(1, 10) g
         B p|sel
         E p|3
         H
         E p|3
         S
         E p|0
         S
         Q COMMIT
         E p
         S
         P sel|SELECT 'twice'
         S
         D Ssel
         S
         C Ssel
         C Snothing
         S
         D Ssel
         S
         P typed|SELECT $1, $2, $3|1043,1700,1184
         D Styped
         B |typed|a,1.50,2020-01-01 00:00:00+00
         E
         S
         B |typed|a,1.50,2020-01-01 00:00:00+00|1
         D P
         S
         P empty|
         D Sempty
         B |empty
         E
         S
         Q PREPARE own(int) AS SELECT $1 * 2
         B |own|21
         D P
         E
         S
         Q EXECUTE own(4)
         Q DEALLOCATE ALL
         B |own|1
         S",
    );
}

#[test]
fn copy_is_postgresqls() {
    same(
        "Q CREATE TABLE t (id int PRIMARY KEY, body text)
         Q COPY t FROM STDIN
         d 1\\tone\\n
         d 2\\t\\\\N\\n3\\tth
         d ree\\n
         c
         Q COPY t FROM STDIN
         d 4\\tfour\\n
         f no more
         Q COPY t FROM STDIN
         d x\\tbad\\n
         c
         Q SELECT * FROM t ORDER BY id
         Q COPY (SELECT g, repeat('z', 300) FROM generate_series(1, 100) g) TO STDOUT
         Q COPY t TO STDOUT WITH (FORMAT csv, HEADER)
         Q COPY t TO STDOUT; SELECT 'after'
         # In the extended protocol Sync comes once more after the data.
         P |COPY t FROM STDIN
         B |
         E
         S
         d 7\\tseven\\n
         cc
         S
         Q SELECT count(*) FROM t
         Q COPY nowhere FROM STDIN",
    );
}

/// A statement prepared and not used yet outlives a statement in between that makes the proxy
/// ask what the server session has become.
#[test]
fn an_unnamed_statement_outlives_what_is_set_up_in_between() {
    let script = "P |SELECT $1::int + 1|23
         S
         P setup|CREATE TEMPORARY TABLE scratch (id int)
         B |setup
         E
         S
         B ||41
         E
         S
         P lock|SELECT pg_advisory_lock(7)
         B |lock
         E
         S
         P |SELECT 'kept'
         S
         P unlock|SELECT pg_advisory_unlock(7)
         B |unlock
         E
         S
         B |
         E
         S
         P |SELECT count(*) FROM scratch
         B |
         E
         S";
    same(script);
    // And while nothing of it is there any more, as often as it is asked.
    same(
        "P |SELECT 'still here'
         S
         P temp|CREATE TEMP TABLE one_more ()
         B |temp
         E
         S
         P drop|DROP TABLE one_more
         B |drop
         E
         S
         B |
         E
         S",
    );
}

#[test]
fn a_cancel_reaches_postgresql_and_hurts_no_later_statement() {
    let folder = tempfile::tempdir().unwrap();
    let journey = promoted(&folder, "");
    let mut client = Raw::proxy(&journey.proxy);
    assert_eq!(client.query("SELECT 1").len(), 4);
    client.start("SELECT pg_sleep(60)");
    let running = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND state = 'active' \
         AND query LIKE 'SELECT pg_sleep%'",
        journey.database
    );
    let pg = Pg::shared();
    eventually("the statement runs", || pg.cluster.psql("postgres", &running).unwrap() == "1");
    Raw::cancel(journey.proxy.port, client.pid, &client.secret);
    let answers = client.answers();
    assert!(answers[0].contains("57014") || answers[1].contains("57014"), "{answers:?}");
    assert_eq!(answers.last().unwrap(), "Z I");
    assert_eq!(client.query("SELECT 2").len(), 4);
    // One with a wrong key does nothing.
    client.start("SELECT pg_sleep(0.3)");
    Raw::cancel(journey.proxy.port, client.pid, b"nope");
    assert!(client.answers().iter().all(|a| !a.contains("57014")));
}

/// A message that comes in pieces outside a transaction is waited for, and nothing spins.
#[test]
fn messages_come_in_pieces() {
    let folder = tempfile::tempdir().unwrap();
    let journey = promoted(&folder, "");
    let mut client = Raw::proxy(&journey.proxy);
    assert_eq!(client.query("SELECT 1").len(), 4);
    let text = format!("SELECT length('{}')\0", "x".repeat(20_000));
    let length = u32::try_from(text.len() + 4).unwrap().to_be_bytes();
    let whole = [b"Q", &length[..], text.as_bytes()].concat();
    for cuts in [[1, 3, 9], [5, 100, 12_000]] {
        let mut at = 0;
        for cut in cuts.into_iter().chain([whole.len()]) {
            client.send(&whole[at..cut]);
            at = cut;
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(client.answers()[1], "D 20000");
    }
    // One that never comes whole keeps nobody busy: the others, and a stop, go on.
    client.send(&whole[..2]);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(Raw::proxy(&journey.proxy).query("SELECT 2").len(), 4);
}

#[test]
fn a_lost_server_session_is_told_and_never_looks_like_a_commit() {
    let folder = tempfile::tempdir().unwrap();
    let journey = promoted(&folder, "CREATE TABLE t (id int PRIMARY KEY)");
    let pg = Pg::shared();
    let kill = || {
        let others = format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
             WHERE datname = '{}' AND application_name = 'victim'",
            journey.database
        );
        assert_eq!(pg.cluster.psql("postgres", &others).unwrap(), "1");
    };
    let victim = [("application_name", "victim")];
    let mut client = Raw::connect(journey.proxy.port, "app", "app", &victim);
    // Idle: the next statement opens another server session, and nothing is told.
    assert!(client.query("SELECT 1").contains(&"C SELECT 1".to_owned()));
    kill();
    std::thread::sleep(Duration::from_millis(200));
    assert!(client.query("SELECT 1").contains(&"C SELECT 1".to_owned()));
    // In a transaction: it has failed, and its COMMIT is a ROLLBACK.
    client.query("BEGIN");
    client.query("INSERT INTO t VALUES (1)");
    kill();
    std::thread::sleep(Duration::from_millis(200));
    let told = client.query("INSERT INTO t VALUES (2)");
    assert!(told[0].starts_with("E ") && told.last().unwrap() == "Z E", "{told:?}");
    let ended = client.query("COMMIT");
    assert_eq!(ended, ["C ROLLBACK", "Z I"]);
    assert_eq!(journey.proxy.sql("SELECT count(*) FROM t"), "0");
    // Lost without a statement in between: COMMIT itself must fail.
    client.query("BEGIN");
    client.query("INSERT INTO t VALUES (3)");
    kill();
    std::thread::sleep(Duration::from_millis(200));
    let told = client.query("COMMIT");
    assert!(told[0].starts_with("E ") && told.last().unwrap() == "Z I", "{told:?}");
    assert_eq!(journey.proxy.sql("SELECT count(*) FROM t"), "0");
    // A statement under way: an error, and the connection goes on.
    client.start("SELECT pg_sleep(60)");
    let running = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND state = 'active' \
         AND application_name = 'victim'",
        journey.database
    );
    eventually("the statement runs", || pg.cluster.psql("postgres", &running).unwrap() == "1");
    kill();
    let told = client.answers();
    assert!(told.iter().any(|t| t.starts_with("E ")), "{told:?}");
    assert_eq!(told.last().unwrap(), "Z I", "{told:?}");
    assert!(client.query("SELECT 1").contains(&"C SELECT 1".to_owned()));
}

/// Prepared statements made on SQLite go on on PostgreSQL, with the types the client named or was
/// told, and come back again; so do settings, and the unnamed statement.
#[test]
fn prepared_statements_and_settings_move_there_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let journey = Journey::start(&folder.path().join("app.db"), Pg::shared(), &[]);
    journey.proxy.sql(
        "CREATE TABLE t (id bigint PRIMARY KEY, n int, body text); \
         INSERT INTO t VALUES (1, 10, 'one'), (2, 20, 'two')",
    );
    journey.mirror();
    let mut client = Raw::proxy(&journey.proxy);
    let made = client.run(
        "Q SET application_name = 'mover'; SET work_mem = '9MB'; SET search_path = public, pg_catalog
         P named|SELECT body FROM t WHERE id = $1|23
         P told|SELECT n + $1 FROM t WHERE id = $2
         D Stold
         P untold|SELECT body FROM t WHERE n > $1 ORDER BY id
         Q SELECT 1
         P |SELECT concat($1::text, 'unnamed')
         S",
    );
    assert!(!made.contains("E ERROR"), "{made}");
    let use_them = "B |named|2
         E
         B |told|5,1
         E
         B |untold|5
         E
         S
         Q SHOW work_mem
         Q SHOW search_path
         Q SHOW application_name";
    let unnamed = "B ||x
         E
         S";
    let on_sqlite = client.run(use_them);
    assert!(!on_sqlite.contains("E ERROR"), "{on_sqlite}");
    client.run("P |SELECT concat($1::text, 'unnamed')\nS");
    journey.promote();
    let first = client.run(unnamed);
    assert!(first.contains("xunnamed"), "{first}");
    assert_eq!(client.run(use_them), on_sqlite, "on PostgreSQL");
    assert_eq!(journey.proxy.sql("SELECT count(*) FROM t"), "2");
    client.run("P later|UPDATE t SET n = n + $1 WHERE id = $2|23,20\nQ SET work_mem = '9MB'\nS");
    client.run("P |SELECT concat($1::text, 'unnamed')\nS");
    journey.rollback();
    let back = client.run(unnamed);
    assert!(back.contains("xunnamed"), "{back}");
    assert_eq!(client.run(use_them), on_sqlite, "on SQLite again");
    let updated = client.run("B |later|1,1\nE\nS");
    assert!(updated.contains("C UPDATE 1"), "{updated}");
}

/// What the client has sent ahead of the answers is not lost or doubled by the switch.
#[test]
fn pipelined_batches_cross_the_switch() {
    let folder = tempfile::tempdir().unwrap();
    let journey = Journey::start(&folder.path().join("app.db"), Pg::shared(), &[]);
    journey.proxy.sql("CREATE TABLE t (id int PRIMARY KEY)");
    journey.mirror();
    let port = journey.proxy.port;
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writer = std::thread::spawn({
        let stop = std::sync::Arc::clone(&stop);
        move || {
            let mut client = Raw::connect(port, "app", "app", &[]);
            client.run("P ins|INSERT INTO t VALUES ($1)|23\nS");
            let mut next = 0;
            while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                // Ten batches at once, each with its own Sync.
                let answers = client.pipeline(10, |n| format!("B |ins|{}\nE", next + n));
                assert_eq!(
                    answers.iter().filter(|a| *a == "C INSERT 0 1").count(),
                    10,
                    "{answers:?}"
                );
                next += 10;
            }
            next
        }
    });
    std::thread::sleep(Duration::from_millis(200));
    journey.promote();
    std::thread::sleep(Duration::from_millis(200));
    journey.rollback();
    std::thread::sleep(Duration::from_millis(200));
    stop.store(true, std::sync::atomic::Ordering::SeqCst);
    let written = writer.join().unwrap();
    let counted = journey.proxy.sql("SELECT count(*), count(DISTINCT id), max(id) + 1 FROM t");
    assert_eq!(counted, format!("{written}|{written}|{written}"));
}

/// Ends the one server session of application `victim`.
fn end_victim(journey: &Journey) {
    let sql = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
         WHERE datname = '{}' AND application_name = 'victim'",
        journey.database
    );
    assert_eq!(Pg::shared().cluster.psql("postgres", &sql).unwrap(), "1");
    std::thread::sleep(Duration::from_millis(200));
}

/// The server's last answer and its end come at once: the client hears the answer, and waits for
/// nothing.
#[test]
fn an_answer_that_comes_with_the_end_of_its_server_session_arrives() {
    use nix::sys::signal::{Signal, kill};
    let folder = tempfile::tempdir().unwrap();
    let journey = promoted(&folder, "CREATE TABLE t (id int PRIMARY KEY)");
    let victim = [("application_name", "victim")];
    let mut client = Raw::connect(journey.proxy.port, "app", "app", &victim);
    client.query("BEGIN");
    let proxy = nix::unistd::Pid::from_raw(journey.proxy.pid().try_into().unwrap());
    let answer = std::thread::scope(|scope| {
        let asked = scope.spawn(|| client.query("SELECT pg_sleep(1)"));
        std::thread::sleep(Duration::from_millis(500));
        kill(proxy, Signal::SIGSTOP).unwrap();
        std::thread::sleep(Duration::from_millis(1000));
        end_victim(&journey);
        kill(proxy, Signal::SIGCONT).unwrap();
        asked.join().unwrap()
    });
    assert!(answer.contains(&"C SELECT 1".to_owned()), "{answer:?}");
    // Its transaction is lost, and says so.
    assert!(client.query("COMMIT").join(" ").contains("57P01"));
    assert!(client.query("SELECT 1").contains(&"C SELECT 1".to_owned()));
}

/// A COMMIT prepared before its transaction was lost, and one behind a driver's ping.
#[test]
fn a_lost_transactions_commit_fails_however_it_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let journey = promoted(&folder, "CREATE TABLE t (id int PRIMARY KEY)");
    let victim = [("application_name", "victim")];
    let mut client = Raw::connect(journey.proxy.port, "app", "app", &victim);
    client.pipeline(1, |_| "P c|COMMIT|".into());
    let lose = |client: &mut Raw, id: u32| {
        client.query("BEGIN");
        assert_eq!(client.query(&format!("INSERT INTO t VALUES ({id})"))[0], "C INSERT 0 1");
        end_victim(&journey);
    };
    lose(&mut client, 1);
    let told = client.pipeline(1, |_| "B |c|\nE |0".into());
    assert!(told[0].starts_with("E ") && told.last().unwrap() == "Z I", "{told:?}");
    lose(&mut client, 2);
    for ping in ["", ";", "-- ping"] {
        assert_eq!(client.query(ping).last().unwrap(), "Z E");
    }
    let told = client.query("COMMIT");
    assert!(told[0].starts_with("E ") && told.last().unwrap() == "Z I", "{told:?}");
    // In the extended protocol from Parse on; and ROLLBACK is no news.
    lose(&mut client, 3);
    let told = client.pipeline(1, |_| "P |COMMIT|\nB ||\nE |0".into());
    assert!(told[0].starts_with("E ") && told.last().unwrap() == "Z I", "{told:?}");
    lose(&mut client, 4);
    assert_eq!(client.query("ROLLBACK"), ["C ROLLBACK", "Z I"]);
    assert_eq!(client.query("SELECT count(*) FROM t")[1], "D 0");
}

/// What a client had still to send of a message is never taken for messages.
#[test]
fn a_server_session_lost_within_a_message_ends_the_connection() {
    let folder = tempfile::tempdir().unwrap();
    let journey = promoted(&folder, "CREATE TABLE t (id int PRIMARY KEY, body text)");
    let victim = [("application_name", "victim")];
    let mut client = Raw::connect(journey.proxy.port, "app", "app", &victim);
    client.query("SELECT 1");
    client.start("COPY t FROM STDIN");
    assert!(client.answers()[0].starts_with('G'));
    // A CopyData of a megabyte, of which a part is sent; its rest looks like a query.
    let mut part = vec![b'd'];
    part.extend(1_000_000_u32.to_be_bytes());
    part.extend(vec![b'x'; 200_000]);
    client.send(&part);
    std::thread::sleep(Duration::from_millis(200));
    end_victim(&journey);
    let text = b"CREATE TABLE smuggled (id int)\0";
    let mut query = vec![b'Q'];
    query.extend((text.len() as u32 + 4).to_be_bytes());
    query.extend(text);
    client.try_send(&query);
    let told = client.answers();
    assert!(told.iter().any(|t| t.starts_with("E ")) && told.last().unwrap() == "END", "{told:?}");
    assert_eq!(journey.proxy.sql("SELECT to_regclass('smuggled') IS NULL"), "t");
}

/// A batch whose Sync is still to come when the server session is lost behind an answered one.
#[test]
fn a_lost_batch_behind_an_answered_one_is_told_its_error() {
    let folder = tempfile::tempdir().unwrap();
    let journey = promoted(&folder, "CREATE TABLE t (id int PRIMARY KEY)");
    let victim = [("application_name", "victim")];
    let mut client = Raw::connect(journey.proxy.port, "app", "app", &victim);
    client.query("SELECT 1");
    client.start("SELECT pg_sleep(60)");
    let early = client.run("P |INSERT INTO t VALUES (1)\nB |\nE\nH");
    assert!(!early.contains("C INSERT"), "{early}");
    end_victim(&journey);
    let told = client.answers();
    assert!(told.iter().any(|t| t.starts_with("E ")) && told.last().unwrap() == "Z I", "{told:?}");
    // Not a word of success, nor a bare Sync: whoever counts errors by batch counts this one.
    let told = client.run("S");
    assert!(told.contains("\nE ERROR") && told.contains("\nZ I"), "{told}");
    assert!(client.query("SELECT count(*) FROM t").contains(&"D 0".to_owned()));
}

/// What a client has made of its server session is not lost in silence: where another session would
/// answer otherwise, the connection ends with its server session, as PostgreSQL's does.
#[test]
fn a_session_that_cannot_be_made_anew_ends_with_its_server_session() {
    let folder = tempfile::tempdir().unwrap();
    let journey = Journey::start(&folder.path().join("app.db"), Pg::shared(), &[]);
    journey.proxy.sql("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int)");
    journey.mirror();
    let victim = [("application_name", "victim")];
    let connect = || Raw::connect(journey.proxy.port, "app", "app", &victim);
    // What was said before the promote is known, and made anew as often as it takes.
    let mut early = connect();
    early.run("Q SET work_mem = '7MB'\nQ LISTEN news\nP kept|SELECT $1::int + 1|23\nS");
    journey.promote();
    assert!(early.query("SHOW work_mem").contains(&"D 7MB".to_owned()));
    end_victim(&journey);
    assert!(early.query("SHOW work_mem").contains(&"D 7MB".to_owned()));
    assert!(early.run("B |kept|41\nE\nS").contains("\nD 42"));
    journey.proxy.sql("NOTIFY news, 'heard'");
    assert!(early.soon().iter().any(|m| m.contains("heard")));
    drop(early);
    for made in [
        "SET search_path = nowhere",
        "SELECT set_config('app.tenant', '5', false)",
        "LISTEN news",
        "PREPARE p AS SELECT 1",
        "SELECT pg_advisory_lock(7)",
        "CREATE TEMP TABLE mine (id int)",
        "BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT 1; COMMIT",
        "BEGIN; SET app.tenant = '5'",
    ] {
        let mut client = connect();
        assert!(client.query(made).iter().all(|t| !t.starts_with("E ")), "{made}");
        end_victim(&journey);
        client.start("SELECT 1");
        let told = client.until_closed();
        assert!(told.iter().any(|t| t.starts_with("E FATAL")), "{made}: {told:?}");
        assert!(told.iter().all(|t| !t.starts_with("D ")), "{made}: {told:?}");
    }
    // A client that has made nothing of it goes on.
    let mut client = connect();
    client.query("BEGIN; SET LOCAL work_mem = '7MB'; UPDATE t SET id = id; COMMIT");
    end_victim(&journey);
    assert!(client.query("SELECT 1").contains(&"D 1".to_owned()));
}

/// Who listens has a reason to move by itself, but not to try without a pause.
#[test]
fn listeners_wait_quietly_while_postgresql_is_away() {
    let mut pg = Pg::start();
    let folder = tempfile::tempdir().unwrap();
    let journey = Journey::start(&folder.path().join("app.db"), &pg, &[]);
    journey.proxy.sql("CREATE TABLE t (id int PRIMARY KEY)");
    journey.mirror();
    let mut listeners: Vec<Raw> = (0..4).map(|_| Raw::proxy(&journey.proxy)).collect();
    for listener in &mut listeners {
        assert_eq!(listener.query("LISTEN news"), ["C LISTEN", "Z I"]);
    }
    journey.promote();
    eventually("they have moved", || {
        let listening = "SELECT count(*) FROM pg_stat_activity WHERE query ~* 'listen'";
        pg.cluster.psql("postgres", listening).unwrap() != "0"
    });
    pg.cluster.stop(true).unwrap();
    let tries = || journey.proxy.log().matches("a session could not move yet").count();
    eventually("they try", || tries() > 0);
    let before = tries();
    std::thread::sleep(Duration::from_secs(2));
    // Each twice a second; without a pause these are thousands.
    assert!(tries() - before < 100, "{} tries in two seconds", tries() - before);
    pg.cluster.resume().unwrap();
    eventually("PostgreSQL serves", || journey.proxy.psql("SELECT 1").0 == 0);
    for listener in &mut listeners {
        eventually("every listener hears", || {
            journey.proxy.sql("NOTIFY news, 'back'");
            listener.soon().iter().any(|m| m.contains("back"))
        });
    }
}

/// PAUSE holds statements, and nobody loses a session by it.
#[test]
fn an_operators_pause_holds_statements_where_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let journey = promoted(&folder, "CREATE TABLE t (id int PRIMARY KEY)");
    let front = crate::common::Proxy::front(folder.path(), &journey.url, &[]);
    let pooled = [("CROSSFADE_POSTGRES_POOL_MODE", "transaction")];
    let second = tempfile::tempdir().unwrap();
    let shared = crate::common::Proxy::front(second.path(), &journey.url, &pooled);
    for proxy in [&front, &shared] {
        eventually("the front serves", || proxy.psql("SELECT 1").0 == 0);
    }
    for proxy in [&journey.proxy, &front, &shared] {
        let mut client = Raw::proxy(proxy);
        let session = !std::ptr::eq(proxy, &raw const shared);
        if session {
            client.query("SET app.tenant = '5'");
            // SQLite has no such function: the statement must be kept, too.
            client.run("P kept|SELECT pg_backend_pid(), pg_postmaster_start_time()|\nS");
        } else {
            client.query("SELECT 1");
        }
        assert_eq!(proxy.cli(&["pause"]).0, 0);
        client.start("SELECT 'answered'");
        assert!(client.soon().is_empty(), "a statement passed an operator's hold");
        assert_eq!(proxy.cli(&["resume"]).0, 0);
        let told = client.answers();
        assert!(told.iter().any(|m| m == "D answered"), "{told:?}");
        if session {
            assert!(client.query("SHOW app.tenant").contains(&"D 5".to_owned()));
            let told = client.run("B |kept|\nE\nS");
            assert!(told.contains("SELECT 1"), "{told}");
        }
    }
}
