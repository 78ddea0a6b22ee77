//! CF05xx: indexes, views, triggers, defaults, generated columns, collations, virtual tables.

use super::Rule;
use crate::assess::facts::{Facts, Table, relation_of};
use crate::assess::report::{Finding, Severity};
use crate::backfill::schema::{self, Missing};
use crate::sql::stored::{self, ConstraintKind, Object};

pub(super) const RULES: &[Rule] = &[
    INDEX,
    VIEW,
    TRIGGER,
    DEFAULT,
    STORED,
    COLLATION,
    DANGLING,
    CHECK,
    CONFLICT,
    VIRTUAL,
    SHADOW,
    WIDE,
    GENERATED,
    UNREADABLE,
    FOREIGN_COLLATION,
    BROKEN,
    BROAD,
    VIEW_MADE,
    TRIGGER_MADE,
];

const VIEW_MADE: Rule = Rule {
    id: "CF0518",
    title: "a view of SQLite's that PostgreSQL can have",
    severity: Severity::Info,
    does: "Serves it from SQLite; the copy makes one of the same meaning on PostgreSQL.",
};
const TRIGGER_MADE: Rule = Rule {
    id: "CF0519",
    title: "a trigger of SQLite's that PostgreSQL can have",
    severity: Severity::Info,
    does: "SQLite runs it and what it writes is mirrored; the copy makes one of the same meaning, which PostgreSQL runs once it is primary.",
};

const INDEX: Rule = Rule {
    id: "CF0501",
    title: "an index that only SQLite can have",
    severity: Severity::Rewrite,
    does: "Leaves it off PostgreSQL; a unique one holds gate divergences until it is made there by hand or accepted.",
};
const VIEW: Rule = Rule {
    id: "CF0502",
    title: "a view in SQLite's dialect",
    severity: Severity::Rewrite,
    does: "Serves it from SQLite; PostgreSQL needs one before promote.",
};
const TRIGGER: Rule = Rule {
    id: "CF0503",
    title: "a trigger in SQLite's dialect",
    severity: Severity::Rewrite,
    does: "SQLite runs it and what it writes is mirrored; the copy fires none. Holds gate divergences until one is made there by hand or accepted.",
};
const DEFAULT: Rule = Rule {
    id: "CF0504",
    title: "a default that only SQLite can compute",
    severity: Severity::Rewrite,
    does: "SQLite computes it and the value is mirrored. Holds gate divergences until PostgreSQL has one or that is accepted.",
};
const STORED: Rule = Rule {
    id: "CF0505",
    title: "a generated column that is not stored",
    severity: Severity::Info,
    does: "Makes it STORED: PostgreSQL before 18 has no other.",
};
const COLLATION: Rule = Rule {
    id: "CF0506",
    title: "a collation of SQLite's",
    severity: Severity::Info,
    does: "Compares as PostgreSQL does; unique constraints become indexes on lower(x COLLATE \"C\") or rtrim(x, ' '), a primary key gets one beside it.",
};
const DANGLING: Rule = Rule {
    id: "CF0507",
    title: "a view that SQLite itself cannot read",
    severity: Severity::Decision,
    does: "Leaves it out.",
};
const CHECK: Rule = Rule {
    id: "CF0508",
    title: "a check in SQLite's dialect",
    severity: Severity::Rewrite,
    does: "SQLite enforces it. Holds gate divergences until PostgreSQL has one or that is accepted.",
};
const CONFLICT: Rule = Rule {
    id: "CF0509",
    title: "a constraint with ON CONFLICT",
    severity: Severity::Decision,
    does: "Makes the constraint without it; what SQLite then does is mirrored until promote.",
};
const VIRTUAL: Rule = Rule {
    id: "CF0510",
    title: "a virtual table",
    severity: Severity::Rewrite,
    does: "Does not serve it; its rows stay in the file.",
};
const SHADOW: Rule = Rule {
    id: "CF0511",
    title: "tables in which a virtual table keeps its data",
    severity: Severity::Info,
    does: "Never copies them.",
};
const WIDE: Rule = Rule {
    id: "CF0512",
    title: "more columns than PostgreSQL has",
    severity: Severity::Blocking,
    does: "Does not serve the table; its rows stay in the file and are counted as not copied.",
};
const GENERATED: Rule = Rule {
    id: "CF0513",
    title: "a generated column that only SQLite can compute",
    severity: Severity::Rewrite,
    does: "SQLite computes it, and PostgreSQL's table has no such column. Holds gate divergences until it has one or that is accepted.",
};
const FOREIGN_COLLATION: Rule = Rule {
    id: "CF0514",
    title: "a collation that only the application has",
    severity: Severity::Decision,
    does: "Copies the rows; reads that need the collation or an index over it fail with an error.",
};
const BROKEN: Rule = Rule {
    id: "CF0516",
    title: "a table that SQLite cannot read",
    severity: Severity::Blocking,
    does: "Does not serve the table; its rows stay in the file and are counted as not copied.",
};
const BROAD: Rule = Rule {
    id: "CF0517",
    title: "so many columns that rows may not fit a page",
    severity: Severity::Decision,
    does: "Copies every row that fits; one that PostgreSQL refuses is kept in crossfade.quarantine, and told.",
};
const UNREADABLE: Rule = Rule {
    id: "CF0515",
    title: "a definition that cannot be read",
    severity: Severity::Blocking,
    does: "Does not serve the table; its rows stay in the file and are counted as not copied.",
};

