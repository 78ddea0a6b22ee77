//! `crossfade shell` and `crossfade env`: where the running proxy and both sides are.
//!
//! Owns the way from an address to the variables of libpq. It must never put a password into
//! the arguments of a process, and opens SQLite's file for reading only. Start at [`shell`].

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::client::{Client, Failure, Result};
use super::env::At;
use super::verbs::client;
use super::{EnvArgs, RunArgs, ShellArgs, exit, out};
use crate::admin::DATABASE as CONSOLE;
use crate::config::{Config, Endpoint};

/// What stays as it is in a URL.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Where a server listens: a host or the folder of a socket, and a port.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    host: String,
    port: String,
}

impl Place {
    /// From the text of an address; `here` stands for one that means every interface.
    fn of(address: &str, here: &str) -> Option<Self> {
        if address.starts_with('/') {
            let (folder, port) = address.rsplit_once("/.s.PGSQL.")?;
            return Some(Self { host: folder.to_owned(), port: port.to_owned() });
        }
        let (host, port) = address.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let host = if matches!(host, "0.0.0.0" | "::") { here } else { host };
        Some(Self { host: host.to_owned(), port: port.to_owned() })
    }

    fn url(&self, user: &str, database: &str) -> String {
        let text = |t: &str| utf8_percent_encode(t, ENCODED).to_string();
        let (user, database) = (text(user), text(database));
        if self.host.starts_with('/') {
            let folder = text(&self.host);
            return format!("postgres://{user}@/{database}?host={folder}&port={}", self.port);
        }
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("postgres://{user}@{host}:{}/{database}", self.port)
    }
}

fn refused(code: u8, message: impl Into<String>, hint: &str) -> Failure {
    Failure { code, message: message.into(), hint: Some(hint.to_owned()), body: None }
}

/// Where the running proxy answers applications.
fn place(client: &Client) -> Result<Place> {
    #[derive(Deserialize)]
    struct Version {
        #[serde(default)]
        listening: Vec<String>,
    }
    let version: Version = client.get("/api/v1/version")?;
    let here = client.host();
    // A TCP address is what most drivers take.
    let (sockets, tcp): (Vec<_>, Vec<_>) =
        version.listening.iter().partition(|a| a.starts_with('/'));
    let mut places = tcp.into_iter().chain(sockets).filter_map(|a| Place::of(a, &here));
    places.next().ok_or_else(|| {
        refused(
            exit::UNREACHABLE,
            "the proxy does not say where it listens",
            "Is it as new as this?",
        )
    })
}

/// The name under which applications reach the pair: any, unless the proxy asks for one.
fn database(proxy: &Client) -> String {
    setting(proxy, "listen.database").unwrap_or_else(|| "app".to_owned())
}

/// Runs `env`.
pub(super) fn env(args: &EnvArgs) -> Result<u8> {
    let proxy = client(&args.admin)?;
    let place = place(&proxy)?;
    let database = args.database.clone().unwrap_or_else(|| database(&proxy));
    if let Some(library) = args.library {
        let at = At {
            host: &place.host,
            port: &place.port,
            user: &args.user,
            database: &database,
            url: &place.url(&args.user, &database),
            tls: setting(&proxy, "listen.tls_cert").is_some(),
        };
        let text = super::env::settings(library, &at);
        if args.admin.json {
            out::json(&serde_json::json!({"settings": text}));
        } else {
            out::data(text);
        }
        return Ok(exit::DONE);
    }
    let variables = [
        ("DATABASE_URL", place.url(&args.user, &database)),
        ("PGHOST", place.host.clone()),
        ("PGPORT", place.port.clone()),
        ("PGUSER", args.user.clone()),
        ("PGDATABASE", database),
    ];
    if args.admin.json {
        let fields = variables.map(|(name, value)| (name.to_owned(), Value::String(value)));
        out::json(&fields.into_iter().collect::<Map<_, _>>());
    } else {
        for (name, value) in variables {
            out::line(format_args!("export {name}='{}'", value.replace('\'', "'\\''")));
        }
        out::talk("next: eval \"$(crossfade env)\", then start the application\n");
    }
    Ok(exit::DONE)
}

/// Runs `shell`: becomes psql or sqlite3.
pub(super) fn shell(args: &ShellArgs) -> Result<u8> {
    let proxy = Client::new(args.admin_url.as_deref())?;
    let mut command = match (args.sqlite, args.postgres) {
        (true, _) => sqlite(&proxy)?,
        (_, true) => postgres(&proxy, args.user.as_deref())?,
        _ => {
            let place = place(&proxy)?;
            let mut command = psql();
            command.env("PGHOST", &place.host).env("PGPORT", &place.port);
            let name = if args.admin { CONSOLE.to_owned() } else { database(&proxy) };
            command.env("PGDATABASE", name);
            if let Some(user) = &args.user {
                command.env("PGUSER", user);
            }
            command
        }
    };
    command.args(&args.rest);
    // Only a failure comes back.
    let error = command.exec();
    let program = command.get_program().to_string_lossy().into_owned();
    let hint = "Install it, or name PostgreSQL's programs' folder in CROSSFADE_PG_BIN.";
    Err(refused(exit::USAGE, format!("cannot run {program}: {error}"), hint))
}

