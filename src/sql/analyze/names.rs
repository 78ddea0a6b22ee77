//! Names of output columns.
//!
//! Owns PostgreSQL's choice of a name for an expression without AS. Pure: looks at the
//! untyped tree only. Start at [`column_name`].

use crate::sql::ast::{Expr, ExprKind, Select, SelectBody};

/// The name of a select-list expression.
pub(super) fn column_name(expr: &Expr) -> String {
    figure(expr).map_or_else(|| "?column?".to_owned(), |(name, _)| name)
}

/// A name, and whether it is a strong one (a weak one gives way to a strong one below).
fn figure(expr: &Expr) -> Option<(String, bool)> {
    let strong = |name: &str| Some((name.to_owned(), true));
    let weak = |name: &str| Some((name.to_owned(), false));
    match &expr.kind {
        ExprKind::Column(parts) => parts.last().map(|p| (p.clone(), true)),
        ExprKind::Field(_, name) => strong(name),
        ExprKind::Subscript { expr, .. } | ExprKind::Collate(expr, _) => figure(expr),
        ExprKind::Call(call) => strong(&call.name.name),
        ExprKind::NullIf(..) => strong("nullif"),
        ExprKind::Cast(inner, ty) => match figure(inner) {
            Some((name, true)) => Some((name, true)),
            _ => weak(&ty.name),
        },
        ExprKind::Case { otherwise, .. } => match otherwise.as_deref().and_then(figure) {
            Some((name, true)) => Some((name, true)),
            _ => weak("case"),
        },
        ExprKind::Exists(_) => strong("exists"),
        ExprKind::ArraySubquery(_) => strong("array"),
        ExprKind::Subquery(query) => subquery_name(query).map(|n| (n, true)),
        ExprKind::Array(_) => strong("array"),
        ExprKind::Row(_) => strong("row"),
        ExprKind::Grouping(_) => strong("grouping"),
        ExprKind::Coalesce(_) => strong("coalesce"),
        ExprKind::MinMax(true, _) => strong("greatest"),
        ExprKind::MinMax(false, _) => strong("least"),
        ExprKind::ValueFunction(name, _) => strong(name),
        _ => None,
    }
}

/// A scalar subquery is named after its only column.
fn subquery_name(query: &Select) -> Option<String> {
    match &query.body {
        SelectBody::Simple(simple) => {
            let target = simple.targets.first()?;
            match (&target.alias, &target.expr.kind) {
                (Some(alias), _) => Some(alias.clone()),
                (None, _) => Some(column_name(&target.expr)),
            }
        }
        SelectBody::Values(_) => Some("column1".to_owned()),
        SelectBody::SetOperation { left, .. } => subquery_name(left),
    }
}
