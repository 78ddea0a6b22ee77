//! The report: what was found, what will be done, what to decide.
//!
//! Owns its form, which is the contract of `crossfade assess --json`: fields are only ever
//! added. It must never hold a value of a row. Start at [`Report`].

use std::time::Duration;

use serde::Serialize;

use super::estimate;
use super::facts::Facts;
use super::needs::{self, Need};
use super::{Options, rules};
use crate::backend::sqlite::adopt::Habit;
use crate::backend::sqlite::system::format_type;
use crate::backfill::differs::Kind;
use crate::backfill::schema::{Step, Translated};
use crate::schema::RelationKind;

/// How much a finding asks of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing: it is good to know.
    Info,
    /// A decision; without one Crossfade does what the finding says.
    Decision,
    /// Something to be written by hand before promote.
    Rewrite,
    /// In the way of the copy.
    Blocking,
}

/// How much stands between the file and PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Grade {
    /// Automatic.
    A,
    /// Some decisions.
    B,
    /// Something must be rewritten.
    C,
}

impl Grade {
    /// What the letter means.
    pub fn text(self) -> &'static str {
        match self {
            Self::A => "automatic: nothing to decide",
            Self::B => "some decisions; without them Crossfade does what each finding says",
            Self::C => "something must be written by hand, or is in the way",
        }
    }
}

/// Values of one kind in a column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Class {
    /// `integer`, `text`, `ISO date` …
    pub class: &'static str,
    /// How many.
    pub rows: u64,
    /// Keys of the first few.
    pub examples: Vec<String>,
    /// Whether the declared type holds them as they are.
    pub fits: bool,
}

/// One thing found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stable id of the rule.
    pub id: &'static str,
    /// What the rule is about.
    pub title: &'static str,
    /// How much it asks.
    pub severity: Severity,
    /// Table or view, the file's name.
    pub table: Option<String>,
    /// Column, the file's name.
    pub column: Option<String>,
    /// Index, trigger, constraint … of it.
    pub object: Option<String>,
    /// What was found, without values of rows.
    pub message: String,
    /// What Crossfade does unless told otherwise.
    pub does: &'static str,
    /// What to write in proxy.toml for something else.
    #[serde(rename = "override")]
    pub over: Option<String>,
    /// Kinds of values, for findings about a column's values.
    pub classes: Vec<Class>,
    /// Rows it is about.
    pub rows: Option<u64>,
    /// Keys of the first few.
    pub examples: Vec<String>,
    /// Not every row was looked at.
    pub sampled: bool,
}

/// The file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileFacts {
    /// Path as given.
    pub path: String,
    /// Bytes.
    pub bytes: u64,
    /// `UTF-8` …
    pub encoding: String,
    /// `wal`, `delete` …
    pub journal_mode: String,
    /// PRAGMA user_version
    pub user_version: i64,
    /// PRAGMA application_id
    pub application_id: i64,
    /// The library that made it, where it left a sign.
    pub library: Option<&'static str>,
    /// Process of the proxy that serves it now.
    pub served_by: Option<u32>,
}

/// How much was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LookedAt {
    /// Every row of every table.
    pub complete: bool,
    /// Rows that were looked at.
    pub rows: u64,
    /// Rows of a table at most.
    pub rows_limit: u64,
    /// Seconds for everything at most; None without a limit.
    pub seconds_limit: Option<u64>,
    /// Seconds it took.
    pub seconds: f64,
}

/// A table that is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TableFacts {
    /// The file's name.
    pub name: String,
    /// PostgreSQL's name.
    pub postgres_name: String,
    /// Rows, about as many unless `rows_exact`.
    pub rows: u64,
    /// Whether every row was counted.
    pub rows_exact: bool,
    /// Columns of its key, PostgreSQL's names; empty without one.
    pub key: Vec<String>,
}

/// A column's plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ColumnPlan {
    /// Table, the file's name.
    pub table: String,
    /// Column, the file's name.
    pub column: String,
    /// PostgreSQL's name.
    pub postgres_name: String,
    /// Declared type; empty without one.
    pub declared: String,
    /// PostgreSQL's type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// How the file stores it.
    pub stored: &'static str,
    /// NOT NULL.
    pub not_null: bool,
}

