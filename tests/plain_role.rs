//! A control role without the right to set session_replication_role: triggers are switched off on
//! PostgreSQL while it is the shadow, act once, are compared all the same, and act again there
//! after promote.

use crate::common::{Journey, Pg, Proxy, Raw, eventually};

const TABLES: &str = "
    CREATE TABLE t (id integer PRIMARY KEY, b text);
    CREATE TABLE guarded (id integer PRIMARY KEY, b text);
    CREATE TABLE trail (n serial PRIMARY KEY, id integer, what text);
    CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO trail (id, what) VALUES (NEW.id, TG_OP); RETURN NULL; END $$;
    CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      IF NEW.b = 'bad' THEN RAISE EXCEPTION 'no % here', NEW.b; END IF; RETURN NEW; END $$;
    CREATE TRIGGER early AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION audit();
    INSERT INTO t VALUES (1, 'before the copy');
    INSERT INTO guarded VALUES (1, 'x');";

fn start(folder: &tempfile::TempDir) -> Journey {
    let pg = Pg::shared();
    let database = pg.database("plain");
    let role = format!("role_{database}");
    let sql = format!(
        "CREATE ROLE {role} LOGIN REPLICATION IN ROLE pg_signal_backend; \
         GRANT CREATE ON DATABASE {database} TO {role}; ALTER SCHEMA public OWNER TO {role}"
    );
    pg.cluster.psql(&database, &sql).unwrap();
    let url = pg.cluster.url(&database).replace("postgres@", &format!("{role}@"));
    let proxy = Proxy::on_file_with(&folder.path().join("app.db"), &["--postgres", &url], &[]);
    Journey { proxy, url, database }
}

fn there(journey: &Journey, sql: &str) -> String {
    Pg::shared().cluster.psql(&journey.database, sql).unwrap()
}

/// Triggers of PostgreSQL's tables, and whether they act.
fn triggers(journey: &Journey) -> String {
    let sql = "SELECT string_agg(tgname || ' ' || tgenabled::text, ', ' ORDER BY tgname) \
               FROM pg_trigger WHERE NOT tgisinternal";
    there(journey, sql)
}

/// Both sides hold the same, and nothing was reported.
fn equal(journey: &Journey) {
    journey.level();
    journey.done(&["verify"]);
    let found = journey.get("/api/v1/divergences");
    assert_eq!(found["divergences"].as_array().unwrap().len(), 0, "{found}");
}

