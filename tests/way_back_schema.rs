//! Schema changes that the application makes on PostgreSQL after promote come back to SQLite: at
//! their place among the rows, once, or the way back closes and names the statement. By logical
//! decoding, and by row triggers.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::{Journey, Load, Pg, Proxy, Raw, TABLES, eventually};
use crate::way_back::{Followed, in_file};

fn migrations_arrive_with_their_rows(pg: &Pg) {
    let followed = Followed::start(
        pg,
        "CREATE TABLE book (id integer PRIMARY KEY, title text NOT NULL, note text);
         CREATE TABLE old (id integer PRIMARY KEY);
         INSERT INTO book VALUES (1, 'one', 'x'), (2, 'two', NULL); INSERT INTO old VALUES (1)",
    );
    // One message, one transaction: changes and rows take turns.
    followed.sql(
        "BEGIN; INSERT INTO book VALUES (3, 'three', 'before');
         ALTER TABLE book ADD COLUMN pages integer NOT NULL DEFAULT 100;
         INSERT INTO book VALUES (4, 'four', 'after', 5);
         CREATE TABLE author (id serial PRIMARY KEY, name varchar(40) NOT NULL,
           book_id integer REFERENCES book (id) ON DELETE CASCADE);
         INSERT INTO author (name, book_id) VALUES ('anna', 1), ('ben', 4);
         CREATE INDEX author_book ON author (book_id);
         UPDATE book SET pages = 7 WHERE id = 1; COMMIT",
    );
    followed.alike("SELECT id, title, note, pages FROM book ORDER BY id");
    followed.alike("SELECT id, name, book_id FROM author ORDER BY id");
    followed.sql("ALTER TABLE book RENAME COLUMN title TO name");
    followed.sql("UPDATE book SET name = upper(name) WHERE id = 2");
    followed.sql("ALTER TABLE book ALTER COLUMN pages TYPE bigint");
    followed.sql("UPDATE book SET pages = 5000000000 WHERE id = 2");
    // As migration tools write what may be there already.
    let block = "DO $$ BEGIN CREATE TYPE mood AS ENUM ('sad', 'ok'); \
                 EXCEPTION WHEN duplicate_object THEN NULL; END $$";
    followed.sql(block);
    followed.sql(block);
    followed.sql("ALTER TABLE author ADD COLUMN mood mood NOT NULL DEFAULT 'ok'");
    followed.sql("INSERT INTO author (name, mood) VALUES ('carl', 'sad')");
    followed.sql("ALTER TYPE mood ADD VALUE 'happy'");
    followed.sql("INSERT INTO author (name, mood) VALUES ('dora', 'happy')");
    followed.sql("ALTER TABLE book ADD COLUMN seen timestamptz NOT NULL DEFAULT now()");
    followed.sql("INSERT INTO book (id, name) VALUES (5, 'five')");
    followed.sql("ALTER TABLE book DROP COLUMN note; DROP TABLE old");
    followed.sql("ALTER TABLE book ADD CONSTRAINT named UNIQUE (name)");
    followed.sql("CREATE TABLE log (line text); INSERT INTO log VALUES ('a'), ('a')");
    followed.sql("UPDATE log SET line = 'b' WHERE ctid = (SELECT min(ctid) FROM log)");
    followed.sql("ALTER TABLE log RENAME TO lines; DELETE FROM lines WHERE line = 'a'");
    followed.sql("CREATE VIEW long AS SELECT id, name FROM book WHERE pages > 50");
    followed.sql("CREATE INDEX CONCURRENTLY book_pages ON book (pages)");
    followed.sql("CREATE TABLE copied AS SELECT id, pages FROM book ORDER BY id");
    followed.sql(
        "BEGIN; SELECT id, name INTO names FROM author; DELETE FROM names WHERE id = 1; COMMIT",
    );
    followed.sql("INSERT INTO copied VALUES (99, 1)");
    followed.sql("COMMENT ON TABLE book IS 'of all kinds'");
    followed.sql("CREATE SCHEMA more; CREATE TABLE more.item (id integer PRIMARY KEY, n integer)");
    followed.sql(
        "INSERT INTO more.item VALUES (1, 1), (2, 2); UPDATE more.item SET n = 3 WHERE id = 1",
    );
    followed.sql("ALTER TABLE more.item RENAME COLUMN n TO m; DELETE FROM more.item WHERE id = 2");
    followed.sql(
        "CREATE TABLE parent (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, \
                  twice integer GENERATED ALWAYS AS (n * 2) STORED, n integer)",
    );
    followed.sql("INSERT INTO parent (n) VALUES (4), (5); UPDATE parent SET n = 6 WHERE n = 5");
    followed.alike("SELECT id, name, pages FROM book ORDER BY id");
    followed.alike("SELECT id, name, book_id FROM author ORDER BY id");
    followed.alike("SELECT id, pages FROM copied ORDER BY id");
    followed.alike("SELECT id, name FROM names ORDER BY id");
    followed.alike("SELECT id, n, twice FROM parent ORDER BY id");
    assert_eq!(followed.alike("SELECT line FROM lines"), "b");
    followed.back();
    // The proxy serves the new schema, and the mirror goes on with it.
    let sql = |sql: &str| followed.sql(sql);
    sql("INSERT INTO author (name, book_id, mood) VALUES ('eve', 5, 'happy')");
    sql("INSERT INTO parent (n) VALUES (9); INSERT INTO lines VALUES ('c')");
    assert_eq!(sql("SELECT count(*) FROM long"), "3");
    assert_eq!(sql("SELECT twice FROM parent WHERE n = 9"), "18");
    assert_eq!(sql("SELECT id, m FROM more.item"), "1|3");
    sql("INSERT INTO more.item VALUES (5, 5)");
    let (code, _, stderr) = followed.journey.proxy.psql("INSERT INTO book VALUES (6, 'FIVE')");
    assert_eq!(code, 0, "{stderr}");
    let (code, _, stderr) = followed.journey.proxy.psql("INSERT INTO book VALUES (7, 'FIVE')");
    assert!(code != 0 && stderr.contains("named"), "{stderr}");
    sql("ALTER TABLE lines ADD COLUMN n integer");
    followed.journey.level();
    followed.journey.done(&["verify"]);
    let found = followed.journey.get("/api/v1/divergences");
    assert_eq!(found["divergences"].as_array().unwrap().len(), 0, "{found}");
    followed.journey.promote();
    followed.journey.await_way_back();
    sql("ALTER TABLE author ADD COLUMN more text; UPDATE author SET more = name");
    followed.alike("SELECT id, more FROM author ORDER BY id");
    followed.back();
}

