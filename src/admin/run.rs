//! Doing what a statement of the console says.
//!
//! An order is a task of the control door: it runs to its end whatever becomes of this
//! client, and its steps are the answer. Start at [`Session::execute`].

use super::order::Order;
use super::rows::{Row, rows};
use super::statement::{Prepared, What};
use super::store::Store;
use super::{Block, DATABASE, Session, Step, Stop, tables, terminated};
use crate::backend::sqlite::system::Identity;
use crate::control::{Task, TaskState};
use crate::error::{Error, Result, SqlState, state};
use crate::session::settings::Settings;
use crate::sql::ast::{SessionCommand, Transaction};
use crate::sql::plan::{Action, Plan};
use crate::value::{Cell, Codec};
use crate::wire::{Severity, write};

/// What a statement answers.
#[derive(Default)]
pub(super) struct Answer {
    pub(super) rows: Vec<Row>,
    /// How each column's cells are stored; logical cells when empty.
    pub(super) codecs: Vec<Codec>,
    pub(super) tag: String,
}

impl Answer {
    fn tag(tag: impl Into<String>) -> Self {
        Self { tag: tag.into(), ..Self::default() }
    }
}

fn word(text: impl Into<String>) -> Cell {
    Cell::Text(text.into())
}

impl Session {
    /// Runs a statement to its end.
    pub(super) async fn execute(&mut self, prepared: &Prepared, params: &[Cell]) -> Step<Answer> {
        Ok(match &prepared.what {
            What::Empty => Answer::default(),
            What::Query(plan, show) => self.query(plan, *show, params).await?,
            What::Order(order) => self.order(order).await?,
            What::Setting(name) => self.show_setting(name.as_deref())?,
            What::Session(command) => self.session_command(command)?,
            What::Transaction(control, start) => self.transaction(control, *start)?,
            What::Deallocate(None) => {
                self.statements.clear();
                Answer::tag("DEALLOCATE ALL")
            }
            What::Deallocate(Some(name)) => {
                if self.statements.remove(name).is_none() {
                    let message = format!("prepared statement \"{name}\" does not exist");
                    return Err(Error::client(state::INVALID_SQL_STATEMENT_NAME, message).into());
                }
                Answer::tag("DEALLOCATE")
            }
            What::Nothing(tag) => Answer::tag(*tag),
        })
    }

    async fn query(&mut self, plan: &Plan, show: bool, params: &[Cell]) -> Result<Answer> {
        let Action::Query(query) = &plan.action else {
            return Err(Error::internal("not a query"));
        };
        let mut bound = params.to_vec();
        bound.extend(self.freeze(&query.frozen, params)?);
        let mut filled = Vec::new();
        for name in &query.reads {
            if let Some(table) = tables::find(name) {
                filled.push((table, rows(name, &self.console).await));
            }
        }
        let style = self.settings.derived().style.clone();
        if self.store.is_none() {
            let identity = Identity { database: DATABASE.to_owned(), user: self.user.clone() };
            self.store = Some(Store::open(identity)?);
        }
        let Some(store) = &mut self.store else { return Err(Error::internal("no store")) };
        let run = || {
            for (table, rows) in &filled {
                store.fill(table, rows)?;
            }
            store.query(&query.sqlite, &bound, style)
        };
        let rows = tokio::task::block_in_place(run)?;
        let tag = if show { "SHOW".to_owned() } else { format!("SELECT {}", rows.len()) };
        Ok(Answer { rows, codecs: query.codecs.clone(), tag })
    }

