//! Tables on PostgreSQL before the rows: made by us, or accepted as the application made
//! them.
//!
//! Owns that decision. It must never touch a table that is not ours: see `copied`. Start at [`look`],
//! which changes nothing; [`Tables::ready`] does what was found.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio_postgres::types::Type as PgType;

use super::differs::{self, Difference, Kind};
use super::schema::{Finding, Missing, Parts, Split, Step, TablePlan};
use crate::backend::postgres::always;
use crate::backend::postgres::apply::{pg_type, quoted, table_name};
use crate::backend::postgres::columns::There;
use crate::backend::postgres::control::Control;
use crate::backend::postgres::copied::{self, Copied};
use crate::backend::postgres::existing::{Existing, existing};
use crate::backend::postgres::project::Projection;
use crate::backend::sqlite::{Connection, blocking};
use crate::error::Result;
use crate::schema::{Catalog, Identity, Relation};
use crate::value::{Datum, storage};

/// What a table is on PostgreSQL before anything is done to it.
#[derive(Clone, Debug)]
pub(super) enum Standing {
    /// It is not there.
    Absent,
    /// Ours, from before a change of the primary's schema or of the configuration.
    Outgrown,
    /// Ours, and as it would be made.
    Ours,
    /// The application's; empty, or filled by us.
    Theirs(Box<Existing>),
    /// It cannot take the rows, or its rows could not be told from others: why.
    Blocked(String),
    /// It has rows that are not ours.
    Full,
}

/// Looks at every wanted table, and changes nothing.
///
/// # Errors
/// What PostgreSQL said.
pub(super) async fn look(
    control: &Control,
    catalog: &Catalog,
    plans: &[&TablePlan],
    copied: &BTreeMap<String, Copied>,
) -> Result<BTreeMap<String, Standing>> {
    let mut found = BTreeMap::new();
    for plan in plans {
        let Some(relation) = catalog.relation(&plan.name) else { continue };
        let known = copied.get(&plan.name).filter(|known| known.is_ours());
        found.insert(plan.name.clone(), standing(control, catalog, relation, plan, known).await?);
    }
    Ok(found)
}

async fn standing(
    control: &Control,
    catalog: &Catalog,
    relation: &Arc<Relation>,
    plan: &TablePlan,
    known: Option<&Copied>,
) -> Result<Standing> {
    let name = table_name(relation);
    let there = existing(control.client(), &name, &relation.name).await;
    let Some(there) = there.map_err(|e| control.error(&e))? else { return Ok(Standing::Absent) };
    if known.is_some_and(|known| known.made) {
        return Ok(match differs::not_alone(&there) {
            Some(why) => Standing::Blocked(why),
            None if same_columns(relation, plan, &there.columns)
                && there.partitioned == plan.split.is_some() =>
            {
                Standing::Ours
            }
            None => Standing::Outgrown,
        });
    }
    let differences = differs::differences(catalog, relation, &there);
    if let Some(difference) = differences.iter().find(|d| d.kind.is_in_the_way()) {
        return Ok(Standing::Blocked(in_the_way(relation, difference)));
    }
    if let Some(message) = refusal(control, relation, &there).await? {
        return Ok(Standing::Blocked(message));
    }
    Ok(match there.rows && known.is_none() {
        true => Standing::Full,
        false => Standing::Theirs(Box::new(there)),
    })
}

/// The tables on PostgreSQL while they are made ready.
pub(super) struct Tables<'a> {
    pub(super) control: &'a Control,
    /// The cut.
    pub(super) sqlite: &'a Connection,
    pub(super) catalog: &'a Catalog,
    pub(super) copied: BTreeMap<String, Copied>,
    pub(super) findings: Vec<Finding>,
}

