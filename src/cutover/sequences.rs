//! Sequences at the switch: the new primary goes on past the highest value ever issued.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::observe;
use super::phase::Phase;
use super::switch::Switch;
use crate::backend::postgres::apply::quoted;
use crate::backend::postgres::control::Control;
use crate::backend::postgres::sequences;
use crate::backend::sqlite::sequences::Sequences;
use crate::backend::sqlite::{Connection, Sqlite};
use crate::error::Result;
use crate::name;
use crate::schema::{Catalog, Sequence};

/// Sets every sequence on PostgreSQL to SQLite's state, and past the largest value in its own
/// column. Returns how many.
///
/// # Errors
/// What either side said.
pub(super) async fn carry(
    sqlite: &Sqlite,
    sequences: &Sequences,
    control: &Control,
) -> Result<usize> {
    let catalog = sqlite.catalog();
    let mut states = Vec::new();
    {
        let reader = sqlite.reader(None).await?;
        for sequence in catalog.sequences.values() {
            states.push((sequence.clone(), sequences.peek(&reader, sequence)?));
        }
    }
    // Several columns may take their numbers from one sequence there: it goes past all of them.
    let mut there: BTreeMap<String, (i64, bool)> = BTreeMap::new();
    for (sequence, state) in states {
        let Some((name, state)) = wanted(control, &catalog, &sequence, state).await? else {
            continue;
        };
        let up = sequence.increment > 0;
        let known = there.entry(name).or_insert(state);
        if (up && state > *known) || (!up && state.0 < known.0) {
            *known = state;
        }
    }
    for (name, (value, called)) in &there {
        control
            .client()
            .execute("SELECT setval($1::text::regclass, $2, $3)", &[name, value, called])
            .await
            .map_err(|e| control.error(&e))?;
    }
    Ok(there.len())
}

/// A sequence of the catalog with the state PostgreSQL has it in.
pub(super) struct State {
    sequence: Sequence,
    value: i64,
    called: bool,
}

/// PostgreSQL's state of every sequence that has a counterpart there; to be read behind the
/// fence.
///
/// # Errors
/// PostgreSQL's.
pub(super) async fn read(sqlite: &Sqlite, control: &Control) -> Result<Vec<State>> {
    let catalog = sqlite.catalog();
    let mut states = Vec::new();
    for sequence in catalog.sequences.values() {
        let Some(name) = counterpart(control, &catalog, sequence).await? else { continue };
        let rows = control.rows(&format!("SELECT last_value, is_called FROM {name}")).await?;
        if let Some(row) = rows.first() {
            states.push(State {
                sequence: (**sequence).clone(),
                value: row.get(0),
                called: row.get(1),
            });
        }
    }
    Ok(states)
}

/// Brings SQLite's sequences to these states, in the transaction that makes it primary: it
/// must not give a value that PostgreSQL gave.
///
/// # Errors
/// SQLite's; 22003 when a value is out of bounds.
pub(super) fn bring_back(
    sequences: &Sequences,
    connection: &Connection,
    states: &[State],
) -> Result<()> {
    states
        .iter()
        .try_for_each(|s| sequences.set(connection, &s.sequence, s.value, s.called).map(drop))
}

/// The owning table and column of a sequence, quoted and plain, when the table is there.
fn owner(catalog: &Catalog, sequence: &Sequence) -> (Option<String>, Option<String>) {
    match &sequence.owned_by {
        Some((table, column)) if catalog.relations.contains_key(table) => {
            (Some(name::quoted(table)), Some(column.clone()))
        }
        _ => (None, None),
    }
}

async fn counterpart(
    control: &Control,
    catalog: &Catalog,
    sequence: &Sequence,
) -> Result<Option<String>> {
    let (table, column) = owner(catalog, sequence);
    let owner = table.as_deref().zip(column.as_deref());
    sequences::counterpart(control, &name::quoted(&sequence.name), owner).await
}

/// Columns whose numbers PostgreSQL takes from what cannot be set past the highest one issued.
///
/// # Errors
/// What PostgreSQL said.
pub(super) async fn unmapped(control: &Control, catalog: &Catalog) -> Result<Vec<String>> {
    let mut columns = Vec::new();
    let mut named = Vec::new();
    for relation in catalog.relations.values() {
        for column in &relation.columns {
            let sequence = column.sequence.as_ref().and_then(|s| catalog.sequences.get(s));
            let Some(sequence) = sequence else { continue };
            if counterpart(control, catalog, sequence).await?.is_none() {
                columns.push((name::quoted(&relation.name), column.name.as_str()));
                named.push(format!("{}.{}", relation.name, column.name));
            }
        }
    }
    let otherwise = sequences::numbered_otherwise(control, &columns).await?;
    let found = named.into_iter().zip(otherwise).filter(|(_, otherwise)| *otherwise);
    Ok(found.map(|(name, _)| name).collect())
}

/// The state in which PostgreSQL's sequence must be: its name, whether it counts up, value, called.
async fn wanted(
    control: &Control,
    catalog: &Catalog,
    sequence: &Sequence,
    (value, called): (i64, bool),
) -> Result<Option<(String, (i64, bool))>> {
    let Some(name) = counterpart(control, catalog, sequence).await? else { return Ok(None) };
    let (table, column) = owner(catalog, sequence);
    let highest = match (&table, &column) {
        (Some(table), Some(column)) if sequence.increment > 0 => {
            let column = quoted(column);
            let rows = control.rows(&format!("SELECT max({column})::bigint FROM {table}")).await?;
            rows.first().and_then(|row| row.get::<_, Option<i64>>(0))
        }
        _ => None,
    };
    Ok(Some(match highest {
        Some(highest) if highest >= value => (name, (highest, true)),
        _ => (name, (value, called)),
    }))
}

/// How often it is looked whether PostgreSQL's own schema numbers rows in a way that can be carried;
/// and while it does not.
const LOOK_EVERY: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_secs(1);

impl Switch {
    /// Columns that PostgreSQL numbers in a way that cannot be carried, when last looked.
    pub(super) fn unmapped(&self) -> Vec<String> {
        self.unmapped.lock().0.clone()
    }

    /// Looks at what PostgreSQL takes its numbers from, at once or when it is due.
    ///
    /// # Errors
    /// What PostgreSQL said.
    pub async fn look_at_sequences(&self, at_once: bool) -> Result<()> {
        if self.phase() != Phase::Mirroring {
            return Ok(());
        }
        {
            let (unmapped, looked) = &mut *self.unmapped.lock();
            let every = if unmapped.is_empty() { LOOK_EVERY } else { LOOK_AGAIN };
            if !at_once && looked.is_some_and(|at| at.elapsed() < every) {
                return Ok(());
            }
            *looked = Some(Instant::now());
        }
        let catalog = self.sqlite.catalog();
        let found = observe::within(async {
            unmapped(&observe::connect(&self.connector).await?, &catalog).await
        });
        let found = found.await?;
        self.unmapped.lock().0 = found;
        Ok(())
    }
}