/// What PostgreSQL does not keep, or what is nobody's business, changes nothing here.
fn what_does_not_last_is_not_carried(pg: &Pg) {
    let followed = Followed::start(
        pg,
        "CREATE TABLE t (id integer PRIMARY KEY, body text); INSERT INTO t VALUES (1, 'a')",
    );
    followed.sql("BEGIN; ALTER TABLE t ADD COLUMN never text; CREATE TABLE gone (a int); ROLLBACK");
    followed.sql(
        "BEGIN; SAVEPOINT s; ALTER TABLE t ADD COLUMN never text; INSERT INTO t VALUES (2, 'b', 'c'); \
         ROLLBACK TO s; INSERT INTO t VALUES (2, 'b'); CREATE TABLE kept (a int); \
         INSERT INTO kept VALUES (1); COMMIT",
    );
    assert_ne!(followed.journey.proxy.psql("CREATE TABLE x (a int); SELECT 1/0").0, 0);
    followed.sql("CREATE TEMP TABLE mine (a int); ALTER TABLE mine ADD b int; DROP TABLE mine");
    followed.sql("CREATE TABLE IF NOT EXISTS t (other int); DROP TABLE IF EXISTS nothing");
    followed.sql("ALTER TABLE t ADD COLUMN IF NOT EXISTS body text");
    // Among others of one text.
    followed.sql(
        "CREATE TABLE IF NOT EXISTS t (other int); CREATE TEMP TABLE mine (a int); \
         CREATE TABLE IF NOT EXISTS more (a int PRIMARY KEY); INSERT INTO more VALUES (1), (2); \
         DROP TABLE IF EXISTS nothing; CREATE TABLE short (a int); DROP TABLE IF EXISTS mine; \
         DROP TABLE IF EXISTS short; DROP INDEX IF EXISTS nothing; CREATE TABLE last (a int); \
         ALTER TABLE more ADD COLUMN IF NOT EXISTS a int; ALTER TABLE last ADD COLUMN b int; \
         DROP TABLE IF EXISTS last",
    );
    assert_eq!(followed.alike("SELECT a FROM more ORDER BY a"), "1\n2");
    followed.sql("GRANT SELECT ON t TO PUBLIC; ANALYZE t; REINDEX TABLE t");
    followed.sql("CREATE EXTENSION pg_trgm; ALTER TABLE t SET (fillfactor = 90)");
    followed.sql("DROP EXTENSION pg_trgm; COMMENT ON EXTENSION plpgsql IS 'it'");
    followed.sql("UPDATE t SET body = 'changed' WHERE id = 1");
    assert_eq!(followed.alike("SELECT id, body FROM t ORDER BY id"), "1|changed\n2|b");
    assert_eq!(followed.alike("SELECT a FROM kept"), "1");
    followed.back();
}

