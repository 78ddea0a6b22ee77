//! PostgreSQL databases with rows, tables and rights of others: nothing that Crossfade did not
//! write is changed, and what stands in the way is named before anything is written.

use serde_json::Value;

use crate::common::Journey;
use crate::own_schema::{Own, found, one};

/// What a copy said, whatever came of it.
fn told(journey: &Journey, more: &[&str]) -> (i32, String) {
    let mut verb = vec!["backfill"];
    verb.extend(more);
    let (code, task, stderr) = journey.order(&verb);
    (code, format!("{stderr}{task}"))
}

fn error(task: &Value) -> &str {
    task["error"]["message"].as_str().unwrap_or_default()
}

/// A role with rights of an owner that is no superuser, and its way in.
fn role(own: &Own, name: &str, sql: &str) -> String {
    let role = format!("{name}{}", std::process::id());
    let base = own.shadow("SELECT current_database()");
    own.shadow(&format!(
        "CREATE ROLE {role} LOGIN; GRANT CREATE ON DATABASE \"{base}\" TO {role}; \
         GRANT CREATE ON SCHEMA public TO {role}"
    ));
    own.shadow(&sql.replace("$role", &role));
    own.url.replacen("postgres@", &format!("{role}@"), 1)
}

/// Tables of an earlier trial that were put in place anew since are not taken for that trial's.
#[test]
fn a_table_put_in_place_of_ours_keeps_its_rows() {
    let own = Own::new(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, n TEXT); INSERT INTO t VALUES (1, 'a');
         CREATE TABLE u(id INTEGER PRIMARY KEY, n TEXT); INSERT INTO u VALUES (1, 'a');
         CREATE TABLE v(id INTEGER PRIMARY KEY, n TEXT); INSERT INTO v VALUES (1, 'a');",
        "SELECT 1",
    );
    let journey = own.start();
    journey.mirror();
    assert!(found(&own.assess(), "CF0702", "v", "").is_empty());
    own.shadow(
        "DROP TABLE t, u; CREATE TABLE t(id bigint PRIMARY KEY, n varchar(50), extra int);
         INSERT INTO t VALUES (900, 'theirs'); CREATE TABLE u(id bigint PRIMARY KEY, n text);
         INSERT INTO u VALUES (901, 'theirs');",
    );
    let report = own.assess();
    one(&report, "CF0702", "t", "");
    one(&report, "CF0702", "u", "");
    journey.proxy.sql("UPDATE v SET n = 'b'");
    let (code, said) = told(&journey, &[]);
    assert_ne!(code, 0, "{said}");
    assert!(said.contains("2 tables on PostgreSQL have rows already"), "{said}");
    assert!(said.contains("TRUNCATE"), "{said}");
    assert_eq!(own.shadow("SELECT id || n FROM t"), "900theirs");
    assert_eq!(own.shadow("SELECT id || n FROM u"), "901theirs");
    // Nothing was written: the copy that is there stands, and the mirror goes on with it.
    assert_eq!(journey.status("phase"), "mirroring");
    assert_eq!(own.shadow("SELECT count(*) FROM crossfade.state WHERE lineage IS NULL"), "0");
    own.shadow("TRUNCATE t, u");
    journey.done(&["backfill"]);
    journey.await_status("phase", "mirroring");
    assert_eq!(own.shadow("SELECT (SELECT id || n FROM t), (SELECT id || n FROM u)"), "1a|1a");
    journey.done(&["verify"]);
}

