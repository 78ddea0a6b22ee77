//! Where PostgreSQL is and how to log in there: URLs and libpq's variables.
//!
//! Owns [`PostgresUrl`] and [`Endpoint`]. It must never show a password. Start at
//! [`Endpoint::new`].

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::did_you_mean;
use super::value::{SslMode, Value};

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text` out of sight.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A host to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A name or IP address.
    Tcp(String),
    /// The folder of a Unix socket.
    Unix(PathBuf),
}

impl Host {
    fn parse(text: &str) -> Self {
        if text.starts_with('/') {
            Self::Unix(PathBuf::from(text))
        } else {
            Self::Tcp(text.trim_start_matches('[').trim_end_matches(']').to_owned())
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host) if host.contains(':') => write!(f, "[{host}]"),
            Self::Tcp(host) => f.write_str(host),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// A `postgres://` URL, as given.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    hosts: Vec<(Host, Option<u16>)>,
    user: Option<String>,
    password: Option<Secret>,
    database: Option<String>,
    parameters: BTreeMap<String, String>,
}

/// Parameters of a URL that are understood.
const PARAMETERS: &[&str] = &[
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "host",
    "options",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslnegotiation",
    "sslrootcert",
    "target_session_attrs",
    "user",
];

impl PostgresUrl {
    /// Puts a URL together from its parts (`POSTGRES_HOST` and its kin).
    pub(super) fn from_parts(
        host: &str,
        port: Option<&str>,
        user: Option<&str>,
        password: Option<&str>,
        database: Option<&str>,
    ) -> Result<Self, String> {
        let port = port.filter(|p| !p.is_empty()).map(parse_port).transpose()?;
        let some = |text: Option<&str>| text.filter(|t| !t.is_empty()).map(str::to_owned);
        Ok(Self {
            hosts: vec![(Host::parse(host), port)],
            user: some(user),
            password: some(password).map(Secret::new),
            database: some(database),
            parameters: BTreeMap::new(),
        })
    }

    /// Hosts and ports that the URL itself names.
    pub(super) fn hosts(&self) -> impl Iterator<Item = (&Host, u16)> {
        self.hosts.iter().map(|(host, port)| (host, port.unwrap_or(5432)))
    }
}

/// Whether a URL's scheme stands for PostgreSQL, whichever driver it names.
pub(super) fn is_postgres(scheme: &str) -> bool {
    let (name, _) = scheme.split_once('+').unwrap_or((scheme, ""));
    matches!(name, "postgres" | "postgresql" | "psql" | "pgsql" | "postgis")
}

fn parse_port(text: &str) -> Result<u16, String> {
    text.parse()
        .ok()
        .filter(|p| *p > 0)
        .ok_or_else(|| "the port must be from 1 to 65535".to_owned())
}

fn decode(text: &str) -> Result<String, String> {
    percent_decode_str(text)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| "a percent-encoded part is not UTF-8".to_owned())
}

impl Value for PostgresUrl {
    const KIND: &'static str = "postgres://user:password@host:port/database?sslmode=…";

