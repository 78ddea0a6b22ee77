//! Schema changes as written: tables, columns, constraints, indexes, sequences.

use super::{
    CreateFunction, CreateTrigger, Expr, Name, OrderItem, RoutineKind, RoutineName, Select,
    TypeName,
};

/// Schema changes.
#[derive(Clone, Debug, PartialEq)]
pub enum Ddl {
    /// CREATE TABLE
    CreateTable(CreateTable),
    /// CREATE TABLE AS, SELECT INTO
    CreateTableAs {
        name: Name,
        columns: Vec<String>,
        query: Box<Select>,
        temporary: bool,
        if_not_exists: bool,
        with_data: bool,
    },
    /// CREATE INDEX
    CreateIndex(CreateIndex),
    /// CREATE VIEW
    CreateView {
        name: Name,
        columns: Vec<String>,
        query: Box<Select>,
        text: String,
        replace: bool,
        temporary: bool,
    },
    /// CREATE MATERIALIZED VIEW
    CreateMaterialized {
        name: Name,
        columns: Vec<String>,
        query: Box<Select>,
        text: String,
        if_not_exists: bool,
        with_data: bool,
    },
    /// REFRESH MATERIALIZED VIEW
    Refresh { name: Name, concurrently: bool, with_data: bool },
    /// CREATE SEQUENCE
    CreateSequence { name: Name, options: SequenceOptions, if_not_exists: bool },
    /// ALTER SEQUENCE
    AlterSequence { name: Name, options: SequenceOptions, if_exists: bool },
    /// CREATE SCHEMA
    CreateSchema { name: String, if_not_exists: bool },
    /// ALTER … SET SCHEMA
    SetSchema { kind: ObjectKind, name: Name, schema: String, if_exists: bool },
    /// CREATE EXTENSION
    CreateExtension { name: String, if_not_exists: bool },
    /// CREATE TYPE … AS ENUM
    CreateEnum { name: Name, labels: Vec<String> },
    /// CREATE TYPE name AS (field type, …)
    CreateComposite { name: Name, fields: Vec<(String, TypeName)> },
    /// ALTER TYPE … ADD, DROP, ALTER and RENAME ATTRIBUTE
    AlterComposite { name: Name, changes: Vec<AttributeChange> },
    /// CREATE DOMAIN name AS type constraint …
    CreateDomain { name: Name, ty: TypeName, constraints: Vec<Constraint> },
    /// ALTER TYPE … ADD VALUE, RENAME VALUE
    AlterEnum { name: Name, change: EnumChange },
    /// DROP kind names
    Drop { kind: ObjectKind, names: Vec<Name>, if_exists: bool, cascade: bool },
    /// DROP FUNCTION, PROCEDURE, ROUTINE, AGGREGATE
    DropRoutines { kind: RoutineKind, routines: Vec<RoutineName>, if_exists: bool, cascade: bool },
    /// TRUNCATE
    Truncate { tables: Vec<Name>, restart_identity: bool, cascade: bool },
    /// ALTER TABLE with its actions.
    AlterTable { name: Name, actions: Vec<AlterAction>, if_exists: bool },
    /// ALTER … RENAME
    Rename { kind: ObjectKind, name: Name, what: RenameWhat, to: String, if_exists: bool },
    /// COMMENT ON kind name IS text; the name's schema is the table of a column, constraint
    /// or trigger.
    Comment { kind: ObjectKind, name: Name, part: Option<String>, text: Option<String> },
    /// CREATE FUNCTION
    CreateFunction(Box<CreateFunction>),
    /// CREATE TRIGGER
    CreateTrigger(Box<CreateTrigger>),
    /// GRANT, REVOKE: accepted; the flag says GRANT.
    Grant(bool),
    /// Accepted, changes nothing a client can see (owners, default privileges): the command
    /// tag.
    NoEffect(&'static str),
}

/// A change of an enum type's labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnumChange {
    /// ADD VALUE label [BEFORE | AFTER neighbour]
    Add { label: String, neighbour: Option<String>, after: bool, if_not_exists: bool },
    /// RENAME VALUE from TO to
    Rename { from: String, to: String },
}

