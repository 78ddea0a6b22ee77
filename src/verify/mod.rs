//! Verify and repair: both sides read at one cut and compared row by row.
//!
//! Owns the proof that the shadow holds what the primary holds, and the repair where it does
//! not. Values in quarantine count as accepted; a value that should be there and is not,
//! differs. It must never compare two positions. Start at [`run`].

mod again;
mod cut;
mod diff;
mod keys;
mod mirrored;
mod repair;
mod scan;
mod settled;
mod since;
mod stretches;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use cut::{AtCut, BoxFuture, Cut, STRETCH, Still, postgres_snapshot, sqlite_snapshot};
pub use diff::{Difference, Kind};
pub use keys::{Seen, chunks, keys};
pub use repair::{Repaired, What, repair};
pub use since::{Pass, since};

use crate::backend::postgres::columns::actual_columns;
use crate::backend::postgres::copied;
use crate::backend::postgres::project::Projection;
use crate::backend::postgres::quarantine::Known;
use crate::backfill::told::{Tally, step};
use crate::backfill::{Tell, count};
use crate::count::counted;
use crate::divergence::changed::Taken;
use crate::divergence::{GroupState, Sample, Shortened, Store, TableVerified};
use crate::error::{Error, Result, state};
use crate::schema::{Relation, RelationKind};
use crate::value::Cell;
use diff::Found;
use scan::Pair;
use stretches::Course;

/// A cut older than this is given back before the next table: snapshots hold up the
/// checkpoints of one side and the vacuum of the other.
const CUT_AGE: Duration = Duration::from_secs(60);

/// What verify found of one table.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Table.
    pub table: String,
    /// Position of the cut.
    pub position: u64,
    /// As of when the oldest of it was read, RFC 3339.
    pub at: String,
    /// An earlier pass had read the beginning.
    pub gone_on: bool,
    /// Rows of the primary.
    pub rows: u64,
    /// Rows that differ.
    pub differing: u64,
    /// There may be more than `differing`.
    pub at_least: bool,
    /// Rows and values in quarantine: known, and not on PostgreSQL.
    pub accepted: u64,
    /// Rows of those whose values all fit: PostgreSQL refused them, and may take them now.
    pub refused: u64,
    /// Of those, so many that it does take: the first ones are tried.
    pub would_fit: u64,
    /// Values stored in another form, compared as the configuration changes them.
    pub coerced: u64,
    /// Compared as a multiset.
    pub keyless: bool,
    /// The first rows that differ.
    pub differences: Vec<Difference>,
    /// Why it could not be compared.
    pub error: Option<String>,
    /// Why PostgreSQL has it not, where that is decided.
    pub left_out: Option<String>,
}

impl Report {
    /// Of nothing yet.
    fn of(at: &AtCut, table: &str) -> Self {
        let (table, position) = (table.to_owned(), at.position.0);
        Self { table, position, at: at.at.to_string(), ..Self::default() }
    }

    /// Whether both sides are proven equal.
    pub fn is_clean(&self) -> bool {
        self.differing == 0 && self.error.is_none()
    }
}

/// Compares every table, or the given ones; what differs is recorded as divergences, what is
/// proven as verified.
///
/// # Errors
/// 42P01 for a table that is not there; what either side said about the cut itself.
pub async fn run(
    cuts: &dyn Cut,
    store: &Store,
    tables: &[String],
    progress: &Tell,
) -> Result<Vec<Report>> {
    let taken = take(store, &named(&look_at_quarantine(cuts, store).await?, tables)?);
    let at = cuts.cut(false).await?;
    let mut course = Course { cuts, store, tell: progress, taken, at, since: Instant::now() };
    let mut reports = Vec::new();
    let mut refused = Vec::new();
    for name in named(&course.at, tables)? {
        if course.since.elapsed() > CUT_AGE || !course.taken.contains_key(&name) {
            course.renew(&name).await?;
        }
        step(progress, format!("verifying {name}"), format!("at position {}", course.at.position));
        let report = match course.table(&name).await {
            Ok(report) => report,
            Err(error) if course.at.postgres.is_closed() => return Err(error),
            Err(error) => {
                // The error has ended PostgreSQL's transaction, and the cut with it.
                course.renew(&name).await?;
                let error = Some(error.message().to_owned());
                Report { table: name.clone(), error, ..Report::default() }
            }
        };
        let detail = format!("{}, {} differ", counted(report.rows, "row"), report.differing);
        step(progress, format!("verified {name}"), detail);
        let taken = course.taken.remove(&name);
        if tables.is_empty() && course.at.catalog.relation(&name).is_none() {
            // Dropped meanwhile.
            continue;
        }
        if let Some(taken) = taken {
            record(store, &report, &taken);
        }
        if report.refused > 0 {
            let places = again::places(&course.at, &name, again::PORTION).await?;
            refused.push((reports.len(), places));
        }
        reports.push(report);
    }
    if tables.is_empty() {
        unserved(&course.at, store, &mut reports).await?;
    }
    // The applier may wait for a lock that the cut holds, and rows are tried where it stands.
    course.at.release().await;
    for (n, places) in refused {
        try_again(cuts, &mut reports[n], &places, progress).await;
    }
    Ok(reports)
}