/// A run that is refused leaves no trace by which a later one would empty a table.
#[test]
fn rows_that_come_after_a_refusal_stay() {
    let own = Own::new(
        "CREATE TABLE a(id INTEGER PRIMARY KEY, n TEXT); INSERT INTO a VALUES (1, 'sqlite');
         CREATE TABLE b(id INTEGER PRIMARY KEY, n TEXT); INSERT INTO b VALUES (1, 'x');",
        "CREATE TABLE a(id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n text);
         CREATE TABLE b(id bigserial PRIMARY KEY, n text); INSERT INTO b VALUES (9, 'seed');",
    );
    let journey = own.start();
    let (code, said) = told(&journey, &[]);
    assert!(code != 0 && said.contains("b\\\" on PostgreSQL has rows"), "{said}");
    // Not even that was changed.
    let identity =
        "SELECT attidentity FROM pg_attribute WHERE attrelid = 'a'::regclass AND attnum = 1";
    assert_eq!(own.shadow(identity), "a");
    own.shadow("INSERT INTO a OVERRIDING SYSTEM VALUE VALUES (77, 'theirs'); TRUNCATE b");
    let (code, said) = told(&journey, &[]);
    assert!(code != 0 && said.contains("a\\\" on PostgreSQL has rows"), "{said}");
    assert_eq!(own.shadow("SELECT id || n FROM a"), "77theirs");
    own.shadow("DELETE FROM a");
    journey.mirror();
    // From its first copy on it is ours: a change is copied anew.
    journey.proxy.sql("UPDATE a SET n = 'later'");
    journey.done(&["backfill"]);
    journey.await_status("phase", "mirroring");
    assert_eq!(own.shadow("SELECT id || n FROM a"), "1later");
}

/// Rows that the control role cannot see are not taken for none.
#[test]
fn row_security_is_refused() {
    let own = Own::new(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, n TEXT); INSERT INTO t VALUES (1, 'a');
         CREATE TABLE good(id INTEGER PRIMARY KEY); INSERT INTO good VALUES (1);",
        "SELECT 1",
    );
    let url = role(
        &own,
        "secured",
        "CREATE TABLE t(id bigserial PRIMARY KEY, n text); INSERT INTO t VALUES (50, 'theirs');
         ALTER TABLE t OWNER TO $role; ALTER TABLE t ENABLE ROW LEVEL SECURITY;
         ALTER TABLE t FORCE ROW LEVEL SECURITY;
         CREATE POLICY p ON t USING (n = current_setting('app.tenant', true));",
    );
    let own = Own { url, ..own };
    let report = own.assess();
    one(&report, "CF0730", "t", "");
    let journey = own.start();
    let (code, task, stderr) = journey.order(&["backfill"]);
    assert_eq!(code, 1, "{stderr}{task}");
    assert!(error(&task).contains("not copied: t"), "{stderr}{task}");
    assert!(format!("{stderr}{task}").contains("BYPASSRLS"), "{stderr}{task}");
    assert_eq!(own.shadow("SELECT id || n FROM t"), "50theirs");
    assert_eq!(own.shadow("SELECT id FROM good"), "1");
    journey.await_status("phase", "mirroring");
    own.shadow("ALTER TABLE t NO FORCE ROW LEVEL SECURITY");
    let (code, said) = told(&journey, &[]);
    assert!(code != 0 && said.contains("has rows already"), "{said}");
    own.shadow("DELETE FROM t");
    journey.done(&["backfill"]);
    journey.await_status("phase", "mirroring");
    assert_eq!(own.shadow("SELECT id || n FROM t"), "1a");
    // What it is later that hides our own rows stops a copy as well.
    journey.proxy.sql("UPDATE t SET n = 'b'");
    journey.level();
    own.shadow("ALTER TABLE t FORCE ROW LEVEL SECURITY");
    let (code, said) = told(&journey, &[]);
    assert!(code != 0 && said.contains("BYPASSRLS"), "{said}");
    assert_eq!(own.shadow("SELECT id || n FROM t"), "1b");
}