/// A change of a composite type's fields.
#[derive(Clone, Debug, PartialEq)]
pub enum AttributeChange {
    /// ADD ATTRIBUTE
    Add(String, TypeName),
    /// DROP ATTRIBUTE, and whether IF EXISTS
    Drop(String, bool),
    /// ALTER ATTRIBUTE … TYPE
    Retype(String, TypeName),
    /// RENAME ATTRIBUTE from TO to
    Rename(String, String),
}

/// What a DDL statement names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ObjectKind {
    Table,
    Index,
    View,
    Sequence,
    Schema,
    Extension,
    Type,
    Domain,
    Function,
    Trigger,
    MaterializedView,
    Constraint,
    Other,
}

/// What is renamed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RenameWhat {
    /// The object itself.
    Object,
    /// A column.
    Column(String),
    /// A constraint.
    Constraint(String),
}

/// CREATE TABLE
#[derive(Clone, Debug, PartialEq, Default)]
pub struct CreateTable {
    /// Name.
    pub name: Name,
    /// Columns.
    pub columns: Vec<ColumnDef>,
    /// Table constraints (column constraints are in the columns).
    pub constraints: Vec<Constraint>,
    /// LIKE tables.
    pub like: Vec<Like>,
    /// IF NOT EXISTS
    pub if_not_exists: bool,
    /// TEMPORARY
    pub temporary: bool,
    /// UNLOGGED
    pub unlogged: bool,
    /// ON COMMIT DELETE ROWS | DROP, when written.
    pub on_commit: Option<&'static str>,
}

/// LIKE table INCLUDING …; NOT NULL is always copied.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Like {
    /// The table to copy from.
    pub table: Name,
    /// INCLUDING DEFAULTS
    pub defaults: bool,
    /// INCLUDING CONSTRAINTS (checks)
    pub constraints: bool,
    /// INCLUDING INDEXES (keys included)
    pub indexes: bool,
    /// INCLUDING IDENTITY
    pub identity: bool,
    /// INCLUDING GENERATED
    pub generated: bool,
}

/// A column definition.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnDef {
    /// Name.
    pub name: String,
    /// Type (`serial`, `bigserial`, `smallserial` by these names).
    pub ty: TypeName,
    /// Collation, when written.
    pub collation: Option<Name>,
    /// Column constraints.
    pub constraints: Vec<Constraint>,
    /// Position.
    pub pos: u32,
}

/// A constraint.
#[derive(Clone, Debug, PartialEq)]
pub struct Constraint {
    /// Name, when written.
    pub name: Option<String>,
    /// Kind.
    pub kind: ConstraintKind,
    /// DEFERRABLE
    pub deferrable: bool,
    /// INITIALLY DEFERRED
    pub deferred: bool,
    /// NOT VALID
    pub not_valid: bool,
}

/// Constraint kinds. Column lists are empty for column constraints.
#[derive(Clone, Debug, PartialEq)]
pub enum ConstraintKind {
    /// NOT NULL
    NotNull,
    /// NULL
    Null,
    /// DEFAULT expression, and its text as PostgreSQL prints it.
    Default(Expr, String),
    /// GENERATED … AS IDENTITY; the flag says ALWAYS.
    Identity(bool, SequenceOptions),
    /// GENERATED ALWAYS AS (expression) STORED, and its text.
    Generated(Expr, String),
    /// CHECK (expression), and its text.
    Check(Expr, String),
    /// PRIMARY KEY; `USING INDEX` when named.
    PrimaryKey(Vec<String>, Option<String>),
    /// UNIQUE; `USING INDEX` when named; NULLS NOT DISTINCT.
    Unique(Vec<String>, Option<String>, bool),
    /// REFERENCES table (columns)
    ForeignKey {
        columns: Vec<String>,
        table: Name,
        referenced: Vec<String>,
        on_delete: crate::schema::Action,
        on_update: crate::schema::Action,
        match_full: bool,
    },
    /// EXCLUDE
    Exclusion(Box<Exclusion>),
}

