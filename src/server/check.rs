//! `crossfade check`: would `crossfade run` with this configuration work?
//!
//! Reads the configuration, looks at the SQLite file and at PostgreSQL, and says everything
//! that is in the way, not only the first thing. It must never change a back end nor start
//! serving. Start at [`check`].

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;
use serde_json::json;
use tokio_postgres::{Client, Row};

use super::admission;
use super::pair;
use super::pooler::{self, Pooler};
use crate::backend::postgres::connect::Connector;
use crate::backend::postgres::rights;
use crate::backend::sqlite::inspect;
use crate::cli::{self, RunArgs, exit, table};
use crate::clock::Clock;
use crate::config::{AuthMethod, Config, Endpoint, Source, WayBack};
use crate::count::counted;
use crate::error::{Culprit, Error, Result, state};
use crate::wire::Identity;
use crate::wire::auth::Users;

/// The oldest PostgreSQL served.
const VERSION_MIN: i32 = 130_000;
/// From here on schemas are published with the tables that are made in them later.
const PUBLISHED_AS_A_WHOLE: i32 = 150_000;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    Ok,
    /// It will run; something will not be as good.
    Warning,
    /// In the way.
    Problem,
    /// Could not be asked.
    Unreachable,
}

/// One thing looked at.
#[derive(Debug, Serialize)]
struct Finding {
    area: &'static str,
    check: &'static str,
    state: State,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

/// Everything looked at.
#[derive(Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    pub(super) fn add(
        &mut self,
        area: &'static str,
        check: &'static str,
        state: State,
        detail: String,
    ) {
        self.0.push(Finding { area, check, state, detail, hint: None });
    }

    pub(super) fn hint(&mut self, hint: impl Into<String>) {
        if let Some(last) = self.0.last_mut() {
            last.hint = Some(hint.into());
        }
    }

    /// An error: unreachable when sending the same again may help.
    fn error(&mut self, area: &'static str, check: &'static str, error: &Error) {
        let fields = error.fields();
        let gone = fields.retry || fields.sqlstate.class() == "08";
        let state = if gone { State::Unreachable } else { State::Problem };
        let detail = fields.detail.as_ref().map_or(String::new(), |d| format!(": {d}"));
        self.add(area, check, state, format!("{}{detail}", fields.message));
        if let Some(hint) = &fields.hint {
            self.hint(hint.clone());
        }
    }

    fn code(&self) -> u8 {
        let has = |area: Option<&str>, state: State| {
            self.0.iter().any(|f| f.state == state && area.is_none_or(|a| f.area == a))
        };
        if has(Some("config"), State::Problem) {
            exit::USAGE
        } else if has(None, State::Unreachable) {
            exit::UNREACHABLE
        } else if has(None, State::Problem) {
            exit::NO
        } else {
            exit::DONE
        }
    }
}

/// Runs the verb.
pub fn check(args: &RunArgs) -> ExitCode {
    let mut findings = Findings::default();
    match cli::load(args) {
        Ok(config) => {
            let entries = config.entries();
            let set = entries.iter().filter(|e| e.source != Source::Default).count();
            let detail = format!("{} set, {} by default", counted(set, "key"), entries.len() - set);
            findings.add("config", "read", State::Ok, detail);
            for warning in &config.warnings {
                findings.add("config", "warning", State::Warning, warning.clone());
            }
            files_of(&config, &mut findings);
            sqlite(&config, &mut findings);
            postgres(&config, &mut findings);
        }
        Err(error) => {
            let fields = error.fields();
            let lines = fields.detail.as_deref().unwrap_or(&fields.message).lines();
            for line in lines {
                findings.add("config", "read", State::Problem, line.to_owned());
            }
        }
    }
    show(&findings, args.json);
    ExitCode::from(findings.code())
}

