//! Expressions that SQLite can keep in its own schema: printed on stored values with
//! SQLite's own functions, only where that means exactly the same.
//!
//! Everything else is None: the caller keeps the definition in the side catalog instead.
//! Start at [`condition`] and [`from_sqlite`].

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use crate::backend::sqlite::catalog::{literal, quoted};
use crate::schema::{Catalog, Codec, Column, Relation};
use crate::sql::ir::{Call, CallKind, CastKind, Expr, ExprKind, Op};
use crate::sql::{Context, analyze};
use crate::value::{Cell, Type, oid, storage};

/// A context without objects: stored expressions name only their own table's columns.
pub(crate) fn bare_context() -> Context<'static> {
    static CATALOG: LazyLock<Catalog> = LazyLock::new(Catalog::system_only);
    static TEMPORARY: LazyLock<BTreeMap<String, Arc<Relation>>> = LazyLock::new(BTreeMap::new);
    static PATH: LazyLock<Vec<String>> = LazyLock::new(|| vec!["public".to_owned()]);
    Context { catalog: &CATALOG, temporary: &TEMPORARY, search_path: &PATH, param_types: &[] }
}

/// PostgreSQL's text for an expression of the file's schema, when it means exactly the same
/// in both dialects.
pub(crate) fn from_sqlite(text: &str, relation: &Relation) -> Option<String> {
    let expr = analyze::expression(text, relation, &bare_context()).ok()?;
    let same = if expr.ty.oid == oid::BOOL {
        condition(&expr, relation).is_some()
    } else {
        value(&expr, relation, Integers::Compared).is_some()
    };
    same.then(|| text.trim().to_owned())
}

/// PostgreSQL's text for a generated column of the file. Integer arithmetic counts as the
/// same although SQLite goes on in REAL where PostgreSQL refuses: the data shows that no
/// stored value has.
pub(crate) fn generated_from_sqlite(
    text: &str,
    relation: &Relation,
    column: Type,
) -> Option<String> {
    let expr = analyze::expression(text, relation, &bare_context()).ok()?;
    // A truth is a number in SQLite's columns.
    let number = matches!(kind(column), Kind::Numeric | Kind::Other(oid::FLOAT8 | oid::FLOAT4));
    let fits = kind(expr.ty) == kind(column) || (kind(expr.ty) == Kind::Integer && number);
    if !fits {
        return None;
    }
    value(&expr, relation, Integers::Any).map(|_| text.trim().to_owned())
}

/// Which integer arithmetic may be printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Integers {
    /// None: values are only compared.
    Compared,
    /// int2 and int4: the caller checks the result's range.
    Ranged,
    /// Any: the caller knows that nothing overflows.
    Any,
}

/// A condition on stored values.
pub(crate) fn condition(expr: &Expr, relation: &Relation) -> Option<String> {
    let each = |items: &[Expr], word: &str| {
        let parts: Option<Vec<String>> = items.iter().map(|e| condition(e, relation)).collect();
        parts.map(|p| format!("({})", p.join(word)))
    };
    match &expr.kind {
        ExprKind::And(items) => each(items, " AND "),
        ExprKind::Or(items) => each(items, " OR "),
        ExprKind::Not(inner) => Some(format!("(NOT {})", condition(inner, relation)?)),
        ExprKind::IsNull(inner, not) => {
            let what = value(inner, relation, Integers::Compared)
                .or_else(|| any_column(inner, relation))?;
            Some(format!("({what} IS {}NULL)", if *not { "NOT " } else { "" }))
        }
        ExprKind::IsBool(inner, wanted, not) => {
            let what = condition(inner, relation)?;
            let word = match wanted {
                Some(true) => "TRUE",
                Some(false) => "FALSE",
                None => "NULL",
            };
            Some(format!("({what} IS {}{word})", if *not { "NOT " } else { "" }))
        }
        ExprKind::IsDistinct(left, right, not) => {
            let (left, right) = pair(left, right, relation, false)?;
            Some(format!("({left} IS {}{right})", if *not { "" } else { "NOT " }))
        }
        ExprKind::Op(op) => comparison(op, relation),
        ExprKind::InList { expr, list, not } => {
            let mut subject = None;
            let mut items = Vec::new();
            for item in list {
                let (left, right) = pair(expr, item, relation, false)?;
                subject = Some(left);
                items.push(right);
            }
            let not = if *not { "NOT " } else { "" };
            Some(format!("({} {not}IN ({}))", subject?, items.join(", ")))
        }
        ExprKind::Column(0, _) if expr.ty.oid == oid::BOOL => stored_column(expr, relation, true),
        ExprKind::Const(Cell::Integer(i)) if expr.ty.oid == oid::BOOL => Some(i.to_string()),
        ExprKind::Const(Cell::Null) => Some("NULL".to_owned()),
        _ => None,
    }
}

