//! Backfill: the schema and every row, copied at one cut.
//!
//! Owns the way from an empty PostgreSQL to one that holds the primary's rows of one
//! position, from where the applier goes on. It must never touch rows it did not write, and
//! never call a table copied that is not. Start at [`run`].
//!
//! A restart after any crash goes on: a table's rows, its quarantine and its mark in
//! `crossfade.backfill` are one transaction, and `crossfade.state` names a position only when
//! every table stands at it. What is copied anew loses its mark before anything else.

mod copy;
mod cut;
pub mod differs;
mod doubt;
mod empty;
mod finish;
mod gentle;
mod order;
mod orphans;
pub(crate) mod pace;
mod parallel;
pub mod schema;
pub(crate) mod source;
mod tables;
pub(crate) mod told;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use crate::backend::Position;
use crate::backend::postgres::apply::{quoted, table_name};
use crate::backend::postgres::columns::actual_columns;
use crate::backend::postgres::control::Control;
use crate::backend::postgres::copied::{self, Copied};
use crate::backend::postgres::project::{Projected, Projection};
use crate::backend::postgres::quarantine;
use crate::backend::postgres::{outward, picture, schemas, triggers};
use crate::backend::sqlite::{Connection, blocking, is_internal};
use crate::config;
use crate::count::counted;
use crate::divergence::Store;
use crate::error::{Error, Result, state};
use crate::failpoint;
use crate::journal::{Head, Journal};
use crate::mirror::Limit;
use crate::name;
use crate::schema::{Relation, RelationKind};
use crate::value::CellRef;

use cut::Snapshot;
pub use parallel::Workers;
pub(crate) use parallel::split;
use schema::{Finding, Missing, Plan, TablePlan};
pub use tables::partitions;
use tables::{Standing, Tables};
use told::step;
pub use told::{Rows, Tell, Told};

/// What a backfill works with. No applier may run meanwhile.
pub struct Context {
    /// The file's journal.
    pub journal: Journal,
    /// A control connection of its own.
    pub control: Control,
    /// Epoch under which records are written when a lineage begins.
    pub epoch: u64,
    /// Where what was verified before is forgotten, and what is in quarantine is noted.
    pub divergences: Option<Arc<Store>>,
    /// `[tables.NAME]`.
    pub decided: Arc<BTreeMap<String, config::Table>>,
    /// SQLite does not hold rows to foreign keys.
    pub foreign_keys_off: bool,
    /// Rows that are read in a second at most.
    pub limit: Limit,
    /// How much is copied at once.
    pub workers: Workers,
    /// An earlier copy is gone on with: what it has copied is kept, unless something says that
    /// PostgreSQL's rows are others.
    pub resume: bool,
}

/// How one table went.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Table.
    pub table: String,
    /// Rows read from SQLite.
    pub read: u64,
    /// Rows written to PostgreSQL.
    pub written: u64,
    /// Rows left out, in quarantine.
    pub left_out: u64,
    /// Single values in quarantine; their rows are there with NULL.
    pub nulled: u64,
    /// Values stored in another form and changed as the configuration says, by column.
    pub coerced: BTreeMap<String, u64>,
    /// Bytes sent.
    pub bytes: u64,
    /// Seconds taken.
    pub seconds: f64,
    /// Copied by an earlier run and unchanged since.
    pub kept: bool,
    /// Why it was not copied.
    pub error: Option<String>,
}

impl Report {
    fn new(table: &str) -> Self {
        Self { table: table.to_owned(), ..Self::default() }
    }

    /// The table's line when it is done.
    #[allow(clippy::cast_precision_loss)]
    fn line(&self) -> String {
        if let Some(error) = &self.error {
            return format!("not copied: {error}");
        }
        let rate = self.written as f64 / self.seconds.max(0.001);
        let megabytes = self.bytes as f64 / f64::from(1 << 20);
        let coerced = match self.coerced.is_empty() {
            true => String::new(),
            false => {
                format!(" {} coerced,", counted(self.coerced.values().sum::<u64>(), "value"))
            }
        };
        format!(
            "{}, {} left out, {} in quarantine,{coerced} {megabytes:.1} MB, {rate:.0} rows/s",
            counted(self.written, "row"),
            self.left_out,
            counted(self.nulled, "value")
        )
    }

