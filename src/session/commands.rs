//! Statements the session does by itself: transaction control, SET and SHOW, PREPARE and
//! EXECUTE, cursors, LISTEN and NOTIFY, LOCK, DISCARD.

use std::sync::Arc;

use tokio::task::block_in_place;

use super::cursor::Declaration;
use super::execute::Request;
use super::reply::{self, Tag};
use super::settings::{Settings, table};
use super::transaction::Block;
use super::{Session, Step, query};
use crate::backend::sqlite::violation;
use crate::error::{Error, Result, state};
use crate::sql::analyze;
use crate::sql::ast::{
    Dialect, Expr, ExprKind, Literal, Parsed, Select, SelectBody, SessionCommand, SimpleSelect,
    Statement, Target, Transaction, TypeName,
};
use crate::sql::ir::Output;
use crate::sql::plan::{Action, Plan};
use crate::value::{Cell, Format, Style, Type, oid, wire as codec};

impl Session {
    /// The columns a session statement answers, before it runs.
    pub(super) fn columns_of(&self, statement: &Statement) -> Result<Option<Vec<Output>>> {
        Ok(match statement {
            Statement::Session(SessionCommand::Show(name)) => Some(show_columns(name.as_deref())),
            Statement::Fetch { cursor, is_move: false, .. } => {
                Some(self.portals.cursor(cursor)?.plan.columns.clone())
            }
            Statement::Execute { name, .. } => {
                let prepared = self.statements.get(name)?;
                self.result_columns(&prepared)?
            }
            _ => None,
        })
    }

    /// Runs a session statement.
    pub(super) async fn command(
        &mut self,
        statement: &Statement,
        plan: &Plan,
        request: Request,
    ) -> Step<Tag> {
        match statement {
            Statement::Transaction(control) => self.transaction_control(control, &plan.text).await,
            Statement::Session(command) => self.session_command(command, request.describe).await,
            Statement::Prepare { name, types, statement, text } => {
                Ok(self.sql_prepare(name, types, statement, text)?)
            }
            Statement::Execute { name, arguments } => {
                self.sql_execute(name, arguments, request).await
            }
            Statement::Deallocate(name) => self.deallocate(name.as_deref()),
            Statement::Declare { name, query, hold, scroll, binary } => {
                let declaration =
                    Declaration { name, hold: *hold, scroll: *scroll, binary: *binary };
                self.declare(declaration, query, &plan.text, request.inner, request.params).await
            }
            Statement::Fetch { cursor, direction, is_move } => {
                self.fetch(cursor, *direction, *is_move, &request).await
            }
            Statement::Close(None) => {
                self.portals.close_cursors();
                Ok("CLOSE CURSOR ALL".into())
            }
            Statement::Close(Some(name)) => {
                self.portals.cursor(name)?;
                self.portals.remove(name);
                Ok("CLOSE CURSOR".into())
            }
            Statement::Listen(channel) => {
                self.transaction.listens.push((true, Some(channel.clone())));
                Ok("LISTEN".into())
            }
            Statement::Unlisten(channel) => {
                self.transaction.listens.push((false, channel.clone()));
                Ok("UNLISTEN".into())
            }
            Statement::Notify(channel, payload) => {
                self.notify(channel, payload)?;
                Ok("NOTIFY".into())
            }
            Statement::Lock { tables, mode, nowait } => {
                self.lock_tables(tables, mode, *nowait).await
            }
            Statement::Maintenance(tag) => self.maintenance(tag),
            Statement::Database { name, create, if_exists } => {
                self.database_command(name, *create, *if_exists)
            }
            Statement::Do(body) => self.inline(body).await,
            Statement::Unsupported(what) => Err(Error::unsupported(what).into()),
            _ => Err(Error::internal("not a session statement").into()),
        }
    }