    fn parse(text: &str) -> Result<Self, String> {
        // SQLAlchemy names its driver, Django's helpers have names of their own.
        let rest = text
            .split_once("://")
            .filter(|(scheme, _)| is_postgres(scheme))
            .map(|(_, rest)| rest)
            .ok_or_else(|| "expected a URL that starts with postgres://".to_owned())?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, hosts) = match authority.rsplit_once('@') {
            Some((login, hosts)) => (Some(login), hosts),
            None => (None, authority),
        };
        let non_empty = |text: String| (!text.is_empty()).then_some(text);
        let (mut user, mut password) = (None, None);
        if let Some(login) = login {
            let (name, secret) = login.split_once(':').map_or((login, None), |(n, s)| (n, Some(s)));
            user = non_empty(decode(name)?);
            password = secret.map(decode).transpose()?.map(Secret::new);
        }
        let mut database = non_empty(decode(database)?);
        let mut list = Vec::new();
        for host in hosts.split(',').filter(|h| !h.is_empty()) {
            // The port comes after the last colon that is not inside brackets.
            let (name, port) = match host.rsplit_once(':') {
                Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
                _ => (host, None),
            };
            let port = port.filter(|p| !p.is_empty()).map(parse_port).transpose()?;
            list.push((decode(name)?, port));
        }
        let mut parameters = BTreeMap::new();
        for pair in query.split('&').filter(|p| !p.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            match name.as_str() {
                "user" => user = non_empty(value),
                "password" => password = Some(Secret::new(value)),
                "dbname" => database = non_empty(value),
                "host" => list = value.split(',').map(|h| (h.to_owned(), None)).collect(),
                _ if PARAMETERS.contains(&name.as_str()) => {
                    parameters.insert(name, value);
                }
                _ => {
                    let near = did_you_mean(&name, PARAMETERS.iter().copied());
                    return Err(format!("unknown parameter \"{name}\"{near}"));
                }
            }
        }
        if let Some(ports) = parameters.remove("port") {
            let ports = ports.split(',').map(parse_port).collect::<Result<Vec<_>, _>>()?;
            if list.is_empty() {
                list.push((String::new(), None));
            }
            for (index, (_, port)) in list.iter_mut().enumerate() {
                *port = ports.get(index).or(ports.first()).copied();
            }
        }
        if let Some(mode) = parameters.get("sslmode") {
            SslMode::parse(mode).map_err(|e| format!("sslmode: {e}"))?;
        }
        let hosts = list
            .into_iter()
            .map(|(host, port)| {
                (Host::parse(if host.is_empty() { "localhost" } else { &host }), port)
            })
            .collect();
        Ok(Self { hosts, user, password, database, parameters })
    }

    fn show(&self) -> String {
        const KEEP: &AsciiSet =
            &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
        let encode = |text: &str| utf8_percent_encode(text, KEEP).to_string();
        let mut out = String::from("postgres://");
        if let Some(user) = &self.user {
            out.push_str(&encode(user));
        }
        if self.password.is_some() {
            out.push_str(":***");
        }
        if self.user.is_some() || self.password.is_some() {
            out.push('@');
        }
        let hosts = self.hosts.iter().map(|(host, port)| {
            let host = match host {
                Host::Tcp(_) => host.to_string(),
                Host::Unix(path) => encode(&path.to_string_lossy()),
            };
            port.map_or(host.clone(), |port| format!("{host}:{port}"))
        });
        out.push_str(&hosts.collect::<Vec<_>>().join(","));
        if let Some(database) = &self.database {
            out.push('/');
            out.push_str(&encode(database));
        }
        for (index, (name, value)) in self.parameters.iter().enumerate() {
            out.push(if index == 0 { '?' } else { '&' });
            out.push_str(&format!("{name}={}", encode(value)));
        }
        out
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.show())
    }
}

/// Everything needed to log in to PostgreSQL: a URL with the gaps filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Hosts to try in order, each with its port.
    pub hosts: Vec<(Host, u16)>,
    /// Role.
    pub user: String,
    /// Password, when one is known; `password_file` is read by the caller.
    pub password: Option<Secret>,
    /// Database.
    pub database: String,
    /// Use of TLS.
    pub sslmode: SslMode,
    /// Whether TLS starts without SSLRequest (`sslnegotiation=direct`).
    pub ssl_direct: bool,
    /// File with trusted roots; the word `system` for those of the machine.
    pub sslrootcert: Option<PathBuf>,
    /// Client certificate and its key.
    pub sslcert: Option<PathBuf>,
    /// Key of the client certificate.
    pub sslkey: Option<PathBuf>,
    /// Name shown in pg_stat_activity, when the user chose one.
    pub application_name: Option<String>,
    /// Command-line options for the session.
    pub options: Option<String>,
    /// Time for one attempt, in seconds; 0 waits for ever, as in libpq.
    pub connect_timeout_s: u32,
    /// Whether a server in recovery is refused (`target_session_attrs=read-write`).
    pub read_write: bool,
}

