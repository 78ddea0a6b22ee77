//! What PostgreSQL's operators on ranges and multiranges compute.
//!
//! A range counts as a multirange of one member, or of none when it is empty; where PostgreSQL
//! treats the two differently the caller says so. Start at [`test`] and [`combine`].

use std::cmp::Ordering;

use super::{Bound, Range};
use crate::error::{Error, Result, state};
use crate::value::Datum;

/// Whether two ranges share a value.
fn overlap(a: &Range, b: &Range) -> bool {
    let within = |x: &Range, y: &Range| {
        x.low().compare(y.low()).is_ge() && x.low().compare(y.high()).is_le()
    };
    !a.empty && !b.empty && (within(a, b) || within(b, a))
}

fn contains(a: &Range, b: &Range) -> bool {
    b.empty || (!a.empty && a.low().compare(b.low()).is_le() && a.high().compare(b.high()).is_ge())
}

/// Whether nothing lies between an upper end and a lower one, and they share nothing.
fn touch(high: Bound<'_>, low: Bound<'_>) -> bool {
    let (Some(a), Some(b)) = (high.value, low.value) else { return false };
    super::compare_values(a, b) == Ordering::Equal && high.inside != low.inside
}

fn adjacent(a: &Range, b: &Range) -> bool {
    !a.empty && !b.empty && (touch(a.high(), b.low()) || touch(b.high(), a.low()))
}

fn from_bounds(low: Bound<'_>, high: Bound<'_>) -> Result<Range> {
    Range::new(low.value.cloned(), high.value.cloned(), low.inside, high.inside)
}

/// The other side of an end: what lies beyond it.
fn beyond(bound: Bound<'_>) -> Bound<'_> {
    Bound { inside: !bound.inside, lower: !bound.lower, ..bound }
}

/// The smallest range that holds both.
pub fn merge(a: &Range, b: &Range) -> Result<Range> {
    match (a.empty, b.empty) {
        (true, _) => Ok(b.clone()),
        (_, true) => Ok(a.clone()),
        _ => {
            let low = if a.low().compare(b.low()).is_le() { a.low() } else { b.low() };
            let high = if a.high().compare(b.high()).is_ge() { a.high() } else { b.high() };
            from_bounds(low, high)
        }
    }
}

/// What both hold.
fn common(a: &Range, b: &Range) -> Result<Range> {
    if !overlap(a, b) {
        return Ok(Range::nothing());
    }
    let low = if a.low().compare(b.low()).is_ge() { a.low() } else { b.low() };
    let high = if a.high().compare(b.high()).is_le() { a.high() } else { b.high() };
    from_bounds(low, high)
}

/// What the first holds and the second does not: up to two ranges.
fn without(a: &Range, b: &Range) -> Result<Vec<Range>> {
    if !overlap(a, b) {
        return Ok(vec![a.clone()]);
    }
    let mut left = Vec::new();
    if a.low().compare(b.low()).is_lt() {
        left.push(from_bounds(a.low(), beyond(b.low()))?);
    }
    if a.high().compare(b.high()).is_gt() {
        left.push(from_bounds(beyond(b.high()), a.high())?);
    }
    left.retain(|range| !range.empty);
    Ok(left)
}

/// Ranges as a multirange: sorted, joined where they overlap or touch, none empty.
pub fn union_all(mut ranges: Vec<Range>) -> Result<Vec<Range>> {
    ranges.retain(|range| !range.empty);
    ranges.sort_by(Range::compare);
    let mut done: Vec<Range> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match done.last_mut() {
            Some(last) if overlap(last, &range) || adjacent(last, &range) => {
                *last = merge(last, &range)?;
            }
            _ => done.push(range),
        }
    }
    Ok(done)
}

/// The members of a range or multirange.
pub fn members(datum: &Datum) -> &[Range] {
    match datum {
        Datum::Range(_, range) if range.empty => &[],
        Datum::Range(_, range) => std::slice::from_ref(range.as_ref()),
        Datum::Multirange(_, ranges) => ranges,
        _ => &[],
    }
}

/// A comparison by an operator's name; an operand that is neither range nor multirange is one
/// value. None for operators that are none of ranges.
pub fn test(operator: &str, a: &Datum, b: &Datum) -> Result<Option<bool>> {
    let single = |value: &Datum| match value {
        Datum::Range(..) | Datum::Multirange(..) => Ok(None),
        value => Range::new(Some(value.clone()), Some(value.clone()), true, true).map(Some),
    };
    let (one, other) = (single(a)?, single(b)?);
    let a = one.as_ref().map_or_else(|| members(a), std::slice::from_ref);
    let b = other.as_ref().map_or_else(|| members(b), std::slice::from_ref);
    let all_in = |outer: &[Range], inner: &[Range]| {
        inner.iter().all(|i| outer.iter().any(|o| contains(o, i)))
    };
    if matches!(operator, "@>" | "<@") {
        let (outer, inner) = if operator == "@>" { (a, b) } else { (b, a) };
        return Ok(Some(all_in(outer, inner)));
    }
    let (Some(first_a), Some(last_a), Some(first_b), Some(last_b)) =
        (a.first(), a.last(), b.first(), b.last())
    else {
        return Ok(Some(false));
    };
    Ok(Some(match operator {
        "&&" => a.iter().any(|x| b.iter().any(|y| overlap(x, y))),
        "<<" => last_a.high().compare(first_b.low()).is_lt(),
        ">>" => first_a.low().compare(last_b.high()).is_gt(),
        "&<" => last_a.high().compare(last_b.high()).is_le(),
        "&>" => first_a.low().compare(first_b.low()).is_ge(),
        "-|-" => touch(last_a.high(), first_b.low()) || touch(last_b.high(), first_a.low()),
        _ => return Ok(None),
    }))
}

