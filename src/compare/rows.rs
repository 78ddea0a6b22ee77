//! Comparing the rows of two answers.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{DefaultHasher, Hasher};

use super::{Difference, Row, Verdict};
use crate::sql::plan::RowOrder;
use crate::value::{Datum, Style, Type, canonical};

/// Compares two answers to one statement, taken at one position.
///
/// `order` says how much of the rows' order the statement determines; with `unordered_limit`
/// the row set itself is not determined, and a difference is `Ambiguous`.
pub fn rows(
    order: &RowOrder,
    unordered_limit: bool,
    types: &[Type],
    primary: &[Row],
    shadow: &[Row],
) -> Verdict {
    let verdict = match order {
        RowOrder::Total => in_order(types, primary, shadow),
        RowOrder::Keys(keys) => by_groups(keys, types, primary, shadow),
        RowOrder::None | RowOrder::Hidden => as_multisets(types, primary, shadow),
    };
    match verdict {
        Verdict::Diverged(_) if unordered_limit && primary.len() == shadow.len() => {
            Verdict::Ambiguous
        }
        other => other,
    }
}

/// Indexes of the columns in which two rows differ.
pub fn columns_that_differ(types: &[Type], a: &Row, b: &Row) -> Vec<usize> {
    types
        .iter()
        .enumerate()
        .filter(|(i, ty)| match (a.get(*i), b.get(*i)) {
            (Some(a), Some(b)) => !canonical::equal(a, b, **ty),
            _ => true,
        })
        .map(|(i, _)| i)
        .collect()
}

/// A value in text form for evidence; None is NULL.
pub fn text(datum: &Datum, ty: Type) -> Option<String> {
    if datum.is_null() {
        return None;
    }
    let mut out = Vec::new();
    crate::value::text::format(datum, ty, &Style::default(), &mut out);
    Some(String::from_utf8_lossy(&out).into_owned())
}

fn in_order(types: &[Type], primary: &[Row], shadow: &[Row]) -> Verdict {
    if primary.len() != shadow.len() {
        return as_multisets(types, primary, shadow);
    }
    let first = primary
        .iter()
        .zip(shadow)
        .map(|(p, s)| (p, s, columns_that_differ(types, p, s)))
        .find(|(_, _, columns)| !columns.is_empty());
    let Some((p, s, columns)) = first else { return matched(primary == shadow) };
    // The same rows in another order are one difference of order, not many of value.
    if !matches!(as_multisets(types, primary, shadow), Verdict::Diverged(_)) {
        return diverged("order", columns, Some(p), Some(s), "the rows come in another order");
    }
    diverged("value", columns, Some(p), Some(s), "a row has other values")
}

/// Rows with equal sort keys may come in any order among themselves.
fn by_groups(keys: &[usize], types: &[Type], primary: &[Row], shadow: &[Row]) -> Verdict {
    let key_types: Vec<Type> = keys.iter().filter_map(|k| types.get(*k).copied()).collect();
    let key = |row: &Row| -> Row { keys.iter().filter_map(|k| row.get(*k).cloned()).collect() };
    let mut exact = true;
    let (mut at, mut other_at) = (0, 0);
    while at < primary.len() {
        let first = key(&primary[at]);
        let same = |row: &Row| columns_that_differ(&key_types, &first, &key(row)).is_empty();
        let len = primary[at..].iter().take_while(|r| same(r)).count();
        let other_len = shadow[other_at.min(shadow.len())..].iter().take_while(|r| same(r)).count();
        let other_end = other_at + other_len;
        match as_multisets(types, &primary[at..at + len], &shadow[other_at..other_end]) {
            Verdict::Match => {}
            Verdict::MatchNormalized => exact = false,
            different => {
                let whole = as_multisets(types, primary, shadow);
                return if matches!(whole, Verdict::Diverged(_)) {
                    whole
                } else if let Verdict::Diverged(mut difference) = different {
                    difference.class = "order";
                    Verdict::Diverged(difference)
                } else {
                    different
                };
            }
        }
        at += len;
        other_at = other_end;
    }
    if other_at < shadow.len() {
        return as_multisets(types, primary, shadow);
    }
    matched(exact)
}

