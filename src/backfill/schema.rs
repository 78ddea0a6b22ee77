//! The catalog as DDL for PostgreSQL.
//!
//! Owns the printing, in phases: what must be there before the rows, and what is added when
//! they are in. Pure: a catalog in, texts out. What PostgreSQL cannot have is a [`Finding`];
//! nothing is left out in silence. Start at [`plan`].

mod decided;
mod declared;
mod stored;
mod translated;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::order::sorted;
use crate::backend::postgres::apply::{quoted, table_name};
use crate::backend::sqlite::ddl::{composite, domain};
use crate::backend::sqlite::system::{deferral_text, format_type};
use crate::config;
use crate::name;
use crate::schema::{
    Action, Catalog, Column, ForeignKey, Identity, Index, IndexKey, Relation, RelationKind,
    Sequence, Unique,
};
use crate::sql::outward::{self, Outward};
use crate::value::composite::{CompositeType, composite_of_array};
use crate::value::enums::EnumType;
use crate::value::oid;

pub use decided::Split;
pub use stored::Stored;
use translated::Translated as Texts;

/// Columns a table of PostgreSQL may have.
const COLUMNS_MAX: usize = 1600;

/// What could not be carried over as it is, or should be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Table, view or sequence.
    pub table: String,
    /// What of it: `column "x"`, `index "i"`; empty for the table itself.
    pub object: String,
    /// One sentence without row values.
    pub message: String,
    /// The table cannot be mirrored until a person decides.
    pub blocking: bool,
    /// Whether PostgreSQL goes without it.
    pub missing: Missing,
}

/// What PostgreSQL goes without.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missing {
    /// Nothing.
    #[default]
    Nothing,
    /// An object of the file.
    Object,
    /// One that holds rows to something or does something by itself: PostgreSQL would be weaker
    /// than SQLite.
    Weaker,
}

/// A statement to run when the rows are in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Table.
    pub table: String,
    /// What it makes: `primary key "t_pkey"`.
    pub object: String,
    /// The statement.
    pub sql: String,
    /// Proves the rows that are there already (VALIDATE CONSTRAINT).
    pub validate: Option<String>,
    /// Without it rows cannot be applied one by one.
    pub needed: bool,
}

/// A view or trigger of SQLite's that PostgreSQL can have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translated {
    /// The view, or the trigger's table.
    pub table: String,
    /// `view`, or `trigger "t"`.
    pub object: String,
    /// The texts.
    pub outward: Outward,
}

/// One table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TablePlan {
    /// Name.
    pub name: String,
    /// CREATE TABLE: columns with types, NOT NULL, identity and generated columns.
    pub create: String,
    /// ALTER TABLE … SET DEFAULT, one for each default.
    pub defaults: Vec<Step>,
    /// Sequences of their own that must be there before the table.
    pub sequences: Vec<String>,
    /// ALTER SEQUENCE … OWNED BY.
    pub owned: Vec<Step>,
    /// How it is partitioned.
    pub split: Option<Split>,
    /// Generated columns that it has not.
    pub lacking: Vec<usize>,
    /// Its parts, for a server that refuses a generated column.
    pub parts: Option<Parts>,
}

/// The parts of a CREATE TABLE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// Each column's line.
    pub lines: Vec<(usize, String)>,
    /// Generated columns that can be left out.
    pub generated: Vec<usize>,
    table: String,
    clause: String,
}

impl Parts {
    /// CREATE TABLE without some columns.
    pub fn create(&self, without: &[usize]) -> String {
        let kept = self.lines.iter().filter(|(index, _)| !without.contains(index));
        let lines: Vec<&str> = kept.map(|(_, line)| line.as_str()).collect();
        format!("CREATE TABLE {} (\n  {}\n){}", self.table, lines.join(",\n  "), self.clause)
    }
}