fn what_cannot_be_carried_closes_the_way_back(pg: &Pg) {
    let tables =
        "CREATE TABLE t (id integer PRIMARY KEY, body text); INSERT INTO t VALUES (1, 'a')";
    for (ddl, words) in [
        ("CREATE TABLE made (id integer, at point)", &["CREATE TABLE made", "point"][..]),
        ("ALTER TABLE t ADD COLUMN u uuid DEFAULT gen_random_uuid()", &["ADD COLUMN u", "chose"]),
        ("ALTER TABLE t ADD COLUMN n serial", &["ADD COLUMN n", "numbered"]),
        (
            "DO $$ BEGIN EXECUTE 'CREATE TABLE e (a int); CREATE TABLE f (a int)'; END $$",
            &["CREATE TABLE e", "several at once"],
        ),
        ("CREATE UNLOGGED TABLE fast (id integer)", &["UNLOGGED TABLE fast", "not in the log"]),
        ("ALTER TABLE t ENABLE ROW LEVEL SECURITY", &["ROW LEVEL SECURITY"]),
        (
            "CREATE FUNCTION make() RETURNS void LANGUAGE sql AS 'CREATE TABLE inside (a int)'; \
             SELECT make()",
            &["SELECT make()", "does not tell"],
        ),
        (
            "BEGIN; SAVEPOINT s; CREATE TABLE a (x int); ROLLBACK TO s; CREATE TABLE b (x int); COMMIT",
            &["CREATE TABLE a", "ends transactions"],
        ),
    ] {
        let followed = Followed::start(pg, tables);
        followed.sql(ddl);
        followed.closed(words);
        assert_eq!(in_file(&followed.file, "SELECT id, body FROM t"), "1|a");
        // What noted them is taken down.
        let left = "SELECT count(*) FROM pg_event_trigger WHERE evtname LIKE 'crossfade%'";
        eventually("the event triggers are gone", || {
            pg.cluster.psql(&followed.journey.database, left).unwrap() == "0"
        });
    }
}

/// Whatever happens to what notes a change: the change itself succeeds, and the way back closes.
fn a_change_that_is_not_noted_closes_the_way_back(pg: &Pg) {
    let tables = "CREATE TABLE t (id integer PRIMARY KEY); INSERT INTO t VALUES (1)";
    for (harm, words) in [
        ("ALTER TABLE crossfade.way_back_ddl ADD CHECK (n < 0)", "table made was made"),
        ("ALTER EVENT TRIGGER crossfade_way_back DISABLE", "switched off"),
        (
            "ALTER EVENT TRIGGER crossfade_way_back DISABLE; CREATE TABLE early (a int); \
             ALTER EVENT TRIGGER crossfade_way_back ENABLE ALWAYS",
            "switched off",
        ),
        (
            "CREATE OR REPLACE FUNCTION crossfade.way_back_note(event text, tag text, frames text, \
             path text, caller text, zone text, dates text, strings text) RETURNS void \
             LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''broken''; END'",
            "broken",
        ),
    ] {
        let followed = Followed::start(pg, tables);
        pg.cluster.psql(&followed.journey.database, harm).unwrap();
        followed.sql("CREATE TABLE made (id integer)");
        followed.closed(&[words]);
        followed.sql("INSERT INTO made VALUES (1); UPDATE made SET id = 2");
        assert_eq!(followed.sql("SELECT id FROM made"), "2");
    }
}

