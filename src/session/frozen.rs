//! Values computed once per execution: times, random numbers, sequence values, session
//! functions.
//!
//! Owns turning a plan's [`Frozen`] list into cells. It must never ask the system for time
//! or randomness except through the clock handle.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Session, Step};
use crate::error::{Error, Result, state};
use crate::schema::Codec;
use crate::sql::plan::{Frozen, FrozenSource};
use crate::value::{Cell, Datum, Style, Type, coerce, datetime, oid, storage};

/// What currval() and lastval() remember.
#[derive(Debug, Default)]
pub(super) struct SequenceMemory {
    last: Option<String>,
    values: HashMap<String, i64>,
}

impl SequenceMemory {
    /// nextval() or setval() gave this session a value.
    pub(super) fn set(&mut self, name: &str, value: i64, counts_as_last: bool) {
        self.values.insert(name.to_owned(), value);
        if counts_as_last {
            self.last = Some(name.to_owned());
        }
    }

    /// DISCARD SEQUENCES
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn current(&self, name: &str) -> Result<i64> {
        self.values.get(name).copied().ok_or_else(|| {
            Error::client(
                state::OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("currval of sequence \"{name}\" is not yet defined in this session"),
            )
        })
    }

    fn last(&self) -> Result<i64> {
        let name = self.last.as_ref().ok_or_else(|| {
            Error::client(
                state::OBJECT_NOT_IN_PREREQUISITE_STATE,
                "lastval is not yet defined in this session",
            )
        })?;
        self.current(name)
    }
}

impl Session {
    /// Computes the frozen values of a plan, in order.
    pub(super) async fn freeze(
        &mut self,
        frozen: &[Frozen],
        params: &[Cell],
        types: &[Type],
    ) -> Step<Vec<Cell>> {
        let mut cells = Vec::with_capacity(frozen.len());
        for value in frozen {
            cells.push(self.freeze_one(value, params, types).await?);
        }
        Ok(cells)
    }

    async fn freeze_one(&mut self, frozen: &Frozen, params: &[Cell], types: &[Type]) -> Step<Cell> {
        let style = &self.settings.derived().style;
        Ok(match &frozen.source {
            FrozenSource::TransactionTime => time(self.transaction.started, frozen.ty, style)?,
            FrozenSource::StatementTime => time(self.message_at, frozen.ty, style)?,
            FrozenSource::ClockTime => time(self.shared.clock.postgres_micros(), frozen.ty, style)?,
            FrozenSource::Random => Cell::Real(self.shared.clock.random_unit()),
            FrozenSource::Uuid => Cell::Text(self.uuid()),
            FrozenSource::NextValue(name) => Cell::Integer(self.next_value(name).await?),
            FrozenSource::CurrentValue(name) => Cell::Integer(self.sequences.current(name)?),
            FrozenSource::LastValue => Cell::Integer(self.sequences.last()?),
            FrozenSource::Session(name, arguments) => {
                self.session_function(name, arguments, params, types).await?
            }
            FrozenSource::SetConfig(arguments) => {
                self.session_function("set_config", arguments, params, types).await?
            }
        })
    }

    /// nextval(): needs the writer, for what is persisted ahead.
    pub(super) async fn next_value(&mut self, name: &str) -> Step<i64> {
        self.take_writer().await?;
        let shared = Arc::clone(&self.shared);
        let writer = self.transaction.writer().ok_or_else(|| Error::internal("no writer"))?;
        let value = tokio::task::block_in_place(|| shared.next_value(writer, name))?;
        self.sequences.set(name, value, true);
        Ok(value)
    }

    /// setval()
    pub(super) async fn set_sequence(&mut self, name: &str, value: i64, called: bool) -> Step<()> {
        self.take_writer().await?;
        let shared = Arc::clone(&self.shared);
        let writer = self.transaction.writer().ok_or_else(|| Error::internal("no writer"))?;
        tokio::task::block_in_place(|| shared.set_value(writer, name, value, called))?;
        if called {
            self.sequences.set(name, value, false);
        }
        Ok(())
    }

    fn uuid(&self) -> String {
        let mut bytes = [0; 16];
        self.shared.clock.random_bytes(&mut bytes);
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}

/// A moment as a cell of the wanted type, in the session's zone.
pub(super) fn time(micros: i64, ty: Type, style: &Style) -> Result<Cell> {
    const DAY: i64 = 86_400_000_000;
    let local = || datetime::utc_to_local(&style.timezone, micros);
    let datum = match ty.oid {
        oid::DATE => Datum::Date(i32::try_from(local()?.div_euclid(DAY)).unwrap_or(i32::MAX)),
        oid::TIME => Datum::Time(local()?.rem_euclid(DAY)),
        oid::TIMESTAMP => Datum::Timestamp(local()?),
        _ => Datum::Timestamptz(micros),
    };
    // CURRENT_TIMESTAMP(p) rounds.
    let datum = if ty.typmod >= 0 { coerce(datum, ty, true)? } else { datum };
    storage::encode(Codec::Identity, ty, &datum)
}
