//! What is added when the rows are in: keys, indexes, constraints, sequences, views.
//!
//! Every step can be repeated. One that fails is a finding; it never takes the others with
//! it. It must never weaken a constraint silently. Start at [`steps`].

use super::schema::{Finding, Missing, Plan, Step, Translated};
use super::{Env, cut::Snapshot, told};
use crate::backend::postgres::apply::{quoted, table_name};
use crate::backend::postgres::control::Control;
use crate::backend::postgres::copied::Copied;
use crate::backend::postgres::sequences::counterpart;
use crate::backend::sqlite::adopt::object_name;
use crate::backend::sqlite::blocking;
use crate::error::{Error, Result};
use crate::name;
use crate::schema::{Catalog, Codec, Relation, RelationKind, Sequence};
use crate::value::{Cell, oid};

/// Runs every step for the tables that were copied, and what others that are `whole` may have lost;
/// what could not be made.
///
/// # Errors
/// Only when the connection is lost.
pub(super) async fn steps(
    env: &Env<'_>,
    plan: &Plan,
    tables: &[String],
    whole: &[String],
) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let ours = |step: &&Step| tables.contains(&step.table);
    for step in plan.keys.iter().filter(ours) {
        env.goes_on()?;
        // The application's own table must have the key as well: the applier needs it.
        if env.made(&step.table) {
            tell(env, step);
            one(env.control, step, &mut findings).await?;
        } else if step.needed && !has_key(env, step).await? {
            let step = beside_theirs(env, step).await?;
            tell(env, &step);
            one(env.control, &step, &mut findings).await?;
        }
    }
    // A table that stayed as it was may have lost its foreign keys to one that was emptied.
    let keeps = |step: &&Step| ours(step) || whole.contains(&step.table);
    let rest = plan.indexes.iter().chain(&plan.checks).filter(ours);
    let rest = rest.chain(plan.foreign_keys.iter().filter(keeps));
    for step in rest.filter(|s| env.made(&s.table)) {
        env.goes_on()?;
        tell(env, step);
        one(env.control, step, &mut findings).await?;
    }
    for name in tables {
        analyze(env.control, name).await?;
    }
    views(env, plan, &mut findings).await?;
    outward(env, plan, &mut findings).await?;
    routines(env, plan, &mut findings).await?;
    Ok(findings)
}

fn tell(env: &Env<'_>, step: &Step) {
    told::step(env.progress, format!("building {}", step.table), step.object.clone());
}

/// Whether an object of the step's name is there from an earlier run.
async fn exists(control: &Control, step: &Step) -> Result<bool> {
    let name = step.object.split_once(" \"").map_or("", |(_, name)| name.trim_end_matches('"'));
    let name = name.replace("\\\"", "\"").replace("\\\\", "\\");
    let rows = control
        .client()
        .query(
            "SELECT EXISTS (SELECT 1 FROM pg_constraint WHERE conname = $1 \
             AND conrelid = to_regclass($2)) OR EXISTS (SELECT 1 FROM pg_index \
             JOIN pg_class c ON c.oid = indexrelid WHERE indrelid = to_regclass($2) \
             AND c.relname = $1)",
            &[&name, &name::quoted(&step.table)],
        )
        .await
        .map_err(|e| control.error(&e))?;
    Ok(rows.first().is_some_and(|row| row.get(0)))
}

/// Whether the application's table has a unique index over the key's columns.
async fn has_key(env: &Env<'_>, step: &Step) -> Result<bool> {
    let Some(relation) = env.cut.catalog.relation(&step.table) else { return Ok(true) };
    let mut names: Vec<&str> = relation
        .key()
        .unwrap_or_default()
        .iter()
        .map(|c| relation.columns[*c].name.as_str())
        .collect();
    names.sort_unstable();
    let rows = env
        .control
        .client()
        .query(
            "SELECT EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = to_regclass($1) \
             AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL \
             AND (SELECT array_agg(a.attname::text ORDER BY a.attname::text COLLATE \"C\") \
             FROM pg_attribute a WHERE a.attrelid = i.indrelid \
             AND a.attnum = ANY (i.indkey::int2[])) = $2::text[])",
            &[&table_name(relation), &names],
        )
        .await
        .map_err(|e| env.control.error(&e))?;
    Ok(rows.first().is_some_and(|row| row.get(0)))
}