impl Tables<'_> {
    /// Makes a table, or accepts the one that is there. One that cannot take the rows is a finding
    /// that blocks it.
    ///
    /// # Errors
    /// What PostgreSQL said to making it.
    pub(super) async fn ready(
        &mut self,
        relation: &Arc<Relation>,
        plan: &TablePlan,
        standing: &Standing,
    ) -> Result<()> {
        let mark = self.copied.get(&relation.name).filter(|c| c.is_ours()).cloned();
        match standing {
            Standing::Absent => self.make(relation, plan).await,
            Standing::Outgrown => {
                let drop = format!("DROP TABLE {}", table_name(relation));
                self.control.batch(&drop).await?;
                self.make(relation, plan).await
            }
            Standing::Ours | Standing::Theirs(_) => {
                if let Standing::Theirs(there) = standing {
                    self.accept(relation, there, mark.is_none()).await?;
                }
                // What stood in the way of an earlier copy is out of it; the mark of a table that
                // is not ours yet comes with its first rows.
                let mark = Copied { refused: None, ..mark.unwrap_or_default() };
                self.copied.insert(relation.name.clone(), mark);
                Ok(())
            }
            Standing::Blocked(message) => {
                self.block(relation, message.clone());
                Ok(())
            }
            // The run has ended before.
            Standing::Full => Ok(()),
        }
    }

    /// In the transaction that makes it: it is ours.
    async fn made(&mut self, relation: &Relation) -> Result<()> {
        let relid = copied::oid(self.control, relation).await?;
        let copied = Copied { made: true, relid, stands: true, ..Copied::default() };
        copied::save(self.control, &relation.name, &copied).await?;
        self.copied.insert(relation.name.clone(), copied);
        Ok(())
    }

    fn note(&mut self, relation: &Relation, message: &str) {
        self.finding(&relation.name, "", message);
    }

    fn finding(&mut self, table: &str, object: &str, message: &str) {
        self.findings.push(Finding {
            table: table.to_owned(),
            object: object.to_owned(),
            message: message.to_owned(),
            blocking: false,
            missing: Missing::default(),
        });
    }

    /// Makes a table; where PostgreSQL refuses generated columns, without those.
    async fn make(&mut self, relation: &Relation, plan: &TablePlan) -> Result<()> {
        let refused = match (self.attempt_table(relation, plan).await, &plan.parts) {
            (Err(error), Some(_)) if !self.control.is_closed() => error,
            (made, _) => return made,
        };
        let Some(parts) = &plan.parts else { return Err(refused) };
        let wrong = self.refused_columns(plan, parts).await?;
        let without: Vec<usize> = wrong.iter().map(|(index, _)| *index).collect();
        let mut lacking = plan.lacking.clone();
        lacking.extend(&without);
        let create = parts.create(&without);
        let without = TablePlan { create, lacking, parts: None, ..plan.clone() };
        if wrong.is_empty() || self.attempt_table(relation, &without).await.is_err() {
            return Err(refused);
        }
        for (index, why) in wrong {
            let object = format!("column {:?}", relation.columns[index].name);
            self.finding(&relation.name, &object, &format!("PostgreSQL refuses it: {why}"));
            if let Some(last) = self.findings.last_mut() {
                last.missing = Missing::Weaker;
            }
        }
        Ok(())
    }

    /// The generated columns that PostgreSQL refuses, each tried alone; nothing of it stays.
    async fn refused_columns(
        &self,
        plan: &TablePlan,
        parts: &Parts,
    ) -> Result<Vec<(usize, String)>> {
        let mut wrong = Vec::new();
        for index in &parts.generated {
            let others: Vec<usize> =
                parts.generated.iter().copied().filter(|other| other != index).collect();
            self.control.batch("BEGIN").await?;
            let mut made = Ok(());
            for sql in plan.sequences.iter().chain([&parts.create(&others)]) {
                if made.is_ok() {
                    made = self.control.batch(sql).await;
                }
            }
            if self.control.is_closed() {
                return made.map(|()| wrong);
            }
            self.control.batch("ROLLBACK").await?;
            if let Err(error) = made {
                wrong.push((*index, error.message().to_owned()));
            }
        }
        Ok(wrong)
    }

    async fn attempt_table(&mut self, relation: &Relation, plan: &TablePlan) -> Result<()> {
        let before = self.copied.get(&relation.name).cloned();
        self.control.batch("BEGIN").await?;
        let made = self.make_in_transaction(relation, plan).await;
        match made {
            Ok(()) => self.control.batch("COMMIT").await,
            Err(error) => {
                self.copied.remove(&relation.name);
                // One that has another name now is ours as soon as it has this one again.
                let before = before.map(|mark| Copied { stands: false, ..mark });
                self.copied.extend(before.map(|mark| (relation.name.clone(), mark)));
                self.control.batch("ROLLBACK").await?;
                Err(error.context(format!("CREATE TABLE {}", quoted(&relation.name))))
            }
        }
    }

    async fn make_in_transaction(&mut self, relation: &Relation, plan: &TablePlan) -> Result<()> {
        for sequence in &plan.sequences {
            self.control.batch(sequence).await?;
        }
        self.control.batch(&plan.create).await?;
        if let Some(split) = &plan.split {
            for sql in blocking(|| partitions(self.sqlite, relation, split))? {
                self.control.batch(&sql).await?;
            }
        }
        for step in plan.defaults.iter().chain(&plan.owned) {
            self.attempt(step).await?;
        }
        for column in relation.columns.iter().filter(|c| c.identity == Some(Identity::Always)) {
            always::keep(self.control, &table_name(relation), &column.name).await?;
        }
        self.made(relation).await
    }

    /// Runs a statement that may fail without harm to the transaction.
    async fn attempt(&mut self, step: &Step) -> Result<()> {
        self.control.batch("SAVEPOINT crossfade_step").await?;
        if let Err(error) = self.control.batch(&step.sql).await {
            if self.control.is_closed() {
                return Err(error);
            }
            self.control.batch("ROLLBACK TO crossfade_step").await?;
            let message = format!("PostgreSQL refuses it: {}", error.message());
            self.finding(&step.table, &step.object, &message);
            if let Some(last) = self.findings.last_mut() {
                last.missing = Missing::Weaker;
            }
        }
        self.control.batch("RELEASE crossfade_step").await
    }

    /// Takes a table of the application as it is, and the first time tells how it differs.
    async fn accept(
        &mut self,
        relation: &Arc<Relation>,
        there: &Existing,
        first: bool,
    ) -> Result<()> {
        for column in there.columns.iter().filter(|c| c.always) {
            let name = &column.actual.name;
            if relation.column(name).is_none() {
                continue;
            }
            always::relax(self.control, &table_name(relation), name).await?;
            let message = "GENERATED ALWAYS is BY DEFAULT until crossfade complete";
            self.finding(&relation.name, &format!("column {name:?}"), message);
        }
        let differences = differs::differences(self.catalog, relation, there);
        for difference in differences.iter().filter(|d| is_told(d.kind)) {
            let object = match (&difference.column, &difference.object) {
                (Some(column), _) => format!("column {column:?}"),
                (None, Some(object)) => format!("{} {object:?}", word(difference.kind)),
                (None, None) => String::new(),
            };
            self.finding(&relation.name, &object, &difference.message);
            if let Some(last) =
                self.findings.last_mut().filter(|_| difference.kind == Kind::NoUnique)
            {
                last.missing = Missing::Weaker;
            }
        }
        if first {
            self.note(relation, "the application's own table is used as it is");
        }
        Ok(())
    }

    fn block(&mut self, relation: &Relation, message: String) {
        let (table, object) = (relation.name.clone(), String::new());
        let missing = Missing::default();
        self.findings.push(Finding { table, object, message, blocking: true, missing });
    }
}

