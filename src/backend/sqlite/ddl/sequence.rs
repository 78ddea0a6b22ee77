//! CREATE, ALTER and DROP SEQUENCE.

use std::sync::Arc;

use super::{Editor, postgres};
use crate::backend::sqlite::catalog::save_sequence;
use crate::backend::sqlite::sequences::{bounds, restart};
use crate::backend::sqlite::system::{qualified_ident, quote_ident};
use crate::error::{Error, Result, state};
use crate::name::bare;
use crate::schema::Sequence;
use crate::sql::ast::{Name, SequenceOptions};
use crate::value::{Cell, Type, oid};

fn invalid(message: impl Into<String>) -> Error {
    Error::client(state::INVALID_PARAMETER_VALUE, message.into())
}

/// A new sequence by its options; `of` is the type of the column it serves.
pub(super) fn definition(
    name: &str,
    options: &SequenceOptions,
    of: Option<Type>,
) -> Result<Sequence> {
    let ty = match options.ty.as_deref() {
        Some(written) => sequence_type(written)?,
        None => of.unwrap_or(Type::new(oid::INT8)),
    };
    let mut sequence = Sequence {
        oid: 0,
        name: name.to_owned(),
        ty,
        start: 1,
        increment: 1,
        min: 1,
        max: i64::MAX,
        cycle: false,
        owned_by: None,
    };
    change(&mut sequence, options, true)?;
    Ok(sequence)
}

fn sequence_type(written: &str) -> Result<Type> {
    let type_oid = match written {
        "int2" | "smallint" => oid::INT2,
        "int4" | "integer" | "int" => oid::INT4,
        "int8" | "bigint" => oid::INT8,
        _ => return Err(invalid("sequence type must be smallint, integer, or bigint")),
    };
    Ok(Type::new(type_oid))
}

/// Applies options to a sequence; a new one gets PostgreSQL's defaults.
fn change(sequence: &mut Sequence, options: &SequenceOptions, new: bool) -> Result<()> {
    let (lowest, highest) = bounds(sequence.ty.oid);
    if let Some(increment) = options.increment {
        if increment == 0 {
            return Err(invalid("INCREMENT must not be zero"));
        }
        sequence.increment = increment;
    }
    let up = sequence.increment > 0;
    sequence.max = match options.max {
        Some(Some(max)) => max,
        Some(None) => {
            if up {
                highest
            } else {
                -1
            }
        }
        None if new => {
            if up {
                highest
            } else {
                -1
            }
        }
        None => sequence.max,
    };
    sequence.min = match options.min {
        Some(Some(min)) => min,
        Some(None) => {
            if up {
                1
            } else {
                lowest
            }
        }
        None if new => {
            if up {
                1
            } else {
                lowest
            }
        }
        None => sequence.min,
    };
    let kind = crate::sql::types::sql_name(sequence.ty.oid);
    if sequence.max > highest || sequence.max < lowest {
        let max = sequence.max;
        return Err(invalid(format!(
            "MAXVALUE ({max}) is out of range for sequence data type {kind}"
        )));
    }
    if sequence.min > highest || sequence.min < lowest {
        let min = sequence.min;
        return Err(invalid(format!(
            "MINVALUE ({min}) is out of range for sequence data type {kind}"
        )));
    }
    if sequence.min >= sequence.max {
        let (min, max) = (sequence.min, sequence.max);
        return Err(invalid(format!("MINVALUE ({min}) must be less than MAXVALUE ({max})")));
    }
    sequence.start = match options.start {
        Some(start) => start,
        None if new => {
            if up {
                sequence.min
            } else {
                sequence.max
            }
        }
        None => sequence.start,
    };
    let (start, min, max) = (sequence.start, sequence.min, sequence.max);
    if start < min {
        return Err(invalid(format!("START value ({start}) cannot be less than MINVALUE ({min})")));
    }
    if start > max {
        return Err(invalid(format!(
            "START value ({start}) cannot be greater than MAXVALUE ({max})"
        )));
    }
    sequence.cycle = options.cycle.unwrap_or(sequence.cycle);
    Ok(())
}

/// The clauses of ALTER SEQUENCE as they were written.
pub(super) fn clauses(options: &SequenceOptions) -> String {
    let mut text = String::new();
    if let Some(ty) = &options.ty {
        text.push_str(&format!(" AS {ty}"));
    }
    if let Some(increment) = options.increment {
        text.push_str(&format!(" INCREMENT BY {increment}"));
    }
    match options.min {
        Some(Some(min)) => text.push_str(&format!(" MINVALUE {min}")),
        Some(None) => text.push_str(" NO MINVALUE"),
        None => {}
    }
    match options.max {
        Some(Some(max)) => text.push_str(&format!(" MAXVALUE {max}")),
        Some(None) => text.push_str(" NO MAXVALUE"),
        None => {}
    }
    if let Some(start) = options.start {
        text.push_str(&format!(" START WITH {start}"));
    }
    match options.restart {
        Some(Some(value)) => text.push_str(&format!(" RESTART WITH {value}")),
        Some(None) => text.push_str(" RESTART"),
        None => {}
    }
    match options.cycle {
        Some(true) => text.push_str(" CYCLE"),
        Some(false) => text.push_str(" NO CYCLE"),
        None => {}
    }
    match &options.owned_by {
        Some(Some((table, column))) => {
            text.push_str(&format!(" OWNED BY {}.{}", qualified_ident(table), quote_ident(column)));
        }
        Some(None) => text.push_str(" OWNED BY NONE"),
        None => {}
    }
    text
}

