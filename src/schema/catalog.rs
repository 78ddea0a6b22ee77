//! An immutable snapshot of what exists in the database.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Codec, Fired, Function, Trigger, function_key};
use crate::name;
use crate::value::enums::Enums;
use crate::value::range::shows_scale;
use crate::value::{Type, oid};

/// Everything that names resolve to. Cheap to clone through `Arc`.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// Rises with every DDL; part of each plan's cache key.
    pub version: u64,
    /// User relations, by the key of their name ([`crate::name`]).
    pub relations: BTreeMap<String, Arc<Relation>>,
    /// Sequences, by the key of their name.
    pub sequences: BTreeMap<String, Arc<Sequence>>,
    /// The types that clients have made; their names are keys.
    pub enums: Arc<Enums>,
    /// Virtual tables of schema `pg_catalog`, by name.
    pub system: BTreeMap<String, Arc<Relation>>,
    /// Virtual tables of schema `information_schema`, by name.
    pub information: BTreeMap<String, Arc<Relation>>,
    /// Functions that clients have created, by [`Function::key`].
    pub functions: BTreeMap<String, Arc<Function>>,
    /// What SQLite runs for the triggers of all relations.
    pub fired: Fired,
    /// Schemas that clients have created, with their OIDs.
    pub schemas: BTreeMap<String, u32>,
    /// Extensions that clients have created, with their OIDs.
    pub extensions: BTreeMap<String, u32>,
    /// COMMENT ON, by what it describes.
    pub comments: BTreeMap<Described, String>,
}

/// What a comment describes: the OID of the catalog that lists it, its own OID, and the
/// attribute number of a column (otherwise 0), as in pg_description.
pub type Described = (u32, u32, i32);

/// What kind of relation a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelationKind {
    /// An ordinary table.
    Table,
    /// A view; expanded in the plan from its PostgreSQL text when it has one.
    View,
    /// A table of the session's temporary schema.
    Temporary,
    /// One of our read-only virtual tables (pg_catalog, information_schema).
    System,
}

/// A table, view or virtual table.
#[derive(Clone, Debug)]
pub struct Relation {
    /// Stable OID, kept in the side catalog (16384 and up for user relations).
    pub oid: u32,
    /// `public`, one that clients have made, `pg_catalog`, `information_schema` or `pg_temp`.
    pub schema: String,
    /// The key of its name: the name as PostgreSQL shows it (folded unless it was quoted), with
    /// the schema where that is one that clients have made.
    pub name: String,
    /// Name in the SQLite file: `name` or `schema.name`, with a number where that is taken.
    pub sqlite_name: String,
    /// Kind.
    pub kind: RelationKind,
    /// Columns in order of attnum (dropped ones are gone).
    pub columns: Vec<Column>,
    /// Primary key, also listed in `uniques` as the first with `primary`.
    pub primary_key: Option<Vec<usize>>,
    /// Unique constraints and unique indexes over plain columns.
    pub uniques: Vec<Unique>,
    /// Plain, partial and expression indexes that are not constraints.
    pub indexes: Vec<Index>,
    /// Foreign keys.
    pub foreign_keys: Vec<ForeignKey>,
    /// CHECK constraints.
    pub checks: Vec<Check>,
    /// Column that is an alias of SQLite's rowid (INTEGER PRIMARY KEY).
    pub rowid_alias: Option<usize>,
    /// WITHOUT ROWID table.
    pub without_rowid: bool,
    /// The file takes NULL in its primary key, as SQLite does where NOT NULL is not said.
    pub nulls_in_key: bool,
    /// The file has triggers on this table.
    pub has_triggers: bool,
    /// Triggers that clients have created, by name.
    pub triggers: Vec<Trigger>,
    /// A view's defining query in PostgreSQL's dialect. A view without one is SQLite's own:
    /// it is queried like a table.
    pub view_sql: Option<String>,
    /// A materialized view's query in PostgreSQL's dialect; its rows are in a table of the file.
    pub materialized: Option<String>,
    /// What happens to a temporary table at COMMIT.
    pub on_commit: OnCommit,
}

/// ON COMMIT of a temporary table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnCommit {
    /// PRESERVE ROWS
    #[default]
    Preserve,
    /// DELETE ROWS
    Delete,
    /// DROP
    Drop,
}

