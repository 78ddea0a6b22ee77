//! Sequences at the switch: the new primary goes on past the highest value ever issued.

use crate::backend::postgres::apply::quoted;
use crate::backend::postgres::control::Control;
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
    let mut moved = 0;
    for (sequence, (value, called)) in states {
        moved += usize::from(set(control, &catalog, &sequence, value, called).await?);
    }
    Ok(moved)
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

/// The sequence's name on PostgreSQL, ready for SQL. An owned one may be called otherwise
/// there; its column finds it.
async fn counterpart(
    control: &Control,
    catalog: &Catalog,
    sequence: &Sequence,
) -> Result<Option<String>> {
    let own = name::quoted(&sequence.name);
    let (table, column) = owner(catalog, sequence);
    let found = control
        .client()
        .query_one(
            "SELECT coalesce(CASE WHEN $2::text IS NOT NULL AND to_regclass($2) IS NOT NULL \
             THEN pg_get_serial_sequence($2, $3) END, to_regclass($1)::text)",
            &[&own, &table, &column],
        )
        .await
        .map_err(|e| control.error(&e))?;
    Ok(found.get(0))
}

async fn set(
    control: &Control,
    catalog: &Catalog,
    sequence: &Sequence,
    value: i64,
    called: bool,
) -> Result<bool> {
    let Some(name) = counterpart(control, catalog, sequence).await? else { return Ok(false) };
    let (table, column) = owner(catalog, sequence);
    let highest = match (&table, &column) {
        (Some(table), Some(column)) if sequence.increment > 0 => {
            let column = quoted(column);
            let rows = control.rows(&format!("SELECT max({column})::bigint FROM {table}")).await?;
            rows.first().and_then(|row| row.get::<_, Option<i64>>(0))
        }
        _ => None,
    };
    let (value, called) = match highest {
        Some(highest) if highest >= value => (highest, true),
        _ => (value, called),
    };
    control
        .client()
        .execute("SELECT setval($1::text::regclass, $2, $3)", &[&name, &value, &called])
        .await
        .map_err(|e| control.error(&e))?;
    Ok(true)
}