/// PostgreSQL's limit.
const COLUMNS_MAX: usize = 1600;

/// Of each long value 18 bytes stay in the row, and a row of PostgreSQL lies within 8160 bytes.
const COLUMNS_SAFE: usize = 400;

/// The rules about the parts of a table.
pub(super) fn table(facts: &Facts, table: &Table<'_>, found: &mut Vec<Finding>) {
    let relation = table.relation;
    if relation.columns.len() > COLUMNS_SAFE {
        let message = format!(
            "{} columns; a row has 8160 bytes at most, long values outside it not counted",
            relation.columns.len()
        );
        found.push(BROAD.found(message).of(table));
    }
    let lost = |object: &str| {
        let mut all = facts.plan.findings.iter();
        let ours = |f: &&schema::Finding| f.table == relation.name && f.object == object;
        let missing = all.find(ours).filter(|f| f.missing != Missing::Nothing)?;
        missing.message.rsplit(": ").next()
    };
    for index in &relation.indexes {
        if let Some(why) = lost(&format!("index {:?}", index.name)) {
            let unique = if index.unique { "unique: " } else { "" };
            found.push(INDEX.found(format!("{unique}{why}")).of(table).object(&index.name));
        }
    }
    for unique in &relation.uniques {
        if let Some(why) = lost(&format!("unique {:?}", unique.name)) {
            found.push(INDEX.found(format!("unique: {why}")).of(table).object(&unique.name));
        }
    }
    for check in &relation.checks {
        if let Some(why) = lost(&format!("check {:?}", check.name)) {
            let message = format!("CHECK ({}): {why}", check.expression);
            found.push(CHECK.found(message).of(table).object(&check.name));
        }
    }
    for (stored, column) in table.stored.columns.iter().zip(&relation.columns) {
        if let (Some(default), Some(why)) =
            (&column.sqlite_default, lost(&format!("default of column {:?}", column.name)))
        {
            let message = format!("DEFAULT {default}: {why}");
            found.push(DEFAULT.found(message).of(table).column(&stored.name));
        }
        if let Some(generated) = &column.generated {
            if let Some(why) = lost(&format!("column {:?}", column.name)) {
                let message = format!("AS ({}): {why}", generated.expression);
                found.push(GENERATED.found(message).of(table).column(&stored.name));
            } else if !generated.stored {
                found.push(STORED.found("VIRTUAL").of(table).column(&stored.name));
            }
        }
        if let Some(collation) = &column.collation {
            let message = format!("COLLATE {collation}");
            let ours = ["NOCASE", "RTRIM"].iter().any(|c| collation.eq_ignore_ascii_case(c));
            let rule = if ours { COLLATION } else { FOREIGN_COLLATION };
            found.push(rule.found(message).of(table).column(&stored.name));
        }
    }
    for (column, what) in conflicts(table.stored) {
        let mut finding = CONFLICT.found(what).of(table);
        finding.column = column;
        found.push(finding);
    }
}

/// The constraints that say what to do on a conflict.
fn conflicts(table: &stored::Table) -> Vec<(Option<String>, String)> {
    let mut found = Vec::new();
    for column in &table.columns {
        let name = Some(column.name.clone());
        if column.primary_key.as_ref().is_some_and(|k| k.conflict.is_some()) {
            found.push((name.clone(), "PRIMARY KEY ON CONFLICT".to_owned()));
        }
        if column.unique.iter().any(|u| u.conflict.is_some()) {
            found.push((name.clone(), "UNIQUE ON CONFLICT".to_owned()));
        }
        if column.not_null.as_ref().is_some_and(|n| n.conflict.is_some()) {
            found.push((name, "NOT NULL ON CONFLICT".to_owned()));
        }
    }
    for constraint in &table.constraints {
        let what = match &constraint.kind {
            ConstraintKind::PrimaryKey { conflict: Some(_), .. } => "PRIMARY KEY ON CONFLICT",
            ConstraintKind::Unique { conflict: Some(_), .. } => "UNIQUE ON CONFLICT",
            ConstraintKind::Check { conflict: Some(_), .. } => "CHECK ON CONFLICT",
            _ => continue,
        };
        found.push((None, what.to_owned()));
    }
    found
}