impl Editor<'_> {
    pub(super) fn create_sequence(
        &mut self,
        name: &Name,
        options: &SequenceOptions,
        if_not_exists: bool,
    ) -> Result<()> {
        self.tag = "CREATE SEQUENCE".to_owned();
        if self.target_schema(name, false)? {
            return Err(Error::unsupported("a temporary sequence"));
        }
        if !self.check_free(&name.name, false, if_not_exists)? {
            return Ok(());
        }
        let mut sequence = definition(&name.name, options, None)?;
        sequence.oid = self.side.new_oid();
        if let Some(Some(owner)) = &options.owned_by {
            sequence.owned_by = Some(self.owner(owner)?);
        }
        self.postgres.push(postgres::create_sequence(&sequence));
        if let Some(Some(_)) = &options.owned_by {
            let only_owner =
                SequenceOptions { owned_by: options.owned_by.clone(), ..Default::default() };
            let name = qualified_ident(&name.name);
            self.postgres.push(format!("ALTER SEQUENCE {name}{}", clauses(&only_owner)));
        }
        self.keep(sequence)
    }

    fn owner(&self, (table, column): &(String, String)) -> Result<(String, String)> {
        let relation =
            self.catalog.relations.get(table).ok_or_else(|| super::no_relation(table))?;
        relation.column(column).ok_or_else(|| super::no_column(column, table))?;
        Ok((table.clone(), column.clone()))
    }

    /// Records a sequence.
    pub(super) fn keep(&mut self, sequence: Sequence) -> Result<()> {
        self.changed = true;
        save_sequence(self.writer, &sequence, sequence.oid)?;
        self.catalog.sequences.insert(sequence.name.clone(), Arc::new(sequence));
        Ok(())
    }

    pub(super) fn alter_sequence(
        &mut self,
        name: &Name,
        options: &SequenceOptions,
        if_exists: bool,
    ) -> Result<()> {
        self.tag = "ALTER SEQUENCE".to_owned();
        let Some(found) = self.catalog.sequences.get(&name.name).cloned() else {
            return self.missing(&name.name, "relation", if_exists, state::UNDEFINED_TABLE);
        };
        let mut sequence = Sequence::clone(&found);
        if let Some(ty) = &options.ty {
            let ty = sequence_type(ty)?;
            // Limits that were the old type's own become the new type's.
            let (old, new) = (bounds(sequence.ty.oid), bounds(ty.oid));
            if sequence.max == old.1 {
                sequence.max = new.1;
            }
            if sequence.min == old.0 {
                sequence.min = new.0;
            }
            sequence.ty = ty;
        }
        change(&mut sequence, options, false)?;
        match &options.owned_by {
            Some(Some(owner)) => sequence.owned_by = Some(self.owner(owner)?),
            Some(None) => sequence.owned_by = None,
            None => {}
        }
        let text = format!("ALTER SEQUENCE {}{}", qualified_ident(&name.name), clauses(options));
        self.postgres.push(text);
        self.keep(sequence.clone())?;
        if let Some(value) = options.restart {
            self.restart_sequence(&sequence, value)?;
        }
        Ok(())
    }

    /// RESTART [WITH value].
    pub(super) fn restart_sequence(
        &mut self,
        sequence: &Sequence,
        value: Option<i64>,
    ) -> Result<()> {
        let value = value.unwrap_or(sequence.start);
        let (min, max) = (sequence.min, sequence.max);
        if value < min {
            return Err(invalid(format!(
                "RESTART value ({value}) cannot be less than MINVALUE ({min})"
            )));
        }
        if value > max {
            return Err(invalid(format!(
                "RESTART value ({value}) cannot be greater than MAXVALUE ({max})"
            )));
        }
        self.changed = true;
        restart(self.writer, sequence, value, self.side.new_oid())
    }

    /// Removes a sequence's record.
    pub(super) fn forget_sequence(&mut self, name: &str) -> Result<()> {
        self.changed = true;
        self.catalog.sequences.remove(name);
        self.writer
            .execute(
                "DELETE FROM \"_crossfade_sequences\" WHERE name = ?1",
                &[Cell::Text(name.to_owned())],
            )
            .map(|_| ())
    }

    /// An object that does not exist: a notice with IF EXISTS, else an error.
    pub(super) fn missing(
        &mut self,
        name: &str,
        kind: &str,
        if_exists: bool,
        code: crate::error::SqlState,
    ) -> Result<()> {
        let name = if matches!(kind, "relation" | "type") { name } else { bare(name) };
        let message = format!("{kind} \"{name}\" does not exist");
        if if_exists {
            self.notice(crate::error::SqlState(*b"00000"), format!("{message}, skipping"));
            return Ok(());
        }
        Err(Error::client(code, message))
    }
}