#[test]
fn triggers_act_once_and_act_on_postgresql_after_promote() {
    let folder = tempfile::tempdir().unwrap();
    let journey = start(&folder);
    journey.proxy.sql(TABLES);
    journey.mirror();
    assert_eq!(triggers(&journey), "early D");
    let sql = |sql: &str| journey.proxy.sql(sql);
    sql("INSERT INTO t VALUES (2, 'mirrored')");
    // One that is made while mirroring, one that the client switches off, and on again.
    sql("CREATE TRIGGER late AFTER UPDATE ON t FOR EACH ROW EXECUTE FUNCTION audit()");
    sql("CREATE TRIGGER sound BEFORE INSERT OR UPDATE ON guarded FOR EACH ROW \
         EXECUTE FUNCTION guard()");
    sql("UPDATE guarded SET b = 'good' WHERE id = 1");
    // No row, so no image either: what was switched on for the test must not stay.
    sql("UPDATE guarded SET b = 'nobody' WHERE id = 999");
    sql("UPDATE t SET b = 'changed' WHERE id = 2");
    sql("CREATE TRIGGER off AFTER UPDATE ON t FOR EACH ROW EXECUTE FUNCTION audit()");
    sql("ALTER TABLE t DISABLE TRIGGER off");
    sql("ALTER TABLE t DISABLE TRIGGER early; ALTER TABLE t ENABLE TRIGGER early");
    sql("BEGIN; INSERT INTO t VALUES (3, 'three'); UPDATE t SET b = 'trice' WHERE id = 3; COMMIT");
    equal(&journey);
    assert_eq!(triggers(&journey), "early D, late D, off D, sound D");
    assert_eq!(there(&journey, "SELECT count(*) FROM trail"), "5");
    // A trigger's refusal is compared with that of PostgreSQL's own.
    let mut raw = Raw::proxy(&journey.proxy);
    assert!(raw.run("Q insert into guarded values (4, 'bad')").contains("P0001"));
    eventually("the refusal is compared", || {
        let all = journey.get("/api/v1/statements");
        let all = all["statements"].as_array().unwrap().clone();
        all.iter().any(|s| s["errors"] == 1 && s["verdicts"]["match"].as_u64() > Some(0))
    });
    equal(&journey);
    // So are statements that it lets pass.
    let all = journey.get("/api/v1/statements");
    let update = all["statements"].as_array().unwrap().iter().find(|s| {
        s["statement"].as_str().unwrap().to_lowercase().starts_with("update guarded set b")
    });
    assert!(update.unwrap()["verdicts"]["match"].as_u64() > Some(0), "{update:?}");
    journey.promote();
    assert_eq!(triggers(&journey), "early O, late O, off D, sound O");
    journey.proxy.sql("INSERT INTO t VALUES (5, 'on PostgreSQL')");
    assert_eq!(journey.proxy.sql("SELECT count(*) FROM trail WHERE id = 5"), "1");
    journey.rollback();
    journey.proxy.sql("INSERT INTO t VALUES (6, 'on SQLite again')");
    journey.level();
    assert_eq!(triggers(&journey), "early D, late D, off D, sound D");
    assert_eq!(there(&journey, "SELECT count(*) FROM trail WHERE id IN (5, 6)"), "2");
    journey.done(&["verify"]);
    assert_eq!(journey.status("diverged_open"), "0");
}

#[test]
fn what_a_foreign_key_does_is_no_foreign_write() {
    let folder = tempfile::tempdir().unwrap();
    let journey = start(&folder);
    journey.proxy.sql(
        "CREATE TABLE parent (id integer PRIMARY KEY);
         CREATE TABLE child (id integer PRIMARY KEY,
           p integer REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE);
         CREATE TABLE part (p integer REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE,
           n integer, PRIMARY KEY (p, n));
         CREATE TABLE note (p integer REFERENCES parent ON DELETE SET NULL ON UPDATE CASCADE, what text);
         INSERT INTO parent SELECT * FROM generate_series(1, 9);
         INSERT INTO child SELECT g, g FROM generate_series(1, 9) AS g;
         INSERT INTO part SELECT g, 7 FROM generate_series(1, 9) AS g;
         INSERT INTO note SELECT g, 'x' || g FROM generate_series(1, 9) AS g;",
    );
    journey.mirror();
    journey.proxy.sql("DELETE FROM parent WHERE id = 1");
    journey.proxy.sql("UPDATE parent SET id = 20 WHERE id = 2");
    journey.proxy.sql("UPDATE part SET n = 8 WHERE p = 20");
    journey.proxy.sql("BEGIN; DELETE FROM parent WHERE id IN (3, 4); DELETE FROM note; COMMIT");
    equal(&journey);
    assert_eq!(there(&journey, "SELECT count(*) FROM child"), "6");
}

