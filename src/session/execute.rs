//! One statement: from its plan's action to the code that does it.

use std::sync::Arc;

use super::observer::Finished;
use super::query::{Call, Running};
use super::reply::{self, Tag};
use super::{Session, Step, Stop};
use crate::backend::sqlite::draws::Draws;
use crate::backend::sqlite::functions::session::{Session as Scope, Watch};
use crate::error::Error;
use crate::sql::ast::Statement;
use crate::sql::plan::{Action, Plan, QueryKind};
use crate::value::{Cell, Format};
use crate::wire::write;

/// One execution.
pub(super) struct Request {
    pub(super) plan: Arc<Plan>,
    /// The plan of a query inside the statement, when it was made at Parse.
    pub(super) inner: Option<Arc<Plan>>,
    pub(super) params: Arc<[Cell]>,
    pub(super) formats: Arc<[Format]>,
    /// Send RowDescription first (simple protocol).
    pub(super) describe: bool,
}

/// Transaction control passes in a failed block and begins nothing.
pub(super) fn is_control(statement: &Statement) -> bool {
    matches!(statement, Statement::Transaction(_))
}

impl Session {
    /// Runs a statement to its end, rows included; the tag is for the caller to send.
    pub(super) async fn execute(&mut self, request: Request) -> Step<Tag> {
        let plan = Arc::clone(&request.plan);
        if matches!(plan.action, Action::Query(_)) {
            // Queries tell the observer themselves: portals run them in pieces.
            return self.execute_action(request).await;
        }
        let began = self.shared.clock.instant();
        let outcome = self.execute_action(request).await;
        let now = self.shared.clock.instant();
        let took = now.duration_since(began);
        self.card.traffic.statements(1, now, took);
        let error = match &outcome {
            Err(Stop::Error(error)) => Some(error),
            _ => None,
        };
        self.shared.observer.finished(Finished { plan: &plan, rows: 0, took, error });
        outcome
    }

    async fn execute_action(&mut self, request: Request) -> Step<Tag> {
        let plan = Arc::clone(&request.plan);
        match &plan.action {
            Action::Empty => Err(Error::internal("an empty statement was run").into()),
            Action::Query(query) => {
                self.enter().await?;
                let describe =
                    request.describe && (!plan.columns.is_empty() || query.tag == "SELECT");
                let Request { params, formats, .. } = request;
                let call = Call { plan: Arc::clone(&plan), params, formats };
                self.describe_next = describe;
                // PostgreSQL computes constants when it plans: their errors come before the
                // description, those of functions of the session after it. What writes runs to
                // its end before its rows are described.
                let steady = query.reads.is_empty() && query.frozen.is_empty();
                if describe && !steady && query.kind != QueryKind::Write {
                    self.describe_rows(&call);
                }
                let outcome = self.query(&call).await;
                self.describe_next = false;
                outcome
            }
            Action::Explain(query, explain) => {
                self.enter().await?;
                let describe = request.describe.then_some(&*request.formats);
                self.explain((&plan, query), explain, &request.params, describe).await
            }
            Action::Ddl(ddl) => {
                self.enter().await?;
                self.ddl(ddl, &plan).await
            }
            Action::Copy(copy) => {
                self.enter().await?;
                if copy.from { self.copy_in(copy).await } else { self.copy_out(copy).await }
            }
            Action::Session(statement) => {
                if !is_control(statement) {
                    self.enter().await?;
                }
                // Boxed: EXECUTE comes back here.
                Box::pin(self.command(statement, &plan, request)).await
            }
        }
    }

    /// Appends RowDescription, once for a statement that asked for it.
    pub(super) fn describe_rows(&mut self, call: &Call) {
        if std::mem::take(&mut self.describe_next) {
            reply::describe_columns(self.io.out(), &call.plan.columns, &call.formats);
        }
    }

    /// The session as SQL functions see it while a statement is stepped.
    pub(super) fn scope(&self) -> Arc<Scope> {
        self.scope_drawing(None, 0)
    }

    /// The session as a running statement's functions see it.
    pub(super) fn scope_of(&self, running: &Running) -> Arc<Scope> {
        self.scope_drawing(running.draws.as_ref(), running.turn)
    }

    /// The session as the functions of a statement see it that may move sequences.
    pub(super) fn scope_drawing(&self, draws: Option<&Arc<Draws>>, turn: u64) -> Arc<Scope> {
        let mut style = self.labelled(&self.settings.derived().style);
        style.now = Some(self.transaction.started);
        Arc::new(Scope {
            style,
            path: Some(Arc::clone(&self.settings.derived().search_path)),
            turn,
            catalog: self.transaction.catalog.clone(),
            temporary: Arc::clone(self.temporary()),
            draws: draws.map(Arc::clone),
            clock: Some(Watch(self.shared.clock.clone())),
            requests: Some(Arc::clone(&self.requests)),
            signals: Some(self.signals.clone()),
            alarm: Some(self.alarm.clone()),
            deadline: self.deadline,
        })
    }

    /// Appends CommandComplete.
    pub(super) fn complete(&mut self, tag: &str) {
        write::command_complete(self.io.out(), tag);
    }
}
