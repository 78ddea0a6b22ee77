//! Repair: the primary's rows written where the shadow differs.
//!
//! Owns the writing: one transaction, at the position the rows were read at, while the
//! applier is held there. It must never write at another position. Start at [`repair`].

use std::collections::{BTreeSet, HashMap, HashSet};

use metrics::counter;
use tokio_postgres::types::{ToSql, Type as PgType};

use super::again;
use super::cut::{AtCut, Cut};
use super::diff::{Difference, Kind};
use super::settled::{TRIES, is_unsettled};
use super::{Report, named, one, record};
use crate::backend::postgres::apply::{holds, pg_type, quoted, table_name};
use crate::backend::postgres::binary::Binary;
use crate::backend::postgres::columns::actual_columns;
use crate::backend::postgres::control::Control;
use crate::backend::postgres::project::Projection;
use crate::backend::postgres::quarantine::{self, Entry};
use crate::backfill::Tell;
use crate::backfill::told::step;
use crate::count::counted;
use crate::divergence::Store;
use crate::error::{Error, Result, state};
use crate::telemetry::names;
use crate::value::{Datum, Type};

/// Rounds over one table; each repairs a bounded number of rows.
const ROUNDS_MAX: usize = 1000;

/// What to repair.
#[derive(Clone, Debug, Default)]
pub struct What {
    /// Tables; empty for all, unless a divergence is named.
    pub tables: Vec<String>,
    /// The table of this divergence.
    pub divergence: Option<String>,
    /// Only list what would be written.
    pub dry_run: bool,
}

/// What repair did to one table.
#[derive(Clone, Debug, Default)]
pub struct Repaired {
    /// Table.
    pub table: String,
    /// Rows written that were missing.
    pub inserted: u64,
    /// Rows written that had other values.
    pub updated: u64,
    /// Rows deleted that the primary has not.
    pub deleted: u64,
    /// Rows that PostgreSQL refused: they are in quarantine now.
    pub held: u64,
    /// Rows that were in quarantine, and that PostgreSQL takes now.
    pub returned: u64,
    /// Generated columns that PostgreSQL computes otherwise: no write changes them.
    pub computed: BTreeSet<String>,
    /// The rows, as far as they are shown; with `dry_run` what would be written.
    pub differences: Vec<Difference>,
    /// What verify found afterwards (with `dry_run`: now).
    pub after: Report,
}

impl Repaired {
    fn count(&mut self, differences: &[Difference]) {
        for difference in differences {
            match difference.kind {
                Kind::Missing => self.inserted += 1,
                Kind::Value => self.updated += 1,
                Kind::Extra => self.deleted += 1,
            }
        }
    }

    /// Counts what was written last: but for what is found again as it was, which was of no use.
    fn settle(&mut self, last: Option<Written>, again: &[Difference]) {
        let Some(Written { differences, held }) = last else { return };
        let again: HashSet<_> = again.iter().map(identity).collect();
        let settled = |(n, d): (usize, Difference)| {
            (!held.contains(&n) && !again.contains(&identity(&d))).then_some(d)
        };
        let settled: Vec<_> = differences.into_iter().enumerate().filter_map(settled).collect();
        self.held += held.len() as u64;
        self.count(&settled);
        counter!(names::REPAIRS).increment(settled.len() as u64);
        self.differences.extend(settled);
    }

    /// Leaves aside the rows in which nothing but what PostgreSQL computes differs: no write
    /// changes it.
    fn writable(&mut self, at: &AtCut, differences: Vec<Difference>) -> Vec<Difference> {
        let Some(relation) = at.catalog.relation(&self.table) else { return differences };
        let generated = |name: &String| {
            relation.column(name).is_some_and(|c| relation.columns[c].generated.is_some())
        };
        let is_computed = |d: &Difference| d.kind == Kind::Value && d.columns.iter().all(generated);
        let (computed, writable): (Vec<_>, Vec<_>) = differences.into_iter().partition(is_computed);
        self.computed.extend(computed.into_iter().flat_map(|d| d.columns));
        writable
    }
}