/// The application made the tables there, and their foreign keys act while rows come: no row may be
/// left out because its parent is on the way.
/// PostgreSQL alters no table of which deferred checks are still to come: they are made before, and where
/// that cannot be the change is left out rather than tried for ever.
#[test]
fn schema_changes_come_behind_rows_with_deferred_checks() {
    let folder = tempfile::tempdir().unwrap();
    let journey = start(&folder);
    journey.proxy.sql(
        "CREATE TABLE p (id integer PRIMARY KEY);
         CREATE TABLE c (id integer PRIMARY KEY, p integer REFERENCES p(id) DEFERRABLE INITIALLY DEFERRED);
         INSERT INTO p VALUES (1)",
    );
    journey.mirror();
    journey.proxy.sql(
        "BEGIN; INSERT INTO c VALUES (2, 1); ALTER TABLE c ADD COLUMN x integer; \
         INSERT INTO c VALUES (3, 1, 5); COMMIT",
    );
    equal(&journey);
    journey
        .proxy
        .sql("BEGIN; INSERT INTO c VALUES (4, 1); TRUNCATE c; INSERT INTO c VALUES (2, 1); COMMIT");
    journey.proxy.sql("INSERT INTO c VALUES (3, 1)");
    equal(&journey);
    journey.proxy.sql(
        "BEGIN; INSERT INTO c VALUES (4, 9); ALTER TABLE c ADD COLUMN y integer; \
         INSERT INTO p VALUES (9); COMMIT; INSERT INTO p VALUES (10)",
    );
    eventually("the rest arrives", || there(&journey, "SELECT count(*) FROM p") == "3");
    journey.level();
    let found = journey.get("/api/v1/divergences");
    let refused = found["divergences"]
        .as_array()
        .unwrap()
        .iter()
        .any(|d| d["class"] == "untranslatable" && d["table"] == "c" && d["state"] == "open");
    let whole = there(&journey, "SELECT count(*) FROM c") == "3";
    assert!(refused || whole, "{found}");
    journey.copy();
    journey.await_status("phase", "mirroring");
    journey.done(&["verify"]);
    assert_eq!(there(&journey, "SELECT count(y) || ' ' || count(*) FROM c"), "0 3");
}

#[test]
fn a_copy_in_parallel_waits_for_parents() {
    let folder = tempfile::tempdir().unwrap();
    let pg = Pg::shared();
    let database = pg.database("plain_copy");
    let role = format!("role_{database}");
    let tables = "CREATE TABLE child (id integer PRIMARY KEY, p integer);
        CREATE TABLE parent (id integer PRIMARY KEY, pad text, boss integer);
        ALTER TABLE child ADD FOREIGN KEY (p) REFERENCES parent;
        ALTER TABLE parent ADD FOREIGN KEY (boss) REFERENCES parent";
    let sql = format!(
        "CREATE ROLE {role} LOGIN IN ROLE pg_signal_backend; \
         GRANT CREATE ON DATABASE {database} TO {role}; ALTER SCHEMA public OWNER TO {role}; \
         SET ROLE {role}; {tables}"
    );
    pg.cluster.psql(&database, &sql).unwrap();
    let url = pg.cluster.url(&database).replace("postgres@", &format!("{role}@"));
    let arguments = ["--postgres", &url, "--set", "mirror.copy_workers=2"];
    let proxy = Proxy::on_file_with(&folder.path().join("app.db"), &arguments, &[]);
    let journey = Journey { proxy, url: url.clone(), database };
    journey.proxy.sql(
        "CREATE TABLE parent (id integer PRIMARY KEY, pad text, boss integer REFERENCES parent);
         CREATE TABLE child (id integer PRIMARY KEY, p integer REFERENCES parent);
         INSERT INTO parent SELECT g, repeat('x', 300), 20001 - g FROM generate_series(1, 20000) g;
         INSERT INTO child SELECT g, g FROM generate_series(1, 2000) g",
    );
    let task = journey.copy();
    assert_eq!(task["state"], "done", "{task}");
    assert!(task["quarantined"].is_null() || task["quarantined"] == 0, "{task}");
    equal(&journey);
}