fn show(findings: &Findings, json: bool) {
    let code = findings.code();
    let text = if json {
        let body = json!({"ok": code == exit::DONE, "checks": findings.0});
        serde_json::to_string_pretty(&body).unwrap_or_default() + "\n"
    } else {
        let word = |state: State| match state {
            State::Ok => "ok",
            State::Warning => "warning",
            State::Problem => "problem",
            State::Unreachable => "unreachable",
        };
        let row = |f: &Finding| {
            vec![f.area.to_owned(), f.check.to_owned(), word(f.state).to_owned(), f.detail.clone()]
        };
        let rows: Vec<_> = findings.0.iter().map(row).collect();
        table(&["AREA", "CHECK", "STATE", "DETAIL"], &rows)
    };
    // Data on stdout, advice on stderr; with either gone nobody reads it.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    let mut err = std::io::stderr().lock();
    let bad = findings.0.iter().filter(|f| f.state != State::Ok);
    for hint in bad.filter_map(|f| f.hint.as_ref().filter(|_| !json)) {
        let _ = writeln!(err, "hint: {hint}");
    }
}

/// Files that the configuration names.
fn files_of(config: &Config, findings: &mut Findings) {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|e| {
            let message = format!("cannot read {}: {e}", path.display());
            Error::client(state::CONFIG_FILE_ERROR, message)
        })
    };
    let asks = *config.auth.method != AuthMethod::Trust;
    if let Some(path) = config.auth.users_file.as_deref().filter(|_| asks) {
        let users = read(path).and_then(|bytes| {
            Users::parse(&String::from_utf8_lossy(&bytes), &Clock::system()).map(|u| u.len())
        });
        match users {
            Ok(0) => {
                let detail = "nobody can log in: it names no user".to_owned();
                findings.add("config", "users_file", State::Warning, detail);
            }
            Ok(n) => findings.add("config", "users_file", State::Ok, format!("{n} users")),
            Err(error) => findings.error("config", "users_file", &error),
        }
    }
    if let (Some(cert), Some(key)) =
        (config.listen.tls_cert.as_deref(), config.listen.tls_key.as_deref())
    {
        let made = read(cert).and_then(|cert| Identity::new(&cert, &read(key)?).map(drop));
        match made {
            Ok(()) => findings.add("config", "tls", State::Ok, "certificate and key fit".into()),
            Err(error) => findings.error("config", "tls", &error),
        }
    }
    if let Some(path) = config.http.token_file.as_deref() {
        match read(path) {
            Ok(bytes) if bytes.trim_ascii().is_empty() => {
                findings.add("config", "token_file", State::Problem, "it is empty".into());
            }
            Ok(_) => findings.add("config", "token_file", State::Ok, "read".into()),
            Err(error) => findings.error("config", "token_file", &error),
        }
    }
}

fn sqlite(config: &Config, findings: &mut Findings) {
    let path = match config.sqlite_path(Path::exists) {
        Ok(path) => path,
        Err(error) => {
            findings.error("config", "sqlite.path", &error);
            return;
        }
    };
    let look = match inspect::look(&path) {
        Ok(look) => look,
        Err(error) => {
            let text = format!("{}: {}", path.display(), error.message());
            findings.add("sqlite", "open", State::Unreachable, text);
            return;
        }
    };
    let Some(look) = look else {
        if inspect::may_create_beside(&path) {
            let text = format!("{} does not exist and will be created", path.display());
            findings.add("sqlite", "open", State::Ok, text);
        } else {
            let text = format!("{} does not exist and cannot be created", path.display());
            findings.add("sqlite", "open", State::Unreachable, text);
        }
        return;
    };
    let text =
        format!("{}: {}, {} bytes", path.display(), counted(look.tables, "table"), look.size);
    findings.add("sqlite", "open", State::Ok, text);
    if look.writable {
        findings.add("sqlite", "writable", State::Ok, "file and folder".into());
    } else {
        let text = "file and folder must be writable for this user".to_owned();
        findings.add("sqlite", "writable", State::Unreachable, text);
    }
    if look.journal_mode == "wal" {
        findings.add("sqlite", "journal_mode", State::Ok, "wal".into());
    } else {
        let text = format!("{}: will be switched to wal", look.journal_mode);
        findings.add("sqlite", "journal_mode", State::Warning, text);
        findings.hint("Direct readers of the file need write access to its folder then.");
    }
    if look.encoding != "UTF-8" {
        let text = format!("{}: PostgreSQL's side is UTF-8", look.encoding);
        findings.add("sqlite", "encoding", State::Warning, text);
    }
    if let Some(name) = &look.taken {
        let text = format!("table {name} is not Crossfade's: it keeps one of its own by that name");
        findings.add("sqlite", "names", State::Problem, text);
        findings.hint("Rename the table.");
    }
    if !look.like_ours.is_empty() {
        let text = format!(
            "{}: served and copied like any other, though names with _crossfade_ are reserved",
            look.like_ours.join(", ")
        );
        findings.add("sqlite", "names", State::Warning, text);
    }
    if let Some(pid) = look.served_by {
        let text = format!("another crossfade proxy serves it (process {pid})");
        findings.add("sqlite", "lock", State::Warning, text);
    }
}

