//! Arrays: filling, replacing, searching from a place, dimensions.

use std::collections::HashMap;

use super::args::{Args, count, owned};
use super::array::{encoded, same};
use super::{Def, lenient, strict};
use crate::error::{Error, Result, SqlState, state};
use crate::value::{Cell, array, oid};

pub(super) const FUNCTIONS: &[Def] = &[
    lenient("pg_array_fill", 2, |a| fill(a, None)),
    lenient("pg_array_fill", 3, |a| fill(a, Some(2))),
    // The last argument of these is the element type's OID.
    lenient("pg_array_positions", 3, |a| {
        if a.is_null(0) {
            return Ok(Cell::Null);
        }
        let element = a.oid(2)?;
        let mut found = Vec::new();
        for (i, item) in a.array(0, element)?.iter().enumerate() {
            if same(item.as_ref(), a.cell(1), element)? {
                found.push(count(i + 1)?);
            }
        }
        encoded(&found)
    }),
    lenient("pg_array_position_from", 4, |a| {
        if a.is_null(0) {
            return Ok(Cell::Null);
        }
        if a.is_null(2) {
            let message = "initial position must not be null";
            return Err(Error::client(state::NULL_VALUE_NOT_ALLOWED, message));
        }
        let (element, start) = (a.oid(3)?, a.int(2)?);
        for (i, item) in a.array(0, element)?.iter().enumerate() {
            if i as i64 + 1 >= start && same(item.as_ref(), a.cell(1), element)? {
                return count(i + 1);
            }
        }
        Ok(Cell::Null)
    }),
    lenient("pg_array_replace", 4, |a| {
        if a.is_null(0) {
            return Ok(Cell::Null);
        }
        let element = a.oid(3)?;
        let mut items = a.array(0, element)?;
        for item in &mut items {
            if same(item.as_ref(), a.cell(1), element)? {
                *item = owned(a.cell(2));
            }
        }
        encoded(&items)
    }),
    strict("pg_trim_array", 3, |a| {
        let mut items = a.array(0, a.oid(2)?)?;
        let n = a.int(1)?;
        let Some(keep) = usize::try_from(n).ok().and_then(|n| items.len().checked_sub(n)) else {
            let message =
                format!("number of elements to trim must be between 0 and {}", items.len());
            return Err(Error::client(SqlState(*b"2202E"), message));
        };
        items.truncate(keep);
        encoded(&items)
    }),
    // The row, among a step's rows, that begins with these cells.
    lenient("pg_row_of", -1, row_of),
    lenient("pg_subscripts_down", 4, |a| {
        if a.any_null() {
            return Ok(Cell::Null);
        }
        let n = if a.int(1)? == 1 { a.array(0, oid::TEXT)?.len() as i64 } else { 0 };
        let all: Vec<Cell> = if a.bool(2)? {
            (1..=n).rev().map(Cell::Integer).collect()
        } else {
            (1..=n).map(Cell::Integer).collect()
        };
        encoded(&all)
    }),
    // Which of the sorted thresholds a value lies between.
    strict("pg_width_bucket_array", 3, |a| {
        let element = a.oid(2)?;
        let wanted = super::key::comparable(a.cell(0), element)?;
        let mut below = 0;
        for item in a.array(1, element)? {
            if item.is_null() {
                let message = "thresholds array must not contain NULLs";
                return Err(Error::client(state::NULL_VALUE_NOT_ALLOWED, message));
            }
            let threshold = super::key::comparable(item.as_ref(), element)?;
            below += usize::from(super::key::compare(&threshold, &wanted).is_le());
        }
        count(below)
    }),
];

fn fill(a: &Args<'_>, lower: Option<usize>) -> Result<Cell> {
    let bounds = |i: usize| -> Result<Vec<i64>> {
        if a.is_null(i) {
            let message = "dimension array or low bound array cannot be null";
            return Err(Error::client(state::NULL_VALUE_NOT_ALLOWED, message));
        }
        a.array(i, oid::INT4)?
            .into_iter()
            .map(|c| match c {
                Cell::Integer(n) => Ok(n),
                _ => Err(Error::client(
                    state::NULL_VALUE_NOT_ALLOWED,
                    "dimension values cannot be null",
                )),
            })
            .collect()
    };
    let sizes = bounds(1)?;
    let first = match lower {
        Some(i) => bounds(i)?,
        None => vec![1; sizes.len()],
    };
    if first.len() != sizes.len() {
        let error = Error::client(state::ARRAY_SUBSCRIPT_ERROR, "wrong number of array subscripts");
        return Err(error.detail("Low bound array has different size than dimensions array."));
    }
    match (sizes.as_slice(), first.as_slice()) {
        ([], _) => encoded(&[]),
        ([size], [1]) => {
            const MOST: i64 = 134_217_727;
            if *size > MOST || *size < 0 {
                let message = format!("array size exceeds the maximum allowed ({MOST})");
                return Err(Error::client(state::PROGRAM_LIMIT_EXCEEDED, message));
            }
            let item = owned(a.cell(0));
            encoded(&vec![item; usize::try_from(*size).unwrap_or(0)])
        }
        ([_], [_]) => Err(Error::unsupported("an array that does not begin at 1")),
        _ => Err(Error::unsupported("a multidimensional array")),
    }
}

/// Rows by their leading cells; kept while the statement runs.
struct Rows(HashMap<String, String>);

fn row_of(a: &Args<'_>) -> Result<Cell> {
    let keys = a.len() - 1;
    let rows = a.0.get_or_create_aux(0, |rows| -> Result<Rows> {
        let rows = rows.as_str().map_err(|_| Error::internal("rows that are not text"))?;
        let mut by_key = HashMap::new();
        for row in array::rows(rows)? {
            by_key.entry(array::leading(row, keys)?).or_insert_with(|| row.to_owned());
        }
        Ok(Rows(by_key))
    });
    let rows = rows.map_err(|_| Error::internal("rows of a step cannot be read"))?;
    let key = array::encode((1..=keys).map(|i| a.cell(i)))?;
    Ok(rows.0.get(&key).map_or(Cell::Null, |row| Cell::Text(row.clone())))
}
