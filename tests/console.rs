//! The console over both query protocols, with psql and psycopg, against the real binary.

use crate::common::client::{Address, Client};
use crate::common::{Pg, Proxy, run_python};

/// psql on the console; (exit code, stdout, stderr), unaligned, tuples only.
fn ask(proxy: &Proxy, sql: &str) -> (i32, String, String) {
    let output = crate::common::Pg::shared()
        .tool("psql")
        .args(["-X", "-A", "-t", "-q", "-v", "VERBOSITY=verbose", "-d"])
        .arg(format!("postgres://anna@127.0.0.1:{}/crossfade", proxy.port))
        .args(["-c", sql])
        .output()
        .expect("psql runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

fn answer(proxy: &Proxy, sql: &str) -> String {
    let (code, stdout, stderr) = ask(proxy, sql);
    assert_eq!(code, 0, "{sql}: {stderr}\n{}", proxy.log());
    stdout
}

fn refusal(proxy: &Proxy, sql: &str, sqlstate: &str) -> String {
    let (code, _, stderr) = ask(proxy, sql);
    assert_ne!(code, 0, "{sql} was accepted");
    assert!(stderr.contains(sqlstate), "{sql}: {stderr}");
    stderr
}

#[test]
fn every_show_answers_and_is_a_table() {
    let proxy = Proxy::direct();
    let names = [
        "status",
        "phase",
        "gates",
        "divergences",
        "statements",
        "tables",
        "journal",
        "sessions",
        "events",
        "config",
        "version",
        "pools",
        "stats",
        "clients",
        "servers",
        "databases",
        "stats_totals",
        "stats_averages",
        "lists",
        "tasks",
        "help",
    ];
    for name in names {
        let shown = answer(&proxy, &format!("SHOW {name}"));
        let selected = answer(&proxy, &format!("select * from {name}"));
        assert_eq!(shown, selected, "{name}");
        answer(&proxy, &format!("SELECT count(*) FROM public.{name};"));
    }
    assert!(answer(&proxy, "SHOW STATUS").starts_with("direct|ok|"));
    assert_eq!(answer(&proxy, "SHOW PHASE"), "direct|1|sqlite|");
    let joined = "SELECT s.phase, count(c.key) > 10 FROM status s, config c GROUP BY 1";
    assert_eq!(answer(&proxy, joined), "direct|t");
    let filtered = "SELECT key FROM config WHERE key LIKE 'listen.%' ORDER BY key LIMIT 1";
    assert_eq!(answer(&proxy, filtered), "listen.addr");
    assert!(answer(&proxy, "SHOW HELP").contains("PROMOTE [DRY RUN]"));
}

#[test]
fn what_drivers_send_is_harmless() {
    let proxy = Proxy::direct();
    assert_eq!(answer(&proxy, "SELECT 1"), "1");
    assert!(answer(&proxy, "SELECT version()").starts_with("PostgreSQL 15"));
    assert!(answer(&proxy, "SHOW ALL").contains("server_version"));
    assert_eq!(answer(&proxy, "SET application_name = 'x'; SHOW application_name"), "x");
    assert_eq!(answer(&proxy, "BEGIN; SELECT current_database(); COMMIT"), "crossfade");
    assert_eq!(answer(&proxy, "SELECT current_user, current_schema()"), "anna|public");
    let catalog = "SELECT count(*) FROM pg_class WHERE relname = 'gates'";
    assert_eq!(answer(&proxy, catalog), "1");
    assert!(answer(&proxy, "\\d").contains("divergences"));
    assert!(answer(&proxy, "\\d gates").contains("boolean"));
}

#[test]
fn orders_run_to_their_end() {
    let proxy = Proxy::direct();
    assert!(answer(&proxy, "PAUSE").contains("|done|"));
    // The proxy holds statements, the console answers.
    let asked = std::time::Instant::now();
    assert_eq!(answer(&proxy, "SELECT state FROM tasks WHERE kind = 'pause'"), "done");
    assert!(asked.elapsed().as_secs() < 20);
    assert!(answer(&proxy, "resume;").contains("|done|"));
    assert_eq!(proxy.sql("SELECT 1"), "1");
    let events = answer(&proxy, "SELECT DISTINCT who FROM events");
    assert_eq!(events, "console:anna");
    for order in ["PROMOTE", "PROMOTE DRY RUN", "VERIFY", "BACKFILL a, b", "REPAIR d1", "COMPLETE"]
    {
        let stderr = refusal(&proxy, order, "55000");
        assert!(stderr.contains("no PostgreSQL is attached"), "{stderr}");
    }
    refusal(&proxy, "ROLLBACK TO SQLITE", "55000");
    refusal(&proxy, "PROMOTE NOW", "42601");
}

#[test]
fn mistakes_are_told_as_postgresql_tells_them() {
    let proxy = Proxy::direct();
    refusal(&proxy, "SELEKT 1", "42601");
    refusal(&proxy, "SHOW nothing_of_that_name", "42704");
    refusal(&proxy, "SELECT * FROM orders", "42P01");
    refusal(&proxy, "SELECT nope FROM status", "42703");
    refusal(&proxy, "DELETE FROM events", "25006");
    refusal(&proxy, "SELECT 1/0", "22012");
    refusal(&proxy, "COPY status TO STDOUT", "0A000");
    refusal(&proxy, "SELECT count(*) FROM generate_series(1, 1000000000)", "54000");
}

#[test]
fn shutdown_ends_the_proxy() {
    let mut proxy = Proxy::direct();
    let _ = ask(&proxy, "SHUTDOWN");
    crate::common::eventually("the proxy ends", || !proxy.is_running());
}

/// pgbouncer's exporters ask for a database of that name, which is the application's unless it is
/// said to be the console's.
#[test]
fn another_name_reaches_the_console_where_it_is_said_to() {
    let asks = |proxy: &Proxy, database: &str| {
        let url = format!("postgres://anna@127.0.0.1:{}/{database}", proxy.port);
        let mut psql = Pg::shared().tool("psql");
        psql.args(["-X", "-A", "-t", "-d", &url, "-c", "SHOW STATS"]);
        psql.stdin(std::process::Stdio::null()).output().unwrap().status.success()
    };
    let proxy = Proxy::direct();
    assert!(asks(&proxy, "crossfade") && !asks(&proxy, "pgbouncer"));
    let proxy = Proxy::on_new_file(&["--set", "listen.console=pgbouncer"]);
    assert!(asks(&proxy, "crossfade") && asks(&proxy, "pgbouncer") && !asks(&proxy, "app"));
}

/// The columns of pgbouncer 1.18, as its own console shows them. Its exporters stop at a column that
/// they do not know, or at a number that is NULL.
#[test]
fn the_poolers_tables_are_the_poolers() {
    let shapes = [
        (
            "DATABASES",
            "name|host|port|database|force_user|pool_size|min_pool_size|reserve_pool|pool_mode|\
             max_connections|current_connections|paused|disabled",
        ),
        (
            "POOLS",
            "database|user|cl_active|cl_waiting|cl_active_cancel_req|cl_waiting_cancel_req|\
             sv_active|sv_active_cancel|sv_being_canceled|sv_idle|sv_used|sv_tested|sv_login|\
             maxwait|maxwait_us|pool_mode",
        ),
        (
            "STATS",
            "database|total_xact_count|total_query_count|total_received|total_sent|\
             total_xact_time|total_query_time|total_wait_time|avg_xact_count|avg_query_count|\
             avg_recv|avg_sent|avg_xact_time|avg_query_time|avg_wait_time",
        ),
        ("STATS_TOTALS", TOTALS),
        ("STATS_AVERAGES", TOTALS),
        ("LISTS", "list|items"),
        ("VERSION", "version"),
        ("CONFIG", "key|value|source|changeable"),
    ];
    let proxy = Proxy::direct();
    let (user, database) = ("anna".to_owned(), "app".to_owned());
    let mut client =
        Client::connect(Address { port: proxy.port, user, database, options: String::new() });
    for (name, columns) in shapes {
        let shown = headed(&proxy, &format!("SHOW {name}"));
        let mut lines = shown.lines();
        assert_eq!(lines.next(), Some(columns), "{name}");
        for row in lines {
            let cells = columns.split('|').zip(row.split('|'));
            let textual = ["host", "database", "force_user", "value", "pool_mode"];
            for (column, cell) in cells.filter(|(column, _)| !textual.contains(column)) {
                assert!(!cell.is_empty(), "{name}.{column}: {row}");
            }
        }
    }
    client.simple("CREATE TABLE t (a int)");
    let count = |column: &str| -> u64 {
        answer(&proxy, &format!("SELECT {column} FROM stats_totals")).parse().unwrap()
    };
    let before = (count("xact_count"), count("query_count"), count("bytes_sent"));
    for _ in 0..10 {
        client.simple("SELECT a FROM t");
    }
    client.simple("BEGIN");
    client.extended("SELECT a FROM t", &[]);
    let pools = "SELECT database, \"user\", cl_active, sv_active FROM pools ORDER BY 1 DESC";
    assert_eq!(answer(&proxy, pools), "crossfade|crossfade|1|0\napp|anna|1|1");
    client.simple("COMMIT");
    assert_eq!(count("xact_count"), before.0 + 11);
    assert_eq!(count("query_count"), before.1 + 13);
    assert!(count("bytes_sent") > before.2 + 10 * 30, "bytes were not counted");
    drop(client);
    crate::common::eventually("the session ends", || {
        answer(&proxy, "SELECT items FROM lists WHERE list = 'used_clients'") == "1"
    });
    assert_eq!(count("xact_count"), before.0 + 11, "what ended sessions did is kept");
}

/// The answer with its column names first.
fn headed(proxy: &Proxy, sql: &str) -> String {
    let url = format!("postgres://anna@127.0.0.1:{}/crossfade", proxy.port);
    let mut psql = Pg::shared().tool("psql");
    psql.args(["-X", "-A", "-P", "footer=off", "-d", &url, "-c", sql]);
    let output = psql.stdin(std::process::Stdio::null()).output().expect("psql runs");
    assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

const TOTALS: &str = "database|xact_count|query_count|bytes_received|bytes_sent|xact_time|\
                      query_time|wait_time";

#[test]
fn psycopg_speaks_the_extended_protocol() {
    let proxy = Proxy::direct();
    let url = format!("postgres://anna@127.0.0.1:{}/crossfade", proxy.port);
    run_python("console.py", &url);
}

#[test]
fn the_document_names_what_help_lists() {
    let proxy = Proxy::direct();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/console.md");
    let document = std::fs::read_to_string(path).unwrap();
    let help = answer(&proxy, "SELECT command FROM help");
    let named = |text: &str| document.contains(&format!("`{}`", text.replace('|', "\\|")));
    for command in help.lines().filter(|c| !c.starts_with("SELECT")) {
        let found = named(command) || command.strip_prefix("SHOW ").is_some_and(named);
        assert!(found, "docs/console.md does not name {command}");
    }
    let orders = document.split("| order | does |").nth(1).unwrap();
    for row in orders.lines().filter(|l| l.starts_with("| `")) {
        for order in
            row.split('`').skip(1).step_by(2).take_while(|o| o.starts_with(char::is_uppercase))
        {
            let order = order.replace("\\|", "|");
            assert!(help.lines().any(|l| l == order), "SHOW HELP does not list {order}");
        }
    }
}
