//! The simple query protocol: a text of any number of statements, one implicit transaction.

use std::sync::Arc;

use super::execute::{Request, is_control};
use super::prepared::ends_transaction;
use super::transaction::{Block, aborted};
use super::{Session, Step, Stop};
use crate::wire::write;

impl Session {
    /// Query: runs the text, answers ReadyForQuery, flushes.
    pub(super) async fn simple_query(&mut self, sql: &str) -> Step<()> {
        self.start_clock();
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
        let text = self.shared.plans.text(sql)?;
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
            let plan = self.plan(entry, &[])?;
            let request = Request {
                plan,
                inner: None,
                params: Arc::from([]),
                formats: Arc::from([]),
                describe: true,
            };
            let written = self.io.out().len();
            let tag = match self.execute(request).await {
                Err(Stop::Move) => {
                    // The description of rows that PostgreSQL will describe.
                    self.io.out().truncate(written);
                    return Err(Stop::Move);
                }
                other => other?,
            };
            if i + 1 == count && self.transaction.block == Block::Implicit {
                // Committed before it is announced.
                self.commit().await?;
            }
            self.complete(&tag);
        }
        Ok(())
    }
}
