//! The body of DO: PL/pgSQL whose statements the session runs one by one.

use super::{Expr, Raise, Select, Statement, TypeName};

/// DECLARE … BEGIN … EXCEPTION … END
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Script {
    /// DECLARE: names, types, first values.
    pub variables: Vec<(String, Declared, Option<Expr>)>,
    /// Statements.
    pub steps: Vec<Line>,
    /// EXCEPTION WHEN: SQLSTATEs (None: OTHERS) and what then runs.
    pub handlers: Vec<(Vec<Option<String>>, Vec<Line>)>,
}

/// What a variable is declared as.
#[derive(Clone, Debug, PartialEq)]
pub enum Declared {
    /// record
    Record,
    /// A type, or a table's row.
    Type(TypeName),
    /// `table.column%TYPE`, `variable%TYPE`
    Like(Vec<String>),
    /// `table%ROWTYPE`
    Row(Vec<String>),
}

/// A statement and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// From 1.
    pub number: usize,
    /// What it does.
    pub what: Order,
}

/// What a query's rows come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A statement and its text.
    Static(Box<Statement>, String),
    /// EXECUTE: a text, and the values of its parameters.
    Dynamic(Expr, Vec<Expr>),
}

/// Where a query's first row goes.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Into {
    /// Variables; none when there is no INTO.
    pub targets: Vec<String>,
    /// STRICT
    pub strict: bool,
}

/// A statement of PL/pgSQL.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// A block inside.
    Block(Box<Script>),
    /// variable := expression
    Set(String, Expr),
    /// IF … ELSIF … ELSE
    If(Vec<(Expr, Vec<Line>)>, Vec<Line>),
    /// WHILE, and LOOP with a condition that is always true.
    While(Expr, Vec<Line>),
    /// FOR variables IN query
    ForRows(Vec<String>, Source, Vec<Line>),
    /// FOREACH variable IN ARRAY
    ForEach(String, Expr, Vec<Line>),
    /// ASSERT condition, message
    Assert(Expr, Option<Expr>),
    /// FOR variable IN [REVERSE] from .. to [BY step]
    ForRange(Box<Range>, Vec<Line>),
    /// EXIT [WHEN]
    Exit(Option<Expr>),
    /// CONTINUE [WHEN]
    Continue(Option<Expr>),
    /// RETURN, with its value
    Return(Option<Expr>),
    /// RETURN NEXT: a value, or a row of the OUT variables.
    ReturnNext(Option<Expr>),
    /// RETURN QUERY; also the last statement of a function in SQL that returns rows.
    ReturnQuery(Source),
    /// RAISE with its level.
    Raise(&'static str, Box<Raise>),
    /// RAISE alone: the error that is being handled.
    Again,
    /// Any SQL statement, or EXECUTE.
    Run(Source, Into),
    /// PERFORM
    Perform(Box<Select>),
    /// GET DIAGNOSTICS: variables and what they get, in lower case.
    Diagnostics(Vec<(String, String)>),
}

/// The numbers of FOR.
#[derive(Clone, Debug, PartialEq)]
pub struct Range {
    /// Variable.
    pub variable: String,
    /// First number.
    pub from: Expr,
    /// Last number.
    pub to: Expr,
    /// BY
    pub by: Option<Expr>,
    /// REVERSE
    pub reverse: bool,
}