fn comparison(op: &Op, relation: &Relation) -> Option<String> {
    let left = op.left.as_deref()?;
    let ordered = match op.name.as_str() {
        "=" | "<>" => false,
        "<" | "<=" | ">" | ">=" => true,
        _ => return None,
    };
    let (left, right) = pair(left, &op.right, relation, ordered)?;
    Some(format!("({left} {} {right})", op.name))
}

/// Both sides of a comparison as stored values.
fn pair(left: &Expr, right: &Expr, relation: &Relation, ordered: bool) -> Option<(String, String)> {
    let (left, right) = (peel(left), peel(right));
    if let Some(column) = column_of(left, relation) {
        if let Some(other) = column_of(right, relation) {
            let same = column.ty.oid == other.ty.oid && column.codec == other.codec;
            let fits = same && comparable(column, ordered) && comparable(other, ordered);
            return fits.then(|| (quoted(&column.sqlite_name), quoted(&other.sqlite_name)));
        }
        let right = constant(right, column, ordered)?;
        return Some((quoted(&column.sqlite_name), right));
    }
    if let Some(column) = column_of(right, relation) {
        let left = constant(left, column, ordered)?;
        return Some((left, quoted(&column.sqlite_name)));
    }
    // Integers compare as they are, whatever they are made of.
    let integer = |e: &Expr| is_integer(e.ty);
    if integer(left) && integer(right) {
        return Some((
            value(left, relation, Integers::Compared)?,
            value(right, relation, Integers::Compared)?,
        ));
    }
    None
}

fn is_integer(ty: Type) -> bool {
    matches!(ty.oid, oid::INT2 | oid::INT4 | oid::INT8)
}

/// An expression without the casts that change nothing about a stored value.
fn peel(expr: &Expr) -> &Expr {
    let mut expr = expr;
    while let ExprKind::Cast(inner, kind) = &expr.kind {
        let text = |t: Type| matches!(t.oid, oid::TEXT | oid::VARCHAR | oid::UNKNOWN);
        let widening =
            is_integer(inner.ty) && is_integer(expr.ty) && expr.ty.len() >= inner.ty.len();
        let relabel =
            *kind == CastKind::Relabel || (text(inner.ty) && text(expr.ty) && expr.ty.typmod == -1);
        // An integer column compared with a numeric or float constant compares by value.
        let number = is_integer(inner.ty) && matches!(expr.ty.oid, oid::NUMERIC);
        let numeric =
            inner.ty.oid == oid::NUMERIC && expr.ty.oid == oid::NUMERIC && expr.ty.typmod == -1;
        if !(widening || relabel || number || numeric) {
            break;
        }
        expr = inner;
    }
    expr
}

fn column_of<'a>(expr: &Expr, relation: &'a Relation) -> Option<&'a Column> {
    match expr.kind {
        ExprKind::Column(0, position) => relation.columns.get(position as usize),
        _ => None,
    }
}

fn comparable(column: &Column, ordered: bool) -> bool {
    let codec = if ordered {
        column.codec.preserves_order(column.ty)
    } else {
        column.codec.preserves_equality(column.ty)
    };
    codec && column.collation.is_none()
}

/// A constant in the form the column stores.
fn constant(expr: &Expr, column: &Column, ordered: bool) -> Option<String> {
    let ExprKind::Const(cell) = &expr.kind else { return None };
    if cell.is_null() {
        return Some("NULL".to_owned());
    }
    if !comparable(column, ordered) {
        return None;
    }
    let same_kind = kind(expr.ty) == kind(column.ty)
        || (kind(column.ty) == Kind::Integer && kind(expr.ty) == Kind::Numeric)
        || (kind(column.ty) == Kind::Numeric && kind(expr.ty) == Kind::Integer);
    if !same_kind {
        return None;
    }
    let stored = match column.codec {
        Codec::Identity if kind(column.ty) == Kind::Integer => number(cell)?,
        Codec::Identity => cell.clone(),
        codec => {
            // Without the column's scale: a constant with more digits must not be rounded.
            let logical = match (kind(expr.ty), cell) {
                (Kind::Integer, Cell::Integer(i)) => Cell::Text(i.to_string()),
                _ => cell.clone(),
            };
            let bare = Type::new(column.ty.oid);
            let datum = storage::decode(Codec::Identity, bare, logical.as_ref()).ok()?;
            let target = if codec == Codec::NumericNative { bare } else { column.ty };
            let encoded = storage::encode(codec, target, &datum).ok()?;
            let back = storage::decode(codec, target, encoded.as_ref()).ok()?;
            if !crate::value::canonical::equal(&back, &datum, bare) {
                return None;
            }
            encoded
        }
    };
    cell_literal(&stored)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Integer,
    Numeric,
    Text,
    Other(u32),
}

fn kind(ty: Type) -> Kind {
    match ty.oid {
        oid::INT2 | oid::INT4 | oid::INT8 => Kind::Integer,
        oid::NUMERIC => Kind::Numeric,
        oid::TEXT | oid::VARCHAR | oid::UNKNOWN => Kind::Text,
        other => Kind::Other(other),
    }
}