/// Everything, in the order in which it is run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Enum types: name and CREATE TYPE.
    pub types: Vec<(String, String)>,
    /// Extensions.
    pub extensions: Vec<String>,
    /// CREATE SCHEMA of each schema beside `public`.
    pub schemas: Vec<String>,
    /// Sequences that no table owns.
    pub sequences: Vec<(String, String)>,
    /// Tables, parents before children.
    pub tables: Vec<TablePlan>,
    /// Primary keys and unique constraints.
    pub keys: Vec<Step>,
    /// Indexes.
    pub indexes: Vec<Step>,
    /// CHECK constraints: after the rows, some of which may break them.
    pub checks: Vec<Step>,
    /// Foreign keys.
    pub foreign_keys: Vec<Step>,
    /// Views.
    pub views: Vec<Step>,
    /// Functions, triggers and comments: when nothing is copied any more.
    pub routines: Vec<Step>,
    /// Views and triggers of SQLite's that PostgreSQL can have.
    pub outward: Vec<Translated>,
    /// What is not carried over.
    pub findings: Vec<Finding>,
}

/// How to print.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Text columns need COLLATE "C", because the database sorts otherwise: SQLite compares
    /// bytes, and so must its successor.
    pub collate_c: bool,
    /// `[tables.NAME]`.
    pub tables: BTreeMap<String, config::Table>,
    /// The file's own texts.
    pub stored: Stored,
    /// SQLite does not hold rows to foreign keys: nor does PostgreSQL then.
    pub foreign_keys_off: bool,
}

/// The DDL for every table, view and sequence of a catalog.
pub fn plan(catalog: &Catalog, options: &Options) -> Plan {
    let mut plan = Plan::default();
    let lasting = catalog.enums.iter().filter(|ty| !ty.temporary);
    plan.types.extend(lasting.map(|ty| (ty.name.clone(), create_enum(ty))));
    plan.types.extend(composites(catalog));
    let lasting = catalog.enums.domains().filter(|domain| !domain.temporary);
    plan.types.extend(lasting.map(|d| (d.name.clone(), domain::text(d))));
    plan.schemas = catalog
        .schemas
        .keys()
        .map(|name| format!("CREATE SCHEMA IF NOT EXISTS {}", quoted(name)))
        .collect();
    plan.extensions = catalog
        .extensions
        .keys()
        .map(|name| format!("CREATE EXTENSION IF NOT EXISTS {}", quoted(name)))
        .collect();
    for sequence in catalog.sequences.values().filter(|s| s.owned_by.is_none()) {
        plan.sequences.push((sequence.name.clone(), create_sequence(sequence)));
    }
    for relation in by_dependency(catalog) {
        table(catalog, relation, options, &mut plan);
    }
    let seen = outward::without_lacking(catalog);
    let views = catalog.relations.values().filter(|r| r.kind == RelationKind::View);
    let mut views: Vec<&Arc<Relation>> = views.collect();
    // As they were made: one may read another.
    views.sort_by_key(|view| view.oid);
    for relation in views {
        view(&seen, relation, options, &mut plan);
    }
    routines(catalog, &mut plan);
    stored::triggers(&seen, options, &mut plan);
    plan
}

/// Tables, referenced ones first; cycles in the order of their names.
pub fn by_dependency(catalog: &Catalog) -> Vec<&Relation> {
    let tables: Vec<&Relation> = catalog
        .relations
        .values()
        .map(AsRef::as_ref)
        .filter(|r: &&Relation| r.kind == RelationKind::Table)
        .collect();
    let place = |name: &str| tables.iter().position(|r| r.name == name);
    let keys = tables.iter().enumerate().flat_map(|(child, relation)| {
        let parents = relation.foreign_keys.iter().filter_map(|key| place(&key.table));
        parents.filter(move |parent| *parent != child).map(move |parent| (child, parent))
    });
    let keys: Vec<(usize, usize)> = keys.collect();
    sorted(tables.len(), &keys).into_iter().map(|i| tables[i]).collect()
}

