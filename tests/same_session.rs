//! What a session has and is told stays the same over a switch, whatever PostgreSQL would give a new
//! one.

use crate::common::{Journey, Pg, Raw};

fn start(folder: &tempfile::TempDir, tables: &str) -> Journey {
    let journey = Journey::start(&folder.path().join("app.db"), Pg::shared(), &[]);
    journey.proxy.sql(tables);
    journey.mirror();
    journey
}

/// Defaults of PostgreSQL's database and role decide nothing while both back ends are there: a path
/// that leads to other tables would take clients' writes where nobody looks for them.
#[test]
fn defaults_of_postgresql_do_not_change_a_session() {
    let folder = tempfile::tempdir().unwrap();
    let pg = Pg::shared();
    let journey = Journey::start(&folder.path().join("app.db"), pg, &[]);
    journey.proxy.sql("CREATE TABLE t (id integer PRIMARY KEY, f double precision)");
    let name = &journey.database;
    let sql = format!(
        "CREATE SCHEMA other; CREATE TABLE other.t (id integer PRIMARY KEY, f double precision); \
         ALTER DATABASE {name} SET search_path = other, public; \
         ALTER DATABASE {name} SET extra_float_digits = 0; \
         ALTER DATABASE {name} SET bytea_output = escape; \
         ALTER DATABASE {name} SET default_transaction_isolation = serializable"
    );
    pg.cluster.psql(name, &sql).unwrap();
    journey.mirror();
    let mut session = Raw::proxy(&journey.proxy);
    session.query("INSERT INTO t VALUES (1, 0.1), (2, 0.2)");
    let questions = [
        "SELECT count(*) FROM t",
        "SELECT sum(f) FROM t",
        "SELECT 0.1::float8 + 0.2::float8",
        "SHOW search_path",
        "SHOW transaction_isolation",
        "SELECT '\\x01ff'::bytea",
    ];
    let asked = |session: &mut Raw| questions.map(|sql| session.query(sql));
    let before = asked(&mut session);
    journey.promote();
    assert_eq!(asked(&mut session), before);
    assert_eq!(asked(&mut Raw::proxy(&journey.proxy)), before, "a new session");
    session.query("SET search_path = other");
    session.query("RESET ALL");
    assert_eq!(asked(&mut session), before, "what RESET returns to");
    session.query("UPDATE t SET f = 7 WHERE id = 1");
    journey.rollback();
    assert_eq!(journey.proxy.sql("SELECT f FROM t WHERE id = 1"), "7");
    // At the end PostgreSQL is the application's own, and so are its defaults.
    journey.promote();
    journey.done(&["complete", "--yes"]);
    assert_eq!(journey.proxy.sql("SHOW search_path"), "other, public");
}

/// A text is of the dialect that it is of, whatever its length.
#[test]
fn long_texts_in_sqlites_dialect_are_rewritten_too() {
    let folder = tempfile::tempdir().unwrap();
    let journey = start(&folder, "CREATE TABLE t (id integer PRIMARY KEY, v text)");
    let mut session = Raw::proxy(&journey.proxy);
    session.query("SET crossfade.dialect = sqlite");
    session.query("INSERT INTO t VALUES (1, 'v1'), (2, 'V12'), (3, 'w')");
    let comment = "x".repeat(80 << 10);
    let rows: Vec<String> =
        (1..2000).map(|id| format!("({id}, 'a text of some length {id}')")).collect();
    let count = format!("SELECT count(*) FROM t WHERE v LIKE 'V1%' /* {comment} */");
    let insert = format!("INSERT OR IGNORE INTO t VALUES {}", rows.join(", "));
    let before = session.query(&count);
    journey.promote();
    assert_eq!(session.query(&count), before);
    assert_eq!(session.query(&insert), ["C INSERT 0 1996", "Z I"]);
    assert_eq!(journey.proxy.sql("SELECT count(*) FROM t"), "1999");
}

/// A snapshot that was taken before the switch is read to its end, and nobody waits for it; nor for
/// a failed transaction, which can only be ended.
#[test]
fn what_is_past_keeps_nobody_from_promoting() {
    let folder = tempfile::tempdir().unwrap();
    let journey = start(&folder, "CREATE TABLE t (id integer PRIMARY KEY, v text)");
    journey.proxy.sql("INSERT INTO t VALUES (1, 'before')");
    let mut reader = Raw::proxy(&journey.proxy);
    reader.query("BEGIN ISOLATION LEVEL REPEATABLE READ");
    let past = reader.query("SELECT count(*) FROM t");
    let mut writer = Raw::proxy(&journey.proxy);
    writer.query("BEGIN ISOLATION LEVEL REPEATABLE READ");
    writer.query("SELECT count(*) FROM t");
    let mut failed = Raw::proxy(&journey.proxy);
    failed.query("BEGIN");
    failed.query("SELECT 1 / 0");
    journey.promote();
    journey.proxy.sql("INSERT INTO t VALUES (2, 'after')");
    assert_eq!(reader.query("SELECT count(*) FROM t"), past);
    assert_eq!(reader.query("COMMIT"), ["C COMMIT", "Z I"]);
    assert_ne!(reader.query("SELECT count(*) FROM t"), past);
    let refused = writer.query("INSERT INTO t VALUES (3, 'on a past')");
    assert!(refused[0].contains("40001"), "{refused:?}");
    writer.query("ROLLBACK");
    assert_eq!(writer.query("INSERT INTO t VALUES (3, 'again')"), ["C INSERT 0 1", "Z I"]);
    assert!(failed.query("SELECT 1")[0].contains("25P02"));
    assert_eq!(failed.query("ROLLBACK"), ["C ROLLBACK", "Z I"]);
    assert_eq!(failed.query("INSERT INTO t VALUES (4, 'ended')"), ["C INSERT 0 1", "Z I"]);
    journey.rollback();
    assert_eq!(journey.proxy.sql("SELECT count(*) FROM t"), "4");
}

/// A transaction that has only read moves with what it has said of constraints.
#[test]
fn deferred_constraints_move_with_their_transaction() {
    let folder = tempfile::tempdir().unwrap();
    let tables = "CREATE TABLE p (id integer PRIMARY KEY);
        CREATE TABLE c (id integer PRIMARY KEY, p integer,
          CONSTRAINT c_p FOREIGN KEY (p) REFERENCES p (id) DEFERRABLE INITIALLY IMMEDIATE)";
    let journey = start(&folder, tables);
    for (id, set) in [(1, "SET CONSTRAINTS ALL DEFERRED"), (2, "SET CONSTRAINTS c_p DEFERRED")] {
        let mut session = Raw::proxy(&journey.proxy);
        session.query("BEGIN");
        session.query("SELECT count(*) FROM c");
        session.query(set);
        journey.promote();
        let child = format!("INSERT INTO c VALUES ({id}, {id})");
        assert_eq!(session.query(&child), ["C INSERT 0 1", "Z T"], "{set}");
        session.query(&format!("INSERT INTO p VALUES ({id})"));
        assert_eq!(session.query("COMMIT"), ["C COMMIT", "Z I"], "{set}");
        journey.rollback();
    }
    assert_eq!(journey.proxy.sql("SELECT count(*) FROM c"), "2");
}