/// What PostgreSQL says against rows as they will be written.
async fn refusal(
    control: &Control,
    relation: &Arc<Relation>,
    there: &Existing,
) -> Result<Option<String>> {
    let actual: Vec<_> = there.columns.iter().map(|c| c.actual.clone()).collect();
    let projection = Projection::over(relation, &actual);
    let written = projection.written();
    let columns = || written.iter().map(|i| &projection.columns[*i]);
    let names: Vec<String> = columns().map(|c| quoted(&c.name)).collect();
    let numbers: Vec<String> = (1..=names.len()).map(|n| format!("${n}")).collect();
    let sql = format!(
        "INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE VALUES ({})",
        table_name(relation),
        names.join(", "),
        numbers.join(", ")
    );
    let types: Vec<PgType> = columns().map(|c| pg_type(c.ty).unwrap_or(PgType::UNKNOWN)).collect();
    match control.client().prepare_typed(&sql, &types).await {
        Ok(_) => Ok(None),
        Err(error) => {
            let error = control.error(&error);
            if control.is_closed() {
                return Err(error);
            }
            Ok(Some(format!("PostgreSQL's table cannot take the rows: {}", error.message())))
        }
    }
}

/// CREATE TABLE of each partition, for the rows that there are.
///
/// # Errors
/// When SQLite cannot read the table.
pub fn partitions(sqlite: &Connection, relation: &Relation, split: &Split) -> Result<Vec<String>> {
    let ends = ends(sqlite, relation, split)?;
    Ok(split.partitions(relation, ends.as_ref().map(|(a, b)| (a, b))))
}

