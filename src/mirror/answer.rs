//! One read, asked of the shadow at the cut, and what a difference amounts to.
//!
//! On a difference only, each side is asked again at the same cut: a side that disagrees with
//! itself is volatile. What is left over has one of these causes: PostgreSQL is known not to hold
//! what the primary holds (quarantine, a refused table): not compared; more than one answer is
//! right: ambiguous, unless a row is none of those the statement may choose from; or it is proven
//! different. Start at [`At::found`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join3;
use futures_util::{StreamExt, pin_mut};
use parking_lot::Mutex;
use tokio_postgres::types::{ToSql, Type as PgType};

use super::Shared;
use super::other_types;
use super::reads::{ReadSample, parameters, rows_of, unchanged};
use crate::backend::Position;
use crate::backend::postgres::apply::{Prepared, pg_type};
use crate::backend::postgres::binary::{Binary, row_of};
use crate::backend::postgres::control::{Control, set_local};
use crate::backend::postgres::{copied, quarantine};
use crate::backend::sqlite::functions::session::Scope;
use crate::backend::sqlite::{blocking, owned};
use crate::compare::{self, Difference, Row, Verdict};
use crate::divergence::Sample;
use crate::error::{Error, Result, state};
use crate::journal;
use crate::sql::plan::{Action, Plan, QueryPlan};
use crate::value::composite::{element_numbered_apart, is_numbered_apart};
use crate::value::{Cell, Type, oid};

/// A connection that compares, with its prepared statements.
pub(super) type Reader = Prepared;

pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
pub(super) const POSITION: &str = "SELECT position FROM crossfade.state";

/// The first answer at a cut.
pub(super) enum Asked {
    /// Its rows; None for more than the limit.
    Answer(Option<Vec<Row>>),
    /// It failed.
    Failed,
    /// Nothing was asked.
    No,
}

/// When the last answer of a flight was complete: what passes until the next one is complete is
/// that one's time.
#[derive(Default)]
pub(super) struct Turn(Mutex<Option<Instant>>);

impl Turn {
    /// An answer is complete; how long it took, unless it was the flight's first: that has waited
    /// for the network.
    pub(super) fn over(&self) -> Option<Duration> {
        let now = Instant::now();
        let since = self.0.lock().replace(now);
        since.map(|since| now.saturating_duration_since(since))
    }
}

/// A read under comparison: the shadow's snapshot at its position is open.
pub(super) struct At<'a> {
    pub(super) shared: &'a Shared,
    pub(super) control: &'a Control,
    pub(super) sample: &'a ReadSample,
    pub(super) query: &'a QueryPlan,
    pub(super) position: Position,
}

