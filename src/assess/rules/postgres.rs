//! CF07xx: the PostgreSQL server, and what is on it already.

use super::{Rule, column_override};
use crate::assess::facts::Facts;
use crate::assess::needs::{self, Existing};
use crate::assess::report::{Finding, Severity};
use crate::backend::sqlite::system::format_type;
use crate::schema::{Relation, RelationKind};

pub(super) const RULES: &[Rule] = &[OTHER_TYPE, ROWS, MISSING, REQUIRED, LACKS, LIMITS, ACCEPTED];

const OTHER_TYPE: Rule = Rule {
    id: "CF0701",
    title: "a column of another type on PostgreSQL",
    severity: Severity::Decision,
    does: "Serves its own type until promote, and writes values over in text form; with PostgreSQL's type as override both are the same.",
};
const ROWS: Rule = Rule {
    id: "CF0702",
    title: "a table that has rows on PostgreSQL",
    severity: Severity::Blocking,
    does: "Refuses the copy: rows it did not write are never touched.",
};
const MISSING: Rule = Rule {
    id: "CF0703",
    title: "a column that PostgreSQL's table lacks",
    severity: Severity::Blocking,
    does: "Refuses the copy.",
};
const REQUIRED: Rule = Rule {
    id: "CF0704",
    title: "a column of PostgreSQL's that nothing fills",
    severity: Severity::Blocking,
    does: "Refuses the copy.",
};
const LACKS: Rule = Rule {
    id: "CF0705",
    title: "something that PostgreSQL must have",
    severity: Severity::Blocking,
    does: "Cannot copy.",
};
const LIMITS: Rule = Rule {
    id: "CF0706",
    title: "something that PostgreSQL should have",
    severity: Severity::Decision,
    does: "Works without it, less well.",
};
const ACCEPTED: Rule = Rule {
    id: "CF0707",
    title: "a table that is on PostgreSQL already",
    severity: Severity::Info,
    does: "Uses it as it is.",
};

/// The rules.
pub(super) fn whole(facts: &Facts, found: &mut Vec<Finding>) {
    let Some(server) = &facts.server else { return };
    for need in needs::needs(facts).iter().filter(|n| n.ok == Some(false)) {
        let rule = if need.required { &LACKS } else { &LIMITS };
        let message = format!(
            "{} is {}, wanted: {} ({})",
            need.name,
            need.found.as_deref().unwrap_or("unknown"),
            need.wanted,
            need.why
        );
        found.push(rule.found(message).object(need.name));
    }
    for existing in &server.tables {
        let relation = facts.catalog.relation(&existing.name);
        if let Some(relation) = relation.filter(|r| r.kind == RelationKind::Table) {
            accepted(relation, existing, found);
        }
    }
}

fn accepted(relation: &Relation, existing: &Existing, found: &mut Vec<Finding>) {
    let name = &relation.sqlite_name;
    found.push(ACCEPTED.found("made by the application's own migrations").table(name));
    if existing.rows {
        found.push(ROWS.found("empty it, or take another database").table(name));
    }
    for column in &relation.columns {
        let Some(there) = existing.columns.iter().find(|c| c.name == column.name) else {
            let message = "add it there, or drop it here";
            found.push(MISSING.found(message).table(name).column(&column.sqlite_name));
            continue;
        };
        let ty = column.declared();
        let ours = format_type(ty.oid, ty.typmod);
        if ours != there.type_name {
            let message = format!("{} there, {ours} here", there.type_name);
            let over = column_override(&relation.name, &column.name, &there.type_name);
            let finding = OTHER_TYPE.found(message).table(name).column(&column.sqlite_name);
            found.push(finding.over(over));
        }
    }
    for extra in &existing.columns {
        let ours = relation.columns.iter().any(|c| c.name == extra.name);
        if !ours && extra.required {
            found.push(REQUIRED.found("it takes no NULL").table(name).column(&extra.name));
        }
    }
}
