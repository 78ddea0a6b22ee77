//! The extended query protocol: Parse, Bind, Describe, Execute, Close, Flush, Sync.
//!
//! Describe never executes. After an error everything up to Sync is skipped. A run up to
//! Sync outside a block is one implicit transaction, committed at Sync.

use std::sync::Arc;

use super::execute::{Request, is_control};
use super::portal::{Portal, Progress};
use super::prepared::{Prepared, ends_transaction};
use super::query::{self, Call, Ended};
use super::spool::Spool;
use super::transaction::{Block, aborted};
use super::{OUTPUT_BYTES, Session, Step, Stop, reply};
use crate::error::{Error, state};
use crate::sql::plan::{Action, QueryKind};
use crate::value::{Cell, Format};
use crate::wire::{Bind, Frontend, Parse, Target, write};

impl Session {
    /// Handles one message of the extended protocol.
    pub(super) async fn extended(&mut self, message: Frontend) -> Step<()> {
        if matches!(message, Frontend::Sync) {
            return self.sync().await;
        }
        if self.skipping {
            return Ok(());
        }
        // A function call is a query of its own: answered with ReadyForQuery.
        let own_ready = matches!(
            message,
            Frontend::FunctionCall(_) | Frontend::Malformed { kind: b'Q' | b'F', .. }
        );
        let execute = match &message {
            Frontend::Execute { portal, max_rows } => Some((portal.clone(), *max_rows)),
            _ => None,
        };
        let mut outcome = self.extended_message(message).await;
        if let (Err(Stop::Move), Some((portal, max_rows))) = (&outcome, &execute) {
            outcome = match self.move_execute(portal, *max_rows).await {
                Ok(()) => return Ok(()),
                Err(stop) => Err(stop),
            };
        }
        match outcome {
            Ok(()) => Ok(()),
            Err(stop @ (Stop::Gone | Stop::Move)) => Err(stop),
            Err(Stop::Error(error)) => {
                let error = self.describe(error);
                self.fail();
                if error.fields().fatal {
                    return Err(error.into());
                }
                self.io.error(&error);
                if own_ready {
                    self.ready();
                } else {
                    self.skipping = true;
                }
                // At once: some clients wait for the error before they send Sync.
                self.flush().await
            }
        }
    }

    async fn sync(&mut self) -> Step<()> {
        self.skipping = false;
        if matches!(self.transaction.block, Block::Implicit | Block::Idle) {
            match self.commit().await {
                Ok(()) => {}
                Err(Stop::Error(error)) => {
                    self.fail();
                    self.io.error(&error);
                }
                Err(gone) => return Err(gone),
            }
            self.portals.end_transaction();
        }
        self.deadline = None;
        self.leave_gate();
        self.ready();
        self.flush().await
    }

    async fn extended_message(&mut self, message: Frontend) -> Step<()> {
        match message {
            Frontend::Parse(parse) => self.parse(&parse).await,
            Frontend::Bind(bind) => self.bind(&bind).await,
            Frontend::Describe { target, name } => self.describe_target(target, &name).await,
            Frontend::Execute { portal, max_rows } => {
                self.start_clock();
                self.execute_portal(&portal, u64::from(max_rows)).await
            }
            Frontend::Close { target, name } => {
                match target {
                    Target::Statement => self.statements.remove(&name),
                    Target::Portal => self.portals.remove(&name),
                };
                write::close_complete(self.io.out());
                Ok(())
            }
            Frontend::Flush => self.flush().await,
            Frontend::FunctionCall(call) => self.function_call(&call).await,
            Frontend::Malformed { error, .. } => Err(error.into()),
            _ => Err(Error::internal("unexpected message").into()),
        }
    }

    async fn parse(&mut self, parse: &Parse) -> Step<()> {
        self.message_at = self.shared.clock.postgres_micros();
        if parse.name.is_empty() {
            self.statements.remove("");
        }
        let types: Vec<u32> = parse
            .types
            .iter()
            .map(|t| if *t == crate::value::oid::UNKNOWN { 0 } else { *t })
            .collect();
        let prepared = self.prepare_text(&parse.sql, &types)?;
        self.statements.insert(&parse.name, prepared)?;
        write::parse_complete(self.io.out());
        Ok(())
    }

