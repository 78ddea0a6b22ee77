//! CF07xx about tables that the application's own migrations have made on PostgreSQL.
//!
//! What differs is `backfill::differs`' to say; here it gets its id and what becomes of it.

use super::{Rule, column_override};
use crate::assess::evidence::{ColumnEvidence, Seen};
use crate::assess::facts::Facts;
use crate::assess::needs::Server;
use crate::assess::report::{Finding, Severity};
use crate::backend::postgres::columns::There;
use crate::backend::sqlite::system::format_type;
use crate::backfill::differs::{Difference, Kind};
use crate::count::counted;
use crate::schema::{Column, Relation, RelationKind};
use crate::value::{Type, oid};

pub(super) const OTHER_TYPE: Rule = Rule {
    id: "CF0701",
    title: "a column of another type on PostgreSQL",
    severity: Severity::Decision,
    does: "Serves its own type until promote, and writes each value over as PostgreSQL's; with PostgreSQL's type as override both are the same.",
};
pub(super) const ROWS: Rule = Rule {
    id: "CF0702",
    title: "a table that has rows on PostgreSQL",
    severity: Severity::Blocking,
    does: "Refuses the copy: rows it did not write are never touched.",
};
pub(super) const MISSING: Rule = Rule {
    id: "CF0703",
    title: "a column that PostgreSQL's table lacks",
    severity: Severity::Blocking,
    does: "Leaves the table out, in quarantine, and copies the others; promote waits.",
};
pub(super) const REQUIRED: Rule = Rule {
    id: "CF0704",
    title: "a column of PostgreSQL's that nothing fills",
    severity: Severity::Blocking,
    does: "Leaves the table out, in quarantine, and copies the others; promote waits.",
};
pub(super) const ACCEPTED: Rule = Rule {
    id: "CF0707",
    title: "a table that is on PostgreSQL already",
    severity: Severity::Info,
    does: "Uses it as it is.",
};
pub(super) const OTHER_SIZE: Rule = Rule {
    id: "CF0708",
    title: "a column of another size on PostgreSQL",
    severity: Severity::Info,
    does: "Writes the values over: every one that was looked at fits.",
};
pub(super) const BEYOND: Rule = Rule {
    id: "CF0709",
    title: "values that PostgreSQL's column does not hold",
    severity: Severity::Decision,
    does: "Writes NULL in their place (a row whose column takes none is left out), and keeps them in crossfade.quarantine with their bytes.",
};
pub(super) const UNKNOWN_TYPE: Rule = Rule {
    id: "CF0710",
    title: "a column of a type that is not known",
    severity: Severity::Decision,
    does: "Copies the rows with NULL there; the values are kept in crossfade.quarantine with their bytes.",
};
pub(super) const NOT_NULL: Rule = Rule {
    id: "CF0711",
    title: "NOT NULL on PostgreSQL only",
    severity: Severity::Decision,
    does: "Leaves rows with NULL out, and keeps them in crossfade.quarantine.",
};
pub(super) const NO_KEY: Rule = Rule {
    id: "CF0712",
    title: "a key that PostgreSQL's table lacks",
    severity: Severity::Decision,
    does: "Makes it when the rows are in: rows are told apart by it.",
};
pub(super) const NO_UNIQUE: Rule = Rule {
    id: "CF0713",
    title: "a unique constraint that PostgreSQL's table lacks",
    severity: Severity::Decision,
    does: "Leaves it to the application's migrations, which holds gate divergences until it is there or accepted: PostgreSQL would take rows that SQLite refuses.",
};
pub(super) const NO_INDEX: Rule = Rule {
    id: "CF0714",
    title: "an index that PostgreSQL's table lacks",
    severity: Severity::Info,
    does: "Leaves it to the application's migrations.",
};
pub(super) const NO_FOREIGN_KEY: Rule = Rule {
    id: "CF0715",
    title: "a foreign key that PostgreSQL's table lacks",
    severity: Severity::Decision,
    does: "Leaves it to the application's migrations; once PostgreSQL is primary nothing keeps it.",
};
pub(super) const NO_CHECK: Rule = Rule {
    id: "CF0716",
    title: "a check that PostgreSQL's table lacks",
    severity: Severity::Decision,
    does: "Leaves it to the application's migrations; once PostgreSQL is primary nothing keeps it.",
};
pub(super) const MORE_UNIQUE: Rule = Rule {
    id: "CF0717",
    title: "a unique index on PostgreSQL only",
    severity: Severity::Decision,
    does: "Leaves out rows that it refuses, and keeps them in crossfade.quarantine.",
};
pub(super) const MORE_FOREIGN_KEY: Rule = Rule {
    id: "CF0718",
    title: "a foreign key on PostgreSQL only",
    severity: Severity::Decision,
    does: "Copies rows without a parent as well, and says how many: it acts on new rows from promote on.",
};
pub(super) const MORE_CHECK: Rule = Rule {
    id: "CF0719",
    title: "a check on PostgreSQL only",
    severity: Severity::Decision,
    does: "Leaves out rows that it refuses, and keeps them in crossfade.quarantine.",
};
pub(super) const NO_DEFAULT: Rule = Rule {
    id: "CF0720",
    title: "a default that PostgreSQL's column lacks",
    severity: Severity::Decision,
    does: "Writes what SQLite computes; once PostgreSQL is primary the column stays NULL, or the row is refused.",
};
pub(super) const NO_NUMBERS: Rule = Rule {
    id: "CF0721",
    title: "a key that nothing numbers on PostgreSQL",
    severity: Severity::Decision,
    does: "Writes SQLite's numbers; once PostgreSQL is primary an INSERT without one fails. ALTER TABLE … ADD GENERATED BY DEFAULT AS IDENTITY before.",
};
pub(super) const TRIGGER: Rule = Rule {
    id: "CF0722",
    title: "a trigger on PostgreSQL only",
    severity: Severity::Info,
    does: "Lets it rest for rows that are carried; it acts from promote on.",
};
pub(super) const NO_TABLE: Rule = Rule {
    id: "CF0723",
    title: "a table that PostgreSQL's schema lacks",
    severity: Severity::Info,
    does: "Makes it, as where PostgreSQL is empty.",
};
pub(super) const ORDER: Rule = Rule {
    id: "CF0724",
    title: "columns in another order on PostgreSQL",
    severity: Severity::Info,
    does: "Names every column; SELECT * and INSERT without names follow PostgreSQL's order from promote on.",
};
pub(super) const SORTED: Rule = Rule {
    id: "CF0725",
    title: "text that PostgreSQL sorts otherwise",
    severity: Severity::Info,
    does: "Keeps the column's collation: ORDER BY and < follow it from promote on.",
};
pub(super) const RIGHTS: Rule = Rule {
    id: "CF0726",
    title: "a table that may not be written",
    severity: Severity::Blocking,
    does: "Leaves the table out, in quarantine, and copies the others; promote waits.",
};
pub(super) const NOT_A_TABLE: Rule = Rule {
    id: "CF0727",
    title: "something else of a table's name",
    severity: Severity::Blocking,
    does: "Leaves the table out, in quarantine, and copies the others; promote waits.",
};
pub(super) const GENERATED: Rule = Rule {
    id: "CF0728",
    title: "a generated column on one side only",
    severity: Severity::Blocking,
    does: "Leaves the table out, in quarantine, and copies the others; promote waits.",
};
pub(super) const MORE_COLUMN: Rule = Rule {
    id: "CF0729",
    title: "a column on PostgreSQL only",
    severity: Severity::Info,
    does: "Leaves it to its default.",
};