/// One column.
#[derive(Clone, Debug)]
pub struct Column {
    /// 1-based attribute number, never reused within a table.
    pub attnum: i16,
    /// Name as PostgreSQL shows it.
    pub name: String,
    /// Name in the SQLite file.
    pub sqlite_name: String,
    /// Logical PostgreSQL type.
    pub ty: Type,
    /// How SQLite stores it.
    pub codec: Codec,
    /// NOT NULL (a primary key's columns are).
    pub not_null: bool,
    /// Default expression in PostgreSQL's dialect.
    pub default: Option<String>,
    /// The file's own DEFAULT, as SQLite text, when PostgreSQL's dialect cannot say it: an
    /// INSERT that omits the column must leave it out so that SQLite applies it.
    pub sqlite_default: Option<String>,
    /// The file's collation for this column when it is not BINARY (`NOCASE`, `RTRIM`):
    /// printers add COLLATE BINARY where PostgreSQL would compare bytes.
    pub collation: Option<String>,
    /// PostgreSQL's collation of this column when it is not one that compares bytes: equality
    /// is the same, whatever asks for order is refused.
    pub locale: Option<String>,
    /// GENERATED … AS IDENTITY.
    pub identity: Option<Identity>,
    /// GENERATED ALWAYS AS (expression).
    pub generated: Option<Generated>,
    /// Sequence owned by this column (serial or identity).
    pub sequence: Option<String>,
    /// OID of the domain whose values it holds; `ty` is that domain's base type.
    pub domain: Option<u32>,
}

impl Column {
    /// A nullable column without default, stored as new columns of its type are.
    pub fn new(attnum: i16, name: impl Into<String>, ty: Type) -> Self {
        let name = name.into();
        Self {
            attnum,
            sqlite_name: name.clone(),
            name,
            ty,
            codec: Codec::for_new(ty),
            not_null: false,
            default: None,
            sqlite_default: None,
            collation: Codec::for_new(ty).collation().map(str::to_owned),
            locale: None,
            identity: None,
            generated: None,
            sequence: None,
            domain: None,
        }
    }

    /// The type it is declared to have: the domain, when it is of one.
    pub fn declared(&self) -> Type {
        self.domain.map_or(self.ty, Type::new)
    }

    /// Whether SQLite computes its values.
    pub fn computed_by_file(&self) -> bool {
        self.generated.as_ref().is_some_and(|g| !g.in_plan)
    }
}

/// Identity kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Identity {
    /// GENERATED ALWAYS
    Always,
    /// GENERATED BY DEFAULT
    ByDefault,
}

/// A generated column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generated {
    /// Expression in PostgreSQL's dialect.
    pub expression: String,
    /// STORED (otherwise VIRTUAL).
    pub stored: bool,
    /// `expression` is SQLite text that PostgreSQL's dialect may not say the same way.
    #[serde(default)]
    pub sqlite: bool,
    /// An ordinary column of the file whose values the plans of writes compute, because
    /// SQLite's own functions cannot.
    #[serde(default)]
    pub in_plan: bool,
}

/// A unique constraint or unique index over plain columns.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Unique {
    /// Constraint or index name as PostgreSQL shows it.
    pub name: String,
    /// OID of its index.
    pub oid: u32,
    /// Indexes into `Relation::columns`.
    pub columns: Vec<usize>,
    /// The primary key.
    pub primary: bool,
    /// A constraint (otherwise a bare unique index).
    pub constraint: bool,
    /// When PostgreSQL checks it; SQLite does at once.
    #[serde(default)]
    pub deferral: Deferral,
}

/// When a constraint may be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Deferral {
    /// At once, row by row.
    #[default]
    Never,
    /// DEFERRABLE: at the end of the statement, unless SET CONSTRAINTS says otherwise.
    Immediate,
    /// INITIALLY DEFERRED: at COMMIT.
    Deferred,
}

/// An index that is not a constraint.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Index {
    /// Name.
    pub name: String,
    /// OID.
    pub oid: u32,
    /// Keys in order.
    pub keys: Vec<IndexKey>,
    /// UNIQUE (partial or with expressions; plain ones are in `uniques`).
    pub unique: bool,
    /// WHERE of a partial index, PostgreSQL's dialect.
    pub predicate: Option<String>,
    /// `CREATE INDEX …` as `pg_get_indexdef` prints it.
    pub definition: String,
    /// Keys or predicate are SQLite text that PostgreSQL's dialect cannot say exactly.
    #[serde(default)]
    pub sqlite: bool,
    /// Not in the file: SQLite cannot keep it exactly. A unique one is kept by a trigger.
    #[serde(default)]
    pub absent: bool,
    /// What only PostgreSQL's index has.
    #[serde(default)]
    pub extras: IndexExtras,
}

