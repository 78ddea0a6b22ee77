//! Rows that keys of PostgreSQL's own schema would not take.
//!
//! Owns the counting, on SQLite, within the time there is. Start at [`of_table`].

use super::evidence::Seen;
use super::facts::{examples, relation_of_name};
use crate::backend::postgres::existing::Existing;
use crate::backend::sqlite::Connection;
use crate::backend::sqlite::adopt::Bounds;
use crate::backend::sqlite::catalog::quoted;
use crate::backfill::differs::{Difference, Kind, differences};
use crate::schema::{Catalog, Relation};
use crate::value::oid;
use std::sync::Arc;

/// Every difference of a table, with the rows that break it where that can be told.
pub(super) fn of_table(
    connection: &Connection,
    catalog: &Catalog,
    relation: &Arc<Relation>,
    there: &Existing,
    bounds: Bounds,
) -> Vec<(Difference, Option<Seen>)> {
    let all = differences(catalog, relation, there);
    let seen = |difference: &Difference| {
        let condition = condition(catalog, relation, there, difference)?;
        let sql = format!(
            "SELECT count(*) FROM \"public\".{} AS c WHERE {condition}",
            quoted(&relation.sqlite_name)
        );
        connection.set_deadline(bounds.until);
        let counted = connection.query_integer(&sql, &[]);
        connection.set_deadline(None);
        let rows = u64::try_from(counted.ok()??).unwrap_or_default();
        let examples = match rows {
            0 => Vec::new(),
            _ => examples(connection, relation, &condition, bounds),
        };
        Some(Seen { rows, examples })
    };
    all.into_iter()
        .map(|difference| {
            let seen = seen(&difference);
            (difference, seen)
        })
        .collect()
}

/// The condition that selects rows which break it; None where nothing can be asked.
fn condition(
    catalog: &Catalog,
    relation: &Relation,
    there: &Existing,
    difference: &Difference,
) -> Option<String> {
    if difference.over.is_empty() {
        return None;
    }
    let own =
        |name: &String| relation.column(name).map(|c| quoted(&relation.columns[c].sqlite_name));
    let own: Vec<String> = difference.over.iter().map(own).collect::<Option<_>>()?;
    let known: Vec<String> = own.iter().map(|name| format!("c.{name} IS NOT NULL")).collect();
    let known = known.join(" AND ");
    match (difference.kind, &difference.leads_to) {
        (Kind::MoreUnique, _) => {
            let folded: Vec<String> = difference
                .over
                .iter()
                .zip(&own)
                .map(|(theirs, own)| {
                    let apart = there.column(theirs).and_then(|c| c.actual.apart.as_ref());
                    let folds = apart.is_some_and(|a| a.extension == Some(oid::CITEXT));
                    if folds { format!("lower({own})") } else { own.clone() }
                })
                .collect();
            let folded = folded.join(", ");
            Some(format!(
                "{known} AND ({folded}) IN (SELECT {folded} FROM \"public\".{} \
                 GROUP BY {folded} HAVING count(*) > 1)",
                quoted(&relation.sqlite_name)
            ))
        }
        (Kind::MoreForeignKey, Some((table, referenced))) => {
            let parent = relation_of_name(catalog, table)?;
            let theirs =
                |name: &String| parent.column(name).map(|c| quoted(&parent.columns[c].sqlite_name));
            let theirs: Vec<String> = referenced.iter().map(theirs).collect::<Option<_>>()?;
            let joined: Vec<String> =
                theirs.iter().zip(&own).map(|(p, c)| format!("p.{p} = c.{c}")).collect();
            Some(format!(
                "{known} AND NOT EXISTS (SELECT 1 FROM \"public\".{} p WHERE {})",
                quoted(&parent.sqlite_name),
                joined.join(" AND ")
            ))
        }
        _ => None,
    }
}
