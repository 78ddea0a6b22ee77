//! A schema change that PostgreSQL refuses is not tried for ever: what it is about is stopped, the
//! rest is mirrored, and a backfill puts it right.

use crate::common::{Journey, Pg, eventually};

fn start(tables: &str) -> (Journey, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let envs = [("CROSSFADE_COMPARE_READS", "all")];
    let journey = Journey::start(&folder.path().join("app.db"), Pg::shared(), &envs);
    journey.proxy.sql(tables);
    journey.mirror();
    (journey, folder)
}

fn refusals(journey: &Journey, state: &str) -> Vec<(String, String)> {
    let list = journey.get("/api/v1/divergences");
    let groups = list["divergences"].as_array().unwrap();
    let of = groups.iter().filter(|g| g["class"] == "untranslatable" && g["state"] == state);
    let of = of.filter(|g| g["fingerprint"] != "");
    of.map(|g| (g["table"].to_string(), g["fingerprint"].to_string())).collect()
}

fn gate(journey: &Journey, name: &str) -> bool {
    let gates = journey.get("/api/v1/gates");
    let gate = gates["gates"].as_array().unwrap().iter().find(|g| g["name"] == name);
    gate.unwrap()["ok"] == true
}

fn retries(journey: &Journey) -> u64 {
    let text = ureq::get(format!("{}/metrics", journey.proxy.http())).call().unwrap();
    let text = text.into_body().read_to_string().unwrap();
    let line = text.lines().find(|l| l.starts_with("crossfade_mirror_retries_total "));
    line.map_or(0, |l| l.split(' ').next_back().unwrap().parse().unwrap())
}

#[test]
fn a_refused_schema_change_stops_its_table_and_nothing_else() {
    let (journey, _folder) = start(
        "CREATE TABLE a (id integer PRIMARY KEY, n integer);
         CREATE TABLE b (id integer PRIMARY KEY, n integer);
         INSERT INTO a VALUES (1, 1); INSERT INTO b VALUES (1, 1)",
    );
    let shadow = |sql: &str| Pg::shared().cluster.psql(&journey.database, sql).unwrap();
    // Somebody takes the names that the application's next version gives.
    shadow(
        "ALTER TABLE a ADD COLUMN extra text; CREATE TYPE fresh AS ENUM ('x'); \
         CREATE SEQUENCE a_n",
    );
    journey.proxy.sql(
        "ALTER TABLE a ADD COLUMN extra integer; UPDATE a SET extra = 5; \
         CREATE TABLE fresh (id integer PRIMARY KEY); INSERT INTO fresh VALUES (1); \
         CREATE INDEX a_n ON b (n); INSERT INTO b VALUES (2, 2)",
    );
    eventually("the rest arrives", || {
        shadow("SELECT count(*) FROM b") == "2" && journey.status("lag_commits") == "0"
    });
    let mut found = refusals(&journey, "open");
    found.sort();
    let tables: Vec<&str> = found.iter().map(|(table, _)| table.as_str()).collect();
    assert_eq!(tables, ["\"a\"", "\"fresh\"", "null"], "{found:?}");
    // It goes on: rows of what is stopped are left out, all others are carried and compared.
    journey.proxy.sql(
        "INSERT INTO a VALUES (2, 2, 2); INSERT INTO fresh VALUES (2); \
         UPDATE b SET n = 7 WHERE id = 1; ALTER TABLE a ADD COLUMN more integer",
    );
    journey.level();
    assert_eq!(shadow("SELECT n FROM b ORDER BY id"), "7\n2");
    assert_eq!(shadow("SELECT count(*) FROM a"), "0", "rows of an old shape are worth nothing");
    assert_eq!(refusals(&journey, "open").len(), 3);
    assert!(!gate(&journey, "divergences"));
    assert_eq!(journey.get("/api/v1/status")["next"][0], "crossfade divergences");
    let (code, ..) = journey.promote_once();
    assert_eq!(code, 4);
    let (code, ..) = journey.order(&["verify"]);
    assert_ne!(code, 0, "a table that is not there is not verified");
    // What stood in the way goes, and everything is copied anew.
    shadow("ALTER TABLE a DROP COLUMN extra; DROP TYPE fresh; DROP SEQUENCE a_n");
    journey.mirror();
    assert_eq!(shadow("SELECT id, extra FROM a ORDER BY id"), "1|5\n2|2");
    assert_eq!(shadow("SELECT count(*) FROM fresh"), "2");
    assert_eq!(shadow("SELECT count(*) FROM pg_indexes WHERE indexname = 'a_n'"), "1");
    assert_eq!(refusals(&journey, "open"), []);
    assert_eq!(refusals(&journey, "fixed").len(), 3);
    assert!(gate(&journey, "divergences"));
    journey.proxy.sql("INSERT INTO a VALUES (3, 3, 3, 3)");
    journey.level();
    assert_eq!(shadow("SELECT more FROM a WHERE id = 3"), "3");
    journey.done(&["verify"]);
}

