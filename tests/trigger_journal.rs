//! The way back by row triggers: what differs from logical decoding. The order of changes in a
//! transaction and among transactions, who can switch triggers off, what is left behind.

use std::io::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crossfade::demo::cluster::Cluster;

use crate::common::{Dice, Journey, Pg, Proxy, eventually};
use crate::way_back::{Followed, in_file};

fn start(tables: &str) -> Followed {
    Followed::start(Pg::without_decoding(), tables)
}

/// Runs SQL on PostgreSQL itself, beside the proxy.
fn direct(followed: &Followed, sql: &str) -> String {
    Pg::without_decoding().cluster.psql(&followed.journey.database, sql).unwrap()
}

/// A statement's own triggers fire after those of statements that it causes: what they changed
/// first comes first all the same.
#[test]
fn changes_by_triggers_and_functions_keep_their_order() {
    let followed = start(
        "CREATE TABLE t (id integer PRIMARY KEY, n integer, body text);
         CREATE TABLE log (line text); CREATE TABLE u (id integer PRIMARY KEY, n integer, body text);
         INSERT INTO u SELECT g, 0, 'start' FROM generate_series(1, 9) g;
         INSERT INTO t SELECT g, 0, 'start' FROM generate_series(1, 9) g",
    );
    // A table that only PostgreSQL has triggers on would close the way back: they come and go
    // within one transaction, which leaves the definitions as they were.
    direct(
        &followed,
        "BEGIN;
         CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           IF pg_trigger_depth() < 4 THEN
             UPDATE t SET n = n + 10, body = body || '+' WHERE id = NEW.id OR id = NEW.id + 1;
             INSERT INTO log VALUES ('row ' || NEW.id || ' ' || NEW.n);
           END IF;
           RETURN NULL; END $$;
         CREATE TRIGGER a_first AFTER UPDATE ON t FOR EACH ROW EXECUTE FUNCTION again();
         UPDATE t SET n = n + 1, body = 'outer' WHERE id IN (1, 2, 3, 5);
         INSERT INTO t VALUES (20, 1, 'new') ON CONFLICT (id) DO UPDATE SET n = 7;
         INSERT INTO t VALUES (2, 1, 'new') ON CONFLICT (id) DO UPDATE SET n = 7;
         DROP TRIGGER a_first ON t; DROP FUNCTION again();
         COMMIT",
    );
    direct(
        &followed,
        "BEGIN;
         CREATE FUNCTION touch(integer) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN
           UPDATE u SET body = 'touched by ' || $1, n = 50 WHERE id = $1 - 1;
           IF $1 = 8 THEN DELETE FROM u WHERE id = 6; END IF;
           RETURN $1 * 100; END $$;
         UPDATE u SET n = touch(id) WHERE id BETWEEN 4 AND 9;
         DROP FUNCTION touch(integer);
         COMMIT",
    );
    followed.alike("SELECT id, n, body FROM t ORDER BY id");
    let touched = followed.alike("SELECT id, n, body FROM u ORDER BY id");
    assert!(touched.contains("5|50|touched by 6") && !touched.contains("6|"), "{touched}");
    followed.alike("SELECT line, count(*) FROM log GROUP BY line ORDER BY line");
    followed.back();
}

/// The triggers fire before the application's own: a row that one of these brings back stays.
#[test]
fn a_row_that_a_trigger_brings_back_stays() {
    let followed = start(
        "CREATE TABLE t (id integer PRIMARY KEY, body text); INSERT INTO t VALUES (1, 'a'), (2, 'b')",
    );
    direct(
        &followed,
        "BEGIN;
         CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           INSERT INTO t VALUES (OLD.id, 'back again'); RETURN NULL; END $$;
         CREATE TRIGGER a_first AFTER DELETE ON t FOR EACH ROW EXECUTE FUNCTION again();
         DELETE FROM t WHERE id = 2;
         DROP TRIGGER a_first ON t; DROP FUNCTION again();
         COMMIT",
    );
    let rows = followed.alike("SELECT id, body FROM t ORDER BY id");
    assert!(rows.contains("2|back again"), "{rows}");
    followed.back();
}