/// `+`, `-` and `*` of two ranges or two multiranges.
///
/// # Errors
/// 22000 where the union or difference of two ranges is no range.
pub fn combine(operator: &str, a: Datum, b: Datum) -> Result<Datum> {
    match (a, b) {
        (Datum::Range(ty, a), Datum::Range(_, b)) => {
            Ok(Datum::Range(ty, Box::new(ranges(operator, &a, &b)?)))
        }
        (Datum::Multirange(ty, a), Datum::Multirange(_, b)) => {
            Ok(Datum::Multirange(ty, multiranges(operator, a, b)?))
        }
        _ => Err(Error::internal("an operator on ranges met other values")),
    }
}

fn ranges(operator: &str, a: &Range, b: &Range) -> Result<Range> {
    let gap = |what| {
        let message = format!("result of range {what} would not be contiguous");
        Err(Error::client(state::DATA_EXCEPTION, message))
    };
    match operator {
        "+" if a.empty || b.empty || overlap(a, b) || adjacent(a, b) => merge(a, b),
        "+" => gap("union"),
        "*" => common(a, b),
        _ if a.empty || b.empty => Ok(a.clone()),
        _ => {
            let inner = a.low().compare(b.low()).is_lt() && a.high().compare(b.high()).is_gt();
            if inner {
                return gap("difference");
            }
            Ok(without(a, b)?.pop().unwrap_or_else(Range::nothing))
        }
    }
}

fn multiranges(operator: &str, mut a: Vec<Range>, b: Vec<Range>) -> Result<Vec<Range>> {
    match operator {
        "+" => {
            a.extend(b);
            union_all(a)
        }
        "*" => {
            let mut found = Vec::new();
            for x in &a {
                for y in &b {
                    found.push(common(x, y)?);
                }
            }
            union_all(found)
        }
        _ => {
            for y in &b {
                let mut left = Vec::with_capacity(a.len() + 1);
                for x in &a {
                    left.extend(without(x, y)?);
                }
                a = left;
            }
            union_all(a)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{Style, Type, range, text};

    fn read(ty: u32, text: &str) -> Datum {
        range::parse(ty, text, &Style::default()).unwrap()
    }

    fn shown(ty: u32, datum: &Datum) -> String {
        let mut out = Vec::new();
        text::format(datum, Type::new(ty), &Style::default(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn operators() {
        let int = |text: &str| read(3904, text);
        for (operator, a, b, wanted) in [
            ("&&", "[1,5)", "[4,9)", true),
            ("&&", "[1,5)", "[5,9)", false),
            ("-|-", "[1,5)", "[5,9)", true),
            ("<<", "[1,5)", "[5,9)", true),
            (">>", "[6,9)", "[1,5)", true),
            ("&<", "[1,5)", "(,5)", true),
            ("&>", "(,5)", "[1,5)", false),
            ("@>", "[1,9)", "empty", true),
            ("<@", "[1,9)", "empty", false),
        ] {
            assert_eq!(test(operator, &int(a), &int(b)).unwrap(), Some(wanted), "{a}{operator}{b}");
        }
        assert_eq!(test("@>", &int("[1,3)"), &Datum::Int(3)).unwrap(), Some(false));
        for (operator, a, b, wanted) in [
            ("+", "[1,3)", "[3,5)", "[1,5)"),
            ("*", "[1,4)", "[3,5)", "[3,4)"),
            ("*", "[1,3)", "[3,5)", "empty"),
            ("-", "[1,5)", "[3,9)", "[1,3)"),
            ("-", "[1,5)", "(,9)", "empty"),
        ] {
            let made = combine(operator, int(a), int(b)).unwrap();
            assert_eq!(shown(3904, &made), wanted, "{a}{operator}{b}");
        }
        assert!(combine("+", int("[1,2)"), int("[5,6)")).is_err());
        assert!(combine("-", int("[1,9)"), int("[5,6)")).is_err());
        let many = |text: &str| read(4451, text);
        let made = combine("-", many("{[1,9)}"), many("{[2,3),[5,6)}")).unwrap();
        assert_eq!(shown(4451, &made), "{[1,2),[3,5),[6,9)}");
        let made = combine("*", many("{[1,4),[6,9)}"), many("{[3,7)}")).unwrap();
        assert_eq!(shown(4451, &made), "{[3,4),[6,7)}");
    }
}
