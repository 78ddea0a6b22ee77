//! Sequences at the switch: PostgreSQL goes on past the highest value ever issued.

use crate::backend::postgres::apply::quoted;
use crate::backend::postgres::control::Control;
use crate::backend::sqlite::Sqlite;
use crate::backend::sqlite::sequences::Sequences;
use crate::error::Result;
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

async fn set(
    control: &Control,
    catalog: &Catalog,
    sequence: &Sequence,
    value: i64,
    called: bool,
) -> Result<bool> {
    let client = control.client();
    let own = format!("\"public\".{}", quoted(&sequence.name));
    // An owned sequence may have another name there; its column finds it.
    let (table, column) = match &sequence.owned_by {
        Some((table, column)) if catalog.relations.contains_key(table) => {
            (Some(format!("\"public\".{}", quoted(table))), Some(column.clone()))
        }
        _ => (None, None),
    };
    let found = client
        .query_one(
            "SELECT coalesce(CASE WHEN $2::text IS NOT NULL AND to_regclass($2) IS NOT NULL \
             THEN pg_get_serial_sequence($2, $3) END, to_regclass($1)::text)",
            &[&own, &table, &column],
        )
        .await
        .map_err(|e| control.error(&e))?;
    let Some(name) = found.get::<_, Option<String>>(0) else { return Ok(false) };
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
    client
        .execute("SELECT setval($1::text::regclass, $2, $3)", &[&name, &value, &called])
        .await
        .map_err(|e| control.error(&e))?;
    Ok(true)
}
