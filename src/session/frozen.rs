//! Values computed once per execution: times, random numbers, sequence values, session
//! functions.
//!
//! Owns turning a plan's [`Frozen`] list into cells. It must never ask the system for time
//! or randomness except through the clock handle.

use std::sync::Arc;

use tokio::task::block_in_place;

use super::{Session, Shared, Step};
use crate::backend::sqlite::draws::Draws;
use crate::backend::sqlite::events::{Event, SequenceEvent};
use crate::backend::sqlite::sequences::Moved;
use crate::backend::sqlite::{Connection as SqliteConnection, Writer, moment};
use crate::error::{Error, Result, state};
use crate::schema::{Catalog, Sequence};
use crate::sql::plan::{Frozen, FrozenArgument, FrozenSource};
use crate::value::{Cell, Type};

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
            let cell = match &value.source {
                FrozenSource::Session(name, arguments) if arguments.iter().any(is_computed) => {
                    let earlier: Vec<(Cell, Type)> =
                        cells.iter().cloned().zip(frozen.iter().map(|f| f.ty)).collect();
                    let arguments = self.compute_arguments(arguments, params, &earlier).await?;
                    self.session_function(name, &arguments, params, types).await?
                }
                FrozenSource::Function(oid, arguments) => {
                    let earlier: Vec<(Cell, Type)> =
                        cells.iter().cloned().zip(frozen.iter().map(|f| f.ty)).collect();
                    let arguments = self.compute_arguments(arguments, params, &earlier).await?;
                    self.client_function(*oid, &arguments, params, types).await?
                }
                FrozenSource::Field { of, position } => {
                    let row = usize::try_from(*of).ok().and_then(|i| cells.get(i));
                    let row = row.ok_or_else(|| Error::internal("no such value"))?;
                    let style = self.labelled(&self.settings.derived().style);
                    super::script::field(row, *position, value.ty, &style)?
                }
                FrozenSource::SetConfig(arguments) if arguments.iter().any(is_computed) => {
                    let earlier: Vec<(Cell, Type)> =
                        cells.iter().cloned().zip(frozen.iter().map(|f| f.ty)).collect();
                    let arguments = self.compute_arguments(arguments, params, &earlier).await?;
                    self.session_function("set_config", &arguments, params, types).await?
                }
                _ => self.freeze_one(value, params, types).await?,
            };
            cells.push(cell);
        }
        Ok(cells)
    }

    async fn freeze_one(&mut self, frozen: &Frozen, params: &[Cell], types: &[Type]) -> Step<Cell> {
        let style = &self.settings.derived().style;
        Ok(match &frozen.source {
            FrozenSource::TransactionTime => moment(self.transaction.started, frozen.ty, style)?,
            FrozenSource::StatementTime => moment(self.message_at, frozen.ty, style)?,
            FrozenSource::ClockTime => {
                moment(self.shared.clock.postgres_micros(), frozen.ty, style)?
            }
            FrozenSource::Random => Cell::Real(self.shared.clock.random_unit()),
            FrozenSource::Uuid => Cell::Text(self.uuid()),
            FrozenSource::NextValue(name) => Cell::Integer(self.next_value(name).await?),
            FrozenSource::CurrentValue(name) => {
                let catalog = self.catalog();
                Cell::Integer(self.sequences.current(sequence_of(&catalog, name)?)?)
            }
            FrozenSource::LastValue => Cell::Integer(self.sequences.last()?),
            FrozenSource::Session(name, arguments) => {
                self.session_function(name, arguments, params, types).await?
            }
            FrozenSource::SetConfig(arguments) => {
                self.session_function("set_config", arguments, params, types).await?
            }
            FrozenSource::Function(..) | FrozenSource::Field { .. } => {
                return Err(Error::internal("a function that is run elsewhere").into());
            }
        })
    }

    /// nextval(): needs the writer, for what is persisted ahead.
    pub(super) async fn next_value(&mut self, name: &str) -> Step<i64> {
        let catalog = self.catalog();
        // A temporary table's own sequence may move.
        let temporary = |s: &Sequence| s.owned_by.as_ref().is_some_and(|(t, _)| t == "pg_temp");
        if self.transaction.read_only && !sequence_of(&catalog, name).is_ok_and(temporary) {
            return Err(super::query::read_only("nextval()").into());
        }
        self.take_writer().await?;
        let catalog = self.catalog();
        let sequence = sequence_of(&catalog, name)?;
        let writer = self.transaction.writer().ok_or_else(|| Error::internal("no writer"))?;
        let value = block_in_place(|| draw(&self.shared, writer, sequence))?;
        self.sequences.gave(sequence, value);
        Ok(value)
    }

    /// setval()
    pub(super) async fn set_sequence(&mut self, name: &str, value: i64, called: bool) -> Step<()> {
        if self.transaction.read_only {
            return Err(super::query::read_only("setval()").into());
        }
        self.take_writer().await?;
        let catalog = self.catalog();
        let sequence = sequence_of(&catalog, name)?;
        let writer = self.transaction.writer().ok_or_else(|| Error::internal("no writer"))?;
        let sequences = &self.shared.side.sequences;
        let moved = block_in_place(|| sequences.set(writer, sequence, value, called))?;
        note(writer, moved);
        if called {
            self.sequences.was_set(sequence, value);
        }
        Ok(())
    }

    /// The sequences of a statement that moves them row by row.
    pub(super) fn draws(&self, connection: &SqliteConnection) -> Result<Arc<Draws>> {
        let counters = Arc::clone(&self.shared.side.sequences);
        let values = self.sequences.clone();
        Draws::open(connection, counters, &self.catalog(), values).map(Arc::new)
    }

    /// Writes how far a statement's sequences have moved, when it pauses or ends.
    pub(super) fn settle_draws(&self, draws: Option<&Draws>) -> Result<()> {
        if let (Some(draws), Some(writer)) = (draws, self.transaction.writer()) {
            for moved in block_in_place(|| draws.settle(writer))? {
                note(writer, moved);
            }
        }
        Ok(())
    }

    pub(super) fn uuid(&self) -> String {
        let mut bytes = [0; 16];
        self.shared.clock.random_bytes(&mut bytes);
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}

fn is_computed(argument: &FrozenArgument) -> bool {
    !matches!(argument, FrozenArgument::Param(_) | FrozenArgument::Const(_))
}

/// The sequence of this name, or 42P01.
pub(super) fn sequence_of<'a>(catalog: &'a Catalog, name: &str) -> Result<&'a Sequence> {
    catalog.sequences.get(name).map(AsRef::as_ref).ok_or_else(|| {
        Error::client(state::UNDEFINED_TABLE, format!("relation \"{name}\" does not exist"))
    })
}

/// Draws the next value on the writer and notes it for the journal.
pub(super) fn draw(shared: &Shared, writer: &Writer, sequence: &Sequence) -> Result<i64> {
    let (value, moved) = shared.side.sequences.next(writer, sequence)?;
    if let Some(moved) = moved {
        note(writer, moved);
    }
    Ok(value)
}

pub(super) fn note(writer: &Writer, moved: Moved) {
    let Moved { name, value, called } = moved;
    writer.note(&Event::Sequence(SequenceEvent { name, value, called }));
}