    /// Takes in what a row's values were changed from.
    fn coerced(&mut self, projection: &Projection, projected: &Projected) {
        for column in &projected.coerced {
            *self.coerced.entry(projection.columns[*column].name.clone()).or_default() += 1;
        }
    }
}

/// How a backfill went.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Every table, in the order they were copied.
    pub tables: Vec<Report>,
    /// What was not carried over as it is.
    pub findings: Vec<Finding>,
    /// The cut.
    pub head: Head,
    /// Every table stands at the cut (or is refused for good): the applier may start.
    pub complete: bool,
    /// Seconds taken.
    pub seconds: f64,
}

/// What one run shares.
struct Env<'a> {
    control: &'a Control,
    cut: &'a Snapshot,
    copied: BTreeMap<String, Copied>,
    progress: &'a Tell,
    /// Triggers and foreign keys can be switched off for a transaction.
    replica: bool,
    decided: &'a BTreeMap<String, config::Table>,
    limit: &'a Limit,
    /// Of the file whose clients are let first.
    journal: &'a Journal,
    /// Tables that their own copy empties.
    within: empty::Within,
}

impl Env<'_> {
    /// Gives up where the journal has ended meanwhile: the applier could never go on from the cut.
    fn goes_on(&self) -> Result<()> {
        if self.journal.lineage() == Some(self.cut.lineage) {
            return Ok(());
        }
        Err(Error::primary(
            state::OBJECT_NOT_IN_PREREQUISITE_STATE,
            "the journal became too large while PostgreSQL was being copied",
        )
        .hint("Raise [mirror] journal_bytes_max, or set when_full = \"backpressure\"; then copy again."))
    }

    fn made(&self, table: &str) -> bool {
        self.copied.get(table).is_some_and(|c| c.made)
    }

    /// Rows are copied as they are: nothing may act on them.
    async fn quiet(&self) -> Result<()> {
        match self.replica {
            true => self.control.batch("SET LOCAL session_replication_role = replica").await,
            false => Ok(()),
        }
    }

    /// Switches off, until PostgreSQL is primary, the triggers that would act all the same.
    async fn silence(&self) -> Result<()> {
        let tables: Vec<&str> = self.cut.catalog.relations.values().map(|r| &*r.name).collect();
        let acting = triggers::acting(self.control, &tables, self.replica).await?;
        if acting.is_empty() {
            return Ok(());
        }
        self.control.batch("BEGIN").await?;
        match triggers::switch_off(self.control, &acting).await {
            Ok(()) => self.control.batch("COMMIT").await,
            Err(error) => {
                if !self.control.is_closed() {
                    self.control.batch("ROLLBACK").await?;
                }
                Err(error)
            }
        }
    }
}

