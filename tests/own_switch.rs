//! The switch to a PostgreSQL schema of the application's own: numbers go on past the highest, and
//! rows find their way back whatever PostgreSQL's key is.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::Journey;
use crate::own_schema::Own;

/// What the file has, once everything was followed.
fn back(own: &Own, journey: &Journey, sql: &str) -> String {
    journey.rollback();
    own.stored(sql)
}

/// A default that names a sequence which belongs to nobody; one sequence for two tables.
#[test]
fn sequences_that_no_column_owns_go_on() {
    let own = Own::new(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'a'), (9, 'c');
         CREATE TABLE a(id INTEGER PRIMARY KEY); INSERT INTO a VALUES (50);
         CREATE TABLE b(id INTEGER PRIMARY KEY); INSERT INTO b VALUES (7);",
        "CREATE SEQUENCE my_ids; CREATE TABLE t(id bigint PRIMARY KEY DEFAULT nextval('my_ids'), v text);
         CREATE SEQUENCE shared;
         CREATE TABLE a(id bigint PRIMARY KEY DEFAULT nextval('shared'));
         CREATE TABLE b(id bigint PRIMARY KEY DEFAULT nextval('shared'));",
    );
    let journey = own.start();
    journey.mirror();
    journey.promote();
    assert_eq!(journey.proxy.sql("INSERT INTO t(v) VALUES ('new') RETURNING id"), "10");
    assert_eq!(journey.proxy.sql("INSERT INTO b DEFAULT VALUES RETURNING id"), "51");
    assert_eq!(journey.proxy.sql("INSERT INTO a DEFAULT VALUES RETURNING id"), "52");
    assert_eq!(back(&own, &journey, "SELECT group_concat(id, ' ') FROM t"), "1 9 10");
}

/// A default that calls a function: nobody can set that past the highest number.
#[test]
fn numbers_of_a_function_hold_the_gate() {
    let own = Own::new(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'b');",
        "CREATE SEQUENCE hidden; CREATE FUNCTION next_id() RETURNS bigint LANGUAGE sql AS
           $$ SELECT nextval('hidden') $$;
         CREATE TABLE t(id bigint PRIMARY KEY DEFAULT next_id(), v text);",
    );
    let journey = own.start();
    journey.mirror();
    let (code, task, stderr) = journey.promote_once();
    let said = format!("{stderr}{task}");
    assert_eq!(code, 4, "{said}");
    assert!(said.contains("sequences") && said.contains("t.id"), "{said}");
    own.shadow("ALTER TABLE t ALTER id SET DEFAULT nextval('hidden')");
    journey.done(&["verify"]);
    for one in journey.get("/api/v1/divergences")["divergences"].as_array().unwrap() {
        let id = one["id"].as_str().unwrap();
        journey.proxy.cli(&["divergences", "accept", id, "--reason", "by hand"]);
    }
    journey.await_gate("sequences");
    journey.promote();
    assert_eq!(journey.proxy.sql("INSERT INTO t(v) VALUES ('new') RETURNING id"), "3");
}

const OTHER_KEY: [&str; 2] = [
    "CREATE TABLE t(code TEXT PRIMARY KEY, v TEXT); INSERT INTO t VALUES ('x', '1'), ('y', '2');",
    "CREATE TABLE t(id bigserial PRIMARY KEY, code varchar(20) NOT NULL UNIQUE, v text, extra text DEFAULT 'e');",
];

fn other_key(config: &str) {
    let own = Own::new(OTHER_KEY[0], OTHER_KEY[1]);
    let journey = own.start_with(config);
    journey.mirror();
    journey.await_gate("way_back");
    journey.promote();
    journey.proxy.sql("UPDATE t SET v = 'after' WHERE code = 'x'; DELETE FROM t WHERE code = 'y'");
    journey.proxy.sql("INSERT INTO t(code, v) VALUES ('z', 'new'); UPDATE t SET extra = 'f'");
    let all = "SELECT group_concat(code || v, ' ') FROM (SELECT * FROM t ORDER BY code)";
    assert_eq!(back(&own, &journey, all), "xafter znew");
    journey.done(&["verify"]);
    // Nothing of it stays.
    let identity = "SELECT relreplident FROM pg_class WHERE oid = 't'::regclass";
    crate::common::eventually("no probe runs", || own.shadow(identity) == "d");
}