/// A table that is emptied behind rows of the same transaction has no certain order.
#[test]
fn rows_behind_an_emptied_table_are_not_lost() {
    let followed =
        start("CREATE TABLE t (id integer PRIMARY KEY, body text); INSERT INTO t VALUES (1, 'a')");
    followed.sql("BEGIN; TRUNCATE t; INSERT INTO t VALUES (7, 'after'); COMMIT");
    followed.alike("SELECT id, body FROM t ORDER BY id");
    followed.sql("BEGIN; INSERT INTO t VALUES (8, 'before'); TRUNCATE t; COMMIT");
    let rows = followed.alike("SELECT count(*) FROM t");
    assert_eq!(rows.trim(), "0");
    followed.back();
}

/// What the journal needs shows in nothing that the session asks about itself.
#[test]
fn lastval_is_the_applications_own() {
    let followed = start("CREATE TABLE s (id serial PRIMARY KEY, body text)");
    let told = followed.sql(
        "INSERT INTO s (body) VALUES ('a'), ('b'); SELECT lastval() = (SELECT max(id) FROM s)",
    );
    assert!(told.ends_with('t'), "{told}");
    followed.alike("SELECT id, body FROM s ORDER BY id");
    followed.back();
}

#[test]
fn nobody_writes_past_the_triggers() {
    let followed = start(
        "CREATE TABLE t (id integer PRIMARY KEY, body text); CREATE TABLE keyless (a integer, b text);
         INSERT INTO t VALUES (1, 'a'), (2, 'b'); INSERT INTO keyless VALUES (1, 'x'), (1, 'x')",
    );
    // As a replica, as pg_restore and replication workers do; COPY; a prepared transaction.
    direct(
        &followed,
        "SET session_replication_role = replica; UPDATE t SET body = 'by a replica' WHERE id = 1; \
         DELETE FROM keyless WHERE ctid = (SELECT min(ctid) FROM keyless)",
    );
    followed.sql("COPY t FROM PROGRAM 'printf \"3\\tcopied\\n4\\tcopied\\n\"'");
    followed.alike("SELECT id, body FROM t ORDER BY id");
    followed.alike("SELECT a, b FROM keyless");
    followed.sql("TRUNCATE keyless");
    followed.sql("INSERT INTO keyless VALUES (NULL, NULL)");
    followed.alike("SELECT count(*), count(a), count(b) FROM keyless");
    followed.back();
    // Off for a moment is off: what was written then nobody knows.
    let followed = start("CREATE TABLE t (id integer PRIMARY KEY, body text)");
    direct(
        &followed,
        "ALTER TABLE t DISABLE TRIGGER ALL; INSERT INTO t VALUES (1, 'unseen'); \
         ALTER TABLE t ENABLE TRIGGER ALL",
    );
    followed.closed(&["table t", "switched off"]);
}

/// What a client has set does not reach what is written for the way back.
#[test]
fn no_setting_of_a_client_changes_what_arrives() {
    let followed = start(
        "CREATE TABLE t (id integer PRIMARY KEY, at timestamptz, day date, span interval, \
           f double precision, b bytea, n numeric(30, 10), c char(5), j jsonb, x text[], w text)",
    );
    followed.sql(
        "SET timezone = 'America/St_Johns'; SET datestyle = 'German'; SET intervalstyle = 'iso_8601'; \
         SET extra_float_digits = -10; SET bytea_output = 'escape'; SET standard_conforming_strings = off;
         INSERT INTO t VALUES (1, '2024-02-03 04:05:06.789+00', '2024-12-31', '1 year 2 days -3.5 s', \
           0.1 + 0.2, decode('00ff5c', 'hex'), 12345678901234567890.123456789, 'ab', \
           '{\"a\": \"x\\\"y\"}', ARRAY['a,b', NULL, '', 'c\"d'], E'tab\\t, \"quote\" (\\\\) é\\n');
         INSERT INTO t (id, w) VALUES (2, ''), (3, NULL);
         UPDATE t SET n = n + 1 WHERE id = 1",
    );
    followed.alike("SELECT id, w FROM t ORDER BY id");
    followed.back();
}

