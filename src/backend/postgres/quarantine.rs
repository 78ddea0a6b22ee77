//! `crossfade.quarantine`: values that PostgreSQL cannot hold, with their exact bytes.
//!
//! Owns the table's rows and the text by which a row's key is named in it. A whole row that
//! is left out has an entry whose column is [`ROW`], and one for each of its values. It must
//! never lose a byte. Start at [`entries`].

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::control::Control;
use super::project::{Projected, Projection};
use crate::backend::Position;
use crate::error::{Error, Result, state};
use crate::value::{CellRef, Datum, Style, text};

/// Column name that stands for the whole row: it is not on PostgreSQL.
pub const ROW: &str = "";

/// Stands for any column of a row in [`Known`]; no column has this name.
const ANY: &str = "\0";

/// Entries of one table that are looked at together; beyond that they must be decided first.
const KNOWN_MAX: usize = 1_000_000;

/// One value, or the mark of a row that is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Table, PostgreSQL's name.
    pub table: String,
    /// The row, as [`row_key`] names it.
    pub key: String,
    /// Column, or [`ROW`].
    pub column: String,
    /// SQLite's storage class; `row` for the mark.
    pub class: &'static str,
    /// The bytes stored: TEXT and BLOB as they are, numbers as decimal text.
    pub bytes: Option<Vec<u8>>,
    /// Why.
    pub reason: String,
}

/// The text that names a row: a JSON object of its key's values in text form, or of the
/// rowid where there is no key or the key itself does not fit. A key that is stored in another form
/// than the usual one of its values has that beside them: other rows may have the same values.
pub fn row_key<'a>(
    projection: &Projection,
    cell: impl Fn(usize) -> CellRef<'a>,
    projected: &Projected,
    rowid: Option<i64>,
) -> String {
    let fitting = projection
        .named_by
        .as_deref()
        .filter(|key| !projected.misfits.iter().any(|m| key.contains(&m.column)));
    let mut object = serde_json::Map::new();
    match (fitting, rowid) {
        (Some(key), _) => {
            for i in key {
                let value = text_of(projection, *i, &projected.values[*i]);
                object.insert(projection.columns[*i].name.clone(), value.into());
            }
            if projection.is_spelled(&cell, projected) {
                for i in key {
                    let name = format!("{} as stored", projection.columns[*i].name);
                    object.insert(name, literal(cell(*i)).into());
                }
            }
        }
        (None, Some(rowid)) => {
            object.insert("rowid".to_owned(), rowid.to_string().into());
        }
        (None, None) => {
            for i in projection.named_by.as_deref().unwrap_or_default() {
                let hex: String = bytes_of(cell(*i))
                    .unwrap_or_default()
                    .iter()
                    .map(|b| format!("{b:02x}"))
                    .collect();
                object.insert(format!("{} (hex)", projection.columns[*i].name), hex.into());
            }
        }
    }
    serde_json::Value::Object(object).to_string()
}

fn text_of(projection: &Projection, column: usize, datum: &Datum) -> Option<String> {
    if datum.is_null() {
        return None;
    }
    let mut out = Vec::new();
    text::format(datum, projection.columns[column].ty, &Style::default(), &mut out);
    Some(String::from_utf8_lossy(&out).into_owned())
}

/// A cell as SQLite writes it: no two are written alike.
fn literal(cell: CellRef<'_>) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    match cell {
        CellRef::Null => "NULL".to_owned(),
        CellRef::Integer(i) => i.to_string(),
        // With a point, which no integer has.
        CellRef::Real(r) => format!("{r:?}"),
        CellRef::Text(t) => match std::str::from_utf8(t) {
            Ok(text) => format!("'{}'", text.replace('\'', "''")),
            Err(_) => format!("CAST(x'{}' AS TEXT)", hex(t)),
        },
        CellRef::Blob(b) => format!("x'{}'", hex(b)),
    }
}

fn bytes_of(cell: CellRef<'_>) -> Option<Vec<u8>> {
    match cell {
        CellRef::Null => None,
        CellRef::Integer(i) => Some(i.to_string().into_bytes()),
        // The shortest text that reads back as the same number.
        CellRef::Real(r) => Some(r.to_string().into_bytes()),
        CellRef::Text(b) | CellRef::Blob(b) => Some(b.to_vec()),
    }
}

