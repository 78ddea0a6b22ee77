//! Configuration: text and environment in, validated settings out.
//!
//! Owns [`Config`] and where each value came from. It does no I/O: the caller reads the
//! file, the environment and the flags. It must never show a secret. Start at
//! [`Config::load`]; the keys are listed in [`KEYS`].

mod ambient;
mod document;
mod file;
mod keys;
mod postgres;
mod tables;
mod value;

use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::{Path, PathBuf};

pub use document::document;
pub use keys::{
    Auth, Compare, Cutover, Divergence, Hooks, Http, KEYS, Key, Listen, Log, Mirror, Postgres,
    SECTIONS, Sqlite,
};
pub use postgres::{Endpoint, Host, PostgresUrl, Secret};
pub use tables::{Every, Override, Partitions, Table, is as is_named};
pub use value::{
    Address, Addresses, AuthMethod, Bytes, CompareReads, Durability, KeepValues, LogFormat,
    MirrorMode, Names, PoolMode, Positive, Ratio, ShellCommand, SslMode, TempStore, Value, Version,
    WayBack, Webhook, WhenFull,
};

use crate::error::{Culprit, Error, Result, state};

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A flag on the command line.
    Flag,
    /// This environment variable.
    Environment(String),
    /// This line of the configuration file.
    File(usize),
    /// The built-in default.
    Default,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::File(line) => write!(f, "file line {line}"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value together with its source; dereferences to the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// Where it came from.
    pub source: Source,
}

impl<T> Deref for Setting<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

/// One line of SHOW CONFIG: nothing in it is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Section.
    pub section: &'static str,
    /// Key.
    pub name: &'static str,
    /// Value in force, secrets left out; empty when unset.
    pub value: String,
    /// Default.
    pub default: &'static str,
    /// Where the value came from.
    pub source: Source,
}

impl Entry {
    fn new<T: Value>(
        section: &'static str,
        name: &'static str,
        setting: &Setting<T>,
        default: &'static str,
    ) -> Self {
        let (value, source) = (setting.value.show(), setting.source.clone());
        Self { section, name, value, default, source }
    }

    /// Whether RELOAD takes a new value.
    pub fn is_reloadable(&self) -> bool {
        keys::is_reloadable(self.section, self.name)
    }
}

/// A rule that accepts divergences; every condition given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accept {
    /// Divergence class.
    pub class: Option<String>,
    /// Statement fingerprint.
    pub fingerprint: Option<String>,
    /// Table name.
    pub table: Option<String>,
    /// Column name.
    pub column: Option<String>,
    /// Why; always given.
    pub reason: Option<String>,
    /// Who answers for it; the configuration when not given.
    pub owner: Option<String>,
    /// Date or time after which it holds no more.
    pub expires: Option<String>,
}

impl Accept {
    fn is_unbounded(&self) -> bool {
        [&self.class, &self.fingerprint, &self.table, &self.column].iter().all(|c| c.is_none())
    }
}

/// What the configuration is made from.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// Name and text of the configuration file.
    pub file: Option<(&'a str, &'a str)>,
    /// The environment.
    pub environment: &'a BTreeMap<String, String>,
    /// Flags by key, as in `("sqlite.path", "app.db")`.
    pub flags: &'a [(&'static str, String)],
}

/// The validated configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[listen]`
    pub listen: Listen,
    /// `[auth]`
    pub auth: Auth,
    /// `[sqlite]`
    pub sqlite: Sqlite,
    /// `[postgres]`
    pub postgres: Postgres,
    /// `[mirror]`
    pub mirror: Mirror,
    /// `[compare]`
    pub compare: Compare,
    /// `[divergence]`
    pub divergence: Divergence,
    /// `[[divergence.accept]]`
    pub accept: Vec<Accept>,
    /// `[cutover]`
    pub cutover: Cutover,
    /// `[http]`
    pub http: Http,
    /// `[hooks]`
    pub hooks: Hooks,
    /// `[log]`
    pub log: Log,
    /// `[tables.NAME]`
    pub tables: BTreeMap<String, Table>,
    /// PostgreSQL as the application's role; `None` in phase direct.
    pub endpoint: Option<Endpoint>,
    /// PostgreSQL for control and replication; the application's when not set apart.
    pub control_endpoint: Option<Endpoint>,
    /// Oddities that do not stop the start, to be logged.
    pub warnings: Vec<String>,
    sqlite_other: Option<PathBuf>,
}