/// Copies every table, or the given ones ahead of the others, and gives the applier the
/// position to go on from. With [`Context::resume`] it goes on where an earlier run ended,
/// otherwise it copies anew.
///
/// # Errors
/// 42P01 for a table that is not there, 55000 when PostgreSQL holds rows or tables that are
/// not ours or is (or was) primary; what either side said.
pub async fn run(context: &Context, tables: &[String], progress: &Tell) -> Result<Summary> {
    let began = Instant::now();
    let control = &context.control;
    control.ensure_schema().await?;
    copied::ensure(control).await?;
    not_primary(control).await?;
    gentle::writes(control).await?;
    if context.journal.lineage().is_none() {
        step(progress, "attaching", "a new history begins");
        context.journal.attach(context.epoch).await?;
    }
    let count = context.workers.count;
    let more = if count > 1 { count } else { 0 };
    // One that comes between this and the cut counts as later: its table is only copied twice.
    let foreign = context.divergences.as_ref().map_or(0, |store| store.foreign_total());
    let (cut, snapshots) = Snapshot::take(&context.journal, more).await?;
    let tables = &keys(&cut, tables)?;
    let mut options = options(control, &context.decided).await?;
    options.foreign_keys_off = context.foreign_keys_off;
    options.stored = blocking(|| stored(&cut))?;
    let mut plan = schema::plan(&cut.catalog, &options);
    plan.findings.extend(blocking(|| unserved(&cut))?);
    let mut copied = copied::load(control).await?;
    let is_wanted = |t: &&TablePlan| tables.is_empty() || tables.contains(&t.name);
    let wanted: Vec<&TablePlan> = plan.tables.iter().filter(is_wanted).collect();
    let standing = tables::look(control, &cut.catalog, &wanted, &copied).await?;
    refuse_rows(&cut, &standing)?;
    let held = kept(&cut, &copied);
    let doubts = doubt::tables(context, &cut, &wanted, &copied, foreign).await?;
    doubt::tell(&doubts, progress);
    // From here on something is written.
    forget(context, &doubts).await?;
    copied
        .iter_mut()
        .filter(|(n, _)| doubts.contains_key(*n))
        .for_each(|(_, c)| c.complete = false);
    if let Some(store) = context.divergences.as_ref().filter(|_| tables.is_empty()) {
        store.copies_foreign(foreign);
    }
    // They come back when the rows are in.
    outward::drop_all(control).await?;
    let mut findings = plan.findings.clone();
    let mut reports = Vec::new();
    prepare(control, &cut, &plan, &standing, &mut copied, &mut findings, &mut reports).await?;
    // A table that was made anew, or is doubted, holds nothing.
    let complete = |name: &&String| copied.get(*name).is_some_and(|c| c.complete);
    let mut kept: Vec<String> = held.iter().filter(complete).cloned().collect();
    let replica = may_be_replica(control).await?;
    let (decided, limit) = (&context.decided, &context.limit);
    let journal = &context.journal;
    let within = empty::Within::new();
    let mut env =
        Env { control, cut: &cut, copied, progress, replica, decided, limit, journal, within };
    // Where foreign keys act while rows come, parents come first and a table's rows together.
    let snapshots = match replica || !parallel::has_foreign_keys(&env).await? {
        true => snapshots,
        false => Vec::new(),
    };
    let takes = |t: &&TablePlan| env.copied.get(&t.name).is_some_and(|c| c.refused.is_none());
    let mut wanted: Vec<&str> = wanted.into_iter().filter(takes).map(|t| &*t.name).collect();
    env.silence().await?;
    let anew = |kept: &[String], wanted: &[&str]| -> Vec<String> {
        let names = wanted.iter().map(|name| (*name).to_owned());
        names.filter(|name| !kept.contains(name)).collect()
    };
    let emptied = empty::tables(&env, &plan, &anew(&kept, &wanted)).await?;
    for table in &emptied.more {
        step(progress, format!("copying {table}"), "anew: its rows refer to tables that are");
    }
    kept.retain(|name| !emptied.more.contains(name));
    let in_order = plan.tables.iter().map(|t| &*t.name);
    let stays = |name: &&str| wanted.contains(name) || emptied.more.iter().any(|m| m == name);
    wanted = in_order.filter(stays).filter(|n| !emptied.refused.contains_key(*n)).collect();
    wanted = order::by_parents(&env, wanted).await?;
    env.within = emptied.within;
    for (table, why) in emptied.refused {
        if held.contains(&table) && doubts.get(&table).is_some_and(Option::is_none) {
            // Nothing speaks against the copy that is there.
            copied::keep(control, &table).await?;
            let rows = env.copied.get(&table).map_or(0, |c| c.rows);
            step(progress, format!("kept {table}"), why);
            reports.push(Report { kept: true, written: rows, ..Report::new(&table) });
            continue;
        }
        let report = Report { error: Some(why), ..Report::new(&table) };
        step(progress, format!("copied {table}"), report.line());
        reports.push(report);
    }
    let anew = anew(&kept, &wanted);
    let asked = journal.sqlite().asked();
    for name in wanted.iter().filter(|n| snapshots.is_empty() || !anew.iter().any(|a| a == *n)) {
        reports.push(one(&env, name, !anew.iter().any(|a| a == name)).await?);
    }
    if !snapshots.is_empty() {
        reports.extend(parallel::tables(&env, &anew, context.workers, snapshots).await?);
    }
    if journal.sqlite().asked() != asked {
        gentle::builds(control).await?;
    }
    finish(context, env, &plan, reports, findings, began).await
}

