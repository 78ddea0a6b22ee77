//! Making json and jsonb: to_json, json_build_*, concatenation, deletion, jsonb_set.

use serde_json::{Map, Value};

use super::args::{Args, text};
use super::json::value;
use super::{Def, lenient, session, strict};
use crate::error::{Error, Result, state};
use crate::schema::Codec;
use crate::value::{
    Cell, CellRef, DateOutput, Datum, Style, Type, array, element_of, oid, storage,
};

pub(super) const FUNCTIONS: &[Def] = &[
    strict("pg_to_json", 2, |a| text(to_json(a.cell(0), a.oid(1)?)?)),
    strict("pg_to_jsonb", 2, |a| jsonb(&to_json(a.cell(0), a.oid(1)?)?)),
    lenient("pg_json_build_array", -1, |a| text(build_array(a)?)),
    lenient("pg_jsonb_build_array", -1, |a| jsonb(&build_array(a)?)),
    lenient("pg_json_build_object", -1, |a| text(build_object(a)?)),
    lenient("pg_jsonb_build_object", -1, |a| jsonb(&build_object(a)?)),
    lenient("pg_row_json", -1, row),
    strict("pg_jsonb_concat", 2, concat),
    strict("pg_jsonb_delete_key", 2, |a| {
        let key = a.text(1)?;
        let out = match value(a.text(0)?)? {
            Value::Object(mut fields) => {
                fields.shift_remove(key);
                Value::Object(fields)
            }
            Value::Array(mut items) => {
                items.retain(|i| i.as_str() != Some(key));
                Value::Array(items)
            }
            _ => return Err(refused("cannot delete from scalar")),
        };
        jsonb(&out.to_string())
    }),
    strict("pg_jsonb_delete_index", 2, |a| {
        let at = a.int(1)?;
        let Value::Array(mut items) = value(a.text(0)?)? else {
            return Err(refused("cannot delete from object using integer index"));
        };
        let at = if at < 0 { items.len() as i64 + at } else { at };
        if let Some(at) = usize::try_from(at).ok().filter(|i| *i < items.len()) {
            items.remove(at);
        }
        jsonb(&Value::Array(items).to_string())
    }),
    strict("pg_jsonb_delete_path", 2, |a| {
        let mut json = value(a.text(0)?)?;
        change(&mut json, &Path::read(a)?, &Change::Delete)?;
        jsonb(&json.to_string())
    }),
    strict("pg_jsonb_set", 4, |a| {
        let mut json = value(a.text(0)?)?;
        let new = value(a.text(2)?)?;
        change(&mut json, &Path::read(a)?, &Change::Set(new, a.bool(3)?))?;
        jsonb(&json.to_string())
    }),
    strict("pg_jsonb_pretty", 1, |a| {
        let mut out = String::new();
        pretty(&value(a.text(0)?)?, 0, &mut out);
        text(out)
    }),
    strict("pg_jsonb_strip_nulls", 1, |a| jsonb(&stripped(value(a.text(0)?)?).to_string())),
];

fn refused(message: &'static str) -> Error {
    Error::client(state::INVALID_PARAMETER_VALUE, message)
}

/// JSON text in jsonb's canonical form.
pub(super) fn jsonb(json: &str) -> Result<Cell> {
    let style = &session::current().style;
    match crate::value::text::parse(Type::new(oid::JSONB), json, style)? {
        Datum::Jsonb(canonical) => text(canonical),
        _ => Err(Error::internal("jsonb input gave another type")),
    }
}

