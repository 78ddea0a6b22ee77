//! Brings back what a statement needs: recorded runs make and drop the same names many times,
//! and only the first of like statements was kept.
//!
//! Every repair runs on all sides. It must never change the statement. Start at [`repair`].

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

use super::corpus::Statement;
use super::infer;
use super::replay::Replay;
use super::text;
use crate::common::client::Failure;

/// Tries to make the statement possible after PostgreSQL refused it; false where nothing is
/// left to try. `tried` holds the repairs made for this statement so far.
pub fn repair(
    replay: &mut Replay<'_>,
    index: usize,
    statement: &Statement,
    error: &Failure,
    tried: &mut BTreeSet<String>,
) -> bool {
    if tried.len() > 12 {
        return false;
    }
    let names = quoted(&error.message);
    let first = names.first().cloned().unwrap_or_default();
    match error.code.as_str() {
        "42P01" => {
            path(replay, tried)
                || recreate(replay, index, &first, None, tried)
                || once(replay, &infer::table(replay.statements(), &last(&first)), tried)
        }
        "42703" | "42704" => {
            let words = text::words(&statement.sql);
            let column = names.first().map(|n| last(n));
            let tables: Vec<String> =
                replay.creates.keys().filter(|t| words.contains(*t)).cloned().collect();
            tables.iter().any(|t| recreate(replay, index, t, column.as_deref(), tried))
        }
        "42P07" | "42710" => {
            let kind = if text::created_table(&statement.sql).is_some() {
                "TABLE"
            } else if statement.sql.to_ascii_lowercase().contains(" index ") {
                "INDEX"
            } else if statement.sql.to_ascii_lowercase().contains(" view ") {
                "VIEW"
            } else if statement.sql.to_ascii_lowercase().contains("create type") {
                "TYPE"
            } else {
                return false;
            };
            once(replay, &format!("DROP {kind} {} CASCADE", ident(&first)), tried)
        }
        "3F000" if first.is_empty() => path(replay, tried),
        "3F000" => once(replay, &format!("CREATE SCHEMA {}", ident(&first)), tried),
        "26000" => false,
        "42P05" => once(replay, &format!("DEALLOCATE {}", ident(&first)), tried),
        "42P03" => once(replay, &format!("CLOSE {}", ident(&first)), tried),
        _ => false,
    }
}

/// Another session's search_path is not this one's.
fn path(replay: &mut Replay<'_>, tried: &mut BTreeSet<String>) -> bool {
    tried.insert("search_path".to_owned()) && {
        let answer = replay.prepare("SELECT current_schemas(false)::text");
        let now = answer.outcomes.first().and_then(|o| o.rows.first()).cloned().unwrap_or_default();
        now != [Some(b"{public}".to_vec())] && replay.prepare("SET search_path TO DEFAULT").ok()
    }
}

fn once(replay: &mut Replay<'_>, sql: &str, tried: &mut BTreeSet<String>) -> bool {
    tried.insert(sql.to_owned()) && replay.prepare(sql).ok()
}

fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn last(name: &str) -> String {
    name.rsplit('.').next().unwrap_or(name).to_owned()
}

/// Names in a message: in quotes, or after `column`.
fn quoted(message: &str) -> Vec<String> {
    static NAME: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r#""((?:[^"]|"")+)"|column (\S+) does not exist"#).unwrap());
    NAME.captures_iter(message)
        .map(|c| c.get(1).or_else(|| c.get(2)).unwrap().as_str().replace("\"\"", "\""))
        .collect()
}

/// Makes a table by the nearest CREATE TABLE text that was not tried yet and has the column.
fn recreate(
    replay: &mut Replay<'_>,
    index: usize,
    name: &str,
    column: Option<&str>,
    tried: &mut BTreeSet<String>,
) -> bool {
    let name = last(name);
    let mut texts = replay.creates.get(&name).cloned().unwrap_or_default();
    // The last one before the statement first, then those after it.
    texts.sort_by_key(|i| if *i <= index { (0, index - i) } else { (1, *i) });
    for at in texts {
        let sql = replay.text_at(at);
        if column.is_some_and(|c| !text::words(sql).contains(&c.to_ascii_lowercase()))
            || !tried.insert(format!("{name} {at}"))
        {
            continue;
        }
        replay.prepare(&format!("DROP TABLE IF EXISTS {} CASCADE", ident(&name)));
        let answer = replay.prepare(sql);
        if answer.ok() {
            return true;
        }
        if let Some(error) = answer.error
            && error.code == "42P01"
            && let Some(other) = quoted(&error.message).first()
            && recreate(replay, index, other, None, tried)
            && replay.prepare(sql).ok()
        {
            return true;
        }
    }
    false
}

/// What a transaction-control statement needs around it.
pub fn surroundings(sql: &str) -> Vec<String> {
    let parts = text::statements(sql);
    let words: Vec<(text::Piece, &str)> = parts
        .first()
        .map(|p| text::pieces(p))
        .unwrap_or_default()
        .into_iter()
        .filter(|(p, _)| matches!(p, text::Piece::Word | text::Piece::Quoted))
        .collect();
    let word = |i: usize| words.get(i).map(|(_, w)| w.to_ascii_lowercase()).unwrap_or_default();
    let name = words.last().map_or("", |(_, w)| w);
    let begin = "BEGIN".to_owned();
    match (word(0).as_str(), word(1).as_str()) {
        ("savepoint", _) | ("set", "transaction") | ("prepare", "transaction") => vec![begin],
        ("release", _) | ("rollback", "to") => vec![begin, format!("SAVEPOINT {name}")],
        ("commit" | "rollback" | "end" | "abort", "" | "and" | "work" | "transaction") => {
            vec![begin]
        }
        _ => Vec::new(),
    }
}
