//! SQLite's own functions and operators: printed as they are, over logical cells.
//!
//! Start at [`Printer::lite_call`].

use super::Value;
use super::codec::logical;
use super::names::{Column, Printer, Rel};
use crate::error::{Error, Result};
use crate::schema::Codec;
use crate::sql::ir::{Call, Expr, ExprKind, Output};
use crate::value::{Type, oid};

/// The first modifier that marks a type of SQLite's dialect.
pub(super) fn is_marked(ty: Type) -> bool {
    ty.typmod < -1
}

impl Printer {
    /// A scalar function or operator of SQLite's.
    pub(super) fn lite_call(&mut self, call: &Call, ty: Type) -> Result<Value> {
        let mut values = Vec::with_capacity(call.args.len());
        for arg in &call.args {
            values.push(self.value(arg)?);
        }
        let args: Vec<String> = values.iter().map(logical).collect();
        let sql = match (call.name.as_str(), args.as_slice()) {
            ("text_of" | "null" | "any" | "affine", [x]) => x.clone(),
            ("plus", [x]) => format!("(+{x})"),
            ("uuid_hex", [_]) => stored(&values, Codec::UuidHex)?,
            ("uuid_blob", [_]) => stored(&values, Codec::UuidBlob)?,
            ("unix_seconds", [_]) => stored(&values, Codec::UnixSeconds)?,
            ("unix_millis", [_]) => stored(&values, Codec::UnixMillis)?,
            ("interval_micros", [_]) => stored(&values, Codec::IntervalMicros)?,
            ("num", [x]) => match values.first() {
                // As it is stored: an integer or a real.
                Some(v) if v.codec == Codec::NumericNative => v.sql.clone(),
                Some(v) if v.ty.oid == oid::NUMERIC && !is_marked(v.ty) => {
                    format!("CAST({x} AS NUMERIC)")
                }
                _ => x.clone(),
            },
            ("int", [x]) if call.args.first().is_some_and(|a| a.ty.oid == oid::BOOL) => x.clone(),
            ("int", [x]) => format!("CAST({x} AS INTEGER)"),
            ("real", [x]) => format!("CAST({x} AS REAL)"),
            ("number", [x]) => format!("({x} + 0)"),
            ("whole", [x]) => format!("CAST({x} AS NUMERIC)"),
            ("text", [x]) => format!("CAST({x} AS TEXT)"),
            ("blob", [x]) => format!("CAST({x} AS BLOB)"),
            ("nocase", [x]) => format!("({x} COLLATE NOCASE)"),
            ("binary", [x]) => format!("({x} COLLATE BINARY)"),
            ("integral", [x]) => format!(
                "(CASE WHEN {x} = CAST({x} AS INTEGER) THEN CAST({x} AS INTEGER) \
                 ELSE pg_cast(CAST({x} AS TEXT), {}, {}) END)",
                oid::TEXT,
                oid::INT8
            ),
            ("-" | "~", [x]) => format!("({}{x})", call.name),
            ("IN", [x, list @ ..]) => format!("({x} IN ({}))", list.join(", ")),
            ("LIKE" | "GLOB", [x, pattern]) => format!("({x} {} {pattern})", call.name),
            ("LIKE", [x, pattern, escape]) => format!("({x} LIKE {pattern} ESCAPE {escape})"),
            (op, [a, b])
                if !op.starts_with(|c: char| c.is_ascii_alphabetic()) || op.starts_with("IS") =>
            {
                // Numeric affinity for the other side comes from a column or a cast.
                let affine =
                    |e: &Expr| matches!(&e.kind, ExprKind::Call(c) if c.lite && c.name == "affine");
                let cast = |sql: &str, other: &Expr| {
                    if affine(other) { format!("CAST({sql} AS NUMERIC)") } else { sql.to_owned() }
                };
                format!("({} {op} {})", cast(a, &call.args[1]), cast(b, &call.args[0]))
            }
            (name, args) => format!("{name}({})", args.join(", ")),
        };
        Ok(Value::logical(sql, ty))
    }

    /// An aggregate or window function of SQLite's.
    pub(super) fn lite_aggregate(&mut self, call: &Call, ty: Type) -> Result<Value> {
        if call.name == "bare" {
            return match call.args.first() {
                Some(column) => self.value(column),
                None => Err(Error::internal("a bare column without its column")),
            };
        }
        let args = self.all_logical(&call.args)?.join(", ");
        let args = if call.star { "*".to_owned() } else { args };
        let distinct = if call.distinct { "DISTINCT " } else { "" };
        let order = self.order_by(&call.order_by)?;
        let mut sql = format!("{}({distinct}{args}{order})", call.name);
        if let Some(filter) = &call.filter {
            sql.push_str(&format!(" FILTER (WHERE {})", self.logical(filter)?));
        }
        if let Some(over) = &call.over {
            sql.push_str(&self.over(over)?);
        }
        Ok(Value::logical(sql, ty))
    }

    /// `json_each(…)` in FROM.
    pub(super) fn lite_function(
        &mut self,
        rel: u32,
        call: &Call,
        alias: &str,
        columns: &[Output],
    ) -> Result<String> {
        let args = self.all_logical(&call.args)?.join(", ");
        let alias = self.unique(alias);
        let names = ["key", "value", "type", "atom"];
        let columns = names
            .iter()
            .zip(columns)
            .map(|(name, column)| Column {
                name: format!("\"{name}\""),
                codec: Codec::Identity,
                ty: column.ty,
                collated: false,
                not_null: false,
            })
            .collect();
        self.rels.insert(rel, Rel { qualifier: alias.clone(), columns });
        Ok(format!("{}({args}) AS {alias}", call.name))
    }
}

/// A value as the file has it.
fn stored(values: &[Value], codec: Codec) -> Result<String> {
    match values.first() {
        Some(value) if value.codec == codec => Ok(value.sql.clone()),
        _ => Err(Error::unsupported("this column's stored form in a subquery")),
    }
}