/// Clients that write the same rows at the same time, through the proxy and beside it: both sides
/// are equal in the end, whatever order their transactions had.
#[test]
fn many_writers_of_the_same_rows() {
    let pg = Pg::without_decoding();
    let mut dice = Dice::new();
    let followed = start(
        "CREATE TABLE t (id integer PRIMARY KEY, u integer UNIQUE, n integer NOT NULL, body text);
         CREATE TABLE child (id integer PRIMARY KEY, t integer REFERENCES t ON DELETE CASCADE \
           ON UPDATE CASCADE, n integer);
         CREATE TABLE bag (a integer, b text)",
    );
    for _ in 0..3 {
        let urls = [followed.journey.proxy.url(), followed.journey.url.clone()];
        let writers: Vec<_> = (0..6)
            .map(|writer| {
                let script = script(&mut dice.split(), 60);
                let mut psql = pg
                    .tool("psql")
                    .args(["-X", "-q", "-d", &urls[writer % 2]])
                    .stdin(Stdio::piped())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .spawn()
                    .unwrap();
                psql.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
                psql
            })
            .collect();
        for mut writer in writers {
            writer.wait().unwrap();
        }
        // One of the three may be empty: deleting every row of `t` empties `child`.
        let written: usize = [
            "SELECT id, u, n, body FROM t ORDER BY id",
            "SELECT id, t, n FROM child ORDER BY id",
            "SELECT coalesce(a, -1), b, count(*) FROM bag GROUP BY a, b ORDER BY 1, 2",
        ]
        .iter()
        .map(|sql| followed.alike(sql).len())
        .sum();
        assert_ne!(written, 0, "nothing was written");
    }
    followed.back();
}

/// Transactions over a few rows; some fail, some are rolled back as a whole or in part.
fn script(dice: &mut Dice, transactions: u32) -> String {
    let mut script = String::from("SET lock_timeout = '2s'; SET client_min_messages = error;\n");
    for _ in 0..transactions {
        script.push_str("BEGIN;\n");
        for step in 0..1 + dice.below(5) {
            let (id, other, n) = (dice.below(8), dice.below(8), dice.below(100));
            let statement = match dice.below(10) {
                0 | 1 => format!(
                    "INSERT INTO t VALUES ({id}, {other}, {n}, 'new') ON CONFLICT (id) DO UPDATE \
                     SET n = t.n + 1, body = t.body || '{n}'"
                ),
                2 | 3 => format!("UPDATE t SET n = n + {n}, body = left(body || '.', 40)"),
                4 => format!("UPDATE t SET id = id + 100 - 200 * (id / 100) WHERE id % 100 = {id}"),
                5 => format!("DELETE FROM t WHERE id = {id}"),
                6 => format!("UPDATE t SET u = NULLIF({other}, u) WHERE id = {id}"),
                7 => format!(
                    "INSERT INTO child SELECT {n}, id, {n} FROM t WHERE id = {id} \
                     ON CONFLICT (id) DO UPDATE SET n = child.n + 1"
                ),
                8 => format!("INSERT INTO bag VALUES ({id}, 'b'), ({id}, 'b'), (NULL, '{other}')"),
                _ => format!(
                    "DELETE FROM bag WHERE ctid = (SELECT min(ctid) FROM bag WHERE a = {id}); \
                     UPDATE bag SET b = b || '{n}' WHERE a = {other}"
                ),
            };
            let part = dice.below(6) == 0;
            if part {
                script.push_str(&format!("SAVEPOINT s{step};\n"));
            }
            script.push_str(&format!("{statement};\n"));
            if part {
                script.push_str(&format!("ROLLBACK TO s{step};\n"));
            }
        }
        if dice.below(4) == 0 {
            script
                .push_str(&format!("SELECT pg_sleep({});\n", dice.of(&["0.001", "0.01", "0.03"])));
        }
        script.push_str(if dice.below(6) == 0 { "ROLLBACK;\n" } else { "COMMIT;\n" });
    }
    script
}