    async fn transaction_control(&mut self, control: &Transaction, text: &str) -> Step<Tag> {
        Ok(match control {
            Transaction::Begin(modes) => {
                self.begin(modes).await?;
                let start =
                    text.trim_start().get(..5).is_some_and(|w| w.eq_ignore_ascii_case("start"));
                if start { "START TRANSACTION".into() } else { "BEGIN".into() }
            }
            Transaction::Commit(chain) => self.commit_block(*chain).await?.into(),
            Transaction::Rollback(chain) => {
                self.rollback_block(*chain).await?;
                "ROLLBACK".into()
            }
            Transaction::Savepoint(name) => {
                self.savepoint(name)?;
                "SAVEPOINT".into()
            }
            Transaction::Release(name) => {
                self.release(name)?;
                "RELEASE".into()
            }
            Transaction::RollbackTo(name) => {
                self.rollback_to(name)?;
                "ROLLBACK".into()
            }
            Transaction::TwoPhase => {
                return Err(Error::client(
                    state::OBJECT_NOT_IN_PREREQUISITE_STATE,
                    "prepared transactions are disabled",
                )
                .hint("Set max_prepared_transactions to a nonzero value.")
                .into());
            }
            Transaction::SetTransaction(modes) => {
                self.enter().await?;
                if self.warn_outside_block("SET TRANSACTION can only be used in transaction blocks")
                {
                    self.set_modes(modes)?;
                }
                "SET".into()
            }
            Transaction::SetCharacteristics(modes) => {
                self.enter().await?;
                let mut set =
                    |name: &str, value: String| self.settings.set(name, Some(&[value]), false);
                if let Some(level) = &modes.isolation {
                    set("default_transaction_isolation", level.clone())?;
                }
                if let Some(read_only) = modes.read_only {
                    set("default_transaction_read_only", on_off(read_only))?;
                }
                if let Some(deferrable) = modes.deferrable {
                    set("default_transaction_deferrable", on_off(deferrable))?;
                }
                "SET".into()
            }
            Transaction::SetConstraints(names, deferred) => {
                self.enter().await?;
                self.set_constraints(names, *deferred).await?;
                "SET CONSTRAINTS".into()
            }
        })
    }

    /// Warns (25P01) unless in a block or one of several statements; whether it is.
    fn warn_outside_block(&mut self, message: &'static str) -> bool {
        if self.transaction.block == Block::Open || self.many {
            return true;
        }
        self.warning(state::NO_ACTIVE_SQL_TRANSACTION, message);
        false
    }

