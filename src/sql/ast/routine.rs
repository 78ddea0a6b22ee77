//! Functions and triggers as written, and the statements of a trigger function's body.

use super::{Expr, Name, Select, Statement, TypeName};

/// CREATE FUNCTION, CREATE PROCEDURE
#[derive(Clone, Debug, PartialEq)]
pub struct CreateFunction {
    /// Name.
    pub name: Name,
    /// OR REPLACE
    pub replace: bool,
    /// PROCEDURE
    pub procedure: bool,
    /// Parameters, those of RETURNS TABLE at the end.
    pub parameters: Vec<Parameter>,
    /// RETURNS, when written; `record` for TABLE of several columns.
    pub returns: Option<TypeName>,
    /// SETOF or TABLE
    pub set: bool,
    /// LANGUAGE
    pub language: String,
    /// The text between the quotes.
    pub body: String,
    /// `i`, `s` or `v`.
    pub volatility: char,
    /// STRICT
    pub strict: bool,
    /// What keeps Crossfade from running it, by name.
    pub refused: Option<&'static str>,
    /// The same statement for PostgreSQL, with OR REPLACE.
    pub text: String,
}

/// A parameter of a function.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Name.
    pub name: Option<String>,
    /// Type.
    pub ty: TypeName,
    /// As pg_proc.proargmodes has it: `i`, `o`, `b` or `t`.
    pub mode: char,
    /// DEFAULT and its text.
    pub default: Option<(Expr, String)>,
}

/// A function or procedure by its name and, when written, the types of its arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct RoutineName {
    /// Name.
    pub name: Name,
    /// Types of its arguments, OUT ones left out.
    pub arguments: Option<Vec<TypeName>>,
}

/// What DROP calls a routine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum RoutineKind {
    Function,
    Procedure,
    Routine,
    Aggregate,
}

impl RoutineKind {
    /// Its keyword.
    pub fn word(self) -> &'static str {
        match self {
            Self::Function => "FUNCTION",
            Self::Procedure => "PROCEDURE",
            Self::Routine => "ROUTINE",
            Self::Aggregate => "AGGREGATE",
        }
    }
}

/// CREATE TRIGGER
#[derive(Clone, Debug, PartialEq)]
pub struct CreateTrigger {
    /// Name.
    pub name: String,
    /// OR REPLACE
    pub replace: bool,
    /// Table.
    pub table: Name,
    /// Function.
    pub function: Name,
    /// BEFORE (otherwise AFTER).
    pub before: bool,
    /// INSERT, UPDATE, DELETE.
    pub events: [bool; 3],
    /// UPDATE OF columns.
    pub columns: Vec<String>,
    /// WHEN and its text.
    pub when: Option<(Expr, String)>,
    /// Arguments.
    pub arguments: Vec<String>,
    /// What keeps Crossfade from running it, by name.
    pub refused: Option<&'static str>,
}

/// The body of a PL/pgSQL function.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Block {
    /// DECLARE: names, types, first values.
    pub variables: Vec<(String, TypeName, Option<Expr>)>,
    /// Statements.
    pub steps: Vec<Step>,
}

/// A statement of PL/pgSQL.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// NEW.column := expression
    SetColumn(String, Expr),
    /// variable := expression
    Set(String, Expr),
    /// IF … ELSIF … ELSE
    If(Vec<(Expr, Vec<Step>)>, Vec<Step>),
    /// RAISE EXCEPTION
    Raise(Box<Raise>),
    /// RETURN
    Return(Returned),
    /// INSERT, UPDATE, DELETE
    Run(Box<Statement>),
    /// SELECT … INTO variables
    Into(Vec<String>, Box<Select>),
    /// PERFORM
    Perform(Box<Select>),
}

/// What a trigger function returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Returned {
    New,
    Old,
    Null,
}

/// RAISE EXCEPTION, its parts as expressions.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Raise {
    /// SQLSTATE.
    pub state: String,
    /// Line of the body, from 1.
    pub line: usize,
    /// Where it is raised, as the client is told.
    pub context: String,
    /// The message.
    pub message: Option<Expr>,
    /// DETAIL
    pub detail: Option<Expr>,
    /// HINT
    pub hint: Option<Expr>,
    /// TABLE
    pub table: Option<Expr>,
    /// CONSTRAINT
    pub constraint: Option<Expr>,
}
