//! Two roles: sessions log in as the application, Crossfade's own work is another role's. The
//! fence shuts the application out.

use std::time::Duration;

use crate::common::{Journey, Load, Pg, Proxy, Raw, TABLES, eventually};

/// A database with an application role, and a control role with exactly the rights it needs.
struct Roles {
    database: String,
    application: String,
    control: String,
}

impl Roles {
    fn make(pg: &Pg) -> Self {
        let database = pg.database("roles");
        let (application, control) = (format!("app_{database}"), format!("ctl_{database}"));
        let sql = format!(
            "CREATE ROLE {application} LOGIN; \
             CREATE ROLE {control} LOGIN CREATEROLE REPLICATION IN ROLE pg_signal_backend; \
             GRANT {application} TO {control}; \
             GRANT CREATE ON DATABASE {database} TO {control}; \
             GRANT SET ON PARAMETER session_replication_role TO {control}; \
             ALTER SCHEMA public OWNER TO {control}"
        );
        pg.cluster.psql(&database, &sql).unwrap();
        Self { database, application, control }
    }

    fn url(&self, pg: &Pg, role: &str) -> String {
        pg.cluster.url(&self.database).replace("postgres@", &format!("{role}@"))
    }

    fn start(&self, pg: &Pg, folder: &tempfile::TempDir, envs: &[(&str, &str)]) -> Journey {
        let url = self.url(pg, &self.application);
        let control = self.url(pg, &self.control);
        let mut all = vec![("CROSSFADE_POSTGRES_CONTROL_URL", control.as_str())];
        all.extend(envs);
        let file = folder.path().join("app.db");
        let proxy = Proxy::on_file_with(&file, &["--postgres", &url], &all);
        Journey { proxy, url, database: self.database.clone() }
    }

    fn may_log_in(&self, pg: &Pg) -> bool {
        let sql =
            format!("SELECT rolcanlogin FROM pg_roles WHERE rolname = '{}'", self.application);
        pg.cluster.psql("postgres", &sql).unwrap() == "t"
    }
}

#[test]
fn the_fence_shuts_the_application_out_and_lets_it_in_again() {
    let pg = Pg::shared();
    let roles = Roles::make(pg);
    let folder = tempfile::tempdir().unwrap();
    let journey = roles.start(pg, &folder, &[]);
    journey
        .proxy
        .sql("CREATE TABLE t (id serial PRIMARY KEY, body text); INSERT INTO t(body) VALUES ('a')");
    journey.mirror();
    journey.await_gate("way_back");
    let load = {
        journey.proxy.sql(TABLES);
        journey.done(&["verify"]);
        Load::start(journey.proxy.port, 4)
    };
    load.more(50, "on SQLite");
    journey.promote();
    load.more(50, "on PostgreSQL");
    let sessions = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND usename = '{}' \
         AND backend_type = 'client backend'",
        roles.database, roles.application
    );
    assert_ne!(
        pg.cluster.psql("postgres", &sessions).unwrap(),
        "0",
        "sessions are the application's"
    );
    // As primary the application owns its tables: its migrations go on.
    journey.proxy.sql("INSERT INTO t(body) VALUES ('b')");
    // A stranger with the application's role, idle, and one in a transaction.
    let port = pg.cluster.port();
    let mut idle = Raw::connect(port, &roles.application, &roles.database, &[]);
    let mut open = Raw::connect(
        port,
        &roles.application,
        &roles.database,
        &[(
            // A name like our own does not save it.
            "application_name",
            "crossfade control",
        )],
    );
    open.query("BEGIN");
    open.query("INSERT INTO t(body) VALUES ('never committed')");
    idle.query("SELECT 1");
    journey.rollback();
    load.more(50, "on SQLite again");
    assert!(!roles.may_log_in(pg), "the application may log in to the shadow");
    assert_eq!(pg.cluster.psql("postgres", &sessions).unwrap(), "0", "somebody is left");
    assert!(idle.query("SELECT 1").last().unwrap() == "END");
    assert!(open.query("COMMIT").last().unwrap() == "END");
    assert_eq!(journey.proxy.sql("SELECT count(*), max(id) FROM t"), "2|2");
    // The value that the stranger drew is gone, as on PostgreSQL.
    assert_eq!(journey.proxy.sql("INSERT INTO t(body) VALUES ('c') RETURNING id"), "4");
    load.rest();
    journey.level();
    load.go_on();
    journey.promote();
    assert!(roles.may_log_in(pg));
    load.more(50, "on PostgreSQL again");
    drop(load);
    journey.proxy.sql("ALTER TABLE t ADD COLUMN more text");
    journey.done(&["complete", "--yes"]);
    assert!(roles.may_log_in(pg));
}

