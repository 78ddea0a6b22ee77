//! Types and functions that clients make, through the whole journey: copied, mirrored, verified,
//! promoted, followed and brought back.

use crate::common::{Journey, Pg, eventually};

const MADE: &str = "
    CREATE TYPE pair AS (x int, y text, n numeric(6, 2), at timestamptz);
    CREATE TABLE t(id int PRIMARY KEY, b pair, bs pair[]);
    CREATE TABLE loose(b pair, n int);
    CREATE TABLE log(id serial PRIMARY KEY, m text);
    INSERT INTO t SELECT g, (g, 'a b' || g, g / 7.0, '2024-01-01T00:00:00Z')::pair,
      array[(g, null, null, null)::pair, null] FROM generate_series(1, 40) g;
    INSERT INTO loose VALUES ((1, 'same', null, null), 1), ((1, 'same', null, null), 1);
    CREATE FUNCTION note(m_ text) RETURNS int LANGUAGE plpgsql AS $$ DECLARE n int;
      BEGIN INSERT INTO log(m) VALUES (m_) RETURNING id INTO n; UPDATE t SET bs = array[b]
        WHERE id = n; RETURN n; END $$;
    CREATE TABLE booked(id int PRIMARY KEY, during int4range, EXCLUDE USING gist (during WITH &&));
    INSERT INTO booked VALUES (1, '[1,5)'), (2, '[5,9)');
    CREATE FUNCTION twice(t text, n int DEFAULT 2, OUT a text, OUT b int) LANGUAGE plpgsql AS
      $$ BEGIN a := t || n; b := n; END $$;
    CREATE FUNCTION ids_from(low int) RETURNS TABLE(n int) LANGUAGE sql STABLE AS
      'SELECT id FROM t WHERE id >= low ORDER BY id';
    COMMENT ON FUNCTION ids_from(int) IS 'ids';
    CREATE FUNCTION twice(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
";

fn all(journey: &Journey, sql: &str) -> String {
    let on = |url: &str| {
        let found = Pg::shared().tool("psql").args(["-qAtX", url, "-c", sql]).output().unwrap();
        String::from_utf8_lossy(&found.stdout).into_owned()
    };
    let (here, there) = (journey.proxy.sql(sql), on(&journey.url));
    assert_eq!(here.trim(), there.trim(), "{sql}");
    here
}

#[test]
fn types_and_functions_of_clients_make_the_whole_journey() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let mut journey = Journey::start(&file, Pg::shared(), &[]);
    journey.proxy.sql(MADE);
    journey.mirror();
    for sql in [
        "SELECT note('one')",
        "BEGIN; SELECT note('lost'); ROLLBACK",
        "BEGIN; SELECT note('two'); SELECT note('three'); COMMIT",
        "UPDATE t SET b = (8, 'q\"uo,te', 1.5, now()), bs = NULL WHERE id = 8",
        "UPDATE t SET b = NULL WHERE id = twice(5)",
        "DELETE FROM loose WHERE n = 1",
        "INSERT INTO loose VALUES ((null, '', null, null), 2)",
        "ALTER TYPE pair ADD ATTRIBUTE z int",
        "INSERT INTO t VALUES (100, (1, 'new', 2, null, 3), '{}')",
        "ALTER TYPE pair DROP ATTRIBUTE x",
        "UPDATE t SET b = ('after', 9.25, null, 4) WHERE id = 11",
        "CREATE TYPE later AS (k int); CREATE TABLE made(l later); INSERT INTO made VALUES ('(5)')",
        "CREATE FUNCTION thrice(i int) RETURNS int LANGUAGE sql AS 'SELECT $1 * 3'",
        "CREATE PROCEDURE noted(m_ text, k int DEFAULT 2) LANGUAGE plpgsql AS
           $$ BEGIN FOR i IN 1..k LOOP INSERT INTO log(m) VALUES (m_ || i); END LOOP; END $$",
        "CALL noted('by a procedure')",
        "CREATE TABLE span(r int4range, CONSTRAINT apart EXCLUDE USING gist (r WITH &&))",
        "INSERT INTO span SELECT int4range(n * 10, n * 10 + 5) FROM ids_from(35)",
        "ALTER TABLE loose ADD CONSTRAINT no_n EXCLUDE USING btree (n WITH =)",
        "MERGE INTO booked b USING (VALUES (1, '[2,4)'::int4range), (3, '[20,21)')) v(k, r) ON b.id = v.k
           WHEN MATCHED THEN UPDATE SET during = v.r WHEN NOT MATCHED THEN INSERT VALUES (v.k, v.r)",
        "EXPLAIN ANALYZE INSERT INTO booked VALUES (9, '[90,91)')",
        "DROP FUNCTION twice(text, int)",
    ] {
        journey.proxy.sql(sql);
    }
    journey.level();
    journey.done(&["verify"]);
    all(&journey, "SELECT * FROM t ORDER BY id");
    all(&journey, "SELECT * FROM loose ORDER BY n");
    all(&journey, "SELECT * FROM log ORDER BY id");
    all(&journey, "SELECT * FROM made");
    all(&journey, "SELECT twice(4), thrice(4)");
    all(&journey, "SELECT * FROM booked ORDER BY id");
    all(&journey, "SELECT * FROM span ORDER BY r");
    all(&journey, "SELECT n FROM ids_from(38)");
    all(
        &journey,
        "SELECT proname, pg_get_function_arguments(oid), obj_description(oid, 'pg_proc')
      FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1, 2",
    );
    all(
        &journey,
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'x'
      ORDER BY 1",
    );
    journey.restart_with(&[]);
    journey.proxy.sql("SELECT note('after a restart')");
    journey.level();
    journey.promote();
    journey.await_way_back();
    journey.proxy.sql("SELECT note('on PostgreSQL')");
    journey.proxy.sql(
        "UPDATE t SET b = ('pg, \"x\"', 3.50, '2025-02-03', null), bs = array[b] WHERE id = 20",
    );
    journey.proxy.sql("INSERT INTO loose VALUES (('r', null, null, 1), 7)");
    eventually("the file follows", || {
        let file = rusqlite::Connection::open(&file).unwrap();
        let sql = "SELECT count(*) FROM loose WHERE n = 7";
        let found: i64 = file.query_row(sql, [], |r| r.get(0)).unwrap();
        found == 1
    });
    let before = journey.proxy.sql("SELECT * FROM t ORDER BY id");
    journey.rollback();
    assert_eq!(journey.proxy.sql("SELECT * FROM t ORDER BY id"), before);
    assert_eq!(journey.proxy.sql("SELECT (b).y, n FROM loose ORDER BY n").trim(), "|2\nr|7");
    journey.proxy.sql("SELECT note('on SQLite again')");
}
