//! The typed tree as SQLite text.
//!
//! Owns the decision, per operand, between what is stored and what it means: a column whose
//! codec preserves equality (or order) is compared as stored, with constants encoded, so
//! that indexes serve; anything else goes through a decode or a sort-key function. It must
//! never let SQLite's own affinity, NULL order, division or overflow decide.
//! One file per construct; start at [`print`], then `select`, `expr`, `compare`.

mod aggregate;
mod call;
mod cast;
mod codec;
mod compare;
mod cte;
mod delete;
mod expr;
mod from;
mod grouping;
mod guard;
mod insert;
mod like;
mod lite;
mod names;
mod proposed;
mod quantified;
pub mod registry;
mod rows;
mod select;
mod set;
mod sort;
mod trigger;
mod update;
mod window;

pub use self::trigger::{print_in_trigger, print_stored, queued_column};
pub use proposed::Proposed;

use crate::error::Result;
use crate::schema::Codec;
use crate::sql::ir::{Expr, Statement};
use crate::value::Type;

use names::Printer;

/// A statement for SQLite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Printed {
    /// The text.
    pub text: String,
    /// How each result column is stored; `Identity` is the logical cell.
    pub codecs: Vec<Codec>,
}

/// An SQL expression in SQLite's dialect and the form of its value.
#[derive(Clone, Debug)]
struct Value {
    /// Text; safe to stand as an operand.
    sql: String,
    /// `Identity`: the logical cell of `ty`. Otherwise stored by this codec.
    codec: Codec,
    /// The logical type; for a stored value, the column's own type with its modifier.
    ty: Type,
    /// SQLite would compare it by a collation of the file's that is not BINARY.
    collated: bool,
    /// Never NULL.
    not_null: bool,
}

impl Value {
    fn logical(sql: impl Into<String>, ty: Type) -> Self {
        Self { sql: sql.into(), codec: Codec::Identity, ty, collated: false, not_null: false }
    }
}

/// A constraint that the plan enforces.
#[derive(Clone, Debug, PartialEq)]
pub struct Enforced {
    /// Constraint or index name.
    pub name: String,
    /// Over the target's columns, which are those of relation 0: a CHECK's condition, or the
    /// text whose letters an index folds.
    pub condition: Expr,
    /// A unique index over `lower` (false) or `upper` (true) of the text: SQLite's own
    /// functions know ASCII alone, so that what they fold otherwise is refused.
    pub folds: Option<bool>,
}

/// What a statement's parameters are, in this order.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// The client's.
    pub params: usize,
    /// Frozen values.
    pub frozen: usize,
    /// Rows of earlier steps, by the CTEs they stand for.
    pub steps: Vec<u32>,
}

/// Prints a statement whose rows are read by later ones: its columns are logical cells.
pub fn print_step(statement: &Statement, inputs: &Inputs, checks: Vec<Enforced>) -> Result<String> {
    let mut printer = Printer::new(inputs);
    printer.checks = checks;
    printer.plain_returning = true;
    Ok(match statement {
        Statement::Select(query) => printer.query(query, true)?.0,
        Statement::Insert(insert) => printer.insert(insert)?.0,
        Statement::Update(update) => printer.update(update)?.0,
        Statement::Delete(delete) => printer.delete(delete)?.0,
    })
}

/// Prints a statement; `checks` are those of the written table that SQLite does not
/// enforce itself.
pub fn print(statement: &Statement, inputs: &Inputs, checks: Vec<Enforced>) -> Result<Printed> {
    let mut printer = Printer::new(inputs);
    printer.checks = checks;
    printer.outermost = true;
    let (text, outputs) = match statement {
        Statement::Select(query) => printer.top_query(query)?,
        Statement::Insert(insert) => printer.insert(insert)?,
        Statement::Update(update) => printer.update(update)?,
        Statement::Delete(delete) => printer.delete(delete)?,
    };
    Ok(Printed { text, codecs: outputs.iter().map(|o| o.codec).collect() })
}

/// Prints the query for the rows a write would make.
pub fn print_proposed(statement: &Statement, inputs: &Inputs) -> Result<Proposed> {
    Printer::new(inputs).proposed(statement)
}