/// PostgreSQL may lose what it has answered, if it was told so (`synchronous_commit = off`). SQLite
/// never has what it lost, and has what came afterwards under the same numbers.
#[test]
fn what_postgresql_lost_in_a_crash_is_not_followed() {
    let settings = "wal_level = replica\nsynchronous_commit = off\nwal_writer_delay = 10s";
    let mut pg = Pg { cluster: Cluster::start_with(settings).unwrap() };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let journey = Journey::start(&file, &pg, &[]);
    journey
        .proxy
        .sql("CREATE TABLE t (id serial PRIMARY KEY, n integer); CREATE TABLE log (n integer)");
    journey.mirror();
    journey.promote();
    for round in 0..5 {
        for n in 0..15 {
            let n = round * 100 + n;
            journey
                .proxy
                .sql(&format!("INSERT INTO t(n) VALUES ({n}); INSERT INTO log VALUES ({n})"));
        }
        pg.cluster.stop(true).unwrap();
        pg.cluster.resume().unwrap();
        eventually("PostgreSQL is back", || journey.proxy.psql("SELECT 1").0 == 0);
        let sql = "SELECT (SELECT count(*) FROM t), (SELECT sum(n) FROM t), \
                   (SELECT count(*) FROM log), (SELECT sum(n) FROM log)";
        eventually("both sides are equal", || {
            in_file(&file, sql) == pg.cluster.psql(&journey.database, sql).unwrap()
        });
    }
    journey.rollback();
    journey.level();
    journey.done(&["verify"]);
}

/// The journal keeps only what SQLite does not have, and nothing is left in the end.
#[test]
fn what_was_made_is_trimmed_and_taken_down() {
    let pg = Pg::without_decoding();
    let followed = start("CREATE TABLE t (id integer PRIMARY KEY, body text)");
    let gate = &followed.journey.get("/api/v1/status")["way_back"];
    assert!(gate.as_str().unwrap().contains("by row triggers"), "{gate}");
    for id in 0..200 {
        followed.sql(&format!("INSERT INTO t VALUES ({id}, 'x')"));
    }
    let rows = || direct(&followed, "SELECT count(*) FROM crossfade.way_back_journal");
    eventually("the journal is trimmed", || rows() == "0");
    let left = "SELECT (SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'crossfade%'), \
                (SELECT count(*) FROM pg_proc WHERE proname LIKE 'way_back%'), \
                (SELECT count(*) FROM pg_class WHERE relname LIKE 'way_back%')";
    followed.back();
    assert_eq!(direct(&followed, left), "0|0|0");
    // Not while SQLite is primary, either.
    followed.sql("INSERT INTO t VALUES (1000, 'on SQLite')");
    followed.journey.level();
    followed.journey.promote();
    followed.journey.await_way_back();
    assert_eq!(direct(&followed, "SELECT count(*) FROM pg_trigger WHERE tgenabled = 'A'"), "3");
    followed.journey.done(&["complete", "--yes"]);
    assert_eq!(pg.cluster.psql(&followed.journey.database, left).unwrap(), "0|0|0");
    followed.sql("INSERT INTO t VALUES (1001, 'on PostgreSQL')");
}