/// The sources of values, strongest first, and what is wrong with them.
pub(crate) struct Layers<'a> {
    inputs: &'a Inputs<'a>,
    file: file::File,
    ambient: ambient::Ambient,
    problems: Vec<String>,
}

impl Layers<'_> {
    fn find(&self, section: &str, name: &str) -> Option<(String, Source)> {
        let flag =
            self.inputs.flags.iter().rev().find(|(key, _)| {
                key.split_once('.').is_some_and(|(s, n)| s == section && n == name)
            });
        if let Some((_, text)) = flag {
            return Some((text.clone(), Source::Flag));
        }
        let variable = format!("CROSSFADE_{section}_{name}").to_ascii_uppercase();
        if let Some(text) = self.inputs.environment.get(&variable) {
            return Some((text.clone(), Source::Environment(variable)));
        }
        let (text, line) = self.file.values.get(&(section.to_owned(), name.to_owned()))?;
        Some((text.clone(), Source::File(*line)))
    }

    /// The value of a key. What is not valid is reported later and replaced by the default.
    fn take<T: Value>(&mut self, section: &str, name: &str, default: &str) -> Setting<T> {
        if let Some((text, source)) = self.find(section, name) {
            match T::parse(&text) {
                Ok(value) => return Setting { value, source },
                Err(error) => {
                    let text = format!("{section}.{name} ({source}) is not valid: {error}");
                    self.problems.push(text);
                }
            }
        }
        let value = T::parse(default).expect("invariant: every default is valid");
        Setting { value, source: Source::Default }
    }
}

impl Config {
    /// Reads, merges and checks: flags over environment over file over defaults.
    ///
    /// # Errors
    /// F0000 with everything that is wrong, one line each.
    pub fn load(inputs: &Inputs<'_>) -> Result<Self> {
        let mut file = inputs.file.map(|(n, t)| file::read(n, t)).unwrap_or_default();
        let mut ambient = ambient::read(inputs.environment);
        let mut problems = std::mem::take(&mut file.problems);
        problems.append(&mut ambient.problems);
        let mut layers = Layers { inputs, file, ambient, problems };
        let mut config = Self {
            listen: Listen::build(&mut layers),
            auth: Auth::build(&mut layers),
            sqlite: Sqlite::build(&mut layers),
            postgres: Postgres::build(&mut layers),
            mirror: Mirror::build(&mut layers),
            compare: Compare::build(&mut layers),
            divergence: Divergence::build(&mut layers),
            accept: std::mem::take(&mut layers.file.accept),
            cutover: Cutover::build(&mut layers),
            http: Http::build(&mut layers),
            hooks: Hooks::build(&mut layers),
            log: Log::build(&mut layers),
            tables: std::mem::take(&mut layers.file.tables),
            endpoint: None,
            control_endpoint: None,
            warnings: std::mem::take(&mut layers.ambient.warnings),
            sqlite_other: None,
        };
        config.apply_ambient(&mut layers);
        let mut problems = std::mem::take(&mut layers.problems);
        config.check_variables(inputs.environment, &mut problems);
        config.check(inputs.environment, &mut problems);
        match problems.len() {
            0 => Ok(config),
            1 => Err(invalid(problems.remove(0))),
            n => {
                Err(invalid(format!("the configuration has {n} problems"))
                    .detail(problems.join("\n")))
            }
        }
    }

