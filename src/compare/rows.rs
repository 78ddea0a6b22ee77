//! Comparing the rows of two answers.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use super::{Difference, Row, Verdict};
use crate::sql::plan::RowOrder;
use crate::value::{Datum, Style, Type, canonical};

/// Rows left over on each side that are paired by nearness.
const PAIRS_MAX: usize = 500;

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
    ulps: u32,
) -> Verdict {
    let types = &Types { types, ulps };
    let verdict = match order {
        RowOrder::Total => in_order(types, primary, shadow),
        RowOrder::Keys(keys) => by_groups(keys, types, primary, shadow),
        RowOrder::None | RowOrder::Hidden => as_multisets(types, primary, shadow),
    };
    match verdict {
        Verdict::Diverged(_) if unordered_limit => Verdict::Ambiguous,
        other => other,
    }
}

/// Columns' types, and how far floats may be apart.
struct Types<'a> {
    types: &'a [Type],
    ulps: u32,
}

impl Types<'_> {
    fn differ(&self, a: &Row, b: &Row) -> Vec<usize> {
        columns_apart(self.types, a, b, self.ulps)
    }
}

/// What an answer cut by LIMIT must have in common with another one: the number of rows, and the
/// sort keys in their order. None when it has.
pub fn cut(
    order: &RowOrder,
    types: &[Type],
    primary: &[Row],
    shadow: &[Row],
) -> Option<Box<Difference>> {
    let types = &Types { types, ulps: 0 };
    if primary.len() != shadow.len() {
        let (p, s) = (primary.get(shadow.len()), shadow.get(primary.len()));
        let class = if p.is_some() { "row_missing" } else { "row_extra" };
        let all = (0..types.types.len()).collect();
        return difference(class, all, p, s, "LIMIT gave another number of rows");
    }
    let RowOrder::Keys(keys) = order else { return None };
    primary.iter().zip(shadow).find_map(|(p, s)| {
        let columns: Vec<usize> =
            types.differ(p, s).into_iter().filter(|c| keys.contains(c)).collect();
        let what = "another sort key comes before LIMIT";
        if columns.is_empty() { None } else { difference("value", columns, Some(p), Some(s), what) }
    })
}

/// A row of the primary's that is none of those the shadow could have chosen from.
pub fn outside(types: &[Type], primary: &[Row], all: &[Row]) -> Option<Box<Difference>> {
    let mut left: HashMap<u128, usize> = HashMap::with_capacity(all.len());
    for row in all {
        *left.entry(row_hash(types, row)).or_default() += 1;
    }
    let row = primary.iter().find(|row| match left.get_mut(&row_hash(types, row)) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    })?;
    let what = "the shadow has no such row, with LIMIT or without";
    difference("row_missing", (0..types.len()).collect(), Some(row), None, what)
}

/// Indexes of the columns in which two rows differ by more than floats may.
pub fn columns_apart(types: &[Type], a: &Row, b: &Row, ulps: u32) -> Vec<usize> {
    let mut columns = columns_that_differ(types, a, b);
    columns.retain(|i| !matches!((a.get(*i), b.get(*i)), (Some(a), Some(b)) if near(a, b, ulps)));
    columns
}

