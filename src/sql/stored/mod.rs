//! SQLite's own CREATE texts (`sqlite_schema.sql`) as a plain model.
//!
//! Reads CREATE TABLE, VIRTUAL TABLE, INDEX, VIEW and TRIGGER; it never touches a file and
//! never decides what PostgreSQL type a declaration becomes. Names are unquoted but keep
//! their case; expressions and queries are kept as SQLite text. Start at [`read`].

mod lower;
#[cfg(test)]
mod tests;

use crate::error::Result;
use crate::schema::Action;

pub(crate) use lower::token_text;
pub use lower::unquote;

/// Reads one CREATE statement as `sqlite_schema` holds it.
///
/// # Errors
/// 42601 when SQLite's grammar does not accept the text, 0A000 when it is not a CREATE.
pub fn read(sql: &str) -> Result<Object> {
    lower::read(sql)
}

/// A schema object.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// CREATE TABLE
    Table(Table),
    /// CREATE VIRTUAL TABLE
    Virtual(Virtual),
    /// CREATE INDEX
    Index(Index),
    /// CREATE VIEW
    View(View),
    /// CREATE TRIGGER
    Trigger(Trigger),
}

/// CREATE TABLE
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Table {
    /// Name.
    pub name: String,
    /// Columns in order, generated ones included. Empty for CREATE TABLE AS, whose text
    /// SQLite never stores in that form.
    pub columns: Vec<Column>,
    /// Table constraints in order.
    pub constraints: Vec<Constraint>,
    /// WITHOUT ROWID
    pub without_rowid: bool,
    /// STRICT
    pub strict: bool,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Column {
    /// Name.
    pub name: String,
    /// Declared type as written, with its arguments: `VARCHAR(30)`, `DOUBLE PRECISION`.
    pub declared: Option<String>,
    /// The declared type's words in upper case without arguments; empty without a type.
    pub type_name: String,
    /// The declared type's arguments as written (`10`, `2`).
    pub type_args: Vec<String>,
    /// NOT NULL
    pub not_null: Option<NotNull>,
    /// DEFAULT
    pub default: Option<Default>,
    /// COLLATE, in upper case.
    pub collation: Option<String>,
    /// PRIMARY KEY on the column.
    pub primary_key: Option<ColumnKey>,
    /// UNIQUE on the column, one entry for each time it is written.
    pub unique: Vec<ColumnUnique>,
    /// CHECK constraints written on the column: name, expression.
    pub checks: Vec<(Option<String>, String)>,
    /// REFERENCES clauses on the column (`columns` holds this column).
    pub references: Vec<ForeignKey>,
    /// GENERATED ALWAYS AS
    pub generated: Option<Generated>,
}

/// NOT NULL with its name and conflict clause.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct NotNull {
    /// CONSTRAINT name
    pub name: Option<String>,
    /// ON CONFLICT
    pub conflict: Option<Conflict>,
}

/// PRIMARY KEY on a column.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ColumnKey {
    /// CONSTRAINT name
    pub name: Option<String>,
    /// DESC (an `INTEGER PRIMARY KEY DESC` is no alias of the rowid).
    pub descending: bool,
    /// AUTOINCREMENT
    pub autoincrement: bool,
    /// ON CONFLICT
    pub conflict: Option<Conflict>,
}

/// UNIQUE on a column.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ColumnUnique {
    /// CONSTRAINT name
    pub name: Option<String>,
    /// ON CONFLICT
    pub conflict: Option<Conflict>,
}

/// GENERATED ALWAYS AS (expression)
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Generated {
    /// SQLite expression.
    pub expression: String,
    /// STORED (otherwise VIRTUAL).
    pub stored: bool,
}

