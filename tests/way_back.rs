//! SQLite follows PostgreSQL after promote: every change of rows arrives, exactly once; what
//! cannot be followed closes the way back and says why. By logical decoding, and by row triggers.

use std::path::{Path, PathBuf};

use crate::common::{Journey, Pg, Proxy, eventually};

pub struct Followed {
    pub journey: Journey,
    pub file: PathBuf,
    _folder: tempfile::TempDir,
}

impl Followed {
    /// PostgreSQL is primary, SQLite follows.
    pub fn start(pg: &Pg, tables: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("app.db");
        let journey = Journey::start(&file, pg, &[]);
        Self::promoted(journey, (file, folder), tables)
    }

    /// The same, with a role that may make no event triggers: schema changes are not noted.
    pub fn start_plain(pg: &Pg, tables: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("app.db");
        let database = pg.database("unnoted");
        let role = format!("role_{database}");
        let sql = format!(
            "CREATE ROLE {role} LOGIN REPLICATION IN ROLE pg_signal_backend; \
             GRANT CREATE ON DATABASE {database} TO {role}; ALTER SCHEMA public OWNER TO {role}"
        );
        pg.cluster.psql(&database, &sql).unwrap();
        let url = pg.cluster.url(&database).replace("postgres@", &format!("{role}@"));
        let proxy = Proxy::on_file_with(&file, &["--postgres", &url], &[]);
        Self::promoted(Journey { proxy, url, database }, (file, folder), tables)
    }

    fn promoted(journey: Journey, at: (PathBuf, tempfile::TempDir), tables: &str) -> Self {
        journey.proxy.sql(tables);
        journey.mirror();
        journey.promote();
        journey.await_way_back();
        Self { journey, file: at.0, _folder: at.1 }
    }

    pub fn sql(&self, sql: &str) -> String {
        self.journey.proxy.sql(sql)
    }

    /// Both sides answer a query alike, soon.
    pub fn alike(&self, sql: &str) -> String {
        let expected = self.sql(sql);
        // What it asks for may not be there yet.
        eventually(sql, || {
            let way_back = self.journey.status("way_back");
            assert!(!way_back.starts_with("closed"), "{sql}: {way_back}");
            try_in_file(&self.file, sql).is_ok_and(|found| found == expected)
        });
        expected
    }

    /// The way back is closed, and the reason has these words.
    pub fn closed(&self, words: &[&str]) {
        eventually("the way back is closed", || {
            let (code, out, stderr) = self.journey.order(&["rollback", "--dry-run"]);
            let said = format!("{out}{stderr}");
            code == 4 && words.iter().all(|word| said.contains(word))
        });
        let (code, ..) = self.journey.order(&["rollback", "--yes"]);
        assert_eq!(code, 4);
        assert_eq!(self.journey.status("primary"), "postgres");
        self.sql("SELECT 1");
    }

    /// Back on SQLite everything is there, and equal.
    pub fn back(&self) {
        self.journey.rollback();
        self.journey.level();
        self.journey.done(&["verify"]);
    }
}

/// Rows of the file as psql shows them.
pub fn in_file(file: &Path, sql: &str) -> String {
    try_in_file(file, sql).unwrap()
}

fn try_in_file(file: &Path, sql: &str) -> rusqlite::Result<String> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let conn = rusqlite::Connection::open_with_flags(file, flags)?;
    conn.busy_timeout(std::time::Duration::from_secs(5))?;
    let mut statement = conn.prepare(sql)?;
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        let cell = |i| {
            Ok(match row.get_ref(i)? {
                rusqlite::types::ValueRef::Null => String::new(),
                rusqlite::types::ValueRef::Integer(n) => n.to_string(),
                rusqlite::types::ValueRef::Real(r) => r.to_string(),
                rusqlite::types::ValueRef::Text(t) | rusqlite::types::ValueRef::Blob(t) => {
                    String::from_utf8_lossy(t).into_owned()
                }
            })
        };
        (0..columns).map(cell).collect::<Result<Vec<_>, _>>()
    })?;
    let rows: Vec<String> = rows.map(|row| Ok(row?.join("|"))).collect::<rusqlite::Result<_>>()?;
    Ok(rows.join("\n"))
}