fn table(catalog: &Catalog, relation: &Relation, options: &Options, plan: &mut Plan) {
    let mut findings = Findings { table: &relation.name, list: &mut plan.findings };
    if relation.columns.len() > COLUMNS_MAX {
        let message = format!(
            "it has {} columns; a table of PostgreSQL has at most {COLUMNS_MAX}",
            relation.columns.len()
        );
        findings.blocking("", message);
        return;
    }
    if relation.key().is_none() {
        findings.add("", "it has no key: rows are mirrored and verified as a multiset");
    }
    let texts = Texts::of(catalog, relation);
    let mut made = TablePlan {
        name: relation.name.clone(),
        create: String::new(),
        defaults: Vec::new(),
        sequences: Vec::new(),
        owned: Vec::new(),
        split: decided::split(relation, options, &mut findings),
        lacking: texts.lacking(),
        parts: None,
    };
    decided::not_followed(relation, options, &mut findings);
    let lacking = made.lacking.clone();
    let mut lines = Vec::new();
    for (index, column) in relation.columns.iter().enumerate() {
        let generated = texts.generated(index);
        if let Some(Err(error)) = generated {
            let object = format!("column {:?}", column.name);
            let why = stored::why(error);
            let message = format!("SQLite computes it; PostgreSQL needs one by hand: {why}");
            findings.weaker(&object, &message);
            continue;
        }
        let sequence = column.sequence.as_ref().and_then(|s| catalog.sequences.get(s));
        let sequence_of = sequence.map(AsRef::as_ref);
        let generated = generated.and_then(Result::ok);
        lines.push((index, self::column(column, generated, sequence_of, options)));
        if column.identity.is_some() || column.generated.is_some() {
            if column.identity == Some(Identity::Always) {
                let object = format!("column {:?}", column.name);
                findings.add(&object, "GENERATED ALWAYS is BY DEFAULT until crossfade complete");
            }
            continue;
        }
        if let Some(sequence) = sequence {
            made.sequences.push(create_sequence(sequence));
            made.owned.push(owned_by(relation, column, sequence));
        }
        default(relation, column, &texts, &mut made, &mut findings);
    }
    let is_key = |index: &usize| relation.key().is_some_and(|key| key.contains(index));
    let generated = lines.iter().map(|(index, _)| *index);
    let generated = generated.filter(|i| relation.columns[*i].generated.is_some() && !is_key(i));
    let parts = Parts {
        generated: generated.collect(),
        lines,
        table: table_name(relation),
        clause: made.split.as_ref().map_or_else(String::new, |split| split.clause(relation)),
    };
    made.create = parts.create(&[]);
    made.parts = Some(parts).filter(|parts| !parts.generated.is_empty());
    for one in &relation.uniques {
        if one.columns.iter().any(|c| lacking.contains(c)) {
            let object = format!("unique {:?}", one.name);
            findings.weaker(&object, "it is over a column that PostgreSQL cannot compute");
            continue;
        }
        plan.keys.push(unique(relation, one, made.split.as_ref(), &mut findings));
    }
    for key in &relation.foreign_keys {
        if options.foreign_keys_off {
            let object = format!("foreign key {:?}", key.name);
            let message =
                "not made: SQLite does not hold rows to it, as [sqlite] foreign_keys says";
            findings.add(&object, message);
            continue;
        }
        let mut step = foreign_key(catalog, relation, key);
        if made.split.is_some() {
            // PostgreSQL before 18 takes no foreign key of a partitioned table unproven.
            step.sql = step.sql.trim_end_matches(" NOT VALID").to_owned();
            step.validate = None;
        }
        plan.foreign_keys.push(step);
    }
    indexes(relation, options, &texts, plan);
    checks(relation, &texts, plan);
    declared::missing(relation, options, &mut plan.findings);
    plan.tables.push(made);
}

fn indexes(relation: &Relation, options: &Options, texts: &Texts<'_>, plan: &mut Plan) {
    for index in &relation.indexes {
        let over = |position: usize| {
            index.keys.iter().any(|k| matches!(k, IndexKey::Column(p, _) if *p == position))
        };
        let made = match index.sqlite || texts.lacking().into_iter().any(over) {
            true => texts.index(index, &options.stored),
            false => Ok(index.clone()),
        };
        match made {
            Ok(made) => plan.indexes.push(self::index(relation, &made)),
            Err(error) => {
                let object = format!("index {:?}", index.name);
                let why = stored::why(&error);
                let message = format!("SQLite's own; PostgreSQL needs one by hand: {why}");
                let mut findings = Findings { table: &relation.name, list: &mut plan.findings };
                match index.unique {
                    true => findings.weaker(&object, &message),
                    false => findings.lacks(&object, &message),
                }
            }
        }
    }
    plan.indexes.extend(decided::indexes(relation, options));
}

