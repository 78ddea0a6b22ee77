//! Replacing names in trees: the variables of a function, and what TG_OP and its kin are.
//!
//! Owns a walk over every expression of an untyped tree, subqueries included. Start at
//! [`expression`].

use crate::sql::ast::{
    Assignment, Call, Delete, Expr, ExprKind, Insert, JoinCondition, OrderItem, Select, SelectBody,
    SimpleSelect, Statement, TableRef, Target, Update, With,
};

/// What replaces an expression; None keeps it and looks inside.
pub(crate) type Replace<'a> = dyn FnMut(&Expr) -> Option<Expr> + 'a;

/// Replaces inside an expression.
pub(crate) fn expression(expr: &mut Expr, f: &mut Replace<'_>) {
    if let Some(new) = f(expr) {
        *expr = new;
        return;
    }
    match &mut expr.kind {
        ExprKind::Literal(_)
        | ExprKind::Param(_)
        | ExprKind::Column(_)
        | ExprKind::Star(_)
        | ExprKind::Default
        | ExprKind::ValueFunction(..)
        | ExprKind::Unsupported(_) => {}
        ExprKind::Op { left, right, .. } => {
            left.iter_mut().for_each(|e| expression(e, f));
            expression(right, f);
        }
        ExprKind::And(items)
        | ExprKind::Or(items)
        | ExprKind::Coalesce(items)
        | ExprKind::MinMax(_, items)
        | ExprKind::Array(items)
        | ExprKind::Row(items)
        | ExprKind::GroupingSet(_, items)
        | ExprKind::Grouping(items) => items.iter_mut().for_each(|e| expression(e, f)),
        ExprKind::Not(e)
        | ExprKind::IsNull(e, _)
        | ExprKind::IsBool(e, ..)
        | ExprKind::Cast(e, _)
        | ExprKind::Collate(e, _)
        | ExprKind::Field(e, _) => expression(e, f),
        ExprKind::IsDistinct(a, b, _) | ExprKind::NullIf(a, b) => {
            expression(a, f);
            expression(b, f);
        }
        ExprKind::Between { expr, low, high, .. } => {
            [expr, low, high].into_iter().for_each(|e| expression(e, f));
        }
        ExprKind::InList { expr, list, .. } => {
            expression(expr, f);
            list.iter_mut().for_each(|e| expression(e, f));
        }
        ExprKind::AnyAll { expr, array, .. } => {
            expression(expr, f);
            expression(array, f);
        }
        ExprKind::Case { operand, branches, otherwise } => {
            operand.iter_mut().for_each(|e| expression(e, f));
            for (when, then) in branches {
                expression(when, f);
                expression(then, f);
            }
            otherwise.iter_mut().for_each(|e| expression(e, f));
        }
        ExprKind::Call(call) => function(call, f),
        ExprKind::Subquery(query) | ExprKind::Exists(query) | ExprKind::ArraySubquery(query) => {
            select(query, f);
        }
        ExprKind::SubqueryCompare { expr, query, .. } => {
            expression(expr, f);
            select(query, f);
        }
        ExprKind::Subscript { expr, lower, upper, .. } => {
            expression(expr, f);
            lower.iter_mut().chain(upper).for_each(|e| expression(e, f));
        }
    }
}

fn function(call: &mut Call, f: &mut Replace<'_>) {
    call.args.iter_mut().for_each(|(_, e)| expression(e, f));
    order(&mut call.order_by, f);
    call.filter.iter_mut().for_each(|e| expression(e, f));
    if let Some(over) = &mut call.over {
        over.partition_by.iter_mut().for_each(|e| expression(e, f));
        order(&mut over.order_by, f);
    }
}

fn order(items: &mut [OrderItem], f: &mut Replace<'_>) {
    items.iter_mut().for_each(|item| expression(&mut item.expr, f));
}

fn targets(items: &mut [Target], f: &mut Replace<'_>) {
    items.iter_mut().for_each(|item| expression(&mut item.expr, f));
}

fn with(with: Option<&mut With>, f: &mut Replace<'_>) {
    for cte in with.into_iter().flat_map(|w| &mut w.ctes) {
        statement(&mut cte.query, f);
    }
}

/// Replaces inside a query.
pub(crate) fn select(query: &mut Select, f: &mut Replace<'_>) {
    with(query.with.as_mut(), f);
    match &mut query.body {
        SelectBody::Simple(body) => simple(body, f),
        SelectBody::Values(rows) => rows.iter_mut().flatten().for_each(|e| expression(e, f)),
        SelectBody::SetOperation { left, right, .. } => {
            select(left, f);
            select(right, f);
        }
    }
    order(&mut query.order_by, f);
    query.limit.iter_mut().chain(&mut query.offset).for_each(|e| expression(e, f));
}

