//! Foreign keys of a table of the file, and rows without their parent.
//!
//! Owns which foreign keys PostgreSQL can have. SQLite compares with the parent's collation,
//! PostgreSQL byte by byte: a key that ignores letter case is not the same key there. It must
//! never leave one off in silence. Start at [`foreign_keys`].

use super::keys::position;
use super::{FindingKind, Findings, Source};
use crate::backend::sqlite::Connection;
use crate::backend::sqlite::catalog::{Side, quoted};
use crate::count::counted;
use crate::error::Result;
use crate::schema::{Catalog, Codec, Column, ForeignKey, IndexKey, Relation};
use crate::sql::stored::{self, ConstraintKind};
use crate::value::{Cell, oid};

/// The columns of a table that refer to others.
pub(super) fn child_columns(table: &stored::Table) -> impl Iterator<Item = &String> {
    let of_columns = table.columns.iter().flat_map(|c| &c.references);
    let of_table = table.constraints.iter().filter_map(|constraint| match &constraint.kind {
        ConstraintKind::ForeignKey(key) => Some(key),
        _ => None,
    });
    of_columns.chain(of_table).flat_map(|key| &key.columns)
}

/// Takes over the foreign keys whose parents exist.
pub(super) fn foreign_keys(
    connection: &Connection,
    side: &Side,
    source: &Source<'_>,
    relation: &mut Relation,
    catalog: &Catalog,
    findings: &mut Findings<'_>,
) -> Result<()> {
    let mut defs: Vec<(Option<&str>, &stored::ForeignKey)> = Vec::new();
    for column in &source.table.columns {
        defs.extend(column.references.iter().map(|k| (k.name.as_deref(), k)));
    }
    for constraint in &source.table.constraints {
        if let ConstraintKind::ForeignKey(key) = &constraint.kind {
            defs.push((constraint.name.as_deref().or(key.name.as_deref()), key));
        }
    }
    for (name, key) in defs {
        let columns: Option<Vec<usize>> =
            key.columns.iter().map(|c| position(relation, c)).collect();
        let parent = if key.table.eq_ignore_ascii_case(&relation.sqlite_name) {
            Some(&*relation)
        } else {
            let mut relations = catalog.relations.values();
            relations.find(|r| r.sqlite_name.eq_ignore_ascii_case(&key.table)).map(|r| &**r)
        };
        let (Some(columns), Some(parent)) = (columns, parent) else {
            let message = format!("a foreign key's parent {:?} does not exist", key.table);
            findings.add(key.columns.first().map(String::as_str), FindingKind::ForeignKey, message);
            continue;
        };
        let first = key.columns.first().map(String::as_str);
        let Some(referenced) = referenced(parent, key) else {
            if caseless(parent, key) {
                let message = format!(
                    "a foreign key to {:?} leads to a key that is compared by a collation of \
                     SQLite's",
                    key.table
                );
                findings.add(first, FindingKind::Caseless, message);
                without_parent(connection, source, relation, &columns, parent, findings);
                continue;
            }
            let message = format!("a foreign key names no key of {:?}", key.table);
            findings.add(first, FindingKind::ForeignKey, message);
            continue;
        };
        if !same_types(relation, &columns, parent, &referenced) {
            let message = format!("a foreign key to {:?} joins different types", key.table);
            findings.add(key.columns.first().map(String::as_str), FindingKind::KeyTypes, message);
            continue;
        }
        let table = parent.name.clone();
        let former = source
            .former
            .and_then(|f| f.foreign_keys.iter().find(|k| k.columns == columns && k.table == table));
        let names: Vec<&str> = columns.iter().map(|c| relation.columns[*c].name.as_str()).collect();
        let name = match (former, name) {
            (Some(former), _) => former.name.clone(),
            (None, Some(name)) => name.to_owned(),
            (None, None) => constraint_name(relation, &names.join("_"), "fkey"),
        };
        relation.foreign_keys.push(ForeignKey {
            name,
            oid: former.map_or_else(|| side.new_oid(), |f| f.oid),
            columns,
            table,
            referenced,
            on_delete: key.on_delete,
            on_update: key.on_update,
            deferrable: key.deferrable,
            deferred: key.deferred,
            not_valid: false,
        });
    }
    orphans(connection, source, relation, catalog, findings)
}