/// psql, without the variables that would lead elsewhere.
fn psql() -> Command {
    let folder = std::env::var_os("CROSSFADE_PG_BIN").map(PathBuf::from);
    let mut command = Command::new(folder.map_or_else(|| "psql".into(), |f| f.join("psql")));
    for name in ["PGHOST", "PGPORT", "PGHOSTADDR", "PGSERVICE", "DATABASE_URL"] {
        command.env_remove(name);
    }
    command
}

/// The configuration of this folder, when there is a valid one.
fn local() -> Option<Config> {
    super::load(&RunArgs::default()).ok()
}

/// A key of the running proxy; secrets are left out there.
fn setting(proxy: &Client, name: &str) -> Option<String> {
    let config: Value = proxy.get("/api/v1/config").ok()?;
    let entry = config["config"].as_array()?.iter().find(|e| e["name"] == name)?;
    entry["value"].as_str().filter(|v| !v.is_empty()).map(str::to_owned)
}

fn sqlite(proxy: &Client) -> Result<Command> {
    let configured = || local()?.sqlite_path(Path::exists).ok();
    let path = setting(proxy, "sqlite.path").map(PathBuf::from).or_else(configured);
    let path = path.filter(|p| p.exists()).ok_or_else(|| {
        let hint = "Run this where the proxy runs, or open the file with sqlite3 yourself.";
        refused(exit::USAGE, "the SQLite file cannot be found from here", hint)
    })?;
    let mut command = Command::new("sqlite3");
    command.arg("-readonly").arg(path);
    Ok(command)
}

fn postgres(proxy: &Client, user: Option<&str>) -> Result<Command> {
    let mut command = psql();
    let Some(url) = setting(proxy, "postgres.url") else {
        let hint = "Start the proxy with --postgres URL, or set postgres.url.";
        return Err(refused(exit::USAGE, "no PostgreSQL is attached", hint));
    };
    // The configuration of this folder knows the password, if it is that of this proxy.
    let same = |config: &Config| {
        let entries = config.entries().into_iter();
        let mut urls = entries.filter(|e| e.section == "postgres" && e.name == "url");
        urls.next().is_some_and(|e| e.value == url)
    };
    match local().filter(same) {
        Some(Config { endpoint: Some(endpoint), postgres, .. }) => {
            variables(&mut command, &endpoint, postgres.password_file.as_deref());
        }
        _ => {
            command.arg("-d").arg(url.replacen(":***@", "@", 1));
        }
    }
    if let Some(user) = user {
        command.env("PGUSER", user);
    }
    Ok(command)
}

fn variables(command: &mut Command, endpoint: &Endpoint, password_file: Option<&Path>) {
    let list = |of: fn(&(crate::config::Host, u16)) -> String| {
        endpoint.hosts.iter().map(of).collect::<Vec<_>>().join(",")
    };
    command.env("PGHOST", list(|(host, _)| host.to_string().trim_matches(['[', ']']).to_owned()));
    command.env("PGPORT", list(|(_, port)| port.to_string()));
    command.env("PGUSER", &endpoint.user).env("PGDATABASE", &endpoint.database);
    command.env("PGSSLMODE", endpoint.sslmode.as_str());
    if let Some(root) = &endpoint.sslrootcert {
        command.env("PGSSLROOTCERT", root);
    }
    let from_file = || {
        let text = std::fs::read_to_string(password_file?).ok()?;
        Some(text.trim_end_matches(['\r', '\n']).to_owned())
    };
    let password = endpoint.password.as_ref().map(|p| p.reveal().to_owned()).or_else(from_file);
    if let Some(password) = password {
        command.env("PGPASSWORD", password);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_become_urls() {
        let url = |address: &str| Place::of(address, "db1").unwrap().url("a b", "app");
        assert_eq!(url("127.0.0.1:6433"), "postgres://a%20b@127.0.0.1:6433/app");
        assert_eq!(url("0.0.0.0:6433"), "postgres://a%20b@db1:6433/app");
        assert_eq!(url("[::1]:6433"), "postgres://a%20b@[::1]:6433/app");
        assert_eq!(url("/tmp/.s.PGSQL.6433"), "postgres://a%20b@/app?host=%2Ftmp&port=6433");
        assert_eq!(Place::of("closed", "db1"), None);
    }
}