/// A number for comparing with an integer column: INTEGER, or REAL when it is exact.
fn number(cell: &Cell) -> Option<Cell> {
    match cell {
        Cell::Integer(_) => Some(cell.clone()),
        Cell::Text(t) => match t.parse::<i64>() {
            Ok(i) => Some(Cell::Integer(i)),
            Err(_) => t.parse::<f64>().ok().filter(|r| r.is_finite()).map(Cell::Real),
        },
        _ => None,
    }
}

/// A cell as SQLite literal text.
pub(crate) fn cell_literal(cell: &Cell) -> Option<String> {
    Some(match cell {
        Cell::Null => "NULL".to_owned(),
        Cell::Integer(i64::MIN) => "(-9223372036854775807 - 1)".to_owned(),
        Cell::Integer(i) if *i < 0 => format!("({i})"),
        Cell::Integer(i) => i.to_string(),
        Cell::Real(r) if r.is_finite() => format!("({r:?})"),
        Cell::Real(r) => (if *r > 0.0 { "9e999" } else { "(-9e999)" }).to_owned(),
        Cell::Text(t) if t.contains('\0') => return None,
        Cell::Text(t) => literal(t),
        Cell::Blob(b) => {
            let digits: String = b.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("x'{digits}'")
        }
    })
}

fn stored_column(expr: &Expr, relation: &Relation, any_type: bool) -> Option<String> {
    let column = column_of(expr, relation)?;
    let plain = column.codec == Codec::Identity && (any_type || column.ty.oid != oid::BPCHAR);
    (plain && column.collation.is_none()).then(|| quoted(&column.sqlite_name))
}

/// Any column, for IS NULL: but for one, every codec keeps NULL.
fn any_column(expr: &Expr, relation: &Relation) -> Option<String> {
    column_of(peel(expr), relation)
        .filter(|c| c.codec.plain() != Codec::CoercedEmpty)
        .map(|c| quoted(&c.sqlite_name))
}

/// A value computed from stored values.
pub(crate) fn value(expr: &Expr, relation: &Relation, integers: Integers) -> Option<String> {
    let expr = match &expr.kind {
        ExprKind::Cast(..) if is_integer(expr.ty) || kind(expr.ty) == Kind::Text => peel(expr),
        _ => expr,
    };
    match &expr.kind {
        ExprKind::Column(0, _) => stored_column(expr, relation, false),
        ExprKind::Const(cell) => cell_literal(cell),
        ExprKind::Call(call) => function(call, relation),
        ExprKind::Coalesce(items) => {
            let parts: Option<Vec<String>> =
                items.iter().map(|e| value(e, relation, integers)).collect();
            parts.filter(|p| p.len() > 1).map(|p| format!("coalesce({})", p.join(", ")))
        }
        ExprKind::Case { branches, otherwise } => {
            let mut text = "(CASE".to_owned();
            for (when, then) in branches {
                let when = condition(when, relation)?;
                let then = value(then, relation, integers)?;
                text.push_str(&format!(" WHEN {when} THEN {then}"));
            }
            if let Some(otherwise) = otherwise {
                text.push_str(&format!(" ELSE {}", value(otherwise, relation, integers)?));
            }
            Some(text + " END)")
        }
        ExprKind::Op(op) => operation(op, relation, integers),
        _ if expr.ty.oid == oid::BOOL => condition(expr, relation),
        _ => None,
    }
}

fn operation(op: &Op, relation: &Relation, integers: Integers) -> Option<String> {
    let left = op.left.as_deref()?;
    let right = &*op.right;
    let allowed = |e: &Expr| match integers {
        Integers::Compared => false,
        Integers::Ranged => matches!(peel(e).ty.oid, oid::INT2 | oid::INT4),
        Integers::Any => is_integer(peel(e).ty),
    };
    match op.name.as_str() {
        "||" if kind(left.ty) == Kind::Text && kind(right.ty) == Kind::Text => Some(format!(
            "({} || {})",
            value(left, relation, Integers::Compared)?,
            value(right, relation, Integers::Compared)?
        )),
        // 64 bits hold any result of two int4 values; the caller checks the range.
        "+" | "-" | "*" if allowed(left) && allowed(right) => Some(format!(
            "({} {} {})",
            value(left, relation, integers)?,
            op.name,
            value(right, relation, integers)?
        )),
        "=" | "<>" | "<" | "<=" | ">" | ">=" => comparison(op, relation),
        _ => None,
    }
}

fn function(call: &Call, relation: &Relation) -> Option<String> {
    let plain = call.kind == CallKind::Scalar && call.over.is_none() && call.filter.is_none();
    match (call.name.as_str(), call.args.as_slice()) {
        ("length" | "char_length" | "character_length", [text])
            if plain && kind(text.ty) == Kind::Text =>
        {
            let inner = peel(text);
            let of_column = column_of(inner, relation)?;
            (of_column.ty.oid != oid::BPCHAR).then_some(())?;
            Some(format!("length({})", value(inner, relation, Integers::Compared)?))
        }
        _ => None,
    }
}
