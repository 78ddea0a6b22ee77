//! UPDATE … FROM and DELETE … USING whose RETURNING shows columns of the joined tables.
//!
//! SQLite's RETURNING knows the written table only. So the join runs first, as a step of its
//! own: the written row's key and the columns that are needed; the statement then changes the
//! rows with these keys, and RETURNING looks the rest up by key. Start at [`separate`].

use std::collections::HashSet;

use crate::error::{Error, Result};
use crate::schema::Relation;
use crate::sql::ir::{Cte, Expr, ExprKind, From, Op, Output, Query, Select, Statement, Step};
use crate::sql::rewrite::{self, Part};
use crate::value::{Type, oid};

/// The join of a statement as a step before it; None when it needs none.
pub(super) fn separate(statement: &mut Statement, next: &mut u32) -> Result<Option<Step>> {
    let others = others(statement);
    let mut shown = Vec::new();
    for expr in returned(statement) {
        columns(&mut expr.clone(), &others, &mut shown);
    }
    if shown.is_empty() {
        return Ok(None);
    }
    let number = *next;
    *next += 1;
    joined(statement, number)
}

/// The relations that a statement joins to the one it writes.
fn others(statement: &Statement) -> HashSet<u32> {
    let mut found: HashSet<u32> = HashSet::new();
    let items = match statement {
        Statement::Update(s) => s.from.as_slice(),
        Statement::Delete(s) => s.using.as_slice(),
        Statement::Select(_) | Statement::Insert(_) => &[],
    };
    items.iter().for_each(|item| defined(item, &mut found));
    found
}

fn returned(statement: &Statement) -> &[Expr] {
    match statement {
        Statement::Update(s) => &s.returning,
        Statement::Delete(s) => &s.returning,
        Statement::Select(_) | Statement::Insert(_) => &[],
    }
}

/// The join of UPDATE … FROM or DELETE … USING as a step of this number before it.
pub(super) fn joined(statement: &mut Statement, number: u32) -> Result<Option<Step>> {
    let others = others(statement);
    let (rel, table, alias, joined, filter) = match &*statement {
        Statement::Update(s) => (s.rel, s.table.clone(), &s.alias, &s.from, &s.filter),
        Statement::Delete(s) => (s.rel, s.table.clone(), &s.alias, &s.using, &s.filter),
        Statement::Select(_) | Statement::Insert(_) => return Ok(None),
    };
    let key = key(statement, &table.0)?;
    let from = From::Table { rel, table, alias: alias.clone() };
    let from = std::iter::once(from).chain(joined.iter().cloned()).collect();
    let filter = filter.clone();
    let ctes = statement.ctes().to_vec();
    // Every column of the join that the statement uses, each once.
    let mut needed: Vec<Expr> = Vec::new();
    let own_key: Vec<Expr> = key.clone();
    let own_keys = own_key.len();
    let mut move_over = |part: Part<'_>| replace(part, &others, number, own_keys, &mut needed);
    match statement {
        Statement::Update(s) => {
            s.assignments.iter_mut().for_each(|(_, e)| move_over(Part::Expr(e)));
            s.row_assignments.iter_mut().for_each(|(_, q)| move_over(Part::Query(q)));
            s.returning.iter_mut().for_each(|e| move_over(Part::Expr(e)));
        }
        Statement::Delete(s) => {
            s.returning.iter_mut().for_each(|e| move_over(Part::Expr(e)));
        }
        Statement::Select(_) | Statement::Insert(_) => {}
    }
    let targets: Vec<Expr> = key.into_iter().chain(needed).collect();
    let outputs: Vec<Output> = targets
        .iter()
        .map(|e| Output { name: "joined".to_owned(), ty: e.ty, origin: (0, 0) })
        .collect();
    let matched = own_key
        .into_iter()
        .zip(0..)
        .map(|(own, n)| {
            let ty = own.ty;
            let row = Expr { kind: ExprKind::Column(number, n), ty, pos: 0 };
            let op = Op { name: "=".to_owned(), left: Some(Box::new(own)), right: Box::new(row) };
            Expr { kind: ExprKind::Op(op), ty: Type::new(oid::BOOL), pos: 0 }
        })
        .collect();
    let matched = Expr { kind: ExprKind::And(matched), ty: Type::new(oid::BOOL), pos: 0 };
    let rows = From::Cte {
        rel: number,
        cte: number,
        alias: "joined".to_owned(),
        columns: outputs.clone(),
    };
    match statement {
        Statement::Update(s) => (s.from, s.filter) = (vec![rows], Some(matched)),
        Statement::Delete(s) => (s.using, s.filter) = (vec![rows], Some(matched)),
        Statement::Select(_) | Statement::Insert(_) => {}
    }
    let recursive = *statement.ctes_mut().1;
    let query =
        read(Select { targets, from, filter, ..Select::default() }, outputs, ctes, recursive);
    let statement = Statement::Select(Box::new(query));
    Ok(Some(Step { cte: number, statement, unique: own_keys, single: false }))
}

