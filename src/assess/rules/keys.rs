//! CF03xx: keys, foreign keys, checks and sequences.

use super::Rule;
use crate::assess::facts::{Facts, Table};
use crate::assess::report::{Finding, Severity};
use crate::backend::sqlite::adopt::FindingKind;
use crate::count::counted;
use crate::schema::IndexKey;
use crate::sql::stored::{self, ConstraintKind};

pub(super) const RULES: &[Rule] = &[
    NULL_KEY, ORPHANS, NO_PARENT, KEY_TYPES, SEQUENCE, EXHAUSTED, ORDER, MATCH, NO_KEY, BY_CLASS,
    CHECK, NOT_NULL, UNPROVEN, LONG_KEY, CASELESS, SPELLED, FREE,
];

const NULL_KEY: Rule = Rule {
    id: "CF0301",
    title: "NULL in a primary key",
    severity: Severity::Decision,
    does: "Makes it UNIQUE instead: PostgreSQL's primary keys take no NULL.",
};
const ORPHANS: Rule = Rule {
    id: "CF0302",
    title: "rows without their parent",
    severity: Severity::Decision,
    does: "Copies them, and makes the foreign key NOT VALID: new rows are held to it.",
};
const NO_PARENT: Rule = Rule {
    id: "CF0303",
    title: "a foreign key that leads nowhere",
    severity: Severity::Decision,
    does: "Leaves the foreign key off. Holds gate divergences until that is accepted.",
};
const KEY_TYPES: Rule = Rule {
    id: "CF0304",
    title: "a foreign key between different types",
    severity: Severity::Decision,
    does: "Leaves the foreign key off, which holds gate divergences until it is accepted; with the parent's type as override it is made.",
};
const SEQUENCE: Rule = Rule {
    id: "CF0305",
    title: "a sequence ahead of its rows",
    severity: Severity::Info,
    does: "Goes on behind the highest value ever given out, not behind the highest that is there.",
};
const EXHAUSTED: Rule = Rule {
    id: "CF0306",
    title: "a sequence at its end",
    severity: Severity::Decision,
    does: "Sets PostgreSQL's sequence to its end as well: the next INSERT without a value fails there as it does here.",
};
const ORDER: Rule = Rule {
    id: "CF0307",
    title: "a primary key that keeps rows in an order",
    severity: Severity::Info,
    does: "Makes an ordinary primary key over the same columns; WITHOUT ROWID and DESC have no meaning there.",
};
const MATCH: Rule = Rule {
    id: "CF0308",
    title: "a MATCH clause that SQLite ignores",
    severity: Severity::Info,
    does: "Makes the foreign key as SQLite treats it: MATCH SIMPLE.",
};
const NO_KEY: Rule = Rule {
    id: "CF0309",
    title: "a table without a key",
    severity: Severity::Decision,
    does: "Mirrors and verifies it as a multiset; gate keys names it before promote.",
};
const BY_CLASS: Rule = Rule {
    id: "CF0310",
    title: "values that differ only by storage class",
    severity: Severity::Decision,
    does: "Leaves the unique constraint off PostgreSQL, which holds gate divergences until it is accepted; SQLite keeps its own.",
};
const CHECK: Rule = Rule {
    id: "CF0311",
    title: "rows that break a check",
    severity: Severity::Decision,
    does: "Copies them, and makes the check NOT VALID: new rows are held to it.",
};
const NOT_NULL: Rule = Rule {
    id: "CF0312",
    title: "NULL in a NOT NULL column",
    severity: Severity::Decision,
    does: "Leaves NOT NULL off, which holds gate divergences until it is accepted.",
};
const UNPROVEN: Rule = Rule {
    id: "CF0315",
    title: "a constraint that was not checked to the end",
    severity: Severity::Info,
    does: "Makes the constraint; backfill says so if rows break it.",
};
const CASELESS: Rule = Rule {
    id: "CF0318",
    title: "a foreign key to a key that ignores letter case",
    severity: Severity::Decision,
    does: "Leaves the foreign key off: PostgreSQL keeps such a key as an index over an expression, to which none can lead. With citext as override of both columns it is made.",
};
const SPELLED: Rule = Rule {
    id: "CF0317",
    title: "rows that spell their parent's key otherwise",
    severity: Severity::Decision,
    does: "Copies them, and makes the foreign key NOT VALID: PostgreSQL compares byte by byte.",
};

const LONG_KEY: Rule = Rule {
    id: "CF0316",
    title: "a key over long values",
    severity: Severity::Decision,
    does: "Makes the key or index; PostgreSQL refuses it while one of its values has more than 2704 bytes once compressed. A key that is refused holds gate divergences until it is accepted.",
};

const FREE: Rule = Rule {
    id: "CF0319",
    title: "foreign keys that SQLite does not enforce",
    severity: Severity::Info,
    does: "Makes none on PostgreSQL, as [sqlite] foreign_keys = false says.",
};