/// A string as JSON, with PostgreSQL's choice of escapes.
pub(super) fn quoted(s: &str) -> String {
    let mut out = String::with_capacity(s.len() + 2);
    out.push('"');
    for c in s.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if u32::from(c) < 32 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A logical cell as JSON, by its type.
pub(super) fn to_json(cell: CellRef<'_>, type_oid: u32) -> Result<String> {
    if matches!(cell, CellRef::Null) {
        return Ok("null".to_owned());
    }
    if type_oid == oid::RECORD
        && let CellRef::Text(json) = cell
    {
        return Ok(String::from_utf8_lossy(json).into_owned());
    }
    if let Some(element) = element_of(type_oid) {
        let CellRef::Text(json) = cell else {
            return Err(Error::internal("an array that is not text"));
        };
        return list(&array::decode_nested(element, &String::from_utf8_lossy(json))?, element);
    }
    // A char(n) comes with its blanks.
    let type_oid = if type_oid == oid::BPCHAR { oid::TEXT } else { type_oid };
    let datum = storage::decode(Codec::Identity, Type::new(type_oid), cell)?;
    // JSON has dates in ISO form, whatever the session's style.
    let session = session::current();
    let plain_dates;
    let style = if session.style.date_output == DateOutput::Iso {
        &session.style
    } else {
        plain_dates = Style { date_output: DateOutput::Iso, ..session.style.clone() };
        &plain_dates
    };
    // An inet shows less than its cast to text does.
    let shown = if type_oid == oid::INET { oid::TEXT } else { type_oid };
    let plain = super::cast::text_of(&datum, shown, style)?;
    Ok(match datum {
        Datum::Bool(_) | Datum::Json(_) | Datum::Jsonb(_) => plain,
        // An oid is quoted, as any type outside the number category.
        Datum::Int(_) if matches!(type_oid, oid::INT2 | oid::INT4 | oid::INT8) => plain,
        Datum::Numeric(_) | Datum::Float4(_) | Datum::Float8(_)
            if plain.bytes().next_back().is_some_and(|b| b.is_ascii_digit()) =>
        {
            plain
        }
        // ISO 8601: a T between date and time.
        Datum::Timestamp(_) | Datum::Timestamptz(_) => quoted(&iso(&plain)),
        _ => quoted(&plain),
    })
}

/// An array as JSON; further dimensions are arrays in it.
fn list(items: &[array::Item], element: u32) -> Result<String> {
    let each = |item: &array::Item| match item {
        array::Item::Cell(cell) => to_json(cell.as_ref(), element),
        array::Item::List(inner) => list(inner, element),
    };
    Ok(format!("[{}]", items.iter().map(each).collect::<Result<Vec<_>>>()?.join(",")))
}

fn iso(text: &str) -> String {
    let mut out = text.replacen(' ', "T", 1);
    // The zone is always written with minutes.
    if let Some(at) = out.rfind(['+', '-']).filter(|at| *at > 10)
        && out.len() - at == 3
    {
        out.push_str(":00");
    }
    out
}

/// Arguments come in pairs of value and type.
fn build_array(a: &Args<'_>) -> Result<String> {
    let items = (0..a.len() / 2)
        .map(|i| to_json(a.cell(2 * i), a.oid(2 * i + 1)?))
        .collect::<Result<Vec<_>>>()?;
    Ok(format!("[{}]", items.join(", ")))
}

fn build_object(a: &Args<'_>) -> Result<String> {
    let count = a.len() / 2;
    if count % 2 == 1 {
        return Err(refused("argument list must have even number of elements").hint(
            "The arguments of json_build_object() must consist of alternating keys and values.",
        ));
    }
    let mut out = Vec::with_capacity(count / 2);
    for i in (0..count).step_by(2) {
        if a.is_null(2 * i) {
            return Err(Error::client(
                state::NULL_VALUE_NOT_ALLOWED,
                format!("null value not allowed for object key (argument {})", i + 1),
            ));
        }
        let ty = a.oid(2 * i + 1)?;
        if matches!(ty, oid::JSON | oid::JSONB) || crate::value::element_of(ty).is_some() {
            return Err(refused("key value must be scalar, not array, composite, or json"));
        }
        let name = to_json(a.cell(2 * i), ty)?;
        let name = if name.starts_with('"') { name } else { quoted(&name) };
        let item = to_json(a.cell(2 * i + 2), a.oid(2 * i + 3)?)?;
        out.push(format!("{name} : {item}"));
    }
    Ok(format!("{{{}}}", out.join(", ")))
}

/// A row, from names, values and types.
fn row(a: &Args<'_>) -> Result<Cell> {
    let mut out = String::from("{");
    for i in (0..a.len()).step_by(3) {
        if i > 0 {
            out.push(',');
        }
        out.push_str(&quoted(a.text(i)?));
        out.push(':');
        out.push_str(&to_json(a.cell(i + 1), a.oid(i + 2)?)?);
    }
    out.push('}');
    text(out)
}

fn concat(a: &Args<'_>) -> Result<Cell> {
    let joined = match (value(a.text(0)?)?, value(a.text(1)?)?) {
        (Value::Object(mut x), Value::Object(y)) => {
            x.extend(y);
            Value::Object(x)
        }
        (Value::Array(mut x), Value::Array(y)) => {
            x.extend(y);
            Value::Array(x)
        }
        (Value::Array(mut x), y) => {
            x.push(y);
            Value::Array(x)
        }
        (x, Value::Array(mut y)) => {
            y.insert(0, x);
            Value::Array(y)
        }
        (x, y) => Value::Array(vec![x, y]),
    };
    jsonb(&joined.to_string())
}

/// A path into a document. A step that is NULL is an error only where the path comes to it.
pub(super) struct Path(Vec<Option<String>>);

impl Path {
    pub(super) fn read(a: &Args<'_>) -> Result<Self> {
        let steps = a.array(1, oid::TEXT)?.into_iter().map(|c| match c {
            Cell::Text(step) => Some(step),
            _ => None,
        });
        Ok(Self(steps.collect()))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is behind this step.
    pub(super) fn ends(&self, depth: usize) -> bool {
        depth + 1 >= self.len()
    }

    pub(super) fn name(&self, depth: usize) -> Result<&str> {
        self.0.get(depth).and_then(Option::as_deref).ok_or_else(|| {
            let message = format!("path element at position {} is null", depth + 1);
            Error::client(state::NULL_VALUE_NOT_ALLOWED, message)
        })
    }

    pub(super) fn index(&self, depth: usize) -> Result<i64> {
        let step = self.name(depth)?;
        step.trim_start().parse::<i32>().map(i64::from).map_err(|_| {
            let place = depth + 1;
            let message = format!("path element at position {place} is not an integer: \"{step}\"");
            Error::client(state::INVALID_TEXT_REPRESENTATION, message)
        })
    }
}

/// Whether a document has nothing in it.
fn is_empty(json: &Value) -> bool {
    match json {
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

pub(super) enum Change {
    Delete,
    /// The value, and whether a missing one is created.
    Set(Value, bool),
}

/// Changes a document at the end of a path.
pub(super) fn change(json: &mut Value, path: &Path, what: &Change) -> Result<()> {
    if !json.is_object() && !json.is_array() {
        return Err(refused(match what {
            Change::Delete => "cannot delete path in scalar",
            Change::Set(..) => "cannot set path in scalar",
        }));
    }
    // Where nothing can be found the path is not looked at.
    if path.len() == 0 || (is_empty(json) && !matches!(what, Change::Set(_, true))) {
        return Ok(());
    }
    change_at(json, path, 0, what)
}

fn change_at(json: &mut Value, path: &Path, depth: usize, what: &Change) -> Result<()> {
    match json {
        Value::Object(fields) => change_field(fields, path, depth, what),
        Value::Array(items) => {
            let at = path.index(depth)?;
            let length = items.len() as i64;
            let index = usize::try_from(if at < 0 { length + at } else { at }).ok();
            match (index.filter(|i| *i < items.len()), what) {
                (Some(i), _) if !path.ends(depth) => {
                    change_at(&mut items[i], path, depth + 1, what)?;
                }
                (Some(i), Change::Delete) => {
                    items.remove(i);
                }
                (Some(i), Change::Set(new, _)) => items[i] = new.clone(),
                (None, Change::Set(new, true)) if path.ends(depth) => {
                    if at < 0 {
                        items.insert(0, new.clone());
                    } else {
                        items.push(new.clone());
                    }
                }
                _ => {}
            }
            Ok(())
        }
        // The path goes on where the document ends.
        _ => path.name(depth).map(drop),
    }
}

fn change_field(
    fields: &mut Map<String, Value>,
    path: &Path,
    depth: usize,
    what: &Change,
) -> Result<()> {
    let step = path.name(depth)?;
    if !path.ends(depth) {
        return match fields.get_mut(step) {
            Some(inner) => change_at(inner, path, depth + 1, what),
            None => Ok(()),
        };
    }
    match what {
        Change::Delete => {
            fields.shift_remove(step);
        }
        Change::Set(new, create) => {
            if *create || fields.contains_key(step) {
                fields.insert(step.to_owned(), new.clone());
            }
        }
    }
    Ok(())
}

fn stripped(json: Value) -> Value {
    match json {
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .filter(|(_, v)| !v.is_null())
                .map(|(k, v)| (k, stripped(v)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(stripped).collect()),
        other => other,
    }
}

fn pretty(json: &Value, depth: usize, out: &mut String) {
    let indent = |n: usize| "    ".repeat(n);
    match json {
        Value::Object(fields) => {
            out.push('{');
            for (i, (k, v)) in fields.iter().enumerate() {
                out.push_str(if i == 0 { "\n" } else { ",\n" });
                out.push_str(&format!("{}{}: ", indent(depth + 1), quoted(k)));
                pretty(v, depth + 1, out);
            }
            out.push_str(&format!("\n{}}}", indent(depth)));
        }
        Value::Array(items) => {
            out.push('[');
            for (i, v) in items.iter().enumerate() {
                out.push_str(if i == 0 { "\n" } else { ",\n" });
                out.push_str(&indent(depth + 1));
                pretty(v, depth + 1, out);
            }
            out.push_str(&format!("\n{}]", indent(depth)));
        }
        Value::String(s) => out.push_str(&quoted(s)),
        other => out.push_str(&other.to_string()),
    }
}
