//! Two answers to one statement: equal, differing, or not comparable because PostgreSQL itself
//! answers differently when asked twice.
//!
//! The second PostgreSQL (the twin) holds the same data and runs with other planner settings, so
//! that an order which nothing asked for shows. Start at [`answers`].

use std::fmt::Write as _;
use std::sync::LazyLock;

use regex::bytes::Regex;

use super::text;
use crate::common::client::{Answer, Outcome, Row};

/// What a comparison found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    Equal,
    /// PostgreSQL's own answers differ; what is stable in them is equal.
    Unstable,
    /// The same rows in another order, though the text asks for an order.
    Order(String),
    /// The same rows, but types of columns differ.
    Types(String),
    Wrong(String),
}

/// Compares the proxy's answer with PostgreSQL's. `types` are the columns' type names.
pub fn answers(
    sql: &str,
    pg: (&Answer, &[Vec<String>]),
    twin: &Answer,
    proxy: (&Answer, &[Vec<String>]),
) -> Found {
    let (expected, given) = (&pg.0.outcomes, &proxy.0.outcomes);
    if expected.len() != given.len() {
        return Found::Wrong(format!("{} results, expected {}", given.len(), expected.len()));
    }
    let statements = text::statements(sql);
    let mut worst = Found::Equal;
    for (i, (e, g)) in expected.iter().zip(given).enumerate() {
        let sql = if statements.len() == expected.len() { statements[i] } else { sql };
        let second = twin.outcomes.get(i).unwrap_or(e);
        let found = outcome(sql, e, second, g);
        let found = match found {
            Found::Equal | Found::Unstable if pg.1.get(i) != proxy.1.get(i) => {
                Found::Types(format!("types {:?}, expected {:?}", proxy.1.get(i), pg.1.get(i)))
            }
            other => other,
        };
        if rank(&found) > rank(&worst) {
            worst = found;
        }
    }
    worst
}

fn rank(found: &Found) -> u8 {
    match found {
        Found::Equal => 0,
        Found::Unstable => 1,
        Found::Types(_) => 2,
        Found::Order(_) => 3,
        Found::Wrong(_) => 4,
    }
}

fn outcome(sql: &str, pg: &Outcome, twin: &Outcome, proxy: &Outcome) -> Found {
    let names = |o: &Outcome| -> Option<Vec<String>> {
        o.columns.as_ref().map(|c| c.iter().map(|c| c.name.clone()).collect())
    };
    if names(pg) != names(proxy) {
        if names(pg) != names(twin) {
            return Found::Unstable;
        }
        return Found::Wrong(format!("columns {:?}, expected {:?}", names(proxy), names(pg)));
    }
    if pg.tag != proxy.tag {
        if pg.tag != twin.tag {
            return Found::Unstable;
        }
        return Found::Wrong(format!("tag {:?}, expected {:?}", proxy.tag, pg.tag));
    }
    rows(text::ordered(sql), text::limited(sql), &pg.rows, &twin.rows, &proxy.rows)
}

/// Compares row sets: as sequences where the text orders them, else as multisets.
pub fn rows(ordered: bool, limited: bool, pg: &[Row], twin: &[Row], proxy: &[Row]) -> Found {
    if pg == proxy {
        return Found::Equal;
    }
    let (pg, twin, proxy) = (&masked(pg)[..], &masked(twin)[..], &masked(proxy)[..]);
    if sorted(pg) == sorted(proxy) {
        if !ordered || pg == proxy || pg != twin {
            return Found::Equal;
        }
        return Found::Order(differing(pg, proxy));
    }
    if pg.len() != twin.len() {
        return Found::Unstable;
    }
    if limited && !ordered && pg.len() == proxy.len() {
        return Found::Unstable;
    }
    if pg != twin && pg.len() == proxy.len() {
        let stable: Vec<usize> = (0..pg.first().map_or(0, Vec::len))
            .filter(|c| pg.iter().zip(twin).all(|(a, b)| a.get(*c) == b.get(*c)))
            .collect();
        let keep = |rows: &[Row]| -> Vec<Row> {
            let rows = rows.iter().map(|r| stable.iter().map(|c| r[*c].clone()).collect());
            sorted(&rows.collect::<Vec<Row>>())
        };
        if keep(pg) == keep(proxy) {
            return Found::Unstable;
        }
    }
    Found::Wrong(differing(pg, proxy))
}

/// Times of this run are alike: each side has a clock of its own.
fn masked(rows: &[Row]) -> Vec<Row> {
    static NOW: LazyLock<Regex> = LazyLock::new(|| {
        let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
        let days = [-1, 0, 1].map(|d| today.saturating_add(jiff::Span::new().days(d)).to_string());
        Regex::new(&format!(r"(?-u)\b({})[ T]\d\d:\d\d:\d\d(\.\d+)?", days.join("|"))).unwrap()
    });
    let mask = |value: &Option<Vec<u8>>| {
        value.as_ref().map(|v| NOW.replace_all(v, &b"<now>"[..]).into_owned())
    };
    rows.iter().map(|row| row.iter().map(mask).collect()).collect()
}

fn sorted(rows: &[Row]) -> Vec<Row> {
    let mut rows = rows.to_vec();
    rows.sort();
    rows
}

/// A row as a person reads it.
pub fn shown(row: &Row) -> String {
    let values: Vec<String> = row
        .iter()
        .map(|v| match v {
            None => "NULL".to_owned(),
            Some(bytes) => {
                let text: String = String::from_utf8_lossy(bytes).chars().take(200).collect();
                format!("{text:?}")
            }
        })
        .collect();
    format!("({})", values.join(", "))
}

fn differing(pg: &[Row], proxy: &[Row]) -> String {
    let mut out = format!("{} rows, expected {}", proxy.len(), pg.len());
    let (mut missing, mut extra) = (sorted(pg), sorted(proxy));
    missing.retain(|row| extra.iter().position(|e| e == row).map(|i| extra.remove(i)).is_none());
    if !missing.is_empty() || !extra.is_empty() {
        extra.iter().take(2).for_each(|r| write!(out, "\n      extra    {}", shown(r)).unwrap());
        missing.iter().take(2).for_each(|r| write!(out, "\n      missing  {}", shown(r)).unwrap());
        return out;
    }
    let pairs = (0..pg.len().max(proxy.len())).map(|i| (pg.get(i), proxy.get(i)));
    for (expected, given) in pairs.filter(|(a, b)| a != b).take(3) {
        let text = |r: Option<&Row>| r.map_or_else(|| "-".to_owned(), shown);
        write!(out, "\n      got      {}\n      expected {}", text(given), text(expected)).unwrap();
    }
    out
}

#[test]
fn unstable_columns_are_left_out() {
    let row = |a: &str, b: &str| vec![Some(a.as_bytes().to_vec()), Some(b.as_bytes().to_vec())];
    let (pg, twin) = ([row("1", "x")], [row("1", "y")]);
    assert_eq!(rows(true, false, &pg, &twin, &[row("1", "z")]), Found::Unstable);
    assert!(matches!(rows(true, false, &pg, &twin, &[row("2", "z")]), Found::Wrong(_)));
    let two = [row("1", "x"), row("2", "x")];
    let turned = [row("2", "x"), row("1", "x")];
    assert_eq!(rows(false, false, &two, &two, &turned), Found::Equal);
    assert!(matches!(rows(true, false, &two, &two, &turned), Found::Order(_)));
}