/// Rows of a table that inherits are not its parent's.
#[test]
fn tables_that_inherit_are_refused() {
    let own = Own::new(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, n TEXT); INSERT INTO t VALUES (1, 'a');
         CREATE TABLE good(id INTEGER PRIMARY KEY); INSERT INTO good VALUES (1);",
        "CREATE TABLE t(id bigint PRIMARY KEY, n text);
         CREATE TABLE child(more text) INHERITS (t); INSERT INTO child VALUES (1, 'theirs', 'x');",
    );
    one(&own.assess(), "CF0731", "t", "");
    let journey = own.start();
    let (code, task, stderr) = journey.order(&["backfill"]);
    assert!(code == 1 && error(&task).contains("not copied: t"), "{stderr}{task}");
    assert!(format!("{stderr}{task}").contains("child inherit from it"), "{stderr}{task}");
    journey.await_status("phase", "mirroring");
    journey.proxy.sql("UPDATE t SET n = 'b'");
    journey.level();
    assert_eq!(own.shadow("SELECT id || n || more FROM child"), "1theirsx");
    own.shadow("ALTER TABLE child NO INHERIT t");
    journey.done(&["backfill"]);
    journey.await_status("phase", "mirroring");
    assert_eq!(own.shadow("SELECT (SELECT n FROM child), (SELECT n FROM t)"), "theirs|b");
    journey.done(&["verify"]);
}

const FAMILY: &str = "
    CREATE TABLE parent(id INTEGER PRIMARY KEY, n TEXT); INSERT INTO parent VALUES (1, 'a'), (2, 'b');
    CREATE TABLE child(id INTEGER PRIMARY KEY, p INTEGER REFERENCES parent(id));
    INSERT INTO child VALUES (1, 1);";
const THEIRS: &str = "
    CREATE TABLE parent(id bigserial PRIMARY KEY, n text);
    CREATE TABLE child(id bigserial PRIMARY KEY, p bigint REFERENCES parent(id) ON DELETE CASCADE);";

fn family(own: &Own) -> String {
    own.shadow(
        "SELECT (SELECT string_agg(id || n, ' ' ORDER BY id) FROM parent), \
         (SELECT string_agg(id || '>' || p, ' ' ORDER BY id) FROM child)",
    )
}

/// A table is copied anew although others that stay as they are refer to it.
#[test]
fn parents_are_copied_again() {
    let own = Own::new(FAMILY, THEIRS);
    let journey = own.start();
    journey.mirror();
    journey.proxy.sql("UPDATE parent SET n = 'z' WHERE id = 1");
    journey.done(&["backfill"]);
    journey.await_status("phase", "mirroring");
    assert_eq!(family(&own), "1z 2b|1>1");
    journey.proxy.sql("UPDATE parent SET n = 'y' WHERE id = 1");
    journey.done(&["backfill", "--tables", "parent"]);
    journey.await_status("phase", "mirroring");
    assert_eq!(family(&own), "1y 2b|1>1");
    journey.done(&["verify"]);
}

/// The same without the right to let foreign keys rest: children are copied anew as well.
#[test]
fn parents_are_copied_again_where_foreign_keys_act() {
    let own = Own::new(
        FAMILY,
        &format!(
            "{THEIRS} CREATE TABLE pgonly(id int, parent bigint REFERENCES parent(id) ON DELETE CASCADE)"
        ),
    );
    let url = role(
        &own,
        "parents",
        "ALTER TABLE parent OWNER TO $role; ALTER TABLE child OWNER TO $role; \
         ALTER TABLE pgonly OWNER TO $role",
    );
    let own = Own { url, ..own };
    let journey = own.start();
    journey.mirror();
    journey.proxy.sql("UPDATE parent SET n = 'z' WHERE id = 1");
    journey.done(&["backfill", "--tables", "parent"]);
    journey.await_status("phase", "mirroring");
    assert_eq!(family(&own), "1z 2b|1>1");
    // Rows of a table that is not ours would go with their parents.
    own.shadow("INSERT INTO pgonly VALUES (7, 1)");
    journey.proxy.sql("UPDATE parent SET n = 'y' WHERE id = 1; INSERT INTO child VALUES (2, 2)");
    journey.level();
    let (code, said) = told(&journey, &[]);
    assert!(code != 0 && said.contains("pgonly"), "{said}");
    assert_eq!(own.shadow("SELECT id || '>' || parent FROM pgonly"), "7>1");
    assert_eq!(family(&own), "1y 2b|1>1 2>2");
    own.shadow("TRUNCATE pgonly");
    journey.done(&["backfill"]);
    journey.await_status("phase", "mirroring");
    journey.done(&["verify"]);
}

