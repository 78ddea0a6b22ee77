//! Reading json and jsonb: `->`, `->>`, `#>`, `#>>`, containment, existence, lengths.
//!
//! Parts are cut out of the text as they stand: what is canonical (jsonb) stays so, what
//! was kept as given (json) is returned as given.

use serde_json::Value;
use serde_json::value::RawValue;

use super::args::{Args, boolean, count, text};
use super::{Def, strict};
use crate::error::{Error, Result, state};
use crate::value::{Cell, array, json, oid};

pub(super) const FUNCTIONS: &[Def] = &[
    strict("pg_json_get", 2, |a| Ok(owned(field(read(a)?, a.text(1)?)?))),
    strict("pg_json_get_text", 2, |a| as_text(field(read(a)?, a.text(1)?)?)),
    strict("pg_json_item", 2, |a| Ok(owned(item(read(a)?, a.int(1)?)?))),
    strict("pg_json_item_text", 2, |a| as_text(item(read(a)?, a.int(1)?)?)),
    strict("pg_jsonb_item", 2, |a| Ok(owned(jsonb_item(a.text(0)?, a.int(1)?)?))),
    strict("pg_jsonb_item_text", 2, |a| as_text(jsonb_item(a.text(0)?, a.int(1)?)?)),
    strict("pg_json_path", 2, |a| Ok(path(a)?.map_or(Cell::Null, Cell::Text))),
    strict("pg_json_path_text", 2, |a| match path(a)? {
        Some(found) => as_text(Some(&found)),
        None => Ok(Cell::Null),
    }),
    strict("pg_jsonb_exists", 2, |a| boolean(exists(&value(a.text(0)?)?, a.text(1)?))),
    strict("pg_jsonb_exists_any", 2, |a| {
        let json = value(a.text(0)?)?;
        boolean(keys(a)?.iter().any(|k| exists(&json, k)))
    }),
    strict("pg_jsonb_exists_all", 2, |a| {
        let json = value(a.text(0)?)?;
        boolean(keys(a)?.iter().all(|k| exists(&json, k)))
    }),
    strict("pg_jsonb_contains", 2, |a| {
        boolean(contains(&value(a.text(0)?)?, &value(a.text(1)?)?, true))
    }),
    strict("pg_json_array_length", 1, |a| match items(a.text(0)?)? {
        Some(items) => count(items.len()),
        None if a.text(0)?.trim_start().starts_with('{') => {
            Err(not("cannot get array length of a non-array"))
        }
        None => Err(not("cannot get array length of a scalar")),
    }),
    strict("pg_json_typeof", 1, |a| {
        text(match a.text(0)?.trim_start().as_bytes().first() {
            Some(b'n') => "null",
            Some(b't' | b'f') => "boolean",
            Some(b'"') => "string",
            Some(b'[') => "array",
            Some(b'{') => "object",
            _ => "number",
        })
    }),
    // The rows of json_array_elements() and kin, as a JSON array of texts.
    strict("pg_json_elements", 1, |a| elements(a, false)),
    strict("pg_json_elements_text", 1, |a| elements(a, true)),
    strict("pg_json_keys", 1, |a| rows(a, |k, _| Ok(Cell::Text(k.to_owned())))),
    strict("pg_json_each", 1, |a| each(a, false)),
    strict("pg_json_each_text", 1, |a| each(a, true)),
];

/// A document whose strings are read, as most functions do, also of those that are not asked for.
fn read<'a>(a: &'a Args<'_>) -> Result<&'a str> {
    let document = a.text(0)?;
    json::readable(document)?;
    Ok(document)
}

pub(super) fn broken(error: &serde_json::Error) -> Error {
    Error::client(state::DATA_CORRUPTED, format!("stored json cannot be read: {error}"))
}

fn not(message: &'static str) -> Error {
    Error::client(state::INVALID_PARAMETER_VALUE, message)
}

pub(super) fn value(json: &str) -> Result<Value> {
    serde_json::from_str(json).map_err(|e| broken(&e))
}

/// An object's fields in their order, as text; None for what is not an object.
pub(super) fn fields(json: &str) -> Result<Option<Vec<(String, &RawValue)>>> {
    struct Pairs;
    impl<'de> serde::de::Visitor<'de> for Pairs {
        type Value = Vec<(String, &'de RawValue)>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: serde::de::MapAccess<'de>>(
            self,
            mut map: A,
        ) -> Result<Self::Value, A::Error> {
            let mut out = Vec::new();
            while let Some(entry) = map.next_entry::<String, &'de RawValue>()? {
                out.push(entry);
            }
            Ok(out)
        }
    }
    if !json.trim_start().starts_with('{') {
        return Ok(None);
    }
    let mut reader = serde_json::Deserializer::from_str(json);
    serde::Deserializer::deserialize_map(&mut reader, Pairs).map(Some).map_err(|e| broken(&e))
}

pub(super) fn items(json: &str) -> Result<Option<Vec<&RawValue>>> {
    if !json.trim_start().starts_with('[') {
        return Ok(None);
    }
    serde_json::from_str(json).map(Some).map_err(|e| broken(&e))
}

fn field<'a>(json: &'a str, name: &str) -> Result<Option<&'a str>> {
    // Of repeated names the last counts.
    let found = fields(json)?.and_then(|f| f.into_iter().rfind(|(k, _)| k == name));
    Ok(found.map(|(_, v)| v.get()))
}

