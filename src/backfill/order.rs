//! The order of tables: each after those that it refers to.
//!
//! Owns that rule, for the schema by the file's foreign keys and for the rows that come, where foreign
//! keys act on them, by PostgreSQL's own. Cycles stay in the order they had. Start at [`by_parents`].

use super::Env;
use crate::backend::postgres::apply::table_name;
use crate::error::Result;

/// Foreign keys between the tables of a list: who refers, who is referred to, by their place in it.
const KEYS: &str = "\
WITH t AS (SELECT to_regclass(n) AS oid, i::int FROM unnest($1::text[]) WITH ORDINALITY u(n, i)) \
SELECT r.i - 1, p.i - 1 FROM pg_constraint c JOIN t r ON r.oid = c.conrelid \
JOIN t p ON p.oid = c.confrelid WHERE c.contype = 'f' AND c.conrelid <> c.confrelid";

/// The tables, referenced ones first.
///
/// # Errors
/// What PostgreSQL said.
pub(super) async fn by_parents<'a>(env: &Env<'_>, tables: Vec<&'a str>) -> Result<Vec<&'a str>> {
    if env.replica {
        return Ok(tables);
    }
    let shown = |name: &&str| env.cut.catalog.relation(name).map(|r| table_name(r));
    let shown: Vec<Option<String>> = tables.iter().map(shown).collect();
    let rows = env.control.client().query(KEYS, &[&shown]).await;
    let rows = rows.map_err(|e| env.control.error(&e))?;
    let at = |row: &tokio_postgres::Row, i: usize| usize::try_from(row.get::<_, i32>(i)).ok();
    let keys: Vec<(usize, usize)> =
        rows.iter().filter_map(|row| at(row, 0).zip(at(row, 1))).collect();
    Ok(sorted(tables.len(), &keys).into_iter().filter_map(|i| tables.get(i).copied()).collect())
}

/// The numbers below `count`, those that others refer to before them.
pub(super) fn sorted(count: usize, keys: &[(usize, usize)]) -> Vec<usize> {
    let mut done = Vec::with_capacity(count);
    let mut left: Vec<usize> = (0..count).collect();
    while !left.is_empty() {
        let waits = |i: usize| keys.iter().any(|(child, to)| *child == i && left.contains(to));
        let (blocked, ready): (Vec<usize>, Vec<usize>) = left.iter().partition(|i| waits(**i));
        if ready.is_empty() {
            done.extend(blocked);
            break;
        }
        done.extend(ready);
        left = blocked;
    }
    done
}

#[cfg(test)]
mod tests {
    use super::sorted;

    #[test]
    fn parents_come_first() {
        assert_eq!(sorted(3, &[]), [0, 1, 2]);
        assert_eq!(sorted(4, &[(0, 2), (2, 3), (0, 3)]), [1, 3, 2, 0]);
        // A cycle, and one that hangs on it.
        assert_eq!(sorted(4, &[(1, 2), (2, 1), (0, 3)]), [3, 0, 1, 2]);
    }
}
