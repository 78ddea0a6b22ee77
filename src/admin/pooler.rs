//! The console's tables of pgbouncer's names: exactly its columns, so that its exporters work.
//!
//! Owns their shape ([`TABLES`]), their rows ([`rows`]) and [`Averages`]. A "server" is a place
//! where a statement runs: on SQLite the readers and the writer, on PostgreSQL a connection. A
//! state that no place is ever in is zero; what has no counterpart here is NULL. Only CLIENTS and
//! SERVERS have columns of ours, on the right.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::rows::{Row, count, flag, word, words};
use super::tables::{INT, TEXT, TIME, Table};
use super::{Console, DATABASE};
use crate::backend::sqlite::READERS;
use crate::control::{SessionInfo, SettingInfo, Status, Totals};
use crate::value::Cell;

/// The database that stands for every one of the application's.
const ANY: &str = "*";
/// pgbouncer's stats_period.
const PERIOD: Duration = Duration::from_secs(60);

/// Columns of the totals and of the averages.
const STATS: &[(&str, u32)] = &[
    ("database", TEXT),
    ("xact_count", INT),
    ("query_count", INT),
    ("bytes_received", INT),
    ("bytes_sent", INT),
    ("xact_time", INT),
    ("query_time", INT),
    ("wait_time", INT),
];

/// In the order of SHOW HELP.
pub(super) const TABLES: &[Table] = &[
    Table {
        name: "databases",
        about: "the databases a client can name (pgbouncer's columns)",
        columns: &[
            ("name", TEXT),
            ("host", TEXT),
            ("port", INT),
            ("database", TEXT),
            ("force_user", TEXT),
            ("pool_size", INT),
            ("min_pool_size", INT),
            ("reserve_pool", INT),
            ("pool_mode", TEXT),
            ("max_connections", INT),
            ("current_connections", INT),
            ("paused", INT),
            ("disabled", INT),
        ],
    },
    Table {
        name: "pools",
        about: "clients by state, for each database and user (pgbouncer's columns)",
        columns: &[
            ("database", TEXT),
            ("user", TEXT),
            ("cl_active", INT),
            ("cl_waiting", INT),
            ("cl_active_cancel_req", INT),
            ("cl_waiting_cancel_req", INT),
            ("sv_active", INT),
            ("sv_active_cancel", INT),
            ("sv_being_canceled", INT),
            ("sv_idle", INT),
            ("sv_used", INT),
            ("sv_tested", INT),
            ("sv_login", INT),
            ("maxwait", INT),
            ("maxwait_us", INT),
            ("pool_mode", TEXT),
        ],
    },
    Table {
        name: "stats",
        about: "totals, and averages over a minute (pgbouncer's columns); /metrics has more",
        columns: &[
            ("database", TEXT),
            ("total_xact_count", INT),
            ("total_query_count", INT),
            ("total_received", INT),
            ("total_sent", INT),
            ("total_xact_time", INT),
            ("total_query_time", INT),
            ("total_wait_time", INT),
            ("avg_xact_count", INT),
            ("avg_query_count", INT),
            ("avg_recv", INT),
            ("avg_sent", INT),
            ("avg_xact_time", INT),
            ("avg_query_time", INT),
            ("avg_wait_time", INT),
        ],
    },
    Table { name: "stats_totals", about: "the totals of stats", columns: STATS },
    Table { name: "stats_averages", about: "the averages of stats", columns: STATS },
    Table {
        name: "lists",
        about: "how many of each (pgbouncer's columns)",
        columns: &[("list", TEXT), ("items", INT)],
    },
    Table {
        name: "clients",
        about: "client connections (pgbouncer's columns)",
        columns: &[
            ("type", TEXT),
            ("user", TEXT),
            ("database", TEXT),
            ("state", TEXT),
            ("addr", TEXT),
            ("port", INT),
            ("local_addr", TEXT),
            ("local_port", INT),
            ("connect_time", TIME),
            ("request_time", TIME),
            ("wait", INT),
            ("wait_us", INT),
            ("close_needed", INT),
            ("ptr", TEXT),
            ("link", TEXT),
            ("remote_pid", INT),
            ("tls", TEXT),
            ("application_name", TEXT),
            ("pid", INT),
            ("backend", TEXT),
        ],
    },
    Table {
        name: "servers",
        about: "the back ends (pgbouncer's columns)",
        columns: &[
            ("type", TEXT),
            ("user", TEXT),
            ("database", TEXT),
            ("state", TEXT),
            ("addr", TEXT),
            ("port", INT),
            ("local_addr", TEXT),
            ("local_port", INT),
            ("connect_time", TIME),
            ("request_time", TIME),
            ("wait", INT),
            ("wait_us", INT),
            ("close_needed", INT),
            ("ptr", TEXT),
            ("link", TEXT),
            ("remote_pid", INT),
            ("tls", TEXT),
            ("application_name", TEXT),
            ("backend", TEXT),
            ("role", TEXT),
            ("version", TEXT),
        ],
    },
];

