//! Defaults of a table of the file, in PostgreSQL's dialect where it says the same.

use super::{Affinity, FindingKind, Findings, declared_affinity};
use crate::backend::sqlite::Connection;
use crate::backend::sqlite::ddl::plain::bare_context;
use crate::schema::{Column, Relation};
use crate::sql::ir::{Expr, ExprKind};
use crate::sql::{analyze, stored};
use crate::value::{Cell, Datum, Style, oid, storage, text};

/// Gives every column its default; what only SQLite can evaluate stays with SQLite.
pub(super) fn defaults(
    connection: &Connection,
    table: &stored::Table,
    relation: &mut Relation,
    findings: &mut Findings<'_>,
) {
    let own = relation.clone();
    for (stored, column) in table.columns.iter().zip(&mut relation.columns) {
        let Some(default) = &stored.default else { continue };
        if *default == stored::Default::Null || column.default.is_some() {
            continue;
        }
        let affinity = declared_affinity(stored, table.strict);
        let value = match default {
            stored::Default::Expression(text) => constant(connection, text, &own),
            _ => None,
        };
        let made = match value {
            Some(cell) => of_cell(cell, affinity, column),
            None => converted(default, affinity, column),
        };
        match made {
            Some(text) => column.default = Some(text),
            None => {
                column.sqlite_default = Some(sqlite_text(default));
                let message = "its default is SQLite's own; PostgreSQL needs one by hand";
                findings.add(Some(&stored.name), FindingKind::Default, message);
            }
        }
    }
}

/// PostgreSQL's text for a default; None when it would not give the same value.
fn converted(default: &stored::Default, affinity: Affinity, column: &Column) -> Option<String> {
    use stored::Default as D;
    let cell = match default {
        D::Null => return None,
        D::Integer(i) => Cell::Integer(*i),
        D::Number(n) => Cell::Real(n.parse().ok()?),
        D::Text(t) => Cell::Text(t.clone()),
        D::Blob(b) => Cell::Blob(b.clone()),
        D::Bool(b) => Cell::Integer(i64::from(*b)),
        D::CurrentTimestamp | D::CurrentDate | D::CurrentTime => return clock(default, column),
        D::Expression(e) => {
            let plain: String = e.to_ascii_lowercase().split_whitespace().collect();
            return match plain.as_str() {
                "datetime('now')" | "current_timestamp" => clock(&D::CurrentTimestamp, column),
                "date('now')" | "current_date" => clock(&D::CurrentDate, column),
                _ => None,
            };
        }
    };
    of_cell(cell, affinity, column)
}

/// What an expression gives that gives the same each time: SQLite itself is asked. None for any
/// other, and for one that could give much.
fn constant(connection: &Connection, text: &str, relation: &Relation) -> Option<Cell> {
    let found = analyze::stored(text, relation, &bare_context(), false).ok()?;
    let large = ["zeroblob", "printf", "format", "char", "concat"];
    let mut steady = !found.volatile && found.frozen.is_empty();
    visit(&found.expr, &mut |expr| match &expr.kind {
        ExprKind::Column(..) => steady = false,
        ExprKind::Call(call) => steady &= !large.contains(&call.name.as_str()),
        _ => {}
    });
    if !steady {
        return None;
    }
    let row = connection.query_row(&format!("SELECT ({text})"), &[]).ok().flatten();
    let cell = row?.into_iter().next()?;
    (!cell.is_null()).then_some(cell)
}

fn visit(expr: &Expr, each: &mut dyn FnMut(&Expr)) {
    each(expr);
    expr.children(&mut |child| visit(child, each));
}

/// A stored value as a default.
fn of_cell(cell: Cell, affinity: Affinity, column: &Column) -> Option<String> {
    let cell = with_affinity(cell, affinity);
    if !super::scan::fits(column.ty, column.codec, cell.as_ref()) {
        return None;
    }
    let datum = storage::decode(column.codec, column.ty, cell.as_ref()).ok()?;
    literal(&datum, column)
}

