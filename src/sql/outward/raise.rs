//! SELECT RAISE(…) in a trigger: a condition, and what is said when it holds.

use crate::error::{Error, Result};
use crate::sql::ast::{Expr, ExprKind, Literal, Select, SelectBody, Target};
use crate::sql::lite::RAISE;

/// What RAISE does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// The statement fails with a message.
    Abort(String),
    /// The row is left alone.
    Ignore,
}

/// What is done when a query has a row.
pub(super) struct Raise {
    pub(super) when: Select,
    pub(super) what: What,
}

/// The steps of `SELECT RAISE(…) … WHERE …` and `SELECT CASE WHEN … THEN RAISE(…) … END`; None for
/// a query that raises nothing.
pub(super) fn read(select: &Select) -> Result<Option<Vec<Raise>>> {
    let SelectBody::Simple(simple) = &select.body else { return Ok(None) };
    let [target] = simple.targets.as_slice() else { return Ok(None) };
    let plain = select.with.is_none()
        && select.limit.is_none()
        && select.offset.is_none()
        && simple.distinct.is_none()
        && simple.group_by.is_empty()
        && simple.having.is_none();
    let refuse = || Error::unsupported("RAISE in such a query");
    let with = |condition: Option<&Expr>| {
        let mut when = simple.as_ref().clone();
        when.targets = vec![Target { expr: one(), alias: None }];
        when.filter = match (when.filter.take(), condition) {
            (Some(a), Some(b)) => Some(bare(ExprKind::And(vec![a, b.clone()]))),
            (a, b) => a.or_else(|| b.cloned()),
        };
        Select { body: SelectBody::Simple(Box::new(when)), ..Select::default() }
    };
    if let Some(what) = of(&target.expr)? {
        return match plain {
            true => Ok(Some(vec![Raise { when: with(None), what }])),
            false => Err(refuse()),
        };
    }
    let ExprKind::Case { operand, branches, otherwise } = &target.expr.kind else {
        return Ok(None);
    };
    let raises: Vec<Option<What>> =
        branches.iter().map(|(_, result)| of(result)).collect::<Result<_>>()?;
    if raises.iter().all(Option::is_none) && otherwise.as_deref().map_or(Ok(None), of)?.is_none() {
        return Ok(None);
    }
    // Of several rows and branches only SQLite knows which speaks first.
    let single = simple.from.is_empty() || branches.len() == 1;
    let silent = otherwise.as_ref().is_none_or(|e| e.kind == ExprKind::Literal(Literal::Null));
    if !plain || !single || !silent || operand.is_some() {
        return Err(refuse());
    }
    let mut steps = Vec::with_capacity(branches.len());
    for ((condition, _), what) in branches.iter().zip(raises) {
        let what = what.ok_or_else(refuse)?;
        steps.push(Raise { when: with(Some(condition)), what });
    }
    Ok(Some(steps))
}

fn of(expr: &Expr) -> Result<Option<What>> {
    let ExprKind::Column(parts) = &expr.kind else { return Ok(None) };
    match parts.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [RAISE, "abort", message] => Ok(Some(What::Abort((*message).to_owned()))),
        [RAISE, "ignore", _] => Ok(Some(What::Ignore)),
        [RAISE, kind, _] => Err(Error::unsupported(format_args!("RAISE({kind})"))),
        _ => Ok(None),
    }
}

fn one() -> Expr {
    bare(ExprKind::Literal(Literal::Integer(1)))
}

fn bare(kind: ExprKind) -> Expr {
    Expr { kind, pos: 0 }
}
