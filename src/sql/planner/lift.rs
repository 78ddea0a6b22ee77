//! Literals as parameters, so that texts which differ only in them share one plan.
//!
//! Owns which constants of an analysed statement may become parameters: those that are
//! compared with a column, assigned to one, or inserted. Everything whose value the analysis,
//! a printer or SQLite's choice of an index could look at stays. It must never lift one
//! occurrence of a literal and leave another. Start at [`lift`].

use std::collections::BTreeMap;

use crate::sql::Analysis;
use crate::sql::analyze::walk::{visit, visit_statement};
use crate::sql::ir::{
    Body, CastKind, Expr, ExprKind, From, Insert, InsertSource, Op, Query, Statement, Table,
};
use crate::sql::shape::{Skeleton, Slot};

/// Turns constants into parameters; the slot of each, in the order of the parameters.
///
/// `at` gives the byte in the whole query text of a constant's position.
pub(super) fn lift(
    analysis: &mut Analysis,
    skeleton: &Skeleton<'_>,
    at: &dyn Fn(u32) -> Option<usize>,
) -> Vec<Slot> {
    // A statement that triggers have changed stands there twice: for each back end.
    let several = !analysis.steps.is_empty() || analysis.plain.is_some();
    if !analysis.params.is_empty() || several {
        return Vec::new();
    }
    let slot = |expr: &Expr| match &expr.kind {
        ExprKind::Const(cell) => skeleton.slot(at(expr.pos)?, expr.ty, cell),
        _ => None,
    };
    let mut all: BTreeMap<u32, usize> = BTreeMap::new();
    visit_statement(&analysis.statement, &mut |e| {
        if matches!(e.kind, ExprKind::Const(_)) && e.pos > 0 {
            *all.entry(e.pos).or_default() += 1;
        }
        true
    });
    let filters = !has_partial_index(&analysis.statement);
    let mut liftable: BTreeMap<u32, usize> = BTreeMap::new();
    let mut count = Lift {
        filters,
        visit: &mut |e: &mut Expr| {
            if slot(e).is_some() {
                *liftable.entry(e.pos).or_default() += 1;
            }
        },
    };
    count.statement(&mut analysis.statement);
    let mut slots = Vec::new();
    let mut replace = Lift {
        filters,
        visit: &mut |e: &mut Expr| {
            let whole = liftable.get(&e.pos).is_some_and(|n| all.get(&e.pos) == Some(n));
            if let Some(slot) = slot(e).filter(|_| whole) {
                slots.push(slot);
                e.kind = ExprKind::Param(u32::try_from(slots.len()).unwrap_or(u32::MAX));
            }
        },
    };
    replace.statement(&mut analysis.statement);
    analysis.params = slots.iter().map(|s| s.ty).collect();
    slots
}

/// SQLite proves that a partial index serves a query from the literals in it.
fn has_partial_index(statement: &Statement) -> bool {
    let mut found = false;
    let mut look = |table: &Table| {
        found |= table.0.indexes.iter().any(|i| i.predicate.is_some());
    };
    match statement {
        Statement::Select(query) => tables(query, &mut look),
        Statement::Insert(insert) => {
            look(&insert.table);
            if let InsertSource::Query { query, .. } = &insert.source {
                tables(query, &mut look);
            }
        }
        Statement::Update(update) => {
            look(&update.table);
            update.from.iter().for_each(|f| from_tables(f, &mut look));
        }
        Statement::Delete(delete) => {
            look(&delete.table);
            delete.using.iter().for_each(|f| from_tables(f, &mut look));
        }
    }
    visit_statement(statement, &mut |e| {
        if let ExprKind::Subquery(q) | ExprKind::Exists(q) | ExprKind::ArraySubquery(q) = &e.kind {
            tables(q, &mut look);
        } else if let ExprKind::SubqueryCompare { query, .. } = &e.kind {
            tables(query, &mut look);
        }
        true
    });
    found
}

fn tables(query: &Query, look: &mut dyn FnMut(&Table)) {
    query.ctes.iter().for_each(|c| tables(&c.query, look));
    match &query.body {
        Body::Select(select) => select.from.iter().for_each(|f| from_tables(f, look)),
        Body::Values(_) => {}
        Body::Set { left, right, .. } => {
            tables(left, look);
            tables(right, look);
        }
    }
}

fn from_tables(from: &From, look: &mut dyn FnMut(&Table)) {
    match from {
        From::Table { table, .. } => look(table),
        From::Subquery { query, .. } => tables(query, look),
        From::Join { left, right, .. } => {
            from_tables(left, look);
            from_tables(right, look);
        }
        From::Cte { .. } | From::Function { .. } => {}
    }
}

/// Visits the constants in places where a parameter would do as well.
struct Lift<'a> {
    /// Constants in WHERE and ON, too.
    filters: bool,
    visit: &'a mut dyn FnMut(&mut Expr),
}

