//! What PostgreSQL itself says of a text, before another one is sent instead.
//!
//! Owns the question. Statements are typed here by SQLite's catalog, and PostgreSQL's columns may be
//! of other types, or may have been changed since: an error of ours proves nothing. It must never
//! run anything, and never keep a client longer than [`PATIENCE`]. Start at [`Upstreams::refuses`].

use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};

use super::relay::Upstreams;
use crate::backend::postgres::apply::quoted;
use crate::backend::postgres::handover::{Opened, SetUp, Statement};
use crate::cutover::gate::Route;
use crate::sql::lexer::{self, Kind};

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// Names of the two texts on the server session that is asked.
const ASKED: [&str; 2] = ["as_is", "instead"];

/// A text that PostgreSQL's grammar takes, and what would go instead.
pub(super) struct Question<'a> {
    pub(super) text: &'a str,
    pub(super) instead: &'a str,
    pub(super) types: &'a [u32],
    pub(super) search_path: &'a [String],
}

impl Upstreams {
    /// Whether PostgreSQL refuses a text and takes the other one; None when it cannot be asked.
    /// On a server session of its own, so that nothing of the client's comes of it.
    pub(super) fn refuses(&self, question: &Question<'_>, route: Route) -> Option<bool> {
        let (Some(text), Some(instead)) = (query(question.text), query(question.instead)) else {
            // PostgreSQL looks at such a text only when it runs.
            return Some(true);
        };
        let handle = Handle::try_current().ok()?;
        if handle.runtime_flavor() != RuntimeFlavor::MultiThread {
            return None;
        }
        let statement = |(name, text): (&str, &str)| Statement {
            name: name.to_owned(),
            text: text.to_owned(),
            types: question.types.to_vec(),
            columns: None,
        };
        let path: Vec<String> = question.search_path.iter().map(|name| quoted(name)).collect();
        let set_up = SetUp {
            settings: vec![("search_path".to_owned(), path.join(", "))],
            statements: ASKED.into_iter().zip([text, instead]).map(statement).collect(),
            ..SetUp::default()
        };
        let asked = async {
            let opened = tokio::time::timeout(PATIENCE, self.server(&set_up, route)).await;
            let Ok(Ok(Opened::Ready(ready))) = opened else { return None };
            let (server, report) = *ready;
            server.close().await;
            Some(ASKED.map(|name| report.refused.iter().any(|(refused, _)| refused == name)))
        };
        let [text, instead] = tokio::task::block_in_place(|| handle.block_on(asked))?;
        Some(text && !instead)
    }
}

/// The part of a statement that PostgreSQL analyses before it runs: all of a query, what EXPLAIN,
/// CREATE … AS, COPY and the like are about; None where there is none.
fn query(text: &str) -> Option<&str> {
    let mut before = None;
    for token in lexer::tokens(text) {
        let word = text.get(token.start..token.end)?;
        let begins = token.kind == Kind::Word
            && ["select", "insert", "update", "delete", "merge", "values", "with"]
                .iter()
                .any(|first| word.eq_ignore_ascii_case(first));
        if begins {
            let end = match before {
                Some("(") => closing(text, token.start).unwrap_or(text.len()),
                _ => text.len(),
            };
            return text.get(token.start..end);
        }
        before = Some(word);
    }
    None
}

/// Where the parenthesis closes that is open at a place.
fn closing(text: &str, from: usize) -> Option<usize> {
    let mut depth = 1_u32;
    for token in lexer::tokens(text.get(from..)?) {
        match text.get(from + token.start..from + token.end)? {
            "(" => depth += 1,
            ")" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(from + token.start);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::query;

    #[test]
    fn what_is_analysed_is_found() {
        for (text, part) in [
            ("SELECT 1", Some("SELECT 1")),
            ("WITH a AS (SELECT 1) SELECT 2", Some("WITH a AS (SELECT 1) SELECT 2")),
            ("EXPLAIN (COSTS OFF) UPDATE t SET a = 1", Some("UPDATE t SET a = 1")),
            ("COPY (SELECT (1)) TO STDOUT", Some("SELECT (1)")),
            ("CREATE VIEW v AS SELECT ')' FROM t", Some("SELECT ')' FROM t")),
            ("/* select */ CREATE INDEX i ON t(a)", None),
        ] {
            assert_eq!(query(text), part, "{text}");
        }
    }
}