/// A change that was noted as one thing and is another: the comparison behind the fence undoes the
/// rollback, and from then on nobody is told that the way back is open.
fn a_rollback_undone_by_the_schema_closes_the_way_back(pg: &Pg) {
    let followed = Followed::start(pg, "CREATE TABLE t (id integer PRIMARY KEY)");
    // What no statement does: the table is not what its note says.
    let sql = "BEGIN; CREATE TABLE made (id integer PRIMARY KEY); \
               UPDATE pg_class SET relname = 'hidden' WHERE relname = 'made'; COMMIT";
    pg.cluster.psql(&followed.journey.database, sql).unwrap();
    eventually("the note has arrived", || rusqlite_has(&followed.file, "made"));
    followed.journey.await_way_back();
    let (code, out, stderr) = followed.journey.order(&["rollback", "--yes"]);
    assert_eq!(code, 5, "{out}{stderr}");
    let way_back = followed.journey.status("way_back");
    assert!(way_back.starts_with("closed") && way_back.contains("hidden"), "{way_back}");
    followed.closed(&["came back as another", "hidden"]);
}

/// What a client has set does not reach what is noted, and is known where it counts.
fn settings_of_a_client(pg: &Pg) {
    let followed = Followed::start(
        pg,
        "CREATE TABLE t (id integer PRIMARY KEY, body text); INSERT INTO t VALUES (1, 'a');
         CREATE SCHEMA side; CREATE TABLE side.u (id integer PRIMARY KEY)",
    );
    followed.sql(
        "SET session_replication_role = replica; SET search_path = side, public; \
         SET lc_messages = 'C'; SET timezone = 'Asia/Tokyo'; SET transform_null_equals = on; \
         SET bytea_output = escape; SET extra_float_digits = -5; SET lock_timeout = 0; \
         CREATE TABLE made (id integer PRIMARY KEY, \
           at timestamptz NOT NULL DEFAULT '2024-01-01 00:00:00'); \
         ALTER TABLE u ADD COLUMN n integer DEFAULT 4; INSERT INTO u VALUES (1), (2)",
    );
    followed.sql("INSERT INTO side.made (id) VALUES (1); UPDATE side.u SET n = 5 WHERE id = 2");
    followed.alike("SELECT id, body FROM t");
    followed.journey.rollback();
    assert_eq!(followed.sql("SELECT id, n FROM side.u ORDER BY id"), "1|4\n2|5");
    assert_eq!(
        followed.sql("SET timezone = 'UTC'; SELECT at FROM side.made"),
        "2023-12-31 15:00:00+00"
    );
    followed.journey.level();
    followed.journey.done(&["verify"]);
}

fn clients_migrate_while_rows_flow(pg: &Pg) {
    let followed = Followed::start(pg, TABLES);
    let load = Load::start(followed.journey.proxy.port, 4);
    load.more(50, "before");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for client in 0..3 {
            let (followed, stop) = (&followed, &stop);
            scope.spawn(move || {
                for round in 0.. {
                    let name = format!("made_{client}_{round}");
                    followed.sql(&format!(
                        "BEGIN; CREATE TABLE {name} (id serial PRIMARY KEY, body text); \
                         INSERT INTO {name} (body) SELECT 'row ' || g FROM generate_series(1, 20) g; \
                         ALTER TABLE {name} ADD COLUMN n integer NOT NULL DEFAULT {round}; COMMIT"
                    ));
                    followed.sql(&format!("UPDATE {name} SET n = n + id; CREATE INDEX ON {name} (n)"));
                    if round % 3 == 0 {
                        followed.sql(&format!("DROP TABLE {name}"));
                    }
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                }
            });
        }
        for (n, change) in [
            "ALTER TABLE ledger ADD COLUMN a integer DEFAULT 1",
            "CREATE INDEX ledger_client ON ledger (client)",
            "ALTER TABLE ledger ALTER COLUMN a SET DEFAULT 2",
            "ALTER TABLE trail ADD COLUMN more text DEFAULT 'x'",
            "ALTER TABLE ledger DROP COLUMN a",
            "ALTER TABLE trail DROP COLUMN more",
        ]
        .into_iter()
        .enumerate()
        {
            followed.sql(change);
            load.more(30, &format!("behind change {n}"));
        }
        stop.store(true, Ordering::Relaxed);
    });
    followed.alike("SELECT count(*) FROM counter");
    followed.journey.rollback();
    load.more(50, "on SQLite");
    load.rest();
    followed.journey.level();
    followed.journey.done(&["verify"]);
    let rows = |sql: &str| -> Vec<i64> {
        in_file(&followed.file, sql).lines().map(|line| line.parse().unwrap()).collect()
    };
    let counted = rows("SELECT sum(n) FROM counter")[0];
    load.check("sqlite", &rows("SELECT id FROM ledger"), &rows("SELECT id FROM trail"), counted);
}