fn checks(relation: &Relation, texts: &Texts<'_>, plan: &mut Plan) {
    for check in &relation.checks {
        let object = format!("check {:?}", check.name);
        let made = match check.sqlite {
            true => texts.check(&check.expression),
            false => Ok(check.expression.clone()),
        };
        match made {
            Ok(expression) => {
                let definition = format!("CHECK ({expression})");
                plan.checks.push(constraint(relation, &check.name, object, &definition));
            }
            Err(error) => {
                let why = stored::why(&error);
                let message = format!("SQLite's own; PostgreSQL needs one by hand: {why}");
                Findings { table: &relation.name, list: &mut plan.findings }
                    .weaker(&object, &message);
            }
        }
    }
}

fn default(
    relation: &Relation,
    column: &Column,
    texts: &Texts<'_>,
    made: &mut TablePlan,
    findings: &mut Findings<'_>,
) {
    let object = format!("default of column {:?}", column.name);
    let expression = match (&column.default, &column.sqlite_default) {
        (None, None) => return,
        (Some(expression), _) => Ok(expression.clone()),
        (None, Some(text)) => texts.default(text, column),
    };
    match expression {
        Ok(expression) => made.defaults.push(Step {
            table: relation.name.clone(),
            object,
            sql: format!(
                "ALTER TABLE {} ALTER COLUMN {} SET DEFAULT {expression}",
                table_name(relation),
                quoted(&column.name)
            ),
            validate: None,
            needed: false,
        }),
        Err(error) => {
            let why = stored::why(&error);
            let message = format!("SQLite's own; PostgreSQL needs one by hand: {why}");
            findings.weaker(&object, &message);
        }
    }
}

fn column(
    column: &Column,
    generated: Option<&str>,
    sequence: Option<&Sequence>,
    options: &Options,
) -> String {
    let declared = column.declared();
    let ty = match (declared.oid, declared.typmod) {
        // `character` alone is one character; without a length it is called bpchar.
        (oid::BPCHAR, -1) => "bpchar".to_owned(),
        (ty, typmod) => format_type(ty, typmod),
    };
    let mut text = format!("{} {ty}", quoted(&column.name));
    let is_text = matches!(column.ty.oid, oid::TEXT | oid::VARCHAR | oid::BPCHAR);
    if let Some(locale) = &column.locale {
        text.push_str(&format!(" COLLATE {}", quoted(locale)));
    } else if options.collate_c && is_text {
        text.push_str(" COLLATE \"C\"");
    }
    if let Some(expression) = generated {
        text.push_str(&format!(" GENERATED ALWAYS AS ({expression}) STORED"));
    } else if column.identity.is_some() {
        text.push_str(" GENERATED BY DEFAULT AS IDENTITY");
        if let Some(sequence) = sequence {
            text.push_str(&format!(
                " (SEQUENCE NAME {} {})",
                name::quoted(&sequence.name),
                sequence_options(sequence)
            ));
        }
    }
    if column.not_null {
        text.push_str(" NOT NULL");
    }
    text
}

fn sequence_options(sequence: &Sequence) -> String {
    format!(
        "START WITH {} INCREMENT BY {} MINVALUE {} MAXVALUE {}{}",
        sequence.start,
        sequence.increment,
        sequence.min,
        sequence.max,
        if sequence.cycle { " CYCLE" } else { "" }
    )
}

fn create_enum(ty: &EnumType) -> String {
    let labels: Vec<String> =
        ty.labels.iter().map(|l| format!("'{}'", l.text.replace('\'', "''"))).collect();
    format!("CREATE TYPE {} AS ENUM ({})", name::quoted(&ty.name), labels.join(", "))
}

/// Composite types, those that others have fields of first.
fn composites(catalog: &Catalog) -> Vec<(String, String)> {
    let mut waiting: Vec<_> = catalog.enums.composites().filter(|ty| !ty.temporary).collect();
    let mut done: Vec<u32> = Vec::new();
    let mut plan = Vec::new();
    while !waiting.is_empty() {
        let ready = |ty: &&Arc<CompositeType>| {
            let known = |f: u32| {
                let of = composite_of_array(f).unwrap_or(f);
                catalog.enums.composite(of).is_none() || done.contains(&of)
            };
            ty.fields.iter().all(|f| known(f.ty))
        };
        let (now, later): (Vec<_>, Vec<_>) = waiting.into_iter().partition(ready);
        if now.is_empty() {
            break;
        }
        for ty in now {
            done.push(ty.oid);
            plan.push((ty.name.clone(), composite::text(ty)));
        }
        waiting = later;
    }
    plan
}

