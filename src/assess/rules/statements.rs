//! CF08xx: statements of the application, planned against the file as it would be served.

use std::collections::BTreeMap;

use super::Rule;
use crate::assess::facts::Facts;
use crate::assess::report::{Finding, Severity};
use crate::error::Error;
use crate::sql::{self, Context, Mode};

pub(super) const RULES: &[Rule] = &[REFUSED, SQLITE, UNREADABLE];

const REFUSED: Rule = Rule {
    id: "CF0801",
    title: "a statement that is not served",
    severity: Severity::Rewrite,
    does: "Answers it with this error.",
};
const SQLITE: Rule = Rule {
    id: "CF0802",
    title: "a statement in SQLite's dialect",
    severity: Severity::Info,
    does: "Translates it for PostgreSQL, before and after promote.",
};
const UNREADABLE: Rule = Rule {
    id: "CF0803",
    title: "a text that neither dialect can read",
    severity: Severity::Decision,
    does: "Answers it with a syntax error.",
};

/// Characters of a statement that are shown.
const SHOWN: usize = 120;

/// The rules, once for each statement.
pub(super) fn whole(facts: &Facts, statements: &[String], found: &mut Vec<Finding>) {
    let path = ["public".to_owned()];
    let context = Context {
        catalog: &facts.catalog,
        temporary: &BTreeMap::new(),
        search_path: &path,
        param_types: &[],
    };
    for text in statements {
        let shown: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let shown: String = shown.chars().take(SHOWN).collect();
        let parsed = match sql::parse_in(text, Mode::Auto) {
            Ok(parsed) => parsed,
            Err(error) => {
                found.push(UNREADABLE.found(told(&error)).object(shown));
                continue;
            }
        };
        for one in &parsed {
            match sql::plan_in(one, &context, Mode::Auto) {
                Ok(plan) if plan.dialect.is_sqlite() => {
                    let rules = sql::rules(one, &context, Mode::Auto);
                    found.push(SQLITE.found(rules.join("; ")).object(&shown));
                }
                Ok(_) => {}
                Err(error) => found.push(REFUSED.found(told(&error)).object(&shown)),
            }
        }
    }
}

fn told(error: &Error) -> String {
    format!("{} ({})", error.message(), error.sqlstate())
}