    async fn bind(&mut self, bind: &Bind) -> Step<()> {
        let prepared = self.statements.get(&bind.statement)?;
        self.check_block(&prepared)?;
        let prepared = self.fresh(&bind.statement, &prepared)?;
        let types = prepared.params();
        if bind.len() != types.len() {
            return Err(Error::client(
                state::PROTOCOL_VIOLATION,
                format!(
                    "bind message supplies {} parameters, but prepared statement \"{}\" requires {}",
                    bind.len(),
                    bind.statement.as_str(),
                    types.len()
                ),
            )
            .into());
        }
        let mut params = Vec::with_capacity(types.len());
        let derived = Arc::clone(self.settings.derived());
        for (i, ty) in types.iter().enumerate() {
            let cell = match bind.value(i) {
                None => Cell::Null,
                Some(bytes) => {
                    let format = bind.parameter_format(i);
                    let read = self.parameter(*ty, format, bytes, &derived.style);
                    read.map_err(|e| e.context(parameter_context(&bind.portal, i, format)))?
                }
            };
            params.push(cell);
        }
        let formats: Arc<[Format]> = match self.result_columns(&prepared)? {
            Some(columns) => bind.result_formats(columns.len())?.into(),
            None => Arc::from([]),
        };
        let params: Arc<[Cell]> = params.into();
        let call = match &prepared.plan {
            Some(plan) if matches!(plan.action, Action::Query(_)) => Some(Call {
                plan: Arc::clone(plan),
                params: Arc::clone(&params),
                formats: Arc::clone(&formats),
            }),
            _ => None,
        };
        let depth = self.transaction.depth();
        let portal = Portal::new(prepared, call, params, formats, depth, bind.body().clone());
        self.portals.insert(&bind.portal, portal)?;
        write::bind_complete(self.io.out());
        Ok(())
    }

    fn check_block(&self, prepared: &Prepared) -> Step<()> {
        let failed = self.transaction.block == Block::Failed;
        if failed && !prepared.statement().is_none_or(ends_transaction) {
            return Err(aborted().into());
        }
        Ok(())
    }

    async fn describe_target(&mut self, target: Target, name: &str) -> Step<()> {
        match target {
            Target::Statement => {
                let prepared = self.statements.get(name)?;
                self.check_block(&prepared)?;
                let prepared = self.fresh(name, &prepared)?;
                let columns = self.result_columns(&prepared)?;
                prepared.described();
                let types = prepared.told().into_iter();
                write::parameter_description(self.io.out(), types);
                self.columns_or_none(columns.as_deref(), &[]);
            }
            Target::Portal => {
                if let Ok(cursor) = self.portals.cursor(name) {
                    let plan = Arc::clone(&cursor.plan);
                    self.columns_or_none(Some(&plan.columns), &[]);
                    return Ok(());
                }
                let portal = self.portals.get(name)?;
                let (prepared, formats) =
                    (Arc::clone(&portal.prepared), Arc::clone(&portal.formats));
                self.check_block(&prepared)?;
                let columns = self.result_columns(&prepared)?;
                self.columns_or_none(columns.as_deref(), &formats);
            }
        }
        Ok(())
    }

    fn columns_or_none(&mut self, columns: Option<&[crate::sql::ir::Output]>, formats: &[Format]) {
        match columns {
            Some(columns) => reply::describe_columns(self.io.out(), columns, formats),
            None => write::no_data(self.io.out()),
        }
    }

    async fn execute_portal(&mut self, name: &str, max_rows: u64) -> Step<()> {
        let prepared = Arc::clone(&self.portals.get(name)?.prepared);
        if prepared.plan.is_some() {
            self.check_block(&prepared)?;
        }
        let mut portal = self.portals.take(name)?;
        self.card.asks(portal.prepared.text());
        let Some(plan) = portal.prepared.plan.clone() else {
            write::empty_query(self.io.out());
            self.portals.put(name, portal);
            return Ok(());
        };
        let progress = std::mem::replace(&mut portal.progress, Progress::Broken);
        let outcome = match progress {
            Progress::Ready => self.first_execute(&portal, plan, max_rows).await,
            Progress::Live(running) => self.resume(&portal, running, max_rows).await,
            Progress::Aside(spool, next) => self.from_spool(&portal, spool, next, max_rows).await,
            Progress::Done(tag) => self.again(name, tag),
            Progress::Broken => Err(Error::client(
                state::OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("portal \"{name}\" cannot be run"),
            )
            .into()),
        };
        match outcome {
            Ok(progress) => {
                match &progress {
                    Progress::Done(tag) => self.complete(&tag.clone()),
                    _ => write::portal_suspended(self.io.out()),
                }
                portal.progress = progress;
                // A commit inside has ended the portals of its transaction.
                if self.transaction.block != Block::Idle {
                    self.portals.put(name, portal);
                }
                Ok(())
            }
            Err(Stop::Move) => {
                // Nothing has run: it runs on PostgreSQL.
                portal.progress = Progress::Ready;
                self.portals.put(name, portal);
                Err(Stop::Move)
            }
            Err(stop) => {
                if self.transaction.block == Block::Open {
                    self.portals.put(name, portal);
                }
                Err(stop)
            }
        }
    }