    async fn order(&mut self, order: &Order) -> Step<Answer> {
        self.may_order(order)?;
        if matches!(self.block, Block::Open { .. }) {
            // Drivers open blocks by themselves: refusing would shut them out.
            let text = format!("{} takes effect at once; ROLLBACK does not undo it", order.tag());
            let warning = Error::client(state::WARNING, text);
            write::notice(self.io.out(), Severity::Warning, &warning);
        }
        let who = format!("console:{}", self.user);
        let command = match order {
            Order::Run(command) => command.clone(),
            Order::Shutdown => {
                self.console.control.shutdown(&who);
                return Ok(Answer::tag("SHUTDOWN"));
            }
        };
        let id = self.console.control.submit(command, &who);
        let goes_on = |error: Error| {
            error.detail(format!("Task {id} goes on.")).hint("SHOW TASKS tells how it ends.")
        };
        let task = tokio::select! {
            task = self.console.control.wait(&id) => task,
            () = self.cancelled.notified() => {
                let message = "canceling statement due to user request";
                return Err(goes_on(Error::client(state::QUERY_CANCELED, message)).into());
            }
            () = self.io.closed() => return Err(Stop::Gone),
            () = self.terminated.cancelled() => return Err(goes_on(terminated()).into()),
        };
        let task = task.ok_or_else(|| Error::internal("a task was forgotten before its end"))?;
        Ok(self.concluded(&task, order.tag())?)
    }

    fn may_order(&self, order: &Order) -> Result<()> {
        if self.console.may_order(&self.user) {
            return Ok(());
        }
        let what = format!("refused: {}: not an admin user", order.tag());
        self.console.control.note_once(&format!("console:{}", self.user), what);
        let message = format!("permission denied: user \"{}\" may look, not order", self.user);
        let error = Error::client(state::INSUFFICIENT_PRIVILEGE, message);
        Err(error.hint("auth.admin_users names those who may."))
    }

    fn concluded(&mut self, task: &Task, tag: String) -> Result<Answer> {
        let Some(error) = &task.error else {
            let mut rows: Vec<Row> = task.steps.iter().map(|s| step(task, s)).collect();
            rows.push(vec![
                word(task.id.as_str()),
                Cell::Null,
                word("done"),
                Cell::Null,
                task.result.as_deref().map_or(Cell::Null, word),
            ]);
            return Ok(Answer { rows, codecs: Vec::new(), tag });
        };
        for step in &task.steps {
            let text =
                format!("{}. {} ({:.1} ms) {}", step.number, step.text, step.ms, step.detail);
            let notice = Error::client(SqlState(*b"00000"), text.trim_end().to_owned());
            write::notice(self.io.out(), Severity::Info, &notice);
        }
        let code = match (task.state, error.code.as_str()) {
            (TaskState::Refused, _) => state::OBJECT_NOT_IN_PREREQUISITE_STATE,
            (_, "undone") => state::TRANSACTION_ROLLBACK,
            (_, "differs") => state::RAISE_EXCEPTION,
            (_, code) => SqlState::from_code(code),
        };
        let failure = Error::client(code, error.message.clone());
        let failure = failure.detail(format!("Task {}.", task.id));
        Err(match &error.hint {
            Some(hint) => failure.hint(hint.clone()),
            None => failure,
        })
    }

    fn show_setting(&self, name: Option<&str>) -> Result<Answer> {
        let rows = match name {
            None => self
                .settings
                .all()
                .map(|(d, value)| vec![word(d.name), word(value), word(d.description)])
                .collect(),
            Some(name) => {
                let value = self.settings.show(name).ok_or_else(|| {
                    Settings::unknown(name).hint("SHOW HELP lists what the console shows.")
                })?;
                vec![vec![word(value)]]
            }
        };
        Ok(Answer { rows, codecs: Vec::new(), tag: "SHOW".to_owned() })
    }

    fn session_command(&mut self, command: &SessionCommand) -> Result<Answer> {
        Ok(match command {
            SessionCommand::Set { name, values, local } => {
                let local = *local && matches!(self.block, Block::Open { .. });
                self.settings.set(name, values.as_deref(), local)?;
                Answer::tag("SET")
            }
            SessionCommand::Reset(name) => {
                self.settings.reset(name.as_deref())?;
                Answer::tag("RESET")
            }
            SessionCommand::Discard(what) => {
                if what.eq_ignore_ascii_case("all") {
                    self.statements.clear();
                    self.portals.clear();
                    self.settings.reset(None)?;
                }
                Answer::tag(format!("DISCARD {what}"))
            }
            SessionCommand::Show(_) => return Err(Error::internal("SHOW is not a setting here")),
        })
    }

