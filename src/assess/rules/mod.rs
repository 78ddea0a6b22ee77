//! The rules, as data: one file per group, ids that never change.
//!
//! Owns [`Rule`] and the list of all. A rule reads [`Facts`] and makes findings; it never
//! looks at the file itself. Ids are stable: a rule that goes leaves its number unused.
//! Start at [`apply`].

mod existing;
mod file;
mod keys;
mod names;
mod objects;
mod overrides;
mod postgres;
mod statements;
mod types;
mod values;

use super::Options;
use super::evidence::Seen;
use super::facts::{Facts, Table};
use super::report::{Finding, Severity};

/// One rule.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// `CF0101`
    pub id: &'static str,
    /// What it is about.
    pub title: &'static str,
    /// How much it asks of a person.
    pub severity: Severity,
    /// What Crossfade does unless told otherwise.
    pub does: &'static str,
}

/// Every group with its rules, in the order of the ids.
pub const GROUPS: &[(&str, &[Rule])] = &[
    ("Types", types::RULES),
    ("Values", values::RULES),
    ("Keys and constraints", keys::RULES),
    ("Names", names::RULES),
    ("Other objects", objects::RULES),
    ("The file", file::RULES),
    ("PostgreSQL", postgres::RULES),
    ("Statements", statements::RULES),
];

/// Applies every rule.
pub(super) fn apply(facts: &Facts, options: &Options) -> Vec<Finding> {
    let mut found = Vec::new();
    for table in facts.tables() {
        types::table(&table, &mut found);
        values::table(&table, &mut found);
        keys::table(facts, &table, &mut found);
        names::table(&table, &mut found);
        objects::table(facts, &table, &mut found);
    }
    types::adopted(facts, &mut found);
    keys::adopted(facts, &mut found);
    keys::sequences(facts, &mut found);
    names::whole(facts, &mut found);
    objects::whole(facts, &mut found);
    file::whole(facts, &mut found);
    postgres::whole(facts, &mut found);
    statements::whole(facts, &options.statements, &mut found);
    found
}

impl Rule {
    /// A finding of this rule.
    fn found(&self, message: impl Into<String>) -> Finding {
        Finding {
            id: self.id,
            title: self.title,
            severity: self.severity,
            table: None,
            column: None,
            object: None,
            message: message.into(),
            does: self.does,
            over: None,
            classes: Vec::new(),
            rows: None,
            examples: Vec::new(),
            sampled: false,
        }
    }
}

impl Finding {
    fn of(mut self, table: &Table<'_>) -> Self {
        self.table = Some(table.entry.name.clone());
        self.sampled = table.evidence.is_none_or(|e| e.looked.partial);
        self
    }

    fn table(mut self, name: &str) -> Self {
        self.table = Some(name.to_owned());
        self
    }

    fn column(mut self, name: &str) -> Self {
        self.column = Some(name.to_owned());
        self
    }

    fn object(mut self, name: impl Into<String>) -> Self {
        self.object = Some(name.into());
        self
    }

    fn over(mut self, text: String) -> Self {
        self.over = Some(text);
        self
    }

    fn seen(mut self, seen: &Seen) -> Self {
        self.rows = Some(seen.rows);
        self.examples.clone_from(&seen.examples);
        self
    }
}

/// A column's override as proxy.toml has it.
fn column_override(table: &str, column: &str, text: &str) -> String {
    format!("[tables.{}]\ncolumns = {{ {} = {} }}", key(table), key(column), quoted(text))
}

/// A key of TOML, quoted when it has to be.
fn key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !name.is_empty() && name.chars().all(bare) { name.to_owned() } else { quoted(name) }
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_are_unique_and_in_their_groups() {
        let mut seen = BTreeSet::new();
        for (number, (group, rules)) in GROUPS.iter().enumerate() {
            for rule in *rules {
                assert!(seen.insert(rule.id), "{} twice", rule.id);
                let prefix = format!("CF{:02}", number + 1);
                assert!(rule.id.starts_with(&prefix), "{} in {group}", rule.id);
                assert_eq!(rule.id.len(), 6, "{}", rule.id);
                assert!(!rule.does.is_empty() && !rule.title.is_empty());
            }
        }
    }

    #[test]
    fn overrides_are_toml() {
        let text = column_override("my \"orders\"", "a\tb", "numeric(12,2)");
        let read: toml::Table = text.parse().unwrap();
        assert_eq!(
            read["tables"]["my \"orders\""]["columns"]["a\tb"].as_str(),
            Some("numeric(12,2)")
        );
        assert_eq!(key("price"), "price");
    }
}
