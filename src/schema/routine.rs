//! Functions and triggers as the catalog keeps them.
//!
//! Owns what PostgreSQL would show of them and the texts by which it makes them. It must
//! never say how SQLite runs one: that is `sql::trigger`. Start at [`Function`].

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A function or procedure that a client has created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Function {
    /// OID.
    pub oid: u32,
    /// Name.
    pub name: String,
    /// OIDs of the types of the arguments that a call gives.
    #[serde(default)]
    pub arguments: Vec<u32>,
    /// Names of these arguments; empty where none was written.
    #[serde(default)]
    pub argument_names: Vec<String>,
    /// Defaults of the last of these arguments, PostgreSQL's dialect.
    #[serde(default)]
    pub defaults: Vec<String>,
    /// All parameters in the order written, where some are OUT, INOUT or of TABLE.
    #[serde(default)]
    pub parameters: Vec<Parameter>,
    /// OID of the result's type; 0 for a trigger function.
    #[serde(default)]
    pub result: u32,
    /// SETOF or TABLE
    #[serde(default)]
    pub set: bool,
    /// CREATE PROCEDURE
    #[serde(default)]
    pub procedure: bool,
    /// Type of the result as PostgreSQL names it: `trigger`, `integer`, `SETOF text` …
    pub returns: String,
    /// Language: `plpgsql` or `sql`.
    pub language: String,
    /// The text between the quotes.
    pub body: String,
    /// `i`, `s` or `v`.
    pub volatility: char,
    /// STRICT.
    #[serde(default)]
    pub strict: bool,
    /// CREATE OR REPLACE FUNCTION as PostgreSQL takes it.
    pub definition: String,
}

/// A parameter as it was declared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    /// Name; empty where none was written.
    pub name: String,
    /// OID of the type.
    pub ty: u32,
    /// As pg_proc.proargmodes has it: `i`, `o`, `b` or `t`.
    pub mode: char,
}

impl Parameter {
    /// Whether the result has it.
    pub fn is_output(&self) -> bool {
        matches!(self.mode, 'o' | 'b' | 't')
    }
}

impl Function {
    /// What no other function has: the name with the types of the arguments.
    pub fn key(&self) -> String {
        function_key(&self.name, &self.arguments)
    }

    /// What OUT, INOUT and TABLE give.
    pub fn outputs(&self) -> impl Iterator<Item = &Parameter> {
        self.parameters.iter().filter(|p| p.is_output())
    }
}

/// The key of a function of this name and these types of arguments.
pub fn function_key(name: &str, arguments: &[u32]) -> String {
    let types: Vec<String> = arguments.iter().map(u32::to_string).collect();
    format!("{name}({})", types.join(","))
}

/// A row trigger on a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trigger {
    /// OID.
    pub oid: u32,
    /// Name, unique on its table.
    pub name: String,
    /// Name of its function.
    pub function: String,
    /// BEFORE (otherwise AFTER).
    pub before: bool,
    /// Fires on INSERT.
    pub insert: bool,
    /// Fires on UPDATE.
    pub update: bool,
    /// Fires on DELETE.
    pub delete: bool,
    /// UPDATE OF columns.
    #[serde(default)]
    pub columns: Vec<String>,
    /// WHEN, PostgreSQL's dialect.
    #[serde(default)]
    pub when: Option<String>,
    /// Arguments, TG_ARGV.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// DISABLE TRIGGER makes it false.
    pub enabled: bool,
}

/// SQLite's triggers for all of a catalog's, to be made on each connection that writes.
#[derive(Clone, Debug, Default)]
pub struct Fired {
    /// Different for different texts; 0 is no trigger at all.
    pub id: u64,
    /// CREATE TEMP TRIGGER, and CREATE TEMP TABLE of those that wait for the statement's end.
    pub texts: Arc<Vec<String>>,
    /// Some wait for the statement's end.
    pub waits: bool,
    /// Those of them that only compute generated columns.
    pub computed: Arc<Vec<String>>,
}