    /// Ends the block; its tag tells whether it had failed.
    fn end_block(&mut self, commit: bool) -> &'static str {
        let block = std::mem::replace(&mut self.block, Block::Idle);
        self.portals.clear();
        let mut tag = if commit { "COMMIT" } else { "ROLLBACK" };
        if let Block::Open { settings, failed, .. } = block {
            if failed || !commit {
                self.settings.restore(&settings);
                tag = "ROLLBACK";
            }
        } else {
            let text = "there is no transaction in progress";
            let warning = Error::client(state::NO_ACTIVE_SQL_TRANSACTION, text);
            write::notice(self.io.out(), Severity::Warning, &warning);
        }
        self.settings.end_local();
        tag
    }

    fn begin(&mut self) {
        if matches!(self.block, Block::Idle) {
            let settings = self.settings.snapshot();
            self.block = Block::Open { settings, failed: false, savepoints: Vec::new() };
        } else {
            let text = "there is already a transaction in progress";
            let warning = Error::client(state::ACTIVE_SQL_TRANSACTION, text);
            write::notice(self.io.out(), Severity::Warning, &warning);
        }
    }

    fn transaction(&mut self, control: &Transaction, start: bool) -> Result<Answer> {
        Ok(Answer::tag(match control {
            Transaction::Begin(_) => {
                self.begin();
                if start { "START TRANSACTION" } else { "BEGIN" }
            }
            Transaction::Commit(chain) | Transaction::Rollback(chain) => {
                let tag = self.end_block(matches!(control, Transaction::Commit(_)));
                if *chain {
                    self.begin();
                }
                tag
            }
            Transaction::Savepoint(name) => {
                self.savepoints("SAVEPOINT")?.push(name.clone());
                "SAVEPOINT"
            }
            Transaction::Release(name) => {
                self.cut_savepoints("RELEASE SAVEPOINT", name, false)?;
                "RELEASE"
            }
            Transaction::RollbackTo(name) => {
                self.cut_savepoints("ROLLBACK TO SAVEPOINT", name, true)?;
                if let Block::Open { failed, .. } = &mut self.block {
                    *failed = false;
                }
                "ROLLBACK"
            }
            Transaction::TwoPhase => return Err(Error::unsupported("two-phase commit")),
            Transaction::SetTransaction(_) | Transaction::SetCharacteristics(_) => "SET",
            Transaction::SetConstraints(..) => "SET CONSTRAINTS",
        }))
    }

    fn savepoints(&mut self, what: &str) -> Result<&mut Vec<String>> {
        match &mut self.block {
            Block::Open { savepoints, .. } => Ok(savepoints),
            Block::Idle => {
                let message = format!("{what} can only be used in transaction blocks");
                Err(Error::client(state::NO_ACTIVE_SQL_TRANSACTION, message))
            }
        }
    }

    fn cut_savepoints(&mut self, what: &str, name: &str, keep: bool) -> Result<()> {
        let savepoints = self.savepoints(what)?;
        let found = savepoints.iter().rposition(|s| s == name).ok_or_else(|| {
            let message = format!("savepoint \"{name}\" does not exist");
            Error::client(state::INVALID_SAVEPOINT, message)
        })?;
        savepoints.truncate(found + usize::from(keep));
        Ok(())
    }
}

fn step(task: &Task, step: &crate::control::Step) -> Row {
    vec![
        word(task.id.as_str()),
        Cell::Integer(i64::try_from(step.number).unwrap_or(i64::MAX)),
        word(step.text.as_str()),
        Cell::Real(step.ms),
        if step.detail.is_empty() { Cell::Null } else { word(step.detail.as_str()) },
    ]
}
