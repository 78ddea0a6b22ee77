//! ORDER BY, GROUP BY and DISTINCT lists: ordinals, aliases, expressions.
//!
//! Owns which output column or expression an item means (SQL-92 names first, then
//! expressions). Start at [`Analyzer::order_by`].

use super::target::Entry;
use super::walk::{location, same, strip_implicit};
use super::{Analyzer, errors};
use crate::error::{Error, Result, state};
use crate::sql::ast::{self, ExprKind as A, Literal};
use crate::sql::ir::{CallKind, Expr, ExprKind, Sort};
use crate::sql::types::{has_equality, has_order};

/// What an item of a sort or group list means.
enum Meaning {
    Output(usize),
    Expression(Expr),
}

/// A sort item over an analysed expression.
pub(super) fn sort(expr: Expr, item: &ast::OrderItem) -> Result<Sort> {
    if !has_order(expr.ty.oid) {
        return Err(errors::no_order(expr.ty.oid, location(&expr)));
    }
    // PostgreSQL: NULLs are larger than everything.
    let nulls_first = item.nulls_first.unwrap_or(item.descending);
    Ok(Sort { expr, descending: item.descending, nulls_first })
}

impl Analyzer<'_> {
    /// ORDER BY of a simple SELECT.
    pub(super) fn order_by(
        &mut self,
        items: &[ast::OrderItem],
        entries: &mut [Entry],
    ) -> Result<Vec<Sort>> {
        let mut sorts: Vec<Sort> = Vec::with_capacity(items.len());
        for item in items {
            let expr = match self.meaning(&item.expr, entries, "ORDER BY")? {
                Meaning::Output(i) => output_column(entries, i, item.expr.pos),
                Meaning::Expression(expr) => self.settle(expr)?,
            };
            let mut sort = sort(expr, item)?;
            if self.lite {
                sort = self.lite_sort(self.nocase_output(sort, entries))?;
            }
            // A key named twice sorts once.
            if !sorts.iter().any(|s| same(&s.expr, &sort.expr)) {
                sorts.push(sort);
            }
        }
        Ok(sorts)
    }

    /// SQLite: an output column that sorts without regard to case, or is shown as text only, is
    /// sorted as an expression.
    fn nocase_output(&self, mut sort: Sort, entries: &[Entry]) -> Sort {
        if let ExprKind::OutputColumn(i) = sort.expr.kind
            && let Some(entry) = entries.get(i as usize)
        {
            if self.is_nocase(&entry.expr) {
                sort.expr = entry.expr.clone();
            } else if let Some(shown) = super::lite::shown_as_text(&entry.expr) {
                sort.expr = shown.clone();
            }
        }
        sort
    }

    /// GROUP BY; items are expressions over FROM.
    pub(super) fn group_by(
        &mut self,
        items: &[ast::Expr],
        entries: &mut [Entry],
    ) -> Result<(Vec<Expr>, Option<Vec<Vec<usize>>>)> {
        let mut done: Vec<Expr> = Vec::new();
        let mut sets: Vec<Vec<usize>> = vec![Vec::new()];
        for item in items {
            let own = self.grouping_item(item, entries, &mut done)?;
            sets = super::grouping::crossed(&sets, &own);
            if sets.len() > super::grouping::MOST_SETS {
                let message = "too many grouping sets present (maximum 4096)";
                return Err(errors::client(state::STATEMENT_TOO_COMPLEX, item.pos, message));
            }
        }
        let several = items.iter().any(super::grouping::is_set);
        Ok((done, several.then_some(sets)))
    }

    /// The expressions of one plain item, added to those seen before; their places.
    pub(super) fn group_plain(
        &mut self,
        items: &[ast::Expr],
        entries: &mut [Entry],
        done: &mut Vec<Expr>,
    ) -> Result<Vec<usize>> {
        let mut places = Vec::new();
        for item in items {
            if let A::Row(fields) = &item.kind {
                places.extend(self.group_plain(fields, entries, done)?);
                continue;
            }
            let expr = match self.meaning(item, entries, "GROUP BY")? {
                Meaning::Output(i) => {
                    let expr = entries[i].expr.clone();
                    self.refuse_aggregate(&expr, item.pos)?;
                    expr
                }
                Meaning::Expression(expr) => self.settle(expr)?,
            };
            if self.lite && self.is_nocase(&expr) {
                return Err(Error::unsupported("GROUP BY without regard to case"));
            }
            if !has_equality(expr.ty.oid) {
                return Err(errors::no_equality(expr.ty.oid, item.pos));
            }
            let known = done.iter().position(|e| same(e, &expr));
            places.push(known.unwrap_or_else(|| {
                done.push(expr);
                done.len() - 1
            }));
        }
        Ok(places)
    }

    fn refuse_aggregate(&self, expr: &Expr, pos: u32) -> Result<()> {
        let mut found: Option<(CallKind, u32)> = None;
        super::walk::visit(expr, &mut |e| {
            if let ExprKind::Call(call) = &e.kind
                && matches!(call.kind, CallKind::Aggregate | CallKind::Window)
            {
                found = Some((call.kind, e.pos));
            }
            found.is_none() && !matches!(e.kind, ExprKind::Subquery(_) | ExprKind::Exists(_))
        });
        match found {
            Some((CallKind::Window, at)) => {
                let at = if at == 0 { pos } else { at };
                let message = "window functions are not allowed in GROUP BY";
                Err(errors::client(state::WINDOWING_ERROR, at, message))
            }
            Some((_, at)) => {
                let at = if at == 0 { pos } else { at };
                let message = "aggregate functions are not allowed in GROUP BY";
                Err(errors::client(state::GROUPING_ERROR, at, message))
            }
            None => Ok(()),
        }
    }

    /// DISTINCT (empty list) and DISTINCT ON.
    pub(super) fn distinct(
        &mut self,
        list: &[ast::Expr],
        entries: &mut [Entry],
        order_by: &[Sort],
    ) -> Result<Vec<Expr>> {
        if list.is_empty() {
            for entry in entries.iter_mut() {
                entry.settle(self)?;
                if self.lite && self.is_nocase(&entry.expr) {
                    return Err(Error::unsupported("DISTINCT without regard to case"));
                }
                if !has_equality(entry.expr.ty.oid) {
                    return Err(errors::no_equality(entry.expr.ty.oid, entry.expr.pos));
                }
            }
            let hidden = |s: &&Sort| !matches!(s.expr.kind, ExprKind::OutputColumn(_));
            if let Some(stray) = order_by.iter().find(hidden) {
                let message =
                    "for SELECT DISTINCT, ORDER BY expressions must appear in select list";
                let pos = stray.expr.pos;
                return Err(errors::client(state::INVALID_COLUMN_REFERENCE, pos, message));
            }
            return Ok(Vec::new());
        }
        let mut exprs: Vec<Expr> = Vec::new();
        let mut places: Vec<u32> = Vec::new();
        for item in list {
            let place = super::scope::Place::DistinctOn;
            let meaning = self.at_place(place, |a| a.meaning(item, entries, "DISTINCT ON"))?;
            let expr = match meaning {
                Meaning::Output(i) => entries[i].expr.clone(),
                Meaning::Expression(expr) => self.settle(expr)?,
            };
            if !has_equality(expr.ty.oid) {
                return Err(errors::no_equality(expr.ty.oid, item.pos));
            }
            if push_new(&mut exprs, expr) {
                places.push(item.pos);
            }
        }
        // The leading ORDER BY items must be those of DISTINCT ON.
        let plain = |s: &Sort| match s.expr.kind {
            ExprKind::OutputColumn(i) => entries.get(i as usize).map(|e| e.expr.clone()),
            _ => Some(s.expr.clone()),
        };
        let mut matched = vec![false; exprs.len()];
        let mut skipped = false;
        for sort in order_by {
            let listed = plain(sort).and_then(|expr| exprs.iter().position(|e| same(e, &expr)));
            match listed {
                Some(i) if skipped => return Err(distinct_on_mismatch(places[i])),
                Some(i) => matched[i] = true,
                None => skipped = true,
            }
        }
        if skipped && let Some(i) = matched.iter().position(|m| !m) {
            return Err(distinct_on_mismatch(places[i]));
        }
        Ok(exprs)
    }

    /// What an item means: an output column by name or number, or an expression.
    fn meaning(
        &mut self,
        expr: &ast::Expr,
        entries: &mut [Entry],
        clause: &str,
    ) -> Result<Meaning> {
        match &expr.kind {
            A::Column(parts) if parts.len() == 1 => {
                if let Some(i) = self.output_by_name(&parts[0], entries, clause, expr.pos)? {
                    entries[i].settle(self)?;
                    return Ok(Meaning::Output(i));
                }
            }
            A::Literal(Literal::Integer(n)) => {
                let index = usize::try_from(*n).ok().and_then(|n| n.checked_sub(1));
                return match index.filter(|i| *i < entries.len()) {
                    Some(i) => {
                        entries[i].settle(self)?;
                        Ok(Meaning::Output(i))
                    }
                    None => {
                        let message = format!("{clause} position {n} is not in select list");
                        Err(errors::client(state::INVALID_COLUMN_REFERENCE, expr.pos, message))
                    }
                };
            }
            A::Literal(_) => {
                return Err(errors::syntax(expr.pos, format!("non-integer constant in {clause}")));
            }
            _ => {}
        }
        let done = self.expr(expr)?;
        if self.lite && self.is_nocase(&done) {
            return Ok(Meaning::Expression(done));
        }
        let listed = |e: &Entry| same(&e.expr, &done) || same(strip_implicit(&e.expr), &done);
        if let Some(i) = entries.iter().position(listed) {
            entries[i].settle(self)?;
            return Ok(Meaning::Output(i));
        }
        Ok(Meaning::Expression(done))
    }

    fn output_by_name(
        &mut self,
        name: &str,
        entries: &[Entry],
        clause: &str,
        pos: u32,
    ) -> Result<Option<usize>> {
        // In GROUP BY a column of FROM hides an output name.
        if clause == "GROUP BY" && self.is_local_column(name) {
            return Ok(None);
        }
        let mut found: Option<usize> = None;
        let lite = self.lite;
        let named = |e: &Entry| e.name == name || (lite && e.name.eq_ignore_ascii_case(name));
        for (i, entry) in entries.iter().enumerate().filter(|(_, e)| named(e)) {
            match found {
                Some(first) if !same(&entries[first].expr, &entry.expr) => {
                    let message = format!("{clause} \"{name}\" is ambiguous");
                    return Err(errors::client(state::AMBIGUOUS_COLUMN, pos, message));
                }
                Some(_) => {}
                None => found = Some(i),
            }
        }
        Ok(found)
    }

    fn is_local_column(&mut self, name: &str) -> bool {
        let items = &self.level().items;
        items.iter().any(|i| i.cols_visible && i.columns.iter().any(|c| c.name == name))
    }

    /// ORDER BY of a set operation or VALUES: output columns only.
    pub(super) fn order_outputs(
        &mut self,
        items: &[ast::OrderItem],
        columns: &[crate::sql::ir::Output],
    ) -> Result<Vec<Sort>> {
        let mut sorts = Vec::with_capacity(items.len());
        for item in items {
            let pos = item.expr.pos;
            let index = match &item.expr.kind {
                A::Column(parts) if parts.len() == 1 => {
                    let lite = self.lite;
                    let named =
                        |n: &str| n == parts[0] || (lite && n.eq_ignore_ascii_case(&parts[0]));
                    let mut hits = (0..columns.len()).filter(|i| named(&columns[*i].name));
                    let first = hits.next();
                    if first.is_some() && hits.next().is_some() {
                        let message = format!("ORDER BY \"{}\" is ambiguous", parts[0]);
                        return Err(errors::client(state::AMBIGUOUS_COLUMN, pos, message));
                    }
                    match first {
                        Some(i) => i,
                        None => return Err(errors::undefined_column(&parts[0], pos)),
                    }
                }
                A::Literal(Literal::Integer(n)) => {
                    let index = usize::try_from(*n).ok().and_then(|n| n.checked_sub(1));
                    index.filter(|i| *i < columns.len()).ok_or_else(|| {
                        let message = format!("ORDER BY position {n} is not in select list");
                        errors::client(state::INVALID_COLUMN_REFERENCE, pos, message)
                    })?
                }
                _ => return Err(set_order_by(begin(&item.expr))),
            };
            let number = u32::try_from(index).unwrap_or(u32::MAX);
            let expr = Expr { kind: ExprKind::OutputColumn(number), ty: columns[index].ty, pos };
            sorts.push(sort(expr, item)?);
        }
        Ok(sorts)
    }
}