fn create_sequence(sequence: &Sequence) -> String {
    format!(
        "CREATE SEQUENCE {} AS {} {}",
        name::quoted(&sequence.name),
        format_type(sequence.ty.oid, -1),
        sequence_options(sequence)
    )
}

fn owned_by(relation: &Relation, column: &Column, sequence: &Sequence) -> Step {
    Step {
        table: relation.name.clone(),
        object: format!("sequence {:?}", sequence.name),
        sql: format!(
            "ALTER SEQUENCE {} OWNED BY {}.{}",
            name::quoted(&sequence.name),
            table_name(relation),
            quoted(&column.name)
        ),
        validate: None,
        needed: false,
    }
}

fn names(relation: &Relation, columns: &[usize]) -> String {
    let names: Vec<String> = columns.iter().map(|c| quoted(&relation.columns[*c].name)).collect();
    names.join(", ")
}

fn unique(
    relation: &Relation,
    unique: &Unique,
    split: Option<&Split>,
    findings: &mut Findings<'_>,
) -> Step {
    let mut all = unique.columns.clone();
    if let Some(split) = split.filter(|s| !all.contains(&s.column)) {
        let name = &relation.columns[split.column].name;
        let object = format!("unique {:?}", unique.name);
        let message = format!("unique together with {name:?} only: the table is partitioned by it");
        findings.add(&object, &message);
        all.push(split.column);
    }
    let nullable = all.iter().any(|c| !relation.columns[*c].not_null);
    let columns = names(relation, &all);
    let (table, name) = (table_name(relation), quoted(&unique.name));
    let deferral = deferral_text(unique.deferral);
    let (kind, sql) = if unique.primary && !(split.is_some() && nullable) {
        (
            "primary key",
            format!("ALTER TABLE {table} ADD CONSTRAINT {name} PRIMARY KEY ({columns}){deferral}"),
        )
    } else if unique.constraint && !unique.primary {
        (
            "unique",
            format!("ALTER TABLE {table} ADD CONSTRAINT {name} UNIQUE ({columns}){deferral}"),
        )
    } else {
        ("unique index", format!("CREATE UNIQUE INDEX {name} ON {table} ({columns})"))
    };
    Step {
        table: relation.name.clone(),
        object: format!("{kind} {:?}", unique.name),
        sql,
        validate: None,
        needed: relation.key() == Some(&unique.columns),
    }
}

fn index(relation: &Relation, index: &Index) -> Step {
    Step {
        table: relation.name.clone(),
        object: format!("index {:?}", index.name),
        sql: match index.is_exclusion() {
            true => crate::backend::sqlite::ddl::postgres::index(relation, index),
            false => crate::backend::sqlite::adopt::index_definition(relation, index),
        },
        validate: None,
        needed: false,
    }
}

fn constraint(relation: &Relation, name: &str, object: String, definition: &str) -> Step {
    let (table, name) = (table_name(relation), quoted(name));
    Step {
        table: relation.name.clone(),
        object,
        sql: format!("ALTER TABLE {table} ADD CONSTRAINT {name} {definition} NOT VALID"),
        validate: Some(format!("ALTER TABLE {table} VALIDATE CONSTRAINT {name}")),
        needed: false,
    }
}