/// Parts of an index that mean nothing to SQLite.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexExtras {
    /// Access method; empty is btree.
    pub method: String,
    /// Operator class of each key; empty is the default one.
    pub opclasses: Vec<String>,
    /// NULLS FIRST (true) or LAST of each key, where it is not what its direction implies.
    pub nulls_first: Vec<Option<bool>>,
    /// INCLUDE
    pub include: Vec<String>,
    /// WITH, each as `name=value`.
    #[serde(default)]
    pub options: Vec<String>,
    /// EXCLUDE: the operator of each key; the index is the constraint's.
    #[serde(default)]
    pub operators: Vec<String>,
    /// When the exclusion constraint may be checked.
    #[serde(default)]
    pub deferral: Deferral,
}

impl Index {
    /// Whether it stands for an exclusion constraint.
    pub fn is_exclusion(&self) -> bool {
        !self.extras.operators.is_empty()
    }

    /// Whether a trigger keeps it, as the file cannot.
    pub fn by_trigger(&self) -> bool {
        self.is_exclusion() || self.unique && self.absent
    }
}

/// One key of an index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IndexKey {
    /// A column by position in `Relation::columns`; descending or not.
    Column(usize, bool),
    /// An expression, PostgreSQL's dialect; descending or not.
    Expression(String, bool),
}

/// A foreign key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ForeignKey {
    /// Constraint name.
    pub name: String,
    /// OID.
    pub oid: u32,
    /// Columns of this table.
    pub columns: Vec<usize>,
    /// Referenced table's name.
    pub table: String,
    /// Referenced columns' names; empty means its primary key.
    pub referenced: Vec<String>,
    /// ON DELETE.
    pub on_delete: Action,
    /// ON UPDATE.
    pub on_update: Action,
    /// DEFERRABLE.
    pub deferrable: bool,
    /// INITIALLY DEFERRED.
    pub deferred: bool,
    /// Some rows may break it (NOT VALID); new rows may not.
    #[serde(default)]
    pub not_valid: bool,
}

/// A foreign key's action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Action {
    /// NO ACTION
    #[default]
    NoAction,
    /// RESTRICT
    Restrict,
    /// CASCADE
    Cascade,
    /// SET NULL
    SetNull,
    /// SET DEFAULT
    SetDefault,
}

/// A CHECK constraint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Constraint name.
    pub name: String,
    /// OID.
    pub oid: u32,
    /// Expression in PostgreSQL's dialect.
    pub expression: String,
    /// Enforced in our plan because the stored DDL cannot carry it.
    pub in_plan: bool,
    /// `expression` is SQLite text that PostgreSQL's dialect cannot say; SQLite enforces it.
    pub sqlite: bool,
    /// Some rows may break it (NOT VALID); new rows may not.
    #[serde(default)]
    pub not_valid: bool,
}

/// A sequence; its state lives in `_crossfade_sequences`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// OID.
    pub oid: u32,
    /// The key of its name.
    pub name: String,
    /// Type of its values: int2, int4 or int8.
    pub ty: Type,
    /// START
    pub start: i64,
    /// INCREMENT
    pub increment: i64,
    /// MINVALUE
    pub min: i64,
    /// MAXVALUE
    pub max: i64,
    /// CYCLE
    pub cycle: bool,
    /// Owning table and column.
    pub owned_by: Option<(String, String)>,
}

impl Catalog {
    /// A catalog without user objects: the system relations only.
    pub fn system_only() -> Self {
        let (system, information) = super::system::relations();
        Self { system: system.clone(), information: information.clone(), ..Self::default() }
    }

    /// A user relation (table, view), by its key.
    pub fn relation(&self, name: &str) -> Option<&Arc<Relation>> {
        self.relations.get(name)
    }

    /// The function without arguments that triggers name.
    pub fn trigger_function(&self, name: &str) -> Option<&Arc<Function>> {
        self.functions.get(&function_key(name, &[]))
    }

    /// Functions and procedures of a name, which differ by the types of their arguments.
    pub fn functions_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Arc<Function>> {
        let all = self.functions.range(name.to_owned()..);
        let near = all.take_while(move |(key, _)| key.starts_with(name));
        near.map(|(_, function)| function).filter(move |function| function.name == name)
    }

