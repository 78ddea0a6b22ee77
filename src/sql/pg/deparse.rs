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
    text.strip_prefix("SELECT ").map(str::to_owned).ok_or_else(missing)
}

/// A query's text.
pub(super) fn query(node: &protobuf::Node) -> Lowered<String> {
    statement(node.node.clone().ok_or_else(missing)?)
}

fn statement(node: N) -> Lowered<String> {
    let statement = protobuf::RawStmt {
        stmt: Some(Box::new(protobuf::Node { node: Some(node) })),
        ..Default::default()
    };
    let tree = protobuf::ParseResult { version: 0, stmts: vec![statement] };
    pg_query::deparse(&tree, pg_query::DeparseOptions::default())
        .map_err(|_| Stop::Error(Error::internal("an expression could not be printed")))
}
