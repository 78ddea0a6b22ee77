//! Several tables, and stretches of large ones, copied at once.
//!
//! Owns the workers: each has a connection to PostgreSQL and one to the file whose snapshot is that
//! of the cut. A table that is copied in stretches is marked when the last of them is in; until then
//! a restart copies it anew. It must never mark a table of which a stretch failed. Start at
//! [`tables`].

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::cut::Snapshot;
use super::told::{Told, step};
use super::{Env, Report, copy, empty, gentle};
use crate::backend::postgres::apply::quoted;
use crate::backend::postgres::columns::actual_columns;
use crate::backend::postgres::control::Control;
use crate::backend::postgres::copied::{self, Copied};
use crate::backend::postgres::project::Projection;
use crate::backend::postgres::quarantine;
use crate::backend::sqlite::blocking;
use crate::config;
use crate::error::{Error, Result};
use crate::journal::Journal;
use crate::mirror::Limit;
use crate::name;
use crate::schema::{Codec, Relation};

/// Stretches of one table at most.
const STRETCHES_MAX: i64 = 64;
/// Messages of the workers that wait to be told.
const TOLD_MAX: usize = 1024;

/// How much is copied at once.
#[derive(Clone, Copy, Debug)]
pub struct Workers {
    /// Connections that copy; with one, tables are copied one after the other.
    pub count: usize,
    /// Tables of more rows are copied in stretches of so many.
    pub stretch: i64,
}

impl Workers {
    /// As many as the machine bears: PostgreSQL's side of a copy takes a core as well.
    pub fn of_machine() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { count: (cores / 2).clamp(1, 4), stretch: 1_000_000 }
    }
}

/// A table, or the rows whose integer key lies in a range.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Job {
    table: String,
    stretch: Option<(i64, i64)>,
}

/// What workers send.
enum Message {
    Progress(Told),
    Done(Job, Result<Report>),
}

/// What all workers read.
struct Common {
    copied: BTreeMap<String, Copied>,
    decided: Arc<BTreeMap<String, config::Table>>,
    replica: bool,
    limit: Limit,
    journal: Journal,
    jobs: Mutex<VecDeque<Job>>,
    within: empty::Within,
}

/// Whether the application's tables have foreign keys there: those that we have made get theirs
/// after the copy.
pub(super) async fn has_foreign_keys(env: &Env<'_>) -> Result<bool> {
    let theirs = env.copied.iter().filter(|(_, copied)| !copied.made);
    let theirs: Vec<String> = theirs.map(|(table, _)| name::quoted(table)).collect();
    let sql = "SELECT EXISTS (SELECT FROM pg_constraint c JOIN unnest($1::text[]) t \
               ON c.conrelid = to_regclass(t) WHERE c.contype = 'f')";
    let row = env.control.client().query_one(sql, &[&theirs]).await;
    Ok(row.map_err(|e| env.control.error(&e))?.get(0))
}

/// Copies the tables; one report for each, in their order.
pub(super) async fn tables(
    env: &Env<'_>,
    names: &[String],
    workers: Workers,
    snapshots: Vec<Snapshot>,
) -> Result<Vec<Report>> {
    let mut jobs = VecDeque::new();
    let mut open: BTreeMap<String, (usize, Report)> = BTreeMap::new();
    for name in names {
        let stretches = blocking(|| stretches(env, name, workers.stretch));
        if stretches.is_some() {
            quarantine::clear(env.control, name).await?;
        }
        let parts: Vec<Job> = match stretches {
            None => vec![Job { table: name.clone(), stretch: None }],
            Some(list) => {
                list.into_iter().map(|s| Job { table: name.clone(), stretch: Some(s) }).collect()
            }
        };
        open.insert(name.clone(), (parts.len(), Report::new(name)));
        jobs.extend(parts);
    }
    let common = Arc::new(Common {
        copied: env.copied.clone(),
        decided: Arc::new(env.decided.clone()),
        replica: env.replica,
        limit: env.limit.clone(),
        journal: env.journal.clone(),
        jobs: Mutex::new(jobs),
        within: env.within.clone(),
    });
    let (sender, mut told) = mpsc::channel(TOLD_MAX);
    let mut set = JoinSet::new();
    for snapshot in snapshots {
        let control = env.control.another().await?;
        gentle::writes(&control).await?;
        set.spawn(worker(snapshot, control, Arc::clone(&common), sender.clone()));
    }
    drop(sender);
    while let Some(told) = told.recv().await {
        match told {
            Message::Progress(told) => (env.progress)(told),
            Message::Done(job, report) => {
                let report = report?;
                let Some((left, whole)) = open.get_mut(&job.table) else { continue };
                *left -= 1;
                add(whole, report);
                if *left == 0 {
                    if job.stretch.is_some() && whole.error.is_none() {
                        let mark = mark(env, whole).await?;
                        copied::save(env.control, &job.table, &mark).await?;
                    }
                    step(env.progress, format!("copied {}", job.table), whole.line());
                }
            }
        }
    }
    while let Some(ended) = set.join_next().await {
        ended.map_err(|_| Error::internal("a worker of the copy has panicked"))?;
    }
    Ok(names.iter().filter_map(|name| open.remove(name)).map(|(_, report)| report).collect())
}

