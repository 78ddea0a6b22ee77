//! What was done to a statement of SQLite's dialect, for people.
//!
//! Start at [`rules`].

use std::collections::BTreeSet;

use super::super::walk::{visit, visit_query};
use crate::sql::ir::{Expr, ExprKind, InsertSource, Query, Statement};

/// The rules that fired, by name, in order.
pub(in super::super) fn rules(statement: &Statement) -> Vec<String> {
    let mut found = BTreeSet::new();
    let mut note = |expr: &Expr| {
        if let ExprKind::Call(call) = &expr.kind
            && call.lite
        {
            found.insert(rule(&call.name));
        }
        true
    };
    let query = |q: &Query, note: &mut dyn FnMut(&Expr) -> bool| visit_query(q, note);
    match statement {
        Statement::Select(select) => query(select, &mut note),
        Statement::Insert(insert) => {
            match &insert.source {
                InsertSource::Values(rows) => {
                    rows.iter().flatten().for_each(|e| visit(e, &mut note));
                }
                InsertSource::Query { query: source, exprs, .. } => {
                    query(source, &mut note);
                    exprs.iter().for_each(|e| visit(e, &mut note));
                }
            }
            insert.returning.iter().for_each(|e| visit(e, &mut note));
            if insert.replace {
                found.insert("INSERT OR REPLACE: rows met on a unique key go first".to_owned());
            }
        }
        Statement::Update(update) => {
            let values = update.assignments.iter().map(|(_, e)| e);
            values.chain(&update.filter).chain(&update.returning).for_each(|e| visit(e, &mut note));
        }
        Statement::Delete(delete) => {
            delete.filter.iter().chain(&delete.returning).for_each(|e| visit(e, &mut note));
        }
    }
    found.into_iter().collect()
}

/// A rule's name for the call that shows it.
fn rule(name: &str) -> String {
    match name {
        "=" | "<>" | "<" | "<=" | ">" | ">=" | "IS" | "IS NOT" | "IN" => {
            "comparison by SQLite's affinities".to_owned()
        }
        "affine" => "numeric affinity: a text that is a number is one".to_owned(),
        "text_of" | "uuid_hex" | "uuid_blob" | "unix_seconds" | "unix_millis"
        | "interval_micros" | "num" => "a column's value as SQLite sees it".to_owned(),
        "int" | "real" | "number" | "whole" | "text" | "blob" | "any" | "null" => {
            "conversion by SQLite's rules".to_owned()
        }
        "integral" => "a real into an integer column: whole numbers only".to_owned(),
        "nocase" | "binary" => "SQLite's collation".to_owned(),
        "plus" => "unary +".to_owned(),
        "bare" => "a bare column of a group".to_owned(),
        "LIKE" => "LIKE without regard to the case of ASCII letters".to_owned(),
        "GLOB" => "GLOB".to_owned(),
        "/" | "%" => "division by zero is NULL".to_owned(),
        name if name.starts_with(|c: char| c.is_ascii_alphabetic()) => format!("function {name}()"),
        op => format!("operator {op}"),
    }
}