/// Foreign keys that only PostgreSQL has order the copy all the same: the file was made without.
#[test]
fn parents_come_first_whatever_the_file_says() {
    let folder = tempfile::tempdir().unwrap();
    let pg = Pg::shared();
    let database = pg.database("plain_order");
    let role = format!("role_{database}");
    let sql = format!(
        "CREATE ROLE {role} LOGIN IN ROLE pg_signal_backend; \
         GRANT CREATE ON DATABASE {database} TO {role}; ALTER SCHEMA public OWNER TO {role}; \
         SET ROLE {role}; CREATE TABLE z_top (id bigint PRIMARY KEY); \
         CREATE TABLE m_mid (id bigint PRIMARY KEY, t bigint REFERENCES z_top); \
         CREATE TABLE a_low (id bigint PRIMARY KEY, m bigint NOT NULL REFERENCES m_mid, \
           own bigint REFERENCES a_low);"
    );
    pg.cluster.psql(&database, &sql).unwrap();
    let url = pg.cluster.url(&database).replace("postgres@", &format!("{role}@"));
    let file = folder.path().join("app.db");
    rusqlite::Connection::open(&file)
        .unwrap()
        .execute_batch(
            "CREATE TABLE a_low(id INTEGER PRIMARY KEY, m INTEGER NOT NULL, own INTEGER);
             CREATE TABLE m_mid(id INTEGER PRIMARY KEY, t INTEGER);
             CREATE TABLE z_top(id INTEGER PRIMARY KEY);
             INSERT INTO z_top VALUES (1), (2); INSERT INTO m_mid VALUES (1, 1), (2, 2);
             INSERT INTO a_low VALUES (1, 1, NULL), (2, 2, 1);",
        )
        .unwrap();
    let proxy = Proxy::on_file(&file, &["--postgres", &url]);
    let journey = Journey { proxy, url: url.clone(), database };
    // The second time all of them hold rows.
    for _ in 0..2 {
        let task = journey.done(&["backfill"]);
        assert!(task["quarantined"].is_null() || task["quarantined"] == 0, "{task}");
        journey.await_status("phase", "mirroring");
        assert_eq!(there(&journey, "SELECT count(*) FROM a_low"), "2");
    }
    equal(&journey);
}

/// A row that waits for its parent comes out of the quarantine with it, whichever table is first.
#[test]
fn a_row_comes_out_with_its_parent() {
    let folder = tempfile::tempdir().unwrap();
    let pg = Pg::shared();
    let database = pg.database("plain_back");
    let role = format!("role_{database}");
    let sql = format!(
        "CREATE ROLE {role} LOGIN IN ROLE pg_signal_backend; \
         GRANT CREATE ON DATABASE {database} TO {role}; ALTER SCHEMA public OWNER TO {role}; \
         SET ROLE {role}; \
         CREATE TABLE z_top (id bigint PRIMARY KEY CONSTRAINT small CHECK (id < 10)); \
         CREATE TABLE a_low (id bigint PRIMARY KEY, t bigint REFERENCES z_top \
           DEFERRABLE INITIALLY DEFERRED);"
    );
    pg.cluster.psql(&database, &sql).unwrap();
    let url = pg.cluster.url(&database).replace("postgres@", &format!("{role}@"));
    let file = folder.path().join("app.db");
    rusqlite::Connection::open(&file)
        .unwrap()
        .execute_batch(
            "CREATE TABLE a_low(id INTEGER PRIMARY KEY, t INTEGER);
             CREATE TABLE z_top(id INTEGER PRIMARY KEY);
             INSERT INTO z_top VALUES (1), (20); INSERT INTO a_low VALUES (1, 1), (2, 20);",
        )
        .unwrap();
    let proxy = Proxy::on_file(&file, &["--postgres", &url]);
    let journey = Journey { proxy, url: url.clone(), database };
    journey.copy();
    journey.await_status("phase", "mirroring");
    let held = "SELECT count(*) FROM crossfade.quarantine WHERE column_name = ''";
    assert_eq!(there(&journey, held), "2");
    let repair = || journey.done(&["repair", "--yes"])["result"].to_string();
    assert!(!repair().contains("out of quarantine"));
    there(&journey, "ALTER TABLE z_top DROP CONSTRAINT small");
    let said = repair();
    assert!(said.contains("2 rows out of quarantine"), "{said}");
    assert_eq!(there(&journey, "SELECT count(*) FROM crossfade.quarantine"), "0");
    assert_eq!(there(&journey, "SELECT t FROM a_low ORDER BY id"), "1\n20");
    journey.level();
    journey.done(&["verify"]);
}
