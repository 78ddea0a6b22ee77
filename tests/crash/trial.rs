//! A pair under load whose clients keep a ledger: what was acknowledged is on both sides, once.
//!
//! Owns the pair, its load, and what either side holds. It must never look at the ledger while a
//! client is in a transaction. Start at [`Trial::start`].

use std::path::Path;
use std::time::{Duration, Instant};

use crate::common::{Journey, Load, Pg, Relay, TABLES};

/// The pair under load.
pub struct Trial {
    pub journey: Journey,
    pub load: Load,
    folder: tempfile::TempDir,
}

impl Trial {
    pub fn start(pg: &Pg) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let journey = Journey::start(&folder.path().join("app.db"), pg, &[]);
        Self::on(journey, folder)
    }

    /// The same, with PostgreSQL behind a relay.
    pub fn behind(relay: &Relay, pg: &Pg) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let journey = Journey::behind(relay, &folder.path().join("app.db"), pg, &[]);
        Self::on(journey, folder)
    }

    fn on(journey: Journey, folder: tempfile::TempDir) -> Self {
        journey.proxy.sql(TABLES);
        let load = Load::start(journey.proxy.port, 4);
        load.more(20, "at the start");
        Self { journey, load, folder }
    }

    pub fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("app.db")
    }

    pub fn restart(&mut self, failpoint: Option<(&str, u32)>) {
        match failpoint {
            Some((name, n)) => {
                let text = format!("{name}:{n}");
                self.journey.restart_with(&[("CROSSFADE_FAILPOINT", &text)]);
            }
            None => self.journey.restart_with(&[]),
        }
        self.load.moved(self.journey.proxy.port);
    }

    /// Starts again with a list of failpoints to stand at, each once.
    pub fn restart_standing(&mut self, failpoints: &[(&str, u32)]) {
        let all: Vec<String> =
            failpoints.iter().map(|(name, n)| format!("{name}:{n}:stand")).collect();
        self.journey.restart_with(&[("CROSSFADE_FAILPOINT", &all.join(","))]);
        self.load.moved(self.journey.proxy.port);
    }

    /// The proxy must have ended by itself at this failpoint.
    pub fn died_at(&mut self, name: &str) {
        assert!(self.journey.proxy.ended(), "{name} was never hit\n{}", self.journey.proxy.log());
    }

    pub fn check_postgres(&self, pg: &Pg) {
        let (rows, trail, counted) = on_postgres(pg, &self.journey.database);
        self.load.check("PostgreSQL", &rows, &trail, counted);
    }

    pub fn check_sqlite(&self) {
        let (rows, trail, counted) = in_file(&self.file());
        self.load.check("SQLite", &rows, &trail, counted);
    }

    /// Both sides hold the same, and what the ledger says. The clients must rest.
    pub fn check_both(&self, pg: &Pg) {
        self.check_held(&|| on_postgres(pg, &self.journey.database));
    }

    /// The same, where somebody else says what PostgreSQL holds.
    pub fn check_held(&self, there: &dyn Fn() -> Held) {
        let until = Instant::now() + Duration::from_secs(60);
        while there() != in_file(&self.file()) {
            let status = self.journey.get("/api/v1/status");
            let log = self.journey.proxy.log();
            assert!(Instant::now() < until, "both sides never hold the same: {status}\n{log}");
            std::thread::sleep(Duration::from_millis(20));
        }
        let (rows, trail, counted) = there();
        self.load.check("PostgreSQL", &rows, &trail, counted);
        self.check_sqlite();
    }

    /// The end of a trial: everything carried, counted, and proven equal. How many commits were
    /// acknowledged, and how many of them sent again.
    pub fn conclude(mut self, pg: &Pg) -> (u64, u64) {
        self.load.stop();
        self.journey.await_status("phase", "mirroring");
        self.journey.level();
        self.check_both(pg);
        self.journey.done(&["verify"]);
        assert_eq!(self.journey.status("diverged_open"), "0");
        println!(
            "{} acknowledged commits, {} of them sent again, {} connections",
            self.load.commits(),
            self.load.retried(),
            self.load.connects()
        );
        (self.load.commits(), self.load.retried())
    }
}

const ROWS: &str = "SELECT id FROM ledger ORDER BY id";
const TRAIL: &str = "SELECT id FROM trail ORDER BY id";
const COUNTED: &str = "SELECT sum(n) FROM counter";

pub type Held = (Vec<i64>, Vec<i64>, i64);

pub fn on_postgres(pg: &Pg, database: &str) -> Held {
    let ask = |sql: &str| pg.cluster.psql(database, sql).unwrap();
    let ids = |sql: &str| ask(sql).lines().map(|l| l.parse().unwrap()).collect();
    (ids(ROWS), ids(TRAIL), ask(COUNTED).parse().unwrap())
}

pub fn in_file(file: &Path) -> Held {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let mut conn = rusqlite::Connection::open_with_flags(file, flags).unwrap();
    conn.busy_timeout(Duration::from_secs(5)).unwrap();
    let snapshot = conn.transaction().unwrap();
    let ids = |sql: &str| {
        let mut statement = snapshot.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<Result<Vec<i64>, _>>().unwrap()
    };
    let counted = snapshot.query_row(COUNTED, [], |row| row.get(0)).unwrap();
    (ids(ROWS), ids(TRAIL), counted)
}

/// A statement whose record has several parts.
pub fn large(trial: &Trial, from: u32) -> (i32, String, String) {
    trial.journey.proxy.psql(&format!(
        "INSERT INTO bulk SELECT g, repeat('x', 3000) FROM generate_series({from}, {}) g",
        from + 999
    ))
}