fn as_multisets(types: &[Type], primary: &[Row], shadow: &[Row]) -> Verdict {
    let mut left: HashMap<u128, Vec<&Row>> = HashMap::with_capacity(primary.len());
    for row in primary {
        left.entry(row_hash(types, row)).or_default().push(row);
    }
    let mut extra: Vec<&Row> = Vec::new();
    let mut exact = true;
    for row in shadow {
        match left.entry(row_hash(types, row)) {
            Entry::Occupied(mut found) => {
                let candidates = found.get_mut();
                // Prefer the twin that is also written the same way.
                let at = candidates.iter().position(|c| *c == row).unwrap_or(0);
                exact &= candidates.swap_remove(at) == row;
                if candidates.is_empty() {
                    found.remove();
                }
            }
            Entry::Vacant(_) => extra.push(row),
        }
    }
    let missing: Vec<&Row> =
        primary.iter().filter(|r| left.values().flatten().any(|l| std::ptr::eq(*l, *r))).collect();
    difference_of(types, &missing, &extra).unwrap_or_else(|| matched(exact))
}

fn difference_of(types: &[Type], missing: &[&Row], extra: &[&Row]) -> Option<Verdict> {
    let all: Vec<usize> = (0..types.len()).collect();
    match (missing.first(), extra.first()) {
        (None, None) => None,
        (Some(p), None) => Some(diverged(
            "row_missing",
            all,
            Some(p),
            None,
            &format!("the shadow lacks {} of the primary's rows", missing.len()),
        )),
        (None, Some(s)) => Some(diverged(
            "row_extra",
            all,
            None,
            Some(s),
            &format!("the shadow has {} rows the primary has not", extra.len()),
        )),
        (Some(p), Some(_)) => {
            // Show the pair that differs least: most likely the same row.
            let nearest = extra
                .iter()
                .take(100)
                .map(|s| (columns_that_differ(types, p, s), *s))
                .min_by_key(|(columns, _)| columns.len())?;
            let (columns, s) = nearest;
            Some(diverged("value", columns, Some(p), Some(s), "a row has other values"))
        }
    }
}

fn matched(exact: bool) -> Verdict {
    if exact { Verdict::Match } else { Verdict::MatchNormalized }
}

fn diverged(
    class: &'static str,
    columns: Vec<usize>,
    primary: Option<&Row>,
    shadow: Option<&Row>,
    message: &str,
) -> Verdict {
    Verdict::Diverged(Box::new(Difference {
        class,
        columns,
        primary: primary.cloned(),
        shadow: shadow.cloned(),
        message: message.to_owned(),
    }))
}

/// 128 bits from two differently seeded hashes: equal rows hash equally; that unequal ones
/// collide is less likely than a fault of memory.
fn row_hash(types: &[Type], row: &Row) -> u128 {
    let mut first = DefaultHasher::new();
    let mut second = DefaultHasher::new();
    second.write_u64(0x9e37_79b9_7f4a_7c15);
    for (datum, ty) in row.iter().zip(types) {
        canonical::hash(datum, *ty, &mut first);
        canonical::hash(datum, *ty, &mut second);
    }
    (u128::from(first.finish()) << 64) | u128::from(second.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::oid;

    fn row(values: &[i64]) -> Row {
        values.iter().map(|v| Datum::Int(*v)).collect()
    }

    fn check(order: &RowOrder, primary: &[&[i64]], shadow: &[&[i64]]) -> &'static str {
        let types = [Type::new(oid::INT4), Type::new(oid::INT4)];
        let rows_of = |r: &[&[i64]]| r.iter().map(|r| row(r)).collect::<Vec<_>>();
        match rows(order, false, &types, &rows_of(primary), &rows_of(shadow)) {
            Verdict::Diverged(difference) => difference.class,
            other => other.label(),
        }
    }

    #[test]
    fn order_counts_only_where_it_is_determined() {
        let (a, b): (&[&[i64]], &[&[i64]]) =
            (&[&[1, 1], &[1, 2], &[2, 0]], &[&[1, 2], &[1, 1], &[2, 0]]);
        assert_eq!(check(&RowOrder::None, a, b), "match");
        assert_eq!(check(&RowOrder::Keys(vec![0]), a, b), "match");
        assert_eq!(check(&RowOrder::Total, a, b), "order");
        assert_eq!(
            check(&RowOrder::Keys(vec![1]), &[&[1, 1], &[2, 2]], &[&[2, 2], &[1, 1]]),
            "order"
        );
    }

    #[test]
    fn counts_and_values() {
        let none = &RowOrder::None;
        assert_eq!(check(none, &[&[1, 1], &[1, 1]], &[&[1, 1]]), "row_missing");
        assert_eq!(check(none, &[&[1, 1]], &[&[1, 1], &[1, 1]]), "row_extra");
        assert_eq!(check(none, &[&[1, 1]], &[&[1, 2]]), "value");
        assert_eq!(check(&RowOrder::Keys(vec![0]), &[&[1, 1]], &[&[1, 1], &[3, 3]]), "row_extra");
        assert_eq!(check(&RowOrder::Total, &[&[1, 1]], &[]), "row_missing");
    }
}