fn item(json: &str, index: i64) -> Result<Option<&str>> {
    let Some(items) = items(json)? else { return Ok(None) };
    let length = items.len() as i64;
    let at = if index < 0 { length + index } else { index };
    Ok(usize::try_from(at).ok().and_then(|i| items.get(i)).map(|v| v.get()))
}

/// To PostgreSQL a jsonb scalar is an array of one.
fn jsonb_item(json: &str, index: i64) -> Result<Option<&str>> {
    if json.starts_with(['[', '{']) {
        return item(json, index);
    }
    Ok(matches!(index, 0 | -1).then_some(json))
}

fn path(a: &Args<'_>) -> Result<Option<String>> {
    let steps = a.array(1, oid::TEXT)?;
    if steps.is_empty() {
        return Ok(Some(whole(read(a)?).to_owned()));
    }
    let mut here = read(a)?.to_owned();
    for step in steps {
        let Cell::Text(step) = step else { return Ok(None) };
        let next = if here.trim_start().starts_with('[') {
            match step.trim().parse::<i64>() {
                Ok(index) => item(&here, index)?,
                Err(_) => None,
            }
        } else {
            field(&here, &step)?
        };
        match next {
            Some(next) => here = next.to_owned(),
            None => return Ok(None),
        }
    }
    Ok(Some(here))
}

/// A document as an empty path gives it: blanks are kept only before a scalar.
fn whole(json: &str) -> &str {
    const BLANKS: [char; 4] = [' ', '\t', '\n', '\r'];
    let end = json.trim_end_matches(BLANKS);
    if end.trim_start_matches(BLANKS).starts_with(['[', '{']) {
        end.trim_start_matches(BLANKS)
    } else {
        end
    }
}

fn owned(json: Option<&str>) -> Cell {
    json.map_or(Cell::Null, |j| Cell::Text(j.to_owned()))
}

/// A part as `->>` gives it: strings bare, JSON null as NULL.
pub(super) fn as_text(json: Option<&str>) -> Result<Cell> {
    let Some(json) = json else { return Ok(Cell::Null) };
    match json.trim_start().as_bytes().first() {
        Some(b'n') => Ok(Cell::Null),
        Some(b'"') => match value(json)? {
            Value::String(s) => text(s),
            _ => text(json),
        },
        _ => text(json),
    }
}

fn keys(a: &Args<'_>) -> Result<Vec<String>> {
    Ok(a.array(1, oid::TEXT)?
        .into_iter()
        .filter_map(|c| match c {
            Cell::Text(t) => Some(t),
            _ => None,
        })
        .collect())
}

fn exists(json: &Value, key: &str) -> bool {
    match json {
        Value::Object(fields) => fields.contains_key(key),
        Value::Array(items) => items.iter().any(|i| i.as_str() == Some(key)),
        Value::String(s) => s == key,
        _ => false,
    }
}

/// Numbers are compared by value.
pub(super) fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => {
            let parse =
                |n: &serde_json::Number| crate::value::numeric::Numeric::parse(&n.to_string()).ok();
            x == y || parse(x).zip(parse(y)).is_some_and(|(x, y)| x == y)
        }
        (Value::Array(x), Value::Array(y)) => {
            x.len() == y.len() && x.iter().zip(y).all(|(a, b)| equal(a, b))
        }
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len() && x.iter().all(|(k, v)| y.get(k).is_some_and(|w| equal(v, w)))
        }
        _ => a == b,
    }
}

/// jsonb `@>`: at the top an array may contain a scalar.
fn contains(a: &Value, b: &Value, top: bool) -> bool {
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            y.iter().all(|(k, v)| x.get(k).is_some_and(|w| contains(w, v, false)))
        }
        (Value::Array(x), Value::Array(y)) => {
            y.iter().all(|v| x.iter().any(|w| contains(w, v, false)))
        }
        (Value::Array(x), scalar) if top && !scalar.is_object() => {
            x.iter().any(|w| equal(w, scalar))
        }
        _ => equal(a, b),
    }
}

fn elements(a: &Args<'_>, bare: bool) -> Result<Cell> {
    let document = if bare { read(a)? } else { a.text(0)? };
    let Some(items) = items(document)? else {
        return Err(not(if a.text(0)?.trim_start().starts_with('{') {
            "cannot extract elements from an object"
        } else {
            "cannot extract elements from a scalar"
        }));
    };
    let mut cells = Vec::with_capacity(items.len());
    for item in items {
        cells.push(if bare { as_text(Some(item.get()))? } else { owned(Some(item.get())) });
    }
    Ok(Cell::Text(array::encode(cells.iter().map(Cell::as_ref))?))
}

fn rows(a: &Args<'_>, f: impl Fn(&str, &str) -> Result<Cell>) -> Result<Cell> {
    let Some(fields) = fields(read(a)?)? else {
        return Err(not(if a.text(0)?.trim_start().starts_with('[') {
            "cannot call json_object_keys on an array"
        } else {
            "cannot call json_object_keys on a scalar"
        }));
    };
    let mut cells = Vec::with_capacity(fields.len());
    for (name, value) in fields {
        cells.push(f(&name, value.get())?);
    }
    Ok(Cell::Text(array::encode(cells.iter().map(Cell::as_ref))?))
}

/// Pairs of name and value, each as a JSON array of two texts.
fn each(a: &Args<'_>, bare: bool) -> Result<Cell> {
    rows(a, |name, value| {
        let value = if bare { as_text(Some(value))? } else { owned(Some(value)) };
        let pair = [Cell::Text(name.to_owned()), value];
        Ok(Cell::Text(array::encode(pair.iter().map(Cell::as_ref))?))
    })
}