#[test]
fn a_rollback_that_is_undone_lets_the_application_in_again() {
    let pg = Pg::shared();
    let roles = Roles::make(pg);
    let folder = tempfile::tempdir().unwrap();
    let mut journey = roles.start(pg, &folder, &[]);
    journey.proxy.sql("CREATE TABLE t (id integer PRIMARY KEY, body text)");
    journey.mirror();
    journey.promote();
    journey.proxy.sql("INSERT INTO t VALUES (1, 'a')");
    // Killed with the fence up: recovery lets the application in again.
    let control = roles.url(pg, &roles.control);
    let with_control = ("CROSSFADE_POSTGRES_CONTROL_URL", control.as_str());
    journey.restart_with(&[with_control, ("CROSSFADE_FAILPOINT", "cutover.postgres_fenced:1")]);
    journey.await_status("phase", "promoted");
    journey.await_way_back();
    let (code, ..) = journey.order(&["rollback", "--yes"]);
    assert_ne!(code, 0);
    assert!(journey.proxy.ended(), "the failpoint was not hit");
    assert!(!roles.may_log_in(pg), "the fence is not up");
    journey.restart_with(&[with_control]);
    journey.await_status("phase", "promoted");
    assert!(roles.may_log_in(pg));
    journey.proxy.sql("INSERT INTO t VALUES (2, 'b')");
    // And a fence that finds something to refuse behind it is taken down as well: an index that
    // SQLite does not have.
    journey.await_way_back();
    pg.cluster.psql(&roles.database, "CREATE UNIQUE INDEX ON t (body)").unwrap();
    let (code, task, _) = journey.order(&["rollback", "--yes"]);
    assert!(code == 5 || code == 4, "{task}");
    assert_eq!(journey.status("primary"), "postgres");
    assert!(roles.may_log_in(pg));
    journey.proxy.sql("INSERT INTO t VALUES (3, 'c')");
    assert_eq!(journey.proxy.sql("SELECT count(*) FROM t"), "3");
}

/// The application's role owns its tables and knows nothing of schema `crossfade`: the triggers on
/// its tables write there all the same.
#[test]
fn row_triggers_with_two_roles() {
    let pg = Pg::shared();
    let roles = Roles::make(pg);
    let folder = tempfile::tempdir().unwrap();
    let journey = roles.start(pg, &folder, &[("CROSSFADE_POSTGRES_WAY_BACK", "triggers")]);
    journey
        .proxy
        .sql("CREATE TABLE t (id serial PRIMARY KEY, body text); CREATE TABLE log (a text)");
    journey.mirror();
    journey.await_gate("way_back");
    journey.promote();
    // A moment after the promote it says that it is starting.
    journey.await_way_back();
    let way_back = journey.status("way_back");
    assert!(way_back.contains("by row triggers"), "{way_back}");
    journey.proxy.sql("INSERT INTO t(body) VALUES ('a'), ('b'); INSERT INTO log VALUES ('x')");
    journey.proxy.sql("UPDATE t SET body = 'c' WHERE id = 1; DELETE FROM t WHERE id = 2");
    let (code, _, stderr) = journey.proxy.psql("SELECT count(*) FROM crossfade.way_back_journal");
    assert!(code != 0 && stderr.contains("permission denied"), "{stderr}");
    journey.rollback();
    assert_eq!(journey.proxy.sql("SELECT id, body, (SELECT a FROM log) FROM t"), "1|c|x");
    journey.level();
    journey.done(&["verify"]);
    assert!(!roles.may_log_in(pg) || journey.status("primary") == "sqlite");
}

#[test]
fn killed_in_the_middle_with_two_roles() {
    let pg = Pg::shared();
    let roles = Roles::make(pg);
    let folder = tempfile::tempdir().unwrap();
    let mut journey = roles.start(pg, &folder, &[]);
    journey.proxy.sql("CREATE TABLE t (id integer PRIMARY KEY, body text)");
    journey.mirror();
    let control = roles.url(pg, &roles.control);
    let with_control = ("CROSSFADE_POSTGRES_CONTROL_URL", control.as_str());
    let mut id = 0;
    for (point, verb, primary) in [
        ("cutover.before_decide", "promote", "sqlite"),
        ("cutover.decided", "promote", "postgres"),
        ("cutover.returned", "rollback", "sqlite"),
        ("cutover.recorded", "promote", "postgres"),
        ("cutover.return_stored", "rollback", "sqlite"),
    ] {
        let failpoint = format!("{point}:1");
        journey.restart_with(&[with_control, ("CROSSFADE_FAILPOINT", &failpoint)]);
        if verb == "promote" {
            journey.await_status("phase", "mirroring");
            journey.level();
            let _ = journey.try_promote();
        } else {
            journey.await_way_back();
            let _ = journey.order(&["rollback", "--yes"]);
        }
        assert!(journey.proxy.ended(), "{point} was not hit\n{}", journey.proxy.log());
        journey.restart_with(&[with_control]);
        journey.await_status("primary", primary);
        id += 1;
        eventually("writes go on", || {
            journey
                .proxy
                .psql(&format!("INSERT INTO t VALUES ({id}, 'x') ON CONFLICT DO NOTHING"))
                .0
                == 0
        });
        assert!(roles.may_log_in(pg) || primary == "sqlite", "{point}");
        assert_eq!(journey.proxy.sql("SELECT count(*) FROM t"), id.to_string(), "{point}");
        std::thread::sleep(Duration::from_millis(50));
    }
    journey.level();
    journey.done(&["verify"]);
}
