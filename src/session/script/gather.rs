//! Rows that a function returns: gathered while it runs, and taken apart by the statement that
//! called it.
//!
//! A row travels as a JSON array of texts, rows as an array of them. What a function gathers is
//! bounded. Start at [`Gathered`].

use super::super::{Session, Step};
use super::Running;
use super::run::in_statement;
use crate::error::{Error, Result, state};
use crate::sql::ast::{Expr, ExprKind, Source};
use crate::sql::pg::plpgsql;
use crate::sql::types::{sql_name, sql_name_with_typmod};
use crate::value::{Cell, Format, Style, Type, wire};

/// Bytes of what one function returns.
const BYTES_MAX: usize = 64 << 20;

/// The rows so far.
pub(super) struct Gathered {
    columns: Vec<(String, Type)>,
    /// Other types are cast, as a function in SQL does.
    casts: bool,
    rows: Vec<Vec<Option<String>>>,
    bytes: usize,
}

impl Gathered {
    pub(super) fn of(columns: &[(String, Type)], casts: bool) -> Self {
        Self { columns: columns.to_vec(), casts, rows: Vec::new(), bytes: 0 }
    }

    fn push(&mut self, row: Vec<Option<String>>) -> Result<()> {
        let texts = row.iter().flatten().map(String::len).sum::<usize>();
        self.bytes += texts + 24 * row.len() + 24;
        if self.bytes > BYTES_MAX {
            let message = "a function returns more than 64 MiB";
            let hint = "While SQLite is primary, the rows of a function are kept in memory.";
            return Err(Error::client(state::PROGRAM_LIMIT_EXCEEDED, message).hint(hint));
        }
        self.rows.push(row);
        Ok(())
    }

    /// All rows as one cell.
    pub(super) fn done(self) -> Step<Cell> {
        let json = serde_json::to_string(&self.rows);
        Ok(Cell::Text(json.map_err(|_| Error::internal("rows that are no JSON"))?))
    }
}

/// A row as one cell.
pub(super) fn row(values: &[Option<String>]) -> Cell {
    Cell::Text(serde_json::to_string(values).unwrap_or_default())
}

/// A field of a row that a function has returned; of rows an array of its values.
pub(in crate::session) fn field(
    cell: &Cell,
    position: usize,
    ty: Type,
    style: &Style,
) -> Result<Cell> {
    let Cell::Text(json) = cell else { return Ok(Cell::Null) };
    let damaged = || Error::internal("a row that is none");
    let text = match json.starts_with("[[") || json == "[]" {
        false => {
            let mut row: Vec<Option<String>> = serde_json::from_str(json).map_err(|_| damaged())?;
            if position >= row.len() {
                return Err(damaged());
            }
            row.swap_remove(position)
        }
        true => {
            let rows: Vec<Vec<Option<String>>> =
                serde_json::from_str(json).map_err(|_| damaged())?;
            let mut list = String::from("{");
            for (number, row) in rows.iter().enumerate() {
                if number > 0 {
                    list.push(',');
                }
                match row.get(position).ok_or_else(damaged)? {
                    None => list.push_str("NULL"),
                    Some(text) => {
                        list.push('"');
                        for c in text.chars() {
                            if matches!(c, '"' | '\\') {
                                list.push('\\');
                            }
                            list.push(c);
                        }
                        list.push('"');
                    }
                }
            }
            list.push('}');
            Some(list)
        }
    };
    match text {
        None => Ok(Cell::Null),
        Some(text) => wire::read(ty, Format::Text, text.as_bytes(), style),
    }
}

fn wrong(detail: String) -> Error {
    let message = "structure of query does not match function result type";
    Error::client(state::DATATYPE_MISMATCH, message).detail(detail)
}