    /// Other programs' variables stand below CROSSFADE_* and above the file, except that libpq's
    /// own only fill in where nothing else names a PostgreSQL. One that leads to this proxy is what
    /// the application needs (`crossfade env` prints it), and no back end.
    fn apply_ambient(&mut self, layers: &mut Layers<'_>) {
        let below = |source: &Source| matches!(source, Source::File(_) | Source::Default);
        if let Some((path, variable)) = layers.ambient.sqlite.take()
            && below(&self.sqlite.path.source)
        {
            let source = Source::Environment(variable);
            self.sqlite.path = Setting { value: Some(path), source };
            self.sqlite_other = layers.ambient.sqlite_other.take();
        }
        let Some((url, variable)) = layers.ambient.postgres.take() else { return };
        let libpq = variable == "PGHOST";
        let taken = libpq && self.postgres.url.value.is_some();
        if taken || !below(&self.postgres.url.source) {
            return;
        }
        if self.points_here(&url) {
            let text = format!(
                "{variable} leads to this proxy and is ignored; set postgres.url to attach \
                 PostgreSQL"
            );
            self.warnings.push(text);
            return;
        }
        self.postgres.url = Setting { value: Some(url), source: Source::Environment(variable) };
    }

    /// A misspelt variable must not be overlooked; others with our prefix may belong to
    /// a container platform.
    fn check_variables(
        &mut self,
        environment: &BTreeMap<String, String>,
        problems: &mut Vec<String>,
    ) {
        const OTHERS: [&str; 7] = [
            "CROSSFADE_CONFIG",
            "CROSSFADE_ADMIN_URL",
            "CROSSFADE_ADMIN_CA",
            "CROSSFADE_TOKEN",
            "CROSSFADE_PG_BIN",
            "CROSSFADE_FAILPOINT",
            "CROSSFADE_FAULT",
        ];
        let known: Vec<String> = KEYS.iter().map(Key::variable).collect();
        for name in environment.keys().filter(|n| n.starts_with("CROSSFADE_")) {
            if known.contains(name) || OTHERS.contains(&name.as_str()) {
                continue;
            }
            let near = did_you_mean(name, known.iter().map(String::as_str));
            if near.is_empty() {
                self.warnings.push(format!("unknown variable {name} is ignored"));
            } else {
                problems.push(format!("unknown variable {name}{near}"));
            }
        }
    }

    /// A front has one back end.
    fn check_front(&self, problems: &mut Vec<String>) {
        if self.postgres.url.is_none() {
            problems.push("listen.front needs postgres.url: it serves nothing else".to_owned());
        }
        if self.sqlite.path.is_some() {
            problems.push(format!(
                "listen.front and sqlite.path ({}) exclude each other: the proxy with the file is \
                 the one that promotes",
                self.sqlite.path.source
            ));
        }
    }

    fn check(&mut self, environment: &BTreeMap<String, String>, problems: &mut Vec<String>) {
        let open: Vec<String> =
            self.listen.addr.0.iter().filter(|a| !a.is_local()).map(Address::to_string).collect();
        if *self.auth.method == AuthMethod::Trust && !open.is_empty() {
            problems.push(format!(
                "auth.method = trust is refused on {}: anybody could log in; use scram-sha-256 \
                 or listen on a loopback address",
                open.join(", ")
            ));
        }
        if *self.auth.method != AuthMethod::Trust && self.auth.users_file.is_none() {
            self.warnings.push(format!(
                "nobody can log in: auth.users_file is not set and auth.method is {}",
                self.auth.method.as_str()
            ));
        }
        if self.listen.tls_cert.is_some() != self.listen.tls_key.is_some() {
            problems.push("listen.tls_cert and listen.tls_key belong together".to_owned());
        }
        if !self.http.addr.is_local() && self.http.token_file.is_none() {
            problems.push(format!(
                "http.addr = {} is refused without http.token_file: anybody could promote",
                self.http.addr.value
            ));
        }
        if self.http.read_token_file.is_some() && self.http.token_file.is_none() {
            problems.push(
                "http.read_token_file needs http.token_file: without it anybody may order"
                    .to_owned(),
            );
        }
        if self.listen.database.as_deref() == Some("crossfade") {
            problems.push("listen.database cannot be crossfade: that is the console".to_owned());
        }
        for (name, url) in
            [("url", &self.postgres.url), ("control_url", &self.postgres.control_url)]
        {
            let Some(value) = &url.value else { continue };
            if self.points_here(value) {
                problems.push(format!(
                    "postgres.{name} ({}) points to this proxy itself; name the PostgreSQL \
                     server behind it",
                    url.source
                ));
            }
        }
        if *self.listen.front {
            self.check_front(problems);
        }
        if *self.postgres.schema != "public" {
            problems.push(format!(
                "postgres.schema = {} ({}) is not there yet: the tables are in schema public",
                self.postgres.schema.value, self.postgres.schema.source
            ));
        }
        if self.postgres.url.is_none() && self.postgres.control_url.is_some() {
            problems.push("postgres.control_url needs postgres.url".to_owned());
        }
        let mut endpoint = |name: &str, url: &Setting<Option<PostgresUrl>>| {
            let result = Endpoint::new(url.value.as_ref()?, environment);
            result.map_err(|e| problems.push(format!("postgres.{name} is not valid: {e}"))).ok()
        };
        self.endpoint = endpoint("url", &self.postgres.url);
        self.control_endpoint =
            endpoint("control_url", &self.postgres.control_url).or_else(|| self.endpoint.clone());
    }