/// The entries of one row: none when everything fits. `refused` says why PostgreSQL itself
/// refused a row that seemed to fit.
pub fn entries<'a>(
    projection: &Projection,
    cell: impl Fn(usize) -> CellRef<'a> + Copy,
    projected: &Projected,
    key: &str,
    refused: Option<&str>,
) -> Vec<Entry> {
    let entry = |column: &str, class, bytes, reason: &str| Entry {
        table: projection.relation.name.clone(),
        key: key.to_owned(),
        column: column.to_owned(),
        class,
        bytes,
        reason: reason.to_owned(),
    };
    let mut found = Vec::new();
    let out = projected.left_out || refused.is_some();
    if out {
        let reason = refused.unwrap_or("a value does not fit a column that takes no NULL");
        found.push(entry(ROW, "row", None, reason));
    }
    for (i, column) in projection.columns.iter().enumerate() {
        let misfit = projected.misfits.iter().find(|m| m.column == i);
        let reason = match (misfit, out) {
            (Some(misfit), _) => misfit.reason.as_str(),
            (None, true) if !column.generated => "its row is left out",
            (None, _) => continue,
        };
        let cell = cell(i);
        found.push(entry(&column.name, cell.class(), bytes_of(cell), reason));
    }
    found
}

/// Stores entries, in the connection's transaction.
///
/// # Errors
/// What PostgreSQL said.
pub async fn store(control: &Control, position: Position, entries: &[Entry]) -> Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let column = |of: fn(&Entry) -> &str| entries.iter().map(of).collect::<Vec<&str>>();
    let bytes: Vec<Option<&[u8]>> = entries.iter().map(|e| e.bytes.as_deref()).collect();
    let position = i64::try_from(position.0).unwrap_or(i64::MAX);
    control
        .client()
        .execute(
            "INSERT INTO crossfade.quarantine \
             (table_name, row_key, column_name, class, bytes, reason, position) \
             SELECT t, k, c, s, b, r, $7 FROM unnest($1::text[], $2::text[], $3::text[], \
             $4::text[], $5::bytea[], $6::text[]) AS u(t, k, c, s, b, r)",
            &[
                &column(|e| &e.table),
                &column(|e| &e.key),
                &column(|e| &e.column),
                &column(|e| e.class),
                &bytes,
                &column(|e| &e.reason),
                &position,
            ],
        )
        .await
        .map(drop)
        .map_err(|e| control.error(&e))
}

/// Drops every entry of a table, in the connection's transaction.
///
/// # Errors
/// What PostgreSQL said.
pub async fn clear(control: &Control, table: &str) -> Result<()> {
    let sql = "DELETE FROM crossfade.quarantine WHERE table_name = $1";
    control.client().execute(sql, &[&table]).await.map(drop).map_err(|e| control.error(&e))
}

/// Drops the entries of some rows, in the connection's transaction: they are written anew.
///
/// # Errors
/// What PostgreSQL said.
pub async fn clear_rows(control: &Control, table: &str, keys: &[String]) -> Result<()> {
    let sql = "DELETE FROM crossfade.quarantine WHERE table_name = $1 AND row_key = ANY($2)";
    control.client().execute(sql, &[&table, &keys]).await.map(drop).map_err(|e| control.error(&e))
}

/// As [`clear_rows`] and [`store`], for whoever is not the applier: it sees by the newest entry that
/// it does not know the quarantine any more.
///
/// # Errors
/// What PostgreSQL said.
pub async fn renew_rows(
    control: &Control,
    position: Position,
    table: &str,
    keys: &[String],
    entries: &[Entry],
) -> Result<()> {
    clear_rows(control, table, keys).await?;
    let newest = "UPDATE crossfade.quarantine SET id = DEFAULT \
                  WHERE id = (SELECT max(id) FROM crossfade.quarantine)";
    control.batch(newest).await?;
    store(control, position, entries).await
}

