//! Tables of schemas other than public through the whole journey: copied, mirrored, verified,
//! promoted, followed and brought back.

use crate::common::{Journey, Pg, eventually};

const MADE: &str = "
    CREATE SCHEMA s; CREATE SCHEMA \"Odd one\";
    CREATE TYPE s.mood AS ENUM ('sad', 'ok');
    CREATE DOMAIN s.small AS int CHECK (VALUE < 100);
    CREATE SEQUENCE s.free START 7;
    CREATE TABLE t(id serial PRIMARY KEY, v text);
    CREATE TABLE s.t(id serial PRIMARY KEY, v text UNIQUE, m s.mood DEFAULT 'ok', n s.small);
    CREATE TABLE \"Odd one\".\"T\"(id int PRIMARY KEY, t int REFERENCES s.t(id) ON DELETE CASCADE,
      k bigint DEFAULT nextval('s.free'));
    CREATE VIEW s.w AS SELECT t.id, t.m FROM s.t;
    CREATE INDEX i ON s.t(m) WHERE id > 0;
    COMMENT ON SCHEMA s IS 'second';
    CREATE MATERIALIZED VIEW s.m AS SELECT count(*) AS many FROM s.t;
    INSERT INTO t(v) SELECT 'public ' || g FROM generate_series(1, 20) g;
    INSERT INTO s.t(v, n) SELECT 's ' || g, g FROM generate_series(1, 50) g;
    INSERT INTO \"Odd one\".\"T\" SELECT g, g FROM generate_series(1, 30) g;
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
fn other_schemas_make_the_whole_journey() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let mut journey = Journey::start(&file, Pg::shared(), &[]);
    journey.proxy.sql(MADE);
    journey.mirror();
    // The mirror carries rows, DDL and sequences, also of a schema that is made later.
    for sql in [
        "INSERT INTO s.t(v, m) VALUES ('later', 'sad')",
        "UPDATE s.t SET n = n + 1 WHERE id < 4",
        "DELETE FROM s.t WHERE id = 5",
        "SET search_path = s, public; CREATE TABLE made(id serial PRIMARY KEY, m mood DEFAULT 'sad', \
         k int DEFAULT nextval('free') CHECK (k > 0)); INSERT INTO made DEFAULT VALUES; \
         CREATE VIEW v AS SELECT made.id, k, t.v FROM made JOIN t USING (id)",
        "CREATE SCHEMA later; CREATE TABLE later.x(id int PRIMARY KEY, r int REFERENCES s.made)",
        "INSERT INTO later.x VALUES (1, 1)",
        "ALTER TABLE t SET SCHEMA later; ALTER SCHEMA later RENAME TO late",
        "INSERT INTO late.t(v) VALUES ('moved')",
        "REFRESH MATERIALIZED VIEW s.m; CREATE MATERIALIZED VIEW late.m AS SELECT id FROM s.made; \
         CREATE UNIQUE INDEX ON late.m(id)",
        "CREATE SCHEMA gone; CREATE TABLE gone.t(id int); DROP SCHEMA gone CASCADE",
        "TRUNCATE \"Odd one\".\"T\"",
        "INSERT INTO \"Odd one\".\"T\" VALUES (1, 1), (2, 2)",
    ] {
        journey.proxy.sql(sql);
    }
    journey.level();
    journey.done(&["verify"]);
    journey.done(&["verify", "s.t"]);
    assert_eq!(all(&journey, "SELECT count(*), sum(n) FROM s.t"), "50|1273");
    all(&journey, "SELECT * FROM s.v ORDER BY id");
    all(&journey, "SELECT * FROM late.t ORDER BY id");
    all(&journey, "SELECT many, id FROM s.m, late.m ORDER BY id");
    all(
        &journey,
        "SELECT schemaname, tablename, indexname, indexdef FROM pg_indexes \
                   WHERE schemaname IN ('s', 'late', 'Odd one') ORDER BY 1, 2, 3",
    );
    all(
        &journey,
        "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' \
                   AND nspname <> 'crossfade' ORDER BY 1",
    );
    all(
        &journey,
        "SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint \
                   WHERE conrelid <> 0 AND contype = 'f' ORDER BY 1, 2",
    );
    let tables = journey.get("/api/v1/status").to_string();
    assert!(!tables.contains("u001e"), "{tables}");
    // A restart knows them all.
    journey.restart_with(&[]);
    journey.proxy.sql("INSERT INTO s.t(v) VALUES ('after')");
    journey.level();
    journey.promote();
    journey.await_way_back();
    journey.proxy.sql("INSERT INTO s.t(v, n) VALUES ('on PostgreSQL', 9)");
    journey.proxy.sql("UPDATE late.t SET v = v || '!' WHERE id = 3");
    journey.proxy.sql("DELETE FROM \"Odd one\".\"T\" WHERE id = 2");
    let last = journey.proxy.sql("SELECT max(id) FROM s.t");
    eventually("the file follows", || {
        let file = rusqlite::Connection::open(&file).unwrap();
        let found: i64 = file.query_row("SELECT max(id) FROM \"s.t\"", [], |r| r.get(0)).unwrap();
        found.to_string() == last
    });
    journey.rollback();
    journey.level();
    journey.done(&["verify"]);
    let next: i64 = last.parse::<i64>().unwrap() + 1;
    assert_eq!(
        journey.proxy.sql("INSERT INTO s.t(v) VALUES ('back') RETURNING id"),
        next.to_string()
    );
    all(&journey, "SELECT id, v, m, n FROM s.t ORDER BY id LIMIT 10");
}