fn foreign_key(catalog: &Catalog, relation: &Relation, key: &ForeignKey) -> Step {
    let parent = catalog.relation(&key.table);
    let referenced = match (key.referenced.is_empty(), parent) {
        (false, _) => key.referenced.iter().map(|c| quoted(c)).collect::<Vec<_>>().join(", "),
        (true, Some(parent)) => names(parent, parent.primary_key.as_deref().unwrap_or_default()),
        (true, None) => String::new(),
    };
    let mut definition = format!(
        "FOREIGN KEY ({}) REFERENCES {}",
        names(relation, &key.columns),
        name::quoted(&key.table)
    );
    if !referenced.is_empty() {
        definition.push_str(&format!(" ({referenced})"));
    }
    for (event, action) in [("DELETE", key.on_delete), ("UPDATE", key.on_update)] {
        let action = match action {
            Action::NoAction => continue,
            Action::Restrict => "RESTRICT",
            Action::Cascade => "CASCADE",
            Action::SetNull => "SET NULL",
            Action::SetDefault => "SET DEFAULT",
        };
        definition.push_str(&format!(" ON {event} {action}"));
    }
    if key.deferrable {
        definition.push_str(" DEFERRABLE");
    }
    if key.deferred {
        definition.push_str(" INITIALLY DEFERRED");
    }
    constraint(relation, &key.name, format!("foreign key {:?}", key.name), &definition)
}

fn view(catalog: &Catalog, relation: &Relation, options: &Options, plan: &mut Plan) {
    let stored = relation.materialized.is_some();
    let Some(query) = relation.view_sql.as_ref().or(relation.materialized.as_ref()) else {
        return stored::view(catalog, relation, options, plan);
    };
    let columns: Vec<usize> = (0..relation.columns.len()).collect();
    plan.views.push(Step {
        table: relation.name.clone(),
        object: "view".to_owned(),
        sql: format!(
            "CREATE {} {} ({}) AS {}",
            if stored { "MATERIALIZED VIEW" } else { "VIEW" },
            table_name(relation),
            names(relation, &columns),
            query.trim().trim_end_matches(';')
        ),
        validate: None,
        needed: false,
    });
    if !stored {
        return;
    }
    let refresh = format!("REFRESH MATERIALIZED VIEW {}", table_name(relation));
    let indexes = crate::backend::sqlite::ddl::postgres::indexes(relation);
    let indexes = indexes.into_iter().map(|sql| sql.replacen("INDEX ", "INDEX IF NOT EXISTS ", 1));
    for sql in std::iter::once(refresh).chain(indexes) {
        let (table, object) = (relation.name.clone(), "view".to_owned());
        plan.routines.push(Step { table, object, sql, validate: None, needed: false });
    }
}

/// Functions, triggers, comments.
fn routines(catalog: &Catalog, plan: &mut Plan) {
    let step = |table: &str, object: String, sql: String| Step {
        table: table.to_owned(),
        object,
        sql,
        validate: None,
        needed: false,
    };
    for function in catalog.functions.values() {
        let object = format!("function {:?}", function.name);
        // One may call another that comes later.
        let sql = format!("SET LOCAL check_function_bodies = off; {}", function.definition);
        plan.routines.push(step(&function.name, object, sql));
    }
    for relation in catalog.relations.values() {
        for trigger in &relation.triggers {
            let sql = crate::backend::sqlite::ddl::routine::definition(relation, trigger, true);
            let object = format!("trigger {:?}", trigger.name);
            plan.routines.push(step(&relation.name, object, sql));
            if !trigger.enabled {
                let off = format!(
                    "ALTER TABLE {} DISABLE TRIGGER {}",
                    table_name(relation),
                    quoted(&trigger.name)
                );
                plan.routines.push(step(&relation.name, "trigger".to_owned(), off));
            }
        }
    }
    for (table, sql) in crate::backend::sqlite::ddl::comment::all(catalog) {
        plan.routines.push(step(&table, "comment".to_owned(), sql));
    }
}

struct Findings<'a> {
    table: &'a str,
    list: &'a mut Vec<Finding>,
}

impl Findings<'_> {
    fn add(&mut self, object: &str, message: &str) {
        self.push(object, message.to_owned(), false, Missing::Nothing);
    }

    fn lacks(&mut self, object: &str, message: &str) {
        self.push(object, message.to_owned(), false, Missing::Object);
    }

    fn weaker(&mut self, object: &str, message: &str) {
        self.push(object, message.to_owned(), false, Missing::Weaker);
    }

    fn blocking(&mut self, object: &str, message: String) {
        self.push(object, message, true, Missing::Nothing);
    }

    fn push(&mut self, object: &str, message: String, blocking: bool, missing: Missing) {
        let (table, object) = (self.table.to_owned(), object.to_owned());
        self.list.push(Finding { table, object, message, blocking, missing });
    }
}

#[cfg(test)]
mod tests;
