//! What a condition is before any row is looked at: TG_OP decides most branches.
//!
//! Owns folding of constants in untyped conditions. Never folds what could fail. Start at
//! [`fold`].

use crate::sql::ast::{Expr, ExprKind, Literal};

/// A condition with its constant parts worked out.
pub(super) fn fold(expr: &Expr) -> Expr {
    let pos = expr.pos;
    match &expr.kind {
        ExprKind::And(items) => joined(items, false, pos),
        ExprKind::Or(items) => joined(items, true, pos),
        ExprKind::Not(inner) => {
            let inner = fold(inner);
            match truth(&inner) {
                Some(value) => bool_of(!value, pos),
                None => Expr { kind: ExprKind::Not(Box::new(inner)), pos },
            }
        }
        ExprKind::Op { op, left: Some(left), right } => match (text(left), text(right)) {
            (Some(a), Some(b)) if op == "=" => bool_of(a == b, pos),
            (Some(a), Some(b)) if op == "<>" => bool_of(a != b, pos),
            _ => expr.clone(),
        },
        ExprKind::InList { expr: subject, list, not } => {
            let items: Option<Vec<&str>> = list.iter().map(text).collect();
            match (text(subject), items) {
                (Some(subject), Some(items)) => bool_of(items.contains(&subject) != *not, pos),
                _ => expr.clone(),
            }
        }
        _ => expr.clone(),
    }
}

/// A condition that is a constant.
pub(super) fn truth(expr: &Expr) -> Option<bool> {
    match expr.kind {
        ExprKind::Literal(Literal::Bool(value)) => Some(value),
        ExprKind::Literal(Literal::Null) => Some(false),
        _ => None,
    }
}

pub(super) fn bool_of(value: bool, pos: u32) -> Expr {
    Expr { kind: ExprKind::Literal(Literal::Bool(value)), pos }
}

/// AND, or OR with `decides` true: what one operand decides, the others need not be there.
fn joined(items: &[Expr], decides: bool, pos: u32) -> Expr {
    let mut left = Vec::with_capacity(items.len());
    for item in items {
        let item = fold(item);
        match truth(&item) {
            Some(value) if value == decides => return bool_of(decides, pos),
            Some(_) if !matches!(item.kind, ExprKind::Literal(Literal::Null)) => {}
            _ => left.push(item),
        }
    }
    match (left.len(), left.pop()) {
        (_, None) => bool_of(!decides, pos),
        (1, Some(only)) => only,
        (_, Some(last)) => {
            left.push(last);
            let kind = if decides { ExprKind::Or(left) } else { ExprKind::And(left) };
            Expr { kind, pos }
        }
    }
}

fn text(expr: &Expr) -> Option<&str> {
    match &expr.kind {
        ExprKind::Literal(Literal::String(text)) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::pg::plpgsql;

    fn folded(text: &str) -> Option<bool> {
        let body = format!("BEGIN IF {text} THEN NULL; END IF; END");
        let block = plpgsql::block(&body).unwrap();
        let [crate::sql::ast::Step::If(branches, _)] = block.steps.as_slice() else {
            panic!("{block:?}");
        };
        truth(&fold(&branches[0].0))
    }

    #[test]
    fn constants_decide() {
        assert_eq!(folded("'INSERT' = 'INSERT'"), Some(true));
        assert_eq!(folded("'INSERT' = 'UPDATE' AND old.a = 1"), Some(false));
        assert_eq!(folded("'INSERT' IN ('UPDATE', 'INSERT') OR old.a = 1"), Some(true));
        assert_eq!(folded("NOT ('INSERT' <> 'INSERT')"), Some(true));
        assert_eq!(folded("'UPDATE' = 'UPDATE' AND old.a = 1"), None);
    }
}
