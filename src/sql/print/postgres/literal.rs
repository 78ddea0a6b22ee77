//! Constants: a logical cell as a PostgreSQL literal of its type.

use crate::error::{Error, Result};
use crate::sql::types::{element, sql_name, sql_name_with_typmod};
use crate::value::search::Language;
use crate::value::{Cell, Type, array, oid, storage};

/// A constant with its type.
pub(super) fn literal(cell: &Cell, ty: Type) -> Result<String> {
    let name = type_text(ty)?;
    if cell.is_null() {
        return Ok(format!("NULL::{name}"));
    }
    let text = input(cell, ty)?;
    Ok(format!("{}::{name}", quote(&text)))
}

/// A type as a cast names it.
pub(super) fn type_text(ty: Type) -> Result<String> {
    let name = sql_name_with_typmod(ty);
    if name == "???" || matches!(ty.oid, oid::RECORD | oid::VOID | oid::ANY) {
        return Err(Error::unsupported(format_args!("a value of type {}", sql_name(ty.oid))));
    }
    // A bare `character` would mean one character.
    Ok(if ty.oid == oid::BPCHAR && ty.typmod < 0 { "bpchar".to_owned() } else { name })
}

/// A string literal; a backslash needs the E form whatever the server's settings.
fn quote(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if doubled.contains('\\') {
        format!("E'{}'", doubled.replace('\\', "\\\\"))
    } else {
        format!("'{doubled}'")
    }
}

/// The text of an array; further dimensions are arrays in it.
fn list(items: &[array::Item], element: u32) -> Result<String> {
    let each = |item: &array::Item| match item {
        array::Item::Cell(cell) if cell.is_null() => Ok("NULL".to_owned()),
        array::Item::Cell(cell) => {
            let text = input(cell, Type::new(element))?;
            Ok(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
        }
        array::Item::List(inner) => list(inner, element),
    };
    Ok(format!("{{{}}}", items.iter().map(each).collect::<Result<Vec<_>>>()?.join(",")))
}

/// A logical cell in the form that the type's input function reads.
fn input(cell: &Cell, ty: Type) -> Result<String> {
    if let Some(element) = element(ty.oid)
        && let Cell::Text(json) = cell
    {
        return list(&array::decode_nested(element, json)?, element);
    }
    Ok(match cell {
        Cell::Null => String::new(),
        Cell::Integer(i) if ty.oid == oid::BOOL => {
            (if *i == 0 { "false" } else { "true" }).to_owned()
        }
        // Its number differs from server to server.
        Cell::Integer(i) if ty.oid == oid::REGCONFIG => {
            let language = u32::try_from(*i).ok().and_then(Language::by_oid);
            language.map_or_else(|| i.to_string(), |l| format!("pg_catalog.{}", l.name()))
        }
        Cell::Integer(i) => i.to_string(),
        Cell::Real(r) if r.is_infinite() => {
            (if *r > 0.0 { "Infinity" } else { "-Infinity" }).to_owned()
        }
        Cell::Real(r) => format!("{r:?}"),
        Cell::Text(t) if matches!(ty.oid, oid::DATE | oid::TIMESTAMP) => {
            storage::shown_moment(t).into_owned()
        }
        Cell::Text(t) if ty.oid == oid::TIMESTAMPTZ && !t.ends_with("infinity") => {
            let t = &*storage::shown_moment(t);
            match t.strip_suffix(" BC") {
                Some(t) => format!("{t}+00 BC"),
                None => format!("{t}+00"),
            }
        }
        Cell::Text(t) => t.clone(),
        Cell::Blob(b) => {
            let mut text = "\\x".to_owned();
            b.iter().for_each(|byte| text.push_str(&format!("{byte:02x}")));
            text
        }
    })
}
