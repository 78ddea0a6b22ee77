//! Taking over the tables of an existing file: PostgreSQL types, codecs, names and
//! constraints from declarations *and* data.
//!
//! Owns [`Finding`] (what could not be carried over as declared) and the rules. A column
//! whose data breaks its declared type gets a type that serves every value, and is listed.
//! It must never change a row, a table or a declaration. Start at [`table`].

mod defaults;
mod foreign;
pub mod habits;
mod keys;
mod names;
mod planning;
mod scan;
#[cfg(test)]
mod tests;
mod types;
mod views;
mod walk;

pub(crate) use foreign::constraint_name;
pub use habits::Habit;
pub(crate) use keys::{collated_key, declared_keys, definition as index_definition};
pub(crate) use names::{Namer, object_name, pg_name};
pub use planning::{Bounds, Copies, Planning};
pub(crate) use scan::fits;
pub use types::{Affinity, affinity};
pub(crate) use types::{declared_affinity, settle};
pub(crate) use views::{View, view};
pub use walk::Looked;
pub(crate) use walk::{Walk, rowid_name};

use std::sync::Arc;

use super::Connection;
use super::catalog::Side;
use super::system::format_type;
use crate::count::counted;
use crate::error::Result;
use crate::schema::{
    Catalog, Codec, Column, Generated, Identity, Relation, RelationKind, Sequence,
};
use crate::sql::stored;
use crate::value::text::integer_range;
use crate::value::{Type, oid};

/// What a table of an existing file has that PostgreSQL's side cannot take as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Table or other object, SQLite's name.
    pub table: String,
    /// Column, when it is about one.
    pub column: Option<String>,
    /// What kind of finding.
    pub kind: FindingKind,
    /// One sentence without values of rows.
    pub message: String,
    /// SQLite condition that selects the rows it is about.
    pub rows: Option<String>,
}

/// Kinds of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FindingKind {
    /// The data does not fit the declared type: another type was chosen.
    Type,
    /// The declaration's affinity changes some values that are written.
    Affinity,
    /// Not every row was looked at.
    Sampled,
    /// The name was changed for PostgreSQL.
    Name,
    /// The default is SQLite's own; PostgreSQL needs one written by hand.
    Default,
    /// The check is SQLite's own; PostgreSQL needs one written by hand.
    Check,
    /// Rows break a NOT NULL, which is left off.
    NotNull,
    /// Rows have NULL in the primary key, which is served as UNIQUE.
    NullKey,
    /// Values that differ for SQLite are equal as they are served: no unique constraint.
    NotUnique,
    /// Rows break a check.
    Broken,
    /// Rows have no parent.
    Orphans,
    /// A constraint was not looked at in the time there was.
    Unproven,
    /// An override of the configuration is followed later.
    Override,
    /// An override of the configuration cannot be followed.
    NotFollowed,
    /// The constraint's ON CONFLICT clause has no counterpart.
    Conflict,
    /// The index is SQLite's own; PostgreSQL needs one written by hand.
    Index,
    /// The view is SQLite's own; PostgreSQL needs one written by hand.
    View,
    /// The generated column is SQLite's own; PostgreSQL needs one written by hand.
    Generated,
    /// Triggers are run by SQLite only.
    Trigger,
    /// The foreign key's parent does not exist, or its columns do not.
    ForeignKey,
    /// The foreign key joins columns that PostgreSQL does not compare.
    KeyTypes,
    /// The foreign key leads to a key that is compared by a collation of SQLite's.
    Caseless,
    /// Rows have a parent by a collation of SQLite's alone.
    Spelled,
    /// The object is not served at all.
    Skipped,
}

/// Collects findings about one object.
pub(crate) struct Findings<'a> {
    table: &'a str,
    list: &'a mut Vec<Finding>,
}

impl<'a> Findings<'a> {
    pub(crate) fn new(table: &'a str, list: &'a mut Vec<Finding>) -> Self {
        Self { table, list }
    }

    pub(crate) fn add(
        &mut self,
        column: Option<&str>,
        kind: FindingKind,
        message: impl Into<String>,
    ) {
        self.list.push(Finding {
            table: self.table.to_owned(),
            column: column.map(str::to_owned),
            kind,
            message: message.into(),
            rows: None,
        });
    }

    /// A finding about the rows that a condition selects.
    pub(crate) fn about_rows(
        &mut self,
        column: Option<&str>,
        kind: FindingKind,
        message: impl Into<String>,
        rows: String,
    ) {
        self.add(column, kind, message);
        if let Some(last) = self.list.last_mut() {
            last.rows = Some(rows);
        }
    }
}