    /// The key of a table by the name that people are shown: `t`, `s.t`.
    pub fn key_of_shown(&self, shown: &str) -> Option<&str> {
        if let Some((key, _)) = self.relations.get_key_value(shown) {
            return Some(key);
        }
        let mut keys = self.relations.keys();
        keys.find(|key| name::is_key(key) && name::shown(key) == shown).map(String::as_str)
    }

    /// Whether there is a schema of this name (a session's temporary one aside).
    pub fn has_schema(&self, name: &str) -> bool {
        matches!(name, "public" | "pg_catalog" | "information_schema" | "pg_toast")
            || self.schemas.contains_key(name)
    }

    /// The table that has an index of this name in a schema.
    pub fn index_owner(&self, schema: &str, name: &str) -> Option<&Arc<Relation>> {
        let holds = |r: &&Arc<Relation>| r.schema == schema && r.index_oid(name).is_some();
        self.relations.values().find(holds)
    }
}

impl Sequence {
    /// The sequence as a relation of one row, as PostgreSQL lets one read it.
    pub fn relation(&self) -> Relation {
        let literal = |text: &str| text.replace('\'', "''");
        let (schema, name) = name::split(&self.name);
        let (schema, name) = (literal(schema), literal(name));
        let text = format!(
            "SELECT coalesce(last_value, start_value) AS last_value, 0::bigint AS log_cnt, \
             last_value IS NOT NULL AS is_called FROM pg_catalog.pg_sequences \
             WHERE schemaname = '{schema}' AND sequencename = '{name}'"
        );
        let columns = [("last_value", oid::INT8), ("log_cnt", oid::INT8), ("is_called", oid::BOOL)];
        let numbered = (1_i16..).zip(columns);
        Relation {
            columns: numbered.map(|(n, (name, ty))| Column::new(n, name, Type::new(ty))).collect(),
            view_sql: Some(text),
            ..Relation::new(self.oid, self.name.clone(), RelationKind::View)
        }
    }
}

impl Relation {
    /// Unique keys whose equal values may be stored as different texts: the file's own index
    /// keeps them apart only in part, and a trigger looks through the table for the rest.
    pub fn looked_for(&self) -> impl Iterator<Item = &Unique> {
        let shows = |c: &usize| self.columns.get(*c).is_some_and(|c| shows_scale(c.ty.oid));
        self.uniques.iter().filter(move |u| u.columns.iter().any(shows))
    }

    /// Its name without the schema.
    pub fn bare(&self) -> &str {
        name::bare(&self.name)
    }

    /// The OID of its index of this name.
    pub fn index_oid(&self, name: &str) -> Option<u32> {
        let unique = self.uniques.iter().find(|u| u.name == name).map(|u| u.oid);
        unique.or_else(|| self.indexes.iter().find(|i| i.name == name).map(|i| i.oid))
    }

    /// A relation without columns, keys or options; the key of its name says its schema.
    pub fn new(oid: u32, name: impl Into<String>, kind: RelationKind) -> Self {
        let name = name.into();
        Self {
            oid,
            schema: name::schema(&name).to_owned(),
            sqlite_name: name::shown(&name).into_owned(),
            name,
            kind,
            columns: Vec::new(),
            primary_key: None,
            uniques: Vec::new(),
            indexes: Vec::new(),
            foreign_keys: Vec::new(),
            checks: Vec::new(),
            rowid_alias: None,
            without_rowid: false,
            nulls_in_key: false,
            has_triggers: false,
            triggers: Vec::new(),
            view_sql: None,
            materialized: None,
            on_commit: OnCommit::Preserve,
        }
    }

    /// Position of a column by PostgreSQL name.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name == name)
    }

    /// SQLite's name of the rowid that no column hides; None where there is none.
    pub fn rowid_name(&self) -> Option<&'static str> {
        let hidden =
            |name: &&str| !self.columns.iter().any(|c| c.sqlite_name.eq_ignore_ascii_case(name));
        ["rowid", "_rowid_", "oid"].into_iter().find(hidden).filter(|_| !self.without_rowid)
    }

    /// Whether rows can be told apart by key: primary key first, else a unique constraint
    /// over NOT NULL columns.
    pub fn key(&self) -> Option<&[usize]> {
        self.primary_key.as_deref().or_else(|| {
            self.uniques
                .iter()
                .find(|u| u.columns.iter().all(|c| self.columns[*c].not_null))
                .map(|u| u.columns.as_slice())
        })
    }
}