/// kill -9 of the proxy around the commit that carries a change: once, and whole.
fn killed_in_the_middle_of_a_change(pg: &Pg) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let mut journey = Journey::start(&file, pg, &[]);
    journey.proxy.sql("CREATE TABLE t (id integer PRIMARY KEY); CREATE TABLE log (n integer)");
    journey.mirror();
    journey.promote();
    journey.await_way_back();
    let there = |journey: &Journey, sql: &str| pg.cluster.psql(&journey.database, sql).unwrap();
    let points = ["before_commit", "after_commit", "synced", "before_commit", "after_commit"];
    for (n, point) in points.iter().enumerate() {
        let failpoint = format!("way_back.{point}:1");
        journey.proxy.kill();
        there(
            &journey,
            &format!(
                "BEGIN; INSERT INTO log VALUES ({n}); ALTER TABLE t ADD COLUMN c{n} integer DEFAULT {n}; \
                 INSERT INTO t VALUES ({n}); CREATE TABLE made{n} (id integer PRIMARY KEY); \
                 INSERT INTO made{n} VALUES ({n}); COMMIT"
            ),
        );
        journey.restart_with(&[("CROSSFADE_FAILPOINT", &failpoint)]);
        eventually("the failpoint is hit", || journey.proxy.ended());
        journey.restart_with(&[]);
        journey.await_status("phase", "promoted");
        let sql = format!("SELECT count(*), sum(c{n}) FROM t");
        let wanted = there(&journey, &sql);
        eventually("SQLite has it", || {
            rusqlite_has(&file, &format!("made{n}")) && in_file(&file, &sql) == wanted
        });
        let rows = "SELECT count(*), count(DISTINCT n) FROM log";
        assert_eq!(in_file(&file, rows), there(&journey, rows), "{point}");
    }
    journey.rollback();
    journey.proxy.sql("INSERT INTO t (id) VALUES (100); INSERT INTO made3 VALUES (100)");
    journey.level();
    journey.done(&["verify"]);
}

fn rusqlite_has(file: &std::path::Path, table: &str) -> bool {
    in_file(file, &format!("SELECT count(*) FROM sqlite_schema WHERE name = '{table}'")) == "1"
}

/// A rollback that is ordered right behind a change waits for it, as for rows.
fn a_rollback_right_after_a_change(pg: &Pg) {
    let followed =
        Followed::start(pg, "CREATE TABLE t (id integer PRIMARY KEY); INSERT INTO t VALUES (1)");
    followed.sql("CREATE TABLE made (id integer); ALTER TABLE t ADD COLUMN n integer DEFAULT 3");
    followed.journey.done(&["rollback", "--yes"]);
    assert_eq!(followed.sql("SELECT n, (SELECT count(*) FROM made) FROM t"), "3|0");
    followed.journey.level();
    followed.journey.done(&["verify"]);
}