/// What is in quarantine of one table.
#[derive(Clone, Debug, Default)]
pub struct Known {
    values: HashSet<u128>,
    rows: bool,
}

impl Known {
    /// Reads a table's entries.
    ///
    /// # Errors
    /// What PostgreSQL said; 54000 above a million entries.
    pub async fn load(control: &Control, table: &str) -> Result<Self> {
        let sql = "SELECT row_key, column_name FROM crossfade.quarantine \
                   WHERE table_name = $1 LIMIT $2";
        let limit = i64::try_from(KNOWN_MAX + 1).unwrap_or(i64::MAX);
        let rows =
            control.client().query(sql, &[&table, &limit]).await.map_err(|e| control.error(&e))?;
        if rows.len() > KNOWN_MAX {
            return Err(Error::shadow(
                state::PROGRAM_LIMIT_EXCEEDED,
                format!("more than {KNOWN_MAX} values of {table} are in quarantine"),
            ));
        }
        let mut known = Self::default();
        for row in &rows {
            let column: &str = row.get(1);
            known.put(row.get(0), column);
        }
        Ok(known)
    }

    fn put(&mut self, key: &str, column: &str) {
        self.rows |= column == ROW;
        self.values.insert(digest(key, column));
        self.values.insert(digest(key, ANY));
    }

    /// Takes in entries that were stored since.
    pub fn add(&mut self, entries: &[Entry]) {
        for entry in entries {
            self.put(&entry.key, &entry.column);
        }
    }

    /// Forgets a row whose entries were dropped.
    pub fn remove(&mut self, key: &str, projection: &Projection) {
        let columns = projection.columns.iter().map(|c| c.name.as_str());
        for column in columns.chain([ROW, ANY]) {
            self.values.remove(&digest(key, column));
        }
    }

    /// Whether a row has any entry.
    pub fn has_any(&self, key: &str) -> bool {
        self.has(key, ANY)
    }

    /// Whether nothing is in quarantine.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Whether a whole row of the table is left out.
    pub fn has_rows(&self) -> bool {
        self.rows
    }

    /// Whether a value (or the whole row: [`ROW`]) is in quarantine.
    pub fn has(&self, key: &str, column: &str) -> bool {
        !self.values.is_empty() && self.values.contains(&digest(key, column))
    }
}

fn digest(key: &str, column: &str) -> u128 {
    let half = |seed: u64| {
        let mut hasher = DefaultHasher::new();
        (seed, key, column).hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(1) << 64 | half(2)
}

/// Whether a row or value of any of these tables is in quarantine.
///
/// # Errors
/// What PostgreSQL said.
pub async fn holds_any(control: &Control, tables: &[&String]) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT FROM crossfade.quarantine WHERE table_name = ANY ($1))";
    let row = control.client().query_one(sql, &[&tables]).await.map_err(|e| control.error(&e))?;
    Ok(row.get(0))
}

/// Rows of one table of which the same columns are in quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Table, PostgreSQL's name.
    pub table: String,
    /// The columns in the table's order; none for a table that PostgreSQL could not make.
    pub columns: Vec<String>,
    /// So many rows.
    pub rows: u64,
    /// One of them, as [`row_key`] names it.
    pub example: String,
}

/// What is in quarantine, by table and set of columns; bounded like the store that it goes to.
///
/// # Errors
/// What PostgreSQL said.
pub async fn held(control: &Control, limit: usize) -> Result<Vec<Held>> {
    let sql = "SELECT table_name, columns, count(*), min(row_key) FROM (\
                 SELECT table_name, row_key, coalesce(array_agg(column_name ORDER BY id) \
                   FILTER (WHERE column_name <> $1), '{}') AS columns \
                 FROM crossfade.quarantine GROUP BY table_name, row_key) AS r \
               GROUP BY table_name, columns ORDER BY table_name, columns LIMIT $2";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = control.client().query(sql, &[&ROW, &limit]).await.map_err(|e| control.error(&e))?;
    let held = rows.iter().map(|row| Held {
        table: row.get(0),
        columns: row.get(1),
        rows: u64::try_from(row.get::<_, i64>(2)).unwrap_or(0),
        example: row.get(3),
    });
    Ok(held.collect())
}