/// What was written last, and the rows of it that went to the quarantine.
struct Written {
    differences: Vec<Difference>,
    held: HashSet<usize>,
}

/// What tells one difference from another.
fn identity(difference: &Difference) -> (&'static str, Vec<(String, Option<String>)>) {
    (difference.kind.class(), difference.key.clone())
}

/// Repairs tables and verifies them again.
///
/// # Errors
/// 42704 for a divergence that is not there or has no table; 42P01 for a table; 55000 when
/// the applier was not at the position of the cut; what PostgreSQL said to the writes.
pub async fn repair(
    cuts: &dyn Cut,
    store: &Store,
    what: &What,
    progress: &Tell,
) -> Result<Vec<Repaired>> {
    let mut tables = what.tables.clone();
    if let Some(id) = &what.divergence {
        let group = store.group(id);
        let table = group.and_then(|g| g.table).ok_or_else(|| {
            let message = format!("divergence {id} does not exist or names no table");
            Error::client(state::UNDEFINED_OBJECT, message)
        })?;
        tables = vec![table];
    }
    let all = {
        let at = cuts.cut(false).await?;
        named(&at, &tables)?
    };
    let mut done = Vec::new();
    for name in all {
        let begun = if what.dry_run { "looking at" } else { "repairing" };
        step(progress, format!("{begun} {name}"), "");
        // Before its last cut, which covers it.
        let taken = store.take_changed(&name);
        let mut repaired = table(cuts, &name, what.dry_run, progress).await?;
        back(cuts, &mut repaired, what.dry_run, progress).await?;
        let written = repaired.inserted + repaired.updated + repaired.deleted + repaired.returned;
        let done_or_not = if what.dry_run { "would repair" } else { "repaired" };
        step(progress, format!("{done_or_not} {name}"), counted(written, "row"));
        if !what.dry_run {
            record(store, &repaired.after, &taken);
            if let Some(id) = what.divergence.as_deref().filter(|_| repaired.after.is_clean()) {
                store.fixed(id);
            }
        }
        done.push(repaired);
    }
    if !what.dry_run {
        // What has come out may be what rows of other tables refer to.
        let mut more = done.iter().any(|r| r.returned > 0);
        while std::mem::take(&mut more) {
            for repaired in &mut done {
                let before = repaired.returned;
                back(cuts, repaired, false, progress).await?;
                more |= repaired.returned > before;
            }
        }
        drop(super::look_at_quarantine(cuts, store).await?);
    }
    Ok(done)
}

/// Has PostgreSQL take rows out of the quarantine that it refused once, as many as it does now.
async fn back(cuts: &dyn Cut, repaired: &mut Repaired, dry_run: bool, tell: &Tell) -> Result<()> {
    let name = repaired.table.clone();
    let max = if dry_run { again::PORTION } else { usize::MAX };
    for _ in 0..ROUNDS_MAX {
        if repaired.after.error.is_some() || repaired.after.refused == 0 {
            break;
        }
        let places = {
            let at = cuts.cut(false).await?;
            again::places(&at, &name, max).await?
        };
        let taken = again::again(cuts, &name, &places, !dry_run).await?;
        repaired.returned += taken;
        if dry_run || taken == 0 {
            break;
        }
        counter!(names::REPAIRS).increment(taken);
        (_, repaired.after) = look(cuts, false, &name, tell).await?;
    }
    Ok(())
}