/// What notes changes is taken down at the end, and tables are as the application made them.
fn nothing_is_left_behind(pg: &Pg) {
    let followed = Followed::start(pg, "CREATE TABLE t (id integer PRIMARY KEY)");
    followed.sql("CREATE TABLE keyless (a integer); INSERT INTO keyless VALUES (1)");
    followed.sql("UPDATE keyless SET a = 2");
    assert_eq!(followed.alike("SELECT a FROM keyless"), "2");
    followed.journey.done(&["complete", "--yes"]);
    let left = "SELECT (SELECT count(*) FROM pg_event_trigger), \
                (SELECT count(*) FROM pg_proc WHERE pronamespace = 'crossfade'::regnamespace), \
                (SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal), \
                (SELECT count(*) FROM pg_publication), \
                (SELECT string_agg(relreplident::text, '' ORDER BY relname) FROM pg_class \
                 WHERE relname IN ('t', 'keyless'))";
    assert_eq!(pg.cluster.psql(&followed.journey.database, left).unwrap(), "0|0|0|0|dd");
    followed.sql("CREATE TABLE later (a integer); INSERT INTO later VALUES (1)");
    followed.sql("UPDATE later SET a = 2; DROP TABLE keyless");
}

/// The application's role knows nothing of schema `crossfade`; control is a superuser.
fn two_roles(pg: &Pg) {
    let database = pg.database("noted");
    let role = format!("app_{database}");
    let sql = format!("CREATE ROLE {role} LOGIN; GRANT CREATE, USAGE ON SCHEMA public TO {role}");
    pg.cluster.psql(&database, &sql).unwrap();
    let control = pg.cluster.url(&database);
    let url = control.replace("postgres@", &format!("{role}@"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let envs = [("CROSSFADE_POSTGRES_CONTROL_URL", control.as_str())];
    let proxy = Proxy::on_file_with(&file, &["--postgres", &url], &envs);
    let journey = Journey { proxy, url, database };
    journey.proxy.sql("CREATE TABLE t (id serial PRIMARY KEY, body text)");
    journey.mirror();
    journey.promote();
    journey.await_way_back();
    journey.proxy.sql("ALTER TABLE t ADD COLUMN n integer; CREATE TABLE made (id integer)");
    journey.proxy.sql("INSERT INTO t (body, n) VALUES ('a', 1); INSERT INTO made VALUES (1)");
    journey.proxy.sql("UPDATE made SET id = 2");
    let (code, _, stderr) = journey.proxy.psql("SELECT * FROM crossfade.way_back_ddl");
    assert!(code != 0 && stderr.contains("permission denied"), "{stderr}");
    journey.rollback();
    assert_eq!(journey.proxy.sql("SELECT body, n, (SELECT id FROM made) FROM t"), "a|1|2");
    journey.proxy.sql("DROP TABLE made; ALTER TABLE t DROP COLUMN n");
    journey.level();
    journey.done(&["verify"]);
    journey.promote();
    journey.await_way_back();
    journey.proxy.sql("CREATE TABLE made (id integer PRIMARY KEY); INSERT INTO made VALUES (7)");
    journey.rollback();
    assert_eq!(journey.proxy.sql("SELECT id FROM made"), "7");
}

/// Prepared statements, and a session that stays: DDL by the extended protocol.
fn by_the_extended_protocol(pg: &Pg) {
    let followed = Followed::start(pg, "CREATE TABLE t (id integer PRIMARY KEY)");
    let mut raw = Raw::proxy(&followed.journey.proxy);
    let said = raw.run(
        "P s|ALTER TABLE t ADD COLUMN n integer DEFAULT 7\nB |s\nE\nS\n\
         P |INSERT INTO t (id) VALUES (1)\nB |\nE\nS",
    );
    assert!(said.contains("ALTER TABLE"), "{said}");
    assert_eq!(followed.alike("SELECT id, n FROM t"), "1|7");
    followed.back();
}

/// Each of these tests, on a server whose log can be decoded and on one where it cannot.
macro_rules! both_ways {
    ($($name:ident)*) => {
        mod decoding {
            use crate::common::Pg;
            $(#[test] fn $name() { super::$name(Pg::shared()); })*
        }
        mod triggers {
            use crate::common::Pg;
            $(#[test] fn $name() { super::$name(Pg::without_decoding()); })*
        }
    };
}

both_ways! {
    migrations_arrive_with_their_rows
    what_does_not_last_is_not_carried
    what_cannot_be_carried_closes_the_way_back
    a_change_that_is_not_noted_closes_the_way_back
    a_rollback_undone_by_the_schema_closes_the_way_back
    settings_of_a_client
    clients_migrate_while_rows_flow
    killed_in_the_middle_of_a_change
    a_rollback_right_after_a_change
    nothing_is_left_behind
    two_roles
    by_the_extended_protocol
}