/// The keys of tables that a person has named.
fn keys(cut: &Snapshot, tables: &[String]) -> Result<Vec<String>> {
    let key = |shown: &String| {
        cut.catalog.key_of_shown(shown).map(str::to_owned).ok_or_else(|| {
            let message = format!("relation \"{shown}\" does not exist");
            Error::client(state::UNDEFINED_TABLE, message)
        })
    };
    tables.iter().map(key).collect()
}

/// Copies one table; an error about the table itself is in the report.
async fn one(env: &Env<'_>, name: &str, kept: bool) -> Result<Report> {
    let mut report = Report::new(name);
    let Some(relation) = env.cut.catalog.relation(name) else { return Ok(report) };
    if kept {
        report.kept = true;
        report.written = env.copied.get(name).map_or(0, |c| c.rows);
        return Ok(report);
    }
    env.goes_on()?;
    step(env.progress, format!("copying {name}"), "");
    let actual = actual_columns(env.control, relation).await?;
    let projection = Projection::over(relation, &actual);
    if let Err(error) = copy::table(env, &projection, &mut report).await {
        if env.control.is_closed() {
            return Err(error);
        }
        report = Report::new(name);
        report.error = Some(error.message().to_owned());
    }
    let text = format!("copied {name}");
    step(env.progress, text, report.line());
    Ok(report)
}