/// A table of the file as `sqlite_schema` describes it.
pub(crate) struct Source<'a> {
    /// The CREATE TABLE text.
    pub(crate) sql: &'a str,
    /// What it says.
    pub(crate) table: &'a stored::Table,
    /// CREATE INDEX texts.
    pub(crate) indexes: &'a [String],
    /// Whether there are triggers.
    pub(crate) triggers: bool,
    /// The relation as it was recorded before, when somebody else has changed it since.
    pub(crate) former: Option<&'a Relation>,
    /// The library that made it.
    pub(crate) habit: Option<Habit>,
    pub(crate) planning: &'a Planning,
    /// How much of it is looked at.
    pub(crate) bounds: Bounds,
}

impl Source<'_> {
    /// A count that may take a pass over the table; None when the time did not suffice.
    fn count(
        &self,
        connection: &Connection,
        sql: &str,
        params: &[crate::value::Cell],
    ) -> Result<Option<i64>> {
        if self.bounds.until.is_none() {
            return Ok(Some(connection.query_integer(sql, params)?.unwrap_or_default()));
        }
        connection.set_deadline(self.bounds.until);
        let counted = connection.query_integer(sql, params);
        connection.set_deadline(None);
        match counted {
            Ok(count) => Ok(Some(count.unwrap_or_default())),
            Err(error) if error.sqlstate() == crate::error::state::QUERY_CANCELED => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A constraint that the time did not suffice for.
fn unproven(findings: &mut Findings<'_>, what: &str) {
    let message = format!("{what} was not checked against every row in the time there was");
    findings.add(None, FindingKind::Unproven, message);
}

/// Takes over one table without its foreign keys, which need the other tables: see
/// [`foreign_keys`]. New sequences go into `catalog`.
pub(crate) fn table(
    connection: &Connection,
    side: &Side,
    source: &Source<'_>,
    catalog: &mut Catalog,
    found: &mut Vec<Finding>,
) -> Result<Relation> {
    let stored = source.table;
    let mut findings = Findings::new(&stored.name, found);
    let mut namer = Namer::of(catalog, source.former);
    let name = match source.former {
        Some(former) => former.name.clone(),
        None => {
            let plain = pg_name(&stored.name, source.sql);
            match source.planning.name([&plain, &stored.name]) {
                Some(wanted) => namer.wanted(&stored.name, wanted, &mut findings),
                None => namer.relation(&stored.name, source.sql, &mut findings),
            }
        }
    };
    let oid = source.former.map_or_else(|| side.new_oid(), |f| f.oid);
    let mut relation = Relation {
        sqlite_name: stored.name.clone(),
        without_rowid: stored.without_rowid,
        has_triggers: source.triggers,
        ..Relation::new(oid, name, RelationKind::Table)
    };
    if source.triggers {
        findings.add(None, FindingKind::Trigger, "its triggers run in SQLite only");
    }
    relation.columns = columns(connection, source, &mut findings)?;
    settle(&mut relation, stored);
    keys::keys(connection, side, source, &mut relation, &mut namer, &mut findings)?;
    generated(&mut relation, &mut findings);
    defaults::defaults(connection, stored, &mut relation, &mut findings);
    identity(side, &mut relation, catalog, &mut namer);
    keys::checks(connection, side, source, &mut relation, &mut namer, &mut findings);
    Ok(relation)
}

/// Takes over the foreign keys of a table, once all tables are known.
pub(crate) fn foreign_keys(
    connection: &Connection,
    side: &Side,
    source: &Source<'_>,
    relation: &mut Relation,
    catalog: &Catalog,
    found: &mut Vec<Finding>,
) -> Result<()> {
    let mut findings = Findings::new(&source.table.name, found);
    foreign::foreign_keys(connection, side, source, relation, catalog, &mut findings)
}

fn columns(
    connection: &Connection,
    source: &Source<'_>,
    findings: &mut Findings<'_>,
) -> Result<Vec<Column>> {
    let stored = source.table;
    let mut wanted = Vec::new();
    let mut given = Vec::new();
    let in_keys = keys::columns(source);
    for column in &stored.columns {
        let known = source.former.and_then(|f| former_column(f, &column.name));
        let over = overridden(source, column, known, findings);
        given.push(over.is_some());
        wanted.push(match (over, known) {
            (Some(over), _) => over,
            (None, Some(known)) => types::Choice::only(known.ty, known.codec.plain()),
            (None, None) if in_keys.contains(&column.name.to_ascii_lowercase()) => {
                types::choice(column, source.habit).of_a_key()
            }
            (None, None) => types::choice(column, source.habit),
        });
    }
    let names: Vec<&str> = stored.columns.iter().map(|c| c.name.as_str()).collect();
    let subject = scan::Subject {
        connection,
        table: &stored.name,
        columns: &names,
        rowid: rowid_name(stored),
        bounds: source.bounds,
    };
    let scanned = scan::table(&subject, &wanted)?;
    if scanned.looked.partial {
        let message = format!("types were chosen from {} of its rows", scanned.looked.rows);
        findings.add(None, FindingKind::Sampled, message);
    }
    let mut next = source
        .former
        .map_or(1, |f| f.columns.iter().map(|c| c.attnum).max().unwrap_or_default() + 1);
    let mut taken = Vec::new();
    let mut columns = Vec::new();
    for (position, stored_column) in stored.columns.iter().enumerate() {
        let result = &scanned.columns[position];
        let known = source.former.and_then(|f| former_column(f, &stored_column.name));
        let attnum = match (known, source.former) {
            (Some(known), _) => known.attnum,
            (None, Some(_)) => {
                next += 1;
                next - 1
            }
            (None, None) => i16::try_from(position + 1).unwrap_or(i16::MAX),
        };
        let (ty, codec) = result.chosen;
        types::report(stored_column, &wanted[position], result, findings);
        let name = match known {
            Some(known) => known.name.clone(),
            None => {
                let tables = [&pg_name(&stored.name, source.sql), stored.name.as_str()];
                let plain = pg_name(&stored_column.name, source.sql);
                let wanted = source.planning.column_name(tables, [&plain, &stored_column.name]);
                names::column(stored_column, wanted, source.sql, attnum, &taken, findings)
            }
        };
        taken.push(name.clone());
        let emptied = codec == Codec::CoercedEmpty;
        let not_null = stored_column.not_null.is_some() && result.nulls == 0 && !emptied;
        if stored_column.not_null.is_some() && result.nulls > 0 {
            let message = format!("NOT NULL is left off: NULL in {}", counted(result.nulls, "row"));
            let rows = format!("{} IS NULL", super::catalog::quoted(&stored_column.name));
            let column = Some(stored_column.name.as_str());
            findings.about_rows(column, FindingKind::NotNull, message, rows);
        }
        if stored_column.not_null.is_some() && emptied {
            let message = "NOT NULL is left off: empty text is NULL, as the configuration says";
            findings.add(Some(&stored_column.name), FindingKind::NotNull, message);
        }
        let collation = stored_column.collation.clone().filter(|c| c != "BINARY");
        let generated = stored_column.generated.as_ref().map(|g| Generated {
            in_plan: false,
            expression: g.expression.clone(),
            stored: g.stored,
            sqlite: true,
        });
        columns.push(Column {
            sqlite_name: stored_column.name.clone(),
            codec,
            not_null,
            collation,
            generated,
            identity: known.and_then(|k| k.identity),
            sequence: known.and_then(|k| k.sequence.clone()),
            // Of another type it may mean something else.
            default: known.filter(|_| !given[position]).and_then(|k| k.default.clone()),
            ..Column::new(attnum, name, ty)
        });
    }
    Ok(columns)
}

/// What the configuration says of a column, if it can be followed.
fn overridden(
    source: &Source<'_>,
    column: &stored::Column,
    known: Option<&Column>,
    findings: &mut Findings<'_>,
) -> Option<types::Choice> {
    let table = &source.table.name;
    let (pg_table, pg_column) = match (source.former, known) {
        (Some(former), Some(known)) => (former.name.clone(), known.name.clone()),
        _ => (pg_name(table, source.sql), pg_name(&column.name, source.sql)),
    };
    let (tables, columns) = ([pg_table.as_str(), table], [pg_column.as_str(), &column.name]);
    let found = source.planning.column(tables, columns);
    let coerced = source.planning.coerced(tables, columns);
    let codec = coerced.or(found.and_then(|f| f.codec));
    let other = known.is_some_and(|k| {
        found.is_some_and(|f| k.ty != f.ty) || codec.is_some_and(|codec| codec != k.codec.plain())
    });
    let numbers_rows =
        keys::rowid_alias(source.table).is_some_and(|n| n.eq_ignore_ascii_case(&column.name));
    if let Some(found) = found.filter(|f| numbers_rows && !is_integer(f.ty)) {
        let message = format!(
            "its override cannot be followed: SQLite numbers the rows by it, so it is smallint, \
             integer or bigint, not {}",
            format_type(found.ty.oid, found.ty.typmod)
        );
        findings.add(Some(&column.name), FindingKind::NotFollowed, message);
        return None;
    }
    if other && source.former.is_some_and(|f| source.planning.is_copied(&f.name)) {
        let message = "its override waits: PostgreSQL holds a copy by the type it had before";
        findings.add(Some(&column.name), FindingKind::Override, message);
        return None;
    }
    // What is recorded already needs no second look.
    if known.is_some() && !other {
        return None;
    }
    match (coerced, found) {
        (None, found) => found.map(types::Choice::given),
        (Some(codec), found) => {
            let declared = || types::choice(column, source.habit).declared().0;
            Some(types::Choice::only(found.map_or_else(declared, |f| f.ty), codec))
        }
    }
}

/// Marks the generated columns that PostgreSQL computes the same way.
fn generated(relation: &mut Relation, findings: &mut Findings<'_>) {
    let snapshot = relation.clone();
    for column in &mut relation.columns {
        let Some(generated) = &mut column.generated else { continue };
        match crate::backend::sqlite::ddl::plain::generated_from_sqlite(
            &generated.expression,
            &snapshot,
            column.ty,
        ) {
            Some(_) => generated.sqlite = false,
            None => {
                let message = "the generated column is SQLite's own; PostgreSQL needs one by hand";
                findings.add(Some(&column.sqlite_name), FindingKind::Generated, message);
            }
        }
    }
}

fn former_column<'a>(former: &'a Relation, name: &str) -> Option<&'a Column> {
    former.columns.iter().find(|c| c.sqlite_name.eq_ignore_ascii_case(name))
}