/// SQLite's clock is UTC; a timestamp column without zone keeps that.
fn clock(default: &stored::Default, column: &Column) -> Option<String> {
    use stored::Default as D;
    Some(
        match (default, column.ty.oid) {
            (D::CurrentTimestamp, oid::TIMESTAMP) => "timezone('utc'::text, now())",
            (D::CurrentTimestamp, oid::TIMESTAMPTZ) => "now()",
            (D::CurrentDate, oid::DATE) => "(timezone('utc'::text, now()))::date",
            _ => return None,
        }
        .to_owned(),
    )
}

/// What SQLite stores for a literal default in a column of this affinity.
fn with_affinity(cell: Cell, affinity: Affinity) -> Cell {
    match (affinity, cell) {
        (Affinity::Text, Cell::Integer(i)) => Cell::Text(i.to_string()),
        (Affinity::Text, Cell::Real(r)) => Cell::Text(real_text(r)),
        (Affinity::Real, Cell::Integer(i)) =>
        {
            #[allow(clippy::cast_precision_loss)]
            Cell::Real(i as f64)
        }
        (Affinity::Integer | Affinity::Numeric, Cell::Real(r)) => whole(r),
        (Affinity::Integer | Affinity::Numeric, Cell::Text(t)) => match t.trim().parse::<i64>() {
            Ok(i) => Cell::Integer(i),
            Err(_) => match t.trim().parse::<f64>() {
                Ok(r) if r.is_finite() && number_like(&t) => whole(r),
                _ => Cell::Text(t),
            },
        },
        (Affinity::Real, Cell::Text(t)) => match t.trim().parse::<f64>() {
            Ok(r) if r.is_finite() && number_like(&t) => Cell::Real(r),
            _ => Cell::Text(t),
        },
        (_, cell) => cell,
    }
}

/// Rust's parser takes `inf` and `nan`; SQLite does not.
fn number_like(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || b" +-.eE".contains(&b))
}

fn whole(r: f64) -> Cell {
    const LIMIT: f64 = 9_007_199_254_740_992.0;
    #[allow(clippy::cast_possible_truncation)]
    if r.fract() == 0.0 && r.abs() < LIMIT { Cell::Integer(r as i64) } else { Cell::Real(r) }
}

fn real_text(r: f64) -> String {
    if r.fract() == 0.0 && r.abs() < 1e15 { format!("{r:.1}") } else { r.to_string() }
}

/// A value as PostgreSQL prints it in a default.
pub(crate) fn literal(datum: &Datum, column: &Column) -> Option<String> {
    let mut out = Vec::new();
    text::format(datum, column.ty, &Style::default(), &mut out);
    let text = String::from_utf8(out).ok()?;
    Some(match (datum, column.ty.oid) {
        (Datum::Null, _) => return None,
        (Datum::Bool(b), _) => b.to_string(),
        (Datum::Int(i), _) if *i >= 0 => text,
        (Datum::Numeric(n), _) if !n.is_nan() && !text.starts_with(['-', 'I']) => text,
        (_, type_oid) => {
            let name = crate::backend::sqlite::system::format_type(type_oid, -1);
            format!("'{}'::{name}", text.replace('\'', "''"))
        }
    })
}

/// A default as SQLite text.
fn sqlite_text(default: &stored::Default) -> String {
    use stored::Default as D;
    match default {
        D::Null => "NULL".to_owned(),
        D::Integer(i) => i.to_string(),
        D::Number(n) => n.clone(),
        D::Text(t) => format!("'{}'", t.replace('\'', "''")),
        D::Blob(b) => {
            let digits: String = b.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("x'{digits}'")
        }
        D::Bool(b) => b.to_string(),
        D::CurrentDate => "CURRENT_DATE".to_owned(),
        D::CurrentTime => "CURRENT_TIME".to_owned(),
        D::CurrentTimestamp => "CURRENT_TIMESTAMP".to_owned(),
        D::Expression(e) => format!("({e})"),
    }
}