/// A table of PostgreSQL's own that refers to one of ours hinders neither the first copy nor a
/// later one, and keeps its parents.
#[test]
fn a_table_of_others_that_refers_to_ours() {
    let own = Own::new(
        FAMILY,
        &format!(
            "{THEIRS} CREATE TABLE pgonly(id int, parent bigint REFERENCES parent(id) ON DELETE CASCADE)"
        ),
    );
    assert_eq!(
        one(&own.assess(), "CF0732", "parent", "pgonly_parent_fkey")["severity"],
        "decision"
    );
    let journey = own.start();
    journey.mirror();
    own.shadow("INSERT INTO pgonly VALUES (7, 1)");
    journey.proxy.sql("UPDATE parent SET n = 'z' WHERE id = 1");
    journey.done(&["backfill"]);
    journey.await_status("phase", "mirroring");
    assert_eq!(family(&own), "1z 2b|1>1");
    assert_eq!(own.shadow("SELECT id || '>' || parent FROM pgonly"), "7>1");
    // A row of theirs whose parent SQLite has not keeps it.
    own.shadow("INSERT INTO parent VALUES (50, 'theirs'); INSERT INTO pgonly VALUES (8, 50)");
    journey.proxy.sql("UPDATE parent SET n = 'y' WHERE id = 1; UPDATE child SET p = 2");
    journey.level();
    let (code, task, stderr) = journey.order(&["backfill"]);
    let said = format!("{stderr}{task}");
    assert!(code != 0 && said.contains("rows of table pgonly on PostgreSQL"), "{said}");
    // Only that table waits.
    assert_eq!(family(&own), "1y 2b 50theirs|1>2");
    assert_eq!(journey.status("phase"), "copying");
    own.shadow("DELETE FROM pgonly WHERE id = 8");
    journey.done(&["backfill", "--resume"]);
    journey.await_status("phase", "mirroring");
    assert_eq!(family(&own), "1y 2b|1>2");
    journey.done(&["verify"]);
}

/// One table that cannot be mapped does not take those with it to which it refers.
#[test]
fn a_refused_table_that_refers_to_others() {
    let own = Own::new(
        FAMILY,
        "CREATE TABLE parent(id bigserial PRIMARY KEY, n text);
         CREATE TABLE child(id bigserial PRIMARY KEY, p bigint REFERENCES parent(id), tenant int NOT NULL);",
    );
    let journey = own.start();
    let (code, task, stderr) = journey.order(&["backfill"]);
    assert!(code == 1 && error(&task).contains("not copied: child"), "{stderr}{task}");
    journey.await_status("phase", "mirroring");
    assert_eq!(own.shadow("SELECT count(*) FROM parent"), "2");
}

/// Tables that a schema change has made while mirroring are ours as well, whatever they are called.
#[test]
fn tables_made_while_mirroring_are_copied_again() {
    let own = Own::new("CREATE TABLE t(id INTEGER PRIMARY KEY)", "SELECT 1");
    let journey = own.start();
    journey.mirror();
    journey
        .proxy
        .sql("CREATE TABLE late(id int PRIMARY KEY, n text); INSERT INTO late VALUES (1, 'a')");
    journey.proxy.sql("ALTER TABLE late RENAME TO later; UPDATE later SET n = 'b'");
    journey.level();
    journey.done(&["backfill"]);
    journey.await_status("phase", "mirroring");
    assert_eq!(own.shadow("SELECT id || n FROM later"), "1b");
    journey.done(&["verify"]);
}

/// `--tables` leaves the foreign keys of other tables as they were.
#[test]
fn foreign_keys_of_tables_that_stay_come_back() {
    let own = Own::new(FAMILY, "SELECT 1");
    let journey = own.start();
    journey.mirror();
    journey.proxy.sql("UPDATE parent SET n = 'z' WHERE id = 1");
    journey.done(&["backfill", "--tables", "parent"]);
    journey.await_status("phase", "mirroring");
    assert_eq!(own.shadow("SELECT count(*) FROM pg_constraint WHERE contype = 'f'"), "1");
    assert_eq!(family(&own), "1z 2b|1>1");
    journey.done(&["verify"]);
}

