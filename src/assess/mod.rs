//! What stands between a SQLite file and PostgreSQL.
//!
//! Owns the rules over schema, data and statements, and the [`Report`] they make. The plan
//! per column is the one that serving and backfill use (`backend::sqlite::adopt`), the DDL is
//! backfill's own. It must never write to the file, nor hold a lock on it for long, nor look
//! at more than its bounds allow without saying so. Start at [`run`].

mod breaking;
mod estimate;
mod evidence;
mod facts;
mod needs;
mod progress;
mod report;
pub mod rules;
mod shape;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backend::sqlite::adopt::{Bounds, Planning};
use crate::backend::sqlite::catalog;
use crate::backend::sqlite::inspect;
use crate::error::{Error, Result, state};

pub use crate::backend::postgres::existing::Existing;
pub use estimate::size;
pub use needs::{Need, Server};
pub use report::{
    Class, ColumnPlan, Ddl, Estimate, FileFacts, Finding, Grade, LookedAt, Report, Severity,
    TableFacts,
};

use facts::Facts;
use progress::Progress;

/// What a run works with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Overrides of the configuration; its bounds are set here.
    pub planning: Planning,
    /// Rows of a table that are looked at.
    pub rows: u64,
    /// Time for everything; None for as long as it takes.
    pub limit: Option<Duration>,
    /// Statements of the application, to be translated.
    pub statements: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            planning: Planning::default(),
            rows: ROWS,
            limit: Some(LIMIT),
            statements: Vec::new(),
        }
    }
}

/// Rows of a table that are looked at unless told otherwise.
pub const ROWS: u64 = 500_000;
/// Time for everything unless told otherwise.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Called with what is done now, rows done, rows in all (0: not known).
pub type Tell = dyn Fn(&str, u64, u64) + Send + Sync;

/// Looks at a file, and at PostgreSQL as far as it is known.
///
/// # Errors
/// 58030 when there is no such file; SQLite's own when it cannot be read.
pub fn run(
    path: &Path,
    options: &Options,
    server: Option<Server>,
    tell: &Arc<Tell>,
) -> Result<Report> {
    let began = Instant::now();
    let look = inspect::look(path)?.ok_or_else(|| {
        Error::client(state::IO_ERROR, format!("there is no file {}", path.display()))
    })?;
    tell("reading the schema", 0, 0);
    let connection = inspect::guest(path)?;
    let end = options.limit.map(|limit| began + limit);
    // Types are chosen in the first half of the time, evidence is gathered in the second.
    let half = options.limit.map(|limit| began + limit / 2);
    let gentle = look.journal_mode != "wal";
    let bounds = Bounds { rows: options.rows, until: half, gentle };
    let planning = Planning { bounds, ..options.planning.clone() };
    let tables = Arc::new(progress::tables(&connection, &bounds)?);
    let passing = |doing| {
        let progress = Progress::new(tell, doing, &tables);
        connection.set_ticker(Some(Arc::new(move |table, rows| progress.at(table, rows))));
    };
    passing("choosing types for");
    let prepared = catalog::plan(&connection, &planning)?;
    let bounds = Bounds { until: end, ..bounds };
    passing("looking at");
    let facts = Facts::gather(&connection, path, look, prepared, &planning, bounds, server)?;
    drop(connection);
    Ok(report::build(&facts, options, began.elapsed()))
}