/// PostgreSQL tells rows apart by a column that SQLite has not.
#[test]
fn rows_come_back_by_sqlites_key() {
    other_key("");
}

#[test]
fn rows_come_back_by_sqlites_key_through_triggers() {
    other_key("[postgres]\nway_back = \"triggers\"\n");
}

/// Rows that are decoded while the way back is probed have PostgreSQL's own columns, too.
#[test]
fn the_probe_reads_rows_with_columns_of_postgresqls_own() {
    let own = Own::new(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'a');",
        "CREATE TABLE t(id bigserial PRIMARY KEY, v text, extra text DEFAULT 'e');",
    );
    let journey = own.start();
    journey.mirror();
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = crate::common::Raw::proxy(&journey.proxy);
            for n in 0.. {
                if ended.load(Ordering::Relaxed) {
                    break;
                }
                client.run(&format!("Q update t set v = 'w{n}' where id = 1"));
            }
        });
        std::thread::sleep(std::time::Duration::from_millis(300));
        let (code, task, stderr) = journey.try_promote();
        ended.store(true, Ordering::Relaxed);
        assert_eq!(code, 0, "{stderr}{task}");
        assert!(format!("{task}").contains("by logical decoding"), "{task}");
        assert!(!format!("{task}").contains("that SQLite has not"), "{task}");
    });
    journey.proxy.sql("UPDATE t SET v = 'b' WHERE id = 1");
    assert_eq!(back(&own, &journey, "SELECT v FROM t"), "b");
}

/// Tables that only PostgreSQL has (of the migrations, of an audit) are in nobody's way: the
/// switch goes over, the application can write and change them, and the way back stays open.
fn beside_others(config: &str) {
    let own = Own::new(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'b');",
        "CREATE TABLE t(id bigint PRIMARY KEY, v text);
         CREATE TABLE alembic_version(version_num varchar(32) PRIMARY KEY);
         INSERT INTO alembic_version VALUES ('1a2b');
         CREATE TABLE audit(t bigint REFERENCES t, w text); INSERT INTO audit VALUES (NULL, 'old');",
    );
    let journey = own.start_with(config);
    journey.mirror();
    let (code, task, stderr) = journey.promote_with(&["--rehearse"]);
    assert_eq!(code, 0, "{stderr}{task}");
    journey.promote();
    journey.await_way_back();
    journey
        .proxy
        .sql("INSERT INTO audit VALUES (1, 'new'); UPDATE audit SET w = 'older' WHERE t IS NULL");
    journey
        .proxy
        .sql("UPDATE alembic_version SET version_num = '3c4d'; UPDATE t SET v = 'c' WHERE id = 1");
    // Nor do changes of their own schema concern SQLite.
    journey.proxy.sql("ALTER TABLE audit ADD COLUMN at timestamptz DEFAULT now()");
    journey.proxy.sql("CREATE INDEX audit_w ON audit (w); INSERT INTO audit VALUES (2, 'newer')");
    journey
        .proxy
        .sql("DROP INDEX audit_w; DROP TABLE alembic_version; DELETE FROM audit WHERE t = 2");
    journey.proxy.sql("INSERT INTO t VALUES (3, 'd')");
    let all = "SELECT group_concat(id || v, ' ') FROM (SELECT * FROM t ORDER BY id)";
    assert_eq!(back(&own, &journey, all), "1c 2b 3d");
    assert_eq!(own.shadow("SELECT string_agg(w, ' ' ORDER BY w) FROM audit"), "new older");
    journey.done(&["verify"]);
    journey.promote();
    journey.done(&["complete", "--yes"]);
    let identity = "SELECT relreplident FROM pg_class WHERE oid = 'audit'::regclass";
    crate::common::eventually("it is as it was", || own.shadow(identity) == "d");
}