/// What has come together while nobody followed is read in portions, in its order: and again from
/// where it stood when the reader is killed in between.
#[test]
fn a_backlog_is_read_in_portions() {
    let mut followed = start(
        "CREATE TABLE t (id integer PRIMARY KEY, n integer); INSERT INTO t VALUES (1, 0);
         CREATE TABLE log (line integer)",
    );
    followed.journey.proxy.kill();
    // Each changes what the one before has left: any other order would end in another row.
    direct(
        &followed,
        "DO $$ BEGIN FOR i IN 1..6000 LOOP
           UPDATE t SET n = n * 3 % 1000003 + i WHERE id = 1;
           INSERT INTO log VALUES (i); COMMIT; END LOOP; END $$",
    );
    let wanted = direct(&followed, "SELECT n, (SELECT count(*) FROM log) FROM t");
    let here = |followed: &Followed| {
        in_file(&followed.file, "SELECT n, (SELECT count(*) FROM log) FROM t")
    };
    followed.journey.proxy.restart();
    eventually("it has begun", || here(&followed) != "0|0");
    assert_ne!(here(&followed), wanted, "nothing was left to be read");
    followed.journey.proxy.restart();
    eventually("all of it has come", || here(&followed) == wanted);
    followed.back();
}

/// More than may be kept: the way back is closed rather than PostgreSQL's disk filled.
#[test]
fn too_much_closes_the_way_back() {
    for pg in [Pg::without_decoding(), Pg::shared()] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("app.db");
        let few = [("CROSSFADE_POSTGRES_WAY_BACK_BYTES_MAX", "1MB")];
        let journey = Journey::start(&file, pg, &few);
        journey.proxy.sql("CREATE TABLE t (id integer PRIMARY KEY, body text)");
        journey.mirror();
        journey.promote();
        // A transaction that stays open keeps the log; one that writes much fills the journal.
        let sql = "BEGIN; INSERT INTO t SELECT g, repeat(md5(g::text), 20) \
                   FROM generate_series(1, 9000) g; SELECT pg_sleep(8); COMMIT";
        journey.proxy.sql(sql);
        eventually("the way back is closed", || {
            let (code, out, stderr) = journey.order(&["rollback", "--dry-run"]);
            code == 4 && format!("{out}{stderr}").contains("way_back_bytes_max")
        });
        let slots = format!(
            "SELECT (SELECT count(*) FROM pg_replication_slots WHERE database = '{0}') + \
             (SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'crossfade%')",
            journey.database
        );
        let none = || pg.cluster.psql(&journey.database, &slots).unwrap() == "0";
        let deadline = Instant::now() + Duration::from_secs(40);
        while !none() {
            assert!(Instant::now() < deadline, "it is kept still\n{}", journey.proxy.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(journey.proxy.sql("SELECT count(*) FROM t"), "9000");
    }
}

/// A role that may not replicate, and owns nothing but what it made.
#[test]
fn a_role_without_replication_has_a_way_back() {
    let pg = Pg::shared();
    let database = pg.database("plain");
    let role = format!("plain_{database}");
    let sql = format!(
        "CREATE ROLE {role} LOGIN; GRANT CREATE ON DATABASE {database} TO {role}; \
         ALTER SCHEMA public OWNER TO {role}"
    );
    pg.cluster.psql(&database, &sql).unwrap();
    let url = pg.cluster.url(&database).replace("postgres@", &format!("{role}@"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let proxy = Proxy::on_file_with(&file, &["--postgres", &url], &[]);
    let journey = Journey { proxy, url, database };
    journey.proxy.sql("CREATE TABLE t (id integer PRIMARY KEY, body text)");
    journey.mirror();
    journey.await_gate("way_back");
    journey.promote();
    journey.proxy.sql("INSERT INTO t VALUES (1, 'a')");
    journey.rollback();
    assert_eq!(journey.proxy.sql("SELECT body FROM t"), "a");
    journey.level();
    journey.done(&["verify"]);
}
