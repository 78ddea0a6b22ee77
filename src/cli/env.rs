//! What an application is told to connect to the proxy, in the words of its library.
//!
//! Owns the texts of `crossfade env --for NAME`. They set only what the proxy needs to be met like
//! PostgreSQL itself; none holds a password. Start at [`settings`].

use clap::ValueEnum;

/// Libraries whose settings are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Library {
    /// settings.py
    Django,
    /// create_engine, and create_async_engine with asyncpg
    Sqlalchemy,
    /// config/database.yml
    Rails,
    /// .env and schema.prisma
    Prisma,
    /// node-postgres
    Node,
}

/// Where the proxy answers.
pub(super) struct At<'a> {
    pub(super) host: &'a str,
    pub(super) port: &'a str,
    pub(super) user: &'a str,
    pub(super) database: &'a str,
    pub(super) url: &'a str,
    /// The proxy has a certificate.
    pub(super) tls: bool,
}

/// The settings of a library.
pub(super) fn settings(library: Library, at: &At<'_>) -> String {
    let At { host, port, user, database, url, tls } = *at;
    // A TLS session outlives the switch like any other; without a certificate there is none.
    let mode = if tls { "require" } else { "disable" };
    let join = if url.contains('?') { '&' } else { '?' };
    let after = url.split_once("://").map_or(url, |(_, rest)| rest);
    match library {
        Library::Django => format!(
            "# settings.py. The password comes from PGPASSWORD or a passfile.\n\
             DATABASES = {{\n    \"default\": {{\n        \"ENGINE\": \"django.db.backends.postgresql\",\n        \
             \"HOST\": {host:?}, \"PORT\": {port:?}, \"USER\": {user:?}, \"NAME\": {database:?},\n        \
             # Connections stay through the switch; a dead one is noticed before it is used.\n        \
             \"CONN_MAX_AGE\": 60, \"CONN_HEALTH_CHECKS\": True,\n        \
             # One transaction for each request: as short as before, or writers wait for it.\n        \
             \"ATOMIC_REQUESTS\": False,\n        \
             \"OPTIONS\": {{\"sslmode\": {mode:?}}},\n    }}\n}}\n"
        ),
        Library::Sqlalchemy => format!(
            "# psycopg\nengine = create_engine(\n    \"postgresql+psycopg://{after}{join}sslmode={mode}\",\n    \
             pool_size=10, max_overflow=10, pool_pre_ping=True, pool_recycle=1800)\n\n\
             # asyncpg\nengine = create_async_engine(\n    \"postgresql+asyncpg://{after}\",\n    \
             pool_size=10, max_overflow=10, pool_pre_ping=True, pool_recycle=1800,\n    \
             connect_args={{\"ssl\": {}}})\n",
            if tls { "\"require\"" } else { "False" }
        ),
        Library::Rails => format!(
            "# config/database.yml\nproduction:\n  adapter: postgresql\n  host: {host:?}\n  port: {port}\n  \
             username: {user:?}\n  database: {database:?}\n  sslmode: {mode}\n  \
             pool: <%= ENV.fetch(\"RAILS_MAX_THREADS\", 5) %>\n  prepared_statements: true\n  \
             advisory_locks: true\n"
        ),
        Library::Prisma => format!(
            "# .env, with provider = \"postgresql\" in schema.prisma\n\
             DATABASE_URL=\"{url}{join}sslmode={mode}&connection_limit=10&pool_timeout=10\"\n"
        ),
        Library::Node => format!(
            "// node-postgres; the password comes from PGPASSWORD\n\
             const pool = new Pool({{ host: {host:?}, port: {port}, user: {user:?}, database: {database:?},\n  \
             max: 10, idleTimeoutMillis: 30000, ssl: {} }});\n\
             pool.on('error', console.error); // an idle connection that ends must not end the process\n",
            if tls { "{ rejectUnauthorized: false }" } else { "false" }
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_library_is_told_where() {
        let at = At {
            host: "db1",
            port: "6433",
            user: "app",
            database: "shop",
            url: "postgres://app@db1:6433/shop",
            tls: false,
        };
        for library in Library::value_variants() {
            let text = settings(*library, &at);
            assert!(text.contains("db1") && text.contains("6433"), "{text}");
            assert!(text.contains("shop") && !text.contains("require"), "{text}");
        }
        let django = settings(Library::Django, &at);
        assert!(django.contains("CONN_MAX_AGE") && django.contains("\"sslmode\": \"disable\""));
        let asyncpg = settings(Library::Sqlalchemy, &At { tls: true, ..at });
        assert!(asyncpg.contains("postgresql+asyncpg://app@db1:6433/shop\","), "{asyncpg}");
        assert!(asyncpg.contains("\"ssl\": \"require\""), "{asyncpg}");
    }
}
