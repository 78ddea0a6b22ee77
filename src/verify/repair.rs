//! Repair: the primary's rows written where the shadow differs.
//!
//! Owns the writing: one transaction, at the position the rows were read at, while the
//! applier is held there. It must never write at another position. Start at [`repair`].

use metrics::counter;
use tokio_postgres::types::{ToSql, Type as PgType};

use super::cut::{AtCut, Cut};
use super::diff::{Difference, Kind};
use super::{Report, named, one, record};
use crate::backend::postgres::apply::{holds, pg_type, quoted, table_name};
use crate::backend::postgres::binary::Binary;
use crate::backend::postgres::columns::actual_columns;
use crate::backend::postgres::control::Control;
use crate::backend::postgres::project::Projection;
use crate::backend::postgres::quarantine;
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
        let repaired = table(cuts, &name, what.dry_run, progress).await?;
        let written = repaired.inserted + repaired.updated + repaired.deleted;
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
        drop(super::look_at_quarantine(cuts, store).await?);
    }
    Ok(done)
}

async fn table(cuts: &dyn Cut, name: &str, dry_run: bool, tell: &Tell) -> Result<Repaired> {
    let mut repaired = Repaired { table: name.to_owned(), ..Repaired::default() };
    let mut before = Vec::new();
    for _ in 0..ROUNDS_MAX {
        // A look without holding anybody up first: most tables are equal.
        let seen = {
            let at = cuts.cut(false).await?;
            one(&at, name, tell).await?
        };
        if dry_run || seen.differences.is_empty() || seen.error.is_some() {
            if dry_run {
                repaired.count(&seen.differences);
                repaired.differences.clone_from(&seen.differences);
            }
            repaired.after = seen;
            return Ok(repaired);
        }
        let at = cuts.cut(true).await?;
        let seen = one(&at, name, tell).await?;
        if seen.differences.is_empty() {
            continue;
        }
        // The same rows again: what was written did not help, as where PostgreSQL's key is another one.
        let found: Vec<_> = seen.differences.iter().map(|d| (d.kind, d.key.clone())).collect();
        if found == before {
            repaired.after = seen;
            return Ok(repaired);
        }
        before = found;
        write(&at, name, &seen.differences).await?;
        repaired.count(&seen.differences);
        counter!(names::REPAIRS).increment(seen.differences.len() as u64);
        repaired.differences.extend(seen.differences);
    }
    let at = cuts.cut(false).await?;
    repaired.after = one(&at, name, tell).await?;
    Ok(repaired)
}

/// Writes the rows in one transaction at the cut's position.
async fn write(at: &AtCut, name: &str, differences: &[Difference]) -> Result<()> {
    let relation = at.catalog.relation(name).ok_or_else(|| Error::internal("a table is gone"))?;
    let control = Control::connect(&at.connector).await?;
    let actual = actual_columns(&control, relation).await?;
    let projection = Projection::over(relation, &actual);
    let replica = begin(at, &control).await?;
    let first = rows(at, &control, &projection, differences, false).await;
    let written = match first {
        // Rows that exchange unique values must all go before one of them can come. Only
        // where no foreign key acts on the deletion.
        Err(error) if error.sqlstate() == state::UNIQUE_VIOLATION && replica => {
            control.batch("ROLLBACK").await?;
            begin(at, &control).await?;
            rows(at, &control, &projection, differences, true).await
        }
        other => other,
    };
    match written {
        Ok(()) => control.batch("COMMIT").await,
        Err(error) => {
            if !control.is_closed() {
                control.batch("ROLLBACK").await?;
            }
            Err(error)
        }
    }
}

/// Opens the transaction, proves the position and that SQLite still is primary, and keeps both
/// (a decision updates the same row); whether triggers and foreign
/// keys are off.
async fn begin(at: &AtCut, control: &Control) -> Result<bool> {
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

/// Deletes, then writes. With `anew` rows with other values are deleted and inserted.
///
/// No unique index of PostgreSQL is relied on: it may lack the key, or hold it more than once.
async fn rows(
    at: &AtCut,
    control: &Control,
    projection: &Projection,
    differences: &[Difference],
    anew: bool,
) -> Result<()> {
    let texts = Texts::new(projection);
    let keyed = projection.key.is_some();
    let gone = |d: &&Difference| {
        d.kind == Kind::Extra
            || (d.kind == Kind::Value && (anew || d.wanted.as_ref().is_some_and(|w| w.left_out)))
    };
    for difference in differences.iter().filter(gone) {
        let Some(row) = &difference.there else { continue };
        run(control, &texts.delete, &[&texts.identity], projection, row).await?;
    }
    let written = projection.written();
    for difference in differences {
        let Some(wanted) = difference.wanted.as_ref().filter(|w| !w.left_out) else { continue };
        let row = &wanted.values;
        if keyed && difference.kind != Kind::Missing && !gone(&difference) {
            // Of rows with one key one stays.
            run(control, &texts.thin, &[&texts.identity, &texts.identity], projection, row).await?;
            let both: [&[usize]; 2] = [&written, &texts.identity];
            if run(control, &texts.update, &both, projection, row).await? > 0 {
                continue;
            }
        }
        run(control, &texts.insert, &[&written], projection, row).await?;
    }
    let named = differences.iter().filter(|d| !d.name.is_empty());
    let keys: Vec<String> = named.map(|d| d.name.clone()).collect();
    quarantine::clear_rows(control, &projection.relation.name, &keys).await?;
    let entries: Vec<_> = differences.iter().flat_map(|d| d.entries.iter().cloned()).collect();
    quarantine::store(control, at.position, &entries).await
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
struct Texts {
    insert: String,
    /// Only with a key: the row's values, then its key.
    update: String,
    /// Only with a key: all rows of a key but one; the key twice.
    thin: String,
    delete: String,
    /// Columns that find a row.
    identity: Vec<usize>,
}

impl Texts {
    fn new(projection: &Projection) -> Self {
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
        Self { insert, update, thin, delete, identity }
    }
}