/// What taking over found about constraints.
pub(super) fn adopted(facts: &Facts, found: &mut Vec<Finding>) {
    let off = facts.planning.foreign_keys_off;
    for (finding, examples) in &facts.adopted {
        use FindingKind as K;
        if off && matches!(finding.kind, K::Orphans | K::ForeignKey | K::KeyTypes) {
            continue;
        }
        let rule = match finding.kind {
            FindingKind::NullKey => &NULL_KEY,
            FindingKind::Orphans => &ORPHANS,
            FindingKind::ForeignKey => &NO_PARENT,
            FindingKind::KeyTypes => &KEY_TYPES,
            FindingKind::NotUnique => &BY_CLASS,
            FindingKind::Broken => &CHECK,
            FindingKind::NotNull => &NOT_NULL,
            FindingKind::Unproven => &UNPROVEN,
            FindingKind::Caseless => &CASELESS,
            FindingKind::Spelled => &SPELLED,
            _ => continue,
        };
        let mut made = rule.found(&finding.message).table(&finding.table);
        made.column.clone_from(&finding.column);
        made.examples.clone_from(examples);
        made.over = match finding.kind {
            FindingKind::Orphans => Some("[sqlite]\nforeign_keys = false".to_owned()),
            _ => None,
        };
        found.push(made);
    }
}

/// The rules about a table's keys.
pub(super) fn table(facts: &Facts, table: &Table<'_>, found: &mut Vec<Finding>) {
    let declared = table.stored.constraints.iter().any(|c| is_primary(&c.kind))
        || table.stored.columns.iter().any(|c| c.primary_key.is_some());
    if table.relation.key().is_none() {
        let message = if declared { "its key does not hold" } else { "it declares none" };
        found.push(NO_KEY.found(message).of(table));
    }
    let descending = table.stored.constraints.iter().any(|c| match &c.kind {
        ConstraintKind::PrimaryKey { keys, .. } => keys.iter().any(|k| k.descending),
        _ => false,
    });
    if table.stored.without_rowid || descending {
        let message = if descending { "DESC in the primary key" } else { "WITHOUT ROWID" };
        found.push(ORDER.found(message).of(table));
    }
    long_keys(table, found);
    let keys = foreign_keys(table.stored).count();
    if facts.planning.foreign_keys_off && keys > 0 {
        let over = "[sqlite]\nforeign_keys = true".to_owned();
        found.push(FREE.found(counted(keys, "foreign key")).of(table).over(over));
    }
    for key in foreign_keys(table.stored) {
        let Some(name) = key.match_name.as_deref() else { continue };
        let message = format!("MATCH {} to {:?}", name.to_ascii_uppercase(), key.table);
        let mut finding = MATCH.found(message).of(table);
        finding.column = key.columns.first().cloned();
        found.push(finding);
    }
}

/// Keys and indexes that PostgreSQL may find too long.
fn long_keys(table: &Table<'_>, found: &mut Vec<Finding>) {
    let Some(evidence) = table.evidence else { return };
    let relation = table.relation;
    let uniques = relation.uniques.iter().map(|u| (&u.name, u.columns.clone()));
    let indexes = relation.indexes.iter().map(|index| {
        let column = |key: &IndexKey| match key {
            IndexKey::Column(position, _) => Some(*position),
            IndexKey::Expression(..) => None,
        };
        (&index.name, index.keys.iter().filter_map(column).collect())
    });
    for (name, columns) in uniques.chain(indexes) {
        let seen = |column: &usize| {
            let seen = evidence.columns.get(*column)?;
            (seen.long_keys.rows > 0).then_some((*column, &seen.long_keys))
        };
        let Some((column, seen)) = columns.iter().find_map(seen) else { continue };
        let message = format!("{} of more than 2600 bytes", counted(seen.rows, "value"));
        let mut finding = LONG_KEY.found(message).of(table).object(name).seen(seen);
        finding.column = Some(relation.columns[column].sqlite_name.clone());
        found.push(finding);
    }
}

fn is_primary(kind: &ConstraintKind) -> bool {
    matches!(kind, ConstraintKind::PrimaryKey { .. })
}

fn foreign_keys(table: &stored::Table) -> impl Iterator<Item = &stored::ForeignKey> {
    let of_columns = table.columns.iter().flat_map(|c| &c.references);
    let of_table = table.constraints.iter().filter_map(|c| match &c.kind {
        ConstraintKind::ForeignKey(key) => Some(key),
        _ => None,
    });
    of_columns.chain(of_table)
}

/// Where the sequences stand.
pub(super) fn sequences(facts: &Facts, found: &mut Vec<Finding>) {
    for issued in &facts.issued {
        if issued.given == i64::MAX {
            let message = format!("{} has been given out: no value is left", i64::MAX);
            found.push(EXHAUSTED.found(message).table(&issued.table).column(&issued.column));
        } else if issued.given > issued.highest.unwrap_or_default().max(0) {
            let next = issued.given + 1;
            let there = match issued.highest {
                Some(highest) => format!("the highest there is {highest}"),
                None => "the table is empty".to_owned(),
            };
            let message = format!("the next value is {next}, {there}");
            found.push(SEQUENCE.found(message).table(&issued.table).column(&issued.column));
        }
    }
}
