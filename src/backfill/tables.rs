//! Tables on PostgreSQL before the rows: made by us, or accepted as the application made
//! them.
//!
//! Owns that decision. It must never touch rows it did not write. Start at [`Tables::ready`].

use std::collections::BTreeMap;

use tokio_postgres::types::Type as PgType;

use super::schema::{Finding, Missing, Split, Step, TablePlan};
use crate::backend::postgres::apply::{plain_columns, quoted, table_name};
use crate::backend::postgres::columns::{There, columns};
use crate::backend::postgres::control::Control;
use crate::backend::postgres::copied::{self, Copied};
use crate::backend::sqlite::{Connection, blocking};
use crate::error::{Error, Result, state};
use crate::schema::Relation;
use crate::value::{Datum, storage};

/// The tables on PostgreSQL while they are made ready.
pub(super) struct Tables<'a> {
    pub(super) control: &'a Control,
    /// The cut.
    pub(super) sqlite: &'a Connection,
    pub(super) copied: BTreeMap<String, Copied>,
    pub(super) findings: Vec<Finding>,
}

fn refused(message: String) -> Error {
    Error::shadow(state::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
}

impl Tables<'_> {
    /// Makes a table, or accepts the one that is there.
    ///
    /// # Errors
    /// 55000 when a table that is there cannot take the rows; what PostgreSQL said.
    pub(super) async fn ready(&mut self, relation: &Relation, plan: &TablePlan) -> Result<()> {
        let there = columns(self.control, relation).await?;
        // A table that was refused may have been made by hand since; one of ours holds nothing.
        let known = self.copied.get(&relation.name);
        let known = known.filter(|c| c.refused.is_none() || c.made).cloned();
        match known {
            _ if there.is_empty() => self.make(relation, plan).await,
            Some(known)
                if known.made
                    && (!same_columns(relation, plan, &there)
                        || self.is_partitioned(relation).await? != plan.split.is_some()) =>
            {
                // Ours, from before a change of the primary's schema or of the configuration.
                let drop = format!("DROP TABLE {}", table_name(relation));
                self.control.batch(&drop).await?;
                self.make(relation, plan).await
            }
            Some(known) if known.made && known.refused.is_some() => self.save(relation, true).await,
            Some(known) if known.made => Ok(()),
            Some(_) => self.accept(relation, &there).await,
            None => {
                self.accept(relation, &there).await?;
                let sql = format!("SELECT EXISTS (SELECT 1 FROM {})", table_name(relation));
                let rows = self.control.rows(&sql).await?;
                if rows.first().is_some_and(|row| row.get::<_, bool>(0)) {
                    let message =
                        format!("table {:?} on PostgreSQL has rows already", relation.name);
                    return Err(refused(message).hint(
                        "Empty it, or give Crossfade another database: rows it did not write \
                         are never touched.",
                    ));
                }
                self.note(relation, "the application's own table is used as it is");
                self.save(relation, false).await
            }
        }
    }

    async fn is_partitioned(&self, relation: &Relation) -> Result<bool> {
        let sql = "SELECT relkind = 'p' FROM pg_class WHERE oid = to_regclass($1)";
        let rows = self.control.client().query(sql, &[&table_name(relation)]).await;
        let rows = rows.map_err(|e| self.control.error(&e))?;
        Ok(rows.first().is_some_and(|row| row.get(0)))
    }

    async fn save(&mut self, relation: &Relation, made: bool) -> Result<()> {
        let copied = Copied { made, ..Copied::default() };
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

    /// Makes a table; where PostgreSQL refuses a generated column, without them.
    async fn make(&mut self, relation: &Relation, plan: &TablePlan) -> Result<()> {
        let refused = match (self.attempt_table(relation, plan).await, &plan.bare) {
            (Err(error), Some(_)) if !self.control.is_closed() => error,
            (made, _) => return made,
        };
        let Some(bare) = &plan.bare else { return Err(refused) };
        let (create, lacking) = (bare.create.clone(), bare.lacking.clone());
        let without = TablePlan { create, lacking, bare: None, ..plan.clone() };
        if self.attempt_table(relation, &without).await.is_err() {
            return Err(refused);
        }
        for index in without.lacking.iter().filter(|i| !plan.lacking.contains(i)) {
            let object = format!("column {:?}", relation.columns[*index].name);
            let message = format!("PostgreSQL refuses it: {}", refused.message());
            self.finding(&relation.name, &object, &message);
            if let Some(last) = self.findings.last_mut() {
                last.missing = Missing::Weaker;
            }
        }
        Ok(())
    }

    async fn attempt_table(&mut self, relation: &Relation, plan: &TablePlan) -> Result<()> {
        self.control.batch("BEGIN").await?;
        let made = self.make_in_transaction(relation, plan).await;
        match made {
            Ok(()) => self.control.batch("COMMIT").await,
            Err(error) => {
                self.copied.remove(&relation.name);
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
        self.save(relation, true).await
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

    /// Checks that a table of the application can take our rows.
    async fn accept(&mut self, relation: &Relation, there: &[There]) -> Result<()> {
        for column in &relation.columns {
            let Some(found) = there.iter().find(|t| t.actual.name == column.name) else {
                if column.generated.is_some() {
                    let object = format!("column {:?}", column.name);
                    self.finding(&relation.name, &object, "PostgreSQL's table has it not");
                    continue;
                }
                return Err(refused(format!(
                    "table {:?} on PostgreSQL has no column {:?}",
                    relation.name, column.name
                )));
            };
            if found.generated != column.generated.is_some() {
                return Err(refused(format!(
                    "column {:?} of table {:?} is generated on one side only",
                    column.name, relation.name
                )));
            }
            if found.always {
                let sql = format!(
                    "ALTER TABLE {} ALTER COLUMN {} SET GENERATED BY DEFAULT",
                    table_name(relation),
                    quoted(&column.name)
                );
                self.control.batch(&sql).await?;
                let object = format!("column {:?}", column.name);
                let message = "GENERATED ALWAYS is BY DEFAULT while rows are mirrored";
                self.finding(&relation.name, &object, message);
            }
        }
        for extra in there {
            let name = &extra.actual.name;
            if relation.columns.iter().any(|c| c.name == *name) {
                continue;
            }
            if extra.actual.not_null && !extra.filled {
                return Err(refused(format!(
                    "column {name:?} of table {:?} on PostgreSQL has no counterpart and takes \
                     no NULL",
                    relation.name
                )));
            }
            let message = "the column is on PostgreSQL only; it keeps its default";
            self.finding(&relation.name, &format!("column {name:?}"), message);
        }
        self.assignable(relation).await
    }

    /// Whether values of our types can be assigned to the table's columns.
    async fn assignable(&self, relation: &Relation) -> Result<()> {
        let (names, types) = plain_columns(relation);
        let numbers: Vec<String> = (1..=names.len()).map(|n| format!("${n}")).collect();
        let names: Vec<String> = names.iter().map(|n| quoted(n)).collect();
        let sql = format!(
            "INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE VALUES ({})",
            table_name(relation),
            names.join(", "),
            numbers.join(", ")
        );
        let types: Vec<PgType> =
            types.iter().map(|t| PgType::from_oid(t.oid).unwrap_or(PgType::UNKNOWN)).collect();
        match self.control.client().prepare_typed(&sql, &types).await {
            Ok(_) => Ok(()),
            Err(error) => {
                let error = self.control.error(&error);
                if self.control.is_closed() {
                    return Err(error);
                }
                let message =
                    format!("table {:?} on PostgreSQL cannot take the rows", relation.name);
                Err(refused(message).detail(error.message().to_owned()))
            }
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