impl Session {
    /// RETURN NEXT
    pub(super) async fn gather_value(
        &mut self,
        value: Option<&Expr>,
        running: &mut Running,
    ) -> Step<()> {
        let Some(columns) = running.gathered.as_ref().map(|g| g.columns.clone()) else {
            return Err(Error::internal("RETURN NEXT of no rows").into());
        };
        let row = match value {
            None => {
                let values = columns.iter().map(|(name, _)| running.variables.value_of(name));
                values.collect::<Result<Vec<_>>>()?
            }
            Some(value) if is_record(value, running) => {
                self.row_of(value, &columns, running).await?
            }
            Some(value) => {
                let [(_, ty)] = columns.as_slice() else {
                    return Err(Error::unsupported("a row as a value in PL/pgSQL").into());
                };
                let ty = plpgsql::type_name(&sql_name_with_typmod(*ty))?;
                vec![self.value(value, Some(&ty), running).await?]
            }
        };
        if let Some(gathered) = &mut running.gathered {
            gathered.push(row)?;
        }
        Ok(())
    }

    /// The fields of a record variable as columns.
    pub(super) async fn row_of(
        &mut self,
        value: &Expr,
        columns: &[(String, Type)],
        running: &Running,
    ) -> Step<Vec<Option<String>>> {
        let ExprKind::Column(parts) = &value.kind else {
            return Err(Error::unsupported("a row as a value in PL/pgSQL").into());
        };
        let fields = running.variables.record_fields(parts.last().map_or("", String::as_str))?;
        if fields.len() != columns.len() {
            return Err(counts(fields.len(), columns.len()).into());
        }
        let mut row = Vec::with_capacity(fields.len());
        for ((_, typed), (_, ty)) in fields.into_iter().zip(columns) {
            let wanted = plpgsql::type_name(&sql_name_with_typmod(*ty))?;
            row.push(self.converted(typed, wanted).await?);
        }
        Ok(row)
    }

    /// RETURN QUERY, and what ends a function in SQL.
    pub(super) async fn gather_rows(&mut self, source: &Source, running: &mut Running) -> Step<()> {
        let Some(gathered) = &running.gathered else {
            return Err(Error::internal("RETURN QUERY of no rows").into());
        };
        let (wanted, casts) = (gathered.columns.clone(), gathered.casts);
        let (mut rows, text) = self.source_rows(source, running).await?;
        let placed = |error: Error| in_statement(error.into(), &text);
        let own: Vec<Type> = rows.types();
        if own.len() != wanted.len() {
            return Err(placed(counts(own.len(), wanted.len())));
        }
        for (number, (own, (_, wanted))) in (1..).zip(own.iter().zip(&wanted)) {
            if own.oid != wanted.oid && !casts {
                return Err(placed(wrong(format!(
                    "Returned type {} does not match expected type {} in column {number}.",
                    sql_name(own.oid),
                    sql_name(wanted.oid)
                ))));
            }
        }
        let mut at = 0;
        while let Some(fields) = self.fields(&mut rows, at)? {
            let mut row = Vec::with_capacity(fields.len());
            for ((_, typed), (own, (_, wanted))) in fields.into_iter().zip(own.iter().zip(&wanted))
            {
                row.push(match own.oid == wanted.oid {
                    true => typed.1,
                    false => {
                        let wanted = plpgsql::type_name(&sql_name_with_typmod(*wanted))?;
                        self.converted(typed, wanted).await?
                    }
                });
            }
            if let Some(gathered) = &mut running.gathered {
                gathered.push(row)?;
            }
            at += 1;
        }
        running.count = at;
        running.variables.found(at > 0);
        Ok(())
    }
}

fn is_record(value: &Expr, running: &Running) -> bool {
    let ExprKind::Column(parts) = &value.kind else { return false };
    matches!(parts.as_slice(), [name] if running.variables.is_record(name))
}

fn counts(own: usize, wanted: usize) -> Error {
    wrong(format!(
        "Number of returned columns ({own}) does not match expected column count ({wanted})."
    ))
}