/// The rowid alias fills itself in SQLite: an identity column with a sequence for PostgreSQL.
fn identity(side: &Side, relation: &mut Relation, catalog: &mut Catalog, namer: &mut Namer) {
    let Some(position) = relation.rowid_alias else { return };
    let table = relation.name.clone();
    let column = &mut relation.columns[position];
    let ty = if is_integer(column.ty) { Type::new(column.ty.oid) } else { Type::new(oid::INT8) };
    let (_, max) = integer_range(ty.oid);
    if let Some(known) = column.sequence.as_ref().and_then(|name| catalog.sequences.get(name)) {
        // The column may be of another type than when the sequence was made.
        if known.ty != ty {
            let sequence = Sequence { ty, max, ..(**known).clone() };
            catalog.sequences.insert(sequence.name.clone(), Arc::new(sequence));
        }
    }
    if let (Some(name), None) = (&column.sequence, &column.default) {
        column.default = Some(nextval(name));
    }
    if column.sequence.is_some() || column.default.is_some() {
        return;
    }
    let name = namer.object(&table, Some(&column.name), "seq");
    let name = crate::name::beside(&table, &name);
    column.identity = Some(Identity::ByDefault);
    column.sequence = Some(name.clone());
    column.default = Some(nextval(&name));
    let sequence = Sequence {
        oid: side.new_oid(),
        name: name.clone(),
        ty,
        start: 1,
        increment: 1,
        min: 1,
        max,
        cycle: false,
        owned_by: Some((table, column.name.clone())),
    };
    catalog.sequences.insert(name, Arc::new(sequence));
}

