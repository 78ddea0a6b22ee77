//! A table that no recorded statement makes, guessed from those that use it.
//!
//! A recording's DDL may be cut off. What its INSERTs put where tells enough of a table to run
//! them and the queries over it; both sides get the same guess. Start at [`table`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;

use super::corpus::Statement;
use super::text::{self, Piece};

/// CREATE TABLE for a name: columns of INSERTs with the types of their constants, columns
/// that other statements name beside it, keys from ON CONFLICT.
pub fn table(statements: &[Statement], name: &str) -> String {
    let mut columns: BTreeMap<String, String> = BTreeMap::new();
    let mut keys = BTreeSet::new();
    for statement in statements {
        if !text::words(&statement.sql).contains(name) {
            continue;
        }
        let written = text::written(&statement.sql).is_some_and(|t| text::words(t).contains(name));
        if written {
            inserted(&statement.sql, &mut columns, &mut keys);
        }
        compared(&statement.sql, name, written, &mut columns);
    }
    let mut items: Vec<String> = columns
        .iter()
        .map(|(column, ty)| format!("\"{column}\" {}", if ty.is_empty() { "text" } else { ty }))
        .collect();
    items.extend(keys.iter().map(|k| format!("UNIQUE ({k})")));
    format!("CREATE TABLE \"{name}\" ({})", items.join(", "))
}

fn kind(literal: &str) -> &'static str {
    let literal = literal.trim();
    let lower = literal.to_ascii_lowercase();
    if lower.ends_with("::bytea") {
        "bytea"
    } else if lower == "true" || lower == "false" {
        "boolean"
    } else if literal.parse::<i64>().is_ok() {
        "bigint"
    } else if literal.parse::<f64>().is_ok() {
        "double precision"
    } else {
        ""
    }
}

fn inserted(sql: &str, columns: &mut BTreeMap<String, String>, keys: &mut BTreeSet<String>) {
    static INSERT: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?is)^\s*insert\s+into\s+\S+?\s*\(([^)]*)\)\s*(values\s*\(.*)?").unwrap()
    });
    static CONFLICT: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?is)on\s+conflict\s*\(([\w\s,\x22]+)\)\s*do").unwrap());
    if let Some(found) = INSERT.captures(sql) {
        let values = found.get(2).map(|v| items(v.as_str())).unwrap_or_default();
        for (i, column) in found[1].split(',').enumerate() {
            let column = column.trim().trim_matches('"').to_owned();
            let ty = values.get(i).map_or("", |v| kind(v));
            let known = columns.entry(column).or_default();
            if known.is_empty() {
                ty.clone_into(known);
            }
        }
    }
    if let Some(found) = CONFLICT.captures(sql) {
        for column in found[1].split(',') {
            columns.entry(column.trim().trim_matches('"').to_owned()).or_default();
        }
        keys.insert(found[1].split_whitespace().collect::<Vec<_>>().join(" "));
    }
}

/// The first row of VALUES, split at its commas.
fn items(values: &str) -> Vec<String> {
    let mut depth = 0;
    let mut found = vec![String::new()];
    for (piece, text) in text::pieces(values) {
        match (piece, text) {
            (Piece::Other, "(") => depth += 1,
            (Piece::Other, ")") => {
                depth -= 1;
                if depth == 0 {
                    break;
                }
            }
            (Piece::Other, ",") if depth == 1 => {
                found.push(String::new());
                continue;
            }
            (Piece::Word, word) if depth == 0 && word.eq_ignore_ascii_case("values") => continue,
            _ => {}
        }
        if depth > 0
            && !(depth == 1 && text == "(")
            && let Some(item) = found.last_mut()
        {
            item.push_str(text);
        }
    }
    found
}

/// `column = constant`, and bare columns where the table stands alone.
fn compared(sql: &str, name: &str, written: bool, columns: &mut BTreeMap<String, String>) {
    static COMPARED: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?i)\b(?:(\w+)\.)?(\w+)\s*(?:=|<>|!=|<=|>=|<|>)\s*(-?\d+(?:\.\d+)?|true|false|'(?:[^']|'')*'(?:::bytea)?)").unwrap()
    });
    static LIST: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?is)^\s*select\s+(?:distinct\s+)?([\w\s,]+?)\s+from\s+(\w+)\s*(?:where|order|limit|$)").unwrap()
    });
    let alone = written || LIST.captures(sql).is_some_and(|c| &c[2] == name);
    for found in COMPARED.captures_iter(sql) {
        let qualified = found.get(1).is_some_and(|q| q.as_str() == name);
        let bare = found.get(1).is_none() && alone;
        if qualified || bare {
            let known = columns.entry(found[2].to_owned()).or_default();
            if known.is_empty() {
                kind(&found[3]).clone_into(known);
            }
        }
    }
    if let Some(list) = LIST.captures(sql).filter(|c| &c[2] == name) {
        for column in
            list[1].split(',').map(str::trim).filter(|c| !c.is_empty() && !c.contains(' '))
        {
            columns.entry(column.to_owned()).or_default();
        }
    }
}

#[test]
fn a_table_is_guessed_from_its_use() {
    let statement = |sql: &str| Statement {
        number: 1,
        executions: 1,
        kind: "dml".to_owned(),
        extended: false,
        sql: sql.to_owned(),
        params: None,
        errors: Vec::new(),
        cut: false,
    };
    let all = [
        statement("INSERT INTO t (a, b, c) VALUES (1, 'x, y', false) ON CONFLICT (a) DO NOTHING"),
        statement("SELECT d, a FROM t WHERE e = 2"),
    ];
    assert_eq!(
        table(&all, "t"),
        "CREATE TABLE \"t\" (\"a\" bigint, \"b\" text, \"c\" boolean, \"d\" text, \"e\" bigint, UNIQUE (a))"
    );
}
