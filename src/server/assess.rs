//! `crossfade assess`: looks at a file, and at PostgreSQL when one is named.
//!
//! Owns the connections and the output; what is found is `assess`'s. It must never change
//! either side. Start at [`assess`].

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Client;

use super::check;
use crate::assess::{self, Options, Report, Server};
use crate::backend::postgres::copied;
use crate::backend::postgres::existing::existing;
use crate::backend::sqlite::adopt::Planning;
use crate::cli::{self, AssessArgs, RunArgs, exit, out};
use crate::config::{Config, Endpoint};
use crate::error::{Error, Result, state};

/// Runs the verb.
pub fn assess(args: &AssessArgs) -> ExitCode {
    match run(args) {
        Ok(report) => {
            let code = if report.blocking > 0 { exit::NO } else { exit::DONE };
            ExitCode::from(show(args, &report).unwrap_or(code))
        }
        Err(error) => {
            super::complain(&error);
            if args.json {
                let fields = error.fields();
                let code = fields.sqlstate.to_string();
                out::json(&out::error(&code, &fields.message, fields.hint.as_deref()));
            }
            ExitCode::from(match error.sqlstate() {
                state::CONFIG_FILE_ERROR => exit::USAGE,
                state::INTERNAL_ERROR => exit::BUG,
                _ => exit::UNREACHABLE,
            })
        }
    }
}

fn run(args: &AssessArgs) -> Result<Report> {
    let flags = RunArgs {
        config: args.config.clone(),
        sqlite: args.file.as_ref().map(|f| f.display().to_string()),
        postgres: args.postgres.clone(),
        ..RunArgs::default()
    };
    let config = cli::load(&flags)?;
    let path = match &args.file {
        Some(file) => file.clone(),
        None => config.sqlite_path(Path::exists)?,
    };
    let statements = args.statements.as_deref().map(statements).transpose()?.unwrap_or_default();
    let options = Options {
        planning: Planning {
            tables: config.tables.clone(),
            foreign_keys_off: !*config.sqlite.foreign_keys,
            ..Planning::default()
        },
        rows: args.rows.max(1),
        limit: (args.time_limit > 0).then(|| Duration::from_secs(args.time_limit)),
        statements,
    };
    let server = config.control_endpoint.as_ref().map(|e| server(&config, e)).transpose()?;
    let tell: Arc<assess::Tell> = Arc::new(out::bar);
    let report = assess::run(&path, &options, server, &tell);
    out::no_bar();
    report
}

/// The statements of a file: those that PostgreSQL's scanner tells apart, else the lines.
fn statements(path: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(path).map_err(|e| {
        let message = format!("cannot read {}: {e}", path.display());
        Error::client(state::CONFIG_FILE_ERROR, message)
    })?;
    let mut found = Vec::new();
    let mut current = String::new();
    for line in text.lines() {
        current.push_str(line);
        current.push('\n');
        if line.trim_end().ends_with(';') {
            found.push(std::mem::take(&mut current));
        }
    }
    found.push(current);
    let kept = |s: String| s.trim().trim_end_matches(';').trim().to_owned();
    Ok(found.into_iter().map(kept).filter(|s| !s.is_empty()).collect())
}

/// Prints or writes the report; an exit code of its own when that failed.
fn show(args: &AssessArgs, report: &Report) -> Option<u8> {
    if let Some(path) = &args.html
        && let Err(error) = write_page(path, &cli::assess_html(report))
    {
        out::talk(format_args!("error: cannot write {}: {error}\n", path.display()));
        return Some(exit::USAGE);
    }
    if args.json {
        out::json(report);
    } else if args.ddl {
        for statement in &report.ddl {
            out::line(format_args!("{};", statement.sql));
        }
    } else if let Some(path) = &args.html {
        let (grade, path) = (report.grade, path.display());
        out::line(format_args!("grade {grade:?}; the report is in {path}"));
    } else {
        out::data(cli::assess_text(report, out::colours()));
        for next in &report.next {
            out::talk(format_args!("next: {next}\n"));
        }
    }
    None
}

/// Written beside and renamed, so that no half page is ever there.
fn write_page(path: &PathBuf, page: &str) -> std::io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    let part = PathBuf::from(name);
    let mut file = std::fs::File::create(&part)?;
    file.write_all(page.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&part, path)
}

/// What a server is like.
fn server(config: &Config, endpoint: &Endpoint) -> Result<Server> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::internal(format!("cannot start the runtime: {e}")))?;
    runtime.block_on(async {
        let (connector, client) = check::connect(config, endpoint).await?;
        ask(&client).await.map_err(|e| connector.error_of(&e))
    })
}

async fn ask(client: &Client) -> std::result::Result<Server, tokio_postgres::Error> {
    let row = client.query_one(check::FACTS, &[]).await?;
    let more = client
        .query_one(
            "SELECT datcollate::text, current_setting('max_connections')::int \
             FROM pg_database WHERE datname = current_database()",
            &[],
        )
        .await?;
    let replica = client.batch_execute("SET session_replication_role = replica").await.is_ok();
    let tables = client
        .query(
            "SELECT c.oid::regclass::text, c.relname::text FROM pg_class c \
             WHERE c.relnamespace = to_regnamespace('public') \
             AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition \
             ORDER BY 2",
            &[],
        )
        .await?;
    let ours = copied::ours(client).await?;
    let mut there = Vec::new();
    for table in &tables {
        let (quoted, name): (String, String) = (table.get(0), table.get(1));
        if let Some(mut table) = existing(client, &quoted, &name).await? {
            table.ours = ours.contains(&table.oid);
            there.push(table);
        }
    }
    Ok(Server {
        version: row.get(0),
        version_num: row.get(1),
        encoding: row.get(3),
        wal_level: row.get(4),
        may_replicate: row.get::<_, bool>(5) || row.get::<_, bool>(6),
        may_create: row.get::<_, bool>(7) && row.get::<_, bool>(8),
        slots: (row.get(10), row.get(9)),
        senders: row.get(11),
        collate: more.get(0),
        connections: more.get(1),
        may_be_replica: replica,
        tables: there,
    })
}
