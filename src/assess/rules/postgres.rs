//! CF07xx: the PostgreSQL server; what is on it already is `existing`'s.

use super::{Rule, existing};
use crate::assess::facts::Facts;
use crate::assess::needs;
use crate::assess::report::{Finding, Severity};

pub(super) const RULES: &[Rule] = &[
    existing::OTHER_TYPE,
    existing::ROWS,
    existing::MISSING,
    existing::REQUIRED,
    LACKS,
    LIMITS,
    existing::ACCEPTED,
    existing::OTHER_SIZE,
    existing::BEYOND,
    existing::UNKNOWN_TYPE,
    existing::NOT_NULL,
    existing::NO_KEY,
    existing::NO_UNIQUE,
    existing::NO_INDEX,
    existing::NO_FOREIGN_KEY,
    existing::NO_CHECK,
    existing::MORE_UNIQUE,
    existing::MORE_FOREIGN_KEY,
    existing::MORE_CHECK,
    existing::NO_DEFAULT,
    existing::NO_NUMBERS,
    existing::TRIGGER,
    existing::NO_TABLE,
    existing::ORDER,
    existing::SORTED,
    existing::RIGHTS,
    existing::NOT_A_TABLE,
    existing::GENERATED,
    existing::MORE_COLUMN,
    existing::ROW_SECURITY,
    existing::CHILDREN,
    existing::REFERRED,
    existing::UNRECEIVED,
];

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
    existing::whole(facts, server, found);
}
