//! A SQLite file and a PostgreSQL database, opened as the proxy opens them, without sessions.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossfade::backend::postgres::connect::Connector;
use crossfade::backend::postgres::control::Control;
use crossfade::backend::sqlite::adopt::Finding;
use crossfade::backend::sqlite::{Install, Options, Sqlite, catalog, functions, system};
use crossfade::backfill;
use crossfade::clock::Clock;
use crossfade::config::{Endpoint, PostgresUrl, Table, Value};
use crossfade::divergence::{KeepValues, Store};
use crossfade::error::Culprit;
use crossfade::journal::Journal;
use crossfade::verify::Still;

use super::Pg;

/// Both sides, with nothing that moves.
pub struct Pair {
    pub sqlite: Sqlite,
    pub journal: Journal,
    pub connector: Connector,
    pub store: Arc<Store>,
    pub database: String,
    pub adopted: Vec<Finding>,
    pub path: PathBuf,
    /// Keys that verify compares before it notes that.
    pub stretch: i64,
    /// How much is copied at once.
    pub workers: backfill::Workers,
    /// An earlier copy is gone on with.
    pub resume: bool,
    /// `[tables.NAME]`.
    pub decided: BTreeMap<String, Table>,
    _folder: Option<tempfile::TempDir>,
}

/// A file of the collection of real databases. None only where `SAMPLE_DATABASES` says
/// `absent`: `scripts/test` does so, and tells it, in a clone that has no collection beside it.
pub fn sample(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("SAMPLE_DATABASES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/databases"),
        PathBuf::from,
    );
    if folder.as_os_str() == "absent" {
        return None;
    }
    let path = folder.join(name);
    let hint = "SAMPLE_DATABASES names the folder of real databases; `absent` leaves them out";
    assert!(path.exists(), "{} is not there. {hint}.", path.display());
    Some(path)
}

impl Pair {
    /// A pair on a copy of the file.
    pub async fn of_copy(file: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.db");
        std::fs::write(&path, std::fs::read(file).unwrap()).unwrap();
        let mut pair = Self::open(&path, &Pg::shared().database("pair")).await;
        pair._folder = Some(folder);
        pair
    }

    /// A pair on a new file made by the given SQL.
    pub async fn of_sql(sql: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.db");
        rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        let mut pair = Self::open(&path, &Pg::shared().database("pair")).await;
        pair._folder = Some(folder);
        pair
    }

    /// A pair on a file and a database that are there.
    pub async fn open(path: &Path, database: &str) -> Self {
        let identity = system::Identity { database: "app".into(), user: "app".into() };
        let state = system::State::new(Arc::default(), identity, None);
        let install: Arc<Install> = Arc::new(move |connection| {
            functions::install(connection)?;
            system::install(connection, &state)
        });
        let mut options = Options::new(path);
        options.foreign_keys = false;
        let sqlite = Sqlite::open(options, install).unwrap();
        let journal = Journal::open(&sqlite, Clock::system()).await.unwrap();
        let writer = sqlite.writer(None).await.unwrap();
        writer.mute(true);
        let prepared = catalog::prepare(&writer).unwrap();
        writer.commit().unwrap();
        sqlite.set_catalog(prepared.catalog);
        let url = Pg::shared().cluster.url(database);
        let url = PostgresUrl::parse(&url).unwrap();
        let endpoint = Endpoint::new(&url, &BTreeMap::new()).unwrap();
        let connector = Connector::new(&endpoint, None, None, Culprit::Shadow).unwrap();
        let store = Arc::new(Store::open(path, 1000, KeepValues::Full).unwrap());
        Self {
            sqlite,
            journal,
            connector,
            store,
            database: database.to_owned(),
            adopted: prepared.findings,
            path: path.to_owned(),
            stretch: crossfade::verify::STRETCH,
            workers: backfill::Workers { count: 1, stretch: 1_000_000 },
            resume: true,
            decided: BTreeMap::new(),
            _folder: None,
        }
    }

    /// Copies everything.
    pub async fn backfill(&self) -> backfill::Summary {
        self.try_backfill(&[]).await.unwrap()
    }

    /// Copies some tables.
    pub async fn try_backfill(
        &self,
        tables: &[String],
    ) -> crossfade::error::Result<backfill::Summary> {
        let context = backfill::Context {
            journal: self.journal.clone(),
            control: Control::connect(&self.connector).await?,
            epoch: 1,
            divergences: Some(Arc::clone(&self.store)),
            decided: Arc::new(self.decided.clone()),
            foreign_keys_off: false,
            limit: crossfade::mirror::Limit::default(),
            workers: self.workers,
            resume: self.resume,
        };
        backfill::run(&context, tables, &|_| {}).await
    }

    /// Cuts where nothing moves.
    pub fn cuts(&self) -> Still {
        Still {
            sqlite: self.sqlite.clone(),
            connector: self.connector.clone(),
            stretch: self.stretch,
        }
    }

    /// Runs SQL on PostgreSQL.
    pub fn psql(&self, sql: &str) -> String {
        Pg::shared().cluster.psql(&self.database, sql).unwrap()
    }

    /// Changes rows on SQLite, as a recorded commit.
    pub async fn write(&self, sql: &str) {
        let writer = self.sqlite.writer(None).await.unwrap();
        writer.execute(sql, &[]).unwrap();
        writer.commit().unwrap();
    }
}
