//! Opening the back ends.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::meter::Meter;
use crate::backend::sqlite::adopt::{Copies, Planning};
use crate::backend::sqlite::catalog::{Side, prepare_with};
use crate::backend::sqlite::{self, Install, Sqlite, errors, functions, inspect, system};
use crate::clock::Clock;
use crate::config::{Config, Durability, TempStore};
use crate::cutover::facts;
use crate::divergence::Store;
use crate::error::{Error, Result, state};
use crate::journal::Journal;
use crate::session::Shared;

/// Opens the SQLite file and makes the sessions' handles.
///
/// # Errors
/// F0000 for a configuration without a file, 55006 when another proxy serves it, SQLite's
/// own otherwise.
pub(super) async fn open(
    config: &Config,
    scratch: Option<&TempDir>,
    stop: &CancellationToken,
) -> Result<(Shared, Journal)> {
    let clock = Clock::system();
    let path = match scratch {
        Some(folder) => folder.path().join("scratch.db"),
        None => config.sqlite_path(std::path::Path::exists)?,
    };
    let options = options(config, path);
    let identity = system::Identity { database: "crossfade".into(), user: "crossfade".into() };
    let state = system::State::new(Arc::default(), identity, None);
    let shown = Arc::clone(&state);
    let install: Arc<Install> = Arc::new(move |connection| {
        functions::install(connection)?;
        system::install(connection, &shown)
    });
    if let Some(to) = config.sqlite.backup.as_deref() {
        let made = tokio::task::block_in_place(|| inspect::backup(&options.path, to))?;
        let what = if made { "backed the SQLite file up" } else { "the backup stays as it is" };
        tracing::info!(path = %to.display(), "{what}");
    }
    let sqlite = tokio::task::block_in_place(|| Sqlite::open(options, install))?;
    let opened = sqlite.opened();
    if opened.created {
        tracing::info!(path = %sqlite.path().display(), "created the SQLite file");
    } else if opened.switched_to_wal {
        tracing::info!(path = %sqlite.path().display(), "switched the SQLite file to WAL mode");
    }
    let journal = Journal::open(&sqlite, clock.clone()).await?;
    let planning = Planning {
        tables: config.tables.clone(),
        copied: copied(&sqlite, &journal)?,
        ..Planning::default()
    };
    let side = catalog(&sqlite, &state, &planning).await?;
    let mut shared = Shared::new(sqlite, state, side, clock);
    shared.version = version(config);
    shared.database.clone_from(&config.listen.database);
    let patience = u64::from(*config.sqlite.writer_wait_ms);
    shared.writer_patience = (patience > 0).then(|| Duration::from_millis(patience));
    shared.stopping = stop.clone();
    shared.observer = Arc::new(Meter::new(Arc::clone(&shared.shapes)));
    Ok((shared, journal))
}

/// What PostgreSQL holds copies of.
fn copied(sqlite: &Sqlite, journal: &Journal) -> Result<Copies> {
    if journal.lineage().is_none() {
        return Ok(Copies::None);
    }
    let uncopied = tokio::task::block_in_place(|| facts::uncopied(&sqlite.dedicated()?))?;
    Ok(uncopied.map_or(Copies::None, Copies::AllBut))
}

/// Loads the catalog of the file, taking over tables that are not recorded yet.
async fn catalog(
    sqlite: &Sqlite,
    state: &Arc<system::State>,
    planning: &Planning,
) -> Result<Arc<Side>> {
    let writer = sqlite.writer(None).await?;
    let prepared = tokio::task::block_in_place(|| {
        let prepared = prepare_with(&writer, planning).map_err(damaged)?;
        writer.commit().map_err(damaged)?;
        Ok::<_, Error>(prepared)
    })?;
    for finding in &prepared.findings {
        tracing::info!(table = finding.table, "{}", finding.message);
    }
    state.share_sequences(Arc::clone(&prepared.side.sequences));
    state.set_catalog(Arc::clone(&prepared.catalog));
    sqlite.set_catalog(prepared.catalog);
    let shared = Arc::clone(state);
    sqlite.set_error_map(Arc::new(move |failure| {
        // A session's uncommitted DDL knows names the shared catalog does not.
        let current = functions::session::current();
        let temporary = &current.temporary;
        match &current.catalog {
            Some(catalog) => errors::from_sqlite(failure, catalog, temporary),
            None => errors::from_sqlite(failure, &shared.snapshot().catalog, temporary),
        }
    }));
    Ok(prepared.side)
}

/// A damaged page ends the transaction that meets it, whichever table it is of.
fn damaged(error: Error) -> Error {
    match error.sqlstate() == state::DATA_CORRUPTED {
        false => error,
        true => error.hint(
            "crossfade assess names the table that cannot be read; sqlite3's .recover brings back \
             into a new file what can be.",
        ),
    }
}

/// Leaves exact sequence counters behind at a clean stop.
pub(super) async fn settle(shared: &Shared) -> Result<()> {
    let writer = shared.sqlite.writer(None).await?;
    tokio::task::block_in_place(|| {
        shared.side.sequences.settle(&writer)?;
        writer.commit()
    })?;
    Ok(())
}

/// Leaves the file so that it is known again when nobody writes it before the next start.
pub(super) async fn leave(shared: &Shared, store: &Store) {
    let left = shared.sqlite.leave().await;
    // Those that were noticed last.
    store.note_foreign(shared.sqlite.foreign_writes());
    match left {
        Ok(found) => store.leave(found.as_ref()),
        Err(error) => {
            store.leave(None);
            tracing::warn!(%error, "the SQLite file's log could not be copied back");
        }
    }
}

fn options(config: &Config, path: PathBuf) -> sqlite::Options {
    let mut options = sqlite::Options::new(path);
    if *config.sqlite.readers > 0 {
        options.readers = usize::try_from(*config.sqlite.readers).unwrap_or(8);
    }
    options.durability = match *config.sqlite.durability {
        Durability::Full => sqlite::Durability::Full,
        Durability::Group => sqlite::Durability::Group,
        Durability::Normal => sqlite::Durability::Normal,
    };
    options.foreign_keys = *config.sqlite.foreign_keys;
    options.cache_bytes = config.sqlite.cache_bytes.get();
    options.mmap_bytes = config.sqlite.mmap_bytes.get();
    options.temp_store_memory = *config.sqlite.temp_store == TempStore::Memory;
    options.busy_timeout = Duration::from_millis(u64::from(*config.sqlite.busy_timeout_ms));
    options
}

/// The version reported: a bare major number stands for its release we were tested with.
fn version(config: &Config) -> String {
    match config.postgres.version.as_str() {
        "15" => "15.18".to_owned(),
        text if text.contains('.') => text.to_owned(),
        major => format!("{major}.0"),
    }
}