async fn table(cuts: &dyn Cut, name: &str, dry_run: bool, tell: &Tell) -> Result<Repaired> {
    let mut repaired = Repaired { table: name.to_owned(), ..Repaired::default() };
    let mut last: Option<Written> = None;
    for _ in 0..ROUNDS_MAX {
        // A look without holding anybody up first: most tables are equal.
        let (at, seen) = look(cuts, false, name, tell).await?;
        repaired.computed.clear();
        let found = repaired.writable(&at, seen.differences.clone());
        drop(at);
        if dry_run || found.is_empty() || seen.error.is_some() {
            repaired.settle(last, &found);
            if dry_run {
                repaired.count(&found);
                repaired.differences.clone_from(&found);
            }
            repaired.after = seen;
            return Ok(repaired);
        }
        let (at, seen) = look(cuts, true, name, tell).await?;
        let found = repaired.writable(&at, seen.differences.clone());
        if found.is_empty() {
            continue;
        }
        // The same rows again: what was written did not help, as where PostgreSQL's key is another one.
        let same = last.as_ref().is_some_and(|last| {
            last.differences.iter().map(identity).eq(found.iter().map(identity))
        });
        // Rows without a key may be found again because there are more of them.
        let again: &[_] = if seen.keyless && !same { &[] } else { &found };
        repaired.settle(last.take(), again);
        if same {
            repaired.after = seen;
            return Ok(repaired);
        }
        let held = write(&at, name, &found).await?;
        last = Some(Written { differences: found, held });
    }
    (_, repaired.after) = look(cuts, false, name, tell).await?;
    repaired.settle(last, &repaired.after.differences.clone());
    Ok(repaired)
}

/// Compares the table at a cut, which is returned with what was found.
async fn look(cuts: &dyn Cut, hold: bool, name: &str, tell: &Tell) -> Result<(AtCut, Report)> {
    let mut tries = 0;
    loop {
        let at = cuts.cut(hold).await?;
        match one(&at, name, tell).await {
            Err(error) if is_unsettled(&error) && tries < TRIES => tries += 1,
            Err(error) if is_unsettled(&error) => {
                let report = Report::of(&at, name);
                return Ok((at, Report { error: Some(error.message().to_owned()), ..report }));
            }
            found => return found.map(|report| (at, report)),
        }
    }
}

/// How rows are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Changed where they are.
    There,
    /// Rows with other values are deleted first and inserted anew: they may exchange unique values.
    Anew,
    /// Each behind a savepoint; what PostgreSQL refuses goes to the quarantine.
    OneByOne,
}

/// Writes the rows in one transaction at the cut's position; those that PostgreSQL refused.
async fn write(at: &AtCut, name: &str, differences: &[Difference]) -> Result<HashSet<usize>> {
    let relation = at.catalog.relation(name).ok_or_else(|| Error::internal("a table is gone"))?;
    let control = Control::connect(&at.connector).await?;
    let actual = actual_columns(&control, relation).await?;
    let projection = Projection::over(relation, &actual);
    let mut way = Way::There;
    loop {
        let replica = begin(at, &control).await?;
        let done = async {
            let held = rows(at, &control, &projection, differences, way, replica).await?;
            control.batch("COMMIT").await.map(|()| held)
        };
        let error = match done.await {
            Ok(held) => return Ok(held),
            Err(error) => error,
        };
        if control.is_closed() {
            return Err(error);
        }
        control.batch("ROLLBACK").await?;
        way = match way {
            // Rows that exchange unique values must all go before one of them can come. Only
            // where no foreign key acts on the deletion.
            Way::There if error.sqlstate() == state::UNIQUE_VIOLATION && replica => Way::Anew,
            Way::There | Way::Anew if refuses_a_row(&error) => Way::OneByOne,
            _ => return Err(error),
        };
    }
}

/// Whether PostgreSQL refuses a row, and not everything that is sent.
pub(super) fn refuses_a_row(error: &Error) -> bool {
    matches!(error.sqlstate().class(), "22" | "23" | "54")
}