/// Why a table cannot take the rows, and what to do.
fn in_the_way(relation: &Relation, difference: &Difference) -> String {
    let column = difference.column.as_deref().unwrap_or_default();
    match difference.kind {
        Kind::NoTable | Kind::Rights | Kind::RowSecurity | Kind::Children => {
            difference.message.clone()
        }
        _ => format!(
            "column {column:?} is in the way of {:?} on PostgreSQL: {}",
            relation.bare(),
            difference.message
        ),
    }
}

/// What a copy tells of; the rest is what assess lists.
fn is_told(kind: Kind) -> bool {
    !matches!(kind, Kind::NoIndex | Kind::Order | Kind::Sorted | Kind::NoKey | Kind::Trigger)
}

/// What an object of a difference is called.
fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::NoUnique | Kind::MoreUnique | Kind::NoKey => "unique",
        Kind::NoForeignKey | Kind::MoreForeignKey | Kind::Referred => "foreign key",
        Kind::NoCheck | Kind::MoreCheck => "check",
        Kind::Trigger => "trigger",
        _ => "index",
    }
}

/// The least and the greatest value that a table is partitioned by.
fn ends(sqlite: &Connection, relation: &Relation, split: &Split) -> Result<Option<(Datum, Datum)>> {
    let column = &relation.columns[split.column];
    let name = quoted(&column.sqlite_name);
    let sql = format!(
        "SELECT min({name}), max({name}) FROM \"public\".{}",
        quoted(&relation.sqlite_name)
    );
    let row = sqlite.query_row(&sql, &[])?.unwrap_or_default();
    let decode = |i: usize| storage::decode(column.codec, column.ty, row.get(i)?.as_ref()).ok();
    // What cannot be read is no end; rows outside have a partition all the same.
    Ok(decode(0).zip(decode(1)))
}

fn same_columns(relation: &Relation, plan: &TablePlan, there: &[There]) -> bool {
    let lacking = &plan.lacking;
    let ours = (0..relation.columns.len()).filter(|i| !lacking.contains(i));
    let ours: Vec<_> = ours.map(|i| &relation.columns[i]).collect();
    ours.len() == there.len()
        && ours.iter().zip(there).all(|(ours, theirs)| {
            ours.name == theirs.actual.name
                && ours.ty == theirs.actual.ty
                && ours.generated.is_some() == theirs.generated
        })
}
