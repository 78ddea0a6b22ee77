//! Keys: cells that SQLite compares as PostgreSQL compares the values.

use std::cmp::Ordering;

use super::args::{Args, owned};
use super::{Def, strict};
use crate::error::Result;
use crate::schema::Codec;
use crate::value::hstore::Hstore;
use crate::value::{
    Cell, CellRef, Datum, Type, array, composite, element_of, is_composite, is_enum, is_range, oid,
    range, sort_key, storage,
};

pub(super) const FUNCTIONS: &[Def] = &[
    strict("pg_numeric_key", 1, |a| Ok(Cell::Blob(a.numeric(0)?.sort_key()))),
    strict("pg_interval_key", 1, |a| Ok(Cell::Blob(sort_key::interval(&a.interval(0)?).to_vec()))),
    strict("pg_citext_key", 1, |a| comparable(a.cell(0), oid::CITEXT)),
    strict("pg_hstore_key", 1, |a| comparable(a.cell(0), oid::HSTORE)),
    strict("pg_jsonb_key", 1, |a| comparable(a.cell(0), oid::JSONB)),
    // The last argument of these two is the type's OID.
    strict("pg_text_key", 2, |a| comparable(a.cell(0), a.oid(1)?)),
    strict("pg_enum_key", 2, |a| comparable(a.cell(0), a.oid(1)?)),
    strict("pg_range_key", 2, |a| comparable(a.cell(0), a.oid(1)?)),
    strict("pg_record_key", 1, |a| comparable(a.cell(0), oid::RECORD)),
    strict("pg_array_key", 2, |a| {
        let mut out = Vec::new();
        array_key(a, a.oid(1)?, &mut out)?;
        Ok(Cell::Blob(out))
    }),
];

/// A logical cell turned into one that compares as the type does.
pub(super) fn comparable(cell: CellRef<'_>, type_oid: u32) -> Result<Cell> {
    let decode = || storage::decode(Codec::Identity, Type::new(type_oid), cell);
    match type_oid {
        oid::NUMERIC => match decode()? {
            Datum::Numeric(n) => Ok(Cell::Blob(n.sort_key())),
            _ => Ok(Cell::Null),
        },
        oid::INTERVAL => match decode()? {
            Datum::Interval(span) => Ok(Cell::Blob(sort_key::interval(&span).to_vec())),
            _ => Ok(Cell::Null),
        },
        oid::JSONB => match cell {
            CellRef::Text(text) => Ok(Cell::Blob(sort_key::jsonb(&String::from_utf8_lossy(text))?)),
            _ => Ok(Cell::Null),
        },
        oid::INET | oid::CIDR | oid::TIMETZ => Ok(match cell {
            CellRef::Text(text) => sort_key::of_text(type_oid, &String::from_utf8_lossy(text))
                .map_or_else(|| owned(cell), Cell::Blob),
            other => owned(other),
        }),
        oid::CITEXT => match cell {
            CellRef::Text(text) => {
                let text = String::from_utf8_lossy(text);
                Ok(Cell::Text(text.chars().map(super::string::lower).collect()))
            }
            _ => Ok(Cell::Null),
        },
        oid::BPCHAR => Ok(match cell {
            CellRef::Text(text) => {
                Cell::Text(String::from_utf8_lossy(text).trim_end_matches(' ').to_owned())
            }
            other => owned(other),
        }),
        oid::HSTORE => match cell {
            CellRef::Text(text) => {
                Ok(Cell::Blob(Hstore::parse(&String::from_utf8_lossy(text))?.sort_key()))
            }
            _ => Ok(Cell::Null),
        },
        label if is_enum(label) => super::enums::position(label, cell),
        range if is_range(range) => range_key(&decode()?, range),
        row if is_composite(row) => match cell {
            CellRef::Text(text) => {
                let mut out = Vec::new();
                for (ty, value) in composite::decode(&String::from_utf8_lossy(text))? {
                    push_key(&value, ty, &mut out)?;
                }
                out.push(0);
                Ok(Cell::Blob(out))
            }
            _ => Ok(Cell::Null),
        },
        other => match element_of(other) {
            Some(element) => match cell {
                CellRef::Text(text) => {
                    let items = array::decode_nested(element, &String::from_utf8_lossy(text))?;
                    let mut out = Vec::new();
                    elements_key(items, element, &mut out)?;
                    Ok(Cell::Blob(out))
                }
                _ => Ok(Cell::Null),
            },
            None => Ok(owned(cell)),
        },
    }
}