/// Keys, indexes, constraints, sequences, views; then the position, if every table is there.
async fn finish(
    context: &Context,
    env: Env<'_>,
    plan: &Plan,
    reports: Vec<Report>,
    mut findings: Vec<Finding>,
    began: Instant,
) -> Result<Summary> {
    let (control, head) = (env.control, env.cut.head);
    let values = finish::values(env.cut)?;
    let done: Vec<String> =
        reports.iter().filter(|r| r.error.is_none()).map(|r| r.table.clone()).collect();
    let whole = kept(env.cut, &copied::load(control).await?);
    findings.extend(finish::steps(&env, plan, &done, &whole).await?);
    for name in &done {
        findings.extend(orphans::look(&env, name).await?);
    }
    findings.extend(finish::sequences(&env, &values).await?);
    failpoint!("backfill.keys_built");
    let kept = kept(env.cut, &copied::load(control).await?);
    let complete = plan.tables.iter().all(|t| {
        kept.contains(&t.name) || env.copied.get(&t.name).is_some_and(|c| c.refused.is_some())
    });
    env.goes_on()?;
    if complete {
        // PostgreSQL must never hold what the primary could still lose.
        context.journal.sqlite().wait_synced(head.position).await?;
        failpoint!("backfill.before_state");
        arrive(control, env.cut).await?;
        failpoint!("backfill.after_state");
    }
    if let Some(store) = &context.divergences {
        note_missing(&env, store, &findings, &done);
        store.note_quarantine(control, &store.undecided(), head.position.0).await?;
        if complete {
            store.copied_anew();
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    Ok(Summary { tables: reports, findings, head, complete, seconds })
}

/// What PostgreSQL goes without needs a decision.
fn note_missing(env: &Env<'_>, store: &Store, findings: &[Finding], done: &[String]) {
    let is_table =
        |name: &str| env.cut.catalog.relation(name).is_some_and(|r| r.kind == RelationKind::Table);
    // What the application's own migrations leave off is their business, but for what tells rows
    // apart.
    let tells_apart = |object: &str| object.starts_with("unique") || object.starts_with("primary");
    let ours = |f: &&Finding| {
        let made = !is_table(&f.table) || env.made(&f.table);
        f.missing == Missing::Weaker && (made || tells_apart(&f.object))
    };
    let weaker = findings.iter().filter(ours).map(|f| crate::divergence::Missing {
        table: f.table.clone(),
        object: f.object.clone(),
        message: f.message.clone(),
    });
    let position = env.cut.head.position.0;
    store.note_missing(&weaker.collect::<Vec<_>>(), position, |table| {
        done.iter().any(|name| name == table) || !is_table(table)
    });
}

/// The applier goes on from here.
async fn arrive(control: &Control, cut: &Snapshot) -> Result<()> {
    let position = i64::try_from(cut.head.position.0).unwrap_or(i64::MAX);
    control
        .client()
        .execute(
            "UPDATE crossfade.state SET lineage = $1, position = $2, hash = $3, \
             updated_at = now()",
            &[&&cut.lineage.0[..], &position, &&cut.head.hash.0[..]],
        )
        .await
        .map(drop)
        .map_err(|e| control.error(&e))
}

/// While tables stand at different positions PostgreSQL has none; and what is not gone on with is
/// not complete any more, whatever ends this run.
async fn forget(context: &Context, doubts: &doubt::Doubts) -> Result<()> {
    let names: Vec<&String> = doubts.keys().collect();
    let sql = "WITH state AS (UPDATE crossfade.state SET lineage = NULL, position = 0, \
               hash = NULL WHERE lineage IS NOT NULL) \
               UPDATE crossfade.backfill SET complete = false WHERE table_name = ANY ($1)";
    let done = context.control.client().execute(sql, &[&names]).await;
    done.map_err(|e| context.control.error(&e))?;
    picture::forget(&context.control).await?;
    if let Some(store) = &context.divergences {
        store.verify_reset()?;
    }
    Ok(())
}

/// A PostgreSQL that serves, or has served and was not given back, is not overwritten.
async fn not_primary(control: &Control) -> Result<()> {
    let sql = "SELECT record FROM crossfade.epochs WHERE record <> 'abandoned' \
               ORDER BY epoch DESC LIMIT 1";
    let rows = control.rows(sql).await?;
    match rows.first() {
        Some(row) if row.get::<_, &str>(0) == "decided" => Err(Error::shadow(
            state::OBJECT_NOT_IN_PREREQUISITE_STATE,
            "PostgreSQL was made primary and never given back",
        )
        .hint("Its rows may be newer than those of the file; they are not overwritten.")),
        _ => Ok(()),
    }
}

/// Tables whose copy is that of the cut: of this lineage, complete, unchanged since.
fn kept(cut: &Snapshot, copied: &BTreeMap<String, Copied>) -> Vec<String> {
    let mut changes: BTreeMap<Position, Option<_>> = BTreeMap::new();
    let mut found = Vec::new();
    for (name, copied) in copied {
        let Some(relation) = cut.catalog.relation(name) else { continue };
        let of_lineage = copied.lineage.as_deref() == Some(&cut.lineage.0[..]);
        let other = copied.shape.as_ref().is_some_and(|shape| *shape != copied::shape(relation));
        if other
            || !copied.complete
            || !copied.is_ours()
            || !of_lineage
            || copied.position > cut.head.position
        {
            continue;
        }
        let changed =
            changes.entry(copied.position).or_insert_with(|| cut.changed_since(copied.position));
        let same = changed
            .as_ref()
            .is_some_and(|c| !c.contains(&relation.sqlite_name.to_ascii_lowercase()));
        if same {
            found.push(name.clone());
        }
    }
    found
}

async fn options(
    control: &Control,
    decided: &BTreeMap<String, config::Table>,
) -> Result<schema::Options> {
    let sql = "SELECT datcollate FROM pg_database WHERE datname = current_database()";
    let rows = control.rows(sql).await?;
    let bytewise =
        rows.first().is_some_and(|row| matches!(row.get::<_, &str>(0), "C" | "POSIX" | "C.UTF-8"));
    Ok(schema::Options {
        collate_c: !bytewise,
        tables: decided.clone(),
        ..schema::Options::default()
    })
}

async fn may_be_replica(control: &Control) -> Result<bool> {
    let tried =
        control.batch("BEGIN; SET LOCAL session_replication_role = replica; ROLLBACK").await;
    match tried {
        Ok(()) => Ok(true),
        Err(error) if control.is_closed() => Err(error),
        Err(_) => control.batch("ROLLBACK").await.map(|()| false),
    }
}

/// Tables and free sequences, before the rows. A table that PostgreSQL cannot have is
/// refused: its rows are marked in the quarantine.
async fn prepare(
    control: &Control,
    cut: &Snapshot,
    plan: &Plan,
    standing: &BTreeMap<String, Standing>,
    copied: &mut BTreeMap<String, Copied>,
    findings: &mut Vec<Finding>,
    reports: &mut Vec<Report>,
) -> Result<()> {
    for sql in &plan.schemas {
        control.batch(sql).await?;
    }
    schemas::keep(control, &cut.catalog).await?;
    for sql in &plan.extensions {
        if let Err(error) = control.batch(sql).await {
            if control.is_closed() {
                return Err(error);
            }
            let message = format!("{sql} is refused by PostgreSQL: {}", error.message());
            let (table, object) = (String::new(), "extension".to_owned());
            let missing = Missing::Object;
            findings.push(Finding { table, object, message, blocking: false, missing });
        }
    }
    for (name, sql) in &plan.types {
        let there = "SELECT to_regtype($1) IS NOT NULL";
        let rows = control
            .client()
            .query(there, &[&name::quoted(name)])
            .await
            .map_err(|e| control.error(&e))?;
        if !rows.first().is_some_and(|row| row.get::<_, bool>(0)) {
            control.batch(sql).await?;
        }
    }
    for (name, sql) in &plan.sequences {
        let there = "SELECT to_regclass($1) IS NOT NULL";
        let rows = control
            .client()
            .query(there, &[&name::quoted(name)])
            .await
            .map_err(|e| control.error(&e))?;
        if !rows.first().is_some_and(|row| row.get::<_, bool>(0)) {
            control.batch(sql).await?;
        }
    }
    let sqlite = &cut.connection;
    let copied_before = std::mem::take(copied);
    let mut tables = Tables {
        control,
        sqlite,
        catalog: &cut.catalog,
        copied: copied_before,
        findings: Vec::new(),
    };
    for table in &plan.tables {
        let found = cut.catalog.relation(&table.name).zip(standing.get(&table.name));
        let Some((relation, standing)) = found else { continue };
        let relid = tables.copied.get(&table.name).and_then(|c| c.relid);
        if let Err(error) = tables.ready(relation, table, standing).await {
            if control.is_closed() {
                return Err(error);
            }
            let advice = match renamed(control, relid).await? {
                Some(now) => format!(
                    "the table that Crossfade made there is {now} now: give it its name back, or \
                     drop it"
                ),
                None => "made there by hand it would be used".to_owned(),
            };
            let message = format!("PostgreSQL refuses the table: {}; {advice}", error.message());
            let (table, object) = (table.name.clone(), String::new());
            let missing = Missing::default();
            tables.findings.push(Finding { table, object, message, blocking: true, missing });
        }
    }
    *copied = tables.copied;
    findings.append(&mut tables.findings);
    for finding in findings.iter().filter(|f| f.blocking && f.object.is_empty()) {
        reports.push(refuse(control, cut, finding, copied).await?);
    }
    Ok(())
}

/// What a table that we made is called now.
async fn renamed(control: &Control, relid: Option<u32>) -> Result<Option<String>> {
    let sql = "SELECT oid::regclass::text FROM pg_class WHERE oid = $1";
    let row = control.client().query_opt(sql, &[&relid]).await;
    Ok(row.map_err(|e| control.error(&e))?.map(|row| row.get(0)))
}

/// Ends the run, before anything is written, where tables hold rows that are not ours.
fn refuse_rows(cut: &Snapshot, standing: &BTreeMap<String, Standing>) -> Result<()> {
    let full = standing.iter().filter(|(_, standing)| matches!(standing, Standing::Full));
    let names = full.filter_map(|(name, _)| cut.catalog.relation(name));
    let names: Vec<String> = names.map(|relation| table_name(relation)).collect();
    if names.is_empty() { Ok(()) } else { Err(have_rows(&names)) }
}

/// Rows that are not ours are never touched: they must go first.
fn have_rows(tables: &[String]) -> Error {
    let named = tables.join(", ");
    let message = match tables.len() {
        1 => format!("table {named} on PostgreSQL has rows already"),
        n => format!("{n} tables on PostgreSQL have rows already: {named}"),
    };
    Error::shadow(state::OBJECT_NOT_IN_PREREQUISITE_STATE, message).hint(format!(
        "Rows that Crossfade did not write are never touched. Where migrations wrote them and the \
         SQLite file has its own, empty the tables: TRUNCATE {named}. Else give Crossfade another \
         database."
    ))
}

/// Marks every row of a table that PostgreSQL cannot have.
async fn refuse(
    control: &Control,
    cut: &Snapshot,
    finding: &Finding,
    copied: &mut BTreeMap<String, Copied>,
) -> Result<Report> {
    let mut report = Report::new(&finding.table);
    report.error = Some(finding.message.clone());
    let name = cut.catalog.relation(&finding.table).map_or(&finding.table, |r| &r.sqlite_name);
    let sql = format!("SELECT count(*) FROM \"public\".{}", quoted(name));
    // What SQLite cannot read it cannot count either.
    let rows = blocking(|| cut.connection.query_integer(&sql, &[])).ok().flatten();
    report.read = rows.and_then(|rows| u64::try_from(rows).ok()).unwrap_or(0);
    report.left_out = report.read;
    quarantine::clear(control, &finding.table).await?;
    let entry = quarantine::Entry {
        table: finding.table.clone(),
        key: "*".to_owned(),
        column: quarantine::ROW.to_owned(),
        class: "table",
        bytes: None,
        reason: match rows {
            Some(rows) => format!("{}: {}", counted(rows, "row"), finding.message),
            None => format!("rows that SQLite cannot count: {}", finding.message),
        },
    };
    quarantine::store(control, cut.head.position, &[entry]).await?;
    // Whose table it is does not change by that; one that has another name now may get it back.
    let before = copied.get(&finding.table).cloned().unwrap_or_default();
    let mark = Copied {
        refused: Some(finding.message.clone()),
        made: before.made,
        relid: before.relid,
        stands: before.stands,
        ..Copied::default()
    };
    copied::save(control, &finding.table, &mark).await?;
    copied.insert(finding.table.clone(), mark);
    Ok(report)
}

/// Rows of a table of the file.
pub(crate) fn count(connection: &Connection, sqlite_name: &str) -> Result<u64> {
    let sql = format!("SELECT count(*) FROM \"public\".{}", quoted(sqlite_name));
    let rows = blocking(|| connection.query_integer(&sql, &[]))?.unwrap_or(0);
    Ok(u64::try_from(rows).unwrap_or(0))
}

/// The file's own texts.
fn stored(cut: &Snapshot) -> Result<schema::Stored> {
    let sql = "SELECT type, name, sql FROM \"public\".sqlite_schema \
               WHERE sql IS NOT NULL ORDER BY rowid";
    let mut statement = cut.connection.prepare(sql)?;
    let mut entries = Vec::new();
    while statement.step()? {
        let text = |i: usize| match statement.column(i) {
            CellRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
            _ => String::new(),
        };
        entries.push([text(0), text(1), text(2)]);
    }
    Ok(schema::Stored::of(entries.iter().map(|[k, n, s]| (k.as_str(), n.as_str(), s.as_str()))))
}

/// Tables of the file that the catalog has not: they cannot be served, nor copied.
fn unserved(cut: &Snapshot) -> Result<Vec<Finding>> {
    let sql = "SELECT name, type FROM pragma_table_list WHERE schema = 'public' \
               AND type IN ('table', 'virtual', 'view') ORDER BY name";
    let mut statement = cut.connection.prepare(sql)?;
    let mut found = Vec::new();
    while statement.step()? {
        let (CellRef::Text(name), CellRef::Text(kind)) = (statement.column(0), statement.column(1))
        else {
            continue;
        };
        let name = String::from_utf8_lossy(name).into_owned();
        let served = |r: &Arc<Relation>| r.sqlite_name.eq_ignore_ascii_case(&name);
        if is_internal(&name) || cut.catalog.relations.values().any(served) {
            continue;
        }
        let (object, message) = match kind {
            b"virtual" => ("virtual table", "it is SQLite's own; its rows stay in the file"),
            b"view" => ("view", "SQLite itself cannot read it"),
            _ => ("", "the table cannot be served; its rows stay in the file"),
        };
        let blocking = object.is_empty();
        let (object, message) = (object.to_owned(), message.to_owned());
        let missing = if blocking { Missing::Nothing } else { Missing::Object };
        found.push(Finding { table: name, object, message, blocking, missing });
    }
    Ok(found)
}