/// Looks whether PostgreSQL would take rows by now that it has refused; nothing of that stays there.
async fn try_again(cuts: &dyn Cut, report: &mut Report, places: &[Vec<Cell>], progress: &Tell) {
    let text = || format!("tried rows of {} that are in quarantine", report.table);
    match again::again(cuts, &report.table, places, false).await {
        Ok(0) => {}
        Ok(taken) => {
            let detail = format!("PostgreSQL would take {} now", counted(taken, "row"));
            step(progress, text(), detail);
            report.would_fit = taken;
        }
        // What was compared is true without it.
        Err(error) => step(progress, text(), error.message().to_owned()),
    }
}

/// Names the tables of the file that are not served, hence neither copied nor compared.
async fn unserved(at: &AtCut, store: &Store, reports: &mut Vec<Report>) -> Result<()> {
    let open: Vec<_> = store.groups().into_iter().filter(|g| g.state == GroupState::Open).collect();
    for (table, mark) in copied::load(&at.postgres).await? {
        let known = at.catalog.relation(&table).is_some();
        let Some(reason) = mark.refused.filter(|_| !known) else { continue };
        let undecided = open.iter().any(|group| group.table.as_deref() == Some(table.as_str()));
        let (error, left_out) = match undecided {
            true => (Some(reason), None),
            false => (None, Some(reason)),
        };
        reports.push(Report { table, error, left_out, ..Report::default() });
    }
    Ok(())
}

/// A cut; what is in quarantine at it needs a decision, unless there is one.
async fn look_at_quarantine(cuts: &dyn Cut, store: &Store) -> Result<AtCut> {
    // Before the cut: what the applier records meanwhile may not be in what is read.
    let undecided = store.undecided();
    let at = cuts.cut(false).await?;
    store.note_quarantine(&at.postgres, &undecided, at.position.0).await?;
    Ok(at)
}

/// Takes what has changed in these tables: before the cut that will cover it.
fn take(store: &Store, tables: &[String]) -> BTreeMap<String, Taken> {
    tables.iter().map(|table| (table.clone(), store.take_changed(table))).collect()
}

/// The tables to compare, by name.
fn named(at: &AtCut, tables: &[String]) -> Result<Vec<String>> {
    let is_table = |r: &Arc<Relation>| r.kind == RelationKind::Table;
    if tables.is_empty() {
        let all = at.catalog.relations.values().filter(|r| is_table(r));
        return Ok(all.map(|r| r.name.clone()).collect());
    }
    let key = |shown: &String| {
        let key = at.catalog.key_of_shown(shown);
        let found = key.filter(|key| at.catalog.relation(key).is_some_and(is_table));
        found.map(str::to_owned).ok_or_else(|| {
            let message = format!("relation \"{shown}\" does not exist");
            Error::client(state::UNDEFINED_TABLE, message)
        })
    };
    tables.iter().map(key).collect()
}

/// Compares one table at a cut, without recording anything.
///
/// # Errors
/// When a connection is lost; what concerns the table alone is in the report.
pub async fn one(at: &AtCut, name: &str, tell: &Tell) -> Result<Report> {
    let mut report = Report::of(at, name);
    match compare(at, name, tell, &mut report).await {
        Ok(()) => {}
        Err(error) if at.postgres.is_closed() => return Err(error),
        Err(error) => {
            report.error = Some(error.message().to_owned());
            // An error has ended PostgreSQL's transaction, and its snapshot with it.
            if error.fields().culprit == crate::error::Culprit::Shadow {
                return Err(error.context(format!("verify {name}")));
            }
        }
    }
    Ok(report)
}

async fn compare(at: &AtCut, name: &str, tell: &Tell, report: &mut Report) -> Result<()> {
    let of = announce(at, name, tell)?;
    let mut pair = match pair(at, name).await? {
        Ok(pair) => pair,
        Err(reason) => {
            report.error = Some(reason);
            return Ok(());
        }
    };
    report.keyless = pair.projection.key.is_none();
    pair.of = of;
    pair.tell = Some(tell);
    let found = diff::table(&pair).await?;
    let Found { rows, accepted, refused, coerced, differing, at_least, differences } = found;
    report.rows = rows;
    report.accepted = accepted;
    report.refused = refused;
    report.coerced = coerced;
    report.differing = differing;
    report.at_least = at_least;
    report.differences = differences;
    Ok(())
}