    /// Whether a URL leads back to an address of ours.
    fn points_here(&self, url: &PostgresUrl) -> bool {
        let port_of_sockets = self.listen.addr.port();
        url.hosts().any(|(host, port)| {
            self.listen.addr.0.iter().any(|own| match (host, own) {
                (Host::Tcp(host), Address::Tcp { host: listen, port: own_port }) => {
                    let wildcard = matches!(listen.as_str(), "0.0.0.0" | "::");
                    let loops =
                        value::is_loopback(host) || matches!(host.as_str(), "0.0.0.0" | "::");
                    let same =
                        host.eq_ignore_ascii_case(listen) || loops && (wildcard || own.is_local());
                    *own_port == port && same
                }
                (Host::Unix(folder), Address::Unix(_)) => {
                    own.socket_file(port_of_sockets)
                        == Some(folder.join(format!(".s.PGSQL.{port}")))
                }
                _ => false,
            })
        })
    }

    /// The SQLite file. `sqlite:///name` is read as relative by most tools and as absolute
    /// by some: the reading that `exists` wins, so that no empty file is made by mistake.
    ///
    /// # Errors
    /// F0000 when no path is set.
    pub fn sqlite_path(&self, exists: impl Fn(&Path) -> bool) -> Result<PathBuf> {
        let Some(path) = &self.sqlite.path.value else {
            return Err(invalid("no SQLite file is named".to_owned())
                .hint("Give --sqlite, sqlite.path or DATABASE_URL=sqlite:…"));
        };
        match &self.sqlite_other {
            Some(other) if !exists(path) && exists(other) => Ok(other.clone()),
            _ => Ok(path.clone()),
        }
    }

    /// Every key with its value and source, secrets left out.
    pub fn entries(&self) -> Vec<Entry> {
        let mut out = Vec::with_capacity(KEYS.len());
        self.listen.entries(&mut out);
        self.auth.entries(&mut out);
        self.sqlite.entries(&mut out);
        self.postgres.entries(&mut out);
        self.mirror.entries(&mut out);
        self.compare.entries(&mut out);
        self.divergence.entries(&mut out);
        self.cutover.entries(&mut out);
        self.http.entries(&mut out);
        self.hooks.entries(&mut out);
        self.log.entries(&mut out);
        out
    }
}

fn invalid(message: String) -> Error {
    Error::new(Culprit::Proxy, state::CONFIG_FILE_ERROR, message)
}

/// `; did you mean "…"?` for the nearest of `known`, or nothing when none is near.
pub(crate) fn did_you_mean<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> String {
    let score = |candidate: &str| {
        let distance = strsim::damerau_levenshtein(word, candidate);
        let longest = word.chars().count().max(candidate.chars().count());
        (distance * 3 <= longest).then_some(distance)
    };
    known
        .filter_map(|candidate| score(candidate).map(|distance| (distance, candidate)))
        .min()
        .map_or_else(String::new, |(_, candidate)| format!("; did you mean \"{candidate}\"?"))
}

#[cfg(test)]
mod tests;
