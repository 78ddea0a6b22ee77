//! Existing files: random tables as other programs have stored them, each column in a form of its
//! own, served with `[tables.NAME]` and asked the same as PostgreSQL.
//!
//! Start at [`file`].

use std::fmt::Write as _;
use std::path::Path;

use crossfade::config::Override;
use crossfade::schema::Codec;
use crossfade::value::{Cell, Datum, Style, Type, storage, text};
use rand::Rng as _;
use rand::rngs::StdRng;
use rusqlite::types::Value;

use super::schema::{Column, Schema, Table};
use crate::common::client::{Client, Row};

/// How a column is stored.
struct Form {
    ty: Type,
    codec: Codec,
    /// Declared by a name that means numbers to SQLite.
    numbers: bool,
}

impl Form {
    /// How its values are stored.
    fn stored(&self) -> Codec {
        if self.numbers { self.codec.among(self.ty, false, true) } else { self.codec }
    }
}

/// Writes a schema's tables, with the rows that PostgreSQL holds, into a new file; the configuration
/// that says how they are stored.
pub fn file(schema: &Schema, pg: &mut Client, rng: &mut StdRng, path: &Path) -> String {
    let db = rusqlite::Connection::open(path).unwrap();
    db.execute_batch("PRAGMA foreign_keys = off").unwrap();
    let mut config = String::new();
    for table in &schema.tables {
        let rows = pg.simple(&format!("SELECT * FROM {}", table.name));
        let rows: Vec<&Row> = rows.outcomes.iter().flat_map(|o| &o.rows).collect();
        let forms: Vec<Form> = table
            .columns
            .iter()
            .enumerate()
            .map(|(at, column)| form(rng, column, rows.iter().map(|r| r[at].as_deref())))
            .collect();
        db.execute_batch(&declared(table, &forms)).unwrap();
        let marks = vec!["?"; forms.len()].join(", ");
        let insert = format!("INSERT INTO {} VALUES ({marks})", table.name);
        for row in rows {
            let cells = row.iter().zip(&forms).map(|(value, form)| match value {
                Some(value) => bound(spelt(rng, form, cell(form, value).unwrap())),
                None => Value::Null,
            });
            db.execute(&insert, rusqlite::params_from_iter(cells)).unwrap();
        }
        writeln!(config, "[tables.{}.columns]", table.name).unwrap();
        for (column, form) in table.columns.iter().zip(&forms) {
            let (name, declaration) = (&column.name, &column.declaration);
            let word = form.codec.word();
            writeln!(config, "\"{name}\" = \"{declaration} stored as {word}\"").unwrap();
        }
    }
    config
}

/// A form that holds all values of a column.
fn form<'a>(
    rng: &mut StdRng,
    column: &Column,
    values: impl Iterator<Item = Option<&'a [u8]>> + Clone,
) -> Form {
    let ty = Override::parse(&column.declaration).unwrap().ty;
    let holds = |codec: &Codec| {
        let form = Form { ty, codec: *codec, numbers: false };
        // The file's index tells spellings of one value apart.
        if column.unique && !codec.preserves_equality(ty) {
            return false;
        }
        codec.stores(ty) && values.clone().flatten().all(|value| cell(&form, value).is_some())
    };
    let forms: Vec<Codec> = Codec::forms(ty.oid).iter().copied().filter(holds).collect();
    let plain = Codec::Identity;
    let codec = match column.name.as_str() {
        "id" | "p" => plain,
        _ if forms.is_empty() => plain,
        _ => forms[rng.random_range(0..forms.len())],
    };
    let numbers = codec == Codec::TextLoose && rng.random_bool(0.5);
    Form { ty, codec, numbers }
}

/// PostgreSQL's text of a value in its form; None where that holds no such value.
fn cell(form: &Form, value: &[u8]) -> Option<Cell> {
    let value = std::str::from_utf8(value).unwrap();
    let datum = text::parse(form.ty, value, &Style::default()).unwrap();
    let cell = storage::encode(form.stored(), form.ty, &datum).ok()?;
    let read = storage::decode(form.codec, form.ty, cell.as_ref()).ok()?;
    // To the last digit: 2.50 is not 2.5 when it is shown.
    let shown = |datum: &Datum| {
        let mut out = Vec::new();
        text::format(datum, form.ty, &Style::default(), &mut out);
        out
    };
    (shown(&read) == shown(&datum)).then_some(cell)
}

/// The same value as another program may have written it.
fn spelt(rng: &mut StdRng, form: &Form, cell: Cell) -> Cell {
    if form.numbers {
        return cell;
    }
    let other = match (form.codec, &cell) {
        (Codec::BoolLoose, Cell::Integer(i)) => Cell::Text(
            [["f", "false", "FALSE"], ["t", "true", "TRUE"]][usize::from(*i != 0)]
                [rng.random_range(0..3)]
            .to_owned(),
        ),
        (Codec::DateTimeLoose, Cell::Text(t)) => Cell::Text(t.replacen(' ', "T", 1)),
        (Codec::UuidLoose, Cell::Text(t)) => Cell::Text(match rng.random_range(0..3) {
            0 => t.to_uppercase(),
            1 => format!("{{{t}}}"),
            _ => t.replace('-', "").to_uppercase(),
        }),
        (Codec::JsonLoose, Cell::Text(t)) => Cell::Text(format!(" {t} ")),
        (Codec::TextLoose, Cell::Text(t)) => match t.parse::<i64>() {
            Ok(number) if number.to_string() == *t => Cell::Integer(number),
            _ => Cell::Blob(t.clone().into_bytes()),
        },
        (Codec::BytesLoose, Cell::Blob(bytes)) => match String::from_utf8(bytes.clone()) {
            Ok(text) if !text.contains('\0') => Cell::Text(text),
            _ => return cell,
        },
        _ => return cell,
    };
    let same = |cell: &Cell| storage::decode(form.codec, form.ty, cell.as_ref()).ok();
    if rng.random_bool(0.5) && same(&other).is_some() && same(&other) == same(&cell) {
        other
    } else {
        cell
    }
}

fn bound(cell: Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Integer(i) => Value::Integer(i),
        Cell::Real(r) => Value::Real(r),
        Cell::Text(t) => Value::Text(t),
        Cell::Blob(b) => Value::Blob(b),
    }
}

/// The table as SQLite declares it.
fn declared(table: &Table, forms: &[Form]) -> String {
    let columns: Vec<String> = table
        .columns
        .iter()
        .zip(forms)
        .map(|(column, form)| {
            let name = &column.name;
            if name == "id" {
                return "\"id\" INTEGER PRIMARY KEY".to_owned();
            }
            let declared = match form.numbers {
                true => "STRING",
                false => form.codec.sqlite_declaration(form.ty),
            };
            let mut text = format!("\"{name}\" {declared}");
            if column.not_null {
                text += " NOT NULL";
            }
            if column.unique {
                text += " UNIQUE";
            }
            if let Some(parent) = table.parent.as_ref().filter(|_| name == "p") {
                write!(text, " REFERENCES {parent} (id){}", table.actions).unwrap();
            }
            text
        })
        .collect();
    format!("CREATE TABLE {} ({})", table.name, columns.join(", "))
}