impl Endpoint {
    /// Fills the gaps of `url` from libpq's variables and its defaults.
    ///
    /// # Errors
    /// A phrase about the first value that cannot be read.
    pub fn new(url: &PostgresUrl, environment: &BTreeMap<String, String>) -> Result<Self, String> {
        let variable = |name: &str| environment.get(name).filter(|v| !v.is_empty()).cloned();
        let parameter = |name: &str, pg: &str| {
            url.parameters.get(name).filter(|v| !v.is_empty()).cloned().or_else(|| variable(pg))
        };
        let default_port = variable("PGPORT").map(|p| parse_port(&p)).transpose()?.unwrap_or(5432);
        let mut hosts: Vec<(Host, u16)> =
            url.hosts.iter().map(|(h, p)| (h.clone(), p.unwrap_or(default_port))).collect();
        if hosts.is_empty() {
            let host = variable("PGHOST").unwrap_or_else(|| "localhost".to_owned());
            hosts = host.split(',').map(|h| (Host::parse(h), default_port)).collect();
        }
        let user = url
            .user
            .clone()
            .or_else(|| variable("PGUSER"))
            .or_else(|| variable("USER"))
            .unwrap_or_else(|| "postgres".to_owned());
        let database =
            url.database.clone().or_else(|| variable("PGDATABASE")).unwrap_or_else(|| user.clone());
        let sslmode = match parameter("sslmode", "PGSSLMODE") {
            Some(mode) => SslMode::parse(&mode).map_err(|e| format!("sslmode: {e}"))?,
            None => SslMode::Prefer,
        };
        let connect_timeout_s = match parameter("connect_timeout", "PGCONNECT_TIMEOUT") {
            Some(text) => text.parse().map_err(|_| "connect_timeout must be seconds".to_owned())?,
            None => 10,
        };
        if parameter("channel_binding", "PGCHANNELBINDING").as_deref() == Some("require") {
            return Err("channel_binding=require is not supported".to_owned());
        }
        let path = |name, pg| parameter(name, pg).map(PathBuf::from);
        Ok(Self {
            hosts,
            user,
            password: url.password.clone().or_else(|| variable("PGPASSWORD").map(Secret::new)),
            database,
            sslmode,
            ssl_direct: parameter("sslnegotiation", "PGSSLNEGOTIATION").as_deref()
                == Some("direct"),
            sslrootcert: path("sslrootcert", "PGSSLROOTCERT"),
            sslcert: path("sslcert", "PGSSLCERT"),
            sslkey: path("sslkey", "PGSSLKEY"),
            application_name: parameter("application_name", "PGAPPNAME"),
            options: parameter("options", "PGOPTIONS"),
            connect_timeout_s,
            read_write: matches!(
                parameter("target_session_attrs", "PGTARGETSESSIONATTRS").as_deref(),
                Some("read-write" | "primary")
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn urls_are_read_and_shown_without_the_password() {
        let cases = [
            ("postgres://u:p%40ss@db.example:6000/app?sslmode=verify-full", true),
            ("postgresql://db/app", false),
            ("postgres://u@[::1]:5433/app", false),
            ("postgres://u:p@%2Fvar%2Frun/app", true),
            ("postgres:///app?host=/var/run&port=5433", false),
            ("postgres://a:1,b:2/app", false),
        ];
        for (text, secret) in cases {
            let url = PostgresUrl::parse(text).unwrap();
            let shown = url.show();
            assert_eq!(shown.contains("***"), secret, "{shown}");
            assert!(!format!("{url:?}").contains("p@ss"));
            if !secret {
                assert_eq!(PostgresUrl::parse(&shown).unwrap(), url, "{shown}");
            }
        }
    }

    #[test]
    fn gaps_are_filled_from_the_environment() {
        let url = PostgresUrl::parse("postgres://u:p%40ss@db:6000/app?sslmode=require").unwrap();
        let e = Endpoint::new(&url, &environment(&[("PGUSER", "x"), ("PGSSLMODE", "disable")]));
        let e = e.unwrap();
        assert_eq!(e.hosts, [(Host::Tcp("db".into()), 6000)]);
        assert_eq!((e.user.as_str(), e.database.as_str()), ("u", "app"));
        assert_eq!(e.password.unwrap().reveal(), "p@ss");
        assert_eq!(e.sslmode, SslMode::Require);
        let bare = PostgresUrl::parse("postgres://").unwrap();
        let e = Endpoint::new(
            &bare,
            &environment(&[("PGHOST", "/run/pg"), ("PGPORT", "77"), ("PGUSER", "x")]),
        )
        .unwrap();
        assert_eq!(e.hosts, [(Host::Unix("/run/pg".into()), 77)]);
        assert_eq!((e.user.as_str(), e.database.as_str()), ("x", "x"));
    }

    #[test]
    fn wrong_urls_are_refused() {
        for text in [
            "mysql://x/y",
            "postgres://h:99999/x",
            "postgres://h:0/x",
            "postgres://h/x?sslmod=require",
            "postgres://h/x?sslmode=maybe",
            "postgres://%ff/x",
        ] {
            assert!(PostgresUrl::parse(text).is_err(), "{text}");
        }
        let error = PostgresUrl::parse("postgres://h/x?sslmod=require").unwrap_err();
        assert!(error.contains("did you mean \"sslmode\""), "{error}");
    }
}
