//! UNION, INTERSECT, EXCEPT, each side wrapped so that PostgreSQL's precedence holds.

use super::Value;
use super::codec::{Class, comparable, suits};
use super::names::{Printer, output_name};
use super::select::named;
use crate::error::{Error, Result};
use crate::schema::Codec;
use crate::sql::ast::SetOp;
use crate::sql::fault;
use crate::sql::ir::Query;
use crate::value::{Type, oid};

/// char of no certain length.
const CHAR: Type = Type::new(oid::BPCHAR);

/// Whether equal values of an output have equal cells, byte for byte as SQLite compares them.
pub(super) fn whole(value: &Value) -> bool {
    suits(value.codec, value.ty, Class::Equality) && !value.collated
}

impl Printer {
    /// A set operation with its ORDER BY and LIMIT.
    pub(super) fn set_operation(
        &mut self,
        query: &Query,
        op: SetOp,
        all: bool,
        left: &Query,
        right: &Query,
        plain: bool,
    ) -> Result<(String, Vec<Value>)> {
        // Both sides must be stored alike, column by column; otherwise both are logical.
        let mark = self.checkpoint();
        let (mut a, mut oa) = self.query(left, plain)?;
        let (mut b, mut ob) = self.query(right, plain)?;
        // Where cells of several classes stand for a value, one side's affinity changes the other's.
        let alike = oa.iter().zip(&ob).all(|(x, y)| {
            x.codec == y.codec
                && x.ty == y.ty
                && (x.codec == Codec::Identity || x.codec.preserves_equality(x.ty))
        });
        if !alike {
            self.restore(mark);
            (a, oa) = self.query(left, true)?;
            (b, ob) = self.query(right, true)?;
            for ((x, y), column) in oa.iter_mut().zip(&mut ob).zip(&query.columns) {
                let lost = |side: &Value| column.ty == CHAR && side.ty.typmod != CHAR.typmod;
                if lost(x) || lost(y) {
                    let what = "char(n) values of different lengths in one place";
                    return Err(Error::unsupported(what));
                }
                x.ty = column.ty;
                y.ty = column.ty;
            }
        }
        for (x, y) in oa.iter_mut().zip(&ob) {
            x.not_null &= y.not_null;
            x.collated |= y.collated;
        }
        let collated = oa.iter().any(|x| x.collated);
        let safe = oa.iter().all(whole) && !collated;
        let names: Vec<String> = (0..oa.len()).map(output_name).collect();
        let list = if names.is_empty() { "*".to_owned() } else { names.join(", ") };
        let body = match (op, all) {
            (SetOp::Union, true) if !fault::on("union_all") => {
                format!("SELECT {list} FROM ({a}) UNION ALL SELECT {list} FROM ({b})")
            }
            (SetOp::Union, false) if !safe => {
                let keys: Vec<String> =
                    named(&oa).iter().map(|v| comparable(v, Class::Equality)).collect();
                format!(
                    "SELECT {list} FROM (SELECT {list} FROM ({a}) UNION ALL \
                     SELECT {list} FROM ({b})) GROUP BY {}",
                    keys.join(", ")
                )
            }
            (op, all) if !safe => by_key(op, all, &list, (&a, &b), &named(&oa)),
            (op, false) => {
                format!("SELECT {list} FROM ({a}) {} SELECT {list} FROM ({b})", word(op))
            }
            (op, true) => {
                // Equal rows are numbered, so that a row meets only its own kind.
                let numbered = format!(
                    "SELECT {list}, row_number() OVER (PARTITION BY {list}) AS \"rn\" FROM"
                );
                format!(
                    "SELECT {list} FROM (SELECT * FROM ({numbered} ({a})) {} \
                     SELECT * FROM ({numbered} ({b})))",
                    word(op)
                )
            }
        };
        if query.order_by.is_empty() && query.limit.is_none() && query.offset.is_none() {
            return Ok((body, named(&oa)));
        }
        let name = self.unique("u");
        let columns = self.under(&name, &oa);
        let list: Vec<String> = columns
            .iter()
            .enumerate()
            .map(|(i, c)| format!("{} AS {}", c.sql, output_name(i)))
            .collect();
        let order = self.sort_outputs(query, columns)?;
        let limit = self.limit(query)?;
        let sql = format!("SELECT {} FROM ({body}) AS {name}{order}{limit}", list.join(", "));
        Ok((sql, named(&oa)))
    }
}

/// INTERSECT and EXCEPT by keys: both sides together, each row marked with its side. One group
/// for each key (and, with ALL, for each repetition); the row of the left side is shown.
fn by_key(op: SetOp, all: bool, list: &str, sides: (&str, &str), columns: &[Value]) -> String {
    let keys: Vec<String> = columns.iter().map(|v| comparable(v, Class::Equality)).collect();
    let keys = keys.join(", ");
    let number = if all {
        format!(", row_number() OVER (PARTITION BY {keys}) AS \"rn\"")
    } else {
        String::new()
    };
    let group = if all { format!("{keys}, \"rn\"") } else { keys.clone() };
    let side = |sql: &str, n: u8| format!("SELECT {list}, {n} AS \"side\"{number} FROM ({sql})");
    let having = match op {
        SetOp::Except => "sum(\"side\") = 0",
        _ => "sum(\"side\") BETWEEN 1 AND count(*) - 1",
    };
    // A lone min() binds the other columns to its row.
    format!(
        "SELECT {list} FROM (SELECT {list}, min(\"side\") FROM ({} UNION ALL {}) \
         GROUP BY {group} HAVING {having})",
        side(sides.0, 0),
        side(sides.1, 1)
    )
}

fn word(op: SetOp) -> &'static str {
    match op {
        SetOp::Union => "UNION",
        SetOp::Intersect => "INTERSECT",
        SetOp::Except => "EXCEPT",
    }
}