/// Whether a foreign key leads to a unique constraint that PostgreSQL has as an index over an
/// expression, because its columns are compared by a collation of SQLite's.
fn caseless(parent: &Relation, key: &stored::ForeignKey) -> bool {
    let columns: Option<Vec<usize>> = key.referenced.iter().map(|c| position(parent, c)).collect();
    let Some(columns) = columns.filter(|c| !c.is_empty()) else { return false };
    let names = |expression: &str, column: usize| {
        expression
            .contains(&crate::backend::sqlite::system::quote_ident(&parent.columns[column].name))
    };
    parent.indexes.iter().filter(|i| i.unique && i.predicate.is_none()).any(|index| {
        index.keys.len() == columns.len()
            && columns.iter().all(|column| {
                index.keys.iter().any(|key| match key {
                    IndexKey::Column(c, _) => c == column,
                    IndexKey::Expression(e, _) => names(e, *column),
                })
            })
    })
}

/// Whether PostgreSQL could compare child and parent.
fn same_types(
    relation: &Relation,
    columns: &[usize],
    parent: &Relation,
    referenced: &[String],
) -> bool {
    let family = |type_oid: u32| match type_oid {
        oid::INT2 | oid::INT4 | oid::INT8 | oid::NUMERIC => 1,
        oid::TEXT | oid::VARCHAR => 2,
        other => other,
    };
    // SQLite compares by the parent's affinity: texts are the same only under one of one kind.
    let numbers =
        |column: &Column| family(column.ty.oid) == 2 && matches!(column.codec, Codec::Among(_));
    columns.iter().zip(referenced).all(|(child, parent_column)| {
        let child = &relation.columns[*child];
        parent.column(parent_column).map(|c| &parent.columns[c]).is_some_and(|parent| {
            family(parent.ty.oid) == family(child.ty.oid) && numbers(parent) == numbers(child)
        })
    })
}

/// A constraint name that is free within its table (PostgreSQL asks for no more of foreign
/// keys and checks).
pub(crate) fn constraint_name(relation: &Relation, column: &str, label: &str) -> String {
    let taken = |name: &str| {
        relation.foreign_keys.iter().any(|k| k.name == name)
            || relation.checks.iter().any(|c| c.name == name)
            || relation.uniques.iter().any(|u| u.name == name)
    };
    let column = (!column.is_empty()).then_some(column);
    let mut pass = 0;
    loop {
        let suffix = if pass == 0 { label.to_owned() } else { format!("{label}{pass}") };
        let name = super::names::object_name(relation.bare(), column, &suffix);
        if !taken(&name) {
            return name;
        }
        pass += 1;
    }
}

/// PostgreSQL's names of the referenced columns, when they are a key of the parent.
fn referenced(parent: &Relation, key: &stored::ForeignKey) -> Option<Vec<String>> {
    let columns: Vec<usize> = if key.referenced.is_empty() {
        parent.primary_key.clone()?
    } else {
        key.referenced.iter().map(|c| position(parent, c)).collect::<Option<_>>()?
    };
    let is_key = parent
        .uniques
        .iter()
        .any(|u| u.columns.len() == columns.len() && u.columns.iter().all(|c| columns.contains(c)));
    let fits = is_key && columns.len() == key.columns.len();
    fits.then(|| columns.iter().map(|c| parent.columns[*c].name.clone()).collect())
}

/// Rows whose parents are missing, at most this many are counted.
const ORPHANS_MAX: i64 = 1000;

fn orphans(
    connection: &Connection,
    source: &Source<'_>,
    relation: &mut Relation,
    catalog: &Catalog,
    findings: &mut Findings<'_>,
) -> Result<()> {
    let keys = std::mem::take(&mut relation.foreign_keys);
    for mut key in keys {
        let parent = match key.table == relation.name {
            true => Some(&*relation),
            false => catalog.relation(&key.table).map(|r| &**r),
        };
        if let Some(parent) = parent {
            let orphans =
                without_parent(connection, source, relation, &key.columns, parent, findings);
            let spelled = otherwise_spelled(connection, source, relation, &key, parent, findings);
            key.not_valid |= orphans || spelled;
        }
        relation.foreign_keys.push(key);
    }
    Ok(())
}

