//! CF04xx: names that PostgreSQL has otherwise, or not at all.

use std::collections::BTreeMap;

use super::Rule;
use crate::assess::facts::{Facts, Table};
use crate::assess::report::{Finding, Severity};
use crate::backend::sqlite::is_like_ours;
use crate::backend::sqlite::system::quote_ident;
use crate::sql::stored;

pub(super) const RULES: &[Rule] =
    &[SHORTENED, CASE, QUOTED, TWICE, RESERVED, SYSTEM, ROWID, LIKE_OURS, TAKEN];

const SHORTENED: Rule = Rule {
    id: "CF0401",
    title: "a name longer than 63 bytes",
    severity: Severity::Decision,
    does: "Cuts it and adds a hash of the whole, so that two names stay two.",
};
const CASE: Rule = Rule {
    id: "CF0402",
    title: "names that differ only in letter case",
    severity: Severity::Info,
    does: "Keeps both as they are; on PostgreSQL they need quotes.",
};
const QUOTED: Rule = Rule {
    id: "CF0403",
    title: "a name that needs quotes",
    severity: Severity::Info,
    does: "Keeps it as it is; SQL must quote it.",
};
const TWICE: Rule = Rule {
    id: "CF0404",
    title: "a constraint's name in several tables",
    severity: Severity::Info,
    does: "Numbers the index names that PostgreSQL has once in a schema.",
};
const RESERVED: Rule = Rule {
    id: "CF0405",
    title: "a reserved word as a name",
    severity: Severity::Info,
    does: "Keeps it; SQL for PostgreSQL must quote it.",
};
const SYSTEM: Rule = Rule {
    id: "CF0406",
    title: "a name that PostgreSQL cannot have",
    severity: Severity::Decision,
    does: "Serves it under the name given here.",
};
const ROWID: Rule = Rule {
    id: "CF0407",
    title: "a column called rowid or oid",
    severity: Severity::Info,
    does: "Keeps it an ordinary column.",
};
const LIKE_OURS: Rule = Rule {
    id: "CF0408",
    title: "a table whose name begins as Crossfade's own do",
    severity: Severity::Info,
    does: "Serves, mirrors and copies it like any other; only CREATE TABLE refuses such names.",
};
const TAKEN: Rule = Rule {
    id: "CF0409",
    title: "a table with the name of one of Crossfade's own",
    severity: Severity::Blocking,
    does: "Does not start: rename the table first.",
};

/// PostgreSQL's limit.
const NAME_BYTES: usize = 63;

/// The rules about the names of a table and its columns.
pub(super) fn table(table: &Table<'_>, found: &mut Vec<Finding>) {
    let relation = table.relation;
    if is_like_ours(&table.entry.name) {
        found.push(LIKE_OURS.found("its name begins with _crossfade_").of(table));
    }
    name(table, None, &table.entry.name, &relation.name, found);
    for column in &relation.columns {
        let own = column.sqlite_name.as_str();
        name(table, Some(own), own, &column.name, found);
        if matches!(own.to_ascii_lowercase().as_str(), "rowid" | "oid" | "_rowid_") {
            let message = "it hides SQLite's own row number";
            found.push(ROWID.found(message).of(table).column(own));
        }
    }
}

fn name(table: &Table<'_>, column: Option<&str>, own: &str, given: &str, found: &mut Vec<Finding>) {
    let mut add = |rule: &Rule, message: String| {
        let mut finding = rule.found(message).of(table);
        finding.column = column.map(str::to_owned);
        found.push(finding);
    };
    if own.len() > NAME_BYTES {
        add(&SHORTENED, format!("{} bytes; PostgreSQL's name for it is {given:?}", own.len()));
    } else if !given.eq_ignore_ascii_case(own) {
        add(&SYSTEM, format!("PostgreSQL's name for it is {given:?}"));
    } else if quote_ident(given) != *given {
        let folded = given.to_ascii_lowercase();
        let plain = folded.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        if plain && folded == given {
            add(&RESERVED, format!("write it {}", quote_ident(given)));
        } else {
            add(&QUOTED, format!("write it {}", quote_ident(given)));
        }
    }
}

/// The rules about names of different objects.
pub(super) fn whole(facts: &Facts, found: &mut Vec<Finding>) {
    if let Some(name) = &facts.look.taken {
        found.push(TAKEN.found("it is not one of Crossfade's tables").table(name));
    }
    let mut folded: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut constraints: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for table in facts.tables() {
        folded.entry(table.entry.name.to_lowercase()).or_default().push(&table.entry.name);
    }
    for entry in facts.of_kind("table") {
        let Some(stored::Object::Table(stored)) = &entry.object else { continue };
        let of_columns = stored.columns.iter().flat_map(|c| {
            let key = c.primary_key.iter().filter_map(|k| k.name.as_deref());
            let unique = c.unique.iter().filter_map(|u| u.name.as_deref());
            key.chain(unique)
        });
        let of_table = stored.constraints.iter().filter_map(|c| c.name.as_deref());
        for name in of_columns.chain(of_table) {
            constraints.entry(name).or_default().push(&entry.name);
        }
    }
    for (_, names) in folded.iter().filter(|(_, names)| names.len() > 1) {
        for name in names {
            let message = format!("as {}", names.join(", "));
            found.push(CASE.found(message).table(name));
        }
    }
    for (name, tables) in constraints.iter().filter(|(_, tables)| tables.len() > 1) {
        let message = format!("{name:?} in {}", tables.join(", "));
        found.push(TWICE.found(message).table(tables[0]).object(*name));
    }
}