/// One statement for PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ddl {
    /// Table.
    pub table: String,
    /// What it makes.
    pub object: String,
    /// Run when the rows are in.
    pub after_rows: bool,
    /// The statement.
    pub sql: String,
}

/// Rough figures of the copy.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// Rows.
    pub rows: u64,
    /// Whether every row was counted.
    pub rows_exact: bool,
    /// Bytes of the file in use.
    pub bytes: u64,
    /// On a fast machine.
    pub seconds_low: f64,
    /// On a slow one.
    pub seconds_high: f64,
    /// Bytes on PostgreSQL's disk.
    pub disk_bytes: u64,
    /// What it is reckoned with.
    pub basis: String,
}

/// The whole report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Version of this form.
    pub version: u32,
    /// A, B or C.
    pub grade: Grade,
    /// Findings that are in the way.
    pub blocking: usize,
    /// The file.
    pub file: FileFacts,
    /// How much was looked at.
    pub looked: LookedAt,
    /// What was found, the gravest first.
    pub findings: Vec<Finding>,
    /// Tables.
    pub tables: Vec<TableFacts>,
    /// The plan for each column.
    pub columns: Vec<ColumnPlan>,
    /// How long the copy takes.
    pub estimate: Estimate,
    /// Whether PostgreSQL was asked.
    pub postgres_asked: bool,
    /// What PostgreSQL needs.
    pub needs: Vec<Need>,
    /// What backfill would run.
    pub ddl: Vec<Ddl>,
    /// What to do next.
    pub next: Vec<String>,
}

impl Report {
    /// Findings of one severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|f| f.severity == severity).count()
    }
}

/// Makes the report.
pub(super) fn build(facts: &Facts, options: &Options, took: Duration) -> Report {
    let mut findings = rules::apply(facts, options);
    findings.sort_by(|a, b| {
        b.severity.cmp(&a.severity).then(a.id.cmp(b.id)).then(a.table.cmp(&b.table))
    });
    let has = |severity| findings.iter().any(|f| f.severity == severity);
    let grade = match () {
        () if has(Severity::Blocking) || has(Severity::Rewrite) => Grade::C,
        () if has(Severity::Decision) => Grade::B,
        () => Grade::A,
    };
    let blocking = findings.iter().filter(|f| f.severity == Severity::Blocking).count();
    Report {
        version: 1,
        grade,
        blocking,
        file: file(facts),
        looked: looked(facts, options, took),
        tables: tables(facts),
        columns: columns(facts),
        estimate: estimate::estimate(facts),
        postgres_asked: facts.server.is_some(),
        needs: needs::needs(facts),
        ddl: ddl(facts),
        next: next(facts, blocking, has(Severity::Decision)),
        findings,
    }
}

fn file(facts: &Facts) -> FileFacts {
    FileFacts {
        path: facts.path.display().to_string(),
        bytes: facts.look.size,
        encoding: facts.look.encoding.clone(),
        journal_mode: facts.look.journal_mode.clone(),
        user_version: facts.header.user_version,
        application_id: facts.header.application_id,
        library: facts.habit.map(Habit::name),
        served_by: facts.look.served_by,
    }
}

fn looked(facts: &Facts, options: &Options, took: Duration) -> LookedAt {
    let all = facts.evidence.values();
    LookedAt {
        complete: all.clone().all(|e| !e.looked.partial)
            && facts.tables().all(|t| t.evidence.is_some()),
        rows: all.map(|e| e.looked.rows).sum(),
        rows_limit: options.rows,
        seconds_limit: options.limit.map(|l| l.as_secs()),
        seconds: took.as_secs_f64(),
    }
}

fn tables(facts: &Facts) -> Vec<TableFacts> {
    facts
        .tables()
        .map(|t| TableFacts {
            name: t.entry.name.clone(),
            postgres_name: t.relation.name.clone(),
            rows: t.evidence.map_or(0, |e| e.looked.about),
            rows_exact: t.evidence.is_some_and(|e| !e.looked.partial),
            key: t
                .relation
                .key()
                .unwrap_or_default()
                .iter()
                .map(|c| t.relation.columns[*c].name.clone())
                .collect(),
        })
        .collect()
}