/// Tells of rows without a parent by SQLite's own check; whether there are any.
fn without_parent(
    connection: &Connection,
    source: &Source<'_>,
    relation: &Relation,
    columns: &[usize],
    parent: &Relation,
    findings: &mut Findings<'_>,
) -> bool {
    let own: Vec<String> =
        columns.iter().map(|c| quoted(&relation.columns[*c].sqlite_name)).collect();
    let sql = format!(
        "SELECT count(*) FROM (SELECT 1 FROM pragma_foreign_key_check(?1) AS f \
         JOIN pragma_foreign_key_list(?1) AS l ON l.id = f.fkid AND l.seq = 0 \
         WHERE l.\"from\" = ?2 COLLATE NOCASE LIMIT {ORPHANS_MAX})"
    );
    let Some(first) = columns.first().map(|c| relation.columns[*c].sqlite_name.clone()) else {
        return false;
    };
    let arguments = [Cell::Text(relation.sqlite_name.clone()), Cell::Text(first.clone())];
    // A foreign key whose parent is gone makes the check itself fail: reported above.
    let orphans = source.count(connection, &sql, &arguments).unwrap_or(Some(0));
    if orphans.is_none() {
        super::unproven(findings, &format!("the foreign key of {}", own.join(", ")));
    }
    let count = orphans.unwrap_or_default();
    if count > 0 {
        let more = if count == ORPHANS_MAX { " or more" } else { "" };
        let message = {
            let rows = counted(count, "row");
            format!("no parent in {:?} by {}: {rows}{more}", parent.name, own.join(", "))
        };
        let rows = orphan_rows(relation, &first);
        findings.about_rows(Some(&first), FindingKind::Orphans, message, rows);
    }
    count > 0
}

/// Tells of rows whose parent is one for SQLite's collation alone; whether there are any.
fn otherwise_spelled(
    connection: &Connection,
    source: &Source<'_>,
    relation: &Relation,
    key: &ForeignKey,
    parent: &Relation,
    findings: &mut Findings<'_>,
) -> bool {
    let referenced: Option<Vec<usize>> =
        key.referenced.iter().map(|name| parent.column(name)).collect();
    let Some(referenced) = referenced else { return false };
    if referenced.iter().all(|c| parent.columns[*c].collation.is_none()) {
        return false;
    }
    let child = |c: &usize| format!("c.{}", quoted(&relation.columns[*c].sqlite_name));
    let known: Vec<String> =
        key.columns.iter().map(|c| format!("{} IS NOT NULL", child(c))).collect();
    let joined = |collation: &str| {
        let pairs = key.columns.iter().zip(&referenced);
        let terms: Vec<String> = pairs
            .map(|(c, p)| {
                let parent = quoted(&parent.columns[*p].sqlite_name);
                format!("p.{parent} = {}{collation}", child(c))
            })
            .collect();
        terms.join(" AND ")
    };
    let table = quoted(&parent.sqlite_name);
    let rows = format!(
        "{} AND NOT EXISTS (SELECT 1 FROM \"public\".{table} p WHERE {}) \
         AND EXISTS (SELECT 1 FROM \"public\".{table} p WHERE {})",
        known.join(" AND "),
        joined(" COLLATE BINARY"),
        joined("")
    );
    let sql = format!(
        "SELECT count(*) FROM (SELECT 1 FROM \"public\".{} AS c WHERE {rows} LIMIT {ORPHANS_MAX})",
        quoted(&relation.sqlite_name)
    );
    let orphans = source.count(connection, &sql, &[]).unwrap_or(Some(0));
    if orphans.is_none() {
        super::unproven(findings, &format!("foreign key {:?}", key.name));
    }
    let count = orphans.unwrap_or_default();
    if count > 0 {
        let first = key.columns.first().map(|c| relation.columns[*c].sqlite_name.as_str());
        let more = if count == ORPHANS_MAX { " or more" } else { "" };
        let rows_told = counted(count, "row");
        let message =
            format!("the parent in {:?} is spelled otherwise: {rows_told}{more}", parent.name);
        let rows = format!(
            "rowid IN (SELECT c.rowid FROM \"public\".{} AS c WHERE {rows})",
            quoted(&relation.sqlite_name)
        );
        findings.about_rows(first, FindingKind::Spelled, message, rows);
    }
    count > 0
}

/// The condition that selects the rows without a parent by the key of a column.
fn orphan_rows(relation: &Relation, first: &str) -> String {
    let literal = crate::backend::sqlite::catalog::literal;
    let table = literal(&relation.sqlite_name);
    format!(
        "rowid IN (SELECT f.rowid FROM pragma_foreign_key_check({table}) AS f \
         JOIN pragma_foreign_key_list({table}) AS l ON l.id = f.fkid AND l.seq = 0 \
         WHERE l.\"from\" = {} COLLATE NOCASE)",
        literal(first)
    )
}
