//! Values computed once per execution: times, and what drivers ask about the session.
//!
//! It must never wait and never answer for something the console does not have. Start at
//! [`Session::freeze`].

use super::Session;
use crate::error::{Error, Result};
use crate::session::settings::Settings;
use crate::sql::plan::{Frozen, FrozenArgument, FrozenSource};
use crate::value::{Cell, Codec, Datum, Type, datetime, oid, storage};
use crate::wire::Peer;

const DAY_MICROS: i64 = 86_400_000_000;

fn word(text: impl Into<String>) -> Cell {
    Cell::Text(text.into())
}

impl Session {
    /// The frozen values of a plan, in order.
    pub(super) fn freeze(&mut self, frozen: &[Frozen], params: &[Cell]) -> Result<Vec<Cell>> {
        frozen.iter().map(|f| self.freeze_one(f, params)).collect()
    }

    fn freeze_one(&mut self, frozen: &Frozen, params: &[Cell]) -> Result<Cell> {
        match &frozen.source {
            FrozenSource::TransactionTime
            | FrozenSource::StatementTime
            | FrozenSource::ClockTime => self.now(frozen.ty),
            FrozenSource::Random => Ok(Cell::Real(self.console.clock.random_unit())),
            FrozenSource::Session(name, arguments) => {
                self.function(name, &values(arguments, params))
            }
            FrozenSource::SetConfig(arguments) => {
                self.function("set_config", &values(arguments, params))
            }
            _ => Err(Error::unsupported("this function on the console")),
        }
    }

    fn now(&self, ty: Type) -> Result<Cell> {
        let micros = self.console.clock.postgres_micros();
        let zone = &self.settings.derived().style.timezone;
        let datum = match ty.oid {
            oid::TIMESTAMPTZ => Datum::Timestamptz(micros),
            _ => {
                let local = datetime::utc_to_local(zone, micros)?;
                let day = i32::try_from(local.div_euclid(DAY_MICROS)).unwrap_or(i32::MAX);
                match ty.oid {
                    oid::DATE => Datum::Date(day),
                    oid::TIME => Datum::Time(local.rem_euclid(DAY_MICROS)),
                    _ => Datum::Timestamp(local),
                }
            }
        };
        storage::encode(Codec::Identity, ty, &datum)
    }

    fn function(&mut self, name: &str, arguments: &[Option<String>]) -> Result<Cell> {
        let argument = |n: usize| arguments.get(n).and_then(Option::as_deref);
        Ok(match name {
            "version" => word(format!(
                "PostgreSQL {} (Crossfade {} console)",
                self.console.version,
                env!("CARGO_PKG_VERSION")
            )),
            "current_user" | "session_user" | "user" | "current_role" | "getpgusername" => {
                word(self.user.as_str())
            }
            "current_database" | "current_catalog" => word(super::DATABASE),
            "current_schema" => word("public"),
            "current_schemas" => word(r#"["pg_catalog","public"]"#),
            "pg_backend_pid" => Cell::Integer(i64::from(self.pid)),
            "pg_client_encoding" | "getdatabaseencoding" => word("UTF8"),
            "pg_is_in_recovery" => Cell::Integer(0),
            "pg_my_temp_schema" => Cell::Integer(0),
            "pg_advisory_unlock_all" => word(""),
            "inet_server_addr" | "inet_server_port" => Cell::Null,
            "inet_client_addr" => match self.io.peer() {
                Peer::Tcp(address) => word(address.ip().to_string()),
                Peer::Unix => Cell::Null,
            },
            "current_setting" => {
                let Some(setting) = argument(0) else { return Ok(Cell::Null) };
                match self.settings.show(setting) {
                    Some(value) => word(value),
                    None if argument(1).is_some_and(|v| v.starts_with(['t', '1'])) => Cell::Null,
                    None => return Err(Settings::unknown(setting)),
                }
            }
            "set_config" => {
                let Some(setting) = argument(0) else { return Ok(Cell::Null) };
                let value = argument(1).map(|v| vec![v.to_owned()]);
                self.settings.set(setting, value.as_deref(), false)?;
                self.settings.show(setting).map_or(Cell::Null, word)
            }
            _ => return Err(Error::unsupported(format_args!("function {name} on the console"))),
        })
    }
}

fn values(arguments: &[FrozenArgument], params: &[Cell]) -> Vec<Option<String>> {
    let text = |cell: &Cell| match cell {
        Cell::Text(t) => Some(t.clone()),
        Cell::Integer(i) => Some(i.to_string()),
        Cell::Real(r) => Some(r.to_string()),
        Cell::Null | Cell::Blob(_) => None,
    };
    arguments
        .iter()
        .map(|argument| match argument {
            FrozenArgument::Param(n) => {
                (*n as usize).checked_sub(1).and_then(|i| params.get(i)).and_then(text)
            }
            FrozenArgument::Const(value) => value.clone(),
            // Nothing on the console needs more; NULL is an error to those who look.
            FrozenArgument::Frozen(_) | FrozenArgument::Computed(_) | FrozenArgument::Query(_) => {
                None
            }
        })
        .collect()
}
