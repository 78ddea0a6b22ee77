//! Which foreign key is broken, found after SQLite said only that one is.
//!
//! Owns reading `foreign_key_check`. It is run on failure alone: it scans every table with
//! keys. Start at [`find`].

use super::Connection;
use crate::error::{Error, Object, Result, state};
use crate::schema::Catalog;
use crate::value::Cell;

/// The first broken foreign key as PostgreSQL reports it; None when all hold.
///
/// # Errors
/// SQLite's own.
pub fn find(connection: &Connection, catalog: &Catalog) -> Result<Option<Error>> {
    let sql = "SELECT c.\"table\", c.parent, group_concat(l.\"from\", char(0)) \
               FROM (SELECT * FROM pragma_foreign_key_check LIMIT 1) AS c \
               JOIN pragma_foreign_key_list(c.\"table\") AS l ON l.id = c.fkid \
               GROUP BY 1, 2";
    let Some(row) = connection.query_row(sql, &[])? else { return Ok(None) };
    let text = |i: usize| match row.get(i) {
        Some(Cell::Text(text)) => text.as_str(),
        _ => "",
    };
    let (table, parent) = (text(0), text(1));
    let columns: Vec<&str> = text(2).split('\0').collect();
    let child = catalog.relations.values().find(|r| r.sqlite_name.eq_ignore_ascii_case(table));
    let key = child.and_then(|child| {
        child.foreign_keys.iter().find(|key| {
            catalog.relation(&key.table).is_some_and(|r| r.sqlite_name.eq_ignore_ascii_case(parent))
                && key.columns.len() == columns.len()
                && key.columns.iter().all(|c| {
                    let name = &child.columns[*c].sqlite_name;
                    columns.iter().any(|column| column.eq_ignore_ascii_case(name))
                })
        })
    });
    let table = child.map_or(table, |r| r.name.as_str());
    let name = key.map_or("", |k| k.name.as_str());
    let message =
        format!("insert or update on table \"{table}\" violates foreign key constraint \"{name}\"");
    let object = Object {
        schema: Some("public".to_owned()),
        table: Some(table.to_owned()),
        constraint: key.map(|k| k.name.clone()),
        ..Object::default()
    };
    Ok(Some(Error::client(state::FOREIGN_KEY_VIOLATION, message).object(object)))
}
