//! Changes of tables that hold rows: ALTER TABLE in its usual forms.
//!
//! Each change is made in the model too, so that the statements that follow fit. Start at
//! [`changes`].

use crossfade::value::oid;
use rand::Rng as _;
use rand::rngs::StdRng;

use super::schema::{Column, Table};
use super::values::{self, TYPES};

/// Statements, and the tables as they are after them.
pub fn changes(rng: &mut StdRng, tables: &mut [Table]) -> Vec<String> {
    let mut script = Vec::new();
    for table in tables.iter_mut() {
        for number in 0..rng.random_range(0..3) {
            script.extend(change(rng, table, number));
        }
    }
    script
}

fn change(rng: &mut StdRng, table: &mut Table, number: u32) -> Option<String> {
    let what = rng.random_range(0..8);
    if what < 2 {
        return Some(add(rng, table, number));
    }
    // What others depend on stays.
    let named = |c: &Column| {
        let quoted = format!("\"{}\"", c.name);
        let uses = |text: &String| text.contains(&quoted);
        table.constraints.iter().any(uses)
            || table.columns.iter().any(|o| o.generated.as_ref().is_some_and(uses))
    };
    let free: Vec<usize> = table
        .columns
        .iter()
        .enumerate()
        .filter(|(_, c)| {
            c.name != "id" && c.name != "p" && !c.unique && c.generated.is_none() && !named(c)
        })
        .map(|(i, _)| i)
        .collect();
    let at = *free.get(rng.random_range(0..free.len().max(1)))?;
    let alter = format!("ALTER TABLE {} ", table.name);
    let column = &mut table.columns[at];
    let name = format!("\"{}\"", column.name);
    Some(match what {
        2 if free.len() > 1 => {
            table.columns.remove(at);
            format!("{alter}DROP COLUMN {name}")
        }
        3 => {
            column.name = format!("R{number}");
            format!("{alter}RENAME COLUMN {name} TO \"R{number}\"")
        }
        4 | 5 => {
            let (ty, declaration, using) = match column.ty {
                oid::INT2 | oid::INT4 => (oid::INT8, "int8", ""),
                oid::INT8 => (oid::NUMERIC, "numeric(30,6)", ""),
                oid::VARCHAR => (oid::TEXT, "text", ""),
                oid::DATE => (oid::TIMESTAMP, "timestamp", ""),
                oid::BOOL => (oid::INT4, "int4", "::int4"),
                oid::UUID | oid::INTERVAL | oid::JSONB => (oid::TEXT, "text", "::text"),
                oid::TIMESTAMP => (oid::DATE, "date", "::date"),
                _ => return None,
            };
            if column.default.is_some() && !using.is_empty() {
                return None;
            }
            column.ty = ty;
            declaration.clone_into(&mut column.declaration);
            let using =
                if using.is_empty() { String::new() } else { format!(" USING {name}{using}") };
            format!("{alter}ALTER COLUMN {name} TYPE {declaration}{using}")
        }
        6 => {
            let default = values::text(rng, column.ty);
            column.default = Some(default.to_owned());
            format!("{alter}ALTER COLUMN {name} SET DEFAULT '{}'", default.replace('\'', "''"))
        }
        _ => {
            column.default = None;
            format!("{alter}ALTER COLUMN {name} DROP DEFAULT")
        }
    })
}

fn add(rng: &mut StdRng, table: &mut Table, number: u32) -> String {
    let ty = TYPES[rng.random_range(0..TYPES.len())];
    let declarations = values::declarations(ty);
    let declaration = declarations[rng.random_range(0..declarations.len())];
    let default = rng.random_bool(0.6).then(|| values::text(rng, ty).to_owned());
    let not_null = default.is_some() && rng.random_bool(0.3);
    let mut text = format!("ALTER TABLE {} ADD COLUMN \"a{number}\" {declaration}", table.name);
    if let Some(default) = &default {
        text += &format!(" DEFAULT '{}'", default.replace('\'', "''"));
    }
    if not_null {
        text += " NOT NULL";
    }
    table.columns.push(Column {
        name: format!("a{number}"),
        ty,
        declaration: declaration.to_owned(),
        not_null,
        unique: false,
        default,
        generated: None,
    });
    text
}