/// Says that a table is compared before it is waited for: somebody may hold it. Its rows on SQLite.
fn announce(at: &AtCut, name: &str, tell: &Tell) -> Result<u64> {
    let Some(relation) = at.catalog.relation(name) else { return Ok(0) };
    let of = count(&at.sqlite, &relation.sqlite_name)?;
    drop(Tally::new(Some(tell), scan::READING, name, of));
    Ok(of)
}

/// Both sides of a table; the reason when PostgreSQL has it not.
async fn pair<'a>(at: &'a AtCut, name: &str) -> Result<std::result::Result<Pair<'a>, String>> {
    let Some(relation) = at.catalog.relation(name) else {
        return Ok(Err("the table is gone".to_owned()));
    };
    let copied = copied::load(&at.postgres).await?;
    if let Some(reason) = copied.get(name).and_then(|c| c.refused.clone()) {
        return Ok(Err(reason));
    }
    settled::settled(&at.postgres, relation).await?;
    let actual = actual_columns(&at.postgres, relation).await?;
    // What PostgreSQL cannot compute it has not; whoever drops a column is found by its picture.
    let lost = |c: &&crate::schema::Column| {
        !actual.iter().any(|a| a.name == c.name) && (c.generated.is_none() || actual.is_empty())
    };
    if let Some(lost) = relation.columns.iter().find(lost) {
        return Ok(Err(match actual.is_empty() {
            true => "PostgreSQL has no such table".to_owned(),
            false => format!("PostgreSQL has no column {:?}", lost.name),
        }));
    }
    let projection = Projection::over(relation, &actual);
    let types = projection.types();
    let known = Known::load(&at.postgres, name).await?;
    Ok(Ok(Pair { at, projection, types, known, tell: None, of: 0, range: None }))
}

/// Writes what was found into the store.
fn record(store: &Store, report: &Report, taken: &Taken) {
    if report.error.is_some() {
        // Neither clean nor different: it stays unverified, and its age shows.
        return;
    }
    for difference in &report.differences {
        store.record(sample(report, difference));
    }
    store.verify_done(
        &report.table,
        TableVerified {
            position: report.position,
            at: report.at.clone(),
            rows: report.rows,
            differing: report.differing,
            keyless: report.keyless,
        },
        taken,
    );
    if report.is_clean() {
        // What an earlier pass found is proven gone.
        for group in store.groups() {
            let ours = group.table.as_deref() == Some(&report.table);
            let of_verify = group.class.starts_with("verify_");
            if ours && of_verify && group.state == GroupState::Open {
                store.fixed(&group.id);
            }
        }
    }
}

fn sample(report: &Report, difference: &Difference) -> Sample {
    let message = match difference.kind {
        Kind::Missing => "the shadow lacks a row of the primary",
        Kind::Extra => "the shadow has a row the primary has not",
        Kind::Value => "a row has other values",
    };
    let select = select_text(&report.table, difference);
    let kept = |one: &&Shortened| difference.kind == Kind::Value || one.field == "key";
    let shortened = difference.shortened.iter().filter(kept).cloned().collect();
    // A missing or extra row is one shape, whichever columns the table has.
    let columns = match difference.kind {
        Kind::Value => difference.columns.clone(),
        Kind::Missing | Kind::Extra => Vec::new(),
    };
    let values = |values: &[Option<String>]| match difference.kind {
        Kind::Value => values.to_vec(),
        Kind::Missing | Kind::Extra => Vec::new(),
    };
    Sample {
        class: difference.kind.class().to_owned(),
        table: Some(report.table.clone()),
        columns,
        key: difference.key.clone(),
        primary: values(&difference.primary),
        shadow: values(&difference.shadow),
        sqlite_sql: select.clone(),
        postgres_sql: select,
        shortened,
        position_primary: report.position,
        position_shadow: report.position,
        message: message.to_owned(),
        ..Sample::default()
    }
}

/// A query that shows the row on either side, perhaps with others: by as much of its key as is kept.
fn select_text(table: &str, difference: &Difference) -> Option<String> {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let terms: Vec<String> = difference
        .key
        .iter()
        .enumerate()
        .filter(|(n, _)| {
            let is = |one: &Shortened| one.field == "key" && one.index == *n as u64;
            !difference.shortened.iter().any(is)
        })
        .map(|(_, (name, value))| match value {
            Some(value) => format!("{} = '{}'", quoted(name), value.replace('\'', "''")),
            None => format!("{} IS NULL", quoted(name)),
        })
        .collect();
    let found = || format!("SELECT * FROM {} WHERE {}", quoted(table), terms.join(" AND "));
    (!terms.is_empty()).then(found)
}