/// What PostgreSQL only lacks the right or the room for is not left out: it is waited for.
#[test]
fn a_schema_change_that_may_yet_succeed_is_waited_for() {
    let (journey, _folder) = start("CREATE TABLE a (id integer PRIMARY KEY)");
    let shadow = |sql: &str| Pg::shared().cluster.psql(&journey.database, sql).unwrap();
    // A trigger that refuses every schema change with "permission denied".
    shadow(
        "CREATE FUNCTION no() RETURNS event_trigger LANGUAGE plpgsql AS \
         $$ BEGIN RAISE insufficient_privilege; END $$; \
         CREATE EVENT TRIGGER no ON ddl_command_start WHEN TAG IN ('CREATE INDEX') \
         EXECUTE FUNCTION no(); ALTER EVENT TRIGGER no ENABLE ALWAYS",
    );
    journey.proxy.sql("CREATE INDEX later ON a (id); INSERT INTO a VALUES (1)");
    eventually("it has been tried more often than what is refused", || retries(&journey) > 8);
    assert_eq!(refusals(&journey, "open"), []);
    assert_eq!(journey.status("health"), "degraded");
    assert!(!gate(&journey, "lag"), "an error is not a lag of zero");
    shadow("DROP EVENT TRIGGER no");
    journey.level();
    assert_eq!(shadow("SELECT count(*) FROM pg_indexes WHERE indexname = 'later'"), "1");
}

/// Views over views that the file brought, and what a table's change does to those: PostgreSQL follows,
/// and what it cannot keep is told.
#[test]
fn views_of_the_file_follow_the_tables_they_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    rusqlite::Connection::open(&path)
        .unwrap()
        .execute_batch(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b TEXT); INSERT INTO t VALUES (1, 'x', 'y');
             CREATE VIEW v AS SELECT id, a FROM t; CREATE VIEW w AS SELECT * FROM v;",
        )
        .unwrap();
    let envs = [("CROSSFADE_COMPARE_READS", "all")];
    let journey = Journey::start(&path, Pg::shared(), &envs);
    journey.mirror();
    let alike = |sql: &str| {
        let here = journey.proxy.sql(sql);
        journey.level();
        assert_eq!(Pg::shared().cluster.psql(&journey.database, sql).unwrap(), here, "{sql}");
        here
    };
    journey.proxy.sql("CREATE VIEW over AS SELECT a FROM v; CREATE VIEW over_w AS SELECT * FROM w");
    assert_eq!(alike("SELECT * FROM over"), "x");
    assert_eq!(alike("SELECT * FROM over_w"), "1|x");
    journey.proxy.sql("DROP VIEW over_w; DROP VIEW over; ALTER TABLE t RENAME COLUMN b TO c");
    journey.proxy.sql("ALTER TABLE t RENAME TO u; INSERT INTO u VALUES (2, 'z', 'c')");
    assert_eq!(alike("SELECT * FROM v ORDER BY id"), "1|x\n2|z");
    journey.proxy.sql("ALTER TABLE u ADD COLUMN e integer DEFAULT 5; CREATE INDEX u_a ON u (a)");
    assert_eq!(alike("SELECT * FROM w ORDER BY id"), "1|x\n2|z");
    assert_eq!(refusals(&journey, "open"), []);
    journey.done(&["verify"]);
}