fn every_change_of_rows_arrives(pg: &Pg) {
    let followed = Followed::start(
        pg,
        "CREATE TABLE t (id integer PRIMARY KEY, name text UNIQUE, body text);
         CREATE TABLE pair (a integer, b text, n integer, PRIMARY KEY (a, b));
         CREATE TABLE parent (id integer PRIMARY KEY);
         CREATE TABLE child (id integer PRIMARY KEY, parent integer REFERENCES parent \
           ON DELETE CASCADE ON UPDATE CASCADE);
         INSERT INTO t SELECT g, 'name ' || g, 'body' FROM generate_series(1, 20) g;
         INSERT INTO pair VALUES (1, 'x', 1), (2, 'y', 2);
         INSERT INTO parent VALUES (1), (2); INSERT INTO child VALUES (10, 1), (20, 2)",
    );
    followed.sql("INSERT INTO t VALUES (100, 'new', NULL)");
    followed.sql("UPDATE t SET body = 'changed' WHERE id < 5");
    followed.sql("DELETE FROM t WHERE id BETWEEN 6 AND 8");
    // A key moves, keys trade places, a unique value is handed on.
    followed.sql("UPDATE t SET id = 200 WHERE id = 9");
    followed.sql("UPDATE t SET id = -id WHERE id IN (10, 11)");
    followed.sql("UPDATE t SET id = CASE id WHEN -10 THEN 11 ELSE 10 END WHERE id IN (-10, -11)");
    followed.sql("UPDATE pair SET b = 'z', a = a + 1");
    followed.sql("UPDATE t SET name = 'free' WHERE id = 12");
    followed.sql("UPDATE t SET name = 'name 12' WHERE id = 13");
    // One transaction, many tables; a rolled back one, and part of one.
    followed.sql(
        "BEGIN; INSERT INTO t VALUES (300, 'a', 'a'); UPDATE pair SET n = 9; SAVEPOINT s; \
         DELETE FROM t; ROLLBACK TO s; DELETE FROM t WHERE id = 1; COMMIT",
    );
    followed.sql("BEGIN; DELETE FROM t; DELETE FROM pair; ROLLBACK");
    // Cascades are rows like others.
    followed.sql("UPDATE parent SET id = 7 WHERE id = 1; DELETE FROM parent WHERE id = 2");
    followed.sql("INSERT INTO t VALUES (12, 'x', 'y') ON CONFLICT (id) DO UPDATE SET body = 'up'");
    followed.alike("SELECT id, name, body FROM t ORDER BY id");
    followed.alike("SELECT a, b, n FROM pair ORDER BY a");
    followed.alike("SELECT id, parent FROM child ORDER BY id");
    assert_eq!(followed.alike("SELECT id FROM parent ORDER BY id"), "7");
    followed.back();
}

fn large_values_and_large_transactions_arrive(pg: &Pg) {
    let followed = Followed::start(
        pg,
        "CREATE TABLE big (id integer PRIMARY KEY, n integer, body text);
         CREATE TABLE many (id bigint PRIMARY KEY, body text)",
    );
    // Random text is not compressed away: it is stored out of line.
    followed.sql(
        "INSERT INTO big SELECT g, 0, (SELECT string_agg(md5(random()::text), '') \
         FROM generate_series(1, 4000 + g - g)) FROM generate_series(1, 5) g",
    );
    // The large value does not change, and is not sent.
    followed.sql("UPDATE big SET n = n + 1");
    followed.sql("UPDATE big SET id = id + 100 WHERE id = 5");
    followed.alike("SELECT id, n, length(body) FROM big ORDER BY id");
    followed.alike("SELECT body FROM big WHERE id = 105");
    // More than PostgreSQL keeps in memory of one transaction.
    followed.sql(
        "BEGIN; SET LOCAL logical_decoding_work_mem = '64kB'; \
         INSERT INTO many SELECT g, repeat('row ', 20) FROM generate_series(1, 20000) g; \
         UPDATE many SET body = 'changed' WHERE id % 3 = 0; DELETE FROM many WHERE id % 7 = 0; \
         COMMIT",
    );
    followed.alike("SELECT count(*), sum(id), sum(length(body)) FROM many");
    followed.back();
}

fn tables_without_a_key_and_truncate_are_followed(pg: &Pg) {
    let followed = Followed::start(
        pg,
        "CREATE TABLE log (line text, n integer); CREATE TABLE other (id integer PRIMARY KEY);
         INSERT INTO log VALUES ('x', 1), ('x', 1), ('x', 1), (NULL, NULL);
         INSERT INTO other VALUES (1), (2)",
    );
    followed.sql("DELETE FROM log WHERE ctid = (SELECT min(ctid) FROM log WHERE line = 'x')");
    followed.sql("UPDATE log SET n = 2 WHERE ctid = (SELECT min(ctid) FROM log WHERE line = 'x')");
    followed.sql("UPDATE log SET line = 'was null' WHERE line IS NULL");
    followed.sql("INSERT INTO log VALUES ('y', 5), ('y', 5)");
    followed.alike("SELECT line, n, count(*) FROM log GROUP BY line, n ORDER BY line, n");
    followed.sql("TRUNCATE other");
    followed.sql("INSERT INTO other VALUES (3)");
    assert_eq!(followed.alike("SELECT id FROM other ORDER BY id"), "3");
    followed.sql("TRUNCATE log, other");
    assert_eq!(followed.alike("SELECT count(*) FROM log"), "0");
    followed.back();
}

