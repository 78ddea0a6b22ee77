//! What the file's table declares and PostgreSQL's will not have, because its rows do not allow it.
//!
//! Taking the table over has left these off already: here they are named again, so that whoever
//! promotes knows of them. Start at [`missing`].

use super::{Finding, Findings, Options};
use crate::backend::sqlite::adopt::declared_keys;
use crate::schema::{Codec, Relation};
use crate::sql::stored::{ConstraintKind, ForeignKey, Table};

/// Adds a finding for each NOT NULL, key and foreign key that is left off.
pub(super) fn missing(relation: &Relation, options: &Options, found: &mut Vec<Finding>) {
    let Some(table) = options.stored.table(relation) else { return };
    let mut findings = Findings { table: &relation.name, list: found };
    not_null(relation, &table, &mut findings);
    let mut declared = declared_keys(&table);
    declared.extend(options.stored.unique_indexes(relation));
    keys(relation, declared, &mut findings);
    if !options.foreign_keys_off {
        foreign_keys(relation, &table, &mut findings);
    }
}

fn position(relation: &Relation, name: &str) -> Option<usize> {
    relation.columns.iter().position(|c| c.sqlite_name.eq_ignore_ascii_case(name))
}

fn not_null(relation: &Relation, table: &Table, findings: &mut Findings<'_>) {
    for stored in table.columns.iter().filter(|c| c.not_null.is_some()) {
        let Some(column) = position(relation, &stored.name).map(|p| &relation.columns[p]) else {
            continue;
        };
        // Whoever has empty text read as NULL has decided.
        if !column.not_null && column.codec.plain() != Codec::CoercedEmpty {
            let object = format!("NOT NULL of column {:?}", column.name);
            findings.weaker(&object, "it is left off: rows have NULL");
        }
    }
}

fn keys(relation: &Relation, declared: Vec<Vec<String>>, findings: &mut Findings<'_>) {
    for names in declared {
        let columns: Option<Vec<usize>> = names.iter().map(|n| position(relation, n)).collect();
        let Some(columns) = columns else { continue };
        let same = |other: &[usize]| {
            other.len() == columns.len() && columns.iter().all(|c| other.contains(c))
        };
        // With a collation it is an index.
        let collated = columns.iter().any(|c| relation.columns[*c].collation.is_some());
        if !collated && !relation.uniques.iter().any(|u| same(&u.columns)) {
            let object = format!("unique ({})", names.join(", "));
            findings.weaker(&object, "it is left off: rows differ only by storage class");
        }
    }
}

fn foreign_keys(relation: &Relation, table: &Table, findings: &mut Findings<'_>) {
    let of_columns = table.columns.iter().flat_map(|c| &c.references);
    let of_table = table.constraints.iter().filter_map(|c| match &c.kind {
        ConstraintKind::ForeignKey(key) => Some(key),
        _ => None,
    });
    for key in of_columns.chain(of_table) {
        if !is_there(relation, key) {
            let object = format!("foreign key ({})", key.columns.join(", "));
            let message =
                format!("it is left off: {:?} has no such key, or one of another type", key.table);
            findings.weaker(&object, &message);
        }
    }
}

fn is_there(relation: &Relation, key: &ForeignKey) -> bool {
    let columns: Option<Vec<usize>> = key.columns.iter().map(|c| position(relation, c)).collect();
    columns.is_none_or(|columns| relation.foreign_keys.iter().any(|k| k.columns == columns))
}