async fn worker(
    cut: Snapshot,
    control: Control,
    common: Arc<Common>,
    sender: mpsc::Sender<Message>,
) {
    let told = sender.clone();
    let progress = move |message: Told| {
        // Nobody listens any more when the copy has been given up; and how far it is, the next one
        // tells when this one finds no room.
        let _ = told.try_send(Message::Progress(message));
    };
    let env = Env {
        control: &control,
        cut: &cut,
        copied: common.copied.clone(),
        progress: &progress,
        replica: common.replica,
        decided: &common.decided,
        limit: &common.limit,
        journal: &common.journal,
        within: common.within.clone(),
    };
    loop {
        let Some(job) = common.jobs.lock().pop_front() else { return };
        let report = one(&env, &job).await;
        let failed = report.is_err();
        if sender.send(Message::Done(job, report)).await.is_err() || failed {
            return;
        }
    }
}

/// Does one job; an error about the table itself is in the report.
async fn one(env: &Env<'_>, job: &Job) -> Result<Report> {
    let mut report = Report::new(&job.table);
    let Some(relation) = env.cut.catalog.relation(&job.table) else { return Ok(report) };
    env.goes_on()?;
    let text = match job.stretch {
        None => format!("copying {}", job.table),
        Some((first, last)) => format!("copying {} from {first} to {last}", job.table),
    };
    step(env.progress, text, "");
    let actual = actual_columns(env.control, relation).await?;
    let projection = Projection::over(relation, &actual);
    let copied = match job.stretch {
        None => copy::table(env, &projection, &mut report).await,
        Some(stretch) => copy::stretch(env, &projection, stretch, &mut report).await,
    };
    if let Err(error) = copied {
        if env.control.is_closed() {
            return Err(error);
        }
        report = Report::new(&job.table);
        report.error = Some(error.message().to_owned());
    }
    Ok(report)
}

fn add(whole: &mut Report, part: Report) {
    whole.read += part.read;
    whole.written += part.written;
    whole.left_out += part.left_out;
    whole.nulled += part.nulled;
    whole.bytes += part.bytes;
    for (column, values) in part.coerced {
        *whole.coerced.entry(column).or_default() += values;
    }
    // Stretches run beside each other.
    whole.seconds = whole.seconds.max(part.seconds);
    whole.error = whole.error.take().or(part.error);
}

async fn mark(env: &Env<'_>, whole: &Report) -> Result<Copied> {
    // Its first stretch has made it ours.
    let claimed = copied::load(env.control).await?.remove(&whole.table).unwrap_or_default();
    Ok(Copied {
        lineage: Some(env.cut.lineage.0.to_vec()),
        position: env.cut.head.position,
        rows: whole.written,
        complete: true,
        refused: None,
        shape: env.cut.catalog.relation(&whole.table).map(|r| copied::shape(r)),
        ..claimed
    })
}

/// The stretches of a table whose key is its rowid, when it is large; None: it is copied whole.
fn stretches(env: &Env<'_>, name: &str, stretch: i64) -> Option<Vec<(i64, i64)>> {
    let relation = env.cut.catalog.relation(name)?;
    let alias = relation.rowid_alias?;
    if env.within.contains_key(name)
        || relation.key() != Some(&[alias][..])
        || relation.columns[alias].codec != Codec::Identity
    {
        return None;
    }
    let (first, last) = ends(env, relation, alias)?;
    split(first, last, stretch)
}

fn ends(env: &Env<'_>, relation: &Relation, alias: usize) -> Option<(i64, i64)> {
    let end = |which: &str| {
        let sql = format!(
            "SELECT {which}({}) FROM \"public\".{}",
            quoted(&relation.columns[alias].sqlite_name),
            quoted(&relation.sqlite_name)
        );
        // Whatever is wrong with the table, its copy says so.
        env.cut.connection.query_integer(&sql, &[]).ok().flatten()
    };
    end("min").zip(end("max"))
}

/// Ranges that cover everything from `first` to `last`; None when one would do.
pub(crate) fn split(first: i64, last: i64, stretch: i64) -> Option<Vec<(i64, i64)>> {
    let span = i128::from(last) - i128::from(first) + 1;
    let count = (span / i128::from(stretch.max(1)) + 1).min(i128::from(STRETCHES_MAX));
    if count < 2 {
        return None;
    }
    let at = |n: i128| i128::from(first) + span * n / count;
    let number = |n: i128| i64::try_from(n).unwrap_or(i64::MAX);
    Some((0..count).map(|n| (number(at(n)), number(at(n + 1) - 1))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_cover_every_key_once() {
        assert_eq!(split(1, 10, 100), None);
        let ends =
            [(1, 1000, 100), (-50, 49, 10), (i64::MIN, i64::MAX, 1_000_000), (1, i64::MAX, 7)];
        for (first, last, stretch) in ends {
            let found = split(first, last, stretch).unwrap();
            assert!(found.len() <= 64);
            assert_eq!((found[0].0, found[found.len() - 1].1), (first, last));
            for pair in found.windows(2) {
                assert_eq!(pair[0].1 + 1, pair[1].0);
                assert!(pair[0].0 <= pair[0].1);
            }
        }
    }
}