fn set_order_by(pos: u32) -> Error {
    errors::client(
        state::FEATURE_NOT_SUPPORTED,
        pos,
        "invalid UNION/INTERSECT/EXCEPT ORDER BY clause",
    )
    .detail("Only result column names can be used, not expressions or functions.")
    .hint("Add the expression/function to every SELECT, or move the UNION into a FROM clause.")
}

fn distinct_on_mismatch(pos: u32) -> Error {
    let message = "SELECT DISTINCT ON expressions must match initial ORDER BY expressions";
    errors::client(state::INVALID_COLUMN_REFERENCE, pos, message)
}

fn output_column(entries: &[Entry], index: usize, pos: u32) -> Expr {
    let number = u32::try_from(index).unwrap_or(u32::MAX);
    Expr { kind: ExprKind::OutputColumn(number), ty: entries[index].expr.ty, pos }
}

/// Adds an expression that is not in the list yet; says whether it did.
fn push_new(list: &mut Vec<Expr>, expr: Expr) -> bool {
    let new = !list.iter().any(|e| same(e, &expr));
    if new {
        list.push(expr);
    }
    new
}

/// Where an untyped expression begins.
fn begin(expr: &ast::Expr) -> u32 {
    match &expr.kind {
        A::Op { left: Some(left), .. } => begin(left),
        A::IsNull(e, _) | A::IsBool(e, ..) | A::IsDistinct(e, ..) | A::Cast(e, _) => begin(e),
        A::And(list) | A::Or(list) => list.first().map_or(expr.pos, begin),
        _ => expr.pos,
    }
}