/// The step that makes the key in a table of the application: a unique index where it has a
/// primary key of its own.
async fn beside_theirs(env: &Env<'_>, step: &Step) -> Result<Step> {
    let Some(relation) = env.cut.catalog.relation(&step.table) else { return Ok(step.clone()) };
    let table = table_name(relation);
    let sql = "SELECT EXISTS (SELECT 1 FROM pg_index WHERE indrelid = to_regclass($1) \
               AND indisprimary)";
    let rows = env.control.client().query(sql, &[&table]).await;
    let rows = rows.map_err(|e| env.control.error(&e))?;
    if !rows.first().is_some_and(|row| row.get::<_, bool>(0)) {
        return Ok(step.clone());
    }
    let columns = relation.key().unwrap_or_default();
    let columns: Vec<String> = columns.iter().map(|c| quoted(&relation.columns[*c].name)).collect();
    let name = object_name(relation.bare(), None, "crossfade_key");
    Ok(Step {
        object: format!("unique index {name:?}"),
        sql: format!("CREATE UNIQUE INDEX {} ON {table} ({})", quoted(&name), columns.join(", ")),
        ..step.clone()
    })
}

async fn one(control: &Control, step: &Step, findings: &mut Vec<Finding>) -> Result<()> {
    let finding = |message: String, blocking, missing| Finding {
        table: step.table.clone(),
        object: step.object.clone(),
        message,
        blocking,
        missing,
    };
    if !exists(control, step).await?
        && let Err(error) = control.batch(&step.sql).await
    {
        alive(control, &error)?;
        let message = format!("PostgreSQL refuses it: {}", error.message());
        // An index that keeps nothing apart only speeds things up.
        let keeps = [" UNIQUE ", " EXCLUDE "].iter().any(|word| step.sql.contains(word));
        let missing = match step.object.starts_with("index ") && !keeps {
            true => Missing::Object,
            false => Missing::Weaker,
        };
        findings.push(finding(message, step.needed, missing));
        return Ok(());
    }
    if let Some(validate) = &step.validate
        && let Err(error) = control.batch(validate).await
    {
        alive(control, &error)?;
        let message = format!("it stays NOT VALID, rows break it: {}", error.message());
        findings.push(finding(message, false, Missing::Nothing));
    }
    Ok(())
}

fn alive(control: &Control, error: &Error) -> Result<()> {
    if control.is_closed() { Err(error.clone()) } else { Ok(()) }
}

async fn analyze(control: &Control, table: &str) -> Result<()> {
    let analyzed = control.batch(&format!("ANALYZE {}", name::quoted(table))).await;
    // Statistics are a convenience; autovacuum gathers them as well.
    analyzed.or_else(|error| alive(control, &error))
}

/// Functions, triggers and comments. Triggers must not fire for the rows that are carried:
/// without the right to say so they are switched off until PostgreSQL is primary.
async fn routines(env: &Env<'_>, plan: &Plan, findings: &mut Vec<Finding>) -> Result<()> {
    for step in &plan.routines {
        let Err(error) = env.control.batch(&step.sql).await else { continue };
        alive(env.control, &error)?;
        findings.push(Finding {
            table: step.table.clone(),
            object: step.object.clone(),
            message: format!("PostgreSQL refuses it: {}", error.message()),
            blocking: step.object.starts_with("trigger"),
            missing: match step.object.starts_with("trigger") {
                true => Missing::Weaker,
                false => Missing::Object,
            },
        });
    }
    env.silence().await
}