/// SQLite's order of two cells of one class under BINARY; NULL first.
pub(super) fn compare(a: &Cell, b: &Cell) -> Ordering {
    match (a, b) {
        (Cell::Integer(x), Cell::Integer(y)) => x.cmp(y),
        (Cell::Real(x), Cell::Real(y)) => x.partial_cmp(y).unwrap_or(Ordering::Equal),
        (Cell::Integer(x), Cell::Real(y)) => (*x as f64).partial_cmp(y).unwrap_or(Ordering::Equal),
        (Cell::Real(x), Cell::Integer(y)) => x.partial_cmp(&(*y as f64)).unwrap_or(Ordering::Equal),
        (Cell::Text(x), Cell::Text(y)) => x.as_bytes().cmp(y.as_bytes()),
        (Cell::Blob(x), Cell::Blob(y)) => x.cmp(y),
        _ => class(a).cmp(&class(b)),
    }
}

fn class(cell: &Cell) -> u8 {
    match cell {
        Cell::Null => 0,
        Cell::Integer(_) | Cell::Real(_) => 1,
        Cell::Text(_) => 2,
        Cell::Blob(_) => 3,
    }
}

/// Member by member, each by its ends, the shorter multirange first.
fn range_key(datum: &Datum, type_oid: u32) -> Result<Cell> {
    let mut out = Vec::new();
    match datum {
        Datum::Range(_, range) => push_range(range, type_oid, &mut out)?,
        Datum::Multirange(of, ranges) => {
            for range in ranges {
                push_range(range, *of, &mut out)?;
            }
            out.push(0);
        }
        _ => return Ok(Cell::Null),
    }
    Ok(Cell::Blob(out))
}

fn push_range(range: &range::Range, type_oid: u32, out: &mut Vec<u8>) -> Result<()> {
    if range.empty {
        out.push(1);
        return Ok(());
    }
    out.push(2);
    let subtype = range::subtype_of(type_oid).unwrap_or(oid::TEXT);
    let mut bound = |value: &Option<Datum>, absent: u8, beyond: bool| -> Result<()> {
        match value {
            None => out.push(absent),
            Some(value) => {
                push_key(&super::args::logical(value, subtype)?, subtype, out)?;
                out.push(u8::from(beyond));
            }
        }
        Ok(())
    };
    // What push_key begins with lies between the two marks of a bound that is not there.
    bound(&range.lower, 0, !range.lower_in)?;
    bound(&range.upper, 9, range.upper_in)
}

fn array_key(a: &Args<'_>, element: u32, out: &mut Vec<u8>) -> Result<()> {
    elements_key(a.nested(0, element)?, element, out)
}

/// Element by element, NULL greater than any, the shorter array first; of arrays with the
/// same elements the one with fewer dimensions.
fn elements_key(items: Vec<array::Item>, element: u32, out: &mut Vec<u8>) -> Result<()> {
    let dimensions = array::dimensions(&items);
    for item in &array::flatten(items) {
        push_key(item, element, out)?;
    }
    out.push(0);
    out.push(dimensions.len() as u8);
    dimensions.iter().for_each(|n| out.extend_from_slice(&(*n as u32).to_be_bytes()));
    Ok(())
}

/// The key of one element or field.
fn push_key(item: &Cell, type_oid: u32, out: &mut Vec<u8>) -> Result<()> {
    if item.is_null() {
        out.push(3);
        return Ok(());
    }
    out.push(2);
    let key = comparable(item.as_ref(), type_oid)?;
    if matches!(type_oid, oid::FLOAT4 | oid::FLOAT8) && matches!(key, Cell::Text(_)) {
        // NaN: greater than every number.
        out.extend_from_slice(&[0xff; 8]);
    } else {
        cell_key(&key, out);
    }
    Ok(())
}

/// A self-terminating key of a cell whose class is fixed by its type.
fn cell_key(cell: &Cell, out: &mut Vec<u8>) {
    match cell {
        Cell::Null => {}
        Cell::Integer(n) => out.extend_from_slice(&((*n as u64) ^ (1 << 63)).to_be_bytes()),
        Cell::Real(r) => {
            let bits = if *r == 0.0 { 0 } else { r.to_bits() };
            let ordered = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
            out.extend_from_slice(&ordered.to_be_bytes());
        }
        Cell::Text(t) => terminated(t.as_bytes(), out),
        Cell::Blob(b) => terminated(b, out),
    }
}

/// Bytes with zero doubled into 0 1 and ended by 0 0.
fn terminated(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        out.push(*byte);
        if *byte == 0 {
            out.push(1);
        }
    }
    out.extend_from_slice(&[0, 0]);
}