/// Opens the transaction, proves the position and that SQLite still is primary, and keeps both
/// (a decision updates the same row); whether triggers and foreign
/// keys are off.
pub(super) async fn begin(at: &AtCut, control: &Control) -> Result<bool> {
    control.batch("BEGIN; SET LOCAL lock_timeout = '10s'").await?;
    let rows = control.rows("SELECT position FROM crossfade.state FOR UPDATE").await?;
    let position = rows.first().map(|row| row.get::<_, i64>(0));
    let decided = "SELECT 1 FROM crossfade.epochs e WHERE record = 'decided' \
                   AND epoch = (SELECT max(epoch) FROM crossfade.epochs)";
    let decided = !control.rows(decided).await?.is_empty();
    if decided || position.and_then(|p| u64::try_from(p).ok()) != Some(at.position.0) {
        control.batch("ROLLBACK").await?;
        return Err(Error::shadow(
            state::OBJECT_NOT_IN_PREREQUISITE_STATE,
            "the applier has moved on while rows were read for repair",
        )
        .retryable());
    }
    control.batch("SAVEPOINT crossfade_role").await?;
    let replica = control.batch("SET LOCAL session_replication_role = replica").await.is_ok();
    if !replica {
        control.batch("ROLLBACK TO crossfade_role; SET CONSTRAINTS ALL DEFERRED").await?;
    }
    Ok(replica)
}

/// Deletes, then writes; the rows that PostgreSQL refused.
///
/// No unique index of PostgreSQL is relied on: it may lack the key, or hold it more than once.
async fn rows(
    at: &AtCut,
    control: &Control,
    projection: &Projection,
    differences: &[Difference],
    way: Way,
    replica: bool,
) -> Result<HashSet<usize>> {
    let texts = Texts::new(projection);
    let anew = way == Way::Anew || (way == Way::OneByOne && replica);
    let gone = |d: &&Difference| {
        d.kind == Kind::Extra
            || (d.kind == Kind::Value && (anew || d.wanted.as_ref().is_some_and(|w| w.left_out)))
    };
    for difference in differences.iter().filter(gone) {
        let Some(row) = &difference.there else { continue };
        run(control, &texts.delete, &[&texts.identity], projection, row).await?;
    }
    let mut held = HashMap::new();
    for (n, difference) in differences.iter().enumerate() {
        let Some(wanted) = difference.wanted.as_ref().filter(|w| !w.left_out) else { continue };
        let stays = difference.kind != Kind::Missing && !gone(&difference);
        let row = &wanted.values;
        if way != Way::OneByOne {
            put(control, &texts, projection, row, stays).await?;
            continue;
        }
        control.batch("SAVEPOINT crossfade_row").await?;
        match put(control, &texts, projection, row, stays).await {
            Ok(()) => control.batch("RELEASE crossfade_row").await?,
            Err(error) if refuses_a_row(&error) => {
                control.batch("ROLLBACK TO crossfade_row; RELEASE crossfade_row").await?;
                if let Some(row) = difference.there.as_ref().filter(|_| stays) {
                    run(control, &texts.delete, &[&texts.identity], projection, row).await?;
                }
                held.insert(n, error);
            }
            Err(error) => return Err(error),
        }
    }
    let named = differences.iter().filter(|d| !d.name.is_empty());
    let keys: Vec<String> = named.map(|d| d.name.clone()).collect();
    let entries = differences.iter().enumerate();
    let entries: Vec<_> = entries.flat_map(|(n, d)| entries_of(d, held.get(&n))).collect();
    let table = &projection.relation.name;
    quarantine::renew_rows(control, at.position, table, &keys, &entries).await?;
    Ok(held.into_keys().collect())
}

/// Writes one row; with `stays` in the place of the one that is there under its key.
pub(super) async fn put(
    control: &Control,
    texts: &Texts,
    projection: &Projection,
    row: &[Datum],
    stays: bool,
) -> Result<()> {
    let written = projection.written();
    if projection.key.is_some() && stays {
        // Of rows with one key one stays.
        run(control, &texts.thin, &[&texts.identity, &texts.identity], projection, row).await?;
        let both: [&[usize]; 2] = [&written, &texts.identity];
        if run(control, &texts.update, &both, projection, row).await? > 0 {
            return Ok(());
        }
    }
    run(control, &texts.insert, &[&written], projection, row).await.map(drop)
}

