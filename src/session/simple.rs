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
        let outcome = self.statements_of(sql).await;
        self.many = false;
        self.leave_gate();
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
            Err(Stop::Gone) => return Err(Stop::Gone),
        }
        self.deadline = None;
        self.ready();
        self.flush().await
    }

    async fn statements_of(&mut self, sql: &str) -> Step<()> {
        let text = self.shared.plans.text(sql)?;
        let count = text.statements.len();
        if count == 0 {
            write::empty_query(self.io.out());
            return Ok(());
        }
        self.many = count > 1;
        for (i, entry) in text.statements.iter().enumerate() {
            let statement = &entry.parsed.statement;
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
            let tag = self.execute(request).await?;
            if i + 1 == count && self.transaction.block == Block::Implicit {
                // Committed before it is announced.
                self.commit().await?;
            }
            self.complete(&tag);
        }
        Ok(())
    }
}