fn read(select: Select, columns: Vec<Output>, ctes: Vec<Cte>, recursive: bool) -> Query {
    Query { recursive, ctes, ..Query::of(select, columns) }
}

/// The written table's key, as columns of the statement's target.
fn key(statement: &Statement, table: &Relation) -> Result<Vec<Expr>> {
    let refuse = || Error::unsupported("joined rows of a table without a key or whose key changes");
    let key = table.key().ok_or_else(refuse)?;
    let (rel, assigned): (u32, Vec<u32>) = match statement {
        Statement::Update(s) => {
            let rows = s.row_assignments.iter().flat_map(|(columns, _)| columns.iter().copied());
            (s.rel, s.assignments.iter().map(|(column, _)| *column).chain(rows).collect())
        }
        Statement::Delete(s) => (s.rel, Vec::new()),
        Statement::Select(_) | Statement::Insert(_) => return Err(refuse()),
    };
    if key.iter().any(|k| assigned.contains(&(*k as u32))) {
        return Err(refuse());
    }
    Ok(key
        .iter()
        .map(|k| Expr { kind: ExprKind::Column(rel, *k as u32), ty: table.columns[*k].ty, pos: 0 })
        .collect())
}

fn defined(item: &From, out: &mut HashSet<u32>) {
    match item {
        From::Table { rel, .. }
        | From::Cte { rel, .. }
        | From::Subquery { rel, .. }
        | From::Function { rel, .. } => {
            out.insert(*rel);
        }
        From::Join { left, right, .. } => {
            defined(left, out);
            defined(right, out);
        }
    }
}

/// The columns of some relations in an expression, subqueries included.
fn columns(expr: &mut Expr, of: &HashSet<u32>, out: &mut Vec<Expr>) {
    fn inside(part: Part<'_>, of: &HashSet<u32>, out: &mut Vec<Expr>) {
        match part {
            Part::Expr(expr) => columns(expr, of, out),
            Part::Query(query) => rewrite::parts(query, &mut |part| inside(part, of, out)),
        }
    }
    if matches!(&expr.kind, ExprKind::Column(rel, _) if of.contains(rel)) {
        out.push(expr.clone());
    }
    rewrite::children(expr, &mut |part| inside(part, of, out));
}

/// Makes columns of the join columns of its rows; `needed` grows by those seen first.
fn replace(
    part: Part<'_>,
    others: &HashSet<u32>,
    number: u32,
    first: usize,
    needed: &mut Vec<Expr>,
) {
    match part {
        Part::Expr(expr) => {
            if let ExprKind::Column(rel, index) = expr.kind
                && others.contains(&rel)
            {
                let known = needed.iter().position(
                    |e| matches!(e.kind, ExprKind::Column(r, i) if r == rel && i == index),
                );
                let at = known.unwrap_or_else(|| {
                    needed.push(expr.clone());
                    needed.len() - 1
                });
                expr.kind = ExprKind::Column(number, (first + at) as u32);
                return;
            }
            rewrite::children(expr, &mut |p| replace(p, others, number, first, needed));
        }
        Part::Query(query) => {
            rewrite::parts(query, &mut |p| replace(p, others, number, first, needed));
        }
    }
}
