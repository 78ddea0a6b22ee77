//! PostgreSQL for tests: one shared server, or one of its own for a test that stops it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

use crossfade::demo::cluster::Cluster;

/// A server and a way to make fresh databases on it.
pub struct Pg {
    pub cluster: Cluster,
}

impl Pg {
    /// A server of this test's own, ended when dropped.
    pub fn start() -> Self {
        Self { cluster: Cluster::start().expect("a throw-away PostgreSQL (see scripts/bootstrap)") }
    }

    /// The server all tests share; the process's end stops it.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Pg> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// A shared server whose log cannot be decoded: the way back is row triggers.
    pub fn without_decoding() -> &'static Self {
        static SHARED: OnceLock<Pg> = OnceLock::new();
        SHARED.get_or_init(Self::start_without_decoding)
    }

    /// The same, of this test's own.
    pub fn start_without_decoding() -> Self {
        let cluster = Cluster::start_with("wal_level = replica").expect("a throw-away PostgreSQL");
        Self { cluster }
    }

    /// Makes an empty database with a name of its own and returns the name.
    pub fn database(&self, prefix: &str) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        // CREATE DATABASE of one template at a time.
        static ONE: Mutex<()> = Mutex::new(());
        let name = format!("{prefix}_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let _guard = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.cluster.create_database(&name).expect("CREATE DATABASE");
        name
    }

    /// Makes an empty database and returns its URL.
    pub fn database_url(&self, prefix: &str) -> String {
        let name = self.database(prefix);
        self.cluster.url(&name)
    }

    /// A program beside the server's (psql, pgbench).
    pub fn tool(&self, name: &str) -> std::process::Command {
        std::process::Command::new(self.cluster.bin().join(name))
    }
}