fn simple(body: &mut SimpleSelect, f: &mut Replace<'_>) {
    body.distinct.iter_mut().flatten().for_each(|e| expression(e, f));
    targets(&mut body.targets, f);
    body.from.iter_mut().for_each(|t| table(t, f));
    body.filter.iter_mut().for_each(|e| expression(e, f));
    body.group_by.iter_mut().for_each(|e| expression(e, f));
    body.having.iter_mut().for_each(|e| expression(e, f));
    for (_, window) in &mut body.windows {
        window.partition_by.iter_mut().for_each(|e| expression(e, f));
        order(&mut window.order_by, f);
    }
}

fn table(item: &mut TableRef, f: &mut Replace<'_>) {
    match item {
        TableRef::Table { .. } => {}
        TableRef::Subquery { query, .. } => select(query, f),
        TableRef::Function { call, .. } => expression(call, f),
        TableRef::Join { left, right, condition, .. } => {
            table(left, f);
            table(right, f);
            if let JoinCondition::On(on) = condition {
                expression(on, f);
            }
        }
    }
}

/// Replaces inside a statement.
pub(crate) fn statement(statement: &mut Statement, f: &mut Replace<'_>) {
    match statement {
        Statement::Select(query) => select(query, f),
        Statement::Insert(s) => insert(s, f),
        Statement::Update(s) => update(s, f),
        Statement::Delete(s) => delete(s, f),
        _ => {}
    }
}

fn insert(insert: &mut Insert, f: &mut Replace<'_>) {
    with(insert.with.as_mut(), f);
    insert.source.iter_mut().for_each(|q| select(q, f));
    if let Some(conflict) = &mut insert.on_conflict {
        conflict.filter.iter_mut().for_each(|e| expression(e, f));
        if let Some((assignments, filter)) = &mut conflict.update {
            assignments.iter_mut().for_each(|a| assignment(a, f));
            filter.iter_mut().for_each(|e| expression(e, f));
        }
    }
    targets(&mut insert.returning, f);
}

fn assignment(assignment: &mut Assignment, f: &mut Replace<'_>) {
    assignment.element.iter_mut().for_each(|e| expression(e, f));
    expression(&mut assignment.value, f);
}

fn update(update: &mut Update, f: &mut Replace<'_>) {
    with(update.with.as_mut(), f);
    update.assignments.iter_mut().for_each(|a| assignment(a, f));
    update.from.iter_mut().for_each(|t| table(t, f));
    update.filter.iter_mut().for_each(|e| expression(e, f));
    targets(&mut update.returning, f);
}

fn delete(delete: &mut Delete, f: &mut Replace<'_>) {
    with(delete.with.as_mut(), f);
    delete.using.iter_mut().for_each(|t| table(t, f));
    delete.filter.iter_mut().for_each(|e| expression(e, f));
    targets(&mut delete.returning, f);
}

/// Visits the names of tables in an expression's subqueries.
pub(super) fn tables(expr: &Expr, f: &mut dyn FnMut(&str)) {
    let mut queries: Vec<Select> = Vec::new();
    expression(&mut expr.clone(), &mut |e| {
        match &e.kind {
            ExprKind::Subquery(query)
            | ExprKind::Exists(query)
            | ExprKind::ArraySubquery(query) => {
                queries.push(Select::clone(query));
            }
            ExprKind::SubqueryCompare { query, .. } => queries.push(Select::clone(query)),
            _ => {}
        }
        None
    });
    for query in &queries {
        from_tables(query, f);
    }
}

fn from_tables(query: &Select, f: &mut dyn FnMut(&str)) {
    if query.with.is_some() {
        f("");
    }
    match &query.body {
        SelectBody::Simple(body) => body.from.iter().for_each(|item| item_tables(item, f)),
        SelectBody::Values(_) => {}
        SelectBody::SetOperation { left, right, .. } => {
            from_tables(left, f);
            from_tables(right, f);
        }
    }
}

fn item_tables(item: &TableRef, f: &mut dyn FnMut(&str)) {
    match item {
        TableRef::Table { name, .. } => f(&name.name),
        TableRef::Subquery { query, .. } => from_tables(query, f),
        TableRef::Function { .. } => {}
        TableRef::Join { left, right, .. } => {
            item_tables(left, f);
            item_tables(right, f);
        }
    }
}