fn is_integer(ty: Type) -> bool {
    matches!(ty.oid, oid::INT2 | oid::INT4 | oid::INT8)
}

/// The default of a serial or identity column.
pub(crate) fn nextval(sequence: &str) -> String {
    let name = super::system::spelled(sequence);
    format!("nextval('{}'::regclass)", name.replace('\'', "''"))
}

/// The type that a column's declaration alone says.
pub(crate) fn declared(column: &stored::Column, habit: Option<Habit>) -> (Type, Codec) {
    types::choice(column, habit).declared()
}

/// Whether SQLite reads a declared type's name as a kind of number by accident, or PostgreSQL
/// has no type of that meaning.
pub(crate) fn is_known_type(column: &stored::Column) -> bool {
    types::is_known(column)
}

/// Whether a column has a type that its declaration does not say: if so, whether its library
/// leaves no other meaning, and what the declaration says.
pub(crate) fn guessed(
    stored: &stored::Column,
    habit: Option<Habit>,
    column: &Column,
) -> Option<(bool, Type)> {
    let choice = types::choice(stored, habit);
    let chosen = (column.ty, column.codec.plain());
    let at = choice.candidates.iter().take(choice.guesses).position(|c| *c == chosen)?;
    Some((at < choice.certain, choice.declared().0))
}