/// The rows of one of [`TABLES`] now.
pub(super) async fn rows(table: &str, console: &Console) -> Vec<Row> {
    let engine = console.control.engine();
    let config = engine.config();
    match table {
        "databases" => databases(&engine.status().await, &config),
        "pools" => pools(&engine.sessions(), &config, console.open()),
        "stats" => vec![stats(console)],
        "stats_totals" => vec![totals(&engine.totals())],
        "stats_averages" => vec![averages(console)],
        "lists" => lists(&engine.sessions(), &config, console.open()),
        "clients" => engine.sessions().iter().map(client).collect(),
        "servers" => servers(&engine.status().await, &config, &console.version),
        _ => Vec::new(),
    }
}

fn setting<'a>(config: &'a [SettingInfo], name: &str) -> Option<&'a str> {
    config.iter().find(|s| s.name == name).map(|s| s.value.as_str()).filter(|v| !v.is_empty())
}

fn number(config: &[SettingInfo], name: &str) -> u64 {
    setting(config, name).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Where a back end is: host, port, database. A file has neither host nor port.
fn place(config: &[SettingInfo], backend: &str) -> (Option<String>, u64, Option<String>) {
    if backend != "postgres" {
        return (None, 0, setting(config, "sqlite.path").map(str::to_owned));
    }
    let url = setting(config, "postgres.url").unwrap_or_default();
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let hosts = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
    let database = path.split('?').next().filter(|name| !name.is_empty());
    match hosts.rsplit_once(':') {
        Some((host, port)) if !hosts.contains(',') => {
            (Some(host.to_owned()), port.parse().unwrap_or(5432), database.map(str::to_owned))
        }
        _ => (Some(hosts.to_owned()), 5432, database.map(str::to_owned)),
    }
}

/// Places where statements can run at once.
fn servers_max(config: &[SettingInfo], on_postgres: bool) -> u64 {
    match on_postgres {
        true => number(config, "postgres.pool_size"),
        false => match number(config, "sqlite.readers") {
            0 => READERS as u64 + 1,
            readers => readers + 1,
        },
    }
}

fn databases(s: &Status, config: &[SettingInfo]) -> Vec<Row> {
    let (host, port, database) = place(config, &s.primary);
    let paused = s.health == "stalled" || s.phase == "switching";
    vec![vec![
        word(setting(config, "listen.database").unwrap_or(ANY)),
        words(host.as_deref()),
        count(port),
        words(database.as_deref()),
        Cell::Null,
        count(servers_max(config, s.primary == "postgres")),
        count(0),
        count(0),
        words(setting(config, "postgres.pool_mode")),
        count(number(config, "listen.max_sessions")),
        count(s.sessions),
        flag(paused),
        flag(false),
    ]]
}

/// A session that has a place where its statements run.
fn is_linked(s: &SessionInfo, session_pooling: bool) -> bool {
    let held = s.backend == "postgres" && session_pooling;
    held || matches!(s.state.as_str(), "active" | "in_transaction")
}

fn pools(sessions: &[SessionInfo], config: &[SettingInfo], consoles: u64) -> Vec<Row> {
    let mode = setting(config, "postgres.pool_mode").unwrap_or("session");
    let mut pools: BTreeMap<(&str, &str), Vec<&SessionInfo>> = BTreeMap::new();
    for session in sessions {
        pools.entry((&session.database, &session.user)).or_default().push(session);
    }
    let row = |((database, user), members): ((&str, &str), Vec<&SessionInfo>)| {
        let waiting = members.iter().filter(|s| s.state == "waiting").count() as u64;
        let linked = members.iter().filter(|s| is_linked(s, mode == "session")).count() as u64;
        let longest = members.iter().filter_map(|s| s.waiting_ms).max().unwrap_or(0);
        pool((database, user), (members.len() as u64 - waiting, waiting, linked), longest, mode)
    };
    let mut rows: Vec<Row> = pools.into_iter().map(row).collect();
    rows.push(pool((DATABASE, DATABASE), (consoles, 0, 0), 0, "statement"));
    rows
}

/// One pool: clients active and waiting, servers active; milliseconds of the longest wait.
fn pool(name: (&str, &str), clients: (u64, u64, u64), longest: u64, mode: &str) -> Row {
    let (active, waiting, linked) = clients;
    let mut row = vec![word(name.0), word(name.1), count(active), count(waiting)];
    // A cancel request is passed on while it is read: none is ever seen.
    row.extend([count(0), count(0), count(linked)]);
    // Idle places belong to no user; they are not tested or logged in beforehand.
    row.extend(std::iter::repeat_n(count(0), 6));
    row.extend([count(longest / 1000), count(longest % 1000 * 1000), word(mode)]);
    row
}

fn lists(sessions: &[SessionInfo], config: &[SettingInfo], consoles: u64) -> Vec<Row> {
    let mode = setting(config, "postgres.pool_mode").unwrap_or("session");
    let on_postgres = sessions.iter().any(|s| s.backend == "postgres");
    let used = sessions.iter().filter(|s| is_linked(s, mode == "session")).count() as u64;
    let users: std::collections::BTreeSet<&str> =
        sessions.iter().map(|s| s.user.as_str()).collect();
    let clients = sessions.len() as u64 + consoles;
    let max = number(config, "listen.max_sessions");
    let items = [
        ("databases", 2),
        ("users", users.len() as u64),
        ("pools", pools(sessions, config, consoles).len() as u64),
        ("free_clients", max.saturating_sub(clients)),
        ("used_clients", clients),
        // A client is counted once it has logged in.
        ("login_clients", 0),
        ("free_servers", servers_max(config, on_postgres).saturating_sub(used)),
        ("used_servers", used),
        // Names are resolved by the system and not kept.
        ("dns_names", 0),
        ("dns_zones", 0),
        ("dns_queries", 0),
        ("dns_pending", 0),
    ];
    items.into_iter().map(|(list, number)| vec![word(list), count(number)]).collect()
}

fn numbers(t: &Totals) -> [Cell; 7] {
    [t.transactions, t.statements, t.received, t.sent, t.transaction_us, t.statement_us, t.wait_us]
        .map(count)
}

fn totals(totals: &Totals) -> Row {
    std::iter::once(word(ANY)).chain(numbers(totals)).collect()
}

fn averages(console: &Console) -> Row {
    let totals = console.control.engine().totals();
    let average = console.averages.of(console.clock.instant(), &totals);
    std::iter::once(word(ANY)).chain(numbers(&average)).collect()
}

fn stats(console: &Console) -> Row {
    let mut row = totals(&console.control.engine().totals());
    row.extend(averages(console).into_iter().skip(1));
    row
}

/// The counts a period ago. A period ends when somebody asks after [`PERIOD`], so that it is
/// longer where nobody does.
#[derive(Debug, Default)]
pub struct Averages(Mutex<Option<Period>>);

#[derive(Debug)]
struct Period {
    since: Instant,
    at: Totals,
    last: Option<Totals>,
}

impl Averages {
    /// Averages over the last whole period, or over what there is of the first: counts and bytes
    /// a second, microseconds for each transaction, statement, and second of waiting.
    fn of(&self, now: Instant, totals: &Totals) -> Totals {
        let mut period = self.0.lock();
        let period =
            period.get_or_insert_with(|| Period { since: now, at: Totals::default(), last: None });
        let over = now.saturating_duration_since(period.since);
        let average = averaged(&totals.since(&period.at), over);
        if over >= PERIOD {
            *period = Period { since: now, at: *totals, last: Some(average) };
        }
        period.last.unwrap_or(average)
    }
}

fn averaged(t: &Totals, over: Duration) -> Totals {
    let seconds = over.as_secs().max(1);
    Totals {
        transactions: t.transactions / seconds,
        statements: t.statements / seconds,
        received: t.received / seconds,
        sent: t.sent / seconds,
        transaction_us: t.transaction_us / t.transactions.max(1),
        statement_us: t.statement_us / t.statements.max(1),
        wait_us: t.wait_us / seconds,
    }
}

/// `127.0.0.1:5432` as address and port; a Unix socket has no port.
fn address(client: &str) -> (Cell, Cell) {
    match client.rsplit_once(':').map(|(host, port)| (host, port.parse::<i64>())) {
        Some((host, Ok(port))) => {
            (word(host.trim_start_matches('[').trim_end_matches(']')), Cell::Integer(port))
        }
        _ => (word(client), Cell::Null),
    }
}

fn client(s: &SessionInfo) -> Row {
    let (host, port) = address(&s.client);
    let state = match s.state.as_str() {
        "in_transaction" => "active",
        other => other,
    };
    let mut row = vec![word("C"), word(&s.user), word(&s.database), word(state), host, port];
    row.extend(std::iter::repeat_n(Cell::Null, 4));
    let waiting = s.waiting_ms.unwrap_or(0);
    row.extend([count(waiting / 1000), count(waiting % 1000 * 1000), count(0)]);
    row.extend(std::iter::repeat_n(Cell::Null, 4));
    row.extend([word(&s.application), Cell::Integer(i64::from(s.pid)), word(&s.backend)]);
    row
}

fn servers(s: &Status, config: &[SettingInfo], version: &str) -> Vec<Row> {
    let server = |backend: &str, role: &str| {
        let (host, port, database) = place(config, backend);
        let state = if role == "primary" { "active" } else { "idle" };
        let mut row = vec![word("S"), Cell::Null, words(database.as_deref()), word(state)];
        row.extend([words(host.as_deref()), count(port)]);
        row.extend(std::iter::repeat_n(Cell::Null, 12));
        let version = if backend == "postgres" { version } else { super::store::sqlite_version() };
        row.extend([word(backend), word(role), word(version)]);
        row
    };
    let primary = server(&s.primary, "primary");
    let shadow = s.shadow.as_deref().map(|backend| server(backend, "shadow"));
    std::iter::once(primary).chain(shadow).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str) -> Vec<SettingInfo> {
        let entry = |name: &str, value: &str| SettingInfo {
            name: name.to_owned(),
            value: value.to_owned(),
            ..SettingInfo::default()
        };
        vec![entry("postgres.url", url), entry("sqlite.path", "/data/app.db")]
    }

    #[test]
    fn a_back_end_has_a_place() {
        let at = |url| {
            let (host, port, database) = place(&config(url), "postgres");
            (host.unwrap(), port, database.unwrap_or_default())
        };
        assert_eq!(
            at("postgres://a:***@db:5433/x?sslmode=require"),
            ("db".into(), 5433, "x".into())
        );
        assert_eq!(at("postgresql://db"), ("db".into(), 5432, String::new()));
        assert_eq!(at("postgres://a@b:1,c:2/x"), ("b:1,c:2".into(), 5432, "x".into()));
        assert_eq!(place(&config(""), "sqlite").2.as_deref(), Some("/data/app.db"));
    }

    #[test]
    fn averages_are_of_the_last_whole_period() {
        let averages = Averages::default();
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let totals = |n| Totals { transactions: n, transaction_us: n * 5, ..Totals::default() };
        assert_eq!(averages.of(at(0), &totals(0)).transactions, 0);
        assert_eq!(averages.of(at(10), &totals(100)).transactions, 10);
        assert_eq!(averages.of(at(60), &totals(1200)).transactions, 20);
        let between = averages.of(at(90), &totals(9000));
        assert_eq!((between.transactions, between.transaction_us), (20, 5));
        assert_eq!(averages.of(at(120), &totals(1200)).transactions, 0);
    }
}
