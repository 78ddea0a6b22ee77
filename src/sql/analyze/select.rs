//! Queries: WITH, the body, ORDER BY, LIMIT.
//!
//! Owns the order in which PostgreSQL analyses the clauses (parameter types depend on it).
//! Start at [`Analyzer::query`].

use super::scope::Place;
use super::target::Entry;
use super::walk::visit;
use super::{Analyzer, errors};
use crate::error::{Error, Result, state};
use crate::sql::ast::{self, SelectBody};
use crate::sql::ir::{Body, Expr, ExprKind, Query, Select};
use crate::value::oid;

/// The recursive name a WITH RECURSIVE query may use in its second part.
pub(super) struct Recursion<'c> {
    pub(super) id: u32,
    pub(super) name: &'c str,
    pub(super) columns: &'c [String],
}

impl Analyzer<'_> {
    /// A whole query on a level of its own. `resolve` turns output literals without a type
    /// into text; without it they stay unknown for the caller to cast.
    pub(super) fn query(&mut self, select: &ast::Select, resolve: bool) -> Result<Query> {
        self.query_in(select, resolve, None)
    }

    pub(super) fn query_in(
        &mut self,
        select: &ast::Select,
        resolve: bool,
        recursion: Option<&Recursion<'_>>,
    ) -> Result<Query> {
        self.nested(|a| {
            a.push_level();
            let height = a.levels.len();
            let result = a.query_on_level(select, resolve, recursion);
            a.levels.truncate(height - 1);
            result
        })
    }

    fn query_on_level(
        &mut self,
        select: &ast::Select,
        resolve: bool,
        recursion: Option<&Recursion<'_>>,
    ) -> Result<Query> {
        let ctes = match &select.with {
            Some(with) => self.with(with)?,
            None => Vec::new(),
        };
        let mut query = match &select.body {
            SelectBody::Simple(simple) => self.simple(select, simple, resolve)?,
            SelectBody::Values(rows) => self.values(select, rows)?,
            SelectBody::SetOperation { op, all, left, right } => {
                self.set_operation(select, (*op, *all), left, right, recursion)?
            }
        };
        query.ctes = ctes;
        query.recursive = select.with.as_ref().is_some_and(|w| w.recursive);
        self.check_locking(select, &query)?;
        query.locks = !select.locking.is_empty();
        query.with_ties = select.with_ties;
        if query.with_ties && query.order_by.is_empty() {
            let message = "WITH TIES cannot be specified without ORDER BY clause";
            return Err(errors::syntax(0, message));
        }
        self.locks |= query.locks;
        Ok(query)
    }

    /// SELECT … FROM …
    fn simple(
        &mut self,
        outer: &ast::Select,
        simple: &ast::SimpleSelect,
        resolve: bool,
    ) -> Result<Query> {
        let moved = self.set_moved(simple);
        let simple = moved.as_ref().unwrap_or(simple);
        self.level().windows = simple.windows.clone();
        if self.lite {
            let named = |t: &ast::Target| t.alias.clone().map(|name| (name, t.expr.clone()));
            self.level().aliases = simple.targets.iter().filter_map(named).collect();
        }
        let alone = self.levels.len() == 1 && runs_once(outer, simple);
        self.alone = alone && matches!(simple.from.as_slice(), [ast::TableRef::Function { .. }]);
        let from = self.make_from(&simple.from);
        self.alone = false;
        let mut from = from?;
        self.level().per_row = !from.is_empty();
        self.alone = alone && from.is_empty();
        let entries = self.at_place(Place::Target, |a| a.targets(&simple.targets));
        self.alone = false;
        let mut entries = entries?;
        let filter = self.clause(simple.filter.as_ref(), Place::Where, "WHERE")?;
        let mut having = self.clause(simple.having.as_ref(), Place::Having, "HAVING")?;
        let mut order_by =
            self.at_place(Place::OrderBy, |a| a.order_by(&outer.order_by, &mut entries))?;
        let (group_by, mut grouping_sets) =
            self.at_place(Place::GroupBy, |a| a.group_by(&simple.group_by, &mut entries))?;
        let distinct = match &simple.distinct {
            Some(list) => Some(self.distinct(list, &mut entries, &order_by)?),
            None => None,
        };
        let (limit, offset) = self.limits(outer)?;
        for (_, window) in &simple.windows {
            // Those that nothing uses must be valid too.
            self.window(window, 0)?;
        }
        if resolve {
            for entry in &mut entries {
                entry.settle(self)?;
            }
        }
        let grouped = self.level().aggregates || !group_by.is_empty() || having.is_some();
        if grouped && self.lite {
            self.lite_bare(&mut entries, having.as_mut(), &mut order_by, &group_by)?;
        } else if grouped {
            let asked = self.check_groupings(&entries, having.as_ref(), &order_by, &group_by)?;
            if asked && grouping_sets.is_none() {
                grouping_sets = Some(vec![(0..group_by.len()).collect()]);
            }
            // What is not in every set has no value of its own in some.
            let common: Vec<Expr> = group_by
                .iter()
                .enumerate()
                .filter(|(i, _)| grouping_sets.iter().flatten().all(|set| set.contains(i)))
                .map(|(_, e)| e.clone())
                .collect();
            self.check_grouping(&entries, having.as_ref(), &order_by, &group_by, &common)?;
        }
        self.spread_sets(&mut entries, &order_by, &mut from, grouped)?;
        let columns = entries.iter().map(Entry::output).collect();
        let targets = entries.into_iter().map(|e| e.expr).collect();
        let select =
            Select { distinct, targets, from, filter, group_by, grouping_sets, having, grouped };
        Ok(Query {
            recursive: false,
            ctes: Vec::new(),
            body: Body::Select(Box::new(select)),
            order_by,
            limit,
            offset,
            locks: false,
            with_ties: false,
            columns,
        })
    }

    fn clause(
        &mut self,
        expr: Option<&ast::Expr>,
        place: Place,
        name: &str,
    ) -> Result<Option<Expr>> {
        match expr {
            Some(e) => self.at_place(place, |a| a.condition(e, name)).map(Some),
            None => Ok(None),
        }
    }

    /// LIMIT and OFFSET: bigint without columns.
    pub(super) fn limits(&mut self, select: &ast::Select) -> Result<(Option<Expr>, Option<Expr>)> {
        // PostgreSQL looks at OFFSET first.
        let offset = self.limit(select.offset.as_ref(), Place::Offset, "OFFSET")?;
        let limit = self.limit(select.limit.as_ref(), Place::Limit, "LIMIT")?;
        Ok((limit, offset))
    }

    fn limit(
        &mut self,
        expr: Option<&ast::Expr>,
        place: Place,
        name: &str,
    ) -> Result<Option<Expr>> {
        let Some(e) = expr else { return Ok(None) };
        if self.lite {
            return self.at_place(place, |a| a.lite_limit(e, place == Place::Offset)).map(Some);
        }
        let expr = self.at_place(place, |a| a.expr(e))?;
        let expr = self.specific(expr, oid::INT8, "bigint", name)?;
        let depth = self.levels.len();
        let mut own: Option<u32> = None;
        visit(&expr, &mut |e| {
            if let ExprKind::Column(rel, _) = &e.kind
                && self.rel_levels.get(rel).is_some_and(|l| *l == depth)
            {
                own = Some(e.pos);
            }
            own.is_none()
        });
        if let Some(pos) = own {
            let message = format!("argument of {name} must not contain variables");
            return Err(errors::client(state::INVALID_COLUMN_REFERENCE, pos, message));
        }
        Ok(Some(expr))
    }

    fn check_locking(&mut self, select: &ast::Select, query: &Query) -> Result<()> {
        let Some(lock) = select.locking.first() else { return Ok(()) };
        let strength = if lock.update { "FOR UPDATE" } else { "FOR SHARE" };
        let refuse = |what: &str| {
            let message = format!("{strength} is not allowed with {what}");
            Err(Error::client(state::FEATURE_NOT_SUPPORTED, message))
        };
        let Body::Select(body) = &query.body else {
            return match &query.body {
                Body::Set { .. } => refuse("UNION/INTERSECT/EXCEPT"),
                _ => refuse("VALUES"),
            };
        };
        if body.distinct.is_some() {
            return refuse("DISTINCT clause");
        }
        if !body.group_by.is_empty() {
            return refuse("GROUP BY clause");
        }
        if body.having.is_some() {
            return refuse("HAVING clause");
        }
        if self.level().aggregates {
            return refuse("aggregate functions");
        }
        if self.level().windows_used {
            return refuse("window functions");
        }
        for locked in select.locking.iter().flat_map(|l| &l.tables) {
            let known =
                self.level().items.iter().any(|i| i.name.as_deref() == Some(locked.as_str()));
            if !known {
                let message =
                    format!("relation \"{locked}\" in {strength} clause not found in FROM clause");
                return Err(Error::client(state::UNDEFINED_TABLE, message));
            }
        }
        Ok(())
    }
}

/// Whether a SELECT does nothing but give what its list or its FROM says.
pub(super) fn runs_once(outer: &ast::Select, simple: &ast::SimpleSelect) -> bool {
    outer.with.is_none()
        && outer.order_by.is_empty()
        && outer.limit.is_none()
        && outer.offset.is_none()
        && outer.locking.is_empty()
        && simple.distinct.is_none()
        && simple.filter.is_none()
        && simple.group_by.is_empty()
        && simple.having.is_none()
}
