//! Variables that other programs set: DATABASE_URL, POSTGRES_*, libpq's PG*.
//!
//! Owns their order and their reading. It must never make PostgreSQL appear where no
//! variable names a host or database. Start at [`read`].

use std::collections::BTreeMap;
use std::path::PathBuf;

use percent_encoding::percent_decode_str;

use super::postgres::{PostgresUrl, is_postgres};
use super::value::Value;

/// What the variables say.
#[derive(Default)]
pub(super) struct Ambient {
    /// Path of the SQLite file, and the variable that named it.
    pub(super) sqlite: Option<(PathBuf, String)>,
    /// The other reading of `sqlite:///name`, which tools read in two ways.
    pub(super) sqlite_other: Option<PathBuf>,
    /// PostgreSQL, and the variable that named it.
    pub(super) postgres: Option<(PostgresUrl, String)>,
    pub(super) problems: Vec<String>,
    pub(super) warnings: Vec<String>,
}

/// Reads the variables, those named first winning.
pub(super) fn read(environment: &BTreeMap<String, String>) -> Ambient {
    let mut found = Ambient::default();
    let variable = |name: &str| environment.get(name).map(String::as_str).filter(|v| !v.is_empty());
    if let Some(text) = variable("DATABASE_URL") {
        let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
        // SQLAlchemy names its driver.
        match scheme.split_once('+').map_or(scheme, |(name, _)| name) {
            _ if is_sqlite(text) || scheme == "file" => {
                let (path, other) = sqlite_path(text);
                found.sqlite = Some((path, "DATABASE_URL".to_owned()));
                found.sqlite_other = other;
            }
            _ if is_postgres(scheme) => found.url("DATABASE_URL", text),
            _ => found.warnings.push(
                "DATABASE_URL is ignored: its scheme is neither sqlite: nor postgres:".to_owned(),
            ),
        }
    }
    if let Some(text) = variable("POSTGRES_URL").filter(|_| found.postgres.is_none()) {
        found.url("POSTGRES_URL", text);
    }
    // User and password alone are what the application itself needs: no reason to attach.
    let host = variable("POSTGRES_HOST");
    let named = if host.is_some() { "POSTGRES_HOST" } else { "POSTGRES_DB" };
    if found.postgres.is_none() && (host.is_some() || variable("POSTGRES_DB").is_some()) {
        let url = PostgresUrl::from_parts(
            host.unwrap_or("localhost"),
            variable("POSTGRES_PORT"),
            variable("POSTGRES_USER"),
            variable("POSTGRES_PASSWORD"),
            variable("POSTGRES_DB"),
        );
        found.take(named, url);
    }
    if let Some(host) = variable("PGHOST").filter(|_| found.postgres.is_none()) {
        // The rest of the PG* variables fills the gaps when the endpoint is made.
        let url = PostgresUrl::from_parts(host, variable("PGPORT"), None, None, None);
        found.take("PGHOST", url);
    }
    found
}

impl Ambient {
    fn url(&mut self, variable: &str, text: &str) {
        self.take(variable, PostgresUrl::parse(text));
    }

    fn take(&mut self, variable: &str, url: Result<PostgresUrl, String>) {
        match url {
            Ok(url) => self.postgres = Some((url, variable.to_owned())),
            Err(error) => self.problems.push(format!("{variable} is not valid: {error}")),
        }
    }
}

/// Whether text is a URL of a SQLite file, whichever driver it names, rather than a path.
pub(super) fn is_sqlite(text: &str) -> bool {
    let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
    matches!(scheme.split_once('+').map_or(scheme, |(name, _)| name), "sqlite" | "sqlite3")
}

/// The path in `sqlite:app.db`, `sqlite://app.db`, `sqlite:///app.db` (relative for most
/// tools, absolute for some: both readings are returned) or `sqlite:////app.db`.
pub(super) fn sqlite_path(url: &str) -> (PathBuf, Option<PathBuf>) {
    let rest = url.split_once(':').map_or("", |(_, rest)| rest);
    let rest = rest.split_once('?').map_or(rest, |(path, _)| path);
    let decode = |text: &str| PathBuf::from(&*percent_decode_str(text).decode_utf8_lossy());
    match rest.strip_prefix("//") {
        None => (decode(rest), None),
        Some(path) => match path.strip_prefix('/') {
            None => (decode(path), None),
            Some(inner) if inner.starts_with('/') => (decode(inner), None),
            Some(inner) => (decode(inner), Some(decode(path))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_path_wherever_one_is_wanted() {
        let path = |text| <PathBuf as Value>::parse(text).unwrap().display().to_string();
        assert_eq!(path("sqlite+pysqlite:////data/app.db"), "/data/app.db");
        assert_eq!(path("sqlite+aiosqlite:///app.db"), "app.db");
        assert_eq!(path("/data/sqlite.db"), "/data/sqlite.db");
        assert_eq!(path("c:/app.db"), "c:/app.db");
    }

    #[test]
    fn sqlite_urls_are_read_as_their_tools_write_them() {
        let path = |text| sqlite_path(text).0.display().to_string();
        assert_eq!(path("sqlite:app.db"), "app.db");
        assert_eq!(path("sqlite:/data/app.db"), "/data/app.db");
        assert_eq!(path("sqlite://app.db?mode=rwc"), "app.db");
        assert_eq!(path("sqlite:////data/my%20app.db"), "/data/my app.db");
        let one = |url: &str| read(&BTreeMap::from([("DATABASE_URL".into(), url.to_owned())]));
        assert_eq!(one("sqlite+aiosqlite:///app.db").sqlite.unwrap().0, PathBuf::from("app.db"));
        for url in ["postgresql+psycopg://u@h/d", "postgresql+asyncpg://u@h/d", "psql://u@h/d"] {
            let found = one(url);
            assert!(found.postgres.is_some() && found.problems.is_empty(), "{url}");
        }
        assert!(one("mysql://u@h/d").postgres.is_none());
        let (relative, absolute) = sqlite_path("sqlite:///data/app.db");
        assert_eq!(relative, PathBuf::from("data/app.db"));
        assert_eq!(absolute, Some(PathBuf::from("/data/app.db")));
    }
}