fn sequences_go_on_where_postgresql_ended(pg: &Pg) {
    let followed = Followed::start(
        pg,
        "CREATE TABLE t (id serial PRIMARY KEY, body text); CREATE SEQUENCE free START 100; \
         INSERT INTO t(body) VALUES ('one'), ('two')",
    );
    assert_eq!(followed.sql("INSERT INTO t(body) VALUES ('three') RETURNING id"), "3");
    assert_eq!(followed.sql("SELECT nextval('free')"), "100");
    // A value that was given and rolled back is not given again.
    followed.sql("BEGIN; INSERT INTO t(body) VALUES ('never'); SELECT nextval('free'); ROLLBACK");
    followed.back();
    let next: i64 =
        followed.sql("INSERT INTO t(body) VALUES ('five') RETURNING id").parse().unwrap();
    assert!(next >= 5, "{next}");
    let next: i64 = followed.sql("SELECT nextval('free')").parse().unwrap();
    assert!(next >= 102, "{next}");
}

/// Where changes of the schema are not noted, each closes the way back.
fn what_cannot_be_followed_closes_the_way_back(pg: &Pg) {
    let tables = "CREATE TABLE t (id integer PRIMARY KEY, body text); INSERT INTO t VALUES (1, 'a'); \
                  CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE SEQUENCE free; \
                  CREATE DOMAIN small AS integer CHECK (VALUE < 10)";
    for (ddl, words) in [
        ("CREATE TABLE made (id integer)", &["table made was made"][..]),
        ("ALTER TABLE t ADD COLUMN more text", &["table t", "DDL"]),
        ("DROP TABLE t", &["table t was dropped"]),
        ("CREATE UNIQUE INDEX ON t (body)", &["table t", "constraints"]),
        ("DROP TABLE t; CREATE TABLE t (id integer PRIMARY KEY, body text)", &["table t"]),
        ("ALTER TABLE t ALTER COLUMN body TYPE text USING upper(body)", &["table t"]),
        ("CREATE VIEW v AS SELECT id FROM t", &["views"]),
        ("ALTER TABLE t ALTER COLUMN body SET NOT NULL", &["table t", "constraints"]),
        ("ALTER TYPE mood ADD VALUE 'happy'", &["types"]),
        ("ALTER SEQUENCE free INCREMENT BY 5", &["sequences"]),
        ("ALTER DOMAIN small ADD CHECK (VALUE > 0)", &["types"]),
    ] {
        let followed = Followed::start_plain(pg, tables);
        followed.sql(ddl);
        followed.closed(words);
    }
    // A change of rows in between is not taken for something else.
    let followed = Followed::start_plain(pg, tables);
    followed.sql("ALTER TABLE t ADD COLUMN more text; INSERT INTO t VALUES (2, 'b', 'c')");
    followed.closed(&["table t", "DDL"]);
    assert_eq!(in_file(&followed.file, "SELECT count(*) FROM t"), "1");
}

/// PostgreSQL's key may hold apart what SQLite's does not: no row is put over another.
fn a_key_that_is_one_on_sqlite_closes_the_way_back(pg: &Pg) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let tables = "CREATE TABLE nr (k TEXT COLLATE NOCASE PRIMARY KEY, v TEXT);
                  INSERT INTO nr VALUES ('a', 'one'), ('bob', 'x');";
    rusqlite::Connection::open(&file).unwrap().execute_batch(tables).unwrap();
    let journey = Journey::start(&file, pg, &[]);
    // The application's own table, without the index that would hold what SQLite's collation does.
    let own = "CREATE TABLE nr (k text PRIMARY KEY, v text)";
    pg.cluster.psql(&journey.database, own).unwrap();
    journey.mirror();
    let all = journey.get("/api/v1/divergences");
    for one in all["divergences"].as_array().unwrap() {
        let id = one["id"].as_str().unwrap();
        let known = ["divergences", "accept", id, "--reason", "known"];
        assert_eq!(journey.proxy.cli(&known).0, 0);
    }
    journey.promote();
    journey.await_way_back();
    let followed = Followed { journey, file, _folder: folder };
    followed.sql("INSERT INTO nr VALUES ('A', 'two')");
    followed.closed(&["nr"]);
    let rows = in_file(&followed.file, "SELECT k, v FROM nr ORDER BY k");
    assert!(rows.contains("a|one") && rows.contains("bob|x"), "{rows}");
}