    async fn first_execute(
        &mut self,
        portal: &Portal,
        plan: Arc<crate::sql::plan::Plan>,
        max_rows: u64,
    ) -> Step<Progress> {
        if !portal.prepared.statement().is_some_and(is_control) {
            self.enter().await?;
        }
        let Some(call) = portal.call.as_ref().filter(|_| max_rows > 0) else {
            let request = Request {
                plan,
                inner: portal.prepared.inner.clone(),
                params: Arc::clone(&portal.params),
                formats: Arc::clone(&portal.formats),
                describe: false,
            };
            return self.execute(request).await.map(Progress::Done);
        };
        let Action::Query(query) = &call.plan.action else {
            return Err(Error::internal("not a query").into());
        };
        if query.kind == QueryKind::Write && !call.plan.columns.is_empty() {
            // RETURNING: all changes first, as in PostgreSQL; the rows are handed out.
            let mut spool = Box::<Spool>::default();
            self.query_into(call, &mut spool).await?;
            return self.from_spool(portal, spool, 0, max_rows).await;
        }
        match self.query_rows(call, max_rows).await? {
            Ended::Done(rows, changed) => Ok(Progress::Done(query::tag(query, rows, changed))),
            Ended::Suspended(_, running) => Ok(Progress::Live(Box::new(running))),
        }
    }

    async fn resume(
        &mut self,
        portal: &Portal,
        mut running: Box<query::Running>,
        max_rows: u64,
    ) -> Step<Progress> {
        let Some(call) = &portal.call else { return Err(Error::internal("no call").into()) };
        let Action::Query(query) = &call.plan.action else {
            return Err(Error::internal("not a query").into());
        };
        self.resume_clock(&running)?;
        let (rows, done) = self.continue_rows(call, query, &mut running, max_rows).await?;
        self.settle_draws(running.draws.as_deref())?;
        Ok(if done {
            Progress::Done(query::tag(query, rows, rows))
        } else {
            Progress::Live(running)
        })
    }

    async fn from_spool(
        &mut self,
        portal: &Portal,
        mut spool: Box<Spool>,
        mut next: u64,
        max_rows: u64,
    ) -> Step<Progress> {
        let Some(call) = &portal.call else { return Err(Error::internal("no call").into()) };
        let Action::Query(query) = &call.plan.action else {
            return Err(Error::internal("not a query").into());
        };
        let derived = Arc::clone(self.settings.derived());
        let first = next;
        while next < spool.len() && (max_rows == 0 || next - first < max_rows) {
            let out = self.io.out();
            spool.row(next, |cells| {
                reply::data_row(
                    out,
                    &call.plan.columns,
                    &query.codecs,
                    &call.formats,
                    &derived.style,
                    |i| cells[i],
                )
            })?;
            next += 1;
            if self.io.out().len() >= OUTPUT_BYTES {
                self.flush().await?;
            }
        }
        let sent = next - first;
        if next < spool.len() || (max_rows > 0 && sent == max_rows) {
            return Ok(Progress::Aside(spool, next));
        }
        Ok(Progress::Done(reply::counted(query.tag, sent)))
    }

    /// Execute on a portal that has ended: no more rows; what is not a query cannot run twice.
    fn again(&mut self, name: &str, tag: reply::Tag) -> Step<Progress> {
        if let Some(word) = tag.strip_prefix("SELECT ").map(|_| "SELECT") {
            return Ok(Progress::Done(reply::counted(word, 0)));
        }
        Err(Error::client(
            state::OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("portal \"{name}\" cannot be run"),
        )
        .into())
    }
}

/// As PostgreSQL says it; values are not shown.
fn parameter_context(portal: &str, index: usize, format: Format) -> String {
    let value = if format == Format::Text { " = '...'" } else { "" };
    if portal.is_empty() {
        format!("unnamed portal parameter ${}{value}", index + 1)
    } else {
        format!("portal \"{portal}\" parameter ${}{value}", index + 1)
    }
}
