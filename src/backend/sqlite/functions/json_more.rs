//! json and jsonb: objects from arrays, insertion, rows from objects, and deletion of keys.

use serde_json::Value;

use super::args::{Args, text};
use super::json::{as_text, broken, fields, items, value};
use super::json_build::{Path, jsonb, quoted};
use super::{Def, lenient, strict};
use crate::error::{Error, Result, state};
use crate::value::{Cell, array, oid};

pub(super) const FUNCTIONS: &[Def] = &[
    strict("pg_json_object", 1, |a| text(object_of_pairs(a)?)),
    strict("pg_json_object", 2, |a| text(object_of_lists(a)?)),
    strict("pg_jsonb_object", 1, |a| jsonb(&object_of_pairs(a)?)),
    strict("pg_jsonb_object", 2, |a| jsonb(&object_of_lists(a)?)),
    strict("pg_json_strip_nulls", 1, |a| {
        crate::value::json::readable(a.text(0)?)?;
        text(stripped(a.text(0)?)?)
    }),
    strict("pg_jsonb_insert", 4, |a| {
        let mut json = value(a.text(0)?)?;
        let path = Path::read(a)?;
        if path.len() > 0 || !(json.is_object() || json.is_array()) {
            insert(&mut json, &path, 0, &value(a.text(2)?)?, a.bool(3)?)?;
        }
        jsonb(&json.to_string())
    }),
    strict("pg_jsonb_delete_keys", 2, |a| {
        let mut keys = Vec::new();
        for key in a.array(1, oid::TEXT)? {
            if let Cell::Text(key) = key {
                keys.push(key);
            }
        }
        let out = match value(a.text(0)?)? {
            Value::Object(mut fields) => {
                fields.retain(|name, _| !keys.contains(name));
                Value::Object(fields)
            }
            Value::Array(mut items) => {
                items.retain(|i| !i.as_str().is_some_and(|s| keys.iter().any(|k| k == s)));
                Value::Array(items)
            }
            _ => return Err(refused("cannot delete from scalar")),
        };
        jsonb(&out.to_string())
    }),
    lenient("pg_jsonb_set_lax", 5, set_lax),
    // A field of an object as the cell of a type, as json_to_record() makes it.
    lenient("pg_json_field", 4, field_as),
    // The objects of json_to_recordset(), one text each.
    strict("pg_json_records", 2, records),
];

fn refused(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::client(state::INVALID_PARAMETER_VALUE, message)
}

fn texts(a: &Args<'_>, i: usize) -> Result<Vec<Option<String>>> {
    Ok(a.array(i, oid::TEXT)?
        .into_iter()
        .map(|c| match c {
            Cell::Text(t) => Some(t),
            _ => None,
        })
        .collect())
}

fn member(out: &mut Vec<String>, name: Option<&String>, value: Option<&String>) -> Result<()> {
    let name = name.ok_or_else(|| {
        Error::client(state::NULL_VALUE_NOT_ALLOWED, "null value not allowed for object key")
    })?;
    let value = value.map_or_else(|| "null".to_owned(), |v| quoted(v));
    out.push(format!("{} : {value}", quoted(name)));
    Ok(())
}

fn object_of_pairs(a: &Args<'_>) -> Result<String> {
    let all = texts(a, 0)?;
    if all.len() % 2 == 1 {
        let message = "array must have even number of elements";
        return Err(Error::client(crate::error::SqlState::from_code("2202E"), message));
    }
    let mut out = Vec::new();
    for pair in all.chunks(2) {
        if let [name, value] = pair {
            member(&mut out, name.as_ref(), value.as_ref())?;
        }
    }
    Ok(format!("{{{}}}", out.join(", ")))
}

fn object_of_lists(a: &Args<'_>) -> Result<String> {
    let (names, values) = (texts(a, 0)?, texts(a, 1)?);
    if names.len() != values.len() {
        let message = "mismatched array dimensions";
        return Err(Error::client(crate::error::SqlState::from_code("2202E"), message));
    }
    let mut out = Vec::new();
    for (name, value) in names.iter().zip(&values) {
        member(&mut out, name.as_ref(), value.as_ref())?;
    }
    Ok(format!("{{{}}}", out.join(", ")))
}

/// json without the members that are null; what is left keeps its order and is compact.
fn stripped(json: &str) -> Result<String> {
    if let Some(fields) = fields(json)? {
        let mut out = Vec::new();
        for (name, value) in fields {
            if value.get() != "null" {
                out.push(format!("{}:{}", quoted(&name), stripped(value.get())?));
            }
        }
        return Ok(format!("{{{}}}", out.join(",")));
    }
    if let Some(items) = items(json)? {
        let inner = items.iter().map(|i| stripped(i.get())).collect::<Result<Vec<_>>>()?;
        return Ok(format!("[{}]", inner.join(",")));
    }
    match json.trim() {
        scalar if scalar.starts_with('"') => {
            let s: String = serde_json::from_str(scalar).map_err(|e| broken(&e))?;
            Ok(quoted(&s))
        }
        scalar => Ok(scalar.to_owned()),
    }
}