/// Foreign keys that are deferred say at COMMIT only what they have against a row.
#[test]
fn a_row_that_a_deferred_foreign_key_refuses() {
    let own = Own::new(
        "PRAGMA foreign_keys = OFF; CREATE TABLE p(id INTEGER PRIMARY KEY); INSERT INTO p VALUES (1);
         CREATE TABLE c(id INTEGER PRIMARY KEY, p INTEGER REFERENCES p(id) DEFERRABLE INITIALLY DEFERRED);
         INSERT INTO c VALUES (1, 1), (2, 99), (3, 1);",
        "SELECT 1",
    );
    let url = role(
        &own,
        "deferred",
        "CREATE TABLE p(id bigint PRIMARY KEY); CREATE TABLE c(id bigint PRIMARY KEY,
           p bigint REFERENCES p(id) DEFERRABLE INITIALLY DEFERRED);
         ALTER TABLE p OWNER TO $role; ALTER TABLE c OWNER TO $role;",
    );
    let own = Own { url, ..own };
    let journey = own.start();
    let task = journey.copy();
    assert_eq!(task["quarantined"], 1, "{task}");
    journey.await_status("phase", "mirroring");
    assert_eq!(own.shadow("SELECT string_agg(id::text, ' ' ORDER BY id) FROM c"), "1 3");
    let held = "SELECT row_key FROM crossfade.quarantine WHERE table_name = 'c'";
    assert!(own.shadow(held).contains('2'));
    journey.done(&["verify"]);
}

/// TRUNCATE of a table that one of PostgreSQL's own refers to.
#[test]
fn a_truncate_reaches_no_rows_of_others() {
    let own = Own::new(
        "CREATE TABLE parent(id INTEGER PRIMARY KEY AUTOINCREMENT, n TEXT);
         INSERT INTO parent VALUES (1, 'a'), (2, 'b');
         CREATE TABLE other(id INTEGER PRIMARY KEY);",
        "CREATE TABLE parent(id bigserial PRIMARY KEY, n text)",
    );
    let journey = own.start();
    journey.mirror();
    own.shadow("CREATE TABLE pgonly(id int, p bigint REFERENCES parent(id) ON DELETE CASCADE)");
    own.shadow("INSERT INTO pgonly VALUES (1, 1)");
    journey.proxy.sql("TRUNCATE parent RESTART IDENTITY; INSERT INTO parent(n) VALUES ('e')");
    journey.level();
    assert_eq!(own.shadow("SELECT string_agg(id || n, ' ') FROM parent"), "1e");
    assert_eq!(own.shadow("SELECT id || '>' || p FROM pgonly"), "1>1");
    assert_eq!(journey.status("health"), "ok");
    journey.done(&["verify"]);
}

/// The same where foreign keys act: the table waits, and what is to be done is said.
#[test]
fn a_truncate_stops_where_rows_of_others_would_go() {
    let own = Own::new(
        "CREATE TABLE parent(id INTEGER PRIMARY KEY, n TEXT); INSERT INTO parent VALUES (1, 'a');
         CREATE TABLE other(id INTEGER PRIMARY KEY);",
        "SELECT 1",
    );
    let url = role(&own, "truncates", "SELECT 1");
    let own = Own { url, ..own };
    let journey = own.start();
    journey.mirror();
    own.shadow("CREATE TABLE pgonly(id int, p bigint REFERENCES parent(id) ON DELETE CASCADE)");
    own.shadow("GRANT SELECT, UPDATE ON pgonly TO PUBLIC");
    journey.proxy.sql("TRUNCATE parent; INSERT INTO parent VALUES (5, 'e')");
    journey.level();
    assert_eq!(own.shadow("SELECT id || n FROM parent"), "5e");
    own.shadow("INSERT INTO pgonly VALUES (1, 5)");
    journey.proxy.sql("TRUNCATE parent; INSERT INTO other VALUES (7)");
    journey.level();
    assert_eq!(
        own.shadow("SELECT (SELECT id || '>' || p FROM pgonly), (SELECT id FROM other)"),
        "1>5|7"
    );
    let all = journey.get("/api/v1/divergences").to_string();
    assert!(all.contains("parent"), "{all}");
    own.shadow("TRUNCATE pgonly");
    journey.done(&["backfill"]);
    journey.await_status("phase", "mirroring");
    assert_eq!(own.shadow("SELECT count(*) FROM parent"), "0");
    journey.done(&["verify"]);
}

