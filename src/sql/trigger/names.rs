//! The names that a statement brings into its own scope.
//!
//! Owns what a variable of a function may be taken for: tables whose columns are in sight, and
//! names given to columns by the statement itself. It errs by naming too much. Start at
//! [`Names::of`].

use std::collections::BTreeSet;

use super::rewrite;
use crate::sql::ast::{
    Alias, Expr, ExprKind, JoinCondition, Select, SelectBody, Statement, TableRef, Target, With,
};

/// Names in a statement.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// Tables, without their schemas.
    pub(crate) tables: BTreeSet<String>,
    /// Names of columns that the statement gives.
    pub(crate) columns: BTreeSet<String>,
}

impl Names {
    /// Of a statement.
    pub(crate) fn of(statement: &Statement) -> Self {
        let mut names = Self::default();
        names.statement(statement);
        names
    }

    /// Of an expression's subqueries.
    pub(crate) fn of_expression(expr: &Expr) -> Self {
        let mut names = Self::default();
        rewrite::expression(&mut expr.clone(), &mut |e| {
            names.subquery(e);
            None
        });
        names
    }

    fn statement(&mut self, statement: &Statement) {
        match statement {
            Statement::Select(query) => self.query(query),
            Statement::Insert(insert) => {
                self.tables.insert(insert.table.name.clone());
                self.with(insert.with.as_ref());
                insert.source.iter().for_each(|query| self.query(query));
                self.targets(&insert.returning);
            }
            Statement::Update(update) => {
                self.tables.insert(update.table.name.clone());
                self.with(update.with.as_ref());
                update.from.iter().for_each(|item| self.item(item));
                self.targets(&update.returning);
            }
            Statement::Delete(delete) => {
                self.tables.insert(delete.table.name.clone());
                self.with(delete.with.as_ref());
                delete.using.iter().for_each(|item| self.item(item));
                self.targets(&delete.returning);
            }
            _ => {}
        }
        rewrite::statement(&mut statement.clone(), &mut |e| {
            self.subquery(e);
            None
        });
    }

    fn subquery(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Subquery(query)
            | ExprKind::Exists(query)
            | ExprKind::ArraySubquery(query)
            | ExprKind::SubqueryCompare { query, .. } => self.query(query),
            _ => {}
        }
    }

    fn with(&mut self, with: Option<&With>) {
        for cte in with.into_iter().flat_map(|with| &with.ctes) {
            self.columns.extend(cte.columns.iter().cloned());
            self.statement(&cte.query);
        }
    }

    fn query(&mut self, query: &Select) {
        self.with(query.with.as_ref());
        match &query.body {
            SelectBody::Simple(body) => {
                self.targets(&body.targets);
                body.from.iter().for_each(|item| self.item(item));
            }
            SelectBody::Values(_) => {}
            SelectBody::SetOperation { left, right, .. } => {
                self.query(left);
                self.query(right);
            }
        }
    }

    fn targets(&mut self, targets: &[Target]) {
        for target in targets {
            self.columns.extend(target.alias.clone());
            if let ExprKind::Call(call) = &target.expr.kind {
                self.columns.insert(call.name.name.clone());
            }
        }
    }

    fn alias(&mut self, alias: Option<&Alias>) {
        self.columns.extend(alias.into_iter().flat_map(|alias| alias.columns.iter().cloned()));
    }

    fn item(&mut self, item: &TableRef) {
        match item {
            TableRef::Table { name, alias } => {
                self.tables.insert(name.name.clone());
                self.alias(alias.as_ref());
            }
            TableRef::Subquery { query, alias, .. } => {
                self.query(query);
                self.alias(alias.as_ref());
            }
            TableRef::Function { call, alias, columns, .. } => {
                // One that gives a single value goes by its alias or its own name.
                self.columns.extend(alias.as_ref().map(|alias| alias.name.clone()));
                self.columns.extend(columns.iter().map(|(name, _)| name.clone()));
                if let ExprKind::Call(call) = &call.kind {
                    self.columns.insert(call.name.name.clone());
                }
                self.alias(alias.as_ref());
            }
            TableRef::Join { left, right, condition, alias, .. } => {
                self.item(left);
                self.item(right);
                self.alias(alias.as_ref());
                if let JoinCondition::On(on) = condition {
                    rewrite::expression(&mut on.clone(), &mut |e| {
                        self.subquery(e);
                        None
                    });
                }
            }
        }
    }
}
