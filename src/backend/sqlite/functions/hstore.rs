//! Functions of hstore and citext.

use serde_json::{Number, Value};

use super::args::{Args, boolean, text};
use super::{Def, lenient, strict};
use crate::error::{Error, Result, state};
use crate::value::hstore::Hstore;
use crate::value::{Cell, CellRef, array, oid};

pub(super) const FUNCTIONS: &[Def] = &[
    strict("pg_hs_get", 2, |a| Ok(value(hstore(a, 0)?.get(a.text(1)?)))),
    strict("pg_hs_get_all", 2, |a| {
        let (all, keys) = (hstore(a, 0)?, keys(a, 1)?);
        list(keys.iter().map(|key| value(key.as_ref().and_then(|key| all.get(key)))))
    }),
    strict("pg_hs_exists", 2, |a| boolean(hstore(a, 0)?.get(a.text(1)?).is_some())),
    strict("pg_hs_exists_any", 2, |a| {
        let all = hstore(a, 0)?;
        boolean(keys(a, 1)?.iter().flatten().any(|key| all.get(key).is_some()))
    }),
    strict("pg_hs_exists_all", 2, |a| {
        let all = hstore(a, 0)?;
        boolean(keys(a, 1)?.iter().flatten().all(|key| all.get(key).is_some()))
    }),
    strict("pg_hs_defined", 2, |a| {
        boolean(hstore(a, 0)?.get(a.text(1)?).is_some_and(Option::is_some))
    }),
    strict("pg_hs_contains", 2, |a| boolean(hstore(a, 0)?.contains(&hstore(a, 1)?))),
    strict("pg_hs_concat", 2, |a| shown(&hstore(a, 0)?.concat(hstore(a, 1)?))),
    strict("pg_hs_delete", 2, |a| {
        let key = a.text(1)?;
        shown(&hstore(a, 0)?.retain(|k, _| k != key))
    }),
    strict("pg_hs_delete_all", 2, |a| {
        let keys = keys(a, 1)?;
        shown(&hstore(a, 0)?.retain(|k, _| !keys.iter().flatten().any(|key| key == k)))
    }),
    strict("pg_hs_delete_pairs", 2, |a| {
        let other = hstore(a, 1)?;
        shown(&hstore(a, 0)?.retain(|k, v| other.get(k) != Some(v)))
    }),
    strict("pg_hs_slice", 2, |a| {
        let keys = keys(a, 1)?;
        shown(&hstore(a, 0)?.retain(|k, _| keys.iter().flatten().any(|key| key == k)))
    }),
    // A NULL value is one; a NULL key makes NULL.
    lenient("pg_hs_of", 2, |a| {
        if a.is_null(0) {
            return Ok(Cell::Null);
        }
        shown(&Hstore::new(vec![(a.text(0)?.to_owned(), optional(a, 1)?)]))
    }),
    lenient("pg_hs_set", 3, |a| {
        let before = if a.is_null(0) { Hstore::default() } else { hstore(a, 0)? };
        if a.is_null(1) {
            let message = "hstore subscript in assignment must not be null";
            return Err(Error::client(state::NULL_VALUE_NOT_ALLOWED, message));
        }
        let pair = Hstore::new(vec![(a.text(1)?.to_owned(), optional(a, 2)?)]);
        shown(&before.concat(pair))
    }),
    strict("pg_hs_of_pairs", 1, of_pairs),
    lenient("pg_hs_of_lists", 2, of_lists),
    strict("pg_hs_keys", 1, |a| {
        list(hstore(a, 0)?.pairs().iter().map(|(key, _)| Cell::Text(key.clone())))
    }),
    strict("pg_hs_values", 1, |a| list(hstore(a, 0)?.pairs().iter().map(|(_, v)| value(Some(v))))),
    strict("pg_hs_array", 1, |a| {
        let all = hstore(a, 0)?;
        list(all.pairs().iter().flat_map(|(k, v)| [Cell::Text(k.clone()), value(Some(v))]))
    }),
    strict("pg_hs_each", 1, |a| {
        let mut rows = Vec::new();
        for (key, v) in hstore(a, 0)?.pairs() {
            let pair = [Cell::Text(key.clone()), value(Some(v))];
            rows.push(Cell::Text(array::encode(pair.iter().map(Cell::as_ref))?));
        }
        list(rows.into_iter())
    }),
    strict("pg_hs_json", 1, |a| json(&hstore(a, 0)?, false)),
    strict("pg_hs_json_loose", 1, |a| json(&hstore(a, 0)?, true)),
    // Flags of a regular expression that looks at no case, unless they say otherwise.
    strict("pg_citext_flags", 1, |a| {
        let flags = a.text(0)?;
        text(if flags.contains('c') { flags.to_owned() } else { format!("{flags}i") })
    }),
];

