//! The simple query protocol: a text of any number of statements, one implicit transaction.

use std::sync::Arc;

use super::execute::{Request, is_control};
use super::plans::{Entry, Plans, Text};
use super::prepared::ends_transaction;
use super::transaction::{Block, aborted};
use super::{Session, Step, Stop};
use crate::error::{Error, Result, state};
use crate::sql::plan::{Action, Plan};
use crate::sql::shape::Skeleton;
use crate::sql::{Mode, lexer};
use crate::value::Cell;
use crate::wire::write;

impl Session {
    /// Query: runs the text, answers ReadyForQuery, flushes.
    pub(super) async fn simple_query(&mut self, sql: &str) -> Step<()> {
        self.start_clock();
        self.card.asks(sql);
        // A new simple query ends the unnamed statement and portal.
        self.statements.remove("");
        self.portals.remove("");
        let mut begun = 0;
        let mut outcome = self.statements_of(sql, &mut begun).await;
        self.many = false;
        if matches!(outcome, Err(Stop::Move)) {
            let rest = sql.char_indices().nth(begun).map_or("", |(at, _)| &sql[at..]);
            outcome = match self.move_query(rest).await {
                Ok(()) => return Ok(()),
                Err(stop) => Err(stop),
            };
        }
        match outcome {
            Ok(()) => {}
            Err(Stop::Error(error)) => {
                let error = self.describe(error);
                self.fail();
                if error.fields().fatal {
                    return Err(error.into());
                }
                self.io.error(&error);
            }
            Err(other) => return Err(other),
        }
        self.leave_gate();
        self.deadline = None;
        self.ready();
        self.flush().await
    }

    /// Runs the statements; `begun` is where the current one begins, in characters.
    async fn statements_of(&mut self, sql: &str, begun: &mut usize) -> Step<()> {
        let shared = Arc::clone(&self.shared);
        let mode = self.settings.derived().dialect;
        if mode != Mode::Auto {
            let text = shared.plans.text(sql, mode)?;
            return self.each_statement(&text, begun).await;
        }
        let text = match shared.plans.found(sql) {
            Some(text) => text,
            None => {
                let skeleton = Skeleton::of(sql);
                if let Some(skeleton) = &skeleton
                    && self.known_shape(skeleton).await?
                {
                    return Ok(());
                }
                let text = Plans::parsed(sql)?;
                if let (Some(skeleton), [entry]) = (&skeleton, text.statements.as_slice())
                    && self.new_shape(skeleton, entry).await?
                {
                    return Ok(());
                }
                shared.plans.keep(sql, &text);
                text
            }
        };
        self.each_statement(&text, begun).await
    }

    /// Runs a text whose shape has a plan; whether it has.
    async fn known_shape(&mut self, skeleton: &Skeleton<'_>) -> Step<bool> {
        let shared = Arc::clone(&self.shared);
        if !shared.plans.shapes.knows(skeleton) {
            return Ok(false);
        }
        self.start_deadline();
        if self.transaction.block == Block::Failed {
            return Err(aborted().into());
        }
        self.enter().await?;
        let found = shared.plans.shapes.find(skeleton, self.sees(&self.catalog()));
        let Some(shaped) = found else { return Ok(false) };
        self.one(shaped.plan, shaped.params, true).await?;
        Ok(true)
    }

    /// Runs a statement by a plan for its shape, made now; whether there can be one.
    async fn new_shape(&mut self, skeleton: &Skeleton<'_>, entry: &Entry) -> Step<bool> {
        let parsed = &entry.parsed;
        if self.transaction.block == Block::Failed || is_control(&parsed.statement) {
            return Ok(false);
        }
        self.start_deadline();
        self.enter().await?;
        let shared = Arc::clone(&self.shared);
        let made = shared.plans.shapes.make(skeleton, parsed, self.sees(&self.catalog()));
        let Some(shaped) = made.map_err(|e| e.shifted(parsed.offset))? else { return Ok(false) };
        self.note_ambiguous(&shaped.plan);
        self.one(shaped.plan, shaped.params, true).await?;
        Ok(true)
    }

    async fn each_statement(&mut self, text: &Text, begun: &mut usize) -> Step<()> {
        let count = text.statements.len();
        if count == 0 {
            write::empty_query(self.io.out());
            return Ok(());
        }
        self.many = count > 1;
        for (i, entry) in text.statements.iter().enumerate() {
            let statement = &entry.parsed.statement;
            *begun = entry.parsed.offset as usize;
            // statement_timeout is for each statement of the text.
            self.start_deadline();
            if self.transaction.block == Block::Failed && !ends_transaction(statement) {
                return Err(aborted().into());
            }
            if !is_control(statement) {
                // Before planning: the plan is for what the transaction sees.
                self.enter().await?;
            }
            let plan = match self.call_temporary(entry).await? {
                Some(plan) => plan,
                None => self.plan(entry, &[])?,
            };
            no_parameters(&plan).map_err(|e| e.shifted(entry.parsed.offset))?;
            let is_ddl = matches!(plan.action, Action::Ddl(_));
            match self.one(plan, Arc::from([]), i + 1 == count).await {
                // Positions count from the start of the whole text.
                Err(Stop::Error(error)) if is_ddl => {
                    return Err(error.shifted(entry.parsed.offset).into());
                }
                other => other?,
            }
        }
        Ok(())
    }

    /// Runs one statement and completes it; the last one of a text commits.
    async fn one(&mut self, plan: Arc<Plan>, params: Arc<[Cell]>, last: bool) -> Step<()> {
        let formats = Arc::from([]);
        let request = Request { plan, inner: None, params, formats, describe: true };
        let written = self.io.out().len();
        let tag = match self.execute(request).await {
            Err(Stop::Move) => {
                // The description of rows that PostgreSQL will describe.
                self.io.out().truncate(written);
                return Err(Stop::Move);
            }
            other => other?,
        };
        if last && self.transaction.block == Block::Implicit {
            // Committed before it is announced.
            self.commit().await?;
        }
        self.complete(&tag);
        Ok(())
    }
}

/// A simple query gives no values: 42P02 for the first `$n` in it.
fn no_parameters(plan: &Plan) -> Result<()> {
    if plan.params.is_empty() {
        return Ok(());
    }
    let text = plan.text.as_str();
    let mut tokens = lexer::tokens(text);
    let Some(token) = tokens.find(|t| t.kind == lexer::Kind::Param) else { return Ok(()) };
    let before = text.get(..token.start).unwrap_or_default().chars().count();
    let name = text.get(token.start..token.end).unwrap_or_default();
    let message = format!("there is no parameter {name}");
    let position = u32::try_from(before + 1).unwrap_or(0);
    Err(Error::client(state::UNDEFINED_PARAMETER, message).at(position))
}