/// Views and triggers of SQLite's own. Views may read each other, too.
async fn outward(env: &Env<'_>, plan: &Plan, findings: &mut Vec<Finding>) -> Result<()> {
    let control = env.control;
    let finding = |step: &Translated, message: String| Finding {
        table: step.table.clone(),
        object: step.object.clone(),
        message,
        blocking: false,
        missing: match step.object.starts_with("trigger") {
            true => Missing::Weaker,
            false => Missing::Object,
        },
    };
    let mut left: Vec<&Translated> = Vec::new();
    for step in &plan.outward {
        let of = |wanted: fn(&Copied) -> bool| {
            step.outward.tables.iter().any(|name| {
                let table =
                    env.cut.catalog.relation(name).is_some_and(|r| r.kind == RelationKind::Table);
                table && env.copied.get(name).is_none_or(wanted)
            })
        };
        if of(|copied| copied.refused.is_some()) {
            let message = "not made: a table that it needs is not on PostgreSQL";
            findings.push(finding(step, message.to_owned()));
            continue;
        }
        match of(|copied| !copied.made) {
            true => findings.push(finding(
                step,
                "not made: its tables are the application's own, whose migrations bring it"
                    .to_owned(),
            )),
            false => left.push(step),
        }
    }
    loop {
        let mut failed = Vec::new();
        for step in &left {
            told::step(env.progress, format!("building {}", step.table), step.object.clone());
            let sql = format!("BEGIN; {}; COMMIT", step.outward.texts.join("; "));
            if let Err(error) = control.batch(&sql).await {
                alive(control, &error)?;
                control.batch("ROLLBACK").await?;
                failed.push((*step, error));
            }
        }
        if failed.is_empty() || failed.len() == left.len() {
            let refused = |(step, error): (&Translated, Error)| {
                finding(step, format!("PostgreSQL refuses it: {}", error.message()))
            };
            findings.extend(failed.into_iter().map(refused));
            return Ok(());
        }
        left = failed.into_iter().map(|(step, _)| step).collect();
    }
}

/// Views may read each other: those that fail are tried again while others succeed.
async fn views(env: &Env<'_>, plan: &Plan, findings: &mut Vec<Finding>) -> Result<()> {
    let mut left: Vec<&Step> = Vec::new();
    for step in &plan.views {
        let sql = "SELECT to_regclass($1) IS NOT NULL";
        let name = name::quoted(&step.table);
        let rows =
            env.control.client().query(sql, &[&name]).await.map_err(|e| env.control.error(&e))?;
        if !rows.first().is_some_and(|row| row.get::<_, bool>(0)) {
            left.push(step);
        }
    }
    loop {
        let mut failed = Vec::new();
        for step in &left {
            if let Err(error) = env.control.batch(&step.sql).await {
                alive(env.control, &error)?;
                failed.push((*step, error));
            }
        }
        if failed.is_empty() || failed.len() == left.len() {
            findings.extend(failed.into_iter().map(|(step, error)| Finding {
                table: step.table.clone(),
                object: step.object.clone(),
                message: format!("PostgreSQL refuses it: {}", error.message()),
                blocking: false,
                missing: Missing::Object,
            }));
            return Ok(());
        }
        left = failed.into_iter().map(|(step, _)| step).collect();
    }
}

/// The next value of a sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) sequence: String,
    /// Table and column, when one owns it.
    owned_by: Option<(String, String)>,
    /// Highest value ever issued; START when none was.
    pub(super) value: i64,
    /// Whether it was issued.
    pub(super) called: bool,
    /// No value is left.
    exhausted: bool,
}

/// The highest value each sequence ever issued, at the cut: by our counter, by SQLite's own,
/// or as it stands in the rows.
pub(super) fn values(cut: &Snapshot) -> Result<Vec<Value>> {
    blocking(|| cut.catalog.sequences.values().map(|s| value(cut, s)).collect())
}