pub(super) const ROW_SECURITY: Rule = Rule {
    id: "CF0730",
    title: "a table whose rows are hidden by row security",
    severity: Severity::Blocking,
    does: "Leaves the table out, in quarantine, and copies the others; promote waits.",
};
pub(super) const CHILDREN: Rule = Rule {
    id: "CF0731",
    title: "a table that others inherit from",
    severity: Severity::Blocking,
    does: "Leaves the table out, in quarantine, and copies the others; promote waits.",
};
pub(super) const REFERRED: Rule = Rule {
    id: "CF0732",
    title: "a table that one of PostgreSQL's own refers to",
    severity: Severity::Decision,
    does: "Never empties nor truncates it while rows of the other refer to rows that SQLite has not any more: a later copy of it is refused then. What is deleted on SQLite is deleted there, too.",
};

pub(super) const UNRECEIVED: Rule = Rule {
    id: "CF0733",
    title: "a column of a type that nothing can be sent to",
    severity: Severity::Blocking,
    does: "Leaves the table out, in quarantine, and copies the others; promote waits. Another type there (text) takes the rows.",
};

/// The rules.
pub(super) fn whole(facts: &Facts, server: &Server, found: &mut Vec<Finding>) {
    for (relation, differences) in &facts.differences {
        let name = &relation.sqlite_name;
        let Some(there) = server.table(&relation.name) else { continue };
        if there.kind == "table" {
            found.push(ACCEPTED.found("made by the application's own migrations").table(name));
        }
        if there.rows && !there.ours {
            found.push(ROWS.found("empty it, or take another database").table(name));
        }
        for (difference, seen) in differences {
            found.push(finding(relation, difference, seen.as_ref()));
        }
        let evidence = facts.evidence.get(name.as_str());
        for (at, column) in relation.columns.iter().enumerate() {
            let Some(theirs) = there.column(&column.name).filter(|t| !t.generated) else {
                continue;
            };
            let seen = evidence.and_then(|e| e.columns.get(at));
            types(relation, column, theirs, seen, found);
        }
    }
    // What PostgreSQL lacks is made; a schema that has none of the tables is simply empty.
    let theirs = |relation: &Relation| server.table(&relation.name).is_some();
    let tables = || facts.catalog.relations.values().filter(|r| r.kind == RelationKind::Table);
    if tables().any(|r| theirs(r)) {
        for relation in tables().filter(|r| !theirs(r)) {
            let message = "the migrations have not made it";
            found.push(NO_TABLE.found(message).table(&relation.sqlite_name));
        }
    }
}