/// A table of the file whose name reads as one of another schema.
#[test]
fn a_name_leads_to_no_other_schema() {
    let name = "\u{1e}other\u{1f}tab";
    let own = Own::new(
        &format!(
            "CREATE TABLE \"{name}\"(id INTEGER PRIMARY KEY, v TEXT); INSERT INTO \"{name}\" VALUES (1, 'x');"
        ),
        "CREATE SCHEMA other; CREATE TABLE other.tab(id bigint PRIMARY KEY, v text)",
    );
    let journey = own.start();
    journey.mirror();
    assert_eq!(own.shadow("SELECT count(*) FROM other.tab"), "0");
    assert_eq!(own.shadow("SELECT v FROM _other_tab"), "x");
    assert_eq!(journey.proxy.sql("SELECT v FROM _other_tab"), "x");
}

/// A default that could not be carried, and that somebody writes.
#[test]
fn a_default_written_by_hand_answers() {
    let own = Own::new(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT DEFAULT (sqlite_version()), w TEXT DEFAULT (sqlite_version()));
         INSERT INTO t(id) VALUES (1);",
        "SELECT 1",
    );
    let journey = own.start();
    journey.copy();
    journey.await_status("phase", "mirroring");
    own.shadow(
        "ALTER TABLE t ALTER v SET DEFAULT 'by hand'; ALTER TABLE t ALTER w TYPE varchar(200)",
    );
    journey.order(&["verify"]);
    let open = || {
        let all = journey.get("/api/v1/divergences");
        let all = all["divergences"].as_array().unwrap().clone();
        let open = all.iter().filter(|d| d["state"] == "open");
        open.map(ToString::to_string).collect::<Vec<_>>()
    };
    crate::common::eventually("the default is seen", || {
        let open = open();
        open.len() == 2
            && !open.iter().any(|d| d.contains("column \\\"v\\\"") || d.contains("column v "))
    });
    own.shadow("ALTER TABLE t ALTER w TYPE text; ALTER TABLE t ALTER w SET DEFAULT 'too'");
    journey.order(&["verify"]);
    crate::common::eventually("nothing is open", || open().is_empty());
}

/// A type without a binary form takes nothing: its table is named, the others are copied.
#[test]
fn a_type_that_nothing_can_be_sent_to() {
    let own = Own::new(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, c TEXT); INSERT INTO t VALUES (1, NULL), (2, 'x');
         CREATE TABLE u(id INTEGER PRIMARY KEY); INSERT INTO u VALUES (1);",
        "CREATE TABLE t(id bigserial PRIMARY KEY, c aclitem); CREATE TABLE u(id bigserial PRIMARY KEY);",
    );
    one(&own.assess(), "CF0733", "t", "c");
    let journey = own.start();
    let (code, task, stderr) = journey.order(&["backfill"]);
    assert!(code == 1 && error(&task).contains("not copied: t"), "{stderr}{task}");
    journey.await_status("phase", "mirroring");
    assert_eq!(own.shadow("SELECT count(*) FROM u"), "1");
    own.shadow("ALTER TABLE t ALTER c TYPE text USING c::text");
    journey.done(&["backfill"]);
    journey.await_status("phase", "mirroring");
    assert_eq!(own.shadow("SELECT c FROM t WHERE id = 2"), "x");
    journey.done(&["verify"]);
}