/// Whether two floats have at most so many others between them.
fn near(a: &Datum, b: &Datum, ulps: u32) -> bool {
    // Consecutive floats have consecutive numbers, negative ones downwards.
    let number = |bits: i64| if bits < 0 { i64::MIN.wrapping_sub(bits) } else { bits };
    let apart = match (a, b) {
        (Datum::Float8(a), Datum::Float8(b)) if a.is_finite() && b.is_finite() => {
            number(a.to_bits().cast_signed()).abs_diff(number(b.to_bits().cast_signed()))
        }
        (Datum::Float4(a), Datum::Float4(b)) if a.is_finite() && b.is_finite() => {
            let wide = |f: f32| {
                let bits = f.to_bits().cast_signed();
                i64::from(if bits < 0 { i32::MIN.wrapping_sub(bits) } else { bits })
            };
            wide(*a).abs_diff(wide(*b))
        }
        _ => return false,
    };
    apart <= u64::from(ulps)
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

fn in_order(types: &Types<'_>, primary: &[Row], shadow: &[Row]) -> Verdict {
    if primary.len() != shadow.len() {
        return as_multisets(types, primary, shadow);
    }
    let first = primary
        .iter()
        .zip(shadow)
        .map(|(p, s)| (p, s, types.differ(p, s)))
        .find(|(_, _, columns)| !columns.is_empty());
    let Some((p, s, columns)) = first else { return matched(primary == shadow) };
    // The same rows in another order are one difference of order, not many of value.
    if !matches!(as_multisets(types, primary, shadow), Verdict::Diverged(_)) {
        return diverged("order", columns, Some(p), Some(s), "the rows come in another order");
    }
    diverged("value", columns, Some(p), Some(s), "a row has other values")
}

/// Rows with equal sort keys may come in any order among themselves.
fn by_groups(keys: &[usize], types: &Types<'_>, primary: &[Row], shadow: &[Row]) -> Verdict {
    let key_types: Vec<Type> = keys.iter().filter_map(|k| types.types.get(*k).copied()).collect();
    let key = |row: &Row| -> Row { keys.iter().filter_map(|k| row.get(*k).cloned()).collect() };
    let mut exact = true;
    let (mut at, mut other_at) = (0, 0);
    while at < primary.len() {
        let first = key(&primary[at]);
        let same = |row: &Row| columns_apart(&key_types, &first, &key(row), types.ulps).is_empty();
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

fn as_multisets(types: &Types<'_>, primary: &[Row], shadow: &[Row]) -> Verdict {
    let mut left: HashMap<u128, Vec<&Row>> = HashMap::with_capacity(primary.len());
    for row in primary {
        left.entry(row_hash(types.types, row)).or_default().push(row);
    }
    let mut extra: Vec<&Row> = Vec::new();
    let mut exact = true;
    for row in shadow {
        match left.entry(row_hash(types.types, row)) {
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
    let gone: HashSet<*const Row> =
        left.values().flatten().map(|r| std::ptr::from_ref(*r)).collect();
    let mut missing: Vec<&Row> =
        primary.iter().filter(|r| gone.contains(&std::ptr::from_ref(*r))).collect();
    if types.ulps > 0 && extra.len() <= PAIRS_MAX && missing.len() <= PAIRS_MAX {
        // Rows that are near have other hashes.
        missing.retain(|p| {
            let twin = extra.iter().position(|s| types.differ(p, s).is_empty());
            exact &= twin.is_none();
            twin.map(|at| extra.swap_remove(at)).is_none()
        });
    }
    difference_of(types, &missing, &extra).unwrap_or_else(|| matched(exact))
}

fn difference_of(types: &Types<'_>, missing: &[&Row], extra: &[&Row]) -> Option<Verdict> {
    let all: Vec<usize> = (0..types.types.len()).collect();
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
                .map(|s| (types.differ(p, s), *s))
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
    let found = difference(class, columns, primary, shadow, message);
    found.map_or(Verdict::Ambiguous, Verdict::Diverged)
}

/// Always Some: for callers that search for one.
fn difference(
    class: &'static str,
    columns: Vec<usize>,
    primary: Option<&Row>,
    shadow: Option<&Row>,
    message: &str,
) -> Option<Box<Difference>> {
    Some(Box::new(Difference {
        class,
        columns,
        primary: primary.cloned(),
        shadow: shadow.cloned(),
        message: message.to_owned(),
    }))
}

fn row_hash(types: &[Type], row: &Row) -> u128 {
    canonical::wide(row.iter().zip(types))
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
        match rows(order, false, &types, &rows_of(primary), &rows_of(shadow), 0) {
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

    #[test]
    fn an_open_answer_is_ambiguous_unless_what_it_must_share_differs() {
        let types = [Type::new(oid::INT4), Type::new(oid::INT4)];
        let of = |r: &[&[i64]]| r.iter().map(|r| row(r)).collect::<Vec<_>>();
        let (a, b) = (of(&[&[1, 1], &[2, 1]]), of(&[&[1, 1], &[2, 9]]));
        let keys = RowOrder::Keys(vec![0]);
        assert_eq!(rows(&keys, true, &types, &a, &b, 0), Verdict::Ambiguous);
        // Fewer rows of a subquery's choice are right as well.
        assert_eq!(rows(&keys, true, &types, &a, &b[..1], 0), Verdict::Ambiguous);
        assert_eq!(cut(&keys, &types, &a, &b), None);
        assert_eq!(cut(&keys, &types, &a, &b[..1]).unwrap().class, "row_missing");
        assert_eq!(cut(&RowOrder::None, &types, &a, &of(&[&[3, 1], &[2, 9]])), None);
        let other = of(&[&[1, 1], &[3, 1]]);
        assert_eq!(cut(&keys, &types, &a, &other).unwrap().columns, [0]);
        let all = of(&[&[2, 1], &[5, 5], &[1, 1]]);
        assert_eq!(outside(&types, &a, &all), None);
        assert_eq!(outside(&types, &of(&[&[1, 1], &[1, 1]]), &all).unwrap().class, "row_missing");
    }

    #[test]
    fn floats_by_bits_then_by_ulps() {
        let types = [Type::new(oid::FLOAT8)];
        let next = f64::from_bits(1.1_f64.to_bits() + 3);
        let of = |f: f64| vec![vec![Datum::Float8(f)]];
        let verdict =
            |a: f64, b: f64, ulps| rows(&RowOrder::None, false, &types, &of(a), &of(b), ulps);
        assert!(matches!(verdict(1.1, next, 0), Verdict::Diverged(_)));
        assert!(matches!(verdict(1.1, next, 2), Verdict::Diverged(_)));
        assert_eq!(verdict(1.1, next, 3), Verdict::MatchNormalized);
        assert_eq!(verdict(1.1, 1.1, 3), Verdict::Match);
        assert_eq!(verdict(5e-324, -5e-324, 2), Verdict::MatchNormalized);
        assert!(matches!(verdict(f64::INFINITY, f64::MAX, 4), Verdict::Diverged(_)));
        assert!(matches!(verdict(f64::NAN, 1.0, 4), Verdict::Diverged(_)));
        let narrow = [Type::new(oid::FLOAT4)];
        let of = |bits: u32| vec![vec![Datum::Float4(f32::from_bits(bits))]];
        let one = 1.0_f32.to_bits();
        let verdict = |b, ulps| rows(&RowOrder::Total, false, &narrow, &of(one), &of(b), ulps);
        assert!(matches!(verdict(one + 2, 1), Verdict::Diverged(_)));
        assert_eq!(verdict(one + 2, 2), Verdict::MatchNormalized);
    }
}
