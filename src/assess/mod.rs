//! What stands between a SQLite file and PostgreSQL.
//!
//! Owns the rules over schema, data and statements, and the [`Report`] they make. The plan
//! per column is the one that serving and backfill use (`backend::sqlite::adopt`), the DDL is
//! backfill's own. It must never write to the file, nor hold a lock on it for long, nor look
//! at more than its bounds allow without saying so. Start at [`run`].

mod estimate;
mod evidence;
mod facts;
mod needs;
mod report;
pub mod rules;
mod shape;

use std::path::Path;
use std::time::{Duration, Instant};

use crate::backend::sqlite::adopt::{Bounds, Planning};
use crate::backend::sqlite::catalog;
use crate::backend::sqlite::inspect;
use crate::error::{Error, Result, state};

pub use estimate::size;
pub use needs::{Existing, Need, Server, ServerColumn};
pub use report::{
    Class, ColumnPlan, Ddl, Estimate, FileFacts, Finding, Grade, LookedAt, Report, Severity,
    TableFacts,
};

use facts::Facts;

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

/// Called with what is done now, steps done, steps in all.
pub type Tell<'a> = dyn Fn(&str, usize, usize) + 'a;

/// Looks at a file, and at PostgreSQL as far as it is known.
///
/// # Errors
/// 58030 when there is no such file; SQLite's own when it cannot be read.
pub fn run(
    path: &Path,
    options: &Options,
    server: Option<Server>,
    tell: &Tell<'_>,
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
    let prepared = catalog::plan(&connection, &planning)?;
    let bounds = Bounds { until: end, ..bounds };
    let facts = Facts::gather(&connection, path, look, prepared, &planning, bounds, server, tell)?;
    drop(connection);
    Ok(report::build(&facts, options, began.elapsed()))
}