fn value(cut: &Snapshot, sequence: &Sequence) -> Result<Value> {
    let connection = &cut.connection;
    let up = sequence.increment > 0;
    let mut highest: Option<i64> = None;
    let mut raise = |value: Option<i64>| {
        highest = match (highest, value) {
            (Some(a), Some(b)) => Some(if up { a.max(b) } else { a.min(b) }),
            (a, b) => a.or(b),
        };
    };
    let mut first = sequence.start;
    if has_table(cut, "_crossfade_sequences")? {
        let sql = "SELECT last_value, is_called FROM \"_crossfade_sequences\" WHERE oid = ?1";
        let row = connection.query_row(sql, &[Cell::Integer(i64::from(sequence.oid))])?;
        if let Some([Cell::Integer(last), Cell::Integer(called)]) = row.as_deref() {
            if *called == 1 { raise(Some(*last)) } else { first = *last }
        }
    }
    if let Some((relation, column)) = owner(&cut.catalog, sequence) {
        let column = &relation.columns[column];
        let integer = matches!(column.ty.oid, oid::INT2 | oid::INT4 | oid::INT8);
        if integer && column.codec == Codec::Identity {
            let sql = format!(
                "SELECT {}({}) FROM \"public\".{}",
                if up { "max" } else { "min" },
                quoted(&column.sqlite_name),
                quoted(&relation.sqlite_name)
            );
            raise(connection.query_integer(&sql, &[])?);
        }
        if up && has_table(cut, "sqlite_sequence")? {
            let sql = "SELECT seq FROM \"public\".sqlite_sequence WHERE name = ?1 COLLATE NOCASE";
            let name = Cell::Text(relation.sqlite_name.clone());
            raise(connection.query_integer(sql, &[name])?);
        }
    }
    // Values from before the sequence's range do not count.
    let issued = highest.filter(|h| if up { *h >= sequence.min } else { *h <= sequence.max });
    let (value, called) = match issued {
        Some(value) => (value.clamp(sequence.min, sequence.max), true),
        None => (first.clamp(sequence.min, sequence.max), false),
    };
    let end = if up { sequence.max } else { sequence.min };
    let beyond = value
        .checked_add(sequence.increment)
        .is_none_or(|next| if up { next > end } else { next < end });
    Ok(Value {
        sequence: sequence.name.clone(),
        owned_by: sequence.owned_by.clone(),
        value,
        called,
        exhausted: called && beyond && !sequence.cycle,
    })
}

fn has_table(cut: &Snapshot, name: &str) -> Result<bool> {
    let sql = "SELECT 1 FROM \"public\".sqlite_schema WHERE type = 'table' AND name = ?1";
    Ok(cut.connection.query_integer(sql, &[Cell::Text(name.to_owned())])?.is_some())
}

fn owner<'a>(catalog: &'a Catalog, sequence: &Sequence) -> Option<(&'a Relation, usize)> {
    let (table, column) = sequence.owned_by.as_ref()?;
    let relation = catalog.relation(table)?;
    Some((relation, relation.column(column)?))
}

/// Sets PostgreSQL's sequences; what could not be set.
///
/// # Errors
/// Only when the connection is lost.
pub(super) async fn sequences(env: &Env<'_>, values: &[Value]) -> Result<Vec<Finding>> {
    let control = env.control;
    let mut findings = Vec::new();
    let refused = |table: &String| env.copied.get(table).is_some_and(|c| c.refused.is_some());
    for value in values {
        if value.owned_by.as_ref().is_some_and(|(table, _)| refused(table)) {
            continue;
        }
        let mut add = |message: String| {
            findings.push(Finding {
                table: value.owned_by.as_ref().map_or_else(String::new, |(t, _)| t.clone()),
                object: format!("sequence {:?}", value.sequence),
                message,
                blocking: false,
                missing: Missing::Nothing,
            });
        };
        let name = name::quoted(&value.sequence);
        let (table, column) = match &value.owned_by {
            Some((table, column)) => (name::quoted(table), column.clone()),
            None => (String::new(), String::new()),
        };
        let owner = (!table.is_empty()).then_some((table.as_str(), column.as_str()));
        // The application's own table may call its sequence otherwise.
        let Some(found) = counterpart(control, &name, owner).await? else {
            add("PostgreSQL has no such sequence".to_owned());
            continue;
        };
        let sql = "SELECT setval($1::text::regclass, $2, $3)";
        let set = control.client().query(sql, &[&found, &value.value, &value.called]).await;
        match set {
            Ok(_) if value.exhausted => add("the sequence has come to its end".to_owned()),
            Ok(_) => {}
            Err(error) => {
                let error = control.error(&error);
                alive(control, &error)?;
                add(format!("PostgreSQL refuses its value: {}", error.message()));
            }
        }
    }
    Ok(findings)
}