/// EXCLUDE USING method (key WITH operator, …) WHERE (…)
#[derive(Clone, Debug, PartialEq)]
pub struct Exclusion {
    /// Access method (`gist` when not written).
    pub method: String,
    /// Keys with their texts.
    pub keys: Vec<(OrderItem, String)>,
    /// Operator class of each key, when written.
    pub opclasses: Vec<Option<String>>,
    /// Operator of each key.
    pub operators: Vec<String>,
    /// INCLUDE
    pub include: Vec<String>,
    /// WHERE and its text.
    pub filter: Option<(Expr, String)>,
}

/// CREATE INDEX
#[derive(Clone, Debug, PartialEq, Default)]
pub struct CreateIndex {
    /// Name, when written.
    pub name: Option<String>,
    /// Table.
    pub table: Name,
    /// UNIQUE
    pub unique: bool,
    /// Access method (`btree` when not written).
    pub method: String,
    /// Keys: expression (a column is `ExprKind::Column`), its text, order.
    pub keys: Vec<(OrderItem, String)>,
    /// Operator class of each key, when written.
    pub opclasses: Vec<Option<String>>,
    /// INCLUDE columns
    pub include: Vec<String>,
    /// WHERE, and its text.
    pub filter: Option<(Expr, String)>,
    /// WITH (name = value)
    pub options: Vec<(String, String)>,
    /// IF NOT EXISTS
    pub if_not_exists: bool,
    /// CONCURRENTLY
    pub concurrently: bool,
    /// NULLS NOT DISTINCT
    pub nulls_not_distinct: bool,
}

/// Options of a sequence, when written.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SequenceOptions {
    /// AS type
    pub ty: Option<String>,
    /// START
    pub start: Option<i64>,
    /// INCREMENT
    pub increment: Option<i64>,
    /// MINVALUE; Some(None) is NO MINVALUE.
    pub min: Option<Option<i64>>,
    /// MAXVALUE; Some(None) is NO MAXVALUE.
    pub max: Option<Option<i64>>,
    /// CYCLE
    pub cycle: Option<bool>,
    /// RESTART; Some(None) is RESTART without a value.
    pub restart: Option<Option<i64>>,
    /// OWNED BY table.column; Some(None) is NONE.
    pub owned_by: Option<Option<(String, String)>>,
    /// SEQUENCE NAME
    pub name: Option<String>,
}

/// One action of ALTER TABLE.
#[derive(Clone, Debug, PartialEq)]
pub enum AlterAction {
    /// ADD COLUMN [IF NOT EXISTS]
    AddColumn(ColumnDef, bool),
    /// DROP COLUMN name [IF EXISTS] [CASCADE]
    DropColumn(String, bool, bool),
    /// ALTER COLUMN … TYPE type [USING expression and its text]
    AlterType(String, TypeName, Option<Name>, Option<(Expr, String)>),
    /// SET DEFAULT (expression and its text) or DROP DEFAULT
    SetDefault(String, Option<(Expr, String)>),
    /// SET NOT NULL (true) or DROP NOT NULL
    SetNotNull(String, bool),
    /// ADD constraint
    AddConstraint(Constraint),
    /// DROP CONSTRAINT name [IF EXISTS] [CASCADE]
    DropConstraint(String, bool, bool),
    /// VALIDATE CONSTRAINT name
    ValidateConstraint(String),
    /// ADD GENERATED … AS IDENTITY: column, ALWAYS, options
    AddIdentity(String, bool, SequenceOptions),
    /// DROP IDENTITY [IF EXISTS]
    DropIdentity(String, bool),
    /// SET GENERATED …/RESTART: column, ALWAYS when written, options
    SetIdentity(String, Option<bool>, SequenceOptions),
    /// ENABLE (true) or DISABLE TRIGGER; None is ALL or USER
    EnableTrigger(Option<String>, bool),
    /// Storage parameters, statistics, owner, replica identity: accepted, no effect.
    NoEffect(&'static str),
    /// Refused, by name.
    Unsupported(&'static str),
}
