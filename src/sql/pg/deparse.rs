//! Text of a part of a statement in PostgreSQL's own manner: what the catalog keeps of
//! defaults, checks, index keys and views.

use pg_query::protobuf::{self, LimitOption, SetOperation, node::Node as N};

use super::{Lowered, Stop, missing};
use crate::error::Error;

/// An expression's text.
pub(super) fn expression(node: &protobuf::Node) -> Lowered<String> {
    let target = protobuf::ResTarget { val: Some(Box::new(node.clone())), ..Default::default() };
    let target = protobuf::Node { node: Some(N::ResTarget(Box::new(target))) };
    let select = protobuf::SelectStmt {
        target_list: vec![target],
        limit_option: LimitOption::Default as i32,
        op: SetOperation::SetopNone as i32,
        ..Default::default()
    };
    let text = statement(N::SelectStmt(Box::new(select)))?;
    text.strip_prefix("SELECT ").map(upper_case).ok_or_else(missing)
}

/// CURRENT_TIMESTAMP and its kin as PostgreSQL spells them.
fn upper_case(text: &str) -> String {
    const WORDS: [&str; 12] = [
        "current_date",
        "current_time",
        "current_timestamp",
        "localtime",
        "localtimestamp",
        "current_user",
        "current_role",
        "session_user",
        "current_catalog",
        "current_schema",
        "user",
        "system_user",
    ];
    let mut out = text.to_owned();
    for token in crate::sql::lexer::tokens(text) {
        let word = &text[token.start..token.end];
        if token.kind == crate::sql::lexer::Kind::Word && WORDS.contains(&word) {
            out.replace_range(token.start..token.end, &word.to_uppercase());
        }
    }
    out
}

/// An expression's text without its own table's name before columns.
pub(super) fn unqualified(text: &str, owner: &str) -> String {
    let tokens: Vec<_> = crate::sql::lexer::tokens(text).collect();
    let word = |index: usize| tokens.get(index).map(|t| &text[t.start..t.end]);
    let quoted = format!("\"{}\"", owner.replace('"', "\"\""));
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for index in 0..tokens.len() {
        let own = word(index).is_some_and(|w| w == owner || w == quoted);
        let first = index == 0 || word(index - 1) != Some(".");
        let column = word(index + 1) == Some(".")
            && !matches!(word(index + 3), Some("(" | "."))
            && tokens.get(index + 2).is_some();
        if own && first && column {
            out.push_str(&text[from..tokens[index].start]);
            from = tokens[index + 2].start;
        }
    }
    out.push_str(&text[from..]);
    out
}

/// A query's text.
pub(super) fn query(node: &protobuf::Node) -> Lowered<String> {
    statement(node.node.clone().ok_or_else(missing)?)
}

/// A statement's text.
pub(super) fn statement(node: N) -> Lowered<String> {
    let statement = protobuf::RawStmt {
        stmt: Some(Box::new(protobuf::Node { node: Some(node) })),
        ..Default::default()
    };
    let tree = protobuf::ParseResult { version: 0, stmts: vec![statement] };
    pg_query::deparse(&tree, pg_query::DeparseOptions::default())
        .map_err(|_| Stop::Error(Error::internal("an expression could not be printed")))
}