/// A row's entries for the quarantine; all of it where PostgreSQL refused it.
fn entries_of(difference: &Difference, refused: Option<&Error>) -> Vec<Entry> {
    let Some(error) = refused else { return difference.entries.clone() };
    let mut entries = difference.refused.clone();
    for entry in entries.iter_mut().filter(|e| e.column == quarantine::ROW) {
        entry.reason = format!("PostgreSQL refuses the row: {}", error.message());
    }
    entries
}

/// Runs a statement whose parameters are the values of these columns, one list after the other.
async fn run(
    control: &Control,
    sql: &str,
    columns: &[&[usize]],
    projection: &Projection,
    row: &[Datum],
) -> Result<u64> {
    let columns = || columns.iter().flat_map(|list| list.iter().copied());
    let types: Vec<Type> = columns().map(|i| projection.columns[i].ty).collect();
    let params = columns()
        .zip(&types)
        .map(|(i, ty)| Binary::of(&row[i], *ty))
        .collect::<Result<Vec<_>>>()?;
    let pg_types: Vec<PgType> =
        types.iter().map(|t| pg_type(*t).unwrap_or(PgType::UNKNOWN)).collect();
    let client = control.client();
    let statement = client.prepare_typed(sql, &pg_types).await.map_err(|e| control.error(&e))?;
    let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(|p| p as _).collect();
    client.execute(&statement, &params).await.map_err(|e| control.error(&e))
}

/// The statements of one table.
pub(super) struct Texts {
    insert: String,
    /// Only with a key: the row's values, then its key.
    update: String,
    /// Only with a key: all rows of a key but one; the key twice.
    thin: String,
    delete: String,
    /// Only with a key: the rows of it.
    there: String,
    /// Columns that find a row.
    identity: Vec<usize>,
}

impl Texts {
    /// Whether PostgreSQL has a row under this one's key.
    pub(super) async fn is_there(
        &self,
        control: &Control,
        projection: &Projection,
        row: &[Datum],
    ) -> Result<bool> {
        Ok(run(control, &self.there, &[&self.identity], projection, row).await? > 0)
    }

    pub(super) fn new(projection: &Projection) -> Self {
        let table = table_name(&projection.relation);
        let written = projection.written();
        let name = |i: &usize| quoted(&projection.columns[*i].name);
        let names: Vec<String> = written.iter().map(name).collect();
        let numbers: Vec<String> = (1..=written.len()).map(|n| format!("${n}")).collect();
        let insert = format!(
            "INSERT INTO {table} ({}) OVERRIDING SYSTEM VALUE VALUES ({})",
            names.join(", "),
            numbers.join(", ")
        );
        let identity = projection.key.clone().unwrap_or_else(|| written.clone());
        let from = |first: usize| {
            let terms: Vec<String> = identity
                .iter()
                .enumerate()
                .map(|(n, i)| {
                    // A key is never NULL, and only `=` finds its index.
                    match &projection.key {
                        Some(_) => projection.columns[*i].key_term(first + n),
                        None => holds(&projection.columns[*i], first + n),
                    }
                })
                .collect();
            terms.join(" AND ")
        };
        let sets: Vec<String> =
            names.iter().enumerate().map(|(n, name)| format!("{name} = ${}", n + 1)).collect();
        let update =
            format!("UPDATE {table} SET {} WHERE {}", sets.join(", "), from(written.len() + 1));
        let one = projection.one_of(&table, &from(identity.len() + 1));
        let thin = format!("DELETE FROM {table} WHERE {} AND NOT ({one})", from(1));
        let delete = match projection.key {
            Some(_) => format!("DELETE FROM {table} WHERE {}", from(1)),
            // Of equal rows exactly one.
            None => format!("DELETE FROM {table} WHERE {}", projection.one_of(&table, &from(1))),
        };
        let there = format!("SELECT FROM {table} WHERE {} LIMIT 1", from(1));
        Self { insert, update, thin, delete, there, identity }
    }
}
