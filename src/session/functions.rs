//! Functions the session answers by itself: who and where it is, settings, advisory locks,
//! notifications, sleeping, signals to other sessions.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::block_in_place;

use super::advisory::Key;
use super::cancel::Cancel;
use super::settings::Settings;
use super::{Session, Shared, Step, commands};
use crate::backend::sqlite::functions::session::{Alarm, Scope, Signals};
use crate::backend::sqlite::moment;
use crate::error::{Error, Result, state};
use crate::sql::plan::{Computed, FrozenArgument, QueryKind};
use crate::value::{Cell, Type, oid};
use crate::wire::Peer;
use crate::wire::cancel::Signal;

fn null_argument(name: &str) -> Error {
    Error::client(state::NULL_VALUE_NOT_ALLOWED, format!("{name}: argument must not be null"))
}

fn bool_cell(value: bool) -> Cell {
    Cell::Integer(i64::from(value))
}

fn text_cell(text: impl Into<String>) -> Cell {
    Cell::Text(text.into())
}

/// Arguments as texts; None is NULL.
struct Arguments<'a> {
    name: &'a str,
    values: Vec<Option<String>>,
}

impl Arguments<'_> {
    fn get(&self, index: usize) -> Option<&str> {
        self.values.get(index)?.as_deref()
    }

    fn any_null(&self) -> bool {
        self.values.iter().any(Option::is_none)
    }

    fn text(&self, index: usize) -> Result<&str> {
        self.get(index).ok_or_else(|| null_argument(self.name))
    }

    fn number<T: std::str::FromStr>(&self, index: usize) -> Result<T> {
        self.text(index)?.trim().parse().map_err(|_| {
            Error::client(
                state::INVALID_TEXT_REPRESENTATION,
                format!("invalid argument of function {}", self.name),
            )
        })
    }

    fn flag(&self, index: usize) -> bool {
        self.get(index).and_then(super::settings::table::boolean).unwrap_or(false)
    }
}

/// How the functions of a statement reach other sessions.
pub(super) fn signals(shared: &Arc<Shared>) -> Signals {
    let registry = Arc::clone(&shared.registry);
    Signals(Arc::new(move |pid, ends| {
        registry.signal(pid, if ends { Signal::Terminate } else { Signal::Cancel })
    }))
}

/// How a function that waits hears that its statement has to end.
pub(super) fn alarm(cancel: &Arc<Cancel>) -> Alarm {
    let cancel = Arc::clone(cancel);
    Alarm(Arc::new(move || cancel.error()))
}

