//! The typed tree as PostgreSQL text: the same statement, with every frozen value as a
//! further parameter, so that the shadow computes what the primary computed.
//!
//! It must never leave a volatile value to be computed again. Start at [`print`].

mod dml;
mod expr;
mod from;
mod inline;
mod lite;
mod literal;
mod query;

use std::collections::{HashMap, HashSet};

use crate::error::{Error, Result};
use crate::sql::Analysis;
use crate::sql::analyze::{NEW, OLD};
use crate::sql::ir::{Expr, Statement};
use crate::sql::plan::Frozen;
use crate::sql::print::quoted;
use crate::value::Type;

/// Prints an analysed statement for PostgreSQL. Parameters are `$1` …, then the frozen
/// values, each with its type.
pub fn print(analysis: &Analysis) -> Result<String> {
    print_as(analysis, false)
}

/// Prints an analysed statement for a client that talks to PostgreSQL alone: what is frozen
/// elsewhere is computed by the server.
pub fn print_live(analysis: &Analysis) -> Result<String> {
    print_as(analysis, true)
}

/// Prints a statement of a trigger's function, whose NEW and OLD have columns of these names.
pub fn print_in_trigger(analysis: &Analysis, columns: Vec<String>) -> Result<String> {
    let mut printer = printer(analysis, true);
    for (rel, name) in [(NEW, "NEW"), (OLD, "OLD")] {
        printer.taken.insert(name.to_ascii_lowercase());
        printer.rels.insert(rel, (name.to_owned(), columns.clone()));
    }
    statement(analysis, printer)
}

/// Prints an expression of SQLite's dialect over one row, as constraints, defaults and indexes have
/// it: without a query in it. `columns` are the texts of the row's columns; an empty one cannot be
/// had. `steady`: as PostgreSQL takes it for immutable, where that is possible.
///
/// # Errors
/// 0A000 when it has no such form.
pub fn print_stored(
    expr: &Expr,
    frozen: &[Frozen],
    columns: Vec<String>,
    steady: bool,
) -> Result<String> {
    let mut printer = Printer {
        params: &[],
        frozen,
        live: true,
        lite: true,
        rels: HashMap::from([(0, (String::new(), columns))]),
        ctes: HashMap::new(),
        excluded: Vec::new(),
        taken: HashSet::new(),
    };
    inline::inline(&printer.expr(expr)?, steady)
}

fn print_as(analysis: &Analysis, live: bool) -> Result<String> {
    statement(analysis, printer(analysis, live))
}

fn printer(analysis: &Analysis, live: bool) -> Printer<'_> {
    Printer {
        params: &analysis.params,
        frozen: &analysis.frozen,
        live,
        lite: analysis.lite,
        rels: HashMap::new(),
        ctes: HashMap::new(),
        excluded: Vec::new(),
        taken: HashSet::new(),
    }
}

fn statement(analysis: &Analysis, mut printer: Printer<'_>) -> Result<String> {
    match analysis.plain.as_ref().unwrap_or(&analysis.statement) {
        Statement::Select(query) => printer.query(query, true),
        Statement::Insert(insert) => printer.insert(insert),
        Statement::Update(update) => printer.update(update),
        Statement::Delete(delete) => printer.delete(delete),
    }
}

/// State of printing one statement.
struct Printer<'a> {
    params: &'a [Type],
    frozen: &'a [Frozen],
    /// Frozen values are computed by the server.
    live: bool,
    /// The statement has SQLite's meaning: text sorts by its bytes.
    lite: bool,
    /// Quoted alias and column names of each relation in scope.
    rels: HashMap<u32, (String, Vec<String>)>,
    /// Quoted names of CTEs.
    ctes: HashMap<u32, String>,
    /// Column names of the row `excluded`.
    excluded: Vec<String>,
    taken: HashSet<String>,
}

impl Printer<'_> {
    /// A quoted alias like `wanted` that is used once in the statement.
    fn unique(&mut self, wanted: &str) -> String {
        let wanted = if wanted.is_empty() { "q" } else { wanted };
        let mut name = wanted.to_owned();
        let mut n = 1;
        while !self.taken.insert(name.clone()) {
            n += 1;
            name = format!("{wanted}_{n}");
        }
        quoted(&name)
    }

    fn bind(&mut self, rel: u32, alias: &str, columns: Vec<String>) -> String {
        let name = self.unique(alias);
        self.rels.insert(rel, (name.clone(), columns));
        name
    }

    fn column(&self, rel: u32, index: u32) -> Result<String> {
        let (alias, columns) =
            self.rels.get(&rel).ok_or_else(|| Error::internal("a relation out of scope"))?;
        let column = columns
            .get(index as usize)
            .ok_or_else(|| Error::internal("column index out of range"))?;
        match (alias.is_empty(), column.is_empty()) {
            (false, _) => Ok(format!("{alias}.{column}")),
            (true, false) => Ok(column.clone()),
            (true, true) => {
                Err(Error::unsupported("a generated column that PostgreSQL cannot compute"))
            }
        }
    }
}

/// The quoted name of the n-th (0-based) column of a nested query.
fn output_name(n: usize) -> String {
    format!("\"c{}\"", n + 1)
}