impl Lift<'_> {
    fn statement(&mut self, statement: &mut Statement) {
        match statement {
            Statement::Select(query) => self.query(query),
            Statement::Insert(insert) => self.insert(insert),
            Statement::Update(update) => {
                update.ctes.iter_mut().for_each(|c| self.query(&mut c.query));
                update.assignments.iter_mut().for_each(|(_, e)| self.assigned(e));
                update.from.iter_mut().for_each(|f| self.from(f));
                update.filter.iter_mut().for_each(|e| self.filter(e));
            }
            Statement::Delete(delete) => {
                delete.ctes.iter_mut().for_each(|c| self.query(&mut c.query));
                delete.using.iter_mut().for_each(|f| self.from(f));
                delete.filter.iter_mut().for_each(|e| self.filter(e));
            }
        }
    }

    fn insert(&mut self, insert: &mut Insert) {
        insert.ctes.iter_mut().for_each(|c| self.query(&mut c.query));
        match &mut insert.source {
            InsertSource::Values(rows) => {
                rows.iter_mut().flatten().for_each(|e| self.assigned(e));
            }
            InsertSource::Query { query, .. } => self.query(query),
        }
        if let Some((assignments, filter)) =
            insert.on_conflict.as_mut().and_then(|c| c.update.as_mut())
        {
            assignments.iter_mut().for_each(|(_, e)| self.assigned(e));
            filter.iter_mut().for_each(|e| self.filter(e));
        }
    }

    fn query(&mut self, query: &mut Query) {
        query.ctes.iter_mut().for_each(|c| self.query(&mut c.query));
        match &mut query.body {
            Body::Select(select) => {
                select.from.iter_mut().for_each(|f| self.from(f));
                select.filter.iter_mut().for_each(|e| self.filter(e));
            }
            Body::Values(_) => {}
            Body::Set { left, right, .. } => {
                self.query(left);
                self.query(right);
            }
        }
    }

    fn from(&mut self, from: &mut From) {
        match from {
            From::Subquery { query, .. } => self.query(query),
            From::Join { left, right, on, .. } => {
                self.from(left);
                self.from(right);
                on.iter_mut().for_each(|e| self.filter(e));
            }
            From::Table { .. } | From::Cte { .. } | From::Function { .. } => {}
        }
    }

    fn filter(&mut self, expr: &mut Expr) {
        if !self.filters {
            return;
        }
        match &mut expr.kind {
            ExprKind::And(list) | ExprKind::Or(list) => {
                list.iter_mut().for_each(|e| self.filter(e));
            }
            ExprKind::Not(e) | ExprKind::IsBool(e, ..) => self.filter(e),
            ExprKind::Op(Op { name, left: Some(left), right }) if compares(name) => {
                self.beside_column(left, right);
            }
            ExprKind::IsDistinct(left, right, _) => self.beside_column(left, right),
            ExprKind::InList { expr, list, .. } if has_column(expr) => {
                list.iter_mut().for_each(|e| self.value(e));
            }
            ExprKind::RowCompare(left, _, right) => {
                left.iter_mut().zip(right).for_each(|(l, r)| self.beside_column(l, r));
            }
            ExprKind::Exists(query) | ExprKind::SubqueryCompare { query, .. } => self.query(query),
            _ => {}
        }
    }

    /// Of two operands, a constant one whose other side depends on a row.
    fn beside_column(&mut self, left: &mut Expr, right: &mut Expr) {
        if has_column(left) {
            self.value(right);
        } else if has_column(right) {
            self.value(left);
        }
    }

    fn assigned(&mut self, expr: &mut Expr) {
        match &mut expr.kind {
            ExprKind::Op(Op { name, left: Some(left), right })
                if matches!(name.as_str(), "+" | "-" | "*") =>
            {
                self.beside_column(left, right);
            }
            ExprKind::Cast(inner, CastKind::Assignment | CastKind::Implicit)
                if !matches!(inner.kind, ExprKind::Const(_)) =>
            {
                self.assigned(inner);
            }
            _ => self.value(expr),
        }
    }

    /// A constant, or one below casts that resolution added.
    fn value(&mut self, expr: &mut Expr) {
        match &mut expr.kind {
            ExprKind::Const(_) => (self.visit)(expr),
            ExprKind::Cast(
                inner,
                CastKind::Assignment | CastKind::Implicit | CastKind::Relabel,
            ) => self.value(inner),
            _ => {}
        }
    }
}

fn compares(name: &str) -> bool {
    matches!(name, "=" | "<>" | "<" | "<=" | ">" | ">=")
}

fn has_column(expr: &Expr) -> bool {
    let mut found = false;
    visit(expr, &mut |e| {
        found |= matches!(e.kind, ExprKind::Column(..) | ExprKind::Excluded(_));
        !found
    });
    found
}