    /// SET CONSTRAINTS: SQLite knows only all or none, for foreign keys.
    async fn set_constraints(&mut self, names: &[String], deferred: bool) -> Step<()> {
        if !self.warn_outside_block("SET CONSTRAINTS can only be used in transaction blocks") {
            return Ok(());
        }
        let catalog = self.catalog();
        for name in names {
            let found = catalog
                .relations
                .values()
                .chain(self.temporary().values())
                .flat_map(|r| &r.foreign_keys)
                .find(|key| key.name == *name)
                .ok_or_else(|| {
                    Error::client(
                        state::UNDEFINED_OBJECT,
                        format!("constraint \"{name}\" does not exist"),
                    )
                })?;
            if !found.deferrable {
                return Err(Error::client(
                    state::WRONG_OBJECT_TYPE,
                    format!("constraint \"{name}\" is not deferrable"),
                )
                .into());
            }
        }
        // The writer is told when it is taken: nothing can be broken before the first write.
        self.transaction.deferred = deferred;
        let given = &mut self.transaction.constraints;
        given.retain(|(earlier, _)| !names.is_empty() && earlier != names);
        given.push((names.to_vec(), deferred));
        let Some(writer) = self.transaction.writer() else { return Ok(()) };
        if deferred {
            block_in_place(|| writer.batch("PRAGMA defer_foreign_keys = ON"))?;
            return Ok(());
        }
        // What is pending is checked now, as PostgreSQL does. SQLite counts, and only while
        // checks are deferred: asked first, it spares the search.
        let broken = block_in_place(|| {
            let pending = writer.has_broken_keys();
            writer.batch("PRAGMA defer_foreign_keys = OFF")?;
            if pending { violation::find(writer, &catalog) } else { Ok(None) }
        })?;
        match broken {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }

    async fn session_command(&mut self, command: &SessionCommand, describe: bool) -> Step<Tag> {
        match command {
            SessionCommand::Set { name, values, local } => {
                self.set_setting(name, values.as_deref(), *local)?;
                Ok("SET".into())
            }
            SessionCommand::Reset(name) => {
                self.settings.reset(name.as_deref())?;
                Ok("RESET".into())
            }
            SessionCommand::Show(None) => {
                if describe {
                    reply::describe_columns(self.io.out(), &show_columns(None), &[]);
                }
                let all: Vec<_> =
                    self.settings.all().map(|(d, v)| (d.name, v, d.description)).collect();
                for (name, value, description) in &all {
                    let row = [Some(*name), Some(value.as_str()), Some(*description)];
                    reply::text_row(self.io.out(), &row);
                }
                Ok("SHOW".into())
            }
            SessionCommand::Show(Some(name)) => {
                let value = self.setting(name).ok_or_else(|| Settings::unknown(name))?;
                if describe {
                    reply::describe_columns(self.io.out(), &show_columns(Some(name)), &[]);
                }
                reply::text_row(self.io.out(), &[Some(&value)]);
                Ok("SHOW".into())
            }
            SessionCommand::Discard(what) => self.discard(what),
        }
    }

    /// A setting as SHOW prints it, those of the transaction included.
    pub(super) fn setting(&self, name: &str) -> Option<String> {
        let t = &self.transaction;
        match name.to_ascii_lowercase().as_str() {
            "transaction_isolation" => Some(t.isolation_name.clone()),
            "transaction_read_only" => Some(on_off(t.read_only)),
            "transaction_deferrable" => Some(on_off(t.deferrable)),
            _ => self.settings.show(name),
        }
    }

    /// SET and set_config().
    pub(super) fn set_setting(
        &mut self,
        name: &str,
        values: Option<&[String]>,
        local: bool,
    ) -> Step<()> {
        let first = values.and_then(|v| v.first()).map(String::as_str);
        let mut modes = crate::sql::ast::Modes::default();
        match (name.to_ascii_lowercase().as_str(), first) {
            ("transaction_isolation", Some(level)) => {
                let level = level.to_ascii_lowercase();
                let known = table::find("transaction_isolation").map(|d| d.check(&level));
                modes.isolation = Some(known.transpose()?.unwrap_or(level));
                self.set_modes(&modes)
            }
            ("transaction_read_only", Some(value)) => {
                modes.read_only = table::boolean(value);
                self.set_modes(&modes)
            }
            ("transaction_deferrable", Some(value)) => {
                modes.deferrable = table::boolean(value);
                self.set_modes(&modes)
            }
            _ => {
                if local {
                    self.warn_outside_block("SET LOCAL can only be used in transaction blocks");
                }
                self.settings.set(name, values, local)?;
                if name.eq_ignore_ascii_case("application_name") {
                    self.notice_truncated(first.unwrap_or_default());
                }
                Ok(())
            }
        }
    }

    fn discard(&mut self, what: &str) -> Step<Tag> {
        let what = what.to_ascii_uppercase();
        match what.as_str() {
            "ALL" => {
                self.outside_block("DISCARD ALL")?;
                self.portals.clear();
                self.settings.reset(None)?;
                self.statements.clear();
                self.inbox.unlisten(None);
                self.transaction.listens.clear();
                self.held.release_session(&self.shared.locks, self.pid);
                self.sequences.discard();
                self.discard_temporary();
            }
            "SEQUENCES" => self.sequences.discard(),
            "TEMP" | "TEMPORARY" => {
                self.outside_block("DISCARD TEMP")?;
                self.discard_temporary();
            }
            _ => {}
        }
        Ok(format!("DISCARD {what}").into())
    }

    fn maintenance(&mut self, tag: &'static str) -> Step<Tag> {
        if tag == "VACUUM" {
            self.outside_block("VACUUM")?;
        }
        Ok(tag.into())
    }

    /// NOTIFY and pg_notify().
    pub(super) fn notify(&mut self, channel: &str, payload: &str) -> Result<()> {
        let invalid = |text: &'static str| Error::client(state::INVALID_PARAMETER_VALUE, text);
        if channel.is_empty() {
            return Err(invalid("channel name cannot be empty"));
        }
        if channel.len() >= 64 {
            return Err(invalid("channel name too long"));
        }
        if payload.len() >= 8000 {
            return Err(invalid("payload string too long"));
        }
        let notification = (channel.to_owned(), payload.to_owned());
        if !self.transaction.notifications.contains(&notification) {
            self.transaction.notifications.push(notification);
        }
        Ok(())
    }

    async fn lock_tables(
        &mut self,
        tables: &[crate::sql::ast::Name],
        mode: &str,
        nowait: bool,
    ) -> Step<Tag> {
        self.in_block("LOCK TABLE")?;
        for table in tables {
            self.copy_relation(table)?;
        }
        let mode = mode.to_ascii_uppercase();
        // A mode that lets writers write needs nothing: readers never block here.
        if mode.starts_with("ACCESS SHARE") {
            return Ok("LOCK TABLE".into());
        }
        if self.transaction.read_only && !mode.starts_with("ROW SHARE") {
            return Err(query::read_only("LOCK TABLE").into());
        }
        if nowait && self.transaction.writer().is_none() && self.shared.writer_is_busy() {
            let name = tables.first().map_or("", |t| t.name.as_str());
            return Err(Error::client(
                state::LOCK_NOT_AVAILABLE,
                format!("could not obtain lock on relation \"{name}\""),
            )
            .retryable()
            .into());
        }
        self.take_writer().await?;
        Ok("LOCK TABLE".into())
    }

    pub(super) fn sql_prepare(
        &mut self,
        name: &str,
        types: &[TypeName],
        statement: &Statement,
        text: &str,
    ) -> Result<Tag> {
        let catalog = self.catalog();
        let context = crate::sql::Context {
            catalog: &catalog,
            temporary: self.temporary(),
            search_path: &self.settings.derived().search_path,
            param_types: &[],
        };
        let named = |ty: &TypeName| match analyze::named_domain(ty, &context)? {
            Some(domain) => Ok(domain.oid),
            None => analyze::type_name(ty, &context).map(|ty| ty.oid),
        };
        let types = types.iter().map(named).collect::<Result<Vec<u32>>>()?;
        if self.statements.contains(name) {
            return Err(super::prepared::duplicate(name));
        }
        let parsed = Parsed {
            statement: statement.clone(),
            text: text.to_owned(),
            offset: 0,
            dialect: Dialect::Postgres,
        };
        let prepared = self.prepare_statement(parsed, types)?;
        self.statements.insert(name, prepared)?;
        Ok("PREPARE".into())
    }

    async fn sql_execute(&mut self, name: &str, arguments: &[Expr], request: Request) -> Step<Tag> {
        let prepared = self.statements.get(name)?;
        let prepared = self.fresh(name, &prepared)?;
        let types = prepared.params().to_vec();
        if arguments.len() != types.len() {
            return Err(Error::client(
                state::SYNTAX_ERROR,
                format!("wrong number of parameters for prepared statement \"{name}\""),
            )
            .detail(format!("Expected {} parameters but got {}.", types.len(), arguments.len()))
            .into());
        }
        let mut params = Vec::with_capacity(types.len());
        for (argument, ty) in arguments.iter().zip(&types) {
            params.push(self.evaluate(argument, *ty).await?);
        }
        let Some(plan) = prepared.plan.clone() else { return Ok("".into()) };
        let inner = prepared.inner.clone();
        let request = Request { plan, inner, params: params.into(), ..request };
        self.execute(request).await
    }

    /// An argument of EXECUTE as a cell of the parameter's type.
    async fn evaluate(&mut self, argument: &Expr, ty: Type) -> Step<Cell> {
        let style = self.settings.derived().style.clone();
        let text = match &argument.kind {
            ExprKind::Literal(Literal::Null) => return Ok(Cell::Null),
            ExprKind::Literal(Literal::Integer(i)) => i.to_string(),
            ExprKind::Literal(Literal::Number(n)) => n.clone(),
            ExprKind::Literal(Literal::String(s)) => s.clone(),
            ExprKind::Literal(Literal::Bool(b)) => b.to_string(),
            _ => match self.compute(argument).await? {
                None => return Ok(Cell::Null),
                Some(text) => text,
            },
        };
        Ok(self.parameter(ty, Format::Text, text.as_bytes(), &style)?)
    }

    /// Computes any other expression with a query of its own; its text form.
    async fn compute(&mut self, expression: &Expr) -> Step<Option<String>> {
        let target = Target { expr: expression.clone(), alias: None };
        let simple = SimpleSelect { targets: vec![target], ..SimpleSelect::default() };
        let select = Select { body: SelectBody::Simple(Box::new(simple)), ..Select::default() };
        let plan = self.plan_statement(Statement::Select(Box::new(select)), "", &[])?;
        let call =
            query::Call { plan: Arc::clone(&plan), params: Arc::from([]), formats: Arc::from([]) };
        let mut spool = super::spool::Spool::default();
        self.query_into(&call, &mut spool).await?;
        let style = self.settings.derived().style.clone();
        let text = spool.row(0, |cells| {
            let stored = match &plan.action {
                Action::Query(query) => query.codecs.first().copied(),
                _ => None,
            };
            let ty = plan.columns.first().map_or(Type::new(oid::TEXT), |c| c.ty);
            cell_text(cells.first().copied(), stored, ty, &style)
        })?;
        Ok(text.flatten())
    }

    fn deallocate(&mut self, name: Option<&str>) -> Step<Tag> {
        match name {
            None => {
                self.statements.clear();
                Ok("DEALLOCATE ALL".into())
            }
            Some(name) if self.statements.remove(name) => Ok("DEALLOCATE".into()),
            Some(name) => Err(super::prepared::missing(name).into()),
        }
    }
}

/// A cell in PostgreSQL's text form; None is NULL.
pub(super) fn cell_text(
    cell: Option<crate::value::CellRef<'_>>,
    stored: Option<crate::schema::Codec>,
    ty: Type,
    style: &Style,
) -> Result<Option<String>> {
    let mut out = bytes::BytesMut::new();
    let cell = cell.unwrap_or(crate::value::CellRef::Null);
    let stored = stored.unwrap_or(crate::schema::Codec::Identity);
    codec::write(cell, stored, ty, Format::Text, style, &mut out)?;
    let null = out.get(..4) == Some(&[0xff; 4]);
    Ok((!null).then(|| String::from_utf8_lossy(out.get(4..).unwrap_or_default()).into_owned()))
}

fn on_off(on: bool) -> String {
    if on { "on".into() } else { "off".into() }
}

fn show_columns(name: Option<&str>) -> Vec<Output> {
    match name {
        None => ["name", "setting", "description"].map(reply::text_column).into(),
        Some(name) => {
            vec![reply::text_column(table::find(name).map_or(name, |d| d.name))]
        }
    }
}