/// The rules about objects that are no tables, or not served.
pub(super) fn whole(facts: &Facts, found: &mut Vec<Finding>) {
    let mut shadows = Vec::new();
    for entry in facts.of_kind("table") {
        match (&entry.object, facts.special.get(&entry.name.to_ascii_lowercase())) {
            (_, Some(kind)) if kind == "shadow" => shadows.push(entry.name.as_str()),
            (Some(Object::Virtual(of)), _) => {
                let hint = match of.module.as_str() {
                    "fts3" | "fts4" | "fts5" => {
                        "; on PostgreSQL: a tsvector column with a GIN index"
                    }
                    "rtree" | "rtree_i32" | "geopoly" => {
                        "; on PostgreSQL: range or box columns with a GiST index"
                    }
                    _ => "",
                };
                let message = format!("USING {}{hint}", of.module);
                found.push(VIRTUAL.found(message).table(&entry.name));
            }
            (Some(Object::Table(table)), None) if table.columns.len() > COLUMNS_MAX => {
                let message = format!(
                    "{} columns, PostgreSQL has at most {COLUMNS_MAX}; split the table, or keep \
                     the rarer columns as one jsonb",
                    table.columns.len()
                );
                found.push(WIDE.found(message).table(&entry.name));
            }
            _ if facts.is_special(&entry.name) => {}
            (Some(Object::Table(_)), _) if relation_of(&facts.catalog, &entry.name).is_some() => {}
            (Some(Object::Table(_)), _) => {
                let why = facts.skipped(&entry.name).unwrap_or("no reason is known");
                found.push(BROKEN.found(why).table(&entry.name));
            }
            _ => found.push(UNREADABLE.found("its CREATE TABLE").table(&entry.name)),
        }
    }
    if !shadows.is_empty() {
        found.push(SHADOW.found(shadows.join(", ")));
    }
    for entry in facts.of_kind("view") {
        if relation_of(&facts.catalog, &entry.name).is_some() {
            found.push(match untranslated(facts, &entry.name, "view") {
                Some(why) => VIEW.found(why).table(&entry.name),
                None => VIEW_MADE.found("its query").table(&entry.name),
            });
        } else {
            let why = facts.skipped(&entry.name).unwrap_or("it cannot be served");
            found.push(DANGLING.found(why).table(&entry.name));
        }
    }
    for entry in facts.of_kind("trigger") {
        let what = match &entry.object {
            Some(Object::Trigger(trigger)) => {
                format!("{} {}", time(trigger.time), event(trigger.event))
            }
            _ => "its text".to_owned(),
        };
        let object = format!("trigger {:?}", entry.name);
        let finding = match untranslated(facts, &entry.table, &object) {
            Some(why) => TRIGGER.found(format!("{what}: {why}")),
            None => TRIGGER_MADE.found(what),
        };
        found.push(finding.table(&entry.table).object(&entry.name));
    }
}

/// Why PostgreSQL cannot have an object of the file; None when it can.
fn untranslated<'a>(facts: &'a Facts, table: &str, object: &str) -> Option<&'a str> {
    let name = relation_of(&facts.catalog, table).map_or(table, |r| r.name.as_str());
    let of = |t: &str, o: &str| (t == name || t.eq_ignore_ascii_case(table)) && o == object;
    if facts.plan.outward.iter().any(|t| of(&t.table, &t.object)) {
        return None;
    }
    let found = facts.plan.findings.iter().find(|f| of(&f.table, &f.object));
    Some(found.map_or("it is SQLite's own", |f| f.message.rsplit(": ").next().unwrap_or_default()))
}

fn time(time: stored::TriggerTime) -> &'static str {
    match time {
        stored::TriggerTime::Before => "BEFORE",
        stored::TriggerTime::After => "AFTER",
        stored::TriggerTime::InsteadOf => "INSTEAD OF",
    }
}

fn event(event: stored::TriggerEvent) -> &'static str {
    match event {
        stored::TriggerEvent::Insert => "INSERT",
        stored::TriggerEvent::Update => "UPDATE",
        stored::TriggerEvent::Delete => "DELETE",
    }
}