/// A default value.
#[derive(Clone, Debug, PartialEq)]
pub enum Default {
    /// NULL
    Null,
    /// An integer that fits 64 bits, sign applied; hexadecimal included.
    Integer(i64),
    /// Any other number, as written, sign included.
    Number(String),
    /// A string (double-quoted ones and bare words included, as SQLite reads them).
    Text(String),
    /// x'…'
    Blob(Vec<u8>),
    /// TRUE, FALSE
    Bool(bool),
    /// CURRENT_DATE
    CurrentDate,
    /// CURRENT_TIME
    CurrentTime,
    /// CURRENT_TIMESTAMP
    CurrentTimestamp,
    /// Any other expression, without the outer parentheses.
    Expression(String),
}

/// A table constraint.
#[derive(Clone, Debug, PartialEq)]
pub struct Constraint {
    /// CONSTRAINT name
    pub name: Option<String>,
    /// What it demands.
    pub kind: ConstraintKind,
}

/// Kinds of table constraints.
#[derive(Clone, Debug, PartialEq)]
pub enum ConstraintKind {
    /// PRIMARY KEY (keys)
    PrimaryKey {
        /// Key columns.
        keys: Vec<Key>,
        /// AUTOINCREMENT
        autoincrement: bool,
        /// ON CONFLICT
        conflict: Option<Conflict>,
    },
    /// UNIQUE (keys)
    Unique {
        /// Key columns.
        keys: Vec<Key>,
        /// ON CONFLICT
        conflict: Option<Conflict>,
    },
    /// CHECK (expression)
    Check {
        /// SQLite expression.
        expression: String,
        /// ON CONFLICT
        conflict: Option<Conflict>,
    },
    /// FOREIGN KEY … REFERENCES
    ForeignKey(ForeignKey),
}

/// A key of an index or of a PRIMARY KEY or UNIQUE constraint.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Key {
    /// The column's name when the key is a plain column.
    pub column: Option<String>,
    /// The key as SQLite text, without collation and order.
    pub expression: String,
    /// COLLATE, in upper case.
    pub collation: Option<String>,
    /// DESC
    pub descending: bool,
}

/// A foreign key.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ForeignKey {
    /// CONSTRAINT name, when written on a column.
    pub name: Option<String>,
    /// Columns of this table.
    pub columns: Vec<String>,
    /// Referenced table.
    pub table: String,
    /// Referenced columns; empty means the primary key.
    pub referenced: Vec<String>,
    /// ON DELETE
    pub on_delete: Action,
    /// ON UPDATE
    pub on_update: Action,
    /// MATCH name; SQLite ignores it.
    pub match_name: Option<String>,
    /// DEFERRABLE
    pub deferrable: bool,
    /// INITIALLY DEFERRED
    pub deferred: bool,
}

/// ON CONFLICT resolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Conflict {
    Rollback,
    Abort,
    Fail,
    Ignore,
    Replace,
}

/// CREATE VIRTUAL TABLE
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Virtual {
    /// Name.
    pub name: String,
    /// USING module, in lower case.
    pub module: String,
    /// Arguments as written.
    pub args: Vec<String>,
}

/// CREATE INDEX
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Index {
    /// Name.
    pub name: String,
    /// Table.
    pub table: String,
    /// UNIQUE
    pub unique: bool,
    /// Keys.
    pub keys: Vec<Key>,
    /// WHERE, as SQLite text.
    pub filter: Option<String>,
}

/// CREATE VIEW
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct View {
    /// Name.
    pub name: String,
    /// Column names, when written.
    pub columns: Vec<String>,
    /// The query as SQLite text.
    pub query: String,
}

/// CREATE TRIGGER
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// Name.
    pub name: String,
    /// Table or view.
    pub table: String,
    /// BEFORE, AFTER, INSTEAD OF.
    pub time: TriggerTime,
    /// INSERT, UPDATE, DELETE.
    pub event: TriggerEvent,
    /// UPDATE OF columns.
    pub columns: Vec<String>,
    /// WHEN, as SQLite text.
    pub when: Option<String>,
    /// Statements, as SQLite text.
    pub statements: Vec<String>,
}

/// When a trigger fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum TriggerTime {
    Before,
    After,
    InsteadOf,
}

/// What a trigger fires on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum TriggerEvent {
    Insert,
    Update,
    Delete,
}