fn columns(facts: &Facts) -> Vec<ColumnPlan> {
    let mut plans = Vec::new();
    for table in facts.tables() {
        for (stored, column) in table.stored.columns.iter().zip(&table.relation.columns) {
            plans.push(ColumnPlan {
                table: table.entry.name.clone(),
                column: column.sqlite_name.clone(),
                postgres_name: column.name.clone(),
                declared: stored.declared.clone().unwrap_or_default(),
                type_name: format_type(column.ty.oid, column.ty.typmod),
                stored: column.codec.word(),
                not_null: column.not_null,
            });
        }
    }
    plans
}

/// Everything that backfill runs, in its order: run on an empty database it makes the same schema.
fn ddl(facts: &Facts) -> Vec<Ddl> {
    let plan = &facts.plan;
    let mut list = Vec::new();
    // Of a table that is there already only what rows are told apart by is made.
    let there = |table: &str| {
        facts.differences.iter().any(|(r, _)| r.name == table && r.kind == RelationKind::Table)
    };
    let lacks_key = |table: &str| {
        let of = facts.differences.iter().filter(|(r, _)| r.name == table);
        of.flat_map(|(_, all)| all).any(|(d, _)| d.kind == Kind::NoKey)
    };
    let key: Vec<&str> = plan.keys.iter().filter(|s| s.needed).map(|s| s.sql.as_str()).collect();
    let mut add = |table: &str, object: &str, after_rows: bool, sql: &str| {
        if there(table) && !(key.contains(&sql) && lacks_key(table)) {
            return;
        }
        let (table, object, sql) = (table.to_owned(), object.to_owned(), sql.to_owned());
        list.push(Ddl { table, object, after_rows, sql });
    };
    plan.schemas.iter().for_each(|sql| add("", "schema", false, sql));
    plan.extensions.iter().for_each(|sql| add("", "extension", false, sql));
    plan.types.iter().for_each(|(name, sql)| add(name, "type", false, sql));
    plan.sequences.iter().for_each(|(name, sql)| add(name, "sequence", false, sql));
    for table in &plan.tables {
        table.sequences.iter().for_each(|sql| add(&table.name, "sequence", false, sql));
        add(&table.name, "table", false, &table.create);
        for sql in facts.partitions.get(&table.name).into_iter().flatten() {
            add(&table.name, "partition", false, sql);
        }
        for step in table.defaults.iter().chain(&table.owned) {
            add(&step.table, &step.object, false, &step.sql);
        }
    }
    let after = plan.keys.iter().chain(&plan.indexes).chain(&plan.checks).chain(&plan.foreign_keys);
    for step in after.chain(&plan.views) {
        add(&step.table, &step.object, true, &step.sql);
        if let Step { validate: Some(sql), .. } = step {
            add(&step.table, &step.object, true, sql);
        }
    }
    for made in in_order(&plan.outward) {
        made.outward.texts.iter().for_each(|sql| add(&made.table, &made.object, true, sql));
    }
    for step in &plan.routines {
        add(&step.table, &step.object, true, &step.sql);
    }
    list
}

/// Views after those that they read, triggers after all views.
fn in_order(all: &[Translated]) -> Vec<&Translated> {
    let (mut left, triggers): (Vec<&Translated>, Vec<&Translated>) =
        all.iter().partition(|made| made.object == "view");
    let mut done: Vec<&Translated> = Vec::with_capacity(all.len());
    while !left.is_empty() {
        let waits = |made: &&Translated| {
            let reads = |other: &&Translated| {
                other.table != made.table && made.outward.tables.contains(&other.table)
            };
            left.iter().any(reads)
        };
        let (later, now): (Vec<&Translated>, Vec<&Translated>) =
            left.iter().copied().partition(waits);
        if now.is_empty() {
            done.extend(later);
            break;
        }
        done.extend(now);
        left = later;
    }
    done.extend(triggers);
    done
}

fn next(facts: &Facts, blocking: usize, decisions: bool) -> Vec<String> {
    let file = facts.path.display();
    let mut list = Vec::new();
    if blocking > 0 {
        list.push("settle what is blocking, then assess again".to_owned());
    }
    if decisions {
        list.push("write the overrides you want into proxy.toml, then assess again".to_owned());
    }
    if facts.server.is_none() {
        list.push(format!("crossfade assess {file} --postgres URL"));
    }
    let served = facts.catalog.relations.values().any(|r| r.kind == RelationKind::Table);
    if served {
        list.push(format!("crossfade run --sqlite {file}"));
    }
    list
}