#[test]
fn tables_of_postgresqls_own_are_in_nobodys_way() {
    beside_others("");
}

#[test]
fn tables_of_postgresqls_own_are_in_no_triggers_way() {
    beside_others("[postgres]\nway_back = \"triggers\"\n");
}

/// What had to be relaxed for rows with their numbers is as it was when all is over.
#[test]
fn generated_always_comes_back() {
    let own = Own::new(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, n TEXT); INSERT INTO t VALUES (1, 'a');",
        "CREATE TABLE t(id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n text)",
    );
    let identity =
        "SELECT attidentity FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum = 1";
    let journey = own.start();
    journey.mirror();
    journey.proxy.sql("UPDATE t SET id = 5 WHERE id = 1");
    journey.level();
    journey.done(&["verify"]);
    journey.promote();
    assert_eq!(own.shadow(identity), "d");
    journey.done(&["complete", "--yes"]);
    assert_eq!(own.shadow(identity), "a");
    assert_eq!(journey.proxy.sql("INSERT INTO t(n) VALUES ('b') RETURNING id"), "6");
}

/// PostgreSQL's columns are of other types than those that the file has: what PostgreSQL accepts goes
/// to it as it is, whatever the file's types would make of it; what it refuses still has SQLite's
/// meaning.
#[test]
fn what_postgresql_accepts_goes_as_it_is() {
    let own = Own::new(
        "CREATE TABLE nn(k TEXT PRIMARY KEY, v TEXT); INSERT INTO nn VALUES ('1', 'a'), ('2', NULL), ('3', 'c');
         CREATE TABLE b(id INTEGER PRIMARY KEY, f INTEGER, d TEXT); INSERT INTO b VALUES (1, 1, '2020-01-01');",
        "CREATE TABLE nn(k int PRIMARY KEY, v text);
         CREATE TABLE b(id bigint PRIMARY KEY, f boolean, d date);",
    );
    let journey = own.start();
    journey.mirror();
    journey.promote();
    for sql in [
        "SELECT * FROM nn WHERE k = 1",
        "SELECT k + 1 FROM nn ORDER BY 1",
        "SELECT * FROM nn WHERE k IN (1, 3) ORDER BY k",
        "SELECT * FROM b WHERE f = true",
        "SELECT * FROM b WHERE f",
        "SELECT d + 1 FROM b",
        "SELECT extract(year FROM d) FROM b",
        "WITH one AS (SELECT k FROM nn WHERE k = 1) SELECT * FROM one",
        "EXPLAIN (COSTS OFF) SELECT d + 1 FROM b",
        "COPY (SELECT d + 1 FROM b) TO STDOUT",
        "SELECT 1; SELECT v FROM nn WHERE k = 1",
    ] {
        assert_eq!(journey.proxy.sql(sql), own.shadow(sql), "{sql}");
    }
    let mut client = crate::common::Raw::proxy(&journey.proxy);
    for types in ["", "|23"] {
        let select = client.run(&format!("P |SELECT v FROM nn WHERE k = $1{types}\nB ||1\nE\nS"));
        assert!(select.contains("D a") && !select.contains("\nE"), "{select}");
    }
    journey.proxy.sql("UPDATE nn SET v = 'x' WHERE k = 1; DELETE FROM nn WHERE k = 3");
    journey.proxy.sql("CREATE TABLE made AS SELECT k + 1 AS k FROM nn WHERE k = 1");
    assert_eq!(own.shadow("SELECT * FROM made"), "2");
    // What is left over of SQLite's dialect is read as that.
    assert_eq!(journey.proxy.sql("SELECT ifnull(v, '-') FROM nn WHERE v IS NULL"), "-");
    assert_eq!(journey.proxy.sql("SELECT strftime('%Y', '2020-05-06')"), "2020");
    // What neither takes is refused in PostgreSQL's own words.
    let (_, _, said) = journey.proxy.psql("SELECT nosuch(k) FROM nn WHERE k = 1");
    assert!(said.contains("function nosuch(integer) does not exist"), "{said}");
}