/// DDL just before a rollback is seen behind the fence, before anything is decided.
fn a_rollback_right_after_ddl_is_undone(pg: &Pg) {
    let tables = "CREATE TABLE t (id integer PRIMARY KEY); INSERT INTO t VALUES (1)";
    let followed = Followed::start_plain(pg, tables);
    followed.sql("CREATE TABLE made (id integer)");
    let (code, task, stderr) = followed.journey.order(&["rollback", "--yes"]);
    assert!(code == 5 || code == 4, "{task} {stderr}");
    let said = format!("{task}{stderr}");
    assert!(said.contains("table made was made"), "{said}");
    assert_eq!(followed.journey.status("primary"), "postgres");
    followed.sql("INSERT INTO made VALUES (1)");
}

/// A value that only PostgreSQL can hold closes the way back, without showing the value.
fn a_value_sqlite_cannot_hold_closes_the_way_back(pg: &Pg) {
    let followed = Followed::start(
        pg,
        "CREATE TABLE t (id integer PRIMARY KEY, x integer[]); INSERT INTO t VALUES (1, '{1}')",
    );
    followed.sql("INSERT INTO t VALUES (2, '[0:1]={1,2}')");
    followed.closed(&["table t", "column x", "cannot hold"]);
}

/// A restart, and a crash of PostgreSQL, in the middle: everything once.
fn following_survives_restarts(pg: &mut Pg) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let mut journey = Journey::start(&file, pg, &[]);
    journey.proxy.sql("CREATE TABLE t (id integer PRIMARY KEY); CREATE TABLE log (n integer)");
    journey.mirror();
    journey.promote();
    let write = |journey: &Journey, from: u32| {
        for id in from..from + 20 {
            journey
                .proxy
                .sql(&format!("INSERT INTO t VALUES ({id}); INSERT INTO log VALUES ({id})"));
        }
    };
    write(&journey, 0);
    journey.proxy.kill();
    journey.restart_with(&[]);
    write(&journey, 20);
    pg.cluster.stop(true).unwrap();
    pg.cluster.resume().unwrap();
    eventually("PostgreSQL is back", || journey.proxy.psql("SELECT 1").0 == 0);
    write(&journey, 40);
    let counts = "SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM log), \
                  (SELECT count(DISTINCT n) FROM log)";
    eventually("SQLite has everything once", || in_file(&file, counts) == "60|60|60");
    journey.rollback();
    journey.level();
    journey.done(&["verify"]);
}

fn following_keeps_the_journal_small(pg: &Pg) {
    let followed = Followed::start(
        pg,
        "CREATE TABLE t (id integer PRIMARY KEY, body text); INSERT INTO t VALUES (0, '')",
    );
    for id in 1..=200 {
        followed.sql(&format!("INSERT INTO t VALUES ({id}, 'x')"));
    }
    followed.alike("SELECT count(*) FROM t");
    let records = "SELECT count(*) FROM \"_crossfade_journal\"";
    eventually("the journal is trimmed", || {
        in_file(&followed.file, records).parse::<u64>().unwrap() <= 2
    });
    // The record that a rollback names is there.
    followed.back();
    followed.sql("INSERT INTO t VALUES (1000, 'on SQLite')");
    followed.journey.level();
    followed.journey.done(&["verify"]);
}

/// Each of these tests, on a server whose log can be decoded and on one where it cannot.
macro_rules! both_ways {
    ($($name:ident)*) => {
        mod decoding {
            use crate::common::Pg;
            $(#[test] fn $name() { super::$name(Pg::shared()); })*
            #[test]
            fn following_survives_restarts() {
                super::following_survives_restarts(&mut Pg::start());
            }
        }
        mod triggers {
            use crate::common::Pg;
            $(#[test] fn $name() { super::$name(Pg::without_decoding()); })*
            #[test]
            fn following_survives_restarts() {
                super::following_survives_restarts(&mut Pg::start_without_decoding());
            }
        }
    };
}

both_ways! {
    every_change_of_rows_arrives
    large_values_and_large_transactions_arrive
    tables_without_a_key_and_truncate_are_followed
    sequences_go_on_where_postgresql_ended
    what_cannot_be_followed_closes_the_way_back
    a_key_that_is_one_on_sqlite_closes_the_way_back
    a_rollback_right_after_ddl_is_undone
    a_value_sqlite_cannot_hold_closes_the_way_back
    following_keeps_the_journal_small
}
