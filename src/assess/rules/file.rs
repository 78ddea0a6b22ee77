//! CF06xx: the file as a whole.

use super::Rule;
use crate::assess::facts::Facts;
use crate::assess::report::{Finding, Severity};
use crate::count::counted;

pub(super) const RULES: &[Rule] = &[ENCODING, HEADER, JOURNAL, SAMPLED, READ_ONLY, SERVED, LOST];

const ENCODING: Rule = Rule {
    id: "CF0601",
    title: "text in UTF-16",
    severity: Severity::Info,
    does: "Reads and copies the same characters as UTF-8.",
};
const HEADER: Rule = Rule {
    id: "CF0602",
    title: "values in the file's header",
    severity: Severity::Info,
    does: "Leaves them in the file, where PRAGMA shows them; PostgreSQL has no such place.",
};
const JOURNAL: Rule = Rule {
    id: "CF0603",
    title: "no write-ahead log",
    severity: Severity::Info,
    does: "Switches WAL mode on when it serves the file; direct readers then need write access to the folder.",
};
const SAMPLED: Rule = Rule {
    id: "CF0604",
    title: "not every row was looked at",
    severity: Severity::Info,
    does: "Chooses types from the rows it looks at; backfill names every value that does not fit.",
};
const READ_ONLY: Rule = Rule {
    id: "CF0605",
    title: "the file or its folder cannot be written",
    severity: Severity::Decision,
    does: "Cannot serve it as this user.",
};
const SERVED: Rule = Rule {
    id: "CF0606",
    title: "a proxy serves the file",
    severity: Severity::Info,
    does: "Keeps the types that were chosen when it was taken over.",
};
const LOST: Rule = Rule {
    id: "CF0607",
    title: "an override for a table or column that is not there",
    severity: Severity::Decision,
    does: "Ignores it.",
};

/// The rules.
pub(super) fn whole(facts: &Facts, found: &mut Vec<Finding>) {
    if facts.look.encoding != "UTF-8" {
        found.push(ENCODING.found(&facts.look.encoding));
    }
    let (version, application) = (facts.header.user_version, facts.header.application_id);
    if version != 0 || application != 0 {
        let message = format!("user_version {version}, application_id {application}");
        found.push(HEADER.found(message));
    }
    if facts.look.journal_mode != "wal" {
        found.push(JOURNAL.found(format!("journal mode {}", facts.look.journal_mode)));
    }
    if !facts.look.writable {
        found.push(READ_ONLY.found("serving needs write access to the file and its folder"));
    }
    if let Some(pid) = facts.look.served_by {
        found.push(SERVED.found(format!("process {pid}")));
    }
    for table in facts.tables() {
        let Some(looked) = table.evidence.map(|e| e.looked).filter(|l| l.partial) else { continue };
        let message = format!("{} of about {}", looked.rows, counted(looked.about, "row"));
        found.push(SAMPLED.found(message).of(&table));
    }
    overrides(facts, found);
}

/// Overrides that nothing answers to.
fn overrides(facts: &Facts, found: &mut Vec<Finding>) {
    for (name, over) in &facts.planning.tables {
        let relation = facts
            .catalog
            .relations
            .values()
            .find(|r| r.name == *name || r.sqlite_name.eq_ignore_ascii_case(name));
        let Some(relation) = relation else {
            found.push(LOST.found(format!("there is no table {name:?}")));
            continue;
        };
        if let Some(wanted) = over.name.as_ref().filter(|n| **n != relation.name) {
            let message =
                format!("it is called {:?} on PostgreSQL already, not {wanted:?}", relation.name);
            found.push(LOST.found(message).table(&relation.sqlite_name));
        }
        let names = over.columns.keys().chain(over.column_names.keys()).chain(&over.refuse);
        let names = names.chain(&over.coerce).chain(&over.empty_is_null);
        for column in names.chain(over.partition_by.iter().map(|p| &p.column)) {
            let there = relation
                .columns
                .iter()
                .any(|c| c.name == *column || c.sqlite_name.eq_ignore_ascii_case(column));
            if !there {
                let message = format!("there is no column {column:?}");
                found.push(LOST.found(message).table(&relation.sqlite_name));
            }
        }
    }
}