/// What came out of it.
pub(super) enum Found {
    /// Not compared, and why.
    Skipped(&'static str),
    /// Compared, and nothing is wrong.
    Verdict(&'static str),
    /// Proven different.
    Diverged(Box<Sample>),
}

/// What the shadow answered.
pub(super) enum Answer {
    Rows(Vec<Row>),
    Shape(&'static str, String),
    TooMany,
    Failed(Error),
}

impl At<'_> {
    /// Opens a snapshot and, where the statement can be prepared, asks in the same flight; where
    /// the snapshot stands.
    pub(super) async fn open(&self, reader: Option<&mut Reader>) -> Result<(Position, Asked)> {
        let ready = match reader {
            Some(reader) => match self.ready(reader).await {
                Some(ready) => Some((reader.get(POSITION, &[]).await?, ready)),
                None => None,
            },
            None => None,
        };
        let Some((position, (statement, params))) = ready else {
            self.control.batch(BEGIN).await?;
            return Ok((position_of(&self.control.rows(POSITION).await?), Asked::No));
        };
        let turn = Turn::default();
        let told = async {
            let rows = self.control.client().query(&position, &[]).await;
            turn.over();
            rows.map_err(|e| self.control.error(&e))
        };
        let answered = self.answered(&statement, &params, &turn);
        let (begun, told, answered) = join3(self.control.batch(BEGIN), told, answered).await;
        begun?;
        let asked = match answered? {
            Answer::Rows(rows) => Asked::Answer(Some(rows)),
            Answer::TooMany => Asked::Answer(None),
            Answer::Shape(..) | Answer::Failed(_) => Asked::Failed,
        };
        Ok((position_of(&told?), asked))
    }

    /// What it takes to ask in one flight; None where it must be asked step by step.
    pub(super) async fn ready(
        &self,
        reader: &mut Reader,
    ) -> Option<(tokio_postgres::Statement, Vec<Binary>)> {
        // Literals are read by the settings under which a statement is prepared.
        let text = self.query.postgres.as_deref().filter(|_| self.sample.settings.is_empty())?;
        let (types, params) = self.parameters().ok()?;
        let statement = reader.get(text, &types).await.ok()?;
        if shape(&self.sample.plan, &statement).is_some() {
            return None;
        }
        Some((statement, params))
    }

    /// Asks, unless that was done, and compares.
    pub(super) async fn found(
        &self,
        primary: &[Row],
        first: Option<Option<Vec<Row>>>,
    ) -> Result<Found> {
        if !self.sample.settings.is_empty() {
            self.control.batch(&set_local(&self.sample.settings)).await?;
        }
        let text = self.query.postgres.as_deref().unwrap_or_default();
        let first = match first {
            Some(Some(rows)) => Answer::Rows(rows),
            Some(None) => Answer::TooMany,
            None => self.ask(text).await?,
        };
        let shadow = match first {
            Answer::Rows(rows) => rows,
            Answer::TooMany => return Ok(Found::Skipped("too_large")),
            Answer::Shape(class, what) => return self.other(class, what, None).await,
            Answer::Failed(error) => {
                let what = error.message().to_owned();
                return self.other("error_shadow_only", what, Some(&error)).await;
            }
        };
        match self.compare(primary, &shadow) {
            Verdict::Diverged(difference) => self.differs(primary, &shadow, &difference).await,
            Verdict::Ambiguous => self.ambiguous(primary, &shadow).await,
            verdict => Ok(Found::Verdict(verdict.label())),
        }
    }

    fn types(&self) -> Vec<Type> {
        self.sample.plan.columns.iter().map(|c| c.ty).collect()
    }

    fn compare(&self, a: &[Row], b: &[Row]) -> Verdict {
        compared(self.shared, self.sample, self.query, a, b)
    }

    /// The rows differ: whether each side still says so.
    async fn differs(
        &self,
        primary: &[Row],
        shadow: &[Row],
        difference: &Difference,
    ) -> Result<Found> {
        if self.is_known().await? {
            return Ok(Found::Skipped("unsupported"));
        }
        let text = self.query.postgres.as_deref().unwrap_or_default();
        let same = |verdict: &Verdict| matches!(verdict, Verdict::Match | Verdict::MatchNormalized);
        match self.ask(text).await? {
            Answer::Rows(again) if same(&self.compare(shadow, &again)) => {}
            _ => return Ok(Found::Verdict("volatile")),
        }
        if let Some(again) = self.primary_again().await?
            && !same(&self.compare(primary, &again))
        {
            return Ok(Found::Verdict("volatile"));
        }
        self.diverged(difference).await
    }

    /// More than one answer is right. Of one LIMIT alone it is known which rows may come.
    async fn ambiguous(&self, primary: &[Row], shadow: &[Row]) -> Result<Found> {
        let Some(text) = &self.query.unlimited else { return Ok(Found::Verdict("ambiguous")) };
        let types = self.types();
        let float = |ty: &Type| matches!(ty.oid, oid::FLOAT4 | oid::FLOAT8);
        if self.shared.settings.float_ulps > 0 && types.iter().any(float) {
            // Which rows are the same is then not known by their values.
            return Ok(Found::Verdict("ambiguous"));
        }
        let outside = match compare::cut(&self.query.order, &types, primary, shadow) {
            Some(difference) => Some(difference),
            None => match self.ask(text).await? {
                Answer::Rows(all) => compare::outside(&types, primary, &all),
                _ => None,
            },
        };
        match outside {
            Some(difference) => self.differs_beyond(&difference).await,
            None => Ok(Found::Verdict("ambiguous")),
        }
    }

    async fn differs_beyond(&self, difference: &Difference) -> Result<Found> {
        if self.is_known().await? {
            return Ok(Found::Skipped("unsupported"));
        }
        self.diverged(difference).await
    }

    async fn diverged(&self, difference: &Difference) -> Result<Found> {
        let types = self.types();
        let mut found = self.evidence(difference.class, difference.message.clone());
        let side = |row: &Option<Row>| -> Vec<Option<String>> {
            let text = |c: &usize, r: &Row| compare::text(&r[*c], types[*c]);
            row.as_ref()
                .map_or_else(Vec::new, |r| difference.columns.iter().map(|c| text(c, r)).collect())
        };
        found.primary = side(&difference.primary);
        found.shadow = side(&difference.shadow);
        let name = |c: &usize| self.sample.plan.columns[*c].name.clone();
        found.columns = difference.columns.iter().map(name).collect();
        self.with_plans(&mut found).await;
        Ok(Found::Diverged(Box::new(found)))
    }

    /// An error or another shape of the answer.
    async fn other(
        &self,
        class: &'static str,
        message: String,
        error: Option<&Error>,
    ) -> Result<Found> {
        if error.is_some() {
            // An error has ended the snapshot's transaction; what is known of the tables is not
            // the snapshot's business.
            self.control.batch("ROLLBACK; BEGIN").await?;
        }
        if self.is_known().await? {
            return Ok(Found::Skipped("unsupported"));
        }
        if let Some(error) = error {
            let catalog = self.shared.sqlite.catalog();
            let tables = self.query.reads.iter().map(String::as_str);
            if other_types::explain(self.control, &catalog, error, tables).await? {
                return Ok(Found::Skipped(other_types::REASON));
            }
        }
        if error.is_some() && self.query.unordered_limit {
            return Ok(Found::Verdict("ambiguous"));
        }
        let mut found = self.evidence(class, message);
        found.shadow_sqlstate = error.map(|e| e.sqlstate().to_string());
        if error.is_none() {
            self.with_plans(&mut found).await;
        }
        Ok(Found::Diverged(Box::new(found)))
    }

    /// Whether PostgreSQL is known to lack something of the tables read.
    async fn is_known(&self) -> Result<bool> {
        let tables: Vec<&String> = self.query.reads.iter().collect();
        if tables.is_empty() {
            return Ok(false);
        }
        let marks = copied::load(self.control).await?;
        let refused = |t: &&String| marks.get(t.as_str()).is_some_and(|m| m.refused.is_some());
        Ok(tables.iter().any(refused) || quarantine::holds_any(self.control, &tables).await?)
    }

    pub(super) fn evidence(&self, class: &str, message: String) -> Sample {
        Sample {
            class: class.to_owned(),
            fingerprint: self.sample.plan.fingerprint.text.clone(),
            table: self.query.reads.first().cloned(),
            tables: self.query.reads.iter().skip(1).cloned().collect(),
            sqlite_sql: Some(self.query.sqlite.clone()),
            postgres_sql: self.query.postgres.clone(),
            parameters: parameters(&self.sample.params, &self.sample.plan.params),
            position_primary: self.position.0,
            position_shadow: self.position.0,
            message,
            ..Sample::default()
        }
    }

    /// How each side would run it; only for samples that are kept. A plan that cannot be had is
    /// left out.
    pub(super) async fn with_plans(&self, found: &mut Sample) {
        if !self.shared.store.keeps(found) {
            return;
        }
        let text = format!("EXPLAIN {}", self.query.postgres.as_deref().unwrap_or_default());
        if let Ok(Some((statement, params))) = self.prepared(&text).await {
            let rows = self.control.client().query(&statement, &borrowed(&params)).await;
            found.shadow_plan = rows.into_iter().flatten().map(|row| row.get(0)).collect();
        }
        found.primary_plan = self.primary_plan().await.unwrap_or_default();
    }

    async fn primary_plan(&self) -> Result<Vec<String>> {
        let reader = self.shared.sqlite.reader(None).await?;
        blocking(|| {
            let text = format!("EXPLAIN QUERY PLAN {}", self.query.sqlite);
            let mut statement = reader.prepare(&text)?;
            let mut lines = Vec::new();
            while statement.step()? {
                if let Cell::Text(line) = owned(statement.column(3))? {
                    lines.push(line);
                }
            }
            Ok(lines)
        })
    }

    /// The primary's answer once more, when its cut can still be had: nothing it reads has
    /// changed since.
    async fn primary_again(&self) -> Result<Option<Vec<Row>>> {
        let Self { shared, sample, query, position, .. } = *self;
        let now = shared.sqlite.position();
        if now != position && !unchanged(shared, &query.reads, position, now).await? {
            return Ok(None);
        }
        let reader = shared.sqlite.reader(None).await?;
        reader.set_deadline(Some(Instant::now() + shared.settings.timeout));
        let answered = blocking(|| {
            let _scope = Scope::enter(Arc::clone(&sample.scope));
            reader.execute("BEGIN", &[])?;
            if journal::position(&reader)? != now {
                return Ok(None);
            }
            let mut statement = reader.prepare(&query.sqlite)?;
            let wanted = statement.parameter_count();
            let cells = sample.params.iter().chain(&sample.frozen);
            for (i, cell) in cells.enumerate().take(wanted) {
                statement.bind(i + 1, cell.as_ref())?;
            }
            let mut rows = Vec::new();
            while statement.step()? {
                if rows.len() > shared.settings.row_limit {
                    return Ok(None);
                }
                let columns = 0..sample.plan.columns.len();
                rows.push(columns.map(|i| owned(statement.column(i))).collect::<Result<_>>()?);
            }
            Ok::<_, Error>(Some(rows))
        });
        reader.set_deadline(None);
        if reader.in_transaction() {
            blocking(|| reader.execute("COMMIT", &[]))?;
        }
        // A primary that fails now and did not before says nothing.
        let Ok(Some(rows)) = answered else { return Ok(None) };
        rows_of(sample, query, &rows).map(Some)
    }

    async fn prepared(
        &self,
        text: &str,
    ) -> Result<Option<(tokio_postgres::Statement, Vec<Binary>)>> {
        let (types, params) = match self.parameters() {
            Ok((types, params)) => (types, Some(params)),
            // What we cannot send is no answer of the shadow.
            Err(_) => (self.parameter_types(), None),
        };
        let pg_types: Option<Vec<PgType>> = types.iter().map(|t| pg_type(*t)).collect();
        let Some(pg_types) = pg_types else { return Ok(None) };
        let statement = self
            .control
            .client()
            .prepare_typed(text, &pg_types)
            .await
            .map_err(|e| self.control.error(&e))?;
        Ok(params.map(|params| (statement, params)))
    }

    fn parameter_types(&self) -> Vec<Type> {
        let frozen = self.query.frozen.iter().map(|f| f.ty);
        self.sample.plan.params.iter().copied().chain(frozen).collect()
    }

    fn parameters(&self) -> Result<(Vec<Type>, Vec<Binary>)> {
        let types = self.parameter_types();
        let values = self.sample.params.iter().chain(&self.sample.frozen).zip(&types);
        let params: Result<Vec<Binary>> =
            values.map(|(cell, ty)| Binary::logical(cell, *ty)).collect();
        params.map(|params| (types, params))
    }

    async fn ask(&self, text: &str) -> Result<Answer> {
        let (statement, params) = match self.prepared(text).await {
            Ok(Some(prepared)) => prepared,
            Ok(None) => return Err(Error::unsupported("a parameter's type")),
            Err(error) => return failed(error),
        };
        if let Some((class, difference)) = shape(&self.sample.plan, &statement) {
            return Ok(Answer::Shape(class, difference));
        }
        let began = Instant::now();
        let answer = self.answered(&statement, &params, &Turn::default()).await?;
        if matches!(answer, Answer::Rows(_)) {
            // The way there and back is in it.
            let fingerprint = self.sample.plan.fingerprint.id;
            self.shared.shapes.shadow_took(fingerprint, began.elapsed(), None);
        }
        Ok(answer)
    }

    pub(super) async fn answered(
        &self,
        statement: &tokio_postgres::Statement,
        params: &[Binary],
        turn: &Turn,
    ) -> Result<Answer> {
        let rows = match self.control.client().query_raw(statement, borrowed(params)).await {
            Ok(rows) => rows,
            Err(error) => {
                turn.over();
                return failed(self.control.error(&error));
            }
        };
        pin_mut!(rows);
        let columns = self.types();
        let mut answer = Vec::new();
        while let Some(row) = rows.next().await {
            match row {
                Ok(row) if answer.len() <= self.shared.settings.row_limit => {
                    answer.push(row_of(&row, &columns)?);
                }
                Ok(_) => return Ok(Answer::TooMany),
                Err(error) => {
                    turn.over();
                    return failed(self.control.error(&error));
                }
            }
        }
        if let Some(took) = turn.over() {
            self.shared.took(self.sample.plan.fingerprint.id, took);
        }
        Ok(Answer::Rows(answer))
    }
}

fn borrowed(params: &[Binary]) -> Vec<&(dyn ToSql + Sync)> {
    params.iter().map(|p| p as &(dyn ToSql + Sync)).collect()
}

/// Compares two answers to a read.
pub(super) fn compared(
    shared: &Shared,
    sample: &ReadSample,
    query: &QueryPlan,
    a: &[Row],
    b: &[Row],
) -> Verdict {
    let types: Vec<Type> = sample.plan.columns.iter().map(|c| c.ty).collect();
    let ulps = shared.settings.float_ulps;
    compare::rows(&query.order, query.unordered_limit, &types, a, b, ulps)
}

/// Where a snapshot stands.
pub(super) fn position_of(rows: &[tokio_postgres::Row]) -> Position {
    let seen = rows.first().map_or(0, |row| row.get::<_, i64>(0));
    Position(u64::try_from(seen).unwrap_or(0))
}

/// Reports a read that PostgreSQL did not answer in time; other errors say nothing.
pub(super) fn too_late(shared: &Shared, sample: &ReadSample, error: &Error) {
    let Action::Query(query) = &sample.plan.action else { return };
    // The same code tells that a person has cancelled it.
    let by_limit = error.message().contains("statement timeout");
    if error.sqlstate() != state::QUERY_CANCELED || !by_limit {
        return;
    }
    let position = sample.position.map_or(0, |p| p.0);
    shared.store.record(Sample {
        class: "timeout".to_owned(),
        fingerprint: sample.plan.fingerprint.text.clone(),
        table: query.reads.first().cloned(),
        tables: query.reads.iter().skip(1).cloned().collect(),
        postgres_sql: query.postgres.clone(),
        shadow_sqlstate: Some(error.sqlstate().to_string()),
        position_primary: position,
        position_shadow: position,
        message: format!(
            "PostgreSQL did not answer within {} ms",
            shared.settings.timeout.as_millis()
        ),
        ..Sample::default()
    });
}

/// An error of the statement is an answer; one of the moment or the connection is not.
fn failed(error: Error) -> Result<Answer> {
    if super::failures::proves_nothing(&error) {
        return Err(error);
    }
    Ok(Answer::Failed(error))
}

/// Whether a type has another OID on each side.
pub(super) fn has_own_oid(ty: Type) -> bool {
    is_numbered_apart(ty.oid) || element_numbered_apart(ty.oid).is_some()
}

/// What differs in the columns' number or types.
fn shape(plan: &Plan, statement: &tokio_postgres::Statement) -> Option<(&'static str, String)> {
    let theirs = statement.columns();
    if theirs.len() != plan.columns.len() {
        let what = format!("{} columns instead of {}", theirs.len(), plan.columns.len());
        return Some(("column_shape", what));
    }
    plan.columns.iter().zip(theirs).find_map(|(ours, theirs)| {
        let oid = theirs.type_().oid();
        // Enum types have OIDs of their own on each side.
        (ours.ty.oid != oid && !has_own_oid(ours.ty)).then(|| {
            let what = format!("column {} is of type {oid} instead of {}", ours.name, ours.ty.oid);
            ("type_oid", what)
        })
    })
}