fn postgres(config: &Config, findings: &mut Findings) {
    let Some(control) = config.control_endpoint.as_ref() else {
        findings.add("postgres", "connect", State::Ok, "none attached: phase direct".into());
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else {
        findings.add("postgres", "connect", State::Problem, "cannot start the runtime".into());
        return;
    };
    runtime.block_on(async {
        let client = match server(config, control, findings).await {
            Ok(client) => client,
            Err(error) => return findings.error("postgres", "connect", &error),
        };
        fence(config, control, &client, findings).await;
        let Some(app) = config.endpoint.as_ref().filter(|app| *app != control) else {
            return admitted(config, control, &client, findings).await;
        };
        match connect(config, app).await {
            Ok((connector, client)) => {
                findings.add("postgres", "application", State::Ok, app.user.clone());
                in_between(&connector, app, findings).await;
                admitted(config, app, &client, findings).await;
            }
            Err(error) => findings.error("postgres", "application", &error),
        }
    });
}

/// How the application's sessions will fare.
async fn admitted(config: &Config, app: &Endpoint, client: &Client, findings: &mut Findings) {
    if let Err(error) = admission::look(config, &app.user, client, findings).await {
        let text = format!("settings and connections cannot be looked at: {error}");
        findings.add("postgres", "sessions", State::Warning, text);
    }
}

pub(super) async fn connect(config: &Config, endpoint: &Endpoint) -> Result<(Connector, Client)> {
    let connector = pair::connector(config, endpoint, Culprit::Primary)?;
    let (client, driver) = connector.client("crossfade check").await?;
    tokio::spawn(async move {
        if let Err(error) = driver.await {
            tracing::debug!(%error, "the connection ended");
        }
    });
    Ok((connector, client))
}

/// What decides whether this PostgreSQL can follow and lead; one row.
pub(super) const FACTS: &str = "\
SELECT current_setting('server_version'), current_setting('server_version_num')::int, \
 pg_is_in_recovery(), current_setting('server_encoding'), current_setting('wal_level'), \
 r.rolsuper, r.rolreplication, \
 has_database_privilege(current_database(), 'CREATE') \
   OR to_regnamespace('crossfade') IS NOT NULL, \
 coalesce(has_schema_privilege(to_regnamespace('public'), 'CREATE'), false), \
 current_setting('max_replication_slots')::int, \
 (SELECT count(*) FROM pg_replication_slots)::int, current_setting('max_wal_senders')::int, \
 current_user::text \
FROM pg_roles r WHERE r.rolname = current_user";

/// Whether a rollback could shut the application out, and promote give it its tables.
async fn fence(config: &Config, control: &Endpoint, client: &Client, findings: &mut Findings) {
    let Some(app) = config.endpoint.as_ref().filter(|app| app.user != control.user) else {
        let text = "weak: one role for the application and for control, the proxy is the fence";
        return findings.add("postgres", "fence", State::Ok, text.to_owned());
    };
    let rights = match rights::load(client, &app.user).await {
        Ok(rights) => rights,
        Err(error) => {
            let text = format!("the rights over role {} cannot be read: {error}", app.user);
            return findings.add("postgres", "fence", State::Problem, text);
        }
    };
    match rights.lacking() {
        None => {
            let text = format!("may shut role {} out and end its sessions", app.user);
            findings.add("postgres", "fence", State::Ok, text);
        }
        Some(lacking) => {
            let text = format!("{lacking}: no way back after promote");
            findings.add("postgres", "fence", State::Warning, text);
            findings.hint(
                "Give the control role CREATEROLE, membership in pg_signal_backend and in the \
                 application's role (from PostgreSQL 16 on WITH ADMIN OPTION), or make it a \
                 superuser.",
            );
        }
    }
    if rights.exists && !rights.give {
        let text = format!(
            "role {} will be granted its tables, not own them: it cannot change their definition \
             after promote",
            app.user
        );
        findings.add("postgres", "hand_over", State::Warning, text);
        findings.hint("GRANT the application's role to the control role.");
    } else if rights.exists {
        let text = format!("role {} will own its tables after promote", app.user);
        findings.add("postgres", "hand_over", State::Ok, text);
    }
}

async fn server(config: &Config, endpoint: &Endpoint, findings: &mut Findings) -> Result<Client> {
    let (connector, client) = connect(config, endpoint).await?;
    let ask = |e: tokio_postgres::Error| connector.error_of(&e);
    let row = client.query_one(FACTS, &[]).await.map_err(ask)?;
    let text = |i: usize| row.try_get::<_, String>(i).unwrap_or_default();
    findings.add(
        "postgres",
        "connect",
        State::Ok,
        format!("{}/{} as {}", host(endpoint), endpoint.database, text(12)),
    );
    essentials(&row, findings);
    let replica = client.batch_execute("SET session_replication_role = replica").await.is_ok();
    if replica {
        let text = "may set session_replication_role".to_owned();
        findings.add("postgres", "constraints", State::Ok, text);
    } else {
        let text = "may not set session_replication_role: rows are applied in constraint order, \
                    and triggers on PostgreSQL are switched off until promote"
            .to_owned();
        findings.add("postgres", "constraints", State::Warning, text);
        findings.hint(
            "GRANT SET ON PARAMETER session_replication_role TO the role (PostgreSQL 15), \
             or give postgres.control_url a superuser.",
        );
    }
    let wanted = *config.postgres.way_back;
    let decodes = way_back(&row, wanted, findings);
    let decodes = pooled(&connector, endpoint, decodes, findings).await;
    how_back(wanted, decodes, findings);
    if decodes || wanted != WayBack::Decoding {
        schema_back(&row, decodes, findings);
    }
    Ok(client)
}

fn host(endpoint: &Endpoint) -> String {
    let all = endpoint.hosts.iter().map(|(host, port)| format!("{host}:{port}"));
    all.collect::<Vec<_>>().join(",")
}

fn judge(findings: &mut Findings, check: &'static str, holds: bool, good: String, bad: String) {
    let (state, text) = if holds { (State::Ok, good) } else { (State::Problem, bad) };
    findings.add("postgres", check, state, text);
}

/// Without these nothing can be mirrored.
fn essentials(row: &Row, findings: &mut Findings) {
    let text = |i: usize| row.try_get::<_, String>(i).unwrap_or_default();
    let flag = |i: usize| row.try_get::<_, bool>(i).unwrap_or_default();
    let version = row.try_get::<_, i32>(1).unwrap_or_default();
    let old = format!("{}: 13 or newer is needed", text(0));
    judge(findings, "version", version >= VERSION_MIN, text(0), old);
    if flag(2) {
        let text = "it is a standby: writes are refused there".to_owned();
        findings.add("postgres", "writable", State::Problem, text);
    }
    let encoding = format!("{}: the database must be UTF8", text(3));
    judge(findings, "encoding", text(3) == "UTF8", text(3), encoding);
    let bad = "may not create schema crossfade: CREATE on the database is missing".to_owned();
    judge(findings, "create_schema", flag(7), "may create schema crossfade".into(), bad);
    let bad = "may not create tables: CREATE on schema public is missing".to_owned();
    judge(findings, "create_table", flag(8), "may create tables in schema public".into(), bad);
}

/// What a pooler before PostgreSQL breaks, for control and replication. Whether the log can be read:
/// `decodes` says that nothing else is in the way.
async fn pooled(
    connector: &Connector,
    endpoint: &Endpoint,
    decodes: bool,
    findings: &mut Findings,
) -> bool {
    in_between(connector, endpoint, findings).await;
    if !decodes {
        return false;
    }
    match pooler::replicates(connector).await {
        Ok(()) => {
            let text = "a replication connection is taken".to_owned();
            findings.add("postgres", "replication_login", State::Ok, text);
            true
        }
        Err(error) => {
            let text = format!("no replication connection: {}", error.message());
            findings.add("postgres", "replication_login", State::Warning, text);
            findings.hint(
                "pg_hba.conf must let the role replicate, and poolers such as pgbouncer must not \
                 stand in between: give postgres.control_url PostgreSQL's own address.",
            );
            false
        }
    }
}

/// Whether sessions keep their server.
async fn in_between(connector: &Connector, endpoint: &Endpoint, findings: &mut Findings) {
    match pooler::look(connector).await {
        Ok(Pooler::None) => {
            let text = format!("{}: sessions keep their server", host(endpoint));
            findings.add("postgres", "pooler", State::Ok, text);
        }
        Ok(Pooler::Transaction) => {
            let text = format!(
                "{} is a pooler that gives sessions another server for each transaction: LISTEN, \
                 settings, advisory locks, prepared statements and temporary tables break",
                host(endpoint)
            );
            findings.add("postgres", "pooler", State::Problem, text);
            findings.hint(
                "Give Crossfade PostgreSQL's own address: it shares server sessions itself with \
                 postgres.pool_mode = \"transaction\". In pgbouncer only pool_mode = session does.",
            );
        }
        Err(error) => findings.error("postgres", "pooler", &error),
    }
}

/// How SQLite would follow PostgreSQL after promote, and what that costs.
fn how_back(wanted: WayBack, decodes: bool, findings: &mut Findings) {
    if decodes {
        let text =
            "by logical decoding: PostgreSQL writes more log, the application waits for nothing";
        return findings.add("postgres", "way_back", State::Ok, text.to_owned());
    }
    if wanted == WayBack::Decoding {
        let text = "none after promote: the log cannot be read".to_owned();
        findings.add("postgres", "way_back", State::Warning, text);
        return findings.hint("Mend what is named above, or set postgres.way_back = \"auto\".");
    }
    let text = "by row triggers: from promote until complete or rollback each row that is written on \
                PostgreSQL is written there once more, with its old state, in the same transaction";
    findings.add("postgres", "way_back", State::Ok, text.to_owned());
}

/// Whether schema changes that are made after promote come back, too.
fn schema_back(row: &Row, decodes: bool, findings: &mut Findings) {
    let superuser = row.try_get::<_, bool>(5).unwrap_or_default();
    let version = row.try_get::<_, i32>(1).unwrap_or_default();
    let lacking = match (superuser, decodes && version < PUBLISHED_AS_A_WHOLE) {
        (true, false) => {
            let text = "schema changes that the application makes after promote are carried back";
            return findings.add("postgres", "schema_back", State::Ok, text.to_owned());
        }
        (false, _) => "event triggers need a superuser",
        (true, true) => "PostgreSQL is older than 15",
    };
    let text = format!("a schema change after promote closes the way back: {lacking}");
    findings.add("postgres", "schema_back", State::Warning, text);
    findings.hint(
        "Give postgres.control_url a superuser of PostgreSQL 15 or newer, or change the schema \
         before promote.",
    );
}

/// What reading PostgreSQL's log needs; whether it is there, as far as this shows.
fn way_back(row: &Row, wanted: WayBack, findings: &mut Findings) -> bool {
    if wanted == WayBack::Triggers {
        return false;
    }
    let text = |i: usize| row.try_get::<_, String>(i).unwrap_or_default();
    let flag = |i: usize| row.try_get::<_, bool>(i).unwrap_or_default();
    let number = |i: usize| row.try_get::<_, i32>(i).unwrap_or_default();
    let mut all = true;
    let mut judge = |check, holds, good: String, bad: &str, hint: &str| {
        all &= holds;
        let state = if holds { State::Ok } else { State::Warning };
        let detail = if holds { good.clone() } else { format!("{good}: {bad}") };
        findings.add("postgres", check, state, detail);
        if !holds {
            findings.hint(hint);
        }
    };
    judge(
        "wal_level",
        text(4) == "logical",
        text(4),
        "the log cannot be read for the way back",
        "Set wal_level = logical and restart PostgreSQL, or let row triggers carry the way back.",
    );
    let may = flag(5) || flag(6);
    judge(
        "replication",
        may,
        if may { "may replicate" } else { "may not replicate" }.to_owned(),
        "the log cannot be read for the way back",
        "ALTER ROLE … REPLICATION, or give postgres.control_url such a role.",
    );
    let (slots, used, senders) = (number(9), number(10), number(11));
    judge(
        "slots",
        slots > used && senders > 0,
        format!("{used} of {slots} replication slots used, {senders} senders"),
        "none is left for the way back",
        "Raise max_replication_slots and max_wal_senders.",
    );
    all
}