fn rule(kind: Kind) -> &'static Rule {
    match kind {
        Kind::NoTable => &NOT_A_TABLE,
        Kind::Rights => &RIGHTS,
        Kind::RowSecurity => &ROW_SECURITY,
        Kind::Children => &CHILDREN,
        Kind::MissingColumn => &MISSING,
        Kind::Unfilled => &REQUIRED,
        Kind::MoreColumn => &MORE_COLUMN,
        Kind::Generated => &GENERATED,
        Kind::UnknownType => &UNKNOWN_TYPE,
        Kind::Unreceived => &UNRECEIVED,
        Kind::NotNull => &NOT_NULL,
        Kind::NoKey => &NO_KEY,
        Kind::NoUnique => &NO_UNIQUE,
        Kind::NoIndex => &NO_INDEX,
        Kind::NoForeignKey => &NO_FOREIGN_KEY,
        Kind::NoCheck => &NO_CHECK,
        Kind::NoDefault => &NO_DEFAULT,
        Kind::NoNumbers => &NO_NUMBERS,
        Kind::MoreUnique => &MORE_UNIQUE,
        Kind::MoreForeignKey => &MORE_FOREIGN_KEY,
        Kind::MoreCheck => &MORE_CHECK,
        Kind::Trigger => &TRIGGER,
        Kind::Referred => &REFERRED,
        Kind::Order => &ORDER,
        Kind::Sorted => &SORTED,
    }
}

fn finding(relation: &Relation, difference: &Difference, seen: Option<&Seen>) -> Finding {
    let mut message = difference.message.clone();
    if let Some(seen) = seen {
        message.push_str(&format!("; broken by {}", counted(seen.rows, "row")));
    }
    let mut made = rule(difference.kind).found(message).table(&relation.sqlite_name);
    made.column = difference.column.as_deref().map(|name| {
        let ours = relation.column(name).map(|c| relation.columns[c].sqlite_name.as_str());
        ours.unwrap_or(name).to_owned()
    });
    made.object.clone_from(&difference.object);
    match seen {
        Some(seen) => made.seen(seen),
        None => made,
    }
}

/// How a column's type differs, and what does not fit.
fn types(
    relation: &Relation,
    column: &Column,
    theirs: &There,
    seen: Option<&ColumnEvidence>,
    found: &mut Vec<Finding>,
) {
    let (table, name) = (&relation.sqlite_name, &column.sqlite_name);
    if let Some(seen) = seen.filter(|seen| seen.nulls.rows > 0) {
        let at = |f: &&mut Finding| {
            f.id == NOT_NULL.id
                && f.table.as_ref() == Some(table)
                && f.column.as_ref() == Some(name)
        };
        if let Some(told) = found.iter_mut().find(at) {
            told.message.push_str(&format!("; NULL in {}", counted(seen.nulls.rows, "row")));
            told.rows = Some(seen.nulls.rows);
            told.examples.clone_from(&seen.nulls.examples);
        }
    }
    let ty = column.declared();
    let ours = format_type(ty.oid, ty.typmod);
    if ours == theirs.type_name {
        return;
    }
    let over = column_override(&relation.name, &column.name, &over(&theirs.type_name, theirs));
    let message = format!("{} there, {ours} here", theirs.type_name);
    let beyond = seen.filter(|seen| seen.beyond_there.rows > 0);
    let alike = theirs.actual.apart.is_none() && kin(ty) == kin(theirs.actual.ty);
    let rule = if alike && beyond.is_none() { &OTHER_SIZE } else { &OTHER_TYPE };
    found.push(rule.found(message).table(table).column(name).over(over.clone()));
    if let Some(seen) = beyond {
        let rows = seen.beyond_there.rows;
        let message = format!(
            "{} as {}: {}",
            counted(rows, "value"),
            theirs.type_name,
            seen.beyond_there_why
        );
        let told = BEYOND.found(message).table(table).column(name).seen(&seen.beyond_there);
        found.push(told.over(over));
    }
}

/// PostgreSQL's type as an override can name it: an enum type, or a domain, is text or its base.
fn over(type_name: &str, theirs: &There) -> String {
    match &theirs.actual.apart {
        Some(apart) if apart.extension.is_none() && apart.array => "text[]".to_owned(),
        Some(apart) if apart.extension.is_none() => "text".to_owned(),
        Some(_) => type_name.to_owned(),
        None => format_type(theirs.actual.ty.oid, theirs.actual.ty.typmod),
    }
}

/// Types that clients are given alike.
fn kin(ty: Type) -> u32 {
    match ty.oid {
        oid::INT2 | oid::INT4 | oid::INT8 => oid::INT8,
        oid::TEXT | oid::VARCHAR => oid::TEXT,
        other => other,
    }
}