fn insert(json: &mut Value, path: &Path, depth: usize, new: &Value, after: bool) -> Result<()> {
    let last = path.ends(depth);
    match json {
        Value::Object(fields) => {
            let step = path.name(depth)?;
            if !last {
                return match fields.get_mut(step) {
                    Some(inner) => insert(inner, path, depth + 1, new, after),
                    None => Ok(()),
                };
            }
            if fields.contains_key(step) {
                return Err(refused("cannot replace existing key")
                    .hint("Try using the function jsonb_set to replace key value."));
            }
            fields.insert(step.to_owned(), new.clone());
            Ok(())
        }
        Value::Array(items) => {
            let at = path.index(depth)?;
            let length = items.len() as i64;
            let place = if at < 0 { length + at } else { at };
            if !last {
                let inner = usize::try_from(place).ok().and_then(|i| items.get_mut(i));
                return match inner {
                    Some(inner) => insert(inner, path, depth + 1, new, after),
                    None => Ok(()),
                };
            }
            let place = match place {
                p if p < 0 => 0,
                p if p >= length => length,
                p => p + i64::from(after),
            };
            items.insert(usize::try_from(place).unwrap_or(0), new.clone());
            Ok(())
        }
        _ if depth == 0 => Err(refused("cannot set path in scalar")),
        // The path goes on where the document ends.
        _ => path.name(depth).map(drop),
    }
}

/// jsonb_set_lax: what a NULL value does is an argument.
fn set_lax(a: &Args<'_>) -> Result<Cell> {
    if a.is_null(0) || a.is_null(1) || a.is_null(3) {
        return Ok(Cell::Null);
    }
    if a.is_null(4) {
        let message = "null_value_treatment must be \"delete_key\", \"return_target\", \
                       \"use_json_null\", or \"raise_exception\"";
        return Err(refused(message));
    }
    let set = |new: Value| {
        let mut json = value(a.text(0)?)?;
        let change = super::json_build::Change::Set(new, a.bool(3)?);
        super::json_build::change(&mut json, &Path::read(a)?, &change)?;
        jsonb(&json.to_string())
    };
    if !a.is_null(2) {
        return set(value(a.text(2)?)?);
    }
    match a.text(4)? {
        "raise_exception" => {
            Err(Error::client(state::NULL_VALUE_NOT_ALLOWED, "JSON value must not be null")
                .detail("Exception was raised because null_value_treatment is \"raise_exception\".")
                .hint(
                    "To avoid, either change the null_value_treatment argument or ensure that an \
                 SQL NULL is not passed.",
                ))
        }
        "use_json_null" => set(Value::Null),
        "delete_key" => {
            let mut json = value(a.text(0)?)?;
            super::json_build::change(
                &mut json,
                &Path::read(a)?,
                &super::json_build::Change::Delete,
            )?;
            jsonb(&json.to_string())
        }
        "return_target" => text(a.text(0)?),
        _ => {
            let message = "null_value_treatment must be \"delete_key\", \"return_target\", \
                           \"use_json_null\", or \"raise_exception\"";
            Err(refused(message))
        }
    }
}

/// Object, name, type, modifier.
fn field_as(a: &Args<'_>) -> Result<Cell> {
    if a.is_null(0) {
        return Ok(Cell::Null);
    }
    let ty = a.ty(2)?;
    let json = a.text(0)?;
    crate::value::json::readable(json)?;
    let Some(fields) = fields(json)? else {
        let what = if json.trim_start().starts_with('[') { "an array" } else { "a scalar" };
        return Err(refused(format!("cannot call json_to_record on {what}")));
    };
    let name = a.text(1)?;
    let Some((_, found)) = fields.into_iter().rfind(|(k, _)| k == name) else {
        return Ok(Cell::Null);
    };
    let found = found.get();
    if found == "null" {
        return Ok(Cell::Null);
    }
    match ty.oid {
        oid::JSON => return text(found),
        oid::JSONB => return jsonb(found),
        _ => {}
    }
    if let Some(element) = crate::value::element_of(ty.oid) {
        let Some(items) = items(found)? else {
            return Err(Error::unsupported("an array from this json"));
        };
        let mut cells = Vec::with_capacity(items.len());
        for item in items {
            cells.push(scalar(item.get(), crate::value::Type::with_typmod(element, ty.typmod))?);
        }
        return Ok(Cell::Text(array::encode(cells.iter().map(Cell::as_ref))?));
    }
    scalar(found, ty)
}

/// A scalar of json through the input of its type.
fn scalar(json: &str, ty: crate::value::Type) -> Result<Cell> {
    let Cell::Text(written) = as_text(Some(json))? else { return Ok(Cell::Null) };
    let style = &super::session::current().style;
    let datum = crate::value::text::parse(ty, &written, style)?;
    let datum = crate::value::coerce(datum, ty, false)?;
    crate::value::storage::encode(crate::schema::Codec::Identity, ty, &datum)
}

/// The elements of an array that must all be objects.
fn records(a: &Args<'_>) -> Result<Cell> {
    let name = a.text(1)?;
    let json = a.text(0)?;
    let Some(items) = items(json)? else {
        let what = if json.trim_start().starts_with('{') { "non-array" } else { "scalar" };
        return Err(refused(if what == "scalar" {
            format!("cannot call {name} on a scalar")
        } else {
            format!("cannot call {name} on a non-array")
        }));
    };
    let mut cells = Vec::with_capacity(items.len());
    for item in items {
        if !item.get().starts_with('{') {
            return Err(refused(format!("argument of {name} must be an array of objects")));
        }
        cells.push(Cell::Text(item.get().to_owned()));
    }
    Ok(Cell::Text(array::encode(cells.iter().map(Cell::as_ref))?))
}