fn hstore(a: &Args<'_>, i: usize) -> Result<Hstore> {
    Hstore::parse(a.text(i)?)
}

fn shown(value: &Hstore) -> Result<Cell> {
    text(value.to_string())
}

fn value(found: Option<&Option<String>>) -> Cell {
    found.cloned().flatten().map_or(Cell::Null, Cell::Text)
}

fn optional(a: &Args<'_>, i: usize) -> Result<Option<String>> {
    if a.is_null(i) { Ok(None) } else { Ok(Some(a.text(i)?.to_owned())) }
}

fn list(cells: impl Iterator<Item = Cell>) -> Result<Cell> {
    let cells: Vec<Cell> = cells.collect();
    text(array::encode(cells.iter().map(Cell::as_ref))?)
}

/// The texts of an array, of any number of dimensions.
fn keys(a: &Args<'_>, i: usize) -> Result<Vec<Option<String>>> {
    let cells = a.flat(i, oid::TEXT)?;
    Ok(cells.into_iter().map(word).collect())
}

fn word(cell: Cell) -> Option<String> {
    match cell {
        Cell::Text(word) => Some(word),
        _ => None,
    }
}

fn wrong_array(message: &'static str) -> Error {
    Error::client(state::ARRAY_SUBSCRIPT_ERROR, message)
}

fn null_key() -> Error {
    Error::client(state::NULL_VALUE_NOT_ALLOWED, "null value not allowed for hstore key")
}

/// Keys and values in turn, or pairs of them.
fn of_pairs(a: &Args<'_>) -> Result<Cell> {
    let dimensions = array::dimensions(&a.nested(0, oid::TEXT)?);
    match dimensions.as_slice() {
        [] => return text(""),
        [n] if n % 2 == 1 => {
            return Err(wrong_array("array must have even number of elements"));
        }
        [_] | [_, 2] => {}
        [_, _] => return Err(wrong_array("array must have two columns")),
        _ => return Err(wrong_array("wrong number of array subscripts")),
    }
    let mut words = keys(a, 0)?.into_iter();
    let mut pairs = Vec::new();
    while let (Some(key), Some(value)) = (words.next(), words.next()) {
        pairs.push((key.ok_or_else(null_key)?, value));
    }
    shown(&Hstore::new(pairs))
}

/// A list of keys and one of values; NULL for the second stands for NULLs.
fn of_lists(a: &Args<'_>) -> Result<Cell> {
    if matches!(a.cell(0), CellRef::Null) {
        return Ok(Cell::Null);
    }
    let keys = keys(a, 0)?;
    let values = if a.is_null(1) { vec![None; keys.len()] } else { self::keys(a, 1)? };
    if keys.len() != values.len() {
        return Err(wrong_array("arrays must have same bounds"));
    }
    let mut pairs = Vec::new();
    for (key, value) in keys.into_iter().zip(values) {
        pairs.push((key.ok_or_else(null_key)?, value));
    }
    shown(&Hstore::new(pairs))
}

/// As an object of texts; loosely also of numbers and truths where a text reads as one.
fn json(value: &Hstore, loose: bool) -> Result<Cell> {
    let mut out = String::from("{");
    for (at, (key, value)) in value.pairs().iter().enumerate() {
        if at > 0 {
            out.push_str(", ");
        }
        let shown = match value {
            None => "null".to_owned(),
            Some(t) if loose && t == "t" => "true".to_owned(),
            Some(t) if loose && t == "f" => "false".to_owned(),
            Some(t) if loose && is_number(t) => t.clone(),
            Some(t) => Value::String(t.clone()).to_string(),
        };
        out.push_str(&format!("{}: {shown}", Value::String(key.clone())));
    }
    out.push('}');
    text(out)
}

/// Whether a text is a number as JSON writes one.
fn is_number(text: &str) -> bool {
    serde_json::from_str::<Number>(text).is_ok() && text.trim() == text
}