impl Session {
    fn arguments<'a>(
        &self,
        name: &'a str,
        arguments: &[FrozenArgument],
        params: &[Cell],
        types: &[Type],
    ) -> Result<Arguments<'a>> {
        let style = &self.settings.derived().style;
        let values = arguments
            .iter()
            .map(|argument| match argument {
                FrozenArgument::Const(text) => Ok(text.clone()),
                FrozenArgument::Param(n) => {
                    let index = usize::try_from(*n).unwrap_or(0).wrapping_sub(1);
                    let ty = types.get(index).copied().unwrap_or(Type::new(oid::TEXT));
                    let cell = params.get(index).map(Cell::as_ref);
                    commands::cell_text(cell, None, ty, style)
                }
                _ => Err(Error::internal("an argument that has not been computed")),
            })
            .collect::<Result<_>>()?;
        Ok(Arguments { name, values })
    }

    /// Computes the arguments that are more than constants and parameters.
    pub(super) async fn compute_arguments(
        &mut self,
        arguments: &[FrozenArgument],
        params: &[Cell],
        earlier: &[(Cell, Type)],
    ) -> Step<Vec<FrozenArgument>> {
        let mut done = Vec::with_capacity(arguments.len());
        for argument in arguments {
            done.push(match argument {
                FrozenArgument::Frozen(index) => {
                    let found = usize::try_from(*index).ok().and_then(|i| earlier.get(i));
                    let (cell, ty) = found.ok_or_else(|| Error::internal("no such value"))?;
                    let style = &self.settings.derived().style;
                    FrozenArgument::Const(commands::cell_text(
                        Some(cell.as_ref()),
                        None,
                        *ty,
                        style,
                    )?)
                }
                FrozenArgument::Query(computed) => {
                    FrozenArgument::Const(self.compute_argument(computed, params, earlier).await?)
                }
                other => other.clone(),
            });
        }
        Ok(done)
    }

    async fn compute_argument(
        &mut self,
        computed: &Computed,
        params: &[Cell],
        earlier: &[(Cell, Type)],
    ) -> Step<Option<String>> {
        let reader = self.lane(QueryKind::Read).await?;
        let connection = match &reader {
            Some(reader) => reader,
            None => self.connection().ok_or_else(|| Error::internal("no connection"))?,
        };
        let style = self.settings.derived().style.clone();
        let scope = self.scope();
        let text = block_in_place(|| {
            let _scope = Scope::enter(scope);
            let mut statement = connection.prepare(&computed.sqlite)?;
            let wanted = statement.parameter_count();
            let bound = params.iter().chain(earlier.iter().map(|(cell, _)| cell));
            for (i, cell) in bound.enumerate().take(wanted) {
                statement.bind(i + 1, cell.as_ref())?;
            }
            if !statement.step()? {
                return Err(Error::internal("no value"));
            }
            commands::cell_text(
                Some(statement.column(0)),
                Some(computed.codec),
                computed.ty,
                &style,
            )
        })?;
        Ok(text)
    }

    /// Evaluates a session function.
    pub(super) async fn session_function(
        &mut self,
        name: &str,
        arguments: &[FrozenArgument],
        params: &[Cell],
        types: &[Type],
    ) -> Step<Cell> {
        let arguments = self.arguments(name, arguments, params, types)?;
        if let Some(cell) = self.identity_function(name, &arguments)? {
            return Ok(cell);
        }
        if super::large::is_large(name) {
            return self.large_call(name, &arguments.values).await;
        }
        if name.contains("advisory") {
            return self.advisory_function(name, &arguments).await;
        }
        match name {
            "last_insert_rowid" => Ok(Cell::Integer(self.counted.rowid)),
            "changes" => Ok(Cell::Integer(self.counted.changes)),
            "total_changes" => Ok(Cell::Integer(self.counted.total)),
            "sqlite_version" => Ok(text_cell(crate::backend::sqlite::version())),
            "current_setting" => Ok(self.current_setting(&arguments)?),
            "set_config" => self.set_config(&arguments),
            "setseed" => Ok(Cell::Null),
            "setval" => self.set_value(&arguments).await,
            "pg_notify" => {
                self.notify(
                    arguments.get(0).unwrap_or_default(),
                    arguments.get(1).unwrap_or_default(),
                )?;
                Ok(text_cell(""))
            }
            "pg_sleep" | "pg_sleep_for" => self.sleep(&arguments).await,
            "pg_cancel_backend" | "pg_terminate_backend" => {
                let signal =
                    if name == "pg_cancel_backend" { Signal::Cancel } else { Signal::Terminate };
                let pid: i32 = arguments.number(0)?;
                let found = self.shared.registry.signal(pid, signal);
                // Its own statement ends here, not when its result is out.
                if let Some(error) = self.cancel.error().filter(|_| pid == self.pid) {
                    return Err(error.into());
                }
                if !found {
                    let message = format!("PID {pid} is not a PostgreSQL server process");
                    let error = Error::client(state::WARNING, message);
                    self.notice(crate::wire::Severity::Warning, &error);
                }
                Ok(bool_cell(found))
            }
            _ => Err(Error::unsupported(format_args!("function {name}")).into()),
        }
    }

    /// Runs a function or procedure that a client has created.
    pub(super) async fn client_function(
        &mut self,
        oid: u32,
        arguments: &[FrozenArgument],
        params: &[Cell],
        types: &[Type],
    ) -> Step<Cell> {
        let found = self.catalog().functions.values().find(|f| f.oid == oid).cloned();
        let function = found.ok_or_else(|| {
            let message = format!("cache lookup failed for function {oid}");
            Error::client(state::INTERNAL_ERROR, message)
        })?;
        let values = self.arguments(&function.name, arguments, params, types)?.values;
        self.call_function(&function, &values).await
    }

    /// A function whose value does not change within a statement, without waiting.
    pub(super) fn steady(&self, name: &str, arguments: &[FrozenArgument]) -> Result<Cell> {
        let arguments = self.arguments(name, arguments, &[], &[])?;
        match self.identity_function(name, &arguments)? {
            Some(cell) => Ok(cell),
            None if name == "current_setting" => self.current_setting(&arguments),
            None => Err(Error::unsupported(format_args!("function {name} here"))),
        }
    }

    fn identity_function(&self, name: &str, arguments: &Arguments<'_>) -> Result<Option<Cell>> {
        let catalog = self.catalog();
        let exists = |schema: &str| catalog.has_schema(schema);
        let path = &self.settings.derived().search_path;
        Ok(Some(match name {
            "current_user" | "session_user" | "user" | "current_role" | "getpgusername" => {
                text_cell(self.user.as_str())
            }
            "current_database" | "current_catalog" => text_cell(self.database.as_str()),
            "current_schema" => {
                path.iter().find(|s| exists(s)).map_or(Cell::Null, |s| text_cell(s.as_str()))
            }
            "current_schemas" => {
                let implicit = arguments.flag(0) && !path.iter().any(|s| s == "pg_catalog");
                let names: Vec<&str> = implicit
                    .then_some("pg_catalog")
                    .into_iter()
                    .chain(path.iter().map(String::as_str).filter(|s| exists(s)))
                    .collect();
                text_cell(serde_json::to_string(&names).unwrap_or_default())
            }
            "version" => text_cell(format!(
                "PostgreSQL {} (Crossfade {})",
                self.shared.version,
                env!("CARGO_PKG_VERSION")
            )),
            "pg_client_encoding" => {
                text_cell(self.setting("client_encoding").unwrap_or_else(|| "UTF8".to_owned()))
            }
            "getdatabaseencoding" => text_cell("UTF8"),
            "pg_backend_pid" => Cell::Integer(i64::from(self.pid)),
            "pg_is_in_recovery" | "pg_is_wal_replay_paused" => bool_cell(false),
            "pg_my_temp_schema" => Cell::Integer(0),
            "pg_postmaster_start_time" | "pg_conf_load_time" => moment(
                self.shared.started,
                Type::new(oid::TIMESTAMPTZ),
                &self.settings.derived().style,
            )?,
            "timeofday" => {
                let now = self.shared.clock.postgres_micros();
                let style = &self.settings.derived().style;
                moment(now, Type::new(oid::TIMESTAMPTZ), style)?
            }
            "txid_current" | "pg_current_xact_id" => Cell::Integer(self.transaction_id()),
            "txid_current_if_assigned" | "pg_current_xact_id_if_assigned" => {
                let t = &self.transaction;
                let assigned = t.writer().is_some() || t.xid.load(Ordering::Relaxed) != 0;
                if assigned { Cell::Integer(self.transaction_id()) } else { Cell::Null }
            }
            "inet_client_addr" | "inet_client_port" => match (name, self.io.peer()) {
                ("inet_client_addr", Peer::Tcp(address)) => text_cell(address.ip().to_string()),
                (_, Peer::Tcp(address)) => Cell::Integer(i64::from(address.port())),
                (_, Peer::Unix) => Cell::Null,
            },
            "inet_server_addr" | "inet_server_port" => Cell::Null,
            "pg_blocking_pids" | "pg_safe_snapshot_blocking_pids" => text_cell("[]"),
            "pg_listening_channels" => {
                let names: Vec<&str> = self.inbox.listening().collect();
                text_cell(serde_json::to_string(&names).unwrap_or_default())
            }
            _ => return Ok(None),
        }))
    }

    /// The transaction's number: no other has it, and it stays the same to its end.
    fn transaction_id(&self) -> i64 {
        let xid = &self.transaction.xid;
        if xid.load(Ordering::Relaxed) == 0 {
            xid.store(self.shared.new_xid(), Ordering::Relaxed);
        }
        i64::try_from(xid.load(Ordering::Relaxed)).unwrap_or(i64::MAX)
    }

    fn current_setting(&self, arguments: &Arguments<'_>) -> Result<Cell> {
        let Some(name) = arguments.get(0) else { return Ok(Cell::Null) };
        match self.setting(name) {
            Some(value) => Ok(text_cell(value)),
            None if arguments.flag(1) => Ok(Cell::Null),
            None => Err(Settings::unknown(name)),
        }
    }

    fn set_config(&mut self, arguments: &Arguments<'_>) -> Step<Cell> {
        let Some(name) = arguments.get(0).map(str::to_owned) else {
            let message = "SET requires parameter name";
            return Err(Error::client(state::NULL_VALUE_NOT_ALLOWED, message).into());
        };
        // An empty search_path given as a value is a list without names, not a name without letters.
        let empty = |v: &str| v.is_empty() && name.eq_ignore_ascii_case("search_path");
        let value = arguments.get(1).map(|v| if empty(v) { vec![] } else { vec![v.to_owned()] });
        let local = arguments.flag(2);
        // Unlike SET LOCAL, set_config says nothing outside a block.
        if self.transaction.block == super::transaction::Block::Open || !local {
            self.set_setting(&name, value.as_deref(), local)?;
        } else {
            self.settings.set(&name, value.as_deref(), local)?;
        }
        Ok(self.setting(&name).map_or(Cell::Null, text_cell))
    }

    async fn set_value(&mut self, arguments: &Arguments<'_>) -> Step<Cell> {
        if arguments.any_null() {
            return Ok(Cell::Null);
        }
        let name = sequence_name(arguments.text(0)?);
        let value: i64 = arguments.number(1)?;
        let called = arguments.values.len() < 3 || arguments.flag(2);
        self.set_sequence(&name, value, called).await?;
        Ok(Cell::Integer(value))
    }

    async fn sleep(&mut self, arguments: &Arguments<'_>) -> Step<Cell> {
        let seconds: f64 = arguments.number(0)?;
        let nap = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX);
        let clock = self.shared.clock.clone();
        let nap = nap.min(Duration::from_secs(86_400 * 365));
        self.wait_for(async move {
            clock.sleep(nap).await;
            Ok(())
        })
        .await?;
        Ok(text_cell(""))
    }

    async fn advisory_function(&mut self, name: &str, arguments: &Arguments<'_>) -> Step<Cell> {
        let locks = Arc::clone(&self.shared.locks);
        if name == "pg_advisory_unlock_all" {
            self.held.release_session(&locks, self.pid);
            return Ok(text_cell(""));
        }
        if arguments.any_null() {
            return Ok(Cell::Null);
        }
        let key = match arguments.values.len() {
            2 => Key::Two(arguments.number(0)?, arguments.number(1)?),
            _ => Key::One(arguments.number(0)?),
        };
        let shared = name.contains("shared");
        if name.starts_with("pg_advisory_unlock") {
            let had = self.held.remove(key, shared) && locks.release(self.pid, key, shared);
            if !had {
                let error =
                    Error::client(state::WARNING, "you don't own a lock of type ExclusiveLock");
                self.notice(crate::wire::Severity::Warning, &error);
            }
            return Ok(bool_cell(had));
        }
        let in_transaction = name.contains("xact");
        let pid = self.pid;
        if name.starts_with("pg_try") {
            let taken = locks.try_acquire(pid, key, shared);
            if taken {
                self.held.add(key, shared, in_transaction);
            }
            return Ok(bool_cell(taken));
        }
        let wanted = Arc::clone(&locks);
        self.wait_for_lock(async move { wanted.acquire(pid, key, shared).await }).await?;
        self.held.add(key, shared, in_transaction);
        Ok(text_cell(""))
    }
}

/// A sequence's key from a regclass text.
fn sequence_name(text: &str) -> String {
    match crate::backend::sqlite::system::split_name(text).as_deref() {
        Some([schema, name]) => crate::name::key(schema, name),
        Some([name]) => name.clone(),
        _ => text.to_owned(),
    }
}
